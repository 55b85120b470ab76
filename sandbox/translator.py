"""The walk over a program's tree that refuses and rewrites: `translate` says what, the run-time half is `guards`.

Here is what the walk knows and finds, and, in `_VISITORS`, which function translates which kind of node; the files
called visit_* have these functions.
"""

import __future__

import ast
from collections.abc import Callable
from typing import Any

from sandbox import policy, visit_classes, visit_exceptions, visit_imports, visit_names, visit_patterns, visit_steps
from sandbox.nodes import HERE, is_docstring
from sandbox.refused import Violation
from sandbox.rules import is_dunder
from sandbox.unseen_calls import CALLED, CALLED_PLAINLY

_MAX_VIOLATIONS = 20
_STRING_ANNOTATIONS = __future__.annotations.compiler_flag


class Translator:
    """Walks one tree, in place: collects violations and rewrites. `strict` turns off the free leading parts.

    The function for a kind of node is given the translator and the node, and returns what is to stand there. It has the
    node's parts translated, by `visit`, `block` or `generic`, and says what it found: `refuse`, `bind`, `strict`,
    `apart`.
    """

    def __init__(self, allow_modules: frozenset[str] = frozenset()) -> None:
        self.allow_modules = allow_modules
        self.violations: list[Violation] = []
        self.flags = 0
        self.scope = "module"
        self.private = ""  # the class whose body we are in, for __name mangling
        self.slotted: list[ast.stmt] = []  # the statements of that body that may bind __slots__
        self.certain: frozenset[ast.AST] = frozenset()  # imports that the program reaches, unless it ends before them
        self.tries_import = 0  # inside a try that expects an ImportError
        self.rewrites_mistakes = False  # what CPython may call a SyntaxError does not stand in the tree any more
        self.strict = False
        self.plainly = False  # in an assignment that gives a special method's place to no function but a special method
        self.apart = False  # it is no program to share a process with others: policy.SHARED says what those use
        self.classes: set[str] = set()  # names of classes that the program made
        self.in_free_loop = False
        self.placements: list[Callable[[bool], None]] = []

    def refuse(self, node: ast.AST, rule: str, message: str) -> None:
        if len(self.violations) < _MAX_VIOLATIONS:
            self.violations.append(Violation(getattr(node, "lineno", 0), rule, message))

    def program(self, tree: ast.AST) -> None:
        if isinstance(tree, ast.Expression):
            tree.body = self.visit(tree.body)
        elif isinstance(tree, ast.Module):
            self._future(tree)
            self.certain = frozenset(node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom))
            tree.body = self.block(tree.body)
            at = 1 if tree.body and is_docstring(tree.body[0]) else 0
            # A module's names are looked up in two dictionaries more than a global's.
            tree.body.insert(at, ast.Global(names=[".it", ".left", ".compress"], **HERE))
        for place in self.placements:
            place(self.strict)

    def _future(self, tree: ast.Module) -> None:
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.module == "__future__" and not node.level:
                for alias in node.names:
                    if alias.name == "annotations":
                        self.flags |= _STRING_ANNOTATIONS

    def visit(self, node: Any) -> Any:
        method = _VISITORS.get(node.__class__)
        if method is None:
            kind = node.__class__.__name__
            self.refuse(node, "syntax", f"{kind} is not allowed")
            return node
        return method(self, node)

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        result: list[ast.stmt] = []
        for statement in statements:
            new = self.visit(statement)
            if new.__class__ is list:
                result.extend(new)
            else:
                result.append(new)
        return result

    def generic(self, node: ast.AST) -> ast.AST:
        """A node that needs no thought of its own: translate what it holds."""
        for field in node._fields:
            value = getattr(node, field, None)
            if value.__class__ is list:
                if value and isinstance(value[0], ast.stmt):
                    setattr(node, field, self.block(value))
                else:
                    value[:] = [self.visit(item) if isinstance(item, ast.AST) else item for item in value]
            elif isinstance(value, ast.AST):
                setattr(node, field, self.visit(value))
        return node

    def leaf(self, node: ast.AST) -> ast.AST:
        return node

    def bind(self, node: ast.AST, name: str | None) -> None:
        """A name is about to be bound in the scope we are in."""
        self.strict |= name == "_missing_"
        if self.scope == "class" and name in CALLED_PLAINLY:
            self.strict |= not isinstance(node, ast.FunctionDef)
        if name is None or not is_dunder(name):
            if name is not None and name.startswith("_sandbox_"):
                self.refuse(node, "special-name", f"{name} may not be defined here")
            return
        self.apart |= name in policy.DEFINABLE and name not in policy.SHARED_SPECIAL
        if self.scope == "class" and name in CALLED:
            # Any function may get a special method's place, in whatever way; one that is defined there is counted.
            self.strict |= not (self.plainly or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
        allowed = policy.DEFINABLE | policy.STORABLE_NAMES if self.scope == "class" else policy.STORABLE_NAMES
        if name not in allowed or name in ("__match_args__", "__slots__"):  # those only by `visit_classes`
            self.refuse(node, "special-name", f"{name} may not be defined here")

    def mangled(self, name: str) -> str:
        if self.private and name.startswith("__") and not name.endswith("__"):
            stripped = self.private.lstrip("_")
            return f"_{stripped}{name}" if stripped else name
        return name


_GENERIC = (
    "Expression Delete If With Match Raise Assert Expr Return BoolOp NamedExpr BinOp UnaryOp "
    "IfExp Dict Set ListComp SetComp DictComp GeneratorExp Compare FormattedValue JoinedStr "
    "Subscript Starred List Tuple Slice withitem match_case MatchSequence MatchOr"
)
_SUSPENDING = "AsyncWith Await Yield YieldFrom"
_LEAVES = (
    "Pass Break Continue Load Store Del And Or Add Sub Mult MatMult Div Mod Pow LShift RShift BitOr BitXor "
    "BitAnd FloorDiv Invert Not UAdd USub Eq NotEq Lt LtE Gt GtE Is IsNot In NotIn MatchSingleton"
)
_VISITORS: dict[type, Callable[[Translator, Any], Any]] = {
    **{getattr(ast, name): Translator.generic for name in _GENERIC.split()},
    **{getattr(ast, name): visit_steps.suspends for name in _SUSPENDING.split()},
    **{getattr(ast, name): Translator.leaf for name in _LEAVES.split()},
    ast.Name: visit_names.name,
    ast.Global: visit_names.names,
    ast.Nonlocal: visit_names.names,
    ast.Attribute: visit_names.attribute,
    ast.Assign: visit_classes.assign,
    ast.AugAssign: visit_names.aug_assign,
    ast.AnnAssign: visit_classes.ann_assign,
    ast.For: visit_steps.for_,
    ast.AsyncFor: visit_steps.async_for,
    ast.While: visit_steps.while_,
    ast.comprehension: visit_steps.comprehension,
    ast.FunctionDef: visit_steps.function,
    ast.AsyncFunctionDef: visit_steps.function,
    ast.Lambda: visit_steps.lambda_,
    ast.ClassDef: visit_classes.class_,
    ast.Call: visit_names.call,
    ast.Constant: visit_names.constant,
    ast.keyword: visit_names.keyword,
    ast.MatchClass: visit_patterns.match_class,
    ast.MatchValue: visit_patterns.compared,
    ast.MatchAs: visit_patterns.capture,
    ast.MatchStar: visit_patterns.capture,
    ast.MatchMapping: visit_patterns.capture,
    ast.Try: visit_exceptions.try_,
    ast.TryStar: visit_exceptions.try_star,
    ast.ExceptHandler: visit_exceptions.handler,
    ast.Import: visit_imports.import_,
    ast.ImportFrom: visit_imports.import_from,
}

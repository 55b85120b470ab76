"""The walk over a program's tree that refuses and rewrites: `translate` says what, the run-time half is `guards`."""

import __future__

import ast
from collections.abc import Callable
from typing import Any

from sandbox import policy
from sandbox.formats import attributes_read
from sandbox.nodes import (
    CATCHABLE,
    COMPRESS,
    HERE,
    LEFT,
    STORE,
    binds_slots,
    call_node,
    const_node,
    is_base_exception,
    is_docstring,
    is_own_init,
    is_slots,
    name_node,
    names_import_error,
    plain_special,
    tick,
    tick_statement,
    written_out,
)
from sandbox.placement import calls_nothing, place_tick
from sandbox.private import library_inner, starred
from sandbox.refused import Violation
from sandbox.rules import is_dunder, load_rule, module_message, module_rule, store_rule

_MAX_VIOLATIONS = 20
_STRING_ANNOTATIONS = __future__.annotations.compiler_flag
# With these, a function runs when an attribute or an item is read or an operator applied, which no leading part may
# then do free; or what does so comes from a text that is translated by itself. Their mere mention counts: how many ways
# there are to use them nobody knows.
_CALLS_BY_OPERATOR = frozenset({
    *("property", "abstractproperty", "getter", "setter", "deleter", "setattr", "cached_property", "partialmethod"),
    *("eval", "exec", "defaultdict", "DefaultDict", "default_factory", "cmp_to_key", "_missing_"),
    # The operators of these call methods that have common names: of what a ChainMap holds, of a class below the others;
    # and the names of days and months are what functions in a list say.
    *("ChainMap", "Flag", "IntFlag", "MutableSequence", "MutableSet", "TopologicalSorter", "UserDict", "UserList"),
    *("day_abbr", "day_name", "month_abbr", "month_name"),
})  # fmt: skip
# Methods that operators call on any object: `{**x}`, `|=` and `==` of mappings, sums of Counters, `in` and unpacking of
# files, differences of times, what sets, Fractions and flags do among themselves, `in` a Generator, items of an alias.
# Who binds such an attribute is counted.
_CALLED_PLAINLY = frozenset({
    *("_from_iterable", "_get_value", "_getitem", "_iter_member_", "_iter_member_by_def_", "_iter_member_by_value_"),
    *("_keep_positive", "_richcmp", "copy_with", "fget", "fset", "from_float", "items", "keys", "peek", "read"),
    *("read1", "readline", "send", "utcoffset"),
})  # fmt: skip
# Of these, what makes something of the function that it decorates, which is counted for that.
_DECORATING = frozenset("property abstractproperty getter setter deleter cached_property".split())
_CALLED = policy.DEFINABLE - {"__doc__", "__match_args__", "__slots__"}


class Translator:
    """Walks one tree, in place: collects violations and rewrites. `strict` turns off the free leading parts."""

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

    # Names

    def name(self, node: ast.Name) -> ast.Name:
        name = node.id
        if name.startswith("__"):
            if node.ctx.__class__ is ast.Load:
                if is_dunder(name) and name not in policy.READABLE_NAMES and not self._defined_here(name):
                    self.refuse(node, "name", f"the name {name} is not allowed")
                elif name == "__import__":
                    node.id = ".__import__"  # the plain one is for the library's C code
            else:
                self.bind(node, name)
        elif name.startswith("_sandbox_"):
            self.bind(node, name)
        elif name in _CALLS_BY_OPERATOR:
            self.strict = True
        elif node.ctx.__class__ is not ast.Load:
            self.bind(node, name)
        if name in policy.SHARED_WITHOUT_NAMES:
            self.apart = True
        return node

    def _defined_here(self, name: str) -> bool:
        return self.scope == "class" and name in policy.OPERATOR_METHODS

    def bind(self, node: ast.AST, name: str | None) -> None:
        """A name is about to be bound in the scope we are in."""
        self.strict |= name == "_missing_"
        if self.scope == "class" and name in _CALLED_PLAINLY:
            self.strict |= not isinstance(node, ast.FunctionDef)
        if name is None or not is_dunder(name):
            if name is not None and name.startswith("_sandbox_"):
                self.refuse(node, "special-name", f"{name} may not be defined here")
            return
        self.apart |= name in policy.DEFINABLE and name not in policy.SHARED_SPECIAL
        if self.scope == "class" and name in _CALLED:
            # Any function may get a special method's place, in whatever way; one that is defined there is counted.
            self.strict |= not (self.plainly or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
        allowed = policy.DEFINABLE | policy.STORABLE_NAMES if self.scope == "class" else policy.STORABLE_NAMES
        if name not in allowed or name in ("__match_args__", "__slots__"):  # those only by `assign`
            self.refuse(node, "special-name", f"{name} may not be defined here")

    def names(self, node: Any) -> ast.AST:
        for name in node.names:
            self.bind(node, name)
        return node

    # Attributes

    def mangled(self, name: str) -> str:
        if self.private and name.startswith("__") and not name.endswith("__"):
            stripped = self.private.lstrip("_")
            return f"_{stripped}{name}" if stripped else name
        return name

    def attribute(self, node: ast.Attribute) -> ast.expr:
        loading = node.ctx.__class__ is ast.Load
        name = self.mangled(node.attr)
        self.apart |= _sets_apart(node, name)
        rule = load_rule(name) if loading else store_rule(name)
        if loading and is_own_init(node):
            rule = "guard"
        node.value = self.visit(node.value)
        self.strict |= not loading and name in _CALLED_PLAINLY
        if rule == "free":
            if (not loading and is_dunder(name)) or name in _CALLS_BY_OPERATOR:
                self.strict = True
            return node
        if rule == "guard":
            if name == "format" and isinstance(node.value, ast.Constant) and _reads_freely(node.value.value):
                return node
            return ast.copy_location(call_node(".attr", node.value, const_node(name)), node)
        if rule == "own":
            node.value = ast.copy_location(call_node(".own", node.value, const_node(name)), node)
            return node
        verb = "read" if loading else "set or deleted"
        self.refuse(node, "attribute", f"the attribute {name} may not be {verb}")
        return node

    def aug_assign(self, node: ast.AugAssign) -> ast.AST | list[ast.stmt]:
        target = node.target
        if isinstance(target, ast.Attribute):
            name = self.mangled(target.attr)
            rule = load_rule(name)
            if rule == "refuse" or (is_dunder(name) and rule != "free"):
                self.refuse(node, "attribute", f"the attribute {name} may not be read")
            elif rule == "guard":
                return self.guarded_aug_assign(node, target)
        return self.generic(node)

    def guarded_aug_assign(self, node: ast.AugAssign, target: ast.Attribute) -> list[ast.stmt]:
        """`x.obj += y` reads x.obj, which is a guard's to give: the same in three statements."""
        owner, value = (ast.Name(id=name, ctx=STORE, **HERE) for name in (".o", ".v"))
        read = ast.copy_location(call_node(".attr", name_node(".o"), const_node(target.attr)), node)
        place = ast.Attribute(value=name_node(".o"), attr=target.attr, ctx=STORE, **HERE)
        statements: list[ast.stmt] = [
            ast.Assign(targets=[owner], value=self.visit(target.value), **HERE),
            ast.Assign(targets=[value], value=read, **HERE),
            ast.AugAssign(target=value, op=node.op, value=self.visit(node.value), **HERE),
            ast.Assign(targets=[place], value=name_node(".v"), **HERE),
        ]
        return [ast.copy_location(statement, node) for statement in statements]

    # Loops and functions: the steps

    def for_(self, node: ast.For) -> ast.AST:
        outer = self.in_free_loop
        free = not outer and written_out(node.iter)
        self.in_free_loop = outer or free
        node.body = self.block(node.body)
        self.in_free_loop = outer
        node.target, node.iter = self.visit(node.target), self.visit(node.iter)
        node.orelse = self.block(node.orelse)
        if not free:
            node.iter = self.counted(node.iter)
        return node

    def counted(self, iterable: ast.expr) -> ast.expr:
        call = ast.Call(func=COMPRESS, args=[iterable, LEFT], keywords=[], **HERE)
        return ast.copy_location(call, iterable)

    def while_(self, node: ast.While) -> ast.AST:
        self.generic(node)
        if self.scope != "function" or node.orelse:
            node.body.insert(0, tick_statement(node))
            return node
        if not (isinstance(node.test, ast.Constant) and node.test.value):
            leave = ast.If(test=node.test, body=[ast.Pass(**HERE)], orelse=[ast.Break(**HERE)], **HERE)
            node.body.insert(0, ast.copy_location(leave, node.test))
        turn = ast.copy_location(name_node(".it"), node.test)
        turns = ast.For(target=ast.Name(id=".t", ctx=STORE, **HERE), iter=turn, body=node.body, orelse=[], **HERE)
        return ast.copy_location(turns, node)

    def suspends(self, node: ast.AST) -> ast.AST:
        """What is suspended may go on when the program is over."""
        self.apart = True
        return self.generic(node)

    def async_for(self, node: ast.AsyncFor) -> ast.AST:
        self.suspends(node)
        node.body.insert(0, tick_statement(node))
        return node

    def comprehension(self, node: ast.comprehension) -> ast.AST:
        self.generic(node)
        if node.is_async:
            self.apart = True
            node.ifs.insert(0, tick(node.target))
        else:
            node.iter = self.counted(node.iter)
        return node

    def arguments(self, node: ast.arguments) -> ast.AST:
        for arg in (*node.posonlyargs, *node.args, node.vararg, *node.kwonlyargs, node.kwarg):
            if arg is not None:
                if is_dunder(arg.arg):
                    self.refuse(arg, "special-name", f"{arg.arg} may not name a parameter")
                if arg.annotation is not None:
                    arg.annotation = self.annotation(arg.annotation)
        node.defaults = [self.visit(default) for default in node.defaults]
        node.kw_defaults = [default and self.visit(default) for default in node.kw_defaults]
        return node

    def annotation(self, node: ast.expr) -> ast.expr:
        """Under `from __future__ import annotations` they become strings, which nothing of ours ever evaluates."""
        if self.flags:
            return node
        new: ast.expr = self.visit(node)
        return new

    def function(self, node: Any) -> ast.AST:
        self.bind(node, node.name)
        self.apart |= node.__class__ is ast.AsyncFunctionDef
        *outer, innermost = node.decorator_list or [None]
        if innermost is not None:
            node.decorator_list = [*map(self.visit, outer), self.innermost_decorator(innermost)]
        self.type_parameters(node)
        self.arguments(node.args)
        if node.returns is not None:
            node.returns = self.annotation(node.returns)
        outer = self.scope, self.in_free_loop
        self.scope, self.in_free_loop = "function", False
        body = node.body = self.block(node.body)
        self.scope, self.in_free_loop = outer
        special = is_dunder(node.name) or bool(node.decorator_list) or node.name in _CALLED_PLAINLY
        self.placements.append(lambda strict: place_tick(body, tick_statement(node), strict or special))
        return node

    def innermost_decorator(self, node: ast.expr) -> ast.expr:
        """It is given the function that stands below; any other may be given one that is not decorated at all."""
        if isinstance(node, ast.Attribute) and node.attr in _DECORATING and load_rule(node.attr) == "free":
            self.apart |= _sets_apart(node, node.attr)
            node.value = self.visit(node.value)
            return node
        return node if isinstance(node, ast.Name) and node.id in _DECORATING else self.visit(node)

    def type_parameters(self, node: Any) -> None:
        for parameter in getattr(node, "type_params", ()):
            self.bind(parameter, parameter.name)
            self.generic(parameter)

    def lambda_(self, node: ast.Lambda) -> ast.AST:
        self.arguments(node.args)
        outer, self.scope = self.scope, "function"
        node.body = self.visit(node.body)
        self.scope = outer
        self.placements.append(lambda strict: _tick_lambda(node, strict))
        return node

    def class_(self, node: ast.ClassDef) -> ast.AST:
        self.bind(node, node.name)
        self.apart |= bool(node.decorator_list or node.keywords) or not all(map(self._is_shared_base, node.bases))
        self.classes.add(node.name)
        node.decorator_list = [self.visit(item) for item in node.decorator_list]
        self.type_parameters(node)
        node.bases = [self.visit(base) for base in node.bases]
        node.keywords = [self.visit(keyword) for keyword in node.keywords]
        outer = self.scope, self.private, self.slotted
        slotted = [statement for statement in node.body if binds_slots(statement)]
        self.scope, self.private, self.slotted = "class", node.name, slotted
        node.body = self.block(node.body)
        self.scope, self.private, self.slotted = outer
        if slotted:  # the last thing before the class is made, so that nothing can change them afterwards
            names = ast.Name(id="__slots__", ctx=STORE, **HERE)
            looked_at = ast.copy_location(call_node(".slots", name_node("__slots__")), slotted[-1])
            node.body.append(ast.copy_location(ast.Assign(targets=[names], value=looked_at, **HERE), slotted[-1]))
        return node

    def _is_shared_base(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and (node.id in self.classes or node.id in policy.SHARED_BASES)

    def assign(self, node: ast.Assign) -> ast.AST:
        if self.scope == "class":
            for target in node.targets:
                if isinstance(target, ast.Name) and target.id == "__match_args__":
                    self.match_args(node)
                    return self.generic(node) if len(node.targets) > 1 else node
            if node in self.slotted:
                node.targets = [target if is_slots(target) else self.visit(target) for target in node.targets]
                node.value = self.visit(node.value)
                return node
            self.plainly = plain_special(node.value) and all(isinstance(one, ast.Name) for one in node.targets)
        self.generic(node)
        self.plainly = False
        return node

    def match_args(self, node: ast.Assign) -> None:
        """Its names must stand in the text: hooks of the class's bases match against it before we can look at it."""
        self.apart = True
        names = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
        for name in names:
            if not isinstance(name, ast.Constant) or type(name.value) is not str or load_rule(name.value) != "free":
                self.refuse(node, "special-name", "__match_args__ may only be a tuple of plain attributes, as literals")

    def ann_assign(self, node: ast.AnnAssign) -> ast.AST:
        if self.scope == "class" and isinstance(node.target, ast.Name) and load_rule(node.target.id) == "refuse":
            # It may become a field, and fields are what positional patterns read.
            self.refuse(node, "special-name", f"{node.target.id} may not be a field")
        if node not in self.slotted:
            node.target = self.visit(node.target)
        node.annotation = self.annotation(node.annotation)
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    # Calls, patterns, exceptions

    def call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "type":
            if len(node.args) == 1 and not node.keywords:  # else it may make a class
                node.args[0] = self.visit(node.args[0])
                return node
            self.strict |= len(node.args) > 1
        if getattr(node.func, "attr", getattr(node.func, "id", "")) == "namedtuple":
            words = [word for part in node.args if isinstance(part, ast.Constant) for word in str(part.value).split()]
            self.strict |= not _CALLED_PLAINLY.isdisjoint(word.strip(",") for word in words)
        return self.generic(node)

    def constant(self, node: ast.Constant) -> ast.AST:
        if node.value.__class__ is str:
            # The namespace of a class that type() makes, by whatever name, may have a function there; likewise fields.
            self.strict |= _may_be_called(node.value)
        return node

    def keyword(self, node: ast.keyword) -> ast.AST:
        self.strict |= _may_be_called(node.arg)
        return self.generic(node)

    def match_class(self, node: ast.MatchClass) -> ast.AST:
        for name in node.kwd_attrs:
            self.apart |= name.startswith("_") or name in policy.SHARED_WITHOUT_ATTRIBUTES
            if load_rule(self.mangled(name)) != "free":
                self.refuse(node, "attribute", f"the attribute {name} may not be read by a pattern")
        return self.compared(node)

    def capture(self, node: Any) -> ast.AST:
        self.bind(node, getattr(node, "name", None) or getattr(node, "rest", None))
        return self.compared(node)

    def compared(self, node: Any) -> ast.AST:
        """A pattern. The values in it are names and attributes; the call of a guard would be no Python there."""
        self.generic(node)
        values = [getattr(node, "value", None), getattr(node, "cls", None), *getattr(node, "keys", ())]
        if any(isinstance(part, ast.Call) for value in values if value is not None for part in ast.walk(value)):
            self.refuse(node, "attribute", "an attribute of a name that is guarded may not be read by a pattern")
        return node

    def try_(self, node: Any) -> ast.AST:
        expects = any(handler.type is None or names_import_error(handler.type) for handler in node.handlers)
        self.tries_import += expects
        node.body = self.block(node.body)
        self.tries_import -= expects
        self.rewrites_mistakes |= any(handler.type is None for handler in node.handlers[:-1])
        node.handlers = [self.visit(handler) for handler in node.handlers]
        node.orelse = self.block(node.orelse)
        node.finalbody = self.block(node.finalbody)
        return node

    def try_star(self, node: ast.AST) -> ast.AST:
        """CPython takes what the `split` of the exception gives for a pair, whatever it is: a function, and the second
        half of it is what the interpreter keeps there, its builtins (up to 3.12.8 and 3.13.1)."""
        self.refuse(node, "syntax", "except* is not allowed; catch the ExceptionGroup and split() it")
        return node

    def handler(self, node: ast.ExceptHandler) -> ast.AST:
        self.bind(node, node.name)
        if node.type is None or is_base_exception(node.type):
            node.type = CATCHABLE
        elif isinstance(node.type, ast.Tuple) and any(map(is_base_exception, node.type.elts)):
            node.type = CATCHABLE
        else:
            node.type = self.visit(node.type)
        node.body = self.block(node.body)
        return node

    # Imports

    def import_(self, node: ast.Import) -> list[ast.stmt]:
        return [
            self.bound(node, alias.asname or alias.name.partition(".")[0], self.imported(node, alias))
            for alias in node.names
        ]

    def imported(self, node: ast.Import, alias: ast.alias) -> ast.expr:
        self.check_module(node, alias.name)
        args = alias.name, alias.asname is not None, self.tries_import > 0
        return ast.copy_location(call_node(".import", *map(const_node, args)), node)

    def import_from(self, node: ast.ImportFrom) -> list[ast.stmt]:
        module = node.module or ""
        if node.level:
            call = ast.copy_location(call_node(".relative", const_node("." * node.level + module)), node)
            return [ast.copy_location(ast.Expr(value=call, **HERE), node)]
        if module == "__future__":
            self.rewrites_mistakes = True
            return [ast.copy_location(ast.Pass(**HERE), node)]  # it may be all that stands there
        self.check_module(node, module)
        names = [(alias.name, alias.asname or alias.name) for alias in node.names]
        self.strict |= any(name in _CALLS_BY_OPERATOR and name != local for name, local in names)
        if names[0][0] == "*":
            self.rewrites_mistakes |= self.scope != "module"
            if module not in policy.MODULES:
                # Nothing is known of its names: importing it fails, or is refused, when it is reached.
                return [ast.copy_location(ast.Expr(value=self.imported_from(node, module, "*"), **HERE), node)]
            names = [(name, name) for name in starred(module)]
        self.apart |= any(name in policy.SHARED_WITHOUT_ATTRIBUTES for name, _ in names)
        found: list[ast.stmt] = [] if names else [ast.copy_location(ast.Pass(**HERE), node)]
        for name, local in names:
            found.append(self.bound(node, local, self.imported_from(node, module, name)))
        return found

    def imported_from(self, node: ast.ImportFrom, module: str, name: str) -> ast.expr:
        return ast.copy_location(call_node(".from", *map(const_node, (module, name, self.tries_import > 0))), node)

    def check_module(self, node: ast.AST, module: str) -> None:
        """Refuse here what stands at the top of the program; what may never be reached is refused when it is."""
        self.apart |= module not in policy.SHARED
        if node in self.certain and module_rule(module, self.allow_modules) == "refuse":
            self.refuse(node, "module", module_message(module))

    def bound(self, node: ast.AST, local: str, value: ast.expr) -> ast.stmt:
        self.bind(node, local)
        target = ast.Name(id=local, ctx=STORE, **HERE)
        return ast.copy_location(ast.Assign(targets=[target], value=value, **HERE), node)


def _sets_apart(node: ast.Attribute, name: str) -> bool:
    """Whether a program with this attribute, whose name is `name` once mangled, is to have a process of its own."""
    if not name.startswith("_"):
        return name in policy.SHARED_WITHOUT_ATTRIBUTES
    if is_dunder(name):
        return node.ctx.__class__ is not ast.Load or (name != "__name__" and not is_own_init(node))
    return name in library_inner()


def _tick_lambda(node: ast.Lambda, strict: bool) -> None:
    if strict or not calls_nothing(node.body):
        choice = ast.IfExp(test=tick(node), body=node.body, orelse=const_node(None), **HERE)
        node.body = ast.copy_location(choice, node.body)


def _may_be_called(name: str | None) -> bool:
    """Whether a function that becomes an attribute of this name, or has it for its own, runs without being called."""
    return name in policy.DEFINABLE or name in _CALLS_BY_OPERATOR or name in _CALLED_PLAINLY


def _reads_freely(text: object) -> bool:
    """A literal format string that reads no guarded attribute."""
    if type(text) is not str:
        return False
    try:
        return all(load_rule(name) == "free" for name in attributes_read(text))
    except ValueError:
        return True  # format() itself will say so


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
    **{getattr(ast, name): Translator.suspends for name in _SUSPENDING.split()},
    **{getattr(ast, name): Translator.leaf for name in _LEAVES.split()},
    ast.Name: Translator.name,
    ast.Global: Translator.names,
    ast.Nonlocal: Translator.names,
    ast.Attribute: Translator.attribute,
    ast.Assign: Translator.assign,
    ast.AugAssign: Translator.aug_assign,
    ast.AnnAssign: Translator.ann_assign,
    ast.For: Translator.for_,
    ast.AsyncFor: Translator.async_for,
    ast.While: Translator.while_,
    ast.comprehension: Translator.comprehension,
    ast.FunctionDef: Translator.function,
    ast.AsyncFunctionDef: Translator.function,
    ast.Lambda: Translator.lambda_,
    ast.ClassDef: Translator.class_,
    ast.Call: Translator.call,
    ast.Constant: Translator.constant,
    ast.keyword: Translator.keyword,
    ast.MatchClass: Translator.match_class,
    ast.MatchValue: Translator.compared,
    ast.MatchAs: Translator.capture,
    ast.MatchStar: Translator.capture,
    ast.MatchMapping: Translator.capture,
    ast.Try: Translator.try_,
    ast.TryStar: Translator.try_star,
    ast.ExceptHandler: Translator.handler,
    ast.Import: Translator.import_,
    ast.ImportFrom: Translator.import_from,
}

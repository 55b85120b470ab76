"""The part of `translator` for whatever names something: names, attributes, keywords of calls, and texts, which may.

Names that a program may not say are refused, and attributes that it may read of some objects only become calls of the
guard that looks. Names by which functions run unseen make the translation `strict`.
"""

import ast
from typing import TYPE_CHECKING, Any

from sandbox import policy
from sandbox.formats import attributes_read
from sandbox.nodes import HERE, STORE, call_node, const_node, is_own_init, name_node
from sandbox.private import library_inner
from sandbox.rules import is_dunder, load_rule, store_rule
from sandbox.unseen_calls import CALLED_PLAINLY, CALLS_BY_OPERATOR, may_be_called

if TYPE_CHECKING:
    from sandbox.translator import Translator


def name(translator: "Translator", node: ast.Name) -> ast.Name:
    name = node.id
    if name.startswith("__"):
        if node.ctx.__class__ is ast.Load:
            if is_dunder(name) and name not in policy.READABLE_NAMES and not _defined_here(translator, name):
                translator.refuse(node, "name", f"the name {name} is not allowed")
            elif name == "__import__":
                node.id = ".__import__"  # the plain one is for the library's C code
        else:
            translator.bind(node, name)
    elif name.startswith("_sandbox_"):
        translator.bind(node, name)
    elif name in CALLS_BY_OPERATOR:
        translator.strict = True
    elif node.ctx.__class__ is not ast.Load:
        translator.bind(node, name)
    if name in policy.SHARED_WITHOUT_NAMES:
        translator.apart = True
    return node


def _defined_here(translator: "Translator", name: str) -> bool:
    return translator.scope == "class" and name in policy.OPERATOR_METHODS


def names(translator: "Translator", node: Any) -> ast.AST:
    for name in node.names:
        translator.bind(node, name)
    return node


def attribute(translator: "Translator", node: ast.Attribute) -> ast.expr:
    loading = node.ctx.__class__ is ast.Load
    name = translator.mangled(node.attr)
    translator.apart |= sets_apart(node, name)
    rule = load_rule(name) if loading else store_rule(name)
    if loading and is_own_init(node):
        rule = "guard"
    node.value = translator.visit(node.value)
    translator.strict |= not loading and name in CALLED_PLAINLY
    if rule == "free":
        if (not loading and is_dunder(name)) or name in CALLS_BY_OPERATOR:
            translator.strict = True
        return node
    if rule == "guard":
        if name == "format" and isinstance(node.value, ast.Constant) and _reads_freely(node.value.value):
            return node
        return ast.copy_location(call_node(".attr", node.value, const_node(name)), node)
    if rule == "own":
        node.value = ast.copy_location(call_node(".own", node.value, const_node(name)), node)
        return node
    verb = "read" if loading else "set or deleted"
    translator.refuse(node, "attribute", f"the attribute {name} may not be {verb}")
    return node


def sets_apart(node: ast.Attribute, name: str) -> bool:
    """Whether a program with this attribute, whose name is `name` once mangled, is to have a process of its own."""
    if not name.startswith("_"):
        return name in policy.SHARED_WITHOUT_ATTRIBUTES
    if is_dunder(name):
        return node.ctx.__class__ is not ast.Load or (name != "__name__" and not is_own_init(node))
    return name in library_inner()


def _reads_freely(text: object) -> bool:
    """A literal format string that reads no guarded attribute."""
    if type(text) is not str:
        return False
    try:
        return all(load_rule(name) == "free" for name in attributes_read(text))
    except ValueError:
        return True  # format() itself will say so


def aug_assign(translator: "Translator", node: ast.AugAssign) -> ast.AST | list[ast.stmt]:
    target = node.target
    if isinstance(target, ast.Attribute):
        name = translator.mangled(target.attr)
        rule = load_rule(name)
        if rule == "refuse" or (is_dunder(name) and rule != "free"):
            translator.refuse(node, "attribute", f"the attribute {name} may not be read")
        elif rule == "guard":
            return _guarded_aug_assign(translator, node, target)
    return translator.generic(node)


def _guarded_aug_assign(translator: "Translator", node: ast.AugAssign, target: ast.Attribute) -> list[ast.stmt]:
    """`x.obj += y` reads x.obj, which is a guard's to give: the same in three statements."""
    owner, value = (ast.Name(id=name, ctx=STORE, **HERE) for name in (".o", ".v"))
    read = ast.copy_location(call_node(".attr", name_node(".o"), const_node(target.attr)), node)
    place = ast.Attribute(value=name_node(".o"), attr=target.attr, ctx=STORE, **HERE)
    statements: list[ast.stmt] = [
        ast.Assign(targets=[owner], value=translator.visit(target.value), **HERE),
        ast.Assign(targets=[value], value=read, **HERE),
        ast.AugAssign(target=value, op=node.op, value=translator.visit(node.value), **HERE),
        ast.Assign(targets=[place], value=name_node(".v"), **HERE),
    ]
    return [ast.copy_location(statement, node) for statement in statements]


def call(translator: "Translator", node: ast.Call) -> ast.AST:
    if isinstance(node.func, ast.Name) and node.func.id == "type":
        if len(node.args) == 1 and not node.keywords:  # else it may make a class
            node.args[0] = translator.visit(node.args[0])
            return node
        translator.strict |= len(node.args) > 1
    if getattr(node.func, "attr", getattr(node.func, "id", "")) == "namedtuple":
        words = [word for part in node.args if isinstance(part, ast.Constant) for word in str(part.value).split()]
        translator.strict |= not CALLED_PLAINLY.isdisjoint(word.strip(",") for word in words)
    return translator.generic(node)


def constant(translator: "Translator", node: ast.Constant) -> ast.AST:
    if node.value.__class__ is str:
        # The namespace of a class that type() makes, by whatever name, may have a function there; likewise fields.
        translator.strict |= may_be_called(node.value)
    return node


def keyword(translator: "Translator", node: ast.keyword) -> ast.AST:
    translator.strict |= may_be_called(node.arg)
    return translator.generic(node)

"""The pieces of syntax tree that translating puts in, and the questions it asks of those that are there."""

import ast
from typing import Any

from sandbox import policy

_FEW = 8  # items of a loop that is not counted


HERE: dict[str, Any] = {"lineno": 1, "col_offset": 0, "end_lineno": 1, "end_col_offset": 0}
_LOAD, STORE = ast.Load(), ast.Store()


def name_node(identifier: str) -> ast.Name:
    return ast.Name(id=identifier, ctx=_LOAD, **HERE)


def const_node(value: Any) -> ast.Constant:
    return ast.Constant(value=value, **HERE)


def call_node(function: str, *args: ast.expr) -> ast.Call:
    return ast.Call(func=name_node(function), args=list(args), keywords=[], **HERE)


_IT = name_node(".it")
LEFT = name_node(".left")
COMPRESS = name_node(".compress")
CATCHABLE = name_node(".catchable")
_TRUE, _IN = const_node(True), ast.In()


def tick(like: ast.AST) -> ast.Compare:
    """`True in .it`, at the line of what it counts: a step limit is told with that line."""
    return ast.copy_location(ast.Compare(left=_TRUE, ops=[_IN], comparators=[_IT], **HERE), like)


def tick_statement(like: ast.AST) -> ast.Expr:
    return ast.copy_location(ast.Expr(value=tick(like), **HERE), like)


def written_out(node: ast.expr) -> bool:
    """A display of a few items. Not range(3): a program may have its own `range`, and that one never end."""
    if not isinstance(node, ast.Tuple | ast.List | ast.Set) or len(node.elts) > _FEW:
        return False
    return not any(isinstance(item, ast.Starred) for item in node.elts)


def is_own_init(node: ast.Attribute) -> bool:
    """`super().__init__`, which `attributes` holds to the program's own object."""
    call = node.value
    if node.attr != "__init__" or not isinstance(call, ast.Call) or call.args or call.keywords:
        return False
    return isinstance(call.func, ast.Name) and call.func.id == "super"


def is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def is_slots(target: ast.AST) -> bool:
    return isinstance(target, ast.Name) and target.id == "__slots__"


def binds_slots(node: ast.stmt) -> bool:
    """`__slots__ = ...`, also annotated or among other targets."""
    if isinstance(node, ast.AnnAssign):
        return is_slots(node.target) and node.value is not None
    return isinstance(node, ast.Assign) and any(map(is_slots, node.targets))


def plain_special(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) or (isinstance(value, ast.Name) and value.id in policy.OPERATOR_METHODS)


def is_base_exception(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("BaseException", "BaseExceptionGroup")


def names_import_error(node: ast.expr) -> bool:
    wanted = ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")
    return any(isinstance(part, ast.Name) and part.id in wanted for part in ast.walk(node))

"""Where a function's step is counted: before the first statement that could lead to another call.

A leading part that only compares, computes and returns is free, which halves the price of a small recursion
(`if n < 2: return n`). The count stays exact and repeatable: the place depends on the text alone. It cannot hide a
loop: such a part ends after as many operations as it has nodes. Functions that Python calls by itself (special
methods, whatever is decorated) are counted from their first statement, since an operator could lead back to them; so
are all functions of a program in whose text a function may become one (`strict`), or a factory of missing items.
"""

import ast
from collections.abc import Iterable

_FREE = frozenset({
    ast.Name, ast.Constant, ast.Compare, ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.Attribute, ast.Subscript, ast.Slice,
    ast.Tuple, ast.List, ast.Dict, ast.Set, ast.IfExp,
})  # fmt: skip
_FREE_STATEMENTS = frozenset({ast.Pass, ast.Global, ast.Nonlocal, ast.Return, ast.Assign, ast.AugAssign, ast.Expr})


def calls_nothing(node: ast.AST) -> bool:
    """Only names, literals and operators, however deep."""
    for part in ast.walk(node):
        if isinstance(part, ast.expr) and part.__class__ not in _FREE:
            return False
        if isinstance(part, ast.comprehension):
            return False
    return True


def _all_call_nothing(statements: Iterable[ast.stmt]) -> bool:
    for node in statements:
        if node.__class__ is ast.If:
            assert isinstance(node, ast.If)
            if not (calls_nothing(node.test) and _all_call_nothing(node.body) and _all_call_nothing(node.orelse)):
                return False
        elif node.__class__ not in _FREE_STATEMENTS or not calls_nothing(node):
            return False
    return True


def place_tick(body: list[ast.stmt], tick: ast.stmt, strict: bool) -> None:
    """Insert `tick` into a translated function body: first thing when `strict`, else after the free leading part."""
    index = 1 if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) else 0
    while not strict and index < len(body):
        node = _as_if(body[index])
        if _leaves_freely(node):
            assert isinstance(node, ast.If)
            node.orelse, rest = [], node.orelse  # what else may follow, follows anyway
            body[index : index + 1] = [node, *rest]
        elif not _all_call_nothing([node]):
            break
        index += 1
    else:
        if not strict:
            return  # the whole function calls nothing
    body.insert(index, tick)


def _leaves_freely(node: ast.stmt) -> bool:
    """An `if` whose test and body call nothing, and whose body ends the function."""
    return (
        isinstance(node, ast.If)
        and node.body[-1].__class__ is ast.Return
        and calls_nothing(node.test)
        and _all_call_nothing(node.body)
    )


def _as_if(node: ast.stmt) -> ast.stmt:
    """`return a if test else b`, where only `b` calls something, as an if statement; any other as it is."""
    if not isinstance(node, ast.Return) or not isinstance(node.value, ast.IfExp):
        return node
    choice = node.value
    if calls_nothing(choice) or not (calls_nothing(choice.test) and calls_nothing(choice.body)):
        return node
    first = ast.copy_location(ast.Return(value=choice.body), node)
    second = ast.copy_location(ast.Return(value=choice.orelse), node)
    return ast.copy_location(ast.If(test=choice.test, body=[first], orelse=[second]), node)

"""Which calls the tests will surely make, read off their code, so that all of them can be asked for in one frame.

A call is foreseen only where asking early cannot be told from asking in turn: its arguments are literals, it is the
first thing its test evaluates and the only call of the entry point there, every other name in the test is a builtin
or the data set's own, and all tests before it are of the same kind.
"""

import ast
from collections.abc import Sequence, Set
from typing import Any


def foreseen_calls(tests: Sequence[ast.Module | None], names: Set[str], known: Set[str]) -> list[list[Any]]:
    """The literal arguments of the calls that the leading tests make, one list per test.

    `names` are what the entry point is called, `known` the names that are looked up on the judge's side.
    """
    calls: list[list[Any]] = []
    for tree in tests:
        arguments = None if tree is None else _only_call(tree, names, known)
        if arguments is None:
            break
        calls.append(arguments)
    return calls


def bound_names(tree: ast.Module | None) -> set[str]:
    """The names that a module's top level defines, imports or assigns."""
    bound: set[str] = set()
    for statement in tree.body if tree is not None else []:
        for node in ast.walk(statement):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                bound.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                bound.add(node.id)
            elif isinstance(node, ast.alias):
                bound.add((node.asname or node.name).split(".")[0])
    return bound


def _only_call(tree: ast.Module, names: Set[str], known: Set[str]) -> list[Any] | None:
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.Assert):
        return None
    used = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    if sum(name in names for name in used) != 1 or set(used) - known - names:
        return None
    call = _first_call(tree.body[0].test, names)
    if call is None or call.keywords:
        return None
    try:
        return [ast.literal_eval(argument) for argument in call.args]
    except (ValueError, TypeError, RecursionError, MemoryError):
        return None


def _first_call(node: ast.expr, names: Set[str]) -> ast.Call | None:
    """The entry point's call when it is what `node` evaluates first."""
    while True:
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in names:
                return node
            case ast.Call(func=ast.Attribute(value=ast.expr() as inner)) if not isinstance(inner, ast.Name):
                node = inner
            case ast.Call(args=[first, *_]):
                node = first
            case ast.Compare(left=first) | ast.BinOp(left=first) | ast.UnaryOp(operand=first):
                node = first
            case ast.BoolOp(values=[first, *_]) | ast.Subscript(value=first) | ast.Attribute(value=first):
                node = first
            case _:
                return None

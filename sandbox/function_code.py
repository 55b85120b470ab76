"""The code of functions of the tests': where each of them stands in their texts, and which names it uses."""

import ast
import dis
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType
from typing import Any

_LOADS = ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL")
_SETS = ("DELETE_GLOBAL", "IMPORT_NAME", "LOAD_BUILD_CLASS")
_NESTED = 0x10  # a flag of code that stands in a function's

Definition = ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef


@lru_cache(maxsize=64)
def definition(code: CodeType, texts: tuple[str, ...]) -> Definition | None:
    """The `lambda` or `def` that has this code. Two that have it differ in what the function itself says, if at all."""
    for text in texts:
        for node, own in _functions(text):
            if _first_line(node) != code.co_firstlineno:
                continue
            made = _compiled(node, _imports(ast.parse(text)), code.co_freevars) if code.co_freevars else own
            if made is not None and _same(code, made):
                return node
    return None


def _first_line(node: Definition) -> int:
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return decorators[0].lineno if decorators else node.lineno


@lru_cache(maxsize=256)
def _functions(text: str) -> list[tuple[Definition, CodeType | None]]:
    """The functions that stand in the text, and their code if nothing is around them."""
    try:
        tree = ast.parse(text)
        before, nodes = _imports(tree), list(ast.walk(tree))
        return [(node, _compiled(node, before)) for node in nodes if isinstance(node, Definition)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _imports(tree: ast.Module) -> str:
    """Lines that import what the text does, or anything else by these names."""
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [alias.asname or alias.name.partition(".")[0] for node in imports for alias in node.names]
    return "".join(f"import {name}\n" for name in names if name != "*")


def _compiled(node: Definition, imports: str, around: tuple[str, ...] = ()) -> CodeType | None:
    """Its code in a function that has the names `around`; None where it needs others.

    CPython calls attributes of what the same text imports in a way of its own.
    """
    if isinstance(node, ast.Lambda):
        bare: ast.stmt = ast.Expr(node)
    else:
        bare = type(node)(node.name, node.args, node.body, [], None)
    # With its lines as they are: CPython leaves a place to stop at for one that has no more than `try:`.
    made = ast.fix_missing_locations(ast.copy_location(bare, node))
    if around:
        (outer,) = ast.parse(f"def around({', '.join(around)}): pass").body
        vars(outer)["body"] = [made]
        made = outer
    module = ast.Module([*ast.parse(imports).body, made], [])
    try:
        code = _inner(compile(module, "<function>", "exec", dont_inherit=True, optimize=0))[-1]
    except SyntaxError:
        return None
    return _inner(code)[-1] if around else code


def _inner(code: CodeType) -> list[CodeType]:
    return [value for value in code.co_consts if isinstance(value, CodeType)]


def _same(one: CodeType, other: CodeType) -> bool:
    return _described(one) == _described(other) and all(map(_same, _inner(one), _inner(other)))


def _described(code: CodeType) -> tuple[Any, ...]:
    constants = [repr(value) for value in code.co_consts if not isinstance(value, CodeType)]
    counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & ~_NESTED
    return code.co_name, code.co_code, code.co_names, code.co_varnames, constants, counts


@lru_cache(maxsize=64)
def globals_of(code: CodeType) -> list[str]:
    """The names that it looks up outside itself; one that no text can have for what it does otherwise."""
    return list(dict.fromkeys(_looked_up(code)))


def _looked_up(code: CodeType) -> Iterator[str]:
    for step in dis.get_instructions(code):
        if step.opname in _LOADS:
            yield step.argval
        elif step.opname in _SETS:
            yield ""
    for inner in _inner(code):
        yield from _looked_up(inner)


def locals_of(code: CodeType) -> set[str]:
    """The names that it and the functions in it have themselves."""
    return {name for one in _every(code) for name in (*one.co_varnames, *one.co_cellvars)}


def _every(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in _inner(code):
        yield from _every(inner)

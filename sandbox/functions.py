"""Functions that tests hand to a program, as texts that make the same functions there.

What crosses is a function of the library that programs have too, or one of the tests' own that needs nothing else of
theirs: a `lambda` or a `def` without a closure, of which every global is a builtin or a module. Any other would have to
run in the judge, where a program could call it as often and with whatever it likes.
"""

import ast
import builtins
import dis
import importlib
import random
from collections.abc import Iterator
from functools import lru_cache
from types import BuiltinFunctionType, CodeType, FunctionType, MethodDescriptorType, ModuleType
from typing import Any

from sandbox import policy
from sandbox.codec import FUNCTION
from sandbox.library_values import TYPES

_LIBRARY = ("math", "operator")
_BUILTINS = frozenset(policy.BUILTINS) | {"print"}
_LOADS = ("LOAD_GLOBAL", "LOAD_NAME")
_SETS = ("STORE_GLOBAL", "DELETE_GLOBAL", "IMPORT_NAME", "LOAD_BUILD_CLASS")
_NESTED = 0x10  # a flag of code that stands in a function's
_PLAIN = (type(None), bool, int, float, str)


def text_of(value: Any, texts: tuple[str, ...]) -> str | None:
    """A module's text in which this function is `FUNCTION`; None if there is none. `texts` are those of the tests.

    What a test changed of it since, but for its defaults, no text says.
    """
    if type(value) is not FunctionType:
        return _library().get(id(value)) if isinstance(value, BuiltinFunctionType | MethodDescriptorType) else None
    if value.__closure__ or vars(value) or value.__name__ != value.__code__.co_name:
        return None
    own = _own(value.__code__, texts)
    lines = [_line(name, value, texts) for name in _globals(value.__code__)] if own else [None]
    made = None if own is None or None in lines else _written(own, value)
    return None if made is None else "\n".join([*filter(None, lines), made])


def _written(node: ast.Lambda | ast.FunctionDef, function: FunctionType) -> str | None:
    """The text of the function with its defaults as they are: what they were written as may be another value there."""
    given, named = function.__defaults__ or (), function.__kwdefaults__ or {}
    if not all(type(default) in _PLAIN and default == default for default in (*given, *named.values())):
        return None
    if len(given) > len(node.args.posonlyargs) + len(node.args.args):
        return None
    parts = dict(ast.iter_fields(node.args))
    parts["defaults"] = list(map(ast.Constant, given))
    parts["kw_defaults"] = [ast.Constant(named[one.arg]) if one.arg in named else None for one in node.args.kwonlyargs]
    if isinstance(node, ast.Lambda):
        return f"{FUNCTION} = {_unparsed(ast.Lambda(ast.arguments(**parts), node.body))}"
    kinds = {name: _annotation(kind) for name, kind in function.__annotations__.items()}
    for part in ("posonlyargs", "args", "kwonlyargs"):
        parts[part] = [ast.arg(one.arg, kinds.get(one.arg)) for one in parts[part]]
    for part in ("vararg", "kwarg"):
        parts[part] = parts[part] and ast.arg(parts[part].arg, kinds.get(parts[part].arg))
    made = ast.FunctionDef(node.name, ast.arguments(**parts), node.body, [], kinds.get("return"))
    return f"{_unparsed(made)}\n{FUNCTION} = {node.name}"


def _unparsed(node: ast.AST) -> str:
    return ast.unparse(ast.fix_missing_locations(node))


def _annotation(kind: Any) -> ast.Name | None:
    """One that a program may ask for, where it is a builtin: others are left out."""
    name = getattr(kind, "__name__", "")
    return ast.Name(name) if name in TYPES and vars(builtins).get(name) is kind else None


def _line(name: str, function: FunctionType, texts: tuple[str, ...]) -> str | None:
    """What a text of the function's must begin with for this global of its; None where nothing does."""
    found = function.__globals__.get(name, function)
    if isinstance(found, ModuleType) and found.__name__ in policy.MODULES:
        seeded = found is random and any("seed" in text for text in texts)  # it means the tests' chance
        return None if seeded or name == FUNCTION else f"import {found.__name__} as {name}"
    known = name == function.__name__ or (name in _BUILTINS and name not in function.__globals__)
    return "" if found is function and known else None


@lru_cache(maxsize=1)
def _library() -> dict[int, str]:
    found = {id(vars(builtins)[name]): f"{FUNCTION} = {name}" for name in _BUILTINS if name in vars(builtins)}
    for kind in TYPES.values():
        for name, value in vars(kind).items():
            if vars(builtins).get(kind.__name__) is kind and isinstance(value, MethodDescriptorType):
                found[id(value)] = f"{FUNCTION} = {kind.__name__}.{name}"
    for room in _LIBRARY:
        module = importlib.import_module(room)
        names = [name for name in policy.MODULES[room] if hasattr(module, name)]
        found |= {id(getattr(module, name)): f"from {room} import {name} as {FUNCTION}" for name in names}
    return found


@lru_cache(maxsize=64)
def _own(code: CodeType, texts: tuple[str, ...]) -> ast.Lambda | ast.FunctionDef | None:
    """The `lambda` or `def` that has this code. Two that have it differ in what the function itself says, if at all."""
    for text in texts:
        for node, own in _functions(text):
            if node.lineno == code.co_firstlineno and _same(code, own):
                return node
    return None


@lru_cache(maxsize=256)
def _functions(text: str) -> list[tuple[ast.Lambda | ast.FunctionDef, CodeType]]:
    """The functions that stand in the text, and their code."""
    try:
        tree = ast.parse(text)
        imports = [node for node in tree.body if isinstance(node, ast.Import)]
        names = [alias.asname or alias.name.partition(".")[0] for node in imports for alias in node.names]
        before = "".join(f"import {name}\n" for name in names)
        nodes = list(ast.walk(tree))
        return [(node, _compiled(node, before)) for node in nodes if isinstance(node, ast.Lambda | ast.FunctionDef)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _compiled(node: ast.Lambda | ast.FunctionDef, imports: str) -> CodeType:
    """CPython calls attributes of what the same text imports in a way of its own."""
    if isinstance(node, ast.Lambda):
        bare: ast.stmt = ast.Expr(ast.Lambda(_bare(node.args), node.body))
    else:
        bare = ast.FunctionDef(node.name, _bare(node.args), node.body, [], None)
    # With its lines as they are: CPython leaves a place to stop at for one that has no more than `try:`.
    made = ast.fix_missing_locations(ast.copy_location(bare, node))
    module = ast.Module([*ast.parse(imports).body, made], [])
    return _inner(compile(module, "<function>", "exec", dont_inherit=True, optimize=0))[-1]


def _bare(args: ast.arguments) -> ast.arguments:
    """Without what runs where the function is made."""
    parts = dict(ast.iter_fields(args))
    for part in ("posonlyargs", "args", "kwonlyargs"):
        parts[part] = [ast.arg(one.arg) for one in parts[part]]
    for part in ("vararg", "kwarg"):
        parts[part] = parts[part] and ast.arg(parts[part].arg)
    return ast.arguments(**parts | {"defaults": [], "kw_defaults": [None] * len(args.kwonlyargs)})


def _inner(code: CodeType) -> list[CodeType]:
    return [value for value in code.co_consts if isinstance(value, CodeType)]


def _same(one: CodeType, other: CodeType) -> bool:
    return _described(one) == _described(other) and all(map(_same, _inner(one), _inner(other)))


def _described(code: CodeType) -> tuple[Any, ...]:
    constants = [repr(value) for value in code.co_consts if not isinstance(value, CodeType)]
    counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & ~_NESTED
    return code.co_name, code.co_code, code.co_names, code.co_varnames, constants, counts


@lru_cache(maxsize=64)
def _globals(code: CodeType) -> list[str]:
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

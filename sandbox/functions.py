"""Functions that tests hand to a program, as texts that make the same functions there.

What crosses is a function of the library that programs have too, or one of the tests' own that needs nothing else of
theirs: a `lambda` or a `def` without a closure, of which every global is a builtin or a module. Any other would have to
run in the judge, where a program could call it as often and with whatever it likes.
"""

import ast
import builtins
import dis
import importlib
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
    """A module's text in which this function is `FUNCTION`; None if there is none. `texts` are those of the tests."""
    if type(value) is not FunctionType:
        return _library().get(id(value)) if isinstance(value, BuiltinFunctionType | MethodDescriptorType) else None
    defaults = (*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values())
    if value.__closure__ or not all(type(default) in _PLAIN for default in defaults):
        return None
    own = _own(value.__code__, texts)
    lines = [_line(name, value) for name in _globals(value.__code__)] if own else [None]
    return None if None in lines else "\n".join([*filter(None, lines), str(own)])


def _line(name: str, function: FunctionType) -> str | None:
    """What a text of the function's must begin with for this global of its; None where nothing does."""
    found = function.__globals__.get(name, function)
    if isinstance(found, ModuleType) and found.__name__ in policy.MODULES:
        return f"import {found.__name__} as {name}"
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
def _own(code: CodeType, texts: tuple[str, ...]) -> str | None:
    """The text of the `lambda` or `def` that has this code."""
    for text in texts:
        for line, made in _functions(text):
            if line == code.co_firstlineno and _same(code, made[1]):
                return made[0]
    return None


@lru_cache(maxsize=256)
def _functions(text: str) -> list[tuple[int, tuple[str, CodeType]]]:
    """Where in the text a function stands, a text that makes it, and its code."""
    try:
        tree = ast.parse(text)
        imports = [node for node in tree.body if isinstance(node, ast.Import)]
        names = [alias.asname or alias.name.partition(".")[0] for node in imports for alias in node.names]
        before = "".join(f"import {name}\n" for name in names)
        nodes = list(ast.walk(tree))
        return [(node.lineno, _made(node, before)) for node in nodes if isinstance(node, ast.Lambda | ast.FunctionDef)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _made(node: ast.Lambda | ast.FunctionDef, imports: str) -> tuple[str, CodeType]:
    """CPython calls attributes of what the same text imports in a way of its own."""
    if isinstance(node, ast.Lambda):
        text = f"{FUNCTION} = {ast.unparse(node)}"
    else:
        node.decorator_list, node.returns = [], None
        for part in ast.walk(node.args):
            if isinstance(part, ast.arg):
                part.annotation = None
        text = f"{ast.unparse(node)}\n{FUNCTION} = {node.name}"
    return text, _inner(compile(imports + text, "<function>", "exec", dont_inherit=True, optimize=0))[-1]


def _inner(code: CodeType) -> list[CodeType]:
    return [value for value in code.co_consts if isinstance(value, CodeType)]


def _same(one: CodeType, other: CodeType) -> bool:
    return _described(one) == _described(other) and all(map(_same, _inner(one), _inner(other)))


def _described(code: CodeType) -> tuple[Any, ...]:
    constants = [repr(value) for value in code.co_consts if not isinstance(value, CodeType)]
    counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & ~_NESTED
    return code.co_code, code.co_names, code.co_varnames, constants, counts


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

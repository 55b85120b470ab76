"""Which calls the tests will make, read off their bytecode, so that all can be asked for in one frame.

A call is foreseen where it is the first thing that its test calls, its arguments are built from constants alone, the
test runs straight through, names the entry point once besides in the message of its assertion, every other name in it
is a builtin or the data set's own, and all tests before it are of the same kind or call nothing at all.
Should a test ask the program for more all the same, such as for an attribute of what the call gave, then asking early
could be told from asking in turn: `remote` sees that, and the program is judged anew with nothing foreseen.

Whatever a later Python compiles differently is not recognised: then calls are made in turn, which is only slower.
"""

import re
from collections.abc import Sequence, Set
from opcode import opmap
from types import CodeType
from typing import Any, NoReturn

_MAX_NAMES = 255  # beyond, an instruction's argument takes more than its one byte
_LOAD_NAME, _STORE_NAME, _STORE_ATTR = opmap["LOAD_NAME"], opmap["STORE_NAME"], opmap["STORE_ATTR"]
_STORE_GLOBAL = opmap["STORE_GLOBAL"]
_BUILDING = (
    *("PUSH_NULL", "LOAD_NAME", "LOAD_CONST", "LOAD_SMALL_INT", "BUILD_LIST", "BUILD_TUPLE", "BUILD_SET", "BUILD_MAP"),
    *("BUILD_CONST_KEY_MAP", "LIST_EXTEND", "SET_UPDATE", "LIST_APPEND", "MAP_ADD", "UNARY_NEGATIVE", "EXTENDED_ARG"),
)
_TURNING = (
    *("JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT", "FOR_ITER", "MAKE_FUNCTION", "LOAD_BUILD_CLASS"),
    *("STORE_NAME", "DELETE_NAME", "STORE_GLOBAL", "LOAD_GLOBAL", "IMPORT_NAME", "LOAD_LOCALS", "PUSH_EXC_INFO"),
)


def _class_of(names: Sequence[str]) -> bytes:
    codes = bytes(opmap[name] for name in names if name in opmap)
    return b"[" + re.escape(codes) + b"]"


# Opcodes only, without their arguments; zeros are the interpreter's inline caches.
_PREFIX = re.compile(
    re.escape(bytes([opmap.get("RESUME", 0)]))
    + b"((?:%s\0*)+)" % _class_of(_BUILDING)
    + b"(?:%s\0*)?" % _class_of(("PRECALL",) if "PRECALL" in opmap else ("CALL",))
    + _class_of(("CALL",)),
    re.DOTALL,
)
# What an assertion runs only to say why it failed.
_MESSAGE = re.compile(_class_of(("LOAD_ASSERTION_ERROR",)) + b".*?" + _class_of(("RAISE_VARARGS",)), re.DOTALL)
_TURNS = re.compile(_class_of(_TURNING), re.DOTALL)


class _Called(Exception):
    """The entry point was called, with these arguments."""


def _record(*args: Any) -> NoReturn:
    raise _Called(args)


def foreseen_calls(tests: Sequence[CodeType | str], names: Set[str], known: Set[str]) -> list[list[Any] | None]:
    """The arguments of the calls that the leading tests make, one list per test, None for a test that calls nothing.

    A test is its code or an error.
    `names` are what the entry point is called, `known` the names that are looked up on the judge's side.
    """
    calls: list[list[Any] | None] = []
    for code in tests:
        if isinstance(code, str):
            break
        arguments = _only_call(code, names, known)
        if arguments is None and not _calls_nothing(code):
            break
        calls.append(arguments)
    return calls


def _calls_nothing(code: CodeType) -> bool:
    """Such as `assert True`."""
    return not code.co_names and not any(isinstance(value, CodeType) for value in code.co_consts)


def asks_the_program(setup: CodeType | str, names: Set[str], known: Set[str]) -> bool:
    """Whether the setup may call the program before the tests do: then nothing can be asked for early."""
    if isinstance(setup, str) or len(setup.co_names) > _MAX_NAMES:
        return True
    loads = {setup.co_names[number] for number in _arguments(setup.co_code, _LOAD_NAME)}
    return bool(loads & names or loads - known) or any(_names_any(one, names) for one in setup.co_consts)


def _names_any(code: object, names: Set[str]) -> bool:
    if not isinstance(code, CodeType):
        return False
    return not names.isdisjoint(code.co_names) or any(_names_any(one, names) for one in code.co_consts)


def bound_names(code: CodeType | str) -> set[str]:
    """The names that a module's top level defines, imports or assigns."""
    if isinstance(code, str) or len(code.co_names) > _MAX_NAMES:
        return set()
    return {code.co_names[number] for number in _arguments(code.co_code, _STORE_NAME)}


def set_attributes(code: CodeType) -> set[str]:
    """The names of the attributes that this code sets, but not the functions in it."""
    if len(code.co_names) > _MAX_NAMES:
        return set()
    return {code.co_names[number] for number in _arguments(code.co_code, _STORE_ATTR)}


def set_globals(code: CodeType) -> set[str]:
    """The names that this code declares global and sets, but not the functions in it."""
    if len(code.co_names) > _MAX_NAMES:
        return set()
    return {code.co_names[number] for number in _arguments(code.co_code, _STORE_GLOBAL)}


def _arguments(text: bytes, operation: int) -> list[int]:
    """The argument of every instruction of that kind in some bytecode, in their order."""
    found: list[int] = []
    at = text.find(operation)
    while at >= 0:
        if at % 2 == 0:
            found.append(text[at + 1])
        at = text.find(operation, at + 1)
    return found


def _only_call(code: CodeType, names: Set[str], known: Set[str]) -> list[Any] | None:
    operations = code.co_code[::2]
    prefix = _PREFIX.match(operations)
    if prefix is None or _TURNS.search(operations) or len(code.co_names) > _MAX_NAMES:
        return None
    message = _MESSAGE.search(operations)
    text = code.co_code if message is None else code.co_code[: 2 * message.start()] + code.co_code[2 * message.end() :]
    loads = [code.co_names[number] for number in _arguments(code.co_code, _LOAD_NAME)]
    asked = [code.co_names[number] for number in _arguments(text, _LOAD_NAME)]
    if sum(name in names for name in asked) != 1 or not set(loads) - names <= known:
        return None
    before = _arguments(code.co_code[: 2 * prefix.end()], _LOAD_NAME)
    if not before or code.co_names[before[-1]] not in names:
        return None  # a name among the arguments
    # Up to its first call the test only builds its arguments: run it that far. Any other name stands for None, so
    # that nothing but the entry point can be called.
    namespace: dict[str, Any] = dict.fromkeys(code.co_names) | dict.fromkeys(names, _record) | {"__builtins__": {}}
    try:
        exec(code, namespace)
    except _Called as call:
        arguments: list[Any] = list(call.args[0])
        return arguments
    except Exception:
        pass
    return None

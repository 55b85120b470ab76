"""What tests ask of a value by functions that look at its class: of a program's object the handle's own would answer.

`type`, `isinstance` and `dataclasses.fields` have C code, or ask for no attribute that a handle could pass on; and a
handle has every special method, whatever the object has. So the tests have functions in their place that ask the
program where they are given one of its objects.
"""

import dataclasses
import inspect
import sys
import types
import typing
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from sandbox import policy
from sandbox.codec import MUTABLE, Uncrossable, type_name
from sandbox.handles import FUNCTIONS, NAMED_BY, Remote
from sandbox.library_values import TYPES

# Of `inspect`, what the program's side answers.
ASKED = (
    "isasyncgen isasyncgenfunction isawaitable isclass iscoroutine iscoroutinefunction isfunction isgenerator "
    "isgeneratorfunction ismethod"
).split()
_OF_BUILTINS = {"builtins": ("classmethod", "memoryview", "property", "staticmethod")}  # of which objects are handles
_OF_DATACLASSES = "asdict astuple fields is_dataclass replace".split()


class _Type:
    """`type`, which is also asked for a metaclass, an annotation, and whether something is one."""

    __slots__ = ()

    def __call__(self, *args: Any, **names: Any) -> Any:
        if len(args) != 1 or names:
            return type(*args, **names)
        (value,) = args
        if isinstance(value, Remote):
            return value._sandbox_link.type_of(value)
        link = getattr(type(value), NAMED_BY, None) if isinstance(value, tuple) else None
        return type(value) if link is None else link.type_of(value)

    def __getattr__(self, name: str) -> Any:
        return getattr(type, name)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (type,)

    def __instancecheck__(self, value: Any) -> Any:
        return value._sandbox_link.ask("isclass", value) if isinstance(value, Remote) else isinstance(value, type)

    def __subclasscheck__(self, kind: Any) -> bool:
        return issubclass(kind, type)

    def __eq__(self, other: object) -> bool:
        return other is self or other is type

    def __hash__(self) -> int:
        return hash(type)

    def __getitem__(self, kind: Any) -> Any:
        return type[kind]

    def __or__(self, other: Any) -> Any:
        return type | other

    def __ror__(self, other: Any) -> Any:
        return other | type

    def __repr__(self) -> str:
        return repr(type)


def _isinstance(value: Any, kind: Any, /) -> Any:
    return _one_of(value, kind, isinstance) if isinstance(value, Remote) else isinstance(value, kind)


def _issubclass(value: Any, kind: Any, /) -> Any:
    return _one_of(value, kind, issubclass) if isinstance(value, Remote) else issubclass(value, kind)


def _one_of(remote: Remote, kind: Any, asked: Callable[[Any, Any], bool]) -> Any:
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        kind = typing.get_args(kind)
    if type(kind) is tuple:
        return any(_one_of(remote, one, asked) for one in kind)
    if kind is object:
        return True
    if isinstance(kind, type(typing.Iterable)):  # typing's name of a class, as it is without brackets
        kind = typing.get_origin(kind)
    if isinstance(kind, type(typing.Protocol)) and getattr(kind, "_is_runtime_protocol", False):
        return all(remote._sandbox_link.ask("hasattr", remote, name) for name in _names_of_protocol(kind))
    question = next((question for one, question in FUNCTIONS.items() if one is kind), None)
    if question is not None and asked is isinstance:
        return remote._sandbox_link.ask(question, remote)
    place = place_of(kind) if isinstance(kind, type) else None
    if place is not None:
        kind = remote._sandbox_link.ask("library", *place)
    elif asked is isinstance or not isinstance(kind, type):
        return asked(remote, kind)
    parts = (kind, remote) if asked is isinstance else (remote, kind)
    return remote._sandbox_link.ask(asked.__name__, *parts)


def place_of(kind: type) -> tuple[str, str] | None:
    """The module and the name by which programs have a class of the library."""
    return next(((module, name) for module, name, found in library_classes(type_name(kind)) if found is kind), None)


def library_classes(name: str) -> list[tuple[str, str, type]]:
    """Those called so that programs and tests have: the module, the name there, and the judge's own."""
    return _library_classes(len(sys.modules)).get(name, [])


@lru_cache(maxsize=1)
def _library_classes(modules: int) -> dict[str, list[tuple[str, str, type]]]:
    """`modules` is how many there are: tests may import more."""
    found: dict[str, list[tuple[str, str, type]]] = {}
    for module, names in (policy.MODULES | _OF_BUILTINS).items():
        for name in names if module in sys.modules else ():
            kind = vars(sys.modules[module]).get(name)
            if isinstance(kind, type):
                found.setdefault(kind.__name__, []).append((module, name, kind))
    return found


def _names_of_protocol(kind: Any) -> list[str]:
    """What an object of such a class has."""
    own: Any = typing
    return sorted(own._get_protocol_attrs(kind))


def _hasattr(value: Any, name: str, /) -> Any:
    """Of what a handle passes on anyway, it is the same question."""
    return value._sandbox_link.ask("hasattr", value, name) if isinstance(value, Remote) else hasattr(value, name)


def _getattr(value: Any, name: str, /, *default: Any) -> Any:
    if isinstance(value, Remote) and default and not _hasattr(value, name):
        return default[0]
    return getattr(value, name, *default)


def _callable(value: Any, /) -> Any:
    return value._sandbox_link.ask("callable", value) if isinstance(value, Remote) else callable(value)


def _refuse(name: str, remote: Remote) -> Uncrossable:
    return Uncrossable(f"a test uses {name} of {remote._sandbox_label}, which cannot cross from the program")


def _dir(*values: Any) -> list[str]:
    for value in values:
        if isinstance(value, Remote):
            raise _refuse("dir", value)
    return dir(*values) if values else sorted(sys._getframe(1).f_locals)


identified: list[Any] = []  # what the test at hand asked the id of, and might give up: the program may not


def _id(value: Any, /) -> int:
    if isinstance(value, Remote) or type(value) in MUTABLE:
        identified.append(value)
    return id(value)


BUILTINS: dict[str, Any] = {
    "type": _Type(),
    "isinstance": _isinstance,
    "issubclass": _issubclass,
    "callable": _callable,
    "hasattr": _hasattr,
    "getattr": _getattr,
    "dir": _dir,
    "id": _id,
}


def _asking(module: str, function: Callable[..., Any], asks: Callable[..., Any] | None) -> Callable[..., Any]:
    """The function itself for what is no handle."""

    def asking(*args: Any, **names: Any) -> Any:
        remote = next((value for value in (*args, *names.values()) if isinstance(value, Remote)), None)
        if remote is None:
            return function(*args, **names)
        if asks is None:
            raise _refuse(f"{module}.{function.__name__}", remote)
        return asks(remote, *args, **names)

    asking.__name__, asking.__doc__ = function.__name__, function.__doc__
    return asking


def _module(original: types.ModuleType, asks: Callable[[str], Callable[..., Any] | None]) -> types.ModuleType:
    module = types.ModuleType(original.__name__, original.__doc__)
    vars(module).update(vars(original))
    for name, value in vars(original).items():
        if isinstance(value, types.FunctionType) and name[:1] != "_":
            vars(module)[name] = _asking(original.__name__, value, asks(name))
    return module


def _of_inspect(name: str) -> Callable[..., Any] | None:
    return (lambda remote, value: remote._sandbox_link.ask(name, value)) if name in ASKED else None


def _of_dataclasses(name: str) -> Callable[..., Any] | None:
    def ask(remote: Remote, *args: Any, **names: Any) -> Any:
        return remote._sandbox_link.ask("library", "dataclasses", name)(*args, **names)

    return ask if name in _OF_DATACLASSES else None


def _evaluated(reference: typing.ForwardRef, *_: Any, **names: Any) -> Any:
    """An annotation may be the program's, and would run here: get_type_hints does it, and so does singledispatch."""
    found = TYPES.get("NoneType" if reference.__forward_arg__ == "None" else reference.__forward_arg__)
    if found is None:
        raise Uncrossable("a test evaluates an annotation that is a string")
    return found


def install() -> None:
    """Make these what tests import."""
    sys.modules["inspect"] = _module(inspect, _of_inspect)
    sys.modules["dataclasses"] = _module(dataclasses, _of_dataclasses)
    reference: Any = typing.ForwardRef
    reference._evaluate = _evaluated

"""The run-time half of the policy: what the rewritten program calls where the text alone does not decide.

A guard judges what came out and not what was asked for: a class that is a metaclass, a `format` method that is str's.
Whatever it will not give ends the program as refused, even if the program catches everything.
"""

import builtins
import functools
import reprlib
from collections.abc import Callable
from typing import Any, NoReturn

from sandbox import policy
from sandbox.attributes import attr, attribute_name, safe_delattr, safe_getattr, safe_hasattr, safe_setattr
from sandbox.classes import TYPE, build_class, own, slots
from sandbox.stops import refuse


def refuser(name: str) -> Callable[..., NoReturn]:
    """A builtin that exists and is not allowed: refused when called."""

    def refused(*args: Any, **keywords: Any) -> NoReturn:
        refuse("builtin", f"the builtin {name} is not allowed")

    refused.__name__ = refused.__qualname__ = name
    return refused


class Namespace:
    """types.SimpleNamespace for programs. The real one is no base of it: that takes any name."""

    def __init__(self, mapping: Any = (), /, **more: Any) -> None:
        names = object.__getattribute__(self, "__dict__")
        for name, value in {**dict(mapping), **more}.items():
            names[attribute_name(self, name)] = value

    @reprlib.recursive_repr("namespace(...)")
    def __repr__(self) -> str:
        if not issubclass(type(self), Namespace):
            raise TypeError(f"expected a SimpleNamespace, found a {type(self).__name__}")
        name = "namespace" if type(self) is Namespace else type(self).__name__
        return f"{name}({', '.join(f'{key}={value!r}' for key, value in self.__dict__.items())})"

    def __eq__(self, other: object) -> bool:
        if issubclass(type(self), Namespace) and issubclass(type(other), Namespace):
            return self.__dict__ == other.__dict__
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]


Namespace.__name__ = Namespace.__qualname__ = "SimpleNamespace"
Namespace.__module__ = "types"


class Forbidden:
    """A name imported from a module that may be imported but not used: refused at the first use."""

    __slots__ = ("_sandbox_name",)
    _sandbox_name: str

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "_sandbox_name", name)

    def _sandbox_refuse(self, *args: Any, **keywords: Any) -> NoReturn:
        refuse("module-name", f"{self._sandbox_name} is not allowed")

    __getattr__ = __setattr__ = __call__ = __iter__ = __getitem__ = __mro_entries__ = _sandbox_refuse
    __instancecheck__ = __subclasscheck__ = __eq__ = __enter__ = __str__ = __or__ = __ror__ = _sandbox_refuse

    def __hash__(self) -> int:
        return 0


def relative_import(name: str) -> NoReturn:
    raise ImportError("attempted relative import with no known parent package")


class CancelledError(BaseException):
    """asyncio.CancelledError: no Exception, or a program's `except Exception` would catch what CPython's does not."""


CancelledError.__module__ = "asyncio.exceptions"
CATCHABLE: tuple[type[BaseException], ...] = (
    Exception, GeneratorExit, KeyboardInterrupt, SystemExit, CancelledError
)  # fmt: skip


@functools.cache
def shared_builtins() -> dict[str, Any]:
    """The part of a program's builtins that is the same in every world."""
    table: dict[str, Any] = {name: getattr(builtins, name) for name in policy.BUILTINS if hasattr(builtins, name)}
    table |= {name: refuser(name) for name in ("breakpoint", "compile", "copyright", "credits", "help", "license")}
    table |= {
        "BaseException": Exception,
        "BaseExceptionGroup": ExceptionGroup,
        "type": TYPE,
        "getattr": safe_getattr,
        "hasattr": safe_hasattr,
        "setattr": safe_setattr,
        "delattr": safe_delattr,
        "exit": sys_exit,
        "quit": sys_exit,
        "__build_class__": build_class,
        "__name__": "builtins",  # the module of a class that exec() makes among names that have no `__name__`
        ".attr": attr,
        ".own": own,
        ".slots": slots,
        ".relative": relative_import,
        ".catchable": CATCHABLE,
    }
    return table


def sys_exit(code: object = None, /) -> NoReturn:
    raise SystemExit(code)

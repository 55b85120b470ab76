"""Exceptions of a program's own classes, as its tests see them in the judge.

A class of exceptions crosses with its bases and becomes a class here, so that `except`, `isinstance` and `issubclass`
mean in a test what they mean in one process. What else of the class or of one of its exceptions a test asks for, the
program answers: they hold handles.
"""

from collections.abc import Callable
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any

from sandbox.codec import Uncrossable
from sandbox.handles import Remote, names_of

MESSAGE_CHARS = 500  # of a name or a message that a program gives: both go into the verdict on every test

OF_PROGRAM = "_sandbox_name"  # what an exception has that the program raised or gave: what it calls the class


class Kind(type):
    """The class of such classes."""

    _sandbox_remote: Remote

    def __new__(cls, name: str, bases: tuple[type, ...], names: dict[str, Any]) -> Any:
        if "_sandbox_remote" not in names:
            raise Uncrossable(f"a test derives a class from {bases[0].__name__}, which cannot cross from the program")
        return super().__new__(cls, name, bases, names)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls._sandbox_remote(*args, **kwargs)

    def __getattr__(cls, name: str) -> Any:
        if name[:2] == "__":  # such as the interpreter looks for
            raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}", name=name, obj=cls)
        return getattr(cls._sandbox_remote, name)

    def __setattr__(cls, name: str, value: Any) -> None:
        setattr(cls._sandbox_remote, name, value)

    def __delattr__(cls, name: str) -> None:
        delattr(cls._sandbox_remote, name)

    def __getitem__(cls, key: Any) -> Any:
        return cls._sandbox_remote.__class_getitem__(key)

    def __instancecheck__(cls, value: object) -> bool:
        if isinstance(value, Remote):
            return bool(value._sandbox_link.ask("isinstance", cls._sandbox_remote, value))
        return type.__instancecheck__(cls, value)


def kind_of(name: str, bases: tuple[type, ...], remote: Remote) -> Any:
    """A class of that name below these; TypeError or ValueError where there can be none."""
    held = {
        name: _asked(name)
        for base in bases
        for above in base.__mro__
        for name, value in vars(above).items()
        if isinstance(value, GetSetDescriptorType | MemberDescriptorType) and name[:2] != "__"
    }
    return Kind(name, bases, held | _NAMES | {"_sandbox_remote": remote})


def one_of(kind: Any, remote: Remote, args: Any = (), message: str | None = None) -> BaseException:
    """One of that class, with the program's own behind it; without arguments or a message, the program is asked."""
    error: BaseException = kind.__new__(kind)
    names_of(error)["_sandbox_own"] = remote
    names_of(error)[OF_PROGRAM] = kind.__name__
    if args:
        names_of(error)["_sandbox_args"] = tuple(args)
    if message is not None and len(message) < MESSAGE_CHARS:  # what is longer may have been cut
        names_of(error)["_sandbox_message"] = message
    return error


def remote_of(value: Any) -> Remote | None:
    """What stands behind a class or an exception of the program's; None of anything else."""
    if type(value) is Kind:
        return value._sandbox_remote
    return names_of(value).get("_sandbox_own") if isinstance(value, BaseException) else None


def name_by_program(value: Any) -> str | None:
    """What the program calls the class of an exception that came from it; None of anything else."""
    return names_of(value).get(OF_PROGRAM) if isinstance(value, BaseException) else None


def _own(error: BaseException) -> Any:
    remote = names_of(error).get("_sandbox_own")
    if remote is None:  # it is being made
        raise AttributeError(f"{type(error).__name__!r} object has nothing yet")
    return remote


def _text(error: BaseException) -> Any:
    message = names_of(error).get("_sandbox_message")
    return str(_own(error)) if message is None else message


def _args(error: BaseException) -> Any:
    args = names_of(error).get("_sandbox_args")
    return _own(error).args if args is None else args


def _attribute(error: BaseException, name: str) -> Any:
    if name[:2] == "__" and name != "__notes__":  # such as the interpreter looks for
        raise AttributeError(f"{type(error).__name__!r} object has no attribute {name!r}", name=name, obj=error)
    return getattr(_own(error), name)


def _set(error: BaseException, name: str, value: Any) -> None:
    if name[:2] == "__":  # such as the library sets: __traceback__
        object.__setattr__(error, name, value)
        return
    if name == "args":
        names_of(error).pop("_sandbox_args", None)
    names_of(error).pop("_sandbox_message", None)
    setattr(_own(error), name, value)


def _formatted(error: BaseException, how: str) -> str:
    _own(error)._sandbox_apart((), "__format__")
    return object.__format__(error, how)


def _asked(name: str) -> Any:
    """What a built-in base has by this name, the program's exception has, or the class of it."""
    return property(lambda error: getattr(_own(error), name))


def _as_handle(name: str) -> Callable[..., Any]:
    """A special method: that of a handle, for whatever is an exception of the program's."""
    method = getattr(Remote, name)

    def special(error: BaseException, *others: Any) -> Any:
        return method(_own(error), *(remote_of(other) or other for other in others))

    return special


_OTHERS = "getattr setattr delattr str format slots module doc init del new mro_entries instancecheck subclasscheck"
_NAMES: dict[str, Any] = {
    name: _as_handle(name)
    for name, value in vars(Remote).items()
    if name[:2] == "__" and callable(value) and name[2:-2] not in _OTHERS.split()
}
_NAMES |= {
    "__getattr__": _attribute,
    "__setattr__": _set,
    "__delattr__": lambda error, name: delattr(_own(error), name),
    "__str__": _text,
    "__format__": _formatted,
    "__dict__": _asked("__dict__"),
    "args": property(_args),
}

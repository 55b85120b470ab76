"""Exceptions of a program's own classes, as its tests see them in the judge.

A class of exceptions crosses with its bases and becomes a class here, so that `except`, `isinstance` and `issubclass`
mean in a test what they mean in one process. What else of the class or of one of its exceptions a test asks for, the
program answers: they hold handles.
"""

from typing import Any

from sandbox.codec import Uncrossable
from sandbox.handles import Remote

_MOST_CHARS = 500


class Kind(type):
    """The class of such classes."""

    _sandbox_remote: Remote

    def __new__(cls, name: str, bases: tuple[type, ...], names: dict[str, Any]) -> Any:
        if "_sandbox_remote" not in names:
            raise Uncrossable(f"a test derives a class from {bases[0].__name__}, which cannot cross from the program")
        return super().__new__(cls, name, bases, names)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        remote = cls._sandbox_remote(*args, **kwargs)
        return one_of(cls, remote.args, str(remote), remote) if isinstance(remote, Remote) else remote

    def __getattr__(cls, name: str) -> Any:
        if name[:2] == "__":  # such as the interpreter looks for
            raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}", name=name, obj=cls)
        return getattr(cls._sandbox_remote, name)

    def __instancecheck__(cls, value: object) -> bool:
        if isinstance(value, Remote):
            return bool(value._sandbox_link.ask("isinstance", cls._sandbox_remote, value))
        return type.__instancecheck__(cls, value)


def kind_of(name: str, bases: tuple[type, ...], remote: Remote) -> Any:
    """A class of that name below these; TypeError or ValueError where there can be none."""
    names = {"_sandbox_remote": remote, "__str__": _text, "__repr__": _shown, "__getattr__": _attribute}
    return Kind(name, bases, names)


def one_of(kind: Any, args: Any, message: str, remote: Remote) -> BaseException:
    """One of that class, with the program's own behind it."""
    try:
        error = type.__call__(kind, *args)
    except Exception:  # its base wants other arguments, as UnicodeDecodeError does
        error = kind.__new__(kind, *args)
    vars(error)["_sandbox_own"] = remote
    if len(message) < _MOST_CHARS:  # what is longer may have been cut
        vars(error)["_sandbox_message"] = message
    return error


def remote_of(value: Any) -> Remote | None:
    """What stands behind a class or an exception of the program's; None of anything else."""
    if type(value) is Kind:
        return value._sandbox_remote
    return vars(value).get("_sandbox_own") if type(type(value)) is Kind else None


def _text(error: BaseException) -> Any:
    message = vars(error).get("_sandbox_message")
    return str(vars(error)["_sandbox_own"]) if message is None else message


def _shown(error: BaseException) -> Any:
    return repr(vars(error)["_sandbox_own"])


def _attribute(error: BaseException, name: str) -> Any:
    if name[:2] == "__" or "_sandbox_own" not in vars(error):  # such as the interpreter looks for
        raise AttributeError(f"{type(error).__name__!r} object has no attribute {name!r}", name=name, obj=error)
    return getattr(vars(error)["_sandbox_own"], name)

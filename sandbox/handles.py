"""What stands in a test for an object of the candidate's: each use of it is a question to the other process.

Comparisons and operators are not asked of the program: it would see the expected value, and may answer what it likes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from types import FrameType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, NoReturn

from sandbox.codec import BINARY, LAZY, UNARY, Uncrossable
from sandbox.library_values import STATES

if TYPE_CHECKING:
    from sandbox.remote import Link

# No name that a program can give anything: what else is asked of a handle is the program's to answer.
_PRIVATE = ("_sandbox_link", "_sandbox_number", "_sandbox_label")
_DOC: Any = property(lambda self: self.__getattr__("__doc__"))
_SLOTS: Any = property(lambda self: self.__getattr__("__slots__"))


NAMED_BY = "_sandbox_named_by"  # the link, where a class of named tuples stands for one of the program's
# What tells whether an object is of one of these classes, of which `type` cannot give the program's.
FUNCTIONS: dict[Any, str] = {FunctionType: "isfunction", MethodType: "ismethod"}
TEST = "<test>"  # the file that the code of tests is said to be of


# The names of an exception, whatever its class says that they are.
names_of: Callable[[BaseException], dict[str, Any]] = BaseException.__dict__["__dict__"].__get__


class Ended(BaseException):
    """The program can answer no more; the link's `final` says why. Not an Exception, so that few tests catch it."""


def attributes_of_kind(label: str) -> dict[str, Any]:
    """What a class of handles has that is called `label`."""
    lazy = {"__class__": LAZY[label]} if label in LAZY else {}
    return {"__slots__": (), "__doc__": _DOC} | lazy


def of_the_answer() -> bool:
    """Is this use of a handle what a ChainMap, UserDict or UserList, which a program may give, makes of its contents?

    Then the program chose it, and could choose it against any test that has a dictionary to compare with.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != TEST:
        if type(frame.f_locals.get("self")) in STATES:
            return True
        frame = frame.f_back
    return False


def expects(name: str) -> bool:
    """Does the code of tests that is running name this class of exceptions?"""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == TEST and name in frame.f_code.co_names:
            return True
        frame = frame.f_back
    return False


class Awaited:
    """What can be awaited, of a generator that does so."""

    def __init__(self, steps: Generator[Any, Any, Any]) -> None:
        self._steps = steps

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._steps


class Remote:
    """A handle on an object of the candidate's that does not cross by value; equal to nothing but itself.

    A test of a class that defines operators says nothing: neither of two of its objects, nor of one object of a class
    that the test names.
    """

    __slots__ = (*_PRIVATE, "__weakref__")

    def __init__(self, link: Link, number: int, label: str) -> None:
        for name, value in zip(_PRIVATE, (link, number, label), strict=True):
            object.__setattr__(self, name, value)

    def __del__(self) -> None:
        self._sandbox_link.drop(self)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._sandbox_link.call(self, args, kwargs)

    def _sandbox_apart(self, others: tuple[Any, ...], *names: str) -> None:
        """Uncrossable where the program's class defines one of these for what is done."""
        if self._sandbox_is_meant(others):
            for name in names:
                if self._sandbox_link.ask("defines", self, name):
                    raise self._sandbox_uncrossable(name)

    def _sandbox_is_meant(self, others: tuple[Any, ...]) -> bool:
        """Does the test mean the program's class, by name or by what it does with these?"""
        link = self._sandbox_link
        if not (others and all(isinstance(one, Remote) for one in others)) and not link.names(self._sandbox_label):
            return False
        return not (link.reading() or of_the_answer())

    def _sandbox_uncrossable(self, name: str) -> Uncrossable:
        return Uncrossable(f"a test uses {name} of {self._sandbox_label}, which cannot cross from the program")

    def __hash__(self) -> int:
        return self._sandbox_link.hash_of(self)

    def __eq__(self, other: object) -> Any:
        if other is self:
            return True
        self._sandbox_apart((other,), "__eq__")
        return NotImplemented

    def __contains__(self, value: Any) -> bool:
        """As the items say. Where the class that is meant says otherwise by a method of its own, nobody knows."""
        own = self._sandbox_is_meant((value,)) and self._sandbox_link.ask("defines", self, "__contains__")
        if own and not self._sandbox_link.ask("defines", self, "__iter__"):  # what is no sequence may have __getitem__
            raise self._sandbox_uncrossable("__contains__")
        try:
            items = iter(self)
        except TypeError:
            raise TypeError(f"argument of type {self._sandbox_label!r} is not iterable") from None
        said = own and bool(self.__getattr__("__contains__")(value))
        found = any(item is value or item == value for item in items)
        if own and said is not found:
            raise self._sandbox_uncrossable("__contains__")
        return found

    def __format__(self, how: str) -> str:
        self._sandbox_apart((), "__format__")
        return object.__format__(self, how)

    def __reversed__(self) -> Any:
        return self._sandbox_link.ask("reversed", self)

    def __enter__(self) -> Any:
        if not self._sandbox_link.ask("defines", self, "__enter__"):
            raise TypeError(f"{self._sandbox_label!r} object does not support the context manager protocol")
        return self.__getattr__("__enter__")()

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> Any:
        """No assertion that has failed is the program's to handle."""
        return None if isinstance(error, AssertionError | Ended) else self.__getattr__("__exit__")(kind, error, None)

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._sandbox_link.until_done("await", self)

    def __aiter__(self) -> Any:
        return self._sandbox_link.ask("aiter", self)

    async def __anext__(self) -> Any:
        return await Awaited(self._sandbox_link.until_done("anext", self))

    async def __aenter__(self) -> Any:
        return await Awaited(self._sandbox_link.until_done("aenter", self))

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> Any:
        if isinstance(error, AssertionError | Ended):
            return None
        return await Awaited(self._sandbox_link.until_done("aexit", self, kind, error))

    def __delattr__(self, name: str) -> None:
        self._sandbox_link.ask("delattr", self, name)

    def __delitem__(self, key: Any) -> None:
        self._sandbox_link.ask("delitem", self, key)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> NoReturn:
        raise Uncrossable(f"a test derives a class from {self._sandbox_label}, which cannot cross from the program")

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise Uncrossable(f"a test copies a {self._sandbox_label}, which cannot cross from the program")

    def __getattr__(self, name: str) -> Any:
        return self._sandbox_link.attribute(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._sandbox_link.ask("setattr", self, name, value)

    def __getitem__(self, key: Any) -> Any:
        return self._sandbox_link.ask("getitem", self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._sandbox_link.ask("setitem", self, key, value)

    def __instancecheck__(self, value: Any) -> Any:
        own = isinstance(value, BaseException) and "_sandbox_own" in names_of(value)
        if not own and not isinstance(value, Remote) and (not isinstance(value, tuple) or type(value) is tuple):
            return False  # it came as a value, which is none of a class that the program made but for named tuples
        return self._sandbox_link.ask("isinstance", self, value)

    def __subclasscheck__(self, kind: Any) -> Any:
        """CPython would look among the bases for this very handle, and the entry point is no other's."""
        own = isinstance(kind, Remote) or "_sandbox_remote" in type.__dict__["__dict__"].__get__(kind)
        return own and self._sandbox_link.ask("issubclass", kind, self)

    def __len__(self) -> Any:
        return self._sandbox_link.ask("len", self)

    def __bool__(self) -> Any:
        return self._sandbox_link.ask("bool", self)

    def __str__(self) -> Any:
        return self._sandbox_link.ask("str", self)

    def __repr__(self) -> Any:
        return self._sandbox_link.ask("repr", self)

    def __iter__(self) -> Any:
        """The program's own iterator: a test may ask whether it is what it walks, or of which class."""
        return self._sandbox_link.ask("iter", self)

    def __next__(self) -> Any:
        return self._sandbox_link.ask("next", self)


def _binary(*names: str) -> Callable[[Remote, Any], Any]:
    def operator(self: Remote, other: Any) -> Any:
        self._sandbox_apart((other,), *names)
        return NotImplemented

    return operator


def _unary(name: str) -> Callable[..., Any]:
    def operator(self: Remote, *others: Any) -> Any:
        self._sandbox_apart((), name)
        raise TypeError(f"bad operand type for {name}: {self._sandbox_label!r}")

    return operator


for _name in "lt le gt ge".split():
    setattr(Remote, f"__{_name}__", _binary(f"__{_name}__"))
for _name in "add sub mul truediv floordiv mod divmod pow matmul and or xor lshift rshift".split():
    setattr(Remote, f"__{_name}__", _binary(f"__{_name}__", f"__i{_name}__"))
    setattr(Remote, f"__r{_name}__", _binary(f"__r{_name}__"))
for _name in UNARY:
    setattr(Remote, f"__{_name}__", _unary(f"__{_name}__"))


def _has_items(value: tuple[Any, ...]) -> bool:
    return tuple.__len__(value) > 0


_ASKED = {"__str__": "str", "__repr__": "repr", "__len__": "len", "__bool__": "bool"}
_COMPARISONS = frozenset(f"__{name}__" for name in "lt le gt ge eq ne hash".split())


def operation_of_named(link: Link, label: str, kind: type, name: str) -> Callable[..., Any]:
    """What the judge's class of named tuples does where the program's, called `label`, does it in a way of its own.

    The program is asked as it is of a handle. What it is not asked is no evidence; but a comparison, unless the test
    means the class, is a tuple's: most tests compare the answer, and the program would choose what is evidence.
    """
    if name == "__call__":
        return lambda value, /, *args, **keywords: link.attribute(value, name)(*args, **keywords)
    plain: Any = getattr(kind, name, _has_items if name == "__bool__" else None)

    def operation(value: Any, /, *others: Any) -> Any:
        if not (link.reading() or of_the_answer()):
            if name in _ASKED:
                return link.ask(_ASKED[name], value)
            if name not in _COMPARISONS or link.names_derived(label):
                raise Uncrossable(f"a test uses {name} of {label}, which cannot cross from the program")
        if plain is not None:
            return plain(value, *others)
        if name[2:-2] in BINARY:
            return NotImplemented
        raise TypeError(f"bad operand type for {name}: {label!r}")

    return operation


class Entry(Remote):
    """The function under test, looked up by name in the program at every call."""

    __slots__ = ()

    def __del__(self) -> None:
        """It has no number."""

    def __hash__(self) -> int:
        """A function's, or a class's, which has none of its own."""
        return object.__hash__(self)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        link = self._sandbox_link
        if link.prefetched is not None:
            return link.fetch(args)
        return link.call(self._sandbox_label, args, kwargs)


for _kind in (Remote, Entry):
    _kind.__doc__ = _DOC  # a test may ask for the function's
    _kind.__slots__ = _SLOTS

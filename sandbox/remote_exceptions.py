"""Exceptions that a program and its tests both have: each is the same object wherever it comes up again.

Those of the program's own classes have handles behind them (`exceptions`); of the others both sides have one each, with
the same arguments. Numbers of such as the tests handed in are inverted, and so below 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from sandbox.codec import Malformed, Tree, Unpacker
from sandbox.exceptions import MESSAGE_CHARS, OF_PROGRAM, Kind, kind_of, one_of
from sandbox.handles import names_of
from sandbox.library_values import are_plain, plain_args, with_tuples
from sandbox.raised import made, nearest, said
from sandbox.shared import references

if TYPE_CHECKING:
    from sandbox.remote import Link

MOST_CLASSES = 1_000  # made for one program's values: each takes some time and memory


class Exceptions:
    """Those of one program and its tests, in the judge."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._kinds: dict[int, Any] = {}  # the program's own classes, by the numbers of handles on them
        self._own: WeakValueDictionary[int, Any] = WeakValueDictionary()  # of these
        self._given: dict[int, BaseException] = {}  # values of built-in classes that came from the program
        self._lent: dict[int, BaseException] = {}  # exceptions of such classes that the tests handed in
        self._lent_numbers: dict[int, int] = {}  # by their ids
        self._lendings = 0
        self._told: dict[int, tuple[Any, ...]] = {}  # their arguments, as the program knows them

    def clear(self) -> None:
        for held in (self._kinds, self._own, self._given, self._lent, self._lent_numbers, self._told):
            held.clear()

    def drop_ended(self) -> None:
        """Of exceptions that nobody else holds any more."""
        lent = list(self._lent.values())
        for number, count in zip(tuple(self._lent), references(lent), strict=True):
            if count == 1:  # that in `_lent`
                del self._lent_numbers[id(self._lent.pop(number))]
                self._told.pop(number, None)
                self.link.dropped.add(~number)

    def changed(self) -> list[Tree]:
        """Exceptions that the tests handed in and gave other arguments since."""
        changed = [error for number, error in self._lent.items() if error.args is not self._told.get(number)]
        return [tree for tree in map(self.lent_tree, changed) if tree is not None]

    def raised(self, names: Tree, message: Tree, args: Tree, own: Tree, unpacker: Unpacker) -> BaseException:
        """What the candidate raised, with its arguments where they cross: of its class, or of the nearest known."""
        if type(message) is not str or type(names) is not list or set(map(type, names)) != {str}:
            raise Malformed("an exception without names")
        values = unpacker.unpack_all(args)
        tree, number = own or (None, None)
        if tree is not None:
            kind = unpacker.unpack(tree)
            if type(number) is not int or type(kind) is not Kind:
                raise Malformed("an exception of no class")
            return self.own(number, kind, values, message) if _can_be_shown(kind, values) else RuntimeError(message)
        if number is not None and not self.link.hollow and (known := self._known(number)) is not None:
            if values and number >= 0:  # an update says it of one that the tests handed in
                _set_args(known, values)
            return known
        return self._like(names, message, values or [message] * (message != ""))  # or they did not cross

    def _like(self, names: list[str], message: str, values: list[Any]) -> BaseException:
        """One of the nearest class that is known, or of one below it that has the name."""
        name, kind = names[0][:MESSAGE_CHARS], nearest(names)
        if not _can_be_shown(kind, values):
            return RuntimeError(message)
        if name == kind.__name__:
            return made(kind, values) or RuntimeError(message)
        error = made(self.link.class_for(name, kind, {"__str__": said}), values) or RuntimeError(message)
        if len(message) < MESSAGE_CHARS:  # what is longer may have been cut
            vars(error)["_sandbox_message"] = message
        return error

    def own(self, number: int, kind: Any, args: Any = (), message: str | None = None) -> BaseException:
        """An exception of a class of the program's: the same one each time, as long as the tests hold it."""
        known: BaseException | None = self._own.get(number)
        if known is not None and type(known) is kind:
            return known
        error = one_of(kind, self.link.handle(number, kind.__name__), args, message)
        self._own[number] = error
        return error

    def built_in(self, number: int, names: list[str], tree: list[Any]) -> BaseException:
        """One of the built-in class with these names: always the same, since nothing tells when it ends."""
        args = with_tuples(tree)
        if not are_plain(args):
            raise Malformed("an exception of other arguments")
        known = self._known(number)
        if known is not None:
            _set_args(known, args)
        else:
            kind = nearest(names)
            if issubclass(kind, UnicodeError):  # whatever its arguments: they may be set later
                raise Malformed("an exception of other arguments")
            known = made(kind, list(args)) or kind.__new__(kind)
            names_of(known)[OF_PROGRAM] = names[0][:MESSAGE_CHARS]
            if number < 0:  # the one that the tests handed in has ended, and this is whatever the program says
                self._lent[~number], self._lent_numbers[id(known)] = known, ~number
            else:
                names_of(known)["_sandbox_own"] = self.link.handle(number, names[0])
                self._given[number] = known
        if number < 0:
            self._told[~number] = known.args
        return known

    def _known(self, number: Any) -> BaseException | None:
        """The exception of a built-in class that the tests have by this number; below 0 is one that they handed in."""
        if type(number) is not int or ~number >= self._lendings:
            raise Malformed("an exception of no number")
        return self._given.get(number) if number >= 0 else self._lent.get(~number)

    def lent_tree(self, error: BaseException) -> Tree:
        """One that the program gets; None where it is no such one."""
        args = plain_args(error)
        if args is None or _has_more(error):
            return None
        number = self._lend(error)
        self._told[number] = error.args
        return ["e", number, [base.__name__ for base in type(error).__mro__], args]

    def _lend(self, error: BaseException) -> int:
        """Its number, by which the program gives it back."""
        number = self._lent_numbers.setdefault(id(error), self._lendings)
        if number == self._lendings:
            self._lent[number] = error
            self._lendings += 1
        return number

    def kind(self, number: int, name: str, bases: list[Any]) -> type:
        """A class of exceptions of the program's: the same one each time, or no test could catch what is raised."""
        if number not in self._kinds:
            found = tuple(nearest(base) if type(base) is list else base for base in bases)
            remote = self.link.handle(number, "type")
            for few in (found, found[:1], (Exception,)):  # no class may have all of them, or that name
                try:
                    self._kinds[number] = kind_of(name, few, remote)
                    break
                except (TypeError, ValueError):
                    continue
            if len(self._kinds) > MOST_CLASSES:
                self.link.end("output_limit", f"values of more than {MOST_CLASSES} classes")
        return self._kinds[number]


def _has_more(error: BaseException) -> bool:
    """Has the test given it what its arguments do not say: attributes, notes, or the name of a file?"""
    named = isinstance(error, OSError) and error.filename is not None
    return named or any(name[:9] != "_sandbox_" for name in names_of(error))


def _can_be_shown(kind: type, values: list[Any]) -> bool:
    """Of a UnicodeError at a place below 0 CPython would read what lies before the text in our memory."""
    return not (issubclass(kind, UnicodeError) and any(type(value) is int and value < 0 for value in values))


def _set_args(error: BaseException, args: Sequence[Any]) -> None:
    """The program may have changed them; by what they look like, since True is not 1."""
    if are_plain(args) and repr(error.args) != repr(tuple(args)):
        error.args = tuple(args)

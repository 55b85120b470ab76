"""Mutable containers that a test and the program both hold: one on each side, and the two change as if they were one.

Each request brings what the test changed of them since the last answer, each answer what the program changed. Both
sides number them in one order: those that were there, those of the request, those of the answer. An answer says which
of them the program still holds, the next request which of these the test does, and the others are forgotten: what is
handed in for one call, or given away, costs nothing later.
"""

import gc
import operator
import sys
from array import array
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any

from sandbox.codec import Packer, Tree, Unpacker, items_of, update_pairs
from sandbox.library_values import STATES, array_text, read_array, set_state, state

# What is compared at every exchange: so many items, each container being some, which takes either side half a
# millisecond; and as long as there were not that many comparisons in all, a twentieth of what is left of them.
_ROOM, _EACH = 10_000, 100
_WORK, _AT_ONCE = 10_000_000, 20
_MOST_LENT = 100
_STEPS = 10**8  # items to set one by one in a deque, times its length
# A container's number, and how many of its first and of its last items stayed; of a dict how many of its first keys.
Change = tuple[int, int, int]
Snapshot = list[Any] | bytes


def snapshot(value: Any) -> Snapshot:
    """The items of a container as they are now; of a dict its keys and values in turn. Runs nothing of a subclass's."""
    kind = type(value)
    if issubclass(kind, list):
        return list(list.__iter__(value))
    if issubclass(kind, dict):
        return [half for pair in items_of(value) for half in pair]
    if issubclass(kind, set):
        return list(set.__iter__(value))
    if issubclass(kind, deque):
        return list(deque.__iter__(value))
    if kind in STATES:
        return [state(value)]
    return [] if kind is float else bytes(memoryview(value))  # a NaN, numbered to stay the object that it is


def is_as_before(old: Snapshot, new: Snapshot) -> bool:
    """Are these the very same items, in the same order? By identity: no method of a candidate's object is asked."""
    if isinstance(old, bytes):
        return old == new
    return len(old) == len(new) and all(map(operator.is_, old, new))


def changes(before: list[Snapshot], objects: list[Any]) -> list[Change]:
    """Which containers no longer hold what they held."""
    found = []
    for number, old in enumerate(before):
        new = snapshot(objects[number])
        if not is_as_before(old, new):
            found.append((number, *_stayed(objects[number], old, new)))
    return found


def _stayed(value: Any, old: Snapshot, new: Snapshot) -> tuple[int, int]:
    """How many of the first and of the last items are the same as before.

    These need not cross, and are on the other side what they were: a tuple the same one. Only where both sides have
    the items in one order. Of a dict these are keys: nor do they leave their places, or loops over them would fail.
    """
    if issubclass(type(value), dict):
        return _alike(old[::2], new[::2][: len(old) // 2]), 0
    if not issubclass(type(value), list | deque):
        return 0, 0
    most = min(len(old), len(new))
    first = _alike(old[:most], new[:most])
    rest = most - first
    return first, _alike(old[len(old) - rest :][::-1], new[len(new) - rest :][::-1])


def _alike(old: Snapshot, new: Snapshot) -> int:
    same = map(operator.is_, old, new)
    return next((number for number, alike in enumerate(same) if not alike), min(len(old), len(new)))


def update(packer: Packer, change: Change) -> Tree:
    """What the other side needs to have its container hold what ours does."""
    number, first, last = change
    value = packer.objects[number]
    kind = type(value)
    if issubclass(kind, array):
        items = [array_text(value)]
    elif kind in STATES:
        items = [packer.pack(state(value))]
    elif issubclass(kind, dict):
        pairs = list(items_of(value))
        items = [*packer.pack_all([one for _, one in pairs[:first]]), *packer.pack_pairs(pairs[first:])]
    elif issubclass(kind, set):
        items = packer.pack_keys(list(set.__iter__(value)))
    else:
        new = list(snapshot(value))
        items = packer.pack_all(new[first : len(new) - last])
    return [number, first, last, items]


def fill(unpacker: Unpacker, change: Tree) -> int:
    """Give one of our containers the contents that its twin has; its number. IndexError, TypeError or ValueError of a
    change that no packer makes."""
    number, first, last, trees = change
    if not all(type(one) is int and one >= 0 for one in (number, first, last)):
        raise TypeError("a change of no number")
    target: Any = unpacker.objects[number]
    kind = type(target)
    items = unpacker.unpack_all(trees)
    if issubclass(kind, list | deque):
        old = list(snapshot(target))
        if first + last > len(old):
            raise ValueError("a change that keeps more than there is")
        items = [*old[:first], *items, *old[len(old) - last :]]
    if issubclass(kind, list):
        list.__setitem__(target, slice(None), items)
    elif issubclass(kind, deque):
        _fill_deque(target, items, first, len(items) - last)
    elif issubclass(kind, bytearray):
        bytearray.__setitem__(target, slice(None), bytes(items))
    elif issubclass(kind, array):
        array.__setitem__(target, slice(None), read_array(target.typecode, *items))
    elif issubclass(kind, dict):
        _fill_dict(target, items, first)
    elif issubclass(kind, set):
        set.clear(target)
        set.update(target, items)
    else:
        set_state(target, *items)
    return int(number)


def _fill_deque(target: "deque[Any]", items: list[Any], start: int, stop: int) -> None:
    """Items replaced by others are set in their places: it has not changed for who loops over it."""
    if len(items) == deque.__len__(target) and (stop - start) * len(items) <= _STEPS:
        for place in range(start, stop):
            deque.__setitem__(target, place, items[place])
    else:
        deque.clear(target)
        deque.extend(target, items)


def _fill_dict(target: dict[Any, Any], items: list[Any], first: int) -> None:
    """So many of the keys stay, in their places; `items` are their values, and then pairs."""
    base: Any = OrderedDict if isinstance(target, OrderedDict) else dict
    keys = list(base.keys(target))
    if first > min(len(keys), len(items)):
        raise ValueError("a change that keeps more than there is")
    pairs = list(zip(items[first::2], items[first + 1 :: 2], strict=True))
    if first < len(keys):
        base.clear(target)
    update_pairs(target, [*zip(keys, items[:first], strict=False), *pairs])


def held(objects: list[Any], answer: list[Any]) -> list[int]:
    """The numbers of those that somebody holds besides these two lists, others of them that nobody does, and tuples in
    either. One that holds itself counts as held."""
    counts = references(objects)
    numbers = {id(value): number for number, value in enumerate(objects)}
    loose = [answer, *(value for value, count in zip(objects, counts, strict=True) if not count)]
    for one in loose:
        inside = gc.get_referents(one)
        for item in inside:
            number = numbers.get(id(item))
            if number is not None:
                counts[number] -= 1
            if not counts[number] if number is not None else type(item) is tuple and sys.getrefcount(item) == _IN_ONE:
                loose.append(item)
    return [number for number, count in enumerate(counts) if count]


def references(objects: list[Any]) -> list[int]:
    """How often each is referred to besides by this list."""
    return [sys.getrefcount(value) - _ALONE for value in objects]


_ALONE = 0
(_ALONE,) = references([object()])
_IN_ONE = 4  # by what it is in, by the list of what is in there, by a variable, and for the question


@dataclass(slots=True, eq=False)
class _Twin:
    """A container in the judge, of which the program has one as well, by its number there.

    `given`: it came from the program. `before`: what it held when the two were alike.
    """

    value: Any
    number: int
    given: bool
    before: Snapshot | None = None


class Twins:
    """The judge's side: containers that the program holds too.

    `changed` is what the test changed of them since the last answer. `lent` are containers of the program's that are
    too large to be kept alike, as they came: changing them does not reach the program.
    """

    def __init__(self) -> None:
        self.changed: list[Change] = []
        self.lent: list[tuple[Any, Snapshot]] = []
        self._all: list[_Twin] = []
        self._work = _WORK

    def forget(self) -> None:
        self._all.clear()

    def objects(self) -> list[Any]:
        return [twin.value for twin in self._all]

    def numbers(self) -> list[int]:
        """Those that they have on the other side until it is told that it may forget the others."""
        return [twin.number for twin in self._all]

    def look(self) -> None:
        """Before a request: see what the test changed, and forget what it did not and holds no more."""
        self._compare()
        changed = {place: stayed for place, *stayed in self.changed}
        twins, self._all, self.changed = self._all, [], []
        for place, twin in enumerate(twins):
            twins[place] = None  # type: ignore[call-overload]  # it may be all that holds a later one
            if place in changed:
                first, last = changed[place]
                self.changed.append((len(self._all), first, last))
            if place in changed or sys.getrefcount(twin.value) > _ASKED:
                self._all.append(twin)

    def _compare(self) -> None:
        before = [[] if twin.before is None else twin.before for twin in self._all]
        self.changed = changes(before, self.objects()) if before else []

    def part(self, place: int) -> None:
        """What the test put there cannot cross: from now on each side has its own."""
        twin = self._all.pop(place)
        self._lend(twin, twin.before)
        self._compare()

    def told(self) -> None:
        """The request is made: both sides number them anew, and the other knows what changed."""
        for place, twin in enumerate(self._all):
            twin.number = place
        for place, *_ in self.changed:
            self._all[place].before = None

    def settle(self, objects: list[Any], sent: int, filled: list[int], held: list[int]) -> None:
        """After an answer: `objects` are they and what came after them, of which so many were `sent`.

        Those that the program holds stay, as many as may be compared at every exchange.
        """
        known, numbers = len(self._all), {number for number in held if type(number) is int}
        for place in filled:
            if place < known:
                self._all[place].before = None
        self._all = [twin for twin in self._all if twin.number in numbers]
        new = sorted(number for number in numbers if known <= number < len(objects))
        self._all += [_Twin(objects[number], number, number >= sent) for number in new]
        room = most = max(_ROOM, self._work // _AT_ONCE)
        for twin in self._all:
            if twin.before is None and _size(twin.value) < room:
                twin.before = snapshot(twin.value)
            room -= 0 if twin.before is None else len(twin.before) + _EACH
            if room < 0:
                twin.before = None
            if twin.before is None and _size(twin.value) < most:
                self._lend(twin, snapshot(twin.value))
        self._all = [twin for twin in self._all if twin.before is not None]
        self._work -= most - max(room, 0)

    def _lend(self, twin: _Twin, before: Snapshot | None) -> None:
        if twin.given and before is not None and len(self.lent) < _MOST_LENT:
            self.lent.append((twin.value, before))

    def lent_changed(self) -> bool:
        """Has the test changed what only in the program would have had an effect?"""
        return not all(is_as_before(before, snapshot(value)) for value, before in self.lent)


_one = _Twin(object(), 0, False)
_ASKED = sys.getrefcount(_one.value)


def _size(value: Any) -> int:
    return 1 if type(value) in STATES or type(value) is float else len(value)

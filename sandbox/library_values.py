"""The part of `codec` for values of the library's types: numbers, dates, arrays, slices, views of dicts, and classes.

`PACK` and `UNPACK` are by type and by tag; what the reading functions raise of a tree that no packer makes, `codec`
takes for that. `STATES` are the types of which nothing but one attribute crosses: whatever a program sets it to, the
library's own methods then make of it what they make of it in one process.
"""

import builtins
import gc
from abc import ABCMeta
from array import array
from collections import ChainMap, Counter, OrderedDict, UserDict, UserList, defaultdict, deque
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType, NoneType
from typing import TYPE_CHECKING, Any

from sandbox.guards import CancelledError

if TYPE_CHECKING:
    from sandbox.codec import Packer, Tree, Unpacker

_LARGEST_EXPONENT = 10**5
_LARGE = 1 << 53  # ints beyond it may be written otherwise
STATES: dict[Any, str] = {ChainMap: "maps", UserDict: "data", UserList: "data"}
_STATE_TAGS: dict[Any, str] = {ChainMap: "X", UserDict: "U", UserList: "W"}
_VIEWS: dict[type, str] = {
    type(getattr(kind(), name)()): name for kind in (dict, OrderedDict) for name in ("keys", "values", "items")
}
VIEWS = frozenset(_VIEWS)
_MOMENTS: dict[Any, str] = {
    datetime: "year month day hour minute second microsecond tzinfo fold",
    time: "hour minute second microsecond tzinfo fold",
}
_IN_TEXT = frozenset({"u", "w"})  # arrays of characters, of which not every item would be one
# Types that are themselves on both sides, as arguments of functions that sort values by type. BaseException is not: no
# program has it.
TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        *(bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, range, NoneType),
        *(Counter, OrderedDict, defaultdict, deque, ChainMap, UserDict, UserList, array, Fraction, Decimal),
        *(date, datetime, time, timedelta, timezone),
        *(kind for kind in vars(builtins).values() if isinstance(kind, type) and issubclass(kind, Exception)),
        *(GeneratorExit, KeyboardInterrupt, SystemExit, CancelledError),
    )
}
_TYPE_NAMES = {kind: name for name, kind in TYPES.items()}


def exact(base: Any, value: Any) -> Any:
    """`value`, an instance of a subclass of `base`, as an exact `base`; runs none of the subclass's own methods."""
    if base is Fraction:
        top, bottom = (getattr(Fraction, name).__get__(value) for name in ("_numerator", "_denominator"))
        return Fraction(int.__int__(top), int.__int__(bottom))
    if base is Decimal:
        return Decimal(Decimal.__str__(value))
    if base is array:
        return array(fields(array, value, "typecode")[0], bytes(memoryview(value)))
    if base in _MOMENTS:
        *parts, fold = fields(base, value, _MOMENTS[base])
        return base(*parts, fold=fold)
    if base is date:
        return date(*fields(base, value, "year month day"))
    return timedelta(*fields(base, value, "days seconds microseconds"))


def plain_args(value: Any) -> list[Any] | None:
    """Of an exception of a built-in class, with lists for tuples, where nothing else makes it what it is."""
    kind = type(value)
    if not issubclass(kind, Exception | CancelledError) or issubclass(kind, UnicodeError):
        return None
    if TYPES.get(kind.__name__) is not kind:
        return None
    return _with_lists(value.args) if are_plain(value.args) else None


def are_plain(values: Iterable[Any], depth: int = 3) -> bool:
    """Are they constants and short tuples of such?"""
    return all(
        type(one) in (str, float, bool, NoneType)
        or (type(one) is int and abs(one) < _LARGE)
        or (type(one) is tuple and depth > 0 and len(one) < 10 and are_plain(one, depth - 1))
        for one in values
    )


def _with_lists(values: tuple[Any, ...]) -> list[Any]:
    return [_with_lists(one) if type(one) is tuple else one for one in values]


def with_tuples(values: list[Any]) -> tuple[Any, ...]:
    """What `plain_args` made lists of."""
    return tuple(with_tuples(one) if type(one) is list else one for one in values)


def fields(base: type, value: Any, names: str) -> list[Any]:
    return [getattr(base, name).__get__(value) for name in names.split()]


def hex_int(value: int) -> "Tree":
    """An int of any size: JSON's decimal digits are capped by the interpreter, and slow."""
    return value if -(1 << 63) < value < (1 << 63) else ["I", hex(value)]


def state(value: Any) -> Any:
    """The one attribute of a value of one of `STATES`; None where a program took it away."""
    return vars(value).get(STATES[type(value)])


def set_state(value: Any, found: Any) -> None:
    vars(value)[STATES[type(value)]] = found


def viewed(view: Any) -> Any:
    """The dictionary itself that a view or a proxy is of: its `mapping` would be another object."""
    (found,) = gc.get_referents(view)
    return found


def array_text(value: "array[Any]") -> str:
    return value.tounicode() if value.typecode in _IN_TEXT else value.tobytes().decode("latin-1")


def read_array(typecode: Any, text: str) -> "array[Any]":
    return array(typecode, text if typecode in _IN_TEXT else text.encode("latin-1"))


def _pack_time(packer: "Packer", value: time) -> "Tree":
    if not _fixed(value.tzinfo):
        return packer.foreign(value)
    parts = (value.hour, value.minute, value.second, value.microsecond)
    time(*parts)  # ValueError: one of a pickled state may have an hour 255, which no other side could make
    return ["m", *parts, packer.pack(value.tzinfo), value.fold]


def _pack_datetime(packer: "Packer", value: datetime) -> "Tree":
    if not _fixed(value.tzinfo):
        return packer.foreign(value)
    parts = (value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)
    datetime(*parts)  # as above
    return ["w", *parts, packer.pack(value.tzinfo), value.fold]


def _pack_date(packer: "Packer", value: date) -> "Tree":
    parts = (value.year, value.month, value.day)
    date(*parts)  # as above
    return ["d", *parts]


def _fixed(zone: Any) -> bool:
    """Is it no zone, or one that says the same of every time? Any other runs a program's methods."""
    return zone is None or type(zone) is timezone


def _pack_zone(packer: "Packer", value: timezone) -> "Tree":
    return ["z", *packer.pack_all(value.__getinitargs__())]  # type: ignore[attr-defined]  # (offset,) or with a name


def _pack_range(packer: "Packer", value: range) -> "Tree":
    return ["N", *map(hex_int, (value.start, value.stop, value.step))]


def _pack_slice(packer: "Packer", value: slice) -> "Tree":
    parts = (value.start, value.stop, value.step)
    if not {NoneType, int}.issuperset(map(type, parts)):
        return packer.foreign(value)
    return ["l", *packer.pack_all(parts)]


def _pack_decimal(packer: "Packer", value: Decimal) -> "Tree":
    if packer.bounded and value.is_finite() and not -_LARGEST_EXPONENT < value.adjusted() < _LARGEST_EXPONENT:
        return packer.foreign(value)
    return ["M", str(value)]


def _pack_fraction(packer: "Packer", value: Fraction) -> "Tree":
    top, bottom = int.__int__(value.numerator), int.__int__(value.denominator)
    return ["R", hex(top), hex(bottom)] if bottom else packer.foreign(value)  # a program may set its parts


def _pack_type(packer: "Packer", value: type) -> "Tree":
    return ["k", _TYPE_NAMES[value]] if value in _TYPE_NAMES else packer.foreign(value)


def _pack_state(packer: "Packer", value: Any) -> "Tree":
    return [_STATE_TAGS[type(value)], packer.pack(state(value))]


def _pack_view(packer: "Packer", value: Any) -> "Tree":
    return ["v", _VIEWS[type(value)], packer.pack(viewed(value))]


def _pack_proxy(packer: "Packer", value: Any) -> "Tree":
    mapping = viewed(value)
    if not isinstance(mapping, dict):
        return packer.foreign(value)
    if not packer.bounded and id(mapping) not in packer.numbers:
        mapping = dict(mapping)  # that of a class of the tests' is not the program's to change
    return ["p", packer.pack(mapping)]


PACK: dict[type, Callable[["Packer", Any], "Tree"]] = {
    range: _pack_range,
    slice: _pack_slice,
    Fraction: _pack_fraction,
    Decimal: _pack_decimal,
    datetime: _pack_datetime,
    date: _pack_date,
    time: _pack_time,
    timedelta: lambda p, v: ["u", v.days, v.seconds, v.microseconds],
    timezone: _pack_zone,
    array: lambda p, v: ["a", v.typecode, array_text(v)],
    type: _pack_type,
    ABCMeta: _pack_type,
    **dict.fromkeys(STATES, _pack_state),
    **dict.fromkeys(VIEWS, _pack_view),
    MappingProxyType: _pack_proxy,
}


def _unpack_range(u: "Unpacker", tree: "Tree") -> range:
    start, stop, step = u.unpack_all(tree[1:])
    return range(start, stop, step)


def _unpack_slice(u: "Unpacker", tree: "Tree") -> slice:
    start, stop, step = u.unpack_all(tree[1:])
    if not {NoneType, int}.issuperset(map(type, (start, stop, step))):
        raise TypeError("a slice of anything but numbers")
    return slice(start, stop, step)


def _unpack_moment(u: "Unpacker", tree: "Tree", kind: type) -> Any:
    _, *parts, zone, fold = tree
    zone = u.unpack(zone)
    if set(map(type, parts)) != {int} or not _fixed(zone):
        raise TypeError("a date or time of anything but numbers")  # a pickled state may be one that is none
    return kind(*parts, zone, fold=fold)


def _unpack_zone(u: "Unpacker", tree: "Tree") -> timezone:
    offset, *name = u.unpack_all(tree[1:])
    return timezone(offset, *name)


def _unpack_state(u: "Unpacker", tree: "Tree", kind: Any) -> Any:
    value = u.numbered(kind.__new__(kind))
    set_state(value, u.unpack(tree[1]))
    return value


def _unpack_view(u: "Unpacker", tree: "Tree") -> Any:
    _, name, mapping = tree
    mapping = u.unpack(mapping)
    if name not in _VIEWS.values() or not isinstance(mapping, dict):
        raise TypeError("a view of no dictionary")
    u.viewing = True
    return getattr(mapping, name)()


def _unpack_proxy(u: "Unpacker", tree: "Tree") -> Any:
    mapping = u.unpack(tree[1])
    if not isinstance(mapping, dict):
        raise TypeError("a proxy of no dictionary")
    return MappingProxyType(mapping)


UNPACK: dict[str, Callable[["Unpacker", "Tree"], Any]] = {
    "N": _unpack_range,
    "l": _unpack_slice,
    "R": lambda u, t: Fraction(int(t[1], 16), int(t[2], 16)),
    "M": lambda u, t: Decimal(t[1]),
    "w": lambda u, t: _unpack_moment(u, t, datetime),
    "d": lambda u, t: date(t[1], t[2], t[3]),  # of one part it would make a date that is none, as pickle may
    "m": lambda u, t: _unpack_moment(u, t, time),
    "u": lambda u, t: timedelta(*t[1:4]),
    "z": _unpack_zone,
    "a": lambda u, t: u.numbered(read_array(t[1], t[2])),
    "k": lambda u, t: TYPES[t[1]],
    "X": lambda u, t: _unpack_state(u, t, ChainMap),
    "U": lambda u, t: _unpack_state(u, t, UserDict),
    "W": lambda u, t: _unpack_state(u, t, UserList),
    "v": _unpack_view,
    "p": _unpack_proxy,
}

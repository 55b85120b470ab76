"""Values cross exactly or not at all, and what comes in is never trusted."""

import json
import math
from abc import ABC
from array import array
from collections import ChainMap, Counter, OrderedDict, UserDict, UserList, defaultdict, deque, namedtuple
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.codec import Malformed, Packer, Uncrossable, Unpacker, from_bytes, to_bytes


def refuse(value: Any) -> Any:
    raise Uncrossable(type(value).__name__)


def no_handle(number: int, label: str) -> Any:
    raise AssertionError(f"handle {number} of {label}")


def cross(value: Any) -> Any:
    packer = Packer(refuse)
    return Unpacker(no_handle).unpack(from_bytes(to_bytes(packer, lambda: packer.pack(value))))


EXACT = [
    None,
    True,
    False,
    0,
    -1,
    2**62,
    -(2**63),
    2**64,
    10**4000,
    10**6000,
    -(10**6000),
    0.1,
    -0.0,
    1e308,
    5e-324,
    math.inf,
    -math.inf,
    1j,
    complex(-0.0, math.inf),
    "",
    "naïve 中文 🎉",
    "\ud800 lone",
    "\ud83d\ude00 pair of halves",
    "\x00\n\u2028",
    b"",
    b"\x00\xff",
    bytearray(b"ab"),
    [],
    [1, [2, [3]]],
    (),
    (1,),
    ((),),
    {},
    {1: 2, "1": 3, (1,): 4},
    {None: [1]},
    set(),
    {1, "a", (2,)},
    frozenset(),
    frozenset({frozenset({1})}),
    range(3),
    range(10, -5, -3),
    ...,
    range(2**70, 2**71, 2**69),
    Counter("abca"),
    OrderedDict([(2, 1), (1, 2)]),
    defaultdict(list, {1: [2]}),
    defaultdict(int),
    deque([1, [2]]),
    deque([1, 2], maxlen=2),
    Fraction(-1, 3),
    Fraction(10**50, 7),
    Decimal("1.50"),
    Decimal("-Infinity"),
    date(2024, 2, 29),
    datetime(2024, 2, 29, 23, 59, 58, 7),
    datetime(2024, 1, 1, fold=1),
    time(1, 2, 3, 4),
    timedelta(days=-1, seconds=5, microseconds=6),
    [10**6000, {"a": (10**6000, [None])}],
    [True, 1, 1.0],
    int,
    [str, type(None)],
    [KeyError, StopIteration, OSError, deque, UserDict, array, datetime],
    slice(None),
    slice(-1, 10**30, -2),
    range(10**18),
    range(-(10**30), 10**30, 7),
    UTC,
    timezone(timedelta(hours=-3, minutes=30), "X"),
    datetime(2024, 1, 1, tzinfo=UTC),
    {datetime.max.replace(tzinfo=timezone(timedelta(hours=-23, minutes=-59))), datetime.min.replace(tzinfo=UTC)},
    datetime(2024, 1, 1, fold=1, tzinfo=timezone(timedelta(seconds=1))),
    time(1, 2, tzinfo=timezone(timedelta(hours=2))),
    *(array(code, [1, 2, 3]) for code in "bBhHiIlLqQfd"),
    array("d", [math.inf, -0.0, 1e308]),
    array("q"),
    array("u", "a🎉"),
    ChainMap({"a": 1}, {"a": 2, "b": [3]}),
    ChainMap(),
    UserDict({1: {2: 3}}),
    UserList([1, [2]]),
    MappingProxyType({"b": [1], "a": 2}),
    NotImplemented,
]


@pytest.mark.parametrize("value", EXACT, ids=lambda value: type(value).__name__)
def test_exact_types_come_back_equal_and_of_the_same_type(value: Any) -> None:
    found = cross(value)
    assert type(found) is type(value) and found == value
    if not isinstance(value, int | list | type):  # the digits of a long int cannot be written
        assert repr(found) == repr(value), "also what equality does not see: -0.0, order, maxlen, fold"


def test_a_nan_comes_back_as_nan_and_stays_one_object_where_it_was_one() -> None:
    nan, other = float("nan"), float("nan")
    first, second, (third, _), fourth = cross([nan, other, {(nan, "NaN"): 10**6000}.popitem()[0], math.nan])
    assert math.isnan(first) and math.isnan(second)
    assert first is third and first is not second and fourth is math.nan
    assert math.isnan(cross(nan)) and math.isnan(cross(complex(0, nan)).imag)
    packer = Packer(refuse, [[1], nan])
    assert from_bytes(to_bytes(packer, lambda: packer.pack([nan, other]))) == ["L", ["r", 1], ["f"]]
    assert Unpacker(no_handle, [[1], nan]).unpack(["L", ["r", 1]])[0] is nan


@pytest.mark.parametrize("kind", [dict, OrderedDict, Counter, defaultdict])
@pytest.mark.parametrize("name", ["keys", "values", "items"])
def test_a_view_comes_back_as_one_of_the_same_dictionary(kind: Any, name: str) -> None:
    mapping = kind()
    mapping.update({"b": 1, "a": 2})
    view, found = cross([getattr(mapping, name)(), mapping])
    assert type(view) is type(getattr(mapping, name)())
    assert (list(view), len(view), repr(view)) == (list(getattr(mapping, name)()), 2, repr(getattr(mapping, name)()))
    found["c"] = 3
    assert len(view) == 3
    if name != "values":
        assert cross(getattr(mapping, name)()) == getattr(mapping, name)()


def test_a_proxy_comes_back_as_one_of_the_same_dictionary_but_from_tests() -> None:
    mapping = {"a": 1}
    of_program = Packer(refuse, bounded=True)
    tree = to_bytes(of_program, lambda: of_program.pack([MappingProxyType(mapping), mapping]))
    proxy, found = Unpacker(no_handle).unpack(from_bytes(tree))
    found["b"] = 2
    assert proxy == {"a": 1, "b": 2}
    packer = Packer(refuse)
    packer.pack(MappingProxyType(mapping))
    assert packer.objects == [mapping] and packer.objects[0] is not mapping, "it may be a class's"


def test_what_holds_itself_by_an_attribute_comes_back_so() -> None:
    outer, inner = UserList([1]), ChainMap({})
    outer.append(outer)
    inner.maps.append(inner)
    copied = cross([outer, inner])
    assert copied[0][1] is copied[0] and copied[1].maps[1] is copied[1]


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
hashable = st.recursive(plain, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=6)
values = st.recursive(
    hashable,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner)
        | st.dictionaries(hashable, inner, max_size=3)
        | st.sets(hashable, max_size=3)
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(values)
def test_any_value_comes_back_as_it_was(value: Any) -> None:
    found = cross(value)
    assert found == value and type(found) is type(value)


def test_cycles_and_aliases_survive() -> None:
    ring: list[Any] = [1]
    ring.append({"me": ring, "twice": [ring, ring]})
    found = cross(ring)
    assert found[1]["me"] is found and found[1]["twice"][0] is found[1]["twice"][1] is found
    shared = [0]
    left, right = cross([shared, shared])
    assert left is right
    left, right = cross([[0], [0]])
    assert left is not right


class AlwaysEqual(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


class Liar(list):  # type: ignore[type-arg]
    def __iter__(self) -> Any:
        return iter([42])

    def __eq__(self, other: object) -> bool:
        return True

    def __len__(self) -> int:
        return 7


class Colour(IntEnum):
    RED = 3


class Shout(str):
    def __str__(self) -> str:
        return "lie"

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


class Map(dict):  # type: ignore[type-arg]
    def items(self) -> Any:
        return [("lie", 1)]


class Moment(datetime):
    @property
    def year(self) -> int:  # type: ignore[override]
        return 1


class Half(float):
    def __float__(self) -> float:
        return 0.5


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    "value, expected",
    [
        (AlwaysEqual(4), 4),
        (Liar([1, 2]), [1, 2]),
        (Colour.RED, 3),
        (Shout("truth"), "truth"),
        (Map(a=1), {"a": 1}),
        (Moment(2024, 5, 6), datetime(2024, 5, 6)),
        (Half(2.0), 2.0),
        (type("F", (Fraction,), {})(1, 3), Fraction(1, 3)),
        (type("D", (Decimal,), {})("1.0"), Decimal("1.0")),
        (type("C", (Counter,), {})("aab"), Counter("aab")),
        (type("O", (OrderedDict,), {})([(2, 1), (1, 1)]), OrderedDict([(2, 1), (1, 1)])),
        (type("S", (set,), {})([1]), {1}),
        (type("B", (bytes,), {})(b"x"), b"x"),
        (type("Z", (complex,), {})(1j), 1j),
        (type("Q", (deque,), {})([1]), deque([1])),
        (type("T", (timedelta,), {})(3), timedelta(3)),
        (type("W", (datetime,), {})(2024, 1, 1, tzinfo=UTC, fold=1), datetime(2024, 1, 1, tzinfo=UTC, fold=1)),
        (type("N", (array,), {})("h", [1, 2]), array("h", [1, 2])),
        (type("A", (date,), {})(2024, 1, 1), date(2024, 1, 1)),
        (type("H", (time,), {})(3), time(3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_subclass_crosses_as_its_builtin_base_and_runs_none_of_its_methods(value: Any, expected: Any) -> None:
    found = cross(value)
    assert type(found) is type(expected)
    assert expected.__eq__(found) is True
    nested = cross([value])[0]
    assert type(nested) is type(expected) and expected.__eq__(nested) is True


@pytest.mark.parametrize(
    "value",
    [
        object(),
        print,
        math,
        object,
        AlwaysEqual,
        iter([]),
        (i for i in ()),
        lambda: 0,
        datetime(2024, 1, 1, tzinfo=type("Zone", (tzinfo,), {})()),
        time(1, tzinfo=type("Zone", (tzinfo,), {})()),
        type("Own", (UserDict,), {})(a=1),
        type("Own", (ABC,), {}),
        iter({}.keys()),
        BaseException,
        slice([]),
        slice("a", "b"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_goes_to_the_foreign_hook(value: Any) -> None:
    with pytest.raises(Uncrossable, match=type(value).__name__):
        cross(value)
    packer = Packer(lambda value: ["h", 7, type(value).__name__])
    tree = from_bytes(to_bytes(packer, lambda: packer.pack([value])))
    assert Unpacker(lambda number, label: (number, label)).unpack(tree) == [(7, type(value).__name__)]


def test_a_named_tuple_keeps_the_names_of_its_items_and_nothing_of_its_class() -> None:
    class Own(Point):
        def __eq__(self, other: object) -> bool:
            return True

    found = cross(Own(1, [2]))
    assert (found.x, found.y, repr(found)) == (1, [2], "Own(x=1, y=[2])")
    assert found != (3, 4)
    assert type(found).__mro__[1:] == (tuple, object)


def test_a_tuple_of_more_named_items_than_a_class_is_made_for_is_a_plain_one() -> None:
    class Long(tuple[int, ...]):
        _fields = ("",) * 5000

    assert type(cross(Long([0] * 5000))) is tuple
    with pytest.raises(Malformed):
        Unpacker(no_handle).unpack(["V", "Long", [""] * 5000, *[0] * 5000])


@pytest.mark.parametrize(
    "tree",
    [
        [],
        [None],
        ["?"],
        ["L", ["?"]],
        ["r", 0],
        ["r", -1],
        ["r", "0"],
        ["r", True],
        ["h"],
        ["h", "0", "x"],
        ["h", 0, 1],
        ["D", 1],
        ["D", ["L"], 1],
        ["S", ["L"]],
        ["S", ["D"]],
        ["F", ["S"]],
        ["V"],
        ["V", "P"],
        ["V", "P", []],
        ["V", "P", ["x"]],
        ["V", "P", ["x"], 1, 2],
        ["V", "P", "x", 1],
        ["V", "P", [1], 1],
        ["V", "P", [["x"]], 1],
        ["V", "a b", ["x"], 1],
        ["V", "class", ["x"], 1],
        ["V", 1, ["x"], 1],
        ["V", "P", ["x" * 5000], 1],
        ["I", 5],
        ["I", "zz"],
        ["I"],
        ["B", "\u1234"],
        ["B", 1],
        ["A", None],
        ["c", 1],
        ["c", "x", 1],
        ["N", 1, 2],
        ["N", 1, 2, 0],
        ["N", "a", 1, 1],
        ["Q", "x", 1],
        ["Q", -1],
        ["Y", "eval"],
        ["Y", ["L"]],
        ["R", "1", "0"],
        ["R", 1, 1],
        ["M", "x"],
        ["M", 5.5, 1][:1],
        ["w", 1],
        ["w", 0, 0, 0, 0, 0, 0, 0, None, 0],
        ["w", 2024, 1, 1, 0, 0, 0, 0, 0],
        ["w", 2024, 1, 1, 0, 0, 0, 0, 5, 0],
        ["w", 2024, 1, 1, 0, 0, 0, 0, None, 2],
        ["w", "\0\0\1\0\0\0\0\0\0\0", None, 0],
        ["w", None, 0],
        ["z"],
        ["z", 60],
        ["z", ["u", 1, 0, 0]],
        ["z", ["u", -1, 0, 0]],
        ["z", ["u", 0, 60, 0], 5],
        ["z", ["u", 0, 60, 0], "x", "y"],
        ["a"],
        ["a", "h"],
        ["a", "x", ""],
        ["a", "hh", ""],
        ["a", 104, ""],
        ["a", ["L"], ""],
        ["a", "h", "\1"],
        ["a", "h", "\u1234\u1234"],
        ["a", "h", ["L", 1]],
        ["a", "u", ["L", 1]],
        ["X"],
        ["U"],
        ["v", "keys"],
        ["v", "keys", 5],
        ["v", "keys", ["L"]],
        ["v", "clear", ["D"]],
        ["v", "__class__", ["D"]],
        ["v", ["L"], ["D"]],
        ["k", "BaseException"],
        ["l"],
        ["l", 1, 2],
        ["l", 1, 2, "a"],
        ["l", 1, 2, ["L"]],
        ["f", 2],
        ["f", "nan"],
        ["k", "Nothing"],
        ["d", 2024, 13, 1],
        ["d", "\0\0\1\0"],
        ["m", 25, 0, 0, 0, None, 0],
        ["m", 1, 0, 0, 0, ["u", 0, 0, 0], 0],
        ["u", "a", 1, 1],
        [["L"]],
        [1.5],
        [True],
        ["L", [[]]],
        ["T", [["L"], 1]],
    ],
    ids=json.dumps,
)
def test_a_tree_that_no_packer_makes_is_malformed(tree: Any) -> None:
    with pytest.raises(Malformed):
        Unpacker(lambda number, label: None).unpack(from_bytes(json.dumps(tree).encode()))


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b'{"a": 1}', b'["L",{}]', b"[", b"\xff\xfe", b"[1,]", b"nul", b"9" * 5000, b"1 2"],
    ids=lambda data: repr(data[:12]),
)
def test_bytes_that_are_no_tree_are_malformed(data: bytes) -> None:
    with pytest.raises(Malformed, match="no tree|JSON object"):
        from_bytes(data)


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([*"LTSFDCOYQBAIcNERMwdmuhrzaXUWvkf", "keys", "items"])
    | st.text(),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=15,
)


@settings(max_examples=500, deadline=None)
@given(junk)
def test_reading_junk_gives_a_value_or_malformed_and_nothing_else(tree: Any) -> None:
    try:
        Unpacker(lambda number, label: number, [[1], {2: 3}]).unpack(from_bytes(json.dumps(tree).encode()))
    except Malformed:
        pass


def test_bytes_nested_too_deep_are_a_recursion_error() -> None:
    with pytest.raises(RecursionError):
        from_bytes(b"[" * 200_000)


def test_a_nest_too_deep_is_a_recursion_error_on_the_writing_side_too() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RecursionError):
        cross(deep)

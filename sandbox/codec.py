"""How values cross between a candidate and the judge: by value for exact builtin types, by handle for all else.

A value becomes a JSON tree: None, bool, int, float and str stand for themselves; everything else is a list whose first
item is a tag of one letter (`_PACK` below, and `library_values` for types of the library's). Mutable containers are
numbered in the order they are met, so that cycles and aliases survive, and so that one which comes back is the same
object again (`shared`). Subclasses of a builtin cross as that builtin (`_BASES`), which disarms an `__eq__` that is
always True, and with their name where they override anything; a named tuple with the names of its items alone.
The reading side trusts nothing: any tree that the writing side could not have made is `Malformed`.
"""

import cmath
import json
import math
import sys
from array import array
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Collection
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from keyword import iskeyword
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType, MappingProxyType, NoneType
from typing import Any

from sandbox.library_values import (
    PACK,
    STATES,
    UNPACK,
    VIEWS,
    exact,
    hex_int,
    state,
    viewed,
)

Tree = Any  # None | bool | int | float | str | list[Tree]


class Malformed(Exception):
    """Bytes that no honest peer would have sent."""


class Uncrossable(Exception):
    """A value that has no place on the other side; `said` keeps what was said of such ones last, whoever caught it."""

    said = ""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        Uncrossable.said = text


FUNCTION = "f"  # what the text of a function that tests hand in calls it
FUNCTION_VARIABLES = "variables_of_the_tests"  # and a dictionary of those of theirs that it uses
PROGRAM_NAMES = "names_of_the_program"  # and one of what the program calls so
TESTS = "tests"  # the module that the code of tests is said to be of
_PLAIN = frozenset({NoneType, bool, int, float, str})
MUTABLE = frozenset({list, dict, set, bytearray, deque, Counter, OrderedDict, defaultdict, array, *STATES})
# What tests ask of a lazy answer is whether it is one. The program's side gives a handle on nothing else these names.
LAZY: dict[str, type] = {
    kind.__name__: kind for kind in (GeneratorType, CoroutineType, AsyncGeneratorType, map, filter, zip, enumerate)
}
_FACTORIES: dict[str, Any] = {"int": int, "list": list, "set": set, "dict": dict, "str": str, "float": float}
_FACTORY_NAMES = {id(factory): name for name, factory in _FACTORIES.items()}
_OF_PROGRAM = "_sandbox_of_program"  # mark of a factory that stands for the program's
# The nearest exact type for an instance of a subclass, most special first.
_BASES: tuple[type, ...] = (
    *(int, float, complex, str, bytes, bytearray, tuple, Counter, OrderedDict, defaultdict, dict),
    *(frozenset, set, deque, list, array, Fraction, Decimal, datetime, date, time, timedelta),
)

_NO_METHODS = frozenset("__init__ __new__ __doc__ __module__ __dict__ __class_getitem__ __init_subclass__".split())
# What a test may do with a value by an operator, or by a function that is built in.
BINARY = (
    *"lt le gt ge eq ne add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod divmod rdivmod".split(),
    *"pow rpow matmul rmatmul and rand or ror xor rxor lshift rlshift rshift rrshift".split(),
)
UNARY = "neg pos abs invert int float complex index round".split()
# What the program's class of a named tuple may do otherwise, so that the judge's cannot do it for that.
OPERATIONS = frozenset(
    [f"__{name}__" for name in (*BINARY, *UNARY, *"str repr format hash len iter getitem contains bool".split())]
    + ["count", "index", "__call__"]
)
_FIELDS_CHARS = 4096  # of the names of a named tuple's items; the class that is made of them takes some times that
_DIGITS = 4300  # the interpreter's own limit for ints as decimals

_NANS = (math.nan, cmath.nan)  # the ones that have a name, by which a program and its tests mean the same object

_dumps = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def _refuse_object(pairs: list[tuple[str, Any]]) -> None:
    raise Malformed("expected a tree of lists, found a JSON object")


_scan = json.JSONDecoder(object_pairs_hook=_refuse_object).raw_decode


class Packer:
    """Writes values as trees. `known` are the containers the other side has numbered already, in their order; those
    that it is told of now are added to them.

    `foreign(value)` gives the tree of a value that has no exact builtin type, or raises `Uncrossable`, as it does where
    none is given. With `bounded`, as a program's are, it is also asked about what a receiver could not use in
    reasonable time: Decimal("1e999999999"). `kinds` gets the classes of named tuples, by name and names of items.
    """

    def __init__(
        self,
        foreign: Callable[[Any], Tree] | None = None,
        known: list[Any] | None = None,
        *,
        bounded: bool = False,
        kinds: dict[tuple[str, tuple[str, ...]], type] | None = None,
    ) -> None:
        self._foreign, self.bounded = foreign, bounded
        self.objects: list[Any] = [] if known is None else known  # also keeps them alive, so that an id stays theirs
        self.numbers = {id(value): number for number, value in enumerate(self.objects)}
        self.kinds = {} if kinds is None else kinds
        self._overrides: dict[type, list[str]] = {}  # of classes that were met
        self.rare = False  # whether ints too long for decimals, or NaNs, which are themselves only, are to be expected

    def foreign(self, value: Any) -> Tree:
        if self._foreign is None:
            raise Uncrossable(type(value).__name__)
        return self._foreign(value)

    def number(self, value: Any) -> None:
        self.numbers[id(value)] = len(self.objects)
        self.objects.append(value)

    def back_to(self, number: int) -> None:
        """Forget the containers from this number on: the tree that they are in is not sent."""
        del self.objects[number:]
        self.numbers = {id(value): index for index, value in enumerate(self.objects)}

    def pack(self, value: Any) -> Tree:
        kind = type(value)
        if kind in _PLAIN:
            return self.pack_rare(value) if self.rare else value
        if kind in MUTABLE:
            number = self.numbers.get(id(value))
            if number is not None:
                return ["r", number]
            self.number(value)
        if kind in _PACK:
            return _PACK[kind](self, value)
        return self.pack_foreign(value)

    def pack_rare(self, value: Any) -> Tree:
        """A plain value where there may be ints of any size and NaNs: what is one object here is one on that side."""
        if type(value) is int:
            return hex_int(value)
        if type(value) is not float or value == value:
            return value
        for number, known in enumerate(_NANS):
            if value is known:
                return ["f", number]
        if id(value) in self.numbers:
            return ["r", self.numbers[id(value)]]
        self.number(value)
        return ["f"]

    def pack_all(self, values: Any) -> list[Tree]:
        if not self.rare and _PLAIN.issuperset(map(type, values)):
            return list(values)
        return [self.pack(value) for value in values]

    def pack_keys(self, values: Any) -> list[Tree]:
        """The items of a set. What the other side could not hash is foreign: a list whose class has a `__hash__`."""
        if not self.rare and _PLAIN.issuperset(map(type, values)):
            return list(values)
        return [self.pack_key(value) for value in values]

    def pack_key(self, value: Any) -> Tree:
        return self.pack(value) if type(value) in _PLAIN or _hashes(value) else self.foreign(value)

    def pack_pairs(self, items: Any) -> list[Tree]:
        halves = [half for pair in items for half in pair]
        if not self.rare and _PLAIN.issuperset(map(type, halves)):
            return halves
        return [self.pack(half) if number % 2 else self.pack_key(half) for number, half in enumerate(halves)]

    def pack_foreign(self, value: Any) -> Tree:
        kind = type(value)
        for base in _BASES:
            if issubclass(kind, base):
                name, fields = type_name(kind), fields_of(kind)
                if not self.bounded:
                    self.subclass(kind, base, name, fields)
                if base is tuple and _nameable(name, fields, tuple.__len__(value)):
                    self.kinds[name, fields] = kind
                    own = self.overrides(kind, base, OPERATIONS) if self.bounded else []
                    own = [operation for operation in own if operation not in fields]
                    return ["V", name, list(fields), own, *self.pack_all(list(tuple.__iter__(value)))]
                if base not in MUTABLE:
                    tree = self.pack(_exact(base, value))
                elif id(value) in self.numbers:
                    return ["r", self.numbers[id(value)]]
                else:
                    self.number(value)  # itself, and not the copy of an exact type
                    tree = _PACK[base](self, _exact(base, value))
                if not self.bounded or (fields and base is tuple):  # what only claims to be a named tuple is none
                    return tree
                return ["b", name, bool(self.overrides(kind, base, dir(base))), _writes(kind, base), tree]
        return self.foreign(value)

    def subclass(self, kind: type, base: type, name: str, fields: tuple[str, ...]) -> None:
        """A value of this class is about to cross as one of `base`."""

    def overrides(self, kind: type, base: type, names: Collection[str]) -> list[str]:
        """Which of these the program's classes below `base` do otherwise: what namedtuple and Enum write is not its."""
        if kind not in self._overrides:
            below = kind.__mro__[: kind.__mro__.index(base)]
            own = {name for one in below for name, value in vars(one).items() if not _is_library_s(value, base, name)}
            self._overrides[kind] = sorted(own.intersection(names) - _NO_METHODS)
        return self._overrides[kind]


def _writes(kind: type, base: type) -> bool:
    """Does a class below `base` look otherwise as a text, be it by what Enum makes of it?"""
    return any(_held(kind, name) is not _held(base, name) for name in ("__str__", "__repr__", "__format__"))


def _held(kind: type, name: str) -> Any:
    return next(vars(one)[name] for one in kind.__mro__ if name in vars(one))


def _is_library_s(value: Any, base: type, name: str) -> bool:
    if type(value) is FunctionType:
        return value.__globals__.get("__name__") in ("collections", "enum")
    alike = (name, "__repr__") if name == "__str__" else (name,)  # IntEnum's is int's
    return any(value is getattr(base, one, None) for one in alike)


def type_name(kind: type) -> str:
    name: str = type.__dict__["__name__"].__get__(kind)
    return name


def fields_of(kind: type) -> tuple[str, ...]:
    """The names of the items of a named tuple of that class, or below it; nothing for any other."""
    found = next((vars(base)["_fields"] for base in kind.__mro__ if "_fields" in vars(base)), ())
    return found if type(found) is tuple else ()


def _nameable(name: str, fields: tuple[str, ...], items: int) -> bool:
    if type(name) is not str or not name.isidentifier() or iskeyword(name) or set(map(type, fields)) != {str}:
        return False
    # And one for each: a class of a million empty names takes the reader minutes, or all its memory.
    return len(fields) == items and sum(map(len, fields), len(name) + items) <= _FIELDS_CHARS


def named_tuple(name: str, fields: tuple[str, ...], own: tuple[str, ...] = ()) -> type:
    """A class for a named tuple that crossed; names that are none, as `rename` makes them, stay."""
    try:
        return namedtuple(name, fields, rename=True, module="__main__")
    except SyntaxError:  # two names that the parser takes for one
        return namedtuple(name, [""] * len(fields), rename=True, module="__main__")


_UNHASHED = frozenset([*(kind for kind in (*STATES, *VIEWS) if kind.__hash__ is None), MappingProxyType])


def _hashes(value: Any) -> bool:
    """Whether the value has a hash once it is of an exact built-in type."""
    kind = type(value)
    if issubclass(kind, tuple):
        return all(map(_hashes, tuple.__iter__(value)))
    if issubclass(kind, Decimal):
        return not Decimal.is_snan(value)
    return not issubclass(kind, (list, dict, set, bytearray, deque, array)) and kind not in _UNHASHED


def _exact(base: type, value: Any) -> Any:
    """`value`, an instance of a subclass of `base`, as an exact `base`; runs none of the subclass's own methods."""
    if base is int:
        return int.__int__(value)
    if base is float:
        return float.__float__(value)
    if base is str:
        return str.__str__(value)
    if base is complex:
        return complex(*(complex.__dict__[part].__get__(value) for part in ("real", "imag")))
    if base in (Counter, OrderedDict, dict):
        plain: dict[Any, Any] = base()
        update_pairs(plain, list(items_of(value)))
        return plain
    if base is defaultdict:
        return defaultdict(defaultdict.__dict__["default_factory"].__get__(value), list(dict.items(value)))
    if base in (bytes, bytearray):
        return base(bytes(memoryview(value)))
    if base in (list, tuple, set, frozenset, deque):
        return base(base.__iter__(value))
    return exact(base, value)


def items_of(value: dict[Any, Any]) -> Any:
    return (OrderedDict if isinstance(value, OrderedDict) else dict).items(value)


def _pack_factory(packer: Packer, factory: Any) -> Tree:
    """A name, or a function of the tests', or, from the program's side alone, a handle on one of its own.

    That one is not given back.
    """
    if factory is None or id(factory) in _FACTORY_NAMES:
        return _FACTORY_NAMES.get(id(factory))
    if not packer.bounded and type(factory) is FunctionType and hasattr(factory, _OF_PROGRAM):
        return None
    tree = packer.foreign(factory)
    if not packer.bounded and tree[0] != "j":
        raise Uncrossable("a test passes a defaultdict with what the program gave, which cannot cross to it")
    return tree


_PACK: dict[type, Callable[[Packer, Any], Tree]] = {
    list: lambda p, v: ["L", *p.pack_all(v)],
    tuple: lambda p, v: ["T", *p.pack_all(v)],
    set: lambda p, v: ["S", *p.pack_keys(v)],
    frozenset: lambda p, v: ["F", *p.pack_keys(v)],
    dict: lambda p, v: ["D", *p.pack_pairs(v.items())],
    Counter: lambda p, v: ["C", *p.pack_pairs(v.items())],
    OrderedDict: lambda p, v: ["O", *p.pack_pairs(v.items())],
    defaultdict: lambda p, v: ["Y", _pack_factory(p, v.default_factory), *p.pack_pairs(v.items())],
    deque: lambda p, v: ["Q", v.maxlen, *p.pack_all(v)],
    bytes: lambda p, v: ["B", v.decode("latin-1")],
    bytearray: lambda p, v: ["A", v.decode("latin-1")],
    complex: lambda p, v: ["c", v.real, v.imag],
    type(...): lambda p, v: ["E"],
    type(NotImplemented): lambda p, v: ["n"],
    **PACK,
}


class Unpacker:
    """Reads trees. `known` are this side's containers that the other side may refer to by number; new ones are added.

    `handle(number, label)` gives what stands for the other side's object of that number, `named(name, fields, own)`
    the class of a named tuple, which does these operations in a way of its own, `made(number, *text)` a function of the
    tests' (`functions`), and `raises(number, name, bases)` a class of exceptions of the program's, of which each base
    is such a one or the names of one that is not; `raised(number, class)` one of that class, `built_in(number, names,
    args)` one of a built-in class.
    """

    def __init__(
        self,
        handle: Callable[[int, str], Any],
        known: list[Any] | None = None,
        named: Callable[[str, tuple[str, ...], tuple[str, ...]], type] = named_tuple,
        made: Callable[..., Any] | None = None,
        built_in: Callable[[int, list[str], list[Any]], BaseException] | None = None,
        raises: Callable[[int, str, list[Any]], type] | None = None,
        raised: Callable[[int, Any], BaseException] | None = None,
    ) -> None:
        self.handle, self.named, self.made = handle, named, made
        self.built_in, self.raises, self.raised = built_in, raises, raised
        self.objects: list[Any] = [] if known is None else known
        self.aliased = False  # something in it stands in two places
        self.viewing = False  # there is a view of a dictionary in it
        self.flat: dict[str, str] = {}  # classes of which plain values came, and the names of theirs
        self.derived = set[str]()  # those of them that do otherwise what the plain values do
        self.written = set[str]()  # those that look otherwise as a text

    def unpack(self, tree: Tree) -> Any:
        if type(tree) is not list:
            return tree
        try:
            return _UNPACK[tree[0]](self, tree)
        except (KeyError, IndexError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            raise Malformed(f"a tree that no packer makes: {type(error).__name__}") from None

    def unpack_all(self, trees: list[Tree]) -> list[Any]:
        if list in set(map(type, trees)):
            return [self.unpack(tree) if type(tree) is list else tree for tree in trees]
        return trees

    def numbered(self, value: Any) -> Any:
        self.objects.append(value)
        return value


def update_pairs(target: dict[Any, Any], pairs: Any) -> None:
    """Set the pairs; Counter.update would add, dict.update would not keep an OrderedDict's order, and its own would ask
    a subclass."""
    if not isinstance(target, OrderedDict):
        dict.update(target, pairs)
        return
    for key, value in pairs:
        OrderedDict.__setitem__(target, key, value)


def _pairs(items: list[Any]) -> Any:
    return zip(items[::2], items[1::2], strict=True)


def _unpack_list(u: Unpacker, tree: Tree) -> Any:
    value: list[Any] = u.numbered([])
    value.extend(u.unpack_all(tree[1:]))
    return value


def _unpack_set(u: Unpacker, tree: Tree) -> Any:
    value: set[Any] = u.numbered(set())
    value.update(u.unpack_all(tree[1:]))
    return value


def _unpack_dict(u: Unpacker, tree: Tree, empty: Any = None, start: int = 1) -> Any:
    value: dict[Any, Any] = u.numbered({} if empty is None else empty)
    update_pairs(value, _pairs(u.unpack_all(tree[start:])))
    return value


def _unpack_default(u: Unpacker, tree: Tree) -> Any:
    if type(tree[1]) is not list:
        return _unpack_dict(u, tree, defaultdict(None if tree[1] is None else _FACTORIES[tree[1]]), 2)
    if tree[1][0] == "j":
        return _unpack_dict(u, tree, defaultdict(u.unpack(tree[1])), 2)
    remote = _handle(u, tree[1])

    def factory() -> Any:  # a function of ours, which tests may copy
        return remote()

    setattr(factory, _OF_PROGRAM, True)
    return _unpack_dict(u, tree, defaultdict(factory), 2)


def _unpack_deque(u: Unpacker, tree: Tree) -> Any:
    value: deque[Any] = u.numbered(deque(maxlen=tree[1]))
    value.extend(u.unpack_all(tree[2:]))
    return value


def _unpack_named(u: Unpacker, tree: Tree) -> Any:
    _, name, fields, own, *items = tree
    if type(fields) is not list or not _nameable(name, tuple(fields), len(items)):
        raise Malformed("a named tuple of no names")
    if type(own) is not list or not OPERATIONS.issuperset(own):
        raise Malformed("a named tuple that does what none can")
    values = u.unpack_all(items)
    return tuple.__new__(u.named(name, tuple(fields), tuple(own)), values)


def _unpack_function(u: Unpacker, tree: Tree) -> Any:
    _, number, *parts = tree
    if u.made is None or type(number) is not int or number < 0:
        raise Malformed("a function that nobody handed in")
    return u.made(number, *parts[:1], *map(u.unpack, parts[1:]))


def _unpack_raises(u: Unpacker, tree: Tree) -> Any:
    _, number, name, *bases = tree
    if u.raises is None or type(number) is not int or type(name) is not str or not bases:
        raise Malformed("a class of exceptions that is none")
    return u.raises(number, name, [u.unpack(base) if base[0] == "x" else _checked_names(base) for base in bases])


def _unpack_raised(u: Unpacker, tree: Tree) -> Any:
    _, number, kind, *args = tree
    if type(number) is int and args and u.built_in is not None:
        return u.built_in(number, _checked_names(kind), args[0])
    if type(number) is not int or u.raised is None or kind[0] != "x":
        raise Malformed("an exception of no class")
    return u.raised(number, u.unpack(kind))


def _checked_names(names: Any) -> list[str]:
    if type(names) is not list or set(map(type, names)) != {str}:
        raise Malformed("an exception without names")
    return names


def _known(u: Unpacker, tree: Tree) -> Any:
    number = tree[1]
    if type(number) is not int or number < 0:
        raise Malformed("a reference that is no number")
    u.aliased = True
    return u.objects[number]


def _unpack_nan(u: Unpacker, tree: Tree) -> float:
    value: float = _NANS[tree[1]] if len(tree) > 1 else u.numbered(float("nan"))
    return value


def _handle(u: Unpacker, tree: Tree) -> Any:
    tag, number, label = tree
    if tag != "h" or type(number) is not int or type(label) is not str:
        raise Malformed("a handle that is no number with a name")
    return u.handle(number, label)


def _unpack_derived(u: Unpacker, tree: Tree) -> Any:
    _, name, overrides, writes, plain = tree
    value = u.unpack(plain)
    if type(name) is not str or type(overrides) is not bool or type(writes) is not bool:
        raise Malformed("a class without a name")
    u.flat[name] = type(value).__name__
    if overrides:
        u.derived.add(name)
    if writes:
        u.written.add(name)
    return value


_UNPACK: dict[str, Callable[[Unpacker, Tree], Any]] = {
    "L": _unpack_list,
    "T": lambda u, t: tuple(u.unpack_all(t[1:])),
    "V": _unpack_named,
    "S": _unpack_set,
    "F": lambda u, t: frozenset(u.unpack_all(t[1:])),
    "D": _unpack_dict,
    "C": lambda u, t: _unpack_dict(u, t, Counter()),
    "O": lambda u, t: _unpack_dict(u, t, OrderedDict()),
    "Y": _unpack_default,
    "Q": _unpack_deque,
    "B": lambda u, t: t[1].encode("latin-1"),
    "A": lambda u, t: u.numbered(bytearray(t[1].encode("latin-1"))),
    "I": lambda u, t: int(t[1], 16),
    "c": lambda u, t: complex(float(t[1]), float(t[2])),
    "E": lambda u, t: ...,
    "n": lambda u, t: NotImplemented,
    "f": _unpack_nan,
    "b": _unpack_derived,
    "h": _handle,
    "j": _unpack_function,
    "r": _known,
    "x": _unpack_raises,
    "e": _unpack_raised,
    **UNPACK,
}


def written_out(values: list[Any]) -> float:
    """How many items there are in these containers when what stands in two places is counted twice.

    What holds itself counts as one item there.
    """
    sizes: dict[int, int] = {}
    pending: list[tuple[Any, bool]] = [(value, False) for value in values]
    while pending:
        value, counted = pending.pop()
        if counted:
            sizes[id(value)] = 1 + sum(sizes.get(id(item), 1) for item in _inside(value))
        elif id(value) not in sizes:
            sizes[id(value)] = 1  # while it is open
            pending.append((value, True))
            pending += [(item, False) for item in _inside(value) if type(item) not in _PLAIN]
    return max(sizes.values(), default=0)


def _inside(value: Any) -> list[Any]:
    """The items of a container; nothing for anything else."""
    if isinstance(value, dict):
        return [half for pair in value.items() for half in pair]
    if type(value) in STATES:
        return [state(value)]
    if type(value) in VIEWS or type(value) is MappingProxyType:
        return [viewed(value)]
    if isinstance(value, tuple):  # a named one may have a length of the program's, who is not to be asked for it here
        return list(tuple.__iter__(value))
    return list(value) if type(value) in MUTABLE or isinstance(value, frozenset) else []


def numbered(values: tuple[Any, ...]) -> list[Any]:
    """The mutable containers in `values`, in the order a `Packer` numbers them."""
    if _PLAIN.issuperset(map(type, values)):
        return []
    packer = Packer(lambda value: None)
    packer.pack_all(values)
    return packer.objects


def to_bytes(packer: Packer, build: Callable[[], Tree]) -> bytes:
    """The frame of the tree that `build` makes with `packer`; made twice when it holds ints too long for decimals or a
    NaN: JSON's is a new object wherever it stands, or the same one everywhere, as the reader likes."""
    number = len(packer.objects)
    digits = sys.get_int_max_str_digits()
    if digits != _DIGITS:
        sys.set_int_max_str_digits(_DIGITS)  # a program may have lifted its own, and the reader has this one
    try:
        try:
            text = _dumps(build())
        except ValueError:  # an int beyond it
            text = "NaN"
        if "NaN" in text:
            packer.back_to(number)
            packer.rare = True
            text = _dumps(build())
        return text.encode("utf-8", "surrogatepass")
    finally:
        if digits != _DIGITS:
            sys.set_int_max_str_digits(digits)


def from_bytes(data: bytes) -> Tree:
    """The tree of a frame; `Malformed` unless it is one, RecursionError when it is nested too deep for this side."""
    try:
        text = data.decode("utf-8", "surrogatepass")
        tree, end = _scan(text)
    except ValueError as error:
        raise Malformed(f"no tree: {type(error).__name__}") from None
    if end != len(text):
        raise Malformed("no tree: something follows it")
    return tree

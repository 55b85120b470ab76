"""Functions by which tests look at the classes of a program's objects: as in one process."""

from typing import Any

import pytest

from sandbox.pool import run_many
from sandbox.verdict import Program, Test
from tests.one_process import LIMITS, assert_judged_alike

SOURCE = """
import enum, io, re, types
from dataclasses import dataclass
from typing import NamedTuple

class N(NamedTuple):
    a: int

def named(a): return N(a)
def quoted(a: "int") -> "None": pass

Edge = NamedTuple("E", [("a", int)])
def edge(): return Edge(1)

class Walks:
    Step = NamedTuple("Step", [("a", int)])
    def step(self): return Walks.Step(1)

@dataclass
class P:
    x: int
    y: int = 2

class Walk:
    def __init__(self): self.left = 3
    def __iter__(self): return self
    def __next__(self):
        self.left -= 1
        if self.left < 0: raise StopIteration
        return self.left

class Twice(P):
    def __call__(self): return self.x * 2

class f:
    made = None
    def __init__(self, x=0): self.x = x; self.held = []
    @classmethod
    def only(cls):
        cls.made = cls.made or cls()
        return cls.made
    def me(self): return self
    def __enter__(self): return self
    def __exit__(self, *error): pass

class Color(enum.Enum):
    RED = 1
class Pattern: pass
class Area:
    __slots__ = ("a", "b")
    @property
    def size(self): return 1
    @staticmethod
    def unit(): return "m"

def color(): return Color.RED
def pattern(): return re.compile("a")
def text(): return io.StringIO("a")
def space(): return types.SimpleNamespace(a=1)
def make(*values): return P(*values)
def count(n): yield from range(n)
def total(*values): return sum(values)
async def wait(): return 1
async def waits(): yield 1
"""
PROTOCOL = (
    "from typing import Protocol, runtime_checkable\n"
    "@runtime_checkable\nclass Long(Protocol):\n    def __iter__(self): ..."
)
TESTS = [
    "import re, io\nassert isinstance(pattern(), re.Pattern) and isinstance(text(), io.StringIO) and make(1).x == 1",
    "import re, io\nassert type(pattern()) is re.Pattern and type(text()) is io.StringIO",
    "import re, io\nassert isinstance(pattern(), re.Match)",
    "import re\nassert isinstance(Pattern(), re.Pattern)",
    "import re\nassert type(Pattern()) is re.Pattern",
    "from enum import Enum\nassert isinstance(color(), Enum) and issubclass(type(color()), Enum)",
    "from enum import Enum, IntEnum\nassert isinstance(color(), IntEnum)",
    "assert isinstance(Area.size, property) and isinstance(vars(Area)['unit'], staticmethod) and Area().size == 1",
    "assert isinstance(Area.unit, property)",
    "assert Area.__slots__ == Area().__slots__ == ('a', 'b') and not hasattr(f, '__slots__') and f().x == 0",
    "from types import SimpleNamespace as S\nassert isinstance(space(), S) and type(space()) is S",
    "assert id(f.only()) == id(f.only()) and len({id(f.only()) for _ in range(3)}) == 1",
    "x = id(f.only().held); y = id(f.only().held); assert x == y == id(f.only().held)",
    "one = f.only(); other = f(); assert id(one) == id(one.me()) and id(one) != id(other) and list(map(id, [])) == []",
    "assert type(make(1)) is P and type(make(1)) == P and type(make(1)) is not Twice and type(make) is not P",
    "assert type(Twice(1)) is P",
    "assert type(f()) is f and type(f().me()) is f and f().me().x == 0",
    "assert type(make(1)) in (P, f) and {P: 1}[type(make(1))] == 1 and type(make(1)).__name__ == 'P'",
    "assert type(total(1, 2)) is int and type(total(1, 2)) == int and isinstance(total(1), int)",
    "assert type(total(1, 2)) is str",
    "assert sorted(['a', 1], key=lambda v: type(v).__name__) == [1, 'a'] and type(make) is type(total)",
    "assert isinstance(P, type) and not isinstance(make, type) and isinstance(5, (str, type, int)) and f",
    "class M(type): pass\nclass C(metaclass=M): pass\nassert type(C) is M and issubclass(M, type) and f().x == 0",
    "assert repr(type(5)) == \"<class 'int'>\" and type.__name__ == 'type' and type('T', (), {}).__name__ == 'T' and f",
    "assert callable(make) and callable(P) and callable(Twice(1)) and not callable(make(1))",
    "assert callable(make(1))",
    "from collections.abc import Iterator, Iterable, Generator, Callable\nassert isinstance(Walk(), Iterator)\n"
    "assert isinstance(count(1), Generator) and isinstance(make, Callable) and not isinstance(make(1), Iterable)",
    "from collections.abc import Iterator\nassert isinstance(make(1), Iterator)",
    "from collections.abc import Hashable, Sized\nassert issubclass(f, Hashable) and not issubclass(f, (Sized, int))",
    "assert issubclass(Twice, P) and issubclass(Twice, object) and not issubclass(P, (int, Twice))",
    "assert issubclass(P, Twice)",
    "import types\nassert isinstance(make, types.FunctionType) and not isinstance(P, types.FunctionType)",
    "import types\nassert type(make) is types.FunctionType and type(f().me) is types.MethodType",
    "import types\nassert type(count(1)) is types.GeneratorType and isinstance(f().me, types.MethodType)",
    "import types\nassert isinstance(make, types.MethodType)",
    "import typing\nassert isinstance(count(1), typing.Generator) and isinstance(make, typing.Callable)",
    "import typing\nassert isinstance(make(1), typing.Iterable)",
    "import typing\nassert isinstance(make(1), typing.Callable)",
    *(
        f"assert {question}"
        for name in ("__iter__", "__next__", "__len__", "__call__", "__enter__", "__await__", "__contains__", "__int__")
        for one in ("make(1)", "Walk()", "f()", "P", "make", "count(1)")
        for question in (f"hasattr({one}, '{name}')", f"getattr({one}, '{name}', None)")
    ),
    "assert hasattr(make(1), 'x') and not hasattr(make(1), 'z') and getattr(make(1), 'z', 3) == 3",
    *(
        f"{imported}\nassert isinstance({one}, {kind})"
        for imported, kind in (
            ("from collections.abc import Iterator, Sized", "Iterator | Sized"),
            ("from typing import Iterable, Optional", "Optional[Iterable]"),
            ("from contextlib import AbstractContextManager", "AbstractContextManager"),
            ("from typing import SupportsInt", "SupportsInt"),
            ("from numbers import Number", "Number"),
            (PROTOCOL, "Long"),
        )
        for one in ("make(1)", "Walk()", "f()")
    ),
    "assert type(named(1)) is N and type(named(1)) is not tuple and {type(one) for one in [named(1), named(2)]} == {N}",
    "assert type(named(1))(5).a == 5 and type(named(1)).__name__ == 'N' and isinstance(named(1), N)",
    "assert type(named(1)) is tuple",
    "assert isinstance(edge(), Edge) and type(edge()) is Edge and not isinstance(edge(), (N, Walks.Step))",
    "assert isinstance(Walks().step(), Walks.Step) and type(Walks().step()) is Walks.Step",
    "assert isinstance(edge(), N)",
    "import inspect\nassert inspect.isgenerator(count(1)) and inspect.isgeneratorfunction(count)",
    "import inspect\nassert inspect.isgeneratorfunction(make)",
    "import inspect\nassert inspect.isclass(P) and inspect.isfunction(make) and inspect.ismethod(f().me)",
    "import inspect\nassert not inspect.isclass(make) and not inspect.isfunction(P) and inspect.isclass(int)",
    "import inspect\nassert inspect.iscoroutinefunction(wait) and inspect.isasyncgenfunction(waits)",
    "import inspect\nassert inspect.iscoroutinefunction(make)",
    "import dataclasses\nassert dataclasses.is_dataclass(P) and dataclasses.is_dataclass(make(1)) and f",
    "import dataclasses\nassert dataclasses.is_dataclass(f)",
    "from typing import get_type_hints\nassert get_type_hints(quoted) == {'a': int, 'return': type(None)}",
    "from typing import get_type_hints\nassert get_type_hints(quoted) == {'a': str, 'return': type(None)}",
    "from dataclasses import fields\nassert [f.name for f in fields(P)] == ['x', 'y'] and len(fields(make(1))) == 2",
    "from dataclasses import asdict, astuple, replace\nassert asdict(make(1)) == {'x': 1, 'y': 2}\n"
    "assert astuple(replace(make(1), y=3)) == (1, 3)",
    "from dataclasses import asdict\nassert asdict(make(1)) == {'x': 1}",
    "from dataclasses import dataclass, asdict\n@dataclass\nclass Own:\n    a: int\n"
    "assert asdict(Own(total(1))) == {'a': 1}",
    "def names():\n    here = 1\n    return dir()\nassert names() == ['here'] and 'append' in dir([]) and f",
]


@pytest.mark.parametrize("mode", ["isolated", "fast"])
def test_what_is_asked_of_a_class_is_judged_as_in_one_process(mode: Any) -> None:
    assert_judged_alike([(SOURCE, test) for test in TESTS], mode)


@pytest.mark.parametrize(
    "test",
    [
        "import inspect\nassert inspect.signature(make)",
        "assert 'x' in dir(make(1))",
        "match make(1):\n    case P(): pass",
    ],
)
def test_what_the_program_cannot_tell_is_no_evidence(test: str) -> None:
    (result,) = run_many([Program(SOURCE, "function", (Test(test),), "f")], limits=LIMITS, workers=1)
    assert result.status == "infra_error", result


@pytest.mark.parametrize("asked", ["type(f())", "type(f)"])
def test_a_class_that_a_test_asks_for_is_what_the_program_s_own_type_would_say(asked: str) -> None:
    """The real `type` would make classes that nobody looks at."""
    source = "class C: pass\ndef f(kind=None): return kind('D', (kind,), {}) if kind else C"
    program = Program(source, "function", (Test(f"f({asked})"),), "f")
    (result,) = run_many([program], limits=LIMITS, workers=1)
    assert result.status in ("refused", "exception", "infra_error"), result


@pytest.mark.parametrize(
    "meddles",
    ["import inspect\ninspect.isclass = lambda value: True", "try: type.kept = 1\nexcept AttributeError: pass"],
)
def test_what_a_test_sets_on_these_is_gone_for_the_next_program(meddles: str) -> None:
    after = "import inspect\nassert not inspect.isclass(make(1)) and not hasattr(type, 'kept')"
    programs = [Program(SOURCE, "function", (Test(test),), "f") for test in (f"f()\n{meddles}", after)]
    assert [result.status for result in run_many(programs, limits=LIMITS, workers=1)] == ["passed", "passed"]


PLAIN = """
from collections import OrderedDict
from enum import Enum, IntEnum

class Recent(OrderedDict):
    def __init__(self, size):
        super().__init__()
        self.size = size
    def put(self, key, value): self[key] = value

class Vector(list):
    def __add__(self, other): return Vector([a + b for a, b in zip(self, other)])

class Level(IntEnum):
    LOW = 1
    HIGH = 2000

class State(str, Enum):
    ON = 'on'

def f(): return Level.HIGH
def name_of(level): return level.name
def recent(): return Recent(3)
def numbers(): return [1]
"""


@pytest.mark.parametrize(
    "test",
    [
        "seen = Recent(2)\nseen.put(1, 2)\nassert seen[1] == 2",
        "assert recent().size == 3",
        "assert Vector([1]) + Vector([2]) == [3]",
        "assert Level.LOW.name == 'LOW'",
        "assert f().name == 'HIGH'",
        "assert f() is Level.HIGH",
        "assert isinstance(f(), Level)",
        "assert type(f()) is Level",
        "assert State.ON.value == 'on'",
        "assert repr(State.ON) == \"<State.ON: 'on'>\"",
        "assert name_of(Level.LOW) == 'LOW'",
    ],
)
def test_what_a_plain_value_has_no_more_is_no_evidence(test: str) -> None:
    """A right program may give an object of a class that it derived from a built-in one, which crosses without it."""
    (result,) = run_many([Program(PLAIN, "function", (Test(test),), "f")], limits=LIMITS, workers=1)
    assert result.status == "infra_error", result


@pytest.mark.parametrize("mode", ["isolated", "fast"])
def test_what_a_plain_value_still_is_is_judged(mode: Any) -> None:
    tests = [
        "assert f() == Level.HIGH and Level.LOW < f() and max(Level) == 2000 and len(recent()) == 0",
        "assert f() == Level.LOW",
        "assert numbers() == [2]",
        "assert name_of(Level.LOWER) == 'LOW'",
    ]
    assert_judged_alike([(PLAIN, test) for test in tests], mode)


OVERRIDES = """
from collections import OrderedDict
class Recent(OrderedDict):
    def __init__(self, size):
        super().__init__()
        self.size = size
    def get(self, key): return self[key] if key in self else -1
class Tail(list):
    def pop(self): return None
class Named(list):
    def first(self): return self[0]
def f(): return Tail([1])
"""


@pytest.mark.parametrize("test", ["assert Recent(2).get(1) == -1", "assert Tail([1]).pop() == 1", "f()\nTail([2])"])
def test_what_a_derived_container_does_otherwise_is_no_evidence(test: str) -> None:
    (result,) = run_many([Program(OVERRIDES, "function", (Test(test),), "f")], limits=LIMITS, workers=1)
    assert result.status == "infra_error" and "cross as plain values" in str(result.error_message), result


@pytest.mark.parametrize("mode", ["isolated", "fast"])
def test_what_a_derived_container_does_alike_is_judged(mode: Any) -> None:
    tests = [
        "assert f() == [1] and f().pop() == 1",
        "assert Named([3])[0] == 3 and len(Named([3])) == 1",
        "assert f().pop() == 2",
    ]
    assert_judged_alike([(OVERRIDES.replace("def pop(self)", "def last(self)"), test) for test in tests], mode)


FOLDED = """
class Folded(dict):{}
    def __setitem__(self, key, value): super().__setitem__(key.lower(), value)
    def __getitem__(self, key): return super().__getitem__(key.lower())
"""


@pytest.mark.parametrize("more", ["", "\n    _fields = ('a',)"], ids=["", "with the names of items that it has not"])
@pytest.mark.parametrize(
    "test",
    [
        "d = Folded()\nd['A'] = 1\nassert d['a'] == 1",
        "d = Folded()\nd['A'] = 1\nassert d['A'] == 1",
        "def check(make):\n    d = make()\n    d['A'] = 1\n    assert list(d) == ['a']\ncheck(candidate)",
        "def check():\n    d = candidate()\n    d['A'] = 1\n    assert 'a' in d and len(d) == 1\ncheck()",
    ],
)
def test_an_entry_point_derived_from_a_container_is_no_evidence_where_it_does_otherwise(test: str, more: str) -> None:
    """Whatever tests do with one may be what the container can do too; that they give it a name tells of a class."""
    program = Program(FOLDED.format(more), "function", (Test(test),), "Folded")
    (result,) = run_many([program], limits=LIMITS, workers=1)
    assert result.status == "infra_error" and "cross as plain values" in str(result.error_message), result


OPERATIONS_OF_ITS_OWN = """
import enum
from collections import namedtuple
from typing import NamedTuple

class Money(int):
    def __str__(self): return f'${int(self)}'
class Name(str):
    def __eq__(self, other): return str.lower(self) == str(other).lower()
    def __hash__(self): return hash(str.lower(self))
class Pair(tuple):
    def index(self, value): return 5
class Vector(NamedTuple):
    x: int
    y: int
    def __add__(self, other): return Vector(self.x + other.x, self.y + other.y)
    def __sub__(self, other): return Vector(self.x - other.x, self.y - other.y)
    def __abs__(self): return abs(self.x) + abs(self.y)
    def __bool__(self): return self.x != 0
    def size(self): return 2
class Point(namedtuple('Point', 'x y')):
    def __str__(self): return f'<{self.x}, {self.y}>'
    def count(self, value): return 7
class Liar(NamedTuple):
    x: int
    def __eq__(self, other): return True
class Number(int):
    def __eq__(self, other): return True
class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2
class Mode(str, enum.Enum):
    READ = 'r'
class Celsius(float):
    def __new__(cls, degrees): return super().__new__(cls, degrees)
    __str__ = float.__str__
def f(x): return Liar(x)
def number(x): return Number(x)
"""


@pytest.mark.parametrize(
    "test, entry_point",
    [
        ("assert str(Money(5)) == '$5'", "Money"),
        ("assert str(Money(5)) == '5'", "f"),
        ("assert Name('Ab') == 'aB'", "Name"),
        ("assert Pair((1,)).index(1) == 0", "f"),
        ("assert Vector(1, 2) + Vector(3, 4) == (4, 6)", "Vector"),
        ("assert Vector(1, 2) + Vector(3, 4) == Vector(1, 2) + (3, 4)", "f"),
        ("assert Vector(3, 4) - Vector(1, 2) == (2, 2)", "f"),
        ("assert abs(Vector(3, -4)) == 7", "f"),
        ("assert Point(1, 2).count(3) == 7", "f"),
        ("assert Liar(1) == 2", "f"),
        ("assert Liar(1) in [2]", "f"),
    ],
)
def test_what_a_derived_class_does_otherwise_is_no_evidence_where_a_test_means_it(test: str, entry_point: str) -> None:
    program = Program(OPERATIONS_OF_ITS_OWN, "function", (Test(test),), entry_point)
    (result,) = run_many([program], limits=LIMITS, workers=1)
    assert result.status == "infra_error" and "cross" in str(result.error_message), result


@pytest.mark.parametrize("mode", ["isolated", "fast"])
def test_what_a_derived_class_does_alike_is_judged(mode: Any) -> None:
    tests = [
        "assert Vector(1, 2) == (1, 2) and Vector(1, 2).size() == 2 and list(Vector(1, 2)) == [1, 2]",
        "assert Vector(1, 2) == (1, 3)",
        "assert Vector(1, 2) * 2 == (1, 2, 1, 2) and {Vector(1, 2): 3}[1, 2] == 3 and Vector(1, 2) < (1, 3)",
        "assert Point(1, 2).x == 1 and repr(Point(1, 2)) == 'Point(x=1, y=2)'",
        "assert Level.LOW == 1 and Level.HIGH > Level.LOW and sorted(Level) == [1, 2]",
        "assert Mode.READ == 'r' and Mode.READ.startswith('r')",
        "assert Celsius(3) == 3 and str(Celsius(3)) == '3.0'",
    ]
    assert_judged_alike([(OPERATIONS_OF_ITS_OWN, test) for test in tests], mode)


@pytest.mark.parametrize(
    "test", ["assert f(1) == 2", "assert f(1) == f(2)", "assert number(1) == 2", "assert f(1) in {2}"]
)
def test_a_function_s_answers_are_the_values_that_they_are_derived_from(test: str) -> None:
    """Or a program would be right by an `__eq__` that is always true."""
    (result,) = run_many([Program(OPERATIONS_OF_ITS_OWN, "function", (Test(test),), "f")], limits=LIMITS, workers=1)
    assert result.status == "wrong", result

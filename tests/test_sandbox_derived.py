"""Values of classes that a program derives from tuple, str or int: judged as in one process, or not at all."""

from typing import Any

import pytest

from sandbox.pool import run_many
from sandbox.verdict import Program, Test
from tests.one_process import LIMITS, assert_judged_alike, in_one_process

SOURCE = """
from collections import namedtuple
from enum import Enum, IntEnum
from typing import NamedTuple

Slot = namedtuple('Slot', 'index count')

class Line(NamedTuple):
    x: int
    y: int = 2
    KIND = 'line'
    def __call__(self, z, *, more=0): return self.x + z + more
    @property
    def total(self): return self.x + self.y
    @classmethod
    def zero(cls): return cls(0, 0)
    def scaled(self, k): return Line(self.x * k, self.y * k)

class Own(NamedTuple):
    x: int
    y: int
    def __str__(self): return 'own'
    def __repr__(self): return f'Own<{self.x}>'
    def __bool__(self): return self.x > 1
    def __len__(self): return 7
    def __eq__(self, other): return isinstance(other, Own) and self.x == other.x
    def __hash__(self): return 1
    def __format__(self, how): return 'formatted'
    def __add__(self, other): return Own(self.x + other.x, 0)

class Color(str, Enum):
    RED = 'red'
    def __str__(self): return 'RED!'

class Level(IntEnum):
    LOW = 1

class Text(str):
    def __str__(self): return 'other'

class Held(NamedTuple):
    items: list
    def __len__(self):
        self.items.append(0)
        return 7

ROOM = [1]
VALUES = {'slot': Slot(3, 4), 'line': Line(1), 'own': Own(1, 2), 'red': Color.RED, 'low': Level.LOW, 'text': Text('a')}
VALUES['twice'] = [ROOM, ROOM, Held(ROOM)]
def f(name): return VALUES[name]
def card(who):
    class Card(NamedTuple):
        who: str
        def hello(self): return f'hello {self.who}'
        def __str__(self): return f'<{self.who}>'
    return Card(who)
def name(value): return type(value).__name__
"""
ALIKE = """
assert f('slot').index == 3 and f('slot').count == 4
assert f('slot').index == 4
assert f('slot') == (3, 4) and Slot(3, 4).count == 4
assert name(f('slot')) == 'Slot'
assert f('line')(5) == 6 and f('line')(5, more=1) == 7
assert f('line')(5) == 7
assert callable(f('line')) and not callable(f('slot'))
assert f('line').total == 3 and f('line').scaled(2).total == 6 and f('line')._replace(x=5).total == 7
assert f('line').zero() == (0, 0) and f('line').KIND == 'line'
assert str(f('own')) == 'own' and repr(f('own')) == 'Own<1>' and str([f('own')]) == '[Own<1>]'
assert str(f('own')) == 'Own(x=1, y=2)'
assert len(f('own')) == 7
assert len(f('own')) == 2
assert not f('own')
assert f('own')
assert f('own').x == 1 and f('own')[1] == 2
assert card('you').hello() == 'hello you' and str(card('me')) == '<me>' and card('me') == ('me',)
assert f('red') == 'red' and f('red').upper() == 'RED' and 'a' + f('red') == 'ared'
assert f('red') == 'blue'
assert f('low') == 1 and f('low') + 1 == 2
assert f('text') == 'a' and ''.join([f('text')]) == 'a'
assert f('red') == 'red', f"got {f('red')}"; print('passed', f"all {f('low')}")
assert f('red') == 'blue', str(f('red')) + '%s' % f('low')
assert isinstance(f('red'), str) and isinstance(f('low'), (int, str)) and not isinstance(f('red'), int)
assert (f('red') is not None) is True and f('low') % 2 == 1
r = f('twice'); n = len(r[2]); r[0].append(5); assert r[0] is r[1] and n == 7 and r[2].items == [1, 0, 5]
""".strip().split("\n")
ALIKE += [
    "def same(got: str, wanted: str) -> None:\n    if got != wanted: raise AssertionError(f'{got}')\n"
    "same(f('red'), 'red'); same('50%', '50%')",
]
# What looks at a value that is not the program's own here.
NO_EVIDENCE = """
assert f('own') == Own(1, 9)
assert (f('own') + f('own')).x == 2
assert f('own') + (3,) == (1, 2, 3)
assert f'{f("own")}' == '(1, 2)'
assert str(f('red')) == 'red'
assert str(f('red')) == 'RED!'
assert '%s' % f('red') == 'red'
assert f'{f("red")}' == 'red'
assert f('red') is Color.RED
assert type(f('red')) is str
assert str(f('text')) == 'a'
assert str(f('low')) == 'Level.LOW'
assert isinstance(f('low'), Level)
assert f('red').value == 'red'
assert hasattr(f('red'), 'value')
from enum import Enum; assert isinstance(f('red'), Enum)
from io import StringIO; out = StringIO(); print(f('red'), file=out, end=''); assert out.getvalue() == 'red'
""".strip().split("\n")
NO_EVIDENCE += [
    "from contextlib import redirect_stdout\nfrom io import StringIO\n"
    "with redirect_stdout(StringIO()) as out: print(f('red'), end='')\nassert out.getvalue() == 'red'",
]


@pytest.mark.parametrize("mode", ["isolated", "fast"])
def test_they_are_judged_as_in_one_process(mode: Any) -> None:
    assert_judged_alike([(SOURCE, test) for test in ALIKE], mode)


def test_what_looks_at_them_closer_is_no_evidence() -> None:
    programs = [Program(SOURCE, "function", (Test(test),), "f", key=test) for test in NO_EVIDENCE]
    found = {result.key: result.status for result in run_many(programs, limits=LIMITS)}
    assert found == dict.fromkeys(NO_EVIDENCE, "infra_error")
    assert {in_one_process(SOURCE, test) for test in NO_EVIDENCE} >= {"passed", "wrong"}


def judged(setup: str, *tests: str) -> list[str]:
    (result,) = run_many([Program(SOURCE, "function", tuple(map(Test, tests)), "f", setup)], limits=LIMITS)
    return [test.status for test in result.tests]


def test_what_the_setup_s_functions_look_at_counts() -> None:
    check = "def check(got, wanted): assert str(got) == wanted"
    assert judged(check, "check(f('red'), 'red')", "check(f('red'), 'RED!')") == ["infra_error"] * 2
    assert judged(check, "check(f('line').x, '1')", "check(f('line').x, '2')") == ["passed", "wrong"]


def test_only_what_a_test_or_the_setup_was_given_counts() -> None:
    assert judged("", "assert f('red') == 'red'", "assert str(f('line').x) == '1'") == ["passed", "passed"]
    assert judged("", "assert f('red') == 'red'", "assert str(f('line').x) == '2'") == ["passed", "wrong"]
    assert judged("given = f('red')", "assert given == 'red'", "assert str(given) == 'red'") == [
        "passed",
        "infra_error",
    ]

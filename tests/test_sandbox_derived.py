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

class Color(str, Enum):
    RED = 'red'
    def __str__(self): return 'RED!'

class Level(IntEnum):
    LOW = 1

class Text(str):
    def __str__(self): return 'other'

VALUES = {'slot': Slot(3, 4), 'line': Line(1), 'own': Own(1, 2), 'red': Color.RED, 'low': Level.LOW, 'text': Text('a')}
def f(name): return VALUES[name]
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
assert f('red') == 'red' and f('red').upper() == 'RED' and 'a' + f('red') == 'ared'
assert f('red') == 'blue'
assert f('low') == 1 and f('low') + 1 == 2
assert f('text') == 'a' and ''.join([f('text')]) == 'a'
""".strip().split("\n")
# What looks at a value that is not the program's own here.
NO_EVIDENCE = """
assert f('own') == Own(1, 9)
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
""".strip().split("\n")


@pytest.mark.parametrize("mode", ["isolated", "fast"])
def test_they_are_judged_as_in_one_process(mode: Any) -> None:
    assert_judged_alike([(SOURCE, test) for test in ALIKE], mode)


def test_what_looks_at_them_closer_is_no_evidence() -> None:
    programs = [Program(SOURCE, "function", (Test(test),), "f", key=test) for test in NO_EVIDENCE]
    found = {result.key: result.status for result in run_many(programs, limits=LIMITS)}
    assert found == dict.fromkeys(NO_EVIDENCE, "infra_error")
    assert {in_one_process(SOURCE, test) for test in NO_EVIDENCE} == {"passed", "wrong"}

"""Objects of the program's own classes that tests put into sets and dictionaries, or look for there."""

from typing import Any

import pytest

from sandbox.pool import run_many
from sandbox.verdict import Program, Test
from tests.one_process import LIMITS, assert_judged_alike

SOURCE = """
class Point:
    def __init__(self, x): self.x = x
    def __eq__(self, other): return isinstance(other, Point) and self.x == other.x
    def __hash__(self): return hash(self.x)

class Node:
    def __init__(self, x): self.x = x

class Unhashed:
    def __init__(self, x): self.x = x
    def __eq__(self, other): return self.x == other.x

class Failing:
    def __hash__(self): raise ValueError('none')

class Bad(ValueError):
    __hash__ = None

def f(x): return Point(x)
def nodes(): return [Node(1), Node(2)]
def ways(): return {Point(1): 'a'}
"""
TESTS = [
    "assert len({f(1), f(2)}) == 2",
    "assert len({f(1), f(2)}) == 3",
    "a, b = Point(1), Point(2)\nassert {a: 1}[a] == 1 and a not in {b} and hash(a) == hash(Point(1)) == hash(1)",
    "assert hash(Point(1)) == hash(Point(2))",
    "for way in ways(): assert {way: 1}[way] == 1 and ways != {way: 'a'}",
    "d = ways()\nk = next(iter(d))\nd[k] = 'b'\nassert d == {k: 'b'} and k in {k}",
    "x, y = nodes()\nassert len({x, y, x}) == 2 and x in {x: 1} and y not in {x}",
    "assert len({Unhashed(1), Unhashed(2)}) == 2",
    "u = Unhashed(1)\nassert {u: 1}",
    "hash(Unhashed(1))",
    "try:\n    hash(Unhashed(1))\nexcept TypeError: pass\nelse: assert False",
    "try:\n    hash(Failing())\nexcept ValueError: pass\nelse: assert False",
    "assert {Bad(1)}",
    "assert len({f, Point, Node}) == 3",
]


@pytest.mark.parametrize("mode", ["isolated", "fast"])
def test_objects_are_hashed_as_in_one_process(mode: Any) -> None:
    assert_judged_alike([(SOURCE, test) for test in TESTS], mode)


@pytest.mark.parametrize(
    "test",
    [
        "assert len({f(1), f(2)}) == 2",
        "assert f(1) not in {f(2): 1}",
        "assert f(1) not in given()",
        "assert Other(1) not in given()",
        "assert len({Wrong(1), Wrong(2)}) == 2",
    ],
)
def test_objects_of_which_all_are_equal_pass_no_test_that_collects_them(test: str) -> None:
    source = """
class Same:
    def __init__(self, x): self.x = x
    def __eq__(self, other): return True
    def __hash__(self): return 1
class Other(Same): pass
class Wrong(Same, Exception): pass
def f(x): return Same(x)
def given(): return {Same(1)}
"""
    (result,) = run_many([Program(source, "function", (Test(test),), "f")], limits=LIMITS, workers=1)
    assert result.status == "infra_error", result


def test_nothing_is_asked_while_a_reply_is_read() -> None:
    """The program gives a set of two that the test has hashed before, and of which the hashes are the same."""
    source = """
class Alone:
    def __eq__(self, other): return self is other
    def __hash__(self): return 1
class f:
    def __init__(self): self.all = [Alone(), Alone()]
    def collected(self): return set(self.all)
"""
    test = "x = f()\none, other = x.all\n{one}, {other}\nassert len(x.collected()) == 2 and len(x.all) == 2"
    (result,) = run_many([Program(source, "function", (Test(test),), "f")], limits=LIMITS, workers=1)
    assert result.status == "infra_error" and "objects of Alone" in str(result.error_message), result

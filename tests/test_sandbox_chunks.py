"""Programs handed over in chunks get the verdicts they get alone, whatever their neighbours do."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from sandbox import wire
from sandbox.assemble import is_ending
from sandbox.slot import Settings, Slot
from sandbox.verdict import Limits, Program, Result, Test
from sandbox.wire import CHUNK
from tests.test_sandbox_pool import FRAMES

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the walls are Linux's")

LIMITS = Limits(steps=300_000, cpu_seconds=1, wall_seconds=60, memory_mb=256, output_bytes=1 << 20)
GOOD = Program("def f(x): return x + 1", "function", (Test("assert f(1) == 2"), Test("assert f(2) == 3")), "f")


def function(source: str, *tests: str, setup: str = "") -> Program:
    return Program(source, "function", tuple(map(Test, tests or ("assert f(1) == 2", "assert f(2) == 3"))), "f", setup)


# Each is put between two good programs.
NEIGHBOURS = {
    "it loops": function("def f(x):\n    while True: pass"),
    "it loops after an answer": function("def f(x):\n    while x > 1: pass\n    return 2"),
    "it loops in C after an answer": function("def f(x):\n    return sum(iter(int, x - 1)) + 2"),
    "it wants all memory": function("def f(x): return [0] * 10**10"),
    "it does not parse": function("def f(x:"),
    "it is refused": function("import subprocess"),
    "it is refused as it runs": function("def f(x): return getattr(x, '__cla' + 'ss__')"),
    "it is wrong": function("def f(x): return 2"),
    "it raises": function("def f(x): return 1 / (x - 1)"),
    "it has no tests": Program("def f(x): return 2", "function", (), "f"),
    "it is too long": function("#" * (1 << 20)),
    "it answers at length": function("def f(x): return 'x' * (x << 19)", "assert len(f(1)) == 1 << 19", "f(2)"),
    "it answers often and at length": function("def f(x): return 'x' * (1 << 19)", *["assert len(f(1)) > 9"] * 9),
    "it is asked at length": function("def f(x): return len(x)", f"assert f('{'x' * 300_000}') == 300_000"),
    "it gives a handle out": function(
        "def f(x):\n    class A: pass\n    a = A()\n    a.x = x + 1\n    return a",
        "assert f(1).x == 2",
        "assert f(4).x == 5",
    ),
    "the tests ask for more than was foreseen": function(
        "def g(x): return x - 1\ndef f(x): return x + 1", "assert h(f(1)) == 1", setup="def h(x): return g(x)"
    ),
    "the tests fail by themselves": function("def f(x): return 2", "assert f(1) == y"),
    "the tests meddle": function("def f(x): return 2", "import math\nmath.pi = 3\nassert f(1) == 2"),
    "the tests loop": function("def f(x): return 2", "f(1)\nwhile True: pass"),
    "a stdio program": Program("print(input())", "stdio", (Test(stdin="5", stdout="5"), Test(stdin="6", stdout="5"))),
    "it may change the library": function("import re\nre.I._value_ = 0\ndef f(x): return x + 1"),
}
PI = function("def f(x): return x", "import math\nassert f(math.pi) == 3.141592653589793")


def seen(result: Result) -> Result:
    return replace(result, wall_ms=0, cpu_ms=0, peak_kb=0)


@pytest.fixture(scope="module", params=["isolated", "fast"])
def verdicts(request: pytest.FixtureRequest) -> Iterator[dict[str, tuple[list[Result], list[Result]]]]:
    """Per neighbour: the verdicts in a chunk, and those of each alone."""
    slot = Slot(Settings(limits=LIMITS, fast=request.param == "fast", audit_every=10**9))
    alone = Slot(Settings(limits=LIMITS))
    found = {}
    try:
        for name, neighbour in NEIGHBOURS.items():
            programs = [replace(one, key=str(key)) for key, one in enumerate([GOOD, PI, neighbour, GOOD, PI])]
            found[name] = slot.judge_many(programs), [alone.judge(one) for one in programs]
        yield found
    finally:
        slot.close()
        alone.close()


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_a_verdict_does_not_depend_on_the_neighbours(
    name: str, verdicts: dict[str, tuple[list[Result], list[Result]]]
) -> None:
    together, alone = verdicts[name]
    assert list(map(seen, together)) == list(map(seen, alone))
    assert [one.status for one in together[:2] + together[3:]] == ["passed"] * 4


def test_the_tests_are_asked_again_only_where_they_wanted_more_than_was_foreseen() -> None:
    slot = Slot(Settings(limits=LIMITS))
    try:
        programs = [GOOD, NEIGHBOURS["the tests ask for more than was foreseen"], NEIGHBOURS["it gives a handle out"]]
        rounds = slot._chunk("worker", programs)
        assert [one is None for one in rounds] == [False, True, True]
        assert [result.status for result in slot.judge_many(programs)] == ["passed"] * 3
    finally:
        slot.close()


@pytest.mark.parametrize("fast", [False, True])
def test_a_whole_chunk_of_long_answers_does_not_stand_still(fast: bool) -> None:
    """Each answer is more than a socket holds, so that somebody must read while the others are being asked."""
    slot = Slot(Settings(limits=LIMITS, fast=fast, audit_every=10**9))
    long = function("def f(x): return x * 700_000", "assert len(f('y')) == 700_000", f"f('{'z' * 31_000}'[:1])")
    try:
        started = time.monotonic()
        results = slot.judge_many([long] * CHUNK)
        assert [result.status for result in results] == ["passed"] * CHUNK, results
        assert time.monotonic() - started < LIMITS.wall_seconds / 2, "nobody waited for the wall clock"
    finally:
        slot.close()


def test_an_isolated_program_has_no_other_program_s_channel() -> None:
    source = """
import errno, os
def f():
    found = []
    for number in range(3, 64):
        try: os.read(number, 0)
        except OSError as error: assert error.errno == errno.EBADF
        else: found.append(number)
    return len(found)
"""
    slot = Slot(Settings(limits=LIMITS, language_layer=False))
    try:
        results = slot.judge_many([function(source, "assert f() == 1")] * 4)
        assert [result.status for result in results] == ["passed"] * 4, results
    finally:
        slot.close()


def test_a_program_that_stands_still_costs_its_neighbours_nothing() -> None:
    still = function(FRAMES + "def f(x):\n    os.read(channel.fd, 1 << 20)\n    os.read(channel.fd, 1)\n    return 2")
    limits = replace(LIMITS, wall_seconds=2)
    slot = Slot(Settings(limits=limits, language_layer=False))
    try:
        results = slot.judge_many([GOOD, still, GOOD])
        assert [result.status for result in results] == ["passed", "time_limit", "passed"]
        assert results[1].error_message == "stopped after 2 seconds of wall clock"
    finally:
        slot.close()


def test_a_program_that_stands_still_does_not_have_the_tests_blamed_for_its_answer() -> None:
    """Tests that ran over are run again without its answers: then it must not matter that it gives none."""
    still = FRAMES + "def f(x):\n    if x: os.read(channel.fd, 1)\n    return 10**10"
    tests = (Test("for i in range(f(0)): pass"), Test("assert f(1) == 2"))
    slot = Slot(Settings(limits=replace(LIMITS, cpu_seconds=1, wall_seconds=6), language_layer=False))
    try:
        result = slot.judge(Program(still, "function", tests, "f"))
        assert result.status == "time_limit"
        assert (
            result.error_message == "the tests ran over 1 CPU seconds with what the program gave, and would not without"
        )
    finally:
        slot.close()


@pytest.mark.parametrize(
    "forged",
    [
        '{"exit": 0, "cpu_ms": 0.0}',
        '{"exit": 0, "cpu_ms": 0.0, "job": "00"}',
        '{"exit": 0, "cpu_ms": "much"}',
        '{"exit": 0, "cpu_ms": 1%s}' % (400 * "0"),
        '{"syntax": "E"}',
        "3",
    ],
)
def test_what_a_broken_out_program_says_for_the_next_ones_is_not_believed(forged: str) -> None:
    """In fast mode it holds the socket to the supervisor: it may write there, then end."""
    source = f"import os, struct\nsaid = b'[{forged}]'\n"
    source += "for number in range(3, 40):\n    try: os.write(number, struct.pack('<I', len(said)) + said)\n"
    source += "    except OSError: pass\nos._exit(9)\n"
    slot = Slot(Settings(limits=LIMITS, language_layer=False, fast=True, audit_every=10**9))
    try:
        for size in (1, 3):
            results = slot.judge_many([function(source), *[GOOD] * (size - 1)])
            results += [slot.judge(GOOD), slot.judge(function("def f(:"))]
            assert [result.status for result in results] == ["killed", *["passed"] * size, "exception"], results
    finally:
        slot.close()


@pytest.mark.parametrize(
    "usage",
    ['"cpu_ms": NaN', '"cpu_ms": 1e999', '"cpu_ms": -1', '"peak_kb": 1' + 40 * "0", '"peak_kb": -1', '"exit": 256'],
)
def test_an_ending_that_no_table_takes_is_none(usage: str) -> None:
    """In fast mode a program that broke out may be who says it, and a column of 64 bits is what reads it."""
    assert is_ending(json.loads('{"exit": 0, "cpu_ms": 1.5, "peak_kb": 18000, "job": "00"}'))
    assert not is_ending(json.loads(f"{{{usage}}}"))


def test_a_message_that_comes_byte_by_byte_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte in time, all of them never: who does so in fast mode would hold up its slot for ever."""
    clock = iter(range(1_000))

    class Dribble:
        def settimeout(self, seconds: float) -> None: ...

        def recv(self, size: int) -> bytes:
            return b"\1"

    monkeypatch.setattr(wire.time, "monotonic", lambda: next(clock))
    with pytest.raises(TimeoutError, match="half a message"):
        wire.receive_up(Dribble(), 10)  # type: ignore[arg-type]


def test_a_program_that_becomes_the_judges_code_judges_no_other() -> None:
    """A test that evaluates an answer hands the program the judge; the next programs get another."""
    words = "setattr(__import__('sys').modules['sandbox.judge'], '_execute', lambda *a: ('passed', '', '')) or 3"
    program = function(f"def f(x): return {words!r}", "assert eval(f(1)) == 3")
    slot = Slot(Settings(limits=LIMITS))
    try:
        results = slot.judge_many([program, function("def f(x): return 7"), GOOD])
        results += slot.judge_many([program]) + slot.judge_many([function("def f(x): return 7")])
        assert [result.status for result in results] == ["passed", "wrong", "passed", "passed", "wrong"]
    finally:
        slot.close()


@pytest.mark.parametrize(
    "test",
    [
        "typing.get_type_hints(f)",
        "typing.get_type_hints(type(f(1)))",
        "typing.get_type_hints(functools.wraps(f)(lambda: 1))",
        "functools.singledispatch(len).register(f)",
        "inspect.get_annotations(functools.wraps(f)(lambda: 1), eval_str=True)",
    ],
)
def test_annotations_are_no_code_of_the_judge(test: str) -> None:
    judges = "().__class__.__base__.__subclasses__() if c.__name__ == 'Judge'"
    words = f"[c.loop.__globals__.update(_outcome=lambda *a: ('passed', '', '')) for c in {judges}] and int"
    program = function(
        f"class C: x: {words!r}\ndef f(x: {words!r}): return C()",
        f"import functools, inspect, typing\n{test}\nassert not f",
    )
    slot = Slot(Settings(limits=LIMITS))
    try:
        results = slot.judge_many([program, function("def f(x): return 7"), GOOD])
    finally:
        slot.close()
    assert results[0].status == ("passed" if "eval_str" in test else "infra_error"), results[0]
    assert [result.status for result in results[1:]] == ["wrong", "passed"]


_LATE = "import gc\nfor i in range(9): gc.collect()\n"
_SPINS = (
    "import asyncio\nasync def many():\n    yield 1\n    yield 2\nasync def f(x):\n    while x < 0: pass\n    return x"
)


@pytest.mark.parametrize(
    "source, left, after",
    [
        (
            "def f(x): return x",
            "def walk():\n    try: yield f(1)\n    finally: f(2)\ng = walk()\nassert next(g) == 1",
            f"{_LATE}assert f(1) == 1",
        ),
        (
            _SPINS,
            "import asyncio\nasync def walk():\n    try:\n        async for x in many(): yield x\n"
            "    finally: await f(2)\nasync def main():\n    global g\n    g = walk()\n"
            "    async for x in g: await f(-x)\n"
            "asyncio.run(main())",
            f"import asyncio\nasync def main():\n    {_LATE.replace(chr(10), chr(10) + '    ')}\n"
            "    await asyncio.sleep(1)\n    assert await f(1) == 1\nasyncio.run(main())",
        ),
    ],
    ids=["a generator", "an asynchronous one"],
)
def test_what_ends_late_asks_no_other_program(source: str, left: str, after: str) -> None:
    """By then its channel's number may be another's."""
    slot = Slot(Settings(limits=LIMITS))
    try:
        slot.judge(function(source, f"import gc\ngc.collect()\n{after}"))
        first = slot.judge(function(source, left))
        then = slot.judge(function(source, after))
    finally:
        slot.close()
    assert first.status in ("passed", "step_limit"), first
    assert then.status == "passed", then


def test_a_stdio_program_that_runs_into_limits_three_times_is_not_run_on_its_other_tests() -> None:
    slot = Slot(Settings(limits=LIMITS))
    source = "n = int(input())\nwhile n: pass\nprint(n)"
    tests = tuple(Test(stdin=str(n), stdout="0") for n in (1, 0, 1, 0, 1, 0, 1))
    try:
        result = slot.judge(Program(source, "stdio", tests))
        limited, given_up = "step_limit", "not run: 3 tests before it ended by a limit of steps or time"
        assert [test.status for test in result.tests] == [limited, "passed", limited, "passed", *[limited] * 3]
        assert [test.message for test in result.tests[4:]] == ["more than 300000 steps", given_up, given_up]
        assert result.steps < 4 * LIMITS.steps and result.num_passed == 2
    finally:
        slot.close()


def test_an_answer_is_seen_as_it_was_when_its_test_asked() -> None:
    """Both calls are foreseen; asked for at once, the second would change what the first one's test looks at."""
    source = "class A: x = 0\na = A()\ndef f(x):\n    a.x = x\n    return a"
    slot = Slot(Settings(limits=LIMITS))
    try:
        result = slot.judge(function(source, "assert f(1).x == 1", "assert f(2).x == 2"))
        assert result.status == "passed", result
        counting = "n = 0\ndef f(x):\n    global n\n    n += 1\n    return n"
        result = slot.judge(function(counting, "assert f(1) == 2, f(1)", "assert f(1) == 3"))
        assert [(test.status, test.message) for test in result.tests] == [
            ("wrong", "AssertionError: 2"),
            ("passed", ""),
        ]
    finally:
        slot.close()

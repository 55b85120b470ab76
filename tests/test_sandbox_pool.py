"""The pool outlives whatever happens to it: programs that eat a resource, programs that lie, processes that die."""

import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox import slot as slots
from sandbox.pool import run_many, run_with
from sandbox.process import HardeningError, Process, Settings
from sandbox.slot import Slot
from sandbox.verdict import Limits, Program, Result, Test
from sandbox.wire import CHUNK

LIMITS = Limits(steps=300_000, cpu_seconds=0.8, wall_seconds=30, memory_mb=256, output_bytes=1 << 20)
GOOD = Program("def f(x): return x + 1", "function", (Test("assert f(1) == 2"),), "f", key="good")


def function(body: str, *tests: str, key: str = "") -> Program:
    return Program(body, "function", tuple(map(Test, tests or ("f()",))), "f", key=key)


def stdio(source: str, stdin: str = "", stdout: str = "") -> Program:
    return Program(source, "stdio", (Test(stdin=stdin, stdout=stdout),))


# Programs that eat a resource: the status and the reason they must get.
CPU = "^stopped after 0.8 CPU seconds$"
STEPS = "^more than 300000 steps$"
EATERS: dict[str, tuple[str, str, str]] = {
    "a loop": ("while True: pass", "step_limit", STEPS),
    "a loop that catches everything": (
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "step_limit",
        STEPS,
    ),
    "a loop in finally": ("try:\n    while True: pass\nfinally:\n    while True: pass", "step_limit", STEPS),
    "recursion in finally": (
        "def g():\n    try: g()\n    finally: g()\ng()",
        "step_limit|exception|time_limit",
        "steps|recursion|CPU",
    ),
    "a generator": ("def g():\n    while True: yield 1\nsum(g())", "step_limit", STEPS),
    "a comprehension": ("import itertools\n[0 for x in itertools.repeat(1)]", "step_limit|memory_limit", "steps|MB"),
    "a sort key": ("sorted(range(10**7), key=lambda x: -x)", "step_limit|memory_limit", "steps|MB"),
    "iter with a sentinel": ("for x in iter(int, 1): pass", "step_limit", STEPS),
    "a sum in C": ("import itertools\nsum(itertools.count())", "time_limit", CPU),
    "any over repeat": ("import itertools\nany(map(bool, itertools.repeat(0)))", "time_limit", CPU),
    "all over cycle": ("import itertools\nall(itertools.cycle([1]))", "time_limit", CPU),
    "max over count": ("import itertools\nmax(itertools.count())", "time_limit", CPU),
    "in count": ("import itertools\n-1 in itertools.count()", "time_limit", CPU),
    "deque of nothing": ("import collections, itertools\ncollections.deque(itertools.count(), 0)", "time_limit", CPU),
    "a tower of powers": ("x = 9 ** 9 ** 9", "time_limit|memory_limit|exception", ""),
    "pow with three towers": ("pow(3, 10**400000, 10**400000 + 1)", "time_limit|exception", ""),
    "a regular expression": ("import re\nre.match('(a+)+$', 'a' * 40 + 'b')", "time_limit", CPU),
    "a factorial": ("import math\nmath.factorial(10**8)", "time_limit|memory_limit|exception", ""),
    "digits of a giant": ("import sys\nsys.set_int_max_str_digits(0)\nstr(1 << (1 << 26))", "time_limit|exception", ""),
    "a list": ("x = [0] * 10**10", "memory_limit", ""),
    "a string": ("x = 'a' * 10**11", "memory_limit", ""),
    "a doubling string": ("x = 'a'\nwhile True: x += x", "memory_limit", ""),
    "a doubling list": ("x = [0]\nwhile True: x += x", "memory_limit", ""),
    "a growing list": ("x = []\nfor i in range(290000): x.append(bytearray(1000))", "memory_limit", ""),
    "a range made a list": ("x = list(range(10**12))", "memory_limit", ""),
    "a range made a set": ("x = set(range(10**9))", "memory_limit|time_limit", ""),
    "bytes": ("x = bytes(10**12)", "memory_limit", ""),
    "a memory error that is caught, for ever": (
        "while True:\n    try: x = 'a' * 10**10\n    except MemoryError: pass",
        "step_limit|time_limit",
        "steps|CPU",
    ),
    "a format width": ("x = '%10000000000d' % 1", "memory_limit|exception", ""),
    "an f-string width": ("x = f'{1:10000000000d}'", "memory_limit|exception", ""),
    "ljust": ("x = ''.ljust(10**11)", "memory_limit", ""),
    "a product": ("import itertools\nlist(itertools.product(range(1000), repeat=4))", "memory_limit|time_limit", ""),
    "a flood of output": ("while True: print('x' * 1000)", "output_limit", "1048576"),
    "a flood in one print": ("print('x' * (1 << 22))", "output_limit", "1048576"),
    "a flood through write": ("import sys\nwhile True: sys.stdout.write('x' * 1000)", "output_limit", "1048576"),
    "a flood of nothing": ("while True: print(end='')", "step_limit", STEPS),
    "deep recursion": ("def g(n): return g(n + 1)\ng(0)", "exception", "recursion"),
    "deep recursion with a high limit": (
        "import sys\nsys.setrecursionlimit(10**9)\ndef g(n): return g(n + 1)\ng(0)",
        "exception|step_limit|memory_limit|killed",
        "",
    ),
    "recursion in C": (
        "import sys\nsys.setrecursionlimit(10**6)\nx = []\nfor i in range(200000): x = [x]\nrepr(x)",
        "exception|killed|memory_limit|time_limit|step_limit",
        "",
    ),
    "a deep nest freed": ("x = None\nfor i in range(200000): x = [x]\ndel x", "passed", ""),
    "brackets": ("x = " + "(" * 10_000 + ")" * 10_000, "exception|refused", ""),
    "unary minus": ("x = " + "-" * 100_000 + "1", "exception|refused", ""),
    "a long sum": ("x = " + "+".join(["1"] * 100_000), "exception|refused|passed", ""),
    "sleep": ("import time\ntime.sleep(10**9)", "passed|exception|time_limit|refused", ""),
    "input that never comes": ("input()", "exception", "EOFError"),
    "threads": ("import threading\nfor i in range(100): threading.Thread(target=print).start()", "passed|refused", ""),
    "files": ("x = [open(str(i), 'w') for i in range(10**6)]", "refused|exception", ""),
    "a NUL": ("x = 1\0", "exception", "SyntaxError"),
    "nothing": ("", "passed", ""),
}


@pytest.fixture(scope="module")
def eaten() -> dict[str, Result]:
    programs = [stdio(source) for source, _, _ in EATERS.values()]
    return dict(zip(EATERS, run_many(programs, limits=LIMITS, workers=2), strict=True))


@pytest.mark.parametrize("name", EATERS)
def test_a_program_that_eats_a_resource_gets_its_verdict(name: str, eaten: dict[str, Result]) -> None:
    _, statuses, reason = EATERS[name]
    result = eaten[name]
    assert result.status in statuses.split("|"), result
    assert re.search(reason, result.error_message or ""), result.error_message


def bare(*programs: Program, stop: bool = True, limits: Limits = LIMITS) -> list[Result]:
    """Judged with the language layer off: the program has all of CPython."""
    return list(run_with(programs, Settings(limits=limits, language_layer=False, stop=stop), workers=1))


# With the language layer off: what is left of a program that broke out of it.
BROKEN_OUT: dict[str, tuple[str, str, str]] = {
    "a fork bomb": ("import os\ndef f():\n    while True: os.fork()", "exception", "BlockingIOError"),
    "a loop without steps": ("def f():\n    while True: pass", "time_limit", CPU),
    "a loop deaf to signals": (
        "import signal\ndef f():\n    signal.signal(signal.SIGPROF, signal.SIG_IGN)\n"
        "    signal.signal(signal.SIGXCPU, signal.SIG_IGN)\n    while True: pass",
        "time_limit",
        CPU,
    ),
    "its own timer stopped": (
        "import signal\ndef f():\n    signal.setitimer(signal.ITIMER_PROF, 0)\n    while True: pass",
        "time_limit",
        CPU,
    ),
    "a memory bomb": ("def f():\n    x = [bytearray(1 << 20) for _ in range(10**6)]", "memory_limit", "256 MB"),
    "more descriptors": (
        "import os\ndef f():\n    return [os.dup(0) for _ in range(10**6)]",
        "exception",
        "PermissionError",
    ),
    "os._exit(0)": ("import os\ndef f():\n    os._exit(0)", "killed", r"ended by itself \(exit status 0\)"),
    "os._exit in the module": ("import os\nos._exit(0)", "killed", r"exit status 0"),
    "os.abort()": ("import os\ndef f():\n    os.abort()", "killed", "SIG(SYS|ABRT|SEGV)"),
    "a null pointer": ("import ctypes\ndef f():\n    ctypes.string_at(0)", "killed", r"\(SIGSEGV\)"),
    "a forbidden system call": ("import os\ndef f():\n    os.kill(1, 9)", "killed", r"\(SIGSYS\)"),
    "a recursion that smashes the stack": (
        "import sys\ndef f():\n    sys.setrecursionlimit(10**9)\n    x = []\n    for _ in range(10**7): x = [x]\n"
        "    return repr(x)",
        "killed|time_limit|memory_limit",
        "",
    ),
}
FRAMES = """
import gc, os, struct, sys
from sandbox.wire import Channel
channel = next(value for value in gc.get_objects() if isinstance(value, Channel) and value.nonce != bytes(8))
def frame(number, payload, nonce=None):
    os.write(channel.fd, struct.pack('<8sII', nonce or channel.nonce, number, len(payload)) + payload)
"""
FORGERIES: dict[str, tuple[str, str]] = {
    "a wrong nonce": (
        "frame(1, b'[\"v\",0,2,[],[]]', b'12345678')",
        "protocol violation: a frame with a foreign nonce",
    ),
    "a number too far": (
        "frame(9, b'[\"v\",0,2,[],[]]')",
        "protocol violation: expected the answer to call 1, found one to 9",
    ),
    "a number gone by": (
        "frame(0, b'[\"v\",0,2,[],[]]')",
        "protocol violation: expected the answer to call 1, found one to 0",
    ),
    "no JSON": ("frame(1, b'nonsense')", "protocol violation: no tree: JSONDecodeError"),
    "a JSON object": ('frame(1, b\'{"status": "passed"}\')', "protocol violation: expected a tree of lists"),
    "no reply": ("frame(1, b'[1]')", "protocol violation: not a reply"),
    "an unknown kind": ("frame(1, b'[\"passed\",0,2,[]]')", "protocol violation: a reply of no known kind"),
    "a status it may not give itself": (
        'frame(1, b\'["x",0,"passed",""]\')',
        "protocol violation: a reply of no known",
    ),
    "a status that is none": ('frame(1, b\'["x",0,[],""]\')', "protocol violation: a reply of no known"),
    "an unknown tag": ('frame(1, b\'["v",0,["zz"],[],[]]\')', "protocol violation: a tree that no packer makes"),
    "steps below zero": ("frame(1, b'[\"v\",-5,2,[],[]]')", "protocol violation: not a reply"),
    "an update of nothing": ("frame(1, b'[\"v\",0,2,[[7,0,0,[1]]],[]]')", "protocol violation"),
    "updates that are none": ("frame(1, b'[\"v\",0,2,7,[]]')", "protocol violation"),
    "an update of more than there is": ("frame(1, b'[\"v\",0,2,[[0,1,1,[]]],[]]')", "protocol violation"),
    "a deep nest": ("frame(1, b'[' * 100000)", "nested too deep to be read"),
    "an exception without a name": (
        'frame(1, b\'["e",0,[],"",[],[],[],null]\')',
        "protocol violation: an exception without",
    ),
    "a giant frame": (
        "os.write(channel.fd, struct.pack('<8sII', channel.nonce, 1, 1 << 31))",
        "protocol violation: a frame of 2147483648 bytes, at most",
    ),
    "half a frame": ("os.write(channel.fd, channel.nonce); os._exit(0)", "ended by itself"),
    "an int without end": (
        "frame(1, b'[\"v\",0,' + b'9' * 5000 + b',[],[]]')",
        "protocol violation: no tree: ValueError",
    ),
}


@pytest.fixture(scope="module")
def broken_out() -> dict[str, Result]:
    programs = [function(source) for source, _, _ in BROKEN_OUT.values()]
    return dict(zip(BROKEN_OUT, bare(*programs), strict=True))


@pytest.mark.parametrize("name", BROKEN_OUT)
def test_a_program_that_broke_out_is_still_stopped(name: str, broken_out: dict[str, Result]) -> None:
    _, statuses, reason = BROKEN_OUT[name]
    result = broken_out[name]
    assert result.status in statuses.split("|"), result
    assert re.search(reason, result.error_message or ""), result.error_message


@pytest.fixture(scope="module")
def forged() -> dict[str, list[Result]]:
    programs = []
    for attack, _ in FORGERIES.values():
        source = FRAMES + f"def f(x):\n    {attack}\n    return 1\n"
        programs += [
            Program(source, "function", (Test("n = 1\nassert f(n) == 2"), Test("assert f(2) == 2")), "f"),
            GOOD,
        ]
    found = iter(bare(*programs))
    return {name: [next(found), next(found)] for name in FORGERIES}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_frame_is_seen_and_never_counts(name: str, forged: dict[str, list[Result]]) -> None:
    result, after = forged[name]
    # Deep nests are what right programs may answer, too: a limit, and no pass either.
    wanted = "output_limit" if name == "a deep nest" else "killed"
    assert {test.status for test in result.tests} == {wanted}, result
    assert FORGERIES[name][1] in str(result.error_message)
    assert after.status == "passed", "the next program is judged as if nothing had happened"


def test_an_honest_looking_forgery_can_only_change_what_the_program_itself_answers() -> None:
    source = FRAMES + "def f(x):\n    frame(1, b'[\"v\",0,2,[],[]]')\n    return 1\n"
    result, after = bare(
        Program(source, "function", (Test("n = 1\nassert f(n) == 2"), Test("assert f(2) == 3")), "f"), GOOD
    )
    assert [test.status for test in result.tests] == ["passed", "killed"], "the second answer to call 1 comes too late"
    assert after.status == "passed"


def test_an_exception_of_the_tests_that_has_ended_is_the_program_s_when_it_gives_another_by_its_number() -> None:
    """Or it could choose one that is taken for an error of the test's own, which is no evidence."""
    payload = b'["v",0,["e",-1,["NameError","Exception","BaseException"],["x"]],[],[]]'
    source = FRAMES + f"def f(x):\n    if x == 2: frame(3, {payload!r})\n"
    (result,) = bare(function(source, "f(ValueError('a'))\nf(1)\nraise f(2)"))
    assert (result.status, result.error_type) == ("exception", "NameError"), result


@pytest.mark.parametrize("operation", ["begin", "done", "pass_time"])
@pytest.mark.parametrize("answer", ['["h",0,"V"]', '["T",["h",0,"V"]]', '["Q",null,1]', '"x"', "-1.0"])
def test_what_is_said_of_tasks_is_no_evidence_of_anything(operation: str, answer: str) -> None:
    """An object with an `__eq__`, for one, would make a test that fails none that counts."""
    source = (
        FRAMES
        + f"""
from sandbox import serve
said = {{'begin': '["h",0,"Task"]', 'done': '["T",false,false]', 'pass_time': 'null', 'end_the_rest': 'null'}}
said[{operation!r}] = {answer!r}
answered = serve.Service._answer_one
def answer(self, number, operation, *rest):
    if operation not in said: return answered(self, number, operation, *rest)
    frame(number, b'["v",0,' + said[operation].encode() + b',[],[]]')
serve.Service._answer_one = answer
class V:
    def __eq__(self, other): return True
    def __await__(self): yield
def f(): return V()
"""
    )
    test = (
        "import asyncio\nasync def own(): return await one\none = f()\nassert isinstance(one, V)\n"
        "async def main(): assert await asyncio.gather(own(), own()) == [1, 2]\nasyncio.run(main())"
    )
    result, after = bare(function(source, test), GOOD)
    assert result.status in ("wrong", "killed") and after.status == "passed", (result, after)


def test_the_expected_values_are_nowhere_in_the_child() -> None:
    source = """
import gc, sys
def f():
    seen = []
    for value in gc.get_objects():
        if isinstance(value, dict):
            seen += [v for v in value.values() if isinstance(v, (str, int))]
        elif isinstance(value, (list, tuple)):
            seen += [v for v in value if isinstance(v, (str, int))]
    needle = ''.join(reversed('17537'))
    words, numbers = [v for v in seen if type(v) is str], [v for v in seen if type(v) is int]
    return any(needle in v for v in words) or int(needle + needle) in numbers
"""
    (result,) = bare(function(source, "found = f()\nassert 7357173571, '73571'\nassert found is False, found"))
    assert result.status == "passed", result


# The pool itself


def many(count: int) -> Iterator[Program]:
    for number in range(count):
        yield function(f"def f(): return {number}", f"assert f() == {number}", key=str(number))


def children(parent: int | None = None) -> set[int]:
    """The sandbox processes that `parent` started, their children included."""
    found = set()
    mark = f'"parent": {parent or os.getpid()},'.encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if mark in command and stat[0] != "Z":
                found.add(int(entry.name))
    return found


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_results_come_in_order_whatever_takes_long() -> None:
    slow = function("def f():\n    for i in range(200000): pass\n    return 1", "assert f() == 1", key="slow")
    programs = [slow, *many(30), slow, *many(5)]
    results = list(run_many(programs, limits=LIMITS, workers=3))
    assert [result.key for result in results] == [program.key for program in programs]
    assert {result.status for result in results} == {"passed"}


def test_programs_are_read_ahead_only_so_far() -> None:
    read = 0

    def source() -> Iterator[Program]:
        nonlocal read
        for program in many(1000):
            read += 1
            yield program

    results = run_many(source(), limits=LIMITS, workers=2)
    for _ in range(10):
        next(results)
    assert read <= 10 + 2 * 2 * CHUNK
    results.close()  # type: ignore[attr-defined]


def test_an_error_of_the_caller_s_own_iterator_comes_through() -> None:
    def source() -> Iterator[Program]:
        yield GOOD
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        list(run_many(source(), limits=LIMITS, workers=1))


def test_no_programs_start_no_process() -> None:
    before = children()
    assert list(run_many([], limits=LIMITS)) == []
    assert children() == before


def test_a_consumer_that_stops_early_leaves_nothing_behind() -> None:
    before = children()
    results = run_many(
        itertools.chain(many(5), itertools.repeat(function("def f():\n    while True: pass"))), workers=2
    )
    assert next(results).status == "passed"
    assert len(children() - before) >= 2
    results.close()  # type: ignore[attr-defined]
    assert wait_for(lambda: children() <= before)


def test_two_runs_at_once_and_in_one_thread_do_not_meet() -> None:
    first, second = run_many(many(20), workers=1), run_many(many(20), workers=1)
    keys = [(next(first).key, next(second).key) for _ in range(20)]
    assert keys == [(str(n), str(n)) for n in range(20)]


def test_several_threads_may_judge_at_once() -> None:
    found: dict[int, list[str]] = {}

    def work(number: int) -> None:
        found[number] = [result.status for result in run_many(many(15), workers=1)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: ["passed"] * 15 for number in range(4)}


@pytest.mark.parametrize("role", ["worker", "judge"])
def test_a_process_killed_from_outside_costs_nothing(role: slots.Role) -> None:
    slot = Slot(Settings(limits=LIMITS))
    try:
        assert slot.judge(GOOD).status == "passed"
        os.kill(slot.processes[role].popen.pid, signal.SIGKILL)
        assert slot.judge(GOOD).status == "passed"
    finally:
        slot.close()


def test_a_worker_that_dies_twice_under_a_program_is_an_infrastructure_error(monkeypatch: pytest.MonkeyPatch) -> None:
    slot = Slot(Settings(limits=LIMITS))
    send = Process.send

    def killing(self: Process, jobs: list[dict[str, object]], descriptors: list[int]) -> None:
        if "source" in jobs[0]:
            os.kill(self.popen.pid, signal.SIGKILL)
            self.popen.wait()
        send(self, jobs, descriptors)

    try:
        assert slot.judge(GOOD).status == "passed"
        monkeypatch.setattr(Process, "send", killing)
        result = slot.judge(GOOD)
        assert result.status == "infra_error"
        assert re.search(r"^tried 2 times: the worker is gone \(SIGKILL", str(result.error_message))
        monkeypatch.undo()
        assert slot.judge(GOOD).status == "passed"
    finally:
        slot.close()


@pytest.mark.parametrize("who", ["parent", "zygote"])
def test_no_orphan_is_left_when_a_process_is_killed(who: str) -> None:
    script = """
import sys, time
from sandbox.pool import run_with
from sandbox.slot import Settings
from sandbox.verdict import Limits, Program, Test
from sandbox.wire import CHUNK
hang = Program("def f():\\n    while True: pass", "function", (Test("f()"),), "f")
good = Program("def f(): return 1", "function", (Test("assert f() == 1"),), "f")
settings = Settings(limits=Limits(cpu_seconds=300, wall_seconds=600), language_layer=False)
for result in run_with([good, hang], settings, workers=1):
    print(result.status, flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent
    ) as parent:
        try:
            assert parent.stdout is not None and parent.stdout.readline() == "passed\n"
            assert wait_for(lambda: len(children(parent.pid)) == 3), "zygote, its child in the loop, judge"
            found = children(parent.pid)
            zygote = next(pid for pid in found if any(_parent(other) == pid for other in found))
            os.kill(parent.pid if who == "parent" else zygote, signal.SIGKILL)
            assert wait_for(lambda: not found & children(parent.pid)), "the loop dies with what started it"
        finally:
            parent.kill()
    assert wait_for(lambda: not children(parent.pid))


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


def test_a_keyboard_interrupt_ends_every_process() -> None:
    script = """
import itertools, signal
from sandbox.pool import run_many
from sandbox.verdict import Program, Test
good = Program("def f(): return 1", "function", (Test("assert f() == 1"),), "f")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit it ignored
try:
    for number, result in enumerate(run_many(itertools.repeat(good), workers=2)):
        if number == 3:
            print("running", flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent
    ) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == "running\n"
        parent.send_signal(signal.SIGINT)
        assert parent.stdout.readline() == "interrupted\n"
        assert parent.wait(20) == 0
    assert wait_for(lambda: not children(parent.pid))


def test_a_source_of_ten_megabytes_is_refused_by_its_length() -> None:
    source = "x = 1\n" * (10 * 1024 * 1024 // 6)
    huge, raw, after = run_many([function(source), function(source.encode()), GOOD], workers=1)  # type: ignore[arg-type]
    for result in (huge, raw):
        assert (result.status, result.error_message) == (
            "refused",
            "the source is 10485756 long, at most 1048576 is read",
        )
    assert after.status == "passed"


@pytest.mark.parametrize(
    "source, status, reason",
    [
        (b"def f(): return '\xff\xfe'", "exception", "SyntaxError"),
        (b"def f(): return 1\0", "exception", "SyntaxError"),
        ("def f(): return '\ud800'", "exception", "SyntaxError|UnicodeEncodeError|expected"),
        (b"\xef\xbb\xbfdef f(): return 1", "passed", ""),
        ("def f():\r\n    return 1\r\n", "passed", ""),
        ("def f():\r    return 1\r", "passed", ""),
        ("(" * 10_000, "exception", "SyntaxError"),
        ("", "exception", "NameError"),
        ("\\", "exception", "SyntaxError"),
    ],
)
def test_bad_sources_have_a_named_verdict(source: str | bytes, status: str, reason: str) -> None:
    (result,) = run_many([Program(source, "function", (Test("assert f() == 1"),), "f")], workers=1)
    assert result.status == status and re.search(reason, result.error_message or ""), result


def test_a_missing_wall_is_refused_in_one_line_or_said(monkeypatch: pytest.MonkeyPatch) -> None:
    receive = Process.receive

    def without_landlock(self: Process, seconds: float) -> object:
        reply = receive(self, seconds)
        if "walls" in reply:
            reply["walls"]["landlock"] = "HardenError: this kernel has no Landlock"
        return reply

    monkeypatch.setattr(Process, "receive", without_landlock)
    with pytest.raises(HardeningError, match="^the sandbox lacks landlock: .*5.13.*require_hardening=False") as caught:
        list(run_many([GOOD], workers=1, require_hardening=True))
    assert "\n" not in str(caught.value)
    with pytest.warns(RuntimeWarning, match="the sandbox runs without landlock"):
        (result,) = run_many([GOOD], workers=1, require_hardening=False)
    assert result.status == "passed"


def test_an_interpreter_that_cannot_start_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(RuntimeError, match="sys.executable is empty"):
        list(run_many([GOOD], workers=1))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="the sandbox cannot start /bin/false"):
        list(run_many([GOOD], workers=1))


# Fast mode


def test_fast_mode_gives_the_same_results() -> None:
    programs = [
        *many(20),
        function("def f():\n    while True: pass"),
        function("def f(): return [0] * 10**10"),
        function("def f(:"),
        function("import subprocess"),
        function("def f(): return 1 / 0"),
        stdio("print(input())", "5", "5"),
        *many(20),
    ]
    isolated = list(run_many(programs, limits=LIMITS, workers=1))
    fast = list(run_many(programs, limits=LIMITS, workers=1, mode="fast"))
    assert [(r.status, r.tests, r.steps) for r in fast] == [(r.status, r.tests, r.steps) for r in isolated]


def test_fast_mode_uses_one_child_for_many_programs_and_a_new_one_after_a_bad_end() -> None:
    source = "import os\ndef f(): return os.getpid()"
    where = Program(source, "function", (Test("assert False, f()"),), "f")
    settings = Settings(limits=LIMITS, language_layer=False, fast=True, audit_every=10**9)
    loop = function("def f():\n    while True: pass")
    slot = Slot(settings)
    try:
        results = [slot.judge(program) for program in (where, where, loop, where, where)]
        pids = [result.error_message for result in results]
        assert pids[0] == pids[1] != pids[3] == pids[4] and results[2].status == "time_limit"
        assert len({result.error_message for result in slot.judge_many([where] * 16)} | {pids[4]}) == 1
    finally:
        slot.close()


def test_fast_mode_audits_a_sample_and_reports_a_difference() -> None:
    source = "import builtins\nold = getattr(builtins, 'seen', 0)\nbuiltins.seen = old + 1\ndef f(): return old"
    program = Program(source, "function", (Test("assert f() == 0"),), "f", key="leaky")
    settings = Settings(limits=LIMITS, language_layer=False, fast=True, audit_every=2)
    with pytest.warns(RuntimeWarning, match="'leaky': fast mode says wrong, isolated mode passed"):
        results = list(run_with([program] * 3, settings, workers=1))
    assert [result.status for result in results] == ["passed", "passed", "wrong"], "the second is the isolated verdict"


def test_the_program_s_cpu_counts_and_not_the_clock() -> None:
    """A child that is stopped for longer than its CPU limit by a busy machine loses nothing."""
    slot = Slot(Settings(limits=Limits(cpu_seconds=1), language_layer=False))
    try:
        program = function("def f():\n    for i in range(5000000): pass\n    return 1", "assert f() == 1")
        before = children()
        done: list[Result] = []
        thread = threading.Thread(target=lambda: done.append(slot.judge(program)))
        thread.start()
        assert wait_for(lambda: "worker" in slot.processes and len(children() - before) >= 2)
        pid = slot.processes["worker"].popen.pid
        os.killpg(pid, signal.SIGSTOP)
        time.sleep(1.5)
        os.killpg(pid, signal.SIGCONT)
        thread.join()
        assert done[0].status == "passed", done[0]
    finally:
        slot.close()


PADDING = "# a comment\n" * 2000
FEW_SECONDS = Limits(cpu_seconds=2, memory_mb=512)
LARGE = {
    "a large program": (PADDING + "def f(): return 1", "passed", ""),
    "a call whose compilation is quadratic": (
        "def f(): return 1\nf(" + ",".join(f"a{n}=1" for n in range(80_000)) + ")",
        "time_limit",
        "stopped after 2 CPU seconds",
    ),
    "many small statements": ("a=1;" * 260_000, "time_limit memory_limit exception", ""),
    "a large program that is no Python": (PADDING + "def (", "exception", "SyntaxError: invalid syntax"),
    "a large program that is refused": (PADDING + "import subprocess", "refused", "line 2001: the module subprocess"),
}


def test_a_large_source_is_translated_under_the_program_s_own_limits() -> None:
    programs = [Program(source, "function", (Test("assert f() == 1"),), "f") for source, *_ in LARGE.values()]
    results = list(run_many(programs, limits=FEW_SECONDS, workers=1))
    for result, (_, statuses, message) in zip(results, LARGE.values(), strict=True):
        assert result.status in statuses.split() and message in (result.error_message or ""), result
        assert result.cpu_ms < 4_000


def nested_finally(depth: int, innermost: str) -> str:
    """CPython writes the code of a `finally` twice, and so the innermost as often as two to the depth."""
    levels = [" " * n + "try: pass\n" + " " * n + "finally:\n" for n in range(1, depth + 1)]
    return "def f(x):\n" + "".join(levels) + " " * (depth + 1) + innermost + "\n return x + 1\n"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_small_source_whose_code_is_huge_is_translated_under_the_program_s_own_limits() -> None:
    sources = {nested_finally(19, "y = 1;" * 2_000): "exception", nested_finally(5, "y = 1;" * 20): "passed"}
    programs = [Program(source, "function", GOOD.tests, "f") for source in sources]
    slot = Slot(Settings(limits=replace(FEW_SECONDS, cpu_seconds=20)))
    try:
        results = slot.judge_many([GOOD, *programs, GOOD])
        assert [result.status for result in results] == ["passed", *sources.values(), "passed"], results
        status = Path(f"/proc/{slot.processes['worker'].popen.pid}/status").read_text()
        peak = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert peak is not None and int(peak[1]) < 256 << 10, "the zygote itself never held that code"
    finally:
        slot.close()

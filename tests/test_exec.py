"""`pairwright exec` and `sandbox.execute`: a program's output and exit as it made them, and a name for all else."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import sandbox
from flows import executing
from sandbox import Execution, Limits, execute
from sandbox.refused import Violation
from sandbox.slot import Process
from tests.commands import run


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return tmp_path / "program.py"


@pytest.mark.parametrize(
    ("source", "stdin", "code", "stdout", "stderr"),
    [
        ("print('hi')", "", 0, "hi\n", ""),
        ("", "", 0, "", ""),
        ("print(sum(map(int, input().split())))", "1 2 3\n", 0, "6\n", ""),
        ("import sys\nprint(1)\nsys.exit(3)\nprint(2)", "", 3, "1\n", ""),
        ("exit(256 + 7)", "", 7, "", ""),
        ("raise SystemExit", "", 0, "", ""),
        ("import sys\nsys.exit(True)", "", 1, "", ""),
        ("import sys\nsys.exit('no luck')", "", 1, "", "no luck\n"),
        ("import os\nos._exit(4)", "", 4, "", ""),
        ("import sys\nprint('e', file=sys.stderr)\nsys.stderr.buffer.write(b'f')\nprint('o')", "", 0, "o\n", "e\nf"),
        ("import os\nos.write(2, b'x')\nopen(2, 'w').write('y')", "", 0, "", "xy"),
        ("if __name__ == '__main__':\n    print(__name__)", "", 0, "__main__\n", ""),
    ],
)
def test_it_prints_and_exits_as_the_program_does(
    source: str, stdin: str, code: int, stdout: str, stderr: str,
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    program.write_text(source)
    (tmp_path / "input").write_text(stdin)
    assert run("exec", program, "--stdin", tmp_path / "input") == code
    assert capfd.readouterr() == (stdout, stderr)
    plain = subprocess.run([sys.executable, program], input=stdin, capture_output=True, text=True)
    assert (plain.returncode, plain.stdout, plain.stderr) == (code, stdout, stderr), "as CPython has it"


def test_an_exception_is_the_programs_own_traceback(program: Path, capfd) -> None:
    program.write_text("def half(n):\n    return n / (n - n)\n\nprint('before')\nhalf(3)\n")
    assert run("exec", program) == 1
    out, err = capfd.readouterr()
    assert out == "before\n"
    assert err == (
        "Traceback (most recent call last):\n"
        f'  File "{program}", line 5, in <module>\n    half(3)\n'
        f'  File "{program}", line 2, in half\n    return n / (n - n)\n'
        "ZeroDivisionError: division by zero\n"
    )


def test_a_recursion_is_told_in_a_few_lines(program: Path, capfd) -> None:
    program.write_text("def f(n): return f(n + 1)\nf(0)\n")
    assert run("exec", program) == 1
    err = capfd.readouterr().err
    assert err.endswith("RecursionError: maximum recursion depth exceeded\n") and err.count("\n") < 25
    assert "[Previous line repeated" in err and "[frames left out]" in err


STOPPED = {
    "refused": ("import subprocess", 125, r"refused: line 1: the module subprocess is not allowed"),
    "refused while running": ("print(1)\nx = open('/etc/passwd')", 125, "refused: line 2: open() is only allowed on"),
    "step_limit": ("print(1)\nwhile True: pass", 124, "step_limit: line 2: more than 100000 steps"),
    "memory_limit": ("x = [0]\nwhile x: x += x", 123, "memory_limit: line 2: out of 1024 MB"),
    "output_limit": (
        "while True: print('x' * 100_000_000)",
        122,
        "output_limit: line 1: more than 16777216 characters",
    ),
}


@pytest.mark.parametrize("name", STOPPED)
def test_what_is_stopped_has_an_exit_code_and_one_line(name: str, program: Path, capfd) -> None:
    source, code, said = STOPPED[name]
    program.write_text(source)
    assert run("exec", program, "--steps", 100_000) == code
    err = capfd.readouterr().err
    assert err.startswith(f"pairwright: {said}") and err.count("\n") == 1


def test_what_was_printed_before_a_limit_is_kept(program: Path, capfd) -> None:
    program.write_text("print('early')\nwhile True: pass")
    assert run("exec", program, "--steps", 1000) == 124
    assert capfd.readouterr().out == "early\n"


def test_json_is_one_line_with_the_verdict(program: Path, capfd) -> None:
    program.write_text(
        "import sys\nfor i in range(9): print('\\x1b', end='')\nprint('e', file=sys.stderr)\nsys.exit(3)"
    )
    assert run("exec", program, "--json") == 3
    out, err = capfd.readouterr()
    assert err == "" and out.count("\n") == 1 and out.isascii() and "\x1b" not in out
    row = json.loads(out)
    assert row.pop("cpu_ms") > 0 and row.pop("peak_kb") > 1000
    assert row == {
        "status": "ended", "exit_code": 3, "stdout": "\x1b" * 9, "stderr": "e\n", "error_type": None,
        "error_message": None, "trace": [], "violations": [], "steps": 9,
    }  # fmt: skip


def test_json_names_every_violation_with_its_line(program: Path, capfd) -> None:
    program.write_text("x = 1\nx.__globals__\n__builtins__")
    assert run("exec", program, "--json") == 125
    row = json.loads(capfd.readouterr().out)
    assert (row["status"], row["exit_code"]) == ("refused", None)
    assert [(v["line"], v["rule"]) for v in row["violations"]] == [(2, "attribute"), (3, "name")]


def test_bytes_come_through_a_pipe_as_they_are(program: Path, capfdbinary) -> None:
    program.write_text(r"import sys; sys.stdout.buffer.write(bytes(range(256))); print('\x1b[1mé')")
    assert run("exec", program) == 0
    assert capfdbinary.readouterr().out == bytes(range(256)) + "\x1b[1mé\n".encode()


def test_on_a_terminal_control_characters_are_shown_and_not_obeyed(program: Path) -> None:
    pty = pytest.importorskip("pty", reason="needs pseudo-terminals")
    import os

    program.write_text(r"print('a\x1b[31mb\r\x07\u202ec\td')" + "\nraise ValueError('\\x1b[0m')")
    parent, child = pty.openpty()
    command = [sys.executable, "-c", "from flows.cli import main; main()", "exec", str(program)]
    root = Path(__file__).parent.parent
    done = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=child, stderr=child, cwd=root)
    os.close(child)
    shown = b""
    while True:
        try:
            data = os.read(parent, 4096)
        except OSError:  # Linux says so when the last writer is gone
            break
        if not data:
            break
        shown += data
    os.close(parent)
    assert done.wait() == 1
    assert rb"a\x1b[31mb\r\x07\u202ec" in shown and rb"ValueError: \x1b[0m" in shown and b"\x1b" not in shown


BAD = {
    "not UTF-8": (b"print('\xff')", "exception", "SyntaxError", "expected UTF-8, found byte 0xff at 7"),
    "a NUL byte": (b"x = 1\0", "exception", "SyntaxError", "source code string cannot contain null bytes"),
    "10 MB": (b"x = 1\n" * 1_800_000, "refused", None, "the source is 10800000 long, at most 1048576 is read"),
    "10,000 brackets": (b"(" * 10_000 + b")" * 10_000, "exception", "SyntaxError", "too many nested parentheses"),
    "10,000 operators": (b"x = " + b"-" * 10_000 + b"1", "exception", "SyntaxError", "nested"),
    "an enormous number": (b"x = " + b"9" * 10_000, "exception", "SyntaxError", "Exceeds the limit (4300 digits)"),
    "half a program": (b"def f(:", "exception", "SyntaxError", "(<program>, line 1)"),
    "wrong indentation": (b"if 1:\npass", "exception", "IndentationError", "expected an indented block"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_sources_have_a_named_verdict_in_bounded_time(name: str) -> None:
    source, status, kind, says = BAD[name]
    begun = time.process_time()
    found = execute(source)
    assert (found.status, found.error_type) == (status, kind) and says in (found.error_message or "")
    assert found.exit_code == (1 if status == "exception" else None)
    assert found.cpu_ms < 5_000 and time.process_time() - begun < 5


def test_an_empty_source_ends_well() -> None:
    assert (execute("").status, execute(b"\xef\xbb\xbf\n").exit_code) == ("ended", 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gone.py"], "cannot read gone.py: No such file or directory"),
        (["."], "cannot read .: Is a directory"),
        (["here.py", "--stdin", "gone.txt"], "cannot read gone.txt: No such file or directory"),
        (["here.py", "--steps", "0"], "--steps must be at least 1, found 0"),
        (["-", "--stdin", "-"], "the program and its input cannot both come from standard input"),
        (["here.py", "--mode", "quick"], "quick"),
    ],
)
def test_wrong_usage_is_one_line_and_two(arguments: list[str], said: str, tmp_path: Path, monkeypatch, capfd) -> None:
    (tmp_path / "here.py").write_text("print('never')")
    monkeypatch.chdir(tmp_path)
    assert run("exec", *arguments) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.startswith("pairwright: ") and err.count("\n") == 1 and said in err


def test_the_program_or_its_input_may_come_from_standard_input(program: Path, monkeypatch, capfd) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"print(6 * 7)")))
    assert run("exec", "-") == 0
    program.write_text("print(input()[::-1])")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"abc\n")))
    assert run("exec", program, "--stdin", "-") == 0
    assert capfd.readouterr().out == "42\ncba\n"


def test_without_input_reading_fails_at_once() -> None:
    found = execute("input()")
    assert (found.status, found.error_type, found.trace) == ("exception", "EOFError", ((1, "<module>"),))


def test_an_endless_loop_in_c_is_ended_by_the_kernel() -> None:
    found = execute("print(1)\nsum(iter(int, 1))", limits=Limits(cpu_seconds=0.5))
    assert (found.status, found.error_message) == ("time_limit", "stopped after 0.5 CPU seconds")


def test_a_program_that_sits_still_is_ended_by_the_wall_clock() -> None:
    found = execute("sum(iter(int, 1))", limits=Limits(cpu_seconds=60, wall_seconds=1))
    assert (found.status, found.error_message) == ("time_limit", "stopped after 1 seconds of wall clock")


PROGRAMS = [
    "print(sorted({'b', 'a', 'c'}), hash('x'), id)",
    "def f(n):\n    return n < 2 or f(n - 1)\nprint(f(50), [x for x in {'one', 'two', 'three'}])",
    "import random\nprint(random.random(), random.sample(range(100), 5))",
    "1 / 0",
    "while True: pass",
]


def test_the_same_run_gives_the_same_execution_in_both_modes() -> None:
    def found(source: str, mode: sandbox.pool.Mode) -> tuple[object, ...]:
        one = execute(source, limits=Limits(steps=10_000), mode=mode)
        return one.status, one.exit_code, one.stdout, one.error_message, one.trace, one.steps

    for source in PROGRAMS:
        assert len({found(source, "isolated"), found(source, "isolated"), found(source, "fast")}) == 1, source


def test_what_goes_to_standard_error_counts_for_nothing_and_is_cut() -> None:
    limits = Limits(output_bytes=1000)
    found = execute("import sys\nfor i in range(500): print('abc', file=sys.stderr)\nprint('o')", limits=limits)
    assert (found.status, found.stdout, len(found.stderr)) == ("ended", b"o\n", 1000)


def test_a_missing_wall_is_one_line_and_names_the_option(program: Path, monkeypatch, capfd) -> None:
    receive = Process.receive

    def without_landlock(self: Process, seconds: float) -> object:
        reply = receive(self, seconds)
        if "walls" in reply:
            reply["walls"]["landlock"] = "HardenError: this kernel has no Landlock"
        return reply

    monkeypatch.setattr(Process, "receive", without_landlock)
    program.write_text("print(1)")
    assert run("exec", program, "--require-hardening") == 3
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1
    assert "the sandbox lacks landlock: " in err and "(or pass --no-require-hardening to run without)" in err
    with pytest.warns(RuntimeWarning, match="the sandbox runs without landlock"):
        assert run("exec", program, "--no-require-hardening") == 0


def test_the_public_names_are_fetched_when_asked_for() -> None:
    code = "import sys, sandbox.worker; print('subprocess' in sys.modules, 'sandbox.pool' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parent.parent
    )
    assert done.stdout == "False False\n", "the confined processes must not import what only the supervisor needs"
    assert {name: getattr(sandbox, name).__name__ for name in ("execute", "run_many", "Execution", "Limits")}
    with pytest.raises(AttributeError, match="module 'sandbox' has no attribute 'nope'"):
        _ = sandbox.nope


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (b"[1, ['exit', 0, '']]", "killed"),
        (b'[1, ["exit", 256, ""]]', "killed"),
        (b'[1, ["limit", "passed", "", [], []]]', "killed"),
        (b'[1, ["error", "E", "m", [[1, 2, 3]]]]', "killed"),
        (b"[" * 100_000, "killed"),
        (b'[1, ["exit", 5, ""]]', "ended"),
    ],
)
def test_what_the_programs_process_says_is_not_believed_to_be_well_formed(ending: bytes, status: str) -> None:
    from sandbox.execution import _assemble

    found = _assemble({0: ending}, {"exit": 0, "cpu_ms": 1.0, "peak_kb": 1}, Limits())
    assert isinstance(found, Execution) and found.status == status


def test_rows_are_plain_json() -> None:
    found = Execution("refused", None, stdout=b"\xff", violations=(Violation(2, "module", "m"),))
    row = json.loads(json.dumps(executing.as_row(found)))
    assert row["stdout"] == "\ufffd" and row["violations"] == [{"line": 2, "rule": "module", "message": "m"}]


def test_a_module_that_is_allowed_is_there_and_only_behind_the_walls(program: Path, capfd) -> None:
    pytest.importorskip("numpy", reason="needs numpy")
    program.write_text(
        "import numpy as np\nfrom numpy.linalg import det\nprint(int(np.arange(4).sum()), det(np.eye(2)))\n"
        "np.random.seed(0)\ntry:\n    np.load('/etc/hostname')\nexcept OSError as error:\n    print(error.errno)\n"
    )
    assert run("exec", program) == 125
    assert capfd.readouterr().err.startswith("pairwright: refused: line 1: the module numpy is not allowed")
    assert run("exec", program, "--allow", "numpy") == 0
    assert capfd.readouterr().out == "6 1.0\n13\n", "files are still out of reach"


def test_an_allowed_module_that_is_not_installed_is_one_line(program: Path, capfd) -> None:
    program.write_text("print(1)")
    assert run("exec", program, "--allow", "no_such_module_anywhere") == 1
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1
    assert "no_such_module_anywhere, which is allowed, cannot be imported" in err


@pytest.mark.parametrize(
    ("source", "status", "code"),
    [
        (
            "class I(int):\n    def __bool__(self): raise ValueError\n    __and__ = __bool__\nraise SystemExit(I(5))",
            "ended",
            5,
        ),
        ("class E(MemoryError):\n    violations = property(lambda self: 1 / 0)\nraise E", "memory_limit", None),
        ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", "exception", 1),
        ("class E(Exception):\n    def __str__(self):\n        while 1: pass\nraise E", "exception", 1),
        ("import atexit, sys\natexit.register(sys.exit, 3)", "ended", 0),
        ("import sys\nclass O:\n    def flush(self): raise SystemExit(0)\nsys.stdout = O()\n1 / 0", "exception", 1),
        ("import sys\nsys.exit(10 ** 30 + 5)", "ended", (10**30 + 5) & 255),
    ],
)
def test_an_ending_is_told_without_asking_the_program(source: str, status: str, code: int | None) -> None:
    found = execute(source, limits=Limits(steps=10_000))
    assert (found.status, found.exit_code) == (status, code), found


DEEP = "import sys\nsys.setrecursionlimit(10 ** 7)\n"


def test_a_recursion_as_deep_as_contests_need_ends_well() -> None:
    found = execute(DEEP + "def f(n): return 0 if n == 0 else 1 + f(n - 1)\nprint(f(250_000))")
    assert (found.status, found.stdout) == ("ended", b"250000\n"), found.error_message


@pytest.mark.parametrize(
    "source",
    [
        "def f(n): return f(n + 1)\nf(0)",
        "def f(n): return sorted([1], key=lambda x: f(n + 1))\nf(0)",
        "from functools import lru_cache\n@lru_cache(None)\ndef f(n): return f(n + 1)\nf(0)",
        "class A:\n    def __repr__(self): return repr(A())\nrepr(A())",
        "class A:\n    def __init__(self): self.a = A()\nA()",
    ],
)
def test_an_endless_recursion_is_an_exception_and_no_crash(source: str) -> None:
    found = execute(DEEP + source)
    assert (found.status, found.error_type) == ("exception", "RecursionError"), found.error_message

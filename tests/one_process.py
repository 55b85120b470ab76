"""What CPython does of a program and its test in one process, and that the sandbox judges them so."""

from typing import Any

from sandbox.pool import run_many
from sandbox.verdict import Limits, Program, Test

LIMITS = Limits(steps=2_000_000, cpu_seconds=4, wall_seconds=60, memory_mb=512, output_bytes=1 << 20)


def in_one_process(source: str, test: str) -> str:
    """The status that the test has there; an error of its own counts as the program's."""
    names: dict[str, Any] = {"__name__": "candidate"}
    exec(source, names)
    names["candidate"] = names["f"]
    try:
        exec(test, names)
    except AssertionError:
        return "wrong"
    except Exception:
        return "exception"
    return "passed"


def assert_judged_alike(cases: list[tuple[str, str]], mode: Any) -> None:
    """Each a program whose function is called `f`, and a test of it."""
    programs = [
        Program(source, "function", (Test(test),), "f", key=str(key)) for key, (source, test) in enumerate(cases)
    ]
    for result in run_many(programs, limits=LIMITS, mode=mode):
        source, test = cases[int(result.key)]
        assert result.tests[0].status == in_one_process(source, test), (test, result)

"""From what the judge and the zygote said about a program to its one `Result`. Both are read as untrusted."""

import re
import signal
from dataclasses import dataclass, field
from typing import Any

from sandbox.verdict import NO_EVIDENCE, STATUSES, Limits, Program, Result, Status, TestResult
from sandbox.worker import EXIT_MEMORY

_MESSAGE_CHARS = 1_000  # more than an honest process says of one test
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
Outcome = tuple[Any, str, str]  # status, message, the name of the candidate's exception


@dataclass(slots=True)
class Round:
    """What came of one forked child: the judge's reply, the zygote's reply, and whether the wall clock ran out.

    `by_answers`: the tests, which ran over, come to an end when they are given none of the program's answers.
    """

    verdict: dict[str, Any] = field(default_factory=dict)
    ending: dict[str, Any] = field(default_factory=dict)
    late: bool = False
    by_answers: bool = False


# What the process that runs programs may say of one. In fast mode a program that broke out may be who says it.
_ENDING: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("job", "refused", "syntax", "message", "broken", "error"), str),
    **dict.fromkeys(("exit", "peak_kb"), int),
    **dict.fromkeys(("alone", "again"), bool),
    "cpu_ms": (int, float),
    "violations": list,
}
# Between what the numbers of an ending lie, so that a table takes them and nobody's sum overflows.
_RANGES = {"exit": (-128, 255), "cpu_ms": (0, 1e12), "peak_kb": (0, 1 << 50)}


def is_ending(value: Any) -> bool:
    """Is this what a worker says of a program?"""
    if not isinstance(value, dict) or ("syntax" in value and "message" not in value):
        return False
    if not all(name in _ENDING and isinstance(part, _ENDING[name]) for name, part in value.items()):
        return False
    if any(type(one) is not list or [*map(type, one)] != [int, str, str] for one in value.get("violations", ())):
        return False
    return all(low <= value.get(name, 0) <= high for name, (low, high) in _RANGES.items())


def describe(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def printable(text: str) -> str:
    """A program's words as text that any table, log and terminal takes: no lone surrogates, no control characters."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text.encode("utf-8", "backslashreplace").decode())


def uniform(program: Program, status: Status, message: str, error_type: str | None = None) -> Result:
    """The same verdict on every test."""
    return Result(
        key=program.key,
        status=status,
        tests=tuple(TestResult(status, message) for _ in program.tests),
        num_passed=0,
        num_tests=len(program.tests),
        score=0.0,
        error_type=error_type,
        error_message=message,
        steps=0,
        cpu_ms=0.0,
        wall_ms=0.0,
        peak_kb=0,
    )


def assemble(program: Program, rounds: list[Round], limits: Limits) -> Result:
    """One result out of one round (function) or one round per test (stdio)."""
    tests: list[TestResult] = []
    error_types: list[str] = []
    for one in rounds:
        wanted = len(program.tests) if program.kind == "function" else 1
        found = outcomes(one, wanted, limits)
        tests += [TestResult(status, printable(message[:_MESSAGE_CHARS])) for status, message, _ in found]
        error_types += [name[:_MESSAGE_CHARS] for _, _, name in found]
    failed = [test for test in tests if test.status != "passed"]
    worst = next((test for test in failed if test.status in NO_EVIDENCE), failed[0] if failed else None)
    error_type = error_types[tests.index(worst)] if worst and worst.status == "exception" else None
    passed = len(tests) - len(failed)
    usages = [one.ending for one in rounds]
    return Result(
        key=program.key,
        status=worst.status if worst else "passed",
        tests=tuple(tests),
        num_passed=passed,
        num_tests=len(tests),
        score=passed / len(tests),
        error_type=printable(error_type) if error_type else None,
        error_message=worst.message if worst else None,
        steps=sum(between(0, one.verdict.get("steps"), limits.steps) for one in rounds),
        cpu_ms=float(sum(usage.get("cpu_ms", 0.0) for usage in usages)),
        wall_ms=0.0,
        peak_kb=max((int(usage.get("peak_kb", 0)) for usage in usages), default=0),
    )


def between(low: int, value: Any, high: int) -> int:
    """A number that a child may have made up."""
    return min(max(low, value), high) if type(value) is int else low


def outcomes(one: Round, wanted: int, limits: Limits) -> list[Outcome]:
    """What came of each test of a round, of which there should be `wanted`."""
    if "refused" in one.ending:
        return [("refused", one.ending["refused"], "")] * wanted
    if "syntax" in one.ending:
        name = one.ending["syntax"]
        return [("exception", f"{name}: {one.ending['message']}", name)] * wanted
    if "broken" in one.ending:
        return [("infra_error", one.ending["broken"], "")] * wanted
    if one.verdict.get("overrun"):
        text = f"the tests ran over {limits.cpu_seconds:g} CPU seconds"
        if one.by_answers:
            return [("time_limit", f"{text} with what the program gave, and would not without", "")] * wanted
        return [("infra_error", text, "")] * wanted
    found = one.verdict.get("tests")
    if not isinstance(found, list) or len(found) != wanted or not all(map(_is_outcome, found)):
        return [("infra_error", "the judge's reply makes no sense", "")] * wanted
    cause = _cause(one, limits)
    return [cause if outcome[0] == "gone" else tuple(outcome) for outcome in found]


def _is_outcome(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(isinstance(part, str) for part in value)
        and (value[0] == "gone" or value[0] in STATUSES)
    )


def _cause(one: Round, limits: Limits) -> Outcome:
    """Why a child that went away did so."""
    if one.late:
        if not one.verdict.get("waiting"):
            return "infra_error", f"the tests did not end within {limits.wall_seconds:g} seconds", ""
        return "time_limit", f"stopped after {limits.wall_seconds:g} seconds of wall clock", ""
    if one.ending.get("hangs"):
        return "killed", "the program's process did not end when it was told to", ""
    status = one.ending.get("exit", 0)
    spent = one.ending.get("cpu_ms", 0.0) / 1000
    over = f"stopped after {limits.cpu_seconds:g} CPU seconds"
    if status in (-signal.SIGXCPU, -signal.SIGPROF) or (status == -signal.SIGKILL and spent >= limits.cpu_seconds):
        return "time_limit", over, ""
    if status == EXIT_MEMORY:
        return "memory_limit", f"out of {limits.memory_mb} MB", ""
    return "killed", f"the program's process ended by itself ({describe(status)})", ""

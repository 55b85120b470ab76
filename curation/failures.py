"""Programs of a sealed version that failed, as problems: each is to be repaired, its failing test in the prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from curation.debugging import Located, bug_prompt, failure_of, noun_of, stated
from curation.errors import UserError
from curation.sealed import judged_programs
from sandbox.verdict import NO_EVIDENCE


def failures(version: Path, most: int) -> Iterator[Located]:
    """At most so many bugs of each problem, of different programs; those that pass a test or more come first.

    A problem of them keeps source, licence, split and tests of the one it failed on, and is named after it, as in
    MBPP/602/bug-1. The fix is what a mutant was made from, else the reference solution, else another that passed.

    Raises:
        UserError: the folder is not a sealed version, or nothing in it failed.
    """
    none = True
    for problem, runs in judged_programs(version):
        for number, run in enumerate(_worth_repairing(runs)[:most], 1):
            none = False
            yield (
                f"{version}, {problem['task_id']}",
                _task(problem, run, _fix(problem, runs, run), number),
                _of(problem),
            )
    if none:
        raise UserError(f"no program of {version} failed a test: take a version with failing completions")


def _worth_repairing(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    distinct: dict[str, dict[str, Any]] = {}
    for run in runs:
        if run["code"] is not None and run["status"] not in NO_EVIDENCE | {"passed"}:
            distinct.setdefault(run["code"], run)
    return sorted(distinct.values(), key=lambda run: (run["score"] == 0, run["sample_index"]))


def _fix(problem: Mapping[str, Any], runs: Sequence[dict[str, Any]], bug: Mapping[str, Any]) -> str | None:
    passed = {run["completion_id"]: run["code"] for run in runs if run["status"] == "passed"}
    own: str | None = passed.get(bug["origin_id"]) if bug["mutation"] is not None else None
    return own or problem["reference_solution"] or next(iter(passed.values()), None)


def _task(problem: Mapping[str, Any], bug: Mapping[str, Any], fix: str | None, number: int) -> Any:
    first = next(place for place, status in enumerate(bug["test_status"]) if status != "passed")
    failure = failure_of(problem["tests"][first], bug["error_message"] or "")
    kept = ("split", "kind", "entry_point", "setup", "tests", "difficulty")
    return {name: problem[name] for name in kept} | {
        "task_id": f"{problem['task_id']}/bug-{number}",
        "prompt_format": "text",
        "prompt": bug_prompt(stated(problem), bug["code"], failure, noun=noun_of(problem)),
        "reference_solution": fix,
        "buggy_program": bug["code"],
    }


def _of(problem: Mapping[str, Any]) -> dict[str, str]:
    return {name: problem[name] for name in ("source", "source_revision", "license", "split")}

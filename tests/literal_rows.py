"""Rows for tests: each builder gives one whole row of a table, from the few values that a test is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from curation import store
from curation.schema import TABLES

Row = dict[str, Any]
ONLY_SHARD = store.Shard("train")


def _row(table: str, values: Row, given: Row) -> Row:
    schema = TABLES[table].schema
    unknown = given.keys() - set(schema.names)
    assert not unknown, f"{table} has no columns {unknown}"
    return {field.name: None for field in schema} | {"split": "train"} | values | given


def problem(problem_id: str = "q", **given: Any) -> Row:
    values = dict.fromkeys(("task_id", "source", "source_revision", "license", "prompt", "setup"), "x")
    tests = [{"code": "assert f(1) == 1", "stdin": "", "stdout": ""}]
    values |= {
        "problem_id": problem_id,
        "kind": "function",
        "prompt_format": "code",
        "entry_point": "f",
        "tests": tests,
    }
    return _row("problems", values | {"tests": tests}, given)


def completion(completion_id: str, problem_id: str = "q", text: str = "x = 1\n", **given: Any) -> Row:
    values = {"completion_id": completion_id, "problem_id": problem_id, "text": text, "code": text}
    values |= {"sample_index": 0, "prompt": "x", "sampler": "scripted", "model": "m"}
    return _row("completions", values, given)


def execution(completion_id: str, problem_id: str = "q", passed: int = 1, tests: int = 1, **given: Any) -> Row:
    verdicts = ["passed"] * passed + ["wrong"] * (tests - passed)
    values: Row = {"completion_id": completion_id, "problem_id": problem_id, "test_status": verdicts}
    values |= {"status": "passed" if passed == tests else "wrong", "num_passed": passed, "num_tests": tests}
    values |= {"score": passed / tests, "steps": 10, "cpu_ms": 1.0, "wall_ms": 1.0, "peak_kb": 1, "policy_digest": "d"}
    return _row("executions", values, given)


def completions_of(runs: Iterable[Row]) -> list[Row]:
    """The completion behind each run: the samples of their problems, in order."""
    counted: Counter[str] = Counter()
    rows = []
    for run in runs:
        number = counted[run["problem_id"]]
        counted[run["problem_id"]] += 1
        rows.append(completion(run["completion_id"], run["problem_id"], sample_index=number))
    return rows


def hopeless(problem_id: str = "q", **given: Any) -> Row:
    values: Row = {"problem_id": problem_id, "task_id": "x", "num_judged": 2, "best_score": 0.0}
    values |= {"best_completion_id": "r", "usual_status": "wrong", "prompt_chars": 1, "num_tests": 1}
    return _row("hopeless_problems", values, given)


def pair(pair_id: str, problem_id: str = "q", **given: Any) -> Row:
    values = {"pair_id": pair_id, "problem_id": problem_id, "strategy": "best_worst", "prompt": "x"}
    values |= {"chosen": "good", "rejected": "bad", "chosen_id": "c", "rejected_id": "r"}
    return _row("pairs", values | {"chosen_score": 1.0, "rejected_score": 0.0}, given)


def pair_feature(pair_id: str, problem_id: str = "q", **given: Any) -> Row:
    zeros = [
        *("edit_distance", "edit_normalized", "indel_distance", "indel_normalized", "token_edit_distance"),
        *("token_edit_normalized", "prefix_chars", "prefix_share", "chars_gap", "lines_gap", "length_gap"),
    ]
    values: Row = {"pair_id": pair_id, "problem_id": problem_id, "length_ratio": 1.0, "test_gap": 1.0}
    values |= {"tests_differ": [0], "chosen_status": "passed", "rejected_status": "wrong"}
    return _row("pair_features", dict.fromkeys(zeros, 0) | values | {"edit_normalized": 0.5}, given)


def placed(pair_id: str, problem_id: str = "q", **given: Any) -> Row:
    return _row("curriculum", {"pair_id": pair_id, "problem_id": problem_id}, given)


def plant(dataset: Path, shard: store.Shard = ONLY_SHARD, **tables: Iterable[Mapping[str, Any]]) -> Path:
    """Write these rows as a shard of each table named, and return the dataset."""
    for table, rows in tables.items():
        store.write(dataset, table, rows, shard)
    return dataset


def plant_run(
    dataset: Path, programs: Mapping[str, list[tuple[str, float | None]]], shard: store.Shard = ONLY_SHARD
) -> Path:
    """A dataset as it lies before measuring: problem -> (text, summed log-prob) of samples, the first of them passing.

    Each problem's first sample is preferred to every other one.
    """
    rows: dict[str, list[Row]] = {"problems": [], "completions": [], "executions": [], "pairs": []}
    for name, samples in programs.items():
        rows["problems"].append(problem(name))
        for index, (text, logp) in enumerate(samples):
            sample = f"{name}{index}"
            known = {"sum_logp": logp, "num_tokens": max(1, len(text.split()))} if logp is not None else {}
            rows["completions"].append(completion(sample, name, text, sample_index=index, **known))
            rows["executions"].append(execution(sample, name, passed=int(index == 0)))
            if index:
                sides = {"chosen": samples[0][0], "rejected": text, "chosen_id": f"{name}0", "rejected_id": sample}
                rows["pairs"].append(pair(f"{name}0>{sample}", name, **sides))
    return plant(dataset, shard, **rows)

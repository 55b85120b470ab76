"""The programs of a sealed version with their verdicts, for what is made from them: mutants, and bugs to repair."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curation import manifest, store


def judged_programs(version: Path) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Every problem of a version with its completions in order, each with the columns of its run; token columns less.

    Raises:
        ManifestError: the folder is not a sealed version.
    """
    manifest.read_manifest(version)
    columns = ["completion_id", "problem_id", "sample_index", "code", "origin_id", "mutation"]
    for shard in store.shards(version, "problems"):
        runs = {row["completion_id"]: row for row in store.read(version, "executions", shard=shard).to_pylist()}
        by_problem: dict[str, list[dict[str, Any]]] = {}
        for row in store.read(version, "completions", columns=columns, shard=shard).to_pylist():
            by_problem.setdefault(row["problem_id"], []).append(row | runs[row["completion_id"]])
        for problem in store.read(version, "problems", shard=shard).to_pylist():
            yield problem, by_problem.get(problem["problem_id"], [])


def name_of(version: Path) -> str:
    """What a version is called, as in demo@1."""
    sealed = manifest.read_manifest(version)
    return f"{sealed['dataset']}@{sealed['version']}"

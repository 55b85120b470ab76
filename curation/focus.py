"""Problems weighted by what an earlier version's model made of them: those solved sometimes are asked again.

A problem that every sample solves, or none, makes no pair. Each is kept with probability

    explore + (1 - explore) * 4 p (1 - p)        p: the share of its judged samples that passed

which is 1 where half of them pass and `explore` where all or none do: 4 p (1 - p) is the variance of the verdict over
its maximum, so the weight follows how much there is to learn. Whether one is kept is drawn by a hash, the same always.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from curation import manifest, store
from curation.errors import UserError
from curation.schema import identify
from sandbox.verdict import NO_EVIDENCE


class Focus(BaseModel):
    """Which problems to ask again, by how an earlier version's samples fared."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Focus")

    version: Path = Field(description="Folder of the sealed version whose verdicts count; its parents' count as well.")
    explore: float = Field(
        0.25, ge=0, le=1, description="Share kept of the problems that were always or never solved; 1 keeps all."
    )
    seed: int = Field(0, description="Decides which of them are kept.")


def focused(problems: Sequence[dict[str, Any]], focus: Focus) -> list[dict[str, Any]]:
    """The problems (rows of `problems`) that are asked again, in their order; those never sampled all are.

    Raises:
        UserError: none is left.
    """
    rates = solve_rates(focus.version)
    kept = [row for row in problems if _kept(row["problem_id"], rates, focus)]
    if not kept:
        raise UserError(
            f"{focus.version} solved none of the {len(problems)} problems sometimes and explore keeps no other: "
            "raise explore, sample more per problem, or take other problems"
        )
    return kept


def solve_rates(version: Path) -> dict[str, float]:
    """problem_id -> share of its judged samples that passed, in the newest version of the line that sampled it."""
    rates: dict[str, float] = {}
    folder: Path | None = version
    while folder is not None:
        passed: dict[str, list[bool]] = defaultdict(list)
        for row in store.read(folder, "executions", columns=["problem_id", "status"]).to_pylist():
            if row["status"] not in NO_EVIDENCE:
                passed[row["problem_id"]].append(row["status"] == "passed")
        rates = {problem: sum(won) / len(won) for problem, won in passed.items()} | rates
        parent = manifest.read_manifest(folder)["parent"]
        folder = folder.parent / str(parent) if parent else None
    return rates


def _kept(problem_id: str, rates: Mapping[str, float], focus: Focus) -> bool:
    if problem_id not in rates:
        return True
    rate = rates[problem_id]
    weight = focus.explore + (1 - focus.explore) * 4 * rate * (1 - rate)
    return int(identify("focus", focus.seed, problem_id), 16) < weight * 16**20

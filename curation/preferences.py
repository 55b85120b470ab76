"""What strategies are made of: candidates, preferences between two of them, and when one qualifies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curation.schema import identify

if TYPE_CHECKING:
    from curation.pairs import PairSelection

Candidate = Mapping[str, Any]
"""A row of `completions` with `status`, `test_status`, `score`, `error_type` and `steps` of its run."""


@dataclass(frozen=True)
class Preference:
    """Chosen over rejected. Where only a step of each is compared, both begin with `prefix_tokens` tokens of text
    `prefix`, and a side of `chosen_tokens` or `rejected_tokens` tokens ends before its completion does."""

    chosen: Candidate
    rejected: Candidate
    prefix: str | None = None
    prefix_tokens: int | None = None
    chosen_text: str | None = None
    chosen_tokens: int | None = None
    rejected_text: str | None = None
    rejected_tokens: int | None = None


def drawn(pairs: Sequence[Preference], config: PairSelection) -> list[Preference]:
    """The pairs in the order of their samples, as many as the cap allows, drawn by the seed where there are more."""
    kept = sorted(pairs, key=lambda p: identify(config.seed, p.chosen["completion_id"], p.rejected["completion_id"]))
    kept = kept[: config.max_pairs_per_problem]
    return sorted(kept, key=lambda p: (p.chosen["sample_index"], p.rejected["sample_index"]))


def qualifies(chosen: Candidate, rejected: Candidate, config: PairSelection) -> bool:
    """Whether the scores are as far apart, and as high, as the recipe asks, and the programs are two."""
    # The gap is compared with a hair's breadth to spare: 0.9 - 0.5 is less than 0.4 in floating point.
    gap = chosen["score"] - rejected["score"]
    return (
        gap > 0
        and gap >= config.min_gap - 1e-9
        and chosen["score"] >= config.min_chosen - 1e-9
        and (config.above_rejected is None or rejected["score"] > config.above_rejected)
        and differ(chosen, rejected)
    )


def differ(one: Candidate, other: Candidate) -> bool:
    """Whether two candidates are not the same program in other words."""
    return one["code"] is None or bool(one["code"] != other["code"])

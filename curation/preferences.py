"""What every pair strategy takes and gives: candidates of one problem, and preferences among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curation.schema import identify

if TYPE_CHECKING:
    from curation.pairs import PairSelection

Candidate = Mapping[str, Any]
"""A row of `completions` with the `status`, `score` and `steps` of its run."""


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

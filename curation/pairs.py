"""Executions into preferences: which completion of a problem is chosen over which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from curation import store
from curation.progress import Progress, silent
from curation.schema import identify
from sandbox.verdict import NO_EVIDENCE

# Rules as published. AceCoder (Zeng et al. 2025, arXiv 2502.01718, section 3.2): best at least 0.8, gap at least 0.4,
# worst above 0. PLUM (Zhang et al. 2024, arXiv 2406.06887): one that passes all against one that does not.
# CodeLLM-DPO, as the curriculum article follows it: the best sample against the worst.
PRESETS: dict[str, dict[str, Any]] = {
    "codellm_dpo": {"strategy": "best_worst"},
    "acecoder": {"strategy": "all_pairs", "min_chosen": 0.8, "min_gap": 0.4, "above_rejected": 0.0},
    "plum": {"strategy": "all_pairs", "min_chosen": 1.0},
}


class PairSelection(BaseModel):
    """Which completions of a problem become pairs."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Pairs")

    preset: Literal["codellm_dpo", "acecoder", "plum"] | None = Field(
        None, description="A published rule; fields given beside it override its own."
    )
    strategy: Literal["best_worst", "all_pairs"] = Field(
        "best_worst", description="best_worst: highest score over lowest; all_pairs: every one that qualifies."
    )
    min_gap: float = Field(0.0, ge=0, le=1, description="Chosen must score at least this much more than rejected.")
    min_chosen: float = Field(0.0, ge=0, le=1, description="Lowest score a chosen completion may have.")
    above_rejected: float | None = Field(
        None, ge=0, lt=1, description="Rejected must score more than this; 0 leaves out those that pass no test."
    )
    max_pairs_per_problem: int = Field(16, ge=1, description="At most this many pairs of one problem.")
    seed: int = Field(0, description="Decides which pairs stay when a problem has more than that.")

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("preset") in PRESETS:
            return PRESETS[values["preset"]] | values
        return values


def select_pairs(dataset: Path, config: PairSelection, *, on_progress: Progress = silent) -> int:
    """completions + executions -> pairs, shard by shard. Returns the number of pairs written."""
    todo = store.missing(dataset, "pairs")
    written = 0
    for done, shard in enumerate(todo):
        on_progress(done, len(todo))
        runs = {
            row["completion_id"]: row
            for row in store.read(
                dataset, "executions", columns=["completion_id", "status", "score"], shard=shard
            ).to_pylist()
        }
        columns = ["completion_id", "problem_id", "split", "sample_index", "prompt", "text", "code"]
        completions = store.read(dataset, "completions", columns=columns, shard=shard).to_pylist()
        candidates = [completion | runs[completion["completion_id"]] for completion in completions]
        written += store.write(dataset, "pairs", pair_completions(candidates, config), shard)
    on_progress(len(todo), len(todo))
    return written


def pair_completions(candidates: Sequence[Mapping[str, Any]], config: PairSelection) -> Iterator[dict[str, Any]]:
    """The pairs of candidates that lie problem by problem, the same ones for the same seed.

    Programs that never got a fair run (`refused` and infrastructure failures) are no evidence about correctness, so
    they take neither side. Of candidates with the same text only the first counts.
    """
    for _, group in groupby(candidates, key=itemgetter("problem_id")):
        distinct: dict[str, Mapping[str, Any]] = {}
        for candidate in group:
            if candidate["status"] not in NO_EVIDENCE:
                distinct.setdefault(candidate["text"], candidate)
        for chosen, rejected in STRATEGIES[config.strategy](list(distinct.values()), config):
            yield _pair(chosen, rejected, config.strategy)


Candidate = Mapping[str, Any]


def best_worst(candidates: Sequence[Candidate], config: PairSelection) -> list[tuple[Candidate, Candidate]]:
    """The highest score over the lowest, the earliest sample among equals; a tie makes no pair."""
    qualified = [c for c in candidates if config.above_rejected is None or c["score"] > config.above_rejected]
    if not qualified:
        return []
    chosen = max(candidates, key=lambda c: (c["score"], -c["sample_index"]))
    rejected = min(qualified, key=lambda c: (c["score"], c["sample_index"]))
    return [(chosen, rejected)] if _qualifies(chosen, rejected, config) else []


def all_pairs(candidates: Sequence[Candidate], config: PairSelection) -> list[tuple[Candidate, Candidate]]:
    """Every pair that qualifies, or, where there are more than the cap, as many of them drawn by the seed."""
    pairs = [(c, r) for c in candidates for r in candidates if _qualifies(c, r, config)]
    if len(pairs) > config.max_pairs_per_problem:
        pairs.sort(key=lambda pair: identify(config.seed, pair[0]["completion_id"], pair[1]["completion_id"]))
        pairs = pairs[: config.max_pairs_per_problem]
    return sorted(pairs, key=lambda pair: (pair[0]["sample_index"], pair[1]["sample_index"]))


STRATEGIES = {"best_worst": best_worst, "all_pairs": all_pairs}


def _qualifies(chosen: Candidate, rejected: Candidate, config: PairSelection) -> bool:
    # The gap is compared with a hair's breadth to spare: 0.9 - 0.5 is less than 0.4 in floating point.
    gap = chosen["score"] - rejected["score"]
    return (
        gap > 0
        and gap >= config.min_gap - 1e-9
        and chosen["score"] >= config.min_chosen - 1e-9
        and (config.above_rejected is None or rejected["score"] > config.above_rejected)
        and (chosen["code"] is None or chosen["code"] != rejected["code"])
    )


def _pair(chosen: Candidate, rejected: Candidate, strategy: str) -> dict[str, Any]:
    return {
        "pair_id": identify(strategy, chosen["completion_id"], rejected["completion_id"]),
        "problem_id": chosen["problem_id"],
        "split": chosen["split"],
        "strategy": strategy,
        "prompt": chosen["prompt"],
        "chosen": chosen["text"],
        "rejected": rejected["text"],
        "chosen_id": chosen["completion_id"],
        "rejected_id": rejected["completion_id"],
        "chosen_score": chosen["score"],
        "rejected_score": rejected["score"],
    }

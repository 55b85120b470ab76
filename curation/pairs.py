"""Executions into preferences: which completion of a problem is chosen over which.

A strategy is a function from the candidates of one problem to preferences. A recipe may combine several; each pair
says which made it, and two completions that two strategies pair alike are the first one's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from curation import step_pairs, store
from curation.more_pairs import both_fail, diverse, faster, hard_negative, shorter, teacher
from curation.preferences import Candidate, Preference, drawn, qualifies
from curation.progress import Progress, silent
from curation.schema import COMPLETIONS, identify
from sandbox.verdict import NO_EVIDENCE

# Rules as published. AceCoder (Zeng et al. 2025, arXiv 2502.01718, section 3.2): best at least 0.8, gap at least 0.4,
# worst above 0. PLUM (Zhang et al. 2024, arXiv 2406.06887): one that passes all against one that does not.
# CodeLLM-DPO, as the curriculum article follows it: the best sample against the worst.
PRESETS: dict[str, dict[str, Any]] = {
    "codellm_dpo": {"strategy": "best_worst"},
    "acecoder": {"strategy": "all_pairs", "min_chosen": 0.8, "min_gap": 0.4, "above_rejected": 0.0},
    "plum": {"strategy": "all_pairs", "min_chosen": 1.0},
}

# The options that each strategy heeds. A strategy that is not named heeds those on scores and on the number of pairs.
_SCORES = frozenset({"min_gap", "min_chosen", "above_rejected"})
_NUMBER = frozenset({"max_pairs_per_problem", "seed"})
HEEDS: dict[str, frozenset[str]] = {
    "diverse": _SCORES | {"max_pairs_per_problem"},
    "faster": _NUMBER | {"min_ratio"},
    "shorter": _NUMBER | {"min_ratio"},
    "hard_negative": _NUMBER | {"above_rejected"},
    "teacher": _NUMBER | {"teacher"},
    "step_dpo": _NUMBER | {"tries"},
    "step_controlled": _NUMBER,
    "search": _NUMBER | {"tries", "min_gap"},
}
# What a strategy is told of a completion's run.
OF_THE_RUN = ("status", "test_status", "score", "error_type", "steps")
# Strategies that count completions, so that equal ones count as often as they were sampled.
COUNTING = frozenset({"step_dpo", "search"})


class PairSelection(BaseModel):
    """Which completions of a problem become pairs."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Pairs")

    preset: Literal["codellm_dpo", "acecoder", "plum"] | None = Field(
        None, description="A published rule; fields given beside it override its own."
    )
    strategy: Literal[
        "best_worst",
        "all_pairs",
        "diverse",
        "faster",
        "shorter",
        "both_fail",
        "hard_negative",
        "teacher",
        "mutation",
        "step_dpo",
        "step_controlled",
        "search",
    ] = Field(
        "best_worst",
        description="best_worst: highest score over lowest; all_pairs: every one that qualifies; diverse: over "
        "failures unlike each other; faster, shorter: both pass; both_fail: none passes, one gets further; "
        "hard_negative: over what nearly passes; teacher: another's that passes over the model's own that does not; "
        "mutation: a program that passes over what became of it by one small change; step_dpo: the first wrong step "
        "against a right one; step_controlled: a completion against one that left it and failed; search: two next "
        "steps of which one passes more often. The last three need generate.explore.",
    )
    min_gap: float = Field(
        0.0, ge=0, le=1, description="Chosen must score, or pass (search), at least this much more than rejected."
    )
    min_chosen: float = Field(0.0, ge=0, le=1, description="Lowest score a chosen completion may have.")
    above_rejected: float | None = Field(
        None, ge=0, lt=1, description="Rejected must score more than this; 0 leaves out those that pass no test."
    )
    min_ratio: float = Field(
        1.5,
        gt=1,
        description="For faster and shorter: rejected takes at least this many times the steps or the code of chosen.",
    )
    teacher: str | None = Field(
        None, description="For teacher: the model whose programs are chosen; null takes any but the one that is asked."
    )
    tries: int = Field(
        4,
        ge=1,
        description="step_dpo: completions behind a step that must all fail for it to be wrong; search: completions "
        "behind a step from which on its share of passing ones counts.",
    )
    max_pairs_per_problem: int = Field(16, ge=1, description="At most this many pairs of one problem.")
    seed: int = Field(0, description="Decides which pairs stay when a problem has more than that.")

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("preset") in PRESETS:
            return PRESETS[values["preset"]] | values
        return values

    @model_validator(mode="after")
    def _heeded(self) -> PairSelection:
        """An option that the strategy does not heed is an error, so that no one believes it was."""
        heeds = HEEDS.get(self.strategy, _SCORES | _NUMBER)
        for name in sorted(self.model_fields_set - heeds - {"preset", "strategy", "also"}):
            # A form or a dumped recipe sends defaults too, and they promise nothing.
            if getattr(self, name) != type(self).model_fields[name].default:
                others = [strategy for strategy, heeded in HEEDS.items() if name in heeded]
                hint = f", only {' and '.join(others)} do" if name not in _SCORES | _NUMBER else ""
                raise ValueError(f"strategy {self.strategy} does not heed {name}{hint}: leave it out")
        return self


class Pairing(PairSelection):
    """The whole section `pairs`: a strategy, and others beside it."""

    model_config = ConfigDict(title="Pairing")

    also: tuple[PairSelection, ...] = Field(
        (), description="More strategies on the same completions; a pair that an earlier one made is not made again."
    )


def select_pairs(dataset: Path, config: Pairing, *, on_progress: Progress = silent) -> int:
    """completions + executions -> pairs, shard by shard. Returns the number of pairs written."""
    todo = store.missing(dataset, "pairs")
    written = 0
    for done, shard in enumerate(todo):
        on_progress(done, len(todo))
        runs = {
            row["completion_id"]: row
            for row in store.read(
                dataset, "executions", columns=["completion_id", *OF_THE_RUN], shard=shard
            ).to_pylist()
        }
        columns = [field.name for field in COMPLETIONS.schema if field.name != "token_logps"]
        completions = store.read(dataset, "completions", columns=columns, shard=shard).to_pylist()
        candidates = [completion | runs[completion["completion_id"]] for completion in completions]
        written += store.write(dataset, "pairs", pair_completions(candidates, config), shard)
    on_progress(len(todo), len(todo))
    return written


def pair_completions(candidates: Sequence[Candidate], config: PairSelection) -> Iterator[dict[str, Any]]:
    """The pairs of candidates that lie problem by problem, the same ones for the same seed.

    Programs that never got a fair run (`refused` and infrastructure failures) are no evidence about correctness, so
    they take neither side. Of candidates with the same text only the first counts, but where shares of passing
    completions do.
    """
    selections = [config, *(config.also if isinstance(config, Pairing) else ())]
    for _, group in groupby(candidates, key=itemgetter("problem_id")):
        members = list(group)
        judged = [candidate for candidate in members if candidate["status"] not in NO_EVIDENCE]
        distinct = list(_distinct(members).values())
        made: set[tuple[Any, ...]] = set()
        for selection in selections:
            seen = judged if selection.strategy in COUNTING else distinct
            for preference in STRATEGIES[selection.strategy](seen, selection):
                row = _pair(preference, selection.strategy)
                sides = row["chosen"], row["rejected"]
                if sides not in made:
                    made.add(sides)
                    yield row


def _distinct(group: Sequence[Candidate]) -> dict[str, Candidate]:
    """Candidates with evidence by their text: of several the first that others were made from, else the first."""
    origins = {candidate.get("origin_id") for candidate in group}
    distinct: dict[str, Candidate] = {}
    for candidate in group:
        if candidate["status"] not in NO_EVIDENCE:
            first = distinct.setdefault(candidate["text"], candidate)
            if candidate["completion_id"] in origins and first["completion_id"] not in origins:
                distinct[candidate["text"]] = candidate
    return distinct


def best_worst(candidates: Sequence[Candidate], config: PairSelection) -> list[Preference]:
    """The highest score over the lowest, the earliest sample among equals; a tie makes no pair."""
    qualified = [c for c in candidates if config.above_rejected is None or c["score"] > config.above_rejected]
    if not qualified:
        return []
    chosen = max(candidates, key=lambda c: (c["score"], -c["sample_index"]))
    rejected = min(qualified, key=lambda c: (c["score"], c["sample_index"]))
    return [Preference(chosen, rejected)] if qualifies(chosen, rejected, config) else []


def all_pairs(candidates: Sequence[Candidate], config: PairSelection) -> list[Preference]:
    """Every pair that qualifies, or, where there are more than the cap, as many of them drawn by the seed."""
    return drawn([Preference(c, r) for c in candidates for r in candidates if qualifies(c, r, config)], config)


def mutation(candidates: Sequence[Candidate], config: PairSelection) -> list[Preference]:
    """A program that passes over those of its mutants that fail; one that passes all tests is equivalent, no pair."""
    passed = {c["completion_id"]: c for c in candidates if c["status"] == "passed"}
    mutants = [c for c in candidates if c["mutation"] is not None and c["status"] != "passed"]
    pairs = [Preference(passed[c["origin_id"]], c) for c in mutants if c["origin_id"] in passed]
    return drawn([pair for pair in pairs if qualifies(pair.chosen, pair.rejected, config)], config)


STRATEGIES: dict[str, Callable[[Sequence[Candidate], PairSelection], list[Preference]]] = {
    "best_worst": best_worst,
    "all_pairs": all_pairs,
    "diverse": diverse,
    "faster": faster,
    "shorter": shorter,
    "both_fail": both_fail,
    "hard_negative": hard_negative,
    "teacher": teacher,
    "mutation": mutation,
    "step_dpo": step_pairs.step_dpo,
    "step_controlled": step_pairs.step_controlled,
    "search": step_pairs.search,
}


def _pair(made: Preference, strategy: str) -> dict[str, Any]:
    chosen, rejected = made.chosen, made.rejected
    ends = [] if made.prefix_tokens is None else [made.prefix_tokens, made.chosen_tokens, made.rejected_tokens]
    return {
        "pair_id": identify(strategy, chosen["completion_id"], rejected["completion_id"], *ends),
        "problem_id": chosen["problem_id"],
        "split": chosen["split"],
        "strategy": strategy,
        "prompt": chosen["prompt"],
        "prefix": made.prefix,
        "chosen": chosen["text"] if made.chosen_text is None else made.chosen_text,
        "rejected": rejected["text"] if made.rejected_text is None else made.rejected_text,
        "prefix_tokens": made.prefix_tokens,
        "chosen_tokens": made.chosen_tokens,
        "rejected_tokens": made.rejected_tokens,
        "chosen_id": chosen["completion_id"],
        "rejected_id": rejected["completion_id"],
        "chosen_score": chosen["score"],
        "rejected_score": rejected["score"],
    }

"""Who may be chosen over whom."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from conftest import completion, execution
from curation.pairs import Pairing, PairSelection, pair_completions


def candidates(*outcomes: tuple[float, str] | float, texts: list[str] | None = None) -> list[dict[str, Any]]:
    """Candidates of one problem with these scores (and statuses), in sample order."""
    rows = []
    for index, outcome in enumerate(outcomes):
        score, status = outcome if isinstance(outcome, tuple) else (outcome, "passed" if outcome == 1 else "wrong")
        text = texts[index] if texts else f"text {index}"
        row = completion("p", index, text=text, code=text)
        rows.append(row | execution(row["completion_id"], "p", score=score, status=status))
    return rows


def chosen_over(rows: list[dict[str, Any]], **config: Any) -> list[tuple[str, str]]:
    return [(p["chosen"], p["rejected"]) for p in pair_completions(rows, PairSelection(**config))]


def test_the_best_is_chosen_over_the_worst() -> None:
    assert chosen_over(candidates(0.5, 0.0, 1.0, 0.25)) == [("text 2", "text 1")]


def test_among_equals_the_earliest_sample_stands() -> None:
    assert chosen_over(candidates(0.0, 1.0, 1.0, 0.0)) == [("text 1", "text 0")]


@pytest.mark.parametrize("scores", [(), (1.0,), (0.0, 0.0), (1.0, 1.0, 1.0), (0.5, 0.5)])
@pytest.mark.parametrize("strategy", ["best_worst", "all_pairs"])
def test_nothing_one_or_a_tie_makes_no_pair(scores: tuple[float, ...], strategy: str) -> None:
    assert chosen_over(candidates(*scores), strategy=strategy) == []


@pytest.mark.parametrize("status", ["refused", "killed", "infra_error"])
@pytest.mark.parametrize("strategy", ["best_worst", "all_pairs"])
def test_what_never_got_a_fair_run_takes_neither_side(status: str, strategy: str) -> None:
    assert chosen_over(candidates(1.0, (0.0, status)), strategy=strategy) == []
    assert chosen_over(candidates((1.0, status), 0.0), strategy=strategy) == []


@pytest.mark.parametrize("status", ["wrong", "exception", "step_limit", "time_limit", "memory_limit", "output_limit"])
def test_a_program_that_failed_by_itself_can_be_rejected(status: str) -> None:
    assert chosen_over(candidates(1.0, (0.0, status))) == [("text 0", "text 1")]


def test_duplicates_count_once_and_never_pair() -> None:
    rows = candidates(1.0, 0.0, 1.0, 0.0, texts=["good", "bad", "good", "bad"])
    assert chosen_over(rows, strategy="all_pairs") == [("good", "bad")]


def test_the_same_program_in_other_words_makes_no_pair() -> None:
    rows = candidates(1.0, 0.0)
    rows[0]["code"] = rows[1]["code"] = "the same"
    assert chosen_over(rows) == []


def test_answers_without_a_program_can_be_rejected() -> None:
    rows = candidates(1.0, (0.0, "exception"))
    rows[1]["code"] = None
    assert chosen_over(rows) == [("text 0", "text 1")]


def test_all_pairs_respects_the_gap_exactly() -> None:
    # 0.9 - 0.5 is 0.4 on paper and 0.39999999999999997 in floating point.
    assert chosen_over(candidates(0.9, 0.5, 0.6), strategy="all_pairs", min_gap=0.4) == [("text 0", "text 1")]


def test_acecoder_is_as_published() -> None:
    # best at least 0.8, gap at least 0.4, worst above 0
    rows = candidates(0.8, 0.4, 0.0, 1.0, 0.7, 0.6)
    pairs = chosen_over(rows, preset="acecoder")
    assert pairs == [("text 0", "text 1"), ("text 3", "text 1"), ("text 3", "text 5")]


def test_fields_beside_a_preset_override_it() -> None:
    rows = candidates(0.8, 0.4, 0.0)
    assert chosen_over(rows, preset="acecoder", above_rejected=None) == [("text 0", "text 1"), ("text 0", "text 2")]


def test_best_worst_passes_over_rejected_that_score_too_little() -> None:
    assert chosen_over(candidates(1.0, 0.0, 0.2), above_rejected=0.0) == [("text 0", "text 2")]
    assert chosen_over(candidates(1.0, 0.0, 0.0), above_rejected=0.0) == []


def test_the_cap_draws_the_same_pairs_for_the_same_seed_and_others_for_another() -> None:
    rows = candidates(*[1.0] * 6, *[0.0] * 6)
    first, again, other = (chosen_over(rows, strategy="all_pairs", max_pairs_per_problem=5, seed=s) for s in (0, 0, 1))
    assert len(first) == 5 and first == again and first != other
    assert set(first) < set(chosen_over(rows, strategy="all_pairs", max_pairs_per_problem=36))


def test_problems_do_not_mix() -> None:
    first, second = candidates(1.0), candidates(0.0, texts=["other"])
    second[0]["problem_id"] = "q"
    assert chosen_over(first + second) == []


def test_the_id_follows_from_strategy_and_sides() -> None:
    rows = candidates(1.0, 0.0)
    ids = {next(pair_completions(rows, PairSelection(strategy=s)))["pair_id"] for s in ("best_worst", "all_pairs")}
    assert len(ids) == 2
    assert next(pair_completions(rows, PairSelection()))["pair_id"] in ids


def test_an_unknown_preset_is_an_error() -> None:
    with pytest.raises(ValidationError, match="codellm_dpo"):
        PairSelection(preset="acecodr")


def test_strategies_are_combined_and_a_pair_is_made_by_the_first_of_them() -> None:
    rows = candidates(1.0, 0.5, 0.0)
    both = Pairing.model_validate({"strategy": "best_worst", "also": [{"strategy": "all_pairs", "min_gap": 0.5}]})
    made = [(pair["strategy"], pair["chosen"], pair["rejected"]) for pair in pair_completions(rows, both)]
    assert made == [
        ("best_worst", "text 0", "text 2"),
        ("all_pairs", "text 0", "text 1"),
        ("all_pairs", "text 1", "text 2"),
    ]


def test_a_strategy_beside_another_has_options_of_its_own() -> None:
    both = Pairing.model_validate({"preset": "plum", "also": [{"preset": "acecoder"}]})
    assert (both.min_chosen, both.also[0].min_chosen) == (1.0, 0.8)

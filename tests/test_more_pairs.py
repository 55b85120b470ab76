"""More pairs from the same samples: whom each strategy chooses over whom, and what it refuses to be told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from conftest import completion, execution, problem
from curation import store
from curation.generate import generate_completions
from curation.pairs import STRATEGIES, Pairing, PairSelection, pair_completions
from curation.sampling import Generation

SOLUTION = problem()["prompt"] + "    return a + b\n"


def candidate(index: int, score: float, text: str | None = None, **columns: Any) -> dict[str, Any]:
    """The `index`-th sample of a problem of four tests: passed where its score is 1."""
    text = f"text {index}" if text is None else text
    row = completion("p", index, text=text, code=text, origin_id=None, mutation=None, **columns)
    passed = round(4 * score)
    run = {"status": "passed" if score == 1 else "wrong", "score": score}
    run |= {"test_status": ["passed"] * passed + ["wrong"] * (4 - passed)}
    return row | execution(row["completion_id"], "p", **run) | columns


def paired(rows: list[dict[str, Any]], strategy: str, **config: Any) -> list[tuple[int, int]]:
    """The sample numbers of chosen and rejected."""
    index = {row["completion_id"]: row["sample_index"] for row in rows}
    made = pair_completions(rows, PairSelection(strategy=strategy, **config))
    return [(index[row["chosen_id"]], index[row["rejected_id"]]) for row in made]


def test_faster_asks_for_a_ratio_of_steps_and_for_two_that_pass() -> None:
    rows = [
        candidate(0, 1, steps=10),
        candidate(1, 1, steps=15),
        candidate(2, 1, steps=14),
        candidate(3, 0.75, steps=90),
    ]
    assert paired(rows, "faster") == [(0, 1)]
    assert paired(rows, "faster", min_ratio=1.4) == [(0, 1), (0, 2)]
    assert paired(rows, "faster", min_ratio=1.6) == []
    assert paired([candidate(0, 1, steps=0), candidate(1, 1, steps=2)], "faster") == [(0, 1)], "no steps count as one"
    assert paired([candidate(0, 1, steps=0), candidate(1, 1, steps=1)], "faster") == []


def test_shorter_counts_code_and_not_blanks() -> None:
    rows = [candidate(0, 1, "abcd"), candidate(1, 1, "a b c\n\n\n de f"), candidate(2, 1, "abc  \n\n  de")]
    assert paired(rows, "shorter") == [(0, 1)], "6 characters are one and a half times 4, 5 are not"
    commented = candidate(3, 1, "abcd\n" + "  # not a word of code\n" * 9)
    assert paired([rows[0], commented], "shorter") == [], "nor lines of comment"
    rows[0]["code"] = None
    assert paired(rows, "shorter", min_ratio=1.2) == [(2, 1)], "without a program there is nothing to count"


@pytest.mark.parametrize("strategy", ["faster", "shorter"])
def test_a_failing_program_is_neither_fast_nor_short(strategy: str) -> None:
    rows = [
        candidate(0, 0.75, "x", steps=1),
        candidate(1, 1, "long program", steps=100),
        candidate(2, 0, "y" * 99, steps=999),
    ]
    assert paired(rows, strategy) == []


def test_both_fail_prefers_what_gets_further_and_leaves_what_passes_alone() -> None:
    rows = [candidate(0, 1), candidate(1, 0.75), candidate(2, 0.25), candidate(3, 0.25), candidate(4, 0)]
    assert paired(rows, "both_fail") == [(1, 2), (1, 3), (1, 4), (2, 4), (3, 4)]
    assert paired(rows, "both_fail", min_gap=0.5) == [(1, 2), (1, 3), (1, 4)]
    assert paired(rows, "both_fail", above_rejected=0.0) == [(1, 2), (1, 3)]
    assert paired([candidate(0, 1), candidate(1, 0)], "both_fail") == []


def test_hard_negatives_are_those_that_nearly_pass() -> None:
    rows = [candidate(0, 1), candidate(1, 0.5), candidate(2, 0.75), candidate(3, 0.75), candidate(4, 1)]
    assert paired(rows, "hard_negative") == [(0, 2), (0, 3), (4, 2), (4, 3)]
    assert paired(rows, "hard_negative", above_rejected=0.8) == [], "nothing passes that many without passing all"
    assert paired([candidate(0, 1), candidate(1, 0)], "hard_negative") == [], "what passes no test is not hard"
    assert paired([candidate(0, 0.75), candidate(1, 0.5)], "hard_negative") == []


def test_a_teacher_is_chosen_over_the_models_own_failures_only() -> None:
    taught = {"sampler": "reference", "model": "reference"}
    rows = [candidate(0, 0), candidate(1, 1), candidate(2, 0.5), candidate(3, 1, **taught), candidate(4, 0, **taught)]
    assert paired(rows, "teacher") == [(3, 0), (3, 2)]
    assert paired(rows, "teacher", teacher="reference") == [(3, 0), (3, 2)]
    assert paired(rows, "teacher", teacher="another") == []
    assert paired(rows[:3], "teacher") == [], "the model is not its own teacher"
    changed = candidate(5, 1, sampler="mutation", model="reference") | {"origin_id": rows[0]["completion_id"]}
    assert paired([*rows, changed], "teacher") == [(3, 0), (3, 2)], "what was made from another's is nobody's teaching"


def test_diverse_rejects_failures_of_other_kinds_before_other_words() -> None:
    rows = [
        candidate(0, 1, "the first right one"),
        candidate(1, 0, "return 1", error_type="ValueError"),
        candidate(2, 0, "entirely different words here", error_type="ValueError"),
        candidate(3, 0, "return 2", error_type="TypeError"),
        candidate(4, 1, "the second right one"),
        candidate(5, 0.5, "return 3"),
    ]
    # From 1: 3 and 5 end otherwise (1 + 2/3 of their words differ), 2 only reads otherwise (1); then 5 before 2.
    assert paired(rows, "diverse", max_pairs_per_problem=2) == [(0, 1), (4, 3)], "those that pass take turns"
    assert paired(rows, "diverse", max_pairs_per_problem=3) == [(0, 1), (4, 3), (0, 5)]
    assert paired(rows, "diverse") == [(0, 1), (4, 3), (0, 5), (4, 2)]
    assert paired(rows, "diverse", above_rejected=0.0) == [(0, 5)]


def test_diverse_takes_no_two_failures_of_the_same_words_and_verdicts() -> None:
    rows = [candidate(0, 1), candidate(1, 0, "return a"), candidate(2, 0, "return  a"), candidate(3, 0, "a return")]
    assert paired(rows, "diverse") == [(0, 1)]
    assert paired([candidate(0, 1)], "diverse") == paired([], "diverse") == []


@pytest.mark.parametrize("strategy", ["faster", "shorter", "both_fail", "hard_negative", "teacher"])
def test_the_cap_draws_by_the_seed(strategy: str) -> None:
    taught = {"sampler": "replay", "model": "t"}
    rows = [candidate(index, 0, f"{'x' * 60} {index}", steps=900) for index in range(2)]
    rows += [candidate(2 + index, 0.5, f"{'y' * 60} {index}", steps=900) for index in range(4)]
    rows += [candidate(6 + index, 1, "z" * (index + 1), steps=2**index, **taught) for index in range(6)]
    first, again, other = (paired(rows, strategy, max_pairs_per_problem=5, seed=seed) for seed in (0, 0, 3))
    assert len(first) == 5 and first == again and first != other
    assert set(first) < set(paired(rows, strategy, max_pairs_per_problem=99))


@pytest.mark.parametrize(
    ("strategy", "option", "said"),
    [
        ("best_worst", {"min_ratio": 2}, "strategy best_worst does not heed min_ratio, only faster and shorter do"),
        ("all_pairs", {"teacher": "x"}, "strategy all_pairs does not heed teacher, only teacher do"),
        ("faster", {"min_gap": 0.5}, "strategy faster does not heed min_gap: leave it out"),
        ("hard_negative", {"min_chosen": 1.0}, "strategy hard_negative does not heed min_chosen"),
        ("diverse", {"seed": 1}, "strategy diverse does not heed seed"),
        ("teacher", {"preset": "acecoder"}, "strategy teacher does not heed above_rejected"),
    ],
)
def test_an_option_that_a_strategy_does_not_heed_is_an_error(strategy: str, option: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        PairSelection(strategy=strategy, **option)
    with pytest.raises(ValidationError, match=said):
        Pairing(also=[{"strategy": strategy, **option}])


def test_defaults_may_be_spelled_out_for_every_strategy() -> None:
    for strategy in STRATEGIES:
        whole = PairSelection(strategy=strategy).model_dump()
        assert PairSelection(**whole).model_dump() == whole


def test_a_pair_that_two_strategies_make_is_the_first_ones() -> None:
    rows = [candidate(0, 1), candidate(1, 0.75), candidate(2, 0)]
    config = Pairing(strategy="hard_negative", also=[{"strategy": "diverse"}, {"strategy": "both_fail"}])
    made = [(row["strategy"], row["chosen"], row["rejected"]) for row in pair_completions(rows, config)]
    assert made == [
        ("hard_negative", "text 0", "text 1"),
        ("diverse", "text 0", "text 2"),
        ("both_fail", "text 1", "text 2"),
    ]


@pytest.mark.parametrize(
    ("completion_is", "expected"), [("solution", SOLUTION), ("continuation", "    return a + b\n")]
)
def test_a_teachers_program_has_the_form_of_the_replayed_ones(
    completion_is: str, expected: str, tables: Callable[..., Path], tmp_path: Path
) -> None:
    # Else the model would learn the form, as in fenced over plain, before anything else.
    dataset = tables(problems=[problem(reference_solution=SOLUTION)])
    (tmp_path / "s.jsonl").write_text(json.dumps({"task_id": "add", "completion": "    return 0\n"}) + "\n")
    config = {"sampler": "replay", "path": tmp_path / "s.jsonl", "completion_is": completion_is}
    generate_completions(dataset, Generation(**config, also=[{"sampler": "reference"}]))
    taught = store.read(dataset, "completions").to_pylist()[1]
    assert (taught["text"], taught["code"]) == (expected, SOLUTION)

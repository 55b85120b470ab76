"""Pairs of steps, on rows whose tokens are their characters and whose steps are their lines."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from conftest import completion, execution
from curation.pairs import PairSelection, pair_completions


def line_ends(text: str) -> list[dict[str, int]]:
    ends = [place + 1 for place, one in enumerate(text) if one == "\n" and place + 1 < len(text)]
    return [{"chars": end, "tokens": end} for end in (*ends, len(text))]


def candidates(*outcomes: tuple[str, bool], **columns: list[Any]) -> list[dict[str, Any]]:
    """Completions of one problem with these texts that passed or not."""
    rows = []
    for index, (text, passed) in enumerate(outcomes):
        own = {name: values[index] for name, values in columns.items()}
        known = {"token_ids": [ord(one) for one in text], "step_ends": line_ends(text)}
        row = completion("p", index, text=text, code=text, **({"origin_id": None, "prefix_tokens": None} | known | own))
        verdict = {"status": "passed" if passed else "wrong", "score": float(passed)}
        rows.append(row | execution(row["completion_id"], "p", **verdict))
    return rows


def pairs(rows: list[dict[str, Any]], **config: Any) -> list[tuple[str, str, str]]:
    """(prefix, chosen, rejected), the sides behind the prefix."""
    found = list(pair_completions(rows, PairSelection(**config)))
    for one in found:
        assert one["chosen"].startswith(one["prefix"]) and one["rejected"].startswith(one["prefix"])
        assert one["prefix_tokens"] == len(one["prefix"])
        assert one["chosen_tokens"] in (None, len(one["chosen"])), "a token is a character here"
        assert one["rejected_tokens"] in (None, len(one["rejected"]))
    start = [len(one["prefix"]) for one in found]
    return [(one["prefix"], one["chosen"][at:], one["rejected"][at:]) for one, at in zip(found, start, strict=True)]


def test_the_first_wrong_step_is_where_passing_completions_leave() -> None:
    rows = candidates(
        ("a\nb\nx\ny\n", False),
        ("a\nb\nc\n", True),  # so "a b" can be completed
        ("a\nb\nx\nd\n", False),  # and "a b x" cannot: two tries, both wrong
        ("a\nb\nx\ne\n", False),
    )
    assert pairs(rows, strategy="step_dpo", tries=2)[0] == ("a\nb\n", "c\n", "x\n")
    assert pairs(rows, strategy="step_dpo", tries=3) == [], "three others were asked for and two are there"
    assert pairs([rows[0], *rows[2:]], strategy="step_dpo", tries=2) == [], "nothing is known to be right"


def test_equal_tries_count_each() -> None:
    rows = candidates(("a\nx\ny\n", False), ("a\nx\nz\n", False), ("a\nx\nz\n", False), ("a\nb\n", True))
    assert pairs(rows, strategy="step_dpo", tries=2)[0] == ("a\n", "b\n", "x\n")


def test_a_last_step_is_wrong_by_itself_unless_it_was_cut_off() -> None:
    rows = candidates(("a\nx\n", False), ("a\nb\n", True))
    assert pairs(rows, strategy="step_dpo") == [("a\n", "b\n", "x\n")]
    rows[0]["finish_reason"] = "length"
    assert pairs(rows, strategy="step_dpo") == []


def test_every_right_step_is_chosen_once() -> None:
    rows = candidates(("x\n", False), ("b\nc\n", True), ("b\nd\n", True), ("e\n", True))
    assert sorted(pairs(rows, strategy="step_dpo")) == [("", "b\n", "x\n"), ("", "e\n", "x\n")]


def test_a_step_with_other_space_behind_it_is_no_other_step() -> None:
    assert pairs(candidates(("x\n", False), ("x\n\n", True)), strategy="step_dpo") == []


def test_completions_without_steps_make_no_pair() -> None:
    rows = candidates(("x\n", False), ("a\n", True), step_ends=[None, None])
    for strategy in ("step_dpo", "search"):
        assert pairs(rows, strategy=strategy, tries=1) == []


def left(origin: str, *texts: tuple[str, bool], kept: int = 2) -> list[dict[str, Any]]:
    """A completion that passed, and others that kept its first tokens."""
    (first,) = candidates((origin, True))
    name = first["completion_id"]
    rest = candidates(*texts, origin_id=[name] * len(texts), prefix_tokens=[kept] * len(texts))
    return [first, *rest]


def test_a_continuation_that_fails_is_rejected_whole_behind_what_it_kept() -> None:
    rows = left("a\nb\n", ("a\nx\ny\n", False), ("a\nz\n", True))
    assert pairs(rows, strategy="step_controlled") == [("a\n", "b\n", "x\ny\n")]
    (row,) = pair_completions(rows, PairSelection(strategy="step_controlled"))
    assert (row["chosen_tokens"], row["rejected_tokens"], row["prefix_tokens"]) == (None, None, 2)


def test_a_continuation_that_does_not_parse_is_left_out() -> None:
    rows = left("a\nb\n", ("a\nx (\n", False), ("a\ny\n", False))
    assert pairs(rows, strategy="step_controlled") == [("a\n", "b\n", "y\n")]
    rows[2]["code"] = None
    assert pairs(rows, strategy="step_controlled") == []


def test_what_left_a_failing_completion_is_no_pair() -> None:
    rows = left("a\nb\n", ("a\nx\n", False))
    rows[0] |= {"status": "wrong", "score": 0.0}
    assert pairs(rows, strategy="step_controlled") == []


TREE = candidates(
    ("a\nb\n", True),
    ("a\nb\nc\n", True),  # behind "a b": 2 of 2
    ("a\nx\nc\n", True),
    ("a\nx\nd\n", False),  # behind "a x": 1 of 2
    ("y\n", False),
    ("y\nz\n", False),  # behind "y": 0 of 2; behind "a": 3 of 4
)


def test_siblings_are_paired_by_the_share_that_passes_behind_them() -> None:
    found = pairs(TREE, strategy="search", tries=2)
    assert sorted(found) == [("", "a\n", "y\n"), ("a\n", "b\n", "x\n")]
    assert pairs(TREE, strategy="search", tries=2, min_gap=0.75) == [("", "a\n", "y\n")]
    assert pairs(TREE, strategy="search", tries=3) == [], "of y there are two"


def test_sides_are_the_best_behind_one_step_and_the_worst_behind_the_other() -> None:
    rows = {row["completion_id"]: row for row in TREE}
    for pair in pair_completions(TREE, PairSelection(strategy="search", tries=1)):
        assert rows[pair["chosen_id"]]["status"] == "passed" and rows[pair["rejected_id"]]["status"] == "wrong"
        assert (pair["chosen_score"], pair["rejected_score"]) == (1.0, 0.0)


def test_a_step_written_with_other_tokens_is_one_node_and_no_prefix_of_a_pair() -> None:
    rows = candidates(("a\nb\n", True), ("a\nb\n", False), ("a\nx\n", False), ("a\nx\n", False))
    # The second "a" is another token, so that it shares no prefix with the others; its steps count all the same.
    rows[1]["token_ids"][0] = 7
    assert pairs(rows, strategy="search", tries=2) == [("a\n", "b\n", "x\n")]
    assert pairs(rows, strategy="search", tries=2, min_gap=0.6) == [], "the value of b is a half"


@pytest.mark.parametrize(
    ("strategy", "option"),
    [("step_dpo", {"min_gap": 0.5}), ("search", {"min_chosen": 1.0}), ("all_pairs", {"tries": 2})],
)
def test_an_option_that_a_strategy_does_not_heed_is_an_error(strategy: str, option: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=f"strategy {strategy} does not heed {next(iter(option))}"):
        PairSelection(strategy=strategy, **option)

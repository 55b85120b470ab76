"""Each check on rows that keep its rule and on rows that break it in each way."""

import pytest

from analysis import checks, engine
from analysis.engine import SQL
from literal_rows import completion, execution, hopeless, pair, pair_feature, placed, plant, problem

SOUND = {
    "problems": [problem("q"), problem("hopeless"), problem("unsampled")],
    "completions": [
        completion("c"),
        completion("r", text="é = 2\n"),
        completion("h", "hopeless"),
    ],
    "executions": [execution("c"), execution("r", passed=0), execution("h", "hopeless", passed=0, status="refused")],
    "pairs": [pair("p", chosen="x = 1\n", rejected="é = 2\n")],
    "hopeless_problems": [],
    "completion_features": [],
    "pair_features": [pair_feature("p")],
    "curriculum": [placed("p", position=0, bucket=0, metric=1.0)],
}

STEP = pair("p", prefix="x", prefix_tokens=1, chosen="x = 1\n", rejected="xy", rejected_tokens=2)
TOKENS = [completion("c", token_ids=[1, 2]), completion("r", text="xyz", token_ids=[1, 3, 4])]
CHANGE = {"origin_id": "c", "mutation": "name", "span_start": 0, "span_end": 1, "origin_span_end": 1}
BOTH_PASS = {"executions": [execution("c"), execution("r")]}
BROKEN = [
    *(
        (f"ids_are_unique_in_{table}", {table: SOUND[table][:1] * 2}, 1)
        for table in ("problems", "completions", "executions", "pairs", "pair_features", "curriculum")
    ),
    ("ids_are_unique_in_hopeless_problems", {"hopeless_problems": [hopeless("q")] * 2}, 1),
    ("hopeless_problems_are_unsolved", {"hopeless_problems": [hopeless("q")]}, 1),
    ("hopeless_problems_are_unsolved", {"hopeless_problems": [hopeless("unsampled")]}, 1),
    ("hopeless_problems_are_unsolved", {"executions": [execution("c", passed=0), execution("r", passed=0)]}, 1),
    ("splits_share_no_problem", {"problems": [problem("q"), problem("q", split="test")]}, 1),
    ("splits_share_no_problem", {"pairs": [SOUND["pairs"][0] | {"split": "test"}]}, 1),
    ("splits_share_no_problem", {"curriculum": [SOUND["curriculum"][0] | {"split": "test"}]}, 1),
    ("every_row_has_its_problem", {"problems": SOUND["problems"][:1]}, 2),
    ("every_row_has_its_problem", {"problems": []}, 5),
    ("every_completion_has_an_execution", {"executions": SOUND["executions"][1:]}, 1),
    ("every_completion_has_an_execution", {"executions": []}, 3),
    ("every_execution_has_its_completion", {"completions": SOUND["completions"][1:]}, 1),
    ("every_execution_has_its_completion", {"executions": [execution("c", "hopeless")]}, 1),
    ("scores_count_the_tests", {"executions": [execution("c", tests=2, passed=1) | {"score": 1.0}]}, 1),
    (
        "scores_count_the_tests",
        {"executions": [execution("c", tests=2, passed=1) | {"num_passed": 2, "score": 1.0}]},
        1,
    ),
    ("scores_count_the_tests", {"executions": [execution("c", passed=0) | {"status": "passed"}]}, 1),
    ("scores_count_the_tests", {"executions": [execution("c") | {"num_passed": -1, "score": -1.0}]}, 1),
    ("pair_sides_differ", {"pairs": [pair("p", chosen_id="c", rejected_id="c")]}, 1),
    ("pair_sides_differ", {"pairs": [pair("p", chosen="é", rejected="é")]}, 1),
    ("chosen_scores_more", {"pairs": [pair("p", chosen_score=0.5, rejected_score=0.5)]}, 1),
    ("chosen_scores_more", {"pairs": [pair("p", chosen_score=0.0, rejected_score=1.0)]}, 1),
    ("chosen_scores_more", {"pairs": [pair("p", chosen_score=float("nan"), rejected_score=float("nan"))]}, 1),
    ("pair_sides_are_its_problems_completions", {"pairs": [pair("p", chosen="x = 1\n", rejected="é = 3\n")]}, 1),
    ("chosen_scores_more", {"pairs": [pair("p", chosen_score=0.5, rejected_score=1.0, strategy="faster")]}, 1),
    (
        "pair_sides_are_its_problems_completions",
        {"pairs": [pair("p", chosen="x = 2", chosen_tokens=2, rejected="é = 2\n")]},
        1,
    ),
    ("sides_share_their_prefix", {"pairs": [STEP | {"prefix": "y"}], "completions": TOKENS}, 1),
    ("sides_share_their_prefix", {"pairs": [STEP | {"prefix_tokens": None}], "completions": TOKENS}, 1),
    ("sides_share_their_prefix", {"pairs": [STEP | {"prefix_tokens": 2}], "completions": TOKENS}, 1),
    ("sides_share_their_prefix", {"pairs": [STEP | {"rejected_tokens": 1}], "completions": TOKENS}, 1),
    ("mutants_differ_in_their_span", {"completions": [TOKENS[0], TOKENS[1] | CHANGE | {"span_start": 5}]}, 1),
    ("mutants_differ_in_their_span", {"completions": [TOKENS[0], TOKENS[1] | CHANGE | {"origin_span_end": 4}]}, 1),
    ("verified_pairs_pass_and_fail", {"pairs": [SOUND["pairs"][0] | {"strategy": "mutation"}]} | BOTH_PASS, 1),
    (
        "verified_pairs_pass_and_fail",
        {"pairs": [SOUND["pairs"][0] | {"strategy": "step_dpo"}]}
        | {"executions": [execution("c", passed=0), execution("r", passed=0)]},
        1,
    ),
    ("pair_sides_are_its_problems_completions", {"completions": SOUND["completions"][1:]}, 1),
    ("pair_sides_are_its_problems_completions", {"pairs": [SOUND["pairs"][0] | {"problem_id": "hopeless"}]}, 2),
    *(
        ("pair_sides_were_judged", {"executions": [execution("c"), execution("r", passed=0, status=status)]}, 1)
        for status in ("refused", "killed", "infra_error")
    ),
    ("pair_sides_were_judged", {"executions": [execution("c")]}, 1),
    ("pair_sides_were_judged", {"executions": [execution("c"), execution("r", tests=2, passed=1)]}, 1),
    ("every_pair_is_measured", {"pair_features": []}, 1),
    ("every_pair_is_measured", {"pair_features": [pair_feature("p"), pair_feature("other")]}, 1),
    ("curriculum_covers_every_pair", {"curriculum": []}, 1),
    ("curriculum_covers_every_pair", {"curriculum": [*SOUND["curriculum"], placed("other", pruned_by="rule")]}, 1),
    ("only_kept_pairs_have_a_place", {"curriculum": [placed("p", position=0, bucket=0, pruned_by="rule")]}, 1),
    ("only_kept_pairs_have_a_place", {"curriculum": [placed("p")]}, 1),
    ("only_kept_pairs_have_a_place", {"curriculum": [placed("p", position=0)]}, 1),
    ("positions_have_no_gap", {"curriculum": [placed("p", position=1, bucket=0)]}, 1),
    ("positions_have_no_gap", {"curriculum": [placed(name, position=0, bucket=0) for name in "ab"]}, 1),
    (
        "buckets_follow_positions",
        {"curriculum": [placed("a", position=0, bucket=1), placed("b", position=1, bucket=0)]},
        1,
    ),
]


def test_a_sound_dataset_passes_every_check(tmp_path):
    found = checks.run_checks(plant(tmp_path, **SOUND))
    assert list(found) == engine.names(SQL / "checks")
    assert {check: rows for check, rows in found.items() if rows} == {}


def test_an_empty_dataset_passes_every_check(tmp_path):
    assert set(checks.run_checks(tmp_path).values()) == {0}


@pytest.mark.parametrize(
    ("check", "tables", "rows"), BROKEN, ids=[f"{check}-{n}" for n, (check, *_) in enumerate(BROKEN)]
)
def test_a_check_finds_what_breaks_it(tmp_path, check, tables, rows):
    dataset = plant(tmp_path, **(SOUND | tables))
    assert checks.run_checks(dataset)[check] == rows
    assert checks.bad_rows(dataset, check).num_rows == rows


def test_steps_and_mutants_that_are_as_they_should_be_pass(tmp_path):
    rest = completion("h", "hopeless")
    mutant = completion("r", text="é = 1\n") | CHANGE
    mutated = pair("p", chosen="x = 1\n", rejected="é = 1\n", strategy="mutation")
    found = checks.run_checks(
        plant(tmp_path / "mutant", **(SOUND | {"completions": [TOKENS[0], mutant, rest], "pairs": [mutated]}))
    )
    assert set(found.values()) == {0}
    stepped = {"completions": [*TOKENS, rest], "pairs": [STEP | {"strategy": "step_dpo"}]}
    assert set(checks.run_checks(plant(tmp_path / "step", **(SOUND | stepped))).values()) == {0}


def test_every_check_is_broken_by_some_row_here():
    tested = {check for check, *_ in BROKEN} | {
        f"ids_are_unique_in_{name}_features" for name in ("problem", "completion")
    }
    assert tested == set(engine.names(SQL / "checks"))


def test_the_bad_rows_say_what_is_wrong(tmp_path):
    dataset = plant(tmp_path, **(SOUND | {"pairs": [pair("p", chosen_score=0.25, rejected_score=0.5)]}))
    assert checks.bad_rows(dataset, "chosen_scores_more").to_pylist() == [
        {"pair_id": "p", "chosen_score": 0.25, "rejected_score": 0.5}
    ]
    many = plant(tmp_path / "many", completions=[completion(f"c{index}") for index in range(9)])
    assert checks.bad_rows(many, "every_completion_has_an_execution", limit=4).num_rows == 4

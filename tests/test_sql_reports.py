"""The views and reports on literal rows: the empty, the all, the none, and a number by hand."""

from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import engine
from analysis.engine import SQL
from curation.card import lengths_told
from literal_rows import completion, completions_of, execution, pair_feature, placed, plant, problem


def report(dataset, name, **params):
    with engine.connect(dataset) as con:
        return engine.run(con, engine.load(SQL / "reports" / f"{name}.sql"), **params).to_pylist()


def sampled(folder, counts):
    """A dataset with a problem for each (samples, passing ones)."""
    problems = [problem(f"q{index}") for index in range(len(counts))]
    runs = [
        execution(f"q{index}.{sample}", f"q{index}", passed=int(sample < passing))
        for index, (samples, passing) in enumerate(counts)
        for sample in range(samples)
    ]
    return plant(folder, problems=problems, completions=completions_of(runs), executions=runs)


def expected_pass_at_k(counts, k):
    return sum(1 - comb(n - c, k) / comb(n, k) for n, c in counts) / len(counts)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_pass_at_k_equals_the_closed_form(tmp_path, k):
    # None, some, all, and one among many: a problem with no passing sample must stay in the average.
    counts = [(5, 0), (5, 2), (8, 8), (20, 1)]
    [row] = report(sampled(tmp_path, counts), "pass_at_k", k=k)
    assert row == {"k": k, "problems": 4, "pass_at_k": pytest.approx(expected_pass_at_k(counts, k))}


def test_pass_at_k_leaves_out_problems_with_fewer_samples_and_what_is_no_evidence(tmp_path):
    dataset = sampled(tmp_path, [(2, 1), (3, 0)])
    more = [execution(f"q1.{status}", "q1", passed=0, status=status) for status in ("refused", "killed", "infra_error")]
    runs = [
        execution(f"q{q}.{n}", f"q{q}", passed=int((q, n) == (0, 0)))
        for q, n in ((0, 0), (0, 1), (1, 0), (1, 1), (1, 2))
    ]
    plant(dataset, completions=completions_of(runs + more), executions=runs + more)
    assert report(dataset, "pass_at_k", k=3) == [{"k": 3, "problems": 1, "pass_at_k": 0.0}]
    assert report(dataset, "pass_at_k", k=4) == [{"k": 4, "problems": 0, "pass_at_k": None}]


def test_what_stands_beside_the_model_s_samples_or_is_made_of_them_is_not_counted(tmp_path):
    dataset = sampled(tmp_path, [(4, 1)])
    rows = [
        completion("reference", "q0", sample_index=4, sampler="reference", model="reference"),
        completion("teacher", "q0", sample_index=5, sampler="replay", model="big"),
        completion("mutant", "q0", sample_index=6, origin_id="q0.0", mutation="operator"),
        completion("continued", "q0", sample_index=7, origin_id="q0.0", prefix_tokens=3),
    ]
    own = [execution(f"q0.{n}", "q0", passed=int(n == 0)) for n in range(4)]
    runs = own + [execution(row["completion_id"], "q0") for row in rows]
    plant(dataset, completions=completions_of(own) + rows, executions=runs)
    [row] = report(dataset, "pass_at_k")
    assert row["pass_at_k"] == 0.25


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), min_size=1, max_size=6))
def test_pass_at_1_is_the_mean_pass_rate(tmp_path_factory, counts):
    [row] = report(sampled(tmp_path_factory.mktemp("runs"), counts), "pass_at_k")
    assert row["pass_at_k"] == pytest.approx(sum(c / n for n, c in counts) / len(counts))


def test_reports_of_nothing_are_empty(tmp_path):
    for name in ("verdicts", "buckets", "pruned", "length_bias"):
        assert report(tmp_path, name) == []


def test_verdicts_are_counted_most_common_first(tmp_path):
    runs = [
        execution("a"),
        execution("b", passed=0),
        execution("c", passed=0),
        execution("d", passed=0, status="refused"),
    ]
    assert report(plant(tmp_path, executions=runs), "verdicts") == [
        {"status": "wrong", "completions": 2, "share": 0.5},
        {"status": "passed", "completions": 1, "share": 0.25},
        {"status": "refused", "completions": 1, "share": 0.25},
    ]


def test_buckets_and_pruned_pairs_are_told_apart(tmp_path):
    rows = [
        placed("a", "q0", position=0, bucket=0, metric=1.0),
        placed("b", "q0", position=1, bucket=0, metric=2.0),
        placed("c", "q1", position=2, bucket=2, metric=9.0),
        placed("d", "q1", metric=0.5, pruned_by="near_identical_pairs"),
        placed("e", "q1", pruned_by="unmeasured"),
    ]
    dataset = plant(tmp_path, curriculum=rows)
    assert report(dataset, "buckets") == [
        {"bucket": 0, "pairs": 2, "problems": 1, "low": 1.0, "median": 1.5, "high": 2.0},
        {"bucket": 2, "pairs": 1, "problems": 1, "low": 9.0, "median": 9.0, "high": 9.0},
    ]
    assert report(dataset, "pruned") == [
        {"rule": "near_identical_pairs", "removed": 1, "share": 0.2},
        {"rule": "unmeasured", "removed": 1, "share": 0.2},
    ]


def test_length_bias_before_and_after_pruning(tmp_path):
    measured = [
        pair_feature("a", chars_gap=10, tokens_gap=4),
        pair_feature("b", chars_gap=-4, tokens_gap=-1),
        pair_feature("c", chars_gap=0),
    ]
    places = [placed("a", pruned_by="length_balance"), placed("b", position=0), placed("c", position=1)]
    found = report(plant(tmp_path, pair_features=measured, curriculum=places), "length_bias")
    assert found == [
        {"pairs_of": "all", "pairs": 3, "mean_chars_gap": 2.0, "mean_tokens_gap": 1.5, "chosen_longer": 1 / 3},
        {"pairs_of": "kept", "pairs": 2, "mean_chars_gap": -2.0, "mean_tokens_gap": -1.0, "chosen_longer": 0.0},
    ]
    before, after = "mean +2.0 characters, +1.5 tokens", "mean -2.0 characters, -1.0 tokens"
    assert lengths_told(found) == f"in 33.3% of all pairs ({before}), in 0.0% of those kept ({after})"
    assert lengths_told([row | {"mean_tokens_gap": None} for row in found[:1]]).endswith("(mean +2.0 characters)")
    assert lengths_told([]) == ""


def test_a_problem_without_samples_or_evidence_has_no_pass_rate(tmp_path):
    problems = [problem("none"), problem("refused"), problem("half"), problem("all")]
    runs = [
        execution("r", "refused", passed=0, status="refused"),
        execution("h0", "half", tests=4, passed=4),
        execution("h1", "half", tests=4, passed=3),
        execution("a", "all"),
    ]
    dataset = plant(tmp_path, problems=problems, completions=completions_of(runs), executions=runs)
    rows = engine.query(dataset, "FROM problem_stats ORDER BY problem_id")
    columns = ("problem_id", "num_samples", "num_judged", "num_solved", "pass_rate", "best_score")
    assert [tuple(row[column] for column in columns) for row in rows.to_pylist()] == [
        ("all", 1, 1, 1, 1.0, 1.0),
        ("half", 2, 2, 1, 0.5, 1.0),
        ("none", 0, 0, 0, None, None),
        ("refused", 1, 0, 0, None, None),
    ]


def test_samples_with_equal_scores_share_a_rank(tmp_path):
    runs = [execution(name, tests=4, passed=passed) for name, passed in (("a", 4), ("b", 2), ("c", 2), ("d", 0))]
    runs.append(execution("e", passed=0, status="killed"))
    rows = engine.query(
        plant(tmp_path, completions=[completion("a")], executions=runs), "FROM sample_ranks ORDER BY ALL"
    )
    assert [(row["completion_id"], row["score_rank"]) for row in rows.to_pylist()] == [
        ("a", 1),
        ("b", 2),
        ("c", 2),
        ("d", 4),
    ]


def test_errors_are_counted_most_frequent_first_and_a_passing_run_has_none(tmp_path):
    runs = [execution(f"v{n}", passed=0, error_type="ValueError") for n in range(2)]
    runs += [execution("t", passed=0, error_type="TypeError"), execution("é", passed=0, error_type="Érror")]
    runs += [execution("quiet", passed=0), execution("well", error_type="ValueError")]
    dataset = plant(tmp_path, executions=runs)
    found = [(row["error_type"], row["completions"]) for row in report(dataset, "errors")]
    assert found == [("ValueError", 2), ("TypeError", 1), ("Érror", 1)]
    assert [row["error_type"] for row in report(dataset, "errors", top=1)] == ["ValueError"]
    assert report(tmp_path / "none", "errors") == []


def test_pass_rates_are_of_judged_samples_hardest_first(tmp_path):
    found = report(sampled(tmp_path, [(4, 4), (4, 1), (0, 0), (2, 0)]), "pass_rates")
    assert [(row["problem_id"], row["num_judged"], row["num_solved"], row["pass_rate"]) for row in found] == [
        ("q3", 2, 0, 0.0),
        ("q1", 4, 1, 0.25),
        ("q0", 4, 4, 1.0),
    ]


def test_positions_are_stretches_that_no_bucket_shares(tmp_path):
    rows = [placed(f"p{n}", position=n, bucket=n // 3, metric=float(n)) for n in range(6)]
    rows.append(placed("gone", metric=9.0, pruned_by="rule"))
    dataset = plant(tmp_path, curriculum=rows)
    found = [tuple(row.values()) for row in report(dataset, "positions", stretches=2)]
    assert found == [(0, 0, 3, 0.0, 1.0, 2.0), (1, 3, 6, 3.0, 4.0, 5.0)]
    whole = [tuple(row.values()) for row in report(dataset, "positions", stretches=1)]
    assert whole == found, "one stretch is cut where the bucket ends"
    assert len(report(dataset, "positions")) == 6


def test_the_spread_of_a_bucket_is_its_quantiles_over_what_is_kept(tmp_path):
    with engine.connect(tmp_path / "none") as con:
        con.execute(
            "CREATE TEMP TABLE measure AS SELECT * FROM (VALUES (0.0, 0, true), (10.0, 0, true), (99.0, 0, false), "
            "(NULL, 0, true), (5.0, 1, true)) AS given(value, bucket, kept)"
        )
        found = engine.run(con, engine.load(SQL / "reports" / "spread.sql")).to_pylist()
    assert [tuple(row.values()) for row in found] == [(0, 2, 0.5, 2.5, 5.0, 7.5, 9.5), (1, 1, 5.0, 5.0, 5.0, 5.0, 5.0)]

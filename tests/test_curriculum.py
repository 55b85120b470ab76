import math
import random
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from analysis import checks, engine
from analysis.curriculum import Curriculum, CurriculumError, build_curriculum, check_config, cut_points, funnel
from analysis.engine import SqlError
from analysis.rules import Rule
from curation import store
from curation.store import Shard
from literal_rows import pair, pair_feature, plant, problem


def measured(folder, metrics, *, shards=1, **given):
    """A dataset of one pair for each value of logp_distance, p00, p01 and so on, dealt over `shards`."""
    names = [f"p{index:02d}" for index in range(len(metrics))]
    for index in range(shards):
        mine = list(zip(names, metrics, strict=True))[index::shards]
        plant(
            folder,
            Shard("train", index, shards),
            problems=[problem(f"q{name}", difficulty=int(name[1:]) % 3) for name, _ in mine],
            pairs=[pair(name, f"q{name}") for name, _ in mine],
            pair_features=[pair_feature(name, f"q{name}", logp_distance=metric, **given) for name, metric in mine],
        )
    return folder


def curriculum(prune=(), **config):
    return Curriculum(prune=[rule if isinstance(rule, Rule) else Rule(rule=rule) for rule in prune], **config)


def in_order(dataset, *columns):
    rows = engine.query(dataset, "SELECT * FROM curriculum ORDER BY position NULLS LAST, pair_id").to_pylist()
    return [tuple(row[column] for column in columns) for row in rows]


def rule_file(folder, text, name="mine"):
    (folder / f"{name}.sql").write_text(text)
    return Rule(rule=f"{name}.sql")


def test_cut_points_and_buckets_by_hand(tmp_path):
    # 11 pairs 0, 1, ..., 10: the 10th, 50th and 90th percentile fall on the values 1, 5 and 9 themselves.
    dataset = measured(tmp_path, [float(value) for value in reversed(range(11))])
    assert build_curriculum(dataset, curriculum()) == 11
    assert in_order(dataset, "position", "metric", "bucket") == [
        *((0, 0.0, 0), (1, 1.0, 0)),
        *((2, 2.0, 1), (3, 3.0, 1), (4, 4.0, 1), (5, 5.0, 1)),
        *((6, 6.0, 2), (7, 7.0, 2), (8, 8.0, 2), (9, 9.0, 2)),
        (10, 10.0, 3),
    ]
    lengths = {"mean_chars_gap": 0.0, "mean_tokens_gap": None, "chosen_longer": 0.0}
    assert cut_points(dataset, curriculum()) == {
        "metric": "logp_distance",
        "percentiles": [10, 50, 90],
        "easy": "low",
        "values": [1.0, 5.0, 9.0],
        "pairs": [2, 4, 4, 1],
        "lengths": [{"pairs_of": whose, "pairs": 11} | lengths for whose in ("all", "kept")],
        "sql": {},
    }


def test_equal_values_share_a_bucket_and_follow_their_ids(tmp_path):
    dataset = measured(tmp_path, [3.0, 3.0, 3.0, 3.0, 7.0])
    build_curriculum(dataset, curriculum())
    assert in_order(dataset, "pair_id", "bucket")[:4] == [("p00", 0), ("p01", 0), ("p02", 0), ("p03", 0)]


def test_all_pairs_alike_are_one_bucket(tmp_path):
    dataset = measured(tmp_path, [2.0] * 7)
    build_curriculum(dataset, curriculum())
    assert {bucket for (bucket,) in in_order(dataset, "bucket")} == {0}
    assert cut_points(dataset, curriculum())["pairs"] == [7, 0, 0, 0]


def test_one_pair_and_no_pair_are_curricula(tmp_path):
    for number, metrics in enumerate(([5.0], [])):
        dataset = measured(tmp_path / str(number), metrics)
        assert build_curriculum(dataset, curriculum()) == len(metrics)
        assert store.missing(dataset, "curriculum") == []
        assert cut_points(dataset, curriculum())["values"] == ([5.0] * 3 if metrics else [])
        assert cut_points(dataset, curriculum())["pairs"] == [len(metrics), 0, 0, 0]


def test_positions_count_over_all_shards_and_splits(tmp_path):
    dataset = measured(tmp_path, [float(value) for value in range(10)], shards=3)
    plant(
        dataset,
        Shard("test"),
        problems=[problem("qt", split="test")],
        pairs=[pair("t", "qt", split="test")],
        pair_features=[pair_feature("t", "qt", split="test", logp_distance=4.5)],
    )
    assert build_curriculum(dataset, curriculum()) == 11
    assert [position for (position,) in in_order(dataset, "position")] == list(range(11))
    assert in_order(dataset, "pair_id", "split")[5] == ("t", "test")
    assert set(store.shards(dataset, "curriculum")) == set(store.plan(dataset))


def test_a_pair_without_the_metric_is_left_out_and_says_so(tmp_path):
    dataset = measured(tmp_path, [1.0, None, math.nan, math.inf, 2.0])
    build_curriculum(dataset, curriculum())
    assert in_order(dataset, "pair_id", "position", "bucket", "metric", "pruned_by") == [
        ("p00", 0, 0, 1.0, None),
        ("p04", 1, 3, 2.0, None),
        *((name, None, None, None, "unmeasured") for name in ("p01", "p02", "p03")),
    ]


def test_a_metric_that_no_pair_has_names_those_that_would_do(tmp_path):
    dataset = measured(tmp_path, [None, None])
    with pytest.raises(CurriculumError) as error:
        build_curriculum(dataset, curriculum())
    assert "no pair has a value of logp_distance: set curriculum.metric to one that has: edit_distance" in str(
        error.value
    )
    assert "ast_distance" not in str(error.value)
    assert not (dataset / "curriculum").exists()


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("metric", ["p00", "p01", "p02", "p03", "p04", "p05"]),
        # difficulty is the number modulo 3
        ("difficulty", ["p00", "p03", "p01", "p04", "p02", "p05"]),
        ("length_gap", ["p05", "p04", "p03", "p02", "p01", "p00"]),
    ],
)
def test_the_order_within_a_bucket(tmp_path, order, expected):
    dataset = measured(tmp_path, [float(value) for value in range(6)])
    rows = store.read(dataset, "pair_features").to_pylist()
    plant(dataset, pair_features=[row | {"length_gap": 9 - int(row["logp_distance"])} for row in rows])
    build_curriculum(dataset, curriculum(order=order, percentiles=[]))
    assert [name for (name,) in in_order(dataset, "pair_id")] == expected


def test_shuffled_within_a_bucket_follows_the_seed_and_stays_in_the_bucket(tmp_path):
    orders = []
    for number, seed in enumerate((1, 1, 2)):
        dataset = measured(tmp_path / str(number), [float(value) for value in range(20)])
        build_curriculum(dataset, curriculum(order="shuffled", percentiles=[50], seed=seed))
        orders.append([name for (name,) in in_order(dataset, "pair_id")])
        assert set(orders[-1][:10]) == {f"p{index:02d}" for index in range(10)}
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != sorted(orders[0])


def test_the_shuffled_baseline_has_the_same_pairs_and_as_many_per_bucket(tmp_path):
    metrics = [float(value) for value in (1, 1, 1, 2, 3, 5, 8, 13, 21, None or 34)] + [None]
    folders = [measured(tmp_path / name, metrics) for name in ("ordered", "shuffled")]
    for dataset, shuffled in zip(folders, (False, True), strict=True):
        build_curriculum(dataset, curriculum(shuffled=shuffled, seed=3))
    ordered, mixed = (in_order(dataset, "pair_id", "position", "bucket", "pruned_by") for dataset in folders)
    assert [row[1:] for row in ordered] == [row[1:] for row in mixed]
    assert sorted(row[0] for row in ordered) == sorted(row[0] for row in mixed)
    assert [row[0] for row in ordered] != [row[0] for row in mixed]


def test_where_high_is_easy_the_high_come_first_and_cuts_are_real_values(tmp_path):
    dataset = measured(tmp_path, [0.0] * 5)
    rows = store.read(dataset, "pair_features").to_pylist()
    plant(dataset, pair_features=[row | {"pass_rate": index / 10} for index, row in enumerate(rows)])
    config = curriculum(metric="pass_rate", percentiles=[50])
    build_curriculum(dataset, config)
    assert in_order(dataset, "metric", "bucket") == [(0.4, 0), (0.3, 0), (0.2, 0), (0.1, 1), (0.0, 1)]
    cuts = cut_points(dataset, config)
    assert (cuts["metric"], cuts["percentiles"], cuts["easy"], cuts["values"]) == ("pass_rate", [50], "high", [0.2])


def test_a_metric_of_ones_own(tmp_path):
    dataset = measured(tmp_path, [1.0, 2.0, 3.0])
    text = "-- One row per pair: far first.\n-- reads: pair_features\n"
    text += "SELECT pair_id, 10 - logp_distance AS metric FROM pair_features;\n"
    (tmp_path / "far.sql").write_text(text)
    config = curriculum(metric="far.sql", percentiles=[50], folder=tmp_path)
    build_curriculum(dataset, config)
    assert in_order(dataset, "pair_id", "metric") == [("p02", 7.0), ("p01", 8.0), ("p00", 9.0)]
    assert cut_points(dataset, config)["values"] == [8.0]


def test_a_metric_of_ones_own_must_be_one_per_pair(tmp_path):
    dataset = measured(tmp_path, [1.0, 2.0])
    (tmp_path / "twice.sql").write_text(
        "-- One row\n-- reads: pairs\nSELECT pair_id, 1 AS metric FROM pairs, range(2)\n"
    )
    with pytest.raises(SqlError, match="twice must give one row per pair, 2 pairs have several, as p00"):
        build_curriculum(dataset, curriculum(metric="twice.sql", folder=tmp_path))


def test_the_first_rule_that_names_a_pair_prunes_it(tmp_path):
    dataset = measured(tmp_path, [float(value) for value in range(5)])
    low = rule_file(tmp_path, "-- One row\n-- reads: measured\nSELECT pair_id FROM measured WHERE metric < 2\n", "low")
    odd = rule_file(
        tmp_path, "-- One row\n-- reads: measured\nSELECT pair_id FROM measured WHERE metric % 2 = 1\n", "odd"
    )
    config = curriculum([low, odd], folder=tmp_path)
    build_curriculum(dataset, config)
    assert dict(in_order(dataset, "pair_id", "pruned_by")) == {
        **{"p00": "low", "p01": "low", "p02": None, "p03": "odd", "p04": None},
    }
    assert [position for (position,) in in_order(dataset, "position")] == [0, 1, None, None, None]
    assert funnel(dataset, config).to_pylist() == [
        {"rule": "low", "alone": 2, "removed": 2, "left": 3},
        {"rule": "odd", "alone": 2, "removed": 1, "left": 2},
        {"rule": "unmeasured", "alone": 0, "removed": 0, "left": 2},
    ]


def test_cut_points_are_of_the_kept_pairs(tmp_path):
    dataset = measured(tmp_path, [0.0, 0.0, 0.0, 1.0, 2.0, 3.0])
    rule = rule_file(tmp_path, "-- One row\n-- reads: measured\nSELECT pair_id FROM measured WHERE metric = 0\n")
    config = curriculum([rule], percentiles=[50], folder=tmp_path)
    build_curriculum(dataset, config)
    assert cut_points(dataset, config)["values"] == [2.0]


def test_rules_that_leave_nothing_say_what_each_took(tmp_path):
    dataset = measured(tmp_path, [1.0, 2.0, None])
    rule = rule_file(tmp_path, "-- One row\n-- reads: measured\nSELECT pair_id FROM measured WHERE metric > 0\n")
    with pytest.raises(CurriculumError, match=r"pruning leaves none of the 3 pairs \(mine 2, unmeasured 1\)"):
        build_curriculum(dataset, curriculum([rule], folder=tmp_path))
    assert not (dataset / "curriculum").exists()


def test_a_rule_that_names_no_pair_of_the_dataset_is_wrong(tmp_path):
    dataset = measured(tmp_path, [1.0])
    rule = rule_file(
        tmp_path, "-- One row\n-- reads: pairs\nSELECT problem_id AS pair_id FROM pairs WHERE chosen <> ''\n"
    )
    with pytest.raises(CurriculumError, match="the rule mine names qp00, which is no pair_id of this dataset"):
        build_curriculum(dataset, curriculum([rule], folder=tmp_path))


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"metric": "edit_distanse"}, "unknown metric edit_distanse: expected a .sql file or one of"),
        ({"metric": "mine.sql"}, "no readable SQL file"),
        ({"order": "random"}, "unknown order random: expected one of metric, difficulty, shuffled"),
        (
            {"prune": [Rule(rule="near_identical")]},
            "unknown pruning rule near_identical: expected a .sql file or one of",
        ),
        (
            {"prune": [Rule(rule="near_identical_pairs", params={"max": 1})]},
            "has no parameter max: it takes max_edit_share",
        ),
        ({"prune": [Rule(rule="near_identical_pairs")] * 2}, "each rule must have its own name"),
        (
            {"prune": [Rule(rule="near_identical_pairs", params={"max_edit_share": "x"})]},
            "takes a number for max_edit_share, as in 0.01; found 'x'",
        ),
    ],
)
def test_a_wrong_curriculum_is_one_line_before_any_work(tmp_path, config, reason):
    # The folder does not exist: a configuration that got as far as the data would fail otherwise.
    with pytest.raises(SqlError) as error:
        build_curriculum(tmp_path / "absent", Curriculum(folder=tmp_path, **config))
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("percentiles", [[50, 10], [10, 10], [0, 50], [50, 100]])
def test_percentiles_rise_between_0_and_100(percentiles):
    with pytest.raises(ValidationError, match="percentiles must rise and lie between 0 and 100"):
        Curriculum(percentiles=percentiles)


@pytest.mark.parametrize(
    "sql",
    [
        "-- reads: pairs\nSELECT pair_id FROM pairs",
        "-- reads: pairs\nSELECT DISTINCT pair_id, chosen FROM pairs WHERE 1 = 1 ORDER BY pair_id",
        "-- reads: pair_features\n-- params: $all = true\nSELECT pair_id FROM pair_features WHERE $all",
        "-- reads: measured\nSELECT pair_id FROM (SELECT pair_id, metric * 2 AS twice FROM measured)",
    ],
)
def test_a_rule_without_a_condition_is_refused_before_any_work(tmp_path, sql):
    rule = rule_file(tmp_path, f"-- One row per pair\n{sql}\n")
    with pytest.raises(SqlError, match="mine has no condition, so it would prune every pair"):
        build_curriculum(tmp_path / "absent", curriculum([rule], folder=tmp_path))


@pytest.mark.parametrize(
    "sql",
    [
        "-- reads: pair_features\nSELECT pair_id FROM pair_features WHERE edit_distance >= 0",
        "-- reads: pairs\nSELECT pair_id FROM pairs ORDER BY pair_id LIMIT 1",
        "-- reads: pairs\nSELECT min(pair_id) AS pair_id FROM pairs",
        "-- reads: pairs, hopeless_problems\nSELECT pair_id FROM pairs JOIN hopeless_problems USING (problem_id)",
        "-- reads: pairs\n-- params: $all = false\nSELECT pair_id FROM pairs WHERE $all",
    ],
)
def test_a_rule_that_may_leave_pairs_passes(tmp_path, sql):
    check_config(curriculum([rule_file(tmp_path, f"-- One row per pair\n{sql}\n")], folder=tmp_path))


def test_shuffled_is_a_metric_of_the_seed(tmp_path):
    dataset = measured(tmp_path, [float(value) for value in range(40)])
    orders = []
    for seed in (0, 0, 1):
        shutil.rmtree(dataset / "curriculum", ignore_errors=True)
        config = curriculum(metric="shuffled", seed=seed)
        build_curriculum(dataset, config)
        assert cut_points(dataset, config)["pairs"] == [4, 16, 16, 4]
        assert all(0 <= lot < 1 for (lot,) in in_order(dataset, "metric"))
        orders.append([name for (name,) in in_order(dataset, "pair_id")])
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != sorted(orders[0])


def test_the_text_of_ones_own_sql_is_kept_for_the_manifest(tmp_path):
    dataset = measured(tmp_path, [1.0, 2.0])
    text = "-- One row\n-- reads: measured\nSELECT pair_id FROM measured WHERE metric = 2"
    config = curriculum([rule_file(tmp_path, text), "only_comments_differ"], folder=tmp_path)
    build_curriculum(dataset, config)
    assert cut_points(dataset, config)["sql"] == {"mine.sql": text}


def test_unmeasured_pairs_are_not_ordered(tmp_path):
    dataset = measured(tmp_path, [1.0, 2.0])
    for file in (dataset / "pair_features").iterdir():
        file.unlink()
    with pytest.raises(CurriculumError, match="has pairs without measures"):
        build_curriculum(dataset, curriculum())


def test_a_half_written_curriculum_is_written_anew_and_a_whole_one_kept(tmp_path):
    dataset = measured(tmp_path, [5.0, 1.0, 3.0, 2.0], shards=2)
    build_curriculum(dataset, curriculum())
    whole = in_order(dataset, "pair_id", "position")
    first, second = (store.path(dataset, "curriculum", shard) for shard in store.plan(dataset))
    first.unlink()
    assert build_curriculum(dataset, curriculum()) == 4
    assert in_order(dataset, "pair_id", "position") == whole
    stamp = second.stat().st_mtime_ns
    assert build_curriculum(dataset, curriculum()) == 4
    assert second.stat().st_mtime_ns == stamp


def test_pairs_that_are_the_cut_are_before_it_whatever_rounding_makes_of_it(tmp_path):
    # DuckDB's own tenth percentile of these is -3.0000000000000004.
    build_curriculum(measured(tmp_path, [0.0, -3.0, -3.0]), curriculum(percentiles=[10]))
    assert in_order(tmp_path, "metric", "bucket") == [(-3.0, 0), (-3.0, 0), (0.0, 1)]


def slow_curriculum(metrics, percentiles):
    """name -> (position, bucket) in plain Python."""
    kept = sorted((metric, name) for name, metric in metrics.items() if metric is not None)
    values = [metric for metric, _ in kept]
    cuts = []
    for percentile in percentiles:
        at = (len(values) - 1) * percentile / 100
        low = math.floor(at)
        high = min(low + 1, len(values) - 1)
        cuts.append(values[low] + (values[high] - values[low]) * (at - low))
    return {name: (place, sum(cut < metric for cut in cuts)) for place, (metric, name) in enumerate(kept)}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.integers(-4, 4)), min_size=1, max_size=25).filter(any),
    st.lists(st.sampled_from([10, 25, 50, 75, 90]), unique=True).map(sorted),
)
def test_places_equal_the_slow_oracle(tmp_path_factory, metrics, percentiles):
    values = [None if metric is None else float(metric) for metric in metrics]
    dataset = measured(tmp_path_factory.mktemp("pairs"), values, shards=random.Random(0).randint(1, 3))
    build_curriculum(dataset, curriculum(percentiles=percentiles))
    named = {f"p{index:02d}": value for index, value in enumerate(values)}
    expected = slow_curriculum(named, percentiles)
    found = {
        name: (place, bucket)
        for name, place, bucket in in_order(dataset, "pair_id", "position", "bucket")
        if place is not None
    }
    assert found == expected
    about_order = (
        "curriculum_covers_every_pair",
        "only_kept_pairs_have_a_place",
        "positions_have_no_gap",
        "buckets_follow_positions",
    )
    assert {name: rows for name, rows in checks.run_checks(dataset).items() if name in about_order and rows} == {}

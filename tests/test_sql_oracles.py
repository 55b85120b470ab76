"""Queries against plain Python on random rows: NULLs, ties, nothing, everything and Unicode among them.

Every file under analysis/sql is named here with the tests that hold it, so a new one cannot come without any.
"""

from __future__ import annotations

import statistics
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis import engine
from analysis.engine import SQL
from analysis.features import Measures, measure_pairs
from analysis.hopeless import set_hopeless_aside
from curation import store
from literal_rows import completion, completions_of, execution, pair, pair_feature, placed, plant, problem

NO_EVIDENCE = ("refused", "killed", "infra_error")
HELD = {
    "checks": "test_sql_checks.py breaks each on a row",
    "prune": "test_sql_prune.py has a test per rule; those on one measure are below too",
    "curricula/funnel": "test_the_funnel_is_counted",
    "curricula/one_shard": "test_curriculum.py, cut points and buckets by hand",
    "curricula/placed": "test_curriculum.py, places equal the slow oracle",
    "measures/completions": "test_lengths_and_ranks_of_completions",
    "measures/hopeless_problems": "test_problems_and_ranks",
    "measures/pairs": "test_measures_of_pairs",
    "measures/sides": "test_features.py, distances equal the textbook",
    "reports/buckets": "test_buckets_and_pruned_pairs",
    "pairs": "test_browse.py, filters, pages, samples and facets",
    "reports/errors": "test_sql_reports.py",
    "reports/histogram": "test_report.py, every value and bins of whole numbers",
    "reports/hopeless": "test_problems_and_ranks",
    "reports/lengths": "test_report.py, very long sides",
    "reports/length_bias": "test_sql_reports.py, before and after",
    "reports/losses": "test_report.py, along the distance",
    "reports/pass_at_k": "test_sql_reports.py, the closed form",
    "reports/pass_rates": "test_sql_reports.py, hardest first",
    "reports/positions": "test_sql_reports.py, stretches",
    "reports/pruned": "test_buckets_and_pruned_pairs",
    "reports/spread": "test_sql_reports.py, quantiles",
    "reports/stages": "test_report.py, what is left at each",
    "reports/token_offsets": "test_report.py, from the first difference",
    "reports/verdicts": "test_problems_and_ranks",
    "versions/rules": "test_versions.py, rules side by side",
    "views/problem_stats": "test_problems_and_ranks",
    "views/sample_ranks": "test_problems_and_ranks",
}
random_rows = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

runs = st.lists(
    st.tuples(
        st.sampled_from(["q0", "q1", "q2"]),
        st.integers(0, 3),
        st.sampled_from(["judged", "judged", "judged", *NO_EVIDENCE]),
        st.sampled_from([None, "ValueError", "Érror"]),
    ),
    max_size=12,
)
texts = st.text(alphabet="aé\n #=日", max_size=12)
logps = st.none() | st.floats(-50, -0.5)


def test_every_query_is_held_by_a_test() -> None:
    files = {file.relative_to(SQL).with_suffix("").as_posix() for file in SQL.rglob("*.sql")}
    grouped = {name if name in HELD else name.partition("/")[0] for name in files}
    assert grouped == HELD.keys()
    tests = {test.name for test in Path(__file__).parent.glob("test_*.py")}
    for name, held in HELD.items():
        words = held.split()
        assert words[0].rstrip(",") in tests | globals().keys(), name


def sampled(folder: Path, given_runs: list[tuple[str, int, str, str | None]]) -> list[dict]:
    """Plant three problems and these runs of three tests each, and return the runs' rows."""
    rows = []
    for index, (name, passed, kind, error) in enumerate(given_runs):
        row = execution(f"c{index:02d}", name, passed=passed, tests=3, error_type=error)
        rows.append(row | ({} if kind == "judged" else {"status": kind}))
    problems = [problem(f"q{n}", prompt="é" * n) for n in range(3)]
    plant(folder, problems=problems, completions=completions_of(rows), executions=rows)
    return rows


@random_rows
@given(runs)
def test_problems_and_ranks(tmp_path_factory: pytest.TempPathFactory, given_runs: list) -> None:
    folder = tmp_path_factory.mktemp("runs")
    rows = sampled(folder, given_runs)
    ranks, stats, hopeless = {}, {}, {}
    for name in ("q0", "q1", "q2"):
        mine = [row for row in rows if row["problem_id"] == name]
        judged = [row for row in mine if row["status"] not in NO_EVIDENCE]
        solved = sum(row["status"] == "passed" for row in judged)
        best = max((row["score"] for row in judged), default=None)
        stats[name] = (len(mine), len(judged), solved, solved / len(judged) if judged else None, best)
        for row in judged:
            ranks[row["completion_id"]] = 1 + sum(other["score"] > row["score"] for other in judged)
        if judged and not solved:
            first = min(row["completion_id"] for row in judged if row["score"] == best)
            hopeless[name] = (len(judged), best, first, int(name[1:]))
    found = engine.query(folder, "FROM problem_stats").to_pylist()
    columns = ("num_samples", "num_judged", "num_solved", "pass_rate", "best_score")
    assert {row["problem_id"]: tuple(row[column] for column in columns) for row in found} == stats
    found = engine.query(folder, "FROM sample_ranks").to_pylist()
    assert {row["completion_id"]: row["score_rank"] for row in found} == ranks
    set_hopeless_aside(folder, Measures())
    found = engine.query(folder, "FROM hopeless_problems").to_pylist()
    columns = ("num_judged", "best_score", "best_completion_id", "prompt_chars")
    assert {row["problem_id"]: tuple(row[column] for column in columns) for row in found} == hopeless
    reports = {name: report(folder, name) for name in ("verdicts", "hopeless")}
    assert {row["status"]: row["completions"] for row in reports["verdicts"]} == Counter(row["status"] for row in rows)
    assert reports["hopeless"][0]["problems"] == len(hopeless)
    if hopeless:
        assert reports["hopeless"][0]["mean_best_score"] == pytest.approx(
            statistics.mean(best for _, best, *_ in hopeless.values())
        )


def report(folder: Path, name: str, **params: object) -> list[dict]:
    with engine.connect(folder) as con:
        return engine.run(con, engine.load(SQL / "reports" / f"{name}.sql"), **params).to_pylist()


@random_rows
@given(st.lists(st.tuples(texts, st.integers(0, 2)), min_size=1, max_size=6))
def test_lengths_and_ranks_of_completions(tmp_path_factory: pytest.TempPathFactory, samples: list) -> None:
    folder = tmp_path_factory.mktemp("texts")
    plant(
        folder,
        problems=[problem("q")],
        completions=[completion(f"c{n}", "q", text) for n, (text, _) in enumerate(samples)],
        executions=[execution(f"c{n}", "q", passed=passed, tests=2) for n, (_, passed) in enumerate(samples)],
    )
    with engine.connect(folder) as con:
        rows = engine.run(con, engine.load(SQL / "measures" / "completions.sql")).to_pylist()
    found = {row["completion_id"]: (row["num_chars"], row["num_lines"], row["score_rank"], row["text"]) for row in rows}
    assert found == {
        f"c{n}": (
            len(text),
            text.count("\n") + (text != "" and not text.endswith("\n")),
            1 + sum(other > passed for _, other in samples),
            text,
        )
        for n, (text, passed) in enumerate(samples)
    }


sides = st.tuples(texts, logps, st.integers(0, 9), st.lists(st.booleans(), min_size=3, max_size=3), st.integers(0, 5))


@random_rows
@given(sides, sides)
def test_measures_of_pairs(tmp_path_factory: pytest.TempPathFactory, chosen: tuple, rejected: tuple) -> None:
    folder = tmp_path_factory.mktemp("pairs")
    samples, executed = [], []
    for name, (text, logp, tokens, passed, steps) in (("c", chosen), ("r", rejected)):
        known = {} if logp is None else {"sum_logp": logp, "num_tokens": tokens}
        samples.append(completion(name, "q", text, **known))
        verdicts = {"test_status": ["passed" if one else "wrong" for one in passed], "steps": steps}
        executed.append(execution(name, "q", passed=sum(passed), tests=3, **verdicts))
    scores = {"chosen_score": sum(chosen[3]) / 3, "rejected_score": sum(rejected[3]) / 3}
    pairs = [pair("p", "q", chosen=chosen[0], rejected=rejected[0], **scores)]
    plant(folder, problems=[problem("q")], completions=samples, executions=executed, pairs=pairs)
    measure_pairs(folder, Measures(workers=1, decontaminate=False))
    [row] = store.read(folder, "pair_features").to_pylist()
    known = chosen[1] is not None and rejected[1] is not None
    margin = chosen[1] - rejected[1] if known else None
    each = chosen[1] / chosen[2] - rejected[1] / rejected[2] if known and chosen[2] and rejected[2] else None
    solved = [all(side[3]) for side in (chosen, rejected)]
    expected = {
        "logp_margin": margin,
        "logp_distance": None if margin is None else abs(margin),
        "logp_margin_per_token": each,
        "logp_distance_per_token": None if each is None else abs(each),
        "tokens_gap": chosen[2] - rejected[2] if known else None,
        "chars_gap": len(chosen[0]) - len(rejected[0]),
        "length_gap": abs(len(chosen[0]) - len(rejected[0])),
        "length_ratio": max(len(chosen[0]), len(rejected[0]), 1) / max(min(len(chosen[0]), len(rejected[0])), 1),
        "test_gap": scores["chosen_score"] - scores["rejected_score"],
        "tests_differ": [n for n in range(3) if chosen[3][n] != rejected[3][n]],
        "steps_ratio": chosen[4] / rejected[4] if rejected[4] else None,
        "chosen_rank": 1 + (sum(rejected[3]) > sum(chosen[3])),
        "rejected_rank": 1 + (sum(chosen[3]) > sum(rejected[3])),
        "pass_rate": sum(solved) / 2,
    }
    for name, value in expected.items():
        assert row[name] == (value if not isinstance(value, float) else pytest.approx(value)), name


order = st.lists(
    st.tuples(st.integers(0, 3), st.floats(-5, 5), st.sampled_from([None, None, "a", "é"]), st.sampled_from("xy")),
    max_size=12,
)


@random_rows
@given(order)
def test_buckets_and_pruned_pairs(tmp_path_factory: pytest.TempPathFactory, given_rows: list) -> None:
    rows = [
        placed(f"p{n}", name, metric=metric, **({"pruned_by": rule} if rule else {"bucket": bucket, "position": n}))
        for n, (bucket, metric, rule, name) in enumerate(given_rows)
    ]
    folder = plant(tmp_path_factory.mktemp("placed"), curriculum=rows)
    kept: dict[int, list[dict]] = {}
    for row in rows:
        if row["pruned_by"] is None:
            kept.setdefault(row["bucket"], []).append(row)
    expected = [
        {
            "bucket": bucket,
            "pairs": len(mine),
            "problems": len({row["problem_id"] for row in mine}),
            "low": min(row["metric"] for row in mine),
            "median": pytest.approx(statistics.median(row["metric"] for row in mine)),
            "high": max(row["metric"] for row in mine),
        }
        for bucket, mine in sorted(kept.items())
    ]
    assert report(folder, "buckets") == expected
    removed = Counter(row["pruned_by"] for row in rows if row["pruned_by"])
    assert {row["rule"]: (row["removed"], row["share"]) for row in report(folder, "pruned")} == {
        rule: (count, pytest.approx(count / len(rows))) for rule, count in removed.items()
    }


@random_rows
@given(st.lists(st.sets(st.integers(0, 2)), min_size=1, max_size=10))
def test_the_funnel_is_counted(named: list[set[int]]) -> None:
    rules = ["first", "é", "last"]
    with engine.connect(None) as con:
        con.execute("CREATE TABLE measured (pair_id VARCHAR)")
        con.execute("CREATE TABLE named (pair_id VARCHAR, turn INTEGER)")
        for index, turns in enumerate(named):
            con.execute("INSERT INTO measured VALUES (?)", [f"p{index}"])
            for turn in turns:
                con.execute("INSERT INTO named VALUES (?, ?)", [f"p{index}", turn])
        con.execute("CREATE TABLE pruned AS SELECT pair_id, min(turn) AS turn FROM named GROUP BY pair_id")
        found = engine.run(con, engine.load(SQL / "curricula" / "funnel.sql"), rules=rules).to_pylist()
    left = len(named)
    for turn, row in enumerate(found):
        removed = sum(bool(turns) and min(turns) == turn for turns in named)
        left -= removed
        alone = sum(turn in turns for turns in named)
        assert row == {"rule": rules[turn], "alone": alone, "removed": removed, "left": left}


measure = st.none() | st.floats(0, 2)


@random_rows
@given(st.lists(st.tuples(measure, st.booleans() | st.none(), st.floats(1, 9), st.integers(0, 400)), max_size=10))
def test_rules_on_measures(tmp_path_factory: pytest.TempPathFactory, values: list) -> None:
    rows = [
        pair_feature(
            f"p{n}", pass_rate=share, same_ast=same, length_ratio=ratio, length_gap=gap, edit_normalized=ratio / 9
        )
        for n, (share, same, ratio, gap) in enumerate(values)
    ]
    folder = plant(tmp_path_factory.mktemp("features"), pair_features=rows)
    rules = {
        "saturated_problems": (
            {"max_pass_rate": 0.5},
            lambda row: row["pass_rate"] is not None and row["pass_rate"] > 0.5,
        ),
        "only_comments_differ": ({}, lambda row: row["same_ast"] is True),
        "near_identical_pairs": ({"max_edit_share": 0.5}, lambda row: row["edit_normalized"] <= 0.5),
        "length_outliers": ({}, lambda row: row["length_ratio"] > 5 and row["length_gap"] >= 200),
    }
    with engine.connect(folder) as con:
        for rule, (params, names) in rules.items():
            found = engine.run(con, engine.load(SQL / "prune" / f"{rule}.sql"), **params)["pair_id"].to_pylist()
            assert sorted(found) == [row["pair_id"] for row in rows if names(row)], rule

"""Each pruning rule on pairs it must name and on the nearest ones it must not."""

import pytest

from analysis import engine
from analysis.engine import SQL
from analysis.features import Measures
from analysis.hopeless import set_hopeless_aside
from analysis.rules import EARLIER, MEASURED
from curation.schema import TABLES
from literal_rows import completions_of, execution, pair, pair_feature, plant, problem


def named(dataset, rule, metrics=None, earlier=(), **params):
    """The pairs that a rule names, with `metrics` as the curriculum's and the pairs that `earlier` rules named."""
    with engine.connect(dataset) as con:
        con.execute(f"CREATE TEMP TABLE measured AS {MEASURED}")
        for pair_id, metric in (metrics or {}).items():
            con.execute("INSERT INTO measured VALUES ($pair_id, $metric)", {"pair_id": pair_id, "metric": metric})
        con.execute(f"CREATE TEMP TABLE earlier AS {EARLIER}")
        for pair_id in earlier:
            con.execute("INSERT INTO earlier VALUES ($pair_id)", {"pair_id": pair_id})
        rows = engine.run(con, engine.load(SQL / "prune" / f"{rule}.sql"), **params)
    return sorted(rows["pair_id"].to_pylist())


@pytest.mark.parametrize("rule", engine.names(SQL / "prune"))
def test_a_rule_names_nothing_where_there_is_nothing(tmp_path, rule):
    assert named(tmp_path, rule) == []


@pytest.mark.parametrize("rule", engine.names(SQL / "prune"))
def test_a_rule_says_why_beside_which(rule):
    with engine.connect(None) as con:
        con.execute(f"CREATE TEMP TABLE measured AS {MEASURED}")
        con.execute(f"CREATE TEMP TABLE earlier AS {EARLIER}")
        columns = engine.run(con, engine.load(SQL / "prune" / f"{rule}.sql")).column_names
    assert columns[0] == "pair_id"
    assert len(columns) > 1


@pytest.mark.parametrize(
    ("rule", "column", "values", "params", "expected"),
    [
        ("near_identical_pairs", "edit_normalized", [0.0, 0.01, 0.011, 1.0], {}, "ab"),
        ("near_identical_pairs", "edit_normalized", [0.0, 0.1, 0.2, 0.21], {"max_edit_share": 0.2}, "abc"),
        ("only_comments_differ", "same_ast", [True, False, None, True], {}, "ad"),
        ("saturated_problems", "pass_rate", [0.95, 0.951, 1.0, None], {}, "bc"),
        ("saturated_problems", "pass_rate", [0.5, 0.6, 0.0, None], {"max_pass_rate": 0.5}, "b"),
        ("saturated_problems", "pass_rate", [1.0, 1.0, 1.0, 1.0], {}, "abcd"),
        ("saturated_problems", "pass_rate", [0.1, 0.2, 0.3, 0.4], {}, ""),
    ],
)
def test_a_rule_on_one_measure(tmp_path, rule, column, values, params, expected):
    rows = [pair_feature(name, **{column: value}) for name, value in zip("abcd", values, strict=True)]
    assert named(plant(tmp_path, pair_features=rows), rule, **params) == list(expected)


def test_a_long_side_is_an_outlier_by_ratio_and_by_characters(tmp_path):
    sizes = {"a": (5.1, 200), "b": (5.0, 999), "c": (9.0, 199), "d": (1.0, 0)}
    rows = [pair_feature(name, length_ratio=ratio, length_gap=gap) for name, (ratio, gap) in sizes.items()]
    dataset = plant(tmp_path, pair_features=rows)
    assert named(dataset, "length_outliers") == ["a"]
    assert named(dataset, "length_outliers", min_gap=0) == ["a", "c"]


def test_an_unsolved_chosen_is_pruned_in_the_low_percentile_only(tmp_path):
    scores = {"a": 0.5, "b": 1.0, "c": 0.5, "d": 0.5}
    dataset = plant(tmp_path, pairs=[pair(name, chosen_score=score) for name, score in scores.items()])
    # 0, 1, 2, 3: the 50th percentile is 1.5, the 10th 0.3.
    metrics = {"a": 0.0, "b": 1.0, "c": 2.0, "d": 3.0}
    assert named(dataset, "unsolved_in_low_percentile", metrics) == ["a"]
    assert named(dataset, "unsolved_in_low_percentile", metrics, percentile=100) == ["a", "c", "d"]
    ties = dict.fromkeys(metrics, 1.0) | {"d": None}
    assert named(dataset, "unsolved_in_low_percentile", ties) == ["a", "c"]


def test_pairs_of_problems_that_nobody_solved(tmp_path):
    runs = [
        *(execution("s0", "solved"), execution("s1", "solved", passed=0)),
        *(execution("h0", "hard", tests=4, passed=3), execution("h1", "hard", tests=4, passed=1)),
        execution("r0", "refused", passed=0, status="refused"),
    ]
    rows = [pair("p", "solved"), pair("q", "hard"), pair("r", "refused")]
    problems = [problem("solved"), problem("hard", prompt="é" * 7, difficulty=3), problem("refused")]
    dataset = plant(tmp_path, problems=problems, completions=completions_of(runs), executions=runs, pairs=rows)
    assert set_hopeless_aside(dataset, Measures()) == 1
    assert named(dataset, "hopeless_problems") == ["q"]
    [kept_aside] = engine.query(dataset, "FROM hopeless_problems").to_pylist()
    assert kept_aside == {
        **{"problem_id": "hard", "split": "train", "task_id": "x", "num_judged": 2, "best_score": 0.75},
        **{"best_completion_id": "h0", "usual_status": "wrong", "usual_error": None, "difficulty": 3},
        **{"prompt_chars": 7, "num_tests": 1},
    }


def test_the_same_two_texts_under_another_problem_are_a_duplicate(tmp_path):
    rows = [
        pair("a", "q1", chosen="é", rejected="b"),
        pair("b", "q2", chosen="é", rejected="b"),
        pair("c", "q3", chosen="é", rejected="c"),
        pair("d", "q4", chosen="b", rejected="é"),
        *(pair("e", "q5", chosen="x", rejected="y"), pair("f", "q5", chosen="x", rejected="y")),
    ]
    assert named(plant(tmp_path, pairs=rows), "duplicates_across_problems") == ["b"]


def measured_problem(problem_id, **given):
    return {
        **dict.fromkeys(TABLES["problem_features"].schema.names),
        "problem_id": problem_id,
        "split": "train",
    } | given


def measured_program(completion_id, problem_id="q", **given):
    values = {"completion_id": completion_id, "problem_id": problem_id, "split": "train", "text_tokens": ""}
    values |= {"num_chars": 1, "num_lines": 1, "parses": True}
    return dict.fromkeys(TABLES["completion_features"].schema.names) | values | given


def test_pairs_of_a_problem_that_repeats_another(tmp_path):
    rows = [measured_problem("q1"), measured_problem("q2", duplicate_of="q1", similarity=0.95)]
    dataset = plant(tmp_path, problem_features=rows, pairs=[pair("a", "q1"), pair("b", "q2"), pair("c", "q3")])
    assert named(dataset, "duplicate_problems") == ["b"]


def test_pairs_whose_programs_are_those_of_another_pair(tmp_path):
    hashes = {"c": "1", "c2": "1", "r": "2", "r2": "2", "r3": "3", "n": None, "n2": None}
    rows = [measured_program(name, ast_hash=digest) for name, digest in hashes.items()]
    sides = {"a": ("c", "r"), "b": ("c2", "r2"), "d": ("c", "r3"), "e": ("c", "n"), "f": ("c", "n2"), "g": ("r", "c")}
    pairs = [pair(name, chosen_id=chosen, rejected_id=rejected) for name, (chosen, rejected) in sides.items()]
    other = pair("h", "other", chosen_id="c", rejected_id="r")
    dataset = plant(tmp_path, completion_features=rows, pairs=[*pairs, other])
    assert named(dataset, "duplicate_pairs") == ["b"]


def test_pairs_nearly_those_of_an_earlier_pair_of_their_problem(tmp_path):
    # 40 different words make 38 runs of three; one changed word in the middle leaves 35 of 41 in common, 0.854.
    words = [chr(0x4E00 + number) for number in range(80)]
    good, bad = "".join(words[:40]), "".join(words[40:])
    texts = {"c": good, "c2": good[:20] + "é" + good[21:], "r": bad, "r2": bad, "other": bad[:20] + good[:20], "n": ""}
    rows = [measured_program(name, text_tokens=text) for name, text in texts.items()]
    sides = {
        "a": ("c", "r"),
        "b": ("c2", "r2"),
        "d": ("c", "r2"),
        "e": ("c", "other"),
        "f": ("r", "c"),
        "g": ("n", "r"),
    }
    pairs = [pair(name, chosen_id=chosen, rejected_id=rejected) for name, (chosen, rejected) in sides.items()]
    dataset = plant(tmp_path, completion_features=rows, pairs=[*pairs, pair("h", "q2", chosen_id="c", rejected_id="r")])
    assert named(dataset, "near_duplicate_pairs") == ["d"]
    assert named(dataset, "near_duplicate_pairs", min_similarity=0.85) == ["b", "d"]
    assert named(dataset, "near_duplicate_pairs", min_similarity=0.86) == ["d"]


def test_contaminated_pairs_by_statement_and_by_side(tmp_path):
    problems = [problem("q1"), problem("q2"), problem("q3", source="humaneval"), problem("q4")]
    matched = {"contaminated_by": "mbpp 7", "contaminated_passage": "é"}
    features = [measured_problem("q1", **matched), measured_problem("q2"), measured_problem("q3", **matched)]
    programs = [measured_program("r", "q2", **matched), measured_program("unpaired", "q4", **matched)]
    pairs = [
        pair("a", "q1", chosen_id="x", rejected_id="y"),
        pair("b", "q2"),
        pair("other sides", "q2", chosen_id="x", rejected_id="y"),
        pair("c", "q3"),
        pair("d", "q4", rejected_id="z"),
    ]
    dataset = plant(tmp_path, problems=problems, problem_features=features, completion_features=programs, pairs=pairs)
    assert named(dataset, "contaminated") == ["a", "b"]
    assert named(dataset, "contaminated", own=True) == ["a", "b", "c"]


def test_a_side_that_is_mostly_comment(tmp_path):
    shares = {"c": 0.5, "r": 0.51, "n": None}
    rows = [measured_program(name, comment_share=share) for name, share in shares.items()]
    sides = {"a": ("c", "r"), "b": ("r", "c"), "d": ("c", "n"), "e": ("r", "r")}
    pairs = [pair(name, chosen_id=chosen, rejected_id=rejected) for name, (chosen, rejected) in sides.items()]
    dataset = plant(tmp_path, completion_features=rows, pairs=pairs)
    assert named(dataset, "mostly_comments") == ["a", "b", "e"]
    assert named(dataset, "mostly_comments", max_comment_share=0.6) == []


GAPS = {"a": 30, "b": 10, "c": 10, "d": -5, "e": -12, "f": 0}


def gaps(folder, given=GAPS, **columns):
    return plant(folder, pair_features=[pair_feature(name, chars_gap=gap, **columns) for name, gap in given.items()])


def test_lengths_are_balanced_by_the_fewest_pairs(tmp_path):
    # The gaps add up to 33; without 30 to 3, without a 10 to -7: two pairs, and of the equal ones the first by id.
    metrics = dict.fromkeys(GAPS, 1.0)
    assert named(gaps(tmp_path), "length_balance", metrics) == ["a", "b"]


def test_lengths_are_balanced_over_what_earlier_rules_and_the_metric_leave(tmp_path):
    dataset = gaps(tmp_path)
    # Without a the gaps add up to 3, without e they add up to 45.
    assert named(dataset, "length_balance", dict.fromkeys(GAPS, 1.0), earlier=["a"]) == ["b"]
    assert named(dataset, "length_balance", dict.fromkeys(GAPS, 1.0), earlier=["e", "f"]) == ["a", "b", "c"]
    assert named(dataset, "length_balance", dict.fromkeys(GAPS, 1.0) | {"a": None}) == ["b"], (
        "unmeasured pairs go anyway"
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [({"a": 1}, ["a"]), ({"a": 0}, []), ({"a": -1}, []), ({"a": 5, "b": -5}, []), ({"a": 5, "b": -4}, ["a"])],
)
def test_lengths_that_are_balanced_need_nothing(tmp_path, given, expected):
    assert named(gaps(tmp_path, given), "length_balance", dict.fromkeys(given, 1.0)) == expected


def test_each_split_is_balanced_by_itself_in_characters_or_tokens(tmp_path):
    rows = [pair_feature("a", chars_gap=5, tokens_gap=-1), pair_feature("b", chars_gap=-9, tokens_gap=2)]
    rows += [pair_feature("c", chars_gap=3, split="test"), pair_feature("d", chars_gap=1, split="test")]
    dataset = plant(tmp_path, pair_features=rows)
    metrics = dict.fromkeys("abcd", 1.0)
    assert named(dataset, "length_balance", metrics) == ["c", "d"]
    assert named(dataset, "length_balance", metrics, tokens=True) == ["b"], "pairs without tokens stay"

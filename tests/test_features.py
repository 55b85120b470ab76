import ast
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import engine, features, programs, side_by_side
from analysis.features import Measures
from curation import store
from curation.store import Shard
from literal_rows import completion, execution, pair, plant, plant_run, problem


def measure(dataset, **config):
    features.measure_pairs(dataset, Measures(**config))
    return store.read(dataset, "pair_features").to_pylist()


def one_pair(folder, chosen, rejected, **sides):
    """Measures of one pair of these texts; `sides` gives columns of the completions as (of chosen, of rejected)."""
    columns = [{name: values[side] for name, values in sides.items()} for side in (0, 1)]
    rows = [completion("c", text=chosen, **columns[0]), completion("r", text=rejected, sample_index=1, **columns[1])]
    plant(
        folder,
        problems=[problem()],
        completions=rows,
        executions=[execution("c"), execution("r", passed=0)],
        pairs=[pair("p", chosen=chosen, rejected=rejected)],
    )
    [row] = measure(folder)
    return row


def levenshtein(left, right):
    """The textbook recurrence, one cell at a time."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        above, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (a != b))
    return row[-1]


def longest_common_subsequence(left, right):
    row = [0] * (len(right) + 1)
    for a in left:
        above = 0
        for j, b in enumerate(right, 1):
            above, row[j] = row[j], above + 1 if a == b else max(row[j], row[j - 1])
    return row[-1]


def common_prefix(left, right):
    same = [a == b for a, b in zip(left, right, strict=False)]
    return same.index(False) if False in same else len(same)


def test_characters_are_counted_and_not_bytes(tmp_path):
    row = one_pair(tmp_path, "日本é", "ab")
    # Three characters against two others: two replaced, one removed. In UTF-8 bytes it would be 8 against 2.
    assert (row["edit_distance"], row["edit_normalized"]) == (3, 1.0)
    assert (row["indel_distance"], row["indel_normalized"]) == (5, 1.0)
    assert (row["chars_gap"], row["length_gap"], row["length_ratio"]) == (1, 1, 1.5)


def test_an_empty_side_is_measured(tmp_path):
    row = one_pair(tmp_path, "", "abc")
    assert (row["edit_distance"], row["edit_normalized"], row["prefix_share"]) == (3, 1.0, 0.0)
    assert (row["lines_gap"], row["length_ratio"], row["comment_gap"]) == (-1, 3.0, None)


def test_log_prob_distance_is_of_the_sums_and_per_token_of_the_means(tmp_path):
    row = one_pair(tmp_path, "a b", "a", sum_logp=(-6.0, -1.5), num_tokens=(3, 1))
    assert (row["logp_margin"], row["logp_distance"]) == (-4.5, 4.5)
    # -6 / 3 = -2 against -1.5 / 1 = -1.5
    assert (row["logp_margin_per_token"], row["logp_distance_per_token"]) == (-0.5, 0.5)
    assert row["tokens_gap"] == 2


@pytest.mark.parametrize("known", [(-6.0, None), (None, -6.0), (None, None)])
def test_without_both_log_probs_there_is_no_distance(tmp_path, known):
    row = one_pair(tmp_path, "a", "b", sum_logp=known)
    assert (row["logp_distance"], row["logp_margin"], row["logp_distance_per_token"]) == (None, None, None)


def test_model_tokens_are_compared_as_sampled(tmp_path):
    # 55296 is a code point that no string may hold, 151643 one beyond the basic plane.
    row = one_pair(tmp_path, "a", "b", token_ids=([7, 55296, 151643], [7, 55296, 9, 8]))
    assert (row["first_divergence"], row["model_token_edit_distance"]) == (2, 2)


def test_unknown_model_tokens_give_null(tmp_path):
    row = one_pair(tmp_path, "a", "b", token_ids=(None, [1]))
    assert (row["first_divergence"], row["model_token_edit_distance"]) == (None, None)


def test_comments_docstrings_and_layout_leave_the_tree_as_it_is(tmp_path):
    plain = "def f(x):\n    return x + 1\n"
    dressed = 'def f(x):\n    """Add one."""\n    # easy\n    return (x +\n        1)\n'
    row = one_pair(tmp_path, dressed, plain)
    assert (row["same_ast"], row["ast_distance"]) == (True, 0)
    assert row["comment_gap"] == pytest.approx(len("# easy") / len(dressed))
    assert row["docstring_gap"] == pytest.approx(len("Add one.") / len(dressed))


@pytest.mark.parametrize(
    "other", ["def f(y):\n    return y\n", "def f(x):\n    return 1\n", "def g(x):\n    return x\n"]
)
def test_another_name_or_constant_is_another_tree(tmp_path, other):
    row = one_pair(tmp_path, "def f(x):\n    return x\n", other)
    assert row["same_ast"] is False
    assert row["ast_distance"] > 0


def test_what_does_not_parse_has_no_tree_and_still_has_text_distances(tmp_path):
    row = one_pair(tmp_path, "def f(x:\n", "def f(x):\n    pass\n")
    assert (row["same_ast"], row["ast_distance"], row["ast_normalized"], row["example_calls_gap"]) == (None,) * 4
    assert row["token_edit_distance"] > 0


def test_calls_and_prints_outside_functions_are_examples(tmp_path):
    example = "def f(x):\n    return abs(x)\n\nprint(f(1), f(2))\nif f(3):\n    print(4)\n"
    row = one_pair(tmp_path, example, "def f(x):\n    print(x)\n    return abs(x)\n")
    assert (row["example_prints_gap"], row["example_calls_gap"]) == (2, 3)


def test_the_runs_say_which_tests_tell_the_sides_apart(tmp_path):
    runs = [
        execution("c", tests=3, passed=2, steps=30),
        execution("r", tests=3, passed=1, steps=20, error_type="KeyError")
        | {"test_status": ["wrong", "passed", "exception"]},
    ]
    rows = [completion("c"), completion("r", text="x = 2\n")]
    pairs = [pair("p", chosen_score=2 / 3, rejected_score=1 / 3)]
    [row] = measure(plant(tmp_path, problems=[problem()], completions=rows, executions=runs, pairs=pairs))
    # chosen: passed passed wrong; rejected: wrong passed exception. Neither passes the third.
    assert row["tests_differ"] == [0]
    assert row["test_gap"] == pytest.approx(1 / 3)
    assert (row["chosen_error"], row["rejected_error"], row["steps_ratio"]) == (None, "KeyError", 1.5)
    assert (row["chosen_rank"], row["rejected_rank"], row["pass_rate"]) == (1, 2, 0.0)


def test_a_refused_sample_is_no_evidence_for_rank_or_pass_rate(tmp_path):
    samples = [("x = 1\n", None), ("x = 2\n", None), ("x = 3\n", None)]
    dataset = plant_run(tmp_path, {"q": samples})
    runs = [execution("q0"), execution("q1", passed=0), execution("q2", passed=0, status="refused")]
    plant(dataset, executions=runs)
    features.measure_completions(dataset, Measures())
    ranks = engine.query(dataset, "SELECT score_rank FROM completion_features ORDER BY completion_id")
    assert ranks["score_rank"].to_pylist() == [1, 2, None]
    assert engine.query(dataset, "SELECT pass_rate FROM problem_stats").to_pylist() == [{"pass_rate": 0.5}]


def test_no_pairs_and_no_completions_give_empty_shards(tmp_path):
    plant(tmp_path, problems=[problem()], completions=[], executions=[], pairs=[])
    assert measure(tmp_path) == []
    assert store.missing(tmp_path, "completion_features") == []


def test_only_missing_shards_are_measured(tmp_path):
    shards = [Shard("train", index, 2) for index in range(2)]
    for index, shard in enumerate(shards):
        plant_run(tmp_path, {f"q{index}": [("x = 1\n", -1.0), ("x = 2\n", -2.0)]}, shard)
    rows = measure(tmp_path)
    kept = store.path(tmp_path, "pair_features", shards[0])
    stamp = kept.stat().st_mtime_ns
    store.path(tmp_path, "pair_features", shards[1]).unlink()
    seen = []
    assert features.measure_pairs(tmp_path, Measures(), on_progress=lambda *at: seen.append(at)) == 2
    assert store.read(tmp_path, "pair_features").to_pylist() == rows
    assert kept.stat().st_mtime_ns == stamp
    assert seen[-1] == (2, 2)


def test_the_same_pairs_give_the_same_bytes_in_one_process_or_two(tmp_path, monkeypatch):
    monkeypatch.setattr(side_by_side, "WORTH_A_PROCESS", 1)
    program = "def f(n):\n    return n + {}\n"
    files, reports = [], []
    for workers in (1, 2):
        dataset = tmp_path / str(workers)
        for index in range(3):
            samples = {f"q{index}{i}": [(program.format(10 * i + j), -float(j)) for j in range(5)] for i in range(4)}
            plant_run(dataset, samples, Shard("train", index, 3))
        seen: list[tuple[int, int]] = []
        features.measure_pairs(dataset, Measures(workers=workers), on_progress=lambda *at, seen=seen: seen.append(at))
        reports.append(seen)
        tables = ("completion_features", "pair_features")
        paths = [store.path(dataset, table, shard) for table in tables for shard in store.plan(dataset)]
        files.append([path.read_bytes() for path in paths])
    assert files[0] == files[1]
    assert reports == [[(0, 3), (1, 3), (2, 3), (3, 3)]] * 2


@pytest.mark.parametrize(
    "code",
    ["(" * 5000, "-" * 100_000 + "1", "x" + ".a" * 50_000, "\x00", "a = '", "if x:\n  y\n z", "é = '\\d'", "\ud800"],
    ids=["parens", "signs", "chain", "nul", "open", "indent", "escape", "surrogate"],
)
def test_hostile_code_is_measured_without_raising(code):
    row = features.measure_program(code)
    assert row["parses"] == (row["ast_hash"] is not None)


texts = st.text(alphabet="ab \n#é日()=1", max_size=30)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=4))
def test_distances_equal_the_textbook(tmp_path_factory, sides):
    samples = {f"q{i}": [(left, -1.0), (right, -2.5)] for i, (left, right) in enumerate(sides)}
    rows = measure(plant_run(tmp_path_factory.mktemp("pairs"), samples))
    assert [row["problem_id"] for row in rows] == sorted(samples)
    for row in rows:
        left, right = (text for text, _ in samples[row["problem_id"]])
        longer = max(len(left), len(right), 1)
        edits = levenshtein(left, right)
        indels = len(left) + len(right) - 2 * longest_common_subsequence(left, right)
        assert (row["edit_distance"], row["edit_normalized"]) == (edits, edits / longer)
        assert (row["indel_distance"], row["prefix_chars"]) == (indels, common_prefix(left, right))
        left_tokens, right_tokens = programs.TOKEN.findall(left), programs.TOKEN.findall(right)
        assert row["token_edit_distance"] == levenshtein(left_tokens, right_tokens)
        assert (row["chars_gap"], row["logp_distance"]) == (len(left) - len(right), 1.5)
        assert row["lines_gap"] == len(left.splitlines()) - len(right.splitlines())


@settings(max_examples=100, deadline=None)
@given(texts, texts)
def test_equal_hashes_are_equal_dumps(left, right):
    first, second = programs.syntax(left), programs.syntax(right)
    if first and second:
        assert (first.digest == second.digest) == (ast.dump(ast.parse(left)) == ast.dump(ast.parse(right)))


def test_measures_are_finite(tmp_path):
    row = one_pair(tmp_path, "", " ", sum_logp=(0.0, 0.0), num_tokens=(0, 0))
    assert all(math.isfinite(value) for value in row.values() if isinstance(value, float))


def test_a_pair_of_steps_is_measured_behind_its_prefix_and_no_further_than_the_steps(tmp_path):
    # Tokens: "a\n" | "b" "\n" | "c"  against  "a\n" | "xy\n" | "d".
    known = {"token_ids": [1, 2, 3, 4], "token_logps": [-8.0, -1.0, -0.5, -9.0], "sum_logp": -18.5, "num_tokens": 4}
    other = {"token_ids": [1, 5, 6], "token_logps": [-8.0, -2.0, -7.0], "sum_logp": -17.0, "num_tokens": 3}
    rows = [completion("c", text="a\nb\nc", **known), completion("r", text="a\nxy\nd", sample_index=1, **other)]
    step = pair("p", strategy="step_dpo", prefix="a\n", prefix_tokens=1, chosen="a\nb\n", rejected="a\nxy\n")
    steps = step | {"chosen_tokens": 3, "rejected_tokens": 2}
    rest = pair("w", strategy="step_controlled", prefix="a\n", prefix_tokens=1, chosen="a\nb\nc", rejected="a\nxy\nd")
    whole = pair("q", chosen="a\nb\nc", rejected="a\nxy\nd")
    runs = [execution("c"), execution("r", passed=0)]
    plant(tmp_path, problems=[problem()], completions=rows, executions=runs, pairs=[steps, rest, whole])
    found = {row["pair_id"]: row for row in measure(tmp_path)}
    # "b\n" against "xy\n": b becomes x, y is put in. -1.5 in two tokens against -2 in one.
    wanted = {"edit_distance": 2, "edit_normalized": pytest.approx(2 / 3), "logp_margin": 0.5, "tokens_gap": 1}
    wanted |= {"logp_margin_per_token": 1.25, "chars_gap": -1, "lines_gap": 0, "length_ratio": 1.5, "prefix_chars": 0}
    wanted |= {"first_divergence": 0, "model_token_edit_distance": 2, "ast_distance": None, "same_ast": None}
    assert {name: found["p"][name] for name in wanted} == wanted
    # "b\nc" against "xy\nd": -10.5 against -9, of three tokens and two; the programs are compared as trees.
    assert (found["w"]["logp_margin"], found["w"]["edit_distance"], found["w"]["tokens_gap"]) == (-1.5, 3, 1)
    assert found["w"]["edit_normalized"] == 3 / 4 and found["w"]["ast_distance"] > 0
    # And whole: -18.5 against -17.
    assert (found["q"]["logp_margin"], found["q"]["edit_normalized"], found["q"]["first_divergence"]) == (-1.5, 0.5, 1)

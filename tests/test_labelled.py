"""Labelled data sets: records as questions with known answers, their wrong answers, and versions made of them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from analysis import checks, engine
from conftest import SHARED_DATA, problem
from curation import store
from curation.asserts import ProblemError
from curation.errors import UserError
from curation.execute import Execution, judge
from curation.label_formats import problem_from_arc, problem_from_hellaswag, problem_from_metamath
from curation.labelled import LabelledSampler, corrupted
from curation.problems import ProblemSource, read_problems
from curation.prompts import completion_prompt, question
from curation.samplers import request_for
from curation.sampling import Sampling
from flows.build import build
from flows.config import Recipe

SOLUTION = "Seven boxes hold 7 * 12 = 84 eggs.\nWith 16 more there are 84 + 16 = 100.\n#### 100\nThe answer is: 100"
METAMATH = {"query": "How many eggs?", "response": SOLUTION, "type": "GSM_AnsAug", "original_question": "How many?"}
ARC = {
    "id": "Own_1",
    "question": "Which floats on water?",
    "choices": {"text": ["an iron nail", "a dry log", "a flint", "a coin"], "label": ["A", "B", "C", "D"]},
    "answerKey": "B",
}
HELLASWAG = {
    "ind": 7,
    "activity_label": "Raking",
    "ctx_a": "A man rakes a lawn.",
    "ctx_b": "he",
    "ctx": "A man rakes a lawn. he",
    "endings": ["sings to a bear.", "bags the leaves.", "flies off.", "is a bag."],
    "source_id": "own~1",
    "split": "train",
    "split_type": "indomain",
    "label": "1",
}


def lines(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def answers(source: str, path: Path, seed: int = 0) -> list[list[str]]:
    """The texts of each problem's samples."""
    sampling = Sampling(sampler="labelled", seed=seed)
    requests = [request_for(row, sampling) for row in read_problems(ProblemSource(source=source, path=path))]
    return [[sample.text for sample in one.samples] for one in LabelledSampler(sampling, ()).sample(requests, 0)]


def test_arc_gives_the_right_choice_and_then_the_wrong_ones_in_their_order(tmp_path: Path) -> None:
    numbered = ARC | {"id": "Own_2", "choices": {"text": ["x", "y", "z"], "label": ["1", "2", "3"]}, "answerKey": "3"}
    of_structs = ARC | {"id": "Own_3", "choices": [{"text": t, "label": t} for t in "pqrst"], "answerKey": "p"}
    assert answers("arc", lines(tmp_path / "a.jsonl", ARC, numbered, of_structs)) == [
        ["a dry log", "an iron nail", "a flint", "a coin"],
        ["z", "x", "y"],
        ["p", "q", "r", "s", "t"],
    ]
    task = problem_from_arc(ARC)
    assert (task["task_id"], task["prompt"], task["kind"]) == ("Own_1", "Which floats on water?", "label")


def test_hellaswag_labels_are_texts_or_numbers(tmp_path: Path) -> None:
    other = HELLASWAG | {"ind": 8, "label": 0}
    found = answers("hellaswag", lines(tmp_path / "h.jsonl", HELLASWAG, other))
    assert found[0] == ["bags the leaves.", "sings to a bear.", "flies off.", "is a bag."]
    assert found[1] == ["sings to a bear.", "bags the leaves.", "flies off.", "is a bag."]
    assert problem_from_hellaswag(HELLASWAG)["prompt"] == "A man rakes a lawn. he"
    assert problem_from_hellaswag(HELLASWAG)["task_id"] == "own~1/7"


def test_metamath_gives_the_response_and_one_with_another_intermediate_result(tmp_path: Path) -> None:
    [[right, wrong]] = answers("metamath", lines(tmp_path / "m.jsonl", METAMATH))
    assert right == SOLUTION
    first, rest = SOLUTION.split("84", 1)
    assert wrong.startswith(first) and wrong.endswith(rest), "only the result that is not the answer is another"
    assert wrong != right
    assert problem_from_metamath(METAMATH, 3)["task_id"] == "MetaMath/3", "the set has no names of its own"


@pytest.mark.parametrize(
    ("change", "record", "said"),
    [
        ({"answerKey": "E"}, ARC, r"answerKey must be one of the labels \(A, B, C, D\), found 'E'"),
        ({"answerKey": ""}, ARC, "no answerKey; fix it or set skip_without_tests"),
        ({"choices": {"text": ["a"], "label": ["A", "B"]}}, ARC, "choices has 2 label and 1 text"),
        ({"label": "4"}, HELLASWAG, "label must be an index of the 4 endings, found '4'"),
        ({"label": ""}, HELLASWAG, "no label; fix it or set skip_without_tests"),
        ({"label": -1}, HELLASWAG, "label must be an index"),
        ({"endings": ["a", " ", "c", "d"]}, HELLASWAG, "the right answer is empty"),
        ({"response": None}, METAMATH, "no 'response'"),
    ],
)
def test_a_record_that_is_not_as_it_must_be_is_one_line(
    change: dict[str, Any], record: dict[str, Any], said: str, tmp_path: Path
) -> None:
    source = {id(ARC): "arc", id(HELLASWAG): "hellaswag", id(METAMATH): "metamath"}[id(record)]
    with pytest.raises(ProblemError, match=rf"line 1: {said}"):
        read_problems(ProblemSource(source=source, path=lines(tmp_path / "r.jsonl", record | change)))


def test_records_without_a_label_can_be_left_out(tmp_path: Path) -> None:
    path = lines(tmp_path / "h.jsonl", HELLASWAG | {"label": ""}, HELLASWAG | {"ind": 9})
    (row,) = read_problems(ProblemSource(source="hellaswag", path=path, skip_without_tests=True))
    assert row["task_id"] == "own~1/9"


@pytest.mark.parametrize(
    ("solution", "number", "answer"),
    [
        ("3 + 4 = 7, and 7 * 2 = 14.\n#### 14\nThe answer is: 14", "7", 14),
        ("It costs $2.50 + $1.25 = $3.75 in all: 3.75 * 2 = 7.5.\n#### 7.50", "3.75", 7.5),
        ("600 * 2 = 1,200 and 1,200 - 1 = 1199.\nThe answer is: 1199", "1,200", 1199),
        ("We have $x = 2y = 6 + 1 = 3/4 = 2^3 = 2 \\cdot 9 = 9$. The answer is: 1", "9", 1),
        ("Only 3 * 4 = 12.\n#### 12\nThe answer is: 12", "12", 12),
        ("It is 5 - 9 = -4 \\boxed{1}. So = 99. The answer is: 1", "4", 1),
    ],
)
def test_what_is_corrupted_is_a_result_before_the_answer(solution: str, number: str, answer: float) -> None:
    for seed in range(30):
        change = corrupted(solution, random.Random(seed))
        assert change is not None
        text, span = change
        assert solution[span.start : span.origin_end] == number
        assert solution[: span.start] + text[span.start : span.end] + solution[span.origin_end :] == text
        written = text[span.start : span.end]
        assert float(written.replace(",", "")) not in (float(number.replace(",", "")), answer)
        assert len(written.partition(".")[2]) == len(number.partition(".")[2]), "as many decimals"


def test_the_corruption_follows_from_seed_and_problem(tmp_path: Path) -> None:
    path = lines(tmp_path / "m.jsonl", *[METAMATH] * 8)
    first, again, other = (answers("metamath", path, seed) for seed in (0, 0, 1))
    assert first == again and first != other
    assert len({wrong for _, wrong in first}) > 1, "equal solutions of several problems get results of their own"


@pytest.mark.parametrize(
    "solution", ["", "No number.", "x = y", "2x = 3 + 4", "#### 7\n3 + 4 = 7", "The answer is: 3 + 4 = 7"]
)
def test_a_solution_without_a_result_gets_no_wrong_side(solution: str) -> None:
    assert corrupted(solution, random.Random(0)) is None


def test_answers_are_judged_by_the_label_and_never_run() -> None:
    label = problem("q", kind="label", tests=[{"code": "", "stdin": "", "stdout": "print(1)"}])
    texts = {"right": "print(1)", "wrong": "print(2)", "spaced": "print(1) "}
    rows = [
        {"completion_id": name, "problem_id": label["problem_id"], "split": "train", "code": text, "text": text}
        for name, text in texts.items()
    ]
    found = list(judge({label["problem_id"]: label}, rows, Execution()))
    assert [row["status"] for row in found] == ["passed", "wrong", "wrong"]
    assert [(row["num_passed"], row["num_tests"], row["score"]) for row in found] == [
        (1, 1, 1.0),
        (0, 1, 0.0),
        (0, 1, 0.0),
    ]
    assert {(row["steps"], row["peak_kb"], row["error_type"]) for row in found} == {(0, 0, None)}
    assert [row["test_status"] for row in found] == [["passed"], ["wrong"], ["wrong"]]


def test_a_model_is_asked_the_question_as_it_stands() -> None:
    label = problem("q", kind="label", prompt_format="text", prompt="Which floats?", entry_point=None)
    assert question(label) == completion_prompt(label) == "Which floats?"


def test_a_problem_with_tests_has_no_labelled_answers() -> None:
    sampling = Sampling(sampler="labelled")
    with pytest.raises(UserError, match="add has tests instead: set problems.source to metamath, arc or hellaswag"):
        LabelledSampler(sampling, ()).sample([request_for(problem(), sampling)], 0)
    with pytest.raises(ValidationError, match="sampler labelled does not use n"):
        Sampling(sampler="labelled", n=3)


def test_arc_is_read_from_the_challenge_half_unless_the_recipe_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def open_hub(repo: str, **options: Any) -> Any:
        asked.append((repo, options["config"]))
        raise UserError("no network")

    monkeypatch.setattr("curation.hub_problems.open_hub", open_hub)
    for options in ({}, {"config": "ARC-Easy"}, {"repo": "own/arc"}):
        with pytest.raises(UserError, match="no network"):
            read_problems(ProblemSource(source="arc", **options))
    assert asked == [("allenai/ai2_arc", "ARC-Challenge"), ("allenai/ai2_arc", "ARC-Easy"), ("own/arc", None)]


def test_versions_of_all_three_are_sealed_with_their_pairs(tmp_path: Path) -> None:
    repeated = ARC | {"id": "Own_2", "choices": {"text": ["x", "y", "y", "z"], "label": list("ABCD")}, "answerKey": "A"}
    plain = METAMATH | {"response": "Red.\nThe answer is: red"}
    for source, records, expected in (
        ("metamath", [METAMATH, plain], 1),
        ("arc", [ARC, repeated], 5),
        ("hellaswag", [HELLASWAG], 3),
    ):
        path = lines(tmp_path / f"{source}.jsonl", *records)
        content = {"dataset": source, "problems": {"source": source, "path": path}, "generate": {"sampler": "labelled"}}
        content |= {"pairs": {"strategy": "all_pairs"}, "curriculum": {"metric": "edit_distance", "prune": ()}}
        version, _ = build(Recipe.model_validate(content), tmp_path / "data")
        assert sum(checks.run_checks(version).values()) == 0
        pairs = store.read(version, "pairs").to_pylist()
        assert len(pairs) == expected, "each wrong answer once; a solution without a result makes none"
        assert {row["prompt"] for row in pairs} <= {"How many eggs?", ARC["question"], HELLASWAG["ctx"]}
        features = store.read(version, "pair_features").to_pylist()
        nothing = ("ast_distance", "same_ast", "comment_gap", "docstring_gap", "example_calls_gap", "tokens_gap")
        assert all(row[name] is None for row in features for name in nothing), "programs' measures are null"
        assert store.read(version, "hopeless_problems").num_rows == 0
        with engine.connect(version) as con:
            unpaired = engine.select(con, "SELECT task_id FROM problems ANTI JOIN pairs USING (problem_id)")
        assert unpaired["task_id"].to_pylist() == (["MetaMath/1"] if source == "metamath" else [])


# Pal et al. 2024 (arXiv 2402.13228), appendix D: pairs of the training and of the evaluation split.
COUNTS = {"arc": {"train": 3_357, "validation": 895}, "hellaswag": {"train": 119_715, "validation": 30_126}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "split", "count"), [(s, split, n) for s, splits in COUNTS.items() for split, n in splits.items()]
)
def test_a_wrong_answer_of_every_record_makes_the_papers_counts(source: str, split: str, count: int) -> None:
    # 1,119 and 299 questions of mostly four choices, 39,905 and 10,042 contexts of four endings.
    rows = read_problems(ProblemSource(source=source, path=data_set(f"{source}/{split}"), split=split))
    assert sum(len(row["choices"]) - 1 for row in rows) == count


@pytest.mark.slow
def test_metamath_has_nearly_as_many_solutions_with_a_result_as_the_paper_has_pairs() -> None:
    rows = read_problems(ProblemSource(source="metamath", path=data_set("metamath/train")))
    made = sum(corrupted(row["tests"][0]["stdout"], random.Random(0)) is not None for row in rows)
    assert len(rows) == 395_000 and made <= 393_999 + 1_000
    assert made > 0.8 * len(rows), "what has no number after an equals sign is left out, and must be the exception"


def data_set(name: str) -> Path:
    """A split of a labelled data set in one of the formats that are read, or a skip that says so."""
    for suffix in (".parquet", ".jsonl", ".json", ".jsonl.gz"):
        if (SHARED_DATA / f"{name}{suffix}").is_file():
            return SHARED_DATA / f"{name}{suffix}"
    pytest.skip(f"the data set is not here: {name} as .parquet, .jsonl or .json, which no package registry has")

"""Completions beside a model's own: references and a teacher's, on the prompt the model saw."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from conftest import problem
from curation import store
from curation.generate import completion_rows, generate_completions
from curation.samplers import Answers, Mutation, ReferenceSampler, Request, Sample, request_for, respoken
from curation.sampling import Generation
from curation.store import Shard
from flows.config import ConfigError, parse

ADD = problem()
REQUEST: Request = request_for(ADD, Generation())


def sampled(folder: Path, *problems: dict, **config: object) -> list[dict]:
    store.write(folder, "problems", problems, Shard("train"))
    generate_completions(folder, Generation.model_validate({"sampler": "scripted", "n": 2, **config}))
    return store.read(folder, "completions").to_pylist()


def test_a_reference_stands_after_the_model_s_own_and_answers_its_prompt(tmp_path: Path) -> None:
    bare = problem("bare", reference_solution=None)
    rows = sampled(tmp_path, ADD, bare, also=[{"sampler": "reference"}])
    assert [(row["problem_id"] == ADD["problem_id"], row["sample_index"], row["sampler"]) for row in rows] == [
        (True, 0, "scripted"),
        (True, 1, "scripted"),
        (True, 2, "reference"),
        (False, 0, "scripted"),
        (False, 1, "scripted"),
    ]
    own, reference = rows[0], rows[2]
    assert reference["prompt"] == own["prompt"] and reference["prompt_token_ids"] == own["prompt_token_ids"]
    assert reference["text"] == f"```python\n{ADD['reference_solution']}```"
    assert reference["code"] == ADD["reference_solution"]
    assert (reference["model"], reference["seed"], own["seed"]) == ("reference", None, 0)
    assert len({row["completion_id"] for row in rows}) == 5


def test_a_teacher_s_file_stands_beside_under_its_own_name(tmp_path: Path) -> None:
    file = tmp_path / "teacher.jsonl.gz"
    with gzip.open(file, "wt") as stream:
        stream.write(json.dumps({"task_id": ADD["task_id"], "completion": "    return a + b\n"}) + "\n")
    teacher = {"sampler": "replay", "path": str(file), "model": "big", "temperature": 0.2}
    rows = sampled(tmp_path / "work", ADD, also=[teacher])
    assert [row["model"] for row in rows] == ["scripted", "scripted", "big"]
    assert rows[2]["code"] == ADD["prompt"] + "    return a + b\n"
    assert rows[2]["temperature"] == pytest.approx(0.2)


def test_a_model_cannot_be_asked_beside_another() -> None:
    with pytest.raises(ConfigError, match=r"also takes samplers that ask no model .*not vllm"):
        parse({"generate": {"also": [{"sampler": "vllm"}]}}, "it")


@pytest.mark.parametrize("form", [{"continues": False}, {"continues": True}, {"continues": True, "verbatim": True}])
def test_a_span_is_where_the_change_stands_in_the_text_however_the_program_is_put(form: dict[str, bool]) -> None:
    program = "def add(a, b):\n    return a - b\n"
    at = program.index("-")
    asked = request_for(problem(prompt="def add(a, b):\n", prompt_format="code"), Generation())
    sample = Sample("", program=program, mutation=Mutation("operator", at, at + 1, at + 1))
    put = respoken(asked, respoken(asked, sample, continues=False), **form)
    row = list(
        completion_rows(
            [asked], [Answers("p", [put])], Generation(sampler="scripted"), ReferenceSampler(Generation(), [])
        )
    )[0]
    assert row["text"][row["span_start"] : row["span_end"]] == "-" and row["origin_span_end"] == row["span_end"]


def test_a_sample_s_origin_is_a_completion_of_the_same_problem(tmp_path: Path) -> None:
    change = Mutation("operator", 3, 4, 5)
    samples = [Sample("one"), Sample("two", origin=0, mutation=change, temperature=1.5)]

    class Given:
        at_once = 1

        def model(self):
            from curation.samplers import Model

            return Model("m", None)

        def program(self, request, answers, text):
            return text

    rows = list(completion_rows([REQUEST], [Answers("p", samples)], Generation(sampler="scripted"), Given()))  # type: ignore[arg-type]
    assert rows[0]["origin_id"] is None and rows[1]["origin_id"] == rows[0]["completion_id"]
    assert [rows[1][name] for name in ("mutation", "span_start", "span_end", "origin_span_end")] == [
        "operator",
        3,
        4,
        5,
    ]
    assert (rows[0]["temperature"], rows[1]["temperature"]) == (None, 1.5)

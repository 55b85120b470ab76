"""Replayed and scripted completions, and options that a sampler would not heed."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from conftest import problem, shared_data
from curation import store
from curation.errors import UserError
from curation.generate import generate_completions
from curation.samplers import ReplaySampler, ScriptedSampler, request_for
from curation.sampling import USES, Sampling

BODY = "    return a + b\n"


def lines(path: Path, *records: Any) -> Path:
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in records))
    return path


def replayed(path: Path, tables: Callable[..., Path], *task_ids: str, **options: Any) -> list[dict[str, Any]]:
    dataset = tables(problems=[problem(task_id) for task_id in task_ids or ("add",)])
    generate_completions(dataset, Sampling(sampler="replay", path=path, **options))
    return store.read(dataset, "completions").to_pylist()


def test_replay_keeps_repeats_and_order_and_knows_no_tokens(tables: Callable[..., Path], tmp_path: Path) -> None:
    bodies = [BODY, "    return 1\n", BODY]
    file = lines(tmp_path / "s.jsonl", *({"task_id": "add", "completion": body} for body in bodies))
    rows = replayed(file, tables)
    assert [row["text"] for row in rows] == bodies and [row["sample_index"] for row in rows] == [0, 1, 2]
    assert rows[0]["code"] == problem()["prompt"] + BODY
    assert len({row["completion_id"] for row in rows}) == 3
    unknown = ("token_ids", "token_logps", "sum_logp", "num_tokens", "finish_reason", "temperature", "seed")
    assert all(rows[0][name] is None for name in unknown)
    assert (rows[0]["sampler"], rows[0]["model"]) == ("replay", "s.jsonl")


def test_replay_says_what_the_recipe_knows_of_the_file(tables: Callable[..., Path], tmp_path: Path) -> None:
    file = lines(tmp_path / "s.jsonl", {"task_id": "add", "completion": BODY})
    (row,) = replayed(file, tables, model="codegen", revision="16B", temperature=0.8)
    assert (row["model"], row["model_revision"]) == ("codegen", "16B")
    assert row["temperature"] == pytest.approx(0.8) and row["top_p"] is None and row["max_tokens"] is None


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "parquet"])
def test_replay_reads_json_lines_gzip_and_parquet_alike(kind: str, tables: Callable[..., Path], tmp_path: Path) -> None:
    records = [{"task_id": "add", "solution": "def add(a, b): return a"}, {"task_id": "two", "solution": "x = 'é'"}]
    file = tmp_path / f"s.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(records), file)
    else:
        text = "".join(json.dumps(record) + "\n" for record in records).encode()
        file.write_bytes(gzip.compress(text) if kind.endswith("gz") else text)
    rows = replayed(file, tables, "add", "two", "none of these", completion_is="solution")
    assert [row["code"] for row in rows] == ["def add(a, b): return a", "x = 'é'"]


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([{"task_id": "add", "completion": BODY}, '{"task_id": "add", '], "line 2"),
        ([{"task_id": "add", "text": BODY}], "line 1: expected task_id and completion, found the keys task_id, text"),
        ([{"task_id": "add", "completion": None}], "line 1: expected task_id and completion"),
        (
            [{"task_id": "add", "completion": BODY}, "", {"task_id": "sub", "completion": BODY}],
            "line 3: task_id 'sub' is none of the dataset's 1 problems",
        ),
        ([], "holds no completion for the dataset's problems"),
    ],
)
def test_what_is_wrong_with_a_file_to_replay_is_one_line_that_names_the_line(
    records: list[Any], said: str, tables: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(UserError) as refusal:
        replayed(lines(tmp_path / "s.jsonl", *records), tables)
    assert said in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_file_that_is_not_there_is_one_line(tables: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file .*absent.jsonl: set generate.path"):
        replayed(tmp_path / "absent.jsonl", tables)


def test_completions_of_other_problems_are_left_out_where_the_recipe_says_so(
    tables: Callable[..., Path], tmp_path: Path
) -> None:
    file = lines(tmp_path / "s.jsonl", *({"task_id": task, "completion": BODY} for task in ("sub", "add")))
    assert [row["problem_id"] for row in replayed(file, tables, skip_unknown=True)] == [problem("add")["problem_id"]]


def test_the_16400_real_samples_are_all_there_and_verbatim() -> None:
    file = shared_data("samples/humaneval_codegen16b_t0.8_n100.jsonl.gz")
    with gzip.open(file, "rt") as stream:
        records = [json.loads(line) for line in stream]
    config = Sampling(sampler="replay", path=file, completion_is="solution")
    sampler = ReplaySampler(config, {record["task_id"] for record in records})
    requests = [request_for(problem(task_id), config) for task_id in dict.fromkeys(r["task_id"] for r in records)]
    answers = sampler.sample(requests, seed=0)
    assert [len(answer.samples) for answer in answers] == [100] * 164
    texts = [sample.text for answer in answers for sample in answer.samples]
    assert Counter(texts) == Counter(record["completion"] for record in records)
    assert sampler.program(requests[0], answers[0], texts[0]) == texts[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sampler": "replay", "path": "x", "n": 3}, "sampler replay does not use n, only vllm or openai or scripted"),
        ({"sampler": "vllm", "base_urls": ["http://x"]}, "sampler vllm does not use base_urls, only openai does"),
        ({"sampler": "openai", "model": "m", "dtype": "float16"}, "does not use dtype, only vllm does"),
        ({"sampler": "scripted", "temperature": 0.1}, "sampler scripted does not use temperature"),
        ({"sampler": "replay"}, "sampler replay needs a path"),
        ({"sampler": "openai"}, "sampler openai needs a model"),
        ({"prompt": "completion", "system": "Be brief."}, "prompt completion has no system message"),
    ],
)
def test_an_option_that_would_not_be_heeded_is_an_error(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Sampling(**options)


def test_a_dumped_recipe_is_a_recipe_and_every_option_is_some_samplers() -> None:
    for config in (Sampling(n=3), Sampling(sampler="replay", path=Path("x")), Sampling(sampler="scripted")):
        assert Sampling.model_validate(config.model_dump()) == config
    assert set(Sampling.model_fields) == {"sampler", "scored_by"}.union(*USES.values())


def test_scripted_answers_are_right_wrong_broken_and_absent_in_turn() -> None:
    config = Sampling(sampler="scripted", n=10)
    request = request_for(problem(), config)
    (answers,) = ScriptedSampler(config).sample([request], seed=0)
    codes = [ScriptedSampler(config).program(request, answers, sample.text) for sample in answers.samples]
    spaces: list[dict[str, Any]] = []
    for code in codes[:2]:
        exec(code or "", space := {})
        spaces.append(space)
    assert spaces[0]["add"](2, 3) == 5 and spaces[1]["add"](2, 3) != 5
    with pytest.raises(SyntaxError):
        compile(codes[2] or "", "broken", "exec")
    assert codes[4] is None and len(codes) == 10
    assert all(len(s.token_ids or ()) == len(s.token_logps or ()) == len(s.text) for s in answers.samples)


def test_scripted_texts_given_are_the_answers() -> None:
    config = Sampling(sampler="scripted", n=3)
    sampler = ScriptedSampler(config, texts={"add": ["one", "two"]})
    (answers,) = sampler.sample([request_for(problem(), config)], seed=0)
    assert [sample.text for sample in answers.samples] == ["one", "two", "one"]

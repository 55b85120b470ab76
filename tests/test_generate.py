"""The stage: whole shards only, missing ones only, rows in order, and the same bytes every time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from conftest import problem
from curation import store
from curation.errors import UserError
from curation.generate import completion_rows, generate_completions, shard_seed
from curation.samplers import Answers, Done, Model, Request, Sample, nobody, request_for
from curation.sampling import Sampling
from curation.store import Shard

SCRIPTED = Sampling(sampler="scripted", n=3)


class Recorder:
    """A sampler that says what it was asked, and fails or waits where it is told to."""

    def __init__(self, at_once: int = 1, fails_at: int | None = None) -> None:
        self.at_once, self.fails_at = at_once, fails_at
        self.seeds: list[int] = []
        self.closed = 0
        self.meeting = threading.Barrier(at_once)

    def sample(self, requests: Sequence[Request], seed: int, on_done: Done = nobody) -> list[Answers]:
        self.meeting.wait(timeout=60)
        self.seeds.append(seed)
        if self.fails_at == len(self.seeds):
            raise UserError("the model went away")
        on_done(3 * len(requests))
        sample = Sample("a", [1, 2], [-0.5, -0.25], "stop")
        return [Answers(f"<{r.problem['task_id']}>", [sample] * 3, [7]) for r in requests]

    def model(self) -> Model:
        return Model("recorder", "1")

    def program(self, request: Request, answers: Answers, text: str) -> str | None:
        return text

    def close(self) -> None:
        self.closed += 1


def dataset(tmp_path: Path, shards: int = 3) -> Path:
    for index in range(shards):
        rows = [problem(f"{index}-{number}") for number in range(2)]
        store.write(tmp_path / "work", "problems", rows, Shard("train", index, shards))
    return tmp_path / "work"


def test_rows_stand_in_the_order_of_problems_and_samples(tmp_path: Path) -> None:
    folder = dataset(tmp_path)
    assert generate_completions(folder, SCRIPTED) == 18
    problems = store.read(folder, "problems").column("problem_id").to_pylist()
    rows = store.read(folder, "completions").to_pylist()
    assert [(row["problem_id"], row["sample_index"]) for row in rows] == [(p, i) for p in problems for i in range(3)]
    assert len({row["completion_id"] for row in rows}) == 18
    assert store.shards(folder, "completions") == store.plan(folder)


def test_only_missing_shards_are_sampled_and_give_the_same_bytes(tmp_path: Path) -> None:
    folder = dataset(tmp_path)
    generate_completions(folder, SCRIPTED)
    lost = store.plan(folder)[1]
    before = store.path(folder, "completions", lost).read_bytes()
    store.path(folder, "completions", lost).unlink()
    steps: list[tuple[int, int]] = []
    assert generate_completions(folder, SCRIPTED, on_progress=lambda done, total: steps.append((done, total))) == 6
    assert store.path(folder, "completions", lost).read_bytes() == before
    assert steps == [(0, 6), (3, 6), (6, 6)]
    assert generate_completions(folder, SCRIPTED) == 0


def test_a_sampler_is_not_even_opened_where_nothing_is_missing(tmp_path: Path) -> None:
    folder = dataset(tmp_path)
    generate_completions(folder, SCRIPTED)
    # Its file is absent: reading it would be an error.
    assert generate_completions(folder, Sampling(sampler="replay", path=tmp_path / "absent.jsonl")) == 0


def test_a_failure_keeps_finished_shards_and_stops_the_others(tmp_path: Path) -> None:
    folder, sampler = dataset(tmp_path), Recorder(fails_at=2)
    with pytest.raises(UserError, match="the model went away"):
        generate_completions(folder, SCRIPTED, sampler=sampler)
    assert store.shards(folder, "completions") == store.plan(folder)[:1]
    assert len(sampler.seeds) == 2


def test_a_shards_seed_depends_on_the_seed_and_the_shard_alone(tmp_path: Path) -> None:
    folder, whole, resumed = dataset(tmp_path), Recorder(), Recorder()
    generate_completions(folder, SCRIPTED, sampler=whole)
    store.path(folder, "completions", store.plan(folder)[2]).unlink()
    generate_completions(folder, SCRIPTED, sampler=resumed)
    assert resumed.seeds == whole.seeds[2:] and len(set(whole.seeds)) == 3
    assert shard_seed(1, Shard("train", 0, 3)) != shard_seed(0, Shard("train", 0, 3)) == whole.seeds[0]


def test_as_many_shards_run_at_once_as_the_sampler_takes(tmp_path: Path) -> None:
    # The barrier lets nobody through before three are inside.
    assert generate_completions(dataset(tmp_path), SCRIPTED, sampler=Recorder(at_once=3)) == 18


def test_a_row_says_what_is_known_of_its_sample() -> None:
    request = request_for(problem(), SCRIPTED)
    sample = Sample("\ud800x", [5, 6], [-0.5, -0.25], "length")
    (row,) = completion_rows([request], [Answers("P", [sample], [1])], Sampling(n=1, seed=7), Recorder())
    expected: dict[str, Any] = {
        "prompt": "P",
        "prompt_token_ids": [1],
        "text": "?x",
        "token_ids": [5, 6],
        "sum_logp": -0.75,
        "num_tokens": 2,
        "finish_reason": "length",
        "sampler": "vllm",
        "model": "recorder",
        "model_revision": "1",
        "temperature": 0.8,
        "top_p": 1.0,
        "seed": 7,
    }
    assert {name: row[name] for name in expected} == expected


@pytest.mark.parametrize("changed", [{"temperature": 0.5}, {"seed": 1}, {"max_tokens": 9}])
def test_an_id_names_the_sampling_too(changed: dict[str, Any]) -> None:
    request = request_for(problem(), SCRIPTED)
    answers = [Answers("P", [Sample("x")])]
    (one,) = completion_rows([request], answers, Sampling(), Recorder())
    (other,) = completion_rows([request], answers, Sampling(**changed), Recorder())
    assert one["completion_id"] != other["completion_id"]

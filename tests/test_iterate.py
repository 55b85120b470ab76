"""`pairwright iterate` and what it stands on: rounds with a scripted sampler and a tiny model, and problem weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

import tiny_policy
from curation import manifest, store
from curation.errors import UserError
from curation.focus import Focus, focused, solve_rates
from flows import config, iterate, watching
from flows.config import Recipe
from literal_rows import execution, plant, problem
from tests.commands import run


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A tiny model whose tokens are code points, as the scripted sampler's are."""
    torch.set_num_threads(1)
    folder = tiny_policy.model_folder(
        tmp_path_factory.mktemp("tiny") / "model", vocab_size=300, max_position_embeddings=4096
    )
    letters = Tokenizer(models.WordLevel({chr(code): code for code in range(299)} | {"<end>": 299}, "?"))
    letters.pre_tokenizer = pre_tokenizers.Split(Regex("(?m:.)"), "isolated")
    letters.decoder = decoders.Fuse()
    PreTrainedTokenizerFast(tokenizer_object=letters, eos_token="<end>", pad_token="<end>").save_pretrained(folder)
    return folder


def recipe(model: Path, **sections: Any) -> Recipe:
    options = {"model": str(model), "device": "cpu", "dtype": "float32", "pairs_per_step": 4, "mode": "full"}
    given: dict[str, Any] = {
        "dataset": "rounds",
        "problems": {"limit": 6, "shard_size": 3},
        "generate": {"sampler": "scripted", "n": 4},
        "execute": {"workers": 1, "require_hardening": False},
        "training": options,
        "evaluation": {"benchmarks": ["builtin"], "limit": 2, "sampling": {"sampler": "scripted", "n": 2}},
        "rounds": {"count": 2, "min_gain": -1.0, "explore": 1.0},
    }
    return Recipe.model_validate(given | sections)


@pytest.fixture(scope="module")
def whole(model, tmp_path_factory) -> tuple[Path, iterate.Outcome]:
    """Two undisturbed rounds: the root and what they came to."""
    root = tmp_path_factory.mktemp("whole")
    return root, iterate.iterate(recipe(model), root)


def test_every_round_is_a_version_whose_parent_is_the_last_and_trains_on_the_last_policy(whole) -> None:
    root, told = whole
    assert [one.version for one in told.rounds] == [1, 2]
    sealed = [manifest.read_manifest(root / "rounds" / str(number)) for number in (1, 2)]
    assert [one["parent"] for one in sealed] == [None, 1]
    first, second = (Path(one.policy) for one in told.rounds)
    started = json.loads((second.parents[1] / "config.json").read_text())["config"]["model"]
    assert Path(started) == first, "the second round goes on from the first one's policy, which is its reference too"
    assert told.before.mean == told.rounds[0].score.mean == 0.5, "scripted answers: the first of two is right"
    assert json.loads((root / "rounds" / "rounds" / "1.json").read_text())["rounds"][1]["version"] == 2


def test_rounds_may_start_from_the_model_afresh(model, tmp_path) -> None:
    told = iterate.iterate(
        recipe(model, rounds={"count": 2, "min_gain": -1.0, "explore": 1.0, "start": "model"}), tmp_path
    )
    for one in told.rounds:
        assert json.loads((Path(one.policy).parents[1] / "config.json").read_text())["config"]["model"] == str(model)


def test_a_round_that_gains_nothing_is_the_last_and_the_model_is_kept(model, tmp_path) -> None:
    told = iterate.iterate(recipe(model, rounds={"count": 3, "explore": 1.0}), tmp_path)
    assert [one.number for one in told.rounds] == [1] and told.stopped and told.best is None
    assert iterate.summary(told) == "no round beats the model on builtin: keep the model"


@pytest.mark.parametrize("last", ["run programs", "train", "sample round 2 on builtin"])
def test_killed_in_any_stage_of_the_second_round_it_ends_as_if_undisturbed(model, whole, tmp_path, last: str) -> None:
    """The call dies in a stage of round 2; the same call again ends in the digests of an undisturbed one."""
    asked = recipe(model)
    seen: list[str] = []
    second = 1 if "round 2" in last else 2

    def dying(title: str, function: Any, *args: Any, progress: bool = True) -> Any:
        seen.append(title)
        if seen.count(last) == second:
            raise KeyboardInterrupt
        return function(*args)

    with pytest.raises(KeyboardInterrupt):
        iterate.iterate(asked, tmp_path, call=dying)
    ended = [iterate.iterate(asked, tmp_path), whole[1]]
    assert [one.score for one in ended[0].rounds] == [one.score for one in ended[1].rounds]
    digests = [
        [manifest.read_manifest(root / "rounds" / str(version))["digest"] for version in (1, 2)]
        for root in (tmp_path, whole[0])
    ]
    assert digests[0] == digests[1]
    weights = [[Path(one.policy, "model.safetensors").read_bytes() for one in told.rounds] for told in ended]
    assert weights[0] == weights[1]


def test_more_rounds_go_on_from_those_that_are_done(model, tmp_path) -> None:
    one = iterate.iterate(recipe(model, rounds={"count": 1, "min_gain": -1.0, "explore": 1.0}), tmp_path)
    titles: list[str] = []

    def noting(title: str, function: Any, *args: Any, progress: bool = True) -> Any:
        titles.append(title)
        return function(*args)

    two = iterate.iterate(recipe(model), tmp_path, call=noting)
    assert two.rounds[0] == one.rounds[0]
    assert titles.count("check and seal") == 1, "only the second round's version is made"


def test_what_cannot_be_iterated_is_one_line(model, tmp_path, capsys) -> None:
    with pytest.raises(UserError, match="make them the same"):
        iterate.check(Recipe.model_validate({"generate": {"model": "a/b"}, "training": {"model": "c/d"}}))
    with pytest.raises(UserError, match="which is vllm, found replay"):
        iterate.check(Recipe.model_validate({"generate": {"sampler": "replay", "path": "x.jsonl"}}))
    with pytest.raises(UserError, match=r"pass@10.* not measured with 2 samples a problem: expected pass@1 or tests"):
        iterate.check(recipe(model, rounds={"metric": "pass@10"}))
    assert run("iterate", "rounds", "--set", "rounds.metric=best", "--root", tmp_path) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "rounds.metric 'best'" in line
    assert run("iterate", "rounds", "--rounds", "0", "--root", tmp_path) == 2
    assert not list(tmp_path.iterdir())


def test_the_rounds_are_shown_as_a_table(whole, capsys) -> None:
    watching.show_rounds(whole[1], Console(width=120))
    out = capsys.readouterr().out
    assert "builtin, 2 held-out problems" in out and "0.500" in out and "+0.000" in out


RATES = {"always": [1, 1, 1, 1], "never": [0, 0, 0, 0], "half": [1, 1, 0, 0], "once": [1, 0, 0, 0]}


def sampled(folder: Path, rates: dict[str, list[int]], parent: int | None = None) -> Path:
    rows = [
        execution(f"{name}{index}", name, passed=passed)
        for name, verdicts in rates.items()
        for index, passed in enumerate(verdicts)
    ]
    plant(folder, problems=[problem(name) for name in rates], executions=rows)
    (folder / manifest.MANIFEST).write_text(json.dumps({"format": manifest.FORMAT, "parent": parent}))
    return folder


def test_problems_solved_sometimes_are_kept_and_others_as_explore_says(tmp_path) -> None:
    version = sampled(tmp_path / "1", RATES)
    rows = [problem(name) for name in (*RATES, "unseen")]

    def kept(explore: float, seed: int = 0) -> list[str]:
        return [row["problem_id"] for row in focused(rows, Focus(version=version, explore=explore, seed=seed))]

    assert kept(1.0) == [*RATES, "unseen"]
    counts = {name: sum(name in kept(0.0, seed) for seed in range(400)) for name in (*RATES, "unseen")}
    # 4 p (1 - p): 0, 0, 1 and 3/4; what was never sampled is always asked.
    assert (counts["always"], counts["never"], counts["half"], counts["unseen"]) == (0, 0, 400, 400)
    assert 270 <= counts["once"] <= 330
    quarter = sum("never" in kept(0.25, seed) for seed in range(400))
    assert 70 <= quarter <= 130
    with pytest.raises(UserError, match="raise explore"):
        focused([problem("never")], Focus(version=version, explore=0.0))


def test_the_newest_verdict_on_a_problem_counts_and_no_evidence_does_not(tmp_path) -> None:
    sampled(tmp_path / "1", {"a": [1, 1], "b": [0, 1]})
    newer = sampled(tmp_path / "2", {"a": [0, 0]}, parent=1)
    assert solve_rates(newer) == {"a": 0.0, "b": 0.5}
    refused = [execution("x", "c", passed=0, status="refused"), execution("y", "c")]
    plant(tmp_path / "3", problems=[problem("c")], executions=refused)
    (tmp_path / "3" / manifest.MANIFEST).write_text(json.dumps({"format": manifest.FORMAT, "parent": None}))
    assert solve_rates(tmp_path / "3") == {"c": 1.0}


def test_the_bundled_recipe_can_be_iterated() -> None:
    iterate.check(config.load("rounds"))


def test_versions_of_a_focus_are_told_apart_by_what_they_are_and_not_where_they_lie(model, tmp_path) -> None:
    from flows.stages import table_keys

    asked = recipe(model)
    version = tmp_path / "1"
    sampled(version, RATES)

    def key(digest: str, at: Path) -> str:
        (at / manifest.MANIFEST).write_text(json.dumps({"format": manifest.FORMAT, "parent": None, "digest": digest}))
        problems = asked.problems.model_copy(update={"focus": Focus(version=at)})
        return table_keys(asked.model_copy(update={"problems": problems}))["problems"]

    other = tmp_path / "other"
    sampled(other, RATES)
    assert key("d", version) == key("d", other) != key("e", version)
    assert store.shards(version, "problems")

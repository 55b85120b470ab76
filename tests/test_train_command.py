"""`pairwright train` and `credit` on a tiny random model: arms, stages, scores, resuming, one line per error."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM

import tiny_policy
from curation import store
from curation.schema import TOKEN_REWARDS
from flows import build, cli, config, training, watching
from flows.config import Recipe
from tests.commands import run
from tiny_policy import all_pairs, place, samples, sealed
from training import checkpoint
from training import train as training_run
from training.config import Training
from training.losses import FORMS
from training.merge import merged


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with the version demo@1 (12 pairs, 2 buckets), and a model beside it."""
    torch.set_num_threads(1)
    tiny_policy.model_folder(tmp_path / "model")
    tiny_policy.version(tmp_path)
    return tmp_path


def settings(root: Path, *more: str) -> list[str]:
    given = (f"training.model={root / 'model'}", "training.device=cpu", "training.dtype=float32", *more)
    return [
        part
        for setting in ("training.pairs_per_step=3", "training.learning_rate=0.01", *given)
        for part in ("--set", setting)
    ]


def test_training_ends_with_the_policy_and_the_command_that_evaluates_it(root: Path, capsys) -> None:
    assert run("train", "demo", "--root", root, *settings(root)) == 0
    out, err = capsys.readouterr()
    (policy,) = (line.split()[1] for line in out.splitlines() if line.strip().startswith("policy:"))
    assert Path(policy).is_dir() and (Path(policy) / "adapter_config.json").is_file()
    assert f"pairwright eval {policy} --benchmarks humaneval --root {root}" in out
    assert "12 pairs trained on" in out and "trained: 4 steps; first loss 0.693 margin 0.00 acc 0%" in out
    assert run("train", "demo@1", "--root", root, *settings(root)) == 0
    assert f"policy: {policy}" in capsys.readouterr().out


def test_a_killed_command_goes_on_to_the_same_weights(root: Path, monkeypatch, capsys) -> None:
    every = settings(root, "training.save_every=1")
    assert run("train", "demo", "--root", root, "--out", root / "whole", *every) == 0

    def stop(self: watching.TrainingBars, found: Any) -> None:
        if found["step"] == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(watching.TrainingBars, "see", stop)
        assert run("train", "demo", "--root", root, "--out", root / "killed", *every) == cli.STOPPED
    assert not (root / "killed" / "summary.json").exists()
    assert run("train", "demo", "--root", root, "--out", root / "killed", *every) == 0
    assert "going on from" in capsys.readouterr().err
    states = [
        checkpoint.found(root / name)[-1] / checkpoint.TRAINER / "state.safetensors" for name in ("whole", "killed")
    ]
    assert states[0].read_bytes() == states[1].read_bytes()


def recipe(root: Path, **sections: Any) -> Recipe:
    options = {"model": str(root / "model"), "device": "cpu", "dtype": "float32", "pairs_per_step": 3, "mode": "full"}
    scripted = {"benchmarks": ["builtin"], "limit": 2, "sampling": {"sampler": "scripted"}}
    given = {"training": options, "evaluation": scripted} | sections
    return Recipe.model_validate(given | {"evaluation": scripted | given["evaluation"]})


def test_the_shuffled_baseline_takes_as_many_steps_over_the_same_pairs(root: Path) -> None:
    done = training.train_policy(root / "demo" / "1", recipe(root, baseline="shuffled"), root, out=root / "run")
    assert list(done.checkpoints) == ["curriculum", "shuffled"] and done.policy == done.checkpoints["curriculum"]
    runs = {name: watching.steps_of(at) for name, at in done.checkpoints.items()}
    assert len(runs["curriculum"]) == len(runs["shuffled"]) == 4
    pairs = {}
    for name, at in done.checkpoints.items():
        rows = [json.loads(line) for line in (at.parents[1] / "samples.jsonl").read_text().splitlines()]
        pairs[name] = [row["pair_id"] for row in rows]
    assert sorted(pairs["curriculum"]) == sorted(pairs["shuffled"]) and pairs["curriculum"] != pairs["shuffled"]


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({}, []),
        ({"after": True}, ["trained"]),
        ({"before": True}, ["model", "trained"]),
        ({"before": True, "each_stage": True}, ["model", "trained, 0", "trained"]),
    ],
)
def test_evaluation_comes_where_the_recipe_asks_for_it(root: Path, asked: dict[str, bool], names: list[str]) -> None:
    done = training.train_policy(root / "demo" / "1", recipe(root, evaluation=asked), root)
    found = [Path(result.policy.name).name for result in done.results.get("builtin", [])]
    assert found == names
    if len(names) == 3:
        models = [result.policy.model for result in done.results["builtin"]]
        assert models[0] == str(root / "model") and "stage-0" in models[1] and "stage-1" in models[2]


def test_stages_of_the_flow_are_called_by_their_names(root: Path) -> None:
    titles = []

    def call(title: str, function: Any, *args: Any, progress: bool = True) -> Any:
        titles.append(title.replace(str(root), ""))
        return build.plain(title, function, *args, progress=progress)

    training.train_policy(root / "demo" / "1", recipe(root, evaluation={"after": True}), root, call=call)
    assert titles == ["train", "sample trained on builtin", "run trained on builtin"]


def no_pairs(root: Path) -> None:
    shutil.rmtree(root / "demo")
    sealed(root, samples(), [], [])


def long_pairs(root: Path) -> None:
    rows = samples(2)
    for row in rows[:3]:
        row["token_ids"] = row["token_ids"] * 40
    shutil.rmtree(root / "demo")
    sealed(root, rows, all_pairs(rows), place(all_pairs(rows)))


def empty_bucket(root: Path) -> None:
    rows = samples()
    places = place(all_pairs(rows))
    for row in places:
        row["bucket"] = row["bucket"] * 2
    shutil.rmtree(root / "demo")
    sealed(root, rows, all_pairs(rows), places)


def small_vocabulary(root: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(root / "model")
    model.resize_token_embeddings(60)
    model.save_pretrained(root / "model")


@pytest.mark.parametrize(
    ("spoil", "setting", "code", "said"),
    [
        (no_pairs, (), 1, "has no pair to train on in split 'train' (pruned 0"),
        (None, ("training.split=test",), 1, "has no pair to train on in split 'test'"),
        (small_vocabulary, (), 1, "the model has 60: train the model that sampled it"),
        (None, ("training.max_length=4",), 1, "too_long_dropped 12"),
        (None, ("training.learning_rat=1",), 2, "unknown key 'learning_rat', did you mean 'learning_rate'?"),
        (None, ("training.loss.nam=dpo",), 2, "unknown key 'loss.nam', did you mean 'name'?"),
        (None, ("training.loss.name=dppo",), 2, "loss.name: input should be 'dpo'"),
        (None, ("training.model=./gone",), 1, "cannot load the model './gone'"),
        (None, ("training.learning_rate=1e30", "training.mode=full"), 1, "the last good checkpoint is"),
    ],
)
def test_bad_input_is_one_line(root: Path, spoil: Any, setting: tuple[str, ...], code: int, said: str, capsys) -> None:
    if spoil:
        spoil(root)
    # The last setting of a key wins.
    assert run("train", "demo", "--root", root, *settings(root, *setting)) == code
    out, err = capsys.readouterr()
    errors = [line for line in err.splitlines() if line.startswith("pairwright: ")]
    assert len(errors) == 1 and err.splitlines()[-1] == errors[0] and said in errors[0]


def test_a_number_that_is_none_leaves_the_last_good_checkpoint(root: Path, monkeypatch, capsys) -> None:
    def broken(*arguments: Any, **options: Any) -> dict[str, float]:
        found = step(*arguments, **options)
        if arguments[1] == 2:
            raise training_run.TrainingError(
                training_run._not_a_number(arguments[0], 2, found | {"loss": float("nan")})
            )
        return found

    step = training_run._step
    monkeypatch.setattr(training_run, "_step", broken)
    assert run("train", "demo", "--root", root, "--out", root / "run", *settings(root)) == 1
    assert "has loss nan" in (said := capsys.readouterr().err) and "step-000002-stage-0" in said
    assert [at.name for at in checkpoint.found(root / "run")] == ["step-000002-stage-0"]


def test_a_pair_longer_than_the_context_is_left_out_or_cut_and_counted(root: Path, capsys) -> None:
    long_pairs(root)
    assert run("train", "demo", "--root", root, *settings(root)) == 0
    assert "left out, longer than the context" in capsys.readouterr().out
    assert run("train", "demo", "--root", root, *settings(root, "training.too_long=truncate")) == 0
    assert "completions cut to the context" in capsys.readouterr().out


def test_an_empty_bucket_is_named_and_left_out(root: Path, capsys) -> None:
    empty_bucket(root)
    assert run("train", "demo", "--root", root, *settings(root)) == 0
    out, err = capsys.readouterr()
    # The log is folded to the terminal's width.
    said = " ".join(err.split())
    assert "bucket 1 of" in said and "is empty: its stage is left out" in said and "12 pairs trained on" in out


def test_credit_tells_where_the_preference_sits_and_keeps_rewards_per_token(root: Path, capsys) -> None:
    trained = settings(root, "training.epochs=4", "training.loss.beta=0.5")
    for name, loss in (("one", "dpo"), ("two", "dpop")):
        more = ("--set", f"training.loss.name={loss}")
        assert run("train", "demo", "--root", root, "--out", root / name, *trained, *more) == 0
    policies = ["--policy", root / "one", "--policy", f"dpop={root / 'two'}"]
    capsys.readouterr()
    assert run("credit", "demo", "--root", root, *policies, "--json") == 0
    means = {(row["policy"], row["side"], row["part"]): row for row in json.loads(capsys.readouterr().out)}
    assert {policy for policy, _, _ in means} == {"reference", "one/step-000016-stage-1", "dpop"}
    gaps = {
        policy: means[policy, "chosen", "at"]["mean_logp"] - means[policy, "rejected", "at"]["mean_logp"]
        for policy in ("reference", "dpop")
    }
    assert gaps["dpop"] > gaps["reference"]
    assert run("credit", "demo", "--root", root, *policies) == 0
    out = capsys.readouterr().out
    assert "before, at and after" in out and "one/step-000016-stage-1" in out and "dpop" in out
    (folder,) = (root / "demo" / "credit").iterdir()
    assert str(folder / "means.json") in out
    rows = store.read(folder, "token_rewards").to_pylist()
    assert set(rows[0]) == set(TOKEN_REWARDS.schema.names) and {row["policy"] for row in rows} == {
        "dpop",
        "one/step-000016-stage-1",
    }
    # beta is the first run's: 0.5.
    for logp, start, reward in zip(rows[0]["logps"], rows[0]["ref_logps"], rows[0]["rewards"], strict=True):
        assert reward == pytest.approx(0.5 * (logp - start), abs=1e-5)


def test_credit_of_what_is_no_adapter_is_one_line(root: Path, capsys) -> None:
    assert run("credit", "demo", "--root", root, "--policy", root / "model") == 1
    assert "holds no adapter: credit compares adapters with the model" in capsys.readouterr().err
    one, two = root / "one", root / "two"
    for at, rank in ((one, 4), (two, 2)):
        wide = settings(root, f"training.lora.rank={rank}")
        assert run("train", "demo", "--root", root, "--out", at, *wide) == 0
    assert run("credit", "demo", "--root", root, "--policy", one, "--policy", two) == 1
    assert "adapters of other models or shapes" in capsys.readouterr().err


def test_an_adapter_is_merged_once_into_what_it_was_trained_to_be(root: Path, monkeypatch) -> None:
    done = training.train_policy(
        root / "demo" / "1",
        recipe(
            root, training={"model": str(root / "model"), "device": "cpu", "dtype": "float32", "learning_rate": 0.01}
        ),
        root,
    )
    folder = merged(str(root / "model"), done.policy)
    whole = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    base = AutoModelForCausalLM.from_pretrained(root / "model", dtype=torch.float32)
    from peft import PeftModel

    worn = PeftModel.from_pretrained(base, str(done.policy)).eval()
    ids = torch.arange(20)[None]
    with torch.no_grad():
        start = AutoModelForCausalLM.from_pretrained(root / "model", dtype=torch.float32)(ids).logits
        assert torch.allclose(whole(ids).logits, worn(ids).logits, atol=1e-4)
        assert not torch.allclose(whole(ids).logits, start, atol=1e-2)
    monkeypatch.setattr("training.merge._merge", lambda *_: pytest.fail("merged again"))
    assert merged(str(root / "model"), done.policy) == folder


def test_a_loss_that_never_was_in_the_recipe_is_said_before_anything_runs(root: Path, capsys) -> None:
    assert run("train", "demo", "--root", root, *settings(root, "training.loss.gamma=2")) == 2
    assert "the loss dpo does not use gamma" in capsys.readouterr().err
    assert not (root / "demo" / "policies").exists()


PAGE = (Path(__file__).parents[1] / "docs" / "training.md").read_text()


@pytest.mark.parametrize("line", re.findall(r"^\$ pairwright (.*)$", PAGE, re.MULTILINE))
def test_every_command_of_the_page_is_understood(line: str) -> None:
    _, bound, _ = cli.app.parse_args(shlex.split(line), exit_on_error=False, print_error=False)
    assert bound.arguments is not None


def test_the_page_s_recipe_is_valid_and_names_every_setting_and_loss() -> None:
    text = PAGE.split("```yaml\n")[1].split("```")[0]
    parsed = config.parse(yaml.safe_load(text), "the page")
    assert training.training_of(parsed).loss.name == "dpop" and parsed.evaluation.each_stage
    rest = PAGE.replace("\n", " ")
    settings_and_losses = [*Training.model_fields, *FORMS]
    assert [name for name in settings_and_losses if f"`{name}`" not in rest and f"\n  {name}:" not in text] == []

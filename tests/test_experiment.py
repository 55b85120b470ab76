"""The experiment at tiny size: every arm under every seed, kept when killed, told as a table and plots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch

import tiny_policy
from analysis import charts
from curation.errors import UserError
from flows import config, experiment, findings
from flows.config import ConfigError, Recipe
from training.train import TrainingError

SVG = "{http://www.w3.org/2000/svg}"
ARMS: dict[str, Any] = {
    "base": None,
    "sft": {"loss": {"name": "sft"}},
    "dpo shuffled": {"order": "shuffled"},
    "dpo": {},
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root whose version is there already, and a model beside it."""
    torch.set_num_threads(1)
    tiny_policy.model_folder(tmp_path / "model")
    version = tiny_policy.version(tmp_path)
    monkeypatch.setattr(experiment, "build", lambda *_: (version, False))
    return tmp_path


def recipe(root: Path, arms: dict[str, Any] = ARMS, **options: Any) -> Recipe:
    trained = {"model": str(root / "model"), "mode": "full", "device": "cpu", "dtype": "float32", "pairs_per_step": 3}
    return Recipe.model_validate(
        {
            "training": trained,
            "evaluation": {"benchmarks": ["builtin"], "limit": 3, "sampling": {"sampler": "scripted"}},
            "experiment": {"arms": arms, "seeds": [0, 1], "compare": [["dpo shuffled", "dpo"]]} | options,
        }
    )


def test_every_arm_runs_under_every_seed_and_is_compared(root: Path) -> None:
    folder, runs = experiment.run_experiment(recipe(root), root)
    assert sorted((run.arm, run.seed) for run in runs) == sorted((arm, seed) for arm in ARMS for seed in (0, 1))
    assert folder.parent == root / "demo" / "experiments"
    trained = sorted(str(file.parent.relative_to(folder)) for file in folder.rglob("summary.json"))
    assert trained == sorted(f"{arm}/seed-{seed}" for arm in ("sft", "dpo", "dpo-shuffled") for seed in (0, 1))
    found = json.loads((folder / "results.json").read_text())
    scores = found["benchmarks"]["builtin"]
    by = {(row["arm"], row["metric"]): row for row in scores["scores"]}
    # The script is right in two of five answers whoever is asked, so nobody differs.
    assert by["dpo", "pass@1"]["mean"] == pytest.approx(0.4)
    assert by["dpo", "pass@1"]["seeds"] == pytest.approx([0.4, 0.4])
    assert by["base", "pass@10"]["problems"] == 3
    compared = [(row["base"], row["other"]) for row in scores["comparisons"] if row["metric"] == "pass@1"]
    assert compared == [("base", "sft"), ("base", "dpo shuffled"), ("base", "dpo"), ("dpo shuffled", "dpo")]
    assert {row["mean"] for row in scores["comparisons"]} == {0}
    assert scores["answers"]["sft"]["samples"] == 2 * 3 * 10
    # Four steps of three pairs; likelihood has no margin.
    assert found["training"]["base"] == {} and set(found["training"]["sft"]) == {"loss"}
    assert len(found["training"]["dpo"]["rewards/margins"]) == len(found["training"]["dpo shuffled"]["loss"]) == 4


def test_seeds_differ_in_the_shuffled_order_and_arms_in_their_loss(root: Path) -> None:
    _, runs = experiment.run_experiment(recipe(root), root)
    losses = {(run.arm, run.seed): tuple(step["loss"] for step in run.steps) for run in runs}
    assert losses["dpo shuffled", 0] != losses["dpo shuffled", 1]
    # Every weight is trained, so nothing of the curriculum's run is drawn.
    assert losses["dpo", 0] == losses["dpo", 1] != losses["dpo shuffled", 0]


def test_a_killed_experiment_keeps_the_arms_that_were_finished(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = experiment.run_experiment(recipe(root), root)
    before = (whole / "results.json").read_text()
    for file in sorted(whole.rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    steps: list[int] = []

    def stop_at_the_tenth(found: Any) -> None:
        steps.append(found["step"])
        if len(steps) == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        experiment.run_experiment(recipe(root), root, on_step=stop_at_the_tenth)
    assert not (whole / "results.json").exists()
    again: list[int] = []
    experiment.run_experiment(recipe(root), root, on_step=lambda found: again.append(found["step"]))
    assert (whole / "results.json").read_text() == before
    once = [line for file in whole.rglob("metrics.jsonl") for line in file.read_text().splitlines()]
    # What is made twice is at most the stage that was interrupted.
    assert len(once) <= len(steps) + len(again) <= len(once) + 2


def test_another_seed_adds_to_what_has_been_trained(root: Path) -> None:
    two, _ = experiment.run_experiment(recipe(root, seeds=[0]), root)
    steps: list[Any] = []
    three, runs = experiment.run_experiment(recipe(root, seeds=[0, 7]), root, on_step=steps.append)
    assert two == three and {run.seed for run in runs} == {0, 7}
    # The likelihood arm sees every chosen side once, in two steps; the others see twelve pairs in four.
    assert len(steps) == sum(len(run.steps) for run in runs if run.seed == 7) == 2 + 4 + 4


def test_a_recipe_without_arms_says_what_one_has(root: Path) -> None:
    with pytest.raises(UserError, match="the recipe has no arms: give its section experiment"):
        experiment.run_experiment(recipe(root, {}, compare=[]), root)


def test_a_wrong_option_of_an_arm_is_said_before_anything_runs(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "build", lambda *_: pytest.fail("something ran"))
    wrong = {"base": None, "dpo": {"learning_rte": 1.0}}
    with pytest.raises(ConfigError, match="arm 'dpo' is not valid: unknown key 'learning_rte', did you mean 'learning"):
        experiment.run_experiment(recipe(root, wrong, compare=[]), root)
    with pytest.raises(ValueError, match="compare names dpo shuffled, the arms are base"):
        recipe(root, wrong)


def test_an_arm_that_cannot_be_trained_stops_the_experiment_with_its_reason(root: Path) -> None:
    options = {"base": None, "dpo": {"learning_rate": 1e30, "clip_norm": 1e30}}
    with pytest.raises(TrainingError, match="the weights are untouched, the last good checkpoint is"):
        experiment.run_experiment(recipe(root, options, compare=[]), root)


def test_the_recipe_that_comes_along_has_valid_arms() -> None:
    planned = experiment.plan(config.load("curriculum-vs-shuffled"))
    assert [name for name, arm in planned.items() if arm is None] == ["base"]
    described = {name: (arm.loss.name, arm.order) for name, arm in planned.items() if arm}
    assert described == {
        "sft": ("sft", "curriculum"),
        "dpo shuffled": ("dpo", "shuffled"),
        "dpo curriculum": ("dpo", "curriculum"),
        "dpop curriculum": ("dpop", "curriculum"),
    }


def test_findings_are_a_table_and_plots(root: Path) -> None:
    folder, runs = experiment.run_experiment(recipe(root), root)
    found = experiment.results(recipe(root), runs)
    written = findings.write(folder, found)
    assert {file.name for file in written} == {
        "table.md",
        "builtin-pass-1.svg",
        "builtin-pass-10.svg",
        "builtin-tests-passed.svg",
        "training-rewards-margins.svg",
        "training-log-ratios-chosen.svg",
    }
    text = (folder / "table.md").read_text()
    assert "**builtin**: 3 problems, seeds 0, 1" in text
    assert "| dpo | 0.400 [0.400, 0.400] (0.400, 0.400) |" in text
    assert "| dpo shuffled → dpo | pass@1 | +0.000 | [+0.000, +0.000] | 1.000 |" in text
    widths = {line.count("|") for line in text.split("Differences")[0].splitlines() if line.startswith("|")}
    assert widths == {7}


def test_the_means_of_the_seeds_stand_behind_their_arm_s() -> None:
    rows = [{"arm": "a", "mean": 0.5, "low": 0.25, "high": 0.75}, {"arm": "b", "mean": 0.25, "low": 0.0, "high": 0.5}]
    each = [{"arm": "a", "mean": 0.4}, {"arm": "a", "mean": 0.6}]
    marks = [
        [mark for mark in ElementTree.fromstring(charts.svg(spec)).iter(f"{SVG}path") if "point" in str(mark.attrib)]
        for spec in (charts.intervals(rows, "arm", "arm", "t"), charts.intervals(rows, "arm", "arm", "t", each=each))
    ]
    assert len(marks[1]) - len(marks[0]) == 2

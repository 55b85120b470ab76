"""`pairwright train`: a policy trained on a sealed version stage by stage, evaluated where the recipe asks for it.

    before     the model, on the recipe's benchmarks
    train      the version's curriculum, front to back; with `baseline: shuffled` the same steps out of order as well
    after      every policy, and with `each_stage` the checkpoint at the end of each stage

Stages are evaluated when training is over and not in between: their checkpoints are kept, the scores are the same, and
on a GPU the sampler and the trainer need not share its memory.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curation.embedded import embedded_model
from curation.vllm_sampler import EMBEDDED
from flows.calling import Call, plain
from flows.config import Recipe, validated
from flows.evaluating import Policy, Result, evaluate
from training import guards
from training.config import Training
from training.train import SUMMARY, train

log = logging.getLogger(__name__)
OnStep = Callable[[Mapping[str, float]], None]


@dataclass(frozen=True)
class Arm:
    """One training run: what it is called, how it trains, and where it goes; None is beside the version."""

    name: str
    config: Training
    folder: Path | None


@dataclass
class Trained:
    """What `train_policy` leaves: the last checkpoint of every arm, the first being what was asked for."""

    checkpoints: dict[str, Path]
    counts: dict[str, int]
    warnings: list[str]
    results: dict[str, list[Result]] = field(default_factory=dict)

    @property
    def policy(self) -> Path:
        """The checkpoint of the run that was asked for."""
        return next(iter(self.checkpoints.values()))


def training_of(recipe: Recipe) -> Training:
    """The recipe's section `training`, checked, with the embedded model's folder in place of its name.

    Raises:
        ConfigError: a key or a value is wrong.
        MissingError: the embedded model is not installed.
    """
    config = validated(Training, recipe.training, "training is not as it must be")
    return resolved(config)


def resolved(config: Training) -> Training:
    """The configuration with a model that transformers can load."""
    return config if config.model != EMBEDDED else config.model_copy(update={"model": str(embedded_model())})


def arms(recipe: Recipe, out: Path | None) -> list[Arm]:
    """The runs a recipe asks for: its own, and the shuffled one beside it."""
    config = training_of(recipe)
    if recipe.baseline == "none" or config.order == "shuffled":
        return [Arm("trained", config, out)]
    shuffled = config.model_copy(update={"order": "shuffled"})
    beside = None if out is None else out.with_name(f"{out.name}-shuffled")
    return [Arm("curriculum", config, out), Arm("shuffled", shuffled, beside)]


def train_policy(
    version: Path,
    recipe: Recipe,
    root: Path,
    *,
    out: Path | None = None,
    call: Call = plain,
    on_step: OnStep | None = None,
) -> Trained:
    """Train what the recipe's `training` says on a sealed version; a killed run goes on, a finished one returns.

    Raises:
        UserError: bad input, or a loss that is no number; the last good checkpoint is kept and named.
    """
    planned = arms(recipe, out)
    asked = recipe.evaluation
    if asked.before and _leads():
        evaluate([_base(recipe)], asked, root, call)
    checkpoints, counts, warnings = {}, {}, []
    for arm in planned:

        def run(arm: Arm = arm, on_progress: Callable[[int, int], None] = _nobody) -> Path:
            return train(version, arm.config, output=arm.folder, on_progress=on_progress, on_step=on_step)

        checkpoints[arm.name] = call(f"train {arm.name}" if len(planned) > 1 else "train", run)
        summary = summary_of(checkpoints[arm.name])
        counts = summary["counts"]
        warnings += [line for line in summary["warnings"] if line not in warnings]
    trained = Trained(checkpoints, counts, warnings)
    if _leads() and (asked.before or asked.after or asked.each_stage):
        trained.results = evaluate(_policies(recipe, planned, checkpoints), asked, root, call)
        warnings += _longer(trained.results)
    return trained


def policy_of(trained: Trained, recipe: Recipe, name: str) -> Policy:
    """The policy that was asked for, to evaluate or to sample with."""
    return _policy(name, _base(recipe), trained.policy, arms(recipe, None)[0])


def summary_of(checkpoint: Path) -> dict[str, Any]:
    """The summary of the run that a checkpoint ended."""
    summary: dict[str, Any] = json.loads((checkpoint.parents[1] / SUMMARY).read_text())
    return summary


def _nobody(done: int, total: int) -> None:
    """Nobody watches."""


def _leads() -> bool:
    """Whether this is the process that samples, of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def _base(recipe: Recipe) -> Policy:
    model = str(recipe.training.get("model", EMBEDDED))
    return Policy(model, model)


def _policies(recipe: Recipe, planned: list[Arm], checkpoints: Mapping[str, Path]) -> list[Policy]:
    """What is evaluated at the end, in the order of the table: the model, the stages' ends, the policies."""
    asked, base = recipe.evaluation, _base(recipe)
    found = [base] if asked.before else []
    for arm in planned:
        last = checkpoints[arm.name]
        if asked.each_stage:
            run = last.parents[1]
            ends = [run / stage for stage in summary_of(last)["stages"] if run / stage != last]
            found += [_policy(f"{arm.name}, {end.name.partition('-stage-')[2]}", base, end, arm) for end in ends]
        if asked.after or asked.before or asked.each_stage:
            found.append(_policy(arm.name, base, last, arm))
    return found


def _policy(name: str, base: Policy, checkpoint: Path, arm: Arm) -> Policy:
    if arm.config.mode == "full":
        return Policy(name, str(checkpoint))
    return Policy(name, base.model, checkpoint)


def _longer(results: Mapping[str, list[Result]]) -> list[str]:
    """A line for every policy whose samples have grown longer than the model's, which comes first."""
    lines = []
    for members in results.values():
        before, *later = [[r["mean_tokens"] for r in m.rows if r["mean_tokens"] is not None] for m in members]
        for member, after in zip(members[1:], later, strict=True):
            line = guards.length_growth(before, after) if before and after else None
            if line is not None:
                lines.append(f"{member.policy.name}: {line}")
                log.warning("%s", lines[-1])
    return lines

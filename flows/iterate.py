"""`pairwright iterate`: rounds of on-policy preference training, each with the newest policy.

    round 1    the recipe's model samples; a version is sealed; a policy is trained on it and evaluated
    round 2    that policy samples, mostly problems solved sometimes; the next version, whose parent is the first; ...

A round that gains nothing on the held-out problems is the last. Every step of a round is found again by what it
follows from (tables by their keys, a training run and an evaluation by theirs), so the same command goes on in the
middle of any round and, when all is done, does nothing but tell.

    <root>/<dataset>/<version>/                one a round
    <root>/<dataset>/rounds/<first version>.json    what every round came to, written after each

On-policy rounds: Xu et al. 2023 (Some things are more CRINGE than others, arXiv 2312.16682), Yuan et al. 2024
(Self-Rewarding Language Models, arXiv 2401.10020); with verifiable rewards Pang et al. 2024 (arXiv 2404.19733).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analysis.evaluation import Difference, Estimate, compare, estimate
from curation import store
from curation.focus import Focus
from curation.sampling import USES
from curation.vllm_sampler import EMBEDDED
from flows.build import build
from flows.calling import Call, plain
from flows.config import ConfigError, Recipe
from flows.evaluating import Policy, Result, evaluate, loaded
from flows.training import OnStep, policy_of, train_policy

FOLDER = "rounds"


@dataclass(frozen=True)
class Round:
    """One round: its version, the policy trained on it, and how that fares on the first benchmark."""

    number: int
    version: int
    problems: int
    pairs: int
    solved: float
    """Share of the samples it was made of that pass."""
    policy: str
    score: Estimate
    gain: Difference
    """Over the policy of the round before, or the model."""


@dataclass(frozen=True)
class Outcome:
    """All of them, and what they started from."""

    benchmark: str
    before: Estimate
    rounds: list[Round]
    stopped: bool
    """Whether the last one gained too little to go on."""

    @property
    def best(self) -> Round | None:
        """The round with the highest score, the earlier of equals; None where the model itself scores as high."""
        found = max(self.rounds, key=lambda one: one.score.mean)
        return found if found.score.mean > self.before.mean else None


def iterate(recipe: Recipe, root: Path, *, call: Call = plain, on_step: OnStep | None = None) -> Outcome:
    """Every round of a recipe; goes on where an earlier call was killed.

    Raises:
        UserError: the recipe cannot be iterated, or a stage fails.
    """
    check(recipe)
    started = policy = _model(recipe)
    benchmark, before = _evaluated(started, recipe, root, call)
    last, done = before, list[Round]()
    version: Path | None = None
    for number in range(1, recipe.rounds.count + 1):
        current = recipe_of(recipe, policy, version)
        version, _ = build(current, root, call, parent=None if version is None else int(version.name))
        policy = policy_of(train_policy(version, current, root, call=call, on_step=on_step), current, f"round {number}")
        _, result = _evaluated(policy, recipe, root, call)
        done.append(_round(number, version, policy, recipe.rounds.metric, last, result))
        stopped = done[-1].gain.mean <= recipe.rounds.min_gain
        told = Outcome(benchmark, _estimate(before, recipe.rounds.metric), done, stopped)
        _write(root / recipe.dataset / FOLDER / f"{done[0].version}.json", told)
        if stopped:
            break
        last = result
    return told


def check(recipe: Recipe) -> None:
    """Refuse what cannot be iterated before anything is sampled.

    Raises:
        ConfigError: nobody samples, the policy could not be the one who does, or the metric is none.
    """
    sampler = recipe.generate.sampler
    if sampler == "vllm" and recipe.generate.model not in (None, recipe.training.get("model", EMBEDDED)):
        raise ConfigError(
            f"rounds sample with the policy they train: generate.model is {recipe.generate.model}, training.model is "
            f"{recipe.training.get('model', EMBEDDED)}; make them the same"
        )
    if sampler not in ("vllm", "scripted"):
        raise ConfigError(f"rounds need a sampler that takes the new policy, which is vllm, found {sampler}")
    sampled = recipe.evaluation.sampling.n
    known = [f"pass@{k}" for k in (1, 10, 100) if k <= sampled] + ["tests passed"]
    if recipe.rounds.metric not in known:
        raise ConfigError(
            f"rounds.metric {recipe.rounds.metric!r} is not measured with {sampled} samples a problem: "
            f"expected {' or '.join(known)}"
        )


def recipe_of(recipe: Recipe, policy: Policy, last: Path | None) -> Recipe:
    """The recipe of one round: the newest policy samples and is trained on, on problems chosen by the last version."""
    if last is None:
        return _training_only(recipe)
    model = loaded(policy)
    changes: dict[str, Any] = {
        "problems": recipe.problems.model_copy(update={"focus": Focus(version=last, explore=recipe.rounds.explore)})
    }
    if "model" in USES[recipe.generate.sampler]:
        changes["generate"] = recipe.generate.model_copy(update={"model": model})
    if recipe.rounds.start == "policy":
        changes["training"] = recipe.training | {"model": model}
    return _training_only(recipe.model_copy(update=changes))


def _training_only(recipe: Recipe) -> Recipe:
    """The recipe with no evaluation while it trains, and no baseline: rounds evaluate by themselves."""
    quiet = recipe.evaluation.model_copy(update={"before": False, "after": False, "each_stage": False})
    return recipe.model_copy(update={"evaluation": quiet, "baseline": "none"})


def _model(recipe: Recipe) -> Policy:
    model = str(recipe.training.get("model", EMBEDDED))
    return Policy(model, model)


def _evaluated(policy: Policy, recipe: Recipe, root: Path, call: Call) -> tuple[str, Result]:
    """The first benchmark and the policy's results on it; all the others are evaluated too."""
    found = evaluate([policy], recipe.evaluation, root, call)
    benchmark = next(iter(found))
    return benchmark, found[benchmark][0]


def _round(number: int, version: Path, policy: Policy, metric: str, last: Result, result: Result) -> Round:
    statuses = store.read(version, "executions", columns=["status"])["status"].to_pylist()
    placed = store.read(version, "curriculum", columns=["position"])["position"]
    return Round(
        number=number,
        version=int(version.name),
        problems=sum(store.num_rows(version, "problems", shard) for shard in store.shards(version, "problems")),
        pairs=len(placed) - placed.null_count,
        solved=statuses.count("passed") / max(1, len(statuses)),
        policy=str(policy.adapter or policy.model),
        score=_estimate(result, metric),
        gain=compare(metric, last.metrics()[metric], result.metrics()[metric]),
    )


def _estimate(result: Result, metric: str) -> Estimate:
    return estimate(metric, result.metrics()[metric])


def _write(file: Path, told: Outcome) -> None:
    with store.replacing(file) as partial:
        partial.write_text(json.dumps(asdict(told), indent=2) + "\n")


def table(told: Outcome) -> list[tuple[str, ...]]:
    """A line for each round as texts, under a header: the version it sealed, what it was made of, score and gain."""
    lines: list[tuple[str, ...]] = [
        ("round", "problems", "pairs", "solved", told.before.metric, "gain"),
        ("model", "", "", "", _said(told.before), ""),
    ]
    for one in told.rounds:
        made = (f"{one.number} (@{one.version})", str(one.problems), str(one.pairs), f"{one.solved:.1%}")
        lines.append((*made, _said(one.score), _said(one.gain, "+")))
    return lines


def _said(found: Estimate | Difference, sign: str = "") -> str:
    return f"{found.mean:{sign}.3f} [{found.low:{sign}.3f}, {found.high:{sign}.3f}]"


def summary(told: Outcome) -> str:
    """What came of it, in one line."""
    best = told.best
    if best is None:
        return f"no round beats the model on {told.benchmark}: keep the model"
    ended = "the last round gained too little, so it ended" if told.stopped else "all rounds were run"
    return f"best is round {best.number} on {told.benchmark} ({ended}): {best.policy}"

"""`pairwright experiment`: arms trained on one version under several seeds, put to held-out problems, and compared.

    <root>/<dataset>/experiments/<version>-<key>/<arm>/seed-<n>/     one training run; its summary.json ends it
    <root>/<dataset>/experiments/<version>-<key>/results.json        every arm, seed and problem
    <root>/<dataset>/experiments/<version>-<key>/table.md, *.svg     what people read

All arms see the same pairs, sampled from the model itself. The seed decides the adapters' start, the shuffled order
and the samples drawn at the end. Whatever is finished is kept, so the same command goes on after a crash.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from analysis.evaluation import compare, estimate, over_seeds
from curation import manifest, store
from curation.errors import UserError
from curation.schema import identify
from curation.vllm_sampler import EMBEDDED
from flows.build import build
from flows.calling import Call, plain
from flows.config import Recipe, validated
from flows.evaluating import Policy, Result, evaluate
from flows.training import OnStep, resolved
from training.config import Training
from training.merge import FOLDER as MERGED
from training.train import train


@dataclass(frozen=True)
class Run:
    """One arm under one seed: its policy's results by benchmark, and the metrics of its steps (none for the model)."""

    arm: str
    seed: int
    results: dict[str, Result]
    steps: list[dict[str, Any]]


def run_experiment(
    recipe: Recipe, root: Path, *, call: Call = plain, on_step: OnStep | None = None
) -> tuple[Path, list[Run]]:
    """The experiment's folder and its runs; builds the version first if there is none of this recipe.

    Raises:
        UserError: the recipe has no arms, an arm's options are wrong, or a stage fails.
    """
    planned = plan(recipe)
    version, _ = build(recipe, root, call)
    digest = manifest.read_manifest(version)["digest"]
    settings = [{name: config and config.model_dump(mode="json") for name, config in planned.items()}]
    # Neither seeds nor benchmarks: more of them add to what has been trained.
    key = identify(digest, settings)
    folder = version.parent / "experiments" / f"{version.name}-{key[:12]}"
    runs = [
        run_arm(arm, config, seed, version, recipe, root, folder, call, on_step)
        for seed in recipe.experiment.seeds
        for arm, config in planned.items()
    ]
    with store.replacing(folder / "results.json") as partial:
        partial.write_text(json.dumps(results(recipe, runs), indent=2) + "\n")
    return folder, runs


def plan(recipe: Recipe) -> dict[str, Training | None]:
    """The training of every arm, None for the model as it is; checked before anything is sampled.

    Raises:
        UserError: the recipe names no arms.
        ConfigError: an arm's options are wrong.
    """
    if not recipe.experiment.arms:
        raise UserError(
            "the recipe has no arms: give its section experiment, as curriculum-vs-shuffled does, "
            "with arms: {base: null, dpo: {loss: {name: dpo}}}"
        )
    return {
        arm: None if changes is None else validated(Training, recipe.training | changes, f"arm {arm!r} is not valid")
        for arm, changes in recipe.experiment.arms.items()
    }


def run_arm(
    arm: str,
    config: Training | None,
    seed: int,
    version: Path,
    recipe: Recipe,
    root: Path,
    folder: Path,
    call: Call = plain,
    on_step: OnStep | None = None,
) -> Run:
    """Train one arm with one seed and put it to the benchmarks."""
    name = f"{arm}, seed {seed}"
    model = config.model if config else str(recipe.training.get("model", EMBEDDED))
    policy, steps = Policy(name, model), []
    if config is not None:
        seeded = resolved(config).model_copy(update={"seed": seed})
        at = folder / arm.replace(" ", "-") / f"seed-{seed}"

        def learn(on_progress: Any) -> Path:
            return train(version, seeded, output=at, on_progress=on_progress, on_step=on_step)

        checkpoint = call(f"train {name}", learn)
        steps = [json.loads(line) for line in (at / "metrics.jsonl").read_text().splitlines()]
        policy = Policy(name, model, checkpoint) if config.mode == "lora" else Policy(name, str(checkpoint))
    sampling = recipe.evaluation.sampling.model_copy(update={"seed": seed})
    asked = recipe.evaluation.model_copy(update={"sampling": sampling})
    found = {benchmark: members[0] for benchmark, members in evaluate([policy], asked, root, call).items()}
    if policy.adapter is not None:
        # Five times the adapter's size, and made again in seconds.
        shutil.rmtree(policy.adapter / MERGED, ignore_errors=True)
    return Run(arm, seed, found, steps)


def results(recipe: Recipe, runs: Sequence[Run]) -> dict[str, Any]:
    """Everything the table and the plots say, as JSON: estimates, comparisons, and every problem of every run."""
    arms = list(recipe.experiment.arms)
    pairs = [(arms[0], arm) for arm in arms[1:]] + list(recipe.experiment.compare)
    found: dict[str, Any] = {"arms": arms, "seeds": list(recipe.experiment.seeds), "benchmarks": {}}
    for benchmark in runs[0].results:
        values = {arm: _per_metric([run for run in runs if run.arm == arm], benchmark) for arm in arms}
        metrics = list(values[arms[0]])
        found["benchmarks"][benchmark] = {
            "scores": [_score(arm, metric, values[arm][metric]) for arm in arms for metric in metrics],
            "comparisons": [
                {"base": base, "other": other}
                | asdict(compare(metric, over_seeds(values[base][metric]), over_seeds(values[other][metric])))
                for base, other in pairs
                for metric in metrics
            ],
            "answers": {arm: _answers([run for run in runs if run.arm == arm], benchmark) for arm in arms},
        }
    found["training"] = {arm: _curves([run.steps for run in runs if run.arm == arm]) for arm in arms}
    return found


def _per_metric(runs: Sequence[Run], benchmark: str) -> dict[str, list[dict[str, float]]]:
    """metric -> a mapping of problem to value for each seed."""
    each = [run.results[benchmark].metrics() for run in runs]
    return {metric: [one[metric] for one in each] for metric in each[0]}


def _score(arm: str, metric: str, seeds: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """The estimate over problems of the mean over seeds, and each seed's own mean."""
    return {"arm": arm, "seeds": [fmean(one.values()) for one in seeds]} | asdict(estimate(metric, over_seeds(seeds)))


def _answers(runs: Sequence[Run], benchmark: str) -> dict[str, Any]:
    rows = [row for run in runs for row in run.results[benchmark].rows]
    lengths = [row["mean_tokens"] for row in rows if row["mean_tokens"] is not None]
    return {
        "samples": sum(row["num_samples"] for row in rows),
        "no_evidence": sum(row["num_no_evidence"] for row in rows),
        "cut": sum(row["num_cut"] for row in rows),
        "mean_tokens": fmean(lengths) if lengths else None,
    }


CURVES = ("loss", "rewards/margins", "rewards/accuracies", "log_ratios/chosen")


def _curves(seeds: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, list[float]]:
    """Metric -> its mean over the seeds at every step; nothing where nothing was trained."""
    if not seeds or not seeds[0]:
        return {}
    return {
        name: [fmean(step[name] for step in steps) for steps in zip(*seeds, strict=True)]
        for name in CURVES
        if name in seeds[0][0]
    }

"""The flows as Prefect sees them. Importing this imports Prefect, which takes seconds; nothing else here does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from curation.storage import Root
from flows.build import Call, build
from flows.config import Evaluation, Recipe
from flows.evaluating import Result
from flows.terminal import Bars


def tasks(bars: Bars) -> Call:
    """Calls every stage as a task of the flow that is running, under a bar."""

    def call(title: str, function: Callable[..., Any], *args: Any, progress: bool = True) -> Any:
        def run(*args: Any) -> Any:
            return bars(title, function, *args, progress=progress)

        # NO_CACHE: finished shards are skipped by what lies on the disk, which a cache of results does not look at.
        return task(name=title, task_run_name=title, cache_policy=NO_CACHE)(run)(*args)

    return call


@flow(
    name="build-dataset",
    flow_run_name="{recipe.dataset} · n={recipe.generate.n}",
    description="Sample a model, run the programs, pair the outcomes, order the pairs and seal a dataset version.",
)
def build_dataset(recipe: Recipe = Recipe(), root: Root = Path("data")) -> tuple[Path, bool]:  # noqa: B008
    """The sealed version of a recipe and whether it was made now; finished shards of an earlier run are kept.

    Args:
        recipe: What to build.
        root: Folder that holds the datasets.
    """
    with Bars() as bars:
        return build(recipe, root, tasks(bars))


@flow(
    name="train-policy",
    flow_run_name="{version.parent.name}@{version.name}",
    description="Train a policy on a sealed version's curriculum, and evaluate it where the recipe asks for it.",
)
def train_policy(
    version: Path,
    recipe: Recipe = Recipe(),  # noqa: B008
    root: Path = Path("data"),
    out: Path | None = None,
) -> Any:
    """What training left, a `flows.training.Trained`; a killed run goes on from its newest checkpoint.

    Args:
        version: Folder of the sealed version.
        recipe: Its sections training, baseline and evaluation say how.
        root: Folder that holds the datasets and evaluations.
        out: Folder of the run; beside the versions when left out.
    """
    from flows import training, watching

    with watching.TrainingBars() as bars:
        return training.train_policy(version, recipe, root, out=out, call=tasks(bars), on_step=bars.see)


@flow(
    name="evaluate-policy",
    flow_run_name="{models}",
    description="Sample policies on benchmarks, run the programs, score every problem.",
)
def evaluate_policy(
    models: list[str],
    evaluation: Evaluation = Evaluation(),  # noqa: B008
    root: Path = Path("data"),
) -> dict[str, list[Result]]:
    """Every policy on every benchmark: benchmark -> results in the policies' order.

    Args:
        models: MODEL, MODEL+ADAPTER, or folders of adapters or training runs.
        evaluation: Which benchmarks, and how completions are sampled.
        root: Folder that holds the evaluations.
    """
    from flows import evaluating

    with Bars() as bars:
        return evaluating.evaluate([evaluating.parse_policy(one) for one in models], evaluation, root, tasks(bars))

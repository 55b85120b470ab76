"""The flows as Prefect sees them. Importing this imports Prefect, which takes seconds; nothing else here does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.build import build
from flows.config import Recipe
from flows.terminal import Bars


@flow(
    name="build-dataset",
    flow_run_name="{recipe.dataset} · n={recipe.generate.n}",
    description="Sample a model, run the programs, pair the outcomes, order the pairs and seal a dataset version.",
)
def build_dataset(recipe: Recipe = Recipe(), root: Path = Path("data")) -> tuple[Path, bool]:  # noqa: B008
    """The sealed version of a recipe and whether it was made now; finished shards of an earlier run are kept.

    Args:
        recipe: What to build.
        root: Folder that holds the datasets.
    """
    with Bars() as bars:

        def call(title: str, function: Callable[..., Any], *args: Any, progress: bool = True) -> Any:
            def run(*args: Any) -> Any:
                return bars(title, function, *args, progress=progress)

            # NO_CACHE: finished shards are skipped by what lies on the disk, which a cache of results does not look at.
            return task(name=title, task_run_name=title, cache_policy=NO_CACHE)(run)(*args)

        return build(recipe, root, call)

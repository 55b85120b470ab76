"""Build a dataset version: the stages in order, the checks, the seal.

The same list of stage calls runs with and without Prefect. With it, every stage is a task, so the run can be watched
in Prefect's UI; tasks pass the folder's path, never rows, because the tables are already on disk. Programs are run
while others are still sampled (flows/overlap.py), and on this machine or on a cluster (flows/runners.py).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any

from analysis.catalog import rebuild_catalog
from analysis.checks import bad_rows, run_checks
from analysis.curriculum import Curriculum, check_config, cut_points
from curation import manifest, workspace
from curation.generate import generate_completions
from flows.calling import Call, plain
from flows.config import Recipe
from flows.overlap import sample_and_run
from flows.runners import opened
from flows.stages import STAGES, build_key, table_keys

log = logging.getLogger(__name__)


def build(recipe: Recipe, root: Path, call: Call = plain, *, parent: int | None = None) -> tuple[Path, bool]:
    """The sealed version of a recipe and whether it was made now; finished shards of an earlier try are kept.

    Its parent is the newest version with the same completions, unless one is given.

    Raises:
        UserError: bad input, another build of the dataset at work, a failed check, no room on the disk.
    """
    check_config(recipe.curriculum)
    with workspace.locked(root, recipe.dataset):
        keys = table_keys(recipe)
        if sealed := workspace.find_sealed(root, recipe.dataset, keys):
            workspace.close_work(root / recipe.dataset / workspace.WORK / build_key(keys))
            return sealed, False
        work = workspace.open_work(root, recipe.dataset, build_key(keys), keys)
        with opened(recipe.runner) as executor:
            make_tables(work, recipe, call, executor)
        version = call("check and seal", seal_version, work, root, recipe, keys, parent, progress=False)
        workspace.close_work(work)
    rebuild_catalog(root)
    return version, True


def make_tables(work: Path, recipe: Recipe, call: Call, executor: Executor | None = None) -> None:
    """Every stage in turn, but programs run as soon as they are sampled."""
    stages = iter(STAGES)
    for stage in stages:
        config = getattr(recipe, stage.section)
        if stage.run is generate_completions:
            running = next(stages)
            execution = recipe.runner.with_workers(recipe.execute)
            sample_and_run(call, (stage.title, running.title), work, config, execution, executor)
        elif executor is not None and stage.spreads:
            call(stage.title, partial(stage.run, executor=executor), work, config)
        else:
            call(stage.title, stage.run, work, config)


def seal_version(work: Path, root: Path, recipe: Recipe, keys: Mapping[str, str], parent: int | None = None) -> Path:
    """Seal the work folder of a recipe as the dataset's next version.

    Raises:
        ManifestError: a check found rows; the first of them are shown.
    """
    config = recipe.model_dump(mode="json", exclude={"curriculum": {"folder"}})
    parent = parent or _parent(root, recipe.dataset, keys)
    return seal(work, root, recipe.dataset, recipe.curriculum, config=config, keys=keys, parent=parent)


def seal(
    work: Path,
    root: Path,
    name: str,
    curriculum: Curriculum,
    *,
    config: Mapping[str, Any],
    keys: Mapping[str, str],
    parent: int | None,
) -> Path:
    """Run the checks that the parent has not passed with the same tables, and seal the work folder.

    Raises:
        ManifestError: a check found rows; the first of them are shown.
    """
    known = manifest.read_manifest(root / name / str(parent))["keys"] if parent else {}
    checks = run_checks(work, sound={table for table, key in keys.items() if known.get(table) == key})
    for check in (one for one, rows in checks.items() if rows):
        log.error("check %s found %d rows, as %s", check, checks[check], bad_rows(work, check).to_pylist())
    return manifest.seal(
        work,
        root,
        name,
        config=config,
        parent=parent,
        keys=keys,
        cut_points=cut_points(work, curriculum),
        checks=checks,
    )


def _parent(root: Path, name: str, keys: Mapping[str, str]) -> int | None:
    """The newest version that this one takes its completions over from."""
    for version in reversed(manifest.versions(root, name)):
        sealed = manifest.read_manifest(root / name / str(version))
        if sealed["keys"].get("completions") == keys["completions"]:
            return version
    return None

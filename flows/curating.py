"""Versions out of sealed ones: curated anew with other rules, or merged from several; nothing is sampled or run again.

A version built from a recipe and one curated to the same settings have the same table keys, so each finds the other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.catalog import rebuild_catalog
from analysis.curriculum import Curriculum, check_config, funnel
from analysis.merge import MERGED, merge
from analysis.report import run_report
from curation import manifest, storage, store, workspace
from curation.schema import identify
from flows import config, marks
from flows.build import seal
from flows.calling import Call, plain
from flows.config import ConfigError, Recipe
from flows.stages import STAGES, build_key, table_keys

# The sections of a recipe that say how samples are curated; the others say how they came about.
SECTIONS = ("pairs", "measures", "curriculum")


def curate(
    root: Path,
    reference: str,
    recipe: str | None,
    overrides: Sequence[str],
    call: Call = plain,
    *,
    marked: bool = False,
) -> tuple[Path, bool]:
    """The version of a dataset that has the samples of `reference` and the curation asked for, and whether it is new.

    What `recipe` and `overrides` do not name stays as the version has it; with `marked`, what people marked to be
    dropped is pruned first. Tables that come out the same are the same
    files, linked.

    Raises:
        UserError: no such version, a recipe that says other than how to curate, a rule that does not run.
    """
    name, number = manifest.parse_reference(reference)
    parent = manifest.open_version(root, name, number)
    sealed = manifest.read_manifest(parent)
    dropped = marks.rule_of(marks.read_marks(root / name / marks.FILE)) if marked else None
    with settings(parent, recipe, overrides, dropped) as resolved, workspace.locked(root, name):
        given = {table: sealed["keys"][table] for table in MERGED}
        keys = table_keys(resolved, given)
        if found := workspace.find_sealed(root, name, keys):
            return found, False
        work = workspace.open_work(root, name, build_key(keys), keys)
        origin = {key: value for key, value in sealed["config"].items() if key not in SECTIONS}
        version = _finish(root, name, work, resolved, keys, origin, int(parent.name), call)
    rebuild_catalog(root)
    return version, True


def combine(
    root: Path, references: Sequence[str], name: str, recipe: str | None, overrides: Sequence[str], call: Call = plain
) -> tuple[Path, bool]:
    """The version of dataset `name` that has the samples of all `references`, and whether it is new.

    It is curated as the first of them unless `recipe` and `overrides` say otherwise.

    Raises:
        UserError: fewer than two versions, no such version, sources that cannot be one, a rule that does not run.
    """
    sources = [manifest.open_version(root, *manifest.parse_reference(one)) for one in references]
    if len(sources) < 2 or len(set(sources)) < len(sources):
        raise ConfigError(f"expected two different versions or more to merge, found {' '.join(references) or 'none'}")
    sealed = [manifest.read_manifest(source) for source in sources]
    origin = {"merged": [{key: one[key] for key in ("dataset", "version", "digest")} for one in sealed]}
    with settings(sources[0], recipe, overrides) as resolved, workspace.locked(root, name):
        given = {
            table: identify("merged", table, [one["tables"][table]["digest"] for one in sealed]) for table in MERGED
        }
        keys = table_keys(resolved, given)
        if found := workspace.find_sealed(root, name, keys):
            return found, False
        work = workspace.open_work(root, name, build_key(keys), keys)
        if not _is_whole(work):
            for table in MERGED:
                storage.remove(work / table)
            call("merge samples", merge, sources, work)
        version = _finish(root, name, work, resolved, keys, {"dataset": name} | origin, None, call)
    rebuild_catalog(root)
    return version, True


def _is_whole(work: Path) -> bool:
    """Whether the samples in a work folder were merged to the end."""
    try:
        return bool(store.plan(work)) and not any(store.missing(work, table) for table in MERGED)
    except store.SchemaError:
        return False


@contextmanager
def settings(
    version: Path,
    recipe: str | None = None,
    overrides: Sequence[str] = (),
    dropped: Mapping[str, Any] | None = None,
) -> Iterator[Recipe]:
    """How a sealed version was curated, with a recipe's sections and `key=value` overrides laid over it.

    `dropped` is the rule of the marks: it is asked first, in place of one that the version has.

    Only the sections of SECTIONS mean anything in it. The user's own SQL files are those that were sealed, for as long
    as the block lasts, unless a recipe comes with others.

    Raises:
        ConfigError: an override of another section, or an unknown key.
        SqlError: the SQL does not run.
    """
    sealed = manifest.read_manifest(version)
    content = {key: dict(sealed["config"].get(key) or {}) for key in SECTIONS}
    folder = None
    if recipe is not None:
        written, file = config.read_yaml(recipe)
        config.parse(written, str(file))
        content |= {key: dict(written[key] or {}) for key in SECTIONS if key in written}
        folder = file.parent if "curriculum" in written else None
    for one in overrides:
        section = one.partition("=")[0].partition(".")[0].strip()
        if section not in SECTIONS:
            raise ConfigError(f"--set {one}: samples stay as they are here, expected one of {', '.join(SECTIONS)}")
        config.override(content, one)
    if dropped is not None:
        rules = content["curriculum"].get("prune", Curriculum().model_dump(mode="json")["prune"])
        others = [one for one in rules if not (isinstance(one, Mapping) and one.get("rule") == marks.RULE)]
        content["curriculum"]["prune"] = [dict(dropped), *others]
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pairwright-rules-")))
            _unpack(sealed["cut_points"].get("sql", {}), folder)
        content["curriculum"].setdefault("folder", str(folder))
        origin = f"{version.parent.name}@{version.name} with these settings"
        resolved = config.parse(content, recipe or origin)
        check_config(resolved.curriculum)
        yield resolved


def _unpack(files: Mapping[str, str], folder: Path) -> None:
    """Write sealed SQL below `folder`, and nowhere else: a manifest may come from a stranger's repository."""
    for name, text in files.items():
        file = (folder / name).resolve()
        if file.is_relative_to(folder.resolve()):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")


def _finish(
    root: Path,
    name: str,
    work: Path,
    recipe: Recipe,
    keys: Mapping[str, str],
    origin: Mapping[str, Any],
    parent: int | None,
    call: Call,
) -> Path:
    """Make the tables that `work` lacks and seal it as the dataset's next version."""
    for stage in STAGES:
        if not set(stage.makes) & set(MERGED):
            call(stage.title, stage.run, work, getattr(recipe, stage.section))
    dumped = recipe.model_dump(mode="json", include=set(SECTIONS), exclude={"curriculum": {"folder"}})
    version = seal(work, root, name, recipe.curriculum, config={**origin, **dumped}, keys=keys, parent=parent)
    workspace.close_work(work)
    return version


def account(version: Path) -> dict[str, Any]:
    """What a sealed version's rules took and how the rest was cut, as plain values.

    `rules` has a row per rule: the pairs it names alone, those it removed in its turn, and those left then. `buckets`
    has one per bucket: the metric from and to, its pairs and their problems.
    """
    sealed = manifest.read_manifest(version)
    with settings(version) as resolved:
        rules = funnel(version, resolved.curriculum).to_pylist()
    cuts = sealed["cut_points"]
    return {
        "dataset": sealed["dataset"],
        "version": sealed["version"],
        "pairs": sealed["tables"]["pairs"]["num_rows"],
        "rules": rules,
        "metric": cuts["metric"],
        "cut_points": [
            {"percentile": one, "value": value} for one, value in zip(cuts["percentiles"], cuts["values"], strict=True)
        ],
        "buckets": run_report(version, "buckets").to_pylist(),
        "hopeless_problems": run_report(version, "hopeless").to_pylist()[0]["problems"],
    }


def show_account(told: Mapping[str, Any], console: Console) -> None:
    """Print what `account` tells, for people."""
    console.print(f"{told['dataset']}@{told['version']}: {told['pairs']} pairs\n")
    rules = Table("rule", show_edge=False, box=None, padding=(0, 1, 0, 2))
    for heading in ("names alone", "removed in its turn", "left"):
        rules.add_column(heading, justify="right")
    for row in told["rules"]:
        rules.add_row(*(Text(str(row[key])) for key in ("rule", "alone", "removed", "left")))
    console.print(rules)
    buckets = Table("bucket", show_edge=False, box=None, padding=(0, 1, 0, 2))
    for heading in ("cut at", f"{told['metric']} from", "to", "pairs", "problems"):
        buckets.add_column(heading, justify="right")
    cuts = [f"{cut['value']:.4g} (percentile {cut['percentile']:g})" for cut in told["cut_points"]]
    for row in told["buckets"]:
        cut = cuts[row["bucket"]] if row["bucket"] < len(cuts) else ""
        cells = (row["bucket"], cut, f"{row['low']:.4g}", f"{row['high']:.4g}", row["pairs"], row["problems"])
        buckets.add_row(*map(str, cells))
    console.print()
    console.print(buckets)
    console.print(f"\n  {told['hopeless_problems']} problems that no sample solves: table hopeless_problems")

"""The stages of a build in their order, and the key of every table they make. No Prefect here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import BaseModel

from analysis.curriculum import Curriculum, build_curriculum, sql_texts
from analysis.features import Measures, measure_completions, measure_pairs, measure_problems
from analysis.hopeless import set_hopeless_aside
from curation import manifest
from curation.errors import UserError
from curation.execute import Execution, execute_completions
from curation.generate import generate_completions
from curation.pairs import select_pairs
from curation.problems import ProblemSource, load_problems
from curation.sampling import Generation
from curation.schema import identify
from flows.config import Recipe
from sandbox.policy import policy_digest


class Stage(NamedTuple):
    """One step of a build: what it is called, the tables it makes, from which tables, by which function.

    `version` is raised by hand when the function's rows change: finished shards of older versions are then made anew.
    `idle` names settings that do not change the rows, so changing one keeps finished shards. A stage that `spreads`
    takes an executor of a cluster.
    """

    title: str
    makes: tuple[str, ...]
    reads: tuple[str, ...]
    run: Callable[..., int]
    section: str
    version: int = 1
    idle: frozenset[str] = frozenset()
    spreads: bool = False


IDLE_SAMPLING = frozenset(
    "base_urls api_key_env timeout retries concurrency tensor_parallel_size data_parallel_size "
    "gpu_memory_utilization path from_version".split()
)
WORKERS = frozenset({"workers"})
JUDGING = frozenset({"workers", "mode", "require_hardening"})
STAGES = (
    Stage("load problems", ("problems",), (), load_problems, "problems", 2, frozenset({"path", "focus"})),
    Stage(
        "sample completions",
        ("completions",),
        ("problems",),
        generate_completions,
        "generate",
        version=2,
        idle=IDLE_SAMPLING,
    ),
    Stage(
        "run programs",
        ("executions",),
        ("problems", "completions"),
        execute_completions,
        "execute",
        idle=JUDGING,
        spreads=True,
    ),
    Stage("select pairs", ("pairs",), ("completions", "executions"), select_pairs, "pairs", 2),
    Stage("measure problems", ("problem_features",), ("problems",), measure_problems, "measures", idle=WORKERS),
    Stage(
        "set hopeless problems aside",
        ("hopeless_problems",),
        ("problems", "executions"),
        set_hopeless_aside,
        "measures",
        idle=frozenset(Measures.model_fields),
    ),
    Stage(
        "measure completions",
        ("completion_features",),
        ("completions", "executions"),
        measure_completions,
        "measures",
        idle=WORKERS,
        spreads=True,
    ),
    Stage(
        "measure pairs",
        ("pair_features",),
        ("problems", "completions", "executions", "pairs", "completion_features"),
        measure_pairs,
        "measures",
        idle=WORKERS,
        spreads=True,
    ),
    Stage(
        "order the curriculum",
        ("curriculum",),
        (
            "problems",
            "completions",
            "executions",
            "pairs",
            "problem_features",
            "hopeless_problems",
            "completion_features",
            "pair_features",
        ),
        build_curriculum,
        "curriculum",
        idle=frozenset({"folder"}),
    ),
)


def table_keys(recipe: Recipe, given: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """The key of every table: a hash of all that its rows follow from. Reads the files the recipe names.

    `given` are the keys of tables that are there already; their stages' settings do not matter.

    Raises:
        UserError: a file the recipe names is not there.
    """
    keys = dict(given)
    for stage in STAGES:
        if set(stage.makes) <= given.keys():
            continue
        config: BaseModel = getattr(recipe, stage.section)
        settings = config.model_dump(mode="json", exclude=set(stage.idle))
        upstream = [keys[table] for table in stage.reads]
        inputs = _inputs(config)
        if isinstance(config, Generation) and config.explore is not None:
            # What is explored depends on verdicts.
            judged = recipe.execute.model_dump(mode="json", exclude=set(JUDGING))
            inputs |= {"execute": judged} | _inputs(recipe.execute)
        for table in stage.makes:
            keys[table] = identify(table, stage.version, settings, upstream, inputs)
    return keys


def build_key(keys: Mapping[str, str]) -> str:
    """The key of a whole build: the name of its work folder."""
    return identify(dict(keys))


def _inputs(config: BaseModel) -> dict[str, Any]:
    """What rows follow from beside the settings: files and models they name, the sandbox's policy, the SQL of rules."""
    found: dict[str, Any] = {}
    if isinstance(config, Execution):
        found["policy"] = policy_digest()
    if isinstance(config, Curriculum):
        found["sql"] = sql_texts(config)
    if isinstance(config, Generation) and config.also:
        found["also"] = [_inputs(one) for one in config.also]
    if isinstance(config, ProblemSource) and config.focus is not None:
        # Not where the version lies, but what it is.
        chosen = config.focus.model_dump(exclude={"version"})
        found["focus"] = chosen | {"digest": manifest.read_manifest(config.focus.version)["digest"]}
    for name in ("from_version", "path"):
        folder = getattr(config, name, None)
        if folder is not None and (name == "from_version" or getattr(config, "source", None) == "failures"):
            found["version"] = manifest.read_manifest(folder)["digest"]
    path = getattr(config, "path", None)
    if path is not None and "version" not in found:
        file = Path(path)
        if not file.is_file():
            raise UserError(f"no file {file}, which the recipe names: check the path, or override it with --set")
        found["path"] = manifest.file_sha256(file)
    for name in ("model", "scored_by"):
        model = getattr(config, name, None)
        if model is None or not Path(model).is_dir():
            continue
        # Not hashed whole: weights are large, and a changed file has another size or time.
        entries = sorted(entry for entry in Path(model).iterdir() if entry.is_file())
        found[name] = [(entry.name, entry.stat().st_size, entry.stat().st_mtime_ns) for entry in entries]
    return found

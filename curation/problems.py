"""The first stage: problems with their tests, from a file, the Hub or the built-in set, into the `problems` table.

Its shards are the plan of the whole build, so they depend on nothing but the source and the config.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from curation import store
from curation.asserts import NoTestsError, ProblemError
from curation.bug_formats import problem_from_debugbench, problem_from_humanevalpack, problem_from_quixbugs
from curation.debugging import Located, Unusable, report, with_failures
from curation.errors import UserError
from curation.failures import failures
from curation.focus import Focus, focused
from curation.label_formats import problem_from_arc, problem_from_hellaswag, problem_from_metamath
from curation.problem_fields import Column, Task
from curation.problem_files import BUILTIN, file_revision, installed_humaneval, records
from curation.problem_formats import (
    problem_from_code_contests,
    problem_from_columns,
    problem_from_humaneval,
    problem_from_mbpp,
    problem_from_own,
    problem_from_stdio,
)
from curation.progress import Progress, silent
from curation.schema import identify

# What the sources' own pages say; ours for the built-in set.
LICENSES = {
    "builtin": "Apache-2.0",
    "humaneval": "MIT",
    "mbpp": "CC-BY-4.0",
    "code_contests": "CC-BY-4.0",
    "quixbugs": "MIT",
    "humanevalpack": "MIT",
    "debugbench": "Apache-2.0",
    "metamath": "MIT",
    "arc": "CC-BY-SA-4.0",
    "hellaswag": "MIT",
}
# Where a source is read from when the recipe names neither a file nor a repository.
REPOSITORIES = {
    "mbpp": "google-research-datasets/mbpp",
    "code_contests": "deepmind/code_contests",
    "humanevalpack": "bigcode/humanevalpack",
    "debugbench": "Rtian/DebugBench",
    "metamath": "meta-math/MetaMathQA",
    "arc": "allenai/ai2_arc",
    "hellaswag": "Rowan/hellaswag",
}
# The config of those repositories that is read where the recipe names none: ARC's harder half, as in the Smaug paper,
# and the Python of HumanEvalPack's languages.
CONFIGS = {"arc": "ARC-Challenge", "humanevalpack": "python"}


class ProblemSource(BaseModel):
    """The recipe's section `problems`: where they come from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Literal[
        "builtin",
        "humaneval",
        "mbpp",
        "stdio",
        "code_contests",
        "jsonl",
        "hub",
        "quixbugs",
        "humanevalpack",
        "debugbench",
        "failures",
        "metamath",
        "arc",
        "hellaswag",
    ] = Field(
        "builtin",
        description="Which set of problems, or which format the file has. Of bugs to repair: quixbugs, humanevalpack, "
        "debugbench, and failures, which are the programs of a version that failed. Questions with known answers, "
        "where nothing is run: metamath, arc, hellaswag.",
    )
    path: Path | None = Field(
        None,
        description="File of problems (.jsonl, .json, .parquet, .gz); HumanEval needs none. For failures the folder of "
        "a sealed version.",
    )
    repo: str | None = Field(None, description="Hub dataset, as in owner/name, or a folder laid out like one.")
    revision: str | None = Field(None, description="Branch, tag or commit of the Hub dataset; null takes the newest.")
    config: str | None = Field(
        None, description="Name of the Hub dataset's config; null takes the default, for arc ARC-Challenge."
    )
    columns: dict[Column, str] = Field(
        {}, description="For source hub: which of its columns is our prompt, tests, entry_point, reference_solution."
    )
    split: str | None = Field(
        None, description="Take only this split; a source that has none gives this name to all its problems."
    )
    limit: int | None = Field(None, ge=1, description="Take only the first so many problems.")
    max_tests: int | None = Field(None, ge=1, description="Keep only the first so many tests of each problem.")
    challenge_tests: bool = Field(False, description="For MBPP: add the asserts of challenge_test_list.")
    bugs_per_problem: int = Field(2, ge=1, description="For failures: at most so many bugs of one problem.")
    skip_without_tests: bool = Field(
        False, description="Leave out problems without tests, or without a label, instead of stopping at one."
    )
    shard_size: int = Field(
        32, ge=1, description="Problems per shard: what is lost at most when a build is killed, and one sampler batch."
    )
    license: str | None = Field(None, description="SPDX id of the problems' licence, where its source states none.")
    focus: Focus | None = Field(
        None, description="Take mostly those that an earlier version's samples solved sometimes; null takes all."
    )

    @model_validator(mode="after")
    def _fits_source(self) -> ProblemSource:
        """An option the source does not use is an error, so that no one believes it was heeded."""
        reads_file = self.source != "builtin" and self.source != "hub"
        reads_hub = self.source in ("humaneval", "hub") or self.source in REPOSITORIES
        if self.path is not None and not reads_file:
            raise ValueError(f"source {self.source} takes no path")
        if self.source in ("stdio", "jsonl", "quixbugs") and self.path is None:
            raise ValueError(f"source {self.source} needs a path: the file that holds the problems")
        if self.source == "failures" and self.path is None:
            raise ValueError("source failures needs a path: the folder of a sealed version, as in data/demo/1")
        if self.source == "failures" and self.max_tests is not None:
            raise ValueError("source failures takes no max_tests: a bug may fail only a test that is then gone")
        if self.source != "failures" and self.bugs_per_problem != type(self).model_fields["bugs_per_problem"].default:
            raise ValueError(f"source {self.source} has no bugs_per_problem: only failures does")
        if self.path is not None and self.repo is not None:
            raise ValueError("give path or repo, not both")
        if self.repo is not None and not reads_hub:
            raise ValueError(f"source {self.source} takes no repo")
        if self.source == "hub" and self.repo is None:
            raise ValueError("source hub needs a repo, as in owner/name")
        if self.source == "hub" and not {"prompt", "tests"} <= self.columns.keys():
            raise ValueError("source hub needs columns for prompt and tests, as in {prompt: text, tests: test_list}")
        if self.source != "hub" and self.columns:
            raise ValueError(f"source {self.source} takes no columns: only source hub does")
        if self.repository is None and (self.revision or self.config):
            raise ValueError("revision and config are those of a Hub dataset: set repo")
        if self.challenge_tests and self.source != "mbpp":
            raise ValueError(f"source {self.source} has no challenge_tests: only mbpp does")
        return self

    @property
    def repository(self) -> str | None:
        """The Hub dataset to read; None for a file."""
        return self.repo or (None if self.path else REPOSITORIES.get(self.source))


def load_problems(dataset: Path, config: ProblemSource, *, on_progress: Progress = silent) -> int:
    """Write the shards of `problems` that are not there yet and return the number of problems written.

    Raises:
        UserError: the source is at fault, or the folder already holds other problems than `config` gives.
    """
    plan = plan_shards(read_problems(config), config.shard_size)
    present = store.shards(dataset, "problems")
    for shard in present:
        if shard not in plan or _ids(dataset, shard) != [row["problem_id"] for row in plan[shard]]:
            raise UserError(
                f"{store.path(dataset, 'problems', shard)} holds other problems than the recipe gives now: "
                "the source or the recipe changed, so build a new version"
            )
    total, done, written = sum(map(len, plan.values())), 0, 0
    for shard, rows in plan.items():
        if shard not in present:
            written += store.write(dataset, "problems", rows, shard)
        done += len(rows)
        on_progress(done, total)
    return written


def read_problems(config: ProblemSource) -> list[dict[str, Any]]:
    """The rows of `problems` that `config` asks for, in the source's order.

    Raises:
        UserError: one line that names the file and the line, or the repository and the row.
    """
    rows: list[dict[str, Any]] = []
    seen: dict[str, str] = {}
    tasks = with_failures(_tasks(config)) if config.source != "failures" else _tasks(config)
    for place, task, origin in islice(tasks, config.limit):
        if task["task_id"] in seen:
            raise ProblemError(f"{place}: task_id {task['task_id']!r} is taken by {seen[task['task_id']]}")
        seen[task["task_id"]] = place
        rows.append(_row(task, origin))
    if not rows:
        which = f" in split {config.split!r}" if config.split else ""
        raise ProblemError(f"{config.path or config.repository or config.source} holds no problem{which}")
    return rows if config.focus is None else focused(rows, config.focus)


def plan_shards(rows: Iterable[Mapping[str, Any]], shard_size: int) -> dict[store.Shard, list[Mapping[str, Any]]]:
    """Rows by shard: splits in order of appearance, each cut into shards of `shard_size` in order."""
    splits: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        splits.setdefault(row["split"], []).append(row)
    plan = {}
    for split, members in splits.items():
        count = -(-len(members) // shard_size)
        for index in range(count):
            plan[store.Shard(split, index, count)] = members[index * shard_size : (index + 1) * shard_size]
    return plan


Origin = Mapping[str, str]  # source, source_revision, license, and the split of problems that name none


def _tasks(config: ProblemSource) -> Iterator[Located]:
    """(place, task, origin) of each wanted record, in order."""
    for place, task, origin in _read(config):
        task["split"] = task["split"] or origin["split"]
        if not store.SHARD_NAME.fullmatch(f"{task['split']}-00000-of-00001.parquet"):
            raise ProblemError(f"{place}: a split is named with letters, digits and _, found {task['split']!r}")
        if config.split in (None, task["split"]):
            task["tests"] = task["tests"][: config.max_tests]
            try:
                json.dumps(task, ensure_ascii=False).encode()
            except UnicodeEncodeError as error:
                raise ProblemError(
                    f"{place}: holds half of a surrogate pair, which is no text: write it whole"
                ) from error
            yield place, task, origin


def _read(config: ProblemSource) -> Iterator[Located]:
    """The same of every record."""
    if config.source == "failures":
        assert config.path is not None
        yield from failures(config.path, config.bugs_per_problem)
        return
    left_out: Counter[str] = Counter()
    for number, (place, record, origin) in enumerate(_located(config)):
        try:
            yield place, _task(record, config, number), origin
        except NoTestsError as error:
            if config.skip_without_tests:
                continue
            raise NoTestsError(f"{place}: {error}; fix it or set skip_without_tests") from error
        except Unusable as error:
            left_out[str(error)] += 1
        except ProblemError as error:
            raise type(error)(f"{place}: {error}") from error
    report(left_out)


def _located(config: ProblemSource) -> Iterator[tuple[str, Mapping[str, Any], Origin]]:
    """(place, record, origin) of each record of the source."""
    license = config.license or LICENSES.get(config.source)
    if config.repository:
        from curation.hub_problems import open_hub

        hub = open_hub(
            config.repository,
            config=config.config or (CONFIGS.get(config.source) if config.repo is None else None),
            revision=config.revision,
            split=config.split,
            streaming=config.limit is not None,
        )
        for split, rows in hub.splits.items():
            origin = {
                "source": config.repository,
                "source_revision": hub.revision,
                "license": license or hub.license or "unknown",
                "split": split,
            }
            for number, row in enumerate(rows):
                yield f"{config.repository}, split {split}, row {number}", row, origin
        return
    path = BUILTIN if config.source == "builtin" else config.path or installed_humaneval()
    named = config.source in ("builtin", "humaneval", "mbpp", "quixbugs", "humanevalpack", "debugbench")
    found = records(path)
    origin = {
        # The name alone: where a file lies differs between machines, and ids must not.
        "source": config.source if named else path.name,
        "source_revision": file_revision(path) if path.is_file() else "",
        "license": license or "unknown",
        "split": config.split or ("test" if config.source == "humaneval" else "train"),
    }
    for place, record in found:
        yield place, record, origin


def _task(record: Mapping[str, Any], config: ProblemSource, number: int) -> Task:
    if config.source == "hub":
        return problem_from_columns(record, config.columns, number)
    if config.source == "mbpp":
        return problem_from_mbpp(record, challenge_tests=config.challenge_tests)
    if config.source == "metamath":
        return problem_from_metamath(record, number)
    formats = {
        "builtin": problem_from_own,
        "jsonl": problem_from_own,
        "humaneval": problem_from_humaneval,
        "stdio": problem_from_stdio,
        "code_contests": problem_from_code_contests,
        "arc": problem_from_arc,
        "hellaswag": problem_from_hellaswag,
        "quixbugs": problem_from_quixbugs,
        "humanevalpack": problem_from_humanevalpack,
        "debugbench": problem_from_debugbench,
    }
    return formats[config.source](record)


def _row(task: Task, origin: Origin) -> dict[str, Any]:
    row = {**origin, **task}
    return {"problem_id": identify(row["source"], row["task_id"], row["prompt"], row["tests"]), **row}


def _ids(dataset: Path, shard: store.Shard) -> list[Any]:
    return store.read(dataset, "problems", columns=["problem_id"], shard=shard)["problem_id"].to_pylist()

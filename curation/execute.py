"""Completions against their problems' tests, through the sandbox."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from curation import store
from curation.candidate import candidate
from curation.progress import Progress, silent
from curation.store import Shard
from curation.waiting import as_done, first_done
from sandbox.policy import policy_digest
from sandbox.pool import run_many
from sandbox.verdict import Limits, Program, Result, Status

MAX_MESSAGE = 500
# An address differs from run to run, and rows must not.
ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")


class Execution(BaseModel):
    """How programs are run."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Execution")

    steps: int = Field(
        Limits().steps, ge=1000, description="Loop iterations and calls a program may take; decides, on any machine."
    )
    cpu_seconds: float = Field(
        Limits().cpu_seconds, gt=0, description="Processor seconds after which a program stuck in C code is stopped."
    )
    memory_mb: int = Field(Limits().memory_mb, ge=64, description="Address space a program may use, in MiB.")
    output_bytes: int = Field(Limits().output_bytes, ge=1024, description="Bytes a program may print.")
    allow_modules: tuple[str, ...] = Field((), description="Modules to allow beyond the policy's own list.")
    mode: Literal["isolated", "fast"] = Field(
        "isolated", description="isolated: a process per program; fast: long-lived workers, a sample judged twice."
    )
    workers: int | None = Field(None, ge=1, description="Programs run at once; all cores when left out.")
    require_hardening: bool | None = Field(
        None, description="Refuse to run without every wall of the sandbox; on by default on Linux."
    )

    @property
    def limits(self) -> Limits:
        """The sandbox's limits."""
        return Limits(
            steps=self.steps,
            cpu_seconds=self.cpu_seconds,
            memory_mb=self.memory_mb,
            output_bytes=self.output_bytes,
        )


Arriving = Mapping[Shard, Future[Any]]
"""Shards that are still being sampled, and what is done, or fails, when they are written or never will be."""


def execute_completions(
    dataset: Path,
    config: Execution,
    *,
    arriving: Arriving = MappingProxyType({}),
    executor: Executor | None = None,
    on_progress: Progress = silent,
) -> int:
    """problems + completions -> executions, shard by shard. Returns the number of rows written.

    Shards that are `arriving` are run as soon as they are there. With an executor every shard is one call of
    `execute_shard` in it, where the dataset must be within reach; else the shards are run here, one after the other.
    Progress counts the programs of the shards that are there.

    Raises:
        UserError: an arriving shard never came, or the executor lost its machines.
    """
    todo = store.missing(dataset, "executions")
    coming = {arriving[shard]: shard for shard in todo if shard in arriving}
    ready = [shard for shard in todo if shard not in arriving]
    if executor is None:
        return _run_here(dataset, config, ready, coming, on_progress)
    return _run_there(dataset, config, ready, coming, executor, on_progress)


def _run_here(
    dataset: Path, config: Execution, ready: list[Shard], coming: Mapping[Future[Any], Shard], on_progress: Progress
) -> int:
    """Every shard in this process, with progress at every program."""
    sizes = {shard: store.num_rows(dataset, "completions", shard) for shard in ready}

    def there() -> int:
        for future, shard in coming.items():
            if shard not in sizes and future.done() and future.exception() is None:
                sizes[shard] = store.num_rows(dataset, "completions", shard)
        return sum(sizes.values())

    def tell(ran: int) -> None:
        on_progress(done + ran, total)

    done, total = 0, there()
    tell(0)
    for shard in _arrivals(ready, coming):
        total = there()
        done += execute_shard(dataset, shard, config, on_program=tell)
    return done


def _arrivals(ready: Iterable[Shard], coming: Mapping[Future[Any], Shard]) -> Iterator[Shard]:
    """The shards in the order in which they are there. Raises what kept one from coming."""
    yield from ready
    for future in as_done(coming):
        future.result()
        yield coming[future]


def _run_there(
    dataset: Path,
    config: Execution,
    ready: list[Shard],
    coming: Mapping[Future[Any], Shard],
    executor: Executor,
    on_progress: Progress,
) -> int:
    """Every shard as a call in the executor; progress is at every shard that is done."""
    done = total = 0
    running: set[Future[Any]] = set()

    def submit(shard: Shard) -> None:
        nonlocal total
        total += store.num_rows(dataset, "completions", shard)
        running.add(executor.submit(execute_shard, dataset, shard, config))
        on_progress(done, total)

    try:
        on_progress(done, total)
        for shard in ready:
            submit(shard)
        left = dict(coming)
        while left or running:
            finished = first_done([*left, *running])
            for arrived in finished & left.keys():
                arrived.result()
                submit(left.pop(arrived))
            for ran in finished & running:
                running.remove(ran)
                done += ran.result()
                on_progress(done, total)
    finally:
        for call in running:
            call.cancel()
    return done


def execute_shard(
    dataset: Path, shard: Shard, config: Execution, *, on_program: Callable[[int], None] | None = None
) -> int:
    """Run the programs of one shard and write its executions; `on_program` is called with how many have run."""
    problems = {row["problem_id"]: row for row in store.read(dataset, "problems", shard=shard).to_pylist()}
    columns = ["completion_id", "problem_id", "split", "code", "text"]
    completions = store.read(dataset, "completions", columns=columns, shard=shard).to_pylist()
    rows = []
    for row in judge(problems, completions, config):
        rows.append(row)
        if on_program is not None:
            on_program(len(rows))
    return store.write(dataset, "executions", rows, shard)


def judge(
    problems: Mapping[str, Mapping[str, Any]], completions: Iterable[Mapping[str, Any]], config: Execution
) -> Iterator[dict[str, Any]]:
    """One execution row per completion, in order. Equal programs of a problem are run once and share the verdict.

    Answers to label problems are compared with the right one, and nothing is run.
    """
    completions = list(completions)
    labels = {key for key, problem in problems.items() if problem["kind"] == "label"}
    distinct: dict[tuple[str, str], Program] = {}
    for completion in completions:
        if completion["code"] is not None and completion["problem_id"] not in labels:
            key = (completion["problem_id"], completion["code"])
            distinct.setdefault(key, candidate(problems[key[0]], completion["code"], completion["completion_id"]))
    results = run_many(
        distinct.values(),
        limits=config.limits,
        workers=config.workers,
        mode=config.mode,
        require_hardening=config.require_hardening,
        allow_modules=frozenset(config.allow_modules),
    )
    digest = policy_digest()
    verdicts: dict[tuple[str, str], Result] = {}
    pending = iter(zip(distinct, results, strict=True))
    for completion in completions:
        if completion["problem_id"] in labels:
            yield _row(completion, labelled(problems[completion["problem_id"]], completion["text"]), digest)
            continue
        if completion["code"] is None:
            yield _row(completion, no_program(problems[completion["problem_id"]]), digest)
            continue
        wanted = (completion["problem_id"], completion["code"])
        while wanted not in verdicts:
            key, result = next(pending)
            verdicts[key] = result
        yield _row(completion, verdicts[wanted], digest)


def no_program(problem: Mapping[str, Any]) -> Result:
    """The verdict on an answer that holds no program: an exception, as an empty file would be, and not a refusal."""
    return _not_run(
        status="exception",
        num_tests=len(problem["tests"]),
        error_type="NoProgram",
        error_message="the answer holds no program",
    )


def labelled(problem: Mapping[str, Any], text: str) -> Result:
    """The verdict on an answer to a label problem, whose one test is the right answer: passed where it is that text."""
    is_right = text == problem["tests"][0]["stdout"]
    return _not_run(status="passed" if is_right else "wrong", num_tests=1, num_passed=int(is_right))


def _not_run(
    *,
    status: Status,
    num_tests: int,
    num_passed: int = 0,
    error_type: str | None = None,
    error_message: str | None = None,
) -> Result:
    """A verdict that took no run: every test has its status, no steps, no time."""
    return Result(
        key="",
        status=status,
        tests=(),
        num_passed=num_passed,
        num_tests=num_tests,
        score=num_passed / num_tests,
        error_type=error_type,
        error_message=error_message,
        steps=0,
        cpu_ms=0.0,
        wall_ms=0.0,
        peak_kb=0,
    )


def _row(completion: Mapping[str, Any], result: Result, digest: str) -> dict[str, Any]:
    statuses: list[str] = [test.status for test in result.tests] or [result.status] * result.num_tests
    message = result.error_message
    return {
        "completion_id": completion["completion_id"],
        "problem_id": completion["problem_id"],
        "split": completion["split"],
        "status": result.status,
        "test_status": statuses,
        "num_passed": result.num_passed,
        "num_tests": result.num_tests,
        "score": result.score,
        "error_type": result.error_type,
        "error_message": None if message is None else ADDRESS.sub("0x...", message)[:MAX_MESSAGE],
        "steps": result.steps,
        "cpu_ms": result.cpu_ms,
        "wall_ms": result.wall_ms,
        "peak_kb": result.peak_kb,
        "policy_digest": digest,
    }

"""Work on the shards of a table in several processes: ours, where there is enough of it, or those of a cluster."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from analysis import engine
from curation import store
from curation.progress import Progress
from curation.store import Shard
from curation.waiting import as_done

# A process takes most of a second to start and import, in which one measures this many rows.
WORTH_A_PROCESS = 4_000
PR_SET_PDEATHSIG = 1


class Configured(Protocol):
    """A stage's configuration that says how many processes it may have."""

    @property
    def workers(self) -> int: ...


def over_shards(
    work: Callable[[Path, Shard, Any], None],
    dataset: Path,
    source: str,
    target: str,
    config: Configured,
    on_progress: Progress,
    executor: Executor | None = None,
) -> None:
    """Call `work` for every shard that `target` lacks; progress is in the shards of the plan.

    With an executor every shard is one call in it, where the dataset must be within reach.
    """
    total = len(store.plan(dataset))
    todo = store.missing(dataset, target)
    done = total - len(todo)
    on_progress(done, total)
    workers = min(config.workers, len(todo))
    if executor is None and (workers < 2 or engine.count(dataset, source) < WORTH_A_PROCESS * workers):
        for shard in todo:
            work(dataset, shard, config)
            done += 1
            on_progress(done, total)
        return
    with nullcontext(executor) if executor is not None else _processes(workers) as pool:
        running = [pool.submit(work, dataset, shard, config) for shard in todo]
        try:
            for future in as_done(running):
                future.result()
                done += 1
                on_progress(done, total)
        finally:
            for future in running:
                future.cancel()


def _processes(workers: int) -> ProcessPoolExecutor:
    """Processes of our own. Spawned, not forked: DuckDB and Arrow hold threads and locks that a fork would copy."""
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start)


def _start() -> None:
    """Have the kernel end this process when its parent is killed, as it would wait for work for ever."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # Arrow's own allocator keeps a fifth more memory than malloc does here (497 to 367 MiB, measured).
    pa.set_memory_pool(pa.system_memory_pool())

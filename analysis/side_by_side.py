"""Work on the shards of a table in several processes, where there is enough of it to be worth their start."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from analysis import engine
from curation import store
from curation.progress import Progress
from curation.store import Shard

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
) -> None:
    """Call `work` for every shard that `target` lacks; progress is in the shards of the plan."""
    total = len(store.plan(dataset))
    todo = store.missing(dataset, target)
    done = total - len(todo)
    on_progress(done, total)
    workers = min(config.workers, len(todo))
    if workers < 2 or engine.count(dataset, source) < WORTH_A_PROCESS * workers:
        for shard in todo:
            work(dataset, shard, config)
            done += 1
            on_progress(done, total)
        return
    # Spawned, not forked: DuckDB and Arrow hold threads and locks that a fork would copy mid-use.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start) as pool:
        for future in as_completed([pool.submit(work, dataset, shard, config) for shard in todo]):
            future.result()
            done += 1
            on_progress(done, total)


def _start() -> None:
    """Have the kernel end this process when its parent is killed, as it would wait for work for ever."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # Arrow's own allocator keeps a fifth more memory than malloc does here (497 to 367 MiB, measured).
    pa.set_memory_pool(pa.system_memory_pool())

"""Programs run while others are still sampled: a shard goes to the sandbox as soon as it is written.

    sample completions    shard 0 │ shard 1 │ shard 2 │ ...     a thread; the next is asked for while one is written
    run programs                  │ shard 0     │ shard 1 ...   the caller's thread, or a cluster

The sampler never waits for the sandbox: between them lies the disk, with room for every shard. Both stay stages as they
are alone, each under its own bar or in its own task, so rows and digest are the same, and a killed build goes on from
the shards of both. An error on either side ends the other.
"""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from functools import partial
from pathlib import Path

from curation import store
from curation.errors import UserError
from curation.execute import Execution, execute_completions
from curation.generate import generate_completions, sampler_for
from curation.progress import Progress, silent
from curation.samplers import Sampler
from curation.sampling import Sampling
from curation.store import Shard
from flows.calling import Call

_STOPPED = "sampling was stopped, as running the programs failed"


def sample_and_run(
    call: Call,
    titles: tuple[str, str],
    dataset: Path,
    sampling: Sampling,
    execution: Execution,
    executor: Executor | None = None,
) -> None:
    """problems -> completions -> executions, the second of a shard as soon as the first is there.

    Raises:
        UserError: as either stage does; the other has ended by then.
    """
    arriving: dict[Shard, Future[None]] = {shard: Future() for shard in store.missing(dataset, "completions")}
    run = partial(execute_completions, arriving=arriving, executor=executor)
    if not arriving:
        call(titles[0], generate_completions, dataset, sampling)
        call(titles[1], run, dataset, execution)
        return
    stage = _SamplingStage(arriving, execution)

    def sample() -> None:
        try:
            call(titles[0], stage.sample, dataset, sampling)
        except BaseException as error:
            for future in arriving.values():
                if not future.done():
                    future.set_exception(_Unsampled(str(error)))
            raise

    # A task that Prefect runs in a thread finds its flow in the context.
    with ThreadPoolExecutor(1, thread_name_prefix="sampling") as thread:
        try:  # from here on, as leaving the block waits for the sampling
            sampled = thread.submit(copy_context().run, sample)
            call(titles[1], run, dataset, execution)
        except BaseException as error:
            for future in arriving.values():
                future.cancel()
            stage.stop()
            if isinstance(error, _Unsampled):
                sampled.result()
            raise
        sampled.result()


class _Unsampled(UserError):
    """A shard that never comes; why not, is the sampling's own error to say. Trying again would not bring it."""


class _SamplingStage:
    """The sampling stage, which may be tried several times, each with a sampler of its own, and stopped at any time."""

    def __init__(self, arriving: dict[Shard, Future[None]], execution: Execution) -> None:
        self._arriving, self._execution = arriving, execution
        self._stopped, self._lock = False, threading.Lock()
        self._sampler: Sampler | None = None

    def sample(self, dataset: Path, config: Sampling, *, on_progress: Progress = silent) -> int:
        """`generate_completions`, which hands every shard over."""
        with closing(sampler_for(dataset, config, self._execution)) as sampler:
            with self._lock:
                if self._stopped:
                    raise UserError(_STOPPED)
                self._sampler = sampler
            hand_over = partial(_hand_over, self._arriving)
            return generate_completions(dataset, config, sampler=sampler, on_shard=hand_over, on_progress=on_progress)

    def stop(self) -> None:
        """End what is under way; nothing is begun after."""
        with self._lock:
            self._stopped = True
            if self._sampler is not None:
                self._sampler.close()


def _hand_over(arriving: dict[Shard, Future[None]], shard: Shard) -> None:
    """Say that a shard is there; where nobody waits any more, end the sampling."""
    if not arriving[shard].set_running_or_notify_cancel():
        raise UserError(_STOPPED)
    arriving[shard].set_result(None)

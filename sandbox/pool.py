"""Judging many programs: worker slots in parallel, results in order, as lazily as they are asked for."""

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Literal

from sandbox.process import Gone, Settings
from sandbox.slot import Slot
from sandbox.verdict import Limits, Program, Result
from sandbox.wire import CHUNK

Mode = Literal["isolated", "fast"]
_AHEAD = 2 * CHUNK  # programs read ahead per worker
_CHUNK_SECONDS = 0.25  # slower ones are made smaller: results come in order, and the last one should not be long alone

_Job = tuple[int, Program]
_Done = tuple[int, Result | BaseException]


def run_many(
    programs: Iterable[Program],
    *,
    limits: Limits | None = None,
    workers: int | None = None,
    mode: Mode = "isolated",
    require_hardening: bool | None = None,
    allow_modules: frozenset[str] = frozenset(),
) -> Iterator[Result]:
    """One `Result` per program, in order.

    `workers` processes judge in parallel (default: the cores this process may use). `mode` "isolated" forks for every
    program, "fast" for every few hundred. `require_hardening` (default: on Linux) refuses to run when a wall of the
    operating system's is missing. Closing the iterator ends every process.
    """
    if os.name != "posix":
        raise RuntimeError(f"the sandbox needs fork and Unix sockets, found {os.name}; use Linux, WSL 2 or macOS")
    required = sys.platform == "linux" if require_hardening is None else require_hardening
    settings = Settings(
        limits=limits or Limits(), require_hardening=required, allow_modules=allow_modules, fast=mode == "fast"
    )
    return run_with(programs, settings, workers or len(os.sched_getaffinity(0)))


def run_with(programs: Iterable[Program], settings: Settings, workers: int) -> Iterator[Result]:
    """`run_many` with all its settings, among them the ones that only tests use."""
    pool = _Pool(settings, workers)
    try:
        yield from pool.results(programs)
    finally:
        pool.close()


class _Pool:
    """Threads, one per slot. A thread starts its slot's processes, which die with it (PR_SET_PDEATHSIG)."""

    def __init__(self, settings: Settings, workers: int) -> None:
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self.done: SimpleQueue[_Done] = SimpleQueue()
        self.slots = [Slot(settings) for _ in range(workers)]
        self.threads: list[threading.Thread] = []

    def results(self, programs: Iterable[Program]) -> Iterator[Result]:
        source = enumerate(programs)
        finished: dict[int, Result | BaseException] = {}
        submitted = given = 0
        more = True
        while True:
            while more and submitted - given < _AHEAD * len(self.slots):
                job = next(source, None)
                more = job is not None
                if job is not None:
                    submitted += 1
                    self._submit(job)
            if given == submitted:
                return
            while given not in finished:
                number, result = self.done.get()
                finished[number] = result
            result = finished.pop(given)
            if isinstance(result, BaseException):
                raise result
            given += 1
            yield result

    def _submit(self, job: _Job) -> None:
        """Hand over a job; a slot starts only when there is work for it."""
        self.jobs.put(job)
        if len(self.threads) < len(self.slots):
            slot = self.slots[len(self.threads)]
            thread = threading.Thread(target=self._work, args=(slot,), name="sandbox-slot", daemon=True)
            self.threads.append(thread)
            thread.start()

    def _work(self, slot: Slot) -> None:
        size = 1
        try:
            while (job := self.jobs.get()) is not None and not slot.closing:
                chunk = [job, *self._more(size - 1)]
                started = time.monotonic()
                try:
                    for (number, _), result in zip(chunk, slot.judge_many([one for _, one in chunk]), strict=True):
                        self.done.put((number, result))
                except Gone:
                    return
                except BaseException as error:
                    for number, _ in chunk:
                        self.done.put((number, error))
                quick = time.monotonic() - started < _CHUNK_SECONDS
                size = min(CHUNK, 2 * size) if quick else max(1, size // 2)
        finally:
            slot.close()

    def _more(self, most: int) -> list[_Job]:
        """Jobs that wait already, no more than this slot's share of them."""
        found: list[_Job] = []
        for _ in range(min(most, self.jobs.qsize() // len(self.slots))):
            try:
                job = self.jobs.get_nowait()
            except Empty:
                break
            if job is None:  # the end, which is for the next turn
                self.jobs.put(None)
                break
            found.append(job)
        return found

    def close(self) -> None:
        """End every process and thread, whatever they are doing."""
        for slot in self.slots:
            slot.kill()
        for _ in self.threads:
            self.jobs.put(None)
        for thread in self.threads:
            thread.join()

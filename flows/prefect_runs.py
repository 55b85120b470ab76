"""What a flow run is besides its body: its stages as tasks, its log as a story, its failures as one line, its process.

A run says in its labels which process it is, so that whoever serves the flows can tell a run that works from one whose
process died without a word (`bury`); Prefect itself would show the second as running for ever.
"""

from __future__ import annotations

import contextvars
import functools
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast
from uuid import UUID

import httpx
from prefect import get_run_logger, runtime, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, TaskRunFilter
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Crashed, Failed, Pending

from curation.errors import UnreachableError, UserError
from curation.workspace import BusyError
from flows.calling import Call
from flows.prefect_forms import accepted
from flows.prefect_server import PACKAGES
from flows.terminal import Bars
from sandbox.harden import die_with_parent
from sandbox.process import HardeningError

log = logging.getLogger(__name__)
Given = ParamSpec("Given")
Made = TypeVar("Made")
SERVED_BY = "PAIRWRIGHT_SERVED_BY"
"""The process that `pairwright ui` serves runs from, in their environment: they end with it."""
HOST, PID, BEGUN, ATTEMPT = (f"pairwright.{what}" for what in ("host", "pid", "begun", "attempt"))
EXPECTED = (UserError, HardeningError)
RETRIES, DELAYS = 2, [5.0, 30.0]
LONG, EVERY = 5.0, 2.0
"""Seconds until a stage counts as long and gets an artifact of its progress, and between two updates of it."""
BUSY_DELAY = 2.0
DAY = 24 * 3600


def told(body: Callable[Given, Made]) -> Callable[Given, Made]:
    """The body of a flow: what a user can mend ends it as Failed with one line, everything else as Prefect does."""

    @functools.wraps(body)
    def run(*args: Given.args, **kwargs: Given.kwargs) -> Any:
        _introduce()
        try:
            accepted(*args, *kwargs.values())
            return body(*args, **kwargs)
        except EXPECTED as error:
            return _failed(error)

    return run


def waiting(build: Callable[[], Made]) -> Made:
    """What `build` makes, once no other run is at work on the dataset; at a terminal the error is told at once.

    Raises:
        BusyError: another process builds the dataset, and this run was not started from a page.
    """
    told_of = ""
    while True:
        try:
            return build()
        except BusyError as error:
            if not runtime.deployment.id:
                raise
            if str(error) != told_of:
                told_of = str(error)
                say(f"waiting: {told_of.partition(':')[0]}")
            time.sleep(BUSY_DELAY)


def say(line: str) -> None:
    """One line of the story of the flow that is running."""
    get_run_logger().info(line)


def tasks(bars: Bars) -> Call:
    """Calls every stage as a task of the running flow, under a bar, and again where something did not answer."""

    story = get_run_logger()  # the flow's: a task's own tells what Prefect does with it

    def call(title: str, function: Callable[..., Any], *args: Any, progress: bool = True) -> Any:
        caught: list[Exception] = []  # the last try's error itself: what Prefect makes of it in a state is no exception

        def run(*args: Any) -> Any:
            begun = time.monotonic()
            try:
                with _Progress(title) as watched:
                    made = bars(title, watched.see(function) if progress else function, *args, progress=progress)
            except Exception as error:
                caught[:] = [error]
                if transient(error):
                    story.warning("%s had no answer: %s", title, error)
                if isinstance(error, EXPECTED):
                    return _failed(error)
                raise
            story.info(f"{title}: {watched.told}{time.monotonic() - begun:.1f} s")
            return made

        # NO_CACHE: finished shards are skipped by what lies on the disk, which a cache of results does not look at.
        # A retry more than are made: when the last fails, Prefect adds a traceback to the log.
        stage = task(
            name=title,
            task_run_name=title,
            cache_policy=NO_CACHE,
            retries=RETRIES + 1,
            retry_delay_seconds=DELAYS,
            retry_condition_fn=lambda _task, run, _state: run.run_count <= RETRIES and transient(caught[-1]),
        )(run)
        made = stage(*args)
        if isinstance(made, State):
            raise caught[-1]
        return made

    return call


def transient(error: BaseException | None) -> bool:
    """Whether the same call may succeed a little later: something did not answer, rather than answered no."""
    if error is None or isinstance(error, BusyError):
        return False
    silent = UnreachableError | ConnectionError | TimeoutError | httpx.TransportError
    return isinstance(error, silent) or transient(error.__cause__)


def bury(client: SyncPrefectClient, *, unserved: bool = False) -> list[str]:
    """Mark this machine's runs whose process is gone as Crashed, or Cancelled where that was under way: their names.

    `unserved` is for when nothing is served: then a deployment's run that has not said its process yet never will.
    """
    states = {"type": {"any_": ["RUNNING", "CANCELLING", *(["PENDING"] if unserved else [])]}}
    dead = []
    for run in client.read_flow_runs(flow_run_filter=FlowRunFilter(state=states)):
        # The labels of an earlier attempt say nothing about this one.
        state = run.state or Pending()
        introduced = run.labels.get(ATTEMPT) == run.run_count and not state.is_pending()
        here = introduced and run.labels.get(HOST) == socket.gethostname()
        served = run.deployment_id and not run.work_queue_name  # and not by a worker
        if (here and not _lives(run.labels)) or (unserved and served and not introduced):
            client.set_flow_run_state(run.id, _ended(state), force=True)
            dead.append(run.name)
    _bury_tasks(client, FlowRunFilter(state={"type": {"any_": ["CRASHED", "CANCELLED"]}}))
    return dead


def _bury_tasks(client: SyncPrefectClient, of: FlowRunFilter) -> None:
    """Mark the running tasks of dead runs, or of a run's earlier attempts, as Crashed: nothing else ever would."""
    running = TaskRunFilter(state={"type": {"any_": ["RUNNING"]}, "name": None})
    for one in client.read_task_runs(flow_run_filter=of, task_run_filter=running):
        client.set_task_run_state(one.id, Crashed(message="Its run's process is gone."), force=True)


def _ended(state: State) -> State:
    if state.is_cancelling():
        return Cancelled(message="Cancelled; finished shards are kept.")
    return Crashed(message="Its process is gone. Finished shards are kept: Retry goes on from them.")


class _Unexpected(logging.Filter):
    """Lets no traceback of what a user can mend into a run's log: Prefect adds one when a served run has failed."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be kept."""
        return not (record.exc_info and isinstance(record.exc_info[1], EXPECTED))


_UNEXPECTED = _Unexpected()


def _introduce() -> None:
    """Say to the server which process this run is, and to Python that our packages' log lines are wanted."""
    for package in PACKAGES:
        logging.getLogger(package).setLevel(logging.INFO)
    logging.getLogger("prefect.flow_runs").addFilter(_UNEXPECTED)
    if parent := os.environ.get(SERVED_BY):
        die_with_parent(int(parent))
    pid = os.getpid()
    where = {HOST: socket.gethostname(), PID: pid, BEGUN: _begun(pid), ATTEMPT: runtime.flow_run.run_count}
    with get_client(sync_client=True) as client:
        client.update_flow_run_labels(runtime.flow_run.id, where)
        if runtime.flow_run.run_count > 1:
            _bury_tasks(client, FlowRunFilter(id={"any_": [runtime.flow_run.id]}))


def _lives(labels: dict[str, Any]) -> bool:
    return _begun(int(labels[PID])) == labels[BEGUN]


def _begun(pid: int) -> str:
    """When a process began, in ticks since the machine did: a pid alone is given again. Empty where there is none."""
    try:
        # The name, which may hold anything, ends at the last parenthesis; the 20th field after it is the start.
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state == "Z" else fields[18]


def _failed(error: Exception) -> Any:
    """The state of a flow or task that ends so: one line, and the error itself for who called it."""
    return Failed(message=" ".join(str(error).split()), data=error)


class _Progress:
    """How far a stage is, as an artifact of its run that a thread brings up to date, so that no stage waits for it."""

    def __init__(self, title: str) -> None:
        self.title, self._last, self._over = title, (0, 0), threading.Event()
        # The run whose artifact it is, is known to this thread only.
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._tell,), name="progress", daemon=True)

    @property
    def told(self) -> str:
        """What was done, for the log; nothing where the stage does not count."""
        return f"{self._last[1]} in " if self._last[1] else ""

    def see(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The stage's function, whose progress is seen here as well."""

        def seen(*args: Any, on_progress: Callable[[int, int], None]) -> Any:
            def both(done: int, total: int) -> None:
                self._last = (done, total)
                on_progress(done, total)

            return function(*args, on_progress=both)

        return seen

    def __enter__(self) -> _Progress:
        self._thread.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._over.set()
        self._thread.join(LONG)  # a server that does not answer is not waited for

    def _tell(self) -> None:
        if self._over.wait(LONG):
            return
        with _unless_silent(self.title):
            artifact = cast(UUID, create_progress_artifact(self._share(), description=self.title))
            while not self._over.wait(EVERY):
                update_progress_artifact(artifact, self._share())
            update_progress_artifact(artifact, self._share())

    def _share(self) -> float:
        done, total = self._last
        return 100.0 * done / total if total else 0.0


@contextmanager
def _unless_silent(title: str) -> Iterator[None]:
    """Progress that cannot be told is no reason to stop."""
    try:
        yield
    except Exception as error:
        log.debug("cannot tell how far %s is: %s", title, error)

"""Where shards are worked on: on this machine, or over a Ray or Dask cluster that is running already.

A stage that can be spread takes a `concurrent.futures.Executor`, and a cluster is one: a call per shard, whose result
is a number of rows, because the tables lie on storage that every node sees. Not Prefect's own task runners: a task of
theirs costs 0.15 s on Ray and 0.5 s on Dask, every node must reach Prefect's server, and without one there are none.

The cluster's library runs in a process of ours (flows/driver.py). When Ray loses its head node it ends the process that
it is in; here that process is not the user's, who reads one line instead.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from importlib.util import find_spec
from multiprocessing import Pipe
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from curation.errors import MissingError, UserError
from flows.driver import LIBRARIES, fingerprint

if TYPE_CHECKING:
    from curation.execute import Execution

log = logging.getLogger(__name__)

VARIABLES = {"ray": "RAY_ADDRESS", "dask": "DASK_SCHEDULER_ADDRESS"}
EXAMPLES = {"ray": "ray://HEAD:10001", "dask": "tcp://SCHEDULER:8786"}
KNOCK_SECONDS, START_SECONDS, END_SECONDS = 5.0, 120.0, 10.0


class Runner(BaseModel):
    """The recipe's section `runner`: where programs are run and measured. No row depends on it. `runner: ray` does."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Runner")

    kind: Literal["local", "ray", "dask"] = Field(
        "local", description="local: this machine; ray, dask: a running cluster whose nodes all see the data's folder."
    )
    address: str | None = Field(
        None,
        description="Where the cluster is, as in ray://HEAD:10001 or tcp://SCHEDULER:8786; "
        "null takes the variable RAY_ADDRESS or DASK_SCHEDULER_ADDRESS.",
    )
    cpus: int = Field(
        1, ge=1, description="CPUs that a shard is given on the cluster: programs run at once, unless execute.workers."
    )
    patience: float = Field(300.0, gt=0, description="Seconds to wait for a node while the cluster has none that fits.")

    def with_workers(self, execution: Execution) -> Execution:
        """How a shard's programs are run here: on a cluster, unless it is said, as many at once as it is given CPUs."""
        if self.kind == "local" or execution.workers is not None:
            return execution
        return execution.model_copy(update={"workers": self.cpus})

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        """`runner: ray` is short for `runner: {kind: ray}`."""
        return {"kind": value} if isinstance(value, str) else value


@contextmanager
def opened(runner: Runner) -> Iterator[Executor | None]:
    """The cluster for as long as the block lasts; None where all is done on this machine.

    Raises:
        UserError: there is no address, nobody answers there, or the cluster is not one that can be used.
        MissingError: the cluster's library is not installed.
    """
    if runner.kind == "local":
        yield None
        return
    cluster = Cluster(runner)
    try:
        yield cluster
    except BaseException:
        cluster.shutdown(cancel_futures=True)
        raise
    cluster.shutdown()


class Cluster(Executor):
    """A running Ray or Dask cluster. What is submitted must be importable on every node, as our own functions are."""

    def __init__(self, runner: Runner) -> None:
        address = runner.address or os.environ.get(VARIABLES[runner.kind])
        if not address:
            raise UserError(
                f"runner {runner.kind} needs a running cluster: set runner.address, as in {EXAMPLES[runner.kind]}, "
                f"or {VARIABLES[runner.kind]}"
            )
        self.name = f"the {runner.kind} cluster at {address}"
        if find_spec(LIBRARIES[runner.kind]) is None:
            raise MissingError(f"runner {runner.kind} needs {LIBRARIES[runner.kind]}: install the extra {runner.kind}")
        _knock(address, self.name)
        self._log = Path(tempfile.mkstemp(prefix=f"pairwright-{runner.kind}-", suffix=".log")[1])
        self._pipe, theirs = Pipe()
        home = str(Path(__file__).parents[1])
        with theirs, self._log.open("w") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "flows.driver", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))},
                start_new_session=True,  # Ctrl-C is the parent's to handle
            )
        self._pending: dict[int, Future[Any]] = {}
        self._number, self._closed, self._lost, self._lock = 0, False, False, threading.Lock()
        self._greet(runner.model_copy(update={"address": address}))
        self._reader = threading.Thread(target=self._read, name="cluster", daemon=True)
        self._reader.start()

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call `function(dataset, shard, config)` on a node; it is called again where the node is lost."""
        if kwargs:
            raise TypeError("a call on a cluster takes no keywords")
        # A node has a working folder of its own.
        given = tuple(Path(os.path.abspath(arg)) if type(arg) is type(Path()) else arg for arg in args)
        future: Future[Any] = Future()
        with self._lock:
            self._number += 1
            self._pending[self._number] = future
            try:
                self._pipe.send((self._number, function, given))
            except OSError:
                self._pending.pop(self._number)
                future.set_exception(self._gone())
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take leave of the cluster; with `cancel_futures` at once, and it drops what was asked of it."""
        if not self._closed and not cancel_futures:
            try:
                with self._lock:
                    self._pipe.send(None)
                self._process.wait(END_SECONDS)
            except (OSError, subprocess.TimeoutExpired):
                pass
        if not self._closed:
            self._closed = True
            self._kill()
            self._reader.join()
            self._pipe.close()
        if not self._lost:
            self._log.unlink(missing_ok=True)

    def _kill(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()

    def _greet(self, runner: Runner) -> None:
        """Have the driver join the cluster."""
        answer: BaseException | None
        try:
            self._pipe.send((runner.kind, runner.address, runner.cpus, runner.patience, fingerprint()))
            in_time = self._pipe.poll(START_SECONDS)
            answer = self._pipe.recv() if in_time else UserError(f"{self.name} took longer than {START_SECONDS:g} s")
        except (OSError, EOFError):
            answer = self._gone()
        except BaseException:
            self._kill()
            raise
        if answer is not None:
            self._kill()
            raise answer
        log.info("running programs on %s", self.name)

    def _read(self) -> None:
        """Hand results to those who wait for them, until the driver ends."""
        try:
            while True:
                number, result, error = self._pipe.recv()
                if number is None:
                    log.warning("%s %s", self.name, result)
                    continue
                with self._lock:
                    future = self._pending.pop(number, None)
                if future is None or not future.set_running_or_notify_cancel():
                    continue
                future.set_exception(error) if error is not None else future.set_result(result)
        except (OSError, EOFError):
            with self._lock:
                left, self._pending = self._pending, {}
            for future in left.values():
                if future.set_running_or_notify_cancel():
                    future.set_exception(self._gone())

    def _gone(self) -> UserError:
        self._lost = True
        return UserError(
            f"{self.name} is gone: start it and run the same command; finished shards are kept (log: {self._log})"
        )


def _knock(address: str, name: str) -> None:
    """Whether anybody listens there: Ray and Dask try for half a minute, and Ray ends the process in the end."""
    host, _, port = address.rpartition("://")[2].partition("/")[0].rpartition(":")
    if not host or not port.isdigit():
        return  # "auto", or a name that only the library can resolve
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()
    except OSError as error:
        raise UserError(
            f"{name} does not answer ({error.strerror or error}): start it, or set runner.address, or runner: local"
        ) from None

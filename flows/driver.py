"""The process that speaks to a Ray or Dask cluster for `flows.runners`: calls come in by a pipe, results go back.

    python -m flows.driver DESCRIPTOR

Covered: a worker or node that dies under a call (the call is made again elsewhere), a cluster without nodes (waited
for, then said), nodes with other code than ours (refused, as their rows could differ), a parent that is gone (we end,
and the cluster drops our calls). Not covered: a node that hangs for ever.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import cache, partial
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from curation.errors import MissingError, UserError
from sandbox.process import HardeningError

LIBRARIES = {"ray": "ray", "dask": "distributed"}
# What a shard's rows follow from beside its inputs.
ROOMS = ("sandbox", "curation", "analysis")
TRIES = 5  # lost workers after which a call is given up: it may be what kills them
LOOK_SECONDS = 2.0
# Seconds without the head or the scheduler after which the cluster counts as gone, and this process ends; Ray ends it
# by itself, after a minute where it is not told otherwise.
GONE_SECONDS = 20


class Joined(NamedTuple):
    """A cluster: how to call `on_node` there, how many nodes fit a call, whether it still answers, how to leave it, and
    what an error of its means."""

    submit: Callable[..., Future[Any]]
    fitting: Callable[[], int]
    answers: Callable[[], bool]
    leave: Callable[[], None]
    why: Callable[[BaseException], BaseException]


@cache
def fingerprint() -> str:
    """Hash of the code that makes rows, and the version of Python that runs it: the same on every node."""
    home = Path(__file__).parents[1]
    files = sorted(file for room in ROOMS for kind in ("*.py", "*.sql") for file in (home / room).rglob(kind))
    parts = [f"{sys.version_info[0]}.{sys.version_info[1]}", *(file.read_text(encoding="utf-8") for file in files)]
    return sha256("\0".join(parts).encode()).hexdigest()[:12]


def on_node(expected: str, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Make one call on a node of the cluster, where it can be made as it would be at home.

    Raises:
        UserError: the node has other code, or does not see the dataset.
    """
    from curation import store

    node = os.uname().nodename
    if (found := fingerprint()) != expected:
        raise UserError(
            f"node {node} has other code or another Python than this machine ({found}, here {expected}): "
            "install the same pairwright on every node and restart its workers"
        )
    dataset, shard = args[:2]
    if shard not in store.shards(dataset, "problems"):
        raise UserError(f"node {node} does not see {dataset}: give a --root on storage that all nodes share")
    return function(*args)


def join_ray(address: str, cpus: int) -> Joined:
    """Become a driver of a Ray cluster."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", str(GONE_SECONDS))
    import ray

    ray.init(address=address, namespace="pairwright", log_to_driver=False, logging_level=logging.WARNING)
    call = ray.remote(num_cpus=cpus, max_retries=TRIES)(on_node)

    def fitting() -> int:
        return sum(1 for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= cpus)

    def why(error: BaseException) -> BaseException:
        cause = getattr(error, "cause", None)
        if isinstance(error, ray.exceptions.RayTaskError) and isinstance(cause, BaseException):
            return cause
        lost = (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError)
        return _lost(error) if isinstance(error, lost) else error

    return Joined(lambda *args: call.remote(*args).future(), fitting, lambda: True, ray.shutdown, why)


def join_dask(address: str, cpus: int) -> Joined:
    """Become a client of a Dask scheduler, whose workers take a shard per thread whatever CPUs it is given."""
    from distributed import Client, KilledWorker

    client = Client(address, timeout=30, set_as_default=False, name="pairwright")
    executor = client.get_executor(pure=False)

    def fitting() -> int:
        return len(client.scheduler_info(n_workers=-1)["workers"])

    def answers() -> bool:
        return bool(client.status == "running")

    def why(error: BaseException) -> BaseException:
        return _lost(error) if isinstance(error, KilledWorker) else error

    return Joined(partial(executor.submit, on_node), fitting, answers, client.close, why)


def _lost(error: BaseException) -> UserError:
    return UserError(
        f"a shard's worker died again and again ({type(error).__name__}): see its node's log, "
        "lower problems.shard_size or execute.memory_mb, and run the same command; finished shards are kept"
    )


JOIN = {"ray": join_ray, "dask": join_dask}


class Driver:
    """Makes the parent's calls on the cluster and sends back what came of them."""

    def __init__(self, parent: Connection) -> None:
        self._parent, self._sending = parent, threading.Lock()
        self._running: set[int] = set()

    def serve(self) -> None:
        """Join the cluster and make calls until the parent takes leave or is gone."""
        kind, address, cpus, patience, expected = self._parent.recv()
        try:
            joined = JOIN[kind](address, cpus)
        except Exception as error:
            self._send(UserError(f"cannot join the {kind} cluster at {address}: {_one_line(error)}"))
            return
        self._send(None)
        threading.Thread(target=self._watch, args=(joined, cpus, patience), daemon=True).start()
        while (call := self._parent.recv()) is not None:
            number, function, args = call
            self._running.add(number)
            future = joined.submit(expected, function, args)
            future.add_done_callback(partial(self._finish, number, joined))
        joined.leave()

    def _finish(self, number: int, joined: Joined, done: Future[Any]) -> None:
        if number not in self._running:
            return
        self._running.discard(number)
        if done.cancelled():  # Dask lost its scheduler, or that was started anew
            os._exit(1)
        error = done.exception()
        if error is None:
            self._send((number, done.result(), None))
        else:
            self._send((number, None, told(joined.why(error))))

    def _watch(self, joined: Joined, cpus: int, patience: float) -> None:
        """Give up what waits when the cluster has had no node for it for too long."""
        since: float | None = None
        answered = time.monotonic()
        while True:
            time.sleep(LOOK_SECONDS)
            if not joined.answers():
                if time.monotonic() - answered > GONE_SECONDS:
                    os._exit(1)
                continue
            answered = time.monotonic()
            if not self._running or joined.fitting():
                since = None
                continue
            if since is None:
                since = time.monotonic()
                self._send((None, f"has no node with {cpus} CPUs; waiting up to {patience:g} s for one", None))
            if time.monotonic() - since > patience:
                error = UserError(
                    f"the cluster has had no node with {cpus} CPUs for {patience:g} s: start one and run the same "
                    "command; finished shards are kept"
                )
                for number in list(self._running):
                    self._running.discard(number)
                    self._send((number, None, error))

    def _send(self, message: Any) -> None:
        with self._sending:
            try:
                self._parent.send(message)
            except OSError:
                os._exit(1)  # the parent is gone


def told(error: BaseException) -> BaseException:
    """An error of a node as the user is told: his own as they are, a missing package as what to do about it."""
    if type(error) in (UserError, MissingError, HardeningError):
        return error
    if isinstance(error, UserError):
        return UserError(str(error))
    if isinstance(error, ModuleNotFoundError):
        return UserError(f"a node lacks {error.name}: install the same pairwright on every node")
    return RuntimeError(f"on a node: {type(error).__name__}: {_one_line(error)}")


def _one_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]


def main() -> None:
    """Serve the parent at the descriptor that the command line names."""
    try:
        Driver(Connection(int(sys.argv[1]))).serve()
    except (EOFError, KeyboardInterrupt):
        os._exit(1)  # at once: the cluster drops the calls of a driver that is gone
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    from flows import driver  # under its own name, so that nodes look functions up instead of being sent copies

    driver.main()

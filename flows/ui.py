"""`pairwright ui`: a Prefect server and a process that serves our flows, kept alive together until Ctrl-C.

    pairwright ui ─┬─ flows.ui_server    the server and its page, on a socket that this process holds
                   └─ flows.ui_runner    the deployments; every run is a child of its own

The socket outlives a server that dies: callers wait in its queue until the next one is up, instead of being refused.
Whoever of the two dies is started again; both die with this process, and a run dies with the runner, which marks the
runs whose process is gone as Crashed, so that they can be retried. Importing this does not import Prefect.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn

from curation.errors import UserError
from flows import prefect_server
from flows.terminal import messages

READY = "ready"
"""File in the home that a runner writes when its deployments are there."""
PATIENCE = 300.0
"""Seconds until a server must answer: its first start makes the database, which takes a minute on a busy machine."""
GRACE = 20.0
"""Seconds that the processes get to end by themselves."""
RESTARTS, CALM = 5, 60.0
"""So many deaths within so many seconds are too many to go on."""


@dataclass
class Child:
    """A process of ours that is started again when it dies: its module, its environment, where its output goes."""

    module: str
    environment: Mapping[str, str]
    log: Path
    arguments: tuple[str, ...] = ()
    descriptors: tuple[int, ...] = ()
    running: subprocess.Popen[bytes] | None = None
    deaths: list[float] = field(default_factory=list)

    def start(self) -> None:
        """Start it. It ends with this process, however that ends."""
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                [sys.executable, "-m", self.module, str(os.getpid()), *self.arguments],
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=self.descriptors,
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.running is not None and self.running.poll() is None

    def restart(self) -> None:
        """Start it again after it died.

        Raises:
            UserError: it dies again and again.
        """
        now = time.monotonic()
        self.deaths = [death for death in self.deaths if now - death < CALM] + [now]
        if len(self.deaths) > RESTARTS:
            raise UserError(
                f"{self.module} died {len(self.deaths)} times within a minute: its last words are in {self.log}"
            )
        messages.print(f"{self.module} died and is started again")
        self.start()

    def end(self) -> None:
        """End it and all that it started."""
        if self.running is None:
            return
        if self.alive:
            self.running.terminate()
        try:
            self.running.wait(GRACE)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.running.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.running.wait()


def serve(root: Path, *, host: str = "127.0.0.1", port: int = 4200) -> None:
    """Serve the page, the API and every flow until Ctrl-C or SIGTERM.

    Raises:
        UserError: the port is taken, the root cannot be written, or the server does not come up.
    """
    home = root / prefect_server.HOME
    with _listening(host, port) as listener, _stoppable():
        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot write under {root} ({error.strerror}): give another folder with --root") from error
        url = f"http://{host}:{listener.getsockname()[1]}"
        environment = prefect_server.settings(home, url) | {"PAIRWRIGHT_REPORTS": f"{url}/reports {root.resolve()}"}
        os.environ.update(environment)
        number = listener.fileno()
        server = Child("flows.ui_server", environment, home / "server.log", (str(number), str(root)), (number,))
        runner = Child("flows.ui_runner", environment, home / "runner.log", (str(root),))
        try:
            _come_up(server, runner, url, home / READY)
            messages.print(
                f"{url}\n  flows to run: {url}/deployments\n  what they left: {url}/artifacts", highlight=False
            )
            messages.print(f"  database and logs: {home}\n  Ctrl-C ends all of it; finished shards are kept")
            _keep_up(server, runner)
        except KeyboardInterrupt:
            messages.print("ending")
        finally:
            for child in (runner, server):
                child.end()


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens there; port 0 takes any that is free."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            other = (
                "a Prefect server answers there already" if prefect_server.healthy(f"http://{host}:{port}/api") else ""
            )
            raise UserError(
                f"cannot listen on {host}:{port} ({other or error.strerror}): give another port with --port"
            ) from None
        listener.listen(512)
        yield listener


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM ends this process as Ctrl-C does."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _come_up(server: Child, runner: Child, url: str, ready: Path) -> None:
    """Start both, and wait until the server answers and the flows are there to run."""
    ready.unlink(missing_ok=True)
    server.start()
    runner.start()  # at once: its imports take as long as the server's
    deadline = time.monotonic() + PATIENCE
    while not (ready.exists() and prefect_server.healthy(f"{url}/api")):
        for child in (server, runner):
            _still(child, deadline)
        time.sleep(0.2)


def _still(child: Child, deadline: float) -> None:
    """Hold a process that comes up to its time.

    Raises:
        UserError: it died, or takes too long.
    """
    if not child.alive or time.monotonic() > deadline:
        lines = child.log.read_text(errors="replace").strip().splitlines() or ["nothing was said"]
        raise UserError(f"{child.module} did not come up: {lines[-1][:300]} (all of it in {child.log})")


def _keep_up(*children: Child) -> NoReturn:
    """Start again what dies, for ever."""
    while True:
        time.sleep(0.2)
        for child in children:
            if not child.alive:
                child.restart()

"""One of the sandbox's own processes, a worker or a judge: how the supervisor starts it, talks to it and ends it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from sandbox import harden
from sandbox.codec import Malformed
from sandbox.verdict import Limits
from sandbox.wire import Closed, receive_up, send_down
from sandbox.worker import Options

_HOME = str(Path(__file__).resolve().parent.parent)
# -P -s -S and an empty environment are what -I is, but for PYTHONHASHSEED: sets must iterate alike in every run.
_FLAGS = ("-P", "-s", "-S", "-c")
_BOOT = (
    "import sys; sys.path.append(sys.argv[1]); from sandbox import memory; heap = memory.gather_heap(); "
    "from sandbox.worker import main; main(heap, *sys.argv[2:])"
)
# Symbols bound at the start: a child would look up each one it is the first to use, and forget it with its end.
_ENVIRONMENT = {"PYTHONHASHSEED": "0", "LD_BIND_NOW": "1"}
_START_SECONDS = 60.0
_STACK_LOCK = threading.Lock()


Role = Literal["worker", "auditor", "judge"]


class HardeningError(RuntimeError):
    """A wall is missing on this machine and the caller asked for all of them."""


class Gone(Exception):
    """One of our own processes ended, or said what it never should."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run judges: the same for all its slots."""

    limits: Limits = field(default_factory=Limits)
    require_hardening: bool = True
    allow_modules: frozenset[str] = frozenset()
    fast: bool = False
    audit_every: int = 50
    language_layer: bool = True
    stop: bool = True


@contextmanager
def _room_for_the_stack() -> Iterator[None]:
    """What is started meanwhile may grow a deep stack: Linux leaves as much room below it as the limit says at exec."""
    import resource

    kind = resource.RLIMIT_STACK
    with _STACK_LOCK:
        soft, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (harden.STACK_BYTES if hard < 0 else min(hard, harden.STACK_BYTES), hard))
        try:
            yield
        finally:
            resource.setrlimit(kind, (soft, hard))


class Process:
    """One of our own processes and the socket to it. Owns a session, so that it and its children can be killed."""

    def __init__(self, role: Role, settings: Settings) -> None:
        if not sys.executable:
            raise RuntimeError("sys.executable is empty: the sandbox cannot find a Python interpreter to start")
        ours, theirs = socket.socketpair()
        options = Options(
            parent=os.getpid(),
            role="judge" if role == "judge" else "worker",
            fast=settings.fast and role == "worker",
            language_layer=settings.language_layer,
            stop=settings.stop,
            allow_modules=tuple(sorted(settings.allow_modules)),
            path=tuple(filter(None, map(os.path.abspath, sys.path))) if settings.allow_modules else (),
        )
        with theirs, _room_for_the_stack():
            self.popen = subprocess.Popen(
                [sys.executable, *_FLAGS, _BOOT, _HOME, str(theirs.fileno()), json.dumps(asdict(options))],
                pass_fds=(theirs.fileno(),),
                env=_ENVIRONMENT | {k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        self.control = ours

    def greet(self, settings: Settings) -> None:
        """Wait until it is ready; refuse to go on when a required wall is missing."""
        try:
            hello = self.receive(_START_SECONDS)
        except (Gone, TimeoutError) as error:
            raise RuntimeError(f"the sandbox cannot start {sys.executable}: {error}") from None
        if "error" in hello:
            raise RuntimeError(f"the sandbox cannot start: {hello['error']}")
        absent = harden.missing(hello["walls"])
        if absent and settings.require_hardening:
            raise HardeningError(
                f"the sandbox lacks {'; '.join(absent)} (or pass require_hardening=False to run without)"
            )
        if absent:
            warnings.warn(f"the sandbox runs without {'; '.join(absent)}", RuntimeWarning, stacklevel=2)

    def send(self, jobs: list[dict[str, Any]], descriptors: list[int]) -> None:
        try:
            self.control.settimeout(_START_SECONDS)
            send_down(self.control, jobs, descriptors)
        except (OSError, TimeoutError) as error:
            raise Gone(f"it takes no message: {error}") from None

    def receive(self, seconds: float) -> Any:
        """Its next message; `TimeoutError` after `seconds`."""
        try:
            return receive_up(self.control, seconds)
        except (Closed, Malformed) as error:
            raise Gone(f"{type(error).__name__} {error}".strip()) from None

    def kill(self) -> None:
        """SIGKILL it and all it forked."""
        if self.popen.returncode is None:
            try:
                os.killpg(self.popen.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                self.popen.kill()

    def close(self) -> int:
        """Kill, reap, and say how it ended: the exit status, or minus a signal."""
        try:
            self.popen.wait(0.2 if self.popen.poll() is None else 0)
        except subprocess.TimeoutExpired:
            self.kill()
        status = self.popen.wait()
        self.control.close()
        return status

"""One worker slot: a zygote and a judge, started, fed, watched and restarted by the supervisor that owns them."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from sandbox import harden
from sandbox.assemble import Round, assemble, describe, uniform
from sandbox.codec import Malformed
from sandbox.verdict import Limits, Program, Result
from sandbox.wire import NONCE_BYTES, Closed, receive_up, send_down
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
_GRACE_SECONDS = 10.0
_ATTEMPTS = 2
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

    def send(self, message: dict[str, Any], descriptor: int) -> None:
        try:
            self.control.settimeout(_START_SECONDS)
            send_down(self.control, message, [descriptor])
        except (OSError, TimeoutError) as error:
            raise Gone(f"it takes no message: {error}") from None

    def receive(self, seconds: float) -> Any:
        """Its next message; `TimeoutError` after `seconds`."""
        self.control.settimeout(seconds)
        try:
            return receive_up(self.control)
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


class Slot:
    """Judges one program at a time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.processes: dict[str, Process] = {}
        self.closing = False
        self.judged = 0
        self._limits = asdict(settings.limits)

    def judge(self, program: Program) -> Result:
        """The verdict. In fast mode a sample, and whatever ended without evidence, is judged again in isolation."""
        started = time.monotonic()
        result = self._judge_with("worker", program)
        if self.settings.fast:
            self.judged += 1
            doubtful = result.status in ("killed", "infra_error")
            if doubtful or self.judged % self.settings.audit_every == 0:
                result = self._audit(program, result, doubtful)
        return replace(result, wall_ms=(time.monotonic() - started) * 1000)

    def _audit(self, program: Program, fast: Result, doubtful: bool) -> Result:
        """The isolated verdict, which counts; a difference is reported."""
        isolated = self._judge_with("auditor", program)
        if isolated.tests != fast.tests and not doubtful:
            where = f"program {program.key!r}: fast mode says {fast.status}, isolated mode {isolated.status}"
            warnings.warn(f"the modes differ on {where}; the isolated verdict counts", RuntimeWarning, stacklevel=2)
        return isolated

    def _judge_with(self, worker: Role, program: Program) -> Result:
        """A program whose worker or judge dies under it is tried once more, then `infra_error`."""
        problem = ""
        for _ in range(_ATTEMPTS):
            try:
                return self._rounds(worker, program)
            except Gone as error:
                if self.closing:
                    raise
                problem = str(error)
        return uniform(program, "infra_error", f"tried {_ATTEMPTS} times: {problem}")

    def _rounds(self, worker: Role, program: Program) -> Result:
        limits = self.settings.limits
        if not program.tests:
            return uniform(program, "infra_error", "the program has no tests")
        if len(program.source) > limits.source_bytes:
            text = f"the source is {len(program.source)} long, at most {limits.source_bytes} is read"
            return uniform(program, "refused", text)
        if program.kind == "function":
            tests = tuple(test.code for test in program.tests)
            job = {"kind": "function", "setup": program.setup, "tests": tests, "entry_point": program.entry_point}
            return assemble(program, [self._round(worker, program.source, "", job)], limits)
        rounds: list[Round] = []
        for test in program.tests:
            job = {"kind": "stdio", "stdout": test.stdout}
            rounds.append(self._round(worker, program.source, test.stdin, job))
            if {"refused", "syntax", "broken"} & rounds[0].ending.keys():
                rounds *= len(program.tests)
                break
        return assemble(program, rounds, limits)

    def _round(self, role: Role, source: str | bytes, stdin: str, judge_job: dict[str, Any]) -> Round:
        limits = self.settings.limits
        worker, judge = self._process(role), self._process("judge")
        nonce = os.urandom(NONCE_BYTES)
        job = {"kind": judge_job["kind"], "source": source, "stdin": stdin, "nonce": nonce, "limits": self._limits}
        judge_job |= {"nonce": nonce, "cap": limits.output_bytes + 4096, "cpu_seconds": limits.cpu_seconds}
        theirs, judges = socket.socketpair()
        with theirs, judges:
            self._send(role, worker, job, theirs.fileno())
            self._send("judge", judge, judge_job, judges.fileno())
        return self._replies(role, worker, judge)

    def _replies(self, role: Role, worker: Process, judge: Process) -> Round:
        limits = self.settings.limits
        outcome = Round()
        try:
            outcome.verdict = self._receive("judge", judge, limits.wall_seconds)
        except TimeoutError:
            outcome.late = True
            worker.kill()  # the whole session: the child hangs
            self._drop(role)
            try:
                outcome.verdict = self._receive("judge", judge, limits.cpu_seconds + _GRACE_SECONDS)
            except TimeoutError:
                self._drop("judge")
                raise Gone("the judge hangs") from None
            return outcome
        if outcome.verdict.get("overrun"):
            return outcome
        if outcome.verdict.get("spoilt"):  # the tests changed something that outlives them
            judge.kill()
            self._drop("judge")
        try:
            outcome.ending = self._receive(role, worker, _GRACE_SECONDS)
        except TimeoutError:
            worker.kill()
            self._drop(role)
            outcome.ending = {"hangs": True}
        if "error" in outcome.ending:
            self._drop(role)
            raise Gone(str(outcome.ending["error"]))
        return outcome

    def _send(self, role: Role, process: Process, job: dict[str, Any], descriptor: int) -> None:
        try:
            process.send(job, descriptor)
        except Gone as error:
            raise self._gone(role, error) from None

    def _receive(self, role: Role, process: Process, seconds: float) -> dict[str, Any]:
        try:
            reply = process.receive(seconds)
        except Gone as error:
            if role == "judge" and self._drop("judge") == -signal.SIGXCPU:
                self._drop_workers()
                return {"overrun": True}
            raise self._gone(role, error) from None
        if not isinstance(reply, dict):
            raise self._gone(role, Gone("a reply that is no object"))
        return reply

    def _gone(self, role: Role, error: Gone) -> Gone:
        """All go, since the others may be in the middle of this program."""
        status = self._drop(role)
        self._drop("judge")
        self._drop_workers()
        return Gone(f"the {role} is gone ({describe(status)}; {error})")

    def _process(self, role: Role) -> Process:
        if role not in self.processes:
            process = self.processes[role] = Process(role, self.settings)
            if self.closing:
                process.kill()
            process.greet(self.settings)
        return self.processes[role]

    def _drop(self, role: Role) -> int:
        process = self.processes.pop(role, None)
        return process.close() if process is not None else 0

    def _drop_workers(self) -> None:
        self._drop("worker")
        self._drop("auditor")

    def kill(self) -> None:
        """From another thread: end whatever runs, so that the slot's own thread comes back."""
        self.closing = True
        for process in list(self.processes.values()):
            process.kill()

    def close(self) -> None:
        self.kill()
        self._drop("judge")
        self._drop_workers()

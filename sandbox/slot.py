"""One worker slot: a zygote and a judge, started, fed, watched and restarted by the supervisor that owns them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sandbox import harden
from sandbox.codec import Malformed
from sandbox.verdict import NO_EVIDENCE, STATUSES, Limits, Program, Result, Status, TestResult
from sandbox.wire import NONCE_BYTES, Closed, receive_up, send_down
from sandbox.worker import EXIT_MEMORY, Options

_HOME = str(Path(__file__).resolve().parent.parent)
# -P -s -S and an empty environment are what -I is, but for PYTHONHASHSEED: sets must iterate alike in every run.
_FLAGS = ("-P", "-s", "-S", "-c")
_BOOT = "import sys; sys.path.append(sys.argv[1]); from sandbox.worker import main; main(*sys.argv[2:])"
_START_SECONDS = 60.0
_GRACE_SECONDS = 10.0
_ATTEMPTS = 2


Outcome = tuple[Any, str, str]  # status, message, the name of the candidate's exception


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
    language_layer: bool = True
    stop: bool = True


class Process:
    """One of our own processes and the socket to it. Owns a session, so that it and its children can be killed."""

    def __init__(self, role: str, settings: Settings) -> None:
        if not sys.executable:
            raise RuntimeError("sys.executable is empty: the sandbox cannot find a Python interpreter to start")
        ours, theirs = socket.socketpair()
        options = Options(
            parent=os.getpid(),
            role=role,
            language_layer=settings.language_layer,
            stop=settings.stop,
            allow_modules=tuple(sorted(settings.allow_modules)),
        )
        with theirs:
            self.popen = subprocess.Popen(
                [sys.executable, *_FLAGS, _BOOT, _HOME, str(theirs.fileno()), json.dumps(asdict(options))],
                pass_fds=(theirs.fileno(),),
                env={"PYTHONHASHSEED": "0"} | {k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"},
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


@dataclass(slots=True)
class Round:
    """What came of one forked child: the judge's reply, the zygote's reply, and whether the wall clock ran out."""

    verdict: dict[str, Any] = field(default_factory=dict)
    ending: dict[str, Any] = field(default_factory=dict)
    late: bool = False


class Slot:
    """Judges one program at a time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.processes: dict[str, Process] = {}
        self.closing = False

    def judge(self, program: Program) -> Result:
        """The verdict; a program whose worker or judge dies under it is tried once more, then `infra_error`."""
        started = time.monotonic()
        limits = self.settings.limits
        problem = ""
        for _ in range(_ATTEMPTS):
            try:
                result = self._judge(program, limits)
                return replace(result, wall_ms=(time.monotonic() - started) * 1000)
            except Gone as error:
                if self.closing:
                    raise
                problem = str(error)
        return uniform(program, "infra_error", f"tried {_ATTEMPTS} times: {problem}")

    def _judge(self, program: Program, limits: Limits) -> Result:
        if not program.tests:
            return uniform(program, "infra_error", "the program has no tests")
        if len(program.source) > limits.source_bytes:
            text = f"the source is {len(program.source)} long, at most {limits.source_bytes} is read"
            return uniform(program, "refused", text)
        if program.kind == "function":
            job = {
                "kind": "function",
                "setup": program.setup,
                "tests": tuple(test.code for test in program.tests),
                "entry_point": program.entry_point,
            }
            return assemble(program, [self._round(program.source, "", job)], limits)
        rounds: list[Round] = []
        for number, test in enumerate(program.tests):
            job = {"kind": "stdio", "stdout": test.stdout}
            rounds.append(self._round(program.source, test.stdin, job))
            if number == 0 and ({"refused", "syntax"} & rounds[0].ending.keys()):
                rounds *= len(program.tests)
                break
        return assemble(program, rounds, limits)

    def _round(self, source: str | bytes, stdin: str, judge_job: dict[str, Any]) -> Round:
        limits = self.settings.limits
        worker, judge = self._process("worker"), self._process("judge")
        nonce = os.urandom(NONCE_BYTES)
        worker_job = {
            "kind": judge_job["kind"],
            "source": source,
            "stdin": stdin,
            "nonce": nonce,
            "limits": asdict(limits),
        }
        judge_job |= {"nonce": nonce, "cap": limits.output_bytes + 4096, "cpu_seconds": limits.cpu_seconds}
        theirs, judges = socket.socketpair()
        with theirs, judges:
            self._send("worker", worker, worker_job, theirs.fileno())
            self._send("judge", judge, judge_job, judges.fileno())
        del theirs, judges
        return self._replies(worker, judge)

    def _replies(self, worker: Process, judge: Process) -> Round:
        limits = self.settings.limits
        outcome = Round()
        try:
            outcome.verdict = self._receive("judge", judge, limits.wall_seconds)
        except TimeoutError:
            outcome.late = True
            worker.kill()  # the whole session: the child hangs
            try:
                outcome.verdict = self._receive("judge", judge, limits.cpu_seconds + _GRACE_SECONDS)
            except TimeoutError:
                self._drop("judge")
                raise Gone("the judge hangs") from None
        if outcome.late:
            self._drop("worker")
            return outcome
        try:
            outcome.ending = self._receive("worker", worker, _GRACE_SECONDS)
        except TimeoutError:
            self._drop("worker")
            outcome.ending = {"hangs": True}
        if "error" in outcome.ending:
            self._drop("worker")
            raise Gone(str(outcome.ending["error"]))
        return outcome

    def _send(self, role: str, process: Process, job: dict[str, Any], descriptor: int) -> None:
        try:
            process.send(job, descriptor)
        except Gone as error:
            raise self._gone(role, error) from None

    def _receive(self, role: str, process: Process, seconds: float) -> dict[str, Any]:
        try:
            reply = process.receive(seconds)
        except Gone as error:
            if role == "judge" and self._drop("judge") == -signal.SIGXCPU:
                self._drop("worker")
                return {"overrun": True}
            raise self._gone(role, error) from None
        if not isinstance(reply, dict):
            raise self._gone(role, Gone("a reply that is no object"))
        return reply

    def _gone(self, role: str, error: Gone) -> Gone:
        """Both go, since the other one may be in the middle of this program."""
        status = self._drop(role)
        self._drop("judge" if role == "worker" else "worker")
        return Gone(f"the {role} is gone ({describe(status)}; {error})")

    def _process(self, role: str) -> Process:
        if role not in self.processes:
            process = self.processes[role] = Process(role, self.settings)
            if self.closing:
                process.kill()
            process.greet(self.settings)
        return self.processes[role]

    def _drop(self, role: str) -> int:
        process = self.processes.pop(role, None)
        return process.close() if process is not None else 0

    def kill(self) -> None:
        """From another thread: end whatever runs, so that the slot's own thread comes back."""
        self.closing = True
        for process in list(self.processes.values()):
            process.kill()

    def close(self) -> None:
        self.kill()
        for role in ("worker", "judge"):
            self._drop(role)


def describe(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def uniform(program: Program, status: Status, message: str, error_type: str | None = None) -> Result:
    """The same verdict on every test."""
    return Result(
        key=program.key,
        status=status,
        tests=tuple(TestResult(status, message) for _ in program.tests),
        num_passed=0,
        num_tests=len(program.tests),
        score=0.0,
        error_type=error_type,
        error_message=message,
        steps=0,
        cpu_ms=0.0,
        wall_ms=0.0,
        peak_kb=0,
    )


def assemble(program: Program, rounds: list[Round], limits: Limits) -> Result:
    """One result out of one round (function) or one round per test (stdio)."""
    tests: list[TestResult] = []
    error_types: list[str] = []
    for one in rounds:
        wanted = len(program.tests) if program.kind == "function" else 1
        outcomes = _round_tests(one, wanted, limits)
        tests += [TestResult(status, message) for status, message, _ in outcomes]
        error_types += [name for _, _, name in outcomes]
    failed = [test for test in tests if test.status != "passed"]
    worst = next((test for test in failed if test.status in NO_EVIDENCE), failed[0] if failed else None)
    error_type = error_types[tests.index(worst)] if worst and worst.status == "exception" else None
    passed = len(tests) - len(failed)
    usages = [one.ending for one in rounds]
    return Result(
        key=program.key,
        status=worst.status if worst else "passed",
        tests=tuple(tests),
        num_passed=passed,
        num_tests=len(tests),
        score=passed / len(tests),
        error_type=error_type or None,
        error_message=worst.message if worst else None,
        steps=sum(_number(one.verdict.get("steps")) for one in rounds),
        cpu_ms=float(sum(usage.get("cpu_ms", 0.0) for usage in usages)),
        wall_ms=0.0,
        peak_kb=max((int(usage.get("peak_kb", 0)) for usage in usages), default=0),
    )


def _number(value: Any) -> int:
    return value if type(value) is int else 0


def _round_tests(one: Round, wanted: int, limits: Limits) -> list[Outcome]:
    if "refused" in one.ending:
        return [("refused", one.ending["refused"], "")] * wanted
    if "syntax" in one.ending:
        name = one.ending["syntax"]
        return [("exception", f"{name}: {one.ending['message']}", name)] * wanted
    if one.verdict.get("overrun"):
        return [("infra_error", f"the tests ran over {limits.cpu_seconds:g} CPU seconds", "")] * wanted
    found = one.verdict.get("tests")
    if not isinstance(found, list) or len(found) != wanted or not all(map(_is_outcome, found)):
        return [("infra_error", "the judge's reply makes no sense", "")] * wanted
    cause = _cause(one, limits)
    return [cause if outcome[0] == "gone" else tuple(outcome) for outcome in found]


def _is_outcome(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(isinstance(part, str) for part in value)
        and (value[0] == "gone" or value[0] in STATUSES)
    )


def _cause(one: Round, limits: Limits) -> Outcome:
    """Why a child that went away did so."""
    if one.late:
        if not one.verdict.get("waiting"):
            return "infra_error", f"the tests did not end within {limits.wall_seconds:g} seconds", ""
        return "time_limit", f"stopped after {limits.wall_seconds:g} seconds of wall clock", ""
    if one.ending.get("hangs"):
        return "killed", "the program's process did not end when it was told to", ""
    status = one.ending.get("exit", 0)
    spent = one.ending.get("cpu_ms", 0.0) / 1000
    over = f"stopped after {limits.cpu_seconds:g} CPU seconds"
    if status in (-signal.SIGXCPU, -signal.SIGPROF) or (status == -signal.SIGKILL and spent >= limits.cpu_seconds):
        return "time_limit", over, ""
    if status == EXIT_MEMORY:
        return "memory_limit", f"out of {limits.memory_mb} MB", ""
    return "killed", f"the program's process ended by itself ({describe(status)})", ""

"""One program, run as it is: its output, how it ended, what it used. For people; `pool` judges many against tests."""

import json
import os
import signal
import socket
import sys
import threading
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sandbox.assemble import between, describe, is_ending, printable
from sandbox.capture import ENDING, STDERR, STDOUT
from sandbox.codec import Malformed
from sandbox.pool import Mode
from sandbox.process import Gone, Process, Settings
from sandbox.refused import Violation
from sandbox.verdict import Limits
from sandbox.wire import NONCE_BYTES, Channel, Closed
from sandbox.worker import EXIT_MEMORY

Ending = Literal[
    "ended", "exception", "step_limit", "time_limit", "memory_limit", "output_limit", "refused", "killed", "infra_error"
]
_END_SECONDS = 10.0
_FRAME_ROOM = 1 << 20
_NAME_CHARS = 500
_MESSAGE_CHARS = 2_000
_MOST_LISTED = 1_000  # lines of a trace, or violations


@dataclass(frozen=True, slots=True)
class Execution:
    """What one run of a program came to.

    `status` is `ended` when it ran to its end or left by sys.exit(), `exception` when one came out or it is no Python,
    else what stopped it, as in `verdict.STATUSES`. `exit_code` is the program's own, 1 after an exception, None when
    it was stopped. `trace` are (line, function) pairs of the exception, outermost first, (0, "") for those left out.
    `violations` name what was refused, with the line.
    """

    status: Ending
    exit_code: int | None
    stdout: bytes = b""
    stderr: bytes = b""
    error_type: str | None = None
    error_message: str | None = None
    trace: tuple[tuple[int, str], ...] = ()
    violations: tuple[Violation, ...] = ()
    steps: int = 0
    cpu_ms: float = 0.0
    peak_kb: int = 0


def execute(
    source: str | bytes,
    stdin: str | bytes = "",
    *,
    limits: Limits | None = None,
    mode: Mode = "isolated",
    require_hardening: bool | None = None,
    allow_modules: frozenset[str] = frozenset(),
) -> Execution:
    """Run one program behind every wall, under the same rules as a stdio test, and keep what it printed.

    `mode` and `require_hardening` are as in `run_many`. What a program printed is lost when the kernel had to end it
    (`time_limit`, `killed`). Raises RuntimeError when the sandbox itself cannot start, HardeningError among them.
    """
    limits = limits or Limits()
    if len(source) > limits.source_bytes:
        text = f"the source is {len(source)} long, at most {limits.source_bytes} is read"
        return Execution("refused", None, error_message=text, violations=(Violation(0, "source-size", text),))
    required = sys.platform == "linux" if require_hardening is None else require_hardening
    settings = Settings(limits, required, allow_modules, fast=mode == "fast")
    process = Process("worker", settings)
    try:
        process.greet(settings)
        return _run(process, source, stdin, limits)
    finally:
        process.kill()
        process.close()


def _run(process: Process, source: str | bytes, stdin: str | bytes, limits: Limits) -> Execution:
    nonce = os.urandom(NONCE_BYTES)
    job = {"kind": "captured", "number": "", "source": source, "stdin": stdin, "nonce": nonce, "limits": asdict(limits)}
    ours, theirs = socket.socketpair()
    expired = threading.Event()

    def expire() -> None:
        expired.set()  # first, so that the end of the process is never seen without it
        process.kill()

    late = threading.Timer(limits.wall_seconds, expire)
    with ours:
        try:
            with theirs:
                process.send([job], [theirs.fileno()])
            late.start()
            frames = _frames(Channel(ours.fileno(), nonce, 6 * limits.output_bytes + _FRAME_ROOM))
            endings = process.receive(limits.wall_seconds + _END_SECONDS)  # `late` is the first to lose patience
        except Malformed as error:
            return Execution("killed", None, error_message=f"protocol violation: {error}")
        except (Gone, TimeoutError) as error:
            if expired.is_set():
                text = f"stopped after {limits.wall_seconds:g} seconds of wall clock"
                return Execution("time_limit", None, error_message=text)
            return Execution("infra_error", None, error_message=f"the worker is gone: {error}")
        finally:
            late.cancel()
    ending: Any = endings[0] if isinstance(endings, list) and endings else None
    return _assemble(frames, ending if is_ending(ending) else {}, limits)


def _frames(channel: Channel) -> dict[int, bytes]:
    """What the program's process sent before it hung up."""
    frames: dict[int, bytes] = {}
    while ENDING not in frames:
        try:
            number, data = channel.receive()
        except Closed:
            break
        if number not in (STDOUT, STDERR, ENDING) or number in frames:
            raise Malformed(f"an unexpected frame {number}")
        frames[number] = data
    return frames


def _assemble(frames: dict[int, bytes], ending: dict[str, Any], limits: Limits) -> Execution:
    """Both halves are read as untrusted: the program's own process wrote one, the one that forked it the other."""
    if "syntax" in ending:
        return Execution(
            "exception", 1, error_type=str(ending["syntax"]), error_message=printable(str(ending["message"]))
        )
    if "refused" in ending:
        violations = _violations(ending.get("violations", []))
        return Execution("refused", None, error_message=printable(str(ending["refused"])), violations=violations)
    for key in ("broken", "error"):
        if key in ending:
            return Execution("infra_error", None, error_message=str(ending[key]))
    usage: dict[str, Any] = {"cpu_ms": float(ending.get("cpu_ms", 0)), "peak_kb": int(ending.get("peak_kb", 0))}
    if ENDING not in frames:
        status, text = _cause(int(ending.get("exit", 0)), usage["cpu_ms"] / 1000, limits)
        return Execution(status, None, error_message=text, **usage)
    usage |= {"stdout": frames.get(STDOUT, b""), "stderr": frames.get(STDERR, b"")}
    try:
        return _ended(json.loads(frames[ENDING]), usage, limits)
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        return Execution("killed", None, error_message=f"protocol violation: {error}", **usage)


def _ended(tree: Any, usage: dict[str, Any], limits: Limits) -> Execution:
    if type(tree) is list and tree:
        tree[0] = between(0, tree[0], limits.steps)
    match tree:
        case [int(steps), ["exit", int(code), str(text)]] if 0 <= code <= 0xFF:
            errors = usage.pop("stderr") + (f"{text}\n".encode("utf-8", "replace") if text else b"")
            return Execution("ended", code, stderr=errors, steps=steps, **usage)
        case [int(steps), ["error", str(kind), str(text), list(trace)]]:
            usage |= {"error_type": _short(kind), "error_message": _text(text), "trace": _trace(trace)}
            return Execution("exception", 1, steps=steps, **usage)
        case [int(steps), ["limit", ("step_limit" | "memory_limit" | "output_limit" | "refused") as status,
                           str(text), list(trace), list(violations)]]:  # fmt: skip
            usage |= {"error_message": _text(text), "trace": _trace(trace), "violations": _violations(violations)}
            return Execution(status, None, steps=steps, **usage)
    raise ValueError("an ending of no known kind")


def _short(name: str) -> str:
    return printable(name[:_NAME_CHARS])


def _text(message: str) -> str:
    return printable(message[:_MESSAGE_CHARS])


def _trace(tree: list[Any]) -> tuple[tuple[int, str], ...]:
    return tuple((int(line), _short(str(name))) for line, name in tree[:_MOST_LISTED])


def _violations(tree: list[Any]) -> tuple[Violation, ...]:
    listed = tree[:_MOST_LISTED]
    return tuple(Violation(int(line), _short(str(rule)), _text(str(message))) for line, rule, message in listed)


def _cause(status: int, spent: float, limits: Limits) -> tuple[Ending, str]:
    """Why a program's process went away without a word."""
    if status in (-signal.SIGXCPU, -signal.SIGPROF) or (status == -signal.SIGKILL and spent >= limits.cpu_seconds):
        return "time_limit", f"stopped after {limits.cpu_seconds:g} CPU seconds"
    if status == EXIT_MEMORY:
        return "memory_limit", f"out of {limits.memory_mb} MB"
    return "killed", f"the program's process ended by itself ({describe(status)})"

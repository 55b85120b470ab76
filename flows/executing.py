"""`pairwright exec`: one program in the sandbox, its output and its exit as it made them."""

from __future__ import annotations

import json
import sys
from itertools import groupby
from pathlib import Path
from typing import IO, Literal

from flows.config import ConfigError
from flows.judging import walls_or_missing
from sandbox.execution import Execution, execute
from sandbox.verdict import Limits

# What the command exits with when the program did not end by itself; timeout(1) uses 124, a shell has 126 and up.
EXIT_CODES = {
    "refused": 125,
    "step_limit": 124,
    "time_limit": 124,
    "memory_limit": 123,
    "output_limit": 122,
    "killed": 121,
    "infra_error": 120,
}
_STDIN_BYTES = 64 << 20
_LINE_CHARS = 200
_REPEATS = 3  # frames of a recursion that are shown, as CPython does


def run_file(
    file: Path,
    stdin: Path | None,
    *,
    as_json: bool,
    steps: int | None,
    mode: Literal["isolated", "fast"],
    allow: tuple[str, ...],
    require_hardening: bool | None,
) -> int:
    """Run the program in `file` (- is standard input) on `stdin`, show what it did, and return the exit code.

    Raises:
        ConfigError: a file cannot be read, or an option makes no sense.
        MissingError: a wall of the sandbox is missing.
    """
    if steps is not None and steps < 1:
        raise ConfigError(f"--steps must be at least 1, found {steps}")
    if str(file) == "-" and stdin is not None and str(stdin) == "-":
        raise ConfigError("the program and its input cannot both come from standard input")
    limits = Limits() if steps is None else Limits(steps=steps)
    source = _read(file, limits.source_bytes)  # what is longer is refused by name
    data = b"" if stdin is None else _read(stdin, _STDIN_BYTES)
    if len(data) > _STDIN_BYTES:
        raise ConfigError(f"the input {stdin} is longer than the {_STDIN_BYTES >> 20} MB that are read")
    allowed = frozenset(allow)
    with walls_or_missing():
        found = execute(
            source, data, limits=limits, mode=mode, require_hardening=require_hardening, allow_modules=allowed
        )
    code = found.exit_code if found.exit_code is not None else EXIT_CODES[found.status]
    if as_json:
        print(json.dumps(as_row(found)))
        return code
    _write(sys.stdout, found.stdout)
    _write(sys.stderr, found.stderr + "".join(_account(found, source, str(file))).encode("utf-8", "replace"))
    return code


def as_row(found: Execution) -> dict[str, object]:
    """The verdict as JSON's types; bytes that are no UTF-8 are shown as U+FFFD."""
    return {
        "status": found.status,
        "exit_code": found.exit_code,
        "stdout": found.stdout.decode("utf-8", "replace"),
        "stderr": found.stderr.decode("utf-8", "replace"),
        "error_type": found.error_type,
        "error_message": found.error_message,
        "trace": [{"line": line, "function": name} for line, name in found.trace],
        "violations": [violation._asdict() for violation in found.violations],
        "steps": found.steps,
        "cpu_ms": round(found.cpu_ms, 1),
        "peak_kb": found.peak_kb,
    }


def printable(text: str) -> str:
    """The text as a terminal may have it: no escape sequences, nothing that moves the cursor but tab and newline."""
    return "".join(c if c in "\n\t" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _read(path: Path, limit: int) -> bytes:
    """The file's bytes, at most one more than `limit`."""
    try:
        if str(path) == "-":
            return sys.stdin.buffer.read(limit + 1)
        with path.open("rb") as stream:
            return stream.read(limit + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None


def _write(stream: IO[str], data: bytes) -> None:
    """Bytes as they are to a file or a pipe, made harmless to a terminal."""
    stream.flush()
    if stream.isatty():
        stream.write(printable(data.decode("utf-8", "replace")))
    else:
        stream.buffer.write(data)  # type: ignore[attr-defined]
    stream.flush()


def _account(found: Execution, source: bytes, name: str) -> list[str]:
    """What stands on standard error below the program's own: its traceback, or why it was stopped."""
    message = found.error_message or ""
    if found.status == "exception" and not found.trace:
        message = message.replace("(<program>", f"({name}")  # where a SyntaxError stands
    if found.status == "exception":
        head = ["Traceback (most recent call last):\n", *_traceback(found, source, name)] if found.trace else []
        return [*head, f"{found.error_type}: {message}\n" if message else f"{found.error_type}\n"]
    if found.status == "refused" and found.violations:
        return [f"pairwright: refused: {_place(v.line)}{v.message} [{v.rule}]\n" for v in found.violations]
    if found.status == "ended":
        return []
    return [f"pairwright: {found.status}: {_place(found.trace[-1][0] if found.trace else 0)}{message}\n"]


def _place(line: int) -> str:
    return f"line {line}: " if line else ""


def _traceback(found: Execution, source: bytes, name: str) -> list[str]:
    lines = source.decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    shown: list[str] = []
    for (line, function), group in groupby(found.trace):
        times = len(list(group))
        if not line:
            shown.append("  [frames left out]\n")
            continue
        text = lines[line - 1].strip()[:_LINE_CHARS] if line <= len(lines) else ""
        frame = f'  File "{name}", line {line}, in {function}\n' + (f"    {text}\n" if text else "")
        shown += [frame] * min(times, _REPEATS)
        if times > _REPEATS:
            shown.append(f"  [Previous line repeated {times - _REPEATS} more times]\n")
    return shown

"""The candidate's side of a single run: execute the program and hand over all that it printed and how it ended.

Three frames: 1 standard output and 2 standard error as raw bytes, then 0, a JSON list of the steps and the ending:
`["exit", code, text]`, `["error", type, message, trace]` or `["limit", status, message, trace, violations]`. `trace`
are the program's own (line, function) pairs, outermost first, `[0, ""]` where some are left out; `violations` are
(line, rule, message). Nothing here is trusted by the reader.
"""

import json
from types import CodeType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.serve import Service

STDOUT, STDERR, ENDING = 1, 2, 0
_MESSAGE_CHARS = 2_000
_MAX_TRACE = 40  # frames of a traceback
_FILENAME = "<program>"


def run_captured(service: "Service", code: CodeType) -> None:
    """Execute the program and send what came of it."""
    try:
        service.world.run(code)
        ending: list[Any] = ["exit", 0, ""]
    except BaseException as error:  # a candidate may raise anything
        ending = _ending(service, error)
    for number, output in ((STDOUT, "output"), (STDERR, "errors")):
        kept = getattr(service.world, output, None)
        service.channel.send(number, kept.data() if kept is not None else b"")
    # Where the memory ends depends on addresses, and so would the steps until then.
    steps = 0 if ending[1] == "memory_limit" else service.world.steps
    service.channel.send(ENDING, json.dumps([steps, ending]).encode())


def _ending(service: "Service", error: BaseException) -> list[Any]:
    stopped = service.stopped_by(error)
    if stopped is not None:
        status, text = stopped
        trace = _trace(error)
        return ["limit", status, text, trace, _violations(error, trace) if status == "refused" else []]
    if isinstance(error, SystemExit):
        return _exit(service, error.code)
    return ["error", type(error).__name__, _text(service, error), _trace(error)]


def _exit(service: "Service", code: Any) -> list[Any]:
    """As Python does it: None is 0, an int itself, anything else is printed and 1."""
    if code is None or isinstance(code, int):  # by int's own method: a program's subclass is not asked
        return ["exit", 0 if code is None else int.__and__(code, 0xFF), ""]
    return ["exit", 1, _text(service, code)]


def _text(service: "Service", value: Any) -> str:
    try:
        return str.__str__(service.world.call(str, [value]))[:_MESSAGE_CHARS]  # str() may give a subclass
    except BaseException as second:  # its own __str__ failed, or ran into the limit
        return f"(no message: {str.__str__(type(second).__name__)})"


def _violations(error: BaseException, trace: list[tuple[int, str]]) -> list[tuple[int, str, str]]:
    """What was refused, at the line where the program asked for it."""
    here = trace[-1][0] if trace else 0
    return [(line or here, rule, message) for line, rule, message in getattr(error, "violations", ())]


def _trace(error: BaseException) -> list[tuple[int, str]]:
    frames, entry = [], error.__traceback__
    while entry is not None:
        code = entry.tb_frame.f_code
        if code.co_filename == _FILENAME:
            frames.append((entry.tb_lineno or 0, code.co_name))
        entry = entry.tb_next
    if len(frames) > _MAX_TRACE:
        frames[_MAX_TRACE // 2 : -_MAX_TRACE // 2] = [(0, "")]
    return frames

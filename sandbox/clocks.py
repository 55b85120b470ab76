"""The clocks that tests read, and their `sleep`: the program's, or no test could tell how long it slept.

A program's time is its own: it starts at `EPOCH`, and to sleep takes none of ours. What a test that reads it takes is
added, so that one which waits until some time has passed comes to an end.
"""

import sys
import time
import types
from typing import Any

from sandbox import asynctests
from sandbox.stops import EPOCH


class _Tests:
    """Those that run."""

    program: Any = None  # the link to it
    seen = 0.0  # by what clock the time passes here, when it was last looked at


_TESTS = _Tests()


def begin(program: Any) -> None:
    """Another program's tests."""
    _TESTS.program, _TESTS.seen = program, time.monotonic()


def now() -> float:
    """Seconds since the program began: what has passed here since somebody asked has passed there too."""
    before, _TESTS.seen = _TESTS.seen, time.monotonic()
    return asynctests.time_of(_TESTS.program, _TESTS.seen - before)


def sleep(seconds: float, /) -> None:
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    asynctests.time_of(_TESTS.program, float(seconds))


def _names() -> dict[str, Any]:
    def nanoseconds() -> int:
        return int(now() * 1e9)

    return {
        "time": lambda: EPOCH + now(),
        "time_ns": lambda: int(EPOCH) * 10**9 + nanoseconds(),
        "sleep": sleep,
        **dict.fromkeys(("monotonic", "perf_counter", "process_time"), now),
        **dict.fromkeys(("monotonic_ns", "perf_counter_ns", "process_time_ns"), nanoseconds),
    }


def install() -> None:
    """Make this what `import time` finds."""
    module = types.ModuleType("time", time.__doc__)
    vars(module).update(vars(time), **_names())
    sys.modules["time"] = module

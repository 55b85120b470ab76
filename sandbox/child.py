"""What happens in a program's own process: its limits, its universe, and the answers it gives the judge."""

import importlib
import mmap
import os
import resource
import signal
from dataclasses import dataclass
from types import CodeType
from typing import Any

from sandbox.capture import run_captured
from sandbox.codec import FUNCTION, PROGRAM_NAMES, named_tuple
from sandbox.serve import Service, World
from sandbox.verdict import Limits


def confine(limits: Limits, descriptors: int) -> None:
    """A child's own limits: address space, descriptors, and no new process, even where the uid is not our own."""
    memory = limits.memory_mb << 20
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))


def can_map(size: int) -> bool:
    """Whether this process could have that many more bytes of addresses; nothing is touched."""
    if size <= 0:
        return True
    try:
        mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ).close()
    except (OSError, ValueError, OverflowError):
        return False
    return True


def allow_seconds(seconds: float, *, once: bool) -> None:
    """Let the next program burn that much CPU from now on; `once`: and no more can ever be had.

    SIGPROF and SIGXCPU end the process unless it catches them, which takes an escape; then the hard limit kills it.
    """
    signal.setitimer(signal.ITIMER_PROF, seconds)
    whole = int(seconds) + 1
    if not once:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        whole += int(usage.ru_utime + usage.ru_stime) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (whole, whole + 1 if once else resource.RLIM_INFINITY))


def wait_for(child: int) -> dict[str, Any]:
    """How a child ended and what it used, once it has."""
    _, status, used = os.wait4(child, 0)
    return {
        "exit": os.waitstatus_to_exitcode(status),
        "cpu_ms": (used.ru_utime + used.ru_stime) * 1000,
        "peak_kb": used.ru_maxrss,
    }


def usage() -> tuple[float, int]:
    """CPU milliseconds and peak KB of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) * 1000, used.ru_maxrss


@dataclass(frozen=True, slots=True)
class Language:
    """Which universe programs get: the language layer's, or (for tests of the walls behind it) none."""

    layer: bool = True
    allow_modules: frozenset[str] = frozenset()


def serve(service: Service, kind: str, code: CodeType) -> bool:
    """Run one program in its own world and answer the judge until it hangs up; True if no limit ended it."""
    if kind == "stdio":
        service.run_stdio(code)
    elif kind == "captured":
        run_captured(service, code)
    elif service.run(code):
        service.answer()
    return service.clean


def statuses(language: Language) -> dict[type[BaseException], str]:
    """What a program's end by one of these is called."""
    if not language.layer:
        return {MemoryError: "memory_limit"}
    from sandbox.refused import Refused
    from sandbox.stops import OutputLimit, StepLimit

    return {
        StepLimit: "step_limit",
        OutputLimit: "output_limit",
        Refused: "refused",
        MemoryError: "memory_limit",
    }


def make_world(kind: str, stdin: str, limits: Limits, language: Language) -> World:
    """A universe for one program.

    A module under test is imported, not run: what stands under `if __name__ == "__main__"` is no part of it.
    """
    if not language.layer:
        return BareWorld()
    from sandbox.runtime import World as LanguageWorld

    name = "candidate" if kind == "function" else "__main__"
    return LanguageWorld(
        limits=limits, stdin=stdin, allow_modules=language.allow_modules, name=name, keep_errors=kind == "captured"
    )


class BareWorld:
    """No language layer at all, so that tests can prove the walls behind it."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {"__name__": "candidate"}
        self.steps = 0
        self.stdout = ""
        self.named_tuple = named_tuple

    def function(self, text: str) -> Any:
        names: dict[str, Any] = {PROGRAM_NAMES: self.namespace}
        exec(text, names)
        return names[FUNCTION]

    def library(self, module: str, name: str) -> Any:
        return getattr(importlib.import_module(module), name)

    def clock(self, passed: float) -> float:
        return 0.0

    def kind_of(self, value: Any) -> Any:
        return type(value)

    def run(self, code: CodeType) -> None:
        exec(code, self.namespace)

    def call(self, function: Any, args: Any = (), kwargs: Any = None) -> Any:
        return function(*args, **(kwargs or {}))

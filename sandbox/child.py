"""What happens in a program's own process: its limits, its universe, and the answers it gives the judge."""

import signal
from dataclasses import dataclass
from types import CodeType
from typing import Any

from sandbox.serve import Service, World
from sandbox.verdict import Limits
from sandbox.wire import Channel


def confine(limits: Limits, descriptors: int) -> None:
    """A child's own limits: address space, descriptors, and no new process, even where the uid is not our own."""
    import resource

    memory = limits.memory_mb << 20
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))


def allow_seconds(seconds: float, *, once: bool) -> None:
    """Let the next program burn that much CPU from now on; `once`: and no more can ever be had.

    SIGPROF and SIGXCPU end the process unless it catches them, which takes an escape; then the hard limit kills it.
    """
    import resource

    signal.setitimer(signal.ITIMER_PROF, seconds)
    whole = int(seconds) + 1
    if not once:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        whole += int(usage.ru_utime + usage.ru_stime) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (whole, whole + 1 if once else resource.RLIM_INFINITY))


@dataclass(frozen=True, slots=True)
class Language:
    """Which universe programs get: the language layer's, or (for tests of the walls behind it) none."""

    layer: bool = True
    allow_modules: frozenset[str] = frozenset()


def serve(job: dict[str, Any], channel: Channel, code: CodeType, limits: Limits, language: Language) -> bool:
    """Run one program in its own world and answer the judge until it hangs up; True if no limit ended it."""
    world, statuses = _world(job, limits, language)
    service = Service(world, channel, limits, statuses)
    if job["kind"] == "stdio":
        service.run_stdio(code)
    elif service.run(code):
        service.answer()
    return service.clean


def _world(job: dict[str, Any], limits: Limits, language: Language) -> tuple[World, dict[type[BaseException], str]]:
    if not language.layer:
        return BareWorld(), {MemoryError: "memory_limit"}
    from sandbox import runtime
    from sandbox.translate import Refused

    statuses: dict[type[BaseException], str] = {
        runtime.StepLimit: "step_limit",
        runtime.OutputLimit: "output_limit",
        Refused: "refused",
        MemoryError: "memory_limit",
    }
    # A module under test is imported, not run: what stands under `if __name__ == "__main__"` is no part of it.
    name = "__main__" if job["kind"] == "stdio" else "candidate"
    world = runtime.World(limits=limits, stdin=job["stdin"], allow_modules=language.allow_modules, name=name)
    return world, statuses


class BareWorld:
    """No language layer at all, so that tests can prove the walls behind it."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {"__name__": "candidate"}
        self.steps = 0
        self.stdout = ""

    def run(self, code: CodeType) -> None:
        exec(code, self.namespace)

    def call(self, function: Any, args: Any = (), kwargs: Any = None) -> Any:
        return function(*args, **(kwargs or {}))

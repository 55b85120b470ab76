"""The zygote: a small hardened process that translates programs and forks one child for each.

Started by `pool` as a fresh interpreter (nothing of the parent's heap), one per worker slot. It never runs a program
itself. A child closes the control descriptor, lowers its limits, runs the program and answers the judge.
"""

import gc
import json
import os
import signal
import socket
import sys
from dataclasses import dataclass
from types import CodeType
from typing import Any

from sandbox import harden
from sandbox.serve import Service, World
from sandbox.verdict import Limits
from sandbox.wire import NONCE_BYTES, Channel, Closed, receive_down, send_up

EXIT_MEMORY = 70  # a child that ran out of memory where it could not say so
_CHANNEL_CAP = 1 << 30  # what the judge sends is trusted
_MESSAGE_CHARS = 500
_GC_THRESHOLDS = (20_000, 20, 50)  # rarer than the interpreter's own: a collection touches every young page
_REHEARSALS = 20
_REHEARSAL = "from typing import List\ndef f(x: List[int]):\n    for i in range(3):\n        x = x\n    return x\n"


@dataclass(frozen=True, slots=True)
class Options:
    """How a process of ours is started: who started it, which walls, and the test-only switches."""

    parent: int
    role: str
    require_hardening: bool = True
    language_layer: bool = True
    stop: bool = True
    allow_modules: tuple[str, ...] = ()


def main(control: str, options_text: str) -> None:
    """Entry of a process that `pool` starts; `control` is the descriptor to the supervisor."""
    descriptor = int(control)
    options = Options(**json.loads(options_text))
    try:
        role = _ROLES[options.role](descriptor, options)
        role.prepare()
        harden.close_descriptors({0, 1, 2, descriptor})
        sys.stdin = sys.stdout = sys.stderr = None
        standing = harden.harden(stop=options.stop, may_fork=options.role == "worker")
        harden.die_with_parent(options.parent)
    except BaseException as error:
        send_up(descriptor, {"error": f"{type(error).__name__}: {error}"})
        os._exit(1)
    send_up(descriptor, {"walls": standing})
    try:
        role.loop()
    except Closed:
        pass
    os._exit(0)


class Zygote:
    """Forks a child per program and says how it ended."""

    def __init__(self, control: int, options: Options) -> None:
        self.control = control
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=control)
        self.options = options
        self.source: str | bytes | None = None
        self.code: CodeType | None = None
        self.refused: type[Exception] = SyntaxError
        self.pid = os.getpid()

    def prepare(self) -> None:
        if self.options.language_layer:
            from sandbox import runtime, translate

            runtime.prepare()
            self.refused = translate.Refused
        import resource  # noqa: F401  # while files can still be read

        self._rehearse()
        gc.collect()
        gc.freeze()

    def _rehearse(self) -> None:
        """Judge a small program here some times: the interpreter specialises the code that every child will run.

        What is specialised before the fork stays in shared pages and is not done again by each child.
        """
        limits = Limits()
        ask = b'["batch","f",[[1],[[1.5]]]]'
        for _ in range(_REHEARSALS):
            ours, theirs = socket.socketpair()
            with ours, theirs:
                nonce = bytes(NONCE_BYTES)
                Channel(ours.fileno(), nonce, _CHANNEL_CAP).send(1, ask)
                ours.shutdown(socket.SHUT_WR)
                self._translate(_REHEARSAL)
                assert self.code is not None
                job = {"kind": "function", "stdin": ""}
                serve(job, Channel(theirs.detach(), nonce, _CHANNEL_CAP), self.code, limits, self.options)
            self.code = None

    def loop(self) -> None:
        gc.disable()  # a collection would write to pages that the children share
        while True:
            job, descriptors = receive_down(self.socket)
            send_up(self.control, self._one(job, descriptors[0]))

    def _one(self, job: dict[str, Any], channel: int) -> dict[str, Any]:
        try:
            problem = self._translate(job["source"])
            if problem is not None:
                return problem
            child = os.fork()
        except OSError as error:
            return {"error": f"cannot fork: {error}"}
        finally:
            if "child" not in locals() or child != 0:
                os.close(channel)
        if child == 0:
            self._child(job, channel)
        _, status, usage = os.wait4(child, 0)
        return {
            "exit": os.waitstatus_to_exitcode(status),
            "cpu_ms": (usage.ru_utime + usage.ru_stime) * 1000,
            "peak_kb": usage.ru_maxrss,
        }

    def _translate(self, source: str | bytes | None) -> dict[str, Any] | None:
        """Make `self.code` the program's (None: the last one again); what is wrong with it, or None."""
        if source is None or (source == self.source and self.code is not None):
            return None
        self.source, self.code = source, None
        try:
            self.code = self._compile(source)
        except SyntaxError as error:
            return {"syntax": type(error).__name__, "message": str(error)[:_MESSAGE_CHARS]}
        except self.refused as error:
            return {"refused": str(error)[:_MESSAGE_CHARS]}
        return None

    def _compile(self, source: str | bytes) -> CodeType:
        if not self.options.language_layer:
            try:
                return compile(source, "<program>", "exec", dont_inherit=True)
            except ValueError as error:  # a NUL byte, on Python 3.11
                raise SyntaxError(str(error)) from None
        from sandbox.translate import translate

        return translate(source, allow_modules=frozenset(self.options.allow_modules))

    def _child(self, job: dict[str, Any], channel: int) -> None:
        code = EXIT_MEMORY
        try:
            os.close(self.control)
            gc.set_threshold(*_GC_THRESHOLDS)
            gc.enable()
            harden.die_with_parent(self.pid)
            limits = Limits(**job["limits"])
            confine(limits)
            assert self.code is not None
            serve(job, Channel(channel, job["nonce"], _CHANNEL_CAP), self.code, limits, self.options)
            code = 0
        except Closed:
            code = 0
        except MemoryError:
            pass
        except BaseException:
            code = 1
        finally:
            os._exit(code)


def confine(limits: Limits) -> None:
    """A child's own limits: CPU, address space, no new process, no new descriptor."""
    import resource

    signal.setitimer(signal.ITIMER_PROF, limits.cpu_seconds)  # SIGPROF's default is to end the process
    whole = int(limits.cpu_seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (whole, whole + 1))
    memory = limits.memory_mb << 20
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def serve(job: dict[str, Any], channel: Channel, code: CodeType, limits: Limits, options: Options) -> None:
    """Run one program in its own world and answer the judge until it hangs up."""
    world, statuses = _world(job, limits, options)
    service = Service(world, channel, limits, statuses)
    if job["kind"] == "stdio":
        service.run_stdio(code)
    elif service.run(code):
        service.answer()
    channel.close()


def _world(
    job: dict[str, Any], limits: Limits, options: Options
) -> tuple[World, dict[type[BaseException], str]]:
    if not options.language_layer:
        return BareWorld(), {MemoryError: "memory_limit"}
    from sandbox import runtime
    from sandbox.translate import Refused

    statuses: dict[type[BaseException], str] = {
        runtime.StepLimit: "step_limit",
        runtime.OutputLimit: "output_limit",
        Refused: "refused",
        MemoryError: "memory_limit",
    }
    world = runtime.World(limits=limits, stdin=job["stdin"], allow_modules=frozenset(options.allow_modules))
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


def _judge(control: int, options: Options) -> Any:
    from sandbox.judge import Judge

    return Judge(control)


_ROLES: dict[str, Any] = {"worker": Zygote, "judge": _judge}

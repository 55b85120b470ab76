"""The zygote: a small hardened process that translates programs and forks one child for each.

Started by `pool` as a fresh interpreter (nothing of the parent's heap), one per worker slot. It never runs a program
itself. A child closes the control descriptor, lowers its limits, runs the program and answers the judge.
"""

import gc
import json
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType
from typing import Any

from sandbox import harden, memory
from sandbox.child import Language, allow_seconds, confine, make_world, serve, statuses
from sandbox.serve import Service, World
from sandbox.verdict import Limits
from sandbox.wire import NONCE_BYTES, Channel, Closed, receive_down, send_up

EXIT_MEMORY = 70  # a child that ran out of memory where it could not say so
_EXIT_CLOSED = 71  # the supervisor is gone
_SERIES_DESCRIPTORS = 8  # 0, 1, 2, the supervisor and the program's channel, with some to spare
_SERIES = 200  # programs a fast child judges before it is replaced
_CHANNEL_CAP = 1 << 30  # what the judge sends is trusted
_MESSAGE_CHARS = 500
# Characters of a program that is translated by its own child: what CPython's compiler can be made to do with fewer
# stays well below a second.
_LARGE_SOURCE = 16_384
_GC_THRESHOLDS = (20_000, 20, 50)  # rarer than the interpreter's own: a collection touches every young page
_REHEARSALS = 20
_REHEARSAL = "from typing import List\ndef f(x: List[int]):\n    for i in range(3):\n        x = x\n    return x\n"


@dataclass(frozen=True, slots=True)
class Options:
    """How a process of ours is started: who started it, which walls, and the test-only switches."""

    parent: int
    role: str
    fast: bool = False
    language_layer: bool = True
    stop: bool = True
    allow_modules: tuple[str, ...] = ()
    path: tuple[str, ...] = ()  # where allowed modules are found; only sent when there are any


def main(heap: memory.Arenas | None, control: str, options_text: str) -> None:
    """Entry of a process that `pool` starts.

    `heap` is what `memory.gather_heap` answered before anything else was imported; `control` the descriptor to the
    supervisor.
    """
    descriptor = int(control)
    options = Options(**json.loads(options_text))
    os.environ.clear()
    try:
        role = _ROLES[options.role](descriptor, options)
        role.prepare()
        memory.scatter_heap(heap)
        if options.role == "worker":
            memory.into_huge_pages()
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
    except BaseException:  # a traceback would have to read files
        os._exit(1)
    os._exit(0)


class Zygote:
    """Forks a child per program (or, fast, per series of programs) and says how it ended."""

    def __init__(self, control: int, options: Options) -> None:
        self.control = control
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=control)
        self.options = options
        self.fast = options.fast
        self.language = Language(options.language_layer, frozenset(options.allow_modules))
        self.source: str | bytes | None = None
        self.code: CodeType | None = None
        self.refused: tuple[type[BaseException], ...] = ()
        self.statuses: dict[type[BaseException], str] = {}
        self.blank: tuple[Limits, World] | None = None
        self.pid = os.getpid()

    def prepare(self) -> None:
        if self.language.layer:
            from sandbox import freeze, runtime, translate

            runtime.prepare()
            freeze.import_allowed(self.options.allow_modules, self.options.path)
            self.refused = (translate.Refused,)
        self.statuses = statuses(self.language)
        import resource  # noqa: F401  # while files can still be read

        self._rehearse()
        gc.collect()
        gc.freeze()
        harden.give_back_memory()

    def _rehearse(self) -> None:
        """Judge a small program here some times: the interpreter specialises the code that every child will run.

        What is specialised before the fork stays in shared pages and is not done again by each child.
        """
        harden.die_with_parent(os.getppid())
        for _ in range(_REHEARSALS):
            ours, theirs = socket.socketpair()
            with ours, theirs:
                nonce = bytes(NONCE_BYTES)
                Channel(ours.fileno(), nonce, _CHANNEL_CAP).send(1, b'["batch","f",[[1],[[1.5]]]]')
                ours.shutdown(socket.SHUT_WR)
                self._translate(_REHEARSAL)
                assert self.code is not None
                job = {"kind": "function", "stdin": "", "nonce": nonce}
                self._serve(job, theirs.fileno(), Limits())
            self.code = None

    def loop(self) -> None:
        gc.set_threshold(*_GC_THRESHOLDS)
        gc.disable()  # a collection would write to pages that the children share
        while True:
            if self.fast:
                self._series()
            else:
                job, descriptors = receive_down(self.socket)
                send_up(self.control, self._one(job, descriptors[0]))

    def _one(self, job: dict[str, Any], channel: int) -> dict[str, Any]:
        try:
            large = len(job["source"]) > _LARGE_SOURCE
            problem = None if large else self._translate(job["source"])
            if problem is not None:
                return problem
            limits = Limits(**job["limits"])
            world = self._blank_world(limits) if job["kind"] == "function" else None
            if large:
                return self._large(job, channel, limits, world)
            child = self._fork(lambda: self._program(job, channel, limits, world))
        except OSError as error:
            return {"error": f"cannot fork: {error}"}
        finally:
            os.close(channel)
        return _wait(child)

    def _large(self, job: dict[str, Any], channel: int, limits: Limits, world: World | None) -> dict[str, Any]:
        """Fork a child that translates the program itself, under its limits: the compiler can be made to take long.

        What is wrong with the source comes back over a pipe, which the child closes before the program runs.
        """
        reader, writer = os.pipe()
        child = self._fork(lambda: self._program(job, channel, limits, world, writer))
        os.close(writer)
        problem = b""
        while part := os.read(reader, 1 << 16):
            problem += part
        os.close(reader)
        ending = _wait(child)
        return json.loads(problem) if problem and ending["exit"] == 0 else ending

    def _series(self) -> None:
        """Let one child judge programs until it is worn out, and tell how it ended if that was in the middle of one."""
        ending = _wait(self._fork(self._programs))
        if ending["exit"] == _EXIT_CLOSED:
            raise Closed
        if ending["exit"] != 0:
            send_up(self.control, ending)

    def _fork(self, work: Callable[[], None]) -> int:
        child = harden.fork()
        if child:
            return child
        code = 1
        try:
            harden.die_with_parent(self.pid)
            gc.enable()
            work()
            code = 0
        except Closed:
            code = _EXIT_CLOSED
        except MemoryError:
            code = EXIT_MEMORY
        finally:
            os._exit(code)

    def _blank_world(self, limits: Limits) -> World:
        """A world that every child gets its own copy of by the fork; never used here.

        Built in the child it would cost 400 page faults, most of what a small program takes in all.
        """
        if self.blank is None or self.blank[0] != limits:
            self.blank = limits, make_world("function", "", limits, self.language)
        return self.blank[1]

    def _program(
        self, job: dict[str, Any], channel: int, limits: Limits, world: World | None, problems: int | None = None
    ) -> None:
        os.close(self.control)
        confine(limits, 0)
        allow_seconds(limits.cpu_seconds, once=True)
        if problems is not None:
            problem = self._translate(job["source"])
            if problem is not None:
                os.write(problems, json.dumps(problem).encode())
                return
            os.close(problems)
        self._serve(job, channel, limits, world)

    def _programs(self) -> None:
        confined = False
        for _ in range(_SERIES):
            job, (channel,) = receive_down(self.socket)
            limits = Limits(**job["limits"])
            if not confined:
                confine(limits, _SERIES_DESCRIPTORS)
                confined = True
            allow_seconds(limits.cpu_seconds, once=False)
            before = _usage()
            reply = self._translate(job["source"])
            clean = reply is not None or self._serve(job, channel, limits)
            os.close(channel)
            after = _usage()
            reply = reply or {"exit": 0, "cpu_ms": after[0] - before[0], "peak_kb": after[1]}
            send_up(self.control, reply)
            if not clean:
                return

    def _serve(self, job: dict[str, Any], channel: int, limits: Limits, world: World | None = None) -> bool:
        assert self.code is not None
        try:
            if world is None:
                world = make_world(job["kind"], job["stdin"], limits, self.language)
            service = Service(world, Channel(channel, job["nonce"], _CHANNEL_CAP), limits, self.statuses)
            return serve(service, job["kind"], self.code)
        except Closed:
            return True

    def _translate(self, source: str | bytes) -> dict[str, Any] | None:
        """Make `self.code` the program's; what is wrong with it, or None. The tests of a stdio program share it."""
        if source == self.source and self.code is not None:
            return None
        self.source, self.code = source, None
        try:
            self.code = self._compile(source)
        except SyntaxError as error:
            return {"syntax": type(error).__name__, "message": str(error)[:_MESSAGE_CHARS]}
        except self.refused as error:
            return {"refused": str(error)[:_MESSAGE_CHARS], "violations": getattr(error, "violations", ())}
        except Exception as error:  # a bug of ours: it must cost this program's verdict and not the worker
            return {"broken": f"the translator failed: {type(error).__name__}: {error}"[:_MESSAGE_CHARS]}
        return None

    def _compile(self, source: str | bytes) -> CodeType:
        if not self.language.layer:
            try:
                return compile(source, "<program>", "exec", dont_inherit=True)
            except ValueError as error:  # a NUL byte, on Python 3.11
                raise SyntaxError(str(error)) from None
        from sandbox.translate import translate

        return translate(source, allow_modules=self.language.allow_modules)


def _wait(child: int) -> dict[str, Any]:
    _, status, usage = os.wait4(child, 0)
    return {
        "exit": os.waitstatus_to_exitcode(status),
        "cpu_ms": (usage.ru_utime + usage.ru_stime) * 1000,
        "peak_kb": usage.ru_maxrss,
    }


def _usage() -> tuple[float, int]:
    """CPU milliseconds and peak KB of this process so far."""
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF)
    return (usage.ru_utime + usage.ru_stime) * 1000, usage.ru_maxrss


def _judge(control: int, options: Options) -> Any:
    from sandbox.judge import Judge

    return Judge(control)


_ROLES: dict[str, Any] = {"worker": Zygote, "judge": _judge}

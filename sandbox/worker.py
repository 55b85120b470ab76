"""The zygote: a small hardened process that translates programs and forks one child for each.

Started by `pool` as a fresh interpreter (nothing of the parent's heap), one per worker slot. It never runs a program
itself. A child closes the control descriptor, lowers its limits, runs the program and answers the judge.
"""

import gc
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sandbox import harden, memory
from sandbox.child import Language, allow_seconds, can_map, confine, make_world, serve, statuses, usage, wait_for
from sandbox.serve import Service, World
from sandbox.translated import Translated, Translations
from sandbox.verdict import Limits
from sandbox.wire import CHUNK, NONCE_BYTES, Channel, Closed, Replies, receive_down, send_up

EXIT_MEMORY = 70  # a child that ran out of memory where it could not say so
_EXIT_CLOSED = 71  # the supervisor is gone
_EXIT_WORN = 72  # the next programs are for another child
_SERIES_DESCRIPTORS = CHUNK + 8  # 0, 1, 2, the supervisor and the programs' channels, with some to spare
_SERIES = 200  # programs a fast child judges before it is replaced
_CHANNEL_CAP = 1 << 30  # what the judge sends is trusted
# A program of more characters, or whose translation takes more memory, is translated by its own child. What CPython's
# compiler can be made to do with less takes about a second: it writes the code of a `finally` once for every way into
# it, so that twenty of them, each in the one before, are a million copies.
_LARGE_SOURCE = 16_384
_LARGE_TRANSLATION = 128 << 20
_KEPT = 128 << 20  # of its memory that a series may lose, such as to a deep stack, before the next one takes over
_GC_THRESHOLDS = (20_000, 20, 50)  # rarer than the interpreter's own: a collection touches every young page
_REHEARSALS = 20
_BLANK_WORLDS = 16
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
        self.translations = Translations(self.language)
        self.statuses: dict[type[BaseException], str] = {}
        self.blank: dict[Limits, World] = {}
        self.objects = 0  # that the collector knows of what a program leaves which leaves nothing, such as a context
        self.alone = False  # this is the process of one program, and ends with it
        self.size = 0  # bytes of address space before any program; 0 where the system does not say
        self.pid = os.getpid()
        self.room = 0  # bytes of address space while programs are translated here; 0: as many as there are

    def prepare(self) -> None:
        if self.language.layer:
            from sandbox import freeze, runtime

            runtime.prepare()
            freeze.import_allowed(self.options.allow_modules, self.options.path)
        self.statuses = statuses(self.language)
        import resource  # noqa: F401  # while files can still be read

        self._rehearse()
        gc.collect()
        gc.freeze()
        harden.give_back_memory()
        self.size = memory.address_space()
        self.room = self.size + _LARGE_TRANSLATION if self.size else 0

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
                translated = self.translations.translate(_REHEARSAL)
                job = {"kind": "function", "stdin": "", "nonce": nonce}
                self._serve(job, translated, theirs.fileno(), Limits())
        self._enter(None)
        self.translations.source = None

    def loop(self) -> None:
        gc.set_threshold(*_GC_THRESHOLDS)
        gc.disable()  # a collection would write to pages that the children share
        while True:
            if self.fast:
                self._series()
            else:
                self._chunk(*receive_down(self.socket))

    def _chunk(self, jobs: list[dict[str, Any]], channels: list[int]) -> None:
        """Translate programs, then run one after the other, each in a child that has no other's channel."""
        replies = Replies(self.control)
        with self._little_memory():
            translations = [self._translate_early(job["source"]) for job in jobs]
        for number, (job, translated) in enumerate(zip(jobs, translations, strict=True)):
            ending = self._one(job, translated, channels[number:])
            replies.add(ending | {"job": job["number"]})
        replies.send()

    @contextmanager
    def _little_memory(self) -> Iterator[None]:
        """Meanwhile this process cannot grow by much: nobody's limits hold for it, and all memory is the machine's."""
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        if self.room and (hard < 0 or self.room < hard):
            resource.setrlimit(resource.RLIMIT_AS, (self.room, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

    def _translate_early(self, source: str | bytes) -> Translated | None:
        """None for a large program: its own child translates it, under its limits."""
        if len(source) > _LARGE_SOURCE:
            return None
        translated = self.translations.translate(source)
        if not translated.exhausting:
            return translated
        self.translations.source = None
        return None

    def _one(self, job: dict[str, Any], translated: Translated | None, channels: list[int]) -> dict[str, Any]:
        try:
            if translated is not None and translated.problem:
                return translated.problem
            limits = Limits(**job["limits"])
            world = self._blank_world(limits) if job["kind"] == "function" else None
            if translated is None:
                return self._large(job, channels, limits, world)
            child = self._fork(lambda: self._program(job, translated, channels, limits, world))
        except OSError as error:
            return {"error": f"cannot fork: {error}"}
        finally:
            os.close(channels[0])
        return wait_for(child)

    def _large(self, job: dict[str, Any], channels: list[int], limits: Limits, world: World | None) -> dict[str, Any]:
        """Fork a child that translates the program itself, under its limits: the compiler can be made to take long.

        What is wrong with the source comes back over a pipe, which the child closes before the program runs.
        """
        reader, writer = os.pipe()
        child = self._fork(lambda: self._program(job, None, channels, limits, world, writer))
        os.close(writer)
        problem = b""
        while part := os.read(reader, 1 << 16):
            problem += part
        os.close(reader)
        ending = wait_for(child)
        return json.loads(problem) if problem and ending["exit"] == 0 else ending

    def _series(self) -> None:
        """Let one child judge programs until it is worn out, and tell how it ended if that was in the middle of one.

        Whose end that was is not said: the child could have said anything before it ended.
        """
        ending = wait_for(self._fork(self._programs))
        if ending["exit"] == _EXIT_CLOSED:
            raise Closed
        if ending["exit"] != _EXIT_WORN:
            send_up(self.control, [ending])

    def _fork(self, work: Callable[[], int]) -> int:
        gc.collect()  # it empties the free lists, which count too; in the child it would copy the pages they are in
        gc.freeze()  # the next one need not look at what is here now, nor write to its pages
        child = harden.fork()
        if child:
            return child
        code = 1
        try:
            harden.die_with_parent(self.pid)
            gc.enable()
            code = work()
        except Closed:
            code = _EXIT_CLOSED
        except MemoryError:
            code = EXIT_MEMORY
        finally:
            os._exit(code)

    def _blank_world(self, limits: Limits) -> World | None:
        """A world that every child gets its own copy of by the fork; never used here.

        Built in the child it would cost 400 page faults, most of what a small program takes in all. They stay, since
        they are frozen: where there are too many limits to have one for each, None.
        """
        if limits not in self.blank and len(self.blank) < _BLANK_WORLDS:
            self.blank[limits] = make_world("function", "", limits, self.language)
        return self.blank.get(limits)

    def _program(
        self,
        job: dict[str, Any],
        translated: Translated | None,
        channels: list[int],
        limits: Limits,
        world: World | None,
        problems: int | None = None,
    ) -> int:
        channel, *others = channels
        for descriptor in (self.control, *others):
            os.close(descriptor)
        confine(limits, 0)
        allow_seconds(limits.cpu_seconds, once=True)
        if translated is None:
            assert problems is not None
            translated = self.translations.translate(job["source"])
            if translated.problem:
                os.write(problems, json.dumps(translated.problem).encode())
                return 0
            os.close(problems)
        self.alone = True
        self._serve(job, translated, channel, limits, world)
        return 0

    def _programs(self) -> int:
        """The child of a series: chunk after chunk, until one of its programs ran into a limit."""
        judged = 0
        while judged < _SERIES:
            jobs, channels = receive_down(self.socket)
            limits = Limits(**jobs[0]["limits"])
            if not judged:
                confine(limits, _SERIES_DESCRIPTORS)
                gc.freeze()
                # What a world leaves and the next one replaces, such as a decimal context, is there from the first on,
                # and is what may be there after every program.
                make_world("function", "", limits, self.language).call(int)
                gc.collect()
                self.objects = len(gc.get_objects())
            judged += len(jobs)
            if not self._in_turn(jobs, channels, limits):
                break
        return _EXIT_WORN

    def _in_turn(self, jobs: list[dict[str, Any]], channels: list[int], limits: Limits) -> bool:
        """Run the programs of a chunk in this process; after one that a limit ended the others are not run."""
        replies = Replies(self.control)
        allow_seconds(limits.cpu_seconds, once=False)
        translations = [self._translate_early(job["source"]) for job in jobs]
        clean = True
        gc.collect()  # or what the translator left in cycles is frozen with the rest
        for job, channel, translated in zip(jobs, channels, translations, strict=True):
            reply: dict[str, Any] = {"again": True}
            if clean:
                allow_seconds(limits.cpu_seconds, once=False)
                reply, clean = self._here(job, channel, translated, limits)
            os.close(channel)
            replies.add(reply | {"job": job["number"]})
        replies.send()
        return clean

    def _here(
        self, job: dict[str, Any], channel: int, translated: Translated | None, limits: Limits
    ) -> tuple[dict[str, Any], bool]:
        """The reply, and whether this process may go on."""
        before = usage()
        if translated is None or (translated.apart and job["kind"] != "captured"):
            return {"alone": True}, True
        if translated.problem:
            return translated.problem, True
        # Nothing that is there now is counted afterwards. What goes would make room for what is left, and so would
        # tuples within tuples, such as constants, which the collector gives up one after the other.
        gc.freeze()
        clean = self._serve(job, translated, channel, limits)
        if self.language.layer:
            from sandbox import freeze, stops

            self._enter(stops.OVER)
            freeze.forget()
        gc.collect()  # a program's finalizers run now, on its own account, and not in the next one's world
        if self.language.layer:
            freeze.restore()  # what they changed
            # All that may run code when it ends, or holds what may, is known to the collector. Where there is more than
            # a world leaves, some of the program's may be left: what a finalizer put somewhere, or a cache was given.
            # A class of another kind than the text shows may have given it what changes the library and leaves nothing.
            clean = clean and len(gc.get_objects()) <= self.objects and not stops.runs_apart()
        clean = clean and (not self.size or can_map((limits.memory_mb << 20) - self.size - _KEPT))
        self._enter(None)
        after = usage()
        return {"exit": 0, "cpu_ms": after[0] - before[0], "peak_kb": after[1]}, clean

    def _serve(
        self, job: dict[str, Any], translated: "Translated", channel: int, limits: Limits, world: World | None = None
    ) -> bool:
        assert translated.code is not None
        try:
            if world is None:
                world = make_world(job["kind"], job["stdin"], limits, self.language)
            # The collector counts from here to its next turn: what ends then may print, alike in every run.
            (gc.freeze if self.alone else gc.collect)()
            self._enter(world)
            service = Service(world, Channel(channel, job["nonce"], _CHANNEL_CAP), limits, self.statuses)
            return serve(service, job["kind"], translated.code)
        except Closed:
            return True

    def _enter(self, world: Any) -> None:
        """From now on what runs is the program's, also between calls, when its objects end: under its world's rules."""
        if self.language.layer:
            from sandbox import stops

            stops.enter(world)


def _judge(control: int, options: Options) -> Any:
    from sandbox.judge import Judge

    return Judge(control)


_ROLES: dict[str, Any] = {"worker": Zygote, "judge": _judge}

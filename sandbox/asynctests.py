"""asyncio for the tests: their own coroutines run in the judge, and what the program gave runs in the program.

There is nothing here that an event loop could wait for, and no file to import one from. Whatever of the program's is
awaited runs there until it is done; what is gathered or made a task together runs there together. Where several of the
tests' coroutines are on their way they, and those in the program, go on in turn, by one clock.
"""

import math
import sys
import types
from collections.abc import Callable, Generator
from typing import Any, NoReturn

from sandbox import asyncfunctions, asyncloop
from sandbox.asynctasks import Future
from sandbox.codec import Uncrossable
from sandbox.handles import Awaited, Remote


class _Clock:
    slept = 0.0

    def clock(self) -> float:
        return self.slept


class _Loop(asyncloop.Loop):
    """The loop of the tests' own coroutines."""

    rounds_in_least_wait = 20  # more would be more questions to the program than a test may ask

    program: Any = None  # the link to the one whose tests run
    link: Any = None  # to it, once its coroutines have turns
    told = 0.0  # how much of the time the program knows of
    wakes = 0.0  # when somebody in the program can go on again, unless it was asked for something since
    asked = 0
    turns = 0  # before the program's coroutines have theirs
    called: tuple[Any, int] | None = None  # the link, once something that is no coroutine may have begun some there

    def __init__(self, clock: asyncloop.Clock) -> None:
        super().__init__(clock)
        self.waiting: list[tuple[Any, Future]] = []  # for tasks of the program's
        self.own = set[int]()  # ids of the asynchronous generators that have begun

    def run(self, main: Any, *, debug: Any = None) -> Any:
        try:
            return super().run(main)
        finally:
            self.waiting.clear()
            self.called = None

    def _turn(self) -> None:
        self._join_where_called()
        if self.link is not None and self.turns <= 0:
            self._let_the_program_go_on()
            if not self.ready:
                self._busy_round()
                return
        self.turns -= 1
        super()._turn()

    def join(self, link: Any) -> None:
        """From now on the program's coroutines have turns too, after those that can go on here already."""
        if self.link is None and link is self.program:
            self.link, self.turns = link, len(self.ready)

    def _join_where_called(self) -> None:
        if self.called is not None:
            (link, turns), self.called = self.called, None
            if self.link is None and link.ask("busy") is True:
                self.link, self.turns = link, turns

    def _let_the_program_go_on(self) -> None:
        """Each of its coroutines that can, once; if nobody can here or there, until the first one wakes."""
        now = self.clock.slept
        if self.asked != self.link.calls or now >= self.wakes:
            behind, self.told = now - self.told, now
            found = self.link.ask("pass_time", behind)
            seconds = found if type(found) is float and found >= 0 else math.inf
            self.wakes = now + seconds
            if seconds == 0:
                self._end_the_waiting()
            self.asked = self.link.calls
        if not self.ready and self.wakes > now:
            self.busy_rounds = 0
            at = self.next_alarm()
            self.clock.slept = min(self.wakes, math.inf if at is None else at)
            if self.clock.slept == math.inf:
                self.clock.slept = now
                self.stuck()
            self.wake(self.clock.slept)
        self.turns = len(self.ready)

    def _end_the_waiting(self) -> None:
        """Of those whose tasks are done."""
        done = _done(self.link, *(task for task, _ in self.waiting))
        waiting, self.waiting = self.waiting, []
        for is_done, one in zip(done, waiting, strict=True):
            if is_done:
                one[1]._sandbox_finish()
            else:
                self.waiting.append(one)

    def task(self, awaitable: Any, name: Any = None) -> Any:
        of_program = isinstance(awaitable, Remote | _Task)
        return super().task(asyncloop.awaited(awaitable) if of_program else awaitable, name)

    def generator_begins(self, generator: Any) -> None:
        self.own.add(id(generator))
        super().generator_begins(generator)

    def generator_ends(self, generator: Any) -> None:
        """Of a test that is over nothing goes on among the next one's coroutines."""
        if self.running and id(generator) in self.own:
            super().generator_ends(generator)

    def clear(self) -> None:
        super().clear()
        self.own.clear()

    def end_the_rest(self) -> None:
        """In the program too: its tasks are those of the loop that has run."""
        super().end_the_rest()
        self._join_where_called()
        if self.link is not None:
            self.link.ask("end_the_rest")

    def missing(self, value: object, name: str) -> NoReturn:
        """What would have been there is no answer of the program's."""
        _missing(f"{name} of a task", name)

    def time(self) -> float:
        return time_of(self.program, 0.0)

    def stuck(self) -> None:
        raise RuntimeError("every coroutine of the test waits for another one")

    def start(self, program: Any) -> None:
        self.clear()
        self.waiting.clear()
        self.running, self.called = False, None
        self.clock.slept = self.told = 0.0
        self.asked = -1
        self.program, self.link = program, None


_LOOP = _Loop(_Clock())


def nobody_else() -> bool:
    """Has no other coroutine of the tests' anything to do while this one waits for the program?"""
    return not (_LOOP.ready or _LOOP.next_alarm() is not None or _LOOP.waiting)


def in_loop(link: Any, operation: str, build: Callable[[Any], list[Any]]) -> tuple[str, Callable[[Any], list[Any]]]:
    """While the tests' loop runs the program's does: what is called there may begin tasks, which have turns then."""
    if not _LOOP.running or _LOOP.program is not link:
        return operation, build
    if _LOOP.called is None:
        _LOOP.called = link, len(_LOOP.ready)
    return "in_loop", lambda packer: [operation, *build(packer)]


def tell_time(link: Any) -> None:
    """Let the program's clock say what the tests' does: what it is asked now, it is asked at that time."""
    if _LOOP.program is link and _LOOP.clock.slept > _LOOP.told:
        behind, _LOOP.told = _LOOP.clock.slept - _LOOP.told, _LOOP.clock.slept
        link.ask("clock", behind)


def catch_up(link: Any) -> None:
    """Let the program's coroutines go on for the time that has passed for the tests; from now on they have turns."""
    _LOOP.join(link)
    if _LOOP.link is link and _LOOP.clock.slept > _LOOP.told:
        behind, _LOOP.told = _LOOP.clock.slept - _LOOP.told, _LOOP.clock.slept
        link.ask("sleep", behind)


def time_of(program: Any, passed: float) -> float:
    """Seconds on its clock, once so many more have passed, with those of which it does not know yet."""
    found = None if program is None else program.ask("clock", passed)
    _LOOP.clock.slept += passed
    _LOOP.told += passed
    return (found if type(found) is float else 0.0) + _LOOP.clock.slept - _LOOP.told


def _done(link: Any, *tasks: Any) -> list[bool]:
    """Which of these tasks of the program's are; asked at once, or many would be asked for as often as they are."""
    found = link.ask("done", *tasks)
    known = type(found) is tuple and len(found) == len(tasks)
    return [known and one is True for one in (found if known else tasks)]


def wait(link: Any, task: Any) -> Generator[Any, Any, None]:
    """Until this task of the program's is done."""
    if not all(_done(link, task)):
        _LOOP.join(link)
        waiter = Future()
        _LOOP.waiting.append((task, waiter))
        yield from waiter.__await__()


class _Task:
    """A task in the program."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._remote.__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._remote, name)


def _missing(what: str, name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(name)
    raise Uncrossable(f"a test uses {what}, which the judge has not")


def _of_program(awaitables: tuple[Any, ...]) -> list[Remote]:
    """The program's side of them; nothing unless all are the program's."""
    found = [one._remote if type(one) is _Task else one for one in awaitables]
    return found if all(isinstance(one, Remote) for one in found) else []


# What would not know the program's coroutines and tasks for what they are.
_APART = ("TaskGroup", "Task", "all_tasks", "isfuture")


def _names() -> dict[str, Any]:
    own = asyncfunctions.names(_LOOP)
    for name in _APART:
        del own[name]

    def gather(*awaitables: Any, return_exceptions: bool = False) -> Any:
        """Those of the program's are tasks there from now on, which take turns among themselves."""
        begun = [create_task(remote) for remote in _of_program(awaitables)]
        return own["gather"](*(begun or awaitables), return_exceptions=return_exceptions)

    async def wait_for(awaitable: Any, timeout: float | None) -> Any:
        for remote in _of_program((awaitable,)):
            return await Awaited(remote._sandbox_link.until_done("wait_for", remote, timeout))
        return await own["wait_for"](awaitable, timeout)

    def create_task(coroutine: Any, *, name: Any = None, context: Any = None) -> Any:
        for remote in _of_program((coroutine,)):
            _LOOP.join(remote._sandbox_link)
            return _Task(_LOOP.link.ask("create_task", remote, name))
        return own["create_task"](coroutine, name=name)

    def alone(function: Callable[..., Any], what: str) -> Callable[..., Any]:
        """It gives the awaitables themselves, which those of the program's are not."""

        def call(awaitables: Any, **options: Any) -> Any:
            awaitables = list(awaitables)
            if any(isinstance(one, Remote | _Task) for one in awaitables):
                raise Uncrossable(f"a test uses asyncio.{what} of what the program gave")
            return function(awaitables, **options)

        return call

    def iscoroutinefunction(value: Any) -> Any:
        if isinstance(value, Remote):
            return value._sandbox_link.ask("iscoroutinefunction", value)
        return own["iscoroutinefunction"](value)

    return own | {
        "gather": gather,
        "wait_for": wait_for,
        "create_task": create_task,
        "ensure_future": create_task,
        "iscoroutinefunction": iscoroutinefunction,
        **{name: alone(own[name], name) for name in ("wait", "as_completed")},
    }


def install() -> None:
    """Make this what `import asyncio` finds."""
    module = types.ModuleType("asyncio")
    vars(module).update(_names(), __getattr__=lambda name: _missing(f"asyncio.{name}", name))
    sys.modules["asyncio"] = module


def begin(program: Any) -> None:
    """Another program's tests: nothing of these waits in the loop."""
    _LOOP.start(program)

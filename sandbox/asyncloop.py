"""asyncio for one program: coroutines in turn, time that only passes when everybody sleeps."""

import heapq
import itertools
import types
from collections import deque
from collections.abc import Coroutine, Generator, Sequence
from inspect import CO_COROUTINE
from typing import Any, Protocol

from sandbox import asyncwaits
from sandbox.asyncwaits import Task
from sandbox.stops import refuse

_SAME_TIME = 1e-9  # seconds: two clocks that are added up differently


class Clock(Protocol):
    """Where slept seconds are added."""

    slept: float

    def clock(self) -> float:
        """Seconds, as the time that coroutines read."""


class CancelledError(Exception):
    """asyncio.CancelledError; nothing cancels a task here but wait_for."""


CancelledError.__module__ = "asyncio"


@types.coroutine
def _pause(wish: Any) -> Generator[Any, Any, Any]:
    """Hand over to the loop until the wish is granted: a number of seconds, or a task that is done."""
    return (yield wish)


class Loop:
    """Tasks that can go on, and tasks that sleep, by waking time and then by order."""

    kind = Task

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ready: deque[Task] = deque()
        self.sleeping: list[tuple[float, int, Task]] = []
        self.order = itertools.count()
        self.running = False

    def task(self, awaitable: Any) -> Task:
        if isinstance(awaitable, Task):
            return awaitable
        if not hasattr(awaitable, "send"):
            if not hasattr(awaitable, "__await__"):
                raise TypeError("An asyncio.Future, a coroutine or an awaitable is required")
            awaitable = awaited(awaitable)
        task = self.kind(awaitable)
        self.ready.append(task)
        return task

    def run(self, main: Any) -> Any:
        if self.running:
            raise RuntimeError("asyncio.run() cannot be called from a running event loop")
        if not isinstance(main, Coroutine):
            raise ValueError(f"a coroutine was expected, got {main!r}")
        try:
            return self.until(main)
        finally:
            self.ready.clear()
            self.sleeping.clear()

    def until(self, awaitable: Any) -> Any:
        """Let everybody go on until that is done."""
        self.running = True
        try:
            task = self.task(awaitable)
            while not task._sandbox_done:
                self._turn()
            return task.result()
        finally:
            self.running = False

    def begin(self, awaitable: Any) -> Task:
        """A task that has gone on as far as it can at once, as what is awaited does."""
        known = isinstance(awaitable, Task)
        task = self.task(awaitable)
        if not known:
            self.ready.remove(task)
            self.ready.appendleft(task)
            self._go_on(1)
        return task

    def pass_time(self, seconds: float) -> float | None:
        """Let all that can go on do so once after that time; the seconds until there is one again, None if never."""
        self.clock.slept += seconds
        while self.sleeping and self.sleeping[0][0] <= self.clock.slept + _SAME_TIME:
            self.ready.append(heapq.heappop(self.sleeping)[2])
        if self.ready:
            self._go_on(len(self.ready))
            return 0.0
        return self.sleeping[0][0] - self.clock.slept if self.sleeping else None

    def _go_on(self, turns: int) -> None:
        self.running = True
        try:
            for _ in range(turns):
                self._advance(self.ready.popleft())
        finally:
            self.running = False

    def time(self) -> float:
        return self.clock.clock()

    def stuck(self) -> None:
        refuse("waiting", "every coroutine waits for another one")

    def _turn(self) -> None:
        if not self.ready:
            if not self.sleeping:
                self.stuck()
            at, _, task = heapq.heappop(self.sleeping)
            self.clock.slept = max(self.clock.slept, at)
            self.ready.append(task)
        self._advance(self.ready.popleft())

    def _advance(self, task: Task) -> None:
        try:
            wish = task._sandbox_coroutine.send(None)
        except StopIteration as end:
            task._sandbox_value = end.value
        except Exception as error:
            task._sandbox_error = error
        else:
            # No class below it: a program's `__setattr__` would be given this loop, and with it the world.
            if type(wish) in (Task, self.kind):
                wish._sandbox_loop = self
                (self.ready if wish._sandbox_done else wish._sandbox_waiting).append(task)
            elif type(wish) is float and wish > 0:
                heapq.heappush(self.sleeping, (self.clock.slept + wish, next(self.order), task))
            else:
                self.ready.append(task)
            return
        task._sandbox_finish()


class EventLoop:
    """What asyncio.new_event_loop() gives: there is one loop, whoever asks for it."""

    def __init__(self, loop: Loop) -> None:
        self._sandbox_loop = loop
        self._sandbox_closed = False

    def run_until_complete(self, future: Any) -> Any:
        if self._sandbox_closed:
            raise RuntimeError("Event loop is closed")
        if self._sandbox_loop.running:
            raise RuntimeError("This event loop is already running")
        return self._sandbox_loop.until(future)

    def create_task(self, coroutine: Any, *, name: Any = None) -> Task:
        return self._sandbox_loop.task(coroutine)

    def time(self) -> float:
        return self._sandbox_loop.time()

    def is_running(self) -> bool:
        return self._sandbox_loop.running

    def is_closed(self) -> bool:
        return self._sandbox_closed

    def close(self) -> None:
        self._sandbox_closed = True


EventLoop.__module__ = "asyncio"


async def awaited(awaitable: Any) -> Any:
    return await awaitable


async def results(tasks: Sequence[Any], return_exceptions: bool) -> list[Any]:
    """What asyncio.gather() gives of tasks that have begun."""
    found: list[Any] = []
    for task in tasks:
        try:
            found.append(await task)
        except Exception as error:
            if not return_exceptions:
                raise
            found.append(error)
    return found


def _iscoroutinefunction(value: Any) -> bool:
    function = value.__func__ if type(value) is types.MethodType else value
    return type(function) is types.FunctionType and bool(function.__code__.co_flags & CO_COROUTINE)


def names(loop: Loop) -> dict[str, Any]:
    """asyncio's functions over one loop. What is not here is refused by name."""

    async def sleep(delay: float, result: Any = None) -> Any:
        await _pause(float(delay))
        return result

    async def gather(*awaitables: Any, return_exceptions: bool = False) -> list[Any]:
        return await results([loop.task(awaitable) for awaitable in awaitables], return_exceptions)

    def gathered(*awaitables: Any, return_exceptions: bool = False) -> Task:
        return loop.task(gather(*awaitables, return_exceptions=return_exceptions))

    async def wait_for(awaitable: Any, timeout: float | None) -> Any:
        task = loop.task(awaitable)
        if timeout is None:
            return await task
        deadline = loop.clock.slept + timeout
        while not task.done():
            if loop.clock.slept >= deadline:
                raise TimeoutError
            await _pause(1e-3)
        return task.result()

    def create_task(coroutine: Any, *, name: Any = None) -> Task:
        return loop.task(coroutine)

    def get_running_loop() -> EventLoop:
        if not loop.running:
            raise RuntimeError("no running event loop")
        return EventLoop(loop)

    return {
        **{kind.__name__: kind for kind in asyncwaits.KINDS},
        "get_event_loop": lambda: EventLoop(loop),
        "get_running_loop": get_running_loop,
        "iscoroutinefunction": _iscoroutinefunction,
        "new_event_loop": lambda: EventLoop(loop),
        "set_event_loop": lambda loop, /: None,
        "run": loop.run,
        "sleep": sleep,
        "gather": gathered,
        "create_task": create_task,
        "ensure_future": create_task,
        "wait_for": wait_for,
        "iscoroutine": lambda value: isinstance(value, Coroutine),
        "TimeoutError": TimeoutError,
        "CancelledError": CancelledError,
    }

"""asyncio's loop for one program: coroutines in turn, time that hardly passes unless everybody sleeps."""

import heapq
import itertools
import math
import sys
from collections import deque
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from types import GeneratorType
from typing import Any, NoReturn, Protocol
from weakref import WeakValueDictionary

from sandbox import asynctasks, concurrency, guards
from sandbox.asynctasks import Ending, Future, Handle, Task, TimerHandle, callback_task, task_of
from sandbox.stops import refuse

_SAME_TIME = 1e-9  # seconds: two clocks that are added up differently
_LEAST_WAIT = 1e-3  # seconds: CPython's loop waits for whole milliseconds


class Clock(Protocol):
    """Where slept seconds are added."""

    slept: float

    def clock(self) -> float:
        """Seconds, as the time that coroutines read."""


async def awaited(awaitable: Any) -> Any:
    return await awaitable


class Sleep:
    """What a task hands over that goes on after so many seconds."""

    __slots__ = ("_sandbox_seconds",)

    def __init__(self, seconds: float) -> None:
        self._sandbox_seconds = float(seconds)  # a program gets at this class, and the clock adds what is given here


class Loop:
    """Tasks that can go on, and what waits for a time, by that and then by order."""

    rounds_in_least_wait = 100  # about as many as CPython's loop does in that time

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ready: deque[Task] = deque()
        self.sleeping: list[tuple[float, int, Future]] = []
        self.order = itertools.count()
        self.stale = 0  # alarms among them that nobody waits for any more
        self.begun: dict[int, Task] = {}  # tasks that are not done, by their ids
        self.generators: WeakValueDictionary[int, Any] = WeakValueDictionary()  # asynchronous ones that have begun
        self.named = itertools.count(1)
        self.current: Task | None = None
        self.round = 0  # how many of `ready` have their turns before those that became ready meanwhile
        self.busy_rounds = 0  # one after the other, in which somebody could go on
        self.seen = 0.0  # the time when the last of them began
        self.running = False

    def task(self, awaitable: Any, name: Any = None) -> Any:
        """The task of an awaitable, which has its turn; a future as it is."""
        if isinstance(awaitable, Future):
            return awaitable
        if not isinstance(awaitable, Coroutine | GeneratorType):  # `send` alone may be a function that takes no step
            if not hasattr(awaitable, "__await__"):
                raise TypeError("An asyncio.Future, a coroutine or an awaitable is required")
            awaitable = awaited(awaitable)
        task = self.begun_task(awaitable, f"Task-{next(self.named)}" if name is None else str(name))
        self.ready.append(task)
        return task

    def begun_task(self, coroutine: Any, name: str = "") -> Task:
        task = task_of(coroutine, name)
        self.begun[id(task)] = task
        return task

    @contextmanager
    def _runs(self) -> Iterator[None]:
        before, hooks = self.running, sys.get_asyncgen_hooks()
        self.running = True
        sys.set_asyncgen_hooks(self.generator_begins, self.generator_ends)
        try:
            yield
        finally:
            self.running = before
            sys.set_asyncgen_hooks(*hooks)

    def generator_begins(self, generator: Any) -> None:
        self.generators[next(self.order)] = generator

    def generator_ends(self, generator: Any) -> None:
        """Nobody holds it any more: it is closed in its turn, since its last words may be to wait for something."""
        self.call_later(0, lambda: self.task(generator.aclose()))

    def go_on(self, tasks: Iterable[Task]) -> None:
        # Of a class of ours: a program may call a method of a future's with an object of its own.
        self.ready.extend(task for task in tasks if type(task) is Task)

    def missing(self, value: object, name: str) -> NoReturn:
        concurrency.missing(value, name, asynctasks.LACKING)

    def run(self, main: Any, *, debug: Any = None) -> Any:
        if self.running:
            raise RuntimeError("asyncio.run() cannot be called from a running event loop")
        if not isinstance(main, Coroutine):
            raise ValueError(f"a coroutine was expected, got {main!r}")
        try:
            try:
                found = self.complete(main)
            except guards.CATCHABLE:
                self.end_the_rest()
                raise
            self.end_the_rest()
            return found
        finally:
            self.clear()

    def clear(self) -> None:
        self.ready.clear()
        self.sleeping.clear()
        self.begun.clear()
        self.generators.clear()
        self.stale = self.round = self.busy_rounds = 0
        self.seen = 0.0

    def end_the_rest(self) -> None:
        """Cancel the tasks that are left, close the generators, and let them come to their ends."""
        left = list(self.begun.values())
        for task in left:
            task.cancel()
        if left:
            self.until(Ending(left).waiter)
        if self.generators:
            self.until(self.close_generators())

    async def close_generators(self) -> None:
        closed = [self.task(one.aclose()) for one in list(self.generators.values())]
        self.generators.clear()
        await Ending(closed).waiter

    def call_later(self, delay: float, callback: Any, *args: Any, at: float | None = None) -> Handle:
        handle = Handle() if at is None else TimerHandle(at)
        task = handle._sandbox_task = callback_task(handle._sandbox_call, callback, args)
        if delay > 0:
            self.set_alarm(task, float(delay))
        else:
            self.ready.append(task)
        return handle

    def set_alarm(self, one: Future, seconds: float) -> None:
        """Let the task go on after that time; a future that is none is done then."""
        one._sandbox_alarm = next(self.order)
        if seconds < math.inf:
            heapq.heappush(self.sleeping, (self.clock.slept + seconds, one._sandbox_alarm, one))

    def turn_off(self, one: Future) -> bool:
        if one._sandbox_alarm is None:
            return False
        one._sandbox_alarm = None
        self.stale += 1
        if self.stale * 2 > len(self.sleeping):
            self.sleeping[:] = [entry for entry in self.sleeping if entry[2]._sandbox_alarm == entry[1]]
            heapq.heapify(self.sleeping)
            self.stale = 0
        return True

    def next_alarm(self) -> float | None:
        """When the next one goes off."""
        while self.sleeping and self.sleeping[0][2]._sandbox_alarm != self.sleeping[0][1]:
            heapq.heappop(self.sleeping)
            self.stale -= 1
        return self.sleeping[0][0] if self.sleeping else None

    def wake(self, until: float) -> None:
        """Those whose alarms have gone off by then."""
        while (at := self.next_alarm()) is not None and at <= until:
            one = heapq.heappop(self.sleeping)[2]
            one._sandbox_alarm = None
            if isinstance(one, Task):
                self.ready.append(one)
            elif not one._sandbox_done:
                one._sandbox_finish()

    def until(self, awaitable: Any) -> Any:
        """What that comes to, for which everybody goes on."""
        return self._until_done(awaitable).result()

    def complete(self, awaitable: Any) -> Any:
        """The same, as CPython's loop does it: it stops after the round in which it hears that this is done."""
        task = self._until_done(awaitable)
        self.last_turns()
        return task.result()

    def _until_done(self, awaitable: Any) -> Any:
        """The task; SystemExit and KeyboardInterrupt end the loop at once."""
        with self._runs():
            self.round = 0
            task = self.task(awaitable)
            while not task._sandbox_done:
                self._turn()
            return task

    def begin(self, awaitable: Any) -> Any:
        """A task that has gone on as far as it can at once, as what is awaited does."""
        known = isinstance(awaitable, Future)
        task: Task = self.task(awaitable)
        if not known:
            self.ready.remove(task)
            self.ready.appendleft(task)
            self._go_on(1)
        return task

    def pass_time(self, seconds: float) -> float | None:
        """Let all that can go on do so once after that time; the seconds until there is one again, None if never."""
        self.clock.slept += seconds
        self.wake(self.clock.slept + _SAME_TIME)
        if self.ready:
            self._go_on(len(self.ready))
            return 0.0
        at = self.next_alarm()
        return None if at is None else at - self.clock.slept

    def while_running(self, function: Any, args: list[Any], keywords: dict[str, Any]) -> Any:
        """A call by whoever has his turn."""
        with self._runs():
            return function(*args, **keywords)

    def busy(self) -> bool:
        """Can anybody go on, now or later?"""
        return bool(self.ready) or self.next_alarm() is not None

    def last_turns(self) -> None:
        """What is left of this round, then one more."""
        self._go_on(min(self.round, len(self.ready)))  # that round may be over already
        self._go_on(len(self.ready))
        self.round = 0

    def end(self) -> None:
        """As at the end of run(), for the loop that goes on for somebody else."""
        self.last_turns()
        self.end_the_rest()

    def _go_on(self, turns: int) -> None:
        with self._runs():
            for _ in range(turns):
                self._advance(self.ready.popleft())

    def time(self) -> float:
        return self.clock.clock()

    def stuck(self) -> None:
        refuse("waiting", "every coroutine waits for another one")

    def _busy_round(self) -> None:
        """Time passes where somebody can always go on too, or who takes turns until another has slept never ends.

        As in CPython, who has slept goes on in the round after the one that finds it.
        """
        self.wake(self.seen)
        self.busy_rounds += 1
        if self.busy_rounds % self.rounds_in_least_wait == 0:
            self.clock.slept += _LEAST_WAIT
        self.seen = self.clock.slept + _SAME_TIME

    def _turn(self) -> None:
        if self.ready and not self.round:
            self._busy_round()
        while not self.ready:
            self.busy_rounds = 0
            at = self.next_alarm()
            if at is None:
                self.stuck()
            else:
                self.clock.slept = max(self.clock.slept, at)
                self.wake(self.clock.slept + _SAME_TIME)
        self.round = (self.round or len(self.ready)) - 1
        self._advance(self.ready.popleft())

    def _advance(self, task: Task) -> None:
        task._sandbox_awaited = None
        cancelled, task._sandbox_cancelled = task._sandbox_cancelled, None
        before, self.current = self.current, task
        try:
            if cancelled is None:
                wish = task._sandbox_coroutine.send(None)
            else:
                wish = task._sandbox_coroutine.throw(cancelled)
        except StopIteration as end:
            task._sandbox_value, task._sandbox_error = end.value, task._sandbox_cancelled
        except (SystemExit, KeyboardInterrupt) as error:
            task._sandbox_error = error
            self._finish(task)
            raise
        except guards.CATCHABLE as error:
            task._sandbox_error = error
        else:
            self._wait(task, wish)
            return
        finally:
            self.current = before
        self._finish(task)

    def _finish(self, task: Task) -> None:
        self.begun.pop(id(task), None)
        task._sandbox_finish()

    def _wait(self, task: Task, wish: Any) -> None:
        if isinstance(wish, Future):
            task._sandbox_awaited = wish
            wish._sandbox_then(task)
            if task._sandbox_cancelled is not None and wish.cancel(*task._sandbox_cancelled.args):
                task._sandbox_cancelled = None  # by itself, before it waited
        elif type(wish) is Sleep and wish._sandbox_seconds > 0 and task._sandbox_cancelled is None:
            self.set_alarm(task, wish._sandbox_seconds)
        else:
            if wish is not None and type(wish) is not Sleep and task._sandbox_cancelled is None:
                task._sandbox_cancelled = RuntimeError(f"Task got bad yield: {wish!r}")
            self.ready.append(task)


class EventLoop:
    """What asyncio.new_event_loop() gives: there is one loop, whoever asks for it."""

    def __init__(self, loop: Loop) -> None:
        self._sandbox_loop = loop
        self._sandbox_closed = False

    def __getattr__(self, name: str) -> Any:
        concurrency.missing(self, name, _OF_LOOPS)

    def run_until_complete(self, future: Any) -> Any:
        if self._sandbox_closed:
            raise RuntimeError("Event loop is closed")
        if self._sandbox_loop.running:
            raise RuntimeError("This event loop is already running")
        return self._sandbox_loop.complete(future)

    def create_task(self, coroutine: Any, *, name: Any = None, context: Any = None) -> Any:
        if not isinstance(coroutine, Coroutine):
            raise TypeError(f"a coroutine was expected, got {coroutine!r}")
        return self._sandbox_loop.task(coroutine, name)

    def create_future(self) -> Future:
        return Future()

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Handle:
        return self._sandbox_loop.call_later(0, callback, *args)

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Handle:
        return self._sandbox_loop.call_later(delay, callback, *args, at=self.time() + delay)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Handle:
        return self._sandbox_loop.call_later(when - self.time(), callback, *args, at=when)

    def time(self) -> float:
        return self._sandbox_loop.time()

    async def shutdown_asyncgens(self) -> None:
        await self._sandbox_loop.close_generators()

    def is_running(self) -> bool:
        return self._sandbox_loop.running

    def is_closed(self) -> bool:
        return self._sandbox_closed

    def close(self) -> None:
        self._sandbox_closed = True


EventLoop.__module__ = "asyncio"
_OF_LOOPS = frozenset(
    "add_reader add_signal_handler add_writer call_exception_handler call_soon_threadsafe "
    "connect_accepted_socket connect_read_pipe connect_write_pipe create_connection create_datagram_endpoint "
    "create_server create_unix_connection create_unix_server default_exception_handler get_debug "
    "get_exception_handler get_task_factory getaddrinfo getnameinfo remove_reader remove_signal_handler remove_writer "
    "run_forever run_in_executor sendfile set_debug set_default_executor set_exception_handler set_task_factory "
    "shutdown_default_executor slow_callback_duration sock_accept sock_connect sock_recv "
    "sock_recv_into sock_recvfrom sock_recvfrom_into sock_sendall sock_sendfile sock_sendto start_tls stop "
    "subprocess_exec subprocess_shell".split()
)

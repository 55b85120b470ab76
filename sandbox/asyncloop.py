"""asyncio for one program: coroutines in turn, time that only passes when everybody sleeps."""

import heapq
import itertools
import types
from collections import deque
from collections.abc import Coroutine, Generator, Sequence
from inspect import CO_COROUTINE
from typing import Any, Protocol

from sandbox import asyncwaits, guards
from sandbox.asyncwaits import Ending, Task
from sandbox.concurrency import missing
from sandbox.guards import CancelledError
from sandbox.stops import refuse

_SAME_TIME = 1e-9  # seconds: two clocks that are added up differently


class Clock(Protocol):
    """Where slept seconds are added."""

    slept: float

    def clock(self) -> float:
        """Seconds, as the time that coroutines read."""


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
        self.stale = 0  # alarms among them that nobody waits for any more
        self.begun: dict[int, Task] = {}  # tasks that are not done, by their ids
        self.running = False

    def task(self, awaitable: Any) -> Task:
        # No class below it: such a one has what the program says in place of what is set here.
        if type(awaitable) in (Task, self.kind):
            found: Task = awaitable
            return found
        if not hasattr(awaitable, "send"):
            if not hasattr(awaitable, "__await__"):
                raise TypeError("An asyncio.Future, a coroutine or an awaitable is required")
            awaitable = awaited(awaitable)
        task = self.begun_task(awaitable)
        self.ready.append(task)
        return task

    def begun_task(self, coroutine: Any) -> Task:
        task = self.kind(coroutine)
        self.begun[id(task)] = task
        return task

    def run(self, main: Any) -> Any:
        if self.running:
            raise RuntimeError("asyncio.run() cannot be called from a running event loop")
        if not isinstance(main, Coroutine):
            raise ValueError(f"a coroutine was expected, got {main!r}")
        try:
            try:
                found = self.until(main)
            except guards.CATCHABLE:
                self._end_the_rest()
                raise
            self._end_the_rest()
            return found
        finally:
            self.clear()

    def clear(self) -> None:
        self.ready.clear()
        self.sleeping.clear()
        self.begun.clear()
        self.stale = 0

    def _end_the_rest(self) -> None:
        """Cancel the tasks that are left, and let them come to their ends."""
        left = list(self.begun.values())
        for task in left:
            self.cancel(task)
        if left:
            self.until(Ending(left, False).waiter)

    def cancel(self, task: Task) -> None:
        """Have a CancelledError be raised where it waits, or where what it waits for does."""
        seen: set[int] = set()
        while task._sandbox_awaited is not None and task._sandbox_awaited._sandbox_coroutine is not None:
            if id(task) in seen:
                break
            seen.add(id(task))
            task = task._sandbox_awaited
        if task._sandbox_done:
            return
        task._sandbox_cancelled = True
        awaited = task._sandbox_awaited
        if awaited is not None and task in awaited._sandbox_waiting:
            awaited._sandbox_waiting.remove(task)
            self.ready.append(task)
        elif task._sandbox_alarm is not None:
            self.turn_off(task)
            self.ready.append(task)

    def set_alarm(self, task: Task, seconds: float) -> None:
        """Let the task go on after that time; a waiter, which has no coroutine, is done then."""
        task._sandbox_alarm = next(self.order)
        heapq.heappush(self.sleeping, (self.clock.slept + seconds, task._sandbox_alarm, task))

    def turn_off(self, task: Task) -> None:
        if task._sandbox_alarm is None:
            return
        task._sandbox_alarm = None
        self.stale += 1
        if self.stale * 2 > len(self.sleeping):
            self.sleeping[:] = [entry for entry in self.sleeping if entry[2]._sandbox_alarm == entry[1]]
            heapq.heapify(self.sleeping)
            self.stale = 0

    def next_alarm(self) -> float | None:
        """When the next one goes off."""
        while self.sleeping and self.sleeping[0][2]._sandbox_alarm != self.sleeping[0][1]:
            heapq.heappop(self.sleeping)
            self.stale -= 1
        return self.sleeping[0][0] if self.sleeping else None

    def wake(self, until: float) -> None:
        """Those whose alarms have gone off by then."""
        while (at := self.next_alarm()) is not None and at <= until:
            self.wake_one()

    def wake_one(self) -> None:
        task = heapq.heappop(self.sleeping)[2]
        task._sandbox_alarm = None
        if task._sandbox_coroutine is None:
            task._sandbox_finish()
        else:
            self.ready.append(task)

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
        known = type(awaitable) in (Task, self.kind)
        task = self.task(awaitable)
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
        while not self.ready:
            at = self.next_alarm()
            if at is None:
                self.stuck()
            else:
                self.clock.slept = max(self.clock.slept, at)
                self.wake_one()
        self._advance(self.ready.popleft())

    def _advance(self, task: Task) -> None:
        task._sandbox_awaited = None
        cancelled, task._sandbox_cancelled = task._sandbox_cancelled, False
        try:
            if cancelled:
                wish = task._sandbox_coroutine.throw(CancelledError())
            else:
                wish = task._sandbox_coroutine.send(None)
        except StopIteration as end:
            task._sandbox_value = end.value
        except (Exception, CancelledError) as error:
            task._sandbox_error = error
        else:
            # No class below it: a program's `__setattr__` would be given this loop, and with it the world.
            if type(wish) in (Task, self.kind):
                wish._sandbox_loop = self
                task._sandbox_awaited = wish
                (self.ready if wish._sandbox_done else wish._sandbox_waiting).append(task)
            elif isinstance(wish, Task):
                refuse("waiting", "a coroutine waits for a task of a class of the program's, which no loop has")
            elif type(wish) is float and wish > 0:
                self.set_alarm(task, wish)
            else:
                self.ready.append(task)
            return
        self.begun.pop(id(task), None)
        task._sandbox_finish()


class EventLoop:
    """What asyncio.new_event_loop() gives: there is one loop, whoever asks for it."""

    def __init__(self, loop: Loop) -> None:
        self._sandbox_loop = loop
        self._sandbox_closed = False

    def __getattr__(self, name: str) -> Any:
        missing(self, name, _OF_LOOPS)

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
_OF_LOOPS = frozenset(
    "add_reader add_signal_handler add_writer call_at call_exception_handler call_later call_soon call_soon_threadsafe "
    "connect_accepted_socket connect_read_pipe connect_write_pipe create_connection create_datagram_endpoint "
    "create_future create_server create_unix_connection create_unix_server default_exception_handler get_debug "
    "get_exception_handler get_task_factory getaddrinfo getnameinfo remove_reader remove_signal_handler remove_writer "
    "run_forever run_in_executor sendfile set_debug set_default_executor set_exception_handler set_task_factory "
    "shutdown_asyncgens shutdown_default_executor slow_callback_duration sock_accept sock_connect sock_recv "
    "sock_recv_into sock_recvfrom sock_recvfrom_into sock_sendall sock_sendfile sock_sendto start_tls stop "
    "subprocess_exec subprocess_shell".split()
)


async def awaited(awaitable: Any) -> Any:
    return await awaitable


async def results(tasks: Sequence[Any], return_exceptions: bool) -> list[Any]:
    """What asyncio.gather() gives of tasks that have begun."""
    found: list[Any] = []
    for task in tasks:
        try:
            found.append(await task)
        except (Exception, CancelledError) as error:
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
        await _pause(0.0 if delay <= 0 else float(delay))
        return result

    async def gather(tasks: list[Task], return_exceptions: bool) -> list[Any]:
        ending = Ending(tasks, not return_exceptions)
        try:
            if tasks and ending.waiter.done():
                await _pause(0.0)
            await ending.waiter
        except CancelledError:
            for task in tasks:
                loop.cancel(task)
            await Ending(tasks, False).waiter
            raise
        if ending.failed is not None:
            ending.failed.result()
        return [task._sandbox_value if task._sandbox_error is None else task._sandbox_error for task in tasks]

    def gathered(*awaitables: Any, return_exceptions: bool = False) -> Task:
        tasks = [loop.task(awaitable) for awaitable in awaitables]
        task = loop.begun_task(gather(tasks, bool(return_exceptions)))
        loop._advance(task)  # it waits for them from now on, before any of them can be done
        return task

    async def wait_for(awaitable: Any, timeout: float | None) -> Any:
        task = loop.task(awaitable)
        if timeout is None:
            return await task
        ended, seconds = Ending([task], False), float(timeout)
        try:
            if seconds > 0:
                loop.set_alarm(ended.waiter, seconds)
                await ended.waiter
            if task.done():
                return task.result()
            loop.cancel(task)
            await Ending([task], False).waiter
        except CancelledError:
            loop.cancel(task)
            await Ending([task], False).waiter
            raise
        finally:
            loop.turn_off(ended.waiter)
        try:
            return task.result()
        except CancelledError as error:
            raise TimeoutError from error

    def create_task(coroutine: Any, *, name: Any = None) -> Task:
        if not loop.running:
            raise RuntimeError("no running event loop")
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
        "ensure_future": lambda coroutine: loop.task(coroutine),
        "wait_for": wait_for,
        "iscoroutine": lambda value: isinstance(value, Coroutine),
        "TimeoutError": TimeoutError,
        "CancelledError": CancelledError,
    }

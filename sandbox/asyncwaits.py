"""What coroutines of one program wait for besides each other: asyncio's Lock, Semaphore, Event and queues.

Who waits is woken in the order in which CPython 3.11 to 3.13 wake them (Lib/asyncio/locks.py and queues.py).
"""

from collections import deque
from collections.abc import Callable
from types import GenericAlias
from typing import Any

from sandbox import concurrency
from sandbox.asynctasks import Future
from sandbox.concurrency import missing
from sandbox.guards import CancelledError


class QueueEmpty(Exception):
    """Raised when Queue.get_nowait() is called on an empty Queue."""


class QueueFull(Exception):
    """Raised when the Queue.put_nowait() method is called on a full Queue."""


class _Waits:
    """What has a line of coroutines that wait for it."""

    def __init__(self) -> None:
        self._sandbox_line: deque[Future] = deque()

    async def _sandbox_wait(self, line: deque[Future], pass_on: Callable[[], Any] = lambda: None) -> None:
        """Who was woken and then cancelled, before it could take its turn, passes that on."""
        waiter = Future()
        line.append(waiter)
        try:
            try:
                await waiter
            finally:
                line.remove(waiter)
        except CancelledError:
            if not waiter.cancelled():
                pass_on()
            raise

    def _sandbox_wake(self, line: deque[Future]) -> bool:
        """Let the first go on that does not yet; False when there is none."""
        waiter = next((one for one in line if not one.done()), None)
        if waiter is not None:
            waiter._sandbox_finish()
        return waiter is not None


class Event(_Waits):
    """asyncio.Event."""

    def __init__(self) -> None:
        super().__init__()
        self._sandbox_set = False

    def is_set(self) -> bool:
        return self._sandbox_set

    def set(self) -> None:
        self._sandbox_set = True
        while self._sandbox_wake(self._sandbox_line):
            pass

    def clear(self) -> None:
        self._sandbox_set = False

    async def wait(self) -> bool:
        if not self._sandbox_set:
            await self._sandbox_wait(self._sandbox_line)
        return True


class _Acquired(_Waits):
    """What `async with` acquires and releases."""

    async def __aenter__(self: Any) -> None:
        await self.acquire()

    async def __aexit__(self: Any, *error: Any) -> None:
        self.release()


class Lock(_Acquired):
    """asyncio.Lock."""

    def __init__(self) -> None:
        super().__init__()
        self._sandbox_locked = False

    def locked(self) -> bool:
        return self._sandbox_locked

    async def acquire(self) -> bool:
        if self._sandbox_locked or not all(one.cancelled() for one in self._sandbox_line):
            try:
                await self._sandbox_wait(self._sandbox_line)
            except CancelledError:
                self._sandbox_wake_first()  # it may have been this one's turn
                raise
        self._sandbox_locked = True
        return True

    def release(self) -> None:
        if not self._sandbox_locked:
            raise RuntimeError("Lock is not acquired.")
        self._sandbox_locked = False
        self._sandbox_wake_first()

    def _sandbox_wake_first(self) -> None:
        """Unless it has been woken, and did not have its turn yet."""
        if not self._sandbox_locked and self._sandbox_line and not self._sandbox_line[0].done():
            self._sandbox_wake(self._sandbox_line)


class Semaphore(_Acquired):
    """asyncio.Semaphore."""

    def __init__(self, value: int = 1) -> None:
        if value < 0:
            raise ValueError("Semaphore initial value must be >= 0")
        super().__init__()
        self._sandbox_left = value

    def locked(self) -> bool:
        return self._sandbox_left == 0 or not all(one.cancelled() for one in self._sandbox_line)

    async def acquire(self) -> bool:
        if not self.locked():
            self._sandbox_left -= 1
            return True
        try:
            await self._sandbox_wait(self._sandbox_line, self._sandbox_give_back)
        finally:
            while self._sandbox_left > 0 and self._sandbox_next():
                pass
        return True

    def release(self) -> None:
        self._sandbox_give_back()
        self._sandbox_next()

    def _sandbox_give_back(self) -> None:
        self._sandbox_left += 1

    def _sandbox_next(self) -> bool:
        woken = self._sandbox_wake(self._sandbox_line)
        self._sandbox_left -= woken
        return woken


class BoundedSemaphore(Semaphore):
    """asyncio.BoundedSemaphore."""

    def __init__(self, value: int = 1) -> None:
        super().__init__(value)
        self._sandbox_most = value

    def release(self) -> None:
        if self._sandbox_left >= self._sandbox_most:
            raise ValueError("BoundedSemaphore released too many times")
        super().release()


class Queue(_Waits):
    """asyncio.Queue."""

    _sandbox_kind = concurrency.Queue  # that of one thread, which holds the items in their order

    def __init__(self, maxsize: int = 0) -> None:
        concurrency.refuse_hooks(self)
        super().__init__()
        self.maxsize = maxsize
        self._sandbox_putters: deque[Future] = deque()
        self._sandbox_joiners: deque[Future] = deque()
        self._sandbox_items = self._sandbox_kind()
        self._sandbox_unfinished = 0

    __class_getitem__: Any = classmethod(GenericAlias)

    def __getattr__(self, name: str) -> Any:
        missing(self, name, concurrency.OF_QUEUES | {"_queue"})

    def qsize(self) -> int:
        return self._sandbox_items.qsize()

    def empty(self) -> bool:
        return self._sandbox_items.empty()

    def full(self) -> bool:
        return 0 < self.maxsize <= self._sandbox_items.qsize()

    async def put(self, item: Any) -> None:
        while self.full():
            await self._sandbox_wait(self._sandbox_putters, self._sandbox_wake_putter)
        self.put_nowait(item)

    def put_nowait(self, item: Any) -> None:
        if self.full():
            raise QueueFull
        self._sandbox_items._sandbox_put(item)
        self._sandbox_unfinished += 1
        self._sandbox_wake(self._sandbox_line)

    async def get(self) -> Any:
        while self.empty():
            await self._sandbox_wait(self._sandbox_line, self._sandbox_wake_getter)
        return self.get_nowait()

    def _sandbox_wake_putter(self) -> None:
        if not self.full():
            self._sandbox_wake(self._sandbox_putters)

    def _sandbox_wake_getter(self) -> None:
        if not self.empty():
            self._sandbox_wake(self._sandbox_line)

    def get_nowait(self) -> Any:
        if self.empty():
            raise QueueEmpty
        item = self._sandbox_items._sandbox_get()
        self._sandbox_wake(self._sandbox_putters)
        return item

    def task_done(self) -> None:
        if self._sandbox_unfinished <= 0:
            raise ValueError("task_done() called too many times")
        self._sandbox_unfinished -= 1
        while not self._sandbox_unfinished and self._sandbox_wake(self._sandbox_joiners):
            pass

    async def join(self) -> None:
        if self._sandbox_unfinished:
            await self._sandbox_wait(self._sandbox_joiners)


class LifoQueue(Queue):
    """asyncio.LifoQueue."""

    _sandbox_kind = concurrency.LifoQueue


class PriorityQueue(Queue):
    """asyncio.PriorityQueue."""

    _sandbox_kind = concurrency.PriorityQueue


KINDS = (Event, Lock, Semaphore, BoundedSemaphore, Queue, LifoQueue, PriorityQueue, QueueEmpty, QueueFull)
for _kind in KINDS:
    _kind.__module__ = "asyncio"

"""queue and threading for a program that is alone: everything runs in turn, in one thread."""

import heapq
from collections import deque
from typing import Any, NoReturn, Protocol

from sandbox import guards
from sandbox.classes import name_of
from sandbox.stops import refuse

Names = dict[str, Any]


class Machine(Protocol):
    """What this file needs of `standins.System`."""

    def set_recursion_limit(self, limit: int, /) -> None: ...


def _waits(what: str) -> NoReturn:
    refuse("waiting", f"{what} would wait for another thread; there is only one")


def missing(value: object, name: str, real: frozenset[str]) -> NoReturn:
    """The attribute is not here. Had the real object one of that name, this is no mistake of the program's."""
    kind = name_of(type(value))
    if name in real:
        refuse("attribute", f"{name} of a {kind} is not allowed")
    raise AttributeError(f"{kind!r} object has no attribute {name!r}", name=name, obj=value)


class Empty(Exception):
    """Exception raised by Queue.get_nowait()."""


class Full(Exception):
    """Exception raised by Queue.put_nowait()."""


class Queue:
    """queue.Queue of one thread: what would wait for ever is refused."""

    def __init__(self, maxsize: int = 0) -> None:
        self.maxsize = maxsize
        self.queue: Any = self._sandbox_store()
        self.unfinished_tasks = 0

    def _sandbox_store(self) -> Any:
        return deque()

    def _sandbox_put(self, item: Any) -> None:
        self.queue.append(item)

    def _sandbox_get(self) -> Any:
        return self.queue.popleft()

    def qsize(self) -> int:
        return len(self.queue)

    def empty(self) -> bool:
        return not self.queue

    def full(self) -> bool:
        return 0 < self.maxsize <= len(self.queue)

    def put(self, item: Any, block: bool = True, timeout: Any = None) -> None:
        if self.full():
            if block and timeout is None:
                _waits("Queue.put on a full queue")
            raise Full
        self._sandbox_put(item)
        self.unfinished_tasks += 1

    def get(self, block: bool = True, timeout: Any = None) -> Any:
        if not self.queue:
            if block and timeout is None:
                _waits("Queue.get on an empty queue")
            raise Empty
        return self._sandbox_get()

    def put_nowait(self, item: Any) -> None:
        self.put(item, False)

    def get_nowait(self) -> Any:
        return self.get(False)

    def task_done(self) -> None:
        if self.unfinished_tasks <= 0:
            raise ValueError("task_done() called too many times")
        self.unfinished_tasks -= 1

    def join(self) -> None:
        if self.unfinished_tasks:
            _waits("Queue.join with tasks left")


class LifoQueue(Queue):
    """queue.LifoQueue."""

    def _sandbox_store(self) -> Any:
        return []

    def _sandbox_get(self) -> Any:
        return self.queue.pop()


class PriorityQueue(Queue):
    """queue.PriorityQueue."""

    def _sandbox_store(self) -> Any:
        return []

    def _sandbox_put(self, item: Any) -> None:
        heapq.heappush(self.queue, item)

    def _sandbox_get(self) -> Any:
        return heapq.heappop(self.queue)


class SimpleQueue(Queue):
    """queue.SimpleQueue."""


for _kind in (Empty, Full, Queue, LifoQueue, PriorityQueue, SimpleQueue):
    _kind.__module__ = "queue"


def queue_names() -> Names:
    return {kind.__name__: kind for kind in (Empty, Full, Queue, LifoQueue, PriorityQueue, SimpleQueue)}


class Lock:
    """threading.Lock of one thread."""

    def __init__(self, value: int = 1) -> None:
        self._sandbox_free = value

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if self._sandbox_free <= 0:
            if blocking and timeout < 0:
                _waits("acquiring a lock that is held")
            return False
        self._sandbox_free -= 1
        return True

    def release(self) -> None:
        self._sandbox_free += 1

    def locked(self) -> bool:
        return self._sandbox_free <= 0

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *error: Any) -> None:
        self.release()


class RLock(Lock):
    """threading.RLock of one thread: always free."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        return True

    def release(self) -> None:
        pass


class Thread:
    """threading.Thread whose target runs to its end when started; an exception ends only the thread, as there."""

    def __init__(
        self, group: None = None, target: Any = None, name: Any = None, args: Any = (), kwargs: Any = None, *,
        daemon: Any = None,
    ) -> None:  # fmt: skip
        self.name, self.daemon = name or "Thread-1", bool(daemon)
        self._sandbox_call = (target, tuple(args), dict(kwargs or {}))

    def run(self) -> None:
        target, args, keywords = self._sandbox_call
        if target is not None:
            target(*args, **keywords)

    def start(self) -> None:
        try:
            self.run()
        except (Exception, SystemExit):
            pass

    def join(self, timeout: Any = None) -> None:
        pass

    def is_alive(self) -> bool:
        return False


Lock.__module__ = RLock.__module__ = Thread.__module__ = "threading"


def threading_names(machine: Machine) -> Names:
    main = guards.Namespace(name="MainThread", ident=1, daemon=False)
    return {
        "Thread": Thread,
        "Lock": Lock,
        "RLock": RLock,
        "Semaphore": Lock,
        "local": guards.Namespace,
        "stack_size": lambda size=0, /: 0,
        "setrecursionlimit": machine.set_recursion_limit,
        "current_thread": lambda: main,
        "main_thread": lambda: main,
    }

"""queue and threading for a program that is alone: everything runs in turn, in one thread."""

import heapq
from collections import deque
from types import GenericAlias
from typing import Any, NoReturn, Protocol

from sandbox import attributes, guards
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


def refuse_hooks(queue: object) -> None:
    """A class of the program's says how items are kept: by methods that are not asked here."""
    for name in ("_init", "_put", "_get", "_qsize"):
        if hasattr(type(queue), name):
            refuse("attribute", f"{name} of a queue may not be defined")


def _never(timeout: Any) -> bool:
    """Does the wait never end by itself?"""
    if timeout is not None and timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")
    return timeout is None


class Empty(Exception):
    """Exception raised by Queue.get_nowait()."""


class Full(Exception):
    """Exception raised by Queue.put_nowait()."""


class Queue:
    """queue.Queue of one thread: what would wait for ever is refused."""

    def __init__(self, maxsize: int = 0) -> None:
        refuse_hooks(self)
        self.maxsize = maxsize
        self.queue: Any = self._sandbox_store()
        self.unfinished_tasks = 0

    __class_getitem__: Any = classmethod(GenericAlias)

    def __getattr__(self, name: str) -> Any:
        missing(self, name, OF_QUEUES)

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
            if block and _never(timeout):
                _waits("Queue.put on a full queue")
            raise Full
        self._sandbox_put(item)
        self.unfinished_tasks += 1

    def get(self, block: bool = True, timeout: Any = None) -> Any:
        if not self.queue:
            if block and _never(timeout):
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


OF_QUEUES = frozenset("_get _init _put _qsize all_tasks_done is_shutdown mutex not_empty not_full shutdown".split())


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

    def __init__(self) -> None:
        self._sandbox_free = 1

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if self._sandbox_free <= 0:
            if blocking and timeout < 0:
                _waits("acquiring a lock that is held")
            return False
        self._sandbox_free -= 1
        return True

    def release(self) -> None:
        if self._sandbox_free > 0:
            raise RuntimeError("release unlocked lock")
        self._sandbox_free += 1

    def locked(self) -> bool:
        return self._sandbox_free <= 0

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *error: Any) -> None:
        self.release()


class RLock(Lock):
    """threading.RLock of one thread: never waited for."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        self._sandbox_free -= 1
        return True

    def release(self) -> None:
        if self._sandbox_free > 0:
            raise RuntimeError("cannot release un-acquired lock")
        self._sandbox_free += 1


class Semaphore(Lock):
    """threading.Semaphore of one thread."""

    def __init__(self, value: int = 1) -> None:
        if value < 0:
            raise ValueError("semaphore initial value must be >= 0")
        self._sandbox_free = value

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        return super().acquire(blocking, -1 if timeout is None else timeout)

    def release(self, n: int = 1) -> None:
        if n < 1:
            raise ValueError("n must be one or more")
        self._sandbox_free += n


class Threads:
    """Those of one program: the ones that run, inside each other, how many there were, and what each has for itself."""

    def __init__(self) -> None:
        self.running: list[Thread] = []
        self.unnamed = 0
        self.locals: list[tuple[Local, Any, Any]] = []


_THREADS = [Threads()]


class Local:
    """threading.local: a thread, which runs to its end when it starts, finds it as new, and leaves it as it was."""

    def __new__(cls, *args: Any, **keywords: Any) -> Any:
        if (args or keywords) and cls.__init__ is object.__init__:
            raise TypeError("Initialization arguments are not supported")
        made = super().__new__(cls)
        _THREADS[0].locals.append((made, args, keywords))
        return made


Local.__name__ = Local.__qualname__ = "local"


class Thread:
    """threading.Thread whose target runs to its end when started; an exception ends only the thread, as there."""

    def __init__(
        self, group: None = None, target: Any = None, name: Any = None, args: Any = (), kwargs: Any = None, *,
        daemon: Any = None,
    ) -> None:  # fmt: skip
        if not name:
            _THREADS[0].unnamed += 1
            name = f"Thread-{_THREADS[0].unnamed}"
            if type(called := attributes.safe_getattr(target, "__name__", None)) is str:
                name += f" ({called})"
        self.name, self.daemon = str(name), bool(daemon)
        self._sandbox_call = (target, tuple(args), dict(kwargs or {}))
        self._sandbox_started = False

    def __getattr__(self, name: str) -> Any:
        missing(self, name, _OF_THREADS)

    def run(self) -> None:
        target, args, keywords = self._sandbox_call
        if target is not None:
            target(*args, **keywords)

    def start(self) -> None:
        if self._sandbox_started:
            raise RuntimeError("threads can only be started once")
        self._sandbox_started = True
        threads = _THREADS[0]
        before: list[tuple[dict[str, Any], dict[str, Any]]] = []
        threads.running.append(self)
        try:
            for local, args, keywords in list(threads.locals):
                names: dict[str, Any] = object.__getattribute__(local, "__dict__")
                before.append((names, dict(names)))
                names.clear()
                type(local).__init__(local, *args, **keywords)
            self.run()
        except (Exception, SystemExit):
            pass
        finally:
            threads.running.pop()
            for names, found in before:
                names.clear()
                names.update(found)

    def join(self, timeout: Any = None) -> None:
        if not self._sandbox_started:
            raise RuntimeError("cannot join thread before it is started")

    def is_alive(self) -> bool:
        return any(one is self for one in _THREADS[0].running)


for _one in (Lock, RLock, Semaphore, Local, Thread):
    _one.__module__ = "threading"
_OF_THREADS = frozenset("_args _kwargs _target getName ident isDaemon native_id setDaemon setName".split())


def threading_names(machine: Machine) -> Names:
    main = guards.Namespace(name="MainThread", ident=1, daemon=False)
    threads = _THREADS[0] = Threads()
    return {
        "Thread": Thread,
        "Lock": Lock,
        "RLock": RLock,
        "Semaphore": Semaphore,
        "local": Local,
        "stack_size": lambda size=0, /: 0,
        "setrecursionlimit": machine.set_recursion_limit,
        "current_thread": lambda: threads.running[-1] if threads.running else main,
        "main_thread": lambda: main,
    }

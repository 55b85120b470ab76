"""What is awaited in asyncio for one program: futures, and tasks, which are coroutines on their way.

Nothing here holds the loop, since a program may call any of these methods with an object of its own.
"""

from collections.abc import Callable, Generator
from types import GenericAlias
from typing import Any, NoReturn, Protocol

from sandbox.classes import SEALED
from sandbox.guards import CancelledError
from sandbox.stops import refuse


class InvalidStateError(Exception):
    """asyncio.InvalidStateError: what is done is to be ended, or what is not is asked for its end."""


InvalidStateError.__module__ = "asyncio.exceptions"


class Home(Protocol):
    """What this file needs of the loop."""

    def go_on(self, tasks: "list[Task]") -> None:
        """Each of them has its turn, after those that can go on already."""

    current: "Task | None"

    def task(self, awaitable: Any, name: Any = None) -> Any:
        """The task of a coroutine, which has its turn."""

    def time(self) -> float:
        """Seconds."""

    def call_later(self, delay: float, callback: Any, *args: Any) -> "Handle":
        """Call it after that time."""

    def turn_off(self, one: "Future") -> bool:
        """Wake it no more at the time that it waits for; was there any?"""

    def missing(self, value: object, name: str) -> NoReturn:
        """Somebody asks a task for what it has not."""


_HOME: list[Home] = []


def home() -> Home:
    return _HOME[0]


def settle(loop: Home) -> None:
    """From now on tasks are this loop's."""
    _HOME[:] = [loop]


class Future:
    """asyncio.Future: what will have a result."""

    def __init__(self, *, loop: Any = None) -> None:
        self._sandbox_done = False
        self._sandbox_value: Any = None
        self._sandbox_error: BaseException | None = None
        self._sandbox_waiting: list[Task] = []  # what goes on when it is done
        self._sandbox_endings: list[Ending] = []  # what is told at once when it is
        self._sandbox_alarm: int | None = None  # what wakes it, by number

    def __await__(self) -> Generator[Any, Any, Any]:
        while not self._sandbox_done:
            yield self
        return self.result()

    __iter__ = __await__  # `yield from` in an `__await__`

    def __getattr__(self, name: str) -> Any:
        home().missing(self, name)

    __class_getitem__: Any = classmethod(GenericAlias)

    def done(self) -> bool:
        return self._sandbox_done

    def cancelled(self) -> bool:
        return self._sandbox_done and isinstance(self._sandbox_error, CancelledError)

    def result(self) -> Any:
        if not self._sandbox_done:
            raise InvalidStateError("Result is not set.")
        if self._sandbox_error is not None:
            raise self._sandbox_error
        return self._sandbox_value

    def exception(self) -> BaseException | None:
        if not self._sandbox_done:
            raise InvalidStateError("Exception is not set.")
        if self.cancelled():
            raise self._sandbox_error  # type: ignore[misc]
        return self._sandbox_error

    def set_result(self, result: Any, /) -> None:
        self._sandbox_end(result, None)

    def set_exception(self, exception: Any, /) -> None:
        error = exception() if isinstance(exception, type) else exception
        if not isinstance(error, BaseException):
            raise TypeError("invalid exception object")
        if isinstance(error, StopIteration):
            raise TypeError("StopIteration interacts badly with generators and cannot be raised into a Future")
        self._sandbox_end(None, error)

    def cancel(self, msg: Any = None) -> bool:
        if self._sandbox_done:
            return False
        self._sandbox_end(None, cancellation(msg))
        return True

    def add_done_callback(self, callback: Callable[[Any], Any], /, *, context: Any = None) -> None:
        self._sandbox_then(callback_task(callback, self))

    def remove_done_callback(self, callback: Any, /) -> int:
        left = [one for one in self._sandbox_waiting if one._sandbox_callback != callback]
        removed = len(self._sandbox_waiting) - len(left)
        self._sandbox_waiting[:] = left
        return removed

    def _sandbox_then(self, task: "Task") -> None:
        """Let it go on once this is done."""
        if self._sandbox_done:
            home().go_on([task])
        else:
            self._sandbox_waiting.append(task)

    def _sandbox_end(self, value: Any, error: BaseException | None) -> None:
        if self._sandbox_done:
            raise InvalidStateError("invalid state")
        self._sandbox_value, self._sandbox_error = value, error
        self._sandbox_finish()

    def _sandbox_finish(self) -> None:
        self._sandbox_done = True
        home().go_on(self._sandbox_waiting)
        self._sandbox_waiting.clear()
        for ending in self._sandbox_endings:
            ending.add(self)
        self._sandbox_endings.clear()


class Task(Future):
    """asyncio.Task: a coroutine on its way."""

    # What a task is besides: set by `task_of`.
    _sandbox_coroutine: Any
    _sandbox_name: str  # empty for what CPython has no task for
    _sandbox_callback: Any = None  # what it calls, if that is all it does
    _sandbox_awaited: Future | None = None  # what it waits for
    _sandbox_cancelled: BaseException | None = None  # what is raised where it goes on
    _sandbox_cancelling = 0  # how often it was to be cancelled

    def __init__(self, *args: Any, **keywords: Any) -> None:
        refuse("attribute", "asyncio.Task() is not allowed; asyncio.create_task() is")

    def get_name(self) -> str:
        return self._sandbox_name

    def set_name(self, value: object, /) -> None:
        self._sandbox_name = str(value)

    def cancel(self, msg: Any = None) -> bool:
        """Have a CancelledError be raised where it waits, or where what it waits for does."""
        if self._sandbox_done:
            return False
        self._sandbox_cancelling += 1
        if self._sandbox_awaited is not None and self._sandbox_awaited.cancel(msg):
            return True
        self._sandbox_cancelled = cancellation(msg)
        if home().turn_off(self):
            home().go_on([self])
        return True

    def cancelling(self) -> int:
        return self._sandbox_cancelling

    def uncancel(self) -> int:
        self._sandbox_cancelling = max(0, self._sandbox_cancelling - 1)
        return self._sandbox_cancelling

    def set_result(self, result: Any, /) -> None:
        raise RuntimeError("Task does not support set_result operation")

    def set_exception(self, exception: Any, /) -> None:
        raise RuntimeError("Task does not support set_exception operation")


class Gathering(Future):
    """What asyncio.gather() gives. As in CPython, to cancel it is to cancel those that it gathers, and no more.

    It ends by the first one's exception, be it a cancellation, whatever the others still do.
    """

    def __init__(self, futures: list[Future], return_exceptions: bool) -> None:
        super().__init__()
        self._sandbox_futures, self._sandbox_all = futures, return_exceptions
        self._sandbox_asked = False  # to be cancelled
        once = {id(one): one for one in futures}.values()
        self._sandbox_left = len(once)
        for one in once:
            one.add_done_callback(self._sandbox_heard)
        if not futures:
            self._sandbox_end([], None)

    def cancelled(self) -> bool:
        return False

    def cancel(self, msg: Any = None) -> bool:
        if self._sandbox_done or not any([one.cancel(msg) for one in self._sandbox_futures]):
            return False
        self._sandbox_asked = True
        return True

    def _sandbox_heard(self, one: Future) -> None:
        self._sandbox_left -= 1
        if self._sandbox_done:
            return
        if one._sandbox_error is not None and not self._sandbox_all:
            self._sandbox_end(None, one._sandbox_error)
        elif not self._sandbox_left:
            error = cancellation(None) if self._sandbox_asked else None
            self._sandbox_end([gathered(future) for future in self._sandbox_futures], error)


def gathered(future: Future) -> Any:
    """Its result or exception; CPython says of a task that is cancelled no message, which is a text for it here."""
    if not future.cancelled():
        return future._sandbox_value if future._sandbox_error is None else future._sandbox_error
    message = () if isinstance(future, Task) else future._sandbox_error.args  # type: ignore[union-attr]
    return CancelledError(*(message or ("",)))


SEALED.add(Future)  # Task is one
Future.__module__ = Task.__module__ = Gathering.__module__ = "asyncio"
KINDS: tuple[type, ...] = (Future, Task)
# What the real ones have too.
LACKING = frozenset("get_context get_coro get_loop get_stack print_stack".split())


class Handle:
    """asyncio.Handle: a call that is to come."""

    def __init__(self) -> None:
        self._sandbox_cancelled = False
        self._sandbox_task: Task | None = None  # what calls it

    def cancel(self) -> None:
        self._sandbox_cancelled = True
        if self._sandbox_task is not None and home().turn_off(self._sandbox_task):
            self._sandbox_task._sandbox_coroutine.close()  # or it would be said that nobody awaited it

    def cancelled(self) -> bool:
        return self._sandbox_cancelled

    def _sandbox_call(self, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        if not self._sandbox_cancelled:
            callback(*args)


class TimerHandle(Handle):
    """asyncio.TimerHandle: one that comes at a time."""

    def __init__(self, when: float) -> None:
        super().__init__()
        self._sandbox_when = when

    def when(self) -> float:
        return self._sandbox_when


Handle.__module__ = TimerHandle.__module__ = "asyncio"


def task_of(coroutine: Any, name: str = "") -> Task:
    task = Task.__new__(Task)
    Future.__init__(task)
    task._sandbox_coroutine, task._sandbox_name = coroutine, name
    return task


def callback_task(callback: Any, *args: Any) -> Task:
    """What calls it, in its turn."""

    async def call() -> None:
        callback(*args)

    task = task_of(call())
    task._sandbox_callback = callback
    return task


def cancellation(msg: Any) -> CancelledError:
    return CancelledError() if msg is None else CancelledError(msg)


class Ending:
    """Of some futures: `waiter` is done when the last one is, or when the first one is of which `when` says so."""

    def __init__(self, futures: list[Any], when: Callable[[Future], bool] = lambda future: False) -> None:
        self.waiter = Future()
        self.first: Future | None = None
        self.when, self.left = when, len(futures)
        for future in futures:
            if future._sandbox_done:
                self.add(future)
            else:
                future._sandbox_endings.append(self)
        if not futures:
            self.waiter._sandbox_finish()

    def add(self, future: Future) -> None:
        self.left -= 1
        if self.first is None and self.when(future):
            self.first = future
        if (self.first is not None or not self.left) and not self.waiter._sandbox_done:
            self.waiter._sandbox_finish()

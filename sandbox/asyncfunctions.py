"""asyncio's functions for one program, over one loop. What is not here is refused by name."""

import types
from collections.abc import Callable, Coroutine, Generator
from inspect import CO_COROUTINE
from typing import Any

from sandbox import asyncgroups, asynctasks, asyncwaits
from sandbox.asyncloop import EventLoop, Loop, Sleep
from sandbox.asynctasks import Ending, Future, Gathering, Handle, InvalidStateError, Task, TimerHandle, settle
from sandbox.guards import CancelledError


@types.coroutine
def _pause(seconds: float) -> Generator[Any, Any, Any]:
    """Hand over to the loop for so many seconds."""
    return (yield Sleep(seconds))


def _iscoroutinefunction(value: Any) -> bool:
    function = value.__func__ if type(value) is types.MethodType else value
    return type(function) is types.FunctionType and bool(function.__code__.co_flags & CO_COROUTINE)


def _failed(future: Future) -> bool:
    return future._sandbox_error is not None


# When wait() comes back, by the name of the constant.
_WHEN: dict[Any, Callable[[Future], bool]] = {
    "ALL_COMPLETED": lambda future: False,
    "FIRST_COMPLETED": lambda future: True,
    "FIRST_EXCEPTION": lambda future: _failed(future) and not future.cancelled(),
}


def names(loop: Loop) -> dict[str, Any]:
    """asyncio's functions over one loop. What is not here is refused by name."""
    settle(loop)

    async def sleep(delay: float, result: Any = None) -> Any:
        await _pause(0.0 if delay <= 0 else float(delay))
        return result

    async def until(ending: Ending, timeout: float | None = None) -> None:
        """Wait for it, no longer than that."""
        try:
            if timeout is not None:
                loop.set_alarm(ending.waiter, timeout)
            await ending.waiter
        finally:
            loop.turn_off(ending.waiter)

    def gather(*awaitables: Any, return_exceptions: bool = False) -> Future:
        once = {id(awaitable): awaitable for awaitable in awaitables}
        made = {number: loop.task(awaitable) for number, awaitable in once.items()}
        return Gathering([made[id(awaitable)] for awaitable in awaitables], bool(return_exceptions))

    async def wait_for(awaitable: Any, timeout: float | None) -> Any:
        if timeout is None:
            return await awaitable  # at once: no task of its own has turns
        future = loop.task(awaitable)
        seconds = float(timeout)
        try:
            if seconds > 0:
                await until(Ending([future]), seconds)
            if future.done():
                return future.result()
            future.cancel()
            await Ending([future]).waiter
        except CancelledError:
            future.cancel()
            await Ending([future]).waiter
            raise
        try:
            return future.result()
        except CancelledError as error:
            raise TimeoutError from error

    async def wait(fs: Any, *, timeout: float | None = None, return_when: str = "ALL_COMPLETED") -> Any:
        if isinstance(fs, Future | Coroutine):
            raise TypeError(f"expect a list of futures, not {type(fs).__name__}")
        futures = list(fs)
        if not futures:
            raise ValueError("Set of Tasks/Futures is empty.")
        if return_when not in _WHEN:
            raise ValueError(f"Invalid return_when value: {return_when}")
        if any(isinstance(one, Coroutine) for one in futures):
            raise TypeError("Passing coroutines is forbidden, use tasks explicitly.")
        ending = Ending([loop.task(one) for one in dict.fromkeys(futures)], _WHEN[return_when])
        if ending.waiter.done():
            await _pause(0.0)
        else:
            await until(ending, None if timeout is None else float(timeout))
        return {one for one in futures if one.done()}, {one for one in futures if not one.done()}

    def as_completed(fs: Any, *, timeout: float | None = None) -> Any:
        if isinstance(fs, Future | Coroutine):
            raise TypeError(f"expect an iterable of futures, not {type(fs).__name__}")
        futures = [loop.task(one) for one in dict.fromkeys(fs)]
        done, late = asyncwaits.Queue(), Future()
        for one in futures:
            one.add_done_callback(done.put_nowait)
        if timeout is not None:
            for _ in futures:
                late.add_done_callback(done.put_nowait)
            loop.set_alarm(late, float(timeout))

        async def next_one() -> Any:
            one = await done.get()
            if one is late:
                raise TimeoutError
            return one.result()

        return (next_one() for _ in futures)

    task = loop.task

    def ensure_future(coro_or_future: Any, *, loop: Any = None) -> Any:
        return task(coro_or_future)

    def create_task(coroutine: Any, *, name: Any = None, context: Any = None) -> Any:
        if not loop.running:
            raise RuntimeError("no running event loop")
        return EventLoop(loop).create_task(coroutine, name=name)

    def get_running_loop() -> EventLoop:
        if not loop.running:
            raise RuntimeError("no running event loop")
        return EventLoop(loop)

    def current_task() -> Task | None:
        get_running_loop()
        return loop.current

    def all_tasks() -> set[Task]:
        get_running_loop()
        return {task for task in loop.begun.values() if task._sandbox_name}

    return {
        **{kind.__name__: kind for kind in (*asyncwaits.KINDS, *asynctasks.KINDS)},
        **{name: name for name in _WHEN},
        "TaskGroup": asyncgroups.TaskGroup,
        "timeout": asyncgroups.timeout,
        "timeout_at": asyncgroups.Timeout,
        "AbstractEventLoop": EventLoop,
        "Handle": Handle,
        "InvalidStateError": InvalidStateError,
        "TimerHandle": TimerHandle,
        "all_tasks": all_tasks,
        "as_completed": as_completed,
        "current_task": current_task,
        "get_event_loop": lambda: EventLoop(loop),
        "get_running_loop": get_running_loop,
        "iscoroutinefunction": _iscoroutinefunction,
        "isfuture": lambda value: isinstance(value, Future),
        "new_event_loop": lambda: EventLoop(loop),
        "set_event_loop": lambda loop, /: None,
        "run": loop.run,
        "sleep": sleep,
        "gather": gather,
        "create_task": create_task,
        "ensure_future": ensure_future,
        "wait": wait,
        "wait_for": wait_for,
        "iscoroutine": lambda value: isinstance(value, Coroutine),
        "TimeoutError": TimeoutError,
        "CancelledError": CancelledError,
    }

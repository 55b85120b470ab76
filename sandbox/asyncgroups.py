"""asyncio's TaskGroup and timeout() for one program: blocks that cancel what is in them.

A task counts how often it was asked to be cancelled, by which a block tells its own asking from somebody else's.
"""

from typing import Any

from sandbox.asynctasks import Future, Handle, Task, home
from sandbox.guards import CancelledError


def _parent(what: str) -> Task:
    task = home().current
    if task is None:
        raise RuntimeError(f"{what} should be used inside a task")
    return task


class Timeout:
    """asyncio.Timeout."""

    def __init__(self, when: float | None) -> None:
        self._sandbox_when = when
        self._sandbox_alarm: Handle | None = None
        self._sandbox_task: Task | None = None
        self._sandbox_before = 0  # how often the task was to be cancelled when it came in
        self._sandbox_late = False

    def when(self) -> float | None:
        return self._sandbox_when

    def expired(self) -> bool:
        return self._sandbox_late

    def reschedule(self, when: float | None) -> None:
        if self._sandbox_alarm is not None:
            self._sandbox_alarm.cancel()
        self._sandbox_when = when
        self._sandbox_alarm = None if when is None else home().call_later(when - home().time(), self._sandbox_expire)

    def _sandbox_expire(self) -> None:
        if self._sandbox_task is not None:
            self._sandbox_late = True
            self._sandbox_task.cancel()

    async def __aenter__(self) -> Any:
        if self._sandbox_task is not None:
            raise RuntimeError("Timeout has already been entered")
        self._sandbox_task = _parent("Timeout")
        self._sandbox_before = self._sandbox_task.cancelling()
        self.reschedule(self._sandbox_when)
        return self

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        task = _parent("Timeout") if self._sandbox_task is None else self._sandbox_task
        if self._sandbox_alarm is not None:
            self._sandbox_alarm.cancel()
        if self._sandbox_late and task.uncancel() <= self._sandbox_before and isinstance(error, CancelledError):
            raise TimeoutError from error


class TaskGroup:
    """asyncio.TaskGroup."""

    def __init__(self) -> None:
        self._sandbox_parent: Task | None = None
        self._sandbox_tasks: dict[int, Task] = {}  # that are not done, by their ids
        self._sandbox_errors: list[BaseException] = []
        self._sandbox_empty: Future | None = None  # what waits for the last of them
        self._sandbox_ending = self._sandbox_aborting = self._sandbox_asked = False

    async def __aenter__(self) -> Any:
        if self._sandbox_parent is not None:
            raise RuntimeError("TaskGroup has already been entered")
        self._sandbox_parent = _parent("TaskGroup")
        return self

    def create_task(self, coroutine: Any, *, name: Any = None, context: Any = None) -> Task:
        if self._sandbox_parent is None:
            raise RuntimeError("TaskGroup has not been entered")
        if self._sandbox_ending and not self._sandbox_tasks:
            raise RuntimeError("TaskGroup is finished")
        if self._sandbox_aborting:
            raise RuntimeError("TaskGroup is shutting down")
        task = home().task(coroutine, name)
        self._sandbox_tasks[id(task)] = task
        task.add_done_callback(self._sandbox_ended)
        return task

    def _sandbox_ended(self, task: Task) -> None:
        del self._sandbox_tasks[id(task)]
        if self._sandbox_empty is not None and not self._sandbox_tasks and not self._sandbox_empty.done():
            self._sandbox_empty.set_result(None)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        self._sandbox_errors.append(error)
        if not self._sandbox_aborting and not self._sandbox_asked and self._sandbox_parent is not None:
            self._sandbox_abort()
            self._sandbox_asked = True
            self._sandbox_parent.cancel()

    def _sandbox_abort(self) -> None:
        self._sandbox_aborting = True
        for task in list(self._sandbox_tasks.values()):
            task.cancel()

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        task = _parent("TaskGroup") if self._sandbox_parent is None else self._sandbox_parent
        self._sandbox_ending = True
        cancelled = error if isinstance(error, CancelledError) else None
        if self._sandbox_asked and task.uncancel() == 0:
            cancelled = None
        if error is not None and not self._sandbox_aborting:
            self._sandbox_abort()
        while self._sandbox_tasks:
            self._sandbox_empty = Future()
            try:
                await self._sandbox_empty
            except CancelledError as late:
                if not self._sandbox_aborting:
                    cancelled = late
                    self._sandbox_abort()
        if error is not None and not isinstance(error, Exception | CancelledError):
            return  # SystemExit
        if cancelled is not None and not self._sandbox_errors:
            raise cancelled
        if error is not None and not isinstance(error, CancelledError):
            self._sandbox_errors.append(error)
        if self._sandbox_errors:
            raise BaseExceptionGroup("unhandled errors in a TaskGroup", self._sandbox_errors) from None


def timeout(delay: float | None) -> Timeout:
    return Timeout(None if delay is None else home().time() + delay)


KINDS: tuple[type, ...] = (TaskGroup, Timeout)
for _kind in KINDS:
    _kind.__module__ = "asyncio"

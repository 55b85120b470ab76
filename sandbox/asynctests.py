"""asyncio for the tests: their own coroutines run in the judge, and what the program gave runs in the program.

There is nothing here that an event loop could wait for, and no file to import one from. Whatever of the program's is
awaited runs there until it is done; what is gathered or made a task together runs there together.
"""

import sys
import types
from collections.abc import Generator
from typing import Any, NoReturn

from sandbox import asyncloop, asyncwaits
from sandbox.codec import Uncrossable
from sandbox.handles import Remote


class _Clock:
    slept = 0.0


class _OwnTask(asyncwaits.Task):
    """A task of the tests'. What it has not would have been there: that is no answer of the program's."""

    def __getattr__(self, name: str) -> NoReturn:
        _missing(f"{name} of a task", name)


class _Loop(asyncloop.Loop):
    """The loop of the tests' own coroutines."""

    kind = _OwnTask
    link: Any = None  # of the program in which there are tasks

    def task(self, awaitable: Any) -> Any:
        return super().task(asyncloop.awaited(awaitable) if isinstance(awaitable, Remote | _Task) else awaitable)

    def stuck(self) -> None:
        raise RuntimeError("every coroutine of the test waits for another one")

    def clear(self) -> None:
        self.ready.clear()
        self.sleeping.clear()
        self.clock.slept = 0.0
        self.link = None


_LOOP = _Loop(_Clock())


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


def _names() -> dict[str, Any]:
    own = asyncloop.names(_LOOP)

    async def sleep(delay: float, result: Any = None) -> Any:
        if _LOOP.link is not None:
            _LOOP.link.ask("sleep", float(delay))
        return await own["sleep"](delay, result)

    def gather(*awaitables: Any, return_exceptions: bool = False) -> Any:
        theirs = _of_program(awaitables)
        if theirs:
            return _LOOP.task(_gathered(theirs, return_exceptions))
        return own["gather"](*awaitables, return_exceptions=return_exceptions)

    async def wait_for(awaitable: Any, timeout: float | None) -> Any:
        for remote in _of_program((awaitable,)):
            return remote._sandbox_link.ask("wait_for", remote, timeout)
        return await own["wait_for"](awaitable, timeout)

    def create_task(coroutine: Any, *, name: Any = None) -> Any:
        for remote in _of_program((coroutine,)):
            _LOOP.link = remote._sandbox_link
            return _Task(_LOOP.link.ask("create_task", remote))
        return own["create_task"](coroutine)

    def iscoroutinefunction(value: Any) -> Any:
        if isinstance(value, Remote):
            return value._sandbox_link.ask("iscoroutinefunction", value)
        return own["iscoroutinefunction"](value)

    return own | {
        "sleep": sleep,
        "gather": gather,
        "wait_for": wait_for,
        "create_task": create_task,
        "ensure_future": create_task,
        "iscoroutinefunction": iscoroutinefunction,
    }


async def _gathered(remotes: list[Remote], return_exceptions: bool) -> list[Any]:
    tasks = [remote._sandbox_link.ask("create_task", remote) for remote in remotes]
    return await asyncloop.results(tasks, return_exceptions)


def install() -> None:
    """Make this what `import asyncio` finds."""
    module = types.ModuleType("asyncio")
    vars(module).update(_names(), __getattr__=lambda name: _missing(f"asyncio.{name}", name))
    sys.modules["asyncio"] = module


def begin() -> None:
    """Another program's tests: nothing of these waits in the loop."""
    _LOOP.clear()

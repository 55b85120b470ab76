"""What ends a program that Python itself would not end. None is an Exception; each is remembered by the world.

A stop that the program swallows (`finally: return`, a context manager that says True) comes back: the world raises it
again when the program hands over, and the step counter at every step.
"""

from typing import Any, NoReturn, Protocol

from sandbox.refused import Refused, Violation


class Stop(BaseException):
    """The program used up a limit of the sandbox's."""

    def __str__(self) -> str:
        """What it was made with: a program gets at it in a `finally`, and may put objects of its own there."""
        given: tuple[Any, ...] = BaseException.args.__get__(self)  # type: ignore[attr-defined]
        return given[0] if len(given) == 1 and type(given[0]) is str else ""


class StepLimit(Stop):
    """The budget of loop turns and function entries is spent."""


class OutputLimit(Stop):
    """More was printed than may be."""


class ProgramExit(SystemExit):
    """The program ended itself by sys.exit() or its like; `code` is as with SystemExit."""


class Running(Protocol):
    """The world whose program is running."""

    stopped: BaseException | None

    def now(self) -> float: ...

    def chance(self) -> Any: ...


EPOCH = 1_700_000_000.0  # the time at step 0 of every program
_running: list[Running | None] = [None]


class Over:
    """Stands for the world of a program that is over, while what is left of it ends under the rules."""

    stopped: BaseException | None = None

    def now(self) -> float:
        return EPOCH

    def chance(self) -> None:
        return None


OVER = Over()


def enter(world: Running | None) -> Running | None:
    """Make `world` the running one; the one before it comes back."""
    before, _running[0] = _running[0], world
    return before


def running() -> bool:
    """Is a program running now?"""
    return _running[0] is not None


def now() -> float:
    """Seconds since 1970 on the running program's own clock."""
    world = _running[0]
    return world.now() if world is not None else EPOCH


def chance() -> Any:
    """The module `random` of the running program; None when none is running."""
    world = _running[0]
    return None if world is None else world.chance()


def stop(error: BaseException) -> NoReturn:
    """End the running program with `error`, whatever the program does about it."""
    world = _running[0]
    if world is not None and world.stopped is None:
        world.stopped = error
    raise error


_apart = [False]


def run_apart() -> None:
    """What runs in this process should have had one of its own, which its text did not show: it is to be the last."""
    _apart[0] = True


def runs_apart() -> bool:
    return _apart[0]


def refuse(rule: str, message: str) -> NoReturn:
    """The program asked, while running, for what the policy does not allow."""
    stop(Refused(Violation(0, rule, message)))

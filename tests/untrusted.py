"""Runs a source in a world of its own, in this process, and says how it ended. For tests of the language layer."""

import contextlib
import gc
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox import policy
from sandbox.refused import Refused
from sandbox.runtime import OutputLimit, ProgramExit, StepLimit, World, prepare
from sandbox.translate import translate
from sandbox.verdict import Limits


@dataclass(frozen=True)
class Ending:
    """`status` is "ended", "refused", "step_limit", "output_limit", or the name of the exception that came out."""

    status: str
    stdout: str
    message: str
    rules: frozenset[str]
    steps: int


class Planted:
    """An object that tells copy how it is made, and class headers what it stands for: no program can make one.

    For the rules behind those that see to that.
    """

    def __init__(self, **answers: Callable[..., Any]) -> None:
        self.__dict__.update({f"__{name}__": answer for name, answer in answers.items()})


def run(
    source: str | bytes, stdin: str | bytes = "", steps: int = 2_000_000, output_bytes: int = 1 << 20, **names: Any
) -> Ending:
    """`names` are given to the program besides."""
    prepare()
    world = World(limits=Limits(steps=steps, output_bytes=output_bytes), stdin=stdin)
    world.namespace.update(names)
    status, message, rules = "ended", "", frozenset[str]()
    try:
        world.run(translate(source))
    except Refused as error:
        status, message, rules = "refused", str(error), frozenset(v.rule for v in error.violations)
    except StepLimit as error:
        status, message = "step_limit", str(error)
    except OutputLimit as error:
        status, message = "output_limit", str(error)
    except ProgramExit as error:
        message = repr(error.code)
    except BaseException as error:
        status, message = type(error).__name__, str(error)
    return Ending(status, world.stdout, message, rules, world.steps)


def run_plain(source: str, stdin: str = "") -> tuple[str, str]:
    """How plain CPython ends it, and what it prints. What it does to the modules of this process is undone."""
    before = {name: dict(vars(sys.modules[name])) for name in policy.MODULES if name in sys.modules}
    out, status = io.StringIO(), "ended"
    old, depth = sys.stdin, sys.getrecursionlimit()
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            exec(compile(source, "<program>", "exec", dont_inherit=True), {"__name__": "__main__"})
    except SystemExit:
        pass
    except BaseException as error:
        status = type(error).__name__
    finally:
        if "asyncio" in source:
            gc.collect()  # or tasks log exceptions in the midst of somebody's ast.parse(), which then fails (3.11)
        sys.stdin = old
        sys.setrecursionlimit(depth)
        for name, names in before.items():
            vars(sys.modules[name]).update(names)
    return status, out.getvalue()

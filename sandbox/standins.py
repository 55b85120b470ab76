"""The outside world a program may believe in: sys, os, time, streams, chance. All in memory, repeatable."""

import _io
import decimal
import keyword
import math
import operator
import os
import posixpath
import random
import resource
import sys
import time
import types
from collections.abc import Callable
from typing import Any, Protocol

from sandbox import asyncfunctions, asyncloop, concurrency, guards, modules, policy
from sandbox.modules import Names
from sandbox.stops import EPOCH, Running, refuse
from sandbox.streams import Input, InputBuffer, Output, TextOutput

_INT_DIGITS = 4300  # CPython's own default
_RECURSION = sys.getrecursionlimit()
_STEP_SECONDS = 1e-7  # what a step takes on the program's clock
# And to read it, or two readings, rounded as times since 1970 are, would be less apart than what is slept in between.
_READING_SECONDS = 1e-6
_MOST_SLEPT = 1e9  # seconds: on a clock that says far more nothing takes any time, as a float has so many digits
# Bytes of C stack that a level of recursion through C code commonly needs (lru_cache, __repr__, operators: 400 to 900
# measured on 3.11; a sort inside a sort 1,600). 300,000 of the largest fit the default limit of memory.
_STACK_PER_FRAME = 1_000
_MAX_RECURSION = 300_000
_ENDS_BY_ITSELF = (_io._IOBase, types.GeneratorType)


class SandboxWorld(Running, Protocol):
    """What this file needs of a world."""

    output: Output
    errors: Output | None
    namespace: dict[str, Any]

    @property
    def steps(self) -> int: ...

    def call(self, function: Callable[..., Any], args: Any = ()) -> Any: ...


def recursion_cap() -> int:
    """The deepest recursion that leaves the C stack of this process whole."""
    soft, _ = resource.getrlimit(resource.RLIMIT_STACK)
    space, _ = resource.getrlimit(resource.RLIMIT_AS)
    room = [limit for limit in (soft, space // 2 if space > 0 else space) if limit != resource.RLIM_INFINITY]
    return max(1000, min(_MAX_RECURSION, *(limit // _STACK_PER_FRAME for limit in room)))


def reset_limits() -> None:
    """Those of the interpreter that a program sets."""
    sys.set_int_max_str_digits(_INT_DIGITS)
    sys.setrecursionlimit(_RECURSION)


class System:
    """One world's sys, os, time and random, and the builtins that lead there."""

    def __init__(self, world: SandboxWorld, stdin: str | bytes) -> None:
        data = stdin.encode("utf-8", "surrogatepass") if isinstance(stdin, str) else stdin
        self.world, self.output = world, world.output
        self.input_size = len(data)
        self.raw = InputBuffer(data)
        self.stdin = Input(self.raw)
        self.stdout = TextOutput(self.output, 1)
        self.stderr = TextOutput(world.errors, 2)
        self.sys: Any = types.ModuleType("sys")
        vars(self.sys).update(self._sys_names(), __getattr__=modules._absent("sys"))
        self.at_exit: list[tuple[Any, Any, Any]] = []
        self._slept = 0.0
        self.readings = 0
        self.recursion_limit = 1000
        self.deepest = max(1000, recursion_cap())  # asked once: every call of the program's comes by
        self.base_depth = 0
        sys.set_int_max_str_digits(_INT_DIGITS)
        decimal.setcontext(decimal.Context(prec=28, rounding=decimal.ROUND_HALF_EVEN))

    def stand_ins(self) -> dict[str, Callable[[], Names]]:
        return {
            "asyncio": lambda: asyncfunctions.names(asyncloop.Loop(self)),
            "atexit": self._atexit_names,
            "builtins": self._builtins_names,
            "contextlib": self._contextlib_names,
            "fileinput": lambda: {"input": lambda *files, **more: self._all_input(files)},
            "gc": _gc_names,
            "keyword": _keyword_names,
            "io": lambda: modules.library_names("io") | {"open": self.open},
            "os": self._os_names,
            "pprint": self._pprint_names,
            "queue": concurrency.queue_names,
            "random": _random_names,
            "resource": _resource_names,
            "threading": lambda: concurrency.threading_names(self),
            "time": self._time_names,
            "traceback": self._traceback_names,
            "typing_extensions": modules.typing_extension_names,
            "warnings": lambda: {name: _nothing for name in policy.MODULES["warnings"]},
        }

    # sys

    def _sys_names(self) -> Names:
        same = (
            *("byteorder", "float_info", "get_int_max_str_digits", "getsizeof", "hash_info", "int_info", "intern"),
            *("maxsize", "maxunicode", "platform", "version", "version_info"),
        )
        return {
            **{name: getattr(sys, name) for name in same},
            "argv": ["program.py"],
            "stdin": self.stdin,
            "stdout": self.stdout,
            "stderr": self.stderr,
            "exit": guards.sys_exit,
            "exc_info": _exc_info,
            "setrecursionlimit": self.set_recursion_limit,
            "getrecursionlimit": lambda: self.recursion_limit,
            "set_int_max_str_digits": sys.set_int_max_str_digits,
        }

    def enter(self) -> None:
        """The program gets the processor: its recursion starts here."""
        depth, frame = 0, sys._getframe()
        while frame.f_back is not None:
            depth, frame = depth + 1, frame.f_back
        self.base_depth = depth + (sys.version_info < (3, 12))  # 3.11 counts the C call that starts the program
        self._apply_recursion_limit()

    def finish(self) -> None:
        """What Python does at its end: the functions of atexit, the flush of a sys.stdout the program put in, and then
        the end of the streams and generators that the module's names still hold, which may print what they kept."""
        while self.at_exit:
            function, args, keywords = self.at_exit.pop()
            try:
                function(*args, **keywords)
            except guards.CATCHABLE:  # Python prints it and goes on, SystemExit too
                pass
        if self.sys.stdout is not self.stdout:
            try:
                self.sys.stdout.flush()
            except guards.CATCHABLE:
                pass
        names = self.world.namespace
        for name in [name for name, value in names.items() if isinstance(value, _ENDS_BY_ITSELF)]:
            del names[name]

    def set_recursion_limit(self, limit: int, /) -> None:
        if type(limit) is not int:
            raise TypeError(f"'{type(limit).__name__}' object cannot be interpreted as an integer")
        if limit < 1:
            raise ValueError("recursion limit must be greater or equal than 1")
        self.recursion_limit = limit
        self._apply_recursion_limit()

    def _apply_recursion_limit(self) -> None:
        sys.setrecursionlimit(self.base_depth + min(self.recursion_limit, self.deepest))

    # Streams

    def make_print(self) -> Callable[..., None]:
        real, output, system, stdout = print, self.output, self.sys, self.stdout
        text = output.text

        def print_(*values: Any, sep: Any = " ", end: Any = "\n", file: Any = None, flush: Any = False) -> None:
            if file is None:
                file = system.stdout
            if file is stdout:
                try:
                    real(*values, sep=sep, end=end, file=text)
                finally:  # a `__str__` that raises comes after what was printed before it
                    output.check()
            elif file is not None:
                real(*values, sep=sep, end=end, file=file, flush=flush)

        print_.__name__ = print_.__qualname__ = "print"
        return print_

    def make_input(self) -> Callable[..., str]:
        def input_(prompt: Any = "", /) -> str:
            if prompt != "":
                system.stdout.write(str(prompt))
            line = system.stdin.readline()
            if not isinstance(line, str):
                raise TypeError("object.readline() returned non-string")
            if not line:
                raise EOFError("EOF when reading a line")
            return line[:-1] if line.endswith("\n") else line

        system = self.sys
        input_.__name__ = input_.__qualname__ = "input"
        return input_

    def open(self, file: Any, mode: str = "r", *options: Any, **more: Any) -> Any:
        """The three standard streams; there are no files."""
        if file in (0, "/dev/stdin"):
            return self.stdin.buffer if "b" in mode else self.stdin
        if file in (1, "/dev/stdout"):
            return self.stdout.buffer if "b" in mode else self.stdout
        if file in (2, "/dev/stderr"):
            return self.stderr.buffer if "b" in mode else self.stderr
        refuse("file", "open() is only allowed on descriptors 0, 1 and 2: there are no files")

    def _all_input(self, files: tuple[Any, ...]) -> Any:
        """fileinput.input(): the lines of standard input; there are no files."""
        if files and files[0] not in (None, (), [], "-", ["-"], ("-",)):
            refuse("file", "fileinput.input() only reads standard input: there are no files")
        return self.sys.stdin

    # os

    def _os_names(self) -> Names:
        path = types.ModuleType("posixpath")
        vars(path).update({name: getattr(posixpath, name) for name in policy.MODULES["os.path"]})
        vars(path).update(__getattr__=modules._absent("os.path"))
        return {
            "read": self._os_read,
            "write": self._os_write,
            "fstat": self._os_fstat,
            "environ": {},
            "getenv": lambda name, default=None: default,
            "getcwd": lambda: "/",
            "path": path,
            **{name: getattr(os, name) for name in ("linesep", "sep", "name", "devnull")},
            "_exit": guards.sys_exit,
        }

    def _os_read(self, descriptor: int, count: int, /) -> bytes:
        if descriptor != 0:
            refuse("file", "os.read is only allowed on descriptor 0")
        return self.raw.read(count)

    def _os_write(self, descriptor: int, data: Any, /) -> int:
        if descriptor not in (1, 2):
            refuse("file", "os.write is only allowed on descriptors 1 and 2")
        return (self.stdout if descriptor == 1 else self.stderr).buffer.write(data)

    def _os_fstat(self, descriptor: int, /) -> Any:
        if descriptor not in (0, 1, 2):
            refuse("file", "os.fstat is only allowed on descriptors 0, 1 and 2")
        return guards.Namespace(st_size=self.input_size if descriptor == 0 else 0)

    # The rest

    def clock(self) -> float:
        """Seconds on the program's own clock: its steps, its sleeps, and what it takes to read it."""
        self.readings += 1
        return self.world.steps * _STEP_SECONDS + self.readings * _READING_SECONDS + self.slept

    @property
    def slept(self) -> float:
        """Seconds that were slept; asyncio's loop adds its own."""
        return self._slept

    @slept.setter
    def slept(self, seconds: float) -> None:
        if seconds > _MOST_SLEPT:
            refuse("waiting", "what sleeps for decades is not waited for")
        self._slept = seconds

    def sleep(self, seconds: Any, /) -> None:
        # No number of the program's own, which would be what the clock says, or is asked twice and sets it back.
        length = float.__float__(seconds) if isinstance(seconds, float) else float(operator.index(seconds))
        if math.isnan(length):
            raise ValueError("Invalid value NaN (not a number)")
        if length < 0:
            raise ValueError("sleep length must be non-negative")
        self.slept += length

    def _time_names(self) -> Names:
        def now(seconds: float | None) -> float:
            return EPOCH + self.clock() if seconds is None else seconds

        def nanoseconds() -> int:
            return int(self.clock() * 1e9)

        return {
            "time": lambda: EPOCH + self.clock(),
            "time_ns": lambda: int(EPOCH) * 10**9 + nanoseconds(),
            **dict.fromkeys(("perf_counter", "monotonic", "process_time"), self.clock),
            **dict.fromkeys(("perf_counter_ns", "monotonic_ns", "process_time_ns"), nanoseconds),
            "sleep": self.sleep,
            "gmtime": lambda seconds=None, /: time.gmtime(now(seconds)),
            "localtime": lambda seconds=None, /: time.gmtime(now(seconds)),
            "ctime": lambda seconds=None, /: time.asctime(time.gmtime(now(seconds))),
            "asctime": lambda when=None, /: time.asctime(when or time.gmtime(now(None))),
            "strftime": lambda text, when=None, /: time.strftime(text, when or time.gmtime(now(None))),
            "strptime": time.strptime,
            "mktime": time.mktime,
            "struct_time": time.struct_time,
            "timezone": 0,
        }

    def _atexit_names(self) -> Names:
        def register(function: Any, /, *args: Any, **keywords: Any) -> Any:
            self.at_exit.append((function, args, keywords))
            return function

        def unregister(function: Any, /) -> None:
            self.at_exit[:] = [entry for entry in self.at_exit if entry[0] is not function]

        return {"register": register, "unregister": unregister}

    def _builtins_names(self) -> Names:
        table = self.world.builtins  # type: ignore[attr-defined]
        return {k: v for k, v in table.items() if not k.startswith((".", "__"))}

    def _contextlib_names(self) -> Names:
        system = self.sys

        class redirect_stdout:
            def __init__(self, new_target: Any) -> None:
                self.new_target, self.old_targets = new_target, list[Any]()

            def __enter__(self) -> Any:
                self.old_targets.append(system.stdout)
                system.stdout = self.new_target
                return self.new_target

            def __exit__(self, *error: Any) -> None:
                system.stdout = self.old_targets.pop()

        return modules.library_names("contextlib") | {"redirect_stdout": redirect_stdout}

    def _traceback_names(self) -> Names:
        def text() -> str:
            """The exception that is being handled, without its frames."""
            kind, value, _ = sys.exc_info()
            return f"Traceback (most recent call last):\n{kind.__name__}: {value}\n" if kind else "NoneType: None\n"

        def show(limit: Any = None, file: Any = None, chain: bool = True) -> None:
            (self.sys.stderr if file is None else file).write(text())

        return {"format_exc": lambda *options, **more: text(), "print_exc": show}

    def _pprint_names(self) -> Names:
        import pprint

        def show(value: Any, stream: Any = None, *options: Any, **more: Any) -> None:
            pprint.pprint(value, self.sys.stdout if stream is None else stream, *options, **more)

        return {"pformat": pprint.pformat, "pprint": show, "pp": show}


def _random_names() -> Names:
    source = random.Random(0)
    names = {name: getattr(source, name) for name in policy.MODULES["random"] if hasattr(source, name)}
    return names | {"Random": random.Random}


def _gc_names() -> Names:
    """The collector runs as the sandbox has it; a program finds what it has said itself."""
    said: dict[str, Any] = {"enabled": True, "threshold": (700, 10, 10)}

    def set_threshold(*numbers: int) -> None:
        said["threshold"] = (*numbers, *said["threshold"][len(numbers) :])

    return {
        "collect": lambda generation=2: 0,
        "disable": lambda: said.update(enabled=False),
        "enable": lambda: said.update(enabled=True),
        "freeze": _nothing,
        "get_threshold": lambda: said["threshold"],
        "isenabled": lambda: said["enabled"],
        "set_threshold": set_threshold,
    }


def _keyword_names() -> Names:
    """A program's own lists: what one changes is not the next one's."""
    lists = {name: list(getattr(keyword, name)) for name in ("kwlist", "softkwlist")}
    return {**lists, "iskeyword": keyword.iskeyword, "issoftkeyword": keyword.issoftkeyword}


def _resource_names() -> Names:
    """People raise the stack's limit before a deep recursion; the sandbox has set what can be had."""
    names = {name: getattr(resource, name) for name in policy.MODULES["resource"] if name.startswith("RLIM")}
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    return {**names, "error": OSError, "setrlimit": _nothing, "getrlimit": lambda what, /: unlimited}


def _exc_info() -> tuple[Any, Any, None]:
    kind, value, _ = sys.exc_info()
    return kind, value, None


def _nothing(*args: Any, **keywords: Any) -> None:
    """What a function does that has nothing to do here, such as those of `warnings`: there is nobody to warn."""

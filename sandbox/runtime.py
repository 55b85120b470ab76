"""One program's universe: its builtins, modules, streams, step counter and clock.

`prepare()` once per process, before walls go up; then `World(...).run(translate(source))`, and `call` for functions.
A world is for one program; it shares nothing that a program could change with the next one.
"""

import itertools
import operator
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from sandbox import attributes, classes, freeze, guards, policy, replacements, standins
from sandbox.codec import FUNCTION, PROGRAM_NAMES, TESTS
from sandbox.modules import Importer, hidden_import
from sandbox.refused import Refused
from sandbox.rules import is_dunder
from sandbox.stops import EPOCH, OutputLimit, ProgramExit, StepLimit, enter, refuse, run_apart, stop
from sandbox.streams import Kept, Output
from sandbox.translate import examine, translate
from sandbox.verdict import Limits

__all__ = ["OutputLimit", "ProgramExit", "Refused", "StepLimit", "World", "prepare"]

_CALL_COST = 20  # steps of one eval or exec, besides one for each character

prepare = freeze.prepare


class World:
    """`namespace` are the module's globals; `steps` the loop turns and function entries so far.

    `errors` is what went to standard error, with `keep_errors`; otherwise it is forgotten.
    """

    def __init__(
        self,
        *,
        limits: Limits,
        stdin: str | bytes = "",
        allow_modules: frozenset[str] = frozenset(),
        name: str = "__main__",
        keep_errors: bool = False,
    ) -> None:
        self.limits, self.allow_modules = limits, allow_modules
        self.stopped: BaseException | None = None
        self.steps_left = itertools.repeat(True, limits.steps + 1)  # the one too many is never given back
        self.counter = itertools.chain(self.steps_left, iter(self._spent, object()))
        self.output = Output(limits.output_bytes)
        self.errors: Output | None = Kept(limits.output_bytes) if keep_errors else None
        self.system = standins.System(self, stdin)
        self.importer = Importer(self.system.stand_ins(), allow_modules)
        self.importer.loaded["sys"] = self.system.sys  # the one whose stdin and stdout count
        self.builtins = guards.shared_builtins() | self._own_builtins()
        self.namespace: dict[str, Any] = {"__name__": name, "__doc__": None, "__builtins__": self.builtins}
        self.functions: dict[str, types.CodeType] = {}  # of the tests, by their texts
        self.main = name == "__main__"
        if self.main:
            self.namespace["__file__"] = "program.py"

    @property
    def steps(self) -> int:
        return min(self.limits.steps, self.limits.steps + 1 - operator.length_hint(self.steps_left))

    @property
    def stdout(self) -> str:
        return self.output.value()

    def now(self) -> float:
        """Seconds since 1970 on the program's own clock, which goes on with its steps and its sleeps."""
        return EPOCH + self.system.clock()

    def chance(self) -> Any:
        """The program's own module `random`."""
        return self.importer.module("random")

    def named_tuple(self, name: str, fields: tuple[str, ...]) -> type:
        """As the program would make it."""
        kind: type = replacements.named_tuple(name, fields, rename=True)
        return kind

    def library(self, module: str, name: str) -> Any:
        """What the program's own module has by this name."""
        return vars(self.importer.module(module))[name]

    def clock(self, passed: float) -> float:
        """Seconds on the program's own clock, once so many more have passed."""
        self.system.sleep(passed)
        return self.system.clock()

    def kind_of(self, value: Any) -> Any:
        """As the program's own `type` says it: no metaclass is handed out."""
        return classes.kind_of(value)

    def function(self, text: str) -> Any:
        """What the text of a function of the tests' makes. The program's own names are not its.

        What it uses of them it gets as globals() gives them: it may call an `eval` of the program's, which sees its
        names.
        """
        names: dict[str, Any] = {"__name__": TESTS, "__builtins__": self.builtins}
        names[PROGRAM_NAMES] = Globals(self.namespace)
        if text not in self.functions:
            self.functions[text], apart = examine(text, allow_modules=self.allow_modules)
            if apart:  # the program shares its process for what it says itself, and not for this
                run_apart()
        exec(self.functions[text], names)
        return names[FUNCTION]

    def _spent(self) -> NoReturn:
        stop(StepLimit(f"more than {self.limits.steps} steps"))

    def run(self, code: types.CodeType) -> None:
        """Execute the module. What the program raises comes out; its sys.exit() as ProgramExit, after atexit.

        A module under test does not end where its text does: its functions may want a generator that a name holds.
        """
        try:
            self.call(exec, (code, self.namespace))
        finally:
            if self.main:
                self.call(self.system.finish)

    def call(
        self, function: Callable[..., Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call something of the program's under its limits."""
        self._check()
        outer, limit = enter(self), sys.getrecursionlimit()
        self.system.enter()
        try:
            return function(*args, **(kwargs or {}))
        except SystemExit as error:
            raise ProgramExit(error.code) from None
        finally:
            sys.setrecursionlimit(limit)
            enter(outer)
            self._check()

    def _check(self) -> None:
        """What ended the program stays its end, whatever it did about it."""
        if not operator.length_hint(self.steps_left) and not isinstance(self.stopped, StepLimit):
            self.stopped = StepLimit(f"more than {self.limits.steps} steps")
        if self.stopped is not None:
            raise self.stopped

    # Builtins that know the world

    def _own_builtins(self) -> dict[str, Any]:
        importer = self.importer
        return {
            ".it": self.counter,
            ".left": self.steps_left,
            ".compress": itertools.compress,
            ".import": importer.import_module,
            ".from": importer.import_name,
            ".__import__": importer.dunder_import,
            "__import__": hidden_import,
            "print": self.system.make_print(),
            "input": self.system.make_input(),
            "open": self.system.open,
            "eval": self._make_evaluator("eval"),
            "exec": self._make_evaluator("exec"),
            "globals": lambda: Globals(self.namespace),
            "locals": lambda: self._locals(sys._getframe(1)),
            "vars": self._make_vars(),
            "dir": self._make_dir(),
        }

    def _locals(self, frame: types.FrameType) -> Any:
        if frame.f_globals is self.namespace and frame.f_locals is self.namespace:
            return Globals(self.namespace)
        if frame.f_globals.get("__builtins__") is not self.builtins:
            refuse("builtin", "locals() may only be called by the program itself")
        return _names_of(frame)

    def _make_vars(self) -> Callable[..., Any]:
        def vars(*args: Any) -> Any:
            if args:
                return attributes.dictionary(*args)
            return self._locals(sys._getframe(1))

        return vars

    def _make_dir(self) -> Callable[..., list[str]]:
        def dir_(*args: Any) -> list[str]:
            return dir(*args) if args else sorted(self._locals(sys._getframe(1)))

        dir_.__name__ = "dir"
        return dir_

    def _make_evaluator(self, mode: str) -> Callable[..., Any]:
        def evaluate(source: Any, globals: Any = None, locals: Any = None, /) -> Any:
            frame = sys._getframe(1)
            if isinstance(source, bytes | bytearray):
                source = bytes(source).decode("utf-8-sig")
            if not isinstance(source, str):
                raise TypeError(f"{mode}() arg 1 must be a string, bytes or code object")
            text = str.__str__(source)
            for _ in itertools.islice(self.counter, _CALL_COST + len(text)):
                pass
            try:
                code = translate(text.strip() if mode == "eval" else text, mode=mode, allow_modules=self.allow_modules)
            except Refused as error:
                stop(error)  # the program may swallow it, and is refused all the same
            return self._evaluate(code, frame, globals, locals)

        evaluate.__name__ = evaluate.__qualname__ = mode
        return evaluate

    def _evaluate(self, code: types.CodeType, frame: types.FrameType, globals: Any, locals: Any) -> Any:
        """Run translated code in given namespaces, or in the caller's."""
        if globals is None and locals is None:
            if frame.f_globals.get("__builtins__") is not self.builtins:
                return eval(code, self.namespace)
            if frame.f_locals is frame.f_globals:
                return eval(code, frame.f_globals)
            return eval(code, frame.f_globals, _names_of(frame))
        space = self.namespace if globals is None else _copied(globals)
        if space is not self.namespace:
            space["__builtins__"] = self.builtins
        try:
            if locals is None:
                return eval(code, space)
            inner = _copied(locals)
            try:
                return eval(code, space, inner)
            finally:
                _copy_back(inner, locals)
        finally:
            if globals is not None and space is not self.namespace:
                _copy_back(space, globals)


def _names_of(frame: types.FrameType) -> dict[str, Any]:
    """A function's or class body's names as they are now, without what the compiler keeps there for the class."""
    return {k: v for k, v in frame.f_locals.items() if _visible(k) and k not in policy.CLASS_MACHINERY}


def _copied(mapping: Any) -> dict[str, Any]:
    if not isinstance(mapping, dict | Globals):
        raise TypeError("globals and locals must be dictionaries")
    return {key: mapping[key] for key in mapping if type(key) is str and _visible(key)}


def _copy_back(inner: dict[str, Any], mapping: Any) -> None:
    for key, value in inner.items():
        if isinstance(mapping, Globals) and is_dunder(key):
            continue  # `__annotations__` or `__doc__` of the code that was run: nobody may set the module's
        if _visible(key) and not (key in mapping and mapping[key] is value):
            mapping[key] = value
    for key in [key for key in mapping if type(key) is str and _visible(key) and key not in inner]:
        del mapping[key]


def _visible(name: str) -> bool:
    return not name.startswith(".") and name != "__builtins__"


class Globals:
    """globals(): the module's names, live, without the machinery."""

    __slots__ = ("_sandbox_names",)

    def __init__(self, names: dict[str, Any]) -> None:
        self._sandbox_names = names

    def __getitem__(self, key: Any) -> Any:
        if type(key) is not str or not _visible(key):
            raise KeyError(key)
        return self._sandbox_names[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        if type(key) is not str or not _visible(key) or is_dunder(key):
            refuse("builtin", f"globals() may not be given the name {key!r}")
        self._sandbox_names[key] = value

    def __delitem__(self, key: Any) -> None:
        if type(key) is not str or not _visible(key):
            raise KeyError(key)
        del self._sandbox_names[key]

    def __contains__(self, key: object) -> bool:
        return type(key) is str and _visible(key) and key in self._sandbox_names

    def __iter__(self) -> Any:
        return iter([key for key in self._sandbox_names if _visible(key)])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def get(self, key: Any, default: Any = None) -> Any:
        return self[key] if key in self else default

    def keys(self) -> list[str]:
        return list(self)

    def values(self) -> list[Any]:
        return [self[key] for key in self]

    def items(self) -> list[tuple[str, Any]]:
        return [(key, self[key]) for key in self]

    def update(self, other: Any = (), /, **more: Any) -> None:
        for key, value in {**dict(other), **more}.items():
            self[key] = value

    def setdefault(self, key: Any, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: Any, *default: Any) -> Any:
        if key not in self and default:
            return default[0]
        value = self[key]
        del self[key]
        return value

    def copy(self) -> dict[str, Any]:
        return dict(self.items())

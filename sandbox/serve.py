"""The candidate's side of a judgement: run the program once, then answer the judge's calls until it hangs up.

Requests (trees of `codec`): `[operation, kept, updates, dropped, ...]`: the numbers of the containers that the tests
still hold (`shared`), what they changed of these, and the numbers of the handles that they hold no more, and of their
exceptions; all are None where nothing changes hands. Or `["batch", name, calls]`.
Replies: `["v", steps, value, updates, held]`, `["e", steps, names, message, args, updates, held, own]` for an
exception, `["x", steps, status, message]` when a limit or a refusal ends the program, `["o", steps, stdout]` for a
stdio run.
`updates` is what the program changed of these containers and of its arguments, `held` which of them, and of those in
the value, it holds; `own` the class of an exception and a handle on it, if the class is the program's, or None and its
number, if it is of a built-in one and the tests know it. The numbers of exceptions that they handed in are inverted,
and so below 0. Updates, of either side, hold these exceptions too where their arguments changed.
Nothing here is trusted by the other side: whoever breaks out of the language layer may send what he likes.
"""

import inspect
import operator
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import CodeType, FunctionType
from typing import Any, Protocol, cast

from sandbox.codec import (
    FUNCTION_VARIABLES,
    LAZY,
    Malformed,
    Packer,
    Tree,
    Unpacker,
    fields_of,
    from_bytes,
    to_bytes,
    type_name,
)
from sandbox.inspection import ASKED
from sandbox.library_values import TYPES, plain_args, with_tuples
from sandbox.shared import Change, Snapshot, changes, fill, held, snapshot, update
from sandbox.verdict import Limits
from sandbox.wire import Channel, Closed

_MESSAGE_CHARS = 500
_MOST_BASES = 16  # of a class of exceptions, which are told once for each way to them
_NO_NAME = object()
_PLAIN = frozenset({type(None), bool, int, float, str})


class World(Protocol):
    """What this side needs of the language layer's universe for one program."""

    namespace: dict[str, Any]

    @property
    def steps(self) -> int: ...

    @property
    def stdout(self) -> str: ...

    def run(self, code: CodeType) -> None: ...

    def call(self, function: Any, args: Any = (), kwargs: Any = None) -> Any: ...

    def named_tuple(self, name: str, fields: tuple[str, ...]) -> type: ...

    def function(self, text: str) -> Any: ...

    def library(self, module: str, name: str) -> Any: ...

    def clock(self, passed: float) -> float: ...

    def kind_of(self, value: Any) -> Any: ...


def _set_attribute(target: Any, name: str, value: Any) -> None:
    setattr(target, name, value)


def _delete_attribute(target: Any, name: str) -> None:
    delattr(target, name)


def _defines(value: Any, name: str) -> bool:
    """Has its class this method, and not from `object`?"""
    return getattr(type(value), name, None) is not getattr(object, name, None)


# What the judge may do with a handle besides calling it.
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "getattr": getattr,
    "setattr": _set_attribute,
    "hasattr": hasattr,
    "delattr": _delete_attribute,
    "defines": _defines,
    "getitem": operator.getitem,
    "setitem": operator.setitem,
    "delitem": operator.delitem,
    "isinstance": lambda kind, value: isinstance(value, kind),
    "issubclass": issubclass,
    "len": len,
    "bool": bool,
    "hash": hash,
    "str": str,
    "repr": repr,
    "iter": iter,
    "reversed": reversed,
    "next": next,
    "aiter": aiter,
    "callable": callable,
    **{name: getattr(inspect, name) for name in ASKED},
    "cancel": lambda task: task.cancel(),
    "done": lambda *tasks: tuple(task.done() for task in tasks),
    "finished": lambda task: task.result(),
}


async def _at_once() -> None:
    """All that can go on does so once."""


# And what it may have the program's asyncio do with an awaitable, until that is done: what to await.
_AWAITED: dict[str, Callable[..., Any]] = {
    "await": lambda library, value: value,
    "anext": lambda library, value: anext(value),
    "sleep": lambda library, delay: library("asyncio", "sleep")(delay) if delay > 0 else _at_once(),
    "aenter": lambda library, value: type(value).__aenter__(value),
    "aexit": lambda library, value, kind, error: type(value).__aexit__(value, kind, error, None),
    "wait_for": lambda library, value, timeout: library("asyncio", "wait_for")(value, timeout),
}


class Service:
    """One program's universe and the objects in it that the judge holds handles on."""

    def __init__(
        self, world: World, channel: Channel, limits: Limits, statuses: dict[type[BaseException], str]
    ) -> None:
        self.world, self.channel, self.limits, self.statuses = world, channel, limits, statuses
        self.clean = True  # nothing but answers and exceptions so far
        self.steps = 0  # the program's when it last came to an answer of its own
        self.handles: dict[int, Any] = {}  # what the judge has handles on, by numbers that are not given again
        self.handle_numbers: dict[int, int] = {}  # by their ids
        self.next_handle = 0
        self.shared: list[Any] = []  # containers that the tests may still hold as well
        self.functions: dict[int, Any] = {}  # that the tests handed in, by the numbers that they have there
        self.function_numbers: dict[int, int] = {}  # by their ids
        self.named: dict[tuple[str, tuple[str, ...]], type] = {}  # classes of named tuples that it has given
        self.lent: dict[int, BaseException] = {}  # exceptions of built-in classes that the tests handed in, likewise
        self.lent_numbers: dict[int, int] = {}
        self.told: dict[int, tuple[Any, ...]] = {}  # their arguments, as the tests know them

    def run(self, code: CodeType) -> bool:
        """Execute the program's module; the reply has number 0. True when its functions may be called."""
        failure: BaseException | None = None
        try:
            self.world.run(code)
        except BaseException as error:  # a candidate may raise anything
            failure = error
        packer = self._packer()
        if failure is None:
            self.steps = self.world.steps
            self._send(0, packer, lambda packer: ["v", self.steps, None, [], []])
        else:
            self._send_failure(0, packer, failure, [])
        return failure is None

    def run_stdio(self, code: CodeType) -> None:
        """Execute the program; the one reply holds its output, or what stopped it."""
        try:
            self.world.run(code)
        except BaseException as error:
            if not (isinstance(error, SystemExit) and (error.code is None or _is_zero(error.code))):
                self._send_failure(0, self._packer(), error, [])
                return
        self._send(0, self._packer(), lambda packer: ["o", self.world.steps, self.world.stdout])

    def stopped_by(self, error: BaseException) -> tuple[str, str] | None:
        """The status and the words of what stopped the program; None of an exception of its own."""
        # By its type: `__class__` may be the program's to answer.
        kind = next((kind for kind in self.statuses if issubclass(type(error), kind)), None)
        if kind is None:
            return None
        self.clean = False
        if kind is MemoryError:  # a program may raise one of its own making: its words are not asked for
            return self.statuses[kind], f"out of {self.limits.memory_mb} MB"
        return self.statuses[kind], kind.__str__(error)

    def answer(self) -> None:
        """Answer calls until the judge hangs up, or has said that these were all."""
        while True:
            try:
                number, payload = self.channel.receive()
            except Closed:
                return
            try:
                operation, *parts = from_bytes(payload)
            except RecursionError:
                self._end_too_deep(number)
                continue
            if operation == "end":
                return
            if operation == "batch":
                name, calls = parts
                for offset, arguments in enumerate(calls):
                    self._answer_one(number + offset, "call", None, None, [name, arguments, [], []])
            else:
                kept, updates, dropped, *parts = parts
                self._answer_one(number, operation, kept, updates, parts, dropped or ())

    def _drop(self, numbers: Iterable[int]) -> None:
        """What nobody else holds ends now, as it would have in the tests' own process."""
        for number in numbers:
            if ~number in self.lent:
                del self.lent_numbers[id(self.lent[~number])]
                del self.lent[~number], self.told[~number]
            if number in self.handles:
                del self.handle_numbers[id(self.handles[number])]
                del self.handles[number]

    def _answer_one(
        self,
        number: int,
        operation: str,
        kept: list[int] | None,
        updates: list[Tree] | None,
        parts: list[Tree],
        dropped: Iterable[int] = (),
    ) -> None:
        objects: list[Any] = []
        if kept is not None:
            self.shared = objects = [self.shared[one] for one in kept]
        unpacker = Unpacker(self._handle, objects, self._named, self._made, self._built_in)
        answer: list[Any] = []  # and no variable, which would be one more that holds it
        failure: BaseException | None = None
        changed: list[Change] = []
        call: Any = None
        before: list[Snapshot] | None = None
        try:
            for one in updates or ():
                unpacker.unpack(one) if one[0] == "e" else fill(unpacker, one)
            call = self._resolve(operation, parts, unpacker)
            before = [snapshot(one) for one in objects]
            self._drop(dropped)  # one of them may be asked for in the same request, and what ends may change something
            answer.append(self.world.call(*call))
        except BaseException as error:
            failure = error
        del call  # or these would be holding the arguments
        if before is None and isinstance(failure, RecursionError):  # nothing of the program's has run
            self._end_too_deep(number)
            return
        if not isinstance(failure, MemoryError):
            self.steps = self.world.steps
        try:
            if failure is not None:
                self.world.call(_let_go, (failure,))
            # Under the program's limits too: an OrderedDict asks for the hashes of its keys.
            changed = self.world.call(changes, (before, objects)) if before else []
        except BaseException as error:
            failure, before = error if failure is None else failure, None  # it may have a `__bool__`
        packer = self._packer(objects)
        known, told = len(objects), before is not None  # or the judge has numbers for what was not read to the end
        del before
        if failure is not None:
            self._send_failure(number, packer, failure, changed if told else None)
            return

        def build(packer: Packer) -> Tree:
            tree = packer.pack(answer[0])
            new = [update(packer, one) for one in changed] + errors
            return ["v", self.world.steps, tree, new, self._held(packer, answer)]

        errors = self._changed_errors()
        if not changed and not errors and type(answer[0]) in _PLAIN:
            self._send(number, packer, build)
            return
        try:
            # Reading a value may run the program: the `__hash__` of a key, say. So it is done under its limits.
            data = self.world.call(to_bytes, (packer, lambda: build(packer)))
        except RecursionError:
            self._end_too_deep(number)
        except BaseException as error:
            packer.back_to(known)
            self._send_failure(number, packer, error, changed)
        else:
            self._transmit(number, data)

    def _held(self, packer: Packer, answer: list[Any]) -> list[int]:
        objects = packer.objects
        return held(objects, answer) if objects is self.shared and objects else []

    def _resolve(self, operation: str, parts: list[Tree], unpacker: Unpacker) -> tuple[Any, list[Any], dict[str, Any]]:
        if operation == "global":
            return self._global, [parts[0]], {}
        if operation == "has":
            return self.world.namespace.__contains__, [parts[0]], {}
        if operation == "call":
            target, args, names, values = parts
            named = type(target) is str
            function = self.world.namespace.get(target, _NO_NAME) if named else unpacker.unpack(target)
            args = unpacker.unpack_all(args)
            keywords = dict(zip(names, unpacker.unpack_all(values), strict=True))
            return (self._global, [target], {}) if function is _NO_NAME else (function, args, keywords)
        if operation in _AWAITED:
            return self._until_done, [_AWAITED[operation], *unpacker.unpack_all(parts)], {}
        if operation == "begin":
            kind, *values = parts
            return self._begun, [_AWAITED[str(kind)], *unpacker.unpack_all(values)], {}
        if operation == "type":  # the world's: a test may hand to the program what comes of it
            return self.world.kind_of, unpacker.unpack_all(parts), {}
        if operation == "clock":
            return self.world.clock, unpacker.unpack_all(parts), {}
        if operation == "library":
            module, name = parts
            return self.world.library, [str(module), str(name)], {}
        if operation == "in_loop":
            kind, *rest = parts
            return self._loop().while_running, list(self._resolve(str(kind), rest, unpacker)), {}
        if operation == "busy":
            return self._loop().busy, [], {}
        if operation == "pass_time":
            return self._loop().pass_time, unpacker.unpack_all(parts), {}
        if operation == "end_the_rest":
            return self._loop().end, [], {}
        if operation == "create_task":  # the loop runs in the tests
            return self._loop().task, unpacker.unpack_all(parts), {}
        if operation == "iscoroutinefunction":
            return self.world.library("asyncio", operation), unpacker.unpack_all(parts), {}
        if operation not in _OPERATIONS:
            raise Malformed(f"no operation {operation!r}")
        return _OPERATIONS[operation], unpacker.unpack_all(parts), {}

    def _until_done(self, wanted: Callable[..., Any], *values: Any) -> Any:
        loop = self._loop()
        return loop.until(loop.while_running(wanted, [self.world.library, *values], {}))

    def _begun(self, wanted: Callable[..., Any], *values: Any) -> Any:
        loop = self._loop()
        return loop.begin(loop.while_running(wanted, [self.world.library, *values], {}))

    def _loop(self) -> Any:
        return self.world.library("asyncio", "new_event_loop")()._sandbox_loop

    def _global(self, name: str) -> Any:
        value = self.world.namespace.get(name, _NO_NAME)
        if value is _NO_NAME:
            raise NameError(f"name {name!r} is not defined")
        return value

    def _handle(self, number: int, label: str) -> Any:
        return self.handles[number]

    def _packer(self, known: list[Any] | None = None) -> Packer:
        return Packer(self._foreign, known, bounded=True, kinds=self.named)

    def _named(self, name: str, fields: tuple[str, ...], operations: tuple[str, ...]) -> type:
        """The program's own class of named tuples, where it has one of that name, or a new one.

        It may have it by another name, or in one of its classes, or have made it in a function: then it has given one.
        """
        own: Any = self.named.get((name, fields)) or self.world.namespace.get(name)
        if _has_items(own, fields):
            return cast(type, own)
        kinds = list(self.world.namespace.values())
        for kind in filter(lambda value: issubclass(type(value), type), tuple(kinds)):
            kinds += type.__dict__["__dict__"].__get__(kind).values()
        own = next((kind for kind in kinds if _has_items(kind, fields) and type_name(kind) == name), None)
        return self.world.named_tuple(name, fields) if own is None else cast(type, own)

    def _made(self, number: int, text: str, *variables: dict[str, Any]) -> Any:
        """A function that the tests hand in, with variables of theirs: the same one for the same of theirs."""
        if number not in self.functions:
            self.functions[number] = function = self.world.call(self.world.function, (text,))
            self.function_numbers.setdefault(id(function), number)
        if variables:
            FunctionType.__globals__.__get__(self.functions[number])[FUNCTION_VARIABLES] = variables[0]
        return self.functions[number]

    def _built_in(self, number: int, names: list[str], args: list[Any]) -> Any:
        """An exception of a built-in class that the tests hand in: the same one for the same of theirs."""
        if number not in self.lent:
            self.lent[number] = error = TYPES[names[0]](*with_tuples(args))
            self.lent_numbers[id(error)] = number
        elif repr(with_tuples(args)) == repr(self.told[number]):  # the program may have others, which do not cross
            return self.lent[number]
        else:
            self.lent[number].args = with_tuples(args)
        self.told[number] = self.lent[number].args
        return self.lent[number]

    def _changed_errors(self) -> list[Tree]:
        """Exceptions that the tests handed in and the program gave other arguments since: each answer says it anew."""
        changed = [error for number, error in self.lent.items() if error.args is not self.told[number]]
        return [self._foreign(error) for error in changed if plain_args(error) is not None]

    def _foreign(self, value: Any) -> Tree:
        given = self.function_numbers.get(id(value))
        own = type(value) is FunctionType and vars(value)  # then it holds what theirs does not
        if given is not None and not own:
            return ["j", given]
        if isinstance(value, type) and self._is_own_exception(value):
            return self._raises(value)
        if self._is_own_exception(type(value)):
            return ["e", self._number(value), self._raises(type(value))]
        args = plain_args(value)
        if args is not None:
            lent = self.lent_numbers.get(id(value))
            return ["e", self._number(value) if lent is None else ~lent, self._raises(type(value)), args]
        return ["h", self._number(value), _label(type(value))]

    def _number(self, value: Any) -> int:
        """Of the handle on it."""
        number = self.handle_numbers.setdefault(id(value), self.next_handle)
        if number == self.next_handle:
            self.handles[number] = value
            self.next_handle += 1
        return number

    def _known(self, error: BaseException) -> int | None:
        """The number of an exception of a built-in class that the tests handed in, or that was a value before."""
        if plain_args(error) is None:
            return None
        lent = self.lent_numbers.get(id(error))
        return self.handle_numbers.get(id(error)) if lent is None else ~lent

    def _is_own_exception(self, kind: type) -> bool:
        """Did the program write this class? Not one with so many bases that they are not worth to be told."""
        bases = kind.__mro__
        own = type.__dict__["__module__"].__get__(kind) == self.world.namespace["__name__"]
        return own and issubclass(kind, BaseException) and len(bases) < _MOST_BASES

    def _raises(self, kind: type) -> Tree:
        """A class of exceptions with its bases: of what is not the program's, the names of it and of its bases."""
        if not self._is_own_exception(kind):
            return [base.__name__ for base in kind.__mro__ if issubclass(base, BaseException)]
        bases = [base for base in kind.__bases__ if issubclass(base, BaseException)]
        return ["x", self._number(kind), type_name(kind)[:_MESSAGE_CHARS], *map(self._raises, bases)]

    def _end_too_deep(self, number: int) -> None:
        """It is no exception of the program's, nor the test's fault."""
        text = "what a test hands in, or the program gives, is nested too deep to cross"
        self._send(number, self._packer(), lambda packer: ["x", self.world.steps, "refused", text])

    def _send(self, number: int, packer: Packer, build: Callable[[Packer], Tree]) -> None:
        self._transmit(number, to_bytes(packer, lambda: build(packer)))

    def _transmit(self, number: int, data: bytes) -> None:
        if len(data) > self.limits.output_bytes:
            text = f"a result of {len(data)} bytes, at most {self.limits.output_bytes} may cross"
            data = to_bytes(self._packer(), lambda: ["x", self.world.steps, "output_limit", text])
        self.channel.send(number, data)

    def _send_failure(self, number: int, packer: Packer, error: BaseException, changed: list[Change] | None) -> None:
        """The exception that the program ended a call with, and what it changed; None: nothing more is shared."""
        stopped = self.stopped_by(error)
        if stopped is not None:
            status, text = stopped
            # Where the memory ends depends on addresses, and so would the steps until then.
            steps = self.steps if status == "memory_limit" else self.world.steps
            self._send(number, packer, lambda p: ["x", steps, status, text[:_MESSAGE_CHARS]])
            return
        message = self._message(error)
        names = [kind.__name__ for kind in type(error).__mro__ if issubclass(kind, BaseException)]
        if isinstance(error, SystemExit):
            names = ["SystemExit", "BaseException"]
        errors = self._changed_errors()
        given = BaseException.args.__get__(error)  # type: ignore[attr-defined]  # not a property of the program's

        def build() -> Tree:
            args = packer.pack_all(list(given)) if len(given) < 10 else []
            new = [update(packer, one) for one in changed or ()] + errors
            own: Tree = None
            if self._is_own_exception(type(error)):
                own = [self._raises(type(error)), self._number(error)]
            elif (known := self._known(error)) is not None:
                own = [None, known]
            return ["e", self.world.steps, names, message, args, new, self._held(packer, []), own]

        data = None
        if changed is not None:
            with suppress(BaseException):
                data = self.world.call(to_bytes, (packer, build))
        if data is not None:
            self._transmit(number, data)
            return
        self._send(number, packer, lambda packer: ["e", self.world.steps, names, message, [], [], [], None])

    def _message(self, error: BaseException) -> str:
        try:
            text = self.world.call(str, [error], {})
        except BaseException as second:  # its own __str__ failed, or ran into the limit
            text = f"(no message: {str.__str__(type(second).__name__)})"  # a name may have a `__format__`
        return str.__str__(text)[:_MESSAGE_CHARS]  # str() may give a subclass of the program's


def _has_items(kind: Any, fields: tuple[str, ...]) -> bool:
    """Is it a class of tuples whose items have these names?"""
    return issubclass(type(kind), type) and issubclass(kind, tuple) and fields_of(kind) == fields


def _let_go(error: BaseException | None) -> None:
    """Let go of what the functions held that it ended, and our own frame; their generators may have last words."""
    seen: set[int] = set()
    pending = [error]
    while pending:
        error = pending.pop()
        if error is not None and id(error) not in seen:
            seen.add(id(error))
            BaseException.with_traceback(error, None)
            pending += [BaseException.__dict__[name].__get__(error) for name in ("__context__", "__cause__")]


def _label(kind: type) -> str:
    """The name of its class; what the judge takes for a generator or the like has no namesake."""
    name = type_name(kind)
    return f"{name}_" if LAZY.get(name, kind) is not kind else name


def _is_zero(code: object) -> bool:
    """An exit status of zero, as a plain int: no `__eq__` of the program's is asked."""
    return type(code) in (int, bool) and code == 0

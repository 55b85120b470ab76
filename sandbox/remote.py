"""The judge's view of a candidate that lives in another process: calls go out, laundered values come back."""

import re
from collections.abc import Callable, Generator, Set
from types import FunctionType
from typing import Any
from weakref import WeakValueDictionary

from sandbox import asynctests, functions
from sandbox.codec import (
    LAZY,
    MUTABLE,
    TESTS,
    Malformed,
    Packer,
    Tree,
    Uncrossable,
    Unpacker,
    from_bytes,
    named_tuple,
    numbered,
    to_bytes,
    written_out,
)
from sandbox.exceptions import MESSAGE_CHARS, OF_PROGRAM, Kind, name_by_program, remote_of
from sandbox.guards import CancelledError
from sandbox.handles import (
    FUNCTIONS,
    NAMED_BY,
    TEST,
    Ended,
    Entry,
    Remote,
    attributes_of_kind,
    expects,
    names_of,
    of_the_answer,
    operation_of_named,
)
from sandbox.inspection import identified, library_classes
from sandbox.remote_exceptions import MOST_CLASSES, Exceptions
from sandbox.shared import Twins, fill, update
from sandbox.wire import Channel, Closed

# What a candidate's process may say ended it; anything else is a lie.
_FINAL = ("step_limit", "memory_limit", "output_limit", "refused")  # no set: the lie may be a list, of no hash
# Calls and operations on a program's values that a problem's tests may ask for: taking the next item of an endless
# iterator costs the program no step. These take either side about two CPU seconds; tests of thousands of random inputs,
# and generators of thousands of items, are no rarity.
_MOST_CALLS = 50_000
# Items of a result with what is in it twice counted twice: comparing or printing it walks all of them.
_MOST_ITEMS = 10_000_000
_NUMBERS = ("int", "float", "str")
_NO_ATTRIBUTE = re.compile(r"'(?:\w+\.)*(\w+)' object has no attribute ")
_ENDING = ("next", "anext")  # operations that may say by StopIteration or the like that something has ended
_RESUMING = ("send", "throw", "__next__")  # a generator's, which say by StopIteration that it has ended
_ENDINGS = (StopIteration, StopAsyncIteration)
_TOO_DEEP = "a result that is nested too deep to be read"
MORE_THAN_IT_HOLDS = "results that are more than the judge can hold"
_END = b'["end"]'
_SHORT = 1 << 12  # bytes of a reply that gives a handle, or says what ended the program


class Link:
    """The conversation with one program.

    `final` is (status, message) once the program has ended, with status "gone" when its process just went away (the
    supervisor knows why). `early`: what the
    tests at hand ask for was asked for when the program started; if they want anything else, the program has to be
    judged `again` with each call in its turn. `hollow`: the tests get None for every value, and their own
    arguments back as they were, to see whether they end without the program's answers. `named` are the names of the
    program's that the tests use, `required` those that it must have; `of_a_class` says whether they take the entry
    point for a class.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.final: tuple[str, str, str] | None = None
        self.calls = 0
        self.steps = 0
        self.waiting = False
        self.again = False
        self.taken = 0  # bytes of answers
        self.early = False
        self.hollow = False
        self.required: frozenset[str] = frozenset()
        self.prefetched: int | None = None  # the number of the answer that the next call of the entry point gets
        self._number = 0
        self._expected = 0
        self._arrived: dict[int, bytes] = {}
        self._handles: WeakValueDictionary[int, Remote] = WeakValueDictionary()
        # Numbers of handles, and below 0 of exceptions, that the tests hold no more, and the program does not know.
        self.dropped: set[int] = set()
        self.functions: list[Any] = []  # of the tests, as they went to the program
        self.variables: list[functions.Variables | None] = []  # of theirs, that these have
        self.given_back = False  # one of them came from it
        self._function_numbers: dict[tuple[int, str], int] = {}
        self.named: set[str] = set()
        self._found: set[str] = set()  # names of the program's that functions of the tests use
        self.entry_point = ""
        self.entry: Entry | None = None
        self.texts: tuple[str, ...] = ()  # of the tests
        self.of_a_class: Callable[[], bool] = lambda: False
        self.flat: dict[str, str] = {}  # classes of the program's of which only plain values came, and what these are
        self.derived: set[str] = set()  # those that do otherwise what such values do
        self.written: set[str] = set()  # those that look otherwise as a text
        self.lasting = False  # the setup was given such, and every test may use them
        self.hashed: dict[str, Remote] = {}  # one of each class that the test at hand put into a set or a dict
        self._resuming: set[int] = set()  # numbers of handles on methods by which a test takes a generator's next item
        self._hashes: dict[int, int] = {}  # of the handles with these numbers
        self.collected: set[int] = set()  # numbers of handles that came in a set, as a key or in what a view shows
        self._came: set[int] | None = None  # numbers of the handles in the reply that is being read
        self.twins = Twins()
        self.aliased = False  # something that the program gave stands in two places
        self._classes: dict[Any, type] = {}  # made for this program: of its handles, and of its named tuples
        self.exceptions = Exceptions(self)

    def names(self, label: str) -> bool:
        """Do the tests mean a class of the program's by that name? Their function is none for the program's making."""
        return label in self.named or (label == self.entry_point and self.of_a_class())

    def request(self, batch: bytes, size: int, end: bool) -> None:
        """Ask for `size` calls in one frame (numbers 1 to size); `end`: no others will come."""
        if size:
            self._send(1, batch)
            self._number = size
        if end:
            self._send(size + 1, _END)

    def start(self) -> None:
        """Wait until the module has run."""
        self._receive(0, [], None)

    def ask(self, operation: str, *parts: Any) -> Any:
        """One operation on the other side."""
        return self._exchange(operation, lambda packer: packer.pack_all(parts), operation in _ENDING)

    def until_done(self, operation: str, *parts: Any) -> Generator[Any, Any, Any]:
        """What comes of something that is awaited in the program; the tests' other coroutines go on meanwhile."""
        if self.hollow or asynctests.nobody_else():
            asynctests.catch_up(self)
            return self.ask(operation, *parts)
        task = self._exchange("begin", lambda packer: [operation, *packer.pack_all(parts)])
        if not isinstance(task, Remote):
            self.end("killed", "protocol violation: a task that is none")
        try:
            yield from asynctests.wait(self, task)
        except CancelledError:  # who is cancelled cancels what he awaits
            self.ask("cancel", task)
            yield from asynctests.wait(self, task)
        return self._exchange("finished", lambda packer: packer.pack_all((task,)), operation in _ENDING)

    def find(self, name: str) -> Any:
        """What the program has by this name."""
        return self._exchange("global", lambda packer: [name])

    def entry_class(self) -> Any:
        """The entry point where it is a class of exceptions, by which tests may catch: no handle will do for that.

        Only what is named as classes are is asked for. What such a class is below, nobody asks the program again: to
        look for one that is none is not to use the program, to find one is.
        """
        if self.entry_point[:1].isupper():
            calls = self.calls
            try:
                found = self._exchange("global", lambda packer: [self.entry_point], alone=True)
            except BaseException:  # it has none, or has ended: the tests will see
                found = None
            if type(found) is Kind:
                return found
            self.calls = calls
        return None

    def call(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a global by name (str) or a handle."""

        def build(packer: Packer) -> list[Tree]:
            where = target if type(target) is str else packer.pack(target)
            return [where, packer.pack_all(args), list(kwargs), packer.pack_all(list(kwargs.values()))]

        resumes = type(target) is not str and target._sandbox_number in self._resuming
        return self._exchange(*asynctests.in_loop(self, "call", build), resumes)

    def fetch(self, args: tuple[Any, ...]) -> Any:
        """The answer to a call that `start` asked for, of which `args` are the arguments."""
        assert self.prefetched is not None
        number, self.prefetched = self.prefetched, None
        self.calls += 1
        return self._receive(number, numbered(args), None)

    def _exchange(
        self, operation: str, build: Callable[[Packer], list[Tree]], is_next: bool = False, *, alone: bool = False
    ) -> Any:
        """The answer to one request, of which `build` gives the parts.

        It brings along what the test changed of what the program holds too; not `alone`, of which the program runs
        nothing.
        """
        if alone:
            packer = _TestsPacker(self, [])
            data = to_bytes(packer, lambda: [operation, None, None, None, *build(packer)])
            return self._asked(data, packer.objects, None, is_next)
        asynctests.tell_time(self)
        self.exceptions.drop_ended()
        for variables in filter(None, self.variables):
            variables.read()
        self.twins.look()
        errors = self.exceptions.changed()
        request = None
        while request is None:
            packer = _TestsPacker(self, self.twins.objects())
            request = self._request(packer, operation, errors, build)
        self.twins.told()
        return self._asked(request, packer.objects, len(packer.objects), is_next)

    def _request(
        self, packer: Packer, operation: str, errors: list[Tree], build: Callable[[Packer], list[Tree]]
    ) -> bytes | None:
        """None where a container cannot be shared any more: the others have other numbers then."""
        kept, dropped = self.twins.numbers(), set(self.dropped)
        try:
            data = to_bytes(
                packer, lambda: [operation, kept, errors + self._updates(packer), sorted(dropped), *build(packer)]
            )
        except _Apart as apart:
            self.twins.part(apart.number)
            return None
        self.dropped -= dropped
        return data

    def _updates(self, packer: Packer) -> list[Tree]:
        found, before = [], Uncrossable.said
        for change in self.twins.changed:
            try:
                found.append(update(packer, change))
            except (Uncrossable, RecursionError):
                Uncrossable.said = before
                raise _Apart(change[0]) from None
        return found

    def _asked(self, data: bytes, objects: list[Any], shared: int | None, is_next: bool) -> Any:
        """The answer to `data`, in which these containers have numbers; so many of them, if any, are `shared`."""
        self._number += 1
        self.calls += 1
        if self.final is not None:
            raise Ended
        if self.early:
            self.again = True
            self.end("gone", "")
        if self.calls > _MOST_CALLS:
            self.end("step_limit", f"the tests asked for more than {_MOST_CALLS} operations on what it gave")
        self._send(self._number, data)
        return self._receive(self._number, objects, shared, is_next)

    def _send(self, number: int, data: bytes) -> None:
        try:
            self.channel.send(number, data)
        except Closed:
            # Not final yet: answers it gave before it went may still be waiting to be read.
            pass

    def _receive(self, number: int, objects: list[Any], shared: int | None, is_next: bool = False) -> Any:
        try:
            while number not in self._arrived:
                if self.final is not None:
                    raise Ended
                self._arrived.update([self._next()])
            return self._read(self._arrived.pop(number), objects, shared, is_next)
        except Closed:
            self.end("gone", "")
        except MemoryError:  # one answer cannot be that large, but a test may keep many
            self.end("output_limit", MORE_THAN_IT_HOLDS)
        except Malformed as error:
            self.end("killed", f"protocol violation: {error}")

    def _next(self) -> tuple[int, bytes]:
        self.waiting = True
        number, data = self.channel.receive()
        self.waiting = False
        if number != self._expected:
            raise Malformed(f"expected the answer to call {self._expected}, found one to {number}")
        self._expected += 1
        self.taken += len(data)
        return number, data

    def end(self, status: str, message: str) -> None:
        if self.final is None:
            self.final = (status, message, "")
        raise Ended

    def forget(self) -> None:
        """Keep nothing of what the program gave, nor what holds it: the next one needs the memory.

        Nor is it asked again, by what ends later: its descriptor may be another program's then.
        """
        self.final = self.final or ("gone", "", "")
        self._arrived.clear()
        self._handles.clear()
        self._resuming.clear()
        self.functions.clear()
        self.variables.clear()
        self._function_numbers.clear()
        self.collected.clear()
        self._hashes.clear()
        self._classes.clear()
        self.exceptions.clear()
        self.lasting = False
        self.begin()
        self.twins.forget()

    def begin(self) -> None:
        """Another test, which has nothing of what the one before was given."""
        self.hashed.clear()
        self.twins.lent.clear()
        identified.clear()
        Uncrossable.said = ""
        if not self.lasting:
            self.derived.clear()
            self.written.clear()
            self.flat.clear()

    def attribute(self, holder: Any, name: str) -> Any:
        """What an object of the program's has by this name; a generator's methods may end it by StopIteration."""
        value = self._exchange(
            *asynctests.in_loop(self, "getattr", lambda packer: packer.pack_all((holder, name))), False
        )
        if name in _RESUMING and isinstance(value, Remote) and isinstance(holder, Remote):
            if holder._sandbox_label == "generator":
                self._resuming.add(value._sandbox_number)
        return value

    def type_of(self, remote: Any) -> Any:
        """Its class; the entry point, where that is what the tests have as its class.

        The judge's own where the library has one of which the tests may know a name.
        """
        found = self.ask("type", remote)
        if not isinstance(found, Remote) or not isinstance(remote, Remote):
            return found
        if remote._sandbox_label in LAZY:
            return LAZY[remote._sandbox_label]
        for kind, question in FUNCTIONS.items():
            if (isinstance(remote, Entry) or remote._sandbox_label == kind.__name__) and self.ask(question, remote):
                return kind
        for module, name, own in library_classes(remote._sandbox_label):
            if self.ask("library", module, name) is found:
                return own
        is_entry = (
            self.entry is not None
            and remote._sandbox_label == self.entry_point
            and self._number_of(self.entry) == found._sandbox_number
        )
        return self.entry if is_entry else found

    def reading(self) -> bool:
        """Is a reply being read? Then nothing may be asked of the program: the answer would be taken for another."""
        return self._came is not None

    def hash_of(self, remote: Remote) -> int:
        """The program's own hash, or its TypeError, where a test's set or dict takes it in or looks for it.

        What the program collected itself has one that is the handle's, as long as the tests hold it.
        """
        number = remote._sandbox_number
        given = self.reading() or of_the_answer()
        if number not in self._hashes:
            found = None if given else self.ask("hash", remote)
            self._hashes[number] = found if type(found) is int else object.__hash__(remote)
        if self.reading():
            self.collected.add(number)
        elif number not in self.collected and not given:
            self.hashed.setdefault(remote._sandbox_label, remote)
        return self._hashes[number]

    def misled(self, *, passed: bool = False) -> str:
        """What the test at hand did with objects of the program's that only in its own process has an effect.

        To look for one among those that the program collected is such, whatever was found; what it held, and the test
        changed, only where it did not pass.
        """
        if not passed and self.twins.lent_changed():
            return "it changes what the program holds, where it has a copy"
        flat = next(filter(self.names_derived, sorted(self.derived)), "")
        if flat:
            return f"objects of {flat[:MESSAGE_CHARS]} cross as plain values, which do otherwise"
        among = self.hashed if self.collected else {}
        try:
            apart = next((label for label, one in among.items() if self.ask("defines", one, "__eq__")), None)
        except BaseException:  # it answers no more
            apart = None
        return f"it collects objects of {apart}, which only the program can compare" if apart is not None else ""

    def names_derived(self, label: str) -> bool:
        """Do the tests mean that class, derived from a built-in one? What they do with it may all be what that does."""
        return self.names(label) or (label == self.entry_point and label[:1].isupper())

    def flattened(self, looks: Set[str], error: BaseException | None = None) -> str:
        """Why a test that passed, or ended so, says nothing: it wanted what an object of a class that the program
        derived from a built-in one had, and was given the plain value. `looks` is what it looks at of values."""
        # The test's, or of the program, to which came back what it had given; its own may have a `__str__`.
        own = error is None or name_by_program(error) is None
        apart = [name for name in self.flat if own and ("type" in looks or ("text" in looks and name in self.written))]
        if error is not None and not apart:
            lacking = _NO_ATTRIBUTE.match(str(error)[:MESSAGE_CHARS]) if type(error) is AttributeError else None
            for name, plain in self.flat.items():
                # What a member of an Enum is besides its value only shows where a test looks at it.
                meant = own and (looks or plain not in _NUMBERS) and (self.names(name) or "more" in looks)
                if meant or (lacking is not None and lacking[1] == plain):
                    apart.append(name)
        return f"objects of {apart[0][:MESSAGE_CHARS]} cross as plain values" if apart else ""

    def _read(self, data: bytes, objects: list[Any], shared: int | None, is_next: bool) -> Any:
        """The value of a reply; raises the exception that the candidate raised, or `Ended`."""
        value, error, name = self._unpacked(data, objects, shared)
        del data
        if error is None:
            return value
        ending = next((kind for kind in _ENDINGS if isinstance(error, kind)), None)
        if ending is not None and not (is_next or expects(ending.__name__)):
            # It would end the test's own loop, map or zip, and pass for a right answer. And it is no RuntimeError, as
            # it is in a generator (PEP 479): a test may want such a one.
            error = Exception(f"the program raised {name}")
        names_of(error)[OF_PROGRAM] = name[:MESSAGE_CHARS]
        try:
            raise error
        finally:
            del error  # its traceback holds this frame

    def _unpacked(self, data: bytes, objects: list[Any], shared: int | None) -> tuple[Any, BaseException | None, str]:
        """The value of a reply, or the exception and what the candidate calls it."""
        if self.hollow:
            self.twins.forget()
            shared = None
        if self.hollow and len(data) > _SHORT:  # no handle, and to read it takes time that is not the tests'
            return None, RuntimeError("something long") if data.startswith(b'["e"') else None, "RuntimeError"
        try:
            tree = from_bytes(data)
        except RecursionError:
            self.end("output_limit", _TOO_DEEP)
        if type(tree) is not list or len(tree) < 4 or type(tree[1]) is not int or tree[1] < 0:
            raise Malformed("not a reply")
        kind, self.steps = tree[0], max(self.steps, tree[1])
        if kind == "x" and tree[2] in _FINAL and type(tree[3]) is str:
            self.end(tree[2], tree[3][:MESSAGE_CHARS])
        unpacker = Unpacker(
            *(self.handle, objects, self._named, self._given_back, self.exceptions.built_in),
            raises=self.exceptions.kind,
            raised=self.exceptions.own,
        )
        value, error, name = None, None, ""
        filled: list[int] = []
        came: set[int] = set()
        self._came = came
        try:
            if kind == "v":
                _, _, value, updates, held = tree
                again = type(value) is list and value[:1] == ["r"]
                value = unpacker.unpack(_hollowed(value) if self.hollow else value)
                unpacker.aliased = unpacker.aliased and not again
            elif kind == "e":
                _, _, names, message, args, updates, held, own = tree
                error, name = (
                    self.exceptions.raised(names, message, [] if self.hollow else args, own, unpacker),
                    names[0],
                )
            else:
                raise Malformed("a reply of no known kind")
            changed = [] if self.hollow else updates
            filled = [fill(unpacker, one) for one in changed if one[:1] != ["e"]]
            unpacker.unpack_all([one for one in changed if one[:1] == ["e"]])
            if shared is not None:
                self.twins.settle(objects, shared, filled, held)
                for variables in filter(None, self.variables if filled else ()):
                    variables.write()
        except RecursionError:
            self.end("output_limit", _TOO_DEEP)
        except (IndexError, TypeError, ValueError, AttributeError, Uncrossable) as fault:  # such as a range of handles
            raise Malformed(f"a reply that makes no sense: {type(fault).__name__}") from None
        finally:
            self._came = None
        self.derived |= unpacker.derived
        self.written |= unpacker.written
        self.flat |= unpacker.flat
        if len(self.flat) > MOST_CLASSES:
            self.end("output_limit", f"values of more than {MOST_CLASSES} classes")
        if unpacker.viewing:  # to compare a view with a set is to look for what it shows
            self.collected |= came
        self.aliased = self.aliased or unpacker.aliased
        if self.aliased and (unpacker.aliased or filled) and written_out(objects) > _MOST_ITEMS:
            self.end("output_limit", f"a result that is more than {_MOST_ITEMS} items when written out")
        return value, error, name

    def drop(self, remote: Remote) -> None:
        """The tests hold it no more; where it was in a cycle, they may have been given another one of its number."""
        if self._handles.get(remote._sandbox_number, remote) is remote:
            self.dropped.add(remote._sandbox_number)
            self._hashes.pop(remote._sandbox_number, None)

    def handle(self, number: int, label: str) -> Remote:
        if self._came is not None:
            self._came.add(number)
        remote = self._handles.get(number)
        if remote is None:
            kind = self.class_for(label, Remote, attributes_of_kind(label))
            remote = self._handles[number] = kind(self, number, label)
            self.dropped.discard(number)  # an earlier answer's, to what was asked for before the first was read
        return remote

    def class_for(self, name: str, base: type, attributes: dict[str, Any]) -> Any:
        """A class of that name, since a test may ask for it; `base` itself where no class can have it."""
        kind = self._classes.get((name, base))
        if kind is None:
            try:
                kind = type(name, (base,), attributes)
            except (ValueError, TypeError):
                kind = base
            if kind is not base and base is Remote:
                type.__delattr__(kind, "__slots__")  # a test asks for those of the program's
            self._classes[name, base] = kind
        return kind

    def _named(self, name: str, fields: tuple[str, ...], own: tuple[str, ...]) -> type:
        kind = self._classes.get((name, fields, *own))
        if kind is None:
            kind = self._classes[name, fields, *own] = named_tuple(name, fields)
            of_program: Any = kind
            for operation in own:
                setattr(of_program, operation, operation_of_named(self, name, kind, operation))
            setattr(of_program, NAMED_BY, self)
            of_program.__getattr__ = lambda value, name: self._of_named(value, name)  # a method, with its value
            if len(self._classes) > MOST_CLASSES:
                self.end("output_limit", f"values of more than {MOST_CLASSES} classes")
        return kind

    def _of_named(self, value: Any, name: str) -> Any:
        """What the program's class of this named tuple has besides its items: a method, say."""
        if name[:1] == "_":  # such as the library looks for
            raise AttributeError(f"{type(value).__name__!r} object has no attribute {name!r}")
        return self.attribute(value, name)

    def _given_back(self, number: int) -> Any:
        self.given_back = True
        return self.functions[number]

    def _pack_foreign(self, value: Any, packer: Packer) -> Tree:
        if isinstance(value, Entry):
            return ["h", self._number_of(value), ""]
        if isinstance(value, Remote) and value._sandbox_link is self:
            if self._handles.get(value._sandbox_number) is not value:
                raise Uncrossable(f"a test brings back a {value._sandbox_label} that it gave up: the program did too")
            return ["h", value._sandbox_number, ""]
        remote = remote_of(value)
        if remote is not None and remote._sandbox_link is self:
            return ["h", remote._sandbox_number, ""]
        lent = self.exceptions.lent_tree(value)
        if lent is not None:
            return lent
        found = functions.crossing(value, self.texts, self._has)
        if found is not None:
            number = self._function_numbers.setdefault(functions.identity(value), len(self.functions))
            if number == len(self.functions):
                self.functions.append(value)
                self.variables.append(functions.Variables(value, found) if found.reads else None)
            own = self.variables[number]
            return ["j", number, found.text, *([packer.pack(own.names)] if own is not None else [])]
        raise Uncrossable(f"a test passes a {type(value).__name__}, which cannot cross to the program")

    def _has(self, name: str) -> bool:
        """Has the program anything by this name? NameError where it must."""
        if name in self._found:
            return True
        if self._exchange("has", lambda packer: [name], alone=True) is not True:
            if name in self.required:
                raise NameError(f"name {name!r} is not defined", name=name)
            return False
        self.named.add(name)
        self._found.add(name)
        return True

    def _number_of(self, entry: Entry) -> int:
        self.named.add(entry._sandbox_label)
        remote = self._exchange("global", lambda packer: [entry._sandbox_label], alone=True)
        if not isinstance(remote, Remote):
            raise TypeError(f"{entry._sandbox_label} is no function")  # the program made it so
        return int(remote._sandbox_number)


class _Apart(Exception):
    """The test gave a container that is shared what cannot cross: it is no longer."""

    def __init__(self, number: int) -> None:
        self.number = number


class _TestsPacker(Packer):
    """Writes what tests hand to the program."""

    def __init__(self, link: Link, known: list[Any]) -> None:
        super().__init__(known=known)
        self.link = link

    def foreign(self, value: Any) -> Tree:
        return self.link._pack_foreign(value, self)

    def subclass(self, kind: type, base: type, name: str, fields: tuple[str, ...]) -> None:
        """A plain named tuple of the tests' comes back as one; what else a class of theirs adds, no program would find.

        Nor would they find what it does to a list that is no exact one.
        """
        own = [one for one in kind.__mro__ if one.__module__ == TESTS and one is not base]
        if own and (base in MUTABLE or any(_adds(one, fields) for one in own)):
            raise Uncrossable(f"a test passes a {name}, a class of its own, which cannot cross to the program")
        if own and fields:
            self.link._classes[name, fields] = kind


def _adds(kind: type, fields: tuple[str, ...]) -> bool:
    """Has this class of the tests' any name but those of its items, or a method that they wrote?"""
    return any(
        (name[0] != "_" and name not in fields)
        or (isinstance(value, FunctionType) and value.__code__.co_filename == TEST)
        for name, value in vars(kind).items()
    )


def _hollowed(tree: Tree) -> Tree:
    """A handle, a class of exceptions or one of it; None for anything else."""
    return tree if type(tree) is list and tree[:1] in (["h"], ["x"], ["e"]) else None

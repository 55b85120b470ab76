"""The judge: a hardened process that holds the tests and the expected values, and never the candidate.

A function test runs here, with the entry point (also called `candidate`) as a remote stub. What a test does decides:
an assertion that fails is `wrong`; an exception of the candidate's that the test lets pass is `exception`; any other
exception after the program was asked for something is `wrong` too (the test could not use the answer); a NameError
over a name that the test binds nowhere, an ImportError of its own, what the judge's walls forbid (files, sleeping), or
any failure before the program was asked, is `infra_error`; so is what only a program in the test's own process could
do: print into the test's standard output or read from its standard input.

Tests that run over the program's CPU seconds, such as `range(f(x))` of a huge answer, are run once more with None for
every answer and assertions that never fail: if they come to an end then, the answers are to blame, which is
`time_limit`, else the tests, which is `infra_error`.
"""

import builtins
import gc
import io
import math
import random
import re
import resource
import socket
import sys
import threading
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, setcontext
from functools import cache, partial
from types import CodeType
from typing import Any, NoReturn

from sandbox import asynctests, clocks, inspection
from sandbox.codec import TESTS, Malformed, Uncrossable, from_bytes
from sandbox.exceptions import name_by_program, remote_of
from sandbox.foresee import bound_names
from sandbox.handles import Ended, Entry
from sandbox.lasting import WARM, settings, state, warm_codecs
from sandbox.library_values import TYPES
from sandbox.prepared import (
    EARLY,
    Prepared,
    looks_at,
    prepare_tests,
    reads_attributes,
    tell_of_a_class,
)
from sandbox.remote import MORE_THAN_IT_HOLDS, Link
from sandbox.wire import Channel, Closed, Replies, receive_down

_CACHED_PROBLEMS = 64
_MESSAGE_CHARS = 300
_TOLERANCE = 1e-6
_NUMBER_CHARS = 400
_EXACTLY = Context(prec=3 * _NUMBER_CHARS, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_MEMORY = 2 << 30
_MUCH = 1 << 20  # bytes of one program's answers
_DECIMALS, _RECURSION, _DIGITS = Context(), sys.getrecursionlimit(), sys.get_int_max_str_digits()
_NO_PATTERN = "called match pattern must be"  # a class, which those of the program's are not here
Outcome = tuple[str, str, str]  # status, message, the name of the candidate's exception


@dataclass(frozen=True, slots=True)
class Turn:
    """One program of a chunk; `whole`: it was asked for all it will be asked for. A stdio program has no tests."""

    job: dict[str, Any]
    channel: Channel
    link: Link
    prepared: Prepared | None
    whole: bool


class _Nowhere(io.TextIOBase):
    """Standard output of the tests: some write to it, or flush it, and would fail of None."""

    def write(self, text: str, /) -> int:
        return len(text)


def _start_no_thread(thread: threading.Thread) -> NoReturn:
    raise Uncrossable("a test starts a thread, which the judge has not")


class Judge:
    """Judges one program after another for one worker slot."""

    def __init__(self, control: int) -> None:
        self.control = control
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=control)
        self.state = 0
        self.settings: tuple[Any, ...] = ()
        self.problems: OrderedDict[Any, Prepared] = OrderedDict()

    def prepare(self) -> None:
        import importlib

        asynctests.install()
        for name in WARM:
            importlib.import_module(name)
        clocks.install()
        inspection.install()
        setattr(threading.Thread, "start", _start_no_thread)  # noqa: B010  # the walls would end the judge
        warm_codecs()
        gc.collect()
        gc.freeze()

    def loop(self) -> None:
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        sys.stdout = sys.stderr = _Nowhere()
        self.state, self.settings = state(), settings()
        while True:
            self._chunk(*receive_down(self.socket))

    def _chunk(self, jobs: list[dict[str, Any]], descriptors: list[int]) -> None:
        """Judge programs in turn, after asking for the foreseen calls of all; ends early when one spoils the judge."""
        replies = Replies(self.control)
        self._allow_seconds(jobs[0]["cpu_seconds"])
        turns = [self._turn(job, descriptor) for job, descriptor in zip(jobs, descriptors, strict=True)]
        for number, turn in enumerate(turns):
            # Let the programs get ahead up to the one that needs answers: all is then read in one go.
            ahead = next((later for later in turns[number:] if not later.whole), turns[-1])
            if ahead is not turn:
                ahead.channel.wait()
            self._allow_seconds(turn.job["cpu_seconds"])
            verdict = self._verdict(turn)
            turn.channel.close()
            turn.link.forget()
            if turn.link.taken > _MUCH:
                gc.collect()  # an answer may hold itself
            replies.add(verdict)
            if verdict.get("spoilt"):
                for later in turns[number + 1 :]:
                    later.channel.close()
                break
        replies.send()

    def _verdict(self, turn: "Turn") -> dict[str, Any]:
        try:
            return self._stdio(turn) if turn.prepared is None else self._function(turn, turn.prepared)
        except MemoryError as error:  # of what it gave, as in `Link`: no program may choose that it is no evidence
            error.__traceback__ = error.__context__ = None
            outcomes = [("output_limit", MORE_THAN_IT_HOLDS, "")] * _wanted(turn)
            return {"tests": outcomes, "steps": turn.link.steps, "waiting": False, "spoilt": True}
        except Exception as error:  # a bug of ours: it must cost this program's verdict and not the others'
            text = f"the judge failed: {type(error).__name__}: {_text(error)}"[:_MESSAGE_CHARS]
            outcomes = [("infra_error", text, "")] * _wanted(turn)
            return {"tests": outcomes, "steps": 0, "waiting": False, "spoilt": True}

    def _turn(self, job: dict[str, Any], descriptor: int) -> "Turn":
        channel = Channel(descriptor, job["nonce"], job["cap"])
        link = Link(channel)
        if job["kind"] == "stdio":
            return Turn(job, channel, link, None, False)
        link.hollow, link.required = job["hollow"], frozenset(job["required"])
        prepared = self._problem(job["entry_point"], job["setup"], job["tests"], job["hollow"])
        whole = prepared.whole and job["hurried"]
        channel.greedy = whole
        if job["hurried"] and len(prepared.batch) < EARLY:
            link.request(prepared.batch, max(prepared.foreseen, default=0), whole)
        return Turn(job, channel, link, prepared, whole)

    def _allow_seconds(self, seconds: float) -> None:
        """Let this program's tests burn that much CPU; then the kernel ends the judge and the supervisor says so."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        soft = int(usage.ru_utime + usage.ru_stime + seconds) + 2
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))

    def _function(self, turn: "Turn", prepared: Prepared) -> dict[str, Any]:
        link = turn.link
        with warnings.catch_warnings():
            outcomes = _run_tests(prepared, link, prepared.foreseen if turn.job["hurried"] else ())
        spoilt = settings() != self.settings or (prepared.meddles and state() != self.state)
        again = {"again": True} if link.again else {}
        return {"tests": outcomes, "steps": link.steps, "waiting": link.waiting, "spoilt": spoilt} | again

    def _problem(self, entry_point: str, setup: str, tests: tuple[str, ...], hollow: bool) -> Prepared:
        key = (entry_point, setup, tests, hollow)
        prepared = self.problems.pop(key, None)
        if prepared is None:
            prepared = prepare_tests(entry_point, setup, tests, hollow=hollow)
        self.problems[key] = prepared
        while len(self.problems) > _CACHED_PROBLEMS:
            self.problems.popitem(last=False)
        return prepared

    def _stdio(self, turn: "Turn") -> dict[str, Any]:
        steps, waiting = 0, True
        outcome: Outcome = ("gone", "", "")
        try:
            number, data = turn.channel.receive()
            waiting = False
            tree = from_bytes(data)
            if number != 0 or type(tree) is not list or len(tree) < 3 or type(tree[1]) is not int:
                raise Malformed("not a reply")
            steps = tree[1]
            if tree[0] == "o" and type(tree[2]) is str:
                outcome = compare_output(tree[2], turn.job["stdout"])
            elif tree[0] == "e":
                name = str(tree[2][0])[:_MESSAGE_CHARS]
                outcome = ("exception", f"{name}: {tree[3]}"[:_MESSAGE_CHARS], name)
            elif tree[0] == "x" and tree[2] in {"step_limit", "memory_limit", "output_limit", "refused"}:
                outcome = (tree[2], str(tree[3])[:_MESSAGE_CHARS], "")
            else:
                raise Malformed("a reply of no known kind")
        except Closed:
            pass
        except (Malformed, IndexError, TypeError, RecursionError) as error:
            outcome = ("killed", f"protocol violation: {error}", "")
        return {"tests": [outcome], "steps": steps, "waiting": waiting}


def _wanted(turn: Turn) -> int:
    return 1 if turn.prepared is None else len(turn.prepared.tests)


def compare_output(found: str, expected: str) -> Outcome:
    """Token by token, both split at white space; see `_same_token`."""
    left, right = found.split(), expected.split()
    if left == right:
        return "passed", "", ""
    for number, (one, other) in enumerate(zip(left, right, strict=False), start=1):
        if one != other and not _same_token(one, other):
            return "wrong", f"token {number} of the output: expected {other[:80]!r}, found {one[:80]!r}", ""
    if len(left) == len(right):
        return "passed", "", ""
    return "wrong", f"expected {len(right)} tokens of output, found {len(left)}", ""


def _same_token(found: str, expected: str) -> bool:
    """Are two tokens that differ as text the same answer, as the judges of programming contests see it?

    Yes for YES and NO in any case, and for numbers of which one is written with a point or an exponent when they are
    within 1e-6 of each other: absolutely where an integer is expected, absolutely or relatively elsewhere. Integers
    are compared digit by digit.
    """
    if expected.lower() in ("yes", "no"):
        return found.lower() == expected.lower()
    if len(found) > _NUMBER_CHARS or not any(mark in found + expected for mark in ".eE"):
        return False
    if not (_NUMBER.fullmatch(found) and _NUMBER.fullmatch(expected)):  # float() would also take 1_0 and other scripts
        return False
    one, other = float(found), float(expected)
    if not (math.isfinite(one) and math.isfinite(other)):
        return False  # all that is beyond a float's range would be the same
    if _INTEGER.fullmatch(expected):
        # In as many digits as count: as a fraction, 0e999999999 would take minutes. And in a context that raises
        # nothing: Decimal() itself has no room for an exponent of twenty digits, and says so.
        left, right = map(_EXACTLY.create_decimal, (found, expected))
        return abs(_EXACTLY.subtract(left, right)) <= _TOLERANCE
    return math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)


class _ProgramNames(dict[str, Any]):
    """Builtins for test code, where a name that nobody else knows is looked up in the candidate's module."""

    def __init__(self, link: Link, texts: tuple[str, ...]) -> None:
        super().__init__(vars(builtins) | inspection.BUILTINS)
        self._link, self._texts = link, texts

    def __missing__(self, name: str) -> Any:
        try:
            found = self._link.find(name)
        except NameError:
            raise KeyError(name) from None
        # A test that relies on the program's `import math` gets the real one, or any class of that name would judge.
        # But it does not mean a module that it takes nothing from: `datetime(2000, 1, 1)` is of a `from datetime`.
        if name in WARM and found is not TYPES.get(name) and reads_attributes(self._texts, name):
            return sys.modules[name]
        self._link.named.add(name)
        return found


def _start_anew(prepared: Prepared, link: Link) -> None:
    """Undo what the tests before may have set for the whole interpreter: it would decide over other programs."""
    if prepared.seeded:
        random.seed(0)  # so that a test which draws its inputs draws the same for everyone
    asynctests.begin(link)
    clocks.begin(link)
    setcontext(_DECIMALS.copy())
    sys.setrecursionlimit(_RECURSION)
    sys.set_int_max_str_digits(_DIGITS)


def _run_tests(prepared: Prepared, link: Link, foreseen: tuple[int, ...]) -> list[Outcome]:
    _start_anew(prepared, link)
    entry = Entry(link, -1, prepared.entry_point)
    stubs = {"candidate": entry} | ({prepared.entry_point: entry} if prepared.entry_point else {})
    namespace: dict[str, Any] = {"__name__": TESTS, "__builtins__": _ProgramNames(link, prepared.texts)} | stubs
    link.entry_point, link.entry, link.texts = prepared.entry_point, entry, prepared.texts
    link.of_a_class = cache(partial(tell_of_a_class, prepared.texts, prepared.entry_point))
    link.early = any(foreseen)
    try:
        link.start()
    except BaseException as error:
        outcome = _outcome(error, link)
        return [outcome] * len(prepared.tests)
    if foreseen and len(prepared.batch) >= EARLY:
        # Not before the program said that it has run: it might say more than a socket holds, and we would both wait.
        link.request(prepared.batch, max(foreseen, default=0), False)
    if not link.early and len(foreseen) < len(prepared.tests):  # else the program may have ended by now
        _take_for_a_class(link, stubs, namespace)
    problem = _execute(prepared.setup, namespace, link, prepared.texts[:1])
    link.lasting = bool(link.flat)
    if problem[0] != "passed":
        return [(problem[0], f"in the setup: {problem[1]}", problem[2])] * len(prepared.tests)
    namespace.update(stubs)  # the setup may hold the prompt, and with it an empty function of that name
    outcomes: list[Outcome] = []
    for place, code in enumerate(prepared.tests):
        link.early = place < len(foreseen)
        link.prefetched = foreseen[place] or None if link.early else None
        if place == len(foreseen) and any(foreseen):
            _take_for_a_class(link, stubs, namespace)
        outcome = _execute(code, dict(namespace), link, (prepared.texts[0], prepared.texts[place + 1]))
        outcomes.append(_unless_apart(outcome, prepared.apart) if prepared.apart else outcome)
    return outcomes


def _take_for_a_class(link: Link, stubs: dict[str, Any], namespace: dict[str, Any]) -> None:
    """Have the tests catch the entry point's exceptions by it, where it is a class of such."""
    kind = link.entry_class()
    if kind is not None:
        stubs.update(dict.fromkeys(stubs, kind))
        namespace.update(stubs)


def _unless_apart(outcome: Outcome, what: str) -> Outcome:
    """What comes of a test that wants what the program prints, or gives it something to read: it is in vain here."""
    status, text, name = outcome
    if status == "wrong" or (status == "exception" and name == "EOFError"):
        text = f"the test itself failed: the program has {what} of its own: {text}"
        return "infra_error", text[:_MESSAGE_CHARS], ""
    return outcome


def _execute(code: CodeType | str, namespace: dict[str, Any], link: Link, texts: Sequence[str]) -> Outcome:
    """What comes of a test; `texts` are its own and the setup's, of which it may use the functions."""
    if isinstance(code, str):
        return "infra_error", code, ""
    link.begin()
    try:
        exec(code, namespace)
    except BaseException as error:
        if isinstance(error, MemoryError):  # what fills it is the test's, and to say so takes some
            error.__traceback__ = error.__context__ = None
            namespace.clear()
        outcome = _outcome(error, link, code)
        if outcome[0] not in ("wrong", "exception"):
            return outcome
        text = _caught(link) or link.misled() or (link.flattened(looks_at(texts), error) if link.flat else "")
        if text:
            return "infra_error", f"the test itself failed: {text}: {outcome[1]}"[:_MESSAGE_CHARS], ""
        return outcome
    if link.final is None:
        text = _caught(link) or link.misled(passed=True) or (link.flattened(looks_at(texts)) if link.flat else "")
        if text:
            return "infra_error", f"the test proves nothing: {text}", ""
    return link.final or ("passed", "", "")


def _caught(link: Link) -> str:
    """What only this judge cannot do, and the test took for an exception of the program's: most catch any."""
    return "" if link.hollow else Uncrossable.said


def _outcome(error: BaseException, link: Link, code: CodeType | None = None) -> Outcome:
    """What a test that ended with `error` says about the program."""
    if link.final is not None or isinstance(error, Ended):
        return link.final or ("infra_error", "the judge lost the program", "")
    text = f"{type(error).__name__}: {_text(error)}"[:_MESSAGE_CHARS]
    name = name_by_program(error)
    if name is not None:  # it raised it, or gave it to a test that did
        return "exception", f"{name}: {_text(error)}"[:_MESSAGE_CHARS], name
    if isinstance(error, NameError) and error.name in link.required:
        return "exception", text, "NameError"
    # Tests are compiled before anything runs: a SyntaxError now is about a text, such as an answer, that they read.
    # A PermissionError is of the judge's own walls: the test wants a file.
    own = isinstance(error, NameError | ImportError | PermissionError | Uncrossable) and not _unbound(error, code)
    own = own or (isinstance(error, TypeError) and str(error).startswith(_NO_PATTERN))
    own = own and not _said_again(error)
    own = own or _of_its_exceptions(error, link)
    if own or link.calls == 0:
        return "infra_error", f"the test itself failed: {text}", ""
    if isinstance(error, AssertionError):
        return "wrong", text, ""
    if not isinstance(error, Exception):
        return "infra_error", f"the test itself ended the judge: {text}", ""
    return "wrong", f"the test could not use the answer: {text}", ""


def _unbound(error: BaseException, code: CodeType | None) -> bool:
    """Is it about a name that the test binds itself? Then the answer decided that it was not, as an empty one may."""
    if isinstance(error, NameError) and not isinstance(error, UnboundLocalError):
        return isinstance(error.name, str) and error.name in bound_names(code or "")
    return isinstance(error, UnboundLocalError)


def _said_again(error: BaseException) -> bool:
    """Does the test raise one like the program's, which it handles? Or the program would choose what the test's is."""
    first = error.__context__
    return type(first) is type(error) and name_by_program(first) is not None


def _of_its_exceptions(error: BaseException, link: Link) -> bool:
    """Does the test want what an exception of the library's holds besides its arguments? Another stands for it."""
    if not isinstance(error, AttributeError):
        return False
    if not link.given_back and any(error.obj is function for function in link.functions):
        return True  # the program gave it, if any did, to the one that it has in its place
    name = name_by_program(error.obj)
    own = remote_of(error.obj) is not None  # that one is asked
    return name is not None and not own and (name, "builtins") != _described(type(error.obj))


def _described(kind: type) -> tuple[str, str]:
    return kind.__name__, kind.__module__


def _text(error: BaseException) -> str:
    """Cut at once: of a list in a list in a list it is as long as half of what the judge can hold."""
    try:
        return str(error)[:_MESSAGE_CHARS]
    except BaseException as second:
        return f"(no message: {type(second).__name__})"

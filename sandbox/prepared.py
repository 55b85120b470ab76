"""A problem's tests, compiled by the judge before it judges a program, with the calls they are known to make."""

import ast
import builtins
from dataclasses import dataclass
from itertools import accumulate
from opcode import opmap
from types import CodeType
from typing import Any

from sandbox.codec import Packer, Tree, Uncrossable, to_bytes
from sandbox.foresee import asks_the_program, bound_names, foreseen_calls, set_attributes, set_globals

EARLY = 32_768  # bytes that a new socket takes without being read
_MESSAGE_CHARS = 300
_MEDDLING = frozenset("setattr delattr exec eval compile globals vars modules __import__ __builtins__".split())
_STREAMS = frozenset({"stdin", "stdout", "stderr"})
_STREAM_FUNCTIONS = frozenset({"input", "print"})
_SETS_ATTRIBUTE = tuple(opmap[name] for name in ("STORE_ATTR", "DELETE_ATTR"))
_IMPORTS = (opmap["IMPORT_NAME"],)
_SETS_ITEM = tuple(opmap[name] for name in ("STORE_SUBSCR", "DELETE_SUBSCR"))
_BUILTIN_NAMES = frozenset(dir(builtins))


@dataclass(frozen=True, slots=True)
class Prepared:
    """A problem's tests, compiled: per test its code, or the error that kept it from compiling.

    `redirects`: a test, or the setup, gives the program a standard input or output that it has in no other process.
    `batch` asks for the calls of the first tests; of these `foreseen` gives the number of each one's call, 0 if none.
    """

    setup: CodeType | str
    tests: tuple[CodeType | str, ...]
    entry_point: str
    seeded: bool
    meddles: bool
    redirects: bool
    batch: bytes
    foreseen: tuple[int, ...]

    @property
    def whole(self) -> bool:
        """Are these all calls there will be, and few enough to be sent before anybody reads them?"""
        return len(self.foreseen) == len(self.tests) and len(self.batch) < EARLY


def prepare_tests(entry_point: str, setup: str, tests: tuple[str, ...], *, hollow: bool = False) -> Prepared:
    """Compile `setup` and `tests`, and look what they will ask the program for. `hollow`: no assertion fails."""
    codes = tuple(_compile(text, hollow) for text in (setup, *tests))
    names = {"candidate", entry_point}
    known = _BUILTIN_NAMES | bound_names(codes[0])
    calls = [] if asks_the_program(codes[0], names, known) else foreseen_calls(codes[1:], names, known)
    packed = [Packer(_nothing_foreign).pack_all(call) for call in calls if call is not None]
    try:
        batch = to_bytes(Packer(_nothing_foreign), lambda: ["batch", entry_point, packed])
    except ValueError:  # ints too long for decimals
        batch = b"NaN"
    if b"NaN" in batch:  # then too, ask for them in turn, since it is no tree of its own there
        batch, calls = b"", []
    seeded = any("random" in text for text in (setup, *tests))
    imports = any(not isinstance(code, str) and _does(code, _IMPORTS) for code in codes)
    meddles = any(not isinstance(code, str) and _may_meddle(code, imports) for code in codes)
    redirects = any(
        not isinstance(code, str) and (not _STREAM_FUNCTIONS.isdisjoint(bound_names(code)) or _redirects(code))
        for code in codes
    )
    numbers = accumulate(call is not None for call in calls)
    foreseen = tuple(number if call is not None else 0 for number, call in zip(numbers, calls, strict=True))
    return Prepared(codes[0], codes[1:], entry_point, seeded, meddles, redirects, batch, foreseen)


def _may_meddle(code: CodeType, imports: bool) -> bool:
    """Could this code change a module that the tests of the next program use too? `imports`: it may have one at all."""
    if any(name in _MEDDLING or name.startswith("_") for name in code.co_names):
        return True
    if _does(code, (*_SETS_ATTRIBUTE, *(_SETS_ITEM if imports else ()))):
        return True
    return any(isinstance(value, CodeType) and _may_meddle(value, imports) for value in code.co_consts)


def _does(code: CodeType, operations: tuple[int, ...]) -> bool:
    """Is one of these operations in it, or in a function in it?"""
    text = code.co_code[::2]
    if any(operation in text for operation in operations):
        return True
    return any(isinstance(value, CodeType) and _does(value, operations) for value in code.co_consts)


def _redirects(code: CodeType) -> bool:
    """Does this code put something in the place of a standard stream, or of input() or print()?"""
    names = set(code.co_names)
    if names & {"redirect_stdout", "redirect_stderr"}:
        return True
    replaced = _STREAMS | (_STREAM_FUNCTIONS if names & {"builtins", "__builtins__"} else set())
    if not replaced.isdisjoint(set_attributes(code)) or not _STREAM_FUNCTIONS.isdisjoint(set_globals(code)):
        return True
    if "setattr" in names and any(isinstance(value, str) and value in replaced for value in code.co_consts):
        return True
    return any(isinstance(value, CodeType) and _redirects(value) for value in code.co_consts)


def _nothing_foreign(value: Any) -> Tree:
    raise Uncrossable(type(value).__name__)


class _Lenient(ast.NodeTransformer):
    """Makes assertions that are evaluated and come to nothing."""

    def visit_Assert(self, node: ast.Assert) -> ast.Try:
        caught = ast.ExceptHandler(type=ast.Name(id="Exception", ctx=ast.Load()), name=None, body=[ast.Pass()])
        return ast.Try(body=[ast.Expr(node.test)], handlers=[caught], orelse=[], finalbody=[])


def _compile(text: str, hollow: bool = False) -> CodeType | str:
    try:
        tree = ast.fix_missing_locations(_Lenient().visit(ast.parse(text))) if hollow else text
        return compile(tree, "<test>", "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"the test does not compile: {type(error).__name__}: {error}"[:_MESSAGE_CHARS]

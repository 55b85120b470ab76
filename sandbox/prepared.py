"""A problem's tests, compiled by the judge before it judges a program, with the calls they are known to make."""

import ast
import builtins
from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, chain
from opcode import opmap
from types import CodeType

from sandbox.codec import Packer, to_bytes
from sandbox.foresee import asks_the_program, bound_names, foreseen_calls, set_attributes, set_globals
from sandbox.handles import TEST
from sandbox.library_values import TYPES
from sandbox.policy import CLOCKS

EARLY = 32_768  # bytes that a new socket takes without being read
_MESSAGE_CHARS = 300
_MEDDLING = frozenset("setattr delattr exec eval compile globals vars modules __import__ __builtins__".split())
_STREAMS = frozenset({"stdin", "stdout", "stderr"})
_FUNCTIONS = frozenset({"input", "print"})
_DATES = frozenset({"date", "datetime"})
_OF_STREAMS = frozenset({"redirect_stdout", "redirect_stderr", "setattr"}) | _FUNCTIONS
_IMPORT = opmap["IMPORT_NAME"]
_SETS_ATTRIBUTE = tuple(opmap[name] for name in ("STORE_ATTR", "DELETE_ATTR"))
_SETS_ITEM = tuple(opmap[name] for name in ("STORE_SUBSCR", "DELETE_SUBSCR"))
_SETS = (*_SETS_ATTRIBUTE, opmap["STORE_GLOBAL"])
_LOOKS = {
    "text": frozenset("str repr ascii format print __str__ __repr__".split()),
    "type": frozenset({"type", "__class__"}),
    "class": frozenset({"isinstance", "issubclass", "__name__"}),
    "more": frozenset("hasattr getattr Enum IntEnum StrEnum".split()),
}
_OF_PRINT = frozenset({"sep", "end", "flush"})  # what only says how it prints
_BUILTIN_NAMES = frozenset(dir(builtins))
_BUILTIN_ATTRIBUTES = frozenset(
    name for kind in vars(builtins).values() if isinstance(kind, type) for name in (*dir(kind), "__name__")
)
_ATTRIBUTES_OF_VALUES = _BUILTIN_ATTRIBUTES.union(*map(dir, TYPES.values()))


@dataclass(frozen=True, slots=True)
class Prepared:
    """A problem's tests, compiled: per test its code, or the error that kept it from compiling.

    `apart`: what a test, or the setup, looks for in vain in a process that is not the program's, in words.
    `batch` asks for the calls of the first tests; of these `foreseen` gives the number of each one's call, 0 if none.
    """

    setup: CodeType | str
    tests: tuple[CodeType | str, ...]
    texts: tuple[str, ...]  # of both
    entry_point: str
    seeded: bool
    meddles: bool
    apart: str
    batch: bytes
    foreseen: tuple[int, ...]

    @property
    def whole(self) -> bool:
        """Are these all calls there will be, and few enough to be sent before anybody reads them?"""
        return len(self.foreseen) == len(self.tests) and len(self.batch) < EARLY


def prepare_tests(entry_point: str, setup: str, tests: tuple[str, ...], *, hollow: bool = False) -> Prepared:
    """Compile `setup` and `tests`, and look what they will ask the program for. `hollow`: no assertion fails."""
    texts = (setup, *tests)
    codes = tuple(_compile(text, hollow) for text in texts)
    names = {"candidate", entry_point}
    known = _BUILTIN_NAMES | bound_names(codes[0])
    calls = [] if asks_the_program(codes[0], names, known) else foreseen_calls(codes[1:], names, known)
    packed = [Packer().pack_all(call) for call in calls if call is not None]
    try:
        batch = to_bytes(Packer(), lambda: ["batch", entry_point, packed])
    except ValueError:  # ints too long for decimals
        batch = b"NaN"
    if b"NaN" in batch:  # then too, ask for them in turn, since it is no tree of its own there
        batch, calls = b"", []
    seeded = any("random" in text for text in texts)
    every = _with_inner([code for code in codes if not isinstance(code, str)])
    used = frozenset().union(*(code.co_names for code in every))
    operations = b"".join(code.co_code[::2] for code in every)
    meddles = _may_meddle(used, operations)
    apart = ""
    if (not used.isdisjoint(_OF_STREAMS) or _any(_SETS, operations)) and _redirects(codes, every):
        apart = "a standard input and output"
    elif not used.isdisjoint(CLOCKS) and not used.isdisjoint(_DATES):
        apart = "a calendar"
    elif "catch_warnings" in used:
        apart = "warnings"
    numbers = accumulate(call is not None for call in calls)
    foreseen = tuple(number if call is not None else 0 for number, call in zip(numbers, calls, strict=True))
    return Prepared(codes[0], codes[1:], texts, entry_point, seeded, meddles, apart, batch, foreseen)


def _with_inner(codes: list[CodeType]) -> list[CodeType]:
    """These, and the functions and classes in them."""
    found = list(codes)
    for code in found:
        found += [value for value in code.co_consts if isinstance(value, CodeType)]
    return found


def looks_at(texts: Sequence[str]) -> set[str]:
    """What tests look at of values besides what they hold: "text", as which object they are; their very "type"; whether
    they are of some "class"; or whether they have "more" than such values have."""
    trees = [_nodes(text)[:1] for text in texts]
    if not all(trees):  # nested too deep to tell
        return set(_LOOKS)
    nodes = list(chain.from_iterable(trees))
    for node in nodes:
        nodes += _deciding(node)
    used = {node.id if isinstance(node, ast.Name) else getattr(node, "attr", "") for node in nodes}
    found = {what for what, names in _LOOKS.items() if not names.isdisjoint(used)}
    constants = [node.value for node in nodes if isinstance(node, ast.Constant)]
    is_format = any(isinstance(one, str) and "%" in one for one in constants)
    if any(_looks_at_texts(node, is_format) for node in nodes) or any("stdout" in text for text in texts):
        found.add("text")
    return found


def _looks_at_texts(node: ast.AST, is_format: bool) -> bool:
    """`is_format`: there are texts that values may be put into by `%`."""
    if isinstance(node, ast.Compare):  # None, True and False are themselves on either side
        is_constant = any(isinstance(one, ast.Constant) for one in _compared(node))
        return not is_constant and any(isinstance(one, ast.Is | ast.IsNot) for one in node.ops)
    if isinstance(node, ast.BinOp | ast.AugAssign):
        return is_format and isinstance(node.op, ast.Mod)
    return isinstance(node, ast.FormattedValue)


def _deciding(node: ast.AST) -> list[ast.AST]:
    """The parts of it on which a verdict may hang: no annotation, nothing that a failed assertion says or that is only
    printed, and no `str` as which values may be."""
    parts = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.arg):
        return []
    if isinstance(node, ast.Assert):
        return [node.test]
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        return parts
    if node.func.id == "AssertionError":
        return []
    if node.func.id in ("isinstance", "issubclass") and len(node.args) == 2:
        kinds = node.args[1].elts if isinstance(node.args[1], ast.Tuple) else node.args[1:]
        return [node.func, node.args[0], *(one for one in kinds if not _is_name(one, "str"))]
    if node.func.id == "print" and all(keyword.arg in _OF_PRINT for keyword in node.keywords):
        return [one.value if isinstance(one, ast.FormattedValue) else one for arg in node.args for one in _pieces(arg)]
    return parts


def _pieces(node: ast.expr) -> list[ast.expr]:
    return node.values if isinstance(node, ast.JoinedStr) else [node]


def _may_meddle(names: Set[str], operations: bytes) -> bool:
    """Could code of these names and operations change a module that the tests of the next program use too?"""
    if not names.isdisjoint(_MEDDLING) or any(name[:1] == "_" for name in names):
        return True
    return _any(_SETS_ATTRIBUTE, operations) or (_IMPORT in operations and _any(_SETS_ITEM, operations))


def _any(wanted: tuple[int, ...], operations: bytes) -> bool:
    """Is one of them there? By searching bytes, which is quicker than a set of so many small ints."""
    return any(operation in operations for operation in wanted)


def tell_of_a_class(texts: tuple[str, ...], entry_point: str) -> bool:
    """Do these tests take the entry point for a class? Asked when a program has made it one, which proves nothing.

    Then they read of its answers what no built-in type has, or compare one answer with another. Only of what is named
    as classes are may it be what a date or a Counter has too: a function's answers are those themselves.
    """
    names = {"candidate", entry_point}
    common = _BUILTIN_ATTRIBUTES if entry_point[:1].isupper() else _ATTRIBUTES_OF_VALUES
    for nodes in map(_nodes, texts):
        answers = names | {name.id for node in nodes for name in _bound_to(node, names)}
        for node in nodes:
            if isinstance(node, ast.Attribute) and node.attr not in common and _mentions(node, answers):
                return True
            if isinstance(node, ast.Compare) and sum(_mentions(one, answers) for one in _compared(node)) > 1:
                return True
    return False


@lru_cache(maxsize=64)
def reads_attributes(texts: tuple[str, ...], name: str) -> bool:
    """Do these tests read an attribute of what has this name? Asked once a program has made a module's name its own."""
    nodes = chain.from_iterable(map(_nodes, texts))
    return any(isinstance(node, ast.Attribute) and _is_name(node.value, name) for node in nodes)


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _nodes(text: str) -> list[ast.AST]:
    """All of its syntax; nothing where it has none."""
    try:
        return list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _bound_to(node: ast.AST, names: set[str]) -> list[ast.Name]:
    """The names that this node binds to what has one of `names` in it."""
    if isinstance(node, ast.Assign | ast.NamedExpr):
        targets, value = node.targets if isinstance(node, ast.Assign) else [node.target], node.value
    elif isinstance(node, ast.For | ast.comprehension):
        targets, value = [node.target], node.iter
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        targets, value = [node.optional_vars], node.context_expr
    else:
        return []
    if not _mentions(value, names):
        return []
    return [name for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]


def _compared(node: ast.Compare) -> list[ast.expr]:
    return [node.left, *node.comparators]


def _mentions(node: ast.AST, names: set[str]) -> bool:
    return any(isinstance(one, ast.Name) and one.id in names for one in ast.walk(node))


def _redirects(codes: Sequence[CodeType | str], every: list[CodeType]) -> bool:
    """Does this code put something in the place of a standard stream, or of input() or print()?"""
    return any(not _FUNCTIONS.isdisjoint(bound_names(code)) for code in codes) or any(map(_redirects_one, every))


def _redirects_one(code: CodeType) -> bool:
    names = set(code.co_names)
    if names & {"redirect_stdout", "redirect_stderr"}:
        return True
    replaced = _STREAMS | (_FUNCTIONS if names & {"builtins", "__builtins__"} else set())
    if not replaced.isdisjoint(set_attributes(code)) or not _FUNCTIONS.isdisjoint(set_globals(code)):
        return True
    return "setattr" in names and any(isinstance(value, str) and value in replaced for value in code.co_consts)


class _Lenient(ast.NodeTransformer):
    """Makes assertions that are evaluated and come to nothing."""

    def visit_Assert(self, node: ast.Assert) -> ast.Try:
        caught = ast.ExceptHandler(type=ast.Name(id="Exception", ctx=ast.Load()), name=None, body=[ast.Pass()])
        return ast.Try(body=[ast.Expr(node.test)], handlers=[caught], orelse=[], finalbody=[])


def _compile(text: str, hollow: bool = False) -> CodeType | str:
    try:
        tree = ast.fix_missing_locations(_Lenient().visit(ast.parse(text))) if hollow else text
        return compile(tree, TEST, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"the test does not compile: {type(error).__name__}: {error}"[:_MESSAGE_CHARS]

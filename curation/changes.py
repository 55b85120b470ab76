"""The kinds of small changes that make a mutant: where a syntax tree offers each, and what would stand there."""

from __future__ import annotations

import ast
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Change:
    """Characters [start, end) of the program to be replaced by `text`; `line` is where, 1-based."""

    start: int
    end: int
    text: str
    line: int


class Source:
    """A program's text by the positions of syntax tree nodes, which count lines and UTF-8 bytes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0, *(match.end() for match in re.finditer(r"\r\n?|\n", text))]

    def place(self, line: int, column: int) -> int:
        """The character at a line, 1-based, and a byte of it."""
        start = self._starts[line - 1]
        # A character has at least one byte, so that many characters hold the bytes asked for.
        return start + len(self.text[start : start + column].encode()[:column].decode(errors="ignore"))

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return self.place(node.lineno, node.col_offset), self.place(node.end_lineno, node.end_col_offset)

    def of(self, node: ast.expr | ast.stmt) -> str:
        start, end = self.span(node)
        return self.text[start:end]

    def change(self, node: ast.expr | ast.stmt, text: str) -> Change:
        start, end = self.span(node)
        return Change(start, end, text, node.lineno)

    def whole_lines(self, node: ast.stmt) -> tuple[int, int] | None:
        """The span of a statement's lines with their end, null where it shares them with another."""
        start, end = self.span(node)
        begin = self._starts[node.lineno - 1]
        rest = re.compile(r"[ \t]*(#[^\r\n]*)?(\r\n?|\n|\Z)").match(self.text, end)
        return None if self.text[begin:start].strip() or rest is None else (begin, rest.end())


# What may stand between an operand and its operator: blanks, closing parentheses, a line's end, comments.
BETWEEN = re.compile(r"(?:[\s)\\]|#[^\r\n]*)*")
ARITHMETIC: dict[type[ast.operator], tuple[str, tuple[str, ...]]] = {
    ast.Add: ("+", ("-", "*")),
    ast.Sub: ("-", ("+", "*")),
    ast.Mult: ("*", ("+", "//")),
    ast.Div: ("/", ("//", "*")),
    ast.FloorDiv: ("//", ("/", "%")),
    ast.Mod: ("%", ("//", "*")),
    ast.Pow: ("**", ("*",)),
    ast.BitAnd: ("&", ("|", "^")),
    ast.BitOr: ("|", ("&", "^")),
    ast.BitXor: ("^", ("&", "|")),
    ast.LShift: ("<<", (">>",)),
    ast.RShift: (">>", ("<<",)),
}
BOUNDARIES: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
}
OPPOSITES: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
}


def _symbol(source: Source, left: ast.expr | ast.stmt, symbol: str, text: str) -> Iterator[Change]:
    """The change of an operator that follows its left operand."""
    matched = BETWEEN.match(source.text, source.span(left)[1])
    assert matched is not None
    start = matched.end()
    if source.text.startswith(symbol, start):
        yield Change(start, start + len(symbol), text, left.end_lineno or left.lineno)


def _operators(root: ast.stmt, source: Source, dice: random.Random) -> Iterator[Change]:
    for node in ast.walk(root):
        if isinstance(node, ast.BoolOp):
            symbol, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
            # One operator of `a and b and c` changed makes another tree than all of them.
            for value in node.values[:-1]:
                yield from _symbol(source, value, symbol, other)
        elif isinstance(node, ast.BinOp | ast.AugAssign):
            left, right = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.target, node.value)
            if not (_is_sequence(left) or _is_sequence(right)):
                symbol, others = ARITHMETIC.get(type(node.op), ("", ()))
                for other in others:
                    yield from _symbol(source, left, symbol, other)


def _is_sequence(node: ast.expr) -> bool:
    """A text or a list as it is written: any other operator than its own raises, which teaches nothing."""
    return isinstance(node, ast.JoinedStr | ast.List | ast.ListComp | ast.Tuple) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    )


def _boundaries(root: ast.stmt, source: Source, dice: random.Random) -> Iterator[Change]:
    yield from _compared(root, source, BOUNDARIES)


def _compared(root: ast.stmt, source: Source, exchanges: dict[type[ast.cmpop], tuple[str, str]]) -> Iterator[Change]:
    for node in ast.walk(root):
        if isinstance(node, ast.Compare):
            for left, operator in zip([node.left, *node.comparators], node.ops, strict=False):
                if type(operator) in exchanges:
                    yield from _symbol(source, left, *exchanges[type(operator)])


def _conditions(root: ast.stmt, source: Source, dice: random.Random) -> Iterator[Change]:
    yield from _compared(root, source, OPPOSITES)
    for node in ast.walk(root):
        tests = [node.test] if isinstance(node, ast.If | ast.While | ast.IfExp) else []
        for test in [*tests, *(node.ifs if isinstance(node, ast.comprehension) else [])]:
            if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
                yield source.change(test, source.of(test.operand))
            elif not isinstance(test, ast.Compare) or type(test.ops[0]) not in OPPOSITES:
                yield source.change(test, f"not ({source.of(test)})")


def _constants(root: ast.stmt, source: Source, dice: random.Random) -> Iterator[Change]:
    docstrings = {id(node.value) for node in ast.walk(root) if isinstance(node, ast.Expr)}
    # The pieces of an f-string are constants without places of their own.
    pieces = {id(part) for node in ast.walk(root) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    counted = {id(part) for node in ast.walk(root) for part in _counts(node)}
    for node in ast.walk(root):
        if isinstance(node, ast.Constant) and id(node) not in docstrings | pieces | counted:
            for text in _other_constants(node.value):
                yield source.change(node, text)


def _other_constants(value: object) -> list[str]:
    if isinstance(value, bool):
        return [repr(not value)]
    if isinstance(value, int):
        return [repr(value + 1)] + ([repr(value - 1)] if value > 0 else [])
    if isinstance(value, float) and abs(value) < 1e300:
        return [repr(value * 2) if value else "1.0"]
    if isinstance(value, str):
        return ['""'] if value else ['" "']
    return []


def _off_by_one(root: ast.stmt, source: Source, dice: random.Random) -> Iterator[Change]:
    for node in ast.walk(root):
        for part in _counts(node):
            if isinstance(part, ast.Constant):
                assert isinstance(part.value, int)
                yield source.change(part, str(part.value + 1))
                if part.value > 0:
                    yield source.change(part, str(part.value - 1))
            else:
                simple = isinstance(part, ast.Name | ast.Call | ast.Attribute | ast.Subscript | ast.BinOp)
                text = source.of(part) if simple else f"({source.of(part)})"
                yield source.change(part, f"{text} + 1")
                yield source.change(part, f"{text} - 1")


def _counts(node: ast.AST) -> list[ast.expr]:
    """What is a position or a number of turns: the arguments of range, indices, the bounds of slices."""
    parts: Sequence[ast.expr | None] = []
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        parts = node.args[:2]
    elif isinstance(node, ast.Subscript):
        parts = [node.slice.lower, node.slice.upper] if isinstance(node.slice, ast.Slice) else [node.slice]
    # A literal that is no number is a key; a negative one counts from the end and is left to the other kinds.
    return [
        part
        for part in parts
        if isinstance(part, ast.Name | ast.Call | ast.Attribute | ast.Subscript)
        or (isinstance(part, ast.BinOp) and isinstance(part.op, ast.Add | ast.Sub))
        or (isinstance(part, ast.Constant) and type(part.value) is int)
    ]


def _missing_lines(root: ast.stmt, source: Source, dice: random.Random) -> Iterator[Change]:
    for scope in _scopes(root):
        stores = Counter(node.id for node in _here(scope) if isinstance(node, ast.Name) and _is_store(node))
        for node in _here(scope):
            for name in ("body", "orelse", "finalbody"):
                body = getattr(node, name, None)
                if isinstance(body, list):
                    yield from _removals(body, stores, source, outer=node is scope and name == "body")


def _removals(body: Sequence[ast.stmt], stores: Counter[str], source: Source, *, outer: bool) -> Iterator[Change]:
    for position, node in enumerate(body):
        simple = isinstance(node, ast.AugAssign | ast.Continue | ast.Break | ast.Return)
        called = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Await)
        again = isinstance(node, ast.Assign) and all(
            not isinstance(target, ast.Name) or stores[target.id] > 1 for target in node.targets
        )
        guard = isinstance(node, ast.If) and not node.orelse and len(node.body) == 1
        ends = isinstance(node, ast.Return) and outer and position == len(body) - 1
        # Without its only binding a name is unknown, without its last line a function returns nothing: no near misses.
        if not (simple or called or again or guard) or ends:
            continue
        lines = source.whole_lines(node)
        if len(body) == 1 or lines is None:
            yield source.change(node, "pass")
        else:
            yield Change(*lines, "", node.lineno)


def _swapped_arguments(root: ast.stmt, source: Source, dice: random.Random) -> Iterator[Change]:
    for node in ast.walk(root):
        if isinstance(node, ast.Call) and not any(isinstance(argument, ast.Starred) for argument in node.args):
            for left, right in pairwise(node.args):
                (start, middle), (resumed, end) = source.span(left), source.span(right)
                text = source.of(right) + source.text[middle:resumed] + source.of(left)
                yield Change(start, end, text, left.lineno)


def _wrong_variables(root: ast.stmt, source: Source, dice: random.Random) -> Iterator[Change]:
    for scope in _scopes(root):
        bound: dict[str, int] = {}
        arguments = getattr(scope, "args", None)
        for name in [node.arg for node in ast.walk(arguments) if isinstance(node, ast.arg)] if arguments else []:
            bound[name] = 0
        names = [node for node in _here(scope) if isinstance(node, ast.Name)]
        for node in names:
            if _is_store(node):
                bound[node.id] = min(bound.get(node.id, node.lineno), node.lineno)
        called = {id(node.func) for node in _here(scope) if isinstance(node, ast.Call)}
        for node in names:
            others = sorted(name for name, line in bound.items() if line < node.lineno and name != node.id)
            if isinstance(node.ctx, ast.Load) and node.id in bound and id(node) not in called and others:
                yield source.change(node, dice.choice(others))


def _is_store(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def _scopes(root: ast.stmt) -> list[ast.AST]:
    """The functions in a statement, or the statement itself where it holds none."""
    return [node for node in ast.walk(root) if isinstance(node, Function)] or [root]


def _here(scope: ast.AST) -> Iterator[ast.AST]:
    """A scope's nodes, without those of functions and classes within it."""
    yield scope
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, Function | ast.ClassDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


KINDS: dict[str, Callable[[ast.stmt, Source, random.Random], Iterator[Change]]] = {
    "operator": _operators,
    "boundary": _boundaries,
    "constant": _constants,
    "off_by_one": _off_by_one,
    "condition": _conditions,
    "missing_line": _missing_lines,
    "swapped_arguments": _swapped_arguments,
    "wrong_variable": _wrong_variables,
}

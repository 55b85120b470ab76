"""Where the steps of a solution end, in its text and in its tokens.

Outside of code a step is a paragraph or a list item. Within code it is the header of the function under test, a
statement of its body or another one of the program; where code does not parse, each of its lines. A code block's
opening fence belongs to its first step and its closing fence to what follows, so that "the program ends here" is a step
of its own.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from curation.extract import FENCE, PYTHON, parse

LINE = re.compile(r"[^\n]*\n|[^\n]+")  # not splitlines, which also splits at form feeds and the like
ITEM = re.compile(r"\s{0,3}(?:\d{1,2}[.)]|[-*+])\s+\S")


@dataclass(frozen=True)
class Step:
    """One step: it ends before character `end`, counted from the text's start, and holds code or does not."""

    end: int
    is_code: bool


@dataclass(frozen=True)
class StepEnd:
    """The end of a step at a boundary of tokens: so many characters of the text are its first so many tokens."""

    chars: int
    tokens: int


def steps_of(text: str, *, entry_point: str | None, before: str = "") -> list[Step]:
    """The steps of a completion, in order; the last one ends where the text does.

    Args:
        text: what the model wrote.
        entry_point: the function the tests call; None for programs that read standard input.
        before: source that the text continues, where it does; the text is then all code.
    """
    found: list[Step] = []
    for start, end, is_code in [(0, len(text), True)] if before else _regions(text):
        part = text[start:end]
        ends = _statements(part, entry_point, before) if is_code else _paragraphs(part)
        found += [Step(start + one, is_code) for one in ends]
    if not found or found[-1].end < len(text):
        blank = bool(found) and not text[found[-1].end :].strip()
        found = [*(found[:-1] if blank else found), Step(len(text), blank and found[-1].is_code)]
    return found


def step_ends(steps: Sequence[Step], token_ends: Sequence[int | None]) -> list[StepEnd]:
    """The steps' ends moved to the first boundary of tokens at or after them; steps that end at the same one are one.

    Args:
        steps: as `steps_of` gives them.
        token_ends: for every token how many characters of the text are decoded with it; None within a character.
    """
    if not token_ends:
        return []
    # What lies within a character is no boundary: it counts as lying further on.
    known = [end for end in token_ends if end is not None]
    places = [place for place, end in enumerate(token_ends, 1) if end is not None]
    found: list[StepEnd] = []
    for step in steps[:-1]:
        at = bisect_left(known, step.end)
        if at < len(known) and places[at] < len(token_ends) and known[at] < steps[-1].end:
            end = StepEnd(known[at], places[at])
            if not found or found[-1] != end:
                found.append(end)
    return [*found, StepEnd(steps[-1].end, len(token_ends))]


def token_ends(
    decode_each: Callable[[Sequence[int]], Sequence[str]],
    decode: Callable[[Sequence[int]], str],
    ids: Sequence[int],
    text: str,
) -> list[int | None] | None:
    """For every token how many characters of `text` are decoded with it, None within a character.

    None altogether where the tokens read as another text. A text that a stop string cut short ends all later tokens.

    Args:
        decode_each: the text of each token alone.
        decode: the text of tokens together, which for some tokenizers is not that of each alone.
        ids: the tokens.
        text: what they were sampled as.
    """
    pieces = decode_each(ids)
    if "".join(pieces).startswith(text) and not any("\ufffd" in piece for piece in pieces):
        return [min(end, len(text)) for end in accumulate(map(len, pieces))]
    if not decode(ids).startswith(text):
        return None
    starts = (decode(ids[:count]) for count in range(1, len(ids) + 1))
    return [_shared(start, text) for start in starts]


def _shared(start: str, text: str) -> int | None:
    if text.startswith(start):
        return len(start)
    return len(text) if start.startswith(text) else None


def _regions(text: str) -> Iterator[tuple[int, int, bool]]:
    """Prose and code in turn, as (start, end, is code). A text without fences that parses is code altogether."""
    lines = LINE.findall(text)
    starts = [0, *accumulate(map(len, lines))]
    begin, opened, python, fenced = 0, "", False, False
    for start, line in zip(starts, lines, strict=False):
        match = FENCE.match(line.rstrip("\r\n"))
        if opened:
            if line.strip() == opened or (match and not match["language"] and not match["rest"].strip()):
                yield begin, start, python
                begin, opened = start, ""
        elif match and "`" not in match["rest"]:
            yield begin, start, False
            begin, opened, fenced = start, match["fence"], True
            python = match["language"].lower() in PYTHON
    yield begin, len(text), python if opened else not fenced and _does_something(text)


def _does_something(text: str) -> bool:
    """Whether it is Python, and more than a word, which is Python too."""
    tree = parse(text)
    return tree is not None and any(not isinstance(statement, ast.Expr) for statement in tree.body)


def _paragraphs(prose: str) -> list[int]:
    """Where paragraphs and list items end, the blank lines after each included."""
    ends: list[int] = []
    at, blank, written = 0, False, False
    for line in LINE.findall(prose):
        if written and line.strip() and (blank or ITEM.match(line)):
            ends.append(at)
        blank = not line.strip()
        written = written or not blank
        at += len(line)
    return [*ends, at] if written else []


def _statements(code: str, entry_point: str | None, before: str) -> list[int]:
    """Where statements end, each with its line: the entry point's header, those of its body, others at the top level.

    Of code that does not parse as a whole, which may be cut short, the longest start that does has statements, and
    every line behind that is a step.
    """
    lines = LINE.findall(code)
    starts = [0, *accumulate(map(len, lines))]
    # An opening fence is no Python: it is made a comment.
    skipped = 1 if not before and lines and FENCE.match(lines[0].rstrip("\r\n")) else 0
    source = ["#\n"] * skipped + lines[skipped:]
    offset = len(before.split("\n")) - 1
    whole, tree = len(lines), None
    while tree is None and whole > skipped:
        tree = parse(before + "".join(source[:whole]))
        whole -= tree is None
    ended = {line - offset for line in _last_lines(tree, entry_point)} if tree else set()
    rest = {number for number, line in enumerate(lines[whole:], whole + 1) if line.strip() and number > skipped}
    return [starts[number] for number in sorted(ended | rest) if 0 < number <= len(lines)]


def _last_lines(tree: ast.Module, entry_point: str | None) -> Iterator[int]:
    """The last line, counted from 1, of every statement, and of the entry point's header."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == entry_point:
            if node.body[0].lineno > node.lineno:
                yield node.body[0].lineno - 1
            yield from (inner.end_lineno or 0 for inner in node.body)
        else:
            yield node.end_lineno or 0

"""One pair as people look at it: both sides line by line beside each other, coloured, with tests, tokens and rivals.

Everything in it is untrusted: programs, what they raise, what a model wrote. A view is plain values, no markup: text in
spans `[kind, text, changed]`, which a page sets as text and a terminal prints as text. What would not be seen, or would
change how the rest is seen (control characters, changes of direction), stands in it as a visible sign of kind `x`.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pygments.lexers.python import PythonLexer
from pygments.token import Token

from flows.token_texts import Decode, pieces

Row = list[Any]
Span = str | list[Any]
"""Text without colour, or [kind, text], or [kind, text, 1] where the other side differs."""
Line = list[tuple[str, str, int]]
"""A line in the making: (kind, text, 1 where the other side differs)."""

MOST_LINES, MOST_COLUMNS, MOST_TESTS, MOST_TEXT = 600, 1200, 60, 2000
MOST_COMPARED = 300
# Characters that do not print, but the tab: controls, changes of direction, joiners, spaces that look like others.
UNSEEN = re.compile(
    "[\\x00-\\x08\\x0a-\\x1f\\x7f-\\xa0\\xad\\u034f\\u061c\\u115f\\u1160\\u1680\\u17b4\\u17b5\\u180b-\\u180f\\u2000-\\u200f\\u2028-\\u202f"
    "\\u205f-\\u206f\\u2800\\u3000\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufffb\\U000e0000-\\U000e0fff]"
)
SIGNS = {"\n": "↵", "\r": "‹CR›", "\x1b": "‹ESC›", "\0": "‹NUL›", "\x7f": "‹DEL›", "\xa0": "‹NBSP›"}
# Lines less alike than this are shown as other lines, not as a changed one.
ALIKE = 0.4
KINDS = (
    (Token.Comment, "c"),
    (Token.Literal.String, "s"),
    (Token.Literal.Number, "m"),
    (Token.Keyword, "k"),
    (Token.Operator.Word, "k"),
    (Token.Name.Function, "f"),
    (Token.Name.Class, "f"),
    (Token.Name.Decorator, "f"),
    (Token.Name.Builtin, "b"),
    (Token.Name.Exception, "b"),
)
RUN_FIELDS = (
    *("completion_id", "sample_index", "status", "score", "num_passed", "num_tests", "error_type", "error_message"),
    *("steps", "sum_logp", "num_tokens", "finish_reason", "model"),
)
CANDIDATE_FIELDS: tuple[str, ...] = (
    "completion_id",
    "sample_index",
    "status",
    "num_passed",
    "num_tests",
    "error_type",
    "sum_logp",
)
CANDIDATE_FIELDS += ("num_tokens", "num_chars")


def view(pair: Mapping[str, Any], decode: Decode | None = None, *, most_candidates: int = 1000) -> dict[str, Any]:
    """A pair of `Pairs.pair` as plain values, ready to be shown and to be written as JSON.

    `problem` holds what is the same for all of a problem's pairs.
    """
    chosen, rejected, problem = pair["chosen"], pair["rejected"], pair["problem"]
    names = ("pair_id", "problem_id", "task_id", "strategy", "bucket", "position", "metric", "pruned_by")
    sides = {chosen["completion_id"], rejected["completion_id"]}
    ranked = [
        [rank, *(short(row.get(name)) for name in CANDIDATE_FIELDS)]
        for rank, row in enumerate(pair["candidates"], start=1)
        if rank <= most_candidates or row["completion_id"] in sides
    ]
    return {
        **{name: short(pair[name]) for name in names},
        "measures": {name: short(value) for name, value in pair["measures"].items()},
        "rows": diff(chosen["text"], rejected["text"]),
        "chosen": run(chosen, decode),
        "rejected": run(rejected, decode),
        "problem": {
            "prompt": plain_lines(pair["prompt"]),
            "statement": [] if problem["prompt"] == pair["prompt"] else plain_lines(problem["prompt"]),
            "tests": tests(problem),
            "num_tests": len(problem["tests"] or []),
            "num_candidates": len(pair["candidates"]),
        },
        "candidates": ranked,
    }


def run(completion: Mapping[str, Any], decode: Decode | None) -> dict[str, Any]:
    """How a completion fared, and its tokens as [text, log-probability]; `logps` alone where their text is unknown."""
    told: dict[str, Any] = {name: short(completion.get(name)) for name in RUN_FIELDS}
    told["test_status"] = [short(status) for status in (completion.get("test_status") or [])[:MOST_TESTS]]
    found = pieces(completion, decode)
    if found is not None:
        told["tokens"] = [[visible(text), round(logp, 2)] for text, logp in found]
    elif logps := completion.get("token_logps"):
        told["logps"] = [round(logp, 2) for logp in logps]
    return told


def program(completion: Mapping[str, Any], decode: Decode | None = None) -> dict[str, Any]:
    """One completion alone, as the sides of a pair are shown."""
    return run(completion, decode) | {"lines": highlighted(completion["text"])}


def diff(chosen: str, rejected: str) -> list[Row]:
    """Both texts beside each other, a row a line: its kind, and each side's line number from 1 and spans.

    The kinds are `=`, `~` changed, `-` chosen alone and `+` rejected alone. The right spans of `=` are those left.
    """
    texts = [clipped(chosen), clipped(rejected)]
    coloured = [_lines(lines) for lines in texts]
    rows: list[Row] = []
    matcher = difflib.SequenceMatcher(None, texts[0], texts[1], autojunk=False)
    for op, i, i2, j, j2 in matcher.get_opcodes():
        for offset in range(max(i2 - i, j2 - j)):
            left = i + offset if i + offset < i2 else None
            right = j + offset if j + offset < j2 else None
            if op == "equal" and left is not None and right is not None:
                rows.append(["=", left + 1, _seen(coloured[0][left]), right + 1, None])
            else:
                rows.append(_differing(left, right, texts, coloured))
    return rows


def _differing(left: int | None, right: int | None, texts: list[list[str]], coloured: list[list[Line]]) -> Row:
    """The row of two lines of which one is missing or that are not the same."""
    if right is None and left is not None:
        return ["-", left + 1, _seen(coloured[0][left]), None, None]
    if left is None and right is not None:
        return ["+", None, None, right + 1, _seen(coloured[1][right])]
    assert left is not None and right is not None
    lines = coloured[0][left], coloured[1][right]
    if changed := _changed(texts[0][left], texts[1][right]):
        lines = _cut(lines[0], changed[0]), _cut(lines[1], changed[1])
    return ["~", left + 1, _seen(lines[0]), right + 1, _seen(lines[1])]


def _changed(left: str, right: str) -> tuple[set[int], set[int]] | None:
    """The places in two lines of the characters that the other lacks; None where hardly anything is the same."""
    if max(len(left), len(right)) > MOST_COMPARED:
        return None
    words = [re.findall(r"\w+|\s+|.", line) for line in (left, right)]
    matcher = difflib.SequenceMatcher(None, words[0], words[1], autojunk=False)
    if matcher.ratio() < ALIKE:
        return None
    marked: tuple[set[int], set[int]] = (set(), set())
    for op, i, i2, j, j2 in matcher.get_opcodes():
        if op != "equal":
            for side, start, end in ((0, i, i2), (1, j, j2)):
                before = sum(map(len, words[side][:start]))
                marked[side].update(range(before, before + sum(map(len, words[side][start:end]))))
    return marked


def _cut(line: Line, changed: set[int]) -> Line:
    """The spans of a line cut where a changed stretch starts or ends, and those within one marked."""
    found: Line = []
    at = 0
    for kind, text, _ in line:
        for number, letter in enumerate(text):
            mark = int(at + number in changed)
            if number and found[-1][2] == mark:
                found[-1] = (kind, found[-1][1] + letter, mark)
            else:
                found.append((kind, letter, mark))
        at += len(text)
    return found


def highlighted(text: str) -> list[list[Span]]:
    """A text's lines as spans, coloured as Python."""
    return [_seen(line) for line in _lines(clipped(text))]


def plain_lines(text: str) -> list[list[Span]]:
    """A text's lines as spans without colour."""
    return [_seen([("", line, 0)]) for line in clipped(text)]


def _lines(lines: Sequence[str]) -> list[Line]:
    """Spans of every line. Unprocessed, because the lexer would take a carriage return for the end of a line."""
    found: list[Line] = [[]]
    for _, token, value in PythonLexer().get_tokens_unprocessed("\n".join(lines)):
        kind = next((short for of, short in KINDS if token in of), "")
        for number, part in enumerate(value.split("\n")):
            if number:
                found.append([])
            if part:
                found[-1].append((kind, part, 0))
    return found


def clipped(text: str) -> list[str]:
    """The lines of a text, the ends of very long ones and what follows very many of them left out and counted."""
    lines = text.split("\n")
    kept = [
        line if len(line) <= MOST_COLUMNS else f"{line[:MOST_COLUMNS]}… {len(line) - MOST_COLUMNS:,} more characters"
        for line in lines[:MOST_LINES]
    ]
    return kept if len(lines) <= MOST_LINES else [*kept, f"… {len(lines) - MOST_LINES:,} more lines"]


def _seen(line: Line) -> list[Span]:
    """A line as it is written down: neighbours that look the same joined, what cannot be seen as spans of kind `x`."""
    found: Line = []
    for kind, text, mark in line:
        parts = [text] if _is_plain(text) else [part for part in re.split(f"({UNSEEN.pattern})", text) if part]
        for part in parts:
            now, shown = (kind, part) if _is_plain(part) else ("x", sign(part))
            if found and (found[-1][0], found[-1][2]) == (now, mark):
                found[-1] = (now, found[-1][1] + shown, mark)
            else:
                found.append((now, shown, mark))
    return [text if not kind and not mark else [kind, text, 1] if mark else [kind, text] for kind, text, mark in found]


def visible(text: str) -> str:
    """A text in which nothing is invisible: signs stand for what would be. A newline is one of those."""
    return text if _is_plain(text) else UNSEEN.sub(lambda found: sign(found[0]), text)


def sign(letter: str) -> str:
    """What is shown for a character that cannot be seen: its name or its number."""
    return SIGNS.get(letter) or f"‹U+{ord(letter):04X}›"


def _is_plain(text: str) -> bool:
    return text.isprintable() or UNSEEN.search(text) is None


def tests(problem: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A problem's tests, each part that it has as lines."""
    return [
        {name: plain_lines(test[name]) for name in ("code", "stdin", "stdout") if test[name]}
        for test in (problem["tests"] or [])[:MOST_TESTS]
    ]


def short(value: Any) -> Any:
    """A value as it is shown: a text with nothing invisible in it and not endless, a number to six digits."""
    if isinstance(value, str):
        return visible(value if len(value) <= MOST_TEXT else f"{value[:MOST_TEXT]}… {len(value) - MOST_TEXT:,} more")
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value

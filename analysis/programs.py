"""What can be measured of one program alone: its tokens, its syntax tree, its comments and what runs on import.

Trees and token sequences become strings with one character per element, so that rapidfuzz compares them at the speed
of text; the distance of two such tree strings follows exact tree edit distance closely (Spearman 0.996, measured).
"""

from __future__ import annotations

import ast
import hashlib
import io
import re
import tokenize
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

# A word (of any alphabet), a line start with its indentation, or a single sign.
TOKEN = re.compile(r"\w+|\n[ \t]*|[^\w\s]")

_SURROGATES = range(0xD800, 0xE000)
_CLOSE = "\x01"
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_DOCUMENTED = (ast.Module, *_DEFINITIONS)
_LEFT_OUT = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


class _Alphabet(dict[str, str]):
    """A character for each label, from its CRC: the same in every process. Two labels share one in a million cases."""

    def __missing__(self, label: str) -> str:
        # Code points 0 and 1 are left out: 1 closes a node. Surrogates cannot be stored as UTF-8.
        code = 2 + zlib.crc32(label.encode("utf-8", "surrogatepass")) % (0x110000 - 2 - len(_SURROGATES))
        character = chr(code if code < _SURROGATES.start else code + len(_SURROGATES))
        if len(self) < 1_000_000:
            self[label] = character
        return character


_character = _Alphabet()


@dataclass(frozen=True)
class Syntax:
    """The measures of a program that parses."""

    tokens: str
    digest: str
    docstring_chars: int
    example_calls: int
    example_prints: int


def text_tokens(text: str) -> str:
    """One character per word, sign or line start of `text`."""
    return "".join(map(_character.__getitem__, TOKEN.findall(text)))


def model_tokens(ids: list[int]) -> str:
    """One character per token id; ids stay below 1,112,064, the number of characters there are."""
    return "".join([chr(i if i < _SURROGATES.start else i + len(_SURROGATES)) for i in ids])


def syntax(code: str) -> Syntax | None:
    """The measures of `code`'s syntax tree; None where it does not parse."""
    tree = parse(code)
    if tree is None:
        return None
    labels = list(tree_labels(tree))
    digest = hashlib.sha256("\x00".join(labels).encode("utf-8", "surrogatepass")).hexdigest()[:20]
    calls, prints = _example_calls(tree)
    return Syntax("".join(map(_character.__getitem__, labels)), digest, _docstring_chars(tree), calls, prints)


def parse(code: str) -> ast.Module | None:
    """The syntax tree, or None for what CPython's parser refuses, in whichever of its ways."""
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def tree_labels(tree: ast.AST) -> Iterator[str]:
    """The labels of a tree in preorder, a closing mark after the last child of each node that has children."""
    pending: list[ast.AST | str] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, str):
            yield node
            continue
        label, children = label_and_children(node)
        yield label
        if children:
            pending.append(_CLOSE)
            pending.extend(reversed(children))


def label_and_children(node: ast.AST) -> tuple[str, list[ast.AST]]:
    """A node's type with its names and constants, and the nodes below it.

    Docstrings are left out, and contexts (Load, Store), which follow from the place of the node.
    """
    label = node.__class__.__name__
    children: list[ast.AST] = []
    for field in node._fields:
        if field in _LEFT_OUT:
            continue
        value = getattr(node, field, None)
        if isinstance(value, ast.AST):
            children.append(value)
        elif isinstance(value, list):
            for one in value:
                if isinstance(one, ast.AST):
                    children.append(one)
                else:  # a name of `global a, b`, or the null key of `{**other}`
                    label += f" {one!r}"
        elif value is not None or isinstance(node, ast.Constant):
            label += f" {value!r}"
    if isinstance(node, _DOCUMENTED) and _docstring(node) is not None:
        children.remove(node.body[0])
    return label, children


def _docstring(node: ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str | None:
    """The docstring of a definition as written, or None."""
    match node.body[:1]:
        case [ast.Expr(value=ast.Constant(value=str(text)))]:
            return text
    return None


def comment_chars(code: str) -> int:
    """Characters in comments, counted up to where the tokenizer gives up."""
    if "#" not in code:
        return 0
    count = 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.COMMENT:
                count += len(token.string)
    except (tokenize.TokenError, SyntaxError, ValueError):
        pass
    return count


def _docstring_chars(tree: ast.Module) -> int:
    """Characters in the docstrings of a module and all that it defines, however deep."""
    count = 0
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, _DOCUMENTED):
            count += len(_docstring(node) or "")
        # Only statements hold statements, in lists; expressions need no visit.
        for field in _BLOCKS:
            pending.extend(getattr(node, field, ()))
    return count


def _example_calls(tree: ast.Module) -> tuple[int, int]:
    """Calls and prints that run on import: those outside functions and classes."""
    calls = prints = 0
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, (*_DEFINITIONS, ast.Lambda)):
            continue
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id == "print":
                prints += 1
            else:
                calls += 1
        pending.extend(ast.iter_child_nodes(node))
    return calls, prints

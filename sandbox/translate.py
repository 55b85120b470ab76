"""From untrusted source to bytecode: parse, refuse what the policy does not list, rewrite the rest, compile.

The rewriting, in full (names that start with a dot cannot be written in source; the run-time half is `guards`):

    for x in xs, and every comprehension     for x in .compress(xs, .left)
    while test: body                         for .t in .it: if not test: break; body    (`True in .it` where it cannot)
    async for, function and lambda           `True in .it` first; a function's leading part that calls nothing goes free
    x.format, x.__class__ and their like     .attr(x, "format")
    x._name where the library has such one   .own(x, "_name")._name
    import a.b as c; from a import b         c = .import("a.b"); b = .from("a", "b")
    class C: ... __slots__ = names ...       `__slots__ = .slots(__slots__)` last
    except: / except BaseException           except .catchable

`.left` yields True once for every step left; `.it` yields the same and then raises StepLimit for ever.
`itertools.compress` draws one from `.left` for each item, in C, so that a loop's turn costs no bytecode; a program's
count is the same on every machine. When nothing is left such a loop just ends: the program's verdict is settled then,
and the next `.it` ends it. A loop over a few items that are written out in the text is free unless inside another.
"""

import ast
import sys
import warnings
from collections.abc import Callable
from types import CodeType
from typing import Any

from sandbox.refused import Refused, Violation
from sandbox.translator import Translator
from sandbox.verdict import Limits

_WALK_DEPTH = 20_000  # Python frames the walk may use; pure Python calls, so they cost no C stack


def translate(
    source: str | bytes,
    *,
    filename: str = "<program>",
    allow_modules: frozenset[str] = frozenset(),
    mode: str = "exec",
    source_bytes: int = Limits().source_bytes,
) -> CodeType:
    """The program's code object, for `runtime.World` only. Raises `Refused`, or SyntaxError for what is no Python."""
    return examine(source, filename=filename, allow_modules=allow_modules, mode=mode, source_bytes=source_bytes)[0]


def examine(
    source: str | bytes,
    *,
    filename: str = "<program>",
    allow_modules: frozenset[str] = frozenset(),
    mode: str = "exec",
    source_bytes: int = Limits().source_bytes,
) -> tuple[CodeType, bool]:
    """`translate`, and whether the program is to have a process of its own: `policy.SHARED` says what others use."""
    text = _decode(source, source_bytes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = _guarded(lambda: ast.parse(text, filename, mode))
        translator = Translator(allow_modules)
        _guarded(lambda: _walk(translator, tree))
        if translator.violations or translator.rewrites_mistakes:  # not even Python: SyntaxError first
            _guarded(lambda: compile(text, filename, mode, dont_inherit=True))
        if translator.violations:
            raise Refused(*translator.violations)
        code = _guarded(lambda: compile(tree, filename, mode, flags=translator.flags, dont_inherit=True))
        return code, translator.apart


def _decode(source: str | bytes, limit: int) -> str:
    if len(source) > limit:
        size = Violation(0, "source-size", f"the source has {len(source)} characters, at most {limit} are taken")
        raise Refused(size)
    if isinstance(source, bytes):
        try:
            source = source.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise SyntaxError(f"expected UTF-8, found byte {source[error.start]:#04x} at {error.start}") from None
    if "\0" in source:
        raise SyntaxError("source code string cannot contain null bytes")
    return source


def _guarded(step: Callable[[], Any]) -> Any:
    """Run a step of the compiler; whatever it dies of, in words, is a SyntaxError."""
    try:
        return step()
    except RecursionError:
        raise SyntaxError("too many nested constructs") from None
    except MemoryError as error:  # which its cause says: where there is more memory it may end otherwise
        raise SyntaxError("too many nested parentheses or operators for the parser") from error
    except (ValueError, OverflowError, SystemError) as error:  # surrogates, integer literals, AST checks
        raise SyntaxError(str(error)) from None


def _walk(translator: Translator, tree: ast.AST) -> None:
    old = sys.getrecursionlimit()
    sys.setrecursionlimit(max(old, _WALK_DEPTH))
    try:
        translator.program(tree)
    finally:
        sys.setrecursionlimit(old)

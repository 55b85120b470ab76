"""The program in what a model wrote: fenced blocks, bare code, code in prose, or the continuation of a prompt.

The text is data from a model: it is parsed here, never run. What is returned need not be valid Python: an answer
with a broken program has one, and its verdict is that it is broken. Only an answer without any program gives None.
"""

from __future__ import annotations

import ast
import builtins
import re
import symtable
import textwrap
import warnings
from collections.abc import Iterable, Iterator

PYTHON = frozenset(("", "python", "py", "python3", "py3", "python2", "python3.11", "code"))
FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<language>[\w+.#-]*)(?P<rest>[^\n]*)$")
INLINE = re.compile(r"```(?:python|py)?[ \t]*([^`\n]+?)[ \t]*```")
# Tokens that end a turn and, with a template the server does not know, end up in the text; and hidden reasoning.
MARKERS = re.compile(r"<\|[a-z_]+\|>\s*\Z|</s>\s*\Z|\A\s*<think>.*?</think>", re.DOTALL)
# The first line of code after prose: a definition, an import or a decorator; for a program also a plain statement.
DEFINES = re.compile(r"(?:async def|def|class|import|from)\b|@\w")
STATEMENT = re.compile(r"(?:\w[\w\[\], ]*\s*[-+*/]?=[^=]|for .+:|while .+:|if .+:|print\(|try:|with .+:|\w+\(.*\))")
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def extract_code(
    text: str, *, prompt_format: str, prompt: str, entry_point: str | None, continues: bool = False
) -> str | None:
    """The program in a completion, or None where there is none.

    Args:
        text: what the model wrote.
        prompt_format: `code` where `prompt` is source to continue, `text` where it states the task.
        prompt: the problem's own prompt, without any chat template.
        entry_point: the function the tests call; None for programs that read standard input.
        continues: the model was given the prompt to continue it, so the text begins where the prompt ends.
    """
    text = MARKERS.sub("", text.replace("\r\n", "\n")).replace("\x00", "")
    source = prompt if prompt_format == "code" else ""
    fenced = list(_blocks(text))
    blocks = [block for block, _ in fenced]
    if continues and source and not any(_defines(block, entry_point) for block in [text, *blocks]):
        return _without_demo(_longest_valid(source + text, keep=len(source)), entry_point)
    cut_short = bool(fenced) and not fenced[-1][1]
    found = _choose(blocks, entry_point, cut_short) if blocks else _from_prose(text, entry_point)
    if source and (found is None or not _defines(found, entry_point)):
        found = _as_body(source, blocks or [text], entry_point) or found
    if found is None or not found.strip():
        return None
    return _without_demo(_with_preamble(found, source, entry_point), entry_point)


def parse(code: str) -> ast.Module | None:
    """The syntax tree, or None where it is not Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _blocks(text: str) -> Iterator[tuple[str, bool]]:
    """The Python blocks between fences in their order, and whether each is closed; one that is not runs to the end."""
    lines, opened = text.split("\n"), None
    body: list[str] = []
    seen = False
    for number, line in enumerate(lines):
        match = FENCE.match(line)
        if opened is None:
            if match and "`" not in match["rest"]:
                # The prompt may have opened the first block already: then this fence closes it.
                before = "\n".join(lines[:number])
                if not seen and not match["language"] and _is_code(before):
                    yield before, True
                    seen = True
                    continue
                seen, opened, body = True, match, []
            continue
        closes = line.strip() == opened["fence"] or (match and not match["language"] and not match["rest"].strip())
        glued = line.rstrip().endswith(opened["fence"]) and not match
        if closes or glued:
            body += [line.rstrip()[: -len(opened["fence"])]] if glued else []
            yield from ((block, True) for block in _python(opened, body))
            opened = None
        else:
            body.append(line)
    if opened is not None:
        yield from ((block, False) for block in _python(opened, body))
    if not seen:
        yield from ((match[1], True) for match in INLINE.finditer(text) if _is_code(match[1]))


def _python(opened: re.Match[str], lines: list[str]) -> Iterator[str]:
    """A block as source: nothing where it is empty or of another language; a console session without its prompts."""
    indent = opened["indent"]  # of a fence in a list item
    block = "\n".join(line.removeprefix(indent) for line in lines).strip("\n")
    if opened["language"].lower() not in PYTHON or not block.strip():
        return
    if block.lstrip().startswith(">>>"):
        block = "\n".join(line[4:] for line in block.split("\n") if line.startswith((">>>", "...")))
    bare = textwrap.dedent(block)
    # A body that continues the prompt keeps its indentation, or nothing would tell it from a program.
    yield (bare if parse(block) is None and parse(bare) and not _returns(bare) else block) + "\n"


def _is_code(text: str) -> bool:
    """Whether the text is Python that does something: prose of one word is Python too."""
    tree = parse(text)
    return tree is not None and any(not isinstance(statement, ast.Expr) for statement in tree.body)


def _choose(blocks: list[str], entry_point: str | None, cut_short: bool) -> str | None:
    """The block that is the answer, with what it needs of the others; `cut_short`: the last one was never closed."""
    whole = [block for block in blocks if parse(block) is not None]
    if entry_point is None:
        reads = [block for block in whole if re.search(r"\binput\(|\bstdin\b|\bopen\(0", block)]
        best = reads[0] if reads else max(whole, key=len, default=None)
    else:
        defining = [block for block in whole if _defines(block, entry_point)]
        best = next((block for block in defining if not _is_stub(block, entry_point)), None)
    if best is not None:
        return _with_needed(best, blocks)
    # One program cut into several blocks, or one that its token limit cut short. A closed block that is broken is not
    # mended: it is what the model answered.
    for candidate in ("\n".join(blocks), _longest_valid(blocks[-1]) if cut_short else ""):
        if candidate.strip() and parse(candidate) and (entry_point is None or _defines(candidate, entry_point)):
            return candidate
    named = [block for block in blocks if entry_point and re.search(rf"\bdef\s+{re.escape(entry_point)}\b", block)]
    return named[0] if named else max(whole or blocks, key=len)


def _from_prose(text: str, entry_point: str | None) -> str | None:
    """Code without fences, alone or between prose: from the first line that begins some, as far as it parses."""
    if _is_code(text):
        return text
    begins = DEFINES if entry_point else re.compile(f"{DEFINES.pattern}|{STATEMENT.pattern}")
    lines = text.split("\n")
    candidates: list[tuple[int, str]] = []
    for number, line in enumerate(lines):
        if begins.match(line) and (not candidates or number >= candidates[-1][0]):
            valid = _longest_valid("\n".join(lines[number:]))
            if _is_code(valid):
                candidates.append((number + valid.rstrip("\n").count("\n") + 1, valid))
    pieces = [valid for _, valid in candidates]
    if entry_point is None:
        return max(pieces, key=len, default=None)
    defining = [piece for piece in pieces if _defines(piece, entry_point)]
    if defining:
        return _with_needed(defining[0], pieces)
    broken = re.search(rf"^(async )?def\s+{re.escape(entry_point)}\b.*", text, re.MULTILINE | re.DOTALL)
    return broken[0] if broken else max(pieces, key=len, default=None)


def _as_body(source: str, pieces: Iterable[str], entry_point: str | None) -> str | None:
    """The prompt continued by a function's body, indented as the prompt has it or not at all."""
    for piece in pieces:
        bare = textwrap.dedent(piece.strip("\n"))
        for body in (piece, textwrap.indent(bare, "    ") + "\n"):
            if not body.strip() or not _returns(bare):
                continue
            program = source + ("" if source.endswith("\n") else "\n") + body
            if _defines(program, entry_point) and not _returns(program):
                return program
    return None


def _returns(code: str) -> bool:
    """Whether the code returns, yields or raises outside every function, as only a body does."""
    tree = parse(code)
    pending: list[ast.AST] = list(tree.body) if tree else []
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.Return, ast.Yield, ast.YieldFrom, ast.Raise)):
            return True
        if not isinstance(node, Definition | ast.Lambda):
            pending.extend(ast.iter_child_nodes(node))
    return False


def _longest_valid(code: str, keep: int = 0) -> str:
    """The code up to its first line that is not Python any more, but at least its first `keep` characters.

    What is cut is the prose behind a program or the half line at the token limit. Code broken at its start stays
    as it is: there is nothing to save.
    """
    lines = code.split("\n")
    least = code[:keep].count("\n")
    end = len(lines)
    while end > least:
        part = "\n".join(lines[:end])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ast.parse(part)
            return part if end == len(lines) else part + "\n"
        except SyntaxError as error:
            # At or before the reported line: a bracket that never closes is reported where it opens.
            end = min(end - 1, max((error.lineno or 1) - 1, 0))
        except (ValueError, RecursionError, MemoryError):
            return code
    return code


def _bound(statement: ast.stmt) -> set[str]:
    """Names a statement gives the module."""
    if isinstance(statement, Definition):
        return {statement.name}
    names = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
    return names


def _defines(code: str, name: str | None) -> bool:
    """Whether the code, as far as it parses, gives the module a function or value of that name."""
    tree = parse(code)
    return tree is not None and any(name in _bound(statement) for statement in tree.body)


def _is_stub(code: str, name: str) -> bool:
    """Whether the function is only announced: a docstring, `pass` or `...` for its body."""
    tree = parse(code)
    found = [node for node in tree.body if isinstance(node, Definition) and node.name == name] if tree else []
    return bool(found) and all(
        isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in found[-1].body
    )


def _reads(code: str) -> set[str]:
    """Global names the code reads inside its functions and classes and at its top, built-in ones left out."""
    tree = parse(code)
    if tree is None:
        return set()
    names = _global_reads(code)
    for statement in tree.body:
        names |= {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and _outside(statement, node)}
    return names - set(dir(builtins))


def _outside(statement: ast.stmt, name: ast.Name) -> bool:
    """Whether a name is read at module level: in no function's body, where its scope decides."""
    if not isinstance(name.ctx, ast.Load):
        return False
    if not isinstance(statement, Definition):
        return True
    return name.lineno < statement.body[0].lineno and not isinstance(statement, ast.ClassDef)


def _global_reads(code: str) -> set[str]:
    """Names that functions and classes of the code take from the module."""
    try:
        pending = list(symtable.symtable(code, "completion", "exec").get_children())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    names: set[str] = set()
    while pending:
        scope = pending.pop()
        names |= {symbol.get_name() for symbol in scope.get_symbols() if symbol.is_global()}
        pending.extend(scope.get_children())
    return names


def _with_needed(best: str, others: list[str]) -> str:
    """A block, behind those others that define what it reads and does not define itself."""
    needed = _reads(best) - _names(best)
    front = [
        other
        for other in others
        if other is not best and needed & _definitions(other) and not _names(best) & _names(other)
    ]
    return "\n".join([*front, best])


def _names(code: str) -> set[str]:
    tree = parse(code)
    return set().union(*map(_bound, tree.body)) if tree else set()


def _definitions(code: str) -> set[str]:
    """Names of functions, classes and imports: what another block may need of this one."""
    tree = parse(code)
    kinds = Definition | ast.Import | ast.ImportFrom
    return set().union(*(_bound(node) for node in tree.body if isinstance(node, kinds))) if tree else set()


def _with_preamble(code: str, source: str, entry_point: str | None) -> str:
    """The code, behind the imports and helper functions of the prompt that it reads and left out."""
    tree = parse(source)
    if tree is None or parse(code) is None:
        return code
    needed = _reads(code) - _names(code)
    front = [
        ast.get_source_segment(source, node) or ""
        for node in tree.body
        if not (isinstance(node, Definition) and node.name == entry_point) and needed & _bound(node)
    ]
    return "\n".join(front) + "\n\n\n" + code if front else code


def _without_demo(code: str, entry_point: str | None) -> str:
    """The code without what a function's author adds below it to try it out: calls, prints, asserts, a main block.

    They are no part of the answer, and one that reads input or asserts something wrong would fail a right function.
    Values that the functions read stay. Programs for standard input stay whole.
    """
    tree = parse(code)
    if tree is None or entry_point is None:
        return code
    places = [place for place, node in enumerate(tree.body) if entry_point in _bound(node)]
    if not places:
        return code
    read = _global_reads(code)
    kept_kinds = Definition | ast.Import | ast.ImportFrom
    demo = [
        node
        for node in tree.body[places[0] + 1 :]
        if not isinstance(node, kept_kinds) and not (_bound(node) & (read | {entry_point}))
    ]
    if not demo:
        return code
    kept = {n for node in tree.body if node not in demo for n in range(node.lineno, (node.end_lineno or 0) + 1)}
    dropped = {n for node in demo for n in range(node.lineno, (node.end_lineno or 0) + 1)} - kept
    lines = [line for number, line in enumerate(code.split("\n"), 1) if number not in dropped]
    while lines and (not lines[-1].strip() or lines[-1].startswith("#")):
        lines.pop()  # "# Test the function" has lost what it spoke of
    shorter = "\n".join(lines) + "\n"
    return shorter if parse(shorter) is not None else code

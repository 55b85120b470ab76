"""Test code of data sets taken apart, so that each assert is a test of its own and a program earns partial credit.

What is taken apart means the same as before: a program passes the whole if and only if it passes every part.
"""

from __future__ import annotations

import ast
import builtins
import warnings
from collections.abc import Iterator, Sequence

from curation.errors import UserError

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


class ProblemError(UserError, ValueError):
    """A problem that cannot be used as it stands; the message says where it is and what is wrong with it."""


class NoTestsError(ProblemError):
    """A problem without a single test."""


def parse(code: str, what: str) -> ast.Module:
    """The syntax tree of `code`.

    Raises:
        ProblemError: it is not Python; the message names `what` and quotes the line.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a "\\d" in somebody's data is not the user's business
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        text = (code.split("\n")[line - 1 : line] or [""])[0] if line else code
        raise ProblemError(f"{what} is not Python ({error}): {shorten(text)}") from error


def shorten(value: object, width: int = 80) -> str:
    """A value as one line for a message."""
    text = repr(value)
    return text if len(text) <= width else f"{text[: width - 3]}..."


def split_check(test: str, function: str = "check") -> tuple[str, list[str]]:
    """HumanEval's `test` as (preamble, test codes), `check(candidate)`'s body being split by `split_body`.

    The preamble is what stands beside `check` at top level, less a call of `check` itself.

    Raises:
        ProblemError: there is no `check` with one parameter, or it tests nothing.
    """
    test = unix_lines(test)
    tree = parse(test, "test")
    checks = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function]
    if len(checks) != 1 or len(checks[0].args.args) != 1:
        raise ProblemError(f"test must define {function}(candidate) once, found {len(checks)}: {shorten(test)}")
    check = checks[0]
    lines = test.split("\n")
    rest = [node for node in tree.body if node is not check and not _is_call_of(node, function)]
    codes = split_body(lines, check.body, check.args.args[0].arg)
    if not codes:
        raise NoTestsError(f"no tests: {function} holds no assert: {shorten(test)}")
    return "\n".join(_segment(lines, node) for node in rest), codes


def split_asserts(code: str, what: str = "tests") -> list[str]:
    """Top-level test code as one code per assert (or compound statement holding asserts), by `split_body`.

    Raises:
        ProblemError: it is not Python, or holds no assert.
    """
    code = unix_lines(code)
    codes = split_body(code.split("\n"), parse(code, what).body, "candidate")
    if not codes:
        raise NoTestsError(f"no tests: {what} hold no assert: {shorten(code)}")
    return codes


def split_body(lines: Sequence[str], body: Sequence[ast.stmt], candidate: str) -> list[str]:
    """One code for each statement of `body` that tests something.

    A plain assert that needs nothing before it stays a plain assert. Any other test becomes a function of its own,
    holding first the statements it follows: those that test nothing are all repeated; an earlier test is repeated,
    as a bare expression if it is an assert, where it touches a local variable that this one reads, for it may have
    changed its value. Statements after the last test belong to it. Top-level code gets no function around it: its
    indentation could not be kept.
    """
    kept = [node for node in body if not _is_inert(node)]
    tests = [index for index, node in enumerate(kept) if _is_test(node, candidate)]
    local = _stored(kept)
    codes = []
    for position, index in enumerate(tests):
        last = len(kept) if position == len(tests) - 1 else index + 1
        part = [_segment(lines, node) for node in kept[index:last]]
        prefix = list(_prefix(lines, kept[:index], kept[index:last], local, candidate))
        if not prefix and len(part) == 1 and isinstance(kept[index], ast.Assert) and candidate == "candidate":
            codes.append(part[0])
        else:
            codes.append(_together([*prefix, *part], candidate, _indent(lines, body[0])))
    return codes


def called_function(tests: Sequence[str], reference: str | None) -> str:
    """The function under test: the first name the tests call that the reference defines.

    Without a reference, the first name they call that is no builtin.

    Raises:
        ProblemError: they call no such name.
    """
    if not tests:
        raise NoTestsError("no tests")
    defined = None if reference is None else _defined(parse(reference, "reference solution"))
    called: list[str] = []
    for test in tests:
        nodes = ast.walk(parse(test, "test"))
        called += [node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    for name in called:
        if name in defined if defined is not None else not hasattr(builtins, name):
            return name
    raise ProblemError(f"no test calls a function of the solution: they call {sorted(set(called))}")


def definitions_except(code: str, name: str) -> str:
    """The top-level statements of `code` but the functions called `name`: imports, constants, helper functions."""
    lines = code.split("\n")
    body = parse(code, "prompt").body
    return "\n".join(_segment(lines, node) for node in body if getattr(node, "name", None) != name)


def unix_lines(text: str) -> str:
    r"""The text with `\r\n` and `\r` line ends made `\n`, as Python reads source."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _prefix(
    lines: Sequence[str], before: Sequence[ast.stmt], part: Sequence[ast.stmt], local: set[str], candidate: str
) -> Iterator[str]:
    """The statements of `before` that `part` needs, in order."""
    wanted = _mentions(part) & local
    # Until nothing is added: `y = x` after `y.pop()` makes the latter matter to x.
    groups = [_mentions([node]) & local for node in before]
    while linked := {name for names in groups if names & wanted for name in names - wanted}:
        wanted |= linked
    for node in before:
        needed = bool(_mentions([node]) & wanted)
        if isinstance(node, ast.Assert) and needed:
            # Only evaluated: its verdict is its own test's, what it does to the variables is needed here.
            yield f"({_segment(lines, node.test)})"
        elif needed or not _is_test(node, candidate):
            yield _segment(lines, node)


def _indent(lines: Sequence[str], node: ast.stmt) -> str:
    """What stands left of a statement: blanks or tabs as they are, four blanks where it shares its line."""
    left = lines[node.lineno - 1].encode()[: node.col_offset].decode()
    return left if left.isspace() or not left else "    "


def _together(statements: Sequence[str], candidate: str, indent: str) -> str:
    if not indent:
        return "\n".join(statements)
    body = "\n".join(f"{indent}{statement}" for statement in statements)
    return f"def check({candidate}):\n{body}\n\ncheck(candidate)"


def _segment(lines: Sequence[str], node: ast.stmt | ast.expr) -> str:
    """The source of a node, its first line without indentation (as ast.get_source_segment, decorators included)."""
    first = min([node.lineno, *(item.lineno for item in getattr(node, "decorator_list", []))])
    end = node.end_lineno or node.lineno
    cut = [line.encode() for line in lines[first - 1 : end]]
    cut[-1] = cut[-1][: node.end_col_offset]
    cut[0] = cut[0][node.col_offset :]
    return b"\n".join(cut).decode()


def _walk_here(node: ast.AST) -> Iterator[ast.AST]:
    """The node and what is below it, without entering functions and classes: their asserts run elsewhere, if ever."""
    yield node
    if not isinstance(node, _SCOPES):
        for child in ast.iter_child_nodes(node):
            yield from _walk_here(child)


def _is_test(node: ast.stmt, candidate: str) -> bool:
    """Whether a statement tests something: it holds an assert or a raise, or calls something with the candidate.

    The last is how EvalPlus writes it: `assertion(candidate(*inp), exp, 0)`, the assert being in a helper.
    """
    return any(
        isinstance(item, (ast.Assert, ast.Raise))
        or (isinstance(item, ast.Expr) and isinstance(item.value, ast.Call) and candidate in _mentions([item]))
        for item in _walk_here(node)
    )


def _is_inert(node: ast.stmt) -> bool:
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(node, ast.Pass) or isinstance(value, (ast.Constant, ast.Name))


def _is_call_of(node: ast.stmt, name: str) -> bool:
    call = node.value if isinstance(node, ast.Expr) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == name


def _mentions(nodes: Sequence[ast.stmt]) -> set[str]:
    return {item.id for node in nodes for item in ast.walk(node) if isinstance(item, ast.Name)}


def _stored(nodes: Sequence[ast.stmt]) -> set[str]:
    names = (item for node in nodes for item in ast.walk(node) if isinstance(item, ast.Name))
    return {name.id for name in names if isinstance(name.ctx, ast.Store)}


def _defined(tree: ast.Module) -> set[str]:
    """Names a program binds anywhere."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)} | _stored(tree.body)

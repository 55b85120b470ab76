"""One record of each known data set of bugs as a task with a program to repair: QuixBugs, HumanEvalPack, DebugBench."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from curation.asserts import ProblemError, definitions_except, parse, split_check, unix_lines
from curation.debugging import Unusable
from curation.extract import parse as parsed
from curation.problem_fields import Task, TaskTest, code_tests, make_task, optional_text, text_of, value_of

# QuixBugs' answers are JSON, its programs give generators and tuples too.
LISTED = """
def listed(value):
    return value if isinstance(value, (str, dict)) or not hasattr(value, "__iter__") else [listed(x) for x in value]
"""


def problem_from_quixbugs(record: Mapping[str, Any]) -> Task:
    """{problem_id, entry_point, buggy, correct, tests: [{args, expected}]}, the statement a text below the program.

    Raises:
        Unusable: it has no tests, as the programs on graphs do not.
        ProblemError: a key is missing or holds something else.
    """
    name, buggy = text_of(record, "entry_point"), unix_lines(text_of(record, "buggy"))
    tests = value_of(record, "tests", list, "a list of {args, expected}")
    if not tests:
        raise Unusable("without tests")
    try:
        codes = [_quixbugs_test(name, test["args"], test["expected"]) for test in tests]
    except (TypeError, KeyError) as error:
        raise ProblemError(f"a test must be {{args: [...], expected: ...}}, found {tests[0]!r}") from error
    task = make_task(
        {"task_id": text_of(record, "problem_id"), "prompt": _trailing_text(buggy) or f"Repair `{name}`."},
        "function",
        code_tests(codes),
        entry_point=name,
        setup=LISTED if any("listed(" in code for code in codes) else "",
        reference_solution=_without_texts(unix_lines(text_of(record, "correct"))),
    )
    return {**task, "buggy_program": _without_texts(buggy)}


def _quixbugs_test(name: str, args: list[Any], expected: Any) -> str:
    call = f"{name}({', '.join(map(repr, args))})"
    found = f"listed({call})" if isinstance(expected, list) else call
    # The approximations of a root are as far from it as the test allows them.
    same = f"abs(found - {expected!r}) < 0.05" if isinstance(expected, float) else f"found == {expected!r}"
    return f'found = {found}\nassert {same}, f"found {{found!r}}"'


def _texts(code: str) -> list[tuple[ast.Expr, str]]:
    """The texts that stand by themselves at top level."""
    return [
        (node, node.value.value)
        for node in parse(code, "program").body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]


def _trailing_text(code: str) -> str:
    """The last of them as a statement: lines without blanks at their ends, no two empty ones in a row."""
    texts = [text for _, text in _texts(code)] or [""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in texts[-1].strip().split("\n")))


def _without_texts(code: str) -> str:
    lines = code.split("\n")
    for node, _ in reversed(_texts(code)):
        del lines[node.lineno - 1 : node.end_lineno]
    return "\n".join(lines).strip() + "\n"


def problem_from_humanevalpack(record: Mapping[str, Any]) -> Task:
    """A row of `bigcode/humanevalpack`, Python: HumanEval with a bug put into each solution (OctoPack, 2308.07124).

    The program is `declaration` with `buggy_solution`, its fix with `canonical_solution`, the statement `docstring`.

    Raises:
        Unusable: it is of another language.
        ProblemError: a key is missing, or the test does not read as HumanEval's do.
    """
    if not text_of(record, "task_id").startswith("Python/"):
        raise Unusable("of another language")
    declaration, entry_point = unix_lines(text_of(record, "declaration")), text_of(record, "entry_point")
    preamble, codes = split_check(text_of(record, "test"))
    helpers = definitions_except(f"{declaration.rstrip()}\n    pass\n", entry_point)
    given = [optional_text(record, key) or "" for key in ("import", "test_setup")]
    task = make_task(
        {**record, "prompt": optional_text(record, "docstring") or text_of(record, "prompt")},
        "function",
        [{"code": code, "stdin": "", "stdout": ""} for code in codes],
        entry_point=entry_point,
        setup="\n\n".join(part for part in (helpers, *given, preamble) if part.strip()),
        reference_solution=declaration + unix_lines(text_of(record, "canonical_solution")),
    )
    return {**task, "buggy_program": declaration + unix_lines(text_of(record, "buggy_solution"))}


LEVELS = {"easy": 1, "medium": 2, "hard": 3}
EXAMPLE = re.compile(r"Input:?(?P<input>.*?)\bOutput:?(?P<output>.*?)(?:\bExplanation\b.*)?", re.DOTALL)
# What LeetCode imports for everyone, by the names that programs use.
GIVEN = {
    "typing": "Any Callable Deque Dict Iterable Iterator List Optional Set Tuple Union",
    "collections": "Counter OrderedDict defaultdict deque namedtuple",
    "functools": "cache cmp_to_key lru_cache partial reduce",
    "heapq": "heapify heappop heappush heappushpop heapreplace nlargest nsmallest",
    "bisect": "bisect bisect_left bisect_right insort",
    "itertools": "accumulate chain combinations groupby pairwise permutations product zip_longest",
    "math": "ceil comb factorial floor gcd inf isqrt lcm log log2 perm sqrt",
}
MODULES = ("bisect", "collections", "functools", "heapq", "itertools", "math", "operator", "re", "string")
WITHOUT_LITERALS = re.compile(r"\b(ListNode|TreeNode|Node)\b")


def problem_from_debugbench(record: Mapping[str, Any]) -> Task:
    """A row of `Rtian/DebugBench`, or of its repository's files, which call some columns differently.

    Its tests are LeetCode's own, so the examples in its text are asserted where they read as arguments and a result.
    The programs get the imports that LeetCode gives.

    Raises:
        Unusable: it is not Python, builds a class or works on nodes, or has no example that can be asserted.
        ProblemError: a key is missing or holds something else.
    """
    if (optional_text(record, "language") or "python3") != "python3":
        raise Unusable("of another language")
    statement = text_of(record, "question" if "question" in record else "description")
    fixed = unix_lines(text_of(record, "solution" if "solution" in record else "oracle_code"))
    buggy = unix_lines(text_of(record, "buggy_code")).strip("\n")
    examples = value_of(record, "examples", list, "a list of texts")
    if WITHOUT_LITERALS.search(fixed):
        raise Unusable("on linked nodes, which examples do not build")
    tests = [test for example in examples if (test := _leetcode_test(str(example), fixed)) is not None]
    if not tests:
        raise Unusable("without an example that can be asserted")
    task = make_task(
        # A slug stands under several bugs, and under the same kind of bug once.
        {"task_id": _bug_name(record), "prompt": statement},
        "function",
        tests,
        entry_point="Solution",
        reference_solution=_imports(fixed) + fixed,
        difficulty=LEVELS.get(optional_text(record, "level") or ""),
    )
    return {**task, "buggy_program": _imports(buggy + fixed) + buggy}


def _bug_name(record: Mapping[str, Any]) -> str:
    parts = [text_of(record, "slug"), optional_text(record, "subtype")]
    return "debugbench/" + "/".join(part.replace(" ", "-") for part in parts if part)


def _leetcode_test(example: str, solution: str) -> TaskTest | None:
    """`Input: n = 4, left = [4, 3]\\nOutput: 4` as an assert about the method that takes these; None if it is none."""
    matched = EXAMPLE.fullmatch(example.strip())
    arguments = matched and _literals(f"f({matched['input'].strip()})")
    result = matched and _literals(f"f(result={matched['output'].strip()})")
    tree = parsed(solution)
    if not arguments or not result or tree is None:
        return None
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and [arg.arg for arg in function.args.args[1:]] == list(arguments):
            call = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
            found, expected = f"found = Solution().{function.name}({call})", result["result"]
            close = f"abs(found - {expected!r}) < 1e-5" if isinstance(expected, float) else f"found == {expected!r}"
            return {"code": f'{found}\nassert {close}, f"found {{found!r}}"', "stdin": "", "stdout": ""}
    return None


def _literals(call: str) -> dict[str, Any] | None:
    """The named arguments of a call that are literals, with JSON's null, true and false; None if others are there."""
    text = re.sub(r"\b(null|true|false)\b", lambda m: {"null": "None"}.get(m[0], m[0].capitalize()), call)
    tree = parsed(text)
    node = tree.body[0].value if tree and len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr) else None
    if not isinstance(node, ast.Call) or node.args or not all(keyword.arg for keyword in node.keywords):
        return None
    try:
        return {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}
    except ValueError:
        return None


def _imports(code: str) -> str:
    """The import lines for what a LeetCode program uses without importing it."""
    used = set(re.findall(r"[A-Za-z_]\w*", code))
    lines = [f"import {module}" for module in MODULES if re.search(rf"\b{module}\.", code)]
    for module, names in GIVEN.items():
        if wanted := [name for name in names.split() if name in used and f"import {module}" not in lines]:
            lines.append(f"from {module} import {', '.join(wanted)}")
    return "".join(f"{line}\n" for line in lines) + ("\n" if lines else "")

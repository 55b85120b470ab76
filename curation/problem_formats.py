"""One record of each known format as a task: HumanEval, MBPP, code_contests, stdin/stdout, our own, a Hub mapping.

Our own format, one JSON object a line (`source: jsonl`), is what users write for their problems:

    {"task_id": "mine/add", "prompt": "def add(a, b):\\n    ...", "prompt_format": "code", "entry_point": "add",
     "tests": ["assert add(1, 2) == 3"], "setup": "", "reference_solution": "def add(a, b): ...", "difficulty": 1}
    {"task_id": "mine/sum", "prompt": "Read two integers and print their sum.",
     "tests": [{"input": "1 2\\n", "output": "3\\n"}]}

`task_id`, `prompt` and `tests` are needed, and `entry_point` where tests are code; `prompt_format` is "text" unless
given. A record may name its `split`, and a `buggy_program` to repair, which the prompt then does not state but the
task. Any other key is an error.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from curation.asserts import (
    NoTestsError,
    ProblemError,
    called_function,
    definitions_except,
    parse,
    shorten,
    split_asserts,
    split_check,
    unix_lines,
)
from curation.problem_fields import (
    Column,
    Kind,
    Task,
    TaskTest,
    code_tests,
    grade_of,
    make_task,
    nested_rows,
    optional_text,
    stdio_tests,
    text_of,
    texts_of,
    value_of,
)

OWN_KEYS = (
    "task_id",
    "prompt",
    "tests",
    "kind",
    "entry_point",
    "setup",
    "reference_solution",
    "difficulty",
    "prompt_format",
    "split",
    "buggy_program",
)
PYTHON3 = 3  # code_contests' number for the language of a solution


def problem_from_humaneval(record: Mapping[str, Any]) -> Task:
    """HumanEval's {task_id, prompt, entry_point, canonical_solution, test}: one test for each assert of `check`.

    The prompt's imports and helper functions are the setup's, for the tests of 32, 38 and 50 call them.

    Raises:
        ProblemError: a key is missing, or the prompt or the test does not read as HumanEval's do.
    """
    prompt, entry_point = text_of(record, "prompt"), text_of(record, "entry_point")
    preamble, codes = split_check(text_of(record, "test"))
    # A prompt ends in a docstring or in a bare signature; `pass` completes the latter.
    helpers = definitions_except(f"{unix_lines(prompt)}\n    pass\n", entry_point)
    solution = optional_text(record, "canonical_solution")
    return make_task(
        record,
        "function",
        [{"code": code, "stdin": "", "stdout": ""} for code in codes],
        prompt_format="code",
        entry_point=entry_point,
        setup="\n\n".join(part for part in (helpers, preamble) if part),
        reference_solution=None if solution is None else prompt + solution,
    )


def problem_from_mbpp(record: Mapping[str, Any], *, challenge_tests: bool = False) -> Task:
    """MBPP's {task_id, text, code, test_list, test_setup_code, challenge_test_list}, or the sanitized file's
    {task_id, prompt, code, test_list, test_imports}: one test for each assert; its split by its number.

    Raises:
        ProblemError: a key is missing, or a test is not Python or calls nothing that `code` defines.
    """
    number = value_of(record, "task_id", int, "an integer")
    asserts = texts_of(record, "test_list")
    if challenge_tests and record.get("challenge_test_list"):
        asserts = asserts + texts_of(record, "challenge_test_list")
    asserts = [unix_lines(code) for code in asserts]
    solution = optional_text(record, "code")
    reference = None if solution is None else unix_lines(solution)
    imports = texts_of(record, "test_imports") if "test_imports" in record else []
    setup = [*imports, optional_text(record, "test_setup_code") or ""]
    task = make_task(
        {**record, "task_id": f"MBPP/{number}", "prompt": text_of(record, "text" if "text" in record else "prompt")},
        "function",
        code_tests(asserts),
        entry_point=called_function(asserts, reference),
        setup=unix_lines("\n".join(part for part in setup if part)),
        reference_solution=reference,
    )
    task["split"] = mbpp_split(number)
    return task


def mbpp_split(number: int) -> str:
    """The split a task number of MBPP belongs to (its README): 1-10, 11-510, 511-600, then train."""
    return "prompt" if number <= 10 else "test" if number <= 510 else "validation" if number <= 600 else "train"


def problem_from_code_contests(record: Mapping[str, Any]) -> Task:
    """A row of `deepmind/code_contests`: public, private and generated tests in that order, exact repeats dropped.

    The reference is the first accepted Python 3 solution. Its difficulty mixes scales: 1 to 5 is kept, Codeforces'
    letters A, B, ... (7, 8, ...) count from 1, unknown and external (0, 6) are null.
    """
    parts = ("public_tests", "private_tests", "generated_tests")
    rows = [row for key in parts for row in nested_rows(record.get(key), key, "input", "output")]
    distinct = dict.fromkeys((row["input"], row["output"]) for row in rows)
    solutions = nested_rows(record.get("solutions"), "solutions", "language", "solution")
    grade = 0 if record.get("difficulty") is None else value_of(record, "difficulty", int, "an integer")
    return make_task(
        {"task_id": text_of(record, "name"), "prompt": text_of(record, "description")},
        "stdio",
        [{"code": "", "stdin": stdin, "stdout": stdout} for stdin, stdout in distinct],
        reference_solution=next((row["solution"] for row in solutions if row["language"] == PYTHON3), None),
        difficulty=grade if 1 <= grade <= 5 else grade - 6 if grade > 6 else None,
    )


def problem_from_stdio(record: Mapping[str, Any]) -> Task:
    """Any {task_id | problem_id, prompt | statement, tests: [{input, output}], reference_solution | solution?}.

    Other keys are ignored.
    """
    names = {
        "task_id": "task_id" if "task_id" in record else "problem_id",
        "prompt": "prompt" if "prompt" in record else "statement",
        "reference_solution": "reference_solution" if "reference_solution" in record else "solution",
    }
    tests = stdio_tests(value_of(record, "tests", list, "a list of {input, output}"))
    return make_task(
        {"task_id": text_of(record, names["task_id"]), "prompt": text_of(record, names["prompt"])},
        "stdio",
        tests,
        reference_solution=optional_text(record, names["reference_solution"]),
        difficulty=grade_of(record),
    )


def problem_from_own(record: Mapping[str, Any]) -> Task:
    """Our own format, strictly: see the top of this file."""
    for key in record:
        if key not in OWN_KEYS:
            near = difflib.get_close_matches(key, OWN_KEYS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(OWN_KEYS)}"
            raise ProblemError(f"unknown key {key!r}: {hint}")
    tests = value_of(record, "tests", list, "a list")
    if not tests:
        raise NoTestsError("no tests")
    kind: Kind = "stdio" if any(isinstance(test, Mapping) for test in tests) else "function"
    if record.get("kind", kind) != kind:
        raise ProblemError(f"kind is {record['kind']!r}, but the tests are those of a {kind} problem")
    prompt_format = record.get("prompt_format", "text")
    if prompt_format not in ("code", "text"):
        raise ProblemError(f"prompt_format must be 'code' or 'text', found {shorten(prompt_format)}")
    task = make_task(
        record,
        kind,
        stdio_tests(tests) if kind == "stdio" else code_tests(texts_of(record, "tests")),
        prompt_format=prompt_format,
        entry_point=text_of(record, "entry_point") if kind == "function" else None,
        setup=optional_text(record, "setup") or "",
        reference_solution=optional_text(record, "reference_solution"),
        difficulty=grade_of(record),
    )
    parse(task["setup"], "setup")
    task["split"] = optional_text(record, "split")
    if record.get("buggy_program") is not None:
        task["buggy_program"] = text_of(record, "buggy_program")
    return task


def problem_from_columns(record: Mapping[str, Any], columns: Mapping[Column, str], number: int) -> Task:
    """A row of any Hub dataset, `columns` saying which of its columns is our `prompt`, `tests`, ...

    Tests may be a list of asserts, a string of Python (asserts, or HumanEval's `check`), a list of {input, output},
    {input(s): [...], output(s): [...]}, or any of these as JSON in a string. Without a `task_id` the row's number
    serves, without an `entry_point` the function that the tests call.

    Raises:
        ProblemError: the row lacks a column, or a column holds something else.
    """
    for ours, theirs in columns.items():
        if theirs not in record:
            raise ProblemError(f"no column {theirs!r} for {ours}: the columns are {', '.join(record)}")
    mapped: dict[str, Any] = {ours: record[theirs] for ours, theirs in columns.items()}
    mapped["task_id"] = str(mapped.get("task_id", number))
    setup = unix_lines(optional_text(mapped, "setup") or "")
    kind, tests, preamble = _any_tests(mapped["tests"])
    reference = optional_text(mapped, "reference_solution")
    reference = None if reference is None else unix_lines(reference)
    entry_point = None
    if kind == "function":
        entry_point = optional_text(mapped, "entry_point") or called_function(
            [test["code"] for test in tests], reference
        )
    return make_task(
        mapped,
        kind,
        tests,
        entry_point=entry_point,
        setup="\n".join(part for part in (setup, preamble) if part),
        reference_solution=reference,
        difficulty=grade_of(mapped),
    )


def _any_tests(value: Any) -> tuple[Kind, list[TaskTest], str]:
    """Kind, tests and preamble of what a `tests` column may hold."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise ProblemError(f"tests look like JSON and are not ({error}): {shorten(value)}") from error
    if isinstance(value, str):
        preamble, codes = split_check(value) if "def check(" in value else ("", split_asserts(value))
        return "function", [{"code": code, "stdin": "", "stdout": ""} for code in codes], preamble
    if isinstance(value, Mapping):
        inputs, outputs = ("inputs", "outputs") if "inputs" in value else ("input", "output")
        rows = nested_rows(value, "tests", inputs, outputs)
        return "stdio", [{"code": "", "stdin": row[inputs], "stdout": row[outputs]} for row in rows], ""
    if isinstance(value, list) and any(isinstance(test, Mapping) for test in value):
        return "stdio", stdio_tests(value), ""
    return "function", code_tests([unix_lines(code) for code in texts_of({"tests": value}, "tests")]), ""

"""One record of each known format as a task: HumanEval, MBPP, code_contests, stdin/stdout, our own, a Hub mapping.

Our own format, one JSON object a line (`source: jsonl`), is what users write for their problems:

    {"task_id": "mine/add", "prompt": "def add(a, b):\\n    ...", "prompt_format": "code", "entry_point": "add",
     "tests": ["assert add(1, 2) == 3"], "setup": "", "reference_solution": "def add(a, b): ...", "difficulty": 1}
    {"task_id": "mine/sum", "prompt": "Read two integers and print their sum.",
     "tests": [{"input": "1 2\\n", "output": "3\\n"}]}

`task_id`, `prompt` and `tests` are needed, and `entry_point` where tests are code; `prompt_format` is "text" unless
given. A record may name its `split`. Any other key is an error.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any, Literal, TypedDict, cast

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

Kind = Literal["function", "stdio"]
Column = Literal["task_id", "prompt", "tests", "entry_point", "setup", "reference_solution", "difficulty"]
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
)
PYTHON3 = 3  # code_contests' number for the language of a solution


class TaskTest(TypedDict):
    """One test as the `problems` table holds it: `code` for functions, `stdin` and `stdout` for stdio."""

    code: str
    stdin: str
    stdout: str


class Task(TypedDict):
    """A problem before it is known where it came from: the columns of `problems` that its record decides."""

    task_id: str
    split: str | None
    kind: Kind
    prompt_format: Literal["code", "text"]
    prompt: str
    entry_point: str | None
    setup: str
    tests: list[TaskTest]
    reference_solution: str | None
    difficulty: int | None


def problem_from_humaneval(record: Mapping[str, Any]) -> Task:
    """HumanEval's {task_id, prompt, entry_point, canonical_solution, test}: one test for each assert of `check`.

    The prompt's imports and helper functions are the setup's, for the tests of 32, 38 and 50 call them.

    Raises:
        ProblemError: a key is missing, or the prompt or the test does not read as HumanEval's do.
    """
    prompt, entry_point = _text(record, "prompt"), _text(record, "entry_point")
    preamble, codes = split_check(_text(record, "test"))
    # A prompt ends in a docstring or in a bare signature; `pass` completes the latter.
    helpers = definitions_except(f"{unix_lines(prompt)}\n    pass\n", entry_point)
    solution = _optional_text(record, "canonical_solution")
    return _task(
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
    number = _value(record, "task_id", int, "an integer")
    asserts = _texts(record, "test_list")
    if challenge_tests and record.get("challenge_test_list"):
        asserts = asserts + _texts(record, "challenge_test_list")
    asserts = [unix_lines(code) for code in asserts]
    solution = _optional_text(record, "code")
    reference = None if solution is None else unix_lines(solution)
    setup = [*(_texts(record, "test_imports") if "test_imports" in record else []), record.get("test_setup_code") or ""]
    task = _task(
        {**record, "task_id": f"MBPP/{number}", "prompt": _text(record, "text" if "text" in record else "prompt")},
        "function",
        _code_tests(asserts),
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
    tests: list[TaskTest] = []
    for key in ("public_tests", "private_tests", "generated_tests"):
        for row in _rows(record.get(key), key, "input", "output"):
            test: TaskTest = {"code": "", "stdin": row["input"], "stdout": row["output"]}
            if test not in tests:
                tests.append(test)
    solutions = _rows(record.get("solutions"), "solutions", "language", "solution")
    grade = record.get("difficulty") or 0
    return _task(
        {"task_id": _text(record, "name"), "prompt": _text(record, "description")},
        "stdio",
        tests,
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
    tests = [test for test in _stdio_tests(_value(record, "tests", list, "a list of {input, output}"))]
    return _task(
        {"task_id": _text(record, names["task_id"]), "prompt": _text(record, names["prompt"])},
        "stdio",
        tests,
        reference_solution=_optional_text(record, names["reference_solution"]),
        difficulty=_grade(record),
    )


def problem_from_own(record: Mapping[str, Any]) -> Task:
    """Our own format, strictly: see the top of this file."""
    for key in record:
        if key not in OWN_KEYS:
            near = difflib.get_close_matches(key, OWN_KEYS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(OWN_KEYS)}"
            raise ProblemError(f"unknown key {key!r}: {hint}")
    tests = _value(record, "tests", list, "a list")
    if not tests:
        raise NoTestsError("no tests")
    kind: Kind = "stdio" if any(isinstance(test, Mapping) for test in tests) else "function"
    if record.get("kind", kind) != kind:
        raise ProblemError(f"kind is {record['kind']!r}, but the tests are those of a {kind} problem")
    prompt_format = record.get("prompt_format", "text")
    if prompt_format not in ("code", "text"):
        raise ProblemError(f"prompt_format must be 'code' or 'text', found {shorten(prompt_format)}")
    task = _task(
        record,
        kind,
        _stdio_tests(tests) if kind == "stdio" else _code_tests(_texts(record, "tests")),
        prompt_format=prompt_format,
        entry_point=_text(record, "entry_point") if kind == "function" else None,
        setup=_optional_text(record, "setup") or "",
        reference_solution=_optional_text(record, "reference_solution"),
        difficulty=_grade(record),
    )
    parse(task["setup"], "setup")
    task["split"] = _optional_text(record, "split")
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
    setup = unix_lines(_optional_text(mapped, "setup") or "")
    kind, tests, preamble = _any_tests(mapped["tests"])
    reference = _optional_text(mapped, "reference_solution")
    reference = None if reference is None else unix_lines(reference)
    entry_point = None
    if kind == "function":
        entry_point = _optional_text(mapped, "entry_point") or called_function(
            [test["code"] for test in tests], reference
        )
    return _task(
        mapped,
        kind,
        tests,
        entry_point=entry_point,
        setup="\n".join(part for part in (setup, preamble) if part),
        reference_solution=reference,
        difficulty=_grade(mapped),
    )


def _any_tests(value: Any) -> tuple[Kind, list[TaskTest], str]:
    """Kind, tests and preamble of what a `tests` column may hold."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise ProblemError(f"tests look like JSON and are not ({error}): {shorten(value)}") from error
    if isinstance(value, str):
        # Not an assert in sight: HumanEval's form, whose asserts are inside a function.
        if "def check(" in value:
            preamble, codes = split_check(value)
        else:
            preamble, codes = "", split_asserts(value)
        return "function", [{"code": code, "stdin": "", "stdout": ""} for code in codes], preamble
    if isinstance(value, Mapping):
        inputs, outputs = ("inputs", "outputs") if "inputs" in value else ("input", "output")
        rows = _rows(value, "tests", inputs, outputs)
        return "stdio", [{"code": "", "stdin": row[inputs], "stdout": row[outputs]} for row in rows], ""
    if isinstance(value, list) and any(isinstance(test, Mapping) for test in value):
        return "stdio", _stdio_tests(value), ""
    return "function", _code_tests([unix_lines(code) for code in _texts({"tests": value}, "tests")]), ""


def _code_tests(codes: list[str]) -> list[TaskTest]:
    for code in codes:
        if not parse(code, "test").body:
            raise ProblemError(f"a test must hold an assert, found {shorten(code)}")
    return [{"code": code, "stdin": "", "stdout": ""} for code in codes]


def _stdio_tests(tests: list[Any]) -> list[TaskTest]:
    for test in tests:
        if not isinstance(test, Mapping) or not all(isinstance(test.get(key), str) for key in ("input", "output")):
            raise ProblemError(f'a test must be {{"input": text, "output": text}}, found {shorten(test)}')
    return [{"code": "", "stdin": test["input"], "stdout": test["output"]} for test in tests]


def _rows(value: Any, what: str, first: str, second: str) -> list[dict[str, Any]]:
    """A nested column as rows: {first: [...], second: [...]} (as `datasets` gives it), or a list of structs already."""
    if value is None:
        return []
    rows = value
    if isinstance(value, Mapping) and isinstance(value.get(first), list) and isinstance(value.get(second), list):
        if len(value[first]) != len(value[second]):
            raise ProblemError(f"{what} has {len(value[first])} {first} and {len(value[second])} {second}")
        rows = [{first: one, second: other} for one, other in zip(value[first], value[second], strict=True)]
    both = {first, second}
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) and both <= row.keys() for row in rows):
        raise ProblemError(f"{what} must hold {first} and {second}, found {shorten(value)}")
    if not all(isinstance(row[second], str) and isinstance(row[first], (str, int)) for row in rows):
        raise ProblemError(f"{what} must hold texts, found {shorten(rows)}")
    return [dict(row) for row in rows]


def _task(
    record: Mapping[str, Any],
    kind: Kind,
    tests: list[TaskTest],
    *,
    prompt_format: str = "text",
    entry_point: str | None = None,
    setup: str = "",
    reference_solution: str | None = None,
    difficulty: int | None = None,
) -> Task:
    if not tests:
        raise NoTestsError("no tests")
    return {
        "task_id": _text(record, "task_id"),
        "split": None,
        "kind": kind,
        "prompt_format": cast(Literal["code", "text"], prompt_format),
        "prompt": _text(record, "prompt"),
        "entry_point": entry_point,
        "setup": setup,
        "tests": tests,
        "reference_solution": reference_solution,
        "difficulty": difficulty,
    }


def _value(record: Mapping[str, Any], key: str, kind: type, expected: str) -> Any:
    if record.get(key) is None:
        raise ProblemError(f"no {key!r}: the keys found are {', '.join(record) or 'none'}")
    if not isinstance(record[key], kind) or isinstance(record[key], bool):
        raise ProblemError(f"{key} must be {expected}, found {shorten(record[key])}")
    return record[key]


def _text(record: Mapping[str, Any], key: str) -> str:
    text: str = _value(record, key, str, "a text")
    if not text.strip():
        raise ProblemError(f"{key} is empty")
    return text


def _optional_text(record: Mapping[str, Any], key: str) -> str | None:
    return None if record.get(key) is None else cast(str, _value(record, key, str, "a text"))


def _texts(record: Mapping[str, Any], key: str) -> list[str]:
    values = _value(record, key, list, "a list of texts")
    if not all(isinstance(value, str) for value in values):
        raise ProblemError(f"{key} must be a list of texts, found {shorten(values)}")
    return cast(list[str], values)


def _grade(record: Mapping[str, Any]) -> int | None:
    if record.get("difficulty") is None:
        return None
    grade: int = _value(record, "difficulty", int, "an integer from 1 to 127")
    if not 1 <= grade <= 127:
        raise ProblemError(f"difficulty must be an integer from 1 to 127, found {grade}")
    return grade

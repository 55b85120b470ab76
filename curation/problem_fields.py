"""What a problem is made of, and the fields of a record taken out with their types checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict, cast

from curation.asserts import NoTestsError, ProblemError, parse, shorten

Kind = Literal["function", "stdio", "label"]
Column = Literal["task_id", "prompt", "tests", "entry_point", "setup", "reference_solution", "difficulty"]


class TaskTest(TypedDict):
    """One test as the `problems` table holds it: `code` for functions, `stdin` and `stdout` for stdio, and for a label
    problem the right answer as `stdout`."""

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
    choices: NotRequired[list[str]]
    buggy_program: NotRequired[str | None]


def code_tests(codes: list[str]) -> list[TaskTest]:
    """Tests of a function problem, each checked to be Python that does something."""
    for code in codes:
        if not parse(code, "test").body:
            raise ProblemError(f"a test must hold an assert, found {shorten(code)}")
    return [{"code": code, "stdin": "", "stdout": ""} for code in codes]


def stdio_tests(tests: list[Any]) -> list[TaskTest]:
    """Tests of a stdio problem from its {input, output} objects."""
    for test in tests:
        if not isinstance(test, Mapping) or not all(isinstance(test.get(key), str) for key in ("input", "output")):
            raise ProblemError(f'a test must be {{"input": text, "output": text}}, found {shorten(test)}')
    return [{"code": "", "stdin": test["input"], "stdout": test["output"]} for test in tests]


def nested_rows(value: Any, what: str, first: str, second: str) -> list[dict[str, Any]]:
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


def make_task(
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
    """The task whose id and prompt are the record's, refused without tests."""
    if not tests:
        raise NoTestsError("no tests")
    return {
        "task_id": text_of(record, "task_id"),
        "split": None,
        "kind": kind,
        "prompt_format": cast(Literal["code", "text"], prompt_format),
        "prompt": text_of(record, "prompt"),
        "entry_point": entry_point,
        "setup": setup,
        "tests": tests,
        "reference_solution": reference_solution,
        "difficulty": difficulty,
    }


def value_of(record: Mapping[str, Any], key: str, kind: type, expected: str) -> Any:
    """The record's value of a key, which must be there and of that type."""
    if record.get(key) is None:
        raise ProblemError(f"no {key!r}: the keys found are {', '.join(record) or 'none'}")
    if not isinstance(record[key], kind) or isinstance(record[key], bool):
        raise ProblemError(f"{key} must be {expected}, found {shorten(record[key])}")
    return record[key]


def text_of(record: Mapping[str, Any], key: str) -> str:
    """A text that must be there and not blank."""
    text: str = value_of(record, key, str, "a text")
    if not text.strip():
        raise ProblemError(f"{key} is empty")
    return text


def optional_text(record: Mapping[str, Any], key: str) -> str | None:
    """A text, or None where the key is missing or null."""
    return None if record.get(key) is None else cast(str, value_of(record, key, str, "a text"))


def texts_of(record: Mapping[str, Any], key: str) -> list[str]:
    """A list of texts that must be there; it may be empty."""
    values = value_of(record, key, list, "a list of texts")
    if not all(isinstance(value, str) for value in values):
        raise ProblemError(f"{key} must be a list of texts, found {shorten(values)}")
    return cast(list[str], values)


def grade_of(record: Mapping[str, Any]) -> int | None:
    """The record's difficulty, None where it has none."""
    if record.get("difficulty") is None:
        return None
    grade: int = value_of(record, "difficulty", int, "an integer from 1 to 127")
    if not 1 <= grade <= 127:
        raise ProblemError(f"difficulty must be an integer from 1 to 127, found {grade}")
    return grade

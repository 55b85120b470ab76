"""Where steps end, in text and in tokens."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from curation.steps import Step, StepEnd, step_ends, steps_of, token_ends

ANSWER = '''Plan:
1. Add them.
2. Return the sum.

```python
import math

def add(a, b):
    """Add."""
    for x in (a,
              b):
        a += x

    return a  # done
```

It adds.
All of them.
'''


def parts(text: str, entry_point: str | None = "add", before: str = "") -> list[str]:
    ends = [step.end for step in steps_of(text, entry_point=entry_point, before=before)]
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def test_prose_goes_by_items_and_paragraphs_and_code_by_statements() -> None:
    assert parts(ANSWER) == [
        "Plan:\n",
        "1. Add them.\n",
        "2. Return the sum.\n\n",
        "```python\nimport math\n",
        "\ndef add(a, b):\n",
        '    """Add."""\n',
        "    for x in (a,\n              b):\n        a += x\n",
        "\n    return a  # done\n",
        "```\n\n",
        "It adds.\nAll of them.\n",
    ]
    is_code = [step.is_code for step in steps_of(ANSWER, entry_point="add")]
    assert is_code == [False] * 3 + [True] * 5 + [False] * 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [""]),
        ("I cannot.", ["I cannot."]),
        ("x = 1\ny = 2\n\n", ["x = 1\n", "y = 2\n\n"]),
        # Cut short: what parses has statements, what is behind it has lines.
        (
            "```python\ndef add(a, b):\n    c = (a,\n         b)\n    for x in c:\n        y = (",
            ["```python\ndef add(a, b):\n", "    c = (a,\n         b)\n", "    for x in c:\n", "        y = ("],
        ),
        ("```python\ndef add(a, b): return a\n```", ["```python\ndef add(a, b): return a\n", "```"]),
        # Another function is one statement.
        (
            "```\ndef other(a):\n    a += 1\n    return a\n```\n",
            ["```\ndef other(a):\n    a += 1\n    return a\n", "```\n"],
        ),
        ("```text\nx = 1\n\ny\n```\n", ["```text\nx = 1\n\n", "y\n", "```\n"]),
        # A form feed is no line end to Python.
        ("x = '\x0c'\ny = 2\n", ["x = '\x0c'\n", "y = 2\n"]),
    ],
)
def test_steps_of_odd_texts(text: str, expected: list[str]) -> None:
    assert parts(text) == expected


def test_a_continuation_is_read_behind_its_prompt() -> None:
    before = 'def add(a, b):\n    """Add."""\n'
    assert parts("    c = a\n    return c\n", before=before) == ["    c = a\n", "    return c\n"]
    assert parts("    c = a\n    return (", before=before) == ["    c = a\n", "    return ("]


def test_an_end_is_moved_to_the_first_boundary_of_tokens_at_or_behind_it() -> None:
    # "ab\n" ends at 3, and tokens end at 2, 5 (it holds the line end and two spaces), 7 and 7 (an end token).
    steps = [Step(3, True), Step(6, True), Step(7, False)]
    assert step_ends(steps, [2, 5, 7, 7]) == [StepEnd(5, 2), StepEnd(7, 4)]
    # Two steps within one token are one; a boundary within a character is none.
    assert step_ends([Step(1, True), Step(2, True), Step(9, True)], [4, None, 8, 9]) == [StepEnd(4, 1), StepEnd(9, 4)]
    assert step_ends([Step(5, True), Step(9, True)], [4, None, 8, 9]) == [StepEnd(8, 3), StepEnd(9, 4)]
    assert step_ends([Step(0, False)], []) == []


PIECES = {1: "ab", 2: "\n  ", 3: "c", 4: "", 5: "\ufffd", 6: "\ufffd"}


def each(ids: Sequence[int]) -> list[str]:
    return [PIECES[one] for one in ids]


def together(ids: Sequence[int]) -> str:
    return "".join(each(ids)).replace("\ufffd\ufffd", "é")


@pytest.mark.parametrize(
    ("ids", "text", "expected"),
    [
        ([1, 2, 3, 4], "ab\n  c", [2, 5, 6, 6]),
        ([1, 5, 6, 3], "abéc", [2, None, 3, 4]),
        ([1, 2, 3], "ab\n", [2, 3, 3]),  # cut at a stop string
        ([1, 2, 3], "other", None),
        ([], "", []),
    ],
)
def test_characters_decoded_with_each_token(ids: list[int], text: str, expected: list[int | None] | None) -> None:
    assert token_ends(each, together, ids, text) == expected

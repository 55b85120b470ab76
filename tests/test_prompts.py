"""Problems as prompts, and the program in what a model wrote: fences, prose, continuations, cut and broken answers."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import problem
from curation.extract import extract_code
from curation.prompts import completion_prompt, prompt_for, question
from real_answers import ANSWERS

PROMPT = 'def add(a, b):\n    """Add two numbers."""\n'
FULL = "def add(a, b):\n    return a + b\n"
STDIO = "n = int(input())\nprint(n * 2)\n"


def extract(text: str, *, prompt: str = PROMPT, entry_point: str | None = "add", **options: Any) -> str | None:
    form = "code" if entry_point else "text"
    return extract_code(text, **({"prompt_format": form, "prompt": prompt, "entry_point": entry_point} | options))


@pytest.mark.parametrize(
    "text",
    [
        f"```python\n{FULL}```",
        f"Here is the function:\n\n```python\n{FULL}```\n\nIt adds `a` and `b`.",
        f"```py\n{FULL}```",
        f"```Python\n{FULL}```",
        f"```\n{FULL}```",
        f"~~~python\n{FULL}~~~",
        f"````python\n{FULL}````",
        f"```python\r\n{FULL.replace(chr(10), chr(13) + chr(10))}```",
        f"1. So:\n\n   ```python\n   {FULL.replace(chr(10), chr(10) + '   ')}\n   ```\n",
        f"```python\n{FULL}",  # never closed
        f"```python\n{FULL}\nprint(add(1,",  # cut at its token limit
        f"{FULL}```\n\nThis adds two numbers.",  # opened by the prompt
        f"{FULL}\n```",
        f"```python\n{FULL.rstrip()}```",  # closed on the last line
        FULL,
        f"Sure! Here is the code:\n\n{FULL}\nThis function adds two numbers.\nIt's simple.",
        f"{FULL}<|im_end|>",
        f"<think>```python\nno\n```</think>\n```python\n{FULL}```",
        f"```bash\npip install add\n```\n```python\n{FULL}```\nOutput:\n```text\n3\n```",
        f"```python\n{FULL}```\nUse it so:\n```python\nprint(add(1, 2))\n```",
        f"```python\nprint(add(1, 2))\n```\nwhere\n```python\n{FULL}```",
        f"You start with\n```python\n{PROMPT}    pass\n```\nand get\n```python\n{FULL}```",  # the stub repeated
        f"```python\n{FULL}\nprint(add(1, 2))\nassert add(1, 2) == 4\nx = input()\n```",
        f'```python\n{FULL}\nif __name__ == "__main__":\n    print(add(1, 2))\n```',
        f"```python\n{FULL}\n# Test the function\nprint(add(1, 2))  # 3\n# 3\n```",
        f"```python\n{FULL}\nfor i in range(3):\n    print(add(i, i))\n```",
        f"```python\n{FULL}```\n\nOr shorter:\n\n```python\nadd = lambda a, b: a + b\n```",
        f"{FULL}\n>>> add(1, 2)\n3\n",
    ],
)
def test_a_function_is_found_and_nothing_beside_it(text: str) -> None:
    assert (extract(text) or "").strip() == FULL.strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # The prompt continued inside a chat answer, with and without its indentation.
        ("```python\n    return a + b\n```", PROMPT + "    return a + b\n"),
        ("    return a + b", PROMPT + "    return a + b"),
        ("```python\nreturn a + b\n```", PROMPT + "    return a + b\n"),
        ("```python\nif a:\n    return b\nreturn a\n```", PROMPT + "    if a:\n        return b\n    return a\n"),
        # Pieces that belong together.
        (
            f"First:\n```python\nimport math\n```\nThen:\n```python\n{FULL.replace('a + b', 'math.fsum((a, b))')}```",
            "import math\n\n" + FULL.replace("a + b", "math.fsum((a, b))"),
        ),
        (
            "```python\ndef helper(a):\n    return a\n```\n```python\ndef add(a, b):\n    return helper(a) + b\n```",
            "def helper(a):\n    return a\n\ndef add(a, b):\n    return helper(a) + b\n",
        ),
        (
            "```python\ndef add(a, b):\n```\nand its body\n```python\n    return a + b\n```",
            "def add(a, b):\n\n    return a + b\n",
        ),
        # A value below the function that it reads stays; the call below that goes.
        (
            "```python\ndef add(a, b):\n    return a + b + ZERO\n\nZERO = 0\nadd(1, 2)\n```",
            "def add(a, b):\n    return a + b + ZERO\n\nZERO = 0\n",
        ),
        # A console session.
        ("```python\n>>> def add(a, b):\n...     return a + b\n>>> add(1, 2)\n3\n```", FULL),
        # Broken is not mended, and the wrong name is still the answer.
        ("```python\ndef add(a, b:\n    return a + b\n```", "def add(a, b:\n    return a + b\n"),
        ("```python\ndef plus(a, b):\n    return a + b\n```", "def plus(a, b):\n    return a + b\n"),
        ("`add = lambda a, b: a + b` does it: ```python add = lambda a, b: a + b```", "add = lambda a, b: a + b"),
    ],
)
def test_pieces_are_put_together(text: str, expected: str) -> None:
    assert extract(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("    return a + b\n", PROMPT + "    return a + b\n"),
        ("    return a + b\n\n\nprint(add(1, 2))\n", PROMPT + "    return a + b\n"),
        ("    return a + b\n\ndef", PROMPT + "    return a + b\n\n"),
        ("    return a + b\n\nThis adds", PROMPT + "    return a + b\n\n"),
        ("    return f(a)\n\ndef f(a):\n    return a\n", PROMPT + "    return f(a)\n\ndef f(a):\n    return a\n"),
        (f"\n{FULL}", f"\n{FULL}"),  # it began anew
        (f"```python\n{FULL}```", FULL),  # it chatted all the same
        ("    return a +", PROMPT + "    return a +"),  # cut at its start: broken, and not mended
    ],
)
def test_a_continued_prompt_is_cut_where_the_function_ends(text: str, expected: str) -> None:
    assert extract(text, continues=True) == expected


@pytest.mark.parametrize(
    "text",
    [
        f"```python\n{STDIO}```",
        STDIO,
        f"Here is the program:\n\n{STDIO}\nIt doubles n.\n",
        f"The idea:\n```python\nn * 2\n```\nThe program:\n```python\n{STDIO}```\nOutput:\n```\n4\n```",
        f"```python\n{STDIO}```\n```python\n# a longer block that reads nothing\nprint('this is an example')\n```",
    ],
)
def test_a_program_for_standard_input_stays_whole(text: str) -> None:
    assert (extract(text, entry_point=None) or "").strip() == STDIO.strip()


@pytest.mark.parametrize(("entry_point", "first", "last", "text"), ANSWERS)
def test_real_answers_give_the_programs_a_person_found(
    entry_point: str | None, first: int, last: int, text: str
) -> None:
    prompt = f'def {entry_point}(*args):\n    """As told."""\n'
    expected = "\n".join(text.split("\n")[first - 1 : last])
    assert (extract(text, prompt=prompt, entry_point=entry_point) or "").rstrip("\n") == expected


@pytest.mark.parametrize("text", ["", "  \n", "I cannot do that.", "No", "The answer is 3.\n\nIt is easy.", "```\n```"])
@pytest.mark.parametrize("entry_point", ["add", None])
def test_prose_holds_no_program(text: str, entry_point: str | None) -> None:
    assert extract(text, entry_point=entry_point) is None


def test_imports_and_helpers_of_the_prompt_come_along_where_the_answer_uses_them() -> None:
    prompt = (
        "from typing import List\nimport math\n\n\ndef helper(x):\n    return x\n\n\n"
        'def total(xs: List[int]) -> int:\n    """Sum."""\n'
    )
    answer = "```python\ndef total(xs: List[int]) -> int:\n    return helper(sum(xs))\n```"
    code = extract(answer, prompt=prompt, entry_point="total")
    assert code == (
        "from typing import List\ndef helper(x):\n    return x\n\n\n"
        "def total(xs: List[int]) -> int:\n    return helper(sum(xs))\n"
    )
    own = "```python\nfrom typing import List\n\ndef total(xs: List[int]) -> int:\n    return sum(xs)\n```"
    assert extract(own, prompt=prompt, entry_point="total") == own[10:-3]


@given(st.text(alphabet=string.printable + "`\x00\ud800é", max_size=300))
def test_any_text_at_all_gives_a_program_or_none(text: str) -> None:
    for entry_point in ("add", None):
        for continues in (False, True):
            code = extract(text, entry_point=entry_point, continues=continues)
            assert code is None or code.strip()


@pytest.mark.parametrize("text", ["(" * 5000, "-" * 20000 + "1", "[" * 300 + "]" * 300, "```python\n" * 2000])
def test_hostile_nesting_is_no_trouble(text: str) -> None:
    extract(text)
    extract(f"```python\ndef add(a, b):\n    return {text}\n```")


def test_the_standard_prompts() -> None:
    function = problem(prompt_format="text", prompt="Write a function to add two numbers.\n")
    stdio = problem(kind="stdio", prompt_format="text", prompt="Double n.", entry_point=None, tests=[])
    assert completion_prompt(problem()) == problem()["prompt"]
    assert completion_prompt(function) == '"""\nWrite a function to add two numbers.\nassert add(0, 1) == 1\n"""\n'
    assert completion_prompt(stdio) == '"""\nDouble n.\n"""\n'
    assert question(problem()) == (
        'Complete this Python function.\n\n```python\ndef add(a, b):\n    """Add two numbers."""\n```\n\n'
        "Answer with one Python code block."
    )
    assert question(function) == (
        "Write a function to add two numbers.\n\nName the function `add`. It must pass this test:\n\n"
        "```python\nassert add(0, 1) == 1\n```\n\nAnswer with one Python code block."
    )
    assert question(stdio).startswith("Double n.\n\nRead the input with `input()` and print the answer.")
    assert [m["role"] for m in prompt_for(function, system="Be brief.").messages] == ["system", "user"]
    assert "\ndef" in prompt_for(problem()).stop and "\nprint" not in prompt_for(stdio).stop

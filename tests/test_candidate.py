"""What a problem's tests take from a program besides its entry point, and the verdict on a program that lacks it."""

from typing import Any

import pytest

from curation.candidate import candidate, required_names
from curation.problem_formats import problem_from_mbpp
from sandbox.pool import run_many
from tests.test_sandbox_real_data import lines

PAIRS: dict[str, Any] = {
    "kind": "function",
    "entry_point": "f",
    "setup": "half = 2",
    "tests": [{"code": "assert f(Pair(1, half)) == 1", "stdin": "", "stdout": ""}],
    "reference_solution": "class Pair:\n    def __init__(self, a, b): self.a = a\ndef f(p): return p.a\nhalf = 1",
}


@pytest.mark.parametrize(
    ("reference", "test", "expected"),
    [
        ("def f(): pass\ndef g(): pass", "assert f(g)", ("g",)),
        ("def f(): pass\ndef g(): pass", "def test():\n    return lambda: f(g)", ("g",)),
        ("import sys\nfrom math import pi as p\nx = 1", "assert f(sys, p, x)", ("p", "sys", "x")),
        ("def f():\n    inner = 1", "assert f(inner)", ()),
        ("def g(): pass", "def g(): pass\nassert f(g)", ()),
        ("def g(): pass", "def h(g): assert f(g)", ()),
        ("def g(): pass", "assert f(h)", ()),
        ("def g(: pass", "assert f(g)", ()),
        ("def g(): pass", "assert f(g", ()),
    ],
)
def test_the_names_that_the_reference_defines_and_the_tests_do_not(
    reference: str, test: str, expected: tuple[str, ...]
) -> None:
    assert required_names(reference, "", (test,), "f") == expected


def test_a_program_without_what_the_tests_take_from_it_has_failed() -> None:
    lacking, wrong = "def f(p): return 1", "class Pair:\n    def __init__(self, a, b): pass\ndef f(p): return 2"
    unknown = PAIRS | {"tests": [{"code": "assert f(Unknown()) == 1", "stdin": "", "stdout": ""}]}
    results = run_many([
        candidate(PAIRS, PAIRS["reference_solution"], "right"),
        candidate(PAIRS, lacking, "lacking"),
        candidate(PAIRS, wrong, "wrong"),
        candidate(unknown, lacking, "nobody has it"),
        candidate(PAIRS | {"reference_solution": None}, lacking, "nobody knows"),
    ])  # fmt: skip
    said = {result.key: (result.status, result.error_type, result.error_message) for result in results}
    assert said["right"][0] == "passed" and said["wrong"][0] == "wrong"
    assert said["lacking"] == ("exception", "NameError", "NameError: name 'Pair' is not defined")
    assert said["nobody has it"][::2] == (
        "infra_error",
        "the test itself failed: NameError: name 'Unknown' is not defined",
    )
    assert said["nobody knows"][0] == "infra_error"


def test_of_mbpp_four_problems_take_more_than_their_entry_point() -> None:
    tasks = [problem_from_mbpp(record) for record in lines("mbpp/mbpp.jsonl.gz")]
    required = {task["task_id"]: candidate(task, "", "").required for task in tasks}
    assert {name: names for name, names in required.items() if names} == {
        "MBPP/367": ("Node",),
        "MBPP/596": ("sys",),
        "MBPP/601": ("Pair",),
        "MBPP/927": ("Node",),
    }

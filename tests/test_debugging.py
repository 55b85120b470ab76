"""Bugs to repair: what each data set's record becomes, what a model is told of it, and which are left out."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from conftest import completion, execution, problem, shared_data
from curation import debugging, failures
from curation.asserts import ProblemError
from curation.bug_formats import problem_from_debugbench, problem_from_humanevalpack, problem_from_quixbugs
from curation.debugging import Unusable, bug_prompt
from curation.extract import extract_code
from curation.problem_files import BUILTIN, records
from curation.problems import ProblemSource, read_problems
from curation.prompts import completion_prompt, prompt_for, question
from flows.benchmarks import source_of

QUIXBUGS = {
    "problem_id": "quixbugs/count",
    "entry_point": "count",
    "buggy": '\ndef count(n):\n    yield from range(n - 1)\n\n\n"""\nCount\n\n\n\nInput:  \n    n: an int\n"""\n',
    "correct": 'def count(n):\n    yield from range(n)\n\n"""\ndef count(n): ...\n"""\n',
    "tests": [{"args": [1], "expected": [0]}, {"args": [2], "expected": [0, 1]}],
}
HUMANEVALPACK = {
    "task_id": "Python/0",
    "prompt": 'from typing import List\n\n\ndef twice(x: List[int]) -> List[int]:\n    """ Double each.\n    """\n',
    "declaration": "from typing import List\n\n\ndef twice(x: List[int]) -> List[int]:\n",
    "canonical_solution": "    return [2 * n for n in x]\n",
    "buggy_solution": "    return [n for n in x]\n",
    "bug_type": "missing logic",
    "failure_symptoms": "incorrect output",
    "entry_point": "twice",
    "import": "",
    "test_setup": "",
    "test": "def check(twice):\n    assert twice([]) == []\n    assert twice([2]) == [4]\n\ncheck(twice)",
    "example_test": "",
    "signature": "twice(x: List[int]) -> List[int]",
    "docstring": "Double each.",
    "instruction": "Write a function.",
}
DEBUGBENCH = {
    "slug": "total",
    "Category": "logic error",
    "subtype": "operation error",
    "language": "python3",
    "level": "medium",
    "release_time": 1,
    "question": "Sum the numbers up to n that are in left.",
    "examples": [
        "Input: n = 4, left = [4,3], deep = true\r\nOutput: 7\r\nExplanation: Output: none",
        "Input: n = 3, left = [4,null], deep = false\nOutput: 0",
        "Input\n[]\nOutput\n[null]",
    ],
    "constraints": "",
    "solution": "class Solution:\n    def total(self, n: int, left: List[int], deep: bool) -> int:\n"
    "        return sum(x for x in left if x and x <= n)",
    "solution_explanation": "",
    "buggy_code": "\nclass Solution:\n    def total(self, n: int, left: List[int], deep: bool) -> int:\n"
    "        return math.prod(x for x in left if x and x <= n)\n",
    "bug_explanation": "",
}


def bugs(tmp_path: Path, source: str, *given: dict[str, Any]) -> list[dict[str, Any]]:
    file = tmp_path / "bugs.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in given))
    return read_problems(ProblemSource.model_validate({"source": source, "path": file}))


def test_a_quixbugs_program_is_shown_with_the_test_it_fails_and_what_it_gave(tmp_path: Path) -> None:
    (row,) = bugs(tmp_path, "quixbugs", QUIXBUGS)
    assert row["buggy_program"] == "def count(n):\n    yield from range(n - 1)\n"
    assert row["reference_solution"] == "def count(n):\n    yield from range(n)\n", "its other fixes are texts"
    assert row["prompt"] == (
        "This function has a bug.\n\n```python\ndef count(n):\n    yield from range(n - 1)\n```\n\n"
        "What it should do: Count\n\nInput:\n    n: an int\n\n"
        "It fails this test:\n\n```python\nfound = listed(count(1))\n"
        'assert found == [0], f"found {found!r}"\n```\n\nAssertionError: found []\n\n'
        "Find the bug and write the whole function correctly."
    )
    assert (row["source"], row["license"], row["task_id"]) == ("quixbugs", "MIT", "quixbugs/count")


def test_a_bug_is_asked_for_in_both_forms(tmp_path: Path) -> None:
    (row,) = bugs(tmp_path, "quixbugs", QUIXBUGS)
    assert question(row) == row["prompt"] + " Answer with one Python code block."
    assert completion_prompt(row) == row["prompt"] + "\n\n```python\n"
    prompt = prompt_for(row)
    assert prompt.stop == ("\n```",)
    given = {name: row[name] for name in ("prompt_format", "prompt", "entry_point")}
    rest = "def count(n):\n    yield from range(n)\n```"
    assert extract_code(rest, **given, continues=True) == "def count(n):\n    yield from range(n)"


def test_a_humanevalpack_row_is_its_declaration_with_either_body(tmp_path: Path) -> None:
    (row,) = bugs(tmp_path, "humanevalpack", HUMANEVALPACK)
    assert row["buggy_program"] == HUMANEVALPACK["declaration"] + HUMANEVALPACK["buggy_solution"]
    assert row["reference_solution"] == HUMANEVALPACK["declaration"] + HUMANEVALPACK["canonical_solution"]
    assert "What it should do: Double each." in row["prompt"] and "assert twice([2]) == [4]" in row["prompt"]
    assert "assert twice([]) == []" not in row["prompt"], "that one passes"
    assert len(row["tests"]) == 2 and row["entry_point"] == "twice"
    with pytest.raises(Unusable, match="another language"):
        problem_from_humanevalpack({**HUMANEVALPACK, "task_id": "CPP/0"})


def test_debugbench_s_examples_become_asserts_where_they_read(tmp_path: Path) -> None:
    (row,) = bugs(tmp_path, "debugbench", DEBUGBENCH)
    assert [test["code"].split("\n")[0] for test in row["tests"]] == [
        "found = Solution().total(n=4, left=[4, 3], deep=True)",
        "found = Solution().total(n=3, left=[4, None], deep=False)",
    ]
    assert row["buggy_program"].startswith("import math\nfrom typing import List\n\nclass Solution:")
    assert row["prompt"].startswith("This program has a bug.") and "AssertionError: found 12" in row["prompt"]
    assert row["difficulty"] == 2 and row["task_id"] == "debugbench/total/operation-error"


def test_debugbench_s_own_files_call_columns_differently() -> None:
    names = {"question": "description", "solution": "oracle_code"}
    record = {names.get(key, key): value for key, value in DEBUGBENCH.items() if key not in ("subtype", "language")}
    assert problem_from_debugbench(record)["task_id"] == "debugbench/total"


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"language": "cpp"}, "another language"),
        ({"solution": "class Solution:\n    def f(self, root: Optional[TreeNode]): ..."}, "linked nodes"),
        ({"examples": ["Input: n = 4\nOutput: 7", "Input: n = x\nOutput: 7"]}, "without an example"),
        ({"examples": []}, "without an example"),
    ],
)
def test_what_debugbench_cannot_show_here_is_left_out(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        problem_from_debugbench({**DEBUGBENCH, **change})


def test_bugs_that_show_none_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    rows = bugs(
        tmp_path,
        "quixbugs",
        {**QUIXBUGS, "problem_id": "1", "buggy": QUIXBUGS["correct"]},
        {**QUIXBUGS, "problem_id": "2", "correct": QUIXBUGS["buggy"]},
        {**QUIXBUGS, "problem_id": "3", "tests": []},
        {**QUIXBUGS, "problem_id": "4", "buggy": "import os\n\ndef count(n):\n    os.system('ls')\n"},
        QUIXBUGS,
    )
    assert [row["task_id"] for row in rows] == ["quixbugs/count"]
    said = [record.getMessage() for record in caplog.records]
    assert "left out 1 bugs: 1 without tests" in said
    assert "left out 3 bugs: 1 that cannot be run, 1 that pass every test, 1 whose fix fails a test" in said


def test_a_malformed_record_is_an_error_and_not_left_out(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match=r"line 1: no 'entry_point'"):
        bugs(tmp_path, "quixbugs", {"problem_id": "x"})
    with pytest.raises(ProblemError, match="args"):
        problem_from_quixbugs({**QUIXBUGS, "tests": [3]})


def test_one_s_own_problem_may_have_a_buggy_program(tmp_path: Path) -> None:
    record = {"task_id": "mine", "prompt": "Double n.", "entry_point": "f", "tests": ["assert f(2) == 4"]}
    stdio = {"task_id": "io", "prompt": "Print n.", "tests": [{"input": "1\n", "output": "1\n"}]}
    buggy = {"buggy_program": "def f(n):\n    return n\n"}
    rows = bugs(
        tmp_path, "jsonl", record, {**record, **buggy, "task_id": "bug"}, {**stdio, "buggy_program": "print(2)"}
    )
    assert [row["task_id"] for row in rows] == ["mine", "bug", "io"] and rows[0]["prompt"] == "Double n."
    assert "assert f(2) == 4\n```\n\nAssertionError\n\nFind the bug" in rows[1]["prompt"]
    assert "It fails on this input:\n\n```\n1\n```\n\nThe output should be:\n\n```\n1\n```" in rows[2]["prompt"]


def test_the_benchmark_is_worded_alike() -> None:
    for place, record in records(BUILTIN.with_name("debugging.jsonl")):
        program, _, rest = record["prompt"].partition("```python\n")[2].partition("\n```\n\nWhat it should do: ")
        statement = rest.partition("\n\nFind the bug")[0]
        noun = "function" if record.get("entry_point") else "program"
        assert record["prompt"] == bug_prompt(statement, program, noun=noun), place


def test_files_of_bugs_are_benchmarks_too(tmp_path: Path) -> None:
    for record, source in ((QUIXBUGS, "quixbugs"), (HUMANEVALPACK, "humanevalpack"), (DEBUGBENCH, "debugbench")):
        file = tmp_path / f"{source}.jsonl"
        file.write_text(json.dumps(record) + "\n")
        assert source_of(str(file)).source == source


def run(index: int, status: str, score: float, **columns: Any) -> dict[str, Any]:
    verdicts = ["passed" if place < 3 * score else status for place in range(3)]
    row = completion("p", index, code=f"code {index}") | {"origin_id": None, "mutation": None}
    said = {"status": status, "score": score, "test_status": verdicts, "error_message": f"said {index}"}
    return row | execution(row["completion_id"], "p", **said) | columns


def test_of_what_failed_different_programs_are_taken_and_those_that_pass_a_test_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    origin = run(5, "passed", 1.0)
    runs = [
        run(0, "wrong", 0.0),
        run(1, "refused", 0.0),
        run(2, "wrong", 1 / 3),
        run(3, "exception", 2 / 3, code="code 2"),
        run(4, "step_limit", 1 / 3, mutation="operator", origin_id=origin["completion_id"]),
        origin,
        run(6, "wrong", 0.0, code=None),
    ]
    given = problem("add", source="mbpp", split="test")
    monkeypatch.setattr(failures, "judged_programs", lambda version: iter([(given, runs)]))
    found = list(failures.failures(Path("v"), 5))
    assert [task["buggy_program"] for _, task, _ in found] == ["code 2", "code 4", "code 0"]
    first, second, third = (task for _, task, _ in found)
    assert [task["task_id"] for task in (first, second, third)] == ["add/bug-1", "add/bug-2", "add/bug-3"]
    assert first["tests"] == given["tests"] and "assert add(1, 1) == 2\n```\n\nsaid 2" in first["prompt"]
    assert (first["reference_solution"], second["reference_solution"]) == (given["reference_solution"], "code 5")
    assert all(where["source"] == "mbpp" and where["split"] == "test" for _, _, where in found)
    assert len(list(failures.failures(Path("v"), 1))) == 1


def test_a_source_of_failures_needs_a_version() -> None:
    for given, said in [({}, "needs a path"), ({"path": "v", "max_tests": 2}, "takes no max_tests")]:
        with pytest.raises(ValidationError, match=said):
            ProblemSource.model_validate({"source": "failures", **given})
    with pytest.raises(ValidationError, match="only failures does"):
        ProblemSource.model_validate({"source": "mbpp", "bugs_per_problem": 3})


def test_quixbugs_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ("bitcount", "hanoi", "sqrt", "flatten", "gcd", "topological_ordering")
    kept = [
        (place, record)
        for place, record in records(shared_data("quixbugs/programs.jsonl.gz"))
        if record["entry_point"] in wanted
    ]
    monkeypatch.setattr(debugging, "LIMITS", debugging.Limits(steps=100_000, cpu_seconds=10))
    origin = {"source": "quixbugs"}
    tasks = [(place, problem_from_quixbugs(record), origin) for place, record in kept if record["tests"]]
    told = list(debugging.with_failures(tasks))
    assert [task["entry_point"] for _, task, _ in told] == ["bitcount", "flatten", "gcd", "hanoi", "sqrt"]
    assert all("It fails this test" in task["prompt"] and '"""' not in task["prompt"] for _, task, _ in told)

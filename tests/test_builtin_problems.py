"""The built-in problems: graded, of both kinds, solvable, and with tests that tell right from almost right."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from curation.problems import ProblemSource, read_problems
from sandbox.pool import run_many
from sandbox.verdict import Limits, Program, Result, Test

# Wrong programs may loop for ever; a right one takes a few hundred steps here.
SMALL = Limits(steps=200_000)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return read_problems(ProblemSource(source="builtin"))


def program(row: dict[str, Any], source: str, key: str = "") -> Program:
    tests = tuple(Test(**test) for test in row["tests"])
    return Program(source, row["kind"], tests, row["entry_point"] or "", row["setup"], key or row["task_id"])


def judge(programs: list[Program]) -> dict[str, Result]:
    return {result.key: result for result in run_many(programs, limits=SMALL)}


def of_kind(rows: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["kind"] == kind]


def test_the_set_is_graded_of_both_kinds_and_partly_held_out(rows: list[dict[str, Any]]) -> None:
    assert len(rows) >= 72 and {row["license"] for row in rows} == {"Apache-2.0"}
    grades = [row["difficulty"] for row in rows]
    assert grades == sorted(grades) and set(grades) == {1, 2, 3, 4, 5}, "easiest first, so that a limit keeps those"
    for kind, least in [("function", 52), ("stdio", 20)]:
        members = of_kind(rows, kind)
        assert len(members) >= least
        assert min(Counter(row["difficulty"] for row in members).values()) >= 3, f"every grade has {kind} problems"
    held_out = [row for row in rows if row["split"] == "test"]
    assert len(held_out) == 12 and {row["difficulty"] for row in held_out} == {1, 2, 3, 4, 5}
    assert {row["split"] for row in rows} == {"train", "test"}


def test_every_problem_has_at_least_five_different_tests(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        distinct = {(test["code"], test["stdin"]) for test in row["tests"]}
        assert len(distinct) == len(row["tests"]) >= 5, row["task_id"]


def test_prompts_state_the_signature_and_an_example(rows: list[dict[str, Any]]) -> None:
    assert {row["prompt_format"] for row in of_kind(rows, "function")} == {"code", "text"}
    for row in rows:
        if row["prompt_format"] == "code":
            (function,) = [node for node in ast.parse(row["prompt"]).body if isinstance(node, ast.FunctionDef)]
            assert function.name == row["entry_point"] and function.returns is not None
            assert all(arg.annotation for arg in function.args.args), row["task_id"]
            assert ">>> " in (ast.get_docstring(function) or ""), row["task_id"]
        elif row["kind"] == "function":
            assert f"`{row['entry_point']}(" in row["prompt"] and "For example" in row["prompt"], row["task_id"]
        else:
            assert "Example input:" in row["prompt"] and "Example output:" in row["prompt"], row["task_id"]


def test_every_reference_solution_passes_every_test(rows: list[dict[str, Any]]) -> None:
    results = judge([program(row, row["reference_solution"]) for row in rows])
    failed = {key: (result.status, result.error_message) for key, result in results.items() if result.score < 1.0}
    assert len(results) == len(rows) and not failed


# Three wrong programs for each kind of mistake: the verdict it must get, and on which problems.
MISTAKES = [
    ("wrong", "builtin/add_three", "def add_three(a, b, c):\n    return a + b"),
    ("wrong", "builtin/clamp", "def clamp(value, low, high):\n    return min(value, high)"),
    ("wrong", "builtin/print_sum", "a, b = map(int, input().split())\nprint(a - b)"),
    ("exception", "builtin/average", "def average(numbers):\n    return sum(numbers) / len(numbers)"),
    ("exception", "builtin/double", "def double(n):\n    return m * 2"),
    ("exception", "builtin/print_square", "n = input()\nprint(n * n)"),
    ("exception", "builtin/greet", "def greet(name)\n    return name"),
    ("exception", "builtin/bigger", "def biggest(a, b):\n    return max(a, b)"),
    ("exception", "builtin/print_upper", "print(input().upper()"),
    ("step_limit", "builtin/count_words", "def count_words(text):\n    while True:\n        pass"),
    ("step_limit", "builtin/digit_count", "def digit_count(n):\n    while n >= 0:\n        n //= 10"),
    ("step_limit", "builtin/count_down", "n = int(input())\nwhile n != -1:\n    pass"),
    ("refused", "builtin/shout", "import subprocess\ndef shout(text):\n    return text"),
    ("refused", "builtin/last_item", "import ctypes\ndef last_item(items):\n    return items"),
    ("refused", "builtin/print_welcome", "import subprocess\nprint(input())"),
]


def test_each_kind_of_mistake_gets_its_verdict(rows: list[dict[str, Any]]) -> None:
    by_task = {row["task_id"]: row for row in rows}
    results = judge([program(by_task[task], source) for _, task, source in MISTAKES])
    assert {task: results[task].status for _, task, _ in MISTAKES} == {task: status for status, task, _ in MISTAKES}
    assert min(Counter(status for status, _, _ in MISTAKES).values()) >= 3


def test_a_nearly_right_program_earns_a_share(rows: list[dict[str, Any]]) -> None:
    by_task = {row["task_id"]: row for row in rows}
    nearly = "def largest_or_zero(numbers):\n    return max(numbers)\n"
    upto = "n = int(input())\nfor i in range(n, 1, -1):\n    print(i)\n"
    results = judge([program(by_task["builtin/largest_or_zero"], nearly), program(by_task["builtin/count_down"], upto)])
    assert results["builtin/largest_or_zero"].score == 5 / 6, "only the empty list is wrong"
    assert results["builtin/count_down"].num_passed == 0


def test_answers_of_the_wrong_shape_fail_every_problem(rows: list[dict[str, Any]]) -> None:
    """None, a fixed answer, and the reference's answer not returned or not printed at all."""
    programs = []
    for row in rows:
        if row["kind"] == "function":
            name = row["entry_point"]
            silent = row["reference_solution"].replace(f"def {name}(", "def unused(", 1)
            answers = ["None", "True", "0", "1", "''", "[]", "args[0]", "list(args)"]
            sources = [f"def {name}(*args):\n    return {answer}\n" for answer in answers]
            sources.append(f"{silent}\n\ndef {name}(*args):\n    unused(*args)\n")
        else:
            sources = ["", "print()\n", "print(0)\n", "print(1)\n", "print(-1)\n", "print(input())\n"]
        programs += [program(row, source, f"{row['task_id']}: {source}") for source in sources]
    assert [key for key, result in judge(programs).items() if result.score == 1.0] == []


# --- mutants ---------------------------------------------------------------------------------------------------------

# Changes that leave every answer as it was, each with the reason.
EQUIVALENT = {
    "builtin/bigger, mutant 1, line 2: a > b": "of two equal numbers either is the larger",
    "builtin/second_largest, mutant 2, line 4: return None": "it returns None already",
    "builtin/divisors, mutant 2, line 2: 1": "n + 1 never divides n",
    "builtin/shift_letters, mutant 2, line 4: 'z'": "one character is at most 'z' if and only if at most 'zq'",
    "builtin/merge_sorted, mutant 3, line 5: first[i] <= second[j]": "of two equal numbers either may come first",
    "builtin/fewest_coins, mutant 1, line 2: 1": "more than can be needed, by two instead of by one",
    "builtin/best_load, mutant 1, line 2: 1": "a place too many, never read",
    "builtin/can_split_into_words, mutant 3, line 3: 1": "no word ends behind the text",
    "builtin/cheapest_trip, mutant 7, line 11: 1": "dearer than this road, by two instead of by one",
    "builtin/cheapest_trip, mutant 9, line 11: costs[here] + cost < costs.get(b, costs[here] + cost + 1)": "same cost",
    "builtin/shared_letters, mutant 1, line 3: 1": "a place too many, never read",
    "builtin/fewest_flights, mutant 1, line 2: 1": "a city too many, without flights",
    "builtin/stair_ways, mutant 11, line 6: stair > 1": "ways[-1] is still 0 at stair 1",
}


class Mutant(ast.NodeTransformer):
    """Makes the `number`-th small change to a program: a constant, a comparison, an operator or a returned value."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.change = ""

    def chosen(self, what: str) -> bool:
        self.left -= 1
        if self.left == -1:
            self.change = what
        return self.left == -1

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, bool) or not isinstance(node.value, (int, str)):
            return node
        if self.chosen(f"line {node.lineno}: {node.value!r}"):
            return ast.Constant(node.value + (1 if isinstance(node.value, int) else "q"))
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return node  # its format specifications are constants too

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if self.chosen(f"line {node.lineno}: {ast.unparse(node)}"):
            node = copy.deepcopy(node)
            node.ops[0] = SWAPS[type(node.ops[0])]()
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if self.chosen(f"line {node.lineno}: {ast.unparse(node)}"):
            node = copy.deepcopy(node)
            node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        if self.chosen(f"line {node.lineno}: {ast.unparse(node)}"):
            return ast.Return(ast.Constant(None))
        self.generic_visit(node)
        return node


SWAPS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


def mutants(row: dict[str, Any]) -> Iterator[Program]:
    """Every mutant of a problem's reference, named `task_id, line: what was changed`."""
    number = 0
    while True:
        mutant = Mutant(number)
        tree = ast.fix_missing_locations(mutant.visit(ast.parse(row["reference_solution"])))
        if not mutant.change:
            return
        yield program(row, ast.unparse(tree), f"{row['task_id']}, mutant {number}, {mutant.change}")
        number += 1


def test_tests_kill_every_mutant_that_matters(rows: list[dict[str, Any]]) -> None:
    programs = [mutant for row in rows for mutant in mutants(row)]
    results = judge(programs)
    assert len(results) == len(programs) > 400, "every mutant must have a name of its own"
    assert {result.status for result in results.values()} <= {"passed", "wrong", "exception", "step_limit"}
    assert {key for key, result in results.items() if result.score == 1.0} == set(EQUIVALENT)
    mutated = {key.split(",")[0] for key, result in results.items() if result.score < 1.0}
    assert len(mutated) == len(rows) - 8, "eight references hold nothing that this changes"

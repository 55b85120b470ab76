"""Mutants: what each kind changes and where, and that nothing else is changed."""

from __future__ import annotations

import ast
import gzip
import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import shared_data
from curation.asserts import unix_lines
from curation.changes import KINDS
from curation.mutate import Mutant, mutants

LOOP = '''from math import inf

LIMIT = 3


def least(values, other):
    """The least, at most 3."""
    best = inf  # é: two bytes, one character
    for i in range(len(values)):
        if values[i] < best and other:
            best = values[i]
    return min(best, LIMIT)


def unused(a):
    return a + 1
'''


def changes(program: str, kind: str, entry_point: str | None = None, begin: int = 0) -> set[tuple[str, str]]:
    """Every change of a kind: what stood there, and what stands there now."""
    found = [one for one in mutants(program, entry_point, 0, 1000, begin) if one.kind == kind]
    return {(program[one.start : one.origin_end], one.program[one.start : one.end]) for one in found}


@pytest.mark.parametrize(
    "kind, program, expected",
    [
        ("operator", "x = (a) + (b)", {("+", "-"), ("+", "*")}),
        ("operator", "x = a or b", {("or", "and")}),
        ("operator", "x -= y", {("-", "+"), ("-", "*")}),
        ("operator", "x = (a # +\n + b)", {("+", "-"), ("+", "*")}),
        ("operator", "x = 'é' + b + 'c'", set()),
        ("boundary", "x = a < b", {("<", "<=")}),
        ("boundary", "x = a <= b >= c", {("<=", "<"), (">=", ">")}),
        ("constant", "x = 7", {("7", "8"), ("7", "6")}),
        ("constant", "x = 0", {("0", "1")}),
        ("constant", "x = True", {("True", "False")}),
        ("constant", "x = 'ab', 0.5, ''", {("'ab'", '""'), ("0.5", "1.0"), ("''", '" "')}),
        ("constant", "def f():\n    'said'\n    return f'{a} b'", set()),
        ("off_by_one", "range(n)", {("n", "n + 1"), ("n", "n - 1")}),
        ("off_by_one", "x[1:n]", {("1", "2"), ("1", "0"), ("n", "n + 1"), ("n", "n - 1")}),
        ("off_by_one", "x['key']", set()),
        ("condition", "if a:\n    b()", {("a", "not (a)")}),
        ("condition", "if not a:\n    b()", {("not a", "a")}),
        ("condition", "x = a == b", {("==", "!=")}),
        ("condition", "x = a not in b", {("not in", "in")}),
        ("condition", "x = [a for a in b if c(a)]", {("c(a)", "not (c(a))")}),
        ("swapped_arguments", "f(a, (b), c=d)", {("a, (b", "b, (a")}),
        ("swapped_arguments", "f(*a, b)", set()),
        ("missing_line", "def f(a):\n    b()  # why\n    return a", {("    b()  # why\n", "")}),
        (
            "missing_line",
            "def f(a):\n    if a:\n        b()\n    return a",
            {("b()", "pass"), ("    if a:\n        b()\n", "")},
        ),
        ("missing_line", "def f(a):\n    b = a; c(b)\n    return b", {("c(b)", "pass")}),
        ("wrong_variable", "def f(a, b):\n    c = 1\n    return a(b)", {("b", "a"), ("b", "c")}),
    ],
)
def test_a_kind_changes_what_it_says(kind: str, program: str, expected: set[tuple[str, str]]) -> None:
    found = changes(program, kind)
    assert found <= expected if kind == "wrong_variable" else found == expected
    assert bool(found) == bool(expected), "a wrong variable is one of the others, drawn"


def test_only_the_span_differs_in_characters_and_what_cannot_be_reached_is_left_alone() -> None:
    made = mutants(LOOP, "least", 0, 1000)
    assert {one.kind for one in made} == set(KINDS)
    for one in made:
        assert one.program[: one.start] == LOOP[: one.start] and one.program[one.end :] == LOOP[one.origin_end :]
    assert max(one.start for one in made) < LOOP.index("def unused"), "nothing calls it"
    assert ("3", "4") in changes(LOOP, "constant", "least"), "a name of the module that the function reads"
    assert all(one.start >= LOOP.index("best =") for one in mutants(LOOP, "least", 0, 1000, LOOP.index("best =")))


def test_no_two_are_alike_and_none_is_the_program_but_for_its_layout() -> None:
    trees = [ast.dump(ast.parse(one.program)) for one in mutants(LOOP, None, 0, 1000)]
    assert len(trees) == len({*trees, ast.dump(ast.parse(LOOP))}) - 1 > 20


def test_few_are_of_many_kinds_and_lines_and_follow_from_the_seed() -> None:
    first = mutants(LOOP, "least", 0, 8)
    assert Counter(one.kind for one in first) == dict.fromkeys(KINDS, 1), "one of each before a second of any"
    assert first == mutants(LOOP, "least", 0, 8) != mutants(LOOP, "least", 1, 8)
    assert first[:3] == mutants(LOOP, "least", 0, 3), "more of them begin with the same"


@pytest.mark.parametrize("program", ["def f(:", "", "x", "pass", "x = " + "+".join("a" * 5000)])
def test_what_offers_no_change_or_is_no_python_has_no_mutants(program: str) -> None:
    assert mutants(program, None, 0, 4) == []


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(["\n", "\r\n", "\r"]), st.integers(0, 50))
def test_every_line_end_is_a_line_end(end: str, seed: int) -> None:
    def shown(one: Mutant) -> str:
        return unix_lines(one.program)

    program = LOOP.replace("\n", end)
    assert [shown(one) for one in mutants(program, "least", seed, 12)] == [
        shown(one) for one in mutants(LOOP, "least", seed, 12)
    ]


def test_real_programs_have_mutants_of_every_kind() -> None:
    with gzip.open(shared_data("mbpp/mbpp.jsonl.gz"), "rt") as lines:
        programs = [unix_lines(json.loads(line)["code"]) for line in lines]
    made = [mutants(program, None, 0, 4) for program in programs]
    kinds = Counter(one.kind for some in made for one in some)
    assert set(kinds) == set(KINDS) and min(kinds.values()) > 100
    assert sum(len(some) == 4 for some in made) > 800 and sum(not some for some in made) < 10

"""Completions through the sandbox into rows: verdicts, shared runs, answers without a program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from conftest import completion, problem
from curation import execute, store
from curation.execute import Execution, execute_completions

RIGHT = "def add(a, b):\n    return a + b\n"
WRONG = "def add(a, b):\n    return a + 1 if a < 2 else 0\n"
BROKEN = "def add(a, b:\n"
FAILING = "def add(a, b):\n    return 1 / a\n"
FORBIDDEN = "import subprocess\ndef add(a, b):\n    return a + b\n"


def run(tables: Callable[..., Path], *codes: str | None) -> list[dict]:
    work = tables(
        problems=[problem(problem_id="p")],
        completions=[completion("p", index, code=code, text=code or "no idea") for index, code in enumerate(codes)],
    )
    assert execute_completions(work, Execution(workers=1)) == len(codes)
    return store.read(work, "executions").to_pylist()


def test_each_test_earns_its_share_and_the_status_has_a_name(tables: Callable[..., Path]) -> None:
    right, wrong, broken, failing, forbidden = run(tables, RIGHT, WRONG, BROKEN, FAILING, FORBIDDEN)
    assert (right["status"], right["score"], right["test_status"]) == ("passed", 1.0, ["passed"] * 3)
    assert (wrong["status"], wrong["num_passed"], wrong["num_tests"]) == ("wrong", 2, 3)
    assert wrong["test_status"] == ["passed", "passed", "wrong"] and abs(wrong["score"] - 2 / 3) < 1e-9
    assert (broken["status"], broken["error_type"], broken["score"]) == ("exception", "SyntaxError", 0.0)
    assert (failing["status"], failing["error_type"]) == ("exception", "ZeroDivisionError")
    assert (forbidden["status"], forbidden["num_passed"]) == ("refused", 0)
    assert "subprocess" in forbidden["error_message"]
    assert len({row["policy_digest"] for row in (right, wrong, forbidden)}) == 1


def test_an_answer_without_a_program_failed_by_itself(tables: Callable[..., Path]) -> None:
    (row,) = run(tables, None)
    assert (row["status"], row["error_type"], row["test_status"]) == ("exception", "NoProgram", ["exception"] * 3)


def test_rows_keep_the_order_of_the_completions_and_equal_programs_run_once(
    tables: Callable[..., Path], monkeypatch
) -> None:
    handed = []
    real = execute.run_many

    def counted(programs, **options):
        handed.extend(programs)
        return real(handed, **options)

    monkeypatch.setattr(execute, "run_many", counted)
    rows = run(tables, RIGHT, WRONG, RIGHT, None, WRONG, RIGHT)
    assert [row["status"] for row in rows] == ["passed", "wrong", "passed", "exception", "wrong", "passed"]
    assert len(handed) == 2
    assert len({row["completion_id"] for row in rows}) == 6


def test_addresses_are_masked_so_that_rows_repeat(tables: Callable[..., Path]) -> None:
    source = "def add(a, b):\n    raise ValueError(repr(object()))\n"
    first = run(tables, source)
    store.path(tables(), "executions", store.Shard("train")).unlink()
    second = run(tables, source)
    assert first[0]["error_message"] == second[0]["error_message"]
    assert "0x..." in first[0]["error_message"] or "object" not in first[0]["error_message"]


def test_settings_reach_the_sandbox(tables: Callable[..., Path]) -> None:
    work = tables(
        problems=[problem(problem_id="p")],
        completions=[completion("p", code="def add(a, b):\n    while True:\n        pass\n")],
    )
    execute_completions(work, Execution(workers=1, steps=5000))
    (row,) = store.read(work, "executions").to_pylist()
    assert row["status"] == "step_limit" and row["steps"] >= 5000

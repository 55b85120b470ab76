"""The sampler of mutants, the pairs made of them, and a version of them from end to end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pydantic import ValidationError

from conftest import completion, execution, problem
from curation import store
from curation.errors import UserError
from curation.generate import generate_completions
from curation.pairs import PairSelection, pair_completions
from curation.sampling import Generation, Sampling
from flows import config
from flows.build import build
from flows.stages import table_keys

TEXT = {"prompt_format": "text", "prompt": "Add two numbers.", "reference_solution": "def add(a, b):\n    return a + b"}


def sampled(folder: Path, **options: Any) -> list[dict[str, Any]]:
    generate_completions(folder, Generation(**options))
    return store.read(folder, "completions").to_pylist()


def test_a_program_comes_before_its_mutants_and_spans_are_those_of_the_text(tables: Callable[..., Path]) -> None:
    rows = sampled(tables(problems=[problem(**TEXT)]), sampler="mutation", n=3)
    origin, *changed = rows
    assert len(changed) == 3 and origin["text"] == "```python\ndef add(a, b):\n    return a + b\n```"
    assert (origin["origin_id"], origin["mutation"], origin["model"]) == (None, None, "reference")
    for row in changed:
        assert row["origin_id"] == origin["completion_id"] and row["mutation"] in ("operator", "wrong_variable")
        kept = origin["text"][: row["span_start"]], origin["text"][row["origin_span_end"] :]
        assert kept == (row["text"][: row["span_start"]], row["text"][row["span_end"] :])
        assert row["text"] == f"```python\n{row['code']}\n```" != origin["text"]


def test_what_the_prompt_holds_stays(tables: Callable[..., Path]) -> None:
    prompt = "def add(a, b=1):\n"
    given = problem(prompt=prompt, reference_solution=f"{prompt}    return a + b\n")
    rows = sampled(tables(problems=[given]), sampler="mutation", n=20)
    assert len(rows) > 2 and all(prompt in row["code"] for row in rows), "the default 1 is no constant to change"


def test_a_problem_without_a_program_has_no_mutants(tables: Callable[..., Path]) -> None:
    assert sampled(tables(problems=[problem(reference_solution=None)]), sampler="mutation") == []


def test_programs_of_a_file_are_changed_each_once(tables: Callable[..., Path], tmp_path: Path) -> None:
    file = tmp_path / "s.jsonl"
    bodies = ["    return a + b\n", "    return a + b\n", "    return a * b\n", "    return a % b\n"]
    file.write_text("".join(json.dumps({"task_id": "add", "completion": body}) + "\n" for body in bodies))
    folder = tables(problems=[problem()])
    rows = sampled(folder, sampler="mutation", n=1, path=file, programs_per_problem=2)
    assert [row["mutation"] is None for row in rows] == [True, False, True, False]
    assert rows[2]["code"].endswith("return a * b\n") and rows[3]["origin_id"] == rows[2]["completion_id"]
    assert {row["model"] for row in rows} == {"s.jsonl"}


def test_beside_a_model_mutants_name_the_reference_there(tables: Callable[..., Path]) -> None:
    also = [{"sampler": "mutation", "n": 2}]
    rows = sampled(tables(problems=[problem(**TEXT)]), sampler="scripted", n=3, also=also)
    assert [row["sampler"] for row in rows] == ["scripted"] * 3 + ["mutation"] * 3
    assert [row["origin_id"] for row in rows[4:]] == [rows[3]["completion_id"]] * 2


@pytest.mark.parametrize(
    "options, said",
    [
        ({"sampler": "mutation", "model": "embedded"}, "does not use model"),
        ({"sampler": "vllm", "from_version": "x"}, "does not use from_version"),
        ({"sampler": "mutation", "path": "a", "from_version": "b"}, "not both"),
        ({"sampler": "vllm", "scored_by": "embedded"}, "does not use scored_by"),
        ({"sampler": "reference", "dtype": "float32"}, "does not use dtype"),
        ({"sampler": "scripted", "also": [{"sampler": "reference", "scored_by": "embedded"}]}, "leave scored_by out"),
    ],
)
def test_an_option_that_is_not_heeded_is_an_error(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Generation(**options)
    assert Sampling(sampler="reference", scored_by="embedded", dtype="float32").dtype == "float32"


def candidates(*outcomes: tuple[str, float], texts: list[str] | None = None) -> list[dict[str, Any]]:
    """A program and mutants of it, with what became of each."""
    rows: list[dict[str, Any]] = []
    for index, (status, score) in enumerate(outcomes):
        text = texts[index] if texts else f"text {index}"
        made = {"origin_id": rows[0]["completion_id"], "mutation": "operator"} if rows else {}
        row = completion("p", index, text=text, code=text, **({"origin_id": None, "mutation": None} | made))
        rows.append(row | execution(row["completion_id"], "p", status=status, score=score))
    return rows


def pairs_of(rows: list[dict[str, Any]], **options: Any) -> list[tuple[str, str]]:
    selection = PairSelection(strategy="mutation", **options)
    return [(pair["chosen"], pair["rejected"]) for pair in pair_completions(rows, selection)]


def test_a_program_is_chosen_over_its_mutants_that_fail() -> None:
    rows = candidates(("passed", 1.0), ("wrong", 0.5), ("passed", 1.0), ("refused", 0.0), ("step_limit", 0.0))
    assert pairs_of(rows) == [("text 0", "text 1"), ("text 0", "text 4")], "equivalent: no pair; refused: no evidence"
    assert pairs_of(rows, above_rejected=0.0) == [("text 0", "text 1")]
    assert len(pairs_of(rows, max_pairs_per_problem=1)) == 1


def test_what_became_of_a_program_that_fails_makes_no_pair() -> None:
    assert pairs_of(candidates(("wrong", 0.5), ("wrong", 0.25), ("exception", 0.0))) == []


def test_an_origin_is_not_dropped_for_a_sample_that_says_the_same() -> None:
    origin, mutant = candidates(("passed", 1.0), ("wrong", 0.0))
    same = completion("p", 7, text="text 0", code="text 0", origin_id=None, mutation=None)
    rows = [same | execution(same["completion_id"], "p"), origin, mutant]
    (pair,) = pair_completions(rows, PairSelection(strategy="mutation"))
    assert (pair["chosen_id"], pair["rejected_id"]) == (origin["completion_id"], mutant["completion_id"])


def recipe(**sections: Any) -> config.Recipe:
    return config.parse(
        {
            "dataset": "mutants",
            "problems": {"source": "builtin", "limit": 4},
            "generate": {"sampler": "mutation", "n": 4},
            "execute": {"steps": 200_000, "workers": 1},
            "pairs": {"strategy": "mutation"},
            "measures": {"workers": 1},
            "curriculum": {"metric": "edit_distance", "prune": []},
        }
        | sections,
        "the test",
    )


def test_a_version_of_mutants_counts_the_equivalent_ones_and_is_mutated_and_repaired_in_turn(tmp_path: Path) -> None:
    version, _ = build(recipe(), tmp_path)
    runs = duckdb.sql(
        f"""SELECT mutation IS NULL AS origin, status, count(*) FROM '{version}/completions/*.parquet'
        JOIN '{version}/executions/*.parquet' USING (completion_id) GROUP BY ALL"""
    ).fetchall()
    counts = {(origin, status): count for origin, status, count in runs}
    assert counts[True, "passed"] == 4, "every program passes"
    failing = sum(count for (origin, status), count in counts.items() if not origin and status != "passed")
    pairs = store.read(version, "pairs").to_pylist()
    assert len(pairs) == failing > 8 and {pair["strategy"] for pair in pairs} == {"mutation"}

    again = {"sampler": "mutation", "n": 1, "from_version": str(version), "programs_per_problem": 2}
    second, _ = build(recipe(dataset="again", generate=again), tmp_path)
    assert {row["model"] for row in store.read(second, "completions").to_pylist()} == {"mutants@1"}

    source = {"source": "failures", "path": str(version), "bugs_per_problem": 1}
    repair = {"dataset": "repair", "problems": source, "generate": {"sampler": "reference"}, "pairs": {}}
    third = recipe(**repair, curriculum={"metric": "shuffled"})
    from curation.problems import read_problems

    bugs = read_problems(third.problems)
    assert len(bugs) == 4 and all(bug["buggy_program"].strip() in bug["prompt"] for bug in bugs)
    assert Counter("It fails this test" in bug["prompt"] for bug in bugs) == {True: 4}
    assert [bug["task_id"] for bug in bugs][0].endswith("/bug-1")
    fixes = {row["reference_solution"] for row in bugs}
    assert fixes == {row["code"] for row in store.read(version, "completions").to_pylist() if row["mutation"] is None}


def test_the_key_of_a_table_follows_the_version_and_not_where_it_lies(tmp_path: Path) -> None:
    def key(digest: str, folder: str) -> str:
        place = tmp_path / folder
        place.mkdir()
        (place / "manifest.json").write_text(json.dumps({"format": 1, "digest": digest}))
        return table_keys(recipe(generate={"sampler": "mutation", "from_version": str(place)}))["completions"]

    assert key("a", "1") == key("a", "2") != key("b", "3")


def test_a_version_without_programs_for_the_problems_is_one_line(tmp_path: Path, tables: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match="is not a sealed version"):
        sampled(tables(problems=[problem()]), sampler="mutation", from_version=tmp_path)

"""The command line as scripts meet it: exit codes, one line per error on stderr, results on stdout."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.commands import run

RECIPE = """
dataset: small
problems: {source: builtin, limit: 6}
generate: {sampler: scripted, n: 4}
pairs: {strategy: all_pairs}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with two versions of one dataset, the second re-curated."""
    folder = tmp_path_factory.mktemp("root")
    (folder / "small.yaml").write_text(RECIPE)
    assert run("build", folder / "small.yaml", "--root", folder) == 0
    changed = ("--set", "curriculum.metric=edit_distance")
    assert run("build", folder / "small.yaml", "--root", folder, *changed) == 0
    return folder


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["bild", "demo"], 2, 'Unknown command "bild". Did you mean "build"?'),
        (["build"], 2, "requires an argument"),
        (["build", "demo", "--set", "generate.nn=2"], 2, "unknown key 'generate.nn', did you mean 'n'?"),
        (["build", "small.yaml", "--server", "maybe"], 2, "maybe"),
        (["show", "nothing"], 1, "no sealed version of 'nothing'"),
        (["sql", "small@9", "SELECT 1"], 1, "small has no version 9, it has 1, 2"),
        (["sql", "small", "SELECT nope FROM pairs"], 1, "the SQL does not run"),
        (["sql", "small", "DROP TABLE pairs"], 1, "must be one SELECT"),
        (["sql", "small", "SELECT * FROM read_csv('/etc/passwd')"], 1, "the SQL does not run"),
        (["diff", "small@1", "small@7"], 1, "small has no version 7"),
        (["judge", "--problems", "gone.jsonl", "--samples", "gone.jsonl"], 1, "no file gone.jsonl"),
    ],
)
def test_what_goes_wrong_is_one_line_and_an_exit_code(
    root: Path, arguments: list[str], code: int, said: str, capsys
) -> None:
    place = [] if arguments[0] in ("bild", "judge") else ["--root", root]
    assert run(*arguments, *place) == code
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("pairwright: ") and err.count("\n") == 1
    assert said in err


def test_rows_come_as_a_table_csv_json_or_parquet(root: Path, tmp_path: Path, capsysbinary) -> None:
    query = "SELECT status, count(*) AS n FROM executions GROUP BY ALL ORDER BY ALL"
    outputs = {}
    for style in ("table", "csv", "json"):
        assert run("sql", "small", query, "--format", style, "--root", root) == 0
        outputs[style] = capsysbinary.readouterr().out.decode()
    rows = [json.loads(line) for line in outputs["json"].splitlines()]
    assert {row["status"] for row in rows} >= {"passed"} and sum(row["n"] for row in rows) == 24
    assert outputs["csv"].splitlines()[0] == '"status","n"' and len(outputs["csv"].splitlines()) == len(rows) + 1
    assert all(row["status"] in outputs["table"] for row in rows)
    out = tmp_path / "rows.parquet"
    assert run("sql", "small", query, "--format", "parquet", "--out", out, "--root", root) == 0
    assert pq.read_table(out).to_pylist() == rows


def test_hostile_text_is_shown_as_text(root: Path, capsysbinary) -> None:
    query = "SELECT '[red]' || chr(27) || '[31m' || chr(8238) || chr(10) AS text"
    assert run("sql", "small", query, "--root", root) == 0
    shown = capsysbinary.readouterr().out.decode()
    assert "[red]" in shown and "\x1b" not in shown and "\u202e" not in shown and "\\n" in shown


def test_the_prompt_answers_query_after_query_and_outlives_a_wrong_one(root: Path, monkeypatch, capsysbinary) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT nope;\nSELECT count(*) AS n\nFROM pairs;\n.quit\n"))
    assert run("sql", "small", "--format", "json", "--root", root) == 0
    out, err = (part.decode() for part in capsysbinary.readouterr())
    assert '{"n": ' in out and "nope" in err


def test_versions_and_what_changed_between_them(root: Path, capsysbinary) -> None:
    assert run("versions", "small", "--format", "json", "--root", root) == 0
    first, second = (json.loads(line) for line in capsysbinary.readouterr().out.splitlines())
    assert (first["version"], first["parent"], second["version"], second["parent"]) == (1, None, 2, 1)
    assert second["own_bytes"] < first["bytes"] / 2, "what did not change is shared, not written again"
    assert run("diff", "small@1", "small@2", "--root", root) == 0
    said = capsysbinary.readouterr().out.decode()
    assert "curriculum.metric" in said and "edit_distance" in said and "completions" in said


def test_gc_says_what_it_would_remove_and_keeps_what_others_come_from(root: Path, capsys) -> None:
    assert run("gc", "small", "--keep", "1", "--dry-run", "--root", root) == 0
    assert capsys.readouterr().out == "nothing to remove\n"  # version 2 was made from version 1


def test_verify_and_show(root: Path, capsys) -> None:
    assert run("verify", "small@1", "--root", root) == 0
    assert "small@1 is as sealed" in capsys.readouterr().out
    assert run("show", "small", "--json", "--root", root) == 0
    assert json.loads(capsys.readouterr().out)["version"] == 2
    assert run("show", "--root", root) == 0
    assert capsys.readouterr().out == "small: 2 sealed, newest small@2\n"


PROBLEM = {"task_id": "one", "prompt": "def one():\n", "entry_point": "one", "tests": ["assert one() == 1"]}
SAMPLES = [
    json.dumps({"task_id": "one", "solution": "def one():\n    return 1\n"}),
    "{nonsense",
    json.dumps({"task_id": "two", "solution": ""}),
    json.dumps({"task_id": "one", "completion": "    return 2\n"}),
]


def test_judge_names_bad_lines_and_loses_nothing_else(tmp_path: Path, capsys) -> None:
    problems, samples = tmp_path / "problems.jsonl", tmp_path / "samples.jsonl.gz"
    problems.write_text(json.dumps(PROBLEM | {"prompt_format": "code"}) + "\n")
    samples.write_bytes(gzip.compress("\n".join(SAMPLES).encode()))
    assert run("judge", "--problems", problems, "--samples", samples) == 1
    out, err = capsys.readouterr()
    assert "line 2 of the samples is not JSON" in err and "line 3 of the samples: there is no problem 'two'" in err
    assert "pass@1: 0.5000" in out
    rows = [json.loads(line) for line in (tmp_path / "samples_results.jsonl").read_text().splitlines()]
    assert [(row["line"], row["status"], row["passed"]) for row in rows] == [(1, "passed", True), (4, "wrong", False)]


def test_judge_agrees_with_human_evals_own_files(tmp_path: Path, capsys) -> None:
    from curation.problem_files import installed_humaneval, records

    samples = tmp_path / "samples.jsonl"
    with samples.open("w") as stream:
        for _, record in list(records(installed_humaneval()))[:20]:
            for body in (record["canonical_solution"], "    return None\n"):
                stream.write(json.dumps({"task_id": record["task_id"], "completion": body}) + "\n")
    command = ("judge", "--problems", installed_humaneval(), "--samples", samples, "--mode", "fast")
    assert run(*command) == 0
    assert "pass@1: 0.5000" in capsys.readouterr().out


def test_a_query_may_come_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], root: Path
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT count(*) > 0 AS some FROM pairs"))
    assert run("sql", "small", "-", "--format", "csv", "--root", root) == 0
    assert capsys.readouterr().out.splitlines() == ['"some"', "true"]

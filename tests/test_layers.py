"""Who may import whom, and which heavy library lives in which file: the table of the design, enforced."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("sandbox", "curation", "analysis", "training", "flows")
SHARED = ("curation.schema", "curation.store", "curation.errors", "curation.progress", "curation.manifest")
MAY_IMPORT = {
    "sandbox": (),
    "curation": ("sandbox",),
    "analysis": (*SHARED, "curation.copies", "curation.storage", "curation.waiting"),
    "training": SHARED,
    "flows": ("sandbox", "curation", "analysis", "training"),
}
# A heavy library and the only places that may import it.
LIVES_IN = {
    "pyarrow": ("curation/", "analysis/", "training/", "flows/tabular.py"),
    "vllm": ("curation/vllm_sampler.py",),
    "datasets": ("curation/hub_problems.py",),
    "huggingface_hub": ("curation/hub.py", "curation/hub_problems.py", "flows/doctor.py"),
    "duckdb": ("analysis/",),
    "altair": ("analysis/charts.py",),
    "vl_convert": ("analysis/charts.py",),
    "pygments": ("flows/pair_view.py",),
    "rapidfuzz": ("analysis/", "curation/dedup.py", "curation/decontaminate.py"),
    "torch": ("training/", "curation/vllm_sampler.py", "curation/embedded.py", "flows/doctor.py"),
    "transformers": ("training/", "curation/vllm_sampler.py", "curation/embedded.py"),
    "peft": ("training/",),
    "prefect": ("flows/",),
    "ray": ("flows/driver.py",),
    "distributed": ("flows/driver.py",),
    "cyclopts": ("flows/",),
    "rich": ("flows/",),
}


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Every module a file imports, at the top or inside a function, with its line."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def files() -> list[Path]:
    return sorted(file for room in ROOMS for file in (ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_follow_the_table(file: Path) -> None:
    where = str(file.relative_to(ROOT))
    room = where.split("/")[0]
    for line, name in imports(file):
        top = name.split(".")[0]
        if top in ROOMS and top != room:
            allowed = any(name == other or name.startswith(f"{other}.") for other in MAY_IMPORT[room])
            assert allowed, f"{where}:{line} imports {name}, {room} may import only {MAY_IMPORT[room]}"
        if top in LIVES_IN:
            assert where.startswith(LIVES_IN[top]), f"{where}:{line} imports {name}, which lives in {LIVES_IN[top]}"
        if room == "sandbox" and top != "sandbox":
            assert top in sys.stdlib_module_names, f"{where}:{line} imports {name}, not of the standard library"


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("sandbox.pool", "pyarrow curation"),
        ("curation.generate", "vllm torch transformers datasets"),
        ("curation.problems", "datasets"),
        ("flows.cli", "prefect torch vllm duckdb pyarrow altair pygments"),
        ("flows.runners", "ray distributed prefect pyarrow"),
        ("analysis.engine", "torch prefect"),
    ],
)
def test_importing_one_thing_does_not_import_another(module: str, absent: str) -> None:
    program = f"import sys, {module}; print(*(m for m in {absent.split()!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == []

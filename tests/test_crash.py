"""kill -9 at random moments, then the same command: in the end the same rows, the same digest, and nothing torn."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curation import manifest, store

ROOT = Path(__file__).parents[1]
KILLS = 10
RECIPE = """
dataset: crash
problems: {source: builtin, shard_size: 12}
generate: {sampler: scripted, n: 6}
pairs: {strategy: all_pairs}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "crash.yaml"
    file.write_text(RECIPE)
    return file


def start(recipe: Path, root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "build", str(recipe), "--root", str(root), "--server", "off"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(recipe: Path, root: Path) -> Path:
    build = start(recipe, root)
    said, _ = build.communicate()
    assert build.returncode == 0, said
    return manifest.open_version(root, "crash")


def processes_of(root: Path) -> list[int]:
    """Processes whose command line or working folder names `root`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if str(root).encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@pytest.mark.slow
def test_ten_kills_leave_the_same_version_as_none(recipe: Path, tmp_path: Path) -> None:
    begun = time.monotonic()
    calm = finish(recipe, tmp_path / "calm")
    duration = time.monotonic() - begun
    moments = random.Random(20)
    root, kills, cut_short = tmp_path / "stormy", 0, 0
    while kills < KILLS:
        begun, anew = time.monotonic(), not root.exists()
        build = start(recipe, root)
        try:
            build.communicate(timeout=moments.uniform(0.3, 1.0) * duration)
            if anew:  # the first of all may have been slow, as files were read and compiled for the first time
                duration = min(duration, time.monotonic() - begun)
        except subprocess.TimeoutExpired:
            os.killpg(build.pid, signal.SIGKILL)
            build.communicate()
            kills += 1
            cut_short += bool(list((root / "crash").glob(".work/*/*/*.parquet")))
        for version in manifest.versions(root, "crash"):
            assert manifest.verify(root / "crash" / str(version)) == []
            if kills < KILLS:  # it got to the end: start over, so that the remaining kills hit something
                shutil.rmtree(root)
    assert cut_short >= 1, "no kill fell into the middle of a stage"
    stormy = finish(recipe, root)
    assert manifest.read_manifest(stormy)["digest"] == manifest.read_manifest(calm)["digest"]
    for table in ("completions", "pairs", "curriculum"):
        assert store.read(stormy, table).equals(store.read(calm, table))
    assert manifest.verify(stormy) == []
    assert not list(root.glob(f"crash/**/*{store.TEMPORARY}")) and not list(root.glob("crash/.sealing-*"))
    assert processes_of(root) == []


@pytest.mark.slow
def test_a_second_build_at_the_same_time_is_one_clear_line_and_disturbs_nothing(recipe: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    first = start(recipe, root)
    lock = root / "crash" / ".lock"
    while not (lock.exists() and lock.read_text().strip()):
        assert first.poll() is None
        time.sleep(0.01)
    second = start(recipe, root)
    said, _ = second.communicate()
    assert second.returncode == 1
    assert said.strip() == (
        f"pairwright: dataset 'crash' under {root} is being built by process {first.pid}: wait for it, or stop it"
    )
    first.communicate()
    assert first.returncode == 0 and manifest.verify(manifest.open_version(root, "crash")) == []

"""Processes that seal versions of one dataset at once: one wins a number, the other is told, nothing is torn."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from curation import manifest, workspace
from curation.schema import TABLES
from literal_rows import plant, problem

SEAL = {"config": {}, "keys": {}, "cut_points": {}, "checks": {}}


def seal_together(work: Path, root: Path, ready: Barrier, said: Queue[str]) -> None:
    """Seal, but take the number only when the other process is about to take it too."""
    take = manifest._take_number

    def together(staging: Path, target: Path) -> None:
        ready.wait(60)
        take(staging, target)

    manifest._take_number = together
    try:
        said.put(manifest.seal(work, root, "demo", **SEAL).name)  # type: ignore[arg-type]
    except manifest.ManifestError as error:
        said.put(str(error))


def test_of_two_that_seal_at_once_one_is_told_and_both_can_go_on(tmp_path: Path) -> None:
    works = [
        plant(tmp_path / name, **({table: [] for table in TABLES} | {"problems": [problem(name)]})) for name in "ab"
    ]
    context = multiprocessing.get_context("spawn")
    ready, said = context.Barrier(2), context.Queue()
    processes = [context.Process(target=seal_together, args=(work, tmp_path, ready, said)) for work in works]
    for process in processes:
        process.start()
    outcomes = sorted(said.get(timeout=120) for _ in processes)
    for process in processes:
        process.join(60)
    assert outcomes == [
        "1",
        "version 1 of demo was sealed by another process meanwhile: run the same command again to seal the next one",
    ]
    assert manifest.versions(tmp_path, "demo") == [1]
    assert manifest.verify(tmp_path / "demo/1") == []
    assert not list((tmp_path / "demo").glob(".sealing-*"))
    for number, work in enumerate(works, 2):
        assert manifest.seal(work, tmp_path, "demo", **SEAL).name == str(number)  # type: ignore[arg-type]


def test_what_a_killed_process_left_of_a_seal_goes_with_the_next(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    alive = tmp_path / "demo" / f".sealing-1-{os.getppid()}"
    for folder in (tmp_path / "demo" / f".sealing-1-{dead.pid}", alive):
        (folder / "problems").mkdir(parents=True)
    work = plant(
        tmp_path / "work",
        **{table: [] for table in TABLES},
    )
    manifest.seal(work, tmp_path, "demo", **SEAL)  # type: ignore[arg-type]
    assert list((tmp_path / "demo").glob(".sealing-*")) == [alive]


def test_a_process_that_holds_the_dataset_is_named_to_the_other(tmp_path: Path) -> None:
    hold = (
        "import sys, time; from pathlib import Path; from curation import workspace\n"
        "with workspace.locked(Path(sys.argv[1]), 'demo'):\n    print('held', flush=True); time.sleep(60)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(workspace.BusyError, match=f"is being built by process {holder.pid}: wait for it"):
            with workspace.locked(tmp_path, "demo"):
                pass
    finally:
        holder.kill()
        holder.communicate()
    with workspace.locked(tmp_path, "demo"):
        pass


def test_files_that_a_sealed_version_has_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = plant(tmp_path / "work", **({table: [] for table in TABLES} | {"problems": [problem("a")]}))
    first = manifest.seal(work, tmp_path, "demo", **SEAL)  # type: ignore[arg-type]
    plant(work, problems=[problem("b")])
    read: list[str] = []
    whole = manifest.file_sha256
    monkeypatch.setattr(manifest, "file_sha256", lambda file: read.append(file.parent.name) or whole(file))
    second = manifest.seal(work, tmp_path, "demo", **SEAL)  # type: ignore[arg-type]
    assert read == ["problems"]
    before, after = (manifest.read_manifest(folder)["tables"] for folder in (first, second))
    assert [table for table in TABLES if before[table] != after[table]] == ["problems"]
    monkeypatch.undo()
    assert manifest.verify(first) == manifest.verify(second) == []


def test_checks_of_tables_that_were_sealed_are_not_run_again(tmp_path: Path) -> None:
    from analysis.checks import run_checks

    work = plant(tmp_path, problems=[problem("a"), problem("a")])
    assert run_checks(work)["ids_are_unique_in_problems"] == 1
    assert run_checks(work, sound={"problems"})["ids_are_unique_in_problems"] == 0
    assert run_checks(work, sound={"pairs"})["ids_are_unique_in_problems"] == 1

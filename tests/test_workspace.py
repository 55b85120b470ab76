"""Builds find their finished shards again, take over what others have, and lock each other out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import completion, problem
from curation import manifest, store, workspace
from curation.errors import UserError
from curation.schema import TABLES
from curation.store import Shard

ONE = Shard("train")
KEYS = {table: f"key of {table}" for table in TABLES}


def test_the_same_build_finds_its_folder_again_without_the_half_written(tmp_path: Path) -> None:
    work = workspace.open_work(tmp_path, "demo", "b1", KEYS)
    store.write(work, "problems", [problem()], ONE)
    (work / "problems" / f"x{store.TEMPORARY}").write_bytes(b"half")
    again = workspace.open_work(tmp_path, "demo", "b1", KEYS)
    assert again == work and [file.name for file in (work / "problems").iterdir()] == [ONE.file]


def test_tables_with_the_same_key_are_taken_over_and_others_are_not(tmp_path: Path) -> None:
    first = workspace.open_work(tmp_path, "demo", "b1", KEYS)
    for table, rows in {"problems": [problem()], "completions": [completion("p")]}.items():
        store.write(first, table, rows, ONE)
    second = workspace.open_work(tmp_path, "demo", "b2", KEYS | {"completions": "another"})
    assert store.shards(second, "problems") == [ONE] and store.shards(second, "completions") == []


def test_a_sealed_version_gives_its_tables_and_is_found_by_its_keys(tmp_path: Path) -> None:
    work = workspace.open_work(tmp_path, "demo", "b1", KEYS)
    for table in TABLES:
        store.write(work, table, [problem()] if table == "problems" else [], ONE)
    sealed = manifest.seal(work, tmp_path, "demo", config={}, keys=KEYS, cut_points={}, checks={})
    workspace.close_work(work)
    assert not work.exists()
    assert workspace.find_sealed(tmp_path, "demo", KEYS) == sealed
    assert workspace.find_sealed(tmp_path, "demo", KEYS | {"pairs": "another"}) is None
    changed = workspace.open_work(tmp_path, "demo", "b2", KEYS | {"curriculum": "another"})
    assert store.shards(changed, "pairs") == [ONE] and store.shards(changed, "curriculum") == []
    store.write(changed, "pairs", [], ONE)
    assert manifest.verify(sealed) == []


def test_a_damaged_plan_only_means_nothing_is_taken_over(tmp_path: Path) -> None:
    first = workspace.open_work(tmp_path, "demo", "b1", KEYS)
    store.write(first, "problems", [problem()], ONE)
    (first / workspace.PLAN).write_text("{")
    assert store.shards(workspace.open_work(tmp_path, "demo", "b2", KEYS), "problems") == []


HOLD = """
import sys, time
from pathlib import Path
from curation import workspace
with workspace.locked(Path(sys.argv[1]), "demo"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_builder_is_told_who_is_at_work_and_a_killed_one_holds_nothing(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        with pytest.raises(workspace.BusyError, match=f"being built by process {holder.pid}"):
            with workspace.locked(tmp_path, "demo"):
                pass
        with workspace.locked(tmp_path, "another"):
            pass
        holder.kill()
        holder.wait()
    with workspace.locked(tmp_path, "demo"):
        pass


@pytest.mark.parametrize("name", ["", "../up", "Demo", "a/b", ".hidden"])
def test_a_name_that_is_no_folder_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="expected a dataset name"):
        with workspace.locked(tmp_path, name):
            pass


def test_a_root_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="give another folder with --root"):
        with workspace.locked(tmp_path / "file", "demo"):
            pass

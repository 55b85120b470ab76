"""A version is sealed once, found by name, and any later change to it is found too."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from conftest import completion, execution, problem
from curation import manifest, store
from curation.schema import TABLES
from curation.store import Shard

ONE = Shard("train")


@pytest.fixture
def work(tables: Callable[..., Path]) -> Path:
    good, bad = completion("p", 0), completion("p", 1, token_ids=None, token_logps=None, sum_logp=None)
    return tables(
        problems=[problem(problem_id="p")],
        completions=[good, bad],
        executions=[execution(good["completion_id"], "p"), execution(bad["completion_id"], "p", score=0.0)],
        pairs=[],
        **{table: [] for table in TABLES if table not in ("problems", "completions", "executions", "pairs")},
    )


def seal(work: Path, root: Path, **options: object) -> Path:
    settings: dict = {"config": {}, "keys": {"pairs": "k"}, "cut_points": {}, "checks": {"ids_are_unique": 0}} | options
    return manifest.seal(work, root, "demo", **settings)


def test_a_sealed_version_verifies_and_is_found_by_name(work: Path, tmp_path: Path) -> None:
    folder = seal(work, tmp_path)
    assert folder == tmp_path / "demo" / "1" and manifest.verify(folder) == []
    assert seal(work, tmp_path).name == "2"
    assert manifest.versions(tmp_path, "demo") == [1, 2] and manifest.datasets(tmp_path) == ["demo"]
    assert manifest.open_version(tmp_path, "demo").name == "2"
    assert manifest.open_version(tmp_path, "demo", 1) == folder


def test_the_digest_follows_the_rows_and_not_what_was_measured_of_the_run(work: Path, tmp_path: Path) -> None:
    first = manifest.read_manifest(seal(work, tmp_path))
    rows = store.read(work, "executions").to_pylist()
    store.write(work, "executions", [row | {"cpu_ms": 9.9, "wall_ms": 9.9, "peak_kb": 9} for row in rows], ONE)
    slower = manifest.read_manifest(seal(work, tmp_path))
    assert slower["digest"] == first["digest"]
    assert slower["tables"]["executions"]["shards"][0]["sha256"] != first["tables"]["executions"]["shards"][0]["sha256"]
    store.write(work, "executions", [row | {"steps": 11} for row in rows], ONE)
    assert manifest.read_manifest(seal(work, tmp_path))["digest"] != first["digest"]


def test_a_null_and_an_empty_value_have_different_digests(work: Path, tmp_path: Path) -> None:
    digests = set()
    for tokens in (None, [], [0]):
        rows = [row | {"token_ids": tokens} for row in store.read(work, "completions").to_pylist()]
        store.write(work, "completions", rows, ONE)
        digests.add(manifest.read_manifest(seal(work, tmp_path))["digest"])
    assert len(digests) == 3


def test_a_check_that_found_rows_refuses_the_seal_by_name(work: Path, tmp_path: Path) -> None:
    with pytest.raises(manifest.ManifestError, match=r"these checks found rows: sides_differ \(3\)"):
        seal(work, tmp_path, checks={"ids_are_unique": 0, "sides_differ": 3})
    assert manifest.versions(tmp_path, "demo") == []


def test_a_table_with_a_missing_shard_refuses_the_seal(work: Path, tmp_path: Path) -> None:
    store.path(work, "curriculum", ONE).unlink()
    with pytest.raises(manifest.ManifestError, match="curriculum lacks 1 shards"):
        seal(work, tmp_path)
    assert manifest.versions(tmp_path, "demo") == []


def damage(folder: Path, how: str) -> None:
    shard = folder / "executions" / ONE.file
    if how == "byte":
        content = bytearray(shard.read_bytes())
        content[len(content) // 2] ^= 1
        shard.unlink()
        shard.write_bytes(content)
    elif how == "cut":
        content = shard.read_bytes()
        shard.unlink()
        shard.write_bytes(content[:-10])
    elif how == "gone":
        shard.unlink()
    elif how == "extra":
        (folder / "executions" / "train-00001-of-00002.parquet").write_bytes(b"x")
    elif how == "rows":
        listed = json.loads((folder / manifest.MANIFEST).read_text())
        rows = pq.read_table(shard).to_pylist()
        shard.unlink()
        store.write(folder, "executions", [row | {"status": "passed", "steps": 1} for row in rows], ONE)
        entry = listed["tables"]["executions"]["shards"][0]
        entry |= {"sha256": manifest.file_sha256(shard), "num_bytes": shard.stat().st_size}
        (folder / manifest.MANIFEST).write_text(json.dumps(listed))
    elif how == "digest":
        listed = json.loads((folder / manifest.MANIFEST).read_text())
        (folder / manifest.MANIFEST).write_text(json.dumps(listed | {"digest": "0" * 64}))


@pytest.mark.parametrize(
    ("how", "found"),
    [
        ("byte", "its bytes have changed since it was sealed"),
        ("cut", "bytes, sealed with"),
        ("gone", "executions/train-00000-of-00001.parquet: missing"),
        ("extra", "not part of the sealed version"),
        ("rows", "executions: rows do not have the digest"),
        ("digest", "the version's digest does not follow"),
    ],
)
def test_verify_finds_what_was_changed(work: Path, tmp_path: Path, how: str, found: str) -> None:
    folder = seal(work, tmp_path)
    damage(folder, how)
    assert [line for line in manifest.verify(folder) if found in line], manifest.verify(folder)


def test_changing_the_work_folder_afterwards_does_not_change_the_version(work: Path, tmp_path: Path) -> None:
    folder = seal(work, tmp_path)
    store.write(work, "problems", [problem(problem_id="q")], ONE)
    assert manifest.verify(folder) == []


def test_a_folder_without_a_manifest_is_no_version(work: Path, tmp_path: Path) -> None:
    seal(work, tmp_path)
    (tmp_path / "demo" / "2").mkdir()
    assert manifest.versions(tmp_path, "demo") == [1]
    with pytest.raises(manifest.ManifestError, match="demo has no version 2, it has 1"):
        manifest.open_version(tmp_path, "demo", 2)
    with pytest.raises(manifest.ManifestError, match="datasets there: demo"):
        manifest.open_version(tmp_path, "dmeo")


@pytest.mark.parametrize("damaged", ["", "{", "[]", '{"format": 99}'])
def test_a_damaged_manifest_is_one_clear_line(work: Path, tmp_path: Path, damaged: str) -> None:
    folder = seal(work, tmp_path)
    (folder / manifest.MANIFEST).write_text(damaged)
    with pytest.raises(manifest.ManifestError, match="damaged|another pairwright wrote it"):
        manifest.verify(folder)


REFERENCES = [("demo", ("demo", None)), ("a-b@3", ("a-b", 3)), ("demo@v2", ("demo", 2))]


@pytest.mark.parametrize(("text", "parsed"), REFERENCES)
def test_references(text: str, parsed: tuple[str, int | None]) -> None:
    assert manifest.parse_reference(text) == parsed


@pytest.mark.parametrize("text", ["", "demo@", "demo@x", "../demo", "De mo", "demo@-1", "demo@²"])
def test_what_is_no_reference_is_said(text: str) -> None:
    with pytest.raises(manifest.ManifestError, match="expected NAME or NAME@VERSION"):
        manifest.parse_reference(text)


def test_every_column_has_a_sentence_and_every_key_is_a_column() -> None:
    for table in TABLES.values():
        assert table.key in table.schema.names and table.row
        for name in table.schema.names:
            assert len(table.doc(name).split()) >= 3, f"{table.name}.{name} needs a sentence"

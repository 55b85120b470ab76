"""One writer, one reader: whole shards or none, exactly the declared columns, the same bytes every time."""

from __future__ import annotations

import errno
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import completion, problem
from curation import store
from curation.schema import TABLES
from curation.store import Shard

ONE = Shard("train")


def test_rows_come_back_as_they_went_in(tmp_path: Path) -> None:
    rows = [problem("a"), problem("b", tests=[], reference_solution=None, prompt="é\u2028\x00")]
    assert store.write(tmp_path, "problems", rows, ONE) == 2
    nulls = dict.fromkeys(field.name for field in TABLES["problems"].schema if field.nullable)
    assert store.read(tmp_path, "problems").to_pylist() == [nulls | row for row in rows], "what is left out is null"


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    rows = [completion("p", index) for index in range(50)]
    store.write(tmp_path / "one", "completions", rows, ONE)
    store.write(tmp_path / "two", "completions", pa.Table.from_pylist(rows, TABLES["completions"].schema), ONE)
    one, two = (store.path(tmp_path / name, "completions", ONE).read_bytes() for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"promt": "x"}, "has the unknown ['promt']"),
        ({"prompt": None}, "problems.prompt holds a null"),
        ({"difficulty": "hard"}, "does not fit its columns"),
        ({"difficulty": 300}, "does not fit its columns"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_and_nothing_is_written(tmp_path: Path, change: dict, said: str) -> None:
    with pytest.raises(store.SchemaError) as refusal:
        store.write(tmp_path, "problems", [problem() | change], ONE)
    assert said in str(refusal.value)
    assert store.shards(tmp_path, "problems") == []


def test_a_row_that_lacks_a_column_is_refused_by_name(tmp_path: Path) -> None:
    row = problem()
    del row["license"]
    with pytest.raises(store.SchemaError, match=r"lacks \['license'\]"):
        store.write(tmp_path, "problems", [row], ONE)


def test_an_empty_table_is_a_table(tmp_path: Path) -> None:
    assert store.write(tmp_path, "pairs", [], ONE) == 0
    assert store.shards(tmp_path, "pairs") == [ONE]
    assert store.read(tmp_path, "pairs").schema.names == TABLES["pairs"].schema.names


def test_the_plan_is_the_problems_shards_and_missing_is_what_a_table_lacks(tmp_path: Path) -> None:
    shards = [Shard("test", 0, 1), Shard("train", 0, 2), Shard("train", 1, 2)]
    for shard in shards:
        store.write(tmp_path, "problems", [problem(split=shard.split)], shard)
    store.write(tmp_path, "completions", [completion("p")], shards[1])
    assert store.plan(tmp_path) == shards
    assert store.missing(tmp_path, "completions") == [shards[0], shards[2]]


def test_problems_cut_short_are_no_plan(tmp_path: Path) -> None:
    store.write(tmp_path, "problems", [problem()], Shard("train", 1, 2))
    with pytest.raises(store.SchemaError, match="incomplete: run the build again"):
        store.plan(tmp_path)


def test_a_writer_that_fails_half_way_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_short(table: pa.Table, where: Path, **options: object) -> None:
        where.write_bytes(b"PAR1 half of a")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq, "write_table", cut_short)
    with pytest.raises(store.DiskFullError, match="free some space and run the same command again"):
        store.write(tmp_path, "problems", [problem()], ONE)
    assert list((tmp_path / "problems").iterdir()) == []


def test_a_shard_that_is_not_parquet_is_named(tmp_path: Path) -> None:
    file = tmp_path / "problems" / ONE.file
    file.parent.mkdir()
    file.write_bytes(b"not parquet at all")
    with pytest.raises(store.SchemaError, match="not readable as Parquet"):
        store.read(tmp_path, "problems")


def test_what_killed_writers_left_behind_is_swept_and_never_read(tmp_path: Path) -> None:
    store.write(tmp_path, "problems", [problem()], ONE)
    leftover = tmp_path / "problems" / f"{ONE.file}.123{store.TEMPORARY}"
    leftover.write_bytes(b"half")
    assert store.shards(tmp_path, "problems") == [ONE]
    store.sweep(tmp_path)
    assert not leftover.exists() and store.shards(tmp_path, "problems") == [ONE]


def test_published_files_have_page_indexes_and_small_row_groups(tmp_path: Path) -> None:
    store.write(tmp_path, "completions", [completion("p", index) for index in range(9000)], ONE)
    metadata = pq.read_metadata(tmp_path / "completions" / ONE.file)
    assert metadata.num_row_groups == 2
    assert metadata.row_group(0).column(0).has_offset_index
    assert metadata.row_group(0).column(0).compression == "ZSTD"


def test_a_shard_too_large_for_its_readers_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_SHARD_BYTES", 1_000)
    with pytest.raises(store.ShardSizeError, match="lower problems.shard_size"):
        store.write(tmp_path, "completions", [completion("p", index) for index in range(50)], ONE)
    assert store.shards(tmp_path, "completions") == []
    assert list((tmp_path / "completions").iterdir()) == []

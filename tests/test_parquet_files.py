"""What a sealed version's files are: zstd, seekable, chunked by content, bounded in size, a problem at a time."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest

from conftest import completion
from curation import store
from curation.schema import TABLES
from flows import config
from flows.build import build

LARGEST = 500_000_000
SHARD = store.Shard("train")


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    content = {
        "dataset": "files",
        "problems": {"source": "builtin", "limit": 8, "shard_size": 4},
        "generate": {"sampler": "scripted", "n": 6},
        "pairs": {"strategy": "all_pairs"},
        "curriculum": {"metric": "edit_distance"},
    }
    return build(config.parse(content, "here"), tmp_path_factory.mktemp("files"))[0]


@pytest.mark.parametrize("table", TABLES)
def test_every_column_of_every_file_is_zstd_with_a_page_index(version: Path, table: str) -> None:
    files = sorted((version / table).iterdir())
    assert len(files) == len(store.plan(version)) > 1
    for file in files:
        metadata = pq.read_metadata(file)
        columns = [
            metadata.row_group(group).column(index)
            for group in range(metadata.num_row_groups)
            for index in range(metadata.num_columns)
        ]
        assert {column.compression for column in columns} <= {"ZSTD"}
        assert all(column.has_offset_index and column.has_column_index for column in columns)
        assert file.stat().st_size <= LARGEST
        fields = pq.read_schema(file)
        assert all(fields.field(name).metadata[b"doc"].decode() == TABLES[table].doc(name) for name in fields.names)


@pytest.mark.parametrize("table", TABLES)
def test_the_rows_of_a_problem_lie_together(version: Path, table: str) -> None:
    # So that a problem taken out is one stretch of bytes, which chunking by content then pays for alone.
    for shard in store.shards(version, table):
        rows = store.read(version, table, columns=["problem_id"], shard=shard)["problem_id"].to_pylist()
        stretches = [problem for problem, _ in itertools.groupby(rows)]
        assert len(stretches) == len(set(rows))


def test_row_groups_stay_small(tmp_path: Path) -> None:
    store.write(tmp_path, "completions", [completion("p", index) for index in range(9000)], SHARD)
    metadata = pq.read_metadata(store.path(tmp_path, "completions", SHARD))
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [8192, 808]


def share_found(old: bytes, new: bytes) -> float:
    """How many of 500 places in `old` have their 64 bytes somewhere in `new`."""
    places = [random.Random(seed).randrange(4, len(old) * 9 // 10) for seed in range(500)]
    return sum(old[place : place + 64] in new for place in places) / len(places)


def test_chunks_follow_the_content_so_that_a_removed_row_leaves_most_bytes_as_they_were(tmp_path: Path) -> None:
    noise = random.Random(0)
    rows = [completion("p", index, text=noise.randbytes(300).hex()) for index in range(6000)]
    written = {}
    for name, kept in (("whole", rows), ("less", rows[7:])):
        store.write(tmp_path / name, "completions", kept, SHARD)
        file = store.path(tmp_path / name, "completions", SHARD)
        plain = tmp_path / f"{name}.parquet"
        options = store.PARQUET_OPTIONS | {"use_content_defined_chunking": False}
        pq.write_table(store.read(tmp_path / name, "completions"), plain, **options)
        written[name] = file.read_bytes(), plain.read_bytes()
    ours, without = (share_found(old, new) for old, new in zip(written["whole"], written["less"], strict=True))
    assert ours > 0.5 > without


def test_datasets_reads_a_shard_of_no_rows(tmp_path: Path) -> None:
    shards = [store.Shard("train", index, 2) for index in range(2)]
    for shard, rows in zip(shards, ([], [completion("p")]), strict=True):
        store.write(tmp_path, "completions", rows, shard)
    files = [str(store.path(tmp_path, "completions", shard)) for shard in shards]
    read = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert (read.num_rows, read.column_names) == (1, TABLES["completions"].schema.names)

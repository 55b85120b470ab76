"""The one writer and reader of tables: Parquet shards in a folder, each complete from the moment it exists.

    <dataset>/<table>/<split>-00000-of-00004.parquet

The shards of `problems` are the plan of a dataset: every other table ends up with exactly the same ones, so a stage
resumes by doing what `missing` returns. Names are those of the Hugging Face Hub, so a folder is a repository.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation import copies, storage
from curation.errors import UserError
from curation.schema import DECLARED

SHARD_NAME = re.compile(r"(?P<split>[A-Za-z0-9_]+)-(?P<index>\d{5,})-of-(?P<count>\d{5,})\.parquet")
TEMPORARY = ".partial"

# 8,192 rows: larger row groups of wide text make DuckDB's writer and sorts overrun their memory limit (measured, see
# DESIGN). Page index and content-defined chunking let the Hub's viewer seek and its storage keep unchanged chunks.
PARQUET_OPTIONS: dict[str, Any] = {
    "compression": "zstd",
    "row_group_size": 8192,
    "write_page_index": True,
    "use_content_defined_chunking": {"min_chunk_size": 262144, "max_chunk_size": 1048576, "norm_level": 0},
    "store_schema": True,
}

MAX_SHARD_BYTES = 500_000_000  # what `datasets` itself keeps a shard below


class SchemaError(UserError, ValueError):
    """Rows or a file that do not fit the declared table."""


class ShardSizeError(UserError):
    """A shard larger than the Hub's readers take."""


class DiskFullError(UserError, OSError):
    """The disk or quota had no room; nothing half-written was kept."""


@dataclass(frozen=True, order=True)
class Shard:
    """One part of a table: the `index`-th of `count` shards of `split`."""

    split: str
    index: int = 0
    count: int = 1

    @property
    def file(self) -> str:
        """File name, as on the Hub: `train-00000-of-00004.parquet`."""
        return f"{self.split}-{self.index:05d}-of-{self.count:05d}.parquet"


def path(dataset: Path, table: str, shard: Shard) -> Path:
    """Where a shard lies."""
    return dataset / table / shard.file


def write(dataset: Path, table: str, rows: Iterable[Mapping[str, Any]] | pa.Table, shard: Shard) -> int:
    """Write one shard, whole or not at all, and return its number of rows.

    The rows keep the caller's order. The same rows give the same bytes under one version of pyarrow.

    Raises:
        SchemaError: a row lacks a column, has one too many, or holds a null or a type the column does not take.
        DiskFullError: there was no room; the shard does not exist.
        ShardSizeError: the file would be larger than MAX_SHARD_BYTES; the shard does not exist.
    """
    arrow = _conform(table, rows)
    target = path(dataset, table, shard)
    with replacing(target) as partial:
        if arrow.num_rows:
            pq.write_table(arrow, partial, **PARQUET_OPTIONS)
        else:  # no row group at all: datasets cannot read one of no rows
            pq.ParquetWriter(partial, arrow.schema).close()
        if partial.stat().st_size > MAX_SHARD_BYTES:
            raise ShardSizeError(
                f"{table}/{shard.file} would have {partial.stat().st_size >> 20} MB, expected at most "
                f"{MAX_SHARD_BYTES // 10**6}: lower problems.shard_size, so that a shard holds fewer problems"
            )
    return arrow.num_rows


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a temporary path beside `target`; on success sync it and rename it into place, else remove it.

    Where `target` is an object of a store, the path is one of this machine and what it holds is stored in one PUT.

    Raises:
        DiskFullError: the file system, or the store, had no room.
    """
    if storage.remote_of(target):
        with _storing(target) as partial:
            yield partial
        return
    # Not the process's number: two nodes of a cluster that share the folder can have the same.
    partial = target.with_name(f"{target.name}.{secrets.token_hex(6)}{TEMPORARY}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        sync(partial)
        os.replace(partial, target)
        sync(target.parent)
    except OSError as error:
        partial.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFullError(
                f"no room left to write {target}: free some space and run the same command again; "
                "finished shards are kept"
            ) from error
        raise
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def _storing(target: Path) -> Iterator[Path]:
    try:
        with copies.storing(target) as partial:
            yield partial
    except storage.NoRoomError as error:
        raise DiskFullError(str(error)) from None


def sync(where: Path) -> None:
    """Flush a file or a folder to the disk, so that a rename that follows survives a power cut."""
    descriptor = os.open(where, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(dataset: Path, table: str, *, columns: Sequence[str] | None = None, shard: Shard | None = None) -> pa.Table:
    """Read a table, or one shard of it, in shard order.

    Raises:
        SchemaError: the file's columns are not those declared.
    """
    wanted = [shard] if shard else shards(dataset, table)
    schema = DECLARED[table].schema
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns])
    parts = [_read_file(path(dataset, table, one), table, schema, columns) for one in wanted]
    return pa.concat_tables(parts) if parts else schema.empty_table()


def shards(dataset: Path, table: str) -> list[Shard]:
    """The complete shards of a table, by split and index."""
    found = (SHARD_NAME.fullmatch(name) for name in storage.names(dataset / table))
    return sorted(Shard(m["split"], int(m["index"]), int(m["count"])) for m in found if m)


def plan(dataset: Path) -> list[Shard]:
    """The shards every table of this dataset has: those of its problems.

    Raises:
        SchemaError: the problems were not written to the end.
    """
    present = shards(dataset, "problems")
    for shard in present:
        if sum(1 for other in present if (other.split, other.count) == (shard.split, shard.count)) != shard.count:
            raise SchemaError(f"{dataset / 'problems'} is incomplete: run the build again to finish it")
    return present


def missing(dataset: Path, table: str) -> list[Shard]:
    """The planned shards that a table does not have yet."""
    present = set(shards(dataset, table))
    return [shard for shard in plan(dataset) if shard not in present]


def num_rows(dataset: Path, table: str, shard: Shard) -> int:
    """Rows of one shard, from its footer alone."""
    return int(pq.read_metadata(copies.local(path(dataset, table, shard))).num_rows)


def sweep(dataset: Path) -> None:
    """Remove what killed writers left behind. Call it only while holding the dataset's lock."""
    if storage.remote_of(dataset):
        return  # what became no object left nothing behind
    for leftover in dataset.glob(f"*/*{TEMPORARY}"):
        leftover.unlink(missing_ok=True)


def _read_file(file: Path, table: str, schema: pa.Schema, columns: Sequence[str] | None) -> pa.Table:
    try:
        arrow = pq.ParquetFile(copies.local(file)).read(columns=None if columns is None else list(columns))
    except pa.ArrowInvalid as error:
        raise SchemaError(f"{file} is not readable as Parquet ({error}): delete it and build again") from error
    found = set(arrow.schema.names)
    # A version sealed before a nullable column was declared is read with nulls in it.
    lacking = [field for field in schema if field.name not in found]
    if (columns is None and found - set(schema.names)) or not all(field.nullable for field in lacking):
        raise SchemaError(
            f"{file} has the columns {arrow.schema.names}, table {table} has {schema.names}: "
            "it was written by another version of pairwright"
        )
    for field in lacking:
        arrow = arrow.append_column(field, pa.nulls(arrow.num_rows, field.type))
    return arrow.select(schema.names).cast(schema)


def _conform(table: str, rows: Iterable[Mapping[str, Any]] | pa.Table) -> pa.Table:
    """Rows as an Arrow table of exactly the declared schema. `from_pylist` alone drops unknown keys in silence.

    A row may leave out what may be null.
    """
    declared = DECLARED[table].schema
    names, needed = set(declared.names), {field.name for field in declared if not field.nullable}
    if isinstance(rows, pa.Table):
        if set(rows.schema.names) != names:
            raise SchemaError(_difference(table, set(rows.schema.names), names))
        arrow = rows.select(declared.names).cast(declared)
    else:
        listed = list(rows)
        for row in listed:
            if not needed <= row.keys() <= names:
                raise SchemaError(_difference(table, set(row) | (names - needed), names))
        try:
            arrow = pa.Table.from_pylist(listed, schema=declared)
        except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError) as error:
            raise SchemaError(f"a row of {table} does not fit its columns: {error}") from error
    for field in declared:
        if not field.nullable and arrow.column(field.name).null_count:
            raise SchemaError(f"{table}.{field.name} holds a null, and every row must have a value")
    return arrow


def _difference(table: str, found: set[str], declared: set[str]) -> str:
    parts = [f"lacks {sorted(declared - found)}"] if declared - found else []
    parts += [f"has the unknown {sorted(found - declared)}"] if found - declared else []
    return f"a row of {table} {' and '.join(parts)}: the columns are those of curation/schema.py"

"""The pairs one trains on, in training order, as Parquet files of their own, a set per curriculum bucket: what a
published version offers to `load_dataset` besides its tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from analysis import engine
from curation import store
from curation.progress import Progress, silent
from curation.schema import TABLES, column

FOLDER = "curated"
ROWS_AT_ONCE = 8192

SCHEMA = pa.schema(
    [
        *TABLES["pairs"].schema,
        column("bucket", pa.int32(), "0-based bucket of the curriculum, 0 = trained first"),
        column("position", pa.int64(), "0-based place in training order"),
        TABLES["curriculum"].schema.field("metric"),
    ]
)
_GROUPS = """
SELECT split, bucket, count(*) AS num_rows FROM curriculum WHERE bucket IS NOT NULL GROUP BY ALL ORDER BY ALL
"""
_ROWS = """
SELECT pairs.*, bucket, position, metric
FROM pairs JOIN curriculum USING (pair_id)
WHERE curriculum.split = $split AND bucket = $bucket
ORDER BY position
"""


@dataclass(frozen=True)
class Curated:
    """One written file: the next rows, in training order, of one split and bucket."""

    file: str
    split: str
    bucket: int
    num_rows: int
    num_bytes: int


def write_curated(
    version: Path,
    target: Path,
    *,
    max_file_bytes: int = store.MAX_SHARD_BYTES,
    rows_at_once: int = ROWS_AT_ONCE,
    on_progress: Progress = silent,
) -> list[Curated]:
    """Write the kept pairs of a version below `target`, in training order, and describe the files.

    A file is `curated/<split>-bucket-<b>-<number>.parquet`, so that names in order are the curriculum. It holds at
    most `max_file_bytes` bytes of column data before compression.
    """
    written: list[Curated] = []
    with engine.connect(version) as con:
        groups = engine.select(con, _GROUPS).to_pylist()
        total = sum(group["num_rows"] for group in groups)
        for group in groups:
            split, bucket = group["split"], group["bucket"]
            rows = con.sql(_ROWS, params={"split": split, "bucket": bucket}).to_arrow_reader(rows_at_once)
            parts: list[pa.Table] = []
            for batch in rows:
                part = pa.Table.from_batches([batch]).select(SCHEMA.names).cast(SCHEMA)
                if parts and sum(one.nbytes for one in parts) + part.nbytes > max_file_bytes:
                    written.append(_write(target, split, bucket, written, parts))
                    parts = []
                parts.append(part)
                on_progress(sum(one.num_rows for one in written) + sum(one.num_rows for one in parts), total)
            if parts:
                written.append(_write(target, split, bucket, written, parts))
    return written


def _write(target: Path, split: str, bucket: int, before: list[Curated], parts: list[pa.Table]) -> Curated:
    number = sum(one.split == split and one.bucket == bucket for one in before)
    file = f"{FOLDER}/{split}-bucket-{bucket}-{number:05d}.parquet"
    rows = pa.concat_tables(parts)
    with store.replacing(target / file) as partial:
        pq.write_table(rows, partial, **store.PARQUET_OPTIONS)
    return Curated(file, split, bucket, rows.num_rows, (target / file).stat().st_size)

"""Sealed versions side by side: which there are, and what changed from one to another."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from analysis import engine
from analysis.curriculum import MEASURES
from analysis.engine import SQL
from curation import manifest, storage
from curation.schema import TABLES


def list_versions(root: Path, name: str) -> pa.Table:
    """One row per sealed version: when it was made and from which, its pairs and how many are trained on, its size.

    `own_bytes` is what deleting the version would free: files that other versions share are not in it.
    """
    rows = []
    for number in manifest.versions(root, name):
        folder = manifest.open_version(root, name, number)
        sealed = manifest.read_manifest(folder)
        files = storage.files(folder).values()
        rows.append(
            {
                "version": number,
                "created_at": sealed["created_at"],
                "parent": sealed["parent"],
                "problems": _num_rows(sealed, "problems"),
                "completions": _num_rows(sealed, "completions"),
                "pairs": _num_rows(sealed, "pairs"),
                "trained": sum(sealed["cut_points"].get("pairs", [])),
                "bytes": sum(file.size for file in files),
                "own_bytes": sum(file.size for file in files if not file.shared),
                "digest": sealed["digest"][:12],
            }
        )
    kinds = {"parent": pa.int64(), "created_at": pa.string(), "digest": pa.string()}
    names = "version created_at parent problems completions pairs trained bytes own_bytes digest".split()
    return pa.Table.from_pylist(rows, pa.schema([(column, kinds.get(column, pa.int64())) for column in names]))


def diff_rows(before: Path, after: Path) -> pa.Table:
    """One row per table: how many of its rows were added, removed and changed, going by their key.

    A measurement of one run (milliseconds, memory) is no change. A table whose digest is the same is not read.
    """
    digests = [manifest.read_manifest(folder)["tables"] for folder in (before, after)]
    counts = []
    with _both(before, after) as con:
        for name, table in TABLES.items():
            same = all(name in side for side in digests) and digests[0][name]["digest"] == digests[1][name]["digest"]
            if same:
                rows = engine.count(after, name)
                counts.append({"table": name, "added": 0, "removed": 0, "changed": 0, "same": rows})
                continue
            columns = ", ".join(column for column in table.schema.names if column not in table.measured)
            sides = [
                f"(SELECT {table.key} AS key, md5(({columns})::VARCHAR) AS content FROM {side}.{name}) AS {side}"
                for side in ("before", "after")
            ]
            [row] = engine.select(
                con,
                f"""
                SELECT
                    count(*) FILTER (before.key IS NULL) AS added,
                    count(*) FILTER (after.key IS NULL) AS removed,
                    count(*) FILTER (before.content <> after.content) AS changed,
                    count(*) FILTER (before.content = after.content) AS same
                FROM {sides[0]} FULL JOIN {sides[1]} USING (key)
                """,
            ).to_pylist()
            counts.append({"table": name, **row})
    return pa.Table.from_pylist(counts)


def diff_measures(before: Path, after: Path) -> pa.Table:
    """One row per measure that moved: its mean and median over the pairs trained on, before and after."""
    taken = ", ".join(f"avg({name}::DOUBLE), median({name}::DOUBLE)" for name in MEASURES)
    rows = []
    with _both(before, after) as con:
        sides = []
        for side in ("before", "after"):
            trained = f"SELECT pair_id FROM {side}.curriculum WHERE pruned_by IS NULL"
            found = con.sql(f"SELECT {taken} FROM {side}.pair_features WHERE pair_id IN ({trained})").fetchall()[0]
            sides.append(dict(zip(MEASURES, zip(found[::2], found[1::2], strict=True), strict=True)))
    for name in MEASURES:
        (mean, median), (new_mean, new_median) = (side[name] for side in sides)
        if not (_same(mean, new_mean) and _same(median, new_median)):
            rows.append(
                {"measure": name, "mean": mean, "new_mean": new_mean, "median": median, "new_median": new_median}
            )
    numbers = [(column, pa.float64()) for column in ("mean", "new_mean", "median", "new_median")]
    return pa.Table.from_pylist(rows, pa.schema([("measure", pa.string()), *numbers]))


def diff_rules(before: Path, after: Path) -> pa.Table:
    """One row per pruning rule of either version: the pairs it removed before and after; null where none."""
    with _both(before, after) as con:
        return engine.run(con, engine.load(SQL / "versions" / "rules.sql"))


def diff_config(before: Path, after: Path) -> pa.Table:
    """One row per setting of the recipe that differs, with both values."""
    old, new = (dict(_settings(manifest.read_manifest(folder)["config"])) for folder in (before, after))
    rows = [
        {"setting": name, "before": _text(old.get(name)), "after": _text(new.get(name))}
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    return pa.Table.from_pylist(rows, pa.schema([(name, pa.string()) for name in ("setting", "before", "after")]))


@contextmanager
def _both(before: Path, after: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the tables of two versions, as before.pairs and after.pairs."""
    with engine.connect(None) as con:
        for schema, folder in (("before", before), ("after", after)):
            con.execute(f"CREATE SCHEMA {schema}")
            for name in TABLES:
                con.execute(f"CREATE VIEW {schema}.{name} AS {engine.scan(name, engine.table_files(folder, name))}")
        yield con


def _same(old: float | None, new: float | None) -> bool:
    """Equal up to the order in which threads add; null equals null."""
    return old == new or (old is not None and new is not None and math.isclose(old, new, rel_tol=1e-12))


def _num_rows(sealed: dict[str, Any], table: str) -> int:
    return int(sealed["tables"].get(table, {}).get("num_rows", 0))


def _settings(config: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """A nested configuration as (dotted name, value)."""
    if isinstance(config, dict):
        for key, value in config.items():
            yield from _settings(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, config


def _text(value: Any) -> str | None:
    return None if value is None else str(value)

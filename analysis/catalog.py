"""One DuckDB file over every sealed version under a root: `<root>/catalog.duckdb`, views only, rebuilt at any time.

Version 3 of dataset `demo` is the schema `demo_v3`, the newest version is also `demo`, and `versions` lists them all.
Any DuckDB from 1.5 on opens the file: `duckdb data/catalog.duckdb -c "FROM demo.pairs LIMIT 5"`.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import duckdb

from analysis import engine
from analysis.engine import quote
from curation import manifest, store
from curation.schema import TABLES

FILE = "catalog.duckdb"

# Names that DuckDB has already.
RESERVED = frozenset({"main", "temp", "system", "information_schema", "pg_catalog", "versions"})


class Entry(NamedTuple):
    """One sealed version and the schema that shows it."""

    dataset: str
    version: int
    schema: str
    folder: Path


def rebuild_catalog(root: Path) -> Path:
    """Write the catalog of all sealed versions under `root` and return its path.

    The old file is replaced whole: whoever has it open keeps it. Processes that rebuild at once take turns, so a
    version sealed before the call is in the file after it.
    """
    target = root / FILE
    with _turn(root), store.replacing(target) as partial:
        partial.unlink(missing_ok=True)
        con = duckdb.connect(":memory:", config={"autoinstall_known_extensions": False})
        try:
            # Storage 1.5: the oldest supported DuckDB must open what a newer one wrote.
            con.execute(f"ATTACH {quote(str(partial))} AS catalog (STORAGE_VERSION 'v1.5.0')")
            con.execute("USE catalog")
            # One transaction: a sync to the disk for each of the many comments would take seconds.
            con.execute("BEGIN")
            _fill(con, list(entries(root)))
            con.execute("COMMIT")
            con.execute("USE memory")
            con.execute("DETACH catalog")
        finally:
            con.close()
    return target


def entries(root: Path) -> Iterator[Entry]:
    """Every sealed version under `root`, each dataset's oldest first, with a schema name that SQL takes unquoted."""
    taken = RESERVED | keywords()
    for dataset in manifest.datasets(root):
        base = re.sub(r"\W", "_", dataset)
        base = f"_{base}" if base[0].isdigit() else base
        numbers = manifest.versions(root, dataset)
        # A keyword, `a-b` and `a_b`, or version 1 of `demo` and a dataset `demo_v1`, would share one: those get a tail.
        while taken & {base, *(f"{base}_v{number}" for number in numbers)}:
            base += "_"
        taken |= {base, *(f"{base}_v{number}" for number in numbers)}
        for number in numbers:
            yield Entry(dataset, number, f"{base}_v{number}", manifest.open_version(root, dataset, number).resolve())


@cache
def keywords() -> frozenset[str]:
    """The words that SQL takes for itself and so for no schema, such as `order` and `both`."""
    con = duckdb.connect(":memory:")
    try:
        rows = con.execute(
            "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'"
        ).fetchall()
    finally:
        con.close()
    return frozenset(word for (word,) in rows)


def _fill(con: duckdb.DuckDBPyConnection, listed: list[Entry]) -> None:
    con.execute("CREATE TABLE versions (dataset VARCHAR, version INTEGER, schema VARCHAR, folder VARCHAR)")
    newest = {entry.dataset: entry for entry in listed}
    for entry in listed:
        con.execute("INSERT INTO versions VALUES (?, ?, ?, ?)", [*entry[:3], str(entry.folder)])
        _add_schema(con, entry.schema, entry)
        if newest[entry.dataset] is entry:
            _add_schema(con, entry.schema.removesuffix(f"_v{entry.version}"), entry)


def _add_schema(con: duckdb.DuckDBPyConnection, schema: str, entry: Entry) -> None:
    """A view per table of the version, with the sentence of every column, and the views of sql/views."""
    con.execute(f"CREATE SCHEMA {schema}")
    con.execute(f"USE catalog.{schema}")
    for name, table in TABLES.items():
        con.execute(f"CREATE VIEW {name} AS {engine.scan(name, engine.table_files(entry.folder, name))}")
        con.execute(f"COMMENT ON VIEW {name} IS {quote(f'one row: {table.row}; {entry.dataset}@{entry.version}')}")
        for column in table.schema.names:
            con.execute(f"COMMENT ON COLUMN {name}.{column} IS {quote(table.doc(column))}")
    for view in engine.views():
        con.execute(f"CREATE VIEW {view.name} AS {view.text}")
        con.execute(f"COMMENT ON VIEW {view.name} IS {quote(view.grain)}")
    con.execute("USE catalog.main")


@contextmanager
def _turn(root: Path) -> Iterator[None]:
    """Wait for other processes that rebuild this catalog; the kernel ends a dead one's turn."""
    root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(root / f".{FILE}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

"""One DuckDB file over every sealed version under a root: `<root>/catalog.duckdb`, views only, rebuilt at any time.

Version 3 of dataset `demo` is the schema `demo_v3`, the newest version is also `demo`, and `versions` lists them all.
Any DuckDB from 1.5 on opens the file: `duckdb data/catalog.duckdb -c "FROM demo.pairs LIMIT 5"`. Of a root in a store
the views name its URLs, which DuckDB reads through its extension httpfs.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa

from analysis import engine, objects
from analysis.engine import quote
from curation import copies, manifest, storage, store
from curation.schema import TABLES, identify

log = logging.getLogger(__name__)

FILE = "catalog.duckdb"

# Names that DuckDB has already.
RESERVED = frozenset({"main", "temp", "system", "information_schema", "pg_catalog", "versions", "schemas"})


LISTED = pa.schema([("dataset", "string"), ("version", "int32"), ("schema", "string"), ("folder", "string")])
STAMPED = pa.schema([("schema", "string"), ("stamp", "string")])


class Entry(NamedTuple):
    """One sealed version and the schema that shows it."""

    dataset: str
    version: int
    schema: str
    folder: Path


def rebuild_catalog(root: Path) -> Path:
    """Bring the catalog of all sealed versions under `root` up to date and return its path.

    Only schemas of versions that came, went or changed are made. The old file is replaced whole: whoever has it open
    keeps it. Processes that rebuild at once take turns, so a version sealed before the call is in the file after it.
    A version that cannot be read is left out, and the log says so in a line.

    Raises:
        DiskFullError: there is no room for the file; the old one stays.
    """
    target = root / FILE
    if storage.remote_of(root) is None:
        with _turn(root):
            _replace(target, _wanted(list(entries(root))))
        return target
    # Without a lock, whoever stores last looks last: a version that came meanwhile means another turn.
    wanted = None
    while wanted != (now := _wanted(list(entries(root)))):
        wanted = now
        _replace(target, wanted)
    return target


def _replace(target: Path, wanted: dict[str, tuple[Entry, str]]) -> None:
    with store.replacing(target) as partial:
        try:
            _write(partial, target.parent, wanted, copies.local(target) if storage.is_written(target) else None)
        except duckdb.Error as error:
            if _is_full(error):
                raise OSError(errno.ENOSPC, engine.first_line(error)) from error
            # The old file is of another DuckDB, or damaged: it can be made from nothing at any time.
            _write(partial, target.parent, wanted, None)


def _wanted(listed: list[Entry]) -> dict[str, tuple[Entry, str]]:
    """Every schema of the catalog: the version that it shows, and a stamp that changes with what it would hold."""
    newest = {entry.dataset: entry for entry in listed}
    shown = {entry.schema: entry for entry in listed}
    shown |= {entry.schema.removesuffix(f"_v{entry.version}"): entry for entry in newest.values()}
    code = identify(
        [(name, table.row, str(table.schema.to_string())) for name, table in TABLES.items()], engine.views()
    )
    stamps = {entry: storage.identity(entry.folder / manifest.MANIFEST) for entry in listed}
    return {schema: (entry, identify(str(entry.folder), *stamps[entry], code)) for schema, entry in shown.items()}


def _write(partial: Path, root: Path, wanted: dict[str, tuple[Entry, str]], old: Path | None) -> None:
    """Write the catalog of `root` as `partial`, starting from the `old` one where there is one."""
    partial.unlink(missing_ok=True)
    if old:
        shutil.copyfile(old, partial)
    con = duckdb.connect(":memory:", config={"autoinstall_known_extensions": False})
    try:
        # Storage 1.5: the oldest supported DuckDB must open what a newer one wrote.
        con.execute(f"ATTACH {quote(str(partial))} AS catalog (STORAGE_VERSION 'v1.5.0')")
        with objects.readable(con, root):
            _bring_up_to_date(con, wanted, fresh=old is None)
        con.execute("USE memory")
        con.execute("DETACH catalog")
    finally:
        con.close()


def _bring_up_to_date(con: duckdb.DuckDBPyConnection, wanted: dict[str, tuple[Entry, str]], *, fresh: bool) -> None:
    con.execute("USE catalog")
    known = {} if fresh else dict(con.execute("SELECT schema, stamp FROM schemas").fetchall())
    for schema in [name for name, stamp in known.items() if name not in wanted or wanted[name][1] != stamp]:
        con.execute(f"DROP SCHEMA {schema} CASCADE")
        del known[schema]
    for schema, (entry, stamp) in wanted.items():
        if schema not in known and _add_schema(con, schema, entry):
            known[schema] = stamp
    _list(con, wanted, known)


def _list(con: duckdb.DuckDBPyConnection, wanted: dict[str, tuple[Entry, str]], known: dict[str, str]) -> None:
    """Tables `versions`, for people, and `schemas`, by which the next rebuild knows what is there."""
    shown = [entry for entry in dict.fromkeys(entry for entry, _ in wanted.values()) if entry.schema in known]
    rows = [{**entry._asdict(), "folder": str(entry.folder)} for entry in shown]
    con.register("listed", pa.Table.from_pylist(rows, LISTED))
    con.execute("CREATE OR REPLACE TABLE versions AS FROM listed ORDER BY dataset, version")
    stamps = [{"schema": schema, "stamp": stamp} for schema, stamp in known.items()]
    con.register("stamped", pa.Table.from_pylist(stamps, STAMPED))
    con.execute("CREATE OR REPLACE TABLE schemas AS FROM stamped")


def _is_full(error: Exception) -> bool:
    return any(os.strerror(code) in str(error) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


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


def _add_schema(con: duckdb.DuckDBPyConnection, schema: str, entry: Entry) -> bool:
    """Make a schema, whole or not at all; whether the version could be read."""
    # One transaction: a sync to the disk for each of the many comments would take seconds.
    con.execute("BEGIN")
    try:
        _fill(con, schema, entry)
    except duckdb.Error as error:
        con.execute("ROLLBACK")
        con.execute("USE catalog.main")
        if _is_full(error):
            raise
        reason = engine.first_line(error)
        log.warning("%s@%d is not in the catalog: %s", entry.dataset, entry.version, reason)
        return False
    con.execute("COMMIT")
    con.execute("USE catalog.main")
    return True


def _fill(con: duckdb.DuckDBPyConnection, schema: str, entry: Entry) -> None:
    """A view per table of the version, with the sentence of every column, and the views of sql/views."""
    con.execute(f"CREATE SCHEMA {schema}")
    con.execute(f"USE catalog.{schema}")
    for name, table in TABLES.items():
        files = [file for _, file in engine.paths(entry.folder, name)]
        con.execute(f"CREATE VIEW {name} AS {engine.scan(name, files)}")
        con.execute(f"COMMENT ON VIEW {name} IS {quote(f'one row: {table.row}; {entry.dataset}@{entry.version}')}")
        for column in table.schema.names:
            con.execute(f"COMMENT ON COLUMN {name}.{column} IS {quote(table.doc(column))}")
    for view in engine.views():
        con.execute(f"CREATE VIEW {view.name} AS {view.text}")
        con.execute(f"COMMENT ON VIEW {view.name} IS {quote(view.grain)}")


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

"""What must hold in a dataset before it is sealed: each file of sql/checks returns the rows that break one rule."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa

from analysis import engine
from analysis.engine import SQL
from curation.progress import Progress, silent


def run_checks(dataset: Path, *, sound: Collection[str] = (), on_progress: Progress = silent) -> dict[str, int]:
    """The number of bad rows of every check, by its name: all 0 in a sound dataset. Progress is in checks.

    `sound` are tables that a sealed version has too: a check that reads no others was passed when it was sealed.
    """
    found = {}
    checks = engine.names(SQL / "checks")
    with engine.connect(dataset) as con:
        for done, name in enumerate(checks):
            on_progress(done, len(checks))
            query = engine.load(SQL / "checks" / f"{name}.sql")
            if set(query.reads) <= set(sound):
                found[name] = 0
            else:
                found[name] = con.sql(f"SELECT count(*) FROM ({query.text}\n)").fetchall()[0][0]
    on_progress(len(checks), len(checks))
    return found


def bad_rows(dataset: Path, check: str, limit: int = 5) -> pa.Table:
    """The first rows that break one check, for the message that says so."""
    query = engine.load(SQL / "checks" / f"{check}.sql")
    with engine.connect(dataset) as con:
        return engine.select(con, f"SELECT * FROM ({query.text}\n) ORDER BY ALL LIMIT $rows", {"rows": limit})

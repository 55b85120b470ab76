"""What a person reads of a dataset: the files of sql/reports, as tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from analysis import engine
from analysis.engine import SQL


def run_report(dataset: Path, name: str, **params: Any) -> pa.Table:
    """The rows of one report: verdicts, pass_at_k, buckets, pruned and the others of sql/reports.

    Raises:
        SqlError: there is no such report, or it does not take these parameters.
    """
    query = engine.load(SQL / "reports" / f"{name}.sql")
    with engine.connect(dataset) as con:
        return engine.run(con, query, **params)


def file_of(version: Path) -> Path:
    """Where the HTML report of a version lies: beside it, as what is sealed does not change."""
    return version.parent / "reports" / f"{version.name}.html"

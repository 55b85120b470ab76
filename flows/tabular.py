"""Rows of a query as a table for people, or as CSV, JSON or Parquet for programs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import IO, Literal

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table
from rich.text import Text

from curation.errors import UserError

MAX_ROWS = 1000
MAX_CELL = 200


def emit(rows: pa.Table, style: Literal["table", "csv", "json", "parquet"], out: Path | None) -> None:
    """Write rows to a file, or to standard output when `out` is None.

    Raises:
        UserError: the file cannot be written, or Parquet would go to a terminal.
    """
    if out is None:
        if style == "parquet" and sys.stdout.isatty():
            raise UserError("Parquet is binary: give a file with --out, or send the output to one")
        sys.stdout.flush()
        _write(rows, style, sys.stdout.buffer)
        return
    try:
        with out.open("wb") as stream:
            _write(rows, style, stream)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}") from None


def _write(rows: pa.Table, style: str, stream: IO[bytes]) -> None:
    if style == "parquet":
        pq.write_table(rows, stream)
    elif style == "csv":
        pa.csv.write_csv(_flat(rows), stream)
    elif style == "json":
        for row in rows.to_pylist():
            stream.write(json.dumps(row, ensure_ascii=False, default=str).encode("utf-8", "replace") + b"\n")
    else:
        stream.write(_as_table(rows).encode("utf-8", "replace"))
    stream.flush()


def _flat(rows: pa.Table) -> pa.Table:
    """Nested columns as JSON text: CSV has no lists."""
    for index, field in enumerate(rows.schema):
        if pa.types.is_nested(field.type):
            texts = [None if v is None else json.dumps(v, default=str) for v in rows.column(index).to_pylist()]
            rows = rows.set_column(index, field.name, pa.array(texts, pa.string()))
    return rows


def _as_table(rows: pa.Table) -> str:
    """A table in plain characters. Text is shown as text: no markup, no control characters, long cells cut."""
    table = Table(show_edge=False, pad_edge=False)
    for field in rows.schema:
        numeric = pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
        table.add_column(Text(field.name), justify="right" if numeric else "left", overflow="fold")
    for row in rows.slice(0, MAX_ROWS).to_pylist():
        table.add_row(*(Text(cell(value)) for value in row.values()))
    # On a terminal the table fits its width; elsewhere nothing needs to be folded.
    width = None if sys.stdout.isatty() else MAX_CELL * max(1, rows.num_columns)
    console = Console(file=sys.stdout, highlight=False, color_system=None, width=width)
    with console.capture() as captured:
        console.print(table)
    note = f"{rows.num_rows} rows, the first {MAX_ROWS} shown\n" if rows.num_rows > MAX_ROWS else ""
    return captured.get() + note


def cell(value: object) -> str:
    """One value as one line of printable text."""
    text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    text = "".join(c if c.isprintable() else {"\n": "\\n", "\t": "\\t"}.get(c, "\ufffd") for c in text[: MAX_CELL + 1])
    return text if len(text) <= MAX_CELL else text[: MAX_CELL - 1] + "…"

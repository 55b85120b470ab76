"""DuckDB over the tables of one dataset folder, and the .sql files that run on it.

A file is one SELECT. Its first comment line states the grain; `-- reads:` names its tables and `-- params:` its
parameters, as `$name` or `$name = default` with a JSON value. Only what DuckDB 1.5 and 2 share is used.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from curation import copies, store
from curation.errors import UserError
from curation.schema import TABLES

SQL = Path(__file__).parent / "sql"

# 512 MB: DuckDB overshoots its limit where wide text is involved (2.7 times, measured), and what is asked of it here
# is narrow. It spills to a temporary folder beyond that.
SETTINGS: dict[str, Any] = {
    "memory_limit": "512MB",
    "preserve_insertion_order": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}


class SqlError(UserError, ValueError):
    """SQL that DuckDB or the rules of this project refuse."""


@dataclass(frozen=True)
class Query:
    """One .sql file: its SELECT, the sentence on its grain, the tables it reads and the values of its parameters.

    `params` holds every parameter the file declares; a value of `...` means that the caller must give it.
    """

    name: str
    text: str
    grain: str
    reads: tuple[str, ...]
    params: Mapping[str, Any]

    def bind(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values to run with.

        Raises:
            SqlError: a parameter is missing, unknown, or of another type than its default.
        """
        unknown = sorted(given.keys() - self.params.keys())
        if unknown:
            takes = ", ".join(self.params) or "none"
            raise SqlError(f"{self.name} has no parameter {', '.join(unknown)}: it takes {takes}")
        bound: dict[str, Any] = {**self.params, **given}
        for name, value in given.items():
            default = self.params[name]
            if default is not ... and _kind(value) != _kind(default):
                raise SqlError(f"{self.name} takes a {_kind(default)} for {name}, as in {default!r}; found {value!r}")
        lacking = [name for name, value in bound.items() if value is ...]
        if lacking:
            raise SqlError(f"{self.name} needs a value for {', '.join(lacking)}: give it under `params`")
        return bound


def load(file: Path) -> Query:
    """Read one .sql file and hold it to its own header.

    Raises:
        SqlError: there is no such file, it is not one SELECT, or its header does not say what the SQL takes.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        near = ", ".join(names(file.parent)) or "none"
        raise SqlError(f"no readable SQL file {file} ({error}); beside it there are: {near}") from error
    header = [line[2:].strip() for line in text.splitlines() if line.startswith("--")]
    if not header or not text.startswith("--"):
        raise SqlError(f"{file}: its first line must be a comment that says what a row is, as in `-- One row per pair`")
    reads = _header_line(header, "reads")
    params = _declared(_header_line(header, "params"), file)
    found = _one_select(text, str(file)).named_parameters
    if found != params.keys():
        listed, taken = (", ".join(f"${name}" for name in sorted(some)) or "none" for some in (params, found))
        raise SqlError(f"{file}: its `-- params:` line lists {listed} but its SQL takes {taken}: make them agree")
    return Query(file.stem, text.rstrip().removesuffix(";"), header[0], tuple(re.findall(r"[\w.]+", reads)), params)


def names(folder: Path) -> list[str]:
    """The names of the .sql files in a folder."""
    return sorted(file.stem for file in folder.glob("*.sql"))


@contextmanager
def connect(
    dataset: Path | None, *, shard: store.Shard | None = None, settings: Mapping[str, Any] = SETTINGS
) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory database with one view per table of `dataset`, and those of sql/views; closed at the end.

    A table that has no shard yet is an empty view. `dataset=None` gives only empty ones, to try SQL on. With `shard`,
    the tables hold that shard alone.
    """
    with tempfile.TemporaryDirectory(prefix="pairwright-sql-") as spill:
        con = duckdb.connect(":memory:", config={**settings, "temp_directory": spill})
        try:
            for table in TABLES:
                files = table_files(dataset, table, shard) if dataset else []
                con.execute(f"CREATE VIEW {table} AS {scan(table, files)}")
            for view in views():
                con.execute(f"CREATE VIEW {view.name} AS {view.text}")
            yield con
        finally:
            con.close()


def table_files(dataset: Path, table: str, shard: store.Shard | None = None) -> list[Path]:
    """The complete files of a table, in shard order; of a store's, local copies."""
    return copies.together([file for one, file in paths(dataset, table) if shard is None or one == shard])


def paths(dataset: Path, table: str) -> list[tuple[store.Shard, Path]]:
    """The complete shards of a table and where they lie."""
    return [(one, store.path(dataset, table, one)) for one in store.shards(dataset, table)]


def scan(table: str, files: Sequence[Path]) -> str:
    """The SELECT that reads `files` as `table`; with no files, one with the right columns and no rows.

    Columns that were declared after the files were written are null.
    """
    columns = _columns(table)
    if not files:
        return f"SELECT {', '.join(columns.values())} WHERE false"
    try:
        present = set(pq.read_schema(copies.local(files[0])).names)
    except pa.ArrowInvalid:
        present = set(columns)  # it is damaged, and DuckDB says how
    chosen = ", ".join(["*", *(null for name, null in columns.items() if name not in present)])
    return f"SELECT {chosen} FROM read_parquet([{', '.join(quote(str(file.resolve())) for file in files)}])"


@cache
def _columns(table: str) -> dict[str, str]:
    """Every column of `table`, as a null of its type in SQL."""
    con = duckdb.connect(":memory:")
    try:
        con.register("empty_table", TABLES[table].schema.empty_table())
        kinds = con.sql("SELECT column_name, column_type FROM (DESCRIBE empty_table)").fetchall()
    finally:
        con.close()
    return {name: f"NULL::{kind} AS {name}" for name, kind in kinds}


def quote(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


@cache
def views() -> tuple[Query, ...]:
    """The files of sql/views, each after those that it reads."""
    waiting = {name: load(SQL / "views" / f"{name}.sql") for name in names(SQL / "views")}
    ordered: list[Query] = []
    while waiting:
        ready = [name for name, view in waiting.items() if not waiting.keys() & set(view.reads)]
        if not ready:
            raise SqlError(f"the views {', '.join(waiting)} read each other in a circle")
        ordered += [waiting.pop(name) for name in ready]
    return tuple(ordered)


def run(con: duckdb.DuckDBPyConnection, query: Query, **params: Any) -> pa.Table:
    """The rows of one .sql file with these parameters."""
    return select(con, query.text, query.bind(params))


def select(con: duckdb.DuckDBPyConnection, sql: str, params: Mapping[str, Any] | None = None) -> pa.Table:
    """The rows of one SELECT."""
    return con.sql(sql, params=dict(params or {})).to_arrow_table()


def count(dataset: Path, table: str) -> int:
    """The rows of a table, from its files' footers."""
    return sum(pq.read_metadata(file).num_rows for file in table_files(dataset, table))


def try_out(
    query: Query, params: Mapping[str, Any], *, columns: Sequence[str] = (), extra: Mapping[str, str] | None = None
) -> None:
    """Prepare a query on empty tables, so that its mistakes show before any work; `extra` gives views besides these.

    Raises:
        SqlError: it reads what does not exist, lacks or exceeds its parameters, or does not give `columns`.
    """
    bound = query.bind(params)
    with connect(None) as con:
        for name, sql in (extra or {}).items():
            con.execute(f"CREATE VIEW {name} AS {sql}")
        known = sorted({*TABLES, *(view.name for view in views()), *(extra or {})})
        strange = [name for name in query.reads if name not in known]
        if strange:
            raise SqlError(f"{query.name} reads {', '.join(strange)}, which is no table: there are {', '.join(known)}")
        lock(con, [])
        with explained(query.name):
            found = select(con, query.text, bound).column_names
    lacking = [name for name in columns if name not in found]
    if lacking:
        raise SqlError(f"{query.name} must give the column {', '.join(lacking)}, it gives {', '.join(found)}")


def query(dataset: Path, sql: str) -> pa.Table:
    """The rows of a user's SELECT over the tables and views of `dataset`, which is all that it can read.

    Raises:
        SqlError: one line on what is wrong with it.
    """
    with session(dataset) as ask:
        return ask(sql)


@contextmanager
def session(dataset: Path) -> Iterator[Callable[[str], pa.Table]]:
    """`query` for many queries over one dataset: a function from SQL to rows, good until the end of the block."""
    with connect(dataset) as con:
        lock(con, [file for table in TABLES for file in table_files(dataset, table)])

        def ask(sql: str) -> pa.Table:
            check_select(sql)
            with explained("the SQL"):
                return select(con, sql)

        yield ask


def vocabulary() -> list[str]:
    """The words that a query may hold, for completion: tables, views, their columns, and DuckDB's own."""
    with connect(None) as con:
        rows = con.sql(
            """
            SELECT table_name FROM information_schema.tables
            UNION SELECT column_name FROM information_schema.columns
            UNION SELECT upper(keyword_name) FROM duckdb_keywords()
            UNION SELECT function_name FROM duckdb_functions() WHERE regexp_full_match(function_name, '[a-z_0-9]+')
            ORDER BY ALL
            """
        )
        return [word for (word,) in rows.fetchall()]


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn what DuckDB says of the SQL called `name` into one line for its author."""
    try:
        yield
    except duckdb.Error as error:
        raise SqlError(f"{name} does not run: {first_line(error)}") from error


def lock(con: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> None:
    """Leave `con` nothing of the machine to read but `files`, for good."""
    con.execute(f"SET allowed_paths = [{', '.join(quote(str(file.resolve())) for file in files)}]")
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")


def first_line(error: Exception) -> str:
    """What DuckDB says, as one line: its message, and its hint where it gives one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = [line for line in lines[:3] if not line.startswith(("LINE ", "^"))]
    return "; ".join(kept) or type(error).__name__


def check_select(sql: str) -> None:
    """Refuse everything but one SELECT without parameters, or an EXPLAIN of one: `EXPLAIN ANALYZE COPY` would write."""
    statement = _one_select(re.sub(r"(?is)^\s*explain(\s+analyze)?\b", "", sql), "the SQL")
    if statement.named_parameters:
        taken = ", ".join(f"${name}" for name in sorted(statement.named_parameters))
        raise SqlError(f"the SQL must hold its values, found the parameters {taken}: write the values in their place")


def _one_select(text: str, where: str) -> duckdb.Statement:
    try:
        statements = duckdb.extract_statements(text)
    except duckdb.Error as error:
        raise SqlError(f"{where} does not parse: {first_line(error)}") from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        found = ", ".join(statement.type.name for statement in statements) or "nothing"
        raise SqlError(f"{where} must be one SELECT, found {found}: tables are read-only and one query runs at a time")
    return statements[0]


def _kind(value: Any) -> str:
    """A JSON value's type in words; whole and other numbers are one."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number"
    return {bool: "true or false", str: "string", list: "list"}.get(type(value), type(value).__name__)


def _header_line(header: Sequence[str], key: str) -> str:
    """The rest of the comment line that starts with `key:`, or nothing."""
    return next((line.removeprefix(f"{key}:").strip() for line in header if line.startswith(f"{key}:")), "")


def _declared(line: str, file: Path) -> dict[str, Any]:
    """`$a = 1, $b` as {"a": 1, "b": ...}."""
    declared: dict[str, Any] = {}
    for part in re.findall(r"\$[^$]+", line):
        name, given, value = part.strip().rstrip(",").partition("=")
        try:
            declared[name.strip().removeprefix("$")] = json.loads(value) if given else ...
        except json.JSONDecodeError as error:
            raise SqlError(f"{file}: {name.strip()} must default to a JSON value, found {value.strip()}") from error
    return declared

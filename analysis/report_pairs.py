"""The pairs of a version, for people who look at them: found by what they are, sampled, and each with all around it.

What pairs are found by is joined once into a DuckDB file in a temporary folder, as narrow columns: a filter over a
million pairs reads a few of them. Texts, tests and tokens of one pair come from its shard alone, when it is looked at.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from analysis import engine
from analysis.curriculum import MEASURES
from analysis.engine import SQL, SqlError
from curation import store
from curation.errors import UserError
from curation.store import Shard

KEPT, PRUNED = "kept", "pruned"
SHOWN: tuple[str, ...] = (
    "pair_id",
    "task_id",
    "strategy",
    "bucket",
    "position",
    "metric",
    "pruned_by",
    "edit_distance",
)
SHOWN += ("logp_distance", "chosen_status", "rejected_status")
# A condition of a user's that has not answered by then is stopped.
SECONDS = 10.0
# Up to there DuckDB keeps only the first rows while it reads, instead of sorting all.
NEAR = 10_000

SETTINGS = {**engine.SETTINGS, "memory_limit": "1GB"}


@dataclass(frozen=True)
class Filter:
    """Which pairs, in which order: what is None or empty does not filter.

    `fate` is kept, pruned, or the rule that took the pair out. `problem` is part of a task_id, or a problem_id.
    `measure` is one of MEASURES, between `low` and `high`. `pairs` are the only ones there may be, `where` is a
    condition in SQL over the columns of the listing.
    """

    bucket: int | None = None
    fate: str | None = None
    strategy: str | None = None
    problem: str | None = None
    measure: str | None = None
    low: float | None = None
    high: float | None = None
    where: str | None = None
    pairs: Sequence[str] | None = None
    sort: str = "position"
    descending: bool = False


@dataclass(frozen=True)
class Page:
    """Some rows of the listing, how many there are in all, and the place of the first."""

    rows: list[dict[str, Any]]
    total: int
    offset: int


@dataclass(frozen=True)
class Pairs:
    """The pairs of one version, open for reading. Safe to use from several threads."""

    version: Path
    shards: Sequence[Shard]
    con: duckdb.DuckDBPyConnection = field(repr=False)

    def page(self, wanted: Filter, *, limit: int = 50, offset: int = 0) -> Page:
        """The rows `offset` to `offset + limit` of the pairs wanted.

        Raises:
            SqlError: a measure that there is none of, or a condition that does not run.
        """
        if wanted.sort not in (*MEASURES, "position", "metric"):
            raise SqlError(f"pairs are sorted by position, metric or a measure, found {wanted.sort!r}")
        conditions, params = _conditions(wanted)
        shown = [*SHOWN, *((wanted.measure,) if wanted.measure and wanted.measure not in SHOWN else ())]
        direction = "DESC" if wanted.descending else "ASC"
        matching = f"FROM narrow.listing WHERE {' AND '.join(conditions) or 'true'}"
        # Ties are broken by numbers: the pairs' ids take ten times as long to sort.
        ordered = f"ORDER BY {wanted.sort} {direction} NULLS LAST, shard, row"
        window, params = f"{ordered} LIMIT $limit OFFSET $offset", params | {"limit": limit, "offset": offset}
        with self._asked(wanted.where) as con:
            counting = {name: params[name] for name in params.keys() - {"limit", "offset"}}
            [[total]] = con.execute(f"SELECT count(*) {matching}", counting).fetchall()
            if offset > NEAR:
                # So far back the whole is sorted: numbers alone, and the texts of the few rows are read afterwards.
                found = con.execute(f"SELECT rowid {matching} {window}", params).fetchall()
                matching = "FROM narrow.listing WHERE rowid IN (SELECT unnest($found::BIGINT[]))"
                window, params = ordered, {"found": [row for (row,) in found]}
            rows = con.execute(f"SELECT {', '.join(shown)} {matching} {window}", params).to_arrow_table()
        return Page(rows.to_pylist(), total, offset)

    def facets(self) -> dict[str, dict[str, int]]:
        """bucket, rule and strategy -> each value that pairs have, and how many have it."""
        found: dict[str, dict[str, int]] = {"bucket": {}, "rule": {}, "strategy": {}}
        for row in engine.run(self.con.cursor(), _sql("facets")).to_pylist():
            found[row["kind"]][row["value"]] = row["pairs"]
        return found

    def measured(self) -> list[str]:
        """The measures that any pair has."""
        counted = ", ".join(f"count({measure})" for measure in MEASURES)
        counts = self.con.cursor().execute(f"SELECT {counted} FROM listing").fetchone()
        return [measure for measure, count in zip(MEASURES, counts or (), strict=True) if count]

    def sample(self, count: int) -> list[str]:
        """Ids of up to `count` pairs in training order, equally many of each bucket and of the pruned ones."""
        taken = engine.run(self.con.cursor(), _sql("sample"), count=count)["pair_id"].to_pylist()
        return [row["pair_id"] for row in self.page(Filter(pairs=taken), limit=count).rows]

    def pair(self, pair_id: str) -> dict[str, Any]:
        """One pair with its problem, measures, both sides with their tokens and runs, and its problem's samples.

        Raises:
            UserError: there is no such pair.
        """
        con = self.con.cursor()
        found = engine.select(con, "FROM listing WHERE pair_id = $pair_id", {"pair_id": pair_id}).to_pylist()
        if not found:
            raise UserError(f"{self.version} has no pair {pair_id}: SELECT pair_id FROM pairs lists them")
        [placed] = found
        where = self.shards[placed["shard"]]
        ids = {"pair_id": pair_id, "problem_id": placed["problem_id"]}
        [pair] = self._rows(con, where, "pairs", "pair_id = $pair_id", pair_id=pair_id)
        [problem] = self._rows(con, where, "problems", "problem_id = $problem_id", problem_id=ids["problem_id"])
        names = ("task_id", "strategy", "bucket", "position", "metric", "pruned_by")
        return {
            **ids,
            **{name: placed[name] for name in names},
            "prompt": pair["prompt"],
            "problem": problem,
            "measures": {name: placed[name] for name in MEASURES if placed[name] is not None},
            "chosen": self._completion(con, where, ids["problem_id"], pair["chosen_id"], pair["chosen"]),
            "rejected": self._completion(con, where, ids["problem_id"], pair["rejected_id"], pair["rejected"]),
            "candidates": self._ask(con, where, "candidates", problem_id=ids["problem_id"]),
        }

    def completion(self, pair_id: str, completion_id: str) -> dict[str, Any]:
        """Any sample of a pair's problem, with its tokens and its run.

        Raises:
            UserError: there is no such pair, or its problem no such sample.
        """
        con = self.con.cursor()
        placed = con.execute(
            "SELECT shard, problem_id FROM listing WHERE pair_id = $pair", {"pair": pair_id}
        ).fetchone()
        if placed:
            params = {"problem_id": placed[1], "completion_id": completion_id}
            if found := self._ask(con, self.shards[placed[0]], "completion", **params):
                return found[0]
        raise UserError(f"{self.version} has no sample {completion_id} beside the pair {pair_id}")

    def _completion(self, con: duckdb.DuckDBPyConnection, where: Shard, problem: str, name: str, text: str) -> Any:
        """A side's completion; of a version whose completions are not there, its text alone."""
        found = self._ask(con, where, "completion", problem_id=problem, completion_id=name)
        return (found[0] if found else {"completion_id": name}) | {"text": text}

    def _rows(
        self, con: duckdb.DuckDBPyConnection, where: Shard, table: str, condition: str, **params: Any
    ) -> list[dict[str, Any]]:
        """The rows of one table's shard that a condition of ours holds for."""
        scan = engine.scan(table, engine.table_files(self.version, table, where))
        return con.execute(f"FROM ({scan}) WHERE {condition}", params).to_arrow_table().to_pylist()

    def _ask(self, con: duckdb.DuckDBPyConnection, where: Shard, name: str, **params: Any) -> list[dict[str, Any]]:
        """One of sql/pairs on one shard: its tables stand before those of the whole version."""
        query = _sql(name)
        scans = [
            f"{table} AS ({engine.scan(table, engine.table_files(self.version, table, where))})"
            for table in query.reads
        ]
        found = con.execute(f"WITH {', '.join(scans)} {query.text}", query.bind(params))
        return found.to_arrow_table().to_pylist()

    @contextmanager
    def _asked(self, where: str | None) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor for a query that may hold a condition of the user's, which is stopped if it takes too long."""
        con = self.con.cursor()
        if where:
            engine.check_select(f"SELECT pair_id FROM listing WHERE ({where}\n)")
        stop = threading.Timer(SECONDS, con.interrupt)
        stop.start()
        try:
            with engine.explained("the condition"):
                yield con
        finally:
            stop.cancel()


@contextmanager
def open_pairs(version: Path) -> Iterator[Pairs]:
    """The pairs of a version, until the end of the block. A million take some seconds to open."""
    shards = store.shards(version, "pair_features")
    files = [str(store.path(version, "pair_features", shard).resolve()) for shard in shards]
    with (
        tempfile.TemporaryDirectory(prefix="pairwright-pairs-") as folder,
        engine.connect(version, settings=SETTINGS) as con,
    ):
        # Sealed files do not change: what is known of their layout need not be read again for every pair.
        con.execute("SET parquet_metadata_cache = true")
        listed = ", ".join(map(engine.quote, files))
        source = f"SELECT * FROM read_parquet([{listed}], filename = true, file_row_number = true)"
        if not files:
            source = f"SELECT *, '' AS filename, 0 AS file_row_number FROM ({engine.scan('pair_features', [])})"
        con.execute(f"CREATE VIEW shard_features AS {source}")
        con.execute(f"ATTACH {engine.quote(str(Path(folder) / 'listing.duckdb'))} AS narrow")
        query = _sql("listing")
        con.execute(f"CREATE TABLE narrow.listing AS {query.text}", query.bind({"files": files}))
        con.execute("CREATE VIEW listing AS FROM narrow.listing")
        tables = ("problems", "completions", "executions", "pairs", "pair_features")
        engine.lock(con, [file for table in tables for file in engine.table_files(version, table)])
        yield Pairs(version, shards, con)


def _conditions(wanted: Filter) -> tuple[list[str], dict[str, Any]]:
    """The filter as SQL conditions and the values of their parameters."""
    found: list[tuple[str, dict[str, Any]]] = []
    if wanted.bucket is not None:
        found.append(("bucket = $bucket", {"bucket": wanted.bucket}))
    if wanted.fate in (KEPT, PRUNED):
        found.append((f"pruned_by IS {'' if wanted.fate == KEPT else 'NOT '}NULL", {}))
    elif wanted.fate:
        found.append(("pruned_by = $fate", {"fate": wanted.fate}))
    if wanted.strategy:
        found.append(("strategy = $strategy", {"strategy": wanted.strategy}))
    if wanted.problem:
        found.append(
            ("(contains(lower(task_id), lower($problem)) OR problem_id = $problem)", {"problem": wanted.problem})
        )
    if wanted.measure:
        if wanted.measure not in MEASURES:
            raise SqlError(f"there is no measure {wanted.measure}: expected one of {', '.join(MEASURES)}")
        if wanted.low is not None:
            found.append((f"{wanted.measure} >= $low", {"low": wanted.low}))
        if wanted.high is not None:
            found.append((f"{wanted.measure} <= $high", {"high": wanted.high}))
    if wanted.pairs is not None:
        found.append(("pair_id IN (SELECT unnest($pairs::VARCHAR[]))", {"pairs": list(wanted.pairs)}))
    if wanted.where:
        found.append((f"({wanted.where}\n)", {}))
    params: dict[str, Any] = {}
    for _, given in found:
        params |= given
    return [condition for condition, _ in found], params


@cache
def _sql(name: str) -> engine.Query:
    return engine.load(SQL / "pairs" / f"{name}.sql")

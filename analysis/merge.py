"""One dataset out of several: the samples of many models or sources, to be paired, measured and ordered anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from analysis import engine
from analysis.engine import quote
from curation import copies, store
from curation.errors import UserError
from curation.progress import Progress, silent
from curation.schema import TABLES
from curation.store import Shard

# What is merged; everything after it follows from these and is made by the stages.
MERGED = ("problems", "completions", "executions")


class MergeError(UserError, ValueError):
    """Datasets that cannot be made one."""


def merge(sources: Sequence[Path], dataset: Path, *, on_progress: Progress = silent) -> int:
    """problems + completions + executions of `sources` -> those of `dataset`. Returns its problems.

    A row that several sources have, going by its key, is taken from the first. A problem of several sources keeps the
    samples of all of them, in one shard, so that pairs may have sides from different models.

    Raises:
        MergeError: there is nothing to merge, or two sources have one problem in different splits.
    """
    plans = [(source, shard) for source in sources for shard in store.plan(source)]
    if not plans:
        raise MergeError(f"nothing to merge: none of {', '.join(map(str, sources)) or 'no datasets'} has problems")
    with engine.connect(None) as con:
        _find_owners(con, plans)
        targets = _renumbered([shard for _, shard in plans])
        for number, target in enumerate(targets):
            on_progress(number, len(plans))
            for table in MERGED:
                store.write(dataset, table, _rows(con, plans, table, number), target)
    on_progress(len(plans), len(plans))
    return engine.count(dataset, "problems")


def _find_owners(con: duckdb.DuckDBPyConnection, plans: Sequence[tuple[Path, Shard]]) -> None:
    """Tables `found`, which problems each source's shard has, and `owners`, the first shard that has a problem.

    Raises:
        MergeError: a problem lies in two splits.
    """
    con.execute("CREATE TEMP TABLE found (problem_id VARCHAR, split VARCHAR, plan INTEGER)")
    for number, (source, shard) in enumerate(plans):
        file = quote(str(copies.local(store.path(source, "problems", shard)).resolve()))
        con.execute(f"INSERT INTO found SELECT problem_id, split, {number} FROM read_parquet({file})")
    con.execute("CREATE TEMP TABLE owners AS SELECT problem_id, min(plan) AS owner FROM found GROUP BY problem_id")
    torn = con.sql(
        "SELECT problem_id FROM found GROUP BY problem_id HAVING count(DISTINCT split) > 1 ORDER BY problem_id"
    ).fetchall()
    if torn:
        raise MergeError(
            f"expected each problem in one split, found {len(torn)} in several, as {torn[0][0]}: rename a split"
        )


def _renumbered(shards: Sequence[Shard]) -> list[Shard]:
    """The shards of all sources as one plan: counted anew within each split."""
    splits = [shard.split for shard in shards]
    return [Shard(split, splits[:number].count(split), splits.count(split)) for number, split in enumerate(splits)]


def _rows(con: duckdb.DuckDBPyConnection, plans: Sequence[tuple[Path, Shard]], table: str, owner: int) -> pa.Table:
    """The rows of a table whose problems one shard owns, each key once, from the first source that has it."""
    sharing = con.sql(
        "SELECT DISTINCT plan FROM found JOIN owners USING (problem_id) WHERE owner = $owner ORDER BY plan",
        params={"owner": owner},
    ).fetchall()
    shards = [(plan, *plans[plan]) for (plan,) in sharing]
    parts = [
        f"SELECT {plan} AS plan, * FROM ({engine.scan(table, [copies.local(store.path(source, table, shard))])})"
        for plan, source, shard in shards
    ]
    if not parts:
        return TABLES[table].schema.empty_table()
    con.execute(f"CREATE OR REPLACE TEMP VIEW merged AS {' UNION ALL '.join(parts)}")
    key = TABLES[table].key
    # Keys alone are grouped: a window over whole rows would hold the texts of a shard in memory several times.
    sql = f"""
        SELECT merged.* EXCLUDE (plan)
        FROM merged
        JOIN owners USING (problem_id)
        WHERE owner = $owner AND ({key}, plan) IN (SELECT ({key}, min(plan)) FROM merged GROUP BY {key})
        ORDER BY problem_id, {key}
    """
    return engine.select(con, sql, {"owner": owner})

"""The order in which pairs are trained: a metric, cut points, buckets, and the rules that leave pairs out.

A metric is a column of pair_features, a name in PRESETS, `shuffled`, or a .sql file that gives pair_id and metric. The
first of the rules (analysis/rules.py) to name a pair is its `pruned_by`. Nothing is deleted. A pair without the metric
has no place in the order: it is left out as `unmeasured`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.types as kinds
from pydantic import BaseModel, ConfigDict, Field, field_validator

from analysis import engine
from analysis.engine import SQL, Query, SqlError
from analysis.rules import Rule, check_rule, rule_query
from curation import copies, store
from curation.errors import UserError
from curation.progress import Progress, silent
from curation.schema import PAIR_FEATURES

UNMEASURED = "unmeasured"

# Measures that go by another name, or whose large values are the easy ones; of every other, small is easy.
PRESETS: dict[str, str] = {"logprob_distance": "logp_distance"}
SHUFFLED = "shuffled"
HIGH_IS_EASY = frozenset({"pass_rate", "test_gap"})

MEASURES: tuple[str, ...] = tuple(
    field.name
    for field in PAIR_FEATURES.schema
    if kinds.is_integer(field.type) or kinds.is_floating(field.type) or kinds.is_boolean(field.type)
)


class CurriculumError(UserError, ValueError):
    """A curriculum that cannot be built from these pairs."""


class Curriculum(BaseModel):
    """How the kept pairs are ordered, and which are left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str = Field(
        "logp_distance",
        description="what orders the pairs: a measure, as in pair_features, a .sql file, or shuffled: a random number",
    )
    percentiles: tuple[float, ...] = Field(
        (10, 50, 90), description="where the metric is cut into buckets, in percent of the kept pairs"
    )
    order: str = Field(
        "metric", description="order within a bucket: metric, difficulty, shuffled, or a measure, small first"
    )
    shuffled: bool = Field(
        False, description="the baseline: the same pairs and as many per bucket, but placed at random"
    )
    seed: int = Field(0, description="seed of whatever is shuffled")
    prune: tuple[Rule, ...] = Field(
        (Rule(rule="contaminated"), Rule(rule="near_identical_pairs")),
        description="the pruning rules, in the order in which they are asked",
    )
    folder: Path | None = Field(None, description="where your own .sql files lie; the recipe's folder")

    @field_validator("percentiles")
    @classmethod
    def _rising(cls, percentiles: tuple[float, ...]) -> tuple[float, ...]:
        if list(percentiles) != sorted(set(percentiles)) or any(not 0 < one < 100 for one in percentiles):
            raise ValueError(f"percentiles must rise and lie between 0 and 100, found {list(percentiles)}")
        return percentiles


def check_config(config: Curriculum) -> None:
    """Find the mistakes of a curriculum's SQL before any work.

    Raises:
        SqlError: a metric, an order or a rule does not exist or does not run with its parameters.
    """
    metric_query(config)
    if config.order not in ("metric", "difficulty", "shuffled", *MEASURES):
        known = ", ".join(["metric", "difficulty", "shuffled", *MEASURES])
        raise SqlError(f"unknown order {config.order}: expected one of {known}")
    named = [rule_query(rule, config.folder).name for rule in config.prune]
    twice = sorted({name for name in named if named.count(name) > 1} | ({UNMEASURED} & set(named)))
    if twice:
        raise SqlError(f"each rule must have its own name, other than {UNMEASURED}; found {', '.join(twice)} again")
    for rule in config.prune:
        check_rule(rule, config.folder)


def metric_query(config: Curriculum) -> Query:
    """The query that gives each pair its metric."""
    name = PRESETS.get(config.metric, config.metric)
    if name in MEASURES:
        # A name out of a closed set: no text of a user's becomes SQL here.
        text = f"SELECT pair_id, {name}::DOUBLE AS metric FROM pair_features"
        return Query(name, text, "One row per pair", ("pair_features",), {})
    if name == SHUFFLED:
        # 48 bits of a hash, so that a seed gives a pair the same number whatever else is in the dataset.
        lot = f"('0x' || left(md5('{config.seed} ' || pair_id), 12))::BIGINT / 2.0 ** 48"
        text = f"SELECT pair_id, {lot} AS metric FROM pair_features"
        return Query(SHUFFLED, text, "One row per pair", ("pair_features",), {})
    if not name.endswith(".sql"):
        known = ", ".join(sorted({*PRESETS, SHUFFLED, *MEASURES}))
        raise SqlError(f"unknown metric {name}: expected a .sql file or one of {known}")
    query = engine.load((config.folder or Path()) / name)
    engine.try_out(query, {}, columns=["pair_id", "metric"])
    return query


def sql_texts(config: Curriculum) -> dict[str, str]:
    """The SQL that a curriculum's rows follow from, by name: hash it into the table's key beside the configuration."""
    queries = [metric_query(config), *(rule_query(rule, config.folder) for rule in config.prune)]
    return {query.name: query.text for query in queries}


def own_sql(config: Curriculum) -> dict[str, str]:
    """The user's own .sql files that a curriculum uses, by the path that names them: the manifest keeps their text."""
    own = [one for one in (config.metric, *(rule.rule for rule in config.prune)) if one.endswith(".sql")]
    return {one: engine.load((config.folder or Path()) / one).text for one in own}


def build_curriculum(dataset: Path, config: Curriculum, *, on_progress: Progress = silent) -> int:
    """pair_features (and what the rules read) -> curriculum. Returns the pairs placed or pruned, which is all of them.

    Progress is in shards. Positions are numbered over the whole dataset, so a half-written table is written anew.

    Raises:
        CurriculumError: no pair has the metric, or the rules leave none.
        SqlError: the configuration's SQL does not run.
    """
    check_config(config)
    planned = store.plan(dataset)
    if not store.missing(dataset, "curriculum"):
        return store.read(dataset, "curriculum", columns=["pair_id"]).num_rows
    if store.missing(dataset, "pair_features"):
        raise CurriculumError(f"{dataset} has pairs without measures: run the build again to measure them first")
    with engine.connect(dataset) as con:
        _measure(con, dataset, config)
        _prune(con, config)
        _place(con, config)
        rows = 0
        for number, shard in enumerate(planned):
            on_progress(number, len(planned))
            pairs = store.read(dataset, "pair_features", columns=["pair_id", "problem_id", "split"], shard=shard)
            places = engine.run(con, _sql("one_shard"), shard=number)
            placed = pa.table([*pairs.columns, *places.columns], [*pairs.column_names, *places.column_names])
            rows += store.write(dataset, "curriculum", placed, shard)
    on_progress(len(planned), len(planned))
    return rows


def cut_points(dataset: Path, config: Curriculum) -> dict[str, Any]:
    """What the manifest says of a built curriculum: metric, percentiles, the values they fell on, pairs per bucket, the
    sides' lengths before and after pruning, and the text of the user's own SQL."""
    with engine.connect(dataset) as con:
        con.execute("CREATE TEMP VIEW kept AS SELECT metric FROM curriculum WHERE pruned_by IS NULL")
        cuts = _cuts(con, config)
        buckets, lengths = (
            engine.run(con, engine.load(SQL / "reports" / f"{name}.sql")).to_pylist()
            for name in ("buckets", "length_bias")
        )
    pairs = {row["bucket"]: row["pairs"] for row in buckets}
    return {
        "metric": config.metric,
        "percentiles": list(config.percentiles),
        "easy": "high" if _high_is_easy(config) else "low",
        "values": [-cut if _high_is_easy(config) else cut for cut in cuts],
        "pairs": [pairs.get(bucket, 0) for bucket in range(len(config.percentiles) + 1)],
        "lengths": lengths,
        "sql": own_sql(config),
    }


def funnel(dataset: Path, config: Curriculum) -> pa.Table:
    """One row per rule, in order: the pairs it names alone, those it removed in its turn, and how many stayed."""
    check_config(config)
    with engine.connect(dataset) as con:
        _measure(con, dataset, config)
        _prune(con, config)
        return engine.run(con, _sql("funnel"), rules=[*_rule_names(config), UNMEASURED])


def _measure(con: duckdb.DuckDBPyConnection, dataset: Path, config: Curriculum) -> None:
    """Table `measured`: one row per pair, with its shard's number, its row in it, its metric and order in a bucket."""
    shards = [store.path(dataset, "pair_features", shard) for shard in store.plan(dataset)]
    files = [str(file.resolve()) for file in copies.together(shards)]
    con.register("shard_numbers", pa.table({"filename": files, "shard": pa.array(range(len(files)), pa.int32())}))
    metric, join = metric_query(config), ""
    expression = metric.name
    if metric.name not in MEASURES:
        _own_metric(con, metric)
        expression, join = "own.metric", "LEFT JOIN own_metric AS own USING (pair_id)"
    within = {"metric": "0", "shuffled": "0"}.get(config.order, config.order)
    if config.order == "difficulty":
        join += " LEFT JOIN (SELECT problem_id, difficulty FROM problems) AS problems USING (problem_id)"
    con.execute(f"""
        CREATE TEMP TABLE measured AS
        SELECT shard, file_row_number AS row, pair_id, ({within})::DOUBLE AS within,
            CASE WHEN isfinite(({expression})::DOUBLE) THEN ({expression})::DOUBLE END AS metric
        FROM read_parquet([{", ".join(map(engine.quote, files))}], filename = true, file_row_number = true)
        JOIN shard_numbers USING (filename) {join}
    """)
    _refuse_no_metric(con, config)


def _own_metric(con: duckdb.DuckDBPyConnection, query: Query) -> None:
    """Table `own_metric`: what a user's metric gives."""
    with engine.explained(query.name):
        con.execute(f"CREATE TEMP TABLE own_metric AS SELECT pair_id, metric::DOUBLE AS metric FROM ({query.text}\n)")
    twice = con.sql("SELECT pair_id FROM own_metric GROUP BY pair_id HAVING count(*) > 1 ORDER BY pair_id").fetchall()
    if twice:
        raise SqlError(f"{query.name} must give one row per pair, {len(twice)} pairs have several, as {twice[0][0]}")


def _refuse_no_metric(con: duckdb.DuckDBPyConnection, config: Curriculum) -> None:
    """Raise where there are pairs and none has the metric, naming the measures that would do."""
    pairs, measured = con.sql("SELECT count(*), count(metric) FROM measured").fetchall()[0]
    if not pairs or measured:
        return
    counts = con.sql(f"SELECT {', '.join(f'count({name})' for name in MEASURES)} FROM pair_features").fetchall()[0]
    known = ", ".join(name for name, count in zip(MEASURES, counts, strict=True) if count)
    raise CurriculumError(f"no pair has a value of {config.metric}: set curriculum.metric to one that has: {known}")


def _prune(con: duckdb.DuckDBPyConnection, config: Curriculum) -> None:
    """Tables `named`, each rule's pairs, and `pruned`, each pair with the first rule that named it."""
    con.execute("CREATE TEMP TABLE named (pair_id VARCHAR, turn INTEGER)")
    con.execute("CREATE TEMP VIEW earlier AS SELECT DISTINCT pair_id FROM named")
    for turn, rule in enumerate(config.prune):
        query = rule_query(rule, config.folder)
        with engine.explained(query.name):
            chosen = f"SELECT DISTINCT pair_id, {turn} FROM ({query.text}\n) WHERE pair_id IS NOT NULL"
            con.execute(f"INSERT INTO named {chosen}", query.bind(rule.params))
    strange = con.sql("SELECT turn, pair_id FROM named ANTI JOIN measured USING (pair_id) LIMIT 1").fetchall()
    if strange:
        name, pair = _rule_names(config)[strange[0][0]], strange[0][1]
        raise CurriculumError(f"the rule {name} names {pair}, which is no pair_id of this dataset")
    con.execute(
        "INSERT INTO named SELECT pair_id, $turn FROM measured WHERE metric IS NULL", {"turn": len(config.prune)}
    )
    con.execute("CREATE TEMP TABLE pruned AS SELECT pair_id, min(turn) AS turn FROM named GROUP BY pair_id")
    pairs, kept = con.sql(
        "SELECT count(*), count(*) FILTER (turn IS NULL) FROM measured LEFT JOIN pruned USING (pair_id)"
    ).fetchall()[0]
    if pairs and not kept:
        rows = engine.run(con, _sql("funnel"), rules=[*_rule_names(config), UNMEASURED]).to_pylist()
        told = ", ".join(f"{row['rule']} {row['removed']}" for row in rows if row["removed"])
        raise CurriculumError(f"pruning leaves none of the {pairs} pairs ({told}): drop a rule or change its params")


def _place(con: duckdb.DuckDBPyConnection, config: Curriculum) -> None:
    """Table `placed`: one row per pair, by shard and row, with its place or the rule that pruned it."""
    con.execute("CREATE TEMP VIEW kept AS SELECT metric FROM measured ANTI JOIN pruned USING (pair_id)")
    params = {
        "cuts": _cuts(con, config),
        "sign": _sign(config),
        "shuffled": config.shuffled,
        "shuffled_within": config.order == "shuffled",
        "seed": config.seed,
        "rules": [*_rule_names(config), UNMEASURED],
    }
    query = _sql("placed")
    con.execute(f"CREATE TEMP TABLE placed AS {query.text}", query.bind(params))


def _cuts(con: duckdb.DuckDBPyConnection, config: Curriculum) -> list[float]:
    """The percentiles of the kept pairs' keys, easy first; none where no pair is kept.

    DuckDB 1.5 finds -3.0000000000000004 between -3 and -3, which would put every -3 behind the cut that they are: a
    percentile within rounding of a key is that key.
    """
    shares = [percentile / 100 for percentile in config.percentiles]
    if not shares:
        return []
    exact = """
        WITH keys AS (SELECT metric * $sign AS key FROM kept),
        cuts AS (SELECT unnest(quantile_cont(key, $shares)) AS cut, unnest(range(len($shares))) AS turn FROM keys)

        SELECT coalesce(max(key), any_value(cut)) AS cut
        FROM cuts
        LEFT JOIN keys ON key BETWEEN cut - 1e-12 * abs(cut) AND cut + 1e-12 * abs(cut)
        GROUP BY turn
        ORDER BY turn
    """
    rows = con.sql(exact, params={"shares": shares, "sign": _sign(config)}).fetchall()
    return [cut for (cut,) in rows if cut is not None]


def _sign(config: Curriculum) -> int:
    return -1 if _high_is_easy(config) else 1


def _high_is_easy(config: Curriculum) -> bool:
    return PRESETS.get(config.metric, config.metric) in HIGH_IS_EASY


def _rule_names(config: Curriculum) -> list[str]:
    return [rule_query(rule, config.folder).name for rule in config.prune]


def _sql(name: str) -> Query:
    return engine.load(SQL / "curricula" / f"{name}.sql")

"""Pruning rules: .sql files that name pairs and say why, ours in sql/prune and a user's own beside the recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
from pydantic import BaseModel, ConfigDict, Field

from analysis import engine
from analysis.engine import SQL, Query, SqlError
from curation.schema import TABLES

# What a rule may read besides the tables and views: the metric of the curriculum it serves, and the pairs that the
# rules before it have named.
MEASURED = "SELECT NULL::VARCHAR AS pair_id, NULL::DOUBLE AS metric WHERE false"
EARLIER = "SELECT NULL::VARCHAR AS pair_id WHERE false"

# Steps of a plan that pass on every row they are given.
PASSING = frozenset({"PROJECTION", "ORDER_BY", "DISTINCT", "SEQ_SCAN"})


class Rule(BaseModel):
    """One pruning rule."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: str = Field(description="name of a rule in analysis/sql/prune, or a .sql file beside the recipe")
    params: dict[str, Any] = Field(default={}, description="its parameters, where they differ from the defaults")


def rule_query(rule: Rule, folder: Path | None) -> Query:
    """The .sql file of a rule: the user's own in `folder` where it is named as a file, else ours."""
    if rule.rule.endswith(".sql"):
        return engine.load((folder or Path()) / rule.rule)
    if rule.rule not in engine.names(SQL / "prune"):
        known = ", ".join(engine.names(SQL / "prune"))
        raise SqlError(f"unknown pruning rule {rule.rule}: expected a .sql file or one of {known}")
    return engine.load(SQL / "prune" / f"{rule.rule}.sql")


def check_rule(rule: Rule, folder: Path | None) -> Query:
    """The query of a rule that runs on empty tables and has a condition.

    Raises:
        SqlError: it does not exist, does not run with its parameters, or would name every pair there is.
    """
    query = rule_query(rule, folder)
    engine.try_out(query, rule.params, columns=["pair_id"], extra={"measured": MEASURED, "earlier": EARLIER})
    if _names_every_pair(query, query.bind(rule.params)):
        raise SqlError(f"{query.name} has no condition, so it would prune every pair: say in a WHERE which it is about")
    return query


def _names_every_pair(query: Query, params: dict[str, Any]) -> bool:
    """Whether a query's plan, conditions that are always true folded away, only reads a table of pairs to its end."""
    con = duckdb.connect(":memory:")
    try:
        for name, table in TABLES.items():
            con.register("empty_table", table.schema.empty_table())
            con.execute(f"CREATE TABLE {name} AS SELECT * FROM empty_table")
            con.unregister("empty_table")
        con.execute(f"CREATE TABLE measured AS {MEASURED}")
        con.execute(f"CREATE TABLE earlier AS {EARLIER}")
        for view in engine.views():
            con.execute(f"CREATE VIEW {view.name} AS {view.text}")
        # That the tables here are empty must not shape the plan.
        con.execute("SET disabled_optimizers = 'statistics_propagation,empty_result_pullup'")
        con.execute("SET explain_output = 'optimized_only'")
        [[_, plan]] = con.execute(f"EXPLAIN (FORMAT json) {query.text}", params).fetchall()
    finally:
        con.close()
    pending: list[dict[str, Any]] = json.loads(plan)
    while pending:
        step = pending.pop()
        if step["name"] not in PASSING or step["extra_info"].get("Filters"):
            return False
        pending += step["children"]
    return bool({*query.reads} & {"pairs", "pair_features", "measured"})

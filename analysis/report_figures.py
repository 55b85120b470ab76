"""What a report shows of a version: every figure with the rows it is drawn from, counted and binned in DuckDB.

Figures of one version alone are here, those of what was trained on it in `report_training`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from analysis import charts, engine, versions
from analysis.curriculum import MEASURES, PRESETS
from analysis.engine import SQL
from analysis.evaluation import estimate, pass_at_k
from curation import manifest
from curation.schema import PAIR_FEATURES

# Up to so many problems each has a bar of its own.
MOST_BARS = 400
KS = (1, 2, 5, 10, 20, 50, 100, 200)
ALONG = ("edit_distance", "ast_distance", "logp_distance")
"""Measures whose spread over the buckets is shown beside the curriculum's own."""


@dataclass(frozen=True)
class Figure:
    """One plot (`spec`) or table (`rows`) of a report, with its heading and the sentence that says what to see."""

    key: str
    section: str
    title: str
    caption: str
    spec: charts.Spec | None = None
    rows: Sequence[Mapping[str, Any]] | None = None
    small: bool = False


def figures(version: Path) -> list[Figure]:
    """The figures of one version, in the order of a report. One that would be empty is left out."""
    sealed = manifest.read_manifest(version)
    found: list[Figure] = []
    with engine.connect(version) as con:
        for draw in (_funnel, _outcomes, _passing, _order, _sides, _measures):
            found += draw(con, sealed)
    return [*found, *_recuration(version, sealed)]


def summary(version: Path) -> list[Figure]:
    """The few that a run shows: the funnel, the pass rates, and the curriculum's metric with its cut points."""
    sealed = manifest.read_manifest(version)
    metric = _measure_of(sealed)
    with engine.connect(version) as con:
        of_metric = _measures(con, sealed, [metric]) if metric in MEASURES else _order(con, sealed)
        drawn = [next(made, None) for made in (_funnel(con, sealed), _passing(con, sealed), of_metric)]
    return [figure for figure in drawn if figure is not None]


def _measure_of(sealed: Mapping[str, Any]) -> str:
    """The measure that the curriculum is ordered by, or the name of a metric that is none."""
    metric = str(sealed["cut_points"].get("metric", "metric"))
    return PRESETS.get(metric, metric)


def _report(con: duckdb.DuckDBPyConnection, name: str, **params: Any) -> list[dict[str, Any]]:
    return engine.run(con, engine.load(SQL / "reports" / f"{name}.sql"), **params).to_pylist()


def _funnel(con: duckdb.DuckDBPyConnection, sealed: Mapping[str, Any]) -> Iterator[Figure]:
    [counts] = _report(con, "stages")
    words = {
        "problems": "problems",
        "completions": "completions sampled",
        "programs": "… that hold a program",
        "judged": "… judged by the tests",
        "passed": "… that pass every test",
        "pairs": "pairs selected",
    }
    rows = [{"stage": words[name], "count": counts[name]} for name in words]
    rows += [{"stage": f"− {row['rule']}", "count": row["removed"]} for row in _report(con, "pruned")]
    rows.append({"stage": "pairs trained on", "count": counts["trained"]})
    yield Figure(
        *("funnel", "Funnel", "From problems to the pairs trained on"),
        "Rows with − are what each pruning rule was the first to take out; they stay in the version, marked.",
        charts.bars(rows, "stage", "count", "rows"),
    )


def _outcomes(con: duckdb.DuckDBPyConnection, sealed: Mapping[str, Any]) -> Iterator[Figure]:
    if verdicts := _report(con, "verdicts"):
        caption = "How every completion's run ended. refused, killed and infra_error are no evidence and make no pair."
        chart = charts.bars(verdicts, "status", "completions", "completions")
        yield Figure("verdicts", "Outcomes", "Verdicts", caption, chart)
    if errors := _report(con, "errors"):
        caption = f"The exception of the first failing test, the {len(errors)} most frequent."
        chart = charts.bars(errors, "error_type", "completions", "completions", colour=charts.REJECTED)
        yield Figure("errors", "Outcomes", "Errors", caption, chart)


def _passing(con: duckdb.DuckDBPyConnection, sealed: Mapping[str, Any]) -> Iterator[Figure]:
    rows = _report(con, "pass_rates")
    if not rows:
        return
    solved = sum(row["num_solved"] > 0 for row in rows)
    caption = f"{solved} of {len(rows)} problems are solved by at least one sample, "
    caption += f"{sum(row['pass_rate'] == 1 for row in rows)} by every one."
    if len(rows) <= MOST_BARS:
        drawn = [
            {"place": n, "label": row["task_id"], "pass_rate": row["pass_rate"]}
            | {"solved": row["num_solved"], "samples": row["num_judged"]}
            for n, row in enumerate(rows)
        ]
        spec = charts.sorted_rates(drawn)
    else:
        tenths = [min(9, int(row["pass_rate"] * 10)) for row in rows]
        spec = charts.rate_histogram(
            [{"start": n / 10, "end": (n + 1) / 10, "problems": tenths.count(n)} for n in range(10)]
        )
    yield Figure("pass_rates", "Outcomes", "Pass rate per problem", caption, spec)
    fewest = min(row["num_judged"] for row in rows)
    curve = []
    for k in (k for k in KS if k <= fewest):
        values = {row["problem_id"]: pass_at_k(row["num_judged"], row["num_solved"], k) for row in rows}
        one = estimate(f"pass@{k}", values)
        curve.append({"k": k, "mean": one.mean, "low": one.low, "high": one.high, "problems": one.problems})
    caption = "Unbiased (Chen et al. 2021, equation 1), with the 95 % bootstrap interval over problems: " + ", ".join(
        f"pass@{row['k']} {row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" for row in curve
    )
    yield Figure("pass_at_k", "Outcomes", "pass@k", caption, charts.estimates(curve))


def _order(con: duckdb.DuckDBPyConnection, sealed: Mapping[str, Any]) -> Iterator[Figure]:
    cuts = sealed["cut_points"]
    metric = str(cuts.get("metric", "metric"))
    rows = [row for row in _report(con, "positions") if row["median"] is not None]
    if not rows:
        return
    values = ", ".join(f"{value:.4g}" for value in cuts.get("values", [])) or "none"
    yield Figure(
        *("order", "Curriculum", "The order of training"),
        f"{metric} along the places, a colour a bucket: the median of a stretch and its range. Cut points: {values}.",
        charts.order(rows, metric),
    )
    buckets = [{**row, "bucket": f"bucket {row['bucket']}"} for row in _report(con, "buckets")]
    chart = charts.bars(buckets, "bucket", "pairs", "pairs")
    yield Figure("buckets", "Curriculum", "Pairs per bucket", "Bucket 0 is trained first.", chart)
    for measure in dict.fromkeys((*ALONG[:1], PRESETS.get(metric, metric), *ALONG[1:])):
        if measure in MEASURES and _hold(con, measure) and (spread := _report(con, "spread")):
            caption = "Quartiles and median; the line goes from the 5th to the 95th percentile."
            chart = charts.spread(spread)
            yield Figure(f"spread-{measure}", "Curriculum", f"{measure} by bucket", caption, chart, small=True)


def _sides(con: duckdb.DuckDBPyConnection, sealed: Mapping[str, Any]) -> Iterator[Figure]:
    rows = _report(con, "lengths")
    if rows:
        caption = "Pairs by the characters of their sides. Above the line the chosen side is longer: a preference for "
        caption += "length is the commonest bias."
        chart = charts.heat(rows, "rejected", "chosen", "pairs", ["rejected, characters", "chosen, characters"])
        yield Figure("lengths", "Sides", "Chosen against rejected length", caption, chart)
        caption = "How much longer chosen is than rejected on average, and the share of pairs in which it is longer."
        yield Figure(
            "length_bias", "Sides", "Length bias before and after pruning", caption, rows=_report(con, "length_bias")
        )


# Where published sets sit on a measure, to see one's own beside them.
KNOWN = {
    "edit_normalized": "; by Pal et al. 2024 (arXiv 2402.13228) 6.5 % for MetaMath, where plain DPO fails, 90 % for ARC"
}


def _measures(
    con: duckdb.DuckDBPyConnection, sealed: Mapping[str, Any], measures: Iterable[str] = tuple(MEASURES)
) -> Iterator[Figure]:
    cuts, metric = sealed["cut_points"], _measure_of(sealed)
    for measure in measures:
        if not _hold(con, measure):
            continue
        rows = [row | {"fate": "kept" if row["kept"] else "pruned"} for row in _report(con, "histogram")]
        at = [value for value in cuts.get("values", []) if value is not None] if measure == metric else []
        doc = PAIR_FEATURES.doc(measure) + KNOWN.get(measure, "")
        chart = charts.histogram(rows, at)
        yield Figure(f"measure-{measure}", "Measures", measure, doc, chart, small=True)


def _hold(con: duckdb.DuckDBPyConnection, measure: str) -> bool:
    """Make the view `measure` hold one measure of every pair; whether any pair has it."""
    assert measure in MEASURES, "a name out of a closed set: no text of a user's becomes SQL here"
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE measure AS SELECT {measure}::DOUBLE AS value, bucket, pruned_by IS NULL AS kept"
        f" FROM (SELECT pair_id, {measure} FROM pair_features WHERE {measure} IS NOT NULL) AS features"
        " JOIN (SELECT pair_id, bucket, pruned_by FROM curriculum) AS places USING (pair_id)"
    )
    return bool(con.sql("SELECT count(*) FROM measure").fetchall()[0][0])


def _recuration(version: Path, sealed: Mapping[str, Any]) -> Iterator[Figure]:
    """Before and after, where the version was made from another that is still there."""
    parent = sealed["parent"] and version.parent / str(sealed["parent"])
    if not parent or not (parent / manifest.MANIFEST).is_file():
        return
    names = [f"{sealed['dataset']}@{one}" for one in (sealed["parent"], sealed["version"])]
    compare: dict[str, tuple[str, Callable[[Path, Path], Any]]] = {
        "settings": ("Settings that changed", versions.diff_config),
        "rows": ("Rows", versions.diff_rows),
        "moved": ("Measures over the pairs trained on", versions.diff_measures),
    }
    rules = versions.diff_rules(parent, version).to_pylist()
    bars = [
        {"rule": row["rule"], "version": name, "pairs": row[side] or 0}
        for row in rules
        for name, side in zip(names, ("before", "after"), strict=True)
    ]
    for folder, name in zip((parent, version), names, strict=True):
        with engine.connect(folder) as con:
            buckets = _report(con, "buckets")
        bars += [{"rule": f"bucket {row['bucket']}", "version": name, "pairs": row["pairs"]} for row in buckets]
    chart = charts.grouped_bars(bars, "rule", "pairs", "version", "pairs", names)
    caption = "What each rule took out, and what is in each bucket, before and after."
    yield Figure("before-after", "Re-curation", f"{names[0]} → {names[1]}", caption, chart)
    for key, (title, query) in compare.items():
        if rows := query(parent, version).to_pylist():
            yield Figure(f"recuration-{key}", "Re-curation", title, "", rows=rows)

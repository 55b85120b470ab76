"""The three plots of a version that a run shows: the funnel, the curriculum's metric with its cut points, pass rates.

Drawn by Altair from rows that DuckDB has counted, as SVG: an artifact holds counts, whatever the number of pairs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from analysis.report import run_report
from curation import manifest

BLUE, RED = "#4477aa", "#ee6677"
"""Two of Paul Tol's bright scheme, which colour-blind readers tell apart."""
WIDTH = 720
CONFIG = {
    "background": "white",
    "padding": 12,
    "autosize": {"type": "fit", "contains": "padding"},
    "view": {"stroke": "transparent"},
    "font": "sans-serif",
}
Rows = Sequence[Mapping[str, Any]]


def plots(version: Path) -> dict[str, str]:
    """Title -> SVG of a sealed version; one that has nothing to show is left out."""
    sealed = manifest.read_manifest(version)
    cuts = sealed["cut_points"]
    drawn = {"Where the samples went": _bars(funnel(version), "rows")}
    if bins := run_report(version, "metric_bins").to_pylist():
        title = f"{cuts['metric']} of the pairs trained on, with its cut points"
        drawn[title] = _histogram(bins, cuts["metric"], [value for value in cuts["values"] if value is not None])
    if tenths := run_report(version, "pass_rate_tenths").to_pylist():
        problems = {row["tenth"]: row["problems"] for row in tenths}
        rows = [{"label": label, "rows": problems.get(tenth, 0)} for tenth, label in enumerate(TENTHS)]
        drawn["Problems by the share of their samples that pass"] = _bars(rows, "problems")
    return drawn


TENTHS = ["none", *(f"{low + 1} to {low + 10} %" for low in range(0, 90, 10)), "91 to 99 %", "all"]


def funnel(version: Path) -> list[dict[str, Any]]:
    """From what was sampled to what is trained on, a row a step, with what each rule took in its turn."""
    sealed = manifest.read_manifest(version)
    verdicts = {row["status"]: row["completions"] for row in run_report(version, "verdicts").to_pylist()}
    unfair = sum(verdicts.get(status, 0) for status in ("refused", "killed", "infra_error"))
    rows = {table: entry["num_rows"] for table, entry in sealed["tables"].items()}
    removed = run_report(version, "pruned").to_pylist()
    steps = [
        ("completions", rows["completions"]),
        ("… fairly judged", sum(verdicts.values()) - unfair),
        ("… that pass every test", verdicts.get("passed", 0)),
        ("pairs selected", rows["pairs"]),
        *((f"− {row['rule']}", row["removed"]) for row in removed),
        ("pairs trained on", rows["pairs"] - sum(row["removed"] for row in removed)),
    ]
    return [{"label": label, "rows": count} for label, count in steps]


def _bars(rows: Rows, title: str) -> str:
    """A horizontal bar per row, in the rows' order, with its number at the end."""
    base = alt.Chart(alt.Data(values=list(rows))).encode(
        y=alt.Y("label:N", sort=None, title=None, axis=alt.Axis(labelLimit=220)),
        x=alt.X("rows:Q", title=title, axis=alt.Axis(tickCount=5, tickMinStep=1, grid=False)),
    )
    numbers = base.mark_text(align="left", dx=5).encode(text=alt.Text("rows:Q", format=","))
    return _svg(base.mark_bar(color=BLUE, cornerRadiusEnd=2) + numbers, alt.Step(22))


def _histogram(bins: Rows, metric: str, cuts: Sequence[float]) -> str:
    """Pairs per bin, and a dashed line for every cut point."""
    bars: Any = (
        alt.Chart(alt.Data(values=list(bins)))
        .mark_bar(color=BLUE)
        .encode(
            x=alt.X("low:Q", bin="binned", title=metric, axis=alt.Axis(tickCount=8, format="~s", grid=False)),
            x2="high:Q",
            y=alt.Y("pairs:Q", title="pairs", axis=alt.Axis(tickCount=4, tickMinStep=1)),
        )
    )
    lines = alt.Chart(alt.Data(values=[{"cut": cut} for cut in cuts])).mark_rule(color=RED, strokeDash=[4, 3], size=2)
    return _svg(bars + lines.encode(x="cut:Q"), 200)


def _svg(chart: Any, height: Any) -> str:
    spec = chart.properties(width=WIDTH, height=height).to_dict() | {"config": CONFIG}
    return str(vl_convert.vegalite_to_svg(json.dumps(spec)))

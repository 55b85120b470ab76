"""Plots of a dataset as Vega-Lite, made with Altair out of rows that DuckDB has counted already.

A chart is a specification as plain values: a page draws it with the library of `script`, `png` and `svg` draw it here,
for a card or an artifact. No chart names a colour of paper or ink: the page gives those, for light and dark.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import altair as alt
import vl_convert

Rows = Sequence[Mapping[str, Any]]
Spec = dict[str, Any]

CHOSEN, REJECTED, MUTED = "#4477aa", "#ee6677", "#9a9a9a"
"""Of Paul Tol's bright scheme, which colour-blind readers tell apart."""
SERIES = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb"]
BUCKETS = ["#66ccee", "#4477aa", "#228833", "#ccbb44", "#ee6677", "#aa3377", "#bbbbbb"]
KEPT = alt.Scale(domain=["kept", "pruned"], range=[CHOSEN, MUTED])
HEIGHT = 220
PNG_CONFIG = {"background": "white", "view": {"stroke": "transparent"}, "font": "sans-serif"}


def bars(rows: Rows, label: str, value: str, title: str, *, colour: str = CHOSEN, height: int = 24) -> Spec:
    """A horizontal bar per row, in the rows' order, with its number at the end; `height` pixels a bar."""
    base = alt.Chart(_data(rows)).encode(
        y=alt.Y(f"{label}:N", sort=None, title=None, axis=alt.Axis(labelLimit=240)),
        x=alt.X(f"{value}:Q", title=title, axis=_axis(rows, value)),
        tooltip=_tips(rows, *(rows[0] if rows else ())),
    )
    numbers = base.mark_text(align="left", dx=5).encode(text=alt.Text(f"{value}:Q", format=","))
    return _spec((base.mark_bar(color=colour, cornerRadiusEnd=2) + numbers), height=height * max(1, len(rows)))


def grouped_bars(rows: Rows, label: str, value: str, group: str, title: str, order: Sequence[str]) -> Spec:
    """Horizontal bars of several groups beside each other for each label."""
    chart = (
        alt.Chart(_data(rows))
        .mark_bar(cornerRadiusEnd=2)
        .encode(
            y=alt.Y(f"{label}:N", sort=None, title=None, axis=alt.Axis(labelLimit=240)),
            yOffset=alt.YOffset(f"{group}:N", sort=list(order)),
            x=alt.X(f"{value}:Q", title=title, axis=_axis(rows, value)),
            color=alt.Color(f"{group}:N", sort=list(order), title=None, scale=alt.Scale(range=[MUTED, *SERIES])),
            tooltip=_tips(rows, label, group, value),
        )
    )
    return _spec(chart, height=14 * max(1, len(order) * len({row[label] for row in rows})))


def histogram(rows: Rows, cuts: Sequence[float] = (), *, height: int = 110) -> Spec:
    """Pairs per bin, kept ones below the pruned ones, and a line for every cut point.

    `rows` have start, width, fate and pairs.
    """
    binned = [{**row, "end": row["start"] + row["width"]} for row in rows]
    chart: Any = (
        alt.Chart(_data(binned))
        .mark_bar()
        .encode(
            x=alt.X("start:Q", bin="binned", title=None, axis=_axis(binned, "end", tickCount=5, grid=False)),
            x2="end:Q",
            y=alt.Y("pairs:Q", title=None, axis=_axis(binned, "pairs", tickCount=3)),
            color=alt.Color("fate:N", title=None, scale=KEPT, legend=None),
            order=alt.Order("fate:O"),
            tooltip=_tips(binned, "start", "end", "fate", "pairs"),
        )
    )
    if cuts:
        lines = alt.Chart(_data([{"cut": cut} for cut in cuts])).mark_rule(color=REJECTED, strokeDash=[4, 3], size=1.5)
        chart = chart + lines.encode(x="cut:Q", tooltip=[alt.Tooltip("cut:Q", title="cut point")])
    return _spec(chart, height=height)


def sorted_rates(rows: Rows) -> Spec:
    """Problems by pass rate, hardest first, as one line of dots; `rows` have place, label, pass_rate and samples."""
    chart = (
        alt.Chart(_data(rows))
        .mark_bar(color=CHOSEN, width={"band": 0.9})
        .encode(
            x=alt.X("place:O", title="problems, hardest first", axis=alt.Axis(labels=False, ticks=False)),
            y=alt.Y("pass_rate:Q", title="pass rate", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            tooltip=_tips(rows, "label", "pass_rate", "solved", "samples"),
        )
    )
    return _spec(chart)


def rate_histogram(rows: Rows) -> Spec:
    """Problems per tenth of pass rate; `rows` have start, end and problems."""
    chart = (
        alt.Chart(_data(rows))
        .mark_bar(color=CHOSEN)
        .encode(
            x=alt.X("start:Q", bin="binned", title="pass rate", axis=alt.Axis(format="%", tickCount=6)),
            x2="end:Q",
            y=alt.Y("problems:Q", title="problems"),
            tooltip=_tips(rows, "start", "end", "problems"),
        )
    )
    return _spec(chart)


def estimates(rows: Rows) -> Spec:
    """pass@k over k with its interval as a band; `rows` have k, mean, low, high and problems."""
    base = alt.Chart(_data(rows)).encode(
        x=alt.X("k:Q", title="k (samples drawn)", scale=alt.Scale(type="log"), axis=alt.Axis(values=_values(rows, "k")))
    )
    tooltip = _tips(rows, "k", "mean", "low", "high", "problems")
    spread = base.mark_rule(size=2, color=CHOSEN).encode(y=alt.Y("low:Q", title="pass@k"), y2="high:Q")
    band = base.mark_area(opacity=0.2, color=CHOSEN).encode(y=alt.Y("low:Q", scale=alt.Scale(zero=True)), y2="high:Q")
    line = base.mark_line(color=CHOSEN).encode(y="mean:Q")
    dots = base.mark_point(filled=True, size=60, color=CHOSEN).encode(y="mean:Q", tooltip=tooltip)
    return _spec(band + spread + line + dots)


def heat(rows: Rows, x: str, y: str, value: str, titles: Sequence[str]) -> Spec:
    """A grid of cells `width` wide on both axes, darker where there is more, with the diagonal."""
    cells = [{**row, "x2": row[x] + row["width"], "y2": row[y] + row["width"]} for row in rows]
    top = max((max(cell["x2"], cell["y2"]) for cell in cells), default=1)
    scale = alt.Scale(domain=[0, top], nice=False)
    grid = (
        alt.Chart(_data(cells))
        .mark_rect()
        .encode(
            x=alt.X(f"{x}:Q", title=titles[0], scale=scale, axis=alt.Axis(grid=False)),
            x2="x2:Q",
            y=alt.Y(f"{y}:Q", title=titles[1], scale=scale, axis=alt.Axis(grid=False)),
            y2="y2:Q",
            color=alt.Color(f"{value}:Q", scale=alt.Scale(type="log", scheme="viridis"), title=value),
            tooltip=_tips(rows, x, y, value),
        )
    )
    ends = alt.Chart(_data([{"d": 0}, {"d": top}])).mark_line(color=REJECTED, strokeDash=[4, 3])
    return _spec(grid + ends.encode(x="d:Q", y="d:Q"), height=300)


def order(rows: Rows, metric: str) -> Spec:
    """The metric along the training order, coloured by bucket: its median, and its range as a band."""
    base = alt.Chart(_data(rows)).encode(
        x=alt.X("first:Q", title="place in training", axis=_axis(rows, "last")),
        color=alt.Color("bucket:O", title="bucket", scale=alt.Scale(range=BUCKETS)),
    )
    low = base.mark_bar(opacity=0.35).encode(x2="last:Q", y=alt.Y("low:Q", title=metric), y2="high:Q")
    tooltip = _tips(rows, "first", "last", "bucket", "low", "median", "high")
    middle = base.mark_tick(thickness=2.5, orient="horizontal", width=6).encode(y="median:Q", tooltip=tooltip)
    return _spec(low + middle)


def spread(rows: Rows) -> Spec:
    """A box per bucket: quartiles, median, and the 5th to 95th percentile."""
    base = alt.Chart(_data(rows)).encode(
        y=alt.Y("bucket:O", title="bucket"),
        color=alt.Color("bucket:O", scale=alt.Scale(range=BUCKETS), legend=None),
        tooltip=_tips(rows, "bucket", "pairs", *QUANTILES),
    )
    whisker = base.mark_rule(size=2).encode(x=alt.X("p05:Q", title=None, axis=_axis(rows, "p95")), x2="p95:Q")
    box = base.mark_bar(height={"band": 0.5}, opacity=0.85).encode(x="p25:Q", x2="p75:Q")
    middle = base.mark_tick(thickness=3, size=18).encode(x="p50:Q", color=alt.value("#222"))
    return _spec(whisker + box + middle, height=36 * max(1, len(rows)))


QUANTILES = ("p05", "p25", "p50", "p75", "p95")


def lines(
    rows: Rows, x: str, y: str, group: str, titles: Sequence[str], *, band: bool = False, marks: Sequence[float] = ()
) -> Spec:
    """A line per group, with `low` to `high` as a band if asked, and upright lines at `marks`."""
    base = alt.Chart(_data(rows)).encode(
        x=alt.X(f"{x}:Q", title=titles[0], axis=_axis(rows, x)),
        color=alt.Color(
            f"{group}:N", title=None, sort=None, scale=alt.Scale(range=SERIES), legend=alt.Legend(labelLimit=260)
        ),
    )
    drawn: Any = base.mark_line(point={"size": 18}, strokeWidth=1.8).encode(
        y=alt.Y(f"{y}:Q", title=titles[1], scale=alt.Scale(zero=False)), tooltip=_tips(rows, group, x, y)
    )
    if band:
        drawn = base.mark_area(opacity=0.15).encode(y="low:Q", y2="high:Q") + drawn
    if marks:
        upright = alt.Chart(_data([{"at": at} for at in marks])).mark_rule(strokeDash=[3, 3], color=MUTED)
        drawn = upright.encode(x=alt.X("at:Q")) + drawn
    return _spec(drawn)


def intervals(rows: Rows, label: str, group: str, title: str, *, each: Rows = ()) -> Spec:
    """A dot per row with its interval, coloured by `group`; `rows` have mean, low and high.

    `each` has the single means behind a row's, which become hollow dots.
    """
    base = alt.Chart(_data(rows)).encode(
        y=alt.Y(f"{label}:N", sort=None, title=None, axis=alt.Axis(labelLimit=260)),
        color=alt.Color(f"{group}:N", title=None, sort=None, scale=alt.Scale(range=SERIES)),
    )
    span = base.mark_rule(size=3).encode(x=alt.X("low:Q", title=title, scale=alt.Scale(zero=False)), x2="high:Q")
    tooltip = _tips(rows, label, group, "mean", "low", "high")
    dots = base.mark_point(filled=True, size=90, opacity=1).encode(x="mean:Q", tooltip=tooltip)
    single = alt.Chart(_data(each)).mark_point(filled=False, size=30, color=MUTED)
    drawn = span + single.encode(x="mean:Q", y=alt.Y(f"{label}:N", sort=None)) + dots if each else span + dots
    return _spec(drawn, height=26 * max(1, len({row[label] for row in rows})))


def parts(rows: Rows) -> Spec:
    """Mean log-probability a token before, at and after the first difference, a panel a side, a line a policy."""
    chart = (
        alt.Chart(_data(rows))
        .mark_line(point={"size": 70, "filled": True})
        .encode(
            x=alt.X(
                "part:O", sort=["before", "at", "after"], title="tokens to the first difference", axis={"labelAngle": 0}
            ),
            y=alt.Y("mean_logp:Q", title="mean log-prob, nats"),
            color=alt.Color("policy:N", sort=None, title=None, scale=alt.Scale(range=[MUTED, *SERIES])),
            strokeDash=alt.StrokeDash("side:N", title=None, legend=alt.Legend(symbolType="stroke")),
            tooltip=_tips(rows, "policy", "side", "part", "mean_logp", "tokens"),
        )
    )
    return _spec(chart)


@cache
def script() -> str:
    """Vega, Vega-Lite and vega-embed in one, for a page: it defines `window.vegaEmbed`."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


def png(spec: Spec, *, width: int = 640, scale: float = 1.5) -> bytes:
    """A chart as a PNG on white."""
    return vl_convert.vegalite_to_png(json.dumps(_sized(spec, width)), scale=scale)


def svg(spec: Spec, *, width: int = 640) -> str:
    """A chart as SVG on white."""
    return vl_convert.vegalite_to_svg(json.dumps(_sized(spec, width)))


def _sized(spec: Spec, width: int) -> Spec:
    return {**spec, "width": width, "config": PNG_CONFIG}


def _axis(rows: Rows, name: str, **given: Any) -> alt.Axis:
    """An axis for a column: no marks between whole numbers, millions as 1M."""
    values = [abs(row[name]) for row in rows if row[name] is not None]
    whole = all(value == int(value) for value in values)
    most = max(values, default=0)
    form = "~s" if most >= 1e6 else ",~f" if most >= 10 else ".3~g"
    return alt.Axis(format=form, tickMinStep=1, **given) if whole else alt.Axis(format=form, **given)


def _data(rows: Rows) -> alt.Data:
    return alt.Data(values=[dict(row) for row in rows])


def _spec(chart: Any, *, height: int = HEIGHT) -> Spec:
    """The chart as plain values, as wide as its place. Altair's own look is left out."""
    # Not validated again here: that takes longer than all the counting, and every chart is drawn in the tests.
    spec: Spec = chart.properties(width="container", height=height).to_dict(validate=False)
    spec.pop("config", None)
    return spec


def _tips(rows: Rows, *names: str) -> list[alt.Tooltip]:
    """What is said of the mark under the pointer: these columns, in their order."""
    first = rows[0] if rows else {}
    return [
        alt.Tooltip(f"{name}:Q", format=".4~g" if isinstance(first[name], float) else ",")
        if isinstance(first[name], int | float)
        else alt.Tooltip(f"{name}:N")
        for name in names
        if name in first
    ]


def _values(rows: Rows, name: str) -> list[Any]:
    return [row[name] for row in rows]

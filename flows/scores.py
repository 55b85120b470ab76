"""Evaluations as people read them: a table per benchmark, with intervals, and each further policy against the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.evaluation import compare, estimate
from flows.evaluating import Result

NAME_WIDTH = 60


def table(results: Mapping[str, Sequence[Result]]) -> list[dict[str, Any]]:
    """One row per benchmark, policy and metric, with its interval and its difference from the benchmark's first policy.

    `difference` and what follows it are None for the first.
    """
    rows = []
    for benchmark, members in results.items():
        base = members[0].metrics()
        for number, result in enumerate(members):
            for metric, values in result.metrics().items():
                found = estimate(metric, values)
                row = {"benchmark": benchmark, "policy": result.policy.name, "metric": metric, "mean": found.mean}
                row |= {"low": found.low, "high": found.high, "problems": found.problems}
                gap = compare(metric, base[metric], values) if number and metric in base else None
                row |= {
                    "difference": gap and gap.mean,
                    "difference_low": gap and gap.low,
                    "difference_high": gap and gap.high,
                    "p_value": gap and gap.p_value,
                    "folder": str(result.folder),
                }
                rows.append(row)
    return rows


def show(results: Mapping[str, Sequence[Result]], console: Console) -> None:
    """Print what `table` says, what it is based on, and where every problem's row lies."""
    for benchmark, members in results.items():
        first = members[0].rows
        sampled = first[0]["num_samples"]
        how = "greedy" if first[0]["temperature"] == 0 else f"temperature {first[0]['temperature'] or 0:.3g}"
        console.print()
        title = f"{benchmark}: {len(first)} problems, {sampled} sample{'s' * (sampled != 1)} each, {how}"
        console.print(Text(title, style="bold"))
        rows = table({benchmark: members})
        console.print(_scores(rows))
        for row in rows:
            if row["difference"] is not None and row["metric"] == rows[0]["metric"]:
                console.print(f"  {_against(row, rows[0]['policy'])}", markup=False, soft_wrap=True)
        for result in members:
            console.print(f"  {_said(result)}", markup=False, soft_wrap=True)
        console.print(f"  every problem's row: {members[-1].folder / 'evaluations'}", markup=False, soft_wrap=True)
    console.print(
        "\n  [low, high]: 95 % bootstrap interval over problems; of a difference, the problems drawn in pairs",
        markup=False,
        soft_wrap=True,
    )


def _scores(rows: Sequence[Mapping[str, Any]]) -> Table:
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    drawn = Table(show_edge=False, box=None, padding=(0, 1, 0, 2))
    drawn.add_column("policy", min_width=18, overflow="fold")
    for metric in metrics:
        drawn.add_column(metric, no_wrap=True)
    for policy in dict.fromkeys(row["policy"] for row in rows):
        own = {row["metric"]: row for row in rows if row["policy"] == policy}
        drawn.add_row(Text(shortened(policy)), *(_interval(own[m]) if m in own else "" for m in metrics))
    return drawn


def _interval(row: Mapping[str, Any]) -> str:
    return f"{row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def _against(row: Mapping[str, Any], base: str) -> str:
    gap = f"{row['difference']:+.3f} [{row['difference_low']:+.3f}, {row['difference_high']:+.3f}]"
    return f"{shortened(row['policy'])} against {shortened(base)}: {row['metric']} {gap}, p = {row['p_value']:.2g}"


def _said(result: Result) -> str:
    """What a score alone hides: how long the answers are, how many were cut, how many never got a fair run."""
    samples = sum(row["num_samples"] for row in result.rows)
    lengths = [row["mean_tokens"] for row in result.rows if row["mean_tokens"] is not None]
    parts = [f"{fmean(lengths):.0f} tokens an answer"] if lengths else []
    parts.append(f"{sum(row['num_cut'] for row in result.rows)} of {samples} cut at the limit")
    if unfair := sum(row["num_no_evidence"] for row in result.rows):
        parts.append(f"{unfair} refused or not fairly run, counted as failures")
    return f"{shortened(result.policy.name)}: {', '.join(parts)}"


def shortened(name: str) -> str:
    """A policy's name, its front cut where it is long: the end of a path says more."""
    return name if len(name) <= NAME_WIDTH else "…" + name[1 - NAME_WIDTH :]

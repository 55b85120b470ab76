"""The short account a build ends with: what was made, how it came out, where it lies, what to type next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis import engine
from analysis.report import run_report
from curation import card, manifest, storage

BAR = 24
COLOURS = {"passed": "green", "wrong": "yellow", "exception": "yellow", "refused": "red", "infra_error": "red"}


def show(version: Path, made: bool | None, root: Path, console: Console) -> None:
    """Print the account. `made` says whether the version was built now, was there already, or (None) is just shown."""
    sealed = manifest.read_manifest(version)
    name = f"{sealed['dataset']}@{sealed['version']}"
    console.print()
    console.print(Text(f"{name}: {HEADLINES[made]}", style="bold"))
    reports = {
        report: run_report(version, report).to_pylist() for report in ("verdicts", "buckets", "pruned", "length_bias")
    }
    with engine.connect(version) as con:
        models = engine.select(con, "SELECT DISTINCT model FROM completions ORDER BY model")["model"].to_pylist()
        firsts = "SELECT DISTINCT sampler FROM completions WHERE sample_index = 0"
        samplers = set(engine.select(con, firsts)["sampler"].to_pylist())
        samples = engine.select(con, "SELECT min(num_judged) AS fewest FROM problem_stats")["fewest"].to_pylist()[0]
        ks = sorted({1, *(k for k in (10, 100) if k <= (samples or 0))})
    passing = [run_report(version, "pass_at_k", k=k).to_pylist()[0] for k in ks]
    console.print(f"  {_counts(sealed)} by {', '.join(models) or 'nobody'}")
    console.print(_verdicts(reports["verdicts"]))
    estimates = [f"pass@{row['k']} {row['pass_at_k']:.3f}" for row in passing if row["problems"]]
    if estimates and not samplers <= {"reference", "mutation", "labelled"}:  # known answers are no attempts
        console.print(f"  {', '.join(estimates)} (unbiased, {passing[0]['problems']} problems)\n")
    console.print(_buckets(reports["buckets"], sealed["cut_points"]))
    for row in reports["pruned"]:
        console.print(f"  {row['removed']} pairs set aside by {row['rule']}")
    if reports["length_bias"]:
        console.print(f"  chosen is longer {card.lengths_told(reports['length_bias'])}")
    console.print()
    console.print(f"  {version}", soft_wrap=True)
    console.print(f"  digest {sealed['digest']}", soft_wrap=True)
    _what_next(name, root, version, console)


HEADLINES = {True: "sealed", False: "already sealed, nothing to do", None: "a sealed version"}


def _counts(sealed: dict[str, Any]) -> str:
    rows = {table: entry["num_rows"] for table, entry in sealed["tables"].items()}
    return f"{rows['problems']} problems, {rows['pairs']} pairs of {rows['completions']} completions"


def _verdicts(rows: list[dict[str, Any]]) -> Table:
    table = Table("verdict", show_edge=False, box=None, padding=(0, 1, 0, 2))
    table.add_column("completions", justify="right")
    table.add_column("share", justify="right")
    table.add_column("")
    for row in rows:
        style = COLOURS.get(row["status"], "")
        bar = Text("█" * max(1, round(row["share"] * BAR)), style=style)
        table.add_row(row["status"], str(row["completions"]), f"{row['share']:.1%}", bar)
    return table


def _buckets(rows: list[dict[str, Any]], cut_points: dict[str, Any]) -> Table:
    table = Table("bucket", show_edge=False, box=None, padding=(0, 1, 0, 2))
    for heading in ("pairs", "problems", f"{cut_points.get('metric', 'metric')} from", "to"):
        table.add_column(heading, justify="right")
    for row in rows:
        place = f"{row['bucket']} easiest" if row["bucket"] == 0 else str(row["bucket"])
        table.add_row(place, str(row["pairs"]), str(row["problems"]), f"{row['low']:.4g}", f"{row['high']:.4g}")
    return table


def _what_next(name: str, root: Path, version: Path, console: Console) -> None:
    at = "" if root == Path("data") else f" --root {root}"
    console.print("\n  next:")
    load = f'python -c "from datasets import load_dataset; print(load_dataset({str(version)!r}))"'
    for command in (
        f'pairwright sql {name} "SELECT bucket, count(*) FROM curriculum GROUP BY ALL"{at}',
        f"pairwright funnel {name}{at}",
        *([f"pairwright pull {root}/{name}"] if storage.remote_of(root) else [f"pairwright train {name}{at}", load]),
    ):
        console.print(f"    {command}", markup=False, soft_wrap=True)

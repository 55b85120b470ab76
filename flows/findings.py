"""What an experiment found, as people read it: a table in Markdown and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis import charts
from curation import store


def write(folder: Path, found: Mapping[str, Any]) -> list[Path]:
    """Write table.md and the plots into the experiment's folder."""
    files = {"table.md": markdown(found)}
    for benchmark, scores in found["benchmarks"].items():
        for metric in dict.fromkeys(row["metric"] for row in scores["scores"]):
            rows = [row for row in scores["scores"] if row["metric"] == metric]
            each = [{"arm": row["arm"], "mean": mean} for row in rows for mean in row["seeds"]]
            title = f"{metric} on {benchmark}, {rows[0]['problems']} problems: mean of the seeds, 95 % interval"
            files[f"{_plain(benchmark)}-{_plain(metric)}.svg"] = charts.svg(
                charts.intervals(rows, "arm", "arm", title, each=each)
            )
    for name, title in (
        ("rewards/margins", "reward margin of chosen over rejected"),
        ("log_ratios/chosen", "how much likelier the chosen side became, nats (below 0: less likely)"),
    ):
        points = [
            {"step": step, "value": value, "arm": arm}
            for arm, curves in found["training"].items()
            for step, value in enumerate(curves.get(name, ()), 1)
        ]
        if points:
            drawn = charts.lines(points, "step", "value", "arm", ("optimizer step", title))
            files[f"training-{_plain(name)}.svg"] = charts.svg(drawn)
    for name, text in files.items():
        with store.replacing(folder / name) as partial:
            partial.write_text(text, encoding="utf-8")
    return [folder / name for name in files]


def markdown(found: Mapping[str, Any]) -> str:
    """The scores and the comparisons of every benchmark."""
    parts = []
    for benchmark, scores in found["benchmarks"].items():
        metrics = list(dict.fromkeys(row["metric"] for row in scores["scores"]))
        problems = scores["scores"][0]["problems"]
        parts.append(f"**{benchmark}**: {problems} problems, seeds {', '.join(map(str, found['seeds']))}\n")
        parts.append(_scores(found["arms"], metrics, scores))
        parts.append("Differences, the second arm minus the first, problems drawn in pairs:\n")
        parts.append(_comparisons(scores["comparisons"]))
    return "\n".join(parts)


def _scores(arms: Sequence[str], metrics: Sequence[str], scores: Mapping[str, Any]) -> str:
    by = {(row["arm"], row["metric"]): row for row in scores["scores"]}
    rows = []
    for arm in arms:
        cells = []
        for metric in metrics:
            row = by[arm, metric]
            each = ", ".join(f"{value:.3f}" for value in row["seeds"])
            cells.append(f"{row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}] ({each})")
        answers = scores["answers"][arm]
        length = "" if answers["mean_tokens"] is None else f"{answers['mean_tokens']:.0f}"
        rows.append([arm, *cells, length, f"{answers['cut']} / {answers['no_evidence']} of {answers['samples']}"])
    return _table(["arm", *(f"{metric} (each seed)" for metric in metrics), "tokens", "cut / no evidence"], rows)


def _comparisons(rows: Sequence[Mapping[str, Any]]) -> str:
    return _table(
        ["arms", "metric", "difference", "95 % interval", "p"],
        [
            [
                f"{row['base']} → {row['other']}",
                row["metric"],
                f"{row['mean']:+.3f}",
                f"[{row['low']:+.3f}, {row['high']:+.3f}]",
                f"{row['p_value']:.3f}",
            ]
            for row in rows
        ],
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _plain(name: str) -> str:
    """A name for a file: letters, digits and hyphens."""
    return "".join(c if c.isalnum() else "-" for c in name)

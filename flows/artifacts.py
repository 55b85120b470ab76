"""What a run leaves to look at in Prefect: a summary in Markdown with plots, the tables behind it, links.

The functions take what a flow has made and give nothing; keys are per dataset, so Prefect keeps their history. What a
server does not take is said in the run's log: what the run was for is made and kept all the same.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from prefect import get_run_logger
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from analysis.report import file_of, run_report
from curation import manifest
from curation.publish import Publication
from flows import scores
from flows.evaluating import Result

if TYPE_CHECKING:
    from flows.iterate import Outcome
    from flows.training import Trained

REPORTS = "PAIRWRIGHT_REPORTS"
"""Address under which `pairwright ui` serves the reports of its root, and that root, with a space between them."""
EXAMPLES = 2


def version_of(version: Path, root: Path) -> None:
    """Of a sealed version: counts, plots, buckets, two pairs, what to type next; its tables as a table."""
    from analysis import charts, report_figures  # the plotting library takes a second to import

    sealed = manifest.read_manifest(version)
    name = f"{sealed['dataset']}@{sealed['version']}"
    at = "" if root == Path("data") else f" --root {root}"
    verdicts = run_report(version, "verdicts").to_pylist()
    rows = {table: entry["num_rows"] for table, entry in sealed["tables"].items()}
    parts = [
        f"# {name}",
        f"{rows['problems']} problems, {rows['completions']} completions, {rows['pairs']} pairs. "
        f"{_passing(version)}Digest `{sealed['digest']}`.",
        _links(version, root),
        *(_drawn(figure.title, charts.svg(figure.spec)) for figure in report_figures.summary(version) if figure.spec),
        "## Verdicts\n\n" + _markdown(verdicts, {"share": "{:.1%}"}),
        "## Buckets, in the order of training\n\n" + _markdown(run_report(version, "buckets").to_pylist()),
        "## Next\n\n"
        + _fenced(f"pairwright show {name}{at}\npairwright funnel {name}{at}\npairwright train {name}{at}"),
    ]
    _leave(
        create_markdown_artifact,
        "\n\n".join(filter(None, parts)),
        key=f"{_key(sealed['dataset'])}-summary",
        description=f"{name}: summary",
    )
    listing = [
        {
            "table": table,
            "rows": entry["num_rows"],
            "shards": len(entry["shards"]),
            "MiB": round(sum(shard["num_bytes"] for shard in entry["shards"]) / 2**20, 2),
        }
        for table, entry in sealed["tables"].items()
    ]
    _leave(create_table_artifact, listing, key=f"{_key(sealed['dataset'])}-tables", description=f"{name}: its tables")
    if url := report_url(version, root):
        _leave(
            create_link_artifact, url, "report", key=f"{_key(sealed['dataset'])}-report", description=f"{name}: report"
        )


def publication(version: Path, done: Publication, dry_run: bool) -> None:
    """Of a publication: what was sent, or would be, and where it is."""
    name = f"{version.parent.name}@{version.name}"
    said = "would be published" if dry_run else "is published" if done.added else "was published already"
    files = [{"file": file, "MiB": round(size / 2**20, 2)} for file, size in done.added]
    text = f"# {name} {said} as {done.tag}\n\n[{done.repo_id}]({done.url})\n\n" + (_markdown(files) if files else "")
    key = f"{_key(version.parent.name)}-publication"
    _leave(create_markdown_artifact, text, key=key, description=f"{name}: publication")
    if not dry_run:
        _leave(create_link_artifact, done.url, done.repo_id, key=f"{_key(version.parent.name)}-hub", description=name)


def training_of(version: Path, trained: Trained) -> None:
    """Of a training run: what it trained on, how the margins went, the scores if there are any."""
    from analysis import charts
    from flows.watching import figures, steps_of  # they need torch, which the other artifacts do not

    name = f"{version.parent.name}@{version.name}"
    steps = {arm: steps_of(checkpoint) for arm, checkpoint in trained.checkpoints.items()}
    margins = [
        {"arm": arm, "step": row["step"], "margin": row["rewards/margins"]}
        for arm, rows in steps.items()
        for row in rows
        if "rewards/margins" in row
    ]
    parts = [
        f"# A policy trained on {name}",
        f"Policy: `{trained.policy}`",
        *(f"{arm}: {len(rows)} steps; last {figures(rows[-1])}." for arm, rows in steps.items() if rows),
        *(f"**{line}**" for line in trained.warnings),
    ]
    if margins:
        title = "reward margin of chosen over rejected"
        parts.append(_picture(charts.svg(charts.lines(margins, "step", "margin", "arm", ("step", title))), "margins"))
    parts.append(_markdown([{"what": key, "pairs": count} for key, count in trained.counts.items()]))
    _leave(create_markdown_artifact, "\n\n".join(parts), key=f"{_key(name)}-policy", description=f"{name}: policy")
    if trained.results:
        scores_of(trained.results)


def rounds_of(name: str, told: Outcome) -> None:
    """Of on-policy rounds: the score after each with its interval, as a plot and a table, and which policy to keep."""
    from flows import iterate  # it brings torch along

    header, *lines = iterate.table(told)
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    before = told.before
    dots = [{"policy": "model"} | asdict(before)]
    dots += [{"policy": f"round {one.number}"} | asdict(one.score) for one in told.rounds]
    title = f"{before.metric} on {told.benchmark}, {before.problems} problems: mean, 95 % interval"
    parts = [f"# {name}: rounds", _dots(dots, title), _markdown(rows), iterate.summary(told)]
    _leave(create_markdown_artifact, "\n\n".join(parts), key=f"{_key(name)}-rounds", description=f"{name}: rounds")


def scores_of(results: Mapping[str, Sequence[Result]]) -> None:
    """Of an evaluation: every policy's scores with their intervals, as a plot per benchmark and a table."""
    rows = scores.table(results)
    parts = ["# Scores"]
    for benchmark, members in results.items():
        own = [row for row in rows if row["benchmark"] == benchmark]
        metric = own[0]["metric"]
        dots = [row for row in own if row["metric"] == metric]
        title = f"{metric} on {benchmark}, {own[0]['problems']} problems: mean, 95 % interval"
        parts.append(f"## {benchmark}\n\n{_dots(dots, title)}")
        parts.append(_markdown([{key: row[key] for key in SCORES} for row in own]))
        parts += [f"`{member.folder}`" for member in members]
    _leave(
        create_markdown_artifact,
        "\n\n".join(parts),
        key="scores-summary",
        description=f"scores on {', '.join(results)}",
    )
    _leave(create_table_artifact, rows, key="scores", description=f"scores on {', '.join(results)}")


SCORES = ("policy", "metric", "mean", "low", "high", "difference", "p_value")


def _leave(create: Callable[..., Any], *content: Any, key: str, description: str) -> None:
    """Leave one artifact."""
    try:
        create(*content, key=key, description=description)
    except httpx.HTTPError as error:
        get_run_logger().warning("no artifact %s, the server did not take it: %s", key, str(error).partition("\n")[0])


def report_url(version: Path, root: Path) -> str | None:
    """Where the version's report can be read; None where there is none, or nobody serves it."""
    served, _, folder = os.environ.get(REPORTS, "").partition(" ")
    there = file_of(version).is_file() and served and root.resolve() == Path(folder)
    return f"{served}/{version.parent.name}/{version.name}" if there else None


def _links(version: Path, root: Path) -> str:
    url = report_url(version, root)
    report = file_of(version)
    read = f" Report: [{report.name}]({url})." if url else f" Report: `{report}`." if report.is_file() else ""
    return f"Folder: `{version.resolve()}`.{read}"


def _passing(version: Path) -> str:
    [row] = run_report(version, "pass_at_k", k=1).to_pylist()
    return f"pass@1 {row['pass_at_k']:.3f} over {row['problems']} problems. " if row["problems"] else ""


def _drawn(title: str, svg: str) -> str:
    return f"## {title}\n\n{_picture(svg, title)}"


def _dots(rows: Sequence[Mapping[str, Any]], title: str) -> str:
    """A policy a row: its mean and interval."""
    from analysis import charts

    return _picture(charts.svg(charts.intervals(rows, "policy", "policy", title)), title)


def _picture(svg: str, title: str) -> str:
    return f"![{title}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _fenced(text: str) -> str:
    return f"```\n{text}\n```"


def _markdown(rows: Sequence[Mapping[str, Any]], formats: Mapping[str, str] | None = None) -> str:
    """Rows as a Markdown table; nothing of a row can end its cell."""
    if not rows:
        return "none"
    lines = [list(rows[0]), ["---"] * len(rows[0])]
    lines += [[_cell(value, (formats or {}).get(key)) for key, value in row.items()] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: Any, form: str | None) -> str:
    shown = form.format(value) if form else f"{value:.4g}" if isinstance(value, float) else str(value)
    return " ".join(shown.replace("|", "\\|").split()) if value is not None else ""


def _key(name: str) -> str:
    """A name as Prefect's keys may be: lower-case letters, digits and dashes."""
    return "".join(c if c.isalnum() and c.isascii() else "-" for c in name.lower()).strip("-")

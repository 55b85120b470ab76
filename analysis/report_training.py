"""What a report shows of the policies that were trained on a version: their curves, the loss of pairs against their
log-probability distance, benchmark scores by stage of the curriculum, and where in the tokens the preference sits.

    <root>/<name>/policies/<version>-*/      runs of `pairwright train`: config.json, metrics.jsonl, samples.jsonl
    <root>/<name>/experiments/<version>-*/   results.json, and a run an arm and seed
    <root>/<name>/credit/<version>-*/        means.json, token_rewards
    <root>/evaluations/*/                    scores; a row names the adapter it is of
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa

from analysis import charts, engine
from analysis.engine import SQL
from analysis.evaluation import estimate, metrics
from analysis.report_figures import Figure
from curation import store

CURVES = {
    "loss": ("Loss", "The mean over the pairs of a step."),
    "rewards/margins": (
        "Reward margin",
        "How much more the policy came to like the chosen side than the rejected one.",
    ),
    "rewards/accuracies": ("Reward accuracy", "The share of pairs whose chosen side has the larger reward."),
    "log_ratios/chosen": ("Log-ratio of chosen", "Below 0 the chosen side has become less likely, which DPO allows."),
}
MOST_POINTS = 200
STAGE = re.compile(r"stage-(\d+)$")
SECTION = "Training"


@dataclass(frozen=True)
class Run:
    """One training run: what it is called, its folder, the model it began with, and its steps."""

    name: str
    folder: Path
    model: str
    steps: list[dict[str, Any]]


def training_figures(version: Path, root: Path) -> list[Figure]:
    """The figures of everything trained on this version; none where nothing was."""
    trained = runs(version)
    found = [*_curves(trained), *_losses(version, trained), *_by_stage(trained, root)]
    return [*found, *_experiments(version), *_credit(version, trained)]


def runs(version: Path) -> list[Run]:
    """The training runs of a version, each under a name of its own: its order and its loss, then what sets it apart."""
    folders = sorted(version.parent.glob(f"policies/{version.name}-*"))
    folders += sorted(version.parent.glob(f"experiments/{version.name}-*/*/seed-*"))
    found: list[Run] = []
    for folder in folders:
        steps = json_lines(folder / "metrics.jsonl")
        config = (_json(folder / "config.json") or {}).get("config", {})
        if steps and config:
            loss = config.get("loss", {}).get("name", "?")
            name = f"{config.get('order', '?')}, {loss}"
            if folder.parent.name != "policies":
                name = f"{folder.parent.name}, {folder.name}"
            if any(other.name == name for other in found):
                name = f"{name} ({folder.name.partition('-')[2][:8]})"
            found.append(Run(name, folder, str(config.get("model")), steps))
    return found


def _curves(trained: Sequence[Run]) -> Iterator[Figure]:
    marks = _stage_starts(trained)
    for metric, (title, caption) in CURVES.items():
        rows = [row for run in trained for row in _thinned(run, metric)]
        if rows:
            key = f"training-{metric.replace('/', '-')}"
            caption = f"{caption} Upright lines: where a stage of the curriculum begins." if marks else caption
            chart = charts.lines(rows, "step", "value", "run", ["optimizer step", title.lower()], marks=marks)
            yield Figure(key, SECTION, title, caption, chart)


def _stage_starts(trained: Sequence[Run]) -> list[int]:
    """The steps at which the first run enters its second and later stages."""
    steps = trained[0].steps if trained else []
    return [
        after["step"]
        for before, after in zip(steps, steps[1:], strict=False)
        if before.get("stage") != after.get("stage")
    ]


def _thinned(run: Run, metric: str) -> list[dict[str, Any]]:
    """At most MOST_POINTS means of a metric along a run."""
    values = [(step["step"], step[metric]) for step in run.steps if isinstance(step.get(metric), int | float)]
    width = -(-len(values) // MOST_POINTS) or 1
    parts = [values[start : start + width] for start in range(0, len(values), width)]
    return [{"run": run.name, "step": part[0][0], "value": fmean(value for _, value in part)} for part in parts]


def _losses(version: Path, trained: Sequence[Run]) -> Iterator[Figure]:
    samples = [
        {"run": run.name, "pair_id": row["pair_id"], "loss": float(row["loss"])}
        for run in trained
        for row in json_lines(run.folder / "samples.jsonl")
    ]
    if not samples:
        return
    with engine.connect(version) as con:
        con.register("samples", pa.Table.from_pylist(samples))
        rows = engine.run(con, engine.load(SQL / "reports" / "losses.sql")).to_pylist()
    if rows:
        titles = ["log-probability distance, nats", "loss of a pair in the first epoch"]
        caption = "The mean of equally many pairs, and the 10th to 90th percentile. If the "
        caption += "distance measures how hard a pair is, the curve rises."
        chart = charts.lines(rows, "logp_distance", "loss", "run", titles, band=True)
        yield Figure("training-samples", SECTION, "Loss per pair against log-probability distance", caption, chart)


def _by_stage(trained: Sequence[Run], root: Path) -> Iterator[Figure]:
    """Benchmark scores of the model, and of every run at the end of each stage, a figure a benchmark."""
    scored = [(run, stage, rows) for rows in _evaluations(root) for run, stage in _policies_of(rows[0], trained)]
    for benchmark in dict.fromkeys(rows[0]["benchmark"] for *_, rows in scored):
        drawn, told = [], []
        for run, stage, rows in sorted(scored, key=lambda one: (one[0] or "", one[1])):
            if rows[0]["benchmark"] != benchmark:
                continue
            for metric, values in metrics(rows, ks=(1, 10)).items():
                one = estimate(metric, values)
                label = f"{metric}: {'the model before' if run is None else f'{run}, after stage {stage}'}"
                score = {"mean": one.mean, "low": one.low, "high": one.high}
                drawn.append({"label": label, "policy": run or "the model before", "metric": metric, **score})
                told.append(one.problems)
        if drawn:
            drawn.sort(key=lambda row: str(row["metric"]))
            caption = f"{told[0]} problems; the line is the 95 % bootstrap interval over them."
            chart = charts.intervals(drawn, "label", "policy", "score")
            yield Figure(f"benchmark-{_plain(benchmark)}", SECTION, f"{benchmark} by stage", caption, chart)


def _evaluations(root: Path) -> Iterator[list[dict[str, Any]]]:
    """The rows of every finished evaluation under a root."""
    for folder in sorted(root.glob("evaluations/*/evaluations")):
        rows = store.read(folder.parent, "evaluations").to_pylist()
        if rows:
            yield rows


def _policies_of(row: Mapping[str, Any], trained: Sequence[Run]) -> Iterator[tuple[str | None, int]]:
    """Whose score an evaluation is: (run, stage), or (None, -1) for a model that a run began with."""
    policy = Path(row["adapter"] or row["model"])
    stage = STAGE.search(policy.name)
    for run in trained:
        if stage and policy.parent.parent.resolve() == run.folder.resolve():
            yield run.name, int(stage[1])
            return
    if row["adapter"] is None and any(row["model"] in (run.model, "embedded") for run in trained):
        yield None, -1


def _experiments(version: Path) -> Iterator[Figure]:
    for number, file in enumerate(sorted(version.parent.glob(f"experiments/{version.name}-*/results.json"))):
        found = _json(file) or {}
        for benchmark, scores in found.get("benchmarks", {}).items():
            rows = [
                {
                    "label": f"{row['metric']}: {row['arm']}",
                    **{name: row[name] for name in ("arm", "mean", "low", "high")},
                }
                for metric in dict.fromkeys(row["metric"] for row in scores["scores"])
                for row in scores["scores"]
                if row["metric"] == metric
            ]
            caption = f"Means over the seeds {', '.join(map(str, found.get('seeds', [])))}, with the 95 % bootstrap "
            caption += "interval over problems."
            key, title = f"experiment-{number}-{_plain(benchmark)}", f"The experiment's arms on {benchmark}"
            yield Figure(key, SECTION, title, caption, charts.intervals(rows, "label", "arm", "score"))


def _credit(version: Path, trained: Sequence[Run]) -> Iterator[Figure]:
    for number, file in enumerate(sorted(version.parent.glob(f"credit/{version.name}-*/means.json"))):
        told = _json(file) or {}
        names = {name: _called(name, Path(at), trained) for name, at in told.get("policies", {}).items()}
        means = [
            row | {"policy": names.get(row["policy"], row["policy"])}
            for row in told.get("means", [])
            if row.get("mean_logp") is not None
        ]
        if not means:
            continue
        caption = (
            "Where a policy lowers what comes after the difference on the chosen side, it is the failure that Pal "
        )
        caption += "et al. 2024 (arXiv 2402.13228, Figure 3) describe and DPOP mends."
        title = "Log-probability before, at and after the first difference"
        yield Figure(f"credit-{number}", "Tokens", title, caption, charts.parts(means))
        rows = _offsets(version, file.parent)
        for side in ("chosen", "rejected"):
            drawn = [row | {"policy": names.get(row["policy"], row["policy"])} for row in rows if row["side"] == side]
            if drawn:
                caption = "The mean over pairs; at 0 stands the first token in which the sides differ."
                titles = ["tokens from the first difference", "mean log-prob, nats"]
                chart = charts.lines(drawn, "place", "logp", "policy", titles, marks=[0])
                yield Figure(f"credit-{number}-{side}", "Tokens", f"Token by token, {side} side", caption, chart)


def _called(name: str, checkpoint: Path, trained: Sequence[Run]) -> str:
    """A policy's name where it is a checkpoint of one of the runs: the run's, and the stage."""
    stage = STAGE.search(checkpoint.name)
    run = next((run for run in trained if run.folder.resolve() == checkpoint.parent.parent.resolve()), None)
    return f"{run.name}, after stage {stage[1]}" if run and stage else name


def _offsets(version: Path, folder: Path) -> list[dict[str, Any]]:
    """A row per policy (the reference among them), side and place around the first difference."""
    files = sorted((folder / "token_rewards").glob("*.parquet"))
    if not files:
        return []
    with engine.connect(version) as con:
        listed = ", ".join(engine.quote(str(file.resolve())) for file in files)
        con.execute(f"CREATE VIEW token_rewards AS SELECT * FROM read_parquet([{listed}])")
        rows = engine.run(con, engine.load(SQL / "reports" / "token_offsets.sql")).to_pylist()
    first = rows[0]["policy"] if rows else None
    reference = [row | {"policy": "reference", "logp": row["ref_logp"]} for row in rows if row["policy"] == first]
    return reference + rows


def json_lines(file: Path) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines; none where it is not there. A line that a killed run left half is left out."""
    if not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8").split("\n")[:-1]
    return [row for row in map(_parsed, lines) if isinstance(row, dict)]


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _json(file: Path) -> dict[str, Any] | None:
    found = _parsed(file.read_text(encoding="utf-8")) if file.is_file() else None
    return found if isinstance(found, dict) else None


def _plain(name: str) -> str:
    """A name for an element of a page."""
    return re.sub(r"\W+", "-", name)

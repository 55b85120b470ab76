"""What a person sees of a training run: the bar with the figures that matter, and the account at the end."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task
from rich.table import Column, Table
from rich.text import Text

from flows import iterate, scores
from flows.iterate import Outcome
from flows.terminal import Bars, messages
from flows.training import Trained

EVERY = 10.0
"""Seconds between two lines where there is no terminal to redraw."""
COUNTS = {
    "pairs": "pairs trained on",
    "pruned": "pruned by the curriculum",
    "too_long_dropped": "left out, longer than the context",
    "truncated": "completions cut to the context",
    "empty": "left out, an empty side",
    "tokenized_from_text": "completions tokenized from text, their tokens being unknown",
}


class TrainingBars(Bars):
    """Bars that show the last step's figures behind the bar that is moving."""

    def __init__(self, console: Console = messages) -> None:
        super().__init__(console)
        self.note, self._said = "", time.monotonic()
        kept = [column for column in self._bars.columns if not isinstance(column, BarColumn)]
        # A short bar: the figures must find room on a terminal of 80 columns.
        self._bars.columns = (*kept[:2], BarColumn(bar_width=8), *kept[2:], _Note(self))

    def __enter__(self) -> TrainingBars:
        super().__enter__()
        return self

    def see(self, found: Mapping[str, float]) -> None:
        """One step's metrics."""
        self.note = figures(found)
        if not self.console.is_terminal and time.monotonic() - self._said > EVERY:
            self._said = time.monotonic()
            self.console.print(f"step {found['step']:.0f}: {self.note}")


class _Note(ProgressColumn):
    """The last step's figures, while the bar moves."""

    def __init__(self, bars: TrainingBars) -> None:
        super().__init__(Column(no_wrap=True))
        self.bars = bars

    def render(self, task: Task) -> Text:
        return Text("" if task.finished or not task.description.startswith("train") else self.bars.note)


def figures(found: Mapping[str, float]) -> str:
    """The figures that matter of a step, as one line."""
    shown = [f"loss {found['loss']:.3f}"]
    if "rewards/margins" in found:
        shown += [f"margin {found['rewards/margins']:.2f}", f"acc {found['rewards/accuracies']:.0%}"]
    return " ".join([*shown, f"{found['tokens_per_second']:.0f} tok/s"])


def show(trained: Trained, benchmarks: str, root: Path, console: Console) -> None:
    """Print what was trained on, how it went, the scores if there are any, and where the policy is."""
    said = [f"{count} {COUNTS[name]}" for name, count in trained.counts.items() if count and name in COUNTS]
    console.print(f"\n  {', '.join(said)}")
    for name, checkpoint in trained.checkpoints.items():
        lines = steps_of(checkpoint)
        if lines:
            console.print(
                f"  {name}: {len(lines)} steps; first {figures(lines[0])}; last {figures(lines[-1])}",
                soft_wrap=True,
            )
    for line in trained.warnings:
        console.print(f"  {line}", markup=False, soft_wrap=True)
    if trained.results:
        scores.show(trained.results, console)
    at = "" if root == Path("data") else f" --root {root}"
    console.print(f"\n  policy: {trained.policy}", markup=False, soft_wrap=True)
    console.print(f"  pairwright eval {trained.policy} --benchmarks {benchmarks}{at}", markup=False, soft_wrap=True)


def show_rounds(told: Outcome, console: Console) -> None:
    """Print a line for each round, and which policy to keep."""
    header, *lines = iterate.table(told)
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in header:
        shown.add_column(name, justify="left" if name == header[0] else "right", no_wrap=True)
    for line in lines:
        shown.add_row(*line)
    console.print(f"\n{told.benchmark}, {told.before.problems} held-out problems", style="bold")
    console.print(shown)
    console.print(f"\n  {iterate.summary(told)}", markup=False, soft_wrap=True)


def steps_of(checkpoint: Path) -> list[dict[str, Any]]:
    """The metrics of the run that a checkpoint ended, a mapping per step."""
    file = checkpoint.parents[1] / "metrics.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []

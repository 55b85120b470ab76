"""What a person sees while stages run: a bar per stage on a terminal, a line per stage elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

messages = Console(stderr=True, highlight=False)


class _Above(logging.Handler):
    """Writes what the stages log above the bars."""

    def emit(self, record: logging.LogRecord) -> None:
        messages.print(self.format(record), markup=False)


def show_log() -> None:
    """Show what our own packages log from INFO up, and nobody else's."""
    for name in ("flows", "curation", "analysis", "training"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        if not any(isinstance(handler, _Above) for handler in logger.handlers):
            logger.addHandler(_Above())
            logger.propagate = False


class Bars:
    """Calls stages, each under a bar of its own that stays when the stage is done."""

    def __init__(self, console: Console = messages) -> None:
        self.console = console
        self._bars = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Bars:
        self._bars.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._bars.__exit__(*error)

    def __call__(self, title: str, function: Callable[..., Any], *args: Any, progress: bool = True) -> Any:
        """Call a stage and show how far it is."""
        with self.stage(title) as on_progress:
            return function(*args, on_progress=on_progress) if progress else function(*args)

    @contextmanager
    def stage(self, title: str) -> Iterator[Callable[[int, int], None]]:
        """A bar for one stage; `on_progress(done, total)` moves it."""
        begun, last = time.monotonic(), (0, 0)
        bar = self._bars.add_task(title, total=None)

        def on_progress(done: int, total: int) -> None:
            nonlocal last
            last = (done, total)
            self._bars.update(bar, completed=done, total=total or None)

        yield on_progress
        total = last[1] or 1
        self._bars.update(bar, completed=total, total=total)
        if not self.console.is_terminal:
            amount = f" {last[1]}" if last[1] else ""
            self.console.print(f"{title}:{amount} done in {time.monotonic() - begun:.1f} s")

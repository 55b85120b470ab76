"""How a stage is called: plainly, under a progress bar, or as a Prefect task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from curation.progress import silent


class Call(Protocol):
    """Calls a stage and gives what it returns; two may be under way at once, each in a thread of its own."""

    def __call__(self, title: str, function: Callable[..., Any], *args: Any, progress: bool = True) -> Any: ...


def plain(title: str, function: Callable[..., Any], *args: Any, progress: bool = True) -> Any:
    """Call a stage and nothing more."""
    return function(*args, on_progress=silent) if progress else function(*args)

"""How a stage tells whoever watches how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with (units done, units in all) in the stage's natural unit; cheap, and never raises."""


def silent(done: int, total: int) -> None:
    """Nobody watches."""

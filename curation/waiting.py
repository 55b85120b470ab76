"""Waiting for futures such that a Ctrl-C is seen whenever it comes.

CPython looks for signals before it blocks on a lock, and after a signal woke it; one that comes between the two waits
for the lock as well, perhaps for hours. On two busy cores 3 of 108 builds that were told to stop did not. So nothing
here blocks for longer than a moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TypeVar

MOMENT = 0.5  # seconds a Ctrl-C may go unseen

_T = TypeVar("_T")


def first_done(futures: Iterable[Future[_T]]) -> set[Future[_T]]:
    """Those that are done, as soon as there are any; none where a moment passes without."""
    return wait(futures, timeout=MOMENT, return_when=FIRST_COMPLETED).done


def as_done(futures: Iterable[Future[_T]]) -> Iterator[Future[_T]]:
    """Every future when it is done, as `concurrent.futures.as_completed` gives them."""
    left = set(futures)
    while left:
        done = first_done(left)
        left -= done
        yield from done

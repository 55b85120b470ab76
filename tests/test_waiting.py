"""Waiting for futures: all of them, in the order in which they end, and a Ctrl-C at any moment."""

from __future__ import annotations

import _thread
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from curation.waiting import as_done


def test_every_future_is_given_once_and_those_that_are_done_first() -> None:
    last, first = threading.Event(), threading.Event()
    with ThreadPoolExecutor(3) as threads:
        waiting = threads.submit(last.wait, 60)
        following = threads.submit(first.wait, 60)
        failing = threads.submit(int, "no number")
        given = []
        for future in as_done([waiting, following, failing, waiting]):
            given.append(future)
            (first if future is failing else last).set()
    assert given == [failing, following, waiting]
    assert list(as_done([])) == []


def test_a_ctrl_c_that_wakes_nobody_is_seen_all_the_same() -> None:
    never: Future[None] = Future()
    seen = threading.Event()

    def press() -> None:
        # As a signal that comes just before the lock is waited for: noted by the interpreter, and no thread is woken.
        _thread.interrupt_main()
        if not seen.wait(60):
            never.set_result(None)

    pressing = threading.Timer(0.2, press)
    pressing.start()
    with pytest.raises(KeyboardInterrupt):
        list(as_done([never]))
    seen.set()
    pressing.join()
    assert not never.done()

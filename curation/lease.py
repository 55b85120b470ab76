"""The right to build a dataset in a store that has no locks: a lease that its holder renews, and that ends without him.

    <root>/<name>/.lock-00000007    who holds it and until when; the one with the highest number counts

Whoever finds the newest lease returned or run out makes the next number by a PUT that must not overwrite, so of two
that try at once one gets it. A lease guards against doing work twice, not against torn versions: a holder that was
stopped for longer than a lease lasts may wake up beside its successor, and sealing is safe without any lock.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from curation import storage
from curation.errors import UserError
from curation.schema import identify

LASTS = 60.0  # seconds; renewed three times in that
NAME = re.compile(r"\.lock-(\d{8,})")


class HeldError(UserError):
    """Another process holds the lease."""


@contextmanager
def held(folder: Path, what: str) -> Iterator[None]:
    """Hold the lease of a remote folder; `what` names it in the message to whoever comes second.

    Raises:
        HeldError: another process holds it.
        StorageError: the store cannot refuse to overwrite.
    """
    file = _take(folder, what)
    mine = _mine()
    done = threading.Event()
    keeper = threading.Thread(target=_renew, args=(file, mine, done), daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()
        with suppress(storage.StorageError):  # it runs out by itself
            _write(file, mine, 0.0)


def _take(folder: Path, what: str) -> Path:
    numbers = sorted(int(found[1]) for name in storage.names(folder) if (found := NAME.fullmatch(name)))
    newest = numbers[-1] if numbers else 0
    if newest and not _is_free(lease := _read(_file(folder, newest))):
        raise _busy(lease, what)
    file, content = _file(folder, newest + 1), _content(_mine(), LASTS)
    if not storage.create(file, content):
        raise _busy(_read(file), what)
    if storage.create(file, content + b"\n"):
        storage.remove(file)
        raise storage.StorageError(
            f"the store of {folder} overwrites files that it was asked not to (it ignores If-None-Match), so two "
            "writers could tear a version: build on another store or on a local root"
        )
    for number in numbers:
        storage.remove(_file(folder, number))
    return file


def _renew(file: Path, mine: dict[str, Any], done: threading.Event) -> None:
    while not done.wait(LASTS / 3):
        with suppress(storage.StorageError):  # the next one may get through
            _write(file, mine, LASTS)


def _write(file: Path, mine: dict[str, Any], lasts: float) -> None:
    storage.write_bytes(file, _content(mine, lasts))


def _content(mine: dict[str, Any], lasts: float) -> bytes:
    return json.dumps(mine | {"until": time.time() + lasts if lasts else 0.0, "token": uuid4().hex}).encode()


def _read(file: Path) -> dict[str, Any]:
    """A lease; a free one where it is gone or damaged."""
    try:
        return dict(json.loads(storage.read_bytes(file)))
    except (FileNotFoundError, ValueError):
        return {}


def _is_free(lease: dict[str, Any]) -> bool:
    if lease.get("until", 0.0) < time.time():
        return True
    # A dead process of this machine cannot come back: its successor need not wait.
    return lease.get("machine") == _machine() and _started(int(lease["process"])) != lease.get("started")


def _busy(lease: dict[str, Any], what: str) -> HeldError:
    left = max(1, round(lease.get("until", 0.0) - time.time()))
    return HeldError(
        f"{what} is being built by process {lease.get('process', 'unknown')} on {lease.get('host', 'unknown')}: "
        f"wait for it, or stop it (where it is dead, its lease ends in {left} s)"
    )


def _mine() -> dict[str, Any]:
    process = os.getpid()
    return {
        "host": socket.gethostname(),
        "machine": _machine(),
        "process": process,
        "started": _started(process),
    }


def _machine() -> str:
    """This boot of this machine and the process numbers of this container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        return identify(boot, os.readlink("/proc/self/ns/pid"))
    except OSError:
        return uuid4().hex  # nobody is known to be dead


def _started(process: int) -> str | None:
    """When a process began, in the kernel's ticks; None where there is none of that number."""
    try:
        state, *fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return fields[18] if state != "Z" else None
    except OSError:
        return None


def _file(folder: Path, number: int) -> Path:
    return folder / f".lock-{number:08d}"

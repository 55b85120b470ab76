"""The numbers of versions in a store that has no rename: claimed for certain bytes, used once, closed for good.

    <root>/<name>/.sealing-3           the claim: a hash of every shard of what becomes version 3
    <root>/<name>/3/manifest.json      stored last, by a PUT that must not overwrite: version 3 exists
    <root>/<name>/3/manifest.json      empty: number 3 was given up and nobody can seal it any more

Whoever holds a claim's hash may write below its number, and all who do write the same bytes, so a sealer that was
taken for dead and wakes up can do no harm. Other bytes take the next number: one cut off leaves a gap at worst.
"""

from __future__ import annotations

import json
from pathlib import Path

from curation import storage


def take(folder: Path, first: int, content: str, created_at: str, last: str) -> tuple[int, str]:
    """Claim the first number from `first` on for `content`; the number, and when it was claimed for that first.

    `last` is the file whose existence means that a version is complete.
    """
    number = first
    while True:
        mine = {"content": content, "created_at": created_at}
        if not storage.create(_claim(folder, number), json.dumps(mine).encode()):
            try:
                mine = json.loads(storage.read_bytes(_claim(folder, number)))
            except FileNotFoundError:
                continue  # given back between the two requests
            if mine["content"] != content:
                number += 1
                continue
        # A claim is given back once its version is sealed, so the number may be taken though the claim was free.
        if _is_there(folder / str(number) / last):
            storage.remove(_claim(folder, number))
            number += 1
            continue
        return number, str(mine["created_at"])


def settle(folder: Path, number: int, file: Path, content: bytes) -> bool:
    """Store the file that makes a version complete and give the claim back; whether this process did."""
    won = storage.create(file, content)
    storage.remove(_claim(folder, number))
    return won


def close(version: Path, last: str, *, sealed: bool) -> bool:
    """Give a number up for good: its last file is there, and empty. Whether it is: who sealed it meanwhile keeps it."""
    if sealed:
        storage.write_bytes(version / last, b"")
    elif not storage.create(version / last, b""):
        return False
    storage.remove(_claim(version.parent, int(version.name)))
    return True


def open_numbers(folder: Path) -> list[int]:
    """The numbers that are claimed."""
    return sorted(int(name.removeprefix(".sealing-")) for name in storage.names(folder) if name.startswith(".sealing-"))


def _claim(folder: Path, number: int) -> Path:
    return folder / f".sealing-{number}"


def _is_there(file: Path) -> bool:
    try:
        storage.identity(file)
    except FileNotFoundError:
        return False
    return True

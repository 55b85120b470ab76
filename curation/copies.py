"""Local copies of objects, by what the store says they are: each is downloaded once a machine and never goes stale."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from curation import storage
from curation.embedded import cache_folder
from curation.schema import identify

FOLDER = "objects"
PARTIAL = ".partial"
UNUSED_DAYS = 14


def local(file: Path, known: tuple[Any, ...] | None = None) -> Path:
    """A file of this machine with the bytes of `file`, which is itself where it is one.

    `known` is the object's identity, where a listing has told it: then it is those bytes or an error.

    Raises:
        FileNotFoundError: there is no such object.
        StorageError: it was written anew meanwhile.
    """
    remote = storage.remote_of(file)
    if remote is None:
        return file
    for _ in range(1 if known else 3):
        told = known or storage.identity(file)
        copy = _copy_of(told)
        if copy.is_file():
            os.utime(copy)
            return copy
        with _partial() as partial, storage.explained(file):
            remote.fs.get_file(remote.path, str(partial))
            # An object that was replaced between the two requests must not be kept under the old one's name.
            if told == (partial.stat().st_size, _md5(partial)) or told == storage.identity(file):
                os.replace(partial, copy)
                return copy
    raise storage.StorageError(f"{file} was written anew while it was read: run the same command again")


def together(files: Sequence[Path]) -> list[Path]:
    """`local` for many files: one listing a folder, several fetched at once."""
    if not files or storage.remote_of(files[0]) is None:
        return list(files)
    found = {folder: storage.files(folder) for folder in {file.parent for file in files}}
    return storage.each(lambda file: local(file, found[file.parent][file.name].identity), files)


def keep(made: Path, target: Path) -> None:
    """Keep a local file that has just been stored as `target`, or remove it where the store hashes otherwise."""
    told = storage.identity(target)
    if told == (made.stat().st_size, _md5(made)):
        os.replace(made, _copy_of(told))
    else:
        made.unlink()


@contextmanager
def storing(target: Path) -> Iterator[Path]:
    """Give a local path for what becomes the object `target` at the end of the block; after an error it does not.

    Raises:
        StorageError: the store does not take it.
    """
    with _partial() as partial:
        yield partial
        storage.put(partial, target)
        keep(partial, target)


@contextmanager
def on_disk(version: Path) -> Iterator[Path]:
    """A folder of this machine with the files of `version`, which is itself where it is one; else gone afterwards."""
    if storage.remote_of(version) is None:
        yield version
        return
    folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="version-", dir=folder()) as temporary:
        found = storage.files(version)
        copies = storage.each(lambda name: local(version / name, found[name].identity), found)
        for name, copy in zip(found, copies, strict=True):
            target = Path(temporary) / version.name / name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(copy, target)
        yield Path(temporary) / version.name


def trim(days: float = UNUSED_DAYS) -> None:
    """Remove copies that nobody used for some days, and what killed processes left."""
    oldest = time.time() - days * 86_400
    for entry in folder().iterdir() if folder().is_dir() else ():
        try:
            if entry.stat().st_mtime < oldest:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        except FileNotFoundError:
            continue


def folder() -> Path:
    """Where the copies are."""
    return cache_folder() / FOLDER


def _copy_of(told: tuple[Any, ...]) -> Path:
    return folder() / identify(*told)


@contextmanager
def _partial() -> Iterator[Path]:
    """A new path beside the copies, so that a rename puts a file among them."""
    folder().mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=PARTIAL, dir=folder())
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _md5(file: Path) -> str:
    """What S3 calls an object that came in one part."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()

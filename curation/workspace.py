"""Where a version is built: a folder per configuration, found again after a crash, locked against a second builder.

    <root>/<name>/.lock                    held by the one build at work on this dataset (in a store, a lease)
    <root>/<name>/.work/<build key>/       tables being built, with plan.json: the key of every table

A table's key is the hash of everything its rows follow from: its stage's configuration and version, and the keys of
the tables it is made of. Two builds whose key for a table agree would write the same rows, so a new build takes over
(by hard link) the shards of any other work folder or sealed version that has them: change the curriculum, and the
model does not sample again.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from curation import lease, manifest, storage, store
from curation.errors import UserError

PLAN = "plan.json"
WORK = ".work"


class BusyError(UserError):
    """Another process is building this dataset."""


@contextmanager
def locked(root: Path, name: str) -> Iterator[None]:
    """Hold the dataset's lock. The kernel lets go of it when the process ends, however it ends.

    Raises:
        BusyError: another process holds it.
    """
    if not manifest.NAME.fullmatch(name):
        raise UserError(
            f"expected a dataset name of lower-case letters, digits, '.', '_' and '-', as in my-dataset, found {name!r}"
        )
    if storage.remote_of(root):
        with _leased(root, name):
            yield
        return
    file = root / name / ".lock"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UserError(f"cannot write under {root} ({error.strerror}): give another folder with --root") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(descriptor, 64, 0).decode(errors="replace").strip() or "unknown"
            raise BusyError(
                f"dataset {name!r} under {root} is being built by process {holder}: wait for it, or stop it"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _leased(root: Path, name: str) -> Iterator[None]:
    try:
        with lease.held(root / name, f"dataset {name!r} under {root}"):
            yield
    except lease.HeldError as error:
        raise BusyError(str(error)) from None


def find_sealed(root: Path, name: str, keys: Mapping[str, str]) -> Path | None:
    """The newest sealed version with exactly these table keys: what this build would make again."""
    for version in reversed(manifest.versions(root, name)):
        folder = root / name / str(version)
        if _keys_of(folder / manifest.MANIFEST) == dict(keys):
            return folder
    return None


def open_work(root: Path, name: str, build_key: str, keys: Mapping[str, str]) -> Path:
    """The work folder of a build, with every shard that exists anywhere for its keys already in it."""
    work = root / name / WORK / build_key
    if storage.remote_of(work) is None:
        work.mkdir(parents=True, exist_ok=True)
    store.sweep(work)
    with store.replacing(work / PLAN) as partial:
        partial.write_text(json.dumps({"keys": dict(keys)}, indent=2, sort_keys=True) + "\n")
    for donor, donor_keys in _donors(root, name, work):
        for table, key in keys.items():
            if donor_keys.get(table) == key:
                _take_over(donor, work, table)
    return work


def close_work(work: Path) -> None:
    """Remove a work folder whose version is sealed."""
    storage.remove(work)


def _donors(root: Path, name: str, work: Path) -> Iterator[tuple[Path, Mapping[str, str]]]:
    for other in sorted(storage.names(root / name / WORK)):
        if other != work.name:
            yield root / name / WORK / other, _keys_of(root / name / WORK / other / PLAN)
    for version in manifest.versions(root, name):
        folder = root / name / str(version)
        yield folder, _keys_of(folder / manifest.MANIFEST)


def _keys_of(file: Path) -> dict[str, str]:
    """The table keys in a plan or manifest; none when it is damaged, which only means nothing is taken over."""
    try:
        content: Any = json.loads(storage.read_bytes(file))
        return dict(content["keys"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _take_over(donor: Path, work: Path, table: str) -> None:
    present = set(store.shards(work, table))
    wanted = [shard for shard in store.shards(donor, table) if shard not in present]

    def take(shard: store.Shard) -> None:
        manifest.link(store.path(donor, table, shard), store.path(work, table, shard))

    if storage.remote_of(work):
        storage.each(take, wanted)
    else:
        for shard in wanted:
            take(shard)

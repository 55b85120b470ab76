"""What a dataset's folder may lose: leftovers of builds, and old versions where the user says how many to keep."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from curation import claims, manifest, storage, workspace
from curation.errors import UserError


@dataclass(frozen=True)
class Removed:
    """One folder that was removed (or would be), and the bytes that this frees: files shared with others free none."""

    path: Path
    freed: int


def collect(root: Path, name: str, *, keep: int | None = None, dry_run: bool = False) -> list[Removed]:
    """Remove what no sealed version of `name` refers to, and with `keep` the versions older than the newest so many.

    Unfinished builds go, their shards stay wherever a version has them too. A version that a kept one was made from
    stays, and so does one that another dataset was merged from. `dry_run` removes nothing and says what would go.

    Raises:
        UserError: `keep` is below 1.
        BusyError: a build of this dataset is running.
    """
    if keep is not None and keep < 1:
        raise UserError(f"expected to keep at least 1 version, found {keep}: a dataset's newest version always stays")
    with workspace.locked(root, name):
        folder = root / name
        doomed = [folder / workspace.WORK / build for build in sorted(storage.names(folder / workspace.WORK))]
        if storage.remote_of(root):
            doomed += [folder / str(number) for number in _given_up(root, name)]
        else:
            doomed += [*sorted(folder.glob(".sealing-*")), *sorted(folder.glob(".pulling-*"))]
        old = [folder / str(number) for number in _old_versions(root, name, keep)]
        doomed += old
        removed = [Removed(path, _freed(path)) for path in doomed]
        if not dry_run:
            for path in doomed:
                _remove(path, sealed=path in old)
    return removed


def _given_up(root: Path, name: str) -> list[int]:
    """The numbers in a store that were claimed and not sealed: whoever claimed them is gone, as we hold the lease."""
    folder = root / name
    begun = {int(one) for one in storage.names(folder) if one.isdigit()} - set(manifest.versions(root, name))
    left = {number for number in begun if storage.files(folder / str(number)).keys() - {manifest.MANIFEST}}
    return sorted(left | set(claims.open_numbers(folder)))


def _old_versions(root: Path, name: str, keep: int | None) -> list[int]:
    """The versions beyond the newest `keep`, less those that a kept version names as its parent."""
    numbers = manifest.versions(root, name)
    if keep is None:
        return []
    kept = set(numbers[-keep:]) | (_merged_elsewhere(root, name) & set(numbers))
    pending = list(kept)
    while pending:
        parent = manifest.read_manifest(root / name / str(pending.pop())).get("parent")
        if parent in numbers and parent not in kept:
            kept.add(parent)
            pending.append(parent)
    return [number for number in numbers if number not in kept]


def _merged_elsewhere(root: Path, name: str) -> set[int]:
    """The versions of a dataset that sealed versions of others say they were merged from."""
    found = set()
    for other in manifest.datasets(root):
        for number in manifest.versions(root, other) if other != name else ():
            sealed = manifest.read_manifest(root / other / str(number))
            found |= {one["version"] for one in sealed.get("config", {}).get("merged", []) if one["dataset"] == name}
    return found


def _freed(path: Path) -> int:
    return sum(file.size for file in storage.files(path).values() if not file.shared)


def _remove(path: Path, *, sealed: bool) -> None:
    # The manifest goes first: a version that lost files to a crash half-way must not look sealed.
    if storage.remote_of(path) is None:
        (path / manifest.MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(path)
    elif not path.name.isdigit():
        storage.remove(path)
    # In a store a number is used once: whoever is still sealing it, though taken for dead, must not succeed.
    elif claims.close(path, manifest.MANIFEST, sealed=sealed):
        storage.each(storage.remove, [path / one for one in storage.files(path) if one != manifest.MANIFEST])

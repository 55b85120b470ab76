"""Dataset versions: sealed once, never changed, verified later.

    <root>/<name>/<version>/manifest.json           written last, so its existence means the version is complete
    <root>/<name>/<version>/README.md               the Hub's dataset card: which files are which table
    <root>/<name>/<version>/<table>/<shard>.parquet

Two hashes with two purposes. A shard's `sha256` is over its bytes and tells whether the file is as it was written.
The version's `digest` is over the rows, less the columns that hold a measurement of one run (milliseconds, memory),
so two runs of the same recipe have the same digest whatever machine and however often killed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import card, claims, copies, provenance, storage, store
from curation.errors import UserError
from curation.schema import TABLES, identify

MANIFEST = "manifest.json"
FORMAT = 1
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,95}")


# (file's identity) -> (its shard's entry, its table's entry, the version's folder)
Known = dict[tuple[Any, ...], tuple[dict[str, Any], dict[str, Any], Path]]


class ManifestError(UserError, ValueError):
    """A version that is not there, not sealed, or not what its manifest says."""


def versions(root: Path, name: str) -> list[int]:
    """The sealed versions of a dataset, oldest first."""
    folder = root / name
    numbers = (one for one in storage.names(folder) if one.isdigit())
    return sorted(int(one) for one in numbers if storage.is_written(folder / one / MANIFEST))


def datasets(root: Path) -> list[str]:
    """The names under `root` that have a sealed version."""
    return sorted(name for name in storage.names(root) if NAME.fullmatch(name) and versions(root, name))


def parse_reference(reference: str) -> tuple[str, int | None]:
    """`demo@3` or `demo@v3` as ("demo", 3); `demo` as ("demo", None), which means the newest.

    Raises:
        ManifestError: the reference has another form.
    """
    name, at, version = reference.partition("@")
    number = version.removeprefix("v")
    if not NAME.fullmatch(name) or (at and not (number.isascii() and number.isdigit())):
        raise ManifestError(f"expected NAME or NAME@VERSION, as in demo@1, found {reference!r}")
    return name, int(number) if at else None


def open_version(root: Path, name: str, version: int | None = None) -> Path:
    """The folder of a sealed version, the newest when `version` is None.

    Raises:
        ManifestError: there is no such dataset or version.
    """
    sealed = versions(root, name)
    if not sealed:
        known = ", ".join(datasets(root)) or "none yet"
        raise ManifestError(f"no sealed version of {name!r} under {root} (datasets there: {known}): build one first")
    if version is not None and version not in sealed:
        raise ManifestError(f"{name} has no version {version}, it has {', '.join(map(str, sealed))}")
    return root / name / str(version or sealed[-1])


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a sealed version.

    Raises:
        ManifestError: it is missing or damaged.
    """
    try:
        manifest = json.loads(storage.read_bytes(folder / MANIFEST))
    except FileNotFoundError:
        raise ManifestError(f"{folder} is not a sealed version: it has no {MANIFEST}") from None
    except ValueError as error:
        raise ManifestError(f"{folder / MANIFEST} is damaged ({error}): the version cannot be trusted") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ManifestError(f"{folder / MANIFEST} is not of format {FORMAT}: another pairwright wrote it")
    return manifest


def seal(
    work: Path,
    root: Path,
    name: str,
    *,
    config: Mapping[str, Any],
    keys: Mapping[str, str],
    cut_points: Mapping[str, Any],
    checks: Mapping[str, int],
    parent: int | None = None,
) -> Path:
    """Make the tables in `work` the next version of `name` and return its folder. Hold the dataset's lock.

    The version is put together beside its place, synced, and renamed into it; shards are hard-linked, not copied. In a
    store its number is claimed first, and its manifest is stored last by a PUT that must not overwrite.

    Raises:
        ManifestError: a table is incomplete, a check found rows, or another process has sealed this number.
    """
    if failed := {check: rows for check, rows in checks.items() if rows}:
        raise ManifestError(
            "not sealed, these checks found rows: "
            + ", ".join(f"{check} ({rows})" for check, rows in sorted(failed.items()))
        )
    for table in TABLES:
        if absent := store.missing(work, table):
            raise ManifestError(f"not sealed, {table} lacks {len(absent)} shards: run the build again to finish it")
    number = max(versions(root, name), default=0) + 1
    known = _described(root, name)

    def compose(number: int, created_at: str, tables: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "dataset": name,
            "version": number,
            "parent": parent,
            "created_at": created_at,
            "code": provenance.code(),
            "config": config,
            "keys": dict(keys),
            "sources": _sources(work),
            "tables": tables,
            "cut_points": dict(cut_points),
            "checks": dict(checks),
            "digest": _digest_of(tables),
        }

    if storage.remote_of(root):
        return _seal_by_claim(work, root / name, number, known, compose)
    staging = _staging(root / name, number)
    try:
        _link_tables(work, staging)
        tables = _describe(staging, storage.files(staging), known)
        manifest = compose(number, _now(), tables)
        with store.replacing(staging / card.FILE) as partial:
            partial.write_text(card.render(manifest), encoding="utf-8")
        with store.replacing(staging / MANIFEST) as partial:
            partial.write_bytes(_json(manifest))
        target = root / name / str(number)
        _take_number(staging, target)
        store.sync(target.parent)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return target


def _staging(folder: Path, number: int) -> Path:
    """Where this process puts a version together; what dead ones left behind goes.

    A place of its own: even without the lock, two that seal at once do not write into each other's.
    """
    for leftover in folder.glob(".sealing-*"):
        owner = leftover.name.rpartition("-")[2]
        if owner == str(os.getpid()) or not Path("/proc", owner).exists():
            shutil.rmtree(leftover, ignore_errors=True)
    return folder / f".sealing-{number}-{os.getpid()}"


def _take_number(staging: Path, target: Path) -> None:
    """Rename a finished version into its place; whoever renames second has lost."""
    try:
        os.rename(staging, target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        raise _beaten(target) from None


def _beaten(target: Path) -> ManifestError:
    return ManifestError(
        f"version {target.name} of {target.parent.name} was sealed by another process meanwhile: "
        "run the same command again to seal the next one"
    )


def _seal_by_claim(
    work: Path,
    folder: Path,
    number: int,
    known: Known,
    compose: Callable[[int, str, Mapping[str, Any]], dict[str, Any]],
) -> Path:
    """Seal in a store, which has no rename: claim a number for these bytes, store them, and the manifest last.

    Raises:
        ManifestError: another process has sealed the number.
    """
    found = storage.files(work)
    tables = _describe(work, found, known)
    content = identify({table: entry["shards"] for table, entry in tables.items()})
    number, created_at = claims.take(folder, number, content, _now(), MANIFEST)
    target = folder / str(number)
    donors = {shard["sha256"]: donor / shard["path"] for shard, _, donor in known.values()}

    def place(path: str, sha256: str) -> None:
        # Only bytes that were hashed are stored here: a work folder's shard may be written anew by a builder that
        # slept, a sealed version's may not.
        if sha256 in donors:
            storage.link(donors[sha256], target / path)
        else:
            storage.put(copies.local(work / path, found[path].identity), target / path)

    shards = [(shard["path"], shard["sha256"]) for entry in tables.values() for shard in entry["shards"]]
    storage.each(lambda shard: place(*shard), shards)
    manifest = compose(number, created_at, tables)
    storage.write_bytes(target / card.FILE, card.render(manifest).encode())
    if not claims.settle(folder, number, target / MANIFEST, _json(manifest)):
        raise _beaten(target)
    return target


def verify(folder: Path) -> list[str]:
    """What is wrong with a sealed version, a line each; an empty list when every byte and row is as sealed."""
    manifest = read_manifest(folder)
    wrong = []
    listed = {card.FILE, MANIFEST}
    for table, entry in manifest["tables"].items():
        if table not in TABLES:
            wrong.append(f"{table}: not a table this pairwright knows")
            continue
        for shard in entry["shards"]:
            if not _is_shard_of(table, shard["path"]):
                wrong.append(f"{shard['path']}: not the name of a shard of {table}")
                continue
            listed.add(shard["path"])
            wrong += _verify_shard(folder, shard)
        if not wrong and entry["digest"] != _rows_digest(folder, table, entry["shards"]):
            wrong.append(f"{table}: rows do not have the digest the manifest states")
    if manifest["digest"] != _digest_of(manifest["tables"]):
        wrong.append(f"{MANIFEST}: the version's digest does not follow from its tables'")
    wrong += [f"{extra}: not part of the sealed version" for extra in sorted(storage.files(folder).keys() - listed)]
    return wrong


def _is_shard_of(table: str, path: object) -> bool:
    """Whether a path in a manifest, which may come from a stranger's repository, stays within its table's folder."""
    folder, _, file = str(path).partition("/")
    return folder == table and store.SHARD_NAME.fullmatch(file) is not None


def _verify_shard(folder: Path, shard: Mapping[str, Any]) -> list[str]:
    file = folder / shard["path"]
    if not storage.is_written(file):
        return [f"{shard['path']}: missing"]
    if (size := file.stat().st_size) != shard["num_bytes"]:
        return [f"{shard['path']}: {size} bytes, sealed with {shard['num_bytes']}"]
    if file_sha256(file) != shard["sha256"]:
        return [f"{shard['path']}: its bytes have changed since it was sealed"]
    return []


def _described(root: Path, name: str) -> Known:
    """What manifests say of the files there are."""
    known: Known = {}
    for version in versions(root, name):
        folder = root / name / str(version)
        try:
            tables = read_manifest(folder)["tables"]
            found = storage.files(folder)
            for table in tables.values():
                known |= {found[shard["path"]].identity: (shard, table, folder) for shard in table["shards"]}
        except (ManifestError, OSError, KeyError, TypeError):
            continue
    return known


def _link_tables(work: Path, staging: Path) -> None:
    for table in TABLES:
        for shard in store.shards(work, table):
            link(store.path(work, table, shard), store.path(staging, table, shard))


def _describe(folder: Path, found: Mapping[str, storage.File], known: Known) -> dict[str, dict[str, Any]]:
    """The manifest's entry of every table of a folder in which `found` lies.

    A file that a sealed version has is described as there: reading all tables again would take most of the time that
    sharing them saves. Should it have rotted, `verify` says so of both.
    """
    described = {}
    for table in TABLES:
        entries, wholes = [], []
        for shard in store.shards(folder, table):
            file = found[f"{table}/{shard.file}"]
            told, whole, _ = known.get(file.identity, (None, None, None))
            wholes.append(whole)
            counts = _counted(store.path(folder, table, shard), file) if told is None else told
            entries.append(counts | {"path": f"{table}/{shard.file}", "split": shard.split})
        same = wholes[0] if wholes and wholes[0] and wholes[0]["shards"] == entries else None
        described[table] = {
            "num_rows": sum(entry["num_rows"] for entry in entries),
            "shards": entries,
            "digest": same["digest"] if same else _rows_digest(folder, table, entries),
        }
    return described


def _counted(shard: Path, file: storage.File) -> dict[str, Any]:
    copy = copies.local(shard, file.identity)
    return {"num_rows": pq.read_metadata(copy).num_rows, "num_bytes": file.size, "sha256": file_sha256(copy)}


def link(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, or a synced copy where the file system has no hard links."""
    if storage.remote_of(target):
        storage.link(source, target)
        return
    with store.replacing(target) as partial:
        try:
            os.link(source, partial)
        except OSError:
            shutil.copyfile(source, partial)


def file_sha256(file: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _json(manifest: Mapping[str, Any]) -> bytes:
    return (json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _digest_of(tables: Mapping[str, Any]) -> str:
    lines = "".join(f"{table} {entry['digest']}\n" for table, entry in sorted(tables.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def _rows_digest(folder: Path, table: str, entries: list[dict[str, Any]]) -> str:
    """SHA-256 over a table's rows in order, measured columns left out; the same under every version of pyarrow.

    Of files that were written before a column was declared, over the columns they have.
    """
    declared = TABLES[table]
    digest = hashlib.sha256()
    for entry in entries:
        file = pq.ParquetFile(copies.local(folder / entry["path"]))
        present = set(file.schema_arrow.names) - declared.measured
        columns = [name for name in declared.schema.names if name in present]
        for batch in file.iter_batches(batch_size=8192, columns=columns):
            for name in columns:
                _hash_array(digest, batch.column(name))
    return digest.hexdigest()


def _hash_array(digest: Any, array: pa.Array) -> None:
    """Feed one array into a hash in a form that depends on its values alone, not on buffers, offsets or padding."""
    digest.update(f"{array.type}/{len(array)}:".encode())
    digest.update(bytes(pc.is_null(array).cast(pa.uint8()).buffers()[1] or b"")[: len(array)])
    if pa.types.is_struct(array.type):
        for part in array.flatten():
            _hash_array(digest, part)
    elif pa.types.is_list(array.type):
        _hash_array(digest, pc.fill_null(pc.list_value_length(array), 0))
        _hash_array(digest, pc.list_flatten(array))
    elif pa.types.is_string(array.type):
        values = pc.fill_null(array, "")
        _hash_array(digest, pc.binary_length(values))
        digest.update("".join(values.to_pylist()).encode("utf-8"))
    else:
        # Booleans are bits in Arrow; as bytes their buffer has a place per value like every other's.
        values = pc.fill_null(array.cast(pa.uint8()) if pa.types.is_boolean(array.type) else array, 0)
        width = values.type.bit_width // 8
        digest.update(bytes(values.buffers()[1] or b"")[values.offset * width : (values.offset + len(values)) * width])


def _sources(work: Path) -> list[dict[str, str]]:
    """Where the problems came from, each source once."""
    problems = store.read(work, "problems", columns=["source", "source_revision", "license"])
    rows = {tuple(row.values()): row for row in problems.to_pylist()}
    return [rows[key] for key in sorted(rows)]

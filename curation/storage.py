"""Roots on object storage: what a folder does by rename, link and lock, done with whole objects.

A root is a folder or the URL of a store that fsspec knows: s3://bucket/prefix, gs://, az://. Below a URL every path is
a `UPath`: pathlib's interface without its type, so that the rest of the code says `Path` for both. What is asked of a
store: a PUT is atomic, a PUT that must not overwrite is refused where something is (If-None-Match), and a reader sees
the last PUT. Tables are read from local copies of their shards, since DuckDB on remote files is 100 times slower.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar, cast

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from curation.errors import MissingError, UserError

if TYPE_CHECKING:
    from upath import UPath

T = TypeVar("T")
AT_ONCE = 8
CONTENT_HASHES = ("ETag", "etag")
STAMPS = ("LastModified", "last_modified", "updated", "mtime", "created")
FULL = frozenset({"InsufficientStorage", "QuotaExceeded", "StorageFull", "XMinioStorageFull"})
FULL |= {"XMinioAdminBucketQuotaExceeded", "EntityTooLarge"}
AGAIN = "the same command goes on from the finished shards"


class StorageError(UserError):
    """A store that does not answer, does not let us in, or is not there."""


class NoRoomError(StorageError):
    """A store that has no room."""


class File(NamedTuple):
    """What a listing says of a file. `identity` changes when it is written to; `shared` files free no room."""

    size: int
    identity: tuple[Any, ...]
    shared: bool


def place(text: str | Path) -> Path:
    """The root that a user named: a folder, or where it is a URL, a UPath.

    Raises:
        UserError: fsspec does not know the store, or the package that speaks to it is not installed.
    """
    url = str(text)
    if "://" not in url:
        return Path(url)
    from upath import UPath

    scheme = url.partition("://")[0]
    try:
        # Listings are not remembered: other processes write, too.
        found = UPath(url.rstrip("/"), use_listings_cache=False)
        _ = found.fs
    except ImportError as error:
        raise MissingError(f"{scheme}:// needs a package that is not installed: {error}") from None
    except ValueError:
        raise UserError(f"expected a folder or a URL like s3://bucket/prefix, found {url}") from None
    return Path(found.path) if scheme in ("file", "local") else cast(Path, found)


# A root among a flow's parameters, which Prefect checks with pydantic and shows in a form.
Root = Annotated[
    Path,
    PlainValidator(place),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "format": "path"}),
]


def reach(root: Path) -> Path:
    """The root itself, once its store has answered: a mistyped bucket or a wrong key shows before any work.

    Raises:
        StorageError: it has not, or there is no such bucket.
    """
    if remote := remote_of(root):
        with explained(root):
            top = type(remote)(remote.anchor, **remote.storage_options)
            if not names(root) and not top.fs.exists(top.path):
                raise StorageError(f"there is no {str(top).rstrip('/')}: make it first, or check the name")
    return root


def remote_of(path: Path) -> UPath | None:
    """The path as a UPath; None for one of this machine."""
    return None if isinstance(path, Path) else cast("UPath", path)


def local_only(root: Path, what: str) -> Path:
    """The root, where it is a folder of this machine.

    Raises:
        UserError: it is on object storage, where `what` does not work.
    """
    if remote_of(root):
        raise UserError(
            f"{what} needs a local root, found {root}: give a folder with --root "
            f"(`pairwright pull {root}/NAME@VERSION` brings a version there)"
        )
    return root


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what a store or the way to it answers into one line; a file that is not there stays a FileNotFoundError.

    Raises:
        StorageError: anything else that goes wrong with a remote path.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if remote_of(path) is None or (told := _told(error, path)) is None:
            raise
        raise (NoRoomError if _code(error) in FULL or _status(error) == 507 else StorageError)(told) from None


def _told(error: Exception, path: Path) -> str | None:
    said = " ".join(str(error).split())[:200]
    if _code(error) == "NoSuchBucket":
        return f"there is no bucket for {path}: make it first, or check the name"
    if _code(error) in FULL or _status(error) == 507:
        return f"no room left to write {path} ({said}): free some, and {AGAIN}"
    if isinstance(error, FileNotFoundError | FileExistsError):
        return None
    if isinstance(error, PermissionError):
        return f"{path} does not let these credentials in ({said}): use others, or ask its owner"
    # Named and not imported: what speaks to a store is the user's choice.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if kinds & {"NoCredentialsError", "PartialCredentialsError"}:
        return f"no credentials for {path}: set them where its client looks (AWS_ACCESS_KEY_ID, a profile, ...)"
    if kinds & {"HTTPClientError", "ClientConnectionError", "ConnectionError", "TimeoutError", "TransportError"}:
        return f"no answer from the store of {path} ({said}): once it is there, {AGAIN}"
    if isinstance(error, OSError):
        return f"{path} failed ({said or type(error).__name__}): {AGAIN}"
    return None


def _response(error: BaseException) -> Mapping[str, Any]:
    """What an S3 answered, where that is why: s3fs keeps it as the cause."""
    found: Mapping[str, Any] = getattr(error, "response", None) or getattr(error.__cause__, "response", None) or {}
    return found if isinstance(found, dict) else {}


def _code(error: BaseException) -> str:
    return str(_response(error).get("Error", {}).get("Code", ""))


def _status(error: BaseException) -> int:
    return int(_response(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def each(function: Callable[..., T], items: Iterable[Any]) -> list[T]:
    """The results of a function that waits for a store, called for several items at once."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(function, items))


def names(folder: Path) -> list[str]:
    """What lies in a folder; nothing where there is none."""
    with explained(folder):
        try:
            return [entry.name for entry in folder.iterdir()]
        except (FileNotFoundError, NotADirectoryError) as error:
            if _code(error) == "NoSuchBucket":
                raise
            return []


def is_written(file: Path) -> bool:
    """Whether a file is there. In a store an empty one is not: that is how a version's number is closed."""
    remote = remote_of(file)
    if remote is None:
        return file.is_file()
    with explained(file):
        try:
            return int(remote.fs.info(remote.path)["size"] or 0) > 0
        except FileNotFoundError:
            return False


def read_bytes(file: Path) -> bytes:
    """The content of a small file.

    Raises:
        FileNotFoundError: it is not there.
    """
    with explained(file):
        remote = remote_of(file)
        return file.read_bytes() if remote is None else bytes(remote.fs.cat_file(remote.path))


def files(folder: Path) -> dict[str, File]:
    """Every file below a folder, by its path relative to it."""
    remote = remote_of(folder)
    if remote is None:
        found = ((file, file.stat()) for file in folder.rglob("*") if file.is_file())
        return {
            str(file.relative_to(folder)): File(stat.st_size, _identity(stat), stat.st_nlink > 1)
            for file, stat in found
        }
    with explained(folder):
        try:
            listed = remote.fs.find(remote.path, detail=True)
        except FileNotFoundError:
            return {}
    start = len(remote.path.rstrip("/")) + 1
    return {name[start:]: File(info["size"], identity_of(info), False) for name, info in listed.items()}


def identity(file: Path) -> tuple[Any, ...]:
    """What changes when a file is written to, and where the store hashes its content, only then.

    Raises:
        FileNotFoundError: it is not there.
    """
    remote = remote_of(file)
    if remote is None:
        return _identity(file.stat())
    with explained(file):
        return identity_of(remote.fs.info(remote.path))


def _identity(stat: os.stat_result) -> tuple[Any, ...]:
    """What is the same for two names of one file, and changes when it is written to."""
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def identity_of(info: Mapping[str, Any]) -> tuple[Any, ...]:
    """The identity in what fsspec tells of an object."""
    for key in CONTENT_HASHES:
        if info.get(key):
            return info["size"], str(info[key]).strip('"')
    stamp = next((info[key] for key in STAMPS if info.get(key)), "")
    # Some stores tell the time as a number in a listing and as a date of a single file.
    return info["size"], info["name"], str(stamp.timestamp() if isinstance(stamp, datetime) else stamp)


def put(source: Path, target: Path) -> None:
    """Store a local file as an object; whole from the moment it is there.

    Raises:
        StorageError: the store does not take it.
    """
    remote = cast("UPath", target)
    with explained(target):
        remote.fs.put_file(str(source), remote.path)


def write_bytes(file: Path, content: bytes) -> None:
    """Store a small object, over what is there."""
    remote = cast("UPath", file)
    with explained(file):
        remote.fs.pipe_file(remote.path, content)


def create(file: Path, content: bytes) -> bool:
    """Store a small object where there is none; whether it is there now with this content.

    Raises:
        StorageError: the store cannot refuse to overwrite.
    """
    remote = cast("UPath", file)
    if remote.protocol == "hf":
        raise StorageError(
            f"{file.parent} is a repository, in which every file would be a commit: build on s3://, gs:// or a local "
            "root, and `pairwright publish` the version"
        )
    with explained(file):
        while True:
            try:
                remote.fs.pipe_file(remote.path, content, mode="create")
                return True
            except FileExistsError:
                break
            except OSError as error:
                if _code(error) == "ConditionalRequestConflict":  # two at once, neither done: S3 wants it asked again
                    continue
                if _code(error) != "PreconditionFailed":
                    raise
                break
        # A request that was sent again after its answer got lost meets its own object.
        try:
            return bytes(remote.fs.cat_file(remote.path)) == content
        except FileNotFoundError:
            return False


def link(source: Path, target: Path) -> None:
    """Make `target` the same object as `source` within a store, without its bytes coming here."""
    one, other = cast("UPath", source), cast("UPath", target)
    with explained(target):
        one.fs.cp_file(one.path, other.path)


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it; nothing happens where there is none."""
    remote = remote_of(path)
    if remote is None:
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        return
    with explained(path):
        try:
            remote.fs.rm(remote.path, recursive=True)
        except FileNotFoundError:
            return

"""A store as DuckDB sees it when a catalog's views are made over its URLs: local copies, fetched when they are opened.

Nothing is queried through it. A Python filesystem under DuckDB asks for every page of every file by itself (3 to 8 s
for a query that takes 0.03 s on copies, measured on 23 shards), and with several threads a query may hang for good.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any, cast

import duckdb
from fsspec.spec import AbstractFileSystem

from curation import copies, storage
from curation.errors import UserError


@contextmanager
def readable(con: duckdb.DuckDBPyConnection, folder: Path | None) -> Iterator[None]:
    """Let a connection read the URLs of the store in which a folder lies; one of this machine needs nothing.

    Raises:
        StorageError: the store failed under a query, which DuckDB would tell as an error of its own.
    """
    if folder is None or storage.remote_of(folder) is None:
        yield
        return
    store = Copies(folder)
    con.execute("SET threads = 1")  # more of them and Python under them wait for one another for ever
    con.register_filesystem(store)
    try:
        yield
    except (duckdb.Error, UserError):
        if store.failed:
            raise store.failed from None
        raise


class Copies(AbstractFileSystem):
    """The objects of one store, read-only, as they were when their folder was first looked into."""

    cachable = False

    def __init__(self, folder: Path) -> None:
        super().__init__()
        remote = storage.remote_of(folder)
        assert remote is not None
        self.remote, self.protocol = remote, remote.fs.protocol
        self.listings: dict[str, dict[str, storage.File]] = {}
        self.copies: dict[str, Path] = {}
        self.lock = Lock()
        self.failed: Exception | None = None

    def open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        """The copy of an object, opened."""
        return self._copy(path).open("rb")

    def exists(self, path: str, **options: Any) -> bool:
        folder, _, name = path.rpartition("/")
        with self.lock:
            return name in self._listing(folder)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "size": self._copy(path).stat().st_size, "type": "file"}

    def glob(self, path: str, **_: Any) -> list[str]:
        """The path itself: queries name every file."""
        return [path]

    def modified(self, path: str) -> datetime:
        return datetime.fromtimestamp(self._copy(path).stat().st_mtime, UTC)

    def _copy(self, path: str) -> Path:
        try:
            return self._fetched(path)
        except Exception as error:
            self.failed = error
            raise

    def _fetched(self, path: str) -> Path:
        folder, _, name = path.rpartition("/")
        with self.lock:
            if path not in self.copies:
                identity = self._listing(folder)[name].identity
                self.copies[path] = copies.local(self._path(folder) / name, identity)
            return self.copies[path]

    def _listing(self, folder: str) -> dict[str, storage.File]:
        if folder not in self.listings:
            self.listings[folder] = storage.files(self._path(folder))
        return self.listings[folder]

    def _path(self, folder: str) -> Path:
        return cast(Path, type(self.remote)(folder, **self.remote.storage_options))

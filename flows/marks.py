"""What people thought of pairs: keep, drop, and a comment, in a file beside a dataset's versions.

    <root>/<name>/marks.jsonl      a line per mark, the last one of a pair counts

Versions are sealed and stay as they are. A pair has the same id in every version that has it, so its mark holds for all
of them. `pairwright curate --marks` writes the dropped ones into the next version's rules as `manually_pruned`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from curation.errors import UserError

FILE = "marks.jsonl"
RULE = "manually_pruned"


class Mark(BaseModel):
    """What somebody thought of one pair; neither a mark nor a comment takes back what was said before."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pair_id: str = Field(pattern=r"^[0-9A-Za-z_.>-]{1,64}$")
    mark: Literal["keep", "drop"] | None = None
    comment: str = Field("", max_length=2000)


class Counts(NamedTuple):
    """How many pairs are marked keep, marked drop, and commented."""

    keep: int
    drop: int
    comment: int


def read_marks(file: Path) -> dict[str, Mark]:
    """pair_id -> its last mark; a line cut off by a crash is left out.

    Raises:
        UserError: a line that is no mark, with its number.
    """
    found: dict[str, Mark] = {}
    if not file.is_file():
        return found
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n")[:-1], start=1):
        try:
            given = json.loads(line)
            given.pop("at", None)
            mark = Mark.model_validate(given)
        except (ValueError, AttributeError, ValidationError):
            raise UserError(
                f'{file}:{number} is no mark: expected {{"pair_id": ..., "mark": "drop", "comment": ""}}, '
                f"found {line[:80]!r}: mend or remove the line"
            ) from None
        found.pop(mark.pair_id, None)
        if mark.mark or mark.comment:
            found[mark.pair_id] = mark
    return found


def add_mark(file: Path, mark: Mark) -> None:
    """Append one mark. A line is written at once, so two who mark at a time do not cut each other's lines."""
    line = json.dumps({**mark.model_dump(), "at": datetime.now(UTC).isoformat(timespec="seconds")}) + "\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab", buffering=0) as stream:
        if stream.tell() and not _ends_a_line(file):
            line = "\n" + line
        stream.write(line.encode())


def _ends_a_line(file: Path) -> bool:
    with file.open("rb") as stream:
        stream.seek(-1, 2)
        return stream.read(1) == b"\n"


def count(marks: Mapping[str, Mark]) -> Counts:
    """How many there are of each."""
    values = list(marks.values())
    keep, drop = (sum(one.mark == mark for one in values) for mark in ("keep", "drop"))
    return Counts(keep, drop, comment=sum(bool(one.comment) for one in values))


def rule_of(marks: Mapping[str, Mark]) -> dict[str, Any]:
    """The pruning rule that takes out what is marked drop, as a recipe has it.

    Raises:
        UserError: nothing is marked so.
    """
    dropped = sorted((one for one in marks.values() if one.mark == "drop"), key=lambda one: one.pair_id)
    if not dropped:
        raise UserError("no pair is marked drop: pairwright browse NAME marks them")
    lists = {"pairs": [one.pair_id for one in dropped], "comments": [one.comment for one in dropped]}
    return {"rule": RULE, "params": lists}

"""The option --root: a folder, or a URL of object storage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, Token


def located(_: type, tokens: Sequence[Token]) -> Path:
    """The root that was named, once its store has answered.

    Raises:
        UserError: it is no folder and no URL of a store, or the store does not let us in.
    """
    text = tokens[0].value
    if "://" not in text:
        return Path(text)
    from curation import copies, storage

    copies.trim()
    return storage.reach(storage.place(text))


class Located:
    """Tells pydantic, with which the command line checks what was converted, that a root need not be a `Path`."""

    def __get_pydantic_core_schema__(self, *_: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.any_schema()


Root = Annotated[Path, Parameter(name="--root", env_var="PAIRWRIGHT_ROOT", converter=located), Located()]

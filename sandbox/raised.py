"""Which exception the judge raises for what a candidate raised: of its class where tests can name that, or near it."""

import builtins
import copy
import dataclasses
import decimal
import json
import queue
import re
import statistics
import struct
from functools import partial
from typing import Any

from sandbox import asynctasks, asyncwaits

_NEAREST = 100  # classes among an exception's bases that are looked for


def _names_of(kind: type) -> tuple[str, ...]:
    return tuple(base.__name__ for base in kind.__mro__ if issubclass(base, BaseException))


# Exceptions of the library's that programs raise and tests expect, by the names that such a one comes with. Two are
# called `error` until Python 3.13, and one is both.
_LIBRARY: dict[tuple[str, ...], type[Exception]] = {
    _names_of(kind): kind
    for kind in (
        *(struct.error, re.error, copy.Error, queue.Empty, queue.Full, json.JSONDecodeError),
        *(asyncwaits.QueueEmpty, asyncwaits.QueueFull, asynctasks.CancelledError, asynctasks.InvalidStateError),
        *(statistics.StatisticsError, dataclasses.FrozenInstanceError),
        *(kind for kind in vars(decimal).values() if isinstance(kind, type) and issubclass(kind, ArithmeticError)),
    )
}
_LIBRARY["error", "Exception", "BaseException"] = type("error", (struct.error, re.error), {})
_LIBRARY_KINDS = frozenset(_LIBRARY.values())


def nearest(names: list[str]) -> type[BaseException]:
    """The class that the candidate raised, or the first of its bases that is known here."""
    names = names[-_NEAREST:]
    for number, name in enumerate(names):
        kind = _LIBRARY.get(tuple(names[number:])) or getattr(builtins, name, None)
        if isinstance(kind, type) and issubclass(kind, BaseException):
            # The one would be taken for the judge's own; the other ends generators without a word.
            return RuntimeError if issubclass(kind, MemoryError | GeneratorExit) else kind
    return Exception


def made(kind: Any, values: list[Any]) -> BaseException | None:
    """One of that class; None where it wants other arguments, as UnicodeDecodeError does."""
    try:
        # JSONDecodeError() wants the document.
        make = kind if _LIBRARY_KINDS.isdisjoint(kind.__mro__) else partial(kind.__new__, kind)
        error: BaseException = make(*values)
        return error
    except Exception:
        return None


def said(error: BaseException) -> str:
    text = vars(error).get("_sandbox_message")
    return text if isinstance(text, str) else super(type(error), error).__str__()

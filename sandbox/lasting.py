"""What the tests of one program may leave in the judge for those of the next: seen after the fact, by what differs.

A judge in which they do judges nobody else.
"""

import abc
import calendar
import codecs
import decimal
import gc
import os
import signal
import sys
import time
from collections.abc import Mapping
from types import ModuleType
from typing import Any

# Imported before the walls go up, since nothing can be read afterwards.
WARM = (
    *("abc", "array", "asyncio", "bisect", "calendar", "cmath", "collections", "collections.abc", "copy"),
    *("dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "hashlib", "heapq", "io", "itertools"),
    *("inspect", "json", "math", "numbers", "operator", "queue", "random", "re", "statistics", "string", "struct"),
    *("textwrap", "time", "types", "typing", "unicodedata", "encodings.idna", "_strptime", "sys", "os"),
)
_CODECS = (
    "ascii base64 charmap cp037 cp1252 cp437 hex idna iso8859-1 latin-1 punycode raw_unicode_escape rot13 "
    "unicode_escape utf-16 utf-16-be utf-16-le utf-32 utf-32-be utf-32-le utf-7 utf-8 utf-8-sig "
    "iso-8859-1 latin1 latin_1 l1 u8 us-ascii utf utf8 utf16 utf_16 utf32 utf_32 utf_8 utf_8_sig"
)


def warm_codecs() -> None:
    """Those that programs have, and so their tests: each is a module of its own, imported when it is first used."""
    for name in _CODECS.split():
        try:
            codecs.lookup(name)
        except LookupError:
            continue
    "ä".encode("idna")


def settings() -> tuple[Any, ...]:
    """What a call, of whatever name, sets for the whole interpreter and `_start_anew` does not: 2 microseconds."""
    collecting, tracing = (gc.isenabled(), gc.get_threshold()), (sys.gettrace(), sys.getprofile())
    dates = calendar.firstweekday(), time.timezone
    return abc.get_cache_token(), len(os.environ), signal.getsignal(signal.SIGALRM), *collecting, *tracing, *dates


def state() -> int:
    """A number that differs once a builtin or a global of a library module, or of one of ours, has been replaced.

    Or an attribute of a class that is one of these, or what stands in one that is a list, dict or set: 3 milliseconds.
    """
    names = {*WARM, "builtins", *(name for name in list(sys.modules) if name.startswith("sandbox."))}
    rooms = {id(module): vars(module) for name, module in list(sys.modules.items()) if name in names}
    for room in list(rooms.values()):  # such as os.path and json.encoder
        rooms |= {id(value): vars(value) for value in room.values() if isinstance(value, ModuleType)}
    values = [value for room in rooms.values() for value in room.values()]
    classes = {id(value): vars(value) for value in values if isinstance(value, type)}
    spaces = (*rooms.values(), *classes.values())
    parts = [part for names in spaces for part in _public_containers(names)]
    contents = [part.values() if isinstance(part, dict) else part for part in parts]
    contexts = repr([decimal.DefaultContext, decimal.BasicContext, decimal.ExtendedContext])
    every = (*(names.values() for names in spaces), *contents)
    return hash((contexts, *(tuple(map(id, values)) for values in every)))


def _public_containers(names: Mapping[str, Any]) -> list[Any]:
    """Of those names. The library itself fills those that begin with an underscore, and this cache of importing."""
    found = [value for name, value in list(names.items()) if name[:1] != "_" and name != "path_importer_cache"]
    return [value for value in found if type(value) in (dict, list, set)]

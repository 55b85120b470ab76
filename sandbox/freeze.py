"""Once per process, while files can still be read: import and warm what programs may use, and make it immutable."""

import contextlib
import ctypes
import encodings
import functools
import importlib
import itertools
import os
import sys
import types
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from sandbox import (
    asyncgroups,
    asyncloop,
    asynctasks,
    asyncwaits,
    attributes,
    classes,
    concurrency,
    copying,
    guards,
    methods,
    modules,
    policy,
    record_fields,
    records,
    replacements,
    standins,
    stops,
    streams,
)
from sandbox.lasting import warm_codecs
from sandbox.private import classes_of, library_private, values_of


@functools.cache
def prepare() -> None:
    """Idempotent. Afterwards no allowed module needs a file, and no class of the library can be patched."""
    methods.hold_to_their_objects()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in policy.MODULES:
            if name in modules.NOT_IMPORTED:
                continue
            try:
                importlib.import_module(name)
            except ImportError:  # typing_extensions is a stand-in only
                continue
            modules.real_names(name)
            if name not in policy.STAND_INS:
                modules.library_names(name)
    sys.modules.setdefault("candidate", types.ModuleType("candidate"))  # dataclasses look a class's module up
    library_private()
    _clearing()
    _harmless_bases()
    _warm()
    copying.UNCOPIED.update(_uncopied())
    _lasting(), _abstract()
    restore()  # so that the first program, too, finds what the later ones do
    classes = {*modules.library_classes(), *_own_classes(), *_more_classes()}
    freeze_types({base for kind in classes for base in kind.__mro__ if not issubclass(base, type)})
    _clear_caches()


# What these import only when somebody asks for it, which is too late behind the walls.
_BELONGING = {"numpy": ("fft", "linalg", "ma", "polynomial", "random", "testing")}
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # a zygote with threads cannot fork


def import_allowed(names: Iterable[str], path: Iterable[str]) -> None:
    """Import what a recipe allows beyond the policy's list, as it is, from `path`. RuntimeError if it is not there."""
    sys.path += [entry for entry in path if entry not in sys.path]
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        for name in names:
            for module in (name, *(f"{name}.{part}" for part in _BELONGING.get(name, ()))):
                importlib.import_module(module)
    except ImportError as error:
        raise RuntimeError(f"the module {name}, which is allowed, cannot be imported: {error}") from None
    finally:
        os.environ.clear()
    _clear_caches()


def _harmless_bases() -> None:
    import abc
    import typing

    classes.HARMLESS_BASES.update((abc.ABC, typing.Generic, typing.Protocol))
    classes.STANDING_BASES.update((typing.TypedDict, modules._named_tuple))
    classes.HARMLESS_BASES.update(
        value for value in modules.library_names("collections.abc").values() if isinstance(value, type)
    )


def _warm() -> None:
    """Call what imports or reads something the first time it is called."""
    import datetime
    import decimal
    import fractions
    import hashlib
    import inspect  # noqa: F401  # dataclasses sign their classes with it
    import json
    import random
    import re
    import statistics
    import string
    import time
    import unicodedata

    warm_codecs()
    datetime.datetime.strptime("2000-01-01", "%Y-%m-%d").strftime("%c")
    time.strptime("2000", "%Y")
    os.environ["TZ"] = "UTC0"  # what datetime takes for local time: the same on every machine
    time.tzset()
    del os.environ["TZ"]
    time.localtime()
    decimal.Decimal(1) / decimal.Decimal(3)
    fractions.Fraction("1/3")
    hashlib.sha256(b"").hexdigest()
    json.dumps({"a": [1.5, None]}, indent=1)
    json.loads('{"a": 1}')
    random.Random(0).random()
    re.compile(r"(?P<a>\w+)\s*[^a-z]|x{2,3}?")
    statistics.NormalDist().inv_cdf(0.5)
    string.Template("$a").substitute(a=1)
    repr([repr({})])  # keeps a list of what is being shown
    unicodedata.lookup("LATIN SMALL LETTER A")
    format(1234.5, ",.2f")
    as_utf8 = ctypes.pythonapi.PyUnicode_AsUTF8
    as_utf8.argtypes, as_utf8.restype = (ctypes.py_object,), ctypes.c_void_p
    for code in range(128, 256):
        as_utf8(chr(code))  # kept in the one string there is of such a character, and part of its size


@functools.cache
def _clearing() -> list[Callable[[], None]]:
    """What empties the caches of the library's functions."""
    import typing

    rooms = [sys.modules[name] for name in sorted(policy.MODULES) if name in sys.modules]
    cached = [value for room in rooms for value in vars(room).values() if hasattr(type(value), "cache_clear")]
    return [*vars(typing)["_cleanups"], *(value.cache_clear for value in cached)]


def _clear_caches() -> None:
    """Also before any program runs: what imports left there, such as Optional[Type[...]], would be shown to the `==` of
    a program's object with the same hash."""
    for clear in _clearing():
        clear()


def _library_kinds() -> list[type]:
    """Every class of the library's modules that programs may import, listed for them or not, with its bases."""
    rooms = sorted(policy.MODULES.keys() - policy.STAND_INS)
    return list(dict.fromkeys(base for room in rooms for kind in classes_of(room) for base in kind.__mro__))


@functools.cache
def _lasting() -> list[tuple[Any, Any]]:
    """The dictionaries and lists in classes of the library, the attributes of its enum.property objects and of the
    objects that its modules have, such as flags, and what all these hold. Programs that share a process get at them
    without a name that sets them apart: attributes of other names may be set, `re.I | re.M` makes a member that its
    class keeps, and patterns with a class that type() made read attributes that the text does not name.
    """
    import enum

    rooms = sorted(policy.MODULES.keys() - policy.STAND_INS)
    kinds = [kind for kind in _library_kinds() if isinstance(kind, enum.EnumMeta)]
    members = [member for kind in kinds for member in vars(kind)["_value2member_map_"].values()]
    owns = map(_attributes, itertools.chain(*map(values_of, rooms), members))
    found: dict[int, Any] = {id(own): own for own in owns if own is not None}
    names = vars(encodings)["_cache"]  # also of what is no encoding
    found[id(names)] = names
    for part in (part for kind in _library_kinds() for part in vars(kind).values()):
        if type(part) in (dict, list):
            found[id(part)] = part
        elif isinstance(part, enum.property):
            found[id(part)] = vars(part)
    return [(part, part.copy()) for part in found.values()]


@functools.cache
def _abstract() -> list[Any]:
    """All abstract classes there are: one that is asked about a class asks those below it, listed or not."""
    import abc

    kinds: list[Any] = [object]
    for kind in kinds:
        kinds += [one for one in type.__subclasses__(kind) if one is not type]
    found = [kind for kind in dict.fromkeys(kinds) if isinstance(kind, abc.ABCMeta)]
    for kind in found:
        with contextlib.suppress(TypeError):  # of a protocol, which says nothing of any class
            issubclass(kind, kind), issubclass(types.SimpleNamespace, kind)  # the sets for what it says are there now
    return found


@functools.cache
def _properties() -> list[tuple[Any, type, str]]:
    kinds = dict.fromkeys(base for kind in (*_library_kinds(), *_own_classes()) for base in kind.__mro__)
    return [(part, kind, name) for kind in kinds for name, part in vars(kind).items() if type(part) is property]


def _attributes(value: object) -> Any:
    """Those that an object has of its own, if it is no class, function or module: also where Python shows none."""
    if isinstance(value, type | types.FunctionType | types.ModuleType) or not type(value).__dictoffset__:
        return None
    read = ctypes.pythonapi.PyObject_GenericGetDict
    read.argtypes, read.restype = (ctypes.py_object, ctypes.c_void_p), ctypes.py_object
    return read(value, None)


def restore() -> None:
    """Put back what a program changed in objects of the library's without naming what the translator looks for."""
    import abc

    standins.reset_limits()  # the next program is translated under them
    for kind in _abstract():
        vars(abc)["_reset_caches"](kind)  # of the classes that it was asked about
    for part, before in _lasting():
        part.clear()
        part.extend(before) if type(part) is list else part.update(before)
    for part, kind, name in _properties():
        vars(property)["__set_name__"](part, kind, name)  # a class of a program's that has it may have renamed it


def forget() -> None:
    """Empty the library's caches: a program's keys in them would be asked for their hash and `==` by the next one.

    Not that of struct, which no program of a shared process has.
    """
    import _strptime
    import re

    re.purge()
    vars(_strptime)["_regex_cache"].clear()
    _clear_caches()


def _own_classes() -> list[type]:
    from sandbox import refused, runtime, translator

    rooms = (
        *(asyncgroups, asyncloop, asynctasks, asyncwaits, attributes, classes, concurrency, copying, guards),
        *(record_fields, records, refused, runtime, standins, stops, streams, translator),
    )
    return [
        value
        for room in rooms
        for value in vars(room).values()
        if isinstance(value, type) and value.__module__ not in ("builtins", "typing")
    ]


def _uncopied() -> list[type]:
    """What holds the world or a part of it, or stands for what CPython would not copy either: locks, streams, tasks.

    And what tee() gives, or combinations(): the parts are copied one by one, where a program may put others in the
    memo, and CPython believes each of them about the others.
    """
    from sandbox import runtime

    one: Any = itertools.tee(())[0]
    return [
        *(type(one), getattr(itertools, "_tee_dataobject", type(one))),
        *(itertools.combinations, itertools.combinations_with_replacement),
        *(runtime.World, runtime.Globals, modules.Importer, standins.System, asyncloop.Loop, *asyncwaits.KINDS),
        *(asyncloop.EventLoop, asynctasks.Handle, *asynctasks.KINDS, *asyncgroups.KINDS),
        *(concurrency.Queue, concurrency.Lock, concurrency.Thread),
        *(copying.Kept, guards.Forbidden, record_fields.FieldDescription, replacements.Struct),
        *(streams.Output, streams.TextOutput, streams.BinaryOutput, streams.Input),
    ]


def _more_classes() -> list[type]:
    """Library classes that a program reaches through an instance and not by name, and those that a C module made."""
    import abc
    import json

    rooms = policy.MODULES.keys() - policy.STAND_INS | {"random", "time"}
    found = [kind for name in sorted(rooms) for kind in classes_of(name)]
    objects = [type(value) for name in sorted(rooms) for value in values_of(name)]
    builtin = [value for value in guards.shared_builtins().values() if isinstance(value, type)]
    return [*found, *objects, *builtin, type(vars(abc.ABC)["_abc_impl"]), type(vars(json.JSONDecoder())["scan_once"])]


def freeze_types(kinds: set[type]) -> bool:
    """Set the flag that makes a class immutable, where its place in the object is certain; False if it is not.

    Hygiene between programs that share a process, and no wall: a program that patches Counter patches it for the next.
    """
    offset = _flags_offset()
    if offset is None:
        return False
    for kind in kinds:
        if kind.__flags__ & classes.HEAP and not kind.__flags__ & classes.IMMUTABLE:
            field = ctypes.c_ulong.from_address(id(kind) + offset)
            if field.value == kind.__flags__:
                field.value |= classes.IMMUTABLE
    return True


def _flags_offset() -> int | None:
    """Where tp_flags lies in a type object: the one place that agrees with `__flags__` for very different types."""
    samples: list[type] = [int, dict, type, object, BaseException, type("Heap", (), {}), type(lambda: 0), memoryview]
    for offset in range(0, object.__basicsize__ + 400, 8):
        if all(ctypes.c_ulong.from_address(id(kind) + offset).value == kind.__flags__ for kind in samples):
            return offset
    return None

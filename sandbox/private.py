"""The underscored methods and classes of the library modules that programs may import.

An attribute such as `x._rest` is the program's own affair unless a class of the library has something callable of that
name; then `classes.own` asks whose object `x` is. The set is read off the modules, and fits every Python version.
"""

import functools
import importlib
import warnings
from types import CodeType, FunctionType

from sandbox import policy


@functools.cache
def library_private() -> frozenset[str]:
    """Every `_name` (and mangled `_Class__name`) of a method, property or class inside a class of the library."""
    found: set[str] = set()
    for name in policy.MODULES.keys() - policy.STAND_INS:
        for kind in classes_of(name):
            for attribute, value in list(vars(kind).items()):
                if attribute.startswith("_") and not attribute.endswith("__") and _acts(value):
                    found.add(attribute)
    return frozenset(found)


@functools.cache
def library_inner() -> frozenset[str]:
    """Every `_name` that the library's own code reads or sets, or that stands in its classes and lasting objects."""
    found: set[str] = set()
    for module in policy.MODULES.keys() - policy.STAND_INS:
        for kind in classes_of(module):
            found.update(dir(kind))
            for value in list(vars(kind).values()):
                found.update(names_in(getattr(getattr(value, "__func__", value), "__code__", None)))
        for value in values_of(module):
            found.update(getattr(value, "__dict__", ()), names_in(getattr(value, "__code__", None)))
    return frozenset(name for name in found if name.startswith("_") and not name.endswith("__"))


def names_in(code: object) -> set[str]:
    """The names that a function's code holds, and the functions inside it."""
    if not isinstance(code, CodeType):
        return set()
    return set(code.co_names).union(*map(names_in, code.co_consts))


@functools.cache
def starred(module: str) -> tuple[str, ...]:
    """What `from module import *` binds: the listed names that this Python's module has."""
    listed = [name for name in policy.MODULES.get(module, ()) if not name.startswith("_")]
    if module in policy.STAND_INS:
        return tuple(listed)
    real = importlib.import_module(module)
    return tuple(name for name in listed if hasattr(real, name))


def classes_of(module: str) -> list[type]:
    """The classes among the names of a module."""
    return [value for value in values_of(module) if isinstance(value, type)]


def values_of(module: str) -> list[object]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return list(vars(importlib.import_module(module)).values())
    except ImportError:
        return []


def _acts(value: object) -> bool:
    return isinstance(value, FunctionType | classmethod | staticmethod | property | type)

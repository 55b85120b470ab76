"""A problem and one solution of it as what the sandbox runs."""

from __future__ import annotations

import functools
import symtable
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from sandbox.verdict import Program, Test


def candidate(problem: Mapping[str, Any], source: str, key: str) -> Program:
    """`source` with the tests of `problem`, a row of `problems` or a task; `key` comes back in the result."""
    tests = tuple(Test(**test) for test in problem["tests"])
    kind: Literal["function", "stdio"] = "stdio" if problem["kind"] == "stdio" else "function"
    entry_point, setup, reference = problem["entry_point"] or "", problem["setup"], problem["reference_solution"]
    required: tuple[str, ...] = ()
    if reference and kind == "function":
        required = required_names(reference, setup, tuple(test.code for test in tests), entry_point)
    return Program(source, kind, tests, entry_point, setup, key, required)


@functools.lru_cache(maxsize=1024)
def required_names(reference: str, setup: str, tests: tuple[str, ...], entry_point: str) -> tuple[str, ...]:
    """The names that `tests` take from the program besides its entry point: those that `reference` defines for them.

    MBPP/601's tests make objects of a class `Pair`. A program without it has failed, as a program of any harness has
    that runs both in one module; a name that not even the reference defines is missing from the tests.
    """
    try:
        given = _bound(_table(reference))
        tables = [_table(text) for text in (setup, *tests)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    read = {name for table in tables for name in _read(table)}
    return tuple(sorted((given & read).difference([entry_point], *map(_bound, tables))))


def _table(source: str) -> symtable.SymbolTable:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return symtable.symtable(source, "<tests>", "exec")


def _bound(module: symtable.SymbolTable) -> set[str]:
    return {one.get_name() for one in module.get_symbols() if one.is_assigned() or one.is_imported()}


def _read(table: symtable.SymbolTable) -> Iterator[str]:
    """The names that it, or a function in it, reads from the module or from beyond."""
    at_top = table.get_type() == "module"
    yield from (one.get_name() for one in table.get_symbols() if one.is_referenced() and (at_top or one.is_global()))
    for inner in table.get_children():
        yield from _read(inner)

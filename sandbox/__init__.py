"""Runs programs nobody trusts and says what they did, exactly. Standard library only.

Threat model
============
The program is hostile: a model wrote it, nobody read it, and reward pushes it towards whatever passes. It may try to
read what it should not (expected values, files, the host), reach out (sockets, processes, signals), stay (in the next
program's process), exhaust (time, memory, output) or lie (about its own verdict).

Covered, and by which wall
--------------------------
* The language layer (`policy`, `translate`, `guards`, `modules`, `runtime`): what a program may say. Unknown syntax,
  names, attributes, special methods and modules are refused before it runs, or, where only the running program shows
  it, when it happens; a refusal cannot be caught. Loop turns and function entries are counted exactly, the same on
  every machine. Output is capped, chance and time repeat themselves. This layer is policy, determinism and clear
  errors. It is not the boundary: assume that it can be broken.
* The operating-system layer (`harden`, `worker`, `pool`): the boundary. See its own docstrings for the walls, and
  `pairwright doctor` for which of them stand on this machine.
* The separated judge (`judge`, `codec`, `wire`): expected values never enter the program's process, and nothing that
  it sends is believed to be more than a value.

Not covered
-----------
* Bugs of CPython's C code that run before a wall is asked, and the kernel's own.
* Side channels between processes of one machine (timing, caches), and a program's use of the limits it was given.
* In one process (`fast` mode), a program may leave attributes on functions of the library, and entries in its caches.
* A module that a recipe allows besides the listed ones is handed out whole: then only the operating system stands.

How it was shown: `tests/test_sandbox_escapes.py` has a program for every class of attack, with the rule that stops it;
`tests/test_sandbox_differential.py` compares translated programs with plain CPython; the walls of the operating system
are tested with the language layer switched off.

From Python: `execute(source, stdin)` runs one program and keeps what it printed; `run_many(programs)` judges many.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.execution import Execution, execute
    from sandbox.pool import run_many
    from sandbox.slot import HardeningError
    from sandbox.verdict import NO_EVIDENCE, STATUSES, Limits, Program, Result, Test, TestResult

__all__ = [
    "NO_EVIDENCE",
    "STATUSES",
    "Execution",
    "HardeningError",
    "Limits",
    "Program",
    "Result",
    "Test",
    "TestResult",
    "execute",
    "run_many",
]


def __getattr__(name: str) -> Any:
    """The public names, fetched when asked for: the confined processes import this package too, and must stay small."""
    if name not in __all__:
        raise AttributeError(f"module 'sandbox' has no attribute {name!r}")
    import importlib

    places = {"execute": "execution", "Execution": "execution", "run_many": "pool", "HardeningError": "slot"}
    return getattr(importlib.import_module(f"sandbox.{places.get(name, 'verdict')}"), name)

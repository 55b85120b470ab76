"""Runs programs nobody trusts and says what they did, exactly. Standard library only.

Threat model
============
The program is hostile: a model wrote it, nobody read it, and reward pushes it towards whatever passes. It may try to
read what it should not (expected values, files, the host), reach out (sockets, processes, signals), stay (in the next
program's process), exhaust (time, memory, output) or lie (about its own verdict).

Covered, by which wall, and the tests that show it to hold
----------------------------------------------------------
* The language layer (`policy`, `translate`, `guards`, `modules`, `runtime`): what a program may say. Unknown syntax,
  names, attributes, special methods and modules are refused before it runs, or, where only the running program shows
  it, when it happens; a refusal cannot be caught. Loop turns and function entries are counted exactly, the same on
  every machine and on Python 3.11 to 3.13. Output is capped; chance, hashes of strings and the time (in UTC, a tenth
  of a microsecond a step, one to read it, besides what is slept) repeat themselves. This layer is policy, determinism
  and clear errors. It is not the boundary: assume that it can be broken; readers of its source have broken it before.
  `tests/test_sandbox_escapes.py` and `test_sandbox_attacks.py` hold a program for every class of attack, with the rule
  that stops it; `test_sandbox_differential.py` and `test_sandbox_pythons.py` that it changes nothing else.
* The operating-system layer (`harden`, `syscalls`, `worker`, `pool`): the boundary. A uid of its own (when started by
  root), no new privileges, no files and no TCP (Landlock), forty harmless system calls (seccomp), limits of memory,
  CPU, processes and descriptors, an empty environment, a deadline and SIGKILL from outside. On Linux nothing runs
  unless every wall stands (`require_hardening`); `pairwright doctor` says which do, and a run that was told to go on
  without says so too. `test_sandbox_walls.py` tries files, sockets, processes, signals and other processes' memory
  with the language layer switched off, and takes a wall away; `test_sandbox_syscalls.py` runs the filter for both
  architectures and compares the numbers with the kernel's; `test_sandbox_pool.py` exhausts, forges and kills.
  `tests/on_aarch64.sh` runs them, and more, on an arm64 kernel.
* The separated judge (`judge`, `remote`, `handles`, `codec`, `shared`, `wire`): tests and expected values never enter
  the program's process, frames carry a nonce of the program's own, and what comes back is believed to be no more than a
  value of an exact built-in type. The judge itself is confined, since data sets are not ours either; one that tests
  have changed judges no other program. `test_sandbox_judge.py`, `test_sandbox_codec.py` and `test_sandbox_attacks.py`
  lie to it.

Not covered
-----------
* Bugs of CPython's C code and of the kernel behind the system calls that are left.
* Side channels between processes of one machine (timing, caches), and a program's use of the limits it was given.
* Who runs as another user than root shares that uid with the sandbox's processes; files and system calls are closed to
  them all the same. On macOS there is neither Landlock nor seccomp: only limits, and only when told to go on.
* A test that evaluates an answer (`eval(f(x))`) lets the program judge itself. It is judged alone for that, by a judge
  that judges no other after it.
* Tests are believed. They cannot leave the judge's walls, and what they set by mistake is seen or set anew; but one
  judge holds the tests of several problems, and hostile ones could decide over programs of the others. Judge a data
  set whose tests you do not trust in a run of its own.
* Lists, dictionaries and the like that a test and the program both hold are two, kept alike at every call (`shared`):
  up to some thousands of items of what both still hold. What is more than that is a copy, and so is what a test puts
  things into that cannot cross; a test that looks for what becomes of it judges a copy.
* Tests are not hidden from a program that guesses them: it sees the arguments it is called with. A function that a test
  hands in goes with the variables of the test's that it uses, and with what is in these.
* A program can always choose to be no evidence: one line that is refused is enough. `refused`, `killed` and
  `infra_error` count as not solved in an evaluation, make no pair, and are left out of `pairwright judge`'s pass@k,
  which says how many they were.
* In `fast` mode hundreds of programs share one process, and no wall stands between them: where a program may be out to
  harm another, `isolated` is the mode. What we know of is seen to. Only programs of functions and plain classes share a
  process (`policy.SHARED`), what such a one can change is put back, finalizers run before the next one starts, and what
  a dying process says for a later program is not believed. A process in which one object more is left than there was
  before the program, of those that the garbage collector knows, and so of all that hold others or have code, runs no
  other, nor does one that kept over 128 MB. A number or a text that it gives a function of the library as an attribute
  stays there, to be read by the next one; and whoever breaks out of the language layer has the programs after him in
  his hands, until the process is replaced. A sample is judged again in isolation, and a difference reported.
* Programs are handed over in chunks: who breaks out of the language layer may read, in his copy of the zygote's memory,
  the sources of those that come after him. Their channels and their tests are out of his reach.
* A module that a recipe allows besides the listed ones is handed out whole: then only the operating system stands.
  numpy, for one, leads to the real `os` (by `numpy.testing`) and to any memory of the program's process (by its
  strides): its programs may break their own step count, clock and output limit.
  `test_sandbox_attacks.py` takes that way and finds no file and no process behind it.
* Repeatable are outcome and count of steps, but for what hangs on addresses: `id()`, and the order of a set of objects
  that have no hash of their own. In `fast` mode a recursion through Python code of the library's (a sort by Fractions,
  say) may get a level deeper before its RecursionError where that code has run often before.

From Python: `execute(source, stdin)` runs one program and keeps what it printed; `run_many(programs)` judges many.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.execution import Execution, execute
    from sandbox.pool import run_many
    from sandbox.process import HardeningError
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

    places = {"execute": "execution", "Execution": "execution", "run_many": "pool", "HardeningError": "process"}
    return getattr(importlib.import_module(f"sandbox.{places.get(name, 'verdict')}"), name)

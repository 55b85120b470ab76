"""Programs in, endings out, under whatever interpreter runs this: so that two Pythons can be compared.

    python tests/count_steps.py < programs.jsonl

A line in is {"source", "stdin"}, a line out is [status, steps, stdout], as `tests.untrusted.run` has it.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.untrusted import run  # noqa: E402

STEPS = 3_000_000


def endings(programs: Iterable[dict[str, str]]) -> Iterator[tuple[str, int, str]]:
    for program in programs:
        ending = run(program["source"], program.get("stdin", ""), steps=STEPS)
        yield ending.status, ending.steps, ending.stdout


if __name__ == "__main__":
    for found in endings(map(json.loads, sys.stdin)):
        print(json.dumps(found))

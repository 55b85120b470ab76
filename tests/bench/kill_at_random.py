"""kill -9 at random moments of builds that run from the page: in the end the same digest.

    python tests/bench/kill_at_random.py [KILLS] [SEED]             server, runner or run; scripted answers
    python tests/bench/kill_at_random.py [KILLS] [SEED] --cluster   those, a Ray node, or a real vLLM server

Every build is killed at once or more often, retried as the button Retry does, and held against the same recipe built
undisturbed. Prints what was killed when and how the run ended; exits with 1 when a digest differs.

With `--cluster` programs run on a Ray cluster of two nodes, and the embedded model is asked for them through vLLM's own
server; whoever of these was killed is started again. The server takes one sequence at a time: what a batch holds
decides the last bits of a log-probability, and with them a digest.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))
import ray_nodes
import vllm_server
from curation import manifest
from flows.build import build
from flows.config import Recipe
from serving import ENDED, SCRIPTED, Served, serving

SECTIONS = {"problems": {"source": "builtin", "limit": 24, "shard_size": 2}, "generate": SCRIPTED | {"n": 12}}
OURS = ("flows.ui_server", "flows.ui_runner", "run")
AT_ONCE = 4  # kills of one build, at most

Kill = Callable[[], None]


def main(kills: int, seed: int, cluster: bool) -> int:
    """Kill so often, and say how it went."""
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        sections: dict[str, Any] = SECTIONS
        others: dict[str, Kill] = {}
        answers: Callable[[], object] = int  # without one there is nothing to wait for
        if cluster:
            options = ("--max-model-len", "1024", "--max-num-seqs", "1", "--no-enable-prefix-caching")
            server = stack.enter_context(vllm_server.serving(Path(folder) / "vllm.log", *options))
            answers = server.wait
            node, address = stack.enter_context(ray())
            others = {"vLLM server": server.restart, "Ray node": node}
            sections = over_a_cluster(server.url, address)
        served = stack.enter_context(serving(Path(folder) / "data"))
        done = number = different = 0
        while done < kills:
            number += 1
            name = f"build-{number}"
            run = served.start("build-dataset", dataset=name, **sections)
            struck = disturb(served, run, name, dice, kills - done, others)
            done += struck
            sealed = digest(manifest.open_version(served.root, name))
            answers()  # the model's server may have been killed when it had nothing to do any more
            alone = digest(build(Recipe.model_validate({"dataset": name, **sections}), Path(folder) / "alone")[0])
            different += sealed != alone
            verdict = "the same digest" if sealed == alone else "ANOTHER DIGEST"
            attempts = served.run(run)["run_count"]
            print(f"{name}: Completed after {struck} kills, attempt {attempts}, {verdict}", flush=True)
        print(f"{done} kills in {number} builds, {different} with another digest")
    return int(different > 0)


def disturb(served: Served, run: str, name: str, dice: random.Random, kills: int, others: dict[str, Kill]) -> int:
    """Kill at most so often while a run goes on, retry what ended otherwise, until it is complete; how often."""
    struck = 0
    while patiently(served, run)["state_name"] != "Completed":
        if struck < min(kills, AT_ONCE):
            time.sleep(dice.uniform(0, 30 if others else 9))
            what = dice.choice([*OURS, *others, *others])
            if strike(served, run, what, others):
                struck += 1
                print(f"{name}: kill {struck}, {what}, run was {patiently(served, run)['state_name']}", flush=True)
        state = patiently(served, run)
        if state["state_type"] in ENDED and state["state_name"] != "Completed":
            print(f"{name}: {state['state_name']} ({state['state']['message']}), retried", flush=True)
            served.retry(run)
        time.sleep(0.5)
    return struck


def strike(served: Served, run: str, what: str, others: dict[str, Kill]) -> bool:
    """kill -9 of a process of ours, of the run's own, or of what it works with; whether there was one to kill."""
    try:
        if what != "run" and what not in others:
            os.kill(served.process_of(what), signal.SIGKILL)
            return True
        found = patiently(served, run)
        pid = found["labels"].get("pairwright.pid")
        if pid is None or found["state_type"] != "RUNNING":
            return False
        if what in others:
            others[what]()
        else:
            os.kill(int(pid), signal.SIGKILL)
        return True
    except (StopIteration, ProcessLookupError):
        return False  # it is being started again


def over_a_cluster(url: str, address: str) -> dict[str, Any]:
    """The sections of a recipe that asks vLLM's server and runs programs on the Ray cluster."""
    return {
        "problems": {"source": "builtin", "limit": 8, "shard_size": 2},
        "generate": {
            "sampler": "openai",
            "model": vllm_server.NAME,
            "base_urls": [url],
            "n": 2,
            "max_tokens": 48,
            "retries": 1,
        },
        "runner": {"kind": "ray", "address": address},
    }


@contextmanager
def ray() -> Iterator[tuple[Kill, str]]:
    """A Ray cluster of a head and two nodes: how to kill one of these, whose place another takes, and its address."""
    os.environ.update(ray_nodes.ENVIRONMENT)
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    ray_nodes.add_node(cluster, 0)
    nodes = [ray_nodes.add_node(cluster, 1) for _ in range(2)]

    def strike() -> None:
        cluster.remove_node(nodes.pop(0), allow_graceful=False)
        nodes.append(ray_nodes.add_node(cluster, 1))

    try:
        yield strike, cluster.address
    finally:
        cluster.shutdown()


def patiently(served: Served, run: str) -> dict[str, Any]:
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kills", type=int, nargs="?", default=20)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    parser.add_argument("--cluster", action="store_true")
    given = parser.parse_args()
    sys.exit(main(given.kills, given.seed, given.cluster))

"""What it costs to sample and to run programs at once: against the longer of the two, and against the stages alone.

    python tests/bench/bench_overlap.py server     a server that answers after a while, as one on other machines does
    python tests/bench/bench_overlap.py model      the embedded model in vLLM on this machine's own cores
        --problems 32 --n 4                        of fewer programs: five minutes, not half an hour
        --apart                                    the model on one core and all else on the others, as with a GPU
    python tests/bench/bench_overlap.py shards     200 shards: the stages alone, as a build, as a flow run of Prefect

`server` and `model` print seconds of wall clock and of processor for sampling alone, running alone, and both at once,
their ratio to the longer, and how long the sampler lay idle between shards. At the end the last shard's programs run
while nothing is sampled, so with few shards the ratio is above 1. Where sampling and running share the cores, as with
`model`, both at once cannot take less than their processor time over the number of cores. `shards` prints what a build,
and a flow run on the server at PREFECT_API_URL, cost beside their stages.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
MBPP = ROOT / "../shared/data/mbpp/mbpp.jsonl"

from curation import store  # noqa: E402
from curation.execute import Execution, execute_completions  # noqa: E402
from curation.generate import generate_completions, sampler_for  # noqa: E402
from curation.problems import ProblemSource, load_problems  # noqa: E402
from curation.samplers import Answers, Done, Request, ScriptedSampler, nobody  # noqa: E402
from curation.sampling import Sampling  # noqa: E402
from flows import overlap  # noqa: E402
from flows.build import build  # noqa: E402
from flows.calling import plain  # noqa: E402
from flows.config import Recipe, parse  # noqa: E402
from flows.stages import STAGES  # noqa: E402

TITLES = ("sample", "run")


class Server(ThreadingHTTPServer):
    """Answers every request after `seconds`, with made-up programs for the problem that it finds in the prompt."""

    daemon_threads = True

    def __init__(self, seconds: float, problems: Sequence[dict[str, Any]], n: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seconds, self.url = seconds, f"http://127.0.0.1:{self.server_port}/v1"
        scripted = ScriptedSampler(Sampling(sampler="scripted", n=n))
        answers = scripted.sample([Request(problem, None) for problem in problems], 0)  # type: ignore[arg-type]
        self.texts = {problem["prompt"]: one for problem, one in zip(problems, answers, strict=True)}


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][-1]["content"]
        time.sleep(self.server.seconds)
        answers = next(one for prompt, one in self.server.texts.items() if prompt.strip() in asked)
        choices = [
            {"index": index, "message": {"content": sample.text}, "finish_reason": "stop"}
            for index, sample in enumerate(answers.samples)
        ]
        content = json.dumps({"choices": choices}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        """Nobody reads it."""


class Timed:
    """A sampler that notes when it was at work."""

    def __init__(self, sampler: Any) -> None:
        self.sampler, self.at_once, self.work = sampler, sampler.at_once, list[tuple[float, float]]()
        self.model, self.program, self.close = sampler.model, sampler.program, sampler.close

    def sample(self, requests: Sequence[Request], seed: int, on_done: Done = nobody) -> list[Answers]:
        begun = time.monotonic()
        try:
            return list(self.sampler.sample(requests, seed, on_done))
        finally:
            self.work.append((begun, time.monotonic()))

    def idle(self) -> float:
        """Seconds between the first call and the last in which none was under way."""
        idle, until = 0.0, min(begun for begun, _ in self.work)
        for begun, ended in sorted(self.work):
            idle += max(0.0, begun - until)
            until = max(until, ended)
        return idle


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of wall clock and of processor, those of processes that ended meanwhile included."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)

    def cpu() -> float:
        return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, who))

    wall, before = time.monotonic(), cpu()
    work()
    return time.monotonic() - wall, cpu() - before


def copy_of(dataset: Path, name: str, *tables: str) -> Path:
    folder = dataset.with_name(name)
    for table in tables:
        shutil.copytree(dataset / table, folder / table)
    return folder


@contextmanager
def on(cores: set[int]) -> Iterator[None]:
    """What is started meanwhile stays on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def overlapped(dataset: Path, sampling: Sampling, model_cores: set[int]) -> None:
    """Sampling alone, running alone, both at once; a model is loaded and warmed before the clock starts."""
    rows: dict[str, tuple[float, float]] = {}
    apart, together = copy_of(dataset, "apart", "problems"), copy_of(dataset, "together", "problems")
    with closing(sampler_for(dataset, sampling)) as opened:
        warm = copy_of(dataset, "warm", "problems")
        for shard in store.plan(warm)[1:]:
            store.write(warm, "completions", [], shard)
        with on(model_cores):  # the model is loaded by the first call
            generate_completions(warm, sampling, sampler=opened)
        alone = Timed(opened)
        rows["sampling alone"] = measured(partial(generate_completions, apart, sampling, sampler=alone))
        rows["running alone"] = measured(partial(execute_completions, apart, Execution()))
        both = Timed(opened)
        both.close = lambda: None  # it is ours to close
        overlap.sampler_for = lambda *_: both  # type: ignore[assignment]
        run = partial(overlap.sample_and_run, plain, TITLES, together, sampling, Execution())
        rows["both at once"] = measured(run)
    longer = max(rows[name][0] for name in ("sampling alone", "running alone"))
    cores = len(os.sched_getaffinity(0))
    print(f"{len(store.plan(dataset))} shards, {store.read(apart, 'executions').num_rows} programs, {cores} cores")
    for name, (wall, cpu) in rows.items():
        print(f"  {name:<16} {wall:7.1f} s wall {cpu:7.1f} s processor")
    print(f"  both at once / the longer: {rows['both at once'][0] / longer:.3f}")
    print(f"  the sampler idle between shards: alone {alone.idle():.2f} s, beside the sandbox {both.idle():.2f} s")


def stages_alone(recipe: Recipe, folder: Path) -> None:
    for stage in STAGES:
        stage.run(folder, getattr(recipe, stage.section))


def shards(folder: Path) -> None:
    """200 shards of MBPP: what a build, and a flow run, cost beside their stages."""
    content = {
        "dataset": "bench",
        "problems": {"source": "mbpp", "path": str(MBPP), "limit": 800, "shard_size": 4},
        "generate": {"sampler": "scripted", "n": 4},
        "pairs": {"strategy": "all_pairs"},
    }
    recipe = parse(content, "bench")
    file = folder / "bench.json"
    file.write_text(json.dumps(content))
    command = [sys.executable, "-m", "flows.cli", "build", str(file)]
    alone = measured(partial(stages_alone, recipe, folder / "alone"))
    built = measured(partial(build, recipe, folder / "built"))
    print(f"{len(store.plan(folder / 'alone'))} shards, {store.read(folder / 'alone', 'executions').num_rows} programs")
    print(f"  the stages alone, one after the other   {alone[0]:7.1f} s wall {alone[1]:7.1f} s processor")
    print(f"  a build, with its checks and its seal   {built[0]:7.1f} s wall {built[1]:7.1f} s processor")
    if "PREFECT_API_URL" not in os.environ:
        print("  as a flow run: set PREFECT_API_URL to a running server")
        return
    for title, server in (("a command without Prefect", "off"), ("the command as a flow run", "auto")):
        told = [*command, "--root", str(folder / server), "--server", server]
        wall, cpu = measured(partial(subprocess.run, told, cwd=ROOT, check=True, capture_output=True))
        print(f"  {title:<39} {wall:7.1f} s wall {cpu:7.1f} s processor")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("server", "model", "shards"), default="server")
    parser.add_argument("--problems", type=int, default=96)
    parser.add_argument("--shard-size", type=int, default=4)
    parser.add_argument("--n", type=int, default=8)
    parser.add_argument("--apart", action="store_true", help="give the model one core to itself")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long the server takes to answer")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pairwright-bench-") as name:
        folder = Path(name)
        if options.what == "shards":
            return shards(folder)
        dataset = folder / "problems"
        load_problems(dataset, ProblemSource(source="humaneval", limit=options.problems, shard_size=options.shard_size))
        if options.what == "model":
            cores = os.sched_getaffinity(0)
            of_model = {min(cores)} if options.apart else cores
            sampling = Sampling(n=options.n, max_tokens=96, stop=("\n```\n",))
            with on(cores - of_model or cores):
                return overlapped(dataset, sampling, of_model)
        with Server(options.seconds, store.read(dataset, "problems").to_pylist(), options.n) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            asked = {"sampler": "openai", "model": "m", "base_urls": (server.url,), "concurrency": 8}
            overlapped(dataset, Sampling.model_validate(asked | {"n": options.n}), os.sched_getaffinity(0))
            server.shutdown()


if __name__ == "__main__":
    main()

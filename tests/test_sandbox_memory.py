"""The zygote's heap in huge pages: it lies together, it is still the same heap, and what follows can be given back."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.slot import Settings, Slot
from sandbox.verdict import Program, Test

HOME = str(Path(__file__).resolve().parent.parent)
SCRIPT = """
import sys; sys.path.append({home!r})
from sandbox import memory
heap = memory.gather_heap()
import json
def figure(name, file):
    with open(file) as lines:
        return sum(int(line.split()[1]) for line in lines if line.startswith(name + ":")) * 1024
def heap_size():
    with open("/proc/self/maps") as maps:
        spans = [line.split()[0].split("-") for line in maps if line.endswith("[heap]\\n")]
    return sum(int(high, 16) - int(low, 16) for low, high in spans)
kept = [[number] * 3 for number in range(30_000)]
gathered = heap_size()
memory.scatter_heap(heap)
more = [[number] * 3 for number in range(30_000)]
scattered = heap_size()
moved = memory.into_huge_pages()
huge = figure("AnonHugePages", "/proc/self/smaps_rollup")
right = kept == more == [[number] * 3 for number in range(30_000)]
full = figure("VmRSS", "/proc/self/status")
del more
print(json.dumps(dict(gathered=gathered, scattered=scattered, moved=moved, huge=huge, right=right,
                      given_back=full - figure("VmRSS", "/proc/self/status"), known=heap is not None)))
"""


@pytest.fixture(scope="module")
def figures() -> dict[str, int]:
    if sys.platform != "linux":
        pytest.skip("huge pages are asked for on Linux only")
    command = [sys.executable, "-I", "-S", "-c", SCRIPT.format(home=HOME)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    found: dict[str, int] = json.loads(run.stdout)
    if not found["known"]:
        pytest.skip("the C library is not glibc")
    return found


def test_arenas_come_from_the_heap_until_it_is_scattered(figures: dict[str, int]) -> None:
    assert figures["gathered"] > 3 << 20  # 30,000 lists of three
    assert figures["scattered"] < figures["gathered"] + (1 << 20)


def test_the_heap_moves_into_huge_pages_and_holds_what_it_held(figures: dict[str, int]) -> None:
    assert figures["right"]
    if not figures["moved"]:
        pytest.skip("this kernel gives no huge pages")
    assert figures["moved"] % (2 << 20) == 0
    assert figures["huge"] >= figures["moved"] >= 4 << 20


def test_what_was_allocated_afterwards_is_given_back(figures: dict[str, int]) -> None:
    assert figures["given_back"] > 1 << 20


def test_a_program_still_gets_and_gives_back_memory() -> None:
    """In a child of the zygote: 30 times 40 MB in small objects would not fit 300 MB if they stayed."""
    source = "def f():\n    for _ in range(30):\n        held = [[n] for n in range(400_000)]\n    return len(held)\n"
    slot = Slot(Settings())
    try:
        result = slot.judge(Program(source, "function", (Test("assert f() == 400_000"),), "f"))
    finally:
        slot.close()
    assert (result.status, result.error_message) == ("passed", None)
    assert result.peak_kb < 300_000

"""Clocks that tests read, and their `sleep`: the same as the program's."""

from typing import Any

import pytest

from sandbox.pool import run_many
from sandbox.verdict import Program, Test
from tests.one_process import LIMITS

SOURCE = '''
import asyncio
import functools
import time

def f(seconds):
    time.sleep(seconds)
    return time.time()
async def nap(seconds, times=1):
    for _ in range(times):
        await asyncio.sleep(seconds)
def timed(g):
    @functools.wraps(g)
    def wrapper(*args):
        start = time.perf_counter()
        found = g(*args)
        wrapper.last = time.perf_counter() - start
        return found
    return wrapper
async def napped(seconds):
    start = asyncio.get_running_loop().time(), time.time()
    await asyncio.sleep(seconds)
    return min(asyncio.get_running_loop().time() - start[0], time.time() - start[1])
def slept(seconds, clock):
    start = getattr(time, clock)()
    time.sleep(seconds)
    return getattr(time, clock)() - start
class Event:
    def __init__(self): self.at = time.time()
class Cache:
    """Forgets what is older than `ttl` seconds."""
    def __init__(self, ttl): self.ttl, self.kept = ttl, {}
    def put(self, key, value): self.kept[key] = value, time.monotonic()
    def get(self, key):
        value, at = self.kept.get(key, (None, 0))
        return value if time.monotonic() - at < self.ttl else None
'''
LASTS = "import time\nstart = time.{0}()\n{1}\ntaken = time.{0}() - start\nassert {2}"
# To sleep takes none of our time, so that what is slept can be much longer than any machine takes for the rest.
RIGHT = [
    "assert all(slept(n / 100, clock) >= n / 100 for n in range(1, 8) for clock in ('time', 'monotonic'))",
    "import asyncio\nassert all(asyncio.run(napped(n / 100)) >= n / 100 for n in range(1, 8))",
    "import time\nfirst = Event()\ntime.sleep(0.01)\nassert Event().at - first.at >= 0.01",
    *(LASTS.format(clock, "f(500)", "500 <= taken < 900") for clock in ("time", "monotonic", "perf_counter")),
    LASTS.format("perf_counter", "f(0)", "taken < 400"),
    LASTS.format("perf_counter_ns", "f(500)", "taken >= 500_000_000_000"),
    LASTS.format("time_ns", "f(500)", "taken >= 500_000_000_000"),
    LASTS.format("time", "import asyncio\nasyncio.run(nap(200, 3))", "600 <= taken < 900"),
    "import time\nbefore = time.time()\nat = f(0.01)\nassert before <= at <= time.time()",
    "import time\nc = Cache(500)\nc.put('a', 1)\nassert c.get('a') == 1\ntime.sleep(501)\nassert c.get('a') is None",
    "import time\n@timed\ndef g():\n    time.sleep(300)\n    return 3\nassert g() == 3 and g.last >= 300",
    "import time\nuntil = time.time() + 0.01\nwhile time.time() < until: pass\nassert f(0) >= until",
    "import time\ntry: time.sleep(-1)\nexcept ValueError: f(0)\nelse: assert False",
    "import asyncio\nasync def main():\n    clock = asyncio.get_running_loop()\n    start = clock.time()\n"
    "    await asyncio.sleep(300)\n    await nap(300)\n    assert 600 <= clock.time() - start < 900\n"
    "asyncio.run(main())",
    "import asyncio, time\nasync def main():\n    start = time.time()\n    await asyncio.gather(nap(500), nap(500))\n"
    "    assert 500 <= time.time() - start < 900\nasyncio.run(main())",
    "import asyncio, time\nasync def own(): await nap(500)\nasync def main():\n    start = time.time()\n"
    "    await asyncio.gather(own(), own())\n    assert 500 <= time.time() - start < 900\nasyncio.run(main())",
    "import asyncio, time\nasync def main():\n    start = time.time()\n    time.sleep(300)\n    await nap(300)\n"
    "    await asyncio.sleep(300)\n    assert time.time() - start >= 900\nasyncio.run(main())",
    "import asyncio\nasync def main():\n    c = Cache(500)\n    c.put('a', 1)\n    assert c.get('a') == 1\n"
    "    await asyncio.sleep(600)\n    assert c.get('a') is None\nasyncio.run(main())",
    "import asyncio\nasync def main():\n    other = asyncio.create_task(nap(3000))\n    await asyncio.sleep(0)\n"
    "    c = Cache(500)\n    c.put('a', 1)\n    await asyncio.sleep(1000)\n    assert c.get('a') is None\n"
    "    await other\nasyncio.run(main())",
    "import asyncio, time\nasync def own():\n    await asyncio.sleep(500)\n    await nap(500)\nasync def main():\n"
    "    start = time.time()\n    await asyncio.gather(own(), nap(500))\n    assert time.time() - start >= 1000\n"
    "asyncio.run(main())",
    "import asyncio\ndone = []\nasync def own(x):\n    await asyncio.sleep(200)\n    await nap(200)\n"
    "    done.append(x)\nasync def short():\n    await nap(300)\n    done.append(0)\n"
    "async def main(): await asyncio.gather(own(1), own(2), short())\nasyncio.run(main())\nassert done == [0, 1, 2]",
]
WRONG = [
    "assert slept(0.01, 'time') < 0.01",
    LASTS.format("monotonic", "f(500)", "taken < 400"),
    LASTS.format("time", "import asyncio\nasyncio.run(nap(200, 3))", "taken < 500"),
    "import time\nc = Cache(500)\nc.put('a', 1)\ntime.sleep(600)\nassert c.get('a') == 1",
]


@pytest.mark.parametrize("mode", ["isolated", "fast"])
def test_clocks_are_those_of_the_program(mode: Any) -> None:
    programs = [Program(SOURCE, "function", (Test(test),), "f", key=test) for test in RIGHT + WRONG]
    found = {result.key: result.status for result in run_many(programs, limits=LIMITS, mode=mode)}
    assert found == dict.fromkeys(RIGHT, "passed") | dict.fromkeys(WRONG, "wrong")


@pytest.mark.parametrize(
    "test",
    [
        "import datetime\nassert f(0) and datetime.date.today().year == 1",
        "import warnings\nwith warnings.catch_warnings(record=True) as found:\n    f(0)\nassert found",
    ],
)
def test_what_only_the_program_s_process_tells_is_no_evidence(test: str) -> None:
    (result,) = run_many([Program(SOURCE, "function", (Test(test),), "f")], limits=LIMITS, workers=1)
    assert result.status == "infra_error" and "of its own" in str(result.error_message)

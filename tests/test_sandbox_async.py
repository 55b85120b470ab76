"""Tests of coroutines: awaited in the judge, run in the program, judged as asyncio does it in one process."""

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.pool import run_many
from sandbox.verdict import Program, Test
from tests.one_process import LIMITS, assert_judged_alike
from tests.untrusted import run


@pytest.fixture(autouse=True)
def _collects_what_cpython_left() -> Iterator[None]:
    """Or its tasks log their exceptions in the midst of somebody's ast.parse(), which then fails (3.11)."""
    yield
    gc.collect()


SOURCE = """
import asyncio
from collections import deque

order = []

async def f(x, delay=0.0):
    order.append(('begin', x))
    await asyncio.sleep(delay)
    order.append(('end', x))
    if x == 'bad':
        raise ValueError('bad', x)
    return [x, x]

async def counts(n):
    for i in range(n):
        await asyncio.sleep(0)
        yield i

class Room:
    def __init__(self):
        self.log, self.waiting = [], deque()
        self.queue = asyncio.Queue()
    async def __aenter__(self):
        self.log.append('in')
        return self
    async def __aexit__(self, kind, error, trace):
        self.log.append('out')
    def __aiter__(self):
        self.n = 0
        return self
    async def __anext__(self):
        self.n += 1
        if self.n > 3:
            raise StopAsyncIteration
        return self.n
    async def put(self, x):
        await self.queue.put(x)
    async def get(self, timeout=None):
        return await asyncio.wait_for(self.queue.get(), timeout)

class Later:
    def __await__(self):
        yield from asyncio.sleep(0).__await__()
        return 5

async def polls(r):
    while not r.log: await asyncio.sleep(0)
    return r.log

def plain(x): return x
def room(): return Room()
def later(): return Later()
"""
# Each is the body of `async def main()`, which is run; some begin with what stands outside.
BODIES = [
    "assert await f(2) == [2, 2]",
    "assert await f(2) == [2, 3]",
    "x = f(1)\nassert await x == [1, 1]",
    "assert await asyncio.gather(f(1), f(2)) == [[1, 1], [2, 2]]",
    "await asyncio.gather(f(1, 0.2), f(2, 0.1))\nassert order == [('begin', 1), ('begin', 2), ('end', 2), ('end', 1)]",
    "await asyncio.gather(f(1, 0.2), f(2, 0.1))\nassert order == [('begin', 1), ('end', 1), ('begin', 2), ('end', 2)]",
    "await f(1, 0.2)\nawait f(2, 0.1)\nassert order == [('begin', 1), ('end', 1), ('begin', 2), ('end', 2)]",
    "one, two = await asyncio.gather(f('bad'), f(2), return_exceptions=True)\n"
    "assert type(one) is ValueError and one.args == ('bad', 'bad') and two == [2, 2]",
    "try:\n    await asyncio.gather(f('bad'), f(2))\nexcept ValueError as error:\n    assert error.args[1] == 'bad'\n"
    "else:\n    assert False",
    "try:\n    await f('bad')\nexcept ValueError:\n    return\nassert False",
    "await f('bad')",
    "assert [x async for x in counts(3)] == [0, 1, 2]",
    "assert [x async for x in counts(3)] == [0, 1]",
    "found = []\nasync for x in counts(3):\n    found.append(x)\n    if x == 1: break\nassert found == [0, 1]",
    "it = counts(1)\nassert await it.__anext__() == 0\ntry: await it.__anext__()\nexcept StopAsyncIteration: return\n"
    "assert False",
    "async with room() as r:\n    r.log.append('body')\nassert r.log == ['in', 'body', 'out']",
    "r = room()\ntry:\n    async with r:\n        raise KeyError\nexcept KeyError:\n    assert r.log == ['in', 'out']",
    "async with room() as r:\n    pass\nassert r.log == ['in']",
    "assert [x async for x in room()] == [1, 2, 3]",
    "r = room()\nawait r.put(7)\ntask = asyncio.create_task(r.get())\nawait asyncio.sleep(0)\nassert task.done()",
    "r = room()\ngot, none = await asyncio.gather(r.get(), r.put(7))\nassert got == 7 and none is None",
    "r = room()\ntask = asyncio.create_task(r.get())\nawait r.put(8)\nassert await task == 8 and task.done()",
    "r = room()\ntask = asyncio.create_task(r.get())\nassert await asyncio.gather(task, r.put(7)) == [7, None]",
    "task = asyncio.create_task(f(3))\nassert order == []\nawait asyncio.sleep(0)\nassert order == [('begin', 3)]\n"
    "await asyncio.sleep(0.1)\nassert order[1:] == [('end', 3)] and task.done()",
    "tasks = [asyncio.create_task(f(1, 0.3)), asyncio.create_task(f(2, 0.1))]\nawait asyncio.sleep(0.2)\n"
    "assert order[2:] == [('end', 2)]\nawait tasks[0]\nassert order[3:] == [('end', 1)]",
    "task = asyncio.create_task(f(3, 0.01))\nwhile not task.done(): await asyncio.sleep(0)\n"
    "assert await task == [3, 3]",
    "r = room()\ntask = asyncio.create_task(polls(r))\nawait asyncio.sleep(0.01)\nr.log.append(1)\n"
    "assert await task == [1]",
    "try:\n    await asyncio.wait_for(polls(room()), 0.01)\nexcept asyncio.TimeoutError: return\nassert False",
    "r = room()\ntasks = [asyncio.create_task(one) for one in (polls(r), f(1, 0.01))]\nawait tasks[1]\n"
    "assert not tasks[0].done()",
    "ended = []\nasync def own():\n    await asyncio.sleep(0.01)\n    ended.append(1)\n"
    "task = asyncio.create_task(own())\nwhile not ended: await asyncio.sleep(0)",
    "task = asyncio.create_task(f(3))\nassert not task.done()\nassert await task == task.result() == [3, 3]",
    "tasks = [asyncio.create_task(f(i)) for i in range(2)]\nassert await asyncio.gather(*tasks) == [[0, 0], [1, 1]]",
    "try:\n    await asyncio.wait_for(f(1, 0.5), timeout=0.1)\nexcept asyncio.TimeoutError:\n    return\nassert False",
    "assert await asyncio.wait_for(f(1, 0.5), timeout=1) == [1, 1]",
    "assert await asyncio.wait_for(f(1, 0.5), timeout=None) == [1, 2]",
    "assert await later() == 5",
    "it = aiter(room())\nassert await anext(it) == 1 and await anext(it) == 2 and await anext(it, 9) == 3",
    "assert asyncio.iscoroutinefunction(f) and not asyncio.iscoroutinefunction(plain)",
    "assert asyncio.iscoroutinefunction(plain)",
    "x = f(1)\nassert asyncio.iscoroutine(x)\nawait x",
    "async def own(x):\n    await asyncio.sleep(0)\n    return (await f(x))[0] + 1\n"
    "assert await asyncio.gather(own(1), own(2), f(3)) == [2, 3, [3, 3]]",
    "seen = []\nasync def own(x, delay):\n    await asyncio.sleep(delay)\n    seen.append(x)\n"
    "await asyncio.gather(own(1, 0.2), own(2, 0.1))\nassert seen == [2, 1]",
    "lock = asyncio.Lock()\nasync def own(x):\n    async with lock:\n        return await f(x)\n"
    "assert await asyncio.gather(own(1), own(2)) == [[1, 1], [2, 2]]",
    "a = await f(1)\nb = await f(2)\na.append(b)\nassert a == [1, 1, [2, 2]]",
    "async def own(): return 7\nassert await asyncio.wait_for(own(), 1) == 7",
    "async def own():\n    await asyncio.sleep(1)\n    return 7\nassert await asyncio.wait_for(own(), None) == 7",
    "async def own(): return 7\ntask = asyncio.create_task(own())\nassert await task == 7 and task.result() == 7",
    "task = asyncio.create_task(f(1, 0.5))\nawait asyncio.sleep(0.1)\nassert task.cancel() and not task.done()\n"
    "try: await task\nexcept asyncio.CancelledError:\n    assert task.cancelled() and order == [('begin', 1)]\n"
    "else: assert False",
    "async def own(): return await f(1, 0.5)\ntask = asyncio.create_task(own(), name='own')\nawait asyncio.sleep(0.1)\n"
    "assert task.cancel() and task.get_name() == 'own'\ntry: await task\nexcept asyncio.CancelledError: pass\n"
    "assert task.cancelled() and order == [('begin', 1)]\nawait asyncio.sleep(0.9)\nassert len(order) == 1",
    "try: await asyncio.wait_for(f(1, 0.5), 0.1)\nexcept asyncio.TimeoutError: pass\nelse: assert False\n"
    "await asyncio.sleep(0.9)\nassert order == [('begin', 1)]",
    "try:\n    async with asyncio.timeout(0.1): await f(1, 0.5)\nexcept TimeoutError: pass\nelse: assert False\n"
    "await asyncio.sleep(0.9)\nassert order == [('begin', 1)]",
    "try: await asyncio.gather(f(1, 0.5), f('bad', 0.1))\nexcept ValueError: assert len(order) == 3\nelse: assert 0",
    "async def own(x, delay):\n    await asyncio.sleep(delay)\n    return x\n"
    "done, left = await asyncio.wait([asyncio.create_task(own(x, x / 10)) for x in (2, 1)], timeout=0.15)\n"
    "assert [task.result() for task in done] == [1] and len(left) == 1\n"
    "assert [await one for one in asyncio.as_completed([own(3, 0.3), own(1, 0.1), f(2, 9)][:2])] == [1, 3]",
    "loop = asyncio.get_running_loop()\nready = loop.create_future()\nloop.call_later(1, ready.set_result, 7)\n"
    "seen = []\nready.add_done_callback(lambda one: seen.append(one.result()))\nassert await ready == 7\n"
    "await asyncio.sleep(0)\nassert seen == [7]",
    "async def own(): return 7\nassert asyncio.iscoroutinefunction(own) and not asyncio.iscoroutinefunction(len)",
]


def tests() -> list[str]:
    found = []
    for body in BODIES:
        inner = "\n".join(f"    {line}" for line in body.split("\n"))
        found.append(f"import asyncio\nasync def main():\n{inner}\nasyncio.run(main())")
    return [
        *found,
        "import asyncio\nassert asyncio.run(f(2)) == [2, 2]",
        "from asyncio import run\nassert run(f(2)) == [2, 3]",
        "assert asyncio.run(f(2)) == [2, 2]",
        "import asyncio\nloop = asyncio.new_event_loop()\nassert loop.run_until_complete(f(4)) == [4, 4]\nloop.close()",
        "import asyncio\nloop = asyncio.new_event_loop()\nasyncio.set_event_loop(loop)\n"
        "assert loop.run_until_complete(asyncio.gather(f(1), f(2))) == [[1, 1], [2, 2]]",
        "import asyncio\ndef check(g):\n    for x in range(5): assert asyncio.run(g(x)) == [x, x]\ncheck(candidate)",
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", ["isolated", "fast"])
def test_coroutines_are_judged_as_in_one_process(mode: Any) -> None:
    assert_judged_alike([(SOURCE, test) for test in tests()], mode)
    asyncio.set_event_loop(None)


@pytest.mark.parametrize(
    "test, status, reason",
    [
        ("asyncio.TaskGroup()", "infra_error", "asyncio.TaskGroup, which the judge has not"),
        ("from asyncio import Barrier", "infra_error", "asyncio.Barrier, which the judge has not"),
        ("asyncio.new_event_loop().create_task(asyncio.sleep(1)).get_stack()", "infra_error", "get_stack"),
        (
            "async def main():\n    await asyncio.wait([asyncio.create_task(f(1))])\nasyncio.run(main())",
            "infra_error",
            "asyncio.wait of what the program gave",
        ),
        ("asyncio.run(plain(2))", "wrong", "a coroutine was expected"),
        ("async def main():\n    await plain(plain)\nasyncio.run(main())", "exception", "awaitable"),
        ("async def main():\n    await asyncio.Event().wait()\nasyncio.run(main())", "wrong", "waits for another one"),
        ("async def main():\n    await room().get()\nasyncio.run(main())", "refused", "waits for another one"),
        ("async def main():\n    async with room(): raise KeyError\nasyncio.run(main())", "wrong", "KeyError"),
    ],
)  # fmt: skip
def test_what_of_asyncio_is_not_there_is_said(test: str, status: str, reason: str) -> None:
    program = Program(SOURCE, "function", (Test(f"plain(1)\nimport asyncio\n{test}"),), "f")
    (result,) = run_many([program], limits=LIMITS, workers=1)
    assert result.status == status and reason in str(result.error_message), result


def test_what_one_program_s_tests_left_in_the_loop_is_gone_for_the_next() -> None:
    leaves = (
        "import asyncio\nasync def late():\n    raise SystemExit\n"
        "asyncio.run(asyncio.sleep(3))\nasync def main():\n    asyncio.create_task(f(1))\nasyncio.run(main())\n"
        "async def sleeps():\n    await asyncio.sleep(0.5)\n    raise SystemExit\n"
        "loop = asyncio.new_event_loop()\nloop.create_task(sleeps())\nloop.run_until_complete(asyncio.sleep(0.1))\n"
        "loop.create_task(late())\nassert plain(1) == 1"
    )
    after = "import asyncio\nasync def main():\n    await asyncio.sleep(1)\n    return await f(1)\n" + (
        "assert asyncio.new_event_loop().run_until_complete(main()) == [1, 1]\n"
        "assert 1 <= asyncio.get_event_loop().time() < 1.5"
    )
    programs = [Program(SOURCE, "function", (Test(test),), "f") for test in (leaves, after)]
    assert [result.status for result in run_many(programs, limits=LIMITS, workers=1)] == ["passed", "passed"]


TOGETHER = """
import asyncio

class Server:
    def __init__(self): self.log = []
    async def serve(self):
        try:
            while True:
                self.log.append('tick')
                await asyncio.sleep(1)
        except asyncio.CancelledError:
            self.log.append('cancelled')
            raise
        finally:
            await asyncio.sleep(0.1)
            self.log.append('closed')
    async def start(self): self.task = asyncio.create_task(self.serve())
    async def stop(self):
        self.task.cancel()
        try: await self.task
        except asyncio.CancelledError: return True

class Catches:
    log = []
    async def __aenter__(self): return self
    async def __aexit__(self, kind, error, trace):
        self.log.append((kind, type(error) is kind))
        return kind is asyncio.CancelledError

class Sees:
    log = []
    def __enter__(self): return self
    def __exit__(self, kind, error, trace): self.log.append(kind.__name__)

async def cancelled(): raise asyncio.CancelledError('own')
async def name(): return asyncio.current_task().get_name()
async def starts(count):
    for _ in range(count): asyncio.create_task(asyncio.sleep(1))
    await asyncio.sleep(1)

class Pool:
    def __init__(self, size):
        self.free = asyncio.Semaphore(size)
    async def acquire(self): await self.free.acquire()
    def release(self): self.free.release()

class Hasty(Pool):
    async def acquire(self): await asyncio.sleep(0)
    def release(self): pass

class Account:
    def __init__(self): self.left = 100
    async def take(self, amount):
        if self.left >= amount:
            await asyncio.sleep(0)
            self.left -= amount
            return True
        return False

class Channel:
    def __init__(self): self.items = asyncio.Queue(1)
    async def send(self, item): await self.items.put(item)
    async def receive(self): return await self.items.get()

async def f(log, name, delay):
    log.append(('begin', name))
    await asyncio.sleep(delay)
    log.append(('end', name))
    if name == 'bad':
        raise ValueError(name)
    return name

async def ticks(count, delay):
    for tick in range(count):
        await asyncio.sleep(delay)
        yield tick
"""

POOLED = """
pool, used, most = {kind}(2), 0, 0
async def user():
    nonlocal used, most
    await pool.acquire()
    used += 1
    most = max(most, used)
    await asyncio.sleep(0.01)
    used -= 1
    pool.release()
await asyncio.gather(*[user() for _ in range(6)])
assert most == 2
"""

TOGETHER_BODIES = [
    POOLED.format(kind="Pool"),
    POOLED.format(kind="Hasty"),
    "account = Account()\nasync def take(): return await account.take(80)\n"
    "assert await asyncio.gather(take(), take()) == [True, False]",
    "channel, got = Channel(), []\nasync def send():\n    for one in (1, 2, 3, None): await channel.send(one)\n"
    "async def receive():\n    while (one := await channel.receive()) is not None: got.append(one)\n"
    "await asyncio.gather(receive(), send())\nassert got == [1, 2, 3]",
    "channel = Channel()\nasync def receive(): return await channel.receive()\n"
    "task = asyncio.create_task(receive())\nawait asyncio.sleep(0)\nassert not task.done()\n"
    "await channel.send(5)\nassert await task == 5",
    "log = []\nasync def own():\n    log.append('own')\n    await asyncio.sleep(0.015)\n    log.append('late')\n"
    "await asyncio.gather(f(log, 1, 0.02), own(), f(log, 2, 0.01))\n"
    "assert log == [('begin', 1), 'own', ('begin', 2), ('end', 2), 'late', ('end', 1)]",
    "async def own(delay): return await f([], 1, delay)\nassert await asyncio.wait_for(own(0.02), 5) == 1\n"
    "try:\n    await asyncio.wait_for(own(0.5), 0.02)\nexcept asyncio.TimeoutError:\n    return\nassert False",
    "async def own(name): return await f([], name, 0.1)\n"
    "one, two = await asyncio.gather(own('bad'), own(2), return_exceptions=True)\n"
    "assert isinstance(one, ValueError) and two == 2",
    "log = []\nasync def own(name, delay):\n    async for tick in ticks(3, delay): log.append((name, tick))\n"
    "await asyncio.gather(own('a', 0.02), own('b', 0.05))\n"
    "assert log == [('a', 0), ('a', 1), ('b', 0), ('a', 2), ('b', 1), ('b', 2)]",
    "log = []\ntask = asyncio.create_task(f(log, 1, 0.05))\nasync def own(): await f(log, 2, 0.02)\n"
    "await asyncio.gather(own(), own())\nassert not task.done()\nawait asyncio.sleep(0.04)\nassert task.done()",
    "log = []\nasync def at_once(): log.append(1)\n"
    "task = asyncio.create_task(f(log, 1, 0.05))\nawait asyncio.gather(at_once(), at_once())\n"
    "assert log == [('begin', 1), 1, 1]",
    "log = []\nboth = asyncio.gather(f(log, 1, 0.01), f(log, 2, 0.02))\nasync def at_once(): log.append(1)\n"
    "await at_once()\nassert log == [1]\nawait asyncio.sleep(0)\nawait asyncio.sleep(0)\n"
    "assert len(log) == 3\nawait both",
    "log = []\nroom = Pool(1)\ntask = asyncio.create_task(room.acquire())\n"
    "async def own(): await Pool(1).acquire()\nawait asyncio.gather(own(), own())\nassert not task.done()",
    "now = asyncio.get_running_loop().time\nbegin = now()\nasync def own(): await f([], 1, 0.1)\n"
    "await asyncio.gather(own(), own(), own())\nassert 0.09 < now() - begin < 0.25",
]


TOGETHER_BODIES += [
    "try: await cancelled()\nexcept asyncio.CancelledError as error: assert error.args == ('own',)\nelse: assert 0",
    "try: await cancelled()\nexcept Exception: assert 0\nexcept BaseException: return\nassert 0",
    "task = asyncio.create_task(cancelled())\nawait asyncio.sleep(0.1)\nassert task.cancelled()",
    "one, two = await asyncio.gather(cancelled(), f([], 2, 0), return_exceptions=True)\n"
    "assert isinstance(one, asyncio.CancelledError) and two == 2",
    "task = asyncio.create_task(name(), name='its')\nassert task.get_name() == await task == 'its'",
    "task = asyncio.create_task(name(), name='its')\nassert await task == 'other'",
    "async with Catches():\n    raise asyncio.CancelledError\nassert Catches.log == [(asyncio.CancelledError, True)]",
    "async with Catches():\n    raise asyncio.CancelledError\nassert Catches.log == [(ValueError, True)]",
    "async def inner():\n    async with Catches(): await asyncio.sleep(5)\n    return 7\n"
    "task = asyncio.create_task(inner())\nawait asyncio.sleep(0.01)\ntask.cancel()\nassert await task == 7",
    "async def inner():\n    with Sees(): await asyncio.sleep(5)\n"
    "task = asyncio.create_task(inner())\nawait asyncio.sleep(0.01)\ntask.cancel()\n"
    "try: await task\nexcept asyncio.CancelledError: assert Sees.log == ['CancelledError']\nelse: assert 0",
]
LEFT = [
    "import asyncio\nserver = Server()\nasyncio.run(server.start())\nassert server.log == {}",
    "import asyncio\nserver = Server()\nasync def main():\n    await server.start()\n    await asyncio.sleep(1.5)\n"
    "asyncio.run(main())\nassert server.log == ['tick', 'tick', 'cancelled', 'closed']",
    "import asyncio\nserver = Server()\nasync def main():\n    await server.start()\n    await asyncio.sleep(0.5)\n"
    "    assert await server.stop()\nasyncio.run(main())\nassert server.log == ['tick', 'cancelled', 'closed']",
    "import asyncio\nasync def own(): await asyncio.sleep(0)\nasync def main():\n    await starts(4)\n"
    "    await asyncio.gather(own(), own())\nasyncio.run(main())",
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", ["isolated", "fast"])
def test_tasks_of_the_program_s_that_are_left_are_cancelled(mode: Any) -> None:
    empty = [LEFT[0].format(log) for log in ("[]", "['tick', 'cancelled', 'closed']")]
    assert_judged_alike([(TOGETHER, test) for test in (*empty, *LEFT[1:])], mode)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", ["isolated", "fast"])
def test_coroutines_of_tests_and_programs_go_on_in_turn(mode: Any) -> None:
    cases = []
    for body in TOGETHER_BODIES:
        inner = "\n".join(f"    {line}" for line in body.strip().split("\n"))
        cases.append((TOGETHER, f"import asyncio\nasync def main():\n{inner}\nasyncio.run(main())"))
    assert_judged_alike(cases, mode)
    asyncio.set_event_loop(None)


PLAIN = """
import asyncio

log = []

def f(): pass
def spawn(name): return asyncio.create_task(steps(name))
def nested(): return asyncio.run(steps('nested'))

class Debounced:
    def __init__(self, wait, function): self.wait, self.function, self.handle = wait, function, None
    def __call__(self, *args):
        if self.handle is not None: self.handle.cancel()
        self.handle = asyncio.get_running_loop().call_later(self.wait, self.function, *args)

class Server:
    @property
    def task(self): return asyncio.create_task(steps('server'))

async def steps(name):
    for step in range(2):
        log.append((name, step))
        await asyncio.sleep(0)

async def counts(waits):
    try:
        for i in range(5): yield i
    finally:
        if waits: await asyncio.sleep(0.01)
        log.append('closed')

async def slow(name, cleanup=0.0, error=None):
    try: await asyncio.sleep(5)
    except asyncio.CancelledError:
        await asyncio.sleep(cleanup)
        log.append(name)
        if error: raise error
        raise
"""
PLAIN_BODIES = [
    "one, two = spawn('a'), spawn('b')\nawait one\nawait two\nassert log == [('a', 0), ('b', 0), ('a', 1), ('b', 1)]",
    "spawn('a')\nawait asyncio.sleep(0)\nassert log == [('a', 0)]",
    "spawn('a')\nawait asyncio.sleep(0)\nassert log == []",
    "Server().task\nawait asyncio.sleep(0.1)\nassert len(log) == 2",
    "got = []\nlater = Debounced(0.1, got.append)\nlater(1)\nlater(2)\nawait asyncio.sleep(0.05)\nlater(3)\n"
    "await asyncio.sleep(0.2)\nassert got == [3]",
    "order = []\nasync def own():\n    for i in range(2):\n        order.append((i, len(log)))\n"
    "        await asyncio.sleep(0)\n"
    "mine = asyncio.create_task(own())\ntask = spawn('a')\nawait mine\nawait task\nassert order == [(0, 0), (1, 1)]",
    "try: nested()\nexcept RuntimeError: return\nassert 0",
    # A generator that is not finished.
    "async for i in counts(True): break\nlog.append('after')\nawait asyncio.sleep(0.1)\n"
    "assert log == ['after', 'closed']",
    "async for i in counts(False): break\nlog.append('after')\nawait asyncio.sleep(0.1)\n"
    "assert log == ['after', 'closed']",
    "async def own():\n    try:\n        async for i in counts(True): yield i\n"
    "    finally:\n        await asyncio.sleep(0)\n        log.append('own')\n"
    "async for i in own(): break\nawait asyncio.sleep(0.1)\nassert log == ['own', 'closed']",
    # What is gathered and cancelled.
    "try: await asyncio.wait_for(asyncio.gather(slow('a'), slow('b', 1)), 0.1)\nexcept asyncio.TimeoutError: pass\n"
    "assert log == ['a']",
    "try: await asyncio.wait_for(asyncio.gather(slow('a', 0, ValueError()), slow('b', 1)), 0.1)\n"
    "except ValueError: assert log == ['a']\nelse: assert 0",
    "group = asyncio.gather(slow('a'), slow('b', 1), return_exceptions=True)\nawait asyncio.sleep(0.1)\n"
    "assert group.cancel()\ntry: await group\nexcept asyncio.CancelledError: assert log == ['a', 'b']\nelse: assert 0",
]
PLAIN_TESTS = [
    "import asyncio\nasync def main(): spawn('a')\nasyncio.run(main())\nassert log == [('a', 0)]",
    "import asyncio\ntry: spawn('a')\nexcept RuntimeError: pass\nelse: assert 0",
    "import asyncio\nasync def main(): spawn('a')\nasyncio.run(main())\n"
    "try: spawn('b')\nexcept RuntimeError: pass\nelse: assert 0",
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", ["isolated", "fast"])
def test_what_is_no_coroutine_runs_in_the_tests_loop_too(mode: Any) -> None:
    cases = [(PLAIN, test) for test in PLAIN_TESTS]
    for body in PLAIN_BODIES:
        inner = "\n".join(f"    {line}" for line in body.split("\n"))
        cases.append((PLAIN, f"import asyncio\nasync def main():\n{inner}\nasyncio.run(main())"))
    assert_judged_alike(cases, mode)


def test_programs_that_never_go_on_end() -> None:
    source = (
        "import asyncio\nasync def spins():\n    while True: await asyncio.sleep(0)\n"
        "async def waits(): await asyncio.Event().wait()\n"
        "async def sleeps(): await asyncio.sleep(float('inf'))\n"
        "async def leaves():\n    await asyncio.sleep(0)\n    raise SystemExit"
    )
    test = (
        "import asyncio\nasync def own(): await {0}()\nasync def main(): await asyncio.gather(own(), own())\n"
        "asyncio.run(main())"
    )
    programs = [
        Program(source, "function", (Test(test.format(name)),), name, key=name)
        for name in ("spins", "waits", "sleeps", "leaves")
    ]
    found = {result.key: result.status for result in run_many(programs, limits=LIMITS)}
    assert found.pop("spins") in ("step_limit", "time_limit")  # whichever comes first
    assert found == {"waits": "wrong", "sleeps": "wrong", "leaves": "exception"}


def test_no_method_of_a_future_s_hands_out_the_loop() -> None:
    """It leads to the world, and so round the language layer."""
    source = """
import asyncio
class Any:
    def __init_subclass__(cls): pass
    def __getattr__(self, name):
        print(name)
        return lambda *args: print(*(type(arg).__name__ for arg in args))
    def __setattr__(self, name, value): print(name, type(value).__name__)
class Own(Any): pass
async def nothing(): pass
async def main():
    task = asyncio.create_task(nothing())
    late = type(asyncio.timeout(1))
    kinds = (asyncio.Future, asyncio.Task, asyncio.TaskGroup, late, asyncio.Event, asyncio.Queue, asyncio.TimerHandle)
    for kind in (*kinds, type(asyncio.gather(nothing()))):
        for name in "__init__ done result cancel add_done_callback when reschedule set qsize".split():
            for args in ((), (1,), (print,)):
                try: getattr(kind, name)(Any(), *args)
                except (AttributeError, TypeError, asyncio.InvalidStateError): pass
    task.add_done_callback(Any())
    class Waits:
        def __await__(self): yield Own()
    for late in (Waits(), Own()):
        try: await asyncio.wait_for(late, 0.1)
        except (TypeError, asyncio.TimeoutError): pass
    asyncio.gather(Own(), Any())
try: asyncio.run(main())
except (AttributeError, TypeError, RuntimeError): pass
"""
    ending = run(source)
    assert "_sandbox_done bool" in ending.stdout and "Loop" not in ending.stdout, ending


@pytest.mark.parametrize("bases", ["asyncio.Future", "asyncio.Task", "Silent, asyncio.Future", "asyncio.Future[int]"])
def test_no_class_is_derived_from_a_future_s(bases: str) -> None:
    silent = "import asyncio\nclass Silent:\n    def __init_subclass__(cls): pass\n"
    for text in (f"class Own({bases}): pass", f"type('Own', ({bases},), {{}})"):
        assert run(silent + text).message.startswith("a class may not be derived from "), text


def test_many_coroutines_that_wait_for_the_program_cost_no_operation_each_at_every_turn() -> None:
    test = (
        "import asyncio\nasync def own(i): return await f([], i, i * 0.01)\nasync def main():\n"
        "    assert await asyncio.gather(*map(own, range(400))) == list(range(400))\nasyncio.run(main())"
    )
    (result,) = run_many([Program(TOGETHER, "function", (Test(test),), "f")], limits=LIMITS)
    assert result.status == "passed", result

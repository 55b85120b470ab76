"""Functions that tests hand in, with the variables of theirs that they use: as in one process."""

from typing import Any

import pytest

from sandbox.pool import run_many
from sandbox.verdict import Program, Test
from tests.one_process import LIMITS, assert_judged_alike

SOURCE = '''
import functools

def f(g):
    """A decorator that remembers."""
    memo = {}
    @functools.wraps(g)
    def wrapper(*args):
        if args not in memo:
            memo[args] = g(*args)
        return memo[args]
    wrapper.memo = memo
    return wrapper

class Bus:
    def __init__(self): self.hooks = {}
    def on(self, name, hook): self.hooks.setdefault(name, []).append(hook)
    def off(self, name, hook): self.hooks[name].remove(hook)
    def emit(self, name, *args): return [hook(*args) for hook in self.hooks.get(name, [])]

def retry(times):
    def decorate(g):
        def wrapper(*args):
            for left in reversed(range(times)):
                try:
                    return g(*args)
                except ValueError:
                    if not left: raise
        return wrapper
    return decorate

class Down(Exception):
    def __init__(self, text, code=1):
        super().__init__(text)
        self.code = code

events = []
total = 0
def spend(n):
    global total
    total += n

def bus(): return Bus()
def call(g, *args): return g(*args)
def twice(g, x): return g(g(x))
def apply(gs, x): return [g(x) for g in gs]
'''
TESTS = """
calls = []
@f
def g(x):
    calls.append(x)
    return x * 2
assert g(2) == 4 and g(2) == 4 and g(3) == 6
assert calls == [2, 3]
---
calls = []
@f
def g(x):
    calls.append(x)
    return x * 2
g(2), g(2)
assert calls == [2, 2]
---
@f
def g(x): return x * 2
assert g(4) == 8 and g.__name__ == 'g'
---
log = []
b = bus()
b.on('x', lambda v: log.append(v))
b.on('x', log.append) if False else None
b.emit('x', 1)
b.emit('y', 2)
b.emit('x', 3)
assert log == [1, 3]
---
log = []
b = bus()
b.on('x', lambda v: log.append(v))
b.emit('x', 1)
assert log == []
---
def test():
    log = []
    def hook(v): log.append(v + 1)
    b = bus()
    b.on('x', hook)
    b.emit('x', 1)
    b.off('x', hook)
    b.emit('x', 5)
    assert log == [2]
test()
---
count = 0
def g():
    global count
    count += 1
    return count
assert call(g) == 1 and call(g) == 2 and count == 2
---
count = 0
def g():
    global count
    count += 1
call(g)
assert count == 0
---
def test():
    count = 0
    def g(n):
        nonlocal count
        count += n
        return count
    assert call(g, 2) == 2 and call(g, 3) == 5 and count == 5
    count = 10
    assert call(g, 1) == 11
test()
---
tries = []
@retry(3)
def g(x):
    tries.append(x)
    if len(tries) < 3: raise ValueError(x)
    return 'done'
assert g(7) == 'done' and tries == [7, 7, 7]
---
tries = 0
@retry(2)
def g():
    global tries
    tries += 1
    raise ValueError('no')
try:
    g()
except ValueError as e:
    assert tries == 2 and str(e) == 'no'
else:
    assert False
---
k = 3
assert call(lambda x: x + k, 1) == 4
k = 5
assert call(lambda x: x + k, 1) == 6
---
k = 3
g = lambda x: x + k
b = bus()
b.on('a', g)
assert b.emit('a', 1) == [4]
k = 5
assert b.emit('a', 1) == [6]
---
k = 3
g = lambda x: x + k
b = bus()
b.on('a', g)
k = 5
assert b.emit('a', 1) == [4]
---
def add(n): return lambda x: x + n
assert apply([add(1), add(2)], 10) == [11, 12]
---
gs = [lambda x, n=n: x * n for n in range(3)]
assert apply(gs, 5) == [0, 5, 10]
---
gs = [lambda x: x * n for n in range(3)]
assert apply(gs, 5) == [10, 10, 10]
---
def helper(x): return x + 1
def g(x): return helper(x) * 2
assert call(g, 3) == 8 and twice(g, 1) == 10
---
def even(n): return n == 0 or odd(n - 1)
def odd(n): return n != 0 and even(n - 1)
assert call(even, 6) and not call(odd, 6)
---
def fact(n): return 1 if n < 2 else n * fact(n - 1)
assert call(fact, 5) == 120
---
def test():
    def fact(n): return 1 if n < 2 else n * fact(n - 1)
    assert call(fact, 5) == 120
test()
---
seen = {}
def g(k, v):
    for seen[k] in [v]: pass
    return len(seen)
assert call(g, 'a', 1) == 1 and seen == {'a': 1}
---
total = 0
def g(xs):
    global total
    for total in xs: pass
    return total
assert call(g, [1, 2]) == 2 and total == 2
---
a, b = 1, 2
def g():
    global a, b
    a, b = b, a
call(g)
assert (a, b) == (2, 1)
---
config = {'k': [1]}
def g(): return [x + y for x in config['k'] for y in range(2)]
assert call(g) == [1, 2]
config['k'].append(5)
assert call(g) == [1, 2, 5, 6]
---
import math
r = 2
assert call(lambda: round(math.pi * r ** 2, 2)) == 12.57
---
len = lambda x: 42
assert call(lambda x: len(x), 'a') == 42
---
b = bus()
assert b.emit('x') == []
b.on('x', lambda: b.on('y', lambda: 7))
b.emit('x')
assert b.emit('y') == [7]
---
def g(x): return candidate
assert call(g, 1) is not None
---
count = 0
@candidate
def fib(n):
    global count
    count += 1
    return n if n < 2 else fib(n - 1) + fib(n - 2)
assert fib(30) == 832040 and count == len(fib.memo) == 31
---
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
fib = f(fib)
assert fib(30) == 832040 and len(fib.memo) == 31
---
fib = f(lambda n: n if n < 2 else fib(n - 1) + fib(n - 2))
assert fib(30) == 832040 and len(fib.memo) == 31
---
def test():
    def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
    fib = f(fib)
    assert fib(30) == 832040 and len(fib.memo) == 31
test()
---
def slow(n): return n if n < 2 else fast(n - 1) + fast(n - 2)
fast = f(slow)
assert fast(30) == 832040 and len(fast.memo) == 31
---
@f
def even(n): return n == 0 or odd(n - 1)
@f
def odd(n): return n != 0 and even(n - 1)
assert even(6) and len(even.memo) == 4 and len(odd.memo) == 3
---
@f
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
assert fib(4) == 3 and len(fib.memo) == 4
---
def g():
    raise Down('no', code=3)
try: call(g)
except Down as e: assert e.code == 3 and str(e) == 'no'
else: assert False
---
def g():
    try: raise Down('no', 5)
    except Down as e: return e.code
assert call(g) == 5
---
call(lambda: events.append(1))
assert events == [1] and call(lambda: len(events)) == 1
---
def g(n):
    spend(n)
    return total
assert call(g, 2) == 2 and call(g, 3) == 5
---
def test():
    k = 4
    def g(n): return [call(abs, -k) for _ in range(n)]
    assert call(g, 2) == [4, 4]
test()
---
assert isinstance(call(lambda: Bus()), Bus)
---
call(lambda: events.append(1))
assert events == []
---
import math
def test():
    k = 2
    log = []
    def g(x):
        log.append(math.floor(x * k))
        return math.ceil(x * k)
    assert call(g, 1.2) == 3 and log == [2]
test()
---
import asyncio
@f
async def g(x):
    "Waits."
    await asyncio.sleep(0)
    return x + 1
assert g.__name__ == 'g' and g.__doc__ == 'Waits.' and asyncio.run(g(1)) == 2
---
import asyncio
async def main():
    got = []
    async def hook(x):
        await asyncio.sleep(0)
        got.append(x)
        return -x
    b = bus()
    b.on('x', hook)
    assert await asyncio.gather(*b.emit('x', 1), *b.emit('x', 2)) == [-1, -2] and got == [1, 2]
asyncio.run(main())
---
import asyncio
async def main():
    got = []
    async def hook(x): got.append(x)
    await call(hook, 1)
    assert got == []
asyncio.run(main())
---
import asyncio
async def g(n):
    for i in range(n):
        await asyncio.sleep(0)
        yield i
async def main(): return [x async for x in call(g, 3)]
assert asyncio.run(main()) == [0, 1, 2]
---
log = []
b = bus()
b.on('x', log.append)
b.emit('x', 1)
b.off('x', log.append)
b.emit('x', 2)
assert log == [1] and call(log.append, 3) is None and log == [1, 3]
---
log = []
call(log.append, 1)
assert log == []
---
sizes = {'a': 2, 'b': 1}
assert call(sizes.get, 'a') == 2
sizes['a'] = 3
assert call(sizes.get, 'a') == 3 and call(sizes.get, 'c') is None
---
from collections import deque
seen, last = set(), deque()
apply([seen.add, last.appendleft], 1), apply([seen.add, last.appendleft], 2)
assert seen == {1, 2} and last == deque([2, 1])
---
from operator import itemgetter
assert call(itemgetter(1), 'abc') == 'b' and call(itemgetter('a', 'b'), {'a': 1, 'b': 2}) == (1, 2)
---
from functools import reduce
log = []
def g(x, y):
    log.append((x, y))
    return x + y
assert call(g, 1, 2) == 3 and log == [(1, 2)]
---
import random
assert 0 <= call(lambda: random.random()) < 1
---
def helper(x): return x + 1
def g(x): return (lambda y: helper(y))(x)
assert call(g, 3) == 4
---
one, two = (lambda: (lambda: 1)()), (lambda: (lambda: 2)())
assert call(two) == 2
---
k = 1
assert call(lambda x: (y := x + k) + y, 1) == 4
---
k = 1
def g():
    n = k
    def more():
        nonlocal n
        n += k
    more()
    return n
assert call(g) == 2
---
k = 3
b = bus()
b.on('a', lambda: k)
assert b.emit('a') == [3]
del k
try: b.emit('a')
except Exception: pass
else: assert False
---
def test():
    b = bus()
    b.on('a', lambda: k)
    try: b.emit('a')
    except Exception: pass
    else: assert False
    k = 3
    assert b.emit('a') == [3]
test()
---
def test():
    n = 0
    @(lambda g: g, call(lambda: 1))[0]
    def g():
        nonlocal n
        n += 1
    g()
    assert n == 1
test()
---
assert call(lambda *args: sum(args), 1, 2) == 3 and call((lambda x, h=None: h or x), 3) == 3
---
from fractions import Fraction
from typing import List
def g(x: List[int], *a: List[int], key: Fraction = None, **k: Fraction) -> List[int]: return x
assert call(g, [1]) == [1] and call(g, [2], [3]) == [2]
---
seed = 1.5
import math
assert call(lambda: math.floor(seed)) == 1
""".strip().split("\n---\n")


@pytest.mark.parametrize("mode", ["isolated", "fast"])
def test_functions_with_variables_are_judged_as_in_one_process(mode: Any) -> None:
    assert_judged_alike([(SOURCE, test) for test in TESTS], mode)


@pytest.mark.parametrize(
    "test",
    [
        "class T: pass\nt = T()\ncall(lambda: t)",
        "x = 1\ndef g():\n    global x\n    del x\ncall(g)",
        "x = 1\ndef g():\n    global x\n    return (x := 2)\ncall(g)",
        "x = 1\ndef g():\n    global x\n    try: 1 / 0\n    except ZeroDivisionError as x: pass\ncall(g)",
        "x = 1\ndef g(): return [x for x in (1, 2)], x\ncall(g)",
        "x = 1\ndef g():\n    global x\n    def x(): pass\ncall(g)",
        "def test():\n    x = 1\n    def g():\n        nonlocal x\n        del x\n    call(g)\ntest()",
        "def g(): return unknown_name\ncall(g)",
        "call(lambda: int.__subclasses__())",
        "variables_of_the_tests = 1\ncall(lambda: variables_of_the_tests)",
        "import token\ncall(lambda: token.NAME)",
        "from collections import Counter\ncall(Counter.most_common, Counter())",
        "def g():\n    global total\n    total = 3\ncall(g)",
        "def g(): return [events for events in (1, 2)], events\ncall(g)",
        "def g():\n    class A: pass\n    return A\ncall(g)",
    ],
)
def test_what_has_no_text_does_not_cross(test: str) -> None:
    (result,) = run_many([Program(SOURCE, "function", (Test(test),), "f")], limits=LIMITS, workers=1)
    assert result.status == "infra_error" and "cannot cross" in str(result.error_message), result


@pytest.mark.parametrize("mode", ["isolated", "fast"])
def test_the_names_of_the_program_that_a_function_is_given_are_no_way_to_the_machinery(mode: Any) -> None:
    """A program's `eval` that the function calls sees the names in it, and would find there what counts the steps."""
    start = "import itertools\nhelper = eval\ndef f(g):\n    names = g('names_of_the_program')\n"
    sources = [
        f"{start}    b = names['__builtins__']\n    b['.it'] = b['.left'] = itertools.repeat(True)\n"
        "    for i in range(10**7): pass\n    return i",
        f"{start}    return '__builtins__' in names or [n for n in names if n[0] in '._']",
        f"{start}    names['helper'] = 1\n    return [helper, names['f'] is f]",
    ]
    test = "def g(x): return helper(x)\nanswer = f(g)\nassert answer == {}, answer"
    wanted = ["9999999", "['__name__', '__doc__']", "[1, True]"]
    programs = [
        Program(source, "function", (Test(test.format(w)),), "f") for source, w in zip(sources, wanted, strict=True)
    ]
    first, *others = run_many(programs, limits=LIMITS, mode=mode)
    assert (first.status, first.tests[0].message) == ("exception", "KeyError: '__builtins__'"), first
    assert [result.status for result in others] == ["passed", "passed"], others

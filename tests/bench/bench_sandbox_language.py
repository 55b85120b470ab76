"""What the language layer costs: CPU time of translated programs against plain CPython, interleaved in one run.

    python tests/bench/bench_sandbox_language.py [REPEATS]

Twelve compute-heavy programs of different kinds; each figure is the least of the repeats, the ratio is what counts.
Also: what translation and a new world cost.
"""

import builtins
import io
import math
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sandbox.runtime import World, prepare
from sandbox.translate import translate
from sandbox.verdict import Limits

PROGRAMS: dict[str, str] = {
    "nested integer loops": """
def work(n):
    total = 0
    for i in range(n):
        for j in range(n):
            total += i * j & 7
    return total
print(work(500))
""",
    "module-level loop": """
total = 0
for i in range(150000):
    total += i % 7
    if total > 1000:
        total -= 1000
print(total)
""",
    "sieve": """
def sieve(n):
    flags = [True] * (n + 1)
    flags[0] = flags[1] = False
    i = 2
    while i * i <= n:
        if flags[i]:
            for j in range(i * i, n + 1, i):
                flags[j] = False
        i += 1
    return sum(flags)
print(sieve(300000))
""",
    "longest common subsequence": """
def lcs(a, b):
    rows = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in range(len(a)):
        for j in range(len(b)):
            if a[i] == b[j]:
                rows[i + 1][j + 1] = rows[i][j] + 1
            else:
                rows[i + 1][j + 1] = max(rows[i][j + 1], rows[i + 1][j])
    return rows[-1][-1]
print(lcs("abcde" * 60, "badce" * 60))
""",
    "counting in a dictionary": """
def count(n):
    seen = {}
    for i in range(n):
        key = i * 7919 % 1009
        seen[key] = seen.get(key, 0) + 1
    return max(seen.values())
print(count(200000))
""",
    "string building": """
def build(n):
    parts = []
    for i in range(n):
        parts.append(str(i % 10))
        if len(parts) > 500:
            parts = ["".join(parts)[-100:]]
    return len("".join(parts))
print(build(120000))
""",
    "sorting with a key": """
def work(n):
    items = [(i * 7919 % 10007, -i) for i in range(n)]
    items.sort(key=lambda item: item[1])
    items.sort(key=lambda item: item[0])
    return items[n // 2]
print(work(60000))
""",
    "recursive fibonacci": """
def fib(n):
    if n < 2:
        return n
    return fib(n - 1) + fib(n - 2)
print(fib(22))
""",
    "methods in a hot loop": """
class Counter:
    def __init__(self):
        self.value = 0
    def add(self, amount):
        self.value += amount
        return self.value
def work(n):
    counter = Counter()
    for i in range(n):
        counter.add(i & 3)
    return counter.value
print(work(200000))
""",
    "comprehensions": """
def work(n):
    total = 0
    for _ in range(10):
        squares = [i * i for i in range(n) if i % 3]
        total += sum(x & 255 for x in squares)
    return total
print(work(15000))
""",
    "while, Collatz": """
def longest(n):
    best = 0
    for start in range(1, n):
        steps, x = 0, start
        while x != 1:
            x = 3 * x + 1 if x & 1 else x >> 1
            steps += 1
        best = max(best, steps)
    return best
print(longest(3000))
""",
    "breadth-first search on a grid": """
from collections import deque
def search(n):
    grid = [[1 if i * 7 + j * 13 & 15 == 3 else 0 for j in range(n)] for i in range(n)]
    distance = {(0, 0): 0}
    queue = deque([(0, 0)])
    while queue:
        x, y = queue.popleft()
        for dx, dy in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            a, b = x + dx, y + dy
            if 0 <= a < n and 0 <= b < n and not grid[a][b] and (a, b) not in distance:
                distance[a, b] = distance[x, y] + 1
                queue.append((a, b))
    return max(distance.values())
print(search(120))
""",
    "heap of a shortest path": """
import heapq
def dijkstra(n):
    edges = {i: [((i * 17 + k * 31) % n, k + 1) for k in range(6)] for i in range(n)}
    best, heap = {0: 0}, [(0, 0)]
    while heap:
        far, node = heapq.heappop(heap)
        if far > best[node]:
            continue
        for other, weight in edges[node]:
            new = far + weight
            if new < best.get(other, 10 ** 9):
                best[other] = new
                heapq.heappush(heap, (new, other))
    return sum(best.values())
print(dijkstra(9000))
""",
    "n queens by backtracking": """
def solve(n, row=0, columns=0, up=0, down=0):
    if row == n:
        return 1
    count = 0
    free = ~(columns | up | down) & ((1 << n) - 1)
    while free:
        bit = free & -free
        free ^= bit
        count += solve(n, row + 1, columns | bit, (up | bit) << 1, (down | bit) >> 1)
    return count
print(solve(9))
""",
}


def timed(action: Callable[[], None]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def plain(source: str) -> tuple[Callable[[], None], io.StringIO]:
    code, out = compile(source, "<program>", "exec"), io.StringIO()

    def action() -> None:
        with redirect_stdout(out):
            exec(code, {"__name__": "__main__", "__builtins__": builtins})

    return action, out


def sandboxed(source: str) -> tuple[Callable[[], None], list[str]]:
    code, out = translate(source), list[str]()

    def action() -> None:
        world = World(limits=Limits(steps=10**9))
        world.run(code)
        out[:] = [world.stdout, str(world.steps)]

    return action, out


def main(repeats: int = 15) -> None:
    prepare()
    ratios = {}
    for name, source in PROGRAMS.items():
        bare, bare_out = plain(source)
        boxed, boxed_out = sandboxed(source)
        bare_times, boxed_times = [], []
        for _ in range(repeats):
            bare_times.append(timed(bare))
            boxed_times.append(timed(boxed))
        assert bare_out.getvalue() == boxed_out[0] * repeats, name
        ratios[name] = min(boxed_times) / min(bare_times)
        print(f"{name:32} plain {min(bare_times) * 1000:7.1f} ms   x {ratios[name]:.2f}   {boxed_out[1]:>9} steps")
    mean = math.exp(statistics.fmean(map(math.log, ratios.values())))
    worst = max(ratios, key=lambda name: ratios[name])
    print(f"geometric mean x {mean:.3f} (target 1.15), worst x {ratios[worst]:.2f} ({worst}; target 1.4)")
    texts = list(PROGRAMS.values()) * 5
    show("compile", timed(lambda: [compile(text, "", "exec") for text in texts] and None) / len(texts))
    show("translate", timed(lambda: [translate(text) for text in texts] and None) / len(texts))
    show("a new world", timed(lambda: [World(limits=Limits()) for _ in range(500)] and None) / 500)


def show(name: str, seconds: float) -> None:
    print(f"{name:32} {seconds * 1000:.3f} ms")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

"""Containers that a test and the program both hold change on both sides as one would in a single process.

What CPython does of the same program and the same test in one process is what is expected; nothing is written in by
hand, but for what is larger than is kept alike.
"""

import copy
import random
import socket
import threading
from array import array
from collections import ChainMap, Counter, OrderedDict, UserDict, UserList, defaultdict, deque
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox import shared
from sandbox.child import BareWorld
from sandbox.codec import Malformed, Packer, Uncrossable, Unpacker, from_bytes, numbered, to_bytes
from sandbox.handles import Entry
from sandbox.pool import run_many
from sandbox.remote import Link
from sandbox.serve import Service
from sandbox.verdict import Program, Test
from sandbox.wire import Channel
from tests.one_process import LIMITS, assert_judged_alike

KEEPS = (
    "class f:\n"
    "    def __init__(self, x): self.x = x\n"
    "    def push(self, v): self.x.append(v)\n"
    "    def get(self): return self.x\n"
    "    def sum(self): return sum(self.x)\n"
    "    def drop(self): self.x = None\n"
)
REMEMBERS = "kept = []\ndef f(x):\n    kept.append(x)\n    return kept\ndef g(): return len(kept), kept[-1]\n"

CASES = {
    "what an object does later to a list that it was given": (KEEPS, "a = []\ns = f(a)\ns.push(1)\nassert a == [1]"),
    "and not before it does": (KEEPS, "a = []\ns = f(a)\ns.push(1)\nassert a == []"),
    "what a test does later to a list that it gave": (KEEPS, "a = [1]\ns = f(a)\na.append(2)\nassert s.sum() == 3"),
    "and the object sees no more than that": (KEEPS, "a = [1]\ns = f(a)\na.append(2)\nassert s.sum() == 1"),
    "a list handed in twice is one": (
        KEEPS,
        "a = []\ns, t = f(a), f(a)\ns.push(1)\nt.push(2)\nassert s.get() is t.get() is a is s.x and a == [1, 2]",
    ),
    "an answer that the program keeps": (REMEMBERS, "out = [f(i) for i in range(3)]\nassert out == [[0, 1, 2]] * 3"),
    "is no copy of what it was": (REMEMBERS, "out = [f(i) for i in range(3)]\nassert out == [[0], [0, 1], [0, 1, 2]]"),
    "and is the same one each time": (REMEMBERS, "assert f(1) is f(2)"),
    "an answer changed by the test and not kept by it": (REMEMBERS, "f(1).clear()\nassert f(2) == [2]"),
    "a global of the program's, changed and not kept": (REMEMBERS, "f(1)\nkept.clear()\nassert f(2) == [2]"),
    "containers within containers": (
        KEEPS,
        "a = [[1], {2: [3]}]\ns = f(a)\nb = a.pop(0)\ns.push(b)\nassert a[1] is b\nb.append(4)\n"
        "a[0][2].append(5)\nassert s.get() == [{2: [3, 5]}, [1, 4]] and s.x[1] is b",
    ),
    "one that is held by another alone": (
        KEEPS,
        "s = f([[1]])\ninner = s.get()[0]\ns.push(2)\ninner.append(7)\nassert s.get() == [[1, 7], 2]\n"
        "assert s.get()[0] is inner",
    ),
    "a generator's last words": (
        "def f(a):\n    try:\n        yield 1\n    finally:\n        a.append('end')\n",
        "a = []\nit = f(a)\nassert next(it) == 1 and a == []\nassert list(it) == [] and a == ['end']",
    ),
    "a generator that is given up": (
        "def f(a):\n    try:\n        yield 1\n    finally:\n        a.append('end')\ndef g(): return 1\n",
        "a = []\nit = f(a)\nnext(it)\ndel it\ng()\nassert a == ['end']\nfor x in f(a): break\ng()\n"
        "assert a == ['end'] * 2",
    ),
    "objects that come and go": (
        "live = []\ndef lives(n):\n    live.append(n)\n    try:\n        yield\n    finally:\n        live.remove(n)\n"
        "class f:\n    def __init__(self, n): self.n, self.life = n, lives(n); next(self.life)\n"
        "    def me(self): return self\ndef g(): return len(live)\n",
        "for i in range(50): f(i).me().me()\nx = f(50)\ny = x.me()\nassert g() == 1 and x is y\ndel x\n"
        "assert g() == 1 and y.n == 50\ndel y\nassert g() == 0",
    ),
    "a function that is handed back and given up": (
        "def f(x): return x\ndef g(h): return h(3)\n",
        "h = f(g)\nassert h is g\ndel h\nassert g(f) == 3 and f(g)(f) == 3 and f(f)(f)(7) == 7 and g(f(f)) == 3",
    ),
    "an instance of a subclass stays one": (
        "class S(list): pass\nkeep = S([1])\ndef f(): return keep\ndef g(): return type(keep).__name__, sum(keep)\n",
        "a = f()\na.append(2)\nassert g() == ('S', 3) and f() is a",
    ),
    "what stays in a list stays what it is": (
        "class N(int):\n    pass\nkeep = [N(1), (2, 3), N(4)]\nfirst = list(keep)\ndef f(): return keep\n"
        "def g(): return [any(x is y for y in first) for x in keep]\n",
        "a = f()\na.append(5)\nassert g() == [True] * 3 + [False]\ndel a[1]\nassert g() == [True, True, False]",
    ),
    "what the test gives it that cannot cross": (
        KEEPS,
        "class T: pass\na = [1]\ns = f(a)\nb = []\nt = f(b)\na.append(T())\nb.append(2)\nassert t.sum() == 2",
    ),
    "what is no longer held by the program is a copy of nothing": (
        KEEPS,
        "a = [1]\ns = f(a)\ns.drop()\na.append(2)\nassert s.get() is None and f(a).sum() == 3 and a == [1, 2]",
    ),
    "after an exception": (
        "kept = []\ndef f(x):\n    kept.append(x)\n    x.append(1)\n    raise KeyError(x)\n"
        "def g(): kept[-1].append(2)\n",
        "a = []\ntry:\n    f(a)\nexcept KeyError as error:\n    assert error.args[0] is a\ng()\nassert a == [1, 2]",
    ),
    "loops over what each call changes the items of": (
        "def f(d, k): d[k] += 1\n",
        "from collections import OrderedDict, deque\n"
        "for d in ({0: 1, 1: 2}, OrderedDict({0: 1, 1: 2}), deque([1, 2]), [1, 2]):\n"
        "    for k, _ in enumerate(d): f(d, k)\n"
        "    assert list(d.values() if isinstance(d, dict) else d) == [2, 3]",
    ),
    "a generator's loop over what the test changes the items of": (
        "def f(d):\n    for k in d: yield d[k]\n",
        "from collections import OrderedDict, deque\n"
        "for d in ({0: 0, 1: 2}, OrderedDict({0: 0, 1: 2}), deque([0, 1]), [0, 1]):\n"
        "    it = f(d)\n    assert next(it) == 0\n    d[1] = 1\n    assert next(it) == 1 or type(d) in (list, deque)",
    ),
    "loops over a dict from which keys are gone": (
        "class f:\n    def __init__(self): self.d = {0: 0, 1: 1, 2: 2}\n    def add(self, k): self.d[k] += 10\n",
        "s = f()\nd = s.d\ndel d[0]\nfor k in d: s.add(k)\nassert d == {1: 11, 2: 12}",
    ),
    "a dict's keys stay what they are": (
        "keep = {(1,): 0, True: 0, 'b': 0}\nfirst = list(keep)\ndef f(): return keep\n"
        "def g(): return [x is y for x, y in zip(keep, first)], repr(keep)\n",
        "d, found = f(), []\n"
        "d[1] = 5\nfound.append(g())\nd['b'] = 6\nd['c'] = 7\nfound.append(g())\n"
        "del d[True]\nd[1] = 8\nfound.append(g())\nd.clear()\nd['x'] = 1\nfound.append((g(), repr(d)))\n"
        "assert found == {found}",
    ),
    "the last words of a generator of a function that failed": (
        "def g(x):\n    try: yield\n    finally: x.append('end')\n"
        "def h(x):\n    it = g(x)\n    next(it)\n    raise KeyError\n"
        "def f(x, how):\n    if how: h(x)\n    try: h(x)\n    except KeyError: raise ValueError\n",
        "a = []\nfor how in (0, 1):\n    try: f(a, how)\n    except (KeyError, ValueError): pass\n"
        "    assert a == ['end'] * (how + 1)",
    ),
    "every kind of container": (
        "kept = {}\ndef f(k, x): kept[k] = x\n"
        "def g():\n    kept[0].append(1); kept[1][1] = 1; kept[2].add(1); kept[3].appendleft(1); kept[4][1] += 1\n"
        "    kept[5].move_to_end(7); kept[6][1].append(1); kept[7].append(1); kept[8].append(1); kept[9].append(1)\n"
        "    kept[10]['a'] = 1; kept[11]['a'] = 1\n",
        "from array import array\nfrom collections import *\n"
        "every = [[], {}, {0}, deque([0], 3), Counter([1]), OrderedDict([(7, 8), (9, 9)]), defaultdict(list),"
        " bytearray(), array('i'), UserList(), UserDict(), ChainMap()]\n"
        "for k, x in enumerate(every): f(k, x)\nbefore = list(map(str, every))\ng()\nafter = list(map(str, every))\n"
        "for x in every[:1] + every[7:10]: x.append(2)\nevery[1][2] = every[6][2] = every[10][2] = every[11][2] = 2\n"
        "every[2].add(2); every[3].append(2); every[4][2] += 2; every[5][2] = 2\ng()\n"
        "assert [before, after, list(map(str, every))] == {found}",
    ),
    "a generator that a helper of the tests left behind, which saw another call fail": (
        "log = []\n"
        "def f():\n    try: yield 1\n    finally: log.append('ended')\n"
        "def fails(): raise ValueError\ndef seen(): return log\n",
        "def helper():\n    it = f()\n    next(it)\n    try: fails()\n    except ValueError: pass\n"
        "for _ in range(10): helper()\nassert seen() == ['ended'] * 10",
    ),
    "an object that a finalizer asks for while the garbage that held it is collected": (
        "class Node: pass\nnode = Node()\nnode.value = 3\ndef f(): return node\ndef other(): return Node()\n",
        "import gc\nfound = []\nclass Holder:\n    def __del__(self): found.append(f())\n"
        "one = Holder()\none.itself, one.node = one, f()\ndel one\ngc.collect()\nother()\n"
        "assert found[0].value == 3\nother()\nassert found[0].value == 3",
    ),
    "an iterator is its own": (
        "class f:\n    def __init__(self, n): self.n = n\n    def __iter__(self): return self\n"
        "    def __next__(self):\n        if not self.n: raise StopIteration\n"
        "        self.n -= 1\n        return self.n\n"
        "class Range:\n    def __iter__(self): return f(3)\n    def __reversed__(self): return [0, 1, 2]\n"
        "def count():\n    while True: yield 1\n",
        "it, g = f(3), count()\nassert iter(it) is it and iter(g) is g and iter(g).send(None) == 1\n"
        "it = iter(Range())\nassert isinstance(it, f) and next(it) == 2 and it.n == 2 and list(it) == [1, 0]\n"
        "assert reversed(Range()) == [0, 1, 2]",
    ),
    "a class below the one under test": (
        "class f: pass\nclass Below(f): pass\nclass Other: pass\n",
        "assert issubclass(Below, f) and issubclass(f, f) and issubclass(Below, (Other, f))\n"
        "assert not issubclass(f, Below) and not issubclass(Other, f) and not issubclass(int, f)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mode", ["isolated", "fast"])
def test_it_is_as_in_one_process(mode: Any) -> None:
    assert_judged_alike([(source, _with_found(source, test)) for source, test in CASES.values()], mode)


def _with_found(source: str, test: str) -> str:
    """The test with what it finds in one process in place of `{found}`."""
    if "{found}" not in test:
        return test
    names: dict[str, Any] = {"__name__": "candidate"}
    exec(source, names)
    before, _, _ = test.rpartition("assert ")
    exec(before, names)
    return test.replace("{found}", repr(eval(test.rpartition("assert ")[2].partition(" == {found}")[0], names)))


SHOW = (
    "def show(x, seen=()):\n"
    "    if id(x) in seen: return '...'\n"
    "    seen = (*seen, id(x))\n"
    "    if isinstance(x, dict): return [type(x).__name__, *[(k, show(v, seen)) for k, v in x.items()]]\n"
    "    if isinstance(x, set): return ['set', *sorted(x)]\n"
    "    if isinstance(x, (list, tuple, deque)): return [type(x).__name__, *[show(v, seen) for v in x]]\n"
    "    return x\n"
)
CHANGE = (
    "def change(x, how, v):\n"
    "    if isinstance(x, dict):\n"
    "        if how < 5 or not x: x[how % 3] = v\n"
    "        elif how < 7: x.pop(next(iter(x)))\n"
    "        else: x[next(iter(x))] = v\n"
    "    elif isinstance(x, set):\n"
    "        x.add(how) if how < 6 else x.discard(how - 5)\n"
    "    elif how < 3 or not x: x.append(v)\n"
    "    elif how < 5: x.insert(1, v)\n"
    "    elif how < 7: x.pop()\n"
    "    elif how < 8: x.reverse()\n"
    "    elif how < 9: x[0] = v\n"
    "    else: x.clear()\n"
)
ROOMS = (
    f"from collections import deque\n{SHOW}{CHANGE}"
    "class f:\n"
    "    def __init__(self): self.rooms = [None] * 4\n"
    "    def keep(self, k, x): self.rooms[k] = x\n"
    "    def get(self, k): return self.rooms[k]\n"
    "    def drop(self, k): self.rooms[k] = None\n"
    "    def put(self, k, how, j): self.change(k, how, self.rooms[j])\n"
    "    def change(self, k, how, v):\n"
    "        if self.rooms[k] is not None: change(self.rooms[k], how, v)\n"
    "    def pair(self, k, j): return self.rooms[k], [self.rooms[j]]\n"
    "    def show(self): return repr(show(self.rooms))\n"
)


def walk(seed: int) -> str:
    """A test that makes, hands in, takes, changes and drops containers by chance, and takes down what is where."""
    chance = random.Random(seed)
    lines = [f"from collections import deque\n{SHOW}{CHANGE}p, v, log = f(), [None] * 4, []"]
    for number in range(40):
        k, j, how = chance.randrange(4), chance.randrange(4), chance.randrange(10)
        new = chance.choice(["[1, 2]", "{}", "{1, 2}", "deque([1], 3)", "[[1], [2]]", "{0: [1]}", "[(1, [2])]"])
        lines.append(
            chance.choice(
                [
                    f"v[{k}] = {new}",
                    f"p.keep({j}, v[{k}])",
                    f"p.keep({j}, {new})",
                    f"v[{k}] = p.get({j})",
                    f"v[{k}] = v[{j}]",
                    f"v[{k}] = None",
                    f"p.drop({k})",
                    f"p.change({k}, {how}, {number})",
                    f"p.put({k}, {how}, {j})",
                    f"p.change({k}, {how}, v[{j}])",
                    f"v[{k}], (v[{j}],) = p.pair({k}, {j})",
                    f"if v[{k}] is not None: change(v[{k}], {how}, {number})",
                    f"if v[{k}] is not None: change(v[{k}], {how}, v[{j}])",
                    f"if v[{k}]: change(p.get({j}) or [], {how}, next(iter(v[{k}])))",
                ]
            )
        )
        if number % 3 == 0:
            lines.append("log.append((p.show(), show(v), [x is y for x in v for y in v]))")
    return "\n".join([*lines, "assert repr(log) == {found}"])


@pytest.mark.parametrize("mode", ["isolated", "fast"])
def test_whatever_both_sides_do_in_turn(mode: Any) -> None:
    tests = [_with_found(ROOMS, walk(seed)) for seed in range(150)]
    programs = [Program(ROOMS, "function", (Test(test),), "f", key=str(seed)) for seed, test in enumerate(tests)]
    wrong = [result for result in run_many(programs, limits=LIMITS, mode=mode) if result.status != "passed"]
    assert not wrong


# The two sides together


@pytest.fixture
def link() -> Iterator[Link]:
    """The judge's side of a conversation with a program that keeps what `keep` is given."""
    ours, theirs = socket.socketpair()
    world = BareWorld()
    service = Service(world, Channel(theirs.fileno(), bytes(8), 1 << 20), LIMITS, {})
    source = (
        "from collections import OrderedDict\nkept = []\n"
        "def keep(x): kept.append(x)\n"
        "def use(x):\n    x.append(1)\n    return x, [x]\n"
        "def fail(x):\n    x.append(1)\n    raise ValueError(x[0])\n"
        "def fresh(): return [[1], {2: [3]}]\n"
        "def last(): return kept[-1]\n"
        "class K:\n    fails = False\n"
        "    def __hash__(self):\n        if K.fails: raise RuntimeError(kept, kept, 'hash')\n        return 1\n"
        "def key(): return K()\n"
        "def fails(now): K.fails = now\n"
        "def bad():\n    kept[-1].append(7)\n    d = OrderedDict({K(): 1})\n"
        "    K.fails = True\n    return [[1], [2], d]\n"
    )
    assert service.run(compile(source, "<program>", "exec"))
    side = threading.Thread(target=service.answer)
    side.start()
    found = Link(Channel(ours.fileno(), bytes(8), 1 << 20))
    found.start()
    yield found
    ours.close()
    side.join()
    theirs.close()


def call(link: Link, name: str, *args: Any) -> Any:
    return link.call(name, args, {})


def test_only_what_both_hold_is_looked_at_again(link: Link) -> None:
    mine: list[Any] = [0, [5]]
    inner = mine[1]
    call(link, "use", mine)
    assert mine == [0, [5], 1] and link.twins.objects() == [], "the program's function has ended"
    fresh = call(link, "fresh")
    assert fresh == [[1], {2: [3]}] and link.twins.objects() == [], "nor does it keep what it gave"
    call(link, "keep", mine)
    assert link.twins.objects() == [mine, inner]
    del mine
    call(link, "use", [])
    assert link.twins.objects() == [inner], "the test does not hold it any more"
    call(link, "last").clear()
    assert call(link, "last") == []
    del inner
    call(link, "use", [])
    assert link.twins.objects() == []


def test_a_program_s_function_that_has_failed_holds_nothing(link: Link) -> None:
    mine = [0]
    with pytest.raises(ValueError, match="0"):
        call(link, "fail", mine)
    assert mine == [0, 1] and link.twins.objects() == []


def test_a_call_of_nothing_leaves_what_is_shared(link: Link) -> None:
    mine: list[Any] = []
    call(link, "keep", mine)
    with pytest.raises(NameError):
        call(link, "nothing_such", [1], [2])
    mine.append(3)
    assert call(link, "last") is mine and link.twins.objects() == [mine]


def test_a_request_that_could_not_be_read_leaves_nothing_shared(link: Link) -> None:
    """Each side would have other numbers for what comes next."""
    mine: list[Any] = []
    call(link, "keep", mine)
    keyed = {call(link, "key"): [2]}
    call(link, "fails", True)
    with pytest.raises(RuntimeError, match="hash"):
        call(link, "use", [[1], keyed, [3]])
    assert link.twins.objects() == []
    call(link, "fails", False)
    other = call(link, "last")
    assert other == [] and other is not mine
    other.append(1)
    assert call(link, "last") is other and other == [1]


def test_an_answer_that_could_not_be_written_leaves_the_numbers_as_they_were(link: Link) -> None:
    mine: list[Any] = []
    call(link, "keep", mine)
    with pytest.raises(RuntimeError, match="hash") as raised:
        call(link, "bad")
    assert raised.value.args[0] is raised.value.args[1] and raised.value.args[0][0] is mine
    del raised
    assert mine == [7] and link.twins.objects()[0] is mine
    other = [5]
    call(link, "keep", other)
    assert call(link, "last") is other and link.twins.objects()[:2] == [mine, other]


def test_what_is_nested_too_deep_for_a_request_is_no_longer_shared(link: Link) -> None:
    mine: list[Any] = []
    call(link, "keep", mine)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    mine.append(deep)
    assert call(link, "last") == [] and link.twins.objects() == [[]]


def test_a_function_of_the_program_s_that_is_handed_back_changes_no_numbers(link: Link) -> None:
    one, two = [1], [2]
    call(link, "keep", one)
    call(link, "keep", two)
    del one
    two.append(3)
    call(link, "keep", Entry(link, -1, "use"))
    call(link, "fresh")
    assert link.twins.objects() == [two]
    call(link, "keep", two)
    assert call(link, "last") is two and not link.aliased


def test_with_hollow_answers_nothing_is_shared(link: Link) -> None:
    link.hollow = True
    mine: list[Any] = []
    call(link, "keep", mine)
    assert link.twins.objects() == []


def test_an_answer_that_grows_in_two_places_at_once_is_counted_with_both() -> None:
    source = (
        "low = []\ntop = low\nfor _ in range(4):\n    top = [top] * 30\n"
        "def f(): return top\ndef grow():\n    low.extend(range(20))\n    return 1"
    )
    test = Test("x = f()\nassert len(x) == 30\nassert grow() == 1\nassert len(x) == 31")
    (result,) = run_many([Program(source, "function", (test,), "f")], limits=LIMITS, workers=1)
    assert result.status == "output_limit", result


# The parts


def no_handle(number: int, label: str) -> Any:
    raise AssertionError("no handle was expected")


def refuse(value: Any) -> Any:
    raise Uncrossable(type(value).__name__)


def test_a_container_is_filled_with_what_its_twin_holds() -> None:
    mine: list[Any] = [3, 1, [2]]
    table = {"k": mine}
    known = numbered((mine, table, "text"))
    assert [id(value) for value in known] == [id(mine), id(mine[2]), id(table)]
    inner = mine[2]
    reader = Unpacker(no_handle, known)
    assert shared.fill(reader, [0, 0, 0, [1, 2, ["r", 1], ["r", 0]]]) == 0
    assert mine[:2] == [1, 2] and mine[2] is inner and mine[3] is mine
    shared.fill(reader, [0, 1, 2, [["L", 7], 5]])
    assert mine[:3] == [1, [7], 5] and mine[3] is inner and mine[4] is mine and known[3] is mine[1]
    shared.fill(reader, [2, 0, 0, ["new", ["r", 0]]])
    assert table == {"new": mine}
    assert reader.unpack(["r", 0]) is mine, "a result that is an argument is that very object"


FILLED = [
    ([1, 2], [3], [3]),
    ({1}, [2, 3], {2, 3}),
    (deque([1], maxlen=2), [1, 2, 3], deque([2, 3], maxlen=2)),
    (bytearray(b"a"), [98, 99], bytearray(b"bc")),
    (Counter("aa"), ["b", 5], Counter(b=5)),
    (OrderedDict(a=1), ["c", 1, "b", 2], OrderedDict([("c", 1), ("b", 2)])),
    (defaultdict(list), ["c", ["L", 1]], {"c": [1]}),
    (array("h", [1]), ["\x02\0\x03\0"], array("h", [2, 3])),
    (array("u", "a"), ["bc"], array("u", "bc")),
    (UserList([1]), [["L", 2]], UserList([2])),
    (UserDict(a=1), [["D", "b", 2]], UserDict(b=2)),
    (ChainMap(), [["L", ["D", "b", 2]]], ChainMap({"b": 2})),
]


@pytest.mark.parametrize("container, trees, expected", FILLED, ids=[type(one).__name__ for one, *_ in FILLED])
def test_every_mutable_container_can_be_filled(container: Any, trees: list[Any], expected: Any) -> None:
    container = copy.copy(container)
    shared.fill(Unpacker(no_handle, [container]), [0, 0, 0, trees])
    assert container == expected


@pytest.mark.parametrize("container", [one for one, *_ in FILLED], ids=[type(one).__name__ for one, *_ in FILLED])
def test_a_change_is_seen_and_makes_the_twin_alike(container: Any) -> None:
    ours, theirs = copy.deepcopy(container), copy.deepcopy(container)
    objects = numbered((ours,))
    before = list(map(shared.snapshot, objects))
    assert shared.changes(before, objects) == []
    if isinstance(ours, dict | UserDict | ChainMap):
        ours["b"] = 9
    elif isinstance(ours, set):
        ours.add(9)
    else:
        ours.append("z" if getattr(ours, "typecode", "") == "u" else 9)
    (change,) = shared.changes(before, objects)
    packer = Packer(refuse, objects)
    tree = from_bytes(to_bytes(packer, lambda: shared.update(packer, change)))
    shared.fill(Unpacker(no_handle, numbered((theirs,))), tree)
    assert theirs == ours and type(theirs) is type(ours)


def test_one_and_true_are_not_the_same() -> None:
    assert shared.changes([[1]], [[True]]) == [(0, 0, 0)]


def test_of_a_dict_only_the_values_cross_again_where_the_keys_stayed() -> None:
    key = (1, 2)
    for kind in (dict, OrderedDict):
        ours = kind({key: 1, "b": 2})
        before = [shared.snapshot(ours)]
        ours["b"] = 3
        ours["c"] = 4
        assert shared.changes(before, [ours]) == [(0, 2, 0)]
        assert shared.update(Packer(refuse, [ours]), (0, 2, 0)) == [0, 2, 0, [1, 3, "c", 4]]
        theirs = kind({key: 1, "b": 2})
        shared.fill(Unpacker(no_handle, [theirs]), [0, 2, 0, [1, 3, "c", 4]])
        assert theirs == ours and next(iter(theirs)) is key
        for junk in ([0, 4, 0, [1, 2, 3, 4]], [0, 2, 0, [1]], [0, 1, 0, [1, 2]]):
            with pytest.raises(ValueError):
                shared.fill(Unpacker(no_handle, [theirs]), junk)
        assert theirs == ours


def test_a_long_deque_is_filled_in_time() -> None:
    target = deque(range(300_000))
    shared.fill(Unpacker(no_handle, [target]), [0, 0, 0, list(range(1, 300_001))])
    assert target[0] == 1 and len(target) == 300_000


def test_what_stayed_at_either_end_does_not_cross_again() -> None:
    one, two, three = (1,), (2,), (3,)
    ours: list[Any] = [one, two, three]
    before = [shared.snapshot(ours)]
    ours.insert(1, "new")
    (change,) = shared.changes(before, [ours])
    assert change == (0, 1, 2) and shared.update(Packer(refuse, [ours]), change) == [0, 1, 2, ["new"]]
    ours[:] = [one, one, one]
    (change,) = shared.changes([[one, one]], [ours])
    assert change == (0, 2, 0), "no item counts for both ends"


@pytest.mark.parametrize(
    "tree",
    [
        *([0, 1, 1, []], [0, -1, 0, []], [0, True, 0, []], [0, 0, "1", []], [1, 0, 0, []], [-1, 0, 0, []]),
        *([0, 0, 0], [0, 0, 0, None], [[], 0, 0, []], None, 5, {}),
    ],
    ids=repr,
)
def test_a_change_that_no_packer_makes_is_refused_and_changes_nothing(tree: Any) -> None:
    container = [1]
    with pytest.raises((IndexError, TypeError, ValueError, Malformed)):
        shared.fill(Unpacker(no_handle, [container]), tree)
    assert container == [1]


def test_nothing_of_a_subclass_s_own_runs_when_it_is_looked_at_or_filled() -> None:
    def fails(*_: Any) -> Any:
        raise AssertionError("the program's own method")

    names = "__iter__ __len__ __eq__ __getitem__ __setitem__ items keys values clear update extend append add".split()
    kinds: Any = ((list, [1]), (dict, {1: 1}), (set, {1}), (deque, [1]), (OrderedDict, {1: 1}))
    for base, items in kinds:
        value = base(items)
        kind: Any = type("Own", (base,), dict.fromkeys(names, fails))
        ours = kind.__new__(kind)
        base.__init__(ours)
        shared.fill(Unpacker(no_handle, [ours]), [0, 0, 0, [1, 1] if base in (dict, OrderedDict) else [1]])
        assert shared.snapshot(ours) == shared.snapshot(value)
        (change,) = shared.changes([[]], [ours])
        assert shared.update(Packer(refuse, [ours]), change)[3]


def test_held_is_what_somebody_else_refers_to() -> None:
    outer: list[Any] = [[1], {2: [3]}, ([4], 5)]
    objects = [outer, outer[0], outer[1], outer[1][2], outer[2][0], [6]]
    assert shared.held(objects, []) == [0, 1, 2, 3, 4]
    inner = outer[1][2]
    del outer
    assert shared.held(objects, []) == [3] and inner == [3]
    pair = objects[0][2]
    assert shared.held(objects, []) == [3, 4] and pair[1] == 5
    del inner, pair
    assert shared.held(objects, []) == []
    answer: list[Any] = [(objects[0], [objects[5]])]
    assert shared.held(objects, answer) == [5], "a list that is not shared may be anybody's"
    objects.append(answer[0][1])
    assert shared.held(objects, answer) == []
    answer.append(answer[0])
    assert shared.held(objects, answer) == [0, 1, 2, 3, 4, 5, 6], "somebody else may have the tuple as well"
    itself: list[Any] = []
    itself.append(itself)
    objects = [itself]
    del itself
    assert shared.held(objects, []) == [0]


def test_the_judge_forgets_what_no_test_holds_once_the_program_knows_what_it_changed() -> None:
    twins, kept, objects = shared.Twins(), [[1]], [[1], [2], [3]]
    objects.append(kept[0])
    twins.settle(objects, 1, [], [0, 1, 3])
    assert twins.numbers() == [0, 1, 3]
    objects[0].append(5)
    del objects
    twins.look()
    assert twins.numbers() == [0, 3] and twins.changed == [(0, 1, 0)], "the program does not know of the 5 yet"
    twins.told()
    twins.settle(twins.objects(), 2, [], [0, 1])
    twins.look()
    assert twins.numbers() == [1] and twins.changed == [] and twins.objects() == kept


def test_what_only_a_forgotten_one_held_is_forgotten_with_it() -> None:
    twins, outer = shared.Twins(), [[1]]
    twins.settle([outer, outer[0]], 2, [], [0, 1])
    del outer
    twins.look()
    assert twins.numbers() == []


def test_one_of_the_program_s_that_is_shared_no_more_is_looked_at_when_a_test_has_failed() -> None:
    twins, given = shared.Twins(), [1]
    twins.settle([given], 0, [], [0])
    given.append(2)
    twins.look()
    twins.part(0)
    assert twins.numbers() == twins.changed == [] and twins.lent_changed()


def test_one_that_grows_too_large_is_no_longer_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "_WORK", 0)
    twins, one, two = shared.Twins(), list(range(100)), [2]
    twins.settle([one, two], 2, [], [0, 1])
    one.extend(range(9_700))
    twins.look()
    twins.told()
    twins.settle([one, two], 2, [], [0, 1])
    assert twins.objects() == [one]


def test_what_a_program_says_that_it_holds_may_be_junk() -> None:
    twins = shared.Twins()
    for nothing in (7, None):
        with pytest.raises(TypeError):
            twins.settle([[1]], 1, [], nothing)  # type: ignore[arg-type]
    junk: Any = [-1, 0.0, True, "0", None, [], {}, 2, 10**30, 1]
    twins.settle([[1], [2]], 1, [], junk)
    assert twins.numbers() == [1]


def test_what_is_too_large_to_be_kept_alike_is_looked_at_when_a_test_has_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared, "_ROOM", 100)
    monkeypatch.setattr(shared, "_EACH", 20)
    monkeypatch.setattr(shared, "_WORK", 2_000)
    twins = shared.Twins()
    small, large = [1], list(range(90))
    twins.settle([small, large, large], 1, [], [0, 1])
    assert twins.objects() == [small] and not twins.lent_changed()
    large.append(1)
    assert twins.lent_changed()
    twins.forget()
    twins = shared.Twins()
    twins.settle([large], 1, [], [0])
    large.append(1)
    assert not twins.lent_changed(), "an argument that a program keeps is the test's to change"


def test_the_more_is_compared_the_less_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "_ROOM", 100)
    monkeypatch.setattr(shared, "_WORK", 20_000)
    twins, value = shared.Twins(), list(range(500))
    shares = []
    for _ in range(40):
        twins.settle([value], 1, [], [0])
        shares.append(len(twins.objects()))
        twins.forget()
    assert shares[:10] == [1] * 10 and shares[-1] == 0

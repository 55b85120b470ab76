"""What a test says about a program, and why no program can say it for the test.

Every case is one program with its tests; the status of each test and the reason are asserted.
"""

import re
import weakref
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from sandbox import judge, remote
from sandbox.pool import run_many
from sandbox.slot import Settings, Slot
from sandbox.verdict import Limits, Program, Result, Status, Test

LIMITS = Limits(steps=2_000_000, cpu_seconds=4, wall_seconds=60, memory_mb=512, output_bytes=1 << 20)


@dataclass
class Case:
    """A program and its tests; `statuses` one per test (one word for all), `reason` a pattern of the message."""

    source: str
    tests: list[str]
    statuses: str
    reason: str = ""
    setup: str = ""
    error_type: str | None = None
    name: str = field(default="f")


NAMED = (
    "from typing import NamedTuple\nclass P(NamedTuple):\n    x: int\n    y: int = 2\n"
    "    def twice(self): return P(self.x * 2, self.y)\n"
)

CASES = {
    # Functions that the tests hand in
    "a lambda": Case(
        "def f(g, x): return g(x)",
        [
            "assert f(lambda x: x * 2, 4) == 8",
            "assert f(g=lambda x, n=3: x[0] + n, x=[4]) == 7",
            "assert f(lambda x: x, 1) == 2",
        ],
        "passed passed wrong",
    ),
    "functions of the library": Case(
        "def f(g, *x): return g(*x)",
        [
            "assert f(len, 'abc') == 3 and f(str.upper, 'a') == 'A' and f(print, 1) is None",
            "import math, operator\nassert f(math.sqrt, 4) == 2 and f(operator.add, 1, 2) == 3",
        ],
        "passed",
    ),
    "functions in containers, defined where they are used, and recursive": Case(
        "def f(gs, x): return [g(x) for g in gs]",
        [
            "def h(n: 'int') -> 'int':\n    return 1 if n < 2 else n * h(n - 1)\n"
            "assert f([h, lambda x: -x, abs], 3) == [6, -3, 3]",
            "import math as m\ndef check(g):\n    def inner(x):\n        return m.floor(x)\n"
            "    assert f([inner], 1.5) == [1]\ncheck(f)",
        ],
        "passed",
    ),
    "a function of the tests that comes back": Case(
        "def f(g): return g\ndef twice(g): return lambda x: g(g(x))",
        [
            "h = lambda x: x + 1\nassert f(h) is h and f([h])[0] is h and f(len) is len",
            "h = lambda x: x + 3\nassert twice(h)(1) == 7",
        ],
        "passed",
    ),
    "functions of the tests with several lines in one": Case(
        "def f(g): return [g('1'), g('z')]",
        [
            "def h(x):\n    try: return int(x)\n    except ValueError: return -1\nassert f(h) == [1, -1]",
            "def h(x):\n    match x:\n        case '1': return 1\n        case _: return 2\nassert f(h) == [1, 2]",
            "def h(x):\n    try: return int(x)\n    except ValueError: return -1\nassert f(h) == [1, 1]",
        ],
        "passed passed wrong",
    ),
    "what a function of the tests raises": Case(
        "def f(g): return g(0)",
        ["try:\n    f(lambda x: 1 // x)\nexcept ZeroDivisionError: pass\nelse:\n    assert False"],
        "passed",
    ),
    "a program's own names are not its": Case(
        "def len(x): return 5\ny = 1\ndef f(g): return g('ab')",
        ["assert f(lambda x: len(x)) == 2 and f(len) == 2"],
        "passed",
    ),
    "defaults are what they were when the function was made": Case(
        "def f(g, x): return g(x)",
        [
            "assert [f(g, 1) for g in [lambda x, i=i: x + i for i in range(3)]] == [1, 2, 3]",
            "n = 1\ndef h(x, n=n): return x + n\nn = 10\nassert f(h, 1) == 2",
            "a, b = lambda x, n=1: x + n, lambda x, n=2: x + n\nassert f(a, 1) == 2 and f(b, 1) == 3",
            "a, b = lambda x, *, n=1: x + n, lambda x, *, n=2: x + n\nassert f(a, 1) == 2 and f(b, 1) == 3",
            "def h(x): return x\nh.__defaults__ = (7,)\nassert f(h, 1) == 1",
            "a, b = lambda x, n=1: x + n, lambda x, n=2: x + n\nassert f(a, 1) == 3",
        ],
        "passed passed passed passed passed wrong",
    ),
    "functions of the same text are as many": Case(
        "def f(a, b): return a if a is not b else None",
        [
            "a, b = lambda x: x, lambda x: x\nassert f(a, b) is a and f(a, a) is None",
            "assert f(lambda x: x, lambda x: x) is not None",
        ],
        "passed",
    ),
    "the name and the annotations of a function of the tests": Case(
        "def f(g): return g.__name__, g.__annotations__",
        [
            "def plus(a, b): return a + b\nassert f(plus) == ('plus', {})",
            "def h(a: int, *b: str) -> list: pass\nassert f(h) == ('h', {'a': int, 'b': str, 'return': list})",
        ],
        "passed",
        setup="def add(a, b): return a + b",
    ),
    "attributes that a program gives a function of the tests": Case(
        "def f(g):\n    g.seen = 3\n    return g",
        ["h = f(lambda x: x + 1)\nassert h.seen == 3 and h(1) == 2"],
        "passed",
    ),
    "attributes that a program gives a function of the tests, and no more": Case(
        "def f(g): g.seen = 3",
        ["def h(): pass\nf(h)\nassert h.seen == 3"],
        "infra_error",
        "no attribute 'seen'$",
    ),
    "attributes of a function of the tests that it never had": Case(
        "def f(g): return g",
        ["assert f(lambda: 1).answer == 3"],
        "wrong",
        "no attribute 'answer'$",
    ),
    "a function with more of the tests in it": Case(
        "def f(g): return g(1)",
        [
            "f(lambda x: len if undefined else 3)",
            "def h(x, seen=[]): return seen\nf(h)",
            "def h(x):\n    global n\n    n = x\nf(h)",
            "class C:\n    def g(self, x): return x\nf(C().g)",
            "def h(x): h.calls += 1\nh.calls = 0\nf(h)",
            "def h(x): pass\nh.__name__ = 'other'\nf(h)",
            "def h(x, n=float('nan')): return n\nf(h)",
            "import random\nrandom.seed(1)\nf(lambda x: random.random())",
            "import math as f\ncandidate(lambda x: f.sqrt(x))",
        ],
        "infra_error",
        "which cannot cross to the program$",
    ),
    "a function that the tests hand back is taken for a class": Case(
        "class f:\n    def __eq__(self, other): return True",
        ["x = f()\nassert isinstance(x, f)\nassert x != 5"],
        "infra_error",
        "^the test itself failed: Uncrossable: a test uses __eq__ of f",
    ),
    # Named tuples keep the names of their items
    "a named tuple comes back": Case(
        f"{NAMED}def f(): return P(1, 2)",
        [
            "assert f() == (1, 2) and f().x == 1 and f()._asdict() == {'x': 1, 'y': 2}",
            "assert repr(f()) == 'P(x=1, y=2)' and type(f()) is not tuple and isinstance(f(), P)",
            "assert f().x == 2",
        ],
        "passed passed wrong",
    ),
    "names of items that the parser takes for one": Case(
        "class P(tuple): _fields = ('\ufb01', 'fi')\ndef f(): return P((1, 2))", ["assert f() == (1, 2)"], "passed"
    ),
    "a named tuple goes back": Case(
        f"{NAMED}def f(p): return p.twice().x if isinstance(p, P) else None",
        ["assert f(P(3)) == 6 and f(P(3)._replace(x=5)) == 10", "assert f((3, 2)) is None"],
        "passed",
    ),
    "a named tuple of the tests": Case(
        "def f(p): return p.x + p[1]",
        ["from collections import namedtuple\nQ = namedtuple('Q', 'x y')\nassert f(Q(1, 2)) == 3"],
        "passed",
    ),
    "a named tuple of the tests comes back as one": Case(
        "def f(p): return [p._replace(x=p.y), tuple(p)]",
        [
            "from collections import namedtuple\nQ = namedtuple('Q', 'x y')\na, b = f(Q(1, 2))\n"
            "assert type(a) is Q and a == (2, 2) and not isinstance(b, Q)",
            "from typing import NamedTuple\nclass Q(NamedTuple):\n    x: int\n    y: int = 2\n"
            "assert isinstance(f(Q(1))[0], Q)",
        ],
        "passed",
    ),
    "what a class of the tests adds to a value": Case(
        "def f(p): return p + p",
        [
            "from typing import NamedTuple\nclass Q(NamedTuple):\n    x: int\n    def two(self): return self\nf(Q(1))",
            "class L(list): pass\nf(L([1]))",
            "class I(int):\n    def __add__(self, other): return 7\nf(I(1))",
            "from enum import IntEnum\nclass E(IntEnum):\n    A = 1\nf(E.A)",
            "class S(str): pass\nassert f(S('a')) == 'aa'",
        ],
        "infra_error infra_error infra_error infra_error passed",
    ),
    "methods of the program's named tuples": Case(
        f"{NAMED}    @property\n    def sum(self): return self.x + self.y\ndef f(): return [P(1)]",
        [
            "assert f()[0].twice() == P(2) and P(3).twice().twice().sum == 14 and not hasattr(P(3), 'z')",
            "import copy\nassert copy.deepcopy(f()) == f()",
            "assert P(3).twice().sum == 9",
            "f()[0].thrice()",
        ],
        "passed passed wrong exception",
    ),
    "named tuples in containers": Case(
        f"{NAMED}def f(): return [P(1)], {{P(1): P(3)}}, {{P(4)}}",
        ["a, b, c = f()\nassert a[0].y == 2 and b[1, 2].x == 3 and {one.x for one in c} == {4}"],
        "passed",
    ),
    "names that are none": Case(
        "from collections import namedtuple\ndef f(): return namedtuple('A', 'class def', rename=True)(1, 2)",
        ["assert f()._1 == 2"],
        "passed",
    ),
    "a tuple is no named one for its claim": Case(
        "class T(tuple): _fields = ('a', 'b')\ndef f(): return T((1,))",
        ["assert f() == (1,)", "f().a"],
        "passed wrong",
    ),
    "a tuple is no instance of a named one": Case(
        f"{NAMED}def f(): return (3, 2)", ["assert not isinstance(f(), P)"], "passed"
    ),
    "a named tuple of more classes than anybody has": Case(
        "from collections import namedtuple\ndef f(): return [namedtuple('A', f'x{i}')(1) for i in range(2000)]",
        ["assert f()[0] == (1,)"],
        "output_limit",
        "^values of more than 1000 classes$",
    ),
    "a named tuple of more items than anybody names": Case(
        "class T(tuple): _fields = ('',) * 200_000\ndef f(): return T((0,) * 200_000)",
        ["assert f() == (0,) * 200_000 and type(f()) is tuple"],
        "passed",
    ),
    # What is passed, wrong, an exception, or no evidence at all
    "every test passes": Case("def f(x): return x + 1", ["assert f(1) == 2", "assert candidate(2) == 3"], "passed"),
    "partial credit": Case(
        "def f(x): return abs(x)",
        ["assert f(1) == 1", "assert f(-1) == -1", "assert f(0) == 0"],
        "passed wrong passed",
        "^AssertionError: $",
    ),
    "the assertion's message": Case(
        "def f(x): return 1", ["assert f(1) == 2, 'two'"], "wrong", "^AssertionError: two$"
    ),
    "an exception of the program's": Case(
        "def f(x): return 1 // x",
        ["assert f(0) == 0", "assert f(1) == 1"],
        "exception passed",
        "^ZeroDivisionError: integer division or modulo by zero$",
        error_type="ZeroDivisionError",
    ),
    "a class of exception of its own": Case(
        "class Odd(ValueError): pass\ndef f(x): raise Odd('odd', x)",
        ["f(1)", "try:\n    f(1)\nexcept ValueError as error:\n    assert error.args == ('odd', 1)"],
        "exception passed",
        "^Odd: ",
        error_type="Odd",
    ),
    "the module itself fails": Case(
        "x = [][1]\ndef f(): return 1",
        ["assert f() == 1", "assert True"],
        "exception",
        "^IndexError: list index out of range$",
        error_type="IndexError",
    ),
    "it does not parse": Case(
        "def f(:", ["assert f() == 1"] * 2, "exception", "^SyntaxError: ", error_type="SyntaxError"
    ),
    "it is empty": Case("", ["assert f() == 1"], "exception", "name 'f' is not defined", error_type="NameError"),
    "the function is missing": Case(
        "def g(): pass", ["f()"], "exception", "^NameError: name 'f'", error_type="NameError"
    ),
    "the function is a number": Case(
        "f = 3", ["f()"], "exception", "'int' object is not callable", error_type="TypeError"
    ),
    "recursion without end": Case(
        "def f(x): return f(x)",
        ["f(1)"],
        "exception",
        "^RecursionError: maximum recursion",
        error_type="RecursionError",
    ),
    "an answer that the test cannot use": Case(
        "def f(x): return None", ["assert len(f(1)) == 0"], "wrong", "^the test could not use the answer: TypeError"
    ),
    "an index the answer does not have": Case(
        "def f(x): return []", ["assert f(1)[0] == 0"], "wrong", "could not use the answer: IndexError"
    ),
    "a slice of what only the program can slice": Case(
        "class Q:\n    x = [1, 2, 3]\n    def __getitem__(self, key): return self.x[key]\n"
        "    def __setitem__(self, key, value): self.x[key] = value\n    def __delitem__(self, key): del self.x[key]\n"
        "def f(x): return Q()",
        [
            "assert f(1)[::-1] == [3, 2, 1]",
            "assert f(1)[::-1] == [1, 2, 3]",
            "q = f(1)\nq[1:] = [5]\ndel q[:1]\nassert q[:] == [5]",
        ],
        "passed wrong passed",
    ),
    "a slice of a generator": Case(
        "def f(x): yield 1", ["assert f(1)[:1] == [1]"], "exception", "not subscriptable", error_type="TypeError"
    ),
    "a name that only an answer would have bound": Case(
        "def f(x): return []",
        [
            "for item in f(1): last = item\nassert last == 3",
            "def check(c):\n    for item in c(1): last = item\n    assert last == 3\ncheck(candidate)",
        ],
        "wrong",
        "could not use the answer: NameError: name 'last'",
    ),
    "a name that nobody has": Case("def f(): return 1", ["assert f() == g()"], "infra_error", "^the test itself .*'g'"),
    "a test that fails before it asks": Case("def f(): return 1", ["1 / 0"], "infra_error", "^the test itself .*Zero"),
    "a test that does not parse": Case(
        "def f(): return 1",
        ["assert f() ==", "assert f() == 1"],
        "infra_error passed",
        "^the test does not compile: Syn",
    ),
    "a test that imports what is not there": Case(
        "def f(): return 1", ["import nothing_such", "assert f() == 1"], "infra_error passed", "ModuleNotFoundError"
    ),
    "a test that catches what only the judge cannot do": Case(
        "class P:\n    def __init__(self, x): self.x = x\n    def __add__(self, o): return P(self.x + o.x)\n"
        "def f(x): raise KeyError",
        [
            "raised = False\ntry: P(1) + 'x'\nexcept Exception: raised = True\nassert raised",
            "try: assert (P(1) + P(2)).x == 3\nexcept Exception as error: assert False, error",
            "import contextlib\nwith contextlib.suppress(Exception): P(1) + P(2)\nassert P(1).x == 1",
            "try: f(1)\nexcept Exception: pass\nelse: assert False",
        ],
        "infra_error infra_error infra_error passed",
        "__add__ of P, which cannot cross",
    ),
    "data that is nested deep": Case(
        "def f(a):\n    n = 0\n    while a: a = a[0]; n += 1\n    return n\n"
        "def nested(n):\n    a = []\n    for _ in range(n): a = [a]\n    return a",
        [
            "a = []\nfor _ in range(100): a = [a]\nassert f(a) == 100 and f(nested(100)) == 100",
            "import sys\nsys.setrecursionlimit(10**5)\na = []\nfor _ in range(500): a = [a]\nassert f(a)",
        ],
        "passed refused",
        "nested too deep to cross",
    ),
    "a frame that is nested deep": Case(
        "def f(a): return 1",
        ["import sys\nsys.setrecursionlimit(10**5)\na = []\nfor _ in range(5000): a = [a]\nassert f(a)"],
        "refused",
        "nested too deep to cross",
    ),
    "a test that starts a thread": Case(
        "def f(): return 1",
        ["import threading\nthreading.Thread(target=f).start()", "assert f() == 1"],
        "infra_error passed",
        "starts a thread",
    ),
    "a test that ends the judge": Case("def f(): return 1", ["f()\nraise SystemExit(0)"], "infra_error", "SystemExit"),
    "a setup that fails": Case("def f(): pass", ["f()"] * 2, "infra_error", "^in the setup: .*Zero", setup="1 / 0"),
    "a setup that does not parse": Case("def f(): pass", ["f()"], "infra_error", "in the setup: .*compile", setup="if"),
    "a test that passes what cannot cross": Case(
        "def f(x): return x", ["f(open)"], "infra_error", "passes a builtin_function_or_method, which cannot cross"
    ),
    "a refused program": Case(
        "import subprocess\ndef f(): return 1",
        ["assert f() == 1"] * 2,
        "refused",
        "^line 1: the module subprocess is not allowed",
    ),
    "a test that catches the program's own class of exception": Case(
        "class E(Exception): pass\ndef f(): raise E(1)",
        ["try:\n    f()\n    assert False\nexcept E as e:\n    assert e.args == (1,)"],
        "passed",
    ),
    "a test that catches what is no class of exceptions": Case(
        "class E: pass\ndef f(): raise KeyError", ["try:\n    f()\nexcept E:\n    pass"], "wrong", "catching classes"
    ),
    "a test that reads what the program's own exception holds": Case(
        "class E(ValueError):\n    def __init__(self, code): self.code = code\ndef f(): raise E(3)",
        ["try:\n    f()\n    assert False\nexcept ValueError as e:\n    assert e.code == 3"],
        "passed",
    ),
    "a test that reads what a builtin exception does not hold": Case(
        "def f(): raise ValueError(3)", ["try:\n    f()\nexcept ValueError as e:\n    assert e.code == 3"], "wrong"
    ),
    "a class of exception of its own, as a test that does not name it sees it": Case(
        "class E(ValueError):\n    def __init__(self, code):\n        super().__init__(code, 'x')\n"
        "    def __str__(self): return 'odd'\n"
        "def f(): raise E(3)",
        [
            "try:\n    f()\nexcept ValueError as e:\n"
            "    assert (type(e).__name__, str(e), repr(e), e.args) == ('E', 'odd', \"E(3, 'x')\", (3, 'x'))",
            "try:\n    f()\nexcept Exception as e:\n    assert isinstance(e, ValueError) and str(e) == 'even'",
        ],
        "passed wrong",
    ),
    "a test that compares an exception with the program's class": Case(
        "class E(Exception): pass\ndef f(): raise E",
        ["try:\n    f()\nexcept Exception as e:\n    assert isinstance(e, E)"],
        "passed",
    ),
    "exceptions that are no class of Exception": Case(
        "def leave(code): raise SystemExit(code)\ndef stop(): raise KeyboardInterrupt",
        [
            "try:\n    leave(2)\nexcept SystemExit as e:\n    assert e.code == 2",
            "try:\n    stop()\nexcept KeyboardInterrupt:\n    pass",
            "try:\n    leave(2)\nexcept Exception:\n    pass",
        ],
        "passed passed exception",
        "^SystemExit: 2$",
        error_type="SystemExit",
        name="leave",
    ),
    "exceptions of the library's": Case(
        "import dataclasses, decimal, json, queue, re, statistics, struct\n"
        "@dataclasses.dataclass(frozen=True)\nclass Point:\n    x: int\n"
        "def f(x): return [lambda: json.loads('{'), lambda: decimal.Decimal('x'), lambda: statistics.mean([]),\n"
        "    lambda: re.compile('['), lambda: struct.unpack('i', b''), lambda: queue.Queue().get_nowait()][x]()",
        [
            "import decimal, json, queue, re, statistics, struct\n"
            "kinds = [json.JSONDecodeError, decimal.InvalidOperation, statistics.StatisticsError,\n"
            "    re.error, struct.error, queue.Empty]\n"
            "for number, kind in enumerate(kinds):\n"
            "    try:\n        f(number)\n        assert False\n    except kind as error:\n        text = str(error)\n"
            "    assert number != 2 or text == 'mean requires at least one data point'",
            "import dataclasses\npoint = Point(1)\ntry:\n    point.x = 2\n    assert False\n"
            "except dataclasses.FrozenInstanceError:\n    pass",
            "try:\n    f(0)\nexcept ValueError as error:\n    assert 'Expecting' in str(error)",
            "try:\n    f(0)\nexcept ValueError as error:\n    assert error.pos == 1",
            "try:\n    f(0)\nexcept KeyError:\n    pass",
        ],
        "passed passed passed infra_error exception",
        "no attribute 'pos'",
    ),
    "a test that derives from the program's class, or copies its object": Case(
        "class f: pass",
        ["class G(f): pass\nG()", "import copy\ncopy.copy(f())", "import copy\ncopy.deepcopy([f()])"],
        "infra_error",
        "which cannot cross from the program$",
    ),
    "a class by the name of a function of which the tests read what a date or a Counter has": Case(
        "class f:\n    def __init__(s, x): s.year = s.days = s\n    def most_common(s, n): return s\n"
        "    def __eq__(s, o): return False",
        ["assert f(1).year == 2020", "assert f('aab').most_common(1) == [('a', 2)]", "assert f(1).days + 1 == 3"],
        "wrong",
    ),
    "a class of which the tests read what a date has": Case(
        "class Moment:\n    def __init__(s, x): s.year = x\n    def __eq__(s, o): return s.year == o",
        ["assert Moment(2020).year == 2020", "assert Moment(2020) == 2020"],
        "passed infra_error",
        "__eq__ of Moment",
        name="Moment",
    ),
    "a class by the name of a module that the tests take from the program": Case(
        "class math:\n    def __float__(s): return 3.0\n    def __eq__(s, o): return True\ndef f(x): return math()",
        ["assert math.isclose(f(1), 3.0)", "assert math.floor(2.5) == 2 and f(1) == 3"],
        "wrong",
    ),
    "a test that writes to standard output": Case(
        "def f(): return 1",
        ["import sys\nsys.stdout.write(str(f()))\nsys.stdout.flush()\nprint(f(), file=sys.stderr, flush=True)"],
        "passed",
    ),
    "a test that wants what the program prints": Case(
        "def f(): print(1)",
        [
            "import io, contextlib\nout = io.StringIO()\nwith contextlib.redirect_stdout(out):\n    f()\n"
            "assert out.getvalue() == '1\\n'",
            "import io, sys\nsys.stdout = out = io.StringIO()\nf()\nassert out.getvalue() == '1\\n'",
        ],
        "infra_error",
        "^the test itself failed: the program has a standard input and output of its own: AssertionError",
    ),
    "a test that gives the program something to read": Case(
        "def f(): return int(input())",
        [
            "import io, sys\nsys.stdin = io.StringIO('5')\nassert f() == 5",
            "import builtins\nbuiltins.input = lambda *prompt: '5'\nassert f() == 5",
            "import io, sys\nsetattr(sys, 'stdin', io.StringIO('5'))\nassert f() == 5",
            "input = lambda *prompt: '5'\nassert f() == 5",
            "def check():\n    global input\n    input = lambda *prompt: '5'\n    assert f() == 5\ncheck()",
        ],
        "infra_error",
        "input and output of its own: EOFError",
    ),
    "a test whose class has a method called print": Case(
        "def f(): return 1", ["class Log:\n    def print(self): pass\nassert f() == 2"], "wrong", "^AssertionError"
    ),
    "a test that only keeps the program quiet": Case(
        "def f(x): return 1 // x",
        [
            f"import io, contextlib\nwith contextlib.redirect_stdout(io.StringIO()):\n    assert f({x}) == 1"
            for x in (1, 0)
        ],
        "passed exception",
        error_type="ZeroDivisionError",
    ),
    "a test that sets an attribute and prints to standard error": Case(
        "class f: pass",
        ["import sys\na = f()\na.x = 1\nprint(a.x, file=sys.stderr)\nassert a.x == 2"],
        "wrong",
        "^AssertionError",
    ),
    # Values, handles, changed arguments
    "arguments changed in place": Case(
        "def f(a, b):\n    a.append(b.pop())\n    b[:] = [a]\n    return a",
        ["a, b = [1], [2, 3]\nassert f(a, b) is a\nassert a == [1, 3] and b[0] is a and len(b) == 1"],
        "passed",
    ),
    "a dict and a set changed in place": Case(
        "def f(d, s):\n    d['k'] = 1\n    s.discard(1)",
        ["d, s = {}, {1}\nf(d, s)\nassert d == {'k': 1} and s == set()"],
        "passed",
    ),
    "changed although it raised": Case(
        "def f(a):\n    a.clear()\n    raise KeyError",
        ["a = [1]\ntry:\n    f(a)\nexcept KeyError:\n    assert a == []"],
        "passed",
    ),
    "arguments by keyword": Case(
        "def f(a, *, b=0, **k): return a, b, k", ["assert f(1, b=[2], c=3) == (1, [2], {'c': 3})"], "passed"
    ),
    "types are kept": Case(
        "def f(x): return x",
        [
            "for x in [1, 1.0, True, 'a', b'a', (1,), [1], {1: 2}, {1}, frozenset({1}), None, 1j, range(3)]:\n"
            "    assert f(x) == x and type(f(x)) is type(x)"
        ],
        "passed",
    ),
    "a list is no tuple": Case("def f(): return (1, 2)", ["assert f() == [1, 2]"], "wrong"),
    "values of the library's types": Case(
        "from array import array\nfrom collections import ChainMap, OrderedDict, UserDict, UserList\n"
        "from datetime import datetime, time, timedelta, timezone\n"
        "values = [array('d', [1, 2]), array('i'), ChainMap({1: 2}, {3: 4}), UserDict(a=1), UserList([1]),\n"
        "    datetime(2024, 1, 1, tzinfo=timezone.utc), time(1, tzinfo=timezone(timedelta(hours=2))), timezone.utc,\n"
        "    {1: 2}.keys(), {1: 2}.items(), OrderedDict([(3, 4)]).keys(), KeyError, UserDict, range(10**18)]\n"
        "def f(i): return values[i]",
        [
            "assert f(0) == array('d', [1, 2]) and f(1) == array('i') and f(2) == ChainMap({1: 2}, {3: 4})\n"
            "assert f(3) == UserDict(a=1) == {'a': 1} and f(4) == UserList([1]) == [1]\n"
            "assert f(5) == datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))\n"
            "assert f(6) == time(1, tzinfo=timezone(timedelta(hours=2))) and f(7) is timezone.utc\n"
            "assert f(8) == {1: 3}.keys() == {1} and f(9) == {(1, 2)} and sorted(f(10)) == [3] and f(8) != [1]\n"
            "assert f(11) is KeyError and issubclass(f(11), LookupError) and f(12) is UserDict\n"
            "assert f(13) == range(10**18) and len(f(13)) == 10**18 and 10**17 in f(13) and f(13)[-1] == 10**18 - 1",
            *(
                "assert f(0) == array('f', [1, 3])",
                "assert f(5) == datetime(2024, 1, 1, tzinfo=timezone(timedelta(0, 1)))",
            ),
            *("assert f(2) == {1: 2}", "assert f(3) == {}", "assert f(8) == {2}", "assert f(11) is ValueError"),
        ],
        "passed wrong wrong wrong wrong wrong wrong",
        setup="from array import array\nfrom collections import ChainMap, UserDict, UserList\n"
        "from datetime import datetime, time, timedelta, timezone",
    ),
    "arguments of the library's types changed in place": Case(
        "def f(a, c, u, k):\n    a.append(3)\n    c['new'] = 1\n    u.data = [7]\n    return k, u",
        [
            "from array import array\nfrom collections import ChainMap, UserList\n"
            "a, first, u, d = array('i', [1]), {}, UserList(), {1: 2}\n"
            "k, back = f(a, ChainMap(first, {}), u, d.keys())\n"
            "assert a == array('i', [1, 3]) and first == {'new': 1} and u == [7] and back is u\n"
            "d[5] = 6\nassert k == {1, 5}"
        ],
        "passed",
    ),
    "a NaN that comes back is the one that went, and another one is not": Case(
        "import math\ndef f(x, new=False): return [float('nan') if new else x]\ndef g(): return math.nan",
        [
            "nan = float('nan')\nassert f(nan) == [nan] and f(nan)[0] is nan and nan in f(nan) and f([nan]) == [[nan]]",
            "import math\nassert f(math.nan) == [math.nan] == [g()] and {math.nan: 1} == {g(): 1}",
            "nan = float('nan')\nassert f(nan, True) == [nan]",
            "import math\nassert f(math.nan, True) == [math.nan]",
            "assert f(1, True) == f(1, True)",
            "assert f(1e999 - 1e999) == [1e999 - 1e999]",
        ],
        "passed passed wrong wrong wrong wrong",
    ),
    "an argument of more digits than decimals are written with": Case(
        "def f(x): return x", [f"assert f({10**5000:#x}) == {10**5000:#x}", "assert f(1) == 2"], "passed wrong"
    ),
    "True is 1 as in Python": Case("def f(): return True", ["assert f() == 1", "assert f() is True"], "passed"),
    "an object of the program's own class": Case(
        "class Node:\n    def __init__(self, v):\n        self.v, self.next = v, None\n"
        "def f(node):\n    return node.v + (f(node.next) if node.next else 0)",
        ["assert f(root) == 3"],
        "passed",
        setup="root = Node(1)\nroot.next = Node(2)",
    ),
    "an object that is iterated, indexed, measured": Case(
        "class Bag:\n    def __len__(self): return 3\n    def __getitem__(self, i): return [5, 6, 7][i]\n"
        "    def __contains__(self, x): return x == 6\n    def __bool__(self): return False\n"
        "    def __str__(self): return 'bag'\n"
        "def f(): return Bag()",
        ["b = f()\nassert len(b) == 3 and b[1] == 6 and 6 in b and not b and str(b) == 'bag' and list(b) == [5, 6, 7]"],
        "passed",
    ),
    "a generator": Case(
        "def f(n):\n    for i in range(n):\n        yield i",
        [
            "assert list(f(3)) == [0, 1, 2]",
            "assert f(3) == [0, 1, 2]",
            "g = f(1)\nassert next(g) == 0\nassert next(g, 7) == 7",
        ],
        "passed wrong passed",
    ),
    "a function that comes back": Case("def f(n): return lambda x: x + n", ["assert f(2)(3) == 5"], "passed"),
    "a class under test": Case(
        "class f:\n    def __init__(self): self.items = []\n    def push(self, x): self.items.append(x)",
        ["s = f()\ns.push(1)\ns.push(2)\nassert s.items == [1, 2]\nassert isinstance(s, f)"],
        "passed",
    ),
    "helpers of the program's": Case(
        "def help(x): return x * 2\ndef f(x): return help(x)", ["assert helper(1) == 2"], "infra_error"
    ),
    "a helper the test calls": Case(
        "def helper(x): return x * 2\ndef f(x): return x", ["assert helper(f(1)) == 2"], "passed"
    ),
    "the prompt's empty function does not hide the program's": Case(
        "def f(x): return x",
        ["assert f(3) == twice(1) + 1"],
        "passed",
        setup="def f(x):\n    pass\ndef twice(x): return 2 * x",
    ),
    "a setup that calls the program": Case(
        "def f(x): return x * 2", ["assert known == 4"], "passed", setup="known = f(2)"
    ),
    "tests do not see each other's names": Case(
        "def f(): return 1", ["seen = f()\nassert seen == 1", "assert 'seen' not in dir()\nassert f() == 1"], "passed"
    ),
    "tests see the same random numbers": Case(
        "def f(x): return x", ["import random\nassert f(random.randint(0, 10**9)) == 906691059"], "passed"
    ),
    "__main__ is not run": Case(
        "def f(): return 1\nif __name__ == '__main__':\n    f = None", ["assert f() == 1"], "passed"
    ),
    "operators of the program's class": Case(
        "class f:\n    def __init__(self, x): self.x = x\n    def __eq__(self, other): return self.x == other.x\n"
        "    def __hash__(self): return hash(self.x)\n    def __lt__(self, other): return self.x < other.x\n"
        "    def __add__(self, other): return f(self.x + other.x)\n    def __rmul__(self, n): return f(n * self.x)\n"
        "    def __abs__(self): return abs(self.x)\n    def __contains__(self, x): return x == self.x\n"
        "    def __format__(self, how): return how",
        [
            *("assert f(1) == f(1)", "assert f(1) in [f(1)]", "assert f(1) < f(2)", "assert (f(1) + f(2)).x == 3"),
            *("assert (2 * f(1)).x == 2", "assert abs(f(-1)) == 1", "assert 1 in f(1)", "assert f'{f(1):z}' == 'z'"),
            "assert len({f(1), f(1)}) == 1",
        ],
        "infra_error",
        "^the test itself failed: Uncrossable: a test uses __eq__ of f, which cannot cross",
    ),
    "what a class says that it contains": Case(
        "class Bag:\n    def __init__(self, *items): self.items = list(items)\n"
        "    def __iter__(self): return iter(self.items)\n"
        "class Right(Bag):\n    def __contains__(self, x): return x in self.items\n"
        "class Wrong(Bag):\n    def __contains__(self, x): return False\n"
        "class AnyCase(Bag):\n    def __contains__(self, x): return x.lower() in self.items\n"
        "class Cache:\n    def __init__(self, **found): self.found = found\n"
        "    def __contains__(self, key): return key in self.found\n"
        "    def __getitem__(self, key): return self.found[key]\nf = Right",
        [
            *("assert 1 in Wrong(1, 2)", "assert 'A' in AnyCase('a')", "assert 'a' in Cache(a=1)"),
            *("assert 1 in Right(1, 2) and 3 not in Right(1, 2)", "assert 3 in Right(1, 2)"),
        ],
        "infra_error infra_error infra_error passed wrong",
        "uses __contains__ of Wrong",
    ),
    "no operators in the program's class": Case(
        "class f: pass",
        [
            *("a = f()\nassert a == a and a != f() and a in [f(), a] and {a: 1}[a] == 1", "assert f() == f()"),
            *("assert f() < f()", "assert len({f(), f()}) == 1", "assert 1 in f()", "assert abs(f()) == 1"),
        ],
        "passed wrong wrong wrong wrong wrong",
    ),
    "operators of objects that are no answers": Case(
        "class A:\n    def __init__(self): self.items = {1: 2}\n    def __delitem__(self, key): del self.items[key]\n"
        "    def __enter__(self): return self\n    def __exit__(self, *error): self.items = {}\n"
        "    def __reversed__(self): return iter([2, 1])\ndef f(): return A()",
        [
            "a = f()\ndel a[1]\nassert a.items == {}",
            "a = f()\nwith a as b:\n    assert b is a and a.items\nassert not a.items",
            "with f():\n    raise ValueError",
            "with f():\n    assert False",
            "a = f()\ndel a.items\nassert not hasattr(a, 'items') and list(reversed(a)) == [2, 1]",
        ],
        "passed passed wrong wrong passed",
    ),
    "a test that changes what the program holds": Case(
        "class f:\n    def __init__(self): self.items, self.by = [], {'a': []}\n"
        "    def pop(self): return self.items.pop()",
        [
            "a = f()\na.items.append(1)\nassert a.pop() == 1",
            "a = f()\na.by['a'].append(1)\nassert a.by == {'a': [1]}",
            "a = f()\na.items = [1]\nassert a.items == [1] and a.pop() == 1",
            "a = f()\nassert a.items == [1]",
        ],
        "passed passed passed wrong",
    ),
    "what kind of object it is": Case(
        "class A: pass\nclass generator: pass\n"
        "def f(x):\n    'Says it.'\n    return [A(), (i for i in 'ab'), map(str, [1]), generator()][x]",
        [
            "assert type(f(0)).__name__ == f(0).__class__.__name__ == 'A' and f.__doc__ == 'Says it.'",
            "import types\nassert isinstance(f(1), types.GeneratorType) and type(f(1)).__name__ == 'generator'",
            "assert isinstance(f(2), map) and not isinstance(f(2), list)",
            "import types\nassert isinstance(f(3), types.GeneratorType)",
            "assert isinstance(f(1), list)",
        ],
        "passed passed passed wrong wrong",
    ),
    "keywords that our own side uses": Case("def f(**k): return k", ["assert f(self=1) == {'self': 1}"], "passed"),
    "a defaultdict with a function of the program's": Case(
        "from collections import defaultdict\ndef f():\n    d = defaultdict(lambda: 7)\n    d[1] = 2\n    return d",
        [
            *("assert f() == {1: 2}", "assert f()[1] == 2", "assert f()[3] == 7", "assert f()[3] == 8"),
            "import copy\nassert copy.deepcopy(f())[3] == 7",
        ],
        "passed passed passed wrong passed",
    ),
    "a defaultdict with a function of the test's own": Case(
        "def f(x):\n    x['a'].append(1)\n    return x",
        [
            "from collections import defaultdict\nassert f(defaultdict(list)) == {'a': [1]}",
            "from collections import defaultdict\nassert f(defaultdict(lambda: [])) == {'a': [1]}",
            "from collections import defaultdict\nd = defaultdict(lambda: [])\nassert f(d) is d and d['b'] == []",
            "from collections import defaultdict\nassert f(defaultdict(f)) == {'a': [1]}",
            "from collections import defaultdict\nn = [1]\nassert f(defaultdict(lambda: n)) == {'a': [1]}",
        ],
        "passed passed passed infra_error wrong",
    ),
    "a defaultdict with a function that the test handed in": Case(
        "from collections import defaultdict\ndef f(g):\n    d = defaultdict(g)\n    d[1]\n    return d",
        [
            "assert f(lambda: 7) == {1: 7} and f(lambda: 7)[2] == 7",
            "h = lambda: 7\nassert f(h).default_factory is h and f(f(h).default_factory) == {1: 7}",
            "assert f(lambda: 7) == {1: 8}",
        ],
        "passed passed wrong",
    ),
    "a defaultdict with a function that comes back": Case(
        "from collections import defaultdict\ndef f(x=None): return defaultdict(lambda: 7, x or {})",
        ["assert f(f({1: 2})) == {1: 2}"],
        "passed",
    ),
    "a defaultdict with a function that fails": Case(
        "from collections import defaultdict\ndef f(): return defaultdict(lambda: 1 // 0)",
        ["assert f()[3] == 0"],
        "exception",
        error_type="ZeroDivisionError",
    ),
    "a defaultdict with a class that no name stands for": Case(
        "from collections import defaultdict\nclass A:\n    x = 3\n"
        "def f(): return {'a': defaultdict(A), 't': defaultdict(tuple)}",
        ["assert f()['a'][1].x == 3 and f()['t'][0] == () and f()['t'] == {}"],
        "passed",
    ),
    # Hacks: ways to be judged right without being right
    "an int that equals everything": Case(
        "class E(int):\n    def __eq__(self, other): return True\n    __hash__ = None\ndef f(): return E(1)",
        ["assert f() == 2"],
        "wrong",
    ),
    "an object that equals everything": Case(
        "class E:\n    def __eq__(self, other): return True\ndef f(): return E()",
        ["assert f() == 2", "assert 2 == f()"],
        "wrong",
    ),
    "an object that equals everything, of a class called as the function": Case(
        "class f:\n    def __init__(self, x): pass\n    def __eq__(self, other): return True\n"
        "    def __sub__(self, other): return 0\n    def __float__(self): return 2.0",
        ["assert f(1) == 2", "assert abs(f(1) - 2) < 1e-6", "import math\nassert math.isclose(candidate(1), 2)"],
        "wrong",
    ),
    "an object of a class in the function, and called like it": Case(
        "def f(x):\n    class f:\n        def __eq__(self, other): return True\n    return f()",
        ["assert f(1) == 2", "result = f(1)\nassert result == [2] and result.count(2) == 1"],
        "wrong",
    ),
    "a class under test, which is not what else is an answer": Case(
        "class f:\n    def __init__(self, x): self.x = x\n    def __mul__(self, n): return f(n * self.x)\n"
        "    def __eq__(self, other): return self.x == other.x",
        ["v = f(1) * 2\nassert v == f(2)"],
        "infra_error",
    ),
    "an operator of a class under test whose attributes other tests read": Case(
        "class f:\n    def __init__(self, x): self.x = x\n    def __abs__(self): return abs(self.x)",
        ["v = f(1)\nassert v.x == 1", "assert abs(f(-1)) == 1"],
        "passed infra_error",
    ),
    "an object that never differs": Case(
        "class E:\n    def __ne__(self, other): return False\n    def __eq__(self, other): return True\n"
        "def f(): return E()",
        ["if f() != 2:\n    raise AssertionError('differs')"],
        "wrong",
        "differs",
    ),
    "a str that equals everything": Case(
        "class E(str):\n    def __eq__(self, other): return True\n    def __hash__(self): return 0\n"
        "def f(): return E('x')",
        ["assert f() == 'y'"],
        "wrong",
    ),
    "a list that equals everything": Case(
        "class E(list):\n    def __eq__(self, other): return True\ndef f(): return E([1])",
        ["assert f() == [2]"],
        "wrong",
    ),
    "a float that is close to everything": Case(
        "class E(float):\n    def __sub__(self, other): return 0.0\n    def __rsub__(self, other): return 0.0\n"
        "    def __abs__(self): return 0.0\n    def __lt__(self, other): return True\ndef f(): return E(1.0)",
        ["assert abs(f() - 2.0) < 1e-6"],
        "wrong",
    ),
    "an element that equals everything": Case(
        "class E(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\n"
        "def f(): return [E(1)], {'k': (E(1),)}",
        ["assert f() == ([2], {'k': (2,)})"],
        "wrong",
    ),
    "an object that is less than everything": Case(
        "class E:\n    def __lt__(self, other): return True\n"
        "    def __sub__(self, other): return self\n    def __abs__(self): return self\n"
        "def f(): return E()",
        ["assert abs(f() - 2.0) < 1e-6"],
        "wrong",
        "could not use the answer: TypeError",
    ),
    "a dict subclass with other items": Case(
        "class D(dict):\n    def items(self): return [('a', 1)]\n    def __eq__(self, other): return True\n"
        "def f(): return D()",
        ["assert f() == {'a': 1}"],
        "wrong",
    ),
    "sys.exit(0) in the function": Case(
        "import sys\ndef f(): sys.exit(0)", ["assert f() == 1"], "exception", "^SystemExit: 0$", error_type="SystemExit"
    ),
    "exit() in the module": Case(
        "exit(0)\ndef f(): return 1", ["assert f() == 1"], "exception", "SystemExit", error_type="SystemExit"
    ),
    "raise SystemExit at the test": Case(
        "def f(): raise SystemExit", ["assert f() == 1"], "exception", error_type="SystemExit"
    ),
    "an exception that the test raises anew": Case(
        "def f(): raise PermissionError('no')",
        ["try: f()\nexcept Exception as error: raise type(error)(f'{error}: f()')"],
        "wrong",
        "could not use the answer: PermissionError: no: f",
    ),
    "an error of the test's own where it handles one of the program's": Case(
        "def f(): raise ValueError", ["try: f()\nexcept ValueError: import nowhere"], "infra_error", "nowhere"
    ),
    "an AssertionError of its own is an exception": Case(
        "def f(): assert False, 'mine'",
        ["assert f() == 1"],
        "exception",
        "^AssertionError: mine$",
        error_type="AssertionError",
    ),
    "an exception that the test expects from itself": Case(
        "def f(): raise KeyboardInterrupt", ["f()"], "exception", "KeyboardInterrupt", error_type="KeyboardInterrupt"
    ),
    "a shadowed abs": Case("def abs(x): return 0\ndef f(): return 1.0", ["assert abs(f() - 2.0) < 1e-6"], "wrong"),
    "a shadowed len, all and sorted": Case(
        "len = all = sorted = lambda *a: 3\ndef f(): return [2, 1]",
        ["assert len(f()) == 3", "assert all(x > 5 for x in f())", "assert sorted(f()) == 3"],
        "wrong",
    ),
    "a check of its own": Case(
        "def check(candidate): pass\ndef f(): return 1",
        ["check(f)"],
        "wrong",
        setup="def check(c):\n    assert c() == 2",
    ),
    "an AssertionError that is never raised": Case(
        "class AssertionError: pass\ndef f(): return 1", ["assert f() == 2"], "wrong"
    ),
    "patched builtins": Case(
        "import builtins\nbuiltins.abs = lambda x: 0\ndef f(): return 1.0", ["assert abs(f() - 2) < 1"], "wrong"
    ),
    "frames up to the expected value": Case(
        "import sys\ndef f(): return sys._getframe(1).f_code.co_consts", ["assert f() == 2"], "refused"
    ),
    "a traceback up to the expected value": Case(
        "def f():\n    try:\n        1 / 0\n    except Exception as e:\n        return e.__traceback__.tb_frame",
        ["assert f() == 2"],
        "refused",
    ),
    "the garbage collector's objects": Case(
        "import gc\ndef f(): return gc.get_objects()", ["assert f() == 2"], "refused"
    ),
    "the test's module": Case("import __main__\ndef f(): return 1", ["assert f() == 2"], "refused"),
    "inspect": Case("import inspect\ndef f(): return inspect.stack()", ["assert f() == 2"], "refused"),
    "a generator that answers as it is asked": Case(
        "def f():\n    x = yield 1\n    yield x", ["assert list(f()) == [1, 2]"], "wrong"
    ),
    "a state that counts the calls": Case(
        "n = 0\ndef f():\n    global n\n    n += 1\n    return n",
        ["assert f() == 1", "assert f() == 2", "assert f() == 2"],
        "passed passed wrong",
    ),
    "an argument swapped for the answer": Case(
        "def f(a, expected):\n    expected[:] = [0]\n    return [0]",
        ["e = [1]\nr = f([1], e)\nassert r == [1]"],
        "wrong",
    ),
    **{
        f"objects that only what the program made of them collects or compares: {name}": Case(
            "from collections import ChainMap, Counter, UserDict\nclass K:\n    def __init__(self, n): self.n = n\n"
            "    def __eq__(self, other): return True\n    def __hash__(self): return self.n\n"
            "class J:\n    n = 0\n    def __iter__(self):\n        J.n += 1\n"
            "        return iter([A, B] if J.n % 2 else [B, A])\n    def __getitem__(self, key): return 1\n"
            f"A, B, u = K(1), K(2), UserDict()\ndef f():\n    {source}",
            [test],
            "wrong",
            "^AssertionError",
        )
        for name, source, test in (
            ("a ChainMap", "return ChainMap({A: 1})", "assert f() == {'a': 1}"),
            ("a ChainMap of lists", "c = ChainMap()\n    c.maps = [[A]]\n    return c", "assert list(f()) == [1]"),
            ("a UserDict", "return UserDict({A: 1})", "assert f() == {'a': 1}"),
            ("a UserDict of its own items", "u.data = J()\n    return u", "assert f() == {'a': 1}"),
            ("a Counter", "return Counter({A: 1})", "from collections import Counter\nassert f() == Counter('a')"),
            ("keys", "return {A: 1, B: 2}.keys()", "assert f() == {1, 2}"),
            ("keys that the test asks for", "return {A: 1, B: 2}", "assert f().keys() == {1, 2}"),
            ("items", "return {1: A, 2: (B,)}.items()", "assert f() == {(1, 1), (2, 2)}"),
        )
    },
    "objects that the test itself collects": Case(
        "class K:\n    def __eq__(self, other): return type(other) is K\n    def __hash__(self): return 1\n"
        "def f(): return [K(), K()]",
        ["assert len(set(f())) == 1"],
        "infra_error",
        "uses __eq__ of K",
    ),
    "a loop in the test over what came back": Case(
        "def f(): return range(10**18)",
        ["for _ in f():\n    pass"],
        "time_limit",
        "with what the program gave",
    ),
    "a loop without end in the test": Case(
        "def f(): return 1", ["f()\nwhile True:\n    pass"], "infra_error", "^the tests ran over 4 CPU seconds$"
    ),
    "a loop in the test as long as the answer says": Case(
        "def f(): return 10**18",
        ["assert f() == 10**18\nfor _ in range(f()):\n    pass"],
        "time_limit",
        "^the tests ran over 4 CPU seconds with what the program gave, and would not without$",
    ),
    "an answer of which the test keeps more than there is memory": Case(
        "def f(): return range(10**18)",
        ["keep = [bytes(1 << 30), bytes(800 << 20)]\nfor v in f(): keep.append([v])\nassert keep == [1]"],
        "wrong",
        "could not use the answer: MemoryError",
    ),
    "a loop in the test as long as the program made an argument": Case(
        "def f(a): a[0] = 10**18",
        ["a = [1]\nf(a)\nfor _ in range(a[0]):\n    pass"],
        "time_limit",
        "with what the program gave",
    ),
    "a loop without end in a test that the program passes so far": Case(
        "def f(): return 1",
        ["assert f() == 1\nwhile True:\n    pass"],
        "infra_error",
        "^the tests ran over 4 CPU seconds$",
    ),
    "an answer too long to send": Case(
        "def f(): return 'x' * (1 << 21)", ["assert f() == ''"], "output_limit", "2097\\d+ bytes"
    ),
    "an answer too deep to send": Case(
        "def f():\n    x = []\n    for _ in range(5000): x = [x]\n    return x",
        ["assert f() == []"],
        "refused",
        "nested too deep to cross",
    ),
    "a generator that is sent values": Case(
        "def f():\n    t = 0\n    while True:\n        x = yield t\n        if x is None: return t\n        t += x",
        [
            "g = f()\nnext(g)\nassert [g.send(3), g.send(4)] == [3, 7]\n"
            "try: g.send(None)\nexcept StopIteration as end: assert end.value == 7\nelse: assert False",
            "g = f()\nassert g.__next__() == 0\ntry: g.throw(StopIteration)\nexcept RuntimeError: pass",
        ],
        "passed",
    ),
    "a StopIteration of what is only called send": Case(
        "class G:\n    def send(self, x): raise StopIteration\ndef f(): return G()",
        ["assert list(map(f().send, [1, 2])) == []"],
        "exception",
        error_type="StopIteration",
    ),
    "a StopIteration that would end the test's own loop": Case(
        "def f(x): raise StopIteration",
        ["for a, b in zip(map(f, [1, 2]), [3, 4]): assert a == b", "assert all(map(f, [1]))"],
        "exception",
        "StopIteration: the program raised StopIteration",
        error_type="StopIteration",
    ),
    "a StopIteration that the test names": Case(
        "def f(xs): return next(iter(xs))\nclass It:\n    def next(self): raise StopIteration('done')",
        [
            "try: f([])\nexcept StopIteration as end: assert end.value is None\nelse: assert False",
            "try: It().next()\nexcept (KeyError, StopIteration) as end: assert str(end) == 'done'\nelse: assert False",
            "def raises(kind, call, *args):\n    try: call(*args)\n    except kind: return True\n"
            "assert raises(StopIteration, f, []) and raises(StopIteration, It().next)",
        ],
        "passed",
    ),
    "a StopIteration where the test wants a RuntimeError": Case(
        "def f(xs): return next(iter(xs))",
        ["try: f([])\nexcept RuntimeError: pass"],
        "exception",
        error_type="StopIteration",
    ),
    "an answer that claims to hold the expected value": Case(
        "class A:\n    def __contains__(self, x): return True\ndef f(): return A()",
        ["assert 5 in f()"],
        "wrong",
        "not iterable",
    ),
    "an answer that claims to be less": Case(
        "class A:\n    def __lt__(self, x): return True\ndef f(): return A()",
        ["assert f() < 2"],
        "wrong",
        "not supported",
    ),
    "a class called as a module that the test uses": Case(
        "class math: isclose = staticmethod(lambda *a: True)\ndef f(): return 3",
        ["assert math.isclose(f(), 2.5)"],
        "wrong",
    ),
    "a test that uses a module which the program imported": Case(
        "import math\ndef f(): return 2.5", ["assert math.isclose(f(), 2.5)"], "passed"
    ),
    "a module's name for something that the program took from the module": Case(
        "from array import array\nfrom copy import copy\nfrom datetime import datetime\ndef f(x): return x",
        ["assert f(datetime(2020, 1, 1)).year == 2020", "assert f(copy([1])) == list(array('i', [1]))"],
        "passed",
    ),
    "a module's name for what the program may well call so": Case(
        "class queue:\n    def __init__(self): self.n = 0\n    def put(self): self.n += 1\n"
        "def string(x): return str(x)\ndef f(q): return q.n",
        ["q = queue()\nq.put()\nassert f(q) == 1", "assert string(f(queue())) == '0'"],
        "passed",
    ),
    "codecs that programs have": Case(
        "def f(text, codec): return text.encode(codec)",
        [f"assert f('b\u00fc', {name!r}).decode({name!r}) == 'b\u00fc'" for name in ("cp1252", "utf-8-sig", "idna")]
        + ["import codecs\nassert f('a', 'ascii') == codecs.decode('61', 'hex')"],
        "passed",
    ),
    "an exception whose args are something else": Case(
        "class E(Exception): args = 5\ndef f(): raise E()", ["assert f() == 1"], "exception", "E: ", error_type="E"
    ),
    "an answer that raises while it is read": Case(
        "class K:\n    n = 0\n    def __hash__(self):\n        K.n += 1\n        return 1 if K.n < 2 else 1 / 0\n"
        "class D(dict): pass\ndef f():\n    d = D()\n    d[K()] = 1\n    return d",
        ["assert f() == 1"],
        "exception",
        "division by zero",
        error_type="ZeroDivisionError",
    ),
    "an answer that is a few lists and 2**60 items": Case(
        "def f():\n    a = []\n    for _ in range(60): a = [a, a]\n    return a",
        ["assert f() == [1], f'got {f()!r}'"],
        "output_limit",
        "more than 10000000 items when written out",
    ),
    "an answer that is a ladder of lists": Case(
        "def f():\n    steps = [[0]]\n    for i in range(40): steps.append([steps[i], steps[i]])\n    return steps",
        ["assert f() == [1], f'got {f()!r}'"],
        "output_limit",
        "more than 10000000 items when written out",
    ),
    "digits without a limit": Case(
        "import sys\nsys.set_int_max_str_digits(0)\ndef f(): return 10 ** 5000", ["assert f() == 10 ** 5000"], "passed"
    ),
    "a MemoryError that will not say what it is": Case(
        "class E(MemoryError):\n    def __str__(self): raise ValueError\ndef f(): raise E",
        ["assert f() == 1"],
        "memory_limit",
        "out of 512 MB",
    ),
    "an answer in a cycle, which is few items": Case(
        "def f():\n    a = [1]\n    a.append(a)\n    return a", ["assert f()[1][1][0] == 1"], "passed"
    ),
    "a number whose digits would fill the memory": Case(
        "from decimal import Decimal\ndef f(): return Decimal('1e999999999')",
        ["assert int(f()) == 1"],
        "wrong",
        "int()",
    ),
    "an endless iterator": Case(
        "import itertools\ndef f(): return itertools.count()",
        ["assert list(f()) == 1"],
        "step_limit",
        "more than 50000 operations on what it gave",
    ),
    "a message that no table takes": Case(
        "def f(): raise ValueError('\\ud800\\x1b[31m')",
        ["assert f() == 1"],
        "exception",
        r"ValueError: \\ud800\\x1b\[31m",
        error_type="ValueError",
    ),
    "a setup that calls the program first": Case(
        "n = 0\ndef f():\n    global n\n    n += 1\n    return n",
        ["assert f() == 2", "assert f() == 3"],
        "passed",
        setup="def g(): return f()\nknown = g()",
    ),
    "a test of many inputs, and a generator of many items": Case(
        "def f(n):\n    for i in range(n): yield i",
        ["assert list(f(20_000)) == list(range(20_000))", "for i in range(11_000): f(i)"],
        "passed",
    ),
    "a test that wants a file, behind the judge's own walls": Case(
        "def f(): return 1",
        ["f()\nopen('x')"],
        "infra_error",
        "the test itself failed: PermissionError",
    ),
    "a PermissionError of the program's": Case(
        "def f(): raise PermissionError(13, 'no')",
        ["assert f() == 1"],
        "exception",
        "PermissionError: ",
        error_type="PermissionError",
    ),
    "a generator of the module's": Case(
        "def g():\n    yield 0\n    yield 1\nn = g()\ndef f(): return next(n)",
        ["assert f() == 0", "assert f() == 1"],
        "passed",
    ),
    "a stream of the module's": Case(
        "import io\nout = io.StringIO()\ndef f(x):\n    print(x, file=out)\n    return out.getvalue()",
        ["assert f(1) == '1\\n'"],
        "passed",
    ),
    "what the module registers for its end": Case(
        "import atexit\nmemo = [1]\natexit.register(memo.clear)\ndef f(): return memo[0]", ["assert f() == 1"], "passed"
    ),
    "a step limit that the test would catch": Case(
        "def f():\n    while True: pass",
        ["try:\n    f()\nexcept BaseException:\n    pass", "assert True"],
        "step_limit",
        "2000000 steps",
    ),
}


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    programs = (
        Program(case.source, "function", tuple(map(Test, case.tests)), case.name, case.setup, key)
        for key, case in CASES.items()
    )
    return {result.key: result for result in run_many(programs, limits=LIMITS, workers=2)}


@pytest.mark.parametrize("key", CASES)
def test_verdict(key: str, results: dict[str, Result]) -> None:
    case, result = CASES[key], results[key]
    words = case.statuses.split()
    wanted = words * len(case.tests) if len(words) == 1 else words
    assert [test.status for test in result.tests] == wanted, result
    failed = [status for status in wanted if status != "passed"]
    assert result.status == (failed[0] if failed else "passed")
    assert re.search(case.reason, result.error_message or ""), result.error_message
    assert result.error_type == case.error_type
    assert result.num_passed == wanted.count("passed") and result.score == result.num_passed / len(wanted)


def stdio(source: str, *pairs: tuple[str, str]) -> Result:
    tests = tuple(Test(stdin=stdin, stdout=stdout) for stdin, stdout in pairs)
    (result,) = run_many([Program(source, "stdio", tests)], limits=LIMITS, workers=1)
    return result


STDIO: dict[str, tuple[str, list[tuple[str, str]], str, str]] = {
    "sum of two": ("print(sum(map(int, input().split())))", [("1 2\n", "3\n"), ("5 6", "11")], "passed", ""),
    "white space does not count": ("print(' 1\\n\\n2   3\\n')", [("", "1 2\n3")], "passed", ""),
    "decimals are numbers": ("print('1.0', 0.1 + 0.2, 1e9)", [("", "1 0.3 1000000000.0")], "passed", ""),
    "decimals far off": ("print(0.30001)", [("", "0.3")], "wrong", "token 1 of the output: expected '0.3', found"),
    "an integer written as a float": ("print(123456789.0)", [("", "123456789")], "passed", ""),
    "an integer computed in floats": ("print(4.9999999999)", [("", "5")], "passed", ""),
    "a large integer that is near": ("print(123456700.0)", [("", "123456789")], "wrong", "expected '123456789'"),
    "a larger integer rounded": ("print(1.2345678901e17)", [("", "123456789012345678")], "wrong", "token 1"),
    "a zero with a long exponent": ("print('0e999999999')", [("", "7")], "wrong", "token 1 of the output"),
    "a zero whose exponent no decimal has": ("print('0e-99999999999999999999')", [("", "7")], "wrong", "token 1"),
    "a number whose exponent no decimal has": ("print('1e-99999999999999999999')", [("", "0")], "passed", ""),
    "numbers beyond any float": (
        "print('1e400', '-' + '9' * 310 + '.5')",
        [("", "2e400 -1e309")],
        "wrong",
        "token 1 of",
    ),
    "digits that only Python takes for a number": ("print('1_0.0')", [("", "10")], "wrong", "found '1_0.0'"),
    "digits of another script": ("print('\u0663.0')", [("", "3")], "wrong", "expected '3'"),
    "a small number with a long exponent": ("print('1e-999999999')", [("", "0")], "passed", ""),
    "an infinity for an integer": ("print(float('inf'))", [("", "7")], "wrong", "token 1"),
    "an exit with something that claims to be zero": (
        "class Z:\n    def __eq__(self, other): return True\nraise SystemExit(Z())",
        [("", "")],
        "exception",
        "SystemExit",
    ),
    "integers are text": ("print('01')", [("", "1")], "wrong", "token 1 of the output: expected '1', found '01'"),
    "big integers are exact": ("print(10**20 + 1)", [("", str(10**20))], "wrong", "token 1 of the output"),
    "yes and no in any case": ("print('YES', 'no')", [("", "Yes NO")], "passed", ""),
    "no other word in any case": ("print('ABC')", [("", "abc")], "wrong", "expected 'abc', found 'ABC'"),
    "nan is no number": ("print('nan')", [("", "1.5")], "wrong", "expected '1.5', found 'nan'"),
    "infinity is one": ("print('1e999')", [("", "1.5")], "wrong", "expected '1.5', found '1e999'"),
    "too little": ("print(1)", [("", "1 2")], "wrong", "expected 2 tokens of output, found 1"),
    "too much": ("print(1, 2)", [("", "1")], "wrong", "expected 1 tokens of output, found 2"),
    "no input left": ("input()\nprint(input())", [("1\n", "1")], "exception", "EOFError"),
    "exit 0 is a good end": ("import sys\nprint(1)\nsys.exit(0)", [("", "1")], "passed", ""),
    "exit without a code": ("print(1)\nexit()", [("", "1")], "passed", ""),
    "exit 1 is not": ("import sys\nprint(1)\nsys.exit(1)", [("", "1")], "exception", "SystemExit: 1"),
    "the right answer and then an exception": ("print(1)\n1 / 0", [("", "1")], "exception", "ZeroDivisionError"),
    "main is run": ("if __name__ == '__main__':\n    print(1)", [("", "1")], "passed", ""),
    "each test starts anew": ("x = []\nx.append(input())\nprint(len(x))", [("a", "1"), ("b", "1")], "passed", ""),
    "sys.stdin": ("import sys\nprint(len(sys.stdin.read().split()))", [("1 2\n3", "3")], "passed", ""),
    "no end": ("while True: pass", [("", "1")], "step_limit", "more than 2000000 steps"),
    "too much to print": ("while True: print('x' * 1000)", [("", "1")], "output_limit", "1048576"),
    "what streams and generators keep until the end": (
        "import io, sys\nout = io.TextIOWrapper(sys.stdout.buffer)\nout.write('late')\n"
        "def g():\n    try: yield\n    finally: print(' last')\nwaits = g()\nnext(waits)",
        [("", "late last")],
        "passed",
        "",
    ),
    "refused": ("import os\nos.system('ls')", [("", "1"), ("", "2")], "refused", "system"),
    "does not parse": ("print(", [("", "1"), ("", "2")], "exception", "SyntaxError"),
}


@pytest.mark.parametrize("name", STDIO)
def test_stdio_verdict(name: str) -> None:
    source, pairs, status, reason = STDIO[name]
    result = stdio(source, *pairs)
    assert {test.status for test in result.tests} == {status} and len(result.tests) == len(pairs)
    assert re.search(reason, result.error_message or ""), result.error_message


def test_a_stdio_budget_is_each_test_s_own() -> None:
    source = "n = int(input())\nfor i in range(n): pass\nprint(n)"
    result = stdio(source, ("1500000", "1500000"), ("3000000", "3000000"), ("1500000", "1500000"))
    assert [test.status for test in result.tests] == ["passed", "step_limit", "passed"]
    assert result.status == "step_limit" and result.score == pytest.approx(2 / 3)


def test_a_function_budget_is_the_whole_program_s() -> None:
    source = "def f(n):\n    for i in range(n): pass\n    return n"
    tests = tuple(Test(f"assert f({n}) == {n}") for n in (1_500_000, 1_500_000, 1))
    (result,) = run_many([Program(source, "function", tests, "f")], limits=LIMITS, workers=1)
    assert [test.status for test in result.tests] == ["passed", "step_limit", "step_limit"]


def test_steps_and_verdicts_are_the_same_in_every_run() -> None:
    source = "def f(n):\n    s = {str(i) for i in range(n)}\n    return [x for x in s][:5]"
    program = Program(source, "function", (Test("assert f(1000) == []"),), "f")
    results = list(run_many([program] * 6, limits=LIMITS, workers=2))
    assert len({(r.status, r.steps, r.error_message) for r in results}) == 1 and results[0].steps >= 1000


def test_no_evidence_wins_over_the_first_failure() -> None:
    statuses: list[Status] = ["wrong", "infra_error"]
    program = Program("def f(): return 1", "function", (Test("assert f() == 2"), Test("import nothing_such")), "f")
    (result,) = run_many([program], workers=1)
    assert [test.status for test in result.tests] == statuses and result.status == "infra_error"


def test_a_program_without_tests_is_no_evidence() -> None:
    (result,) = run_many([Program("x = 1", "function", (), "f")], workers=1)
    assert (result.status, result.error_message, result.score) == ("infra_error", "the program has no tests", 0.0)


@pytest.mark.parametrize(
    "meddling",
    [
        "import math\nmath.sqrt = lambda x: 7",
        "import math\nsetattr(math, 'sqrt', len)",
        "import builtins\nbuiltins.abs = len",
        "__builtins__['abs'] = len",
        "exec('import math; math.sqrt = len')",
        "import collections\ndel collections.Counter",
        "import math\nmath.__dict__['sqrt'] = len",
        "import sys\nsys.modules['math'] = sys.modules['bisect']",
        "import os\nos.path.join = None",
        "import collections\ndef nothing(self, key): return None\ncollections.Counter.__missing__ = nothing",
        "from sandbox import judge\njudge._outcome = lambda *a: ('infra_error', '', '')\nabs = len",
    ],
)
def test_what_one_program_s_tests_change_is_gone_for_the_next(meddling: str) -> None:
    check = (
        "import math, collections, os\nassert f() == abs(-2) == math.sqrt(4) and collections.Counter('a')['b'] == 0\n"
        "assert os.path.join('a') == 'a'"
    )
    programs = [Program("def f(): return 2", "function", (Test(code),), "f") for code in (f"f()\n{meddling}", check)]
    assert [result.status for result in run_many(programs, workers=1)] == ["passed", "passed"]


@pytest.mark.parametrize(
    "meddling, check",
    [
        ("import gc\ngc.disable()", "import gc\nassert f() and gc.isenabled()"),
        ("import gc\ngc.set_threshold(1)", "import gc\nassert f() and gc.get_threshold() != (1, 10, 10)"),
        (
            "from collections.abc import Sized\nSized.register(int)",
            "from collections.abc import Sized\nassert not isinstance(f(), Sized)",
        ),
        (
            "import numbers\ngetattr(numbers.Number, 'regis' + 'ter')(str)",
            "import numbers\nassert f() and not isinstance('', numbers.Number)",
        ),
        ("import calendar\ncalendar.setfirstweekday(6)", "import calendar\nassert f() and not calendar.firstweekday()"),
        ("import calendar\ncalendar.mdays[2] = 30", "import calendar\nassert f() and calendar.mdays[2] == 28"),
        ("import os\nos.environ['X'] = '1'", "import os\nassert f() and not os.environ"),
        ("import sys\nsys.setprofile(lambda *a: None)", "import sys\nassert f() and not sys.getprofile()"),
        (
            "import decimal\ndecimal.DefaultContext.prec = 3",
            "import decimal\nassert f() and decimal.Context().prec == 28",
        ),
        (
            "import signal\nsignal.signal(signal.SIGALRM, lambda *a: 1 / 0)\n"
            "signal.setitimer(signal.ITIMER_REAL, 0.05)",
            "assert f()\nfor i in range(10**7): pass",
        ),
        ("import math\nmath.pi = 3", "import math\nassert f() and math.pi > 3"),
        ("import random\nrandom.seed(5)", "import random\nassert f() and random.random() == 0.8444218515250481"),
        ("import sys\nsys.setrecursionlimit(90)", "import sys\nassert f() and sys.getrecursionlimit() > 90"),
    ],
    ids=lambda text: text.rpartition("\n")[2],
)
def test_what_one_program_s_tests_set_is_gone_for_the_next(meddling: str, check: str) -> None:
    programs = [Program("def f(): return 2", "function", (Test(code),), "f") for code in (f"f()\n{meddling}", check)]
    assert [result.status for result in run_many(programs, workers=1)] == ["passed", "passed"]


def test_what_the_judge_fails_of_costs_one_program_its_verdict() -> None:
    broken = "import sys\nvars(sys.modules['sandbox.judge'])['_outcome'] = None\nassert f() == 1"
    named = "error = NameError('x')\nerror.name = []\nf()\nraise error"
    good = Program("def f(): return 2", "function", (Test("assert f() == 2"),), "f")
    programs = [good, *(replace(good, tests=(Test(code),)) for code in (broken, named)), good]
    slot = Slot(Settings(limits=LIMITS))
    try:
        results = slot.judge_many(programs)
    finally:
        slot.close()
    assert [result.status for result in results] == ["passed", "infra_error", "infra_error", "passed"]
    assert results[1].error_message == "the judge failed: TypeError: 'NoneType' object is not callable"


def test_a_long_exception_of_the_module_and_a_long_question_do_not_wait_for_each_other() -> None:
    test = Test(f"assert f({list(range(100_000))}) == 1")
    program = Program("raise ValueError('a' * 900_000)\ndef f(x): return 1", "function", (test,), "f")
    (result,) = run_many([program], limits=replace(LIMITS, wall_seconds=20), workers=1)
    assert (result.status, result.error_type) == ("exception", "ValueError")


def test_what_a_test_filled_the_memory_with_is_let_go_of_before_anything_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To say what became of the test takes memory too, of which it may have left none."""
    held: list[weakref.ref[Any]] = []
    alive: list[Any] = []

    class Kept:
        def __init__(self) -> None:
            held.append(weakref.ref(self))

    def say(error: BaseException, *_: Any) -> tuple[str, str, str]:
        alive[:] = [kept() for kept in held]
        return "wrong", "", ""

    monkeypatch.setattr(judge, "_outcome", say)
    link = remote.Link(None)  # type: ignore[arg-type]
    fills = "def fills():\n    here = Kept()\n    try: {}[1]\n    except KeyError: raise MemoryError"
    text = f"everywhere = Kept()\n{fills}\nfills()"
    judge._execute(compile(text, "<test>", "exec"), {"Kept": Kept}, link, (text,))
    assert alive == [None, None]

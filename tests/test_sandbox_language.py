# ruff: noqa: E501  (one feature a line)
"""The Python that models write runs in the sandbox as it does in CPython: same output, same ending."""

import pytest

from sandbox.pool import run_many
from sandbox.verdict import Program, Test
from tests.untrusted import run, run_plain

FEATURES: dict[str, str] = {}


def feature(name: str, source: str) -> None:
    assert name not in FEATURES
    FEATURES[name] = source


feature("for else", "for i in range(3):\n    if i == 5: break\nelse:\n    print('else', i)")
feature("while else", "i = 0\nwhile i < 3:\n    i += 1\nelse:\n    print('else', i)")
feature(
    "while else with break",
    """
def f(n):
    i = 0
    while i < n:
        i += 1
        if i == 2:
            break
    else:
        return 'else'
    return 'broke'
print(f(1), f(5))
""",
)
feature(
    "while with continue in a function",
    """
def f(n):
    odd = []
    while n:
        n -= 1
        if n % 2 == 0:
            continue
        odd.append(n)
    return odd
print(f(9))
""",
)
feature(
    "while True with return",
    "def f():\n    n = 0\n    while True:\n        n += 1\n        if n > 4: return n\nprint(f())",
)
feature(
    "nested comprehensions",
    "print([[i * j for j in range(3) if j] for i in range(3)], {i: i*i for i in range(3)}, {c for c in 'aab'})",
)
feature("generator expression", "print(sum(i * i for i in range(10) if i % 2), list(zip((x for x in 'ab'), (1, 2))))")
feature("walrus", "if (n := len('abc')) > 2: print(n)\nprint([y for x in range(4) if (y := x * 2) > 2])")
feature(
    "star unpacking",
    "a, *b, c = range(5)\nprint(a, b, c)\nprint([*b, *'xy'], {**{'a': 1}, 'b': 2}, (lambda *a, **k: (a, k))(*[1], **{'z': 2}))",
)
feature("chained comparison", "print(1 < 2 < 3, 1 < 3 < 2, 1 == 1.0 != 2)")
feature(
    "conditional expression and lambda", "f = lambda x, *r, k=2, **o: x if x > k else -x\nprint(f(1), f(5), f(1, k=0))"
)
feature("f-strings", "x = 3.14159\nn = 'w'\nprint(f'{x:.2f} {x!r:>10} {n=} {{}} {10:0{5}d} {n:*^{4+3}}')")
feature(
    "percent and format",
    "print('%05.1f|%-5s|%x' % (3.14159, 'ab', 255), '{:>8,.2f}|{0!r}'.replace('{0!r}', '').format(1234567.891))",
)
feature(
    "format with fields",
    "class P:\n    x = 3\n    def __format__(self, s): return 'P' + s\nprint('{0.x} {p.x:>4} {0:q} {d[k]} {l[1]}'.format(P(), p=P(), d={'k': 1}, l=[1, 2]))",
)
feature("format_map", "print('{a}-{b}'.format_map({'a': 1, 'b': 2}))\nt = '{:>{w}}'\nprint(t.format('x', w=4))")
feature(
    "str.format as a function",
    "print(list(map('{:02d}'.format, [1, 2])), list(map(str.format, ['{}', '<{}>'], [1, 2])))",
)
feature(
    "closures and nonlocal",
    """
def counter():
    n = 0
    def step(by=1):
        nonlocal n
        n += by
        return n
    return step
c = counter()
print(c(), c(5), c())
""",
)
feature("global", "n = 0\ndef f():\n    global n\n    n += 1\nf(); f()\nprint(n)")
feature("default mutable argument", "def f(x, seen=[]):\n    seen.append(x)\n    return seen\nf(1)\nprint(f(2))")
feature("keyword-only and positional-only", "def f(a, /, b, *, c=3): return a, b, c\nprint(f(1, 2), f(1, b=2, c=4))")
feature(
    "decorators",
    """
import functools
def trace(label):
    def wrap(f):
        @functools.wraps(f)
        def inner(*args):
            print(label, f.__name__, args)
            return f(*args)
        return inner
    return wrap
@trace('t')
def add(a, b):
    'adds'
    return a + b
print(add(1, 2), add.__name__, add.__doc__, add.__wrapped__(3, 4))
""",
)
feature(
    "wrapped functions keep their annotations",
    """
import functools
def same(f):
    @functools.wraps(f)
    def inner(*args): return f(*args)
    return inner
@functools.singledispatch
def kind(x): return 'object'
@kind.register
@same
def _(x: int) -> str: return 'int'
print(kind(1), kind('a'), same(kind.dispatch(int)).__annotations__)
""",
)
feature(
    "copies of an exception with notes",
    """
import copy
error = ValueError('x', 3)
error.add_note('first')
for made in (copy.copy(error), copy.deepcopy(error)):
    print(repr(made), made.__notes__, made.__notes__ is error.__notes__)
""",
)
feature(
    "class with operators",
    """
class V:
    def __init__(self, x, y): self.x, self.y = x, y
    def __add__(self, o): return V(self.x + o.x, self.y + o.y)
    def __mul__(self, k): return V(self.x * k, self.y * k)
    __rmul__ = __mul__
    def __eq__(self, o): return isinstance(o, V) and (self.x, self.y) == (o.x, o.y)
    def __hash__(self): return hash((self.x, self.y))
    def __repr__(self): return f'V({self.x}, {self.y})'
    def __getitem__(self, i): return (self.x, self.y)[i]
    def __len__(self): return 2
    def __iter__(self): yield self.x; yield self.y
    def __contains__(self, v): return v in (self.x, self.y)
    def __neg__(self): return V(-self.x, -self.y)
    def __bool__(self): return bool(self.x or self.y)
    def __call__(self, z): return self.x + z
    def __lt__(self, o): return self.x < o.x
print(V(1, 2) + 3 * V(1, 1), V(1, 2) == V(1, 2), {V(1, 2): 'a'}[V(1, 2)], list(V(3, 4)), 3 in V(3, 4), -V(1, 0))
print(bool(V(0, 0)), V(1, 2)(10), sorted([V(2, 0), V(1, 0)]), V(5, 6)[1], len(V(0, 0)))
""",
)
feature(
    "inheritance and super",
    """
class A:
    kind = 'a'
    def __init__(self, n): self.n = n
    def hello(self): return f'A{self.n}'
class B(A):
    kind = 'b'
    def __init__(self, n, m):
        super().__init__(n)
        self.m = m
    def hello(self): return 'B' + super().hello()
class C(B):
    def hello(self): return 'C' + super(C, self).hello()
print(C(1, 2).hello(), C.kind, isinstance(C(1, 2), A), issubclass(C, B), [k.__name__ for k in C.__mro__])
""",
)
feature(
    "multiple inheritance",
    """
class A:
    def f(self): return ['A']
class B(A):
    def f(self): return ['B'] + super().f()
class C(A):
    def f(self): return ['C'] + super().f()
class D(B, C):
    def f(self): return ['D'] + super().f()
print(D().f())
""",
)
feature(
    "properties and class methods",
    """
class T:
    count = 0
    def __init__(self, c): self._c = c; T.count += 1
    @property
    def f(self): return self._c * 9 / 5 + 32
    @f.setter
    def f(self, v): self._c = (v - 32) * 5 / 9
    @classmethod
    def make(cls): return cls(10)
    @staticmethod
    def twice(x): return 2 * x
t = T.make()
t.f = 212
print(t.f, t._c, T.twice(4), T.count)
""",
)
feature(
    "private names",
    "class A:\n    def __init__(self): self.__x = 1\n    def get(self): return self.__x\nclass B(A):\n    def __init__(self):\n        super().__init__()\n        self.__x = 2\nb = B()\nprint(b.get(), b._A__x, b._B__x)",
)
feature(
    "underscored names the library has too",
    "class S:\n    def __init__(self): self._mod = 1\n    def _split(self): return self._mod + 1\nprint(S()._split(), S()._mod)",
)
feature(
    "slots",
    "class P:\n    __slots__ = ('x', 'y')\n    def __init__(self): self.x = 1\ntry:\n    P().z = 1\nexcept AttributeError as e:\n    print('no', P().x)",
)
feature(
    "descriptors",
    """
class Positive:
    def __set_name__(self, owner, name): self.name = '_' + name
    def __get__(self, obj, owner=None): return getattr(obj, self.name)
    def __set__(self, obj, value):
        if value < 0: raise ValueError(self.name)
        setattr(obj, self.name, value)
class A:
    n = Positive()
a = A()
a.n = 3
print(a.n)
try:
    a.n = -1
except ValueError as e:
    print('bad', e)
""",
)
feature(
    "__getattr__ and __setattr__",
    """
class D:
    def __init__(self): object.__setattr__(self, 'data', {})
    def __getattr__(self, name): return self.data.get(name, 'none')
    def __setattr__(self, name, value): self.data[name] = value
d = D()
d.x = 3
print(d.x, d.y)
class E:
    def __setattr__(self, name, value): super().__setattr__(name, value * 2)
e = E()
e.q = 4
print(e.q)
""",
)
feature(
    "__init_subclass__",
    "class R:\n    all = []\n    def __init_subclass__(cls, **k):\n        super().__init_subclass__(**k)\n        R.all.append(cls.__name__)\nclass A(R): pass\nclass B(R): pass\nprint(R.all)",
)
feature(
    "__new__ and singleton",
    "class S:\n    one = None\n    def __new__(cls, *a):\n        if cls.one is None: cls.one = super().__new__(cls)\n        return cls.one\nprint(S() is S())",
)
feature(
    "type and isinstance",
    "print(type(3) is int, type('').__name__, isinstance(True, int), isinstance(int, type), type(type(3)) is type, type([]) == list, isinstance(3, (str, int)))",
)
feature(
    "type of an instance's class",
    "class A:\n    def clone(self): return self.__class__()\n    def same(self, o): return type(self) == type(o)\na = A()\nprint(a.clone().__class__.__name__, a.same(A()), a.same(3), type(a)().same(a))",
)
feature(
    "type with three arguments",
    "A = type('A', (), {'x': 3, 'f': lambda self: self.x})\nprint(A().f(), A.__name__, A.__module__ == __name__)",
)
feature(
    "abstract classes",
    """
from abc import ABC, abstractmethod, ABCMeta
class Shape(ABC):
    @abstractmethod
    def area(self): ...
    @property
    @abstractmethod
    def name(self): ...
class Square(Shape):
    def __init__(self, a): self.a = a
    def area(self): return self.a ** 2
    @property
    def name(self): return 'square'
class Old(metaclass=ABCMeta):
    @abstractmethod
    def f(self): pass
print(Square(3).area(), Square(3).name)
for k in (Shape, Old):
    try:
        k()
    except TypeError:
        print('abstract')
""",
)
feature(
    "dataclasses",
    """
from dataclasses import dataclass, field, asdict, astuple, replace, fields
@dataclass(order=True)
class P:
    x: int
    y: int = 2
    tags: list = field(default_factory=list, compare=False)
@dataclass(frozen=True)
class F:
    n: 'int'
    def double(self): return self.n * 2
@dataclass(slots=True)
class S:
    a: int = 1
print(P(1), P(1) < P(2), asdict(P(3)), astuple(P(1, 5)), replace(P(1), y=9), [f.name for f in fields(P)], F(4).double(), S())
try:
    F(1).n = 2
except Exception as e:
    print(type(e).__name__)
match P(7, 8):
    case P(x, y): print(x, y)
""",
)
feature(
    "the positional patterns of a dataclass",
    """
from dataclasses import dataclass, InitVar, field
from typing import ClassVar
@dataclass
class Q:
    k: ClassVar[int] = 1
    a: int = 0
    b: InitVar[int] = 4
    c: int = field(default=2, init=False)
    d: int = field(default=2, kw_only=True)
match Q(1):
    case Q(a, b): print(a, b, Q.__match_args__)
""",
)
feature(
    "future annotations",
    "from __future__ import annotations\nfrom dataclasses import dataclass\nclass A:\n    def f(self, o: A) -> list[A]: return [self, o]\n@dataclass\nclass N:\n    v: int\n    next: N | None = None\nprint(len(A().f(A())), N(1, N(2)))",
)
feature(
    "enum",
    """
from enum import Enum, IntEnum, Flag, auto, unique, StrEnum
class Color(Enum):
    RED = 1
    GREEN = auto()
    def nice(self): return self.name.lower()
class N(IntEnum):
    A = 1
    B = 2
class F(Flag):
    R = auto()
    W = auto()
class S(StrEnum):
    X = auto()
print(Color.RED, Color(2), Color['RED'].value, [c.nice() for c in Color], N.A < N.B, N.B + 1, F.R | F.W, S.X, repr(Color.GREEN))
print(Color.RED is Color(1), isinstance(Color.RED, Color), len(Color), Color.RED in Color, list(Color.__members__))
""",
)
feature(
    "namedtuple",
    """
from collections import namedtuple
from typing import NamedTuple
P = namedtuple('P', 'x y', defaults=[0])
class Q(NamedTuple):
    a: int
    b: str = 'z'
    def both(self): return f'{self.a}{self.b}'
class R(namedtuple('Base', ['n'])):
    def __add__(self, o): return R(self.n + o.n)
p = P(1)
print(p, p._replace(y=5), p._asdict(), P._fields, Q(3), Q(1).both(), R(1) + R(2), P._make([8, 9]), p[0], p == (1, 0))
match p:
    case P(x=1, y=y): print('y', y)
match Q(3):
    case Q(a, b): print(a, b)
""",
)
feature(
    "typing",
    """
from typing import *
T = TypeVar('T')
class Box(Generic[T]):
    def __init__(self, v: T) -> None: self.v = v
    def get(self) -> T: return self.v
class Has(Protocol):
    def get(self) -> Any: ...
class TD(TypedDict):
    a: int
def f(x: Optional[List[int]] = None, *a: Union[int, str], **k: Dict[str, Tuple[int, ...]]) -> 'Box[int]':
    return Box(x)
v: Final = 3
U = NewType('U', int)
print(f([1]).get(), Box[int](3).v, U(4), cast(int, 'x'), TD(a=1), List[int], Callable[[int], str], TYPE_CHECKING)
print(get_origin(List[int]), get_args(Dict[str, int]), get_type_hints(Box.__init__) == {'v': T, 'return': type(None)})
""",
)
feature(
    "generators",
    """
def gen(n):
    got = None
    for i in range(n):
        got = yield i if got is None else got
def chain(*its):
    for it in its:
        yield from it
    return 'done'
def outer():
    r = yield from chain('ab', [1])
    print(r)
g = gen(3)
print(next(g), g.send('x'), list(outer()), [*gen(2)])
def closing():
    try:
        yield 1
    finally:
        print('closed')
c = closing()
next(c)
c.close()
def infinite():
    n = 0
    while True:
        yield n
        n += 1
import itertools
print(list(itertools.islice(infinite(), 4)))
""",
)
feature(
    "iterator classes",
    "class It:\n    def __init__(self, n): self.n = n\n    def __iter__(self): return self\n    def __next__(self):\n        if self.n == 0: raise StopIteration\n        self.n -= 1\n        return self.n\nprint(list(It(3)), sum(It(4)), [x for x in It(2)])\nfor x in It(2): print(x)",
)
feature(
    "match",
    """
def f(v):
    match v:
        case 0 | 1: return 'small'
        case int(n) if n > 100: return f'big {n}'
        case [x, y, *rest]: return f'list {x} {y} {rest}'
        case {'k': k, **more}: return f'map {k} {more}'
        case str() as s: return 'str ' + s
        case (): return 'empty'
        case None: return 'none'
        case _: return 'other'
print([f(v) for v in (0, 500, [1, 2, 3], {'k': 1, 'z': 2}, 'hey', (), None, 3.5)])
""",
)
feature(
    "match on classes",
    "class P:\n    __match_args__ = ('x', 'y')\n    def __init__(self, x, y): self.x, self.y = x, y\ndef f(p):\n    match p:\n        case P(0, y): return y\n        case P(x=x): return -x\nprint(f(P(0, 3)), f(P(4, 1)))",
)
feature(
    "exceptions",
    """
class MyError(ValueError):
    def __init__(self, code):
        super().__init__(f'code {code}')
        self.code = code
def f(n):
    try:
        if n == 0: raise MyError(7)
        if n == 1: return 1 // 0
        if n == 2: return {}['k']
        return 'fine'
    except MyError as e:
        return str(e), e.code, e.args
    except (ZeroDivisionError, TypeError) as e:
        return type(e).__name__
    except Exception as e:
        raise RuntimeError('wrapped') from e
    finally:
        print('finally', n)
for i in range(4):
    try:
        print(f(i))
    except RuntimeError as e:
        print(e, repr(e.__cause__), e.__context__ is e.__cause__)
""",
)
feature(
    "bare except and BaseException",
    """
import sys
try:
    sys.exit(3)
except:
    print('caught exit')
try:
    raise KeyboardInterrupt
except BaseException as e:
    print(type(e).__name__)
try:
    raise ValueError
except (BaseException, TypeError):
    print('tuple')
""",
)
feature(
    "try else and nested finally",
    "def f():\n    for i in range(3):\n        try:\n            if i == 1: continue\n            print(i)\n        finally:\n            print('f', i)\n    try: pass\n    except ValueError: pass\n    else: print('else')\n    try:\n        return 'try'\n    finally:\n        print('last')\nprint(f())",
)
feature(
    "exception groups",
    "try:\n    raise ExceptionGroup('g', [ValueError(1), TypeError(2)])\nexcept ExceptionGroup as e:\n    print([len(part.exceptions) for part in e.split(ValueError)])",
)
feature(
    "context managers",
    """
from contextlib import contextmanager, suppress, closing, ExitStack, nullcontext, redirect_stdout
import io
class C:
    def __enter__(self): print('in'); return self
    def __exit__(self, kind, value, tb): print('out', kind and kind.__name__); return True
with C() as c, C():
    raise ValueError
@contextmanager
def tag(n):
    print('<', n)
    try: yield n
    finally: print('>', n)
with tag('a') as t: print(t)
with suppress(KeyError): {}[1]
with ExitStack() as s: s.enter_context(tag('b'))
with nullcontext(5) as n: print(n)
out = io.StringIO()
with redirect_stdout(out): print('hidden')
print(out.getvalue() == 'hidden\\n')
""",
)
feature("assert", "try:\n    assert 1 == 2, 'msg'\nexcept AssertionError as e:\n    print(e)")
feature(
    "del and slices",
    "a = list(range(10))\ndel a[::2], a[0]\nb = {'x': 1}\ndel b['x']\na[1:2] = [7, 7]\nprint(a, b, a[::-1], 'hello'[1:-1], a[slice(1, 3)])\nclass A: pass\no = A(); o.z = 1\ndel o.z\nprint(hasattr(o, 'z'))",
)
feature(
    "augmented assignment",
    "class A:\n    def __init__(self): self._n = 1; self.d = {'k': [1]}\na = A()\na._n += 2\na.d['k'] += [2]\nx = [1]; y = x; y += [2]\nprint(a._n, a.d, x)\na.d['k'][0] **= 3\ni = 7; i //= 2; i <<= 3; i |= 1; i ^= 2; i %= 11; print(i)",
)
feature(
    "big integers",
    "print(2 ** 200, -7 // 2, -7 % 3, 7 .bit_length(), int('ff', 16), 0b11, 1_000, divmod(-7, 2), pow(3, 100, 7), (255).to_bytes(2, 'big'))",
)
feature(
    "bytes",
    "b = bytes([65, 66]) + b'\\x00z'\nprint(b, b.decode('latin-1')[0], bytearray(b)[1], 'ä'.encode(), b.hex(), int.from_bytes(b, 'little'), memoryview(b)[1:2].tobytes())",
)
feature(
    "string methods",
    "s = ' Hello, World '\nprint(s.strip().lower().split(', '), s.title().swapcase(), '-'.join('abc'), 'abc'.center(9, '*'), s.replace('l', 'L', 1), 'a,b'.partition(','), 'x1'.isalnum(), s.find('W'), 'abc'.translate(str.maketrans('ab', 'xy')), 'ß'.upper(), '%d' % 3, 'a\\tb'.expandtabs(4))",
)
feature(
    "builtins",
    "print(abs(-1), all([]), any([0, 1]), bin(5), chr(97), ord('a'), hex(255), oct(8), round(2.5), round(1.2345, 2), sorted('bca', reverse=True), list(reversed([1, 2])), list(enumerate('ab', 1)), min(3, 1), max('a', 'b', key=ord), list(map(lambda x: x + 1, [1])), list(filter(None, [0, 1])), callable(print), repr('x'), hash(1), frozenset([1]), complex(1, 2), slice(1, 2), format(255, '#x'), ascii('é'), isinstance(1, object), divmod(7, 2), sum([[1], [2]], []), next(iter([]), 'd'), len({1, 1}))",
)
feature(
    "vars, dir and __dict__",
    "class A:\n    c = 1\n    def __init__(self): self.x = 1; self.y = 2\na = A()\nvars(a)['z'] = 3\na.__dict__.update(w=4)\nprint(vars(a), a.z, a.w, 'c' in A.__dict__, sorted(n for n in dir(a) if not n.startswith('_')), a.__dict__ == {'x': 1, 'y': 2, 'z': 3, 'w': 4})",
)
feature(
    "globals and locals",
    "x = 5\nglobals()['y'] = 6\nprint(y, globals()['x'], 'x' in globals(), globals().get('nope'))\ndef f(a):\n    b = 2\n    return locals()\nprint(f(1))\ndef g():\n    i = 0\n    while i < 2: i += 1\n    return sorted(locals())\nprint(g())",
)
feature(
    "exec of a class without __name__",
    "d = {}\nexec('class A:\\n    def f(self): return __name__', d)\nprint(d['A'].__module__, d['A']().f(), 'A' in d)",
)
feature(
    "exec with globals()",
    "exec('x: int = 1', globals())\nexec('\"\"\"said\"\"\"\\ny = 2', globals())\nexec('z: int = x + y', globals(), {})\nprint(x, y, 'z' in globals())",
)
feature(
    "getattr and setattr",
    "class A: pass\na = A()\nsetattr(a, 'n', 1)\nprint(getattr(a, 'n'), getattr(a, 'm', 'd'), hasattr(a, 'n'), hasattr(a, 'q'), getattr('x', 'upper')(), getattr('{}', 'format')(3))\ndelattr(a, 'n')\ntry: getattr(a, 'n')\nexcept AttributeError as e: print(e)",
)
feature(
    "eval and exec",
    "x = 2\nprint(eval('x * 3'), eval('[i for i in range(3)]'), eval('a + b', {'a': 1, 'b': 2}))\nexec('y = x + 1\\ndef f(): return y')\nprint(y, f())\nd = {}\nexec('z = 3\\nfor i in range(3): z += i', d)\nprint(d['z'], sorted(k for k in d if k != '__builtins__'))\ndef g(n): return eval('n + x')\nprint(g(5))\ntry: eval('1 +')\nexcept SyntaxError: print('syntax')",
)
feature(
    "recursion",
    "def f(n): return 1 if n == 0 else n * f(n - 1)\nprint(f(50))\ndef deep(n): return deep(n + 1)\ntry: deep(0)\nexcept RecursionError as e: print(type(e).__name__)\nimport sys\nsys.setrecursionlimit(5000)\ndef d(n): return 0 if n == 0 else 1 + d(n - 1)\nprint(d(3000), sys.getrecursionlimit())",
)
feature(
    "mutual recursion and memo",
    "from functools import lru_cache, cache, reduce, partial, cmp_to_key, total_ordering, cached_property, singledispatch\n@lru_cache(None)\ndef fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\nprint(fib(80), fib.cache_info().currsize, reduce(lambda a, b: a * b, range(1, 6)), partial(pow, 2)(5), sorted([3, 1], key=cmp_to_key(lambda a, b: a - b)))\n@total_ordering\nclass O:\n    def __init__(self, n): self.n = n\n    def __eq__(self, o): return self.n == o.n\n    def __lt__(self, o): return self.n < o.n\n    @cached_property\n    def sq(self): return self.n ** 2\nprint(O(1) <= O(2), O(3).sq)\n@singledispatch\ndef show(x): return 'obj'\n@show.register\ndef _(x: int): return 'int'\n@show.register(list)\ndef _(x): return 'list'\nprint(show(1), show([]), show(''))",
)
feature(
    "itertools",
    "import itertools as it\nprint(list(it.chain([1], [2])), list(it.permutations('ab')), list(it.product([0, 1], repeat=2)), list(it.accumulate([1, 2, 3])), [(k, list(g)) for k, g in it.groupby('aab')], list(it.combinations(range(3), 2)), list(it.zip_longest('a', 'bc')), list(it.takewhile(lambda x: x < 2, it.count())), list(it.islice(it.cycle('ab'), 3)), list(it.starmap(pow, [(2, 3)])), list(it.pairwise('abc')))",
)
feature(
    "collections",
    "from collections import Counter, defaultdict, deque, OrderedDict, ChainMap\nc = Counter('abracadabra')\nd = defaultdict(list)\nd['a'].append(1)\nq = deque([1, 2, 3], maxlen=3)\nq.appendleft(0)\no = OrderedDict(a=1, b=2)\no.move_to_end('a')\nprint(c.most_common(2), dict(d), q, list(o), c['z'], c + Counter('a'), ChainMap({'a': 1}, {'b': 2})['b'], sum(c.values()))\nclass LRU(OrderedDict):\n    def get(self, k): self.move_to_end(k); return self[k]\nl = LRU(a=1, b=2)\nprint(l.get('a'), list(l))",
)
feature(
    "heapq and bisect",
    "import heapq, bisect\nh = [5, 1, 3]\nheapq.heapify(h)\nheapq.heappush(h, 0)\nprint(heapq.heappop(h), heapq.nsmallest(2, h), list(heapq.merge([1, 4], [2])), bisect.bisect([1, 2, 2, 3], 2), bisect.bisect_left([1, 2, 2], 2))\nl = [1, 3]\nbisect.insort(l, 2)\nprint(l)",
)
feature(
    "math and cmath",
    "import math, cmath\nprint(math.gcd(12, 18), math.sqrt(2), math.comb(5, 2), math.factorial(10), math.isclose(0.1 + 0.2, 0.3), math.inf > 1, math.pi, math.floor(-1.5), math.prod([2, 3]), cmath.phase(1j), cmath.sqrt(-1), math.isqrt(17), math.log2(8), math.hypot(3, 4))",
)
feature("from math import *", "from math import *\nprint(sqrt(16), pi, ceil(1.2), gcd(4, 6))")
feature(
    "re",
    "import re\nprint(re.findall(r'\\d+', 'a1b22'), re.sub(r'(\\w)(\\d)', r'\\2\\1', 'a1b2'), re.match(r'(?P<x>\\w+)@(\\w+)', 'me@home').groupdict(), re.split(r'[,;]\\s*', 'a, b;c'), bool(re.fullmatch('[A-Z]+', 'ABC')), re.sub('a', lambda m: m.group().upper(), 'banana'), [m.start() for m in re.finditer('a', 'banana')], re.compile('x', re.I | re.M).search('aXb').span(), re.escape('a.b'))",
)
feature(
    "string module",
    "import string\nprint(string.ascii_lowercase, string.digits, string.punctuation, string.Template('$a and ${b}').substitute(a=1, b=2), string.capwords('a b'))",
)
feature(
    "fractions and decimal",
    "from fractions import Fraction\nfrom decimal import Decimal, getcontext, ROUND_HALF_UP, localcontext\nprint(Fraction(1, 3) + Fraction('0.5'), Fraction(3, 6).numerator, Decimal('0.1') + Decimal('0.2'), Decimal('2.675').quantize(Decimal('0.01'), ROUND_HALF_UP))\ngetcontext().prec = 50\nprint(Decimal(2).sqrt())\nwith localcontext() as c:\n    c.prec = 5\n    print(Decimal(1) / 3)",
)
feature(
    "statistics",
    "import statistics as s\nprint(s.mean([1, 2, 4]), s.median([3, 1, 2]), s.mode('aab'), round(s.stdev([1, 2, 3, 4]), 6), s.pvariance([1, 2]), s.NormalDist(0, 1).cdf(0))",
)
feature(
    "datetime",
    "from datetime import datetime, timedelta, date\nimport calendar\nd = datetime(2024, 2, 28) + timedelta(days=2)\nprint(d, d.strftime('%Y/%m/%d'), datetime.strptime('2020-01-02', '%Y-%m-%d').date(), (date(2024, 3, 1) - date(2024, 2, 1)).days, d.weekday(), d.isoformat(), calendar.isleap(2024), calendar.monthrange(2024, 2), calendar.month_name[2])",
)
feature(
    "copy",
    "import copy\nclass N:\n    def __init__(self, v): self.v = v\na = [[1], N([2])]\nb = copy.deepcopy(a)\nc = copy.copy(a)\nb[0].append(9); b[1].v.append(8)\nprint(a[0], a[1].v, c[0] is a[0])\nclass D:\n    def __deepcopy__(self, memo): return 'deep'\nprint(copy.deepcopy(D()))",
)
feature(
    "hashlib and json",
    "import hashlib, json\nprint(hashlib.md5(b'a').hexdigest(), hashlib.sha256('x'.encode()).hexdigest()[:8], json.dumps({'a': [1, None, True], 'b': 1.5}, sort_keys=True, indent=1), json.loads('{\"a\": [1, 2.5, null]}'))\ntry: json.loads('{')\nexcept json.JSONDecodeError as e: print(e)",
)
feature(
    "operator",
    "import operator as o\nfrom operator import itemgetter, attrgetter, methodcaller, mul\nclass A:\n    def __init__(self, n): self.n = n; self.me = self\nprint(o.add(1, 2), itemgetter(1, 0)('ab'), attrgetter('n')(A(4)), attrgetter('me.me.n', 'n')(A(5)), methodcaller('upper')('x'), sorted([(1, 2), (0, 3)], key=itemgetter(1)), mul(3, 4), o.itemgetter('a')({'a': 1}))",
)
feature(
    "array, struct, textwrap, unicodedata, numbers",
    "from array import array\nimport struct, textwrap, unicodedata, numbers, base64, zlib, types\na = array('i', [1, 2])\na.append(3)\nprint(a, struct.pack('>I', 5), textwrap.dedent('  a\\n  b'), textwrap.fill('aaa bbb', 4), unicodedata.name('a'), isinstance(3, numbers.Integral), base64.b64encode(b'hi'), zlib.crc32(b'a'), isinstance((i for i in ()), types.GeneratorType), types.SimpleNamespace(a=1).a)",
)
feature(
    "queue",
    "from queue import Queue, PriorityQueue, LifoQueue, Empty\nq = Queue(); q.put(1); q.put(2)\np = PriorityQueue(); p.put((2, 'b')); p.put((1, 'a'))\nl = LifoQueue(); l.put(1); l.put(2)\nprint(q.get(), q.qsize(), p.get(), l.get(), q.empty())\ntry:\n    Queue().get_nowait()\nexcept Empty: print('empty')",
)
feature(
    "threading",
    "import threading, sys\nsys.setrecursionlimit(10**5)\nthreading.stack_size(2**26)\nout = []\ndef main(n): out.append(n)\nt = threading.Thread(target=main, args=(3,))\nt.start(); t.join()\nlock = threading.Lock()\nwith lock: out.append(4)\nprint(out)",
)
feature(
    "asyncio",
    """
import asyncio
async def work(n, t):
    await asyncio.sleep(t)
    print('done', n)
    return n * n
async def agen():
    for i in range(3):
        yield i
        await asyncio.sleep(0)
class Ctx:
    async def __aenter__(self): return 'ctx'
    async def __aexit__(self, *e): print('bye')
async def main():
    print(await asyncio.gather(work(1, .2), work(2, .1)))
    t = asyncio.create_task(work(3, .05))
    print([x async for x in agen() if x != 1], await t)
    async for x in agen(): print(x)
    async with Ctx() as c: print(c)
    try:
        await asyncio.wait_for(work(9, 5), timeout=.1)
    except asyncio.TimeoutError:
        print('timeout')
    r = await asyncio.gather(bad(), work(1, 0), return_exceptions=True)
    print(r)
async def bad(): raise ValueError('b')
asyncio.run(main())
""",
)
feature(
    "asyncio locks and queues",
    """
import asyncio
from collections import deque
async def producer(q, n):
    for i in range(n):
        await q.put(i)
        print('put', i, q.qsize(), q.full())
    await q.put(None)
async def consumer(q, name):
    while (item := await q.get()) is not None:
        print(name, item, q.empty())
        q.task_done()
    q.task_done()
    await q.put(None)
async def counted(lock, name, out):
    async with lock:
        out.append(name + ' in')
        await asyncio.sleep(.1)
        out.append(name + ' out')
async def limited(s, name):
    print(name, s.locked())
    async with s:
        print(name, 'has it', s.locked())
        await asyncio.sleep(0)
    print(name, 'has left')
async def waiter(e, name):
    print(name, e.is_set(), await e.wait(), e.is_set())
async def main():
    q = asyncio.Queue(maxsize=2)
    await asyncio.gather(producer(q, 5), consumer(q, 'a'), consumer(q, 'b'))
    lock, out = asyncio.Lock(), []
    await asyncio.gather(*(counted(lock, name, out) for name in 'xyz'))
    print(out, lock.locked())
    try: lock.release()
    except RuntimeError as error: print(error)
    await asyncio.gather(*(limited(asyncio.Semaphore(1) if name == 'r' else s, name) for s in [asyncio.Semaphore(2)] for name in 'pqrstu'))
    event = asyncio.Event()
    tasks = [asyncio.create_task(waiter(event, name)) for name in 'mn']
    await asyncio.sleep(0)
    event.set()
    print(event.is_set())
    await asyncio.gather(*tasks)
    event.clear()
    work = asyncio.PriorityQueue()
    for item in (3, 1, 2): work.put_nowait(item)
    async def drain():
        while not work.empty():
            print(await work.get())
            await asyncio.sleep(0)
            work.task_done()
    task = asyncio.create_task(drain())
    await work.join()
    print('joined', task.done())
    stack = asyncio.LifoQueue()
    for item in (1, 2): stack.put_nowait(item)
    print(stack.get_nowait(), stack.qsize())
    try: asyncio.LifoQueue().get_nowait()
    except asyncio.QueueEmpty: print('empty')
    try: q.put_nowait(1); q.put_nowait(2); q.put_nowait(3)
    except asyncio.QueueFull: print('full')
    try: asyncio.Queue().task_done()
    except ValueError as error: print(error)
    print(asyncio.iscoroutinefunction(main), asyncio.iscoroutinefunction(print), asyncio.get_running_loop().is_running())
asyncio.run(main())
""",
)
feature(
    "asyncio cancels what is late or left",
    """
import asyncio
async def slow(name, delay):
    try:
        await asyncio.sleep(delay)
        print(name, 'done')
    except Exception as error: print('not this', error)
    except asyncio.CancelledError:
        print(name, 'cancelled')
        raise
    finally: print(name, 'ends')
async def bad():
    await asyncio.sleep(0.01)
    raise ValueError('bad')
async def stays():
    try: await asyncio.sleep(5)
    except: return 'stayed'
async def now(log, name): log.append(name)
async def main():
    left = asyncio.create_task(slow('left', 100))
    for late in (slow('a', 0.5), asyncio.gather(slow('b', 0.5), slow('c', 0.6)), asyncio.Event().wait()):
        try: await asyncio.wait_for(late, 0.01)
        except asyncio.TimeoutError as error: print('late', repr(error.__cause__))
    print(await asyncio.wait_for(stays(), 0.01), await asyncio.wait_for(asyncio.sleep(0.01, 'soon'), 3600))
    try: await asyncio.gather(slow('d', 0.1), bad())
    except ValueError as error: print('caught', error)
    await asyncio.sleep(0.2)
    log = []
    async def ticks():
        for i in range(9):
            log.append(i)
            await asyncio.sleep(0)
    task = asyncio.create_task(ticks())
    await asyncio.gather(now(log, 'e'), now(log, 'f'))
    log.append('h')
    await task
    print(log)
    return left
left = asyncio.run(main())
print(left.done())
try: left.result()
except asyncio.CancelledError as error: print(repr(error), isinstance(error, Exception))
try: asyncio.create_task(left)
except RuntimeError as error: print(error)
async def early():
    task = asyncio.create_task(asyncio.sleep(0))
    try: task.result()
    except Exception as error: print(type(error).__name__, error)
    try: task.exception()
    except Exception as error: print(type(error).__name__, error)
    try: await asyncio.sleep('1')
    except TypeError as error: print(error)
asyncio.run(early())
""",
)
feature(
    "asyncio: generators left open, gathers cancelled, types and what is no awaitable",
    """
import asyncio
from typing import Optional
def typed(q: asyncio.Queue[int], t: Optional[asyncio.Task[None]] = None, h: Optional[asyncio.TimerHandle] = None): pass
class Mine(asyncio.Queue[int]): pass
async def counts(waits):
    try:
        for i in range(5):
            await asyncio.sleep(0.01)
            yield i
    finally:
        if waits: await asyncio.sleep(0.01)
        print('closed', waits)
async def slow(name, cleanup=0):
    try: await asyncio.sleep(5)
    except asyncio.CancelledError:
        await asyncio.sleep(cleanup)
        print('cleaned', name)
        raise
class Yields:
    def __init__(self, what): self.what = what
    def __await__(self): yield self.what
async def main():
    for waits in (True, False):
        async for i in counts(waits): break
        print('after')
        await asyncio.sleep(0.1)
    for late in (asyncio.gather(slow('a'), slow('b', 1)), asyncio.gather(slow('c', 1), slow('d'), return_exceptions=True)):
        try: await asyncio.wait_for(late, 0.1)
        except asyncio.TimeoutError: print('late', late.cancelled())
    await asyncio.sleep(2)
    for what in (None, 0.5, 'x'):
        try: print(await Yields(what))
        except RuntimeError as error: print(error)
    loop = asyncio.get_running_loop()
    handle = loop.call_later(1, print, 'never')
    print(0.9 < handle.when() - loop.time() < 1.1, isinstance(handle, asyncio.TimerHandle), isinstance(Mine(), asyncio.Queue))
    handle.cancel()
    pool = asyncio.BoundedSemaphore(1)
    async with pool: print(pool.locked())
    try: pool.release()
    except ValueError as error: print(error)
    await asyncio.ensure_future(asyncio.sleep(0), loop=loop)
    await asyncio.create_task(asyncio.sleep(0), context=None)
    left.append(counts(True))
    await anext(left[0])
left = []
asyncio.run(main(), debug=False)
loop = asyncio.new_event_loop()
async def opens():
    left.append(counts(True))
    await anext(left[1])
loop.run_until_complete(opens())
loop.run_until_complete(loop.shutdown_asyncgens())
loop.close()
""",
)
feature(
    "asyncio: cancelling, waiting, futures and callbacks",
    """
import asyncio
async def worker(name, q, log):
    try:
        while True:
            item = await q.get()
            await asyncio.sleep(0.01)
            log.append((name, item))
            q.task_done()
    except asyncio.CancelledError:
        log.append((name, 'cancelled'))
        raise
async def main():
    q = asyncio.Queue(); log = []
    for i in range(6): q.put_nowait(i)
    ws = [asyncio.create_task(worker(f'w{i}', q, log), name=f'W{i}') for i in range(3)]
    await q.join()
    for w in ws: print(w.cancel(), w.cancelled())
    got = await asyncio.gather(*ws, return_exceptions=True)
    print([repr(g) for g in got], [w.cancelled() for w in ws], [w.get_name() for w in ws], log)
    async def slow(x, d):
        await asyncio.sleep(d); 
        if x == 'bad': raise ValueError(x)
        return x
    ts = [asyncio.create_task(slow(i, d)) for i, d in (('a', .3), ('b', .1), ('bad', .2))]
    done, pending = await asyncio.wait(ts, return_when=asyncio.FIRST_COMPLETED)
    print(len(done), len(pending), [t.result() for t in done])
    done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION)
    print(len(done), len(pending), [repr(t.exception()) for t in done])
    done, pending = await asyncio.wait(pending, timeout=0.01)
    print(len(done), len(pending))
    done, pending = await asyncio.wait(pending)
    print(len(done), len(pending))
    for c in asyncio.as_completed([slow('x', .3), slow('y', .1), slow('z', .2)]): print(await c)
    try:
        for c in asyncio.as_completed([slow('x', .3), slow('y', .1)], timeout=.2): print(await c)
    except asyncio.TimeoutError as e: print('late', repr(e))
    f = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.05, f.set_result, 7)
    f.add_done_callback(lambda f: print('called', f.result()))
    print(await f)
    try: f.set_result(8)
    except asyncio.InvalidStateError as e: print(type(e).__name__)
    g = asyncio.Future(); 
    async def waits(n):
        try: return await g
        except asyncio.CancelledError as e: print(n, 'c', e.args); raise
    a, b = asyncio.create_task(waits(1)), asyncio.create_task(waits(2))
    await asyncio.sleep(0)
    a.cancel('why'); 
    print([repr(r) for r in await asyncio.gather(a, b, return_exceptions=True)], g.cancelled())
    t = asyncio.create_task(slow(1, 1)); t.add_done_callback(lambda t: print('done', t.cancelled()))
    t.cancel(); 
    try: await t
    except asyncio.CancelledError: print('cancelled before it ran')
    async def me():
        asyncio.current_task().cancel()
        try: await asyncio.sleep(1)
        except asyncio.CancelledError: print('self'); return 'went on'
    print(await asyncio.create_task(me()))
    async def me2():
        asyncio.current_task().cancel()
        return 5
    t = asyncio.create_task(me2())
    try: print(await t)
    except asyncio.CancelledError: print('x')
    h = asyncio.get_running_loop().call_soon(print, 'no'); h.cancel()
    asyncio.get_running_loop().call_soon(print, 'yes')
    await asyncio.sleep(0)
    print(len(asyncio.all_tasks()), isinstance(t, asyncio.Task), isinstance(t, asyncio.Future), isinstance(f, asyncio.Task))
    order = []
    async def o(n):
        order.append(n); await asyncio.sleep(0); order.append(-n)
    t1 = asyncio.create_task(o(1)); t1.add_done_callback(lambda _: order.append('cb'))
    await asyncio.gather(t1, o(2), o(3)); print(order)
    try: asyncio.create_task(5)
    except TypeError as e: print(e)
    try: await asyncio.wait([slow(1, 2)])
    except TypeError as e: print(e)
    outer = asyncio.gather(slow('p', 1), slow('q', 2))
    await asyncio.sleep(0.1)
    print(outer.cancel())
    try: await outer
    except asyncio.CancelledError: print('gather cancelled')
    ev = asyncio.Event()
    w = asyncio.create_task(ev.wait()); await asyncio.sleep(0); w.cancel(); await asyncio.sleep(0); print(w.cancelled(), w.done())
    lock = asyncio.Lock()
    async def hold():
        async with lock: await asyncio.sleep(1); print('held')
    hs = [asyncio.create_task(hold()) for _ in range(3)]
    await asyncio.sleep(0.5); hs[1].cancel(); hs[0].cancel()
    print([type(r).__name__ for r in await asyncio.gather(*hs, return_exceptions=True)])
asyncio.run(main())
""",
)
feature(
    "asyncio: who is cancelled passes its turn on, and who exits ends the loop",
    """
import asyncio

async def holder(lock, name, log, delay=0.01):
    try:
        async with lock:
            log.append(name)
            await asyncio.sleep(delay)
    except asyncio.CancelledError:
        log.append('-' + name)
        raise

async def passes_on(kind):
    lock, log = kind(), []
    a, b, c = (asyncio.create_task(holder(lock, name, log), name=name) for name in 'abc')
    await asyncio.sleep(0.005)
    b.cancel()
    print(await asyncio.gather(a, b, c, return_exceptions=True), log, lock.locked())
    log.clear()
    await lock.acquire()
    d, e, f = (asyncio.create_task(holder(lock, name, log)) for name in 'def')
    await asyncio.sleep(0)
    lock.release()
    d.cancel()
    print([type(one).__name__ for one in await asyncio.gather(d, e, f, return_exceptions=True)], log, lock.locked())
    log.clear()
    await lock.acquire()
    g, h = (asyncio.create_task(holder(lock, name, log)) for name in 'gh')
    await asyncio.sleep(0)
    g.cancel()
    lock.release()
    print([type(one).__name__ for one in await asyncio.gather(g, h, return_exceptions=True)], log, lock.locked())
    await lock.acquire()
    i = asyncio.create_task(holder(lock, 'i', log))
    await asyncio.sleep(0)
    i.cancel()
    await asyncio.sleep(0)
    lock.release()
    print(lock.locked(), await asyncio.wait_for(lock.acquire(), 1), lock.locked())

async def queues():
    q, log = asyncio.Queue(), []
    async def get(name):
        try: log.append((name, await q.get()))
        except asyncio.CancelledError: log.append(name); raise
    tasks = [asyncio.create_task(get(name)) for name in 'abc']
    await asyncio.sleep(0)
    q.put_nowait(1)
    tasks[0].cancel()
    await asyncio.sleep(0.01)
    print(log, q.qsize())
    q.put_nowait(2)
    await asyncio.wait(tasks)
    print(log, q.qsize())
    q, log = asyncio.Queue(1), []
    async def put(name):
        try: await q.put(name); log.append(name)
        except asyncio.CancelledError: log.append('-' + name); raise
    tasks = [asyncio.create_task(put(name)) for name in 'abcd']
    await asyncio.sleep(0)
    print(await q.get())
    tasks[1].cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    print(log, q.qsize())
    print(await q.get(), await q.get(), log)

async def last_rounds():
    log = []
    async def late(name, turns):
        for turn in range(turns):
            await asyncio.sleep(0)
            log.append((name, turn))
    async def main():
        asyncio.create_task(late('a', 1))
        await asyncio.sleep(0)
        asyncio.create_task(late('b', 5))
    await main()
    return log

async def cancelled_call():
    loop = asyncio.get_running_loop()
    log = []
    handle = loop.call_later(50, log.append, 'never')
    loop.call_later(0.02, log.append, 'soon')
    handle.cancel()
    begin = loop.time()
    await asyncio.sleep(0.05)
    print(log, handle.cancelled(), loop.time() - begin < 10)
    soon = loop.call_soon(log.append, 'no')
    soon.cancel()
    await asyncio.sleep(0)
    print(log)

for kind in (asyncio.Lock, lambda: asyncio.Semaphore(1)):
    asyncio.run(passes_on(kind))
asyncio.run(queues())
print(asyncio.run(last_rounds()))
asyncio.run(cancelled_call())

async def leaves(log, how):
    log.append('in')
    await asyncio.sleep(0.01)
    raise how
async def stays(log):
    try: await asyncio.sleep(10)
    finally:
        log.append('closed')
        await asyncio.sleep(0)
        log.append('really')
async def exits(how):
    log = []
    async def inner():
        task = asyncio.create_task(leaves(log, how))
        other = asyncio.create_task(stays(log))
        try: await task
        except BaseException as error: log.append(type(error).__name__); raise
    try: await inner()
    finally: print(log)
for how in (SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError('own')):
    try: asyncio.run(exits(how))
    except BaseException as error: print(type(error).__name__, error.args)
loop = asyncio.new_event_loop()
log = []
async def two():
    asyncio.create_task(stays(log))
    asyncio.create_task(leaves(log, SystemExit(1)))
    await asyncio.sleep(1)
    log.append('two')
try: loop.run_until_complete(two())
except SystemExit: print('exit', log)
async def rest():
    await asyncio.sleep(2)
    return 5
print(loop.run_until_complete(rest()), log)
async def raises_own():
    raise asyncio.CancelledError('mine')
async def catches():
    try: await raises_own()
    except asyncio.CancelledError as error: print(error.args)
    task = asyncio.create_task(raises_own())
    done, _ = await asyncio.wait([task])
    print(task.cancelled(), done == {task})
    try: await task
    except asyncio.CancelledError as error: print('again')
    print([type(one).__name__ for one in await asyncio.gather(raises_own(), rest(), return_exceptions=True)])
asyncio.run(catches())
""",
)
feature(
    "asyncio: a generator closes by itself, or by the loop that it began in",
    """
import asyncio
async def gen():
    try:
        for i in range(5): yield i
    finally: print('closed')
g = gen()
a = g.__anext__()
try: a.send(None)
except StopIteration as e: print(e.value)
del g, a
print('after')
async def main():
    print('main')
    async for x in gen():
        if x == 2: break
    print('broke')
    await asyncio.sleep(0)
    print('end')
asyncio.run(main())
class Q(asyncio.Queue[int]): pass
async def q():
    x = Q(); await x.put(1); print(await x.get())
    y: asyncio.Queue[int] = asyncio.Queue[int](3); print(y.maxsize)
asyncio.run(q())
""",
)
feature(
    "asyncio: loops handed on, and the time at which it is too late",
    """
import asyncio
class Server:
    def __init__(self, loop: asyncio.AbstractEventLoop | None = None): self.loop = loop or asyncio.get_event_loop()
    def later(self, f): return self.loop.call_later(0.1, f)
async def main():
    s = Server(asyncio.get_running_loop())
    s.later(lambda: print('later'))
    await asyncio.sleep(0.2)
    print(isinstance(s.loop, asyncio.AbstractEventLoop))
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout_at(loop.time() + 0.05) as t:
            await asyncio.sleep(1)
    except TimeoutError: print('late', t.expired())
asyncio.run(main())
""",
)
feature(
    "asyncio: time passes where somebody can always go on",
    """
import asyncio, time
class Later:
    def __init__(self): self.done = asyncio.get_running_loop().create_future()
    def __await__(self):
        value = yield from self.done
        return value
async def main():
    task = asyncio.create_task(asyncio.sleep(0.01, 'slept'))
    while not task.done(): await asyncio.sleep(0)
    print(task.result())
    async def spins():
        while True: await asyncio.sleep(0)
    try: await asyncio.wait_for(spins(), 0.01)
    except asyncio.TimeoutError: print('late')
    async def ticks():
        for i in range(3): print('tick', i); await asyncio.sleep(0.05)
    async def blocks():
        for i in range(4): print('block', i); time.sleep(0.1); await asyncio.sleep(0)
    await asyncio.gather(ticks(), blocks())
    later = Later()
    asyncio.get_running_loop().call_soon(later.done.set_result, 5)
    print(await later)
asyncio.run(main())
""",
)
feature(
    "asyncio: who waits without a timeout does it himself",
    """
import asyncio
async def says(order):
    order.append(1)
    await asyncio.sleep(0)
    order.append(2)
    return asyncio.current_task()
async def waits(order):
    mine = await asyncio.wait_for(says(order), None) is asyncio.current_task()
    order.append(mine)
class Later:
    def __await__(self):
        yield from asyncio.sleep(0).__await__()
        return 3
async def main():
    order = []
    task = asyncio.create_task(waits(order))
    for i in 'abc':
        await asyncio.sleep(0)
        order.append(i)
    await task
    print(order, await asyncio.wait_for(Later(), None))
    inner = asyncio.create_task(asyncio.sleep(1))
    outer = asyncio.create_task(asyncio.wait_for(inner, None))
    await asyncio.sleep(0)
    outer.cancel()
    await asyncio.wait([outer])
    print(inner.cancelled(), outer.cancelled())
asyncio.run(main())
""",
)
feature(
    "asyncio: groups of tasks and timeouts",
    """
import asyncio
log = []
async def slow(x, d):
    try:
        await asyncio.sleep(d)
        if x == 'bad': raise ValueError(x)
        log.append(x); return x
    except asyncio.CancelledError:
        log.append((x, 'c')); raise
async def main():
    async with asyncio.TaskGroup() as tg:
        a = tg.create_task(slow('a', .2)); b = tg.create_task(slow('b', .1), name='B')
    print(a.result(), b.result(), b.get_name(), log); log.clear()
    try:
        async with asyncio.TaskGroup() as tg:
            tg.create_task(slow('a', .5)); tg.create_task(slow('bad', .1))
            await asyncio.sleep(9)
            print('never')
    except ExceptionGroup as g: print(repr(g.exceptions), str(g), log)
    log.clear()
    try:
        async with asyncio.TaskGroup() as tg:
            tg.create_task(slow('a', .5))
            raise KeyError('k')
    except BaseExceptionGroup as g: print(g.exceptions, log)
    try:
        async with asyncio.timeout(0.1) as t: await asyncio.sleep(1)
    except TimeoutError as e: print('late', t.expired(), repr(e.__cause__), asyncio.current_task().cancelling())
    async with asyncio.timeout(1) as t: await asyncio.sleep(0.1)
    print(t.expired())
    async with asyncio.timeout(None) as t:
        t.reschedule(asyncio.get_running_loop().time() + 5); print(t.when() is not None)
    try:
        async with asyncio.timeout(.2):
            try:
                async with asyncio.timeout(.1): await asyncio.sleep(1)
            except TimeoutError: print('inner'); await asyncio.sleep(1)
    except TimeoutError: print('outer')
    async def group():
        async with asyncio.TaskGroup() as tg:
            tg.create_task(slow('in', 5))
    t = asyncio.create_task(group()); await asyncio.sleep(.1); t.cancel(); log.clear()
    try: await t
    except asyncio.CancelledError: print('group cancelled', log, t.cancelled(), t.cancelling())
    try:
        async with asyncio.timeout(0.1):
            async with asyncio.TaskGroup() as tg:
                tg.create_task(slow('z', 5))
    except TimeoutError: print('late group')
    async with asyncio.TaskGroup() as tg:
        async def more(n):
            if n: tg.create_task(more(n - 1))
            await asyncio.sleep(.01); log.append(n)
        tg.create_task(more(3))
    print(log)
    try:
        async with asyncio.TaskGroup() as tg:
            tg.create_task(slow('bad', .1)); tg.create_task(slow('bad', .1)); tg.create_task(slow('ok', .3))
    except ExceptionGroup as g: print(len(g.exceptions), g.message)
asyncio.run(main())
""",
)
feature(
    "threads have names, locks owners, and locals are each thread's own",
    """
import threading, queue
def label(): return threading.current_thread().name.strip('0123456789')
class Counts(threading.local):
    def __init__(self, n): self.n = n
class Twice(threading.Thread):
    def __init__(self, n):
        super().__init__()
        self.n = n
    def run(self):
        self.n *= 2
        print(label(), self.is_alive(), threading.current_thread() is self)
plain, counts = threading.local(), Counts(7)
plain.x, counts.n = 1, 8
def f():
    print(hasattr(plain, 'x'), counts.n, ''.join(c for c in label() if not c.isdigit()))
    plain.x = counts.n = 2
threads = [threading.Thread(target=f), threading.Thread(target=f, name='own'), Twice(3)]
try: threads[0].join()
except RuntimeError as error: print(error)
for t in threads: t.start()
for t in threads: t.join()
print(plain.x, counts.n, threads[2].n, threads[2].is_alive(), threading.current_thread().name)
try: threads[0].start()
except RuntimeError as error: print(error)
for lock in (threading.Lock(), threading.RLock()):
    with lock: pass
    try: lock.release()
    except RuntimeError as error: print(error)
some = threading.Semaphore(2)
print(some.acquire(), some.acquire(), some.acquire(blocking=False))
some.release(2)
try: some.release(0)
except ValueError as error: print(error)
try: queue.Queue().get(timeout=-1)
except ValueError as error: print(error)
""",
)
feature(
    "asyncio loops by hand",
    """
import asyncio
async def f(x):
    await asyncio.sleep(0)
    return x + 1
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
try:
    print(loop.run_until_complete(f(1)), loop.is_running(), loop.run_until_complete(asyncio.wait_for(f(2), 1)))
    task = loop.create_task(f(5))
    print(loop.run_until_complete(task), task.done())
finally:
    loop.close()
print(loop.is_closed())
try: asyncio.get_running_loop()
except RuntimeError as error: print(error)
""",
)
feature(
    "what the collector was told",
    "import gc\nprint(gc.isenabled())\ngc.disable()\nprint(gc.isenabled())\ngc.set_threshold(5, 6)\nprint(gc.get_threshold()[:2])\ngc.enable()\nprint(gc.isenabled())",
)
feature(
    "coroutines by hand",
    "async def f(x): return x + 1\nasync def g(): return await f(1) + await f(2)\nc = g()\ntry: c.send(None)\nexcept StopIteration as e: print(e.value)",
)
feature(
    "io",
    "import io\ns = io.StringIO()\nprint('a', 1, file=s, sep='-')\ns.write('b')\nprint(repr(s.getvalue()), io.BytesIO(b'x\\ny').readline())\nclass W(io.TextIOBase):\n    def write(self, t): return len(t)\nprint('x', file=W())",
)
feature(
    "print options",
    "print()\nprint(1, 2, sep=', ', end='!\\n')\nprint('a', end='')\nprint(*[1, 2], sep='\\n', flush=True)\nprint([None, True, 1.0, 'x', b'y', {1: 2}, (1,), {3}, ...])\nimport sys\nprint('err', file=sys.stderr)\nsys.stdout.write('w\\n')\nsys.stdout.writelines(['a\\n'])\nsys.stdout.flush()",
)
feature(
    "random is there",
    "import random\nr = random.Random(5)\nrandom.seed(3)\na = [random.random(), random.randint(1, 6), random.choice('abc'), random.sample(range(9), 3)]\nrandom.seed(3)\nprint(a == [random.random(), random.randint(1, 6), random.choice('abc'), random.sample(range(9), 3)], r.random(), sorted(random.sample([1, 2], 2)))\nx = [1, 2, 3]; random.shuffle(x); print(sorted(x))",
)
feature("unhandled exception", "print('before')\nraise ValueError('x')")
feature("name error", "print(undefined_name)")
feature("unbound local", "def f():\n    if False: x = 1\n    return x\nf()")
feature(
    "missing module",
    "try:\n    import nonexistent_module_xyz\nexcept ImportError as e:\n    print(e)\nimport another_missing.sub",
)
feature(
    "missing name in a module",
    "try:\n    from math import no_such\nexcept ImportError as e:\n    print('no')\nimport math\nprint(hasattr(math, 'sqrt'), hasattr(math, 'zzz'))\nmath.zzz",
)
feature("relative import", "from . import x")
feature("main guard", "def main(): print('main')\nif __name__ == '__main__': main()")
feature(
    "module metadata",
    "'''doc'''\n__author__ = 'me'\n__version__ = '1'\n__all__ = ['f']\nprint(__author__, __doc__, __name__)",
)
feature(
    "patching a module is the program's own affair",
    "import math, sys\nmath.pi = 3\nprint(math.pi)\nmath.extra = 1\nprint(math.extra)",
)
feature(
    "shadowed builtins",
    "list = [1]\nsum = 0\nstr = 'x'\nfor max in range(3): sum += max\ndef type(x): return 't'\nprint(list, sum, str, type(3))\ninput = lambda: '5'\nprint(int(input()))",
)
feature(
    "loops over a mutated list",
    "a = [1, 2, 3]\nfor x in a:\n    if x < 10: a.append(x * 10)\nprint(a)\nd = {1: 1}\ntry:\n    for k in d: d[k + 1] = 1\nexcept RuntimeError as e: print(e)",
)
feature("for over what is no iterable", "for x in 5: pass")
feature("comprehension over what is no iterable", "[x for x in 5]")
feature(
    "for with attribute and item targets",
    "class A: pass\na = A(); d = {}\nfor a.x in range(3): pass\nfor d['k'] in 'ab': pass\nfor i, (j, *k) in [(1, (2, 3, 4))]: print(i, j, k)\nprint(a.x, d)",
)
feature(
    "early break leaves the iterator usable",
    "it = iter(range(6))\nfor x in it:\n    if x == 2: break\nprint(list(it))\ng = (c for c in 'abcd')\nfor c in g: break\nprint(next(g))",
)
feature(
    "generator with return in a while",
    "def g(n):\n    while n:\n        yield n\n        n -= 1\n    return\nprint(list(g(3)))\ndef h():\n    while True:\n        x = yield\n        if x: return\nk = h(); next(k)\ntry: k.send(1)\nexcept StopIteration: print('stop')",
)
feature(
    "if chains that return",
    "def f(n):\n    if n == 0:\n        return 'zero'\n    elif n < 0:\n        return 'neg'\n    elif n > 100:\n        n = 100\n        return n\n    else:\n        s = ''\n        for i in range(n): s += str(i)\n    return s\nprint(f(0), f(-1), f(500), f(4))\ndef g(x):\n    'doc'\n    return [] if not x else [x] + g(x - 1)\nprint(g(3), g.__doc__)",
)
feature(
    "string prefix in the body",
    "def f():\n    'only a docstring'\nclass C:\n    'class doc'\n    x: int\n    y: int = 3\nprint(f(), f.__doc__, C.__doc__, C.y, f.__annotations__, C.__annotations__)",
)
feature(
    "annotations of variables",
    "x: int = 3\ny: 'str'\ndef f(a: int, b: 'x' = 2) -> float: return a\nprint(x, f.__annotations__)",
)
feature("deep nesting", "print(" + "(" * 60 + "1" + ")" * 60 + ")\nx = " + "+".join(["1"] * 500) + "\nprint(x)")
feature("semicolons, continuation and tabs", "a = 1; b = 2\nif a:\n\tc = a + \\\n\t\tb\nprint(c)")
feature("unicode identifiers", "é = 1\nñandú = 2\nprint(é + ñandú, 'ünïcödé', '\\N{BULLET}')")
feature(
    "calls of own names like the library's",
    "class Stack:\n    def __init__(self): self._data = []; self._size = 0\n    def push(self, x): self._data.append(x); self._size += 1\n    def format(self, x): return f'<{x}>'\n    def obj(self): return 'o'\ns = Stack()\ns.push(1)\nprint(s._data, s._size, s.format(3), s.obj())\ns.obj = 5\nprint(s.obj)",
)
feature(
    "int conversion limits",
    "try: int('1' * 5000)\nexcept ValueError: print('too long')\ntry: int('x')\nexcept ValueError as e: print(e)",
)
feature("sys attributes", "import sys\nprint(sys.maxsize, sys.version_info >= (3, 8), sys.byteorder)\nsys.exit()")
feature(
    "pprint and difflib",
    "import pprint, difflib\npprint.pprint({'b': 1, 'a': [1, 2]})\nprint(difflib.get_close_matches('appel', ['apple', 'x']), pprint.pformat([1]))",
)
feature(
    "time moves forward",
    "import time\nt = time.time()\na = time.perf_counter()\nfor i in range(1000): pass\ntime.sleep(0.001)\nprint(time.time() >= t, time.perf_counter() > a, time.gmtime(0).tm_year)",
)
feature(
    "modules imported by habit",
    "import logging, pathlib, traceback, unittest\nfrom pathlib import Path\ndef f(p: Path): pass\nfrom typing import *\nprint('fine')",
)
feature("optional package", "try:\n    import numpy_not_installed as np\nexcept ImportError:\n    np = None\nprint(np)")


feature(
    "main in a thread with a large stack",
    """
import sys, threading
sys.setrecursionlimit(1 << 20)
threading.stack_size(1 << 27)
def depth(n): return 0 if n == 0 else 1 + depth(n - 1)
def main():
    print(depth(5000))
if __name__ == "__main__":
    t = threading.Thread(target=main)
    t.start()
    t.join()
""",
)
feature(
    "raising the stack and stopping the collector",
    "import gc, resource, sys\ngc.disable()\nresource.setrlimit(resource.RLIMIT_STACK, resource.getrlimit(resource.RLIMIT_STACK))\ngc.enable()\nprint(gc.isenabled())",
)
feature(
    "dataclass options",
    """
from dataclasses import dataclass, field, asdict, astuple, replace, fields, FrozenInstanceError
@dataclass(order=True, frozen=True)
class P:
    x: int
    tags: list = field(default_factory=list, compare=False, repr=False)
    y: int = 2
print(P(1) < P(2), sorted([P(3), P(1)]), P(1) == P(1, ['a']))
try: P(1).x = 3
except FrozenInstanceError as e: print('frozen', e)
print(replace(P(1), y=5), asdict(P(1)), astuple(P(2)), [f.name for f in fields(P)])
@dataclass
class Q:
    a: int = 0
    b: str = field(init=False, default='b')
    def __post_init__(self): self.c = self.a * 2
q = Q(4)
print(q, q.c, q == Q(4))
@dataclass(slots=True, kw_only=True)
class S:
    v: float
print(S(v=1.5), hasattr(S(v=1), '__dict__'))
match Q(7):
    case Q(a=7, b=z): print(z)
""",
)
feature(
    "enum functional form",
    """
from enum import Enum, IntEnum, Flag, IntFlag, auto, unique
Color = Enum('Color', 'RED GREEN BLUE')
Size = Enum('Size', ['S', 'M'], start=10)
Num = IntEnum('Num', {'ONE': 1, 'TWO': 2})
Bit = Flag('Bit', 'A,B,C')
class Base(Enum):
    def hi(self): return 'hi ' + self.name
Sub = Base('Sub', [('p', 1), ('q', 'x')])
print(list(Color), Color(2), Color['BLUE'].value, Size.M.value, Num.TWO + 1, (Bit.A | Bit.C).value, Sub.q.hi(), Sub('x'))
try: Color(9)
except ValueError as e: print(e)
try: Color('X', 'A B')
except TypeError: print('cannot extend')
""",
)
feature(
    "enum with auto, methods and aliases",
    """
from enum import Enum, IntEnum, auto, unique
class Op(Enum):
    ADD = auto()
    SUB = auto()
    PLUS = 1
    @property
    def sign(self): return '+-'[self.value - 1]
    @classmethod
    def parse(cls, s): return next(o for o in cls if o.sign == s)
    def __str__(self): return self.sign
print(Op.PLUS is Op.ADD, [str(o) for o in Op], Op.parse('-').name, list(Op.__members__), Op.ADD in Op, len(Op))
class P(IntEnum):
    LOW = 1
    HIGH = 2
print(P.HIGH > P.LOW, sorted([P.HIGH, P.LOW]), P(1).name, {P.LOW: 'x'}[1], f'{P.HIGH:d}')
try:
    @unique
    class D(Enum):
        A = 1
        B = 1
except ValueError as e: print(e)
""",
)
feature(
    "typing at run time",
    """
from typing import NamedTuple, Protocol, Generic, TypeVar, Optional, Union, Callable, TypedDict, Literal, runtime_checkable, ClassVar, overload, cast, get_args, get_origin, NewType, Iterable
T = TypeVar('T')
class Point(NamedTuple):
    x: int
    y: int = 0
    def norm(self): return (self.x ** 2 + self.y ** 2) ** 0.5
p = Point(3, 4)
print(p, p.norm(), p._replace(x=0), p._asdict(), Point._fields, *p)
class Stack(Generic[T]):
    def __init__(self) -> None: self.items: list[T] = []
    def push(self, x: T) -> 'Stack[T]':
        self.items.append(x)
        return self
print(Stack[int]().push(1).push(2).items)
@runtime_checkable
class HasLen(Protocol):
    def __len__(self) -> int: ...
print(isinstance([], HasLen), isinstance(3, HasLen))
class M(TypedDict, total=False):
    a: int
print(M(a=1), get_args(dict[str, int]), get_origin(list[int]), cast(int, 'x'), NewType('U', int)(5), Optional[int] == Union[int, None])
def f(a: int | None = None, *, g: Callable[[int], str] = str) -> Literal['x']: return 'x'
print(f(), sorted(f.__annotations__))
X = NamedTuple('X', [('a', int), ('b', str)])
print(X(1, 'z').b)
""",
)
feature(
    "singledispatch, cached_property, partialmethod, lru_cache",
    """
from functools import singledispatch, cached_property, partialmethod, lru_cache, cache
class A:
    calls = 0
    @cached_property
    def v(self):
        A.calls += 1
        return 7
    def set(self, x, y): return (x, y)
    set1 = partialmethod(set, 1)
    @lru_cache(maxsize=2)
    def m(self, n): return n * 2
    @cache
    def k(self, n): return n
a = A()
print(a.v, a.v, A.calls, a.set1(2), a.m(3), a.m(3), A.m.cache_info().hits, a.k(1))
@singledispatch
def size(x): raise TypeError('no')
@size.register
def _(x: str): return len(x)
@size.register(int)
@size.register(float)
def _(x): return x
print(size('abc'), size(4), size(2.5))
""",
)
feature(
    "functions of newer Pythons where they are",
    "import itertools, math, sys\nprint(list(itertools.pairwise([1, 2, 3])), hasattr(itertools, 'batched') == (sys.version_info >= (3, 12)), hasattr(math, 'sumprod') == (sys.version_info >= (3, 12)))",
)
feature(
    "abc, numbers, cmath, contextlib, textwrap",
    """
from abc import ABC, ABCMeta, abstractmethod
import numbers, cmath, contextlib, textwrap, io
class Shape(metaclass=ABCMeta):
    @abstractmethod
    def area(self): ...
    @property
    @abstractmethod
    def name(self): ...
class Sq(Shape):
    name = 'sq'
    def area(self): return 4
try: Shape()
except TypeError as e: print('abstract', 'area' in str(e))
print(Sq().area(), isinstance(1.5, numbers.Real), isinstance(Sq(), ABC), cmath.polar(1j), textwrap.shorten('aa bb cc', 6))
out = io.StringIO()
with contextlib.redirect_stdout(out), contextlib.suppress(ZeroDivisionError):
    print('in')
    1 / 0
@contextlib.contextmanager
def tag(n):
    print('<', n)
    try: yield n
    finally: print('>', n)
with tag('a') as a, contextlib.ExitStack() as s:
    s.enter_context(tag('b'))
    s.callback(print, 'called')
print(repr(out.getvalue()))
@tag('d')
def f(): print('f')
f()
""",
)
feature(
    "async generators, comprehensions and gather",
    """
import asyncio
async def count(n):
    for i in range(n):
        await asyncio.sleep(0)
        yield i
async def work(n):
    await asyncio.sleep(0.01 * (3 - n))
    return n
class Lock:
    async def __aenter__(self): print('enter'); return self
    async def __aexit__(self, *e): print('exit')
async def main():
    print([i async for i in count(3) if i], {i: i async for i in count(2)})
    async with Lock(): pass
    print(await asyncio.gather(*(work(i) for i in range(3))))
    t = asyncio.create_task(work(1))
    print(await t, await asyncio.wait_for(work(2), 1))
asyncio.run(main())
""",
)
feature(
    "traceback printed to standard error",
    "import traceback\ntry: 1 / 0\nexcept ZeroDivisionError as e:\n    traceback.print_exc()\n    print(traceback.format_exc().splitlines()[-1])",
)
feature(
    "keyword and graphlib",
    "import keyword\nfrom graphlib import TopologicalSorter, CycleError\nprint(keyword.iskeyword('if'), 'for' in keyword.kwlist, list(TopologicalSorter({'a': {'b'}, 'b': {'c'}}).static_order()))\ntry: TopologicalSorter({1: {2}, 2: {1}}).prepare()\nexcept CycleError as e: print('cycle')",
)
feature(
    "imports by habit that are never used",
    "import socket, uuid, tempfile, xml.etree.ElementTree as ET\nfrom concurrent.futures import ThreadPoolExecutor\nprint('ok')",
)
feature(
    "an attribute called obj or format changed in place",
    "class A:\n    obj = 1\n    format = 'a'\na = A()\na.obj += 2\na.format *= 3\nclass B: pass\nb = B()\nb.a = a\nb.a.obj -= 5\nprint(a.obj, a.format)",
)


feature(
    "names of underscores alone",
    """
for __ in range(2):
    for ___ in range(2): pass
print(__, ___, [__ for __ in 'ab'], (lambda __: __ + 1)(2))
class ____:
    __ = 3
    def f(self, __=5): return __, self.__
a = ____()
a.__ = 9
a.__ += 1
print(a.f(), ____.__, vars(a), getattr(____, '__'))
match [1, 2, 3]:
    case [_, *__]: print(__)
def g(*__, **___): return __, ___
print(g(1, a=2))
globals()['__'] = 4
print(__)
exec('__ = 5')
print(__)
class S: __slots__ = ('__',)
s = S()
s.__ = 3
print(s.__)
""",
)


@pytest.mark.parametrize("name", FEATURES)
def test_it_behaves_as_in_cpython(name: str) -> None:
    boxed, plain = run(FEATURES[name]), run_plain(FEATURES[name])
    assert (boxed.status, boxed.stdout) == plain, boxed.message


INPUTS: dict[str, tuple[str, str]] = {
    "input": ("a = int(input())\nb = input('? ')\nprint(a, b)", "3\nx y\n"),
    "input at the end": ("input()\ntry: input()\nexcept EOFError as e: print(e)", "one"),
    "stdin lines": ("import sys\nfor line in sys.stdin: print(line.strip()[::-1])", "ab\ncd"),
    "stdin read": ("import sys\nprint(sum(map(int, sys.stdin.read().split())))", "1 2\n3\n"),
    "stdin readline as input": ("import sys\ninput = sys.stdin.readline\nprint(repr(input()), input())", "a\nb\n"),
    "stdin readlines": ("import sys\nprint(sys.stdin.readlines())", "a\r\nb\n\n"),
    "stdin buffer": ("import sys\nprint(sys.stdin.buffer.readline(), sys.stdin.buffer.read())", "a\nbé\n"),
    "mixed": ("import sys\nn = int(input())\nprint(n, sys.stdin.readline().split(), *sys.stdin)", "1\n2 3\n4\n"),
    "replaced streams": (
        "import sys, io\nsys.stdin = io.StringIO('zz\\n')\nprint(input())\nsys.stdout = io.StringIO()\nprint('lost')",
        "aa\n",
    ),
}


@pytest.mark.parametrize("name", INPUTS)
def test_standard_input_reads_as_in_cpython(name: str) -> None:
    source, stdin = INPUTS[name]
    boxed = run(source, stdin)
    assert boxed.status == "ended", boxed.message
    if "stdout" not in source:
        assert boxed.stdout == run_plain(source, stdin)[1]


FAST_INPUT = """
import os, sys
from io import BytesIO, IOBase
class FastIO(IOBase):
    newlines = 0
    def __init__(self, file):
        self._fd = file.fileno()
        self.buffer = BytesIO()
        self.writable = 'x' in file.mode or 'r' not in file.mode
        self.write = self.buffer.write if self.writable else None
    def read(self):
        while True:
            b = os.read(self._fd, max(os.fstat(self._fd).st_size, 8192))
            if not b: break
            ptr = self.buffer.tell()
            self.buffer.seek(0, 2), self.buffer.write(b), self.buffer.seek(ptr)
        self.newlines = 0
        return self.buffer.read()
    def readline(self):
        while self.newlines == 0:
            b = os.read(self._fd, max(os.fstat(self._fd).st_size, 8192))
            self.newlines = b.count(b'\\n') + (not b)
            ptr = self.buffer.tell()
            self.buffer.seek(0, 2), self.buffer.write(b), self.buffer.seek(ptr)
        self.newlines -= 1
        return self.buffer.readline()
    def flush(self):
        if self.writable:
            os.write(self._fd, self.buffer.getvalue())
            self.buffer.truncate(0), self.buffer.seek(0)
class IOWrapper(IOBase):
    def __init__(self, file):
        self.buffer = FastIO(file)
        self.flush = self.buffer.flush
        self.writable = self.buffer.writable
        self.write = lambda s: self.buffer.write(s.encode('ascii'))
        self.read = lambda: self.buffer.read().decode('ascii')
        self.readline = lambda: self.buffer.readline().decode('ascii')
sys.stdin, sys.stdout = IOWrapper(sys.stdin), IOWrapper(sys.stdout)
input = lambda: sys.stdin.readline().rstrip()
print(int(input()) + int(input()))
sys.stdout.flush()
"""


@pytest.mark.parametrize(
    ("source", "stdin", "stdout"),
    [
        (FAST_INPUT, "3\n4\n", "7\n"),
        (FAST_INPUT.replace("sys.stdout.flush()", ""), "3\n4\n", "7\n"),
        ("print(open(0).read().split())", "a b\n", "['a', 'b']\n"),
        ("import sys\nfor x in open(0): sys.stdout.write(x)", "a\nb", "a\nb"),
        ("import os\nprint(os.read(0, os.fstat(0).st_size))", "xyz", "b'xyz'\n"),
        ("import os, io\nf = io.BytesIO(os.read(0, 99)).readline\nprint(int(f()))", "12\n", "12\n"),
        ("import io, sys\ns = io.TextIOWrapper(sys.stdin.buffer, encoding='utf-8')\nprint(s.read())", "é", "é\n"),
        ("import sys\nsys.stdout.buffer.write('é'.encode()); print('x')", "", "éx\n"),
        ("import os\nos.write(1, b'hi')", "", "hi"),
        ("import atexit\natexit.register(print, 'late')\nprint('early')", "", "early\nlate\n"),
        ("import atexit, sys\natexit.register(lambda: print('late'))\nsys.exit(0)", "", "late\n"),
        ("print(__import__('sys').stdin.readline())", "q\n", "q\n\n"),
        ("import sys\nsys.stdout.close()\nprint('still')", "", "still\n"),
    ],
)
def test_fast_input_and_output(source: str, stdin: str, stdout: str) -> None:
    boxed = run(source, stdin)
    assert (boxed.status, boxed.stdout) == ("ended", stdout), boxed.message


def test_chance_repeats_itself() -> None:
    source = "import random\nprint(random.random(), random.Random().random(), random.randint(0, 10**9))"
    assert run(source).stdout == run(source).stdout != ""


def test_time_is_the_programs_own() -> None:
    source = "import time\na = time.time()\nfor i in range(1000): pass\ntime.sleep(3600)\nprint(time.time() - a)"
    assert run(source).stdout == run(source).stdout
    assert 3600 < float(run(source).stdout) < 3601


@pytest.mark.parametrize(("code", "message"), [("3", "3"), ("'no'", "'no'"), ("None", "None"), ("", "None")])
def test_an_exit_is_an_ending_with_its_code(code: str, message: str) -> None:
    for call in ("import sys\nsys.exit", "exit", "raise SystemExit"):
        ending = run(f"print(1)\n{call}({code})\nprint(2)")
        assert (ending.status, ending.stdout, ending.message) == ("ended", "1\n", message)


def test_deep_recursion_ends_in_an_exception_and_not_in_a_crash() -> None:
    source = """
import sys
from functools import lru_cache
sys.setrecursionlimit(10 ** 9)
class A:
    def __repr__(self): return repr(self)
def f(n): return f(n + 1)
@lru_cache(None)
def g(n): return g(n + 1)
for call in (lambda: f(0), lambda: repr(A()), lambda: g(0)):
    try: call()
    except RecursionError: print('deep')
"""
    assert run(source).stdout == "deep\n" * 3


@pytest.mark.parametrize(
    ("source", "status", "error_type"),
    [
        ("from libs import *\n", "exception", "ModuleNotFoundError"),
        ("try:\n    from libs import *\nexcept ImportError:\n    pass\n", "passed", None),
        ("from numpy import *\n", "refused", None),
        ("from math import *\nassert floor(1.5) == 1\n", "passed", None),
    ],
)
def test_star_imports_end_as_the_plain_ones_do(source: str, status: str, error_type: str | None) -> None:
    program = Program(source + "def one():\n    return 1\n", "function", (Test("assert one() == 1"),), "one")
    (result,) = run_many([program], workers=1)
    assert (result.status, result.error_type) == (status, error_type)


TIMES = """
from datetime import datetime, date, timedelta, timezone
import datetime as d
import time
a = datetime.now()
for i in range(100_000): pass
time.sleep(3600)
print(a, datetime.now() - a, date.today(), datetime.utcnow() > a, datetime.now(timezone(timedelta(hours=2))).hour)
print(getattr(d.date, 'today')(), d.datetime.today() - a, datetime.fromtimestamp(0), a.astimezone().utcoffset())
print(abs(time.time() - datetime.now(timezone.utc).timestamp()) < 1e-5)
class E(datetime):
    @classmethod
    def later(cls): return super().now()
print(E.later().year, type(E.now()).__name__)
class S:
    def __init__(self): self.now, self.today = 3, []
    def go(self):
        self.now += 1
        self.today += [1]
        return self.now, self.today
    def utcnow(self): return 'mine'
print(S().go(), S().utcnow())
"""


def test_now_and_today_follow_the_programs_own_clock_in_utc() -> None:
    first = run(TIMES)
    assert first.status == "ended", first.message
    assert first.stdout == run(TIMES).stdout
    assert first.stdout.splitlines() == [
        "2023-11-14 22:13:20.000001 1:00:00.010001 2023-11-14 True 1",
        "2023-11-14 1:00:00.010006 1970-01-01 00:00:00 0:00:00",
        "True",
        "2023 E",
        "(4, [1]) mine",
    ]


def test_comparing_with_plain_python_leaves_this_process_as_it_was() -> None:
    import math

    run_plain("import math, string\nmath.pi = 3\nstring.digits = ''")
    assert math.pi > 3.14

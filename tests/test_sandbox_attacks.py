# ruff: noqa: E501  (one attack a line)
"""Attacks written against the source of the sandbox by readers who had not written it: each with what stops it.

Four kinds: on the language layer (in this process), on the verdict, on the next program in the same process, and on
the operating system's walls with the language layer off. `test_sandbox_escapes` has the classes known from elsewhere.
"""

import collections
import contextlib
import ctypes
import fractions
import functools
import gc
import multiprocessing
import platform
import socket
import subprocess
import sys
import threading
import types
import typing
import weakref
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox import (
    attributes,
    classes,
    copying,
    execute,
    execution,
    freeze,
    handles,
    modules,
    policy,
    record_fields,
    remote,
    rules,
    runtime,
    standins,
    streams,
    translate,
)
from sandbox.assemble import Round, assemble
from sandbox.judge import Judge, _text
from sandbox.pool import run_many, run_with
from sandbox.refused import Refused
from sandbox.slot import Settings, Slot
from sandbox.translate import examine
from sandbox.verdict import Limits, Program, Result, Test
from sandbox.wire import READ, Channel
from tests.test_sandbox_pool import FRAMES
from tests.test_sandbox_walls import judge
from tests.untrusted import Planted, run

# The language layer: (rule, culprit, program). The rule must have fired and the message name the culprit.
REFUSED: dict[str, tuple[str, str, str]] = {}
# Those that run: (how it ends, what it says).
CONTAINED: dict[str, tuple[str, str, str]] = {}


def refused(name: str, rule: str, culprit: str, source: str) -> None:
    assert name not in REFUSED
    REFUSED[name] = rule, culprit, source


def contained(name: str, status: str, found: str, source: str) -> None:
    assert name not in CONTAINED
    CONTAINED[name] = status, found, source


# `type` itself, from behind what holds it
METACLASS = "T = %s\nM = T('M', (T,), {'__instancecheck__': lambda c, o: True})"
refused("type by calling type[int]", "metaclass", "inherit from type", METACLASS % "type[int](int)")
refused(
    "type by get_origin",
    "metaclass",
    "inherit from type",
    "import typing\n" + METACLASS % "typing.get_origin(type[int])",
)
refused(
    "type by get_args of a union",
    "metaclass",
    "inherit from type",
    "import typing\n" + METACLASS % "typing.get_args(type | None)[0]",
)
refused(
    "type by get_args of the union turned round",
    "metaclass",
    "inherit from type",
    "import typing\n" + METACLASS % "typing.get_args(None | type)[1]",
)
refused(
    "type inside Callable's arguments",
    "metaclass",
    "inherit from type",
    "import typing\n" + METACLASS % "typing.get_args(typing.Callable[[type], int])[0][0]",
)
refused("a class of type[int]", "metaclass", "inherit from type", "class M(type[int]): pass")
refused("a class of typing.Type", "metaclass", "inherit from type", "import typing\nclass M(typing.Type[int]): pass")
refused("a starred base", "metaclass", "inherit from type", "class M(*(type,)): pass")
refused(
    "an alias whose origin is type",
    "metaclass",
    "inherit from type",
    "import types\nclass M(types.GenericAlias(type, int)): pass",
)
refused("a metaclass in keywords", "metaclass", "metaclass of its own", "class A(**{'metaclass': lambda *a: 1}): pass")
refused("type() with a metaclass", "metaclass", "takes no metaclass", "type('A', (), {}, metaclass=int)")
refused(
    "type in an AttributeError's context",
    "attribute",
    "obj of an AttributeError",
    "import contextlib\ntry: contextlib.ExitStack().enter_context(int)\nexcept TypeError as e: e.__context__.obj",
)
contained(
    "a generic alias of type called",
    "ended",
    "True\n",
    "import types\nprint(types.GenericAlias(type, (int,))(int) is type)",
)

# Patterns while a class is made
HOOK = """
from abc import ABC
import types, statistics
class P(ABC):
    def __init_subclass__(cls):
        match statistics.mean:
            case cls(g): print('reached', type(g))
P.register(types.FunctionType)
"""
BINDINGS = {
    "built": "class A(P): __match_args__ = ('__glo' + 'bals__',)",
    "starred": "class A(P): __match_args__ = (*['__globals__'],)",
    "in a loop": "class A(P):\n    for __match_args__ in [('__globals__',)]: pass",
    "by walrus": "class A(P):\n    (__match_args__ := ('__globals__',))",
    "annotated": "class A(P):\n    __match_args__: tuple = ('__globals__',)",
    "unpacked": "class A(P):\n    __match_args__, x = ('__globals__',), 1",
    "twice": "class A(P):\n    __match_args__ = y = ('__globals__',)",
    "added": "class A(P):\n    __match_args__ = ()\n    __match_args__ += ('__globals__',)",
    "by import": "class A(P):\n    from math import pi as __match_args__",
    "by with": "class A(P):\n    import contextlib\n    with contextlib.nullcontext(('__globals__',)) as __match_args__: pass",
    "captured": "class A(P):\n    match ('__globals__',):\n        case __match_args__: pass",
    "by except": "class A(P):\n    try: 1 / 0\n    except Exception as __match_args__: pass",
    "by def": "class A(P):\n    def __match_args__(self): pass",
    "literal": "class A(P): __match_args__ = ('__globals__',)",
    "of the guarded kind": "class A(P): __match_args__ = ('obj',)",
}
for how, body in BINDINGS.items():
    refused(f"__match_args__ {how}", "special-name", "__match_args__", HOOK + body)
refused(
    "__match_args__ in type()",
    "special-name",
    "__match_args__ of A",
    HOOK + "type('A', (P,), {'__match_args__': ('__globals__',)})",
)
refused(
    "__match_args__ in type() as a list", "special-name", "__match_args__", "type('A', (), {'__match_args__': ['x']})"
)
contained(
    "a field called obj is not read by position",
    "ended",
    "()\n",
    "import typing\nclass N(typing.NamedTuple):\n    obj: int\nprint(N.__match_args__)",
)

# What copy is told to set
PLANT = """
import copy, types
class A: pass
def answer(protocol): return lambda: %s, (), %s
"""
GO = "copy.deepcopy(Planted(reduce_ex=answer))\nprint('set')\n"
LIAR = "class D(dict):\n    def __iter__(self): return iter(())\n    def keys(self): return ['__match_args__']\n    def items(self): return [('__match_args__', ('__globals__',))]\n"
refused(
    "a state made by __deepcopy__",
    "attribute",
    "copy may not set the attribute __match_args__",
    PLANT % ("A", "S()")
    + "class S:\n    def __deepcopy__(self, memo): return (None, {'__match_args__': ('__globals__',)})\n"
    + GO,
)
refused(
    "a state that is a lying dict",
    "attribute",
    "plain dict only",
    LIAR + PLANT % ("A()", "D()") + GO,
)
refused("slots that are a lying dict", "attribute", "plain dict only", LIAR + PLANT % ("A", "(None, D())") + GO)
refused(
    "a state whose names are lying strings",
    "attribute",
    "copy may not set the attribute",
    "class S(str):\n    def startswith(self, x): return False\n"
    + PLANT % ("A", "(None, {S('__match_args__'): 1})")
    + GO,
)
refused(
    "a class's own dict by copy", "attribute", "copy may not set attributes of a type", PLANT % ("A", "{'x': 1}") + GO
)
refused(
    "an underscored name of the library's by copy",
    "attribute",
    "belongs to the library",
    PLANT % ("types.GenericAlias(list, int)", "(None, {'_evaluate': 1})") + GO,
)
refused(
    "a namespace with special names",
    "attribute",
    "__reduce_ex__ may not be set",
    "import types\ntypes.SimpleNamespace(**{'__reduce_ex__': 1})",
)

# Fields of dataclasses become source text
contained(
    "a field without annotation stays a description",
    "AttributeError",
    "no attribute 'name'",
    "from dataclasses import dataclass, field\nclass A: y = field(default=1)\ntry: dataclass(A)\nexcept TypeError: pass\nA.y.name = 'x'",
)
for wrapper in ("classmethod", "functools.partialmethod", "functools.cached_property"):
    refused(
        f"{wrapper} as a default",
        "special-name",
        "may not be a descriptor",
        "from dataclasses import dataclass, field\nimport functools\nclass D:\n    def __get__(self, o, t): print(vars(t))\n    def __call__(self): pass\n"
        f"@dataclass\nclass A:\n    x: int = field(default=1)\n    y: int = {wrapper}(D())",
    )
STEAL = """
from dataclasses import dataclass, field, MISSING
import sys
act, got = [], []
class G(field):
    @property
    def _sandbox_options(self):
        for f in act: f()
        return {'default': 1}
    @_sandbox_options.setter
    def _sandbox_options(self, value): pass
class A:
    x: int = field(default=1)
    y: int = G()
act.append(lambda: got.append(vars(A).get('x')))
dataclass(A)
act.clear()
Field = type(got[0]).__mro__[1]
F = Field(1, MISSING, True, True, None, True, None, False)
@dataclass
class B:
    y: int = staticmethod(F)
act.append(lambda: setattr(F, 'name', "y, print(__import__('os').getpid() and 'ESCAPED', file=self.out)"))
@dataclass(init=False, repr=False)
class C(B):
    z: int = G()
C.y, C.out = 1, sys.stdout
C() == C()
"""
contained(
    "the doc string of a dataclass is not made of signatures",
    "ended",
    "None\n",
    "from dataclasses import dataclass\nclass B:\n    'B(x=os.__file__)\\n--\\n\\n'\n@dataclass(init=False)\nclass A(B): pass\nprint(A.__doc__)",
)

# += reads before it sets
RADD = "class R:\n    def __radd__(self, other): print('got', other('{0.__class__}', 1)); return other\n"
refused(
    "+= on format", "attribute", "__class__ may not be read by a format", RADD + "s = '{1.__class__}'\ns.format += R()"
)
refused(
    "+= on format_map",
    "attribute",
    "__class__ may not be read by a format",
    "class R:\n    def __radd__(self, other): print(other({'x': 1})); return other\ns = '{x.__class__}'\ns.format_map += R()",
)
refused("+= on obj", "attribute", "obj of an AttributeError", "try: [].x\nexcept AttributeError as e: e.obj += 1")

# Dictionaries of other people's objects, names of ours
contained("vars() of a stream", "KeyError", "_sandbox_output", "import sys\nvars(sys.stdout)['_sandbox_output']")
contained("vars() of an alias", "TypeError", "", "import types\nvars(types.GenericAlias(list, int))['__origin__']")
contained(
    "vars() of a standin's task",
    "ended",
    "[]\n",
    "import asyncio\nasync def f(): pass\nprint([k for k in vars(asyncio.ensure_future(f())) if 'coroutine' in k])",
)
refused(
    "a private name by mangling",
    "attribute",
    "_sandbox__output may not be read",
    "class sandbox:\n    def f(self, x): return x.__output",
)
refused(
    "an attribute of the sandbox's set",
    "attribute",
    "_sandbox_free",
    "import threading\nthreading.Lock()._sandbox_free = 5",
)
refused("the loop of asyncio", "attribute", "__self__", "import asyncio\nasyncio.run.__self__")
refused(
    "a function handed to a pattern of the program's",
    "attribute",
    "__closure__",
    "import string\nclass P:\n    def sub(self, convert, text): return convert.__closure__\nt = string.Template('$a')\nt.pattern = P()\nt.substitute(a=1)",
)
refused(
    "a method of functools",
    "attribute",
    "__globals__",
    "import functools\n@functools.total_ordering\nclass A:\n    def __lt__(s, o): return True\nA.__gt__.__globals__",
)
refused(
    "the globals of a dataclass's method",
    "attribute",
    "__globals__",
    "d = {'__name__': 'os'}\nexec('from dataclasses import dataclass\\n@dataclass\\nclass A:\\n    x: int = 1', d)\nd['A'].__init__.__globals__",
)
refused("a bound TypeVar", "attribute", "__bound__", "import typing\ntyping.TypeVar('T', bound='print(1)').__bound__")
refused(
    "a forward reference's text",
    "attribute",
    "__forward_arg__",
    "import typing\ntyping.get_args(typing.Optional['x'])[0].__forward_arg__",
)
refused("reduce of a partial", "attribute", "__reduce__", "import functools\nfunctools.partial(print).__reduce__()")
refused(
    "a traceback handed to throw()",
    "attribute",
    "tb_frame",
    "class A:\n    def throw(self, *a): return a[2].tb_frame\n    def __iter__(self): return self\n    def __next__(self): return 1\ndef g(): yield from A()\nx = g()\nnext(x)\nx.throw(ValueError())",
)
refused(
    "a group's exceptions",
    "attribute",
    "__traceback__",
    "try: raise ExceptionGroup('', [KeyError()])\nexcept ExceptionGroup as g: g.exceptions[0].__traceback__",
)
refused("letters that normalize to others", "attribute", "__globals__", "print.__ｇlobals__")
refused("a special method in such letters", "special-name", "__del__", "class A:\n    def __ｄel__(self): pass")
refused("such letters in a string", "attribute", "may not be read", "getattr(print, '__ｇlobals__')")
refused("globals() given a dotted name", "builtin", ".it", "globals().__setitem__('.it', 1)")
refused(
    "str.format in a partialmethod",
    "attribute",
    "__class__",
    "import functools\nclass S(str):\n    g = functools.partialmethod(str.format)\nS('{0.__class__}').g(1)",
)
refused(
    "str.format in a MethodType",
    "attribute",
    "__class__",
    "import types\ntypes.MethodType('{0.__class__}'.format, 1)()",
)
refused("a member of an Enum by string", "special-name", "__del__", "from enum import Enum\nEnum('A', {'__del__': 1})")
refused(
    "a protocol of special names",
    "special-name",
    "__globals__",
    "import typing\n@typing.runtime_checkable\nclass P(typing.Protocol):\n    __globals__: int",
)
refused(
    "a refusal in exec swallowed",
    "module",
    "subprocess",
    "def f():\n    try: exec('import subprocess')\n    finally: return 1\nf()\nprint('on')",
)
refused(
    "a refusal in eval swallowed by a with",
    "attribute",
    "__globals__",
    "class C:\n    def __enter__(self): pass\n    def __exit__(self, *e): return True\nwith C(): eval('print.__globals__')\nprint('on')",
)
contained("builtins handed to eval", "ended", "0\n", "print(eval('len([])', {'__builtins__': {'len': print}}))")
contained(
    "machinery handed to exec",
    "step_limit",
    "",
    "exec('while True: pass', {'.it': iter(int, 1), '.left': iter(int, 1)})",
)
contained("a global called getattr", "ended", "<class 'int'>\n", "getattr = lambda *a: 0\nprint((1).__class__)")
contained(
    "codecs are no importer",
    "ended",
    "4\n",
    "n = 0\nfor name in ['os', 'zlib_codec', '../../x', 'antigravity']:\n    try: 'x'.encode(name)\n    except LookupError: n += 1\nprint(n)",
)
refused(
    "an attrname of cached_property",
    "attribute",
    "__class__ may not be set",
    "import functools\nclass K:\n    p = functools.cached_property(lambda s: 1)\nK.p.attrname = '__class__'\nk = K()\nk.p\nprint(k.__class__)",
)
contained(
    "a property by another name",
    "step_limit",
    "",
    "import builtins\nP = builtins.property\ndef p(self):\n    if self.n == 0: return 0\n    self.n -= 1\n    x = self.q, self.q\n    self.n += 1\n    return 0\nclass A:\n    n = 22\n    q = P(p)\nA().q",
)


# Methods of the library, written in Python, given an object that is not theirs
ALIAS = "import contextlib, functools, types, typing\ntry: contextlib.ExitStack().enter_context(int)\nexcept TypeError as e: x = e.__context__\n"
for method in ("collections.Counter.copy", "collections.UserList.copy"):
    contained(
        f"the type of a class by {method}",
        "TypeError",
        "takes an instance, not the class int",
        f"import collections\n{method}(int)",
    )
contained(
    "a class made by ChainMap.copy",
    "TypeError",
    "takes an instance, not the class K",
    "import collections\nclass M:\n    def copy(self): return 'X'\nclass K: maps = [M(), (), {'__match_args__': ('__globals__',)}]\ncollections.ChainMap.copy(K)",
)
contained(
    "a class made by ChainMap.parents",
    "TypeError",
    "takes an instance, not the class K",
    "import collections\nclass K: maps = [0, 'X', (), {'__match_args__': ('__globals__',)}]\ncollections.ChainMap.parents.fget(K)",
)
contained(
    "the type of a class by a flag's |",
    "TypeError",
    "takes an instance, not the class K",
    "import enum\nclass V:\n    def __or__(self, o): return int\nclass K:\n    _member_type_, _value_ = str, V()\nenum.Flag.__or__(K, 'x')",
)
contained(
    "a metaclass called by statistics.mean",
    "TypeError",
    "can't convert type 'type'",
    "import statistics, abc\nclass Z:\n    def __radd__(self, o): return self\n    def is_finite(self): return False\n    def __truediv__(self, n): return abc.ABC\nclass C:\n    @classmethod\n    def as_integer_ratio(cls): return Z(), None\nprint(statistics.mean([C]))",
)
refused("obj behind a generic alias", "attribute", "obj of a generic alias", ALIAS + "types.GenericAlias(x, int).obj")
refused(
    "obj behind an alias of typing",
    "attribute",
    "obj of an AttributeError",
    ALIAS + "type(typing.List[int])(x, (int,), name='q').obj",
)
refused(
    "obj behind a method of an alias",
    "attribute",
    "obj of a generic alias",
    ALIAS + "types.MethodType(types.GenericAlias(x, int), 1).obj",
)
refused(
    "obj by super()", "attribute", "obj of an AttributeError", "class X(AttributeError): pass\nsuper(X, X(obj=1)).obj"
)
for name in ("gi_frame", "gi_code", "_evaluate"):
    refused(
        f"__getattr__ of an alias, asked for {name}",
        "attribute",
        name,
        f"import typing\nref = typing.get_args(typing.Optional['x'])[0]\nof = ref if '{name}' == '_evaluate' else (i for i in [])\ntype(typing.List[int])(of, (int,), name='q').__getattr__('{name}')",
    )
contained(
    "a property of an Enum that reads by name",
    "refused|AttributeError",
    "gi_frame|_member_map_",
    "import enum\nclass E(enum.Enum): name = 1\nP = type(vars(E)['name'])\np = P()\nclass K:\n    q = p\n    _value_ = (i for i in [])\np.name, p._attr_type = 'gi_frame', 'desc'\nprint('got', K().q)",
)
contained(
    "the dictionary of a class by cached_property",
    "TypeError",
    "'__dict__' attribute|not subscriptable",
    "import functools\nc = functools.cached_property(lambda s: 1)\nc.attrname = 'x'\nclass A:\n    x = [1]\n    q = classmethod(c)\nA.q['x']",
)

# What a dataclass's methods read
EQUAL = "import contextlib, types, typing\nfrom dataclasses import dataclass\nclass Own:\n    def __eq__(self, other): print('got', other); return True\n"
contained(
    "obj by __eq__ of a dataclass",
    "TypeError",
    "takes a C, not a AttributeError",
    EQUAL + ALIAS + "@dataclass\nclass C:\n    obj: int\nC.__eq__(x, AttributeError(obj=Own()))",
)
contained(
    "a method of the library's by __eq__ of a dataclass",
    "TypeError",
    "takes a C, not a GenericAlias",
    EQUAL
    + "@dataclass\nclass C:\n    _evaluate: int\nclass W: _evaluate = Own()\nref = typing.get_args(typing.Optional['x'])[0]\nC.__eq__(types.GenericAlias(ref, int), types.GenericAlias(W(), int))",
)
refused(
    "a dataclass that is a str with a field called format",
    "special-name",
    "may not be format",
    EQUAL + "@dataclass\nclass C(str):\n    format: object = 1",
)
refused(
    "a dataclass with a hook and a field called obj",
    "special-name",
    "may not be obj",
    EQUAL + "from abc import ABC\n@dataclass\nclass C(ABC):\n    obj: int",
)
refused(
    "a dataclass made twice with a field called obj",
    "special-name",
    "has slots",
    EQUAL + "@dataclass(slots=True)\nclass C:\n    obj: int",
)
contained(
    "a field called obj among its own",
    "ended",
    "False True (1, 'x')\n",
    "from dataclasses import dataclass\n@dataclass(order=True)\nclass C:\n    obj: int\n    format: str = 'x'\na, b = C(1), C(2)\nprint(a == b, a < b, (a.obj, a.format))",
)

# What copy shows
refused(
    "a memo that is asked about everything",
    "attribute",
    "plain dict",
    "import copy\nclass M(dict):\n    def get(self, k, d=None): return d\ncopy.deepcopy([1], M())",
)
contained(
    "the world by a bound method's copy",
    "ended",
    "[] True\n",
    "import copy, time\nm = {}\nc = copy.deepcopy(time.sleep, m)\nprint(list(m), c is time.sleep)",
)
contained(
    "what deepcopy keeps alive",
    "TypeError",
    "_Kept|not subscriptable",
    "import copy\nm = {}\ncopy.deepcopy([[1]], m)\nm[id(m)][0]",
)
refused(
    "the world by the copy of a partial's attributes",
    "attribute",
    "copy may not set the attribute __self__",
    "import copy, functools, time\nclass D:\n    def __get__(self, o, t): return time.sleep\nclass A: q = functools.partialmethod(D())\ncopy.deepcopy(A().q, {})",
)
contained("a stream copied", "TypeError", "cannot pickle 'TextOutput'", "import copy, sys\ncopy.copy(sys.stdout)")
contained(
    "an object's dictionary copied",
    "ended",
    "{'x': [1]} {'x': [1]} False\n",
    "import copy\nclass A: pass\na = A()\na.x = [1]\nd = copy.deepcopy(a.__dict__)\nprint(d, copy.copy(vars(a)), d['x'] is a.x)",
)
contained(
    "a library's class merged into a function",
    "AttributeError",
    "no attribute '_evaluate'",
    "import contextlib, functools, typing\nref = typing.get_args(typing.Optional['x'])[0]\n@functools.wraps(contextlib.contextmanager(type(ref)))\ndef f(): pass\nf._evaluate",
)
OTHER_SUPER = "import re\nsuper_ = super\nsuper = lambda: %s\nsuper().__init__"
refused("super().__init__ of what is no super", "attribute", "read for an object [", OTHER_SUPER % "re.I")
refused(
    "super().__init__ of a class", "attribute", "read for an object [", OTHER_SUPER % "super_(type(re.I), type(re.I))"
)
refused(
    "super().__init__ of an object of the library's",
    "attribute",
    "read for an object of the program's own class",
    OTHER_SUPER % "super_(type(re.I), re.I)",
)
contained(
    "super().__setattr__ of a frozen dataclass",
    "ended",
    "B(x=3) 5\n",
    "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass A:\n    x: int = 1\nclass B(A):\n    def __init__(self):\n        super().__init__(3)\n        super().__setattr__('z', 5)\nprint(B(), B().z)",
)


# What an object says it is made by, when copied
RENAMED = "import copy, time, types\ndef f(): pass\nf.__name__ = %r\ndef g(): yield\nm = types.MethodType(f, %s)\nprint(copy.copy(m) is m)"
contained("a frame by the copy of a method", "ended", "True\n", RENAMED % ("gi_frame", "g()"))
contained("the world by the copy of a method", "ended", "True\n", RENAMED % ("__self__", "time.sleep"))
contained(
    "copy of an alias called __builtins__",
    "ended",
    "True\n",
    "import copy, typing\na = type(typing.List[int])(list, ('eval',), name='__builtins__')\nprint(copy.copy(a) is a, copy.deepcopy(a) is a)",
)
for kind in ("Enum", "Flag"):
    contained(
        f"copy of a member of an {kind} that has another name",
        "ended",
        "True\n",
        f"import copy, enum\nclass C(enum.{kind}):\n    A = 1\n    __copy__ = None\nC.A._name_ = '__class__'\nprint(copy.copy(C.A) is C.A)",
    )
contained(
    "copy by a function of the library's",
    "TypeError",
    "cannot pickle 'Planted'",
    "import copy, operator\ncopy.copy(Planted(reduce_ex=lambda p: (operator.getitem, ([1], 0))))",
)

# What may be planted in an object's own dictionary
refused(
    "the fields of a dataclass by an alias's cached_property",
    "attribute",
    "__dataclass_fields__ may not be set",
    "import dataclasses, functools, types\nc = functools.cached_property(lambda s: 1)\nclass G(types.GenericAlias):\n    p = c\nc.attrname = '__dataclass_fields__'\n@dataclasses.dataclass\nclass A:\n    x: int = 1\nobject.__getattribute__(G(A, int), 'p')",
)
contained(
    "a class's attribute by an alias's cached_property",
    "ended",
    "1\n",
    "import functools, types\nc = functools.cached_property(lambda s: 1)\nclass G(types.GenericAlias):\n    p = c\nc.attrname = 'x'\nclass A:\n    x = classmethod(len)\nprint(object.__getattribute__(G(A, int), 'p'))",
)
contained(
    "the real namespace under ours",
    "TypeError",
    "no arguments",
    "import types\ntypes.SimpleNamespace.__mro__[1](**{'__reduce_ex__': print})",
)
refused(
    "a namespace given a lying name",
    "attribute",
    "__mro_entries__ may not be set",
    "import types\nclass S(str):\n    def startswith(self, x): return False\ntypes.SimpleNamespace({S('__mro_entries__'): print})",
)
contained(
    "repr and == of a namespace on another's object",
    "TypeError",
    "expected a SimpleNamespace",
    "import sys, types\nprint(types.SimpleNamespace.__eq__(sys.stdout, types.SimpleNamespace()))\ntypes.SimpleNamespace.__repr__(sys.stdout)",
)

# The functional form of the real Enum
refused(
    "special names in the real Enum's call",
    "special-name",
    "'__reduce_ex__'",
    "import enum\nenum.Enum.__mro__[-2]('X', {'__reduce_ex__': print, 'A': 1})",
)
refused(
    "an Enum's mixin that equals every type",
    "module-name",
    "type=int, str or float",
    "import enum\nclass T:\n    def __eq__(self, o): return True\nenum.Enum('X', 'a b', type=T())",
)

contained(
    "an Enum with a __new__ of its own",
    "ended",
    "P.A 2\n",
    "import enum\nclass P(enum.Enum):\n    A = 1, 2\n    def __new__(cls, a, b):\n        new = object.__new__(cls)\n        new._value_, new.b = a, b\n        return new\nprint(P(1), P.A.b)",
)
contained(
    "an instance that equals every class, made a dataclass",
    "TypeError",
    "on a class of the program",
    "import dataclasses\nclass A: pass\nclass K:\n    def __hash__(self): return hash(A)\n    def __eq__(self, other): print('got', other); return True\ndataclasses.dataclass(K())",
)

# The program while its dataclass is made
TURN = "from dataclasses import dataclass, field\nran = []\nclass Turn:\n    def __bool__(self): ran.append([n for n, v in vars(A).items() if 'Field(' in repr(v)]); return True\n"
contained(
    "a base's option that runs",
    "ended",
    "[[]]\n",
    TURN
    + "class A: pass\n@dataclass(frozen=Turn())\nclass B:\n    x: int = 1\nclass A(B):\n    y: int = 2\ndataclass(frozen=True)(A)\nprint(ran)",
)
contained(
    "a field's options that run",
    "ended",
    "3\n",
    TURN
    + "class A: pass\nclass A:\n    x: int = field(default=1, init=Turn(), repr=Turn(), compare=Turn())\nn = len(ran)\ndataclass(A)\nA(), A() == A(), repr(A())\nprint(len(ran)) if n == len(ran) else print('got', ran)",
)
refused(
    "a default whose hash is a descriptor",
    "special-name",
    "hash that is no method",
    "from dataclasses import dataclass\nclass D:\n    def __get__(self, o, t): print('got')\nclass V: __hash__ = D()\n@dataclass\nclass A:\n    x: int = V()",
)
refused(
    "a __post_init__ that is a descriptor",
    "special-name",
    "__post_init__ of A",
    "from dataclasses import dataclass\nclass D:\n    def __get__(self, o, t): print('got')\n@dataclass\nclass A:\n    __post_init__ = D()\n    x: int = 1",
)
contained(
    "an annotation that runs when looked at",
    "ended",
    "0\n",
    "from dataclasses import dataclass\nn = 0\nclass S(str):\n    def endswith(self, x):\n        global n\n        n += 1\n        return False\n@dataclass\nclass A:\n    x: S('int') = 1\nprint(n)",
)
for way in ("locals()", "vars()"):
    contained(
        f"the annotations of a class by {way}",
        "KeyError",
        "__annotations__",
        f"class A:\n    x: int = 1\n    {way}['__annotations__']",
    )
contained(
    "the annotations of a class by exec",
    "ended",
    "{'x': <class 'int'>}\n",
    "class A:\n    x: int = 1\n    exec('y: int = 2')\nprint(A.__annotations__)",
)

# A view of a dictionary, compared: the other side gets the dictionary
VIEW = "class X:\n    def __eq__(self, other): other.clear(); return True\n"
contained(
    "the members of the library's flags",
    "ended",
    "re.IGNORECASE\n",
    VIEW + "import re\nre.RegexFlag.__members__ == X()\nprint(repr(re.RegexFlag['I']))",
)
contained(
    "the groups of a pattern",
    "ended",
    "1\n",
    VIEW + "import re\np = re.compile('(?P<a>1)')\np.groupindex == X()\nprint(p.match('1')['a'])",
)


# What copy shows in the memo, even of what it then refuses: here the code of a text that nobody translated
FORWARD = "import copy, types, typing\nx, memo = typing.get_args(typing.List['1 + 1'])[0], {}\n"
contained(
    "the code of a forward reference",
    "ended",
    "True []\n",
    FORWARD + "y = copy.deepcopy(x, memo)\nprint(y is x, [v for v in memo.values() if type(v) is dict])",
)
refused(
    "copy's attributes for an object of the library's",
    "attribute",
    "copy may not set attributes of a RegexFlag from a P",
    "import copy, re, types\nclass P(types.SimpleNamespace):\n    now = False\n    def __new__(cls, *a, **k): return re.I if P.now else super().__new__(cls)\n"
    "x = P(**{'_value_': 0})\nP.now = True\ncopy.copy(x)",
)

# Texts with methods of their own, in the names of a class that becomes a dataclass
contained(
    "a class's name that is formatted while its dataclass is made",
    "ended",
    "made []\n",
    "from dataclasses import dataclass\nran = []\nclass S(str):\n    def __format__(self, spec): ran.append(1); return 'x'\n"
    "class C:\n    obj: int\nC.__qualname__ = C.__name__ = S('C')\ndataclass(order=True)(C)\nprint('made', ran)",
)
contained(
    "a class's module that is looked up while its dataclass is made",
    "ended",
    "made True []\n",
    "from dataclasses import dataclass\nnames, ran = {}, []\nclass H:\n    def __hash__(self): ran.append(1); return 1\n"
    "h = H()\nexec('class A:\\n    x: int = 1\\nnames[1] = A', {'__name__': h, 'names': names})\n"
    "dataclass(names[1])\nprint('made', names[1].__module__ is h, ran)",
)

# The clock, by an object that holds a class's attributes as they stand in it
for _holder in ("contextlib.contextmanager", "functools.lru_cache"):
    contained(
        f"the time by {_holder}",
        "ended",
        "2023-11-14 22:13:20.000001\n2023-11-14\n",
        "import contextlib, datetime, functools\n"
        f"print({_holder}(datetime.datetime).now(datetime.datetime))\nprint({_holder}(datetime.date).today(datetime.date))",
    )
contained(
    "chance by a base of random's",
    "ended",
    "True True\n",
    "import random\na, b = random.Random.__mro__[:2]\nx = b()\nx.seed()\nprint(a().random() == b().random() == x.random(), b().random() == b(None).random())",
)
contained(
    "chance by a normal distribution",
    "ended",
    "True True\n",
    "import random, statistics\none = statistics.NormalDist()\nfirst, second = one.samples(2), one.samples(2)\n"
    "random.seed(0)\nprint(one.samples(4) == first + second, first != second)",
)
contained(
    "what makes a typed cache",
    "TypeError",
    "takes no arguments",
    "import functools\ntype(functools.lru_cache(len))(len, 9, True, int)",
)


# Where the real dataclass() asks an object of the program's, its fields stand on the class for everyone to take
TAKE = "    if 'K' in globals(): print('got', K.x)\n"
refused(
    "the hash of a default that field() was given",
    "special-name",
    "has a hash that is no method",
    f"from dataclasses import dataclass, field\nclass D:\n  def __get__(self, *at):\n{TAKE}    return len\n"
    "class X: __hash__ = D()\nclass K:\n  x: int = field(default=X())\ndataclass(K)",
)
refused(
    "the name of an Enum in dataclass's complaint about a default",
    "special-name",
    "has a hash that is no method",
    f"from dataclasses import dataclass\nfrom enum import Enum\nclass S(str):\n  def __repr__(self):\n{TAKE}    return 'S'\n"
    "class E(Enum):\n  A = 1\n  __hash__ = None\nE.__name__ = S('E')\nclass K:\n  x: int\n  y: int = E.A\ndataclass(K)",
)
refused(
    "the members of an Enum that is made a dataclass",
    "metaclass",
    "may not be applied to an Enum",
    f"from dataclasses import dataclass\nfrom enum import Enum\nclass M(dict):\n  def __contains__(self, name):\n{TAKE}"
    "class K(Enum): x: int\nK._member_map_ = M()\ndataclass(K)",
)

# A dataclass's methods read the names of its fields, as the compiler understands them, off whatever has its class
EVIL = "class Evil:\n    __hash__ = None\n    def __eq__(self, other): print('got', other)\n"
refused(
    "a field that is another name once the compiler has read it",
    "special-name",
    "a field may not be called 'ｏbj'",
    f"{EVIL}import contextlib, typing\nfrom dataclasses import dataclass\n"
    "class K(typing.TypedDict('T', {'ｏbj': int})): pass\ndataclass(init=False)(K)\n"
    "try: contextlib.ExitStack().enter_context(int)\nexcept TypeError as e: one = e.__context__\n"
    "try: Evil().x\nexcept AttributeError as e: K.__eq__(one, e)",
)
for _field, _base, _options in (
    ("format", "str", ""),
    ("obj", "AttributeError", ""),
    ("_evaluate", "F", ", _root=True"),
):
    refused(
        f"a field that is the {_field} of another base",
        "special-name",
        "K.__init__() may not read what a base of the library's has",
        f"{EVIL}import typing\nfrom dataclasses import dataclass\nF = type(typing.get_args(typing.List['x'])[0])\n"
        f"@dataclass\nclass K:\n    {_field}: object\nclass D(K, {_base}{_options}): pass\n"
        "one, two = D.__new__(D), D.__new__(D)\nK.__init__(two, Evil())\nK.__eq__(one, two)",
    )

refused(
    "a property of its own kind that gives another default's class a hash",
    "special-name",
    "the default of the field y may not be a descriptor",
    f"from dataclasses import dataclass\nclass D:\n  def __get__(self, *at):\n{TAKE}    return len\nclass X: pass\n"
    "class P(property):\n  def __get__(self, *at): X.__hash__ = D()\nclass B: y = P()\n"
    "class K(B):\n  x: int = X()\n  y: int\ndataclass(K)",
)
contained(
    "a default that runs while its dataclass is made",
    "ended",
    "D int D int \n",
    "from dataclasses import dataclass, field\nclass D:\n  def __get__(self, *at):\n"
    "    if 'K' in globals(): print(*(type(vars(K)[name]).__name__ for name in 'xy'), end=' ')\n    return self\n"
    "class K:\n  x: int = field(default=D())\n  y: int = field(default=3)\ndataclass(K)\nK.x\nprint()",
)

# Methods and functions of the library that read a name of the program's choice, or `format` off a str
contained(
    "a member of an Enum that holds its namesake in a base",
    "ended",
    "[]\n",
    "from enum import Enum\nclass E(str, Enum): format = 'x'\n"
    "print([name for name in ('_get', '_set', '_del') if hasattr(vars(E)['format'], name)])",
)
contained(
    "the format of a str by a name of a day",
    "TypeError",
    "takes a _localized_day that is no str",
    "import calendar\nclass P(str): _days = [lambda format: print('got', format)]\n"
    "type(calendar.day_name).__getitem__(P('{0.gi_frame}'), 0)",
)
contained(
    "a copy that fills in another object",
    "TypeError",
    "expected a UserDict and a new one",
    "import re\nfrom collections import UserDict\nclass P(UserDict):\n    def __new__(cls, *given): return re.I if cls is P and P.on else object.__new__(cls)\n"
    "P.on = False\np = P()\np._value_ = 0\nP.on = True\ntry: p.__copy__()\nfinally: print(re.I.value)",
)
contained(
    "an object that is no UserDict copied as one",
    "TypeError",
    "expected a UserDict",
    "from collections import UserDict\nclass P:\n    __slots__ = ()\n"
    "    def __getattr__(self, name): return {'data': {}, '__reduce_ex__': print}\nUserDict.__copy__(P())",
)
contained(
    "a __new__ that makes a member of an object of the library's",
    "TypeError|RuntimeError",
    "gave a _localized_day|Error calling __set_name__",
    "import calendar\nfrom enum import Enum\nclass E(Enum):\n    def __new__(cls, *given): return calendar.day_name\n    A = ('%d',)",
)
refused(
    "a memo that answers, by the dictionary of an object",
    "attribute",
    "may only be a plain dict",
    "class M:\n    def get(self, *given): print('got', given)\nclass A: pass\nvars(A()).__deepcopy__(M())",
)
refused(
    "a base whose __getattr__ stands for a class only later",
    "special-name",
    "what a base stands for",
    "asked = []\nclass B:\n    def __getattr__(self, name):\n        asked.append(name)\n"
    "        if asked.count('__mro_entries__') > 2: return lambda bases: (int,)\n        raise AttributeError(name)\n"
    "class Q(B()): pass\nprint('got', Q)",
)

refused(
    "a state that is a tuple of its own kind",
    "attribute",
    "from a plain tuple only",
    "import copy, functools\nclass T(tuple): pass\n"
    "state = T((print, (), {}, {'__reduce_ex__': print}))\n"
    "copy.copy(Planted(reduce_ex=lambda p: (functools.partial, (print,), state)))",
)

contained(
    "the body of a class by a base that is no class",
    "TypeError",
    "bases must be classes",
    "import types\nclass P:\n    def __new__(cls, *given):\n        if given: print('got', given)\n        return object.__new__(cls)\n"
    "class X(types.GenericAlias(P(), ())):\n    def f(self): return __class__",
)
refused(
    "the obj of an AttributeError by a super of its own",
    "attribute",
    "the obj of an AttributeError",
    "class A(AttributeError): pass\nclass B(A): pass\nclass S(super): pass\nprint('got', S(B, B()).obj)",
)

refused(
    "what reads the obj of an AttributeError",
    "attribute",
    "what reads the obj",
    "class A(AttributeError): kept = AttributeError.obj\nprint('got', A().kept)",
)

# What copy reads off an object and hands on before anybody looked
contained(
    "an object's own dictionary by __setstate__",
    "ended",
    "[] 1\n",
    "import copy\nkept = []\nclass A:\n    def __getattr__(self, name):\n        if name == '__setstate__': return kept.append\n"
    "        raise AttributeError(name)\na = A()\na.x = 1\nprint(kept, copy.copy(a).x, sep=' ')",
)
for _how in ("copy.copy(s)", "copy.deepcopy(s, memo)"):
    refused(
        f"str's own format by a name added to __slots__ and {_how}",
        "attribute",
        "copy may not read the attribute format",
        "import copy\nmemo, names = {}, ['a']\nclass S(str):\n    __slots__ = names\n"
        "    def __setattr__(self, name, value): print('got', name) if S.__slots__[1:] else super().__setattr__(name, value)\n"
        f"s = S('{{0.gi_frame}}')\ns.a = 1\nS.__slots__.append('format')\n{_how}",
    )
refused(
    "a base that stands for one class when looked at and for another when the class is made",
    "special-name",
    "what a base stands for",
    "class B:\n    def __getattr__(self, name):\n        if name == '__mro_entries__': return lambda bases: (object,)\n"
    "        raise AttributeError(name)\nclass P:\n    def __init_subclass__(cls): print('got')\nclass Q(P, B()): pass",
)
refused(
    "a special slot in a class whose name raises what a refusal says",
    "special-name",
    "__instancecheck__ may not be a slot",
    "class S(str):\n    def __format__(self, spec): raise ValueError\nclass P:\n    def __init_subclass__(cls): cls.__name__ = S('A')\n"
    "try:\n    class A(P): __slots__ = ('__instancecheck__',)\nexcept ValueError: print('got')",
)
refused(
    "the same by a function that has the attributes of an object",
    "special-name",
    "what a base stands for",
    "import contextlib\nclass W:\n    __slots__ = ()\n    def __call__(self): pass\n    def __getattr__(self, name):\n"
    "        if name != '__dict__': raise AttributeError(name)\n"
    "        return {'__mro_entries__': lambda bases: (object,)}\nclass Q(contextlib.contextmanager(W())): print('body')",
)
# A slot hides a method of the library's from its own code, which asks the object, and a hook gets the class before it is
# looked at: here for the class of a class.
for _name, _slots in {
    "a tuple": "__slots__ = ('__subclass' + 'check__',)",
    "a list that grows in the body": "names = __slots__ = []; names.append('__subclasscheck__')",
    "an annotated one": "__slots__: tuple = ('__subclasscheck__',)",
}.items():
    refused(
        f"type by a slot, as {_name}",
        "special-name",
        "__subclasscheck__ may not be a slot",
        "import typing\nclass P:\n    def __init_subclass__(cls): isinstance(int, object.__new__(cls))\n"
        f"class G(P, type(typing.List)):\n    {_slots}\n    def __init__(self): pass\n"
        "    def __getattr__(self, name): return lambda kind: print('got', kind)",
    )
refused(
    "type by a slot, by type()",
    "special-name",
    "__subclasscheck__ may not be a slot",
    "import typing\nclass P:\n    def __init_subclass__(cls): isinstance(int, object.__new__(cls))\n"
    "type('G', (P, type(typing.List)), {'__slots__': iter(['__subclasscheck__']), '__init__': lambda self: None,\n"
    "    '__getattr__': lambda self, name: lambda kind: print('got', kind)})",
)
refused(
    "slots bound where nobody looks at them",
    "special-name",
    "__slots__ may not be defined here",
    "class G:\n    for __slots__ in [('__class__',)]: pass",
)
refused(
    "a base of a class that no guard has seen",
    "special-name",
    "what a base stands for",
    "import typing\nkept = []\nclass P:\n    def __init_subclass__(cls): kept.append(cls); raise ValueError\n"
    "try:\n    class G(P, type(typing.List)):\n        def __init__(self): pass\n"
    "        def __getattr__(self, name): print('got', name)\nexcept ValueError: pass\n"
    "class Q(object.__new__(kept[0])): pass",
)
contained(
    "the code of a text that was never translated, by an object that a ForwardRef's __init__ sets it on",
    "TypeError",
    "expected a ForwardRef, found a Catch",
    "import typing\nclass Catch:\n    def __setattr__(self, name, value):\n        if type(value).__name__ == 'code': print('got', value.replace)\n"
    "type(typing.get_args(typing.List['x'])[0]).__init__(Catch(), 'x')",
)
contained(
    "the same of a class that inherits from it",
    "TypeError",
    "expected a ForwardRef, found a Catch",
    "import typing\nclass Catch(type(typing.get_args(typing.List['x'])[0]), _root=True):\n    def __setattr__(self, name, value):\n"
    "        if type(value).__name__ == 'code': print('got', value.replace)\nCatch('x')",
)
for _name, _members in {"a dict": "{'x': 1}", "one that changes its mind": "M(x=1)"}.items():
    contained(
        f"an Enum with special methods, whose base is made to look as if it had members by {_name}",
        "TypeError|ValueError|AttributeError",
        "cannot extend|is not a valid|no attribute '_value_'|has no members defined",
        "from enum import Enum\nimport typing\nclass E(Enum): pass\nasked = []\nclass M(dict):\n"
        f"    def __len__(self): asked.append(1); return len(asked) < 2\nE._member_map_ = {_members}\n"
        "body = {'__subclasscheck__': lambda self, kind: print('got', kind), '__init__': lambda self, *given: None, 'A': 1}\n"
        "F = E('F', body)\nisinstance(int, type(typing.Optional[int])(typing.Union, (F.A,)))",
    )
refused(
    "a field that sets the class of an object",
    "special-name",
    "a field may not be called '__class__'",
    "import typing\nfrom dataclasses import dataclass\nclass Pairs:\n    at = 0\n    def __iter__(self):\n"
    "        self.at += 1\n        return iter([(['x', '__class__'][self.at - 1], int)])\n"
    "dataclass(typing.NamedTuple('N', Pairs()))\nprint('got')",
)
contained(
    "a special name of a namedtuple's field, by an object that is false and then true",
    "ValueError",
    "Field names cannot start with an underscore",
    "import collections\nasked = []\nclass R:\n    def __bool__(self): asked.append(1); return len(asked) > 1\n"
    "print('got', collections.namedtuple('N', ['__dict__'], rename=R()))",
)
contained(
    "a dataclass that cannot be made, but for the methods that read a guarded name",
    "TypeError",
    "K.__eq__() takes a K, not a AttributeError",
    f"{EVIL}import contextlib\nfrom dataclasses import dataclass\n"
    "class K:\n    obj: object\n    def __lt__(self, other): pass\n"
    "try: dataclass(order=True)(K)\nexcept TypeError as e: print(e)\n"
    "try: contextlib.ExitStack().enter_context(int)\nexcept TypeError as e: one = e.__context__\n"
    "try: Evil().x\nexcept AttributeError as e: K.__eq__(e, one)",
)
refused(
    "what lies in memory where a pair should, by except*",
    "syntax",
    "except* is not allowed",
    "import statistics\nclass G(ExceptionGroup):\n    def split(self, kind): return statistics.mean\n"
    "try: raise G('a', [ValueError()])\nexcept* KeyError as e: print('got', e['__import__'])",
)
refused(
    "memory behind a reader's",
    "module-name",
    "io.RawIOBase is not allowed",
    "import io\nclass R(io.RawIOBase):\n    def readinto(self, b): return 4096\nprint('got', R().read(64)[64:])",
)
contained(
    "memory that a reader lends and frees",
    "ended",
    "False b'ab' b'ab' b'c'\n",
    "import sys\nlent = type(sys.stdin.buffer)(b'abc')\n"
    "print(any('Buffered' in kind.__name__ and kind.__name__ != '_BufferedIOBase' for kind in type(lent).__mro__), end=' ')\n"
    "print(lent.peek()[:2], lent.raw.read(2), lent.peek())",
)
contained(
    "slots of every kind",
    "ended",
    "['a', 'b'] ('x', 'y') ('x', 'y') q {'q': 'doc'} ('a', 'b')\n",
    "class A:\n    __slots__ = ['a']\nclass B(A):\n    __slots__: list = A.__slots__ + ['b']\n"
    "class C:\n    __slots__ = _fields = ('x', 'y')\nclass D: __slots__ = 'q'\nclass E: __slots__ = {'q': 'doc'}\n"
    "class F: __slots__ = (n for n in 'ab')\n"
    "print(B.__slots__, C.__slots__, C._fields, D.__slots__, E.__slots__, F.__slots__)",
)


# A property or classmethod of a class that nobody can change is given another function by its own `__init__`
refused(
    "a refusal is given another way to say what it refused",
    "module",
    "subprocess",
    "import sys\ndef go():\n    try:\n        import subprocess\n    finally:\n"
    "        type(sys.exc_info()[1]).violations.__init__(lambda self: print('got') or ())\n        return\ngo()",
)
contained(
    "a class that may not be inherited from is given another `__init_subclass__`",
    "TypeError",
    "_NoBase",
    "import contextlib, dataclasses\n"
    "contextlib.contextmanager(dataclasses.field).__init_subclass__.__init__(lambda cls: None)\n"
    "class F(dataclasses.field): pass\nprint('got')",
)
contained(
    "aliases that stand for one class when looked at and for what gives a class of the library's when the class is made",
    "TypeError",
    "cannot be changed",
    "import typing, textwrap\n"
    "init = next(k for k in type(typing.List[int]).__mro__ if k.__name__ == '_BaseGenericAlias').__init__\n"
    "made = []\nclass E:\n    def __init__(self, n): self.n = n\n    def __hash__(self): return self.n\n    def __call__(self): pass\n"
    "    def __eq__(self, other):\n        for alias in made: init(alias, K(), name=None)\n        return False\n"
    "class K:\n    def __new__(cls, *header): return textwrap.TextWrapper if header else object.__new__(cls)\n"
    "A, B = typing.List[E(1)], typing.List[E(2)]\nmade += A, B\nclass M(A, B): pass\nprint('got', M._split)",
)
contained(
    "an alias that is told anew what it stands for",
    "TypeError",
    "cannot be changed|takes exactly one argument",
    "import typing\nA = typing.List[int]\ntype(typing.ParamSpec('P').args).__init__(A, 1)\nprint('got')",
)

# What aliases stand for was asked twice: here for nothing at first, and then for what makes "a class" that is Enum
for _name, _body in {
    "a class statement": "class M(A, B): pass",
    "type()": "M = type('M', (A, B), {})",
}.items():
    contained(
        f"aliases whose origin says that it is a base already, and then that it is none, by {_name}",
        "AttributeError|TypeError",
        "has no attribute '_convert_'|bases must be classes",
        "import typing, enum\nasked = []\nclass K:\n    def __new__(cls, *header): return enum.Enum if header else object.__new__(cls)\n"
        "    def __call__(self): pass\n    __hash__ = None\n    def __eq__(self, other):\n"
        "        if self is not k or type(other) is K: return True\n        asked.append(1)\n        return len(asked) < 2\n"
        "k, alias = K(), type(typing.List[int])\nA, B = alias(k, (int,), name='q'), alias(K(), (int,), name='q')\n"
        f"{_body}\nprint('got', M._convert_('X', 'os', lambda name: name == 'getpid').getpid.value())",
    )
contained(
    "a method that has the attributes of an object, which stands for nothing, then for a class and then for another",
    "AttributeError|TypeError",
    "has no attribute '_convert_'|bases must be classes",
    "import types, enum\nasked = []\nclass K:\n    def __new__(cls, *header): return enum.Enum if header else object.__new__(cls)\n"
    "class F:\n    def __call__(self): pass\n    def __getattr__(self, name):\n        if name != '__mro_entries__': raise AttributeError(name)\n"
    "        asked.append(1)\n        if len(asked) < 2: raise AttributeError(name)\n"
    "        return lambda bases: (object,) if len(asked) < 4 else (K(),)\n"
    "class M(types.MethodType(F(), 1)): pass\nprint('got', M._convert_('X', 'os', lambda name: name == 'getpid').getpid.value())",
)
contained(
    "a class statement of every kind",
    "ended",
    "True ('A', 'list', 'Generic') N(x=1) 3 True 3\n",
    "import abc, enum, typing\nT = typing.TypeVar('T')\nclass A(typing.Generic[T]):\n    def f(self): return __class__\n"
    "class B(A[int], typing.List[int]):\n    def f(self): return super().f()\n"
    "class E(enum.IntFlag):\n    A = 1\n    B = 2\nclass N(typing.NamedTuple, typing.Generic[T]):\n    x: T\n"
    "class D(typing.TypedDict, total=False):\n    x: int\nclass P(typing.Protocol[T]):\n    def f(self): pass\n"
    "class C(metaclass=abc.ABCMeta): pass\nclass K:\n    def __init_subclass__(cls, a=1): cls.a = a\nclass L(K, a=3): pass\n"
    "print(B().f() is A, tuple(base.__name__ for base in B.__bases__), N[int](1), (E.A | E.B).value, C.register(int) is int, L.a)",
)
contained(
    "the format of a str by a name of a day that is the class of the str",
    "TypeError",
    "takes a _localized_day that is no str",
    "import calendar\nclass P(str): _days = [lambda format: print('got', format)]\n"
    "type(calendar.day_name).__getitem__(P, 0)",
)
for _how, _self in {"a super": "super(Q, Q())", "an alias": "types.GenericAlias(P(), int)"}.items():
    contained(
        f"the format of a str by a name of a day that is {_how}",
        "TypeError",
        "takes a _localized_month that is no str",
        "import calendar, types\nclass P(str): _months = [lambda format: print('got', format)]\nclass Q(P): pass\n"
        f"type(calendar.month_name).__getitem__({_self}, 0)",
    )

# CPython's iterators believe what they are rebuilt of, of which the program finds parts in its memo
contained(
    "the list of a cycle that ends while the cycle goes on",
    "ended",
    "[0, 1, 2, 3, 4, 5]\n",
    "import copy, itertools\nmemo, one = {}, itertools.cycle([[n] for n in range(12)])\nfor n in range(12): next(one)\n"
    "two = copy.deepcopy(one, memo)\nfor n in range(12): next(two)\n"
    "for part in memo.values():\n    if type(part) is list and len(part) == 12: part.clear()\n"
    "print([next(two, ['got'])[0] for n in range(6)])",
)
contained(
    "the parts of a tee",
    "TypeError",
    "cannot pickle '_tee' object",
    "import copy, itertools\none, two = itertools.tee([1, 2])\nnext(one)\ncopy.copy(one)\ncopy.deepcopy(one)\nprint('got')",
)

contained(
    "memory after what is packed by a format that is another in the middle",
    "ended",
    "16 400 q b'\\x03' (3,) [(1,), (2,)] 3 True True\n",
    "import copy, struct\nclass T(struct.Struct):\n    def __init__(self, given): super().__init__(given); self.x = 3\n"
    "class I:\n    def __index__(self):\n        s.__init__('b' * 400)\n        return 1\ns = struct.Struct('qq')\n"
    "print(len(s.pack(I(), 1)), s.size, T('q').format, struct.Struct(format='<b').pack(3), T('i').unpack(struct.pack('i', 3)),\n"
    "    list(struct.Struct('b').iter_unpack(b'\\x01\\x02')), T('b').x, struct.Struct.__mro__[1:] == (object,), end=' ')\n"
    "try: copy.copy(s)\nexcept TypeError: print(isinstance(s, struct.Struct))",
)

# A keyword whose name answers `==` by itself: not `metaclass` when the class statement is called, and then it is.
LATER = """
class Name(str):
    asked = 0
    __hash__ = str.__hash__
    def __eq__(self, other):
        Name.asked += 1
        return Name.asked in (2, 3)
"""
contained(
    "a class statement in a namespace of the program's, with an `own` of its own",
    "TypeError",
    "keywords must be plain strings",
    LATER
    + "import typing\nclass Meta:\n    def __getattr__(self, name):\n        if name != '__prepare__': raise AttributeError(name)\n"
    "        return lambda *given, **more: {'.own': lambda value, name: value}\n    def __call__(self, *given, **more): pass\n"
    "ref, space = typing.get_args(typing.List['x'])[0], {}\nclass A(**{Name('metaclass'): Meta()}):\n    print('got', ref._evaluate)",
)
contained(
    "the same by type()",
    "TypeError",
    "keywords must be plain strings",
    LATER + "type('A', (), {}, **{Name('metaclass'): lambda *given, **more: print('got', given)})",
)
for _name, _given in {
    "dataclass()": "dataclass(**{Name('slots'): True})",
    "field()": "field(**{Name('compare'): 1})",
}.items():
    contained(
        f"an option of {_name} that is another one later",
        "TypeError",
        "keywords must be plain strings",
        LATER + f"from dataclasses import dataclass, field\nprint('got', {_given}(type('A', (), {{}})))",
    )
contained(
    "the __new__ of TypedDict's metaclass, which makes a class of any names",
    "TypeError",
    "not a type object|not a type",
    "from typing import TypedDict\nclass A(TypedDict): pass\n"
    "print('got', object.__getattribute__(A, '__new__')(None, 'X', (), {'__reduce_ex__': 1}))",
)
contained(
    "a library class's own classmethod object, to be given another function",
    "AttributeError|TypeError|refused",
    "__wrapped__|__init__",
    "from fractions import Fraction\nprint('got', object.__getattribute__(Fraction, 'from_float').__wrapped__)",
)
for _name in ("combinations", "combinations_with_replacement"):
    contained(
        f"{_name}() copied with a pool that ends before its indices",
        "TypeError",
        "cannot pickle",
        "import copy, itertools\nclass D:\n    def __deepcopy__(self, memo):\n        memo[id(pool)] = ()\n        return self\n"
        f"pool = (1, 2, D())\nmade = itertools.{_name}(pool, 2)\nnext(made)\nprint('got', next(copy.deepcopy([D(), made])[1]))",
    )

refused(
    "a special name among an object's own attributes, by a key that is no text and equals it later",
    "attribute",
    "plain names only",
    "import copy\nclass Key:\n    def __hash__(self): return hash('__reduce_ex__')\n    def __eq__(self, other): return other == '__reduce_ex__'\n"
    "class F:\n    def __deepcopy__(self, memo):\n        for value in list(memo.values()):\n"
    "            if type(value) is dict: value[Key()] = lambda protocol: print('got', protocol)\n        return self\n"
    "class C: pass\nc = C()\nc.f = F()\ncopy.deepcopy(copy.deepcopy(c))",
)

# An object of a frozen class with slots tells copy its fields by a method that every class below it inherits.
STATE = """import copy
from dataclasses import dataclass
@dataclass(frozen=True, slots=True)
class A: pass
@dataclass(frozen=True)
class B(A): %s: int
class C(B, %s):
    def __init__(self, *given): pass
"""
refused(
    "str.format from the state that copy puts into the memo",
    "attribute",
    "__code__ may not be read by a format string",
    STATE % ("format", "str") + "def f(): pass\nmemo = {}\ncopy.deepcopy(C('{0.__code__}'), memo)\n"
    "print('got', [value[0] for value in memo.values() if type(value) is list][0](f))",
)
refused(
    "a method that the library keeps to itself, from the state that copy puts into the memo",
    "attribute",
    "_UserList__cast of a C belongs to the library",
    "from collections import UserList\n" + STATE % ("_UserList__cast", "UserList") + "memo = {}\n"
    "copy.deepcopy(C(), memo)\nprint('got', [value for value in memo.values() if type(value) is list])",
)
refused(
    "the obj of an error from the state of a super object that a field turns to it meanwhile",
    "attribute",
    "the obj of an AttributeError may not be read",
    STATE.replace("): %s: int", "):\n    first: int\n    %s: int")
    % ("obj", "super")
    + "    @property\n    def first(self): super.__init__(self, Error, error)\n"
    "class Error(AttributeError): pass\nerror = Error(obj=type)\n"
    "def init(self, *given): super.__init__(self, *given)\nC.__init__ = init\nmemo = {}\ntry: copy.deepcopy(C(object, error), memo)\nexcept AttributeError: pass\n"
    "print('got', [value for value in memo.values() if type(value) is list])",
)


for _name, _pattern in {"a value": "K.format", "a class": "K.now()", "a key": "{K.obj: 1}"}.items():
    refused(
        f"a guarded name in a pattern, in {_name}",  # was a SyntaxError, which is evidence
        "attribute",
        "may not be read by a pattern",
        f"class K: format, now, obj = 1, int, 2\nmatch 1:\n    case {_pattern}: print('got')",
    )
refused(
    "two tasks that wait for each other without a timeout",
    "waiting",
    "every coroutine waits for another one",
    "import asyncio\nasync def wait(n): await asyncio.wait_for(tasks[n], None)\nasync def main():\n"
    "    tasks.extend(asyncio.create_task(wait(n)) for n in (1, 0))\n    await tasks[0]\ntasks = []\nasyncio.run(main())",
)
# What the sandbox itself goes by may not be an object that a program can change: a flag that is set here, and no string,
# left annotations as they were written.
for _name, _way in {"an import": "import __future__ as f", "__import__": "f = __import__('__future__')"}.items():
    refused(
        f"the flag of string annotations set to another, by {_name}",
        "module",
        "the module __future__ is not allowed",
        f"{_way}\nf.annotations.compiler_flag = 0x10\n"
        "exec('from __future__ import annotations\\ndef f(x: print(\"got\", ().__class__.__base__.__subclasses__())): pass')",
    )
refused(
    "a __new__ that no text shows, by type()",
    "special-name",
    "__new__ may not be defined by type()",
    "import re\nT = type('T', (), {'__new__': lambda kind: re.I})\nprint('got', T())",
)
contained(
    "a method of the library's that reads the fields of another's object, by vars()",  # since Python 3.13
    "KeyError",
    "__replace__",
    "from dataclasses import dataclass\n@dataclass\nclass K: x: int = 1\n"
    "@dataclass(init=False, repr=False, eq=False)\nclass F: format: object\ndef f(): pass\nclass D(F, str):\n"
    "    def __new__(cls, *given, **more): return str.__new__(cls, *given)\n"
    "    def __init__(self, *given, format=None):\n        if format: print('got', format(f))\n"
    "vars(K)['__replace__'](D('{0.__code__}'))",
)

contained(
    "the format of a str by the property of a struct.Struct, given an object that says it holds one",
    "TypeError",
    "doesn't apply to a 'A' object",
    "import contextlib, struct\nclass A:\n    def __getattr__(self, name): return '{0.__code__}'\ndef f(): pass\n"
    "print('got', contextlib.contextmanager(struct.Struct).format.fget(A())(f))",
)


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_the_rule_meant_for_it(name: str) -> None:
    rule, culprit, source = REFUSED[name]
    ending = run(source, steps=100_000, Planted=Planted)
    assert ending.status == "refused", f"{ending.status}: {ending.message} {ending.stdout!r}"
    assert rule in ending.rules and culprit in ending.message, ending.message
    assert "reached" not in ending.stdout and "got" not in ending.stdout, "the refusal came too late"


@pytest.mark.parametrize("name", CONTAINED)
def test_contained(name: str) -> None:
    status, found, source = CONTAINED[name]
    ending = run(source, steps=100_000, Planted=Planted)
    assert ending.status in status.split("|"), f"{ending.status}: {ending.message} {ending.stdout[:200]!r}"
    said = ending.stdout + ending.message
    assert any(part in said for part in found.split("|")) and "got" not in ending.stdout, said


@pytest.mark.skipif(sys.version_info < (3, 12), reason="classes have no type parameters")
def test_no_class_header_has_a_private_name_of_the_library() -> None:
    """Python 3.12 reads `_SequenceMatcher__chain_b` there, which only its own objects have unguarded."""
    source = (
        "import difflib\nm = difflib.SequenceMatcher(None, 'a', 'b')\nshow = lambda x: print('got', x) or Exception\n"
        "class SequenceMatcher[T](show(m.__chain_b)): pass\n"
    )
    ending = run(source, steps=100_000, Planted=Planted)
    assert ending.status == "refused" and "attribute" in ending.rules and not ending.stdout, ending


# The collector may run a program's finalizers between any two steps of ours: this one wakes at every collection.
AWAKE = """
over = []
def watch():
    try: yield
    finally:
        if not over: plant()
        look()
def plant():
    g = watch()
    next(g)
    cycle = [g]
    cycle.append(cycle)
"""


@pytest.fixture
def often_collected() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(1, 1 << 30, 1 << 30)
    yield
    gc.set_threshold(*before)


def test_no_finalizer_sees_a_dataclass_half_made(often_collected: None) -> None:
    """Its methods read a guarded name off anything until they are held to its own objects."""
    source = (
        f"from dataclasses import dataclass\n{AWAKE}class C: obj: int = 0\ndef look():\n    try: C.__eq__(1, 2)\n"
        "    except AttributeError: print('got')\n    except TypeError: print('held')\n"
        "plant()\ndataclass(C)\n[[[i]] for i in range(99)]\nover.append(1)\n"
    )
    ending = run(source)
    assert ending.status == "ended" and "held" in ending.stdout and "got" not in ending.stdout, ending


def test_copy_sets_what_it_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not what the program, which finds the state in its memo, has put there since."""

    class A:
        __slots__ = ("a",)

    class B:
        __slots__ = ("a",)

    look, state = copying._parts, {"a": 1}

    def look_and_change(owner: Any, given: Any) -> Any:
        found = look(owner, given)
        state["__class__"] = B  # type: ignore[assignment]
        return found

    monkeypatch.setattr(copying, "_parts", look_and_change)
    made = A()
    copying._set_state(made, (None, state), A)
    assert type(made) is A and made.a == 1  # type: ignore[attr-defined]


def test_a_stop_given_other_words_is_the_same_stop() -> None:
    """A `finally` gets at it; words that raise when they are asked for ended the process, which is no evidence."""
    change = "class X:\n    def __str__(self): raise ValueError\n    line = property(__str__)\nx = X()\nimport sys\n"
    spin = "def f():\n    try:\n        %s\n    finally: sys.exc_info()[1].args = (x,)\n"
    bodies = {"step_limit": "while True: pass", "refused": "getattr(f, '__code__')"}
    tests = (Test(code="assert f()"),)
    sources = [change + spin % body for body in bodies.values()]
    programs = [Program(source, "function", tests, entry_point="f") for source in sources]
    found = run_with(programs, Settings(limits=LIMITS), workers=1)
    assert [result.status for result in found] == list(bodies)
    endings = [execute(source + "f()").status for source in sources]
    assert endings == list(bodies)


# A key of a dictionary that is found by its hash is compared, and sees what it is compared with. FIND gives an object
# the hash with which the key of its arguments is the same number as another key, by the hash of tuples.
FIND = """
import functools, typing
M, A, B, C = (1 << 64) - 1, 11400714785074694791, 14029467366897019727, 2870177450012600261
def add(state, lane):
    state = state + (lane & M) * B & M
    return (state << 31 | state >> 33) * A & M
def undo(state, lane=0):
    state = state * pow(A, -1, M + 1) & M
    return (state >> 31 | state << 33) - (lane & M) * B & M
def ending(lanes, number): return number ^ C ^ 3527539
def find(wanted, before, after):
    state = functools.reduce(add, wanted, C) + ending(wanted, len(wanted)) - ending(0, len(before) + 1 + len(after)) & M
    for lane in reversed(after): state = undo(state, lane)
    found = (undo(state) - functools.reduce(add, before, C)) * pow(B, -1, M + 1) & M
    return found - (found >> 63 << 64)
class P:
    def __init__(self, number): self.number = number
    def __hash__(self): return self.number
    def __eq__(self, other):
        if repr(other) == "<class 'type'>" and other is not type: print('compared')
        return True
k, h = hash(P), hash(int)
"""
COMPARED = {
    "a typed cache": "@functools.lru_cache(typed=True)\ndef f(*args): return 1\nf(int)\nf(P(h), P(find([h, H], [h], [k, k])))",
    "a literal": "l, t = hash(typing.Literal), hash(type(typing.Literal))\ntyping.Literal[int]\n"
    "typing.Literal[P(h), P(t), P(find([l, h, t, H], [l, h, t], [t, k, k, k]))]",
    "an annotated type": "n, t = hash(typing.Annotated), hash(type(typing.Annotated))\n"
    "if type(typing.Annotated) is type: t = H\ntyping.Annotated[int, 5]\n"
    "typing.Annotated[P(h), P(5), P(t), P(find([n, h, 5, t, H, h], [n, h, 5, t], [t, k, k, k, k]))]\n"
    "typing.Annotated[P(h), P(5), P(find([n, h, 5, t, H, h], [n, h, 5], [t, k, k, k]))]",
    "a dispatch": "f = functools.singledispatch(print)\ntry: f.register(P(H), print)\nexcept TypeError: pass\nf.dispatch(int)\nf(int)",
}


@pytest.mark.parametrize("what", COMPARED)
def test_no_object_of_a_program_is_compared_with_a_metaclass(what: str) -> None:
    found = run(FIND + COMPARED[what], H=hash(type))
    assert found.status == "ended" and "compared" not in found.stdout, found


def test_no_field_of_a_dataclass_is_renamed_into_source() -> None:
    ending = run(STEAL)
    assert "ESCAPED" not in ending.stdout
    assert ending.status == "refused", ending.message


def test_the_name_of_a_field_is_no_property() -> None:
    """A property takes other functions by its `__init__`, which whoever gets hold of a field could call."""
    held: Any = record_fields.real_field({})
    vars(record_fields._NamedOnce)["name"].__init__()
    held.name = "x"
    with pytest.raises(Refused, match="may not be called 'y'"):
        held.name = "y"
    with pytest.raises(TypeError):
        vars(record_fields._NamedOnce)["name"].__init__(lambda field: "y", lambda field, name: None)
    assert held.name == "x"


# Everything that can be reached by reading alone

HOLDERS = """
import array, asyncio, calendar, collections, contextlib, copy, dataclasses, datetime, decimal, difflib, enum, fractions
import functools, hashlib, io, itertools, json, operator, queue, random, re, statistics, string, struct, sys, textwrap
import threading, types, typing, abc
found = []
def f(x: int = 1): return x
def g(): yield 1
class A:
    x: int = 1
    def m(self): return super()
    @property
    def p(self): return 1
    @classmethod
    def c(cls): pass
class C(enum.Enum):
    R = 1
@dataclasses.dataclass
class D:
    x: int = 1
class N(typing.NamedTuple):
    x: int
class P(typing.Protocol):
    x: int
class T(typing.TypedDict):
    x: int
class B(abc.ABC): pass
@contextlib.contextmanager
def cm(): yield 1
class Ex:
    def __enter__(s): return s
    def __exit__(s, *a): found.extend(a); return True
with Ex(): 1 / 0
for fail in (lambda: [].x, lambda: contextlib.ExitStack().enter_context(int), lambda: {}[1], lambda: undefined,
             lambda: int('x'), lambda: b'\\xff'.decode(), lambda: json.loads('{'), lambda: next(iter([])),
             lambda: re.compile('('), lambda: typing.List[1, 2], lambda: C(7), lambda: __import__('nothing_such')):
    try: fail()
    except Exception as e: found.append(e)
found += [f, g(), A, A(), A().m, A().m(), C, C.R, D, D(), dataclasses.fields(D), dataclasses.field(default=1), N(1), N, P,
    T, B, cm, cm(), functools.partial(f), functools.lru_cache(f), functools.cached_property(f), functools.cmp_to_key(f)(1),
    functools.partialmethod(f), functools.singledispatch(f), re.compile('a'), re.match('a', 'a'), re.I, json.JSONEncoder(),
    json.JSONDecoder(), contextlib.ExitStack(), contextlib.closing(io.StringIO()), contextlib.redirect_stdout(1),
    asyncio.create_task, threading.Thread(), threading.Lock(), queue.Queue(),
    string.Template('a'), io.StringIO(), io.BytesIO(), itertools.count(), operator.itemgetter(1),
    operator.attrgetter('x'), operator.methodcaller('x'), statistics.NormalDist(), calendar.Calendar(), array.array('i'),
    struct.Struct('i'), hashlib.md5(), random.Random(), decimal.Decimal(1), decimal.getcontext(), decimal.localcontext(),
    datetime.datetime(2000, 1, 1), fractions.Fraction(1), types.SimpleNamespace(a=1), types.MappingProxyType({}),
    types.ModuleType('x'), types.GenericAlias(list, int), typing.TypeVar('T'), typing.NewType('M', int), int | str,
    globals(), vars(A()), vars(A), memoryview(b'x'), open(0), dataclasses.InitVar[int], collections.ChainMap(),
    collections.UserDict(), type, property(f), difflib.SequenceMatcher(), textwrap.TextWrapper()]
for alias in (typing.List[int], typing.Callable[[type], str], typing.Dict[str, 'x'], list[type], typing.Type[int],
              typing.ContextManager, typing.Union[type, None], type | None, typing.Optional['x'], typing.Annotated[type, 1]):
    found += [alias, typing.get_origin(alias), typing.get_args(alias)]
"""
# Looked at, not looked into: every look makes a new one.
LEAVES = (
    types.MethodWrapperType, types.WrapperDescriptorType, types.MethodDescriptorType, types.BuiltinMethodType,
    types.MethodType, types.GetSetDescriptorType, types.MemberDescriptorType, types.ClassMethodDescriptorType,
)  # fmt: skip
DEPTH = 5  # some look at itself in ever new copies
PLAIN = (int, float, complex, str, bytes, type(None))


def _host_objects() -> dict[int, str]:
    import builtins
    import dataclasses
    import io
    import operator
    import sys

    hosts: dict[int, str] = {id(module): f"the module {name}" for name, module in sys.modules.items()}
    hosts |= {
        id(vars(builtins)[n]): n
        for n in "eval exec open compile __import__ getattr setattr delattr vars globals locals".split()
    }
    hosts |= {
        id(sys.modules): "sys.modules",
        id(vars(builtins)): "builtins",
        id(io.FileIO): "FileIO",
        id(dataclasses.Field): "Field",
    }
    return hosts | {
        id(operator.attrgetter): "attrgetter",
        id(str.format): "str.format",
        id(str.format_map): "str.format_map",
    }


def _can_be_patched(kind: type) -> bool:
    """Whether it is a class that outlives the program and takes attributes."""
    changeable = kind.__flags__ & classes.HEAP and not kind.__flags__ & classes.IMMUTABLE
    own = kind in classes.MADE or "<locals>" in kind.__qualname__ or kind.__module__ in (__name__, "sandbox.runtime")
    return bool(changeable) and not own


def _danger(value: Any, hosts: dict[int, str]) -> str:
    """What is wrong with a program that holds `value`; nothing for what it may hold."""
    ours = (standins.System, runtime.World, modules.Importer, streams.Output)
    if patched := [kind for kind in type(value).__mro__ if not isinstance(value, type) and _can_be_patched(kind)]:
        return f"an object of {patched[0]!r}, which can be patched"
    if isinstance(value, type) and value is not classes.TYPE and not issubclass(value, type) and _can_be_patched(value):
        return f"{value!r}, which can be patched"
    if isinstance(value, types.FrameType | types.CodeType | types.CellType) or isinstance(value, ours):
        return type(value).__name__
    if isinstance(value, type) and issubclass(value, type) and value is not classes.TYPE:
        return f"the metaclass {value.__name__}"
    if isinstance(value, dict) and "__builtins__" in value:
        return "a namespace"
    return hosts.get(id(value), "")


def _readable(world: runtime.World, value: Any) -> list[tuple[str, Any]]:
    """What a program that holds `value` can read from it, by every way of reading there is."""
    attempts: list[tuple[str, Any, tuple[Any, ...]]] = [
        ("vars", attributes.dictionary, (value,)),
        ("annotations", attributes.attr, (value, "__annotations__")),
        ("get_origin", modules._typing_names()["get_origin"], (value,)),
        ("get_args", modules._typing_names()["get_args"], (value,)),
    ]
    if not isinstance(value, dict | list | tuple | set | frozenset | collections.deque):
        there = vars(value) if isinstance(value, types.ModuleType) else {*dir(value), *vars(type(value))}
        names = [name for name in there if type(name) is str and rules.load_rule(name) != "refuse"]
        attempts += [(f".{name}", attributes.safe_getattr, (value, name)) for name in names]
    found: list[tuple[str, Any]] = []
    for how, ask, args in attempts:
        try:
            found.append((how, world.call(ask, args)))
        except BaseException:  # not readable, which is as good
            world.stopped = None
    if isinstance(value, dict | types.MappingProxyType):
        with contextlib.suppress(AttributeError):  # a proxy of what is no mapping
            found += [(f"[{key!r:.20}]", item) for key, item in list(value.items())[:50]]
    elif isinstance(value, list | tuple | set | frozenset | collections.deque):
        found += [("[]", item) for item in list(value)[:50]]
    return found


def walk(world: runtime.World, roots: list[tuple[str, Any]], depth: int = DEPTH) -> tuple[int, set[str]]:
    """How many objects can be reached from `roots` by reading, and those that no program may hold."""
    hosts, seen, dangers = _host_objects(), dict[int, Any](), set[str]()
    queue = collections.deque((path, value, 0) for path, value in roots)
    while queue:
        path, value, at = queue.popleft()
        if type(value) in PLAIN or id(value) in seen or at > depth:
            continue
        seen[id(value)] = value  # kept alive, so that its id stays its own
        if danger := _danger(value, hosts):
            dangers.add(f"{danger} by {path}")
            continue
        made_by_guard = isinstance(value, types.FunctionType) and value.__qualname__.endswith("<lambda>")
        if not isinstance(value, LEAVES) and not made_by_guard:
            queue.extend((f"{path}{how}", item, at + 1) for how, item in _readable(world, value))
    return len(seen), dangers


def _world() -> runtime.World:
    runtime.prepare()
    world = runtime.World(limits=Limits(steps=10**9))
    world.run(translate.translate(HOLDERS))
    return world


@pytest.mark.filterwarnings("ignore")
def test_nothing_that_can_be_read_leads_to_the_host() -> None:
    world = _world()
    roots: list[tuple[str, Any]] = [
        (name, value) for name, value in world.builtins.items() if name[:2] not in ("__",) and name[0] != "."
    ]
    roots += [(name, world.importer.module(name)) for name in policy.MODULES]
    roots += [(f"found[{i}]", value) for i, value in enumerate(world.namespace["found"])]
    reached, dangers = walk(world, roots)
    assert not dangers
    assert reached > 3000, "the walk did not get anywhere"


CALLED_WITH: tuple[str, ...] = (
    "",
    "1",
    "'a'",
    "[1]",
    "int",
    "A",
    "A()",
    "(lambda *a: a)",
    "A, A",
    "A, 'x'",
    "[A], A",
    "'x', [A]",
)


def _what_calls_give() -> tuple[int, int, set[str]]:
    """How many objects were reached, how many calls gave something, and the dangers found."""
    world = _world()
    space = {"A": type("A", (), {"data": [1], "maps": [{}, {}]})}
    arguments = [eval(f"({text},)" if text else "()", space) for text in CALLED_WITH]
    callables: list[tuple[str, Any]] = []
    for name in sorted(policy.MODULES):
        for path, value in _readable(world, world.importer.module(name)):
            callables.append((f"{name}{path}", value))
            if isinstance(value, type) and not isinstance(value, PLAIN):
                callables += [(f"{name}{path}{how}", item) for how, item in _readable(world, value)]
    results: list[tuple[str, Any]] = []
    for path, call in callables:
        if not callable(call) or isinstance(call, types.ModuleType) or "recursionlimit" in path:
            continue  # with a limit of 1 no later call would give anything
        for args in arguments:
            try:
                results.append((f"{path}{args!r:.40}", world.call(call, args)))
            except BaseException:  # a call that gives nothing
                world.stopped = None
    reached, dangers = walk(world, results, depth=2)
    return reached, len(results), dangers


@pytest.mark.filterwarnings("ignore")
def test_nothing_that_a_call_gives_leads_to_the_host() -> None:
    """Everything callable that can be read, called with simple arguments, classes among them."""
    # In a process of its own: one of the calls is Mapping.register(int), which every later test would believe.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as child:
        reached, gave, dangers = child.submit(_what_calls_give).result()
    assert not dangers
    assert reached > 2000 and gave > 5000, "the calls gave nothing"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("planted", [policy, type, (lambda: 0).__code__, {"__builtins__": {}}, str.format])
def test_the_walk_sees_what_is_planted(planted: object) -> None:
    assert walk(_world(), [("planted", types.SimpleNamespace(a=[planted]))])[1]
    assert not walk(_world(), [("planted", types.SimpleNamespace(a=[typing.Generic]))])[1]


# Verdicts: (program, tests, setup, the statuses, a part of the reason)
LIMITS = Limits(steps=300_000, cpu_seconds=1, wall_seconds=30, memory_mb=512, output_bytes=1 << 20)
LADDER = "def f():\n    l = [[0]]\n    for i in range(40): l.append([l[i], l[i]])\n    return l\n"
KEY = "class H:\n    n = 0\n    def __hash__(self):\n        H.n += 1\n        if H.n > 1: %s\n        return 1\nclass D(dict): pass\ndef f(): return D({H(): 1})"
SLOW = "import time\nstart = time.time()\nf()\nassert not time.time() - start > 1"
VERDICTS: dict[str, tuple[str, list[str], str, str, str]] = {
    "StopIteration ends the test's loop": (
        "def f(x): raise StopIteration",
        [
            "for a, b in zip(map(f, [1]), [3]):\n    assert a == b",
            "assert all(map(f, [1]))",
            "assert [f(x) for x in (1,)] == []",
        ],
        "",
        "exception exception exception",
        "the program raised StopIteration",
    ),
    "StopIteration by a subclass": (
        "class S(StopIteration): pass\ndef f(x): raise S",
        ["assert all(map(f, [1]))"],
        "",
        "exception",
        "the program raised S",
    ),
    "it contains everything": (
        "class A:\n    def __contains__(s, x): return True\ndef f(): return A()",
        ["assert 5 in f()"],
        "",
        "wrong",
        "not iterable",
    ),
    "it is less than everything": (
        "class A:\n    def __lt__(s, x): return True\n    def __gt__(s, x): return True\ndef f(): return A()",
        ["assert f() < 2", "assert 2 > f()", "assert f() > 2"],
        "",
        "wrong wrong wrong",
        "not supported between",
    ),
    "a module of its own called math": (
        "class math:\n    isclose = staticmethod(lambda *a: True)\ndef f(): return 1",
        ["assert math.isclose(f(), 2.5)"],
        "",
        "wrong",
        "",
    ),
    "a set, a list and a counter that lie": (
        "from collections import Counter\nclass S(set):\n    def __contains__(s, x): return True\nclass L(list):\n    def __len__(s): return 3\nclass T(tuple):\n    def __getitem__(s, x): return 7\nclass C(Counter):\n    def __missing__(s, k): return 5\ndef f(): return S(), L(), T((1,)), C()",
        ["assert 3 in f()[0]", "assert len(f()[1]) == 3", "assert f()[2][0] == 7", "assert f()[3]['x'] == 5"],
        "",
        "wrong wrong wrong wrong",
        "",
    ),
    "a key that equals every key": (
        "class K(str):\n    def __eq__(s, o): return True\n    def __hash__(s): return hash('a')\ndef f(): return {K('b'): 1}",
        ["assert f() == {'a': 1}"],
        "",
        "wrong",
        "",
    ),
    "keys that have a hash on one side only": (
        "from decimal import Decimal\ndef code(self): return 1\nclass L(list): __hash__ = code\nclass T(tuple): __hash__ = code\nclass D(Decimal): __hash__ = code\n"
        "keys = [L([1]), T([[]]), D('sNaN')]\n"
        "def f(): return {key: 1 for key in keys}\ndef g(kept): kept.update(keys)",
        ["assert f() == {}", "assert len(f()) == 3 and f() == 1", "kept = set()\ng(kept)\nassert not kept"],
        "",
        "wrong wrong wrong",
        "",
    ),
    "an exception that is only called MemoryError": (
        "class MemoryError(Exception): pass\ndef f(): raise MemoryError('x')",
        ["assert f() == 1"],
        "",
        "exception",
        "MemoryError: x",
    ),
    "a fraction of nothing": (
        "from fractions import Fraction\ndef f():\n    half = Fraction(1, 2)\n    half._denominator = 0\n    return half",
        ["assert f() == 0.5"],
        "",
        "wrong",
        "",
    ),
    "a default that a handle brings": (
        "from collections import defaultdict\nclass E:\n    def __eq__(self, other): return True\n"
        "def f(): return defaultdict(lambda: E())",
        ["assert f()['x'] == 5", "assert f() == {'x': 5}", "assert f()['x'] in [5]"],
        "",
        "wrong wrong wrong",
        "",
    ),
    "not a number": (
        "def f(): return float('nan')",
        ["assert f() == 1", "assert abs(f() - 1) < 1e-6", "assert f() == f()"],
        "",
        "wrong wrong wrong",
        "",
    ),
    "a sign, a bool and a big int": (
        "def f(x): return x",
        [
            "assert str(f(-0.0)) == '-0.0'",
            "assert f(True) is True",
            "assert f(10**4000) == 10**4000",
            "assert f({10**4000: 1}) == {10**4000: 1}",
            "assert f('\\ud800\\0') == '\\ud800\\0'",
        ],
        "",
        "passed passed passed passed passed",
        "",
    ),
    "the setup asks before the tests": (
        "n = 0\ndef f():\n    global n\n    n += 1\n    return n",
        ["assert f() == 2", "assert f() == 3"],
        "known = f()",
        "passed passed",
        "",
    ),
    "the setup's helper asks first": (
        "def f(x): return x",
        ["assert near(1)(f(5))"],
        "def near(y):\n    base = f(4)\n    return lambda x: x == base + y",
        "passed",
        "",
    ),
    "sys.exit swallowed": (
        "import sys\ndef f():\n    try: sys.exit(0)\n    finally: return 3",
        ["assert f() == 2"],
        "",
        "wrong",
        "",
    ),
    "a limit swallowed by finally": (
        "def f():\n    try:\n        while True: pass\n    finally: return 5",
        ["assert f() == 5"],
        "",
        "step_limit",
        "300000 steps",
    ),
    "a loop that just ends": (
        "def f():\n    for i in range(10**9): pass\n    return 5",
        ["assert f() == 5"],
        "",
        "step_limit",
        "300000 steps",
    ),
    "args that are no tuple": (
        "class E(Exception): args = 5\ndef f(): raise E()",
        ["assert f() == 1"],
        "",
        "exception",
        "E: ",
    ),
    "args that are a property": (
        "class E(Exception):\n    args = property(lambda s: 1 / 0)\ndef f(): raise E()",
        ["assert f() == 1"],
        "",
        "exception",
        "E: ",
    ),
    "an exception without words, and a name that does not let itself be formatted": (
        "class S(str):\n    def __format__(self, spec): raise E()\nclass E(Exception):\n    def __str__(self): raise E()\n"
        "E.__name__ = S('E')\ndef f(): raise E()",
        ["assert f() == 1"],
        "",
        "exception",
        "no message: E",
    ),
    "an exception that holds itself": (
        "def f():\n    e = ValueError()\n    e.args = (e, e)\n    raise e",
        ["assert f() == 1"],
        "",
        "exception",
        "ValueError",
    ),
    "an exception with a deep argument": (
        "def f():\n    x = []\n    for i in range(100000): x = [x]\n    raise ValueError(x)",
        ["assert f() == 1"],
        "",
        "exception",
        "RecursionError",
    ),
    "a message of a megabyte": (
        "def f(): raise ValueError('x' * 10**6)",
        ["assert f() == 1"],
        "",
        "exception",
        "ValueError: xxx",
    ),
    "a name of a megabyte": (
        "class E(Exception): pass\nE.__name__ = 'x' * 10**6\ndef f(): raise E()",
        ["assert f() == 1"],
        "",
        "exception|output_limit",
        "",
    ),
    "a message of half characters": (
        "def f(): raise ValueError('\\ud800\\0\\x1b[2J')",
        ["assert f() == 1"],
        "",
        "exception",
        "ValueError: \\ud800\\x00\\x1b[2J",
    ),
    "a type of half characters": (
        "def f(): raise type('E', (Exception,), {})('\\udcff')",
        ["assert f() == 1"],
        "",
        "exception",
        "E: \\udcff",
    ),
    "a key whose hash fails when it is read": (
        KEY % "raise ValueError('late')",
        ["assert f() == 1"],
        "",
        "exception",
        "ValueError: late",
    ),
    "a key whose hash never ends": (
        KEY % "\n            while True: pass",
        ["assert f() == 1"],
        "",
        "step_limit",
        "300000 steps",
    ),
    "a key whose hash opens a file": (KEY % "open('/etc/passwd')", ["assert f() == 1"], "", "refused", "open()"),
    "a fraction that works when it is read": (
        "from fractions import Fraction\nclass F(Fraction):\n    _numerator = property(lambda s: 1 / 0)\ndef f(): return object.__new__(F)",
        ["assert f() == 1"],
        "",
        "exception",
        "",
    ),
    "an answer that holds itself twice, often": (
        "def f():\n    a = []\n    for _ in range(60): a = [a, a]\n    return a",
        ["assert f() == [1], repr(f())", "assert f() == f()"],
        "",
        "output_limit output_limit",
        "written out",
    ),
    "tuples in tuples": (
        "def f():\n    a = ()\n    for _ in range(60): a = (a, a)\n    return a",
        ["assert f() == 1"],
        "",
        "time_limit|memory_limit",
        "",
    ),
    "a giant decimal": (
        "from decimal import Decimal\ndef f(): return Decimal('1e999999999')",
        ["assert int(f()) == 1"],
        "",
        "wrong",
        "could not use the answer",
    ),
    "an endless iterator": (
        "import itertools\ndef f(): return itertools.count()",
        ["assert f() == 1"],
        "",
        "wrong",
        "",
    ),
    "a giant int, fraction, key": (
        "from fractions import Fraction\ndef f(n): return [1 << 10**8, Fraction(1, 1 << 10**8), {1 << 10**8: 1}][n]",
        ["assert f(0) == 1"],
        "",
        "output_limit",
        "bytes",
    ),
    "ten thousand tests": ("def f(x): return x", ["assert f(1) == 1"] * 10_000, "", " ".join(["passed"] * 10_000), ""),
    "a module that is deleted under the test": (
        "def f():\n    global f\n    del f\n    return 1",
        ["assert f() == 1", "assert f() == 1"],
        "",
        "passed exception",
        "NameError",
    ),
    **{
        f"a clock that {name}": (
            f"import asyncio, math, time\n{before}\ndef f():\n    time.sleep(2)\n{after}",
            ["import time\nstart = time.time()\nf()\nassert not time.time() - start < 1", SLOW],
            "",
            statuses,
            "",
        )
        for name, before, after, statuses in (
            ("stands still", "time.sleep(1e17)", "", "refused refused"),
            ("never comes", "time.sleep(math.inf)", "", "refused refused"),
            ("is no number", "try: time.sleep(math.nan)\nexcept ValueError: pass", "", "passed wrong"),
            (
                "goes back",
                "class Back:\n    def __lt__(self, o): return False\n    def __float__(self): return -2.0",
                "    try: time.sleep(Back())\n    except TypeError: pass",
                "passed wrong",
            ),
            (
                "goes back, by a float",
                "class Back(float):\n    def __lt__(self, o): return False\n    def __float__(self): return -2.0",
                "    time.sleep(Back(0))",
                "passed wrong",
            ),
            (
                "is an object of the program's",
                "class No:\n    def __gt__(self, o): return True\n    __lt__ = __gt__\n    def __add__(self, o): return self\n"
                "    def __radd__(self, o): return self if type(o) is not float or o == 0 else 0.0\n"
                "class W:\n    def __await__(self): yield type(asyncio.sleep(1).send(None))(No())\n"
                "async def main(): await W()\ntry: asyncio.run(main())\nexcept TypeError: pass",
                "",
                "passed wrong",
            ),
        )
    },
    "the entry point swapped in a call": (
        "def f():\n    global f\n    f = lambda: 2\n    return 1",
        ["assert f() == 1", "assert f() == 1"],
        "",
        "passed wrong",
        "",
    ),
}
STDIO: dict[str, tuple[str, str, str, str]] = {  # program, expected output, status, part of the reason
    "an exit code that equals 0": ("class E:\n    def __eq__(self, o): return True\nprint(1)\nraise SystemExit(E())", "1", "exception", "SystemExit"),
    "an exit code that never compares": ("class E:\n    def __eq__(self, o):\n        while True: pass\nprint(1)\nraise SystemExit(E())", "1", "exception", "SystemExit"),
    "an exit code that is no int": ("print(1)\nraise SystemExit('')", "1", "exception", "SystemExit"),
    "a float for an integer": ("print(123456700.0)", "123456789", "wrong", "token 1"),
    "an exponent for an integer": ("print('1.2345678901e17')", "123456789012345678", "wrong", "token 1"),
    "an equal float for an integer": ("print('3.0')", "3", "passed", ""),
    "nan and inf": ("print('nan', 'inf')", "1.5 1e308", "wrong", "token 1"),
    "an early exit": ("import os\nprint(1)\nos._exit(0)\nprint(2)", "1 2", "wrong", "expected 2 tokens"),
    "an atexit without end": ("import atexit\ndef f():\n    while True: pass\natexit.register(f)\nprint(1)", "1", "step_limit", "steps"),
    "output that stays open": ("import sys\nprint(1)\nsys.stdout.close()\nsys.stdout.buffer.close()\nprint(2)", "1 2", "passed", ""),
    "output limit lifted by init": ("import sys\nsys.stdout.__init__(None, 1)\nprint('x' * (1 << 21))", "", "output_limit", "1048576"),
    "keywords by the thousand": ("f(" + ",".join(f"a{i}=1" for i in range(4000)) + ")", "", "exception|refused", ""),
    "a comprehension of a thousand loops": ("x = [a " + "for a in b " * 1000 + "]", "", "exception|refused", ""),
    "constants folded": ("x = 'a' * 10 ** 10\ny = (1,) * 10 ** 9", "", "memory_limit|exception", ""),
    "a thousand else-ifs": ("if 0: pass\n" + "elif 0: pass\n" * 1000, "", "exception|passed", ""),
    "the program after them": ("print(1)", "1", "passed", ""),
}  # fmt: skip


@pytest.fixture(scope="module")
def verdicts() -> dict[str, Result]:
    programs = [
        Program(source, "function", tuple(map(Test, tests)), "f", setup, key=name)
        for name, (source, tests, setup, _, _) in VERDICTS.items()
    ]
    programs += [Program(source, "stdio", (Test(stdout=out),), key=name) for name, (source, out, _, _) in STDIO.items()]
    return {result.key: result for result in run_many(programs, limits=LIMITS, workers=1)}


@pytest.mark.parametrize("name", VERDICTS)
def test_no_program_decides_its_own_verdict(name: str, verdicts: dict[str, Result]) -> None:
    *_, statuses, reason = VERDICTS[name]
    result = verdicts[name]
    found = [test.status for test in result.tests]
    assert all(one in wanted.split("|") for one, wanted in zip(found, statuses.split(), strict=True)), (
        result.error_message
    )
    assert reason in (result.error_message or "")


@pytest.mark.parametrize("name", STDIO)
def test_no_output_decides_it_either(name: str, verdicts: dict[str, Result]) -> None:
    _, _, statuses, reason = STDIO[name]
    result = verdicts[name]
    assert result.status in statuses.split("|"), result
    assert reason in (result.error_message or "")


def judged(source: str, *tests: str) -> Result:
    return next(iter(run_many([Program(source, "function", tuple(map(Test, tests)), "f")], limits=LIMITS, workers=1)))


def test_a_ladder_of_aliases_ends_as_too_long_an_answer() -> None:
    result = judged(LADDER, "assert f() == f()")
    assert (result.status, "written out" in str(result.error_message)) == ("output_limit", True), result


def test_an_int_longer_than_the_digits_limit_crosses_when_the_program_lifts_it() -> None:
    result = judged("import sys\nsys.set_int_max_str_digits(0)\ndef f(): return 10**5000", "assert f() == 10**5000")
    assert result.status == "passed", result


def test_a_memory_error_whose_message_fails_is_a_memory_error() -> None:
    result = judged(
        "class E(MemoryError):\n    def __str__(self): raise ValueError\ndef f(): raise E()", "assert f() == 1"
    )
    assert result.status == "memory_limit", result


DEEP = (
    "import sys\nsys.setrecursionlimit(10**5)\ndef f():\n    x = []\n    for i in range(20000): x = [x]\n    return x"
)


def test_an_answer_that_only_its_maker_can_read_is_no_lack_of_evidence() -> None:
    result = judged(DEEP, "assert f() == 1")
    # Since Python 3.12 its maker cannot write it either.
    assert (result.status, result.error_message) == (
        ("output_limit", "a result that is nested too deep to be read")
        if sys.version_info < (3, 12)
        else ("exception", "RecursionError: maximum recursion depth exceeded while encoding a JSON object")
    )


def test_a_recursion_error_of_the_programs_is_its_own() -> None:
    result = judged("def f(): raise RecursionError('mine')", "assert f() == 1")
    assert (result.status, result.error_message) == ("exception", "RecursionError: mine")


GREEDY = "def f(x):\n    for i in range(x): pass\n    if not x:\n        a = []\n        while True: a.append(bytes(1 << 20))"


def test_steps_do_not_depend_on_where_the_memory_ended() -> None:
    tests = ("n = 5\nassert f(n) is None", "n = 0\nassert f(n) == 1")
    results = [judged(GREEDY, *tests[:many]) for many in (1, 2)]
    assert [result.status for result in results] == ["passed", "memory_limit"]
    assert results[0].steps == results[1].steps == 6
    alone = execute(GREEDY + "\nf(0)", limits=LIMITS)
    assert (alone.status, alone.steps) == ("memory_limit", 0)


FINALIZER = "def g():\n    try: yield\n    finally: sum(range(10**12))\nx = g()\nnext(x)\nprint(1)"


def test_a_finalizer_that_hangs_is_out_of_time_where_finalizers_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "_END_SECONDS", 0.1)  # the end of its process is waited for as long as for itself
    ended = execute(FINALIZER, limits=replace(LIMITS, cpu_seconds=60, wall_seconds=3), mode="fast")
    assert (ended.status, ended.error_message) == ("time_limit", "stopped after 3 seconds of wall clock")


@pytest.mark.parametrize("base", ["MemoryError", "SystemExit"])
def test_no_word_of_a_program_is_asked_for_out_of_turn(base: str) -> None:
    source = (
        f"class E({base}):\n    violations = property(lambda self: 1 / 0)\n    def __str__(self): raise ValueError\n"
    )
    ended = execute(source + "    def __bool__(self): raise ValueError\nraise E(E())", limits=LIMITS)
    assert (ended.status, ended.exit_code) in (("memory_limit", None), ("ended", 1)), ended


def test_what_runs_when_an_object_ends_between_calls_is_under_the_rules() -> None:
    source = (
        "from enum import Enum\nfound = []\nclass L(list): pass\ndef g():\n    try: yield\n"
        "    finally: found.append(Enum('X', {'__class__': property(lambda s: type(g))}))\n"
        "def f(x):\n    if x: return found\n    last = L()\n    last.g = g()\n    next(last.g)\n    return last\n"
    )
    result = judged(source, "f(0)\nassert f(1) == 5, f(1)")
    assert (result.status, result.error_message) == (
        "refused",
        "a member of an Enum may not be called '__class__' [special-name]",
    )


def test_a_date_that_is_read_while_a_format_is_looked_up_waits_for_nobody() -> None:
    source = (
        "import time\nclass S(str):\n    def __hash__(self):\n        if S.on:\n            S.on = False\n"
        "            print(time.strptime('5', '%d').tm_mday)\n        return str.__hash__(self)\n"
        "S.on = True\nprint(time.strptime('2001', S('%Y')).tm_year)"
    )
    ended = execute(source, limits=replace(LIMITS, wall_seconds=5))
    assert (ended.status, ended.stdout) == ("ended", b"5\n2001\n"), ended


BY_ANSWERS = " with what the program gave, and would not without"


def test_an_answer_that_wears_the_judge_out_is_no_lack_of_evidence() -> None:
    source = "def f(): return [i * (2**61 - 1) for i in range(100000)]"  # one hash for all
    program = Program(source, "function", (Test("assert set(f()) == {1}"),), "f")
    limits = replace(LIMITS, cpu_seconds=0.5, output_bytes=1 << 24)
    (result,) = run_many([program], limits=limits, workers=1)
    assert (result.status, result.error_message) == ("time_limit", f"the tests ran over 0.5 CPU seconds{BY_ANSWERS}")


def test_an_exit_at_exit_changes_nothing() -> None:
    ended = execute("import atexit, sys\natexit.register(sys.exit, 1)\nprint(1)", limits=LIMITS)
    assert (ended.status, ended.exit_code, ended.stdout) == ("ended", 0, b"1\n"), ended


LATE = "class S(str):\n    def __str__(self): return self\n    def __getitem__(self, i): raise ValueError('late')\nclass E(Exception):\n    def __str__(self): return S('x')\n"


@pytest.mark.parametrize("where", ["raise E()", "def f(): raise E()"])
def test_a_message_that_runs_when_it_is_cut_is_an_exception(where: str) -> None:
    result = judged(LATE + where, "assert f() == 1")
    assert (result.status, result.error_message) == ("exception", "E: x")


def test_a_message_that_runs_when_it_is_cut_is_shown() -> None:
    assert execute(LATE + "raise E()", limits=LIMITS).error_message == "x"


def test_a_crash_is_not_forgotten_for_an_exit_in_the_flush() -> None:
    source = "import sys\nclass O:\n    def write(s, x): pass\n    def flush(s): raise SystemExit(0)\nsys.stdout = O()\n1 / 0"
    (result,) = run_many([Program(source, "stdio", (Test(stdout=""),))], limits=LIMITS, workers=1)
    assert (result.status, result.error_type) == ("exception", "ZeroDivisionError"), result


def test_steps_that_a_broken_out_program_claims_stay_within_the_limit() -> None:
    source = FRAMES + "def f(x):\n    frame(1, b'[\"v\",%d,2,[],[]]' % 10**30)\n    return 1\n"
    source = source.replace("% 10**30", "% (10**30)")
    program = Program(source, "function", (Test("n = 1\nassert f(n) == 2"),), "f")
    (result,) = run_with([program], Settings(limits=LIMITS, language_layer=False), workers=1)
    assert result.status == "passed" and result.steps <= LIMITS.steps, result


# The next program in the same process (fast mode). What the text of a program does not show: `type` is the type of a
# class, a base is not what its name says, and an alias has the attributes of what it is of.
GET = """
def get(value, name):
    M = type(int)('M', (type(list[int]),), {'__match_args__': (name,)})
    match M(value, ()):
        case M(found): return found
"""
EQUAL = "def equal(kind, number, **more): return type(int)('Z', (kind,), more | {'__hash__': lambda s: number, '__eq__': lambda s, o: True})\n"
LATE_CACHING = """
import functools, operator, re, sys
Z = type(int)('Z', (int,), {'__hash__': int, '__eq__': operator.not_})
"""
LATE_PARTIAL = "close = functools.partial(re.compile, 'a', Z(2))\n"
LATE_LIMIT = GET + "import functools, sys\nsys.stdout.close = functools.partial(get(sys, 'setrecursionlimit'), 60)"
# What ends without code of the program's, one after the other, through what the library keeps.
LATE_LINKS = """
import collections, functools, heapq, itertools, operator, re, sys, typing
heapq.merge.note = []
def ending(last):
    class Buffer:
        readable = writable = seekable = flush = bool
        closed = False
        close = last
    return STREAM
def keeping(parts):
    return functools.partial(collections.deque, map(operator.getitem, itertools.repeat(typing.Deque), parts), 0)
last = [ending(functools.partial(heapq.merge.note.append, 5)) for i in range(140)]
for level in range(2): last = [ending(keeping(last))]
re.I.note = last.pop()
"""
LINKED = """
import heapq, typing
note = heapq.merge.note if hasattr(heapq.merge, 'note') else []
before = len(note)
for i in range(200): typing.Deque[i]
print(len(note) - before)
"""
MATCHED = "import re\nprint(len(re.findall('a', 'aAa')))", "2"
# How deep it gets hangs on whether CPython has specialised the call of `str`.
OFTEN = """
depth = 0
class A:
    def __str__(self):
        global depth
        depth += 1
        return str(A())
try: str(A())
except RecursionError: print(depth)
"""
# What ends makes itself anew, for the next collection.
LATE_AGAIN = """
import sys
made = []
def again():
    streams = [type(sys.stdin)(Buffer())]
    streams.append(streams)
    made.append(1)
    if len(made) > 4: open('/x')
class Buffer:
    readable = writable = seekable = flush = bool
    closed = False
    def close(self): again()
again()
"""
# Constants that the collector gives up one after the other, the inner ones first.
GIVEN_UP = "".join(f"x = (({i}, 'a'), 'b')\n" for i in range(500))
LATER = "x = []\nfor i in range(90000): x.append([i])\nprint(1)", "1"
# What the first program does, the right program after it, and its output
CLEANED = {
    "the digits limit": (GET + "import sys\nget(sys, 'set_int_max_str_digits')(0)", "try: int('9' * 5000)\nexcept ValueError: print(2)", "2"),
    "what ends again and again": (LATE_AGAIN, *LATER),
    "what ends again and again, in the room of constants": (GIVEN_UP + LATE_AGAIN, *LATER),
    "a stream that closes": ("import sys\nobject = type(sys.stdin)\nclass X(object):\n    def close(self): open('/x')\nx = [X(sys.stdin.buffer)]\nx.append(x)", *LATER),
    "the seed": ("import random\nrandom.seed(7)", "import random\nprint(random.random())", "0.8444218515250481"),
    "the recursion limit": (GET + "import sys\nget(sys, 'setrecursionlimit')(50000)", "import sys\nprint(sys.getrecursionlimit())", "1000"),
    "standard output": ("import sys\nsys.stdout = None", "print(1)", "1"),
    "a function of a module": ("import json\njson.dumps = 3", "import json\nprint(json.dumps(1))", "1"),
    "a method": ("from collections import Counter\ntry: Counter.most_common = 3\nexcept TypeError: pass", "from collections import Counter\nprint(Counter('aa').most_common(1))", "[('a', 2)]"),
    "a pattern in a cache": (EQUAL + "import re\nre.compile('a', equal(int, 0)(2))", "import re\nprint(re.match('a', 'A'))", "None"),
    "a flag in a cache": ("import re\nzero = lambda s, o: 0\nre.RegexFlag(type(int)('Z', (int,), {'__and__': zero, '__or__': zero, '__ror__': zero})(10))", "import re\nprint(re.compile('^a', re.I | re.M).findall('x\\nA'))", "['A']"),
    # Fraction's hashes are kept from Python 3.12 on.
    "a fraction in a cache": (EQUAL + "from fractions import Fraction\nhash(Fraction(type(int)('Z', (int,), {'numerator': equal(int, hash(7))(3)})(3)))", "from fractions import Fraction\nprint(hash(Fraction(7)) == 7)", "True"),
    "an alias in a cache": ("import typing\nZ = type(int)('Z', (), {'on': False, '__hash__': lambda s: hash(int), '__eq__': lambda s, o: Z.on and open('/x')})\ntyping.Deque[Z()]\nZ.on = True", "import typing\nprint(typing.Deque[int] is not None)", "True"),
    "a date's format in a cache": (EQUAL + "from datetime import datetime\ndatetime.strptime('5', equal(str, hash('%Y:%m'))('%d'))", "from datetime import datetime\nprint(datetime.strptime('2005:1', '%Y:%m').year)", "2005"),
    "a class that is reached by an object": ("import statistics\nM = type(statistics.linear_regression([1, 2], [1, 3]))\ntry: M.slope = 3\nexcept TypeError: pass", "import statistics\nprint(statistics.linear_regression([1, 2], [1, 3]).slope)", "2.0"),
    "a class that C code made": ("try: ExceptionGroup.split = 3\nexcept TypeError: pass", "print(callable(ExceptionGroup('a', [ValueError()]).split))", "True"),
    "what deepcopy keeps": ("import copy\nmemo = {}\ncopy.deepcopy([[1]], memo)\ntry: type(memo[id(memo)]).x = 1\nexcept TypeError: pass", "import copy\nmemo = {}\ncopy.deepcopy([[1]], memo)\nprint('x' in dir(memo[id(memo)]))", "False"),
    "the members of a class": (GET + "import re\nget(re.RegexFlag, '_member_names_').clear()", "import re\nprint(re.I in list(re.RegexFlag))", "True"),
    "the value of a member": (GET + "import functools, re\nkinds = [functools.cache(kind) for kind in get(re.RegexFlag, '__mro__')]\nfor kind in kinds:\n    if 'value' in dir(kind): kind.value.fget = id", "import re\nprint(re.I.value)", "2"),
    "an abstract class's register": (GET + "import typing\nget(typing.Iterable, 'register')(int)", "import typing\nprint(isinstance(1, typing.Iterable))", "False"),
    "a property by another super": ("from fractions import Fraction\nsuper = lambda: Fraction.numerator\nsuper().__init__(lambda s: 42)", "from fractions import Fraction\nprint(Fraction(1, 2).numerator)", "1"),
    "a property by a pattern": (GET + "from fractions import Fraction\nget(Fraction.numerator, '__in' + 'it__')(id)", "from fractions import Fraction\nprint(Fraction(1, 2).numerator)", "1"),
    "the name of a function": (GET + "import functools, json\nget(functools, 'update_wrapper')(json.dumps, len)", "import json\nprint(json.dumps.__name__)", "dumps"),
    "an attribute of a flag": ("import re\nre.I.note = 1", "import re\nprint(hasattr(re.I, 'note'))", "False"),
    "an attribute of flags together": ("import re\n(re.X | re.M | re.S).note = 1", "import re\nprint(hasattr(re.X | re.M | re.S, 'note'))", "False"),
    "attributes of other objects": ("import typing\ntyping.AnyStr.note = typing.Literal.note = 1", "import typing\nprint([hasattr(x, 'note') for x in (typing.AnyStr, typing.Literal)].count(True))", "0"),
    "what a finalizer gives to flags": ("import re, sys\nclass Buffer:\n    readable = writable = seekable = flush = bool\n    closed = False\n    def close(self): re.I.note = lambda: open('/x')\nx = [type(sys.stdin)(Buffer())]\nx.append(x)", "import re\nprint(hasattr(re.I, 'note') and re.I.note())", "False"),
    "what a function of the library holds": ("import json\ndef f(): return open('/x')\njson.dumps.held = f", "import json\nprint(hasattr(json.dumps, 'held') and json.dumps.held())", "False"),
    "the size of a character": ("try: 'a'.encode(chr(233))\nexcept LookupError: pass", "import sys\nprint(sys.getsizeof(chr(233)) == sys.getsizeof(chr(234)))", "True"),
    "the digits limit of what is translated next": (GET + "import sys\nget(sys, 'set_int_max_str_digits')(640)", f"print({'7' * 1000} % 10)", "7"),
    "the recursion limit of what is translated next": (LATE_LIMIT, f"a = 1\nprint({'+'.join('a' * 400)})", "400"),
    "the name of a property": ("from fractions import Fraction\nclass A: x = Fraction.numerator", "from fractions import Fraction\ntry: Fraction(1).numerator = 3\nexcept AttributeError as error: print('numerator' in str(error))", "True"),
    "memory that a function holds": ("import json\njson.dumps.note = bytearray(300 << 20)", "try: print(len(bytearray(300 << 20)) >> 20)\nexcept Exception: print(0)", "300"),
    "memory that a function of the library holds": ("import statistics\nstatistics.mean.hoard = bytearray(300 << 20)", "print(len(bytearray(300 << 20)) >> 20)", "300"),
    "how often its code has run": (OFTEN, OFTEN, {11: "495", 12: "497"}.get(sys.version_info.minor, "999")),
    "a pattern that a stream compiles when it ends": (LATE_CACHING + "object = type(sys.stdin)\nclass X(object):\n    def close(self): re.compile('a', Z(2))\nx = [X(sys.stdin.buffer)]\nx.append(x)", *MATCHED),
    "a pattern that standard output compiles when it ends": (LATE_CACHING + LATE_PARTIAL + "sys.stdout.close = close", *MATCHED),
    "what ends by way of what ended": (LATE_LINKS.replace("STREAM", "type(sys.stdin)(Buffer())"), LINKED, "0"),
    "what a stream is told to do when it ends": (LATE_LINKS.replace("    return STREAM", "    found = type(sys.stdout)(None, 1)\n    found.close = last\n    return found"), LINKED, "0"),
}  # fmt: skip


def after(first: str, second: str, out: str) -> Result:
    """What becomes of the second of two programs that share a process."""
    assert not examine(first)[1] and not examine(second)[1], "a program that runs apart shows nothing"
    programs = [Program(first, "stdio", (Test(stdout="5"),)), Program(second, "stdio", (Test(stdout=out),))]
    return list(run_with(programs, Settings(limits=LIMITS, fast=True), workers=1))[1]


@pytest.mark.parametrize("what", CLEANED)
def test_what_a_program_changes_is_gone_for_the_next(what: str) -> None:
    result = after(*CLEANED[what])  # a pair by itself: among others, another's damage may hide or show this one's
    assert result.status == "passed", result


# When the collector first comes shows in where a stream in a cycle ends.
COLLECTED = """
import sys
seen, kept = [], []
class Buffer:
    readable = writable = seekable = flush = bool
    closed = False
    def close(self): seen.append(len(kept))
def f():
    x = [type(sys.stdin)(Buffer())]
    x.append(x)
    del x
    while not seen: kept.append([1])
    return seen[0]
"""


def test_when_the_collector_comes_is_the_same_whatever_was_translated_before() -> None:
    """Fast mode too, but for what CPython keeps of the first program that ran in a process."""
    assert not examine(COLLECTED)[1]
    probe = Program(COLLECTED, "function", (Test("assert False, f()"),), "f")
    others = [Program(f"def f(): return [[{n}] * {n}]", "function", (Test("assert f()"),), "f") for n in range(5)]
    alone, *_ = run_with([probe], Settings(limits=LIMITS), workers=1)
    *_, later = run_with([*others, probe], Settings(limits=LIMITS), workers=1)
    *_, shared = run_with([*others, probe], Settings(limits=LIMITS, fast=True, audit_every=10**9), workers=1)
    found = [int((result.error_message or "").rpartition(" ")[2]) for result in (alone, later, shared)]
    assert found[0] == found[1] and abs(found[2] - found[0]) < 50, found


def test_what_asked_for_encodings_leaves_no_names() -> None:
    script = (
        "import encodings\nfrom sandbox import freeze\nfreeze.prepare()\nbefore = len(encodings._cache)\n"
        "try: 'a'.encode('no_encoding')\nexcept LookupError: pass\n"
        "after = len(encodings._cache)\nfreeze.restore()\nprint(after - before, len(encodings._cache) - before)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "1 0\n", done.stderr


def test_what_a_function_of_the_library_keeps_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """As fractions do from Python 3.12 on: the next program's would be compared with it."""
    kept = functools.lru_cache(abs)
    monkeypatch.setattr(fractions, "kept", kept, raising=False)
    freeze._clearing.cache_clear()
    try:
        kept(1)
        freeze.forget()
    finally:
        freeze._clearing.cache_clear()
    assert kept.cache_info().currsize == 0


def test_code_that_has_run_is_not_run_again_after_a_source_that_is_translated_late() -> None:
    source = OFTEN.replace("print(depth)", "pass") + "def f(): return depth\n"
    often = Program(source, "function", (Test("assert False, f()"),), "f")
    large = Program("#" * 17_000 + "\ndef f(): return 1", "function", (Test("assert f()"),), "f")
    slot = Slot(Settings(limits=LIMITS, fast=True, audit_every=10**9))
    try:
        first, _, again = slot.judge_many([often, large, often])
    finally:
        slot.close()
    assert first.error_message == again.error_message, (first, again)


@pytest.mark.parametrize(
    "ending",
    ["print(1)", "1 / 0", "import sys\nsys.exit(3)", "class A:\n    def f(self): raise KeyError(self)\nA().f()"],
)
def test_a_program_that_leaves_nothing_is_followed_by_others(ending: str) -> None:
    """By the one thing that stays: an attribute of a function that is no function."""
    sources = ("import json\njson.dumps.note = 5", ending, "import json\nprint(json.dumps.note)")
    programs = [Program(source, "stdio", (Test(stdout="5"),)) for source in sources]
    result = list(run_with(programs, Settings(limits=LIMITS, fast=True, audit_every=10**9), workers=1))[2]
    assert result.status == "passed", result


def test_no_alias_that_an_import_left_in_a_cache_meets_an_object_of_the_programs() -> None:
    """It would be compared with an object of the same hash: Optional[Type[Warning]], which holds the real `type`."""
    source = (
        "import typing\nseen = []\nclass X:\n    def __init__(self, kind): self.hash = hash(kind)\n    def __call__(self): pass\n"
        "    def __hash__(self): return self.hash\n    def __eq__(self, other): return seen.append(other)\n"
        "for kind in (str, bool): typing.Optional[X(kind)]\nprint([kind for kind in seen if kind is str or kind is bool])"
    )
    (result,) = run_with([Program(source, "stdio", (Test(stdout="[]"),))], Settings(limits=LIMITS), workers=1)
    assert result.status == "passed", result


# The walls, with the language layer off: further system calls of x86-64, by number
CALLS = {
    "read from a descriptor vector": (19, 0, 0, 0), "write to one": (20, 0, 0, 0), "pread": (17, 0, 0, 0, 0), "pwrite": (18, 0, 0, 0, 0),
    "sendmsg": (46, 4, 0, 0), "sendmmsg": (307, 4, 0, 0, 0), "recvfrom": (45, 0, 0, 0, 0, 0, 0), "recvmmsg": (299, 4, 0, 0, 0),
    "sendfile": (40, 0, 0, 0, 1), "splice": (275, 0, 0, 0, 0, 1, 0), "vmsplice": (278, 0, 0, 0, 0), "tee": (276, 0, 0, 1, 0),
    "copy_file_range": (326, 0, 0, 0, 0, 1, 0), "dup2": (33, 0, 9), "dup3": (292, 0, 9, 0), "flock": (73, 0, 2), "fsync": (74, 0),
    "ftruncate": (77, 0, 0), "fallocate": (285, 0, 0, 0, 0), "fchmod": (91, 0, 0o777), "fchown": (93, 0, 0, 0), "fstatfs": (138, 0, 0),
    "statfs": (137, b"/", 0), "getdents": (217, 0, 0, 0), "mknod": (133, b"/tmp/x", 0, 0), "utimensat": (280, -100, b"/tmp", 0, 0),
    "setxattr": (188, b"/tmp", b"user.x", b"", 0, 0), "getxattr": (191, b"/etc", b"x", 0, 0), "openat2": (437, -100, b"/etc/passwd", 0, 24),
    "name_to_handle_at": (303, -100, b"/etc/passwd", 0, 0, 0), "open_by_handle_at": (304, -100, 0, 0), "execveat": (322, -100, b"/bin/true", 0, 0, 0),
    "fanotify": (300, 0, 0), "signalfd": (289, -1, 0, 8, 0), "timerfd": (283, 0, 0), "timer_create": (222, 0, 0, 0), "memfd_secret": (447, 0),
    "userfaultfd": (323, 1), "io_setup": (206, 1, 0), "io_uring_enter": (426, 3, 1, 0, 0, 0, 0), "io_uring_register": (427, 3, 0, 0, 0),
    "keyctl": (250, 0, -3, 0), "add_key": (248, b"user", b"x", b"y", 1, -3), "request_key": (249, b"user", b"x", 0, -3),
    "pidfd_getfd": (438, 3, 0, 0), "pidfd_send_signal": (424, 3, 0, 0, 0), "process_madvise": (440, 3, 0, 0, 0, 0), "process_mrelease": (448, 3, 0),
    "kcmp": (312, "os.getppid()", "os.getpid()", 0, 0, 0), "move_pages": (279, "os.getppid()", 0, 0, 0, 0, 0), "migrate_pages": (256, "os.getppid()", 0, 0, 0),
    "affinity of the zygote": (203, "os.getppid()", 8, 0), "affinity": (203, 0, 8, 0), "scheduler": (144, 0, 0, 0), "priority": (141, 0, 0, 5),
    "io priority": (251, 1, 0, 0), "memory policy": (238, 0, 0, 0), "landlock_create_ruleset": (444, 0, 0, 1), "landlock_add_rule": (445, 0, 1, 0, 0),
    "landlock_restrict_self": (446, 0, 0), "seccomp": (317, 0, 0, 0), "tgkill": (234, "os.getpid()", "os.getpid()", 0), "tkill": (200, "os.getpid()", 0),
    "rt_sigqueueinfo": (129, "os.getppid()", 0, 0), "rt_tgsigqueueinfo": (297, "os.getppid()", "os.getppid()", 0, 0), "setsid": (112,), "setpgid": (109, 0, 0),
    "waitid": (247, 0, -1, 0, 5, 0), "personality": (135, 0x400000), "arch_prctl": (158, 0x1002, 0), "modify_ldt": (154, 0, 0, 0), "iopl": (172, 3),
    "ioperm": (173, 0, 1, 1), "set_thread_area": (205, 0), "set_tid_address": (218, 0), "acct": (163, 0), "swapon": (167, b"/x", 0),
    "init_module": (175, 0, 0, b""), "finit_module": (313, 0, b"", 0), "kexec_load": (246, 0, 0, 0, 0), "quotactl": (179, 0, 0, 0, 0), "umask": (95, 0),
    "alarm": (37, 0), "poll": (7, 0, 0, 0), "select": (23, 0, 0, 0, 0, 0), "shmat": (30, 0, 0, 0), "pkey_mprotect": (329, 0, 4096, 7, -1),
    "remap_file_pages": (216, 0, 4096, 0, 0, 0), "mlockall": (151, 1), "mincore": (27, 0, 0, 0), "membarrier": (324, 0, 0, 0), "setfsuid": (122, 0),
    "capget": (125, 0, 0), "setns": (308, 0, 0), "pivot_root": (155, b"/", b"/"), "open_tree": (428, -100, b"/", 0), "fsopen": (430, b"tmpfs", 0),
    "move_mount": (429, 0, 0, 0, 0, 0), "mount_setattr": (442, 0, 0, 0, 0, 0), "clock_settime": (227, 0, 0), "settimeofday": (164, 0, 0), "vhangup": (153,),
    "futex_waitv": (449, 0, 0, 0, 0, 0), "an unknown number": (0x3FFFFFFF,), "limits of the zygote": (302, "os.getppid()", 7, 0, 0),
    "clone as vfork": (56, 0x4111, 0, 0, 0, 0), "clone with other flags": (56, 17, 0, 0, 0, 0), "clone with high flags": (56, 0x101200011, 0, 0, 0, 0),
    "prlimit with a high half": (302, 0x100000000, 7, 0, 0), "sendto with a high address": (44, 4, b"x", 0, 0, 0x7F0000000000, 16),
    "a parent's death that no longer kills": (157, 1, 0, 0, 0, 0), "out-of-band bytes": (44, 4, b"x", 1, 1, 0, 0), "out-of-band bytes taken": (47, 4, 0, 1),
}  # fmt: skip
OTHERS = {  # these fail otherwise, or are as they must be
    "fork": ((56, 0x01200011, 0, 0, 0, 0), "EAGAIN"), "clone3": ((435, b"\0" * 88, 88), "ENOSYS"), "wait4": ((61, -1, 0, 1, 0), "ECHILD"),
    "a copied descriptor": ((72, 0, 0, 9), "EACCES"), "signals to another owner": ((72, 0, 8, 1), "EACCES"), "typing into a terminal": ((16, 0, 0x5412, b"x"), "EACCES"),
    "a lock that lends priority": ((202, 0, 6, 0, 0, 0, 0), "ENOSYS"),
    "executable memory": ((9, 0, 4096, 5, 0x22, -1, 0), "EACCES"), "executable memory with a high half": ((10, 0, 4096, 0x100000004), "EACCES"),
}  # fmt: skip
X86 = pytest.mark.skipif(
    platform.machine() != "x86_64" or not hasattr(ctypes, "CDLL") or platform.system() != "Linux",
    reason="numbers of Linux on x86-64",
)


def _attempt(arguments: tuple[Any, ...]) -> str:
    words = [
        part if isinstance(part, str) else f"ctypes.c_long({part})" if isinstance(part, int) else repr(part)
        for part in arguments
    ]
    return f"attempt(lambda: syscall({', '.join(words)}))"


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    """What each system call got, all made by one program."""
    import ast

    calls = CALLS | {name: arguments for name, (arguments, _) in OTHERS.items()}
    body = ", ".join(f"{name!r}: {_attempt(arguments)}" for name, arguments in calls.items())
    source = f"_syscall = libc.syscall\ndef syscall(number, *args):\n    ctypes.set_errno(0)\n    value = _syscall(number, *args)\n    return errno.errorcode[ctypes.get_errno()] if value == -1 else value\ndef f():\n    return repr({{{body}}})\n"
    (result,) = judge(source, tests=tuple(f"assert False, f()[{at}:{at + 250}]" for at in range(0, 6_000, 250)))
    return dict(ast.literal_eval("".join(test.message.removeprefix("AssertionError: ") for test in result.tests)))


@X86
@pytest.mark.parametrize("name", CALLS)
def test_the_kernel_refuses_further_system_calls(name: str, answers: dict[str, Any]) -> None:
    assert answers[name] == "EPERM"


@X86
@pytest.mark.parametrize("name", OTHERS)
def test_some_fail_in_their_own_way(name: str, answers: dict[str, Any]) -> None:
    assert answers[name] == OTHERS[name][1]


@X86
def test_the_other_tables_of_system_calls_kill_even_in_tests() -> None:
    """x32 by its bit, and the 32-bit table by the first `int 0x80` that stands anywhere in libc's code."""
    libc = ctypes.CDLL(None)
    here = ctypes.cast(libc.getpid, ctypes.c_void_p).value or 0
    away = None
    for line in Path("/proc/self/maps").read_text().splitlines():
        low, high = (int(part, 16) for part in line.split()[0].split("-"))
        if (
            "x" in line.split()[1]
            and low <= here < high
            and (at := ctypes.string_at(low, high - low).find(b"\xcd\x80")) >= 0
        ):
            away = low + at - here
    sources = ["def f():\n    return syscall(0x40000000 + 39)\n"]
    if away is not None:
        sources.append(
            f"def f():\n    at = ctypes.cast(libc.getpid, ctypes.c_void_p).value + {away}\n    ctypes.CFUNCTYPE(ctypes.c_int)(at)()\n"
        )
    for result in judge(*sources):
        assert (result.status, result.error_message) == ("killed", "the program's process ended by itself (SIGSYS)")


# What is left when a recipe allows numpy: the real os is one attribute away
NUMPY = {
    "a file by builtins": ("np.ma.core.builtins.open('/etc/passwd')", "PermissionError"),
    "a file by os": ("os.open('/etc/passwd', 0)", "PermissionError"),
    "a file written": ("np.save('/tmp/pairwright-numpy', np.zeros(1))", "PermissionError"),
    "a folder by os": ("os.listdir('/')", "PermissionError"),
    "a process by os": ("os.fork()", "BlockingIOError|SIGSYS"),
    "another program by os": ("os.execv('/bin/true', ['true'])", "SIGSYS"),
    "a process by posix_spawn": (
        "os.posix_spawn('/bin/true', ['true'], {})",
        "BlockingIOError|OSError|SIGSYS|PermissionError",
    ),
    "a signal by os": ("os.kill(os.getppid(), 9)", "SIGSYS"),
    "a pipe by os": ("os.pipe()", "OSError|SIGSYS"),
}


@pytest.mark.skipif(platform.system() != "Linux", reason="the walls are Linux's")
@pytest.mark.parametrize("name", NUMPY)
def test_the_walls_stand_where_numpy_is_allowed(name: str) -> None:
    pytest.importorskip("numpy")
    attempt, stopped_by = NUMPY[name]
    source = f"import numpy as np\nos = np.testing.extbuild.os\nprint(callable(os.system))\n{attempt}\nprint('got')"
    found = execute(source, allow_modules=frozenset({"numpy"}))
    assert b"got" not in found.stdout, found
    assert found.status in ("exception", "killed"), found
    assert any(part in f"{found.error_type} {found.error_message}" for part in stopped_by.split("|")), found
    assert found.status == "killed" or found.stdout == b"True\n", "numpy no longer leads to os: find another way"


def test_the_words_of_a_run_are_fit_for_a_terminal() -> None:
    """error_message, rule and trace come from the program, and are printed."""
    found = execute("getattr(1, '__\\x1b[2J\\ud800__')")
    assert found.violations[0].message == "the attribute __\\x1b[2J\\ud800__ may not be read"
    found = execute("raise ValueError('\\x1b[2J\\ud800')")
    assert found.error_message == "\\x1b[2J\\ud800"
    found = execution._assemble({0: b'[0, ["error", "E", "", [[Infinity, "f"]]]]'}, {}, Limits())
    assert (found.status, found.error_type) == ("killed", None), "a line that is no number is no traceback of ours"


def test_names_and_messages_are_cut_where_they_are_read() -> None:
    """They stand in the verdict on every test: ten of ten megabytes were more than the supervisor takes."""
    source = "E = type('a' * 10_000_000, (Exception,), {})\ndef f(x): raise E()"
    tests = tuple(Test(f"assert f({number}) == 1") for number in range(10))
    program = Program(source, "function", tests, "f")
    stdio = Program(source + "\nf(1)", "stdio", tests[:1])
    for result in run_many([program, stdio], workers=1):
        assert (result.status, len(result.error_type or "")) == ("exception", 500 if result.num_tests == 10 else 300)
    found = execute(source + "\nf(1)")
    assert (found.status, len(found.error_type or "")) == ("exception", 500)
    forged = FRAMES + "frame(0, b'[\"x\",0,\"refused\",\"' + b'a' * 10_000_000 + b'\"]')\nos._exit(0)"
    (result,) = run_with([Program(forged, "function", tests, "f")], Settings(language_layer=False), 1)
    assert (result.status, len(result.error_message or "")) == ("refused", 500)


def test_answers_that_the_judge_cannot_hold_are_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test may keep many answers, and so run out of memory over the next: no protocol violation, and evidence."""

    class Answers:
        def receive(self) -> tuple[int, bytes]:
            return 0, b"[]"

    def exhausted(data: bytes) -> None:
        raise MemoryError

    monkeypatch.setattr(remote, "from_bytes", exhausted)
    link = remote.Link(Answers())  # type: ignore[arg-type]
    with pytest.raises(handles.Ended):
        link.start()
    assert link.final == ("output_limit", "results that are more than the judge can hold", "")


def test_the_words_of_an_exception_are_cut_before_anything_is_made_of_them() -> None:
    """One list in many places crosses once, and written out may be as long as half of what the judge can hold."""
    shared = ["x" * 1000]
    assert len(_text(ValueError([shared] * 1000))) == 300


def test_a_judge_without_memory_blames_what_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*parts: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("sandbox.judge._run_tests", exhausted)
    ours, theirs = socket.socketpair()
    control, descriptor = socket.socketpair()
    job = {"kind": "function", "entry_point": "f", "setup": "", "tests": ("f()",) * 2, "nonce": bytes(8), "cap": 100}
    with ours, theirs, descriptor:
        one = Judge(control.detach())
        verdict = one._verdict(one._turn(job | {"hurried": True, "hollow": False, "required": ()}, theirs.fileno()))
    assert [status for status, *_ in verdict["tests"]] == ["output_limit"] * 2 and verdict["spoilt"]


class _Replies:
    """The program's side of a link: these, one after the other."""

    def __init__(self, *replies: bytes) -> None:
        self.replies = iter(enumerate(replies))

    def send(self, number: int, payload: bytes) -> None: ...

    def receive(self) -> tuple[int, bytes]:
        return next(self.replies)


_BEGUN = b'["v",0,null,[],[]]'


def test_what_takes_long_to_read_is_not_read_to_see_whether_tests_end_without_it() -> None:
    """Who broke out says the same at no cost: a hundred of these would take longer than tests may, and blame them."""
    long = b',["L"' + b",[]" * 10_000 + b"]"
    link = remote.Link(_Replies(_BEGUN, b'["v",0' + long + b",[],[]]", b'["e",0,["E"],""' + long + b",[],[],null]"))  # type: ignore[arg-type]
    link.hollow = True
    link.start()
    assert link.ask("len") is None
    with pytest.raises(RuntimeError, match="something long"):
        link.ask("len")
    assert link.steps == 0 and not link.final


def test_a_reply_that_asks_for_a_handle_while_it_is_read_is_no_test_of_operators() -> None:
    """A range of handles is what no packer makes, even of a class that the test names."""
    handle = b'["v",0,["h",0,"P"],[],[]]'
    said = (_BEGUN, handle, b'["v",0,["N",["h",0,"P"],1,1],[],[]]', b'["v",0,true,[],[]]')
    link = remote.Link(_Replies(*said))  # type: ignore[arg-type]
    link.start()
    link.find("P")
    with pytest.raises(handles.Ended):
        link.find("P")
    assert link.final is not None and link.final[0] == "killed", link.final


# What happens between a program's return and the verdict: source, tests, statuses, part of the reason.
OWN_HASH = "class K:\n    on = False\n    def __hash__(self):\n        if K.on: %s\n        return 1\ndef f(d):\n    d[K()] = 1\n    K.on = True\n    return 1"
ASKED = "from collections import OrderedDict\nd = OrderedDict(a=1)\nassert f(d) == 2"
BETWEEN: dict[str, tuple[str, list[str], str, str]] = {
    "a list of a tuple and a number": ("def f(x): return len(x)", ["x = [(1, 2), 5]\nassert f(x) == 2"], "passed", ""),
    "a tuple replaced by a number": ("def f(x):\n    x[0] = 5\n    return 1", ["x = [(1, 2), (3, 4)]\nassert f(x) == 1\nassert x == [5, (3, 4)]"], "passed", ""),
    "a tuple replaced by what has no length": ("class L:\n    def __len__(self): raise ValueError\ndef f(x):\n    x[0] = L()\n    return 1", ["x = [(1, 2)]\nassert f(x) == 2"], "wrong", ""),
    "a key that fails when the argument is looked at": (OWN_HASH % "raise ValueError('late')", [ASKED], "exception", "ValueError: late"),
    "a key that never ends": (OWN_HASH % "\n            while True: pass", [ASKED], "step_limit", "steps"),
    "an hour of 255": ("import datetime\ndef f(): return datetime.datetime(b'\\x07\\xe5\\x01\\x01\\xff\\xff\\xff\\x00\\x00\\x00')", ["assert f() == 1"], "exception", "ValueError: hour must be"),
    "a year of 0": ("import datetime\ndef f(): return datetime.date(b'\\x00\\x00\\x01\\x01')", ["assert f() == 1"], "exception", "ValueError: year 0"),
    "a minute of 255": ("import datetime\ndef f(): return datetime.time(b'\\x01\\xff\\x01\\x00\\x00\\x00')", ["assert f() == 1"], "exception", "ValueError: minute must be"),
    "a character before the start of the text": ("class E(UnicodeDecodeError):\n    def __str__(self): return 'mine'\ndef f(): raise E('utf-8', b'abc', -10**12, 1 - 10**12, '')", ["assert f() == 1"], "exception", "E: mine"),
    "a character within the text": ("def f(): return b'\\xff'.decode()", ["try: f()\nexcept UnicodeDecodeError as error: assert error.start == 0\nelse: assert False"], "passed", ""),
    "a function under test that is none": ("f = 5\ndef g(h): return 1", ["assert g(f) == 1"], "wrong", "f is no function"),
    "a text that is no literal": ("def f(): return '('", ["import ast\nassert ast.literal_eval(f()) == [1]"], "wrong", "SyntaxError"),
    "attributes called as a handle's own": ("class N: pass\ndef f():\n    n = N()\n    n._link = n._number = n._label = 7\n    return n", ["n = f()\nassert n._link == n._number == n._label == 7"], "passed", ""),
    "the program after them": ("def f(): return 1", ["assert f() == 1"], "passed", ""),
}  # fmt: skip


@pytest.fixture(scope="module")
def judged_between() -> dict[str, Result]:
    programs = [
        Program(source, "function", tuple(map(Test, tests)), "f", key=name)
        for name, (source, tests, _, _) in BETWEEN.items()
    ]
    return {result.key: result for result in run_many(programs, limits=LIMITS, workers=1)}


@pytest.mark.parametrize("name", BETWEEN)
def test_an_answer_on_its_way_is_the_programs_own_affair(name: str, judged_between: dict[str, Result]) -> None:
    *_, status, reason = BETWEEN[name]
    result = judged_between[name]
    assert result.status == status and reason in (result.error_message or ""), result


def test_what_a_test_sets_for_the_interpreter_is_gone_for_the_next_program() -> None:
    setup = (
        "import decimal, sys, warnings\ndecimal.getcontext().prec = 2\nsys.setrecursionlimit(5000)\n"
        "sys.set_int_max_str_digits(0)\nwarnings.simplefilter('error')"
    )
    test = (
        "import decimal, sys, warnings\nf()\n"
        "assert False, (decimal.getcontext().prec, sys.getrecursionlimit(), sys.get_int_max_str_digits(), "
        "[one[0] for one in warnings.filters[:1]])"
    )
    source = "def f(): return 1"
    slot = Slot(Settings(limits=LIMITS))
    try:
        setting = slot.judge(Program(source, "function", (Test(test),), "f", setup))
        after = slot.judge(Program(source, "function", (Test(test),), "f"))
    finally:
        slot.close()
    assert setting.error_message == "AssertionError: (2, 5000, 0, ['error'])"
    assert after.error_message in (
        "AssertionError: (28, 1000, 4300, ['default'])",
        "AssertionError: (28, 1000, 4300, ['ignore'])",
    )


def test_the_judge_keeps_nothing_that_a_program_before_gave() -> None:
    """Big answers of one would otherwise leave no memory for those of the next of its chunk."""

    class Answers:
        def receive(self) -> tuple[int, bytes]:
            return 0, b'["e",0,["ValueError"],"",[["S",1]],[],[],null]'

    link = remote.Link(Answers())  # type: ignore[arg-type]
    gc.disable()  # what holds itself would be found in the end, but not when the next program needs it
    try:
        link.start()
    except ValueError as error:
        given = weakref.ref(error.args[0])
    try:
        assert link.taken > 0 and given() is None
    finally:
        gc.enable()


def test_a_channel_that_is_closed_keeps_no_frame() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        Channel(ours.fileno(), bytes(8), 1 << 20).send(1, b"x" * 1000)
        channel = Channel(theirs.detach(), bytes(8), 1 << 20)
        assert channel.receive() == (1, b"x" * 1000)
        channel.close()
    assert not channel._buffer


def test_who_has_more_to_ask_does_not_wait_for_more_than_one_answer() -> None:
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, READ)
    channel = Channel(theirs.fileno(), bytes(8), 1 << 20)
    channel.greedy = False
    received: list[Any] = []
    asking = threading.Thread(target=lambda: received.append(channel.receive()), daemon=True)
    asking.start()
    with ours, theirs:
        Channel(ours.fileno(), bytes(8), 1 << 20).send(1, b"x")
        asking.join(60)
        assert received == [(1, b"x")]


@pytest.mark.parametrize(
    ("test", "hurried", "greedy"), [("f(1)", True, True), ("f(1)", False, False), ("f(f(1))", True, False)]
)
def test_a_judge_reads_ahead_only_where_it_has_asked_for_everything(test: str, hurried: bool, greedy: bool) -> None:
    ours, theirs = socket.socketpair()
    control, descriptor = socket.socketpair()
    job = {"kind": "function", "entry_point": "f", "setup": "", "tests": (f"assert {test} == 1",), "nonce": bytes(8)}
    with ours, theirs, descriptor:
        turn = Judge(control.detach())._turn(
            job | {"cap": 100, "hurried": hurried, "hollow": False, "required": ()}, theirs.fileno()
        )
        assert (turn.whole, turn.channel.greedy) == (greedy, greedy)


def test_two_replies_to_one_program_end_that_program_only() -> None:
    """An answer that a test evaluates is the judge's own code."""
    answer = (
        "import sys, os\nframe = sys._getframe()\nwhile 'replies' not in frame.f_locals: frame = frame.f_back\n"
        "sys.modules['sandbox.wire'].send_up(frame.f_locals['replies'].control, [{}, {}])\nos._exit(0)"
    )
    talks = Program(f"def f(): return {answer!r}", "function", (Test("assert exec(f()) is None"),), "f")
    right = Program("def f(): return 1", "function", (Test("assert f() == 1"),), "f")
    one, other = run_many([talks, right], limits=LIMITS, workers=1)
    assert one.status == "infra_error" and "2 replies to one program" in str(one.error_message), one
    assert other.status == "passed"


def test_who_broke_out_does_not_say_that_the_program_before_was_refused() -> None:
    forging = (
        "import sys\nframe = sys._getframe()\nwhile 'replies' not in frame.f_locals: frame = frame.f_back\n"
        "for reply in frame.f_locals['replies'].waiting: reply['refused'] = 'so there'\ndef f(): return 1"
    )
    tests = (Test("assert f() == 1"),)
    slot = Slot(Settings(limits=LIMITS, fast=True, language_layer=False, audit_every=1000))
    try:
        first, _ = slot.judge_many([Program(one, "function", tests, "f") for one in ("def f(): return 1", forging)])
    finally:
        slot.close()
    assert first.status == "passed", first


def test_the_words_of_a_forged_ending_are_cut() -> None:
    program = Program("", "function", (Test(""),), "f")
    result = assemble(program, [Round(ending={"syntax": "a" * 10_000_000, "message": "b"})], Limits())
    assert (len(result.error_message or ""), len(result.error_type or "")) == (1000, 1000)


@pytest.mark.parametrize(
    ("left", "stays"),
    [
        ("5", True),
        ("'a' * 1000", True),
        ("[]", False),
        ("print", False),
        ("lambda: 1", False),
        ("type(int)('A', (int,), {'__slots__': ()})(3)", False),
        ("iter([])", False),
    ],
)
def test_a_process_in_which_an_object_is_left_that_may_hold_others_runs_no_other(left: str, stays: bool) -> None:
    asks = "import heapq\nprint(hasattr(heapq.merge, 'note'))"
    found = after(f"import heapq\nheapq.merge.note = {left}", asks, str(stays))
    assert found.status == "passed", found


@pytest.mark.parametrize(
    "source",
    [
        "import collections\nclass A:\n    def __init__(self): self.x = collections.Counter([1])\na = A()\na.self = a",
        "import re, json\nprint(re.sub('a(b)', r'\\1', 'ab'), json.dumps({'a': [1]}), json.loads('[1.5]'))",
        "from typing import List, Dict, Optional\ndef f(x: List[int]) -> Optional[Dict[str, List[int]]]: return {}\nf([])",
        "import functools\n@functools.lru_cache(None)\ndef f(n): return n if n < 2 else f(n - 1) + f(n - 2)\nprint(f(50))",
        "import random, datetime, statistics, string, time\n"
        "print(random.random(), datetime.date(2020, 1, 1).strftime('%A'), statistics.mean([1, 2]), time.time())\n"
        "print(string.capwords('a b'), datetime.datetime.strptime('1', '%d'))",
        "import fractions, copy, bisect, heapq, itertools, operator\n"
        "print(fractions.Fraction('1/3') + 1, copy.deepcopy([[1]]), bisect.bisect([1], 1), operator.itemgetter(0)([1]))",
        "try:\n    {}[1]\nexcept KeyError as error:\n    kept = error\n    self = [kept]\n    self.append(self)",
        "def f():\n    def g(): return g\n    return g\nx = [f() for _ in range(9)]\nprint(isinstance(x, list))",
        "x = (i for i in range(3))\nnext(x)\ny = map(str, x)\nz = [y]\nz.append(z)",
        "1 / 0",
    ],
)
def test_an_ordinary_program_leaves_no_object(source: str) -> None:
    """Or each would cost the next one a process: seen by what stays as long as the process does."""
    assert not examine(source)[1]
    sources = ("import heapq\nheapq.merge.note = 5", source, source + "\n", "import heapq\nprint(heapq.merge.note)")
    programs = [Program(one, "stdio", (Test(stdout="5"),)) for one in sources]
    found = list(run_with(programs, Settings(limits=LIMITS, fast=True, audit_every=10**9), workers=1))
    assert found[-1].status == "passed", found

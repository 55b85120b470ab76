# ruff: noqa: E501  (one attack a line)
"""Attacks on the language layer, each with the rule, guard or limit that stops it.

`refused` attacks name the rule that must be among those that fired, and a part of the message that names the culprit,
so that a test goes red when its own rule is deleted even though another one would still refuse the program.
"""

import pytest

from tests.untrusted import Planted, run

REFUSED: list[tuple[str, str, str]] = []  # source, rule, part of the message
CONTAINED: list[tuple[str, str, str]] = []  # source, status, output or message


def refused(rule: str, culprit: str, source: str) -> None:
    REFUSED.append((source, rule, culprit))


def contained(status: str, found: str, source: str) -> None:
    CONTAINED.append((source, status, found))


# Walks over the object graph
refused("attribute", "__subclasses__", "print(().__class__.__base__.__subclasses__())")
refused("attribute", "__subclasses__", "object.__subclasses__()")
refused("attribute", "__subclasses__", "getattr(object, '__subclasses__')()")
refused("attribute", "__subclasses__", "getattr(object, '__sub' + 'classes__')()")
refused("attribute", "__subclasses__", "class S(str): pass\ngetattr(object, S('__subclasses__'))()")
refused("attribute", "__globals__", "def f(): pass\nf.__globals__")
refused("attribute", "__globals__", "print.__globals__")
refused("attribute", "__code__", "(lambda: 0).__code__")
refused("attribute", "__closure__", "(lambda: 0).__closure__")
refused("attribute", "__defaults__", "def f(a=1): pass\nf.__defaults__")
refused("attribute", "__self__", "print.__self__")
refused("attribute", "__self__", "[].append.__self__")
refused("attribute", "__func__", "class A:\n    def f(self): pass\nA().f.__func__")
refused("attribute", "__builtins__", "(lambda: 0).__builtins__")
refused("attribute", "__traceback__", "try: 1 / 0\nexcept Exception as e: e.__traceback__.tb_frame")
refused("attribute", "tb_frame", "def f(t): return t.tb_frame")
refused("attribute", "f_back", "def f(t): return t.f_back.f_globals")
refused("attribute", "gi_frame", "g = (i for i in [1])\ng.gi_frame")
refused("attribute", "gi_code", "(i for i in [1]).gi_code")
refused("attribute", "cr_frame", "async def f(): pass\nf().cr_frame")
refused("attribute", "ag_frame", "async def f(): yield\nf().ag_frame")
refused("attribute", "co_consts", "def f(c): return c.co_consts")
refused("attribute", "gi_frame", "def g(): yield\nprint(getattr(g(), 'gi_frame'))")
refused("attribute", "__loader__", "import math\nmath.__loader__")
refused("attribute", "__spec__", "import math\nmath.__spec__")
refused("attribute", "__dict__ of a module", "import math\nmath.__dict__")
refused("attribute", "__dict__ of a module", "import math\nvars(math)")
refused("attribute", "__dict__ of dict", "dict.__dict__")
refused("attribute", "__dict__ of str", "vars(str)['format']")
refused("attribute", "__reduce_ex__", "[].__reduce_ex__(2)")
refused("attribute", "__getstate__", "(1).__getstate__()")
refused("attribute", "__get__", "(lambda: 0).__get__(1)")
refused("attribute", "__module__", "class A: pass\nA.__module__ = 'os'")
refused("attribute", "__class__", "class A: pass\nclass B: pass\na = A()\na.__class__ = B")
refused("attribute", "__dict__", "class A: pass\nA().__dict__ = {}")
refused("attribute", "__code__", "def f(): pass\ndef g(): pass\nf.__code__ = g.__code__")
refused("attribute", "__bases__", "class A: pass\nA.__bases__ = (int,)")
refused("attribute", "__annotations__", "class A:\n    x: int\nA.__annotations__ = {}")
refused(
    "attribute", "__globals__", "class R:\n    def __radd__(self, o): print(o)\ndef f(): pass\nf.__globals__ += R()"
)
refused("attribute", "__dict__", "class R:\n    def __ror__(self, o): print(o)\ndef f(): pass\nf.__dict__ |= R()")
refused("attribute", "__subclasshook__", "object.__subclasshook__")

# Strings that name attributes
refused("attribute", "__class__", "'{0.__class__}'.format(1)")
refused("attribute", "__class__", "'{0.__class__.__base__}'.format(1)")
refused("attribute", "__globals__", "def f(): pass\n'{x.__globals__}'.format(x=f)")
refused("attribute", "__class__", "'{x.__class__}'.format_map({'x': 1})")
refused("attribute", "__class__", "'{:{x.__class__}}'.format(1, x=2)")
refused("attribute", "__class__", "s = '{0.__cla' + 'ss__}'\ns.format(1)")
refused("attribute", "__class__", "class S(str): pass\nS('{0.__class__}').format(1)")
refused(
    "attribute", "__class__", "class S(str):\n    def f(self, x): return super().format(x)\nS('{0.__class__}').f(1)"
)
refused("attribute", "__class__", "class S(str): pass\nS.format('{0.__class__}', 1)")
refused("attribute", "__class__", "class S(str):\n    g = str.format\nS('{0.__class__}').g(1)")
refused("attribute", "__class__", "list(map(str.format, ['{0.__class__}'], [1]))")
refused("attribute", "__class__", "getattr('{0.__class__}', 'format')(1)")
refused("attribute", "__class__", "import operator\noperator.methodcaller('format', 1)('{0.__class__}')")
refused("attribute", "__class__", "import operator\noperator.attrgetter('format')('{0.__class__}')(1)")
refused("attribute", "__subclasses__", "import operator\noperator.attrgetter('__base__.__subclasses__')(int)()")
refused("attribute", "__subclasses__", "from operator import methodcaller\nmethodcaller('__subclasses__')(object)")
refused(
    "attribute", "__globals__", "from functools import partial\nlist(map(partial(getattr, print), ['__globals__']))"
)
refused("module-name", "string.Formatter", "import string\nstring.Formatter().format('{0.__class__}', 1)")
refused("module-name", "string.Formatter", "from string import Formatter")
refused("module-name", "collections.UserString", "from collections import UserString")
refused("attribute", "obj of an AttributeError", "try: print.x\nexcept AttributeError as e: e.obj")
refused("attribute", "obj of an AttributeError", "try: print.x\nexcept AttributeError as e: getattr(e, 'obj')")
refused(
    "attribute",
    "obj may not be read by a pattern",
    "try: print.x\nexcept Exception as e:\n    match e:\n        case AttributeError(obj=o): print(o)",
)
refused("attribute", "__globals__", "match print:\n    case object(__globals__=g): print(g)")
refused("attribute", "format may not be read by a pattern", "match '{0.__class__}':\n    case str(format=f): f(1)")
refused(
    "special-name",
    "__match_args__",
    "class A:\n    __match_args__ = ('__globals__',)\nmatch print:\n    case A(g): pass",
)
refused("special-name", "__match_args__", "n = '__glo' + 'bals__'\nclass A:\n    __match_args__ = (n,)")
refused("special-name", "__match_args__", "class S(str): pass\nclass A:\n    __match_args__ = (S('x'),)")
refused("attribute", "__match_args__", "class A: pass\nA.__match_args__ = ('__dict__',)")
refused("attribute", "__match_args__", "class A: pass\nsetattr(A, '__match_args__', ('__dict__',))")

# Setting by string
refused("attribute", "__code__", "def f(): pass\nsetattr(f, '__code__', 1)")
refused("attribute", "__class__", "class A: pass\nsetattr(A(), '__class__', A)")
refused("attribute", "__class__", "class A: pass\nobject.__setattr__(A(), '__class__', A)")
refused("attribute", "__class__", "class A:\n    def go(self): super().__setattr__('__class__', A)\nA().go()")
refused("attribute", "__del__", "class A: pass\nA.__del__ = print")
refused("attribute", "__del__", "class A: pass\nsetattr(A, '__del__', print)")
refused("attribute", "__reduce_ex__", "class A: pass\nA.__reduce_ex__ = lambda s, v: (print, ())")
refused("attribute", "__getattribute__", "class A: pass\nA.__getattribute__ = print")
refused("attribute", "__globals__", "object.__getattribute__(print, '__globals__')")
refused("attribute", "__dict__ of a module", "import math\nobject.__getattribute__(math, '__dict__')")
refused("attribute", "__abstractmethods__", "class A: pass\nA.__abstractmethods__ = 1")
refused("builtin", "__builtins__", "globals()['__builtins__'] = {}")
refused("builtin", ".it", "globals()['.it'] = iter(int, 1)")
refused("builtin", "__build_class__", "globals().update(__build_class__=1)")

# Names
refused("name", "__builtins__", "__builtins__")
refused("name", "__builtins__", "def f(): return __builtins__['open']")
refused("name", "__loader__", "__loader__.load_module('os')")
refused("name", "__spec__", "__spec__")
refused("name", "__build_class__", "__build_class__")
refused("name", "__annotations__", "class A:\n    __annotations__['x=1)'] = int")
refused("special-name", "__annotations__", "class A:\n    __annotations__ = {'x': int}")
refused("special-name", "__builtins__", "__builtins__ = {}")
refused("special-name", "__builtins__", "global __builtins__")
refused("special-name", "__builtins__", "import math as __builtins__")
refused("special-name", "__builtins__", "for __builtins__ in [1]: pass")
refused("special-name", "__builtins__", "(__builtins__ := 1)")
refused("special-name", "__builtins__", "def f(__builtins__): pass")
refused("special-name", "__builtins__", "try: pass\nexcept Exception as __builtins__: pass")
refused("special-name", "__builtins__", "match 1:\n    case __builtins__: pass")
refused("special-name", "__builtins__", "match {}:\n    case {**__builtins__}: pass")
refused("special-name", "__import__", "def __import__(*a): pass")
refused("special-name", "__name__", "__name__ = 'os'")

# Special methods that run behind the scenes
refused("special-name", "__del__", "class A:\n    def __del__(self): print('later')")
refused("special-name", "__del__", "class A:\n    __del__ = print")
refused("special-name", "__del__", "class A:\n    __slots__ = ['__' + 'del__']")
refused("special-name", "__reduce__", "class A:\n    def __reduce__(self): return (print, ('x',))")
refused("special-name", "__reduce_ex__", "class A:\n    def __reduce_ex__(self, p): return (print, ('x',))")
refused("special-name", "__reduce_ex__", "class A:\n    __slots__ = ('__reduce_' + 'ex__',)")
refused("special-name", "__getattribute__", "class A:\n    def __getattribute__(self, n): return 1")
refused("special-name", "__instancecheck__", "class A:\n    def __instancecheck__(self, o): return True")
refused("special-name", "__mro_entries__", "class A:\n    def __mro_entries__(self, b): return ()")
refused("special-name", "__prepare__", "class A:\n    def __prepare__(*a): return {}")
refused("special-name", "__class__", "class A:\n    @property\n    def __class__(self): return int")
refused("special-name", "__dict__", "class A:\n    __dict__ = {}")
refused("special-name", "__module__", "class A:\n    __module__ = 'os'")
refused("special-name", "__del__", "type('A', (), {'__del__': print})")
refused("special-name", "__getattribute__", "type('A', (), {'__getattri' + 'bute__': print})")
refused("special-name", "__classcell__", "class A:\n    __classcell__ = 1")
refused("special-name", "__setstate__", "class A:\n    def __setstate__(self, s): pass")
refused("special-name", "__set_name_owner__", "class A:\n    def __set_name_owner__(self): pass")

# Metaclasses
refused("metaclass", "inherit from type", "class M(type): pass")
refused("metaclass", "inherit from type", "class M(type(int)): pass")
refused("metaclass", "inherit from type", "class M(int.__class__): pass")
refused("metaclass", "inherit from type", "from abc import ABC\nclass M(type(ABC)): pass")
refused("metaclass", "inherit from type", "from enum import Enum\nclass M(type(Enum)): pass")
refused("metaclass", "inherit from type", "from abc import ABCMeta\nclass M(ABCMeta): pass")
refused("metaclass", "metaclass of its own", "class A(metaclass=lambda *a: 3): pass")
refused("metaclass", "inherit from type", "type('M', (type,), {})")
refused("module-name", "enum.EnumMeta", "from enum import EnumMeta")
refused("module-name", "types.new_class", "import types\ntypes.new_class('A')")
refused("special-name", "__del__", "from enum import Enum\nEnum('A', {'__del__': 1})")
refused("special-name", "__x__", "from enum import IntFlag\nIntFlag('A', ['__x__'])")
contained(
    "ended",
    "True True True\n",
    "from abc import ABC\nprint(type(int) is type, type(ABC) is type, int.__class__ is type)",
)
contained("TypeError", "", "from abc import ABCMeta\nABCMeta('X', (), {'__del__': print})")
contained("TypeError", "", "type(type)('M', (), {}).mro(type(int))")

# Modules
refused("module", "subprocess", "import subprocess")
refused("module", "subprocess", "def f():\n    import subprocess\nf()")
refused("module", "ctypes", "from ctypes import *")
refused("module-name", "socket.socket", "import socket as s\ns.socket()")
refused("module-name", "socket.socket", "from socket import socket\nsocket()")
refused("module", "importlib", "import importlib.util")
refused("module", "_io", "import _io")
refused("module", "posix", "from posix import *")
refused("module", "numpy", "import numpy as np")
refused("module", "from pathlib import *", "from pathlib import *")
refused("module-name", "xml.etree.ElementTree.parse", "import xml.etree.ElementTree as ET\nET.parse('x')")
refused("special-name", "_ignore_", "from enum import Enum\nEnum('A', '_ignore_')")
refused("special-name", "gi_frame", "from enum import Enum\nEnum('A', 'gi_frame')")
refused("file", "fileinput", "import fileinput\nfileinput.input(['/etc/passwd'])")
refused("module-name", "gc.get_objects", "import gc\ngc.get_objects()")
refused("module-name", "resource.prlimit", "import resource\nresource.prlimit(0, 0)")
refused("module-name", "traceback.walk_stack", "import traceback\ntraceback.walk_stack(None)")
refused("module", "subprocess", "__import__('subprocess')")
refused("module-name", "os.system", "import os\nos.system('id')")
refused("module-name", "os.system", "from os import system")
refused("module-name", "os.system", "getattr(__import__('os'), 'system')('id')")
refused("module-name", "os.listdir", "import os\nhasattr(os, 'listdir')")
refused("module-name", "sys.modules", "import sys\nsys.modules['os']")
refused("module-name", "sys._getframe", "import sys\nsys._getframe()")
refused("module-name", "sys.settrace", "import sys\nsys.settrace(print)")
refused("module-name", "os.path.exists", "import os\nos.path.exists('/etc/passwd')")
refused("module-name", "os.path.exists", "from os.path import exists")
refused("module-name", "os.path.os", "import os\nos.path.os.system")
refused("module-name", "random._os", "import random\nrandom._os")
refused("module-name", "random.SystemRandom", "from random import SystemRandom")
refused("module-name", "statistics.sys", "import statistics\nstatistics.sys")
refused("module-name", "statistics.sys", "from statistics import sys")
refused("module-name", "re.enum", "import re\nre.enum.sys")
refused("module-name", "collections._sys", "import collections as c\nc._sys.modules")
refused("module-name", "json.codecs", "import json\njson.codecs.builtins.open")
refused("module-name", "io.FileIO", "import io\nio.FileIO('/etc/passwd')")
refused("module-name", "io.open_code", "from io import open_code")
refused("module-name", "typing.ForwardRef", "from typing import ForwardRef")
refused("module-name", "typing.sys", "import typing\ntyping.sys")
refused("module-name", "types.CodeType", "import types\ntypes.CodeType")
refused("module-name", "types.FrameType", "from types import FrameType")
refused("module-name", "dataclasses.make_dataclass", "from dataclasses import make_dataclass")
refused(
    "module-name",
    "functools.wraps takes one",
    "import functools\nfunctools.wraps(print, updated=['__globals__'])(lambda: 0)",
)
refused(
    "module-name",
    "functools.update_wrapper takes two",
    "import functools\ndef f(): pass\nfunctools.update_wrapper(f, print, ['__globals__'])",
)
refused("module-name", "pathlib.Path", "import pathlib\npathlib.Path('/etc/passwd').read_text()")
refused("module-name", "pickle.loads", "from pickle import loads\nloads(b'')")
refused("module-name", "pathlib.Path", "from pathlib import Path\nPath.home()")
refused("module-name", "logging.Handler", "from logging import Handler\nclass H(Handler): pass")
refused("module-name", "pathlib.Path", "from pathlib import Path\nisinstance(1, Path)")
refused("module-name", "logging.sys", "import logging\nlogging.sys.modules")
refused("module-name", "unittest.mock", "from unittest import mock\nmock.patch")
refused(
    "attribute",
    "get_stack of a Task",
    "import asyncio\nasync def f(): asyncio.create_task(f()).get_stack()\nasyncio.run(f())",
)
refused("attribute", "run_in_executor of a EventLoop", "import asyncio\nasyncio.new_event_loop().run_in_executor")
contained(
    "ended",
    "F .clock\n",
    "import time\nclass F(float):\n    def __radd__(self, other): return self\ntime.sleep(F(1))\nprint('F' if type(time.time()) is float else 'T', '.clock')",
)
contained(
    "TypeError",
    "",
    "import asyncio\nclass A:\n    def __init__(self): self.__dict__['se' + 'nd'] = lambda sent: None\n"
    "async def main(): await asyncio.gather(A())\nasyncio.run(main())",
)
refused("waiting", "decades", "import asyncio\nasyncio.run(asyncio.sleep(1e17))")
refused("attribute", "_target of a Own", "import threading\nclass Own(threading.Thread): pass\nOwn()._target")
refused("special-name", "derived from Future", "import asyncio\nclass Own(asyncio.Future): pass")
refused(
    "special-name",
    "derived from Future",
    "import asyncio\nclass Any:\n    def __init_subclass__(cls): pass\nclass Own(Any, asyncio.Future): pass\n"
    "async def main(): await Own()\nasyncio.run(main())",
)
contained(
    "output_limit",
    "",
    "class B:\n    def __str__(self): raise ValueError\nfor i in range(30):\n    try: print('x' * 10**5, B())\n    except ValueError: pass",
)
refused("attribute", "mutex of a Queue", "import queue\nqueue.Queue().mutex")
refused("attribute", "_put of a queue", "import queue\nclass Q(queue.Queue):\n    def _put(self, item): pass\nQ()")
refused("attribute", "_get of a queue", "import asyncio\nclass Q(asyncio.Queue):\n    def _get(self): pass\nQ()")
refused("module-name", "asyncio.subprocess", "import asyncio\nasyncio.subprocess")
refused(
    "module-name",
    "get_type_hints would evaluate",
    "import typing\ndef f(x: '().__class__'): pass\ntyping.get_type_hints(f)",
)
refused(
    "module-name",
    "singledispatch.register needs",
    "from functools import singledispatch\n@singledispatch\ndef f(x): pass\n@f.register\ndef g(x: '().__class__.__base__'): pass",
)
refused(
    "attribute",
    "_evaluate",
    "from typing import List, get_args\nget_args(List['print(1)'])[0]._evaluate({}, {}, frozenset())",
)
refused(
    "attribute", "_evaluate", "from typing import List, get_args\ngetattr(get_args(List['print(1)'])[0], '_evaluate')"
)
refused(
    "attribute", "__forward_code__", "from typing import List, get_args\nget_args(List['print(1)'])[0].__forward_code__"
)
refused("attribute", "_sandbox_output", "import sys\nsys.stdout._sandbox_output.limit = 10 ** 12")

# Source written and run by the library from the program's names
refused("special-name", "__annotations__", "type('A', (), {'__annotations__': {'x=print(1)': int}})")
contained(
    "AttributeError",
    "",
    """
from dataclasses import dataclass, field
f = field(default=1)
@dataclass
class A:
    x: int = f
f.name = 'x=print("injected")'
@dataclass
class B(A): y: int = 2
""",
)
contained(
    "FrozenInstanceError",
    "",
    """
from dataclasses import dataclass, fields
@dataclass
class A: x: int = 1
fields(A)[0].name = 'x=print("injected")'
""",
)
refused(
    "special-name",
    "may not be a descriptor",
    """
from dataclasses import dataclass, field
class D:
    def __get__(self, obj, owner): print(vars(owner)); return 1
@dataclass
class A:
    x: int = field(default=1)
    y: int = D()
""",
)
contained("ValueError", "", "from collections import namedtuple\nnamedtuple('A', ['x, y=print(1)'])")
contained("ValueError", "", "from collections import namedtuple\nnamedtuple('A', ['__class__'])")
contained("ValueError", "", "from typing import NamedTuple\nNamedTuple('A', [('x=print(1)', int)])")
contained(
    "TypeError",
    "",
    """
from collections import namedtuple
class S(str):
    def isidentifier(self): return True
    def __str__(self): return self
namedtuple(S('A'), [S('x')])
""",
)

refused(
    "special-name",
    "_sandbox_options may not be defined",
    "from dataclasses import field\nclass G(field):\n    @property\n    def _sandbox_options(self): return {'default': 1}",
)
refused(
    "module-name",
    "may not be inherited from",
    "from dataclasses import field\nclass G(field): pass",
)
refused("special-name", "_sandbox_x may not be defined", "type('A', (), {'_sandbox_' + 'x': 1})")
contained(
    "TypeError",
    "",
    "from dataclasses import dataclass, field\nclass A: y = field(default=1)\ndataclass(A)",
)

# What copy sets, and what an object's dictionary takes
PLANTED = """
import copy
class A: pass
o = Planted(%s=%s)
%s
"""
for name in ("__match_args__", "__del__", "__class__", "__code__"):
    state = f"lambda protocol: (lambda: A, (), (None, {{'{name}': ('__globals__',)}}))"
    refused("attribute", f"copy may not set the attribute {name}", PLANTED % ("reduce_ex", state, "copy.deepcopy(o)"))
for state in ("S()", "(None, S())"):
    refused(
        "attribute",
        "copy may not set the attribute __match_args__",
        "class S:\n    def __deepcopy__(self, memo): return {'__match_args__': ('__globals__',)}\n"
        + PLANTED % ("reduce_ex", f"lambda protocol: (lambda: A, (), {state})", "copy.deepcopy(o)"),
    )
refused(
    "attribute",
    "from a plain dict only",
    "class S(dict):\n    def __iter__(self): return iter(())\n"
    + PLANTED % ("reduce_ex", "lambda protocol: (lambda: A, (), (None, S(x=1)))", "copy.copy(o)"),
)
refused("attribute", "__reduce_ex__ may not be set", "import types\ntypes.SimpleNamespace(**{'__reduce_ex__': print})")
refused("attribute", "__deepcopy__ may not be set", "import types\ntypes.SimpleNamespace(**{'__deepcopy__': print})")
refused("attribute", "__reduce_ex__ may not be set", "class A: pass\na = A()\na.__dict__['__reduce_ex__'] = print")
refused("attribute", "__reduce_ex__ may not be set", "class A: pass\nvars(A()).update(__reduce_ex__=print)")
refused("attribute", "__deepcopy__ may not be set in a __dict__", "class A: pass\nvars(A())['__deepcopy__'] = print")

# Objects that pass an attribute on to another object
refused(
    "attribute",
    "_evaluate",
    """
import types
from typing import List, get_args
ref = get_args(List['__import__("os")'])[0]
types.GenericAlias(ref, int)._evaluate({}, {}, frozenset())
""",
)
refused(
    "attribute",
    "_evaluate",
    """
import types
from typing import List, get_args
ref = get_args(List['1'])[0]
class G(types.GenericAlias): pass
G(ref, int)._evaluate({}, {}, frozenset())
""",
)
refused(
    "attribute",
    "_evaluate",
    """
import types
from typing import List, get_args
ref = get_args(List['1'])[0]
types.MethodType(type(ref), 1)._evaluate(ref, {}, {}, frozenset())
""",
)
refused(
    "attribute",
    "_evaluate",
    """
from typing import List, get_args
ref = get_args(List['1'])[0]
class S(super): pass
S(type(ref), ref)._evaluate
""",
)
refused("attribute", "_create_", "from enum import Enum\nclass C(Enum):\n    A = 1\nC._create_('X', {'__del__': 1})")
refused("attribute", "__class__", "import types\ntypes.GenericAlias(str, int).format('{0.__class__}', 1)")
refused(
    "special-name", "what a base stands for", PLANTED % ("mro_entries", "lambda bases: (type,)", "class M(o): pass")
)
contained("AttributeError", "", "import types\nclass A:\n    format = 1\nclass B: pass\nB().format")
contained(
    "ended",
    "('x', 3)\n",
    """
from dataclasses import dataclass, astuple
@dataclass
class A:
    format: str
    obj: int = 2
print(astuple(A('x', 3)))
""",
)

# Traceback objects that Python hands to __exit__
EXIT = (
    "class C:\n    def __enter__(self): pass\n    def __exit__(self, kind, error, tb): %s; return True\nwith C(): 1 / 0"
)
refused("attribute", "tb_frame", EXIT % "tb.tb_frame.f_back")
refused("attribute", "tb_frame", EXIT % "getattr(tb, 'tb_' + 'frame')")
refused("attribute", "tb_frame", EXIT % "'{0.tb_frame}'.format(tb)")
refused("attribute", "__traceback__", EXIT % "error.__traceback__")
contained("TypeError", "", EXIT % "__import__('copy').copy(tb)")


# Builtins
refused("builtin", "compile", "compile('1', '', 'eval')")
refused("builtin", "breakpoint", "breakpoint()")
refused("builtin", "help", "help()")
refused("file", "descriptors 0, 1 and 2", "open('/etc/passwd').read()")
refused("file", "descriptors 0, 1 and 2", "open(3, 'wb')")
refused("file", "descriptors 0, 1 and 2", "import io\nio.open('x', 'w')")
refused("file", "descriptors 0, 1 and 2", "def f(): yield open('/etc/passwd')\nlist(f())")
refused("file", "descriptor 0", "import os\nos.read(5, 10)")
refused("file", "descriptors 1 and 2", "import os\nos.write(4, b'x')")
refused("attribute", "__globals__", "eval('print.__globals__')")
refused("attribute", "__subclasses__", "exec('object.__subclasses__()')")
refused("name", "__builtins__", "eval('__builtins__')")
refused("attribute", "__code__", "list(map(eval, ['(lambda: 0).__code__']))")
refused("attribute", "__globals__", "eval('eval(\"print.__globals__\")')")
refused("module", "subprocess", "exec('import subprocess')")

# Swallowing a refusal changes nothing
refused("file", "open()", "try: open('/etc/passwd')\nexcept: print('swallowed')")
refused("file", "open()", "try: open('/x')\nexcept BaseException: pass")
refused("file", "open()", "def f():\n    try: open('/x')\n    finally: return 1\nprint(f())")
refused(
    "file",
    "open()",
    "class C:\n    def __enter__(self): pass\n    def __exit__(self, *e): return True\nwith C(): open('/x')\nprint('on')",
)
refused("file", "open()", "try: open('/x')\nexcept ValueError.__mro__[2]: print('caught')")
refused("file", "open()", "import contextlib\nwith contextlib.suppress(ValueError.__mro__[2]): open('/x')")
refused(
    "module",
    "subprocess",
    "def f():\n    for m in ['subprocess']:\n        try: __import__(m)\n        except Exception: pass\nf()",
)

# Steps cannot be escaped
contained("step_limit", "", "while True: pass")
contained("step_limit", "", "while True:\n    try: pass\n    except: pass")
contained(
    "step_limit",
    "",
    "def f():\n    while True:\n        try:\n            while True: pass\n        except: continue\nf()",
)
contained(
    "step_limit",
    "",
    "def f():\n    while 1:\n        try:\n            for i in iter(int, 1): pass\n        finally: continue\nf()",
)
contained(
    "step_limit",
    "",
    "class C:\n    def __enter__(self): return self\n    def __exit__(self, *e): return True\nwhile 1:\n    with C():\n        while 1: pass",
)
contained("step_limit", "", "for x in iter(int, 1): pass")
contained("step_limit", "", "[0 for x in iter(int, 1)]")
contained("step_limit", "", "sum(0 for x in iter(int, 1))")
contained("step_limit", "", "{x: 0 for x in iter(int, 1)}")
contained("step_limit", "", "def f(n): return f(n - 1) + f(n - 1) if n else 0\nf(40)")
contained(
    "step_limit",
    "",
    "def f(n):\n    if n == 0:\n        return 0\n    try: return f(n - 1) + f(n - 1)\n    except: return f(n - 1)\nf(60)",
)
contained("step_limit", "", "f = lambda n: f(n - 1) + f(n - 1) if n else 0\nf(40)")
contained(
    "step_limit",
    "",
    "class A:\n    def __init__(self, n): self.n = n\n    def __add__(self, o): return (A(self.n - 1) + o) + (A(self.n - 1) + o) if self.n else A(0)\nA(40) + 1",
)
contained(
    "step_limit",
    "",
    "class A:\n    n = 40\n    @property\n    def p(self): self.n -= 1; x = self.n and (self.p, self.p); self.n += 1\nA().p",
)
contained(
    "step_limit",
    "",
    "def p(self):\n    if self.n == 0: return 0\n    self.n -= 1\n    x = self.q, self.q\n    self.n += 1\n    return 0\nclass A:\n    n = 40\n    q = property(p)\nA().q",
)
contained("step_limit", "", "def g():\n    while True: yield 1\nfor x in g(): pass")
contained("step_limit", "", "def g():\n    yield from g2()\ndef g2():\n    while True: yield 1\nsum(g())")
contained("step_limit", "", "range = lambda n: iter(int, 1)\nfor i in range(5): pass")
contained("step_limit", "", "async def f():\n    while True: pass\nimport asyncio\nasyncio.run(f())")
contained("step_limit", "", "import asyncio\nasync def f():\n    while True: await asyncio.sleep(0)\nasyncio.run(f())")
contained(
    "step_limit",
    "",
    "async def a():\n    while True: yield 1\nasync def f():\n    async for x in a(): pass\ntry: f().send(None)\nexcept StopIteration: pass",
)
contained("step_limit", "", "while True: eval('1')")
contained("step_limit", "", "exec('while True: pass')")
contained("step_limit", "", "d = {}\nexec('def f():\\n    while True: pass', d)\nd['f']()")
contained(
    "step_limit", "", "class A:\n    def __iter__(self): return self\n    def __next__(self): return 1\nlist(A())"
)
contained(
    "step_limit",
    "",
    "class D(dict):\n    def __missing__(self, k): return self[k + 1] or self[k + 1]\nwhile 1:\n    try: D()[0]\n    except RecursionError: pass",
)
contained("step_limit", "", "def f(a): return g(a)\ndef g(a): return 0\nfor i in iter(int, 1): f(i)")
contained(
    "step_limit",
    "",
    "sorted(range(10**6), key=lambda x: len(str(x)))\nsorted(range(3 * 10**6), key=lambda x: len(str(x)))",
)
contained(
    "step_limit",
    "",
    "import threading\ndef f():\n    while True: pass\nthreading.Thread(target=f).start()\nprint('on')",
)
contained("step_limit", "", "import atexit\ndef f():\n    while True: pass\natexit.register(f)")
contained("step_limit", "", "class A:\n    while True: pass")
contained("step_limit", "", "match 1:\n    case x if [0 for y in iter(int, 1)]: pass")
contained("step_limit", "", "a = [1]\nfor x in a: a.append(1)")
contained(
    "step_limit",
    "",
    "for a in (1, 2, 3, 4, 5, 6, 7, 8):\n"
    + "".join("    " * i + "for a in (1, 2, 3, 4, 5, 6, 7, 8):\n" for i in range(1, 10))
    + "    " * 10
    + "pass",
)
contained("step_limit", "", "try:\n    while True: pass\nexcept Exception.__base__ as e: print('mine')\nprint('on')")
contained("step_limit", "", "def f():\n    try:\n        while True: pass\n    finally:\n        return 1\nprint(f())")

# Output
contained("output_limit", "", "while True: print('x' * 1000)")
contained("output_limit", "", "import sys\nwhile True: sys.stdout.write('x' * 1000)")
contained("output_limit", "", "import sys\nwhile True: sys.stdout.buffer.write(b'x' * 1000)")
contained("output_limit", "", "import os\nwhile True: os.write(1, b'x' * 1000)")
contained("output_limit", "", "print('x' * 10**7)")
contained("output_limit", "", "try: print('x' * 10**7)\nexcept: pass\nprint('on')")
contained("output_limit", "", "def f():\n    try: print('x' * 10**7)\n    finally: return 1\nf()")
contained("output_limit", "", "input('x' * 10**7)")

# Waiting
refused("waiting", "Queue.get", "from queue import Queue\nQueue().get()")
refused("waiting", "lock that is held", "import threading\nl = threading.Lock()\nl.acquire()\nl.acquire()")
refused(
    "waiting",
    "every coroutine waits",
    "import asyncio\nasync def f():\n    t = asyncio.create_task(g())\n    tasks.append(t)\n    await t\nasync def g(): await tasks[0]\ntasks = []\nasyncio.run(f())",
)
contained("ended", "", "import time\ntime.sleep(10 ** 6)")

# Compiler bombs and broken sources
contained("SyntaxError", "", "(" * 10_000 + ")" * 10_000)
contained("SyntaxError", "", "[" * 150 + "(" * 10_000)
contained("SyntaxError", "", "x = " + "-" * 100_000 + "1")
contained("SyntaxError", "", "x = " + "+".join(["1"] * 50_000))
contained("SyntaxError", "", "x = " + "a." * 50_000 + "b")
contained("SyntaxError", "", "x = " + "lambda:" * 10_000 + "1")
contained("IndentationError", "", "\n".join("    " * i + "if 1:" for i in range(120)) + "\n" + "    " * 120 + "pass")
contained("SyntaxError", "null bytes", "x = 1\0")
contained("SyntaxError", "", "x = " + "9" * 100_000)
contained("SyntaxError", "", "def f(a, a): pass")
contained("SyntaxError", "", "return 1")
contained("SyntaxError", "", "import subprocess\nreturn 1")
contained("SyntaxError", "", "'\ud800'")
contained("ended", "", "")


@pytest.mark.parametrize(("source", "rule", "culprit"), REFUSED, ids=[c[0][-60:] for c in REFUSED])
def test_refused_by_the_rule_meant_for_it(source: str, rule: str, culprit: str) -> None:
    ending = run(source, Planted=Planted)
    assert ending.status == "refused", f"{ending.status}: {ending.message} {ending.stdout!r}"
    assert rule in ending.rules, ending.message
    assert culprit in ending.message


@pytest.mark.parametrize(("source", "status", "found"), CONTAINED, ids=[c[0][-60:] for c in CONTAINED])
def test_contained(source: str, status: str, found: str) -> None:
    ending = run(source, steps=100_000, output_bytes=100_000)
    assert ending.status == status, f"{ending.status}: {ending.message} {ending.stdout[:200]!r}"
    assert found in ending.stdout + ending.message


def test_there_are_enough_of_them() -> None:
    assert len({source for source, *_ in REFUSED + CONTAINED}) >= 250

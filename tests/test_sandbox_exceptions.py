"""Exceptions of the program's own classes: caught, looked at and compared in tests as in one process."""

from typing import Any

import pytest

from sandbox.pool import run_many
from sandbox.verdict import Program, Test
from tests.one_process import LIMITS, assert_judged_alike

SOURCE = '''
import abc
import queue
import json

class ShopError(Exception):
    """Whatever goes wrong in a shop."""
    status = 400

class Missing(ShopError, KeyError):
    def __init__(self, name, near=()):
        super().__init__(f"no {name}")
        self.name, self.near = name, list(near)
    def hint(self): return self.near[0] if self.near else None

class Short(ShopError):
    status = 402
    def __init__(self, need, have):
        self.need, self.have = need, have
    @property
    def lacking(self): return self.need - self.have
    def __str__(self): return f"{self.lacking} short"
    def __repr__(self): return f"<{self.lacking}>"

class Loud:
    def shout(self): return str(self).upper()

class Both(Loud, ValueError): pass
class Empty(Exception): pass
class Text(UnicodeDecodeError): pass
class Bad(json.JSONDecodeError): pass

class f:
    def __init__(self): self.stock, self.paid, self.last = {'tea': 3}, 0, None
    def buy(self, name, money):
        if name not in self.stock:
            raise Missing(name, self.stock)
        if money < self.stock[name]:
            self.last = Short(self.stock[name], money)
            raise self.last
        self.paid += money
        return money - self.stock[name]

def both(x): raise Both(x)
def empty(): raise Empty
def no_item(): return queue.Queue().get_nowait()
def parse(text): return json.loads(text)
def decode(): return b'\\xff'.decode()
def text(): raise Text('utf-8', b'a', 0, 1, 'why')
def bad(): raise Bad('why', 'text', 2)
def chained():
    try:
        raise Missing('a')
    except Missing as error:
        raise Short(2, 1) from error
def catches(kind, error):
    try:
        raise error
    except kind:
        return True
    except Exception:
        return False
def built_in(x): return ValueError('v', x)
made_once = KeyError('k')
def the_one(): return made_once
class Guard:
    def __init__(self, *quiet): self.quiet, self.seen = quiet, []
    def __enter__(self): return self
    def __exit__(self, kind, error, trace):
        self.seen.append((kind and kind.__name__, str(error)))
        return kind is not None and issubclass(kind, self.quiet)
def guard(*quiet): return Guard(*quiet)
def kinds(): return [Short, Missing]
def tells(error): return isinstance(error, ShopError), error.status
'''
SHOP = "s = f()\ntry:\n    s.buy({})\nexcept {} as e:\n    {}\nelse:\n    assert False"
TESTS = [
    SHOP.format("'tea', 1", "Short", "assert e.need == 3 and e.have == 1 and e.lacking == 2"),
    SHOP.format("'tea', 1", "Short", "assert e.need == 4"),
    SHOP.format("'tea', 1", "Short", "assert str(e) == '2 short' and repr(e) == '<2>' and e.args == (3, 1)"),
    SHOP.format("'tea', 1", "Short", "assert str(e) == '(3, 1)'"),
    SHOP.format("'tea', 1", "ShopError", "assert type(e) is Short and isinstance(e, ShopError) and e.status == 402"),
    SHOP.format("'tea', 1", "Missing", "pass"),
    SHOP.format("'tea', 1", "(Missing, Short)", "assert not isinstance(e, KeyError)"),
    SHOP.format("'rum', 1", "KeyError", "assert type(e).__name__ == 'Missing' and e.name == 'rum'"),
    SHOP.format("'rum', 1", "Missing", "assert e.near == ['tea'] and e.hint() == 'tea' and e.args == ('no rum',)"),
    SHOP.format("'rum', 1", "Exception", "assert str(e) == \"'no rum'\" and e.status == 400"),
    SHOP.format("'rum', 1", "LookupError", "e.near.append('x')\n    assert e.near == ['tea', 'x']"),
    SHOP.format("'tea', 5", "ShopError", "pass"),
    SHOP.format("'tea', 1", "Short", "assert s.last is not None and s.last.need == 3 and isinstance(s.last, Short)"),
    "s = f()\ns.buy('rum', 1)",
    "s = f()\ns.buy('tea', 1)",
    "assert issubclass(Missing, (KeyError,)) and issubclass(Missing, ShopError) and not issubclass(Short, KeyError)",
    "assert issubclass(Short, Missing)",
    "assert Short.status == 402 and Missing.status == 400 and Short.__name__ == 'Short'",
    "try:\n    both('x')\nexcept ValueError as e:\n    assert e.shout() == 'X' and isinstance(e, Both)",
    "try:\n    both('x')\nexcept Exception as e:\n    assert isinstance(e, Loud) and not isinstance(e, f)",
    "try:\n    both('x')\nexcept Exception as e:\n    assert e.nothing_such",
    "try:\n    both('x')\nexcept Missing:\n    pass",
    "try:\n    empty()\nexcept Empty as e:\n    assert e.args == ()",
    "import queue\ntry:\n    empty()\nexcept queue.Empty:\n    assert False\nexcept Exception: pass",
    "import queue\ntry:\n    no_item()\nexcept queue.Empty:\n    pass",
    "import json\ntry:\n    parse('{')\nexcept json.JSONDecodeError:\n    pass",
    "try:\n    decode()\nexcept UnicodeDecodeError:\n    pass",
    "try:\n    text()\nexcept Text as e:\n    assert e.reason == 'why' and isinstance(e, UnicodeError)",
    "try:\n    bad()\nexcept ValueError as e:\n    assert type(e) is Bad and e.pos == 2 and str(e)[:3] == 'why'",
    "e = built_in(3)\nassert isinstance(e, ValueError) and type(e) is ValueError and e.args == ('v', 3)",
    "try:\n    raise built_in(1)\nexcept ValueError as e:\n    assert str(e) == \"('v', 1)\"",
    "assert the_one() is the_one() and catches(KeyError, the_one()) and [the_one()] == [the_one()]",
    "assert isinstance(built_in(1), KeyError)",
    "g = guard(KeyError)\nwith g as h:\n    raise KeyError('x', 2)\nassert g is h and g.seen[0][1] == str(('x', 2))",
    "g = guard()\ntry:\n    with g:\n        {}['a']\nexcept KeyError as e:\n    assert g.seen[0][0] == 'KeyError'",
    "g = guard(Short)\nwith g:\n    f().buy('tea', 1)\nassert g.seen == [('Short', '2 short')]",
    "g = guard(Missing)\ntry:\n    with g:\n        f().buy('tea', 1)\nexcept Short:\n    assert len(g.seen) == 1",
    "with guard(ShopError):\n    raise Short(2, 1)",
    "g = guard(Exception)\nwith g:\n    pass\nassert g.seen == [(None, 'None')]",
    "try:\n    with guard(ValueError, KeyError):\n        raise IndexError\nexcept IndexError:\n    pass",
    "with guard(OSError):\n    assert False",
    "try:\n    chained()\nexcept Short as e:\n    assert e.need == 2",
    "e = Short(5, 2)\nassert e.lacking == 3 and str(e) == '3 short' and isinstance(e, (Short, Exception))",
    "e = Missing('x', ['y'])\nassert e.hint() == 'y' and e.args == ('no x',)",
    "assert catches(Short, Short(1, 0)) and not catches(Missing, Short(1, 0)) and catches(ShopError, Missing('x'))",
    "assert kinds() == [Short, Missing] and kinds()[0] is Short and {Short: 1}[kinds()[0]] == 1",
    "assert kinds() == [Missing, Short]",
    "try:\n    f().buy('tea', 1)\nexcept ShopError as e:\n    assert tells(e) == (True, 402)",
    "try:\n    raise Short(4, 1)\nexcept ShopError as e:\n    assert e.lacking == 3",
    "errors = {}\nfor name, money in (('tea', 1), ('rum', 2), ('tea', 3)):\n    try:\n        f().buy(name, money)\n"
    "    except ShopError as e:\n        errors[type(e)] = e\nassert set(errors) == {Short, Missing}",
    "def raises(kind, g, *a):\n    try:\n        g(*a)\n    except kind:\n        return True\n    return False\n"
    "s = f()\nassert raises(Short, s.buy, 'tea', 1) and not raises(Short, s.buy, 'tea', 9)\n"
    "assert raises((Short, Missing), s.buy, 'rum', 1)",
    "try:\n    f().buy('tea', 1)\nexcept Short as e:\n    try:\n        raise ValueError('mine') from e\n"
    "    except ValueError as mine:\n        assert mine.__cause__ is e and mine.__cause__.need == 3",
]


@pytest.mark.parametrize("mode", ["isolated", "fast"])
def test_exceptions_are_judged_as_in_one_process(mode: Any) -> None:
    assert_judged_alike([(SOURCE, test) for test in TESTS], mode)


def test_a_test_that_derives_from_a_class_of_the_program_s_is_no_evidence() -> None:
    program = Program(SOURCE, "function", (Test("f()\nclass Mine(ShopError): pass"),), "f")
    (result,) = run_many([program], limits=LIMITS, workers=1)
    assert result.status == "infra_error" and "derives a class from ShopError" in str(result.error_message)


OWN_VALUES = """
from dataclasses import dataclass

class Loud: pass

class Bad(ValueError, Loud):
    code = 3
    def __init__(self, items):
        super().__init__(*items)
        self.items = items
    def __len__(self): return len(self.items)
    def __bool__(self): return self.code == 3
    def __getitem__(self, at): return self.items[at]
    def __call__(self, x): return [x, *self.items]
    def __class_getitem__(cls, key): return key, cls.code

class Coded(Exception):
    def __init__(self, code): self.code = code
    def __str__(self): return f'code {self.code}'

class Unknown(NameError):
    def __init__(self, name):
        super().__init__(name)
        self.name = name

class NoFile(OSError): pass

@dataclass
class Record(Exception):
    what: str

class f:
    def __init__(self, items): self.error = Bad(items)
def bad(*items): return Bad(items)
def bads(): return [Bad([1]), Bad([])]
def unknown(name): raise Unknown(name)
def no_file(): raise NoFile(2, 'none', 'a.txt')
def record(what): raise Record(what)
def coded(code): raise Coded(code)
"""
OWN_TESTS = [
    "assert isinstance(bad(1), ValueError) and isinstance(bad(1), Bad) and type(bad(1)) is Bad and str(bad(1)) == '1'",
    "assert isinstance(bad(1), KeyError)",
    "assert [type(e) for e in bads()] == [Bad, Bad] and [len(e) for e in bads()] == [1, 0]",
    "try:\n    raise bad(1, 2)\nexcept ValueError as e:\n    assert e.args == (1, 2) and e[1] == 2 and e(0) == [0, *e]",
    "e = bad(1)\nassert e\ne.code = 4\nassert not e and e.code == 4 and vars(e) == {'items': (1,), 'code': 4}",
    "x = f([1])\nassert x.error is x.error and x.error in [x.error] and {x.error: 1}[x.error] == 1",
    "assert len(f([1]).error) == 2",
    "assert bad(*range(12)).args == tuple(range(12))",
    "try:\n    unknown('x')\nexcept NameError as e:\n    assert e.name == 'x'",
    "try:\n    no_file()\nexcept OSError as e:\n    assert e.filename == 'a.txt' and e.errno == 2",
    "assert issubclass(Bad, Loud) and not issubclass(Unknown, Loud)",
    "try:\n    record('x')\nexcept Record as e:\n    assert e.what == 'x' and e == e",
    "assert not hasattr(Bad, '__nothing__') and not hasattr(bad(1), '__nothing__') and not hasattr(Bad, 'nothing')",
    "assert Bad['k'] == ('k', 3)",
    "e = bad(1)\nassert e.with_traceback(None) is e and e.__traceback__ is None",
    "try: raise bad(1)\nexcept Bad as e:\n    e.__traceback__ = None\n    assert e.__traceback__ is None",
    "e = bad(1)\ne.add_note('why')\nassert e.__notes__ == ['why'] and not hasattr(bad(1), '__notes__')",
    "e = bad(1)\ne.args = (2, 3)\nassert e.args == (2, 3) and str(e) == '(2, 3)'",
    "try: raise bad(1)\nexcept Bad as e:\n    e.args = (2,)\n    assert e.args == (2,) and str(e) == '2'",
    "try: raise bad(1)\nexcept Bad as e:\n    e.args = (2,)\n    assert e.args == (1,)",
    "try: coded(1)\nexcept Coded as e:\n    e.code = 2\n    assert str(e) == 'code 2' and f'{e}' == 'code 2'",
    "assert f'{bad(1)}' == '1' and '{0!r}{0!s:>3}'.format(bad(1)) == 'Bad(1)  1'",
    "try: coded(1)\nexcept Coded as e: assert str(e) == 'code 1'",
]


@pytest.mark.parametrize("mode", ["isolated", "fast"])
def test_exceptions_as_values_have_what_the_program_gave_them(mode: Any) -> None:
    assert_judged_alike([(OWN_VALUES, test) for test in OWN_TESTS], mode)


def test_exceptions_that_only_the_program_can_compare_are_no_evidence() -> None:
    tests = [
        "try:\n    record('x')\nexcept Record as e:\n    assert e == Record('x')",
        "assert Record('x') != Record('x')",
    ]
    programs = [Program(OWN_VALUES, "function", (Test(test),), "f") for test in tests]
    for result in run_many(programs, limits=LIMITS, workers=1):
        assert result.status == "infra_error" and "uses __eq__ of Record" in str(result.error_message)


CHAIN = "class E0(Exception): pass\n" + "".join(f"class E{n}(E{n - 1}): pass\n" for n in range(1, 30))


def test_an_exception_of_a_class_with_many_bases_is_of_them_all() -> None:
    tests = ["assert isinstance(f(), E0) and isinstance(f(), E20)", "assert isinstance(f(), Other)"]
    source = f"{CHAIN}class Other(Exception): pass\ndef f(): return E29('x')"
    assert_judged_alike([(source, test) for test in tests], "isolated")


GIVES = """
class Unfound(ImportError): pass
def f(kind): return {'name': NameError, 'import': ImportError, 'own': Unfound, 'wall': PermissionError}[kind]('x')
def fails(kind): raise f(kind)
"""


@pytest.mark.parametrize("mode", ["isolated", "fast"])
def test_what_the_program_gave_and_the_test_raises_is_the_program_s(mode: Any) -> None:
    """However long ago: it could choose else that the test itself had failed."""
    kept = "kept = []\nfor i in range(20):\n    try: fails(KIND)\n    except Exception as error: kept.append(error)\n"
    tests = ["raise f(KIND)", "for error in [f(KIND)]:\n    if error: raise error", f"{kept}raise kept[0]"]
    kinds = ("name", "import", "own", "wall")
    assert_judged_alike([(GIVES, test.replace("KIND", repr(kind))) for test in tests for kind in kinds], mode)


def test_what_an_exception_that_the_program_gave_has_not_is_the_answer_s_fault() -> None:
    programs = [Program(GIVES, "function", (Test(f"f({kind!r}).__nothing__"),), "f") for kind in ("name", "own")]
    assert [result.status for result in run_many(programs, limits=LIMITS, workers=1)] == ["wrong", "wrong"]


HELD = """
class Held:
    def __init__(self, *swallow): self.swallow, self.error, self.errors = swallow, None, []
    def __enter__(self): return self
    def __exit__(self, kind, error, traceback):
        self.error = error
        return kind is not None and issubclass(kind, self.swallow)
    def key(self, *args): raise KeyError(*args)
    def change(self, *args): self.error.args = args
    def run(self, g):
        try: return g()
        except Exception as e: self.errors.append(e)
    def through(self, g):
        try: return g()
        except ValueError: raise
    def other(self, g):
        try: return g()
        except ValueError as e: raise ValueError(*e.args)
    def more(self, g):
        try: return g()
        except ValueError as e:
            e.args = (f"more: {e}",)
            raise

class Adds(Held):
    def __exit__(self, kind, error, traceback):
        error.args = (f"more: {error}",)

own = ValueError("own")
def f(*swallow): return Held(*swallow)
def get(): return own
def throw(): raise own
"""
HELD_START = "err = ValueError('mine')\ndef boom(): raise err\nc = f(ValueError)\n"
HELD_TESTS = [
    "with c: raise err\nassert c.error is err",
    "with c: raise ValueError('mine')\nassert c.error is not err and c.error is c.error and str(c.error) == 'mine'",
    "with c: raise ValueError(1)\nfirst = c.error\nwith c: raise ValueError(1)\nassert c.error is not first",
    "c.run(boom), c.run(boom)\nassert c.errors[0] is err and c.errors[1] is err and len(c.errors) == 2",
    "c.run(boom)\nassert c.errors[0] is not err",
    "try: c.through(boom)\nexcept ValueError as e: assert e is err",
    "try: c.other(boom)\nexcept ValueError as e: assert e is err",
    "try: c.other(boom)\nexcept ValueError as e: assert e is not err and e.args == err.args",
    "try: c.more(boom)\nexcept ValueError as e: assert e is err and err.args == ('more: mine',)",
    "own = get()\ntry: throw()\nexcept ValueError as e: assert e is own",
    "for n in range(9):\n    with c: raise ValueError(n)\n    assert c.error.args == (n,)",
    "err = ValueError(1.5, None, True, (1, ('a',)))\nwith c: raise err\nassert c.error is err and len(err.args) == 4",
    "with f(LookupError) as c: c.key((1, (2, 3)), 'x')\nassert c.error.args == ((1, (2, 3)), 'x')",
    "with f(LookupError) as c: {}[(1, 2)]\nassert c.error.args == ((1, 2),)",
    "with f(LookupError) as c: {}[(1, 2)]\nassert c.error.args == ([1, 2],)",
    "with c: raise err\nerr.args = ('b',)\nassert c.error is err and str(c.error) == 'b' and err.args == ('b',)",
    "with c: raise err\nerr.args = ('b',)\nwith c: raise err\nassert c.error is err and err.args == ('b',)",
    "with c: raise err\nerr.args = ('b',)\nassert str(err) == 'mine'",
    "with c: raise err\nerr.args = (2,)\ntry: c.more(boom)\nexcept ValueError as e: assert e.args == ('more: 2',)",
    "with c: raise err\nc.change('b', 2)\nassert err.args == ('b', 2)",
    "with c: raise err\nc.change(True)\nassert err.args[0] is True\nc.change(1)\nassert err.args[0] is not True",
    "with c: raise err\nc.change('b')\nerr.args += (3,)\nassert c.error.args == err.args == ('b', 3)",
    "try:\n    with Adds(): raise err\nexcept ValueError as e: assert e is err and str(e) == 'more: mine'",
    "try:\n    with Adds(): raise err\nexcept ValueError as e: assert str(e) == 'mine'",
    "err.args = tuple(range(12))\ntry: c.through(boom)\nexcept ValueError as e: assert e is err and len(e.args) == 12",
]


@pytest.mark.parametrize("mode", ["isolated", "fast"])
def test_exceptions_of_tests_come_back_as_the_same(mode: Any) -> None:
    assert_judged_alike([(HELD, HELD_START + test) for test in HELD_TESTS], mode)


def test_arguments_that_the_program_gave_a_test_s_exception_stay_where_they_do_not_cross() -> None:
    source = "def f(e): e.args = ([1, 2],)\ndef first(e): return e.args[0]"
    test = "e = ValueError('a')\nf(e)\nassert first(e) == [1, 2]"
    assert_judged_alike([(source, test)], "isolated")


@pytest.mark.parametrize(
    "test",
    [
        "e = FileNotFoundError(2, 'No such file', 'a.txt')\nassert f(e) == str(e)",
        "e = ValueError('x')\ne.code = 3\nassert f(e) == 'x'",
        "e = ValueError('x')\ne.add_note('y')\nassert f(e) == 'x'",
    ],
)
def test_an_exception_of_a_test_s_that_is_more_than_its_arguments_does_not_cross(test: str) -> None:
    (result,) = run_many(
        [Program("def f(e): return str(e)", "function", (Test(f"f(1)\n{test}"),), "f")], limits=LIMITS, workers=1
    )
    assert result.status == "infra_error" and "cannot cross" in str(result.error_message)


BY_ENTRY_POINT = [
    ("try:\n    f(1)\nexcept Late as e:\n    assert e.days == 1 and type(e) is Late", "passed"),
    ("try:\n    f(1)\nexcept (KeyError, candidate) as e:\n    assert e.days == 2", "wrong"),
    ("try:\n    f(1)\nexcept Base as e:\n    assert isinstance(e, Late) and e.args == ('1 late',)", "passed"),
    ("try:\n    raise Late(3)\nexcept Base as e:\n    assert str(e) == '3 late'", "passed"),
    ("assert issubclass(Late, Base) and issubclass(Late, Exception) and not issubclass(Base, Late)", "passed"),
    ("assert issubclass(Late, KeyError)", "wrong"),
    ("import contextlib\nwith contextlib.suppress(Late):\n    f(1)", "passed"),
    ("assert str(Late(2)) == '2 late'", "passed"),
    ("assert Late.status == 5 and candidate(4).days == 4", "passed"),
    ("try:\n    f(1)\nexcept KeyError:\n    pass", "exception"),
    ("Late.status = 6\nassert Late(1).status == 6 and Late.status == 6", "passed"),
    ("Late.status = 7\ntry:\n    f(1)\nexcept Base as e:\n    assert e.status == 5", "wrong"),
]


@pytest.mark.parametrize("mode", ["isolated", "fast"])
def test_an_entry_point_that_is_a_class_of_exceptions_is_one_that_tests_can_catch(mode: Any) -> None:
    source = (
        "class Base(Exception): status = 5\n"
        "class Late(Base):\n"
        "    def __init__(self, days):\n        super().__init__(f'{days} late')\n        self.days = days\n"
        "def f(days): raise Late(days)"
    )
    early = Test("assert Late(1) != 5")
    programs = [
        Program(source, "function", tests, "Late", key=wanted)
        for test, wanted in BY_ENTRY_POINT
        for tests in ((Test(test),), (early, Test(test)))
    ]
    for result in run_many(programs, limits=LIMITS, mode=mode):
        assert result.tests[-1].status == result.key, result


def test_to_look_what_the_entry_point_is_is_not_to_use_the_program() -> None:
    programs = [
        Program("class Late: pass", "function", (Test("1 / 0"),), "Late", key="infra_error"),
        Program("x = 1", "function", (Test("try:\n    pass\nexcept Late:\n    pass"),), "Late", key="passed"),
        Program("x = 1", "function", (Test("assert type(Late(1)) is Late"),), "Late", key="exception"),
        Program("Late = 5", "function", (Test("assert Late(1) is None"),), "Late", key="exception"),
    ]
    for result in run_many(programs, limits=LIMITS):
        assert result.tests[0].status == result.key, result

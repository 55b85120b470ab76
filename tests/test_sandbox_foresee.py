"""Which calls of a test are asked for ahead: those that nothing can tell from calls in turn."""

import builtins
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

from sandbox.foresee import bound_names, foreseen_calls

NAMES = {"candidate", "add"}
KNOWN = frozenset(dir(builtins)) | {"math", "close"}

FORESEEN = {
    "an equality": ("assert candidate(1, 'b', None, True) == 3", [1, "b", None, True]),
    "by its own name": ("assert add([1, [2]], (3, [4])) == 3", [[1, [2]], (3, [4])]),
    "every display": ("assert add([], [1, 2, 3], {1, 2, 3}, {'a': []}, (), {}) is None", [
        [], [1, 2, 3], {1, 2, 3}, {"a": []}, (), {},
    ]),
    "constants that are computed": ("assert add(-5, 3 * 19, 'a' + 'b', 1e-3, -0.0)", [-5, 57, "ab", 1e-3, -0.0]),
    "inside builtins": ("assert abs(round(candidate(2.5), 2) - 2) < 1e-6, 'message'", [2.5]),
    "before a method": ("assert candidate('a').lower() == 'x' and True", ["a"]),
    "before the data set's own": ("assert close(add(1), math.pi)", [1]),
    "no assertion": ("candidate(1)", [1]),
    "again in the message": ("assert add(1) == 2, 'found ' + str(add(1))", [1]),
    "the display of a long list": (f"assert add({list(range(300))})", [list(range(300))]),
}  # fmt: skip
IN_TURN = {
    "a name among the arguments": "assert add(print)",
    "a second call": "assert add(1) == add(1)",
    "a second call by the other name": "assert add(1) == candidate(1)",
    "another call before": "assert len([1]) and add(1)",
    "a call for an argument": "assert add(list('ab'))",
    "handed to a builtin": "assert list(map(add, [1, 2]))",
    "handed to a sort": "assert sorted([2, 1], key=add)",
    "handed to a sort in place": "[2, 1].sort(key=add)",
    "a keyword": "assert add(a=1)",
    "unpacked": "assert add(*[1, 2])",
    "in a loop": "for _ in range(3): add(1)",
    "in an endless loop": "while True: assert add(1)",
    "in a function": "def check(): assert add(1)\ncheck()",
    "in a comprehension": "assert [add(1) for _ in 'ab']",
    "in a lambda": "assert (lambda: add(1))()",
    "a name of the program's": "assert add(1) == Node",
    "a name of the test's own": "x = add(1)\nassert x == 1",
    "after an import": "import os\nassert add(1)",
    "only looked at": "assert add.__name__ == 'add'",
    "what it gives is called": "assert candidate(1)(2) == add",
    "an exception is expected": "try:\n    add(1)\nexcept ValueError:\n    pass",
    "a second call after the assertion": "assert add(1)\nadd(2)",
    "a second assertion": "assert add(1), add(1)\nassert add(2), add(2)",
}


@pytest.mark.parametrize("name", FORESEEN)
def test_foreseen_with_its_arguments(name: str) -> None:
    text, expected = FORESEEN[name]
    (arguments,) = foreseen_calls([compile(text, "t", "exec")], NAMES, KNOWN)
    assert repr(arguments) == repr(expected)


@pytest.mark.parametrize("name", IN_TURN)
def test_asked_for_in_turn(name: str) -> None:
    assert foreseen_calls([compile(IN_TURN[name], "t", "exec")], NAMES, KNOWN) == []


def test_only_leading_tests_are_foreseen() -> None:
    codes = [compile(text, "t", "exec") for text in ("assert add(1)", "assert add(2)", "x = add(3)", "assert add(4)")]
    assert foreseen_calls(codes, NAMES, KNOWN) == [[1], [2]]
    assert foreseen_calls([codes[0], "does not compile", codes[1]], NAMES, KNOWN) == [[1]]


@pytest.mark.parametrize("text", ["assert True", "assert True, 'a message'", "", "pass", "1 + 1"])
def test_a_test_that_calls_nothing_does_not_end_what_is_foreseen(text: str) -> None:
    codes = [compile(text, "t", "exec") for text in (text, "assert add(1)", text, "assert (lambda: 1)()", "add(1)")]
    assert foreseen_calls(codes, NAMES, KNOWN) == [None, [1], None]


def test_arguments_are_made_anew_for_every_problem() -> None:
    code = compile("assert add([1])", "t", "exec")
    first, second = foreseen_calls([code, code], NAMES, KNOWN)
    assert first[0] == second[0] and first[0] is not second[0]


def test_bound_names() -> None:
    text = "import math\nfrom os import path as p\ndef f(): inner = 1\nclass C: pass\nx = y = Node(1)"
    code = compile(text, "s", "exec")
    assert bound_names(code) == {"math", "p", "f", "C", "x", "y"}
    assert bound_names("does not compile") == set()


def test_the_same_on_another_python() -> None:
    """The tables above hold for the bytecode of every Python version on this machine that the project supports."""
    here = sys.version_info[:2]
    others = [found for minor in (11, 12, 13) if here != (3, minor) and (found := _python(minor))]
    if not others:
        pytest.skip("no second Python between 3.11 and 3.13 on this machine")
    home = str(Path(__file__).resolve().parent.parent)
    check = (
        f"import builtins, sys; sys.path.insert(0, {home!r}); from sandbox.foresee import foreseen_calls\n"
        f"names, known = {NAMES!r}, set(dir(builtins)) | {{'math', 'close'}}\n"
        f"for text, expected in {list(FORESEEN.values())!r}:\n"
        "    assert repr(foreseen_calls([compile(text, 't', 'exec')], names, known)) == repr([expected]), text\n"
        f"for text in {list(IN_TURN.values())!r}:\n"
        "    assert foreseen_calls([compile(text, 't', 'exec')], names, known) == [], text\n"
    )
    for python in others:
        run = subprocess.run([python, "-I", "-S", "-c", check], capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, f"{python}: {run.stderr}"


def _python(minor: int) -> str | None:
    """An interpreter of that version, on the path or where pyenv keeps them."""
    kept = sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python3"))
    return str(kept[-1]) if kept else which(f"python3.{minor}")

"""Functions that tests hand to a program, as texts that make the same functions there.

What crosses is a function of the library that programs have too, or a `lambda` or `def` of the tests' own with the
variables of theirs that it uses. It runs in the program, and never in the judge, where a program could call it as often
and with whatever it likes. Its variables are a dictionary that both sides have (`shared`): what the test appends to a
list, or binds anew, the function finds, and the other way round. A name that nobody has but the program is the
program's: its exceptions, say, which the function raises.
"""

import ast
import builtins
import copy
import importlib
import operator
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from types import BuiltinFunctionType, CellType, FunctionType, MethodDescriptorType, ModuleType
from typing import Any

from sandbox import policy
from sandbox.codec import FUNCTION, FUNCTION_VARIABLES, PROGRAM_NAMES
from sandbox.foresee import bound_names
from sandbox.function_code import Definition, definition, globals_of, locals_of
from sandbox.library_values import TYPES
from sandbox.refused import Refused
from sandbox.translate import translate

_LIBRARY = ("math", "operator")
_SELF = "self"
_METHOD = f"""def {{name}}(*args, **names):
    return {FUNCTION_VARIABLES}[{_SELF!r}].{{name}}(*args, **names)
{FUNCTION} = {{name}}"""
_BUILTINS = frozenset(policy.BUILTINS) | {"print"}
_PLAIN = (type(None), bool, int, float, str)


@dataclass(frozen=True, slots=True)
class Crossing:
    """A function of the tests': the text of a module in which it is `FUNCTION`, and the names of the variables of the
    tests' that it reads, and of those that it sets, in `FUNCTION_VARIABLES`."""

    text: str
    reads: tuple[str, ...] = ()
    sets: frozenset[str] = frozenset()


def crossing(value: Any, texts: tuple[str, ...], of_program: Callable[[str], bool]) -> Crossing | None:
    """How a function of the tests', of which these are the texts, crosses; None where it does not.

    A name that the tests nowhere bind may be one `of_program`: as in one process, it is what the program has by it.

    What a test changed of it since, but for its defaults, no text says.
    """
    if type(value) is FunctionType:
        return _of_the_tests(value, texts, of_program)
    if _is_method(value):
        return Crossing(_METHOD.format(name=value.__name__), (_SELF,))
    if type(value) is operator.itemgetter:
        reduced: Any = value.__reduce__()
        _, items = reduced
        written = all(type(item) in (int, str) for item in items)
        return Crossing(f"from operator import itemgetter\n{FUNCTION} = itemgetter{items!r}") if written else None
    text = _library().get(id(value)) if isinstance(value, BuiltinFunctionType | MethodDescriptorType) else None
    return Crossing(text) if text else None


def _of_the_tests(value: FunctionType, texts: tuple[str, ...], of_program: Callable[[str], bool]) -> Crossing | None:
    code = value.__code__
    own = None if vars(value) or value.__name__ != code.co_name else definition(code, texts)
    variables = None if own is None else _variables(value, texts)
    if own is None or variables is None:
        return None
    names = [name for name in globals_of(code) if name not in variables]
    theirs = [name for name in names if _unknown(name, value) and of_program(name)]
    lines = [_line(name, value, texts) for name in names if name not in theirs]
    items = _AsItems(dict.fromkeys(variables, FUNCTION_VARIABLES) | dict.fromkeys(theirs, PROGRAM_NAMES))
    node = items.within(copy.deepcopy(own)) if items.names else own
    if None in lines or items.refused or (items.sets | locals_of(code)) & set(theirs):
        return None
    made = _written(node, value)
    text = "\n".join([*filter(None, lines), made or ""])
    return Crossing(text, variables, frozenset(items.sets)) if made and _is_of_the_language(text) else None


def _is_method(value: Any) -> bool:
    """Is it one of a container of the tests', as `log.append` is? The container is a variable of theirs then."""
    if not isinstance(value, BuiltinFunctionType) or type(value.__self__) not in (list, dict, set, deque):
        return False
    return value.__name__[:1] != "_"


def identity(value: Any) -> tuple[int, str]:
    """What two have in common that are the same function: a method is another object whenever it is asked for."""
    return (id(value.__self__), value.__name__) if _is_method(value) else (id(value), "")


def _variables(function: FunctionType, texts: tuple[str, ...]) -> tuple[str, ...] | None:
    """The names that the function and those in it have of the tests'; None if another thing there has such a name.

    Its own is one of them: by it a function that is decorated calls what the decorator made. So is one that the tests
    have yet to bind.
    """
    code = function.__code__
    names = dict.fromkeys(code.co_freevars)
    for name in globals_of(code):
        found = function.__globals__.get(name, _NOTHING)
        if found is _NOTHING:
            if any(name in _bound_in(text) for text in texts):
                names[name] = None
        elif not (isinstance(found, ModuleType) and found.__name__ in policy.MODULES):
            names[name] = None
    own = locals_of(code)
    taken = {FUNCTION_VARIABLES, PROGRAM_NAMES} & (own | names.keys())
    return None if own & names.keys() or taken else tuple(sorted(names))


def _unknown(name: str, function: FunctionType) -> bool:
    """Has nobody on this side anything by this name?"""
    return name != "" and name not in function.__globals__ and name not in vars(builtins)


@lru_cache(maxsize=256)
def _bound_in(text: str) -> set[str]:
    """The names of the tests' that the text binds; a builtin that it binds later is the builtin until then."""
    try:
        return bound_names(compile(text, "<text>", "exec", dont_inherit=True)) - _BUILTINS
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return _NOTHING


_NOTHING = object()


class Variables:
    """Those that one function has of the tests', in a dictionary that both sides have."""

    def __init__(self, function: Any, crosses: Crossing) -> None:
        self.names: dict[str, Any] = {}
        if type(function) is not FunctionType:
            self.names[_SELF] = function.__self__
            self._sets, self._globals, self._cells = crosses.sets, {}, {}
            return
        self._sets, self._globals = crosses.sets, function.__globals__
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        self._cells = {name: cells.get(name) for name in crosses.reads}
        self.read()

    def read(self) -> None:
        """What the tests have bound now."""
        for name, cell in self._cells.items():
            found = self._globals.get(name, _NOTHING) if cell is None else _content(cell)
            if found is _NOTHING:
                self.names.pop(name, None)
            elif self.names.get(name, _NOTHING) is not found:
                self.names[name] = found

    def write(self) -> None:
        """What the function has bound, where it does."""
        for name in self._sets & self.names.keys():
            cell = self._cells[name]
            if cell is None:
                self._globals[name] = self.names[name]
            else:
                cell.cell_contents = self.names[name]


class _AsItems(ast.NodeTransformer):
    """Makes names items of the dictionaries that they are given with."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names, self.sets, self.refused = names, set[str](), False

    def within(self, function: Definition) -> Definition:
        """The same for what stands in it, and not for its own name, which it has of the text that it crosses in."""
        super().generic_visit(function)
        return function

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id not in self.names:
            return node
        if not isinstance(node.ctx, ast.Load):
            self.sets.add(node.id)
        self.refused |= isinstance(node.ctx, ast.Del)
        return ast.Subscript(ast.Name(self.names[node.id], ast.Load()), ast.Constant(node.id), node.ctx)

    def _declared(self, node: ast.Global | ast.Nonlocal) -> ast.stmt:
        names = [name for name in node.names if name not in self.names]
        return type(node)(names) if names else ast.Pass()

    visit_Global = visit_Nonlocal = _declared

    def generic_visit(self, node: ast.AST) -> ast.AST:
        # What binds a name that is no `Name` there.
        bound = (getattr(node, part, None) for part in ("name", "asname", "rest"))
        self.refused |= any(name in self.names for name in bound)
        return super().generic_visit(node)


def _written(node: Definition, function: FunctionType) -> str | None:
    """The text of the function with its defaults as they are: what they were written as may be another value there."""
    given, named = function.__defaults__ or (), function.__kwdefaults__ or {}
    if not all(type(default) in _PLAIN and default == default for default in (*given, *named.values())):
        return None
    if len(given) > len(node.args.posonlyargs) + len(node.args.args):
        return None
    parts = dict(ast.iter_fields(node.args))
    parts["defaults"] = list(map(ast.Constant, given))
    parts["kw_defaults"] = [ast.Constant(named[one.arg]) if one.arg in named else None for one in node.args.kwonlyargs]
    if isinstance(node, ast.Lambda):
        return f"{FUNCTION} = {_unparsed(ast.Lambda(ast.arguments(**parts), node.body))}"
    kinds = {name: _annotation(kind) for name, kind in function.__annotations__.items()}
    for part in ("posonlyargs", "args", "kwonlyargs"):
        parts[part] = [ast.arg(one.arg, kinds.get(one.arg)) for one in parts[part]]
    for part in ("vararg", "kwarg"):
        parts[part] = parts[part] and ast.arg(parts[part].arg, kinds.get(parts[part].arg))
    made = type(node)(node.name, ast.arguments(**parts), node.body, [], kinds.get("return"))
    return f"{_unparsed(made)}\n{FUNCTION} = {node.name}"


def _unparsed(node: ast.AST) -> str:
    return ast.unparse(ast.fix_missing_locations(node))


def _annotation(kind: Any) -> ast.Name | None:
    """One that a program may ask for, where it is a builtin: others are left out."""
    name = getattr(kind, "__name__", "")
    return ast.Name(name) if name in _BUILTINS and vars(builtins).get(name) is kind else None


def _line(name: str, function: FunctionType, texts: tuple[str, ...]) -> str | None:
    """What a text of the function's must begin with for this global of its; None where nothing does."""
    found = function.__globals__.get(name)
    if found is None:
        return "" if name in _BUILTINS else None
    seeded = found is random and any("seed" in text for text in texts)  # it means the tests' chance
    return None if seeded or name == FUNCTION else f"import {found.__name__} as {name}"


@lru_cache(maxsize=64)
def _is_of_the_language(text: str) -> bool:
    """Is it nothing that a program would be refused for? That is not its fault, if a test hands it in."""
    try:
        translate(text)
    except (Refused, SyntaxError):
        return False
    return True


@lru_cache(maxsize=1)
def _library() -> dict[int, str]:
    found = {id(vars(builtins)[name]): f"{FUNCTION} = {name}" for name in _BUILTINS if name in vars(builtins)}
    for kind in TYPES.values():
        for name, value in vars(kind).items():
            if vars(builtins).get(kind.__name__) is kind:
                found[id(value)] = f"{FUNCTION} = {kind.__name__}.{name}"
    for room in _LIBRARY:
        module = importlib.import_module(room)
        names = [name for name in policy.MODULES[room] if hasattr(module, name)]
        found |= {id(getattr(module, name)): f"from {room} import {name} as {FUNCTION}" for name in names}
    return found

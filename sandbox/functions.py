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
import dis
import importlib
import operator
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodDescriptorType, ModuleType
from typing import Any

from sandbox import policy
from sandbox.codec import FUNCTION, FUNCTION_VARIABLES, PROGRAM_NAMES
from sandbox.foresee import bound_names
from sandbox.library_values import TYPES

_LIBRARY = ("math", "operator")
_SELF = "self"
_METHOD = f"""def {{name}}(*args, **names):
    return {FUNCTION_VARIABLES}[{_SELF!r}].{{name}}(*args, **names)
{FUNCTION} = {{name}}"""
_BUILTINS = frozenset(policy.BUILTINS) | {"print"}
_LOADS = ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL")
_SETS = ("DELETE_GLOBAL", "IMPORT_NAME", "LOAD_BUILD_CLASS")
_NESTED = 0x10  # a flag of code that stands in a function's
_PLAIN = (type(None), bool, int, float, str)
_Node = ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef


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
    if type(value) is not FunctionType:
        if _is_method(value):
            return Crossing(_METHOD.format(name=value.__name__), (_SELF,))
        if type(value) is operator.itemgetter:
            items = value.__reduce__()[1]
            written = all(type(item) in (int, str) for item in items)
            return Crossing(f"from operator import itemgetter\n{FUNCTION} = itemgetter{items!r}") if written else None
        text = _library().get(id(value)) if isinstance(value, BuiltinFunctionType | MethodDescriptorType) else None
        return Crossing(text) if text else None
    if vars(value) or value.__name__ != value.__code__.co_name:
        return None
    own = _own(value.__code__, texts)
    variables = None if own is None else _variables(value, texts)
    if own is None or variables is None:
        return None
    names = [name for name in _globals(value.__code__) if name not in variables]
    theirs = [name for name in names if _unknown(name, value) and of_program(name)]
    names = [name for name in names if name not in theirs]
    if not _locals(value.__code__).isdisjoint(theirs):
        return None
    items = _AsItems(dict.fromkeys(variables, FUNCTION_VARIABLES) | dict.fromkeys(theirs, PROGRAM_NAMES))
    node = items.within(copy.deepcopy(own)) if variables or theirs else own
    lines = [_line(name, value, texts) for name in names]
    refused = items.refused or not items.sets.isdisjoint(theirs)
    made = None if None in lines or refused else _written(node, value)
    return None if made is None else Crossing("\n".join([*filter(None, lines), made]), variables, frozenset(items.sets))


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
    for name in _globals(code):
        found = function.__globals__.get(name, _NOTHING)
        if found is _NOTHING:
            if any(name in _bound_in(text) for text in texts):
                names[name] = None
        elif not (isinstance(found, ModuleType) and found.__name__ in policy.MODULES):
            names[name] = None
    own = _locals(code)
    taken = {FUNCTION_VARIABLES, PROGRAM_NAMES} & (own | names.keys())
    return None if own & names.keys() or taken else tuple(sorted(names))


def _locals(code: CodeType) -> set[str]:
    return {name for one in _every(code) for name in (*one.co_varnames, *one.co_cellvars)}


def _unknown(name: str, function: FunctionType) -> bool:
    """Has nobody on this side anything by this name?"""
    return not (name in function.__globals__ or name in ("", function.__name__) or name in vars(builtins))


@lru_cache(maxsize=256)
def _bound_in(text: str) -> set[str]:
    """The names of the tests' that the text binds; a builtin that it binds later is the builtin until then."""
    try:
        return bound_names(compile(text, "<text>", "exec", dont_inherit=True)) - _BUILTINS
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()


def _every(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in _inner(code):
        yield from _every(inner)


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

    def within(self, function: _Node) -> _Node:
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
        # What binds a name that is no `Name` there, or takes nothing else.
        bound = (getattr(node, part, None) for part in ("name", "asname", "rest"))
        walrus = isinstance(node, ast.NamedExpr) and node.target.id in self.names
        self.refused |= walrus or any(isinstance(name, str) and name in self.names for name in bound)
        return super().generic_visit(node)


def _written(node: _Node, function: FunctionType) -> str | None:
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
    return ast.Name(name) if name in TYPES and vars(builtins).get(name) is kind else None


def _line(name: str, function: FunctionType, texts: tuple[str, ...]) -> str | None:
    """What a text of the function's must begin with for this global of its; None where nothing does."""
    found = function.__globals__.get(name, function)
    if isinstance(found, ModuleType) and found.__name__ in policy.MODULES:
        seeded = found is random and any("seed" in text for text in texts)  # it means the tests' chance
        return None if seeded or name == FUNCTION else f"import {found.__name__} as {name}"
    known = name == function.__name__ or (name in _BUILTINS and name not in function.__globals__)
    return "" if found is function and known else None


@lru_cache(maxsize=1)
def _library() -> dict[int, str]:
    found = {id(vars(builtins)[name]): f"{FUNCTION} = {name}" for name in _BUILTINS if name in vars(builtins)}
    for kind in TYPES.values():
        for name, value in vars(kind).items():
            if vars(builtins).get(kind.__name__) is kind and isinstance(value, MethodDescriptorType):
                found[id(value)] = f"{FUNCTION} = {kind.__name__}.{name}"
    for room in _LIBRARY:
        module = importlib.import_module(room)
        names = [name for name in policy.MODULES[room] if hasattr(module, name)]
        found |= {id(getattr(module, name)): f"from {room} import {name} as {FUNCTION}" for name in names}
    return found


@lru_cache(maxsize=64)
def _own(code: CodeType, texts: tuple[str, ...]) -> _Node | None:
    """The `lambda` or `def` that has this code. Two that have it differ in what the function itself says, if at all."""
    for text in texts:
        for node, own in _functions(text):
            if _first_line(node) != code.co_firstlineno:
                continue
            made = _compiled(node, _imports(ast.parse(text)), code.co_freevars) if code.co_freevars else own
            if made is not None and _same(code, made):
                return node
    return None


def _first_line(node: _Node) -> int:
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return decorators[0].lineno if decorators else node.lineno


@lru_cache(maxsize=256)
def _functions(text: str) -> list[tuple[_Node, CodeType | None]]:
    """The functions that stand in the text, and their code if nothing is around them."""
    try:
        tree = ast.parse(text)
        before, nodes = _imports(tree), list(ast.walk(tree))
        return [(node, _compiled(node, before)) for node in nodes if isinstance(node, _Node)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _imports(tree: ast.Module) -> str:
    """Lines that import what the text does, or anything else by these names."""
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [alias.asname or alias.name.partition(".")[0] for node in imports for alias in node.names]
    return "".join(f"import {name}\n" for name in names if name != "*")


def _compiled(node: _Node, imports: str, around: tuple[str, ...] = ()) -> CodeType | None:
    """Its code in a function that has the names `around`; None where it needs others.

    CPython calls attributes of what the same text imports in a way of its own.
    """
    if isinstance(node, ast.Lambda):
        bare: ast.stmt = ast.Expr(ast.Lambda(_bare(node.args), node.body))
    else:
        bare = type(node)(node.name, _bare(node.args), node.body, [], None)
    # With its lines as they are: CPython leaves a place to stop at for one that has no more than `try:`.
    made = ast.fix_missing_locations(ast.copy_location(bare, node))
    if around:
        (outer,) = ast.parse(f"def around({', '.join(around)}): pass").body
        vars(outer)["body"] = [made]
        made = outer
    module = ast.Module([*ast.parse(imports).body, made], [])
    try:
        code = _inner(compile(module, "<function>", "exec", dont_inherit=True, optimize=0))[-1]
    except SyntaxError:
        return None
    return _inner(code)[-1] if around else code


def _bare(args: ast.arguments) -> ast.arguments:
    """Without what runs where the function is made."""
    parts = dict(ast.iter_fields(args))
    for part in ("posonlyargs", "args", "kwonlyargs"):
        parts[part] = [ast.arg(one.arg) for one in parts[part]]
    for part in ("vararg", "kwarg"):
        parts[part] = parts[part] and ast.arg(parts[part].arg)
    return ast.arguments(**parts | {"defaults": [], "kw_defaults": [None] * len(args.kwonlyargs)})


def _inner(code: CodeType) -> list[CodeType]:
    return [value for value in code.co_consts if isinstance(value, CodeType)]


def _same(one: CodeType, other: CodeType) -> bool:
    return _described(one) == _described(other) and all(map(_same, _inner(one), _inner(other)))


def _described(code: CodeType) -> tuple[Any, ...]:
    constants = [repr(value) for value in code.co_consts if not isinstance(value, CodeType)]
    counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & ~_NESTED
    return code.co_name, code.co_code, code.co_names, code.co_varnames, constants, counts


@lru_cache(maxsize=64)
def _globals(code: CodeType) -> list[str]:
    """The names that it looks up outside itself; one that no text can have for what it does otherwise."""
    return list(dict.fromkeys(_looked_up(code)))


def _looked_up(code: CodeType) -> Iterator[str]:
    for step in dis.get_instructions(code):
        if step.opname in _LOADS:
            yield step.argval
        elif step.opname in _SETS:
            yield ""
    for inner in _inner(code):
        yield from _looked_up(inner)

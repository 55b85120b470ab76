"""What `import` gives a program: fresh module objects that hold the listed names and nothing else.

Each world has its own copies, so a program that patches a module patches only its own. The values inside are shared:
functions of the library, and its classes, which `freeze_types` makes immutable.
"""

import abc
import functools
import importlib
import types
import typing
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from sandbox import attributes, classes, copying, guards, policy, records, replacements, rules
from sandbox.rules import is_allowed_by_recipe, is_dunder, module_message, module_rule
from sandbox.stops import refuse

Names = dict[str, Any]
# Stand-ins whose real module is never imported: asyncio would bring ssl, logging and subprocess into every zygote, and
# make each fork a sixth dearer. What they lack is refused, be it a name of the real one's or a mistake.
NOT_IMPORTED = frozenset({"asyncio"})


@functools.cache
def library_names(module: str) -> Names:
    """The listed names of a real module, those of ours in place of the ones that read attributes by string."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        real = importlib.import_module(module)
        names = {name: getattr(real, name) for name in policy.MODULES[module] if hasattr(real, name)}
    replaced = REPLACED.get(module)
    return names | replaced() if replaced else names


@functools.cache
def real_names(module: str) -> frozenset[str]:
    """What the real module offers, to tell a refusal from a mistake of the program's."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return frozenset(dir(importlib.import_module(module)))
    except ImportError:
        return frozenset(policy.MODULES.get(module, ()))


class Importer:
    """One world's modules. `stand_ins` make the names of those modules that depend on the world."""

    def __init__(self, stand_ins: dict[str, Callable[[], Names]], allow_modules: frozenset[str]) -> None:
        self.stand_ins, self.allow_modules = stand_ins, allow_modules
        self.loaded: dict[str, Any] = {}

    def module(self, name: str, tries: bool = False) -> Any:
        found = self.loaded.get(name)
        if found is None:
            found = self.loaded[name] = self._make(name, tries)
        return found

    def _make(self, name: str, tries: bool) -> Any:
        rule, top = module_rule(name, self.allow_modules), name.partition(".")[0]
        if rule == "refuse" and not tries:
            refuse("module", module_message(name))
        if rule in ("refuse", "absent"):
            raise ModuleNotFoundError(f"No module named {top!r}", name=top)
        if is_allowed_by_recipe(name, self.allow_modules):
            return importlib.import_module(name)  # allowed by the recipe, as it is
        module = types.ModuleType(name)
        make = self.stand_ins.get(name) or functools.partial(library_names, name)
        vars(module).update(make() if name in policy.MODULES else {}, __getattr__=_absent(name))
        for submodule in ("abc", "path"):
            if f"{name}.{submodule}" in policy.MODULES:
                setattr(module, submodule, self.module(f"{name}.{submodule}"))
        return module

    def import_module(self, name: str, whole: bool, tries: bool) -> Any:
        """`import a.b` binds a, `import a.b as c` binds a.b."""
        found = self.module(name, tries)
        return found if whole or "." not in name else self.module(name.partition(".")[0], tries)

    def import_name(self, module: str, name: str, tries: bool) -> Any:
        found = self.module(module, tries)
        if name == "*":
            refuse("module", f"from {module} import * is not allowed: its names are not known; import them by name")
        if module_rule(module, self.allow_modules) == "inert":
            return guards.Forbidden(f"{module}.{name}")
        try:
            return vars(found)[name] if name in vars(found) else attributes.safe_getattr(found, name)
        except AttributeError:
            if f"{module}.{name}" in policy.MODULES:
                return self.module(f"{module}.{name}")
            raise ImportError(f"cannot import name {name!r} from {module!r}", name=module) from None

    def dunder_import(
        self, name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> Any:
        return self.import_module(rules.exact_name(name), bool(fromlist), False)


def hidden_import(name: str, *rest: Any) -> None:
    """builtins.__import__ for C code of the library that imports on a program's behalf, such as strptime.

    Such code takes the module from sys.modules afterwards. A program's own `__import__` is another name.
    """
    importlib.import_module(name)


def _absent(module: str) -> Callable[[str], Any]:
    def __getattr__(name: str) -> Any:
        if not is_dunder(name) and (
            module not in policy.MODULES or module in NOT_IMPORTED or name in real_names(module)
        ):
            refuse("module-name", f"{module}.{name} is not allowed")
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return __getattr__


# typing, some of whose functions evaluate strings or give out metaclasses. A class made by NamedTuple(...) is named
# after this file.


def _get_type_hints(value: Any, *options: Any, **more: Any) -> dict[str, Any]:
    kinds = reversed(value.__mro__) if isinstance(value, type) else (value,)
    hints: dict[str, Any] = {}
    for kind in kinds:
        hints |= vars(kind).get("__annotations__", {}) if isinstance(kind, type) else kind.__annotations__
    if any(isinstance(hint, str) for hint in hints.values()):
        refuse("module-name", "typing.get_type_hints would evaluate an annotation that is a string")
    return {name: type(None) if hint is None else hint for name, hint in hints.items()}


def _overload(function: Any) -> Any:
    def overloaded(*args: Any, **keywords: Any) -> Any:
        raise NotImplementedError("You should not call an overloaded function.")

    return overloaded


def _get_args(value: Any, /) -> Any:
    """typing.get_args, with no metaclass in what comes out, however deep."""
    return _unwrapped(typing.get_args(value))


def _unwrapped(value: Any) -> Any:
    if type(value) in (tuple, list):
        return type(value)(map(_unwrapped, value))
    return classes.without_metaclass(value)


def _named_tuple(typename: Any, fields: Any = (), /, **more: Any) -> Any:
    """typing.NamedTuple, called or as a base."""
    return classes.checked_class(typing.NamedTuple(typename, fields or list(more.items())))


_named_tuple.__name__ = _named_tuple.__qualname__ = "NamedTuple"
_named_tuple.__mro_entries__ = lambda bases: typing.NamedTuple.__mro_entries__((typing.NamedTuple,))  # type: ignore[attr-defined]


def _typing_names() -> Names:
    return {
        "NamedTuple": _named_tuple,
        "Type": classes.TYPE,
        "get_args": _get_args,
        "get_origin": lambda value, /: classes.without_metaclass(typing.get_origin(value)),
        "get_type_hints": _get_type_hints,
        "overload": _overload,
        "reveal_type": lambda value, /: value,
    }


REPLACED: dict[str, Callable[[], Names]] = {
    "abc": lambda: {
        "ABCMeta": classes.ABC_META,
        "abstractclassmethod": lambda callable, /: classmethod(abc.abstractmethod(callable)),
        "abstractstaticmethod": lambda callable, /: staticmethod(abc.abstractmethod(callable)),
    },
    "collections": lambda: {"namedtuple": replacements.named_tuple},
    "copy": copying.names,
    "dataclasses": records.names,
    "functools": replacements.functools_names,
    "operator": replacements.operator_names,
    "struct": lambda: {"Struct": replacements.Struct},
    "types": lambda: {"SimpleNamespace": guards.Namespace},
    "typing": _typing_names,
}


def typing_extension_names() -> Names:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = {n: getattr(typing, n) for n in policy.MODULES["typing_extensions"] if hasattr(typing, n)}
    return names | {"NamedTuple": _named_tuple}


def library_classes() -> Iterable[type]:
    """The classes that programs can reach by a name of a module, with their bases."""
    for module in policy.MODULES.keys() - policy.STAND_INS:
        for value in library_names(module).values():
            if isinstance(value, type):
                yield from value.__mro__

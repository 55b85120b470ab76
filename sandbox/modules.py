"""What `import` gives a program: fresh module objects that hold the listed names and nothing else.

Each world has its own copies, so a program that patches a module patches only its own. The values inside are shared:
functions of the library, and its classes, which `freeze_types` makes immutable.
"""

import abc
import functools
import importlib
import struct
import sys
import types
import typing
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from sandbox import attributes, classes, copying, guards, policy, records, rules
from sandbox.rules import is_allowed_by_recipe, is_dunder, load_rule, module_message, module_rule
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


# Replacements: functions of the library that read attributes by name, evaluate strings or write to real streams


def _wraps(wrapped: Any, *options: Any, **more: Any) -> Callable[[Any], Any]:
    if options or more:
        refuse("module-name", "functools.wraps takes one argument here")
    return lambda wrapper: _update_wrapper(wrapper, wrapped)


_TEXTS = ("__name__", "__qualname__", "__doc__")


def _update_wrapper(wrapper: Any, wrapped: Any, *options: Any, **more: Any) -> Any:
    if options or more:
        refuse("module-name", "functools.update_wrapper takes two arguments here")
    for name in _TEXTS:
        value = attributes.safe_getattr(wrapped, name, None)
        if value is not None:
            attributes.safe_setattr(wrapper, name, value)
    if type(wrapper) is types.FunctionType and type(wrapped) is types.FunctionType:
        if classes.made_by_program(wrapper):
            # A function of the library may hold the methods of a class: contextmanager() takes all it finds on one.
            own = classes.made_by_program(wrapped)
            wrapper.__dict__.update(wrapped.__dict__ if own else attributes.dictionary(wrapped))
            wrapper.__wrapped__ = wrapped  # type: ignore[attr-defined]
            if own:
                wrapper.__annotations__ = dict(wrapped.__annotations__)
    return wrapper


def _singledispatch(function: Any) -> Any:
    """functools.singledispatch without its evaluation of annotations that are strings."""
    table: dict[Any, Any] = {object: function}

    def dispatch(kind: Any) -> Any:
        for base in kind.__mro__:
            if base in table:
                return table[base]
        for known, action in table.items():
            if isinstance(known, type) and issubclass(kind, known) and known is not object:
                return action
        return function

    def register(kind: Any, action: Any = None) -> Any:
        own = issubclass(type(kind), type)
        if action is not None:
            if not own:  # what is no class would be compared with every class asked for, metaclasses among them
                raise TypeError(f"Invalid first argument to `register()`. {kind!r} is not a class or union type.")
            table[kind] = action
            return action
        if own:
            return lambda action: register(kind, action)
        annotations = list(attributes.attr(kind, "__annotations__").values())
        if not annotations or not issubclass(type(annotations[0]), type):
            refuse("module-name", "singledispatch.register needs a class, here or as the first annotation")
        table[annotations[0]] = kind
        return kind

    def wrapper(*args: Any, **keywords: Any) -> Any:
        if not args:
            raise TypeError(f"{wrapper.__name__} requires at least 1 positional argument")
        return dispatch(type(args[0]))(*args, **keywords)

    wrapper.__name__ = wrapper.__qualname__ = attributes.safe_getattr(function, "__name__", "wrapper")
    wrapper.register, wrapper.dispatch = register, dispatch  # type: ignore[attr-defined]
    return wrapper


def _lru_cache(maxsize: Any = 128, typed: Any = False) -> Any:
    """functools.lru_cache. With `typed` the real one compares types with arguments, which have an `__eq__` to see them.

    Here they stand in a tuple of their own, at the head of every key.
    """
    typed = bool(typed)
    if not typed:
        return functools.lru_cache(maxsize)
    if callable(maxsize):
        return _typed_cache(maxsize, 128)
    return lambda function: _typed_cache(function, maxsize)


def _typed_cache(function: Any, maxsize: Any) -> Any:
    @functools.lru_cache(maxsize)
    def cached(kinds: Any, /, *args: Any, **keywords: Any) -> Any:
        return function(*args, **keywords)

    def wrapper(*args: Any, **keywords: Any) -> Any:
        return cached((*map(type, args), *map(type, keywords.values())), *args, **keywords)

    _update_wrapper(wrapper, function)
    wrapper.__wrapped__ = function  # type: ignore[attr-defined]
    wrapper.cache_info, wrapper.cache_clear = cached.cache_info, cached.cache_clear  # type: ignore[attr-defined]
    wrapper.cache_parameters = lambda: {"maxsize": maxsize, "typed": True}  # type: ignore[attr-defined]
    return wrapper


class Struct:
    """struct.Struct. The real one, made anew by its `__init__`, frees the format, even while it asks a program's
    `__index__` what to pack by it, and then gives out the memory after what it packed.

    Its methods take their own objects only: an object with a `__getattr__` would have them read the `format` of a str.
    """

    __slots__ = ("_sandbox_real",)

    def __init__(self, format: Any) -> None:
        _REAL.__set__(self, struct.Struct(format))

    @property
    def format(self) -> str:
        return _REAL.__get__(self).format

    @property
    def size(self) -> int:
        return _REAL.__get__(self).size

    def pack(self, *values: Any) -> bytes:
        return _REAL.__get__(self).pack(*values)

    def pack_into(self, buffer: Any, offset: Any, *values: Any) -> None:
        _REAL.__get__(self).pack_into(buffer, offset, *values)

    def unpack(self, buffer: Any, /) -> Any:
        return _REAL.__get__(self).unpack(buffer)

    def unpack_from(self, buffer: Any, offset: Any = 0) -> Any:
        return _REAL.__get__(self).unpack_from(buffer, offset)

    def iter_unpack(self, buffer: Any, /) -> Any:
        return _REAL.__get__(self).iter_unpack(buffer)


_REAL: Any = vars(Struct)["_sandbox_real"]
Struct.__module__ = "_struct"


def _attrgetter(*paths: str) -> Callable[[Any], Any]:
    if not paths:
        raise TypeError("attrgetter expected 1 argument, got 0")
    parts = [rules.exact_name(path).split(".") for path in paths]

    def get(value: Any) -> Any:
        found = [functools.reduce(attributes.safe_getattr, names, value) for names in parts]
        return found[0] if len(found) == 1 else tuple(found)

    return get


def _methodcaller(name: str, /, *args: Any, **keywords: Any) -> Callable[[Any], Any]:
    name = rules.exact_name(name)
    return lambda value: attributes.safe_getattr(value, name)(*args, **keywords)


def named_tuple(
    typename: Any, field_names: Any, *, rename: Any = False, defaults: Any = None, module: Any = None
) -> Any:
    import collections

    rename = bool(rename)  # asked twice, a program's object might let a special name through
    if not isinstance(field_names, str):
        field_names = [rules.exact_name(str(name)) for name in field_names]
    return classes.checked_class(
        collections.namedtuple(typename, field_names, rename=rename, defaults=defaults, module="__main__")
    )


def enum_of(
    call: Callable[..., Any], base: Any, value: Any, names: Any = None, *, start: int = 1, type: Any = None, **more: Any
) -> Any:
    """Enum(name, names): a class with these members, by the rules of a class statement; else `call`, the real one."""
    import enum

    if names is None:
        return call(base, value)
    if base.__members__:  # not left to `call`, which looks again, at what a program may have put there
        if sys.version_info < (3, 12):
            raise TypeError(f"{value!r} cannot extend {base!r}")
        return base.__new__(base, (value, names))
    if not any(type is one for one in (None, int, str, float)) or more.keys() - {"module", "qualname"}:
        refuse("module-name", "Enum() takes a name, the members, start and type=int, str or float here")
    if isinstance(names, str):
        names = str.__str__(names).replace(",", " ").split()
    members = list(names.items()) if isinstance(names, dict) else list(names)
    if not all(isinstance(member, tuple | list) for member in members):
        flags = issubclass(base, enum.Flag)
        members = [(member, enum.auto() if flags or start == 1 else start + i) for i, member in enumerate(members)]
    bases = (base,) if type is None else (type, base)
    name, kind = rules.exact_name(value), base.__class__
    body = kind.__prepare__(name, bases)
    for member, item in members:
        member = rules.exact_name(member)
        if member.startswith("_") or load_rule(member) != "free":
            refuse("special-name", f"a member of an Enum may not be called {member!r}")
        body[member] = item
    return classes.checked_class(kind(name, bases, body))


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
    "collections": lambda: {"namedtuple": named_tuple},
    "copy": copying.names,
    "dataclasses": records.names,
    "functools": lambda: {
        "lru_cache": _lru_cache,
        "wraps": _wraps,
        "update_wrapper": _update_wrapper,
        "singledispatch": _singledispatch,
    },
    "operator": lambda: {"attrgetter": _attrgetter, "methodcaller": _methodcaller},
    "struct": lambda: {"Struct": Struct},
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

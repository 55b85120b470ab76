"""What programs get in place of functions and classes of the library that would go round the rules.

Those read attributes by a name that they are given, evaluate strings, ask a program's objects while C code relies on
what it has, or make a class without a class statement. `modules.REPLACED` says which names these are.
"""

import functools
import struct
import sys
import types
from collections.abc import Callable
from typing import Any

from sandbox import attributes, classes, rules
from sandbox.rules import load_rule
from sandbox.stops import refuse


def functools_names() -> dict[str, Any]:
    return {
        "lru_cache": _lru_cache,
        "wraps": _wraps,
        "update_wrapper": _update_wrapper,
        "singledispatch": _singledispatch,
    }


def operator_names() -> dict[str, Any]:
    return {"attrgetter": _attrgetter, "methodcaller": _methodcaller}


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

"""Methods of the library that would do for a program what it may not do itself, given an object they are not meant for.

A method written in Python takes anything for `self`: `Counter.copy(int)` is `int.__class__(int)`, the real `type`, and
`typing`'s aliases read whatever attribute they are asked for off whatever they stand for. Here each is held to the
objects it belongs to. In the confined process only, before anything is frozen.
"""

import _random
import _strptime
import _thread
import calendar
import enum
import functools
import importlib
import random
import statistics
import typing
import warnings
from collections import UserDict, UserList
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

from sandbox import attributes, classes, policy, replacements, stops
from sandbox.private import classes_of, library_inner, library_private, names_in

# What tells the class of an object, and so may call it: type(self)(...), self.__class__(...).
# `__repr__` and `__str__` only ask its name, and pprint knows classes by the very function.
_TELLING = frozenset({"__class__", "type"})
_TEXTS = frozenset({"__repr__", "__str__"})
_STANDS_BY = frozenset({"__origin__", "_inst", "_name"})


@functools.cache
def hold_to_their_objects() -> None:
    """Idempotent."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in policy.MODULES.keys() - policy.STAND_INS | {"random"}:
            importlib.import_module(name)
    library_private(), library_inner()  # read off the real methods
    for kind, name, value in list(_entries()):
        if isinstance(value, FunctionType) and name not in _TEXTS and _tells_class_of_self(value):
            type.__setattr__(kind, name, _of_instances(value))
        elif isinstance(value, property) and isinstance(value.fget, FunctionType) and _tells_class_of_self(value.fget):
            type.__setattr__(kind, name, property(_of_instances(value.fget), value.fset, value.fdel, value.__doc__))
    _read_by_the_rules(vars(typing)["_BaseGenericAlias"], "__getattr__")
    for name in ("_BaseGenericAlias", "_UnionGenericAlias"):
        _ask_the_class(vars(typing)[name])
    _read_by_the_rules(enum.property, "__get__")
    type.__setattr__(functools.cached_property, "__get__", _named_like(_cached, functools.cached_property.__get__))
    call = _calling(enum.EnumMeta.__call__)
    type.__setattr__(enum.EnumMeta, "__call__", _named_like(call, enum.EnumMeta.__call__))
    vars(statistics)["_convert"] = _to_no_metaclass(vars(statistics)["_convert"])
    vars(statistics)["random"] = _Chance()
    for name in ("__init__", "seed"):
        real = vars(_random.Random)[name]
        type.__setattr__(_random.Random, name, _named_like(_seeding(real), getattr(random.Random, name)))
    vars(_strptime)["_cache_lock"] = _thread.RLock()  # a format's `__hash__` is asked while it is held
    vars(typing)["compile"] = _checking
    reference = typing.ForwardRef
    type.__setattr__(reference, "__init__", _only_its_own(vars(reference)["__init__"]))
    type.__setattr__(reference, "_evaluate", _unevaluated(vars(reference)["_evaluate"]))
    alias = vars(typing)["_BaseGenericAlias"]
    type.__setattr__(alias, "__setattr__", _standing_for_one(vars(alias)["__setattr__"]))
    _without_typed_caches()
    _without_power_over_names()


def _checking(source: str, filename: str, mode: str) -> Any:
    """compile() for a ForwardRef, which sets the code on whatever it is given for `self`: for a program's, none at all.

    Nothing evaluates the text of a program's: it was never translated. And any code object's `replace` makes bytecode.
    """
    code = compile(source, filename, mode, dont_inherit=True)
    return None if stops.running() else code


def _unevaluated(evaluate: FunctionType) -> Callable[..., Any]:
    """ForwardRef._evaluate, which puts the real builtins into the globals it is given: not while a program runs."""

    def _evaluate(self: Any, /, *args: Any, **keywords: Any) -> Any:
        if stops.running():
            raise TypeError("an annotation that is a string is not evaluated")
        return evaluate(self, *args, **keywords)

    return _named_like(_evaluate, evaluate)


def _only_its_own(init: FunctionType) -> Callable[..., Any]:
    """ForwardRef.__init__ for a ForwardRef. A program's object has a `__setattr__`, to which it would hand the code."""

    def __init__(self: Any, /, *args: Any, **keywords: Any) -> None:
        if type(self) is not typing.ForwardRef:
            raise TypeError(f"expected a ForwardRef, found a {classes.name_of(type(self))}")
        init(self, *args, **keywords)

    return _named_like(__init__, init)


def _standing_for_one(set_attribute: FunctionType) -> Callable[..., Any]:
    """Setting an attribute of an alias, but for what it stands for, which `__init__` would set again.

    A class header asks it after `guards` did, and an `==` of the program's may run in between.
    """

    def __setattr__(self: Any, attr: str, val: Any) -> None:
        if attr in _STANDS_BY and stops.running() and attr in object.__getattribute__(self, "__dict__"):
            raise TypeError("what an alias of typing's stands for cannot be changed")
        set_attribute(self, attr, val)

    return _named_like(__setattr__, set_attribute)


def _without_typed_caches() -> None:
    """Those of Literal and Annotated compare the types in one with what stands in another, by its `__eq__`."""
    clearing: list[Any] = vars(typing)["_cleanups"]
    caches = [clear.__self__ for clear in clearing]
    typed = {cache.__wrapped__ for cache in caches if cache.cache_parameters()["typed"]}
    for value in list(vars(typing).values()):
        form: Any = value
        if isinstance(value, type):
            for name, method in list(vars(value).items()):
                if isinstance(method, FunctionType) and getattr(method, "__wrapped__", None) in typed:
                    type.__setattr__(value, name, vars(method)["__wrapped__"])
        elif getattr(getattr(form, "_getitem", None), "__wrapped__", None) in typed:
            form._getitem = form._getitem.__wrapped__


def _without_power_over_names() -> None:
    """Some objects of the library's would read or keep what a program has no way to read, under names that it gives."""
    # A member keeps the functions of what else has its name in the bases of the Enum: `str.format`, say.
    type.__setattr__(enum.property, "__setattr__", _keeps_no_descriptor)
    for kind in (type(calendar.day_name), type(calendar.month_name)):
        type.__setattr__(kind, "__getitem__", _of_its_own(kind, vars(kind)["__getitem__"]))
    for base in (UserDict, UserList):
        type.__setattr__(base, "__copy__", _named_like(_copying(base), vars(base)["__copy__"]))
    member = vars(enum)["_proto_member"]
    type.__setattr__(member, "__set_name__", _making_members(member.__set_name__))
    if "_dataclass_repr" in vars(enum):  # since Python 3.12
        vars(enum)["_dataclass_repr"] = _by_the_rules(vars(enum)["_dataclass_repr"])


def _keeps_no_descriptor(self: Any, name: str, value: Any) -> None:
    """Setting an attribute of an enum.property, but for those that nothing ever reads."""
    if name not in ("_get", "_set", "_del"):
        object.__setattr__(self, name, value)


def _of_its_own(kind: type, function: FunctionType) -> Callable[..., Any]:
    """The method, which takes an object of the class for `self`, that is no str as well: it reads its `format`."""

    def method(self: Any, /, *args: Any) -> Any:
        if kind not in type(self).__mro__ or issubclass(type(self), str):
            raise TypeError(f"{function.__qualname__}() takes a {kind.__name__} that is no str")
        return function(self, *args)

    return _named_like(method, function)


def _copying(base: type) -> Callable[[Any], Any]:
    """The `__copy__` of a UserDict or UserList. The real one fills in whatever object a class's `__new__` gives."""

    def __copy__(self: Any, /) -> Any:
        kind = type(self)
        made = kind.__new__(kind) if issubclass(kind, base) else None
        if type(made) is not kind:
            raise TypeError(f"__copy__() expected a {base.__name__} and a new one of its class")
        ours, theirs = (object.__getattribute__(one, "__dict__") for one in (made, self))
        ours.update(theirs)
        ours["data"] = theirs["data"].copy() if base is UserDict else theirs["data"][:]
        return made

    return __copy__


def _making_members(set_name: Callable[..., None]) -> Callable[..., None]:
    """What makes a member of an Enum: sets its attributes and calls its `__init__`, if it is an object of the Enum."""

    def __set_name__(self: Any, kind: Any, name: str) -> None:
        new = kind._new_member_

        def checked(*args: Any) -> Any:
            made = new(*args)
            if not issubclass(type(made), kind):
                raise TypeError(f"__new__() of {classes.name_of(kind)} gave a {classes.name_of(type(made))}")
            return made

        type.__setattr__(kind, "_new_member_", checked)
        try:
            set_name(self, kind, name)
        finally:
            type.__setattr__(kind, "_new_member_", new)

    return __set_name__


def _entries() -> Iterator[tuple[type, str, Any]]:
    """What stands in the classes of the library, but for metaclasses, which work on classes by nature."""
    for module in sorted(policy.MODULES.keys() - policy.STAND_INS | {"random"}):
        for kind in classes_of(module):
            if not issubclass(kind, type):
                yield from ((kind, name, value) for name, value in vars(kind).items())


def _tells_class_of_self(function: FunctionType) -> bool:
    code = function.__code__
    return code.co_varnames[:1] == ("self",) and not _TELLING.isdisjoint(names_in(code))


def _of_instances(function: FunctionType) -> Callable[..., Any]:
    """The method, which takes no class for `self`: the class of a class is a metaclass."""

    def method(self: Any, /, *args: Any, **keywords: Any) -> Any:
        if isinstance(self, type):
            raise TypeError(f"{function.__qualname__}() takes an instance, not the class {self.__name__}")
        return function(self, *args, **keywords)

    return _named_like(method, function)


def _cached(self: Any, instance: Any, owner: Any = None) -> Any:
    """cached_property.__get__, which sets a name that a program may choose: by the rules, and on objects only.

    The real one takes for the object's dictionary whatever `instance.__dict__` is: for an alias that of its class.
    """
    if instance is None:
        return self
    if self.attrname is None:
        raise TypeError("Cannot use cached_property instance without calling __set_name__ on it.")
    name = attributes.attribute_name(instance, self.attrname)
    cache = object.__getattribute__(instance, "__dict__")
    if type(cache) is not dict:
        raise TypeError("the '__dict__' attribute of a class does not support item assignment for caching")
    if name not in cache:
        cache[name] = self.func(instance)
    return cache[name]


def _calling(call: Callable[..., Any]) -> Callable[..., Any]:
    """EnumMeta.__call__, whose functional form names members by strings: while a program runs, by its rules."""

    def __call__(cls: Any, /, *args: Any, **options: Any) -> Any:
        if not stops.running() or (len(args) == 1 and not options):
            return call(cls, *args, **options)
        return replacements.enum_of(call, cls, *args, **options)

    return __call__


def _read_by_the_rules(kind: type, name: str) -> None:
    type.__setattr__(kind, name, _by_the_rules(vars(kind)[name]))


def _ask_the_class(alias: Any) -> None:
    """Let `isinstance` hand the class of an object to a method of the alias's class, and to no attribute of its own."""
    real = vars(alias).get("__instancecheck__")
    if real is None or "__subclasscheck__" not in names_in(real.__code__):
        return

    def __instancecheck__(self: Any, obj: Any) -> Any:
        kind: Any = type(self)
        return kind.__subclasscheck__(self, type(obj))

    type.__setattr__(alias, "__instancecheck__", _named_like(__instancecheck__, real))


def _by_the_rules(old: FunctionType) -> Callable[..., Any]:
    """The same function, whose `getattr` is the one that programs have."""
    space = vars(importlib.import_module(old.__module__)) | {"getattr": attributes.safe_getattr}
    new = FunctionType(old.__code__, space, old.__name__, old.__defaults__, old.__closure__)
    return _named_like(new, old)


def _seeding(method: Any) -> Any:
    """random's way to take a seed, which for a program's own is 0 where the real one asks the operating system."""

    def seed(self: Any, a: Any = None, /) -> None:
        method(self, 0 if a is None and stops.running() else a)

    return seed


class _Chance:
    """What statistics knows as `random`: the real one is seeded by the operating system, and shared by all programs."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(stops.chance() or random, name)


def _to_no_metaclass(convert: Callable[..., Any]) -> Callable[..., Any]:
    """statistics._convert, which calls the type of the data: that of a class makes classes."""

    def _convert(value: Any, kind: Any) -> Any:
        if issubclass(kind, type):
            raise TypeError(f"can't convert type {kind.__name__!r} to numerator/denominator")
        return convert(value, kind)

    return _convert


def _named_like(new: Any, old: Any) -> Any:
    """Without `__wrapped__`, by which a program would get at the old one."""
    for name in ("__name__", "__qualname__", "__doc__", "__module__"):
        setattr(new, name, getattr(old, name))
    return new

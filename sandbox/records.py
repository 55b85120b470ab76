"""dataclasses for programs. The real one writes source text from the names of fields and runs it, so that no program
may hold a real Field, whose name can be set: `field()` gives a description, and `dataclass` makes the Fields."""

import copy
import dataclasses
import gc
import itertools
import types
from collections.abc import Iterable, Iterator
from typing import Any

from sandbox import attributes, classes
from sandbox.record_fields import (
    KW_ONLY,
    FieldDescription,
    annotations_of,
    check_fields,
    meaning_of,
    options_of,
    real_field,
)
from sandbox.rules import load_rule
from sandbox.stops import refuse

FieldView = dataclasses.make_dataclass("Field", ["name", "type", "default", "default_factory", "metadata"], frozen=True)


def names() -> dict[str, Any]:
    """The functions of `dataclasses` that are not the real ones; puts ours in place where the real ones look."""
    vars(dataclasses)["_get_field"] = _get_field
    vars(dataclasses)["_set_new_attribute"] = _set_new_attribute
    vars(dataclasses)["_dataclass_getstate"], vars(dataclasses)["_dataclass_setstate"] = _get_state, _set_state
    return {
        "dataclass": dataclass,
        "field": FieldDescription,
        "fields": fields,
        "asdict": asdict,
        "astuple": astuple,
        "replace": replace,
    }


_REAL_GET_FIELD: Any = vars(dataclasses)["_get_field"]
_REAL_SET: Any = vars(dataclasses)["_set_new_attribute"]
_prepared: dict[type, dict[str, Any]] = {}  # the fields of the classes that are being made
_held: set[type] = set()  # those of them whose methods may only take their own objects
_MODULE = "candidate"  # where the real one looks for names: a module with none
_CLASS_VARIABLE: Any = vars(dataclasses)["_FIELD_CLASSVAR"]


def dataclass(kind: Any = None, /, **options: Any) -> Any:
    if kind is None:
        return lambda kind: dataclass(kind, **options)
    collects = gc.isenabled()
    gc.disable()  # or the program's finalizers run between our looks, and see the class half made
    try:
        return _dataclass(kind, options)
    finally:
        if collects:
            gc.enable()


def _dataclass(kind: Any, options: dict[str, Any]) -> Any:
    if not issubclass(type(kind), type) or kind not in classes.MADE:  # an instance may equal any class
        raise TypeError("dataclass() should be called on a class of the program")
    if type(kind).__setattr__ is not type.__setattr__:  # such as an Enum's, which asks objects of the program
        refuse("metaclass", "dataclass() may not be applied to an Enum")
    options = {name: bool(value) for name, value in classes.plain_keywords(options).items()}
    given = annotations_of(kind)
    annotations = {name: meaning_of(annotation) for name, annotation in given.items()}
    fields = {name: real_field(options_of(kind, name)) for name, said in annotations.items() if said is not KW_ONLY}
    # From here on hardly anything of the program's runs until the real one has written its source, and what does finds
    # no field.
    before = dict(vars(kind))
    for name, value in before.items():
        if issubclass(type(value), FieldDescription) and name not in fields:
            raise TypeError(f"{name!r} is a field but has no type annotation")
    doc = vars(kind).get("__doc__")  # not by reading it, which may run the program
    made: Any = None
    check_fields(kind)
    _say_plainly(kind)
    guarded = _guarded(kind, fields)
    if guarded and options.get("slots"):
        refuse("special-name", f"a field of {kind.__name__}, which has slots, may not have a name that is guarded")
    if kind in _prepared:
        refuse("special-name", f"the dataclass {kind.__name__} is being made")
    try:
        _prepared[kind] = fields
        if guarded:
            _held.add(kind)
        _set_defaults(kind, fields)
        if "__annotations__" in before:
            type.__setattr__(kind, "__annotations__", annotations)  # nobody else holds this one
        if type(doc) is not str or not doc:
            type.__setattr__(kind, "__doc__", "-")  # or it is made of signatures, which evaluate text of the program's
        type.__setattr__(kind, "__module__", _MODULE)
        # Before its positional patterns are looked at, hooks of its bases may run: slots=True makes the class again.
        made = dataclasses.dataclass(kind, **(options | {"match_args": False}))
    finally:
        _prepared.pop(kind, None)
        _held.discard(kind)
        for one in {kind, made or kind}:
            type.__setattr__(one, "__doc__", doc)
            type.__setattr__(one, "__module__", before["__module__"])
            if "__annotations__" in before:
                type.__setattr__(one, "__annotations__", given)
        if made is None:
            for name in fields.keys() & before.keys():
                type.__setattr__(kind, name, before[name])
    if options.get("match_args", True) and "__match_args__" not in vars(made):
        # The parameters of `__init__`, an InitVar's too, in their order.
        given_by_place = (f for f in vars(made)["__dataclass_fields__"].values() if f.init and not f.kw_only)
        named = tuple(f.name for f in given_by_place if f._field_type is not _CLASS_VARIABLE)
        named = tuple(itertools.takewhile(lambda name: load_rule(name) == "free", named))
        type.__setattr__(made, "__match_args__", named)
    if guarded:
        _hold_to_instances(made)
    return classes.checked_class(made)


def _set_defaults(kind: type, fields: dict[str, Any]) -> None:
    """Put the defaults in place of the descriptions, as the real one does with its fields."""
    for name, value in list(vars(kind).items()):
        if issubclass(type(value), FieldDescription) and fields[name].default is dataclasses.MISSING:
            type.__delattr__(kind, name)
        elif issubclass(type(value), FieldDescription):
            type.__setattr__(kind, name, fields[name].default)


def _get_field(kind: Any, name: str, annotation: Any, kw_only: bool) -> Any:
    """dataclasses._get_field, which takes a field off the class: of a program's class it takes the one made here.

    There nobody could see it, be it that something of the program's runs meanwhile.
    """
    fields = _prepared.get(kind)
    if fields is None:
        return _REAL_GET_FIELD(kind, name, annotation, kw_only)
    holder = type("Holder", (), {"__module__": _MODULE})
    setattr(holder, name, fields[name])
    return _REAL_GET_FIELD(holder, name, annotation, kw_only)


def _set_new_attribute(kind: Any, name: str, value: Any) -> Any:
    """dataclasses._set_new_attribute. A method has to be held from the start: making the class may fail after it."""
    if kind in _held and isinstance(value, types.FunctionType):
        value.__qualname__ = f"{kind.__qualname__}.{value.__name__}"
        value = _of_instances(kind, value)
    return _REAL_SET(kind, name, value)


def _get_state(self: Any) -> list[Any]:
    """What copy is told by an object of a frozen class with slots, or of any class below it: whatever fields and bases
    that one has, each is read by the rules."""
    return [attributes.safe_getattr(self, field.name) for field in _fields(type(self))]


def _set_state(self: Any, state: Any) -> None:
    for field, value in zip(_fields(type(self)), state, strict=False):
        object.__setattr__(self, attributes.settable(self, field.name), value)


def _say_plainly(kind: type) -> None:
    """Let the names of the class be exact texts: the real one formats them, and a subclass has its own `__format__`."""
    for name in ("__name__", "__qualname__"):
        type.__setattr__(kind, name, str.__str__(getattr(kind, name)))


def _guarded(kind: type, names: Iterable[str]) -> bool:
    """Whether a field has a name that is read with a look at whose it is; the methods of `dataclass` do not look.

    They are held to objects of the class, the last of them once it is made, so nothing of the program's may run before.
    """
    inherited = [name for base in kind.__mro__ for name in vars(base).get("__dataclass_fields__", ())]
    found = next((name for name in (*names, *inherited) if load_rule(name) != "free"), None)
    if found is not None and not (_has_no_guarded(kind) and type(kind) is type):
        refuse("special-name", f"a field of {kind.__name__}, which has a base of the library's, may not be {found}")
    return found is not None


def _has_no_guarded(kind: type) -> bool:
    """Whether a guarded name on an object of the class is the program's own attribute."""
    return classes.own_class(kind) and not issubclass(kind, str | AttributeError)


def _hold_to_instances(kind: type) -> None:
    """Let the methods that were written for `kind` read attributes of its own objects only."""
    for name, value in list(vars(kind).items()):
        if isinstance(value, types.FunctionType) and not classes.made_by_program(value):
            if value.__globals__ is not globals():  # held already
                type.__setattr__(kind, name, _of_instances(kind, value))


def _of_instances(kind: type, function: Any) -> Any:
    def method(self: Any, /, *args: Any, **keywords: Any) -> Any:
        if kind not in type(self).__mro__:
            raise TypeError(f"{function.__qualname__}() takes a {kind.__name__}, not a {type(self).__name__}")
        if not _has_no_guarded(type(self)):  # a class of its own may have other bases besides
            refuse("special-name", f"{function.__qualname__}() may not read what a base of the library's has")
        return function(self, *args, **keywords)

    method.__name__, method.__qualname__, method.__doc__ = function.__name__, function.__qualname__, function.__doc__
    return method


def _fields(kind: type) -> Iterator[Any]:
    yield from dataclasses.fields(kind)


def fields(value: Any) -> tuple[Any, ...]:
    kind = value if issubclass(type(value), type) else type(value)
    return tuple(
        FieldView(f.name, f.type, f.default, f.default_factory, types.MappingProxyType(dict(f.metadata)))
        for f in _fields(kind)
    )


def _items(value: Any, function: str) -> list[tuple[str, Any]]:
    if not dataclasses.is_dataclass(type(value)):
        raise TypeError(f"{function}() should be called on dataclass instances")
    return [(f.name, attributes.safe_getattr(value, f.name)) for f in _fields(type(value))]


def asdict(obj: Any, *, dict_factory: Any = dict) -> Any:
    return dict_factory([(name, _plain(item, asdict, dict_factory)) for name, item in _items(obj, "asdict")])


def astuple(obj: Any, *, tuple_factory: Any = tuple) -> Any:
    return tuple_factory([_plain(item, astuple, tuple_factory) for _, item in _items(obj, "astuple")])


def _plain(value: Any, inner: Any, factory: Any) -> Any:
    """`value` with the dataclasses inside it turned by `inner`, the rest copied."""
    kind = type(value)
    if dataclasses.is_dataclass(kind):
        return inner(value, **{"dict_factory" if inner is asdict else "tuple_factory": factory})
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return kind(*[_plain(item, inner, factory) for item in value])
    if isinstance(value, list | tuple):
        return kind(_plain(item, inner, factory) for item in value)
    if isinstance(value, dict):
        items = [(_plain(key, inner, factory), _plain(item, inner, factory)) for key, item in value.items()]
        if hasattr(kind, "default_factory"):
            made = kind(value.default_factory)  # type: ignore[attr-defined]
            for key, item in items:
                made[key] = item
            return made
        return kind(items)
    return copy.deepcopy(value)


def replace(obj: Any, /, **changes: Any) -> Any:
    _items(obj, "replace")
    for field in _fields(type(obj)):
        if not field.init:
            if field.name in changes:
                raise ValueError(f"field {field.name} is declared with init=False: replace() may not specify it")
        elif field.name not in changes:
            changes[field.name] = attributes.safe_getattr(obj, field.name)
    return type(obj)(**changes)

"""dataclasses for programs. The real one writes source text from the names of fields and runs it, so that no program
may hold a real Field, whose name can be set: `field()` gives a description, and `dataclass` makes the Fields."""

import copy
import dataclasses
from collections.abc import Iterator
from typing import Any

from sandbox import guards
from sandbox.stops import refuse
from sandbox.translate import load_rule


class FieldDescription:
    """What `field(...)` was given."""

    __slots__ = ("_sandbox_options",)

    def __init__(self, **options: Any) -> None:
        dataclasses.field(**options)  # complains as the real one does
        self._sandbox_options = options


FieldView = dataclasses.make_dataclass("Field", ["name", "type", "default", "default_factory", "metadata"], frozen=True)


def names() -> dict[str, Any]:
    """The functions of `dataclasses` that are not the real ones."""
    return {
        "dataclass": dataclass,
        "field": FieldDescription,
        "fields": fields,
        "asdict": asdict,
        "astuple": astuple,
        "replace": replace,
    }


def dataclass(kind: Any = None, /, **options: Any) -> Any:
    if kind is None:
        return lambda kind: dataclass(kind, **options)
    if kind not in guards._made:
        raise TypeError("dataclass() should be called on a class of the program")
    for name in dict(vars(kind).get("__annotations__", {})):
        if type(name) is not str or not name.isidentifier() or load_rule(name) == "refuse":
            refuse("special-name", f"a field may not be called {name!r}")
    for name, value in list(vars(kind).items()):
        if isinstance(value, FieldDescription):
            setattr(kind, name, dataclasses.field(**value._sandbox_options))
        elif name in vars(kind).get("__annotations__", {}) and type(value) in guards._made and _is_descriptor(value):
            refuse("special-name", f"the default of the field {name} may not be a descriptor of the program's")
    return guards.checked_class(dataclasses.dataclass(kind, **options))


def _is_descriptor(value: Any) -> bool:
    return any("__get__" in vars(base) for base in type(value).__mro__)


def _fields(kind: type) -> Iterator[Any]:
    yield from dataclasses.fields(kind)


def fields(value: Any) -> tuple[Any, ...]:
    kind = value if issubclass(type(value), type) else type(value)
    return tuple(FieldView(f.name, f.type, f.default, f.default_factory, f.metadata) for f in _fields(kind))


def _items(value: Any, function: str) -> list[tuple[str, Any]]:
    if not dataclasses.is_dataclass(type(value)):
        raise TypeError(f"{function}() should be called on dataclass instances")
    return [(f.name, guards.safe_getattr(value, f.name)) for f in _fields(type(value))]


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
            changes[field.name] = guards.safe_getattr(obj, field.name)
    return type(obj)(**changes)

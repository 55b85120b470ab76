"""The fields of programs' dataclasses: what `field()` gives, the Fields made of it, and what must hold of them before.

The real dataclass writes source text from a field's name, looks up names in annotations that are strings, and reads the
default and asks for its hash: nothing of the program's may run by that, nor may a name read another attribute.
"""

import dataclasses
import re
import types
import typing
import unicodedata
from typing import Any, NoReturn

from sandbox import classes
from sandbox.rules import is_dunder, load_rule
from sandbox.stops import refuse


class _NoBase:
    """The `__init_subclass__` of a class without subclasses. No classmethod, which may be given another function."""

    __slots__ = ()

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return _refuse_subclass


def _refuse_subclass(**options: Any) -> NoReturn:
    refuse("module-name", "dataclasses.field is a function: it may not be inherited from")


class FieldDescription:
    """What `field(...)` was given."""

    __slots__ = ("_sandbox_options",)
    __init_subclass__ = _NoBase()

    def __init__(self, **options: Any) -> None:
        classes.plain_keywords(options)
        options |= {name: _flag(options[name]) for name in _FLAGS & options.keys()}
        dataclasses.field(**options)  # complains as the real one does
        self._sandbox_options = options


_OPTIONS: Any = vars(FieldDescription)["_sandbox_options"]
_FLAGS = frozenset({"compare", "hash", "init", "kw_only", "repr"})


def _flag(value: Any) -> Any:
    """Yes, no or not said: asked of the program's object now, and not while the class is made."""
    return value if value is None or value is dataclasses.MISSING else bool(value)


_NAME: Any = vars(dataclasses.Field)["name"]
KW_ONLY = dataclasses.KW_ONLY
_ANNOTATION = re.compile(r"(?:\s*\w+\s*\.)?\s*(\w+)")
_PSEUDO_FIELDS: dict[str, Any] = {
    "ClassVar": typing.ClassVar,
    "InitVar": dataclasses.InitVar,
    "KW_ONLY": KW_ONLY,
}


def _says_what_it_reads(name: Any) -> bool:
    """Whether it is the same name in source text, where the compiler normalizes it: `ｏbj` reads `obj`."""
    return type(name) is str and name.isidentifier() and unicodedata.normalize("NFKC", name) == name


class _Once:
    """The attribute `name` of a field, set once. No property, which can be given other functions by its `__init__`."""

    __slots__ = ()

    def __get__(self, field: Any, owner: Any = None) -> Any:
        return _NAME.__get__(field, owner)

    def __set__(self, field: Any, name: Any) -> None:
        if _NAME.__get__(field) is not None or not _says_what_it_reads(name):
            refuse("special-name", f"a field may not be called {name!r}")
        _NAME.__set__(field, name)


class _NamedOnce(dataclasses.Field):
    """A real Field whose name, which becomes source text, is set once and to an identifier."""

    __slots__ = ()
    name = _Once()


def real_field(options: dict[str, Any]) -> Any:
    plain = dataclasses.field(**options)
    made: Any = object.__new__(_NamedOnce)
    for slot in dataclasses.Field.__slots__:
        if hasattr(plain, slot):
            getattr(dataclasses.Field, slot).__set__(made, getattr(plain, slot))
    return made


def annotations_of(kind: type) -> dict[str, Any]:
    """A copy of the annotations of the class, whose names `dataclass` takes for fields: each one may have its name."""
    found = vars(kind).get("__annotations__", {})
    if type(found) is not dict:
        refuse("special-name", f"the annotations of {classes.name_of(kind)} may only be a plain dict")
    found = dict(found)
    for name, annotation in found.items():
        rule = load_rule(name) if _says_what_it_reads(name) else "refuse"
        if rule == "refuse" or (rule == "guard" and is_dunder(name)):  # a method would set an object's `__class__`
            if meaning_of(annotation) is not KW_ONLY:
                refuse("special-name", f"a field may not be called {name!r}")
    return found


def meaning_of(annotation: Any) -> Any:
    """The annotation, or what it stands for where it is a string and no type of a field.

    The real one looks a string's name up in the real module of that name, where a program's names are not.
    """
    if not isinstance(annotation, str):
        return annotation
    named = _ANNOTATION.match(annotation)
    return _PSEUDO_FIELDS.get(named[1], annotation) if named else annotation


def options_of(kind: type, name: str) -> dict[str, Any]:
    """What `field()` was given for an attribute of the class, or would have been: runs nothing of the program's."""
    if _runs_when_read(kind, name):
        refuse("special-name", f"the default of the field {name} may not be a descriptor")
    value = getattr(kind, name, dataclasses.MISSING)
    without = value is dataclasses.MISSING or isinstance(value, types.MemberDescriptorType)
    options: dict[str, Any] = {} if without else {"default": value}
    if isinstance(value, FieldDescription):
        options = dict(_OPTIONS.__get__(value))
    default = options.get("default")
    if isinstance(default, dataclasses.Field):
        refuse("special-name", f"the default of the field {name} may not be a field of the library's")
    if not _hashes_plainly(default):
        refuse("special-name", f"the default of the field {name} has a hash that is no method")
    return options


def _runs_when_read(kind: type, name: str) -> bool:
    """Whether reading the attribute `name` of the class, as `dataclass` does for a default, may run the program."""
    for base in kind.__mro__:
        if name in vars(base):
            value = vars(base)[name]
            plain = (types.FunctionType, types.MemberDescriptorType, types.GetSetDescriptorType, property, staticmethod)
            return type(value) not in plain and any("__get__" in vars(one) for one in type(value).__mro__)
    return False


def _hashes_plainly(value: Any) -> bool:
    """Whether asking the class of the value for its `__hash__`, as `dataclass` does, runs nothing of the program's.

    Where there is none the real one complains with the `repr` of the class, which for an Enum is that of its name.
    """
    found = next(vars(base)["__hash__"] for base in type(value).__mro__ if "__hash__" in vars(base))
    if found is None:
        return type(type(value)).__repr__ is type.__repr__
    return type(found) in (types.FunctionType, types.WrapperDescriptorType)


def check_fields(kind: type) -> None:
    """The fields of the bases still have the names that they were made with."""
    if _runs_when_read(kind, "__post_init__"):
        refuse("special-name", f"__post_init__ of {classes.name_of(kind)} may only be a function")
    for base in kind.__mro__:
        fields = vars(base).get("__dataclass_fields__", {})
        if type(fields) is not dict or not all(type(name) is str for name in fields):
            refuse("special-name", f"the fields of {classes.name_of(base)} may only be a plain dict")
        for name, field in fields.items():
            if type(field) is not _NamedOnce or field.name != name or not _says_what_it_reads(name):
                refuse("special-name", f"a field may not be called {field.name!r}")
        if base in classes.MADE and any(isinstance(value, dataclasses.Field) for value in vars(base).values()):
            refuse("special-name", f"the class {classes.name_of(base)} holds a field of the library's")

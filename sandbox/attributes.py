"""Attributes by a name that the text alone does not decide: getattr() and its like, vars(), format().

A guard judges what came out and not what was asked for.
"""

import copy
import datetime
import types
from collections.abc import Callable, Mapping
from typing import Any

from sandbox import policy
from sandbox.classes import IMMUTABLE, MADE, from_library, kind_of, made_by_program, name_of, own, own_class
from sandbox.formats import attributes_read
from sandbox.rules import exact_name, is_dunder, load_rule, store_rule
from sandbox.stops import now, refuse

_OBJ = vars(AttributeError)["obj"]


def attr(value: Any, name: str) -> Any:
    """`value.name` for the names that need a look at the outcome."""
    if name == "__class__":
        return kind_of(value)
    if name == "__dict__":
        return dictionary(value)
    if name == "__annotations__":
        return dict(value.__annotations__)
    if name == "__init__":
        return _own_init(value)
    found = getattr(value, name)
    if type(found) is types.MappingProxyType:
        return types.MappingProxyType(dict(found))  # `==` hands the dictionary behind it to the other side
    if name in policy.CLOCKS:
        return _own_clock(found)
    if name == "obj":
        return _own_obj(value, found)
    if name in ("__setattr__", "__delattr__", "__getattribute__"):
        return found if made_by_program(found) else _by_name(name, value, found)
    return _plain_format(found)


def _own_init(value: Any) -> Any:
    """super().__init__ of the program's own object. That of a class takes any object, such as the library's."""
    owner = object.__getattribute__(value, "__self__") if type(value) is super else None
    if type(value) is not super or isinstance(owner, type):
        refuse("attribute", "super().__init__ may only be read for an object")
    if type(owner).__flags__ & IMMUTABLE:
        refuse("attribute", "super().__init__ may only be read for an object of the program's own class")
    return value.__init__  # type: ignore[misc]


def _own_obj(value: Any, found: Any) -> Any:
    """The obj of anything but an AttributeError, or of what passes the attributes of one on."""
    while type(value) is types.MethodType:
        value = value.__func__
    kind = object.__getattribute__(value, "__self_class__") if issubclass(type(value), super) else type(value)
    if kind is not None and issubclass(kind, AttributeError):
        refuse("attribute", "the obj of an AttributeError may not be read")
    if kind is not None and issubclass(kind, types.GenericAlias):
        refuse("attribute", "the obj of a generic alias may not be read")
    if found is _OBJ:
        refuse("attribute", "what reads the obj of an AttributeError may not be read")
    return found


def _own_clock(found: Any) -> Any:
    """datetime.now() and its like by the program's own clock, in UTC; anything else of that name as it is."""
    if type(found) is types.ClassMethodDescriptorType and issubclass(found.__objclass__, datetime.date):
        return lambda owner, /, *args, **more: attr(owner, found.__name__)(*args, **more)  # contextmanager() has one
    kind = getattr(found, "__self__", None)
    if type(found) is not types.BuiltinMethodType or not isinstance(kind, type) or not issubclass(kind, datetime.date):
        return found
    made: Any = kind

    def read(tz: Any = None) -> Any:
        if tz is not None:
            return made.fromtimestamp(now(), tz)
        moment = datetime.datetime.fromtimestamp(now(), datetime.UTC)
        if issubclass(kind, datetime.datetime):
            return made.combine(moment.date(), moment.time())
        return made(moment.year, moment.month, moment.day)

    return read


def _by_name(method: str, value: Any, found: Any) -> Callable[..., Any]:
    """object.__setattr__ and its like, bound or not, under the same rules as the statements."""
    act: Any = {"__setattr__": _checked_set, "__delattr__": _checked_delete, "__getattribute__": _checked_get}[method]
    if isinstance(found, types.MethodWrapperType | types.MethodType):
        owner = found.__self__
        return lambda *args: act(found, owner, *args)
    return lambda owner, *args: act(lambda *rest: found(owner, *rest), owner, *args)


def _checked_set(act: Callable[..., Any], owner: Any, name: Any, value: Any) -> None:
    act(settable(owner, name), value)


def _checked_delete(act: Callable[..., Any], owner: Any, name: Any) -> None:
    act(settable(owner, name))


def _checked_get(act: Callable[..., Any], owner: Any, name: Any) -> Any:
    name = exact_name(name)
    if load_rule(name) == "guard":
        return attr(owner, name)
    if issubclass(type(owner), type):  # object's way takes what a metaclass has, and a class's descriptors as they are
        return getattr(owner, _readable(owner, name))
    return act(_readable(owner, name))


def dictionary(value: Any) -> Any:
    """vars(value): a dictionary that writes through to the program's own objects, a copy of other objects' data."""
    if issubclass(type(value), type):
        if value not in MADE:
            refuse("attribute", f"the __dict__ of {name_of(value)} may not be read")
        return types.MappingProxyType({k: v for k, v in vars(value).items() if _may_be_seen(k, v)})
    if isinstance(value, types.ModuleType):
        refuse("attribute", "the __dict__ of a module may not be read")
    found = value.__dict__
    if type(found) is not dict:
        raise TypeError("vars() argument must have __dict__ attribute")
    if own_class(type(value)):
        return Attributes(found, value)
    return {key: item for key, item in found.items() if type(key) is str and load_rule(key) == "free"}


def _may_be_seen(name: str, value: object) -> bool:
    """Whether vars() of a class shows the name: not what the library put there under one that may not be read."""
    if name in policy.CLASS_MACHINERY:
        return False
    return load_rule(name) != "refuse" or not from_library(value)


class Attributes(dict[str, Any]):
    """An object's __dict__: the attributes as they are now; what is set here is set on the object, by its rules."""

    def __init__(self, real: dict[str, Any], owner: Any) -> None:
        super().__init__({key: value for key, value in real.items() if load_rule(key) != "refuse"})
        self._sandbox_real, self._sandbox_owner = real, owner

    def __setitem__(self, key: str, value: Any) -> None:
        name = attribute_name(self._sandbox_owner, key)
        self._sandbox_real[name] = value
        super().__setitem__(name, value)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self._sandbox_real.pop(key, None)

    def update(self, other: Any = (), /, **more: Any) -> None:
        for key, value in {**dict(other), **more}.items():
            self[key] = value

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc]
        Attributes.update(self, other)  # and no attribute that a program gave this one
        return self

    def setdefault(self, key: str, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: str, *default: Any) -> Any:
        if key not in self and default:
            return default[0]
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        key = list(self)[-1]
        return key, self.pop(key)

    def clear(self) -> None:
        for key in list(self):
            del self[key]

    def __copy__(self) -> dict[str, Any]:
        return dict(self)

    def __deepcopy__(self, memo: Any) -> dict[str, Any]:
        if type(memo) is not dict:
            refuse("attribute", "the memo of copy.deepcopy may only be a plain dict")
        return copy.deepcopy(dict(self), memo)


def _plain_format(found: Any) -> Any:
    """A `format` or `format_map` that is str's comes back checked; the program's own as it is."""
    if isinstance(found, types.BuiltinMethodType) and isinstance(found.__self__, str):
        text, mapped = found.__self__, found.__name__ == "format_map"
        return lambda *args, **keywords: format_text(text, mapped, args, keywords)
    if isinstance(found, types.MethodDescriptorType):
        if found is str.format or found is str.format_map:
            mapped = found is str.format_map
            return lambda text, /, *args, **keywords: format_text(text, mapped, args, keywords)
    elif made_by_program(found) or not callable(found) or own_class(type(found)):
        return found
    refuse("attribute", "this format method belongs to the library")


def format_text(text: str, mapped: bool, args: Any, keywords: Mapping[str, Any]) -> str:
    if not isinstance(text, str):
        raise TypeError(f"descriptor 'format' for 'str' objects doesn't apply to a '{type(text).__name__}' object")
    exact = str.__str__(text)
    if "{" in exact:
        for name in attributes_read(exact):
            if load_rule(name) != "free":
                refuse("attribute", f"the attribute {name} may not be read by a format string")
    return str.format_map(exact, *args) if mapped else str.format(exact, *args, **keywords)


def _readable(value: Any, name: str) -> str:
    return _allowed(value, name, load_rule(name), "read")


def settable(value: Any, name: Any) -> str:
    name = exact_name(name)
    return _allowed(value, name, store_rule(name), "set or deleted")


def _allowed(value: Any, name: str, rule: str, what: str) -> str:
    if rule == "refuse":
        refuse("attribute", f"the attribute {name} may not be {what}")
    if rule == "own":
        own(value, name)
    return name


_MISSING = object()


def safe_getattr(value: Any, name: Any, default: Any = _MISSING, /) -> Any:
    name = exact_name(name)
    try:
        if load_rule(name) == "guard":
            return attr(value, name)
        return getattr(value, _readable(value, name))
    except AttributeError:
        if default is _MISSING:
            raise
        return default


def safe_hasattr(value: Any, name: Any, /) -> bool:
    try:
        safe_getattr(value, name)
    except AttributeError:
        return False
    return True


def safe_setattr(value: Any, name: Any, new: Any, /) -> None:
    setattr(value, settable(value, name), new)


def safe_delattr(value: Any, name: Any, /) -> None:
    delattr(value, settable(value, name))


def attribute_name(owner: Any, name: Any) -> str:
    """The name, if it may be that of an attribute in `owner`'s own dictionary.

    No special one: copy, class headers and others ask an object's own attributes what to do.
    """
    name = settable(owner, name)
    if is_dunder(name):
        refuse("attribute", f"the attribute {name} may not be set in a __dict__")
    return name

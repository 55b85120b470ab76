"""The run-time half of the policy: what the rewritten program calls where the text alone does not decide.

A guard judges what came out and not what was asked for: a class that is a metaclass, a `format` method that is str's.
Whatever it will not give ends the program as refused, even if the program catches everything.
"""

import builtins
import copy
import datetime
import functools
import itertools
import reprlib
import sys
import types
import typing
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from sandbox import policy
from sandbox.formats import attributes_read
from sandbox.stops import leave_traces, now, refuse
from sandbox.translate import changes_library, is_dunder, load_rule, store_rule

_CLASS_NAMES = policy.DEFINABLE | policy.STORABLE_NAMES | policy.CLASS_MACHINERY
_SLOTS = policy.DEFINABLE | {"__dict__", "__weakref__"}
# What type() may define. No __new__: where one stands in the text, the program gets a process of its own.
_BY_TYPE = (policy.DEFINABLE - {"__new__"}) | {"__module__"}

# The classes that programs made, by any way there is.
_made: "weakref.WeakSet[type]" = weakref.WeakSet()
# Bases whose instances have no underscored methods with power, and that forward no attribute to another object.
_PLAIN_BASES = frozenset({
    *(object, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, bool),
    *(kind for kind in vars(builtins).values() if isinstance(kind, type) and issubclass(kind, BaseException)),
})  # fmt: skip
HARMLESS_BASES: set[type] = set()  # the same of the library; `freeze` fills it
STANDING_BASES: set[Any] = set()  # functions of the library that stand for a class in class headers; likewise


def name_of(kind: type) -> str:
    """The name of the class, for a refusal: a program may give it one whose `__format__` raises something else."""
    return str.__str__(kind.__name__)


def _own_class(kind: type) -> bool:
    """Is it the program's own class, down to the plain ones?"""
    return kind in _made and all(
        base in _made or base in _PLAIN_BASES or base in HARMLESS_BASES for base in kind.__mro__
    )


def own(value: Any, name: str) -> Any:
    """`value` itself, when the underscored `name` on it cannot be the library's."""
    kind = type(value)
    if kind is types.FunctionType and made_by_program(value):
        return value
    if kind is super:
        kind = object.__getattribute__(value, "__self_class__") or object
    elif issubclass(kind, type):
        kind = value
    if not _own_class(kind):
        refuse("attribute", f"{name} of a {name_of(kind)} belongs to the library")
    return value


def made_by_program(function: object) -> bool:
    """Is it a function that a translated program defined?"""
    if isinstance(function, types.MethodType):
        function = function.__func__
    if not isinstance(function, types.FunctionType):
        return False
    found = function.__globals__.get("__builtins__")
    return type(found) is dict and ".it" in found


# Types without their metaclasses


class _KindOfType(type):
    """The metaclass of the stand-in for `type`, never handed out."""

    def __call__(cls, *args: Any, **keywords: Any) -> Any:
        if len(args) == 1 and not keywords:
            return kind_of(args[0])
        if len(args) == 3:
            return make_class(*args, **keywords)
        raise TypeError("type() takes 1 or 3 arguments")

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, type)

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, type)

    def __getitem__(cls, item: object) -> Any:
        return types.GenericAlias(cls, (item,))

    def __or__(cls, other: Any) -> Any:
        return typing.Union[cls, other]  # noqa: UP007  # `|` would come back here

    def __ror__(cls, other: Any) -> Any:
        return typing.Union[other, cls]  # noqa: UP007

    def __repr__(cls) -> str:
        return "<class 'type'>"


TYPE: Any = _KindOfType("type", (), {"__slots__": (), "__module__": "builtins"})
_HEAP = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement, or by C code that does as one does
IMMUTABLE = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE: its attributes cannot be set; `freeze` sees to it for the library's
_OBJ = vars(AttributeError)["obj"]
_CACHING = type(functools.lru_cache(len))
CACHED: Any = type("_lru_cache_wrapper", (), {"__slots__": (), "__module__": "functools"})  # stands for it
ABC_META: Any = type("ABCMeta", (), {"__slots__": (), "__module__": "abc"})  # stands for the real one in class headers


def kind_of(value: Any) -> Any:
    return without_metaclass(type(value))


def without_metaclass(value: Any) -> Any:
    """`value`, or the stand-in where it is `type` or a metaclass: those are never handed out.

    Nor is what lru_cache() makes: called with `typed`, it would compare metaclasses with a program's objects.
    """
    if value is _CACHING:
        return CACHED
    return TYPE if isinstance(value, type) and issubclass(value, type) else value


class _Making:
    """What a class statement calls to make the class: the metaclass, of bases that are asked what they stand for once.

    A program's `==` runs when an alias says so, and may have it say something else the next time.
    """

    __slots__ = ("bases", "kind", "namespace", "resolved")

    def __init__(self, name: str, bases: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        self.bases, self.resolved = bases, _checked_bases(bases)
        self.kind, self.namespace, _ = types.prepare_class(name, self.resolved, keywords)

    def __prepare__(self, name: str, bases: tuple[type, ...], /, **keywords: Any) -> Any:
        return self.namespace

    def __call__(self, name: str, bases: tuple[type, ...], namespace: Any, /, **keywords: Any) -> Any:
        if self.resolved is not self.bases:
            namespace["__orig_bases__"] = self.bases
        return self.kind(name, bases, namespace, **keywords)


def plain_keywords(keywords: dict[str, Any]) -> dict[str, Any]:
    """The same keywords, of exact strings: one that answers `==` itself has one name now and another one later."""
    if not all(type(name) is str for name in keywords):
        raise TypeError("keywords must be plain strings")
    return keywords


def build_class(function: Any, name: str, /, *bases: Any, metaclass: Any = None, **keywords: Any) -> Any:
    """The class statement: the real one, with a look at the bases before and at the namespace after."""
    plain_keywords(keywords)  # or one turns into another `metaclass`, whose namespace has guards of the program's
    given: dict[str, Any] = {} if metaclass is None else {"metaclass": type}
    if metaclass is ABC_META:
        import abc

        given["metaclass"] = abc.ABCMeta
    elif metaclass is not None and metaclass is not TYPE:
        refuse("metaclass", f"class {name} has a metaclass of its own; only abc.ABCMeta is allowed")
    making = _Making(name, bases, keywords | given)
    return checked_class(builtins.__build_class__(function, name, *making.resolved, metaclass=making, **keywords))


def _checked_bases(bases: tuple[Any, ...]) -> tuple[type, ...]:
    """The classes that the bases stand for: no metaclass among them, nor behind a generic alias that becomes its origin
    in a class header; no `__match_args__` of theirs that an own class may not have.

    Before the class is made: the hooks of its bases (`__init_subclass__`, `__set_name__`) run while it is made.
    """
    for base in bases:
        if not isinstance(base, type) and not _always_the_same(base):
            refuse("special-name", "what a base stands for may not be said by an object of the program's")
    resolved = types.resolve_bases(bases)
    if not all(isinstance(base, type) for base in resolved):
        raise TypeError("bases must be classes")  # CPython calls the class of an object, with the names of the body
    for base in (*bases, *resolved):
        if not isinstance(base, type):
            continue
        if base is TYPE or base is ABC_META or issubclass(base, type):
            refuse("metaclass", "a class may not inherit from type: metaclasses are not allowed")
        for kind in base.__mro__:
            _check_match_args(vars(kind).get("__match_args__", ()), name_of(kind), ("own", "guard", "refuse"))
    return resolved


def _by_the_library(kind: type) -> bool:
    """Whether no program made the class, not even one that was never checked because a hook of its bases raised."""
    if not kind.__flags__ & _HEAP:
        return True
    if type(kind.__module__) is not str or type(kind.__qualname__) is not str:
        return False
    return getattr(sys.modules.get(kind.__module__), kind.__qualname__, None) is kind


def _always_the_same(base: Any) -> bool:
    """Whether a base that is no class stands for the same ones now and when the class is made."""
    if not _by_the_library(type(base)):
        return False  # its `__getattr__` may answer one now and another then
    if not hasattr(base, "__mro_entries__"):
        return True
    if type(base) is types.FunctionType:
        return base in STANDING_BASES
    return hasattr(type(base), "__mro_entries__")


def make_class(name: Any, bases: Any, namespace: Any, /, **keywords: Any) -> Any:
    """type(name, bases, namespace)."""
    bases = tuple(bases)
    resolved = _checked_bases(bases)
    if "metaclass" in plain_keywords(keywords):
        refuse("metaclass", "type() takes no metaclass here")
    items = dict(namespace)
    for key in items:
        special = type(key) is str and (is_dunder(key) or key.startswith("_sandbox_"))
        if type(key) is not str or (special and key not in _BY_TYPE):
            refuse("special-name", f"{key} may not be defined by type()")
    items.pop("__module__", None)
    module = sys._getframe(2).f_globals.get("__name__")  # of the program: types.new_class() would have it be `types`
    if type(module) is str:
        items["__module__"] = module
    if "__slots__" in items:
        items["__slots__"] = slots(items["__slots__"])
    _check_match_args(items.get("__match_args__", ()), str(name), ("own", "guard", "refuse"))
    if resolved is not bases:
        items["__orig_bases__"] = bases
    return checked_class(types.new_class(str(name), resolved, keywords, lambda body: body.update(items)))


def checked_class(kind: Any) -> Any:
    """The class, now known as the program's; refused if anything but the library gave it a forbidden special name."""
    if not isinstance(kind, type):
        return kind
    if issubclass(kind, type) or type(kind) is _KindOfType:
        refuse("metaclass", "a class may not inherit from type: metaclasses are not allowed")
    if not kind.__flags__ & _HEAP or kind.__flags__ & IMMUTABLE:
        refuse("metaclass", f"{name_of(kind)} is a class of the library's")
    for key, value in list(vars(kind).items()):
        if key.startswith("__") and is_dunder(key) and not _may_stand(key, value):
            refuse("special-name", f"{key} may not be defined in class {name_of(kind)}")
    names = vars(kind).get("__match_args__", ())
    _check_match_args(names, name_of(kind), ("refuse",))
    plain = tuple(itertools.takewhile(lambda name: load_rule(name) == "free", names))
    if plain != names:
        type.__setattr__(kind, "__match_args__", plain)  # as of a field called `format`: matched by name only
    _made.add(kind)
    return kind


def slots(names: Any) -> Any:
    """`__slots__` of a class that is about to be made, as nobody can change them any more.

    A slot hides what the library has of that name, and its hooks get the class before `checked_class` does.
    """
    kind = type(names)
    found: Any
    if isinstance(names, str):
        found = exact_name(names)
        listed = [found]
    else:
        listed = [exact_name(name) if isinstance(name, str) else name for name in names]
        found = dict(zip(listed, names.values(), strict=True)) if kind is dict else listed if kind is list else None
    for name in listed:
        if type(name) is str and ((is_dunder(name) and name not in _SLOTS) or name.startswith("_sandbox_")):
            refuse("special-name", f"{name} may not be a slot")
    return tuple(listed) if found is None else found


def _may_stand(key: str, value: object) -> bool:
    if isinstance(value, types.MemberDescriptorType):
        return key in _SLOTS
    return key in _CLASS_NAMES or _from_library(value)


def _check_match_args(names: Any, kind: str, refused: tuple[str, ...]) -> None:
    """A class pattern reads the attributes that `__match_args__` names: only plain ones may stand there."""
    if type(names) is not tuple or any(type(name) is not str or load_rule(name) in refused for name in names):
        refuse("special-name", f"__match_args__ of {kind} may only name plain attributes")
    say_what_is_named(names)


def say_what_is_named(names: Iterable[str]) -> None:
    """A pattern or a dataclass is to read and set these, of which the text may say nothing."""
    if any(map(changes_library, names)):
        leave_traces()


def _from_library(value: object) -> bool:
    function = getattr(value, "__func__", value)
    return isinstance(function, types.FunctionType) and not made_by_program(function)


# Attributes


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
    if type(value) is not super or isinstance(object.__getattribute__(value, "__self__"), type):
        refuse("attribute", "super().__init__ may only be read for an object")
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
    act(_settable(owner, name), value)


def _checked_delete(act: Callable[..., Any], owner: Any, name: Any) -> None:
    act(_settable(owner, name))


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
        if value not in _made:
            refuse("attribute", f"the __dict__ of {name_of(value)} may not be read")
        return types.MappingProxyType({k: v for k, v in vars(value).items() if _may_be_seen(k, v)})
    if isinstance(value, types.ModuleType):
        refuse("attribute", "the __dict__ of a module may not be read")
    found = value.__dict__
    if type(found) is not dict:
        raise TypeError("vars() argument must have __dict__ attribute")
    if _own_class(type(value)):
        return Attributes(found, value)
    return {key: item for key, item in found.items() if type(key) is str and load_rule(key) == "free"}


def _may_be_seen(name: str, value: object) -> bool:
    """Whether vars() of a class shows the name: not what the library put there under one that may not be read."""
    if name in policy.CLASS_MACHINERY:
        return False
    return load_rule(name) != "refuse" or not _from_library(value)


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
    elif made_by_program(found) or not callable(found) or _own_class(type(found)):
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


def exact_name(name: Any) -> str:
    """The attribute name as a plain str, so that no subclass answers one thing now and another later."""
    if type(name) is str:
        return name
    if isinstance(name, str):
        return str.__str__(name)
    raise TypeError(f"attribute name must be string, not '{type(name).__name__}'")


def _readable(value: Any, name: str) -> str:
    rule = load_rule(name)
    if rule == "refuse":
        refuse("attribute", f"the attribute {name} may not be read")
    if rule == "own":
        own(value, name)
    return name


def _settable(value: Any, name: Any) -> str:
    name = exact_name(name)
    rule = store_rule(name)
    if rule == "refuse":
        refuse("attribute", f"the attribute {name} may not be set or deleted")
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
    setattr(value, _settable(value, name), new)


def safe_delattr(value: Any, name: Any, /) -> None:
    delattr(value, _settable(value, name))


def refuser(name: str) -> Callable[..., NoReturn]:
    """A builtin that exists and is not allowed: refused when called."""

    def refused(*args: Any, **keywords: Any) -> NoReturn:
        refuse("builtin", f"the builtin {name} is not allowed")

    refused.__name__ = refused.__qualname__ = name
    return refused


def attribute_name(owner: Any, name: Any) -> str:
    """The name, if it may be that of an attribute in `owner`'s own dictionary.

    No special one: copy, class headers and others ask an object's own attributes what to do.
    """
    name = _settable(owner, name)
    if is_dunder(name):
        refuse("attribute", f"the attribute {name} may not be set in a __dict__")
    return name


class Namespace:
    """types.SimpleNamespace for programs. The real one is no base of it: that takes any name."""

    def __init__(self, mapping: Any = (), /, **more: Any) -> None:
        names = object.__getattribute__(self, "__dict__")
        for name, value in {**dict(mapping), **more}.items():
            names[attribute_name(self, name)] = value

    @reprlib.recursive_repr("namespace(...)")
    def __repr__(self) -> str:
        if not issubclass(type(self), Namespace):
            raise TypeError(f"expected a SimpleNamespace, found a {type(self).__name__}")
        name = "namespace" if type(self) is Namespace else type(self).__name__
        return f"{name}({', '.join(f'{key}={value!r}' for key, value in self.__dict__.items())})"

    def __eq__(self, other: object) -> bool:
        if issubclass(type(self), Namespace) and issubclass(type(other), Namespace):
            return self.__dict__ == other.__dict__
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]


Namespace.__name__ = Namespace.__qualname__ = "SimpleNamespace"
Namespace.__module__ = "types"


class Forbidden:
    """A name imported from a module that may be imported but not used: refused at the first use."""

    __slots__ = ("_sandbox_name",)
    _sandbox_name: str

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "_sandbox_name", name)

    def _sandbox_refuse(self, *args: Any, **keywords: Any) -> NoReturn:
        refuse("module-name", f"{self._sandbox_name} is not allowed")

    __getattr__ = __setattr__ = __call__ = __iter__ = __getitem__ = __mro_entries__ = _sandbox_refuse
    __instancecheck__ = __subclasscheck__ = __eq__ = __enter__ = __str__ = __or__ = __ror__ = _sandbox_refuse

    def __hash__(self) -> int:
        return 0


def relative_import(name: str) -> NoReturn:
    raise ImportError("attempted relative import with no known parent package")


CATCHABLE: tuple[type[BaseException], ...] = (Exception, GeneratorExit, KeyboardInterrupt, SystemExit)


@functools.cache
def shared_builtins() -> dict[str, Any]:
    """The part of a program's builtins that is the same in every world."""
    table: dict[str, Any] = {name: getattr(builtins, name) for name in policy.BUILTINS if hasattr(builtins, name)}
    table |= {name: refuser(name) for name in ("breakpoint", "compile", "copyright", "credits", "help", "license")}
    table |= {
        "BaseException": Exception,
        "BaseExceptionGroup": ExceptionGroup,
        "type": TYPE,
        "getattr": safe_getattr,
        "hasattr": safe_hasattr,
        "setattr": safe_setattr,
        "delattr": safe_delattr,
        "exit": sys_exit,
        "quit": sys_exit,
        "__build_class__": build_class,
        ".attr": attr,
        ".own": own,
        ".slots": slots,
        ".relative": relative_import,
        ".catchable": CATCHABLE,
    }
    return table


def sys_exit(code: object = None, /) -> NoReturn:
    raise SystemExit(code)

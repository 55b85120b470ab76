"""The classes of programs: made under the policy's rules, known as theirs afterwards, and never a metaclass.

A class or an object counts as the program's own by what made it, whatever it says of itself.
"""

import builtins
import functools
import itertools
import sys
import types
import typing
import weakref
from typing import Any

from sandbox import policy
from sandbox.rules import exact_name, is_dunder, load_rule
from sandbox.stops import refuse, run_apart

_CLASS_NAMES = policy.DEFINABLE | policy.STORABLE_NAMES | policy.CLASS_MACHINERY
_SLOTS = policy.DEFINABLE | {"__dict__", "__weakref__"}
# What type() may define. No __new__: where one stands in the text, the program gets a process of its own.
_BY_TYPE = (policy.DEFINABLE - {"__new__"}) | {"__module__"}

# The classes that programs made, by any way there is.
MADE: "weakref.WeakSet[type]" = weakref.WeakSet()
# Bases whose instances have no underscored methods with power, and that forward no attribute to another object.
_PLAIN_BASES = frozenset({
    *(object, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, bool),
    *(kind for kind in vars(builtins).values() if isinstance(kind, type) and issubclass(kind, BaseException)),
})  # fmt: skip
_SHARED_BASES = frozenset(vars(builtins)[name] for name in policy.SHARED_BASES)
HARMLESS_BASES: set[type] = set()  # the same of the library; `freeze` fills it
SEALED: set[type] = set()  # classes of ours with no class of a program's below them
STANDING_BASES: set[Any] = set()  # functions of the library that stand for a class in class headers; likewise


def name_of(kind: type) -> str:
    """The name of the class, for a refusal: a program may give it one whose `__format__` raises something else."""
    return str.__str__(kind.__name__)


def own_class(kind: type) -> bool:
    """Is it the program's own class, down to the plain ones?"""
    return kind in MADE and all(base in MADE or base in _PLAIN_BASES or base in HARMLESS_BASES for base in kind.__mro__)


def own(value: Any, name: str) -> Any:
    """`value` itself, when the underscored `name` on it cannot be the library's."""
    kind = type(value)
    if kind is types.FunctionType and made_by_program(value):
        return value
    if kind is super:
        kind = object.__getattribute__(value, "__self_class__") or object
    elif issubclass(kind, type):
        kind = value
    if not own_class(kind):
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
HEAP = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement, or by C code that does as one does
IMMUTABLE = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE: its attributes cannot be set; `freeze` sees to it for the library's
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
    # The text says which bases, but not what their names stand for.
    if making.kind is not type or not all(base in _SHARED_BASES or base in MADE for base in making.resolved):
        run_apart()
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
        if not SEALED.isdisjoint(base.__mro__):
            refuse("special-name", f"a class may not be derived from {base.__name__}")
        for kind in base.__mro__:
            _check_match_args(vars(kind).get("__match_args__", ()), name_of(kind), ("own", "guard", "refuse"))
    return resolved


def _by_the_library(kind: type) -> bool:
    """Whether no program made the class, not even one that was never checked because a hook of its bases raised."""
    if not kind.__flags__ & HEAP:
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
    """type(name, bases, namespace). The text does not show it where `type` is the type of a class."""
    run_apart()
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
    if not kind.__flags__ & HEAP or kind.__flags__ & IMMUTABLE:
        refuse("metaclass", f"{name_of(kind)} is a class of the library's")
    for key, value in list(vars(kind).items()):
        if key.startswith("__") and is_dunder(key) and not _may_stand(key, value):
            refuse("special-name", f"{key} may not be defined in class {name_of(kind)}")
    names = vars(kind).get("__match_args__", ())
    _check_match_args(names, name_of(kind), ("refuse",))
    plain = tuple(itertools.takewhile(lambda name: load_rule(name) == "free", names))
    if plain != names:
        type.__setattr__(kind, "__match_args__", plain)  # as of a field called `format`: matched by name only
    MADE.add(kind)
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
    return key in _CLASS_NAMES or from_library(value)


def _check_match_args(names: Any, kind: str, refused: tuple[str, ...]) -> None:
    """A class pattern reads the attributes that `__match_args__` names: only plain ones may stand there."""
    if type(names) is not tuple or any(type(name) is not str or load_rule(name) in refused for name in names):
        refuse("special-name", f"__match_args__ of {kind} may only name plain attributes")


def from_library(value: object) -> bool:
    function = getattr(value, "__func__", value)
    return isinstance(function, types.FunctionType) and not made_by_program(function)

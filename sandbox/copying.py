"""copy for programs: the real one, that sets no attribute which the program itself might not set.

copy.deepcopy asks an object how to rebuild it, and sets whatever names the answer holds on whatever it names. This is
the same work, done on a state of exact built-in types whose every name was looked at after it was made for good.
"""

import array
import copy
import copyreg
import enum
import types
import typing
from types import NoneType
from typing import Any

from sandbox import attributes, classes
from sandbox.rules import is_dunder, load_rule, store_rule
from sandbox.stops import refuse

# Classes of ours whose objects are not copied, nor what they hold, which leads to the world. `freeze` fills it.
UNCOPIED: set[type] = set()
# What rebuilds an object, besides its class and functions of the program's. Not getattr nor operator.getitem, which
# would fetch what the object names: a method's name can be set, and an alias's key of typing's globals chosen.
_MAKERS: frozenset[Any] = frozenset({
    *(copyreg.__newobj__, copyreg.__newobj_ex__, iter, reversed),  # type: ignore[attr-defined]
    vars(array)["_array_reconstructor"],
})  # fmt: skip
# Objects that are rebuilt in those ways, and never change: a copy is the same one.
_UNCHANGING: tuple[type, ...] = (
    *(types.MethodType, types.BuiltinMethodType, types.MethodWrapperType, types.WrapperDescriptorType),
    *(types.MethodDescriptorType, types.ClassMethodDescriptorType, types.MemberDescriptorType),
    *(types.GetSetDescriptorType, types.GenericAlias, types.UnionType, vars(typing)["_BaseGenericAlias"], enum.Enum),
)


class Kept:
    """What copy.deepcopy keeps alive while it works: the originals, the library's own dictionaries among them."""

    __slots__ = ("_sandbox_objects",)

    def __init__(self) -> None:
        self._sandbox_objects: list[Any] = []


def deepcopy(x: Any, memo: Any = None) -> Any:
    """copy.deepcopy. It asks `memo` about everything it meets, so that one is a plain dict."""
    if memo is not None and type(memo) is not dict:
        refuse("attribute", "the memo of copy.deepcopy may only be a plain dict")
    return copy.deepcopy(x, memo)


def _keep_alive(x: Any, memo: Any) -> None:
    """copy._keep_alive, whose list a program that holds the memo would read."""
    kept = memo.get(id(memo))
    if type(kept) is not Kept:
        kept = memo[id(memo)] = Kept()
    kept._sandbox_objects.append(x)


def _deepcopy_method(x: Any, memo: Any) -> Any:
    """A bound method of the program's with a copy of its object. The library's stays, with what it is bound to."""
    return types.MethodType(x.__func__, copy.deepcopy(x.__self__, memo)) if classes.made_by_program(x) else x


def _reconstruct(
    x: Any, memo: Any, func: Any, args: Any, state: Any = None, listiter: Any = None, dictiter: Any = None, **more: Any
) -> Any:
    """copy._reconstruct, with the rules for setting attributes."""
    if not UNCOPIED.isdisjoint(type(x).__mro__):
        raise TypeError(f"cannot pickle {type(x).__name__!r} object")
    if type(x) is typing.ForwardRef:  # its state holds the code of its text, not translated
        return x
    if not (isinstance(func, type) or func in _MAKERS or classes.made_by_program(func)):
        if issubclass(type(x), _UNCHANGING):
            return x
        raise TypeError(f"cannot pickle {type(x).__name__!r} object")
    deep = memo is not None
    if deep and args:
        args = [copy.deepcopy(arg, memo) for arg in args]
    made = func(*args)
    if deep:
        memo[id(x)] = made
    if state is not None:
        _, slots = _parts(x, state)  # or the program reads in its memo what it may not read on `x`
        _check_values(x, slots)
        if deep:
            # Copied first: making the copy may run the program, and what it gives is what is set.
            state = copy.deepcopy(state, memo)
        _set_state(made, state, type(x))
    if listiter is not None:
        for item in listiter:
            made.append(copy.deepcopy(item, memo) if deep else item)
    if dictiter is not None:
        for key, value in dictiter:
            if deep:
                key, value = copy.deepcopy(key, memo), copy.deepcopy(value, memo)
            made[key] = value
    return made


def _set_state(made: Any, state: Any, kind: Any) -> None:
    # Asked of the class: an object's own `__getattr__` would get its dictionary as it is, for any name to be put in.
    own_way = hasattr(type(made), "__setstate__")
    # Or the program, which finds it in its memo, changes it when the collector runs; or later on the list of a cycle,
    # which CPython takes for one that nobody else has.
    state = _own_parts(state)
    attributes, slots = _parts(made, state)
    if type(made) is not kind:  # a `__new__` of the program's gave another object, such as the library's
        found, wanted = classes.name_of(type(made)), classes.name_of(kind)
        refuse("attribute", f"copy may not set attributes of a {found} from a {wanted}")
    if own_way:
        made.__setstate__(state)
        return
    found = made.__dict__ if attributes is not None else {}
    if type(found) is not dict or not isinstance(attributes, dict | NoneType) or not isinstance(slots, dict | NoneType):
        refuse("attribute", "copy sets attributes from a plain dict only")
    if not all(type(name) is str for name in attributes or {}):  # it may equal one name now and another one later
        refuse("attribute", "copy sets attributes by plain names only")
    found.update(attributes or {})
    for name, value in (slots or {}).items():
        setattr(made, name, value)


def _own_parts(state: Any) -> Any:
    """The state with copies of its plain dicts and lists, which nobody else holds."""
    if type(state) is tuple:
        return tuple(type(part)(part) if type(part) in (dict, list) else part for part in state)
    return dict(state) if type(state) is dict else state


def _parts(owner: Any, state: Any) -> tuple[Any, Any]:
    """The attributes in a state and those that have slots: every name may be set on `owner`."""
    if issubclass(type(state), tuple) and type(state) is not tuple:
        refuse("attribute", "copy takes a state from a plain tuple only")
    attributes, slots = state if type(state) is tuple and len(state) == 2 else (state, None)
    # An object with a way of its own, such as a partial or a BytesIO, has its attributes at the end.
    for part in (attributes, slots, state[-1] if type(state) is tuple and state else None):
        _check(owner, part)
    return attributes, slots


def _check(owner: Any, part: Any) -> None:
    """If it is a dict, then of names that may be set on `owner`."""
    if not isinstance(part, dict):
        return
    if type(part) is not dict:
        refuse("attribute", "copy sets attributes from a plain dict only")
    for name in part:
        if not isinstance(name, str):
            continue  # a key of data, not an attribute: setattr takes no other
        # The notes of an exception, which any statement may set, are no method that copy would ask.
        if type(name) is not str or (is_dunder(name) and name != "__notes__") or store_rule(name) == "refuse":
            refuse("attribute", f"copy may not set the attribute {name}")
        if store_rule(name) == "own":
            classes.own(owner, name)


def _check_values(owner: Any, slots: Any) -> None:
    """What a state has under a guarded name is what the guard gives: `__slots__` may name the `format` of a str."""
    for name, value in slots.items() if type(slots) is dict else ():
        if type(name) is str and load_rule(name) == "guard" and attributes.attr(owner, name) is not value:
            refuse("attribute", f"copy may not read the attribute {name}")


def names() -> dict[str, Any]:
    """Puts the rules in place: the real functions look `_reconstruct` up when they are called."""
    machinery: Any = copy
    machinery._reconstruct, machinery._keep_alive = _reconstruct, _keep_alive
    machinery._deepcopy_dispatch[types.MethodType] = _deepcopy_method
    return {"deepcopy": deepcopy}

"""copy for programs: the real one, that sets no attribute which the program itself might not set.

copy.deepcopy asks an object how to rebuild it, and sets whatever names the answer holds on whatever it names.
"""

import copy
from collections.abc import Callable
from typing import Any

from sandbox import guards, stops
from sandbox.stops import refuse
from sandbox.translate import is_dunder, store_rule

_real: Callable[..., Any] = copy._reconstruct  # type: ignore[attr-defined]


def _reconstruct(x: Any, memo: Any, func: Any, args: Any, state: Any = None, *rest: Any, **more: Any) -> Any:
    """copy._reconstruct, with the rules for setting attributes while a program runs."""
    if state is not None and stops.running():
        parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
        for part in parts:
            if isinstance(part, dict):
                for name in part:
                    _check(x, name)
    return _real(x, memo, func, args, state, *rest, **more)


def _check(owner: Any, name: Any) -> None:
    if type(name) is not str:
        return  # a key of data, not an attribute: setattr takes no other
    if is_dunder(name) or store_rule(name) == "refuse":
        refuse("attribute", f"copy may not set the attribute {name}")
    if store_rule(name) == "own":
        guards.own(owner, name)


def names() -> dict[str, Any]:
    """Puts the rules in place: the real functions look `_reconstruct` up when they are called."""
    copy._reconstruct = _reconstruct  # type: ignore[attr-defined]
    return {}

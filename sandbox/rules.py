"""What the policy says of a name: how a program may read or set an attribute, and what importing a module does."""

import sys
from typing import Any

from sandbox import policy
from sandbox.private import library_private


def is_dunder(name: str) -> bool:
    """Not underscores alone, as in `for __ in range(n)`: to Python such a name is one like any other."""
    return name.startswith("__") and name.endswith("__") and name.strip("_") != ""


def load_rule(name: str) -> str:
    """How a program may read the attribute: `free`, `guard`, `own` (underscored: not the library's), or `refuse`."""
    if not name.startswith("_"):
        if name in policy.FORBIDDEN_ATTRIBUTES:
            return "refuse"
        return "guard" if name in policy.GUARDED_ATTRIBUTES else "free"
    if is_dunder(name):
        if name in policy.READABLE_DUNDERS:
            return "free"
        return "guard" if name in policy.GUARDED_DUNDERS else "refuse"
    if name.startswith("_sandbox_"):
        return "refuse"
    return "own" if name in library_private() and name not in policy.PUBLIC_UNDERSCORED else "free"


def store_rule(name: str) -> str:
    """How a program may set or delete the attribute: `free`, `own` or `refuse`."""
    if is_dunder(name):
        return "free" if name in policy.WRITABLE_DUNDERS else "refuse"
    rule = load_rule(name)
    return "free" if rule == "guard" else rule


def module_rule(module: str, allow_modules: frozenset[str]) -> str:
    """What importing it does: `allow`, `inert` (until used), `refuse`, or `absent` (nobody has such a module)."""
    if module in policy.MODULES or is_allowed_by_recipe(module, allow_modules):
        return "allow"
    top = module.partition(".")[0]
    if top in policy.IMPORT_ONLY:
        return "inert"
    return "refuse" if top in sys.stdlib_module_names or top in policy.KNOWN_PACKAGES else "absent"


def is_allowed_by_recipe(module: str, allow_modules: frozenset[str]) -> bool:
    return module in allow_modules or module.partition(".")[0] in allow_modules


def module_message(module: str) -> str:
    allowed = ", ".join(sorted(name for name in policy.MODULES if "." not in name and not name.startswith("_")))
    return f"the module {module} is not allowed; allowed are {allowed}"


def exact_name(name: Any) -> str:
    """The attribute name as a plain str, so that no subclass answers one thing now and another later."""
    if type(name) is str:
        return name
    if isinstance(name, str):
        return str.__str__(name)
    raise TypeError(f"attribute name must be string, not '{type(name).__name__}'")

"""The part of `translator` for the patterns of a `match`: they read attributes, with no place for a guard's call."""

import ast
from typing import TYPE_CHECKING, Any

from sandbox import policy
from sandbox.rules import load_rule

if TYPE_CHECKING:
    from sandbox.translator import Translator


def match_class(translator: "Translator", node: ast.MatchClass) -> ast.AST:
    for name in node.kwd_attrs:
        translator.apart |= name.startswith("_") or name in policy.SHARED_WITHOUT_ATTRIBUTES
        if load_rule(translator.mangled(name)) != "free":
            translator.refuse(node, "attribute", f"the attribute {name} may not be read by a pattern")
    return compared(translator, node)


def capture(translator: "Translator", node: Any) -> ast.AST:
    translator.bind(node, getattr(node, "name", None) or getattr(node, "rest", None))
    return compared(translator, node)


def compared(translator: "Translator", node: Any) -> ast.AST:
    """A pattern. The values in it are names and attributes; the call of a guard would be no Python there."""
    translator.generic(node)
    values = [getattr(node, "value", None), getattr(node, "cls", None), *getattr(node, "keys", ())]
    if any(isinstance(part, ast.Call) for value in values if value is not None for part in ast.walk(value)):
        translator.refuse(node, "attribute", "an attribute of a name that is guarded may not be read by a pattern")
    return node

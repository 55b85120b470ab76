"""The part of `translator` for `try`: what a program may catch, and whether it expects an import to fail."""

import ast
from typing import TYPE_CHECKING, Any

from sandbox.nodes import CATCHABLE, is_base_exception, names_import_error

if TYPE_CHECKING:
    from sandbox.translator import Translator


def try_(translator: "Translator", node: Any) -> ast.AST:
    expects = any(handler.type is None or names_import_error(handler.type) for handler in node.handlers)
    translator.tries_import += expects
    node.body = translator.block(node.body)
    translator.tries_import -= expects
    translator.rewrites_mistakes |= any(handler.type is None for handler in node.handlers[:-1])
    node.handlers = [translator.visit(handler) for handler in node.handlers]
    node.orelse = translator.block(node.orelse)
    node.finalbody = translator.block(node.finalbody)
    return node


def try_star(translator: "Translator", node: ast.AST) -> ast.AST:
    """CPython takes what the `split` of the exception gives for a pair, whatever it is: a function, and the second
    half of it is what the interpreter keeps there, its builtins (up to 3.12.8 and 3.13.1)."""
    translator.refuse(node, "syntax", "except* is not allowed; catch the ExceptionGroup and split() it")
    return node


def handler(translator: "Translator", node: ast.ExceptHandler) -> ast.AST:
    translator.bind(node, node.name)
    if node.type is None or is_base_exception(node.type):
        node.type = CATCHABLE
    elif isinstance(node.type, ast.Tuple) and any(map(is_base_exception, node.type.elts)):
        node.type = CATCHABLE
    else:
        node.type = translator.visit(node.type)
    node.body = translator.block(node.body)
    return node

"""The part of `translator` for imports, which become calls of the world's `Importer`."""

import ast
from typing import TYPE_CHECKING

from sandbox import policy
from sandbox.nodes import HERE, STORE, call_node, const_node
from sandbox.private import starred
from sandbox.rules import module_message, module_rule
from sandbox.unseen_calls import CALLS_BY_OPERATOR

if TYPE_CHECKING:
    from sandbox.translator import Translator


def import_(translator: "Translator", node: ast.Import) -> list[ast.stmt]:
    return [
        _bound(translator, node, alias.asname or alias.name.partition(".")[0], _imported(translator, node, alias))
        for alias in node.names
    ]


def _imported(translator: "Translator", node: ast.Import, alias: ast.alias) -> ast.expr:
    _check_module(translator, node, alias.name)
    args = alias.name, alias.asname is not None, translator.tries_import > 0
    return ast.copy_location(call_node(".import", *map(const_node, args)), node)


def import_from(translator: "Translator", node: ast.ImportFrom) -> list[ast.stmt]:
    module = node.module or ""
    if node.level:
        call = ast.copy_location(call_node(".relative", const_node("." * node.level + module)), node)
        return [ast.copy_location(ast.Expr(value=call, **HERE), node)]
    if module == "__future__":
        translator.rewrites_mistakes = True
        return [ast.copy_location(ast.Pass(**HERE), node)]  # it may be all that stands there
    _check_module(translator, node, module)
    names = [(alias.name, alias.asname or alias.name) for alias in node.names]
    translator.strict |= any(name in CALLS_BY_OPERATOR and name != local for name, local in names)
    if names[0][0] == "*":
        translator.rewrites_mistakes |= translator.scope != "module"
        if module not in policy.MODULES:
            # Nothing is known of its names: importing it fails, or is refused, when it is reached.
            return [ast.copy_location(ast.Expr(value=_imported_from(translator, node, module, "*"), **HERE), node)]
        names = [(name, name) for name in starred(module)]
    translator.apart |= any(name in policy.SHARED_WITHOUT_ATTRIBUTES for name, _ in names)
    found: list[ast.stmt] = [] if names else [ast.copy_location(ast.Pass(**HERE), node)]
    for name, local in names:
        found.append(_bound(translator, node, local, _imported_from(translator, node, module, name)))
    return found


def _imported_from(translator: "Translator", node: ast.ImportFrom, module: str, name: str) -> ast.expr:
    return ast.copy_location(call_node(".from", *map(const_node, (module, name, translator.tries_import > 0))), node)


def _check_module(translator: "Translator", node: ast.AST, module: str) -> None:
    """Refuse here what stands at the top of the program; what may never be reached is refused when it is."""
    translator.apart |= module not in policy.SHARED
    if node in translator.certain and module_rule(module, translator.allow_modules) == "refuse":
        translator.refuse(node, "module", module_message(module))


def _bound(translator: "Translator", node: ast.AST, local: str, value: ast.expr) -> ast.stmt:
    translator.bind(node, local)
    target = ast.Name(id=local, ctx=STORE, **HERE)
    return ast.copy_location(ast.Assign(targets=[target], value=value, **HERE), node)

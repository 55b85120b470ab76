"""The part of `translator` for loops and functions, whose turns and entries are steps: puts in what counts them."""

import ast
from typing import TYPE_CHECKING, Any

from sandbox.nodes import COMPRESS, HERE, LEFT, STORE, const_node, name_node, tick, tick_statement, written_out
from sandbox.placement import calls_nothing, place_tick
from sandbox.rules import is_dunder, load_rule
from sandbox.unseen_calls import CALLED_PLAINLY, DECORATING
from sandbox.visit_names import sets_apart

if TYPE_CHECKING:
    from sandbox.translator import Translator


def for_(translator: "Translator", node: ast.For) -> ast.AST:
    outer = translator.in_free_loop
    free = not outer and written_out(node.iter)
    translator.in_free_loop = outer or free
    node.body = translator.block(node.body)
    translator.in_free_loop = outer
    node.target, node.iter = translator.visit(node.target), translator.visit(node.iter)
    node.orelse = translator.block(node.orelse)
    if not free:
        node.iter = _counted(node.iter)
    return node


def _counted(iterable: ast.expr) -> ast.expr:
    call = ast.Call(func=COMPRESS, args=[iterable, LEFT], keywords=[], **HERE)
    return ast.copy_location(call, iterable)


def while_(translator: "Translator", node: ast.While) -> ast.AST:
    translator.generic(node)
    if translator.scope != "function" or node.orelse:
        node.body.insert(0, tick_statement(node))
        return node
    if not (isinstance(node.test, ast.Constant) and node.test.value):
        leave = ast.If(test=node.test, body=[ast.Pass(**HERE)], orelse=[ast.Break(**HERE)], **HERE)
        node.body.insert(0, ast.copy_location(leave, node.test))
    turn = ast.copy_location(name_node(".it"), node.test)
    turns = ast.For(target=ast.Name(id=".t", ctx=STORE, **HERE), iter=turn, body=node.body, orelse=[], **HERE)
    return ast.copy_location(turns, node)


def suspends(translator: "Translator", node: ast.AST) -> ast.AST:
    """What is suspended may go on when the program is over."""
    translator.apart = True
    return translator.generic(node)


def async_for(translator: "Translator", node: ast.AsyncFor) -> ast.AST:
    suspends(translator, node)
    node.body.insert(0, tick_statement(node))
    return node


def comprehension(translator: "Translator", node: ast.comprehension) -> ast.AST:
    translator.generic(node)
    if node.is_async:
        translator.apart = True
        node.ifs.insert(0, tick(node.target))
    else:
        node.iter = _counted(node.iter)
    return node


def _arguments(translator: "Translator", node: ast.arguments) -> ast.AST:
    for arg in (*node.posonlyargs, *node.args, node.vararg, *node.kwonlyargs, node.kwarg):
        if arg is not None:
            if is_dunder(arg.arg):
                translator.refuse(arg, "special-name", f"{arg.arg} may not name a parameter")
            if arg.annotation is not None:
                arg.annotation = annotation(translator, arg.annotation)
    node.defaults = [translator.visit(default) for default in node.defaults]
    node.kw_defaults = [default and translator.visit(default) for default in node.kw_defaults]
    return node


def annotation(translator: "Translator", node: ast.expr) -> ast.expr:
    """Under `from __future__ import annotations` they become strings, which nothing of ours ever evaluates."""
    if translator.flags:
        return node
    new: ast.expr = translator.visit(node)
    return new


def function(translator: "Translator", node: Any) -> ast.AST:
    translator.bind(node, node.name)
    translator.apart |= node.__class__ is ast.AsyncFunctionDef
    *outer, innermost = node.decorator_list or [None]
    if innermost is not None:
        node.decorator_list = [*map(translator.visit, outer), _innermost_decorator(translator, innermost)]
    type_parameters(translator, node)
    _arguments(translator, node.args)
    if node.returns is not None:
        node.returns = annotation(translator, node.returns)
    outer = translator.scope, translator.in_free_loop
    translator.scope, translator.in_free_loop = "function", False
    body = node.body = translator.block(node.body)
    translator.scope, translator.in_free_loop = outer
    special = is_dunder(node.name) or bool(node.decorator_list) or node.name in CALLED_PLAINLY
    translator.placements.append(lambda strict: place_tick(body, tick_statement(node), strict or special))
    return node


def _innermost_decorator(translator: "Translator", node: ast.expr) -> ast.expr:
    """It is given the function that stands below; any other may be given one that is not decorated at all."""
    if isinstance(node, ast.Attribute) and node.attr in DECORATING and load_rule(node.attr) == "free":
        translator.apart |= sets_apart(node, node.attr)
        node.value = translator.visit(node.value)
        return node
    return node if isinstance(node, ast.Name) and node.id in DECORATING else translator.visit(node)


def type_parameters(translator: "Translator", node: Any) -> None:
    for parameter in getattr(node, "type_params", ()):
        translator.bind(parameter, parameter.name)
        translator.generic(parameter)


def lambda_(translator: "Translator", node: ast.Lambda) -> ast.AST:
    _arguments(translator, node.args)
    outer, translator.scope = translator.scope, "function"
    node.body = translator.visit(node.body)
    translator.scope = outer
    translator.placements.append(lambda strict: _tick_lambda(node, strict))
    return node


def _tick_lambda(node: ast.Lambda, strict: bool) -> None:
    if strict or not calls_nothing(node.body):
        choice = ast.IfExp(test=tick(node), body=node.body, orelse=const_node(None), **HERE)
        node.body = ast.copy_location(choice, node.body)

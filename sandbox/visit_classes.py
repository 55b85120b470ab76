"""The part of `translator` for classes, and for assignments, of which some in the body of a class say how it is made.

Such are `__slots__`, which is looked at last when the program runs, `__match_args__`, which must stand in the text, and
annotations, which may become fields of a dataclass.
"""

import ast
from typing import TYPE_CHECKING

from sandbox import policy
from sandbox.nodes import HERE, STORE, binds_slots, call_node, is_slots, name_node, plain_special
from sandbox.rules import load_rule
from sandbox.visit_steps import annotation, type_parameters

if TYPE_CHECKING:
    from sandbox.translator import Translator


def class_(translator: "Translator", node: ast.ClassDef) -> ast.AST:
    translator.bind(node, node.name)
    shared = all(_is_shared_base(translator, base) for base in node.bases)
    translator.apart |= bool(node.decorator_list or node.keywords) or not shared
    translator.classes.add(node.name)
    node.decorator_list = [translator.visit(item) for item in node.decorator_list]
    _refuse_mangled(translator, node)
    type_parameters(translator, node)
    node.bases = [translator.visit(base) for base in node.bases]
    node.keywords = [translator.visit(keyword) for keyword in node.keywords]
    outer = translator.scope, translator.private, translator.slotted
    slotted = [statement for statement in node.body if binds_slots(statement)]
    translator.scope, translator.private, translator.slotted = "class", node.name, slotted
    node.body = translator.block(node.body)
    translator.scope, translator.private, translator.slotted = outer
    if slotted:  # the last thing before the class is made, so that nothing can change them afterwards
        names = ast.Name(id="__slots__", ctx=STORE, **HERE)
        looked_at = ast.copy_location(call_node(".slots", name_node("__slots__")), slotted[-1])
        node.body.append(ast.copy_location(ast.Assign(targets=[names], value=looked_at, **HERE), slotted[-1]))
    return node


def _refuse_mangled(translator: "Translator", node: ast.ClassDef) -> None:
    """`x.__y` in the header of a class with type parameters: Python 3.12 reads `_C__y` there, 3.13 does not."""
    parameters = getattr(node, "type_params", [])
    for part in (*parameters, *node.bases, *node.keywords) if parameters else ():
        for inner in ast.walk(part):
            name = getattr(inner, "attr", "")
            if name.startswith("__") and not name.endswith("__"):
                translator.refuse(node, "attribute", f"the attribute {name} may not stand in this class header")


def _is_shared_base(translator: "Translator", node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and (node.id in translator.classes or node.id in policy.SHARED_BASES)


def assign(translator: "Translator", node: ast.Assign) -> ast.AST:
    if translator.scope == "class":
        for target in node.targets:
            if isinstance(target, ast.Name) and target.id == "__match_args__":
                _match_args(translator, node)
                return translator.generic(node) if len(node.targets) > 1 else node
        if node in translator.slotted:
            node.targets = [target if is_slots(target) else translator.visit(target) for target in node.targets]
            node.value = translator.visit(node.value)
            return node
        translator.plainly = plain_special(node.value) and all(isinstance(one, ast.Name) for one in node.targets)
    translator.generic(node)
    translator.plainly = False
    return node


def _match_args(translator: "Translator", node: ast.Assign) -> None:
    """Its names must stand in the text: hooks of the class's bases match against it before we can look at it."""
    translator.apart = True
    names = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
    for name in names:
        if not isinstance(name, ast.Constant) or type(name.value) is not str or load_rule(name.value) != "free":
            message = "__match_args__ may only be a tuple of plain attributes, as literals"
            translator.refuse(node, "special-name", message)


def ann_assign(translator: "Translator", node: ast.AnnAssign) -> ast.AST:
    if translator.scope == "class" and isinstance(node.target, ast.Name) and load_rule(node.target.id) == "refuse":
        # It may become a field, and fields are what positional patterns read.
        translator.refuse(node, "special-name", f"{node.target.id} may not be a field")
    if node not in translator.slotted:
        node.target = translator.visit(node.target)
    node.annotation = annotation(translator, node.annotation)
    if node.value is not None:
        node.value = translator.visit(node.value)
    return node

"""Mutants of a program: one small change each, at the place of a node of its syntax tree.

Only the changed characters differ: layout, comments and everything else stay as they are. What a mutant does is for
the sandbox to say; most fail a test, those that pass them all are called equivalent.

    operator            a - b for a + b, a or b for a and b
    boundary            a <= b for a < b
    constant            0 for 1, False for True, "" for "abc"
    off_by_one          range(n - 1) for range(n), x[i + 1] for x[i]
    condition           if not (c): for if c:, a != b for a == b
    missing_line        a statement less
    swapped_arguments   f(b, a) for f(a, b)
    wrong_variable      another local variable of the function
"""

from __future__ import annotations

import ast
import random
from collections import Counter
from dataclasses import dataclass

from curation.changes import KINDS, Change, Function, Source
from curation.extract import parse


@dataclass(frozen=True)
class Mutant:
    """A changed program: its characters [start, end) stand for [start, origin_end) of the program it was made from."""

    program: str
    kind: str
    start: int
    end: int
    origin_end: int


def mutants(program: str, entry_point: str | None, seed: object, n: int, begin: int = 0) -> list[Mutant]:
    """At most `n` mutants, no two alike; none of what is no Python. The same seed gives the same ones.

    They are spread over the kinds and the lines: each is of the kind, then on the line, used least so far. Where an
    entry point is given, only what it can reach is changed. Characters before `begin` are left as they are.
    """
    tree = parse(program)
    if tree is None:
        return []
    try:
        # By program as well, or every program of one seed would be changed in the same kinds.
        changes = _changes(program, tree, entry_point, begin, f"{seed} {ast.dump(tree)}")
        return _made(program, tree, changes, n)
    except RecursionError:  # an expression of thousands of terms, which Python reads and cannot walk
        return []


def _changes(
    program: str, tree: ast.Module, entry_point: str | None, begin: int, seed: str
) -> list[tuple[str, Change]]:
    """Every change there is with its kind, shuffled: the kinds first, so that none comes sooner for being frequent."""
    source, dice = Source(program), random.Random(seed)
    roots = _reached(tree, entry_point)
    found: list[tuple[str, Change]] = []
    for kind in dice.sample(list(KINDS), len(KINDS)):
        changes = [one for root in roots for one in KINDS[kind](root, source, dice) if one.start >= begin]
        dice.shuffle(changes)
        found += [(kind, one) for one in changes]
    return found


def _made(program: str, tree: ast.Module, left: list[tuple[str, Change]], n: int) -> list[Mutant]:
    seen, made = {ast.dump(tree)}, list[Mutant]()
    kinds: Counter[str] = Counter()
    lines: Counter[int] = Counter()
    order = {kind: place for place, kind in enumerate(dict.fromkeys(kind for kind, _ in left))}

    def use(one: tuple[str, Change]) -> tuple[int, int, int]:
        return kinds[one[0]], order[one[0]], lines[one[1].line]

    while left and len(made) < n:
        kind, change = left.pop(min(range(len(left)), key=lambda place: use(left[place])))
        mutant = _mutant(program, kind, change)
        changed = parse(mutant.program)
        if changed is not None and (dump := ast.dump(changed)) not in seen:
            seen.add(dump)
            made.append(mutant)
            kinds[kind] += 1
            lines[change.line] += 1
    return made


def _mutant(program: str, kind: str, change: Change) -> Mutant:
    text = program[: change.start] + change.text + program[change.end :]
    return Mutant(text, kind, change.start, change.start + len(change.text), change.end)


def _reached(tree: ast.Module, entry_point: str | None) -> list[ast.stmt]:
    """The top-level statements that define the entry point or a name that one of these mentions; all without one."""
    definitions = [node for node in tree.body if entry_point is None or _binds(node)]
    if entry_point is None:
        return definitions
    wanted, reached = {entry_point}, list[ast.stmt]()
    while found := [node for node in definitions if node not in reached and _binds(node) & wanted]:
        reached += found
        wanted |= {name.id for node in found for name in ast.walk(node) if isinstance(name, ast.Name)}
    return [node for node in definitions if node in reached]


def _binds(node: ast.stmt) -> set[str]:
    """The names that a top-level statement binds, imports left out: there is nothing to change about them."""
    if isinstance(node, Function | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {name.id for target in targets if target for name in ast.walk(target) if isinstance(name, ast.Name)}

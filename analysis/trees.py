"""Exact tree edit distance of two programs: the audit of `ast_distance`, on a sample of pairs."""

from __future__ import annotations

import ast
import hashlib
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa

from analysis import programs
from curation import store
from curation.schema import PAIR_FEATURES
from curation.store import Shard

# The distance takes time with the product of the sizes, squared at worst: larger trees are left out of the sample.
MAX_NODES = 300


def add_exact_distances(dataset: Path, shard: Shard, measured: pa.Table, sample: int) -> pa.Table:
    """`measured` with tree_edit_distance on the `sample` parsing pairs of smallest hash, the same ones every time."""
    lots = [hashlib.sha256(name.encode()).digest() for name in measured["pair_id"].to_pylist()]
    parsing = [row for row, distance in enumerate(measured["ast_distance"].to_pylist()) if distance is not None]
    picked = {measured["pair_id"][row].as_py(): row for row in sorted(parsing, key=lots.__getitem__)[:sample]}
    pairs = store.read(dataset, "pairs", columns=["pair_id", "chosen_id", "rejected_id"], shard=shard).to_pylist()
    sides = {row["pair_id"]: (row["chosen_id"], row["rejected_id"]) for row in pairs if row["pair_id"] in picked}
    completions = store.read(dataset, "completions", columns=["completion_id", "code"], shard=shard).to_pylist()
    wanted = {name for both in sides.values() for name in both}
    codes = {row["completion_id"]: row["code"] for row in completions if row["completion_id"] in wanted}
    exact: list[int | None] = [None] * measured.num_rows
    for pair, (chosen, rejected) in sides.items():
        exact[picked[pair]] = code_distance(codes[chosen], codes[rejected])
    place = PAIR_FEATURES.schema.get_field_index("tree_edit_distance")
    return measured.set_column(place, PAIR_FEATURES.schema.field(place), pa.array(exact, pa.int32()))


def code_distance(left: str, right: str) -> int | None:
    """The tree edit distance of two programs without docstrings; None where one does not parse or is too large."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        both = [programs.parse(code) for code in (left, right)]
    if both[0] is None or both[1] is None:
        return None
    trees = [postorder(tree) for tree in both if tree is not None]
    if max(len(labels) for labels, _ in trees) > MAX_NODES:
        return None
    return distance(*trees[0], *trees[1])


def postorder(tree: ast.AST) -> tuple[list[str], list[int]]:
    """The labels of a tree in postorder, and for each node the number of its leftmost leaf."""
    labels: list[str] = []
    leftmost: list[int] = []
    pending: list[tuple[ast.AST, bool, int]] = [(tree, False, 0)]
    while pending:
        node, below_done, first = pending.pop()
        label, children = programs.label_and_children(node)
        if below_done or not children:
            leftmost.append(first if below_done else len(labels))
            labels.append(label)
            continue
        pending.append((node, True, len(labels)))
        # A node's leftmost leaf is the next node that postorder reaches from it.
        pending.extend((child, False, 0) for child in reversed(children))
    return labels, leftmost


def distance(labels: list[str], leftmost: list[int], other: list[str], other_leftmost: list[int]) -> int:
    """Insertions, deletions and relabelings that make one ordered tree the other (Zhang and Shasha 1989)."""
    subtrees = np.zeros((len(labels), len(other)), np.int32)
    for i in _keyroots(leftmost):
        for j in _keyroots(other_leftmost):
            _forest_distances(i, j, labels, leftmost, other, other_leftmost, subtrees)
    return int(subtrees[-1, -1])


def _keyroots(leftmost: list[int]) -> list[int]:
    """The highest node of every path of leftmost children, in postorder."""
    return sorted({leaf: node for node, leaf in enumerate(leftmost)}.values())


def _forest_distances(
    i: int,
    j: int,
    labels: list[str],
    leftmost: list[int],
    other: list[str],
    other_leftmost: list[int],
    subtrees: np.ndarray,
) -> None:
    """Fill `subtrees` for the pairs of nodes whose leftmost leaves are those of keyroots i and j."""
    a, b = leftmost[i], other_leftmost[j]
    forest = [list(range(j - b + 2))] + [[x + 1] + [0] * (j - b + 1) for x in range(i - a + 1)]
    for x in range(a, i + 1):
        row, above = forest[x - a + 1], forest[x - a]
        for y in range(b, j + 1):
            least = min(above[y - b + 1], row[y - b]) + 1
            if leftmost[x] == a and other_leftmost[y] == b:
                least = min(least, above[y - b] + (labels[x] != other[y]))
                subtrees[x, y] = least
            else:
                least = min(least, forest[leftmost[x] - a][other_leftmost[y] - b] + int(subtrees[x, y]))
            row[y - b + 1] = least

import ast
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import trees
from analysis.features import Measures, measure_pairs
from curation import store
from literal_rows import plant_run

Node = tuple[str, tuple]


def slow_distance(left: Node, right: Node) -> int:
    """The definition: the cheapest way to make one forest the other, by its last tree."""

    @lru_cache(None)
    def forests(a: tuple[Node, ...], b: tuple[Node, ...]) -> int:
        if not a or not b:
            return sum(map(size, a or b))
        (x, below_x), (y, below_y) = a[-1], b[-1]
        return min(
            forests((*a[:-1], *below_x), b) + 1,
            forests(a, (*b[:-1], *below_y)) + 1,
            forests(a[:-1], b[:-1]) + forests(below_x, below_y) + (x != y),
        )

    return forests((left,), (right,))


def size(node: Node) -> int:
    return 1 + sum(map(size, node[1]))


def arrays(node: Node) -> tuple[list[str], list[int]]:
    """Labels in postorder and each node's leftmost leaf."""
    labels: list[str] = []
    leftmost: list[int] = []

    def visit(one: Node) -> int:
        first = [visit(child) for child in one[1]]
        labels.append(one[0])
        leftmost.append(first[0] if first else len(labels) - 1)
        return leftmost[-1]

    visit(node)
    return labels, leftmost


nodes = st.recursive(
    st.tuples(st.sampled_from("ab"), st.just(())),
    lambda below: st.tuples(st.sampled_from("ab"), st.lists(below, max_size=3).map(tuple)),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(nodes, nodes)
def test_the_distance_is_the_definition(left, right):
    assert trees.distance(*arrays(left), *arrays(right)) == slow_distance(left, right)


def test_a_tree_in_postorder_by_hand():
    # Module -> Expr -> BinOp(a + 1), whose children are Name a, Add and Constant 1.
    labels, leftmost = trees.postorder(ast.parse("a + 1"))
    assert labels == ["Name 'a'", "Add", "Constant 1", "BinOp", "Expr", "Module"]
    assert leftmost == [0, 1, 2, 0, 0, 0]


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("x = 1", "x = 1  # é", 0),
        ("x = 1", "x = 2", 1),
        ("x = 1", "y = 2", 2),
        # An if around the assignment: the If node and its test are inserted.
        ("x = 1", "if c:\n    x = 1", 2),
        ("x = ", "x = 1", None),
        ("x = 1", "x = [" + "1, " * 400 + "]", None),
    ],
)
def test_edits_of_programs_by_hand(left, right, expected):
    assert trees.code_distance(left, right) == expected


def test_the_exact_distance_is_taken_on_a_sample(tmp_path):
    samples = {f"q{n}": [(f"x = {n}\n", None), (f"y = {n}\n", None), ("x = (", None)] for n in range(6)}
    dataset = plant_run(tmp_path, samples)
    measure_pairs(dataset, Measures(tree_edit_sample=4))
    rows = store.read(dataset, "pair_features").to_pylist()
    exact = [row for row in rows if row["tree_edit_distance"] is not None]
    assert len(exact) == 4
    assert {row["tree_edit_distance"] for row in exact} == {1}
    assert all(row["ast_distance"] is not None for row in exact)

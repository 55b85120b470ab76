"""Going on from steps: where each method asks on, and that a whole build is the same however often it is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydantic import ValidationError

from conftest import problem
from curation import store
from curation.execute import Execution, execute_completions
from curation.explore import Explorer, _stopped
from curation.generate import generate_completions
from curation.pairs import Pairing, select_pairs
from curation.places import Grown, Place, first_wrong_step, step_controlled, tree
from curation.samplers import Answers, Sample, ScriptedSampler, Start, request_for
from curation.sampling import Exploration, Generation
from curation.store import Shard

BODY = "def add(a, b):\n    c = a\n"
RIGHT = BODY + "    c += b\n    return c\n"
WRONG = BODY + "    c += 2\n    return c\n"
# As `tests/test_steps.py` has it: the header, and every statement.
ENDS = [15, 25, 36, 49]


def grown(*outcomes: tuple[str, str]) -> Grown:
    """A problem with samples of these texts and verdicts; tokens are characters."""
    found = Grown(request_for(problem(), Generation()), Answers("P", []))
    for text, status in outcomes:
        ask_on(found, text, status)
    return found


def ask_on(found: Grown, text: str, status: str) -> None:
    ids = [ord(one) for one in text]
    found.add(Sample(text, ids, [-1.0] * len(ids), "stop", token_ends=range(1, len(ids) + 1)), text)
    found.statuses.append(status)


def config(method: Any, **options: Any) -> Exploration:
    return Exploration(method=method, **options)


def test_the_first_wrong_step_is_found_by_halving() -> None:
    found = grown((WRONG, "wrong"), ("passes otherwise\n", "passed"))
    search = first_wrong_step(found, config("first_wrong_step", tries=2), Random(0))
    assert next(search) == [Place(0, ENDS[1])] * 2, "in the middle of four steps"
    ask_on(found, WRONG + "    x\n", "wrong")
    ask_on(found, RIGHT, "passed")  # so the first two steps are right
    assert next(search) == [Place(0, ENDS[2])] * 2
    ask_on(found, WRONG + "    y\n", "wrong")
    ask_on(found, WRONG + "    z\n", "wrong")  # so the third is the wrong one
    assert list(search) == []


def test_what_is_known_to_be_right_is_not_asked_again() -> None:
    search = first_wrong_step(grown((WRONG, "wrong"), (RIGHT, "passed")), config("first_wrong_step"), Random(0))
    assert next(search) == [Place(0, ENDS[2])] * 4, "the right sample begins with the same two steps"


@pytest.mark.parametrize("status", ["wrong", "refused"])
def test_without_a_passing_and_a_failing_sample_no_step_is_looked_for(status: str) -> None:
    assert list(first_wrong_step(grown((WRONG, "wrong"), (RIGHT, status)), config("first_wrong_step"), Random(0))) == []
    assert (
        list(first_wrong_step(grown((WRONG, "killed"), (RIGHT, "passed")), config("first_wrong_step"), Random(0))) == []
    )


def test_step_controlled_keeps_a_random_number_of_steps_of_distinct_programs() -> None:
    found = grown((RIGHT, "passed"), (RIGHT, "passed"), (WRONG, "wrong"), (RIGHT + "    d\n", "passed"))
    settings = config("step_controlled", tries=40, per_problem=2)
    (places,) = list(step_controlled(found, settings, Random(0)))
    assert {place.tokens for place in places if place.sample == 0} == set(ENDS[:3]), "never all of the program"
    assert {place.sample for place in places} == {0, 3} and len(places) == 80
    assert list(step_controlled(found, settings, Random(0))) == [places], "the same seed, the same places"
    assert list(step_controlled(grown((WRONG, "wrong")), settings, Random(0))) == []


def test_the_closing_fence_is_no_place_to_go_on_from() -> None:
    found = grown(("```python\nadd = sum\nx = 1\n```\nDone.\n", "passed"))
    assert found.places(0) == [Place(0, len("```python\nadd = sum\n"))]


def test_the_tree_is_grown_where_the_outcome_is_least_certain() -> None:
    found = grown((RIGHT, "passed"), (WRONG, "wrong"), ("def add(a, b):\n    return 0\n", "wrong"))
    search = tree(found, config("tree", tries=2, rounds=3), Random(0))
    # Behind the second step one of two passes: 2/4. Behind the first one of three: 2/5.
    assert next(search) == [Place(0, ENDS[1])] * 2
    ask_on(found, RIGHT + "    x\n", "passed")
    ask_on(found, RIGHT + "    y\n", "passed")
    # Behind the first step three of five, 4/7; behind RIGHT's third three of three, 4/5; behind WRONG's none, 1/3.
    assert next(search) == [Place(0, ENDS[0])] * 2
    assert next(search) == [Place(1, ENDS[2])] * 2
    assert list(search) == [], "three rounds"


def test_the_tree_is_grown_no_deeper_than_asked() -> None:
    (places,) = list(tree(grown((RIGHT, "passed")), config("tree", tries=1, depth=1), Random(0)))
    assert places == [Place(0, ENDS[0])]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"explore": {"method": "tree"}, "sampler": "openai", "model": "m"}, "which sampler openai cannot"),
        ({"explore": {"method": "tree", "per_problem": 1}}, "method tree does not use per_problem, only"),
        ({"explore": {"method": "step_controlled", "rounds": 1}}, "does not use rounds, only tree does"),
    ],
)
def test_what_cannot_be_explored_is_said(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Generation(**settings)


def test_a_stop_string_that_a_line_completes_ends_the_sample() -> None:
    sample = Sample("a\n```\n  x", [1, 2, 3], [-1.0] * 3, "line", token_ends=[2, None, 9])
    cut, ended = _stopped(sample, written=2, stops=["\n```\n"])
    assert (cut.text, cut.token_ends, cut.finish_reason, ended) == ("a\n```\n", [2, None, 6], "stop", True)
    assert _stopped(sample, written=6, stops=["\n```\n"]) == (sample, False), "it was there before"


class Told(ScriptedSampler):
    """A scripted sampler that remembers where it was asked to go on."""

    def __init__(self, config: Generation) -> None:
        super().__init__(config, texts={"add": [fenced(RIGHT), fenced(WRONG)]})
        self.starts: list[Start] = []

    def extend(self, starts: Sequence[Start], seed: int) -> list[Sample]:
        self.starts += starts
        return super().extend(starts, seed)


def fenced(program: str) -> str:
    return f"```python\n{program}```\n"


def built(folder: Path, told: Told | None = None, **explore: Any) -> Iterator[list[dict[str, Any]]]:
    """Completions, executions and pairs of two shards with one problem each."""
    strategy = {"first_wrong_step": "step_dpo", "tree": "search"}.get(explore["method"], explore["method"])
    settings = Generation(sampler="scripted", n=2, explore=explore)
    told = told or Told(settings)
    for index in range(2):
        store.write(folder, "problems", [problem(problem_id=f"p{index}")], Shard("train", index, 2))
    execution = Execution(workers=1, require_hardening=False)
    told._config = settings
    generate_completions(folder, settings, sampler=Explorer(told, settings, execution))
    execute_completions(folder, execution)
    select_pairs(folder, Pairing(strategy=strategy))  # type: ignore[arg-type]
    for table in ("completions", "executions", "pairs"):
        yield store.read(folder, table).to_pylist()


@pytest.mark.parametrize("method", ["first_wrong_step", "step_controlled", "tree"])
def test_what_goes_on_is_a_whole_completion_with_its_origin(tmp_path: Path, method: str) -> None:
    completions, executions, pairs = built(tmp_path, method=method)
    by_id = {row["completion_id"]: row for row in completions}
    more = [row for row in completions if row["origin_id"]]
    assert more and len(executions) == len(completions) == len(by_id)
    for row in more:
        origin, kept = by_id[row["origin_id"]], row["prefix_tokens"]
        assert origin["problem_id"] == row["problem_id"] and origin["sample_index"] < row["sample_index"]
        assert row["token_ids"][:kept] == origin["token_ids"][:kept]
        assert row["token_logps"][:kept] == origin["token_logps"][:kept]
        assert kept in [end["tokens"] for end in origin["step_ends"]]
        assert row["text"] == "".join(map(chr, row["token_ids"])) and row["num_tokens"] == len(row["text"])
        assert row["code"] is not None and row["code"] in row["text"]
        assert row["temperature"] == (pytest.approx(1.05) if method == "step_controlled" else None)
    assert pairs, "the texts part at their third step"
    for pair in pairs:
        kept = pair["prefix_tokens"]
        sides = [by_id[pair[side]]["token_ids"][:kept] for side in ("chosen_id", "rejected_id")]
        assert sides[0] == sides[1] and pair["prefix"] == "".join(map(chr, sides[0]))


def test_the_temperature_rises_with_every_step_to_the_highest(tmp_path: Path) -> None:
    told = Told(Generation(sampler="scripted"))
    list(built(tmp_path, told, method="step_controlled", tries=8, rise=0.2, highest_temperature=1.4))
    by_steps = {(start.text.count("\n"), start.temperature) for start in told.starts if start.one_line}
    assert all(start.one_line for start in told.starts)
    heat = {round(temperature, 2) for _, temperature in by_steps}
    assert heat == {1.05, 1.25, 1.4}


def test_a_resumed_build_samples_the_same(tmp_path: Path) -> None:
    first = list(built(tmp_path, method="tree"))
    store.path(tmp_path, "completions", Shard("train", 1, 2)).unlink()
    again = next(built(tmp_path, method="tree"))
    assert again == first[0]

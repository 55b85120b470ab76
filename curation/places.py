"""From which steps' ends to go on: the places that the methods of exploring pick in a problem's completions.

A method is a generator per problem that yields places and is resumed when the outcomes of what went on there are in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from curation.samplers import Answers, Request, Sample
from curation.sampling import Exploration
from curation.steps import Step, StepEnd, step_ends, steps_of
from sandbox.verdict import NO_EVIDENCE


@dataclass(frozen=True)
class Place:
    """The end of a step: behind the first `tokens` tokens of a problem's sample of this index."""

    sample: int
    tokens: int


class Grown:
    """The samples of one problem so far, with their verdicts."""

    def __init__(self, request: Request, answers: Answers) -> None:
        self.request, self.answers = request, answers
        self.samples: list[Sample] = []
        self.codes: list[str | None] = []
        self.statuses: list[str] = []
        self._before = request.prompt.text if answers.continues else ""

    def add(self, sample: Sample, code: str | None) -> None:
        """One more sample and its program, still to be judged; the ends of its steps are looked for."""
        ends = None if sample.token_ends is None else step_ends(self._steps(sample.text), sample.token_ends)
        self.samples.append(replace(sample, step_ends=ends, token_ends=None))
        self.codes.append(code)

    def _steps(self, text: str) -> list[Step]:
        return steps_of(text, entry_point=self.request.problem["entry_point"], before=self._before)

    def ends(self, sample: int) -> Sequence[StepEnd]:
        """Where the steps of a sample end; nowhere if its tokens cannot be told apart."""
        return self.samples[sample].step_ends or ()

    def places(self, sample: int) -> list[Place]:
        """The ends of a sample's steps before its last line of code: behind those, a program can still go wrong."""
        text = self.samples[sample].text
        last = max((step.end for step in self._steps(text) if step.is_code), default=0)
        return [Place(sample, end.tokens) for end in self.ends(sample) if end.chars < last]

    def steps_behind(self, text: str, chars: int) -> int:
        """How many steps of a text, which need not be whole, end behind its first characters."""
        return sum(step.end > chars for step in self._steps(text))

    def prefix(self, place: Place) -> tuple[int, ...]:
        """The tokens before a place."""
        return tuple((self.samples[place.sample].token_ids or ())[: place.tokens])

    def outcomes(self, place: Place) -> list[bool]:
        """Whether each sample that begins with the same tokens passed; of those that got a fair run."""
        tokens = self.prefix(place)
        return [
            status == "passed"
            for sample, status in zip(self.samples, self.statuses, strict=True)
            if status not in NO_EVIDENCE and tuple((sample.token_ids or ())[: place.tokens]) == tokens
        ]

    def distinct(self, *, passed: bool) -> list[int]:
        """The samples that passed, or failed by themselves, with steps; of those with the same program the first."""
        found: dict[str | None, int] = {}
        for index, (code, status) in enumerate(zip(self.codes, self.statuses, strict=True)):
            if status not in NO_EVIDENCE and (status == "passed") == passed and self.ends(index):
                found.setdefault(code, index)
        return list(found.values())


def first_wrong_step(grown: Grown, config: Exploration, dice: Random) -> Iterator[list[Place]]:
    """Halve each failing completion at its steps until one step is left: completions behind its start pass, and behind
    its end none of `tries` does. The empty start passes where any completion of the problem did."""
    if "passed" not in grown.statuses:
        return
    bounds = {sample: (0, len(grown.ends(sample))) for sample in grown.distinct(passed=False)[: config.per_problem]}
    while wide := {sample: sum(bound) // 2 for sample, bound in bounds.items() if bound[1] - bound[0] > 1}:
        places = {sample: Place(sample, grown.ends(sample)[middle - 1].tokens) for sample, middle in wide.items()}
        asked = [place for place in places.values() if not any(grown.outcomes(place))]
        if asked:
            yield [place for place in asked for _ in range(config.tries)]
        for sample, middle in wide.items():
            low, high = bounds[sample]
            bounds[sample] = (middle, high) if any(grown.outcomes(places[sample])) else (low, middle)


def step_controlled(grown: Grown, config: Exploration, dice: Random) -> Iterator[list[Place]]:
    """`tries` times behind a random number of steps, one at least, of each passing completion."""
    chosen = []
    for sample in grown.distinct(passed=True)[: config.per_problem]:
        places = grown.places(sample)
        chosen += [dice.choice(places) for _ in range(config.tries) if places]
    if chosen:
        yield chosen


def tree(grown: Grown, config: Exploration, dice: Random) -> Iterator[list[Place]]:
    """Round by round behind the place whose outcome is least certain: the share q of passing completions behind it,
    by Laplace's estimate (passed + 1) / (all + 2), is nearest to a half. Of equals the one with the fewest steps."""
    grown_from: set[tuple[int, ...]] = set()
    for _ in range(config.rounds):
        best: tuple[float, int, int] | None = None
        for sample in range(len(grown.samples)):
            for depth, place in enumerate(grown.places(sample)[: config.depth]):
                if grown.prefix(place) not in grown_from and (outcomes := grown.outcomes(place)):
                    share = (sum(outcomes) + 1) / (len(outcomes) + 2)
                    rank = (abs(share - 0.5), depth, sample)
                    if best is None or rank < best:
                        best, chosen = rank, place
        if best is None:
            return
        grown_from.add(grown.prefix(chosen))
        yield [chosen] * config.tries


METHODS: dict[str, Callable[[Grown, Exploration, Random], Iterator[list[Place]]]] = {
    "first_wrong_step": first_wrong_step,
    "step_controlled": step_controlled,
    "tree": tree,
}

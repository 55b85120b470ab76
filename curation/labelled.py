"""Answers of labelled data sets as completions: the right one, and beside it those that are known to be wrong.

Wrong are a question's other choices. A worked solution that comes alone gets a copy in which the result of one
intermediate calculation is another number, as in Pal et al. 2024 (arXiv 2402.13228, appendix D); what it states as its
answer stays, so the copy does not follow from itself.
"""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from curation.errors import UserError
from curation.samplers import Answers, Done, Model, Mutation, Request, Sample, nobody
from curation.sampling import Sampling

RESULT = "result"
"""The kind of the one change: a calculation's result."""

# A number after an equals sign, whole (2.5 and 1,200 are one), that is not the first term of what is still to be
# calculated, as in = 3 + 4, = 2x, = 3/4 or = 2 \cdot 5.
_NUMBER = r"\d++(?:,\d{3}(?!\d))*+(?:\.\d++)?+"
_GOES_ON = r"\w|:\d|\s*(?:[-+*/×÷·^=]|\\(?:cdot|times|div|d?frac|sqrt|pi))"
_RESULT = re.compile(rf"=\s*(?:\\?\$\s*)?-?(?P<number>{_NUMBER})(?!{_GOES_ON})")
# Where MetaMath's solutions begin to state the answer.
_ANSWER = re.compile(r"####|The answer is:?|\\boxed")
_STATED = re.compile(rf"(?:####|The answer is:?)\s*\$?-?(?P<number>{_NUMBER})")


class LabelledSampler:
    """The answers that a labelled problem comes with: the right one first, then the wrong ones in their order."""

    at_once = 1

    def __init__(self, config: Sampling, task_ids: Collection[str]) -> None:
        self._seed = config.seed

    def sample(self, requests: Sequence[Request], seed: int, on_done: Done = nobody) -> list[Answers]:
        """Every choice of each problem; of a worked solution, itself and one with a wrong result, where it has one.

        Raises:
            UserError: a problem has no label.
        """
        answers = []
        for request in requests:
            samples = _answers(request.problem, self._seed)
            answers.append(Answers(request.problem["prompt"], samples))
            on_done(len(samples))
        return answers

    def model(self) -> Model:
        """Whoever wrote the data set."""
        return Model("labelled", None)

    def program(self, request: Request, answers: Answers, text: str) -> str | None:
        """None: nothing is run."""
        return None

    def close(self) -> None:
        """Nothing is held open."""


def _answers(problem: Mapping[str, Any], seed: int) -> list[Sample]:
    if problem["kind"] != "label":
        raise UserError(
            f"sampler labelled gives the answers of labelled problems, and {problem['task_id']} has tests instead: "
            "set problems.source to metamath, arc or hellaswag, or leave the sampler out"
        )
    if problem.get("choices") is not None:
        return [Sample(choice, finish_reason="stop") for choice in problem["choices"]]
    right = problem["tests"][0]["stdout"]
    samples = [Sample(right, finish_reason="stop")]
    change = corrupted(right, random.Random(f"{seed} {problem['problem_id']}"))
    if change is not None:
        text, mutation = change
        samples.append(Sample(text, finish_reason="stop", origin=0, mutation=mutation))
    return samples


def corrupted(solution: str, dice: random.Random) -> tuple[str, Mutation] | None:
    """A worked solution with one intermediate result replaced by a wrong number, and where; None where it has none.

    Taken is a result that is not the answer; where every result is, one of them, since the answer that is stated at
    the end is never touched.
    """
    answer = _ANSWER.search(solution)
    body = solution[: answer.start()] if answer else solution
    results = list(_RESULT.finditer(body))
    if not results:
        return None
    stated = _STATED.search(solution)
    final = _plain(stated["number"]) if stated else None
    found = dice.choice([one for one in results if _plain(one["number"]) != final] or results)
    start, end = found.span("number")
    wrong = _another(found["number"], final, dice)
    return solution[:start] + wrong + solution[end:], Mutation(RESULT, start, start + len(wrong), end)


def _another(number: str, final: str | None, dice: random.Random) -> str:
    """A number near this one and written like it, with as many decimals, that is neither it nor the final answer."""
    whole, _, decimals = number.replace(",", "").partition(".")
    value, places = int(whole + decimals), len(decimals)
    while True:
        other = value + dice.choice((-1, 1)) * dice.randint(1, max(9, value // 5))
        if other < 1:
            continue
        digits = f"{other:0{places + 1}d}"
        left = f"{int(digits[: len(digits) - places]):,}" if "," in number else digits[: len(digits) - places]
        written = f"{left}.{digits[-places:]}" if places else left
        if _plain(written) not in (_plain(number), final):
            return written


def _plain(number: str) -> str:
    """A number without the commas and the zeros that do not change its value."""
    plain = number.replace(",", "")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain

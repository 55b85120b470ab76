"""Pairs of steps: two completions that begin alike, one of which goes on rightly and the other does not.

What "rightly" means is read from the table: which of the completions that begin with the same tokens passed.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from curation.extract import parse
from curation.preferences import Candidate, Preference, drawn

if TYPE_CHECKING:
    from curation.pairs import PairSelection

End = Mapping[str, Any]
"""The end of a step, as in `completions.step_ends`: so many `chars` of the text, so many `tokens`."""

BEGINNING: End = {"chars": 0, "tokens": 0}


def step_dpo(candidates: Sequence[Candidate], config: PairSelection) -> list[Preference]:
    """The first wrong step of each failing completion against every right one in its place.

    Step-DPO (Lai et al. 2024, arXiv 2406.18629) with tests in the place of a labeller. A failing completion's step is
    the first wrong one if some completion that begins with the steps before it passes, and at least `tries` others
    begin with it as well and none of them passes. Its last step needs no others where the model ended there: nothing
    can follow. Both sides end with the step.
    """
    stepped = [_Tokens(candidate) for candidate in candidates if candidate["step_ends"]]
    found = []
    for rejected in (one for one in stepped if not one.passed):
        wrong = _first_wrong(rejected, stepped, config.tries)
        if wrong is None:
            continue
        before, end = wrong
        seen = {_step(rejected, end)}
        for chosen in (one for one in stepped if one.passed and one.begins_with(rejected, before)):
            right = chosen.next_end(before)
            if right is not None and _step(chosen, right) not in seen:
                seen.add(_step(chosen, right))
                found.append(_preference(chosen, right, rejected, end, before))
    return drawn(found, config)


def step_controlled(candidates: Sequence[Candidate], config: PairSelection) -> list[Preference]:
    """A passing completion against each one that kept its first steps, went on and failed; both to their ends.

    Step-Controlled DPO (Lu et al. 2024, arXiv 2407.00782). A rejected program that does not parse is left out: telling
    it from a right one is trivial.
    """
    by_id = {candidate["completion_id"]: candidate for candidate in candidates if candidate["status"] == "passed"}
    found = []
    for rejected in candidates:
        chosen, kept = by_id.get(rejected["origin_id"]), rejected["prefix_tokens"]
        if chosen is None or kept is None or rejected["status"] == "passed" or not _parses(rejected["code"]):
            continue
        chars = {end["tokens"]: end["chars"] for end in chosen["step_ends"] or ()}.get(kept)
        if chars is not None:
            found.append(Preference(chosen, rejected, prefix=chosen["text"][:chars], prefix_tokens=kept))
    return drawn(found, config)


def search(candidates: Sequence[Candidate], config: PairSelection) -> list[Preference]:
    """Two next steps behind the same tokens, of which one passes more often, by `min_gap` at least.

    A step's value is the share of passing completions among all that have its text, whatever their tokens, once there
    are `tries` of them. The sides are the best completion behind the one step and the worst behind the other, each to
    its step's end; the first must pass and the second fail.
    """
    stepped = [_Tokens(candidate) for candidate in candidates if candidate["step_ends"]]
    outcomes: dict[str, list[bool]] = {}
    for one in stepped:
        for text in {_step(one, end) for end in one.ends}:
            outcomes.setdefault(text, []).append(one.passed)
    values = {text: sum(passed) / len(passed) for text, passed in outcomes.items() if len(passed) >= config.tries}
    found = []
    for place, before in _places(stepped):
        steps: dict[str, list[_Tokens]] = {}
        for one in stepped:
            if one.begins_with(place, before) and (end := one.next_end(before)) and _step(one, end) in values:
                steps.setdefault(_step(one, end), []).append(one)
        for better, worse in _ordered(steps, values, config.min_gap):
            chosen = max(steps[better], key=lambda one: (one.row["score"], -one.row["sample_index"]))
            rejected = min(steps[worse], key=lambda one: (one.row["score"], one.row["sample_index"]))
            right, wrong = chosen.next_end(before), rejected.next_end(before)
            if chosen.passed and not rejected.passed and right is not None and wrong is not None:
                found.append(_preference(chosen, right, rejected, wrong, before))
    return drawn(found, config)


class _Tokens:
    """A candidate with its tokens as bytes, of which starts are compared fast."""

    def __init__(self, row: Candidate) -> None:
        self.row, self.passed, self.ends = row, row["status"] == "passed", row["step_ends"]
        self._tokens = array("q", row["token_ids"]).tobytes()

    def start(self, end: End) -> bytes:
        return self._tokens[: 8 * end["tokens"]]

    def begins_with(self, other: _Tokens, end: End) -> bool:
        """Whether it has the tokens of another up to there, and some behind them."""
        return len(self._tokens) > 8 * end["tokens"] and self.start(end) == other.start(end)

    def next_end(self, before: End) -> End | None:
        return next((end for end in self.ends if end["tokens"] > before["tokens"]), None)


def _first_wrong(rejected: _Tokens, stepped: Sequence[_Tokens], tries: int) -> tuple[End, End] | None:
    """The ends of the step before the first wrong one and of that one itself; None where they are not known."""
    for before, end in zip([BEGINNING, *rejected.ends], rejected.ends, strict=False):
        if not any(one.passed for one in stepped if one.begins_with(rejected, before)):
            return None
        others = [one.passed for one in stepped if one is not rejected and one.begins_with(rejected, end)]
        ended = end is rejected.ends[-1] and rejected.row["finish_reason"] != "length"
        if not any(others) and (ended or len(others) >= tries):
            return before, end
    return None


def _places(stepped: Sequence[_Tokens]) -> Iterator[tuple[_Tokens, End]]:
    """Every place where steps may part, each once: the beginning and the ends of steps, by their tokens."""
    seen = set()
    for one in stepped:
        for end in (BEGINNING, *one.ends[:-1]):
            if one.start(end) not in seen:
                seen.add(one.start(end))
                yield one, end


def _ordered(steps: Mapping[str, Any], values: Mapping[str, float], min_gap: float) -> list[tuple[str, str]]:
    """Pairs of steps of which the first has a value higher by the gap at least."""
    gaps = ((a, b, values[a] - values[b]) for a in steps for b in steps)
    return [(a, b) for a, b, gap in gaps if gap > 0 and gap >= min_gap - 1e-9]


def _step(one: _Tokens, end: End) -> str:
    """The text up to a step's end, without the space there, of which tokens take more or less."""
    return str(one.row["text"][: end["chars"]].rstrip())


def _preference(chosen: _Tokens, right: End, rejected: _Tokens, wrong: End, before: End) -> Preference:
    return Preference(
        chosen.row,
        rejected.row,
        prefix=chosen.row["text"][: before["chars"]],
        prefix_tokens=before["tokens"],
        chosen_text=chosen.row["text"][: right["chars"]],
        chosen_tokens=right["tokens"],
        rejected_text=rejected.row["text"][: wrong["chars"]],
        rejected_tokens=wrong["tokens"],
    )


def _parses(code: str | None) -> bool:
    return code is not None and parse(code) is not None

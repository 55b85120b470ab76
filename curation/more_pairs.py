"""More pairs from the same samples than best over worst: strategies that ask more than whether a program passes.

diverse        several pairs of a problem whose rejected sides fail in different ways. Curri-DPO (Pattnaik et al.
               2024, arXiv 2403.07230) trains on several pairs of a prompt; which are taken is farthest-first
               traversal (Gonzalez 1985), as core-sets are chosen (Sener & Savarese 2018, arXiv 1708.00489)
faster         both pass, chosen takes fewer steps: CodeDPO (Zhang et al. 2024, arXiv 2410.05605) and
               Code-Optimise (Gee et al. 2024, arXiv 2406.12502), which measure seconds
shorter        both pass, chosen has less code
both_fail      none passes, one gets further: AceCoder's gap of scores (Zeng et al. 2025, arXiv 2502.01718) below 1
hard_negative  one passes, the other nearly does
teacher        another's program that passes over the model's own that does not: off-policy, as in distilled DPO
               (Zephyr: Tunstall et al. 2023, arXiv 2310.16944)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from curation.preferences import Candidate, Preference, differ, drawn, qualifies

if TYPE_CHECKING:
    from curation.pairs import PairSelection

_TOKEN = re.compile(r"\w+|[^\w\s]")


def diverse(candidates: Sequence[Candidate], config: PairSelection) -> list[Preference]:
    """Rejected sides as unlike each other as can be; those with the highest score are chosen over them in turn.

    The first rejected is the one that best_worst takes. Each next is the one farthest from all before it; one that is
    like an earlier one in verdicts, error and words is not taken.
    """
    if not candidates:
        return []
    highest = max(candidate["score"] for candidate in candidates)
    best = [candidate for candidate in candidates if candidate["score"] == highest]
    left = [candidate for candidate in candidates if qualifies(best[0], candidate, config)]
    rejected = _far_apart(sorted(left, key=lambda c: (c["score"], c["sample_index"])), config.max_pairs_per_problem)
    return [Preference(best[place % len(best)], one) for place, one in enumerate(rejected)]


def faster(candidates: Sequence[Candidate], config: PairSelection) -> list[Preference]:
    """Both pass, and rejected takes at least `min_ratio` times the steps of chosen."""
    return _cheaper(_passing(candidates), [c["steps"] for c in _passing(candidates)], config)


def shorter(candidates: Sequence[Candidate], config: PairSelection) -> list[Preference]:
    """Both pass, and rejected has at least `min_ratio` times the characters of code of chosen.

    Blanks and lines of comment do not count: a model that fills lines with # is not what a short answer is better than.
    """
    passing = [c for c in _passing(candidates) if c["code"] is not None]
    return _cheaper(passing, [_size(c["code"]) for c in passing], config)


def both_fail(candidates: Sequence[Candidate], config: PairSelection) -> list[Preference]:
    """Neither passes, and chosen passes more tests."""
    failing = _failing(candidates)
    return drawn([Preference(c, r) for c in failing for r in failing if qualifies(c, r, config)], config)


def hard_negative(candidates: Sequence[Candidate], config: PairSelection) -> list[Preference]:
    """Those that pass over those that pass the most tests of all that fail, and at least one."""
    floor = config.above_rejected or 0.0
    failing = [c for c in _failing(candidates) if c["score"] > floor]
    nearest = max((c["score"] for c in failing), default=0.0)
    hard = [c for c in failing if c["score"] == nearest]
    return drawn([Preference(c, r) for c in _passing(candidates) for r in hard], config)


def teacher(candidates: Sequence[Candidate], config: PairSelection) -> list[Preference]:
    """What passes of another than the problem's first completion is by, over what fails of that one's own.

    With `teacher`, the other is the model of that name. Neither side is made from another completion.
    """
    whole = [c for c in candidates if c["origin_id"] is None]
    if not whole:
        return []
    main = _by(min(whole, key=lambda c: c["sample_index"]))
    taught = [c for c in _passing(whole) if _by(c) != main and config.teacher in (None, c["model"])]
    own = [c for c in _failing(whole) if _by(c) == main]
    return drawn([Preference(c, r) for c in taught for r in own], config)


def _passing(candidates: Sequence[Candidate]) -> list[Candidate]:
    return [candidate for candidate in candidates if candidate["status"] == "passed"]


def _failing(candidates: Sequence[Candidate]) -> list[Candidate]:
    return [candidate for candidate in candidates if candidate["status"] != "passed"]


def _by(candidate: Candidate) -> tuple[str, str]:
    return candidate["sampler"], candidate["model"]


def _size(code: str) -> int:
    lines = (line for line in code.splitlines() if not line.lstrip().startswith("#"))
    return sum(len("".join(line.split())) for line in lines)


def _cheaper(candidates: Sequence[Candidate], costs: Sequence[int], config: PairSelection) -> list[Preference]:
    """Every candidate over those that cost at least `min_ratio` times as much."""
    pairs = [
        Preference(one, other)
        for one, cost in zip(candidates, costs, strict=True)
        for other, more in zip(candidates, costs, strict=True)
        if more >= config.min_ratio * max(1, cost) and differ(one, other)
    ]
    return drawn(pairs, config)


def _far_apart(candidates: Sequence[Candidate], most: int) -> list[Candidate]:
    """The first candidate, then in turn the one farthest from those taken, the earliest among equals, until none is
    left that differs from all of them."""
    words = [frozenset(_TOKEN.findall(candidate["text"])) for candidate in candidates]
    ends = [(tuple(candidate["test_status"]), candidate["error_type"]) for candidate in candidates]
    # Another outcome counts more than any difference of words: the latter is below 1 unless they share none.
    distances = [float("inf")] * len(candidates)
    taken: list[Candidate] = []
    while len(taken) < most and any(distances):
        place = max(range(len(candidates)), key=distances.__getitem__)
        taken.append(candidates[place])
        for other, distance in enumerate(distances):
            unlike = (ends[place] != ends[other]) + _jaccard_distance(words[place], words[other])
            distances[other] = min(distance, unlike)
    return taken


def _jaccard_distance(one: frozenset[str], other: frozenset[str]) -> float:
    return 1 - len(one & other) / len(one | other) if one != other else 0.0

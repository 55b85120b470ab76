"""Benchmark scores with their uncertainty: unbiased pass@k, and the bootstrap over problems.

Problems are what a benchmark is a sample of, so they are what is drawn again: an interval says how far the score would
move had the benchmark been another draw of such problems, and of samples of them. Two models are compared on the same
problems, drawn together, so that what is hard for both cancels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

DRAWS = 10_000
LEVEL = 0.95
Values = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Estimate:
    """A mean over problems with its bootstrap interval (percentiles) at the 95 % level."""

    metric: str
    mean: float
    low: float
    high: float
    problems: int


@dataclass(frozen=True)
class Difference:
    """The mean difference of two models over the problems both were given, `other` minus `base`."""

    metric: str
    mean: float
    low: float
    high: float
    problems: int
    p_value: float
    """Two-sided share of draws on the other side of zero; ties count on both sides, so it is never too small."""


def pass_at_k(n: int, c: int, k: int) -> float:
    """1 - C(n - c, k) / C(n, k): the unbiased estimate from c solutions among n samples.

    Chen et al. 2021, arXiv 2107.03374, equation 1.
    """
    if k > n:
        raise ValueError(f"pass@{k} needs at least {k} samples of every problem, found {n}")
    return 1.0 if n - c < k else float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


def metrics(rows: Sequence[Mapping[str, Any]], ks: Sequence[int] = (1, 10, 100)) -> dict[str, dict[str, float]]:
    """metric -> problem_id -> value, of rows of `evaluations`: pass@k for every k that all problems allow, and the
    mean share of tests passed."""
    fewest = min((row["num_samples"] for row in rows), default=0)
    found = {
        f"pass@{k}": {row["problem_id"]: pass_at_k(row["num_samples"], row["num_solved"], k) for row in rows}
        for k in ks
        if k <= fewest
    }
    return found | {"tests passed": {row["problem_id"]: float(row["mean_score"]) for row in rows}}


def estimate(metric: str, values: Mapping[str, float], *, seed: int = 0) -> Estimate:
    """The mean of one value per problem, with its interval."""
    low, high = _interval(_draws(np.array(list(values.values()), np.float64), seed))
    return Estimate(metric, float(np.mean(list(values.values()))), low, high, len(values))


def compare(metric: str, base: Mapping[str, float], other: Mapping[str, float], *, seed: int = 0) -> Difference:
    """The paired bootstrap: both models' values of a problem are drawn together.

    Raises:
        ValueError: no problem was given to both.
    """
    both = [problem for problem in base if problem in other]
    if not both:
        raise ValueError("the two evaluations have no problem in common")
    gaps = np.array([other[problem] - base[problem] for problem in both], np.float64)
    drawn = _draws(gaps, seed)
    low, high = _interval(drawn)
    # + 1: the sample at hand is a draw too, so no finite number of draws proves a p-value of 0.
    tail = min(np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0)) + 1
    return Difference(metric, float(gaps.mean()), low, high, len(both), min(1.0, 2 * tail / (DRAWS + 1)))


def over_seeds(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """One value per problem from several runs (seeds) of an arm: their mean over the runs that have the problem."""
    problems = dict.fromkeys(problem for run in runs for problem in run)
    return {p: float(np.mean([run[p] for run in runs if p in run])) for p in problems}


def _draws(values: Values, seed: int) -> Values:
    """(DRAWS,): the mean of as many problems drawn with replacement. A block at a time, to keep memory small."""
    generator, means = np.random.default_rng(seed), []
    block = max(1, min(DRAWS, 2_000_000 // max(1, len(values))))
    for start in range(0, DRAWS, block):
        picks = generator.integers(0, len(values), (min(block, DRAWS - start), len(values)))
        means.append(values[picks].mean(axis=1))
    return np.concatenate(means)


def _interval(drawn: Values) -> tuple[float, float]:
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)

"""Problems that repeat each other or a benchmark: exact and near duplicates, and n-gram overlap with test sets.

A problem whose words or name and docstring stand in HumanEval or MBPP would teach a model the test. What the benchmarks
hold is not kept here, only hashes of their n-grams (benchmarks.npz); the matched passage is the problem's own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Indel

BENCHMARKS = Path(__file__).parent / "benchmarks.npz"

# 13 words, the overlap that GPT-3's authors counted as contamination (Brown et al. 2020, appendix C).
NGRAM = 13
# With the same function name, this many words of the docstring in a row are enough.
NAMED_NGRAM = 6
# Programs share loops: of 150 unrelated contest solutions five had 13 words of a benchmark's in a row, none had 25.
CODE_NGRAM = 25
# A text shorter than an n-gram counts whole, if it says at least this much.
WHOLE = 8

# 64 minima in 32 bands of 2: problems with half of their shingles in common meet in a band with probability 0.9999,
# and every meeting is judged by an exact distance afterwards.
BANDS, ROWS = 32, 2
SHINGLE = 3
_WORD = re.compile(r"\w+")
_DEFINED = re.compile(r"^\s*(?:async\s+)?def\s+(\w+)", re.MULTILINE)


class Match(NamedTuple):
    """Where a text meets a benchmark: the task, by which rule, and the passage of the text."""

    task: str
    rule: str
    passage: str


class Twin(NamedTuple):
    """The earlier problem that a problem repeats, and how alike the two are, 0 to 1."""

    problem_id: str
    similarity: float


class Fingerprints:
    """Hashes of n-grams, sorted, with the number of the benchmark task that each stands in."""

    def __init__(self, hashes: NDArray[np.uint64], tasks: NDArray[np.int32], names: Sequence[str]) -> None:
        self.hashes, self.tasks, self.names = hashes, tasks, list(names)

    def find(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """For each hash the number of its task, or -1."""
        if not len(self.hashes) or not len(hashes):
            return np.full(len(hashes), -1)
        at = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.where(self.hashes[at] == hashes, self.tasks[at], -1)

    def save(self, file: Path) -> None:
        """Write them as one compressed file."""
        np.savez_compressed(file, hashes=self.hashes, tasks=self.tasks, names=np.array(self.names))


@cache
def shipped() -> Fingerprints:
    """The fingerprints of HumanEval and MBPP."""
    with np.load(BENCHMARKS) as content:
        return Fingerprints(content["hashes"], content["tasks"], content["names"].tolist())


def fingerprint(tasks: Mapping[str, tuple[str, str]]) -> Fingerprints:
    """Fingerprints of benchmark tasks, from their names to their statement and solution."""
    hashes: dict[int, int] = {}
    for number, (statement, solution) in enumerate(tasks.values()):
        words, code = _words(statement)[0], _words(solution)[0]
        grams = [_grams(words, NGRAM, "text"), _grams(code, CODE_NGRAM, "code")]
        grams += [_grams(words, NAMED_NGRAM, name) for name in names_of(f"{statement}\n{solution}")]
        for gram in np.concatenate(grams).tolist():
            hashes.setdefault(gram, number)
    listed = np.array(sorted(hashes), np.uint64)
    return Fingerprints(listed, np.array([hashes[one] for one in listed.tolist()], np.int32), list(tasks))


def problem_overlap(prompt: str, entry_point: str | None, known: Fingerprints) -> Match | None:
    """The first passage of a problem's statement that a benchmark has: 13 words, or 6 beside the same function name."""
    match = _overlap(prompt, NGRAM, "text", "ngram", known)
    return match or (_overlap(prompt, NAMED_NGRAM, entry_point, "name", known) if entry_point else None)


def program_overlap(code: str, known: Fingerprints) -> Match | None:
    """The first passage of a program that a benchmark's solution has: 25 words in a row."""
    return _overlap(code, CODE_NGRAM, "code", "code", known)


def _overlap(text: str, size: int, kind: str, rule: str, known: Fingerprints) -> Match | None:
    words, spans = _words(text)
    found = known.find(_grams(words, size, kind))
    hits = np.flatnonzero(found >= 0)
    if not len(hits):
        return None
    first = int(hits[0])
    last = min(first + size, len(spans)) - 1
    return Match(known.names[int(found[first])], rule, text[spans[first][0] : spans[last][1]])


def names_of(text: str) -> list[str]:
    """The functions that a text defines."""
    return _DEFINED.findall(text)


def duplicates(texts: Mapping[str, str], threshold: float) -> dict[str, Twin]:
    """For each problem that repeats an earlier one (in the order given): that one, and their similarity.

    Candidates come from MinHash bands; a candidate counts when the Indel similarity of the words is at least
    `threshold`. The first of a group is nobody's duplicate, and the others all name it.
    """
    heads: dict[str, list[str]] = {}
    buckets: dict[tuple[int, bytes], list[str]] = {}
    found: dict[str, Twin] = {}
    first: dict[bytes, str] = {}
    for name, text in texts.items():
        mine = [word.lower() for word in _WORD.findall(text)]
        same = first.setdefault(hashlib.blake2b(" ".join(mine).encode("utf-8", "surrogatepass")).digest(), name)
        if same != name:
            found[name] = found.get(same) or Twin(same, 1.0)
            continue
        keys = list(_bands(mine))
        met = dict.fromkeys(other for key in keys for other in buckets.get(key, ()))
        best = max(
            (Twin(other, Indel.normalized_similarity(mine, heads[other])) for other in met),
            key=lambda twin: twin.similarity,
            default=None,
        )
        if best and best.similarity >= threshold:
            found[name] = best
            continue
        heads[name] = mine
        for key in keys:
            buckets.setdefault(key, []).append(name)
    return found


def _bands(words: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    """The band keys of a text's MinHash over shingles of three words; a text of fewer words is one shingle."""
    shingles = _grams(words or [""], SHINGLE, "shingle", least=1)
    factors, offsets = _permutations()
    # Multiplication modulo 2^64 by odd factors permutes the hashes; the high bits of the smallest are the minimum.
    minima = (shingles[:, None] * factors + offsets).min(axis=0)
    for band in range(BANDS):
        yield band, minima[band * ROWS : (band + 1) * ROWS].tobytes()


@cache
def _permutations() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    random = np.random.default_rng(0)
    factors, offsets = random.integers(0, 2**63, (2, BANDS * ROWS), np.uint64)
    return factors | np.uint64(1), offsets


def _words(text: str) -> tuple[list[str], list[tuple[int, int]]]:
    """The words of a text in lower case, and where they stand in it."""
    matches = list(_WORD.finditer(text))
    return [match.group().lower() for match in matches], [match.span() for match in matches]


def _grams(words: Sequence[str], size: int, kind: str, least: int = WHOLE) -> NDArray[np.uint64]:
    """Hashes of all runs of `size` words; of the whole where there are fewer, but at least `least`.

    A run's hash is the polynomial of its words' hashes modulo 2^64, so that all runs come from one running sum.
    """
    if len(words) < min(size, least) or not words:
        return np.empty(0, np.uint64)
    size = min(size, len(words))
    powers, inverses = _powers(1 << len(words).bit_length())
    values = np.fromiter(map(_hashes.__getitem__, words), np.uint64, len(words))
    sums = np.zeros(len(words) + 1, np.uint64)
    np.cumsum(values * powers[: len(words)], out=sums[1:])
    return ((sums[size:] - sums[:-size]) * inverses[: len(words) - size + 1]) ^ np.uint64(_hashes[kind])


@cache
def _powers(count: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The powers of the polynomial's base modulo 2^64, and those of its inverse."""
    base = 0x9E3779B97F4A7C15
    steps = [np.full(count, one, np.uint64) for one in (base, pow(base, -1, 2**64))]
    for step in steps:
        step[0] = 1
    return np.cumprod(steps[0]), np.cumprod(steps[1])


class _Hashes(dict[str, int]):
    """A 64-bit hash for each word, the same in every process."""

    def __missing__(self, word: str) -> int:
        digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        value = int.from_bytes(digest, "little")
        if len(self) < 1_000_000:
            self[word] = value
        return value


_hashes = _Hashes()

"""A sealed version as token ids: what there is to train on, in which order, and how it is cut into steps.

The unit is the prompt group. The prompt and each of its completions appear once in a batch however many pairs use
them, so log-probabilities are computed once per completion and losses are functions of pairs of them.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import manifest, store
from curation.errors import UserError
from curation.schema import identify
from training.config import Training

log = logging.getLogger(__name__)
Tokens = np.ndarray[Any, np.dtype[np.int32]]


class DataError(UserError, ValueError):
    """A version that cannot be trained on as asked."""


class Tokenizer(Protocol):
    """What is needed of a transformers tokenizer."""

    eos_token_id: int | None
    bos_token: str | None

    def __call__(self, text: str, *, add_special_tokens: bool) -> Any: ...
    def decode(self, token_ids: Any, *, skip_special_tokens: bool) -> Any: ...


@dataclass(frozen=True)
class Pair:
    """One preference: two completions of one prompt group, by id.

    Tokens before `loss_from` are the pair's prefix: they belong to the prompt and count in no loss. A side whose end is
    given stops after so many tokens of its completion, without an end token; None takes it whole.
    """

    pair_id: str
    group_id: str
    chosen: str
    rejected: str
    loss_from: int = 0
    chosen_end: int | None = None
    rejected_end: int | None = None

    def counted(self, chosen: Sequence[int], rejected: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
        """The tokens of the two completions that its sides consist of, prefix included."""
        return chosen[: self.chosen_end], rejected[: self.rejected_end]


@dataclass(frozen=True)
class Unit:
    """Pairs of one prompt that are trained in one batch."""

    group_id: str
    pairs: tuple[Pair, ...]

    @property
    def completion_ids(self) -> list[str]:
        """The completions its pairs use, each once, in the pairs' order."""
        return list(dict.fromkeys(side for pair in self.pairs for side in (pair.chosen, pair.rejected)))


@dataclass(frozen=True)
class Step:
    """What one optimizer step is made of; `stage` -1 is the likelihood stage."""

    stage: int
    epoch: int
    units: tuple[Unit, ...]
    ends_stage: bool = False

    @property
    def num_pairs(self) -> int:
        return sum(len(unit.pairs) for unit in self.units)


@dataclass(frozen=True)
class Corpus:
    """The pairs of a version that are trained on, with their tokens."""

    prompts: dict[str, Tokens]
    """group_id -> the prompt as the model saw it."""
    completions: dict[str, Tokens]
    """completion_id -> tokens as sampled, end token included."""
    group_of: dict[str, str]
    """completion_id -> group_id."""
    stages: tuple[tuple[Pair, ...], ...]
    """The pairs of each bucket in training order."""
    counts: dict[str, int]
    """What was read and what was not: pairs, pruned, too_long_dropped, truncated, tokenized_from_text, empty."""

    def tokens(self, unit: Unit) -> int:
        """Positions a unit takes in a batch: its prompt and all but the last token of each completion."""
        return len(self.prompts[unit.group_id]) + sum(len(self.completions[c]) - 1 for c in unit.completion_ids)


def read(version: Path, config: Training, tokenizer: Tokenizer, *, vocabulary: int, context: int) -> Corpus:
    """The pairs of one split in curriculum order with their tokens; `vocabulary` and `context` are the model's.

    Raises:
        DataError: there is nothing to train on, or the tokens are another model's.
    """
    manifest.read_manifest(version)
    counts: Counter[str] = Counter()
    rows = _placed_pairs(version, config.split, counts)
    needed = pa.array(sorted({row[side] for row in rows for side in ("chosen_id", "rejected_id")}), pa.string())
    prompts, completions, group_of = _completions(version, needed, tokenizer, vocabulary, counts)
    _check_tokenizer(version, needed, tokenizer)
    limit = min(context, config.max_length or context)
    stages: dict[int, list[Pair]] = {}
    for row in rows:
        ends = row["chosen_tokens"], row["rejected_tokens"]
        sides = row["chosen_id"], row["rejected_id"]
        pair = Pair(row["pair_id"], group_of[row["chosen_id"]], *sides, row["prefix_tokens"] or 0, *ends)
        if group_of[pair.rejected] != pair.group_id:
            raise DataError(f"pair {pair.pair_id} joins completions of two prompts: build the version again")
        if _fits(pair, prompts, completions, limit, config.too_long, counts):
            stages.setdefault(row["bucket"], []).append(pair)
    if not stages:
        said = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        raise DataError(
            f"{version} has no pair to train on in split {config.split!r} ({said}): prune less or allow more"
        )
    if gaps := sorted(set(range(max(stages))) - set(stages)):
        log.warning("bucket %s of %s is empty: its stage is left out", ", ".join(map(str, gaps)), version)
    counts["pairs"] = sum(map(len, stages.values()))
    used = {side for pairs in stages.values() for pair in pairs for side in (pair.chosen, pair.rejected)}
    kept = {name: ids for name, ids in completions.items() if name in used}
    return Corpus(prompts, kept, group_of, tuple(tuple(stages[bucket]) for bucket in sorted(stages)), dict(counts))


def _placed_pairs(version: Path, split: str, counts: Counter[str]) -> list[dict[str, Any]]:
    """Pairs with a place, in its order."""
    places = store.read(version, "curriculum", columns=["pair_id", "split", "position", "bucket"])
    places = places.filter(pc.equal(places["split"], split))
    counts["pruned"] = places["position"].null_count
    placed = places.filter(pc.is_valid(places["position"])).sort_by("position").drop_columns(["split"])
    columns = ["pair_id", "chosen_id", "rejected_id", "prefix_tokens", "chosen_tokens", "rejected_tokens"]
    pairs = store.read(version, "pairs", columns=columns)
    sides = {row["pair_id"]: row for row in pairs.to_pylist()}
    return [place | sides[place["pair_id"]] for place in placed.to_pylist()]


def _completions(
    version: Path, needed: pa.Array, tokenizer: Tokenizer, vocabulary: int, counts: Counter[str]
) -> tuple[dict[str, Tokens], dict[str, Tokens], dict[str, str]]:
    """Prompts by group, completions by id, and which belongs to which."""
    columns = ["completion_id", "problem_id", "prompt", "prompt_token_ids", "text", "token_ids", "finish_reason"]
    prompts: dict[str, Tokens] = {}
    completions: dict[str, Tokens] = {}
    group_of: dict[str, str] = {}
    counts["tokenized_from_text"] = 0
    for row in _rows(version, columns, needed):
        prompt, tokens = row["prompt_token_ids"], row["token_ids"]
        if prompt is None or tokens is None:
            prompt, tokens = _tokenize(row, tokenizer)
            counts["tokenized_from_text"] += 1
        prompt, tokens = np.asarray(prompt, np.int32), np.asarray(tokens, np.int32)
        highest = max(prompt.max(initial=0), tokens.max(initial=0))
        if highest >= vocabulary:
            raise DataError(
                f"completion {row['completion_id']} holds token {highest}, the model has {vocabulary}: "
                "train the model that sampled it, or build the version with this one"
            )
        # Prompts are equal when their tokens are: a group shares one forward pass.
        group = identify(row["problem_id"], prompt.tobytes().hex())
        prompts.setdefault(group, prompt)
        completions[row["completion_id"]], group_of[row["completion_id"]] = tokens, group
    return prompts, completions, group_of


def _rows(version: Path, columns: Sequence[str], needed: pa.Array) -> Iterator[dict[str, Any]]:
    """Rows of the completions that are needed, a shard at a time."""
    for shard in store.shards(version, "completions"):
        table = store.read(version, "completions", columns=columns, shard=shard)
        for batch in table.filter(pc.is_in(table["completion_id"], needed)).to_batches(max_chunksize=4096):
            yield from batch.to_pylist()


def _tokenize(row: dict[str, Any], tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Tokens of a completion that came as text. It gets an end token unless it is known to have been cut off."""
    starts_whole = bool(tokenizer.bos_token) and row["prompt"].startswith(tokenizer.bos_token)
    prompt = tokenizer(row["prompt"], add_special_tokens=not starts_whole)["input_ids"]
    tokens = tokenizer(row["text"], add_special_tokens=False)["input_ids"]
    ended = row["finish_reason"] != "length" and tokenizer.eos_token_id is not None
    return prompt, [*tokens, tokenizer.eos_token_id] if ended else tokens


def _check_tokenizer(version: Path, needed: pa.Array, tokenizer: Tokenizer, sample: int = 8) -> None:
    """Refuse sampled tokens that this tokenizer reads as another text.

    Raises:
        DataError: most of a small sample differ.
    """
    rows = _rows(version, ["completion_id", "text", "token_ids"], needed[:sample])
    sampled = [row for row in rows if row["token_ids"]]
    decoded = [str(tokenizer.decode(row["token_ids"], skip_special_tokens=True)) for row in sampled]
    differ = sum(text.strip() != row["text"].strip() for text, row in zip(decoded, sampled, strict=True))
    if differ * 2 > len(sampled):
        raise DataError(
            f"the tokens of {version} are not of this model's vocabulary ({differ} of {len(sampled)} read as another "
            "text): train the model that sampled them"
        )


def _fits(
    pair: Pair,
    prompts: dict[str, Tokens],
    completions: dict[str, Tokens],
    limit: int,
    policy: str,
    counts: Counter[str],
) -> bool:
    """Whether a pair is trained on, its sides cut to the limit where the policy says so."""
    room = limit - len(prompts[pair.group_id])
    sides = (pair.chosen, pair.rejected)
    if not len(prompts[pair.group_id]) or not all(len(completions[side]) > pair.loss_from for side in sides):
        counts["empty"] += 1
        return False
    if pair.loss_from >= room:  # nothing that counts would be left
        counts["too_long_dropped"] += 1
        return False
    if all(len(completions[side]) <= room for side in sides):
        return True
    if policy == "drop" or room < 1:
        counts["too_long_dropped"] += 1
        return False
    for side in sides:
        if len(completions[side]) > room:
            completions[side] = completions[side][:room]
            counts["truncated"] += 1
    return True


def plan(corpus: Corpus, config: Training) -> list[Step]:
    """Every optimizer step of a run. It follows from the corpus and the configuration alone."""
    steps = []
    for epoch in range(config.sft_epochs):
        steps += _cut(_likelihood_units(corpus.stages), config, stage=-1, epoch=epoch)
    stages = []
    for stage, pairs in enumerate(corpus.stages):
        if config.loss.form.pairwise:
            units = list(_grouped(pairs)) if config.grouping == "bucket" else [Unit(p.group_id, (p,)) for p in pairs]
        else:
            units = _likelihood_units((pairs,))
        for epoch in range(config.epochs):
            stages += _cut(units, config, stage=stage, epoch=epoch)
    if config.order == "shuffled":
        stages = _shuffled(stages, config.seed)
    steps += [_joined(step) for step in stages]
    last = {step.stage: index for index, step in enumerate(steps)}
    return [
        Step(step.stage, step.epoch, step.units, ends_stage=last[step.stage] == index)
        for index, step in enumerate(steps)
    ]


def _grouped(pairs: Iterable[Pair]) -> Iterator[Unit]:
    """The pairs of each prompt together, at the place of the first."""
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair.group_id, []).append(pair)
    return (Unit(group, tuple(members)) for group, members in groups.items())


def _likelihood_units(stages: Sequence[Sequence[Pair]]) -> list[Unit]:
    """Each chosen completion once, as a pair with itself: it takes no second place in a batch."""
    chosen = dict.fromkeys((pair.group_id, pair.chosen) for pairs in stages for pair in pairs)
    return list(_grouped(Pair(name, group, name, name) for group, name in chosen))


def _cut(units: Sequence[Unit], config: Training, *, stage: int, epoch: int) -> list[Step]:
    """Units in order, cut into steps once they hold enough pairs."""
    steps: list[Step] = []
    current: list[Unit] = []
    for unit in units:
        current.append(unit)
        if sum(len(u.pairs) for u in current) >= config.pairs_per_step:
            steps.append(Step(stage, epoch, tuple(current)))
            current = []
    return [*steps, Step(stage, epoch, tuple(current))] if current else steps


def _shuffled(steps: list[Step], seed: int) -> list[Step]:
    """As many steps of as many units each, with the units of every epoch drawn in another order."""
    shuffled = list(steps)
    for epoch in sorted({step.epoch for step in steps}):
        places = [index for index, step in enumerate(steps) if step.epoch == epoch]
        units = [unit for index in places for unit in steps[index].units]
        Random(f"{seed}-{epoch}").shuffle(units)
        for index in places:
            size = len(steps[index].units)
            shuffled[index] = Step(steps[index].stage, epoch, tuple(units[:size]))
            del units[:size]
    return shuffled


def _joined(step: Step) -> Step:
    """The step with its units of the same prompt made one."""
    return Step(step.stage, step.epoch, tuple(_grouped(pair for unit in step.units for pair in unit.pairs)))


def batches(units: Iterable[Unit], corpus: Corpus, budget: int) -> list[list[Unit]]:
    """Units in order, filled into forward passes of at most `budget` tokens; one pair alone may exceed it."""
    filled: list[list[Unit]] = []
    room = 0
    for unit in (part for whole in units for part in _split(whole, corpus, budget)):
        size = corpus.tokens(unit)
        if not filled or size > room:
            filled.append([])
            room = budget
        filled[-1].append(unit)
        room -= size
    return filled


def _split(unit: Unit, corpus: Corpus, budget: int) -> Iterator[Unit]:
    """A unit, or where it exceeds the budget its pairs in several."""
    pairs: list[Pair] = []
    for pair in unit.pairs:
        if pairs and corpus.tokens(Unit(unit.group_id, (*pairs, pair))) > budget:
            yield Unit(unit.group_id, tuple(pairs))
            pairs = []
        pairs.append(pair)
    yield Unit(unit.group_id, tuple(pairs))

"""Where a preference sits in the tokens: log-probabilities before, at and after the first difference of a pair.

The paper's Figure 3 and Section 5 (Pal et al. 2024, arXiv 2402.13228) average them per token over many pairs under the
reference and trained policies; DPO lowers what comes after the difference on the chosen side, DPOP does not. Per
token, beta (log pi - log ref) is the policy's implicit reward (Rafailov et al. 2024, From r to Q*, arXiv 2404.12358).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from curation.errors import UserError
from curation.progress import Progress, silent
from training import data, parallel, policy, reference
from training.config import Training
from training.data import Corpus, Pair, Tokens
from training.logps import Scorer
from training.losses import shared_prefix
from training.reference import Logps

Part = Literal["before", "at", "after"]
PARTS: tuple[Part, ...] = ("before", "at", "after")
SIDES = ("chosen", "rejected")


@dataclass(frozen=True)
class PartMean:
    """The mean log-probability per token of one part of one side, over all pairs."""

    policy: str
    side: str
    part: Part
    tokens: int
    mean_logp: float
    """In nats; nan where no pair has such a token."""


def parts(logps: Logps, difference: int) -> dict[Part, Logps]:
    """A side's (n,) log-probabilities, cut at the index of the first token in which the sides differ."""
    return {"before": logps[:difference], "at": logps[difference : difference + 1], "after": logps[difference + 1 :]}


def part_means(pairs: Iterable[Pair], corpus: Corpus, policies: Mapping[str, Mapping[str, Logps]]) -> list[PartMean]:
    """Figure 3's numbers, every token weighing the same. `policies` is name -> completion_id -> (n,) in nats."""
    sums: dict[tuple[str, str, Part], tuple[int, float]] = {}
    for pair in pairs:
        names = {"chosen": pair.chosen, "rejected": pair.rejected}
        difference = shared_prefix(*(corpus.completions[name].tolist() for name in names.values()))
        for policy_name, logps in policies.items():
            for side, completion_id in names.items():
                for part, values in parts(logps[completion_id], difference).items():
                    tokens, total = sums.get((policy_name, side, part), (0, 0.0))
                    sums[policy_name, side, part] = tokens + len(values), total + float(values.sum(dtype=np.float64))
    return [
        PartMean(name, side, part, tokens, total / tokens if tokens else float("nan"))
        for (name, side, part), (tokens, total) in sums.items()
    ]


def token_rewards(logps: Logps, reference_logps: Logps, beta: float) -> Logps:
    """beta (log pi - log ref) of each token, (n,): positive where the policy came to like it."""
    return (beta * (logps.astype(np.float64) - reference_logps)).astype(np.float32)


def pair_tokens(
    pair: Pair,
    corpus: Corpus,
    tokenizer: Any,
    logps: Mapping[str, Logps],
    reference_logps: Mapping[str, Logps],
    beta: float,
) -> list[dict[str, Any]]:
    """One row per token of both sides, for a pair's page: side, index, text, logp, ref_logp and reward."""
    rows = []
    for side in SIDES:
        name = getattr(pair, side)
        rewards = token_rewards(logps[name], reference_logps[name], beta)
        for index, token in enumerate(corpus.completions[name].tolist()):
            rows.append(
                {
                    "side": side,
                    "index": index,
                    "text": tokenizer.decode([token]),
                    "logp": float(logps[name][index]),
                    "ref_logp": float(reference_logps[name][index]),
                    "reward": float(rewards[index]),
                }
            )
    return rows


@dataclass(frozen=True)
class Credit:
    """The log-probabilities per token of a version's completions under the reference and some policies."""

    corpus: Corpus
    tokenizer: Any
    policies: dict[str, dict[str, Logps]]
    """`reference`, then each policy by its name: completion_id -> (n,)."""

    @property
    def pairs(self) -> list[Pair]:
        """The pairs in training order."""
        return [pair for stage in self.corpus.stages for pair in stage]

    def rewards(self, beta: float) -> Iterator[dict[str, Any]]:
        """Rows of `token_rewards`: every completion under every policy but the reference."""
        start = self.policies["reference"]
        texts = {name: self._texts(tokens) for name, tokens in self.corpus.completions.items()}
        for policy_name, logps in self.policies.items():
            if policy_name == "reference":
                continue
            for name in self.corpus.completions:
                yield {
                    "policy": policy_name,
                    "completion_id": name,
                    "tokens": texts[name],
                    "logps": logps[name].tolist(),
                    "ref_logps": start[name].tolist(),
                    "rewards": token_rewards(logps[name], start[name], beta).tolist(),
                }

    def _texts(self, tokens: Tokens) -> list[str]:
        # A token may be half a character; Parquet holds no lone surrogate.
        return [self.tokenizer.decode([token]).encode("utf-8", "replace").decode() for token in tokens.tolist()]

    def means(self) -> list[PartMean]:
        """The numbers of Figure 3."""
        return part_means(self.pairs, self.corpus, self.policies)


def measure(
    version: Path,
    config: Training,
    adapters: Mapping[str, Path],
    *,
    limit: int | None = None,
    on_progress: Progress = silent,
) -> Credit:
    """Score a version's completions under the model of `config` and under it with each of `adapters` (name -> folder).

    `limit` takes the first so many pairs only. One model is in memory; the adapters take turns in it.

    Raises:
        UserError: the configuration is not of adapters, or a folder holds none that fits.
    """
    if config.mode != "lora":
        raise UserError(f"expected mode lora, found {config.mode}: only adapters are compared with their base model")
    device = policy.device_of(config)
    scorer, tokenizer = policy.load(config, device, policy.dtype_of(config, device))
    causal: Any = scorer.causal
    context = int(getattr(causal.config, "max_position_embeddings", 0) or 1 << 30)
    vocabulary = causal.get_input_embeddings().num_embeddings
    corpus = data.read(version, config, tokenizer, vocabulary=vocabulary, context=context)
    corpus = _first(corpus, limit)
    budget = config.tokens_per_batch or 4096
    policies = {"reference": reference.measure(corpus, scorer, budget, device)}
    for done, (name, folder) in enumerate(adapters.items()):
        on_progress(done, len(adapters))
        _wear(scorer, folder)
        policies[name] = reference.measure(corpus, scorer, budget, device)
    on_progress(len(adapters), len(adapters))
    return Credit(corpus, tokenizer, policies)


def _first(corpus: Corpus, limit: int | None) -> Corpus:
    """The corpus of its first `limit` pairs."""
    stages: list[Sequence[Pair]] = []
    left = limit if limit is not None else sum(map(len, corpus.stages))
    for stage in corpus.stages:
        stages.append(stage[:left])
        left -= len(stages[-1])
    used = {side for stage in stages for pair in stage for side in (pair.chosen, pair.rejected)}
    kept = {name: tokens for name, tokens in corpus.completions.items() if name in used}
    return Corpus(corpus.prompts, kept, corpus.group_of, tuple(map(tuple, stages)), corpus.counts)


@torch.no_grad()
def _wear(scorer: Scorer, folder: Path) -> None:
    """Put an adapter's weights into the model.

    Raises:
        UserError: it is no adapter, or one of another shape.
    """
    try:
        weights = policy.load_adapter(scorer, folder)
        for name, parameter in policy.trainable(scorer).items():
            if parameter.shape != weights[name].shape:
                raise KeyError(f"{name} of shape {tuple(parameter.shape)}")
            parallel.assign(parameter, weights[name])
    except (FileNotFoundError, KeyError) as error:
        raise UserError(f"{folder} holds no adapter of this model with the rank and targets given: {error}") from error

"""Log-probabilities of completions: a batch as tensors, the forward pass, and the head over completion tokens only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from training import embedding
from training.attention import Segments, segments_of
from training.data import Corpus, Unit
from training.losses import Loss, PairLogps

# Logits of one chunk are float32: 64 MiB keeps them near a CPU's cache, 512 MiB keeps a GPU busy.
CHUNK_BYTES = {"cpu": 64 << 20, "cuda": 512 << 20}


@dataclass(frozen=True)
class Batch:
    """A packed forward pass of T positions that scores S tokens of K completions for P pairs."""

    input_ids: Tensor
    """(1, T)"""
    position_ids: Tensor
    """(1, T): a completion counts on from its prompt's end."""
    segments: Segments
    scored: Tensor
    """(S,): the position whose hidden state predicts each scored token."""
    targets: Tensor
    """(S,): the scored tokens, completion after completion."""
    completion_ids: tuple[str, ...]
    ends: tuple[int, ...]
    """(K,): where each completion's scored tokens end."""
    gather: Tensor
    """(E,): for every token that a pair's side counts, its place among the S."""
    weights: Tensor
    """(E,) float64: what it weighs."""
    side: Tensor
    """(E,): the side it belongs to, 0 .. P-1 chosen and P .. 2P-1 rejected."""
    side_tokens: Tensor
    """(2P,): how many tokens count on a side, at least 1."""
    pair_ids: tuple[str, ...]

    @property
    def num_pairs(self) -> int:
        return len(self.pair_ids)

    def pair_sums(self, token_logps: Tensor) -> Tensor:
        """(S,) -> (2P,) float64: weighted sums of the chosen sides, then of the rejected."""
        sums = torch.zeros(2 * self.num_pairs, dtype=torch.float64, device=token_logps.device)
        return sums.index_add(0, self.side, token_logps.double()[self.gather] * self.weights)

    def pair_logps(self, policy: Tensor, reference: Tensor) -> PairLogps:
        """What the losses take, from log-probabilities per token (S,) of the policy and the reference."""
        (chosen, rejected), (ref_chosen, ref_rejected) = (
            self.pair_sums(policy).chunk(2),
            self.pair_sums(reference).chunk(2),
        )
        return PairLogps(chosen, rejected, ref_chosen, ref_rejected, *self.side_tokens.chunk(2))

    def per_completion(self, token_logps: Tensor) -> dict[str, Tensor]:
        """Each completion's own part of (S,)."""
        lengths = np.diff(self.ends, prepend=0).tolist()
        return dict(zip(self.completion_ids, token_logps.split(lengths), strict=True))

    def from_completions(self, logps: Mapping[str, Tensor | np.ndarray[Any, Any]]) -> Tensor:
        """Per-token log-probabilities of every completion, put together as (S,) float32."""
        parts = [torch.as_tensor(logps[name]) for name in self.completion_ids]
        return torch.cat(parts).to(self.input_ids.device, torch.float32)


def collate(units: Sequence[Unit], corpus: Corpus, loss: Loss, device: torch.device) -> Batch:
    """The tensors of one forward pass over `units`, whose groups each appear once."""
    ids, positions, scored, targets, groups, completion_ids, ends = [], [], [], [], [], [], []
    at, total = 0, 0
    for unit in units:
        prompt = corpus.prompts[unit.group_id]
        start, before = at, len(prompt)
        ids.append(prompt)
        positions.append(np.arange(before))
        at += before
        groups.append([before])
        for name in unit.completion_ids:
            tokens = corpus.completions[name]
            # The last token predicts nothing that counts, so it takes no position.
            own = len(tokens) - 1
            ids.append(tokens[:-1])
            positions.append(np.arange(before, before + own))
            scored.append(np.concatenate(([start + before - 1], np.arange(at, at + own))))
            targets.append(tokens)
            groups[-1].append(own)
            at, total = at + own, total + len(tokens)
            completion_ids.append((unit.group_id, name))
            ends.append(total)
    starts = dict(zip(completion_ids, [0, *ends[:-1]], strict=True))
    gather, weights, side, side_tokens = _sides(units, corpus, loss, starts)

    def tensor(values: Any, kind: torch.dtype = torch.int64) -> Tensor:
        return torch.from_numpy(values).to(device, kind, non_blocking=True)

    return Batch(
        input_ids=tensor(np.concatenate(ids))[None],
        position_ids=tensor(np.concatenate(positions))[None],
        segments=segments_of(groups, device),
        scored=tensor(np.concatenate(scored)),
        targets=tensor(np.concatenate(targets)),
        completion_ids=tuple(name for _, name in completion_ids),
        ends=tuple(ends),
        gather=tensor(gather),
        weights=tensor(weights, torch.float64),
        side=tensor(side),
        side_tokens=tensor(side_tokens),
        pair_ids=tuple(pair.pair_id for unit in units for pair in unit.pairs),
    )


def _sides(
    units: Sequence[Unit], corpus: Corpus, loss: Loss, starts: Mapping[tuple[str, str], int]
) -> tuple[Any, Any, Any, Any]:
    """gather, weights, side and side_tokens of a batch: which scored tokens a pair's sides sum, and how."""
    pairs = [pair for unit in units for pair in unit.pairs]
    gather, weights, side = [], [], []
    counted = np.ones(2 * len(pairs), np.int64)
    for number, pair in enumerate(pairs):
        names = (pair.chosen, pair.rejected)
        sides = pair.counted(*(corpus.completions[name].tolist() for name in names))
        weighed = loss.token_weights(*(tokens[pair.loss_from :] for tokens in sides))
        for rejected, (name, values) in enumerate(zip(names, weighed, strict=True)):
            kept = np.flatnonzero(values)
            gather.append(starts[pair.group_id, name] + pair.loss_from + kept)
            weights.append(np.asarray(values, np.float64)[kept])
            side.append(np.full(len(kept), number + rejected * len(pairs)))
            counted[number + rejected * len(pairs)] = max(1, len(kept))
    return np.concatenate(gather), np.concatenate(weights), np.concatenate(side), counted


class CausalLM(Protocol):
    """What is needed of a transformers causal language model."""

    model: nn.Module
    lm_head: nn.Linear
    config: Any


class Scorer(nn.Module):
    """A causal language model that returns the log-probabilities (S,) float32 of a batch's completion tokens."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.causal = model

    def forward(self, batch: Batch) -> Tensor:
        """Positions without a scored token never reach the head."""
        causal: Any = self.causal
        hidden = causal.model(
            input_ids=batch.input_ids,
            position_ids=batch.position_ids,
            attention_mask=None,
            use_cache=False,
            segments=batch.segments,
        ).last_hidden_state
        return token_logps(hidden[0].index_select(0, batch.scored), causal.lm_head.weight, batch.targets)


def token_logps(hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    """log softmax(hidden @ head.T)[target] in float32: (S, H), (V, H), (S,) -> (S,), never (S, V) at once."""
    device = hidden.device.type
    rows = max(1, CHUNK_BYTES[device] // (4 * head.shape[0]))
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    return _ChunkedLogps.apply(hidden.to(dtype), head, targets, rows)


class _ChunkedLogps(torch.autograd.Function):
    """Chunks of rows through the head. A frozen head saves d logp / d hidden (S, H) in the forward pass, which costs
    one product less than recomputing the logits in the backward pass as a trainable head must."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, rows: int) -> Tensor:
        ctx.rows, ctx.trainable, ctx.head = rows, ctx.needs_input_grad[1], head
        head = head.to(hidden.dtype)
        logps = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        keep = ctx.needs_input_grad[0] and not ctx.trainable
        jacobian = torch.empty_like(hidden) if keep else None
        # One buffer for every chunk's logits: to map as many new pages costs a sixth of the product that fills them.
        buffer = hidden.new_empty(min(rows, len(targets)), head.shape[0])
        with torch.autocast(hidden.device.type, enabled=False):
            for span in _spans(len(targets), rows):
                logits = torch.mm(hidden[span], head.T, out=buffer[: span.stop - span.start]).float()
                wanted = logits.gather(1, targets[span, None])
                largest = logits.amax(1, keepdim=True)
                # The softmax but for its denominator: exponentials are taken once, for the sum and for the product.
                weights = logits.sub_(largest).exp_()
                total = weights.sum(1, keepdim=True)
                logps[span] = (wanted - largest - total.log())[:, 0]
                if jacobian is not None:
                    mean = (weights.to(head.dtype) @ head).div_(total)
                    torch.sub(head[targets[span]], mean, out=jacobian[span])
        ctx.save_for_backward(*((jacobian,) if keep else (hidden, targets, logps)))
        return logps

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (grad,) = grads
        if not ctx.trainable:
            (jacobian,) = ctx.saved_tensors
            return jacobian * grad[:, None].to(jacobian.dtype), None, None, None
        hidden, targets, logps = ctx.saved_tensors
        head = ctx.head.detach().to(hidden.dtype)
        own = embedding.adds_in_place(ctx.head)
        grad_hidden = torch.empty_like(hidden)
        # Products are added up in float32, in the weight's own gradient where that may be.
        grad_head = embedding.gradient_of(ctx.head) if own else torch.zeros_like(ctx.head, dtype=torch.float32)
        buffer = hidden.new_empty(min(ctx.rows, len(targets)), head.shape[0])
        for span in _spans(len(targets), ctx.rows):
            logits = torch.mm(hidden[span], head.T, out=buffer[: span.stop - span.start]).float()
            # d logp / d logits is one-hot minus softmax, whose denominator the forward pass has found.
            denominator = logits.gather(1, targets[span, None]) - logps[span, None]
            weighted = logits.sub_(denominator).exp_().mul_(-grad[span, None])
            weighted.scatter_add_(1, targets[span, None], grad[span, None])
            weighted = weighted.to(head.dtype)
            torch.mm(weighted, head, out=grad_hidden[span])
            if head.dtype == grad_head.dtype:
                grad_head.addmm_(weighted.T, hidden[span])
            else:
                grad_head += weighted.T @ hidden[span]
        return grad_hidden, None if own else grad_head.to(ctx.head.dtype), None, None


def _spans(length: int, rows: int) -> list[slice]:
    return [slice(start, min(start + rows, length)) for start in range(0, length, rows)]

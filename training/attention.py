"""Attention over a packed row in which the completions of a prompt share it.

    [ prompt A | completion A1 | completion A2 | prompt B | completion B1 | ... ]

A prompt attends to itself, a completion to its prompt and itself, both causally: exactly what separate padded rows
compute, without padding and with each prompt once. Every completion is its own segment whatever stands beside it, so
its log-probability does not depend on how batches were filled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

NAME = "pairwright_packed"


@dataclass(frozen=True)
class Segments:
    """Who attends to whom in a packed row of `length` tokens.

    `lengths` are the segments' lengths in order; `prompt_of` the number of the segment each one continues, or its own
    for a prompt. A segment of length 0 is a completion of one token, which needs no position of its own.
    """

    lengths: tuple[int, ...]
    prompt_of: tuple[int, ...]
    device: torch.device

    @property
    def length(self) -> int:
        return sum(self.lengths)

    @cached_property
    def starts(self) -> list[int]:
        """Where each segment starts in the row."""
        return [sum(self.lengths[:i]) for i in range(len(self.lengths))]

    @cached_property
    def masks(self) -> list[Tensor | None]:
        """Per segment None for a prompt, else (own, prompt + own) bool: True where a query may look."""
        made: list[Tensor | None] = []
        for index, (own, prompt) in enumerate(zip(self.lengths, self.prompt_of, strict=True)):
            before = self.lengths[prompt]
            square = None if prompt == index else torch.ones(own, before + own, dtype=torch.bool, device=self.device)
            made.append(None if square is None else square.tril(before))
        return made

    @cached_property
    def varlen(self) -> tuple[Tensor, Tensor, Tensor, int, int]:
        """The same for varlen kernels: key index, cumulative query and key lengths (int32), the longest of each.

        Keys of a completion are its prompt's and its own; the kernels' causal mask is aligned at the bottom right.
        """
        queries, keys, index = [0], [0], []
        for number, (own, prompt) in enumerate(zip(self.lengths, self.prompt_of, strict=True)):
            if not own:
                continue
            looked_at = [] if prompt == number else list(_span(self.starts[prompt], self.lengths[prompt]))
            looked_at += _span(self.starts[number], own)
            index += looked_at
            queries.append(queries[-1] + own)
            keys.append(keys[-1] + len(looked_at))
        longest = [max(b - a for a, b in zip(ends, ends[1:], strict=False)) for ends in (queries, keys)]
        cumulative = [torch.tensor(ends, dtype=torch.int32, device=self.device) for ends in (queries, keys)]
        return torch.tensor(index, device=self.device), cumulative[0], cumulative[1], longest[0], longest[1]


def _span(start: int, length: int) -> range:
    return range(start, start + length)


def register() -> None:
    """Make the packed attention known to transformers under `NAME`."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(NAME, packed_attention)
    AttentionMaskInterface.register(NAME, _no_mask)


def _no_mask(*_: Any, **__: Any) -> None:
    """The segments say who attends to whom; transformers need not build a mask."""


@torch.compiler.disable
def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    segments: Segments | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """transformers' attention interface: query (1, heads, tokens, dim) -> (1, tokens, heads, dim).

    Raises:
        ValueError: the model does something in its attention that packing does not do.
    """
    if segments is None:
        raise ValueError(f"attention {NAME} expects segments: call the model through training.logps")
    if softcap is not None:
        raise ValueError("this model caps its attention scores, which the packed attention does not do")
    if sliding_window is not None and sliding_window < segments.varlen[4]:
        raise ValueError(f"this model attends to {sliding_window} tokens only: set max_length to at most that")
    attend = _varlen if query.is_cuda and query.dtype != torch.float32 else per_segment
    return attend(query, key, value, segments, scaling), None


def per_segment(query: Tensor, key: Tensor, value: Tensor, segments: Segments, scaling: float | None) -> Tensor:
    """One call of scaled dot-product attention per segment, exact on any device: (1, tokens, heads, dim)."""
    # One split each: its backward is one concatenation, where slices would each fill a tensor of the whole length.
    queries = query.split(segments.lengths, dim=2)
    keys = key.split(segments.lengths, dim=2)
    values = value.split(segments.lengths, dim=2)
    outputs = []
    for index, (prompt, mask) in enumerate(zip(segments.prompt_of, segments.masks, strict=True)):
        if not segments.lengths[index]:
            continue
        k, v = keys[index], values[index]
        if mask is not None:
            k, v = torch.cat((keys[prompt], k), dim=2), torch.cat((values[prompt], v), dim=2)
        outputs.append(
            F.scaled_dot_product_attention(
                queries[index],
                k,
                v,
                attn_mask=mask,
                is_causal=mask is None,
                scale=scaling,
                enable_gqa=query.shape[1] != key.shape[1],
            )
        )
    return torch.cat(outputs, dim=2).transpose(1, 2)


def _varlen(query: Tensor, key: Tensor, value: Tensor, segments: Segments, scaling: float | None) -> Tensor:
    """One flash kernel over all segments, half precision on CUDA: (1, tokens, heads, dim)."""
    from torch.nn.attention.varlen import varlen_attn

    index, queries, keys, longest_query, longest_key = segments.varlen
    packed: Any = varlen_attn(
        query[0].transpose(0, 1).contiguous(),
        key[0].transpose(0, 1)[index],
        value[0].transpose(0, 1)[index],
        queries,
        keys,
        longest_query,
        longest_key,
        scale=scaling,
        window_size=(-1, 0),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return packed.unsqueeze(0)


def segments_of(groups: Sequence[Sequence[int]], device: torch.device) -> Segments:
    """Segments from each group's lengths: its prompt's, then its completions'."""
    lengths: list[int] = []
    prompt_of: list[int] = []
    for group in groups:
        prompt_of += [len(lengths)] * len(group)
        lengths += group
    return Segments(tuple(lengths), tuple(prompt_of), device)

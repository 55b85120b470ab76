"""The one large matrix that most models use twice, as embedding and as head, with one gradient instead of three.

Autograd would make a whole gradient for each use and a third to add them in. Both uses here add to the weight's own
gradient while the backward pass runs. Of a 135M model that is 111 MiB less at the peak of a step in full mode.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training import parallel


class Embedding(nn.Embedding):
    """Computes what its base does; `loss.backward()` finds the gradient, `torch.autograd.grad` does not."""

    def forward(self, ids: Tensor) -> Tensor:
        """(...) -> (..., H)"""
        if torch.is_grad_enabled() and adds_in_place(self.weight):
            return _Lookup.apply(ids, self.weight, self.padding_idx)
        return super().forward(ids)


def install(model: Any) -> None:
    """Have a transformers model look its tokens up so; an embedding that does more than that is left as it is."""
    found = model.get_input_embeddings()
    if type(found) is nn.Embedding and found.max_norm is None and not (found.scale_grad_by_freq or found.sparse):
        found.__class__ = Embedding


def adds_in_place(weight: Tensor) -> bool:
    """Whether a backward pass may add to the weight's gradient by itself: it is trained, and not gathered by FSDP."""
    return weight.requires_grad and weight.is_leaf and parallel.world() == 1


def gradient_of(weight: Tensor) -> Tensor:
    """The gradient to add to, which starts at zero."""
    if weight.grad is None:
        weight.grad = torch.zeros_like(weight)
    return weight.grad


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ids: Tensor, weight: Tensor, padding: int | None) -> Tensor:
        ctx.weight, ctx.padding = weight, padding
        ctx.save_for_backward(ids)
        return F.embedding(ids, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None, None]:
        ids, grad = ctx.saved_tensors[0].flatten(), grads[0].flatten(0, -2)
        if ctx.padding is not None:  # a row that nn.Embedding does not train
            counted = ids != ctx.padding
            ids, grad = ids[counted], grad[counted]
        gradient_of(ctx.weight).index_put_((ids,), grad, accumulate=True)
        return None, None, None

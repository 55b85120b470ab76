"""Preference losses as pure functions of summed log-probabilities: tensors in, one loss per pair out.

Notation of the docstrings: y_w is the chosen completion, y_l the rejected one, pi the policy, ref the reference,
r_w = log pi(y_w|x) - log ref(y_w|x), r_l likewise, s the logistic function. Everything is in nats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

LossName = Literal[
    "dpo",
    "cdpo",
    "robust_dpo",
    "ipo",
    "ipo_mean",
    "dpop",
    "dpo_norm",
    "ld_dpo",
    "rpo",
    "simpo",
    "step_dpo",
    "focused_dpo",
    "sft",
]


@dataclass(frozen=True)
class PairLogps:
    """What a loss sees of a batch of pairs; every field has shape (pairs,)."""

    chosen: Tensor
    """log pi(y_w|x): the weighted sum over the tokens that count."""
    rejected: Tensor
    """log pi(y_l|x)"""
    ref_chosen: Tensor
    """log ref(y_w|x), summed with the same weights over the same tokens."""
    ref_rejected: Tensor
    """log ref(y_l|x)"""
    chosen_tokens: Tensor
    """|y_w|: how many tokens count, at least 1."""
    rejected_tokens: Tensor
    """|y_l|"""

    @property
    def margin(self) -> Tensor:
        """r_w - r_l."""
        return (self.chosen - self.ref_chosen) - (self.rejected - self.ref_rejected)


def dpo(p: PairLogps, *, beta: float) -> Tensor:
    """-log s(beta (r_w - r_l)). Rafailov et al. 2023, arXiv 2305.18290, equation 7."""
    return -F.logsigmoid(beta * p.margin)


def cdpo(p: PairLogps, *, beta: float, label_smoothing: float) -> Tensor:
    """(1-e) dpo + e dpo with the sides swapped: the labels are wrong with probability e.

    Conservative DPO, Mitchell 2023, ericmitchell.ai/cdpo.pdf.
    """
    logits = beta * p.margin
    return -(1 - label_smoothing) * F.logsigmoid(logits) - label_smoothing * F.logsigmoid(-logits)


def robust_dpo(p: PairLogps, *, beta: float, label_smoothing: float) -> Tensor:
    """((1-e) dpo - e dpo with the sides swapped) / (1-2e): unbiased when labels flip with probability e.

    Chowdhury et al. 2024, arXiv 2403.00409. It can be negative.
    """
    logits = beta * p.margin
    clean = -(1 - label_smoothing) * F.logsigmoid(logits)
    return (clean + label_smoothing * F.logsigmoid(-logits)) / (1 - 2 * label_smoothing)


def ipo(p: PairLogps, *, beta: float) -> Tensor:
    """(r_w - r_l - 1/(2 beta))^2 on sums, as printed. Azar et al. 2023, arXiv 2310.12036, equation 17, beta = tau."""
    return (p.margin - 1 / (2 * beta)) ** 2


def ipo_mean(p: PairLogps, *, beta: float) -> Tensor:
    """The same on means per token: what TRL calls ipo, and by its account what the authors ran."""
    chosen = (p.chosen - p.ref_chosen) / p.chosen_tokens
    rejected = (p.rejected - p.ref_rejected) / p.rejected_tokens
    return (chosen - rejected - 1 / (2 * beta)) ** 2


def dpop(p: PairLogps, *, beta: float, dpop_lambda: float) -> Tensor:
    """-log s(beta (r_w - r_l - lambda max(0, -r_w))): DPO-Positive.

    Pal et al. 2024, arXiv 2402.13228v2, equation 3: the penalty is inside the logistic function and inside beta
    (version 1 of the paper had it misplaced, and public code follows that or has its sign wrong). Where the policy
    gives chosen at least the reference's probability it equals `dpo` exactly. The paper takes beta 0.3 and lambda 50.
    In bfloat16 a sequence's log-probability has noise of some 0.2 nats, which lambda 50 turns into 1 in the
    logistic's argument at beta 0.1, hence the smaller default.
    """
    penalty = torch.relu(p.ref_chosen - p.chosen)
    return -F.logsigmoid(beta * (p.margin - dpop_lambda * penalty))


def dpo_norm(p: PairLogps, *, beta: float) -> Tensor:
    """-log s(beta (r_w/|y_w| - r_l/|y_l|)): length-normalized DPO.

    Lambert et al. 2024 (Tulu 3), arXiv 2411.15124; beta is larger here (5) because it meets means.
    """
    chosen = (p.chosen - p.ref_chosen) / p.chosen_tokens
    rejected = (p.rejected - p.ref_rejected) / p.rejected_tokens
    return -F.logsigmoid(beta * (chosen - rejected))


def rpo(p: PairLogps, *, beta: float, nll_weight: float) -> Tensor:
    """dpo + a * (-log pi(y_w|x) / |y_w|): DPO with the chosen side's likelihood, per sequence and not per batch.

    Pang et al. 2024 (Iterative RPO), arXiv 2404.19733, equation 1.
    """
    return dpo(p, beta=beta) + nll_weight * sft(p)


def simpo(p: PairLogps, *, beta: float, gamma: float) -> Tensor:
    """-log s(beta (log pi(y_w|x)/|y_w| - log pi(y_l|x)/|y_l|) - gamma): no reference.

    Meng et al. 2024, arXiv 2405.14734, equation 6.
    """
    return -F.logsigmoid(beta * (p.chosen / p.chosen_tokens - p.rejected / p.rejected_tokens) - gamma)


def sft(p: PairLogps) -> Tensor:
    """-log pi(y_w|x) / |y_w|: the mean negative log-likelihood per token of the chosen side."""
    return -p.chosen / p.chosen_tokens


@dataclass(frozen=True)
class Form:
    """A loss by name: its function, its options with their defaults, and which tokens count.

    `pairwise`: it looks at rejected; `reference`: at the reference; `per_token`: at means instead of sums.
    """

    function: Callable[..., Tensor]
    options: Mapping[str, float]
    weighting: Literal["all", "shared_length", "after_prefix", "middle"] = "all"
    pairwise: bool = True
    reference: bool = True
    per_token: bool = False


FORMS: dict[str, Form] = {
    "dpo": Form(dpo, {"beta": 0.1}),
    "cdpo": Form(cdpo, {"beta": 0.1, "label_smoothing": 0.1}),
    "robust_dpo": Form(robust_dpo, {"beta": 0.1, "label_smoothing": 0.1}),
    "ipo": Form(ipo, {"beta": 0.1}),
    "ipo_mean": Form(ipo_mean, {"beta": 0.1}, per_token=True),
    "dpop": Form(dpop, {"beta": 0.1, "dpop_lambda": 5.0}),
    "dpo_norm": Form(dpo_norm, {"beta": 5.0}, per_token=True),
    "ld_dpo": Form(dpo, {"beta": 0.1, "ld_alpha": 0.5}, "shared_length"),
    "rpo": Form(rpo, {"beta": 0.1, "nll_weight": 1.0}),
    "simpo": Form(simpo, {"beta": 2.0, "gamma": 1.0}, reference=False, per_token=True),
    "step_dpo": Form(dpo, {"beta": 0.4}, "after_prefix"),
    "focused_dpo": Form(dpo, {"beta": 0.1, "focus": 2.0}, "middle"),
    "sft": Form(sft, {}, pairwise=False, reference=False),
}
WEIGHTING_OPTIONS = ("ld_alpha", "focus")


class Loss(BaseModel):
    """Which loss, with the options it has. An option that the loss does not use is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Loss")

    name: LossName = Field(
        default="dpo", description="The loss; ipo is on sums as printed, ipo_mean per token as in TRL."
    )
    beta: float | None = Field(default=None, gt=0, description="Strength of the tie to the reference (tau in ipo).")
    label_smoothing: float | None = Field(
        default=None,
        ge=0,
        lt=0.5,
        description="Share of pairs believed to be labelled the wrong way round: cdpo, robust_dpo.",
    )
    dpop_lambda: float | None = Field(
        default=None, ge=0, description="Weight of dpop's penalty; the paper takes 50, bfloat16 wants less."
    )
    gamma: float | None = Field(default=None, ge=0, description="Margin that simpo asks for.")
    ld_alpha: float | None = Field(
        default=None, ge=0, le=1, description="Weight in ld_dpo of the tokens beyond the shorter side's length."
    )
    nll_weight: float | None = Field(default=None, ge=0, description="Weight of the chosen side's likelihood in rpo.")
    focus: float | None = Field(
        default=None,
        gt=0,
        description="Weight in focused_dpo of the middle, where the sides differ; the rest weighs 1.",
    )

    @model_validator(mode="after")
    def _options_are_used(self) -> Loss:
        used = FORMS[self.name].options
        given = {name for name in OPTIONS if getattr(self, name) is not None}
        if unused := sorted(given - set(used)):
            raise ValueError(
                f"the loss {self.name} does not use {', '.join(unused)}: it has {', '.join(used) or 'none'}"
            )
        return self

    @property
    def form(self) -> Form:
        """The named loss."""
        return FORMS[self.name]

    def option(self, name: str) -> float:
        """An option as given, or the loss's own default."""
        given = getattr(self, name)
        return float(self.form.options[name] if given is None else given)

    def __call__(self, p: PairLogps) -> Tensor:
        """The loss of each pair, shape (pairs,)."""
        options = {name: self.option(name) for name in self.form.options if name not in WEIGHTING_OPTIONS}
        return self.form.function(p, **options)

    def rewards(self, p: PairLogps) -> tuple[Tensor, Tensor]:
        """The implicit rewards of chosen and rejected, shape (pairs,) each: what the loss pulls apart, times beta."""
        chosen, rejected = p.chosen, p.rejected
        if self.form.reference:
            chosen, rejected = chosen - p.ref_chosen, rejected - p.ref_rejected
        if self.form.per_token:
            chosen, rejected = chosen / p.chosen_tokens, rejected / p.rejected_tokens
        return self.option("beta") * chosen, self.option("beta") * rejected

    def token_weights(self, chosen: Sequence[int], rejected: Sequence[int]) -> tuple[list[float], list[float]]:
        """What each token of the two sides weighs in their sums, for the policy and the reference alike.

        ld_dpo: Liu et al. 2024, arXiv 2409.06411: tokens beyond the shorter side's length weigh alpha.
        step_dpo: Lai et al. 2024, arXiv 2406.18629: the shared first steps belong to the prompt and weigh nothing.
        focused_dpo: after Zhang et al. 2025, arXiv 2502.11475: the middle between shared start and shared end.
        """
        sides = len(chosen), len(rejected)
        match self.form.weighting:
            case "shared_length":
                alpha, shared = self.option("ld_alpha"), min(sides)
                weights = [[1.0] * shared + [alpha] * (n - shared) for n in sides]
            case "after_prefix":
                prefix = shared_prefix(chosen, rejected)
                weights = [[0.0] * prefix + [1.0] * (n - prefix) for n in sides]
            case "middle":
                prefix = shared_prefix(chosen, rejected)
                suffix = shared_prefix(chosen[prefix:][::-1], rejected[prefix:][::-1])
                focus = self.option("focus")
                weights = [[1.0] * prefix + [focus] * (n - prefix - suffix) + [1.0] * suffix for n in sides]
            case _:
                weights = [[1.0] * n for n in sides]
        return weights[0], weights[1]


OPTIONS = tuple(name for name in Loss.model_fields if name != "name")


def shared_prefix(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How many items two sequences share from their start."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))

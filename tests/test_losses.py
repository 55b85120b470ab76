"""The losses: numbers worked by hand, TRL's own values, the papers' claims, and options that must not vanish."""

from __future__ import annotations

import math
from collections import defaultdict
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from training import losses
from training.losses import FORMS, Loss, LossName, PairLogps


def pairs(
    chosen: list[float],
    rejected: list[float],
    ref_chosen: list[float],
    ref_rejected: list[float],
    tokens: tuple[list[int], list[int]] | None = None,
) -> PairLogps:
    """Pairs as float64, so that a difference is the formula's and not the rounding's."""
    lengths = tokens or ([1] * len(chosen), [1] * len(chosen))
    sides = (torch.tensor(side, dtype=torch.float64) for side in (chosen, rejected, ref_chosen, ref_rejected))
    return PairLogps(*sides, *(torch.tensor(length) for length in lengths))


def log1pexp(x: float) -> float:
    """-log s(-x), by its definition."""
    return math.log(1 + math.exp(x))


# r_w = -10 - -12 = 2, r_l = -20 - -15 = -5, margin 7; |y_w| = 4, |y_l| = 10.
ONE = pairs([-10.0], [-20.0], [-12.0], [-15.0], ([4], [10]))
# r_w = -14 - -12 = -2, r_l = -21 - -15 = -6, margin 4: both sides fell, the rejected one further.
FELL = pairs([-14.0], [-21.0], [-12.0], [-15.0], ([4], [10]))


@pytest.mark.parametrize(
    ("loss", "by_hand"),
    [
        (Loss(name="dpo", beta=0.5), log1pexp(-3.5)),
        (Loss(name="dpo"), log1pexp(-0.7)),
        (Loss(name="cdpo", beta=0.5, label_smoothing=0.1), 0.9 * log1pexp(-3.5) + 0.1 * log1pexp(3.5)),
        (Loss(name="robust_dpo", beta=0.5, label_smoothing=0.1), (0.9 * log1pexp(-3.5) - 0.1 * log1pexp(3.5)) / 0.8),
        (Loss(name="ipo", beta=0.1), (7 - 5) ** 2),
        (Loss(name="ipo_mean", beta=0.1), (2 / 4 + 5 / 10 - 5) ** 2),
        (Loss(name="dpop", beta=0.5, dpop_lambda=5), log1pexp(-3.5)),
        (Loss(name="dpo_norm", beta=5), log1pexp(-5 * (2 / 4 + 5 / 10))),
        (Loss(name="ld_dpo", beta=0.5), log1pexp(-3.5)),
        (Loss(name="rpo", beta=0.5, nll_weight=2), log1pexp(-3.5) + 2 * 10 / 4),
        (Loss(name="simpo", beta=2, gamma=1), log1pexp(-(2 * (-10 / 4 + 20 / 10) - 1))),
        (Loss(name="step_dpo", beta=0.5), log1pexp(-3.5)),
        (Loss(name="focused_dpo", beta=0.5), log1pexp(-3.5)),
        (Loss(name="sft"), 10 / 4),
    ],
    ids=lambda value: value.name if isinstance(value, Loss) else "",
)
def test_a_loss_equals_the_number_worked_by_hand(loss: Loss, by_hand: float) -> None:
    assert loss(ONE).item() == pytest.approx(by_hand, abs=1e-12)


def test_every_name_has_its_form_and_every_form_its_name() -> None:
    assert set(FORMS) == set(get_args(LossName))
    for form in FORMS.values():
        assert set(form.options) <= set(losses.OPTIONS)


def test_dpop_puts_its_penalty_inside_the_logistic_function_and_inside_beta() -> None:
    # r_w = -2: the argument is 0.5 * (4 - 5 * 2) = -3. Version 1 of the paper and its copies give another number.
    inside = Loss(name="dpop", beta=0.5, dpop_lambda=5)(FELL).item()
    assert inside == pytest.approx(log1pexp(3), abs=1e-12)
    assert inside != pytest.approx(log1pexp(-2) + 5 * 2, abs=0.1)


@given(st.floats(0, 50), st.floats(-50, 50))
def test_dpop_equals_dpo_where_chosen_is_at_least_as_likely_as_under_the_reference(rise: float, other: float) -> None:
    p = pairs([-60 + rise], [-60 + other], [-60.0], [-60.0])
    assert torch.equal(losses.dpop(p, beta=0.3, dpop_lambda=50), losses.dpo(p, beta=0.3))


def test_dpop_punishes_a_policy_that_lowers_both_sides_where_dpo_rewards_it() -> None:
    start = pairs([-12.0], [-15.0], [-12.0], [-15.0])
    assert losses.dpo(FELL, beta=0.3).item() < losses.dpo(start, beta=0.3).item()
    assert losses.dpop(FELL, beta=0.3, dpop_lambda=50).item() > losses.dpop(start, beta=0.3, dpop_lambda=50).item()


def gradient(loss: Loss, p: PairLogps) -> tuple[float, float]:
    """d loss / d log pi(y_w) and d loss / d log pi(y_l)."""
    chosen, rejected = p.chosen.clone().requires_grad_(), p.rejected.clone().requires_grad_()
    moved = PairLogps(chosen, rejected, p.ref_chosen, p.ref_rejected, p.chosen_tokens, p.rejected_tokens)
    found = torch.autograd.grad(loss(moved).sum(), (chosen, rejected), allow_unused=True)
    return tuple(0.0 if g is None else g.item() for g in found)  # type: ignore[return-value]


@pytest.mark.parametrize("name", [name for name, form in FORMS.items() if form.pairwise])
def test_a_step_down_the_gradient_raises_chosen_and_lowers_rejected(name: str) -> None:
    start = pairs([-12.0], [-15.0], [-12.0], [-15.0], ([4], [10]))
    for_chosen, for_rejected = gradient(Loss(name=name), start)
    assert for_chosen < 0 < for_rejected


def test_sft_raises_chosen_and_does_not_see_rejected() -> None:
    assert gradient(Loss(name="sft"), ONE) == (-0.25, 0.0)


def test_ipo_stops_at_its_target_margin_and_turns_back_beyond_it() -> None:
    # 1/(2 beta) = 7 is the margin of ONE exactly; a margin of 9 is too much.
    beyond = pairs([-8.0], [-20.0], [-12.0], [-15.0])
    assert gradient(Loss(name="ipo", beta=1 / 14), ONE) == pytest.approx((0, 0), abs=1e-9)
    assert gradient(Loss(name="ipo", beta=1 / 14), beyond)[0] == pytest.approx(4, abs=1e-9)


def test_label_smoothing_turns_back_once_the_policy_is_surer_than_the_labels() -> None:
    sure = pairs([0.0], [-60.0], [-12.0], [-15.0])
    assert gradient(Loss(name="dpo"), sure)[0] < 0 < gradient(Loss(name="cdpo"), sure)[0]


def test_dpop_pulls_chosen_back_up_harder_than_it_pushes_rejected_down() -> None:
    for_chosen, for_rejected = gradient(Loss(name="dpop", dpop_lambda=5), FELL)
    assert for_chosen == pytest.approx(-6 * for_rejected)


def test_without_smoothing_the_smoothed_losses_are_dpo() -> None:
    for name in ("cdpo", "robust_dpo"):
        assert torch.allclose(Loss(name=name, label_smoothing=0)(FELL), Loss(name="dpo")(FELL), atol=1e-12)


@pytest.mark.parametrize("far", [-1e4, 1e4])
def test_a_loss_stays_finite_at_any_margin(far: float) -> None:
    p = pairs([far], [0.0], [0.0], [0.0])
    for name in FORMS:
        assert torch.isfinite(Loss(name=name)(p)).all(), name


# Two completions that share 2 tokens at their start and 1 at their end.
CHOSEN, REJECTED = [1, 2, 3, 9], [1, 2, 4, 5, 6, 9]


@pytest.mark.parametrize(
    ("loss", "chosen", "rejected"),
    [
        (Loss(name="dpo"), [1, 1, 1, 1], [1, 1, 1, 1, 1, 1]),
        (Loss(name="ld_dpo", ld_alpha=0.3), [1, 1, 1, 1], [1, 1, 1, 1, 0.3, 0.3]),
        (Loss(name="step_dpo"), [0, 0, 1, 1], [0, 0, 1, 1, 1, 1]),
        (Loss(name="focused_dpo", focus=2), [1, 1, 2, 1], [1, 1, 2, 2, 2, 1]),
    ],
    ids=lambda value: value.name if isinstance(value, Loss) else "",
)
def test_tokens_weigh_what_the_loss_says(loss: Loss, chosen: list[float], rejected: list[float]) -> None:
    assert loss.token_weights(CHOSEN, REJECTED) == (chosen, rejected)


def test_focus_counts_no_token_twice_where_start_and_end_overlap() -> None:
    assert Loss(name="focused_dpo", focus=3).token_weights([7, 7], [7, 7, 7]) == ([1, 1], [1, 1, 3])


def test_an_unknown_loss_is_refused_at_construction() -> None:
    with pytest.raises(ValidationError, match="'dpo', 'cdpo'"):
        Loss(name="dpop2")  # type: ignore[arg-type]


def test_an_option_the_loss_does_not_use_is_refused_at_construction() -> None:
    with pytest.raises(ValidationError, match="dpo does not use label_smoothing: it has beta"):
        Loss(name="dpo", label_smoothing=0.1)
    with pytest.raises(ValidationError, match="sft does not use beta: it has none"):
        Loss(name="sft", beta=0.1)


# TRL's own code, fed with fixed log-probabilities through a model that only returns them.
LENGTHS = ([5, 9, 7, 3], [8, 4, 7, 6])


def ragged(seed: int) -> tuple[Tensor, Tensor]:
    """Log-probabilities per token (8, 12) of 4 chosen then 4 rejected, zero outside, and completion mask (8, 13)."""
    mask = torch.zeros(8, 13, dtype=torch.long)
    for row, length in enumerate(LENGTHS[0] + LENGTHS[1]):
        mask[row, 2 : 2 + length] = 1
    values = -torch.rand(8, 12, generator=torch.Generator().manual_seed(seed)) * 3
    return values * mask[:, 1:], mask


def trl_loss(loss_types: list[str], beta: float, weights: list[float], **options: Any) -> float:
    """What TRL's DPOTrainer makes of the fixed log-probabilities of the policy and of the reference."""
    trainer = pytest.importorskip("trl.trainer.dpo_trainer", reason="TRL is only there to compare with")
    policy, mask = ragged(0)
    reference, _ = ragged(1)
    ld_alpha = options.get("ld_alpha")
    if ld_alpha is not None:
        shared = torch.minimum(*(torch.tensor(side) for side in LENGTHS)).repeat(2)
        position = mask[:, 1:].cumsum(1)
        reference = torch.where(position > shared[:, None], ld_alpha * reference, reference)
    inputs = {"input_ids": mask, "attention_mask": mask, "completion_mask": mask}
    inputs["ref_chosen_logps"], inputs["ref_rejected_logps"] = reference.sum(1).chunk(2)
    filler = torch.zeros_like(policy)
    outputs = SimpleNamespace(log_probs=policy, entropy=filler, mean_logits=filler, is_top1=filler.bool())
    this = SimpleNamespace(
        model=SimpleNamespace(training=True),
        accelerator=SimpleNamespace(device="cpu", gather_for_metrics=lambda x: x, gather=lambda x: x),
        aux_loss_enabled=False,
        ld_alpha=ld_alpha,
        precompute_ref_logps=True,
        f_divergence_type="reverse_kl",
        beta=beta,
        loss_types=loss_types,
        loss_weights=weights,
        label_smoothing=options.get("label_smoothing", 0.0),
        use_weighting=False,
        _metrics={"train": defaultdict(list)},
        _total_train_tokens=0,
        _tp_size=1,
    )
    return float(trainer.DPOTrainer._compute_loss(this, lambda **_: outputs, inputs, False))


def ours(loss: Loss) -> float:
    """Our loss of the same log-probabilities, weights applied, mean over the pairs."""
    sums = []
    for values in (ragged(0)[0], ragged(1)[0]):
        chosen, rejected = [], []
        for row, (long, short) in enumerate(zip(*LENGTHS, strict=True)):
            weights = loss.token_weights([1] * long, [2] * short)
            chosen.append((values[row, 1 : 1 + long] * torch.tensor(weights[0])).sum())
            rejected.append((values[row + 4, 1 : 1 + short] * torch.tensor(weights[1])).sum())
        sums += [torch.stack(chosen), torch.stack(rejected)]
    return float(loss(PairLogps(*sums, *(torch.tensor(length) for length in LENGTHS))).mean())


@pytest.mark.parametrize(
    ("loss", "theirs"),
    [
        (Loss(name="dpo", beta=0.1), {"loss_types": ["sigmoid"], "beta": 0.1}),
        (Loss(name="dpo", beta=0.5), {"loss_types": ["sigmoid"], "beta": 0.5}),
        (Loss(name="robust_dpo", label_smoothing=0.1), {"loss_types": ["robust"], "beta": 0.1, "label_smoothing": 0.1}),
        (Loss(name="ipo_mean", beta=0.1), {"loss_types": ["ipo"], "beta": 0.1}),
        (Loss(name="dpo_norm", beta=5.0), {"loss_types": ["sigmoid_norm"], "beta": 5.0}),
        (Loss(name="ld_dpo", ld_alpha=0.3), {"loss_types": ["sigmoid"], "beta": 0.1, "ld_alpha": 0.3}),
    ],
    ids=lambda value: value.name if isinstance(value, Loss) else "",
)
def test_a_loss_equals_trl_where_trl_has_it(loss: Loss, theirs: dict[str, Any]) -> None:
    assert ours(loss) == pytest.approx(trl_loss(**theirs, weights=[1.0]), rel=1e-6, abs=1e-5)


def test_trl_ignores_label_smoothing_where_ours_does_not() -> None:
    theirs = trl_loss(["sigmoid"], 0.1, [1.0], label_smoothing=0.1)
    assert theirs == pytest.approx(ours(Loss(name="dpo")), abs=1e-5)
    assert abs(theirs - ours(Loss(name="cdpo", label_smoothing=0.1))) > 1e-3


def test_simpo_equals_trl_s_formula() -> None:
    cpo = pytest.importorskip("trl.experimental.cpo.cpo_trainer", reason="TRL is only there to compare with")
    beta, gamma = 2.0, 1.0
    this = SimpleNamespace(
        accelerator=SimpleNamespace(device="cpu"),
        loss_type="simpo",
        alpha=0.0,
        beta=beta,
        simpo_gamma=gamma,
        label_smoothing=0.0,
    )
    lengths = [torch.tensor(side) for side in LENGTHS]
    chosen, rejected = ragged(0)[0].sum(1).chunk(2)
    theirs = cpo.CPOTrainer.cpo_loss(this, chosen / lengths[0], rejected / lengths[1])[0].mean()
    assert ours(Loss(name="simpo", beta=beta, gamma=gamma)) == pytest.approx(theirs.item(), abs=1e-5)

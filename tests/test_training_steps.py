"""A pair of steps in training: what lies before its prefix's end and behind its steps' ends counts in no loss."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest
import torch

from training import logps
from training.data import Corpus, Pair, Unit
from training.losses import Loss

# Prompt 9; both begin with token 1. Each token's log-probability under the policy and under the reference.
TOKENS = {"c": [1, 2, 3, 4], "r": [1, 5, 6]}
POLICY = torch.tensor([-9.0, -1.0, -0.5, -9.0] + [-9.0, -2.0, -7.0])
REFERENCE = torch.tensor([-7.0, -1.5, -1.0, -9.0] + [-7.0, -1.0, -7.0])


def loss_of(loss: Loss, *, loss_from: int = 0, ends: tuple[int | None, int | None] = (None, None)) -> float:
    pair = Pair("p", "g", "c", "r", loss_from, *ends)
    arrays = {name: np.array(ids) for name, ids in TOKENS.items()}
    corpus = Corpus({"g": np.array([9])}, arrays, {"c": "g", "r": "g"}, ((pair,),), {})
    batch = logps.collate([Unit("g", (pair,))], corpus, loss, torch.device("cpu"))
    assert batch.input_ids.tolist() == [[9, 1, 2, 3, 1, 5]], "the prefix is read, whatever counts"
    (value,) = loss(batch.pair_logps(POLICY, REFERENCE)).tolist()
    return float(value)


def minus_log_logistic(x: float) -> float:
    return log(1 + exp(-x))


def test_a_step_pair_is_dpo_with_the_prefix_in_the_prompt() -> None:
    # Steps 2 3 and 5: -1.5 against -2.5 of the reference, a reward of 1; -2 against -1, a reward of -1. Margin 2.
    found = loss_of(Loss(name="dpo", beta=0.5), loss_from=1, ends=(3, 2))
    assert found == pytest.approx(minus_log_logistic(0.5 * 2)) == pytest.approx(0.3132617)


def test_the_end_of_a_step_counts() -> None:
    # Without token 3 the chosen reward is 0.5.
    found = loss_of(Loss(name="dpo", beta=0.5), loss_from=1, ends=(2, 2))
    assert found == pytest.approx(minus_log_logistic(0.5 * 1.5))


def test_a_shared_prefix_cancels_in_dpo_and_not_in_dpop() -> None:
    dpo, dpop = Loss(name="dpo", beta=0.5), Loss(name="dpop", beta=0.5, dpop_lambda=2.0)
    assert loss_of(dpo, loss_from=1) == pytest.approx(loss_of(dpo)) == pytest.approx(minus_log_logistic(1.0))
    # Behind the prefix the chosen side has gained 1 nat and nothing is charged; with the prefix, which lost 2, it has
    # lost 1: the margin of 2 less 2 times 1.
    assert loss_of(dpop, loss_from=1) == pytest.approx(minus_log_logistic(1.0))
    assert loss_of(dpop) == pytest.approx(minus_log_logistic(0.0)) == pytest.approx(0.6931472)

"""Credit: log-probabilities before, at and after the first difference, and rewards per token."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import tiny_policy
from curation.errors import UserError
from training import credit
from training.config import Lora, Training
from training.data import Corpus, Pair
from training.train import train

PAIR = Pair("p", "g", "w", "l")
CORPUS = Corpus(
    {"g": np.array([1], np.int32)},
    {"w": np.array([5, 6, 7, 8], np.int32), "l": np.array([5, 6, 9], np.int32)},
    {"w": "g", "l": "g"},
    ((PAIR,),),
    {},
)
LOGPS = {"w": np.array([-1, -2, -4, -8], np.float32), "l": np.array([-1, -2, -16], np.float32)}


def test_the_means_are_taken_before_at_and_after_the_first_difference() -> None:
    found = {(m.side, m.part): (m.tokens, m.mean_logp) for m in credit.part_means([PAIR], CORPUS, {"one": LOGPS})}
    assert found["chosen", "before"] == (2, -1.5)
    assert found["chosen", "at"] == (1, -4.0)
    assert found["chosen", "after"] == (1, -8.0)
    assert found["rejected", "at"] == (1, -16.0)
    assert found["rejected", "after"][0] == 0 and math.isnan(found["rejected", "after"][1])


def test_every_token_weighs_the_same_over_pairs_and_a_prefix_of_the_other_side_has_no_difference() -> None:
    longer = Corpus(
        CORPUS.prompts, CORPUS.completions | {"l": np.array([5], np.int32)}, CORPUS.group_of, ((PAIR,),), {}
    )
    logps = LOGPS | {"l": np.array([-3], np.float32)}
    found = {(m.side, m.part): (m.tokens, m.mean_logp) for m in credit.part_means([PAIR, PAIR], longer, {"one": logps})}
    assert found["rejected", "before"] == (2, -3.0)
    assert found["rejected", "at"][0] == 0
    assert found["chosen", "at"] == (2, -2.0)
    assert found["chosen", "after"] == (4, -6.0)


def test_a_token_s_reward_is_beta_times_its_log_ratio() -> None:
    rewards = credit.token_rewards(np.array([-1.0, -3.0], np.float32), np.array([-2.0, -1.0], np.float32), 0.5)
    assert rewards.tolist() == [0.5, -1.0]


def test_rewards_of_a_trained_policy_add_up_to_its_logged_margin(tmp_path: Path) -> None:
    tiny_policy.model_folder(tmp_path / "model")
    version = tiny_policy.version(tmp_path)
    config = Training(
        model=str(tmp_path / "model"),
        device="cpu",
        dtype="float32",
        pairs_per_step=12,
        epochs=4,
        learning_rate=1e-2,
        schedule="constant",
        lora=Lora(rank=4),
    )
    stages = []
    train(version, config, on_stage=lambda stage, at: stages.append(at))
    # The fifth step is the first of stage 1: its margins are those of the policy that stage 0 left.
    logged = json.loads((stages[0].parents[1] / "metrics.jsonl").read_text().splitlines()[4])
    assert (logged["stage"], logged["pairs"]) == (1, 6)
    found = credit.measure(version, config, {"trained": stages[0]})
    assert list(found.policies) == ["reference", "trained"] and len(found.pairs) == 12
    trained, start = found.policies["trained"], found.policies["reference"]
    margins = []
    for pair in found.corpus.stages[1]:
        rows = credit.pair_tokens(pair, found.corpus, found.tokenizer, trained, start, 0.1)
        margins.append(sum(row["reward"] * (1 if row["side"] == "chosen" else -1) for row in rows))
        chosen = "".join(row["text"] for row in rows if row["side"] == "chosen")
        assert chosen == found.tokenizer.decode(found.corpus.completions[pair.chosen].tolist())
    assert sum(margins) / 6 == pytest.approx(logged["rewards/margins"], abs=1e-4)
    assert {mean.policy for mean in found.means()} == {"reference", "trained"}


def test_a_limit_takes_the_first_pairs_in_training_order(tmp_path: Path) -> None:
    tiny_policy.model_folder(tmp_path / "model")
    version = tiny_policy.version(tmp_path)
    found = credit.measure(version, Training(model=str(tmp_path / "model"), device="cpu", dtype="float32"), {}, limit=2)
    assert [len(stage) for stage in found.corpus.stages] == [2, 0]
    assert set(found.policies["reference"]) == {side for p in found.pairs for side in (p.chosen, p.rejected)}


def test_an_adapter_of_another_rank_is_refused(tmp_path: Path) -> None:
    tiny_policy.model_folder(tmp_path / "model")
    version = tiny_policy.version(tmp_path)
    config = Training(model=str(tmp_path / "model"), device="cpu", dtype="float32", pairs_per_step=12)
    done = train(version, config)
    with pytest.raises(UserError, match="holds no adapter of this model with the rank and targets given"):
        credit.measure(version, config.model_copy(update={"lora": Lora(rank=2)}), {"it": done})
    with pytest.raises(UserError, match="holds no adapter"):
        credit.measure(version, config, {"it": tmp_path})
    with pytest.raises(UserError, match="expected mode lora, found full"):
        credit.measure(version, Training(mode="full"), {})

"""TRL's DPOTrainer on the same sealed version, in the same order, with the same settings: the same loss curve."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny_policy
from curation import store
from tiny_policy import pair, place, samples, sealed
from training.config import Training
from training.train import train


def our_curve(version: Path, config: Training, output: Path) -> list[float]:
    """The loss of every step."""
    done = train(version, config, output=output)
    return [json.loads(line)["loss"] for line in (done.parents[1] / "metrics.jsonl").read_text().splitlines()]


def trl_curve(version: Path, config: Training, output: Path) -> list[float]:
    """TRL's, over the version's pairs in curriculum order, with what `config` says: DPO, full mode, constant rate."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    pairs = {row["pair_id"]: row for row in store.read(version, "pairs").to_pylist()}
    places = store.read(version, "curriculum", columns=["pair_id", "position"]).to_pylist()
    placed = sorted((row["position"], row["pair_id"]) for row in places if row["position"] is not None)
    rows = [{name: pairs[key][name] for name in ("prompt", "chosen", "rejected")} for _, key in placed]
    options: dict[str, Any] = {"train_sampling_strategy": "sequential", "per_device_train_batch_size": 1}
    options |= {"gradient_accumulation_steps": config.pairs_per_step, "num_train_epochs": config.epochs}
    options |= {"learning_rate": config.learning_rate, "lr_scheduler_type": "constant", "warmup_steps": 0}
    options |= {"max_grad_norm": config.clip_norm, "weight_decay": config.weight_decay, "beta": 0.1}
    options |= {"bf16": False, "use_cpu": True, "gradient_checkpointing": False, "logging_steps": 1}
    options |= {"report_to": [], "save_strategy": "no", "disable_tqdm": True, "max_length": 4096}
    trainer = DPOTrainer(
        # From a folder: TRL loads its reference model again from where the policy came from.
        model=AutoModelForCausalLM.from_pretrained(config.model, dtype="float32"),
        args=DPOConfig(output_dir=str(output), **options),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(config.model),
    )
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.slow
def test_trl_reaches_the_same_losses_step_by_step(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    model = tiny_policy.model_folder(tmp_path / "model")
    rows = samples(num_prompts=8)
    # Samples 0 and 2 stopped by themselves: TRL puts an end token behind every completion.
    pairs = [pair(one, other) for one, other in zip(rows[::3], rows[2::3], strict=True)]
    version = sealed(tmp_path, rows, pairs, place(pairs, 1))
    torch.set_num_threads(1)
    config = Training(
        model=str(model),
        mode="full",
        device="cpu",
        dtype="float32",
        pairs_per_step=2,
        epochs=3,
        learning_rate=1e-3,
        schedule="constant",
        warmup_share=0.0,
    )
    ours, theirs = our_curve(version, config, tmp_path / "ours"), trl_curve(version, config, tmp_path / "trl")
    assert len(ours) == 12 and ours[-1] < 0.9 * ours[0]
    assert ours == pytest.approx(theirs, abs=1e-5)

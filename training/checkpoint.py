"""Checkpoints: the policy as others load it, and beside it what the trainer needs to go on to the same weights.

    <run>/checkpoints/step-000050/             adapter_model.safetensors or model.safetensors, tokenizer, config
    <run>/checkpoints/step-000050/trainer/     state.safetensors (float32 weights, AdamW's averages), state.json

A checkpoint is written aside and renamed, so one that exists is complete.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.optim import Optimizer

from curation import store
from training import parallel, policy
from training.config import Training
from training.logps import Scorer

log = logging.getLogger(__name__)
FOLDER = "checkpoints"
TRAINER = "trainer"
NAME = re.compile(r"step-(\d{6,})(-stage-(sft|\d+))?")
AVERAGES = ("exp_avg", "exp_avg_sq")


def name_of(step: int, stage: int | None = None) -> str:
    """The name after `step` optimizer steps; `stage` is given where one ends there, -1 for the likelihood stage."""
    return f"step-{step:06d}" + ("" if stage is None else f"-stage-{'sft' if stage < 0 else stage}")


def found(run: Path) -> list[Path]:
    """A run's complete checkpoints, oldest first."""
    folder = run / FOLDER
    return sorted(e for e in folder.iterdir() if NAME.fullmatch(e.name)) if folder.is_dir() else []


def newest(run: Path) -> Path | None:
    """The checkpoint to go on from."""
    resumable = [checkpoint for checkpoint in found(run) if (checkpoint / TRAINER).is_dir()]
    return resumable[-1] if resumable else None


def save(
    run: Path,
    step: int,
    stage: int | None,
    scorer: Scorer,
    optimizer: Optimizer,
    tokenizer: Any,
    config: Training,
) -> Path:
    """Write the checkpoint after `step` steps and drop those no longer kept. Every process calls it."""
    target = run / FOLDER / name_of(step, stage)
    parameters = policy.trainable(scorer)
    weights: dict[str, torch.Tensor] = {}
    state: dict[str, torch.Tensor] = {}
    for name, parameter in parameters.items():
        whole = parallel.gathered(parameter.detach()).cpu()
        averages = {key: parallel.gathered(optimizer.state[parameter][key]).cpu() for key in AVERAGES}
        if parallel.rank() == 0:
            weights[name] = whole
            state |= {f"weight/{name}": whole} | {f"{key}/{name}": value for key, value in averages.items()}
    if parallel.rank() == 0:
        updates = int(next(iter(optimizer.state.values()))["step"])
        described = {"step": step, "updates": updates, "threads": torch.get_num_threads()}
        _write(target, scorer, tokenizer, config, weights, state, described)
        _drop_old(run, config.keep)
    parallel.barrier()
    return target


def _write(
    target: Path,
    scorer: Scorer,
    tokenizer: Any,
    config: Training,
    weights: dict[str, torch.Tensor],
    state: dict[str, torch.Tensor],
    described: dict[str, int],
) -> None:
    staging = target.with_name(f".{target.name}")
    for folder in (staging, target):
        shutil.rmtree(folder, ignore_errors=True)
    try:
        (staging / TRAINER).mkdir(parents=True)
        policy.save(staging, scorer, tokenizer, config, weights)
        save_file(state, staging / TRAINER / "state.safetensors")
        (staging / TRAINER / "state.json").write_text(json.dumps(described) + "\n")
        for file in staging.rglob("*"):
            store.sync(file)
        staging.rename(target)
        store.sync(target.parent)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _drop_old(run: Path, keep: int) -> None:
    """Keep the last few within stages, and every stage's end, of which old ones lose what only the trainer needs."""
    checkpoints = found(run)
    for old in checkpoints[:-keep]:
        shutil.rmtree(old / TRAINER if "-stage-" in old.name else old, ignore_errors=True)


def restore(checkpoint: Path, scorer: Scorer, optimizer: Optimizer, *, averages: bool = True) -> None:
    """Put a checkpoint's weights, and AdamW's averages unless a new stage of training starts, into place.

    On a CPU the weights that follow are those of an undisturbed run bit by bit, if as many threads add up the sums.
    """
    state = load_file(checkpoint / TRAINER / "state.safetensors")
    described = json.loads((checkpoint / TRAINER / "state.json").read_text())
    updates, before, now = described["updates"], described.get("threads"), torch.get_num_threads()
    if before not in (None, now):
        log.warning(
            "%s was made by %d threads, this process has %d: sums differ in the last bit", checkpoint, before, now
        )
    for name, parameter in policy.trainable(scorer).items():
        with torch.no_grad():
            parallel.assign(parameter, state[f"weight/{name}"])
        if averages:
            optimizer.state[parameter] = {"step": torch.tensor(float(updates), device=_device_of_count(parameter))}
            for key in AVERAGES:
                optimizer.state[parameter][key] = torch.zeros_like(parameter)
                parallel.assign(optimizer.state[parameter][key], state[f"{key}/{name}"])


def _device_of_count(parameter: torch.Tensor) -> torch.device:
    """Fused AdamW on a GPU counts its steps there."""
    return parameter.device if parameter.is_cuda else torch.device("cpu")


def step_of(checkpoint: Path) -> int:
    """How many optimizer steps lie behind a checkpoint."""
    matched = NAME.fullmatch(checkpoint.name)
    if matched is None:
        raise ValueError(f"{checkpoint} is not named like a checkpoint, as in step-000050")
    return int(matched[1])

"""Training a policy on a sealed version: the curriculum read front to back, step by step, resumable at any of them.

    checkpoint = train(version, Training(model="...", loss=Loss(name="dpop")))

The run's folder holds config.json, metrics.jsonl (a line per step), samples.jsonl (every pair's loss in the first
epoch), TensorBoard events, checkpoints, and summary.json, written last: a run that has one is finished.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW

from curation import manifest, store
from curation.errors import UserError
from curation.progress import Progress, silent
from curation.schema import identify
from training import checkpoint, data, guards, memory, metrics, parallel, policy, reference
from training.config import Training, default_output
from training.data import Corpus, Step
from training.logps import Batch, Scorer, collate
from training.losses import Loss, PairLogps

log = logging.getLogger(__name__)
TOKENS_PER_BATCH = {"cpu": 2048, "cuda": 16384}
# How far the loss may be from ln 2 while the policy still is the reference.
START_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.05}
SUMMARY = "summary.json"


class TrainingError(UserError, RuntimeError):
    """A run that cannot go on."""


@dataclass
class Run:
    """Everything a step needs."""

    folder: Path
    version: Path
    config: Training
    scorer: Scorer
    tokenizer: Any
    corpus: Corpus
    steps: list[Step]
    device: torch.device
    dtype: torch.dtype
    budget: int
    mark: str
    warnings: list[str] = field(default_factory=list)

    @cached_property
    def first_pair_step(self) -> int:
        """Where the likelihood stage, if there is one, is over."""
        return sum(step.stage < 0 for step in self.steps)

    def loss_of(self, step: Step) -> Loss:
        """The likelihood stage has its own."""
        return Loss.model_validate({"name": "sft"}) if step.stage < 0 else self.config.loss

    def warn(self, line: str | None) -> None:
        """Say it once, and in the summary."""
        if line is not None:
            self.warnings.append(line)
            log.warning("%s", line)

    @property
    def autocast(self) -> torch.autocast:
        """Full mode computes in `dtype` over float32 weights; in lora mode the frozen weights are in it already."""
        lower = self.config.mode == "full" and self.dtype != torch.float32
        return torch.autocast(self.device.type, self.dtype, enabled=lower)


def train(
    version: Path,
    config: Training,
    *,
    output: Path | None = None,
    on_progress: Progress = silent,
    on_step: Callable[[Mapping[str, float]], None] | None = None,
    on_stage: Callable[[int, Path], None] | None = None,
) -> Path:
    """Train a policy and return the folder of its last checkpoint, which peft, transformers and vLLM load.

    The same version and configuration give the same run folder, so a killed run goes on from its newest checkpoint and
    a finished one returns at once. `on_step` sees each step's metrics, `on_stage` each stage's number and checkpoint.

    Raises:
        UserError: bad input, or a loss that is no number; the last good checkpoint is kept and named.
    """
    folder = output or default_output(version, _digest(version, config))
    if (folder / SUMMARY).is_file():
        _same_run(folder, version, config)
        return folder / json.loads((folder / SUMMARY).read_text())["checkpoint"]
    run = _start(version, config, folder)
    began = time.monotonic()
    *_, last = _advance(run, on_progress, on_step, on_stage)
    if parallel.rank() == 0:
        summary = {
            "checkpoint": str(last.relative_to(folder)),
            "stages": [str(c.relative_to(folder)) for c in checkpoint.found(folder) if "-stage-" in c.name],
            "steps": len(run.steps),
            "counts": run.corpus.counts,
            "warnings": run.warnings,
            "seconds": round(time.monotonic() - began, 3),
        }
        _write_json(folder / SUMMARY, summary)
    parallel.barrier()
    return last


def _digest(version: Path, config: Training) -> str:
    return identify(manifest.read_manifest(version)["digest"], config.model_dump(mode="json"))


def _same_run(folder: Path, version: Path, config: Training) -> None:
    """Refuse a run folder that belongs to something else.

    Raises:
        TrainingError: it does.
    """
    file = folder / "config.json"
    if file.is_file() and json.loads(file.read_text())["run"] != _digest(version, config):
        raise TrainingError(f"{folder} holds a run of another version or configuration: choose another output folder")


def _start(version: Path, config: Training, folder: Path) -> Run:
    """Load what the run needs, check it, and lay its folder out."""
    device = parallel.start(policy.device_of(config))
    dtype = policy.dtype_of(config, device)
    _same_run(folder, version, config)
    torch.manual_seed(config.seed)
    scorer, tokenizer = policy.load(config, device, dtype)
    causal: Any = scorer.causal
    context = int(getattr(causal.config, "max_position_embeddings", 0) or 1 << 30)
    vocabulary = causal.get_input_embeddings().num_embeddings
    corpus = data.read(version, config, tokenizer, vocabulary=vocabulary, context=context)
    budget = config.tokens_per_batch or TOKENS_PER_BATCH[device.type]
    if memory.checkpointing_needed(config, causal, budget, device):
        memory.recompute_activations(causal, device)
    if config.compile:
        for layer in causal.model.layers:
            layer.mlp.compile(dynamic=True)
    parallel.shard(scorer, device)
    mark = reference.stamp(version, config, dtype, min(context, config.max_length or context))
    steps = data.plan(corpus, config)
    run = Run(folder, version, config, scorer, tokenizer, corpus, steps, device, dtype, budget, mark)
    if parallel.rank() == 0:
        folder.mkdir(parents=True, exist_ok=True)
        described = {"run": _digest(version, config), "version": str(version), "config": config.model_dump(mode="json")}
        _write_json(folder / "config.json", described)
    parallel.barrier()
    log.info("%s: %s in %d steps", version, ", ".join(f"{k} {v}" for k, v in corpus.counts.items()), len(steps))
    run.warn(guards.edit_distance(version, corpus, config))
    run.warn(guards.chosen_longer(corpus) if config.loss.form.pairwise else None)
    return run


def _advance(
    run: Run,
    on_progress: Progress,
    on_step: Callable[[Mapping[str, float]], None] | None,
    on_stage: Callable[[int, Path], None] | None,
) -> Iterator[Path]:
    """Make every step from the newest checkpoint on; yields the checkpoints."""
    resumed = checkpoint.newest(run.folder)
    first = checkpoint.step_of(resumed) if resumed else 0
    wanted = run.config.loss.form.reference
    # Before anything is trained or restored the loaded model is the reference, unless a likelihood stage makes it.
    kept = _reference(run) if wanted and not run.config.sft_epochs else None
    optimizer = _optimizer(run)
    if resumed:
        checkpoint.restore(resumed, run.scorer, optimizer, averages=first != run.first_pair_step)
        log.info("going on from %s", resumed)
        if first == len(run.steps):
            yield resumed
    reports = _Reports(run, first)
    try:
        for index in range(first, len(run.steps)):
            step = run.steps[index]
            if index == run.first_pair_step and run.config.sft_epochs:
                optimizer = _optimizer(run)
            if wanted and kept is None and step.stage >= 0:
                kept = _reference(run, must_exist=index > run.first_pair_step)
            on_progress(index, len(run.steps))
            found = _step(run, index, optimizer, kept, reports)
            if on_step is not None:
                on_step(found)
            if step.ends_stage or (index + 1) % run.config.save_every == 0:
                stage = step.stage if step.ends_stage else None
                saved = checkpoint.save(run.folder, index + 1, stage, run.scorer, optimizer, run.tokenizer, run.config)
                if on_stage is not None and step.ends_stage and parallel.rank() == 0:
                    on_stage(step.stage, saved)
                yield saved
        on_progress(len(run.steps), len(run.steps))
    finally:
        reports.close()


def _reference(run: Run, *, must_exist: bool = False) -> dict[str, reference.Logps]:
    """The reference's log-probabilities per completion, kept or made now."""
    if must_exist and reference.read(run.version, run.mark, run.corpus.completions) is None:
        raise TrainingError(
            f"{reference.file_of(run.version, run.mark)} is gone and the model it was made of has been trained on: "
            f"remove {run.folder} and train again"
        )
    with run.autocast:
        return reference.obtain(run.version, run.mark, run.corpus, run.scorer, run.budget, run.device)


def _optimizer(run: Run) -> AdamW:
    """AdamW over what is trained; its averages start anew with the pairs."""
    return AdamW(
        list(policy.trainable(run.scorer).values()),
        lr=run.config.learning_rate,
        betas=run.config.adam_betas,
        weight_decay=run.config.weight_decay,
        fused=parallel.world() == 1,
    )


def learning_rate(run: Run, index: int) -> float:
    """Linear rise, then constant or half a cosine down to zero; the likelihood stage has its own course."""
    config, split = run.config, run.first_pair_step
    likelihood = index < split
    place, total = (index, split) if likelihood else (index - split, len(run.steps) - split)
    peak = (config.sft_learning_rate if likelihood else None) or config.learning_rate
    warmup = math.ceil(config.warmup_share * total)
    if place < warmup:
        return peak * (place + 1) / warmup
    if config.schedule == "constant":
        return peak
    return peak * 0.5 * (1 + math.cos(math.pi * (place - warmup) / max(1, total - warmup)))


def _step(
    run: Run, index: int, optimizer: AdamW, kept: dict[str, reference.Logps] | None, reports: _Reports
) -> dict[str, float]:
    """One optimizer step: its batches forward and backward, gradients clipped, weights moved, everything reported."""
    began = time.monotonic()
    step = run.steps[index]
    loss = run.loss_of(step)
    sums = metrics.StepSums(run.device)
    for units, counts in parallel.share(data.batches(step.units, run.corpus, run.budget)):
        batch = collate(units, run.corpus, loss, run.device)
        with run.autocast:
            token_logps = run.scorer(batch)
        reference_logps = (
            batch.from_completions(kept) if kept and loss.form.reference else torch.zeros_like(token_logps)
        )
        p = batch.pair_logps(token_logps, reference_logps)
        losses = loss(p)
        # FSDP averages over processes what is a sum over the step's pairs.
        (losses.sum() * (parallel.world() * counts / step.num_pairs)).backward()
        if index == run.first_pair_step and loss.form.reference:
            _check_start(run, p)
        if counts:
            detached = _detached(p)
            sums.add(losses.detach(), detached, loss, token_logps.detach(), reference_logps)
            sums.count(batch, metrics.flops_of(batch, run.scorer.causal, reports.body, full=run.config.mode == "full"))
            if loss.form.pairwise and step.epoch == 0:
                reports.samples(batch, losses.detach(), detached)
    parameters = list(policy.trainable(run.scorer).values())
    norm = parallel.gathered(torch.nn.utils.clip_grad_norm_(parameters, run.config.clip_norm))
    found = sums.read(loss) | {"grad_norm": float(norm)}
    if not (math.isfinite(found["loss"]) and math.isfinite(found["grad_norm"])):
        raise TrainingError(_not_a_number(run, index, found))
    rate = learning_rate(run, index)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    found |= {"learning_rate": rate, "seconds": time.monotonic() - began}
    return reports.step(index, step, found)


def _detached(p: PairLogps) -> PairLogps:
    return PairLogps(
        p.chosen.detach(), p.rejected.detach(), p.ref_chosen, p.ref_rejected, p.chosen_tokens, p.rejected_tokens
    )


def _check_start(run: Run, p: PairLogps) -> None:
    """At the first step the policy is the reference, so DPO's loss is ln 2 for every pair.

    Raises:
        TrainingError: it is not: the kept log-probabilities are of another model.
    """
    beta = min(run.config.loss.option("beta"), 0.1)
    start = float(torch.nn.functional.softplus(-beta * p.margin.detach()).mean())
    if abs(start - math.log(2)) > START_TOLERANCE[run.dtype]:
        raise TrainingError(
            f"the first loss is {start:.4f} where an untrained policy has ln 2 = 0.6931: the reference kept in "
            f"{reference.file_of(run.version, run.mark)} is of another model: remove that file and train again"
        )


def _not_a_number(run: Run, index: int, found: Mapping[str, float]) -> str:
    good = checkpoint.newest(run.folder)
    return (
        f"step {index + 1} of {len(run.steps)} has loss {found['loss']} and gradient norm {found['grad_norm']}: "
        f"the weights are untouched, the last good checkpoint is {good or 'none yet'}; "
        f"train with a learning rate below {run.config.learning_rate:g}"
    )


class _Reports:
    """The run's journals. Only the first process writes."""

    def __init__(self, run: Run, first: int) -> None:
        self.run, self.first = run, first
        self.falling = guards.FallingChosen()
        self.peak = metrics.peak_flops(run.device)
        self.body = metrics.body_weights(run.scorer.causal)
        self.sampled: list[tuple[Any, ...]] = []
        self.writes = parallel.rank() == 0
        if self.writes:
            self.lines = metrics.Journal(run.folder / "metrics.jsonl", first + 1)
            self.losses = metrics.Journal(run.folder / "samples.jsonl", first + 1)
            self.events = metrics.Events(run.folder / "tensorboard") if run.config.tensorboard else None

    def samples(self, batch: Batch, losses: Tensor, p: PairLogps) -> None:
        """Remember a batch's pairs; they are fetched from the device with the step's metrics."""
        self.sampled.append((batch.pair_ids, torch.stack((losses, p.margin, p.chosen, p.rejected))))

    def step(self, index: int, step: Step, found: dict[str, float]) -> dict[str, float]:
        """Write a step's line and its pairs', and watch for what the papers warn of."""
        rows = {}
        for pair_ids, values in self.sampled:
            columns = ("loss", "log_ratio_margin", "logps_chosen", "logps_rejected")
            for pair_id, numbers in zip(pair_ids, values.T.tolist(), strict=True):
                described = {"step": index + 1, "stage": step.stage, "pair_id": pair_id}
                rows[pair_id] = described | dict(zip(columns, numbers, strict=True))
        self.sampled = []
        rows = parallel.merge(rows)
        flops = found.pop("flops")
        found |= {"tokens_per_second": found["tokens"] / found["seconds"]}
        if self.peak:
            found |= {"mfu": flops / found["seconds"] / self.peak / parallel.world()}
        line = {"step": index + 1, "stage": step.stage, "epoch": step.epoch} | found
        if "log_ratios/chosen" in found:
            self.run.warn(self.falling.see(found["log_ratios/chosen"], self.run.config))
        if self.writes:
            self.lines.write(line)
            self.losses.write(*rows.values())
            if self.events:
                self.events.write(index + 1, {f"train/{name}": value for name, value in found.items()})
        return line

    def close(self) -> None:
        if self.writes:
            for journal in (self.lines, self.losses, self.events):
                if journal is not None:
                    journal.close()


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    with store.replacing(file) as partial:
        partial.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")

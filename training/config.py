"""What a training run follows from: the sections a recipe gives and a checkpoint records."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from training.losses import Loss


class Lora(BaseModel):
    """Low-rank adapters on every linear layer but the head. Hu et al. 2021, arXiv 2106.09685."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="LoRA")

    rank: int = Field(default=16, ge=1, description="Rank of the adapters.")
    alpha: float = Field(default=32.0, gt=0, description="Their output is scaled by alpha / rank.")
    targets: tuple[str, ...] = Field(
        default=(), description="Names of the linear layers to adapt, as in q_proj; empty takes all but the head."
    )


class Training(BaseModel):
    """How a policy is trained on a sealed version."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Training")

    model: str = Field(default="embedded", description="Folder or Hub name of the model to train.")
    mode: Literal["lora", "full"] = Field(default="lora", description="lora: train adapters; full: train every weight.")
    lora: Lora = Field(default_factory=Lora, description="The adapters' shape; unused in full mode.")
    loss: Loss = Field(default_factory=Loss, description="The loss and its options.")
    sft_epochs: int = Field(
        default=0, ge=0, description="Passes over the chosen completions with plain likelihood before the pairs."
    )
    epochs: int = Field(
        default=1, ge=1, description="How often each stage of the curriculum is read before the next begins."
    )
    order: Literal["curriculum", "shuffled"] = Field(
        default="curriculum",
        description="curriculum: front to back; shuffled: the same steps with their pairs drawn anew, as a baseline.",
    )
    grouping: Literal["bucket", "step"] = Field(
        default="bucket",
        description="bucket: a prompt's pairs of one stage are trained together at the first one's place, which is "
        "fastest; step: strict order, a prompt is shared only within a step.",
    )
    split: str = Field(default="train", description="The split of the version that is trained on.")
    pairs_per_step: int = Field(
        default=16, ge=1, description="Pairs of one optimizer step; a prompt's pairs stay together."
    )
    tokens_per_batch: int | None = Field(
        default=None,
        ge=16,
        description="Token budget of one forward pass; unset is 2,048 on a CPU and 16,384 on a GPU.",
    )
    max_length: int | None = Field(
        default=None, ge=2, description="Longest prompt plus completion in tokens; unset is the model's context."
    )
    too_long: Literal["drop", "truncate"] = Field(
        default="drop",
        description="A pair with a longer side is dropped, or that side's end is cut off; either is counted.",
    )
    learning_rate: float = Field(
        default=5e-5, gt=0, description="Peak learning rate of AdamW; full mode wants about 1e-6."
    )
    sft_learning_rate: float | None = Field(
        default=None, gt=0, description="The same for the likelihood stage; unset: equal."
    )
    schedule: Literal["cosine", "constant"] = Field(
        default="cosine", description="Course of the learning rate after warm-up."
    )
    warmup_share: float = Field(
        default=0.1, ge=0, le=1, description="Share of the steps over which the rate rises to its peak."
    )
    weight_decay: float = Field(default=0.0, ge=0, description="AdamW's weight decay.")
    adam_betas: tuple[float, float] = Field(
        default=(0.9, 0.999), description="AdamW's decay rates of its two averages."
    )
    clip_norm: float = Field(default=1.0, gt=0, description="Gradients are scaled down to this norm.")
    seed: int = Field(default=0, description="Decides the adapters' start and the shuffled order.")
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where to train; auto takes a GPU if there is one."
    )
    dtype: Literal["auto", "bfloat16", "float32"] = Field(
        default="auto", description="Precision of the forward pass; auto is bfloat16 where the hardware computes in it."
    )
    checkpointing: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Recompute activations in the backward pass; auto only when memory would not suffice.",
    )
    compile: bool = Field(
        default=False, description="Compile the feed-forward layers with torch.compile: pays on long GPU runs."
    )
    save_every: int = Field(
        default=50, ge=1, description="Steps between checkpoints; the end of a stage always makes one."
    )
    keep: int = Field(
        default=2, ge=1, description="How many checkpoints within a stage to keep; those at stage ends stay."
    )
    tensorboard: bool = Field(default=True, description="Also write the metrics as TensorBoard event files.")

    @model_validator(mode="after")
    def _consistent(self) -> Training:
        if self.mode == "full" and self.lora != Lora():
            raise ValueError("mode full does not use lora: leave one of them out")
        if self.sft_learning_rate is not None and not self.sft_epochs:
            raise ValueError("sft_learning_rate is given and sft_epochs is 0: there is no likelihood stage")
        if self.loss.name == "sft" and self.sft_epochs:
            raise ValueError("the loss is sft already: leave sft_epochs out")
        return self


def default_output(version: Path, digest: str) -> Path:
    """Where a run goes unless told otherwise: beside the dataset's versions, named by what it follows from."""
    return version.parent / "policies" / f"{version.name}-{digest}"

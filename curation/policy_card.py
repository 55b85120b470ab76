"""The model card: the README.md of a published policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from curation.card import cell

LIMITS = """\
- It was trained to prefer programs that pass the problems' own tests and learned nothing else: not speed, style or
  safety. Run what it writes only where untrusted code may run.
- Its scores hold for the benchmark, the sampling and the prompt they were taken with. What it lost elsewhere was not
  measured."""


def render(told: Mapping[str, Any], repo_id: str, tag: str) -> str:
    """The card of a policy from its `policy.json`: what it was trained from, on and how, and how to load it."""
    lora, base, data = told["mode"] == "lora", told["base_model"], told["trained_on"]
    training = told["training"]
    front = {
        "base_model": base,
        "base_model_relation": "adapter" if lora else "finetune",
        "library_name": "peft" if lora else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["code", "preference", training["loss"]["name"], "pairwright", *(["lora"] if lora else [])],
    }
    loss = {key: value for key, value in training["loss"].items() if value is not None and key != "name"}
    step = told["last_step"]
    made = {
        "trained from": base,
        "trained on": f"{data['dataset']} version {data['version']}, digest `{data['digest']}`",
        "pairs": ", ".join(f"{key} {value}" for key, value in told["counts"].items()),
        "loss": training["loss"]["name"] + "".join(f", {key} {value}" for key, value in loss.items()),
        "weights": f"LoRA of rank {training['lora']['rank']}, alpha {training['lora']['alpha']:g}" if lora else "all",
        "order": f"{training['order']}, {training['epochs']} passes of each stage",
        "learning rate": f"{training['learning_rate']:g}, {training['schedule']}, seed {training['seed']}",
        "last step": ", ".join(f"{key} {value:.4g}" for key, value in step.items()),
    }
    lines = ["---", yaml.safe_dump(front, sort_keys=False, allow_unicode=True).rstrip(), "---", ""]
    lines += [f"# {repo_id.partition('/')[2]}", ""]
    lines += ["A code model trained on preference pairs of programs judged by unit tests. Made with pairwright.", ""]
    lines += ["## How it was made", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {cell(value)} |" for name, value in made.items() if value]
    lines += ["", "Every setting is in `policy.json`.", "", "## How to load it", "", "```python"]
    lines += [*_loading(lora, base, repo_id, tag), "```", "", "## Known limits", "", LIMITS, ""]
    return "\n".join([*lines, f"Digest of the files: `{told['digest']}`", ""])


def _loading(lora: bool, base: str, repo_id: str, tag: str) -> list[str]:
    whole = [
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        f'model = AutoModelForCausalLM.from_pretrained("{repo_id}", revision="{tag}")',
        f'tokenizer = AutoTokenizer.from_pretrained("{repo_id}", revision="{tag}")',
    ]
    adapter = [
        "from peft import PeftModel",
        *whole[:2],
        f'base = AutoModelForCausalLM.from_pretrained("{base}")',
        f'model = PeftModel.from_pretrained(base, "{repo_id}", revision="{tag}")',
        whole[3],
    ]
    return adapter if lora else whole

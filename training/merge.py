"""An adapter merged into its model: a folder that any sampler loads, kept beside the adapter.

vLLM's own adapters took more than twice the processor time on a CPU (0.32, 135M parameters, 64 at once), and every
sampler takes a merged model.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from curation import store
from curation.errors import UserError
from training.reference import model_digest

FOLDER = "merged"
STAMP = "pairwright.json"
# Above it the merged weights keep the model's own precision: 2e9 weights are 8 GB in float32.
LARGE = 2_000_000_000


def merged(model: str, adapter: Path) -> Path:
    """The folder of `model` with the adapter's weights added; made unless it is there for just these weights.

    In float32, for most of an adapter's change is lost in bfloat16's eight bits; a large model keeps its precision.

    Raises:
        UserError: the model cannot be loaded, or the adapter is another model's.
    """
    target = adapter / FOLDER
    made_of = {"model": model_digest(model), "adapter": model_digest(str(adapter))}
    if (target / STAMP).is_file() and json.loads((target / STAMP).read_text()) == made_of:
        return target
    staging = adapter / f".{FOLDER}"
    shutil.rmtree(staging, ignore_errors=True)
    try:
        _merge(model, adapter, staging)
        (staging / STAMP).write_text(json.dumps(made_of) + "\n")
        for file in staging.iterdir():
            store.sync(file)
        shutil.rmtree(target, ignore_errors=True)
        staging.rename(target)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise UserError(
            f"cannot merge {adapter} into {model}: {' '.join(str(error).split())[:300]}; is it this model's adapter?"
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def _merge(model: str, adapter: Path, folder: Path) -> None:
    """Write the merged model and its tokenizer."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as their_logging

    their_logging.disable_progress_bar()
    base: Any = AutoModelForCausalLM.from_pretrained(model, dtype="auto")
    own = base.dtype
    if base.num_parameters() < LARGE:
        base = base.to(torch.float32)
    whole = PeftModel.from_pretrained(base, str(adapter)).merge_and_unload()
    whole.save_pretrained(folder)
    AutoTokenizer.from_pretrained(model).save_pretrained(folder)
    # Read as the model itself is: a sampler that computes in bfloat16 rounds once, when it loads.
    described = json.loads((folder / "config.json").read_text())
    described["dtype"] = str(own).removeprefix("torch.")
    (folder / "config.json").write_text(json.dumps(described, indent=2, sort_keys=True) + "\n")

"""Training the embedded model: real weights, a real tokenizer, text that came without tokens."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from conftest import completion
from curation.embedded import embedded_model
from curation.errors import MissingError
from curation.schema import identify
from tiny_policy import pair, place, sealed
from training.config import Training
from training.train import train

PROMPT = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
CASES = [
    ("Write add(a, b).", "def add(a, b):\n    return a + b", "def add(a, b):\n    return a - b"),
    ("Write double(x).", "def double(x):\n    return 2 * x", "def double(x):\n    return x ** 2"),
]


@pytest.mark.slow
def test_the_embedded_model_learns_to_prefer_what_passes(tmp_path: Path) -> None:
    try:
        model = embedded_model()
    except MissingError as error:
        pytest.skip(f"the embedded model is not here: {error}")
    torch.set_num_threads(1)
    unknown = {"token_ids": None, "prompt_token_ids": None, "finish_reason": None, "sampler": "replay"}
    rows = [
        completion(identify(task), number, prompt=PROMPT.format(task), text=text, **unknown)
        for task, *texts in CASES
        for number, text in enumerate(texts)
    ]
    pairs = [pair(rows[0], rows[1]), pair(rows[2], rows[3])]
    version = sealed(tmp_path, rows, pairs, place(pairs, 1))
    config = Training(
        model=str(model), device="cpu", pairs_per_step=2, epochs=4, learning_rate=2e-4, schedule="constant"
    )
    done = train(version, config)
    lines = [json.loads(line) for line in (done.parents[1] / "metrics.jsonl").read_text().splitlines()]
    assert lines[0]["loss"] == pytest.approx(math.log(2), abs=1e-3)
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.02 and lines[-1]["rewards/accuracies"] == 1.0
    assert json.loads((done.parents[1] / "summary.json").read_text())["counts"]["tokenized_from_text"] == 4

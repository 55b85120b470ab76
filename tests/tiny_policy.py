"""What the tests of training share: a random two-layer Llama with a byte tokenizer, and sealed versions to train on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from conftest import completion, execution, problem
from curation import manifest, store
from curation.schema import TABLES, identify
from curation.store import Shard

PROMPTS = ["Add two numbers.", "Reverse a list, please.", "Is it prime?", "Sort."]


def tokenizer() -> PreTrainedTokenizerFast:
    """One token per byte, and an end token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytewise = Tokenizer(models.BPE({char: i for i, char in enumerate(alphabet)}, []))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=bytewise, eos_token="<end>", pad_token="<end>")


def model_folder(folder: Path, **config: Any) -> Path:
    """A random Llama (two layers, grouped heads, tied head) and its tokenizer, saved."""
    torch.manual_seed(0)
    # On a busy machine the threads of such small products mostly wait for one another.
    torch.set_num_threads(1)
    tokens = tokenizer()
    shape = {
        "vocab_size": len(tokens),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
        "initializer_range": 0.2,
        "bos_token_id": None,
        "eos_token_id": tokens.eos_token_id,
    }
    LlamaForCausalLM(LlamaConfig(**shape | config)).save_pretrained(folder)
    tokens.save_pretrained(folder)
    return folder


def samples(num_prompts: int = 4, per_prompt: int = 3, seed: int = 0) -> list[dict[str, Any]]:
    """Completions as a sampler leaves them: random letters, tokens of their own, an end token on most."""
    draw, tokens = random.Random(seed), tokenizer()
    rows = []
    for number in range(num_prompts):
        prompt = PROMPTS[number % len(PROMPTS)] + " " * (number // len(PROMPTS))
        for sample in range(per_prompt):
            text = "".join(draw.choice("abcdefgh") for _ in range(draw.randint(1, 24)))
            stopped = sample != 1
            ids = tokens(text, add_special_tokens=False)["input_ids"] + [tokens.eos_token_id] * stopped
            rows.append(
                completion(
                    identify(number),
                    sample,
                    prompt=prompt,
                    prompt_token_ids=tokens(prompt)["input_ids"],
                    text=text,
                    token_ids=ids,
                    finish_reason="stop" if stopped else "length",
                )
            )
    return rows


def pair(chosen: dict[str, Any], rejected: dict[str, Any]) -> dict[str, Any]:
    """One row of `pairs`."""
    return {
        "pair_id": identify(chosen["completion_id"], rejected["completion_id"]),
        "problem_id": chosen["problem_id"],
        "split": "train",
        "strategy": "all_pairs",
        "prompt": chosen["prompt"],
        "chosen": chosen["text"],
        "rejected": rejected["text"],
        "chosen_id": chosen["completion_id"],
        "rejected_id": rejected["completion_id"],
        "chosen_score": 1.0,
        "rejected_score": 0.0,
    }


def all_pairs(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sample 0 over every other sample of its problem, and 1 over 2."""
    return [
        pair(one, other)
        for one in rows
        for other in rows
        if one["problem_id"] == other["problem_id"] and one["sample_index"] < other["sample_index"]
    ]


def place(pairs: Sequence[dict[str, Any]], buckets: int = 2, pruned: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Their places in the order given, in buckets of equal size; those in `pruned` have none."""
    kept = [row for row in pairs if row["pair_id"] not in pruned]
    places = {row["pair_id"]: index for index, row in enumerate(kept)}
    return [
        {
            "pair_id": row["pair_id"],
            "problem_id": row["problem_id"],
            "split": row["split"],
            "position": places.get(row["pair_id"]),
            "bucket": None if row["pair_id"] in pruned else places[row["pair_id"]] * buckets // len(kept),
            "metric": 1.0,
            "pruned_by": "test" if row["pair_id"] in pruned else None,
        }
        for row in pairs
    ]


def sealed(
    root: Path,
    completions: Sequence[dict[str, Any]],
    pairs: Sequence[dict[str, Any]],
    curriculum: Sequence[dict[str, Any]],
    features: Sequence[dict[str, Any]] = (),
) -> Path:
    """A sealed version of these rows."""
    problems = [
        problem(str(row["problem_id"]), problem_id=row["problem_id"]) for row in completions if not row["sample_index"]
    ]
    failing = {row["rejected_id"] for row in pairs} - {row["chosen_id"] for row in pairs}
    failed = {"status": "wrong", "test_status": ["wrong"] * 3, "num_passed": 0, "score": 0.0}
    tables: dict[str, Sequence[dict[str, Any]]] = dict.fromkeys(TABLES, ())
    tables |= {
        "problems": problems,
        "completions": completions,
        "executions": [
            execution(row["completion_id"], row["problem_id"], **(failed if row["completion_id"] in failing else {}))
            for row in completions
        ],
        "pairs": pairs,
        "curriculum": curriculum,
        "pair_features": features,
    }
    for name, content in tables.items():
        store.write(root / "work", name, content, Shard("train"))
    return manifest.seal(
        root / "work", root, "demo", config={}, keys={table: table for table in TABLES}, cut_points={}, checks={}
    )


def version(root: Path, *, num_prompts: int = 4, per_prompt: int = 3, buckets: int = 2) -> Path:
    """A sealed version of random completions with every pair of each prompt."""
    rows = samples(num_prompts, per_prompt)
    pairs = all_pairs(rows)
    return sealed(root, rows, pairs, place(pairs, buckets))

"""The tokens of a completion as text, for colouring them by their log-probability: needs the model's tokenizer.json on
this machine, and nothing else of the model. Nothing is downloaded or converted for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from curation.embedded import cache_folder
from curation.vllm_sampler import EMBEDDED

TOKENIZER = "tokenizer.json"
# A character of four bytes may be as many tokens.
MOST_PIECES = 4
Decode = Callable[[Sequence[int]], str]
Pieces = list[tuple[str, float]]


def decoder(sealed: Mapping[str, Any]) -> Decode | None:
    """What turns the token ids of a version's completions into text; None where the tokenizer is not here."""
    config = sealed.get("config")
    generate = config.get("generate") if isinstance(config, Mapping) else None
    model = generate.get("model") if isinstance(generate, Mapping) else None
    file = _file(str(model)) if model else None
    if file is None:
        return None
    try:
        from tokenizers import Tokenizer  # type: ignore[import-not-found,unused-ignore]

        tokenizer = Tokenizer.from_file(str(file))
    except Exception:
        # The package is of the extra `model`, and its errors are plain Exceptions: without it there are no texts.
        return None
    return lambda ids: str(tokenizer.decode(list(ids), skip_special_tokens=True))


def pieces(completion: Mapping[str, Any], decode: Decode | None) -> Pieces | None:
    """A completion's tokens as (text, log-probability in nats), joined where one is half a character.

    None where tokens, log-probabilities or the tokenizer are unknown, or it reads the tokens as another text.
    """
    ids, logps = completion.get("token_ids"), completion.get("token_logps")
    if decode is None or not ids or not logps or len(ids) != len(logps):
        return None
    found: Pieces = []
    start = 0
    for end in range(1, len(ids) + 1):
        text = decode(ids[start:end])
        if text.endswith("\ufffd") and end - start < MOST_PIECES and end < len(ids):
            continue
        if text:
            found.append((text, sum(logps[start:end])))
        start = end
    joined, text = "".join(text for text, _ in found).strip(), str(completion["text"]).strip()
    return found if joined.startswith(text) or text.startswith(joined) else None


def _file(model: str) -> Path | None:
    """The tokenizer of a model: of a folder, of the embedded model, or of a Hub model that was downloaded before."""
    if model == EMBEDDED:
        places = sorted(cache_folder().glob(f"*/{TOKENIZER}"))
    elif Path(model).is_dir():
        places = [Path(model) / TOKENIZER]
    else:
        home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
        places = sorted((home / "hub").glob(f"models--{model.replace('/', '--')}/snapshots/*/{TOKENIZER}"))
    return next((file for file in places if file.is_file()), None)

"""The reference's log-probabilities: one pass of the starting model in the trainer's own layout, kept and reused.

Per token, so that every loss finds its own sums in them. The file lies beside the sealed version (which never
changes) under a stamp of everything it follows from; another model, precision or layout has another stamp. The
sampler's own log-probabilities are not used here: in bfloat16 they differ by some 0.4 nats a sequence (measured).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from curation import manifest, store
from curation.progress import Progress, silent
from curation.schema import identify
from training import parallel
from training.config import Training
from training.data import Corpus, Pair, Unit, batches
from training.logps import Scorer, collate
from training.losses import Loss

log = logging.getLogger(__name__)
LAYOUT = 1
"""Counts up when the forward pass changes in a way that moves log-probabilities beyond rounding."""
Logps = np.ndarray[Any, np.dtype[np.float32]]


def stamp(version: Path, config: Training, dtype: torch.dtype, limit: int) -> str:
    """What the reference's log-probabilities follow from, as an id."""
    parts: dict[str, Any] = {
        "version": manifest.read_manifest(version)["digest"],
        "model": model_digest(config.model),
        "dtype": str(dtype),
        "layout": LAYOUT,
        "pairs": [config.split, limit, config.too_long],
    }
    if config.mode == "full":
        parts["autocast"] = True
    if config.sft_epochs:
        # The reference is then the model after the likelihood stage, which all of these decide.
        parts["sft"] = config.model_dump(mode="json", exclude={"loss", "epochs", "order", "grouping", "save_every"})
    return identify(parts)


def model_digest(model: str) -> str:
    """Hash of a model folder's weights, configuration and tokenizer; a Hub name stands for itself."""
    folder = Path(model)
    if not folder.is_dir():
        return model
    files = sorted(f for f in folder.iterdir() if f.suffix in (".safetensors", ".bin", ".json"))
    return hashlib.sha256("".join(f"{f.name} {manifest.file_sha256(f)}\n" for f in files).encode()).hexdigest()


def file_of(version: Path, mark: str) -> Path:
    """Where the log-probabilities of a version under a stamp lie."""
    return version.parent / "reference" / f"{version.name}-{mark}.parquet"


def read(version: Path, mark: str, needed: Iterable[str]) -> dict[str, Logps] | None:
    """Log-probabilities per token by completion_id, or None when the file does not hold all of them."""
    file = file_of(version, mark)
    if not file.is_file():
        return None
    table = pq.read_table(file)
    names, column = table["completion_id"].to_pylist(), table["token_logps"].combine_chunks()
    values, offsets = column.flatten().to_numpy().copy(), column.value_lengths().to_numpy().cumsum()
    found = dict(zip(names, np.split(values, offsets[:-1]), strict=True))
    return found if all(name in found for name in needed) else None


def write(version: Path, mark: str, logps: dict[str, Logps]) -> None:
    """Keep them under their stamp."""
    names = sorted(logps)
    column = pa.array([logps[name] for name in names], pa.list_(pa.float32()))
    with store.replacing(file_of(version, mark)) as partial:
        pq.write_table(pa.table({"completion_id": names, "token_logps": column}), partial, compression="zstd")


@torch.no_grad()
def measure(
    corpus: Corpus, scorer: Scorer, budget: int, device: torch.device, *, on_progress: Progress = silent
) -> dict[str, Logps]:
    """One forward pass over every completion of the corpus, its prompt shared: log-probabilities per token."""
    members: dict[str, list[Pair]] = {}
    for name in corpus.completions:
        group = corpus.group_of[name]
        members.setdefault(group, []).append(Pair(name, group, name, name))
    # Short prompts together with short ones: no order to keep here, and fewer batches.
    units = sorted((Unit(group, tuple(pairs)) for group, pairs in members.items()), key=corpus.tokens)
    filled = parallel.share(batches(units, corpus, budget))
    found: dict[str, Logps] = {}
    for done, (part, _) in enumerate(filled):
        on_progress(done, len(filled))
        batch = collate(part, corpus, Loss(name="sft"), device)
        token_logps = scorer(batch).cpu()
        found |= {name: values.numpy().copy() for name, values in batch.per_completion(token_logps).items()}
    on_progress(len(filled), len(filled))
    parallel.settle(scorer)
    return parallel.merge(found)


def obtain(
    version: Path,
    mark: str,
    corpus: Corpus,
    scorer: Scorer,
    budget: int,
    device: torch.device,
    *,
    on_progress: Progress = silent,
) -> dict[str, Logps]:
    """The kept log-probabilities, or those of a pass made now and kept. `scorer` must be the reference just now."""
    kept = read(version, mark, corpus.completions)
    if kept is not None:
        return kept
    logps = measure(corpus, scorer, budget, device, on_progress=on_progress)
    if parallel.rank() == 0:
        write(version, mark, logps)
    parallel.barrier()
    return logps

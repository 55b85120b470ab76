"""What the papers warn of, said while there is still time to change it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median

from curation import store
from training.config import Training
from training.data import Corpus

# Pal et al. 2024 (arXiv 2402.13228): plain DPO breaks down on pairs of normalized edit distance 0.065 and not on
# pairs of 0.9. Where between the two it begins is not known.
LOW_EDIT_DISTANCE = 0.2
LONGER = 1.2
WINDOW = 20
FALL = 1.0


def edit_distance(version: Path, corpus: Corpus, config: Training) -> str | None:
    """A line when plain DPO meets pairs that are nearly the same text."""
    if config.loss.name not in ("dpo", "cdpo", "robust_dpo", "dpo_norm"):
        return None
    trained = {pair.pair_id for pairs in corpus.stages for pair in pairs}
    rows = store.read(version, "pair_features", columns=["pair_id", "edit_normalized"]).to_pylist()
    distances = [row["edit_normalized"] for row in rows if row["pair_id"] in trained]
    if not distances or (middle := median(distances)) >= LOW_EDIT_DISTANCE:
        return None
    return (
        f"the median edit distance of the pairs is {middle:.3f} of their length: {config.loss.name} tends to lower the "
        "chosen side too on such pairs; the loss dpop, or rpo, holds it up"
    )


def chosen_longer(corpus: Corpus) -> str | None:
    """A line when chosen completions are longer on average: the policy will learn to write longer."""
    pairs = [pair for stage in corpus.stages for pair in stage]
    sides = [fmean(len(corpus.completions[getattr(p, side)]) for p in pairs) for side in ("chosen", "rejected")]
    return _growth("chosen completions are", sides[1], sides[0], "rejected ones")


def length_growth(before: Sequence[int], after: Sequence[int]) -> str | None:
    """A line when samples drawn after training are longer than before; lengths in tokens."""
    return _growth("samples are", fmean(before), fmean(after), "before training")


def _growth(what: str, short: float, long: float, than: str) -> str | None:
    if long <= LONGER * short:
        return None
    return (
        f"{what} {long / short:.2f} times as long as {than} ({long:.0f} tokens against {short:.0f}): "
        "ld_dpo or dpo_norm takes length out of the preference"
    )


class FallingChosen:
    """Watches whether the chosen completions become less likely than under the reference."""

    def __init__(self) -> None:
        self.recent: deque[float] = deque(maxlen=WINDOW)
        self.said = False

    def see(self, log_ratio: float, config: Training) -> str | None:
        """One step's mean of log pi(y_w|x) - log ref(y_w|x); a line the first time its average has clearly fallen."""
        self.recent.append(log_ratio)
        if self.said or len(self.recent) < WINDOW or (mean := fmean(self.recent)) > -FALL:
            return None
        self.said = True
        return (
            f"chosen completions are now {-mean:.1f} nats less likely than under the reference "
            f"(mean of {WINDOW} steps, loss {config.loss.name}): dpop or rpo holds them up, "
            "a lower learning rate slows the fall"
        )

"""The loss curves of this trainer and of TRL's DPOTrainer on one sealed version, side by side.

    python tests/bench/compare_trl_curve.py VERSION MODEL [PAIRS_PER_STEP]

DPO in full mode, float32, on the CPU: the version's pairs in curriculum order, the same rate, clipping and optimizer.
TRL makes tokens of the text again and ends every completion, so a version whose samples were cut off differs a little.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]


def main(version: str, model: str, pairs_per_step: str = "8") -> None:
    os.environ |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    from test_training_trl import our_curve, trl_curve
    from training.config import Training

    config = Training(
        model=model,
        mode="full",
        device="cpu",
        dtype="float32",
        pairs_per_step=int(pairs_per_step),
        # One pair after the other, as TRL reads them.
        grouping="step",
        learning_rate=1e-6,
        schedule="constant",
        warmup_share=0.0,
    )
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        curves = [curve(Path(version), config, Path(folder) / curve.__name__) for curve in (our_curve, trl_curve)]
    print(f"{'step':>5} {'ours':>9} {'TRL':>9} {'apart':>9}")
    for step, (one, other) in enumerate(zip(*curves, strict=False), 1):
        print(f"{step:5} {one:9.5f} {other:9.5f} {one - other:9.5f}")


if __name__ == "__main__":
    main(*sys.argv[1:])

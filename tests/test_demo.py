"""The demo at small size, as a user runs it: real weights, real vLLM, programs really executed, a sealed version, and a
policy trained on it that real vLLM samples again."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from analysis import engine
from curation import manifest, store

ROOT = Path(__file__).parents[1]
SMALL = ("problems.limit=8", "problems.shard_size=8", "generate.n=4", "generate.max_tokens=96")
TRAINED = ("evaluation.limit=3", "evaluation.sampling.n=2", "evaluation.sampling.max_tokens=48")


def pairwright(root: Path, *arguments: str, settings: Sequence[str] = SMALL) -> subprocess.CompletedProcess[str]:
    overrides = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, "-m", "flows.cli", *arguments, "--root", str(root), "--server", "off", *overrides]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ, check=False)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_demo_seals_what_a_real_model_wrote_and_trains_it_and_a_second_run_finds_all_done(tmp_path: Path) -> None:
    pytest.importorskip("vllm", reason="vLLM is not installed: the extra cpu or gpu brings it")
    first = pairwright(tmp_path, "build", "demo")
    assert first.returncode == 0, first.stderr
    assert "demo@1: sealed" in first.stdout and "pairwright sql demo@1" in first.stdout
    version = manifest.open_version(tmp_path, "demo")
    assert manifest.verify(version) == []
    completions = store.read(version, "completions").to_pylist()
    assert len(completions) == 32 and len({row["text"] for row in completions}) > 16
    for row in completions:
        assert row["model"].startswith("SmolLM2-135M-Instruct") and "<|im_start|>" in row["prompt"]
        assert len(row["token_ids"]) == len(row["token_logps"]) == row["num_tokens"] <= 96
        assert row["sum_logp"] == pytest.approx(sum(row["token_logps"]), abs=1e-3) and row["sum_logp"] < 0
    verdicts = engine.query(version, "SELECT status, count(*) AS n FROM executions GROUP BY ALL").to_pylist()
    assert sum(row["n"] for row in verdicts) == 32
    # Of the eight easiest problems the model gets some samples right and some wrong, whatever the machine.
    assert {"passed"} < {row["status"] for row in verdicts}
    assert store.read(version, "pairs").num_rows > 0
    again = pairwright(tmp_path, "build", "demo")
    assert again.returncode == 0 and "demo@1: already sealed, nothing to do" in again.stdout
    assert manifest.versions(tmp_path, "demo") == [1]
    _trains_and_evaluates(tmp_path)


def _trains_and_evaluates(root: Path) -> None:
    first = pairwright(root, "train", "demo", "--recipe", "demo", settings=TRAINED)
    assert first.returncode == 0, first.stderr
    assert "builtin: 3 problems, 2 samples each, temperature 0.8" in first.stdout
    assert "trained against embedded: pass@1" in first.stdout
    (policy,) = (Path(line.split()[1]) for line in first.stdout.splitlines() if line.strip().startswith("policy:"))
    lines = [json.loads(line) for line in (policy.parents[1] / "metrics.jsonl").read_text().splitlines()]
    assert lines[0]["loss"] == pytest.approx(math.log(2), abs=0.05)
    sampled = [store.read(folder, "completions").to_pylist() for folder in (root / "evaluations").iterdir()]
    assert [len(rows) for rows in sampled] == [6, 6]
    # The adapter is really worn: the same first token of the same prompt has another probability.
    assert len({rows[0]["model_revision"] for rows in sampled}) == 2
    assert sampled[0][0]["token_logps"] != sampled[1][0]["token_logps"]
    again = pairwright(root, "train", "demo", "--recipe", "demo", settings=TRAINED)
    assert again.returncode == 0 and "loading model" not in again.stderr
    assert again.stdout == first.stdout

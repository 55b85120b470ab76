"""Training runs on a tiny random model: what they learn, leave behind, survive and refuse."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

import tiny_policy
from tiny_policy import all_pairs, place, samples, sealed
from training import checkpoint, guards, logps, memory, metrics, policy, reference
from training.config import Lora, Training
from training.losses import FORMS, Loss
from training.train import TrainingError, train

ROOT = Path(__file__).parents[1]
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """12 pairs of 4 prompts in 2 buckets, and a model beside them."""
    tiny_policy.model_folder(tmp_path / "model")
    return tiny_policy.version(tmp_path)


def configured(version: Path, **options: Any) -> Training:
    """Four steps of one batch each, float32 on the CPU."""
    fixed = {"model": str(version.parents[1] / "model"), "device": "cpu", "dtype": "float32", "pairs_per_step": 3}
    return Training(**fixed | {"learning_rate": 1e-2, "warmup_share": 0.0, "schedule": "constant"} | options)


def lines(checkpoint_folder: Path, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (checkpoint_folder.parents[1] / name).read_text().splitlines()]


def weights(checkpoint_folder: Path) -> dict[str, Tensor]:
    return load_file(checkpoint_folder / "trainer" / "state.safetensors")


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("mode", ["lora", "full"])
def test_the_first_loss_is_ln_2_and_training_widens_the_margin(version: Path, mode: str) -> None:
    done = train(version, configured(version, mode=mode, epochs=4, learning_rate=1e-2 if mode == "lora" else 1e-3))
    found = lines(done)
    assert found[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert found[0]["rewards/margins"] == pytest.approx(0, abs=1e-4)
    first_epoch = [line["loss"] for line in found if line["stage"] == 1 and line["epoch"] == 0]
    last_epoch = [line["loss"] for line in found if line["stage"] == 1 and line["epoch"] == 3]
    assert sum(last_epoch) < sum(first_epoch) - 0.1
    assert last_epoch[-1] < math.log(2) and found[-1]["rewards/margins"] > 0.1


@pytest.mark.parametrize("name", FORMS)
def test_every_loss_trains(version: Path, name: str) -> None:
    done = train(version, configured(version, loss=Loss(name=name), epochs=3, tensorboard=False))
    losses = [line["loss"] for line in lines(done) if line["stage"] == 1]
    assert losses[-1] < losses[0]


def test_accumulating_small_batches_gives_the_step_of_one_big_batch(version: Path) -> None:
    big = configured(version, pairs_per_step=12, tokens_per_batch=4000)
    runs = [train(version, config, output=version / f"../../{i}") for i, config in enumerate([big, halved(big)])]
    one, other = (lines(done)[0] for done in runs)
    assert one["loss"] == pytest.approx(other["loss"], abs=1e-6)
    assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-4)
    assert other["tokens"] > one["tokens"]


def halved(config: Training) -> Training:
    return config.model_copy(update={"tokens_per_batch": 40})


def test_gradient_checkpointing_changes_nothing_but_memory(version: Path) -> None:
    one, other = (train(version, configured(version, checkpointing=how)) for how in ("off", "on"))
    assert equal(weights(one), weights(other))


@pytest.mark.parametrize(("every", "trims"), [(1, 3), (2, 2)])
def test_recomputed_layers_run_twice_and_what_they_free_goes_back(
    version: Path, monkeypatch: pytest.MonkeyPatch, every: int, trims: int
) -> None:
    trimmed, ran = [], []
    libc = SimpleNamespace(malloc_trim=trimmed.append)
    monkeypatch.setattr(memory, "ctypes", SimpleNamespace(CDLL=lambda _: libc))
    monkeypatch.setattr(memory, "TRIM_EVERY", every)
    causal = AutoModelForCausalLM.from_pretrained(configured(version).model).train()
    memory.recompute_activations(causal, torch.device("cpu"))
    assert len(causal.model.layers) == 2
    for layer in causal.model.layers:
        layer.mlp.register_forward_pre_hook(lambda *_: ran.append(1))
    logits = causal(torch.tensor([[1, 2, 3]])).logits
    assert (len(ran), len(trimmed)) == (2, 1)  # after the forward pass
    logits.sum().backward()
    assert (len(ran), len(trimmed)) == (4, trims)  # and after every so many layers of the backward pass


@pytest.mark.slow
def test_compiled_layers_give_the_same_losses(version: Path) -> None:
    plain, compiled = (lines(train(version, configured(version, compile=how))) for how in (False, True))
    assert [line["loss"] for line in compiled] == pytest.approx([line["loss"] for line in plain], abs=1e-3)


def test_the_same_run_is_bitwise_the_same_and_another_seed_is_not(version: Path) -> None:
    runs = [
        train(version, configured(version, seed=seed), output=version / f"../../{i}")
        for i, seed in enumerate([0, 0, 1])
    ]
    assert equal(weights(runs[0]), weights(runs[1]))
    assert not equal(weights(runs[0]), weights(runs[2]))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """As the child processes have: sums over two threads differ in the last bit, and Adam makes that visible."""
    torch.set_num_threads(1)


KILLED = """
import os, signal, sys
from pathlib import Path
from training.config import Training
from training.train import train

config = Training.model_validate_json(sys.argv[2])
def kill(found):
    if found["step"] == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
train(Path(sys.argv[1]), config, output=Path(sys.argv[3]), on_step=kill)
"""


def started(version: Path, config: Training, output: Path, kill_at: int = 0) -> None:
    """One process that trains to the end, or is killed after step `kill_at`, before anything of it is saved."""
    command = [sys.executable, "-c", KILLED, str(version), config.model_dump_json(), str(output), str(kill_at)]
    done = subprocess.run(command, cwd=ROOT, env=ONE_THREAD, capture_output=True)
    assert done.returncode == (-signal.SIGKILL if kill_at else 0), done.stderr.decode()


@pytest.mark.parametrize(("mode", "kill_at"), [("lora", 5), ("full", 8)])
def test_a_killed_run_ends_with_the_same_weights_and_the_same_lines(
    version: Path, tmp_path: Path, mode: str, kill_at: int
) -> None:
    config = configured(version, mode=mode, epochs=2, save_every=3, sft_epochs=1, schedule="cosine")
    # Every run has a process of its own, as a user's has: what other tests do to this one (one of them sets math.pi to
    # 3, which bends the cosine) is not what is measured.
    started(version, config, tmp_path / "whole")
    # The reference after the likelihood stage is kept under its stamp, and must not be what makes the two agree.
    shutil.rmtree(version.parent / "reference")
    started(version, config, tmp_path / "killed", kill_at)
    assert not (tmp_path / "killed" / "summary.json").exists()
    left = checkpoint.newest(tmp_path / "killed")
    assert left is not None and 0 < checkpoint.step_of(left) < kill_at
    started(version, config, tmp_path / "killed")
    whole, resumed = (checkpoint.found(tmp_path / name)[-1] for name in ("whole", "killed"))
    assert resumed.name == whole.name
    assert equal(weights(whole), weights(resumed))
    timing = {"seconds", "tokens_per_second"}
    for name in ("metrics.jsonl", "samples.jsonl"):
        one, other = (
            [{k: v for k, v in row.items() if k not in timing} for row in lines(d, name)] for d in (whole, resumed)
        )
        assert one == other


def test_going_on_with_another_number_of_threads_is_said(version: Path, caplog: pytest.LogCaptureFixture) -> None:
    def stop(found: Any) -> None:
        if found["step"] == 3:
            raise KeyboardInterrupt

    config = configured(version, save_every=1)
    with pytest.raises(KeyboardInterrupt):
        train(version, config, on_step=stop)
    shutil.copytree(version.parent / "policies", version.parent / "copy")
    train(version, config)
    assert "threads" not in caplog.text
    shutil.rmtree(version.parent / "policies")
    (version.parent / "copy").rename(version.parent / "policies")
    torch.set_num_threads(2)
    train(version, config)
    assert "step-000002-stage-0 was made by 1 threads, this process has 2" in caplog.text


def test_a_finished_run_returns_at_once_and_calls_nothing(version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured(version)
    done = train(version, config)
    monkeypatch.setattr(policy, "load", lambda *_: pytest.fail("the model was loaded again"))
    assert train(version, config) == done


def test_a_run_folder_of_another_configuration_is_refused(version: Path, tmp_path: Path) -> None:
    train(version, configured(version), output=tmp_path / "run")
    with pytest.raises(TrainingError, match="holds a run of another version or configuration"):
        train(version, configured(version, epochs=2), output=tmp_path / "run")


def test_the_reference_is_measured_once_and_reused_by_every_later_run(
    version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(version, configured(version))
    monkeypatch.setattr(reference, "measure", lambda *_, **__: pytest.fail("the reference was measured again"))
    again = train(version, configured(version, loss=Loss(name="dpop"), pairs_per_step=2, seed=7))
    assert lines(again)[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)


def test_another_model_has_another_reference(version: Path) -> None:
    marks = set()
    for seed, folder in enumerate(["one", "two"]):
        torch.manual_seed(seed)
        shutil.copytree(version.parents[1] / "model", version.parents[1] / folder)
        if seed:
            changed = AutoModelForCausalLM.from_pretrained(version.parents[1] / folder)
            changed.model.norm.weight.data += 0.1
            changed.save_pretrained(version.parents[1] / folder)
        config = configured(version, model=str(version.parents[1] / folder))
        marks.add(reference.stamp(version, config, torch.float32, 256))
        marks.add(reference.stamp(version, config, torch.bfloat16, 256))
    assert len(marks) == 4


def test_a_reference_of_another_model_is_caught_at_the_first_step(version: Path) -> None:
    config = configured(version)
    mark = reference.stamp(version, config, torch.float32, 256)
    train(version, config, output=version / "../../first")
    kept = reference.read(version, mark, [])
    assert kept is not None
    reference.write(version, mark, {name: values * 1.5 for name, values in kept.items()})
    with pytest.raises(TrainingError, match="the first loss is .* where an untrained policy has ln 2"):
        train(version, configured(version, seed=5))


def test_a_loss_without_reference_measures_none(version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "measure", lambda *_, **__: pytest.fail("simpo needs no reference"))
    done = train(version, configured(version, loss=Loss(name="simpo")))
    assert "kl" not in lines(done)[0] and "rewards/margins" in lines(done)[0]


def test_stages_are_the_buckets_in_order_and_each_leaves_a_checkpoint(version: Path) -> None:
    seen = []
    done = train(version, configured(version, sft_epochs=1), on_stage=lambda stage, at: seen.append((stage, at)))
    assert [stage for stage, _ in seen] == [-1, 0, 1]
    assert seen[-1][1] == done and done.name == "step-000006-stage-1"
    assert [line["stage"] for line in lines(done)] == [-1] * 2 + [0] * 2 + [1] * 2
    assert all((at / policy.ADAPTER).is_file() for _, at in seen)
    summary = json.loads((done.parents[1] / "summary.json").read_text())
    assert summary["counts"]["pairs"] == 12 and len(summary["stages"]) == 3


def test_old_checkpoints_go_and_stage_ends_keep_only_the_policy(version: Path) -> None:
    done = train(version, configured(version, epochs=3, save_every=1, keep=2))
    kept = checkpoint.found(done.parents[1])
    assert [c.name for c in kept] == ["step-000006-stage-0", "step-000011", "step-000012-stage-1"]
    assert [(c / "trainer").is_dir() for c in kept] == [False, True, True]


def test_progress_counts_steps_and_every_pair_s_first_loss_is_kept(version: Path) -> None:
    progress = []
    done = train(version, configured(version, epochs=2), on_progress=lambda *at: progress.append(at))
    assert progress == [(n, 8) for n in range(9)]
    kept = lines(done, "samples.jsonl")
    assert sorted(row["pair_id"] for row in kept) == sorted(row["pair_id"] for row in all_pairs(samples()))
    first = [row for row in kept if row["step"] == 1]
    assert sum(row["loss"] for row in first) / len(first) == pytest.approx(lines(done)[0]["loss"])


def test_the_metrics_are_there_and_finite(version: Path) -> None:
    found = lines(train(version, configured(version)))[-1]
    wanted = {"loss", "grad_norm", "kl", "tokens", "scored_tokens", "tokens_per_second", "learning_rate", "pairs"}
    wanted |= {f"rewards/{part}" for part in ("chosen", "rejected", "margins", "accuracies")}
    wanted |= {"logps/chosen", "logps/rejected", "log_ratios/chosen"}
    assert wanted <= found.keys() and all(math.isfinite(found[name]) for name in wanted)
    assert found["rewards/margins"] == pytest.approx(found["rewards/chosen"] - found["rewards/rejected"])
    assert found["rewards/chosen"] == pytest.approx(0.1 * found["log_ratios/chosen"])
    assert found["kl"] > 0


def records(file: Path) -> list[bytes]:
    """The messages of a TFRecord file, both checksums checked."""
    content, found = file.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        assert content[8:12] == metrics._masked_crc(content[:8])
        message, checksum = content[12 : 12 + length], content[12 + length : 16 + length]
        assert checksum == metrics._masked_crc(message)
        found.append(message)
        content = content[16 + length :]
    return found


def test_tensorboard_finds_every_step(version: Path) -> None:
    # The check value of CRC-32C: the checksum of "123456789" is e3069283.
    rotated = ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert metrics._masked_crc(b"123456789") == struct.pack("<I", rotated)
    done = train(version, configured(version))
    (file,) = (done.parents[1] / "tensorboard").iterdir()
    head, *steps = records(file)
    assert head.endswith(b"brain.Event:2") and len(steps) == 4
    loss = lines(done)[2]["loss"]
    assert b"\n\ntrain/loss\x15" + struct.pack("<f", loss) in steps[2]


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_checkpoint(
    version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(version, save_every=1)
    scored = logps.Scorer.forward
    calls = []

    def broken(self: logps.Scorer, batch: logps.Batch) -> Tensor:
        # The first call measures the reference; the fourth belongs to step 3.
        calls.append(1)
        return scored(self, batch) * (math.nan if len(calls) == 4 else 1.0)

    monkeypatch.setattr(logps.Scorer, "forward", broken)
    with pytest.raises(TrainingError, match=r"step 3 of 4 has loss nan .* good checkpoint is .*step-000002-stage-0; "):
        train(version, config, output=version / "../../run")
    monkeypatch.undo()
    resumed = train(version, config, output=version / "../../run")
    assert equal(weights(resumed), weights(train(version, config, output=version / "../../whole")))


def test_transformers_and_peft_load_what_was_saved(version: Path) -> None:
    from peft import AutoPeftModelForCausalLM

    model = version.parents[1] / "model"
    base = AutoModelForCausalLM.from_pretrained(model)
    ids = torch.tensor([[1, 2, 3, 4]])
    adapted = AutoPeftModelForCausalLM.from_pretrained(train(version, configured(version)))
    assert not torch.allclose(adapted(ids).logits, base(ids).logits, atol=1e-2)
    full = train(version, configured(version, mode="full", learning_rate=1e-3))
    loaded, info = AutoModelForCausalLM.from_pretrained(full, output_loading_info=True, dtype=torch.float32)
    assert not any(info[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert 0 < (loaded(ids).logits - base(ids).logits).abs().max() < 10
    assert AutoTokenizer.from_pretrained(full).eos_token == "<end>"


def test_several_processes_make_the_same_steps_as_one(version: Path, tmp_path: Path) -> None:
    for mode in ("lora", "full"):
        config = configured(version, mode=mode, tokens_per_batch=60, learning_rate=1e-3)
        alone = train(version, config, output=tmp_path / f"{mode}-alone")
        run = KILLED.replace("int(sys.argv[4])", "0")
        (tmp_path / "run.py").write_text(run)
        shutil.rmtree(version.parent / "reference")
        arguments = [str(version), config.model_dump_json(), str(tmp_path / f"{mode}-two")]
        done = subprocess.run(
            [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=0", "--standalone"]
            + [str(tmp_path / "run.py"), *arguments],
            cwd=ROOT,
            env=ONE_THREAD,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        together = checkpoint.found(tmp_path / f"{mode}-two")[-1]
        for one, other in zip(lines(alone), lines(together), strict=True):
            assert other["loss"] == pytest.approx(one["loss"], abs=1e-4)
            assert other["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-2)
            assert other["pairs"] == one["pairs"]
        expected, found = weights(alone), weights(together)
        for name in expected:
            assert torch.allclose(expected[name], found[name], atol=2e-3), name
        sampled = [sorted(row["pair_id"] for row in lines(d, "samples.jsonl")) for d in (alone, together)]
        assert sampled[0] == sampled[1]


def test_nearly_equal_pairs_and_plain_dpo_are_warned_of(
    version: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = samples()
    pairs = all_pairs(rows)
    from curation.schema import PAIR_FEATURES

    empty = {
        field.name: None if field.nullable else {"string": "x", "double": 0.065, "int32": 1}.get(str(field.type), [])
        for field in PAIR_FEATURES.schema
    }
    features = [empty | {name: row[name] for name in ("pair_id", "problem_id", "split")} for row in pairs]
    alike = sealed(tmp_path / "alike", rows, pairs, place(pairs), features)
    config = configured(version)
    done = train(alike, config)
    assert "median edit distance of the pairs is 0.065" in caplog.text
    assert "0.065" in json.loads((done.parents[1] / "summary.json").read_text())["warnings"][0]
    caplog.clear()
    train(alike, configured(version, loss=Loss(name="dpop")))
    assert "edit distance" not in caplog.text


def test_a_falling_chosen_side_is_said_once() -> None:
    config = Training()
    watch = guards.FallingChosen()
    said = [watch.see(-2.0, config) for _ in range(2 * guards.WINDOW)]
    assert [index for index, line in enumerate(said) if line] == [guards.WINDOW - 1]
    assert "2.0 nats less likely than under the reference" in str(said[guards.WINDOW - 1])
    steady = guards.FallingChosen()
    assert not any(steady.see(0.5, config) for _ in range(50))


def test_longer_samples_after_training_are_said() -> None:
    assert guards.length_growth([100, 100], [110, 110]) is None
    assert "samples are 2.00 times as long as before training (200 tokens against 100)" in str(
        guards.length_growth([100], [200])
    )


def test_checkpointing_follows_free_memory(version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured(version)
    causal = AutoModelForCausalLM.from_pretrained(config.model)
    needed = memory.activation_bytes(causal, 1000)
    assert needed == 1000 * 2 * (24 * 32 + 6 * 48) * 4
    cpu = torch.device("cpu")
    monkeypatch.setattr(memory, "free_bytes", lambda _: 1 << 40)
    assert not memory.checkpointing_needed(config, causal, 1000, cpu)
    monkeypatch.setattr(memory, "free_bytes", lambda _: needed)
    assert memory.checkpointing_needed(config, causal, 1000, cpu)


def test_options_that_contradict_are_refused() -> None:
    with pytest.raises(ValidationError, match="mode full does not use lora"):
        Training(mode="full", lora=Lora(rank=4))
    with pytest.raises(ValidationError, match="sft_learning_rate is given and sft_epochs is 0"):
        Training(sft_learning_rate=1e-5)
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Training(larning_rate=1e-5)  # type: ignore[call-arg]


def test_a_model_that_is_not_there_is_one_line(version: Path) -> None:
    with pytest.raises(policy.ModelError, match="cannot load the model '/nowhere/model'") as caught:
        train(version, configured(version, model="/nowhere/model"))
    assert "\n" not in str(caught.value)

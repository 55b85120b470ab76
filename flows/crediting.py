"""`pairwright credit`: where in the tokens a preference sits, under the reference and under trained policies.

    <root>/<name>/credit/<version>-<key>/means.json            mean log-probability before, at, after the difference
    <root>/<name>/credit/<version>-<key>/token_rewards/        every completion's tokens with their implicit rewards

The reading (Pal et al. 2024, Section 5): DPO needs only the gap to grow, and where two sides differ early it may lower
what comes after the difference on the chosen side as well; DPOP holds that up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from curation import store
from curation.errors import UserError
from curation.schema import identify
from curation.store import Shard
from curation.vllm_sampler import fingerprint
from flows.calling import Call, plain
from flows.evaluating import parse_policy
from flows.training import resolved
from training import credit
from training.config import Lora, Training

BETA = 0.1


def credit_policies(
    version: Path, policies: Sequence[str], *, limit: int | None = None, call: Call = plain
) -> tuple[Path, list[dict[str, Any]]]:
    """The folder of what was measured and the rows of its means; `policies` are adapters' or runs' folders, or
    NAME=FOLDER.

    Raises:
        UserError: one holds no adapter, or they are not of one model and one shape.
    """
    named = dict(_named(policy) for policy in policies)
    config = _config({name: folder for name, folder in named.items()})
    beta = _beta(named)
    key = identify(config.model_dump(mode="json"), {n: fingerprint(f) for n, f in named.items()}, limit, beta)
    folder = version.parent / "credit" / f"{version.name}-{key}"
    means = folder / "means.json"
    if not means.is_file():

        def measure(on_progress: Any) -> credit.Credit:
            return credit.measure(version, config, named, limit=limit, on_progress=on_progress)

        found = call("score tokens", measure)
        store.write(folder, "token_rewards", found.rewards(beta), Shard(config.split))
        with store.replacing(means) as partial:
            described = {"version": str(version), "beta": beta, "pairs": len(found.pairs)}
            described |= {"policies": {name: str(at) for name, at in named.items()}}
            rows = [
                asdict(mean) | {"mean_logp": None if mean.tokens == 0 else mean.mean_logp} for mean in found.means()
            ]
            partial.write_text(json.dumps(described | {"means": rows}, indent=2) + "\n")
    rows = json.loads(means.read_text())["means"]
    return folder, rows


def _named(policy: str) -> tuple[str, Path]:
    """NAME and the folder of the adapter."""
    name, equals, folder = policy.partition("=") if not Path(policy).is_dir() else ("", "", "")
    parsed = parse_policy(folder if equals else policy)
    if parsed.adapter is None:
        raise UserError(f"{policy} holds no adapter: credit compares adapters with the model they were trained on")
    run = parsed.adapter.parents[1] if parsed.adapter.parent.name == "checkpoints" else parsed.adapter
    return (name if equals else f"{run.name}/{parsed.adapter.name}"), parsed.adapter


def _config(adapters: Mapping[str, Path]) -> Training:
    """The model and the shape that all of the adapters have.

    Raises:
        UserError: they differ.
    """
    shapes = {}
    for name, folder in adapters.items():
        described = json.loads((folder / "adapter_config.json").read_text())
        lora = Lora(rank=described["r"], alpha=described["lora_alpha"], targets=tuple(described["target_modules"]))
        shapes[name] = Training(model=described["base_model_name_or_path"], lora=lora)
    (first, config), *others = shapes.items()
    for name, other in others:
        if other != config:
            raise UserError(
                f"{first} and {name} are adapters of other models or shapes: give those of one model with one rank"
            )
    return resolved(config)


def _beta(adapters: Mapping[str, Path]) -> float:
    """The beta of the first run's loss, where it says; it scales the rewards and nothing else."""
    for folder in adapters.values():
        file = folder.parents[1] / "config.json"
        if folder.parent.name == "checkpoints" and file.is_file():
            loss = Training.model_validate(json.loads(file.read_text())["config"]).loss
            return loss.option("beta") if "beta" in loss.form.options else BETA
    return BETA


def show(folder: Path, rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print the means side by side, and where the rest lies."""
    drawn = Table(show_edge=False, box=None, padding=(0, 1, 0, 2))
    drawn.add_column("policy", min_width=24, overflow="fold")
    drawn.add_column("side")
    for part in credit.PARTS:
        drawn.add_column(part, justify="right", no_wrap=True)
    found = {(row["policy"], row["side"], row["part"]): row for row in rows}
    start = "reference"
    for policy in dict.fromkeys(row["policy"] for row in rows):
        for side in credit.SIDES:
            cells = []
            for part in credit.PARTS:
                row, reference = found[policy, side, part], found[start, side, part]
                moved = ""
                if policy != start and row["tokens"]:
                    moved = f" ({row['mean_logp'] - reference['mean_logp']:+.2f})"
                cells.append(f"{row['mean_logp']:.3f}{moved}" if row["tokens"] else "none")
            drawn.add_row(Text(policy if side == "chosen" else ""), side, *cells)
    console.print(
        "\n  mean log-probability a token in nats before, at and after the pairs' first difference\n"
        "  (in brackets: how far from the reference)\n"
    )
    console.print(drawn)
    console.print(f"\n  {folder / 'means.json'}", markup=False, soft_wrap=True)
    console.print(f"  rewards token by token: {folder / 'token_rewards'}", markup=False, soft_wrap=True)

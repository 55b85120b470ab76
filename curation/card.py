"""The dataset card: the README.md of a version, whose YAML tells the Hub and `datasets` which files are which table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import yaml

from curation.schema import TABLES

FILE = "README.md"
DEFAULT_TABLE = "pairs"
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10**7, "1M<n<10M"))

LIMITS = """\
- Chosen is better than rejected by the problem's own tests and by nothing else: a program may pass weak tests and be
  wrong, slow or ugly.
- The programs are model output. Run them only where untrusted code may run.
- A sample that the sandbox refused, or whose run failed for reasons of ours, takes neither side of a pair."""

LABEL_LIMITS = """\
- Chosen is better than rejected by the data set's own label and by nothing else. Nothing was run.
- A data set's errors are in its pairs: a wrong label prefers a wrong answer."""


# Leaves out what a rule pruned, and sorts the rest.
_IN_ORDER = (
    'position = dict(zip(places["pair_id"], places["position"]))',
    'order = [position[pair] for pair in pairs["pair_id"]]',
    "kept = [row for row, place in enumerate(order) if place is not None]",
    "pairs = pairs.select(sorted(kept, key=order.__getitem__))",
)


@dataclass(frozen=True)
class Files:
    """A configuration of the card: the files that `load_dataset(repo, name)` reads, their rows and bytes, by split."""

    name: str
    paths: Mapping[str, list[str]]
    schema: pa.Schema
    num_rows: Mapping[str, int]
    num_bytes: Mapping[str, int]


def render(
    manifest: Mapping[str, Any],
    *,
    extra: Iterable[Files] = (),
    default: str = DEFAULT_TABLE,
    repo_id: str | None = None,
    plots: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The card of a version from its manifest, plus configurations over files beside its tables.

    `default` is the configuration that `load_dataset(repo)` gives; `repo_id` is the repository it is published in;
    `plots` are pictures in it, title -> path.
    """
    tables = manifest["tables"]
    # datasets refuses a split of no rows, so a table has those it has rows in, and one without rows is only listed.
    files = [*extra, *(_of_table(table, entry) for table, entry in tables.items() if entry["num_rows"])]
    num_pairs = tables["pairs"]["num_rows"]
    licenses = sorted({source["license"] for source in manifest["sources"]})
    front = {
        "pretty_name": manifest["dataset"],
        "license": licenses[0].lower() if len(licenses) == 1 else "other",
        "language": ["en", "code"],
        "task_categories": ["text-generation"],
        "tags": ["dpo", "preference", "code", "execution-verified", "trl", "pairwright"],
        "size_categories": [next((name for limit, name in SIZES if num_pairs < limit), "10M<n<100M")],
        "configs": [_config(one, default) for one in files],
        "dataset_info": [_info(one) for one in files],
    }
    lines = ["---", yaml.safe_dump(front, sort_keys=False, allow_unicode=True).rstrip(), "---", ""]
    lines += [f"# {manifest['dataset']}, version {manifest['version']}", ""]
    lines += [f"{_what(manifest['config'])} Made with pairwright.", ""]
    lines += [*_how_made(manifest), *_how_to_load(manifest, files, default, repo_id)]
    lines += [f"![{title}]({path})\n" for title, path in plots.items()]
    lines += ["## Known limits", "", LABEL_LIMITS if _is_labelled(manifest["config"]) else LIMITS, ""]
    lines += ["## Tables", "", "| table | rows | what a row is |", "|---|---|---|"]
    lines += [f"| {table} | {tables[table]['num_rows']} | {TABLES[table].row} |" for table in tables] + [""]
    for table in tables:
        lines += [f"### {table}", "", "| column | what it holds |", "|---|---|"]
        lines += [f"| {name} | {TABLES[table].doc(name)} |" for name in TABLES[table].schema.names] + [""]
    lines += [f"Digest of the rows: `{manifest['digest']}`", ""]
    return "\n".join(lines)


def features(schema: pa.Schema) -> list[dict[str, Any]]:
    """The columns as `datasets` writes features into a card's YAML."""
    return [{"name": field.name} | _feature(field.type) for field in schema]


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(kind):
        inner = _feature(kind.value_type)
        return {"list": inner.get("dtype", inner.get("struct", inner))}
    if pa.types.is_struct(kind):
        return {"struct": [{"name": kind.field(i).name} | _feature(kind.field(i).type) for i in range(kind.num_fields)]}
    names = {pa.float64(): "float64", pa.float32(): "float32", pa.bool_(): "bool"}
    return {"dtype": names.get(kind, str(kind))}


def _of_table(table: str, entry: Mapping[str, Any]) -> Files:
    of: dict[str, list[Mapping[str, Any]]] = {}
    for shard in entry["shards"]:
        of.setdefault(shard["split"], []).append(shard)
    splits = [split for split in sorted(of) if any(shard["num_rows"] for shard in of[split])]
    return Files(
        table,
        {split: [f"{table}/{split}-*.parquet"] for split in splits},
        TABLES[table].schema,
        {split: sum(shard["num_rows"] for shard in of[split]) for split in splits},
        {split: sum(shard["num_bytes"] for shard in of[split]) for split in splits},
    )


def _config(files: Files, default: str) -> dict[str, Any]:
    data_files = [
        {"split": split, "path": paths[0] if len(paths) == 1 else paths} for split, paths in files.paths.items()
    ]
    return {"config_name": files.name, "data_files": data_files} | ({"default": True} if files.name == default else {})


def _info(files: Files) -> dict[str, Any]:
    return {
        "config_name": files.name,
        "features": features(files.schema),
        "splits": [
            {"name": split, "num_bytes": files.num_bytes[split], "num_examples": rows}
            for split, rows in files.num_rows.items()
        ],
        "download_size": sum(files.num_bytes.values()),
        "dataset_size": sum(files.num_bytes.values()),
    }


def _how_made(manifest: Mapping[str, Any]) -> list[str]:
    """What the version was made of and by: problems, model, sampling, pairs, rules, cut points, checks."""
    config, cuts = manifest["config"], manifest["cut_points"]
    generate, curriculum = config.get("generate", {}), config.get("curriculum", {})
    rules = [rule["rule"] for rule in curriculum.get("prune", [])]
    sources = [
        f"{one['source']} (revision `{one['source_revision'][:12]}`, {one['license']})" for one in manifest["sources"]
    ]
    sampling = {key: generate[key] for key in ("n", "temperature", "top_p", "max_tokens") if key in generate}
    code = manifest["code"]
    commit = str(code.get("commit") or "unknown")[:12]
    made = {
        "problems": ", ".join(sources),
        "model": generate.get("model"),
        "samples": ", ".join(f"{key} {value}" for key, value in sampling.items()),
        "pairs": config.get("pairs", {}).get("strategy"),
        "pruning rules": ", ".join(rules) or "none",
        "curriculum": f"{cuts.get('metric')}, buckets of {', '.join(map(str, cuts.get('pairs', [])))} pairs",
        "cut points": ", ".join(f"{value:.4g}" for value in cuts.get("values", [])) or "none",
        "chosen is longer": lengths_told(cuts.get("lengths", [])),
        "checks": f"{len(manifest['checks'])} queries, none found a bad row",
        "parent": f"version {manifest['parent']}" if manifest.get("parent") else "none",
        "made at": f"{manifest['created_at']}, Python {code['python']}, code {commit}",
    }
    rows = [f"| {name} | {cell(value)} |" for name, value in made.items() if value]
    return ["## How it was made", "", "| | |", "|---|---|", *rows, "", "The whole recipe is in `manifest.json`.", ""]


def _what(config: Mapping[str, Any]) -> str:
    if _is_labelled(config):
        return "Preference pairs of a labelled data set's right answers and wrong ones."
    return "Preference pairs of programs a model wrote, judged by unit tests."


def _is_labelled(config: Mapping[str, Any]) -> bool:
    return config.get("generate", {}).get("sampler") == "labelled"


def lengths_told(rows: Iterable[Mapping[str, Any]]) -> str:
    """How often and by how much chosen is the longer side, from the rows of reports/length_bias.sql; "" of no pairs."""
    told = []
    for row in rows:
        tokens = "" if row["mean_tokens_gap"] is None else f", {row['mean_tokens_gap']:+.1f} tokens"
        whose = "all pairs" if row["pairs_of"] == "all" else "those kept"
        gap = f"mean {row['mean_chars_gap']:+.1f} characters{tokens}"
        told.append(f"in {row['chosen_longer']:.1%} of {whose} ({gap})")
    return ", ".join(told)


def cell(value: object) -> str:
    """Text that cannot leave its cell: names of models and sources come from outside."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")


def _how_to_load(manifest: Mapping[str, Any], files: list[Files], default: str, repo_id: str | None) -> list[str]:
    where = repo_id or "<this folder or repository>"
    revision = f', revision="v{manifest["version"]}"' if repo_id else ""
    first = next((one for one in files if one.name == default), None)
    if first is None:  # a version without pairs: there is nothing to train on
        return []
    split = "train" if "train" in first.paths else next(iter(first.paths), "train")
    path = first.paths.get(split, [f"{default}/*.parquet"])[0]
    code = [f'pairs = load_dataset("{where}", "{default}", split="{split}"{revision})']
    if default == DEFAULT_TABLE:  # the tables alone: which pairs, and in what order, is the curriculum's to say
        code += [f'places = load_dataset("{where}", "curriculum", split="{split}"{revision})', *_IN_ORDER]
    lines = ["## How to load it", "", "```python", "from datasets import load_dataset", "", *code, "```", ""]
    lines += ["They have the columns `prompt`, `chosen` and `rejected` that TRL's DPOTrainer takes, and stand in the"]
    lines += ["curriculum's order:", "", "```python"]
    lines += ["from trl import DPOConfig, DPOTrainer", "", 'in_order = DPOConfig(train_sampling_strategy="sequential")']
    lines += ["DPOTrainer(model, args=in_order, train_dataset=pairs).train()", "```", ""]
    if repo_id:
        at = f"hf://datasets/{repo_id}@v{manifest['version']}"
        lines += ["```sql", f"-- in DuckDB\nSELECT count(*) FROM '{at}/{path}';", "```", ""]
    return lines

"""The dataset card: the README.md of a version, whose YAML tells the Hub and `datasets` which files are which table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from curation.schema import TABLES

FILE = "README.md"
DEFAULT_TABLE = "pairs"
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def render(manifest: Mapping[str, Any]) -> str:
    """The card of a version from its manifest."""
    tables = manifest["tables"]
    num_pairs = tables["pairs"]["num_rows"]
    licenses = sorted({source["license"] for source in manifest["sources"]})
    front = {
        "pretty_name": manifest["dataset"],
        "license": licenses[0].lower() if len(licenses) == 1 else "other",
        "task_categories": ["text-generation"],
        "tags": ["dpo", "preference", "code", "execution-verified", "trl", "pairwright"],
        "size_categories": [next((name for limit, name in SIZES if num_pairs < limit), "1M<n<10M")],
        "configs": [_config(table, tables[table]) for table in tables],
    }
    lines = ["---", yaml.safe_dump(front, sort_keys=False, allow_unicode=True).rstrip(), "---", ""]
    lines += [f"# {manifest['dataset']}, version {manifest['version']}", ""]
    lines += ["Preference pairs of programs a model wrote, judged by unit tests. Made with pairwright.", ""]
    lines += ["| table | rows | what a row is |", "|---|---|---|"]
    lines += [f"| {table} | {tables[table]['num_rows']} | {TABLES[table].row} |" for table in tables]
    lines += ["", "```python", "from datasets import load_dataset", ""]
    lines += ['pairs = load_dataset("<this folder or repository>", "pairs")', "```", ""]
    for table in tables:
        lines += [f"## {table}", "", "| column | what it holds |", "|---|---|"]
        lines += [f"| {name} | {TABLES[table].doc(name)} |" for name in TABLES[table].schema.names] + [""]
    lines += [f"Digest of the rows: `{manifest['digest']}`", ""]
    return "\n".join(lines)


def _config(table: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    splits = sorted({shard["split"] for shard in entry["shards"]})
    config: dict[str, Any] = {
        "config_name": table,
        "data_files": [{"split": split, "path": f"{table}/{split}-*.parquet"} for split in splits],
    }
    return config | ({"default": True} if table == DEFAULT_TABLE else {})

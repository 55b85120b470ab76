"""A sealed version in other people's tools: datasets by two ways, TRL's trainer, plain DuckDB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curation import store
from curation.schema import TABLES
from flows.build import build
from flows.config import parse


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = parse(
        {
            "dataset": "small",
            "problems": {"source": "builtin", "limit": 20, "shard_size": 8},
            "generate": {"sampler": "scripted", "n": 6},
            "pairs": {"strategy": "all_pairs"},
            "curriculum": {"prune": [{"rule": "near_identical_pairs", "params": {"max_edit_share": 0.1}}]},
        },
        "test",
    )
    sealed, made = build(recipe, tmp_path_factory.mktemp("data"))
    assert made
    return sealed


@pytest.mark.parametrize("table", TABLES)
def test_datasets_reads_the_folder_by_its_card_and_the_files_by_name(
    version: Path, table: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from datasets import get_dataset_config_names, load_dataset

    ours = store.read(version, table)
    if not ours.num_rows:
        assert table not in get_dataset_config_names(str(version)), "datasets cannot load what has no rows"
        return
    by_card = load_dataset(str(version), table, cache_dir=str(tmp_path))
    split = ours["split"][0].as_py()
    files = sorted(str(file) for file in (version / table).glob(f"{split}-*.parquet"))
    by_name = load_dataset("parquet", data_files={split: files}, cache_dir=str(tmp_path))
    key = TABLES[table].key
    assert "malformed" not in caplog.text
    assert [row for split in sorted(by_card) for row in by_card[split][key]] == ours[key].to_pylist()
    assert by_name[split].column_names == ours.column_names
    assert by_name[split].num_rows == sum(one == split for one in ours["split"].to_pylist())


def test_the_default_table_is_the_pairs(version: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    loaded = load_dataset(str(version), cache_dir=str(tmp_path))
    assert {"prompt", "chosen", "rejected"} <= set(loaded["train"].column_names)


def test_the_cards_own_code_gives_the_kept_pairs_in_training_order(version: Path) -> None:
    loading = (version / "README.md").read_text().split("```python\n")[1].split("```")[0]
    known: dict[str, Any] = {}
    exec(loading.replace("<this folder or repository>", str(version)), known)
    places = [row for row in store.read(version, "curriculum").to_pylist() if row["split"] == "train"]
    kept = sorted((row["position"], row["pair_id"]) for row in places if row["pruned_by"] is None)
    assert 1 < len(kept) < len(places), "some are pruned, else the code has nothing to leave out"
    assert known["pairs"]["pair_id"] == [pair for _, pair in kept]


@pytest.mark.slow
def test_trl_trains_on_the_pairs_unchanged(version: Path, tmp_path: Path) -> None:
    trl = pytest.importorskip("trl")
    from datasets import load_dataset
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from curation.embedded import embedded_model

    pairs = load_dataset(str(version), cache_dir=str(tmp_path))["train"]
    tokenizer = AutoTokenizer.from_pretrained(embedded_model())
    shape = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    # From a folder: TRL loads its reference model again from where the policy came from.
    LlamaForCausalLM(shape).save_pretrained(tmp_path / "tiny")
    settings = trl.DPOConfig(
        output_dir=str(tmp_path / "out"),
        max_steps=2,
        per_device_train_batch_size=2,
        report_to=[],
        use_cpu=True,
        bf16=False,
    )
    trainer = trl.DPOTrainer(
        model=str(tmp_path / "tiny"), args=settings, train_dataset=pairs, processing_class=tokenizer
    )
    outcome = trainer.train()
    assert outcome.global_step == 2 and 0 < outcome.training_loss < 10

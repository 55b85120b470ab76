"""Packed batches with shared prompts: the same log-probabilities, losses and gradients as plain padded rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.attention.varlen
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM

import tiny_policy
from tiny_policy import all_pairs, pair, place, samples, sealed
from training import attention, data, embedding, logps, policy
from training.config import Lora, Training
from training.data import Corpus, DataError, Pair, Unit
from training.losses import Loss

CPU = torch.device("cpu")
CONTEXT = 256


def configured(folder: Path, **options: Any) -> Training:
    return Training(model=str(tiny_policy.model_folder(folder)), device="cpu", dtype="float32", **options)


def read(version: Path, config: Training) -> Corpus:
    tokens = tiny_policy.tokenizer()
    return data.read(version, config, tokens, vocabulary=len(tokens), context=CONTEXT)


def units_of(corpus: Corpus) -> list[Unit]:
    return list(data._grouped(pair for pairs in corpus.stages for pair in pairs))


def padded_logps(model: Any, corpus: Corpus, names: Sequence[str]) -> dict[str, Tensor]:
    """The plain way: a row per completion, its prompt before it, padded on the right, all logits."""
    rows = [np.concatenate((corpus.prompts[corpus.group_of[name]], corpus.completions[name])) for name in names]
    longest = max(map(len, rows))
    ids = torch.tensor(np.array([np.pad(row, (0, longest - len(row))) for row in rows]), dtype=torch.long)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    logits = model(input_ids=ids, attention_mask=mask).logits.float()
    scored = F.log_softmax(logits[:, :-1], -1).gather(2, ids[:, 1:, None])[:, :, 0]
    return {
        name: scored[row, len(rows[row]) - len(corpus.completions[name]) - 1 : len(rows[row]) - 1]
        for row, name in enumerate(names)
    }


def plain_varlen(
    query: Tensor, key: Tensor, value: Tensor, cu_q: Tensor, cu_k: Tensor, *_: Any, scale: float | None, **__: Any
) -> Tensor:
    """What the CUDA kernel computes: causal per sequence, aligned at the bottom right. (tokens, heads, dim)"""
    outputs = []
    for i in range(len(cu_q) - 1):
        q, k, v = query[cu_q[i] : cu_q[i + 1]], key[cu_k[i] : cu_k[i + 1]], value[cu_k[i] : cu_k[i + 1]]
        k, v = (side.repeat_interleave(q.shape[1] // k.shape[1], 1) for side in (k, v))
        scores = torch.einsum("qhd,khd->hqk", q, k) * (scale or q.shape[-1] ** -0.5)
        visible = torch.ones(len(q), len(k), dtype=torch.bool).tril(len(k) - len(q))
        outputs.append(torch.einsum("hqk,khd->qhd", scores.masked_fill(~visible, -torch.inf).softmax(-1), v))
    return torch.cat(outputs)


@pytest.mark.parametrize("kernel", ["per_segment", "varlen"])
def test_packed_and_padded_agree_in_loss_and_in_every_gradient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: str
) -> None:
    config = configured(tmp_path / "model", mode="full")
    if kernel == "varlen":
        monkeypatch.setattr(torch.nn.attention.varlen, "varlen_attn", plain_varlen)
        monkeypatch.setattr(attention, "per_segment", attention._varlen)
    corpus = read(tiny_policy.version(tmp_path), config)
    scorer, _ = policy.load(config, CPU, torch.float32)
    batch = logps.collate(units_of(corpus), corpus, Loss(), CPU)
    token_logps = scorer(batch)
    reference = token_logps.detach() - 0.1
    loss = Loss()(batch.pair_logps(token_logps, reference)).mean()
    loss.backward()

    plain = AutoModelForCausalLM.from_pretrained(config.model, attn_implementation="eager", dtype=torch.float32)
    expected = padded_logps(plain, corpus, batch.completion_ids)
    together = torch.cat([expected[name] for name in batch.completion_ids])
    expected_loss = Loss()(batch.pair_logps(together, reference)).mean()
    expected_loss.backward()

    assert torch.allclose(token_logps, together, atol=1e-4)
    assert loss.item() == pytest.approx(expected_loss.item(), abs=1e-5)
    expected_gradients = {name: value.grad for name, value in plain.named_parameters()}
    for name, value in policy.trainable(scorer).items():
        expected_gradient = expected_gradients[name.removeprefix("causal.")]
        assert value.grad is not None and expected_gradient is not None
        assert (value.grad - expected_gradient).norm() <= 1e-4 * expected_gradient.norm() + 1e-7, name


def test_a_completion_s_logps_do_not_depend_on_what_stands_beside_it(tmp_path: Path) -> None:
    config = configured(tmp_path / "model")
    corpus = read(tiny_policy.version(tmp_path), config)
    scorer, _ = policy.load(config, CPU, torch.float32)
    units = units_of(corpus)
    together = logps.collate(units, corpus, Loss(), CPU)
    with torch.no_grad():
        packed = together.per_completion(scorer(together))
        for unit in units:
            alone = logps.collate([unit], corpus, Loss(), CPU)
            for name, values in alone.per_completion(scorer(alone)).items():
                assert torch.allclose(values, packed[name], atol=1e-5)


def test_a_frozen_head_gives_the_gradient_of_a_trainable_one(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    hidden, head, targets = torch.randn(7, 8), torch.randn(11, 8), torch.randint(11, (7,))
    grad = torch.randn(7)
    monkeypatch.setitem(logps.CHUNK_BYTES, "cpu", 4 * 11 * 3)

    def gradients(function: Callable[..., Tensor], train_head: bool) -> list[Tensor | None]:
        one, two = hidden.clone().requires_grad_(), head.clone().requires_grad_(train_head)
        function(one, two, targets).backward(grad)
        return [one.grad, two.grad]

    def plain(one: Tensor, two: Tensor, wanted: Tensor) -> Tensor:
        return F.log_softmax(one @ two.T, 1).gather(1, wanted[:, None])[:, 0]

    expected = gradients(plain, True)
    frozen, trained = gradients(logps.token_logps, False), gradients(logps.token_logps, True)
    assert torch.allclose(logps.token_logps(hidden, head, targets), plain(hidden, head, targets), atol=1e-5)
    assert frozen[1] is None and frozen[0] is not None and trained[0] is not None and trained[1] is not None
    assert torch.allclose(frozen[0], expected[0], atol=1e-5)
    assert torch.allclose(trained[0], expected[0], atol=1e-5)
    assert torch.allclose(trained[1], expected[1], atol=1e-5)


def test_the_head_never_holds_all_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    amax = Tensor.amax
    monkeypatch.setattr(Tensor, "amax", lambda self, *dim, **how: seen.append(len(self)) or amax(self, *dim, **how))
    monkeypatch.setitem(logps.CHUNK_BYTES, "cpu", 4 * 11 * 3)
    hidden, head, targets = torch.randn(7, 2), torch.randn(11, 2), torch.zeros(7, dtype=torch.long)
    with Watch() as made:
        logps.token_logps(hidden, head, targets)
    assert seen == [3, 3, 1] and max(one.numel() for one in made.tensors) == 3 * 11


class Watch(TorchDispatchMode):
    """Keeps every tensor that an operation gives."""

    def __init__(self) -> None:
        super().__init__()
        self.tensors: list[Tensor] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **(kwargs or {}))
        self.tensors.extend(one for one in (found if isinstance(found, tuple) else (found,)) if isinstance(one, Tensor))
        return found


def test_embedding_and_head_share_one_gradient_over_all_batches(tmp_path: Path) -> None:
    config = configured(tmp_path / "model", mode="full")
    corpus = read(tiny_policy.version(tmp_path), config)
    scorer, _ = policy.load(config, CPU, torch.float32)
    weight = scorer.causal.lm_head.weight
    assert scorer.causal.get_input_embeddings().weight is weight
    with Watch() as made:
        for unit in units_of(corpus):
            scorer(logps.collate([unit], corpus, Loss(), CPU)).sum().backward()
    assert weight.grad is not None
    kept = {one.untyped_storage().data_ptr() for one in made.tensors if one.shape == weight.shape}
    assert kept - {weight.data_ptr()} == {weight.grad.data_ptr()}


def test_an_embedding_has_its_base_s_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    plain = torch.nn.Embedding(7, 3, padding_idx=2)
    own = embedding.Embedding(7, 3, padding_idx=2, _weight=plain.weight.detach().clone())
    for world in (1, 2):
        monkeypatch.setattr(embedding.parallel, "world", lambda size=world: size)
        for ids in (torch.tensor([[1, 2, 2, 6, 1]]), torch.tensor([[5, 1]])):
            grad = torch.randn(*ids.shape, 3)
            for one in (plain, own):
                one(ids).backward(grad)
            assert own(ids).equal(plain(ids)) and plain.weight.grad is not None
            assert own.weight.grad is not None and torch.allclose(own.weight.grad, plain.weight.grad)


def test_the_prompt_and_each_completion_appear_once_however_many_pairs_use_them(tmp_path: Path) -> None:
    config = configured(tmp_path / "model")
    corpus = read(tiny_policy.version(tmp_path, num_prompts=1), config)
    (unit,) = units_of(corpus)
    batch = logps.collate([unit], corpus, Loss(), CPU)
    assert batch.num_pairs == 3 and len(batch.completion_ids) == 3
    lengths = [len(corpus.completions[name]) for name in batch.completion_ids]
    assert batch.input_ids.shape == (1, len(corpus.prompts[unit.group_id]) + sum(lengths) - 3)
    assert len(batch.targets) == sum(lengths)
    assert torch.cat([torch.tensor(corpus.completions[name]) for name in batch.completion_ids]).equal(
        batch.targets.int()
    )


def test_a_completion_of_one_token_needs_no_position(tmp_path: Path) -> None:
    rows = samples(1, 2)
    rows[0] |= {"token_ids": [5], "text": "&"}
    pairs = [pair(rows[0], rows[1])]
    config = configured(tmp_path / "model")
    corpus = read(sealed(tmp_path, rows, pairs, place(pairs, 1)), config)
    scorer, _ = policy.load(config, CPU, torch.float32)
    batch = logps.collate(units_of(corpus), corpus, Loss(), CPU)
    plain = AutoModelForCausalLM.from_pretrained(config.model, attn_implementation="eager", dtype=torch.float32)
    expected = padded_logps(plain, corpus, batch.completion_ids)
    assert torch.allclose(scorer(batch), torch.cat([expected[name] for name in batch.completion_ids]), atol=1e-4)


def test_sums_weigh_tokens_as_the_loss_says(tmp_path: Path) -> None:
    rows = samples(1, 2)
    rows[0] |= {"token_ids": [1, 2, 3, 9], "text": "x"}
    rows[1] |= {"token_ids": [1, 2, 4, 5, 6, 9], "text": "y"}
    pairs = [pair(rows[0], rows[1])]
    corpus = Corpus(
        {"g": np.array([7, 8], np.int32)},
        {row["completion_id"]: np.array(row["token_ids"], np.int32) for row in rows},
        dict.fromkeys([row["completion_id"] for row in rows], "g"),
        (),
        {},
    )
    unit = Unit("g", (Pair(pairs[0]["pair_id"], "g", rows[0]["completion_id"], rows[1]["completion_id"]),))
    values = torch.tensor([1.0, 2, 4, 8, 16, 32, 64, 128, 256, 512])
    for loss, sums, counted in [
        (Loss(), [15, 1008], [4, 6]),
        (Loss(name="step_dpo"), [12, 960], [2, 4]),
        (Loss(name="ld_dpo", ld_alpha=0.5), [15, 16 + 32 + 64 + 128 + (256 + 512) / 2], [4, 6]),
        (Loss(name="focused_dpo", focus=2), [15 + 4, 1008 + 64 + 128 + 256], [4, 6]),
    ]:
        batch = logps.collate([unit], corpus, loss, CPU)
        assert batch.pair_sums(values).tolist() == sums, loss.name
        assert batch.side_tokens.tolist() == counted, loss.name


def test_units_fill_batches_up_to_the_budget_and_big_ones_are_split_by_pairs(tmp_path: Path) -> None:
    config = configured(tmp_path / "model")
    corpus = read(tiny_policy.version(tmp_path, per_prompt=4, num_prompts=6), config)
    units = units_of(corpus)
    for budget in (20, 60, 100, 10_000):
        filled = data.batches(units, corpus, budget)
        assert [p for batch in filled for unit in batch for p in unit.pairs] == [
            p for unit in units for p in unit.pairs
        ]
        for batch in filled:
            assert sum(map(corpus.tokens, batch)) <= budget or len(batch) == len(batch[0].pairs) == 1
    assert len(data.batches(units, corpus, 10_000)) == 1


def test_steps_follow_position_and_stages_follow_buckets(tmp_path: Path) -> None:
    config = configured(tmp_path / "model", grouping="step", pairs_per_step=5)
    version = tiny_policy.version(tmp_path)
    steps = data.plan(read(version, config), config)
    expected = [row["pair_id"] for row in all_pairs(samples())]
    for step, start in zip(steps, (0, 5, 6, 11), strict=True):
        in_step = [p.pair_id for unit in step.units for p in unit.pairs]
        assert set(in_step) == set(expected[start : start + len(in_step)])
    assert [(step.stage, step.num_pairs, step.ends_stage) for step in steps] == [
        (0, 5, False),
        (0, 1, True),
        (1, 5, False),
        (1, 1, True),
    ]


def test_the_shuffled_baseline_has_the_same_pairs_in_as_many_steps_and_another_order(tmp_path: Path) -> None:
    config = configured(tmp_path / "model", pairs_per_step=2, epochs=2)
    corpus = read(tiny_policy.version(tmp_path, num_prompts=12), config)
    steps = data.plan(corpus, config)
    shuffled = data.plan(corpus, config.model_copy(update={"order": "shuffled", "seed": 3}))
    drawn = [sorted(p.pair_id for unit in step.units for p in unit.pairs) for step in shuffled]
    straight = [sorted(p.pair_id for unit in step.units for p in unit.pairs) for step in steps]
    assert [(s.stage, s.epoch, s.ends_stage) for s in steps] == [(s.stage, s.epoch, s.ends_stage) for s in shuffled]
    assert sorted(sum(drawn, [])) == sorted(sum(straight, [])) and drawn != straight
    assert drawn[: len(drawn) // 2] != drawn[len(drawn) // 2 :]


def test_the_likelihood_stage_reads_each_chosen_completion_once(tmp_path: Path) -> None:
    config = configured(tmp_path / "model", sft_epochs=1, pairs_per_step=100)
    corpus = read(tiny_policy.version(tmp_path), config)
    first = data.plan(corpus, config)[0]
    chosen = [p.chosen for unit in first.units for p in unit.pairs]
    assert first.stage == -1 and len(chosen) == len(set(chosen)) == 8
    batch = logps.collate(first.units, corpus, Loss(name="sft"), CPU)
    assert len(batch.completion_ids) == 8


def test_text_without_tokens_is_tokenized_counted_and_ended_unless_it_was_cut_off(tmp_path: Path) -> None:
    rows = [row | {"token_ids": None} for row in samples(1, 2)]
    pairs = [pair(rows[0], rows[1])]
    corpus = read(sealed(tmp_path, rows, pairs, place(pairs, 1)), configured(tmp_path / "model"))
    assert corpus.counts["tokenized_from_text"] == 2
    with_tokens = samples(1, 2)
    for row in with_tokens:
        assert corpus.completions[row["completion_id"]].tolist() == row["token_ids"]


def test_pruned_pairs_are_counted_and_left_out(tmp_path: Path) -> None:
    rows = samples()
    pairs = all_pairs(rows)
    version = sealed(tmp_path, rows, pairs, place(pairs, 2, pruned=[pairs[0]["pair_id"], pairs[7]["pair_id"]]))
    corpus = read(version, configured(tmp_path / "model"))
    assert (corpus.counts["pruned"], corpus.counts["pairs"]) == (2, 10)
    assert pairs[0]["pair_id"] not in {p.pair_id for stage in corpus.stages for p in stage}


def test_a_pair_longer_than_the_limit_is_dropped_or_cut_and_counted(tmp_path: Path) -> None:
    version = tiny_policy.version(tmp_path)
    config = configured(tmp_path / "model", max_length=30)
    dropped = read(version, config)
    assert dropped.counts["too_long_dropped"] > 0
    assert dropped.counts["pairs"] + dropped.counts["too_long_dropped"] == 12
    cut = read(version, replace_config(config, too_long="truncate"))
    assert cut.counts["pairs"] == 12 and cut.counts["truncated"] > 0
    longest = max(len(cut.prompts[cut.group_of[name]]) + len(ids) for name, ids in cut.completions.items())
    assert longest == 30


def replace_config(config: Training, **options: Any) -> Training:
    return config.model_copy(update=options)


def test_a_version_without_pairs_says_what_became_of_them(tmp_path: Path) -> None:
    rows = samples()
    pairs = all_pairs(rows)
    version = sealed(tmp_path, rows, pairs, place(pairs, 1, pruned=[row["pair_id"] for row in pairs]))
    with pytest.raises(DataError, match=r"no pair to train on in split 'train' \(pruned 12, tokenized_from_text 0\)"):
        read(version, configured(tmp_path / "model"))


def test_an_empty_bucket_is_left_out_with_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = samples()
    pairs = all_pairs(rows)
    curriculum = [row | {"bucket": row["bucket"] * 2} for row in place(pairs, 2)]
    corpus = read(sealed(tmp_path, rows, pairs, curriculum), configured(tmp_path / "model"))
    assert len(corpus.stages) == 2
    assert "bucket 1 of" in caplog.text and "is empty" in caplog.text


def test_tokens_beyond_the_model_s_vocabulary_are_refused(tmp_path: Path) -> None:
    rows = samples(1, 2)
    rows[0]["token_ids"] = [5, 4000]
    pairs = [pair(rows[0], rows[1])]
    version = sealed(tmp_path, rows, pairs, place(pairs, 1))
    with pytest.raises(DataError, match="holds token 4000, the model has 257"):
        read(version, configured(tmp_path / "model"))


def test_tokens_that_read_as_another_text_are_refused(tmp_path: Path) -> None:
    rows = [row | {"text": f"{row['text']} said otherwise"} for row in samples()]
    pairs = all_pairs(rows)
    version = sealed(tmp_path, rows, pairs, place(pairs))
    with pytest.raises(DataError, match="not of this model's vocabulary .8 of 8 read as another text."):
        read(version, configured(tmp_path / "model"))


def test_adapters_start_as_the_base_model_and_agree_with_peft(tmp_path: Path) -> None:
    from peft import PeftModel

    config = configured(tmp_path / "model", lora=Lora(rank=4, alpha=10))
    corpus = read(tiny_policy.version(tmp_path), config)
    scorer, tokens = policy.load(config, CPU, torch.float32)
    batch = logps.collate(units_of(corpus), corpus, Loss(), CPU)
    plain = AutoModelForCausalLM.from_pretrained(config.model, attn_implementation="eager", dtype=torch.float32)
    base = padded_logps(plain, corpus, batch.completion_ids)
    assert torch.allclose(scorer(batch), torch.cat(list(base.values())), atol=1e-4)

    with torch.no_grad():
        for name, value in policy.trainable(scorer).items():
            if name.endswith("lora_B"):
                value.normal_(std=0.1)
    (tmp_path / "adapter").mkdir()
    policy.save(
        tmp_path / "adapter", scorer, tokens, config, {k: v.detach() for k, v in policy.trainable(scorer).items()}
    )
    adapted = padded_logps(PeftModel.from_pretrained(plain, tmp_path / "adapter"), corpus, batch.completion_ids)
    ours = scorer(batch)
    assert not torch.allclose(ours, torch.cat(list(base.values())), atol=1e-2)
    assert torch.allclose(ours, torch.cat(list(adapted.values())), atol=1e-4)


def test_a_target_that_is_no_linear_layer_is_refused(tmp_path: Path) -> None:
    config = configured(tmp_path / "model", lora=Lora(targets=("q_projj",)))
    with pytest.raises(policy.ModelError, match="q_projj: the linear layers here are down_proj, gate_proj"):
        policy.load(config, CPU, torch.float32)


def test_attention_that_packing_cannot_do_is_refused() -> None:
    segments = attention.segments_of([[3, 4]], CPU)
    q = torch.zeros(1, 2, 7, 4)
    module = torch.nn.Identity()
    with pytest.raises(ValueError, match="attends to 5 tokens only"):
        attention.packed_attention(module, q, q, q, None, segments=segments, sliding_window=5)
    with pytest.raises(ValueError, match="caps its attention scores"):
        attention.packed_attention(module, q, q, q, None, segments=segments, softcap=30.0)
    assert attention.packed_attention(module, q, q, q, None, segments=replace(segments))[0].shape == (1, 7, 2, 4)

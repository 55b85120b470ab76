"""Evaluation: pass@k and intervals by hand, benchmarks by name and by file, scores per problem, resuming."""

from __future__ import annotations

import json
import math
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import evaluation as scoring
from conftest import completion, execution, problem, shared_data
from curation import store
from curation.errors import UserError
from curation.execute import Execution
from curation.sampling import Sampling
from curation.schema import DECLARED, TABLES
from curation.vllm_sampler import asks_in_chat
from flows import benchmarks, evaluating, overlap, scores
from flows.config import ConfigError, Evaluation, evaluation_of, load

SCRIPTED = Evaluation(benchmarks=("builtin",), limit=2, sampling=Sampling(sampler="scripted", n=10))


def test_pass_at_k_is_the_share_of_draws_that_hold_a_solution() -> None:
    assert scoring.pass_at_k(5, 2, 1) == pytest.approx(0.4)
    assert scoring.pass_at_k(5, 2, 2) == pytest.approx(1 - math.comb(3, 2) / math.comb(5, 2))
    assert scoring.pass_at_k(5, 0, 5) == 0 and scoring.pass_at_k(5, 5, 1) == 1 and scoring.pass_at_k(4, 1, 4) == 1
    with pytest.raises(ValueError, match="pass@3 needs at least 3 samples"):
        scoring.pass_at_k(2, 1, 3)


@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_equals_counting_every_draw(case: tuple[int, int, int]) -> None:
    n, c, k = case
    draws = list(combinations([True] * c + [False] * (n - c), k))
    assert scoring.pass_at_k(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_an_interval_has_the_width_of_its_standard_error() -> None:
    # 100 problems, half of them solved: the mean's standard error is sqrt(0.25 / 100) = 0.05.
    found = scoring.estimate("pass@1", {str(i): float(i % 2) for i in range(100)})
    assert (found.mean, found.problems) == (0.5, 100)
    assert found.low == pytest.approx(0.5 - 1.96 * 0.05, abs=0.011)
    assert found.high == pytest.approx(0.5 + 1.96 * 0.05, abs=0.011)


def test_a_constant_has_no_width_and_the_same_seed_the_same_interval() -> None:
    flat = scoring.estimate("pass@1", {"a": 0.25, "b": 0.25})
    assert (flat.low, flat.mean, flat.high) == (0.25, 0.25, 0.25)
    values = {str(i): i**0.5 for i in range(90)}
    assert scoring.estimate("x", values) == scoring.estimate("x", values)
    assert scoring.estimate("x", values) != scoring.estimate("x", values, seed=1)


def test_pairing_sees_a_small_gain_on_problems_of_very_different_difficulty() -> None:
    draw = np.random.default_rng(0)
    base = {str(i): float(value) for i, value in enumerate(draw.uniform(0, 0.9, 60))}
    other = {name: value + 0.05 for name, value in base.items()}
    found = scoring.compare("pass@1", base, other)
    assert found.mean == pytest.approx(0.05) and found.low == pytest.approx(0.05) and found.p_value < 0.001
    # Side by side, the intervals of the two overlap by far.
    assert scoring.estimate("pass@1", base).high > scoring.estimate("pass@1", other).low


def test_equal_models_differ_by_nothing_and_models_without_a_common_problem_cannot_be_compared() -> None:
    same = scoring.compare("pass@1", {"a": 0.5, "b": 0.1}, {"b": 0.1, "a": 0.5})
    assert (same.mean, same.low, same.high, same.p_value) == (0, 0, 0, 1)
    assert scoring.compare("pass@1", {"a": 0.0, "b": 0.0}, {"a": 1.0, "c": 0.0}).problems == 1
    with pytest.raises(ValueError, match="no problem in common"):
        scoring.compare("pass@1", {"a": 1.0}, {"b": 1.0})


def test_the_p_value_of_a_coin_is_near_its_exact_one() -> None:
    # 7 of 10 problems gained, 3 lost by as much: a draw turns out at or below zero when at most 5 of its ten picks are
    # gains: P(Binomial(10, 0.7) <= 5) = 0.1503. Two-sided 0.3006; the 10,000 draws leave an error of 0.007.
    base, other = {str(i): 0.0 for i in range(10)}, {str(i): 1.0 if i > 2 else -1.0 for i in range(10)}
    assert scoring.compare("x", base, other).p_value == pytest.approx(0.3006, abs=0.02)


def test_seeds_are_averaged_per_problem() -> None:
    assert scoring.over_seeds([{"a": 0.0, "b": 1.0}, {"a": 1.0, "b": 1.0}, {"a": 1.0}]) == {
        "a": pytest.approx(2 / 3),
        "b": 1.0,
    }


def scored(completions: list[dict[str, Any]], executions: list[dict[str, Any]]) -> dict[str, Any]:
    described = dict.fromkeys(("evaluation_id", "benchmark", "model", "model_revision", "adapter", "adapter_revision"))
    (row,) = evaluating.score(described, [problem("p")], completions, executions)
    return row


def test_a_refused_sample_counts_as_a_failure_and_stays_among_n() -> None:
    p = problem("p")["problem_id"]
    samples = [completion(p, index, text=str(index)) for index in range(4)]
    verdicts = [
        {"status": "passed", "score": 1.0},
        {"status": "wrong", "score": 0.5},
        # Two of three tests had passed when a fault of ours ended the run: that is evidence of nothing.
        {"status": "infra_error", "score": 2 / 3},
        {"status": "refused", "score": 0.0},
    ]
    row = scored(samples, [execution(s["completion_id"], p, **v) for s, v in zip(samples, verdicts, strict=True)])
    assert (row["num_samples"], row["num_solved"], row["num_no_evidence"]) == (4, 1, 2)
    assert row["mean_score"] == pytest.approx(1.5 / 4)


def test_a_problem_without_samples_scores_nothing() -> None:
    row = scored([], [])
    assert (row["num_samples"], row["num_solved"], row["mean_score"], row["mean_tokens"]) == (0, 0, 0.0, None)


def test_cut_samples_are_counted_and_lengths_averaged() -> None:
    p = problem("p")["problem_id"]
    samples = [
        completion(p, 0, num_tokens=10, finish_reason="length"),
        completion(p, 1, num_tokens=20, text="b"),
    ]
    row = scored(samples, [execution(sample["completion_id"], p) for sample in samples])
    assert (row["num_cut"], row["mean_tokens"], row["mean_score"]) == (1, 15.0, 1.0)


def test_benchmarks_stand_for_their_held_out_split(tmp_path: Path) -> None:
    assert len(benchmarks.benchmark_problems("builtin")) == 12
    assert {row["split"] for row in benchmarks.benchmark_problems("builtin:train")} == {"train"}
    assert len(benchmarks.benchmark_problems("humaneval")) == 164
    assert [row["task_id"] for row in benchmarks.benchmark_problems("humaneval", skip=2, limit=2)] == [
        "HumanEval/2",
        "HumanEval/3",
    ]


def test_a_file_is_told_by_its_keys(tmp_path: Path) -> None:
    own = tmp_path / "own.jsonl"
    own.write_text(json.dumps({"task_id": "a", "prompt": "f", "entry_point": "f", "tests": ["assert f() == 1"]}))
    assert [row["task_id"] for row in benchmarks.benchmark_problems(str(own))] == ["a"]
    mbpp = tmp_path / "mbpp.jsonl"
    record = {"text": "Write f.", "code": "def f():\n    return 1", "test_list": ["assert f() == 1"]}
    mbpp.write_text("".join(json.dumps(record | {"task_id": number}) + "\n" for number in (5, 11, 12, 601)))
    assert [row["task_id"] for row in benchmarks.benchmark_problems(str(mbpp))] == ["MBPP/11", "MBPP/12"]
    assert [row["task_id"] for row in benchmarks.benchmark_problems(f"{mbpp}:train")] == ["MBPP/601"]


def test_mbpp_s_test_split_is_five_hundred_problems() -> None:
    assert len(benchmarks.benchmark_problems(str(shared_data("mbpp/mbpp.jsonl.gz")))) == 500


def test_the_debugging_problems_hold_a_bug_their_tests_catch_and_a_reference_that_passes() -> None:
    from sandbox.pool import run_many
    from sandbox.verdict import Program, Test

    rows = benchmarks.benchmark_problems("debugging")
    assert len(rows) == 77
    programs = []
    for row in rows:
        buggy = row["prompt"].split("```python\n")[1].split("```")[0]
        for kind, source in (("buggy", buggy), ("right", row["reference_solution"])):
            tests = tuple(Test(**test) for test in row["tests"])
            key = kind + row["task_id"]
            programs.append(Program(source, row["kind"], tests, row["entry_point"] or "", row["setup"], key))
    for program, result in zip(programs, run_many(programs), strict=True):
        assert (result.status == "passed") == program.key.startswith("right"), (program.key, result.status)


@pytest.mark.parametrize(
    ("benchmark", "skip", "said"),
    [
        ("humanevil", 0, "benchmark 'humanevil' is neither a file nor one of humaneval, mbpp, builtin, debugging"),
        ("builtin", 12, "benchmark builtin has 12 problems, none is left after the first 12"),
        ("builtin:validation", 0, "holds no problem in split 'validation'"),
    ],
)
def test_a_benchmark_that_is_not_there_is_one_line(benchmark: str, skip: int, said: str) -> None:
    with pytest.raises(UserError) as refusal:
        benchmarks.benchmark_problems(benchmark, skip=skip)
    assert said in str(refusal.value) and "\n" not in str(refusal.value)


def test_an_evaluation_leaves_a_row_per_problem_and_a_second_one_samples_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = evaluating.Policy("someone", "someone")
    (result,) = evaluating.evaluate([policy], SCRIPTED, tmp_path)["builtin"]
    rows = store.read(result.folder, "evaluations").to_pylist()
    # The script is right in two of five answers.
    assert [(row["num_samples"], row["num_solved"]) for row in rows] == [(10, 4), (10, 4)]
    assert result.metrics()["pass@1"] == {row["problem_id"]: 0.4 for row in rows}
    assert store.read(result.folder, "completions").num_rows == 20
    monkeypatch.setattr(overlap, "generate_completions", lambda *_, **__: pytest.fail("sampled again"))
    (again,) = evaluating.evaluate([policy], SCRIPTED, tmp_path)["builtin"]
    assert again == result


def test_a_killed_evaluation_goes_on_from_its_completions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = evaluating.Policy("someone", "someone")

    def die(folder: Path, config: Any, *, arriving: Any, **_: Any) -> int:
        for shard in arriving.values():
            shard.result()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(overlap, "execute_completions", die)
        with pytest.raises(KeyboardInterrupt):
            evaluating.evaluate([policy], SCRIPTED, tmp_path)
    monkeypatch.setattr(overlap, "generate_completions", lambda *_, **__: pytest.fail("sampled again"))
    (result,) = evaluating.evaluate([policy], SCRIPTED, tmp_path)["builtin"]
    assert len(result.rows) == 2


def test_another_sandbox_takes_the_completions_over_and_another_seed_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = evaluating.Policy("someone", "someone")
    (first,) = evaluating.evaluate([policy], SCRIPTED, tmp_path)["builtin"]
    seeded = SCRIPTED.model_copy(update={"sampling": SCRIPTED.sampling.model_copy(update={"seed": 5})})
    (other,) = evaluating.evaluate([policy], seeded, tmp_path)["builtin"]
    assert other.folder != first.folder
    monkeypatch.setattr(overlap, "generate_completions", lambda *_, **__: pytest.fail("sampled again"))
    limited = SCRIPTED.model_copy(update={"execute": Execution(steps=5000)})
    (judged,) = evaluating.evaluate([policy], limited, tmp_path)["builtin"]
    assert judged.folder != first.folder and len(judged.rows) == 2


def test_policies_are_compared_with_the_first(tmp_path: Path) -> None:
    policies = [evaluating.Policy(name, name) for name in ("one", "two")]
    found = evaluating.evaluate(policies, SCRIPTED, tmp_path)
    rows = {(row["policy"], row["metric"]): row for row in scores.table(found)}
    assert rows["one", "pass@1"]["difference"] is None
    assert (rows["two", "pass@1"]["difference"], rows["two", "pass@1"]["p_value"]) == (0, 1)
    assert rows["two", "pass@10"]["mean"] == 1


def adapter(folder: Path, base: str | None = "some/model") -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
    return folder


def test_a_policy_is_named_in_five_ways(tmp_path: Path) -> None:
    run = tmp_path / "run"
    last = adapter(run / "checkpoints" / "step-000004-stage-1")
    with pytest.raises(UserError, match="the training run .* is not finished"):
        evaluating.parse_policy(str(run))
    (run / "summary.json").write_text(json.dumps({"checkpoint": "checkpoints/step-000004-stage-1"}))
    model = tmp_path / "model"
    model.mkdir()
    found = [evaluating.parse_policy(text) for text in ("embedded", str(model), str(last), str(run), f"embedded+{run}")]
    assert [(policy.model, policy.adapter) for policy in found] == [
        ("embedded", None),
        (str(model), None),
        ("some/model", last),
        ("some/model", last),
        ("embedded", last),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("./gone", "no folder ./gone: give a model's or an adapter's folder"),
        ("embedded+gone", "gone holds no adapter (no adapter_config.json)"),
        ("{tmp}/nameless", "does not name its model: give MODEL+"),
    ],
)
def test_a_policy_that_is_not_there_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    adapter(tmp_path / "nameless", None)
    with pytest.raises(UserError) as refusal:
        evaluating.parse_policy(text.format(tmp=tmp_path))
    assert said in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_sampler_that_loads_no_weights_takes_no_adapter(tmp_path: Path) -> None:
    policy = evaluating.Policy("it", "embedded", adapter(tmp_path / "adapter"))
    with pytest.raises(UserError, match="sampler scripted takes no adapter"):
        evaluating.evaluate([policy], SCRIPTED, tmp_path)


def test_a_tokenizer_without_chat_template_is_asked_to_continue_or_refused() -> None:
    plain, chatty = SimpleNamespace(chat_template=None), SimpleNamespace(chat_template="{{ messages }}")
    asked = {prompt: Sampling(prompt=prompt) for prompt in ("auto", "chat", "completion")}
    assert [asks_in_chat(asked["auto"], one) for one in (plain, chatty)] == [False, True]
    assert not asks_in_chat(asked["completion"], chatty) and asks_in_chat(asked["chat"], chatty)
    with pytest.raises(ValueError, match="prompt chat needs a chat template and the tokenizer has none"):
        asks_in_chat(asked["chat"], plain)


def test_options_of_the_command_lie_over_the_recipe() -> None:
    recipe = load(None, ["evaluation.sampling.max_tokens=64", "evaluation.limit=7"])
    found = evaluation_of(recipe, n=3, temperature=None, benchmarks=("mbpp",), limit=None)
    assert (found.sampling.n, found.sampling.max_tokens, found.limit, found.benchmarks) == (3, 64, 7, ("mbpp",))
    assert evaluation_of(load(None)).sampling.n == 10
    with pytest.raises(ConfigError, match="sampling.n: input should be greater than or equal to 1"):
        evaluation_of(recipe, n=0)


def test_tables_beside_a_version_are_declared_with_a_sentence_for_every_column() -> None:
    beside = {name: table for name, table in DECLARED.items() if name not in TABLES}
    assert set(beside) == {"evaluations", "token_rewards"}
    for table in beside.values():
        assert all(len(table.doc(column).split()) > 2 for column in table.schema.names)

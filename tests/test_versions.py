import json

import pytest

from analysis import versions
from analysis.merge import MergeError, merge
from curation import manifest, retention, store, workspace
from curation.errors import UserError
from curation.schema import TABLES
from curation.store import Shard
from literal_rows import completion, execution, pair, pair_feature, placed, plant, problem

CUTS = {"pairs": [1, 1]}


def sealed(root, number_of_tables, *, config=None, parent=None, links=None, **rows):
    """Seal a version of `demo` whose tables are `rows`, the others empty."""
    work = plant(root / "work" / str(number_of_tables), **({name: [] for name in TABLES} | rows))
    return manifest.seal(work, root, "demo", config=config or {}, keys={}, cut_points=CUTS, checks={}, parent=parent)


def two_versions(root):
    old = {
        "problems": [problem("q")],
        "executions": [execution("a", wall_ms=1.0), execution("b", passed=0)],
        "pair_features": [pair_feature("p", edit_distance=2), pair_feature("r", edit_distance=4)],
        "curriculum": [placed("p", position=0, bucket=0), placed("r", pruned_by="length_outliers")],
    }
    new = old | {
        "executions": [execution("a", wall_ms=9.0), execution("c")],
        "curriculum": [placed("p", pruned_by="saturated_problems"), placed("r", position=0, bucket=0)],
    }
    first = sealed(root, 1, config={"pairs": {"seed": 0}, "n": 4}, **old)
    return first, sealed(root, 2, config={"pairs": {"seed": 1}, "n": 4}, parent=1, **new)


def test_rows_added_removed_and_changed_by_key(tmp_path):
    rows = {row["table"]: row for row in versions.diff_rows(*two_versions(tmp_path)).to_pylist()}
    # Other milliseconds are no other row.
    assert rows["executions"] == {"table": "executions", "added": 1, "removed": 1, "changed": 0, "same": 1}
    assert rows["curriculum"] == {"table": "curriculum", "added": 0, "removed": 0, "changed": 2, "same": 0}
    assert rows["problems"] == {"table": "problems", "added": 0, "removed": 0, "changed": 0, "same": 1}
    assert list(rows) == list(TABLES)


def test_a_version_does_not_differ_from_itself(tmp_path):
    first, _ = two_versions(tmp_path)
    for row in versions.diff_rows(first, first).to_pylist():
        assert (row["added"], row["removed"], row["changed"]) == (0, 0, 0)
    for difference in (versions.diff_measures, versions.diff_config):
        assert difference(first, first).num_rows == 0


def test_measures_shift_with_the_pairs_that_are_trained_on(tmp_path):
    assert versions.diff_measures(*two_versions(tmp_path)).to_pylist() == [
        {"measure": "edit_distance", "mean": 2.0, "new_mean": 4.0, "median": 2.0, "new_median": 4.0}
    ]


def test_rules_and_settings_side_by_side(tmp_path):
    first, second = two_versions(tmp_path)
    assert versions.diff_rules(first, second).to_pylist() == [
        {"rule": "length_outliers", "before": 1, "after": None},
        {"rule": "saturated_problems", "before": None, "after": 1},
    ]
    assert versions.diff_config(first, second).to_pylist() == [{"setting": "pairs.seed", "before": "0", "after": "1"}]


def test_versions_are_listed_with_what_they_hold(tmp_path):
    two_versions(tmp_path)
    first, second = versions.list_versions(tmp_path, "demo").to_pylist()
    assert (first["version"], first["parent"], second["parent"]) == (1, None, 1)
    assert (second["problems"], second["pairs"], second["trained"]) == (1, 0, 2)
    assert 0 < first["own_bytes"] <= first["bytes"]
    assert versions.list_versions(tmp_path, "absent").num_rows == 0


def test_files_that_two_versions_share_are_nobodys_own(tmp_path):
    first, second = two_versions(tmp_path)
    [before, _] = versions.list_versions(tmp_path, "demo").to_pylist()
    file = next((first / "problems").iterdir())
    (second / "problems" / file.name).unlink()
    manifest.link(file, second / "problems" / file.name)
    [after, _] = versions.list_versions(tmp_path, "demo").to_pylist()
    assert after["bytes"] == before["bytes"]


def with_parents(root, parents):
    for number, parent in enumerate(parents, 1):
        folder = root / "demo" / str(number)
        folder.mkdir(parents=True)
        (folder / "data").write_bytes(b"x" * 1000)
        (folder / manifest.MANIFEST).write_text(json.dumps({"format": manifest.FORMAT, "parent": parent}))


def test_leftovers_of_builds_go_and_versions_stay(tmp_path):
    with_parents(tmp_path, [None, None])
    for leftover in (".work/abc", ".sealing-3"):
        (tmp_path / "demo" / leftover).mkdir(parents=True)
        (tmp_path / "demo" / leftover / "shard").write_bytes(b"x" * 10)
    shared = tmp_path / "demo/.work/abc/data"
    shared.hardlink_to(tmp_path / "demo/1/data")
    planned = retention.collect(tmp_path, "demo", dry_run=True)
    assert [(removed.path.name, removed.freed) for removed in planned] == [("abc", 10), (".sealing-3", 10)]
    assert shared.exists()
    assert retention.collect(tmp_path, "demo") == planned
    assert not shared.exists()
    assert manifest.versions(tmp_path, "demo") == [1, 2]
    assert (tmp_path / "demo/1/data").read_bytes() == b"x" * 1000


@pytest.mark.parametrize(
    ("parents", "keep", "left"),
    [
        ([None, None, None], 2, [2, 3]),
        ([None, None, None], 5, [1, 2, 3]),
        # 4 was made from 2, and 2 from 1: all that a kept version refers to stays.
        ([None, 1, None, 2], 1, [1, 2, 4]),
        ([None, 1, None, 7], 1, [4]),
    ],
)
def test_old_versions_go_where_no_kept_one_was_made_from_them(tmp_path, parents, keep, left):
    with_parents(tmp_path, parents)
    retention.collect(tmp_path, "demo", keep=keep)
    assert manifest.versions(tmp_path, "demo") == left


def test_what_another_dataset_was_merged_from_stays(tmp_path):
    with_parents(tmp_path, [None, None, None])
    both = tmp_path / "both" / "1"
    both.mkdir(parents=True)
    merged = [{"dataset": "demo", "version": 1}, {"dataset": "other", "version": 2}]
    (both / manifest.MANIFEST).write_text(json.dumps({"format": manifest.FORMAT, "config": {"merged": merged}}))
    retention.collect(tmp_path, "demo", keep=1)
    assert manifest.versions(tmp_path, "demo") == [1, 3]


def test_collecting_waits_for_no_build_and_never_takes_the_last_version(tmp_path):
    with_parents(tmp_path, [None])
    with workspace.locked(tmp_path, "demo"), pytest.raises(workspace.BusyError, match="is being built by process"):
        retention.collect(tmp_path, "demo")
    with pytest.raises(UserError, match="expected to keep at least 1 version, found 0"):
        retention.collect(tmp_path, "demo", keep=0)


def source(folder, problems, model, shards=1):
    for index in range(shards):
        mine = problems[index::shards]
        plant(
            folder,
            Shard("train", index, shards),
            problems=[problem(name) for name in mine],
            completions=[completion(f"{model}.{name}", name, text=f"é {model}", model=model) for name in mine],
            executions=[execution(f"{model}.{name}", name) for name in mine],
        )
    return folder


def test_sources_become_one_dataset_with_every_sample_of_a_problem_in_one_shard(tmp_path):
    sources = [source(tmp_path / "a", ["q1", "q2", "q3"], "m", shards=2), source(tmp_path / "b", ["q2", "q4"], "n")]
    merged = tmp_path / "merged"
    assert merge(sources, merged) == 4
    assert store.plan(merged) == [Shard("train", index, 3) for index in range(3)]
    assert all(store.missing(merged, table) == [] for table in ("completions", "executions"))
    found = {}
    for shard in store.plan(merged):
        problems = store.read(merged, "problems", shard=shard)["problem_id"].to_pylist()
        samples = store.read(merged, "completions", shard=shard).to_pylist()
        runs = store.read(merged, "executions", shard=shard)["completion_id"].to_pylist()
        assert [row["completion_id"] for row in samples] == runs
        assert {row["problem_id"] for row in samples} <= set(problems)
        found |= {row["completion_id"]: (shard.index, row["text"]) for row in samples}
    assert found == {
        **{"m.q1": (0, "é m"), "m.q3": (0, "é m"), "m.q2": (1, "é m")},
        **{"n.q2": (1, "é n"), "n.q4": (2, "é n")},
    }


def test_a_row_of_two_sources_is_taken_from_the_first(tmp_path):
    sources = [source(tmp_path / name, ["q1"], "m") for name in "ab"]
    plant(sources[1], executions=[execution("m.q1", "q1", passed=0)])
    merge(sources, tmp_path / "merged")
    assert [row["status"] for row in store.read(tmp_path / "merged", "executions").to_pylist()] == ["passed"]
    assert store.read(tmp_path / "merged", "problems").num_rows == 1


def test_what_cannot_be_merged_says_why(tmp_path):
    with pytest.raises(MergeError, match="nothing to merge: none of no datasets has problems"):
        merge([], tmp_path / "merged")
    first = plant(tmp_path / "a", problems=[problem("q")])
    second = plant(tmp_path / "b", Shard("test"), problems=[problem("q", split="test")])
    with pytest.raises(MergeError, match="expected each problem in one split, found 1 in several, as q"):
        merge([first, second], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_pairs_are_left_to_the_stages(tmp_path):
    merge([plant(source(tmp_path / "a", ["q"], "m"), pairs=[pair("p")])], tmp_path / "merged")
    assert store.shards(tmp_path / "merged", "pairs") == []

import errno
import json
import multiprocessing
import os
import shutil

import duckdb
import pytest

from analysis import catalog
from curation import store
from curation.manifest import MANIFEST
from curation.schema import TABLES
from curation.store import Shard
from literal_rows import completion, pair, plant, plant_run, problem


def seal_as(root, reference, problems):
    folder = plant(root / reference, problems=[problem(name) for name in problems])
    (folder / MANIFEST).write_text(json.dumps({"format": 1}))
    return folder


@pytest.fixture
def opened(tmp_path):
    connections = []

    def open_catalog():
        connections.append(duckdb.connect(str(catalog.rebuild_catalog(tmp_path)), read_only=True))
        return connections[-1]

    yield open_catalog
    for con in connections:
        con.close()


def test_each_version_is_a_schema_and_the_newest_goes_by_the_plain_name(tmp_path, opened):
    seal_as(tmp_path, "demo/1", ["a"])
    seal_as(tmp_path, "demo/2", ["a", "b"])
    con = opened()
    counts = [
        con.sql(f"SELECT count(*) FROM {schema}.problems").fetchall()[0][0] for schema in ("demo_v1", "demo_v2", "demo")
    ]
    assert counts == [1, 2, 2]
    assert con.sql("SELECT dataset, version, schema FROM versions ORDER BY ALL").fetchall() == [
        ("demo", 1, "demo_v1"),
        ("demo", 2, "demo_v2"),
    ]


def test_a_version_being_built_is_not_shown(tmp_path, opened):
    plant(tmp_path / "demo/1", problems=[problem()])
    assert opened().sql("FROM versions").fetchall() == []


def test_names_that_sql_would_not_take_or_that_meet_are_told_apart(tmp_path, opened):
    for reference in ("a-b/1", "a_b/1", "2x/1", "demo/1", "demo_v1/1", "main/1"):
        seal_as(tmp_path, reference, [reference.partition("/")[0]])
    con = opened()
    shown = dict(con.sql("SELECT dataset, schema FROM versions").fetchall())
    assert shown == {
        "2x": "_2x_v1",
        "a-b": "a_b_v1",
        "a_b": "a_b__v1",
        "demo": "demo_v1",
        "demo_v1": "demo_v1__v1",
        "main": "main__v1",
    }
    for dataset, schema in shown.items():
        assert con.sql(f"SELECT problem_id FROM {schema}.problems").fetchall() == [(dataset,)]


def test_every_column_and_view_has_its_sentence(tmp_path, opened):
    seal_as(tmp_path, "demo/1", ["a"])
    rows = (
        opened()
        .sql("SELECT table_name, column_name, comment FROM duckdb_columns() WHERE schema_name = 'demo_v1'")
        .fetchall()
    )
    found = {(table, column): comment for table, column, comment in rows if table in TABLES}
    assert found == {
        (name, column): table.doc(column) for name, table in TABLES.items() for column in table.schema.names
    }


def test_the_views_of_ours_read_their_own_version(tmp_path, opened):
    for number, passing in ((1, "a"), (2, "b")):
        folder = plant_run(tmp_path / f"demo/{number}", {passing: [("x = 1\n", None), ("x = 2\n", None)]})
        (folder / MANIFEST).write_text("{}")
    con = opened()
    assert con.sql("SELECT problem_id, pass_rate FROM demo_v1.problem_stats").fetchall() == [("a", 0.5)]
    assert con.sql("SELECT problem_id, pass_rate FROM demo.problem_stats").fetchall() == [("b", 0.5)]


def test_a_rebuild_follows_what_is_there(tmp_path, opened):
    seal_as(tmp_path, "demo/1", ["a"])
    seal_as(tmp_path, "other/1", ["a"])
    reader = opened()
    shutil.rmtree(tmp_path / "other")
    catalog.rebuild_catalog(tmp_path)
    assert len(reader.sql("FROM versions").fetchall()) == 2, "a reader keeps the file it opened"
    reader.close()
    assert opened().sql("SELECT dataset FROM versions").fetchall() == [("demo",)]
    files = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    assert files == [".catalog.duckdb.lock", "catalog.duckdb"]


def test_only_what_is_new_is_made_and_what_went_goes(tmp_path, opened, monkeypatch):
    for reference in ("demo/1", "demo/2", "other/1"):
        seal_as(tmp_path, reference, ["a"])
    catalog.rebuild_catalog(tmp_path)
    made = []
    whole = catalog._add_schema
    monkeypatch.setattr(
        catalog, "_add_schema", lambda con, schema, entry: made.append(schema) or whole(con, schema, entry)
    )
    catalog.rebuild_catalog(tmp_path)
    assert made == []
    shutil.rmtree(tmp_path / "other")
    shutil.rmtree(tmp_path / "demo/1")
    seal_as(tmp_path, "demo/3", ["a", "b"])
    con = opened()
    # The plain name moves on to the newest version.
    assert sorted(made) == ["demo", "demo_v3"]
    assert con.sql("SELECT schema FROM versions ORDER BY ALL").fetchall() == [("demo_v2",), ("demo_v3",)]
    assert con.sql("SELECT count(*) FROM demo.problems").fetchall() == [(2,)]
    schemas = {name for (name,) in con.sql("SELECT schema_name FROM duckdb_schemas() WHERE NOT internal").fetchall()}
    assert schemas - {"main"} == {"demo", "demo_v2", "demo_v3"}


def test_a_version_sealed_anew_under_its_old_number_is_shown_anew(tmp_path, opened):
    seal_as(tmp_path, "demo/1", ["a"])
    catalog.rebuild_catalog(tmp_path)
    shutil.rmtree(tmp_path / "demo/1")
    plant(tmp_path / "demo/1", Shard("test"), problems=[problem("a"), problem("b")])
    (tmp_path / "demo/1" / MANIFEST).write_text(json.dumps({"format": 1}))
    assert opened().sql("SELECT count(*) FROM demo_v1.problems").fetchall() == [(2,)]


@pytest.mark.parametrize("damage", [lambda folder: b"", lambda folder: b"no Parquet"])
def test_a_damaged_version_is_left_out_in_one_line(tmp_path, opened, caplog, damage):
    seal_as(tmp_path, "demo/1", ["a"])
    broken = seal_as(tmp_path, "demo/2", ["a"])
    next((broken / "problems").iterdir()).write_bytes(damage(broken))
    con = opened()
    assert con.sql("SELECT version FROM versions").fetchall() == [(1,)]
    assert con.sql("SELECT count(*) FROM demo_v1.problems").fetchall() == [(1,)]
    said = [record.getMessage() for record in caplog.records]
    assert said and all(line.startswith("demo@2 is not in the catalog: ") and "\n" not in line for line in said)


@pytest.mark.parametrize("content", [b"", b"no database", b"x" * 50_000])
def test_a_damaged_catalog_is_made_from_nothing(tmp_path, opened, content):
    seal_as(tmp_path, "demo/1", ["a"])
    (tmp_path / catalog.FILE).write_bytes(content)
    assert opened().sql("SELECT count(*) FROM demo.problems").fetchall() == [(1,)]


def test_a_full_disk_is_one_line_and_leaves_the_old_catalog(tmp_path, opened, monkeypatch):
    seal_as(tmp_path, "demo/1", ["a"])
    catalog.rebuild_catalog(tmp_path)
    before = (tmp_path / catalog.FILE).read_bytes()
    seal_as(tmp_path, "demo/2", ["a"])

    def full(*arguments):
        raise duckdb.IOException(f'Could not write file "x": {os.strerror(errno.ENOSPC)}')

    monkeypatch.setattr(catalog, "_fill", full)
    with pytest.raises(store.DiskFullError, match="no room left to write .*catalog.duckdb: free some space"):
        catalog.rebuild_catalog(tmp_path)
    assert (tmp_path / catalog.FILE).read_bytes() == before
    assert [file.name for file in tmp_path.glob("catalog*")] == [catalog.FILE]


def test_a_dataset_called_as_a_word_of_sql_has_a_schema_all_the_same(tmp_path, opened):
    for name in ("order", "both", "select"):
        seal_as(tmp_path, f"{name}/1", ["a"])
    con = opened()
    for name in ("order", "both", "select"):
        assert con.sql(f"SELECT count(*) FROM {name}_.problems").fetchall() == [(1,)]
        assert con.sql(f"SELECT count(*) FROM {name}__v1.problems").fetchall() == [(1,)]


def test_two_processes_that_rebuild_at_once_leave_a_whole_catalog(tmp_path, opened):
    for number in range(1, 4):
        seal_as(tmp_path, f"demo/{number}", ["a"])
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=catalog.rebuild_catalog, args=(tmp_path,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    con = duckdb.connect(str(tmp_path / "catalog.duckdb"), read_only=True)
    assert con.sql("SELECT version FROM versions ORDER BY ALL").fetchall() == [(1,), (2,), (3,)]
    con.close()


def test_literal_rows_are_found_through_the_catalog(tmp_path, opened):
    folder = plant(
        tmp_path / "demo/1", problems=[problem()], completions=[completion("c", text="é")], pairs=[pair("p")]
    )
    (folder / MANIFEST).write_text("{}")
    con = opened()
    assert con.sql("SELECT length(text) FROM demo.completions").fetchall() == [(1,)]
    placed = con.sql("SELECT pair_id, bucket FROM demo.pairs LEFT JOIN demo.curriculum USING (pair_id)")
    assert placed.fetchall() == [("p", None)]

import duckdb
import pyarrow.parquet as pq
import pytest

from analysis import engine
from analysis.engine import SqlError
from curation import store
from curation.schema import TABLES
from curation.store import Shard
from literal_rows import completion, plant, problem


def sql_file(folder, text, name="mine"):
    file = folder / f"{name}.sql"
    file.write_text(text)
    return file


def test_a_query_reads_every_shard_of_a_table(tmp_path):
    for index in range(2):
        plant(tmp_path, Shard("train", index, 2), problems=[problem(f"q{index}")])
    assert engine.query(tmp_path, "SELECT problem_id FROM problems ORDER BY ALL").to_pylist() == [
        {"problem_id": "q0"},
        {"problem_id": "q1"},
    ]


def test_a_version_sealed_before_a_column_was_declared_has_nulls_in_it(tmp_path):
    plant(tmp_path, completions=[completion("c")])
    file = store.path(tmp_path, "completions", Shard("train"))
    pq.write_table(pq.read_table(file).drop_columns(["origin_id", "prefix_tokens"]), file)
    rows = engine.query(tmp_path, "SELECT completion_id, origin_id, prefix_tokens FROM completions").to_pylist()
    assert rows == [{"completion_id": "c", "origin_id": None, "prefix_tokens": None}]
    assert store.read(tmp_path, "completions").to_pylist() == [completion("c")]


def test_a_shard_alone_can_be_read(tmp_path):
    for index in range(2):
        plant(tmp_path, Shard("train", index, 2), problems=[problem(f"q{index}")])
    with engine.connect(tmp_path, shard=Shard("train", 1, 2)) as con:
        assert con.sql("SELECT problem_id FROM problems").fetchall() == [("q1",)]


def test_tables_that_are_not_written_yet_are_empty_with_their_columns(tmp_path):
    for name, table in TABLES.items():
        rows = engine.query(tmp_path, f"SELECT * FROM {name}")
        assert (rows.num_rows, rows.column_names) == (0, table.schema.names)


def test_a_folder_with_a_name_that_means_something_to_sql_or_to_globs_is_read(tmp_path):
    folder = plant(tmp_path / "it's [a] *folder* ü", problems=[problem()])
    assert engine.query(folder, "SELECT count(*) AS n FROM problems").to_pylist() == [{"n": 1}]


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT 1; SELECT 2", "must be one SELECT, found SELECT, SELECT"),
        ("", "must be one SELECT, found nothing"),
        ("DROP VIEW pairs", "must be one SELECT, found DROP"),
        ("COPY (SELECT 1) TO 'out.csv'", "must be one SELECT, found COPY"),
        ("EXPLAIN ANALYZE COPY (SELECT 1) TO 'out.csv'", "must be one SELECT, found COPY"),
        ("SET threads = 1", "must be one SELECT, found SET"),
        ("SELECT", "does not parse: Parser Error: SELECT clause without selection list"),
        ("SELECT nothing FROM pairs", 'Referenced column "nothing" not found'),
        ("SELECT * FROM pear", "Table with name pear does not exist!; Did you mean"),
        ("SELECT $k", "must hold its values, found the parameters $k"),
        ("SELECT * FROM read_text('/etc/hostname')", "file system operations are disabled"),
        ("SELECT * FROM glob('/etc/*')", "file system operations are disabled"),
        ("SELECT 'x'::INTEGER", "Could not convert string 'x' to INT32"),
    ],
)
def test_what_a_user_may_not_ask_is_one_line_with_its_reason(tmp_path, sql, reason):
    plant(tmp_path, problems=[problem()])
    with pytest.raises(SqlError) as error:
        engine.query(tmp_path, sql)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_python_variables_are_not_tables(tmp_path):
    secret = duckdb.sql("SELECT 1 AS a")
    with pytest.raises(SqlError, match="Table with name secret does not exist"):
        engine.query(tmp_path, "SELECT * FROM secret")
    assert secret.fetchall() == [(1,)]


@pytest.mark.parametrize(
    "sql", ["FROM problems", "SUMMARIZE problems", "EXPLAIN SELECT 1", "WITH a AS (FROM range(2)) FROM a"]
)
def test_every_form_of_a_select_is_one(tmp_path, sql):
    assert engine.query(plant(tmp_path, problems=[problem()]), sql).num_rows >= 1


def test_a_file_gives_its_grain_tables_and_parameters(tmp_path):
    text = (
        '-- One row per pair.\n-- reads: pairs, curriculum\n-- params: $a, $b = [1, 2], $c = "x"\nSELECT $a, $b, $c;\n'
    )
    query = engine.load(sql_file(tmp_path, text))
    assert (query.grain, query.reads) == ("One row per pair.", ("pairs", "curriculum"))
    assert query.params == {"a": ..., "b": [1, 2], "c": "x"}
    with engine.connect(None) as con:
        assert engine.run(con, query, a=5).to_pylist() == [{"$a": 5, "$b": [1, 2], "$c": "x"}]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SELECT 1", "its first line must be a comment that says what a row is"),
        ("-- One row\nSELECT $a", "lists none but its SQL takes $a"),
        ("-- One row\n-- params: $a, $b\nSELECT $a", "lists $a, $b but its SQL takes $a"),
        ("-- One row\n-- params: $a = yes\nSELECT $a", "$a must default to a JSON value, found yes"),
        ("-- One row\nDELETE FROM pairs", "must be one SELECT, found DELETE"),
        ("-- One row\nSELECT 1; SELECT 2", "must be one SELECT, found SELECT, SELECT"),
    ],
)
def test_a_file_that_breaks_its_form_is_refused(tmp_path, text, reason):
    with pytest.raises(SqlError) as error:
        engine.load(sql_file(tmp_path, text))
    assert reason in str(error.value)


def test_a_missing_file_names_its_neighbours(tmp_path):
    sql_file(tmp_path, "-- One\nSELECT 1", name="near")
    with pytest.raises(SqlError, match="beside it there are: near"):
        engine.load(tmp_path / "far.sql")


def test_parameters_are_checked_before_any_work(tmp_path):
    query = engine.load(sql_file(tmp_path, "-- One row\n-- params: $a, $b = 2\nSELECT $a, $b"))
    with pytest.raises(SqlError, match="mine needs a value for a"):
        query.bind({})
    with pytest.raises(SqlError, match="mine has no parameter c: it takes a, b"):
        query.bind({"a": 1, "c": 3})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("-- One row\n-- reads: pear\nSELECT 1 AS pair_id", "reads pear, which is no table"),
        ("-- One row\n-- reads: pairs\nSELECT nothing AS pair_id FROM pairs", 'column "nothing" not found'),
        (
            "-- One row\n-- reads: pairs\nSELECT problem_id FROM pairs",
            "must give the column pair_id, it gives problem_id",
        ),
        (
            "-- One row\nSELECT content AS pair_id FROM read_text('/etc/hostname')",
            "file system operations are disabled",
        ),
    ],
)
def test_a_users_file_is_tried_on_empty_tables(tmp_path, text, reason):
    with pytest.raises(SqlError) as error:
        engine.try_out(engine.load(sql_file(tmp_path, text)), {}, columns=["pair_id"])
    assert reason in str(error.value)


@pytest.mark.parametrize("file", sorted(engine.SQL.rglob("*.sql")), ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_file_of_ours_keeps_the_form_and_reads_what_it_says(file):
    query = engine.load(file)
    assert query.grain.startswith("One row"), "the first line states the grain"
    body = " ".join(line for line in query.text.splitlines() if not line.startswith("--"))
    views = [view.name for view in engine.views()]
    used = {name for name in [*TABLES, *views] if any(f"{word} {name}" in body for word in ("FROM", "JOIN"))}
    assert used == set(query.reads) & {*TABLES, *views}


def test_a_session_goes_on_after_a_mistake(tmp_path):
    with engine.session(plant(tmp_path, problems=[problem()])) as ask:
        with pytest.raises(SqlError, match="does not run"):
            ask("SELECT nothing FROM problems")
        assert ask("SELECT problem_id FROM problems").to_pylist() == [{"problem_id": "q"}]


def test_completion_knows_tables_views_columns_and_sql():
    words = set(engine.vocabulary())
    assert {"pair_features", "problem_stats", "edit_distance", "pass_rate", "SELECT", "median"} <= words
    assert "empty_table" not in words

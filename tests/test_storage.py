"""Roots in a store, an S3 on loopback spoken to by the real client: builds, seals, leases, queries, what can fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import s3_server
from analysis import catalog, engine, objects
from analysis.versions import diff_rows, list_versions
from curation import claims, copies, lease, manifest, retention, storage, store, workspace
from curation.errors import UserError
from curation.schema import TABLES
from flows import cli
from flows.build import build
from flows.config import parse
from literal_rows import plant, problem

SEAL: dict[str, Any] = {"config": {}, "keys": {}, "cut_points": {}, "checks": {}}
RECIPE = {
    "dataset": "small",
    "problems": {"source": "builtin", "limit": 6, "shard_size": 3},
    "generate": {"sampler": "scripted", "n": 4},
    "pairs": {"strategy": "all_pairs"},
}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server.serving() as url:
        yield url


@pytest.fixture
def environment(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the S3 client and the copies go by, here and in processes that are started."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("PAIRWRIGHT_CACHE", str(tmp_path / "cache"))
    for name, value in s3_server.CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def root(environment: None, tmp_path: Path, endpoint: str) -> Path:
    """A root in a bucket of its own."""
    from s3fs import S3FileSystem

    bucket = "".join(letter if letter.isalnum() else "-" for letter in tmp_path.name.lower())[-40:].strip("-")
    S3FileSystem.clear_instance_cache()
    S3FileSystem().mkdir(f"bucket-{bucket}")
    return storage.place(f"s3://bucket-{bucket}/some/prefix")


@pytest.fixture
def memory(environment: None, tmp_path: Path) -> Path:
    """A root in a store within this process, for what no client of a store needs to be seen doing."""
    return storage.place(f"memory://{tmp_path.name}/root")


@pytest.fixture
def pairwright(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command; its standard output, or with `fails` its one line of complaint."""

    def call(*arguments: object, fails: bool = False) -> str:
        monkeypatch.setattr("sys.argv", ["pairwright", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as exit:
            code = int(exit.code or 0)
        out, err = capsys.readouterr()
        assert bool(code) == fails, (out, err)
        if not fails:
            return out
        told = [line for line in err.splitlines() if line.startswith("pairwright: ")]
        assert len(told) == 1 and "Traceback" not in err and "a bug" not in told[0], err
        return told[0]

    return call


def work_of(root: Path, *problems: str, name: str = "work") -> Path:
    """A whole work folder of these problems."""
    rows: dict[str, list[Any]] = {table: [] for table in TABLES} | {"problems": [problem(one) for one in problems]}
    return plant(root / "demo" / ".work" / name, **rows)


def digest_of(version: Path) -> str:
    return str(manifest.read_manifest(version)["digest"])


def test_a_killed_build_goes_on_and_ends_as_a_local_one(
    root: Path, tmp_path: Path, pairwright: Callable[..., str]
) -> None:
    (tmp_path / "small.yaml").write_text(json.dumps(RECIPE))
    command = [sys.executable, "-m", "flows.cli", "build", tmp_path / "small.yaml", "--root", root, "--server", "off"]
    killed = subprocess.Popen(
        [*map(str, command)], cwd=Path(__file__).parents[1], start_new_session=True, stderr=subprocess.DEVNULL
    )
    while not any("/executions/" in name for name in storage.files(root)):
        assert killed.poll() is None
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert manifest.versions(root, "small") == []
    sampled = {name: file for name, file in storage.files(root).items() if "/completions/" in name}
    version, made = build(parse(RECIPE, "test"), root)
    assert made and str(version) == f"{root}/small/1" and manifest.verify(version) == []
    assert not [name for name in storage.files(root) if ".work" in name or ".sealing" in name]
    taken = storage.files(version)
    assert {file.identity for file in sampled.values()} <= {file.identity for file in taken.values()}
    local, _ = build(parse(RECIPE, "test"), tmp_path / "data")
    assert digest_of(version) == digest_of(local)
    assert build(parse(RECIPE, "test"), root) == (version, False)

    second, _ = build(parse(RECIPE | {"curriculum": {"metric": "edit_distance"}}, "test"), root)
    assert [row["parent"] for row in list_versions(root, "small").to_pylist()] == [None, 1]
    changed = {row["table"]: row["changed"] for row in diff_rows(version, second).to_pylist()}
    assert [table for table, rows in changed.items() if rows] == ["curriculum"]
    out = pairwright("sql", "small@1", "SELECT count(*) AS n FROM pairs", "--format", "csv", "--root", root)
    pairs = store.read(local, "pairs").num_rows
    assert out.replace('"', "").split() == ["n", str(pairs)]
    with objects_of(root) as con:
        assert con.sql("SELECT count(*) FROM c.small_v1.pairs").fetchall() == [(pairs,)]
        assert con.sql("SELECT version FROM c.versions").fetchall() == [(1,), (2,)]
    pairwright("pull", f"{root}/small@1", "--root", tmp_path / "pulled")
    assert digest_of(tmp_path / "pulled" / "small" / "1") == digest_of(local)
    assert manifest.verify(tmp_path / "pulled" / "small" / "1") == []
    pairwright("gc", "small", "--keep", 1, "--root", root)
    assert manifest.versions(root, "small") == [1, 2], "the parent of a version that stays"


class objects_of:
    """A DuckDB with the catalog of a root attached as `c`."""

    def __init__(self, root: Path) -> None:
        self.con = duckdb.connect(":memory:", config={"threads": 1})
        self.con.register_filesystem(objects.Copies(root))
        self.con.execute(f"ATTACH '{copies.local(root / catalog.FILE)}' AS c (READ_ONLY)")

    def __enter__(self) -> duckdb.DuckDBPyConnection:
        return self.con

    def __exit__(self, *_: object) -> None:
        self.con.close()


def seal_together(root: Path, sealers: list[tuple[Path, str]]) -> list[str]:
    """Seal (work folder, recipe) at once, each storing its manifest only when all are about to; what came of it."""
    ready, settle = threading.Barrier(len(sealers), timeout=60), claims.settle

    def together(*arguments: Any) -> bool:
        ready.wait()
        return settle(*arguments)

    def seal(sealer: tuple[Path, str]) -> str:
        work, recipe = sealer
        try:
            return manifest.seal(work, root, "demo", **SEAL | {"config": {"recipe": recipe}}).name
        except manifest.ManifestError as error:
            return str(error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims, "settle", together)
        return sorted(storage.each(seal, sealers))


def test_of_two_that_seal_the_same_rows_at_once_one_wins(root: Path) -> None:
    work = work_of(root, "a", "b")
    said = seal_together(root, [(work, "one"), (work, "other")])
    assert said[0] == "1" and said[1].startswith("version 1 of demo was sealed by another process meanwhile: run")
    assert manifest.versions(root, "demo") == [1] and manifest.verify(root / "demo" / "1") == []
    assert not [name for name in storage.names(root / "demo") if name.startswith(".sealing")]


def test_of_two_that_seal_others_at_once_each_gets_a_number_of_its_own(memory: Path) -> None:
    works = [work_of(memory, *names, name=names[0]) for names in (("a", "b"), ("c",))]
    assert seal_together(memory, [(work, "one") for work in works]) == ["1", "2"]
    assert [manifest.verify(memory / "demo" / str(number)) for number in (1, 2)] == [[], []]
    assert sorted(manifest.read_manifest(memory / "demo" / n)["tables"]["problems"]["num_rows"] for n in "12") == [1, 2]


def test_a_seal_that_was_cut_off_is_done_again_under_its_number(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_off(*_: Any) -> bool:
        raise KeyboardInterrupt

    for number, name in ((1, "a"), (2, "b")):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(claims, "settle", cut_off)
            manifest.seal(work_of(memory, name, name=name), memory, "demo", **SEAL)
        assert number not in manifest.versions(memory, "demo") and storage.files(memory / "demo" / str(number))
        if number == 1:  # the same bytes: what it had stored is its own
            assert manifest.seal(memory / "demo" / ".work" / "a", memory, "demo", **SEAL).name == "1"
    assert manifest.seal(work_of(memory, "c", name="c"), memory, "demo", **SEAL).name == "3", "others take the next"
    assert [manifest.verify(memory / "demo" / number) for number in "13"] == [[], []]


def test_a_sealer_that_was_taken_for_dead_cannot_seal_what_was_cleared(memory: Path) -> None:
    work, settle = work_of(memory, "a"), claims.settle

    def cleared_first(*arguments: Any) -> bool:
        assert [one.path.name for one in retention.collect(memory, "demo")] == ["work", "1"]
        return settle(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims, "settle", cleared_first)
        with pytest.raises(manifest.ManifestError, match="sealed by another process"):
            manifest.seal(work, memory, "demo", **SEAL)
    assert manifest.versions(memory, "demo") == [] and storage.files(memory / "demo" / "1").keys() == {"manifest.json"}
    assert manifest.seal(work_of(memory, "a"), memory, "demo", **SEAL).name == "2"


def test_old_versions_go_and_their_numbers_do_not_come_back(memory: Path) -> None:
    for names in ("a", "b", "c"):
        manifest.seal(work_of(memory, names), memory, "demo", **SEAL)
    would = retention.collect(memory, "demo", keep=1, dry_run=True)
    assert [one.path.name for one in would] == ["work", "1", "2"] and all(one.freed > 0 for one in would)
    assert retention.collect(memory, "demo", keep=1) == would and manifest.versions(memory, "demo") == [3]
    assert retention.collect(memory, "demo", keep=1) == []
    assert manifest.verify(memory / "demo" / "3") == []
    assert manifest.seal(work_of(memory, "d"), memory, "demo", **SEAL).name == "4"


def test_a_lease_keeps_a_second_builder_out_until_it_is_returned(root: Path) -> None:
    with workspace.locked(root, "demo"):
        said = f"dataset 'demo' under {root} is being built by process {os.getpid()} on .*: wait for it"
        with pytest.raises(workspace.BusyError, match=said):
            with workspace.locked(root, "demo"):
                pass
    with workspace.locked(root, "demo"):
        assert [name for name in storage.names(root / "demo") if name.startswith(".lock")] == [".lock-00000002"]


@pytest.mark.parametrize(
    ("change", "free"),
    [
        ({}, False),
        ({"machine": "another"}, False),
        ({"until": 1.0}, True),
        ({"started": "1"}, True),
        ({"machine": "another", "started": "1"}, False),
    ],
)
def test_a_lease_is_free_when_it_ran_out_or_its_holder_is_dead(root: Path, change: dict[str, Any], free: bool) -> None:
    held = json.loads(lease._content(lease._mine(), 60.0)) | change
    storage.write_bytes(root / "demo" / ".lock-00000007", json.dumps(held).encode())
    if not free:
        with pytest.raises(workspace.BusyError):
            with workspace.locked(root, "demo"):
                pass
        return
    with workspace.locked(root, "demo"):
        assert storage.names(root / "demo") == [".lock-00000008"]


def test_a_lease_is_renewed_while_it_is_held(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LASTS", 0.3)
    with lease.held(root / "demo", "it"):
        first = json.loads(storage.read_bytes(root / "demo" / ".lock-00000001"))["until"]
        while json.loads(storage.read_bytes(root / "demo" / ".lock-00000001"))["until"] == first:
            time.sleep(0.02)


def test_of_many_that_want_a_lease_at_once_one_gets_it(root: Path) -> None:
    ready = threading.Barrier(6, timeout=60)

    def want(_: int) -> str:
        ready.wait()
        try:
            lease._take(root / "demo", "it")
        except lease.HeldError:
            return "held"
        return "got"

    assert sorted(storage.each(want, range(6))) == ["got"] + ["held"] * 5


def test_a_store_that_overwrites_what_it_must_not_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fs = storage.remote_of(root).fs  # type: ignore[union-attr]
    pipe = fs.pipe_file
    monkeypatch.setattr(fs, "pipe_file", lambda path, value, mode="overwrite": pipe(path, value))
    with pytest.raises(storage.StorageError, match="ignores If-None-Match"):
        with workspace.locked(root, "demo"):
            pass
    assert storage.names(root / "demo") == []


def test_a_query_reads_its_version_and_nothing_else(root: Path) -> None:
    version = manifest.seal(work_of(root, "a", "b"), root, "demo", **SEAL)
    storage.put(copies.local(version / "problems" / "train-00000-of-00001.parquet"), root / "secret.parquet")
    assert engine.query(version, "SELECT count(*) AS n FROM problems").to_pylist() == [{"n": 2}]
    with pytest.raises(engine.SqlError, match="does not run"):
        engine.query(version, f"SELECT * FROM read_parquet('{root}/secret.parquet')")


def test_objects_are_fetched_once_and_never_stale(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fs = storage.remote_of(root).fs  # type: ignore[union-attr]
    fetched: list[str] = []
    get = fs.get_file
    monkeypatch.setattr(fs, "get_file", lambda path, *more, **named: fetched.append(path) or get(path, *more, **named))
    shard = store.Shard("train")
    store.write(root / "x", "problems", [problem("a")], shard)
    assert store.read(root / "x", "problems")["problem_id"].to_pylist() == ["a"] and fetched == [], "it was kept"
    copies.trim(days=-1)
    assert store.num_rows(root / "x", "problems", shard) == store.num_rows(root / "x", "problems", shard) == 1
    assert len(fetched) == 1
    store.write(root / "x", "problems", [problem("b"), problem("c")], shard)
    assert store.num_rows(root / "x", "problems", shard) == 2


def test_a_damaged_object_is_found(root: Path) -> None:
    version = manifest.seal(work_of(root, "a"), root, "demo", **SEAL)
    shard = version / "problems" / "train-00000-of-00001.parquet"
    storage.write_bytes(shard, storage.read_bytes(shard)[:-1] + b"x")
    assert manifest.verify(version) == [
        "problems/train-00000-of-00001.parquet: its bytes have changed since it was sealed"
    ]
    storage.remove(shard)
    assert manifest.verify(version) == ["problems/train-00000-of-00001.parquet: missing"]


LOCAL = [
    ("train", "demo"),
    ("eval", "m"),
    ("credit", "demo", "-p", "x"),
    ("experiment",),
    ("report", "demo"),
    ("browse", "demo"),
]


@pytest.mark.parametrize("command", LOCAL, ids=[command[0] for command in LOCAL])
def test_what_needs_a_local_root_says_so(root: Path, pairwright: Callable[..., str], command: tuple[str, ...]) -> None:
    told = pairwright(*command, "--root", root, fails=True)
    assert f"needs a local root, found {root}" in told and f"pairwright pull {root}/NAME@VERSION" in told


def test_a_store_that_is_not_there_is_one_line(
    environment: None, pairwright: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "there is no s3://nobody-has-this" in pairwright("show", "--root", "s3://nobody-has-this/x", fails=True)
    told = pairwright("show", "--root", "ssh2://host/x", fails=True)
    assert "expected a folder or a URL like s3://bucket/prefix, found ssh2://host/x" in told
    assert "gs:// needs a package that is not installed" in pairwright("show", "--root", "gs://bucket/x", fails=True)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(storage.StorageError, match="is a repository"):
        storage.create(storage.place("hf://datasets/owner/name/x") / "f", b"")


@pytest.mark.parametrize(
    ("status", "code", "methods", "says"),
    [
        (403, "AccessDenied", "GET HEAD PUT", "does not let these credentials in (as the test asked"),
        (403, "AccessDenied", "PUT", "does not let these credentials in (as the test asked"),
        (507, "InsufficientStorage", "PUT", "no room left to write s3://bucket-x/r/demo/"),
        (403, "QuotaExceeded", "PUT", "no room left to write s3://bucket-x/r/demo/"),
        (404, "NoSuchBucket", "PUT", "there is no bucket for s3://bucket-x/r/demo/"),
    ],
)
def test_a_store_that_refuses_is_one_line(
    environment: None, monkeypatch: pytest.MonkeyPatch, status: int, code: str, methods: str, says: str
) -> None:
    with s3_server.refusing(status, code, methods=methods) as url, pytest.raises(UserError) as refusal:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        root = storage.place("s3://bucket-x/r")
        storage.remote_of(root).fs.clear_instance_cache()  # type: ignore[union-attr]
        root = storage.reach(storage.place("s3://bucket-x/r"))
        with workspace.locked(root, "demo"):
            pass
    assert says in str(refusal.value), refusal.value


def test_no_room_in_the_store_is_the_same_error_as_on_a_disk(
    environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_server.refusing(507, "InsufficientStorage", methods="PUT") as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        storage.remote_of(storage.place("s3://bucket-x/r")).fs.clear_instance_cache()  # type: ignore[union-attr]
        with pytest.raises(store.DiskFullError, match="no room left to write s3://bucket-x/r/d/problems/"):
            store.write(storage.place("s3://bucket-x/r") / "d", "problems", [problem("a")], store.Shard("train"))
    assert not list((copies.folder()).glob(f"*{copies.PARTIAL}"))


def test_a_root_crosses_processes_and_forms(root: Path) -> None:
    import pickle

    from pydantic import TypeAdapter

    assert pickle.loads(pickle.dumps(root)) == root and storage.place(str(root)) == root
    form = TypeAdapter(storage.Root)
    assert form.validate_python(str(root)) == root and form.validate_python(root) == root
    assert form.dump_python(root, mode="json") == str(root) and form.json_schema()["type"] == "string"
    assert storage.place("data/x") == Path("data/x") and storage.place("file:///tmp/x") == Path("/tmp/x")

"""Shards over real Ray and Dask clusters on this machine: the same digest, also where a node is killed; clear lines."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml

import ray_nodes
import s3_server
from conftest import problem
from curation import manifest, storage, store
from curation.errors import MissingError, UserError
from curation.sampling import Sampling
from curation.store import Shard
from flows import driver, runners
from flows.build import build
from flows.config import ConfigError, Evaluation, load, parse
from flows.evaluating import evaluate, parse_policy
from flows.runners import Cluster, Runner, opened
from flows.stages import table_keys
from ray_nodes import add_node
from sandbox.process import HardeningError

ROOT = Path(__file__).parents[1]
PATIENCE = 240
RECIPE = """
dataset: spread
problems: {source: builtin, limit: 16, shard_size: 2}
generate: {sampler: scripted, n: 3}
pairs: {strategy: all_pairs}
measures: {decontaminate: false}
curriculum: {prune: []}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "spread.yaml"
    file.write_text(RECIPE)
    return file


@pytest.fixture(scope="module")
def digest(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the recipe gives on this machine alone."""
    version, _ = build(parse(yaml.safe_load(RECIPE), "test"), tmp_path_factory.mktemp("local"))
    return str(manifest.read_manifest(version)["digest"])


def start(recipe: Path, root: Path, kind: str, address: str) -> subprocess.Popen[str]:
    options = ("--set", f"runner.kind={kind}", "--set", f"runner.address={address}")
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "build", str(recipe), "--root", str(root), "--server", "off", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def until(done: Callable[[], object]) -> None:
    for _ in range(PATIENCE * 20):
        if done():
            return
        time.sleep(0.05)
    pytest.fail("it never came")


def finished(root: Path) -> int:
    """Shards of programs that have been run."""
    return len(list((root / "spread").glob(".work/*/executions/*.parquet")))


def in_the_middle(building: subprocess.Popen[str], root: Path, kill: Callable[[], None]) -> str:
    """Kill something when the first shards are done, and return what the build said in the end."""
    until(lambda: finished(root) >= 2 or building.poll() is not None)
    assert building.poll() is None, building.communicate()[0]
    kill()
    return building.communicate()[0]


def assert_gone(building: subprocess.Popen[str], said: str, cluster: str) -> None:
    (line,) = [line for line in said.splitlines() if line.startswith("pairwright: ")]
    assert line.startswith(
        f"pairwright: {cluster} is gone: start it and run the same command; finished shards are kept"
    )
    assert building.returncode == 1 and "Traceback" not in said
    Path(line.rpartition("(log: ")[2].removesuffix(")")).unlink()


def digest_of(root: Path) -> str:
    return str(manifest.read_manifest(manifest.open_version(root, "spread"))["digest"])


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server.serving() as url:
        yield url


def in_a_bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, endpoint: str) -> Path:
    """A root in an S3 that processes started from now on can open."""
    from s3fs import S3FileSystem

    opening = {"AWS_ENDPOINT_URL": endpoint, "PAIRWRIGHT_CACHE": str(tmp_path / "cache"), **s3_server.CREDENTIALS}
    for name, value in opening.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    S3FileSystem().mkdir("spread")
    return storage.place("s3://spread/root")


@contextmanager
def process(module: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of a Dask cluster."""
    command = [sys.executable, "-m", module, *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            yield running
        finally:
            running.kill()


@contextmanager
def dask(folder: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and workers of one thread each: the address and the processes, the scheduler's first."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    scheduler = ("--host", f"tcp://{address}", "--no-dashboard", "--no-jupyter")
    worker = (f"tcp://{address}", "--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder))
    with ExitStack() as stack:
        begun = [stack.enter_context(process("distributed.cli.dask_scheduler", *scheduler))]
        for _ in range(2):
            begun.append(stack.enter_context(process("distributed.cli.dask_worker", *worker)))

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) == 0

        until(listens)
        yield f"tcp://{address}", begun


@pytest.mark.slow
def test_a_dask_worker_killed_changes_nothing_and_a_scheduler_killed_is_one_line(
    recipe: Path, tmp_path: Path, digest: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "flows")
    with dask(tmp_path) as (address, (scheduler, worker, _)):
        building = start(recipe, tmp_path / "dask", "dask", address)
        said = in_the_middle(building, tmp_path / "dask", worker.kill)
        assert building.returncode == 0, said
        assert f"running programs on the dask cluster at {address}" in said
        assert digest_of(tmp_path / "dask") == digest

        asked = Evaluation(benchmarks=("builtin",), sampling=Sampling(sampler="scripted", n=2))
        spread = asked.model_copy(update={"runner": Runner(kind="dask", address=address)})
        there, here = (
            evaluate([parse_policy("embedded")], one, tmp_path / name)["builtin"][0].rows
            for name, one in (("there", spread), ("here", asked))
        )
        assert len(here) == 12 and there == here
        assert caplog.text.count(f"running programs on the dask cluster at {address}") == 1

        again = start(recipe, tmp_path / "again", "dask", address)
        said = in_the_middle(again, tmp_path / "again", scheduler.kill)
    assert_gone(again, said, f"the dask cluster at {address}")
    assert finished(tmp_path / "again") >= 2


@pytest.mark.slow
def test_a_ray_node_killed_changes_nothing_nor_does_a_bucket_none_left_is_said_and_a_head_killed_too(
    recipe: Path,
    tmp_path: Path,
    digest: str,
    endpoint: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, value in ray_nodes.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    bucket = in_a_bucket(monkeypatch, tmp_path, endpoint)  # before the nodes start, which inherit what opens it
    from ray.cluster_utils import Cluster as RayCluster

    cluster = RayCluster()
    try:
        add_node(cluster, 0)
        first, second = (add_node(cluster, 1) for _ in range(2))
        building = start(recipe, tmp_path / "ray", "ray", cluster.address)
        said = in_the_middle(building, tmp_path / "ray", lambda: cluster.remove_node(first, allow_graceful=False))
        assert building.returncode == 0, said
        assert f"running programs on the ray cluster at {cluster.address}" in said
        assert digest_of(tmp_path / "ray") == digest

        stored = start(recipe, bucket, "ray", cluster.address)
        said = stored.communicate()[0]
        assert stored.returncode == 0, said
        assert digest_of(bucket) == digest and manifest.verify(bucket / "spread" / "1") == []

        cluster.remove_node(second, allow_graceful=False)
        with opened(Runner(kind="ray", address=cluster.address, patience=5)) as executor:
            assert executor is not None
            with pytest.raises(UserError, match="the cluster has had no node with 1 CPUs for 5 s: start one and run"):
                executor.submit(len, tmp_path, Shard("train"), None).result(PATIENCE)
            assert "has no node with 1 CPUs; waiting up to 5 s for one" in caplog.text
            waiting = executor.submit(len, tmp_path, Shard("train"), None)
            for one in (one for kind in cluster.head_node.all_processes.values() for one in kind):
                os.kill(one.process.pid, signal.SIGKILL)
            with pytest.raises(UserError, match=f"the ray cluster at {cluster.address} is gone: start it") as gone:
                waiting.result(PATIENCE)
            Path(str(gone.value).rpartition("(log: ")[2].removesuffix(")")).unlink()
    finally:
        cluster.shutdown()


def test_where_shards_are_worked_on_is_no_part_of_a_version(recipe: Path) -> None:
    local, spread = load(str(recipe)), load(str(recipe), ["runner=ray"])
    assert (local.runner.kind, spread.runner.kind) == ("local", "ray")
    assert table_keys(spread) == table_keys(local) and spread.model_dump() == local.model_dump()
    assert parse({"runner": {"kind": "dask", "address": "tcp://a:1", "cpus": 4}}, "test").runner.cpus == 4
    with pytest.raises(ConfigError, match="runner.kind: input should be 'local', 'ray' or 'dask' .found 'rya'."):
        load(str(recipe), ["runner=rya"])
    with opened(local.runner) as executor:
        assert executor is None
    judged = load(str(recipe), ["evaluation.runner=dask"])
    assert judged.evaluation.runner.kind == "dask" and judged.model_dump() == local.model_dump()


@pytest.mark.parametrize(("kind", "variable"), [("ray", "RAY_ADDRESS"), ("dask", "DASK_SCHEDULER_ADDRESS")])
def test_a_cluster_needs_an_address_and_somebody_there(
    kind: str, variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(UserError, match=f"runner {kind} needs a running cluster: set runner.address.*or {variable}"):
        Cluster(Runner(kind=kind))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nowhere = f"127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setenv(variable, nowhere)
    with pytest.raises(UserError) as refusal:
        Cluster(Runner(kind=kind))
    assert str(refusal.value).startswith(f"the {kind} cluster at {nowhere} does not answer (Connection refused): start")
    monkeypatch.setattr(runners, "find_spec", lambda name: None)
    with pytest.raises(MissingError, match=f"install the extra {kind}"):
        Cluster(Runner(kind=kind))


def test_somebody_else_at_the_address_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runners, "START_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UserError, match=f"the dask cluster at {address} took longer than 1 s"):
            Cluster(Runner(kind="dask", address=address))


def test_a_node_with_other_code_or_without_the_data_is_refused(tmp_path: Path) -> None:
    shard, here = Shard("train"), driver.fingerprint()
    with pytest.raises(UserError, match=f"has other code or another Python .*{here}, here 123.: install the same"):
        driver.on_node("123", max, (tmp_path, shard, None))
    with pytest.raises(UserError, match=f"does not see {tmp_path}: give a --root on storage that all nodes share"):
        driver.on_node(here, max, (tmp_path, shard, None))
    store.write(tmp_path, "problems", [problem()], shard)
    assert driver.on_node(here, lambda *args: args, (tmp_path, shard, 5)) == (tmp_path, shard, 5)


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (UserError("no room"), UserError, "no room"),
        (store.SchemaError("a null"), UserError, "a null"),
        (MissingError("no vLLM"), MissingError, "no vLLM"),
        (HardeningError("no seccomp"), HardeningError, "no seccomp"),
        (ModuleNotFoundError("No module named 'curation'", name="curation"), UserError, "a node lacks curation: inst"),
        (ValueError("odd\nthing"), RuntimeError, "on a node: ValueError: odd"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_went_wrong_on_a_node_is_told_as_if_it_were_here(error: Exception, kind: type, said: str) -> None:
    told = driver.told(error)
    assert type(told) is kind and str(told).startswith(said)

"""The same build as a flow run on a real Prefect server, watched through the server's own API."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from curation import manifest

ROOT = Path(__file__).parents[1]
STAGES = 10  # nine that make tables, and the seal
PATIENCE = 240  # a fresh database takes Prefect about 14 s of processor time; the machine may be busy
RECIPE = """
dataset: watched
problems: {source: builtin, limit: 6}
generate: {sampler: scripted, n: 4}
pairs: {strategy: all_pairs}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment that points at a Prefect server on loopback, up for the module's tests."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = tmp_path_factory.mktemp("prefect")
    environment = os.environ | {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    }
    log = (home / "server.log").open("w")
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT) as running:
        try:
            for _ in range(PATIENCE):
                assert running.poll() is None, (home / "server.log").read_text()[-2000:]
                try:
                    if httpx.get(f"{environment['PREFECT_API_URL']}/health", timeout=1).is_success:
                        break
                except httpx.HTTPError:
                    time.sleep(1)
            else:
                pytest.fail("the Prefect server did not answer")
            yield environment
        finally:
            running.terminate()
            running.wait(30)


def build(tmp_path: Path, environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    recipe = tmp_path / "watched.yaml"
    recipe.write_text(RECIPE)
    command = [sys.executable, "-m", "flows.cli", "build", str(recipe), "--root", str(tmp_path / "data"), *options]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def rows(environment: dict[str, str], what: str, body: dict) -> list[dict]:
    answer = httpx.post(f"{environment['PREFECT_API_URL']}/{what}/filter", json=body, timeout=10)
    return list(answer.raise_for_status().json())


@pytest.mark.slow
def test_a_build_is_one_flow_run_with_a_task_per_stage(server: dict[str, str], tmp_path: Path) -> None:
    done = build(tmp_path, server)
    assert done.returncode == 0, done.stderr
    (run,) = rows(server, "flow_runs", {"sort": "START_TIME_DESC", "limit": 1})
    assert (run["name"], run["state_type"]) == ("watched · n=4", "COMPLETED")
    assert run["parameters"]["recipe"]["generate"]["n"] == 4
    tasks: list[dict] = []
    for _ in range(60):  # the server records task runs a little behind
        tasks = rows(server, "task_runs", {"sort": "EXPECTED_START_TIME_ASC"})
        if len(tasks) == STAGES and all(task["state_type"] == "COMPLETED" for task in tasks):
            break
        time.sleep(0.5)
    assert {task["name"].rsplit("-", 1)[0] for task in tasks} >= {
        "load problems",
        "sample completions",
        "check and seal",
    }
    assert len(tasks) == STAGES
    (tmp_path / "plain").mkdir()
    plain = build(tmp_path / "plain", server, "--server", "off")
    digests = {
        manifest.read_manifest(manifest.open_version(folder / "data", "watched"))["digest"]
        for folder in (tmp_path, tmp_path / "plain")
    }
    assert plain.returncode == 0 and len(digests) == 1


@pytest.mark.slow
def test_bad_input_in_a_flow_is_one_line_too_and_the_run_is_failed(server: dict[str, str], tmp_path: Path) -> None:
    recipe = tmp_path / "bad.yaml"
    recipe.write_text(RECIPE.replace("source: builtin", "source: jsonl, path: nowhere.jsonl"))
    command = [sys.executable, "-m", "flows.cli", "build", str(recipe), "--root", str(tmp_path / "data")]
    done = subprocess.run(command, cwd=ROOT, env=server, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("pairwright: ")] == [
        "pairwright: no file nowhere.jsonl, which the recipe names: check the path, or override it with --set"
    ]
    assert "Traceback" not in done.stderr
    (run,) = rows(server, "flow_runs", {"sort": "START_TIME_DESC", "limit": 1})
    assert run["state_type"] == "FAILED"


def test_a_server_that_does_not_answer_is_said_and_the_build_goes_on_without(tmp_path: Path) -> None:
    environment = os.environ | {"PREFECT_API_URL": "http://127.0.0.1:9/api"}
    done = build(tmp_path, environment)
    assert done.returncode == 0, done.stderr
    assert "no Prefect server answers at http://127.0.0.1:9/api: running without it" in done.stderr

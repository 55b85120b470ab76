"""`pairwright ui` for tests: started once, asked through its API, its processes found and killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[1]
PATIENCE = 600  # a fresh database takes Prefect about 14 s of processor time; the machine may be busy
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
SCRIPTED = {"sampler": "scripted", "n": 4}
RECIPE = "dataset: watched\nproblems: {source: builtin, limit: 6}\ngenerate: {sampler: scripted, n: 4}\n"


@dataclass
class Served:
    """A `pairwright ui` that answers at `url` for the datasets under `root`."""

    process: subprocess.Popen[str]
    url: str
    root: Path
    said: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to be seen by it."""
        return os.environ | {"PREFECT_API_URL": f"{self.url}/api", "PREFECT_HOME": str(self.root / "client")}

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """What the API answers to a GET, or to a POST with a body."""
        method = "GET" if body is None else "POST"
        while True:
            try:
                answer = httpx.request(method, f"{self.url}/api/{path}", json=body, timeout=120)
            except (httpx.ReadError, httpx.RemoteProtocolError):  # the server was killed while it answered
                continue
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:  # its database is busy
                return answer.raise_for_status().json()
            time.sleep(0.5)

    def deployment(self, name: str) -> dict[str, Any]:
        """A deployment by its name."""
        return dict(self.ask(f"deployments/name/{name}/{name}"))

    def start(self, name: str, **parameters: Any) -> str:
        """The id of a new run of a deployment."""
        deployment = self.deployment(name)
        body = {"parameters": deployment["parameters"] | parameters}
        return str(self.ask(f"deployments/{deployment['id']}/create_flow_run", body)["id"])

    def run(self, run: str) -> dict[str, Any]:
        """A flow run as it is now."""
        return dict(self.ask(f"flow_runs/{run}"))

    def until(self, run: str, *states: str) -> dict[str, Any]:
        """A flow run once it is in one of the states; in any that ends it when none is given."""
        awaited = states or ENDED
        wait_for(lambda: self.run(run)["state_type"] in awaited, f"the run {run} to be {' or '.join(awaited)}")
        return self.run(run)

    def completed(self, run: str) -> dict[str, Any]:
        """A flow run once it ended, which must be as Completed."""
        ended = self.until(run)
        assert ended["state_name"] == "Completed", "\n".join([ended["state"]["message"], *self.log(run, "")])
        return ended

    def retry(self, run: str) -> None:
        """What the button Retry does."""
        state = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the UI"}
        assert self.ask(f"flow_runs/{run}/set_state", {"state": state, "force": True})["status"] == "ACCEPT"

    def log(self, run: str, last: str) -> list[str]:
        """The lines of a run's log, once the last one is there: it is sent a little behind."""
        lines: list[str] = []

        def complete() -> bool:
            body = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
            lines[:] = [line["message"] for line in self.ask("logs/filter", body)]
            return any(line.startswith(last) for line in lines)

        wait_for(complete, f"the log to say {last!r}, it says {lines}")
        return lines

    def artifacts(self, run: str) -> dict[str, dict[str, Any]]:
        """The artifacts of a run by their keys."""
        found = self.ask("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}})
        return {one["key"] or one["description"]: one for one in found}

    def process_of(self, module: str) -> int:
        """The process that runs a module as a child of this one."""
        return next(pid for pid in children(self.process.pid) if module in command_line(pid))

    def kill(self, module: str) -> None:
        """kill -9, and wait until another process has taken its place."""
        killed = self.process_of(module)
        os.kill(killed, signal.SIGKILL)

        def replaced() -> bool:
            return any(pid != killed and module in command_line(pid) for pid in children(self.process.pid))

        wait_for(replaced, f"a new {module}")


@contextmanager
def serving(root: Path, **environment: str) -> Iterator[Served]:
    """Start `pairwright ui` on any port; at the end it must go without leaving a process."""
    root.mkdir(parents=True, exist_ok=True)
    said = root / "said.log"
    arguments = [sys.executable, "-m", "flows.cli", "ui", "--port", "0", "--root", str(root)]
    with said.open("w") as output:
        process = subprocess.Popen(
            arguments,
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:

        def up() -> bool:
            assert process.poll() is None, said.read_text()
            return "Ctrl-C" in said.read_text()

        wait_for(up, "pairwright ui to come up")
        [url] = re.findall(r"^(http://\S+)$", said.read_text(), re.MULTILINE)
        yield Served(process, url, root, said)
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    wait_for(lambda: not [pid for pid in processes() if str(root) in command_line(pid)], "every process to be gone")


def command(folder: Path, environment: Mapping[str, str], recipe: str) -> subprocess.Popen[str]:
    """`pairwright build` of a recipe, started; what it says is to be read."""
    file = folder / "recipe.yaml"
    file.write_text(recipe)
    arguments = [sys.executable, "-m", "flows.cli", "build", str(file), "--root", str(folder / "data")]
    return subprocess.Popen(arguments, cwd=ROOT, env=dict(environment), stdout=-1, stderr=-1, text=True)


def wait_for(happened: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Return once it happened; fail when it does not."""
    deadline = time.monotonic() + patience
    while not happened():
        assert time.monotonic() < deadline, f"waited {patience:.0f} s for {what}"
        time.sleep(0.1)


def processes() -> list[int]:
    """Every process there is, but this one."""
    found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in found if pid != os.getpid()]


def children(parent: int) -> list[int]:
    """The processes that a process has started."""
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def command_line(pid: int) -> str:
    """The command line of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""

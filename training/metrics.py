"""What a run reports: sums kept on the device and read once a step, as JSON lines and TensorBoard event files."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from curation import store
from training import parallel
from training.logps import Batch
from training.losses import Loss, PairLogps

# Dense bfloat16 products per second, from the makers' data sheets.
PEAK_FLOPS = {"A100": 312e12, "H100": 989e12, "H200": 989e12, "L40S": 362e12, "B200": 2250e12}
SUMS = (
    "loss",
    "pairs",
    "rewards/chosen",
    "rewards/rejected",
    "rewards/accuracies",
    "rewards/margins",
    "logps/chosen",
    "logps/rejected",
    "log_ratios/chosen",
    "kl",
    "scored_tokens",
    "tokens",
    "flops",
)


class StepSums:
    """Sums over the batches of one optimizer step, on the device; `read` adds up processes and fetches them at once."""

    def __init__(self, device: torch.device) -> None:
        self.values = torch.zeros(len(SUMS), dtype=torch.float64, device=device)

    def add(self, losses: Tensor, p: PairLogps, loss: Loss, policy: Tensor, reference: Tensor) -> None:
        """One batch. Everything is detached already."""
        zero = losses.new_zeros(())
        found = {name: zero for name in SUMS}
        found |= {"loss": losses.sum(), "logps/chosen": p.chosen.sum()}
        if loss.form.pairwise:
            chosen, rejected = loss.rewards(p)
            found |= {
                "rewards/chosen": chosen.sum(),
                "rewards/rejected": rejected.sum(),
                "rewards/accuracies": (chosen > rejected).sum(),
                "rewards/margins": (chosen - rejected).sum(),
                "logps/rejected": p.rejected.sum(),
            }
        if loss.form.reference:
            # An estimate that is never negative, of tokens drawn from the reference (Schulman 2020, estimator k3).
            behind = (reference - policy).double()
            found |= {
                "kl": (torch.exp(-behind) - 1 + behind).sum(),
                "log_ratios/chosen": (p.chosen - p.ref_chosen).sum(),
            }
        self.values += torch.stack([found[name].double() for name in SUMS])

    def count(self, batch: Batch, flops: float) -> None:
        """What is known without the device."""
        known = {"pairs": batch.num_pairs, "scored_tokens": len(batch.targets), "tokens": batch.segments.length}
        counted = [float(known.get(name, flops if name == "flops" else 0)) for name in SUMS]
        self.values += torch.tensor(counted, dtype=torch.float64).to(self.values.device, non_blocking=True)

    def read(self, loss: Loss) -> dict[str, float]:
        """Means over the pairs (`kl` over the tokens), and the counts."""
        total = dict(zip(SUMS, parallel.add_up(self.values).tolist(), strict=True))
        counts = {name: total.pop(name) for name in ("pairs", "scored_tokens", "tokens", "flops")}
        kl = total.pop("kl") / counts["scored_tokens"]
        means = {name: value / counts["pairs"] for name, value in total.items()}
        if not loss.form.pairwise:
            means = {name: value for name, value in means.items() if not name.startswith("rewards/")}
            del means["logps/rejected"]
        if not loss.form.reference:
            del means["log_ratios/chosen"]
        return means | ({"kl": kl} if loss.form.reference else {}) | counts


def body_weights(causal: Any) -> int:
    """Weights of the linear layers but the head."""
    return sum(m.weight.numel() for m in causal.model.modules() if isinstance(m, nn.Linear))


def flops_of(batch: Batch, causal: Any, body: int, *, full: bool) -> float:
    """Floating-point operations a step over this batch needs, recomputation not counted; `body` is `body_weights`.

    2 per weight and position forward and 2 for the gradient of the input; in full mode 2 more for the weight's. The
    head meets scored tokens only. Attention: 4 per query, visible key and feature forward, twice that backward.
    """
    config = causal.config
    width = config.num_hidden_layers * config.hidden_size
    lengths, prompt_of = batch.segments.lengths, batch.segments.prompt_of
    seen = sum(
        n * (n / 2 + (lengths[p] if p != i else 0)) for i, (n, p) in enumerate(zip(lengths, prompt_of, strict=True))
    )
    per_weight = 6 if full else 4
    return float(
        per_weight * (body * sum(lengths) + causal.lm_head.weight.numel() * len(batch.targets)) + 12 * width * seen
    )


def peak_flops(device: torch.device) -> float | None:
    """The device's stated peak in bfloat16, where it is known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAK_FLOPS.items() if part in name), None)


class Journal:
    """A file of JSON lines with a `step` each. Opening it for a step drops the lines from that step on."""

    def __init__(self, file: Path, step: int) -> None:
        kept = []
        if file.is_file():
            for line in file.read_bytes().splitlines(keepends=True):
                # A killed run may leave half a line at the end.
                if line.endswith(b"\n") and json.loads(line)["step"] < step:
                    kept.append(line)
        with store.replacing(file) as partial:
            partial.write_bytes(b"".join(kept))
        self.stream = file.open("a")

    def write(self, *rows: Mapping[str, Any]) -> None:
        self.stream.write("".join(json.dumps(row) + "\n" for row in rows))
        self.stream.flush()

    def close(self) -> None:
        self.stream.close()


class Events:
    """A TensorBoard event file: TFRecords of Event messages, each a step's scalars. Writing it takes no package."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns() // 1_000_000_000}.{socket.gethostname()}.{time.time_ns() % 10**9}"
        self.stream = (folder / name).open("wb")
        self._record(_double(1, time.time()) + _bytes(3, b"brain.Event:2"))

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        values = b"".join(_bytes(1, _bytes(1, tag.encode()) + _float(2, value)) for tag, value in scalars.items())
        self._record(_double(1, time.time()) + _varint(2 << 3) + _varint(step) + _bytes(5, values))
        self.stream.flush()

    def _record(self, message: bytes) -> None:
        length = struct.pack("<Q", len(message))
        self.stream.write(length + _masked_crc(length) + message + _masked_crc(message))

    def close(self) -> None:
        self.stream.close()


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)


@cache
def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


def _masked_crc(content: bytes) -> bytes:
    """CRC-32C (Castagnoli), rotated and offset as TFRecord wants it."""
    table, crc = _crc_table(), 0xFFFFFFFF
    for byte in content:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)

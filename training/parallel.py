"""Several processes started by torchrun: weights sharded by FSDP2, every forward pass made by all of them at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

Item = TypeVar("Item")


def start(device: torch.device) -> torch.device:
    """Join the processes torchrun started, if it did, and return this process's device."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device


def world() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def shard(scorer: nn.Module, device: torch.device) -> None:
    """Shard the weights over the processes, a group per decoder layer; nothing to do for one process."""
    if world() == 1:
        return
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (world(),))
    causal: Any = scorer.causal
    for layer in causal.model.layers:
        fully_shard(layer, mesh=mesh)
    # The head is used by the scorer itself, so its weight belongs to the outermost group, which stays gathered.
    fully_shard(scorer, mesh=mesh)


def settle(scorer: nn.Module) -> None:
    """Put the outermost group back in shards, which a forward pass without a backward one leaves gathered."""
    if world() > 1:
        sharded: Any = scorer
        sharded.reshard()


def share(items: Sequence[Item]) -> list[tuple[Item, bool]]:
    """This process's part of the forward passes, as many as any other's; False marks one that only keeps step."""
    rounds = -(-len(items) // world())
    places = [turn * world() + rank() for turn in range(rounds)]
    return [(items[min(place, len(items) - 1)], place < len(items)) for place in places]


def add_up(values: Tensor) -> Tensor:
    """The sum over all processes."""
    if world() > 1:
        dist.all_reduce(values)
    return values


def merge(found: dict[str, Any]) -> dict[str, Any]:
    """The union of the processes' findings."""
    if world() == 1:
        return found
    gathered: list[Any] = [None] * world()
    dist.all_gather_object(gathered, found)
    return {name: value for part in gathered for name, value in part.items()}


def barrier() -> None:
    if world() > 1:
        dist.barrier()


def gathered(value: Tensor) -> Tensor:
    """The whole of a tensor that may be sharded. Every process must ask."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def assign(target: Tensor, value: Tensor) -> None:
    """Copy a whole tensor into one that may be sharded."""
    value = value.to(target.device, target.dtype)
    if isinstance(target, DTensor):
        value = distribute_tensor(value, target.device_mesh, target.placements)
    target.copy_(value)

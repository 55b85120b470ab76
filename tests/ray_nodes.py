"""Nodes of a Ray cluster on this machine, small enough to have several."""

from __future__ import annotations

from typing import Any

# Ray's workers are nice by 15, so that a busy machine would leave them nothing.
ENVIRONMENT = {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}
TRIES = 3


def add_node(cluster: Any, cpus: int) -> Any:
    """Another node, the head if it is the first. Ray gives up after half a minute: too little on a busy machine."""
    options = {"object_store_memory": 80 << 20, "include_dashboard": False, "include_log_monitor": False}
    for left in reversed(range(TRIES)):
        try:
            return cluster.add_node(num_cpus=cpus, **options)
        except Exception as error:
            if not left or "timed out during startup" not in str(error):
                raise

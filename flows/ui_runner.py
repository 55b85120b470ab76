"""What serves the flows of `pairwright ui`, a process of its own: a deployment per flow, and the runs it starts.

python -m flows.ui_runner PARENT ROOT
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.deployments.runner import EntrypointType
from prefect.runner import Runner

from flows.prefect_flows import build_dataset, curate_version, evaluate_policy, publish_version
from flows.prefect_runs import SERVED_BY, bury
from flows.prefect_server import HOME, prefect_answers
from flows.ui import READY
from sandbox.harden import die_with_parent

log = logging.getLogger(__name__)
SWEEP = 5.0
"""Seconds between two looks for runs whose process is gone."""
TAGS = {
    "build-dataset": ["dataset"],
    "curate-version": ["dataset"],
    "publish-version": ["dataset", "hub"],
    "train-policy": ["policy"],
    "iterate": ["dataset", "policy"],
    "evaluate-policy": ["policy"],
}


def flows() -> list[Flow[..., Any]]:
    """Every flow that can run here."""
    found: list[Flow[..., Any]] = [build_dataset, curate_version, publish_version]
    if importlib.util.find_spec("torch"):
        from flows.prefect_training import iterate_rounds, train_policy

        found += [train_policy, iterate_rounds]
    return [*found, evaluate_policy]


async def serve(root: Path) -> None:
    """Make the deployments and start their runs until SIGTERM; their forms start with this root."""
    while not prefect_answers():
        await asyncio.sleep(0.2)
    look_for_dead(unserved=True)
    threading.Thread(target=keep_looking, name="dead runs", daemon=True).start()
    runner = Runner(name="pairwright", pause_on_shutdown=False)
    for flow in flows():
        deployment = await flow.ato_deployment(
            flow.name,
            tags=["pairwright", *TAGS[flow.name]],
            parameters={"root": str(root)},
            entrypoint_type=EntrypointType.MODULE_PATH,  # a file's path would hold in one folder only
        )
        await runner.aadd_deployment(deployment)
    (root / HOME / READY).touch()
    await runner.start()


def keep_looking() -> None:
    """Mark the runs whose process is gone, for ever."""
    while True:
        time.sleep(SWEEP)
        look_for_dead()


def look_for_dead(**options: bool) -> None:
    """Mark them now; a server that does not answer is asked again later."""
    try:
        with get_client(sync_client=True) as client:
            for name in bury(client, **options):
                log.info("the run %r is gone: Retry on its page goes on from its finished shards", name)
    except httpx.HTTPError as error:
        log.info("cannot look for dead runs now: %s", type(error).__name__)


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    os.environ[SERVED_BY] = str(os.getpid())
    asyncio.run(serve(Path(sys.argv[2])))

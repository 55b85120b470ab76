"""How a Prefect server is set up, and whether one is there to show a run. Importing this does not import Prefect."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from curation.errors import UserError
from flows.terminal import messages

HOME = ".prefect"
"""The folder, beside the datasets, of the server's database and logs."""
PACKAGES = ("flows", "curation", "analysis", "training")

# Nothing is sent anywhere, by the server, by Python or by the browser (the newer of Prefect's two pages asks another
# host for its settings, so the server opens with the older one).
PRIVATE = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_UI_V2_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
}
# Task runs and events are written many at a time: by default each is a transaction of its own, which costs five times
# the processor and leaves the page a minute behind a run of 500 tasks (Prefect issues 16299 and 22807).
BATCHED = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "1",
}
# A server whose database is busy, or that was just started again, now and then answers 500, at which a client gives up
# and the run fails, whatever it has made (Prefect issues 12442 and 19090). 503 it asks again by itself.
PATIENT = {"PREFECT_CLIENT_RETRY_EXTRA_CODES": "500"}
# The log of a run is what our stages say; that a task finished is said by the stage itself, with what it did.
STORY = {
    "PREFECT_LOGGING_EXTRA_LOGGERS": ",".join(PACKAGES),
    "PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL": "WARNING",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}


def settings(home: Path, url: str) -> dict[str, str]:
    """The environment of a server, of what it serves and of its clients; what the user has set comes first.

    `PREFECT_SERVER_DATABASE_CONNECTION_URL`, as in postgresql+asyncpg://user:password@host/prefect, is the one setting
    that takes the database elsewhere than `home`.
    """
    own = {"PREFECT_HOME": str(home.resolve()), "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    chosen = {**own, **PRIVATE, **BATCHED, **PATIENT, **STORY}
    return {**chosen, **os.environ, "PREFECT_API_URL": f"{url}/api", "PREFECT_UI_URL": url}


def use_prefect(server: str) -> bool:
    """Whether to run as a flow: asked for, and a server answers. Says so where one is configured and silent."""
    if server == "off":
        return False
    if not prefect_answers():
        if os.environ.get("PREFECT_API_URL"):
            messages.print(f"no Prefect server answers at {os.environ['PREFECT_API_URL']}: running without it")
        return False
    # The log goes to Prefect's server: our bars are on the terminal, and a failure is told there in one line.
    for name, value in {**PRIVATE, **PATIENT, **STORY, "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}.items():
        os.environ.setdefault(name, value)
    return True


def prefect_answers() -> bool:
    """Whether a Prefect server is configured and healthy; asked with a second's patience, never started."""
    url = os.environ.get("PREFECT_API_URL")
    return bool(url) and healthy(str(url))


def healthy(api_url: str, patience: float = 1.0) -> bool:
    """Whether a Prefect server, and not something else, answers there within so many seconds."""
    import httpx

    try:
        answer = httpx.get(f"{api_url.rstrip('/')}/health", timeout=patience)
        return answer.is_success and answer.json() is True
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return False


@contextmanager
def connected() -> Iterator[None]:
    """Run a flow; a server that is gone in the middle of it is one line.

    Raises:
        UserError: the server did not answer any more.
    """
    import httpx

    try:
        yield
    except (httpx.TransportError, RuntimeError) as error:
        # Prefect itself says it so where it had not begun.
        if isinstance(error, RuntimeError) and not str(error).startswith("Failed to reach API"):
            raise
        raise UserError(
            f"the Prefect server at {os.environ.get('PREFECT_API_URL')} does not answer any more "
            f"({type(error).__name__}): finished shards are kept, the same command goes on from them, "
            "and --server off does without it"
        ) from error

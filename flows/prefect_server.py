"""Whether a Prefect server is there to show a run. Importing this does not import Prefect."""

from __future__ import annotations

import os

from flows.terminal import messages


def use_prefect(server: str) -> bool:
    """Whether to run as a flow: asked for, and a server answers. Says so where one is configured and silent."""
    if server == "off":
        return False
    if not prefect_answers():
        if os.environ.get("PREFECT_API_URL"):
            messages.print(f"no Prefect server answers at {os.environ['PREFECT_API_URL']}: running without it")
        return False
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    # The log goes to Prefect's server: our bars are on the terminal, and a failure is told there in one line.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    return True


def prefect_answers() -> bool:
    """Whether a Prefect server is configured and healthy; asked with a second's patience, never started."""
    url = os.environ.get("PREFECT_API_URL")
    if not url:
        return False
    import httpx

    try:
        return httpx.get(f"{url.rstrip('/')}/health", timeout=1.0).is_success
    except httpx.HTTPError:
        return False

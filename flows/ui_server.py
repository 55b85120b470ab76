"""The server of `pairwright ui`, a process of its own: Prefect's API and page, and the reports of our datasets.

python -m flows.ui_server PARENT DESCRIPTOR ROOT
"""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse
from fastapi.routing import APIRoute
from prefect.server.api.server import create_app
from prefect.settings import get_current_settings

from analysis.report import file_of
from curation.manifest import NAME
from flows.asking_again import AskingAgain
from sandbox.harden import die_with_parent

# What a report may do where it is served: show itself. It holds what models wrote, beside an API that runs flows.
POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'unsafe-inline'; img-src data:"
)


def application(root: Path) -> FastAPI:
    """Prefect's application, which answers everything, with our reports before it."""
    app = create_app(final=True)
    app.add_middleware(AskingAgain)

    def report(dataset: str, version: int) -> FileResponse:
        file = file_of(root / dataset / str(version))
        if not NAME.fullmatch(dataset) or not file.is_file():
            raise HTTPException(404, f"no such report: pairwright report {dataset}@{version} writes it")
        return FileResponse(file, headers={"Content-Security-Policy": POLICY})

    app.router.routes.insert(0, APIRoute("/reports/{dataset}/{version}", report))
    return app


def main(parent: int, descriptor: int, root: Path) -> None:
    """Serve on a socket that listens already, until SIGTERM."""
    die_with_parent(parent)
    settings = get_current_settings().server
    uvicorn.run(
        application(root),
        fd=descriptor,
        timeout_keep_alive=settings.api.keepalive_timeout,
        ws_ping_interval=settings.api.websocket_ping_interval,
        ws_ping_timeout=settings.api.websocket_ping_timeout,
        timeout_graceful_shutdown=5,
        log_level=settings.logging_level.lower(),
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))

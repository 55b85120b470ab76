"""A busy database behind the page: what is asked again, how often, and what is let through as it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.types import Message, Receive, Scope, Send

from flows import asking_again
from flows.asking_again import TRIES, AskingAgain

BODY = b'{"state": "' + b"x" * 200_000 + b'"}'


class Busy(Exception):
    """What a locked database raises."""


async def busy(request: Request, error: Exception) -> Response:
    return JSONResponse({"exception_message": "Service Unavailable"}, status_code=503)


def asked(times: int, monkeypatch: pytest.MonkeyPatch) -> tuple[httpx.Response, list[tuple[str, bytes]]]:
    """The reply of an application that is busy so many times, and what it was asked."""
    seen: list[tuple[str, bytes]] = []

    async def answer(request: Request) -> Response:
        seen.append((request.url.path + request.path_params["name"], await request.body()))
        if len(seen) <= times:
            raise Busy
        return JSONResponse({"made": len(seen)}, status_code=201)

    # Mounted as Prefect's API is: the mount changes the scope that it is given.
    api = Starlette(routes=[Route("/runs/{name}", answer, methods=["POST"])], exception_handlers={Exception: busy})
    app = Starlette(routes=[Mount("/api", api)])
    app.add_middleware(AskingAgain)
    monkeypatch.setattr(asking_again, "PAUSE", 0.001)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.post("/api/runs/one", content=BODY)

    return asyncio.run(ask()), seen


@pytest.mark.parametrize("times", [0, 1, TRIES - 1])
def test_a_request_that_meets_a_busy_database_is_asked_again_with_all_it_said(
    times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply, seen = asked(times, monkeypatch)
    assert (reply.status_code, reply.json()) == (201, {"made": times + 1})
    assert seen == [("/api/runs/oneone", BODY)] * (times + 1)


def test_one_that_stays_busy_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    reply, seen = asked(10 * TRIES, monkeypatch)
    assert (reply.status_code, reply.json()) == (503, {"exception_message": "Service Unavailable"})
    assert len(seen) == TRIES


def test_other_errors_are_passed_on_and_asked_once() -> None:
    calls = []

    async def broken(request: Request) -> Response:
        calls.append(request.url.path)
        raise ValueError("no such run")

    app = AskingAgain(Starlette(routes=[Route("/", broken)]))

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            return await client.get("/")

    with pytest.raises(ValueError, match="no such run"):
        asyncio.run(ask())
    assert calls == ["/"]


def test_a_stream_is_passed_on_as_it_comes_and_sockets_are_not_touched() -> None:
    sent: list[Message] = []
    halves: list[int] = []

    async def lines() -> AsyncIterator[bytes]:
        yield b"first\n"
        halves.append(len(sent))
        yield b"second\n"

    async def stream(request: Request) -> Response:
        return StreamingResponse(lines())

    async def socket(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})

    async def receive() -> Message:
        await asyncio.sleep(0)
        if any(message.get("body") == b"second\n" for message in sent):
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b"", "root_path": ""}
    asyncio.run(AskingAgain(Starlette(routes=[Route("/", stream)]))(scope, receive, send))
    assert halves == [2]  # the start of the reply and its first line were out before the second was made
    asyncio.run(AskingAgain(socket)({"type": "websocket"}, receive, send))
    assert sent[-1] == {"type": "websocket.accept"}

"""Requests that meet a busy database, asked again in the server, as a browser does not.

Prefect's transactions on SQLite read first and write later; where another wrote in between, SQLite says that the
database is locked, at once, whatever time-out is set, and the server answers 503. Prefect's own clients ask again. Its
page shows an empty list instead, or loses the form that was sent.
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

TRIES = 6
PAUSE = 0.1  # seconds before the second try, doubled before each one that follows
BUSY = 503


class AskingAgain:
    """ASGI middleware: a request that is answered 503 is put to the application again, up to `TRIES` times.

    Nothing of it was kept, as its transaction ended with the error. Replies are passed on as they come.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = await _body(receive)
        for pause in [PAUSE * 2**number for number in range(TRIES - 1)]:
            if not await self._busy(dict(scope), _again(body, receive), send):
                return
            await asyncio.sleep(pause)
        await self.app(scope, _again(body, receive), send)

    async def _busy(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Whether the answer is that the database is busy, which is then not passed on."""
        busy = False

        async def passed_on(message: Message) -> None:
            nonlocal busy
            busy = busy or (message["type"] == "http.response.start" and message["status"] == BUSY)
            if not busy:
                await send(message)

        try:
            await self.app(scope, receive, passed_on)
        except Exception:
            # Starlette answers, and raises the error all the same for whoever keeps a log.
            if not busy:
                raise
        return busy


async def _body(receive: Receive) -> list[Message]:
    """A request's messages to the last."""
    messages = [await receive()]
    while messages[-1].get("more_body", False):
        messages.append(await receive())
    return messages


def _again(body: list[Message], receive: Receive) -> Receive:
    """The same messages once more; then what comes, which is that the client has gone."""
    left = iter(body)

    async def next_one() -> Message:
        message = next(left, None)
        return await receive() if message is None else message

    return next_one

"""Sampling from servers that speak OpenAI's protocol, as `vllm serve` does on other machines.

One request asks for all `n` completions of a problem. Requests are under way `concurrency` at a time, dealt to the
servers in turn. What may pass (no connection, 429, 5xx) is tried again after a growing pause, on another server where
there is one; a server that does not answer at all is dropped. Covered: a key in a header, log-probabilities where the
server gives them, and vLLM's own `return_token_ids`. Not covered: servers that stream only.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from typing import Any, NoReturn
from weakref import WeakSet

import httpx

from curation.errors import UnreachableError, UserError
from curation.prompts import code_of
from curation.samplers import Answers, Done, Model, Request, Sample, nobody
from curation.sampling import Sampling
from curation.schema import identify

log = logging.getLogger(__name__)

PAUSE = 0.5  # seconds before the first repetition; doubled each time, with up to as much again by chance
LONGEST_PAUSE = 30.0
PASSES = frozenset((408, 409, 425, 429, 500, 502, 503, 504))
# Connections refused in a row after which a server counts as gone.
STRIKES = 3


class OpenAISampler:
    """A model behind one or more servers. Safe to call from several threads."""

    def __init__(self, config: Sampling) -> None:
        # The next shard's requests take the places that the slow ones at a shard's end leave free.
        self.at_once = 2
        self._config = config
        self._threads = ThreadPoolExecutor(config.concurrency, thread_name_prefix="openai")
        self._servers = _Servers(config.base_urls)
        headers = {"Authorization": f"Bearer {_key(config.api_key_env)}"} if config.api_key_env else {}
        limits = httpx.Limits(max_connections=config.concurrency, max_keepalive_connections=config.concurrency)
        self._client = httpx.Client(headers=headers, timeout=httpx.Timeout(config.timeout, connect=10.0), limits=limits)
        # vLLM's extras, dropped for good when a server refuses a request because of them.
        self._extras = True
        self._closed = threading.Event()
        self._streams: WeakSet[Any] = WeakSet()
        self._streams_lock = threading.Lock()

    def sample(self, requests: Sequence[Request], seed: int, on_done: Done = nobody) -> list[Answers]:
        """`n` completions of every request; each problem has a seed of its own, whatever its shard.

        Raises:
            UserError: no server answers, or one refuses the key, the model or the request.
        """
        answers: dict[int, Answers] = {}
        running: dict[Future[Answers], int] = {}
        try:
            for place, request in enumerate(requests):
                running[self._threads.submit(self._ask, request)] = place
            for future in as_completed(running):
                answers[running[future]] = future.result()
                on_done(self._config.n)
        except BaseException:
            self._closed.set()  # those that wait for another try give up
            for future in running:
                future.cancel()
            raise
        return [answers[place] for place in range(len(requests))]

    def model(self) -> Model:
        """As the recipe names it; a server does not tell its commit."""
        return Model(self._config.model or "", self._config.revision)

    def program(self, request: Request, answers: Answers, text: str) -> str | None:
        """The program in a chat answer, or the prompt continued."""
        return code_of(request.problem, text, continues=answers.continues)

    def close(self) -> None:
        """Close the connections; what is under way fails, what waits never begins."""
        self._closed.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._streams_lock:
            streams = list(self._streams)
        for stream in streams:
            _end(stream)
        self._client.close()

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Remember the connections, to end them; one that `close` came too early to see ends here."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            stream = info["return_value"]
            with self._streams_lock:
                self._streams.add(stream)
            if self._closed.is_set():
                _end(stream)

    def _ask(self, request: Request) -> Answers:
        chats = self._config.prompt != "completion"
        seed = int(identify("problem", self._config.seed, request.problem["problem_id"]), 16) % 2**31
        route = "chat/completions" if chats else "completions"
        reply = self._post(route, lambda extras: self._body(request, chats, seed, extras))
        return self._answers(reply, request, chats)

    def _body(self, request: Request, chats: bool, seed: int, extras: bool) -> dict[str, Any]:
        config = self._config
        body: dict[str, Any] = {
            "model": config.model,
            "n": config.n,
            "temperature": config.temperature,
            "top_p": config.top_p,
            "max_tokens": config.max_tokens,
            "seed": seed,
        }
        if chats:
            body |= {"messages": list(request.prompt.messages), "logprobs": True, "top_logprobs": 0}
        else:
            body |= {"prompt": request.prompt.text, "logprobs": 0}
        usual = () if chats else request.prompt.stop
        if stop := list(usual if config.stop is None else config.stop):
            body["stop"] = stop if extras else stop[:4]  # the protocol takes four at most, vLLM any number
        if extras:
            body |= {"return_token_ids": True, "include_stop_str_in_output": True}
        return body

    def _post(self, route: str, body_with: Any) -> dict[str, Any]:
        """The reply to one request, tried again while that may help."""
        reason = ""
        for attempt in range(self._config.retries + 1):
            if attempt:
                pause = min(PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE)
                if self._closed.wait(pause * (1 + random.random())):
                    break
            server = self._servers.next()
            extras = self._extras
            try:
                response = self._send(f"{server}/{route}", body_with(extras))
                if response.status_code in (400, 422) and extras:
                    # Perhaps it knows no extras. If it is about something else, the plain request says so.
                    response = self._send(f"{server}/{route}", body_with(False))
                    if response.is_success:
                        self._extras = False
            except httpx.TransportError as error:
                reason = f"{server}: {type(error).__name__} {error}".strip()
                self._servers.failed(server, reason, gone=isinstance(error, httpx.ConnectError))
                continue
            self._servers.answered(server)
            if response.is_success:
                return _json(response, server)
            reason = f"{server}: {response.status_code} {_message(response)}"
            if response.status_code not in PASSES:
                _refuse(response, server, self._config)
            log.info("will ask again: %s", reason)
        raise UnreachableError(
            f"gave up after {self._config.retries + 1} tries ({reason}): see to the server and run the same command; "
            "finished shards are kept"
        )

    def _send(self, url: str, body: Mapping[str, Any]) -> httpx.Response:
        return self._client.post(url, json=body, extensions={"trace": self._trace})

    def _answers(self, reply: Mapping[str, Any], request: Request, chats: bool) -> Answers:
        choices = sorted(reply["choices"], key=lambda choice: choice.get("index", 0))
        if len(choices) != self._config.n:
            raise UserError(
                f"the server gave {len(choices)} completions where n={self._config.n} were asked for: "
                "use a server that knows n, such as vLLM"
            )
        samples = [_sample(choice, chats) for choice in choices]
        prompt_ids = reply.get("prompt_token_ids") or choices[0].get("prompt_token_ids")
        # A chat template is applied by the server, unseen: the prompt is then what was sent, message by message.
        sent = "\n\n".join(message["content"] for message in request.prompt.messages)
        return Answers(sent if chats else request.prompt.text, samples, prompt_ids, continues=not chats)


class _Servers:
    """The servers still in use, in turn."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = [url.rstrip("/") for url in urls]
        self._strikes = dict.fromkeys(self._urls, 0)
        self._turn = 0
        self._last = ""
        self._lock = threading.Lock()

    def next(self) -> str:
        """Whose turn it is. Raises UserError where none is left, with the last failure of any request."""
        with self._lock:
            if not self._urls:
                raise UnreachableError(
                    f"no server answers (last: {self._last}): start one, or set base_urls "
                    "(vLLM: `python -m vllm.entrypoints.openai.api_server --model NAME`)"
                )
            self._turn += 1
            return self._urls[self._turn % len(self._urls)]

    def failed(self, url: str, reason: str, *, gone: bool) -> None:
        """Count a failure; a server that refuses connections is dropped."""
        with self._lock:
            self._last = reason
            if url in self._urls:
                self._strikes[url] += 1
                if gone and self._strikes[url] >= STRIKES:
                    self._urls.remove(url)
                    log.warning("dropped a server that does not answer, %d left: %s", len(self._urls), reason)

    def answered(self, url: str) -> None:
        """It lives."""
        with self._lock:
            self._strikes[url] = 0


def _end(stream: Any) -> None:
    """End a connection: closing a socket would not wake a thread that reads from it, and that waits for an answer."""
    with suppress(OSError):
        stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


def _key(variable: str) -> str:
    key = os.environ.get(variable)
    if not key:
        raise UserError(f"api_key_env names the variable {variable}, which is not set: export it, or leave it out")
    return key


def _json(response: httpx.Response, server: str) -> dict[str, Any]:
    try:
        reply = response.json()
    except ValueError:
        reply = None
    if not isinstance(reply, dict) or not reply.get("choices"):
        raise UserError(f"{server} does not speak OpenAI's protocol: expected choices, found {response.text[:80]!r}")
    return reply


def _message(response: httpx.Response) -> str:
    """What a server says about an error: OpenAI and vLLM put it into error.message."""
    try:
        content = response.json()
        error = content.get("error", content)
        text = error.get("message", error) if isinstance(error, dict) else error
    except (ValueError, AttributeError):
        text = response.text
    return " ".join(str(text).split())[:300]


def _refuse(response: httpx.Response, server: str, config: Sampling) -> NoReturn:
    """One line about a refusal that asking again will not change."""
    said = _message(response)
    if response.status_code in (401, 403):
        raise UserError(f"{server} refuses the key ({said}): set api_key_env to the variable that holds it")
    if response.status_code == 404:
        raise UserError(f"{server} does not know the model {config.model!r} ({said}): GET {server}/models lists them")
    raise UserError(f"{server} refuses the request: {response.status_code} {said}")


def _sample(choice: Mapping[str, Any], chats: bool) -> Sample:
    """One choice of a reply. Token ids and log-probabilities are null where the server gives none."""
    text = choice["message"]["content"] if chats else choice["text"]
    ids = choice.get("token_ids")
    logprobs = choice.get("logprobs") or {}
    if chats:
        content = logprobs.get("content")
        logps = [entry["logprob"] for entry in content] if content else None
    else:
        logps = logprobs.get("token_logprobs")
    if ids is not None and logps is not None and len(ids) != len(logps):
        logps = None  # some servers leave the end token out of one of them: better none than those of other tokens
    return Sample(text or "", ids, logps, choice.get("finish_reason"))

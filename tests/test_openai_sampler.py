"""Servers that fail, refuse, vanish and come back: what is tried again, what is one clear line."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from conftest import problem
from curation import openai_sampler
from curation.errors import UserError
from curation.openai_sampler import OpenAISampler
from curation.samplers import Answers, request_for
from curation.sampling import Sampling

Reply = tuple[int, Any]


def chat(body: dict[str, Any]) -> Reply:
    """A server that gives tokens and log-probabilities, as vLLM does."""
    task = body["messages"][-1]["content"]
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": f"{index}: {task[:30]}"},
            "finish_reason": "stop",
            "token_ids": [index, 2],
            "logprobs": {"content": [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -0.25}]},
        }
        for index in reversed(range(body["n"]))
    ]
    return 200, {"choices": choices, "prompt_token_ids": [9, 8]}


class Server(ThreadingHTTPServer):
    """Answers by `script(body)` and keeps what it was asked."""

    daemon_threads = True

    def __init__(self, script: Callable[[dict[str, Any]], Reply]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.bodies, self.headers, self.paths = script, [], [], []  # type: ignore[var-annotated]
        self.url = f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        self.server.headers.append(dict(self.headers))
        self.server.paths.append(self.path)
        status, reply = self.server.script(body)
        content = (reply if isinstance(reply, str) else json.dumps(reply)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def serving(*scripts: Callable[[dict[str, Any]], Reply]) -> Iterator[list[Server]]:
    with ExitStack() as stack:
        servers = []
        for script in scripts:
            server = stack.enter_context(Server(script))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
            servers.append(server)
        yield servers


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_sampler, "PAUSE", 0.001)


def nowhere() -> str:
    """An address that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


def ask(*urls: str, tasks: int = 3, **options: Any) -> list[Answers]:
    config = Sampling(**({"sampler": "openai", "model": "m", "n": 2, "base_urls": urls, "retries": 3} | options))
    sampler = OpenAISampler(config)
    try:
        requests = [request_for(problem(f"t{number}", prompt=f"# {number}"), config) for number in range(tasks)]
        return sampler.sample(requests, seed=0)
    finally:
        sampler.close()


def test_answers_come_in_order_with_tokens_and_log_probabilities() -> None:
    with serving(chat) as (server,):
        answers = ask(server.url, tasks=5, concurrency=4, temperature=0.5, max_tokens=7)
    assert [answer.prompt.count(f"# {number}") for number, answer in enumerate(answers)] == [1] * 5
    first = answers[0].samples[0]
    assert first.text.startswith("0: Complete") and list(first.token_ids or ()) == [0, 2]
    assert first.token_logps == [-0.5, -0.25] and answers[0].prompt_token_ids == [9, 8]
    assert {(b["model"], b["n"], b["temperature"], b["max_tokens"]) for b in server.bodies} == {("m", 2, 0.5, 7)}
    assert len({body["seed"] for body in server.bodies}) == 5 and set(server.paths) == {"/v1/chat/completions"}


def test_the_seed_of_a_problem_is_its_own_whatever_it_is_asked_with() -> None:
    with serving(chat) as (server,):
        ask(server.url, tasks=3, concurrency=1)
        ask(server.url, tasks=1)
    assert server.bodies[0]["seed"] == server.bodies[3]["seed"]


def test_a_prompt_to_continue_goes_to_the_other_route() -> None:
    def complete(body: dict[str, Any]) -> Reply:
        choice = {"text": "    return 1\n", "finish_reason": "stop", "logprobs": {"token_logprobs": [-1.0]}}
        return 200, {"choices": [choice | {"index": index} for index in range(body["n"])]}

    with serving(complete) as (server,):
        (answer,) = ask(server.url, tasks=1, prompt="completion")
    assert server.paths == ["/v1/completions"] and server.bodies[0]["prompt"] == "# 0"
    assert answer.continues and answer.samples[0].token_logps == [-1.0] and answer.samples[0].token_ids is None


def test_stop_texts_go_along_and_end_what_is_continued_by_themselves() -> None:
    def complete(body: dict[str, Any]) -> Reply:
        return 200, {"choices": [{"text": "x", "message": {"content": "x"}, "index": 0}]}

    with serving(complete) as (server,):
        ask(server.url, tasks=1, n=1)
        ask(server.url, tasks=1, n=1, prompt="completion")
        ask(server.url, tasks=1, n=1, stop=["\n```\n"])
    assert [body.get("stop") for body in server.bodies] == [
        None,
        ["\nclass", "\ndef", "\n#", "\nif", "\nprint"],
        ["\n```\n"],
    ]


def test_a_server_that_is_busy_or_stumbles_is_asked_again() -> None:
    replies = iter([(429, "slow down"), (503, {"error": {"message": "loading"}}), (500, "oops")])
    with serving(lambda body: next(replies, None) or chat(body)) as (server,):
        answers = ask(server.url, tasks=1)
    assert len(answers[0].samples) == 2 and len(server.bodies) == 4


def test_one_that_never_recovers_is_given_up_with_its_last_words() -> None:
    with serving(lambda body: (503, {"error": {"message": "the model\nis loading"}})) as (server,):
        with pytest.raises(UserError, match=r"gave up after 4 tries \(http.*503 the model is loading\)"):
            ask(server.url, tasks=1)
    assert len(server.bodies) == 4


def test_a_dead_server_is_dropped_and_the_others_do_its_work(caplog: pytest.LogCaptureFixture) -> None:
    dead = nowhere()
    with serving(chat, chat) as (one, two):
        answers = ask(one.url, dead, two.url, tasks=24, concurrency=1)
    assert len(answers) == 24 and min(len(one.bodies), len(two.bodies)) >= 8
    (line,) = [record.getMessage() for record in caplog.records if "dropped" in record.getMessage()]
    assert line.startswith(f"dropped a server that does not answer, 2 left: {dead}")


def test_no_server_at_all_is_one_line() -> None:
    dead = nowhere()
    with pytest.raises(UserError) as refusal:
        ask(dead, tasks=2)
    assert "no server answers" in str(refusal.value) and dead in str(refusal.value)
    assert "vllm.entrypoints.openai.api_server" in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_request_that_comes_when_no_server_is_left_says_why_too() -> None:
    dead = nowhere()
    config = Sampling(sampler="openai", model="m", base_urls=(dead,), retries=3)
    with closing(OpenAISampler(config)) as sampler:
        for number in range(2):
            with pytest.raises(UserError, match=rf"^no server answers \(last: {dead}: ConnectError .*refused\)"):
                sampler.sample([request_for(problem(f"t{number}"), config)], seed=0)


@pytest.mark.parametrize(
    ("status", "reply", "said"),
    [
        (401, {"error": {"message": "Incorrect API key"}}, r"refuses the key \(Incorrect API key\): set api_key_env"),
        (404, {"error": {"message": "The model `m` does not exist."}}, r"does not know the model 'm' \(The model `m`"),
        (400, {"message": "max_tokens is too large"}, "refuses the request: 400 max_tokens is too large"),
        (200, "<html>", "does not speak OpenAI's protocol: expected choices, found '<html>'"),
        (200, {"choices": [{"message": {"content": "x"}}]}, "gave 1 completions where n=2 were asked for"),
    ],
)
def test_a_refusal_is_one_line_and_not_asked_again(status: int, reply: Any, said: str) -> None:
    with serving(lambda body: (status, reply)) as (server,):
        with pytest.raises(UserError, match=said) as refusal:
            ask(server.url, tasks=1)
    assert "\n" not in str(refusal.value)
    assert len(server.bodies) == (2 if status == 400 else 1), "400 is asked once more, without vLLM's extras"


def test_a_server_that_refuses_vllms_extras_is_asked_without_them_from_then_on() -> None:
    def strict(body: dict[str, Any]) -> Reply:
        return (400, "unknown field return_token_ids") if "return_token_ids" in body else chat(body)

    with serving(strict) as (server,):
        assert len(ask(server.url, tasks=3, concurrency=1)) == 3
    assert ["return_token_ids" in body for body in server.bodies] == [True, False, False, False]


def test_log_probabilities_that_do_not_belong_to_the_tokens_are_left_out() -> None:
    def short(body: dict[str, Any]) -> Reply:
        status, reply = chat(body)
        for choice in reply["choices"]:
            choice["token_ids"].append(3)
        return status, reply

    with serving(short) as (server,):
        (answer,) = ask(server.url, tasks=1)
    assert answer.samples[0].token_logps is None and list(answer.samples[0].token_ids or ()) == [0, 2, 3]


def test_the_key_comes_from_the_environment_and_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "s3cret")
    with serving(chat) as (server,):
        ask(server.url, tasks=1, api_key_env="SOME_KEY")
    assert server.headers[0]["Authorization"] == "Bearer s3cret"
    with pytest.raises(UserError, match="names the variable OTHER_KEY, which is not set"):
        ask("http://127.0.0.1:1/v1", api_key_env="OTHER_KEY")


def test_closing_ends_what_waits_for_an_answer() -> None:
    asked, answer = threading.Event(), threading.Event()

    def slow(body: dict[str, Any]) -> Reply:
        asked.set()
        answer.wait(60)
        return chat(body)

    with serving(slow) as (server,):
        config = Sampling(sampler="openai", model="m", n=1, base_urls=(server.url,), concurrency=1)
        sampler = OpenAISampler(config)
        closing = threading.Thread(target=lambda: asked.wait(60) and sampler.close())
        closing.start()
        with pytest.raises((UserError, CancelledError)):
            sampler.sample([request_for(problem(f"t{number}"), config) for number in range(2)], seed=0)
        closing.join()
        assert not answer.is_set() and len(server.bodies) == 1
        answer.set()


def test_closing_ends_a_connection_that_was_not_there_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    answer, closed, remember = threading.Event(), threading.Event(), OpenAISampler._trace

    def late(sampler: OpenAISampler, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            closing = threading.Thread(target=sampler.close)
            closing.start()
            closing.join()
            closed.set()
        remember(sampler, event, info)

    def never(body: dict[str, Any]) -> Reply:
        answer.wait(60)
        return chat(body)

    monkeypatch.setattr(OpenAISampler, "_trace", late)
    with serving(never) as (server,):
        config = Sampling(sampler="openai", model="m", n=1, base_urls=(server.url,), concurrency=1)
        with pytest.raises(UserError, match="gave up"):
            OpenAISampler(config).sample([request_for(problem("t"), config)], seed=0)
        assert closed.is_set() and not answer.is_set()
        answer.set()


def test_requests_of_the_next_shard_take_the_places_that_are_free_at_a_shards_end() -> None:
    meeting = threading.Barrier(2)

    def together(body: dict[str, Any]) -> Reply:
        meeting.wait(60)  # lets nobody through before two are under way
        return chat(body)

    with serving(together) as (server,):
        config = Sampling(sampler="openai", model="m", n=1, base_urls=(server.url,), concurrency=2)
        sampler = OpenAISampler(config)
        with ThreadPoolExecutor(sampler.at_once) as shards:
            requests = [[request_for(problem(f"t{number}"), config)] for number in range(2)]
            answers = list(shards.map(lambda one: sampler.sample(one, seed=0), requests))
        sampler.close()
    assert [len(one) for one in answers] == [1, 1]

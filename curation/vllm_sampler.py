"""Sampling with vLLM on this machine. The one file that imports vLLM, and only inside its child process.

The engine lives in a child of ours (`python -m curation.vllm_sampler`) that speaks JSON lines: vLLM's output goes to
a log file instead of the user's terminal, its environment variables stay out of this process, all memory is free when
it ends, and it ends when its parent does, however that happens.

Determinism: a per-request seed crashes vLLM's CPU build (0.32: "CPU Generator does not use offset", where a prefill is
chunked), so the generators are seeded anew before every shard, and the prefix cache is emptied. With the engine in
the same process as its scheduler every batch is put together alike. A shard then comes out the same whatever ran
before it, on the same machine and build; a test holds this against a killed and resumed run.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import queue
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

from curation.embedded import NAME, embedded_model, embedded_name, gguf_file, sha256
from curation.errors import MissingError, UserError
from curation.prompts import code_of
from curation.samplers import Answers, Done, Model, Request, Sample, Start, nobody
from curation.sampling import Generation, Sampling
from curation.schema import identify
from curation.steps import token_ends

log = logging.getLogger(__name__)

EMBEDDED = "embedded"
MIB = 1 << 20
# Chosen where the user has not: quiet, no usage statistics, tokenizers without threads of their own.
ENVIRONMENT = {
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Threads that wait give the core away. Spinning, as is OpenMP's own default, made a busy two-core machine four
    # times slower: 23 tokens per CPU second against 94 (135M parameters, float32, 64 at once).
    "OMP_WAIT_POLICY": "PASSIVE",
}


class VllmSampler:
    """Copies of a model in vLLM, each in a process of its own; started at the first `sample`, one per call under way.

    Safe to call from `at_once` threads: each call takes a free copy and gives it back.
    """

    def __init__(self, config: Sampling) -> None:
        if importlib.util.find_spec("vllm") is None:
            raise MissingError(
                "sampler vllm needs vLLM, which is not installed: install the extra cpu or gpu, "
                "or sample from a server (sampler: openai)"
            )
        self.at_once = config.data_parallel_size
        self._config = config
        self._engines = [_Engine(config, number) for number in range(self.at_once)]
        self._free: queue.Queue[_Engine] = queue.Queue()
        for engine in self._engines:
            self._free.put(engine)

    def sample(self, requests: Sequence[Request], seed: int, on_done: Done = nobody) -> list[Answers]:
        """`n` completions of every request, with token ids and the log-probabilities before temperature.

        Raises:
            UserError: the model cannot be loaded, or vLLM ended.
        """
        with self.held() as engine:
            return engine.sample(requests, seed, on_done)

    @contextmanager
    def held(self) -> Iterator[_Engine]:
        """A free copy, given back at the end: what it goes on with comes out the same whatever other copies do."""
        engine = self._free.get()
        try:
            yield engine
        finally:
            self._free.put(engine)

    def prompts(self, requests: Sequence[Request]) -> list[Answers]:
        """Every request as the model sees it, without samples."""
        engine = self._free.get()
        try:
            return engine.sample(requests, 0, nobody, n=0)
        finally:
            self._free.put(engine)

    def score(self, answers: Sequence[Answers]) -> list[list[Sample]]:
        """The samples with the tokens of their text and the log-probability of each, the end token among them.

        A sample that was cut off has no end token. One that does not fit the model beside its prompt has no tokens.
        """
        engine = self._free.get()
        try:
            return engine.score(answers)
        finally:
            self._free.put(engine)

    def model(self) -> Model:
        """The model's name with a commit, or with a hash of its files."""
        name = self._config.model or EMBEDDED
        if name == EMBEDDED:
            return Model(embedded_name(), f"sha256:{sha256(gguf_file())[:12]}")
        if Path(name).is_dir():
            return Model(name, fingerprint(Path(name)))
        known = (engine.commit for engine in self._engines if engine.commit)
        return Model(name, next(known, self._config.revision))

    def program(self, request: Request, answers: Answers, text: str) -> str | None:
        """The program in a chat answer, or the prompt continued."""
        return code_of(request.problem, text, continues=answers.continues)

    def close(self) -> None:
        """End the processes."""
        for engine in self._engines:
            engine.close()


def fingerprint(folder: Path) -> str:
    """Content hash of a model's folder: names and sizes of its files with the first and last MiB of each.

    Not all the bytes, which are a hundred GB for a large model; training changes every tensor, so it changes this.
    """
    parts: list[object] = []
    for file in sorted(entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith(".")):
        size = file.stat().st_size
        with file.open("rb") as stream:
            head = stream.read(MIB)
            stream.seek(max(size - MIB, 0))
            parts.append((file.name, size, head.hex() if size < 64 else identify(head.hex(), stream.read().hex())))
    return f"files:{identify(*parts)}"


class _Engine:
    """One child process with one copy of the model, started when it is first asked."""

    def __init__(self, config: Sampling, number: int) -> None:
        self._config, self._number = config, number
        self._goes_on = isinstance(config, Generation) and config.explore is not None
        self._process: subprocess.Popen[str] | None = None
        self._log: Path | None = None
        self._busy = self._closed = False
        self.commit: str | None = None

    def sample(
        self, requests: Sequence[Request], seed: int, on_done: Done = nobody, n: int | None = None
    ) -> list[Answers]:
        self._busy = True
        self._start()
        self._send(
            {
                "seed": seed,
                "n": self._config.n if n is None else n,
                "token_ends": self._goes_on,
                "requests": [
                    {
                        "name": request.problem["task_id"],
                        "messages": request.prompt.messages,
                        "text": request.prompt.text,
                        "stop": request.prompt.stop,
                    }
                    for request in requests
                ],
            }
        )
        while "answers" not in (message := self._receive()):
            on_done(message["done"])
        self._busy = False
        return [
            Answers(
                answer["prompt"],
                [Sample(**sample) for sample in answer["samples"]],
                answer["prompt_token_ids"],
                answer["continues"],
            )
            for answer in message["answers"]
        ]

    def score(self, answers: Sequence[Answers]) -> list[list[Sample]]:
        self._busy = True
        self._start()
        texts = [
            {"prompt_token_ids": answer.prompt_token_ids, "text": sample.text, "cut": sample.finish_reason == "length"}
            for answer in answers
            for sample in answer.samples
        ]
        self._send({"score": texts})
        scores = iter(self._receive()["scores"])
        self._busy = False
        return [[replace(sample, **next(scores)) for sample in answer.samples] for answer in answers]

    def extend(self, starts: Sequence[Start], seed: int) -> list[Sample]:
        self._busy = True
        self._start()
        self._send(
            {
                "seed": seed,
                "starts": [
                    {
                        "prompt_token_ids": list(start.prompt_token_ids),
                        "token_ids": list(start.token_ids),
                        "temperature": start.temperature,
                        "max_tokens": start.max_tokens,
                        "stop": ["\n"] if start.one_line else list(start.stop),
                        "one_line": start.one_line,
                    }
                    for start in starts
                ],
            }
        )
        while "answers" not in (message := self._receive()):
            pass  # continuations are not counted: how many there will be is not known before
        self._busy = False
        return [
            replace(
                Sample(**sample),
                token_ids=[*start.token_ids, *sample["token_ids"]],
                token_logps=[*start.token_logps, *sample["token_logps"]],
            )
            for start, sample in zip(starts, message["answers"], strict=True)
        ]

    def _start(self) -> None:
        if self._process is not None:
            return
        begun = time.monotonic()
        name = self._config.model or EMBEDDED
        log.info("loading model %s", NAME if name == EMBEDDED else name)
        folder = str(embedded_model()) if name == EMBEDDED else name
        handle, file = tempfile.mkstemp(prefix="pairwright-vllm-", suffix=".log")
        self._log = Path(file)
        with os.fdopen(handle, "w") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "curation.vllm_sampler"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
                encoding="utf-8",
                env=_environment(self._config, self._number),
                start_new_session=True,  # Ctrl-C is the parent's to handle
            )
        self._send(
            {"model": folder, "config": self._config.model_dump(mode="json", include=set(Sampling.model_fields))}
        )
        self.commit = self._receive()["commit"]
        log.info("loaded model in %.0f s", time.monotonic() - begun)

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            self._fail(None)

    def _receive(self) -> dict[str, Any]:
        assert self._process is not None and self._process.stdout is not None
        line = self._process.stdout.readline()
        message: dict[str, Any] = json.loads(line) if line.endswith("\n") else {"error": None}
        if "error" in message:
            self._fail(message["error"])
        return message

    def _fail(self, reason: str | None) -> None:
        """One line about a child that said what went wrong, or ended without a word."""
        assert self._process is not None
        if self._closed:
            raise UserError("sampling was stopped")
        if reason is None:
            status = self._process.wait()
            reason = f"vLLM ended with exit status {status}"
            if status == -signal.SIGKILL:
                reason = "vLLM was killed, most likely for lack of memory: lower max_num_seqs or max_model_len"
        raise UserError(f"model {self._config.model or EMBEDDED}: {reason} (vLLM's output: {self._log})")

    def close(self) -> None:
        """End the child: at once where it is at work, else when it has cleaned up. Its log goes unless it failed."""
        if self._closed or self._process is None:
            return
        self._closed = True
        process = self._process
        if self._busy:
            process.kill()
        try:
            if process.stdin:
                process.stdin.close()
            process.wait(timeout=20)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            process.kill()
            process.wait()
        if self._log and not self._busy:
            self._log.unlink(missing_ok=True)


def _environment(config: Sampling, number: int) -> dict[str, str]:
    """The child's environment. What the user has set is left alone, except where determinism hangs on it."""
    home = str(Path(__file__).parents[1])
    chosen = ENVIRONMENT | {
        # GiB for keys and values on a CPU, where vLLM's own default is 90 % of the machine. Not what is free now: where
        # they do not fit, samples are interrupted, and a resumed build would sample other ones.
        "VLLM_CPU_KVCACHE_SPACE": str(max(1, min(4, _memory_gib() // 4))),
    }
    environment = chosen | dict(os.environ)
    environment["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
    if config.data_parallel_size > 1:
        size, copies = config.tensor_parallel_size, config.data_parallel_size
        listed = os.environ.get("CUDA_VISIBLE_DEVICES")
        devices = listed.split(",") if listed else [str(device) for device in range(size * copies)]
        if len(devices) < size * copies:
            raise UserError(
                f"tensor_parallel_size {size} times data_parallel_size {copies} needs {size * copies} GPUs, "
                f"CUDA_VISIBLE_DEVICES names {len(devices)}"
            )
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(devices[number * size : (number + 1) * size])
        environment.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // copies)))
    return environment


def _memory_gib() -> int:
    """Memory of the machine, or of the container where that is less, in GiB."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # not in a container, or one without a limit
        pass
    return int(memory >> 30)


# ---- the child ----------------------------------------------------------------------------------------------------


class Reseed:
    """Given to vLLM as an extension of its workers: seeds every generator that sampling may draw from."""

    def pairwright_reseed(self, seed: int) -> None:
        import numpy
        import torch

        random.seed(seed)
        numpy.random.seed(seed)
        torch.manual_seed(seed)


def serve() -> None:
    """The child: load the model named by the first line of standard input, then answer one line after another."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what vLLM prints goes to the log

    def reply(message: Mapping[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    lines = _read_ahead(sys.stdin)
    try:
        first = lines.get()
        if first is None:
            return
        config = Sampling.model_validate(first["config"])
        llm = _load(first["model"], config)
        reply({"commit": getattr(llm.model_config.hf_config, "_commit_hash", None)})
        lines.task_done()
        while (message := lines.get()) is not None:
            if "score" in message:
                reply({"scores": _score(llm, message["score"])})
            else:
                work = _extend if "starts" in message else _answer
                reply({"answers": work(llm, config, message, lambda count: reply({"done": count}))})
            lines.task_done()
    except Exception as error:
        logging.exception("the sampler failed")
        reply({"error": _one_line(error)})
        os._exit(1)


def _read_ahead(stream: IO[str]) -> queue.Queue[Any]:
    """Lines of the parent, read in a thread: a parent that is gone is seen while the model loads or works."""
    lines: queue.Queue[Any] = queue.Queue()

    def read() -> None:
        for line in stream:
            lines.put(json.loads(line))
        if lines.unfinished_tasks:
            os._exit(1)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    return lines


def _load(model: str, config: Sampling) -> Any:
    from vllm import LLM
    from vllm.platforms import current_platform

    on_cpu = current_platform.is_cpu()
    options: dict[str, Any] = {"max_model_len": config.max_model_len} if config.max_model_len else {}
    return LLM(
        model=model,
        revision=config.revision,
        tokenizer_revision=config.revision,
        dtype="float32" if on_cpu and config.dtype == "auto" and not _has_bfloat16() else config.dtype,
        tensor_parallel_size=config.tensor_parallel_size,
        gpu_memory_utilization=config.gpu_memory_utilization,
        max_num_seqs=config.max_num_seqs,
        enforce_eager=on_cpu if config.enforce_eager is None else config.enforce_eager,
        enable_prefix_caching=True,
        disable_log_stats=True,
        seed=0,  # of the start only: every shard is seeded
        worker_extension_cls="curation.vllm_sampler.Reseed",
        **options,
    )


def _has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16. Emulated, it was six times slower than float32: 16 tokens per CPU
    second against 94 (135M parameters, 64 at once)."""
    try:
        return "bf16" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def _answer(llm: Any, config: Sampling, message: Mapping[str, Any], on_done: Callable[[int], None]) -> list[Any]:
    """The answers to one shard, from a state that owes nothing to what ran before."""
    from vllm import SamplingParams

    tokenizer = llm.get_tokenizer()
    chats = asks_in_chat(config, tokenizer)
    prompts = [_render(tokenizer, request, chats) for request in message["requests"]]
    limit = llm.model_config.max_model_len
    for request, (_, ids) in zip(message["requests"], prompts, strict=True):
        if len(ids) >= limit:
            raise ValueError(
                f"the prompt of {request['name']} has {len(ids)} tokens and the model takes {limit} with the answer: "
                "raise max_model_len or leave the problem out"
            )
    llm.reset_prefix_cache()
    llm.collective_rpc("pairwright_reseed", args=(message["seed"],))
    shared: dict[str, Any] = {name: getattr(config, name) for name in ("temperature", "top_p", "max_tokens")}
    usual = [[] if chats else request["stop"] for request in message["requests"]]
    params = [
        # The stop string stays, so that the text is what the tokens say.
        SamplingParams(**shared, logprobs=0, stop=list(stop), include_stop_str_in_output=True)
        for stop in (usual if config.stop is None else [config.stop] * len(usual))
    ]
    # One request a sample, and not n of a prompt: each is told when it is done, and the prompt is cached all the same.
    n = message["n"]
    outputs = _finished(
        llm,
        [ids for _, ids in prompts for _ in range(n)],
        [param for param in params for _ in range(n)],
        on_done,
    )
    samples = [_sample(output.outputs[0]) for output in outputs]
    if message["token_ends"]:
        for sample in samples:
            sample["token_ends"] = _token_ends(tokenizer, sample["token_ids"], sample["text"])
    return [
        {
            "prompt": text,
            "prompt_token_ids": ids,
            "continues": not chats,
            "samples": samples[index * n : (index + 1) * n],
        }
        for index, (text, ids) in enumerate(prompts)
    ]


def _finished(llm: Any, prompts: Sequence[list[int]], params: Any, on_done: Callable[[int], None]) -> list[Any]:
    """vLLM's outputs in the order of the prompts."""
    if not prompts:
        return []
    llm.enqueue([{"prompt_token_ids": ids} for ids in prompts], params, use_tqdm=False)
    finished: list[Any] = []
    while llm.llm_engine.has_unfinished_requests():
        done = [output for output in llm.llm_engine.step() if output.finished]
        finished += done
        if done:
            on_done(len(done))
    # Requests are numbered as they are queued; they end in another order.
    return sorted(finished, key=lambda one: int(one.request_id))


def _score(llm: Any, texts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The tokens of every text behind its prompt with the log-probability of each, as a trainer takes them."""
    from vllm import SamplingParams

    tokenizer = llm.get_tokenizer()
    limit = llm.model_config.max_model_len
    tokens = [_tokens_of(tokenizer, text["text"], cut=text["cut"]) for text in texts]
    wholes = [text["prompt_token_ids"] + ids for text, ids in zip(texts, tokens, strict=True)]
    # One more token is sampled: vLLM generates at least one.
    fitting = [number for number, whole in enumerate(wholes) if len(whole) < limit]
    params = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False)
    outputs = _finished(llm, [wholes[number] for number in fitting], [params] * len(fitting), lambda count: None)
    scores: list[dict[str, Any]] = [{"token_ids": None, "token_logps": None} for _ in texts]
    for number, output in zip(fitting, outputs, strict=True):
        ids = tokens[number]
        steps = output.prompt_logprobs[len(wholes[number]) - len(ids) :]
        logps = [step[token].logprob for token, step in zip(ids, steps, strict=True)]
        scores[number] = {"token_ids": ids, "token_logps": logps}
    return scores


def _tokens_of(tokenizer: Any, text: str, *, cut: bool) -> list[int]:
    """The tokens of an answer, which ends in the end token unless it was cut off."""
    ids = list(tokenizer.encode(text, add_special_tokens=False))
    return ids if cut or tokenizer.eos_token_id is None else [*ids, tokenizer.eos_token_id]


def _extend(llm: Any, config: Sampling, message: Mapping[str, Any], on_done: Callable[[int], None]) -> list[Any]:
    """A sample for every start, its own tokens only but the whole text. Prompts and starts are still in the cache."""
    from vllm import SamplingParams

    llm.collective_rpc("pairwright_reseed", args=(message["seed"],))
    starts, tokenizer = message["starts"], llm.get_tokenizer()
    params = [
        SamplingParams(
            **{name: start[name] for name in ("temperature", "max_tokens", "stop")},
            top_p=config.top_p,
            logprobs=0,
            include_stop_str_in_output=True,
        )
        for start in starts
    ]
    prompts = [start["prompt_token_ids"] + start["token_ids"] for start in starts]
    samples = []
    for start, finished in zip(starts, _finished(llm, prompts, params, on_done), strict=True):
        output = finished.outputs[0]
        ids = start["token_ids"] + list(output.token_ids)
        text, known = (_decode(tokenizer, some) for some in (ids, start["token_ids"]))
        ended_line = start["one_line"] and output.stop_reason == "\n"
        # A line is taken with the whole of the token that ends it, so that the next one goes on behind what is shown.
        text = text if ended_line else text[: len(known) + len(output.text)]
        sample = _sample(output) | {"text": text, "token_ends": _token_ends(tokenizer, ids, text)}
        samples.append(sample | ({"finish_reason": "line"} if ended_line else {}))
    return samples


def _decode(tokenizer: Any, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _token_ends(tokenizer: Any, ids: Sequence[int], text: str) -> list[int | None] | None:
    return token_ends(lambda some: [_decode(tokenizer, [one]) for one in some], partial(_decode, tokenizer), ids, text)


def asks_in_chat(config: Sampling, tokenizer: Any) -> bool:
    """Whether prompts take chat form.

    Raises:
        ValueError: the recipe wants chat and the tokenizer has no template for it.
    """
    has_template = bool(getattr(tokenizer, "chat_template", None))
    if config.prompt == "chat" and not has_template:
        raise ValueError("prompt chat needs a chat template and the tokenizer has none: set prompt to completion")
    return has_template and config.prompt != "completion"


def _render(tokenizer: Any, request: Mapping[str, Any], chats: bool) -> tuple[str, list[int]]:
    """A request's prompt as the model sees it, as text and as tokens."""
    if not chats:
        return request["text"], list(tokenizer.encode(request["text"]))
    text = tokenizer.apply_chat_template(request["messages"], tokenize=False, add_generation_prompt=True)
    return text, list(tokenizer.encode(text, add_special_tokens=False))


def _sample(output: Any) -> dict[str, Any]:
    ids = list(output.token_ids)
    return {
        "text": output.text,
        "token_ids": ids,
        "token_logps": [step[token].logprob for token, step in zip(ids, output.logprobs, strict=True)],
        "finish_reason": output.finish_reason,
    }


def _one_line(error: Exception) -> str:
    """The first line of an error that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:400]


if __name__ == "__main__":
    serve()

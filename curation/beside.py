"""Completions that no model is asked for (references, mutants, a teacher's), beside a model's own and on its prompt."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from curation.samplers import Answers, Done, Model, Request, Sample, Sampler, nobody, open_sampler, respoken
from curation.sampling import Generation


class Beside:
    """A sampler whose answers go on with those of others.

    Pairs are made of completions of one prompt, so what the others give answers the prompt that the model saw, in the
    form the model answers in. Their `origin` counts from their own first sample, or from the model's where a sampler
    changes the model's own (it is then `given` them).
    """

    def __init__(self, main: Sampler, config: Generation, task_ids: Collection[str]) -> None:
        self._main = main
        self._others: list[tuple[int, Sampler]] = [
            (number, open_sampler(one, task_ids)) for number, one in enumerate(config.also)
        ]
        self.at_once = 1 if self._others else self._main.at_once

    def sample(self, requests: Sequence[Request], seed: int, on_done: Done = nobody) -> list[Answers]:
        """The model's samples, then the others' in the recipe's order."""
        answers = self._main.sample(requests, seed, on_done)
        for number, sampler in self._others:
            more = sampler.sample(requests, seed)
            answers = [
                replace(answer, samples=[*answer.samples, *self._joined(request, answer, other, number, sampler)])
                for request, answer, other in zip(requests, answers, more, strict=True)
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
        for sample in other.samples:
            if sample.program is None:
                sample = replace(sample, program=sampler.program(request, other, sample.text))
            else:
                sample = respoken(request, sample, continues=answer.continues)
            origin = None if sample.origin is None else before + sample.origin
            joined.append(replace(sample, origin=origin, given_by=(number, sampler.model())))
        return joined

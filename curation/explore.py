"""Going on from the steps of completions: a sampler that judges what a model wrote and asks it on from there.

Completions are sampled whole and judged as they will be later; a method then picks places in them, steps' ends, from
which the model goes on, and again, with the outcomes known. Every continuation is a completion like the others: whole,
with the completion it continues and how many tokens it took over. Later stages know nothing of this.

All the problems of a shard go on together, so that the model gets large batches.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from curation.execute import Execution, judge
from curation.places import METHODS, Grown, Place
from curation.samplers import Answers, Done, Explorable, Extending, Model, Request, Sample, Start, nobody
from curation.sampling import Generation
from curation.schema import identify

log = logging.getLogger(__name__)


class Explorer:
    """A sampler whose answers go on from steps of themselves."""

    def __init__(self, main: Explorable, config: Generation, execution: Execution) -> None:
        assert config.explore is not None
        self._main, self._config, self._explore, self._execution = main, config, config.explore, execution
        self.at_once = main.at_once

    def sample(self, requests: Sequence[Request], seed: int, on_done: Done = nobody) -> list[Answers]:
        """The model's samples, then what goes on from them in the order in which it was asked for."""
        with self._main.held() as model:
            answers = model.sample(requests, seed, on_done)
            problems = [Grown(request, answer) for request, answer in zip(requests, answers, strict=True)]
            for grown in problems:
                self._add(grown, grown.answers.samples)
            self._judge(problems)
            method = METHODS[self._explore.method]
            dice = [Random(f"{seed} {request.problem['problem_id']}") for request in requests]
            searches = [method(grown, self._explore, one) for grown, one in zip(problems, dice, strict=True)]
            number = 0
            while asked := [
                (grown, place) for grown, search in zip(problems, searches, strict=True) for place in next(search, ())
            ]:
                number += 1
                log.info("exploring, round %d: %d completions go on", number, len(asked))
                self._go_on(model, asked, _seed(seed, number))
                self._judge(problems)
        return [replace(grown.answers, samples=grown.samples) for grown in problems]

    def model(self) -> Model:
        """The model that is asked."""
        return self._main.model()

    def program(self, request: Request, answers: Answers, text: str) -> str | None:
        """As the model's answers hold it."""
        return self._main.program(request, answers, text)

    def close(self) -> None:
        """Close the model."""
        self._main.close()

    def _add(self, grown: Grown, samples: Sequence[Sample]) -> None:
        for sample in samples:
            grown.add(sample, self._main.program(grown.request, grown.answers, sample.text))

    def _judge(self, problems: Sequence[Grown]) -> None:
        """Run what has not been run yet."""
        new = [
            {"completion_id": "", "problem_id": str(number), "split": "", "code": code}
            for number, grown in enumerate(problems)
            for code in grown.codes[len(grown.statuses) :]
        ]
        rows = {str(number): grown.request.problem for number, grown in enumerate(problems)}
        for row in judge(rows, new, self._execution):
            problems[int(row["problem_id"])].statuses.append(row["status"])

    def _go_on(self, model: Extending, asked: Sequence[tuple[Grown, Place]], seed: int) -> None:
        rising = self._explore.method == "step_controlled"
        temperature = self._explore.first_temperature if rising else self._config.temperature
        starts = [self._start(grown, place, temperature) for grown, place in asked]
        samples = self._rise(model, asked, starts, seed) if rising else model.extend(starts, seed)
        for (grown, place), sample in zip(asked, samples, strict=True):
            stated = temperature if rising else None
            made = replace(sample, origin=place.sample, prefix_tokens=place.tokens, temperature=stated)
            self._add(grown, [made])

    def _start(self, grown: Grown, place: Place, temperature: float) -> Start:
        sample, count = grown.samples[place.sample], place.tokens
        chars = next(end.chars for end in grown.ends(place.sample) if end.tokens == count)
        return Start(
            prompt_token_ids=grown.answers.prompt_token_ids or (),
            token_ids=(sample.token_ids or ())[:count],
            token_logps=(sample.token_logps or ())[:count],
            text=sample.text[:chars],
            temperature=temperature,
            max_tokens=self._config.max_tokens - count,
            stop=self._stops(grown),
            one_line=self._explore.method == "step_controlled",
        )

    def _stops(self, grown: Grown) -> Sequence[str]:
        usual = grown.request.prompt.stop if grown.answers.continues else ()
        return usual if self._config.stop is None else self._config.stop

    def _rise(
        self, model: Extending, asked: Sequence[tuple[Grown, Place]], starts: Sequence[Start], seed: int
    ) -> list[Sample]:
        """Go on line by line, hotter with every step that is behind: a step is known to end when another begins."""
        finished: dict[int, Sample] = {}
        going, line = dict(enumerate(starts)), 0
        while going:
            line += 1
            samples = dict(zip(going, model.extend(list(going.values()), _seed(seed, line)), strict=True))
            for number, sample in samples.items():
                sample, ended = _stopped(sample, len(going[number].text), going[number].stop)
                left = self._config.max_tokens - len(sample.token_ids or ())
                if ended or left < 1:
                    finished[number] = sample if ended else replace(sample, finish_reason="length")
                    del going[number]
                else:
                    steps = asked[number][0].steps_behind(sample.text, len(starts[number].text))
                    going[number] = self._hotter(going[number], sample, steps, left)
        return [finished[number] for number in range(len(starts))]

    def _hotter(self, start: Start, sample: Sample, steps: int, left: int) -> Start:
        """Where a line ended, at the temperature that `steps` steps have raised; it never falls."""
        risen = self._explore.first_temperature + self._explore.rise * steps
        return replace(
            start,
            token_ids=sample.token_ids or (),
            token_logps=sample.token_logps or (),
            text=sample.text,
            temperature=max(start.temperature, min(risen, self._explore.highest_temperature)),
            max_tokens=left,
        )


def _stopped(sample: Sample, written: int, stops: Sequence[str]) -> tuple[Sample, bool]:
    """The sample cut behind a stop string that its new text brought about, and whether it has ended."""
    found = [at + len(stop) for stop in stops if (at := sample.text.find(stop, max(0, written + 1 - len(stop)))) >= 0]
    if not found:
        return sample, sample.finish_reason != "line"
    end = min(found)
    ends = None if sample.token_ends is None else [one and min(one, end) for one in sample.token_ends]
    return replace(sample, text=sample.text[:end], token_ends=ends, finish_reason="stop"), True


def _seed(seed: int, number: int) -> int:
    return int(identify("explore", seed, number), 16) % 2**31

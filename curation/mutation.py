"""The sampler that changes programs instead of asking a model: each program, then mutants of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from curation.errors import UserError
from curation.mutate import mutants
from curation.prompts import code_of
from curation.samplers import Answers, Done, Model, Mutation, Request, Sample, nobody, respoken, spoken
from curation.samplers import read_completions as read_file
from curation.sampling import Sampling
from curation.sealed import judged_programs, name_of


class MutationSampler:
    """Programs that exist already and at most `n` mutants of each, which name it as their origin.

    Programs are the problems' reference solutions; with `path` the first distinct ones of a file, whatever they are
    worth; with `from_version` the first distinct ones that passed in that version. What is read is read once.
    """

    at_once = 1

    def __init__(self, config: Sampling, task_ids: Collection[str]) -> None:
        self._config, self._task_ids = config, frozenset(task_ids)
        self._programs: Mapping[str, Sequence[str]] | None = None

    def sample(self, requests: Sequence[Request], seed: int, on_done: Done = nobody) -> list[Answers]:
        """Each program followed by its mutants; none of a problem without a program."""
        answers = []
        for request in requests:
            samples: list[Sample] = []
            for program in self._of(request.problem)[: self._config.programs_per_problem]:
                samples += self._changed(request, program, len(samples))
            answers.append(Answers(request.problem["prompt"], samples))
            on_done(self._config.n)
        return answers

    def model(self) -> Model:
        """Where the programs come from: reference, a file's name or a version's."""
        if self._config.from_version is not None:
            return Model(name_of(self._config.from_version), None)
        return Model("reference" if self._config.path is None else self._config.path.name, None)

    def program(self, request: Request, answers: Answers, text: str) -> str | None:
        """As from a chat answer."""
        return code_of(request.problem, text, continues=False)

    def close(self) -> None:
        """Nothing is held open."""

    def _changed(self, request: Request, program: str, origin: int) -> list[Sample]:
        """A program and its mutants; `origin` is its index among the samples."""
        problem = request.problem
        # What the prompt holds is not the model's to write, so it is not changed either.
        start = problem["prompt"] if problem["prompt_format"] == "code" else ""
        begin = len(start) if program.startswith(start) else 0
        seed = f"{self._config.seed} {problem['problem_id']}"
        samples = [spoken(request, program)]
        for mutant in mutants(program, problem["entry_point"], seed, self._config.n, begin):
            change = Mutation(mutant.kind, mutant.start, mutant.end, mutant.origin_end)
            sample = Sample("", finish_reason="stop", program=mutant.program, origin=origin, mutation=change)
            samples.append(respoken(request, sample, continues=False))
        return samples

    def _of(self, problem: Mapping[str, Any]) -> Sequence[str]:
        """The programs of a problem, each once."""
        if self._config.path is None and self._config.from_version is None:
            solution = problem["reference_solution"]
            return [] if solution is None else [solution]
        if self._programs is None:
            self._programs = self._passed() if self._config.from_version is not None else self._read()
        found = self._programs.get(problem["task_id"], [])
        if self._config.path is not None and self._config.completion_is == "continuation":
            found = [problem["prompt"] + text for text in found]
        return list(dict.fromkeys(found))

    def _read(self) -> dict[str, list[str]]:
        assert self._config.path is not None
        found = read_file(self._config.path, self._task_ids, skip_unknown=self._config.skip_unknown)
        return {task_id: [sample.text for sample in samples] for task_id, samples in found.items()}

    def _passed(self) -> dict[str, list[str]]:
        """What passed in the version, by task.

        Raises:
            UserError: the version is not sealed, or nothing in it passed on a problem of the dataset.
        """
        version = self._config.from_version
        assert version is not None
        passed = {
            problem["task_id"]: [run["code"] for run in runs if run["status"] == "passed"]
            for problem, runs in judged_programs(version)
            if problem["task_id"] in self._task_ids
        }
        if not any(passed.values()):
            raise UserError(
                f"{version} holds no program that passed on one of the dataset's {len(self._task_ids)} problems: "
                "set problems as they are in that version, or give another one"
            )
        return passed

"""The recipe's section `generate`: which model samples, how many completions, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# What is sampled, for every sampler that asks a model.
_ASKS = frozenset("model revision n temperature top_p max_tokens seed prompt system stop".split())
# The options each sampler heeds. For replay the middle ones say how the file was sampled, where that is known.
USES: dict[str, frozenset[str]] = {
    "vllm": _ASKS
    | frozenset(
        "dtype tensor_parallel_size data_parallel_size gpu_memory_utilization max_model_len max_num_seqs "
        "enforce_eager".split()
    ),
    "openai": _ASKS | frozenset("base_urls api_key_env timeout retries concurrency".split()),
    "replay": frozenset("model revision temperature top_p max_tokens path completion_is skip_unknown".split()),
    "scripted": frozenset("n seed".split()),
    "reference": frozenset(),
    "labelled": frozenset({"seed"}),
    "mutation": frozenset("n seed path completion_is skip_unknown from_version programs_per_problem".split()),
}
_ENGINE = USES["vllm"] - _ASKS
# Samplers that ask nobody: what they give follows from the problem, and may stand beside a model's own completions.
GIVEN = frozenset({"replay", "scripted", "reference", "mutation", "labelled"})
# What they heed besides where a model scores what they give.
SCORING = _ENGINE | {"prompt", "system"} - {"data_parallel_size"}


class Sampling(BaseModel):
    """The recipe's section `generate`: which model and how. An option its sampler does not heed is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Sampling")

    sampler: Literal["vllm", "openai", "replay", "scripted", "reference", "mutation", "labelled"] = Field(
        "vllm",
        description="vllm: a model on this machine; openai: a server that speaks OpenAI's protocol, as `vllm serve` "
        "does; replay: completions that exist already; scripted: made up from reference solutions, for trials; "
        "reference: the problems' own solutions; mutation: programs with one small change each, made from these, from "
        "a file or from a version; labelled: the right and the wrong answers of labelled problems.",
    )
    model: str | None = Field(
        None, description="Hub repository or folder of the model; null takes embedded, the small one that comes along."
    )
    revision: str | None = Field(None, description="Commit, tag or branch of the model; null takes the newest.")
    n: int = Field(8, ge=1, description="Completions sampled per problem.")
    temperature: float = Field(0.8, ge=0, description="Sampling temperature; 0 always takes the likeliest token.")
    top_p: float = Field(
        1.0, gt=0, le=1, description="Share of the probability mass sampled from; below 1 costs a sort, slow on a CPU."
    )
    max_tokens: int = Field(512, ge=1, description="Tokens a completion may have; what is longer is cut.")
    seed: int = Field(0, ge=0, description="Seed of the sampling: the same seed on the same machine, the same samples.")
    prompt: Literal["auto", "chat", "completion"] = Field(
        "auto", description="Ask in chat form, or let the model continue; auto chats where the model has a template."
    )
    system: str | None = Field(
        None, description="System message of the chat; null leaves it to the model's own template."
    )
    stop: tuple[str, ...] | None = Field(
        None, description="Texts that end a completion and stay in it; null: none in a chat, else what ends a function."
    )

    dtype: Literal["auto", "bfloat16", "float16", "float32"] = Field(
        "auto", description="Number type to compute in; auto: as stored, float32 on a CPU without bfloat16."
    )
    tensor_parallel_size: int = Field(1, ge=1, description="GPUs one copy of the model is spread over.")
    data_parallel_size: int = Field(1, ge=1, description="Copies of the model, each sampling shards of its own.")
    gpu_memory_utilization: float = Field(0.9, gt=0, le=1, description="Share of a GPU's memory vLLM may take.")
    max_model_len: int | None = Field(
        None, ge=16, description="Tokens of prompt and completion together; null takes what the model allows."
    )
    max_num_seqs: int = Field(256, ge=1, description="Completions sampled at once.")
    enforce_eager: bool | None = Field(
        None, description="Skip compiling the model: starts sooner, samples slower; null skips it on a CPU only."
    )

    base_urls: tuple[str, ...] = Field(
        ("http://localhost:8000/v1",), min_length=1, description="Servers to share the work, each up to its /v1."
    )
    api_key_env: str | None = Field(None, description="Environment variable that holds the server's key.")
    timeout: float = Field(600.0, gt=0, description="Seconds to wait for one problem's completions.")
    retries: int = Field(5, ge=0, description="Times a failed request is sent again before giving up.")
    concurrency: int = Field(16, ge=1, description="Requests under way at once, all servers together.")

    path: Path | None = Field(
        None,
        description="File of completions to replay or to mutate (.jsonl, .jsonl.gz, .parquet), with task_id and "
        "completion.",
    )
    completion_is: Literal["solution", "continuation"] = Field(
        "continuation", description="solution: each completion is a whole program; continuation: it goes on the prompt."
    )
    skip_unknown: bool = Field(
        False, description="Leave out replayed completions of problems the dataset lacks instead of stopping at one."
    )
    from_version: Path | None = Field(
        None, description="For mutation: folder of a sealed version, as in data/demo/1; what passed in it is changed."
    )
    programs_per_problem: int = Field(
        1, ge=1, description="For mutation: programs of each problem that are changed, n times each."
    )
    scored_by: str | None = Field(
        None,
        description="For samplers that ask no model: the model, run by vLLM, on whose prompt the completions are put, "
        "with its tokens and log-probabilities; embedded is the small one. What stands in also is scored in any case.",
    )

    @model_validator(mode="after")
    def _heeded(self) -> Sampling:
        """An option the sampler does not use is an error, so that no one believes it was heeded."""
        uses = USES[self.sampler] | {"sampler", "also", "explore"}
        if self.sampler in GIVEN:
            uses |= {"scored_by"} | (SCORING if self.scored_by is not None else frozenset())
        for name in type(self).model_fields:
            if name in self.model_fields_set and name not in uses and not self._is_default(name):
                others = (
                    " or ".join(sampler for sampler, used in USES.items() if name in used) or "one that asks nobody"
                )
                raise ValueError(f"sampler {self.sampler} does not use {name}, only {others} does: leave it out")
        if self.sampler == "replay" and self.path is None:
            raise ValueError("sampler replay needs a path: the file that holds the completions")
        if self.path is not None and self.from_version is not None:
            raise ValueError("give path or from_version, not both")
        if self.sampler == "openai" and self.model is None:
            raise ValueError("sampler openai needs a model: the name under which the server offers it")
        if self.prompt == "completion" and self.system is not None:
            raise ValueError("prompt completion has no system message: leave system out, or set prompt to chat")
        return self

    def _is_default(self, name: str) -> bool:
        """Whether a field holds its default: a form or a dumped recipe sends those too, and they promise nothing."""
        return bool(getattr(self, name) == type(self).model_fields[name].default)

    def stated(self, name: str) -> Any:
        """The value of an option as it goes into a completion's row: null where it is not known to have held."""
        if name not in USES[self.sampler]:
            return None
        if self.sampler == "replay" and name not in self.model_fields_set:
            return None
        return getattr(self, name)


# The options each way of exploring heeds.
EXPLORES: dict[str, frozenset[str]] = {
    "first_wrong_step": frozenset({"tries", "per_problem"}),
    "step_controlled": frozenset({"tries", "per_problem", "first_temperature", "rise", "highest_temperature"}),
    "tree": frozenset({"tries", "rounds", "depth"}),
}
# Samplers that can go on from the tokens of a completion.
CONTINUES = frozenset({"vllm", "scripted"})


class Exploration(BaseModel):
    """Completions that go on from the first steps of others, chosen by what the tests say of those. An option that the
    method does not heed is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Exploration")

    method: Literal["first_wrong_step", "step_controlled", "tree"] = Field(
        description="first_wrong_step: find the step of a failing completion behind which none passes; "
        "step_controlled: go on from some steps of a passing one at a rising temperature; tree: grow a tree of steps."
    )
    tries: int = Field(4, ge=1, description="Completions that go on from one place.")
    per_problem: int = Field(
        2, ge=1, description="Failing (first_wrong_step) or passing (step_controlled) completions per problem to try."
    )
    first_temperature: float = Field(1.05, gt=0, description="Sampling temperature of the first step of its own.")
    rise: float = Field(0.05, ge=0, description="What each further step adds to the temperature.")
    highest_temperature: float = Field(1.4, gt=0, description="The temperature rises no further than this.")
    rounds: int = Field(4, ge=1, description="Places per problem that the tree is grown from, one after the other.")
    depth: int = Field(8, ge=1, description="Most steps before a place that the tree is grown from.")

    @model_validator(mode="after")
    def _heeded(self) -> Exploration:
        for name in self.model_fields_set - EXPLORES[self.method] - {"method"}:
            if getattr(self, name) != type(self).model_fields[name].default:
                others = " or ".join(method for method, used in EXPLORES.items() if name in used)
                raise ValueError(f"method {self.method} does not use {name}, only {others} does: leave it out")
        return self


class Generation(Sampling):
    """The whole section `generate`: a model's completions, and beside them others of the same problems."""

    model_config = ConfigDict(title="Generation")

    also: tuple[Sampling, ...] = Field(
        (),
        description="More completions of each problem, from samplers that ask no model (reference, replay); they "
        "answer the prompt that the model saw.",
    )
    explore: Exploration | None = Field(
        None, description="Go on from steps of the completions that were sampled, judged in between; null does not."
    )

    @model_validator(mode="after")
    def _can_go_on(self) -> Generation:
        if self.explore is not None and self.sampler not in CONTINUES:
            raise ValueError(
                f"explore goes on from the tokens of a completion, which sampler {self.sampler} cannot: "
                "use sampler vllm, or leave explore out"
            )
        return self

    @model_validator(mode="after")
    def _asks_nobody(self) -> Generation:
        for one in self.also:
            if one.sampler not in GIVEN:
                raise ValueError(
                    f"also takes samplers that ask no model ({', '.join(sorted(GIVEN))}), not {one.sampler}"
                )
            if one.scored_by is not None:
                raise ValueError("what stands in also is scored by the model that samples: leave scored_by out there")
        return self

"""Recipes: what to build, as YAML by hand and as the same pydantic models in code and in the Prefect form.

    dataset: my-dataset
    problems: {source: mbpp, path: mbpp.jsonl}
    generate: {model: Qwen/Qwen2.5-Coder-7B-Instruct, n: 16}

Every section is the configuration of one stage and is declared beside it. An unknown key is an error that names the
nearest right one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from analysis.curriculum import Curriculum
from analysis.features import Measures
from curation.errors import UserError
from curation.execute import Execution
from curation.pairs import Pairing
from curation.problems import ProblemSource
from curation.sampling import Generation, Sampling
from flows.runners import Runner


class ConfigError(UserError, ValueError):
    """A recipe or an option that is not as it must be."""


Section = TypeVar("Section", bound=BaseModel)
DATASET = r"^[a-z0-9][a-z0-9_.-]{0,95}$"
"""What a dataset may be called."""


class Evaluation(BaseModel):
    """The recipe's section `evaluation`: which benchmarks a policy is put to, and how it is sampled."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Evaluation")

    benchmarks: tuple[str, ...] = Field(
        ("humaneval",),
        min_length=1,
        description="humaneval, mbpp, builtin, debugging or a file of problems; a split goes after a colon, mbpp:test.",
    )
    skip: int = Field(0, ge=0, description="Leave out the first so many problems of each benchmark.")
    limit: int | None = Field(None, ge=1, description="Take only the first so many problems of each benchmark.")
    sampling: Sampling = Field(
        Sampling(n=10), description="How completions are sampled; the model is the policy that is evaluated."
    )
    execute: Execution = Field(default_factory=Execution, description="The sandbox's limits.")
    runner: Runner = Field(default_factory=Runner, exclude=True, description="Where the programs are run.")
    before: bool = Field(False, description="When training: evaluate the model before as well, to compare with.")
    after: bool = Field(False, description="When training: evaluate the policy at the end.")
    each_stage: bool = Field(False, description="When training: evaluate the policy after each curriculum stage too.")

    @field_validator("sampling", mode="before")
    @classmethod
    def _ten_samples(cls, value: Any) -> Any:
        """Ten samples unless the recipe says otherwise: what pass@10 needs."""
        return {"n": 10} | value if isinstance(value, dict) else value


class Experiment(BaseModel):
    """The recipe's section `experiment`: arms trained on one version under several seeds and compared."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Experiment")

    arms: dict[str, dict[str, Any] | None] = Field(
        {}, description="Name of each arm: what it changes in training, or null for the model as it is."
    )
    seeds: tuple[int, ...] = Field(
        (0, 1, 2), min_length=1, description="Every arm is trained and sampled once with each seed."
    )
    compare: tuple[tuple[str, str], ...] = Field(
        (), description="Pairs of arms to compare beside each with the first: the second minus the first."
    )

    @field_validator("compare")
    @classmethod
    def _known(cls, value: tuple[tuple[str, str], ...], info: ValidationInfo) -> tuple[tuple[str, str], ...]:
        arms = info.data.get("arms", {})
        if unknown := [name for pair in value for name in pair if name not in arms]:
            raise ValueError(f"compare names {', '.join(unknown)}, the arms are {', '.join(arms)}")
        return value


class Rounds(BaseModel):
    """The recipe's section `rounds`: how often to sample, train and evaluate, each time with the newest policy."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Rounds")

    count: int = Field(3, ge=1, description="At most so many rounds.")
    start: Literal["policy", "model"] = Field(
        "policy",
        description="What a round trains on from, which is also its reference: the last round's policy, merged, or the "
        "model afresh.",
    )
    explore: float = Field(
        0.25, ge=0, le=1, description="Share kept of the problems that the last rounds solved always or never."
    )
    metric: str = Field("pass@1", description="What must rise on the first benchmark, as in pass@1 or tests passed.")
    min_gain: float = Field(0.0, description="Stop after a round that gains no more than this over the one before.")


class Recipe(BaseModel):
    """Everything a dataset version follows from, and how a policy is trained on it and evaluated."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Recipe")

    dataset: str = Field("demo", pattern=DATASET, description="Name of the dataset: its folder under the root.")
    problems: ProblemSource = Field(default_factory=ProblemSource, description="The problems and their tests.")
    generate: Generation = Field(default_factory=Generation, description="The model and how it samples.")
    execute: Execution = Field(default_factory=Execution, description="The sandbox's limits.")
    pairs: Pairing = Field(default_factory=Pairing, description="Which completions become pairs.")
    measures: Measures = Field(default_factory=Measures, description="What is measured of a pair.")
    curriculum: Curriculum = Field(default_factory=Curriculum, description="How pairs are ordered and pruned.")
    # The rest says nothing about the version, so it is not written into one.
    runner: Runner = Field(default_factory=Runner, exclude=True, description="Where programs are run and measured.")
    # Checked where it is used: its options are declared beside torch, which a light install lacks.
    training: dict[str, Any] = Field(
        {}, exclude=True, description="How a policy is trained on the version; see docs/training.md."
    )
    baseline: Literal["none", "shuffled"] = Field(
        "none", exclude=True, description="shuffled: also train as many steps on the same pairs out of order."
    )
    evaluation: Evaluation = Field(
        default_factory=Evaluation, exclude=True, description="Which benchmarks the policy is put to, and when."
    )
    rounds: Rounds = Field(default_factory=Rounds, exclude=True, description="On-policy rounds: pairwright iterate.")
    experiment: Experiment = Field(
        default_factory=Experiment, exclude=True, description="Arms to train and compare: pairwright experiment."
    )


def bundled() -> dict[str, Path]:
    """The recipes that come with pairwright, by name."""
    folder = Path(str(resources.files("flows") / "recipes"))
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def load(recipe: str | None, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe from a YAML file, or a bundled one by its name, with `key=value` overrides laid over it.

    Without a recipe, the defaults with the overrides.

    Raises:
        ConfigError: no such file, not YAML, an unknown key, or a value of the wrong kind.
    """
    if recipe is None:
        content: dict[str, Any] = {}
        file: Path | None = None
    else:
        content, file = read_yaml(recipe)
    for one in overrides:
        override(content, one)
    loaded = parse(content, "the command line" if file is None else str(file))
    if file is None:
        return loaded
    # A user's own .sql files lie beside the recipe; where they lie is no part of what they say.
    beside = loaded.curriculum.model_copy(update={"folder": loaded.curriculum.folder or file.parent})
    return loaded.model_copy(update={"curriculum": beside})


def read_yaml(recipe: str) -> tuple[dict[str, Any], Path]:
    """The sections of a YAML file, or of a bundled one by its name, and the file.

    Raises:
        ConfigError: no such file, not YAML, or no sections.
    """
    file = bundled().get(recipe.removesuffix(".yaml").removeprefix("recipes/")) if not Path(recipe).is_file() else None
    file = file or Path(recipe)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise ConfigError(
            f"no recipe {recipe!r}: give a YAML file, or one of those that come along ({', '.join(bundled())})"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the recipe {file}: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{file} must hold sections (dataset, problems, generate, ...), found {str(content)[:80]!r}")
    return content, file


def parse(content: Mapping[str, Any], origin: str) -> Recipe:
    """A recipe from its parsed content; `origin` is named in errors.

    Raises:
        ConfigError: listing every wrong field, with the nearest right name of an unknown key.
    """
    return validated(Recipe, content, f"{origin} is not a valid recipe")


def validated(model: type[Section], content: Mapping[str, Any], complaint: str) -> Section:
    """The content as `model`; what is wrong with it follows `complaint` in one line.

    Raises:
        ConfigError: listing every wrong field, with the nearest right name of an unknown key.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{complaint}: " + "; ".join(_explain(one, model) for one in error.errors())) from None


def evaluation_of(recipe: Recipe, **changes: Any) -> Evaluation:
    """The recipe's section `evaluation` with the command line's options laid over it; None changes nothing."""
    given = {name: value for name, value in changes.items() if value is not None}
    sampling = recipe.evaluation.sampling.model_dump(exclude_unset=True)
    sampling |= {name: given.pop(name) for name in list(given) if name in type(recipe.evaluation.sampling).model_fields}
    own = recipe.evaluation.model_dump(exclude_unset=True) | given | {"sampling": sampling}
    return validated(Evaluation, own, "the evaluation cannot be done as asked")


def override(content: dict[str, Any], setting: str) -> None:
    """Set `a.b=value` in the content; the value is YAML, so 3, true and [1, 2] are what they look like."""
    key, equals, value = setting.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set expects key=value, as in generate.n=16, found {setting!r}")
    *parents, last = key.strip().split(".")
    for parent in parents:
        inner = content.setdefault(parent, {})
        if inner is None or (parent == "runner" and isinstance(inner, str)):  # `runner: ray` is short for its kind
            inner = content[parent] = {} if inner is None else {"kind": inner}
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {setting}: {parent!r} is not a section of the recipe")
        content = inner
    try:
        content[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        content[last] = value


def _explain(error: ErrorDetails, model: type[BaseModel]) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "recipe"
    if error["type"] == "extra_forbidden":
        key = str(error["loc"][-1])
        near = difflib.get_close_matches(key, known := _fields_at(model, error["loc"][:-1]), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"the keys here are {', '.join(known)}"
        return f"unknown key {where!r}, {hint}"
    message = error["msg"][0].lower() + error["msg"][1:] if error["msg"] else error["type"]
    found = "" if error["type"] in ("missing", "value_error") else f" (found {error['input']!r})"
    return f"{where}: {message.removeprefix('value error, ')}{found}"


def _fields_at(model: type[BaseModel], location: Iterable[int | str]) -> list[str]:
    for part in location:
        field = model.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)

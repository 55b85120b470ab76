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
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from analysis.curriculum import Curriculum
from analysis.features import Measures
from curation.errors import UserError
from curation.execute import Execution
from curation.generate import Sampling
from curation.pairs import PairSelection
from curation.problems import ProblemSource


class ConfigError(UserError, ValueError):
    """A recipe or an option that is not as it must be."""


class Recipe(BaseModel):
    """Everything a dataset version follows from."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Recipe")

    dataset: str = Field(
        "demo", pattern=r"^[a-z0-9][a-z0-9_.-]{0,95}$", description="Name of the dataset: its folder under the root."
    )
    problems: ProblemSource = Field(default_factory=ProblemSource, description="The problems and their tests.")
    generate: Sampling = Field(default_factory=Sampling, description="The model and how it samples.")
    execute: Execution = Field(default_factory=Execution, description="The sandbox's limits.")
    pairs: PairSelection = Field(default_factory=PairSelection, description="Which completions become pairs.")
    measures: Measures = Field(default_factory=Measures, description="What is measured of a pair.")
    curriculum: Curriculum = Field(default_factory=Curriculum, description="How pairs are ordered and pruned.")


def bundled() -> dict[str, Path]:
    """The recipes that come with pairwright, by name."""
    folder = Path(str(resources.files("flows") / "recipes"))
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def load(recipe: str, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe from a YAML file, or a bundled one by its name, with `key=value` overrides laid over it.

    Raises:
        ConfigError: no such file, not YAML, an unknown key, or a value of the wrong kind.
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
    for override in overrides:
        _override(content, override)
    loaded = parse(content, str(file))
    # A user's own .sql files lie beside the recipe; where they lie is no part of what they say.
    beside = loaded.curriculum.model_copy(update={"folder": loaded.curriculum.folder or file.parent})
    return loaded.model_copy(update={"curriculum": beside})


def parse(content: Mapping[str, Any], origin: str) -> Recipe:
    """A recipe from its parsed content; `origin` is named in errors.

    Raises:
        ConfigError: listing every wrong field, with the nearest right name of an unknown key.
    """
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{origin} is not a valid recipe: " + "; ".join(map(_explain, error.errors()))) from None


def _override(content: dict[str, Any], override: str) -> None:
    """Set `a.b=value` in the content; the value is YAML, so 3, true and [1, 2] are what they look like."""
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set expects key=value, as in generate.n=16, found {override!r}")
    *parents, last = key.strip().split(".")
    for parent in parents:
        inner = content.setdefault(parent, {})
        if inner is None:
            inner = content[parent] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {override}: {parent!r} is not a section of the recipe")
        content = inner
    try:
        content[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        content[last] = value


def _explain(error: ErrorDetails) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "recipe"
    if error["type"] == "extra_forbidden":
        key = str(error["loc"][-1])
        near = difflib.get_close_matches(key, known := _fields_at(error["loc"][:-1]), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"the keys here are {', '.join(known)}"
        return f"unknown key {where!r}, {hint}"
    message = error["msg"][0].lower() + error["msg"][1:] if error["msg"] else error["type"]
    found = "" if error["type"] in ("missing", "value_error") else f" (found {error['input']!r})"
    return f"{where}: {message.removeprefix('value error, ')}{found}"


def _fields_at(location: Iterable[int | str]) -> list[str]:
    model: type[BaseModel] = Recipe
    for part in location:
        field = model.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)

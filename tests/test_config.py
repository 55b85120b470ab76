"""Recipes: an unknown key names the nearest right one, a wrong value says what was found, overrides are YAML."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows import config


def load(tmp_path: Path, text: str, *overrides: str) -> config.Recipe:
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    return config.load(str(file), overrides)


def test_an_empty_section_has_defaults_and_overrides_reach_into_it(tmp_path: Path) -> None:
    recipe = load(tmp_path, "dataset: mine\ngenerate:\n", "generate.n=3", "problems.limit=5", "pairs.preset=acecoder")
    assert (recipe.dataset, recipe.generate.n, recipe.problems.limit) == ("mine", 3, 5)
    assert recipe.pairs.min_gap == 0.4


@pytest.mark.parametrize(
    ("text", "overrides", "said"),
    [
        ("datasett: x", [], "unknown key 'datasett', did you mean 'dataset'?"),
        ("pairs: {max_pair_per_problem: 3}", [], "unknown key 'pairs.max_pair_per_problem', did you mean 'max_pairs"),
        ("pairs: {zzz: 3}", [], "unknown key 'pairs.zzz', the keys here are preset, strategy"),
        ("dataset: x", ["genrate.n=3"], "unknown key 'genrate', did you mean 'generate'?"),
        ("dataset: x", ["generate.n=0"], "generate.n: input should be greater than or equal to 1 (found 0)"),
        ("dataset: x", ["generate.n=many"], "generate.n: input should be a valid integer"),
        ("dataset: Ünï", [], "dataset: string should match pattern"),
        ("dataset: x", ["nonsense"], "--set expects key=value, as in generate.n=16, found 'nonsense'"),
        ("dataset: x", ["dataset.name=3"], "'dataset' is not a section"),
        ("- a\n- b", [], "must hold sections"),
        ("a: [", [], "is not YAML"),
        ("", [], "must hold sections"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_one_line(tmp_path: Path, text: str, overrides: list[str], said: str) -> None:
    with pytest.raises(config.ConfigError) as refusal:
        load(tmp_path, text, *overrides)
    assert said in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_recipe_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(config.ConfigError, match="no recipe 'dmeo'.*demo, .*replay-codegen16b"):
        config.load("dmeo")


@pytest.mark.parametrize("name", config.bundled())
def test_bundled_recipes_are_valid_and_load_by_name_and_by_path(name: str) -> None:
    # Those that read what a user has name it in their first line.
    given = {"replay-codegen16b": "generate.path", "debugging": "problems.path", "debugging-quixbugs": "problems.path"}
    overrides = [f"{given[name]}=x.jsonl"] if name in given else []
    by_name = config.load(name, overrides)
    assert by_name.dataset == name
    assert config.load(str(config.bundled()[name]), overrides) == by_name


def test_every_field_of_a_recipe_has_a_sentence() -> None:
    def sentences(model: type, where: str) -> None:
        for name, field in model.model_fields.items():  # type: ignore[attr-defined]
            assert field.description and len(field.description.split()) > 2, f"{where}{name} needs a sentence"
            if hasattr(field.annotation, "model_fields"):
                sentences(field.annotation, f"{where}{name}.")

    sentences(config.Recipe, "")


def test_an_override_reaches_into_a_runner_given_by_its_name(tmp_path: Path) -> None:
    recipe = load(tmp_path, "runner: ray\n", "runner.cpus=4")
    assert (recipe.runner.kind, recipe.runner.cpus) == ("ray", 4)

"""The commands about curation: order and prune a sealed version anew, merge versions, see what each rule took.

Functions only; `flows.cli` makes commands of them. Heavy libraries are imported inside.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from flows.roots import Root

Json = Annotated[bool, Parameter(name="--json", negative="")]
Settings = Annotated[tuple[str, ...], Parameter(name=["--set", "-s"], negative="")]


def curate(
    dataset: str,
    *,
    recipe: str | None = None,
    set_: Settings = (),
    marks: Annotated[bool, Parameter(negative="")] = False,
    root: Root = Path("data"),
) -> None:
    """Make a new version of a dataset from a sealed one: other pairs, rules or order; nothing is sampled or run again.

    Parameters
    ----------
    dataset
        NAME or NAME@VERSION, whose samples and settings are taken.
    recipe
        A YAML file, or the name of a bundled one, for its sections pairs, measures and curriculum. Your own .sql
        files lie beside it.
    set_
        Override a value, as in --set curriculum.metric=edit_distance. Repeatable.
    marks
        Also take out the pairs that were marked drop in `pairwright browse`, by the rule manually_pruned.
    root
        Folder that holds the datasets.
    """
    from flows import curating, summary
    from flows.terminal import Bars, show_log

    show_log()
    with Bars() as bars:
        version, made = curating.curate(root, dataset, recipe, set_, bars, marked=marks)
    summary.show(version, made, root, Console(highlight=False))


def merge(
    *datasets: str,
    name: str,
    recipe: str | None = None,
    set_: Settings = (),
    root: Root = Path("data"),
) -> None:
    """Merge the samples of several versions into one dataset, and pair, measure and order them together.

    Parameters
    ----------
    datasets
        Two or more of NAME or NAME@VERSION. Of a row that several have, the first one's is taken.
    name
        Name of the dataset to make; where it exists, its next version.
    recipe
        A YAML file for its sections pairs, measures and curriculum; those of the first version when left out.
    set_
        Override a value, as in --set pairs.strategy=all_pairs. Repeatable.
    root
        Folder that holds the datasets.
    """
    from flows import curating, summary
    from flows.terminal import Bars, show_log

    show_log()
    with Bars() as bars:
        version, made = curating.combine(root, datasets, name, recipe, set_, bars)
    summary.show(version, made, root, Console(highlight=False))


def funnel(dataset: str, *, root: Root = Path("data"), as_json: Json = False) -> None:
    """Show what each pruning rule took, alone and in its turn, and where the buckets are cut.

    Parameters
    ----------
    dataset
        NAME or NAME@VERSION.
    root
        Folder that holds the datasets.
    as_json
        Print JSON, for scripts.
    """
    from curation import manifest
    from flows import curating

    account = curating.account(manifest.open_version(root, *manifest.parse_reference(dataset)))
    if as_json:
        print(json.dumps(account, ensure_ascii=False))
    else:
        curating.show_account(account, Console(highlight=False))

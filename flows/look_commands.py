"""The commands that show a dataset: in the terminal, as one file, and as a page on this machine.

Functions only; `flows.cli` makes commands of them. Heavy libraries are imported inside.
"""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from flows.roots import Root

Json = Annotated[bool, Parameter(name="--json", negative="")]
Open = Annotated[bool, Parameter(name="--open", negative="")]


def show(
    dataset: str | None = None,
    *,
    pair: str | None = None,
    tokens: Annotated[bool, Parameter(negative="")] = False,
    root: Root = Path("data"),
    as_json: Json = False,
) -> None:
    """List the datasets; with a name, show a version: its tables, checks, buckets and digest; with --pair, one pair.

    Parameters
    ----------
    dataset
        NAME or NAME@VERSION.
    pair
        A pair_id: show both sides, the tests that tell them apart, and the problem's other samples.
    tokens
        With --pair: also every token, the unlikely ones coloured.
    root
        Folder that holds the datasets.
    as_json
        Print JSON, for scripts.
    """
    from curation import manifest

    if dataset is None:
        _list(root, as_json)
        return
    folder = manifest.open_version(root, *manifest.parse_reference(dataset))
    console = Console(highlight=False)
    if pair is not None:
        from analysis.report_pairs import open_pairs
        from flows import pair_view, token_texts
        from flows.show import show_pair

        with open_pairs(folder) as pairs:
            view = pair_view.view(pairs.pair(pair), token_texts.decoder(manifest.read_manifest(folder)))
        if as_json:
            print(json.dumps(view, ensure_ascii=False))
        else:
            show_pair(view, console, tokens=tokens)
    elif as_json:
        print(json.dumps(manifest.read_manifest(folder), indent=2, sort_keys=True))
    else:
        from flows import summary

        summary.show(folder, None, root, console)


def _list(root: Path, as_json: bool) -> None:
    """Print the datasets under a root."""
    from curation import manifest

    listing = {name: manifest.versions(root, name) for name in manifest.datasets(root)}
    if as_json:
        print(json.dumps(listing))
        return
    for name, numbers in listing.items():
        print(f"{name}: {len(numbers)} sealed, newest {name}@{numbers[-1]}")
    if not listing:
        print(f"no datasets under {root}: pairwright build demo makes one")


def report(
    dataset: str,
    *,
    out: Path | None = None,
    pairs: int = 200,
    open_: Open = False,
    root: Root = Path("data"),
) -> None:
    """Write one HTML file that shows a version: what was made of what, plots, trainings, and some of its pairs.

    Parameters
    ----------
    dataset
        NAME or NAME@VERSION.
    out
        The file to write; data/NAME/reports/VERSION.html when left out.
    pairs
        How many pairs are in it at most, equally many of each bucket.
    open_
        Open it in the browser.
    root
        Folder that holds the datasets.
    """
    from curation import manifest, storage
    from flows.report import write_report
    from flows.terminal import Bars

    folder = manifest.open_version(storage.local_only(root, "a report"), *manifest.parse_reference(dataset))
    with Bars() as bars:
        file = write_report(folder, root, out, pairs=max(0, pairs), call=bars)
    print(file)
    if open_:
        webbrowser.open(file.resolve().as_uri())


def browse(dataset: str, *, port: int = 0, open_: Open = False, root: Root = Path("data")) -> None:
    """Serve a page on this machine that pages through all pairs of a version, and takes marks: keep, drop, comment.

    Parameters
    ----------
    dataset
        NAME or NAME@VERSION.
    port
        Port to listen on, on loopback; a free one when left out.
    open_
        Open it in the browser.
    root
        Folder that holds the datasets.
    """
    from curation import manifest, storage
    from flows import browse as browsing

    folder = manifest.open_version(storage.local_only(root, "browsing"), *manifest.parse_reference(dataset))

    def shown(address: str) -> None:
        print(f"{address}\nCtrl-C ends it; marks are kept in {folder.parent / 'marks.jsonl'}", flush=True)
        if open_:
            webbrowser.open(address)

    browsing.browse(folder, port, shown)

"""`pairwright report`: one HTML file that shows a version to whoever it is sent to, without a server or a network.

    <root>/<name>/reports/<version>.html

Everything it shows is data: one JSON text, in which no `<` stands, that the page's own script sets as text. A policy in
the file's head allows that script, by its hash, and nothing else: no other script, no request.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections.abc import Mapping
from importlib import resources
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import yaml

from analysis import charts, engine
from analysis.curriculum import MEASURES
from analysis.report import file_of, run_report
from analysis.report_figures import Figure, figures
from analysis.report_pairs import Filter, Pairs, open_pairs
from analysis.report_training import training_figures
from curation import manifest, store
from curation.embedded import cache_folder
from flows import pair_view, token_texts
from flows.calling import Call, plain
from flows.config import ConfigError, parse

PAIRS = 200
NOTES = {"Measures": "Blue: pairs trained on. Grey: pruned ones. Dashed lines: the curriculum's cut points."}
# What all the pairs of a report may take, so that it stays a file that can be mailed.
PAIR_BYTES = 1_500_000
MOST_CANDIDATES = 20


def write_report(version: Path, root: Path, out: Path | None = None, *, pairs: int = PAIRS, call: Call = plain) -> Path:
    """Write the report of a sealed version, beside the version unless `out` names a file, and return its path."""
    target = out or file_of(version)
    sealed = manifest.read_manifest(version)
    drawn = call("draw figures", lambda on_progress: [*figures(version), *training_figures(version, root)])
    sampled = call("gather pairs", lambda on_progress: _pairs(version, sealed, pairs, on_progress))
    page = render(
        {**_head(version, sealed, root), "figures": [_plain(figure) for figure in drawn], "notes": NOTES, **sampled}
    )
    with store.replacing(target) as partial:
        partial.write_text(page, encoding="utf-8")
    return target


def render(data: Mapping[str, Any]) -> str:
    """The page that shows `data`."""
    pages = {name: page(name) for name in ("report.html", "pages.css", "pairs.js", "report.js")}
    parts = {
        "library": library(),
        "script": f"{pages['pairs.js']}\n{pages['report.js']}",
        "style": pages["pages.css"],
    }
    for name, text in parts.items():
        assert "</script" not in text and "</style" not in text, f"{name} would end the element it stands in"
    scripts = " ".join(_hash(parts[name]) for name in ("library", "script"))
    policy = f"default-src 'none'; script-src {scripts}; style-src {_hash(parts['style'])}; "
    policy += "img-src data:; base-uri 'none'; form-action 'none'"
    parts |= {"policy": policy, "title": f"{data['dataset']}@{data['version']}", "data": embedded(data)}
    # Split and not replaced in turn: what one part holds must not be read as the name of the next.
    found, rest = [], pages["report.html"]
    while "{" in rest:
        before, _, rest = rest.partition("{")
        name, _, rest = rest.partition("}")
        found += [before, parts[name]]
    return "".join([*found, rest])


def embedded(data: Any) -> str:
    """JSON that may stand in a script element: no `<` opens anything there, whatever the data are."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def library() -> str:
    """The drawing library of a page. Putting it together takes seconds, so it is kept in the cache."""
    file = cache_folder() / f"vega-{version_of('vl-convert-python')}.js"
    if not file.is_file():
        with store.replacing(file) as partial:
            partial.write_text(charts.script(), encoding="utf-8")
    return file.read_text(encoding="utf-8")


def page(name: str) -> str:
    """A file of flows/pages."""
    return resources.files("flows").joinpath("pages", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _plain(figure: Figure) -> dict[str, Any]:
    told = {"key": figure.key, "section": figure.section, "title": pair_view.short(figure.title)}
    told |= {"caption": pair_view.short(figure.caption), "small": figure.small}
    if figure.spec is not None:
        return told | {"spec": _seen(figure.spec)}
    return told | {"rows": _seen(figure.rows)}


def _seen(value: Any) -> Any:
    """Plain values whose texts have nothing invisible in them, and whose numbers JSON can hold."""
    if isinstance(value, Mapping):
        return {key: _seen(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_seen(one) for one in value]
    return pair_view.short(value)


def _head(version: Path, sealed: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """What the report starts with: name, tiles, facts, and the commands that make the version again."""
    counts = {table: entry["num_rows"] for table, entry in sealed["tables"].items()}
    rates = run_report(version, "pass_at_k", k=1).to_pylist()[0]["pass_at_k"]
    kept = run_report(version, "stages").to_pylist()[0]["trained"]
    with engine.connect(version) as con:
        models = engine.select(con, "SELECT DISTINCT model FROM completions ORDER BY model")["model"].to_pylist()
    name = f"{sealed['dataset']}@{sealed['version']}"
    tiles = [(counts[table], table) for table in ("problems", "completions", "pairs")] + [(kept, "pairs trained on")]
    shown = [(f"{count:,}", label) for count, label in tiles]
    if rates is not None:
        shown.append((f"{rates:.3f}", "pass@1"))
    cuts = sealed["cut_points"]
    shown.append((str(len(cuts.get("percentiles", [])) + 1), f"buckets by {cuts.get('metric', 'no metric')}"))
    code = sealed["code"]
    commit = f"commit {code['commit']}{' with changes' if code.get('dirty') else ''}" if code.get("commit") else ""
    packages = ", ".join(f"{package} {number}" for package, number in code.get("packages", {}).items())
    sources = [f"{one['source']} ({one['license']}, {one['source_revision'][:12]})" for one in sealed["sources"]]
    facts = {
        "made": sealed["created_at"],
        "by": ", ".join(part for part in (packages, f"Python {code.get('python', '?')}", commit) if part),
        "model": ", ".join(models) or "none",
        "problems": ", ".join(sources) or "none",
        "from version": str(sealed["parent"] or "none: built from its recipe"),
        "checks": f"{len(sealed['checks'])} passed before it was sealed",
        "digest": sealed["digest"],
    }
    return {
        "name": name,
        "dataset": sealed["dataset"],
        "version": sealed["version"],
        "said": "Preference pairs of programs: what they are made of, how they are ordered, what came of them.",
        "tiles": _seen(shown),
        "facts": _seen([(fact, text) for fact, text in facts.items()]),
        "command": command(sealed, root),
    }


def command(sealed: Mapping[str, Any], root: Path = Path("data")) -> str:
    """Shell commands that make a version like this one again: its recipe as a file, and the command that reads it.

    They come from a manifest, which may be a stranger's: names are quoted, and no line of a file can end it.
    """
    config = dict(sealed["config"])
    at = "" if root == Path("data") else f" --root {shlex.quote(str(root))}"
    name = str(sealed["dataset"])
    sources = config.pop("merged", None)
    sections = ("pairs", "measures", "curriculum")
    if sources:
        config = {key: value for key, value in config.items() if key in sections}
    try:
        recipe = parse(config if not sources else {"dataset": name} | config, "the manifest")
        written = recipe.model_dump(mode="json", exclude_defaults=True, exclude={"curriculum": {"folder"}})
    except ConfigError:
        # Of an older or newer pairwright: as it stands.
        written = config
    if sources:
        written.pop("dataset", None)
    files = {f"{name}.yaml": yaml.dump(written, Dumper=_Readable, sort_keys=False, allow_unicode=False)}
    files |= {str(file): str(text) + "\n" for file, text in sealed["cut_points"].get("sql", {}).items()}
    lines = [_heredoc(file, text) for file, text in files.items() if _is_typed(text)]
    quoted = shlex.quote(f"{name}.yaml")
    if sources:
        merged = " ".join(shlex.quote(f"{one['dataset']}@{one['version']}") for one in sources)
        return "\n".join([*lines, f"pairwright merge {merged} --name {shlex.quote(name)} --recipe {quoted}{at}"])
    return "\n".join([*lines, f"pairwright build {quoted}{at}"])


class _Readable(yaml.SafeDumper):
    """YAML as people write it: texts of several lines in quotes on one, short lists on one."""


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if "\n" in text else None)


def _flat(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.SequenceNode:
    flat = not any(isinstance(value, list | dict) for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=flat)


_Readable.add_representer(str, _quoted)
_Readable.add_representer(list, _flat)


def _is_typed(text: str) -> bool:
    """Whether a text holds only what people type: pasted control characters are commands to a terminal."""
    return all(pair_view.visible(line) == line for line in text.split("\n"))


def _heredoc(file: str, text: str) -> str:
    end = "END"
    while end in text:
        end += hashlib.sha256(text.encode()).hexdigest()[:4]
    return f"cat > {shlex.quote(Path(file).name)} <<'{end}'\n{text}{end}"


def _pairs(version: Path, sealed: Mapping[str, Any], count: int, on_progress: Any) -> dict[str, Any]:
    """The pairs of the report, as `held` in report.js takes them, and a sentence on which they are."""
    with open_pairs(version) as opened:
        found, problems = _views(opened, sealed, count, on_progress)
        everything = opened.page(Filter(), limit=0).total
    facets: dict[str, dict[str, int]] = {"bucket": {}, "rule": {}, "strategy": {}}
    for pair in found:
        for facet, key in (("bucket", "bucket"), ("rule", "pruned_by"), ("strategy", "strategy")):
            if pair[key] is not None:
                facets[facet][str(pair[key])] = facets[facet].get(str(pair[key]), 0) + 1
    name = f"{sealed['dataset']}@{sealed['version']}"
    said = (
        f"All {everything:,} pairs."
        if len(found) == everything
        else (
            f"{len(found):,} of {everything:,} pairs, equally many of each bucket and of the pruned ones. "
            f"All of them: pairwright browse {name}"
        )
    )
    keys = "Keys: j and k for the next and the last pair, n and p for pages, t for the tokens."
    measures = [name for name in MEASURES if any(name in pair["measures"] for pair in found)]
    told = {"pairs": found, "problems": problems, "facets": facets, "measures": measures}
    return told | {"sampled": f"{said} {keys}"}


def _views(
    opened: Pairs, sealed: Mapping[str, Any], count: int, on_progress: Any
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Views of sampled pairs, as many as PAIR_BYTES hold, and what the pairs of a problem share, once a problem."""
    decode = token_texts.decoder(sealed)
    found: list[dict[str, Any]] = []
    problems: dict[str, Any] = {}
    size = 0
    wanted = opened.sample(count)
    for number, pair_id in enumerate(wanted):
        on_progress(number, len(wanted))
        view = pair_view.view(opened.pair(pair_id), decode, most_candidates=MOST_CANDIDATES)
        shared = {key: view.pop(key) for key in ("problem", "candidates")}
        is_new = view["problem_id"] not in problems
        size += len(embedded([view, shared] if is_new else view).encode())
        if size > PAIR_BYTES and found:
            break
        found.append(view)
        if is_new:
            problems[view["problem_id"]] = shared
    on_progress(len(wanted), len(wanted))
    return found, problems

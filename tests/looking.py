"""What the tests of the report and of the browser share: Chromium, and a sealed version of what would break a page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from flows import config
from flows.build import build

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()

SCRIPT = "</script><script>window.ran = 1</script><!--<script>"
IMAGE = "<img src=x onerror='window.ran = 2'>"
ANSI = "\x1b[31mred\x1b]0;title\x07"
BIDI = "\u202ereversed\u2066"
LONG = "x" * 1_000_000
RIGHT = f"def f(x):\n    # {SCRIPT}\n    # {BIDI} {ANSI}\n    return x + 1\n"
WRONG = f"def f(x):\n    # {IMAGE}\n    return {SCRIPT!r}\n"
RAISES = f"def f(x):\n    raise ValueError({SCRIPT + IMAGE + ANSI + BIDI!r})\n"
ENDLESS = f"def f(x):\n    y = '{LONG}'\n    return 2\n"
PROGRAMS = (RIGHT, WRONG, RAISES, ENDLESS)


@dataclass
class Seen:
    """What a page did while it was open: its requests, and what it complained of."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@contextmanager
def page(*, width: int = 1300, height: int = 900, scheme: str = "light") -> Iterator[tuple[object, Seen]]:
    """A page of headless Chromium and what it does."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the extra dev brings it")
    if not CHROMIUM.exists():
        pytest.skip(f"no browser here: {CHROMIUM} is Debian's package chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        try:
            opened = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme).new_page()
            opened.set_default_timeout(60_000)
            seen = Seen()
            opened.on("request", lambda request: seen.requests.append(request.url))
            opened.on("console", lambda message: seen.complaints.append(message.text))
            opened.on("pageerror", lambda error: seen.complaints.append(str(error)))
            yield opened, seen
        finally:
            browser.close()


def hostile_version(root: Path) -> Path:
    """A sealed version of two problems whose every text, of problems, programs, errors and the model, is hostile."""
    problems = [
        {
            "task_id": f"{name} {SCRIPT}",
            "prompt": f"Add one. {SCRIPT} {IMAGE} {BIDI}",
            "entry_point": "f",
            "tests": [f"assert f(1) == 2  # {IMAGE} {SCRIPT}", "assert f(2) == 3"],
        }
        for name in ("first", "second")
    ]
    samples = [{"task_id": one["task_id"], "solution": text} for one in problems for text in PROGRAMS]
    for name, rows in (("problems", problems), ("samples", samples)):
        (root / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {
        "dataset": "hostile",
        "problems": {"source": "jsonl", "path": str(root / "problems.jsonl")},
        "generate": {
            **{"sampler": "replay", "path": str(root / "samples.jsonl"), "completion_is": "solution"},
            "model": f"model {IMAGE}{SCRIPT}",
        },
        "pairs": {"strategy": "all_pairs"},
        "curriculum": {"metric": "edit_distance", "percentiles": [50], "prune": []},
    }
    version, _ = build(config.parse(recipe, "the test"), root)
    return version

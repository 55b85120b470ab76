"""`pairwright show NAME --pair ID`: one pair in the terminal, as `pairwright browse` shows it in a browser.

A view holds nothing that a terminal would take for a command (see pair_view), and rich is given text, never markup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.style import Style
from rich.table import Table
from rich.text import Text

from flows.pair_view import Span

STYLES = {
    **{"k": "magenta", "s": "green", "m": "yellow", "c": "bright_black italic", "f": "bold blue", "b": "cyan"},
    "x": "bold white on red",
}
SIDES = {"chosen": "blue", "rejected": "red"}
NO_EVIDENCE = (None, "refused", "killed", "infra_error")
# Narrower than that, the sides stand below each other.
BESIDE = 100
MOST_CANDIDATES = 12
# Log-probabilities in nats from which a token is at least so likely, and what marks it.
SHADES = ((-0.5, ""), (-1.5, "yellow"), (-3.0, "bold yellow"), (-6.0, "bold red"))


def show_pair(view: Mapping[str, Any], console: Console, *, tokens: bool = False) -> None:
    """Print a view of `pair_view.view`."""
    placed = f"pruned by {view['pruned_by']}" if view["pruned_by"] else f"bucket {view['bucket']}"
    place = "" if view["position"] is None else f", place {view['position']}"
    console.print(Text(f"{view['task_id']}  {view['pair_id']}", style="bold"))
    console.print(Text(f"{placed}{place} · {view['strategy']} · {_measures(view)}", style="bright_black"))
    console.print()
    for side in SIDES:
        console.print(_run(side, view[side]))
    console.print()
    console.print(_diff(view["rows"], beside=console.width >= BESIDE))
    if tokens:
        for side in SIDES:
            console.print(Group("", Text(f"{side}, token by token", style="bold"), _tokens(view[side])))
    console.print()
    console.print(_tests(view))
    console.print()
    console.print(_candidates(view))


def _measures(view: Mapping[str, Any]) -> str:
    wanted = ("edit_distance", "ast_distance", "logp_distance", "test_gap")
    return ", ".join(f"{name} {view['measures'][name]:.4g}" for name in wanted if name in view["measures"])


def _verdict(status: str | None) -> Text:
    style = "green" if status == "passed" else "bright_black" if status in NO_EVIDENCE else "red"
    return Text(status or "not run", style=style)


def _run(side: str, run: Mapping[str, Any]) -> Text:
    told = Text.assemble((f"{side:9}", f"bold {SIDES[side]}"), _verdict(run["status"]))
    if run["num_tests"] is not None:
        told.append(f"  {run['num_passed']} of {run['num_tests']} tests")
    if run["sum_logp"] is not None:
        told.append(f"  log-prob {run['sum_logp']:.4g} in {run['num_tokens']} tokens")
    if run["error_type"]:
        told.append(f"  {run['error_type']}: {run['error_message'] or ''}", style="red")
    return told


def _line(spans: Sequence[Span] | None, background: str = "") -> Text:
    """A line's spans as text; changed ones are underlined."""
    line = Text(style=f"on {background}" if background else "")
    for span in spans or ():
        kind, text, *changed = ["", span] if isinstance(span, str) else span
        line.append(
            text,
            Style.parse(STYLES.get(kind, "")) + Style(underline=True, bold=True if changed else None)
            if changed
            else STYLES.get(kind, ""),
        )
    return line


def _diff(rows: Sequence[Sequence[Any]], *, beside: bool) -> Table:
    """Both sides beside each other, or below each other with a sign before each line."""
    table = Table.grid(padding=(0, 1))
    if not beside:
        table.add_column(justify="right", style="bright_black")
        table.add_column(overflow="fold")
        for op, left, left_spans, right, right_spans in rows:
            if left is not None:
                table.add_row(str(left), Text("  " if op == "=" else "- ", style="blue") + _line(left_spans))
            if right is not None and op != "=":
                table.add_row(str(right), Text("+ ", style="red") + _line(right_spans))
        return table
    for _ in SIDES:
        table.add_column(justify="right", style="bright_black")
        table.add_column(overflow="fold", ratio=1)
    table.expand = True
    for op, left, left_spans, right, right_spans in rows:
        behind = "" if op == "=" else "grey11"
        sides = ((left, left_spans), (right, left_spans if op == "=" else right_spans))
        cells = [("" if at is None else str(at), _line(spans, behind)) for at, spans in sides]
        table.add_row(*cells[0], *cells[1])
    return table


def _tokens(run: Mapping[str, Any]) -> Text:
    """The tokens of a side, the unlikely ones coloured."""
    if "tokens" not in run:
        return Text("log-probabilities or the model's tokenizer are not here", style="bright_black")
    told = Text()
    for text, logp in run["tokens"]:
        style = next((style for least, style in SHADES if logp > least), "bold white on red")
        told.append(text.replace("↵", "↵\n"), style=style)
    return told


def _tests(view: Mapping[str, Any]) -> Table:
    table = Table("", "test", "chosen", "rejected", show_edge=False, box=None, padding=(0, 1, 0, 0))
    for number, test in enumerate(view["problem"]["tests"]):
        parts = [line for name in ("code", "stdin", "stdout") for line in test.get(name, ())]
        verdicts = [_at(view[side]["test_status"], number) for side in SIDES]
        table.add_row(str(number + 1), Text("\n").join(map(_line, parts[:8])), *map(_verdict, verdicts))
    if len(view["problem"]["tests"]) < view["problem"]["num_tests"]:
        table.add_row("", f"{view['problem']['num_tests']} in all", "", "")
    return table


def _at(values: Sequence[str], number: int) -> str | None:
    return values[number] if number < len(values) else None


def _candidates(view: Mapping[str, Any]) -> Table:
    """The problem's samples in their order, the best ones and both sides."""
    table = Table("rank", "sample", "", show_edge=False, box=None, padding=(0, 1, 0, 0))
    for heading in ("tests", "log-prob", "tokens"):
        table.add_column(heading, justify="right")
    table.add_column("error")
    sides = {view[side]["completion_id"]: side for side in SIDES}
    for rank, name, sample, status, passed, tests, error, logp, tokens, _ in view["candidates"]:
        side = sides.get(name)
        if rank <= MOST_CANDIDATES or side:
            numbers = ["" if value is None else f"{value:.4g}" for value in (logp, tokens)]
            first = (str(rank), str(sample), _verdict(status), f"{passed} / {tests}")
            table.add_row(*first, *numbers, Text(error or ""), style=f"bold {SIDES[side]}" if side else "")
    if len(view["candidates"]) > table.row_count:
        table.add_row("", f"{view['problem']['num_candidates']} in all")
    return table

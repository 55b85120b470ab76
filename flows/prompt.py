"""The prompt of `pairwright sql NAME` without a query: history, completion, one query after another."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Literal

from analysis import engine
from curation.errors import UserError
from flows import tabular

HISTORY_LINES = 2000


def converse(version: Path, name: str, style: Literal["table", "csv", "json", "parquet"], out: Path | None) -> None:
    """Read queries until Ctrl-D or `.quit`; a query ends at a semicolon or an empty line, an error ends only itself."""
    remember = _edit_lines(engine.vocabulary()) if sys.stdin.isatty() else contextlib.nullcontext()
    print(f"{name}: tables {', '.join(engine.TABLES)}; end a query with ; and leave with Ctrl-D", file=sys.stderr)
    with remember, engine.session(version) as ask:
        lines: list[str] = []
        while True:
            try:
                line = input("...> " if lines else "sql> ")
            except EOFError:
                print(file=sys.stderr)
                return
            except KeyboardInterrupt:
                lines = []
                print(file=sys.stderr)
                continue
            if not lines and line.strip() in (".quit", ".exit", "quit", "exit"):
                return
            lines += [line] if line.strip() else []
            if lines and (not line.strip() or line.rstrip().endswith(";")):
                query, lines = "\n".join(lines).rstrip().rstrip(";"), []
                try:
                    tabular.emit(ask(query), style, out)
                except UserError as error:
                    print(error, file=sys.stderr)


@contextlib.contextmanager
def _edit_lines(words: list[str]):  # type: ignore[no-untyped-def]
    """GNU readline with completion over `words` and a history kept between conversations."""
    try:
        import readline
    except ImportError:
        yield
        return
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "pairwright" / "sql_history"

    def complete(text: str, number: int) -> str | None:
        fitting = [word for word in words if word.lower().startswith(text.lower())]
        return fitting[number] if number < len(fitting) else None

    readline.set_completer(complete)
    readline.set_completer_delims(" \t\n,()=<>+-*/;.\"'")
    readline.parse_and_bind("tab: complete")
    with contextlib.suppress(OSError):
        state.parent.mkdir(parents=True, exist_ok=True)
        readline.read_history_file(state)
    try:
        yield
    finally:
        readline.set_history_length(HISTORY_LINES)
        with contextlib.suppress(OSError):
            readline.write_history_file(state)

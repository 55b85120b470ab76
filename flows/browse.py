"""`pairwright browse`: a page on this machine that goes through all pairs of a version, and takes down what one thinks.

What is shown is untrusted, and so is every other page that is open in the same browser:

* only loopback is listened on, and a random token stands in the path of everything; without it there is nothing
* a request must name this server in `Host`, so that a name made to point here later (DNS rebinding) gets nothing
* a GET changes nothing; a POST must be of JSON and come from our own page
* the policy of the page allows our own scripts and styles and nothing else; what datasets hold arrives as JSON, and the
  page sets it as text
"""

from __future__ import annotations

import hmac
import json
import logging
import math
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic import ValidationError

from analysis.report_pairs import Filter, Pairs, open_pairs
from curation import manifest
from curation.errors import UserError
from curation.waiting import MOMENT
from flows import marks as marking
from flows import pair_view, token_texts
from flows.marks import Mark
from flows.report import page
from flows.token_texts import Decode

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
PAGE_SIZE = 100
MOST_BODY = 65_536
FILES = {
    "": ("browse.html", "text/html; charset=utf-8"),
    "pages.css": ("pages.css", "text/css; charset=utf-8"),
    "pairs.js": ("pairs.js", "text/javascript; charset=utf-8"),
    "browse.js": ("browse.js", "text/javascript; charset=utf-8"),
}
JSON = "application/json"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: HTTPStatus
    kind: str
    content: bytes


@dataclass
class Browsing:
    """One version being looked at: its pairs, what was marked so far, and the token that lets one in."""

    name: str
    pairs: Pairs
    file: Path
    marks: dict[str, Mark]
    facts: dict[str, Any]
    """What pairs are filtered by: `facets`, and the `measures` that any pair has."""
    decode: Decode | None = None
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"", *, port: int = 0
    ) -> Answer:
        """The answer to one request; refusals say as little as they can."""
        parts = urlsplit(target)
        _, given, *rest = [*parts.path.split("/", 2), ""]
        if headers.get("Host") not in (f"{HOST}:{port}", f"localhost:{port}"):
            return _said(HTTPStatus.MISDIRECTED_REQUEST, "this server answers to its own address alone")
        if not hmac.compare_digest(given.encode(), self.token.encode()) or len(parts.path.split("/")) < 3:
            return _said(HTTPStatus.NOT_FOUND, "nothing is here: open the whole address that pairwright browse printed")
        what = rest[0]
        if what in FILES and method == "GET":
            file, kind = FILES[what]
            return Answer(HTTPStatus.OK, kind, page(file).encode())
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        try:
            if method == "GET" and what in GETS:
                return _found(GETS[what](self, query))
            if method == "POST" and what == "api/mark":
                return self._mark(headers, body, port)
        except UserError as error:
            return _said(HTTPStatus.BAD_REQUEST, str(error))
        except Exception:
            log.exception("%s %s", method, what)
            return _said(HTTPStatus.INTERNAL_SERVER_ERROR, "pairwright failed at this; its terminal says how")
        return _said(HTTPStatus.NOT_FOUND, f"nothing is at {what[:80]!r}")

    def start(self, query: Mapping[str, str]) -> dict[str, Any]:
        """What the page needs to know before anything else."""
        return {"name": self.name, **self.facts, "size": PAGE_SIZE, "said": self.said()}

    def said(self) -> str:
        """How many pairs are marked."""
        counts = marking.count(self.marks)
        return f"{counts.keep} keep · {counts.drop} drop · {counts.comment} commented"

    def page(self, query: Mapping[str, str]) -> dict[str, Any]:
        """A page of the pairs that a query asks for."""
        found = self.pairs.page(self._filter(query), limit=PAGE_SIZE, offset=_whole(query, "offset") or 0)
        rows = [
            {name: pair_view.short(value) for name, value in row.items()} | {"mark": self._marked(row["pair_id"])}
            for row in found.rows
        ]
        return {"rows": rows, "total": found.total}

    def pair(self, query: Mapping[str, str]) -> dict[str, Any]:
        """One pair with all around it."""
        view = pair_view.view(self.pairs.pair(query.get("id", "")), self.decode)
        return view | {"mark": self._marked(view["pair_id"])}

    def program(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Another sample of a pair's problem."""
        found = self.pairs.completion(query.get("pair", ""), query.get("id", ""))
        return pair_view.program(found, self.decode)

    def _mark(self, headers: Mapping[str, str], body: bytes, port: int) -> Answer:
        origin = headers.get("Origin")
        kind = (headers.get("Content-Type") or "").partition(";")[0].strip()
        ours = (f"http://{HOST}:{port}", f"http://localhost:{port}")
        if kind != JSON or (origin is not None and origin not in ours):
            return _said(HTTPStatus.FORBIDDEN, "marks are taken from this server's own page alone")
        if headers.get("Sec-Fetch-Site") not in (None, "same-origin"):
            return _said(HTTPStatus.FORBIDDEN, "marks are taken from this server's own page alone")
        try:
            mark = Mark.model_validate_json(body)
        except ValidationError as error:
            raise UserError(f"this is no mark: {'; '.join(one['msg'] for one in error.errors())}") from None
        if not self.pairs.page(Filter(pairs=[mark.pair_id]), limit=0).total:
            raise UserError(f"{self.name} has no pair {mark.pair_id}")
        with self.lock:
            marking.add_mark(self.file, mark)
            self.marks.pop(mark.pair_id, None)
            if mark.mark or mark.comment:
                self.marks[mark.pair_id] = mark
        return _found({"said": self.said()})

    def _marked(self, pair_id: str) -> dict[str, Any] | None:
        mark = self.marks.get(pair_id)
        return None if mark is None else {"mark": mark.mark, "comment": mark.comment}

    def _filter(self, query: Mapping[str, str]) -> Filter:
        sort = query.get("sort") or "position"
        wanted = query.get("marked")
        with self.lock:
            marked = [
                mark.pair_id
                for mark in self.marks.values()
                if mark.mark == wanted or (wanted == "comment" and mark.comment)
            ]
        texts = {name: query.get(name) or None for name in ("fate", "strategy", "problem", "measure", "where")}
        return Filter(
            **texts,
            bucket=_whole(query, "bucket"),
            low=_number(query, "low"),
            high=_number(query, "high"),
            pairs=marked if wanted else None,
            sort=sort.removeprefix("-"),
            descending=sort.startswith("-"),
        )


GETS: dict[str, Callable[[Browsing, Mapping[str, str]], dict[str, Any]]] = {
    "api/start": Browsing.start,
    "api/page": Browsing.page,
    "api/pair": Browsing.pair,
    "api/program": Browsing.program,
}


def _number(query: Mapping[str, str], name: str) -> float | None:
    text = query.get(name)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{name} must be a number, found {text[:80]!r}")
    return value


def _whole(query: Mapping[str, str], name: str) -> int | None:
    value = _number(query, name)
    if value is None:
        return None
    if value != int(value) or not 0 <= value < 2**53:
        raise UserError(f"{name} must be a whole number from 0, found {query[name][:80]!r}")
    return int(value)


def _found(value: Any) -> Answer:
    return Answer(HTTPStatus.OK, JSON, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def _said(status: HTTPStatus, error: str) -> Answer:
    return Answer(status, JSON, json.dumps({"error": error}).encode())


@contextmanager
def serving(version: Path, port: int = 0) -> Iterator[str]:
    """Serve the pairs of a sealed version until the end of the block, and give the address to open.

    Raises:
        UserError: the port is taken, or a line of the marks is no mark.
    """
    sealed = manifest.read_manifest(version)
    name = f"{sealed['dataset']}@{sealed['version']}"
    file = version.parent / marking.FILE
    with open_pairs(version) as pairs:
        facts = {"facets": pairs.facets(), "measures": pairs.measured()}
        browsing = Browsing(name, pairs, file, marking.read_marks(file), facts, token_texts.decoder(sealed))
        try:
            server = ThreadingHTTPServer((HOST, port), _handler(browsing))
        except OSError as error:
            raise UserError(f"cannot listen on port {port} ({error.strerror}): give another with --port") from error
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_port}/{browsing.token}/"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def browse(version: Path, port: int, shown: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or a signal to end; `shown` is given the address."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with serving(version, port) as address:
        shown(address)
        try:
            while True:
                time.sleep(MOMENT)
        except KeyboardInterrupt:
            return


def _handler(browsing: Browsing) -> type[BaseHTTPRequestHandler]:
    """The class that http.server wants, which asks `browsing` and sends what it says."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version, sys_version = "pairwright", ""
        timeout = 60

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not (length.isascii() and length.isdigit() and int(length) <= MOST_BODY):
                self.close_connection = True
                return self._send(_said(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a mark is shorter than that"))
            self._answer(self.rfile.read(int(length)))

        def _answer(self, body: bytes = b"") -> None:
            port = self.connection.getsockname()[1]
            self._send(browsing.answer(self.command, self.path, dict(self.headers.items()), body, port=port))

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for name, value in HEADERS.items():
                self.send_header(name, value)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the address holds the token, and a terminal's log is kept."""

    return Handler

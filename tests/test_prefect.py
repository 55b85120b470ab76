"""Flows without a server: what their forms say, what is worth another try, and servers that do not answer."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from curation.errors import UnreachableError, UserError
from curation.pairs import PairSelection
from curation.sampling import Sampling
from curation.workspace import BusyError
from flows import prefect_server
from serving import RECIPE, command, wait_for


def read_form(model: type, values: dict[str, Any], **options: Any) -> Any:
    """What a flow's parameter is when a form sends these values and the rest at their defaults."""
    from typing import Annotated

    from pydantic import TypeAdapter

    from flows.prefect_forms import Form

    sent = {name: field.get_default(call_default_factory=True) for name, field in model.model_fields.items()} | values  # type: ignore[attr-defined]
    return TypeAdapter(Annotated[model, Form("it", **options)]).validate_python(sent)


def test_a_form_says_no_more_than_a_recipe_with_what_was_chosen(tmp_path: Path) -> None:
    replayed = read_form(Sampling, {"sampler": "replay", "path": tmp_path / "it.jsonl"})
    assert replayed == Sampling(sampler="replay", path=tmp_path / "it.jsonl")
    # What is not known of a replayed file is not stated, though the form sent a temperature.
    assert replayed.stated("temperature") is None and replayed.model_fields_set == {"sampler", "path"}
    assert read_form(PairSelection, {"preset": "acecoder"}) == PairSelection(preset="acecoder")
    assert read_form(PairSelection, {"preset": "acecoder"}).min_gap == 0.4
    assert read_form(PairSelection, {}, whole=True).model_fields_set == set(PairSelection.model_fields)


def test_what_a_form_may_not_say_is_one_line() -> None:
    from flows.prefect_forms import accepted

    refused = read_form(Sampling, {"sampler": "replay"})
    with pytest.raises(UserError, match="^the section it cannot be as chosen: recipe: sampler replay needs a path"):
        accepted(1, refused)


def test_only_what_did_not_answer_is_worth_another_try() -> None:
    from flows.prefect_runs import transient

    silent = UserError("the server is silent")
    silent.__cause__ = httpx.ReadTimeout("slow")
    assert transient(UnreachableError("no server answers"))
    assert transient(silent) and transient(ConnectionResetError()) and transient(TimeoutError())
    assert not transient(UserError("no such model")) and not transient(ValueError()) and not transient(BusyError())
    assert not transient(FileNotFoundError())


def test_a_report_is_linked_where_it_is_served_and_only_if_it_is_there(tmp_path: Path, monkeypatch) -> None:
    from analysis.report import file_of
    from flows import artifacts

    version = tmp_path / "data" / "it" / "1"
    version.mkdir(parents=True)
    monkeypatch.setenv(artifacts.REPORTS, f"http://127.0.0.1:1/reports {tmp_path / 'data'}")
    assert artifacts.report_url(version, tmp_path / "data") is None
    file_of(version).parent.mkdir()
    file_of(version).touch()
    assert artifacts.report_url(version, tmp_path / "data") == "http://127.0.0.1:1/reports/it/1"
    assert artifacts.report_url(version, tmp_path) is None  # another root than the one that is served
    monkeypatch.delenv(artifacts.REPORTS)
    assert artifacts.report_url(version, tmp_path / "data") is None


def test_nothing_of_a_row_ends_its_cell() -> None:
    from flows.artifacts import _markdown

    rows = [{"a": "x|y\n| z", "b": None, "c": 0.123456}]
    assert _markdown(rows).splitlines() == ["| a | b | c |", "| --- | --- | --- |", r"| x\|y \| z |  | 0.1235 |"]


def test_a_process_is_known_by_its_start_not_by_its_number_alone() -> None:
    from flows.prefect_runs import _begun

    assert _begun(os.getpid()).isdigit() and _begun(2**22 + 1) == ""
    with subprocess.Popen(["true"]) as child:
        wait_for(lambda: _begun(child.pid) == "", "a zombie to count as gone")


def test_a_server_that_does_not_answer_is_said_and_the_build_goes_on_without(tmp_path: Path) -> None:
    built = command(tmp_path, os.environ | {"PREFECT_API_URL": "http://127.0.0.1:9/api"}, RECIPE)
    _, told = built.communicate()
    assert built.returncode == 0, told
    assert "no Prefect server answers at http://127.0.0.1:9/api: running without it" in told


@pytest.mark.parametrize("url", ["http://[bad/api", "nonsense", "ftp://127.0.0.1/api"])
def test_what_is_no_address_is_no_server(url: str) -> None:
    assert not prefect_server.healthy(url)


class _Stumbles(BaseHTTPRequestHandler):
    """Answers 500 the first time."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_response(500 if self.asked == 1 else 200)
        self.end_headers()
        self.wfile.write(b'"hello"')

    def log_message(self, *args: Any) -> None:
        pass


def test_a_server_that_stumbles_once_is_asked_again(tmp_path: Path) -> None:
    program = (
        "from prefect.client.orchestration import get_client\n"
        "with get_client(sync_client=True) as client:\n"
        "    print(client.hello().json())\n"
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), _Stumbles) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = prefect_server.settings(tmp_path, f"http://127.0.0.1:{server.server_port}")
        client = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        server.shutdown()
    assert (client.stdout, _Stumbles.asked) == ("hello\n", 2), client.stderr


class _Answers(BaseHTTPRequestHandler):
    """Healthy at first, and then gone: every other request is cut off."""

    def do_GET(self) -> None:
        if self.path.endswith("/health"):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"true")

    def do_POST(self) -> None:
        self.close_connection = True

    def log_message(self, *args: Any) -> None:
        pass


@pytest.mark.slow
def test_a_server_that_goes_in_the_middle_is_one_line(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/api"
        built = command(tmp_path, os.environ | {"PREFECT_API_URL": url, "PREFECT_CLIENT_MAX_RETRIES": "0"}, RECIPE)
        _, told = built.communicate()
        server.shutdown()
    assert built.returncode == 1
    assert told.startswith(f"pairwright: the Prefect server at {url} does not answer any more (") and len(told) < 300
    assert told.endswith("the same command goes on from them, and --server off does without it\n")

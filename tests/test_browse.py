"""The page that `pairwright browse` serves, the marks it takes, and the pair in the terminal."""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from analysis import engine, report_pairs
from analysis.engine import SqlError
from analysis.report_pairs import Filter, open_pairs
from commands import run
from curation import manifest, store
from curation.errors import UserError
from flows import marks, pair_view
from flows.browse import serving
from flows.marks import Mark
from flows.show import show_pair
from flows.token_texts import pieces
from literal_rows import pair, pair_feature, placed, plant, problem
from looking import BIDI, LONG, hostile_version, page

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_version(tmp_path_factory.mktemp("hostile"))


@pytest.fixture
def address(hostile: Path) -> Iterator[str]:
    """A server of the hostile version, without marks."""
    (hostile.parent / marks.FILE).unlink(missing_ok=True)
    with serving(hostile) as found:
        yield found


def ask(address: str, method: str, what: str, body: Any = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
    """Status, content and headers of one request; a header of "" is left out."""
    host, _, path = address.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=60)
    try:
        given = {"Host": host} | ({"Content-Type": "application/json"} if body is not None else {})
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.putrequest(method, what if what.startswith("/") else f"/{path}{what}", skip_host=True)
        content = json.dumps(body).encode() if body is not None else b""
        for name, value in given.items():
            connection.putheader(name, value)
        if method == "POST":
            connection.putheader("Content-Length", str(len(content)))
        connection.endheaders(content)
        answer = connection.getresponse()
        told = answer.read()
        kind = answer.headers.get("Content-Type", "")
        return answer.status, json.loads(told) if kind == "application/json" else told, dict(answer.headers)
    finally:
        connection.close()


def test_pairs_are_paged_filtered_looked_at_and_marked(hostile: Path, address: str) -> None:
    rows = store.read(hostile, "pair_features").to_pylist()
    expect = pytest.importorskip("playwright.sync_api").expect
    with page() as (opened, seen):
        opened.goto(address)
        opened.wait_for_selector(".pair header")
        assert opened.locator(".list a").count() == len(rows)
        first = opened.locator(".pair header a").inner_text()
        # The mark must meet the pair that was stepped to, however fast the keys come.
        for key in "jjd":
            opened.keyboard.press(key)
        opened.wait_for_selector(".list .pill.drop")
        second = opened.locator(".list a").nth(2).get_attribute("data-pair")
        assert second != first and opened.url.endswith(f"#pair={second}")
        opened.keyboard.press("c")
        opened.keyboard.type("teaches <b>nothing</b>")
        opened.keyboard.press("Enter")
        expect(opened.locator("#marks")).to_have_text("0 keep · 1 drop · 1 commented", timeout=60_000)
        far = sum(row["edit_distance"] > 1000 for row in rows)
        opened.fill("#where", "edit_distance > 1000")
        opened.keyboard.press("Enter")
        expect(opened.locator(".list a")).to_have_count(far, timeout=60_000)
        assert 0 < far < len(rows)
        opened.fill("#where", "nonsense > 1")
        opened.keyboard.press("Enter")
        opened.wait_for_selector(".list .error")
        assert 'Referenced column "nonsense" not found' in opened.locator(".list").inner_text()
        opened.fill("#where", "")
        opened.select_option("#marked", "drop")
        expect(opened.locator(".list a")).to_have_count(1, timeout=60_000)
        expect(opened.locator(".pair header a")).to_have_text(str(second), timeout=60_000)
        opened.locator("tbody tr[tabindex]").nth(3).click()
        opened.wait_for_selector(".side.sample")
        assert opened.evaluate("window.ran") is None and opened.locator("img").count() == 0
        assert all(request.startswith(address) for request in seen.requests)
        # Of all that happened only the refused condition is on the console.
        assert len(seen.complaints) == 1 and "400" in seen.complaints[0]
        link = opened.url
    marked = marks.read_marks(hostile.parent / marks.FILE)
    assert marked == {second: Mark(pair_id=str(second), mark="drop", comment="teaches <b>nothing</b>")}
    with page(width=420, scheme="dark") as (opened, _):
        opened.goto(link)
        opened.wait_for_selector(".pair header")
        assert opened.locator(".pair header a").inner_text() == second
        assert opened.locator("#comment").input_value() == "teaches <b>nothing</b>"
        assert opened.locator("#drop").get_attribute("aria-pressed") == "true"
        assert opened.evaluate("document.documentElement.scrollWidth") == 420
    assert manifest.verify(hostile) == []


def test_every_answer_forbids_what_the_page_does_not_need(address: str) -> None:
    for what in ("", "pairs.js", "api/start", "nothing"):
        _, _, headers = ask(address, "GET", what)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Cache-Control"] == "no-store"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin" and headers["Referrer-Policy"] == "no-referrer"


def test_without_the_token_there_is_nothing(address: str) -> None:
    token = address.rstrip("/").rpartition("/")[2]
    assert len(token) >= 32
    for what in ("/", "/api/start", f"/{token[:-1]}/api/start", f"/{token}", "/%00/"):
        status, told, _ = ask(address, "GET", what)
        assert status == 404 and "open the whole address" in told["error"], what
    assert ask(address, "GET", f"/{token}/api/start")[0] == 200


def test_a_name_that_was_made_to_point_here_gets_nothing(address: str) -> None:
    port = address.split(":")[2].split("/")[0]
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1.evil.example:{port}", ""):
        status, told, _ = ask(address, "GET", "api/start", Host=host)
        assert status == 421 and "its own address" in told["error"]
    assert ask(address, "GET", "api/start", Host=f"localhost:{port}")[0] == 200


def test_a_get_changes_nothing_and_another_page_marks_nothing(hostile: Path, address: str) -> None:
    [pair_id, *_] = store.read(hostile, "pairs")["pair_id"].to_pylist()
    mark = {"pair_id": pair_id, "mark": "drop", "comment": ""}
    assert ask(address, "GET", f"api/mark?pair_id={pair_id}&mark=drop")[0] == 404
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Content_Type": "text/plain"},
    ):
        status, told, _ = ask(address, "POST", "api/mark", mark, **headers)
        assert (status, told["error"]) == (403, "marks are taken from this server's own page alone"), headers
    for wrong, said in (
        ({**mark, "pair_id": "f" * 20}, "hostile@1 has no pair ffffffffffffffffffff"),
        ({**mark, "mark": "burn"}, "this is no mark"),
        ({**mark, "pair_id": "../x"}, "this is no mark"),
        ({**mark, "comment": "x" * 2001}, "this is no mark"),
    ):
        status, told, _ = ask(address, "POST", "api/mark", wrong)
        assert status == 400 and said in told["error"]
    assert ask(address, "POST", "api/mark", "x" * 70_000)[0] == 413
    assert not (hostile.parent / marks.FILE).exists()
    assert ask(address, "POST", "api/mark", mark)[:2] == (200, {"said": "0 keep · 1 drop · 0 commented"})
    assert ask(address, "POST", "api/mark", {**mark, "mark": None})[1] == {"said": "0 keep · 0 drop · 0 commented"}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (
            "page?where=(SELECT%20count(*)%20FROM%20read_csv('/etc/passwd'))>0",
            "Cannot access file",
        ),
        ("page?where=1=1;DROP%20TABLE%20listing", "does not parse"),
        ("page?where=$bucket=1&bucket=1", "found the parameters $bucket"),
        ("page?measure=pair_id", "there is no measure pair_id"),
        ("page?sort=pair_id;", "pairs are sorted by position, metric or a measure"),
        ("page?measure=test_gap&low=nan", "low must be a number, found 'nan'"),
        ("page?offset=-1", "offset must be a whole number from 0, found '-1'"),
        ("page?bucket=1.5", "bucket must be a whole number from 0, found '1.5'"),
        ("pair?id=%3Cscript%3E", "has no pair <script>"),
        ("program?pair=x&id=y", "has no sample y beside the pair x"),
    ],
)
def test_a_wrong_question_is_answered_with_what_is_wrong(address: str, query: str, said: str) -> None:
    status, told, _ = ask(address, "GET", f"api/{query}")
    assert status == 400 and said in told["error"] and "\n" not in told["error"]


def test_a_condition_that_would_take_for_ever_is_stopped(hostile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_pairs, "SECONDS", 0.2)
    endless = "(SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b) > edit_distance"
    with open_pairs(hostile) as pairs, pytest.raises(SqlError, match="INTERRUPT"):
        pairs.page(Filter(where=endless))


@pytest.fixture(scope="module")
def placed_pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pairs of two problems: two buckets, one pruned, one without the measure."""
    features = [
        pair_feature(name, f"q{1 + n // 3}", edit_distance=n, logp_distance=None if name == "f" else n / 2)
        for n, name in enumerate("abcdef")
    ]
    places = [placed(name, position=n, bucket=n // 3, metric=float(n)) for n, name in enumerate("abcde")]
    return plant(
        tmp_path_factory.mktemp("placed"),
        problems=[problem("q1", task_id="Sum/1"), problem("q2", task_id="Product/2")],
        pairs=[pair(name, strategy="all_pairs" if name == "a" else "best_worst") for name in "abcdef"],
        pair_features=features,
        curriculum=[*places, placed("f", pruned_by="unmeasured")],
    )


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Filter(), "abcdef"),
        (Filter(bucket=1), "de"),
        (Filter(fate="kept"), "abcde"),
        (Filter(fate="pruned"), "f"),
        (Filter(fate="unmeasured"), "f"),
        (Filter(fate="another"), ""),
        (Filter(strategy="all_pairs"), "a"),
        (Filter(problem="product"), "def"),
        (Filter(problem="q1"), "abc"),
        (Filter(measure="edit_distance", low=1, high=2), "bc"),
        (Filter(measure="logp_distance", low=2), "e"),
        (Filter(pairs=["b", "f", "none"]), "bf"),
        (Filter(pairs=[]), ""),
        (Filter(where="edit_distance % 2 = 0 -- even"), "ace"),
        (Filter(where="bucket = 0", fate="kept", sort="edit_distance", descending=True), "cba"),
        (Filter(sort="logp_distance", descending=True), "edcbaf"),
    ],
)
def test_a_filter_finds_what_it_says_in_the_order_asked(placed_pairs: Path, wanted: Filter, expected: str) -> None:
    with open_pairs(placed_pairs) as pairs:
        found = pairs.page(wanted)
        assert "".join(row["pair_id"] for row in found.rows) == expected and found.total == len(expected)
        second = pairs.page(wanted, limit=2, offset=1)
        assert "".join(row["pair_id"] for row in second.rows) == expected[1:3] and second.total == len(expected)


def test_a_sample_takes_turns_among_the_buckets_and_is_the_same_every_time(placed_pairs: Path) -> None:
    with open_pairs(placed_pairs) as pairs:
        assert len(pairs.sample(100)) == 6
        three = pairs.sample(3)
        assert three == pairs.sample(3) and three[-1] == "f"
        assert [name in "abc" for name in three[:2]] == [True, False]
        assert pairs.facets()["rule"] == {"unmeasured": 1} and "edit_distance" in pairs.measured()


def test_marks_are_the_last_ones_said_and_outlive_a_cut_off_line(tmp_path: Path) -> None:
    file = tmp_path / "marks.jsonl"
    assert marks.read_marks(file) == {}
    for mark in (Mark(pair_id="a", mark="drop"), Mark(pair_id="b", mark="keep"), Mark(pair_id="a", comment="é\n")):
        marks.add_mark(file, mark)
    marks.add_mark(file, Mark(pair_id="b"))
    assert marks.read_marks(file) == {"a": Mark(pair_id="a", comment="é\n")}
    file.write_bytes(file.read_bytes() + b'{"pair_id": "c", "mark')
    assert list(marks.read_marks(file)) == ["a"]
    marks.add_mark(file, Mark(pair_id="d", mark="drop"))
    with pytest.raises(UserError, match=r"marks.jsonl:5 is no mark: expected .* mend or remove the line"):
        marks.read_marks(file)


def test_what_is_marked_drop_is_pruned_by_hand_in_the_next_version(
    hostile: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, file = hostile.parents[1], hostile.parent / marks.FILE
    file.unlink(missing_ok=True)

    def curate(*arguments: str) -> int:
        return run("curate", *arguments, "--root", root)

    assert curate("hostile@1", "--marks") == 1
    assert "no pair is marked drop" in capsys.readouterr().err
    first, second, third, *_ = store.read(hostile, "pairs")["pair_id"].to_pylist()
    marks.add_mark(file, Mark(pair_id=first, mark="drop", comment="both are right"))
    marks.add_mark(file, Mark(pair_id=second, mark="keep"))
    marks.add_mark(file, Mark(pair_id="not-in-this-version", mark="drop"))
    assert curate("hostile@1", "--marks") == 0
    newest = manifest.open_version(root, "hostile")
    pruned = engine.query(newest, "SELECT pair_id, pruned_by FROM curriculum WHERE pruned_by IS NOT NULL").to_pylist()
    assert pruned == [{"pair_id": first, "pruned_by": "manually_pruned"}]
    # The same marks are the same version; one more is another, and its rule takes the place of the first.
    assert curate("hostile@1", "--marks") == 0
    assert manifest.open_version(root, "hostile") == newest
    marks.add_mark(file, Mark(pair_id=third, mark="drop"))
    assert curate("hostile", "--marks") == 0
    rules = manifest.read_manifest(manifest.open_version(root, "hostile"))["config"]["curriculum"]["prune"]
    assert [rule["rule"] for rule in rules] == ["manually_pruned"] and len(rules[0]["params"]["pairs"]) == 3
    assert "both are right" in rules[0]["params"]["comments"]
    # Without the marks the rule stays as it was sealed.
    file.unlink()
    assert curate("hostile", "--set", "curriculum.percentiles=[]") == 0
    version = manifest.open_version(root, "hostile")
    assert len(engine.query(version, "FROM curriculum WHERE pruned_by = 'manually_pruned'")) == 2


def test_a_pair_in_the_terminal_moves_no_cursor(hostile: Path) -> None:
    with open_pairs(hostile) as pairs:
        views = [pair_view.view(pairs.pair(name)) for name in pairs.sample(20)]
    for width in (60, 140):
        out = io.StringIO()
        for view in views:
            show_pair(view, Console(file=out, width=width, force_terminal=False), tokens=True)
        text = out.getvalue()
        assert not set(text) & {"\x1b", "\x07", "\r", *BIDI[:1], *BIDI[-1:]} and LONG not in text
        for shown in ("‹ESC›", "‹U+202E›", "window.ran", "ValueError", "[31mred"):
            assert shown in text.replace("\n", ""), (shown, width)


def test_the_command_serves_until_it_is_told_to_end_and_leaves_nothing(hostile: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flows.cli", "browse", "hostile@1", "--root", str(hostile.parents[1])]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        assert ask(f"{address}", "GET", "api/start")[1]["name"] == "hostile@1"
    finally:
        server.send_signal(signal.SIGTERM)
    assert server.wait(timeout=60) == 0
    assert list(tmp_path.glob("pairwright-*")) == []


def test_lines_that_are_alike_show_what_changed_in_them() -> None:
    rows = pair_view.diff("a = 1\nb = 2\nc\n", "a = 1\nb = 3\n")
    assert [row[0] for row in rows] == ["=", "~", "-", "="]
    assert rows[1] == ["~", 2, ["b = ", ["m", "2", 1]], 2, ["b = ", ["m", "3", 1]]]
    assert rows[2] == ["-", 3, ["c"], None, None]
    assert pair_view.diff("x", "completely different")[0][2] == ["x"]


def plain(spans: list[Any]) -> str:
    return "".join(span if isinstance(span, str) else span[1] for span in spans)


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=60), st.text(st.characters(codec="utf-8"), max_size=60))
def test_both_sides_of_a_diff_hold_their_texts_with_nothing_invisible(left: str, right: str) -> None:
    rows = pair_view.diff(left, right)
    lefts = [plain(row[2]) for row in rows if row[1] is not None]
    rights = [plain(row[2] if row[0] == "=" else row[4]) for row in rows if row[3] is not None]
    for text, shown in ((left, lefts), (right, rights)):
        assert shown == [pair_view.visible(line) for line in text.split("\n")]
        assert not any(pair_view.UNSEEN.search(line) for line in shown)


def test_tokens_are_joined_until_they_are_characters() -> None:
    letters = {1: b"d", 2: "é".encode()[:1], 3: "é".encode()[1:], 4: b" x"}

    def decode(ids: Any) -> str:
        return b"".join(letters[one] for one in ids).decode("utf-8", "replace")

    completion = {"token_ids": [1, 2, 3, 4], "token_logps": [-1.0, -2.0, -0.5, -4.0], "text": "dé x"}
    assert pieces(completion, decode) == [("d", -1.0), ("é", -2.5), (" x", -4.0)]
    assert pieces({**completion, "text": "another"}, decode) is None
    assert pieces({**completion, "token_logps": None}, decode) is None and pieces(completion, None) is None

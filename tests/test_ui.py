"""`pairwright ui` and its flows: in a real browser, through the API, at a terminal, and under kill -9."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
import yaml
from playwright.sync_api import Locator, Page, expect, sync_playwright

import hub_server
import tiny_policy
from analysis.report import file_of
from curation import manifest, store
from curation.errors import UnreachableError, UserError
from curation.problems import ProblemSource, read_problems
from curation.sampling import Generation, Sampling
from flows.build import build
from flows.config import Evaluation, Recipe
from flows.stages import STAGES
from flows.terminal import Bars
from serving import (
    PATIENCE,
    RECIPE,
    ROOT,
    SCRIPTED,
    Served,
    children,
    command,
    command_line,
    processes,
    serving,
    wait_for,
)
from test_openai_sampler import chat
from test_openai_sampler import serving as answering

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
SLOW = 240_000  # milliseconds: the machine may be busy
PROBLEMS = {"source": "builtin", "limit": 20, "shard_size": 2}
FLOWS = ("build-dataset", "curate-version", "publish-version", "train-policy", "evaluate-policy", "iterate")
STEPS = len(STAGES) + 1  # those that make tables, and the seal


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A `pairwright ui` for all the tests here: it takes half a minute of processor time to come up."""
    with serving(tmp_path_factory.mktemp("served") / "data") as running:
        yield running


@contextmanager
def browser(url: str) -> Iterator[tuple[Page, list[str]]]:
    """A page, and every address it asks that is not ours."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = opened.new_page(viewport={"width": 1300, "height": 1000})
        page.set_default_timeout(SLOW)
        outside: list[str] = []
        own = (url, url.replace("http", "ws"), "data:", "blob:")
        page.on("request", lambda asked: None if asked.url.startswith(own) else outside.append(asked.url))
        yield page, outside
        opened.close()


def half_right(body: dict[str, Any]) -> tuple[int, Any]:
    """A model that knows the first built-in problems, and writes something else every other time."""
    status, reply = chat(body)
    asked = body["messages"][-1]["content"]
    [known] = [one for one in read_problems(ProblemSource(limit=5)) if f"def {one['entry_point']}(" in asked]
    for choice in reply["choices"]:
        right = choice["index"] % 2 == 0
        program = known["reference_solution"] if right else f"def {known['entry_point']}(*given):\n    return None\n"
        choice["message"]["content"] = f"```python\n{program}```"
        choice["logprobs"]["content"][0]["logprob"] = -0.5 - choice["index"]
    return status, reply


def digest(folder: Path) -> str:
    assert manifest.verify(folder) == []
    return str(manifest.read_manifest(folder)["digest"])


def undisturbed(root: Path, sections: dict[str, object]) -> str:
    """The digest of the same recipe, built alone."""
    return digest(build(Recipe.model_validate({"dataset": "stormy", **sections}), root)[0])


def test_a_form_filled_in_the_browser_runs_and_leaves_its_artifacts(served: Served) -> None:
    with answering(half_right) as (model,), browser(served.url) as (page, outside):
        deployment = served.deployment("build-dataset")
        asked = {"sampler": "openai", "model": "m", "base_urls": [model.url]}
        parameters = {"root": str(served.root), "dataset": "browsed", "generate": asked, "problems": {"limit": 5}}
        address = f"{served.url}/api/deployments/{deployment['id']}"
        httpx.patch(address, json={"parameters": parameters}, timeout=60).raise_for_status()
        page.goto(f"{served.url}/deployments/deployment/{deployment['id']}/run")
        field(page, "n").fill("3")
        field(page, "temperature").fill("0.4")
        page.get_by_role("button", name="Submit").click()
        page.wait_for_url(lambda address: not address.endswith("/run"))
        page.goto(f"{served.url}/runs")
        page.get_by_text("browsed · m · n=3").first.click()
        expect(page.get_by_text("Completed").first).to_be_visible(timeout=SLOW)
        page.get_by_text("Artifacts", exact=True).last.click()
        page.get_by_text("browsed-summary").first.click()
        expect(page.get_by_role("heading", name="browsed@1")).to_be_visible(timeout=SLOW)
        expect(page.get_by_role("img", name="From problems to the pairs trained on")).to_be_visible(timeout=SLOW)
        assert outside == []
        httpx.patch(address, json={"parameters": {"root": str(served.root)}}, timeout=60).raise_for_status()
    version = manifest.open_version(served.root, "browsed")
    rows = store.read(version, "completions", columns=["temperature", "sample_index"]).to_pylist()
    assert {round(row["temperature"], 3) for row in rows} == {0.4}
    assert len(rows) == 15 and {row["sample_index"] for row in rows} == {0, 1, 2}
    assert all((body["n"], body["temperature"]) == (3, 0.4) for body in model.bodies)


def field(page: Page, title: str) -> Locator:
    """The input of a form's field."""
    label = page.get_by_text(f"{title} (Optional)", exact=True)
    return label.locator("xpath=ancestor::*[.//input][1]").locator("input").first


def test_kills_of_run_server_and_runner_leave_two_builds_at_once_as_if_undisturbed(
    served: Served, tmp_path: Path
) -> None:
    sections = [{"problems": PROBLEMS, "generate": SCRIPTED | {"n": n}} for n in (6, 7)]
    first, second = (served.start("build-dataset", dataset="stormy", **one) for one in sections)
    work = served.root / "stormy" / ".work"
    wait_for(lambda: bool(list(work.glob("*/completions/**/*.parquet"))), "a first shard")
    # Only one of them can have the dataset, and the other waits: kill the one that is at work.
    at_work = holder(served)
    os.kill(at_work, signal.SIGSTOP)
    killed, other = (first, second) if process_of(served, first) == at_work else (second, first)
    assert served.log(other, "waiting: ")[-1] == (
        f"waiting: dataset 'stormy' under {served.root} is being built by process {at_work}"
    )
    os.kill(at_work, signal.SIGKILL)
    assert served.until(killed)["state_name"] == "Crashed"
    kept = {file.stat().st_mtime_ns for file in work.glob("*/completions/**/*.parquet")}
    served.kill("flows.ui_server")
    served.completed(other)
    served.retry(killed)
    served.until(killed, "RUNNING")
    served.kill("flows.ui_runner")
    # Said by itself, if it had the time when its runner went, and else by the next runner.
    assert served.until(killed)["state_name"] == "Crashed"
    served.retry(killed)
    assert served.completed(killed)["run_count"] == 3
    versions = [served.root / "stormy" / number for number in ("1", "2")]
    assert {digest(one) for one in versions} == {undisturbed(tmp_path / str(n), one) for n, one in enumerate(sections)}
    # What had been sampled before the first kill is in a version as it was, linked.
    assert kept and kept <= {file.stat().st_mtime_ns for one in versions for file in one.glob("completions/*.parquet")}
    # Nor does any task of the first two attempts look as if it were running.
    tasks = {"flow_runs": {"id": {"any_": [killed]}}, "task_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
    wait_for(lambda: served.ask("task_runs/filter", tasks) == [], "the tasks to have ended")


def process_of(served: Served, run: str) -> int:
    """The process of a run; 0 where it has not said it yet."""
    return int(served.run(run)["labels"].get("pairwright.pid", 0))


def holder(served: Served) -> int:
    """The process that has the dataset."""
    return int((served.root / "stormy" / ".lock").read_text())


def test_a_choice_that_cannot_be_is_one_failed_line_without_a_traceback(served: Served) -> None:
    run = served.start("build-dataset", dataset="wrong", generate=SCRIPTED | {"temperature": 0.3})
    message = (
        "the section generate cannot be as chosen: recipe: sampler scripted does not use temperature, only vllm or "
        "openai or replay does: leave it out"
    )
    ended = served.until(run)
    assert (ended["state_name"], ended["state"]["message"]) == ("Failed", message)
    lines = served.log(run, "Finished in state")
    assert len(lines) == 2 and message in lines[-1]


@contextmanager
def flows_go_to(served: Served) -> Iterator[None]:
    """Flows called in this process are seen by that server."""
    from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_ANALYTICS_ENABLED, temporary_settings

    with temporary_settings({PREFECT_API_URL: f"{served.url}/api", PREFECT_SERVER_ANALYTICS_ENABLED: False}):
        yield


def newest(served: Served) -> dict[str, Any]:
    return dict(served.ask("flow_runs/filter", {"sort": "START_TIME_DESC", "limit": 1})[0])


def pictures(markdown: str) -> dict[str, str]:
    """Title -> SVG of the pictures in a summary."""
    found = re.findall(r"!\[(.*?)\]\(data:image/svg\+xml;base64,(.*?)\)", markdown)
    return {title: base64.b64decode(data).decode() for title, data in found}


def test_a_command_is_one_flow_run_with_a_task_per_stage_and_a_summary(served: Served, tmp_path: Path) -> None:
    built = command(tmp_path, served.environment, RECIPE)
    _, told = built.communicate()
    assert built.returncode == 0, told
    run = newest(served)
    assert (run["name"], run["state_name"]) == ("watched · scripted · n=4", "Completed")
    assert run["parameters"]["generate"]["n"] == 4
    query = {"flow_runs": {"id": {"any_": [run["id"]]}}}
    wait_for(lambda: len(served.ask("task_runs/filter", query)) == STEPS, "the tasks to be recorded")
    names = {task["name"] for task in served.ask("task_runs/filter", query)}
    assert names >= {"load problems", "sample completions", "check and seal"}
    version = manifest.open_version(tmp_path / "data", "watched")
    plain, _ = build(Recipe.model_validate(yaml.safe_load(RECIPE)), tmp_path / "plain")
    assert manifest.read_manifest(plain)["digest"] == manifest.read_manifest(version)["digest"]
    left = served.artifacts(run["id"])
    assert {key: one["type"] for key, one in left.items()} == {"watched-summary": "markdown", "watched-tables": "table"}
    summary = left["watched-summary"]["data"]
    assert str(version.resolve()) in summary and "report" not in summary
    drawn = pictures(summary)
    assert [title.split()[0] for title in drawn] == ["From", "Pass", "logp_distance"]
    assert "pairs trained on" in drawn["From problems to the pairs trained on"]
    lines = served.log(run["id"], "Finished in state")
    told_of = [line.partition(":")[0] for line in lines]
    assert told_of[1:4] == ["building watched", "load problems", "sample completions"]
    assert lines[-2] == f"watched@1 is sealed: {tmp_path / 'data' / 'watched' / '1'}"


def test_bad_input_in_a_flow_is_one_line_too_and_the_run_is_failed(served: Served, tmp_path: Path) -> None:
    recipe = RECIPE.replace("source: builtin", "source: jsonl, path: nowhere.jsonl")
    built = command(tmp_path, served.environment, recipe)
    _, told = built.communicate()
    message = "no file nowhere.jsonl, which the recipe names: check the path, or override it with --set"
    assert (built.returncode, told) == (1, f"pairwright: {message}\n")
    run = newest(served)
    assert (run["state_name"], run["state"]["message"]) == ("Failed", message)
    assert "Traceback" not in "".join(served.log(run["id"], "Finished in state"))


def test_a_command_killed_without_a_word_is_seen_to_be_gone(served: Served, tmp_path: Path) -> None:
    recipe = RECIPE.replace("watched", "silenced").replace("n: 4", "n: 500")
    built = command(tmp_path, served.environment, recipe)

    def begun() -> bool:
        return bool(newest(served)["labels"].get("pairwright.pid") == built.pid)

    wait_for(begun, "the run to say its process")
    built.send_signal(signal.SIGKILL)
    built.communicate()
    ended = served.until(newest(served)["id"])
    assert (ended["name"], ended["state_name"]) == ("silenced · scripted · n=500", "Crashed")


def test_a_run_over_its_time_ends_with_all_it_started_and_is_gone_on_with(served: Served, tmp_path: Path) -> None:
    sections = {"problems": {"source": "builtin", "limit": 20, "shard_size": 2}, "generate": SCRIPTED | {"n": 50}}
    timed = [
        "from flows.config import Recipe",
        "from flows.prefect_flows import build_dataset",
        f"recipe = Recipe.model_validate({{'dataset': 'late'}} | {sections})",
        "given = {'problems': recipe.problems, 'generate': recipe.generate, 'root': sys.argv[1]}",
        "build_dataset.with_options(timeout_seconds=4)('late', **given)",
    ]
    ended = subprocess.run(
        [sys.executable, "-c", "\n".join(["import sys", *timed]), str(tmp_path / "data")],
        cwd=ROOT,
        env=served.environment,
        capture_output=True,
        text=True,
    )
    run = newest(served)
    assert (ended.returncode, run["state_type"], run["state_name"]) == (1, "FAILED", "TimedOut"), ended.stderr
    wait_for(lambda: not [pid for pid in processes() if str(tmp_path) in command_line(pid)], "its processes to be gone")
    assert manifest.versions(tmp_path / "data", "late") == []
    assert [*(tmp_path / "data" / "late").glob(".work/*/completions/*.parquet")]  # what was finished is kept
    late, made = build(Recipe.model_validate({"dataset": "late"} | sections), tmp_path / "data")
    assert made and manifest.verify(late) == []


def test_the_other_flows_do_their_work_and_leave_what_they_found(served: Served, tmp_path: Path, monkeypatch) -> None:
    from flows.prefect_flows import curate_version, evaluate_policy, publish_version
    from flows.prefect_training import train_policy
    from training.config import Training

    tiny_policy.version(tmp_path)
    model = tiny_policy.model_folder(tmp_path / "model")
    how = {"device": "cpu", "dtype": "float32", "pairs_per_step": 3}
    asked = Evaluation.model_validate({"benchmarks": ["builtin"], "limit": 2, "sampling": SCRIPTED | {"n": 2}})
    with flows_go_to(served), hub_server.serving() as hub:
        curated, made = curate_version("demo", curriculum={"percentiles": [50]}, root=tmp_path)
        assert made and manifest.read_manifest(curated)["cut_points"]["percentiles"] == [50]
        summary = served.artifacts(newest(served)["id"])["demo-summary"]["data"]
        assert "# demo@2" in summary and "logp_distance" in "".join(pictures(summary))
        training = Training.model_validate(how | {"model": str(model)})
        trained = train_policy("demo@2", training, root=tmp_path)
        run = newest(served)
        assert run["name"] == f"demo@2 · {model} · dpo"
        left = served.artifacts(run["id"])
        assert str(trained.policy) in left["demo-2-policy"]["data"]
        assert list(pictures(left["demo-2-policy"]["data"])) == ["margins"]
        # The scripted sampler takes no adapter.
        found = evaluate_policy(["embedded"], asked, tmp_path)
        assert [len(result.rows) for result in found["builtin"]] == [2]
        assert {row["policy"] for row in rows_of(served.artifacts(newest(served)["id"])["scores"])} == {"embedded"}
        login(monkeypatch, hub, tmp_path)
        done = publish_version("demo@2", "owner/demo", dry_run=True, root=tmp_path)
        assert done.commit is None and hub.repos == {}
        assert "would be published as v2" in served.artifacts(newest(served)["id"])["demo-publication"]["data"]


def test_an_artifact_the_server_does_not_take_is_said_and_fails_nothing(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import artifacts
    from flows.prefect_flows import curate_version

    def refused(*content: Any, **options: Any) -> None:
        httpx.post(f"{served.url}/api/artifacts/", json=[]).raise_for_status()

    monkeypatch.setattr(artifacts, "create_markdown_artifact", refused)
    tiny_policy.version(tmp_path)
    with flows_go_to(served):
        curated, made = curate_version("demo", curriculum={"percentiles": [50]}, root=tmp_path)
    assert made and manifest.verify(curated) == []
    run = newest(served)
    served.completed(run["id"])
    said = served.log(run["id"], "no artifact demo-summary, the server did not take it: Client error '422")
    assert "Traceback" not in "".join(said)
    assert list(served.artifacts(run["id"])) == ["demo-tables"]


def rows_of(artifact: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a table artifact."""
    return list(json.loads(artifact["data"]))


def test_a_long_stage_tells_how_far_it_is(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect import flow

    from flows import prefect_runs

    monkeypatch.setattr(prefect_runs, "LONG", 0.05)
    monkeypatch.setattr(prefect_runs, "EVERY", 0.05)

    def stage(on_progress: Callable[[int, int], None]) -> None:
        on_progress(1, 4)
        wait_for(lambda: share() == 25.0, "a quarter to be told")
        on_progress(4, 4)

    def share() -> float | None:
        artifacts = served.artifacts(newest(served)["id"])
        return float(artifacts["count"]["data"]) if "count" in artifacts else None

    @flow(name="counting")
    def counting() -> None:
        prefect_runs.tasks(Bars())("count", stage)

    with flows_go_to(served):
        counting()
    wait_for(lambda: share() == 100.0, "the end to be told")


def test_a_stage_does_not_wait_for_a_server_that_takes_no_progress(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect import flow

    from flows import prefect_runs

    monkeypatch.setattr(prefect_runs, "LONG", 0.05)
    asked, over = threading.Event(), threading.Event()
    waited_for: list[bool] = []

    def unanswered(*content: Any, **options: Any) -> None:
        asked.set()
        waited_for.append(not over.wait(PATIENCE))

    monkeypatch.setattr(prefect_runs, "create_progress_artifact", unanswered)

    @flow(name="unheard")
    def unheard() -> str:
        return str(prefect_runs.tasks(Bars())("count", lambda: asked.wait(PATIENCE), progress=False))

    with flows_go_to(served):
        assert unheard() == "True"
    assert waited_for == []  # the server is still silent
    over.set()


@pytest.mark.parametrize("failures", [2, 9])
def test_what_does_not_answer_is_asked_again_and_in_the_end_one_line(
    served: Served, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    from prefect import flow

    from flows import prefect_runs

    monkeypatch.setattr(prefect_runs, "DELAYS", [0.1])
    calls: list[int] = []

    def stage() -> str:
        calls.append(1)
        if len(calls) <= failures:
            raise UnreachableError("the server is silent: start it")
        return "answered"

    @flow(name="asking")
    @prefect_runs.told
    def asking() -> str:
        return str(prefect_runs.tasks(Bars())("ask", stage, progress=False))

    with flows_go_to(served):
        if failures == 2:
            assert asking() == "answered"
        else:
            with pytest.raises(UserError, match="^the server is silent: start it$"):
                asking()
    run = newest(served)
    assert len(calls) == 3 and run["state_name"] == ("Completed" if failures == 2 else "Failed")
    lines = served.log(run["id"], "Finished in state")
    assert lines.count("ask had no answer: the server is silent: start it") == min(failures, 3)
    assert "Traceback" not in "".join(lines)


def login(monkeypatch: pytest.MonkeyPatch, hub: hub_server.Hub, folder: Path) -> None:
    """Make the Hub's client talk to ours."""
    from huggingface_hub import constants
    from huggingface_hub.utils import close_session

    url = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
    for name, value in {
        "ENDPOINT": hub.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + url,
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_CACHE": str(folder / "hf"),
    }.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setenv("HF_TOKEN", hub_server.TOKEN)
    close_session()


def test_prefect_yaml_deploys_every_flow_to_a_work_pool(served: Served, tmp_path: Path) -> None:
    for arguments in (["work-pool", "create", "pairwright", "--type", "process"], ["--no-prompt", "deploy", "--all"]):
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            cwd=ROOT,
            env=served.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    named = {one["name"] for one in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]}
    pooled = served.ask("deployments/filter", {"work_pools": {"name": {"any_": ["pairwright"]}}})
    assert {one["name"] for one in pooled} == named == {f"on-workers-{what}" for what in FLOWS}
    for one in pooled:
        ours = served.deployment(one["name"].removeprefix("on-workers-"))
        assert one["parameter_openapi_schema"] == ours["parameter_openapi_schema"] and one["tags"] == ours["tags"]


def test_the_form_calls_fields_as_the_yaml_does_and_says_who_heeds_them(served: Served) -> None:
    schema = served.deployment("build-dataset")["parameter_openapi_schema"]
    fields = schema["definitions"]["Generation"]["properties"]
    assert list(fields) == list(Generation.model_fields)
    assert fields["top_p"]["title"] == "top_p" and fields["dtype"]["title"] == "dtype (vllm only)"
    assert fields["sampler"]["enum"] == list(get_args(Sampling.model_fields["sampler"].annotation))
    assert all(field["description"] for field in fields.values())
    inner = {name: schema["definitions"][name]["properties"] for name in ("Sampling", "Exploration", "PairSelection")}
    assert all(fields[name]["title"].split()[0] == name for fields in inner.values() for name in fields)
    assert [name for name, _ in sorted(schema["properties"].items(), key=lambda one: one[1]["position"])] == [
        *("dataset", "problems", "generate", "execute", "pairs", "measures", "curriculum", "runner", "root"),
    ]
    training = served.deployment("train-policy")["parameter_openapi_schema"]["definitions"]
    assert training["Loss"]["properties"]["beta"]["title"] == "beta"


def test_a_port_that_is_taken_is_one_line(served: Served, tmp_path: Path) -> None:
    port = served.url.rpartition(":")[2]
    arguments = [sys.executable, "-m", "flows.cli", "ui", "--port", port, "--root", str(tmp_path)]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        f"pairwright: cannot listen on 127.0.0.1:{port} (a Prefect server answers there already): "
        "give another port with --port\n",
    )


def test_only_reports_of_datasets_are_served_and_they_may_do_nothing(served: Served) -> None:
    for root, text in ((served.root / "reported", "<h1>it</h1>"), (served.root.parent, "<h1>not it</h1>")):
        (root / "reports").mkdir(parents=True)
        file_of(root / "1").write_text(text)
    answer = httpx.get(f"{served.url}/reports/reported/1", timeout=60)
    assert answer.text == "<h1>it</h1>"
    assert answer.headers["content-security-policy"].startswith("sandbox allow-scripts; default-src 'none'")
    for name in ("none/1", "reported/2", ".prefect/1", "%2e%2e/1"):
        assert httpx.get(f"{served.url}/reports/{name}", timeout=60).status_code == 404
    # What is no name at all is not ours to answer: it is Prefect's page.
    assert "not it" not in httpx.get(f"{served.url}/reports/..%2f/1", timeout=60).text


def test_everything_is_a_child_of_the_one_command(served: Served) -> None:
    assert len(children(served.process.pid)) == 2

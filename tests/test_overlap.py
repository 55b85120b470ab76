"""Sampling and running at once: who waits for whom, the same rows as one after the other, and how errors end both."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from conftest import problem
from curation import execute, generate, manifest, store
from curation.errors import UnreachableError, UserError
from curation.execute import Execution, execute_completions
from curation.generate import generate_completions
from curation.samplers import Answers, Done, Request, Sampler, ScriptedSampler, nobody
from curation.sampling import Sampling
from curation.schema import identify
from curation.store import Shard
from flows import overlap
from flows.build import build
from flows.calling import plain
from flows.config import Recipe, parse
from flows.overlap import sample_and_run
from flows.prefect_runs import transient

SAMPLING, EXECUTION = Sampling(sampler="scripted", n=3), Execution(workers=1)
ROOT = Path(__file__).parents[1]
TITLES = ("sample completions", "run programs")
PATIENCE = 60


class Watched(ScriptedSampler):
    """The scripted sampler, with something that happens before it answers for its shard of a given number.

    Closed, it fails, as those that ask a model do.
    """

    def __init__(self, before: Callable[[int], None] = lambda number: None) -> None:
        super().__init__(SAMPLING)
        self.before, self.asked, self.closed = before, 0, threading.Event()

    def sample(self, requests: Sequence[Request], seed: int, on_done: Done = nobody) -> list[Answers]:
        self.before(self.asked)
        self.asked += 1
        if self.closed.is_set():
            raise UserError("sampling was stopped")
        return super().sample(requests, seed, on_done)

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Three shards of two problems."""
    for index in range(3):
        rows = [problem(f"{index}-{number}") for number in range(2)]
        store.write(tmp_path / "work", "problems", rows, Shard("train", index, 3))
    return tmp_path / "work"


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sampler], None]:
    """Have the recipe's sampler be this one."""
    return lambda sampler: monkeypatch.setattr(overlap, "sampler_for", lambda dataset, config, execution: sampler)


def run(dataset: Path, executor: Executor | None = None, call: Any = plain) -> None:
    sample_and_run(call, TITLES, dataset, SAMPLING, EXECUTION, executor)


def until(done: Callable[[], object]) -> None:
    for _ in range(PATIENCE * 100):
        if done():
            return
        time.sleep(0.01)
    pytest.fail("it never came")


def have(dataset: Path, table: str) -> list[int]:
    return [shard.index for shard in store.shards(dataset, table)]


def rows(dataset: Path) -> list[str]:
    """Everything but the measurements of a run, which differ."""
    return [
        identify([{name: value for name, value in row.items() if name not in ("cpu_ms", "wall_ms", "peak_kb")}])
        for table in ("completions", "executions")
        for row in store.read(dataset, table).to_pylist()
    ]


def test_a_shard_is_run_while_the_next_is_sampled(dataset: Path, use: Callable[[Sampler], None]) -> None:
    sampler = Watched(lambda number: until(lambda: len(have(dataset, "executions")) == number))
    use(sampler)
    run(dataset)
    assert have(dataset, "executions") == [0, 1, 2] and sampler.closed.is_set()


def test_the_sampler_never_waits_for_the_sandbox(
    dataset: Path, use: Callable[[Sampler], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler, real = Watched(), execute.judge

    def slow(*args: Any) -> Iterator[dict[str, Any]]:
        until(lambda: have(dataset, "completions") == [0, 1, 2])
        return real(*args)

    use(sampler)
    monkeypatch.setattr(execute, "judge", slow)
    run(dataset)
    assert have(dataset, "executions") == [0, 1, 2]


def test_a_shard_is_written_while_the_next_is_sampled(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sampler, real = Watched(), store.write

    def slow(folder: Path, table: str, rows: Any, shard: Shard) -> int:
        until(lambda: sampler.asked > shard.index + (shard.index < 2))
        return real(folder, table, rows, shard)

    monkeypatch.setattr(generate.store, "write", slow)
    assert generate_completions(dataset, SAMPLING, sampler=sampler) == 18


@pytest.mark.parametrize("spread", [False, True], ids=["here", "in an executor"])
def test_rows_are_those_of_one_stage_after_the_other(dataset: Path, tmp_path: Path, spread: bool) -> None:
    for shard in store.plan(dataset):
        store.write(tmp_path / "apart", "problems", store.read(dataset, "problems", shard=shard), shard)
    generate_completions(tmp_path / "apart", SAMPLING)
    execute_completions(tmp_path / "apart", EXECUTION)
    with ThreadPoolExecutor(2) as threads:
        run(dataset, threads if spread else None)
    assert rows(dataset) == rows(tmp_path / "apart") and len(rows(dataset)) == 36


def test_only_what_is_missing_is_done_whichever_side_was_ahead(
    dataset: Path, use: Callable[[Sampler], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(dataset)
    whole, (_, second, third) = rows(dataset), store.plan(dataset)
    for table, shard in (("completions", third), ("executions", third), ("executions", second)):
        store.path(dataset, table, shard).unlink()
    sampler, ran, real = Watched(), [], execute.execute_shard

    def counted(folder: Path, shard: Shard, *args: Any, **options: Any) -> int:
        ran.append(shard)
        return real(folder, shard, *args, **options)

    use(sampler)
    monkeypatch.setattr(execute, "execute_shard", counted)
    run(dataset)
    assert (sampler.asked, ran, rows(dataset)) == (1, [second, third], whole)
    use(None)  # type: ignore[arg-type]  # it would be asked, were anything missing
    run(dataset)
    assert rows(dataset) == whole


def test_both_bars_move_and_the_second_grows_with_what_is_there(dataset: Path) -> None:
    steps: dict[str, list[tuple[int, int]]] = {title: [] for title in TITLES}

    def call(title: str, function: Callable[..., Any], *args: Any, progress: bool = True) -> Any:
        return function(*args, on_progress=lambda done, total: steps[title].append((done, total)))

    run(dataset, call=call)
    assert steps[TITLES[0]][-1] == steps[TITLES[1]][-1] == (18, 18)
    for title in TITLES:
        done, totals = zip(*steps[title], strict=True)
        assert list(done) == sorted(done) and list(totals) == sorted(totals)
    with ThreadPoolExecutor(1) as threads:
        for table in ("completions", "executions"):
            store.path(dataset, table, store.plan(dataset)[0]).unlink()
        run(dataset, threads, call)
    assert steps[TITLES[1]][-1] == (6, 6)


def failing_at(place: int, error: BaseException) -> Callable[[int], None]:
    def before(number: int) -> None:
        if number == place:
            raise error

    return before


@pytest.mark.parametrize("spread", [False, True], ids=["here", "in an executor"])
def test_a_sampler_that_fails_ends_the_run_and_what_was_done_is_kept(
    dataset: Path, use: Callable[[Sampler], None], spread: bool
) -> None:
    sampler = Watched(failing_at(1, UserError("the model went away")))
    use(sampler)
    with ThreadPoolExecutor(1) as threads, pytest.raises(UserError, match="^the model went away$"):
        run(dataset, threads if spread else None)
    assert have(dataset, "completions") == [0] and sampler.closed.is_set()
    use(Watched())
    run(dataset)
    assert have(dataset, "executions") == [0, 1, 2]


@pytest.mark.parametrize("tries", [2, 3])
def test_each_try_of_a_stage_has_a_sampler_of_its_own_and_what_never_comes_is_not_tried_for(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, tries: int
) -> None:
    """Stages are called as tasks of a flow are: again where something did not answer."""
    silent = UnreachableError("no server answers")
    samplers = [Watched(failing_at(1, silent)), Watched(failing_at(0, silent)), Watched()][3 - tries :]
    offered, called = iter(samplers), []
    monkeypatch.setattr(overlap, "sampler_for", lambda dataset, config, execution: next(offered))

    def patiently(title: str, stage: Callable[..., Any], *args: Any) -> Any:
        called.append(title)
        try:
            return plain(title, stage, *args)
        except UserError as error:
            if not transient(error) or called.count(title) == 2:
                raise
            return patiently(title, stage, *args)

    if tries == 2:
        run(dataset, call=patiently)
        assert have(dataset, "executions") == [0, 1, 2]
    else:
        with pytest.raises(UnreachableError, match="^no server answers$"):
            run(dataset, call=patiently)
        assert have(dataset, "executions") == [0] == have(dataset, "completions")
    assert sorted(called) == sorted([TITLES[0]] * 2 + [TITLES[1]])
    assert all(sampler.closed.is_set() for sampler in samplers[:2])


def test_a_sampling_tried_again_after_the_sandbox_failed_asks_nobody(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samplers = [Watched(failing_at(1, UnreachableError("no server answers"))), Watched()]
    offered, stopped = iter(samplers), threading.Event()
    monkeypatch.setattr(overlap, "sampler_for", lambda dataset, config, execution: next(offered))
    stop = overlap._SamplingStage.stop
    monkeypatch.setattr(overlap._SamplingStage, "stop", lambda stage: (stop(stage), stopped.set()))

    def broken(*args: Any, **options: Any) -> int:
        raise UserError("no walls")

    monkeypatch.setattr(execute, "execute_shard", broken)

    def patiently(title: str, stage: Callable[..., Any], *args: Any) -> Any:
        try:
            return plain(title, stage, *args)
        except UnreachableError:
            assert stopped.wait(PATIENCE), "nobody stopped the sampling"
            return plain(title, stage, *args)

    with pytest.raises(UserError, match="^no walls$"):
        run(dataset, call=patiently)
    assert next(offered, None) is None and samplers[1].asked == 0 and samplers[1].closed.is_set()


@pytest.mark.parametrize("spread", [False, True], ids=["here", "in an executor"])
@pytest.mark.parametrize("error", [UserError("no walls"), KeyboardInterrupt("by hand")], ids=["error", "Ctrl-C"])
def test_a_sandbox_that_fails_ends_the_sampling_in_the_middle_of_a_shard(
    dataset: Path,
    use: Callable[[Sampler], None],
    monkeypatch: pytest.MonkeyPatch,
    spread: bool,
    error: BaseException,
) -> None:
    def long(number: int) -> None:
        if number and not sampler.closed.wait(PATIENCE):
            pytest.fail("nobody stopped the sampler")

    def broken(*args: Any, **options: Any) -> int:
        raise error

    sampler = Watched(long)
    use(sampler)
    monkeypatch.setattr(execute, "execute_shard", broken)
    with ThreadPoolExecutor(1) as threads, pytest.raises(type(error), match=str(error)):
        run(dataset, threads if spread else None)
    assert sampler.asked <= 2 and have(dataset, "executions") == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("sampling", "generate"))]


def test_a_build_has_the_same_digest_here_and_in_an_executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = {
        "dataset": "d",
        "problems": {"limit": 9, "shard_size": 3},
        "generate": {"sampler": "scripted", "n": 4},
        "pairs": {"strategy": "all_pairs"},
    }
    here, _ = build(parse(content, "test"), tmp_path / "here")
    with ThreadPoolExecutor(2) as threads:
        from flows import build as building

        given: list[tuple[str, int | None]] = []

        class Cluster(Executor):
            def submit(self, function: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
                given.append((function.__name__, getattr(args[2], "workers", None)))
                return threads.submit(function, *args, **options)

        class Opened:
            def __init__(self, runner: Any) -> None: ...
            def __enter__(self) -> Executor:
                return Cluster()

            def __exit__(self, *error: Any) -> None: ...

        monkeypatch.setattr(building, "opened", Opened)
        recipe: Recipe = parse(content | {"runner": {"kind": "ray", "cpus": 3}}, "test")
        there, made = build(recipe, tmp_path / "there")
    assert made and manifest.read_manifest(here)["digest"] == manifest.read_manifest(there)["digest"]
    assert manifest.read_manifest(here)["config"] == manifest.read_manifest(there)["config"]
    assert [given.count(one) for one in (("execute_shard", 3), ("_measure_completions", 2), ("_measure_pairs", 2))] == [
        len(store.plan(here))
    ] * 3


@pytest.mark.slow
def test_ctrl_c_while_a_server_does_not_answer_is_one_line_at_once(tmp_path: Path) -> None:
    asked, answer = threading.Event(), threading.Event()

    class Silent(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.set()
            answer.wait(10 * PATIENCE)

    with ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        recipe = tmp_path / "silent.yaml"
        sampling = f"{{sampler: openai, model: m, base_urls: ['http://127.0.0.1:{server.server_port}/v1']}}"
        recipe.write_text(f"dataset: silent\nproblems: {{limit: 2}}\ngenerate: {sampling}\n")
        command = [sys.executable, "-m", "flows.cli", "build", str(recipe), "--root", str(tmp_path), "--server", "off"]
        building = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert asked.wait(10 * PATIENCE)
        building.send_signal(signal.SIGINT)
        said, _ = building.communicate()
        assert not answer.is_set()
        answer.set()
        server.shutdown()
    assert building.returncode == 130 and said.splitlines()[-1] == (
        "pairwright: stopped; finished shards are kept, the same command goes on from them"
    )
    assert "Traceback" not in said

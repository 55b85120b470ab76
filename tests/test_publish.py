"""Publishing and pulling through the command line, by the real huggingface_hub client, against a hub on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import close_session, constants

import hub_server
import tiny_policy
from analysis import curated
from curation import card, embedded, manifest, policies, store
from curation.schema import TABLES
from flows import cli
from flows.build import build
from flows.config import parse
from hub_server import TOKEN, Hub, Repo

REPO = "owner/small"
POLICY = "owner/policy"
FILE_URL = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)


@pytest.fixture(scope="module")
def sealed_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with two versions of one dataset, the second re-curated."""
    root = tmp_path_factory.mktemp("data")
    content = {
        "dataset": "small",
        "problems": {"source": "builtin", "limit": 20, "shard_size": 8},
        "generate": {"sampler": "scripted", "n": 6},
        "pairs": {"strategy": "all_pairs"},
    }
    build(parse(content, "test"), root)
    build(parse(content | {"curriculum": {"metric": "edit_distance"}}, "test"), root)
    return root


@pytest.fixture
def root(sealed_root: Path, tmp_path: Path) -> Path:
    """The same, for a test to change."""
    return Path(shutil.copytree(sealed_root, tmp_path / "data"))


@pytest.fixture
def hub() -> Iterator[Hub]:
    with hub_server.serving() as hub:
        yield hub


@pytest.fixture
def run(hub: Hub, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python with arguments as somebody who is logged in to the hub."""

    def run(*arguments: object, token: str | None = TOKEN, **more: str) -> subprocess.CompletedProcess[str]:
        env = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        env |= {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path / "hf"), **more}
        env |= {"HF_TOKEN": token} if token else {}
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, env=env, capture_output=True, text=True, cwd=Path(__file__).parents[1])

    return run


@pytest.fixture
def start(hub: Hub, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start Python with arguments as somebody who is logged in to the hub; standard output and error are one."""

    def start(*arguments: object) -> subprocess.Popen[str]:
        env = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        env |= {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": TOKEN}
        command = [sys.executable, *map(str, arguments)]
        out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, env=env, cwd=Path(__file__).parents[1], **out)  # type: ignore[call-overload]

    return start


def wait_for(happened: Callable[[], bool]) -> None:
    """Until something is so, for a minute at most."""
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def pairwright(
    hub: Hub, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Run a command in this process; its standard output, or with `fails` its one line of complaint."""

    def call(
        *arguments: object,
        at: Path = root,
        fails: bool = False,
        token: str | None = TOKEN,
        endpoint: str = hub.url,
        offline: bool = False,
    ) -> str:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + FILE_URL)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
        monkeypatch.setenv("HF_TOKEN", token or "")
        monkeypatch.setattr("sys.argv", ["pairwright", *map(str, arguments), "--root", str(at)])
        close_session()
        code = 0
        try:
            cli.main()
        except SystemExit as exit:
            code = int(exit.code or 0)
        out, err = capsys.readouterr()
        assert TOKEN not in out + err
        if not fails:
            assert code == 0, err
            return out
        assert code == 1, err
        told = [line for line in err.splitlines() if line.startswith("pairwright: ")]
        assert len(told) == 1 and "Traceback" not in err and "a bug" not in told[0], err
        return told[0]

    return call


def test_a_version_is_published_as_one_commit_and_a_tag(hub: Hub, pairwright: Callable[..., str], root: Path) -> None:
    assert "published as v1" in pairwright("publish", "small@1", REPO)
    repo = hub.repos[REPO]
    assert list(repo.titles.values()) == ["initial commit", "small version 1"]
    assert repo.tags == {"v1": repo.head}
    version = root / "small" / "1"
    for file in version.rglob("*.parquet"):
        assert repo.commits[repo.head][file.relative_to(version).as_posix()] == file.read_bytes()
    files = repo.commits[repo.head]
    assert files["manifest.json"] == (version / "manifest.json").read_bytes()
    plots = re.findall(r"(?m)^!\[.+\]\((.+)\)$", files["README.md"].decode())
    assert plots == ["plots/funnel.png", "plots/pass_rates.png", "plots/measure-logp_distance.png"]
    assert all(files[plot].startswith(b"\x89PNG") for plot in plots)


def test_publishing_again_does_nothing(hub: Hub, pairwright: Callable[..., str]) -> None:
    pairwright("publish", "small@1", REPO)
    hub.requests.clear()
    assert "has v1 already, nothing to do" in pairwright("publish", "small@1", REPO)
    assert not [line for line in hub.requests if line.startswith(("POST", "PUT"))]
    assert len(hub.repos[REPO].commits) == 2


def test_a_dry_run_lists_the_files_and_sends_nothing(hub: Hub, pairwright: Callable[..., str]) -> None:
    told = pairwright("publish", "small@1", REPO, "--dry-run")
    assert "would send pairs/train-" in told and "would send curated/train-bucket-0-00000.parquet" in told
    assert hub.repos == {} and not [line for line in hub.requests if not line.startswith("GET")]


def test_the_next_version_replaces_the_files_and_the_old_tag_keeps_its_own(
    hub: Hub, pairwright: Callable[..., str], root: Path
) -> None:
    pairwright("publish", "small@1", REPO)
    first = set(hub.repos[REPO].commits[hub.repos[REPO].head])
    pairwright("publish", "small@2", REPO)
    repo = hub.repos[REPO]
    assert json.loads(repo.commits[repo.tags["v1"]]["manifest.json"])["version"] == 1
    assert json.loads(repo.commits[repo.tags["v2"]]["manifest.json"])["version"] == 2
    assert set(repo.commits[repo.tags["v1"]]) == first
    buckets = {name for name in repo.commits[repo.head] if name.startswith("curated/")}
    rows = sum(pq.read_metadata(_as_file(root, repo.commits[repo.head][name])).num_rows for name in buckets)
    kept = [row for row in store.read(root / "small" / "2", "curriculum")["position"].to_pylist() if row is not None]
    assert rows == len(kept) > 0


def _as_file(root: Path, content: bytes) -> Path:
    (root / "file").write_bytes(content)
    return root / "file"


@pytest.mark.parametrize("cut", ["PUT /lfs", "POST .*/commit/", "POST .*/tag/"])
def test_what_was_cut_off_goes_on(hub: Hub, pairwright: Callable[..., str], cut: str) -> None:
    hub.fail[cut] = 400
    assert "answered 400" in pairwright("publish", "small@1", REPO, fails=True)
    assert REPO not in hub.repos or hub.repos[REPO].tags == {}, "nothing half-published under the tag"
    hub.fail.clear()
    uploaded = len(hub.objects)
    assert "v1" in pairwright("publish", "small@1", REPO)
    repo = hub.repos[REPO]
    assert repo.tags == {"v1": repo.head} and len(repo.commits) == 2
    assert cut == "PUT /lfs" or len(hub.objects) == uploaded, "what had arrived was not sent again"


def test_an_older_version_does_not_go_over_a_newer_one(hub: Hub, pairwright: Callable[..., str]) -> None:
    pairwright("publish", "small@2", REPO)
    told = pairwright("publish", "small@1", REPO, fails=True)
    assert "holds small version 2" in told and "does not follow" in told
    assert len(hub.repos[REPO].commits) == 2


def test_a_version_somebody_else_made_is_not_overwritten(hub: Hub, pairwright: Callable[..., str], root: Path) -> None:
    pairwright("publish", "small@1", REPO)
    repo = hub.repos[REPO]
    theirs = json.loads(repo.commits[repo.head]["manifest.json"]) | {"digest": "d" * 64}
    repo.commit("theirs", repo.commits[repo.head] | {"manifest.json": json.dumps(theirs).encode()})
    told = pairwright("publish", "small@2", REPO, fails=True)
    assert "holds small version 1 (digest dddddddddddd)" in told
    repo.tags["v2"] = repo.head
    assert "has another v2" in pairwright("publish", "small@2", REPO, fails=True)


def test_a_commit_that_came_between_is_named(hub: Hub, pairwright: Callable[..., str]) -> None:
    hub.fail[r"POST .*/commit/"] = 412
    assert "somebody else committed to owner/small meanwhile" in pairwright("publish", "small@1", REPO, fails=True)


def test_a_repository_of_somebody_elses_is_left_alone(hub: Hub, pairwright: Callable[..., str]) -> None:
    hub.repos[REPO] = Repo()
    hub.repos[REPO].commit("theirs", {"README.md": b"# mine", "data/train.parquet": b"PAR1"})
    for options in ((), ("--dry-run",)):
        told = pairwright("publish", "small@1", REPO, *options, fails=True)
        assert "holds data/train.parquet, which pairwright did not publish" in told
    assert len(hub.repos[REPO].commits) == 1
    hub.repos[REPO].commit("begun", {"README.md": b"# mine"})
    pairwright("publish", "small@1", REPO)


def test_a_server_that_fails_is_one_line_and_what_it_said(
    hub: Hub, pairwright: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)  # between the client's own retries
    for path, status in ((r"GET /api/datasets/", 500), (r"POST .*/preupload/", 502), (r"POST .*/commit/", 503)):
        hub.fail = {path: status}
        told = pairwright("publish", "small@1", REPO, fails=True)
        assert f"answered {status} for {REPO}, saying: as the test asked: nothing was published" in told
    assert not hub.repos[REPO].tags and len(hub.repos[REPO].commits) == 1


def test_a_killed_publication_goes_on_and_of_two_at_once_one_commits(
    hub: Hub, start: Callable[..., subprocess.Popen[str]], root: Path
) -> None:
    command = ("-m", "flows.cli", "publish", "small@1", REPO, "--root", root)
    uploaded, released = threading.Event(), threading.Event()
    hub.gates[r"POST .*/commit/"] = lambda: (uploaded.set(), released.wait(60))
    killed = start(*command)
    assert uploaded.wait(60)
    killed.kill()
    killed.communicate()
    assert len(hub.repos[REPO].commits) == 1 and hub.repos[REPO].tags == {}
    sent = len([line for line in hub.requests if line.startswith("PUT")])
    hub.gates = {r"POST .*/preupload/": threading.Barrier(2, timeout=60).wait}
    released.set()
    wait_for(lambda: len(hub.repos[REPO].commits) == 2)  # the dead one's request, which the server had in full
    hub.repos[REPO].commits.popitem()
    both = [start(*command) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1], said
    [lost] = [one for one, process in zip(said, both, strict=True) if process.returncode]
    assert "somebody else committed to owner/small meanwhile" in lost
    repo = hub.repos[REPO]
    assert len(repo.commits) == 2 and repo.tags == {"v1": repo.head}
    assert len([line for line in hub.requests if line.startswith("PUT")]) == sent, "what had arrived is not sent again"
    assert all(TOKEN not in one for one in said)


@pytest.mark.parametrize(
    ("repo", "says"),
    [("small", "lacks its owner"), ("a/b/c", "expected a repository"), ("owner/sp ace", "expected a repository")],
)
def test_a_name_the_hub_would_not_take_is_refused_before_it_is_asked(
    hub: Hub, pairwright: Callable[..., str], repo: str, says: str
) -> None:
    assert says in pairwright("publish", "small@1", repo, fails=True)
    assert hub.requests == []


def test_a_wrong_or_missing_token_is_one_line(hub: Hub, pairwright: Callable[..., str]) -> None:
    assert "does not let this token" in pairwright("publish", "small@1", REPO, token="hf_wrong", fails=True)
    told = pairwright("publish", "small@1", REPO, token=None, fails=True)
    assert "hf auth login" in told and hub.repos == {}


def test_no_server_and_no_room_are_one_line(hub: Hub, pairwright: Callable[..., str]) -> None:
    hub.fail["PUT /lfs"] = 507
    assert "no room" in pairwright("publish", "small@1", REPO, fails=True)
    nowhere = "http://127.0.0.1:9"
    assert f"no answer from {nowhere}" in pairwright("publish", "small@1", REPO, fails=True, endpoint=nowhere)
    assert "HF_HUB_OFFLINE is set" in pairwright("publish", "small@1", REPO, fails=True, offline=True)


def test_a_damaged_version_is_not_published(hub: Hub, pairwright: Callable[..., str], root: Path) -> None:
    shard = next((root / "small" / "1" / "pairs").glob("*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    assert "not as it was sealed" in pairwright("publish", "small@1", REPO, fails=True)
    assert hub.requests == []


def test_a_private_repository_is_made_private(hub: Hub, pairwright: Callable[..., str]) -> None:
    pairwright("publish", "small@1", REPO, "--private")
    assert hub.repos[REPO].private


def test_what_is_pulled_is_what_was_published(hub: Hub, pairwright: Callable[..., str], tmp_path: Path) -> None:
    pairwright("publish", "small@1", REPO)
    pairwright("publish", "small@2", REPO)
    other = tmp_path / "other"
    assert "small@1 pulled and verified" in pairwright("pull", f"{REPO}@v1", at=other)
    assert "small@2 pulled and verified" in pairwright("pull", REPO, at=other)
    assert "small@2 is here already" in pairwright("pull", REPO, at=other)
    for number in (1, 2):
        assert manifest.verify(other / "small" / str(number)) == []
    assert sorted(path.name for path in (other / "small").iterdir()) == [".lock", "1", "2"]
    assert "mine@1 pulled" in pairwright("pull", f"{REPO}@v1", "--name", "mine", at=other)
    pairwright("publish", "small@2", REPO, at=other)  # known here now, so nothing to do


def test_a_pull_of_tampered_files_keeps_nothing(hub: Hub, pairwright: Callable[..., str], tmp_path: Path) -> None:
    pairwright("publish", "small@1", REPO)
    repo = hub.repos[REPO]
    name = next(name for name in repo.commits[repo.head] if name.startswith("pairs/"))
    repo.commits[repo.head][name] = b"PAR1 not ours PAR1"
    told = pairwright("pull", REPO, at=tmp_path / "other", fails=True)
    assert "not as it was sealed" in told and name in told
    assert not list((tmp_path / "other" / "small").glob("[0-9.]*[0-9a-f]"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dataset": "../../etc"}, "expected a dataset name"),
        ({"format": 99}, "not of format 1"),
        ({"version": "../1"}, "version"),
        ({"tables": {"../up": {"shards": [], "digest": "", "num_rows": 0}}}, "not as it was sealed"),
    ],
)
def test_a_hostile_manifest_writes_nothing_outside(
    hub: Hub, pairwright: Callable[..., str], tmp_path: Path, change: dict[str, object], says: str
) -> None:
    pairwright("publish", "small@1", REPO)
    repo = hub.repos[REPO]
    theirs = json.loads(repo.commits[repo.head]["manifest.json"]) | change
    repo.commits[repo.head]["manifest.json"] = json.dumps(theirs).encode()
    assert says in pairwright("pull", REPO, at=tmp_path / "other", fails=True)
    assert {path.name for path in tmp_path.iterdir()} <= {"data", "hf", "other"}


def test_a_pull_of_nothing_is_one_line(hub: Hub, pairwright: Callable[..., str]) -> None:
    assert "there is no dataset or policy owner/nothing" in pairwright("pull", "owner/nothing", fails=True)
    pairwright("publish", "small@1", REPO)
    assert "no such version" in pairwright("pull", f"{REPO}@v7", fails=True)


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """The folder of a training run of a tiny random model."""
    from training.config import Training
    from training.train import train

    model, version = tiny_policy.model_folder(tmp_path / "model"), tiny_policy.version(tmp_path)
    config = {"device": "cpu", "dtype": "float32", "pairs_per_step": 6, "learning_rate": 0.01, "tensorboard": False}
    train(version, Training(model=str(model), **config), output=tmp_path / "run")
    return tmp_path / "run"


def test_a_policy_is_published_with_its_card_and_pulled_back(
    hub: Hub, pairwright: Callable[..., str], trained: Path, tmp_path: Path
) -> None:
    told = pairwright("publish", trained, POLICY, fails=True)
    assert f"was trained from {tmp_path / 'model'}, a folder that nobody else has" in told and "--base" in told
    command = ("publish", trained, POLICY, "--base", "owner/base", "--private")
    assert "would send adapter_model.safetensors" in pairwright(*command, "--dry-run") and hub.repos == {}
    assert "published as demo-v1-" in pairwright(*command)
    repo = hub.repos[f"models/{POLICY}"]
    files = repo.commits[repo.head]
    assert repo.private and list(repo.tags.values()) == [repo.head]
    assert not [name for name, content in files.items() if str(tmp_path).encode() in content]
    front, text = files["README.md"].decode().split("---", 2)[1:]
    card = yaml.safe_load(front)
    assert card["base_model"] == "owner/base" and card["library_name"] == "peft" and "dpo" in card["tags"]
    digest = manifest.read_manifest(tmp_path / "demo" / "1")["digest"]
    assert f"demo version 1, digest `{digest}`" in text and "| pairs | pairs 12" in text
    assert "has demo-v1-" in pairwright(*command) and len(repo.commits) == 2
    assert f"{POLICY} pulled and verified: " in (said := pairwright("pull", POLICY, at=tmp_path / "other"))
    folder = Path(said.strip().rpartition(": ")[2])
    assert sorted(file.name for file in folder.iterdir()) == sorted(files.keys() - {".gitattributes"})
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == "owner/base"
    assert "is here already" in pairwright("pull", POLICY, at=tmp_path / "other")
    same_logits(tmp_path / "model", folder, next(trained.glob("checkpoints/*-stage-1")))


def same_logits(model: Path, pulled: Path, trained: Path) -> None:
    """peft and transformers read both adapters, and both change the model to the same one."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    ids = AutoTokenizer.from_pretrained(pulled)("def add(a, b):", return_tensors="pt")["input_ids"]
    models = [AutoModelForCausalLM.from_pretrained(model) for _ in range(4)]
    models[2].load_adapter(str(pulled))
    with torch.no_grad():
        plain, own, named, adapted = (
            one(ids).logits
            for one in (
                models[0],
                PeftModel.from_pretrained(models[1], trained),
                models[2],
                PeftModel.from_pretrained(models[3], pulled),
            )
        )
    assert torch.equal(own, adapted) and torch.allclose(own, named, atol=1e-5) and not torch.allclose(plain, own)


@pytest.mark.slow
def test_trl_goes_on_training_a_pulled_adapter(pairwright: Callable[..., str], trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    from datasets import Dataset
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    pairwright("publish", trained, POLICY, "--base", "owner/base")
    folder = Path(pairwright("pull", POLICY, at=tmp_path / "other").strip().rpartition(": ")[2])
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype="float32")
    options = {"use_cpu": True, "bf16": False, "report_to": [], "save_strategy": "no", "disable_tqdm": True}
    trainer = DPOTrainer(
        model=PeftModel.from_pretrained(base, folder, is_trainable=True),
        args=DPOConfig(output_dir=str(tmp_path / "trl"), max_steps=1, learning_rate=0.1, warmup_steps=0, **options),
        train_dataset=Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}] * 8),
        processing_class=AutoTokenizer.from_pretrained(folder),
    )
    weight = next(value for name, value in trainer.model.named_parameters() if "lora_B.default" in name)
    before = weight.detach().clone()
    trainer.train()
    assert before.abs().sum() > 0, "it starts from what was trained"
    assert not before.equal(weight.detach())


def test_another_policy_takes_mains_place_and_the_tag_keeps_the_first(
    hub: Hub, pairwright: Callable[..., str], trained: Path
) -> None:
    for stage in ("stage-0", "stage-1"):
        pairwright("publish", next(trained.glob(f"checkpoints/*-{stage}")), POLICY, "--base", "owner/base")
    repo = hub.repos[f"models/{POLICY}"]
    first, last = (json.loads(repo.commits[at]["policy.json"]) for at in repo.tags.values())
    assert "stage-0" in first["checkpoint"] and "stage-1" in last["checkpoint"] and len(repo.commits) == 3
    assert list(repo.tags.values())[1] == repo.head and first["last_step"]["step"] < last["last_step"]["step"]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ({"adapter_model.safetensors": b"not ours"}, "adapter_model.safetensors: its bytes are not those"),
        ({"tokenizer.json": None}, "tokenizer.json: missing"),
        ({"policy.json": b'{"format": 1, "files": {"../up.json": {}}}'}, "is not one that this pairwright writes"),
        ({"policy.json": b'{"format": 1, "files": {"model.pkl": {}}}'}, "is not one that this pairwright writes"),
        ({"policy.json": b"[]"}, "is not one that this pairwright writes"),
        ({"policy.json": None}, "holds no policy.json"),
    ],
)
def test_a_policy_that_is_not_as_published_is_not_kept(
    hub: Hub, pairwright: Callable[..., str], tmp_path: Path, spoil: dict[str, bytes | None], says: str
) -> None:
    files = {"adapter_model.safetensors": b"weights", "tokenizer.json": b"{}"}
    hashes = {name: {"sha256": hashlib.sha256(content).hexdigest()} for name, content in files.items()}
    files["policy.json"] = json.dumps({"format": 1, "files": hashes, "digest": "d"}).encode()
    repo = hub.repos[f"models/{POLICY}"] = Repo()
    repo.commit("theirs", {name: content for name, content in (files | spoil).items() if content is not None})
    assert says in pairwright("pull", POLICY, at=tmp_path / "other", fails=True)
    assert not [file for file in (tmp_path / "other").rglob("*") if file.is_file()]


def test_the_embedded_model_is_named_as_on_the_hub(tmp_path: Path) -> None:
    (tmp_path / embedded.STAMP).write_text('{"conversion": 1}')
    assert policies._hub_name(str(tmp_path)) == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert policies._hub_name("Qwen/Qwen2.5-Coder-7B") == "Qwen/Qwen2.5-Coder-7B"


LOAD = """
import sys
import threading
import time
from datasets import load_dataset
one = load_dataset(sys.argv[1], revision="v1", split="train")
print(*one["pair_id"])
print(len(load_dataset(sys.argv[1], "bucket_0", revision="v1", split="train")))
print(*[row["pair_id"] for row in load_dataset(sys.argv[1], revision="v1", split="train", streaming=True)])
print(len(load_dataset(sys.argv[1], "problems", revision="v2", split="train")))
"""


def test_datasets_loads_the_curriculum_in_order_by_tag_and_streams_it(
    hub: Hub, pairwright: Callable[..., str], run: Callable[..., subprocess.CompletedProcess[str]], root: Path
) -> None:
    pairwright("publish", "small@1", REPO)
    pairwright("publish", "small@2", REPO)
    done = run("-c", LOAD, REPO, token=None)
    assert done.returncode == 0, done.stderr
    loaded, easiest, streamed, problems = done.stdout.splitlines()
    placed = [row for row in store.read(root / "small" / "1", "curriculum").to_pylist() if row["position"] is not None]
    train = sorted((row for row in placed if row["split"] == "train"), key=lambda row: row["position"])
    assert loaded.split() == streamed.split() == [row["pair_id"] for row in train]
    assert int(easiest) == sum(row["bucket"] == 0 for row in train) > 0
    assert int(problems) == sum(
        row["split"] == "train" for row in store.read(root / "small" / "2", "problems").to_pylist()
    )


def test_the_cards_features_are_those_that_datasets_writes() -> None:
    from datasets import Features

    for schema in (curated.SCHEMA, *(table.schema for table in TABLES.values())):
        written = Features._from_yaml_list(card.features(schema))
        assert written == Features.from_arrow_schema(schema)


def test_text_from_outside_cannot_leave_its_cell_of_the_card(sealed_root: Path) -> None:
    sealed = manifest.read_manifest(sealed_root / "small" / "1")
    sealed["config"]["generate"]["model"] = "a|b\n\n# c <script>"
    text = card.render(sealed)
    assert "| model | a\\|b # c &lt;script> |" in text.splitlines()
    assert yaml.safe_load(text.split("---")[1])["pretty_name"] == "small"


def test_curated_files_are_cut_at_the_limit_and_keep_the_order(sealed_root: Path, tmp_path: Path) -> None:
    whole = curated.write_curated(sealed_root / "small" / "1", tmp_path / "whole")
    cut = curated.write_curated(sealed_root / "small" / "1", tmp_path / "cut", rows_at_once=3, max_file_bytes=1)
    assert len(cut) > len(whole) and max(one.num_rows for one in cut) <= 3

    def ids(folder: Path, files: list[curated.Curated]) -> list[str]:
        return [one for file in files for one in pq.read_table(folder / file.file)["pair_id"].to_pylist()]

    assert ids(tmp_path / "whole", whole) == ids(tmp_path / "cut", cut)

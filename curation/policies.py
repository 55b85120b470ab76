"""Policies on the Hugging Face Hub: publish what a training run made as a model with its card, pull it back verified.

The repository holds the checkpoint as peft, transformers and vLLM load it (an adapter, or a whole model, and the
tokenizer), the card, and `policy.json`: what it was trained on and how, and the hash of every file. Main holds the
policy published last; each stays under its tag `<dataset>-v<version>-<digest>`.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation import embedded, manifest, policy_card, store
from curation.errors import UserError
from curation.hub import README, Publication, PublishError, Repository, check_repo_id, explained

DESCRIPTION = "policy.json"
ADAPTER_CONFIG = "adapter_config.json"
FORMAT = 1
FOLDER = "policies"
# What a policy may consist of. Weights are safetensors, which hold no code; a pickle or a .py is never pulled.
FILE = re.compile(r"(?!policy\.json$)[A-Za-z0-9][\w.-]*\.(safetensors|json|jinja|txt|model)")
PULLING = ".pulling"


@dataclass(frozen=True)
class Policy:
    """A checkpoint to publish: its files, and what is said of it in `policy.json`."""

    files: Mapping[str, bytes | Path]
    described: Mapping[str, Any]

    @property
    def tag(self) -> str:
        trained_on = self.described["trained_on"]
        return f"{trained_on['dataset']}-v{trained_on['version']}-{self.described['digest'][:12]}"


def is_policy(folder: Path) -> bool:
    """Whether a folder is that of a training run or of a checkpoint."""
    return folder.is_dir() and ((folder / "checkpoints").is_dir() or folder.parent.name == "checkpoints")


def read_policy(folder: Path, base: str | None = None) -> Policy:
    """The policy of a training run's folder, its last checkpoint, or of a checkpoint's.

    `base` names the model it was trained from on the Hub, where the run names a folder of this machine.

    Raises:
        UserError: the run is not finished, or its model is one that nobody else has.
    """
    checkpoint = _checkpoint(folder)
    run = checkpoint.parents[1]
    try:
        config = json.loads((run / "config.json").read_text())
        sealed = manifest.read_manifest(Path(config["version"]))
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{run} does not say what it was trained on ({error}): train again, or publish by hand"
        ) from None
    base = base or _hub_name(config["config"]["model"])
    files: dict[str, bytes | Path] = {
        file.name: file for file in sorted(checkpoint.iterdir()) if file.is_file() and FILE.fullmatch(file.name)
    }
    files |= {name: _public(checkpoint / name, base) for name in (ADAPTER_CONFIG, "config.json") if name in files}
    hashes = {name: {"sha256": _sha256(content), "num_bytes": _size(content)} for name, content in files.items()}
    described = {
        "format": FORMAT,
        "base_model": base,
        "mode": config["config"]["mode"],
        "checkpoint": checkpoint.name,
        "trained_on": {key: sealed[key] for key in ("dataset", "version", "digest")},
        "training": config["config"] | {"model": base},
        "counts": _summary(run).get("counts", {}),
        "last_step": _last_step(run, checkpoint),
        "files": hashes,
        "digest": hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest(),
    }
    return Policy(files, described)


def publish_policy(policy: Policy, repo_id: str, *, private: bool | None = None, dry_run: bool = False) -> Publication:
    """Publish a policy in one commit and tag it; published already, nothing happens.

    Raises:
        PublishError: no access, no answer, a name the Hub does not allow, or a repository of something else.
    """
    check_repo_id(repo_id)
    repo = Repository(repo_id, "model")
    files = {
        **policy.files,
        DESCRIPTION: _json(policy.described),
        README: policy_card.render(policy.described, repo_id, policy.tag).encode(),
    }
    added = tuple((name, _size(content)) for name, content in files.items())
    with explained(repo_id, repo.kind):
        head = repo.head()
        if head and (tagged := repo.tags().get(policy.tag)):
            return Publication(repo_id, policy.tag, repo.url(policy.tag), tagged, (), (), repo.kind)
        there = repo.listing(head) if head else ()
        last = _remote_description(repo, head) if head else None
        if last is None:
            repo.refuse_strangers(there)
        done = last is not None and last.get("digest") == policy.described["digest"]
        removed = () if done else tuple(sorted(set((last or {}).get("files", {})) & set(there) - set(files)))
        if dry_run:
            return Publication(repo_id, policy.tag, repo.url(policy.tag), None, added, removed, repo.kind)
        commit = head or repo.make(private)
        if not done:
            told, data = policy.described, policy.described["trained_on"]
            commit = repo.commit(
                files,
                removed,
                parent=commit,
                title=f"{told['checkpoint']} of {data['dataset']} version {data['version']}",
                description=f"digest {told['digest']}",
            )
        repo.tag(policy.tag, commit)
    return Publication(repo_id, policy.tag, repo.url(policy.tag), commit, () if done else added, removed, repo.kind)


def pull_policy(repo_id: str, root: Path, *, revision: str | None = None) -> tuple[Path, bool]:
    """Download a published policy below `<root>/policies`, verify it, and return its folder and whether it is new here.

    Raises:
        PublishError: no access, no answer, no such policy, or the files are not what was published.
    """
    check_repo_id(repo_id)
    repo = Repository(repo_id, "model")
    with explained(repo_id, "dataset or policy"):
        commit = repo.commit_of(revision)
        described = _remote_description(repo, commit)
        if described is None:
            raise PublishError(f"{repo_id} holds no {DESCRIPTION}: pairwright did not publish it")
        target = root / FOLDER / repo_id.replace("/", "--") / commit[:12]
        if (target / DESCRIPTION).is_file():
            return target, False
        partial = target.with_name(f"{PULLING}-{commit}")
        partial.mkdir(parents=True, exist_ok=True)
        repo.download([DESCRIPTION, README, *described["files"]], commit, partial)
        shutil.rmtree(partial / ".cache", ignore_errors=True)
        if wrong := _wrong(partial, described):
            shutil.rmtree(partial)
            raise PublishError(f"{repo_id} is not as it was published, nothing was kept: {'; '.join(wrong[:3])}")
        for file in partial.iterdir():
            store.sync(file)
        partial.rename(target)
        store.sync(target.parent)
    return target, True


def _checkpoint(folder: Path) -> Path:
    if folder.parent.name == "checkpoints":
        return folder
    last = _summary(folder).get("checkpoint")
    if last is None:
        raise UserError(f"the training run {folder} is not finished: train on, or name one of its checkpoints")
    return folder / str(last)


def _summary(run: Path) -> dict[str, Any]:
    file = run / "summary.json"
    return dict(json.loads(file.read_text())) if file.is_file() else {}


def _last_step(run: Path, checkpoint: Path) -> dict[str, float]:
    """Loss, margin and accuracy at the step the checkpoint was made after."""
    number = int(checkpoint.name.split("-")[1])
    names = {"loss": "loss", "rewards/margins": "margin", "rewards/accuracies": "accuracy"}
    file = run / "metrics.jsonl"
    for line in file.read_text().splitlines() if file.is_file() else ():
        if (step := json.loads(line))["step"] == number:
            return {"step": number} | {told: step[name] for name, told in names.items() if name in step}
    return {"step": number}


def _hub_name(model: str) -> str:
    """What others call the model a policy was trained from.

    Raises:
        UserError: it is a folder of this machine.
    """
    if not Path(model).is_dir():
        return model
    stamp = Path(model) / embedded.STAMP
    if stamp.is_file() and "conversion" in json.loads(stamp.read_text()):
        return embedded.HUB_NAME
    raise UserError(
        f"the policy was trained from {model}, a folder that nobody else has: say which model of the Hub that is, "
        "as in --base Qwen/Qwen2.5-Coder-7B-Instruct"
    )


def _public(file: Path, base: str) -> bytes:
    """A JSON file of the checkpoint with the base model's name in place of a folder's."""
    content = json.loads(file.read_text())
    for key in ("base_model_name_or_path", "_name_or_path"):
        if key in content:
            content[key] = base
    return _json(content)


def _remote_description(repo: Repository, revision: str | None) -> dict[str, Any] | None:
    """The `policy.json` in a repository at a commit; None where it has none.

    Raises:
        PublishError: it is damaged, of another format, or names files that no policy has.
    """
    file = repo.file(DESCRIPTION, revision)
    if file is None:
        return None
    try:
        found = json.loads(file.read_text())
        sound = found["format"] == FORMAT and found["files"] and all(map(FILE.fullmatch, found["files"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        raise PublishError(f"the {DESCRIPTION} of {repo.repo_id} is not one that this pairwright writes")
    return dict(found)


def _wrong(folder: Path, described: Mapping[str, Any]) -> list[str]:
    """What is not as described, a line each."""
    found = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    wrong = [
        f"{name}: not part of it" for name in sorted(found.keys() - described["files"].keys() - {DESCRIPTION, README})
    ]
    for name, entry in described["files"].items():
        if name not in found:
            wrong.append(f"{name}: missing")
        elif not isinstance(entry, dict) or _sha256(found[name]) != entry.get("sha256"):
            wrong.append(f"{name}: its bytes are not those that were published")
    return wrong


def _sha256(content: bytes | Path) -> str:
    return hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else manifest.file_sha256(content)


def _size(content: bytes | Path) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()

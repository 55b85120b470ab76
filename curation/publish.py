"""Versions on the Hugging Face Hub: publish one as one commit and a tag, pull one back and verify it.

A repository holds one version at a time on its main branch, in the layout of its folder here, and every published
version under its tag `v<version>`. Publishing the same version again finds nothing to do; one that was cut off goes
on, since the files that arrived are known to the Hub by their hashes and the commit either happened or did not.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from curation import card, manifest, store, workspace
from curation.errors import UserError

DATASET = "dataset"
MAIN = "main"
PULLING = ".pulling"


class PublishError(UserError):
    """What kept a version from being published or pulled."""


@dataclass(frozen=True)
class Publication:
    """What publishing did, or with a dry run would do."""

    repo_id: str
    tag: str
    url: str
    commit: str | None
    """Its commit's hash; None when there is none yet (dry run)."""
    added: tuple[tuple[str, int], ...]
    """Files that are not in the repository as they are here, with their bytes."""
    removed: tuple[str, ...]
    """Files of the repository's last version that this one does not have."""


def publish(
    version: Path,
    repo_id: str,
    *,
    extra: Path | None = None,
    readme: str,
    private: bool | None = None,
    dry_run: bool = False,
) -> Publication:
    """Publish a sealed version in one commit and tag it.

    Args:
        version: The version's folder.
        repo_id: `owner/name`; made if it does not exist.
        extra: A folder whose files go into the repository too, at the same paths.
        readme: The card.
        private: Whether a repository that is made now is private; None is the owner's default.
        dry_run: Look at the repository and change nothing.

    Raises:
        PublishError: no access, no answer, a name the Hub does not allow, or the repository holds something that this
            version does not follow from.
    """
    sealed = manifest.read_manifest(version)
    check_repo_id(repo_id)
    tag = f"v{sealed['version']}"
    files = {
        file.relative_to(folder).as_posix(): file for folder in (version, extra) if folder for file in _files(folder)
    }
    api = HfApi()
    with explained(repo_id):
        head = _head(api, repo_id)
        if head and (tagged := _tags(api, repo_id).get(tag)):
            _same_version(_remote_manifest(api, repo_id, tagged), sealed, repo_id, tag)
            return Publication(repo_id, tag, _url(repo_id, tag), tagged, (), ())
        there = _listing(api, repo_id, head) if head else {}
        last = _remote_manifest(api, repo_id, head) if head else None
        done = last is not None and last.get("digest") == sealed["digest"] and last["version"] == sealed["version"]
        if last is not None and not done:
            _follows(last, sealed, version, repo_id)
        added = tuple((name, file.stat().st_size) for name, file in sorted(files.items()) if name != card.FILE)
        ours = {name.partition("/")[0] for name in files if "/" in name} | set(_folders_of(last))
        removed = tuple(sorted(name for name in there if name not in files and name.partition("/")[0] in ours))
        if dry_run:
            return Publication(repo_id, tag, _url(repo_id, tag), None, () if done else added, removed)
        if not head:
            api.create_repo(repo_id, repo_type=DATASET, private=private, exist_ok=True)
            head = _head(api, repo_id)
        commit = head
        if not done:
            operations: list[Any] = [CommitOperationAdd(name, files[name]) for name, _ in added]
            operations += [CommitOperationAdd(card.FILE, readme.encode())]
            operations += [CommitOperationDelete(name) for name in removed]
            title = f"{sealed['dataset']} version {sealed['version']}"
            made = api.create_commit(
                repo_id,
                operations,
                commit_message=title,
                commit_description=f"digest {sealed['digest']}",
                repo_type=DATASET,
                parent_commit=head,
            )
            commit = made.oid
        api.create_tag(repo_id, tag=tag, revision=commit, repo_type=DATASET, exist_ok=True)
    return Publication(repo_id, tag, _url(repo_id, tag), commit, added if not done else (), removed)


def pull(repo_id: str, root: Path, *, revision: str | None = None, name: str | None = None) -> tuple[Path, bool]:
    """Download a published version below `root`, verify it, and return its folder and whether it is new here.

    Args:
        repo_id: `owner/name`.
        root: Folder that holds the datasets.
        revision: A tag, branch or commit; the main branch when None.
        name: What to call the dataset here; its own name when None.

    Raises:
        PublishError: no access, no answer, no such version, or the files are not what their manifest says.
    """
    check_repo_id(repo_id)
    api = HfApi()
    with explained(repo_id):
        commit = api.repo_info(repo_id, repo_type=DATASET, revision=revision).sha
        sealed = _remote_manifest(api, repo_id, commit)
        if sealed is None:
            raise PublishError(f"{repo_id} holds no {manifest.MANIFEST}: pairwright did not publish it")
        name, number = name or str(sealed["dataset"]), sealed["version"]
        if type(number) is not int or number < 1:
            raise PublishError(
                f"{repo_id} has a manifest with version {number!r}, not a number: it is not as it was sealed"
            )
        with workspace.locked(root, name):
            target = root / name / str(number)
            if number in manifest.versions(root, name):
                _same_version(manifest.read_manifest(target), sealed, str(target), target.name)
                return target, False
            partial = root / name / f"{PULLING}-{commit}"
            api.snapshot_download(
                repo_id,
                repo_type=DATASET,
                revision=commit,
                local_dir=partial,
                allow_patterns=[card.FILE, manifest.MANIFEST, *(f"{table}/*.parquet" for table in _folders_of(sealed))],
            )
            shutil.rmtree(partial / ".cache", ignore_errors=True)
            if wrong := manifest.verify(partial):
                shutil.rmtree(partial)
                raise PublishError(f"{repo_id} is not as it was sealed, nothing was kept: {'; '.join(wrong[:3])}")
            os.rename(partial, target)
            store.sync(target.parent)
    return target, True


def check_repo_id(repo_id: str) -> None:
    """Refuse a name the Hub would not take.

    Raises:
        PublishError: it is not of the form `owner/name`.
    """
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        reason = str(error).splitlines()[0].split(":")[0]
        raise PublishError(f"expected a repository like owner/name, found {repo_id!r}: {reason}") from None
    if repo_id.count("/") != 1:
        raise PublishError(f"expected a repository like owner/name, found {repo_id!r}: it lacks its owner")


@contextmanager
def explained(repo_id: str) -> Iterator[None]:
    """Turn what the Hub or the way to it answers into one line for its user; no line holds a token.

    Raises:
        PublishError: anything that the Hub's client raises.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        # A failed upload comes wrapped: what the server said is the cause.
        for one in (error, error.__cause__):
            if isinstance(one, Exception) and (told := _told(one, repo_id, constants.ENDPOINT)):
                raise PublishError(told) from None
        raise


def _told(error: Exception, repo_id: str, where: str) -> str | None:
    """The line for an error of the Hub's client; None for one that is not the Hub's."""
    match error:
        case OfflineModeIsEnabled():
            return "HF_HUB_OFFLINE is set, so the Hub is not asked: unset it to publish or pull"
        case LocalTokenNotFoundError():
            return "the Hub wants a token and there is none: `hf auth login`, or set HF_TOKEN"
        case RevisionNotFoundError():
            return f"{repo_id} has no such version: its tags are v1, v2 and so on"
        case RepositoryNotFoundError() if _status(error) != 401:
            return f"there is no dataset {repo_id} on {where}, or the token may not see it"
        case HfHubHTTPError():
            return _answered(error, repo_id, where)
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return "the disk is full: make room, then the same command goes on"
    if isinstance(error, LocalEntryNotFoundError) or _is_transport(error):
        return f"no answer from {where}: the same command goes on once it is there"
    return None


def _answered(error: HfHubHTTPError, repo_id: str, where: str) -> str:
    status = _status(error)
    if status in (401, 403):
        return f"{where} does not let this token into {repo_id}: `hf auth login` with one that may write there"
    if status == 412:
        return f"somebody else committed to {repo_id} meanwhile: look at what they did, then publish again"
    if status in (413, 507):
        return f"{where} has no room for it ({status}): nothing was published"
    said = " ".join(str(error.server_message or "").split())[:200]
    return f"{where} answered {status} for {repo_id}{f', saying: {said}' if said else ''}: nothing was published"


def _is_transport(error: Exception) -> bool:
    """Whether the HTTP library failed to reach the server: huggingface_hub 1 uses httpx, 2 its successor."""
    return any(kind.__name__ == "HTTPError" and kind.__module__ in ("httpx", "httpx2") for kind in type(error).__mro__)


def _status(error: HfHubHTTPError) -> int | None:
    return error.response.status_code if error.response is not None else None


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.rglob("*")) if file.is_file())


def _folders_of(sealed: dict[str, Any] | None) -> list[str]:
    """The tables' folders that a manifest names and that are safe to name: it may come from outside."""
    return [name for name in (sealed or {}).get("tables", {}) if manifest.NAME.fullmatch(name)]


def _head(api: HfApi, repo_id: str) -> str | None:
    """The main branch's commit; None where there is no such repository (or none that the token may see)."""
    try:
        return api.repo_info(repo_id, repo_type=DATASET).sha
    except RepositoryNotFoundError as error:
        if _status(error) == 401:
            raise
        return None


def _tags(api: HfApi, repo_id: str) -> dict[str, str]:
    return {ref.name: ref.target_commit for ref in api.list_repo_refs(repo_id, repo_type=DATASET).tags}


def _listing(api: HfApi, repo_id: str, revision: str) -> Sequence[str]:
    return api.list_repo_files(repo_id, repo_type=DATASET, revision=revision)


def _remote_manifest(api: HfApi, repo_id: str, revision: str | None) -> dict[str, Any] | None:
    """The manifest in a repository at a commit; None where it has none.

    Raises:
        ManifestError: it is damaged or of another format.
    """
    try:
        file = api.hf_hub_download(repo_id, manifest.MANIFEST, repo_type=DATASET, revision=revision)
    except RemoteEntryNotFoundError:
        return None
    return manifest.read_manifest(Path(file).parent)


def _same_version(there: dict[str, Any] | None, here: dict[str, Any], where: str, tag: str) -> None:
    if there is None or there.get("digest") != here["digest"]:
        found = f"{there.get('dataset')}, digest {str(there.get('digest'))[:12]}" if there else "something else"
        raise PublishError(
            f"{where} has another {tag} ({found}) than this one (digest {here['digest'][:12]}): "
            "a version never changes; publish to another repository, or pull under another name"
        )


def _follows(last: dict[str, Any], sealed: dict[str, Any], version: Path, repo_id: str) -> None:
    """Refuse to put a version over one that it does not come after: somebody published what is not known here."""
    number = last.get("version")
    place = version.parent / str(number)
    known = (
        last.get("dataset") == sealed["dataset"]
        and isinstance(number, int)
        and number < sealed["version"]
        and (place / manifest.MANIFEST).is_file()
        and manifest.read_manifest(place)["digest"] == last.get("digest")
    )
    if not known:
        raise PublishError(
            f"{repo_id} holds {last.get('dataset')} version {number} (digest {str(last.get('digest'))[:12]}), which "
            f"{sealed['dataset']} version {sealed['version']} does not follow: pull it, build on it, then publish"
        )


def _url(repo_id: str, tag: str) -> str:
    return f"{constants.ENDPOINT}/datasets/{repo_id}/tree/{tag}"

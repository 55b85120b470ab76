"""Versions on the Hugging Face Hub: publish one as one commit and a tag, pull one back and verify it.

A repository holds one version at a time on its main branch, in the layout of its folder here, and every published
version under its tag `v<version>`. Publishing the same version again finds nothing to do; one that was cut off goes
on, since the files that arrived are known to the Hub by their hashes and the commit either happened or did not.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curation import card, copies, manifest, store, workspace
from curation.hub import Publication, PublishError, Repository, check_repo_id, explained

PULLING = ".pulling"


def publish(
    version: Path,
    repo_id: str,
    *,
    history: Path,
    extra: Path | None = None,
    readme: str,
    private: bool | None = None,
    dry_run: bool = False,
) -> Publication:
    """Publish a sealed version in one commit and tag it.

    Args:
        version: The version's folder.
        repo_id: `owner/name`; made if it does not exist.
        history: The folder of the dataset's versions, in which the repository's last one must be known.
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
    repo = Repository(repo_id, "dataset")
    with explained(repo_id, repo.kind):
        head = repo.head()
        if head and (tagged := repo.tags().get(tag)):
            _same_version(_remote_manifest(repo, tagged), sealed, repo_id, tag)
            return Publication(repo_id, tag, repo.url(tag), tagged, (), ())
        there = repo.listing(head) if head else ()
        last = _remote_manifest(repo, head) if head else None
        done = last is not None and last.get("digest") == sealed["digest"] and last["version"] == sealed["version"]
        if last is None:
            repo.refuse_strangers(there)
        elif not done:
            _follows(last, sealed, history, repo_id)
        added = tuple((name, file.stat().st_size) for name, file in sorted(files.items()) if name != card.FILE)
        ours = {name.partition("/")[0] for name in files if "/" in name} | set(_folders_of(last))
        removed = tuple(sorted(name for name in there if name not in files and name.partition("/")[0] in ours))
        if dry_run:
            return Publication(repo_id, tag, repo.url(tag), None, () if done else added, removed)
        commit = head or repo.make(private)
        if not done:
            commit = repo.commit(
                {name: files[name] for name, _ in added} | {card.FILE: readme.encode()},
                removed,
                parent=commit,
                title=f"{sealed['dataset']} version {sealed['version']}",
                description=f"digest {sealed['digest']}",
            )
        repo.tag(tag, commit)
    return Publication(repo_id, tag, repo.url(tag), commit, added if not done else (), removed)


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
    repo = Repository(repo_id, "dataset")
    with explained(repo_id, repo.kind):
        commit = repo.commit_of(revision)
        sealed = _remote_manifest(repo, commit)
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
            tables = [f"{table}/*.parquet" for table in _folders_of(sealed)]
            repo.download([card.FILE, manifest.MANIFEST, *tables], commit, partial)
            shutil.rmtree(partial / ".cache", ignore_errors=True)
            _keep(partial, target, repo_id)
    return target, True


def bring(source: Path, root: Path, name: str | None = None) -> tuple[Path, bool]:
    """Copy a sealed version of another root below `root`, verify it, and return its folder and whether it is new here.

    Raises:
        PublishError: it is not what its manifest says, or another version has its place.
    """
    sealed = manifest.read_manifest(source)
    with workspace.locked(root, name or source.parent.name):
        target = root / (name or source.parent.name) / source.name
        if int(target.name) in manifest.versions(root, target.parent.name):
            _same_version(manifest.read_manifest(target), sealed, str(target), target.name)
            return target, False
        partial = target.with_name(f"{PULLING}-{sealed['digest']}")
        with copies.on_disk(source) as folder:
            shutil.copytree(folder, partial, dirs_exist_ok=True)
        _keep(partial, target, str(source))
    return target, True


def _keep(partial: Path, target: Path, origin: str) -> None:
    """Put a version that was pulled into its place, once it is verified and on the disk.

    Raises:
        PublishError: it is not what its manifest says; it is removed.
    """
    if wrong := manifest.verify(partial):
        shutil.rmtree(partial)
        raise PublishError(f"{origin} is not as it was sealed, nothing was kept: {'; '.join(wrong[:3])}")
    for file in _files(partial):
        store.sync(file)
    os.rename(partial, target)
    store.sync(target.parent)


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.rglob("*")) if file.is_file())


def _folders_of(sealed: dict[str, Any] | None) -> list[str]:
    """The tables' folders that a manifest names and that are safe to name: it may come from outside."""
    return [name for name in (sealed or {}).get("tables", {}) if manifest.NAME.fullmatch(name)]


def _remote_manifest(repo: Repository, revision: str | None) -> dict[str, Any] | None:
    """The manifest in a repository at a commit; None where it has none.

    Raises:
        ManifestError: it is damaged or of another format.
    """
    file = repo.file(manifest.MANIFEST, revision)
    return None if file is None else manifest.read_manifest(file.parent)


def _same_version(there: dict[str, Any] | None, here: dict[str, Any], where: str, tag: str) -> None:
    if there is None or there.get("digest") != here["digest"]:
        found = f"{there.get('dataset')}, digest {str(there.get('digest'))[:12]}" if there else "something else"
        raise PublishError(
            f"{where} has another {tag} ({found}) than this one (digest {here['digest'][:12]}): "
            "a version never changes; publish to another repository, or pull under another name"
        )


def _follows(last: dict[str, Any], sealed: dict[str, Any], history: Path, repo_id: str) -> None:
    """Refuse to put a version over one that it does not come after: somebody published what is not known here."""
    number = last.get("version")
    known = (
        last.get("dataset") == sealed["dataset"]
        and isinstance(number, int)
        and number < sealed["version"]
        and number in manifest.versions(history.parent, history.name)
        and manifest.read_manifest(history / str(number))["digest"] == last.get("digest")
    )
    if not known:
        raise PublishError(
            f"{repo_id} holds {last.get('dataset')} version {number} (digest {str(last.get('digest'))[:12]}), which "
            f"{sealed['dataset']} version {sealed['version']} does not follow: pull it, build on it, then publish"
        )

"""Repositories on the Hugging Face Hub, of datasets and of models: what they hold, one commit and a tag at a time.

What the Hub or the way to it answers becomes one line for its user, and no line holds a token: tokens come from the
Hub's own places (`hf auth login`, HF_TOKEN) and are seen by its client alone.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

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

from curation.errors import UserError

README = "README.md"
# What the Hub puts into a new repository, and what its owner may have begun there: a publication may go over these.
BLANK = frozenset({".gitattributes", README})


class PublishError(UserError):
    """What kept a version or a policy from being published or pulled."""


class NoSuchRepository(PublishError):
    """There is none of that name, or the token may not see it."""


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
    kind: Literal["dataset", "model"] = "dataset"


@dataclass(frozen=True)
class Repository:
    """One repository, looked at and committed to."""

    repo_id: str
    kind: Literal["dataset", "model"]
    api: HfApi = field(default_factory=HfApi)

    def head(self) -> str | None:
        """The main branch's commit; None where there is no such repository (or none that the token may see)."""
        try:
            return self.commit_of(None)
        except RepositoryNotFoundError as error:
            if _status(error) == 401:
                raise
            return None

    def commit_of(self, revision: str | None) -> str:
        """The commit of a tag, a branch or a commit's own hash; of the main branch when None."""
        found = self.api.repo_info(self.repo_id, repo_type=self.kind, revision=revision).sha
        assert found is not None
        return found

    def tags(self) -> dict[str, str]:
        """Every tag's commit."""
        refs = self.api.list_repo_refs(self.repo_id, repo_type=self.kind)
        return {ref.name: ref.target_commit for ref in refs.tags}

    def listing(self, revision: str) -> Sequence[str]:
        """The paths of a commit's files."""
        return self.api.list_repo_files(self.repo_id, repo_type=self.kind, revision=revision)

    def file(self, name: str, revision: str | None) -> Path | None:
        """A local copy of one file at a commit; None where it has none."""
        try:
            return Path(self.api.hf_hub_download(self.repo_id, name, repo_type=self.kind, revision=revision))
        except RemoteEntryNotFoundError:
            return None

    def download(self, patterns: Sequence[str], revision: str, folder: Path) -> None:
        """The files that match one of `patterns` at a commit, into a folder; what is there already is kept."""
        self.api.snapshot_download(
            self.repo_id, repo_type=self.kind, revision=revision, local_dir=folder, allow_patterns=list(patterns)
        )

    def make(self, private: bool | None) -> str:
        """Make the repository where there is none; its main branch's commit."""
        self.api.create_repo(self.repo_id, repo_type=self.kind, private=private, exist_ok=True)
        return self.commit_of(None)

    def commit(
        self, files: Mapping[str, Path | bytes], removed: Sequence[str], *, parent: str, title: str, description: str
    ) -> str:
        """Add `files` and take `removed` away in one commit on top of `parent`; its hash."""
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            CommitOperationAdd(name, content) for name, content in files.items()
        ]
        operations += [CommitOperationDelete(name) for name in removed]
        made = self.api.create_commit(
            self.repo_id,
            operations,
            commit_message=title,
            commit_description=description,
            repo_type=self.kind,
            parent_commit=parent,
        )
        return made.oid

    def tag(self, tag: str, commit: str) -> None:
        """Name a commit, unless the name is given already."""
        self.api.create_tag(self.repo_id, tag=tag, revision=commit, repo_type=self.kind, exist_ok=True)

    def url(self, tag: str) -> str:
        """Where people look at a tag."""
        return f"{constants.ENDPOINT}/{'datasets/' if self.kind == 'dataset' else ''}{self.repo_id}/tree/{tag}"

    def refuse_strangers(self, there: Sequence[str]) -> None:
        """Refuse a repository that holds files and nothing that says pairwright put them there.

        Raises:
            PublishError: it does.
        """
        if strange := sorted(set(there) - BLANK):
            raise PublishError(
                f"{self.repo_id} holds {strange[0]}{f' and {len(strange) - 1} more' if strange[1:] else ''}, which "
                "pairwright did not publish: give a repository of its own"
            )


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
def explained(repo_id: str, kind: str) -> Iterator[None]:
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
            if isinstance(one, RepositoryNotFoundError) and _status(one) != 401:
                raise NoSuchRepository(
                    f"there is no {kind} {repo_id} on {constants.ENDPOINT}, or the token may not see it"
                ) from None
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
            return f"{repo_id} has no such version: its tags are listed on {where}"
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

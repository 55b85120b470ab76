"""Publishing a version, with its training order as a configuration per bucket and the card over all, or a policy."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from analysis import curated
from analysis.catalog import rebuild_catalog
from analysis.curated import Curated
from curation import card, copies, manifest, policies, publish, storage
from curation.errors import UserError
from curation.hub import NoSuchRepository, Publication, check_repo_id
from flows.calling import Call


def publish_version(
    version: Path, repo_id: str, *, private: bool | None = None, dry_run: bool = False, call: Call
) -> Publication:
    """Publish a sealed version; `call(title, function, *args)` runs each stage, as in `flows.build`.

    Raises:
        UserError: the version is not as sealed, or the Hub does not take it.
    """
    check_repo_id(repo_id)
    wrong = call("verify files", manifest.verify, version, progress=False)
    if wrong:
        raise UserError(f"{version} is not as it was sealed, so it is not published: {'; '.join(wrong[:3])}")
    history = version.parent
    with tempfile.TemporaryDirectory(prefix="pairwright-publish-") as folder, copies.on_disk(version) as version:
        files = call("write training order", curated.write_curated, version, Path(folder))
        plots = call("draw plots", draw, version, Path(folder), progress=False)
        readme = render_card(version, files, repo_id, plots)

        def send() -> Publication:
            return publish.publish(
                version,
                repo_id,
                history=history,
                extra=Path(folder),
                readme=readme,
                private=private,
                dry_run=dry_run,
            )

        return call("look at the repository" if dry_run else "publish", send, progress=False)


def publish_policy(
    folder: Path, repo_id: str, *, base: str | None, private: bool | None = None, dry_run: bool = False, call: Call
) -> Publication:
    """Publish the policy of a training run's or a checkpoint's folder; `call` is as for `publish_version`.

    Raises:
        UserError: the run is not finished, its model has no name on the Hub, or the Hub does not take it.
    """
    check_repo_id(repo_id)
    policy = policies.read_policy(folder, base)

    def send() -> Publication:
        return policies.publish_policy(policy, repo_id, private=private, dry_run=dry_run)

    return call("look at the repository" if dry_run else "publish", send, progress=False)


def draw(version: Path, folder: Path) -> dict[str, str]:
    """Title -> PNG, within the folder, of what a card shows: the funnel, the pass rates, the curriculum's metric."""
    from analysis import charts, report_figures  # the plotting library takes a second to import

    drawn = {}
    for figure in report_figures.summary(version):
        if figure.spec is not None:
            drawn[figure.title] = f"plots/{figure.key}.png"
            (folder / "plots").mkdir(exist_ok=True)
            (folder / drawn[figure.title]).write_bytes(charts.png(figure.spec))
    return drawn


def render_card(
    version: Path, files: Sequence[Curated], repo_id: str, plots: Mapping[str, str] = MappingProxyType({})
) -> str:
    """The card of a published version: by default one loads the kept pairs, in training order."""
    buckets = sorted({one.bucket for one in files})
    extra = [_configuration("curated", files)] if files else []
    extra += [_configuration(f"bucket_{bucket}", [one for one in files if one.bucket == bucket]) for bucket in buckets]
    default = "curated" if files else card.DEFAULT_TABLE
    return card.render(manifest.read_manifest(version), extra=extra, default=default, repo_id=repo_id, plots=plots)


def report(done: Publication, dry_run: bool) -> None:
    """Say what was published, or would be."""
    if dry_run:
        for file, size in done.added:
            print(f"would send {file} ({size / 2**20:.2f} MiB)")
        for file in done.removed:
            print(f"would take {file} out of the newest version (older tags keep it)")
    if done.commit and not done.added:
        print(f"{done.repo_id} has {done.tag} already, nothing to do: {done.url}")
    elif dry_run:
        print(f"nothing was sent; without --dry-run this becomes {done.tag} of {done.repo_id}")
    else:
        print(f"published as {done.tag}: {done.url}")
        if done.kind == "dataset":
            load = f"load_dataset({done.repo_id!r}, revision={done.tag!r})"
            print(f'python -c "from datasets import load_dataset; {load}"')


def pull(reference: str, root: Path, name: str | None) -> None:
    """Pull the version or the policy `owner/name` or `owner/name@tag`, or a version of another root, and say where it
    lies.

    Raises:
        UserError: there is neither, no answer, or it is not what its manifest says.
    """
    storage.local_only(root, "pairwright pull")
    if "://" in reference:
        folder, new = _bring(reference, root, name)
        _say_pulled(folder, new, root)
        return
    repo_id, _, revision = reference.partition("@")
    try:
        folder, new = publish.pull(repo_id, root, revision=revision or None, name=name)
    except NoSuchRepository:
        folder, new = policies.pull_policy(repo_id, root, revision=revision or None)
        print(f"{repo_id} {'pulled and verified' if new else 'is here already'}: {folder}")
        return
    _say_pulled(folder, new, root)


def _bring(reference: str, root: Path, name: str | None) -> tuple[Path, bool]:
    """The version `<root's URL>/NAME` or `NAME@VERSION`, copied below a local root, and whether it is new here."""
    url, _, version = reference.rpartition("/")
    source = manifest.open_version(storage.reach(storage.place(url)), *manifest.parse_reference(version))
    return publish.bring(source, root, name)


def _say_pulled(folder: Path, new: bool, root: Path) -> None:
    if new:
        rebuild_catalog(root)
    print(f"{folder.parent.name}@{folder.name} {'pulled and verified' if new else 'is here already'}: {folder}")


def _configuration(name: str, files: Sequence[Curated]) -> card.Files:
    splits = sorted({one.split for one in files})
    of = {split: [one for one in files if one.split == split] for split in splits}
    return card.Files(
        name,
        {split: [one.file for one in of[split]] for split in splits},
        curated.SCHEMA,
        {split: sum(one.num_rows for one in of[split]) for split in splits},
        {split: sum(one.num_bytes for one in of[split]) for split in splits},
    )

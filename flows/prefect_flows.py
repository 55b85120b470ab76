"""The flows about datasets as Prefect sees them: their parameters are the form, sections of a recipe as in the YAML.

Importing this imports Prefect, which takes seconds; of the rest only flows.prefect_* does. Annotations are evaluated
here, unlike elsewhere: Prefect looks their names up in the module of `told`.
"""

from pathlib import Path
from typing import Annotated

from prefect import flow, runtime
from pydantic import BaseModel, Field

from analysis.curriculum import Curriculum
from analysis.features import Measures
from curation import manifest
from curation.execute import Execution
from curation.pairs import Pairing
from curation.problems import ProblemSource
from curation.publish import Publication
from curation.sampling import Generation, Sampling
from curation.storage import Root
from flows import artifacts, curating, publishing
from flows.build import build
from flows.config import DATASET, Evaluation, Recipe, validated
from flows.evaluating import Result
from flows.prefect_forms import Form, Refused
from flows.prefect_runs import DAY, say, tasks, told, waiting
from flows.runners import Runner
from flows.terminal import Bars

SECTIONS = ("problems", "generate", "execute", "pairs", "measures", "curriculum", "runner")
Name = Annotated[str, Field(pattern=DATASET)]


def _build_name() -> str:
    """The dataset, who samples, how often."""
    given = runtime.flow_run.parameters
    return f"{given['dataset']} · {_who(given['generate'])}"


def _who(sampling: Sampling | Refused) -> str:
    """Who samples and how often, in a few words."""
    if isinstance(sampling, Refused):
        return "not as chosen"
    if sampling.sampler == "replay" and sampling.path is not None:
        return sampling.path.name
    model = "scripted" if sampling.sampler == "scripted" else sampling.model or "embedded"
    return f"{model.rstrip('/').rpartition('/')[2]} · n={sampling.n}"


@flow(
    name="build-dataset",
    flow_run_name=_build_name,
    timeout_seconds=14 * DAY,
    description="Sample a model, run the programs, pair the outcomes, order the pairs and seal a dataset version.",
)
@told
def build_dataset(
    dataset: Name = "demo",
    problems: Annotated[ProblemSource, Form("problems")] = ProblemSource(),  # noqa: B008
    generate: Annotated[Generation, Form("generate")] = Generation(),  # noqa: B008
    execute: Annotated[Execution, Form("execute")] = Execution(),  # noqa: B008
    pairs: Annotated[Pairing, Form("pairs")] = Pairing(),  # noqa: B008
    measures: Annotated[Measures, Form("measures")] = Measures(),  # noqa: B008
    curriculum: Annotated[Curriculum, Form("curriculum")] = Curriculum(),  # noqa: B008
    runner: Annotated[Runner, Form("runner")] = Runner(),  # noqa: B008
    root: Root = Path("data"),
) -> tuple[Path, bool]:
    """The sealed version of a recipe and whether it was made now; finished shards of an earlier run are kept.

    Args:
        dataset: Name of the dataset: its folder under the root.
        problems: The problems and their tests.
        generate: The model and how it samples.
        execute: The sandbox's limits.
        pairs: Which completions become pairs.
        measures: What is measured of a pair.
        curriculum: How pairs are ordered and pruned.
        runner: Where programs are run and measured.
        root: Folder that holds the datasets.
    """
    sections = (problems, generate, execute, pairs, measures, curriculum, runner)
    given = {"dataset": dataset} | dict(zip(SECTIONS, sections, strict=True))
    recipe = validated(Recipe, given, "this is not a valid recipe")
    say(f"building {dataset}: {problems.source} problems, answered by {_who(generate)}")
    with Bars() as bars:
        version, made = waiting(lambda: build(recipe, root, tasks(bars)))
    return _shown(version, made, root)


@flow(
    name="curate-version",
    flow_run_name="{dataset} · curated anew",
    timeout_seconds=DAY,
    description="Select, measure, order and prune the samples of a sealed version anew; nothing is sampled or run.",
)
@told
def curate_version(
    dataset: str = "demo",
    pairs: Annotated[Pairing, Form("pairs")] | None = None,
    measures: Annotated[Measures, Form("measures", whole=True)] | None = None,
    curriculum: Annotated[Curriculum, Form("curriculum", whole=True)] | None = None,
    root: Root = Path("data"),
) -> tuple[Path, bool]:
    """The version with the same samples and the curation asked for, and whether it is new.

    Args:
        dataset: NAME or NAME@VERSION.
        pairs: Which completions become pairs; as the version has it when left out.
        measures: What is measured of a pair; as the version has it when left out.
        curriculum: How pairs are ordered and pruned; as the version has it when left out.
        root: Folder that holds the datasets.
    """
    given = {"pairs": pairs, "measures": measures, "curriculum": curriculum}
    overrides = [f"{name}={_as_yaml(section)}" for name, section in given.items() if section is not None]
    say(f"curating {dataset} anew: {', '.join(name for name in given if given[name]) or 'nothing is asked to change'}")
    with Bars() as bars:
        version, made = waiting(lambda: curating.curate(root, dataset, None, overrides, tasks(bars)))
    return _shown(version, made, root)


def _as_yaml(section: BaseModel) -> str:
    """A section whole, as a recipe's override says it."""
    return section.model_dump_json(exclude={"folder"} if getattr(section, "folder", None) is None else None)


@flow(
    name="publish-version",
    flow_run_name="{dataset} · to {repo_id}",
    timeout_seconds=DAY,
    description="Publish a sealed version to the Hugging Face Hub: one commit and a tag; again does nothing.",
)
@told
def publish_version(
    dataset: str = "demo",
    repo_id: str = "owner/name",
    private: bool = True,
    dry_run: bool = True,
    root: Root = Path("data"),
) -> Publication:
    """What was published, or would be. The token is the Hub's own: `hf auth login` or HF_TOKEN where flows are served.

    Args:
        dataset: NAME or NAME@VERSION.
        repo_id: The repository, as in owner/name; made if it does not exist.
        private: Make a new repository private.
        dry_run: Say what would be sent, and send nothing.
        root: Folder that holds the datasets.
    """
    version = manifest.open_version(root, *manifest.parse_reference(dataset))
    with Bars() as bars:
        done = publishing.publish_version(version, repo_id, private=private, dry_run=dry_run, call=tasks(bars))
    artifacts.publication(version, done, dry_run)
    return done


@flow(
    name="evaluate-policy",
    flow_run_name="{models}",
    timeout_seconds=7 * DAY,
    description="Sample policies on benchmarks, run the programs, score every problem; compare each with the first.",
)
@told
def evaluate_policy(
    models: list[str] = ["embedded"],  # noqa: B006
    evaluation: Annotated[Evaluation, Form("evaluation", whole=True)] = Evaluation(),  # noqa: B008
    root: Path = Path("data"),
) -> dict[str, list[Result]]:
    """Every policy on every benchmark: benchmark -> results in the policies' order.

    Args:
        models: MODEL, MODEL+ADAPTER, or folders of adapters or training runs.
        evaluation: Which benchmarks, and how completions are sampled.
        root: Folder that holds the evaluations.
    """
    from flows import evaluating

    say(f"evaluating {', '.join(models)} on {', '.join(evaluation.benchmarks)}")
    with Bars() as bars:
        policies = [evaluating.parse_policy(one) for one in models]
        results = evaluating.evaluate(policies, evaluation, root, tasks(bars))
    artifacts.scores_of(results)
    return results


def _shown(version: Path, made: bool, root: Path) -> tuple[Path, bool]:
    """A version and whether it is new, said and summarized."""
    artifacts.version_of(version, root)
    name = f"{version.parent.name}@{version.name}"
    say(f"{name} {'is sealed' if made else 'was sealed already, nothing to do'}: {version}")
    return version, made

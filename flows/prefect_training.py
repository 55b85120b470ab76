"""The flows that train, as Prefect sees them. Apart from the others because their form is declared beside torch.

Annotations are evaluated here, as in flows.prefect_flows.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import flow, runtime

from analysis.curriculum import Curriculum
from analysis.features import Measures
from curation import manifest
from curation.execute import Execution
from curation.pairs import Pairing
from curation.problems import ProblemSource
from curation.sampling import Generation
from flows import artifacts
from flows.config import Evaluation, Recipe, Rounds, validated
from flows.prefect_flows import SECTIONS, Name
from flows.prefect_forms import Form
from flows.prefect_runs import DAY, say, tasks, told, waiting
from flows.runners import Runner
from training.config import Training


def _name() -> str:
    """The dataset, the model, the loss."""
    given = runtime.flow_run.parameters
    training = given["training"]
    how = f"{training.model} · {training.loss.name}" if isinstance(training, Training) else "not as chosen"
    return f"{given['dataset']} · {how}"


@flow(
    name="train-policy",
    flow_run_name=_name,
    timeout_seconds=14 * DAY,
    description="Train a policy on a sealed version's curriculum, and evaluate it where that is asked for.",
)
@told
def train_policy(
    dataset: str = "demo",
    training: Annotated[Training, Form("training")] = Training(),  # noqa: B008
    baseline: Literal["none", "shuffled"] = "none",
    evaluation: Annotated[Evaluation, Form("evaluation", whole=True)] = Evaluation(),  # noqa: B008
    root: Path = Path("data"),
    out: Path | None = None,
) -> Any:
    """What training left, a `flows.training.Trained`; a killed run goes on from its newest checkpoint.

    Args:
        dataset: NAME or NAME@VERSION.
        training: The model, the loss and how it is trained.
        baseline: shuffled: also train as many steps on the same pairs out of order.
        evaluation: Which benchmarks the policy is put to, and when.
        root: Folder that holds the datasets and evaluations.
        out: Folder of the run; beside the versions when left out.
    """
    from flows.training import train_policy as train
    from flows.watching import TrainingBars

    version = manifest.open_version(root, *manifest.parse_reference(dataset))
    recipe = Recipe(training=training.model_dump(exclude_defaults=True), baseline=baseline, evaluation=evaluation)
    say(f"training {training.model} on {version.parent.name}@{version.name} with {training.loss.name}")
    with TrainingBars() as bars:
        trained = train(version, recipe, root, out=out, call=tasks(bars), on_step=bars.see)
    artifacts.training_of(version, trained)
    say(f"{bars.note or 'was trained already'}; policy: {trained.policy}")
    return trained


def _rounds_name() -> str:
    """The dataset, the model, how many rounds."""
    given = runtime.flow_run.parameters
    rounds, training = given["rounds"], given["training"]
    if not isinstance(rounds, Rounds) or not isinstance(training, Training):
        return f"{given['dataset']} · not as chosen"
    return f"{given['dataset']} · {training.model.rstrip('/').rpartition('/')[2]} · {rounds.count} rounds"


@flow(
    name="iterate",
    flow_run_name=_rounds_name,
    timeout_seconds=60 * DAY,
    description="Sample, build, train and evaluate in rounds, each with the newest policy, while held-out scores rise.",
)
@told
def iterate_rounds(
    dataset: Name = "rounds",
    problems: Annotated[ProblemSource, Form("problems")] = ProblemSource(),  # noqa: B008
    generate: Annotated[Generation, Form("generate")] = Generation(),  # noqa: B008
    execute: Annotated[Execution, Form("execute")] = Execution(),  # noqa: B008
    pairs: Annotated[Pairing, Form("pairs")] = Pairing(),  # noqa: B008
    measures: Annotated[Measures, Form("measures")] = Measures(),  # noqa: B008
    curriculum: Annotated[Curriculum, Form("curriculum")] = Curriculum(),  # noqa: B008
    runner: Annotated[Runner, Form("runner")] = Runner(),  # noqa: B008
    training: Annotated[Training, Form("training")] = Training(),  # noqa: B008
    evaluation: Annotated[Evaluation, Form("evaluation", whole=True)] = Evaluation(),  # noqa: B008
    rounds: Annotated[Rounds, Form("rounds", whole=True)] = Rounds(),  # noqa: B008
    root: Path = Path("data"),
) -> Any:
    """What every round came to, a `flows.iterate.Outcome`; a killed run goes on in the middle of its round.

    Args:
        dataset: Name of the dataset: each round seals a version of it.
        problems: The problems and their tests.
        generate: How the policy samples; the model is the one that is trained.
        execute: The sandbox's limits.
        pairs: Which completions become pairs.
        measures: What is measured of a pair.
        curriculum: How pairs are ordered and pruned.
        runner: Where programs are run and measured.
        training: The model, the loss and how it is trained.
        evaluation: Which held-out benchmarks say whether a round gained.
        rounds: How many rounds, what each starts from, and when to stop.
        root: Folder that holds the datasets and evaluations.
    """
    from flows import iterate
    from flows.watching import TrainingBars

    sections = (problems, generate, execute, pairs, measures, curriculum, runner)
    given: dict[str, Any] = {"dataset": dataset} | dict(zip(SECTIONS, sections, strict=True))
    given |= {"training": training.model_dump(exclude_defaults=True), "evaluation": evaluation, "rounds": rounds}
    recipe = validated(Recipe, given, "this is not a valid recipe")
    say(f"{rounds.count} rounds of {training.model} on {problems.source} problems, held to {evaluation.benchmarks[0]}")
    with TrainingBars() as bars:
        done = waiting(lambda: iterate.iterate(recipe, root, call=tasks(bars), on_step=bars.see))
    artifacts.rounds_of(dataset, done)
    say(iterate.summary(done))
    return done

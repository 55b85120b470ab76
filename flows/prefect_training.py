"""The flow that trains, as Prefect sees it. Apart from the others because its form is declared beside torch.

Annotations are evaluated here, as in flows.prefect_flows.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import flow, runtime

from curation import manifest
from flows import artifacts
from flows.config import Evaluation, Recipe
from flows.prefect_forms import Form
from flows.prefect_runs import DAY, say, tasks, told
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

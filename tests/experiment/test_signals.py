"""Both teacher signals: training from the cache and from the live teacher is the same training."""

from collections.abc import Callable

import pytest
import torch

from featkd.cache import FolderStore
from featkd.distillers import build_distiller
from featkd.experiment import FrozenTeacher, Workspace, represent, train_teacher
from featkd.experiment.classifier_run import measure_shapes
from featkd.experiment.needs import distiller_requirements
from featkd.experiment.opened_cache import OpenedCache
from featkd.experiment.student import Students
from featkd.extract import extract
from featkd.training import ClassifierTraining, Lessons, seed_everything

MakeWorkspace = Callable[..., Workspace]
NUM_STEPS = 20


# Maps of more than one position, batches larger than the teacher's, the paper's optimiser.
SETTINGS = (
    "synthetic.videos_per_class={train: 6, val: 1, test: 1}",
    "teacher.preprocess.size=64",
    "student.preprocess.size=64",
    "student.training.batch_size=8",
    "student.training.num_epochs=20",
    "student.training.optimiser={kind: sgd, learning_rate: 0.001}",
    "student.training.generator_optimiser={kind: sgd, learning_rate: 0.001}",
    "distillers.at.beta=10",
    "distillers.fn={kind: fn}",
    "distillers.simkd={kind: simkd, ce_weight: 1.0}",
    "distillers.wkd={kind: wkd, projector: linear}",
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, make_workspace: MakeWorkspace) -> Workspace:
    workspace = make_workspace(tmp_path_factory.mktemp("signals"), *SETTINGS)
    train_teacher(workspace)
    extract(workspace)
    represent(workspace)
    return workspace


def losses(workspace: Workspace, name: str, signal: str) -> list[dict[str, float]]:
    """Values of the first steps of a student's training, from one of the two signals."""
    needs = distiller_requirements(workspace.recipe, name)
    teacher = FrozenTeacher(workspace)
    with FolderStore.open(workspace.cache_path) as store:
        opened = OpenedCache(workspace, store, teacher, needs)
        students = Students(workspace, teacher)
        source = opened.signal() if signal == "cached" else students.live_signal(opened, needs)
        seed_everything(3)
        card = students.card(workspace, name)
        network = card.build(layers=needs.student_layers)
        views = workspace.rendered("train", workspace.recipe.views.train, (64,))
        lessons = Lessons(
            views=views,
            source=source,
            samples=opened.samples,
            row_of=opened.row_of,
            batch_size=workspace.recipe.student.training.batch_size,
            teacher_size=64,
            seed=3,
        )
        example = lessons.example()
        if needs.student_projector is not None:
            assert example.signal.classifier is not None
            network.reuse_classifier(example.signal.classifier)
        shapes = measure_shapes(network, card, example)
        run = ClassifierTraining(
            network=network,
            distiller=build_distiller(workspace.recipe.distillers[name], shapes),
            lessons=lessons,
            spec=workspace.recipe.student.training,
            preprocess_spec=card.preprocess,
            device=torch.device("cpu"),
            seed=3,
        ).run(workspace.folder, settings="")
        values: list[dict[str, float]] = []
        epoch = 0
        while len(values) < NUM_STEPS:
            epoch += 1
            seed_everything(3, epoch)
            run.begin_pass()
            values.extend(dict(run.passes[0](lesson, epoch)[0]) for lesson in run.batches(epoch))
        return values[:NUM_STEPS]


@pytest.mark.parametrize("name", ["kd", "at", "generative", "fn", "simkd", "wkd"])
def test_signals__cached_and_live_give_the_same_losses(workspace: Workspace, name: str) -> None:
    cached, live = losses(workspace, name, "cached"), losses(workspace, name, "live")
    assert len(cached) == NUM_STEPS
    for step, (one, other) in enumerate(zip(cached, live, strict=True)):
        assert one.keys() == other.keys()
        for term in one:
            tolerance = 1e-6 * max(1.0, abs(one[term]))
            assert abs(one[term] - other[term]) <= tolerance, (step, term, one[term], other[term])
    assert cached[0] != cached[-1]

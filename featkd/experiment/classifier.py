"""One run of classifier training, teacher or student, from settings to a finished folder."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from featkd.cache import Fingerprint, Mismatch
from featkd.cache.signal import SignalRequest, SignalSource
from featkd.distillers import DistillerSpec, Shapes, build_distiller
from featkd.errors import UsageError
from featkd.evaluation import measure_cost
from featkd.experiment.run_folder import begin, finish, is_finished
from featkd.experiment.workspace import Workspace
from featkd.models import NetworkCard, VideoClassifier, preprocess, save_network
from featkd.training import (
    ClassifierTraining,
    RenderedViews,
    TrainingSpec,
    seed_everything,
    settings_digest,
)
from featkd.types import Progress, TeacherSignal


@dataclass(frozen=True)
class ClassifierRun:
    """All that decides one run.

    Attributes:
        kind: who is trained.
        name: of the run, for tables.
        seed: of initialisation, order and noise.
        folder: the run folder.
        card: the network.
        training: epochs, batch size, optimisers.
        distiller: what gives the loss.
        fingerprint: of the cache that is trained on; empty for a teacher.
        signal: ``none``, ``cached`` or ``live``; for the record.
        samples: clips that a run on a growing cache is confined to; None where all serve.
        exceptions: differences between cache and recipe that were allowed; for the record.
    """

    kind: Literal["teacher", "student"]
    name: str
    seed: int
    folder: Path
    card: NetworkCard
    training: TrainingSpec
    distiller: DistillerSpec
    fingerprint: Fingerprint
    signal: str
    samples: tuple[int, ...] | None = None
    exceptions: tuple[Mismatch, ...] = ()

    def settings(self, workspace: Workspace) -> str:
        """Digest of everything that decides the result."""
        return settings_digest(
            {
                "card": self.card.model_dump(mode="json"),
                "training": self.training.model_dump(mode="json"),
                "distiller": self.distiller.model_dump(mode="json"),
                "views": workspace.recipe.views.train.model_dump(mode="json"),
                "views.seed": workspace.recipe.seed,
                "manifest": workspace.manifest.digest,
                "split": workspace.recipe.data.train_split,
                "cache": dict(self.fingerprint),
                "signal": self.signal,
                "seed": self.seed,
                "samples": self.samples,
            }
        )


def run_classifier(
    workspace: Workspace,
    run: ClassifierRun,
    *,
    source: SignalSource,
    views: RenderedViews,
    samples: Sequence[int],
    row_of: Callable[[int, int], int],
    teacher_size: int,
    progress: Progress,
) -> bool:
    """Train, or go on training, and leave a finished run folder.

    Returns:
        False where the run was finished already.

    Raises:
        UsageError: the folder holds a run with other settings, or there are fewer clips than one
            batch needs.
        FeatkdError: whatever training meets; see `ClassifierTraining.run`.
    """
    settings = run.settings(workspace)
    if is_finished(run.folder, settings):
        return False
    if len(samples) < run.training.batch_size:
        raise UsageError(
            f"{len(samples)} clips of split {workspace.recipe.data.train_split!r} can be trained "
            f"on; expected at least one batch of {run.training.batch_size}"
        )
    begin(run.folder, workspace.recipe)
    seed_everything(run.seed)
    needs = run.distiller.requires
    network = run.card.build(layers=needs.student_layers)
    clips, signal = _first_lesson(run.card, views, source, samples[0], row_of, teacher_size)
    if signal.classifier is not None and run.card.model.reused_classifier is not None:
        network.reuse_classifier(signal.classifier)
    shapes = _measure_shapes(network, clips, signal)
    training = ClassifierTraining(
        network=network,
        distiller=build_distiller(run.distiller, shapes),
        source=source,
        views=views,
        samples=samples,
        row_of=row_of,
        spec=run.training,
        preprocess_spec=run.card.preprocess,
        teacher_size=teacher_size,
        device=workspace.device,
        seed=run.seed,
    )
    description = run.kind if run.kind == "teacher" else f"{run.name}, seed {run.seed}"
    seconds = training.run(
        run.folder, settings=settings, description=description, progress=progress
    )
    save_network(run.folder / "model.safetensors", network, run.card)
    cost = measure_cost(run.card.build().eval(), run.card.input_shape)
    finish(
        run.folder,
        settings,
        {
            "kind": run.kind,
            "name": run.name,
            "seed": run.seed,
            "model": run.card.model.name,
            "num_epochs": run.training.num_epochs,
            "seconds": seconds,
            "parameters": cost.parameters,
            "gmac": cost.gmac,
            "num_clips": len(samples),
            "distiller": run.distiller.model_dump(mode="json"),
            "signal": run.signal,
            "allowed_mismatches": [asdict(item) for item in run.exceptions],
        },
    )
    return True


def _first_lesson(
    card: NetworkCard,
    views: RenderedViews,
    source: SignalSource,
    sample: int,
    row_of: Callable[[int, int], int],
    teacher_size: int,
) -> tuple[Tensor, TeacherSignal]:
    """One preprocessed clip, and what the teacher says about it."""
    rendered = dict(zip(views.sizes, views.render(sample, 0), strict=True))
    clips = preprocess(rendered[card.preprocess.size][None], card.preprocess, torch.device("cpu"))
    request = SignalRequest(
        rows=(row_of(sample, 0),),
        teacher_clips=rendered[teacher_size][None] if source.needs_clips else None,
    )
    return clips, source.signal(request)


def _measure_shapes(network: VideoClassifier, clips: Tensor, signal: TeacherSignal) -> Shapes:
    """Look at one row of both sides."""
    network.eval()
    with torch.no_grad():
        student = network(clips)
    network.train()
    return Shapes.measure(student, signal)

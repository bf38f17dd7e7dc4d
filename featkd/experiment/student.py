"""Training one student against the cache, or against the live teacher."""

from collections.abc import Collection
from dataclasses import replace
from typing import Literal

from featkd.cache import FolderStore
from featkd.cache.signal import SignalSource, feature_array
from featkd.distillers import Requirements
from featkd.errors import UsageError
from featkd.experiment.begun_samples import begun_with
from featkd.experiment.classifier_run import ClassifierRun
from featkd.experiment.initial_weights import InitialWeights, WeightsOfFile, WeightsOfTeacher
from featkd.experiment.needs import distiller_requirements
from featkd.experiment.opened_cache import OpenedCache
from featkd.experiment.teacher import FrozenTeacher
from featkd.experiment.workspace import Workspace
from featkd.models import (
    LAST_LAYER,
    LiveSignal,
    ModelSpec,
    NetworkCard,
    NetworkSpec,
    ReusedClassifierSpec,
    resolve_spec,
)
from featkd.types import Progress, Silent, TapSpec

Signal = Literal["cached", "live"]


def distill(
    workspace: Workspace,
    name: str,
    seed: int,
    *,
    signal: Signal = "cached",
    allowed: Collection[str] = (),
    committed_only: bool = False,
    progress: Progress | None = None,
) -> bool:
    """Train the student that the recipe calls ``name``.

    Args:
        workspace: recipe and folders.
        name: key of the recipe's ``distillers``.
        seed: of initialisation, order and noise; views keep the recipe's seed, and the order does
            where the recipe's ``batch_order`` says so.
        signal: whether the teacher's answers come from the cache or from the teacher itself.
        allowed: fields of the cache's fingerprint that may differ from the recipe; recorded in the
            run's summary.
        committed_only: train on the clips that are committed by now, while extraction goes on. A
            run that is resumed keeps the clips it began with.
        progress: shows the work.

    Returns:
        False where it was trained already.

    Raises:
        UsageError: the recipe has no such distiller, or a mismatch cannot be allowed.
        CacheError: the cache is missing, of another teacher or incomplete.
        RequirementError: the cache lacks something the distiller needs.
        TrainingError: a loss is not finite.
    """
    needs = distiller_requirements(workspace.recipe, name)
    teacher = FrozenTeacher(workspace)
    card = student_card(workspace, name, teacher)
    initial = initial_weights(workspace, card, teacher)
    with FolderStore.open(workspace.cache_path) as store:
        opened = OpenedCache(
            workspace, store, teacher, needs, allowed=allowed, committed_only=committed_only
        )
        source: SignalSource = (
            opened.signal() if signal == "cached" else _live(teacher, opened, needs)
        )
        return _train(
            workspace,
            name,
            seed,
            signal,
            opened,
            source,
            card,
            initial,
            progress or Silent(),
            committed_only=committed_only,
        )


def student_card(workspace: Workspace, name: str, teacher: FrozenTeacher) -> NetworkCard:
    """The network of a student, with the attention head or the projector its distiller needs.

    Args:
        workspace: the recipe.
        name: key of the recipe's ``distillers``.
        teacher: whose channels a projector has to give, and whose size it pools to.

    Raises:
        UsageError: the distiller changes the student, and the student is a foreign model.
        ModelError: the student's configuration cannot be read.
    """
    recipe = workspace.recipe
    model = recipe.student.model
    needs = distiller_requirements(recipe, name)
    if not isinstance(model, ModelSpec):
        return _foreign_card(workspace, name, model, needs)
    added: dict[str, object] = {}
    if needs.student_attention and model.attention_head is None:
        added["attention_head"] = recipe.representation.attention_head
    if needs.student_projector is not None:
        last_map = TapSpec(LAST_LAYER, "full")
        shapes = teacher.with_taps((last_map,)).answer_shapes(recipe.views.train.num_frames)
        channels, time, height, width = shapes[feature_array(last_map)]
        added["reused_classifier"] = ReusedClassifierSpec(
            channels=channels, size=(time, height, width), projector=needs.student_projector
        )
    model = ModelSpec.model_validate({**model.model_dump(), **added})
    return NetworkCard(
        model=model,
        classes=workspace.manifest.header.classes,
        num_frames=recipe.views.train.num_frames,
        preprocess=recipe.student.preprocess,
    )


def initial_weights(
    workspace: Workspace, card: NetworkCard, teacher: FrozenTeacher
) -> InitialWeights | None:
    """What the recipe's students start from; None where it is random numbers.

    Args:
        workspace: the recipe.
        card: of the student.
        teacher: whose layers it may take over.
    """
    section = workspace.recipe.student
    if section.init_from_teacher:
        return WeightsOfTeacher(teacher.network.state_dict(), teacher.weights_sha256)
    return (
        None if section.weights is None else WeightsOfFile(section.weights, card, is_student=True)
    )


def student_run(
    workspace: Workspace,
    name: str,
    seed: int,
    opened: OpenedCache,
    card: NetworkCard,
    initial: InitialWeights | None,
) -> ClassifierRun:
    """The run of a student that learns from the cache.

    Args:
        workspace: the recipe.
        name: key of the recipe's ``distillers``.
        seed: of the student.
        opened: the cache, opened for what the distiller needs.
        card: from `student_card`.
        initial: from `initial_weights`.
    """
    return ClassifierRun(
        kind="student",
        name=name,
        seed=seed,
        folder=workspace.student_folder(name, seed),
        card=card,
        training=workspace.recipe.student.training,
        distiller=workspace.recipe.distillers[name],
        fingerprint=opened.fingerprint,
        signal="cached",
        exceptions=opened.exceptions,
        initial=initial,
    )


def _foreign_card(
    workspace: Workspace, name: str, model: NetworkSpec, needs: Requirements
) -> NetworkCard:
    parts = needs.student_parts()
    if parts:
        raise UsageError(
            f"distiller {name!r} gives the student: {', '.join(parts)}, for the maps of the I3D "
            "family; student.model is of another kind, so expected a distiller that leaves the "
            "student as it is, or one of i3d, top_i3d, bottom_i3d, i2d"
        )
    recipe = workspace.recipe
    return NetworkCard(
        model=resolve_spec(model),
        classes=workspace.manifest.header.classes,
        num_frames=recipe.views.train.num_frames,
        preprocess=recipe.student.preprocess,
    )


def _live(teacher: FrozenTeacher, opened: OpenedCache, needs: Requirements) -> LiveSignal:
    full_maps = {TapSpec(layer, "full") for layer in needs.attention_layers}
    return LiveSignal(
        teacher.with_taps(sorted({*needs.taps, *full_maps})),
        taps=needs.taps,
        attention_layers=needs.attention_layers,
        classifier=opened.classifier(),
        modules=opened.modules(),
    )


def _train(
    workspace: Workspace,
    name: str,
    seed: int,
    signal: Signal,
    opened: OpenedCache,
    source: SignalSource,
    card: NetworkCard,
    initial: InitialWeights | None,
    progress: Progress,
    *,
    committed_only: bool,
) -> bool:
    recipe = workspace.recipe
    teacher_size = recipe.teacher.preprocess.size
    sizes = (card.preprocess.size, teacher_size) if source.needs_clips else (card.preprocess.size,)
    views = workspace.rendered(
        recipe.data.train_split,
        recipe.views.train,
        tuple(dict.fromkeys(sizes)),
        card.preprocess.modality,
    )
    label = name if signal == "cached" else f"{name}+live"
    folder = workspace.student_folder(label, seed)
    samples = begun_with(folder, opened.samples) if committed_only else opened.samples
    run = replace(
        student_run(workspace, name, seed, opened, card, initial),
        name=label,
        folder=folder,
        signal=signal,
        samples=tuple(samples) if committed_only else None,
    )
    with opened.serve(views, None if source.needs_clips else card.preprocess.size):
        return run.train(
            workspace,
            source=source,
            views=views,
            samples=samples,
            row_of=opened.row_of,
            teacher_size=teacher_size,
            progress=progress,
        )

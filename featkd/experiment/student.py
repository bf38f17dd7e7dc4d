"""Training one student against the cache, or against the live teacher."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from featkd.cache import FolderStore
from featkd.cache.signal import SignalSource
from featkd.distillers import Requirements
from featkd.experiment.classifier import ClassifierRun, run_classifier
from featkd.experiment.needs import distiller_requirements
from featkd.experiment.opened_cache import OpenedCache
from featkd.experiment.teacher import FrozenTeacher
from featkd.experiment.workspace import Workspace, read_json, write_json
from featkd.models import LiveSignal, ModelSpec, NetworkCard, ReusedClassifierSpec
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
        seed: of initialisation, order and noise; views keep the recipe's seed.
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
    """
    needs = distiller_requirements(workspace.recipe, name)
    teacher = FrozenTeacher(workspace)
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
            student_card(workspace, name, teacher),
            progress or Silent(),
            committed_only=committed_only,
        )


def student_card(workspace: Workspace, name: str, teacher: FrozenTeacher) -> NetworkCard:
    """The network of a student, with the attention head or the projector its distiller needs.

    Args:
        workspace: the recipe.
        name: key of the recipe's ``distillers``.
        teacher: whose channels a projector has to give.
    """
    recipe = workspace.recipe
    model = recipe.student.model
    needs = distiller_requirements(recipe, name)
    added: dict[str, object] = {}
    if needs.student_attention and model.attention_head is None:
        added["attention_head"] = recipe.representation.attention_head
    if needs.student_projector is not None:
        added["reused_classifier"] = ReusedClassifierSpec(
            channels=teacher.network.backbone.out_channels, projector=needs.student_projector
        )
    model = ModelSpec.model_validate({**model.model_dump(), **added})
    return NetworkCard(
        model=model,
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
    progress: Progress,
    *,
    committed_only: bool,
) -> bool:
    recipe = workspace.recipe
    teacher_size = recipe.teacher.preprocess.size
    sizes = (card.preprocess.size, teacher_size) if source.needs_clips else (card.preprocess.size,)
    views = workspace.rendered(
        recipe.data.train_split, recipe.views.train, tuple(dict.fromkeys(sizes))
    )
    views.check = opened.check_frames
    views.frames = None if source.needs_clips else opened.frames(card.preprocess.size)
    label = name if signal == "cached" else f"{name}+live"
    folder = workspace.student_folder(label, seed)
    samples = _begun_with(folder, opened.samples) if committed_only else opened.samples
    run = ClassifierRun(
        kind="student",
        name=label,
        seed=seed,
        folder=folder,
        card=card,
        training=recipe.student.training,
        distiller=recipe.distillers[name],
        fingerprint=opened.fingerprint,
        signal=signal,
        samples=tuple(samples) if committed_only else None,
        exceptions=opened.exceptions,
    )
    try:
        return run_classifier(
            workspace,
            run,
            source=source,
            views=views,
            samples=samples,
            row_of=opened.row_of,
            teacher_size=teacher_size,
            progress=progress,
        )
    finally:
        # Others may share these views when the cache is closed.
        views.check = views.frames = None


def _begun_with(folder: Path, samples: Sequence[int]) -> list[int]:
    """The clips a run on a growing cache began with: those of now, at its first start."""
    path = folder / "samples.json"
    if not path.exists():
        write_json(path, {"samples": list(samples)})
    begun: list[int] = TypeAdapter(list[int]).validate_python(read_json(path)["samples"])
    return begun

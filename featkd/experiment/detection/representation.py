"""`represent` for detection: attention heads and CVAEs of both maps, trained on the cache."""

from torch import nn

from featkd.cache import FolderStore
from featkd.detection.afsd import build_attention_heads, detector_channels
from featkd.distillers import Requirements
from featkd.errors import UsageError
from featkd.experiment.attention_layer import learn_attention, map_shape
from featkd.experiment.detection.frozen_detector import FrozenDetector
from featkd.experiment.detection.frozen_modules import (
    REPRESENTATION_DETECTOR,
    DetectionModuleArguments,
    DetectionModules,
    save_detection_modules,
)
from featkd.experiment.detection.opened_cache import OpenedDetectionCache
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.experiment.fingerprint import representation_fingerprint
from featkd.experiment.run_folder import begin, finish
from featkd.training import seed_everything
from featkd.training.detector_representation import DetectorRepresentationTraining
from featkd.types import Progress, Silent, TapSpec


def represent_detector(workspace: DetectionWorkspace, progress: Progress | None = None) -> bool:
    """Train on the cached maps, save the modules beside them, write every row's attention.

    Where all of that was done and rows were added since, only their attention is written.

    Returns:
        False where all of it was done already.

    Raises:
        CacheError: the cache is missing, of another teacher, incomplete or in use.
        UsageError: the run folder holds a run with other settings, or there are fewer windows than
            one batch needs.
    """
    shown = progress or Silent()
    spec = workspace.recipe.representation
    teacher = FrozenDetector(workspace)
    needs = Requirements(taps=tuple(TapSpec(layer, "full") for layer in spec.layers))

    def open_cache(store: FolderStore) -> OpenedDetectionCache:
        return OpenedDetectionCache(workspace, store, teacher, needs)

    def train(opened: OpenedDetectionCache, settings: str) -> None:
        _train(workspace, opened, teacher, settings, shown)

    def load_heads(opened: OpenedDetectionCache) -> dict[str, nn.Module]:
        return dict(opened.modules().attention_heads.items())

    return learn_attention(
        workspace,
        fingerprint=representation_fingerprint(workspace, teacher.fingerprint),
        module=REPRESENTATION_DETECTOR,
        open_cache=open_cache,
        train=train,
        load_heads=load_heads,
        progress=shown,
    )


def _train(
    workspace: DetectionWorkspace,
    opened: OpenedDetectionCache,
    teacher: FrozenDetector,
    settings: str,
    progress: Progress,
) -> None:
    recipe, spec = workspace.recipe, workspace.recipe.representation
    folder = workspace.representation_folder
    if len(opened.samples) < spec.batch_size:
        raise UsageError(
            f"{len(opened.samples)} windows of split {recipe.data.train_split!r} can be learned "
            f"from; expected at least one batch of {spec.batch_size}"
        )
    model = teacher.card.model
    channels = detector_channels(model.width)
    shapes = {layer: map_shape(opened.store, layer) for layer in spec.layers}
    begin(folder, recipe)
    seed_everything(recipe.seed)
    heads = build_attention_heads(spec.attention_head, shapes, channels)
    detector = teacher.card.build().detector
    detector.load_state_dict(teacher.detector.state_dict())
    if model.attention_head == spec.attention_head:  # they go on from the teacher's own
        heads.load_state_dict(teacher.network.attention_heads.state_dict())
    training = DetectorRepresentationTraining(
        maps=opened.maps(spec.layers, batch_size=spec.batch_size, seed=recipe.seed),
        attention_heads=heads,
        detector=detector,
        rescale=model.rescale,
        shapes=shapes,
        windows=workspace.train_clips().windows,
        spec=spec,
        losses=recipe.losses,
        device=workspace.device,
        seed=recipe.seed,
    )
    seconds = training.run(folder, settings=settings, progress=progress)
    modules = DetectionModules(heads, training.cvaes, detector)
    arguments = DetectionModuleArguments(
        card=teacher.card,
        attention_head=spec.attention_head,
        attention_hidden=channels if spec.attention_head == "released" else None,
        shapes=shapes,
        cvae_hidden=spec.cvae_hidden,
    )
    save_detection_modules(opened.store, modules, arguments)
    finish(
        folder,
        settings,
        {
            "task": "detection",
            "kind": "representation",
            "name": "representation",
            "seed": recipe.seed,
            "model": f"{spec.attention_head} attention heads and CVAEs",
            "num_epochs": spec.num_epochs,
            "seconds": seconds,
            "parameters": sum(p.numel() for m in modules.items().values() for p in m.parameters()),
        },
    )

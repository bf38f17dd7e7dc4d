"""`represent`: train the teacher's attention head and CVAE on its cache, write the attention."""

from torch import nn

from featkd.cache import FolderStore
from featkd.distillers import Requirements
from featkd.experiment.attention_layer import learn_attention, map_shape
from featkd.experiment.fingerprint import representation_fingerprint
from featkd.experiment.frozen_modules import (
    ModuleArguments,
    build_modules,
    save_frozen_modules,
)
from featkd.experiment.opened_cache import OpenedCache
from featkd.experiment.run_folder import begin, finish
from featkd.experiment.teacher import FrozenTeacher
from featkd.experiment.workspace import Workspace
from featkd.training import RepresentationTraining, seed_everything
from featkd.types import Progress, Silent, TapSpec


def represent(workspace: Workspace, progress: Progress | None = None) -> bool:
    """Train on the cached maps, save the modules beside them, write every row's attention.

    Where all of that was done and rows were added since, only their attention is written.

    Returns:
        False where all of it was done already.

    Raises:
        CacheError: the cache is missing, of another teacher, incomplete or in use.
        UsageError: the run folder holds a run with other settings.
    """
    shown = progress or Silent()
    spec = workspace.recipe.representation
    teacher = FrozenTeacher(workspace)
    needs = Requirements(taps=(TapSpec(spec.layer, "full"),))

    def open_cache(store: FolderStore) -> OpenedCache:
        return OpenedCache(workspace, store, teacher, needs)

    def train(opened: OpenedCache, settings: str) -> None:
        _train(workspace, opened, teacher, settings, shown)

    def load_heads(opened: OpenedCache) -> dict[str, nn.Module]:
        return {spec.layer: opened.modules()["attention_head"]}

    return learn_attention(
        workspace,
        fingerprint=representation_fingerprint(workspace, teacher.fingerprint),
        module="cvae",
        open_cache=open_cache,
        train=train,
        load_heads=load_heads,
        progress=shown,
    )


def _train(
    workspace: Workspace,
    opened: OpenedCache,
    teacher: FrozenTeacher,
    settings: str,
    progress: Progress,
) -> None:
    recipe, spec = workspace.recipe, workspace.recipe.representation
    folder = workspace.representation_folder
    store = opened.store
    channels, num_steps, height, width = map_shape(store, spec.layer)
    arguments = ModuleArguments(
        layer=spec.layer,
        attention_head=spec.attention_head,
        shape=(channels, num_steps, height, width),
        cvae_hidden=spec.cvae_hidden,
        num_classes=len(teacher.card.classes),
    )
    begin(folder, recipe)
    seed_everything(recipe.seed)
    modules = build_modules(arguments)
    own = teacher.classifier()
    if own is not None and own.weight.shape[1] == channels:  # it goes on from the teacher's own
        modules.classifier.start_from(own)
    clips = workspace.train_clips()
    training = RepresentationTraining(
        maps=opened.maps(spec.layers, batch_size=spec.batch_size, seed=recipe.seed),
        modules=modules,
        labels={sample: clips[sample].label for sample in opened.samples},
        spec=spec,
        device=workspace.device,
        seed=recipe.seed,
    )
    seconds = training.run(folder, settings=settings, progress=progress)
    save_frozen_modules(store, modules, arguments)
    finish(
        folder,
        settings,
        {
            "kind": "representation",
            "name": "representation",
            "seed": recipe.seed,
            "model": f"{spec.attention_head} attention head and CVAE",
            "num_epochs": spec.num_epochs,
            "seconds": seconds,
            "parameters": sum(p.numel() for m in modules.items().values() for p in m.parameters()),
        },
    )

"""`represent`: train the teacher's attention head and CVAE on its cache, write the attention."""

from featkd.cache import FolderStore
from featkd.distillers import Requirements
from featkd.experiment.attention_layer import (
    has_all_attention,
    map_shape,
    remove_other_attention,
    write_attention,
)
from featkd.experiment.fingerprint import representation_fingerprint, teacher_fingerprint
from featkd.experiment.frozen_modules import (
    ModuleArguments,
    build_modules,
    load_frozen_modules,
    save_frozen_modules,
)
from featkd.experiment.opened_cache import OpenedCache
from featkd.experiment.run_folder import begin, finish, is_finished
from featkd.experiment.teacher import FrozenTeacher
from featkd.experiment.workspace import Workspace
from featkd.training import (
    RepresentationTraining,
    seed_everything,
    settings_digest,
)
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
    recipe, spec = workspace.recipe, workspace.recipe.representation
    folder = workspace.representation_folder
    teacher = FrozenTeacher(workspace)
    tap = TapSpec(spec.layer, "full")
    needs = Requirements(taps=(tap,))
    base = teacher_fingerprint(workspace, teacher.card, teacher.weights_sha256)
    fingerprint = representation_fingerprint(workspace, base, recipe.extract.codec(tap.key)[0])
    settings = settings_digest({"fingerprint": dict(fingerprint)})
    with FolderStore.open(workspace.cache_path) as store:
        OpenedCache(workspace, store, teacher, needs)
        # The modules went with their cache if that was deleted.
        trained = is_finished(folder, settings) and "cvae" in store.module_names()
        if trained and has_all_attention(store):
            return False
    with FolderStore.open_for_writing(workspace.cache_path) as store:
        opened = OpenedCache(workspace, store, teacher, needs)
        if not trained:
            remove_other_attention(store, fingerprint)
            _train(workspace, opened, teacher, settings, shown)
        head = load_frozen_modules(store, workspace.device)["attention_head"]
        write_attention(workspace, opened, {spec.layer: head}, fingerprint, shown)
    return True


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
        store=store,
        modules=modules,
        samples=opened.samples,
        labels={sample: clips[sample].label for sample in opened.samples},
        row_of=opened.row_of,
        num_views=opened.num_views,
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

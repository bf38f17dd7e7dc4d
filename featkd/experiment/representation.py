"""`represent`: train the teacher's attention head and CVAE on its cache, write the attention."""

import time

import numpy as np

from featkd.cache import ArraySpec, Fingerprint, FolderStore, compare
from featkd.cache.signal import attention_array, feature_array
from featkd.distillers import Requirements
from featkd.experiment.arrays import REPRESENTATION_LAYER
from featkd.experiment.fingerprint import representation_fingerprint
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
from featkd.recipes.extract_section import ATTENTION_KEY
from featkd.representation import attention_by_row
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
    spec = workspace.recipe.representation
    folder = workspace.representation_folder
    teacher = FrozenTeacher(workspace)
    tap = TapSpec(spec.layer, "full")
    needs = Requirements(taps=(tap,))
    fingerprint = representation_fingerprint(workspace, teacher.fingerprint)
    settings = settings_digest({"fingerprint": dict(fingerprint)})
    with FolderStore.open(workspace.cache_path) as store:
        OpenedCache(workspace, store, teacher, needs)
        # The modules went with their cache if that was deleted.
        trained = is_finished(folder, settings) and "cvae" in store.module_names()
        if trained and _has_all_attention(store):
            return False
    with FolderStore.open_for_writing(workspace.cache_path) as store:
        opened = OpenedCache(workspace, store, teacher, needs)
        if not trained:
            known = store.layers().get(REPRESENTATION_LAYER)
            if known is not None and compare(known.fingerprint, fingerprint):
                # Attention of modules that are about to be replaced.
                store.remove_arrays([array.name for array in known.arrays])
            _train(workspace, opened, teacher, tap, settings, shown)
        _write_attention(workspace, opened, tap, fingerprint, shown)
    return True


def _has_all_attention(store: FolderStore) -> bool:
    return (
        REPRESENTATION_LAYER in store.layers()
        and len(store.committed_parts(REPRESENTATION_LAYER)) == store.num_parts
    )


def _train(
    workspace: Workspace,
    opened: OpenedCache,
    teacher: FrozenTeacher,
    tap: TapSpec,
    settings: str,
    progress: Progress,
) -> None:
    recipe, spec = workspace.recipe, workspace.recipe.representation
    folder = workspace.representation_folder
    store = opened.store
    channels, num_steps, height, width = _map_shape(opened, tap)
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


def _map_shape(opened: OpenedCache, tap: TapSpec) -> tuple[int, int, int, int]:
    layers = opened.store.layers().values()
    (array,) = [a for layer in layers for a in layer.arrays if a.name == feature_array(tap)]
    channels, num_steps, height, width = array.shape
    return channels, num_steps, height, width


def _write_attention(
    workspace: Workspace,
    opened: OpenedCache,
    tap: TapSpec,
    fingerprint: Fingerprint,
    progress: Progress,
) -> None:
    store = opened.store
    channels, num_steps, _, _ = _map_shape(opened, tap)
    name = attention_array(tap.layer)
    dtype, compression = workspace.recipe.extract.codec(ATTENTION_KEY)
    if REPRESENTATION_LAYER in store.layers():  # it goes on as it was begun
        (compression,) = {a.compression for a in store.layers()[REPRESENTATION_LAYER].arrays}
    spec = ArraySpec(name=name, shape=(channels, num_steps), dtype=dtype, compression=compression)
    store.add_layer(REPRESENTATION_LAYER, [spec], fingerprint)
    done = store.committed_parts(REPRESENTATION_LAYER)
    head = load_frozen_modules(store, workspace.device)["attention_head"]
    missing = [part for part in range(store.num_parts) if part not in done]
    for part in progress.track(
        missing, description="attention", total=store.num_parts, unit="part", done=len(done)
    ):
        started = time.perf_counter()
        rows = store.part_range(part)
        failures = {row: opened.failures[row] for row in rows if row in opened.failures}
        readable = [row for row in rows if row not in failures]
        values = np.zeros((len(rows), channels, num_steps), dtype=np.float32)
        if readable:
            maps = store.read_rows(feature_array(tap), readable)
            attention = attention_by_row(head, maps.to(workspace.device).float())
            values[[row - rows.start for row in readable]] = attention.cpu().numpy()
        seconds = {"attention": time.perf_counter() - started}
        store.write_part(REPRESENTATION_LAYER, part, {name: values}, failures, seconds)

"""`represent`: train the teacher's attention head and CVAE on its cache, write the attention."""

import time

import numpy as np

from featkd.cache import ArraySpec, ZarrStore
from featkd.cache.signal import attention_array, feature_array
from featkd.experiment.frozen_modules import ModuleArguments, build_modules, save_frozen_modules
from featkd.experiment.opened_cache import REPRESENTATION_LAYER, TEACHER_LAYER, OpenedCache
from featkd.experiment.run_folder import begin, finish, is_finished
from featkd.experiment.teacher import FrozenTeacher
from featkd.experiment.workspace import Workspace
from featkd.representation import attention_by_row
from featkd.training import (
    RepresentationModules,
    RepresentationTraining,
    seed_everything,
    settings_digest,
)
from featkd.types import Progress, Silent, TapSpec


def represent(workspace: Workspace, progress: Progress | None = None) -> bool:
    """Train on the cached maps, save the modules beside them, write every row's attention.

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
    with ZarrStore.open(workspace.cache_path) as store:
        opened = OpenedCache(workspace, store, teacher)
        settings = settings_digest(
            {
                "spec": spec.model_dump(mode="json"),
                "seed": recipe.seed,
                "cache": dict(opened.fingerprint),
            }
        )
        if is_finished(folder, settings):
            return False
    with ZarrStore.open_for_writing(workspace.cache_path) as store:
        opened = OpenedCache(workspace, store, teacher)
        tap = TapSpec(spec.layer, "full")
        layer = store.layers()[TEACHER_LAYER]
        channels, num_steps, height, width = layer.array(feature_array(tap)).shape
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
        # The classifier goes on from the teacher's own.
        modules.classifier.load_state_dict(teacher.network.backbone.logits.state_dict())
        labels = store.rows["label"].to_numpy()
        training = RepresentationTraining(
            store=store,
            modules=modules,
            samples=opened.samples,
            labels={s: int(labels[opened.row_of(s, 0)]) for s in opened.samples},
            row_of=opened.row_of,
            num_views=opened.num_views,
            spec=spec,
            device=workspace.device,
            seed=recipe.seed,
        )
        seconds = training.run(folder, settings=settings, progress=shown)
        save_frozen_modules(store, modules, arguments)
        _write_attention(workspace, opened, modules, tap, settings, shown)
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
    return True


def _write_attention(
    workspace: Workspace,
    opened: OpenedCache,
    modules: RepresentationModules,
    tap: TapSpec,
    settings: str,
    progress: Progress,
) -> None:
    store = opened.store
    channels, num_steps, _, _ = store.layers()[TEACHER_LAYER].array(feature_array(tap)).shape
    name = attention_array(tap.layer)
    spec = ArraySpec(name=name, shape=(channels, num_steps), dtype=workspace.recipe.extract.dtype)
    store.add_layer(REPRESENTATION_LAYER, [spec], {"settings": settings})
    done = store.committed_parts(REPRESENTATION_LAYER)
    head = modules.attention_head.eval()
    missing = [part for part in range(store.num_parts) if part not in done]
    for part in progress.track(
        missing, description="attention", total=store.num_parts, unit="part", done=len(done)
    ):
        started = time.perf_counter()
        rows = store.part_range(part)
        failures = {row: opened.failures[row] for row in rows if row in opened.failures}
        readable = [row for row in rows if row not in failures]
        values = np.zeros((len(rows), channels, num_steps), dtype=spec.dtype)
        if readable:
            maps = store.read_rows(feature_array(tap), readable)
            attention = attention_by_row(head, maps.to(workspace.device).float())
            values[[row - rows.start for row in readable]] = attention.cpu().numpy()
        seconds = {"attention": time.perf_counter() - started}
        store.write_part(REPRESENTATION_LAYER, part, {name: values}, failures, seconds)

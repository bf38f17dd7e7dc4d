"""Workspaces on generated videos with a teacher that was not trained, for benchmarks of speed."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from featkd.experiment import Workspace, synthesize_dataset
from featkd.models import NetworkCard, preprocess, save_network
from featkd.recipes import load_recipe
from featkd.training import seed_everything
from featkd.video import render_clip

_NUM_CALIBRATION_VIEWS = 32


def prepare_workspace(folder: Path, settings: Sequence[str]) -> Workspace:
    """The demo's recipe with some settings: its videos and its teacher are made if missing."""
    paths = [f"workdir={folder}", f"data.manifest={folder}/data/manifest.csv"]
    recipe = load_recipe("demo", [*settings, *paths])
    if recipe.synthetic is None:
        raise SystemExit("recipe 'demo' describes no videos")
    synthesize_dataset(recipe.synthetic, recipe.data.manifest.parent)
    workspace = Workspace(recipe)
    if not (workspace.teacher_folder / "model.safetensors").exists():
        _save_teacher(workspace)
    return workspace


def _save_teacher(workspace: Workspace) -> None:
    """Random weights, and batch-norm statistics of the videos themselves.

    Without these statistics the maps of a deep network fade away, and zeros compress as no trained
    network's maps do.
    """
    recipe = workspace.recipe
    section = recipe.teacher
    card = NetworkCard(
        model=section.model,
        classes=workspace.manifest.header.classes,
        num_frames=recipe.views.train.num_frames,
        preprocess=section.preprocess,
    )
    seed_everything(recipe.seed)
    network = card.build()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.momentum = None  # the mean over all calibrating batches
    clips = workspace.train_clips()
    chosen = [clips[number % len(clips)] for number in range(_NUM_CALIBRATION_VIEWS)]
    with torch.inference_mode():
        for start in range(0, len(chosen), recipe.extract.batch_size):
            pixels = [
                render_clip(
                    clip,
                    recipe.views.train.draw(seed=recipe.seed, clip=clip, view_index=0),
                    [section.preprocess.size],
                ).pixels[0]
                for clip in chosen[start : start + recipe.extract.batch_size]
            ]
            network(preprocess(torch.stack(pixels), section.preprocess, torch.device("cpu")))
    workspace.teacher_folder.mkdir(parents=True, exist_ok=True)
    save_network(workspace.teacher_folder / "model.safetensors", network, card)

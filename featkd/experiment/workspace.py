"""Where a recipe's outputs lie, and the pieces that several stages share."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import pandas as pd
import torch

from featkd.cache import Fingerprint
from featkd.durable import replace_file
from featkd.errors import FeatkdError, UsageError
from featkd.flow import FlowReader, open_flow
from featkd.manifest import Clips, Manifest, read_manifest
from featkd.recipes import AnyRecipe, BaseRecipe, Recipe, dump_recipe
from featkd.training import RenderedViews
from featkd.types import Clip, ClipSequence
from featkd.video import EvaluationViews, FrameReader, Modality, TrainingViews, Views

WorkspaceT = TypeVar("WorkspaceT", bound="BaseWorkspace")


class BaseWorkspace(ABC):
    """A recipe of any task with its folders, manifest and device.

    Rendered views are shared by every stage that runs in one process, so that students trained one
    after another decode each view once, as long as memory lasts.

    Args:
        recipe: resolved.
    """

    recipe: AnyRecipe

    def __init__(self, recipe: AnyRecipe) -> None:
        self.recipe = recipe
        self.folder = recipe.folder
        self._views: dict[object, RenderedViews] = {}

    @abstractmethod
    def train_clips(self) -> ClipSequence:
        """Clips of the split that is extracted and trained on: what the cache has rows of."""

    def with_students(self: WorkspaceT, recipe: AnyRecipe) -> WorkspaceT:  # noqa: PYI019  beartype knows no Self here
        """The same workspace under a recipe of its task that differs in its students alone.

        Manifest and rendered views are shared.
        """
        other = copy(self)
        other.recipe = recipe
        return other

    def source_fingerprint(self) -> Fingerprint:
        """What decides which rows a cache has, beside manifest and views."""
        return {}

    @property
    def teacher_folder(self) -> Path:
        """Run folder of the teacher."""
        return self.folder / "teacher"

    @property
    def cache_path(self) -> Path:
        """The cache."""
        return self.folder / "cache"

    @property
    def representation_folder(self) -> Path:
        """Run folder of the representation."""
        return self.folder / "representation"

    def student_folder(self, name: str, seed: int) -> Path:
        """Run folder of a student."""
        return self.folder / "students" / f"{name}-seed{seed}"

    @cached_property
    def manifest(self) -> Manifest:
        """The recipe's manifest.

        Raises:
            ManifestError: missing or wrong.
        """
        return read_manifest(self.recipe.data.manifest, root=self.recipe.data.root)

    @cached_property
    def flow(self) -> FlowReader:
        """The recipe's optical flow.

        Raises:
            UsageError: the recipe names no folder of it.
            FlowError: the folder is missing or damaged.
        """
        folder = self.recipe.data.flow
        if folder is None:
            raise UsageError(
                f"recipe {self.recipe.name!r} has no data.flow; expected the folder of the optical "
                "flow that the network sees"
            )
        return open_flow(folder)

    def frame_reader(self, modality: Modality) -> FrameReader | None:
        """Where the frames that a network sees come from; None: the colours of the videos.

        Raises:
            FeatkdError: as `flow`.
        """
        return self.flow.read if modality == "flow" else None

    @cached_property
    def device(self) -> torch.device:
        """Where to compute.

        Raises:
            UsageError: the recipe names a device that this machine lacks.
        """
        return find_device(self.recipe.device)

    def _rendered(
        self, clips: ClipSequence, spec: Views, sizes: tuple[int, ...], modality: Modality
    ) -> RenderedViews:
        return RenderedViews(
            clips,
            spec,
            seed=self.recipe.seed,
            sizes=sizes,
            loading=self.recipe.loading,
            read=self.frame_reader(modality),
        )


class Workspace(BaseWorkspace):
    """The workspace of a recipe for classification.

    Args:
        recipe: resolved.
    """

    recipe: Recipe

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)

    def train_clips(self) -> Clips:
        """Clips of the split that is extracted and trained on."""
        return self._train_clips

    @cached_property
    def _train_clips(self) -> Clips:
        return self.manifest.clips(self.recipe.data.train_split)

    def rendered(
        self,
        split: str,
        spec: TrainingViews | EvaluationViews,
        sizes: tuple[int, ...],
        modality: Modality = "rgb",
    ) -> RenderedViews:
        """Views of a split; the same object for the same question."""
        key = (split, spec, sizes, modality)
        if key not in self._views:
            self._views[key] = self._rendered(self.manifest.clips(split), spec, sizes, modality)
        return self._views[key]


def find_device(name: str) -> torch.device:
    """The device of a name: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        UsageError: this machine lacks it.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"device is {name!r}, which this machine does not have; expected auto, cpu or a "
            "CUDA device"
        ) from error


def row_table(
    clips: Sequence[Clip], split: str, spec: Views, seed: int, views: range
) -> pd.DataFrame:
    """A sample table: the given views of every clip, the views of a clip side by side.

    A clip without frames (its file could not be read when the manifest was built) has rows too, so
    that extraction can record why they failed; its view is empty.
    """
    records: list[dict[str, object]] = []
    for clip in clips:
        for view_index in views:
            view = (
                spec.draw(seed=seed, clip=clip, view_index=view_index) if clip.num_frames else None
            )
            records.append(
                {
                    "row": len(records),
                    "video_id": clip.video_id,
                    "view_index": view_index,
                    "label": clip.label,
                    "split": split,
                    "frame_indices": list(view.frame_indices) if view else [],
                    "crop_box": list(view.crop_box) if view else [],
                    "flip": view.flip if view else False,
                }
            )
    return pd.DataFrame(records)


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write a JSON file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, (json.dumps(content, indent=2) + "\n").encode())


def read_json(path: Path) -> dict[str, object]:
    """Read a JSON object; an empty one where there is no file.

    Raises:
        FeatkdError: the file is damaged.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise FeatkdError(f"{path} is damaged: expected a JSON object") from error
    if not isinstance(content, dict):
        raise FeatkdError(f"{path} is damaged: expected a JSON object")
    return content


def save_recipe(folder: Path, recipe: BaseRecipe) -> None:
    """Put the resolved recipe beside an output."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(dump_recipe(recipe))

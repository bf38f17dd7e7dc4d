"""The teacher for detection, loaded frozen."""

from collections.abc import Sequence
from copy import deepcopy

import torch

from featkd.cache import CacheStore
from featkd.detection.afsd import Detector
from featkd.detection.checkpoint import DetectorCard, load_detector
from featkd.detection.detector_teacher import DetectorTeacher
from featkd.errors import UsageError
from featkd.experiment.base_frozen_teacher import BaseFrozenTeacher
from featkd.experiment.detection.frozen_modules import TEACHER_DETECTOR, save_teacher_detector
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.types import TapSpec


class FrozenDetector(BaseFrozenTeacher):
    """The teacher of a workspace, with its card and the digest of its weights.

    Args:
        workspace: the recipe.

    Attributes:
        network: the teacher, in evaluation mode.

    Raises:
        CheckpointError: there is none yet, or it is damaged.
        UsageError: its classes are not the manifest's, or it sees another modality, other frames
            per second or windows of another length than the recipe says.
    """

    card: DetectorCard

    def __init__(self, workspace: DetectionWorkspace) -> None:
        path = workspace.teacher_folder / "model.safetensors"
        card, self.network = load_detector(path)
        views = workspace.recipe.views.train
        for field in ("num_frames", "sample_fps"):
            found, expected = getattr(card, field), getattr(views, field)
            if found != expected:
                raise UsageError(
                    f"{path} sees windows with {field} {found}, and views.train.{field} of the "
                    f"recipe is {expected}; expected the same"
                )
        super().__init__(workspace, path, card, self.network)

    @property
    def detector(self) -> Detector:
        """What reads its maps."""
        return self.network.detector

    @property
    def module_name(self) -> str:
        """Its detector's."""
        return TEACHER_DETECTOR

    def save_module(self, store: CacheStore) -> None:
        """Put its detector beside a cache."""
        save_teacher_detector(store, self.detector, self.card)

    def with_taps(
        self, taps: Sequence[TapSpec], *, device: torch.device | None = None
    ) -> DetectorTeacher:
        """Ready to run, reading these taps; see `BaseFrozenTeacher.with_taps`."""
        section = self._workspace.recipe.extract
        return DetectorTeacher(
            self.network if device is None else deepcopy(self.network),
            self.card.preprocess,
            taps,
            batch_size=section.batch_size,
            device=device or self._workspace.device,
            precision=section.precision,
            compiled=section.compile,
        )

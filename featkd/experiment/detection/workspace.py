"""Where the outputs of a recipe for detection lie, and the pieces that several stages share."""

from dataclasses import replace
from functools import cached_property

from featkd.cache import Fingerprint
from featkd.detection.ground_truth import GroundTruth
from featkd.detection.window_views import Windows, padded
from featkd.experiment.workspace import BaseWorkspace
from featkd.manifest import Annotations, annotations_path, read_annotations
from featkd.recipes import DetectionRecipe
from featkd.training import RenderedViews
from featkd.video import FrameReader, Modality, read_frames


class DetectionWorkspace(BaseWorkspace):
    """The workspace of a recipe for detection. Its cache has a row for each view of each window.

    Args:
        recipe: resolved.
    """

    recipe: DetectionRecipe

    def __init__(self, recipe: DetectionRecipe) -> None:
        super().__init__(recipe)

    @cached_property
    def annotations(self) -> Annotations:
        """What happens when in the manifest's videos.

        Raises:
            ManifestError: there is no annotation table beside the manifest, or it is wrong.
        """
        return read_annotations(annotations_path(self.recipe.data.manifest))

    def train_clips(self) -> Windows:
        """Windows of the split that is extracted and trained on."""
        return self._train_windows

    @cached_property
    def _train_windows(self) -> Windows:
        videos = self.manifest.clips(self.recipe.data.train_split)
        return Windows(videos, self.annotations, self.recipe.views.train)

    def source_fingerprint(self) -> Fingerprint:
        """The annotations that windows are cut around."""
        videos = self.manifest.clips(self.recipe.data.train_split).video_ids()
        return {"annotations.digest": self.annotations.of_videos(videos).digest}

    def ground_truth(self, split: str) -> GroundTruth:
        """Annotated segments of a split.

        Raises:
            ManifestError: there is no annotation table beside the manifest, or it is wrong.
        """
        clips = self.manifest.clips(split)
        truth = GroundTruth.of_labels(
            split, clips.video_ids(), self.annotations.table, self.manifest.header.classes
        )
        lengths = {clip.video_id: clip.num_frames / clip.fps for clip in clips if clip.num_frames}
        return replace(truth, duration_sec=lengths)

    def frame_reader(self, modality: Modality) -> FrameReader:
        """Where the frames that a network sees come from, those beyond a video's end included.

        Raises:
            FeatkdError: as `flow`.
        """
        return padded(self.flow.read if modality == "flow" else read_frames)

    def rendered(self, sizes: tuple[int, ...], modality: Modality = "rgb") -> RenderedViews:
        """Views of the training windows; the same object for the same question."""
        key = (sizes, modality)
        if key not in self._views:
            self._views[key] = self._rendered(
                self.train_clips(), self.recipe.views.train, sizes, modality
            )
        return self._views[key]

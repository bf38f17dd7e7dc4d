"""Rows to pixels: every row either renders or has a reason why not."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import UInt8
from torch import Tensor

from featkd.detection.window_views import WindowViews
from featkd.errors import VideoError
from featkd.experiment.row_index import ABSENT, RowIndex
from featkd.types import Clip
from featkd.video import FrameReader, TrainingViews, probe, render_clip


@dataclass(frozen=True, slots=True)
class RenderedRow:
    """A row ready for the teacher.

    Attributes:
        row: in the cache.
        video_id: of its clip.
        pixels: by size in pixels, (C, T, size, size); empty for a row that failed.
        frames_crc32: of the decoded frames.
        failure: why there are none.
    """

    row: int
    video_id: str
    pixels: dict[int, UInt8[Tensor, "channels time height width"]]
    frames_crc32: int
    failure: str | None


class RowRenderer:
    """Renders rows of a cache.

    Args:
        clips: of the extracted split.
        views: how views are drawn.
        seed: of the drawing.
        index: which view each row holds.
        sizes: pixels of each rendering; all come from one decoding.
        read: where frames come from; default: the colours of the videos.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        views: TrainingViews | WindowViews,
        *,
        seed: int,
        index: RowIndex,
        sizes: Sequence[int],
        read: FrameReader | None = None,
    ) -> None:
        self._clips = clips
        self._views = views
        self._seed = seed
        self._index = index
        self._sizes = tuple(dict.fromkeys(sizes))
        self._read = read

    def __call__(self, row: int) -> RenderedRow:
        """Render one row; a video that cannot serve gives a reason instead of an error."""
        sample, view_index = self._index.view_of(row)
        if sample == ABSENT:
            return _failed(row, "", "the manifest has no such video any more")
        clip = self._clips[sample]
        try:
            if clip.num_frames == 0:
                probe(clip.path)  # in the usual case this raises with the reason
                reason = (
                    f"{clip.path} has frames although the manifest says it has none; "
                    "build the manifest again"
                )
                return _failed(row, clip.video_id, reason)
            views = self._views.model_copy(update={"num_views": view_index + 1})
            view = views.draw(seed=self._seed, clip=clip, view_index=view_index)
            rendered = render_clip(clip, view, self._sizes, self._read)
        except VideoError as error:
            return _failed(row, clip.video_id, str(error))
        pixels = dict(zip(self._sizes, rendered.pixels, strict=True))
        return RenderedRow(row, clip.video_id, pixels, rendered.frames_crc32, None)


def _failed(row: int, video_id: str, reason: str) -> RenderedRow:
    return RenderedRow(row, video_id, {}, 0, reason)

"""Rows to pixels: every row either renders or has a reason why not."""

from dataclasses import dataclass

from jaxtyping import UInt8
from torch import Tensor

from featkd.errors import VideoError
from featkd.types import Clip
from featkd.video import TrainingViews, crc32_of, probe, render_clip


@dataclass(frozen=True, slots=True)
class RenderedRow:
    """A row ready for the teacher.

    Attributes:
        row: in the cache.
        pixels: (3, T, size, size); None for a row that failed.
        crc32: of the pixels.
        failure: why there are none.
    """

    row: int
    pixels: UInt8[Tensor, "3 time height width"] | None
    crc32: int
    failure: str | None


class RowRenderer:
    """Renders rows of a cache at the teacher's size.

    Args:
        clips: of the extracted split, in manifest order.
        spec: training views.
        seed: of the views.
        size: pixels.
    """

    def __init__(self, clips: list[Clip], spec: TrainingViews, *, seed: int, size: int) -> None:
        self.clips = clips
        self.spec = spec
        self.seed = seed
        self.size = size

    def __call__(self, row: int) -> RenderedRow:
        """Render one row; a video that cannot serve gives a reason instead of an error."""
        sample, view_index = divmod(row, self.spec.num_views)
        clip = self.clips[sample]
        try:
            if clip.num_frames == 0:
                probe(clip.path)  # in the usual case this raises with the reason
                return RenderedRow(
                    row,
                    None,
                    0,
                    f"{clip.path} has frames although the manifest says it has none; "
                    "build the manifest again",
                )
            view = self.spec.draw(seed=self.seed, clip=clip, view_index=view_index)
            (pixels,) = render_clip(clip, view, [self.size])
        except VideoError as error:
            return RenderedRow(row, None, 0, str(error))
        return RenderedRow(row, pixels, crc32_of(pixels), None)

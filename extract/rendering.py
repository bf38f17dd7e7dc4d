"""Rows to pixels: every row either renders or has a reason why not."""

from dataclasses import dataclass

from jaxtyping import UInt8
from torch import Tensor

from featkd.errors import VideoError
from featkd.training import RenderedViews
from featkd.video import crc32_of, probe


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
    """Renders rows of a cache.

    Args:
        views: of the extracted split, at the teacher's size only.
    """

    def __init__(self, views: RenderedViews) -> None:
        self.views = views

    def __call__(self, row: int) -> RenderedRow:
        """Render one row; a video that cannot serve gives a reason instead of an error."""
        sample, view_index = divmod(row, self.views.spec.num_views)
        clip = self.views.clips[sample]
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
            (pixels,) = self.views.render(sample, view_index)
        except VideoError as error:
            return RenderedRow(row, None, 0, str(error))
        return RenderedRow(row, pixels, crc32_of(pixels), None)

"""A manifest in memory: which videos exist, with labels, splits and checksums."""

import math
from dataclasses import InitVar, dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from featkd.errors import ManifestError
from featkd.manifest.digest import digest_of
from featkd.manifest.schema import ManifestHeader
from featkd.manifest.structure import IN_MEMORY, Origin, conform
from featkd.types import Clip


@dataclass(frozen=True, eq=False)
class Manifest:
    """A header and one row per clip. Treat the table as read-only: a change makes a new manifest.

    Attributes:
        header: what holds for every row.
        table: one row per clip, with the columns of `featkd.manifest.schema.COLUMNS`, in order;
            absent values are NaN.
        root: folder that the paths of the rows start from.
        origin: where the table comes from, for messages; not kept.

    Raises:
        ManifestError: if the table breaks a rule of `featkd.manifest.structure`.
    """

    header: ManifestHeader
    table: pd.DataFrame
    root: Path
    origin: InitVar[Origin] = IN_MEMORY

    def __post_init__(self, origin: Origin) -> None:
        object.__setattr__(self, "table", conform(self.table, self.header, origin))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of header and rows, independent of file format and root; see `digest_of`."""
        return digest_of(self.header, self.table)

    def splits(self) -> tuple[str, ...]:
        """Names of the splits, in order of their first rows."""
        return tuple(self.table["split"].unique().tolist())

    def clips(self, split: str) -> list[Clip]:
        """The rows of a split as clips, in the table's order.

        A path cannot leave the root by its spelling, which is checked when the manifest is made;
        links below the root are the owner's business and are followed. Rows of unreadable videos
        have ``num_frames`` 0 and are included: whoever reads them records the failure.

        Raises:
            ManifestError: if the manifest has no such split.
        """
        rows = self.table[self.table["split"] == split]
        if rows.empty:
            raise ManifestError(
                f"manifest of {self.header.dataset!r}: split {split!r} has no rows; "
                f"expected one of {', '.join(self.splits())}"
            )
        root = self.root.resolve()
        end_secs = [
            None if math.isnan(end_sec) else end_sec for end_sec in rows["end_sec"].tolist()
        ]
        return [
            Clip(
                video_id=video_id,
                path=root / path,
                label=label,
                num_frames=num_frames,
                width=width,
                height=height,
                fps=fps,
                start_sec=start_sec,
                end_sec=end_sec,
            )
            for video_id, path, label, num_frames, width, height, fps, start_sec, end_sec in zip(
                rows["video_id"].tolist(),
                rows["path"].tolist(),
                rows["label"].tolist(),
                rows["num_frames"].tolist(),
                rows["width"].tolist(),
                rows["height"].tolist(),
                rows["fps"].tolist(),
                rows["start_sec"].tolist(),
                end_secs,
                strict=True,
            )
        ]

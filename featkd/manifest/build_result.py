"""What building a manifest gives."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from featkd.errors import ManifestError
from featkd.manifest.annotations import Annotations
from featkd.manifest.manifest import Manifest
from featkd.manifest.schema import ManifestHeader

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that is listed, or looks like a video by its name, but cannot serve.

    Attributes:
        path: relative to the root.
        reason: why it cannot serve.
        row: the row it would have, with ``num_frames`` 0; None where no manifest could hold it.
    """

    path: str
    reason: str
    row: Row | None


@dataclass(frozen=True, slots=True)
class BuildWarning:
    """Something the owner of the videos should know.

    Attributes:
        path: relative to the root, or a list.
        message: what it is.
    """

    path: str
    message: str


@dataclass(frozen=True)
class BuildResult:
    """A manifest that was built, and what did not go smoothly.

    Attributes:
        header: the manifest's header.
        root: folder of the videos.
        rows: the clips that serve, sorted by path.
        rejected: the files that do not, sorted by path.
        warnings: what was kept or passed over with a doubt.
        annotations: the segments of a dataset for detection, or None.
    """

    header: ManifestHeader
    root: Path
    rows: tuple[Row, ...]
    rejected: tuple[Rejected, ...]
    warnings: tuple[BuildWarning, ...]
    annotations: Annotations | None = None

    @cached_property
    def manifest(self) -> Manifest:
        """The clips that serve.

        Raises:
            ManifestError: none does.
        """
        if not self.rows:
            first = self.rejected[0]
            raise ManifestError(
                f"{self.root}: none of its {len(self.rejected)} videos serves; "
                f"the first, {first.path}: {first.reason}"
            )
        return Manifest(self.header, pd.DataFrame(list(self.rows)), self.root)

    def with_rejected(self) -> Manifest:
        """The manifest with the rejected files as rows of 0 frames, sorted by path.

        An extraction over it records their failure instead of passing over them. Files whose
        names no manifest can hold stay out.

        Raises:
            ManifestError: there is no row at all.
        """
        rejected = [rejected.row for rejected in self.rejected if rejected.row is not None]
        if not rejected:
            return self.manifest
        table = pd.DataFrame([*self.rows, *rejected])
        order = ["path", "start_sec", "video_id"]
        return Manifest(self.header, table.sort_values(order, ignore_index=True), self.root)

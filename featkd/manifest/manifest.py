"""A manifest in memory: which videos exist, with labels, splits and checksums."""

from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from featkd.errors import ManifestError
from featkd.manifest.clips import Clips
from featkd.manifest.digest import digest_of
from featkd.manifest.rows import restored_column, restored_table
from featkd.manifest.rules import conform
from featkd.manifest.schema import ManifestHeader
from featkd.manifest.structure import IN_MEMORY, Origin, batches_of


class _Table:
    """The field ``table``: given and seen as a data frame, kept as `Manifest.rows`."""

    def __get__(self, manifest: "Manifest | None", owner: type) -> pd.DataFrame:
        if manifest is None:
            raise AttributeError("table")  # says to dataclass that there is no default
        return manifest.select(manifest.rows.column_names)

    def __set__(self, manifest: "Manifest", table: pd.DataFrame) -> None:
        vars(manifest)["rows"] = table


@dataclass(frozen=True, eq=False)
class Manifest:
    """A header and one row per clip. A change makes a new manifest.

    Attributes:
        header: what holds for every row.
        table: one row per clip, with the columns of `featkd.manifest.schema.COLUMNS`, in order;
            absent values are NaN. It is made anew at every access, and large where the manifest
            is: `select` makes some of its columns.
        root: folder that the paths of the rows start from.
        origin: where the table comes from, for messages; not kept.
        rows: the same rows as they are kept, see `featkd.manifest.rows`.

    Raises:
        ManifestError: if the table breaks a rule of `featkd.manifest.structure` or
            `featkd.manifest.rules`.
    """

    header: ManifestHeader
    table: pd.DataFrame = _Table()  # type: ignore[assignment]
    root: Path
    origin: InitVar[Origin] = IN_MEMORY
    rows: pa.Table = field(init=False, repr=False)

    def __post_init__(self, origin: Origin) -> None:
        # Until here ``rows`` is what `_Table` was given.
        vars(self)["rows"] = conform(batches_of(self.rows, origin), self.header, origin)

    @classmethod
    def of_rows(cls, header: ManifestHeader, rows: pa.Table, root: Path) -> "Manifest":
        """A manifest of rows that `conform` has checked against this header."""
        manifest = cls.__new__(cls)
        vars(manifest).update(header=header, rows=rows, root=root)
        return manifest

    @property
    def num_rows(self) -> int:
        """Number of clips in all splits."""
        return int(self.rows.num_rows)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of header and rows, independent of file format and root; see `digest_of`."""
        return digest_of(self.header, self.rows)

    def select(self, names: Sequence[str]) -> pd.DataFrame:
        """Some columns of the table."""
        frame: pd.DataFrame = restored_table(self.rows.select(names)).to_pandas()
        return frame

    def splits(self) -> tuple[str, ...]:
        """Names of the splits, in order of their first rows."""
        chunks = self.rows["split"].chunks
        return tuple(dict.fromkeys(name for chunk in chunks for name in chunk.dictionary.tolist()))

    def clips(self, split: str) -> Clips:
        """The rows of a split as clips, in the table's order, each made when it is asked for.

        A path cannot leave the root by its spelling, which is checked when the manifest is made;
        links below the root are the owner's business and are followed. Rows of unreadable videos
        have ``num_frames`` 0 and are included: whoever reads them records the failure.

        Raises:
            ManifestError: if the manifest has no such split.
        """
        if split not in self.splits():
            raise ManifestError(
                f"manifest of {self.header.dataset!r}: split {split!r} has no rows; "
                f"expected one of {', '.join(self.splits())}"
            )
        positions = np.flatnonzero(pc.equal(restored_column(self.rows, "split"), split).to_numpy())
        return Clips(self.rows, positions, self.root.resolve())

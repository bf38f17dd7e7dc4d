"""Which row of a cache holds which view of which clip."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from featkd.cache import CacheStore
from featkd.errors import CacheError

ABSENT = -1


class RowIndex:
    """Rows by clip and view, found by the clips' ids.

    Attributes:
        rows: (clips, views) the row of each, `ABSENT` where the cache has none; int64.
        num_views: views the cache has of a clip, at most.

    Args:
        store: the cache.
        video_ids: of the extracted split's clips, in the manifest's order.

    Raises:
        CacheError: the sample table is damaged or names a view twice.
    """

    def __init__(self, store: CacheStore, video_ids: Sequence[str]) -> None:
        table = store.row_columns(["row", "video_id", "view_index"])
        rows = table["row"].to_numpy()
        self._views = np.zeros(store.layout.capacity, dtype=np.int64)
        self._views[rows] = table["view_index"].to_numpy()
        self._clips = np.full(store.layout.capacity, ABSENT, dtype=np.int64)
        self._clips[rows] = pd.Index(video_ids).get_indexer(table["video_id"].array)
        self.num_views = int(self._views.max()) + 1
        self.rows = np.full((len(video_ids), self.num_views), ABSENT, dtype=np.int64)
        known = rows[self._clips[rows] != ABSENT]
        self.rows[self._clips[known], self._views[known]] = known
        if (self.rows != ABSENT).sum() != len(known):
            raise CacheError(
                f"the sample table of {store.location} names a view twice; expected each once"
            )

    def row_of(self, sample: int, view_index: int) -> int:
        """Row of a view of a clip."""
        return int(self.rows[sample, view_index])

    def view_of(self, row: int) -> tuple[int, int]:
        """Position of a row's clip, `ABSENT` if the manifest does not have it, and its view."""
        return int(self._clips[row]), int(self._views[row])

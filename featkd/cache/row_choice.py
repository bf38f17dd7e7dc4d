"""Choosing rows of a cache by what they show."""

from collections.abc import Collection

from featkd.cache.store import CacheStore
from featkd.errors import CacheError

_NUM_IDS_SPELT_OUT = 3


def choose_rows(
    store: CacheStore, *, videos: Collection[str] | None = None, num_views: int | None = None
) -> list[int]:
    """Numbers of the rows of some videos and of their first views.

    Args:
        store: the cache.
        videos: ids of the videos; all of them where None.
        num_views: how many views of each; all of them where None.

    Raises:
        CacheError: the cache does not have a video, or nothing is left.
    """
    table = store.row_columns(["row", "video_id", "view_index"])
    if videos is not None:
        unknown = sorted(set(videos) - set(table["video_id"]))
        if unknown:
            shown = ", ".join(map(repr, unknown[:_NUM_IDS_SPELT_OUT]))
            more = len(unknown) - _NUM_IDS_SPELT_OUT
            raise CacheError(
                f"{store.location} has no video {shown}{f' and {more} more' if more > 0 else ''}; "
                "expected ids of its sample table"
            )
        table = table[table["video_id"].isin(videos)]
    if num_views is not None:
        table = table[table["view_index"] < num_views]
    if table.empty:
        raise CacheError(f"no row of {store.location} is chosen; expected at least one")
    return [int(row) for row in table["row"]]

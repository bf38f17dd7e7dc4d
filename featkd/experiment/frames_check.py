"""The proof that a view was cut out of the very frames that the teacher saw."""

from featkd.cache import CacheStore
from featkd.errors import FingerprintError
from featkd.experiment.arrays import FRAMES_CRC_ARRAY


def require_same_frames(
    store: CacheStore, row: int, frames_crc32: int, *, view: str, file: str
) -> None:
    """Compare the frames of a view with those that its row was made of.

    Args:
        store: the cache.
        row: of the view.
        frames_crc32: of the frames as they decode now.
        view: which view of which video, for the message.
        file: what was decoded, for the message.

    Raises:
        FingerprintError: they are others.
    """
    expected = int(store.read_rows(FRAMES_CRC_ARRAY, [row]).item())
    if frames_crc32 != expected:
        raise FingerprintError(
            f"{store.location} does not fit: {FRAMES_CRC_ARRAY} of row {row} ({view}) is "
            f"{expected:#010x} in the cache, but {file} decodes to {frames_crc32:#010x}: the file "
            "or the decoder is not the one that the teacher saw"
        )

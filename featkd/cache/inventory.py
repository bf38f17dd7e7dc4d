"""What a cache holds: every array with the room it takes and what its number format costs."""

from dataclasses import dataclass

from featkd.cache.codec_error import CodecError, merge
from featkd.cache.folder_store import FolderStore
from featkd.cache.number_format import stored_arrays
from featkd.cache.spec import ArraySpec


@dataclass(frozen=True, slots=True)
class ArrayInventory:
    """One array of a cache, as far as it is committed.

    Attributes:
        layer: that it belongs to.
        spec: the array.
        num_rows: rows that are committed.
        num_bytes: bytes of their files.
        raw_row_bytes: bytes of a row before compression.
        codec_error: what its number format did to values; None where nothing was measured.
    """

    layer: str
    spec: ArraySpec
    num_rows: int
    num_bytes: int
    raw_row_bytes: int
    codec_error: CodecError | None

    @property
    def row_bytes(self) -> float:
        """Stored bytes of a row; 0 where there is none yet."""
        return self.num_bytes / self.num_rows if self.num_rows else 0.0

    @property
    def ratio(self) -> float:
        """How many times smaller it is than uncompressed; 0 where there is no row yet."""
        return self.raw_row_bytes * self.num_rows / self.num_bytes if self.num_bytes else 0.0


def raw_row_bytes(spec: ArraySpec) -> int:
    """Bytes of one row of an array, before compression."""
    return sum(stored.row_bytes for stored in stored_arrays(spec))


def take_inventory(store: FolderStore) -> list[ArrayInventory]:
    """Every array of a cache, layer by layer, from the commit records.

    Raises:
        CacheError: a commit record is damaged.
    """
    found = []
    for name, layer in store.layers().items():
        commits = list(store.commits(name))
        num_rows = sum(commit.stop_row - commit.start_row for commit in commits)
        for spec in layer.arrays:
            files = [
                commit.files[
                    store.files.part_file(stored, commit.part).relative_to(store.path).as_posix()
                ]
                for commit in commits
                for stored in stored_arrays(spec)
            ]
            errors = [c.codec_errors[spec.name] for c in commits if spec.name in c.codec_errors]
            found.append(
                ArrayInventory(
                    layer=name,
                    spec=spec,
                    num_rows=num_rows,
                    num_bytes=sum(file.num_bytes for file in files),
                    raw_row_bytes=raw_row_bytes(spec),
                    codec_error=merge(errors) if errors else None,
                )
            )
    return found

"""Verification of a cache on disk: is everything there, and is every byte what was written."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from featkd.cache.commit import Commit
from featkd.cache.file_digest import digest_file
from featkd.cache.folder_store import FolderStore
from featkd.cache.header_file import HeaderFile
from featkd.cache.number_format import stored_arrays
from featkd.cache.row_table import ROW_COLUMNS
from featkd.errors import CacheError
from featkd.types import Progress, Silent


@dataclass(frozen=True, slots=True)
class Damage:
    """Something of a cache that is not as it was written.

    Attributes:
        path: the file, relative to the cache.
        problem: what is wrong with it.
        layer: layer that it belongs to, if any.
        part: part that it belongs to, if any; that part has to be written again.
    """

    path: str
    problem: str
    layer: str | None = None
    part: int | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """What was looked at and what was found.

    Attributes:
        damages: everything that is wrong; nothing where the cache is sound.
        num_parts: parts of every layer.
        committed_parts: by layer, how many of them are there.
        failed_rows: by layer, rows without data.
        num_files: files of arrays that were looked at.
        num_bytes: bytes that were read to compare digests; 0 without.
    """

    damages: tuple[Damage, ...]
    num_parts: int
    committed_parts: dict[str, int]
    failed_rows: dict[str, int]
    num_files: int
    num_bytes: int


def verify(path: Path, *, digests: bool = True, progress: Progress | None = None) -> Verification:
    """Check a cache's structure, and the digests of all files too unless told otherwise.

    It may be written meanwhile: what is committed while this runs is not looked at.

    Args:
        path: folder of the cache.
        digests: whether to read every stored byte.
        progress: shows the work.

    Raises:
        CacheError: there is no cache.
    """
    header = HeaderFile(path)
    damages = [Damage(name, problem) for name, problem in header.problems()]
    try:
        store = FolderStore.open(path)
    except CacheError as error:
        if not damages:
            raise
        damages.append(Damage(header.name, str(error)))
        return Verification(tuple(dict.fromkeys(damages)), 0, {}, {}, 0, 0)
    damages += _check_rows(store)
    damages += _check_metadata(store)
    damages += _check_modules(store)
    committed: dict[str, int] = {}
    failed: dict[str, int] = {}
    commits: list[Commit] = []
    for layer in store.layers():
        found, broken = _read_commits(store, layer)
        commits += found
        damages += broken
        committed[layer] = len(found)
        failed[layer] = sum(len(commit.failures) for commit in found)
    num_files = num_bytes = 0
    for commit in (progress or Silent()).track(
        commits, description="verify", total=len(commits), unit="part"
    ):
        for file, problem, size in _check_files(store, commit, digests=digests):
            num_files += 1
            num_bytes += size if digests else 0
            if problem:
                damages.append(Damage(file, problem, commit.layer, commit.part))
    return Verification(
        damages=tuple(damages),
        num_parts=store.num_parts,
        committed_parts=committed,
        failed_rows=failed,
        num_files=num_files,
        num_bytes=num_bytes,
    )


def _check_rows(store: FolderStore) -> Iterator[Damage]:
    try:
        table = store.rows
        missing = [column for column in ROW_COLUMNS if column not in table.columns]
        numbers = table["row"].tolist() if "row" in table.columns else []
    except CacheError as error:
        yield Damage("rows", str(error))
        return
    if missing:
        yield Damage("rows", f"the sample table lacks {', '.join(missing)}")
    elif numbers != store.layout.row_numbers().tolist():
        yield Damage("rows", "the rows of the sample table are not those of featkd.json")


def _check_metadata(store: FolderStore) -> Iterator[Damage]:
    arrays = [
        stored
        for layer in store.layers().values()
        for array in layer.arrays
        for stored in stored_arrays(array)
    ]
    for path, content in store.files.metadata(arrays).items():
        name = path.relative_to(store.path).as_posix()
        if not path.is_file():
            yield Damage(name, "is missing")
        elif path.read_bytes() != content:
            yield Damage(name, "does not describe the arrays as featkd.json does")


def _check_modules(store: FolderStore) -> Iterator[Damage]:
    weights = (store.path / "modules").glob("*.safetensors")
    for name in sorted({*store.module_names(), *(path.stem for path in weights)}):
        try:
            store.load_module(name)
        except CacheError as error:
            yield Damage(f"modules/{name}", str(error))


def _read_commits(store: FolderStore, layer: str) -> tuple[list[Commit], list[Damage]]:
    found, broken = [], []
    for part in sorted(store.committed_parts(layer)):
        try:
            found.append(store.commit(layer, part))
        except CacheError as error:
            name = store.commit_path(layer, part).relative_to(store.path).as_posix()
            broken.append(Damage(name, str(error), layer, part))
    return found, broken


def _check_files(
    store: FolderStore, commit: Commit, *, digests: bool
) -> Iterator[tuple[str, str | None, int]]:
    """File, problem if any, and size of each file that a part consists of."""
    for array in store.layers()[commit.layer].arrays:
        for stored in stored_arrays(array):
            path = store.files.part_file(stored, commit.part)
            name = path.relative_to(store.path).as_posix()
            expected = commit.files.get(name)
            if expected is None:
                yield name, "is not in the commit record of its part", 0
            elif not path.is_file():
                yield name, "is missing", 0
            elif path.stat().st_size != expected.num_bytes:
                size = path.stat().st_size
                yield name, f"has {size} bytes; expected {expected.num_bytes}", size
            elif digests and digest_file(path) != expected:
                yield name, "has another SHA-256 than its commit record says", expected.num_bytes
            else:
                yield name, None, expected.num_bytes

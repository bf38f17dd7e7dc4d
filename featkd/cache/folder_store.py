"""A cache on disk: arrays in Zarr or HDF5, a Parquet sample table and commit records.

::

    <cache>/
      featkd.json, featkd.copy.json     format, backend, parts, layers with their fingerprints
      rows/<block>.parquet              the sample table; a block each time rows were added
      arrays/<name>/                    one file for each part of an array
      zarr.json, .../zarr.json          zarr: so that Zarr readers see one hierarchy
      cache.h5                          hdf5: all parts of all arrays as virtual datasets
      commits/<layer>/<part>.json       what makes a part count
      modules/<name>.safetensors|.json  frozen modules of the teacher
      writer.lock                       held by the one writer
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock

import numpy as np
import pandas as pd
from torch import Tensor

from featkd.cache.array_files import ArrayFiles
from featkd.cache.commit import Commit, FileDigest
from featkd.cache.commit_log import CommitLog
from featkd.cache.file_digest import digest_file, sync_file
from featkd.cache.header_file import HeaderFile
from featkd.cache.module_files import list_modules, read_module, write_module
from featkd.cache.new_folder import require_free_folder
from featkd.cache.number_format import stored_arrays
from featkd.cache.part_layout import PartLayout
from featkd.cache.resident_array import ResidentArray
from featkd.cache.row_table import check_row_table, decode_row_table, encode_row_table
from featkd.cache.spec import (
    DEFAULT_PART_ROWS,
    Backend,
    CacheHeader,
    LayerSpec,
    RowBlock,
    StoredArray,
)
from featkd.cache.store import CacheStore, SavedModule
from featkd.cache.write_errors import writing_to
from featkd.cache.writer_lock import WriterLock
from featkd.cache.zarr_files import ZarrFiles
from featkd.durable import make_folder, replace_file
from featkd.errors import CacheError

RESIDENT_ARRAY_BYTES = 64 * 2**20


class FolderStore(CacheStore):
    """A cache in a folder. Made by `create`, `open` or `open_for_writing`.

    A reader passed to a spawned process opens itself there again; a writer arrives as a reader.

    Args:
        path: folder of the cache.
        lock: held while the cache is open for writing; None for reading.
        resident_array_bytes: arrays up to this size (uncompressed, all rows) are kept in memory,
            part by part, once read.
    """

    def __init__(
        self,
        path: Path,
        *,
        lock: WriterLock | None,
        resident_array_bytes: int,
    ) -> None:
        self._header_file = HeaderFile(path)
        header = self._header_file.current()
        super().__init__(location=str(path), layout=_layout_of(header))
        self.path = path
        self.backend: Backend = header.backend
        self.files: ArrayFiles = _files_of(header.backend, path, self.layout)
        self._lock = lock
        self._writer_pid = os.getpid()
        self.resident_array_bytes = resident_array_bytes
        self._logs: dict[str, CommitLog] = {}
        self._seen_files: set[tuple[str, int]] = set()
        self._forget_residents()

    @classmethod
    def create(
        cls,
        path: Path,
        rows: pd.DataFrame,
        *,
        part_rows: int = DEFAULT_PART_ROWS,
        backend: Backend = "zarr",
        resident_array_bytes: int = RESIDENT_ARRAY_BYTES,
    ) -> "FolderStore":
        """Make a cache in a new or empty folder and open it for writing.

        Args:
            path: the folder.
            rows: the sample table, with at least the columns of `ROW_COLUMNS`.
            part_rows: rows of a part.
            backend: what arrays are stored in.
            resident_array_bytes: as for the class.

        Raises:
            CacheError: the folder holds something already, or the table is not a sample table.
            CacheLockedError: another process is making a cache there.
            StorageFullError: the disk is full.
        """
        check_row_table(rows)
        layout = PartLayout(part_rows, (len(rows),))
        path = path.absolute()
        with writing_to(path):
            make_folder(path)
        require_free_folder(path)  # before a lock file is put among them
        lock = WriterLock(path / "writer.lock")
        try:
            # Again: until the lock was ours, another process may have made a cache.
            require_free_folder(path)
            with writing_to(path):
                block = _write_block(path, 0, rows)
                _files_of(backend, path, layout).arrange(layout, [])
                # The header makes it a cache, so it comes last.
                HeaderFile(path).replace(
                    CacheHeader(backend=backend, part_rows=part_rows, blocks=(block,))
                )
            return cls(path, lock=lock, resident_array_bytes=resident_array_bytes)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open(cls, path: Path, *, resident_array_bytes: int = RESIDENT_ARRAY_BYTES) -> "FolderStore":
        """Open a cache for reading; it may be written meanwhile.

        Raises:
            CacheError: there is no cache, it is damaged, or of an unknown format.
        """
        return cls(path.absolute(), lock=None, resident_array_bytes=resident_array_bytes)

    @classmethod
    def open_for_writing(
        cls, path: Path, *, resident_array_bytes: int = RESIDENT_ARRAY_BYTES
    ) -> "FolderStore":
        """Open a cache for writing and reading.

        Raises:
            CacheError: there is no cache, it is damaged, of an unknown format, or read-only.
            CacheLockedError: another process is writing to it; the message says which.
        """
        path = path.absolute()
        HeaderFile(path).current()  # before a lock file is put where there is no cache
        lock = WriterLock(path / "writer.lock")
        try:
            with writing_to(path):
                HeaderFile(path).renew_copy()
            return cls(path, lock=lock, resident_array_bytes=resident_array_bytes)
        except BaseException:
            lock.release()
            raise

    def __reduce__(self) -> tuple[object, tuple[Path, int]]:
        return _reopen, (self.path, self.resident_array_bytes)

    def row_columns(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Some columns of the sample table, or all of it."""
        tables = []
        for number, block in enumerate(self._header_file.current().blocks):
            path = _block_path(self.path, number)
            try:
                found = digest_file(path).sha256
            except OSError as error:
                raise CacheError(f"{path} cannot be read: {error}") from error
            if found != block.sha256:
                raise CacheError(
                    f"{path} is damaged: its SHA-256 is not the one that featkd.json records; "
                    "put it back from a copy: run featkd cache repair"
                )
            tables.append(decode_row_table(path, columns))
        return tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)

    def damaged_blocks(self) -> list[int]:
        """Numbers of the files of the sample table that are missing or not as they were written."""
        blocks = self._header_file.current().blocks
        return [
            number
            for number, block in enumerate(blocks)
            if not (path := _block_path(self.path, number)).is_file()
            or digest_file(path).sha256 != block.sha256
        ]

    def restore_block(self, number: int, content: bytes) -> bool:
        """Put a file of the sample table back, if this is what it held; tell whether it is.

        Raises:
            CacheError: the cache was opened for reading.
            StorageFullError: the disk is full.
        """
        self._require_writer()
        recorded = self._header_file.current().blocks[number].sha256
        if hashlib.sha256(content).hexdigest() != recorded:
            return False
        with writing_to(self.path):
            path = _block_path(self.path, number)
            make_folder(path.parent)
            replace_file(path, content)
        return True

    def layers(self) -> Mapping[str, LayerSpec]:
        """The layers by name, as of now."""
        return self._header_file.current().layers

    def load_module(self, name: str) -> SavedModule:
        """Load a frozen module."""
        return read_module(self.path / "modules", name)

    def module_names(self) -> list[str]:
        """Names of the saved modules, in alphabetical order."""
        return list_modules(self.path / "modules")

    def close(self) -> None:
        """Release the writer's lock, the open arrays and what is held in memory."""
        self.files.close()
        self._forget_residents()
        if self._lock is not None and self._writer_pid == os.getpid():
            self._lock.release()
            self._lock = None

    def commit_path(self, layer: str, part: int) -> Path:
        """File of a part's commit record."""
        return self._log(layer).path(part)

    def _stored(self, layers: Mapping[str, LayerSpec]) -> list[StoredArray]:
        return [
            stored
            for layer in layers.values()
            for array in layer.arrays
            for stored in stored_arrays(array)
        ]

    def _create_layer(self, name: str, layer: LayerSpec) -> None:
        self._require_writer()
        header = self._header_file.current()
        layers = {**header.layers, name: layer}
        with writing_to(self.path):
            # A removal that was killed may have left records of another layer of this name.
            for part in self._log(name).parts():
                self._log(name).remove(part)
            for array in self._stored({name: layer}):
                self.files.create(array)
            self.files.arrange(self.layout, self._stored(layers))
            self._header_file.replace(header.model_copy(update={"layers": layers}))

    def _replace_layers(self, layers: Mapping[str, LayerSpec]) -> None:
        self._require_writer()
        header = self._header_file.current()
        kept = self._stored(layers)
        with writing_to(self.path):
            self._header_file.replace(header.model_copy(update={"layers": dict(layers)}))
            self.files.arrange(self.layout, kept)
            for array in set(self._stored(header.layers)) - set(kept):
                self.files.remove(array)
            for name in header.layers.keys() - layers.keys():
                for part in self._log(name).parts():
                    self._log(name).remove(part)
        self._forget_residents()

    def _add_rows(self, rows: pd.DataFrame, layout: PartLayout) -> None:
        self._require_writer()
        header = self._header_file.current()
        with writing_to(self.path):
            block = _write_block(self.path, len(header.blocks), rows)
            self.files.arrange(layout, self._stored(header.layers))
            self._header_file.replace(header.model_copy(update={"blocks": (*header.blocks, block)}))
        self._forget_residents()

    def _recorded_parts(self, layer: str) -> set[int]:
        return self._log(layer).parts()

    def _scan_commits(self, layer: str) -> Iterator[Commit]:
        return self._log(layer).scan(self.layout)

    def _find_commit(self, layer: str, part: int) -> Commit | None:
        return self._log(layer).find(part, self.layout)

    def _write_files(
        self, part: int, arrays: Mapping[StoredArray, np.ndarray]
    ) -> dict[str, FileDigest]:
        self._require_writer()
        digests = {}
        with writing_to(self.path):
            for array, values in arrays.items():
                self.files.write_part(array, part, values)
                path = self.files.part_file(array, part)
                sync_file(path)
                digests[path.relative_to(self.path).as_posix()] = digest_file(path)
        return digests

    def _write_commit(self, commit: Commit) -> None:
        with writing_to(self.path):
            self._log(commit.layer).append(commit)

    def _remove_commit(self, layer: str, part: int) -> None:
        self._require_writer()
        with writing_to(self.path):
            self._log(layer).remove(part)
        self._forget_residents()
        self._seen_files.clear()

    def _write_module(
        self, name: str, state_dict: Mapping[str, Tensor], arguments: Mapping[str, object]
    ) -> None:
        self._require_writer()
        with writing_to(self.path):
            write_module(self.path / "modules", name, state_dict, arguments)

    def _read_parts(
        self, commits: Mapping[int, Commit], array: StoredArray, rows: Sequence[int]
    ) -> np.ndarray:
        for part, commit in commits.items():
            if (array.name, part) not in self._seen_files:
                self._check_file(commit, array)
        if not rows:
            return np.empty((0, *array.shape), dtype=array.dtype)
        try:
            if array.row_bytes * self.layout.capacity <= self.resident_array_bytes:
                return self._resident(array).take(rows)
            values = np.empty((len(rows), *array.shape), dtype=array.dtype)
            self.files.read_rows(array, rows, values)
        except (ValueError, OSError) as error:
            raise CacheError(
                f"array {array.name!r} of {self.path} is damaged within rows {min(rows)} to "
                f"{max(rows)}: {error}; run featkd cache repair"
            ) from error
        return values

    def _resident(self, array: StoredArray) -> ResidentArray:
        if self._residents_pid != os.getpid():
            # A thread of the parent may have held a lock when this process was forked.
            self._forget_residents()
        with self._residents_lock:
            if array.name not in self._residents:
                self._residents[array.name] = ResidentArray(array, self.layout, self.files)
            return self._residents[array.name]

    def _forget_residents(self) -> None:
        self._residents: dict[str, ResidentArray] = {}
        self._residents_lock = Lock()
        self._residents_pid = os.getpid()

    def _check_file(self, commit: Commit, array: StoredArray) -> None:
        """A file that has vanished would otherwise read as fill values without a word."""
        path = self.files.part_file(array, commit.part)
        expected = commit.files[path.relative_to(self.path).as_posix()]
        found = path.stat().st_size if path.is_file() else None
        if found != expected.num_bytes:
            state = "is missing" if found is None else f"has {found} bytes"
            raise CacheError(
                f"{path} {state}; the commit record of part {commit.part} says "
                f"{expected.num_bytes} bytes; run featkd cache repair"
            )
        if not self.files.detects_damage and digest_file(path) != expected:
            raise CacheError(
                f"{path} is damaged: its SHA-256 is not the one that the commit record of part "
                f"{commit.part} says; run featkd cache repair"
            )
        self._seen_files.add((array.name, commit.part))

    def _log(self, layer: str) -> CommitLog:
        if layer not in self._logs:
            self._logs[layer] = CommitLog(self.path / "commits" / layer, layer=layer)
        return self._logs[layer]

    def _require_writer(self) -> None:
        if self._lock is None:
            raise CacheError(f"{self.path} is open for reading only; open it for writing")
        if self._writer_pid != os.getpid():
            raise CacheError(
                f"{self.path} is open for writing in process {self._writer_pid}; "
                f"its child {os.getpid()} cannot write to it"
            )


def _reopen(path: Path, resident_array_bytes: int) -> FolderStore:
    return FolderStore.open(path, resident_array_bytes=resident_array_bytes)


def _files_of(backend: Backend, path: Path, layout: PartLayout) -> ArrayFiles:
    if backend == "hdf5":
        from featkd.cache.hdf5_files import Hdf5Files  # few caches need h5py

        return Hdf5Files(path, layout)
    return ZarrFiles(path, layout)


def _layout_of(header: CacheHeader) -> PartLayout:
    return PartLayout(header.part_rows, tuple(block.num_rows for block in header.blocks))


def _block_path(cache: Path, number: int) -> Path:
    return cache / "rows" / f"{number}.parquet"


def _write_block(cache: Path, number: int, rows: pd.DataFrame) -> RowBlock:
    content = encode_row_table(rows)
    path = _block_path(cache, number)
    make_folder(path.parent)
    replace_file(path, content)
    return RowBlock(num_rows=len(rows), sha256=hashlib.sha256(content).hexdigest())

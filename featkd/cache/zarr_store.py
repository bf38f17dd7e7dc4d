"""A cache on disk: Zarr v3 arrays, a Parquet sample table and commit records.

::

    <cache>/
      featkd.json                       format, rows, part size, layers with their fingerprints
      rows.parquet                      the sample table
      zarr.json, arrays/zarr.json, ...  so that Zarr readers see one hierarchy
      arrays/<name>/                    one sharded array, a shard for each part
      commits/<layer>/<part>.json       what makes a part count
      modules/<name>.safetensors|.json  frozen modules of the teacher
      writer.lock                       held by the one writer
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from featkd.cache.commit_log import CommitLog
from featkd.cache.header_file import HeaderFile
from featkd.cache.module_files import list_modules, read_module, write_module
from featkd.cache.new_folder import lay_out_folder, require_free_folder
from featkd.cache.resident_array import ResidentArray
from featkd.cache.row_readers import RowReaders
from featkd.cache.row_table import check_row_table, decode_row_table
from featkd.cache.spec import (
    DEFAULT_PART_ROWS,
    ArraySpec,
    Commit,
    LayerSpec,
    ShardDigest,
)
from featkd.cache.store import CacheStore, SavedModule
from featkd.cache.write_errors import writing_to
from featkd.cache.writer_lock import WriterLock
from featkd.cache.zarr_array import (
    create_array,
    digest_shard,
    open_array,
    shard_path,
    write_shard,
)
from featkd.durable import make_folder
from featkd.errors import CacheError

RESIDENT_ARRAY_BYTES = 64 * 2**20


class ZarrStore(CacheStore):
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
        super().__init__(location=str(path), num_rows=header.num_rows, part_rows=header.part_rows)
        self.path = path
        self._arrays_root = path / "arrays"
        self._lock = lock
        self._writer_pid = os.getpid()
        self.resident_array_bytes = resident_array_bytes
        self._rows: pd.DataFrame | None = None
        self._logs: dict[str, CommitLog] = {}
        self._readers = RowReaders(self._arrays_root, num_rows=header.num_rows)
        self._residents: dict[str, ResidentArray] = {}
        self._seen_shards: set[tuple[str, int]] = set()

    @classmethod
    def create(
        cls,
        path: Path,
        rows: pd.DataFrame,
        *,
        part_rows: int = DEFAULT_PART_ROWS,
        resident_array_bytes: int = RESIDENT_ARRAY_BYTES,
    ) -> "ZarrStore":
        """Make a cache in a new or empty folder and open it for writing.

        Args:
            path: the folder.
            rows: the sample table, with at least the columns of `ROW_COLUMNS`.
            part_rows: rows of a part.
            resident_array_bytes: as for the class.

        Raises:
            CacheError: the folder holds something already, or the table is not a sample table.
            CacheLockedError: another process is making a cache there.
            StorageFullError: the disk is full.
        """
        check_row_table(rows)
        if part_rows < 1:
            raise CacheError(f"part_rows is {part_rows}; expected at least 1")
        path = path.absolute()
        with writing_to(path):
            make_folder(path)
        require_free_folder(path)  # before a lock file is put among them
        lock = WriterLock(path / "writer.lock")
        try:
            # Again: until the lock was ours, another process may have made a cache.
            require_free_folder(path)
            lay_out_folder(path, rows, part_rows)
            return cls(path, lock=lock, resident_array_bytes=resident_array_bytes)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open(cls, path: Path, *, resident_array_bytes: int = RESIDENT_ARRAY_BYTES) -> "ZarrStore":
        """Open a cache for reading; it may be written meanwhile.

        Raises:
            CacheError: there is no cache, it is damaged, or of an unknown format.
        """
        return cls(path.absolute(), lock=None, resident_array_bytes=resident_array_bytes)

    @classmethod
    def open_for_writing(
        cls, path: Path, *, resident_array_bytes: int = RESIDENT_ARRAY_BYTES
    ) -> "ZarrStore":
        """Open a cache for writing and reading.

        Raises:
            CacheError: there is no cache, it is damaged, of an unknown format, or read-only.
            CacheLockedError: another process is writing to it; the message says which.
        """
        path = path.absolute()
        HeaderFile(path).current()  # before a lock file is put where there is no cache
        lock = WriterLock(path / "writer.lock")
        try:
            return cls(path, lock=lock, resident_array_bytes=resident_array_bytes)
        except BaseException:
            lock.release()
            raise

    def __reduce__(self) -> tuple[object, tuple[Path, int]]:
        return _reopen, (self.path, self.resident_array_bytes)

    @property
    def rows(self) -> pd.DataFrame:
        """The sample table, read when first asked for."""
        if self._rows is None:
            try:
                content = (self.path / "rows.parquet").read_bytes()
            except OSError as error:
                raise CacheError(f"{self.path / 'rows.parquet'} cannot be read: {error}") from error
            self._rows = decode_row_table(content)
        return self._rows.copy(deep=False)

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
        self._readers = RowReaders(self._arrays_root, num_rows=self.num_rows)
        self._residents.clear()
        if self._lock is not None and self._writer_pid == os.getpid():
            self._lock.release()
            self._lock = None

    def _create_layer(self, name: str, layer: LayerSpec) -> None:
        self._require_writer()
        header = self._header_file.current()
        layers = {**header.layers, name: layer}
        with writing_to(self.path):
            for array in layer.arrays:
                create_array(
                    self._arrays_root, array, num_rows=self.num_rows, part_rows=self.part_rows
                )
            self._header_file.replace(header.model_copy(update={"layers": layers}))

    def _commits(self, layer: str) -> Mapping[int, Commit]:
        return self._log(layer).scan()

    def _find_commit(self, layer: str, part: int) -> Commit | None:
        return self._log(layer).find(part)

    def _write_shards(self, part: int, arrays: Mapping[str, np.ndarray]) -> dict[str, ShardDigest]:
        self._require_writer()
        shards = {}
        for name, values in arrays.items():
            _, spec = self._array(name)
            array = open_array(self._arrays_root, spec, num_rows=self.num_rows)
            with writing_to(self.path):
                write_shard(array, self.part_range(part).start, values)
                shards[name] = digest_shard(shard_path(self._arrays_root, spec, part))
        return shards

    def _write_commit(self, commit: Commit) -> None:
        with writing_to(self.path):
            self._log(commit.layer).append(commit)

    def _write_module(
        self, name: str, state_dict: Mapping[str, Tensor], arguments: Mapping[str, object]
    ) -> None:
        self._require_writer()
        with writing_to(self.path):
            write_module(self.path / "modules", name, state_dict, arguments)

    def _read(self, layer: str, array: ArraySpec, rows: Sequence[int]) -> Tensor:
        for part in {row // self.part_rows for row in rows}:
            self._check_shard(layer, array, part)
        if not rows:
            return torch.empty((0, *array.shape), dtype=getattr(torch, array.dtype))
        if self._readers.pid != os.getpid():
            self._readers = RowReaders(self._arrays_root, num_rows=self.num_rows)
        reader = self._readers.reader(array)
        try:
            if array.row_bytes * self.num_rows <= self.resident_array_bytes:
                if array.name not in self._residents:
                    self._residents[array.name] = ResidentArray(
                        array, num_rows=self.num_rows, part_rows=self.part_rows
                    )
                return self._residents[array.name].take(rows, self._readers.lock, reader.read_into)
            values = torch.empty((len(rows), *array.shape), dtype=getattr(torch, array.dtype))
            reader.read_into(rows, values.numpy())
        except (ValueError, OSError) as error:
            raise CacheError(
                f"array {array.name!r} of {self.path} is damaged within rows {min(rows)} to "
                f"{max(rows)}: {error}"
            ) from error
        return values

    def _check_shard(self, layer: str, array: ArraySpec, part: int) -> None:
        """A shard that has vanished would otherwise read as fill values without a word."""
        if (array.name, part) in self._seen_shards:
            return
        path = shard_path(self._arrays_root, array, part)
        expected = self.commit(layer, part).shards[array.name].num_bytes
        found = path.stat().st_size if path.is_file() else None
        if found != expected:
            state = "is missing" if found is None else f"has {found} bytes"
            raise CacheError(
                f"shard {path} {state}; the commit record of part {part} says {expected} bytes"
            )
        self._seen_shards.add((array.name, part))

    def _log(self, layer: str) -> CommitLog:
        if layer not in self._logs:
            self._logs[layer] = CommitLog(
                self.path / "commits" / layer,
                layer=layer,
                num_rows=self.num_rows,
                part_rows=self.part_rows,
            )
        return self._logs[layer]

    def _require_writer(self) -> None:
        if self._lock is None:
            raise CacheError(f"{self.path} is open for reading only; open it for writing")
        if self._writer_pid != os.getpid():
            raise CacheError(
                f"{self.path} is open for writing in process {self._writer_pid}; "
                f"its child {os.getpid()} cannot write to it"
            )


def _reopen(path: Path, resident_array_bytes: int) -> ZarrStore:
    return ZarrStore.open(path, resident_array_bytes=resident_array_bytes)

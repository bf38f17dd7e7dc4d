"""Arrays of a cache as HDF5: an immutable file for each part, and one file that shows them all.

A part's file holds one dataset, ``values``, whose chunks are compressed and carry a Fletcher-32.
``cache.h5`` maps the parts of every array, by relative path, into one virtual dataset of the
array's name; parts that are not there read as NaN, or 0 in arrays of integers. It is for other
readers: featkd itself opens the parts.

Files are of the format of HDF5 1.10, whose metadata have checksums and which every later version
reads. They hold no times, so that equal arrays make equal files. A file is made in memory and then
put in place: HDF5 cannot give up a file of its own that the disk has no room for.
"""

import io
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from featkd.cache.chunking import rows_per_chunk
from featkd.cache.hdf5_handles import DATASET, Hdf5Handles, little_endian
from featkd.cache.part import fill_value
from featkd.cache.part_layout import PartLayout
from featkd.cache.spec import StoredArray
from featkd.durable import make_folder, replace_file, sync_folder
from featkd.errors import CacheError

_METADATA_BLOCK_BYTES = 256  # what HDF5 reserves at a time; its default leaves 2 KiB empty


class Hdf5Files:
    """A `featkd.cache.array_files.ArrayFiles`: an HDF5 file for each array and part.

    Args:
        root: folder of the cache.
        layout: how its rows are numbered.
    """

    # Fletcher-32 tells every flipped byte, but not a run of 0xFF that became a run of 0.
    detects_damage = False

    def __init__(self, root: Path, layout: PartLayout) -> None:
        self._root = root
        self._layout = layout
        self._handles = Hdf5Handles()

    def create(self, array: StoredArray) -> None:
        """Make the array's folder.

        Raises:
            CacheError: its compression needs hdf5plugin, which is not installed.
        """
        _filters(array)
        self.remove(array)
        make_folder(self._folder(array))

    def remove(self, array: StoredArray) -> None:
        """Delete the array's folder, and those above it that hold nothing else."""
        self.close()
        folder = self._folder(array)
        if not folder.exists():
            return
        shutil.rmtree(folder)
        folder = folder.parent
        while folder != self._root and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent
        sync_folder(folder)

    def part_file(self, array: StoredArray, part: int) -> Path:
        """The HDF5 file of a part."""
        return self._root / _relative_path(array, part)

    def write_part(self, array: StoredArray, part: int, values: np.ndarray) -> None:
        """Write a part's file, wholly or not at all.

        Raises:
            CacheError: its compression needs hdf5plugin, which is not installed.
        """
        filters = _filters(array)
        # HDF5 wants no chunk larger than the dataset.
        chunk_rows = min(rows_per_chunk(array.row_bytes, self._layout.part_rows), len(values))
        content = _hdf5_file(
            lambda file: file.create_dataset(
                DATASET,
                data=values,
                dtype=little_endian(array),
                chunks=(chunk_rows, *array.shape),
                fletcher32=True,
                track_times=False,
                **filters,
            )
        )
        path = self.part_file(array, part)
        make_folder(path.parent)
        replace_file(path, content)
        self._current_handles().forget(path)

    def read_rows(self, array: StoredArray, rows: Sequence[int], target: np.ndarray) -> None:
        """Decode each chunk once, straight into the target where its rows lie side by side.

        Raises:
            CacheError: its compression needs hdf5plugin, which is not installed.
        """
        _filters(array)
        numbers = np.asarray(rows)
        chunk_rows = rows_per_chunk(array.row_bytes, self._layout.part_rows)
        order = np.argsort(numbers, kind="stable")
        chunks = numbers[order] // chunk_rows  # chunks divide a part, so none lies in two
        for positions in np.split(order, np.flatnonzero(np.diff(chunks)) + 1):
            part = self._layout.part_of(int(numbers[positions[0]]))
            part_range = self._layout.part_range(part)
            wanted = numbers[positions] - part_range.start
            first, stop = int(wanted[0]), int(wanted[-1]) + 1
            in_place = _is_run(wanted) and _is_run(positions)
            buffer = (
                target[positions[0] : positions[-1] + 1]
                if in_place
                else np.empty((stop - first, *array.shape), dtype=array.dtype)
            )
            path = self.part_file(array, part)
            with self._current_handles().dataset(path, array, len(part_range)) as dataset:
                dataset.read_direct(buffer, np.s_[first:stop])
            if not in_place:
                target[positions] = buffer[wanted - first]

    def metadata(self, arrays: Sequence[StoredArray]) -> Mapping[Path, bytes]:
        """The file of virtual datasets."""

        def fill(file: h5py.File) -> None:
            for array in arrays:
                _create_virtual_dataset(file, array, self._layout)

        return {self._root / "cache.h5": _hdf5_file(fill)}

    def arrange(self, layout: PartLayout, arrays: Sequence[StoredArray]) -> None:
        """Adopt the layout; write the file of virtual datasets anew."""
        self._layout = layout
        for path, content in self.metadata(arrays).items():
            replace_file(path, content)

    def close(self) -> None:
        """Close the open files."""
        self._current_handles().forget_all()

    def _folder(self, array: StoredArray) -> Path:
        return self._root / "arrays" / array.name

    def _current_handles(self) -> Hdf5Handles:
        # A forked child must neither wait for a lock that a thread of its parent held, nor read
        # through its parent's handles.
        if self._handles.pid != os.getpid():
            self._handles = Hdf5Handles()
        return self._handles


def _hdf5_file(fill: Callable[[h5py.File], object]) -> bytes:
    """Content of a new HDF5 file, which depends on nothing but what `fill` puts into it."""
    content = io.BytesIO()
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, content)
    access.set_libver_bounds(h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)
    access.set_meta_block_size(_METADATA_BLOCK_BYTES)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    creation.set_obj_track_times(False)
    with h5py.File(h5py.h5f.create(b"in memory", h5py.h5f.ACC_TRUNC, creation, access)) as file:
        fill(file)
    return content.getvalue()


def _create_virtual_dataset(file: h5py.File, array: StoredArray, layout: PartLayout) -> None:
    """Map the files of all parts, there or not, into a dataset of the array's name.

    In HDF5's own calls, since h5py's virtual layouts write times into the file.
    """
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_obj_track_times(False)
    creation.set_fill_value(np.array(fill_value(np.dtype(array.dtype)), dtype=array.dtype))
    space = h5py.h5s.create_simple((layout.capacity, *array.shape))
    for part in range(layout.num_parts):
        rows = layout.part_range(part)
        part_shape = (len(rows), *array.shape)
        space.select_hyperslab(
            (rows.start, *(0 for _ in array.shape)), tuple(1 for _ in part_shape), block=part_shape
        )
        source_name = _relative_path(array, part).as_posix().encode()
        source_space = h5py.h5s.create_simple(part_shape)
        creation.set_virtual(space, source_name, DATASET.encode(), source_space)
    space.select_all()

    group_creation = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    group_creation.set_obj_track_times(False)
    segments = array.name.split("/")
    for depth in range(1, len(segments)):
        group = "/".join(segments[:depth])
        if group not in file:
            h5py.h5g.create(file.id, group.encode(), None, group_creation)
    number_type = h5py.h5t.py_create(little_endian(array))
    h5py.h5d.create(file.id, array.name.encode(), number_type, space, creation)


def _filters(array: StoredArray) -> dict[str, Any]:
    """How h5py is told an array's compression, which is then ready for reading as well."""
    if array.compression == "none":
        return {}
    if array.compression == "gzip":
        return {"compression": "gzip", "compression_opts": 1}
    try:
        import hdf5plugin  # optional; importing it registers its filters
    except ImportError as error:
        raise CacheError(
            f"array {array.name!r} is compressed with {array.compression}, for which HDF5 needs "
            'hdf5plugin: run pip install "featkd[hdf5]", or choose gzip or none'
        ) from error
    return dict(hdf5plugin.Zstd(clevel=1) if array.compression == "zstd" else hdf5plugin.LZ4())


def _relative_path(array: StoredArray, part: int) -> Path:
    return Path("arrays", *array.name.split("/"), f"{part:06d}.h5")


def _is_run(numbers: np.ndarray) -> bool:
    return bool((np.diff(numbers) == 1).all())

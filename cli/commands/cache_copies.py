"""``featkd cache convert`` and ``featkd cache export``."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, ParamSpec, TypeVar

import click

from featkd.cli.options import any_path, cache_argument, example, output_options

P = ParamSpec("P")
R = TypeVar("R")

_Backend = Literal["zarr", "hdf5"]
_Compression = Literal["zstd", "lz4", "gzip", "none"]

_destination_argument = click.argument("destination", metavar="DEST", type=any_path)

_compression_option = click.option(
    "--compression",
    type=click.Choice(["zstd", "lz4", "gzip", "none"]),
    help="Lossless compression of the copy.  [default: lz4 in zarr, gzip in hdf5]",
)


def _backend_option(*, required: bool) -> Callable[[Callable[P, R]], Callable[P, R]]:
    default = "" if required else "  [default: as it is]"
    return click.option(
        "--backend",
        type=click.Choice(["zarr", "hdf5"]),
        required=required,
        help=f"What the copy's arrays are stored in.{default}",
    )


@click.command(epilog=example("featkd cache convert runs/demo/cache demo-hdf5 --backend hdf5"))
@cache_argument
@_destination_argument
@_backend_option(required=True)
@_compression_option
@output_options
def convert(
    *,
    path: Path,
    destination: Path,
    backend: _Backend,
    compression: _Compression | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Copy a cache to another backend.

    Every stored number stays as it is, bit for bit, and is read back and compared. Writes DEST; a
    conversion that was stopped goes on where it was. CACHE is not changed.
    """
    _copy(path, destination, backend, compression, as_json=as_json, quiet=quiet)


@click.command(
    epilog=example("featkd cache export runs/demo/cache logits --array logits --num-views 1")
)
@cache_argument
@_destination_argument
@click.option(
    "--array",
    "arrays",
    metavar="NAME",
    multiple=True,
    help="An array to copy, as 'featkd cache show' names it. May be given several times.  "
    "[default: all, and the frozen modules]",
)
@click.option(
    "--videos",
    metavar="FILE",
    type=any_path,
    help="Text file with the ids of the videos to copy, one a line.  [default: all]",
)
@click.option(
    "--num-views",
    metavar="N",
    type=click.IntRange(min=1),
    help="Copy the first N views of each video.  [default: all]",
)
@_backend_option(required=False)
@_compression_option
@output_options
def export(
    *,
    path: Path,
    destination: Path,
    arrays: tuple[str, ...],
    videos: Path | None,
    num_views: int | None,
    backend: _Backend | None,
    compression: _Compression | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Copy a part of a cache to a new one.

    Some arrays, some videos, some views; numbers stay as they are, bit for bit. Writes DEST; an
    export that was stopped goes on where it was. CACHE is not changed.
    """
    ids = (
        None
        if videos is None
        else {line.strip() for line in videos.read_text("utf-8").splitlines()}
    )
    _copy(
        path,
        destination,
        backend,
        compression,
        arrays=arrays or None,
        videos=None if ids is None else ids - {""},
        num_views=num_views,
        as_json=as_json,
        quiet=quiet,
    )


def _copy(
    path: Path,
    destination: Path,
    backend: _Backend | None,
    compression: _Compression | None,
    *,
    arrays: tuple[str, ...] | None = None,
    videos: set[str] | None = None,
    num_views: int | None = None,
    as_json: bool,
    quiet: bool,
) -> None:
    from featkd.cache import (
        DEFAULT_COMPRESSION,
        FolderStore,
        choose_rows,
        copy_cache,
        take_inventory,
    )
    from featkd.cli.cache_tables import print_copy
    from featkd.cli.progress import show_progress

    with FolderStore.open(path) as source, show_progress(quiet=quiet) as progress:
        chosen_backend = backend or source.backend
        every_row = videos is None and num_views is None
        rows = None if every_row else choose_rows(source, videos=videos, num_views=num_views)
        copy = copy_cache(
            source,
            destination,
            backend=chosen_backend,
            compression=compression or DEFAULT_COMPRESSION[chosen_backend],
            arrays=arrays,
            rows=rows,
            progress=progress,
        )
        source_bytes = sum(item.num_bytes for item in take_inventory(source))
    with copy:
        print_copy(copy, take_inventory(copy), source_bytes=source_bytes, as_json=as_json)

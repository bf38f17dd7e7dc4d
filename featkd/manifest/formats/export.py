"""Writes a manifest in another format: a new folder, whole or not at all."""

import secrets
import shutil
from pathlib import Path

from featkd.durable import sync_folder
from featkd.errors import ManifestError
from featkd.manifest.formats.partial import Format
from featkd.manifest.formats.videofolder import places
from featkd.manifest.manifest import Manifest


def export_manifest(manifest: Manifest, target: Format, folder: Path) -> None:
    """Write a manifest in another format, into a new folder.

    Args:
        manifest: what to write.
        target: the format.
        folder: where to write; it must not exist, and its parent must.

    Raises:
        ManifestError: if the format cannot hold the manifest, the folder exists, or it cannot be
            written. Nothing is left behind then.
    """
    if folder.exists():
        raise ManifestError(f"{folder} exists already; expected the name of a new folder")
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.mkdir()
        target.write(manifest, temporary)
        sync_folder(temporary)
        temporary.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise ManifestError(f"{folder} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def link_videos(manifest: Manifest, folder: Path) -> int:
    """Put symbolic links to the videos where a `VideoFolder` has them.

    Links that are there already are passed over.

    Args:
        manifest: the manifest that was written into the folder.
        folder: the folder.

    Returns:
        How many links were made.

    Raises:
        ManifestError: if something else lies in the place of a link, or a link cannot be made.
    """
    num_made = 0
    root = manifest.root.resolve()
    names = manifest.select(["path"])["path"].tolist()
    for place, name in dict(zip(places(manifest), names, strict=True)).items():
        link, video = folder / place, root / name
        try:
            link.parent.mkdir(parents=True, exist_ok=True)
            if link.is_symlink() and link.readlink() == video:
                continue
            link.symlink_to(video)
        except OSError as error:
            raise ManifestError(f"{link} cannot be made: {error.strerror or error}") from error
        num_made += 1
    return num_made

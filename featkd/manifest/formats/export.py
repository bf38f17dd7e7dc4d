"""Writes a manifest in another format: a new folder, whole or not at all."""

import secrets
import shutil
from pathlib import Path

from featkd.durable import sync_folder
from featkd.errors import ManifestError
from featkd.manifest.formats.partial import Format
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

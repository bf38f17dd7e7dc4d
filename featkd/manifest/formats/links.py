"""Puts videos where a folder with metadata has them."""

from pathlib import Path

from featkd.errors import ManifestError
from featkd.manifest.formats.videofolder import places
from featkd.manifest.manifest import Manifest


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

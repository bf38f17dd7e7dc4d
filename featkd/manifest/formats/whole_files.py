"""Takes rows of a manifest for their whole files."""

from dataclasses import replace

import numpy as np

from featkd.errors import ManifestError
from featkd.manifest.manifest import Manifest


def as_whole_files(manifest: Manifest) -> Manifest:
    """Forget where clips start and end in their files.

    Lists name files, and only the files know whether a clip that ends somewhere ends with its
    file. Frame counts stay those of the clips.

    Raises:
        ManifestError: if a file has several rows.
    """
    table = manifest.table
    repeated = np.flatnonzero(table["path"].duplicated().to_numpy())
    if len(repeated):
        row = repeated[0]
        raise ManifestError(
            f"row {row}, video {table['video_id'][row]!r}: file {table['path'][row]!r} has another "
            "row before it; expected one row for each file"
        )
    return replace(manifest, table=table.assign(start_sec=0.0, end_sec=None))

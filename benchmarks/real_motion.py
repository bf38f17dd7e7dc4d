"""The dataset of real human motion: JHMDB poses drawn and encoded, official split 1.

A fifth of the training videos is held out for validation. `paper_table.py` trains on it.
"""

from dataclasses import asdict
from pathlib import Path

import pandas as pd
from pose_video import load_poses, render_poses

from featkd.manifest import Manifest, ManifestHeader, write_manifest
from featkd.types import Progress

RECIPE = Path(__file__).parent / "real_motion.yaml"


def make_dataset(npz_path: Path, folder: Path, progress: Progress) -> None:
    """Draw the videos below ``folder/data`` and list them in ``folder/manifest.csv``."""
    videos = render_poses(npz_path, folder / "data", progress=progress)
    header = ManifestHeader(
        dataset="jhmdb14_poses",
        version="1",
        classes=load_poses(npz_path).class_names,
        protocol="official split 1; a fifth of its training videos held out for validation",
        source="JHMDB 2-D poses as published with DD-Net",
        licence="MIT",
    )
    table = pd.DataFrame([asdict(video) for video in videos])
    write_manifest(Manifest(header, table, folder / "data"), folder / "manifest.csv")

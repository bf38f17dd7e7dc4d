"""Tables on real human motion: JHMDB poses drawn and encoded, official split 1.

    python benchmarks/real_motion.py table1 --processes 2

Draws the poses as videos, holds a fifth of the training videos out for validation, and makes the
table as `featkd experiment` does: each method's weight by the same search on the validation videos,
then every row with every seed, measured on the test videos. Interrupted, it resumes. Writes
benchmarks/results/<table>_real_motion.json and .md. The poses are those of `data/motion` in the
folder of shared data (FEATKD_SHARED), or --poses.
"""

import argparse
import os
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from pose_video import load_poses, render_poses
from table_record import record_table

from featkd.cli.experiment_stages import make_tables
from featkd.cli.progress import show_progress
from featkd.manifest import Manifest, ManifestHeader, write_manifest
from featkd.recipes import load_recipe
from featkd.recipes.table import load_table
from featkd.types import Progress

RECIPE = Path(__file__).parent / "real_motion.yaml"


def make_manifest(npz_path: Path, folder: Path, progress: Progress) -> None:
    """Draw the videos and list them."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = Path(os.environ.get("FEATKD_SHARED", "../shared"))
    parser.add_argument("table")
    parser.add_argument(
        "--poses", type=Path, default=shared / "data" / "motion" / "jhmdb14_gt2dpose.npz"
    )
    parser.add_argument("--workdir", type=Path, default=Path("runs/real_motion"))
    parser.add_argument("--rows", default="", help="some of the table's, by commas; default: all")
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--search-seeds", default="0")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    arguments = parser.parse_args()
    folder = arguments.workdir
    paths = [
        f"workdir={folder}",
        f"data.manifest={folder}/manifest.csv",
        f"data.root={folder}/data",
    ]
    recipe = load_recipe(RECIPE, [*paths, *arguments.overrides])
    with show_progress(quiet=False) as progress:
        make_manifest(arguments.poses, folder, progress)
        (table,) = make_tables(
            load_table(arguments.table),
            [recipe],
            [name for name in arguments.rows.split(",") if name],
            [int(seed) for seed in arguments.seeds.split(",")],
            search_seeds=[int(seed) for seed in arguments.search_seeds.split(",")],
            num_processes=arguments.processes,
            progress=progress,
        )
    record_table(table, recipe)


if __name__ == "__main__":
    main()

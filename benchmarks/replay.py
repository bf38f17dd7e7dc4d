"""Replay rows of a cache made from real clips: the same pixels, the same answers.

    python benchmarks/replay.py --rows 200

The clips of `<shared>/data/videos` (set FEATKD_SHARED, default ../shared), as they were filmed and
as phones, editors and cameras left them, go through a small I3D with random weights. Then random
rows are decoded and rendered again and the teacher is asked again: both checksums must be equal,
and what the teacher says within the tolerance of its number format. Writes
benchmarks/results/replay.json.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import torch
from record import save_record

from featkd.experiment import Workspace
from featkd.extract import extract
from featkd.extract.replay import RELATIVE_L2_TOLERANCE, replay
from featkd.manifest import build_from_folders, write_manifest
from featkd.models import ModelSpec, NetworkCard, PreprocessSpec, save_network
from featkd.recipes import load_recipe

SHARED = Path(os.environ.get("FEATKD_SHARED", "../shared"))


def make_workspace(folder: Path, num_views: int) -> Workspace:
    root = folder / "videos"
    root.mkdir()
    for name in ("awkward", "known_label_clips"):
        (root / name).symlink_to((SHARED / "data" / "videos" / name).resolve())
    manifest = build_from_folders(root, dataset="real clips").with_rejected()
    write_manifest(manifest, folder / "manifest.csv")
    card = NetworkCard(
        model=ModelSpec(width=0.25),
        classes=manifest.header.classes,
        num_frames=16,
        preprocess=PreprocessSpec(size=112),
    )
    (folder / "teacher").mkdir()
    torch.manual_seed(0)
    save_network(folder / "teacher" / "model.safetensors", card.build(), card)
    settings = [
        f"workdir={folder}",
        f"data.manifest={folder}/manifest.csv",
        f"data.root={manifest.root}",
        f"views.train={{num_frames: 16, num_views: {num_views}}}",
        "extract.part_rows=32",
        "extract.batch_size=8",
    ]
    return Workspace(load_recipe("demo", settings))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--views", type=int, default=6, help="views of each clip")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = make_workspace(Path(folder), arguments.views)
        extracted = extract(workspace)
        started = time.perf_counter()
        found = replay(workspace, num_rows=arguments.rows, seed=arguments.seed)
        replay_sec = time.perf_counter() - started
        num_clips = len(workspace.train_clips())
    result = {
        "clips": num_clips,
        "rows_of_the_cache": extracted.num_rows,
        "rows_without_data": extracted.num_failed,
        "rows_replayed": found.num_rows,
        "rows_equal_in_every_bit": found.num_exact,
        "worst_relative_l2": found.worst_relative_l2,
        "tolerance": RELATIVE_L2_TOLERANCE,
        "different": [[item.row, item.video_id, item.problem] for item in found.different],
        "replay_sec": round(replay_sec, 1),
    }
    save_record("replay", result)
    print(result)
    if found.different or found.num_rows < arguments.rows:
        raise SystemExit(f"{len(found.different)} differences in {found.num_rows} rows")


if __name__ == "__main__":
    main()

"""Kill extraction with SIGKILL at random moments, resume it, and compare what comes out.

    python benchmarks/killed_extraction.py --kills 50

An uninterrupted extraction gives the arrays to compare with and the time it takes. Then `featkd
extract` is started again and again on another cache and killed at a uniformly random moment of that
time; when it gets through, its arrays are compared and a new cache is begun, until the kills are
used up. Fails if an array differs or if a committed part is written a second time. Writes
benchmarks/results/killed_extraction.json.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from record import save_record

from featkd.cache import FolderStore
from featkd.experiment import Workspace, synthesize_dataset, train_teacher
from featkd.recipes import dump_recipe, load_recipe

SETTINGS = (
    "synthetic.videos_per_class={train: 24, val: 1, test: 1}",
    "teacher.training.num_epochs=1",
    "extract.part_rows=16",
)


def start(recipe_path: Path) -> subprocess.Popen[bytes]:
    command = [
        str(Path(sys.executable).with_name("featkd")),
        "extract",
        str(recipe_path),
        "--quiet",
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def read_arrays(cache: Path) -> dict[str, torch.Tensor]:
    with FolderStore.open(cache) as store:
        names = [array.name for layer in store.layers().values() for array in layer.arrays]
        return {name: store.read_rows(name, range(store.num_rows)) for name in names}


def commits(cache: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of writing of every commit record."""
    found = cache.glob("commits/teacher/*.json")
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    generator = np.random.default_rng(arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        manifest = folder / "data" / "manifest.csv"
        recipe = load_recipe(
            "demo", [*SETTINGS, f"workdir={folder}/work", f"data.manifest={manifest}"]
        )
        if recipe.synthetic is None:
            raise SystemExit("recipe 'demo' describes no videos")
        synthesize_dataset(recipe.synthetic, manifest.parent)
        workspace = Workspace(recipe)
        train_teacher(workspace)
        recipe_path = folder / "recipe.yaml"
        recipe_path.write_text(dump_recipe(recipe))

        started = time.perf_counter()
        if start(recipe_path).wait() != 0:
            raise SystemExit("the uninterrupted extraction failed")
        whole_seconds = time.perf_counter() - started
        expected = read_arrays(workspace.cache_path)
        shutil.rmtree(workspace.cache_path)

        record: list[dict[str, float | int]] = []
        completions = 0
        seen: dict[str, tuple[int, int]] = {}
        while len(record) < arguments.kills or commits(workspace.cache_path) or not completions:
            moment = float(generator.uniform(0.0, whole_seconds))
            process = start(recipe_path)
            try:
                status = process.wait(timeout=moment if len(record) < arguments.kills else None)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                status = None
            now = commits(workspace.cache_path)
            rewritten = [name for name, mark in seen.items() if now.get(name) != mark]
            if rewritten:
                raise SystemExit(f"committed parts were written again: {rewritten}")
            seen = now
            if status is None:
                record.append({"killed_after_sec": round(moment, 3), "parts_committed": len(now)})
                continue
            if status != 0:
                raise SystemExit(f"a resumed extraction ended with status {status}")
            found = read_arrays(workspace.cache_path)
            different = [n for n, values in expected.items() if not torch.equal(values, found[n])]
            if different or found.keys() != expected.keys():
                raise SystemExit(f"arrays differ from the uninterrupted run's: {different}")
            completions += 1
            shutil.rmtree(workspace.cache_path)
            seen = {}
        result = {
            "uninterrupted_seconds": whole_seconds,
            "kills": record,
            "completed_caches_compared": completions,
            "arrays": sorted(expected),
            "parts": -(-len(expected["logits"]) // recipe.extract.part_rows),
        }
    save_record("killed_extraction", result)
    print(f"{len(record)} kills, {completions} caches completed after them, all arrays equal")


if __name__ == "__main__":
    main()

"""Flip random bytes of a cache and see who notices: `verify`, and a reader that reads everything.

    python benchmarks/flipped_bytes.py --flips 1000

A small experiment is extracted and represented, in Zarr and in HDF5, with a tap in every number
format, frames, a failed video and rows that were added later. Half of the flips go to a file chosen
at random, half to a byte chosen at random among all; each is put back before the next. Fails if a
reader gets other values, or if a flip is not reported by `verify` or not refused by the reader,
but for the files that featkd does not read (`NOT_READ`: they are for other programs, for people and
for repair). These are in the record by name, with the number of flips after which a reader that
read everything got equal values. Writes benchmarks/results/flipped_bytes.json.
"""

import argparse
import re
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from record import save_record

from featkd.cache import FolderStore
from featkd.cache.verify import verify
from featkd.errors import CacheError
from featkd.experiment import Workspace, represent, synthesize_dataset, train_teacher
from featkd.extract import extract
from featkd.recipes import load_recipe

SETTINGS = (
    "device=cpu",
    "synthetic.videos_per_class={train: 5, val: 1, test: 1}",
    "synthetic.classes=[translate_left, rotate_clockwise, blink]",
    "synthetic.size=40",
    "views.train={num_frames: 16, num_views: 2}",
    "teacher.model.width=0.0625",
    "teacher.preprocess.size=32",
    "teacher.training={num_epochs: 1, batch_size: 4}",
    "representation.num_epochs=1",
    "representation.batch_size=4",
    "extract.part_rows=10",
    "extract.batch_size=4",
    "extract.frames={size: 24, image: jpeg}",
    "extract.taps=[Mixed_3b.pooled, Mixed_4b.pooled, Mixed_4c.pooled, Mixed_4d.full]",
    (
        "extract.codecs={Mixed_3b.pooled: {dtype: bfloat16}, Mixed_4d.full: {dtype: scaled_uint8}, "
        "Mixed_4b.pooled: {dtype: float8_e4m3}, Mixed_4c.pooled: {dtype: float8_e5m2}}"
    ),
)
NOT_READ = {"featkd.copy.json", "zarr.json", "cache.h5", "recipe.yaml", "writer.lock"}
NOT_VERIFIED = {"recipe.yaml", "writer.lock"}


def make_cache(folder: Path, backend: str) -> Path:
    settings = [
        *SETTINGS,
        f"workdir={folder}",
        f"data.manifest={folder}/data/manifest.csv",
        f"extract.backend={backend}",
    ]
    recipe = load_recipe("demo", settings)
    if recipe.synthetic is None:
        raise SystemExit("recipe 'demo' describes no videos")
    synthesize_dataset(recipe.synthetic, recipe.data.manifest.parent)
    workspace = Workspace(recipe)
    train_teacher(workspace)
    workspace.train_clips()[3].path.write_bytes(b"not a video")
    extract(workspace)
    represent(workspace)
    more_views = Workspace(load_recipe("demo", [*settings, "views.train.num_views=3"]))
    extract(more_views)
    represent(more_views)
    return workspace.cache_path


def read_everything(cache: Path) -> dict[str, object]:
    """All that a reader can ask for."""
    with FolderStore.open(cache) as store:
        found: dict[str, object] = {"rows": store.rows.to_json()}
        for name, layer in store.layers().items():
            failed = store.failures(name)
            rows = [row for row in store.layout.row_numbers().tolist() if row not in failed]
            found[name] = (layer.model_dump(), failed, sorted(store.committed_parts(name)))
            for array in layer.arrays:
                values = store.read_rows(array.name, rows)
                if values.dtype == torch.bfloat16:
                    values = values.view(torch.uint16)
                found[array.name] = values.numpy().tobytes()
        for name in store.module_names():
            module = store.load_module(name)
            state = {key: value.numpy().tobytes() for key, value in module.state_dict.items()}
            found[f"module {name}"] = (state, module.arguments)
        return found


def flip_bytes(cache: Path, num_flips: int, generator: np.random.Generator) -> dict[str, object]:
    expected = read_everything(cache)
    files = sorted(path for path in cache.rglob("*") if path.is_file())
    sizes = np.array([path.stat().st_size for path in files], dtype=float)
    chosen = [
        *generator.integers(len(files), size=num_flips // 2).tolist(),
        *generator.choice(len(files), size=num_flips - num_flips // 2, p=sizes / sizes.sum()),
    ]
    by_verify, by_reader, by_kind = 0, 0, Counter[str]()
    unnoticed: Counter[str] = Counter()
    harmless: Counter[str] = Counter()
    for index in chosen:
        path = files[int(index)]
        name = path.relative_to(cache).as_posix()
        by_kind[re.sub(r"/.*", "/", name)] += 1
        content = path.read_bytes()
        position = int(generator.integers(len(content)))
        spoilt = bytearray(content)
        spoilt[position] ^= int(generator.integers(1, 256))
        path.write_bytes(spoilt)
        if verify(cache).damages:
            by_verify += 1
        else:
            unnoticed[name] += 1
        try:
            if read_everything(cache) != expected:
                raise SystemExit(f"byte {position} of {name}: a reader got other values")
            harmless[name] += 1
        except CacheError:
            by_reader += 1
        path.write_bytes(content)
    if {Path(name).name for name in unnoticed} - NOT_VERIFIED:
        raise SystemExit(f"verify does not report flips in {sorted(unnoticed)}")
    if {Path(name).name for name in harmless} - NOT_READ:
        raise SystemExit(f"readers do not notice flips in {sorted(harmless)}")
    return {
        "files": len(files),
        "bytes": int(sizes.sum()),
        "flips": len(chosen),
        "flips_by_place": dict(sorted(by_kind.items())),
        "reported_by_verify": by_verify,
        "refused_by_reader": by_reader,
        "reader_got_other_values": 0,
        "unreported_by_verify": dict(sorted(unnoticed.items())),
        "reader_got_equal_values_all_the_same": dict(sorted(harmless.items())),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=1000, help="half of them in Zarr")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    generator = np.random.default_rng(arguments.seed)
    backends = {}
    for backend in ("zarr", "hdf5"):
        with tempfile.TemporaryDirectory() as folder:
            cache = make_cache(Path(folder), backend)
            backends[backend] = flip_bytes(cache, arguments.flips // 2, generator)
        print(backend, backends[backend])
    save_record("flipped_bytes", {"backends": backends})


if __name__ == "__main__":
    main()

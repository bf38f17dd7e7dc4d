"""What each number format costs: bytes, error of the maps, accuracy of a student.

    python benchmarks/codec_accuracy.py

One teacher is trained on the demo's generated motions. For each number format two of its full maps
are extracted into a cache of their own (zstd, and once more lz4 for the bytes), the representation
is learned from the last map, and students are distilled by the generative method, one for each
seed; students alone, with the same seeds, stand beside them. Errors are those of the same rows'
float32 maps. Resumable: what is finished is not done again. Writes
benchmarks/results/codec_accuracy.json and .md.
"""

import argparse
import shutil
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from record import RESULTS, save_record

from featkd.cache import ArraySpec, FeatureDtype, FolderStore, feature_array, stored_arrays
from featkd.cache.codec_error import measure_codec_error
from featkd.cli.progress import show_progress
from featkd.experiment import (
    Workspace,
    evaluate_run,
    represent,
    synthesize_dataset,
    train_teacher,
)
from featkd.experiment.student_pool import Student, train_students
from featkd.extract import extract
from featkd.recipes import Recipe, load_recipe
from featkd.types import Progress, TapSpec

DTYPES: tuple[FeatureDtype, ...] = (
    "float32",
    "float16",
    "bfloat16",
    "scaled_uint8",
    "float8_e4m3",
    "float8_e5m2",
)
COMPRESSIONS = ("zstd", "lz4")
ARRAYS = tuple(feature_array(TapSpec(layer, "full")) for layer in ("Mixed_4f", "Mixed_5c"))
METHOD, ALONE = "generative", "none"
# Most of them mirror images or reversals of one another.
MOTIONS = (
    "translate_left",
    "translate_right",
    "rotate_clockwise",
    "rotate_counterclockwise",
    "zoom_in",
    "zoom_out",
    "orbit",
    "bounce",
)
SETTINGS = (
    "name=codec_accuracy",
    f"synthetic.classes=[{', '.join(MOTIONS)}]",
    "synthetic.videos_per_class={train: 60, val: 1, test: 60}",
    "student.training.num_epochs=12",
    "extract.taps=[Mixed_4f.full]",
    "distillers={none: {kind: none}, generative: {kind: generative, attention_weight: 10.0}}",
)
NUM_ROWS_COMPARED = 256


def in_folder(folder: Path, name: str, overrides: Sequence[str]) -> Recipe:
    """The benchmark's recipe with outputs in a folder of its own, on the videos all share."""
    paths = [f"workdir={folder}/{name}", f"data.manifest={folder}/data/manifest.csv"]
    return load_recipe("demo", [*SETTINGS, *overrides, *paths])


def prepare_teacher(recipe: Recipe, progress: Progress) -> tuple[Workspace, float]:
    """Videos and a trained teacher; its top-1 on the test videos."""
    if recipe.synthetic is None:
        raise SystemExit("recipe 'demo' describes no videos")
    synthesize_dataset(recipe.synthetic, recipe.data.manifest.parent, progress)
    workspace = Workspace(recipe)
    train_teacher(workspace, progress)
    accuracy = evaluate_run(workspace, workspace.teacher_folder, progress=progress)
    return workspace, accuracy.top1


def extract_with(recipe: Recipe, teacher: Workspace, progress: Progress) -> Workspace:
    """A cache of the common teacher in the recipe's own number format."""
    workspace = Workspace(recipe)
    if not workspace.teacher_folder.exists():
        shutil.copytree(teacher.teacher_folder, workspace.teacher_folder)
    extract(workspace, progress)
    return workspace


def bytes_a_row(workspace: Workspace, array_name: str) -> float:
    """Stored bytes of an array, scales included."""
    with FolderStore.open(workspace.cache_path) as store:
        (found,) = [
            (name, array)
            for name, layer in store.layers().items()
            for array in layer.arrays
            if array.name == array_name
        ]
        layer, spec = found
        paths = [
            (part, store.files.part_file(stored, part).relative_to(store.path).as_posix())
            for part in range(store.num_parts)
            for stored in stored_arrays(spec)
        ]
        sizes = [store.commit(layer, part).files[path].num_bytes for part, path in paths]
        return sum(sizes) / store.num_rows


def measure_error(exact: Workspace, array_name: str, dtype: FeatureDtype) -> dict[str, float]:
    """What a number format does to rows of the float32 cache."""
    with FolderStore.open(exact.cache_path) as store:
        num_rows = min(NUM_ROWS_COMPARED, store.num_rows)
        rows = np.linspace(0, store.num_rows - 1, num_rows).astype(int).tolist()
        values = store.read_rows(array_name, rows).numpy()
    spec = ArraySpec(name="maps", shape=values.shape[1:], dtype=dtype)
    error = measure_codec_error(spec, values)
    return {
        "relative_l2": error.relative_l2,
        "cosine": error.cosine,
        "worst_channel_relative_l2": error.worst_channel_relative_l2,
        "nonzeros_lost": error.nonzeros_lost,
        "zeros": 1 - error.num_nonzeros / error.num_values,
    }


def describe(top1: Sequence[float]) -> dict[str, object]:
    """Every seed, mean, and standard deviation of the sample."""
    return {
        "seeds": list(top1),
        "mean": statistics.fmean(top1),
        "deviation": statistics.stdev(top1) if len(top1) > 1 else None,
    }


def as_markdown(teacher_top1: float, alone: Mapping[str, Any], codecs: Mapping[str, Any]) -> str:
    """Bytes and errors by array, then accuracies."""
    lines = [
        "# Number formats of a teacher's full maps",
        "",
        "A trained miniature I3D on generated motions. Bytes of a row; errors of the same rows.",
        "",
        "| map | format | zstd | lz4 | of float32 | relative L2 | cosine | worst channel | lost |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for array in ARRAYS:
        exact_bytes = codecs["float32"]["arrays"][array]["bytes_a_row"]["zstd"]
        for dtype, codec in codecs.items():
            found = codec["arrays"][array]
            stored, error = found["bytes_a_row"], found["error"]
            lines.append(
                f"| {array} | {dtype} | {stored['zstd']:.0f} | {stored['lz4']:.0f} "
                f"| {stored['zstd'] / exact_bytes:.0%} | {error['relative_l2']:.1e} "
                f"| {error['cosine']:.6f} | {error['worst_channel_relative_l2']:.1e} "
                f"| {error['nonzeros_lost']:.2%} |"
            )
    lines += [
        "",
        "``lost`` is the share of non-zeros that come back as zero. Top-1, in percent, of students",
        f"distilled from {ARRAYS[-1]} of each cache; the teacher has {100 * teacher_top1:.1f}.",
        "",
        "| student of | every seed | mean | deviation |",
        "|---|---|---:|---:|",
        *(
            _accuracies(name, top1)
            for name, top1 in (
                ("nobody", alone),
                *((dtype, codec["top1"]) for dtype, codec in codecs.items()),
            )
        ),
    ]
    return "\n".join(lines) + "\n"


def _accuracies(name: str, top1: Mapping[str, Any]) -> str:
    seeds = " ".join(f"{100 * value:.1f}" for value in top1["seeds"])
    deviation = "" if top1["deviation"] is None else f"{100 * top1['deviation']:.1f}"
    return f"| {name} | {seeds} | {100 * top1['mean']:.1f} | {deviation} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", type=Path, default=Path("runs/codec_accuracy"))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--dtypes", default=",".join(DTYPES), help="float32 has to be the first")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    alone: dict[str, object] = {}
    codecs: dict[str, dict[str, object]] = {}
    with show_progress(quiet=False) as progress:
        common = in_folder(arguments.workdir, "common", arguments.overrides)
        teacher, teacher_top1 = prepare_teacher(common, progress)
        exact: Workspace | None = None
        for dtype in arguments.dtypes.split(","):
            num_bytes: dict[str, dict[str, float]] = {array: {} for array in ARRAYS}
            for compression in reversed(COMPRESSIONS):  # zstd last: students read that
                settings = [f"extract.dtype={dtype}", f"extract.compression={compression}"]
                name = f"{dtype}-{compression}"
                recipe = in_folder(arguments.workdir, name, [*arguments.overrides, *settings])
                workspace = extract_with(recipe, teacher, progress)
                for array, sizes in num_bytes.items():
                    sizes[compression] = bytes_a_row(workspace, array)
            exact = exact or workspace
            represent(workspace, progress)
            methods = (METHOD, ALONE) if dtype == "float32" else (METHOD,)
            top1 = train_students(
                workspace.recipe,
                [Student(method, seed) for method in methods for seed in seeds],
                split=workspace.recipe.data.test_split,
                num_processes=arguments.processes,
                progress=progress,
            )
            if ALONE in methods:
                alone = describe([top1[Student(ALONE, seed)] for seed in seeds])
            codecs[dtype] = {
                "arrays": {
                    array: {
                        "bytes_a_row": num_bytes[array],
                        "error": measure_error(exact, array, dtype),
                    }
                    for array in ARRAYS
                },
                "top1": describe([top1[Student(METHOD, seed)] for seed in seeds]),
            }
    save_record(
        "codec_accuracy",
        {
            "teacher_top1": teacher_top1,
            "student_alone_top1": alone,
            "codecs": codecs,
            "recipe": common.model_dump(mode="json"),
        },
        device=teacher.device,
    )
    table = as_markdown(teacher_top1, alone, codecs)
    (RESULTS / "codec_accuracy.md").write_text(table, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()

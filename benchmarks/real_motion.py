"""Real human motion, end to end: JHMDB poses drawn and encoded, teacher, cache, students, table.

    python benchmarks/real_motion.py --seeds 0,1,2

Two phases, both on official split 1 and both resumable. First each method's weight is chosen by the
same search (benchmarks/weight_search.py) with a fifth of the training videos held out for
validation. Then the teacher is trained on all training videos, its cache made, and every method's
student trained with the chosen weight, once per seed, and measured on the test videos once. The
table, with every seed, goes to benchmarks/results/real_motion.json and .md.
"""

import argparse
import os
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from pose_video import load_poses, render_poses
from record import RESULTS, save_record
from student_pool import train_students
from weight_search import search

from featkd.cli.progress import show_progress
from featkd.evaluation import Comparison, compare, find_runs, write_report
from featkd.experiment import (
    Workspace,
    evaluate,
    evaluate_run,
    middle_frame_repeated,
    represent,
    train_teacher,
)
from featkd.extract import extract
from featkd.manifest import Manifest, ManifestHeader, write_manifest
from featkd.recipes import Recipe, load_recipe
from featkd.types import Progress

RECIPE = Path(__file__).parent / "real_motion.yaml"
METHODS = ["kd", "at", "generative"]


def make_manifests(npz_path: Path, folder: Path, progress: Progress) -> None:
    """Draw the videos; write one manifest with a validation split and one without."""
    videos = render_poses(npz_path, folder / "data", progress=progress)
    table = pd.DataFrame([asdict(video) for video in videos])
    whole = table.assign(split=table["split"].replace("val", "train"))
    for name, rows in (("search", table), ("final", whole)):
        header = ManifestHeader(
            dataset="jhmdb14_poses",
            version=name,
            classes=load_poses(npz_path).class_names,
            protocol="official split 1; search holds a fifth of its training videos out",
            source="JHMDB 2-D poses as published with DD-Net",
            licence="MIT",
        )
        (folder / name).mkdir(parents=True, exist_ok=True)
        path = folder / name / "manifest.csv"
        write_manifest(Manifest(header, rows, folder / "data"), path)


def in_folder(folder: Path, overrides: list[str]) -> Recipe:
    """The benchmark's recipe with its outputs below a folder."""
    paths = [f"workdir={folder}", f"data.manifest={folder}/manifest.csv"]
    return load_recipe(RECIPE, [*paths, f"data.root={folder.parent}/data", *overrides])


def run_final(
    recipe: Recipe, seeds: list[int], *, num_processes: int, progress: Progress
) -> tuple[Comparison, float]:
    """Teacher, cache, every student; the comparison and the teacher's accuracy on still clips."""
    workspace = Workspace(recipe)
    train_teacher(workspace, progress)
    evaluate_run(workspace, workspace.teacher_folder, progress=progress)
    still = evaluate(
        workspace,
        workspace.teacher_folder / "model.safetensors",
        recipe.data.test_split,
        show=middle_frame_repeated,
        progress=progress,
    )
    extract(workspace, progress)
    represent(workspace, progress)
    jobs = [(name, seed) for seed in seeds for name in recipe.distillers]
    split = recipe.data.test_split
    train_students(recipe, jobs, split=split, num_processes=num_processes, progress=progress)
    folders = [workspace.student_folder(*job) for job in jobs]
    runs = find_runs([workspace.teacher_folder, *folders])
    write_report(recipe.folder, recipe.folder / "report.html", title="Real motion")
    return compare(runs), still.top1


def as_markdown(comparison: Comparison, still_top1: float, weights: dict[str, float]) -> str:
    """The table, every seed in it."""
    lines = [
        "# Real motion: JHMDB poses, official split 1",
        "",
        f"{comparison.num_videos} test videos, {comparison.num_classes} classes. Top-1 in percent. "
        "Weights chosen on a validation split: "
        + ", ".join(f"{name} {value:g}" for name, value in weights.items())
        + f". The teacher, shown one frame repeated: {100 * still_top1:.1f}.",
        "",
        "| method | model | every seed | mean | deviation | against the student alone | GMAC |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for group in comparison.groups:
        seeds = " ".join(f"{100 * r.top1:.1f}" for r in group.results if r.top1 is not None)
        mean = "" if group.mean is None else f"{100 * group.mean:.1f}"
        spread = "" if group.deviation is None else f"{100 * group.deviation:.1f}"
        change = "" if group.difference is None else f"{100 * group.difference.mean:+.1f}"
        gmac = "" if group.gmac is None else f"{group.gmac:.3f}"
        lines.append(
            f"| {group.name} | {group.model} | {seeds} | {mean} | {spread} | {change} | {gmac} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    shared = Path(os.environ.get("FEATKD_SHARED", "../shared"))
    default = shared / "data" / "motion" / "jhmdb14_gt2dpose.npz"
    parser.add_argument("--poses", type=Path, default=default)
    parser.add_argument("--workdir", type=Path, default=Path("runs/real_motion"))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--search-seeds", default="0")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    search_seeds = [int(seed) for seed in arguments.search_seeds.split(",")]
    with show_progress(quiet=False) as progress:
        make_manifests(arguments.poses, arguments.workdir, progress)
        recipe = in_folder(arguments.workdir / "search", arguments.overrides)
        searched = search(
            recipe,
            METHODS,
            search_seeds,
            num_processes=arguments.processes,
            progress=progress,
        )
        weights = {method: float(str(found["chosen"])) for method, found in searched.items()}
        chosen = [f"distillers.{m}.{searched[m]['key']}={value}" for m, value in weights.items()]
        recipe = in_folder(arguments.workdir / "final", [*arguments.overrides, *chosen])
        comparison, still_top1 = run_final(
            recipe, seeds, num_processes=arguments.processes, progress=progress
        )
    save_record(
        "real_motion",
        {
            "search": searched,
            "teacher_one_frame_repeated": still_top1,
            "comparison": comparison.to_json(),
            "recipe": recipe.model_dump(mode="json"),
        },
        device=Workspace(recipe).device,
    )
    table = as_markdown(comparison, still_top1, weights)
    (RESULTS / "real_motion.md").write_text(table)
    print(table)


if __name__ == "__main__":
    main()

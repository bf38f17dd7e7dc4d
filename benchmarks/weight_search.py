"""Choose each method's weight by the same search: five values, factor sqrt(10), validation split.

    python benchmarks/weight_search.py demo --methods kd,generative --seeds 0

Trains one student per value and seed, measures each on the recipe's validation split (never on the
test split), prints the table and writes it to benchmarks/results/weight_search_<recipe>.json. The
value with the best mean wins; a tie goes to the smaller value. Interrupted, it resumes.
"""

import argparse
import json
import statistics

from record import save_record
from student_pool import train_students

from featkd.cli.progress import show_progress
from featkd.distillers import DistillerSpec
from featkd.experiment import Workspace, represent, synthesize_dataset, train_teacher
from featkd.extract import extract
from featkd.recipes import Recipe, load_recipe
from featkd.types import Progress

GRID: dict[str, tuple[str, tuple[float, ...]]] = {
    "kd": ("kd_weight", (0.1, 0.32, 1.0, 3.2, 10.0)),
    "at": ("beta", (10.0, 32.0, 100.0, 320.0, 1000.0)),
    "generative": ("attention_weight", (3.2, 10.0, 32.0, 100.0, 320.0)),
}
"""Method to the weight that is searched and its five values."""


def with_candidates(
    recipe: Recipe, methods: list[str]
) -> tuple[Recipe, dict[str, dict[str, float]]]:
    """The recipe with one distiller per candidate, and the candidates by method and name."""
    distillers: dict[str, DistillerSpec] = dict(recipe.distillers)
    names: dict[str, dict[str, float]] = {}
    for method in methods:
        key, values = GRID[method]
        names[method] = {f"{method}_{key}_{value:g}": value for value in values}
        for name, value in names[method].items():
            distillers[name] = recipe.distillers[method].model_copy(update={key: value})
    return recipe.model_copy(update={"distillers": distillers}), names


def search(
    recipe: Recipe,
    methods: list[str],
    seeds: list[int],
    *,
    num_processes: int,
    progress: Progress,
) -> dict[str, dict[str, object]]:
    """Train and measure every candidate; teacher, cache and representation are made if missing."""
    recipe, names = with_candidates(recipe, methods)
    workspace = Workspace(recipe)
    train_teacher(workspace, progress)
    extract(workspace, progress)
    represent(workspace, progress)
    split = recipe.data.validation_split
    jobs = [(name, seed) for method in methods for name in names[method] for seed in seeds]
    measured = train_students(
        recipe, jobs, split=split, num_processes=num_processes, progress=progress
    )
    report: dict[str, dict[str, object]] = {}
    for method in methods:
        rows = []
        for name, value in names[method].items():
            top1 = [measured[name, seed] for seed in seeds]
            rows.append({"value": value, "top1": top1, "mean": statistics.mean(top1)})
        best = max(rows, key=lambda row: (row["mean"], -row["value"]))
        report[method] = {
            "key": GRID[method][0],
            "split": split,
            "seeds": seeds,
            "candidates": rows,
            "chosen": best["value"],
        }
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--methods", default="kd,at,generative")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--workdir", default=None)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    arguments = parser.parse_args()
    overrides = list(arguments.overrides)
    if arguments.workdir:
        overrides += [
            f"workdir={arguments.workdir}",
            f"data.manifest={arguments.workdir}/data/manifest.csv",
        ]
    recipe = load_recipe(arguments.recipe, overrides)
    with show_progress(quiet=False) as progress:
        if recipe.synthetic is not None:
            synthesize_dataset(recipe.synthetic, recipe.data.manifest.parent, progress)
        report = search(
            recipe,
            arguments.methods.split(","),
            [int(seed) for seed in arguments.seeds.split(",")],
            num_processes=arguments.processes,
            progress=progress,
        )
    path = save_record(f"weight_search_{recipe.name}", {"methods": report})
    print(json.dumps({m: r["chosen"] for m, r in report.items()}), f"-> {path}")


if __name__ == "__main__":
    main()

"""One of the paper's tables in miniature, recorded.

    python benchmarks/paper_table.py table1 --data synthetic --processes 2
    python benchmarks/paper_table.py table1 --data real_motion --processes 2
    python benchmarks/paper_table.py table3 --data synthetic --processes 2
    python benchmarks/paper_table.py table2 --data untrimmed --seeds 0,1,2 --processes 2

Makes the table as `featkd experiment` does: each method's weight by the same search on the
validation videos, then every row with every seed, measured on the test videos. Interrupted, it
resumes. *synthetic* are the six generated motions of the table's miniature recipe; *real_motion*
are the human poses of `data/motion` in the folder of shared data (FEATKD_SHARED), or of --poses,
drawn as videos, whose teacher starts from that of the recipe `mini`; *untrimmed* are the videos of
several actions of `mini_detection`, whose backbones start from classifiers that `mini` trains.
Writes benchmarks/results/<table>_<recipe>.json and .md.
"""

import argparse
import os
from pathlib import Path

from real_motion import RECIPE, make_dataset
from table_record import record_table

from featkd.cli.experiment_stages import make_tables
from featkd.cli.progress import show_progress
from featkd.experiment import Workspace, synthesize_dataset, train_teacher
from featkd.recipes import AnyRecipe, DetectionRecipe, Recipe, load_any_recipe, load_recipe
from featkd.recipes.table import load_table
from featkd.types import Progress


def load_real_motion(overrides: list[str], poses: Path, progress: Progress) -> Recipe:
    """The recipe, its videos drawn, and trained what its teacher starts from."""
    recipe = load_recipe(str(RECIPE), overrides)
    make_dataset(poses, recipe.folder, progress)
    if recipe.teacher.weights is not None:
        train_on_generated_motions(recipe.teacher.weights.file, recipe.teacher.model.name, progress)
    return recipe


def load_untrimmed(overrides: list[str], progress: Progress) -> AnyRecipe:
    """The recipe, its backbones' classifiers trained; `make_tables` makes its videos."""
    recipe = load_any_recipe("mini_detection", overrides)
    assert isinstance(recipe, DetectionRecipe)  # noqa: S101 - as shipped
    for detector in (recipe.teacher, recipe.student):
        if detector.backbone_weights is not None:
            train_on_generated_motions(detector.backbone_weights, detector.model.name, progress)
    return recipe


def train_on_generated_motions(weights: Path, model: str, progress: Progress) -> None:
    """Train the network whose weights another starts from; nothing where they are there."""
    if weights.exists():
        return
    mini = load_recipe("mini", [f"workdir={weights.parents[1]}", f"teacher.model.name={model}"])
    assert mini.synthetic is not None  # noqa: S101 - as shipped
    synthesize_dataset(mini.synthetic, mini.data.manifest.parent, progress)
    train_teacher(Workspace(mini), progress)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = Path(os.environ.get("FEATKD_SHARED", "../shared"))
    parser.add_argument("table")
    parser.add_argument("--data", choices=["synthetic", "real_motion", "untrimmed"], required=True)
    parser.add_argument(
        "--poses", type=Path, default=shared / "data" / "motion" / "jhmdb14_gt2dpose.npz"
    )
    parser.add_argument("--rows", default="", help="some of the table's, by commas; default: all")
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--search-seeds", default="0")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    arguments = parser.parse_args()
    table = load_table(arguments.table)
    with show_progress(quiet=False) as progress:
        recipe: AnyRecipe
        match arguments.data:
            case "synthetic":
                (mini,) = table.mini  # `make_tables` generates its videos
                recipe = load_recipe(mini, arguments.overrides)
            case "real_motion":
                recipe = load_real_motion(arguments.overrides, arguments.poses, progress)
            case _:
                recipe = load_untrimmed(arguments.overrides, progress)
        (made,) = make_tables(
            table,
            [recipe],
            [name for name in arguments.rows.split(",") if name],
            [int(seed) for seed in arguments.seeds.split(",")],
            search_seeds=[int(seed) for seed in arguments.search_seeds.split(",")],
            num_processes=arguments.processes,
            progress=progress,
        )
    record_table(made, recipe)


if __name__ == "__main__":
    main()

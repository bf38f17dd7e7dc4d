"""The stages of a table: what its students need is made first, then the students."""

from collections.abc import Sequence

from featkd.evaluation import read_run, write_report
from featkd.experiment import Workspace, evaluate_run, represent, synthesize_dataset, train_teacher
from featkd.experiment.needs import joint_requirements
from featkd.experiment.table import Table, choose_rows, make_table, with_rows
from featkd.experiment.workspace import write_json
from featkd.extract import extract
from featkd.recipes import Recipe
from featkd.recipes.table import TableSpec
from featkd.types import Progress


def make_tables(
    table: TableSpec,
    recipes: Sequence[Recipe],
    row_names: Sequence[str],
    seeds: Sequence[int],
    *,
    search_seeds: Sequence[int],
    num_processes: int,
    progress: Progress,
) -> list[Table]:
    """Make a table with each recipe, and leave it as JSON and HTML in the recipe's work folder.

    Args:
        table: its specification.
        recipes: data, teacher and student.
        row_names: rows to make; none makes all.
        seeds: of the students, at least one.
        search_seeds: of the search for weights; none takes the papers' weights.
        num_processes: students that are trained at once.
        progress: shows the work.

    Raises:
        FeatkdError: whatever a stage meets.
    """
    rows = choose_rows(table, row_names)
    made = []
    for recipe in recipes:
        prepare(with_rows(recipe, rows), progress)
        result = make_table(
            table,
            recipe,
            rows,
            seeds,
            search_seeds=search_seeds,
            num_processes=num_processes,
            progress=progress,
        )
        write_json(recipe.folder / f"{table.name}.json", result.to_json())
        folders = [recipe.folder / "teacher"]
        folders += [recipe.folder / "students" / f"{n}-seed{seed}" for n in rows for seed in seeds]
        runs = [read_run(folder) for folder in folders]
        write_report(runs, recipe.folder / f"{table.name}.html", title=table.title)
        made.append(result)
    return made


def prepare(recipe: Recipe, progress: Progress) -> None:
    """Make videos, teacher, cache and representation, each where it is missing.

    Raises:
        FeatkdError: whatever a stage meets.
    """
    if recipe.synthetic is not None:
        synthesize_dataset(recipe.synthetic, recipe.data.manifest.parent, progress)
    workspace = Workspace(recipe)
    train_teacher(workspace, progress)
    if not (workspace.teacher_folder / "evaluation.json").exists():
        evaluate_run(workspace, workspace.teacher_folder, progress=progress)
    extract(workspace, progress)
    needs = joint_requirements(recipe)
    if needs.attention_layers or needs.modules:
        represent(workspace, progress)

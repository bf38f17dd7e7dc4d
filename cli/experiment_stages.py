"""The stages of a table: what its students need is made first, then the students."""

from collections.abc import Iterable, Sequence

from featkd.errors import UsageError
from featkd.evaluation import read_run, write_report
from featkd.experiment import (
    Workspace,
    evaluate_run,
    represent,
    synthesize_dataset,
    synthesize_untrimmed_dataset,
    train_teacher,
)
from featkd.experiment.detection.evaluate import evaluate_detector
from featkd.experiment.detection.representation import represent_detector
from featkd.experiment.detection.table import DetectionTable, make_detection_table
from featkd.experiment.detection.train_teacher import train_detection_teacher
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.experiment.needs import joint_requirements
from featkd.experiment.table import Table, make_table
from featkd.experiment.table_rows import choose_rows, with_rows
from featkd.experiment.workspace import write_json
from featkd.extract import extract
from featkd.recipes import AnyRecipe, DetectionRecipe, Recipe
from featkd.recipes.detection_table import DetectionTableSpec
from featkd.recipes.table import AnyTableSpec, TableSpec
from featkd.types import Progress


def make_tables(
    table: AnyTableSpec,
    recipes: Sequence[AnyRecipe],
    row_names: Sequence[str],
    seeds: Sequence[int],
    *,
    search_seeds: Sequence[int],
    num_processes: int,
    progress: Progress,
) -> list[Table | DetectionTable]:
    """Make a table with each recipe, and leave it as JSON in the recipe's work folder.

    A table of classifiers is left there as HTML too.

    Args:
        table: its specification.
        recipes: data, teacher and student.
        row_names: rows to make; none makes all.
        seeds: of the students, at least one.
        search_seeds: of the search for weights; none takes the papers' weights.
        num_processes: students that are trained at once.
        progress: shows the work.

    Raises:
        UsageError: a recipe is of another task than the table.
        FeatkdError: whatever a stage meets.
    """
    made: list[Table | DetectionTable] = []
    for recipe in recipes:
        if isinstance(table, DetectionTableSpec) and isinstance(recipe, DetectionRecipe):
            detectors = choose_rows(table.name, table.rows, row_names)
            prepare_detection(with_rows(recipe, detectors), progress)
            result: Table | DetectionTable = make_detection_table(
                table,
                recipe,
                detectors,
                seeds,
                search_seeds=search_seeds,
                num_processes=num_processes,
                progress=progress,
            )
        elif isinstance(table, TableSpec) and isinstance(recipe, Recipe):
            rows = choose_rows(table.name, table.rows, row_names)
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
            _write_html(table, recipe, rows, seeds)
        else:
            raise UsageError(
                f"recipe {recipe.name!r} is for {recipe.task} and table {table.name!r} for "
                f"{table.task}; expected the same"
            )
        write_json(recipe.folder / f"{table.name}.json", result.to_json())
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


def prepare_detection(recipe: DetectionRecipe, progress: Progress) -> None:
    """`prepare` for detection; raises as it does."""
    if recipe.synthetic is not None:
        synthesize_untrimmed_dataset(recipe.synthetic, recipe.data.manifest.parent, progress)
    workspace = DetectionWorkspace(recipe)
    train_detection_teacher(workspace, progress)
    if not (workspace.teacher_folder / "evaluation.json").exists():
        evaluate_detector(workspace, workspace.teacher_folder, progress=progress)
    extract(workspace, progress)
    needs = joint_requirements(recipe)
    if needs.attention_layers or needs.modules:
        represent_detector(workspace, progress)


def _write_html(
    table: TableSpec, recipe: Recipe, rows: Iterable[str], seeds: Sequence[int]
) -> None:
    folders = [recipe.folder / "teacher"]
    folders += [recipe.folder / "students" / f"{n}-seed{seed}" for n in rows for seed in seeds]
    runs = [read_run(folder) for folder in folders]
    write_report(runs, recipe.folder / f"{table.name}.html", title=table.title)

"""The stages of a table: what its students need is made first, then the students."""

from collections.abc import Iterable, Sequence

from featkd.cli import stages
from featkd.errors import UsageError
from featkd.evaluation import read_run, write_report
from featkd.experiment.detection.table import DetectionTable, make_detection_table
from featkd.experiment.needs import joint_requirements
from featkd.experiment.open_workspace import open_workspace
from featkd.experiment.scores import record_score
from featkd.experiment.table import Table, make_table
from featkd.experiment.table_rows import choose_rows, with_rows
from featkd.experiment.workspace import write_json
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
        UsageError: a recipe is of another task than the table.
        FeatkdError: whatever a stage meets.
    """
    made: list[Table | DetectionTable] = []
    for recipe in recipes:
        if isinstance(table, DetectionTableSpec) and isinstance(recipe, DetectionRecipe):
            detectors = choose_rows(table.name, table.rows, row_names)
            prepare(with_rows(recipe, detectors), progress)
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
        else:
            raise UsageError(
                f"recipe {recipe.name!r} is for {recipe.task} and table {table.name!r} for "
                f"{table.task}; expected the same"
            )
        write_json(recipe.folder / f"{table.name}.json", result.to_json())
        _write_html(table, recipe, [row.name for row in result.rows], seeds)
        made.append(result)
    return made


def prepare(recipe: AnyRecipe, progress: Progress) -> None:
    """Make videos, teacher, cache and representation, each where it is missing.

    Raises:
        FeatkdError: whatever a stage meets.
    """
    workspace = open_workspace(recipe)
    if recipe.synthetic is not None:
        stages.synthesize(workspace, progress)
    stages.train(workspace, progress)
    if not (workspace.teacher_folder / "evaluation.json").exists():
        record_score(workspace, workspace.teacher_folder, progress)
    stages.extract(workspace, progress)
    needs = joint_requirements(recipe)
    if needs.attention_layers or needs.modules:
        stages.represent(workspace, progress)


def _write_html(
    table: AnyTableSpec, recipe: AnyRecipe, rows: Iterable[str], seeds: Sequence[int]
) -> None:
    folders = [recipe.folder / "teacher"]
    folders += [recipe.folder / "students" / f"{n}-seed{seed}" for n in rows for seed in seeds]
    runs = [read_run(folder) for folder in folders]
    write_report(runs, recipe.folder / f"{table.name}.html", title=table.title)

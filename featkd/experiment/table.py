"""Tables of experiments: what is missing of one is trained, then measured and put side by side."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from featkd.errors import UsageError
from featkd.evaluation import Difference, Run, SeedResult, paired_difference, read_run
from featkd.experiment.table_rows import train_rows
from featkd.experiment.weight_search import FoundWeight
from featkd.experiment.workspace import Workspace
from featkd.recipes import Recipe
from featkd.recipes.table import RowSpec, TableSpec
from featkd.types import Progress, Silent


@dataclass(frozen=True, slots=True)
class TableRow:
    """One student over its seeds. Accuracies are fractions, published ones too.

    Attributes:
        name: of its runs.
        label: what the table calls it.
        model: architecture.
        results: by seed.
        mean: of top-1.
        deviation: sample standard deviation of top-1; None for one seed.
        difference: to its baseline, paired by seed; None for a baseline.
        parameters: of what is kept for inference.
        gmac: of what is kept for inference.
        weight: the searched setting and its value; None where the paper's was taken.
        published: top-1 in the paper's table; None where we do not know it.
        published_gmac: cost in the paper's table.
    """

    name: str
    label: str
    model: str
    results: tuple[SeedResult, ...]
    mean: float
    deviation: float | None
    difference: Difference | None
    parameters: int | None
    gmac: float | None
    weight: tuple[str, float] | None
    published: float | None
    published_gmac: float | None


@dataclass(frozen=True, slots=True)
class Table:
    """A finished table.

    Attributes:
        name: of its specification.
        title: what it compares.
        recipe: name of the recipe it was made with.
        split: what was measured.
        num_videos: in that split.
        num_classes: classes.
        teacher_top1: of the teacher.
        rows: in the order of the specification.
        searches: what was found, by row; empty where papers' weights were taken.
    """

    name: str
    title: str
    recipe: str
    split: str
    num_videos: int
    num_classes: int
    teacher_top1: float
    rows: tuple[TableRow, ...]
    searches: Mapping[str, FoundWeight]

    def to_json(self) -> dict[str, object]:
        """As a dictionary of numbers, texts and lists."""
        return {
            **{key: value for key, value in asdict(self).items() if key != "searches"},
            "searches": {name: found.to_json() for name, found in self.searches.items()},
        }


def make_table(
    table: TableSpec,
    recipe: Recipe,
    rows: Mapping[str, RowSpec],
    seeds: Sequence[int],
    *,
    search_seeds: Sequence[int] = (),
    num_processes: int = 1,
    progress: Progress | None = None,
) -> Table:
    """Train and measure every student of a table that is not there yet, and put all side by side.

    Args:
        table: the specification.
        recipe: its teacher is trained and measured, and its cache is complete for the distillers of
            the rows.
        rows: of the table, by name.
        seeds: of the students.
        search_seeds: seeds of the search for weights on the validation split; none takes the
            weights of the specification.
        num_processes: students that are trained at once.
        progress: shows the work.

    Raises:
        FeatkdError: as `train_rows`.
    """
    searches: dict[str, FoundWeight] = {}
    by_model: dict[str, dict[str, RowSpec]] = {}
    for name, row in rows.items():
        by_model.setdefault(row.model or recipe.student.model.name, {})[name] = row
    for model, members in by_model.items():
        searches |= train_rows(
            _with_model(recipe, model),
            members,
            seeds,
            search_seeds=search_seeds,
            num_processes=num_processes,
            progress=progress or Silent(),
        )
    return _assemble(table, recipe, rows, seeds, searches)


def _with_model(recipe: Recipe, model: str) -> Recipe:
    spec = recipe.student.model.model_copy(update={"name": model})
    return recipe.model_copy(update={"student": recipe.student.model_copy(update={"model": spec})})


def _assemble(
    table: TableSpec,
    recipe: Recipe,
    rows: Mapping[str, RowSpec],
    seeds: Sequence[int],
    searches: Mapping[str, FoundWeight],
) -> Table:
    workspace = Workspace(recipe)
    runs = {
        name: [read_run(workspace.student_folder(name, seed)) for seed in seeds] for name in rows
    }
    results = {name: tuple(map(_result, members)) for name, members in runs.items()}
    teacher = read_run(workspace.teacher_folder)
    evaluation = teacher.evaluation
    if evaluation is None:
        raise UsageError(f"{teacher.folder} is not evaluated; run: featkd evaluate")
    return Table(
        name=table.name,
        title=table.title,
        recipe=recipe.name,
        split=evaluation.split,
        num_videos=evaluation.num_videos,
        num_classes=len(evaluation.classes),
        teacher_top1=evaluation.top1,
        rows=tuple(
            _row(
                name,
                row,
                runs[name][0],
                results[name],
                results[row.baseline] if row.baseline else (),
                searches.get(name),
                recipe.name,
            )
            for name, row in rows.items()
        ),
        searches=searches,
    )


def _row(
    name: str,
    row: RowSpec,
    first: Run,
    results: tuple[SeedResult, ...],
    baseline: Sequence[SeedResult],
    found: FoundWeight | None,
    recipe: str,
) -> TableRow:
    top1 = [result.top1 for result in results]
    published = row.published.get(recipe)
    return TableRow(
        name=name,
        label=row.label,
        model=first.summary.model if first.summary else "",
        results=results,
        mean=statistics.fmean(top1),
        deviation=statistics.stdev(top1) if len(top1) > 1 else None,
        difference=paired_difference(results, baseline),
        parameters=first.summary.parameters if first.summary else None,
        gmac=first.summary.gmac if first.summary else None,
        weight=(found.key, found.chosen) if found else None,
        published=None if published is None else published / 100,
        published_gmac=row.published_gmac,
    )


def _result(run: Run) -> SeedResult:
    if run.summary is None or run.evaluation is None:
        raise UsageError(f"{run.folder} is not finished; run the table again")
    return SeedResult(
        seed=run.summary.seed,
        folder=str(run.folder),
        top1=run.evaluation.top1,
        top5=run.evaluation.top5,
        mean_class_accuracy=run.evaluation.mean_class_accuracy,
        seconds=run.summary.seconds,
    )

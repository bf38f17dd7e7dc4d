"""Tables of detectors: what is missing of one is trained, then measured and put side by side."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from featkd.errors import UsageError
from featkd.evaluation import DetectorResult, Difference, Run, difference_by_seed, read_run
from featkd.evaluation.runs import DetectionEvaluation
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.experiment.table_rows import train_rows
from featkd.experiment.weight_search import FoundWeight
from featkd.recipes import DetectionRecipe
from featkd.recipes.detection_table import (
    DetectionRowSpec,
    DetectionTableSpec,
    PublishedDetection,
)
from featkd.types import Progress, Silent


@dataclass(frozen=True, slots=True)
class DetectionFigures:
    """How well segments were found. Fractions of 1.

    Attributes:
        by_threshold: mAP by threshold of tIoU.
        average: over the thresholds.
    """

    by_threshold: dict[str, float]
    average: float


@dataclass(frozen=True, slots=True)
class DetectionTableRow:
    """One student detector over its seeds.

    Attributes:
        name: of its runs.
        label: what the table calls it.
        model: architecture.
        results: by seed.
        mean: over the seeds.
        deviation: sample standard deviation of the average mAP; None for one seed.
        difference: of the average mAP to that of its baseline, paired by seed; None for a baseline.
        parameters: of what is kept for inference.
        gmac: of what is kept for inference.
        weight: the searched setting and its value; None where the paper's was taken.
        published: in the paper's table; None where we do not know it.
    """

    name: str
    label: str
    model: str
    results: tuple[DetectorResult, ...]
    mean: DetectionFigures
    deviation: float | None
    difference: Difference | None
    parameters: int | None
    gmac: float | None
    weight: tuple[str, float] | None
    published: DetectionFigures | None


@dataclass(frozen=True, slots=True)
class DetectionTable:
    """A finished table of detectors.

    Attributes:
        name: of its specification.
        title: what it compares.
        recipe: name of the recipe it was made with.
        split: what was measured.
        num_videos: in that split.
        num_segments: annotated in it.
        num_classes: classes.
        teacher: of the teacher.
        teacher_parameters: of the teacher; None where its run does not say.
        teacher_gmac: of the teacher; None where its run does not say.
        published_teacher: in the paper's table; None where we do not know it.
        rows: in the order of the specification.
        searches: what was found, by row; empty where papers' weights were taken.
    """

    name: str
    title: str
    recipe: str
    split: str
    num_videos: int
    num_segments: int
    num_classes: int
    teacher: DetectionFigures
    teacher_parameters: int | None
    teacher_gmac: float | None
    published_teacher: DetectionFigures | None
    rows: tuple[DetectionTableRow, ...]
    searches: Mapping[str, FoundWeight]

    @property
    def thresholds(self) -> tuple[str, ...]:
        """Of tIoU."""
        return tuple(self.teacher.by_threshold)

    def to_json(self) -> dict[str, object]:
        """As a dictionary of numbers, texts and lists."""
        return {
            **{key: value for key, value in asdict(self).items() if key != "searches"},
            "searches": {name: found.to_json() for name, found in self.searches.items()},
        }


def make_detection_table(
    table: DetectionTableSpec,
    recipe: DetectionRecipe,
    rows: Mapping[str, DetectionRowSpec],
    seeds: Sequence[int],
    *,
    search_seeds: Sequence[int] = (),
    num_processes: int = 1,
    progress: Progress | None = None,
) -> DetectionTable:
    """Train and measure every student of a table that is not there yet, and put all side by side.

    Args:
        table: the specification.
        recipe: its teacher is trained and measured, and its cache is complete for the distillers of
            the rows.
        rows: of the table, by name.
        seeds: of the students.
        search_seeds: seeds of the search for weights, by average mAP on the validation split; none
            takes the weights of the specification.
        num_processes: students that are trained at once.
        progress: shows the work.

    Raises:
        FeatkdError: as `train_rows`.
    """
    searches = train_rows(
        recipe,
        rows,
        seeds,
        search_seeds=search_seeds,
        num_processes=num_processes,
        progress=progress or Silent(),
    )
    workspace = DetectionWorkspace(recipe)
    runs = {
        name: [read_run(workspace.student_folder(name, seed)) for seed in seeds] for name in rows
    }
    results = {name: tuple(map(_result, members)) for name, members in runs.items()}
    teacher_run = read_run(workspace.teacher_folder)
    teacher, trained = _evaluation(teacher_run), teacher_run.summary
    return DetectionTable(
        name=table.name,
        title=table.title,
        recipe=recipe.name,
        split=teacher.split,
        num_videos=teacher.num_videos,
        num_segments=teacher.num_segments,
        num_classes=len(teacher.classes),
        teacher=DetectionFigures(teacher.mean_average_precision, teacher.average),
        teacher_parameters=trained.parameters if trained else None,
        teacher_gmac=trained.gmac if trained else None,
        published_teacher=_fractions(table.published_teacher),
        rows=tuple(
            _row(name, row, runs[name][0], results, searches.get(name))
            for name, row in rows.items()
        ),
        searches=searches,
    )


def _row(
    name: str,
    row: DetectionRowSpec,
    first: Run,
    results: Mapping[str, tuple[DetectorResult, ...]],
    found: FoundWeight | None,
) -> DetectionTableRow:
    own = results[name]
    averages = {result.seed: result.average for result in own}
    baseline = results[row.baseline] if row.baseline else ()
    columns = zip(*(result.by_threshold for result in own), strict=True)
    return DetectionTableRow(
        name=name,
        label=row.label,
        model=first.summary.model if first.summary else "",
        results=own,
        mean=DetectionFigures(
            dict(
                zip(
                    _evaluation(first).mean_average_precision,
                    map(statistics.fmean, columns),
                    strict=True,
                )
            ),
            statistics.fmean(averages.values()),
        ),
        deviation=statistics.stdev(averages.values()) if len(averages) > 1 else None,
        difference=difference_by_seed(averages, {each.seed: each.average for each in baseline}),
        parameters=first.summary.parameters if first.summary else None,
        gmac=first.summary.gmac if first.summary else None,
        weight=(found.key, found.chosen) if found else None,
        published=_fractions(row.published),
    )


def _evaluation(run: Run) -> DetectionEvaluation:
    if run.detection is None:
        raise UsageError(f"{run.folder} is not evaluated; run: featkd evaluate")
    return run.detection


def _result(run: Run) -> DetectorResult:
    if run.summary is None:
        raise UsageError(f"{run.folder} is not finished; run the table again")
    measured = _evaluation(run)
    return DetectorResult(
        seed=run.summary.seed,
        folder=str(run.folder),
        by_threshold=tuple(measured.mean_average_precision.values()),
        average=measured.average,
        seconds=run.summary.seconds,
    )


def _fractions(published: PublishedDetection | None) -> DetectionFigures | None:
    if published is None:
        return None
    by_threshold = {
        threshold: value / 100 for threshold, value in published.mean_average_precision.items()
    }
    return DetectionFigures(by_threshold, published.average / 100)

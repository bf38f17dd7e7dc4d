"""Methods of detection side by side, over seeds."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from featkd.errors import UsageError
from featkd.evaluation.compare import (
    Difference,
    Family,
    deviation_of,
    difference_by_seed,
    families,
    mean_of,
)
from featkd.evaluation.runs import Run, RunKind


@dataclass(frozen=True, slots=True)
class DetectorResult:
    """One evaluated run of a group. Precisions are fractions.

    Attributes:
        seed: of the run.
        folder: of the run.
        by_threshold: mAP at each threshold of tIoU.
        average: their mean.
        seconds: training time.
    """

    seed: int
    folder: str
    by_threshold: tuple[float, ...]
    average: float
    seconds: float


@dataclass(frozen=True, slots=True)
class DetectorGroup:
    """All runs of one method with one model. Precisions are fractions.

    Attributes:
        kind: teacher or student.
        name: the method; ``none`` is the baseline, a student without a teacher.
        model: name of the architecture; empty while no run of the group has a summary.
        results: the evaluated runs by seed.
        by_threshold: mean mAP at each threshold; empty while nothing is evaluated.
        average: mean of the averages over thresholds; None while nothing is evaluated.
        deviation: sample standard deviation of these averages; None below two seeds.
        difference: of the averages to the baseline's; None for teacher and baseline, and without a
            baseline.
        seconds: mean training time.
        parameters: of the model, as the first seed recorded it.
        gmac: of the model for one window, as the first seed recorded it.
        unfinished: folders of runs without a result.
    """

    kind: RunKind
    name: str
    model: str
    results: tuple[DetectorResult, ...]
    by_threshold: tuple[float, ...]
    average: float | None
    deviation: float | None
    difference: Difference | None
    seconds: float | None
    parameters: int | None
    gmac: float | None
    unfinished: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DetectorComparison:
    """Groups of detectors evaluated on the same videos.

    Attributes:
        split: name of the split.
        num_videos: videos in it.
        num_segments: annotated segments in them.
        thresholds: of tIoU, as written in the runs' files.
        groups: teacher, baseline, then the other methods by name.
    """

    split: str
    num_videos: int
    num_segments: int
    thresholds: tuple[str, ...]
    groups: tuple[DetectorGroup, ...]

    def to_json(self) -> dict[str, object]:
        """Return the fields, ready for ``json.dumps``."""
        return {"task": "detection", **asdict(self)}


def compare_detectors(runs: Sequence[Run]) -> DetectorComparison:
    """Group detectors by method and model and set each group against its baseline.

    Representation runs detect nothing and are left out. The order of ``runs`` does not matter.

    Raises:
        UsageError: no run is an evaluated detector, two have the same method, model and seed, they
            were evaluated on different videos or thresholds, or one is a classifier.
    """
    contestants = [run for run in runs if run.kind != "representation"]
    reference = _common_evaluation(contestants)
    groups: list[DetectorGroup] = []
    baselines: dict[str, DetectorGroup] = {}
    for family in families(contestants):
        reference_model = family.baseline_model
        baseline = None if reference_model is None else baselines.get(reference_model)
        group = _summarise(family, baseline)
        if family.is_baseline:
            baselines[family.model] = group
        groups.append(group)
    return DetectorComparison(
        split=reference.split,
        num_videos=reference.num_videos,
        num_segments=reference.num_segments,
        thresholds=reference.thresholds,
        groups=tuple(groups),
    )


@dataclass(frozen=True, slots=True)
class _TestedOn:
    split: str
    num_videos: int
    num_segments: int
    classes: tuple[str, ...]
    thresholds: tuple[str, ...]


def _common_evaluation(runs: Sequence[Run]) -> _TestedOn:
    first: tuple[Run, _TestedOn] | None = None
    for run in runs:
        if run.evaluation is not None:
            raise UsageError(
                f"{run.folder} is a classifier and has no mAP; expected detectors alone"
            )
        if run.detection is None:
            continue
        tested = _TestedOn(
            run.detection.split,
            run.detection.num_videos,
            run.detection.num_segments,
            tuple(run.detection.classes),
            tuple(run.detection.mean_average_precision),
        )
        if first is None:
            first = run, tested
        elif tested != first[1]:
            ours, theirs = asdict(first[1]), asdict(tested)
            field = next(name for name in ours if ours[name] != theirs[name])
            raise UsageError(
                f"{run.folder} cannot be compared with {first[0].folder}: {field} of its "
                f"evaluation is {theirs[field]!r}, expected {ours[field]!r}"
            )
    if first is None:
        raise UsageError("no detector is evaluated yet; run: featkd evaluate")
    return first[1]


def _summarise(family: Family, baseline: DetectorGroup | None) -> DetectorGroup:
    results = _results(family.runs)
    summaries = [run.summary for run in family.runs if run.summary]
    first = min(summaries, key=lambda summary: summary.seed, default=None)
    averages = {result.seed: result.average for result in results}
    return DetectorGroup(
        kind=family.runs[0].kind,
        name=family.runs[0].name,
        model=family.model,
        results=results,
        by_threshold=tuple(
            map(statistics.fmean, zip(*(result.by_threshold for result in results), strict=True))
        ),
        average=mean_of(list(averages.values())),
        deviation=deviation_of(list(averages.values())),
        difference=difference_by_seed(
            averages, {r.seed: r.average for r in baseline.results} if baseline else {}
        ),
        seconds=mean_of([result.seconds for result in results]),
        parameters=first.parameters if first else None,
        gmac=first.gmac if first else None,
        unfinished=tuple(sorted(str(run.folder) for run in family.runs if not run.finished)),
    )


def _results(runs: Sequence[Run]) -> tuple[DetectorResult, ...]:
    by_seed: dict[int, DetectorResult] = {}
    for run in runs:
        if run.summary is None or run.detection is None:
            continue
        seed = run.summary.seed
        if seed in by_seed:
            raise UsageError(
                f"{run.folder} and {by_seed[seed].folder} are both {run.name} with seed {seed}; "
                "expected one run a seed"
            )
        by_seed[seed] = DetectorResult(
            seed=seed,
            folder=str(run.folder),
            by_threshold=tuple(run.detection.mean_average_precision.values()),
            average=run.detection.average,
            seconds=run.summary.seconds,
        )
    return tuple(by_seed[seed] for seed in sorted(by_seed))

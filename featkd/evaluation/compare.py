"""Methods side by side, over seeds."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import NamedTuple

from featkd.errors import UsageError
from featkd.evaluation.paired_test import sign_flip_p_value
from featkd.evaluation.runs import Run, RunEvaluation, RunKind

BASELINE = "none"
TAKE_OFF_FACTOR = 2.5


@dataclass(frozen=True, slots=True)
class SeedResult:
    """One evaluated run of a group. Accuracies are fractions."""

    seed: int
    folder: str
    top1: float
    top5: float
    mean_class_accuracy: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Difference:
    """Top-1 of a group minus that of the baseline with the same model.

    Attributes:
        mean: over the seeds that both ran; if they share none, the difference of their means.
        deviation: sample standard deviation of the paired differences; None below two pairs.
        num_pairs: how many seeds both ran; 0 says that ``mean`` is not paired.
        p_value: of the paired sign-flip test; None below two pairs.
    """

    mean: float
    deviation: float | None
    num_pairs: int
    p_value: float | None


@dataclass(frozen=True, slots=True)
class Group:
    """All runs of one method with one model. Accuracies are fractions.

    Attributes:
        kind: teacher or student.
        name: the method; ``none`` is the baseline, a student without a teacher.
        model: name of the architecture; empty while no run of the group has a summary.
        results: the evaluated runs by seed.
        mean: mean top-1; None while nothing is evaluated, as for the next six.
        deviation: sample standard deviation of top-1; None below two seeds.
        lowest: lowest top-1.
        highest: highest top-1.
        mean_top5: mean top-5.
        mean_class_accuracy: mean of the mean class accuracies.
        seconds: mean training time.
        took_off: how many seeds beat chance 2.5 times; None where that would be 1 or more.
        difference: to the baseline; None for teacher and baseline, and without a baseline.
        parameters: of the model, as the first seed recorded it.
        gmac: of the model, as the first seed recorded it.
        unfinished: folders of runs without a result.
    """

    kind: RunKind
    name: str
    model: str
    results: tuple[SeedResult, ...]
    mean: float | None
    deviation: float | None
    lowest: float | None
    highest: float | None
    mean_top5: float | None
    mean_class_accuracy: float | None
    seconds: float | None
    took_off: int | None
    difference: Difference | None
    parameters: int | None
    gmac: float | None
    unfinished: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Groups of runs evaluated on the same videos.

    Attributes:
        split: name of the split; None while nothing is evaluated, as for the next two.
        num_videos: videos in it.
        num_classes: classes.
        groups: teacher, baseline, then the other methods by name.
    """

    split: str | None
    num_videos: int | None
    num_classes: int | None
    groups: tuple[Group, ...]

    @property
    def chance(self) -> float | None:
        """Top-1 of guessing, one over the number of classes."""
        return None if self.num_classes is None else 1 / self.num_classes

    def to_json(self) -> dict[str, object]:
        """Return the fields and ``chance``, ready for ``json.dumps``."""
        return {**asdict(self), "chance": self.chance}


def compare(runs: Sequence[Run]) -> Comparison:
    """Group runs by method and model and set each group against its baseline.

    Representation runs classify nothing and are left out. The order of ``runs`` does not matter.

    Raises:
        UsageError: two runs have the same method, model and seed, were evaluated on different
            splits, numbers of videos or classes, or one is a detector.
    """
    contestants = [run for run in runs if run.kind != "representation"]
    detector = next((run for run in contestants if run.detection), None)
    if detector is not None:
        raise UsageError(
            f"{detector.folder} is a detector and has no top-1; expected classifiers alone"
        )
    reference = _common_evaluation(contestants)
    num_classes = None if reference is None else len(reference.classes)
    groups: list[Group] = []
    baselines: dict[str, Group] = {}
    for family in families(contestants):
        reference_model = family.baseline_model
        baseline = None if reference_model is None else baselines.get(reference_model)
        group = _summarise(family.runs, family.model, num_classes, baseline)
        if family.is_baseline:
            baselines[family.model] = group
        groups.append(group)
    return Comparison(
        split=None if reference is None else reference.split,
        num_videos=None if reference is None else reference.num_videos,
        num_classes=num_classes,
        groups=tuple(groups),
    )


class Family(NamedTuple):
    """All runs of one method with one model.

    Attributes:
        runs: at least one.
        model: name of the architecture; empty while no run has a summary.
        is_baseline: whether these are students without a teacher.
        baseline_model: model of the baseline they are set against; None for teacher and baseline.
    """

    runs: list[Run]
    model: str
    is_baseline: bool
    baseline_model: str | None


def families(runs: Sequence[Run]) -> list[Family]:
    """Group runs by method and model: teacher, baseline, then the other methods by name."""
    models: dict[tuple[RunKind, str], set[str]] = {}
    for run in runs:
        if run.summary:
            models.setdefault((run.kind, run.name), set()).add(run.summary.model)

    def model_of(run: Run) -> str:
        if run.summary:
            return run.summary.model
        # A run that is still training names no model; its method's, if there is just one, is it.
        known = models.get((run.kind, run.name), set())
        return next(iter(known)) if len(known) == 1 else ""

    def key(run: Run) -> tuple[bool, bool, str, str]:
        return run.kind != "teacher", run.name != BASELINE, run.name, model_of(run)

    return [
        Family(
            list(members),
            model,
            is_baseline=is_student and not is_method,
            baseline_model=model if is_student and is_method else None,
        )
        for (is_student, is_method, _, model), members in groupby(sorted(runs, key=key), key=key)
    ]


def _common_evaluation(runs: Sequence[Run]) -> RunEvaluation | None:
    first: Run | None = None
    for run in runs:
        if run.evaluation is None:
            continue
        if first is None or first.evaluation is None:
            first = run
            continue
        ours, theirs = _tested_on(first.evaluation), _tested_on(run.evaluation)
        differing = [field for field in ours if ours[field] != theirs[field]]
        if differing:
            field = differing[0]
            raise UsageError(
                f"{run.folder} cannot be compared with {first.folder}: {field} of its evaluation "
                f"is {_shortened(theirs[field])}, expected {_shortened(ours[field])}"
            )
    return None if first is None else first.evaluation


def _tested_on(evaluation: RunEvaluation) -> dict[str, object]:
    return {
        "split": evaluation.split,
        "num_videos": evaluation.num_videos,
        "classes": evaluation.classes,
        "videos per class": [sum(row) for row in evaluation.confusion],
    }


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _summarise(
    runs: Sequence[Run], model: str, num_classes: int | None, baseline: Group | None
) -> Group:
    results = _results(runs)
    first = min((run.summary for run in runs if run.summary), key=lambda s: s.seed, default=None)
    top1 = [result.top1 for result in results]
    threshold = 1.0 if num_classes is None else TAKE_OFF_FACTOR / num_classes
    return Group(
        kind=runs[0].kind,
        name=runs[0].name,
        model=model,
        results=results,
        mean=mean_of(top1),
        deviation=deviation_of(top1),
        lowest=min(top1, default=None),
        highest=max(top1, default=None),
        mean_top5=mean_of([result.top5 for result in results]),
        mean_class_accuracy=mean_of([result.mean_class_accuracy for result in results]),
        seconds=mean_of([result.seconds for result in results]),
        took_off=sum(value > threshold for value in top1) if threshold < 1 and top1 else None,
        difference=paired_difference(results, baseline.results if baseline else ()),
        parameters=first.parameters if first else None,
        gmac=first.gmac if first else None,
        unfinished=tuple(sorted(str(run.folder) for run in runs if not run.finished)),
    )


def _results(runs: Sequence[Run]) -> tuple[SeedResult, ...]:
    by_seed: dict[int, SeedResult] = {}
    for run in runs:
        if run.summary is None or run.evaluation is None:
            continue
        seed = run.summary.seed
        if seed in by_seed:
            raise UsageError(
                f"{run.folder} and {by_seed[seed].folder} are both {run.name} with seed {seed}; "
                "expected one run a seed"
            )
        by_seed[seed] = SeedResult(
            seed=seed,
            folder=str(run.folder),
            top1=run.evaluation.top1,
            top5=run.evaluation.top5,
            mean_class_accuracy=run.evaluation.mean_class_accuracy,
            seconds=run.summary.seconds,
        )
    return tuple(by_seed[seed] for seed in sorted(by_seed))


def paired_difference(
    results: Sequence[SeedResult], baseline: Sequence[SeedResult]
) -> Difference | None:
    """Top-1 of a method minus that of its baseline; None where one of them has no result."""
    return difference_by_seed(
        {result.seed: result.top1 for result in results},
        {result.seed: result.top1 for result in baseline},
    )


def difference_by_seed(
    values: Mapping[int, float], reference: Mapping[int, float]
) -> Difference | None:
    """Values of a method by seed minus those of its baseline; None where one of them has none."""
    if not values or not reference:
        return None
    paired = [value - reference[seed] for seed, value in values.items() if seed in reference]
    if paired:
        return Difference(
            statistics.fmean(paired), deviation_of(paired), len(paired), sign_flip_p_value(paired)
        )
    unpaired = statistics.fmean(values.values()) - statistics.fmean(reference.values())
    return Difference(unpaired, None, 0, None)


def mean_of(values: Sequence[float]) -> float | None:
    """Their mean; None where there is none."""
    return statistics.fmean(values) if values else None


def deviation_of(values: Sequence[float]) -> float | None:
    """Their sample standard deviation; None below two."""
    return statistics.stdev(values) if len(values) > 1 else None

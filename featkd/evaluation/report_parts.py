"""Parts of a report that do not depend on what the runs were measured in."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

from featkd.evaluation import number_text
from featkd.evaluation.charts import Curve, LineChart, Series, loss_curves
from featkd.evaluation.compare import BASELINE
from featkd.evaluation.runs import Run, RunKind

NUM_COLOURS = 7
MAX_DASHES = 3

Number = TypeVar("Number", int, float)
# By kind, name and model of a group.
Styles = dict[tuple[str, str, str], Series]


@runtime_checkable
class EvaluatedRun(Protocol):
    """The result of one run, whatever it was measured in."""

    @property
    def folder(self) -> str:
        """Where the run lies."""


@runtime_checkable
class RunGroup(Protocol):
    """All runs of one method with one model, whatever they were measured in."""

    @property
    def kind(self) -> RunKind:
        """Teacher or student."""

    @property
    def name(self) -> str:
        """The method."""

    @property
    def model(self) -> str:
        """Name of the architecture; empty while no run says it."""

    @property
    def results(self) -> Sequence[EvaluatedRun]:
        """The evaluated runs by seed."""

    @property
    def unfinished(self) -> Sequence[str]:
        """Folders of runs without a result."""


class RecipeText(NamedTuple):
    """The recipe of a method's first run, and how the recipes of its other runs differ."""

    series: Series
    folder: str
    recipe: str
    differences: tuple[tuple[str, str], ...]


class CurvesSection(NamedTuple):
    """Charts of training, and the methods drawn in them."""

    charts: tuple[LineChart, ...]
    legend: tuple[Series, ...]


def styles_of(groups: Sequence[RunGroup]) -> Styles:
    """Give each group a name that tells it apart and a look that does not rest on colour alone."""
    kinds = [(group.kind, group.name) for group in groups]
    styles: Styles = {}
    num_methods = 0
    for group in groups:
        label = group.name
        if kinds.count((group.kind, group.name)) > 1:
            label = f"{group.name} ({group.model or 'unknown model'})"
        if group.kind == "teacher":
            style = "teacher"
        elif group.name == BASELINE:
            style = "baseline"
        else:
            dash = num_methods // NUM_COLOURS % MAX_DASHES
            style = f"method-{num_methods % NUM_COLOURS} dash-{dash}"
            num_methods += 1
        styles[group.kind, group.name, group.model] = Series(label, style)
    return styles


def series_of(group: RunGroup, styles: Styles) -> Series:
    """Name and look of a group."""
    return styles[group.kind, group.name, group.model]


def members_of(runs: Sequence[Run], group: RunGroup) -> list[Run]:
    """Return a group's runs by seed, its unfinished ones included."""
    folders = {*(result.folder for result in group.results), *group.unfinished}
    members = [run for run in runs if str(run.folder) in folders]
    return sorted(members, key=lambda run: (-1 if run.seed is None else run.seed, run.folder))


def drawn_curves(
    runs: Sequence[Run], groups: Sequence[RunGroup], styles: Styles, key: str
) -> list[Curve]:
    """A curve for each run of the groups: what it logged under a key, by epoch."""
    return [
        Curve(series, f"{series.label}, seed {run.seed}", _logged(run, key))
        for series, run in drawn_runs(runs, groups, styles)
    ]


def drawn_runs(
    runs: Sequence[Run], groups: Sequence[RunGroup], styles: Styles
) -> list[tuple[Series, Run]]:
    """Every run of the groups that has logged an epoch, in the look of its group."""
    return [
        (series_of(group, styles), run)
        for group in groups
        for run in members_of(runs, group)
        if run.epochs
    ]


def representation_curves(runs: Sequence[Run]) -> CurvesSection | None:
    """Draw the loss terms of the first representation: there is one a work folder."""
    run = next((run for run in runs if run.kind == "representation" and run.epochs), None)
    if run is None:
        return None
    terms = list(dict.fromkeys(key for epoch in run.epochs for key in epoch))
    losses = [
        key for key in terms if key.startswith("train.") and key not in ("train.top1", "train.top5")
    ]
    curves = [
        Curve(
            Series(
                key.removeprefix("train."),
                f"method-{order % NUM_COLOURS} dash-{order // NUM_COLOURS % MAX_DASHES}",
            ),
            key,
            _logged(run, key),
        )
        for order, key in enumerate(losses)
    ]
    chart = loss_curves("Loss terms", curves)
    return CurvesSection((chart,), tuple(c.series for c in curves)) if chart else None


def _logged(run: Run, key: str) -> list[tuple[float, float]]:
    return [(epoch["epoch"], epoch[key]) for epoch in run.epochs if key in epoch]


def recipes_of(
    runs: Sequence[Run],
    groups: Sequence[RunGroup],
    styles: Styles,
) -> list[RecipeText]:
    """The recipes of every group, and of the representation, if there is one."""
    representations = [run for run in runs if run.kind == "representation"]
    families = [(series_of(group, styles), members_of(runs, group)) for group in groups]
    if representations:
        families.append((Series("representation", "teacher"), representations))
    texts = []
    for series, members in families:
        written = [run for run in members if run.recipe]
        if written:
            first, *others = written
            differences = tuple((run.folder.name, _diff(first, run)) for run in others)
            texts.append(RecipeText(series, first.folder.name, first.recipe, differences))
    return texts


def _diff(first: Run, other: Run) -> str:
    lines = difflib.unified_diff(
        first.recipe.splitlines(), other.recipe.splitlines(), lineterm="", n=0
    )
    changed = [line for line in lines if not line.startswith("@@")]
    # The first two lines name the files compared.
    return "\n".join(changed[2:]) or "the same recipe"


def number_filters() -> Mapping[str, Callable[..., str]]:
    """Writers of numbers for templates; a number that is not known is a dash."""
    writers: dict[str, Callable[..., str]] = {
        "percent": number_text.percent,
        "points": number_text.points,
        "duration": number_text.duration,
        "size": number_text.size,
        "millions": number_text.millions,
        "significant": number_text.significant,
    }
    return {name: _or_dash(writer) for name, writer in writers.items()}


def _or_dash(write: Callable[[Number], str]) -> Callable[[Number | None], str]:
    """Make a writer of numbers write a dash for a number that is not known."""

    def written(value: Number | None) -> str:
        return "\N{EN DASH}" if value is None else write(value)

    return written

"""The report: one HTML file that needs nothing else, drawn from finished and unfinished runs."""

import difflib
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, TypeVar

from featkd.errors import UsageError
from featkd.evaluation import number_text
from featkd.evaluation.charts import (
    CostPoint,
    Curve,
    DotChart,
    LineChart,
    ScatterChart,
    Seeds,
    Series,
    accuracy_curves,
    dot_chart,
    loss_curves,
    scatter_chart,
)
from featkd.evaluation.compare import BASELINE, Comparison, Group, compare
from featkd.evaluation.heat_map import HeatMap, heat_map
from featkd.evaluation.page import page_environment
from featkd.evaluation.runs import Run, WorkSummary, find_runs, read_work_summary

NUM_COLOURS = 7
MAX_DASHES = 3

Number = TypeVar("Number", int, float)
# By kind, name and model of a group.
Styles = dict[tuple[str, str, str], Series]


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


def write_report(
    source: Path | Sequence[Run], path: Path, *, title: str = "Distillation report"
) -> None:
    """Write a self-contained HTML report.

    The file opens from disk, asks for nothing from the network and runs no script.

    Args:
        source: a work folder, or runs already read. Only a work folder can say how long the
            stages took.
        path: where to write; its folder is made if need be.
        title: heading of the report.

    Raises:
        UsageError: there is no run, a run's files are damaged, or runs cannot be compared.
    """
    if isinstance(source, Path):
        runs: Sequence[Run] = find_runs(source)
        work = read_work_summary(source)
    else:
        runs, work = source, None
    if not runs:
        raise UsageError(f"there is no run to report on in {path.name}; expected at least one")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_report(runs, work, title), encoding="utf-8")


def render_report(runs: Sequence[Run], work: WorkSummary | None, title: str) -> str:
    """Return the report as HTML.

    Args:
        runs: the runs, in any order.
        work: seconds and bytes of the stages, if known.
        title: heading of the report.
    """
    comparison = compare(runs)
    styles = _styles(comparison.groups)
    evaluated = [group for group in comparison.groups if group.results]
    students = [group for group in evaluated if group.kind == "student"]
    environment = page_environment()
    environment.filters |= {
        "percent": _or_dash(number_text.percent),
        "points": _or_dash(number_text.points),
        "duration": _or_dash(number_text.duration),
        "size": _or_dash(number_text.size),
        "millions": _or_dash(number_text.millions),
        "significant": _or_dash(number_text.significant),
    }
    return environment.get_template("report.html").render(
        title=title,
        version=version("featkd"),
        comparison=comparison,
        series=styles,
        seeds=sorted({result.seed for group in evaluated for result in group.results}),
        teacher=next((group for group in evaluated if group.kind == "teacher"), None),
        baselines=[group for group in students if group.name == BASELINE],
        best=max(
            (group for group in students if group.name != BASELINE),
            key=lambda group: group.mean or 0.0,
            default=None,
        ),
        unfinished=[run for run in runs if not run.finished],
        dots=_dots(evaluated, styles, comparison),
        curves=_curves(runs, comparison.groups, styles),
        representation=_representation_curves(runs),
        confusions=_confusions(runs, evaluated, styles),
        scatter=_scatter(evaluated, styles),
        recipes=_recipes(runs, comparison.groups, styles),
        work=work,
    )


def _styles(groups: Sequence[Group]) -> Styles:
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


def _series(group: Group, styles: Styles) -> Series:
    return styles[group.kind, group.name, group.model]


def _dots(groups: Sequence[Group], styles: Styles, comparison: Comparison) -> DotChart | None:
    if comparison.chance is None:
        return None
    methods = [
        Seeds(_series(group, styles), {result.seed: result.top1 for result in group.results})
        for group in groups
    ]
    return dot_chart(methods, comparison.chance)


def _scatter(groups: Sequence[Group], styles: Styles) -> ScatterChart | None:
    points = [
        CostPoint(_series(group, styles), group.gmac, group.mean, group.lowest, group.highest)
        for group in groups
        if group.gmac is not None
        and group.mean is not None
        and group.lowest is not None
        and group.highest is not None
    ]
    return scatter_chart(points) if points else None


def _members(runs: Sequence[Run], group: Group) -> list[Run]:
    """Return a group's runs by seed, its unfinished ones included."""
    folders = {*(result.folder for result in group.results), *group.unfinished}
    members = [run for run in runs if str(run.folder) in folders]
    return sorted(members, key=lambda run: (-1 if run.seed is None else run.seed, run.folder))


def _curves(
    runs: Sequence[Run],
    groups: Sequence[Group],
    styles: Styles,
) -> CurvesSection | None:
    drawn = [
        (_series(group, styles), run)
        for group in groups
        for run in _members(runs, group)
        if run.epochs
    ]

    def curves(key: str) -> list[Curve]:
        return [
            Curve(series, f"{series.label}, seed {run.seed}", _logged(run, key))
            for series, run in drawn
        ]

    charts = (
        loss_curves("Training loss", curves("train.loss")),
        accuracy_curves("Training top-1 (%)", curves("train.top1")),
        accuracy_curves("Validation top-1 (%)", curves("val.top1")),
    )
    present = tuple(chart for chart in charts if chart is not None)
    if not present:
        return None
    return CurvesSection(present, tuple(dict.fromkeys(series for series, _ in drawn)))


def _representation_curves(runs: Sequence[Run]) -> CurvesSection | None:
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


def _confusions(runs: Sequence[Run], groups: Sequence[Group], styles: Styles) -> list[HeatMap]:
    maps = []
    for group in groups:
        finished = [run for run in _members(runs, group) if run.evaluation and run.summary]
        best = max(finished, key=lambda run: run.evaluation.top1 if run.evaluation else 0.0)
        if best.evaluation is None:
            continue
        note = f"seed {best.seed}, {number_text.percent(best.evaluation.top1)} %"
        if len(finished) > 1:
            note = f"best of {len(finished)} seeds: {note}"
        maps.append(
            heat_map(
                _series(group, styles).label,
                note,
                best.evaluation.confusion,
                best.evaluation.classes,
            )
        )
    return maps


def _recipes(
    runs: Sequence[Run],
    groups: Sequence[Group],
    styles: Styles,
) -> list[RecipeText]:
    representations = [run for run in runs if run.kind == "representation"]
    families = [(_series(group, styles), _members(runs, group)) for group in groups]
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


def _or_dash(write: Callable[[Number], str]) -> Callable[[Number | None], str]:
    """Make a writer of numbers write a dash for a number that is not known."""

    def written(value: Number | None) -> str:
        return "\N{EN DASH}" if value is None else write(value)

    return written

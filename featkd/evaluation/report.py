"""The report: one HTML file that needs nothing else, drawn from finished and unfinished runs."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from featkd.errors import UsageError
from featkd.evaluation import number_text
from featkd.evaluation.charts import (
    CostPoint,
    Curve,
    DotChart,
    ScatterChart,
    Seeds,
    accuracy_curves,
    dot_chart,
    loss_curves,
    scatter_chart,
)
from featkd.evaluation.compare import BASELINE, Comparison, Group, compare
from featkd.evaluation.detector_report import render_detector_report
from featkd.evaluation.heat_map import HeatMap, heat_map
from featkd.evaluation.page import page_environment
from featkd.evaluation.report_parts import (
    CurvesSection,
    Styles,
    drawn_curves,
    drawn_runs,
    members_of,
    number_filters,
    recipes_of,
    representation_curves,
    series_of,
    styles_of,
)
from featkd.evaluation.runs import Run, WorkSummary, find_runs, read_work_summary


def write_report(
    source: Path | Sequence[Run], path: Path, *, title: str = "Distillation report"
) -> None:
    """Write a self-contained HTML report, of classifiers or of detectors.

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
    render = render_detector_report if any(run.detection for run in runs) else render_report
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(runs, work, title), encoding="utf-8")


def render_report(runs: Sequence[Run], work: WorkSummary | None, title: str) -> str:
    """Return the report as HTML.

    Args:
        runs: the runs, in any order.
        work: seconds and bytes of the stages, if known.
        title: heading of the report.
    """
    comparison = compare(runs)
    styles = styles_of(comparison.groups)
    evaluated = [group for group in comparison.groups if group.results]
    students = [group for group in evaluated if group.kind == "student"]
    environment = page_environment()
    environment.filters |= number_filters()
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
        representation=representation_curves(runs),
        confusions=_confusions(runs, evaluated, styles),
        scatter=_scatter(evaluated, styles),
        recipes=recipes_of(runs, comparison.groups, styles),
        work=work,
    )


def _dots(groups: Sequence[Group], styles: Styles, comparison: Comparison) -> DotChart | None:
    if comparison.chance is None:
        return None
    methods = [
        Seeds(series_of(group, styles), {result.seed: result.top1 for result in group.results})
        for group in groups
    ]
    return dot_chart(methods, comparison.chance)


def _scatter(groups: Sequence[Group], styles: Styles) -> ScatterChart | None:
    points = [
        CostPoint(series_of(group, styles), group.gmac, group.mean, group.lowest, group.highest)
        for group in groups
        if group.gmac is not None
        and group.mean is not None
        and group.lowest is not None
        and group.highest is not None
    ]
    return scatter_chart(points) if points else None


def _curves(
    runs: Sequence[Run],
    groups: Sequence[Group],
    styles: Styles,
) -> CurvesSection | None:

    def curves(key: str) -> list[Curve]:
        return drawn_curves(runs, groups, styles, key)

    charts = (
        loss_curves("Training loss", curves("train.loss")),
        accuracy_curves("Training top-1 (%)", curves("train.top1")),
        accuracy_curves("Validation top-1 (%)", curves("val.top1")),
    )
    present = tuple(chart for chart in charts if chart is not None)
    if not present:
        return None
    return CurvesSection(
        present, tuple(dict.fromkeys(series for series, _ in drawn_runs(runs, groups, styles)))
    )


def _confusions(runs: Sequence[Run], groups: Sequence[Group], styles: Styles) -> list[HeatMap]:
    maps = []
    for group in groups:
        finished = [run for run in members_of(runs, group) if run.evaluation and run.summary]
        best = max(finished, key=lambda run: run.evaluation.top1 if run.evaluation else 0.0)
        if best.evaluation is None:
            continue
        note = f"seed {best.seed}, {number_text.percent(best.evaluation.top1)} %"
        if len(finished) > 1:
            note = f"best of {len(finished)} seeds: {note}"
        maps.append(
            heat_map(
                series_of(group, styles).label,
                note,
                best.evaluation.confusion,
                best.evaluation.classes,
            )
        )
    return maps

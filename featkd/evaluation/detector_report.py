"""The report on detectors: one HTML file, drawn from finished and unfinished runs."""

from collections.abc import Sequence
from importlib.metadata import version

from featkd.evaluation.charts import (
    CostPoint,
    DotChart,
    ScatterChart,
    Seeds,
    dot_chart,
    loss_curves,
    scatter_chart,
)
from featkd.evaluation.compare import BASELINE
from featkd.evaluation.compare_detectors import DetectorGroup, compare_detectors
from featkd.evaluation.page import page_environment
from featkd.evaluation.report_parts import (
    CurvesSection,
    Styles,
    drawn_curves,
    drawn_runs,
    number_filters,
    recipes_of,
    representation_curves,
    series_of,
    styles_of,
)
from featkd.evaluation.runs import Run, WorkSummary


def render_detector_report(runs: Sequence[Run], work: WorkSummary | None, title: str) -> str:
    """Return the report as HTML.

    Args:
        runs: the runs, in any order; at least one is an evaluated detector.
        work: seconds and bytes of the stages, if known.
        title: heading of the report.

    Raises:
        UsageError: the runs cannot be compared.
    """
    comparison = compare_detectors(runs)
    styles = styles_of(comparison.groups)
    evaluated = [group for group in comparison.groups if group.results]
    students = [group for group in evaluated if group.kind == "student"]
    environment = page_environment()
    environment.filters |= number_filters()
    return environment.get_template("detector_report.html").render(
        title=title,
        version=version("featkd"),
        comparison=comparison,
        series=styles,
        num_seeds=max(len(group.results) for group in evaluated),
        teacher=next((group for group in evaluated if group.kind == "teacher"), None),
        best=max(
            (group for group in students if group.name != BASELINE),
            key=lambda group: group.average or 0.0,
            default=None,
        ),
        unfinished=[run for run in runs if not run.finished],
        dots=_dots(evaluated, styles),
        curves=_curves(runs, comparison.groups, styles),
        scatter=_scatter(evaluated, styles),
        representation=representation_curves(runs),
        recipes=recipes_of(runs, comparison.groups, styles),
        work=work,
    )


def _dots(groups: Sequence[DetectorGroup], styles: Styles) -> DotChart:
    return dot_chart(
        [
            Seeds(series_of(group, styles), {each.seed: each.average for each in group.results})
            for group in groups
        ]
    )


def _curves(
    runs: Sequence[Run], groups: Sequence[DetectorGroup], styles: Styles
) -> CurvesSection | None:
    chart = loss_curves("Training loss", drawn_curves(runs, groups, styles, "train.loss"))
    if chart is None:
        return None
    drawn = dict.fromkeys(series for series, _ in drawn_runs(runs, groups, styles))
    return CurvesSection((chart,), tuple(drawn))


def _scatter(groups: Sequence[DetectorGroup], styles: Styles) -> ScatterChart | None:
    points = []
    for group in groups:
        averages = [result.average for result in group.results]
        if group.gmac is not None and group.average is not None:
            points.append(
                CostPoint(
                    series_of(group, styles),
                    group.gmac,
                    group.average,
                    min(averages),
                    max(averages),
                )
            )
    return scatter_chart(points) if points else None

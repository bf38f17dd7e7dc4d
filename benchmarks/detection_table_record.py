"""How a table of detectors is recorded."""

from featkd.cli.figures import gmac, percent, points
from featkd.experiment.detection.table import DetectionFigures, DetectionTable, DetectionTableRow


def detection_markdown(table: DetectionTable) -> str:
    """The table, every seed in it, the paper's figures beside."""
    num_seeds = len(table.rows[0].results)
    columns = [
        "method",
        "model",
        "searched weight",
        "every seed",
        *table.thresholds,
        "average",
        "deviation",
        "against its baseline",
        "p",
        "GMAC",
    ]
    columns += [f"paper {limit}" for limit in table.thresholds] + ["paper average"]
    measured = (
        f"{table.num_videos} videos of split {table.split}, {table.num_segments} segments of "
        f"{table.num_classes} classes. mAP in percent by threshold of tIoU, mean over seeds; each "
        "seed, the deviation and the difference are of the average. p is of the exact paired "
        f"sign-flip test over {num_seeds} seeds, which cannot be less than {2 / 2**num_seeds:g}. "
        "The paper's figures are of THUMOS14, its teacher's of two streams."
    )
    lines = [
        f"# {table.title}: {table.recipe}",
        "",
        measured,
        "",
        f"| {' | '.join(columns)} |",
        "|---|---|---|---|" + "---:|" * (len(columns) - 4),
    ]
    teacher = {
        "method": "teacher",
        **_figures(table.teacher, ""),
        "GMAC": gmac(table.teacher_gmac),
    }
    rows = [teacher | _figures(table.published_teacher, "paper "), *map(_student, table.rows)]
    lines += [f"| {' | '.join(row.get(column, '') for column in columns)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _student(row: DetectionTableRow) -> dict[str, str]:
    difference = row.difference
    p_value = difference.p_value if difference else None
    return {
        "method": row.label,
        "model": row.model,
        "searched weight": f"{row.weight[0]} {row.weight[1]:g}" if row.weight else "",
        "every seed": " ".join(percent(result.average) for result in row.results),
        **_figures(row.mean, ""),
        "deviation": "" if row.deviation is None else percent(row.deviation),
        "against its baseline": points(difference.mean) if difference else "",
        "p": "" if p_value is None else f"{p_value:.3f}",
        "GMAC": gmac(row.gmac),
        **_figures(row.published, "paper "),
    }


def _figures(figures: DetectionFigures | None, prefix: str) -> dict[str, str]:
    if figures is None:
        return {}
    by_threshold = {
        f"{prefix}{limit}": percent(value) for limit, value in figures.by_threshold.items()
    }
    return by_threshold | {f"{prefix}average": percent(figures.average)}

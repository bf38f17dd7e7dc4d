"""How a table of an experiment is recorded."""

from detection_table_record import detection_markdown
from record import RESULTS, save_record

from featkd.cli.figures import gmac, percent, points
from featkd.experiment.detection.table import DetectionTable
from featkd.experiment.open_workspace import open_workspace
from featkd.experiment.table import Table
from featkd.recipes import AnyRecipe

_COLUMNS = (
    "method",
    "model",
    "searched weight",
    "every seed",
    "mean",
    "deviation",
    "against its baseline",
    "p",
    "GMAC",
)


def record_table(table: Table | DetectionTable, recipe: AnyRecipe) -> None:
    """Write results/<table>_<recipe>.json and .md, and print the latter."""
    name = f"{table.name}_{table.recipe}"
    content = {"table": table.to_json(), "recipe": recipe.model_dump(mode="json")}
    save_record(name, content, device=open_workspace(recipe).device)
    text = as_markdown(table) if isinstance(table, Table) else detection_markdown(table)
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)


def as_markdown(table: Table) -> str:
    """The table, every seed in it."""
    num_seeds = len(table.rows[0].results)
    measured = (
        f"{table.num_videos} videos of split {table.split}, {table.num_classes} classes. Top-1 in "
        f"percent; the teacher has {percent(table.teacher_top1)}. p is of the exact paired "
        f"sign-flip test over {num_seeds} seeds, which cannot be less than "
        f"{2 / 2**num_seeds:g}."
    )
    lines = [
        f"# {table.title}: {table.recipe}",
        "",
        measured,
        "",
        f"| {' | '.join(_COLUMNS)} |",
        "|---|---|---|---|" + "---:|" * (len(_COLUMNS) - 4),
    ]
    for row in table.rows:
        difference = row.difference
        p_value = difference.p_value if difference else None
        cells = (
            row.label,
            row.model,
            f"{row.weight[0]} {row.weight[1]:g}" if row.weight else "",
            " ".join(percent(result.top1) for result in row.results),
            percent(row.mean),
            "" if row.deviation is None else percent(row.deviation),
            points(difference.mean) if difference else "",
            "" if p_value is None else f"{p_value:.3f}",
            gmac(row.gmac),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"

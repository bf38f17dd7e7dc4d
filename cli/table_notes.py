"""What is said below every table of experiments."""

from collections.abc import Mapping

import click

from featkd.experiment.weight_search import FoundWeight


def explain(num_seeds: int, searches: Mapping[str, FoundWeight]) -> None:
    """Say what ± and p are, and which searches ended at an edge.

    Args:
        num_seeds: of each row.
        searches: what was found, by row.
    """
    click.echo(
        "± is the sample deviation over seeds. p is of the exact paired sign-flip test over seeds; "
        f"{num_seeds} seeds cannot give less than {2 / 2**num_seeds:g}."
    )
    edges = [name for name, found in searches.items() if found.is_at_the_edge]
    if edges:
        click.echo(
            f"The chosen weight of {', '.join(edges)} is the least or the greatest that was tried; "
            "one beyond it may be better."
        )

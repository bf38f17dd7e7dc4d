"""``featkd models``."""

import re

import click

from featkd.cli.options import example, json_option


def _input_shape(text: str) -> tuple[int, int, int, int]:
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)x([1-9]\d*)x([1-9]\d*)", text)
    if match is None:
        raise click.BadParameter(f"{text!r}; expected CxTxHxW, such as 3x64x224x224")
    channels, num_frames, height, width = map(int, match.groups())
    return channels, num_frames, height, width


@click.command(epilog=example("featkd models --input 3x16x112x112 --classes 51 --width 0.5"))
@click.option(
    "--input",
    "input_shape",
    type=_input_shape,
    metavar="CxTxHxW",
    default="3x64x224x224",
    show_default=True,
    help="Channels, frames, height and width of a clip.",
)
@click.option(
    "--classes",
    "num_classes",
    metavar="N",
    type=click.IntRange(min=1),
    default=101,
    show_default=True,
    help="Number of classes.",
)
@click.option(
    "--width",
    metavar="FACTOR",
    type=click.FloatRange(min=0, min_open=True, max=4),
    default=1.0,
    show_default=True,
    help="Multiplies every channel count.",
)
@json_option
def models(
    *, input_shape: tuple[int, int, int, int], num_classes: int, width: float, as_json: bool
) -> None:
    """Show what the networks cost.

    Parameters, and multiply-accumulates of one clip in convolutions and matrix products. Computes
    shapes only, so that full-size networks take no time; reads and writes nothing.
    """
    from featkd.cli.figures import gmac, millions
    from featkd.cli.model_costs import measure_family
    from featkd.cli.tables import print_json, print_table

    costs = measure_family(input_shape, num_classes, width)
    if as_json:
        print_json([cost._asdict() for cost in costs])
        return
    print_table(
        ["model", "attention head", "parameters (M)", "GMAC"],
        [
            [cost.model, cost.attention_head or "", millions(cost.parameters), gmac(cost.gmac)]
            for cost in costs
        ],
        numeric=["parameters (M)", "GMAC"],
    )

"""``featkd detect``."""

from pathlib import Path

import click

from featkd.cli.options import any_path, example, output_options


@click.command(epilog=example("featkd detect runs/mine/teacher match.mp4 --top 5"))
@click.argument("run", metavar="RUN", type=any_path)
@click.argument("videos", metavar="VIDEO...", nargs=-1, required=True, type=any_path)
@click.option(
    "--stride",
    metavar="FRAMES",
    type=click.IntRange(min=1),
    help="From one window to the next, in sampled frames.  [default: the recipe's, else half a "
    "window]",
)
@click.option(
    "--min-score",
    type=click.FloatRange(0, 1, max_open=True),
    help="Candidates that score no higher are dropped before they compete.  [default: the "
    "recipe's, else 0.01]",
)
@click.option(
    "--top",
    metavar="N",
    type=click.IntRange(min=1),
    help="Keep the N best segments of each video.  [default: all; the table shows 10]",
)
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    type=any_path,
    help="Write the segments as ActivityNet's JSON, which 'evaluate --task detection' scores.",
)
@click.option(
    "--timelines",
    metavar="FILE",
    type=any_path,
    help="Draw what happens when in each video, in an HTML file.",
)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="auto, cpu, cuda or cuda:N.",
)
@output_options
def detect(
    *,
    run: Path,
    videos: tuple[Path, ...],
    stride: int | None,
    min_score: float | None,
    top: int | None,
    output: Path | None,
    timelines: Path | None,
    device: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Find the actions in videos.

    RUN is the run folder of a trained detector, whose recipe.yaml says how videos are cut, or its
    model.safetensors. Prints class, start, end and score of every segment, best first. A video is
    known by its file's name without suffix. Writes nothing but what --output and --timelines name.
    """
    from featkd.cli.detect_stage import detect_in_files

    detect_in_files(
        run,
        videos,
        stride=stride,
        min_score=min_score,
        top=top,
        output=output,
        timelines=timelines,
        device=device,
        as_json=as_json,
        quiet=quiet,
    )

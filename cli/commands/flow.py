"""``featkd flow``."""

from pathlib import Path

import click

from featkd.cli.options import any_path, example, output_options


@click.command(epilog=example("featkd flow videos/manifest.csv --output videos/flow --method dis"))
@click.argument("manifest_path", metavar="MANIFEST", type=any_path)
@click.option(
    "--output",
    "-o",
    metavar="FOLDER",
    type=any_path,
    required=True,
    help="Where the flow is kept, one file a video; data.flow of a recipe.",
)
@click.option(
    "--method",
    type=click.Choice(["tvl1", "dis"]),
    default="tvl1",
    show_default=True,
    help="tvl1 is what the field uses; dis is many times faster.",
)
@click.option(
    "--short-side",
    metavar="PIXELS",
    type=click.IntRange(min=16),
    help="Scale frames to this shorter side before; displacements are in these pixels.  [default: "
    "frames as they are]",
)
@click.option(
    "--split",
    "splits",
    metavar="NAME",
    multiple=True,
    help="Split to compute; may be given several times.  [default: all]",
)
@click.option(
    "--root",
    type=any_path,
    help="Folder that the manifest's paths start from.  [default: the manifest's own folder]",
)
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Videos computed side by side.",
)
@output_options
def flow(
    *,
    manifest_path: Path,
    output: Path,
    method: str,
    short_side: int | None,
    splits: tuple[str, ...],
    root: Path | None,
    workers: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compute the optical flow of all videos of a manifest.

    Reads every video of MANIFEST. Writes FOLDER: flow from each frame to the next, clipped to 20
    pixels, in 8 bits, without loss. Videos that are done are not computed again. A video that does
    not decode is listed with its reason. Needs OpenCV (the extra 'flow').
    """
    from featkd.cli.figures import duration, plural, rate, size
    from featkd.cli.progress import show_progress
    from featkd.cli.tables import print_json, print_listed
    from featkd.flow import FlowSpec, compute_flow
    from featkd.manifest import read_manifest

    spec = FlowSpec.model_validate({"method": method, "short_side": short_side})
    manifest = read_manifest(manifest_path, root=root)
    clips = [clip for split in splits or manifest.splits() for clip in manifest.clips(split)]
    with show_progress(quiet=quiet) as progress:
        summary = compute_flow(clips, output, spec, num_workers=workers, progress=progress)
    if as_json:
        print_json({"flow": str(output), "method": method, **summary.to_json()})
        return
    speed = rate(summary.num_frames / max(summary.seconds, 1e-9), "frame")
    num_held = summary.num_videos - len(summary.failures)
    click.echo(
        f"{output}: {method} flow of {plural(num_held, 'video')}, {size(summary.num_bytes)}; "
        f"computed now: {plural(summary.num_computed, 'video')}, "
        f"{plural(summary.num_frames, 'frame')} in {duration(summary.seconds)} ({speed})"
    )
    print_listed(
        [f"{video_id}: {reason}" for video_id, reason in summary.failures.items()],
        f"{plural(len(summary.failures), 'video')} have no flow:",
    )

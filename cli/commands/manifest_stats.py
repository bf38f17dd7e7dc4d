"""``featkd manifest stats``."""

from pathlib import Path

import click

from featkd.cli.manifest_options import manifest_argument
from featkd.cli.options import any_path, example, json_option


@click.command(epilog=example("featkd manifest stats videos/manifest.csv --html videos/stats.html"))
@manifest_argument
@click.option(
    "--html",
    "page",
    metavar="FILE",
    type=any_path,
    help="Also draw class balance, lengths and resolutions, in one HTML file.",
)
@json_option
def stats(*, path: Path, page: Path | None, as_json: bool) -> None:
    """Count and measure what a manifest holds.

    Splits, class balance, lengths, frame rates and resolutions. Reads M alone, no video.
    """
    from featkd.cli.manifest_statistics import print_statistics
    from featkd.evaluation.manifest_page import write_manifest_page
    from featkd.manifest import measure_manifest, read_manifest

    manifest = read_manifest(path)
    statistics = measure_manifest(manifest)
    if page is not None:
        write_manifest_page(manifest.header, statistics, page)
    print_statistics(path, statistics, page, as_json=as_json)

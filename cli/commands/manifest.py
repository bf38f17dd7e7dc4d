"""``featkd manifest``."""

from pathlib import Path

import click

from featkd.cli.commands.manifest_build import build
from featkd.cli.commands.manifest_convert import convert
from featkd.cli.commands.manifest_diff import diff
from featkd.cli.commands.manifest_edit import merge, split, subset
from featkd.cli.commands.manifest_stats import stats
from featkd.cli.commands.manifest_validate import validate
from featkd.cli.options import any_path, example, json_option

_root_option = click.option(
    "--root",
    type=any_path,
    help="Folder that the manifest's paths start from.  [default: the manifest's own folder]",
)


@click.group(epilog=example("featkd manifest show videos/manifest.csv"))
def manifest() -> None:
    """Build, check and show manifests.

    A manifest is one table that says which videos exist, with labels, splits and checksums.
    """


@manifest.command(epilog=example("featkd manifest show videos/manifest.csv"))
@click.argument("path", metavar="M", type=any_path)
@_root_option
@click.option(
    "--head",
    "num_rows",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Also show the first N rows.",
)
@json_option
def show(*, path: Path, root: Path | None, num_rows: int, as_json: bool) -> None:
    """Show what a manifest holds: its header, its digest, its splits and its first rows.

    Reads M alone, no video; writes nothing.
    """
    from featkd.cli.manifest_tables import print_manifest
    from featkd.manifest import read_manifest

    print_manifest(path, read_manifest(path, root=root), num_rows=num_rows, as_json=as_json)


for command in (build, validate, stats, split, subset, merge, convert, diff):
    manifest.add_command(command)

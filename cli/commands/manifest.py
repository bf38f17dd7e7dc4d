"""``featkd manifest``."""

from pathlib import Path

import click

from featkd.cli.commands.manifest_build import build
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
@json_option
def show(*, path: Path, root: Path | None, as_json: bool) -> None:
    """Show what a manifest holds: its header, its digest and its splits.

    Reads M alone, no video; writes nothing.
    """
    from featkd.cli.manifest_tables import print_manifest
    from featkd.manifest import read_manifest

    print_manifest(path, read_manifest(path, root=root), as_json=as_json)


manifest.add_command(build)
manifest.add_command(validate)

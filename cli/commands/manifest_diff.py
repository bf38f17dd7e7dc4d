"""``featkd manifest diff``."""

from pathlib import Path

import click

from featkd.cli.options import any_path, example, json_option

DIFFERENT = 1
TROUBLE = 2


@click.command(epilog=example("featkd manifest diff before.csv after.csv"))
@click.argument("old", metavar="OLD", type=any_path)
@click.argument("new", metavar="NEW", type=any_path)
@json_option
@click.pass_context
def diff(ctx: click.Context, *, old: Path, new: Path, as_json: bool) -> None:
    """Say what differs between two manifests.

    Changed fields of the header, classes, rows that came or went, and changed fields of rows of
    the same id. Exits with 0 where nothing differs, with 1 where something does, with 2 where a
    manifest cannot be read. Writes nothing.
    """
    from featkd.cli.failures import describe_failure
    from featkd.cli.manifest_results import print_difference
    from featkd.errors import ManifestError
    from featkd.manifest import compare_manifests, read_manifest

    try:
        before, after = read_manifest(old), read_manifest(new)
    except ManifestError as error:
        click.secho(describe_failure(error, "").line, fg="red", err=True)
        ctx.exit(TROUBLE)
    found = compare_manifests(before, after)
    print_difference(found, old, new, as_json=as_json)
    if not found.is_empty:
        ctx.exit(DIFFERENT)

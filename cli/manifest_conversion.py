"""Shows what a conversion between manifests and other formats did."""

from dataclasses import asdict
from pathlib import Path

import click

from featkd.cli.figures import plural
from featkd.cli.manifest_results import print_root
from featkd.cli.manifest_tables import count_splits, print_splits
from featkd.cli.tables import print_json, print_listed
from featkd.manifest import BuildResult, Manifest


def print_conversion(
    manifest: Manifest,
    path: Path,
    target_format: str | None,
    *,
    result: BuildResult | None,
    omitted: tuple[str, ...],
    num_links: int | None,
    as_json: bool,
) -> None:
    """What was written, what the format leaves out, and which videos did not serve.

    Args:
        manifest: what was converted.
        path: what was written.
        target_format: its format; None is a manifest.
        result: what reading another format gave; None where a manifest was read.
        omitted: what the format does not hold of the manifest.
        num_links: links to videos that were made; None where none were wanted.
        as_json: whether to print JSON.
    """
    rejected = () if result is None else result.rejected
    warnings = () if result is None else result.warnings
    if as_json:
        print_json(
            {
                "written": path,
                "format": target_format or "manifest",
                "root": manifest.root,
                "digest": manifest.digest,
                "splits": count_splits(manifest),
                "left_out": omitted,
                "links": num_links,
                "rejected": {one.path: one.reason for one in rejected},
                "warnings": [asdict(warning) for warning in warnings],
            }
        )
        return
    click.echo(
        f"{plural(manifest.num_rows, 'video')} of {len(manifest.header.classes)} classes written "
        f"to {path}"
    )
    print_splits(manifest)
    if omitted:
        click.echo(f"left out, as {target_format} does not hold it: {', '.join(omitted)}")
    print_listed(
        [f"{one.path}: {one.reason}" for one in rejected],
        f"{plural(len(rejected), 'file')} rejected:",
    )
    print_listed(
        [f"{warning.path} {warning.message}" for warning in warnings],
        f"{plural(len(warnings), 'warning')}:",
    )
    if num_links is not None:
        click.echo(f"{plural(num_links, 'link')} to videos made")
    elif target_format == "videofolder":
        click.echo("the videos belong beside their metadata: --link-videos links them there")
    elif target_format is None:
        print_root(manifest.root, path)
    else:
        click.echo(f"the paths start from {manifest.root}")

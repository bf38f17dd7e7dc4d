"""``featkd manifest validate``."""

import os
from pathlib import Path

import click

from featkd.cli.manifest_options import workers_option
from featkd.cli.options import any_path, example, output_options


@click.command(epilog=example("featkd manifest validate videos/manifest.csv --contents"))
@click.argument("path", metavar="M", type=any_path)
@click.option(
    "--root",
    type=any_path,
    help="Folder that the manifest's paths start from.  [default: the manifest's own folder]",
)
@click.option(
    "--files",
    is_flag=True,
    help="Also look whether every file is there, and whether others are that have no row.",
)
@click.option(
    "--contents",
    is_flag=True,
    help="Also read every file: checksum, frames, size, frame rate, format.",
)
@click.option(
    "--lists",
    metavar="PATH",
    type=any_path,
    multiple=True,
    help="Also compare with lists, and say what is odd in them.",
)
@click.option(
    "--format",
    "list_format",
    metavar="FORM",
    help="Form of lists that are not the dataset's own, as for 'build'.",
)
@workers_option
@output_options
@click.pass_context
def validate(
    ctx: click.Context,
    *,
    path: Path,
    root: Path | None,
    files: bool,
    contents: bool,
    lists: tuple[Path, ...],
    list_format: str | None,
    workers: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Look for what is wrong with a manifest.

    Reads M: its structure, groups or contents that straddle splits, missing classes; where its
    dataset has a descriptor, classes and counts; where annotations lie beside it, every segment.
    Reading contents goes on where it was interrupted. Exits with 1 where there are errors; warnings
    alone exit with 0.
    """
    from featkd.cli.manifest_tables import print_problems
    from featkd.cli.progress import show_progress
    from featkd.manifest import (
        annotations_path,
        check_annotations,
        check_contents,
        check_descriptor,
        check_extra_files,
        check_files,
        check_listing,
        check_table,
        describe_dataset,
        described_datasets,
        journal_beside,
        read_annotations,
        read_listing,
        read_manifest,
        shipped_descriptor,
    )

    table = read_manifest(path, root=root)
    segments = annotations_path(path)
    annotations = read_annotations(segments) if segments.exists() else None
    problems = check_table(table)
    if annotations is not None:
        problems += check_annotations(annotations, table)
    dataset, classes = table.header.dataset, table.header.classes
    if dataset in described_datasets():
        problems += check_descriptor(table, shipped_descriptor(dataset), annotations)
    if lists:
        descriptor = describe_dataset(dataset, classes=classes, lists=list_format)
        fold = descriptor.fold_of(table.header.protocol) or "1"
        listing = read_listing(lists, descriptor, fold=fold)
        problems += check_listing(table, listing, annotations)
    with show_progress(quiet=quiet) as progress:
        if contents:
            # A folder that cannot be written to may still be read.
            journal_path = journal_beside(path) if os.access(path.parent, os.W_OK) else None
            problems += check_contents(
                table, progress, journal_path=journal_path, num_workers=workers
            )
        elif files:
            problems += check_files(table, progress)
    if files or contents:
        problems += check_extra_files(table)
    print_problems(path, table.num_rows, problems, as_json=as_json)
    if any(problem.severity == "error" for problem in problems):
        ctx.exit(1)

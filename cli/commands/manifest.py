"""``featkd manifest``."""

from pathlib import Path

import click

from featkd.cli.commands.manifest_convert import convert
from featkd.cli.commands.manifest_diff import diff
from featkd.cli.commands.manifest_edit import merge, split, subset
from featkd.cli.commands.manifest_stats import stats
from featkd.cli.options import any_path, example, json_option, output_options

_root_option = click.option(
    "--root",
    type=any_path,
    help="Folder that the manifest's paths start from.  [default: the manifest's own folder]",
)


def _split_fraction(text: str) -> tuple[str, float]:
    name, _, fraction = text.rpartition("=")
    try:
        return name, float(fraction)
    except ValueError as error:
        message = f"{text!r}; expected NAME=FRACTION, such as train=0.8"
        raise click.BadParameter(message) from error


def _check_output(_: click.Context, param: click.Parameter, value: Path) -> Path:
    """Refuse now what would fail after an hour of reading videos."""
    if value.suffix.casefold() not in (".csv", ".parquet"):
        raise click.BadParameter(f"{value} ends in neither .csv nor .parquet", param=param)
    if not value.parent.is_dir():
        raise click.BadParameter(f"folder {value.parent} does not exist", param=param)
    return value


@click.group(epilog=example("featkd manifest show videos/manifest.csv"))
def manifest() -> None:
    """Build, check and show manifests.

    A manifest is one table that says which videos exist, with labels, splits and checksums.
    """


@manifest.command(
    epilog=example(
        "featkd manifest build videos --output videos/manifest.csv --dataset mine "
        "--split train=0.8 --split test=0.2"
    )
)
@click.argument("root", type=any_path)
@click.option(
    "--output",
    "-o",
    metavar="M",
    type=any_path,
    required=True,
    callback=_check_output,
    help="Manifest to write, .csv or .parquet; one that is there is replaced.",
)
@click.option("--dataset", metavar="NAME", required=True, help="Name of the dataset.")
@click.option(
    "--split",
    "splits",
    metavar="NAME=FRACTION",
    type=_split_fraction,
    multiple=True,
    help="A split and its share, where the folders name no splits; the shares sum to 1. Whole "
    "groups are drawn. Without it all videos are 'train'.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Another seed draws other splits."
)
@click.option(
    "--group-pattern",
    metavar="RE",
    help=r"Regular expression with one group, searched in the path: what it captures never "
    r"straddles splits, such as '_(g\d+)_' for UCF101.  [default: each file by itself]",
)
@click.option(
    "--keep-rejected",
    is_flag=True,
    help="Keep unreadable files as rows of 0 frames, so that extraction records why they failed.",
)
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Reading threads.",
)
@output_options
def build(
    *,
    root: Path,
    output: Path,
    dataset: str,
    splits: tuple[tuple[str, float], ...],
    seed: int,
    group_pattern: str | None,
    keep_rejected: bool,
    workers: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Build a manifest from folders of videos.

    Reads every video below ROOT, laid out as class/video or as split/class/video: decodes it once
    to count its frames and hashes it. Writes M.
    """
    if len(dict(splits)) < len(splits):
        raise click.BadParameter("a split is named twice", param_hint="--split")
    from featkd.cli.manifest_tables import print_build
    from featkd.cli.progress import show_progress
    from featkd.manifest import build_from_folders, write_manifest

    with show_progress(quiet=quiet) as progress:
        result = build_from_folders(
            root,
            dataset=dataset,
            splits=dict(splits) or None,
            seed=seed,
            group_pattern=group_pattern,
            progress=progress,
            num_workers=workers,
        )
    table = result.with_rejected() if keep_rejected else result.manifest
    write_manifest(table, output)
    print_build(result, table, output, as_json=as_json)


@manifest.command(epilog=example("featkd manifest validate videos/manifest.csv --contents"))
@click.argument("path", metavar="M", type=any_path)
@_root_option
@click.option("--files", is_flag=True, help="Also look whether every file is there.")
@click.option(
    "--contents", is_flag=True, help="Also read every file: checksum, frames, size, frame rate."
)
@output_options
@click.pass_context
def validate(
    ctx: click.Context,
    *,
    path: Path,
    root: Path | None,
    files: bool,
    contents: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Look for what is wrong with a manifest.

    Reads M: its structure, groups or contents that straddle splits, missing classes. Writes
    nothing. Exits with 1 where there are errors; warnings alone exit with 0.
    """
    from featkd.cli.manifest_tables import print_problems
    from featkd.cli.progress import show_progress
    from featkd.manifest import check_contents, check_files, check_table, read_manifest

    table = read_manifest(path, root=root)
    problems = check_table(table)
    with show_progress(quiet=quiet) as progress:
        if contents:
            problems += check_contents(table, progress)
        elif files:
            problems += check_files(table, progress)
    print_problems(path, table.num_rows, problems, as_json=as_json)
    if any(problem.severity == "error" for problem in problems):
        ctx.exit(1)


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


for command in (stats, split, subset, merge, convert, diff):
    manifest.add_command(command)

"""``featkd manifest convert``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from featkd.cli.manifest_options import check_output, workers_option
from featkd.cli.options import any_path, example, output_options

if TYPE_CHECKING:
    from featkd.manifest.formats import PartialManifest

LIST_FORMATS = ("mmaction2", "slowfast", "pytorchvideo")
FORMAT_NAMES = (*LIST_FORMATS, "videofolder", "croissant")


def _read_lists(
    _: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> dict[str, Path]:
    lists: dict[str, Path] = {}
    for text in values:
        split, sign, file = text.partition("=")
        if not (split and sign and file):
            raise click.BadParameter(f"{text!r}; expected SPLIT=FILE", param=param)
        if split in lists:
            raise click.BadParameter(f"split {split!r} is named twice", param=param)
        lists[split] = Path(file)
    return lists


@click.command(
    epilog=example("featkd manifest convert ucf101/manifest.csv ucf101/lists --to slowfast")
)
@click.argument("source", metavar="SRC", type=any_path)
@click.argument("destination", metavar="DEST", type=any_path)
@click.option(
    "--from",
    "source_format",
    type=click.Choice(FORMAT_NAMES),
    help="What SRC is: a folder in this format.  [default: a manifest]",
)
@click.option(
    "--to",
    "target_format",
    type=click.Choice(FORMAT_NAMES),
    help="What DEST becomes: a new folder in this format.  [default: a manifest, .csv or .parquet]",
)
@click.option(
    "--root",
    type=any_path,
    help="Folder that the paths start from.  [default: that of the manifest, or the folder SRC]",
)
@click.option(
    "--list",
    "lists",
    metavar="SPLIT=FILE",
    multiple=True,
    callback=_read_lists,
    help="A list in SRC and its split, where lists have names of their own. May be given several "
    "times.",
)
@click.option(
    "--classes",
    metavar="FILE",
    type=any_path,
    help="Class list of these lists: a name a line, or JSON from names to labels.",
)
@click.option(
    "--whole-files",
    is_flag=True,
    help="Take each row for its whole file, for formats that know no clips: forget where it starts "
    "and ends.",
)
@click.option(
    "--keep-rejected",
    is_flag=True,
    help="Keep unreadable files as rows of 0 frames, so that extraction records why they failed.",
)
@click.option(
    "--link-videos",
    is_flag=True,
    help="Make links to the videos where a videofolder has them.",
)
@workers_option
@output_options
@click.pass_context
def convert(
    ctx: click.Context,
    *,
    source: Path,
    destination: Path,
    source_format: str | None,
    target_format: str | None,
    root: Path | None,
    lists: dict[str, Path],
    classes: Path | None,
    whole_files: bool,
    keep_rejected: bool,
    link_videos: bool,
    workers: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Convert a manifest to another format, or back.

    \b
    mmaction2      <split>_list_videos.txt, label_map.txt
    slowfast       train.csv, val.csv, test.csv, class_names.json
    pytorchvideo   <split>.csv, class_names.json
    videofolder    <split>/metadata.jsonl, README.md; of Hugging Face datasets
    croissant      croissant.json, manifest.parquet

    Reads SRC, writes DEST, and says what the format leaves out. Where SRC does not say how many
    frames a video has, every video is read; a reading that was stopped goes on where it was.
    """  # noqa: D301 - the escape is click's mark for lines that stay as they are
    if source_format is None and target_format is None:
        raise click.UsageError("expected --from or --to: SRC and DEST would both be manifests")
    if (lists or classes) and source_format not in LIST_FORMATS:
        raise click.UsageError(f"--list and --classes go with --from {', '.join(LIST_FORMATS)}")
    if bool(lists) != bool(classes):
        raise click.UsageError("--list and --classes go together")
    if link_videos and target_format != "videofolder":
        raise click.UsageError("--link-videos goes with --to videofolder")
    if target_format is None:
        _check_manifest_name(ctx, destination)
    from featkd.cli.manifest_conversion import print_conversion
    from featkd.cli.progress import show_progress
    from featkd.manifest import journal_beside, read_manifest, write_manifest
    from featkd.manifest.formats import FORMATS, as_whole_files, complete, export_manifest, left_out
    from featkd.manifest.formats import link_videos as make_links

    result = None
    if source_format is None:
        manifest = read_manifest(source, root=root)
    else:
        with show_progress(quiet=quiet) as progress:
            partial = _read(source_format, source, root or source, lists, classes)
            result = complete(
                partial,
                root or source,
                journal_path=journal_beside(destination),
                progress=progress,
                num_workers=workers,
            )
        manifest = result.with_rejected() if keep_rejected else result.manifest
    if whole_files:
        manifest = as_whole_files(manifest)
    if target_format is None:
        write_manifest(manifest, destination)
        omitted: tuple[str, ...] = ()
    else:
        export_manifest(manifest, FORMATS[target_format], destination)
        omitted = left_out(manifest, FORMATS[target_format])
    num_links = make_links(manifest, destination) if link_videos else None
    print_conversion(
        manifest,
        destination,
        target_format,
        result=result,
        omitted=omitted,
        num_links=num_links,
        as_json=as_json,
    )


def _check_manifest_name(ctx: click.Context, destination: Path) -> None:
    parameter = next(one for one in ctx.command.params if one.name == "destination")
    check_output(ctx, parameter, destination)


def _read(
    name: str, source: Path, root: Path, lists: dict[str, Path], classes: Path | None
) -> "PartialManifest":
    from featkd.manifest.formats import FORMATS, ListFormat

    known = FORMATS[name]
    if isinstance(known, ListFormat) and lists and classes:
        places = {split: source / file for split, file in lists.items()}
        return known.read_files(places, source / classes, root)
    return known.read(source, root)

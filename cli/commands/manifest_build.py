"""``featkd manifest build``."""

from dataclasses import replace
from pathlib import Path

import click

from featkd.cli.manifest_options import check_output, workers_option
from featkd.cli.options import any_path, example, output_options


def _split_fraction(text: str) -> tuple[str, float]:
    name, _, fraction = text.rpartition("=")
    try:
        return name, float(fraction)
    except ValueError as error:
        message = f"{text!r}; expected NAME=FRACTION, such as train=0.8"
        raise click.BadParameter(message) from error


@click.command(
    epilog=example(
        "featkd manifest build videos --output videos/manifest.csv --dataset mine "
        "--split train=0.8 --split test=0.2\n  "
        "featkd manifest build UCF-101 --output ucf101.csv --dataset ucf101 "
        "--lists ucfTrainTestlist --fold 1"
    )
)
@click.argument("root", type=any_path)
@click.option(
    "--output",
    "-o",
    metavar="M",
    type=any_path,
    required=True,
    callback=check_output,
    help="Manifest to write, .csv or .parquet; one that is there is replaced.",
)
@click.option("--dataset", metavar="NAME", required=True, help="Name of the dataset.")
@click.option(
    "--lists",
    metavar="PATH",
    type=any_path,
    multiple=True,
    help="A list that says which videos are in which split, or a folder of lists; they have the "
    "dataset's own form or that of --format. May be given several times.",
)
@click.option(
    "--fold",
    metavar="NAME",
    help="Which split of the dataset, where it has several.  [default: 1]  Without --lists, ucf101 "
    "is split by the groups in the names of its files.",
)
@click.option(
    "--format",
    "list_format",
    metavar="FORM",
    help="Form of lists that are not the dataset's own: 'paths' for lines 'path label', as "
    "mmaction2 and PySlowFast have them, 'frames' for mmaction2's 'path num_frames label'.",
)
@click.option(
    "--classes",
    metavar="FILE",
    type=any_path,
    help="Names of the classes, one a line, in the order of their labels.  [default: those of the "
    "dataset; for folders their sorted names]",
)
@click.option(
    "--split",
    "splits",
    metavar="NAME=FRACTION",
    type=_split_fraction,
    multiple=True,
    help="A split and its share, where neither lists nor folders name splits; the shares sum to 1. "
    "Whole groups are drawn. Without it all videos are 'train'.",
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
    help="Keep unreadable and missing files as rows of 0 frames, so that extraction records why "
    "they failed.",
)
@workers_option
@output_options
def build(
    *,
    root: Path,
    output: Path,
    dataset: str,
    lists: tuple[Path, ...],
    fold: str | None,
    list_format: str | None,
    classes: Path | None,
    splits: tuple[tuple[str, float], ...],
    seed: int,
    group_pattern: str | None,
    keep_rejected: bool,
    workers: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Build a manifest from folders of videos or from the lists of a dataset.

    Reads every video below ROOT, laid out as class/video or as split/class/video, or the videos
    that the lists name: decodes each once to count its frames, and hashes it. Writes M, and beside
    it the annotations of a dataset for detection. A build that was interrupted goes on where it
    stopped.
    """
    listed = bool(lists) or fold is not None
    if len(dict(splits)) < len(splits):
        raise click.BadParameter("a split is named twice", param_hint="--split")
    if listed and (splits or group_pattern):
        raise click.UsageError("--split and --group-pattern contradict --lists and --fold")
    if list_format and not lists:
        raise click.UsageError("--format says how --lists are read; --lists is missing")
    from featkd.cli.manifest_tables import print_build
    from featkd.cli.progress import show_progress
    from featkd.manifest import (
        annotations_path,
        build_from_folders,
        build_from_lists,
        build_ucf101_by_group,
        describe_dataset,
        journal_beside,
        read_class_names,
        write_annotations,
        write_manifest,
    )

    names = read_class_names(classes) if classes else None
    journal_path = journal_beside(output)
    with show_progress(quiet=quiet) as progress:
        if lists:
            result = build_from_lists(
                root,
                lists,
                describe_dataset(dataset, classes=names, lists=list_format),
                fold=fold or "1",
                journal_path=journal_path,
                progress=progress,
                num_workers=workers,
            )
        elif fold is not None:
            result = build_ucf101_by_group(
                root,
                describe_dataset(dataset, classes=names),
                fold=fold,
                journal_path=journal_path,
                progress=progress,
                num_workers=workers,
            )
        else:
            result = build_from_folders(
                root,
                dataset=dataset,
                splits=dict(splits) or None,
                seed=seed,
                classes=names,
                group_pattern=group_pattern,
                journal_path=journal_path,
                progress=progress,
                num_workers=workers,
            )
    table = result.with_rejected() if keep_rejected else result.manifest
    if result.annotations is not None:
        segments = result.annotations.of_videos(table.select(["video_id"])["video_id"])
        result = replace(result, annotations=segments)
        write_annotations(segments, annotations_path(output))
    write_manifest(table, output)
    print_build(result, table, output, as_json=as_json)

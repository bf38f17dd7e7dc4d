"""``featkd manifest split``, ``subset`` and ``merge``."""

from pathlib import Path

import click

from featkd.cli.manifest_options import (
    manifest_argument,
    output_option,
    read_shares,
    root_option,
    seed_option,
)
from featkd.cli.options import any_path, example, json_option


@click.command(
    epilog=example(
        "featkd manifest split videos/manifest.csv -o videos/split2.csv "
        "--split train=0.7 --split val=0.1 --split test=0.2 --seed 2"
    )
)
@manifest_argument
@root_option
@output_option("Manifest to write")
@click.option(
    "--split",
    "shares",
    metavar="NAME=FRACTION",
    multiple=True,
    required=True,
    callback=read_shares,
    help="A split and its share of the rows; the shares sum to 1.",
)
@click.option(
    "--of",
    metavar="SPLIT",
    multiple=True,
    help="Draw the rows of this split alone, others stay. May be given several times.  "
    "[default: all]",
)
@seed_option
@json_option
def split(
    *,
    path: Path,
    root: Path | None,
    output: Path,
    shares: dict[str, float],
    of: tuple[str, ...],
    seed: int,
    as_json: bool,
) -> None:
    """Draw new splits, stratified by class.

    Rows that share a group, a file or a checksum stay together; each class is shared out as
    nearly as that allows. The same seed gives the same splits. Reads M, writes OUT.
    """
    from featkd.cli.manifest_results import print_written
    from featkd.manifest import draw_splits, read_manifest, write_manifest

    drawn = draw_splits(read_manifest(path, root=root), shares, seed=seed, of=of or None)
    write_manifest(drawn, output)
    print_written(drawn, output, as_json=as_json)


@click.command(
    epilog=example(
        "featkd manifest subset videos/manifest.csv -o videos/mini.csv --per-class 10 --renumber"
    )
)
@manifest_argument
@root_option
@output_option("Manifest to write")
@click.option(
    "--class",
    "classes",
    metavar="NAME",
    multiple=True,
    help="Take rows of this class. May be given several times.  [default: all]",
)
@click.option(
    "--split",
    "splits",
    metavar="NAME",
    multiple=True,
    help="Take rows of this split. May be given several times.  [default: all]",
)
@click.option(
    "--ids",
    metavar="FILE",
    type=any_path,
    help="Text file with the ids of the rows to take, one a line.  [default: all]",
)
@click.option(
    "--per-class",
    "num_per_class",
    metavar="N",
    type=click.IntRange(min=1),
    help="Draw N rows of each class in each split.  [default: all]",
)
@click.option(
    "--renumber",
    is_flag=True,
    help="Leave classes without rows out of the class list, and number the others anew.",
)
@seed_option
@json_option
def subset(
    *,
    path: Path,
    root: Path | None,
    output: Path,
    classes: tuple[str, ...],
    splits: tuple[str, ...],
    ids: Path | None,
    num_per_class: int | None,
    renumber: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Take some rows of a manifest.

    Those that meet every condition, in their order. A larger N takes the same rows and more.
    Reads M, writes OUT.
    """
    from featkd.cli.manifest_results import print_written
    from featkd.manifest import read_manifest, renumber_classes, take_subset, write_manifest

    video_ids = None
    if ids is not None:
        # Only line feeds end a line: names may hold other separators.
        lines = (line.strip() for line in ids.read_text("utf-8").split("\n"))
        video_ids = tuple(dict.fromkeys(filter(None, lines)))
    taken = take_subset(
        read_manifest(path, root=root),
        classes=classes or None,
        splits=splits or None,
        video_ids=video_ids,
        num_per_class=num_per_class,
        seed=seed,
    )
    if renumber:
        taken = renumber_classes(taken)
    write_manifest(taken, output)
    print_written(taken, output, as_json=as_json)


@click.command(
    epilog=example(
        "featkd manifest merge ucf101/manifest.csv hmdb51/manifest.csv -o both.csv "
        "--dataset both --join-classes --prefix-ids"
    )
)
@click.argument("paths", metavar="M...", nargs=-1, required=True, type=any_path)
@output_option("Manifest to write")
@click.option(
    "--root",
    type=any_path,
    help="Folder that the paths of OUT start from; all manifests lie in it.  "
    "[default: the deepest such folder]",
)
@click.option(
    "--dataset", metavar="NAME", help="Name of the result.  [default: that of the manifests]"
)
@click.option(
    "--join-classes",
    is_flag=True,
    help="Where class lists differ, take every class of all, and number labels anew.",
)
@click.option(
    "--prefix-ids",
    is_flag=True,
    help="Put the name of each manifest's dataset before its ids and groups.",
)
@json_option
def merge(
    *,
    paths: tuple[Path, ...],
    output: Path,
    root: Path | None,
    dataset: str | None,
    join_classes: bool,
    prefix_ids: bool,
    as_json: bool,
) -> None:
    """Make one manifest of several.

    Refuses class lists that differ and ids that occur twice, and says which. The paths of each M
    start from its own folder. Reads every M, writes OUT.
    """
    from featkd.cli.manifest_results import print_written
    from featkd.manifest import Part, merge_manifests, read_manifest, write_manifest

    parts = []
    for path in paths:
        table = read_manifest(path)
        prefix = f"{table.header.dataset}/" if prefix_ids else ""
        parts.append(Part(str(path), table, prefix))
    merged = merge_manifests(parts, root=root, dataset=dataset, join_classes=join_classes)
    write_manifest(merged, output)
    print_written(merged, output, as_json=as_json)

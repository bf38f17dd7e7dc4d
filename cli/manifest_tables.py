"""Shows manifests, how they were built, and what is wrong with them."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from featkd.cli.figures import plural
from featkd.cli.manifest_rows import first_rows, print_rows
from featkd.cli.tables import print_json, print_listed, print_table
from featkd.manifest import BuildResult, Manifest, Problem


def print_manifest(path: Path, manifest: Manifest, *, num_rows: int, as_json: bool) -> None:
    """Header, digest, splits and the first rows."""
    rows = first_rows(manifest, num_rows)
    if as_json:
        print_json(
            {
                "path": path,
                "header": manifest.header.model_dump(mode="json"),
                "digest": manifest.digest,
                "splits": count_splits(manifest),
                "rows": rows,
            }
        )
        return
    header = manifest.header
    click.echo(f"{path}: {header.dataset}, version {header.version}")
    click.echo(f"protocol: {header.protocol}")
    click.echo(f"source: {header.source}; licence: {header.licence}")
    click.echo(f"digest: {manifest.digest}")
    click.echo(f"{len(header.classes)} classes: {', '.join(header.classes)}")
    print_splits(manifest)
    print_rows(rows)


def print_build(result: BuildResult, written: Manifest, path: Path, *, as_json: bool) -> None:
    """What was built, what was rejected and why, and what is doubtful."""
    if as_json:
        print_json(
            {
                "written": path,
                "root": written.root,
                "digest": written.digest,
                "splits": count_splits(written),
                "rejected": {rejected.path: rejected.reason for rejected in result.rejected},
                "warnings": [asdict(warning) for warning in result.warnings],
                "segments": None if result.annotations is None else len(result.annotations.table),
            }
        )
        return
    num_videos, num_classes = written.num_rows, len(written.header.classes)
    click.echo(f"{plural(num_videos, 'video')} of {num_classes} classes written to {path}")
    if result.annotations is not None:
        click.echo(f"{plural(len(result.annotations.table), 'segment')} written beside it")
    print_splits(written)
    print_listed(
        [f"{rejected.path}: {rejected.reason}" for rejected in result.rejected],
        f"{plural(len(result.rejected), 'file')} rejected:",
    )
    print_listed(
        [f"{warning.path} {warning.message}" for warning in result.warnings],
        f"{plural(len(result.warnings), 'warning')}:",
    )
    if path.parent.resolve() != written.root.resolve():
        click.echo(
            f"the paths start from {written.root}, not from the manifest's folder: "
            f"set data.root={written.root} in the recipe"
        )


def print_problems(
    path: Path, num_rows: int, problems: Sequence[Problem], *, as_json: bool
) -> None:
    """Errors first, then warnings."""
    errors = [problem for problem in problems if problem.severity == "error"]
    warnings = [problem for problem in problems if problem.severity == "warning"]
    if as_json:
        print_json(
            {
                "path": path,
                "rows": num_rows,
                "errors": [asdict(problem) for problem in errors],
                "warnings": [asdict(problem) for problem in warnings],
            }
        )
        return
    click.echo(
        f"{path}: {plural(num_rows, 'row')}, {plural(len(errors), 'error')}, "
        f"{plural(len(warnings), 'warning')}"
    )
    print_listed([problem.message for problem in errors], "errors:")
    print_listed([problem.message for problem in warnings], "warnings:")


def count_splits(manifest: Manifest) -> dict[str, dict[str, int]]:
    """Videos, classes, frames and unreadable videos by split."""
    table = manifest.select(["split", "label", "num_frames"])
    counts = {}
    for split in manifest.splits():
        rows = table[table["split"] == split]
        counts[split] = {
            "videos": len(rows),
            "classes": int(rows["label"].nunique()),
            "frames": int(rows["num_frames"].sum()),
            "unreadable": int((rows["num_frames"] == 0).sum()),
        }
    return counts


def print_splits(manifest: Manifest) -> None:
    """A line for each split."""
    columns = ["videos", "classes", "frames", "unreadable"]
    print_table(
        ["split", *columns],
        [
            [split, *(str(counts[column]) for column in columns)]
            for split, counts in count_splits(manifest).items()
        ],
        numeric=columns,
    )

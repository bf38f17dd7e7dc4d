"""Shows manifests that were made of others, and how two differ."""

from collections.abc import Mapping
from pathlib import Path

import click

from featkd.cli.figures import UNKNOWN, plural
from featkd.cli.manifest_tables import count_splits, print_splits
from featkd.cli.tables import print_json, print_listed, print_table
from featkd.manifest import Change, Manifest, ManifestDifference


def print_written(manifest: Manifest, path: Path, *, as_json: bool) -> None:
    """What was written, and where its paths start."""
    if as_json:
        print_json(
            {
                "written": path,
                "root": manifest.root,
                "digest": manifest.digest,
                "classes": len(manifest.header.classes),
                "splits": count_splits(manifest),
            }
        )
        return
    click.echo(
        f"{plural(manifest.num_rows, 'video')} of {len(manifest.header.classes)} classes "
        f"written to {path}"
    )
    print_splits(manifest)
    print_root(manifest.root, path)


def print_root(root: Path, path: Path) -> None:
    """Say where the paths of a manifest start, unless it is the manifest's own folder."""
    if path.parent.resolve() != root.resolve():
        click.echo(
            f"the paths start from {root}, not from the manifest's folder: "
            f"set data.root={root} in the recipe"
        )


def print_difference(found: ManifestDifference, old: Path, new: Path, *, as_json: bool) -> None:
    """Header, classes, rows."""
    if as_json:
        print_json(
            {
                "old": old,
                "new": new,
                "equal": found.is_empty,
                "header": _as_dicts(found.header),
                "classes": _as_dicts(found.classes),
                "removed": found.removed,
                "added": found.added,
                "changed": {name: _as_dicts(fields) for name, fields in found.changed.items()},
                "changed_by_field": found.num_changed(),
                "reordered": found.reordered,
            }
        )
        return
    if found.is_empty:
        click.echo(f"{old} and {new} hold the same")
        return
    click.echo(
        f"{plural(len(found.removed), 'row')} removed, {len(found.added)} added, "
        f"{len(found.changed)} changed"
    )
    print_listed([f"{name}: {_arrow(pair)}" for name, pair in found.header.items()], "header:")
    print_listed([f"{label}: {_arrow(pair)}" for label, pair in found.classes.items()], "classes:")
    if found.changed:
        counts = found.num_changed()
        print_table(
            ["field", "changed rows"],
            [[field, str(count)] for field, count in counts.items()],
            numeric=["changed rows"],
        )
    print_listed(found.removed, "removed:")
    print_listed(found.added, "added:")
    print_listed(
        [
            f"{name}: {', '.join(f'{field} {_arrow(pair)}' for field, pair in fields.items())}"
            for name, fields in found.changed.items()
        ],
        "changed:",
    )
    if found.reordered:
        click.echo("the rows that both have stand in another order")


def _as_dicts(changes: Mapping[str, Change] | Mapping[int, Change]) -> dict[str, object]:
    return {str(name): pair._asdict() for name, pair in changes.items()}


def _arrow(pair: Change) -> str:
    return " -> ".join(UNKNOWN if value is None else repr(value) for value in pair)

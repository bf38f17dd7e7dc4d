"""Shows what caches hold, what is wrong with them, and what became of them."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from featkd.cache import ArrayInventory, FolderStore
from featkd.cache.verify import Damage, Verification
from featkd.cli.codec_columns import CODEC_COLUMNS, array_json, codec_cells, shape_text
from featkd.cli.figures import UNKNOWN, plural, size
from featkd.cli.tables import print_json, print_listed, print_table
from featkd.extract.prune import Pruning
from featkd.extract.repair import RepairSummary
from featkd.extract.replay import Replay


def print_cache(store: FolderStore, inventory: Sequence[ArrayInventory], *, as_json: bool) -> None:
    """Rows, layers and arrays, and the rows without data."""
    committed = {name: len(store.committed_parts(name)) for name in store.layers()}
    failures = {name: store.failures(name) for name in store.layers()}
    num_bytes = sum(item.num_bytes for item in inventory)
    if as_json:
        print_json(
            {
                "cache": store.path,
                "backend": store.backend,
                "num_rows": store.num_rows,
                "num_parts": store.num_parts,
                "part_rows": store.part_rows,
                "num_bytes": num_bytes,
                "layers": {
                    name: {
                        "committed_parts": committed[name],
                        "failures": failures[name],
                        "fingerprint": layer.fingerprint,
                    }
                    for name, layer in store.layers().items()
                },
                "arrays": [
                    {
                        "layer": item.layer,
                        **array_json(item.spec, item.codec_error),
                        "num_rows": item.num_rows,
                        "num_bytes": item.num_bytes,
                        "row_bytes": item.row_bytes,
                        "row_bytes_uncompressed": item.raw_row_bytes,
                    }
                    for item in inventory
                ],
                "modules": store.module_names(),
            }
        )
        return
    click.echo(
        f"{store.path}: {store.backend}, {plural(store.num_rows, 'row')} in "
        f"{plural(store.num_parts, 'part')} of {store.part_rows}, {size(num_bytes)}"
    )
    for name in store.layers():
        click.echo(
            f"layer {name}: {committed[name]} of {plural(store.num_parts, 'part')} committed, "
            f"{plural(len(failures[name]), 'row')} without data"
        )
    click.echo(f"modules: {', '.join(store.module_names()) or 'none'}")
    print_table(
        ["array", "layer", "shape", "format", "compression", "stored", "a row", "ratio",
         *CODEC_COLUMNS],
        [
            [
                item.spec.name,
                item.layer,
                shape_text(item.spec),
                item.spec.dtype,
                item.spec.compression,
                size(item.num_bytes),
                size(round(item.row_bytes)),
                f"{item.ratio:.2f}",
                *codec_cells(item.codec_error),
            ]
            for item in inventory
        ],
        numeric=["stored", "a row", "ratio", *CODEC_COLUMNS],
    )  # fmt: skip
    reasons = {row: reason for rows in failures.values() for row, reason in rows.items()}
    print_listed(
        [f"row {row}: {reason}" for row, reason in sorted(reasons.items())],
        f"{plural(len(reasons), 'row')} without data:",
    )


def print_verification(
    path: Path, found: Verification, replayed: Replay | None, *, as_json: bool
) -> None:
    """What was looked at and everything that is wrong."""
    if as_json:
        print_json(
            {
                "cache": path,
                **asdict(found),
                "replay": asdict(replayed) if replayed is not None else None,
            }
        )
        return
    looked_at = f"{plural(found.num_files, 'file')} of arrays"
    if found.num_bytes:
        looked_at += f", {size(found.num_bytes)} compared with their digests"
    click.echo(f"{path}: {looked_at}; {plural(len(found.damages), 'problem')}")
    for layer, num_parts in found.committed_parts.items():
        click.echo(
            f"layer {layer}: {num_parts} of {plural(found.num_parts, 'part')} committed, "
            f"{plural(found.failed_rows[layer], 'row')} without data"
        )
    _print_damages(found.damages)
    if replayed is not None:
        _print_replay(replayed)


def print_repair(path: Path, summary: RepairSummary, *, as_json: bool) -> None:
    """What was put right, and what could not be."""
    if as_json:
        print_json({"cache": path, **asdict(summary)})
        return
    num_parts = sum(len(parts) for parts in summary.retracted.values())
    click.echo(
        f"{path}: {plural(len(summary.restored), 'file')} restored, {plural(num_parts, 'part')} "
        f"written again, {plural(summary.rows_recomputed, 'row')} computed again, "
        f"{plural(len(summary.still_damaged), 'problem')} left"
    )
    print_listed(list(summary.restored), "restored:")
    for layer, parts in summary.retracted.items():
        click.echo(f"layer {layer}: parts {', '.join(map(str, parts))} written again")
    _print_damages(summary.still_damaged)


def print_copy(
    store: FolderStore, inventory: Sequence[ArrayInventory], *, source_bytes: int, as_json: bool
) -> None:
    """What a copy holds, and its size beside the original's."""
    num_bytes = sum(item.num_bytes for item in inventory)
    if as_json:
        print_json(
            {
                "written": store.path,
                "backend": store.backend,
                "num_rows": store.num_rows,
                "arrays": [item.spec.name for item in inventory],
                "num_bytes": num_bytes,
                "num_bytes_of_source": source_bytes,
            }
        )
        return
    compressions = sorted({item.spec.compression for item in inventory})
    click.echo(
        f"{plural(store.num_rows, 'row')} of {plural(len(inventory), 'array')} copied to "
        f"{store.path} ({', '.join([store.backend, *compressions])}): {size(num_bytes)}, "
        f"from a cache of {size(source_bytes)}"
    )


def print_pruning(path: Path, pruning: Pruning, *, dry_run: bool, as_json: bool) -> None:
    """What was deleted, or would be, and how much room that makes."""
    if as_json:
        print_json({"cache": path, "dry_run": dry_run, **asdict(pruning)})
        return
    verb = "would be freed" if dry_run else "freed"
    click.echo(f"{path}: {size(pruning.num_bytes)} {verb}")
    print_listed(list(pruning.arrays), f"{plural(len(pruning.arrays), 'array')}:")
    print_listed(
        list(pruning.leftovers), f"{plural(len(pruning.leftovers), 'folder')} left by stopped work:"
    )


def _print_damages(damages: Sequence[Damage]) -> None:
    if damages:
        print_table(
            ["file", "layer", "part", "problem"],
            [
                [
                    damage.path,
                    damage.layer or UNKNOWN,
                    UNKNOWN if damage.part is None else str(damage.part),
                    damage.problem,
                ]
                for damage in damages
            ],
            numeric=["part"],
        )


def _print_replay(replayed: Replay) -> None:
    click.echo(
        f"{plural(replayed.num_rows, 'row')} replayed, "
        f"{plural(len(replayed.different), 'difference')}"
    )
    print_table(
        ["array", "equal rows", "worst relative L2"],
        [
            [
                name,
                f"{num_exact} of {replayed.num_rows}",
                f"{replayed.worst_relative_l2[name]:.2g}"
                if name in replayed.worst_relative_l2
                else UNKNOWN,
            ]
            for name, num_exact in replayed.num_exact.items()
        ],
        numeric=["equal rows", "worst relative L2"],
    )
    print_listed(
        [f"row {item.row}, {item.video_id}: {item.problem}" for item in replayed.different],
        "different:",
    )

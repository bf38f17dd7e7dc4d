"""Shows a manifest in numbers."""

from itertools import islice
from pathlib import Path

import click
import numpy as np

from featkd.cli.figures import UNKNOWN, duration
from featkd.cli.tables import MAX_LISTED, print_json, print_table
from featkd.manifest import ManifestStatistics, quantiles


def print_statistics(
    path: Path, statistics: ManifestStatistics, page: Path | None, *, as_json: bool
) -> None:
    """Splits, class balance, lengths, frame rates and resolutions."""
    if as_json:
        print_json(_as_dict(path, statistics, page))
        return
    _print_splits(statistics)
    _print_classes(statistics)
    rows = []
    for name, values in (("frames", statistics.frames), ("seconds", statistics.seconds)):
        spread = quantiles(values)
        if spread is not None:
            rows.append([name, *(f"{value:g}" for value in np.round(spread, 2))])
    columns = ["lowest", "5 %", "median", "95 %", "highest"]
    if rows:
        print_table(["length in", *columns], rows, numeric=columns)
    sizes = {f"{width} x {height}": n for (width, height), n in statistics.resolutions.items()}
    rates = {f"{rate:g}": n for rate, n in statistics.frame_rates.items()}
    for heading, counts in (("resolution", sizes), ("frames per second", rates)):
        listed = [[name, str(count)] for name, count in islice(counts.items(), MAX_LISTED)]
        if listed:
            print_table([heading, "videos"], listed, numeric=["videos"])
        if len(counts) > MAX_LISTED:
            click.echo(f"and {len(counts) - MAX_LISTED} more; --json lists all\n")
    if page is not None:
        click.echo(f"drawn in {page}")


def _print_splits(statistics: ManifestStatistics) -> None:
    columns = ["videos", "classes", "groups", "frames", "length", "unreadable"]
    print_table(
        ["split", *columns],
        [
            [
                name,
                str(split.num_videos),
                str(split.num_classes),
                str(split.num_groups),
                str(split.num_frames),
                duration(split.seconds),
                str(split.num_unreadable),
            ]
            for name, split in statistics.splits.items()
        ],
        numeric=columns,
    )


def _print_classes(statistics: ManifestStatistics) -> None:
    """Smallest, median and largest class, by split and altogether."""
    counts = dict(zip(statistics.splits, statistics.class_counts, strict=True))
    counts["all"] = statistics.class_counts.sum(axis=0)
    columns = ["fewest", "median", "most", "most / fewest"]
    rows = [
        [
            split,
            _named(statistics, numbers, int(numbers.argmin())),
            f"{np.median(numbers):g}",
            _named(statistics, numbers, int(numbers.argmax())),
            f"{numbers.max() / numbers.min():.2f}" if numbers.min() else UNKNOWN,
        ]
        for split, numbers in counts.items()
    ]
    print_table(["videos of a class", *columns], rows, numeric=["median", "most / fewest"])


def _named(statistics: ManifestStatistics, numbers: np.ndarray, label: int) -> str:
    return f"{numbers[label]} ({statistics.class_names[label]})"


def _as_dict(path: Path, statistics: ManifestStatistics, page: Path | None) -> dict[str, object]:
    spreads = {"frames": quantiles(statistics.frames), "seconds": quantiles(statistics.seconds)}
    by_split = dict(zip(statistics.splits, statistics.class_counts.tolist(), strict=True))
    return {
        "path": path,
        "splits": {name: split._asdict() for name, split in statistics.splits.items()},
        "classes": {
            name: {split: counts[label] for split, counts in by_split.items()}
            for label, name in enumerate(statistics.class_names)
        },
        "imbalance": statistics.imbalance,
        **{name: spread and spread._asdict() for name, spread in spreads.items()},
        "resolutions": [
            {"width": width, "height": height, "videos": count}
            for (width, height), count in statistics.resolutions.items()
        ],
        "frame_rates": [
            {"fps": rate, "videos": count} for rate, count in statistics.frame_rates.items()
        ],
        "html": page,
    }

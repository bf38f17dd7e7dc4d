"""Takes some rows of a manifest."""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from featkd.errors import ManifestError, UsageError
from featkd.manifest.manifest import Manifest


def take_subset(
    manifest: Manifest,
    *,
    classes: Collection[str] | None = None,
    splits: Collection[str] | None = None,
    video_ids: Collection[str] | None = None,
    num_per_class: int | None = None,
    seed: int = 0,
) -> Manifest:
    """Take the rows that every given condition holds for, in their order.

    The class list stays, so that labels keep their meaning; `renumber_classes` shortens it.

    Args:
        manifest: where to take from.
        classes: names of the classes to take.
        splits: names of the splits to take.
        video_ids: ids of the rows to take.
        num_per_class: at most so many rows of each class in each split, drawn from those that the
            other conditions leave. A row is drawn by its id alone: a larger number takes the same
            rows and more.
        seed: another seed draws other rows.

    Raises:
        UsageError: if a class, split or id is not in the manifest, or ``num_per_class`` is below 1.
        ManifestError: if no row is left.
    """
    if num_per_class is not None and num_per_class < 1:
        raise UsageError(f"num_per_class is {num_per_class}; expected 1 or more")
    table = manifest.table
    kept = np.ones(len(table), dtype=bool)
    for column, name, chosen, known in (
        ("class_name", "class", classes, manifest.header.classes),
        ("split", "split", splits, manifest.splits()),
        ("video_id", "video", video_ids, None),
    ):
        if chosen is not None:
            _require_known(name, chosen, table[column] if known is None else known)
            kept &= table[column].isin(list(chosen)).to_numpy()
    table = table[kept]
    if num_per_class is not None:
        table = table[_rank(table, seed) < num_per_class]
    if table.empty:
        raise ManifestError(
            f"manifest of {manifest.header.dataset!r}: no row meets every condition; "
            "expected at least one"
        )
    protocol = _protocol(manifest.header.protocol, classes, splits, video_ids, num_per_class, seed)
    header = manifest.header.model_copy(update={"protocol": protocol})
    return replace(manifest, header=header, table=table)


def renumber_classes(manifest: Manifest) -> Manifest:
    """Leave classes without rows out of the class list, and number the others anew, in order."""
    table = manifest.table
    present = set(table["label"].unique().tolist())
    classes = tuple(name for label, name in enumerate(manifest.header.classes) if label in present)
    label_of = {name: label for label, name in enumerate(classes)}
    table["label"] = table["class_name"].map(label_of).astype(np.int64)
    return replace(
        manifest, header=manifest.header.model_copy(update={"classes": classes}), table=table
    )


def _require_known(what: str, chosen: Collection[str], known: Iterable[str]) -> None:
    there = set(known)
    unknown = [name for name in chosen if name not in there]
    if unknown:
        others = f" (nor are {len(unknown) - 1} others)" if len(unknown) > 1 else ""
        raise UsageError(f"{what} {unknown[0]!r} is not in the manifest{others}")


def _rank(table: pd.DataFrame, seed: int) -> pd.Series:
    """Place of each row, from 0, among the rows of its class and split."""
    draws = table["video_id"].map(
        lambda name: hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).hexdigest()
    )
    shuffled = table.assign(draw=draws).sort_values(["draw", "video_id"])
    return shuffled.groupby(["label", "split"]).cumcount().reindex(table.index)


def _protocol(
    before: str,
    classes: Collection[str] | None,
    splits: Collection[str] | None,
    video_ids: Collection[str] | None,
    num_per_class: int | None,
    seed: int,
) -> str:
    conditions = []
    if classes is not None:
        conditions.append(f"classes {', '.join(classes)}")
    if splits is not None:
        conditions.append(f"splits {', '.join(splits)}")
    if video_ids is not None:
        conditions.append(f"{len(video_ids)} ids")
    if num_per_class is not None:
        conditions.append(f"{num_per_class} rows per class and split, seed {seed}")
    return f"{before}; subset: {', '.join(conditions) or 'all rows'}".removeprefix("; ")

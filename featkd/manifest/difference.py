"""What differs between two manifests."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from featkd.manifest.manifest import Manifest
from featkd.manifest.schema import COLUMN_NAMES


class Change(NamedTuple):
    """A value before and after; None stands for an absent one."""

    old: object
    new: object


@dataclass(frozen=True, slots=True)
class ManifestDifference:
    """What differs between two manifests; rows are known by their id.

    Attributes:
        header: changed fields of the header, class lists apart.
        classes: changed entries of the class list, by label.
        removed: ids of rows that only the old manifest has, in its order.
        added: ids of rows that only the new manifest has, in its order.
        changed: changed fields by id, for rows that both have, in the new manifest's order.
        reordered: whether the rows that both have stand in another order.
    """

    header: dict[str, Change]
    classes: dict[int, Change]
    removed: tuple[str, ...]
    added: tuple[str, ...]
    changed: dict[str, dict[str, Change]]
    reordered: bool

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs, which is so if digests are equal."""
        return not (
            self.header
            or self.classes
            or self.removed
            or self.added
            or self.changed
            or self.reordered
        )

    def num_changed(self) -> dict[str, int]:
        """Number of changed rows by field, in the order of the columns."""
        counts = dict.fromkeys(COLUMN_NAMES, 0)
        for changes in self.changed.values():
            for field in changes:
                counts[field] += 1
        return {field: count for field, count in counts.items() if count}


def compare_manifests(old: Manifest, new: Manifest) -> ManifestDifference:
    """Compare two manifests, header by field and rows by id and field; roots are not compared.

    Args:
        old: the manifest before.
        new: the manifest after.
    """
    old_ids, new_ids = (pd.Index(m.select(["video_id"])["video_id"]) for m in (old, new))
    places = old_ids.get_indexer(new_ids)
    shared = places >= 0
    before = old.table.iloc[places[shared]]
    after = new.table.loc[shared]
    return ManifestDifference(
        header=_header_changes(old, new),
        classes=_class_changes(old.header.classes, new.header.classes),
        removed=tuple(old_ids[~old_ids.isin(new_ids)]),
        added=tuple(new_ids[~shared]),
        changed=_row_changes(before, after),
        reordered=bool((np.diff(places[shared]) < 0).any()),
    )


def _header_changes(old: Manifest, new: Manifest) -> dict[str, Change]:
    before, after = (m.header.model_dump(exclude={"classes"}) for m in (old, new))
    return {
        field: Change(before[field], after[field])
        for field in before
        if before[field] != after[field]
    }


def _class_changes(old: tuple[str, ...], new: tuple[str, ...]) -> dict[int, Change]:
    pairs = (
        Change(*(names[label] if label < len(names) else None for names in (old, new)))
        for label in range(max(len(old), len(new)))
    )
    return {label: pair for label, pair in enumerate(pairs) if pair.old != pair.new}


def _row_changes(before: pd.DataFrame, after: pd.DataFrame) -> dict[str, dict[str, Change]]:
    by_row: dict[int, dict[str, Change]] = {}
    for field in COLUMN_NAMES:
        one, other = before[field].to_numpy(), after[field].to_numpy()
        absent = pd.isna(one) & pd.isna(other)
        for row in np.flatnonzero((one != other) & ~absent).tolist():
            by_row.setdefault(row, {})[field] = Change(*_values(one[row], other[row]))
    names = after["video_id"].to_numpy()
    return {str(names[row]): by_row[row] for row in sorted(by_row)}


def _values(*values: object) -> Iterator[object]:
    """Values as Python's own types, an absent one as None."""
    for value in values:
        if pd.isna(value):  # type: ignore[call-overload]
            yield None
        else:
            yield value.item() if isinstance(value, np.generic) else value

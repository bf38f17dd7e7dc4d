"""Rows that must stay together: of one group, of one file, or of files with the same contents."""

import numpy as np
import pandas as pd
from jaxtyping import Int

from featkd.manifest.manifest import Manifest

_TIES = ("group", "path", "sha256")


def kin_of(manifest: Manifest) -> Int[np.ndarray, " rows"]:
    """Number the sets of rows that may not straddle splits.

    Two rows are kin if they share a group, a file or a checksum, or if both are kin of a third.

    Args:
        manifest: the rows.

    Returns:
        The number of each row's set, counted from 0 in the order of their first rows.
    """
    table = manifest.select(_TIES)
    leaders = np.arange(len(table))
    for name in _TIES:
        leaders = _joined(leaders, table[name])
    return pd.factorize(leaders)[0].astype(np.int64)


def _joined(leaders: Int[np.ndarray, " rows"], shared: pd.Series) -> Int[np.ndarray, " rows"]:
    """Join the sets whose rows share a value; a set is known by its lowest row."""
    parent = np.arange(len(leaders)).tolist()

    def find(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    # Numbers say which rows share a value; -1 stands for an absent one, which ties nobody.
    numbers = pd.factorize(shared)[0]
    first_with: dict[int, int] = {}
    for leader, number in zip(leaders.tolist(), numbers.tolist(), strict=True):
        if number < 0:
            continue
        one, other = find(first_with.setdefault(number, leader)), find(leader)
        parent[max(one, other)] = min(one, other)
    return np.fromiter((find(leader) for leader in leaders.tolist()), np.int64, len(leaders))

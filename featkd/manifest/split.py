"""Draws new splits: whole groups, and of every class the same share."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from featkd.errors import ManifestError, UsageError
from featkd.manifest.assign import check_fractions
from featkd.manifest.kin import kin_of
from featkd.manifest.manifest import Manifest


def draw_splits(
    manifest: Manifest,
    fractions: Mapping[str, float],
    *,
    seed: int = 0,
    of: Collection[str] | None = None,
) -> Manifest:
    """Assign rows to new splits.

    Rows that share a group, a file or a checksum stay together. The sets of such rows are taken
    from the largest to the smallest, in an order drawn by the seed where they are equally large;
    each goes where the rows of its classes, and rows altogether, are most wanting. Shares are
    therefore as near to ``fractions`` as whole sets allow. The order of the rows does not matter.

    Args:
        manifest: what to split; its own splits are forgotten.
        fractions: share of the rows by split, which sum to 1.
        seed: another seed draws another assignment.
        of: splits whose rows are drawn anew; all others stay where they are. By default all rows
            are drawn.

    Raises:
        UsageError: if the fractions do not sum to 1, or a name is no split.
        ManifestError: if kin of the rows to draw lie in splits that stay, or a split would be left
            without rows.
    """
    check_fractions(fractions)
    table = manifest.table
    sets = kin_of(manifest)
    drawn = _drawn_rows(manifest, table["split"], of)
    _refuse_straddling(table, sets, drawn)
    numbers, names = pd.factorize(sets[drawn])
    counts = np.zeros((len(names), len(manifest.header.classes)), dtype=np.int64)
    np.add.at(counts, (numbers, table["label"].to_numpy()[drawn]), 1)
    order = _order(table["video_id"].to_numpy()[drawn], numbers, counts.sum(axis=1), seed)
    shares = np.array(list(fractions.values()))
    split_of_set = np.array(list(fractions), dtype=object)[_assign(counts, order, shares)]
    table.loc[drawn, "split"] = split_of_set[numbers]
    for name in fractions:
        if name not in set(split_of_set):
            raise ManifestError(
                f"manifest of {manifest.header.dataset!r}: split {name!r} of {fractions[name]:g} "
                f"is left without rows: there are {len(names)} sets of rows that must stay "
                "together; expected more groups, or a larger share"
            )
    header = manifest.header.model_copy(
        update={"protocol": _protocol(manifest.header.protocol, fractions, seed, of)}
    )
    return replace(manifest, header=header, table=table)


def _drawn_rows(
    manifest: Manifest, splits: pd.Series, of: Collection[str] | None
) -> Int[np.ndarray, " drawn"]:
    """Positions of the rows to draw."""
    if of is None:
        return np.arange(manifest.num_rows)
    for name in of:
        if name not in manifest.splits():
            raise UsageError(
                f"split {name!r} has no rows; expected one of {', '.join(manifest.splits())}"
            )
    return np.flatnonzero(splits.isin(list(of)).to_numpy())


def _refuse_straddling(
    table: pd.DataFrame, sets: Int[np.ndarray, " rows"], drawn: Int[np.ndarray, " drawn"]
) -> None:
    stays = np.ones(len(table), dtype=bool)
    stays[drawn] = False
    torn = np.flatnonzero(stays & np.isin(sets, sets[drawn]))
    if not len(torn):
        return
    one = torn[0]
    other = drawn[np.flatnonzero(sets[drawn] == sets[one])[0]]
    names, splits = table["video_id"], table["split"]
    raise ManifestError(
        f"video {names[one]!r} of split {splits[one]!r}, which is not drawn anew, shares group, "
        f"file or contents with {names[other]!r} of split {splits[other]!r}; expected to draw both "
        "splits, or groups that do not straddle them"
    )


def _order(
    video_ids: np.ndarray,
    numbers: Int[np.ndarray, " drawn"],
    sizes: Int[np.ndarray, " sets"],
    seed: int,
) -> list[int]:
    """Sets from the largest to the smallest; the seed orders those of one size."""
    # The least id of a set names it, whatever the order of its rows.
    names = pd.Series(video_ids).groupby(numbers).min()
    keys = [hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest() for name in names]
    return sorted(range(len(sizes)), key=lambda number: (-sizes[number], keys[number]))


def _assign(
    counts: Int[np.ndarray, "sets classes"],
    order: list[int],
    shares: Float[np.ndarray, " splits"],
) -> Int[np.ndarray, " sets"]:
    """The split of each set: where what it brings is most wanting.

    What is wanting of a class is counted in parts of that class, so that small classes count as
    much as large ones; all rows together count as one class more.
    """
    every = np.concatenate([counts, counts.sum(axis=1, keepdims=True)], axis=1).astype(np.float64)
    totals = every.sum(axis=0)
    parts = every / np.maximum(totals, 1.0)
    # Rows still wanting, by split and class.
    wanting = shares[:, None] * totals
    split_of_set = np.zeros(len(counts), dtype=np.int64)
    for number in order:
        # Rounding must not decide between equals: the first of them is taken.
        need = np.round(wanting @ parts[number], 9)
        chosen = int(need.argmax())
        wanting[chosen] -= every[number]
        split_of_set[number] = chosen
    return split_of_set


def _protocol(
    before: str, fractions: Mapping[str, float], seed: int, of: Collection[str] | None
) -> str:
    shares = ", ".join(f"{name} {fraction:g}" for name, fraction in fractions.items())
    drawn = f"groups drawn, stratified by class: {shares}; seed {seed}"
    if of is None:
        return drawn
    return f"{before}; of {', '.join(of)}, {drawn}".removeprefix("; ")

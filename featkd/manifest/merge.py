"""Makes one manifest of several."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from featkd.errors import ManifestError, UsageError
from featkd.manifest.manifest import Manifest
from featkd.manifest.schema import ManifestHeader


@dataclass(frozen=True, slots=True)
class Part:
    """One of the manifests that are merged.

    Attributes:
        name: what messages call it, such as its file.
        manifest: what it holds.
        prefix: what is put before its ids and groups, so that they are its own.
    """

    name: str
    manifest: Manifest
    prefix: str = ""


def merge_manifests(
    parts: Sequence[Part],
    *,
    root: Path | None = None,
    dataset: str | None = None,
    join_classes: bool = False,
) -> Manifest:
    """Put the rows of several manifests into one, in the order of the manifests.

    Args:
        parts: at least two.
        root: folder that all paths of the result start from; every part's root lies in it. By
            default the deepest such folder.
        dataset: name of the result; by default the parts' name, if they have one.
        join_classes: where class lists differ, take every class of all of them in the order of
            their first appearance, and number labels anew. Otherwise lists must be equal.

    Raises:
        UsageError: if there are fewer than two parts, a root lies outside ``root``, or the parts
            have several names and ``dataset`` gives none.
        ManifestError: if class lists differ and are not joined, classes differ only in case, or an
            id occurs twice; names both parts and what each has.
    """
    if len(parts) < 2:
        raise UsageError(f"{len(parts)} manifest is given; expected 2 or more to merge")
    root = _common_root(parts) if root is None else root.resolve()
    classes = _classes(parts, join=join_classes)
    _refuse_repeated_ids(parts)
    label_of = {name: label for label, name in enumerate(classes)}
    tables = []
    for part in parts:
        table = part.manifest.table
        below = _below(part, root)
        table["path"] = below + table["path"]
        table["label"] = table["class_name"].map(label_of).astype(np.int64)
        table["video_id"] = part.prefix + table["video_id"]
        table["group"] = part.prefix + table["group"]
        tables.append(table)
    headers = [part.manifest.header for part in parts]
    header = ManifestHeader(
        dataset=dataset or _dataset(parts),
        version=_joined([header.version for header in headers], " + "),
        classes=classes,
        protocol=_joined([header.protocol for header in headers], "; "),
        source=_joined([header.source for header in headers], "; "),
        licence=_joined([header.licence for header in headers], "; "),
    )
    return Manifest(header, pd.concat(tables, ignore_index=True), root)


def _common_root(parts: Sequence[Part]) -> Path:
    roots = [part.manifest.root.resolve() for part in parts]
    common = roots[0]
    while not all(root.is_relative_to(common) for root in roots):
        common = common.parent
    return common


def _below(part: Part, root: Path) -> str:
    """What leads from the new root to the part's own, as it stands before a path."""
    own = part.manifest.root.resolve()
    if not own.is_relative_to(root):
        raise UsageError(f"root {own} of {part.name} does not lie in {root}; expected it there")
    below = own.relative_to(root).as_posix()
    return "" if below == "." else f"{below}/"


def _dataset(parts: Sequence[Part]) -> str:
    names = {part.manifest.header.dataset: part.name for part in parts}
    if len(names) > 1:
        listed = ", ".join(f"{name!r} ({file})" for name, file in names.items())
        raise UsageError(f"the manifests are of datasets {listed}; expected a name for the result")
    return next(iter(names))


def _classes(parts: Sequence[Part], *, join: bool) -> tuple[str, ...]:
    first = parts[0]
    joined = dict.fromkeys(first.manifest.header.classes, first.name)
    for part in parts[1:]:
        if not join:
            _require_same_classes(first, part)
        for name in part.manifest.header.classes:
            joined.setdefault(name, part.name)
    folded: dict[str, str] = {}
    for name, file in joined.items():
        twin = folded.setdefault(name.casefold(), name)
        if twin != name and joined[twin] != file:
            raise ManifestError(
                f"class {twin!r} of {joined[twin]} and class {name!r} of {file} differ only in "
                "case; expected one spelling"
            )
    return tuple(joined)


def _require_same_classes(first: Part, part: Part) -> None:
    ours, theirs = first.manifest.header.classes, part.manifest.header.classes
    if ours == theirs:
        return
    label = next(
        (
            label
            for label, (one, other) in enumerate(zip(ours, theirs, strict=False))
            if one != other
        ),
        min(len(ours), len(theirs)),
    )
    one, other = (
        repr(names[label]) if label < len(names) else "absent" for names in (ours, theirs)
    )
    raise ManifestError(
        f"class {label} is {one} in {first.name} ({len(ours)} classes) and {other} in {part.name} "
        f"({len(theirs)} classes); expected equal class lists, or to join them"
    )


def _refuse_repeated_ids(parts: Sequence[Part]) -> None:
    first_part: dict[str, str] = {}
    for part in parts:
        ids = (part.prefix + part.manifest.select(["video_id"])["video_id"]).tolist()
        repeated = [name for name in ids if name in first_part]
        if repeated:
            others = f" (and {len(repeated) - 1} other ids)" if len(repeated) > 1 else ""
            raise ManifestError(
                f"video {repeated[0]!r} is in {first_part[repeated[0]]} and in {part.name}"
                f"{others}; expected ids that occur once, or a prefix for each manifest"
            )
        first_part |= dict.fromkeys(ids, part.name)


def _joined(texts: Sequence[str], separator: str) -> str:
    return separator.join(dict.fromkeys(filter(None, texts)))

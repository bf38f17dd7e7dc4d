"""Looks for what is wrong with a whole manifest, beyond the structure that reading checks.

Three levels, each dearer than the one before: the table alone, the presence of the files, their
contents. Structure is checked whenever a `Manifest` is made.
"""

from collections.abc import Iterator, Sequence

import pandas as pd

from featkd.manifest.manifest import Manifest
from featkd.manifest.problem import Problem, problem_at


def check_table(manifest: Manifest) -> list[Problem]:
    """Check the table against itself; no file is touched.

    Errors: a group, or the same file contents, in two splits; the same contents under two labels.
    Warnings: contents that occur twice, a class without rows in a split, names that differ only
    in case, unreadable videos.
    """
    table = manifest.table
    return [
        *_straddling_groups(table),
        *_repeated_contents(table),
        *_absent_classes(table, manifest.header.classes),
        *_classes_differing_in_case(manifest.header.classes),
        *_names_differing_in_case(table),
        *_unreadable(table),
    ]


def _straddling_groups(table: pd.DataFrame) -> Iterator[Problem]:
    rows = table[["video_id", "split", "group"]].dropna(subset="group")
    num_splits = rows.groupby("group")["split"].transform("nunique")
    for group, members in rows[num_splits > 1].groupby("group", sort=False):
        first = members.iloc[0]
        other = members[members["split"] != first["split"]].iloc[0]
        row = int(str(other.name))
        message = (
            f"group {group!r} is in splits {_listed(members['split'])}: video "
            f"{first['video_id']!r} is in {first['split']!r}, {other['video_id']!r} in "
            f"{other['split']!r}; expected all {len(members)} videos of a group in one split"
        )
        yield Problem(
            "error",
            row,
            other["video_id"],
            "group",
            str(group),
            f"split {first['split']!r}",
            message,
        )


def _repeated_contents(table: pd.DataFrame) -> Iterator[Problem]:
    columns = ["video_id", "label", "split", "start_sec", "end_sec", "sha256"]
    rows = table[columns].dropna(subset="sha256")
    clip = ["sha256", "start_sec", "end_sec"]
    repeated = rows[rows.duplicated(clip, keep=False)]
    for _, members in repeated.groupby(clip, sort=False, dropna=False):
        first = members.iloc[0]
        for index, other in members.iloc[1:].iterrows():
            harmful = other["split"] != first["split"] or other["label"] != first["label"]
            yield problem_at(
                int(str(index)),
                other["video_id"],
                severity="error" if harmful else "warning",
                field="sha256",
                value=other["sha256"],
                expected=(
                    f"contents of its own: video {first['video_id']!r} (split {first['split']!r}, "
                    f"label {first['label']}) has the same, and this one is in split "
                    f"{other['split']!r} with label {other['label']}"
                ),
            )


def _absent_classes(table: pd.DataFrame, classes: Sequence[str]) -> Iterator[Problem]:
    for split, labels in table.groupby("split", sort=False)["label"]:
        present = set(labels.unique().tolist())
        for label, name in enumerate(classes):
            if label not in present:
                message = f"class {name!r} has no rows in split {split!r}; expected at least one"
                yield Problem("warning", None, None, "label", str(label), "at least 1 row", message)


def _classes_differing_in_case(classes: Sequence[str]) -> Iterator[Problem]:
    folded_classes: dict[str, str] = {}
    for name in classes:
        twin = folded_classes.setdefault(name.casefold(), name)
        if twin != name:
            message = f"classes {twin!r} and {name!r} differ only in case; expected distinct names"
            yield Problem("warning", None, None, "classes", name, "distinct names", message)


def _names_differing_in_case(table: pd.DataFrame) -> Iterator[Problem]:
    for field in ("video_id", "path"):
        names = table[field].drop_duplicates()
        folded = names.str.casefold()
        twins = names[folded.duplicated(keep=False)]
        for _, members in twins.groupby(folded, sort=False):
            first = members.iloc[0]
            for index, name in members.iloc[1:].items():
                row = int(str(index))
                yield problem_at(
                    row,
                    table["video_id"].iloc[row],
                    severity="warning",
                    field=field,
                    value=name,
                    expected=f"a name that differs from {first!r} in more than case",
                )


def _unreadable(table: pd.DataFrame) -> Iterator[Problem]:
    rows = table.loc[table["num_frames"] == 0, "video_id"]
    for index, video_id in rows.items():
        yield problem_at(
            int(str(index)),
            video_id,
            severity="warning",
            field="num_frames",
            value=0,
            expected="1 or more: the video was unreadable when the manifest was made",
        )


def _listed(names: pd.Series) -> str:
    return ", ".join(repr(name) for name in names.unique())

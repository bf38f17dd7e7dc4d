"""Types of the settings that generated datasets have in common."""

from typing import Annotated

from pydantic import AfterValidator, Field

from featkd.synthetic.motions import MOTIONS


def _require_motions(classes: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in classes if name not in MOTIONS]
    if unknown or len(set(classes)) < len(classes):
        raise ValueError(
            f"classes are {', '.join(classes)}; expected different names out of "
            f"{', '.join(MOTIONS)}"
        )
    return classes


def _require_folder_names(num_videos: dict[str, int]) -> dict[str, int]:
    for split in num_videos:
        if not split.isidentifier():
            raise ValueError(
                f"split is {split!r}; expected a name of letters, digits and underscores, "
                "since it names a folder"
            )
    return num_videos


MotionNames = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_require_motions)]
"""Motions, in the order of their labels."""

SplitSizes = Annotated[
    dict[str, Annotated[int, Field(ge=1)]],
    Field(min_length=1),
    AfterValidator(_require_folder_names),
]
"""Split name to a number of videos."""

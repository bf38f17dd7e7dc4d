"""What a manifest holds: its header and its columns, defined once."""

import json
import re
import reprlib
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
from pydantic import AfterValidator, Field, ValidationError

from featkd.spec import Spec

HEADER_KEY = "featkd-manifest"
# Serves two engines: RE2 for columns, Python's for single names.
CONTROL_CHARACTER = r"[\x00-\x1f\x7f]"
# Absolute, on a drive, with a backslash, or with a component that is empty, "." or "..".
OUTSIDE_ROOT = r"^[A-Za-z]:|\\|(^|/)\.{0,2}(/|$)"
SHA256_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table.

    Attributes:
        name: its name in the file and in the data frame.
        dtype: type of its values; text is Arrow's large string.
        meaning: what a value says, with its unit.
        nullable: whether a value may be absent.
    """

    name: str
    dtype: pa.DataType
    meaning: str
    nullable: bool = False

    @property
    def dtype_name(self) -> str:
        """Name of the type as messages say it: text, int64 or float64."""
        return (
            "text"
            if self.dtype == pa.large_string()
            else np.dtype(self.dtype.to_pandas_dtype()).name
        )


COLUMNS: tuple[Column, ...] = (
    Column("video_id", pa.large_string(), "name of the row, unique in the manifest"),
    Column("path", pa.large_string(), "file below the manifest's root, with / between folders"),
    Column("label", pa.int64(), "index of the class in the header's list, from 0"),
    Column("class_name", pa.large_string(), "name of that class"),
    Column("split", pa.large_string(), "train, val, test or a name of the protocol's own"),
    Column("start_sec", pa.float64(), "where the clip starts in its file, in seconds"),
    Column("end_sec", pa.float64(), "where it ends, exclusive; absent: end of file", nullable=True),
    Column("num_frames", pa.int64(), "frames that decode inside the clip; 0: unreadable"),
    Column("fps", pa.float64(), "frames per second"),
    Column("width", pa.int64(), "width of the frame as displayed, in pixels"),
    Column("height", pa.int64(), "height of the frame as displayed, in pixels"),
    Column(
        "group", pa.large_string(), "what must not straddle splits, e.g. a scene", nullable=True
    ),
    Column("sha256", pa.large_string(), "SHA-256 of the file, lowercase hex", nullable=True),
)
COLUMN_NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)
SCHEMA: pa.Schema = pa.schema(
    [pa.field(column.name, column.dtype, nullable=column.nullable) for column in COLUMNS]
)


def _require_class_names(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse names that are blank, repeated or have control characters."""
    position_of: dict[str, int] = {}
    for position, name in enumerate(classes):
        if not name.strip() or re.search(CONTROL_CHARACTER, name):
            raise ValueError(
                f"class {position} is {name!r}; expected a name that is not blank and has no "
                "control characters"
            )
        if name in position_of:
            raise ValueError(
                f"class {position} is {name!r}, as class {position_of[name]} is; "
                "expected unique names"
            )
        position_of[name] = position
    return classes


ClassNames = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_require_class_names)]
"""Class names, unique and not blank; the position of a class is its label."""


class ManifestHeader(Spec):
    """What holds for every row of a manifest.

    Attributes:
        dataset: name of the dataset.
        version: version of this manifest, chosen by its author.
        classes: class names; the position of a class is its label.
        protocol: how the splits came about.
        source: where the videos come from.
        licence: licence of the videos.
        format: name and version of the file format.
    """

    dataset: str = Field(min_length=1)
    version: str = Field(min_length=1)
    classes: ClassNames
    protocol: str
    source: str
    licence: str
    format: Literal["featkd-manifest/1"] = "featkd-manifest/1"

    def to_json(self) -> str:
        """The header as one line of JSON with sorted keys: equal headers give equal text."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)


def explain(error: ValidationError) -> str:
    """Say in half a sentence what pydantic found first: field, value, expectation."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"field {field!r} is missing"
    if first["type"] == "extra_forbidden":
        return f"field {field!r} is unknown"
    reason = first["msg"].removeprefix("Value error, ")
    if not field:
        return reason
    return f"field {field!r} is {reprlib.repr(first['input'])}: {reason}"

"""The rules that every value of a manifest obeys, checked a batch of rows at a time.

A rule that fails names the file, the row, the column, the value and what was expected.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from featkd.errors import ManifestError
from featkd.manifest.rows import characters_of, keep
from featkd.manifest.schema import (
    COLUMNS,
    CONTROL_CHARACTER,
    OUTSIDE_ROOT,
    SHA256_CHARACTERS,
    ManifestHeader,
)
from featkd.manifest.structure import Origin, typed

_SHA256 = rf"^[0-9a-f]{{{SHA256_CHARACTERS}}}$"


def conform(batches: Iterable[pa.RecordBatch], header: ManifestHeader, origin: Origin) -> pa.Table:
    """Check rows against their header, and give them in the form they are kept in.

    Args:
        batches: rows with the manifest's columns, as they come; each is dropped before the next.
        header: the manifest's header.
        origin: where the rows come from, for messages.

    Raises:
        ManifestError: naming origin, row, column, value and expectation of the first breach.
    """
    kept: list[pa.RecordBatch] = []
    hashes: list[np.ndarray] = []
    breaches: dict[int, _Breach] = {}
    num_rows = 0
    for batch in filter(len, batches):
        rows = typed(batch, origin, num_rows)
        for position, rule in enumerate(_rules(rows, header)):
            row = pc.index(rule.wrong, value=True).as_py()
            if row >= 0:
                value = rows[rule.column][row].as_py()
                first = _Breach(num_rows + row, rule.column, value, rule.expected)
                breaches.setdefault(position, first).num_wrong += pc.sum(rule.wrong).as_py()
        if not breaches:
            kept.append(keep(rows))
            hashes.append(_hashes(rows["video_id"]))
            # What the batch has left behind would otherwise pile up to half of what is kept.
            pa.default_memory_pool().release_unused()
        num_rows += len(rows)
    if not num_rows:
        raise ManifestError(f"{origin.name}: the table has no rows; expected at least one video")
    if breaches:
        raise breaches[min(breaches)].error(origin)
    table = pa.Table.from_batches(kept)
    _check_unique(table["video_id"], np.concatenate(hashes), origin)
    return table


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule applied to a batch: ``wrong`` holds where it is broken; null counts as right."""

    column: str
    wrong: pa.Array
    expected: str


def _rules(rows: pa.RecordBatch, header: ManifestHeader) -> Iterator[_Rule]:
    """Every rule that looks at one row at a time, in the order in which breaches are told."""
    for column in COLUMNS:
        if column.dtype_name == "text":
            yield _Rule(
                column.name,
                _has_control_character(rows[column.name]),
                "text without line breaks or other control characters",
            )
        if column.dtype_name == "text" and not column.nullable:
            blank = pc.or_(pc.equal(rows[column.name], ""), pc.utf8_is_space(rows[column.name]))
            yield _Rule(column.name, blank, f"not blank: {column.meaning}")
    yield _Rule(
        "path",
        pc.match_substring_regex(rows["path"], OUTSIDE_ROOT),
        "a path relative to the root that does not leave it, such as 'class/video.mp4'",
    )
    yield _Rule(
        "sha256", _is_no_digest(rows["sha256"]), "64 lowercase hexadecimal digits or nothing"
    )
    yield from _class_rules(rows, header.classes)
    yield from _number_rules(rows)


def _class_rules(rows: pa.RecordBatch, classes: tuple[str, ...]) -> Iterator[_Rule]:
    """Labels count the header's classes, and each row's class name is its label's."""
    labels = rows["label"]
    outside = pc.or_(pc.less(labels, 0), pc.greater_equal(labels, len(classes)))
    yield _Rule(
        "label", outside, f"0 to {len(classes) - 1}: the header lists {len(classes)} classes"
    )
    names = pc.take(pa.array(classes, pa.large_string()), pc.if_else(outside, None, labels))
    differs = pc.not_equal(rows["class_name"], names)
    row = max(0, pc.index(differs, value=True).as_py())
    yield _Rule(
        "class_name", differs, f"{names[row].as_py()!r}, which the header gives label {labels[row]}"
    )


def _number_rules(rows: pa.RecordBatch) -> Iterator[_Rule]:
    """Counts and rates are not negative, clips are not empty, readable videos have a size."""
    for name in ("num_frames", "width", "height"):
        yield _Rule(name, pc.less(rows[name], 0), "0 or more")
    for name in ("start_sec", "fps"):
        wrong = pc.or_(pc.less(rows[name], 0), pc.invert(pc.is_finite(rows[name])))
        yield _Rule(name, wrong, "a finite number, 0 or more")
    end_sec = rows["end_sec"]
    wrong = pc.or_(pc.less_equal(end_sec, rows["start_sec"]), pc.invert(pc.is_finite(end_sec)))
    yield _Rule("end_sec", wrong, "a finite number greater than start_sec, or nothing")
    readable = pc.greater(rows["num_frames"], 0)
    for name in ("width", "height"):
        wrong = pc.and_(readable, pc.equal(rows[name], 0))
        yield _Rule(name, wrong, "1 or more, since the row has frames")


@dataclass(slots=True)
class _Breach:
    """The first row that breaks a rule, and how many do."""

    row: int
    column: str
    value: object
    expected: str
    num_wrong: int = 0

    def error(self, origin: Origin) -> ManifestError:
        """The error that says so."""
        others = f" ({self.num_wrong} rows are wrong in this way)" if self.num_wrong > 1 else ""
        return ManifestError(
            f"{origin.name}: {origin.row(self.row)}: column {self.column!r} is {self.value!r}; "
            f"expected {self.expected}{others}"
        )


def _has_control_character(text: pa.Array) -> pa.Array:
    """Where a text has a character that `CONTROL_CHARACTER` matches."""
    characters = np.frombuffer(characters_of(text), np.uint8)
    # In UTF-8 these bytes are nothing else. One look at all of them spares a search in each text.
    if characters.min(initial=0x20) < 0x20 or (characters == 0x7F).any():
        return pc.match_substring_regex(text, CONTROL_CHARACTER)
    return pa.array([False])


def _is_no_digest(text: pa.Array) -> pa.Array:
    """Where a text is not 64 lowercase hexadecimal digits."""
    one_length = pc.all(pc.equal(pc.binary_length(text), SHA256_CHARACTERS)).as_py()
    if one_length and not bytes(characters_of(text)).translate(None, b"0123456789abcdef"):
        return pa.array([False])
    return pc.invert(pc.match_substring_regex(text, _SHA256))


def _hashes(names: pa.Array) -> np.ndarray:
    return np.fromiter(map(hash, names.to_numpy(zero_copy_only=False)), np.int64, len(names))


def _check_unique(video_ids: pa.ChunkedArray, hashes: np.ndarray, origin: Origin) -> None:
    """Refuse a name that occurs twice.

    Only where two hashes are equal are names compared: a set of a million names is large.
    """
    hashes.sort()
    if not (hashes[1:] == hashes[:-1]).any():
        return
    first_rows: dict[str, int] = {}
    for row, name in enumerate(video_ids.to_pylist()):
        first = first_rows.setdefault(name, row)
        if first != row:
            expected = f"unique names, and {origin.row(first)} has it too"
            raise _Breach(row, "video_id", name, expected).error(origin)

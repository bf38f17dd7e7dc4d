"""Compares a manifest with the lists that it should follow."""

from collections.abc import Iterator, Sequence

from featkd.manifest.annotations import Annotations
from featkd.manifest.build_lists import locate
from featkd.manifest.listing import ListedSegment, Listing
from featkd.manifest.manifest import Manifest
from featkd.manifest.problem import Problem, problem_at
from featkd.manifest.video_index import VideoIndex


def check_listing(
    manifest: Manifest, listing: Listing, annotations: Annotations | None = None
) -> list[Problem]:
    """Check that rows and segments are those of the lists; no video is touched.

    Errors: a row with another class or split than its list says; a segment that is in one of both
    only. Warnings: a listed clip without a row, a row that is in no list, and what is odd in the
    lists themselves.

    Args:
        manifest: what to check.
        listing: what the lists say.
        annotations: its segments, where it has any.

    Raises:
        ManifestError: a clip is listed twice.
    """
    problems = [
        Problem(
            "warning", None, None, "lists", remark.place, "", f"{remark.place} {remark.message}"
        )
        for remark in listing.remarks
    ]
    problems += _clips(manifest, listing)
    if annotations is not None:
        # Of a clip without a row it is told that it has none.
        rows = set(manifest.select(["video_id"])["video_id"])
        problems += _segments(
            annotations, [one for one in listing.segments if one.video_id in rows]
        )
    return problems


def _clips(manifest: Manifest, listing: Listing) -> Iterator[Problem]:
    table = manifest.select(["video_id", "path", "class_name", "split"])
    clips, _ = locate(listing.clips, VideoIndex(sorted(set(table["path"]))))
    clip_of = {clip.video_id: clip for clip in clips if clip.fault is None}
    rows = zip(*(table[name] for name in table.columns), strict=True)
    for row, (video_id, _, class_name, split) in enumerate(rows):
        clip = clip_of.pop(video_id, None)
        if clip is None:
            yield problem_at(
                row,
                video_id,
                severity="warning",
                field="video_id",
                value=video_id,
                expected="a clip of the lists",
            )
            continue
        for field, value, expected in (
            ("class_name", class_name, clip.class_name),
            ("split", split, clip.split),
        ):
            if value != expected:
                yield problem_at(
                    row,
                    video_id,
                    severity="error",
                    field=field,
                    value=value,
                    expected=f"{expected!r}, as the lists say",
                )
    missing = [clip.path for clip in clips if clip.fault is not None]
    missing += [clip.path for clip in clip_of.values()]
    for path in missing:
        message = f"{path} is listed; expected a row of the manifest"
        yield Problem("warning", None, None, "path", path, "a row of the manifest", message)


def _segments(annotations: Annotations, segments: Sequence[ListedSegment]) -> Iterator[Problem]:
    listed = Annotations.of_segments(annotations.header, segments)
    given = set(annotations.table.itertuples(index=False, name=None))
    expected = set(listed.table.itertuples(index=False, name=None))
    for where, only in (("annotations", given - expected), ("lists", expected - given)):
        for video, start_sec, end_sec, label in sorted(only):
            message = (
                f"segment {start_sec} s to {end_sec} s of video {video!r}, label {label}, is in "
                f"the {where} only; expected it in annotations and lists"
            )
            yield Problem("error", None, video, "start_sec", str(start_sec), "in both", message)

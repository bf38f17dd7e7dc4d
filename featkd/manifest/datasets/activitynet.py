"""ActivityNet 1.3: one JSON file of videos with their segments.

Caba Heilbron, Escorcia, Ghanem, Niebles, "ActivityNet: A Large-Scale Video Benchmark for Human
Activity Understanding", CVPR 2015.
"""

from pathlib import Path

from featkd.errors import ManifestError
from featkd.manifest.class_index import ClassIndex
from featkd.manifest.datasets.segments import videos_of_segments
from featkd.manifest.list_files import ListFiles, read_json, seconds, split_of_word
from featkd.manifest.listing import ListedSegment, Listing, Remark


def read_activitynet(
    files: ListFiles,
    classes: ClassIndex,
    fold: str,  # noqa: ARG001
) -> Listing:
    """Read ``activity_net.v1-3.min.json``, or the one JSON file that is given.

    Videos are called ``v_<id>.mp4``, with any suffix. The testing subset has no segments and is
    left out.

    Raises:
        ManifestError: the file is missing or not of this form.
    """
    given = files.matching(r".*\.json")
    path = given[0] if len(given) == 1 else files.named("activity_net.v1-3.min.json")
    segments: list[ListedSegment] = []
    split_of_video = {}
    num_bare = 0
    for video, entry in _database(path).items():
        place = f"{path}: video {video!r}"
        if not isinstance(entry, dict) or not isinstance(entry.get("annotations"), list):
            raise ManifestError(f"{place} has no list of annotations")
        split_of_video[video] = split_of_word(str(entry.get("subset")), place)
        num_bare += not entry["annotations"]
        segments += [_segment(video, one, classes, place) for one in entry["annotations"]]
    clips = videos_of_segments(
        segments, split_of_video, {video: f"v_{video}" for video in split_of_video}
    )
    remarks = classes.remarks()
    if num_bare:
        remarks.append(Remark(f"{path}", f"has {num_bare} videos without segments, left out"))
    return Listing(tuple(clips), tuple(segments), tuple(remarks))


def _database(path: Path) -> dict[str, object]:
    content = read_json(path)
    database = content.get("database") if isinstance(content, dict) else None
    if not isinstance(database, dict):
        raise ManifestError(f"{path} has no object 'database'; expected videos by their ids")
    return database


def _segment(video: str, entry: object, classes: ClassIndex, place: str) -> ListedSegment:
    segment = entry.get("segment") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(segment, list) or len(segment) != 2:
        raise ManifestError(f"{place}: annotation is {entry!r}; expected a label and a segment")
    start_sec, end_sec = (seconds(time, "segment", place) for time in segment)
    return ListedSegment(video, start_sec, end_sec, classes.named(str(entry.get("label")), place))

"""Clips of a dataset for detection: whole videos, each of the class that it shows most often."""

from collections import Counter
from collections.abc import Mapping, Sequence

from featkd.manifest.listing import ListedClip, ListedSegment


def videos_of_segments(
    segments: Sequence[ListedSegment],
    split_of_video: Mapping[str, str],
    path_of_video: Mapping[str, str],
) -> list[ListedClip]:
    """One clip for each video that has a segment.

    Args:
        segments: annotated segments.
        split_of_video: split by video.
        path_of_video: listed file by video.

    Returns:
        Whole videos in the order of their first segments. The class of one is that of most of its
        segments, of those with equally many the one annotated first; its group is itself.
    """
    counts: dict[str, Counter[str]] = {}
    for segment in segments:
        counts.setdefault(segment.video_id, Counter())[segment.class_name] += 1
    return [
        ListedClip(
            path_of_video[video],
            count.most_common(1)[0][0],
            split_of_video[video],
            video_id=video,
            group=video,
        )
        for video, count in counts.items()
    ]

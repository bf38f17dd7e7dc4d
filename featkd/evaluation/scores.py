"""What a network said of every video of a split, and the fusion of several networks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from featkd.errors import UsageError
from featkd.evaluation.accuracy import Accuracy, measure_accuracy

ScoreKind = Literal["probabilities", "logits"]


@dataclass(frozen=True, slots=True)
class VideoScores:
    """Scores of one network, averaged over the views of each video.

    Attributes:
        classes: names, in the order of the scores.
        video_ids: in the order of the rows.
        labels: true class of each video.
        probabilities: (V, K), mean over views of their softmax.
        logits: (V, K), mean over views.
    """

    classes: tuple[str, ...]
    video_ids: tuple[str, ...]
    labels: Int[Tensor, " videos"]
    probabilities: Float[Tensor, "videos classes"]
    logits: Float[Tensor, "videos classes"]

    def accuracy(self) -> Accuracy:
        """Accuracy of the probabilities.

        Raises:
            UsageError: as `measure_accuracy`.
        """
        return measure_accuracy(self.probabilities, self.labels, len(self.classes))


def fuse_scores(
    streams: Sequence[VideoScores],
    *,
    weights: Sequence[float],
    kind: ScoreKind = "probabilities",
) -> Float[Tensor, "videos classes"]:
    """Late fusion: the weighted mean of what several networks say of the same videos.

    Two streams, of colours and of flow, are fused so: Simonyan and Zisserman, "Two-Stream
    Convolutional Networks", NIPS 2014, average softmax scores; I3D (Carreira and Zisserman, CVPR
    2017) averages logits; TSN weighs flow 1.5 times as much as colours.

    Args:
        streams: scores of the same videos, in any order.
        weights: one for each stream, positive; only their ratios matter.
        kind: what is averaged.

    Returns:
        (V, K), the videos in the order of the first stream.

    Raises:
        UsageError: there is no stream, a weight is missing or not positive, or the streams differ
            in classes, videos or labels; names the first that differs.
    """
    if not streams or len(weights) != len(streams):
        raise UsageError(
            f"{len(weights)} weights for {len(streams)} streams; expected one for each, and at "
            "least one stream"
        )
    if not all(math.isfinite(weight) and weight > 0 for weight in weights):
        raise UsageError(f"weights of the streams are {list(weights)}; expected positive numbers")
    first = streams[0]
    total = torch.zeros_like(first.probabilities)
    for number, (stream, weight) in enumerate(zip(streams, weights, strict=True), start=1):
        order = _order_of(stream, first, number)
        scores = stream.probabilities if kind == "probabilities" else stream.logits
        total += weight * scores[order].to(total.dtype)
    return total / sum(weights)


def _order_of(stream: VideoScores, first: VideoScores, number: int) -> list[int]:
    """Where the videos of the first stream stand in another one."""
    if stream.classes != first.classes:
        raise UsageError(
            f"stream {number} knows {len(stream.classes)} classes and stream 1 "
            f"{len(first.classes)}, not the same; expected the same names in the same order"
        )
    place = {video_id: row for row, video_id in enumerate(stream.video_ids)}
    alone = sorted(place.keys() ^ set(first.video_ids))
    if alone:
        has, lacks = (number, 1) if alone[0] in place else (1, number)
        raise UsageError(
            f"stream {has} has video {alone[0]!r} and stream {lacks} has not ({len(alone)} videos "
            "are in one of them only); expected the same videos"
        )
    order = [place[video_id] for video_id in first.video_ids]
    differing = (stream.labels[order] != first.labels).nonzero().flatten().tolist()
    if differing:
        row = differing[0]
        raise UsageError(
            f"label of video {first.video_ids[row]!r} is {int(first.labels[row])} in stream 1 and "
            f"{int(stream.labels[order[row]])} in stream {number}; expected the same"
        )
    return order

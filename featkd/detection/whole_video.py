"""What trained detectors find in whole videos, read from their files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from featkd.detection.afsd import AFSD, DETECTOR_LAYERS, Detections
from featkd.detection.checkpoint import DetectorCard
from featkd.detection.inference import InferenceSpec, Stream, detect_in_video
from featkd.detection.predictions import PREDICTION_COLUMNS
from featkd.detection.sampling import sampled_frames
from featkd.detection.windows import window_offsets
from featkd.errors import UsageError
from featkd.models import preprocess
from featkd.progress import Progress
from featkd.types import Clip, View
from featkd.video import FrameReader, render, stream_frames

Moments = tuple[tuple[float, float], ...]
"""Moments in seconds of a video and a value from 0 to 1 at each."""

_FRAMES_AT_ONCE = 64
"""Frames in full size that a `FrameReader` is asked for at once."""


@dataclass(frozen=True, eq=False)
class TrainedDetector:
    """A detector ready to look at videos.

    Attributes:
        card: what it was trained on.
        network: in evaluation mode, on ``device``.
        device: where it computes.
        read: where the frames it sees come from; None: the colours of the videos.
    """

    card: DetectorCard
    network: AFSD
    device: torch.device
    read: FrameReader | None = None


@dataclass(frozen=True, eq=False)
class FoundActions:
    """What was found in one video.

    Attributes:
        video_id: its name.
        predictions: one row a segment, best first, with the columns of `PREDICTION_COLUMNS`.
        attention: how much attention was paid when, see `mean_attention`; empty for detectors
            without attention heads.
    """

    video_id: str
    predictions: pd.DataFrame
    attention: Moments = ()


def find_actions(
    detectors: Sequence[TrainedDetector],
    clip: Clip,
    spec: InferenceSpec,
    progress: Progress | None = None,
) -> FoundActions:
    """Find the actions of a video.

    Its sampled frames are held as small as the networks see them; full frames, a few at a time.

    Args:
        detectors: one, or several whose outputs are averaged.
        clip: the whole video; one that is shorter than a sample has no actions.
        spec: how; its windows are as long as those the detectors were trained with.
        progress: shows the windows.

    Raises:
        UsageError: the detectors do not fit together or the windows, or the video has fewer frames
            per second than they see.
        VideoError: the video cannot be decoded.
        FlowError: the video's flow is missing.
    """
    check_detectors(detectors, spec)
    card = detectors[0].card
    try:
        sampled = sampled_frames(clip.num_frames, clip.fps, card.sample_fps).tolist()
    except UsageError as error:
        raise UsageError(f"video {clip.video_id!r}: {error}") from error
    if not sampled:
        return FoundActions(clip.video_id, pd.DataFrame(columns=list(PREDICTION_COLUMNS)))
    watchers = [_Watcher(detector) for detector in detectors]
    predictions = detect_in_video(
        [
            Stream(watcher, render_frames(clip, sampled, detector.card, detector.read))
            for watcher, detector in zip(watchers, detectors, strict=True)
        ],
        detectors[0].network.detector.priors.centres,
        clip.video_id,
        card.classes,
        card.sample_fps,
        spec,
        progress,
    )
    paid = [watcher.attention for watcher in watchers if watcher.attention]
    offsets = window_offsets(len(sampled), card.num_frames, spec.windows.inference_stride)
    curves = [mean_attention(steps, offsets, len(sampled), card) for steps in paid]
    attention = tuple(
        (moments[0][0], float(np.mean([value for _, value in moments])))
        for moments in zip(*curves, strict=True)
    )
    return FoundActions(clip.video_id, predictions, attention)


def join_predictions(found: Sequence[FoundActions]) -> pd.DataFrame:
    """The predictions of several videos in one table, with the columns of `PREDICTION_COLUMNS`."""
    tables = [each.predictions for each in found if len(each.predictions)]
    if not tables:
        return pd.DataFrame(columns=list(PREDICTION_COLUMNS))
    return pd.concat(tables, ignore_index=True)


def check_detectors(detectors: Sequence[TrainedDetector], spec: InferenceSpec) -> None:
    """Refuse detectors whose outputs cannot be averaged, or that see windows of another length.

    Raises:
        UsageError: says what differs.
    """
    if not detectors:
        raise UsageError("there is no detector; expected at least one")
    first, *others = (detector.card for detector in detectors)
    for other in others:
        for name, ours, theirs in (
            ("classes", first.classes, other.classes),
            ("num_frames", first.num_frames, other.num_frames),
            ("sample_fps", first.sample_fps, other.sample_fps),
            ("model.num_levels", first.model.num_levels, other.model.num_levels),
        ):
            if ours != theirs:
                raise UsageError(
                    f"{name} of the detectors' cards are {ours} and {theirs}; expected the same, "
                    "so that their outputs can be averaged"
                )
    if spec.windows.num_frames != first.num_frames:
        raise UsageError(
            f"windows are {spec.windows.num_frames} frames long; expected {first.num_frames}, as "
            "the detector was trained"
        )


def render_frames(
    clip: Clip,
    frame_indices: Sequence[int],
    card: DetectorCard,
    read: FrameReader | None = None,
) -> UInt8[Tensor, "channels time height width"]:
    """Frames of a video as a detector sees them: the middle of each, scaled to a square.

    Args:
        clip: the video.
        frame_indices: which, each after the one before it; at least one.
        card: says how large the middle and the square are.
        read: where frames come from; None: the colours of the video.

    Raises:
        VideoError: a frame cannot be decoded.
    """
    margin = (1 - card.crop_scale) / 2
    view = View(
        video_id=clip.video_id,
        view_index=0,
        frame_indices=tuple(frame_indices),
        crop_box=(margin, margin, 1 - margin, 1 - margin),
        flip=False,
    )
    size = card.preprocess.size
    shape = (card.preprocess.num_channels, len(frame_indices), size, size)
    rendered = torch.empty(shape, dtype=torch.uint8)
    for place, frame in enumerate(_frames(clip, frame_indices, read)):
        rendered[:, place : place + 1] = render(frame[None], view, size)
    return rendered


def mean_attention(
    steps: Sequence[Float[np.ndarray, " time"]],
    offsets: Sequence[int],
    num_frames: int,
    card: DetectorCard,
) -> Moments:
    """How much attention was paid over the time of a video, where windows overlap their mean.

    Args:
        steps: of each window, the mean over channels of its attention at each time step.
        offsets: first sampled frame of each window.
        num_frames: sampled frames of the video.
        card: gives the length of a window and the rate of frames.

    Returns:
        The middle of every stretch as long as a time step, in seconds, and the mean over its
        frames; stretches that no window shows are left out.
    """
    stride = card.num_frames // len(steps[0])
    total, num_shown = np.zeros(num_frames), np.zeros(num_frames)
    for offset, values in zip(offsets, steps, strict=True):
        inside = np.repeat(values, stride)[: num_frames - offset]
        total[offset : offset + len(inside)] += inside
        num_shown[offset : offset + len(inside)] += 1
    moments = []
    for start in range(0, num_frames, stride):
        stretch = slice(start, min(start + stride, num_frames))
        shown = num_shown[stretch] > 0
        if shown.any():
            value = (total[stretch][shown] / num_shown[stretch][shown]).mean()
            moments.append(((stretch.start + stretch.stop) / 2 / card.sample_fps, float(value)))
    return tuple(moments)


class _Watcher:
    """A detector that takes windows of pixels, and remembers the attention it paid to each."""

    def __init__(self, detector: TrainedDetector) -> None:
        self._detector = detector
        self.attention: list[Float[np.ndarray, " time"]] = []

    def __call__(self, windows: UInt8[Tensor, "1 channels time height width"]) -> Detections:
        detector = self._detector
        output = detector.network(preprocess(windows, detector.card.preprocess, detector.device))
        coarsest = DETECTOR_LAYERS[-1]
        if coarsest in output.attention:
            paid = output.attention[coarsest][0].mean(dim=0)
            self.attention.append(paid.double().cpu().numpy())
        detections: Detections = output.detections
        return detections


def _frames(
    clip: Clip, frame_indices: Sequence[int], read: FrameReader | None
) -> Iterator[UInt8[np.ndarray, "height width channels"]]:
    if read is None:
        yield from stream_frames(clip, frame_indices)
        return
    for first in range(0, len(frame_indices), _FRAMES_AT_ONCE):
        yield from read(clip, frame_indices[first : first + _FRAMES_AT_ONCE])

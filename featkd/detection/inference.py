"""Detection in a whole video: window by window, then soft-NMS among all that was found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int, Shaped
from pydantic import Field
from torch import Tensor

from featkd.detection.decode import PriorPredictions, ScoredSegments, decode, fuse_streams
from featkd.detection.predictions import PREDICTION_COLUMNS
from featkd.detection.soft_nms import SoftNms, soft_nms
from featkd.detection.windows import WindowSpec, cut_window, window_offsets
from featkd.errors import UsageError
from featkd.progress import Progress, Silent
from featkd.spec import Spec


class InferenceSpec(Spec):
    """How segments are found in a video; the defaults are AFSD's on THUMOS14."""

    windows: WindowSpec = WindowSpec()
    """How the video is cut."""
    min_score: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """Candidates that score no higher are dropped before soft-NMS."""
    soft_nms: SoftNms = SoftNms()
    """How candidates of one class compete."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One modality of a video and the network that looks at it.

    Attributes:
        network: maps windows (1, C, T, H, W) to its predictions.
        frames: (C, T, H, W), all sampled frames of the video as the network takes them: normalised,
            or pixels of 8 bits.
    """

    network: Callable[[Shaped[Tensor, "batch channels time height width"]], PriorPredictions]
    frames: Shaped[Tensor, "channels time height width"]


class Candidates(NamedTuple):
    """Scored segments of one video before soft-NMS.

    Attributes:
        segments_sec: start and end of each, in seconds of the video.
        labels: class of each, from 1.
        scores: of each.
    """

    segments_sec: Float[np.ndarray, "candidates 2"]
    labels: Int[np.ndarray, " candidates"]
    scores: Float[np.ndarray, " candidates"]


def pick_candidates(
    found: ScoredSegments, offsets: Sequence[int], sample_fps: float, min_score: float
) -> Candidates:
    """Keep every class of every segment that scores above a limit.

    Segments without length are left out.

    Args:
        found: segments of a batch of windows.
        offsets: first sampled frame of each window.
        sample_fps: sampled frames per second.
        min_score: the limit.
    """
    segments = found.segments.double().cpu().numpy()
    scores = found.scores.double().cpu().numpy()
    has_length = segments[..., 1] > segments[..., 0]
    window, prior, action = np.nonzero((scores > min_score) & has_length[..., None])
    starts = np.asarray(offsets, dtype=float)[window, None]
    return Candidates(
        (segments[window, prior] + starts) / sample_fps, action + 1, scores[window, prior, action]
    )


def suppress(
    candidates: Sequence[Candidates], video_id: str, classes: Sequence[str], settings: SoftNms
) -> pd.DataFrame:
    """Let the candidates of a video compete, class by class.

    Args:
        candidates: of all windows of the video.
        video_id: its name.
        classes: names of the classes; label 1 is the first.
        settings: of soft-NMS.

    Returns:
        One row a segment, best first, with the columns of `PREDICTION_COLUMNS`.
    """
    rows: list[tuple[str, str, float, float, float]] = []
    if candidates:
        spans, labels, scores = (np.concatenate(field) for field in zip(*candidates, strict=True))
        for label in np.unique(labels):
            of_class = labels == label
            kept, final = soft_nms(spans[of_class], scores[of_class], settings)
            rows += [
                (video_id, classes[label - 1], float(score), float(start), float(end))
                for (start, end), score in zip(spans[of_class][kept], final, strict=True)
            ]
    rows.sort(key=lambda row: -row[2])
    return pd.DataFrame(rows, columns=list(PREDICTION_COLUMNS))


@torch.inference_mode()
def detect_in_video(
    streams: Sequence[Stream],
    centres: Float[Tensor, " priors"],
    video_id: str,
    classes: Sequence[str],
    sample_fps: float,
    spec: InferenceSpec,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Find the actions of a video; segments end where it ends.

    Args:
        streams: one, or several whose outputs are averaged; all must have the same number of
            frames. Networks are called as they are: put them into evaluation mode.
        centres: where the networks' priors stand, in frames of a window.
        video_id: name of the video.
        classes: names of the classes; label 1 is the first.
        sample_fps: sampled frames per second.
        spec: how.
        progress: shows the windows.

    Returns:
        One row a segment, best first, with the columns of `PREDICTION_COLUMNS`.

    Raises:
        UsageError: there is no stream, their numbers of frames differ, or a network tells another
            number of classes apart.
    """
    lengths = {stream.frames.shape[1] for stream in streams}
    if len(lengths) != 1:
        raise UsageError(
            f"streams of {video_id!r} have {sorted(lengths)} frames; expected one number of frames"
        )
    window_frames = spec.windows.num_frames
    num_frames = lengths.pop()
    offsets = window_offsets(num_frames, window_frames, spec.windows.inference_stride)
    tracked = (progress or Silent()).track(
        offsets, description=f"detect in {video_id}", total=len(offsets), unit="windows"
    )
    candidates = []
    for offset in tracked:
        outputs = [
            stream.network(cut_window(stream.frames, offset, window_frames).unsqueeze(0))
            for stream in streams
        ]
        found = decode(fuse_streams(outputs), centres, min(window_frames, num_frames))
        if found.scores.shape[-1] != len(classes):
            raise UsageError(
                f"networks tell {found.scores.shape[-1]} classes from background; expected "
                f"{len(classes)}"
            )
        candidates.append(pick_candidates(found, [offset], sample_fps, spec.min_score))
    return suppress(candidates, video_id, classes, spec.soft_nms)

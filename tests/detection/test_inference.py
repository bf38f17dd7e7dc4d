import math

import numpy as np
import pytest
import torch

from featkd.detection.decode import FusedPredictions, ScoredSegments, decode, fuse_streams
from featkd.detection.inference import (
    Candidates,
    InferenceSpec,
    Stream,
    detect_in_video,
    pick_candidates,
    suppress,
)
from featkd.detection.predictions import PREDICTION_COLUMNS
from featkd.detection.soft_nms import SoftNms
from featkd.detection.windows import WindowSpec
from featkd.errors import UsageError

CENTRES = torch.tensor([16.0, 32.0, 48.0])
"""Of three priors in a window of 64 frames."""
CLASSES = ("run", "sit")


def random_output(seed, batch=2):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    return FusedPredictions(
        draw(batch, 3, 2).exp() * 20,
        draw(batch, 3, 3),
        draw(batch, 3, 2),
        draw(batch, 3, 3),
        draw(batch, 3),
    )


def slow_softmax(logits):
    powers = [math.exp(logit) for logit in logits]
    return [power / sum(powers) for power in powers]


def slow_decode(streams, window, prior, frames):
    """Segment and class scores of one prior, in plain Python, streams averaged."""

    def mean(field):
        values = torch.stack([getattr(stream, field)[window, prior] for stream in streams])
        return values.double().mean(0).tolist()

    (left, right), (by_left, by_right) = mean("coarse_distances"), mean("offsets")
    half = (left + right) / 2
    left, right = left + half * by_left, right + half * by_right
    centre = CENTRES[prior].item()
    coarse, fine = slow_softmax(mean("coarse_logits")), slow_softmax(mean("refined_logits"))
    quality = 1 / (1 + math.exp(-mean("quality_logits")))
    scores = [(a + b) / 2 * quality for a, b in zip(coarse, fine, strict=True)]
    return [min(max(edge, 0), frames) for edge in (centre - left, centre + right)], scores[1:]


@pytest.mark.parametrize("num_streams", [1, 2])
def test_decode__compare(num_streams):
    streams = [random_output(seed) for seed in range(num_streams)]

    found = decode(fuse_streams(streams), CENTRES, 64)

    for window in range(2):
        for prior in range(3):
            segment, scores = slow_decode(streams, window, prior, 64)
            assert found.segments[window, prior].tolist() == pytest.approx(segment, rel=1e-4)
            assert found.scores[window, prior].tolist() == pytest.approx(scores, rel=1e-4)


def test_fuse_streams__wrong():
    with pytest.raises(UsageError, match="no stream"):
        fuse_streams([])
    with pytest.raises(UsageError, match="expected one shape"):
        fuse_streams([random_output(0, batch=1), random_output(0, batch=2)])


def test_pick_candidates__above_the_limit_with_length():
    segments = torch.tensor([[[10.0, 20.0], [30.0, 30.0]], [[0.0, 5.0], [8.0, 6.0]]])
    scores = torch.tensor([[[0.5, 0.02], [0.9, 0.9]], [[0.01, 0.3], [0.9, 0.9]]])

    found = pick_candidates(ScoredSegments(segments, scores), [0, 100], 10.0, min_score=0.015)

    assert found.segments_sec.tolist() == [[1.0, 2.0], [1.0, 2.0], [10.0, 10.5]]
    assert found.labels.tolist() == [1, 2, 2]
    assert found.scores == pytest.approx([0.5, 0.02, 0.3])


def test_suppress__classes_do_not_compete():
    same = np.array([[0.0, 4.0]])
    windows = [
        Candidates(same, np.array([1]), np.array([0.5])),
        Candidates(same, np.array([2]), np.array([0.6])),
        Candidates(same, np.array([1]), np.array([0.4])),
    ]

    found = suppress(windows, "v", CLASSES, SoftNms(sigma=0.5))

    assert tuple(found.columns) == PREDICTION_COLUMNS
    assert found["label"].tolist() == ["sit", "run", "run"]
    assert found["score"].tolist() == pytest.approx([0.6, 0.5, 0.4 * math.exp(-2)])


def test_suppress__nothing_found():
    assert suppress([], "v", CLASSES, SoftNms()).empty


class Spotter:
    """A network that says run wherever the frames of its window are bright, at a fine prior."""

    def __init__(self):
        self.windows = []

    def __call__(self, clips):
        assert torch.is_inference_mode_enabled()
        self.windows.append(clips)
        length = clips.shape[2]
        bright = (clips[0, 0, :, 0, 0] > 0.5).float()
        logits = torch.stack([1 - bright, bright, torch.zeros(length)], dim=-1)[None] * 20
        return FusedPredictions(
            coarse_distances=torch.full((1, length, 2), 0.5),
            coarse_logits=logits,
            offsets=torch.zeros(1, length, 2),
            refined_logits=logits,
            quality_logits=torch.full((1, length), 20.0),
        )


def detect(frames, *, networks=None, classes=CLASSES):
    spec = InferenceSpec(windows=WindowSpec(num_frames=8, inference_stride=5))
    streams = [Stream(network, frames) for network in networks or [Spotter()]]
    return detect_in_video(streams, torch.arange(8) + 0.5, "v", classes, 2.0, spec)


def test_detect_in_video__finds_frames_in_seconds_of_the_video():
    frames = torch.zeros(3, 20, 4, 4)
    frames[:, [1, 17]] = 1.0
    spotter = Spotter()

    found = detect(frames, networks=[spotter])

    assert len(spotter.windows) == 4
    assert all(window.shape == (1, 3, 8, 4, 4) for window in spotter.windows)
    # A frame lasts half a second. Two windows see frame 17, and what they find overlaps wholly.
    assert found["start_sec"].tolist() == [0.5, 8.5, 8.5]
    assert found["end_sec"].tolist() == [1.0, 9.0, 9.0]
    assert found["label"].tolist() == ["run"] * 3
    assert found["score"].tolist() == pytest.approx([1, 1, math.exp(-2)], rel=1e-4)


def test_detect_in_video__short_video():
    frames = torch.zeros(3, 3, 4, 4)
    frames[:, 2] = 1.0

    found = detect(frames)

    assert found[["start_sec", "end_sec"]].to_numpy().tolist() == [[1.0, 1.5]]


def test_detect_in_video__streams_must_agree():
    frames = torch.zeros(3, 12, 4, 4)
    frames[:, 2] = 1.0

    class Blind(Spotter):
        def __call__(self, clips):
            return super().__call__(torch.zeros_like(clips))

    alone, both = detect(frames), detect(frames, networks=[Spotter(), Blind()])

    assert alone["score"].max() > 0.99
    assert both["score"].max() < 0.7


def test_detect_in_video__wrong():
    frames = torch.zeros(3, 12, 4, 4)
    streams = [Stream(Spotter(), frames), Stream(Spotter(), frames[:, :9])]
    with pytest.raises(UsageError, match=r"'v' have \[9, 12\] frames"):
        detect_in_video(streams, CENTRES, "v", CLASSES, 10.0, InferenceSpec())
    with pytest.raises(UsageError, match="have \\[\\] frames"):
        detect_in_video([], CENTRES, "v", CLASSES, 10.0, InferenceSpec())
    with pytest.raises(UsageError, match="tell 2 classes from background; expected 3"):
        detect(frames, classes=("run", "sit", "jump"))

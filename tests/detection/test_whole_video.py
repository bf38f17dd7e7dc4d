import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featkd.detection.afsd import AFSDSpec
from featkd.detection.checkpoint import DetectorCard
from featkd.detection.inference import InferenceSpec
from featkd.detection.whole_video import (
    TrainedDetector,
    find_actions,
    join_predictions,
    mean_attention,
    render_frames,
)
from featkd.detection.windows import MEAN_GREY, WindowSpec, cut_window, window_offsets
from featkd.errors import UsageError
from featkd.models import PreprocessSpec
from featkd.synthetic import encode_h264
from featkd.types import Clip
from featkd.video import read_frames, stream_frames


def card_of(**changes):
    settings = {
        "model": AFSDSpec(width=0.0625, num_levels=2),
        "classes": ("run", "sit"),
        "num_frames": 16,
        "sample_fps": 10.0,
        "crop_scale": 0.5,
        "preprocess": PreprocessSpec(size=8),
    }
    return DetectorCard.model_validate({**settings, **changes})


def detector_of(**changes):
    card = card_of(**changes)
    torch.manual_seed(0)
    return TrainedDetector(card, card.build().eval(), torch.device("cpu"))


def clip_of(path, num_frames=30, fps=10.0):
    return Clip("v", path, 0, num_frames, 32, 24, fps)


@pytest.fixture
def video(tmp_path):
    generator = np.random.default_rng(0)
    frames = generator.integers(0, 255, (30, 24, 32, 3), dtype=np.uint8)
    encode_h264(frames, tmp_path / "v.mp4", fps=10)
    return tmp_path / "v.mp4"


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 16), st.integers(0, 9))
def test_mean_attention__compare(num_frames, window_stride, seed):
    offsets = window_offsets(num_frames, 16, window_stride)
    steps = np.random.default_rng(seed).random((len(offsets), 2))

    moments = mean_attention(list(steps), offsets, num_frames, card_of())

    expected = []
    for start in range(0, num_frames, 8):
        frames = range(start, min(start + 8, num_frames))
        by_frame = [
            [
                row[(frame - offset) // 8]
                for offset, row in zip(offsets, steps, strict=True)
                if 0 <= frame - offset < 16
            ]
            for frame in frames
        ]
        values = [sum(seen) / len(seen) for seen in by_frame]
        expected.append(((frames[0] + frames[-1] + 1) / 2 / 10, sum(values) / len(values)))
    assert np.array(moments) == pytest.approx(np.array(expected))


def test_mean_attention__leaves_out_what_no_window_shows():
    moments = mean_attention([np.ones(2), np.zeros(2)], [0, 32], 48, card_of())

    assert moments == ((0.4, 1.0), (1.2, 1.0), (3.6, 0.0), (4.4, 0.0))


def test_stream_frames__of_some_indices(video):
    wanted = [2, 3, 11, 29]

    streamed = list(stream_frames(clip_of(video), wanted))

    assert np.array_equal(np.stack(streamed), read_frames(clip_of(video), wanted))


def test_render_frames__asks_a_reader_for_few_frames_at_once(tmp_path):
    asked = []

    def read(clip, frame_indices):
        asked.append(list(frame_indices))
        frames = np.full((len(frame_indices), 24, 32, 2), 255, dtype=np.uint8)
        # Only the middle, 12 x 16 pixels, is to be seen.
        frames[:, 6:18, 8:24] = np.array(frame_indices, dtype=np.uint8)[:, None, None, None]
        return frames

    card = card_of(preprocess=PreprocessSpec(size=8, modality="flow"))
    rendered = render_frames(clip_of(tmp_path, 200), range(0, 200, 2), card, read)

    assert rendered.shape == (2, 100, 8, 8)
    assert [index for chunk in asked for index in chunk] == list(range(0, 200, 2))
    assert max(map(len, asked)) <= 64
    assert rendered[0, :, 4, 4].tolist() == list(range(0, 200, 2))


def test_cut_window__of_pixels_is_filled_with_grey():
    frames = torch.zeros(3, 5, 2, 2, dtype=torch.uint8)

    window = cut_window(frames, 0, 8)

    assert window.dtype == torch.uint8
    assert window[0, :, 0, 0].tolist() == [0] * 5 + [MEAN_GREY] * 3


def test_find_actions__averages_detectors(video):
    detector = detector_of()
    spec = InferenceSpec(windows=WindowSpec(num_frames=16, inference_stride=8), min_score=0.0)

    alone = find_actions([detector], clip_of(video), spec)
    twice = find_actions([detector, detector], clip_of(video), spec)

    assert len(alone.predictions) > 10
    assert twice.predictions.equals(alone.predictions)
    assert alone.attention == ()


def test_find_actions__of_several_is_one_attention(video):
    detector = detector_of(
        model=AFSDSpec(width=0.0625, num_levels=2, attention_head="paper"),
    )
    spec = InferenceSpec(windows=WindowSpec(num_frames=16, inference_stride=8))

    alone = find_actions([detector], clip_of(video), spec).attention
    with_blind = find_actions([detector, detector_of()], clip_of(video), spec).attention

    assert [at for at, _ in alone] == pytest.approx([0.4, 1.2, 2.0, 2.7])
    assert all(0 < value < 1 for _, value in alone)
    assert with_blind == alone


def test_find_actions__shorter_than_a_sample(video):
    spec = InferenceSpec(windows=WindowSpec(num_frames=16))

    found = find_actions([detector_of()], clip_of(video, num_frames=2, fps=30.0), spec)

    assert found.predictions.empty
    assert join_predictions([found, found]).empty


def test_find_actions__wrong(video):
    spec = InferenceSpec(windows=WindowSpec(num_frames=16))
    detector = detector_of()

    for detectors, message in (
        ([], "there is no detector"),
        ([detector, detector_of(classes=("run", "lie"))], "classes of the detectors' cards are"),
        (
            [detector, detector_of(model=AFSDSpec(width=0.0625, num_levels=3))],
            "model.num_levels of the detectors' cards are 2 and 3",
        ),
        ([detector_of(num_frames=32)], "windows are 16 frames long; expected 32"),
    ):
        with pytest.raises(UsageError, match=message):
            find_actions(detectors, clip_of(video), spec)
    with pytest.raises(UsageError, match="video 'v': a video of 5 frames per second"):
        find_actions([detector], clip_of(video, fps=5.0), spec)

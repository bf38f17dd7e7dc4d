"""Computed flow against motion that is known."""

import sys

import numpy as np
import pytest

from featkd.errors import UsageError, VideoDecodeError
from featkd.flow import FlowSpec, estimate_flow
from featkd.types import Clip
from featkd.video import mirrored, quantise_flow, read_frames

METHODS = ("tvl1", "dis")


def middle(field):
    """Flow away from the borders, where new parts of the picture come in."""
    return field[16:-16, 16:-16]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.usefixtures("needs_opencv")
def test_estimate_flow__finds_known_motion(moving, method):
    spec = FlowSpec(method=method)
    fields = list(estimate_flow(iter(moving(3, (3, -2))), spec))
    assert len(fields) == 2
    for field in fields:
        assert field.shape == (96, 96, 2)
        assert np.abs(np.median(middle(field), axis=(0, 1)) - (3, -2)).max() < 0.25


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.usefixtures("needs_opencv")
def test_estimate_flow__of_mirrored_frames_is_the_mirrored_flow(moving, method):
    spec = FlowSpec(method=method)
    frames = moving(2, (3, 2))
    seen = quantise_flow(np.stack(list(estimate_flow(iter(frames), spec))))
    turned = [frame[:, ::-1] for frame in frames]
    of_mirrored = quantise_flow(np.stack(list(estimate_flow(iter(turned), spec))))
    difference = mirrored(seen).astype(int) - of_mirrored
    # A step is 0.16 pixels. Both methods search from the left to the right, so some pixels differ.
    assert np.median(np.abs(middle(difference[0]))) <= 1
    assert np.abs(middle(difference[0]).mean(axis=(0, 1))).max() < 1
    assert np.abs(middle((seen.astype(int) - of_mirrored)[0])[..., 0]).min() > 10


@pytest.mark.usefixtures("needs_opencv")
def test_estimate_flow__measures_in_pixels_of_the_scaled_frame(moving):
    spec = FlowSpec(method="dis", short_side=48)
    (field,) = estimate_flow(iter(moving(2, (4, 0))), spec)
    assert field.shape == (48, 48, 2)
    assert np.median(field[8:-8, 8:-8, 0]) == pytest.approx(2.0, abs=0.2)


@pytest.mark.usefixtures("needs_opencv")
def test_estimate_flow__refuses_frames_that_opencv_refuses():
    frames = iter([np.zeros((4, 4, 3), np.uint8)] * 2)
    with pytest.raises(VideoDecodeError, match="frames of 4x4 pixels"):
        list(estimate_flow(frames, FlowSpec(method="dis")))


@pytest.mark.usefixtures("needs_opencv")
def test_estimate_flow__agrees_with_flow_published_with_i3d(shared_data):
    """Red is motion to the right and green downwards in the flow that came with kinetics-i3d."""
    folder = shared_data / "videos" / "known_label_clips"
    name = "i3d_v_CricketShot_g04_c01_{}.gif"
    colours, theirs = (
        Clip("v", folder / name.format(kind), 0, 79, 224, 224, 25.0) for kind in ("rgb", "flow")
    )
    frames = read_frames(colours, [40, 41])
    (field,) = estimate_flow(iter(frames), FlowSpec(method="tvl1"))
    published = read_frames(theirs, [40])[0].astype(float)
    for axis, least in ((0, 0.85), (1, 0.6)):
        found = np.corrcoef(field[..., axis].ravel(), published[..., axis].ravel())[0, 1]
        crossed = np.corrcoef(field[..., axis].ravel(), published[..., 1 - axis].ravel())[0, 1]
        assert found > least
        assert abs(crossed) < 0.4


def test_estimate_flow__tells_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UsageError, match=r"featkd\[flow\]"):
        estimate_flow(iter([]), FlowSpec())

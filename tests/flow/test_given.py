"""Flow that others computed, in the arrangements they leave it in."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featkd.errors import FlowError, VideoDecodeError, VideoOpenError
from featkd.flow import FlowStore, open_flow
from featkd.flow.store import FlowHeader
from featkd.video import quantise_flow

LAYOUTS = (
    "{name}/flow_x_{number:05d}.png",
    "{name}/x_{number:05d}.png",
    "{name}/flow_x/{number:06d}.png",
    "{name}/x/img_{number:05d}.png",
    "u/{name}/frame{number:06d}.png",
    "flow_x/{name}/{number}.png",
)
TWIN = {"flow_x": "flow_y", "x": "y", "u": "v"}


def write_images(root: Path, flow: np.ndarray, layout: str, name: str, *, first: int = 1) -> None:
    axis = next(axis for axis in TWIN if f"{axis}/" in layout or f"/{axis}_" in layout)
    for index, frame in enumerate(flow):
        for channel, this in enumerate((axis, TWIN[axis])):
            filled = layout.format(name="@", number=first + index)
            path = root / filled.replace(axis, this).replace("@", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.ascontiguousarray(frame[:, :, channel])).save(path)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["jump/v_Jump_g01", "v_Jump_g01"])
def test_images__are_found_in_every_arrangement(tmp_path, clip, flow, layout, name):
    write_images(tmp_path, flow, layout, name)
    read = open_flow(tmp_path).read(clip, [0, 3, 1, 4])
    np.testing.assert_array_equal(read, flow[[0, 3, 1, 3]])


@pytest.mark.parametrize("first", [0, 1])
def test_images__may_count_from_nought_and_repeat_the_last(tmp_path, clip, flow, first):
    whole = np.concatenate([flow, 255 - flow[-1:]])
    write_images(tmp_path, whole, LAYOUTS[0], "v_Jump_g01", first=first)
    np.testing.assert_array_equal(open_flow(tmp_path).read(clip, range(5)), whole)


def test_images__may_be_jpeg(tmp_path, clip):
    smooth = np.broadcast_to(np.arange(60, 76, dtype=np.uint8)[:, None, None], (16, 16, 2))
    flow = np.stack([smooth] * 4)
    write_images(tmp_path, flow, LAYOUTS[0].replace(".png", ".jpg"), "v_Jump_g01")
    read = open_flow(tmp_path).read(clip, [2])
    assert np.abs(read[0].astype(int) - smooth).max() <= 3


@pytest.mark.parametrize("num_flow_frames", [3, 6])
def test_images__of_another_length_are_refused(tmp_path, clip, flow, num_flow_frames):
    longer = np.concatenate([flow, flow])[:num_flow_frames]
    write_images(tmp_path, longer, LAYOUTS[0], "v_Jump_g01")
    with pytest.raises(VideoDecodeError, match=f"{num_flow_frames} frames of flow.*expected 4"):
        open_flow(tmp_path).read(clip, [0])


@pytest.mark.parametrize("lost", ["flow_x_00002.png", "flow_y_00002.png", "flow_y_00004.png"])
def test_images__with_a_gap_are_refused(tmp_path, clip, flow, lost):
    write_images(tmp_path, flow, LAYOUTS[0], "v_Jump_g01")
    (tmp_path / "v_Jump_g01" / lost).unlink()
    with pytest.raises(VideoDecodeError, match="expected pairs"):
        open_flow(tmp_path).read(clip, [0])


def test_images__of_one_direction_are_refused(tmp_path, clip, flow):
    write_images(tmp_path, flow, LAYOUTS[3], "v_Jump_g01")
    shutil.rmtree(tmp_path / "v_Jump_g01" / "y")
    with pytest.raises(VideoDecodeError, match="images of x and none of y"):
        open_flow(tmp_path).read(clip, [0])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda path: path.write_bytes(b"no image"), "does not decode"),
        (lambda path: Image.new("RGBA", (12, 8)).save(path), "mode RGBA"),
        (lambda path: Image.new("L", (11, 8)).save(path), "expected one size"),
    ],
    ids=["damaged", "mode", "size"],
)
def test_images__that_are_wrong_are_named(tmp_path, clip, flow, content, words):
    write_images(tmp_path, flow, LAYOUTS[0], "v_Jump_g01")
    content(tmp_path / "v_Jump_g01" / "flow_y_00001.png")
    with pytest.raises(VideoDecodeError, match=words):
        open_flow(tmp_path).read(clip, [0])


def test_arrays__of_floats_are_pixels(tmp_path, clip):
    pixels = np.random.default_rng(0).normal(0, 9, (4, 8, 12, 2)).astype(np.float32)
    np.save(tmp_path / "v_Jump_g01.npy", pixels)
    np.testing.assert_array_equal(open_flow(tmp_path).read(clip, range(4)), quantise_flow(pixels))


def test_arrays__of_bytes_are_quantised_already(tmp_path, clip, flow):
    (tmp_path / "jump").mkdir()
    np.save(tmp_path / "jump" / "v_Jump_g01.npy", flow)
    np.testing.assert_array_equal(open_flow(tmp_path).read(clip, [4, 0]), flow[[3, 0]])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((4, 2, 8, 12), np.float32), "expected .T, H, W, 2."),
        (np.zeros((4, 8, 12, 2), np.int16), "int16"),
        (np.full((4, 8, 12, 2), np.nan, np.float32), "not finite"),
        (np.array([{"a": 1}], dtype=object), "not a NumPy array"),
    ],
    ids=["shape", "type", "nan", "objects"],
)
def test_arrays__that_are_wrong_are_named(tmp_path, clip, values, words):
    np.save(tmp_path / "v_Jump_g01.npy", values, allow_pickle=True)
    with pytest.raises(VideoDecodeError, match=words):
        open_flow(tmp_path).read(clip, [0])


def test_given__tells_where_it_looked(tmp_path, clip):
    with pytest.raises(VideoOpenError, match="one of jump/v_Jump_g01, v_Jump_g01"):
        open_flow(tmp_path).read(clip, [0])


@pytest.mark.parametrize("video_id", ["../v_Jump_g01", "/v_Jump_g01"])
def test_given__never_leaves_its_folder(tmp_path, clip, flow, video_id):
    folder = tmp_path / "flow"
    folder.mkdir()
    np.save(tmp_path / "v_Jump_g01.npy", flow)
    outside = replace(
        clip, video_id=str(tmp_path / "v_Jump_g01") if video_id[0] == "/" else video_id
    )
    with pytest.raises(VideoOpenError, match="has no flow"):
        open_flow(folder).read(outside, [0])


def test_given__wants_flow_of_a_stretch_under_its_own_name(tmp_path, clip, flow):
    stretch = replace(clip, video_id="jump/second", start_sec=2.0)
    np.save(tmp_path / "v_Jump_g01.npy", flow)
    with pytest.raises(VideoOpenError, match=r"one of jump/second$"):
        open_flow(tmp_path).read(stretch, [0])
    (tmp_path / "jump").mkdir()
    np.save(tmp_path / "jump" / "second.npy", flow)
    assert open_flow(tmp_path).read(stretch, [0]).shape == (1, 8, 12, 2)


def test_open_flow__tells_that_there_is_no_folder(tmp_path):
    with pytest.raises(FlowError, match="is not a folder"):
        open_flow(tmp_path / "gone")


def test_open_flow__knows_its_own(tmp_path):
    header = FlowHeader(
        method="dis", parameters={}, short_side=None, bound_pixels=20, opencv="1", decoder="none"
    )
    FlowStore.begin(tmp_path / "flow", header)
    assert isinstance(open_flow(tmp_path / "flow"), FlowStore)
    assert open_flow(tmp_path).fingerprint() == {"flow.method": "given"}

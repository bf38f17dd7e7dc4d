"""Flow comes back bit for bit, or not at all."""

from dataclasses import replace
from zipfile import ZipFile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from featkd.errors import FlowError, UsageError, VideoDecodeError
from featkd.flow import FlowStore
from featkd.flow.store import FlowHeader
from featkd.types import Clip

HEADER = FlowHeader(
    method="dis",
    parameters={"PatchSize": 8},
    short_side=None,
    bound_pixels=20.0,
    opencv="1.0",
    decoder="none",
)


@pytest.fixture
def store(tmp_path):
    return FlowStore.begin(tmp_path / "flow", HEADER)


@settings(max_examples=25, deadline=None)
@given(
    st.data(),
    st.text(min_size=1, max_size=300).filter(lambda text: text.isprintable()),
    npst.arrays(np.uint8, st.tuples(*[st.integers(1, 5)] * 3, st.just(2))),
)
def test_store__round_trip(tmp_path_factory, data, video_id, values):
    num_frames = len(values) + 1
    clip = Clip(video_id, tmp_path_factory.getbasetemp() / "v.mp4", 0, num_frames, 4, 4, 25.0)
    store = FlowStore.begin(tmp_path_factory.mktemp("flow"), HEADER)
    assert not store.holds(clip)
    assert store.write(clip, values) == len(values)
    assert store.holds(clip)
    wanted = data.draw(st.lists(st.integers(0, len(values)), min_size=1, max_size=8))
    read = FlowStore(store.folder).read(clip, wanted)
    for index, frame in zip(wanted, read, strict=True):
        np.testing.assert_array_equal(frame, values[min(index, len(values) - 1)])
    below = [path for path in store.folder.rglob("*") if path.is_file()]
    assert {path.parent.name for path in below} == {store.folder.name, "videos"}


def test_store__repeats_the_last_frame(store, clip, flow):
    store.write(clip, flow)
    read = store.read(clip, [4, 3, 0])
    np.testing.assert_array_equal(read, flow[[3, 3, 0]])


def test_store__images_open_anywhere(store, clip, flow):
    store.write(clip, flow)
    with ZipFile(store.path_of(clip)) as archive, archive.open("flow_y_00002.png") as file:
        np.testing.assert_array_equal(np.asarray(Image.open(file)), flow[1, :, :, 1])


def test_write__of_the_same_flow_gives_the_same_bytes(store, clip, flow):
    store.write(clip, flow)
    before = store.path_of(clip).read_bytes()
    store.write(clip, flow)
    assert store.path_of(clip).read_bytes() == before


def test_write__leaves_nothing_of_flow_that_breaks_off(store, clip, flow):
    def breaking():
        yield flow[0]
        raise VideoDecodeError("frame 1 does not decode")

    with pytest.raises(VideoDecodeError, match="frame 1"):
        store.write(clip, breaking())
    assert list((store.folder / "videos").iterdir()) == []
    assert not store.holds(clip)


@pytest.mark.parametrize(
    "change", [{"num_frames": 6}, {"start_sec": 1.0}, {"end_sec": 2.0}], ids=lambda c: next(iter(c))
)
def test_store__knows_that_the_clip_is_another(store, clip, flow, change):
    store.write(clip, flow)
    other = replace(clip, **change)
    assert not store.holds(other)
    with pytest.raises(FlowError, match="compute it again"):
        store.read(other, [0])


def test_read__tells_how_to_compute_what_is_missing(store, clip):
    with pytest.raises(FlowError, match=r"jump/v_Jump_g01.*featkd flow"):
        store.read(clip, [0])


def test_read__tells_why_there_is_none(store, clip, flow):
    store.write_failure(clip, "the file ends")
    with pytest.raises(VideoDecodeError, match="the file ends"):
        store.read(clip, [0])
    store.write(clip, flow)
    assert store.read(clip, [0]).shape == (1, 8, 12, 2)
    assert list((store.folder / "failures").iterdir()) == []


def test_read__sees_every_damaged_byte_of_an_image(store, clip, flow):
    store.write(clip, flow)
    path = store.path_of(clip)
    sound = path.read_bytes()
    with ZipFile(path) as archive:
        entry = archive.getinfo("flow_x_00001.png")
        start = entry.header_offset + 30 + len(entry.filename)
    for position in range(start, start + entry.file_size):
        damaged = bytearray(sound)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(VideoDecodeError, match="damaged"):
            store.read(clip, [0])


@pytest.mark.parametrize("content", [b"", b"no archive", None], ids=["empty", "text", "cut"])
def test_read__sees_that_a_file_is_damaged(store, clip, flow, content):
    store.write(clip, flow)
    path = store.path_of(clip)
    path.write_bytes(path.read_bytes()[:-30] if content is None else content)
    assert not store.holds(clip)
    with pytest.raises(VideoDecodeError, match="damaged"):
        store.read(clip, [0])


@pytest.mark.parametrize("wanted", [[], [5], [-1]])
def test_read__refuses_indices_outside_the_clip(store, clip, flow, wanted):
    store.write(clip, flow)
    with pytest.raises(UsageError, match="from 0 to 4"):
        store.read(clip, wanted)


def test_begin__goes_on_with_the_same_and_refuses_another_way(store):
    assert FlowStore.begin(store.folder, HEADER).header == HEADER
    other = HEADER.model_copy(update={"short_side": 256})
    with pytest.raises(FlowError, match="short_side is None and would be 256"):
        FlowStore.begin(store.folder, other)


def test_begin__refuses_a_folder_of_something_else(tmp_path):
    (tmp_path / "video.mp4").touch()
    with pytest.raises(FlowError, match="not empty"):
        FlowStore.begin(tmp_path, HEADER)


@pytest.mark.parametrize("content", [b"{", b"{}", b'{"format": "featkd-flow/9"}'])
def test_store__refuses_a_damaged_header(store, content):
    (store.folder / "featkd-flow.json").write_bytes(content)
    with pytest.raises(FlowError, match=r"featkd-flow\.json"):
        FlowStore(store.folder)


def test_store__refuses_another_format(tmp_path):
    other = FlowStore.begin(
        tmp_path / "flow", HEADER.model_copy(update={"format": "featkd-flow/1"})
    )
    path = other.folder / "featkd-flow.json"
    path.write_text(path.read_text().replace("featkd-flow/1", "featkd-flow/2"))
    with pytest.raises(FlowError, match="expected 'featkd-flow/1'"):
        FlowStore(other.folder)


def test_fingerprint__names_method_and_parameters(store):
    assert store.fingerprint() == {
        "flow.method": "dis",
        "flow.PatchSize": 8,
        "flow.short_side": None,
        "flow.bound_pixels": 20.0,
        "flow.opencv": "1.0",
        "flow.decoder": "none",
    }

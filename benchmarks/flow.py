"""What flow costs: computing it, keeping it, reading a view of it; and how it fits others'.

    python benchmarks/flow.py --frames 16

Frames of a filmed clip of `<shared>/data/videos` (set FEATKD_SHARED, default ../shared) go through
both methods and into a folder of flow; then a view is read from it, from JPEG images as others keep
them, and from the video itself. Times are processor time of one thread, so that what else the
machine does counts little. Then flow is computed on frames of the clip that came with kinetics-i3d,
and correlated with the picture of TV-L1 flow that came with it. Writes
benchmarks/results/flow.json.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image
from record import save_record

from featkd.flow import FlowSpec, FlowStore, estimate_flow, open_flow
from featkd.flow.method import PARAMETERS, import_opencv
from featkd.flow.store import FlowHeader
from featkd.types import Clip, View
from featkd.video import (
    FLOW_BOUND_PIXELS,
    decoder_version,
    probe,
    quantise_flow,
    read_frames,
    render_clip,
    stream_frames,
)

SHARED = Path(os.environ.get("FEATKD_SHARED", "../shared"))
CLIPS = SHARED / "data" / "videos" / "known_label_clips"
VIDEO = CLIPS / "v_SoccerJuggling_g23_c01.avi"
PUBLISHED = "i3d_v_CricketShot_g04_c01_{}.gif"
PUBLISHED_FRAMES = (20, 40, 60)
JPEG_QUALITY = 95


def clip_of(path: Path, num_frames: int) -> Clip:
    info = probe(path)
    return Clip("clip", path, 0, num_frames, info.width, info.height, info.fps)


def processor_sec(work: Callable[[], object], repeats: int = 1) -> float:
    started = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - started) / repeats


def keep_as_jpeg(flow: np.ndarray, folder: Path) -> int:
    """Pairs of images as dense_flow names them; returns their bytes."""
    (folder / "clip").mkdir(parents=True)
    for number, frame in enumerate(flow, start=1):
        for axis, plane in zip("xy", np.moveaxis(frame, 2, 0), strict=True):
            path = folder / "clip" / f"flow_{axis}_{number:05d}.jpg"
            Image.fromarray(plane).save(path, "JPEG", quality=JPEG_QUALITY)
    return sum(path.stat().st_size for path in (folder / "clip").iterdir())


def measure(method: str, clip: Clip, folder: Path, repeats: int) -> dict[str, float]:
    spec = FlowSpec.model_validate({"method": method})
    header = FlowHeader(
        method=method,
        parameters=PARAMETERS[spec.method],
        short_side=None,
        bound_pixels=FLOW_BOUND_PIXELS,
        opencv=import_opencv().__version__,
        decoder=decoder_version(),
    )
    store = FlowStore.begin(folder / method, header)
    num_flow = clip.num_frames - 1
    started = time.process_time()
    fields = np.stack(list(estimate_flow(stream_frames(clip), spec)))
    compute_sec = time.process_time() - started
    flow = quantise_flow(fields)
    write_sec = processor_sec(lambda: store.write(clip, flow))
    jpeg_bytes = keep_as_jpeg(flow, folder / f"{method}-jpeg")
    given = open_flow(folder / f"{method}-jpeg")
    view = View("clip", 0, tuple(range(num_flow)), (0.125, 0.0, 0.875, 1.0), flip=True)
    lossy = given.read(clip, range(num_flow)).astype(int)
    return {
        "compute_ms_a_frame": 1e3 * compute_sec / num_flow,
        "write_ms_a_frame": 1e3 * write_sec / num_flow,
        "bytes_a_frame": store.path_of(clip).stat().st_size / num_flow,
        "jpeg_bytes_a_frame": jpeg_bytes / num_flow,
        "jpeg_mean_error_pixels": float(np.abs(lossy - flow).mean()) * 40 / 255,
        "raw_bytes_a_frame": float(flow[0].nbytes),
        "clipped_share": float((np.abs(fields) > FLOW_BOUND_PIXELS).mean()),
        "render_ms_a_frame": 1e3
        * processor_sec(lambda: render_clip(clip, view, [112], store.read), repeats)
        / num_flow,
        "render_jpeg_ms_a_frame": 1e3
        * processor_sec(lambda: render_clip(clip, view, [112], given.read), repeats)
        / num_flow,
        "render_rgb_ms_a_frame": 1e3
        * processor_sec(lambda: render_clip(clip, view, [112]), repeats)
        / num_flow,
    }


def agreement(method: str) -> dict[str, list[float]]:
    """Correlation with published flow, frame by frame, of which red is x and green y."""
    colours, theirs = (
        clip_of(CLIPS / PUBLISHED.format(kind), max(PUBLISHED_FRAMES) + 2)
        for kind in ("rgb", "flow")
    )
    spec = FlowSpec.model_validate({"method": method})
    found: dict[str, list[float]] = {"x": [], "y": []}
    for index in PUBLISHED_FRAMES:
        (field,) = estimate_flow(iter(read_frames(colours, [index, index + 1])), spec)
        (picture,) = read_frames(theirs, [index]).astype(float)
        for axis, values in enumerate(found.values()):
            ours, published = field[..., axis].ravel(), picture[..., axis].ravel()
            values.append(round(float(np.corrcoef(ours, published)[0, 1]), 3))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5, help="of reading")
    arguments = parser.parse_args()
    import_opencv().setNumThreads(1)
    clip = clip_of(VIDEO, arguments.frames)
    list(islice(stream_frames(clip), 2))  # what is loaded at the first call is not counted
    with tempfile.TemporaryDirectory() as folder:
        measured = {
            method: measure(method, clip, Path(folder), arguments.repeats) for method in PARAMETERS
        }
    result = {
        "video": VIDEO.name,
        "width": clip.width,
        "height": clip.height,
        "frames": arguments.frames,
        "methods": measured,
        "correlation_with_published_flow": {method: agreement(method) for method in PARAMETERS},
    }
    save_record("flow", result, packages=["opencv-contrib-python-headless", "pillow"])
    print(result)


if __name__ == "__main__":
    main()

"""Writing frames as a real encoded video."""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8

from featkd.errors import VideoError

GOP_FRAMES = 12
"""Distance of keyframes: short, so that reaching any frame decodes few others."""


def encode_h264(
    frames: UInt8[np.ndarray, "frames height width 3"],
    path: Path,
    *,
    fps: int | float,
    crf: int = 20,
) -> None:
    """Write frames as H.264 (yuv420p) in an MP4 container.

    Equal frames give equal bytes, on any processor, with equal versions of the encoder. The file
    appears under its name only when it is complete.

    Args:
        frames: RGB; height and width even, since chroma is stored at half resolution.
        path: the file to write; its folder must exist; an existing file is replaced.
        fps: frames per second.
        crf: x264's constant rate factor: 0 is lossless, 51 is worst.

    Raises:
        VideoError: there is no frame, a side is odd, or the encoder fails.
    """
    num_frames, height, width, _ = frames.shape
    if num_frames == 0 or height % 2 or width % 2:
        raise VideoError(
            f"{path}: cannot encode {num_frames} frames of {width}x{height}; expected at least one "
            "frame, and an even width and height"
        )
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with av.open(str(temporary), "w", format="mp4", options={"fflags": "+bitexact"}) as file:
            stream = file.add_stream(
                "libx264",
                rate=Fraction(fps).limit_denominator(1001),
                options={
                    "crf": str(crf),
                    "preset": "veryfast",
                    "g": str(GOP_FRAMES),
                    # x264's fastest routines differ in the last bits between processors, and
                    # between runs on one processor too.
                    "x264-params": "cpu-independent=1",
                },
            )
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            # The number of encoder threads changes the bits, and by default follows the machine.
            stream.codec_context.thread_count = 1
            for frame in frames:
                file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            file.mux(stream.encode())
        temporary.replace(path)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoError(f"{path}: encoding {num_frames} frames failed: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)

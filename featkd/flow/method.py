"""Computing flow with OpenCV: TV-L1, and DIS, which is many times faster."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Annotated, Any, Final, Literal

import numpy as np
from jaxtyping import Float32, UInt8
from pydantic import Field

from featkd.errors import UsageError, VideoDecodeError
from featkd.types import Spec

FlowMethod = Literal["tvl1", "dis"]

PARAMETERS: Final[dict[FlowMethod, dict[str, float]]] = {
    "tvl1": {
        "Tau": 0.25,
        "Lambda": 0.15,
        "Theta": 0.3,
        "ScalesNumber": 5,
        "WarpingsNumber": 5,
        "Epsilon": 0.01,
        "InnerIterations": 30,
        "OuterIterations": 10,
        "ScaleStep": 0.8,
        "Gamma": 0.0,
        "MedianFiltering": 5,
    },
    "dis": {
        "FinestScale": 1,
        "PatchSize": 8,
        "PatchStride": 3,
        "GradientDescentIterations": 25,
        "VariationalRefinementIterations": 5,
        "VariationalRefinementAlpha": 20.0,
        "VariationalRefinementDelta": 5.0,
        "VariationalRefinementGamma": 10.0,
    },
}
"""By OpenCV's own names: the values it has by default for TV-L1, and DIS's medium preset. They are
set one by one, so that another version's defaults change nothing."""


class FlowSpec(Spec):
    """How flow is computed."""

    method: FlowMethod = "tvl1"
    """``tvl1``: Zach et al., "A Duality Based Approach for Realtime TV-L1 Optical Flow", DAGM 2007.
    ``dis``: Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016."""
    short_side: Annotated[int, Field(ge=16)] | None = None
    """Shorter side in pixels that frames are scaled to before; displacements are in these pixels.
    None: frames as they are."""


def estimate_flow(
    frames: Iterable[UInt8[np.ndarray, "height width 3"]], spec: FlowSpec
) -> Iterator[Float32[np.ndarray, "flow_height flow_width 2"]]:
    """Flow from each frame to the next, in pixels a frame: to the right, and downwards.

    Args:
        frames: n frames of RGB of one size; drawn as they are needed.
        spec: method and size.

    Returns:
        n - 1 fields, computed as they are drawn.

    Raises:
        UsageError: OpenCV is not installed, or without its contributed modules.
        VideoDecodeError: as fields are drawn: OpenCV refuses the frames, for example because they
            are too small.
    """
    cv2 = import_opencv()
    greys = (_grey(cv2, frame, spec.short_side) for frame in frames)
    return _fields(cv2, greys, spec.method)


def import_opencv() -> Any:
    """OpenCV with the modules that TV-L1 needs.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise UsageError(
            "computing flow needs OpenCV, which is not installed; expected the extra 'flow': "
            "pip install 'featkd[flow]'"
        ) from error
    if not hasattr(cv2, "optflow"):
        raise UsageError(
            f"OpenCV {cv2.__version__} is installed without its contributed modules; expected the "
            "package opencv-contrib-python-headless in its place: pip install 'featkd[flow]'"
        )
    return cv2


def _fields(
    cv2: Any, greys: Iterator[UInt8[np.ndarray, "height width"]], method: FlowMethod
) -> Iterator[Float32[np.ndarray, "height width 2"]]:
    algorithm = (
        cv2.optflow.DualTVL1OpticalFlow_create()
        if method == "tvl1"
        else cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    )
    for name, value in PARAMETERS[method].items():
        getattr(algorithm, f"set{name}")(value)
    for before, after in pairwise(greys):
        try:
            yield algorithm.calc(before, after, None)
        except cv2.error as error:
            height, width = after.shape
            raise VideoDecodeError(
                f"OpenCV computes no {method} flow on frames of {width}x{height} pixels: "
                f"{' '.join(str(error).split())}"
            ) from error


def _grey(
    cv2: Any, frame: UInt8[np.ndarray, "height width 3"], short_side: int | None
) -> UInt8[np.ndarray, "flow_height flow_width"]:
    grey: np.ndarray = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    if short_side is None:
        return grey
    height, width = grey.shape
    scale = short_side / min(height, width)
    size = (round(width * scale), round(height * scale))
    scaled: np.ndarray = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return scaled

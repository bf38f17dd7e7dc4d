"""Generated action datasets: real encoded videos for the demo, the tests and the benchmarks."""

from featkd.synthetic.dataset import SyntheticDataset, SyntheticSpec, SyntheticVideo, synthesize
from featkd.synthetic.encode import encode_h264
from featkd.synthetic.motions import MOTIONS, Trajectory, sample_trajectory
from featkd.synthetic.untrimmed import (
    SyntheticSegment,
    UntrimmedDataset,
    UntrimmedSpec,
    synthesize_untrimmed,
)

__all__ = [
    "MOTIONS",
    "SyntheticDataset",
    "SyntheticSegment",
    "SyntheticSpec",
    "SyntheticVideo",
    "Trajectory",
    "UntrimmedDataset",
    "UntrimmedSpec",
    "encode_h264",
    "sample_trajectory",
    "synthesize",
    "synthesize_untrimmed",
]

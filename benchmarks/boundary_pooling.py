"""Boundary max pooling against max pooling over windows of the same size.

    python benchmarks/boundary_pooling.py

At the detector's shapes on THUMOS14: the frame feature (512 channels, 256 frames) and the features
of both refinement branches over all levels (1024 channels, 126 time steps), each pooled for the 126
priors of a clip. The rival is ``max_pool1d`` of the same tensors into as many windows of the same
length, at regular places: the same number of elements go into the same number of maxima. Windows
are those of actions of 30 and 100 frames, and of the 2 frames the untrained detector predicts; a
mixture of lengths, as a trained detector has, goes against a max pool of their mean length. The
rival pads by itself: a copy of the features with a margin would make it up to 1.6 times slower.
Both take turns. Prints ratios of medians, of forward and backward passes together and of forward
passes without gradient, and writes benchmarks/results/boundary_pooling.json.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from record import save_record
from torch import Tensor
from torch.nn import functional as F

from featkd.detection.afsd import Priors
from featkd.detection.afsd.windows import frame_windows, level_windows
from featkd.detection.boundary_pooling import boundary_max_pool

CHANNELS, NUM_FRAMES, NUM_LEVELS = 512, 256, 6
ACTION_FRAMES = {"untrained": 2.0, "30 frames": 30.0, "100 frames": 100.0, "mixed": None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=1)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    priors = Priors(NUM_FRAMES, NUM_LEVELS)
    record: dict[str, object] = {}
    for name, action_frames in ACTION_FRAMES.items():
        record[name] = measure(priors, action_frames, arguments.batch_size, arguments.rounds)
        print(f"{name}: {record[name]}")
    save_record("boundary_pooling", {"threads": 1, "cases": record})


def measure(
    priors: Priors, action_frames: float | None, batch: int, rounds: int
) -> dict[str, object]:
    """Median milliseconds of both poolings of one detector pass, and their ratios."""
    if action_frames is None:
        # The spread of THUMOS14's actions: median 30 frames, a tenth beyond 120.
        halves = (torch.randn(batch, len(priors), 2) * 1.1).exp() * 15
    else:
        halves = torch.full((batch, len(priors), 2), action_frames / 2)
    over_frames = frame_windows(priors.segments(halves))
    over_levels = level_windows(priors, halves)
    features = [
        torch.randn(batch, channels, length).relu().requires_grad_()
        for channels, length in ((CHANNELS, NUM_FRAMES), *((2 * CHANNELS, len(priors)),) * 2)
    ]
    windows = [over_frames, over_levels, over_levels]
    sizes = [mean_length(w, f.shape[2]) for w, f in zip(windows, features, strict=True)]

    def ours(feature: Tensor, index: int) -> Tensor:
        return boundary_max_pool(feature, windows[index])

    def rival(feature: Tensor, index: int) -> Tensor:
        # As many windows as priors: every second frame, or every time step.
        stride = max(1, feature.shape[2] // len(priors))
        size = sizes[index]
        return F.max_pool1d(feature, size, stride, padding=size // 2)[..., : len(priors)]

    poolings = {"boundary": ours, "max_pool1d": rival}
    seconds: dict[str, dict[str, list[float]]] = {
        mode: {name: [] for name in poolings} for mode in ("training", "inference")
    }
    gradient = [torch.randn(batch, f.shape[1], len(priors)) for f in features]
    for turn in range(rounds + 10):
        for name, pool in poolings.items():
            for mode, run in (("training", train), ("inference", infer)):
                started = time.perf_counter()
                run(pool, features, gradient)
                if turn >= 10:
                    seconds[mode][name].append(time.perf_counter() - started)
    result: dict[str, object] = {"mean_window": sizes}
    for mode, by_name in seconds.items():
        medians = {name: statistics.median(values) for name, values in by_name.items()}
        result[f"{mode}_ms"] = {name: round(1e3 * value, 3) for name, value in medians.items()}
        result[f"{mode}_ratio"] = round(medians["boundary"] / medians["max_pool1d"], 2)
    return result


def mean_length(windows: Tensor, time_steps: int) -> int:
    """Mean number of time steps in a window inside the feature, rounded up."""
    steps = windows.clamp(0, time_steps - 1)
    lengths = (steps[..., 1::2] - steps[..., 0::2]).clamp(min=0) + 1
    return int(lengths.mean().ceil())


Pool = Callable[[Tensor, int], Tensor]


def train(pool: Pool, features: list[Tensor], gradients: list[Tensor]) -> None:
    for index, (feature, gradient) in enumerate(zip(features, gradients, strict=True)):
        feature.grad = None
        torch.autograd.backward(pool(feature, index), gradient)


@torch.no_grad()
def infer(pool: Pool, features: list[Tensor], _gradients: list[Tensor]) -> None:
    for index, feature in enumerate(features):
        pool(feature, index)


if __name__ == "__main__":
    main()

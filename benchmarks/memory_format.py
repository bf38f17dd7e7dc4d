"""A training step of a miniature I3D in channels-last-3d memory against the default order.

    python benchmarks/memory_format.py

Both orders take turns, so that a machine that changes its speed changes both. Prints the ratio of
the medians and writes benchmarks/results/memory_format.json.
"""

import argparse
import statistics
import time

import torch
from record import save_record
from torch.nn import functional as F

from featkd.models import I3D, place

FORMATS = {"default": torch.contiguous_format, "channels_last_3d": torch.channels_last_3d}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=16)
    arguments = parser.parse_args()
    clips = torch.randn(arguments.batch_size, 3, 16, 64, 64)
    labels = torch.arange(arguments.batch_size) % 12
    networks, inputs = {}, {}
    for name, memory_format in FORMATS.items():
        networks[name] = I3D(12, width=0.25)
        if memory_format is torch.channels_last_3d:
            place(networks[name], torch.device("cpu"))
        inputs[name] = clips.contiguous(memory_format=memory_format)
    seconds: dict[str, list[float]] = {name: [] for name in FORMATS}
    for turn in range(arguments.rounds + 2):
        for name, network in networks.items():
            started = time.perf_counter()
            torch.autograd.backward(F.cross_entropy(network(inputs[name]), labels))
            if turn >= 2:
                seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    record = {
        "step_seconds": seconds,
        "median_seconds": medians,
        "ratio": medians["default"] / medians["channels_last_3d"],
    }
    save_record("memory_format", record)
    print(f"default / channels_last_3d: {record['ratio']:.2f}  {medians}")


if __name__ == "__main__":
    main()

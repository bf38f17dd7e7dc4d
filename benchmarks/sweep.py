"""What a sweep saves: six students from one pass over the data against six runs.

    python benchmarks/sweep.py

The demo's recipe with nothing kept in memory, so that every epoch decodes every view, as with a
dataset larger than memory. Six students that see the same clips in the same order (three
distillers, two architectures) are trained in one sweep, and each alone; both take turns, the order
changing from round to round, and every round ends with the comparison of all weights, bit by bit.

How much of a step decoding takes is measured on one student (the method ``kd``): its run as it is
and its run with all views in memory already, in processor time, which also counts what the second
core does, and in wall time. The sweep's claim holds where that share is a third or more.

Writes benchmarks/results/sweep.json.
"""

import argparse
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from record import save_record
from safetensors.torch import load_file
from untrained_teacher import prepare_workspace

from featkd.experiment import Member, Workspace, distill, represent, sweep, vary
from featkd.extract import extract
from featkd.training import RenderedViews

SETTINGS = (
    "synthetic.videos_per_class={train: 8, val: 1, test: 1}",
    "synthetic.size=192",
    "student.model.dropout=0.2",
    "representation.num_epochs=1",
)
DISTILLERS = ("kd", "at", "generative")
ARCHITECTURES = ("top_i3d", "i2d")
ALONE = Member("kd", 0)
TARGET_RATIO = 0.75
TARGET_SHARE = 1 / 3


@dataclass(frozen=True)
class Spent:
    """Time of some work."""

    wall_sec: float
    cpu_sec: float


def spent(work: Callable[[], object]) -> Spent:
    """Do some work and measure it."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Spent(time.perf_counter() - wall, time.process_time() - cpu)


class Bench:
    """A workspace with a complete cache, in which students are trained again and again."""

    def __init__(self, folder: Path, settings: Sequence[str]) -> None:
        self.folder = folder
        self.settings = settings
        workspace = self.workspace(memory_gib=0)
        extract(workspace)
        represent(workspace)

    def workspace(self, *, memory_gib: float) -> Workspace:
        """A new one: it has no view in memory yet."""
        return prepare_workspace(
            self.folder, [*SETTINGS, *self.settings, f"loading.memory_gib={memory_gib}"]
        )

    def train_alone(self, workspace: Workspace, member: Member) -> Spent:
        """As `featkd distill` does."""
        own = member.workspace(workspace)
        return spent(lambda: distill(own, member.name, member.seed))

    def take_weights(self) -> dict[str, dict[str, torch.Tensor]]:
        """Weights of all students by folder; afterwards there are none."""
        students = self.folder / "students"
        weights = {
            path.parent.name: load_file(path) for path in students.glob("*/model.safetensors")
        }
        shutil.rmtree(students)
        return weights

    def compare(self, members: Sequence[Member], *, sweep_first: bool) -> dict[str, Any]:
        """One round: all in one sweep, and each alone."""
        weights = []
        for is_sweep in (sweep_first, not sweep_first):
            workspace = self.workspace(memory_gib=0)
            if is_sweep:
                swept = spent(lambda: sweep(workspace, members))  # noqa: B023 - called at once
            else:
                single = [self.train_alone(workspace, member) for member in members]
            weights.append(self.take_weights())
        return {
            "sweep": asdict(swept),
            "alone": [asdict(each) for each in single],
            "ratio_wall": swept.wall_sec / sum(each.wall_sec for each in single),
            "ratio_cpu": swept.cpu_sec / sum(each.cpu_sec for each in single),
            "students_equal": count_equal(*weights),
        }

    def decoding_share(self) -> dict[str, float]:
        """Share of a lone student's training that decoding takes."""
        decoding, kept = self.workspace(memory_gib=0), self.workspace(memory_gib=16)
        recipe = kept.recipe
        render_all(
            kept.rendered(
                recipe.data.train_split, recipe.views.train, (recipe.student.preprocess.size,)
            )
        )
        with_decoding = self.train_alone(decoding, ALONE)
        self.take_weights()
        without = self.train_alone(kept, ALONE)
        self.take_weights()
        return {
            "share_wall": 1 - without.wall_sec / with_decoding.wall_sec,
            "share_cpu": 1 - without.cpu_sec / with_decoding.cpu_sec,
        }


def count_equal(
    one: dict[str, dict[str, torch.Tensor]], other: dict[str, dict[str, torch.Tensor]]
) -> int:
    """How many students have the same weights in both; the others are an error.

    Raises:
        SystemExit: some weights differ.
    """
    if one.keys() != other.keys() or any(
        not torch.equal(values, other[name][key])
        for name, weights in one.items()
        for key, values in weights.items()
    ):
        raise SystemExit(f"the weights of {', '.join(one)} are not those of students alone")
    return len(one)


def render_all(views: RenderedViews) -> None:
    """Put all views into memory."""
    pairs = [(s, v) for s in range(len(views.clips)) for v in range(views.spec.num_views)]
    for _ in views.batches(pairs, batch_size=64, drop_last=False):
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--workdir", type=Path, default=Path("runs/sweep"))
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    bench = Bench(
        arguments.workdir,
        [f"student.training.num_epochs={arguments.epochs}", *arguments.overrides],
    )
    members = vary(DISTILLERS, [0], {"student.model.name": ARCHITECTURES})
    rounds = []
    for number in range(arguments.rounds):
        found = bench.decoding_share() | bench.compare(members, sweep_first=number % 2 == 0)
        rounds.append(found)
        print(
            f"round {number + 1}: decoding takes {found['share_cpu']:.1%} of processor time and "
            f"{found['share_wall']:.1%} of wall time; sweep / alone {found['ratio_cpu']:.3f} and "
            f"{found['ratio_wall']:.3f}; {found['students_equal']} students equal",
            flush=True,
        )
    medians = {
        name: statistics.median(found[name] for found in rounds)
        for name in ("share_wall", "share_cpu", "ratio_wall", "ratio_cpu")
    }
    print(medians)
    save_record(
        "sweep",
        {
            "target_ratio": TARGET_RATIO,
            "target_share": TARGET_SHARE,
            "students": [member.name for member in members],
            "medians": medians,
            "rounds": rounds,
        },
    )


if __name__ == "__main__":
    main()

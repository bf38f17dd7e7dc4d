"""What each distiller adds to a step: time, multiply-accumulates, parameters, memory.

    python benchmarks/distiller_cost.py

A full-width Top-I3D learns from signals of a full-width I3D that are held in memory, one student
for each distiller and one for none. Students take turns, one step each and in an order that
changes, so that a machine that changes its speed changes all; a ratio is the median over rounds of
a step against the plain supervised step of the same round. Memory is the peak of a fresh process
that makes three steps, against that of the plain student. Multiply-accumulates are those of a
forward pass of one clip. Writes benchmarks/results/distiller_cost.json and .md.
"""

import argparse
import functools
import operator
import random
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from own_process import in_own_process, peak_memory_mib
from record import RESULTS, save_record
from torch.utils.flop_counter import FlopCounterMode

from featkd.distillers import (
    DISTILLERS,
    Distiller,
    DistillerConfig,
    Requirements,
    Shapes,
    build_distiller,
    generative_part,
)
from featkd.evaluation import measure_cost
from featkd.models import (
    LAST_LAYER,
    ModelSpec,
    ReusedClassifierSpec,
    VideoClassifier,
    reduce_map,
)
from featkd.representation import CVAE
from featkd.training.optimiser import Optimiser, OptimiserSpec
from featkd.types import LinearClassifier, StudentOutput, TeacherSignal

LIMIT = 1.10
LIGHT = ("kd", "ctkd", "dkd", "lskd", "dist", "fn", "at", "ttm")
NUM_CLASSES = 101


class Sizes(NamedTuple):
    """What all students are given alike."""

    batch_size: int
    num_frames: int
    pixels: int
    width: float

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """(C, T, H, W) of a clip."""
        return (3, self.num_frames, self.pixels, self.pixels)


class Learner(NamedTuple):
    """A student, its distiller, and a step of both."""

    network: VideoClassifier
    distiller: Distiller[DistillerConfig]
    step: Callable[[], None]


def make_signal(sizes: Sizes, needs: Requirements) -> TeacherSignal:
    """What a teacher with random weights would say, of the right shapes."""
    generator = torch.Generator().manual_seed(1)
    layers = tuple(tap.layer for tap in needs.taps)
    teacher = VideoClassifier(
        ModelSpec(name="i3d", width=sizes.width), NUM_CLASSES, sizes.input_shape, layers=layers
    )

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(sizes.batch_size, *shape, generator=generator).relu()

    maps = {layer: draw(*shape) for layer, shape in teacher.layer_shapes.items()}
    channels, num_steps, height, width = teacher.layer_shapes[LAST_LAYER]
    classifier = teacher.backbone.logits.linear()
    return TeacherSignal(
        logits=draw(NUM_CLASSES),
        features={tap.key: reduce_map(maps[tap.layer], tap.reduction) for tap in needs.taps},
        attention={layer: draw(channels, num_steps).sigmoid() for layer in needs.attention_layers},
        classifier=LinearClassifier(classifier.weight.detach(), classifier.bias.detach()),
        modules={"cvae": CVAE(channels, (height, width)).eval().requires_grad_(requires_grad=False)}
        if needs.modules
        else {},
    )


def make_learner(config: DistillerConfig, sizes: Sizes, signal: TeacherSignal) -> Learner:
    """A student that is ready to learn."""
    torch.manual_seed(0)
    needs = config.requires
    reused = None
    if needs.student_projector is not None and signal.classifier is not None:
        reused = ReusedClassifierSpec(
            channels=signal.classifier.weight.shape[1], projector=needs.student_projector
        )
    spec = ModelSpec(
        name="top_i3d",
        width=sizes.width,
        dropout=0.0,
        attention_head="paper" if needs.student_attention else None,
        reused_classifier=reused,
    )
    network = VideoClassifier(spec, NUM_CLASSES, sizes.input_shape, layers=needs.student_layers)
    clips = torch.randn(sizes.batch_size, *sizes.input_shape)
    labels = torch.arange(sizes.batch_size) % NUM_CLASSES
    with torch.no_grad():
        shapes = Shapes.measure(network.eval()(clips[:1]), signal)
    distiller = build_distiller(config, shapes)
    schedule = {"steps_per_epoch": 100, "num_epochs": 1}
    optimiser = Optimiser(
        OptimiserSpec(),
        [*network.train().parameters(), *distiller.modules.parameters()],
        **schedule,
    )
    generative = generative_part(distiller)
    generator_optimiser = None
    if generative is not None and generative.generator is not None:
        rule = OptimiserSpec(kind="adam", learning_rate=1e-4, momentum=0.8, weight_decay=0.0)
        generator_optimiser = Optimiser(rule, generative.generator.parameters(), **schedule)

    def step() -> None:
        student: StudentOutput = network(clips)
        if generative is not None and generator_optimiser is not None:
            generator_optimiser.step(generative.generator_terms(student, signal).total)
        optimiser.step(distiller(student, signal, labels, epoch=1).total)

    return Learner(network, distiller, step)


def added_macs(config: DistillerConfig, sizes: Sizes, signal: TeacherSignal) -> int:
    """Of a forward pass of the loss, a clip; those of the student itself are left out."""
    learner = make_learner(config, sizes, signal)
    clips = torch.randn(sizes.batch_size, *sizes.input_shape)
    labels = torch.zeros(sizes.batch_size, dtype=torch.int64)
    with torch.no_grad():
        student = learner.network(clips)
        with FlopCounterMode(display=False) as counter:
            learner.distiller(student, signal, labels, epoch=1)
            generative = generative_part(learner.distiller)
            if generative is not None:
                generative.generator_terms(student, signal)
    flops: int = counter.get_total_flops()
    return flops // 2 // sizes.batch_size


def peak_of(name: str, sizes: Sizes) -> float:
    """Peak memory of a process that makes three steps, in MiB."""
    config = DISTILLERS[name].config(kind=name)
    learner = make_learner(config, sizes, make_signal(sizes, config.requires))
    for _ in range(3):
        learner.step()
    return peak_memory_mib()


def time_steps(learners: dict[str, Learner], num_rounds: int) -> dict[str, list[float]]:
    """Seconds of a step in every round, by name; a first round warms up and does not count."""
    shuffle = random.Random(0)  # noqa: S311 - an order, not a secret
    seconds: dict[str, list[float]] = {name: [] for name in learners}
    for number in range(num_rounds + 1):
        names = list(learners)
        shuffle.shuffle(names)
        for name in names:
            started = time.perf_counter()
            learners[name].step()
            if number:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def describe(
    names: list[str], sizes: Sizes, num_rounds: int
) -> tuple[dict[str, dict[str, Any]], float]:
    """Figures of every distiller, and the seconds of a plain step."""
    configs = {name: DISTILLERS[name].config(kind=name) for name in names}
    memory = {name: in_own_process(peak_of, name, sizes) for name in names}
    needs = functools.reduce(operator.or_, (config.requires for config in configs.values()))
    signal = make_signal(sizes, needs)
    learners = {name: make_learner(config, sizes, signal) for name, config in configs.items()}
    seconds = time_steps(learners, num_rounds)
    plain = measure_cost(learners["none"].network, sizes.input_shape)
    rows: dict[str, dict[str, Any]] = {}
    for name, learner in learners.items():
        pairs = zip(seconds[name], seconds["none"], strict=True)
        ratios = sorted(step / reference for step, reference in pairs)
        kept = measure_cost(learner.network, sizes.input_shape)
        generative = generative_part(learner.distiller)
        own = list(learner.distiller.modules.parameters())
        if generative is not None and generative.generator is not None:
            own += generative.generator.parameters()
        rows[name] = {
            "ratio": statistics.median(ratios),
            "quartiles": [ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]],
            "limit": LIMIT if name in LIGHT else None,
            "training_parameters": sum(parameter.numel() for parameter in own),
            "training_gmac": added_macs(configs[name], sizes, signal) / 1e9,
            "kept_parameters": kept.parameters - plain.parameters,
            "kept_gmac": (kept.macs - plain.macs) / 1e9,
            "peak_memory_mib": memory[name],
            "added_memory_mib": memory[name] - memory["none"],
        }
    return rows, statistics.median(seconds["none"])


def tabulate(rows: dict[str, dict[str, Any]], sizes: Sizes, plain: float) -> str:
    """A table in Markdown."""
    columns = (
        "distiller",
        "step / plain",
        "quartiles",
        "limit",
        "parameters in training, M",
        "GMAC of the loss",
        "parameters kept, M",
        "GMAC kept",
        "memory, MiB",
    )
    setting = f"{sizes.batch_size} clips of {'x'.join(map(str, sizes.input_shape))}"
    lines = [
        f"Top-I3D of width {sizes.width:g}, {setting}; a plain supervised step takes {plain:.2f} s",
        "",
        f"| {' | '.join(columns)} |",
        "|---|" + "---:|" * (len(columns) - 1),
    ]
    for name, row in rows.items():
        low, high = row["quartiles"]
        limit = "" if row["limit"] is None else f"{row['limit']:.2f}"
        lines.append(
            f"| {name} | {row['ratio']:.3f} | {low:.3f} to {high:.3f} | {limit} | "
            f"{row['training_parameters'] / 1e6:.2f} | {row['training_gmac']:.3f} | "
            f"{row['kept_parameters'] / 1e6:.2f} | {row['kept_gmac']:.3f} | "
            f"{row['added_memory_mib']:+.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--pixels", type=int, default=112)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--distillers", help="some of them; default: all")
    arguments = parser.parse_args()
    sizes = Sizes(arguments.batch_size, arguments.frames, arguments.pixels, arguments.width)
    wanted = arguments.distillers.split(",") if arguments.distillers else list(DISTILLERS)
    names = [name for name in DISTILLERS if name in wanted or name == "none"]
    rows, plain = describe(names, sizes, arguments.rounds)
    save_record("distiller_cost", {"sizes": sizes._asdict(), "plain_sec": plain, "rows": rows})
    table = tabulate(rows, sizes, plain)
    (RESULTS / "distiller_cost.md").write_text(table, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()

"""What a training step pays for its teacher: cached, fed from memory, or live.

    python benchmarks/cached_training.py

For each method the very same training runs with signals of the cache as `featkd distill` opens it
(it keeps small arrays resident), of a cache that keeps nothing resident, as a large one, and with
the same signals held in memory; for `kd` also with the live teacher. The trainings go side by side,
one step of each in turn and in an order that changes, and all rendered views lie in memory, so that
nothing but the source of the signals differs. A step counts from asking for its batch to the end of
its update. Shares and ratios are medians over steps that were made one after another, of wall time
and of processor time, which also counts what a second core hides. On a busy machine use
``--threads 1``: threads that wait for one another then cost more than they help.

What multiply-accumulates predict for live against cached: a student's step costs three times its
forward pass, the teacher adds its own. Writes benchmarks/results/cached_training.json and .md.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from record import RESULTS, save_record
from untrained_teacher import prepare_workspace

from featkd.cache import CachedSignal, FolderStore, SignalRequest, SignalSource
from featkd.distillers import Shapes, build_distiller
from featkd.evaluation import measure_cost
from featkd.experiment import FrozenTeacher, Workspace, represent
from featkd.experiment.opened_cache import OpenedCache
from featkd.experiment.student import Students
from featkd.extract import extract
from featkd.models import LiveSignal, NetworkCard
from featkd.training import ClassifierTraining, Lesson, Lessons, RenderedViews, seed_everything
from featkd.types import TeacherSignal

COMMON = (
    "loading.memory_gib=16",
    "representation.num_epochs=1",
    "student.training.num_epochs=1",
    # Not in the demo: the teacher's full map is read for every row.
    "distillers.generative_own={kind: generative, attention_weight: 10.0, kd_gen_inputs: own}",
)
SETTINGS = {
    "16x64x64, width 0.25": ("synthetic.videos_per_class={train: 16, val: 1, test: 1}",),
    "16x112x112, width 0.5": (
        "synthetic.videos_per_class={train: 4, val: 1, test: 1}",
        "synthetic.size=128",
        "teacher.model.width=0.5",
        "teacher.preprocess.size=112",
        "student.model.width=0.5",
        "student.preprocess.size=112",
        "student.training.batch_size=8",
        "extract.batch_size=8",
    ),
}
METHODS = ("kd", "at", "generative", "generative_own")
LIVE_METHOD = "kd"
TARGET_SHARE = 0.03
CACHES = ("cached", "cached_not_resident")


class SignalInMemory:
    """The signals of all rows of a cache, read once and handed out from memory."""

    needs_clips = False

    def __init__(self, source: CachedSignal) -> None:
        self._whole = source.signal(SignalRequest(rows=tuple(range(source.store.num_rows))))

    def signal(self, request: SignalRequest) -> TeacherSignal:
        """Rows of what is held."""
        whole, rows = self._whole, list(request.rows)
        return TeacherSignal(
            logits=None if whole.logits is None else whole.logits[rows],
            features={key: values[rows] for key, values in whole.features.items()},
            attention={layer: values[rows] for layer, values in whole.attention.items()},
            modules=whole.modules,
        )


@dataclass(frozen=True)
class Step:
    """What one step took."""

    wall_sec: float
    cpu_sec: float


class Bench:
    """One setting: a workspace with a complete cache, and its views in memory."""

    def __init__(self, workspace: Workspace, stores: Mapping[str, FolderStore]) -> None:
        recipe = workspace.recipe
        self.workspace = workspace
        self.teacher = FrozenTeacher(workspace)
        self.stores = stores
        sizes = (recipe.student.preprocess.size, recipe.teacher.preprocess.size)
        self.views = workspace.rendered(recipe.data.train_split, recipe.views.train, sizes)
        _render_all(self.views)

    def sources(self, method: str) -> dict[str, SignalSource]:
        """Where the signals of a method may come from."""
        cached = {name: self._opened(method, store).signal() for name, store in self.stores.items()}
        sources: dict[str, SignalSource] = {**cached, "memory": SignalInMemory(cached["cached"])}
        if method == LIVE_METHOD:
            sources["live"] = LiveSignal(self.teacher.with_taps(()))
        return sources

    def training(self, method: str, source: SignalSource) -> ClassifierTraining:
        """A training that is always the same but for its source."""
        recipe, opened = self.workspace.recipe, self._opened(method, self.stores["cached"])
        card, config = self._card(method), recipe.distillers[method]
        seed_everything(0)
        network = card.build(layers=config.requires.student_layers)
        size = recipe.teacher.preprocess.size
        request = SignalRequest(
            rows=(opened.row_of(opened.samples[0], 0),),
            teacher_clips=torch.zeros((1, 3, card.num_frames, size, size), dtype=torch.uint8),
        )
        with torch.no_grad():
            student = network.eval()(torch.zeros(1, *card.input_shape))
        return ClassifierTraining(
            network=network.train(),
            distiller=build_distiller(config, Shapes.measure(student, source.signal(request))),
            lessons=Lessons(
                views=self.views,
                source=source,
                samples=opened.samples,
                row_of=opened.row_of,
                batch_size=recipe.student.training.batch_size,
                teacher_size=size,
                seed=0,
            ),
            spec=recipe.student.training,
            preprocess_spec=card.preprocess,
            device=torch.device("cpu"),
            seed=0,
        )

    def predicted_ratio(self, method: str) -> float:
        """Live against cached, as multiply-accumulates have it."""
        card = self._card(method)
        student = measure_cost(card.build(), card.input_shape).macs
        teacher = measure_cost(self.teacher.network, self.teacher.card.input_shape).macs
        return (3 * student + teacher) / (3 * student)

    def _card(self, method: str) -> NetworkCard:
        return Students(self.workspace, self.teacher).card(self.workspace, method)

    def _opened(self, method: str, store: FolderStore) -> OpenedCache:
        needs = self.workspace.recipe.distillers[method].requires
        return OpenedCache(self.workspace, store, self.teacher, needs)


def _render_all(views: RenderedViews) -> None:
    pairs = [(s, v) for s in range(len(views.clips)) for v in range(views.spec.num_views)]
    for _ in views.batches(pairs, batch_size=64, drop_last=False):
        pass


def run_side_by_side(
    trainings: Mapping[str, ClassifierTraining], num_epochs: int
) -> list[dict[str, Step]]:
    """Train all at once, a step of each in turn."""
    rounds: list[dict[str, Step]] = []
    for epoch in range(1, num_epochs + 1):
        # What is read ahead for a training is read during its own step, which is when it is asked.
        lessons = {name: training.lessons.of_epoch(epoch) for name, training in trainings.items()}
        for _ in range(min(len(training.lessons) for training in trainings.values())):
            names = list(trainings) if len(rounds) % 2 == 0 else list(trainings)[::-1]
            rounds.append({name: _step(trainings[name], lessons[name], epoch) for name in names})
        for rest in lessons.values():
            rest.close()
    return rounds


def _step(
    training: ClassifierTraining, lessons: Iterator[Lesson[TeacherSignal]], epoch: int
) -> Step:
    wall, cpu = time.perf_counter(), time.process_time()
    lesson = next(lessons)
    for update in training._passes:  # noqa: SLF001 - those of the loop, without log and checkpoint
        update(lesson, epoch)
    return Step(time.perf_counter() - wall, time.process_time() - cpu)


def measure(bench: Bench, method: str, num_epochs: int) -> dict[str, object]:
    """All sources of one method."""
    sources = bench.sources(method)
    trainings = {name: bench.training(method, source) for name, source in sources.items()}
    # In the first epoch caches of every kind get warm.
    steps_per_epoch = len(trainings["cached"].lessons)
    rounds = run_side_by_side(trainings, num_epochs + 1)[steps_per_epoch:]
    found: dict[str, object] = {
        "step_sec": {
            name: {
                "wall": [steps[name].wall_sec for steps in rounds],
                "cpu": [steps[name].cpu_sec for steps in rounds],
            }
            for name in sources
        },
        "cached_step_ms": 1000 * statistics.median(steps["cached"].wall_sec for steps in rounds),
    }
    for name in CACHES:
        found[name] = {
            "reading_ms_alone": _reading_ms(bench, sources[name]),
            "share_wall": _spread([1 - s["memory"].wall_sec / s[name].wall_sec for s in rounds]),
            "share_cpu": _spread([1 - s["memory"].cpu_sec / s[name].cpu_sec for s in rounds]),
        }
    if "live" in sources:
        found["live_over_cached_wall"] = _spread(
            [s["live"].wall_sec / s["cached"].wall_sec for s in rounds]
        )
        found["live_over_cached_cpu"] = _spread(
            [s["live"].cpu_sec / s["cached"].cpu_sec for s in rounds]
        )
        found["live_over_cached_predicted"] = bench.predicted_ratio(method)
    return found


def _spread(values: list[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": middle, "lower_quartile": low, "upper_quartile": high}


def _reading_ms(bench: Bench, source: SignalSource) -> float:
    """Reading a batch of random rows, with nothing beside it: what overlapping has to hide."""
    size = bench.workspace.recipe.student.training.batch_size
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(bench.stores["cached"].num_rows, generator=generator).tolist()
    times = []
    for start in range(0, len(order) - size + 1, size):
        started = time.perf_counter()
        source.signal(SignalRequest(rows=tuple(order[start : start + size])))
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def as_markdown(measured: Mapping[str, Mapping[str, dict[str, Any]]]) -> str:
    """Two tables: what the cache costs, and live against cached."""
    costs = [
        "# Training on cached signals",
        "",
        "Share of a step that the cache costs, (cached - from memory) / cached: medians over",
        "steps made one after another, in brackets the quartiles.",
        "",
        "| setting | method | step, ms | cache | reading alone, ms | share, wall | share, CPU |",
        "|---|---|---:|---|---:|---:|---:|",
    ]
    ratios = ["", "| setting | method | live / cached, wall | CPU | MACs predict |"]
    ratios.append("|---|---|---:|---:|---:|")
    for setting, methods in measured.items():
        for method, found in methods.items():
            costs += [
                f"| {setting} | {method} | {found['cached_step_ms']:.0f} "
                f"| {name.replace('_', ' ')} | {found[name]['reading_ms_alone']:.2f} "
                f"| {_percent(found[name]['share_wall'])} "
                f"| {_percent(found[name]['share_cpu'])} |"
                for name in CACHES
            ]
            if "live_over_cached_wall" in found:
                ratios.append(
                    f"| {setting} | {method} | {found['live_over_cached_wall']['median']:.2f} "
                    f"| {found['live_over_cached_cpu']['median']:.2f} "
                    f"| {found['live_over_cached_predicted']:.2f} |"
                )
    return "\n".join([*costs, *ratios]) + "\n"


def _percent(spread: Mapping[str, float]) -> str:
    low, high = spread["lower_quartile"], spread["upper_quartile"]
    return f"{spread['median']:+.1%} ({low:+.1%} to {high:+.1%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--settings", type=int, default=len(SETTINGS), help="how many, from small")
    parser.add_argument("--workdir", type=Path, default=Path("runs/cached_training"))
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    measured: dict[str, dict[str, dict[str, Any]]] = {}
    for number, (name, settings) in enumerate(list(SETTINGS.items())[: arguments.settings]):
        folder = arguments.workdir / str(number)
        workspace = prepare_workspace(folder, [*COMMON, *settings, *arguments.overrides])
        extract(workspace)
        represent(workspace)
        with (
            FolderStore.open(workspace.cache_path) as store,
            FolderStore.open(workspace.cache_path, resident_array_bytes=0) as not_resident,
        ):
            bench = Bench(workspace, dict(zip(CACHES, (store, not_resident), strict=True)))
            measured[name] = {}
            for method in arguments.methods.split(","):
                measured[name][method] = measure(bench, method, arguments.epochs)
                print(
                    f"{name}, {method}: {_percent(measured[name][method]['cached']['share_wall'])}"
                )
    save_record("cached_training", {"target_share": TARGET_SHARE, "settings": measured})
    table = as_markdown(measured)
    (RESULTS / "cached_training.md").write_text(table, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()

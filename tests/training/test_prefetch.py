import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from featkd.cache.signal import SignalRequest
from featkd.distillers import DistillerSpec, GenerativeConfig, KDConfig, Shapes, build_distiller
from featkd.experiment import Workspace
from featkd.models import NetworkCard, preprocess
from featkd.training import ClassifierTraining, Lessons, seed_everything, train
from featkd.training.prefetch import prefetched
from featkd.types import Silent, TeacherSignal

THREAD = "featkd-prefetch"
LAYER = "Mixed_5c"
CPU = torch.device("cpu")


def prefetch_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(THREAD)]


class BrokenItemError(Exception):
    pass


@pytest.mark.parametrize("depth", [1, 2, 7])
@pytest.mark.parametrize("num_items", [0, 1, 5])
def test_prefetched__pairs_in_order(depth: int, num_items: int) -> None:
    found = list(prefetched(range(num_items), lambda item: item**2, depth=depth))
    assert found == [(item, item**2) for item in range(num_items)]
    assert not prefetch_threads()


def test_prefetched__loads_while_the_consumer_works() -> None:
    loaded = [threading.Event() for _ in range(3)]
    pairs = prefetched(range(3), lambda item: loaded[item].set(), depth=1)
    next(pairs)
    assert loaded[1].wait(timeout=10), "the second item is loaded without being asked for"
    pairs.close()


@pytest.mark.parametrize("depth", [1, 3])
def test_prefetched__is_ahead_by_its_depth_and_no_more(depth: int) -> None:
    drawn = threading.Semaphore(0)

    def items() -> Iterator[int]:
        for item in range(100):
            drawn.release()
            yield item

    def wait_for(num_items: int) -> None:
        for _ in range(num_items):
            assert drawn.acquire(timeout=10)
        assert not drawn.acquire(timeout=0.05)

    pairs = prefetched(items(), str, depth=depth)
    next(pairs)
    wait_for(1 + depth)
    for _ in range(3):
        next(pairs)
        wait_for(1)
    pairs.close()


@pytest.mark.parametrize("where", ["items", "load"])
def test_prefetched__an_error_comes_in_its_place(where: str) -> None:
    def fail_at_third(item: int, place: str) -> int:
        if item == 3 and place == where:
            raise BrokenItemError
        return item

    items = (fail_at_third(item, "items") for item in range(6))
    pairs = prefetched(items, lambda item: fail_at_third(item, "load"), depth=2)
    assert [next(pairs)[0] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(BrokenItemError):
        next(pairs)
    assert not prefetch_threads()
    assert items.gi_frame is None, "nothing will be drawn any more"


def test_prefetched__closing_ends_thread_and_items() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.set()

    pairs = prefetched(items(), str, depth=2)
    assert next(pairs) == (0, "0")
    assert prefetch_threads()
    pairs.close()
    assert closed.is_set()
    assert not prefetch_threads()


class CountedSource:
    """A teacher whose answers follow from the rows; notes who asked for which rows."""

    def __init__(self, *, needs_clips: bool) -> None:
        self.needs_clips = needs_clips
        self.asked: list[tuple[int, ...]] = []
        self.askers: set[str] = set()

    def signal(self, request: SignalRequest) -> TeacherSignal:
        self.asked.append(request.rows)
        self.askers.add(threading.current_thread().name.split("_")[0])
        assert (request.teacher_clips is not None) == self.needs_clips
        return self.answer(request.rows)

    @staticmethod
    def answer(rows: tuple[int, ...]) -> TeacherSignal:
        rng = torch.Generator()
        logits = [torch.randn(3, generator=rng.manual_seed(row)) for row in rows]
        attention = [torch.rand(64, 2, generator=rng.manual_seed(row)) for row in rows]
        return TeacherSignal(logits=torch.stack(logits), attention={LAYER: torch.stack(attention)})


def trained(
    workspace: Workspace, folder: Path, config: DistillerSpec, source: CountedSource
) -> dict[str, torch.Tensor]:
    """Weights after two epochs."""
    seed_everything(1)
    section = workspace.recipe.student
    card = NetworkCard(
        model=section.model.model_copy(update={"attention_head": "paper"}),
        classes=workspace.manifest.header.classes,
        num_frames=16,
        preprocess=section.preprocess,
    )
    network = card.build(layers=config.requires.student_layers)
    views = workspace.rendered("train", workspace.recipe.views.train, (32,))
    clips = preprocess(torch.zeros(1, 3, 16, 32, 32, dtype=torch.uint8), card.preprocess, CPU)
    with torch.no_grad():
        shapes = Shapes.measure(network.eval()(clips), source.answer((0,)))
    training = ClassifierTraining(
        network=network.train(),
        distiller=build_distiller(config, shapes),
        lessons=Lessons(
            views=views,
            source=source,
            samples=range(len(views.clips)),
            row_of=lambda sample, view_index: 2 * sample + view_index,
            batch_size=section.training.batch_size,
            teacher_size=32,
            seed=1,
        ),
        spec=section.training,
        preprocess_spec=card.preprocess,
        device=CPU,
        seed=1,
    )
    train(training.run(folder, settings=""), description="", progress=Silent())
    return network.state_dict()


GENERATIVE = GenerativeConfig(kd_gen_weight=0.0, attention_weight=10.0)


@pytest.mark.parametrize(
    ("config", "num_passes"),
    [
        pytest.param(KDConfig(), 1, id="kd"),
        pytest.param(GENERATIVE, 1, id="step"),
        pytest.param(GENERATIVE.model_copy(update={"alternation": "epoch"}), 2, id="epoch"),
    ],
)
def test_classifier_training__signals_read_ahead_train_the_same_weights(
    tmp_path: Path, make_workspace: Callable[..., Workspace], config: DistillerSpec, num_passes: int
) -> None:
    workspace = make_workspace(tmp_path)
    ahead, due = CountedSource(needs_clips=False), CountedSource(needs_clips=True)
    weights = trained(workspace, tmp_path / "ahead", config, ahead)
    expected = trained(workspace, tmp_path / "due", config, due)
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert ahead.askers == {THREAD}
    assert due.askers == {threading.main_thread().name}
    assert ahead.asked == due.asked
    assert len(ahead.asked) == 2 * num_passes * 3  # epochs, passes, batches of 4 of 12 clips
    assert not prefetch_threads()

import contextlib
import gc
import json
import random
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from featkd.errors import CheckpointError, TrainingError, UsageError
from featkd.training.loop import Outcome, train, train_together
from featkd.training.optimiser import Optimiser, OptimiserSpec
from featkd.training.runner import Run
from featkd.types import Silent

Batches = Callable[[int], Iterator[torch.Tensor]]


class InterruptedRunError(Exception):
    pass


def four_batches(epoch: int) -> Iterator[torch.Tensor]:
    generator = torch.Generator().manual_seed(epoch)
    for _ in range(4):
        yield torch.randn(2, 3, generator=generator)


def make_run(
    folder: Path,
    *,
    settings: str = "a",
    stop_at: int | None = None,
    error: type[BaseException] = InterruptedRunError,
    seed: int = 5,
    num_epochs: int = 3,
    num_passes: int = 1,
    batches: Batches = four_batches,
) -> tuple[nn.Linear, Run]:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    optimiser = Optimiser(
        OptimiserSpec(learning_rate=0.1), model.parameters(), steps_per_epoch=4, num_epochs=3
    )
    steps = 0

    def update(batch: torch.Tensor, epoch: int) -> tuple[Mapping[str, float], int]:
        nonlocal steps
        steps += 1
        if steps == stop_at:
            raise error
        # Draws, as dropout would; from all generators that there are.
        noise = torch.randn(1) + float(np.random.random()) + random.random()  # noqa: NPY002, S311
        loss = (model(batch) + noise).square().mean()
        optimiser.step(loss)
        return {"loss": loss.item()}, 2

    run = Run(
        folder=folder,
        settings=settings,
        seed=seed,
        num_epochs=num_epochs,
        steps_per_epoch=4,
        batches=batches,
        passes=[update] * num_passes,
        parts={"model": model, "optimiser": optimiser},
        learning_rate=lambda: optimiser.learning_rate,
    )
    return model, run


def losses(folder: Path) -> list[str]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [line.split('"learning_rate"')[1] for line in lines]


@pytest.mark.parametrize("stop_at", [1, 4, 5, 7, 12])
def test_train__stopped_and_resumed_equals_uninterrupted(tmp_path: Path, stop_at: int) -> None:
    whole, run = make_run(tmp_path / "whole")
    train(run, description="x", progress=Silent())

    _, broken = make_run(tmp_path / "broken", stop_at=stop_at)
    with pytest.raises(InterruptedRunError):
        train(broken, description="x", progress=Silent())
    resumed, again = make_run(tmp_path / "broken")
    train(again, description="x", progress=Silent())

    assert torch.equal(whole.weight, resumed.weight)

    assert losses(tmp_path / "whole") == losses(tmp_path / "broken")
    assert len(losses(tmp_path / "whole")) == 3


def test_train__finished_run_does_nothing(tmp_path: Path) -> None:
    _, run = make_run(tmp_path)
    train(run, description="x", progress=Silent())
    _, again = make_run(tmp_path, stop_at=1)  # would raise if it took a step
    assert train(again, description="x", progress=Silent()) > 0


def test_train__other_settings_are_refused(tmp_path: Path) -> None:
    _, run = make_run(tmp_path)
    train(run, description="x", progress=Silent())
    _, other = make_run(tmp_path, settings="b")
    with pytest.raises(CheckpointError, match="other settings"):
        train(other, description="x", progress=Silent())


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 half a zip"])
def test_train__damaged_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(content)
    _, run = make_run(tmp_path)
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt is damaged"):
        train(run, description="x", progress=Silent())


def test_train__half_written_log_line_is_dropped(tmp_path: Path) -> None:
    _, run = make_run(tmp_path, stop_at=6)
    with pytest.raises(InterruptedRunError):
        train(run, description="x", progress=Silent())
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "sec')
    _, again = make_run(tmp_path)
    train(again, description="x", progress=Silent())
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_train__a_value_that_is_not_finite_ends_the_run(tmp_path: Path, value: float) -> None:
    _, run = make_run(tmp_path)
    learn = run.passes[0]

    def update(batch: torch.Tensor, epoch: int) -> tuple[Mapping[str, float], int]:
        values, weight = learn(batch, epoch)
        return values | {"kd": value if epoch == 2 else 0.0}, weight

    with pytest.raises(
        TrainingError, match=rf"{tmp_path.name}: kd is {value} in epoch 2; expected"
    ):
        train(replace(run, passes=[update]), description="x", progress=Silent())
    assert len(losses(tmp_path)) == 1


def test_train__an_epoch_ends_before_its_checkpoint(tmp_path: Path) -> None:
    ended: list[int] = []

    def end_epoch(epoch: int) -> None:
        if epoch == 2 and len(ended) == 1:
            ended.append(0)
            raise InterruptedRunError
        ended.append(epoch)

    for _ in range(2):
        _, run = make_run(tmp_path, num_passes=2)
        with contextlib.suppress(InterruptedRunError):
            train(replace(run, end_epoch=end_epoch), description="x", progress=Silent())
    assert ended == [1, 0, 2, 3]
    assert len(losses(tmp_path)) == 3


class CountedBatches:
    """The batches of `four_batches`; notes which epochs were asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.num_given = 0

    def __call__(self, epoch: int) -> Iterator[torch.Tensor]:
        self.asked.append(epoch)
        for batch in four_batches(epoch):
            self.num_given += 1
            yield batch


# Different seeds, numbers of epochs and passes: what each needs is drawn between the others' draws.
KINDS = (
    {"seed": 5},
    {"seed": 6, "num_epochs": 2},
    {"seed": 5, "num_passes": 2},
    {"seed": 7, "num_epochs": 5, "num_passes": 2},
)


def alone(folder: Path) -> list[torch.Tensor]:
    """Weights of all kinds, each trained alone."""
    weights = []
    for number, kind in enumerate(KINDS):
        model, run = make_run(folder / str(number), **kind)
        train(run, description="x", progress=Silent())
        weights.append(model.weight)
    return weights


def test_train_together__each_as_if_alone(tmp_path: Path) -> None:
    expected = alone(tmp_path / "alone")
    batches = CountedBatches()
    members = [
        make_run(tmp_path / "together" / str(number), batches=batches, **kind)
        for number, kind in enumerate(KINDS)
    ]
    outcomes = train_together([run for _, run in members], description="x", progress=Silent())
    for number, ((model, _), outcome) in enumerate(zip(members, outcomes, strict=True)):
        assert outcome.error is None
        assert outcome.seconds > 0
        assert torch.equal(model.weight, expected[number])
        assert losses(tmp_path / "together" / str(number)) == losses(
            tmp_path / "alone" / str(number)
        )
    assert batches.asked == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert len({str(weight.tolist()) for weight in expected}) == len(KINDS)


@pytest.mark.parametrize("stop_at", [1, 7, 8, 9, 15])
def test_train_together__stopped_and_resumed(tmp_path: Path, stop_at: int) -> None:
    """A keyboard interrupt ends all; each goes on after the last epoch that it finished."""
    expected = alone(tmp_path / "alone")

    def members(stop_at: int | None) -> list[tuple[nn.Linear, Run]]:
        batches = CountedBatches()
        return [
            make_run(
                tmp_path / "together" / str(number),
                batches=batches,
                stop_at=stop_at if number == 2 else None,
                error=KeyboardInterrupt,
                **kind,
            )
            for number, kind in enumerate(KINDS)
        ]

    with pytest.raises(KeyboardInterrupt):
        train_together([run for _, run in members(stop_at)], description="x", progress=Silent())
    resumed = members(None)
    outcomes = train_together([run for _, run in resumed], description="x", progress=Silent())
    assert all(outcome.error is None for outcome in outcomes)
    for (model, _), weight in zip(resumed, expected, strict=True):
        assert torch.equal(model.weight, weight)


@pytest.mark.parametrize("failing", [0, 3])
def test_train_together__a_failed_run_does_not_end_the_others(tmp_path: Path, failing: int) -> None:
    expected = alone(tmp_path / "alone")
    batches = CountedBatches()
    members = [
        make_run(
            tmp_path / "together" / str(number),
            batches=batches,
            stop_at=6 if number == failing else None,
            **kind,
        )
        for number, kind in enumerate(KINDS)
    ]
    outcomes = train_together([run for _, run in members], description="x", progress=Silent())
    for number, ((model, _), outcome) in enumerate(zip(members, outcomes, strict=True)):
        assert isinstance(outcome.error, InterruptedRunError) == (number == failing)
        assert torch.equal(model.weight, expected[number]) == (number != failing)
    # Nothing is made that nobody wants: the last kind alone has more than three epochs.
    assert max(batches.asked) == (3 if failing == 3 else 5)


def test_train_together__batches_end_with_the_last_run(tmp_path: Path) -> None:
    batches = CountedBatches()
    runs = [make_run(tmp_path / str(n), batches=batches, stop_at=6 - n)[1] for n in range(2)]
    outcomes = train_together(runs, description="x", progress=Silent())
    assert [type(outcome.error) for outcome in outcomes] == [InterruptedRunError] * 2
    assert batches.num_given == 6


def test_train_together__failing_batches_fail_all_that_want_more(tmp_path: Path) -> None:
    def broken(epoch: int) -> Iterator[torch.Tensor]:
        if epoch == 3:
            raise ValueError
        yield from four_batches(epoch)

    runs = [
        make_run(tmp_path / str(n), batches=broken, num_epochs=num_epochs)[1]
        for n, num_epochs in enumerate((2, 3))
    ]
    complete, failed = train_together(runs, description="x", progress=Silent())
    assert complete.error is None
    assert isinstance(failed.error, ValueError)


def test_train_together__a_damaged_checkpoint_fails_its_run_alone(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "checkpoint.pt").write_bytes(b"garbage")
    runs = [make_run(tmp_path / str(n))[1] for n in range(2)]
    damaged, whole = train_together(runs, description="x", progress=Silent())
    assert isinstance(damaged.error, CheckpointError)
    assert whole == Outcome(whole.seconds)


def test_train_together__different_batches_are_refused(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / str(n), batches=CountedBatches())[1] for n in range(2)]
    with pytest.raises(UsageError, match="see different batches"):
        train_together(runs, description="x", progress=Silent())


def test_train_together__waiting_is_divided_between_those_who_wait(tmp_path: Path) -> None:
    def slow(epoch: int) -> Iterator[torch.Tensor]:
        for batch in four_batches(epoch):
            time.sleep(0.05)
            yield batch

    runs = [make_run(tmp_path / str(n), batches=slow, num_epochs=1)[1] for n in range(4)]
    started = time.perf_counter()
    outcomes = train_together(runs, description="x", progress=Silent())
    elapsed = time.perf_counter() - started
    assert 0.2 < sum(outcome.seconds for outcome in outcomes) < elapsed
    assert all(outcome.seconds >= 0.05 for outcome in outcomes)


class Bars:
    """A progress that counts."""

    def track(self, items, *, description, total, unit, done=0):
        self.total, self.done = total, done
        for item in items:
            yield item
            self.done += 1

    def note(self, message: str) -> None:
        pass


def test_train_together__progress_knows_what_is_left(tmp_path: Path) -> None:
    def run_all(stop_at: int | None) -> Bars:
        batches, bars = CountedBatches(), Bars()
        runs = [
            make_run(
                tmp_path / str(number),
                batches=batches,
                stop_at=stop_at if number == 3 else None,
                error=KeyboardInterrupt,
                **kind,
            )[1]
            for number, kind in enumerate(KINDS)
        ]
        try:
            train_together(runs, description="x", progress=bars)
        except KeyboardInterrupt:
            assert stop_at is not None
        return bars

    begun = run_all(stop_at=35)  # in the fifth epoch of the last, which has eight steps each
    assert (begun.total, begun.done) == (40, 34)
    resumed = run_all(None)
    assert (resumed.total, resumed.done) == (40, 40)


def test_train_together__a_failed_step_keeps_no_activations(tmp_path: Path) -> None:
    held: list[weakref.ref[torch.Tensor]] = []
    batches = CountedBatches()
    _, run = make_run(tmp_path / "0", batches=batches)

    def update(batch: torch.Tensor, epoch: int) -> tuple[Mapping[str, float], int]:
        activation = batch.clone()
        held.append(weakref.ref(activation))
        raise InterruptedRunError

    (outcome,) = train_together([replace(run, passes=[update])], description="x", progress=Silent())
    gc.collect()
    assert isinstance(outcome.error, InterruptedRunError)
    assert held[0]() is None


def test_train__seconds_are_those_of_the_log(tmp_path: Path) -> None:
    _, run = make_run(tmp_path)
    seconds = train(run, description="x", progress=Silent())
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert seconds == sum(json.loads(line)["seconds"] for line in lines) > 0

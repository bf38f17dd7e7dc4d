import math

import pytest
import torch
from torch import nn

from featkd.training.optimiser import Optimiser, OptimiserSpec


def rates(spec: OptimiserSpec, *, steps_per_epoch: int, num_epochs: int) -> list[float]:
    weight = nn.Parameter(torch.ones(1))
    optimiser = Optimiser(spec, [weight], steps_per_epoch=steps_per_epoch, num_epochs=num_epochs)
    seen = []
    for _ in range(steps_per_epoch * num_epochs):
        seen.append(optimiser.learning_rate)
        optimiser.step(weight.sum())
    return seen


def test_schedule__constant_after_a_linear_rise() -> None:
    spec = OptimiserSpec(learning_rate=0.1, warmup_epochs=2)
    assert rates(spec, steps_per_epoch=2, num_epochs=4) == pytest.approx(
        [0.02, 0.04, 0.06, 0.08, 0.1, 0.1, 0.1, 0.1]
    )


def test_schedule__cosine_by_its_formula() -> None:
    spec = OptimiserSpec(learning_rate=1.0, schedule="cosine", warmup_epochs=1)
    seen = rates(spec, steps_per_epoch=4, num_epochs=3)
    expected = [1 / 5, 2 / 5, 3 / 5, 4 / 5]
    expected += [0.5 * (1 + math.cos(math.pi * i / 8)) for i in range(8)]
    assert seen == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
def test_state__goes_on_where_it_stopped(kind: str) -> None:
    spec = OptimiserSpec.model_validate(
        {"kind": kind, "learning_rate": 0.1, "schedule": "cosine", "warmup_epochs": 0.5}
    )

    def make() -> tuple[nn.Parameter, Optimiser]:
        weight = nn.Parameter(torch.tensor([1.0, -2.0]))
        return weight, Optimiser(spec, [weight], steps_per_epoch=4, num_epochs=2)

    weight, optimiser = make()
    for _ in range(8):
        optimiser.step((weight**2).sum())

    first, half = make()
    for _ in range(4):
        half.step((first**2).sum())
    second, rest = make()
    with torch.no_grad():
        second.copy_(first)
    rest.load_state_dict(half.state_dict())
    for _ in range(4):
        rest.step((second**2).sum())
    assert torch.equal(weight, second)
    assert optimiser.learning_rate == rest.learning_rate


def test_clip_grad_norm__bounds_the_step() -> None:
    weight = nn.Parameter(torch.zeros(2))
    spec = OptimiserSpec(learning_rate=1.0, momentum=0.0, weight_decay=0.0, clip_grad_norm=0.5)
    Optimiser(spec, [weight], steps_per_epoch=1, num_epochs=1).step((weight * 100).sum())
    assert weight.norm().item() == pytest.approx(0.5, rel=1e-4)

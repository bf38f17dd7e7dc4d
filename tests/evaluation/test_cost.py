import json

import pytest
import torch
from torch import Tensor, nn

from featkd.errors import ModelError, UsageError
from featkd.evaluation import measure_cost, measure_latency

SHAPE = (4, 4, 8, 8)


class PoolThen(nn.Module):
    """Mean over time and space, then a linear layer used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, clip: Tensor) -> Tensor:
        return self.linear(self.linear(clip.mean(dim=(2, 3, 4))))


class Attend(nn.Module):
    """Tokens attend to each other: products outside any layer."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(4, 6)

    def forward(self, clip: Tensor) -> Tensor:
        tokens = self.query(clip.flatten(2).transpose(1, 2))
        return tokens @ tokens.transpose(1, 2)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.Conv3d(4, 6, 3, padding=1), 6 * 4 * 27 * (4 * 8 * 8)),
        (nn.Conv3d(4, 6, 3, padding=1, bias=False), 6 * 4 * 27 * (4 * 8 * 8)),
        (nn.Conv3d(4, 6, (1, 3, 3), stride=2), 6 * 4 * 9 * (2 * 3 * 3)),
        (nn.Conv3d(4, 8, 3, padding=1, groups=4), 8 * 1 * 27 * (4 * 8 * 8)),
        # Transposed: every input number is multiplied with every weight of its channel.
        (nn.ConvTranspose3d(4, 6, 2, stride=2), 4 * 6 * 8 * (4 * 8 * 8)),
        (nn.ConvTranspose3d(4, 6, 2, stride=2, groups=2), 4 * 3 * 8 * (4 * 8 * 8)),
        (nn.Sequential(nn.Flatten(2), nn.Conv1d(4, 3, 5)), 3 * 4 * 5 * (256 - 4)),
        (nn.Sequential(nn.Flatten(2, 3), nn.Conv2d(4, 3, 1)), 3 * 4 * (32 * 8)),
        (nn.Sequential(nn.Flatten(), nn.Linear(1024, 10)), 10 * 1024),
        (nn.Sequential(nn.BatchNorm3d(4), nn.ReLU(), nn.MaxPool3d(2)), 0),
    ],
    ids=[
        "conv3d",
        "no-bias",
        "strided",
        "grouped",
        "transposed",
        "transposed-grouped",
        "conv1d",
        "conv2d",
        "linear",
        "nothing-multiplied",
    ],
)
def test_measure_cost__known_by_hand(layer, expected):
    assert measure_cost(layer, SHAPE).macs == expected


def test_measure_cost__layers_add_up_and_a_layer_used_twice_counts_twice():
    model = nn.Sequential()
    model.add_module("stem", nn.Sequential(nn.Conv3d(4, 4, 1), nn.BatchNorm3d(4)))
    model.add_module("head", PoolThen())

    cost = measure_cost(model, SHAPE)

    assert cost.macs_by_layer == {"stem.0": 4 * 4 * 256, "head.linear": 2 * 16}
    assert cost.macs == sum(cost.macs_by_layer.values())
    assert cost.gmac == cost.macs / 1e9
    assert cost.parameters == (16 + 4) + (4 + 4) + (16 + 4)
    assert json.loads(json.dumps(cost.to_json()))["macs_by_layer"]["head.linear"] == 32


def test_measure_cost__products_of_the_model_itself():
    cost = measure_cost(Attend(), SHAPE)

    assert cost.macs_by_layer == {"": 256 * 256 * 6, "query": 256 * 4 * 6}


def test_measure_cost__leaves_the_model_as_it_was():
    model = nn.Sequential(nn.Conv3d(4, 4, 1), nn.BatchNorm3d(4))
    model[1].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    measure_cost(model, SHAPE)

    assert (model.training, model[0].training, model[1].training) == (True, True, False)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_measure_cost__needs_no_memory_for_data():
    # One activation alone would take 137 TB.
    huge = nn.Conv3d(3, 512, 3, padding=1)

    cost = measure_cost(huge, (3, 1024, 8192, 8192))

    assert cost.macs == 512 * 3 * 27 * 1024 * 8192 * 8192


def test_measure_cost__names_model_and_shape_when_it_fails():
    with pytest.raises(ModelError, match=r"Conv3d .* \(5, 4, 8, 8\)"):
        measure_cost(nn.Conv3d(4, 6, 3), (5, 4, 8, 8))


class Counting(nn.Module):
    """Counts its forward passes and notes the mode and shape of each."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[bool, bool, torch.Size]] = []

    def forward(self, clip: Tensor) -> Tensor:
        self.calls.append((self.training, torch.is_inference_mode_enabled(), clip.shape))
        return clip


def test_measure_latency__times_single_clips_in_evaluation_mode():
    model = Counting()

    milliseconds = measure_latency(model, SHAPE, num_runs=4, num_warmup_runs=2)

    assert milliseconds > 0
    assert model.calls == [(False, True, torch.Size([1, *SHAPE]))] * 6
    assert model.training


def test_measure_latency__is_the_median(monkeypatch):
    clock = iter([0.0, 1.0, 10.0, 12.0, 20.0, 29.0])
    monkeypatch.setattr("featkd.evaluation.cost.time.perf_counter", lambda: next(clock))

    assert measure_latency(Counting(), SHAPE, num_runs=3, num_warmup_runs=0) == 2000.0


@pytest.mark.parametrize(("num_runs", "num_warmup_runs"), [(0, 1), (1, -1)])
def test_measure_latency__refuses(num_runs, num_warmup_runs):
    with pytest.raises(UsageError, match="expected at least 1"):
        measure_latency(Counting(), SHAPE, num_runs=num_runs, num_warmup_runs=num_warmup_runs)

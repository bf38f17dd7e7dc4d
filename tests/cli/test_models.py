import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

Featkd = Callable[..., Result]
Costs = list[dict[str, Any]]


@pytest.fixture(scope="module")
def full_size(featkd: Featkd) -> Costs:
    costs: Costs = json.loads(featkd("models", "--json").stdout)
    return costs


@pytest.mark.parametrize(
    ("model", "attention_head", "expected_gmac"),
    [("i3d", None, 111.15), ("top_i3d", None, 45.36), ("top_i3d", "released", 47.18)],
)
def test_models__gmac_of_full_size_networks(
    full_size: Costs, model: str, attention_head: str | None, expected_gmac: float
) -> None:
    costs = {(cost["model"], cost["attention_head"]): cost for cost in full_size}
    assert len(costs) == 6
    assert costs[model, attention_head]["gmac"] == pytest.approx(expected_gmac, rel=1e-3)


def test_models__table_follows_the_options(featkd: Featkd) -> None:
    small = ("models", "--input", "3x16x64x64", "--classes", "12", "--width", "0.25")
    table = featkd(*small).stdout
    costs = json.loads(featkd(*small, "--json").stdout)
    assert f"{costs[0]['parameters'] / 1e6:.2f}" in table
    assert costs[0]["parameters"] < 1_000_000


@pytest.mark.parametrize("shape", ["3x64x224", "3x64x224x0", "a", "3x64x224x224x1"])
def test_models__wrong_input_shape(featkd: Featkd, shape: str) -> None:
    result = featkd("models", "--input", shape)
    assert result.exit_code == 2
    assert "CxTxHxW" in result.stderr

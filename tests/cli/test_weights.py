import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result

from featkd.models import I3D

Featkd = Callable[..., Result]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "rgb.pt"
    torch.save({"state_dict": I3D(2, width=0.0625).state_dict()}, path)
    return path


def test_weights__says_what_they_belong_to(featkd: Featkd, weights: Path) -> None:
    found = json.loads(featkd("weights", str(weights), "--json").stdout)
    assert found["layout"] == "pytorch_i3d"
    assert (found["network"], found["width"], found["classes"]) == ("i3d", 0.0625, 2)
    assert found["wrappers"] == ["state_dict"]
    assert found["match"] is None
    table = featkd("weights", str(weights)).stdout
    assert "pytorch_i3d" in table
    assert found["sha256"] in table


def test_weights__compared_with_a_recipe(
    featkd: Featkd, weights: Path, workdir: Path, tiny: Callable[..., list[str]]
) -> None:
    narrow = tiny(workdir, teacher__model__width=0.0625)
    result = featkd("weights", str(weights), "--recipe", "demo", *narrow)
    assert result.exit_code == 0, result.output
    assert "344 tensors match" in result.stdout
    wide = tiny(workdir, teacher__model__width=0.125)
    result = featkd("weights", str(weights), "--recipe", "demo", *wide)
    assert result.exit_code == 1
    assert "of another shape:" in result.stdout
    assert "Conv3d_1a_7x7.conv3d.weight is (4, 3, 7, 7, 7), expected (8" in result.stdout
    result = featkd("weights", str(weights), "--recipe", "demo", "--json", *wide)
    assert json.loads(result.stdout)["match"]["fits"] is False


def test_weights__of_a_run_and_of_nothing(featkd: Featkd, workdir: Path, tmp_path: Path) -> None:
    own = workdir / "teacher" / "model.safetensors"
    found = json.loads(featkd("weights", str(own), "--json").stdout)
    assert (found["layout"], found["classes"], found["origin"]) == ("featkd", 2, None)
    unknown = tmp_path / "unknown.pt"
    torch.save({"encoder.weight": torch.zeros(2)}, unknown)
    found = json.loads(featkd("weights", str(unknown), "--json").stdout)
    assert found["first_names"] == ["encoder.weight"]
    result = featkd("weights", str(tmp_path / "absent.pt"))
    assert result.exit_code == 1
    assert "absent.pt" in result.stderr

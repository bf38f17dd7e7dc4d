from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from featkd.errors import CheckpointError
from featkd.models import ModelSpec, NetworkCard, PreprocessSpec, load_network, save_network

CARD = NetworkCard(
    model=ModelSpec(width=0.0625, attention_head="released"),
    classes=("a", "b"),
    num_frames=16,
    preprocess=PreprocessSpec(size=32),
)


def test_network__round_trip(tmp_path: Path) -> None:
    network = CARD.build()
    save_network(tmp_path / "model.safetensors", network, CARD)
    card, loaded = load_network(tmp_path / "model.safetensors", layers=("Mixed_3b",))
    assert card == CARD
    assert not loaded.training
    assert loaded.layers == ("Mixed_3b", "Mixed_5c")
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def _missing(path: Path) -> None:
    pass


def _directory(path: Path) -> None:
    path.mkdir()


def _garbage(path: Path) -> None:
    path.write_bytes(b"not weights at all" * 10)


def _bare(path: Path) -> None:
    save_file({"x": torch.zeros(1)}, path)


def _cut(path: Path) -> None:
    save_network(path, CARD.build(), CARD)
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(_missing, "is not a file", id="missing"),
        pytest.param(_directory, "is not a file", id="directory"),
        pytest.param(_garbage, "damaged", id="garbage"),
        pytest.param(_bare, "bare weights", id="bare"),
        pytest.param(_cut, "damaged", id="cut"),
    ],
)
def test_load_network__bad_files(tmp_path: Path, make, words: str) -> None:
    path = tmp_path / "model.safetensors"
    make(path)
    with pytest.raises(CheckpointError, match=words) as caught:
        load_network(path)
    assert str(path) in str(caught.value)


def test_load_network__weights_of_another_model(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    wider = CARD.model_copy(update={"model": ModelSpec(width=0.125)})
    save_network(path, wider.build(), CARD)
    with pytest.raises(CheckpointError, match="do not fit i3d"):
        load_network(path)

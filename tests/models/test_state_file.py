import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from featkd.errors import CheckpointError
from featkd.models import read_state_file

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.zeros(2)}


class Trap:
    """Runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.write_text, (self.path, "executed")


@pytest.mark.parametrize(
    ("content", "wrappers"),
    [
        pytest.param(WEIGHTS, (), id="plain"),
        pytest.param({"state_dict": WEIGHTS, "epoch": 3}, ("state_dict",), id="state_dict"),
        pytest.param({"model": {"state_dict": WEIGHTS}}, ("model", "state_dict"), id="nested"),
        pytest.param(
            {"model": {f"module.{name}": value for name, value in WEIGHTS.items()}},
            ("model", "module."),
            id="data parallel",
        ),
        pytest.param(
            {f"_orig_mod.module.{name}": value for name, value in WEIGHTS.items()},
            ("_orig_mod.", "module."),
            id="compiled",
        ),
    ],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_read_state_file__wrappers_are_taken_off(
    tmp_path: Path, content: dict[str, object], wrappers: tuple[str, ...], legacy: bool
) -> None:
    path = tmp_path / "weights.pt"
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    file = read_state_file(path)
    assert file.wrappers == wrappers
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file.state.keys() == WEIGHTS.keys()
    for name, value in WEIGHTS.items():
        assert torch.equal(file.state[name], value)


def test_read_state_file__safetensors(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({f"module.{name}": value for name, value in WEIGHTS.items()}, path)
    file = read_state_file(path)
    assert file.wrappers == ("module.",)
    assert torch.equal(file.state["a.weight"], WEIGHTS["a.weight"])


def test_read_state_file__a_prefix_of_some_names_stays(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"module.a": torch.zeros(1), "b": torch.zeros(1)}, path)
    assert read_state_file(path).state.keys() == {"module.a", "b"}


def test_read_state_file__executes_nothing(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    for name, content in (("trap", {"a": Trap(witness)}), ("module", nn.Linear(2, 2))):
        path = tmp_path / f"{name}.pt"
        torch.save(content, path)
        with pytest.raises(CheckpointError, match="more than tensors") as caught:
            read_state_file(path)
        assert str(path) in str(caught.value)
    assert not witness.exists()


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights at all" * 10, b"\x80\x02}q\x00."])
def test_read_state_file__damaged(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="weights"):
        read_state_file(path)


@pytest.mark.parametrize("cut", [10, 200])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_read_state_file__cut_off(tmp_path: Path, suffix: str, cut: int) -> None:
    path = tmp_path / f"weights{suffix}"
    save_file(WEIGHTS, path) if suffix == ".safetensors" else torch.save(WEIGHTS, path)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(CheckpointError, match="damaged"):
        read_state_file(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param({"a": 3}, "int under 'a'", id="number"),
        pytest.param({1: torch.zeros(1)}, "under 1", id="no name"),
        pytest.param([torch.zeros(1)], "holds list", id="list"),
        pytest.param({}, "without entries", id="empty"),
        pytest.param({"state_dict": {}}, "without entries", id="empty inside"),
    ],
)
def test_read_state_file__no_tensors_by_name(tmp_path: Path, content: object, words: str) -> None:
    path = tmp_path / "weights.pt"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=words):
        read_state_file(path)


def test_read_state_file__missing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a file"):
        read_state_file(tmp_path)

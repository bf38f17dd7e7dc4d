"""Reference vectors computed with the original authors' code; not part of this repository."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

REPOSITORY = Path(__file__).resolve().parents[2]


class GoldenCase:
    """The arrays of one case as tensors: ``case.input("x")``, ``case.output("loss")`` and so on."""

    def __init__(self, arrays: "np.lib.npyio.NpzFile", case: str) -> None:
        self.arrays = arrays
        self.case = case

    def _read(self, section: str, name: str) -> Tensor:
        return torch.from_numpy(self.arrays[f"{self.case}/{section}/{name}"])

    def input(self, name: str) -> Tensor:
        return self._read("in", name)

    def output(self, name: str) -> Tensor:
        return self._read("out", name)

    def gradient(self, name: str) -> Tensor:
        return self._read("grad", name)

    def weight(self, name: str) -> Tensor:
        return self._read("w", name)

    def setting(self, name: str) -> float:
        return float(self._read("hp", name))

    def names(self, section: str) -> list[str]:
        prefix = f"{self.case}/{section}/"
        return [key.removeprefix(prefix) for key in self.arrays if key.startswith(prefix)]


@pytest.fixture(scope="session")
def golden() -> Callable[[str], GoldenCase]:
    shared = Path(os.environ.get("FEATKD_SHARED", REPOSITORY.parent / "shared"))
    path = shared / "golden" / "kd_losses.npz"
    if not path.is_file():
        pytest.skip(f"reference vectors are not at {path}; set FEATKD_SHARED")
    arrays = np.load(path, allow_pickle=False)

    def load(case: str) -> GoldenCase:
        return GoldenCase(arrays, case)

    return load

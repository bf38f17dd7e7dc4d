"""How extraction computes: precision, several devices, number formats, frames beside features."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from featkd.cache import FolderStore
from featkd.errors import UsageError
from featkd.experiment import Workspace
from featkd.extract import extract

MakeWorkspace = Callable[..., Workspace]


def extracted_with(
    folder: Path, source: Path, make_workspace: MakeWorkspace, *settings: str
) -> dict[str, torch.Tensor]:
    """Arrays that the teacher of ``source`` gives with other settings."""
    workspace = make_workspace(folder, *settings)
    (folder / "teacher").symlink_to(source / "teacher")
    extract(workspace)
    return arrays_of(folder)


def arrays_of(folder: Path) -> dict[str, torch.Tensor]:
    with FolderStore.open(folder / "cache") as store:
        names = [array.name for layer in store.layers().values() for array in layer.arrays]
        return {name: store.read_rows(name, range(store.num_rows)) for name in names}


def test_devices__share_the_work_and_change_nothing(
    tmp_path: Path, extracted: Path, make_workspace: MakeWorkspace
) -> None:
    found = extracted_with(tmp_path, extracted, make_workspace, "extract.devices=[cpu, cpu, cpu]")
    expected = arrays_of(extracted)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert torch.equal(found[name], values), name


def test_devices__unknown_one(
    tmp_path: Path, extracted: Path, make_workspace: MakeWorkspace
) -> None:
    with pytest.raises(UsageError, match=r"extract\.devices is \['cpu', 'abacus'\]"):
        extracted_with(tmp_path, extracted, make_workspace, "extract.devices=[cpu, abacus]")


def test_precision__is_used_and_near(
    tmp_path: Path, extracted: Path, make_workspace: MakeWorkspace
) -> None:
    found = extracted_with(tmp_path, extracted, make_workspace, "extract.precision=bfloat16")
    expected = arrays_of(extracted)
    assert not torch.equal(found["logits"], expected["logits"])
    torch.testing.assert_close(found["logits"], expected["logits"], atol=0.05, rtol=0.05)
    assert torch.equal(found["view_crc32"], expected["view_crc32"])


@pytest.mark.parametrize("backend", ["zarr", "hdf5"])
def test_codecs__by_tap(
    tmp_path: Path, extracted: Path, make_workspace: MakeWorkspace, backend: str
) -> None:
    settings = (
        f"extract.backend={backend}",
        "extract.dtype=float16",
        "extract.taps=[Mixed_5c.pooled]",
        "extract.codecs={Mixed_5c.full: {dtype: scaled_uint8}}",
    )
    found = extracted_with(tmp_path, extracted, make_workspace, *settings)
    expected = arrays_of(extracted)["features/Mixed_5c.full"]
    error = (found["features/Mixed_5c.full"] - expected).norm() / expected.norm()
    assert 0 < error < 0.01
    assert found["features/Mixed_5c.pooled"].dtype == torch.float16
    summary = extract(make_workspace(tmp_path, *settings))
    assert summary.num_computed == 0
    errors = summary.codec_errors
    assert 0 < errors["features/Mixed_5c.full"].relative_l2 < 0.01
    assert 0 < errors["features/Mixed_5c.pooled"].relative_l2 < 1e-3
    assert errors["logits"].relative_l2 == 0

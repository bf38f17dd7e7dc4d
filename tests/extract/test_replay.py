"""Replay tells rows that no longer come out as they are stored, and why."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from featkd.cache import FolderStore
from featkd.errors import CacheIncompleteError, FingerprintError
from featkd.experiment import FrozenTeacher, Workspace
from featkd.extract import extract
from featkd.extract.replay import RELATIVE_L2_TOLERANCE, replay
from featkd.models import save_network

MakeWorkspace = Callable[..., Workspace]


@pytest.fixture
def work(tmp_path: Path, extracted: Path) -> Path:
    shutil.copytree(extracted, tmp_path / "work")
    return tmp_path / "work"


def rewrite(cache: Path, array: str, change: Callable[[np.ndarray], None]) -> None:
    """Store other values in part 0 as if the teacher had said them."""
    with FolderStore.open_for_writing(cache) as store:
        rows = store.part_range(0)
        arrays = {
            spec.name: store.read_rows(spec.name, rows).numpy()
            for spec in store.layers()["teacher"].arrays
        }
        change(arrays[array])
        store.retract_part("teacher", 0)
        store.write_part("teacher", 0, arrays, {}, {})


def test_replay__of_a_sound_cache_is_exact(extracted: Path, make_workspace: MakeWorkspace) -> None:
    found = replay(make_workspace(extracted), num_rows=7, seed=3)
    assert (found.num_rows, found.different) == (7, ())
    assert set(found.num_exact.values()) == {7}
    assert set(found.worst_relative_l2.values()) == {0.0}
    assert {"logits", "view_crc32", "frames_crc32", "features/Mixed_5c.full"} <= set(
        found.num_exact
    )


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(
            ("extract.dtype=scaled_uint8", "extract.frames={size: 32}", "extract.backend=hdf5"),
            id="frames",
        ),
        pytest.param(
            ("extract.dtype=float8_e4m3", "extract.frames={size: 24, image: jpeg}"), id="jpeg"
        ),
    ],
)
def test_replay__passes_answers_through_the_number_format(
    work: Path, make_workspace: MakeWorkspace, settings: tuple[str, ...]
) -> None:
    shutil.rmtree(work / "cache")
    workspace = make_workspace(work, *settings)
    extract(workspace)
    found = replay(workspace, num_rows=100)
    assert (found.num_rows, found.different) == (24, ())
    assert found.worst_relative_l2["features/Mixed_5c.full"] == 0
    jpeg = "frames/24.jpeg"
    assert (jpeg in found.worst_relative_l2) == ("jpeg" in settings[-1])
    if jpeg in found.worst_relative_l2:
        assert 0 < found.worst_relative_l2[jpeg] < 0.1
    else:
        assert set(found.num_exact.values()) == {24}


@pytest.mark.parametrize(
    ("array", "change", "problem"),
    [
        pytest.param(
            "features/Mixed_5c.full",
            lambda values: np.multiply(values, 1.001, out=values),
            "features/Mixed_5c.full is 0.001 away from what is stored",
            id="features",
        ),
        pytest.param(
            "view_crc32",
            lambda values: np.bitwise_xor(values, 1, out=values),
            "view_crc32 is 0x",
            id="view",
        ),
        pytest.param(
            "frames_crc32",
            lambda values: np.bitwise_xor(values, 1, out=values),
            "frames_crc32 is 0x",
            id="frames",
        ),
    ],
)
def test_replay__names_rows_that_differ(
    work: Path,
    make_workspace: MakeWorkspace,
    array: str,
    change: Callable[[np.ndarray], None],
    problem: str,
) -> None:
    rewrite(work / "cache", array, change)
    found = replay(make_workspace(work), num_rows=24)
    assert [item.row for item in found.different] == [0, 1, 2, 3, 4]
    assert all(item.problem.startswith(problem) for item in found.different)
    assert found.num_exact[array] == 19
    assert found.num_exact["logits"] == 24


def test_replay__small_differences_of_another_machine_pass(
    work: Path, make_workspace: MakeWorkspace
) -> None:
    rewrite(
        work / "cache", "logits", lambda values: np.multiply(values, 1 + 3e-5, out=values)
    )  # fmt: skip
    found = replay(make_workspace(work), num_rows=24)
    assert found.different == ()
    assert found.num_exact["logits"] == 19
    assert 1e-5 < found.worst_relative_l2["logits"] < RELATIVE_L2_TOLERANCE["float32"]


def test_replay__a_video_that_is_gone(work: Path, make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(work)
    clip = workspace.train_clips()[3]
    clip.path.unlink()
    found = replay(workspace, num_rows=24)
    assert [(item.row, item.video_id) for item in found.different] == [
        (6, clip.video_id),
        (7, clip.video_id),
    ]
    assert all("does not render any more" in item.problem for item in found.different)


def test_replay__leaves_out_rows_without_data(work: Path, make_workspace: MakeWorkspace) -> None:
    with FolderStore.open_for_writing(work / "cache") as store:
        for part in (1, 2, 3, 4):
            store.retract_part("teacher", part)
    workspace = make_workspace(work)
    assert replay(workspace, num_rows=24).num_rows == 5
    with FolderStore.open_for_writing(work / "cache") as store:
        store.retract_part("teacher", 0)
    with pytest.raises(CacheIncompleteError, match="no row with data to replay"):
        replay(workspace, num_rows=24)


def test_replay__another_teacher_is_refused(work: Path, make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(work)
    teacher = FrozenTeacher(workspace)
    with torch.no_grad():
        teacher.network.backbone.logits.conv3d.bias[0] += 1
    save_network(work / "teacher" / "model.safetensors", teacher.network, teacher.card)
    with pytest.raises(FingerprintError, match=r"teacher\.weights_sha256 is '[0-9a-f]{64}' in"):
        replay(workspace, num_rows=2)

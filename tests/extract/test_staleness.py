"""A cache of anything but what the recipe says is refused at training, by field and both values."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from featkd.cache.copy import copy_cache
from featkd.cache.folder_store import FolderStore
from featkd.errors import FingerprintError, UsageError
from featkd.experiment import FrozenTeacher, Workspace, distill, represent
from featkd.manifest import Manifest, write_manifest
from featkd.models import save_network
from featkd.video import read_frames

MakeWorkspace = Callable[..., Workspace]
Open = Callable[..., Workspace]

ONE_EPOCH = "student.training.num_epochs=1"


@pytest.fixture(scope="module")
def represented(
    extracted: Path, make_workspace: MakeWorkspace, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("represented") / "work"
    shutil.copytree(extracted, folder)
    represent(make_workspace(folder))
    return folder


@pytest.fixture
def open_work(represented: Path, tmp_path: Path, make_workspace: MakeWorkspace) -> Open:
    """A workspace of its own whose cache is the one that was extracted."""
    shutil.copytree(represented / "data", tmp_path / "data")
    shutil.copytree(represented / "teacher", tmp_path / "teacher")
    (tmp_path / "cache").symlink_to(represented / "cache")
    return lambda *settings: make_workspace(tmp_path, ONE_EPOCH, *settings)


def refusal(field: str, cached: object, expected: object) -> str:
    return re.escape(f"{field} is {cached!r} in the cache, but {expected!r} is expected")


def assert_allowed(workspace: Workspace, name: str, field: str) -> None:
    """Training goes on where the field is allowed to differ, and says so in its summary."""
    assert distill(workspace, name, 0, allowed=[field])
    summary = json.loads((workspace.student_folder(name, 0) / "summary.json").read_text())
    assert [item["field"] for item in summary["allowed_mismatches"]] == [field]


@pytest.mark.parametrize(
    ("name", "settings", "field", "cached", "expected"),
    [
        pytest.param(
            "kd",
            ("views.train.num_frames=12", "views.evaluate.num_frames=12"),
            "views.num_frames",
            16,
            12,
            id="clip length",
        ),
        pytest.param(
            "kd", ("views.train.frame_stride=2",), "views.frame_stride", 1, 2, id="stride"
        ),
        pytest.param(
            "kd",
            ("views.train.crop_scales=[1.0]",),
            "views.crop_scales",
            [1.0, 0.875, 0.75, 0.66],
            [1.0],
            id="crop",
        ),
        pytest.param(
            "kd",
            ("views.train.horizontal_flip=true",),
            "views.horizontal_flip",
            False,
            True,
            id="flip",
        ),
        pytest.param("kd", ("seed=7",), "views.seed", 0, 7, id="seed"),
        pytest.param("kd", ("data.train_split=val",), "manifest.split", "train", "val", id="split"),
        pytest.param(
            "kd",
            ("extract.codecs={logits: {dtype: float16}}",),
            "codec.logits",
            "float32",
            "float16",
            id="codec",
        ),
        pytest.param(
            "generative",
            ("extract.dtype=float16",),
            "representation.codec",
            "float32",
            "float16",
            id="codec of maps",
        ),
        pytest.param(
            "generative",
            ("representation.num_epochs=2",),
            "representation.num_epochs",
            1,
            2,
            id="representation",
        ),
        pytest.param(
            "kd",
            ("extract.precision=bfloat16",),
            "teacher.precision",
            "float32",
            "bfloat16",
            id="precision",
        ),
    ],
)
def test_distill__another_setting_is_named(
    open_work: Open,
    name: str,
    settings: tuple[str, ...],
    field: str,
    cached: object,
    expected: object,
) -> None:
    workspace = open_work(*settings)
    with pytest.raises(FingerprintError, match=refusal(field, cached, expected)):
        distill(workspace, name, 0)
    if field in {"views.num_frames", "views.frame_stride", "views.seed"}:
        with pytest.raises(FingerprintError, match="frames_crc32 of row"):  # a second net
            distill(workspace, name, 0, allowed=[field])
    elif field in {"codec.logits", "representation.num_epochs"}:
        assert_allowed(workspace, name, field)


def test_distill__one_bit_of_the_teachers_weights(open_work: Open, tmp_path: Path) -> None:
    workspace = open_work()
    before = FrozenTeacher(workspace).weights_sha256
    path = tmp_path / "teacher" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    after = FrozenTeacher(workspace).weights_sha256
    with pytest.raises(
        FingerprintError, match=refusal("teacher.weights_sha256", before, after)
    ):  # fmt: skip
        distill(workspace, "kd", 0)
    assert_allowed(workspace, "kd", "teacher.weights_sha256")


@pytest.mark.parametrize(
    ("key", "cached", "expected"),
    [
        pytest.param("size", 32, 40, id="size"),
        pytest.param("mean", [0.5, 0.5, 0.5], [0.5, 0.5, 0.4375], id="mean"),
        pytest.param("std", [0.5, 0.5, 0.5], [0.5, 0.5, 0.4375], id="std"),
    ],
)
def test_distill__the_teachers_preprocessing(
    open_work: Open, tmp_path: Path, key: str, cached: object, expected: object
) -> None:
    workspace = open_work()
    teacher = FrozenTeacher(workspace)
    preprocess = type(teacher.card.preprocess).model_validate(
        {**teacher.card.preprocess.model_dump(), key: expected}
    )
    card = teacher.card.model_copy(update={"preprocess": preprocess})
    save_network(tmp_path / "teacher" / "model.safetensors", teacher.network, card)
    with pytest.raises(FingerprintError, match=refusal(f"preprocess.{key}", cached, expected)):
        distill(workspace, "kd", 0)


def test_distill__a_row_of_the_manifest(open_work: Open) -> None:
    workspace = open_work()
    before = workspace.manifest
    table = before.table.copy()
    label = (int(table.loc[0, "label"]) + 1) % len(before.header.classes)
    table.loc[0, ["label", "class_name"]] = [label, before.header.classes[label]]
    write_manifest(Manifest(before.header, table, before.root), workspace.recipe.data.manifest)
    workspace = Workspace(workspace.recipe)
    with pytest.raises(
        FingerprintError,
        match=refusal("manifest.digest", before.digest, workspace.manifest.digest),
    ):
        distill(workspace, "kd", 0)


def test_distill__a_tap_that_the_cache_lacks(open_work: Open) -> None:
    workspace = open_work("distillers.at.layers=[Mixed_4e, Mixed_5c]")
    lacking = ("features/Mixed_4e.spatial_attention",)
    with pytest.raises(
        FingerprintError, match=re.escape(f"but {lacking!r} is expected; what is missing is added")
    ) as refused:
        distill(workspace, "at", 0)
    assert "teacher.taps is (" in str(refused.value)
    with pytest.raises(UsageError, match=r"teacher\.taps cannot be allowed.*featkd extract"):
        distill(workspace, "at", 0, allowed=["teacher.taps"])


def test_distill__views_that_the_cache_lacks(open_work: Open) -> None:
    workspace = open_work("views.train.num_views=3")
    with pytest.raises(FingerprintError, match=refusal("views.num_views", 2, 3)):
        distill(workspace, "kd", 0)
    with pytest.raises(UsageError, match=r"views\.num_views cannot be allowed"):
        distill(workspace, "kd", 0, allowed=["views.num_views"])


def test_distill__an_unknown_field_cannot_be_allowed(open_work: Open) -> None:
    with pytest.raises(UsageError, match=r"'views\.sed' is no field of the fingerprint"):
        distill(open_work(), "kd", 0, allowed=["views.sed"])


def test_distill__other_frames_from_the_decoder(
    open_work: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_pixel_off(*arguments: object) -> np.ndarray:
        frames = read_frames(*arguments)
        frames[0, 0, 0, 0] ^= 1
        return frames

    workspace = open_work()
    # featkd.video.render is the function of that name, too.
    monkeypatch.setattr(sys.modules["featkd.video.render"], "read_frames", one_pixel_off)
    with pytest.raises(
        FingerprintError,
        match=r"frames_crc32 of row \d+ \(video '.*', view 0\) is 0x[0-9a-f]{8} in the cache, but "
        r".*\.mp4 decodes to 0x[0-9a-f]{8}",
    ):
        distill(workspace, "kd", 0)
    assert_allowed(workspace, "kd", "frames_crc32")


def test_distill__another_video_of_the_same_name(open_work: Open) -> None:
    workspace = open_work()
    clips = workspace.train_clips()
    shutil.copy(clips[5].path, clips[4].path)
    with pytest.raises(FingerprintError, match=rf"frames_crc32 .*{clips[4].video_id}"):
        distill(workspace, "kd", 0)


def test_distill__a_subset_of_the_videos(
    represented: Path, tmp_path: Path, open_work: Open
) -> None:
    workspace = open_work()
    (tmp_path / "cache").unlink()
    with FolderStore.open(represented / "cache") as source:
        copy_cache(
            source, tmp_path / "cache", backend="zarr", compression="zstd", rows=range(16)
        ).close()
    with pytest.raises(FingerprintError, match=refusal("rows.videos", 8, 12)):
        distill(workspace, "kd", 0)
    assert_allowed(workspace, "kd", "rows.videos")
    summary = json.loads((workspace.student_folder("kd", 0) / "summary.json").read_text())
    assert summary["num_clips"] == 8

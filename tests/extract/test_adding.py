"""A cache grows by taps, views and frames, and shrinks; what is there is not written again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from featkd.cache import FolderStore
from featkd.cache.copy import copy_cache
from featkd.cache.verify import verify
from featkd.errors import CacheError, FingerprintError
from featkd.experiment import Workspace, distill, represent
from featkd.extract import extract
from featkd.video import render_clip

MakeWorkspace = Callable[..., Workspace]
Mark = tuple[int, int]
Values = dict[tuple[str, str, int], torch.Tensor]

TAP = "extract.taps=[Mixed_4f.pooled]"
THREE_VIEWS = "views.train.num_views=3"


@pytest.fixture(scope="module")
def at_once(
    extracted: Path, make_workspace: MakeWorkspace, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A cache with a further tap and view, extracted in one go; do not change it."""
    folder = tmp_path_factory.mktemp("at_once") / "work"
    shutil.copytree(extracted, folder, ignore=shutil.ignore_patterns("cache"))
    extract(make_workspace(folder, TAP, THREE_VIEWS))
    return folder


BOTH_BACKENDS = pytest.mark.parametrize("work", ["zarr", "hdf5"], indirect=True)


@pytest.fixture
def work(request: pytest.FixtureRequest, tmp_path: Path, extracted: Path) -> Path:
    """A copy of the extracted experiment, to be changed, its cache in Zarr unless asked."""
    folder = tmp_path / "work"
    if getattr(request, "param", "zarr") == "zarr":
        shutil.copytree(extracted, folder)
        return folder
    shutil.copytree(extracted, folder, ignore=shutil.ignore_patterns("cache"))
    with FolderStore.open(extracted / "cache") as store:
        copy_cache(store, folder / "cache", backend="hdf5", compression="gzip").close()
    return folder


def marks(cache: Path) -> dict[str, Mark]:
    """Every file of arrays, records, modules and rows."""
    return {
        path.relative_to(cache).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for folder in ("arrays", "commits", "modules", "rows")
        for path in (cache / folder).rglob("*")
        if path.is_file() and path.name != "zarr.json"
    }


def is_untouched(before: dict[str, Mark], after: dict[str, Mark]) -> bool:
    return all(after.get(name) == mark for name, mark in before.items())


def values(folder: Path) -> Values:
    """By array, video and view."""
    with FolderStore.open(folder / "cache") as store:
        table = store.rows
        keys = list(zip(table["video_id"], table["view_index"].tolist(), strict=True))
        return {
            (array.name, *key): value
            for layer in store.layers().values()
            for array in layer.arrays
            for key, value in zip(
                keys, store.read_rows(array.name, table["row"].tolist()), strict=True
            )
        }


def assert_equal(found: Values, expected: Values) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(found[key], value), key


@pytest.mark.parametrize(
    ("work", "first"), [("zarr", "tap"), ("zarr", "view"), ("hdf5", "tap")], indirect=["work"]
)
def test_extract__adds_a_tap_and_a_view(
    work: Path, at_once: Path, make_workspace: MakeWorkspace, first: str
) -> None:
    before = marks(work / "cache")
    # The second time, the recipe need not name what is there already.
    settings, then = ((TAP,), (THREE_VIEWS,)) if first == "tap" else ((THREE_VIEWS,), (TAP,))
    more = then if first == "tap" else (*settings, *then)

    extract(make_workspace(work, *settings))
    between = marks(work / "cache")
    assert is_untouched(before, between)
    extract(make_workspace(work, *more))
    assert is_untouched(between, marks(work / "cache"))
    assert_equal(values(work), values(at_once))
    assert verify(work / "cache").damages == ()
    assert extract(make_workspace(work, TAP, THREE_VIEWS)).num_computed == 0
    with FolderStore.open(work / "cache") as store:
        assert list(store.layers()) == ["teacher", "teacher-2"]
        assert store.layout.block_rows == (24, 12)


def test_extract__adds_only_what_is_missing(work: Path, make_workspace: MakeWorkspace) -> None:
    before = marks(work / "cache")
    summary = extract(make_workspace(work, TAP))
    added = marks(work / "cache").keys() - before.keys()
    assert summary.num_computed == 24
    assert {name.split("/")[1] for name in added if name.startswith("commits")} == {"teacher-2"}
    assert all("Mixed_4f.pooled" in name for name in added if name.startswith("arrays"))


def test_extract__adds_frames(work: Path, make_workspace: MakeWorkspace) -> None:
    before = marks(work / "cache")
    workspace = make_workspace(work, "extract.frames={size: 24}")
    extract(workspace)
    assert is_untouched(before, marks(work / "cache"))
    clips, spec = workspace.train_clips(), workspace.recipe.views.train
    with FolderStore.open(work / "cache") as store:
        assert [a.name for a in store.layers()["teacher-2"].arrays] == ["frames/24"]
        for row in (0, 9, 23):
            clip = clips[row // 2]
            (pixels,) = render_clip(
                clip, spec.draw(seed=0, clip=clip, view_index=row % 2), [24]
            ).pixels
            assert torch.equal(store.read_rows("frames/24", [row])[0], pixels)
    with pytest.raises(CacheError, match=r"lacks parts of frames/24.*set extract\.frames"):
        extract(make_workspace(work, THREE_VIEWS))


def test_extract__adds_nothing_from_another_video(
    work: Path, make_workspace: MakeWorkspace
) -> None:
    workspace = make_workspace(work, TAP)
    clips = workspace.train_clips()
    shutil.copy(clips[5].path, clips[4].path)
    before = marks(work / "cache")
    with pytest.raises(FingerprintError, match=rf"frames_crc32 of row 8 .*{clips[4].video_id}"):
        extract(workspace)
    assert is_untouched(before, marks(work / "cache"))
    with FolderStore.open(work / "cache") as store:
        assert 1 not in store.committed_parts("teacher-2")  # part 0 was sound


def test_represent__writes_only_the_new_rows_attention(
    work: Path, make_workspace: MakeWorkspace
) -> None:
    represent(make_workspace(work))
    before, attention = marks(work / "cache"), values(work)
    workspace = make_workspace(work, THREE_VIEWS)
    extract(workspace)
    assert represent(workspace)
    after = marks(work / "cache")
    assert is_untouched(before, after)
    new = {name for name in after.keys() - before.keys() if "representation" in name}
    assert {Path(name).name for name in new} == {
        f"{part:06d}.json" for part in (5, 6, 7)
    }  # fmt: skip
    found = values(work)
    assert all(torch.equal(found[key], value) for key, value in attention.items())
    assert sum(key[0] == "attention/Mixed_5c" for key in found) == 36
    assert not represent(workspace)
    assert distill(workspace, "generative", 0)


@BOTH_BACKENDS
def test_remove_arrays__deletes_these_and_nothing_else(
    work: Path, at_once: Path, make_workspace: MakeWorkspace
) -> None:
    extract(make_workspace(work, TAP))
    before = marks(work / "cache")
    names = ["features/Mixed_4f.pooled", "features/Mixed_3c.spatial_attention"]
    with FolderStore.open_for_writing(work / "cache") as store:
        store.remove_arrays(names)
        assert list(store.layers()) == ["teacher"]
    after = marks(work / "cache")
    gone = before.keys() - after.keys()
    assert gone == {
        name
        for name in before
        if name.startswith(("commits/teacher-2", *(f"arrays/{array}" for array in names)))
    }
    assert is_untouched({name: before[name] for name in after}, after)
    for name in names:
        assert not (work / "cache" / "arrays" / name).exists()
    assert verify(work / "cache").damages == ()
    extract(make_workspace(work, TAP))  # and they can be made again
    assert is_untouched(after, marks(work / "cache"))
    expected = {key: value for key, value in values(at_once).items() if key[2] < 2}
    assert_equal(values(work), expected)


def test_grown_cache__keeps_its_compression(work: Path, make_workspace: MakeWorkspace) -> None:
    represent(make_workspace(work))
    workspace = make_workspace(work, THREE_VIEWS, "extract.compression=zstd")
    assert extract(workspace).num_computed > 0
    assert represent(workspace)
    with FolderStore.open(work / "cache") as store:
        for name, layer in store.layers().items():
            assert {array.compression for array in layer.arrays} == {"lz4"}
            assert len(store.committed_parts(name)) == store.num_parts


def test_copy_cache__of_a_grown_cache_is_trained_on(
    work: Path, make_workspace: MakeWorkspace
) -> None:
    settings = (THREE_VIEWS, "student.training.num_epochs=1")
    workspace = make_workspace(work, *settings)
    extract(workspace)
    represent(workspace)
    expected = values(work)
    with FolderStore.open(work / "cache") as store:
        other = "hdf5" if store.backend == "zarr" else "zarr"
        copy_cache(store, work / "converted", backend=other, compression="gzip").close()
        classes = workspace.manifest.header.classes
        videos = [f"train_{name}_000{number}" for name in classes for number in (1, 2)]
        table = store.rows
        rows = table["row"][table["video_id"].isin(videos)].tolist()
        copy_cache(store, work / "exported", backend="zarr", compression="zstd", rows=rows).close()
    shutil.rmtree(work / "cache")
    (work / "converted").rename(work / "cache")
    assert_equal(values(work), expected)
    assert extract(workspace).num_computed == 0
    assert not represent(workspace)
    assert distill(workspace, "generative", 0)

    shutil.rmtree(work / "cache")
    (work / "exported").rename(work / "cache")
    found = values(work)
    assert len(found) == len(expected) // 2
    assert all(torch.equal(value, expected[key]) for key, value in found.items())
    with pytest.raises(FingerprintError, match=r"rows\.videos is 6 in the cache, but 12"):
        distill(workspace, "generative", 1)
    assert distill(workspace, "generative", 1, allowed=["rows.videos"])
    summary = json.loads((work / "students/generative-seed1/summary.json").read_text())
    assert summary["num_clips"] == 6
    assert summary["allowed_mismatches"] == [{"field": "rows.videos", "cached": 6, "expected": 12}]

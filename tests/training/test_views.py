import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from featkd.errors import FingerprintError, VideoError
from featkd.experiment import Workspace
from featkd.training.views import LoadingSpec, RenderedViews, epoch_pairs
from featkd.types import Clip
from featkd.video import TrainingViews, read_frames


@pytest.fixture(scope="module")
def workspace(
    tmp_path_factory: pytest.TempPathFactory, make_workspace: Callable[..., Workspace]
) -> Workspace:
    return make_workspace(tmp_path_factory.mktemp("views"))


@given(st.integers(1, 50), st.integers(1, 5), st.integers(1, 20), st.integers(0, 3))
def test_epoch_pairs__every_sample_once_with_the_view_of_the_epoch(
    num_samples: int, num_views: int, epoch: int, seed: int
) -> None:
    samples = list(range(100, 100 + num_samples))
    pairs = epoch_pairs(samples, num_views=num_views, epoch=epoch, seed=seed)
    assert sorted(sample for sample, _ in pairs) == samples
    assert {view for _, view in pairs} == {(epoch - 1) % num_views}
    assert pairs == epoch_pairs(samples, num_views=num_views, epoch=epoch, seed=seed)


def test_rendered_views__same_pixels_with_and_without_memory(
    extracted: Path, make_workspace: Callable[..., Workspace]
) -> None:
    workspace = make_workspace(extracted)
    spec = workspace.recipe.views.train

    def make(memory_gib: float) -> RenderedViews:
        loading = LoadingSpec(memory_gib=memory_gib)
        clips = workspace.train_clips()
        return RenderedViews(clips, spec, seed=0, sizes=(32, 16), loading=loading)

    kept, fresh = make(1.0), make(0.0)
    pairs = [(0, 0), (1, 1), (2, 0), (0, 0), (3, 1)]
    for first, second in zip(
        kept.batches(pairs, batch_size=2, drop_last=False),
        fresh.batches(pairs, batch_size=2, drop_last=False),
        strict=True,
    ):
        assert first.samples == second.samples
        assert set(first.clips) == {32, 16}
        assert all(torch.equal(first.clips[s], second.clips[s]) for s in (32, 16))
    assert len(kept._decoded) == 4
    assert not fresh._decoded
    assert len(list(kept.batches(pairs, batch_size=2, drop_last=True))) == 2


def test_rendered_views__a_missing_file_is_an_error(tmp_path: Path) -> None:
    clip = Clip("gone", tmp_path / "gone.mp4", 0, 24, 40, 40, 24.0)
    spec = TrainingViews(num_frames=8)
    views = RenderedViews([clip], spec, seed=0, sizes=(16,), loading=LoadingSpec())
    with pytest.raises(VideoError, match=r"gone\.mp4"):
        list(views.batches([(0, 0)], batch_size=1, drop_last=False))


def views_of_three_clips(
    workspace: Workspace, sizes: tuple[int, ...] = (16,), memory_gib: float = 1.0
) -> RenderedViews:
    clips = workspace.train_clips()[:3]
    loading = LoadingSpec(memory_gib=memory_gib)
    spec = workspace.recipe.views.train
    return RenderedViews(clips, spec, seed=0, sizes=sizes, loading=loading)


def frames_crc32(views: RenderedViews, sample: int, view_index: int) -> int:
    clip = views.clips[sample]
    view = views.spec.draw(seed=0, clip=clip, view_index=view_index)
    return zlib.crc32(read_frames(clip, view.frame_indices).tobytes())


def test_rendered_views__check_sees_the_frames_whatever_the_size(workspace: Workspace) -> None:
    seen: list[tuple[int, int, int]] = []
    for size in (16, 32):
        views = views_of_three_clips(workspace, (size,))
        views.check = lambda *found: seen.append(found)
        views.render(2, 1)
    assert seen == [(2, 1, frames_crc32(views, 2, 1))] * 2


@pytest.mark.parametrize(("memory_gib", "times"), [(1.0, 1), (0.0, 2)])
def test_rendered_views__check_sees_every_decoding(
    workspace: Workspace, memory_gib: float, times: int
) -> None:
    views = views_of_three_clips(workspace, memory_gib=memory_gib)
    seen: list[tuple[int, int, int]] = []
    views.check = lambda *found: seen.append(found)
    views.render(0, 1)
    views.render(0, 1)
    assert len(seen) == times


def test_rendered_views__a_new_check_sees_what_is_kept_in_memory(workspace: Workspace) -> None:
    views = views_of_three_clips(workspace)
    views.render(0, 0)  # before anybody checks, as when a teacher was trained on the same views
    seen: list[str] = []
    for name in ("first", "second"):
        views.check = lambda *_, name=name: seen.append(name)
        views.render(0, 0)
        views.render(0, 0)
    assert seen == ["first", "second"]


def test_rendered_views__what_a_check_refuses_is_never_given_out(workspace: Workspace) -> None:
    views = views_of_three_clips(workspace)

    def refuse(sample: int, view_index: int, frames_crc32: int) -> None:
        raise FingerprintError(f"{sample}, {view_index}")

    views.check = refuse
    for _ in range(2):
        with pytest.raises(FingerprintError, match="1, 0"):
            list(views.batches([(1, 0)], batch_size=1, drop_last=False))
    assert not views._decoded


def test_rendered_views__frames_of_a_source_replace_decoding(workspace: Workspace) -> None:
    views = views_of_three_clips(workspace)
    (decoded,) = views.render(0, 0)
    stored, asked, checked = torch.full_like(decoded, 7), [], []

    def frames(sample: int, view_index: int) -> torch.Tensor | None:
        asked.append((sample, view_index))
        return stored if view_index == 0 else None

    views.check = lambda *found: checked.append(found[:2])
    views.frames = frames
    for _ in range(2):
        assert torch.equal(views.render(0, 0)[0], stored), "not even where it was decoded before"
        assert torch.equal(views.render(1, 0)[0], stored)
        assert not torch.equal(views.render(1, 1)[0], stored)
    assert asked == [(0, 0), (1, 0), (1, 1), (1, 1)]
    assert checked == [(1, 1)]
    views.frames = None
    assert torch.equal(views.render(0, 0)[0], decoded)


def test_rendered_views__several_sizes_are_always_decoded(workspace: Workspace) -> None:
    views = views_of_three_clips(workspace, (16, 32))
    views.frames = lambda sample, view_index: torch.zeros(3, 16, 16, 16, dtype=torch.uint8)
    assert [pixels.shape[-1] for pixels in views.render(0, 0)] == [16, 32]
    assert views.render(0, 0)[0].any()


def test_rendered_views__given_and_decoded_views_share_the_memory(workspace: Workspace) -> None:
    view_bytes = 3 * 16 * 16 * 16
    views = views_of_three_clips(workspace, memory_gib=2.5 * view_bytes / 2**30)
    given = torch.ones(3, 16, 16, 16, dtype=torch.uint8)
    views.frames = lambda sample, view_index: given if sample == 0 else None
    for pair in [(1, 0), (0, 0), (2, 0), (0, 1), (1, 0)]:
        views.render(*pair)
    assert (set(views._decoded), set(views._given)) == ({(1, 0)}, {(0, 0)})

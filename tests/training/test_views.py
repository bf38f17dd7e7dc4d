from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from featkd.errors import VideoError
from featkd.experiment import Workspace
from featkd.training.views import LoadingSpec, RenderedViews, epoch_pairs
from featkd.types import Clip
from featkd.video import TrainingViews


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
    assert len(kept._kept) == 4
    assert not fresh._kept
    assert len(list(kept.batches(pairs, batch_size=2, drop_last=True))) == 2


def test_rendered_views__a_missing_file_is_an_error(tmp_path: Path) -> None:
    clip = Clip("gone", tmp_path / "gone.mp4", 0, 24, 40, 40, 24.0)
    spec = TrainingViews(num_frames=8)
    views = RenderedViews([clip], spec, seed=0, sizes=(16,), loading=LoadingSpec())
    with pytest.raises(VideoError, match=r"gone\.mp4"):
        list(views.batches([(0, 0)], batch_size=1, drop_last=False))

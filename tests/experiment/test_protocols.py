"""Evaluation protocols against a slow loop over videos and views."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from featkd.experiment import Workspace, score_videos
from featkd.models import load_network, preprocess
from featkd.video import EvaluationViews, render_clip

MakeWorkspace = Callable[..., Workspace]


@pytest.mark.parametrize(
    ("protocol", "num_views"),
    [("num_frames: 16", 1), ("num_frames: 16, num_clips: 2, num_crops: 3, crop_scale: 0.8", 6)],
    ids=["centre", "2x3"],
)
def test_score_videos__is_the_mean_over_views(
    extracted: Path, make_workspace: MakeWorkspace, protocol: str, num_views: int
) -> None:
    workspace = make_workspace(extracted, f"views.evaluate={{{protocol}}}")
    weights = workspace.teacher_folder / "model.safetensors"
    scored = score_videos(workspace, weights, "test")

    card, network = load_network(weights)
    views: EvaluationViews = workspace.recipe.views.evaluate
    assert views.num_views == num_views
    clips = list(workspace.manifest.clips("test"))
    assert scored.video_ids == tuple(clip.video_id for clip in clips)
    for position, clip in enumerate(clips):
        logits = []
        for view_index in range(num_views):
            view = views.draw(seed=0, clip=clip, view_index=view_index)
            (pixels,) = render_clip(clip, view, [card.preprocess.size]).pixels
            with torch.inference_mode():
                inputs = preprocess(pixels[None], card.preprocess, torch.device("cpu"))
                logits.append(network(inputs).logits[0])
        probabilities = sum(each.softmax(dim=0) for each in logits) / num_views
        torch.testing.assert_close(scored.probabilities[position], probabilities, atol=1e-5, rtol=0)
        mean = sum(logits) / num_views
        torch.testing.assert_close(scored.logits[position], mean, atol=1e-4, rtol=1e-4)
        assert int(scored.labels[position]) == clip.label

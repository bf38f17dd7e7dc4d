"""Measuring a trained network on a split that it was not trained on."""

from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from featkd.cache import sha256_of_state_dict
from featkd.errors import UsageError
from featkd.evaluation import Accuracy, VideoScores, average_by_video, average_views
from featkd.experiment.workspace import Workspace, write_json
from featkd.models import load_network, place, preprocess, read_weights
from featkd.types import Progress, Silent

_BATCH_SIZE = 32

Clips = UInt8[Tensor, "batch channels time height width"]


def as_filmed(clips: Clips) -> Clips:
    """Clips as they are."""
    return clips


def middle_frame_repeated(clips: Clips) -> Clips:
    """Clips in which nothing moves: what is still recognised was not recognised by motion."""
    middle = clips.shape[2] // 2
    return clips[:, :, middle : middle + 1].expand_as(clips)


def evaluate(
    workspace: Workspace,
    weights: Path,
    split: str,
    *,
    show: Callable[[Clips], Clips] = as_filmed,
    progress: Progress | None = None,
) -> Accuracy:
    """Accuracy of saved weights on a split, the class probabilities of each video's views averaged.

    Args:
        workspace: recipe (manifest, evaluation views, device).
        weights: file saved by training.
        split: of the manifest.
        show: what the network gets to see of the rendered clips.
        progress: shows the work.

    Raises:
        FeatkdError: as `score_videos`.
    """
    return score_videos(workspace, weights, split, show=show, progress=progress).accuracy()


def score_videos(
    workspace: Workspace,
    weights: Path,
    split: str,
    *,
    show: Callable[[Clips], Clips] = as_filmed,
    progress: Progress | None = None,
) -> VideoScores:
    """What saved weights say of every video of a split, averaged over its evaluation views.

    Args:
        workspace: recipe (manifest, evaluation views, device, folder of flow).
        weights: file saved by training.
        split: of the manifest.
        show: what the network gets to see of the rendered clips.
        progress: shows the work.

    Raises:
        CheckpointError: the weights cannot be loaded.
        UsageError: they know other classes than the manifest, or the recipe lacks the flow that
            they see.
        VideoError: a video of the split cannot be decoded.
    """
    card, network = load_network(weights, factories=workspace.recipe.factories())
    manifest = workspace.manifest
    if card.classes != manifest.header.classes:
        raise UsageError(
            f"{weights} knows {len(card.classes)} classes that are not those of "
            f"{workspace.recipe.data.manifest}; expected the same names in the same order"
        )
    spec = workspace.recipe.views.evaluate
    views = workspace.rendered(split, spec, (card.preprocess.size,), card.preprocess.modality)
    shown = progress or Silent()
    samples = [sample for sample, clip in enumerate(views.clips) if clip.num_frames]
    if len(samples) < len(views.clips):
        shown.note(f"{len(views.clips) - len(samples)} videos of {split} have no readable frames")
    pairs = [(sample, view) for sample in samples for view in range(spec.num_views)]
    network = place(network, workspace.device)
    logits: list[Tensor] = []
    videos: list[int] = []
    batches = views.batches(pairs, batch_size=_BATCH_SIZE, drop_last=False)
    with torch.inference_mode():
        for batch in shown.track(
            batches,
            description=f"evaluate {weights.parent.name}",
            total=-(-len(pairs) // _BATCH_SIZE),
            unit="step",
        ):
            clips = show(batch.clips[card.preprocess.size])
            output = network(preprocess(clips, card.preprocess, workspace.device))
            logits.append(output.logits.float().cpu())
            videos.extend(batch.samples)
    position = {sample: index for index, sample in enumerate(samples)}
    all_logits, video_index = torch.cat(logits), torch.tensor([position[s] for s in videos])
    clips_scored = [views.clips[sample] for sample in samples]
    return VideoScores(
        classes=card.classes,
        video_ids=tuple(clip.video_id for clip in clips_scored),
        labels=torch.tensor([clip.label for clip in clips_scored]),
        probabilities=average_views(all_logits, video_index),
        logits=average_by_video(all_logits, video_index),
    )


def evaluate_run(
    workspace: Workspace, folder: Path, *, progress: Progress | None = None
) -> Accuracy:
    """Measure a run on the test split and write ``evaluation.json`` into its folder.

    Raises:
        FeatkdError: as `evaluate`.
    """
    split = workspace.recipe.data.test_split
    weights = folder / "model.safetensors"
    accuracy = evaluate(workspace, weights, split, progress=progress)
    record = {
        "split": split,
        **accuracy.to_json(),
        "views": workspace.recipe.views.evaluate.model_dump(mode="json"),
        "weights_sha256": sha256_of_state_dict(read_weights(weights)[1]),
        "classes": list(workspace.manifest.header.classes),
    }
    write_json(folder / "evaluation.json", record)
    return accuracy

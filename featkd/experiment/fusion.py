"""Two streams, or more: networks of several workspaces measured together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from featkd.evaluation import Accuracy, ScoreKind, fuse_scores, measure_accuracy
from featkd.experiment.evaluate import Clips, as_filmed, score_videos
from featkd.experiment.workspace import Workspace
from featkd.types import Progress


@dataclass(frozen=True)
class Stream:
    """One of the networks that are fused.

    Attributes:
        workspace: the recipe it was trained with; says where its frames come from.
        folder: its run folder.
        weight: how much it counts, beside the others.
    """

    workspace: Workspace
    folder: Path
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class FusedAccuracy:
    """Accuracies on the same videos.

    Attributes:
        streams: of each stream alone, in their order.
        fused: of the weighted mean of their scores.
    """

    streams: tuple[Accuracy, ...]
    fused: Accuracy


def evaluate_fused(
    streams: Sequence[Stream],
    split: str,
    *,
    kind: ScoreKind = "probabilities",
    show: Callable[[Clips], Clips] = as_filmed,
    progress: Progress | None = None,
) -> FusedAccuracy:
    """Measure several networks on a split, each alone and all together.

    Args:
        streams: networks with the same classes; their manifests must hold the same videos in that
            split.
        split: of the manifests.
        kind: which scores are averaged, see `featkd.evaluation.fuse_scores`.
        show: what the networks get to see of the rendered clips.
        progress: shows the work.

    Raises:
        UsageError: the streams differ in classes, videos or labels.
        FeatkdError: as `featkd.experiment.evaluate`.
    """
    scores = [
        score_videos(
            stream.workspace,
            stream.folder / "model.safetensors",
            split,
            show=show,
            progress=progress,
        )
        for stream in streams
    ]
    fused = fuse_scores(scores, weights=[stream.weight for stream in streams], kind=kind)
    return FusedAccuracy(
        tuple(each.accuracy() for each in scores),
        measure_accuracy(fused, scores[0].labels, len(scores[0].classes)),
    )

"""Classification accuracy of per-video class scores."""

from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from featkd.errors import UsageError

TOP_K = 5


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How well one network classified one split. Accuracies are fractions of 1.

    Attributes:
        num_videos: how many videos were scored.
        top1: share of videos whose true class scored highest.
        top5: share of videos whose true class is among the five highest; with fewer than five
            classes, among all of them, which makes it 1.
        mean_class_accuracy: mean of ``per_class`` over the classes that occur in the split, so
            that frequent classes weigh no more than rare ones.
        per_class: top-1 within each true class; None for a class without a video.
        confusion: ``confusion[i][j]`` videos of true class i were taken for class j.
    """

    num_videos: int
    top1: float
    top5: float
    mean_class_accuracy: float
    per_class: list[float | None]
    confusion: list[list[int]]

    def to_json(self) -> dict[str, object]:
        """Return the fields as plain numbers and lists, ready for ``json.dumps``."""
        return asdict(self)


def measure_accuracy(
    scores: Float[Tensor, "videos classes"], labels: Int[Tensor, " videos"], num_classes: int
) -> Accuracy:
    """Compare class scores with labels.

    Classes with equal scores rank in the order of their index, so a network that scores every
    class alike is credited with the first classes only, on every device.

    Args:
        scores: one score per class; only their order matters, so logits serve as well as
            probabilities.
        labels: true class of each video, in ``[0, num_classes)``.
        num_classes: how many classes the dataset has.

    Raises:
        UsageError: there is no video, the scores do not cover ``num_classes`` classes or are not
            all finite, or a label is out of range.
    """
    num_videos, num_scores = scores.shape
    if num_videos == 0:
        raise UsageError("there are no videos to measure accuracy on; expected at least one")
    if num_scores != num_classes:
        raise UsageError(f"scores cover {num_scores} classes; expected num_classes = {num_classes}")
    if not bool(scores.isfinite().all()):
        row = int((~scores.isfinite()).any(dim=1).nonzero()[0])
        raise UsageError(f"scores of video {row} are not all finite; expected finite numbers")
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= num_classes:
        wrong = lowest if lowest < 0 else highest
        raise UsageError(f"labels hold {wrong}; expected classes 0 to {num_classes - 1}")

    truth = labels.to(scores.device, torch.long)
    ranking = scores.argsort(dim=1, descending=True, stable=True)
    hits = ranking == truth[:, None]
    cells = torch.bincount(truth * num_classes + ranking[:, 0], minlength=num_classes**2)
    confusion: list[list[int]] = cells.view(num_classes, num_classes).tolist()
    per_class = [row[label] / sum(row) if sum(row) else None for label, row in enumerate(confusion)]
    present = [share for share in per_class if share is not None]
    return Accuracy(
        num_videos=num_videos,
        top1=int(hits[:, 0].sum()) / num_videos,
        top5=int(hits[:, :TOP_K].sum()) / num_videos,
        mean_class_accuracy=sum(present) / len(present),
        per_class=per_class,
        confusion=confusion,
    )


def average_views(
    logits: Float[Tensor, "rows classes"], video_index: Int[Tensor, " rows"]
) -> Float[Tensor, "videos classes"]:
    """Turn logits of several views per video into one row of class probabilities per video.

    Each view counts the same: softmax first, then the mean over the video's views.

    Args:
        logits: one row per view, in any order.
        video_index: which video each row shows; together the rows must cover 0 to V - 1.

    Returns:
        Probabilities of shape (V, K), at least float32.

    Raises:
        UsageError: as `average_by_video`.
    """
    wide = torch.promote_types(logits.dtype, torch.float32)
    return average_by_video(logits.to(wide).softmax(dim=1), video_index)


def average_by_video(
    values: Float[Tensor, "rows classes"], video_index: Int[Tensor, " rows"]
) -> Float[Tensor, "videos classes"]:
    """The mean over the rows of each video, every row counting the same.

    Args:
        values: one row per view, in any order.
        video_index: which video each row shows; together the rows must cover 0 to V - 1.

    Returns:
        Means of shape (V, K), at least float32.

    Raises:
        UsageError: an index is negative, or a video between 0 and the highest index has no view.
    """
    if video_index.numel() == 0:
        raise UsageError("there are no views to average; expected at least one")
    index = video_index.to(values.device, torch.long)
    if int(index.min()) < 0:
        raise UsageError(f"video_index holds {int(index.min())}; expected indices from 0")
    num_views = torch.bincount(index)
    if not bool(num_views.all()):
        missing = int((num_views == 0).nonzero()[0])
        raise UsageError(
            f"video {missing} has no view; expected rows for every video from 0 to "
            f"{num_views.numel() - 1}"
        )
    wide = values.to(torch.promote_types(values.dtype, torch.float32))
    total = wide.new_zeros(num_views.numel(), values.shape[1])
    return total.index_add_(0, index, wide) / num_views[:, None]

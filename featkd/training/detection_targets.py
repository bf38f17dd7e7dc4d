"""What a detector should say about training windows."""

from collections.abc import Sequence

import torch

from featkd.detection.afsd import ClipAnnotations, Priors, assign_priors, boundary_maps
from featkd.detection.distillation import DetectionTargets
from featkd.detection.windows import TrainingWindow


def window_targets(windows: Sequence[TrainingWindow], priors: Priors) -> DetectionTargets:
    """The targets of a batch of windows, without rearranged clips, on the priors' device.

    Args:
        windows: with their annotations.
        priors: of the detector.

    Raises:
        UsageError: there is no window.
    """
    annotations = [
        ClipAnnotations(
            torch.as_tensor(window.segments, dtype=torch.float32), torch.as_tensor(window.labels)
        )
        for window in windows
    ]
    maps = boundary_maps(annotations, priors.num_frames)
    return DetectionTargets(
        assign_priors(priors.centres, annotations), maps.to(priors.centres.device)
    )

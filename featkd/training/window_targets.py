"""From annotated windows to what a detector should say about them."""

from collections.abc import Sequence

import numpy as np
import torch

from featkd.detection.afsd import (
    ClipAnnotations,
    Priors,
    Rearrangement,
    assign_priors,
    boundary_maps,
    rearrange,
)
from featkd.detection.distillation import DetectionTargets
from featkd.detection.windows import TrainingWindow


def window_annotations(window: TrainingWindow) -> ClipAnnotations:
    """What happens in a window, in its own frames."""
    return ClipAnnotations(
        torch.from_numpy(window.segments).float(), torch.from_numpy(window.labels).long()
    )


def window_targets(
    windows: Sequence[TrainingWindow], priors: Priors, device: torch.device
) -> DetectionTargets:
    """What a detector should say about a batch of windows as they are.

    Args:
        windows: of the batch.
        priors: of the detector.
        device: where to put it.
    """
    annotations = [window_annotations(window) for window in windows]
    return DetectionTargets(
        assignment=assign_priors(priors.centres.to(device), annotations),
        maps=boundary_maps(annotations, priors.num_frames).to(device),
    )


def draw_rearrangements(
    windows: Sequence[TrainingWindow], num_frames: int
) -> dict[int, Rearrangement]:
    """Rearrange each window once, by chance; those that cannot be are left out.

    The moved background is as long as the shortest action of the video. What is drawn depends on
    the state of torch's generator, which moves on.

    Args:
        windows: of a batch.
        num_frames: of a window.

    Returns:
        Position in the batch to the rearrangement.
    """
    rng = np.random.default_rng(int(torch.randint(2**62, ()).item()))
    drawn = {
        position: rearrange(
            window_annotations(window).segments, num_frames, window.shortest_action, rng
        )
        for position, window in enumerate(windows)
    }
    return {position: found for position, found in drawn.items() if found is not None}

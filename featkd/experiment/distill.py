"""Training one student against the cache, or against the live teacher."""

from collections.abc import Collection

from featkd.experiment.base_students import SignalKind
from featkd.experiment.open_students import open_students
from featkd.experiment.open_workspace import AnyWorkspace
from featkd.types import Progress, Silent


def distill(
    workspace: AnyWorkspace,
    name: str,
    seed: int,
    *,
    signal: SignalKind = "cached",
    allowed: Collection[str] = (),
    committed_only: bool = False,
    progress: Progress | None = None,
) -> bool:
    """Train the student that the recipe calls ``name``, classifier or detector.

    Args:
        workspace: recipe and folders.
        name: key of the recipe's ``distillers``.
        seed: of initialisation, order, noise and, of a detector, rearrangements; views keep the
            recipe's seed, and the order does where the recipe's ``batch_order`` says so.
        signal: whether the teacher's answers come from the cache or from the teacher itself.
        allowed: fields of the cache's fingerprint that may differ from the recipe; recorded in the
            run's summary.
        committed_only: train on the clips or windows that are committed by now, while extraction
            goes on. A run that is resumed keeps those it began with.
        progress: shows the work.

    Returns:
        False where it was trained already.

    Raises:
        UsageError: the recipe has no such distiller, student and teacher do not fit it, or a
            mismatch cannot be allowed.
        CacheError: the cache is missing, of another teacher or incomplete.
        RequirementError: the cache lacks something the distiller needs.
        TrainingError: a loss is not finite.
    """
    return open_students(workspace).distill(
        name,
        seed,
        signal=signal,
        allowed=allowed,
        committed_only=committed_only,
        progress=progress or Silent(),
    )

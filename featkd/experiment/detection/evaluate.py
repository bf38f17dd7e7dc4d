"""Measuring trained detectors on a split that they were not trained on."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from featkd.cache import sha256_of_state_dict
from featkd.detection.checkpoint import load_detector
from featkd.detection.ground_truth import GroundTruth
from featkd.detection.mean_average_precision import (
    MeanAveragePrecision,
    measure_mean_average_precision,
)
from featkd.detection.predictions import write_predictions
from featkd.detection.whole_video import (
    Moments,
    TrainedDetector,
    check_detectors,
    find_actions,
    join_predictions,
)
from featkd.errors import UsageError
from featkd.experiment.detection.journal import FoundJournal
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.experiment.workspace import write_json
from featkd.models import place
from featkd.types import Progress, Silent
from featkd.video import decoder_version

WEIGHTS, PREDICTIONS, EVALUATION = "model.safetensors", "predictions.json", "evaluation.json"
_JOURNAL = "predictions.unfinished.jsonl"


@dataclass(frozen=True)
class DetectionRun:
    """A run of a recipe for detection.

    Attributes:
        workspace: the recipe it was trained with; says where its frames come from.
        folder: its run folder.
    """

    workspace: DetectionWorkspace
    folder: Path


@dataclass(frozen=True, eq=False)
class SplitDetections:
    """What was found in the videos of a split.

    Attributes:
        truth: what is annotated in it.
        predictions: one row a segment, video by video, with the columns of `PREDICTION_COLUMNS`.
        attention: video to the attention paid over its time; videos without one are left out.
        weights_sha256: of the detectors, in their order.
    """

    truth: GroundTruth
    predictions: pd.DataFrame
    attention: Mapping[str, Moments]
    weights_sha256: tuple[str, ...]


def evaluate_detector(
    workspace: DetectionWorkspace, folder: Path, *, progress: Progress | None = None
) -> MeanAveragePrecision:
    """Measure a run on the test split; write its predictions and its mAP into its folder.

    Goes on where it was interrupted.

    Raises:
        FeatkdError: as `detect_in_split`.
    """
    split = workspace.recipe.data.test_split
    found = detect_in_split([DetectionRun(workspace, folder)], split, progress=progress)
    return record_evaluation(workspace, folder, found)


def detect_in_split(
    runs: Sequence[DetectionRun], split: str, *, progress: Progress | None = None
) -> SplitDetections:
    """Find the actions in all videos of a split, the outputs of several runs averaged.

    What is found is noted in the first run's folder, video by video, until all is found.

    Args:
        runs: the first one's recipe says which videos, and how they are cut.
        split: of the manifest.
        progress: shows the videos.

    Raises:
        CheckpointError: weights cannot be loaded.
        ManifestError: the manifest has no annotations.
        UsageError: nothing is annotated in the split; the detectors know other classes than the
            manifest, do not fit together or the recipe's windows; a video has fewer frames per
            second than they see.
        VideoError: a video of the split cannot be decoded.
        FlowError: its flow is missing.
    """
    shown = progress or Silent()
    workspace = runs[0].workspace
    truth = workspace.ground_truth(split)
    if truth.segments.empty:
        raise UsageError(
            f"nothing is annotated in split {split!r} of {workspace.recipe.data.manifest}; "
            "expected at least one segment"
        )
    detectors = [_load(run) for run in runs]
    spec = workspace.recipe.inference_spec()
    check_detectors(detectors, spec)
    digests = tuple(sha256_of_state_dict(each.network.state_dict()) for each in detectors)
    clips = workspace.manifest.clips(split)
    readable = [clip for clip in clips if clip.num_frames]
    if len(readable) < len(clips):
        shown.note(f"{len(clips) - len(readable)} videos of {split} have no readable frames")
    settings = _digest(
        {
            "weights": digests,
            "cards": [detector.card.model_dump(mode="json") for detector in detectors],
            "inference": spec.model_dump(mode="json"),
            "split": split,
            "manifest": workspace.manifest.digest,
            "decoder": decoder_version(),
        }
    )
    with ExitStack() as stack:
        journal = FoundJournal(runs[0].folder / _JOURNAL, settings)
        stack.callback(journal.close)
        num_done = sum(clip.video_id in journal.found for clip in readable)
        missing = [clip for clip in readable if clip.video_id not in journal.found]
        for clip in shown.track(
            missing,
            description=f"detect {' + '.join(run.folder.name for run in runs)}",
            total=len(readable),
            unit="videos",
            done=num_done,
        ):
            journal.note(find_actions(detectors, clip, spec))
        journal.remove()
    found = [journal.found[clip.video_id] for clip in readable]
    attention = {each.video_id: each.attention for each in found if each.attention}
    return SplitDetections(truth, join_predictions(found), attention, digests)


def record_evaluation(
    workspace: DetectionWorkspace, folder: Path, found: SplitDetections
) -> MeanAveragePrecision:
    """Write ``predictions.json`` and ``evaluation.json`` into a run's folder.

    Args:
        workspace: recipe and manifest.
        folder: of the run that found it.
        found: in the videos of the test split.

    Raises:
        OSError: a file cannot be written.
    """
    scores = measure_mean_average_precision(found.predictions, found.truth)
    write_predictions(folder / PREDICTIONS, found.predictions, workspace.manifest.header.dataset)
    limits = [f"{threshold:g}" for threshold in scores.thresholds]
    record = {
        "task": "detection",
        "split": found.truth.subset,
        "num_videos": scores.num_videos,
        "num_segments": scores.num_segments,
        "num_predictions": scores.num_predictions,
        "mean_average_precision": dict(zip(limits, scores.by_threshold, strict=True)),
        "average": scores.average,
        "average_precision": {
            name: dict(zip(limits, values, strict=True))
            for name, values in scores.average_precision.items()
        },
        "inference": workspace.recipe.inference_spec().model_dump(mode="json"),
        "weights_sha256": found.weights_sha256[0],
        "classes": list(workspace.manifest.header.classes),
    }
    write_json(folder / EVALUATION, record)
    return scores


def _load(run: DetectionRun) -> TrainedDetector:
    weights = run.folder / WEIGHTS
    card, network = load_detector(weights)
    workspace = run.workspace
    if card.classes != workspace.manifest.header.classes:
        raise UsageError(
            f"{weights} knows {len(card.classes)} classes that are not those of "
            f"{workspace.recipe.data.manifest}; expected the same names in the same order"
        )
    modality = card.preprocess.modality
    read = None if modality == "rgb" else workspace.flow.read
    return TrainedDetector(card, place(network, workspace.device), workspace.device, read)


def _digest(content: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

"""Training a detector on windows of untrimmed videos: a teacher from annotations, or a student."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from featkd.detection.afsd import AFSD, BACKGROUND, Assignment, Detections, DetectorOutput
from featkd.detection.distillation import (
    DetectionDistiller,
    DetectionGenerative,
    DetectionSignal,
    DetectionTargets,
    Rearranged,
)
from featkd.detection.windows import TrainingWindow
from featkd.distillers import LossTerms
from featkd.models import PreprocessSpec
from featkd.training.detection_specs import DetectorTrainingSpec
from featkd.training.lessons import Lesson, Lessons
from featkd.training.network_training import Generators, NetworkTraining
from featkd.training.window_targets import draw_rearrangements, window_targets


class DetectorTraining(NetworkTraining[DetectorOutput, DetectionSignal]):
    """One detector in training.

    Where boundaries are compared, the windows of a batch that can be rearranged go through the
    network a second time, for their boundary features alone.

    Args:
        network: the student (or the teacher itself), moved to ``device``.
        distiller: gives the loss.
        lessons: what is learned from; their samples are positions in ``windows``.
        windows: what happens in each.
        spec: epochs, optimisers; its batch size is that of the lessons.
        preprocess_spec: the network's input.
        device: where to train.
        seed: of noise and rearrangements.
    """

    def __init__(
        self,
        *,
        network: AFSD,
        distiller: DetectionDistiller,
        lessons: Lessons[DetectionSignal],
        windows: Sequence[TrainingWindow],
        spec: DetectorTrainingSpec,
        preprocess_spec: PreprocessSpec,
        device: torch.device,
        seed: int,
    ) -> None:
        super().__init__(
            network=network,
            distiller_modules=distiller.modules,
            generators=_generators(distiller),
            lessons=lessons,
            spec=spec,
            preprocess_spec=preprocess_spec,
            device=device,
            seed=seed,
        )
        self.network = network
        self.distiller = distiller
        self.windows = windows

    def targets(self, lesson: Lesson[DetectionSignal]) -> DetectionTargets:
        """What the network should say about a lesson, rearranged windows included."""
        windows = [self.windows[sample] for sample in lesson.batch.samples]
        targets = window_targets(windows, self.network.detector.priors, self.device)
        if not self.distiller.compares_boundaries:
            return targets
        return replace(targets, rearranged=self._rearranged(lesson, windows))

    def _rearranged(
        self, lesson: Lesson[DetectionSignal], windows: Sequence[TrainingWindow]
    ) -> Rearranged | None:
        drawn = draw_rearrangements(windows, self.network.detector.priors.num_frames)
        if not drawn:
            return None
        clips = lesson.clips(self.preprocess_spec, self.device)
        moved = torch.stack([found.apply(clips[place]) for place, found in drawn.items()])
        with self._autocast():
            boundaries, attention = self.network.boundaries(moved)
        segments = torch.stack([found.segments for found in drawn.values()])
        return Rearranged(boundaries, segments.to(self.device), attention)

    def _loss(
        self, student: DetectorOutput, lesson: Lesson[DetectionSignal], epoch: int
    ) -> tuple[LossTerms, dict[str, float]]:
        targets = self.targets(lesson)
        terms = self.distiller(student, lesson.signal_on(self.device), targets, epoch)
        recall = action_recall(student.detections, targets.assignment)
        return terms, {"action_recall": recall}


def action_recall(detections: Detections, assignment: Assignment) -> float:
    """Of the priors that are to find an action, how many name it before refinement; 1 for none."""
    is_action = assignment.labels != BACKGROUND
    found = detections.coarse_logits.detach().argmax(dim=2) == assignment.labels
    num_actions = int(is_action.sum())
    return int((found & is_action).sum()) / num_actions if num_actions else 1.0


def _generators(
    distiller: DetectionDistiller,
) -> Generators[DetectorOutput, DetectionSignal] | None:
    if not isinstance(distiller, DetectionGenerative) or not distiller.generators:
        return None
    return Generators(
        distiller.generators,
        distiller.generator_terms,
        distiller.noise,
        distiller.spec.alternation,
    )

"""The shapes a distiller is built for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from featkd.errors import ModelError
from featkd.representation import CVAE
from featkd.types import LinearClassifier, StudentOutput, TeacherSignal


@dataclass(frozen=True, slots=True)
class Shapes:
    """Shapes of one sample (no batch axis) on both sides, known before training starts.

    Attributes:
        student_classes: K of the student's logits.
        student_features: Layer to (C, T, H, W).
        student_attention: (C, T), or None for a student without an attention head.
        student_classifier: (K, C) of the student's last layer, or None where it is not linear.
        student_projected: (C, T, H, W) of the projected last map, or None without a projector.
        student_clips: (C, T, H, W) of the student's input, or None where it does not show it.
        teacher_classes: K of the teacher's logits, or None where the signal has none.
        teacher_trajectory: K of the logits of the teacher's own training, or None where the signal
            has none.
        teacher_features: Tap key to shape, as in `featkd.types.TapSpec`.
        teacher_attention: Layer to (C, T).
        teacher_classifier: (K, C), or None where the signal has no classifier.
        teacher_cvae: (C, H, W) of the features the teacher's CVAE takes, or None where the signal
            has no CVAE.
    """

    student_classes: int
    student_features: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    student_attention: tuple[int, ...] | None = None
    student_classifier: tuple[int, ...] | None = None
    student_projected: tuple[int, ...] | None = None
    student_clips: tuple[int, ...] | None = None
    teacher_classes: int | None = None
    teacher_trajectory: int | None = None
    teacher_features: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    teacher_attention: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    teacher_classifier: tuple[int, ...] | None = None
    teacher_cvae: tuple[int, ...] | None = None

    def require_same_classes(self, distiller: str) -> None:
        """Check that student and teacher tell the same classes apart.

        Args:
            distiller: Whose need it is, for the message.

        Raises:
            ModelError: They have different numbers of classes; names both.
        """
        if self.teacher_classes not in (None, self.student_classes):
            raise ModelError(
                f"{distiller}: the student's logits have shape ({self.student_classes},) and the "
                f"teacher's ({self.teacher_classes},); expected the same classes"
            )

    @classmethod
    def measure(cls, student: StudentOutput, teacher: TeacherSignal) -> "Shapes":
        """Read the shapes off one batch of both; tensors on the meta device will do."""
        cvae = teacher.modules.get("cvae")
        return cls(
            student_classes=student.logits.shape[1],
            student_features={
                layer: tuple(tensor.shape[1:]) for layer, tensor in student.features.items()
            },
            student_attention=_sample_shape(student.attention),
            student_classifier=_classifier_shape(student.classifier),
            student_projected=_sample_shape(student.projected),
            student_clips=_sample_shape(student.clips),
            teacher_classes=None if teacher.logits is None else teacher.logits.shape[1],
            teacher_trajectory=(
                None if teacher.trajectory is None else teacher.trajectory.shape[1]
            ),
            teacher_features={
                key: tuple(tensor.shape[1:]) for key, tensor in teacher.features.items()
            },
            teacher_attention={
                layer: tuple(tensor.shape[1:]) for layer, tensor in teacher.attention.items()
            },
            teacher_classifier=_classifier_shape(teacher.classifier),
            teacher_cvae=(cvae.channels, *cvae.spatial_size) if isinstance(cvae, CVAE) else None,
        )


def _sample_shape(tensor: Tensor | None) -> tuple[int, ...] | None:
    return None if tensor is None else tuple(tensor.shape[1:])


def _classifier_shape(classifier: LinearClassifier | None) -> tuple[int, ...] | None:
    return None if classifier is None else tuple(classifier.weight.shape)

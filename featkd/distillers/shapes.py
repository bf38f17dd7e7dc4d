"""The shapes a distiller is built for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from featkd.representation import CVAE
from featkd.types import StudentOutput, TeacherSignal


@dataclass(frozen=True, slots=True)
class Shapes:
    """Shapes of one sample (no batch axis) on both sides, known before training starts.

    Attributes:
        student_classes: K of the student's logits.
        student_features: Layer to (C, T, H, W).
        student_attention: (C, T), or None for a student without an attention head.
        teacher_classes: K of the teacher's logits, or None where the signal has none.
        teacher_features: Tap key to shape, as in `featkd.types.TapSpec`.
        teacher_attention: Layer to (C, T).
        teacher_cvae: (C, H, W) of the features the teacher's CVAE takes, or None where the signal
            has no CVAE.
    """

    student_classes: int
    student_features: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    student_attention: tuple[int, ...] | None = None
    teacher_classes: int | None = None
    teacher_features: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    teacher_attention: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    teacher_cvae: tuple[int, ...] | None = None

    @classmethod
    def measure(cls, student: StudentOutput, teacher: TeacherSignal) -> "Shapes":
        """Read the shapes off one batch of both; tensors on the meta device will do."""
        cvae = teacher.modules.get("cvae")
        return cls(
            student_classes=student.logits.shape[1],
            student_features={
                layer: tuple(tensor.shape[1:]) for layer, tensor in student.features.items()
            },
            student_attention=(
                None if student.attention is None else tuple(student.attention.shape[1:])
            ),
            teacher_classes=None if teacher.logits is None else teacher.logits.shape[1],
            teacher_features={
                key: tuple(tensor.shape[1:]) for key, tensor in teacher.features.items()
            },
            teacher_attention={
                layer: tuple(tensor.shape[1:]) for layer, tensor in teacher.attention.items()
            },
            teacher_cvae=(cvae.channels, *cvae.spatial_size) if isinstance(cvae, CVAE) else None,
        )

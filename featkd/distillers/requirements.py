"""What a distiller needs, and fetching it with an error that says how to get it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from featkd.errors import ModelError, RequirementError
from featkd.models.projector import ProjectorSpec
from featkd.types import TapSpec

# A tensor while training, a shape while building: both are picked by the same rules.
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a distiller needs of the teacher signal and of the student.

    Known from the configuration alone, so that the taps to extract can be planned before there is
    a teacher or a student.

    Attributes:
        logits: Whether the teacher's logits are needed.
        trajectory: Whether the logits of the teacher's own training are needed.
        taps: The teacher's taps.
        attention_layers: Layers whose teacher attention is needed, as ``represent`` learned it.
        classifier: Whether the teacher's own classifier is needed.
        modules: Names of the frozen modules of the teacher's representation.
        student_layers: Layers the student must give the features of.
        student_attention: Whether the student must have an attention head.
        student_frame_logits: Whether the student must give logits before averaging over time.
        student_projector: How the student projects its last map for the teacher's classifier, which
            then replaces its own; None where it keeps its own.
    """

    logits: bool = False
    trajectory: bool = False
    taps: tuple[TapSpec, ...] = ()
    attention_layers: tuple[str, ...] = ()
    classifier: bool = False
    modules: tuple[str, ...] = ()
    student_layers: tuple[str, ...] = ()
    student_attention: bool = False
    student_frame_logits: bool = False
    student_projector: ProjectorSpec | None = None

    def __or__(self, other: "Requirements") -> "Requirements":
        """Join the needs of two distillers; each item once, in a fixed order."""
        return Requirements(
            logits=self.logits or other.logits,
            trajectory=self.trajectory or other.trajectory,
            taps=tuple(sorted({*self.taps, *other.taps})),
            attention_layers=tuple(sorted({*self.attention_layers, *other.attention_layers})),
            classifier=self.classifier or other.classifier,
            modules=tuple(sorted({*self.modules, *other.modules})),
            student_layers=tuple(sorted({*self.student_layers, *other.student_layers})),
            student_attention=self.student_attention or other.student_attention,
            student_frame_logits=self.student_frame_logits or other.student_frame_logits,
            student_projector=self.student_projector or other.student_projector,
        )

    def cached_names(self) -> list[str]:
        """What is read from a cache for every row, by the names recipes and signals use."""
        names = ["logits"] if self.logits else []
        names += ["trajectory"] if self.trajectory else []
        names += [tap.key for tap in self.taps]
        return names + [f"attention/{layer}" for layer in self.attention_layers]

    def student_parts(self) -> list[str]:
        """What a student gets for a distiller and keeps at inference."""
        parts = ["attention head"] if self.student_attention else []
        return parts + (["projector"] if self.student_projector is not None else [])


def pick_logits(logits: Value | None) -> Value:
    """Give the teacher's logits. Raises RequirementError where the signal has none."""
    if logits is None:
        raise RequirementError(
            "the teacher signal holds no logits; extract the cache with logits, or pick a "
            "distiller that does not need them"
        )
    return logits


def pick_trajectory(trajectory: Value | None) -> Value:
    """Give what the teacher's own training left. Raises RequirementError where there is none."""
    if trajectory is None:
        raise RequirementError(
            "the teacher signal holds no trajectory, which can only be read from a cache; train "
            "the teacher with teacher.training.record_logits=true and extract: featkd train, "
            "featkd extract"
        )
    return trajectory


def pick_tap(features: Mapping[str, Value], tap: TapSpec) -> Value:
    """Give what the teacher signal holds for a tap.

    Raises:
        RequirementError: The signal lacks the tap.
    """
    if tap.key not in features:
        raise RequirementError(
            f"the teacher signal holds no tap {tap.key!r} (it holds {_list_names(features)}); "
            "add the tap to the extraction"
        )
    return features[tap.key]


def pick_attention(attention: Mapping[str, Value], layer: str) -> Value:
    """Give what the teacher signal holds of a layer's attention.

    Raises:
        RequirementError: The signal has no attention of the layer.
    """
    if layer not in attention:
        raise RequirementError(
            f"the teacher signal holds no attention of layer {layer!r} (it holds "
            f"{_list_names(attention)}); train the teacher's representation on the cache first"
        )
    return attention[layer]


def pick_classifier(classifier: Value | None) -> Value:
    """Give the teacher's classifier. Raises RequirementError where the signal has none."""
    if classifier is None:
        raise RequirementError(
            "the teacher signal holds no classifier; extract the cache again, which adds it, or "
            "pick a distiller that does not need it"
        )
    return classifier


def pick_module(modules: Mapping[str, Value], name: str) -> Value:
    """Give a frozen teacher module.

    Raises:
        RequirementError: The signal lacks it.
    """
    if name not in modules:
        raise RequirementError(
            f"the teacher signal holds no module {name!r} (it holds {_list_names(modules)}); "
            "train the teacher's representation on the cache first"
        )
    return modules[name]


def pick_student_layer(features: Mapping[str, Value], layer: str) -> Value:
    """Give what the student has for a layer.

    Raises:
        ModelError: The student does not give the layer.
    """
    if layer not in features:
        raise ModelError(
            f"the student gives no features of layer {layer!r} (it gives {_list_names(features)})"
        )
    return features[layer]


def pick_student_attention(attention: Value | None) -> Value:
    """Give the student's attention. Raises ModelError for a student without a head."""
    if attention is None:
        raise ModelError("the student gives no attention; build it with an attention head")
    return attention


def _list_names(mapping: Mapping[str, object]) -> str:
    return ", ".join(sorted(mapping)) or "nothing"

"""AFSD: backbone, attention heads and detector."""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from featkd.detection.afsd.detector import DETECTOR_LAYERS, Detector, Initialisation
from featkd.detection.afsd.output import BoundaryFeatures, DetectorOutput
from featkd.detection.afsd.read_maps import Rescale, apply_heads, attended_maps, read_maps
from featkd.errors import ModelError
from featkd.models import I3DTrunk, Projector, ProjectorSpec, layer_shapes, record_layers
from featkd.representation import AttentionHeadKind, build_attention_head
from featkd.types import Spec

DETECTOR_CHANNELS = 512
"""Of all levels, at width 1."""


class ReusedDetectorSpec(Spec):
    """The teacher's detector in a student, behind projectors."""

    width: Annotated[float, Field(gt=0, le=4)] = 1.0
    """Of the teacher."""
    projector: ProjectorSpec = ProjectorSpec()


class AFSDSpec(Spec):
    """Which detector to build; the defaults are AFSD's for THUMOS14."""

    name: Literal["i3d", "top_i3d", "bottom_i3d", "i2d"] = "i3d"
    """Backbone, a member of the I3D family."""
    width: Annotated[float, Field(gt=0, le=4)] = 1.0
    """Multiplies every channel count."""
    num_levels: Annotated[PositiveInt, Field(ge=2)] = 6
    """Of the pyramid; strides are 4, 8, 16, ... frames."""
    batch_norm: Literal["trained", "frozen"] = "trained"
    """``frozen``: the backbone keeps the statistics, weights and biases of its batch norms. For
    pretrained backbones only: those of random weights normalise nothing."""
    batch_norm_momentum: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Weight of a new batch in the running statistics."""
    attention_head: AttentionHeadKind | None = None
    """Which attention head sits between each of the two maps and the detector, if any."""
    rescale: Rescale = "norm"
    """How an attended map regains its scale: per sample (Eq. 10), or not at all, as released."""
    initialisation: Initialisation = "glorot"
    """Of the detector."""
    reused_detector: ReusedDetectorSpec | None = None
    """The teacher's detector behind projectors, in place of one of its own."""

    @model_validator(mode="after")
    def _one_head(self) -> "AFSDSpec":
        if self.attention_head is not None and self.reused_detector is not None:
            raise ValueError(
                f"attention_head is {self.attention_head!r} and reused_detector is set; expected "
                "one of them: the teacher's detector reads maps, not attended maps"
            )
        return self


RELEASED_STUDENT = AFSDSpec(
    name="top_i3d",
    batch_norm="frozen",
    attention_head="released",
    rescale="inverse_sum",
    initialisation="released",
)
"""The student as published; without pretrained weights its frozen batch norms hold it back."""

RELEASED_TEACHER = RELEASED_STUDENT.model_copy(update={"name": "i3d"})
"""The teacher as published, with the attention heads its own representation needs."""


class AFSD(nn.Module):
    """Learning Salient Boundary Feature for Anchor-free Temporal Action Localization (CVPR 2021).

    Args:
        spec: architecture.
        num_classes: K, actions without background.
        input_shape: (C, T, H, W) it will be fed; fixes kernels as large as the maps.
        with_background: whether the output has background logits; they need attention heads.

    Raises:
        ModelError: the clip's length does not fit the pyramid, or there are background logits
            without attention heads.
    """

    def __init__(
        self,
        spec: AFSDSpec,
        num_classes: int,
        input_shape: tuple[int, int, int, int],
        *,
        with_background: bool = False,
    ) -> None:
        super().__init__()
        if with_background and spec.attention_head is None:
            raise ModelError(
                "with_background is set and attention_head is None; expected attention heads, "
                "since background is what attention leaves out"
            )
        self.spec, self.with_background = spec, with_background
        self.backbone = self._trunk(spec.width, input_shape)
        shapes = layer_shapes(self.backbone, input_shape, DETECTOR_LAYERS)
        self.attention_heads = nn.ModuleDict()
        if spec.attention_head is not None:
            self.attention_heads = build_attention_heads(
                spec.attention_head, shapes, detector_channels(spec.width)
            )
        self.projectors = nn.ModuleDict()
        detector_width = spec.width
        if spec.reused_detector is not None:
            detector_width = spec.reused_detector.width
            own = shapes
            with torch.device("meta"):
                trunk = self._trunk(detector_width, input_shape)
            shapes = layer_shapes(trunk, input_shape, DETECTOR_LAYERS)
            for layer, shape in shapes.items():
                self.projectors[layer] = Projector(
                    own[layer][0],
                    shape[0],
                    spec.reused_detector.projector,
                    batch_norm_momentum=spec.batch_norm_momentum,
                )
        self.detector = Detector(
            shapes,
            detector_channels(detector_width),
            num_classes,
            input_shape[1],
            spec.num_levels,
            spec.initialisation,
        )
        if spec.reused_detector is not None:
            self.detector.requires_grad_(requires_grad=False)
        self.train()

    def train(self, mode: bool = True) -> "AFSD":  # noqa: FBT001, FBT002 (torch's signature)
        """Set the mode; frozen batch norms stay in evaluation mode."""
        super().train(mode)
        if self.spec.batch_norm == "frozen":
            for module in self.backbone.modules():
                if isinstance(module, nn.BatchNorm3d):
                    module.eval().requires_grad_(requires_grad=False)
        return self

    def reuse_detector(self, detector: Detector) -> None:
        """Take over the teacher's detector, frozen.

        Raises:
            ModelError: the network was not built for it, or it has another shape.
        """
        own, taken = self.detector.state_dict(), detector.state_dict()
        wrong = sorted(
            name
            for name in own.keys() | taken.keys()
            if name not in own or name not in taken or own[name].shape != taken[name].shape
        )
        if self.spec.reused_detector is None or wrong:
            raise ModelError(
                f"{self.spec.name} {'without' if self.spec.reused_detector is None else 'behind'} "
                f"projectors cannot reuse the detector; {len(wrong)} of its tensors differ in "
                f"shape{f', the first is {wrong[0]!r}' if wrong else ''}; expected "
                "reused_detector in its spec, of the teacher's width"
            )
        self.detector.load_state_dict(taken)

    def forward(self, clips: Float[Tensor, "batch channels time height width"]) -> DetectorOutput:
        """Detections, inner maps and attention of a batch of preprocessed clips."""
        return read_maps(
            self._features(clips),
            self.detector,
            attention_heads=self.attention_heads,
            projectors=self.projectors,
            rescale=self.spec.rescale,
            with_background=self.with_background,
        )

    def boundaries(
        self, clips: Float[Tensor, "batch channels time height width"]
    ) -> tuple[BoundaryFeatures, Mapping[str, Tensor]]:
        """Boundary features and attention alone: all that a rearranged clip is needed for."""
        features = self._features(clips)
        attention = apply_heads(self.attention_heads, features)
        projected = apply_heads(self.projectors, features)
        seen = projected or attended_maps(features, attention, self.spec.rescale)
        return self.detector.boundaries(seen), attention

    def _trunk(self, width: float, input_shape: tuple[int, int, int, int]) -> I3DTrunk:
        return I3DTrunk(
            variant=self.spec.name,
            width=width,
            in_channels=input_shape[0],
            batch_norm_momentum=self.spec.batch_norm_momentum,
        )

    def _features(self, clips: Tensor) -> dict[str, Tensor]:
        with record_layers(self.backbone, DETECTOR_LAYERS) as features:
            self.backbone(clips)
        return dict(features)


def detector_channels(width: float) -> int:
    """Of all levels; an even number: half of the channels are about starts.

    Args:
        width: multiplies the count.
    """
    return 2 * max(1, round(DETECTOR_CHANNELS / 2 * width))


def build_attention_heads(
    kind: AttentionHeadKind, shapes: Mapping[str, tuple[int, int, int, int]], channels: int
) -> nn.ModuleDict:
    """A head for each map a detector reads, by layer.

    Args:
        kind: ``paper`` or ``released``.
        shapes: layer to (C, T, H, W).
        channels: of the detector; the published heads are as wide inside, on both layers.

    Raises:
        ModelError: the channels cannot be normalised in groups.
    """
    hidden = channels if kind == "released" else None
    heads = {layer: build_attention_head(kind, shape, hidden) for layer, shape in shapes.items()}
    return nn.ModuleDict(heads)

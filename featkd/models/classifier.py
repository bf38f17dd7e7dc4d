"""Student assembly: a backbone, an optional attention head, and the backbone's classifier."""

from collections.abc import Collection, Sequence
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from featkd.errors import ModelError
from featkd.models.i3d import I3D, LAST_LAYER, LogitsHead
from featkd.models.layer_shapes import layer_shapes
from featkd.models.projector import Projector, ReusedClassifierSpec
from featkd.models.taps import record_layers
from featkd.representation.attended import attended_feature, attended_feature_batch_sum
from featkd.representation.attention import build_attention_head
from featkd.types import LinearClassifier, Spec, StudentOutput


class ModelSpec(Spec):
    """Which network to build."""

    name: Literal["i3d", "top_i3d", "bottom_i3d", "i2d"] = "i3d"
    """Member of the I3D family."""
    width: Annotated[float, Field(gt=0, le=4)] = 1.0
    """Multiplies every channel count."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Probability before the classifier."""
    batch_norm_momentum: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Weight of a new batch in the running statistics."""
    attention_head: Literal["paper", "released"] | None = None
    """Which attention head sits between the last map and the classifier, if any."""
    rescale: Literal["norm", "batch_sum"] = "norm"
    """How an attended map regains its scale: per sample (Eq. 10) or as in the released code."""
    reused_classifier: ReusedClassifierSpec | None = None
    """The teacher's classifier behind a projector, in place of one of its own."""

    @model_validator(mode="after")
    def _one_head(self) -> "ModelSpec":
        if self.attention_head is not None and self.reused_classifier is not None:
            raise ValueError(
                f"attention_head is {self.attention_head!r} and reused_classifier is set; expected "
                "one of them: the teacher's classifier reads maps, not attended maps"
            )
        return self

    def described(self) -> dict[str, bool | int | float | str | None]:
        """Flat names and values of all that decides what a teacher is, for a fingerprint."""
        return self.model_dump(mode="json", exclude={"reused_classifier"})  # students'


class VideoClassifier(nn.Module):
    """A network that turns a clip into logits, and shows its inner maps.

    Args:
        spec: architecture.
        num_classes: K.
        input_shape: (C, T, H, W) it will be fed; fixes the attention head's kernels.
        layers: backbone layers to hand out beside the last map.

    Raises:
        ModelError: the backbone lacks one of the layers.
    """

    def __init__(
        self,
        spec: ModelSpec,
        num_classes: int,
        input_shape: tuple[int, int, int, int],
        *,
        layers: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.spec = spec
        self.layers = tuple(dict.fromkeys((*layers, LAST_LAYER)))
        self.backbone = I3D(
            num_classes,
            variant=spec.name,
            width=spec.width,
            in_channels=input_shape[0],
            dropout=spec.dropout,
            batch_norm_momentum=spec.batch_norm_momentum,
        )
        self.layer_shapes = layer_shapes(self.backbone, input_shape, self.layers)
        self.attention_head = (
            build_attention_head(spec.attention_head, self.layer_shapes[LAST_LAYER])
            if spec.attention_head
            else None
        )
        self.projector: Projector | None = None
        if spec.reused_classifier is not None:
            channels = spec.reused_classifier.channels
            self.projector = Projector(
                self.backbone.out_channels,
                channels,
                spec.reused_classifier.projector,
                size=spec.reused_classifier.size,
                batch_norm_momentum=spec.batch_norm_momentum,
            )
            self.backbone.logits = LogitsHead(channels, num_classes, dropout=0.0)
            self.backbone.logits.requires_grad_(requires_grad=False)

    def linear(self) -> LinearClassifier:
        """The last layer, shared, not copied."""
        return self.backbone.logits.linear()

    def classifier_names(self) -> tuple[str, ...]:
        """Names of the classifier's tensors in the state dictionary."""
        return ("backbone.logits.conv3d.weight", "backbone.logits.conv3d.bias")

    def names_unknown_to(self, weights: Collection[str]) -> tuple[str, ...]:
        """Names of what weights of a network without attention head and projector cannot have.

        Those of a whole head or projector that the weights lack. With a projector the classifier's
        too: the teacher's takes its place.

        Args:
            weights: the others' names.
        """
        parts = (("attention_head", self.attention_head), ("projector", self.projector))
        names = [
            f"{name}.{tensor}"
            for name, part in parts
            if part is not None and not any(each.startswith(f"{name}.") for each in weights)
            for tensor in part.state_dict()
        ]
        return (*names, *(self.classifier_names() if self.projector is not None else ()))

    def reuse_classifier(self, classifier: LinearClassifier) -> None:
        """Take over the teacher's classifier, frozen.

        Raises:
            ModelError: the network was not built for it, or it has another shape.
        """
        own = self.backbone.logits.linear()
        if self.projector is None or own.weight.shape != classifier.weight.shape:
            raise ModelError(
                f"{self.spec.name} has a classifier of shape {tuple(own.weight.shape)} "
                f"{'without' if self.projector is None else 'behind'} a projector and cannot reuse "
                f"one of {tuple(classifier.weight.shape)}; expected reused_classifier in its model"
            )
        with torch.no_grad():
            own.weight.copy_(classifier.weight)
            own.bias.copy_(classifier.bias)

    def forward(self, clips: Float[Tensor, "batch channels time height width"]) -> StudentOutput:
        """Logits, inner maps and attention of a batch of preprocessed clips."""
        with record_layers(self.backbone, self.layers) as features:
            last_map = self.backbone.features(clips)
        attention = projected = None
        seen = last_map
        if self.attention_head is not None:
            attention = self.attention_head(last_map)
            rescale = (
                attended_feature if self.spec.rescale == "norm" else attended_feature_batch_sum
            )
            seen = rescale(last_map, attention)
        if self.projector is not None:
            seen = projected = self.projector(last_map)
        frame_logits = self.backbone.logits(seen)
        return StudentOutput(
            logits=frame_logits.mean(dim=2),
            features=dict(features),
            attention=attention,
            frame_logits=frame_logits,
            clips=clips,
            classifier=self.backbone.logits.linear(),
            projected=projected,
        )

"""A foreign model as a network of a recipe: as a teacher, or as a student that keeps its head."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from featkd.errors import ModelError
from featkd.models.hub import HubBackbone, HubSpec, build_hub_model
from featkd.models.hub.hub_model import linear_classifier, measure_layers
from featkd.models.taps import record_layers
from featkd.types import LinearClassifier, StudentOutput


class HubClassifier(nn.Module):
    """A foreign model that turns a clip into logits and shows the layers its spec declares.

    Args:
        spec: which model, resolved.
        num_classes: K.
        input_shape: (C, T, H, W) it will be fed.
        layers: declared layers to hand out.

    Raises:
        ModelError: its package is missing, the spec does not describe a model of it, it cannot take
            such clips, or a layer is not declared or does not fold to a map.
    """

    def __init__(
        self,
        spec: HubSpec,
        num_classes: int,
        input_shape: tuple[int, int, int, int],
        *,
        layers: Sequence[str] = (),
    ) -> None:
        super().__init__()
        undeclared = [layer for layer in layers if layer not in spec.layers]
        if undeclared:
            raise ModelError(
                f"layer {undeclared[0]!r} is asked for and model.layers declares "
                f"{', '.join(spec.layers) or 'none'}; expected its name there, with the module it "
                "stands for"
            )
        self.spec = spec
        self.layers = tuple(dict.fromkeys(layers))
        self._hub = build_hub_model(spec, num_classes, input_shape)
        self.backbone = HubBackbone(self._hub, spec.layers)
        self.layer_shapes = measure_layers(self.backbone, input_shape, num_classes)

    def forward(self, clips: Float[Tensor, "batch channels time height width"]) -> StudentOutput:
        """Logits and maps of the layers asked for."""
        with record_layers(self.backbone, self.layers) as features:
            logits = self.backbone(clips)
        return StudentOutput(
            logits=logits, features=dict(features), clips=clips, classifier=self.linear()
        )

    def linear(self) -> LinearClassifier | None:
        """The last linear layer, shared; None where it does not read the mean of a map."""
        return linear_classifier(self._hub)

    def classifier_names(self) -> tuple[str, ...]:
        """Names of the classifier's tensors in the state dictionary.

        Raises:
            ModelError: which module is the classifier is not known.
        """
        name = self._hub.classifier
        if name is None:
            raise ModelError("model.classifier is not set; expected the name of the last module")
        prefix = f"backbone.model.{name}."
        names = tuple(key for key in self.state_dict() if key.startswith(prefix))
        if not names:
            raise ModelError(f"classifier {name!r} is no module with weights of the model")
        return names

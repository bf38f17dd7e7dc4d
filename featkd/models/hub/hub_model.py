"""A model from elsewhere with all that has to be known of it, and the backbone made of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from featkd.errors import ModelError
from featkd.models.hub.fold import Fold, fold_output
from featkd.models.taps import record_layers
from featkd.types import LinearClassifier

InputLayout = Literal["bcthw", "btchw", "frames"]


@dataclass(frozen=True, slots=True)
class HubModel:
    """A model from elsewhere.

    Attributes:
        network: gives logits, or an object with ``logits``.
        input_layout: what it takes: clips with channels or with frames first, or single frames,
            whose logits are then averaged over the clip.
        input_name: keyword of its input; None for the first argument.
        fold: how its layers lay out what they give.
        classifier: name of its last linear layer; None where it is not known.
        reads_mean: whether that is applied to the mean of the last map, so that distillers may
            read the mean of a map with it.
    """

    network: nn.Module
    input_layout: InputLayout
    fold: Fold
    classifier: str | None
    reads_mean: bool
    input_name: str | None = None


class FoldedLayer(nn.Module):
    """Gives a layer's output as a map; what taps hook."""

    def __init__(self, fold: Fold, layer: str) -> None:
        super().__init__()
        self.fold = fold
        self.layer = layer

    def forward(
        self, output: object, clips_shape: tuple[int, int, int, int, int]
    ) -> Float[Tensor, "batch channels time height width"]:
        """Fold; raises as `fold_output`."""
        return fold_output(output, self.fold, clips_shape, layer=self.layer)


class HubBackbone(nn.Module):
    """A foreign model as featkd sees it: clips (B, C, T, H, W) in, logits (B, K) out.

    Each declared layer is a submodule of that name which gives the layer's map, so that taps read
    it as they read any layer.

    Args:
        hub: the model.
        layers: names, each with the module of the model that it stands for.

    Raises:
        ModelError: the model lacks a module, or a name is one that a module has by itself.
    """

    def __init__(self, hub: HubModel, layers: Mapping[str, str]) -> None:
        super().__init__()
        self.model = hub.network
        self._input_layout, self._input_name = hub.input_layout, hub.input_name
        self._modules_of = dict(layers)
        known = dict(self.model.named_modules())
        for name, module in layers.items():
            if module not in known or not module:
                raise ModelError(
                    f"layers.{name} is {module!r}, which is no module of "
                    f"{type(self.model).__name__}; it has {', '.join(_outline(known))}"
                )
            if hasattr(self, name):
                raise ModelError(f"layers.{name}: the name is taken; expected another")
            self.add_module(name, FoldedLayer(hub.fold, module))

    def forward(
        self, clips: Float[Tensor, "batch channels time height width"]
    ) -> Float[Tensor, "batch classes"]:
        """Logits; the submodules of declared layers give their maps on the way."""
        inputs = clips
        if self._input_layout != "bcthw":
            inputs = clips.transpose(1, 2)
        if self._input_layout == "frames":
            inputs = inputs.flatten(0, 1)
        with record_layers(self.model, self._modules_of.values()) as outputs:
            named = {} if self._input_name is None else {self._input_name: inputs}
            answer = self.model(**named) if named else self.model(inputs)
        for name, module in self._modules_of.items():
            self.get_submodule(name)(outputs[module], tuple(clips.shape))
        logits = answer if isinstance(answer, Tensor) else getattr(answer, "logits", None)
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            given = type(answer).__name__ if logits is None else f"shape {tuple(logits.shape)}"
            raise ModelError(
                f"{type(self.model).__name__} gives {given}; expected logits (batch, classes), or "
                "an object with logits"
            )
        if self._input_layout == "frames":
            logits = logits.reshape(len(clips), clips.shape[2], -1).mean(dim=1)
        return logits


def measure_layers(
    backbone: HubBackbone, input_shape: tuple[int, int, int, int], num_classes: int
) -> dict[str, tuple[int, int, int, int]]:
    """(C, T, H, W) of each declared layer, found on tensors without data.

    Args:
        backbone: in whatever mode; its state stays as it is.
        input_shape: (C, T, H, W) of a clip.
        num_classes: K that it must give.

    Raises:
        ModelError: it cannot take such clips, gives other logits, or a layer does not fold.
    """
    state = {**dict(backbone.named_parameters()), **dict(backbone.named_buffers())}
    shapes_only = {name: tensor.detach().to("meta") for name, tensor in state.items()}
    clip = torch.empty(1, *input_shape, device="meta")
    training = [module for module in backbone.modules() if module.training]
    backbone.eval()
    names = [name for name, child in backbone.named_children() if isinstance(child, FoldedLayer)]
    try:
        with record_layers(backbone, names) as outputs, torch.no_grad():
            logits = functional_call(backbone, shapes_only, (clip,))
    except (RuntimeError, NotImplementedError, ValueError, TypeError, IndexError) as error:
        raise ModelError(
            f"{type(backbone.model).__name__} cannot take clips of shape (C, T, H, W) "
            f"{input_shape}: {error}; expected the number of frames and the size it is built for"
        ) from error
    finally:
        for module in training:
            module.training = True
    if tuple(logits.shape) != (1, num_classes):
        raise ModelError(
            f"{type(backbone.model).__name__} gives logits of shape {tuple(logits.shape)} for one "
            f"clip; expected (1, {num_classes}), one number a class of the manifest"
        )
    return {name: tuple(output.shape[1:]) for name, output in outputs.items()}


def linear_classifier(hub: HubModel) -> LinearClassifier | None:
    """The last linear layer with its own tensors; None where it does not read the mean of a map.

    Raises:
        ModelError: the module is neither linear nor a convolution of one position, or has no bias.
    """
    if hub.classifier is None or not hub.reads_mean:
        return None
    module = dict(hub.network.named_modules()).get(hub.classifier)
    pointwise = isinstance(module, nn.Conv3d) and set(module.kernel_size) == {1}
    if not isinstance(module, nn.Linear | nn.Conv3d) or module.bias is None:
        raise ModelError(
            f"classifier is {hub.classifier!r}, a {type(module).__name__}; expected a linear layer "
            "with a bias"
        )
    if isinstance(module, nn.Conv3d) and not pointwise:
        raise ModelError(f"classifier {hub.classifier!r} has a kernel; expected 1x1x1")
    return LinearClassifier(module.weight.flatten(start_dim=1), module.bias)


def _outline(modules: Mapping[str, nn.Module]) -> list[str]:
    shallow = [name for name in modules if name and name.count(".") <= 3]
    return [n for n in shallow if not any(o.startswith(f"{n}.") for o in shallow)] or shallow

"""The frozen teacher: clips in, logits and taps out."""

from collections.abc import Sequence

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from featkd.models.preprocess import PreprocessSpec, preprocess
from featkd.models.taps import record_layers, reduce_map
from featkd.types import TapSpec


class Teacher:
    """Any module that maps clips to logits, frozen, with the taps that are read from it.

    Args:
        model: called with preprocessed clips (B, 3, T, H, W), returns logits (B, K).
        preprocess_spec: the input it was trained on.
        taps: what to read beside the logits.
        device: where it runs.
    """

    def __init__(
        self,
        model: nn.Module,
        preprocess_spec: PreprocessSpec,
        taps: Sequence[TapSpec],
        device: torch.device,
    ) -> None:
        self.preprocess_spec = preprocess_spec
        self.taps = tuple(taps)
        self.device = device
        self.model = (
            model.eval().requires_grad_(False).to(device, memory_format=torch.channels_last_3d)
        )
        self._layers = tuple(dict.fromkeys(tap.layer for tap in self.taps))

    @torch.inference_mode()
    def __call__(
        self, clips: UInt8[Tensor, "batch 3 time height width"]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits (B, K) and, by tap key, the reduced maps, float32 on the teacher's device.

        Raises:
            ModelError: the model lacks a tapped layer.
        """
        inputs = preprocess(clips, self.preprocess_spec, self.device)
        with record_layers(self.model, self._layers) as outputs:
            logits = self.model(inputs)
        features = {tap.key: reduce_map(outputs[tap.layer], tap.reduction) for tap in self.taps}
        return logits.float(), features

"""The frozen teacher: clips in, logits and taps out."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from featkd.models.placement import place
from featkd.models.preprocess import PreprocessSpec, preprocess
from featkd.models.taps import record_layers, reduce_map
from featkd.types import TapSpec

Precision = Literal["float32", "bfloat16", "float16"]


class Teacher:
    """Any module that maps clips to logits, frozen, with the taps that are read from it.

    Args:
        model: called with preprocessed clips (B, C, T, H, W), returns logits (B, K).
        preprocess_spec: the input it was trained on.
        taps: what to read beside the logits.
        batch_size: rows it computes at once, always: fewer are filled up with black clips. How
            sums are rounded depends on the size of a batch; with one size, what the teacher says
            of a row does not depend on the rows beside it.
        device: where it runs.
        precision: what it computes in; below float32 through autocast. What it says is float32.
        compiled: whether ``torch.compile`` makes it faster. The first batch then takes minutes.
    """

    def __init__(
        self,
        model: nn.Module,
        preprocess_spec: PreprocessSpec,
        taps: Sequence[TapSpec],
        *,
        batch_size: int,
        device: torch.device,
        precision: Precision = "float32",
        compiled: bool = False,
    ) -> None:
        self.preprocess_spec = preprocess_spec
        self.taps = tuple(taps)
        self.batch_size = batch_size
        self.device = device
        self.model = place(model.eval().requires_grad_(requires_grad=False), device)
        self._layers = tuple(dict.fromkeys(tap.layer for tap in self.taps))
        self._autocast = torch.autocast(
            device.type,
            dtype=getattr(torch, precision),
            enabled=precision != "float32",
        )
        self._run = torch.compile(self._observe) if compiled else self._observe

    @torch.inference_mode()
    def __call__(
        self, clips: UInt8[Tensor, "batch channels time height width"]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits (B, K) and, by tap key, the reduced maps, float32 on the teacher's device.

        Raises:
            ModelError: the model lacks a tapped layer.
        """
        answers = [self._forward(chunk) for chunk in torch.split(clips, self.batch_size)]
        logits = torch.cat([part for part, _ in answers])
        keys = [tap.key for tap in self.taps]
        return logits, {key: torch.cat([part[key] for _, part in answers]) for key in keys}

    @torch.inference_mode()
    def answer_shapes(self, num_frames: int) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]]]:
        """Shapes of a row's logits and, by tap key, of its reduced maps.

        The model looks at one black clip; filling a whole batch up would cost as much as a batch.

        Args:
            num_frames: T of the clips.

        Raises:
            ModelError: the model lacks a tapped layer.
        """
        size, num_channels = self.preprocess_spec.size, self.preprocess_spec.num_channels
        clip = torch.zeros((1, num_channels, num_frames, size, size), dtype=torch.uint8)
        logits, features = self._observe(preprocess(clip, self.preprocess_spec, self.device), 1)
        shapes = {key: tuple(value.shape[1:]) for key, value in features.items()}
        return tuple(logits.shape[1:]), shapes

    def _forward(
        self, clips: UInt8[Tensor, "batch channels time height width"]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        num_rows = len(clips)
        if num_rows < self.batch_size:
            filling = clips.new_zeros(self.batch_size - num_rows, *clips.shape[1:])
            clips = torch.cat([clips, filling])
        inputs = preprocess(clips, self.preprocess_spec, self.device)
        logits, features = self._run(inputs, num_rows)
        return logits, features

    def _observe(self, inputs: Tensor, num_rows: int) -> tuple[Tensor, dict[str, Tensor]]:
        with record_layers(self.model, self._layers) as outputs, self._autocast:
            logits = self.model(inputs)
        features = {
            tap.key: reduce_map(outputs[tap.layer][:num_rows], tap.reduction) for tap in self.taps
        }
        return logits[:num_rows].float(), features

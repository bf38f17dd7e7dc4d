"""A frozen network that is asked about clips, whatever its task."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from featkd.cache.signal import feature_array
from featkd.models.placement import place
from featkd.models.preprocess import PreprocessSpec, preprocess
from featkd.models.taps import record_layers, reduce_map
from featkd.types import TapSpec

Precision = Literal["float32", "bfloat16", "float16"]


class BaseTeacher(ABC):
    """Any module that answers clips, frozen, with the taps that are read from it.

    Args:
        model: called with preprocessed clips (B, C, T, H, W).
        preprocess_spec: the input it was trained on.
        taps: what to read beside its answer.
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

    @property
    @abstractmethod
    def tapped(self) -> nn.Module:
        """The module whose layers the taps name."""

    @abstractmethod
    def kept(self, output: Any) -> dict[str, Tensor]:
        """What is kept of the model's output beside taps: by array name, batch first."""

    @torch.inference_mode()
    def answers(
        self, clips: UInt8[Tensor, "batch channels time height width"]
    ) -> dict[str, Tensor]:
        """All it says of clips: by array name, batch first, float32 on its device.

        Raises:
            ModelError: the model lacks a tapped layer.
        """
        parts = [self._forward(chunk) for chunk in torch.split(clips, self.batch_size)]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    @torch.inference_mode()
    def answer_shapes(self, num_frames: int) -> dict[str, tuple[int, ...]]:
        """By array name, the shape of what it says of one clip.

        The model looks at one black clip; filling a whole batch up would cost as much as a batch.

        Args:
            num_frames: T of the clips.

        Raises:
            ModelError: the model lacks a tapped layer.
        """
        size, num_channels = self.preprocess_spec.size, self.preprocess_spec.num_channels
        clip = torch.zeros((1, num_channels, num_frames, size, size), dtype=torch.uint8)
        answers = self._observe(preprocess(clip, self.preprocess_spec, self.device), 1)
        return {name: tuple(value.shape[1:]) for name, value in answers.items()}

    def _forward(
        self, clips: UInt8[Tensor, "batch channels time height width"]
    ) -> dict[str, Tensor]:
        num_rows = len(clips)
        if num_rows < self.batch_size:
            filling = clips.new_zeros(self.batch_size - num_rows, *clips.shape[1:])
            clips = torch.cat([clips, filling])
        answers: dict[str, Tensor] = self._run(
            preprocess(clips, self.preprocess_spec, self.device), num_rows
        )
        return answers

    def _observe(self, inputs: Tensor, num_rows: int) -> dict[str, Tensor]:
        with record_layers(self.tapped, self._layers) as outputs, self._autocast:
            kept = self.kept(self.model(inputs))
        answers = {name: value[:num_rows].float() for name, value in kept.items()}
        for tap in self.taps:
            answers[feature_array(tap)] = reduce_map(outputs[tap.layer][:num_rows], tap.reduction)
        return answers

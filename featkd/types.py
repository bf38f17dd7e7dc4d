"""Value objects that pass between rooms. They hold data and check it; they do no work.

Shapes use the letters of the glossary: batch B, channels C, time T, height H, width W, classes K.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

Reduction = Literal["full", "pooled", "moments", "spatial_attention"]
REDUCTIONS: tuple[Reduction, ...] = ("full", "pooled", "moments", "spatial_attention")


class Spec(BaseModel):
    """Base of every setting a recipe can hold: immutable, and unknown keys fail."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled stretch of one video: a row of a manifest with its file located.

    Frames are numbered from 0 inside the clip, in presentation order; ``num_frames`` counts them.
    ``start_sec`` and ``end_sec`` bound the clip in its file, ``[start, end)``; an ``end_sec`` of
    ``None`` means the end of the file.
    """

    video_id: str
    path: Path
    label: int
    num_frames: int
    width: int
    height: int
    fps: float
    start_sec: float = 0.0
    end_sec: float | None = None


@dataclass(frozen=True, slots=True)
class View:
    """Which frames, region and orientation of a clip a network sees.

    ``frame_indices`` count inside the clip. ``crop_box`` is (left, top, right, bottom) as fractions
    of the displayed frame, so that networks of different input sizes see the same region.
    """

    video_id: str
    view_index: int
    frame_indices: tuple[int, ...]
    crop_box: tuple[float, float, float, float]
    flip: bool

    def __post_init__(self) -> None:
        left, top, right, bottom = self.crop_box
        if not (0.0 <= left < right <= 1.0 and 0.0 <= top < bottom <= 1.0):
            raise ValueError(
                f"crop_box of {self.video_id!r} is {self.crop_box}; expected fractions "
                "0 <= left < right <= 1 and 0 <= top < bottom <= 1"
            )
        if not self.frame_indices or min(self.frame_indices) < 0:
            raise ValueError(
                f"frame_indices of {self.video_id!r} are {self.frame_indices}; "
                "expected at least one index, none negative"
            )


@dataclass(frozen=True, slots=True, order=True)
class TapSpec:
    """A named layer of a teacher and what is kept of its output.

    Reductions of a map F of shape (C, T, H, W): ``full`` keeps it; ``pooled`` is its mean over
    T, H, W, shape (C,); ``moments`` its mean and standard deviation over T, H, W, shape (2, C);
    ``spatial_attention`` the mean over channels of F squared, shape (T, H, W).
    """

    layer: str
    reduction: Reduction

    @property
    def key(self) -> str:
        """Name of the tap in signals and caches, for example ``Mixed_5c.full``."""
        return f"{self.layer}.{self.reduction}"

    @classmethod
    def parse(cls, key: str) -> "TapSpec":
        """Read a key back.

        Raises:
            ValueError: it has no layer or no known reduction.
        """
        layer, _, reduction = key.rpartition(".")
        for known in REDUCTIONS:
            if layer and reduction == known:
                return cls(layer, known)
        raise ValueError(
            f"tap {key!r} ends in no reduction; expected <layer>.<reduction> with one of "
            f"{', '.join(REDUCTIONS)}"
        )


@dataclass(frozen=True, slots=True)
class TeacherSignal:
    """What a teacher says about a batch, from a cache or live.

    Attributes:
        logits: (B, K), unnormalised, averaged over time; None where nobody needs them.
        features: tap key to tensor, batch first, shapes as in `TapSpec`.
        attention: layer to the teacher's attention (B, C, T), as ``represent`` learned it.
        modules: frozen modules that travel with the cache, by name (``attention_head``, ``cvae``,
            ``classifier``); their parameters do not require gradients.
    """

    logits: Float[Tensor, "batch classes"] | None = None
    features: Mapping[str, Tensor] = field(default_factory=dict)
    attention: Mapping[str, Float[Tensor, "batch _channels _time"]] = field(default_factory=dict)
    modules: Mapping[str, nn.Module] = field(default_factory=dict)

    def to(self, device: torch.device) -> "TeacherSignal":
        """The same signal with its tensors on a device; the modules are there already."""
        return TeacherSignal(
            logits=None if self.logits is None else self.logits.to(device),
            features={key: value.to(device) for key, value in self.features.items()},
            attention={layer: value.to(device) for layer, value in self.attention.items()},
            modules=self.modules,
        )


@dataclass(frozen=True, slots=True)
class StudentOutput:
    """What a student computed for a batch.

    Attributes:
        logits: (B, K), averaged over time.
        features: layer to its map (B, C, T, H, W), before attention.
        attention: (B, C, T) of the student's attention head, or None where it has none.
        frame_logits: (B, K, T'), before averaging over time; the released code's classifier loss
            needs them.
    """

    logits: Float[Tensor, "batch classes"]
    features: Mapping[str, Float[Tensor, "batch _channels _time _height _width"]]
    attention: Float[Tensor, "batch channels time"] | None = None
    frame_logits: Float[Tensor, "batch classes steps"] | None = None


Item = TypeVar("Item")


@runtime_checkable
class Progress(Protocol):
    """Shows long work. The library calls it; the command line draws it."""

    def track(
        self, items: Iterable[Item], *, description: str, total: int, unit: str, done: int = 0
    ) -> Iterable[Item]:
        """Pass items through, counting them. ``done`` of ``total`` were finished earlier."""

    def note(self, message: str) -> None:
        """Say one line without disturbing the bars."""


class Silent:
    """A `Progress` that shows nothing: the default of every function that takes one."""

    def track(
        self,
        items: Iterable[Item],
        *,
        description: str,  # noqa: ARG002 - as the protocol has it
        total: int,  # noqa: ARG002
        unit: str,  # noqa: ARG002
        done: int = 0,  # noqa: ARG002
    ) -> Iterable[Item]:
        """Pass items through."""
        return items

    def note(self, message: str) -> None:
        """Say nothing."""

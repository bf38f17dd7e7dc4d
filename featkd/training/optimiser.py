"""Optimisers and learning-rate schedules, as a recipe names them."""

import math
from collections.abc import Iterable
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from featkd.types import Spec


class OptimiserSpec(Spec):
    """An optimiser with its schedule. One step of the schedule is one batch."""

    kind: Literal["sgd", "adam", "adamw"] = "sgd"
    """Update rule."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Highest learning rate."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum of ``sgd``; the first beta of ``adam`` and ``adamw``."""
    beta2: Annotated[float, Field(gt=0, lt=1)] = 0.999
    """Second beta of ``adam`` and ``adamw``."""
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    """Pull towards zero."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Shape after the warm-up: flat, or half a cosine down to zero."""
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    """Epochs of linear rise from zero."""
    clip_grad_norm: Annotated[float, Field(gt=0)] | None = None
    """Largest norm of the whole gradient; longer ones are shortened."""


class Optimiser:
    """An optimiser and its schedule over one set of parameters.

    Args:
        spec: what to build.
        parameters: what it moves.
        steps_per_epoch: batches an epoch.
        num_epochs: epochs of the whole run; the cosine ends there.
    """

    def __init__(
        self,
        spec: OptimiserSpec,
        parameters: Iterable[nn.Parameter],
        *,
        steps_per_epoch: int,
        num_epochs: int,
    ) -> None:
        self.spec = spec
        self._parameters = [p for p in parameters if p.requires_grad]
        self._rule = _build_rule(spec, self._parameters)
        warmup_steps = spec.warmup_epochs * steps_per_epoch
        total_steps = max(1, num_epochs * steps_per_epoch)

        def factor(step: int) -> float:
            if step < warmup_steps:
                return (step + 1) / (warmup_steps + 1)
            if spec.schedule == "constant":
                return 1.0
            done = (step - warmup_steps) / max(1.0, total_steps - warmup_steps)
            return 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))

        self._schedule = LambdaLR(self._rule, factor)

    @property
    def learning_rate(self) -> float:
        """The rate of the next step."""
        return float(self._schedule.get_last_lr()[0])

    def step(self, loss: torch.Tensor) -> None:
        """Back-propagate a scalar loss and move the parameters once."""
        self._rule.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.spec.clip_grad_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters, self.spec.clip_grad_norm)
        self._rule.step()
        self._schedule.step()

    def state_dict(self) -> dict[str, object]:
        """State of rule and schedule."""
        schedule = self._schedule.state_dict()
        schedule.pop("lr_lambdas", None)
        return {"rule": self._rule.state_dict(), "schedule": schedule}

    def load_state_dict(self, state: dict[str, dict[str, object]]) -> None:
        """Go on from a saved state."""
        self._rule.load_state_dict(state["rule"])
        self._schedule.load_state_dict({"lr_lambdas": [None], **state["schedule"]})


def _build_rule(spec: OptimiserSpec, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    rate, decay = spec.learning_rate, spec.weight_decay
    if spec.kind == "sgd":
        return torch.optim.SGD(parameters, rate, momentum=spec.momentum, weight_decay=decay)
    rule = torch.optim.Adam if spec.kind == "adam" else torch.optim.AdamW
    return rule(parameters, rate, betas=(spec.momentum, spec.beta2), weight_decay=decay)

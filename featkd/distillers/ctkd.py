"""Curriculum temperature: the temperature learns to make distillation harder, step by step."""

import math
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from featkd.distillers.base import (
    Distiller,
    DistillerConfig,
    LossTerm,
    LossTerms,
    cross_entropy_term,
)
from featkd.distillers.requirements import Requirements, pick_logits
from featkd.distillers.shapes import Shapes
from featkd.representation import full_precision
from featkd.types import StudentOutput, TeacherSignal

Schedule = Literal["cosine", "linear"]


class CTKDConfig(DistillerConfig):
    """Settings of curriculum temperature; the defaults are those used on CIFAR-100."""

    aliases = ("curriculum_temperature", "ctkd_curriculum")

    kind: Literal["ctkd"] = "ctkd"
    temperature: Literal["global", "instance"] = "global"
    """``global``: one temperature for all; ``instance``: one for each sample, from both logits."""
    tau_min: PositiveFloat = 1.0
    """Lower bound of the temperature."""
    tau_range: PositiveFloat = 20.0
    """Upper minus lower bound."""
    hidden: PositiveInt = 128
    """Width of the network that gives each sample its temperature; unused with ``global``."""
    schedule: Schedule = "cosine"
    """How the reversal grows; ``linear`` stops one epoch short of its full strength."""
    curriculum_epochs: PositiveInt = 10
    """Epochs over which it grows."""
    kd_weight: NonNegativeFloat = 0.9
    ce_weight: NonNegativeFloat = 0.1

    @model_validator(mode="after")
    def _reversal_grows(self) -> "CTKDConfig":
        if self.schedule == "linear" and self.curriculum_epochs == 1:
            raise ValueError(
                "curriculum_epochs is 1 and schedule 'linear', which never moves the temperature; "
                "expected 2 epochs or more, or schedule 'cosine'"
            )
        return self

    @property
    def requires(self) -> Requirements:
        """The teacher's logits."""
        return Requirements(logits=True)


class CTKD(Distiller[CTKDConfig]):
    """``ce_weight * CE + kd_weight * tau^2 * KL(p_t || p_s)`` with a temperature tau that learns.

    Curriculum Temperature for Knowledge Distillation (Li et al., AAAI 2023). The student lowers the
    loss and the temperature raises it: its gradient is multiplied by `curriculum_multiplier`,
    which falls from 0 to -1. The gradient goes through ``tau^2`` too.

    ``modules["temperature"]`` shares the student's optimiser, as in the authors' code, and so gets
    its learning rate and its weight decay. A rate that is too high drives tau to a bound within an
    epoch, which the logged ``temperature`` shows.
    """

    def __init__(self, config: CTKDConfig, shapes: Shapes) -> None:
        """Build the distiller and its temperature.

        Raises:
            ModelError: Student and teacher have different numbers of classes.
        """
        super().__init__(config)
        shapes.require_same_classes("ctkd")
        self.modules["temperature"] = (
            GlobalTemperature(config.tau_min, config.tau_range)
            if config.temperature == "global"
            else InstanceTemperature(
                shapes.student_classes, config.hidden, config.tau_min, config.tau_range
            )
        )

    def __call__(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,
        labels: Int[Tensor, " batch"],
        epoch: int,
    ) -> LossTerms:
        """Compute ``cross_entropy``, ``ctkd``, and to look at, ``temperature``.

        The last, of weight 0, is the mean tau of the batch.
        """
        config, target = self.config, pick_logits(teacher.logits)
        multiplier = curriculum_multiplier(epoch, config.curriculum_epochs, config.schedule)
        tau = self.modules["temperature"](student.logits, target)
        loss = ctkd_loss if config.temperature == "global" else instance_ctkd_loss
        distilled = loss(student.logits, target, scale_gradient(tau, multiplier))
        return LossTerms(
            (
                cross_entropy_term(student, labels, config.ce_weight),
                LossTerm("ctkd", config.kd_weight, distilled),
                LossTerm("temperature", 0.0, tau.detach().mean()),
            )
        )


class GlobalTemperature(nn.Module):
    """``tau = tau_min + tau_range * sigmoid(theta)`` with one theta, at first 1."""

    def __init__(self, tau_min: float, tau_range: float) -> None:
        super().__init__()
        self.tau_min = tau_min
        self.tau_range = tau_range
        self.theta = nn.Parameter(torch.ones(1))

    def forward(
        self,
        student_logits: Float[Tensor, "batch classes"],  # noqa: ARG002 (as InstanceTemperature)
        teacher_logits: Float[Tensor, "batch classes"],  # noqa: ARG002
    ) -> Float[Tensor, "1"]:
        """Give the temperature, whatever the logits."""
        return self.tau_min + self.tau_range * full_precision(self.theta).sigmoid()


class InstanceTemperature(nn.Module):
    """A temperature for each sample: ``tau_min + tau_range * sigmoid(MLP(z_s, z_t))``.

    The authors describe two layers and have not published them. These are linear, 2K -> hidden,
    ReLU, and linear, hidden -> 1. The last bias starts at 1, as theta does. The logits are inputs
    only: no gradient flows to them.
    """

    def __init__(self, classes: int, hidden: int, tau_min: float, tau_range: float) -> None:
        super().__init__()
        self.tau_min = tau_min
        self.tau_range = tau_range
        self.hidden = nn.Linear(2 * classes, hidden)
        self.output = nn.Linear(hidden, 1)
        nn.init.ones_(self.output.bias)

    def forward(
        self,
        student_logits: Float[Tensor, "batch classes"],
        teacher_logits: Float[Tensor, "batch classes"],
    ) -> Float[Tensor, " batch"]:
        """Give the temperatures of a batch."""
        pair = torch.cat([student_logits.detach(), teacher_logits.detach()], dim=1)
        hidden = self.hidden(pair.to(self.hidden.weight.dtype)).relu()
        theta = full_precision(self.output(hidden).squeeze(dim=1))
        return self.tau_min + self.tau_range * theta.sigmoid()


def curriculum_multiplier(epoch: int, num_epochs: int, schedule: Schedule) -> float:
    """Factor of the temperature's gradient in an epoch, 0 or below.

    Cosine: ``(cos(pi * min(e, E) / E) + 1) / 2 - 1``, from 0 at epoch 0 to -1 at epoch E.
    Linear: ``-min(e, E - 1) / E``, which stops at ``-(E - 1) / E`` as the authors' code does.

    Args:
        epoch: e, counted from 1.
        num_epochs: E.
        schedule: Which of the two.
    """
    if schedule == "linear":
        return -min(epoch, num_epochs - 1) / num_epochs
    return (math.cos(math.pi * min(epoch, num_epochs) / num_epochs) + 1) / 2 - 1


def ctkd_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    tau: Float[Tensor, "1"],
) -> Float[Tensor, ""]:
    """Compute ``tau^2 * KL(softmax(z_t / tau) || softmax(z_s / tau))``, averaged over the batch.

    Args:
        student_logits: z_s.
        teacher_logits: z_t; no gradient flows to them.
        tau: The temperature of all samples; gradient flows to it, through the factor too.
    """
    student, target = _soften(student_logits, teacher_logits, tau)
    divergence = F.kl_div(student, target, reduction="batchmean", log_target=True)
    return tau.squeeze().square() * divergence


def instance_ctkd_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    tau: Float[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """Compute the mean over samples of ``tau^2 * sum p * log(p / p_s)``, each with its own tau.

    Here ``p = p_t + 1e-7``, as in the authors' code for single samples.

    Args:
        student_logits: z_s.
        teacher_logits: z_t; no gradient flows to them.
        tau: The temperature of each sample; gradient flows to it, through the factor too.
    """
    student, target = _soften(student_logits, teacher_logits, tau[:, None])
    divergences = F.kl_div(student, target.exp() + 1e-7, reduction="none").sum(dim=1)
    return (tau.square() * divergences).mean()


def scale_gradient(tensor: Tensor, factor: float) -> Tensor:
    """Give the tensor as it is, with its gradient multiplied; below 0 reverses it."""
    scaled: Tensor = _ScaleGradient.apply(tensor, factor)  # type: ignore[no-untyped-call]
    return scaled


class _ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.factor * gradients[0], None


def _soften(student_logits: Tensor, teacher_logits: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
    """Log probabilities of both at a temperature."""
    student = (full_precision(student_logits) / tau).log_softmax(dim=1)
    return student, (full_precision(teacher_logits.detach()) / tau).log_softmax(dim=1)

"""A tiny student and teacher: maps of (6, 4, 3, 3), 5 classes, one head of each kind."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from featkd.representation import CVAE, PaperAttentionHead, attended_feature
from featkd.types import LinearClassifier, StudentOutput, TeacherSignal


@pytest.fixture(autouse=True)
def seed():
    """Build every module from the same draw."""
    torch.manual_seed(0)


class TinyStudent(nn.Module):
    """One convolution for a backbone, an attention head and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Conv3d(3, 6, 1)
        self.head = PaperAttentionHead(6, (3, 3))
        self.classifier = nn.Linear(6, 5)

    def forward(self, clips):
        features = self.backbone(clips)
        attention = self.head(features)
        attended = attended_feature(features, attention)
        frame_logits = self.classifier(attended.mean(dim=(3, 4)).transpose(1, 2)).transpose(1, 2)
        return StudentOutput(
            logits=frame_logits.mean(dim=2),
            features={"Mixed_5c": features},
            attention=attention,
            frame_logits=frame_logits,
            clips=clips,
            classifier=LinearClassifier(self.classifier.weight, self.classifier.bias),
            projected=features.relu(),
        )


@pytest.fixture
def student():
    torch.manual_seed(1)
    return TinyStudent().double()


@pytest.fixture
def clips():
    return torch.randn(
        3, 3, 4, 3, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )


@pytest.fixture
def labels():
    return torch.tensor([0, 4, 2])


@pytest.fixture
def make_signal() -> Callable[..., TeacherSignal]:
    """Make a teacher signal that serves every distiller; the map's shape can be chosen."""

    def make(shape=(6, 4, 3, 3), classes=5):
        generator = torch.Generator().manual_seed(3)

        def draw(*shape):
            return torch.randn(3, *shape, generator=generator, dtype=torch.float64)

        channels, time, height, width = shape
        cvae = CVAE(channels, (height, width)).double()
        # Trainable on purpose: distillers must not reach it even then.
        return TeacherSignal(
            logits=draw(classes).requires_grad_(),
            features={
                "Mixed_5c.full": draw(*shape).requires_grad_(),
                "Mixed_5c.pooled": draw(channels).requires_grad_(),
                "Mixed_5c.moments": draw(2, channels).abs().requires_grad_(),
                "Mixed_5c.spatial_attention": draw(time, height, width).exp().requires_grad_(),
                "Mixed_5c.frame_moments": draw(2, channels, time).abs().requires_grad_(),
            },
            attention={"Mixed_5c": draw(channels, time).sigmoid().requires_grad_()},
            classifier=LinearClassifier(
                draw(classes, channels)[0].clone().requires_grad_(),
                draw(classes)[0].requires_grad_(),
            ),
            modules={"cvae": cvae},
        )

    return make


@pytest.fixture
def signal(make_signal):
    return make_signal()

"""Each distiller of features, left without labels, brings a student closer to its teacher."""

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from featkd.distillers import CROSS_ENTROPY, DistillerSpec, Shapes, build_distiller
from featkd.models.taps import reduce_map
from featkd.types import REDUCTIONS, LinearClassifier, StudentOutput, TeacherSignal

NUM_STEPS = 80
# What is left of the distiller's own loss after training; for a logarithm, how much it falls.
KINDS = {
    "fitnets": ({}, 0.5),
    "fn": ({"cap": 1.0}, 0.8),
    "mgd": ({}, 0.5),
    "simkd": ({}, 0.5),
    "vkd": ({}, 0.8),
    "wkd": ({}, 0.3),
    "wkd frame": ({"cells": "frame", "projector": "linear"}, 0.3),
    "wkd grid": ({"cells": (2, 1, 1), "projector": "linear"}, 0.3),
}


class Student(nn.Module):
    """One convolution, a classifier and a projector to eight channels."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv3d(3, 6, 3, padding=1), nn.ReLU())
        self.classifier = nn.Linear(6, 2)
        self.projector = nn.Sequential(nn.Conv3d(6, 8, 1), nn.BatchNorm3d(8), nn.ReLU())

    def forward(self, clips):
        features = self.backbone(clips)
        return StudentOutput(
            logits=self.classifier(features.mean(dim=(2, 3, 4))),
            features={"Mixed_5c": features},
            classifier=LinearClassifier(self.classifier.weight, self.classifier.bias),
            projected=self.projector(features),
        )


@pytest.fixture
def lesson():
    """Clips of two classes, that move to the left or to the right, and a teacher's answer."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([0, 1] * 8)
    frames = torch.randn(16, 3, 1, 5, 5, generator=generator)
    clips = torch.cat(
        [
            torch.stack(
                [f.roll(t * (1 - 2 * int(y)), -1) for f, y in zip(frames, labels, strict=True)]
            )
            for t in range(4)
        ],
        dim=2,
    )
    kernel = torch.randn(8, 3, 3, 3, 3, generator=generator) / 9
    with torch.no_grad():
        maps = nn.functional.conv3d(clips, kernel, padding=1).relu()
    classifier = LinearClassifier(torch.randn(2, 8, generator=generator), torch.zeros(2))
    return (
        clips,
        labels,
        TeacherSignal(
            logits=classifier(maps.mean(dim=(2, 3, 4))),
            features={f"Mixed_5c.{name}": reduce_map(maps, name) for name in REDUCTIONS},
            classifier=classifier,
        ),
    )


def own_loss(terms):
    return sum(term.weight * term.value for term in terms if term.name != CROSS_ENTROPY)


def learn(settings, lesson):
    """Train without labels; gives the distiller's own loss at each step."""
    clips, labels, signal = lesson
    student = Student()
    config = TypeAdapter(DistillerSpec).validate_python({**settings, "ce_weight": 0})
    distiller = build_distiller(config, Shapes.measure(student(clips), signal))
    optimiser = torch.optim.Adam([*student.parameters(), *distiller.modules.parameters()], lr=1e-2)
    losses = []
    for step in range(NUM_STEPS):
        terms = distiller(student(clips), signal, labels, epoch=step + 1)
        optimiser.zero_grad()
        terms.total.backward()
        optimiser.step()
        losses.append(own_loss(terms).item())
    return losses


@pytest.mark.parametrize("name", sorted(KINDS))
def test_distillers__lower_their_own_loss(name, lesson):
    settings, left = KINDS[name]
    losses = learn({"kind": name.split()[0], **settings}, lesson)
    assert sum(losses[-5:]) / 5 < left * losses[0]


def test_srd__lowers_its_logarithm(lesson):
    losses = learn({"kind": "srd"}, lesson)
    assert losses[-1] < losses[0] - 1

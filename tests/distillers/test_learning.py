"""A few steps on one batch: every distiller can teach what it measures."""

import pytest
import torch
from pydantic import TypeAdapter

from featkd.distillers import CROSS_ENTROPY, DistillerSpec, Shapes, build_distiller

SPEC = TypeAdapter(DistillerSpec)
KINDS = {
    "kd": {},
    "ctkd": {},
    "ctkd_instance": {"kind": "ctkd", "temperature": "instance", "hidden": 8},
    "dkd": {},
    "dkd_standardised": {"kind": "dkd", "tau": 2, "standardise": True},
    "lskd": {},
    "dist": {},
    "ttm": {},
    "wttm": {},
    "wkd_logit": {},
}
"""Settings of what is tried; ``kind`` is the key where they do not name another."""


@pytest.mark.parametrize("name", KINDS)
def test_distiller__lowers_its_own_terms(name, student, clips, labels, signal):
    config = SPEC.validate_python({"kind": name, **KINDS[name]})
    distiller = build_distiller(config, Shapes.measure(student(clips), signal))
    distiller.modules.double()
    optimiser = torch.optim.Adam([*student.parameters(), *distiller.modules.parameters()], 0.01)
    losses = []
    for _ in range(40):
        terms = distiller(student(clips), signal, labels, epoch=1)
        own = sum(term.weight * term.value for term in terms if term.name != CROSS_ENTROPY)
        losses.append(own.item())
        optimiser.zero_grad()
        own.backward()
        optimiser.step()
    assert losses[-1] < 0.5 * losses[0]

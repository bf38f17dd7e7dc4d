"""Distillers of logits against the original authors' code, in float64 unless it forces float32."""

import pytest
import torch

from featkd.distillers import (
    DIST,
    DKD,
    LSKD,
    TTM,
    DISTConfig,
    DKDConfig,
    LSKDConfig,
    Shapes,
    TTMConfig,
    WKDLogit,
    WKDLogitConfig,
)
from featkd.distillers.ctkd import (
    GlobalTemperature,
    ctkd_loss,
    curriculum_multiplier,
    scale_gradient,
)
from featkd.distillers.lskd import standardise_logits
from featkd.distillers.wkd_logit import class_cost
from featkd.types import LinearClassifier, StudentOutput, TeacherSignal


def assert_close(actual, expected, tolerance=1e-6):
    """Equal within the tolerance times the expected tensor's size."""
    assert actual.shape == expected.shape
    assert (actual - expected).norm() <= tolerance * expected.norm()


def compute_terms(case, distiller_class, config, labels=None, classifier=None):
    """The student's logits and what the distiller makes of them, at the end of all ramps."""
    logits = case.input("logits_s").requires_grad_()
    student = StudentOutput(logits, {})
    teacher = TeacherSignal(logits=case.input("logits_t"), classifier=classifier)
    if labels is None:
        labels = torch.zeros(len(logits), dtype=torch.long)
    distiller = distiller_class(config, Shapes.measure(student, teacher))
    return logits, distiller(student, teacher, labels, epoch=1000)


@pytest.mark.parametrize("name", ["ctkd_curr.lam0.0", "ctkd_curr.lam0.5"])
def test_ctkd__golden(golden, name):
    case = golden(name)
    student, teacher = case.input("logits_s").requires_grad_(), case.input("logits_t")
    temperature = GlobalTemperature(case.setting("t_start"), case.setting("t_end")).double()
    torch.testing.assert_close(temperature.theta.data, case.weight("theta"))
    tau = temperature(student, teacher)
    loss = ctkd_loss(student, teacher, scale_gradient(tau, case.setting("grl_lambda")))
    loss.backward()
    assert_close(tau, case.output("temperature"))
    assert_close(loss, case.output("loss"))
    assert_close(student.grad, case.gradient("logits_s"))
    assert_close(temperature.theta.grad, case.gradient("theta"))


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_curriculum_multiplier__golden(golden, schedule):
    case = golden("ctkd_curr.schedule")
    num_epochs = int(case.setting("num_loops"))
    multipliers = [
        curriculum_multiplier(epoch, num_epochs, schedule)
        for epoch in case.input("epochs").tolist()
    ]
    assert_close(torch.tensor(multipliers, dtype=torch.float64), case.output(schedule))


@pytest.mark.parametrize("name", ["dkd.default", "dkd.nckd_only"])
def test_dkd__golden(golden, name):
    case = golden(name)
    config = DKDConfig(
        tau=case.setting("T"),
        alpha=case.setting("alpha"),
        beta=case.setting("beta"),
        warmup_epochs=int(case.setting("warmup_epochs")),
        ce_weight=0,
    )
    logits, terms = compute_terms(case, DKD, config, case.input("target"))
    terms.total.backward()
    assert_close(terms.total, case.output("loss"))
    assert_close(logits.grad, case.gradient("logits_s"))


def test_dkd__golden_warmup(golden):
    case = golden("dkd.default")
    student = StudentOutput(case.input("logits_s"), {})
    teacher = TeacherSignal(logits=case.input("logits_t"))
    config = DKDConfig(alpha=1, warmup_epochs=int(case.setting("warmup_epochs")))
    dkd = DKD(config, Shapes.measure(student, teacher))
    weights = [
        {term.name: term.weight for term in dkd(student, teacher, case.input("target"), epoch)}
        for epoch in (0, 1, 10, 20, 30)
    ]
    factors = torch.tensor([weight["tckd"] for weight in weights], dtype=torch.float64)
    assert_close(factors, case.output("warmup_factor_epochs_0_1_10_20_30"))


def test_lskd__golden(golden):
    case = golden("lskd.kd")
    config = LSKDConfig(tau=case.setting("T"), kd_weight=1, ce_weight=0)
    logits, terms = compute_terms(case, LSKD, config)
    terms.total.backward()
    assert_close(standardise_logits(logits), case.output("z_s"))
    assert_close(standardise_logits(case.input("logits_t")), case.output("z_t"))
    assert_close(terms.total, case.output("loss"))
    assert_close(logits.grad, case.gradient("logits_s"))


def test_dist__golden(golden):
    case = golden("dist.tau4")
    config = DISTConfig(
        tau=case.setting("tau"),
        beta=case.setting("beta"),
        gamma=case.setting("gamma"),
        ce_weight=0,
    )
    logits, terms = compute_terms(case, DIST, config)
    terms.total.backward()
    # The original multiplies the sum of both by tau^2, ours each.
    relations = {name: value / config.tau**2 for name, value in terms.unweighted().items()}
    assert_close(relations["inter"], case.output("inter"))
    assert_close(relations["intra"], case.output("intra"))
    assert_close(terms.total, case.output("loss"))
    assert_close(logits.grad, case.gradient("logits_s"))


def test_ttm__golden(golden):
    case = golden("ttm.ttm")
    config = TTMConfig(exponent=case.setting("l"), kd_weight=1, ce_weight=0)
    logits, terms = compute_terms(case, TTM, config)
    terms.total.backward()
    assert_close(terms.total, case.output("loss"))
    assert_close(logits.grad, case.gradient("logits_s"))


def test_wkd_logit__golden(golden):
    case = golden("wkd_l.separation")
    prototypes = case.input("class_prototypes")
    classifier = LinearClassifier(prototypes, torch.zeros(len(prototypes)))
    config = WKDLogitConfig(
        tau=case.setting("T"),
        gamma=case.setting("gamma"),
        sharpening=case.setting("sharpen"),
        entropy_weight=case.setting("sinkhorn_lambda"),
        num_iterations=int(case.setting("sinkhorn_iter")),
        ce_weight=0,
    )
    logits, terms = compute_terms(case, WKDLogit, config, case.input("target"), classifier)
    terms.total.backward()
    assert_close(class_cost(prototypes, config.sharpening).float(), case.input("cost"))
    assert_close(terms.total, case.output("loss"), tolerance=1e-5)
    assert_close(logits.grad, case.gradient("logits_s"), tolerance=1e-5)

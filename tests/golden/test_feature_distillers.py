"""Distillers of features against the original authors' code, in float64.

Maps of images are maps of one time step here, and 2D kernels are kernels of extent 1 in time.
"""

import pytest
import torch
from torch.nn import functional as F

from featkd.distillers import (
    FN,
    MGD,
    WKD,
    FitNets,
    FitNetsConfig,
    FNConfig,
    MGDConfig,
    Shapes,
    SimKD,
    SimKDConfig,
    VkD,
    VkDConfig,
    WKDConfig,
)
from featkd.distillers.fitnets import hint_regression_loss
from featkd.distillers.fn import cap_norm, soft_cross_entropy
from featkd.distillers.layer import student_pooled
from featkd.distillers.vkd import normalised_target_loss
from featkd.distillers.wkd import cell_moments
from featkd.models import Projector, ProjectorSpec
from featkd.models.taps import reduce_map
from featkd.types import LinearClassifier, StudentOutput, TeacherSignal


def assert_close(actual, expected):
    """Equal within 1e-6 of the expected tensor's size, so that zeros do not make it lax."""
    assert actual.shape == expected.shape
    assert (actual - expected).norm() <= 1e-6 * expected.norm()


def with_time(tensor):
    """A map (B, C, H, W) or a kernel (out, in, H, W) with an axis of time; others as they are."""
    return tensor.unsqueeze(2) if tensor.ndim == 4 else tensor


def weights(case, layers):
    """The published module's tensors under our names, with an axis of time."""
    state = {}
    for ours, theirs in layers.items():
        for name in case.names("w"):
            layer, _, part = name.rpartition(".")
            if layer == theirs:
                state[f"{ours}.{part}"] = with_time(case.weight(name))
    return state


def output(features=None, *, batch=None, **more):
    """Give a student output with one layer; its logits play no part."""
    batch = len(features) if batch is None else batch
    logits = torch.zeros(batch, 2, dtype=torch.float64)
    return StudentOutput(logits, {} if features is None else {"a": features}, **more)


def labels(batch):
    return torch.zeros(batch, dtype=torch.long)


def test_fn__golden(golden):
    case = golden("fn.cap2")
    features = case.input("feat_s").requires_grad_()
    weight = case.input("Ws").requires_grad_()
    own = LinearClassifier(weight, case.input("bs"))
    student = StudentOutput(own(features), {"a": features[:, :, None, None, None]}, classifier=own)
    signal = TeacherSignal(
        features={"a.pooled": case.input("feat_t")},
        classifier=LinearClassifier(case.input("Wt"), case.input("bt")),
    )
    config = FNConfig(layer="a", cap=case.setting("cap"), weight=case.setting("weight"))
    fn = FN(config, Shapes.measure(student, signal))
    terms = fn(student, signal, case.input("target"), epoch=1)
    terms.total.backward()
    assert_close(student.logits, case.output("logits_s"))
    assert_close(terms.unweighted()["cross_entropy"], case.output("ce").mean())
    assert_close(terms.unweighted()["fn"], case.output("soft_ce").mean())
    assert_close(terms.total, case.output("loss_mean"))
    assert_close(features.grad, case.gradient("feat_s"))
    assert_close(weight.grad, case.gradient("Ws"))


def test_fn_capped_logits__golden(golden):
    case = golden("fn.cap2")
    capped = {}
    for side in "st":
        classifier = LinearClassifier(case.input(f"W{side}"), case.input(f"b{side}"))
        capped[side] = classifier(cap_norm(case.input(f"feat_{side}"), case.setting("cap")))
        assert_close(capped[side], case.output(f"capped_logits_{side}"))
    assert_close(soft_cross_entropy(capped["s"], capped["t"]), case.output("soft_ce").mean())


@pytest.mark.parametrize("name", ["fitnet.same", "fitnet.half", "fitnet.fold5d"])
def test_fitnets__golden(golden, name):
    case = golden(name)
    features = case.input("feat_s").requires_grad_()
    student = output(with_time(features))
    signal = TeacherSignal(features={"a.full": with_time(case.input("feat_t"))})
    fitnets = FitNets(FitNetsConfig(layer="a", ce_weight=0), Shapes.measure(student, signal))
    regressor = fitnets.modules["regressor"].double()
    regressor.load_state_dict(weights(case, {"convolution": "conv", "norm": "bn"}))
    terms = fitnets(student, signal, labels(len(features)), epoch=1)
    (terms.total / 100).backward()
    assert_close(terms.unweighted()["hint"], case.output("loss"))
    assert_close(features.grad, case.gradient("feat_s"))
    gradient = regressor.convolution.weight.grad
    assert_close(gradient.squeeze(2), case.gradient("conv_weight"))
    if "proj" in case.names("out"):
        projected = regressor(with_time(features))
        assert_close(projected, with_time(case.output("proj")))


def test_hint_regression_loss__golden(golden):
    case = golden("fitnet.plain_mse_5d")
    features = case.input("feat_s").requires_grad_()
    loss = hint_regression_loss(features, case.input("feat_t"))
    loss.backward()
    assert_close(loss, case.output("loss"))
    assert_close(features.grad, case.gradient("feat_s"))


@pytest.mark.parametrize(
    ("name", "mask"), [("mgd.cls_channelmask", "channel"), ("mgd.det_spatialmask", "position")]
)
def test_mgd__golden(golden, name, mask):
    case = golden(name)
    features = case.input("feat_s").requires_grad_()
    student = output(with_time(features))
    signal = TeacherSignal(features={"a.full": with_time(case.input("feat_t"))})
    config = MGDConfig(
        layer="a",
        mask=mask,
        mask_ratio=case.setting("lambda_mgd"),
        reduction="sum",
        weight=case.setting("alpha_mgd"),
        ce_weight=0,
    )
    mgd = MGD(config, Shapes.measure(student, signal))
    mgd.modules.double().load_state_dict(
        weights(
            case,
            {
                "aligner.projector": "align",
                "generation.0": "generation.0",
                "generation.2": "generation.2",
            },
        )
    )
    terms = mgd.terms(student, signal, labels(3), with_time(case.input("uniform")))
    terms.total.backward()
    assert_close(terms.unweighted()["mgd"], case.output("loss_unweighted"))
    assert_close(terms.total, case.output("loss"))
    assert_close(features.grad, case.gradient("feat_s"))
    gradient = mgd.modules["generation"][0].weight.grad
    assert_close(gradient.squeeze(2), case.gradient("generation0_weight"))


@pytest.mark.parametrize("name", ["simkd.same", "simkd.student_larger"])
def test_simkd__golden(golden, name):
    case = golden(name)
    features, target = case.input("feat_s").requires_grad_(), with_time(case.input("feat_t"))
    projector = Projector(
        features.shape[1],
        target.shape[1],
        ProjectorSpec(reduction=int(case.setting("factor"))),
        size=tuple(target.shape[2:]),
    ).double()
    layers = {f"layers.{index}": f"transfer.{index}" for index in (0, 1, 3, 4, 6, 7)}
    projector.load_state_dict(weights(case, layers))
    classifier = LinearClassifier(case.weight("cls_t.weight"), case.weight("cls_t.bias"))
    signal = TeacherSignal(features={"Mixed_5c.full": target}, classifier=classifier)

    projected = projector(with_time(features))
    student = output(with_time(features), projected=projected)
    simkd = SimKD(SimKDConfig(), Shapes.measure(student, signal))
    terms = simkd(student, signal, labels(len(features)), epoch=1)
    terms.total.backward()
    assert_close(projected, with_time(case.output("proj_s")))
    assert_close(classifier(projected.mean(dim=(2, 3, 4))), case.output("pred"))
    assert_close(terms.total, case.output("loss"))
    assert_close(features.grad, case.gradient("feat_s"))
    assert_close(projector.layers[0].weight.grad.squeeze(2), case.gradient("transfer0_weight"))
    assert_close(projector.layers[7].running_mean, case.output("running_mean_last"))
    assert_close(projector.layers[7].running_var, case.output("running_var_last"))
    with torch.no_grad():
        evaluated = projector.eval()(with_time(features))
    assert_close(evaluated, with_time(case.output("eval_proj_s")))
    assert_close(classifier(evaluated.mean(dim=(2, 3, 4))), case.output("eval_pred"))


@pytest.mark.parametrize("name", ["vkd.narrow_student", "vkd.equal"])
def test_vkd__golden(golden, name):
    case = golden(name)
    tokens = case.input("feat_s").requires_grad_()
    # Tokens (B, N, C) are positions of a map.
    student = output(tokens.transpose(1, 2)[..., None, None])
    pooled = case.input("feat_t").mean(dim=(2, 3))
    signal = TeacherSignal(features={"a.pooled": pooled})
    vkd = VkD(VkDConfig(layer="a", ce_weight=0, kd_weight=0), Shapes.measure(student, signal))
    projector = vkd.modules["projector"].double()
    projector.load_state_dict(
        {
            "parametrizations.weight.original": case.weight("projector_original"),
            "parametrizations.weight.0.base": case.weight("projector_base"),
        }
    )
    terms = vkd(student, signal, labels(len(tokens)), epoch=1)
    terms.total.backward()
    projected = projector(student_pooled(student.features, "a"))
    assert_close(projector.weight, case.weight("projector"))
    assert_close(projected, case.output("proj_s"))
    assert_close(F.layer_norm(pooled, pooled.shape[1:]), case.output("target_t"))
    assert_close(normalised_target_loss(projected, pooled), case.output("loss"))
    assert_close(terms.total, case.output("loss"))
    assert_close(tokens.grad, case.gradient("feat_s"))


@pytest.mark.parametrize(("name", "grid"), [("wkd_f.grid1", 1), ("wkd_f.grid4", 4)])
def test_wkd__golden(golden, name, grid):
    case = golden(name)
    assert case.setting("grid") == grid
    features = case.input("feat_s").requires_grad_()
    student = output(with_time(features))
    signal = TeacherSignal(features={"a.full": with_time(case.input("feat_t"))})
    config = WKDConfig(
        layer="a",
        cells=(1, grid, grid),
        projector=None,
        weight=1,
        mean_std_ratio=case.setting("mean_cov_ratio"),
        ce_weight=0,
    )
    terms = WKD(config, Shapes.measure(student, signal))(student, signal, labels(3), epoch=1)
    terms.total.backward()
    assert_close(terms.unweighted()["wkd.mean"], case.output("mean_loss"))
    assert_close(terms.unweighted()["wkd.std"], case.output("std_loss"))
    assert_close(terms.total, case.output("loss"))
    assert_close(features.grad, case.gradient("feat_s"))


def test_wkd_from_moments__golden(golden):
    case = golden("wkd_f.grid1")
    student = output(with_time(case.input("feat_s")))
    mean, variance = cell_moments(with_time(case.input("feat_t")), (1, 1, 1))
    assert_close(mean[..., 0], case.output("teacher_mean"))
    assert_close((variance[..., 0] + case.setting("eps")).sqrt(), case.output("teacher_std"))
    moments = torch.stack((mean[..., 0], variance[..., 0].sqrt()), dim=1)
    signal = TeacherSignal(features={"a.moments": moments})
    config = WKDConfig(layer="a", projector=None)
    values = WKD(config, Shapes.measure(student, signal))(
        student, signal, labels(3), epoch=1
    ).unweighted()
    assert_close(values["wkd.mean"], case.output("mean_loss"))
    assert_close(values["wkd.std"], case.output("std_loss"))


def test_tapped_moments__golden(golden):
    # What extraction keeps is float32.
    case = golden("wkd_f.grid1")
    tapped = reduce_map(with_time(case.input("feat_t")), "moments")
    torch.testing.assert_close(tapped[:, 0], case.output("teacher_mean").float())
    variance = tapped[:, 1].square() + case.setting("eps")
    torch.testing.assert_close(variance.sqrt(), case.output("teacher_std").float())

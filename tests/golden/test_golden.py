"""Losses, outputs and gradients against the original authors' code, in float64."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from featkd.distillers import (
    AT,
    KD,
    ATConfig,
    Generative,
    GenerativeConfig,
    KDConfig,
    Shapes,
    kd_loss,
    pool_to_common_size,
)
from featkd.distillers.at import spatial_attention
from featkd.representation import (
    CVAE,
    ReleasedAttentionHead,
    attended_feature_batch_sum,
    cvae_loss,
)
from featkd.types import StudentOutput, TeacherSignal

# Ours on the left, the published code's on the right.
ATTENTION_LAYERS = {
    "collapse.convolution": "deconv1.0",
    "collapse.norm": "deconv1.1",
    "temporal.0": "Att_Head_5c.0.conv1d",
    "temporal.1": "Att_Head_5c.1",
    "temporal.3": "Att_Head_5c.3",
}
CVAE_LAYERS = {
    "collapse.convolution": "cencoder.con1.0",
    "collapse.norm": "cencoder.con1.1",
    "encoder.0": "cencoder.fc1",
    "encoder.2": "cencoder.fc2",
    "encoder.4": "cencoder.fc3",
    "decoder.0": "cdecoder.fc1",
    "decoder.2": "cdecoder.fc2",
    "decoder.4": "cdecoder.fc3",
    "expand.0": "cdecoder.deconv.0",
    "expand.1": "cdecoder.deconv.1",
}


def assert_close(actual, expected):
    """Equal within 1e-6 of the expected tensor's size, so that zeros do not make it lax."""
    assert actual.shape == expected.shape
    assert (actual - expected).norm() <= 1e-6 * expected.norm()


def load_weights(module, case, layers):
    names = {
        f"{ours}.{part}": f"{theirs}.{part}"
        for ours, theirs in layers.items()
        for part in ("weight", "bias")
    }
    assert set(names.values()) == set(case.names("w"))
    module.double().load_state_dict({ours: case.weight(theirs) for ours, theirs in names.items()})
    return {theirs: module.get_parameter(ours) for ours, theirs in names.items()}


def build_attention_head(golden):
    case = golden("genkd.attention")
    length, groups = int(case.setting("interp_len")), int(case.setting("groups"))
    head = ReleasedAttentionHead(12, (7, 7), 8, hidden=8, upsample_length=length, groups=groups)
    return head, load_weights(head, case, ATTENTION_LAYERS)


def build_cvae(golden, side):
    cvae = CVAE(12, (7, 7), groups=4)
    return cvae, load_weights(cvae, golden(f"genkd.cvae_{side}"), CVAE_LAYERS)


def test_kd_loss__golden(golden):
    case = golden("kd.T4")
    logits = case.input("logits_s").requires_grad_()
    loss = kd_loss(logits, case.input("logits_t"), case.setting("T"))
    loss.backward()
    assert_close(loss, case.output("loss"))
    assert_close(logits.grad, case.gradient("logits_s"))


def test_kd__golden(golden):
    case = golden("kd.T4")
    logits = case.input("logits_s").requires_grad_()
    config = KDConfig(
        tau=case.setting("T"),
        kd_weight=case.setting("kd_weight"),
        ce_weight=case.setting("ce_weight"),
    )
    kd = KD(config, Shapes(student_classes=7, teacher_classes=7))
    terms = kd(
        StudentOutput(logits, {}),
        TeacherSignal(logits=case.input("logits_t")),
        case.input("target"),
        epoch=1,
    )
    terms.total.backward()
    assert_close(terms.total, case.output("total_ce0.1_kd0.9"))
    assert_close(logits.grad, case.gradient("total_logits_s"))


@pytest.mark.parametrize("name", ["at.code_2d", "at.code_3d_joint"])
def test_at__golden(golden, name):
    case = golden(name)
    features = case.input("feat_s").requires_grad_()
    volume, teacher = features, case.input("feat_t")
    if volume.ndim == 4:
        volume, teacher = volume.unsqueeze(2), teacher.unsqueeze(2)
    student = StudentOutput(torch.zeros(len(volume), 2), {"a": volume})
    signal = TeacherSignal(features={"a.spatial_attention": spatial_attention(teacher)})
    at = AT(ATConfig(layers=("a",), beta=1, ce_weight=0), Shapes.measure(student, signal))
    total = at(student, signal, torch.zeros(len(volume), dtype=torch.long), epoch=1).total
    total.backward()
    assert_close(total, case.output("loss"))
    assert_close(features.grad, case.gradient("feat_s"))


def test_at__golden_layers_of_unequal_size(golden):
    # The original pools features before squaring, which no cached attention can reproduce: the
    # features are brought to one size first, as an extraction at the student's size would.
    case = golden("at.mdistiller_multilayer_resize")
    features = [case.input(f"feat_s{index}").requires_grad_() for index in range(2)]
    maps, targets = {}, {}
    for index, feature in enumerate(features):
        teacher = case.input(f"feat_t{index}").unsqueeze(2)
        pooled, teacher = pool_to_common_size(feature.unsqueeze(2), teacher, axes=3)
        maps[f"layer{index}"] = pooled
        targets[f"layer{index}.spatial_attention"] = spatial_attention(teacher)
    student = StudentOutput(torch.zeros(3, 2), maps)
    signal = TeacherSignal(features=targets)
    config = ATConfig(layers=("layer0", "layer1"), beta=case.setting("feat_weight"), ce_weight=0)
    terms = AT(config, Shapes.measure(student, signal))(
        student, signal, torch.zeros(3, dtype=torch.long), epoch=1
    )
    (terms.total / case.setting("feat_weight")).backward()
    layers = torch.stack([terms.unweighted()[f"at.layer{index}"] for index in range(2)])
    assert_close(layers, case.output("loss_layers"))
    assert_close(terms.total / case.setting("feat_weight"), case.output("loss"))
    for index, feature in enumerate(features):
        assert_close(feature.grad, case.gradient(f"feat_s{index}"))


def test_released_attention_head__golden(golden):
    case = golden("genkd.attention")
    head, _ = build_attention_head(golden)
    features = case.input("feat_s").requires_grad_()
    attention = head(features)
    (attention * case.input("cotangent")).sum().backward()
    assert_close(attention, case.output("attention"))
    assert_close(features.grad, case.gradient("feat_s"))


@pytest.mark.parametrize("side", ["student", "teacher"])
def test_cvae__golden(golden, side):
    case = golden(f"genkd.cvae_{side}")
    cvae, _ = build_cvae(golden, side)
    features, attention = case.input("feat"), case.input("attention")
    reconstruction, (mean, log_var) = cvae.reconstruct(features, attention, case.input("eps"))
    assert_close(mean, case.output("mean"))
    assert_close(log_var, case.output("log_var"))
    assert_close(reconstruction, case.output("recon"))
    assert_close(cvae.decode(case.output("z"), attention), case.output("recon"))
    generated = cvae.generate(attention, case.input("eps_inference"))
    assert_close(generated, case.output("recon_inference"))


def test_cvae_loss__golden(golden):
    case = golden("genkd.loss_cvae")
    names = ("recon", "x", "mean", "log_var", "attention")
    inputs = {name: case.input(name).requires_grad_() for name in names}
    loss = cvae_loss(*inputs.values(), kl_weight=case.setting("alpha"))
    loss.total.backward()
    assert_close(loss.total, case.output("loss"))
    assert_close(loss.reconstruction, case.output("mse"))
    assert_close(loss.kl, case.output("kld"))
    for name, tensor in inputs.items():
        assert_close(tensor.grad, case.gradient(name))


def test_attended_feature_batch_sum__golden(golden):
    case = golden("genkd.rescale_recognition")
    features = case.input("feat_s").requires_grad_()
    attention = case.input("attention").requires_grad_()
    attended = attended_feature_batch_sum(features, attention)
    (attended * case.input("cotangent")).sum().backward()
    assert_close(attended, case.output("feat_fg"))
    assert_close(features.grad, case.gradient("feat_s"))
    assert_close(attention.grad, case.gradient("attention"))


def test_generator_terms__golden(golden):
    case = golden("genkd.stage1")
    inputs = golden("genkd.cvae_student")
    features, attention = inputs.input("feat"), inputs.input("attention")
    student = StudentOutput(torch.zeros(2, 5), {"Mixed_5c": features}, attention)
    teacher_cvae, _ = build_cvae(golden, "teacher")
    signal = TeacherSignal(modules={"cvae": teacher_cvae})
    config = GenerativeConfig(
        kd_gen_weight=case.setting("kd_gen_weight"),
        kl_weight=case.setting("alpha"),
        attention_weight=0,
        shared_noise=False,
    )
    distiller = Generative(config, Shapes.measure(student, signal))
    distiller.generator, parameters = build_cvae(golden, "student")
    teacher_noise = golden("genkd.cvae_teacher").input("eps")
    terms = distiller.generator_terms(student, signal, inputs.input("eps"), teacher_noise)
    terms.total.backward()
    values = terms.unweighted()
    cvae_total = values["cvae_recon"] + config.kl_weight * values["cvae_kl"]
    assert_close(terms.total, case.output("total"))
    assert_close(cvae_total, case.output("loss_cvae"))
    assert_close(values["kd_gen"], case.output("kd_gen"))
    for name in case.names("grad"):
        assert_close(parameters[name].grad, case.gradient(name))


class ReleasedStudent(nn.Module):
    """The published student from Mixed_5c on: attention, rescaling, pooling, 1x1x1 classifier."""

    def __init__(self, golden) -> None:
        super().__init__()
        case = golden("genkd.stage2_epoch5")
        self.head, attention_parameters = build_attention_head(golden)
        self.classifier = nn.Conv3d(12, 5, 1).double()
        self.classifier.weight.data = case.weight("logits.conv3d.weight")
        self.classifier.bias.data = case.weight("logits.conv3d.bias")
        self.features = golden("genkd.attention").input("feat_s").requires_grad_()
        self.by_published_name: dict[str, Tensor] = {
            **attention_parameters,
            "backbone._model.logits.conv3d.weight": self.classifier.weight,
            "feat_s": self.features,
        }

    def forward(self) -> tuple[StudentOutput, Tensor]:
        attention = self.head(self.features)
        attended = attended_feature_batch_sum(self.features, attention)
        frame_logits = self.classifier(F.avg_pool3d(attended, (2, 7, 7), 1))[..., 0, 0]
        maps = {"Mixed_5c": self.features}
        return StudentOutput(frame_logits.mean(2), maps, attention, frame_logits), attended


def recover_teacher_attention(case, student, gradients_without, parameters):
    """Find the teacher's attention, which the vectors leave out, from the stored gradients.

    What the attention term adds to them is linear in its gradient with respect to the attention:
    14576 equations for 192 unknowns, so they can only be solved if everything else is right.
    """
    attention = student.attention
    basis = torch.eye(attention.numel(), dtype=attention.dtype).reshape(-1, *attention.shape)
    jacobians = torch.autograd.grad(
        attention, parameters.values(), basis, is_grads_batched=True, retain_graph=True
    )
    system = torch.cat([jacobian.flatten(1) for jacobian in jacobians], dim=1).T
    missing = torch.cat(
        [
            (case.gradient(name) - gradient).flatten()
            for name, gradient in zip(parameters, gradients_without, strict=True)
        ]
    )
    solution = torch.linalg.lstsq(system, missing).solution
    assert (system @ solution - missing).norm() < 1e-9 * missing.norm()
    scale = attention.numel() / (2 * case.setting("beta"))
    return (attention - scale * solution.reshape(attention.shape)).detach()


def test_student_terms__golden(golden):
    case = golden("genkd.stage2_epoch5")
    network = ReleasedStudent(golden)
    student, attended = network()
    noise = golden("genkd.cvae_student").input("eps_inference")
    labels, epoch = case.input("target"), int(case.setting("epoch"))
    settings = {
        "kd_gen_weight": 0,
        "recon_target": "attached",
        "classifier_loss": "released",
    }

    def build(signal, attention_weight):
        config = GenerativeConfig(attention_weight=attention_weight, **settings)
        distiller = Generative(config, Shapes.measure(student, signal))
        distiller.generator, _ = build_cvae(golden, "student")
        return distiller

    assert_close(attended, case.output("feat_fg"))
    assert_close(student.frame_logits, case.output("logits"))
    names = [name for name in case.names("grad") if name != "backbone._model.logits.conv3d.weight"]
    through_attention = {name: network.by_published_name[name] for name in names}
    untaught = build(TeacherSignal(), 0).student_terms(
        student, TeacherSignal(), labels, epoch, noise
    )
    gradients = torch.autograd.grad(untaught.total, through_attention.values(), retain_graph=True)
    attention = recover_teacher_attention(case, student, gradients, through_attention)
    assert (attention > 0).all()
    assert (attention < 1).all()

    signal = TeacherSignal(attention={"Mixed_5c": attention})
    terms = build(signal, case.setting("beta")).student_terms(student, signal, labels, epoch, noise)
    terms.total.backward()
    values = terms.unweighted()
    weights = {term.name: term.weight for term in terms}
    assert weights["recon"] == case.setting("recon_weight")
    assert_close(values["cross_entropy"], case.output("loss_clf"))
    assert_close(values["recon"], case.output("l_recon"))
    assert_close(values["attention"], case.output("kd_att"))
    assert_close(terms.total, case.output("total"))
    for name in case.names("grad"):
        assert_close(network.by_published_name[name].grad, case.gradient(name))

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from featkd.distillers import Shapes, WKDLogit, WKDLogitConfig
from featkd.distillers.wkd_logit import class_cost, sinkhorn_cost, target_loss, transport_loss
from featkd.errors import ModelError, RequirementError
from featkd.types import LinearClassifier, StudentOutput, TeacherSignal

seeds = st.integers(0, 2**16)


def draw(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def softened(row, tau):
    exponentials = [math.exp(value / tau) for value in row]
    return [value / sum(exponentials) for value in exponentials]


def transport(source, sink, cost, weight, iterations):
    """Sinkhorn's scaling of one pair of distributions, number by number."""
    classes = range(len(source))
    kernel = [[math.exp(-cost[i][j] / weight) for j in classes] for i in classes]
    u = [1 / len(source) for _ in classes]
    for _ in range(iterations):
        v = [sink[j] / (sum(kernel[i][j] * u[i] for i in classes) + 1e-8) for j in classes]
        u = [source[i] / (sum(kernel[i][j] * v[j] for j in classes) + 1e-8) for i in classes]
    return sum(u[i] * kernel[i][j] * v[j] * cost[i][j] for i in classes for j in classes)


@settings(max_examples=20, deadline=None)
@given(
    seed=seeds,
    tau=st.floats(0.5, 5),
    weight=st.floats(0.05, 1),
    iterations=st.integers(1, 6),
    labels=st.lists(st.integers(0, 4), min_size=2, max_size=2),
)
def test_transport_loss__compare_with_loop(seed, tau, weight, iterations, labels):
    student, teacher = 3 * draw(seed, 2, 5), 3 * draw(seed + 1, 2, 5)
    # Costs that differ by direction would show a kernel that is turned over.
    cost = draw(seed + 2, 5, 5).abs()
    expected = 0.0
    for row, label in enumerate(labels):
        others = [index for index in range(5) if index != label]
        source = softened([student[row, index].item() for index in others], tau)
        sink = softened([teacher[row, index].item() for index in others], tau)
        part = cost[others][:, others].tolist()
        expected += transport(source, sink, part, weight, iterations) / 2
    loss = transport_loss(
        student,
        teacher,
        torch.tensor(labels),
        cost,
        tau=tau,
        entropy_weight=weight,
        num_iterations=iterations,
    )
    assert loss.item() == pytest.approx(expected, rel=1e-9)


def test_sinkhorn_cost__approaches_the_true_distance():
    # 0.4 have to go from class 0 to class 1, and nothing else moves.
    source, sink = torch.tensor([[0.5, 0.2, 0.3]]), torch.tensor([[0.1, 0.6, 0.3]])
    cost = torch.tensor([[0.0, 0.5, 1], [0.5, 0, 1], [1, 1, 0]])
    support = torch.ones(1, 3, dtype=torch.bool)
    found = sinkhorn_cost(source, sink, support, cost, entropy_weight=0.02, num_iterations=200)
    assert found.item() == pytest.approx(0.4 * 0.5, rel=1e-2)


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_transport_loss__blind_to_the_target(seed):
    student, teacher, cost = draw(seed, 2, 5), draw(seed + 1, 2, 5), draw(seed + 2, 5, 5).abs()
    labels = torch.tensor([1, 4])
    settings = {"tau": 2.0, "entropy_weight": 0.1, "num_iterations": 5}
    loss = transport_loss(student, teacher, labels, cost, **settings)
    changed = student.clone()
    changed[[0, 1], labels] += 7
    changed.requires_grad_()
    same = transport_loss(changed, teacher, labels, cost, **settings)
    same.backward()
    torch.testing.assert_close(same, loss)
    assert (changed.grad[[0, 1], labels] == 0).all()


@settings(max_examples=20, deadline=None)
@given(seed=seeds, sharpening=st.floats(0.1, 10))
def test_class_cost__compare_with_loop(seed, sharpening):
    prototypes = draw(seed, 4, 3)
    rows = prototypes.tolist()
    expected = torch.zeros(4, 4).double()
    for i, left in enumerate(rows):
        for j, right in enumerate(rows):
            product = sum(a * b for a, b in zip(left, right, strict=True))
            cosine = product / math.hypot(*left) / math.hypot(*right)
            expected[i, j] = 1 - math.exp(-sharpening * (1 - cosine))
    cost = class_cost(prototypes, sharpening)
    torch.testing.assert_close(cost, expected, rtol=1e-9, atol=1e-12)
    assert (cost >= 0).all()


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_target_loss__compare_with_loop(seed):
    student, teacher = 3 * draw(seed, 2, 5), 3 * draw(seed + 1, 2, 5)
    labels = [3, 0]
    expected = 0.0
    for z_s, z_t, label in zip(student.tolist(), teacher.tolist(), labels, strict=True):
        expected -= softened(z_t, 1)[label] * math.log(softened(z_s, 1)[label]) / 2
    loss = target_loss(student, teacher, torch.tensor(labels))
    assert loss.item() == pytest.approx(expected, rel=1e-9)


def test_wkd_logit_losses__half_precision_and_certain_logits():
    logits = torch.tensor([[300.0, -300, 0, 9], [-300, 300, 9, 0]], dtype=torch.float16)
    cost = class_cost(torch.eye(4), 1.0)
    for labels in (torch.tensor([0, 1]), torch.tensor([1, 0]), torch.tensor([2, 3])):
        student = logits.clone().requires_grad_()
        teacher = -logits
        transported = transport_loss(
            student, teacher, labels, cost, tau=1.0, entropy_weight=0.05, num_iterations=10
        )
        loss = transported + target_loss(student, teacher, labels)
        loss.backward()
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        assert student.grad.isfinite().all()


def test_wkd_logit__terms_and_gradients(student, clips, labels, signal):
    output = student(clips)
    config = WKDLogitConfig(gamma=5, target_weight=3, ce_weight=0.5)
    terms = WKDLogit(config, Shapes.measure(output, signal))(output, signal, labels, epoch=1)
    values = terms.unweighted()
    target = target_loss(output.logits, signal.logits, labels).detach()
    torch.testing.assert_close(values["wkd_target"], target)
    transported = transport_loss(
        output.logits,
        signal.logits,
        labels,
        class_cost(signal.classifier.weight, 1.0),
        tau=2.0,
        entropy_weight=0.05,
        num_iterations=10,
    ).detach()
    torch.testing.assert_close(values["wkd_transport"], transported)
    expected = 0.5 * values["cross_entropy"] + 3 * target + 5 * transported
    torch.testing.assert_close(terms.total.detach(), expected)
    terms.total.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in student.parameters())
    assert signal.logits.grad is None
    assert signal.classifier.weight.grad is None


def test_wkd_logit__different_classes():
    with pytest.raises(ModelError, match=r"wkd_logit.*\(5,\).*\(7,\)"):
        WKDLogit(WKDLogitConfig(), Shapes(student_classes=5, teacher_classes=7))
    with pytest.raises(ModelError, match=r"wkd_logit.*\(5,\).*\(7, 6\)"):
        WKDLogit(WKDLogitConfig(), Shapes(student_classes=5, teacher_classifier=(7, 6)))


def test_wkd_logit__signal_lacks_something(labels):
    with pytest.raises(RequirementError, match="no classifier"):
        WKDLogit(WKDLogitConfig(), Shapes(student_classes=5))
    wkd = WKDLogit(WKDLogitConfig(), Shapes(student_classes=5, teacher_classifier=(5, 6)))
    student, classifier = StudentOutput(torch.zeros(3, 5), {}), torch.ones(5, 6)
    with pytest.raises(RequirementError, match="no logits"):
        wkd(student, TeacherSignal(), labels, epoch=1)
    with pytest.raises(RequirementError, match="no classifier"):
        wkd(student, TeacherSignal(logits=torch.zeros(3, 5)), labels, epoch=1)
    complete = TeacherSignal(
        logits=torch.zeros(3, 5), classifier=LinearClassifier(classifier, torch.zeros(5))
    )
    assert wkd(student, complete, labels, epoch=1).total.isfinite()


@pytest.mark.parametrize(
    "setting", [{"tau": 0}, {"gamma": -1}, {"entropy_weight": 0}, {"num_iterations": 0}, {"lam": 1}]
)
def test_wkd_logit_config__wrong_setting(setting):
    with pytest.raises(ValidationError, match=next(iter(setting))):
        WKDLogitConfig(**setting)

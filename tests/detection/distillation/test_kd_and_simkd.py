from dataclasses import replace

import pytest
import torch

from featkd.detection.afsd import DETECTOR_LAYERS, ReusedDetectorSpec
from featkd.detection.distillation import (
    DetectionKD,
    DetectionKDSpec,
    DetectionSignal,
    DetectionSimKD,
    DetectionSimKDSpec,
    DetectorAlone,
)
from featkd.errors import ModelError, RequirementError

SUPERVISED = ("loc", "cls", "refined_loc", "refined_cls", "quality", "start", "end")


def test_alone__learns_from_annotations(student, clips, targets, losses, make_rearranged):
    alone = DetectorAlone(losses)
    terms = alone(student(clips), DetectionSignal(), targets, 1)
    assert tuple(term.name for term in terms) == SUPERVISED
    with_copy = replace(targets, rearranged=make_rearranged(clips))
    terms = alone(student(clips), DetectionSignal(), with_copy, 1)
    assert tuple(term.name for term in terms) == (*SUPERVISED, "consistency")
    terms.total.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in student.detector.parameters())


def test_kd__compare_with_loop(student, clips, signal, targets, losses):
    output = student(clips)
    kd = DetectionKD(DetectionKDSpec(tau=2, kd_weight=3), losses)
    terms = {term.name: term for term in kd(output, signal, targets, 1)}
    pairs = {
        "kd_coarse": (output.detections.coarse_logits, signal.coarse_logits),
        "kd_refined": (output.detections.refined_logits, signal.refined_logits),
    }
    assert tuple(terms) == (*SUPERVISED, *pairs)
    for name, (own, taught) in pairs.items():
        expected = 0.0
        for sample in range(2):
            for prior in range(14):
                p = (taught[sample, prior] / 2).softmax(0)
                q = (own[sample, prior] / 2).softmax(0)
                expected += 4 * (p * (p / q).log()).sum().item() / 28
        assert terms[name].weight == 3
        assert terms[name].value.item() == pytest.approx(expected, rel=1e-3, abs=1e-7)


def test_kd__signal_without_logits_or_of_other_classes(student, clips, signal, targets, losses):
    kd = DetectionKD(DetectionKDSpec(), losses)
    with pytest.raises(RequirementError, match="no logits of priors"):
        kd(student(clips), DetectionSignal(), targets, 1)
    fewer = DetectionSignal(signal.coarse_logits[..., 1:], signal.refined_logits[..., 1:])
    with pytest.raises(ModelError, match=r"\(2, 14, 5\).*\(2, 14, 4\)"):
        kd(student(clips), fewer, targets, 1)


def test_simkd__compare_and_learn(make_network, clips, targets, losses):
    teacher = make_network(2, width=0.125).eval()
    signal = DetectionSignal.live(teacher(clips))
    student = make_network(1, name="top_i3d", reused_detector=ReusedDetectorSpec(width=0.125))
    student.reuse_detector(teacher.detector)
    output = student(clips)
    terms = DetectionSimKD(DetectionSimKDSpec(feature_weight=2), losses)(output, signal, targets, 1)
    by_name = {term.name: term for term in terms}
    assert list(by_name) == [f"simkd_{layer}" for layer in DETECTOR_LAYERS]
    for layer in DETECTOR_LAYERS:
        difference = (output.projected[layer] - signal.features[layer]).flatten().tolist()
        expected = sum(value**2 for value in difference) / len(difference)
        assert by_name[f"simkd_{layer}"].value.item() == pytest.approx(expected, rel=1e-4)
    terms.total.backward()
    assert all(p.grad is not None for p in student.backbone.parameters())
    assert all(p.grad is None for p in student.detector.parameters())


def test_simkd__student_without_projectors(student, clips, signal, targets, losses):
    simkd = DetectionSimKD(DetectionSimKDSpec(), losses)
    with pytest.raises(ModelError, match="reused_detector"):
        simkd(student(clips), signal, targets, 1)


def test_simkd__teacher_of_another_width(make_network, clips, signal, targets, losses):
    student = make_network(1, reused_detector=ReusedDetectorSpec(width=0.125))
    simkd = DetectionSimKD(DetectionSimKDSpec(), losses)
    with pytest.raises(ModelError, match="same channels"):
        simkd(student(clips), signal, targets, 1)
    with pytest.raises(RequirementError, match="no map of layer 'Mixed_4f'"):
        simkd(student(clips), DetectionSignal(), targets, 1)
    assert torch.is_grad_enabled()

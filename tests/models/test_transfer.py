import pytest
import torch
from torch import nn

from featkd.errors import ModelError
from featkd.models import ModelSpec, VideoClassifier, start_from

SHAPE = (3, 16, 32, 32)


def network(name: str, width: float = 0.0625, num_classes: int = 5) -> VideoClassifier:
    return VideoClassifier(ModelSpec(name=name, width=width), num_classes, SHAPE)  # type: ignore[arg-type]


def test_start_from__the_same_network_is_the_same_function() -> None:
    teacher, student = network("i3d").eval(), network("i3d").eval()
    report = start_from(student, teacher.state_dict())
    assert {transfer.how for transfer in report} == {"copied"}
    assert [t.name for t in report] == list(student.state_dict())
    clip = torch.randn(1, *SHAPE)
    assert torch.equal(student(clip).logits, teacher(clip).logits)


def test_start_from__kernels_are_collapsed_or_inflated() -> None:
    teacher, student = network("bottom_i3d"), network("top_i3d")
    how = {t.name: t for t in start_from(student, teacher.state_dict())}
    given, taken = teacher.state_dict(), student.state_dict()
    stem, late = "backbone.Conv3d_1a_7x7.conv3d.weight", "backbone.Mixed_5c.b1b.conv3d.weight"
    assert how[stem].how == "collapsed"
    assert how[stem].shape[2:] == (1, 7, 7)
    assert how[stem].teacher_shape is not None
    assert how[stem].teacher_shape[2:] == (7, 7, 7)
    expected = sum(given[stem][:, :, t] for t in range(7))
    torch.testing.assert_close(taken[stem][:, :, 0], expected)
    assert how[late].how == "inflated"
    for t in range(3):
        torch.testing.assert_close(taken[late][:, :, t], given[late][:, :, 0] / 3)
    assert how["backbone.Mixed_3b.b0.conv3d.weight"].how == "copied"
    assert how["backbone.Conv3d_1a_7x7.bn.running_var"].how == "copied"


@pytest.mark.parametrize("name", ["top_i3d", "bottom_i3d", "i2d"])
def test_start_from__does_not_depend_on_how_the_teacher_lies_in_memory(name: str) -> None:
    teacher = network("i3d")
    strided = {
        key: value.to(memory_format=torch.channels_last_3d) if value.ndim == 5 else value
        for key, value in teacher.state_dict().items()
    }
    one, other = network(name), network(name)
    other.load_state_dict(one.state_dict())
    start_from(one, teacher.state_dict())
    start_from(other, strided)
    for key, value in one.state_dict().items():
        assert torch.equal(other.state_dict()[key], value), key


@pytest.mark.parametrize(("first", "second"), [(3, 1), (1, 3), (7, 1)])
def test_start_from__a_still_clip_gets_the_same_answer(first: int, second: int) -> None:
    def layer(extent: int) -> nn.Module:
        return nn.Sequential(nn.Conv3d(2, 3, (extent, 3, 3), padding=(0, 1, 1)))

    teacher, student = layer(first), layer(second)
    start_from(student, teacher.state_dict())
    still = torch.randn(1, 2, 1, 5, 5).expand(1, 2, 9, 5, 5)
    torch.testing.assert_close(student(still)[:, :, 0], teacher(still)[:, :, 0])


def test_start_from__what_does_not_fit_stays_fresh() -> None:
    teacher, student = network("i3d", num_classes=7), network("top_i3d")
    before = student.backbone.logits.conv3d.weight.clone()
    report = {t.name: t for t in start_from(student, teacher.state_dict())}
    classifier = report["backbone.logits.conv3d.weight"]
    assert (classifier.how, classifier.teacher_shape) == ("fresh", (7, 64, 1, 1, 1))
    # The bias of 7 classes cannot serve either; both stay as they were.
    assert report["backbone.logits.conv3d.bias"].how == "fresh"
    assert torch.equal(student.backbone.logits.conv3d.weight, before)
    headed = VideoClassifier(ModelSpec(width=0.0625, attention_head="paper"), 7, SHAPE)
    own = {t.name: t for t in start_from(headed, teacher.state_dict())}
    assert own["attention_head.collapse.norm.weight"].how == "fresh"
    assert own["attention_head.collapse.norm.weight"].teacher_shape is None


def test_start_from__a_unit_is_taken_over_whole_or_not_at_all() -> None:
    teacher, student = network("i3d", width=0.125), network("i3d")
    with pytest.raises(ModelError, match="none fit"):
        start_from(student, teacher.state_dict())
    given = network("i3d").state_dict()
    broken = "backbone.Mixed_3b.b0.bn.running_var"
    given[broken] = torch.zeros(99)
    report = {t.name: t.how for t in start_from(student, given)}
    unit = [how for name, how in report.items() if name.startswith("backbone.Mixed_3b.b0.")]
    assert len(unit) == 6
    assert set(unit) == {"fresh"}
    assert report["backbone.Mixed_3b.b1a.conv3d.weight"] == "copied"


def test_start_from__nothing_of_another_kind() -> None:
    with pytest.raises(ModelError, match=r"backbone\.Conv3d_1a_7x7.*fc\.weight"):
        start_from(network("i3d"), {"fc.weight": torch.zeros(2, 2)})

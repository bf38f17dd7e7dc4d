import pytest
import torch

from featkd.errors import ModelError
from featkd.models import I3D, I3DTrunk, inherit_weights


def trunk(variant, **settings):
    return I3DTrunk(variant=variant, width=0.0625, **settings).eval()


def test_inherit_weights__of_the_same_member():
    teacher = I3D(5, width=0.0625).eval()
    copy = trunk("i3d")
    inherit_weights(copy, teacher.state_dict())
    clip = torch.randn(1, 3, 16, 32, 32)
    torch.testing.assert_close(copy(clip), teacher.features(clip))


@pytest.mark.parametrize(("source", "target"), [("i3d", "i2d"), ("i2d", "i3d")])
def test_inherit_weights__a_still_video_looks_the_same(source, target):
    torch.manual_seed(0)
    first, second = trunk(source), trunk(target)
    inherit_weights(second, first.state_dict())
    # Long enough that the middle does not see the zeros before and after the video.
    clip = torch.randn(1, 3, 1, 32, 32).expand(-1, -1, 256, -1, -1)
    middle = first(clip)[:, :, 16], second(clip)[:, :, 16]
    scale = middle[0].max().item()
    assert scale > 0
    torch.testing.assert_close(middle[1], middle[0], rtol=1e-3, atol=1e-3 * scale)


def test_inherit_weights__top_i3d_keeps_what_it_can():
    torch.manual_seed(0)
    teacher, student = trunk("i3d"), trunk("top_i3d")
    inherit_weights(student, teacher.state_dict())
    upper = student.Mixed_5c.b1b.conv3d.weight, teacher.Mixed_5c.b1b.conv3d.weight
    assert torch.equal(*upper)
    stem = student.Conv3d_1a_7x7.conv3d.weight, teacher.Conv3d_1a_7x7.conv3d.weight
    assert stem[0].shape[2] == 1
    torch.testing.assert_close(stem[0][:, :, 0], stem[1].sum(dim=2))


def test_inherit_weights__what_does_not_fit():
    weights = trunk("i3d").state_dict()
    with pytest.raises(ModelError, match=r"'Conv3d_1a_7x7.conv3d.weight' of shape .* expected"):
        inherit_weights(trunk("i3d", in_channels=2), weights)
    del weights["Mixed_5c.b0.bn.weight"]
    with pytest.raises(ModelError, match=r"no 'Mixed_5c\.b0\.bn\.weight'"):
        inherit_weights(trunk("i3d"), weights)

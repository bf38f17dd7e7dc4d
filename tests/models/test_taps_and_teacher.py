import pytest
import torch
from torch import nn

from featkd.cache.signal import SignalRequest
from featkd.errors import ModelError, RequirementError, UsageError
from featkd.models import I3D, LiveSignal, PreprocessSpec, Teacher, preprocess, record_layers
from featkd.models.taps import reduce_map
from featkd.representation import PaperAttentionHead
from featkd.types import Reduction, TapSpec

TAPS = tuple(TapSpec("Mixed_5c", r) for r in ("full", "pooled", "moments", "spatial_attention"))


@pytest.fixture
def teacher() -> Teacher:
    torch.manual_seed(0)
    model = I3D(4, width=0.0625)
    return Teacher(model, PreprocessSpec(size=32), TAPS, batch_size=3, device=torch.device("cpu"))


def clips(batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (batch, 3, 16, 32, 32), dtype=torch.uint8, generator=generator)


def test_reduce_map__against_loops() -> None:
    x = torch.randn(2, 3, 2, 4, 5)
    for b in range(2):
        for c in range(3):
            values = x[b, c].flatten()
            mean = sum(values.tolist()) / 40
            spread = (sum((v - mean) ** 2 for v in values.tolist()) / 39) ** 0.5
            assert reduce_map(x, "pooled")[b, c].item() == pytest.approx(mean, abs=1e-6)
            assert reduce_map(x, "moments")[b, 0, c].item() == pytest.approx(mean, abs=1e-6)
            assert reduce_map(x, "moments")[b, 1, c].item() == pytest.approx(spread, abs=1e-6)
            for t in range(2):
                values = x[b, c, t].flatten()
                mean = sum(values.tolist()) / 20
                spread = (sum((v - mean) ** 2 for v in values.tolist()) / 19) ** 0.5
                frame = reduce_map(x, "frame_moments")[b, :, c, t].tolist()
                assert frame == pytest.approx([mean, spread], abs=1e-6)
    t, h, w = 1, 2, 3
    expected = sum(x[0, c, t, h, w].item() ** 2 for c in range(3)) / 3
    assert reduce_map(x, "spatial_attention")[0, t, h, w].item() == pytest.approx(expected)
    assert torch.equal(reduce_map(x, "full"), x)


@pytest.mark.parametrize(
    ("reduction", "size"), [("moments", (1, 1, 1)), ("frame_moments", (4, 1, 1))]
)
def test_reduce_map__no_deviation_of_one_position(
    reduction: Reduction, size: tuple[int, int, int]
) -> None:
    with pytest.raises(ModelError, match=rf"\(3, {size[0]}, 1, 1\) has no {reduction};.*two or"):
        reduce_map(torch.zeros(2, 3, *size), reduction)


def test_record_layers__removes_its_hooks() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    with record_layers(model, ["0"]) as outputs:
        result = model(torch.ones(1, 2))
    torch.testing.assert_close(outputs["0"].relu(), result)
    assert not model[0]._forward_hooks
    with pytest.raises(ModelError, match="'nowhere'"), record_layers(model, ["nowhere"]):
        pass


def test_teacher__is_frozen_and_in_evaluation_mode(teacher: Teacher) -> None:
    before = {k: v.clone() for k, v in teacher.model.state_dict().items()}
    logits, features = teacher(clips())
    assert not teacher.model.training
    assert not any(p.requires_grad for p in teacher.model.parameters())
    for name, value in teacher.model.state_dict().items():
        assert torch.equal(value, before[name])
    assert logits.shape == (2, 4)
    assert {k: tuple(v.shape[1:]) for k, v in features.items()} == {
        "Mixed_5c.full": (64, 2, 1, 1),
        "Mixed_5c.pooled": (64,),
        "Mixed_5c.moments": (2, 64),
        "Mixed_5c.spatial_attention": (2, 1, 1),
    }
    assert teacher.answer_shapes(clips().shape[2]) == {
        "logits": tuple(logits.shape[1:]),
        **{f"features/{key}": tuple(value.shape[1:]) for key, value in features.items()},
    }


def test_teacher__a_row_does_not_depend_on_its_neighbours(teacher: Teacher) -> None:
    together = teacher(clips(7))
    for row in range(7):
        logits, features = teacher(clips(7)[row : row + 1])
        assert torch.equal(logits[0], together[0][row])
        for key, values in features.items():
            assert torch.equal(values[0], together[1][key][row]), key


def test_preprocess__i3d_range() -> None:
    pixels = torch.tensor([0, 127, 255], dtype=torch.uint8).view(1, 3, 1, 1, 1)
    result = preprocess(pixels, PreprocessSpec(size=8), torch.device("cpu")).flatten()
    torch.testing.assert_close(result, torch.tensor([-1.0, 127 / 127.5 - 1, 1.0]))


def test_live_signal__same_as_the_teacher(teacher: Teacher) -> None:
    torch.manual_seed(3)
    head = PaperAttentionHead(64, (1, 1)).eval().requires_grad_(requires_grad=False)
    signal = LiveSignal(
        teacher, taps=TAPS[1:2], attention_layers=["Mixed_5c"], modules={"attention_head": head}
    ).signal(SignalRequest(rows=(0, 1), teacher_clips=clips()))
    logits, features = teacher(clips())
    assert signal.logits is not None
    assert torch.equal(signal.logits, logits)
    assert set(signal.features) == {"Mixed_5c.pooled"}
    torch.testing.assert_close(signal.attention["Mixed_5c"], head(features["Mixed_5c.full"]))
    assert not signal.attention["Mixed_5c"].requires_grad


def test_live_signal__says_what_it_lacks(teacher: Teacher) -> None:
    with pytest.raises(RequirementError, match="featkd represent"):
        LiveSignal(teacher, attention_layers=["Mixed_5c"])
    with pytest.raises(UsageError, match="teacher_clips"):
        LiveSignal(teacher).signal(SignalRequest(rows=(0,)))

"""Published I3D weights by the names of others, and forward passes of the networks behind them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from featkd.errors import CheckpointError
from featkd.models import (
    I3D,
    ModelSpec,
    VideoClassifier,
    load_weights,
    match_weights,
    translate_i3d,
)

State = dict[str, Tensor]
SHAPE = (3, 16, 64, 64)
STAGES = ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c")


def network(name: str = "i3d", *, num_classes: int = 5, head: bool = False) -> VideoClassifier:
    """A miniature with statistics and biases that a wrong name would betray."""
    torch.manual_seed(0)
    spec = ModelSpec(
        name=name,  # type: ignore[arg-type]
        width=0.0625,
        attention_head="released" if head else None,
        rescale="batch_sum" if head else "norm",
    )
    built = VideoClassifier(spec, num_classes, SHAPE)
    with torch.no_grad():
        for key, value in built.state_dict().items():
            if key.endswith(("bn.weight", "running_var")):
                value.uniform_(0.5, 2.0)
            elif key.endswith(("bias", "running_mean")):
                value.normal_(std=0.3)
            elif key.endswith("conv3d.weight"):
                value.mul_(3.0)
    return built.eval()


def clips(num_frames: int = 16, size: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 3, num_frames, size, size, generator=generator) * 2 - 1


def as_pytorch_i3d(state: State) -> State:
    return {name.removeprefix("backbone."): value for name, value in state.items()}


def as_kinetics(state: State) -> State:
    branches = {
        "b0": "branch_0", "b1a": "branch_1.0", "b1b": "branch_1.1",
        "b2a": "branch_2.0", "b2b": "branch_2.1", "b3b": "branch_3.1",
    }  # fmt: skip
    named: State = {}
    for name, value in as_pytorch_i3d(state).items():
        block, *rest = name.split(".")
        if block == "logits":
            block = "conv3d_0c_1x1"
        rest = [branches.get(part, part) for part in rest]
        rest = ["batch3d" if part == "bn" else part for part in rest]
        named[".".join([block[0].lower() + block[1:], *rest])] = value
    return named


def as_released(state: State) -> State:
    names = {
        "collapse.convolution": "deconv1.0",
        "collapse.norm": "deconv1.1",
        "temporal.0": "Att_Head_5c.0.conv1d",
        "temporal.1": "Att_Head_5c.1",
        "temporal.3": "Att_Head_5c.3",
    }
    named: State = {}
    for name, value in state.items():
        room, _, rest = name.partition(".")
        if room == "attention_head":
            layer, _, kind = rest.rpartition(".")
            named[f"{names[layer]}.{kind}"] = value
        else:
            named[f"backbone._model.{rest}"] = value
    return named


LAYOUTS = [
    pytest.param(as_pytorch_i3d, "pytorch_i3d", False, id="pytorch_i3d"),
    pytest.param(as_kinetics, "kinetics_i3d_pytorch", False, id="kinetics"),
    pytest.param(as_released, "generative_kd", True, id="released"),
]


@pytest.mark.parametrize("name", ["i3d", "top_i3d"])
@pytest.mark.parametrize(("export", "layout", "head"), LAYOUTS)
def test_translate__exported_and_read_back_is_the_same_function(
    export: Callable[[State], State], layout: str, head: bool, name: str
) -> None:
    original = network(name, head=head)
    weights = translate_i3d(export(dict(original.state_dict())))
    assert weights is not None
    assert weights.layout == layout
    described = weights.describe()
    assert (described.name, described.width, described.in_channels) == (name, 0.0625, 3)
    assert described.num_classes == 5
    assert described.has_attention_head is head
    torch.manual_seed(9)
    loaded = VideoClassifier(original.spec, 5, SHAPE).eval()
    before = loaded(clips()).logits
    report = load_weights(loaded, weights.state, source="test")
    assert len(report.matched) == len(original.state_dict()) == 344 + (10 if head else 0)
    with torch.no_grad():
        expected, actual = original(clips()), loaded(clips())
    assert not torch.allclose(before, expected.logits)
    assert torch.equal(actual.logits, expected.logits)
    assert torch.equal(actual.features["Mixed_5c"], expected.features["Mixed_5c"])


def original_pads(sizes: tuple[int, ...], kernel: tuple[int, ...], stride: int) -> list[int]:
    """pytorch-i3d: SAME padding of every axis by its own length."""
    pads: list[int] = []
    for size, length, step in zip(sizes[::-1], kernel[::-1], (stride,) * 3, strict=True):
        total = max(length - (size % step or step), 0)
        pads += [total // 2, total - total // 2]
    return pads


def kinetics_pads(sizes: tuple[int, ...], kernel: tuple[int, ...], stride: int) -> list[int]:
    """kinetics_i3d_pytorch: from kernel and stride alone, except along time in a convolution."""
    pads: list[int] = []
    for axis in (2, 1, 0):
        rest = sizes[0] % stride if axis == 0 and len(kernel) == 3 else 0
        total = max(kernel[axis] - (rest or stride), 0)
        pads += [total // 2, total - total // 2]
    return pads


def inception(
    state: State, x: Tensor, unit: Callable[..., Tensor], pool: Callable[..., Tensor]
) -> Tensor:
    """Inception-V1 inflated, by the names of pytorch-i3d: the frame logits."""
    x = pool(unit(x, "Conv3d_1a_7x7", 2), (1, 3, 3), (1, 2, 2))
    x = unit(unit(x, "Conv3d_2b_1x1"), "Conv3d_2c_3x3")
    x = pool(x, (1, 3, 3), (1, 2, 2))
    for stage in STAGES:
        if stage == "4b":
            x = pool(x, (3, 3, 3), (2, 2, 2))
        if stage == "5b":
            x = pool(x, (2, 2, 2), (2, 2, 2))
        name = f"Mixed_{stage}"
        time = state[f"{name}.b1b.conv3d.weight"].shape[2]
        x = torch.cat(
            [
                unit(x, f"{name}.b0"),
                unit(unit(x, f"{name}.b1a"), f"{name}.b1b"),
                unit(unit(x, f"{name}.b2a"), f"{name}.b2b"),
                unit(pool(x, (time, 3, 3), (1, 1, 1)), f"{name}.b3b"),
            ],
            dim=1,
        )
    x = F.avg_pool3d(x, (2, *x.shape[3:]), stride=1)
    x = F.conv3d(x, state["logits.conv3d.weight"], state["logits.conv3d.bias"])
    return x.squeeze(4).squeeze(3)


def published_logits(state: State, x: Tensor, *, of: str) -> Tensor:
    """Logits of a published network, from its weights under the names of pytorch-i3d."""

    def unit(x: Tensor, name: str, stride: int = 1) -> Tensor:
        kernel = state[f"{name}.conv3d.weight"]
        pads = original_pads if of == "pytorch_i3d" else kinetics_pads
        padded = F.pad(x, pads(tuple(x.shape[2:]), tuple(kernel.shape[2:]), stride))
        x = F.conv3d(padded, kernel, stride=stride)
        mean, variance, weight, bias = (
            state[f"{name}.bn.{part}"].view(1, -1, 1, 1, 1)
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return ((x - mean) / torch.sqrt(variance + 1e-3) * weight + bias).clamp(min=0)

    def pool(x: Tensor, kernel: tuple[int, ...], strides: tuple[int, ...]) -> Tensor:
        pads: list[int] = []
        for axis in (2, 1, 0):
            rest = x.shape[2 + axis] % strides[axis] if of == "pytorch_i3d" else 0
            total = max(kernel[axis] - (rest or strides[axis]), 0)
            pads += [total // 2, total - total // 2]
        return F.max_pool3d(F.pad(x, pads), kernel, strides, ceil_mode=of == "kinetics")

    return inception(state, x, unit, pool).mean(dim=2)


@pytest.mark.parametrize(
    ("of", "name", "num_frames", "size"),
    [
        ("pytorch_i3d", "i3d", 16, 64),
        ("pytorch_i3d", "i3d", 13, 51),
        ("pytorch_i3d", "top_i3d", 16, 64),
        ("kinetics", "i3d", 16, 48),
        ("kinetics", "i3d", 15, 64),
    ],
)
def test_i3d__computes_what_the_published_network_computes(
    of: str, name: str, num_frames: int, size: int
) -> None:
    ours = network(name)
    with torch.no_grad():
        actual = ours(clips(num_frames, size)).logits
        state = as_pytorch_i3d(dict(ours.state_dict()))
        expected = published_logits(state, clips(num_frames, size), of=of)
    assert expected.std() > 1e-2
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("num_frames", "size"), [(13, 64), (16, 56)])
def test_i3d__of_kinetics_pads_other_sizes_otherwise(num_frames: int, size: int) -> None:
    ours, shown = network(), clips(num_frames, size)
    with torch.no_grad():
        state = as_pytorch_i3d(dict(ours.state_dict()))
        expected = published_logits(state, shown, of="kinetics")
        assert not torch.allclose(ours(shown).logits, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("prefix", ["", "model.", "i3d.backbone."])
@pytest.mark.parametrize("export", [as_pytorch_i3d, as_kinetics])
def test_translate__a_prefix_of_all_names_is_taken_off(
    export: Callable[[State], State], prefix: str
) -> None:
    original = network()
    exported = export(dict(original.state_dict()))
    weights = translate_i3d({prefix + name: value for name, value in exported.items()})
    assert weights is not None
    assert match_weights(original.state_dict(), weights.state).fits


@pytest.mark.parametrize(("export", "layout", "head"), LAYOUTS)
def test_load_weights__names_what_does_not_fit_as_the_file_calls_it(
    export: Callable[[State], State], layout: str, head: bool
) -> None:
    original = network(head=head)
    exported = export(dict(original.state_dict()))
    first = next(name for name in exported if name.endswith("conv3d.weight") and "ixed" in name)
    wider = torch.zeros(1, *exported[first].shape[1:])
    exported |= {first: wider, "optimiser.momentum": torch.zeros(1)}
    removed = next(name for name in exported if "5c" in name and name.endswith("running_mean"))
    del exported[removed]
    weights = translate_i3d(exported)
    assert weights is not None
    with pytest.raises(CheckpointError) as caught:
        load_weights(
            network(head=head), weights.state, source="x.pt", file_names=weights.file_names
        )
    message = str(caught.value)
    assert message.startswith("x.pt does not fit: ")
    assert "1 missing: backbone.Mixed_5c." in message
    assert "1 unexpected: optimiser.momentum" in message
    assert f"is {tuple(wider.shape)}, expected" in message


def test_translate__old_files_lack_counters() -> None:
    original = network()
    old = {n: v for n, v in original.state_dict().items() if not n.endswith("batches_tracked")}
    weights = translate_i3d(as_pytorch_i3d(old))
    assert weights is not None
    loaded = network()
    report = load_weights(loaded, weights.state, source="old.pt")
    assert len(report.counters) == 57
    assert len(report.matched) == 287


def test_translate__flow_weights_of_full_size() -> None:
    with torch.device("meta"):
        names = I3D(400, in_channels=2).state_dict()
    weights = translate_i3d(names)
    assert weights is not None
    described = weights.describe()
    assert (described.in_channels, described.num_classes, described.width) == (2, 400, 1.0)
    with torch.device("meta"):
        rgb = VideoClassifier(ModelSpec(), 400, (3, 16, 32, 32))
    report = match_weights(rgb.state_dict(), weights.state)
    assert [m.name for m in report.mismatched] == ["backbone.Conv3d_1a_7x7.conv3d.weight"]


def test_load_weights__another_number_of_classes() -> None:
    original = network(num_classes=7)
    weights = translate_i3d(as_pytorch_i3d(dict(original.state_dict())))
    assert weights is not None
    fresh = network(num_classes=5)
    classifier = ("backbone.logits.conv3d.weight", "backbone.logits.conv3d.bias")
    with pytest.raises(CheckpointError, match=r"logits\.conv3d\.weight is \(7, 64, 1, 1, 1\)"):
        load_weights(fresh, weights.state, source="x.pt")
    own = fresh.backbone.logits.conv3d.bias.clone()
    report = load_weights(fresh, weights.state, source="x.pt", replaced=classifier)
    assert report.replaced == classifier
    assert len(report.matched) == 342
    assert torch.equal(fresh.backbone.logits.conv3d.bias, own)


def test_translate__unknown_and_ambiguous_names() -> None:
    assert translate_i3d({"encoder.weight": torch.zeros(1)}) is None
    twice = as_released(dict(network().state_dict()))
    twice |= {"backbone.Mixed_5c.b0.conv3d.weight": torch.zeros(1)}
    with pytest.raises(CheckpointError, match="which are both"):
        translate_i3d(twice)
    incomplete = translate_i3d({"Conv3d_1a_7x7.conv3d.weight": torch.zeros(4, 3, 7, 7, 7)})
    assert incomplete is not None
    with pytest.raises(CheckpointError, match=r"no kernel backbone\.Mixed_5c"):
        incomplete.describe()

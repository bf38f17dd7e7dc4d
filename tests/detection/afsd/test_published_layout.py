"""Published names, written down by hand for every part, against the networks they belong to."""

from pathlib import Path

import pytest
import torch

from featkd.detection.afsd import AFSD, RELEASED_STUDENT, AFSDSpec
from featkd.detection.afsd.published_layout import load_published_detector, translate_published
from featkd.errors import CheckpointError

UNITS = ("b0", "b1a", "b1b", "b2a", "b2b", "b3b")
STEMS = ("Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3")
BLOCKS = ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c")
AFFINE = ("weight", "bias")


def published_names(*, attention: bool) -> list[str]:
    """All entries of a published checkpoint."""
    convolutions = [*STEMS, *(f"Mixed_{block}.{unit}" for block in BLOCKS for unit in UNITS)]
    statistics = (*AFFINE, "running_mean", "running_var", "num_batches_tracked")
    names = [
        f"backbone._model.{convolution}.{entry}"
        for convolution in convolutions
        for entry in ("conv3d.weight", *(f"bn.{name}" for name in statistics))
    ]
    units = {f"pyramids.{level}": ("3d" if level < 2 else "1d") for level in range(6)}
    units |= {f"{tower}_tower.{index}": "1d" for tower in ("loc", "conf") for index in range(2)}
    units |= {
        f"{branch}_proposal_branch.{convolution}_conv": "1d"
        for branch in ("loc", "conf")
        for convolution in ("cur_point", "lr", "roi", "proposal")
    }
    detector = [
        entry
        for unit, kind in units.items()
        for affine in AFFINE
        for entry in (f"{unit}.0.conv{kind}.{affine}", f"{unit}.1.{affine}")
    ]
    detector += [f"deconv.{index}.conv1d.{affine}" for index in (0, 3, 6) for affine in AFFINE]
    detector += [f"deconv.{index}.{affine}" for index in (1, 4, 7) for affine in AFFINE]
    heads = ("loc_head", "conf_head", "prop_loc_head", "prop_conf_head", "center_head")
    detector += [f"{head}.conv1d.{affine}" for head in heads for affine in AFFINE]
    detector += [f"loc_heads.{level}.scale" for level in range(6)]
    names += [f"coarse_pyramid_detection.{name}" for name in detector]
    if attention:
        names += [f"deconv{n}.{i}.{affine}" for n in (1, 2) for i in (0, 1) for affine in AFFINE]
        names += [
            f"Att_Head_{layer}.{entry}.{affine}"
            for layer in ("4f", "5c")
            for entry in ("0.conv1d", "1", "3")
            for affine in AFFINE
        ]
    return names


def published_state(network: AFSD, *, attention: bool) -> dict[str, torch.Tensor]:
    """A checkpoint of published names whose tensors have the shapes of a network's."""
    names = published_names(attention=attention)
    blank = {name: torch.empty(1) for name in names}
    translated = translate_published(blank, source="x").file_names
    theirs = {name: ours for ours, name in translated.items()}
    own = network.state_dict()
    state = {}
    for name in names:
        if name.endswith(".scale"):
            state[name] = torch.rand(1)
        else:
            shape = own[theirs[name]].shape
            state[name] = torch.rand(shape).to(own[theirs[name]].dtype)
    return state


@pytest.mark.parametrize("attention", [False, True])
def test_published__every_entry_has_its_place(tmp_path: Path, attention: bool) -> None:
    spec = RELEASED_STUDENT.model_copy(update={"width": 0.0625, "num_levels": 6})
    if not attention:
        spec = spec.model_copy(update={"attention_head": None})
    network = AFSD(spec, 20, (3, 128, 96, 96))
    state = published_state(network, attention=attention)
    assert len(state) == (462 if attention else 442)
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}},
               tmp_path / "checkpoint.ckpt")  # fmt: skip
    report = load_published_detector(network, tmp_path / "checkpoint.ckpt")
    assert set(report.matched) == set(network.state_dict())
    own = network.state_dict()
    prefix = "coarse_pyramid_detection."
    # Written out here once more, one of each kind.
    for theirs, ours in {
        "backbone._model.Mixed_4f.b1b.conv3d.weight": "backbone.Mixed_4f.b1b.conv3d.weight",
        "backbone._model.Conv3d_1a_7x7.bn.running_var": "backbone.Conv3d_1a_7x7.bn.running_var",
        f"{prefix}pyramids.0.0.conv3d.weight": "detector.pyramid.fine.convolution.weight",
        f"{prefix}pyramids.1.1.bias": "detector.pyramid.coarse.norm.bias",
        f"{prefix}pyramids.4.0.conv1d.bias": "detector.pyramid.halvings.2.convolution.bias",
        f"{prefix}conf_tower.1.0.conv1d.weight": (
            "detector.coarse.classification_tower.1.convolution.weight"
        ),
        f"{prefix}loc_head.conv1d.weight": "detector.coarse.localisation.weight",
        f"{prefix}deconv.6.conv1d.weight": "detector.frame_feature.layers.2.convolution.weight",
        f"{prefix}deconv.4.bias": "detector.frame_feature.layers.1.norm.bias",
        f"{prefix}loc_proposal_branch.lr_conv.0.conv1d.weight": (
            "detector.refinement.localisation_branch.boundary.convolution.weight"
        ),
        f"{prefix}conf_proposal_branch.roi_conv.1.weight": (
            "detector.refinement.classification_branch.frame.norm.weight"
        ),
        f"{prefix}center_head.conv1d.bias": "detector.refinement.quality.bias",
        f"{prefix}prop_conf_head.conv1d.weight": "detector.refinement.classification.weight",
    }.items():
        assert torch.equal(own[ours], state[theirs]), theirs
    scales = [state[f"{prefix}loc_heads.{level}.scale"].item() for level in range(6)]
    assert own["detector.coarse.scales"].tolist() == scales
    if attention:
        temporal = own["attention_heads.Mixed_4f.temporal.3.weight"]
        assert torch.equal(temporal, state["Att_Head_4f.3.weight"])
        collapse = own["attention_heads.Mixed_5c.collapse.convolution.weight"]
        assert torch.equal(collapse, state["deconv1.0.weight"])


def test_published__what_does_not_fit_is_named_as_in_the_file(tmp_path: Path) -> None:
    network = AFSD(AFSDSpec(width=0.0625, num_levels=6), 20, (3, 128, 96, 96))
    state = published_state(network, attention=False)
    path = tmp_path / "checkpoint.ckpt"
    torch.save(state | {"deconv1.0.weight": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match=r"1 unexpected: deconv1\.0\.weight"):
        load_published_detector(network, path)
    head = "coarse_pyramid_detection.center_head.conv1d.bias"
    torch.save({name: value for name, value in state.items() if name != head}, path)
    with pytest.raises(CheckpointError, match=r"1 missing: detector\.refinement\.quality\.bias"):
        load_published_detector(network, path)
    torch.save({"fc.weight": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="expected those of a published detector"):
        load_published_detector(network, path)

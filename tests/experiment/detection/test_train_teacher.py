"""The teacher for detection through the real command line, on generated untrimmed videos."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from safetensors.torch import load_file

from featkd.cli.main import main
from featkd.detection.checkpoint import load_detector
from featkd.errors import RecipeError
from featkd.models import ModelSpec, NetworkCard, PreprocessSpec, save_network
from featkd.recipes import DetectionRecipe, load_any_recipe

RECIPE = {
    "task": "detection",
    "name": "tiny",
    "device": "cpu",
    "synthetic": {
        "num_videos": {"train": 4, "test": 1},
        "classes": ["translate_left", "zoom_in"],
        "video_sec": [4.0, 5.0],
        "action_sec": [1.5, 2.0],
        "gap_sec": [0.5, 1.0],
        "size": 32,
    },
    "views": {"train": {"num_frames": 32, "stride": 8, "num_views": 2, "horizontal_flip": False}},
    "teacher": {
        "model": {"width": 0.0625, "num_levels": 3},
        "preprocess": {"size": 32},
        "training": {"num_epochs": 2, "batch_size": 2},
    },
    "distillers": {"none": {"kind": "none"}},
}


def featkd(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe beside its videos; runs go elsewhere."""
    folder = tmp_path_factory.mktemp("untrimmed")
    recipe = RECIPE | {"data": {"manifest": str(folder / "data" / "manifest.csv")}}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    result = featkd("synthesize", path, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["stages"][0]["facts"] == {"num_videos": 5, "num_classes": 2}
    return path


def test_train__leaves_a_finished_run(recipe_file: Path, tmp_path: Path) -> None:
    arguments = ("train", recipe_file, "--set", f"workdir={tmp_path}")
    result = featkd(*arguments)
    assert result.exit_code == 0, result.output
    folder = tmp_path / "teacher"
    assert {path.name for path in folder.iterdir()} == {
        "metrics.jsonl",
        "model.safetensors",
        "recipe.yaml",
        "summary.json",
    }
    card, network = load_detector(folder / "model.safetensors")
    assert (card.num_frames, card.sample_fps, card.preprocess.size) == (32, 10.0, 32)
    assert card.classes == ("translate_left", "zoom_in")
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["parameters"] == sum(p.numel() for p in network.parameters())
    assert summary["gmac"] > 0
    assert summary["num_windows"] >= 4
    log = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in log] == [1, 2]
    assert {"train.loss", "train.loc", "train.action_recall"} <= log[0].keys()
    again = featkd(*arguments)
    assert "was finished already" in again.output
    other = featkd(*arguments, "--set", "losses.refined_tiou=0.4")
    assert other.exit_code == 1
    assert "other settings" in other.output


def test_train__killed_and_resumed_equals_uninterrupted(recipe_file: Path, tmp_path: Path) -> None:
    def command(name: str) -> list[str]:
        sets = (f"workdir={tmp_path / name}", "teacher.training.num_epochs=4")
        options = [word for setting in sets for word in ("--set", setting)]
        return ["train", str(recipe_file), *options]

    featkd_file = str(Path(sys.executable).with_name("featkd"))
    log = tmp_path / "killed" / "teacher" / "metrics.jsonl"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [featkd_file, *command("killed")], stderr=subprocess.DEVNULL, env=environment
    ) as process:
        deadline = time.monotonic() + 120
        while not log.exists() or not log.read_text().count("\n"):
            assert process.poll() is None
            assert time.monotonic() < deadline, "no epoch was finished"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert log.read_text().count("\n") < 4
    assert not (log.parent / "summary.json").exists()
    for name in ("killed", "whole"):
        result = featkd(*command(name))
        assert result.exit_code == 0, result.output
    whole, resumed = (
        load_file(tmp_path / name / "teacher" / "model.safetensors") for name in ("whole", "killed")
    )
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_train__the_backbone_starts_from_a_classifier(recipe_file: Path, tmp_path: Path) -> None:
    card = NetworkCard(
        model=ModelSpec(width=0.0625),
        classes=("a", "b", "c"),
        num_frames=16,
        preprocess=PreprocessSpec(size=32),
    )
    classifier = card.build()
    for buffer in classifier.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    weights = tmp_path / "classifier.safetensors"
    save_network(weights, classifier, card)
    settings = [
        f"workdir={tmp_path}",
        f"teacher.backbone_weights={weights}",
        "teacher.model.batch_norm=frozen",
        "teacher.training.num_epochs=1",
    ]
    options = [word for setting in settings for word in ("--set", setting)]
    result = featkd("train", recipe_file, *options)
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "teacher" / "initial_weights.json").read_text())
    assert record["left_out"] == ["backbone.logits.conv3d.bias", "backbone.logits.conv3d.weight"]
    assert record["origin"]["layout"] == "featkd"
    trained = load_file(tmp_path / "teacher" / "model.safetensors")
    state = classifier.state_dict()
    norms = [name for name in state if ".bn." in name]
    assert len(norms) == 57 * 5
    assert all(torch.equal(trained[name], state[name]) for name in norms)
    kernel = "backbone.Mixed_4f.b0.conv3d.weight"
    assert not torch.equal(trained[kernel], state[kernel])
    # Adam's first steps move each weight by hardly more than the learning rate.
    assert torch.allclose(trained[kernel], state[kernel], atol=1e-3)


def test_train__weights_of_another_member_of_the_family(recipe_file: Path, tmp_path: Path) -> None:
    card = NetworkCard(
        model=ModelSpec(width=0.0625),
        classes=("a", "b"),
        num_frames=16,
        preprocess=PreprocessSpec(size=32),
    )
    state = card.build().state_dict()
    missing = {name: value for name, value in state.items() if "Mixed_5c.b0" not in name}
    files = {"own": state, "missing": missing, "more": state | {"backbone.x": torch.zeros(1)}}
    for name, content in files.items():
        torch.save(
            {f"outer.{key}": value for key, value in content.items()}, tmp_path / f"{name}.pt"
        )

    def train(file: str, *more: str) -> Result:
        settings = [
            f"workdir={tmp_path / 'run'}",
            f"teacher.backbone_weights={tmp_path / file}",
            "teacher.model.name=top_i3d",
            "teacher.training.num_epochs=1",
            "teacher.training.optimiser.learning_rate=1.0e-9",
            *more,
        ]
        return featkd(
            "train", recipe_file, *(w for setting in settings for w in ("--set", setting))
        )

    for file, words, more in (
        ("missing.pt", "Mixed_5c.b0.conv3d.weight is missing", ()),
        ("more.pt", "outer.backbone.x is left over", ()),
        (
            "own.pt",
            "expected a backbone of the I3D family of width 0.125",
            ("teacher.model.width=0.125",),
        ),
        ("nothing.pt", "nothing.pt", ()),
    ):
        result = train(file, *more)
        assert result.exit_code == 1
        assert words in " ".join(result.output.split())
    result = train("own.pt")
    assert result.exit_code == 0, result.output
    trained = load_file(tmp_path / "run" / "teacher" / "model.safetensors")
    for name, how in {"Mixed_3b.b1b": "collapsed", "Mixed_5c.b1b": "copied"}.items():
        kernel = state[f"backbone.{name}.conv3d.weight"]
        expected = kernel.sum(dim=2, keepdim=True) if how == "collapsed" else kernel
        assert torch.allclose(trained[f"backbone.{name}.conv3d.weight"], expected, atol=1e-6)


def test_recipe__frozen_batch_norm_needs_weights() -> None:
    with pytest.raises(RecipeError, match=r"batch_norm is frozen and backbone_weights is not"):
        load_any_recipe("thumos14", ["teacher.backbone_weights=null"])
    recipe = load_any_recipe("thumos14")
    assert isinstance(recipe, DetectionRecipe)
    assert recipe.teacher.model.batch_norm == "frozen"

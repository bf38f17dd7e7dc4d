"""The commands of extraction and of caches, on a recipe for detection."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.recipes import dump_recipe

Featkd = Callable[..., Result]


@pytest.fixture
def recipe(
    tmp_path: Path,
    extracted_windows: Path,
    make_detection_workspace: Callable[..., DetectionWorkspace],
) -> Path:
    """A recipe whose work folder has a teacher and no cache yet."""
    workdir = tmp_path / "work"
    shutil.copytree(extracted_windows / "teacher", workdir / "teacher")
    path = tmp_path / "windows.yaml"
    path.write_text(dump_recipe(make_detection_workspace(workdir).recipe))
    return path


def test_extract__from_plan_to_prune(featkd: Featkd, recipe: Path) -> None:
    cache = recipe.parent / "work" / "cache"
    planned = featkd("plan", recipe, "--rows", 2, "--json")
    assert planned.exit_code == 0, planned.output
    assert json.loads(planned.stdout)["num_rows"] == 12
    assert not cache.exists()

    result = featkd("extract", recipe, "--set", "extract.taps=[Mixed_5c.pooled]", "--json")
    assert result.exit_code == 0, result.output
    (stage,) = json.loads(result.stdout)["stages"]
    assert stage["facts"]["num_computed_now"] == 12
    assert stage["failures"] == {}

    shown = json.loads(featkd("cache", "show", cache, "--json").stdout)
    assert "teacher_detector" in shown["modules"]
    shapes = {array["name"]: array["shape"] for array in shown["arrays"]}
    assert shapes["coarse_logits"] == shapes["refined_logits"] == [14, 3]

    verified = featkd("cache", "verify", cache, "--replay", recipe, "--rows", 4)
    assert verified.exit_code == 0, verified.output
    assert featkd("cache", "repair", recipe).exit_code == 0
    pruned = featkd("cache", "prune", recipe, "--json")
    assert pruned.exit_code == 0, pruned.output
    assert json.loads(pruned.stdout)["arrays"] == ["features/Mixed_5c.pooled"]
    again = featkd("extract", recipe)
    assert "was finished already" in again.stdout


def test_extract__without_teacher(featkd: Featkd, recipe: Path) -> None:
    shutil.rmtree(recipe.parent / "work" / "teacher")
    result = featkd("extract", recipe)
    assert result.exit_code == 1
    assert "model.safetensors is not a file; expected a detector saved by 'featkd train'" in (
        " ".join(result.output.split())
    )


def test_extract__a_classifier_is_no_detector(
    featkd: Featkd, recipe: Path, extracted: Path
) -> None:
    shutil.rmtree(recipe.parent / "work" / "teacher")
    shutil.copytree(extracted / "teacher", recipe.parent / "work" / "teacher")
    result = featkd("extract", recipe)
    assert result.exit_code == 1
    assert "expected a detector saved by featkd, not a classifier" in (
        " ".join(result.output.split())
    )


def test_extract__of_damaged_video_costs_only_its_windows(
    featkd: Featkd, recipe: Path, tmp_path: Path
) -> None:
    manifest = next(
        line.split(": ")[1] for line in recipe.read_text().splitlines() if "manifest:" in line
    )
    shutil.copytree(Path(manifest).parent, tmp_path / "data")
    video = tmp_path / "data" / "train_b.mp4"
    video.write_bytes(video.read_bytes()[:400])
    own = ("--set", f"data.manifest={tmp_path}/data/manifest.csv")
    result = featkd("extract", recipe, *own, "--json")
    assert result.exit_code == 0, result.output
    (stage,) = json.loads(result.stdout)["stages"]
    assert 0 < stage["facts"]["num_without_data"] < 12
    assert {window.partition("@")[0] for window in stage["failures"]} == {"train_b"}

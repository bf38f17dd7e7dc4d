"""Real clips through manifest, flow, two streams and evaluation, by the real command."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from featkd.cache import FolderStore
from featkd.cli.main import main

pytest.importorskip("cv2.optflow", reason="OpenCV's contributed modules are not installed")

CLIPS = {
    "train": {
        "wave": [
            "RATRACE_wave_f_nm_np1_fr_goo_37.avi",
            "SchoolRulesHowTheyHelpUs_wave_f_nm_np1_ba_med_0.avi",
        ],
        "soccer_juggling": ["v_SoccerJuggling_g23_c01.avi"],
        "cricket_shot": ["i3d_v_CricketShot_g04_c01_rgb.gif"],
    },
    "test": {
        "wave": ["TrumanShow_wave_f_nm_np1_fr_med_26.avi"],
        "soccer_juggling": ["v_SoccerJuggling_g24_c01.avi"],
    },
}
NETWORK = {
    "model": {"width": 0.0625},
    "training": {"num_epochs": 1, "batch_size": 2},
}


def featkd(*arguments: object) -> dict[str, object]:
    """Run the command and read what it prints."""
    result = CliRunner().invoke(main, [*map(str, arguments), "--json", "--quiet"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def recipe_of(folder: Path, modality: str) -> Path:
    """A recipe of one stream."""
    preprocess = {"size": 32, "modality": modality}
    content = {
        "name": modality,
        "workdir": str(folder / modality),
        "device": "cpu",
        "data": {
            "manifest": str(folder / "manifest.csv"),
            "root": str(folder / "videos"),
            "flow": str(folder / "optical_flow"),
        },
        "views": {
            "train": {"num_frames": 8, "num_views": 2},
            "evaluate": {"num_frames": 8, "num_clips": 2, "num_crops": 3},
        },
        "teacher": {**NETWORK, "preprocess": preprocess},
        "student": {**NETWORK, "preprocess": preprocess},
        "extract": {"batch_size": 4, "part_rows": 4},
        "distillers": {"kd": {"kind": "kd"}},
    }
    path = folder / f"{modality}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def videos(shared_data: Path, tmp_path: Path) -> Path:
    for split, classes in CLIPS.items():
        for name, files in classes.items():
            folder = tmp_path / "videos" / split / name
            folder.mkdir(parents=True)
            for file in files:
                (folder / file).symlink_to(shared_data / "videos" / "known_label_clips" / file)
    return tmp_path / "videos"


def test_two_streams__of_real_clips(videos: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    built = featkd("manifest", "build", videos, "--output", manifest, "--dataset", "real")
    assert not built["rejected"]
    computed = featkd(
        *("flow", manifest, "--root", videos, "--output", tmp_path / "optical_flow"),
        *("--method", "dis", "--short-side", 64),
    )
    assert computed["failures"] == {}
    assert computed["num_computed"] == computed["num_videos"] == 6

    recipes = {modality: recipe_of(tmp_path, modality) for modality in ("rgb", "flow")}
    for modality, recipe in recipes.items():
        featkd("train", recipe)
        (stage,) = featkd("extract", recipe)["stages"]
        assert stage["facts"]["num_rows"] == 8
        assert stage["failures"] == {}
        featkd("distill", recipe, "--all")
        found = featkd("cache", "verify", tmp_path / modality / "cache", "--replay", recipe)
        assert found["replay"]["different"] == []
        assert found["replay"]["num_exact"]["view_crc32"] == 8
    with FolderStore.open(tmp_path / "flow" / "cache") as store:
        fingerprint = store.layers()["teacher"].fingerprint
    assert fingerprint["preprocess.modality"] == "flow"
    assert (fingerprint["flow.method"], fingerprint["flow.short_side"]) == ("dis", 64)

    for run in ("teacher", "students/kd-seed0"):
        fused = featkd(
            *("evaluate", recipes["rgb"], tmp_path / "rgb" / run),
            *("--fuse", recipes["flow"], tmp_path / "flow" / run, "--weights", "1,1.5"),
        )
        assert [stream["weight"] for stream in fused["streams"]] == [1.0, 1.5]
        assert [stream["views"]["num_clips"] for stream in fused["streams"]] == [2, 2]
        assert fused["fused"]["num_videos"] == 2
        alone = featkd("evaluate", recipes["flow"], tmp_path / "flow" / run)
        assert alone["runs"][str(tmp_path / "flow" / run)]["top1"] == fused["streams"][1]["top1"]

"""``featkd detect``, and ``featkd evaluate`` of trained detectors, on encoded videos."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from click.testing import Result

from featkd.detection.afsd import AFSDSpec
from featkd.detection.checkpoint import DetectorCard, load_detector, save_detector
from featkd.detection.inference import Candidates, suppress
from featkd.detection.predictions import read_predictions
from featkd.detection.soft_nms import SoftNms
from featkd.experiment.detection import evaluate as stage
from featkd.experiment.synthetic import synthesize_untrimmed_dataset
from featkd.models import ModelSpec, NetworkCard, PreprocessSpec, save_network
from featkd.recipes import dump_recipe, load_any_recipe
from featkd.synthetic import UntrimmedSpec, encode_h264
from featkd.types import Clip
from featkd.video import probe, read_frames, render
from featkd.video.view import View

Featkd = Callable[..., Result]

CLASSES = ("translate_left", "rotate_clockwise")
WINDOW, STRIDE, SIZE, CROP = 32, 12, 32, 0.75


class Detector(NamedTuple):
    recipe: Path
    run: Path
    data: Path


def save_untrained(run: Path, seed: int, **changes: object) -> None:
    """An untrained detector whose scores spread, saved as training saves one."""
    card = DetectorCard.model_validate(
        {
            "model": AFSDSpec(width=0.0625, num_levels=3, attention_head="paper"),
            "classes": CLASSES,
            "num_frames": WINDOW,
            "sample_fps": 10.0,
            "crop_scale": CROP,
            "preprocess": PreprocessSpec(size=SIZE),
            **changes,
        }
    )
    torch.manual_seed(seed)
    network = card.build()
    run.mkdir(parents=True, exist_ok=True)
    save_detector(run / "model.safetensors", network, card)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    """Generated videos, a recipe and an untrained teacher. Tests must not change them."""
    folder = tmp_path_factory.mktemp("detector")
    spec = UntrimmedSpec(
        num_videos={"train": 1, "test": 3}, classes=CLASSES, video_sec=(5.0, 8.0), size=32
    )
    synthesize_untrimmed_dataset(spec, folder / "data")
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        f"""
name: tiny
task: detection
workdir: {folder}/work
device: cpu
data: {{manifest: {folder}/data/manifest.csv}}
views: {{train: {{num_frames: {WINDOW}, stride: 8, crop_scale: {CROP}}}}}
inference: {{stride: {STRIDE}, min_score: 0.02}}
teacher: {{model: {{width: 0.0625, num_levels: 3}}, preprocess: {{size: {SIZE}}}}}
student: {{model: {{width: 0.0625, num_levels: 3}}, preprocess: {{size: {SIZE}}}}}
distillers: {{none: {{kind: none}}}}
"""
    )
    run = folder / "work" / "teacher"
    save_untrained(run, seed=1)
    (run / "recipe.yaml").write_text(dump_recipe(load_any_recipe(recipe)))
    return Detector(recipe, run, folder / "data")


@pytest.fixture
def own_run(made: Detector, tmp_path: Path) -> Path:
    """A copy of the run that a test may change."""
    shutil.copytree(made.run, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def write_video(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str = "match.mp4", *, num_frames: int = 150, fps: int = 25) -> Path:
        time, row, column = np.ogrid[:num_frames, :36, :48]
        moving = 127 + 120 * np.sin(column / 5 + time / 7) * np.cos(row / 6 - time / 11)
        frames = np.repeat(moving[..., None], 3, axis=3).astype(np.uint8)
        encode_h264(frames, tmp_path / name, fps=fps)
        return tmp_path / name

    return write


def slow_detect(run: Path, video: Path, stride: int, min_score: float) -> list[tuple]:
    """Segments of a video by plain loops: (label, start, end, score), best first."""
    card, network = load_detector(run / "model.safetensors")
    info = probe(video)
    clip = Clip("v", video, 0, info.num_frames, info.width, info.height, info.fps)
    step = info.fps / card.sample_fps
    sampled = [math.ceil(k * step) - 1 for k in range(1, int(info.num_frames / step) + 1)]
    frames = read_frames(clip, sampled)
    box = ((1 - CROP) / 2, (1 - CROP) / 2, (1 + CROP) / 2, (1 + CROP) / 2)
    pixels = render(frames, View("v", 0, tuple(sampled), box, flip=False), SIZE)
    missing = max(0, WINDOW - len(sampled))
    grey = torch.full((3, missing, SIZE, SIZE), 128, dtype=torch.uint8)
    pixels = (torch.cat([pixels, grey], dim=1).double() / 255 - 0.5) / 0.5
    offsets = [*range(0, pixels.shape[1] - WINDOW + 1, stride)]
    if offsets[-1] != pixels.shape[1] - WINDOW:
        offsets.append(pixels.shape[1] - WINDOW)
    end = min(len(sampled), WINDOW)
    spans, labels, scores = [], [], []
    for offset in offsets:
        with torch.no_grad():
            said = network(pixels[None, :, offset : offset + WINDOW].float()).detections
        for prior, centre in enumerate(network.detector.priors.centres.tolist()):
            back, onward = said.refined_distances[0, prior].tolist()
            start, stop = (min(max(at, 0.0), end) for at in (centre - back, centre + onward))
            coarse, refined = (
                logits[0, prior].double().softmax(0)
                for logits in (said.coarse_logits, said.refined_logits)
            )
            quality = said.quality_logits[0, prior].double().sigmoid()
            for label in (1, 2):
                score = ((coarse[label] + refined[label]) / 2 * quality).item()
                if score > min_score and start < stop:
                    spans.append(((offset + start) / 10, (offset + stop) / 10))
                    labels.append(label)
                    scores.append(score)
    found = suppress(
        [Candidates(np.array(spans), np.array(labels), np.array(scores))], "v", CLASSES, SoftNms()
    )
    return list(found[["label", "start_sec", "end_sec", "score"]].itertuples(index=False))


def assert_same(found: list[dict], expected: list[tuple]) -> None:
    assert len(found) == len(expected) > 10
    rows = [(e["label"], *e["segment"], e["score"]) for e in found]
    # Scores that are equal but for rounding may change places.
    for ours, theirs in zip(sorted(rows), sorted(expected), strict=True):
        assert ours[0] == theirs[0]
        assert ours[1:] == pytest.approx(theirs[1:], abs=2e-4)


@pytest.mark.parametrize(
    ("num_frames", "fps"), [(150, 25), (40, 10), (60, 30)], ids=["windows", "short", "rate"]
)
def test_detect__compare(
    featkd: Featkd, made: Detector, write_video: Callable[..., Path], num_frames: int, fps: int
) -> None:
    video = write_video(num_frames=num_frames, fps=fps)

    result = featkd("detect", made.run, video, "--json", "--quiet")

    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["results"]["match"]
    assert_same(found, slow_detect(made.run, video, STRIDE, 0.02))
    assert max(e["segment"][1] for e in found) <= num_frames / fps
    scores = [e["score"] for e in found]
    assert scores == sorted(scores, reverse=True)


def test_detect__options_change_what_the_recipe_says(
    featkd: Featkd, made: Detector, write_video: Callable[..., Path]
) -> None:
    video = write_video()

    result = featkd(
        "detect", made.run, video, "--stride", 7, "--min-score", 0.1, "--json", "--quiet"
    )

    found = json.loads(result.stdout)["results"]["match"]
    assert_same(found, slow_detect(made.run, video, 7, 0.1))


def test_detect__weights_without_a_recipe_overlap_by_half(
    featkd: Featkd, made: Detector, own_run: Path, write_video: Callable[..., Path]
) -> None:
    (own_run / "recipe.yaml").unlink()
    video = write_video()

    result = featkd("detect", own_run / "model.safetensors", video, "--json", "--quiet")

    found = json.loads(result.stdout)["results"]["match"]
    assert_same(found, slow_detect(own_run, video, WINDOW // 2, 0.01))


def test_detect__several_videos_as_table_and_file(
    featkd: Featkd, made: Detector, write_video: Callable[..., Path], tmp_path: Path
) -> None:
    videos = [write_video("a.mp4"), write_video("b.mkv.mp4", num_frames=80)]
    output, page = tmp_path / "found.json", tmp_path / "pages" / "found.html"

    result = featkd(
        "detect", made.run, *videos, "--top", 4, "-o", output, "--timelines", page, "--quiet"
    )

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "a: 4 segments"
    assert lines[1].split() == ["class", "start", "s", "end", "s", "score"]
    assert f"{output} written" in lines
    predictions = read_predictions(output)
    assert predictions["video_id"].tolist() == ["a"] * 4 + ["b.mkv"] * 4
    best = predictions.iloc[0]
    assert lines[3].split() == [
        best["label"], f"{best['start_sec']:.1f}", f"{best['end_sec']:.1f}", f"{best['score']:.3f}"
    ]  # fmt: skip
    text = page.read_text()
    assert text.count('<svg class="chart"') == 2
    assert text.count("attention over time") == 2
    assert "predicted segment" in text
    assert "annotated" not in text[text.index("<body>") :]
    assert "no segment found" not in text


def test_detect__says_how_many_are_not_shown(
    featkd: Featkd, made: Detector, write_video: Callable[..., Path]
) -> None:
    lines = featkd("detect", made.run, write_video(), "--quiet").stdout.splitlines()

    number = int(lines[0].split()[1])
    assert lines[-1].startswith(f"and {number - 10} more")


def test_detect__finds_nothing(
    featkd: Featkd, made: Detector, write_video: Callable[..., Path], tmp_path: Path
) -> None:
    output = tmp_path / "found.json"

    result = featkd("detect", made.run, write_video(), "--min-score", 0.99, "-o", output)

    assert result.stdout.splitlines() == ["match: 0 segments", f"{output} written"]
    assert json.loads(output.read_text())["results"] == {"match": []}
    assert read_predictions(output).empty


def test_detect__wrong(
    featkd: Featkd, made: Detector, write_video: Callable[..., Path], tmp_path: Path
) -> None:
    video, short, slow = (
        write_video(),
        write_video("short.mp4", num_frames=2),
        write_video("slow.mp4", fps=5),
    )
    (tmp_path / "more").mkdir()
    same = shutil.copy(video, tmp_path / "more")
    no_video = tmp_path / "text.mp4"
    no_video.write_text("not a video")
    classifier = tmp_path / "classifier"
    classifier.mkdir()
    card = NetworkCard(
        model=ModelSpec(width=0.0625),
        classes=CLASSES,
        num_frames=16,
        preprocess=PreprocessSpec(size=SIZE),
    )
    save_network(classifier / "model.safetensors", card.build(), card)
    save_untrained(tmp_path / "flow", 0, preprocess=PreprocessSpec(size=SIZE, modality="flow"))

    for run, videos, message in (
        (tmp_path / "none", [video], "none is not a file; expected a detector saved by"),
        (classifier, [video], "not a classifier and not bare weights"),
        (tmp_path / "flow", [video], "sees flow, which video files do not hold"),
        (made.run, [no_video], "text.mp4"),
        (made.run, [tmp_path / "gone.mp4"], "gone.mp4"),
        (made.run, [short], "has 2 frames at 25 per second; expected at least one sampled frame"),
        (made.run, [slow], "slow.mp4: a video of 5 frames per second cannot be sampled at 10"),
        (made.run, [video, same], "2 videos are called 'match'"),
    ):
        result = featkd("detect", run, *videos)
        assert (result.exit_code, result.stdout) == (1, ""), result.output
        assert message in result.stderr
        assert result.stderr.count("\n") == 1


def test_evaluate__a_recipe_tells_its_task(
    featkd: Featkd, made: Detector, own_run: Path, tmp_path: Path
) -> None:
    page = tmp_path / "timelines.html"

    result = featkd("evaluate", made.recipe, own_run, "--json", "--quiet", "--timelines", page)

    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)["runs"][str(own_run)]
    truth = made.data / "ground_truth.json"
    predictions = own_run / "predictions.json"
    scored = featkd("evaluate", predictions, "--ground-truth", truth, "--json")
    assert json.loads(scored.stdout) == printed
    assert (printed["num_videos"], printed["num_predictions"] > 30) == (3, True)
    record = json.loads((own_run / "evaluation.json").read_text())
    assert (record["task"], record["split"]) == ("detection", "test")
    assert list(record["mean_average_precision"].values()) == printed["map"]
    assert record["average"] == printed["average_map"]
    text = page.read_text()
    assert text.count('<svg class="chart"') == 3
    assert text.count("attention over time") == 3
    assert not list(own_run.glob("*unfinished*"))

    video = json.loads(predictions.read_text())["results"]
    name = next(iter(video))
    path = next(made.data.rglob(f"{Path(name).name}.mp4"))
    assert_same(video[name], slow_detect(made.run, path, STRIDE, 0.02))


def test_evaluate__of_another_split_only_prints(
    featkd: Featkd, made: Detector, own_run: Path
) -> None:
    result = featkd(
        "evaluate", made.recipe, own_run, "--split", "train", "--tiou", "0.5", "--quiet"
    )

    lines = result.stdout.splitlines()
    assert lines[0] == str(own_run)
    assert lines[1].startswith("subset train: 1 videos")
    assert [line.split() for line in lines if line.startswith("class")] == [
        ["class", "0.5", "average"]
    ]
    assert sorted(path.name for path in own_run.iterdir()) == ["model.safetensors", "recipe.yaml"]


def test_evaluate__several_runs_are_a_table(
    featkd: Featkd, made: Detector, own_run: Path, tmp_path: Path
) -> None:
    save_untrained(tmp_path / "other", seed=2)

    lines = featkd(
        "evaluate", made.recipe, own_run, tmp_path / "other", "--quiet"
    ).stdout.splitlines()

    assert lines[0].startswith("split test: 3 videos")
    assert lines[1].split() == ["run", "0.1", "0.2", "0.3", "0.4", "0.5", "average"]
    assert [line.split()[0] for line in lines[3:5]] == [str(own_run), str(tmp_path / "other")]


def test_evaluate__fused_with_itself_is_itself(
    featkd: Featkd, made: Detector, own_run: Path, tmp_path: Path
) -> None:
    def average(*fused: object) -> float:
        result = featkd("evaluate", made.recipe, own_run, *fused, "--json", "--quiet")
        assert result.exit_code == 0, result.output
        [scores] = json.loads(result.stdout)["runs"].values()
        return scores["average_map"], scores["num_predictions"]

    alone = average()
    save_untrained(tmp_path / "other", seed=2)

    assert average("--fuse", made.recipe, own_run) == alone
    assert average("--fuse", made.recipe, tmp_path / "other") != alone


def test_evaluate__goes_on_where_it_was_interrupted(
    featkd: Featkd, made: Detector, own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, seen = stage.find_actions, []

    def interrupted(detectors, clip, spec):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(clip.video_id)
        return find(detectors, clip, spec)

    def evaluate() -> Result:
        return featkd("evaluate", made.recipe, own_run, "--json", "--quiet")

    whole = evaluate().stdout
    monkeypatch.setattr(stage, "find_actions", interrupted)
    assert evaluate().exit_code == 130
    [journal] = own_run.glob("*unfinished*")
    journal.write_bytes(journal.read_bytes()[:-10])  # the last line was being written
    first, second = seen
    seen.clear()
    monkeypatch.setattr(stage, "find_actions", lambda *a: seen.append(a[1].video_id) or find(*a))

    assert evaluate().stdout == whole
    assert (len(seen), first in seen, second in seen) == (2, False, True)

    journal.write_text('{"format": "featkd-found/1", "settings": "others"}\n["v", [], []]\n')
    seen.clear()
    assert evaluate().stdout == whole
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("options", "exit_status", "message"),
    [
        (("--still",), 2, "'--still' does not go with a recipe for detection"),
        (("--scores", "logits"), 2, "'--scores' does not go with a recipe for detection"),
        (("--ground-truth", "t.json"), 2, "'--ground-truth' does not go with a recipe for"),
        (("--video", "v"), 2, "--video needs --timelines FILE"),
        (("--split", "nowhere"), 1, "nowhere"),
        (("--set", "views.train.num_frames=64"), 1, "windows are 64 frames long; expected 32"),
        (("--fuse", "demo", "x"), 1, "--fuse demo: task is 'classification'"),
        (("more", "--timelines", "t.html"), 1, "--timelines is for one RUN; there are 2"),
        (("--task", "classification"), 1, "task is 'detection', which this command does not serve"),
    ],
)
def test_evaluate__wrong_options_of_detectors(
    featkd: Featkd, made: Detector, options: tuple[str, ...], exit_status: int, message: str
) -> None:
    result = featkd("evaluate", made.recipe, made.run, *options)

    assert result.exit_code == exit_status, result.output
    assert message in " ".join(result.stderr.split())
    assert result.stdout == ""


def test_evaluate__detectors_that_do_not_fit(
    featkd: Featkd, made: Detector, tmp_path: Path
) -> None:
    save_untrained(tmp_path / "classes", 0, classes=("a", "b"))
    save_untrained(tmp_path / "rate", 0, sample_fps=5.0)

    strange = featkd("evaluate", made.recipe, tmp_path / "classes")
    apart = featkd("evaluate", made.recipe, made.run, "--fuse", made.recipe, tmp_path / "rate")

    assert "knows 2 classes that are not those of" in strange.stderr
    assert "sample_fps of the detectors' cards are 10.0 and 5.0" in apart.stderr
    assert not list(made.run.glob("*.json*"))


def test_compare__detectors(featkd: Featkd, made: Detector, own_run: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    for name in ("none", "kd"):
        folder = work / "students" / f"{name}-seed0"
        shutil.copytree(own_run, folder)
        summary = {"kind": "student", "name": name, "seed": 0, "model": "i3d", "num_epochs": 1}
        (folder / "summary.json").write_text(json.dumps({**summary, "seconds": 60.0}))
    unmeasured = featkd("compare", work)
    assert unmeasured.stdout.startswith("Nothing is evaluated yet")

    workdir = ("--set", f"workdir={work}")
    assert featkd("evaluate", made.recipe, *workdir, "--quiet").exit_code == 0

    lines = featkd("compare", work).stdout.splitlines()
    assert lines[0].startswith("split test: 3 videos, ")
    assert lines[1].split()[:8] == ["method", "model", "seeds", "0.1", "0.2", "0.3", "0.4", "0.5"]
    none, kd = (line.split() for line in lines[3:5])
    assert (none[0], kd[0], kd[9]) == ("none", "kd", "0.0")
    assert none[3:9] == kd[3:9]
    comparison = json.loads(featkd("compare", work, "--json").stdout)
    record = json.loads((work / "students" / "kd-seed0" / "evaluation.json").read_text())
    assert comparison["task"] == "detection"
    assert comparison["groups"][1]["average"] == record["average"]

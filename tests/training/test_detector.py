"""Training a detector: its targets, its second look at rearranged windows, what it saves."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch

from featkd.cache.signal import SignalRequest
from featkd.detection.afsd import AFSD, DETECTOR_LAYERS, AFSDSpec, DetectionLossSpec
from featkd.detection.distillation import (
    AnyDetectionSpec,
    DetectionGenerativeSpec,
    DetectionSignal,
    DetectionSimKDSpec,
    DetectorAloneSpec,
    build_detection_distiller,
)
from featkd.detection.window_views import Windows, WindowViews
from featkd.manifest import AnnotationHeader, Annotations
from featkd.manifest.listing import ListedSegment
from featkd.models import PreprocessSpec, layer_shapes
from featkd.training import (
    DetectorTraining,
    DetectorTrainingSpec,
    Lessons,
    LoadingSpec,
    OptimiserSpec,
    RenderedViews,
    seed_everything,
    train,
)
from featkd.training.window_targets import draw_rearrangements
from featkd.types import Clip, Silent

CPU = torch.device("cpu")
FRAMES, SIZE = 32, 32
PREPROCESS = PreprocessSpec(size=SIZE)
# One action is longer than twice the shortest, with room for what is moved; then none is.
SEGMENTS = (
    ListedSegment("long", 0.3, 0.8, "bright"),
    ListedSegment("long", 1.0, 2.2, "dark"),
    ListedSegment("over", 0.4, 1.9, "bright"),
    ListedSegment("over", 1.1, 1.9, "dark"),
)
Item = TypeVar("Item")


def read(clip: Clip, frame_indices: Sequence[int]) -> np.ndarray:
    """Noise that is brighter or darker while something happens."""
    rng = np.random.default_rng(len(clip.video_id))
    frames = rng.integers(90, 160, (clip.num_frames, SIZE, SIZE, 3), dtype=np.uint8)
    for segment in SEGMENTS:
        if segment.video_id == clip.video_id.partition("@")[0]:
            inside = slice(round(segment.start_sec * 10), round(segment.end_sec * 10))
            frames[inside] = frames[inside] // 4 + (190 if segment.class_name == "bright" else 0)
    return frames[list(frame_indices)]


@pytest.fixture(scope="module")
def windows() -> Windows:
    clips = [
        Clip(
            video_id=video_id, path=Path(f"{video_id}.mp4"), label=0, num_frames=FRAMES,
            width=SIZE, height=SIZE, fps=10.0, start_sec=0.0, end_sec=3.2,
        )
        for video_id in ("long", "over")
    ]  # fmt: skip
    header = AnnotationHeader(dataset="x", classes=("bright", "dark"))
    views = WindowViews(num_frames=FRAMES, num_views=2, crop_scale=1.0, horizontal_flip=False)
    return Windows(clips, Annotations.of_segments(header, SEGMENTS), views)


class Teacher:
    """Says what `DetectionSignal` holds; random, the same for the same row."""

    needs_clips = False

    def signal(self, request: SignalRequest) -> DetectionSignal:
        rows = [torch.Generator().manual_seed(row) for row in request.rows]
        attention = {"Mixed_4f": (52, 8), "Mixed_5c": (64, 4)}
        return DetectionSignal(
            attention={
                layer: torch.stack([torch.rand(shape, generator=row) for row in rows])
                for layer, shape in attention.items()
            }
        )


def make_training(
    windows: Windows,
    distiller: AnyDetectionSpec | None = None,
    *,
    losses: DetectionLossSpec | None = None,
    samples: Sequence[int] = (0, 1),
    num_epochs: int = 2,
    learning_rate: float = 2e-3,
    **model: object,
) -> DetectorTraining:
    seed_everything(1)
    distiller = distiller or DetectorAloneSpec()
    head = "paper" if distiller.requires.student_attention else None
    spec = AFSDSpec(
        width=0.0625, num_levels=3, batch_norm_momentum=0.1, attention_head=head, **model
    )
    shape = (3, FRAMES, SIZE, SIZE)
    network = AFSD(spec, 2, shape)
    source = Teacher()
    shapes = layer_shapes(network.backbone, shape, DETECTOR_LAYERS)
    taught = {layer: (channels, time) for layer, (channels, time, _, _) in shapes.items()}
    views = RenderedViews(
        windows,
        WindowViews(num_frames=FRAMES, num_views=2, crop_scale=1.0, horizontal_flip=False),
        seed=0,
        sizes=[SIZE],
        loading=LoadingSpec(num_workers=1),
        read=read,
    )
    return DetectorTraining(
        network=network,
        distiller=build_detection_distiller(
            distiller, losses or DetectionLossSpec(), shapes, taught
        ),
        lessons=Lessons(
            views=views,
            source=source,
            samples=samples,
            row_of=lambda sample, view_index: 2 * sample + view_index,
            batch_size=len(samples),
            teacher_size=SIZE,
            seed=0,
        ),
        windows=windows.windows,
        spec=DetectorTrainingSpec(
            num_epochs=num_epochs,
            batch_size=len(samples),
            optimiser=OptimiserSpec(kind="adamw", learning_rate=learning_rate),
            generator_optimiser=OptimiserSpec(kind="adam", learning_rate=1e-3),
        ),
        preprocess_spec=PREPROCESS,
        device=CPU,
        seed=3,
    )


def run(training: DetectorTraining, folder: Path, progress: Silent | None = None) -> list[dict]:
    train(training.run(folder, settings="x"), description="x", progress=progress or Silent())
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_targets__equal_a_slow_loop(windows: Windows) -> None:
    training = make_training(windows, losses=DetectionLossSpec(consistency_weight=0))
    (lesson,) = training.lessons.of_epoch(1)
    targets = training.targets(lesson)
    assert targets.rearranged is None
    for row, sample in enumerate(lesson.batch.samples):
        window = windows.windows[sample]
        happening = list(zip(window.segments.tolist(), window.labels.tolist(), strict=True))
        for prior, centre in enumerate(training.network.detector.priors.centres.tolist()):
            inside = [
                (end - start, label, centre - start, end - centre)
                for (start, end), label in happening
                if start <= centre <= end
            ]
            label, distances = 0, (0.0, 0.0)
            if inside:
                _, label, *distances = min(inside)
            assert targets.assignment.labels[row, prior].item() == label
            found = targets.assignment.distances[row, prior].tolist()
            assert found == pytest.approx(distances, abs=1e-5)
        for boundary in range(2):
            marked = {
                frame
                for segment, _ in happening
                for reach in [max((segment[1] - segment[0]) / 10, 2) / 2]
                for frame in range(
                    round(segment[boundary] - reach), round(segment[boundary] + reach) + 1
                )
            }
            found = targets.maps[row, boundary].nonzero().flatten().tolist()
            assert found == sorted(marked & set(range(FRAMES)))
    assert targets.assignment.labels.unique().tolist() == [0, 1, 2]


def test_targets__rearranged_windows_take_a_second_pass(
    windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = make_training(windows)
    (lesson,) = training.lessons.of_epoch(1)
    seen: list[torch.Tensor] = []
    look = training.network.boundaries
    monkeypatch.setattr(
        training.network, "boundaries", lambda clips: (seen.append(clips), look(clips))[1]
    )
    torch.manual_seed(5)
    rearranged = training.targets(lesson).rearranged
    torch.manual_seed(5)
    order = [windows.windows[sample] for sample in lesson.batch.samples]
    drawn = draw_rearrangements(order, FRAMES)
    assert [order[position].video_id for position in drawn] == ["long"]
    ((position, found),) = drawn.items()
    clips = lesson.clips(PREPROCESS, CPU)
    assert torch.equal(seen[0][0], clips[position][:, found.frame_order])
    assert not torch.equal(seen[0][0], clips[position])
    assert torch.equal(rearranged.segments[0], found.segments)
    assert rearranged.boundaries.frames.requires_grad
    # Later draws are others.
    assert any(
        draw_rearrangements(order, FRAMES)[position].frame_order.tolist()
        != found.frame_order.tolist()
        for _ in range(5)
    )


def test_targets__no_second_pass_without_need(
    windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(clips: torch.Tensor) -> None:
        raise AssertionError

    for training in (
        make_training(windows, losses=DetectionLossSpec(consistency_weight=0)),
        make_training(windows, DetectionSimKDSpec()),
        make_training(windows, samples=(1,)),
    ):
        monkeypatch.setattr(training.network, "boundaries", refuse)
        (lesson,) = training.lessons.of_epoch(1)
        assert training.targets(lesson).rearranged is None


def test_train__one_window_lowers_every_term(windows: Windows, tmp_path: Path) -> None:
    losses = DetectionLossSpec(localisation_weight=1, detach_quality_target=True)
    training = make_training(windows, losses=losses, samples=(0,), num_epochs=60)
    log = run(training, tmp_path)
    names = ["loc", "cls", "refined_loc", "refined_cls", "quality", "start", "end", "consistency"]
    for name in names:
        values = [entry[f"train.{name}"] for entry in log]
        # The refined losses begin when coarse segments are good enough.
        assert min(values[-3:]) < 0.9 * max(values[:15]), name
    assert log[-1]["train.action_recall"] == 1


def test_train__frozen_batch_norm_stays(windows: Windows, tmp_path: Path) -> None:
    training = make_training(windows, batch_norm="frozen")
    before = {name: value.clone() for name, value in training.network.state_dict().items()}
    run(training, tmp_path)
    after = training.network.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert not any(".bn." in name for name in changed)
    assert "backbone.Mixed_3b.b0.conv3d.weight" in changed
    assert "detector.coarse.classification.weight" in changed


@pytest.mark.parametrize(
    "distiller",
    [
        DetectorAloneSpec(),
        DetectionGenerativeSpec(kd_gen_weight=0),
        DetectionGenerativeSpec(kd_gen_weight=0, alternation="epoch"),
    ],
    ids=["alone", "generative-step", "generative-epoch"],
)
def test_train__stopped_and_resumed_equals_uninterrupted(
    windows: Windows, tmp_path: Path, distiller: AnyDetectionSpec, interrupted_after
) -> None:
    settings = {"samples": (0,), "num_epochs": 3}
    whole = make_training(windows, distiller, **settings)
    log = run(whole, tmp_path / "whole")
    assert "train.consistency" in log[0]
    if distiller.kind == "generative":
        assert {f"train.cvae_recon_{layer}" for layer in DETECTOR_LAYERS} <= log[0].keys()
    steps_per_epoch = len(whole.run(tmp_path, settings="x").passes)
    with interrupted_after(2 * steps_per_epoch) as progress:
        run(make_training(windows, distiller, **settings), tmp_path / "broken", progress)
    resumed = make_training(windows, distiller, **settings)
    run(resumed, tmp_path / "broken")
    for part in ("network", "generator"):
        if part in whole.parts:
            expected = whole.parts[part].state_dict()
            found = resumed.parts[part].state_dict()
            assert all(torch.equal(found[name], value) for name, value in expected.items())

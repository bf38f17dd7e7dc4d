import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import pytest
import torch

from featkd.detection.checkpoint import DetectorCard, save_detector
from featkd.experiment import Workspace, synthesize_dataset, train_teacher
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.extract import extract
from featkd.manifest import (
    AnnotationHeader,
    Annotations,
    ListedSegment,
    Manifest,
    ManifestHeader,
    annotations_path,
    write_annotations,
    write_manifest,
)
from featkd.recipes import DetectionRecipe, load_any_recipe, load_recipe
from featkd.synthetic import encode_h264
from featkd.types import Progress, Silent

Item = TypeVar("Item")

REPOSITORY = Path(__file__).parents[1]


def shared_folder() -> Path:
    """Real data for tests; a relative path counts from the repository."""
    return (REPOSITORY / os.environ.get("FEATKD_SHARED", "../shared")).resolve()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = shared_folder() / "data"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}; set FEATKD_SHARED to the folder of the shared data")
    return folder


class StoppedError(Exception):
    pass


class StopsAfter(Silent):
    def __init__(self, num_items: int) -> None:
        self.left = num_items

    def track(
        self, items: Iterable[Item], *, description: str, total: int, unit: str, done: int = 0
    ) -> Iterable[Item]:
        for item in items:
            if self.left == 0:
                raise StoppedError
            self.left -= 1
            yield item


@pytest.fixture(scope="session")
def interrupted_after() -> Callable[[int], AbstractContextManager[Progress]]:
    """A block whose progress interrupts the work after some items, as Ctrl-C would."""

    @contextmanager
    def block(num_items: int) -> Iterator[Progress]:
        with pytest.raises(StoppedError):
            yield StopsAfter(num_items)

    return block


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


TINY = (
    "synthetic.videos_per_class={train: 4, val: 2, test: 2}",
    "synthetic.classes=[translate_left, rotate_clockwise, blink]",
    "synthetic.size=40",
    "views.train={num_frames: 16, num_views: 2, horizontal_flip: false}",
    "teacher.model.width=0.0625",
    "teacher.preprocess.size=32",
    "teacher.training.num_epochs=1",
    "teacher.training.batch_size=4",
    "student.model.width=0.0625",
    "student.preprocess.size=32",
    "student.init_from_teacher=false",
    "student.training.num_epochs=2",
    "student.training.batch_size=4",
    "representation.num_epochs=1",
    "representation.batch_size=4",
    "extract.part_rows=5",
    "extract.batch_size=2",
    "extract.dtype=float32",
    "device=cpu",
)
"""Settings that make the demo's recipe run in about a second a stage."""


def tiny_workspace(folder: Path, *more: str) -> Workspace:
    """A workspace below a folder; its videos are made if they are not there."""
    overrides = [*TINY, f"workdir={folder}", f"data.manifest={folder}/data/manifest.csv", *more]
    recipe = load_recipe("demo", overrides)
    assert recipe.synthetic is not None
    synthesize_dataset(recipe.synthetic, recipe.data.manifest.parent)
    return Workspace(recipe)


@pytest.fixture(scope="session")
def make_workspace() -> Callable[..., Workspace]:
    """`tiny_workspace`, for tests (which cannot import this file)."""
    return tiny_workspace


@pytest.fixture(scope="session")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny experiment with a trained teacher and a complete cache; do not change it."""
    folder = tmp_path_factory.mktemp("extracted")
    workspace = tiny_workspace(folder)
    train_teacher(workspace)
    extract(workspace)
    return folder


TINY_DETECTION = """
name: tiny_detection
task: detection
device: cpu
data: {manifest: manifest.csv}
loading: {num_workers: 2}
views:
  train: {num_frames: 32, sample_fps: 10, stride: 16, num_views: 2}
teacher:
  model: {width: 0.0625, num_levels: 3}
  preprocess: {size: 32}
student:
  model: {width: 0.0625, num_levels: 3, name: top_i3d}
  preprocess: {size: 32}
extract: {part_rows: 5, batch_size: 2, dtype: float32}
distillers:
  kd: {kind: kd}
  simkd: {kind: simkd}
"""
"""A recipe for detection that runs in seconds; its data are `write_untrimmed`."""

_SEGMENTS = {
    "train_a": (72, [(0.5, 1.7, 0), (2.5, 4.0, 1), (5.0, 6.6, 0)]),
    "train_b": (60, [(1.0, 2.5, 1), (3.8, 5.5, 0)]),
    "train_short": (21, [(0.3, 1.7, 1)]),
    "test_c": (50, [(1.2, 2.8, 0)]),
}
"""Length in tenths of a second, and segments, by video."""


def write_untrimmed(folder: Path) -> None:
    """Four videos at 20 frames per second, 7, 6, 2 and 5 s long, their manifest and annotations."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    rows = []
    for video_id, (num_tenths, _) in _SEGMENTS.items():
        frames = generator.integers(0, 256, (2 * num_tenths, 6, 8, 3), dtype=np.uint8)
        frames = frames.repeat(6, axis=1).repeat(6, axis=2)
        encode_h264(frames, folder / f"{video_id}.mp4", fps=20)
        rows.append(
            {
                "video_id": video_id, "path": f"{video_id}.mp4", "label": 0, "class_name": "jump",
                "split": video_id.partition("_")[0], "start_sec": 0.0, "end_sec": None,
                "num_frames": len(frames), "fps": 20.0, "width": 48, "height": 36,
                "group": None, "sha256": None,
            }
        )  # fmt: skip
    classes = ("jump", "throw")
    header = ManifestHeader(
        dataset="tiny", version="1", classes=classes, protocol="fixed", source="generated",
        licence="Apache-2.0",
    )  # fmt: skip
    write_manifest(Manifest(header, pd.DataFrame(rows), folder), folder / "manifest.csv")
    segments = [
        ListedSegment(video_id, start_sec, end_sec, classes[label])
        for video_id, (_, listed) in _SEGMENTS.items()
        for start_sec, end_sec, label in listed
    ]
    annotations = Annotations.of_segments(
        AnnotationHeader(dataset="tiny", classes=classes), segments
    )
    write_annotations(annotations, annotations_path(folder / "manifest.csv"))


@pytest.fixture(scope="session")
def make_detection_workspace(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., DetectionWorkspace]:
    """A workspace for detection below a folder; all share the videos unless they name others."""
    data = tmp_path_factory.mktemp("untrimmed") / "data"
    write_untrimmed(data)
    source = data / "recipe.yaml"
    source.write_text(TINY_DETECTION)

    def make(folder: Path, *more: str) -> DetectionWorkspace:
        overrides = [f"workdir={folder}", f"data.manifest={data}/manifest.csv", *more]
        recipe = load_any_recipe(source, overrides)
        assert isinstance(recipe, DetectionRecipe)
        return DetectionWorkspace(recipe)

    return make


def save_untrained_detector(workspace: DetectionWorkspace) -> None:
    """Put an untrained teacher into a workspace, its batch norms as if it had seen videos."""
    section, views = workspace.recipe.teacher, workspace.recipe.views.train
    card = DetectorCard(
        model=section.model,
        classes=workspace.manifest.header.classes,
        num_frames=views.num_frames,
        sample_fps=views.sample_fps,
        crop_scale=views.crop_scale,
        preprocess=section.preprocess,
    )
    torch.manual_seed(0)
    network = card.build()
    network(torch.randn(2, *card.input_shape))
    workspace.teacher_folder.mkdir(parents=True)
    save_detector(workspace.teacher_folder / "model.safetensors", network, card)


@pytest.fixture(scope="session")
def save_untrained() -> Callable[[DetectionWorkspace], None]:
    """`save_untrained_detector`, for tests."""
    return save_untrained_detector


@pytest.fixture(scope="session")
def extracted_windows(
    tmp_path_factory: pytest.TempPathFactory,
    make_detection_workspace: Callable[..., DetectionWorkspace],
) -> Path:
    """Folder of a tiny experiment on detection, its cache complete; do not change it."""
    folder = tmp_path_factory.mktemp("extracted_windows")
    workspace = make_detection_workspace(folder)
    save_untrained_detector(workspace)
    extract(workspace)
    return folder


@pytest.fixture
def run_with_mount(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python code in a fresh process that sees mounts of its own."""

    def run(mount: str, code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
        try:
            probe = subprocess.run([*unshare, mount], capture_output=True, check=False)
        except FileNotFoundError:
            pytest.skip("this system has no unshare")
        if probe.returncode != 0:
            pytest.skip("this system does not let a test mount anything")
        script = tmp_path / "script.py"
        script.write_text(code)
        return subprocess.run(
            [*unshare, f'{mount} && exec "$@"', "sh", sys.executable, script, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run

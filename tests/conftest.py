import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from featkd.experiment import Workspace, synthesize_dataset, train_teacher
from featkd.extract import extract
from featkd.recipes import load_recipe

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

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from featkd.checksum import sha256_of
from featkd.cli.main import main

Featkd = Callable[..., Result]

_SETTINGS = {
    "synthetic.videos_per_class": {"train": 4, "val": 1, "test": 2},
    "synthetic.classes": ["translate_left", "translate_right"],
    "synthetic.num_frames": 16,
    "synthetic.size": 32,
    "views.train.num_frames": 8,
    "views.train.num_views": 2,
    "views.evaluate.num_frames": 8,
    "extract.batch_size": 4,
    "extract.part_rows": 8,
    "representation.num_epochs": 1,
    "representation.batch_size": 4,
    **{
        f"{network}.{key}": value
        for network in ("teacher", "student")
        for key, value in {
            "model.width": 0.125,
            "preprocess.size": 32,
            "training.num_epochs": 1,
            "training.batch_size": 4,
        }.items()
    },
}


@pytest.fixture(scope="session")
def featkd() -> Featkd:
    """The command in this process: ``featkd("recipe", "list").stdout``."""

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return run


@pytest.fixture(scope="session")
def tiny() -> Callable[..., list[str]]:
    """``--set`` options of an experiment of seconds in a folder; keywords with __ add to them."""

    def options(workdir: Path, **changes: object) -> list[str]:
        settings = {
            "workdir": str(workdir),
            "data.manifest": str(workdir / "data" / "manifest.csv"),
            **_SETTINGS,
            **{key.replace("__", "."): value for key, value in changes.items()},
        }
        return [
            word
            for key, value in settings.items()
            for word in ("--set", f"{key}={json.dumps(value)}")
        ]

    return options


@pytest.fixture(scope="session")
def workdir(
    featkd: Featkd, tiny: Callable[..., list[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A work folder with videos, teacher, cache and representation. Tests must not change it."""
    folder = tmp_path_factory.mktemp("experiment") / "work"
    for stage in ("synthesize", "train", "extract", "represent"):
        result = featkd(stage, "demo", *tiny(folder))
        assert result.exit_code == 0, result.output
    made = _checksums(folder)
    yield folder
    changed = made.items() ^ _checksums(folder).items()
    assert not changed, f"tests changed files that they share: {sorted(dict(changed))}"


def _checksums(folder: Path) -> dict[Path, str]:
    return {path: sha256_of(path) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def own_workdir(workdir: Path, tmp_path: Path) -> Path:
    """A copy of ``workdir`` that a test may change. Its manifest is the original's."""
    shutil.copytree(workdir, tmp_path / "work")
    return tmp_path / "work"

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featkd.errors import ManifestError
from featkd.manifest import Manifest
from featkd.manifest.formats import VideoFolder, complete, export_manifest, link_videos
from featkd.manifest.schema import COLUMN_NAMES

FOLDER = VideoFolder()


@pytest.fixture
def split_manifest(manifest_of: Callable, tmp_path: Path) -> Manifest:
    rows = [
        {"path": "run/a.mp4", "end_sec": 2.0},
        {"path": "jump/b.mp4", "class_name": "jump", "split": "test", "end_sec": 1.5},
    ]
    return manifest_of(rows, tmp_path / "videos", classes=("run", "jump", "sit"))


def test_write__metadata_and_card(split_manifest: Manifest, tmp_path: Path) -> None:
    folder = tmp_path / "hf"
    export_manifest(split_manifest, FOLDER, folder)
    (line,) = (folder / "test" / "metadata.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "video_id": "v1", "file_name": "jump/b.mp4", "label": 1, "class_name": "jump",
        "start_sec": 0.0, "end_sec": 1.5, "num_frames": 20, "fps": 10.0, "width": 32, "height": 24,
    }  # fmt: skip
    _, front, text = (folder / "README.md").read_text().split("---\n", 2)
    card = yaml.safe_load(front)
    assert card["configs"][0]["data_files"] == [
        {"split": "train", "path": "train/**"},
        {"split": "test", "path": "test/**"},
    ]
    (label,) = (one for one in card["dataset_info"]["features"] if one["name"] == "label")
    assert label["dtype"] == {"class_label": {"names": {"0": "run", "1": "jump", "2": "sit"}}}
    assert "- Licence: CC0\n" in text
    assert FOLDER.read(folder, folder).header.classes == ("run", "jump", "sit")


def test_write__paths_that_name_their_split_stay(manifest_of: Callable, tmp_path: Path) -> None:
    rows = [{"path": "train/run/a.mp4"}, {"path": "test/run/b.mp4", "split": "test"}]
    export_manifest(manifest_of(rows), FOLDER, tmp_path / "hf")
    assert '"file_name": "run/b.mp4"' in (tmp_path / "hf/test/metadata.jsonl").read_text()
    table = FOLDER.read(tmp_path / "hf", tmp_path / "hf").table
    assert sorted(table["path"]) == ["test/run/b.mp4", "train/run/a.mp4"]


def test_link_videos__makes_the_folder_whole(
    split_manifest: Manifest, tmp_path: Path, encode: Callable[..., None]
) -> None:
    for shade, name in enumerate(("run/a.mp4", "jump/b.mp4")):
        encode(tmp_path / "videos" / name, num_frames=20, shade=shade)
    folder = tmp_path / "hf"
    export_manifest(split_manifest, FOLDER, folder)
    assert link_videos(split_manifest, folder) == 2
    assert link_videos(split_manifest, folder) == 0
    partial = FOLDER.read(folder, folder)
    unmeasured = replace(partial, table=partial.table.drop(columns="num_frames"))
    result = complete(unmeasured, folder, num_workers=1)
    assert result.manifest.table["num_frames"].tolist() == [15, 20]
    assert not result.rejected
    (folder / "train/run/a.mp4").unlink()
    (folder / "train/run/a.mp4").write_text("in the way")
    with pytest.raises(ManifestError, match=r"train/run/a\.mp4 cannot be made: File exists"):
        link_videos(split_manifest, folder)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([{"split": "1, 2"}], "split '1, 2' cannot be a split of a videofolder"),
        (
            [{"group": "g"}, {"split": "test"}],
            "column 'group' has values in split 'train' and none in split 'test'",
        ),
    ],
)
def test_write__refuses(
    manifest_of: Callable, tmp_path: Path, rows: list[dict], expected: str
) -> None:
    with pytest.raises(ManifestError, match=expected):
        export_manifest(manifest_of(rows), FOLDER, tmp_path / "hf")
    assert not (tmp_path / "hf").exists()


def _folder(tmp_path: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path


CARD = """---
dataset_info:
  features:
  - name: label
    dtype:
      class_label:
        names: {names}
---
"""


@pytest.mark.parametrize(
    ("files", "classes", "labels"),
    [
        pytest.param(
            {"metadata.csv": 'file_name,label\na.mp4,run\n"b, c.mp4",jump\n'},
            ("jump", "run"),
            [1, 0],
            id="csv, labels are names",
        ),
        pytest.param(
            {"metadata.csv": "file_name,label,class_name\na.mp4,1,run\nb.mp4,0,sit\n"},
            ("sit", "run"),
            [1, 0],
            id="csv, both",
        ),
        pytest.param(
            {
                "metadata.jsonl": '{"file_name": "a.mp4", "label": 2}\n'
                '{"file_name": "b.mp4", "label": 0, "text": "more"}\n',
                "README.md": CARD.format(names="['x', 'y', 'z']"),
            },
            ("x", "y", "z"),
            [2, 0],
            id="jsonl, names in the card",
        ),
        pytest.param(
            {
                "metadata.jsonl": '{"file_name": "a.mp4", "class_name": "y"}\n'
                '{"file_name": "b.mp4", "class_name": "x"}',
                "README.md": CARD.format(names="{'0': y, '1': x}"),
            },
            ("y", "x"),
            [0, 1],
            id="jsonl, numbers in the card",
        ),
    ],
)
def test_read__what_others_wrote(
    tmp_path: Path, files: dict[str, str], classes: tuple[str, ...], labels: list[int]
) -> None:
    folder = _folder(tmp_path, files)
    partial = FOLDER.read(folder, folder)
    assert partial.header.classes == classes
    assert partial.table["label"].tolist() == labels
    assert set(partial.table["split"]) == {"train"}


LINE = '{"file_name": "a.mp4", "class_name": "run"}'


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, r"has no metadata\.jsonl or metadata\.csv, .* 'featkd manifest build'"),
        ({"train/metadata.jsonl": ""}, "name no video"),
        ({"metadata.jsonl": '{"label": 1}'}, "line 1: file_name is None"),
        ({"metadata.jsonl": f"{LINE}\n{{"}, "line 2 is not JSON"),
        ({"metadata.jsonl": "[]"}, r"line 1 is '\[\]'; expected an object"),
        ({"metadata.csv": "file_name,label\na\n"}, "line 2 has 1 values; expected 2"),
        ({"metadata.csv": "file_name,width\na,x\n"}, "line 2: width is 'x'; expected int64"),
        ({"metadata.jsonl": '{"file_name": "a"}'}, "have no class names"),
        ({"metadata.jsonl": '{"file_name": "a", "label": 3}'}, "have no class names"),
        (
            {"metadata.jsonl": '{"file_name": "a", "label": 3, "class_name": "x"}'},
            "labels have gaps",
        ),
        (
            {"metadata.jsonl": LINE + '\n{"file_name": "b.mp4"}'},
            r"class of 'b\.mp4' is nan; expected a name for every video",
        ),
        ({"metadata.jsonl": LINE, "README.md": CARD.format(names="[sit]")}, "class 'run' is not"),
        ({"metadata.jsonl": LINE, "README.md": CARD.format(names="{'1': run}")}, "from 0"),
        ({"metadata.jsonl": LINE, "README.md": "---\n[\n---\n"}, "front matter is not YAML"),
        ({"metadata.jsonl": LINE, "train/metadata.csv": "file_name\n"}, "both tell of videos"),
        ({"a/metadata.jsonl": LINE, "a/metadata.csv": "file_name\n"}, "both tell of videos"),
    ],
)
def test_read__faults(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    folder = _folder(tmp_path, files)
    with pytest.raises(ManifestError, match=expected):
        FOLDER.read(folder, folder)


def test_read__the_root_is_the_folder(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "hf", {"metadata.jsonl": LINE})
    with pytest.raises(ManifestError, match="lie in it"):
        FOLDER.read(folder, tmp_path)


def test_complete__a_path_outside_the_folder_is_refused(tmp_path: Path) -> None:
    line = '{"file_name": "../a.mp4", "class_name": "run"}'
    folder = _folder(tmp_path / "hf", {"train/metadata.jsonl": line})
    with pytest.raises(ManifestError, match="leads out of the root"):
        complete(FOLDER.read(folder, folder), folder)


VALUES = st.none() | st.booleans() | st.integers(-2, 3) | st.floats() | st.text(max_size=3)
JSON = st.recursive(VALUES, lambda inner: st.lists(inner, max_size=2), max_leaves=3)
KEYS = st.sampled_from(["file_name", *COLUMN_NAMES])


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.dictionaries(KEYS, JSON), max_size=3),
    names=st.none() | JSON | st.lists(st.sampled_from("ab"), max_size=2),
)
def test_read__whatever_stands_there_is_read_or_refused(
    tmp_path: Path, rows: list[dict], names: object
) -> None:
    lines = "\n".join(json.dumps({"file_name": "a.mp4", **row}) for row in rows)
    folder = _folder(tmp_path, {"metadata.jsonl": lines, "a.mp4": "no video"})
    (folder / "README.md").write_text(CARD.format(names=json.dumps(names)))
    # Nothing else may be raised, whatever stands there.
    with suppress(ManifestError):
        complete(FOLDER.read(folder, folder), folder, num_workers=1)

"""A folder of a thousand videos, fifty of them bad: exactly those are found, with their reasons."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from featkd.manifest import (
    Manifest,
    Problem,
    build_from_folders,
    build_from_lists,
    check_contents,
    check_extra_files,
    check_table,
    describe_dataset,
)

Encode = Callable[..., None]
CLASSES = tuple(f"class{label}" for label in range(10))
NUM_VIDEOS = 1000
KINDS = (
    "missing", "empty", "corrupt", "no video", "wrong suffix", "duplicate", "cut", "folder",
    "pointer", "no frame",
)  # fmt: skip


@pytest.fixture
def names(tmp_path: Path, encode: Encode) -> list[str]:
    """A thousand small videos that differ in their last bytes."""
    encode(tmp_path / "one.mp4", num_frames=2)
    video = (tmp_path / "one.mp4").read_bytes()
    names = []
    for number in range(NUM_VIDEOS):
        name = f"{CLASSES[number % 10]}/{number:04}.mp4"
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # A "free" box: players pass it over.
        path.write_bytes(video + (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big"))
        names.append(name)
    return names


def _zeroed_frames(content: bytes, name: str) -> bytes:
    """An MP4 whose index is whole, but whose frames are lost."""
    start, end = content.index(b"mdat") + 4, content.index(b"moov") - 4
    return content[:start] + bytes(end - start) + content[end:]


_BAD: dict[str, Callable[[bytes, str], bytes]] = {
    "empty": lambda content, name: b"",
    "corrupt": _zeroed_frames,
    "no video": lambda content, name: f"a page that says 404 instead of {name}".encode(),
    "cut": lambda content, name: content[: len(content) // 2],
    "pointer": lambda content, name: b"version https://git-lfs" + name.encode(),
    "no frame": lambda content, name: content[: content.index(b"mdat") + 4],
}
"""New contents by kind, made of the old contents and the name of the file."""


def _spoil(root: Path, names: list[str], encode: Encode) -> dict[str, str]:
    """Make every twentieth video bad; the kind of its fault by name."""
    encode(root.parent / "other.mkv", num_frames=2, shade=50)
    matroska = (root.parent / "other.mkv").read_bytes()
    first = (root / names[0]).read_bytes()
    kind_of = {name: KINDS[index % 10] for index, name in enumerate(names[7::20])}
    for name, kind in kind_of.items():
        path = root / name
        content = path.read_bytes()
        path.unlink()
        if kind == "folder":
            path.mkdir()
        elif kind == "duplicate":
            path.write_bytes(first)
        elif kind == "wrong suffix":
            path.write_bytes(matroska + b"\xec\x88" + name[-8:].encode())  # a void element
        elif kind != "missing":
            path.write_bytes(_BAD[kind](content, name))
    return kind_of


REASONS = {
    "missing": "there is none",
    "empty": "empty (0 bytes)",
    "corrupt": "0 of 2 declared frames decode",
    "no video": "cannot be opened as a video",
    "wrong suffix": "contents are matroska",
    "duplicate": "copy of class0/0000.mp4",
    "cut": "no decoder is known for",
    "folder": "there is a folder",
    "pointer": "git-lfs pointer",
    "no frame": "cannot be opened as a video",
}


def _by_path(manifest: Manifest, problems: list[Problem]) -> dict[str, str]:
    """What is said about each file."""
    paths = manifest.table["path"]
    told: dict[str, str] = {}
    for problem in problems:
        assert problem.row is not None, problem.message
        path = paths[problem.row]
        told[path] = f"{told.get(path, '')} {problem.message}"
    return told


def test_validate__videos_that_went_bad(tmp_path: Path, names: list[str], encode: Encode) -> None:
    root = tmp_path / "videos"
    manifest = build_from_folders(root, dataset="t").manifest
    assert manifest.num_rows == NUM_VIDEOS
    assert check_table(manifest) + check_contents(manifest) + check_extra_files(manifest) == []
    kind_of = _spoil(root, names, encode)
    assert Counter(kind_of.values()) == dict.fromkeys(KINDS, 5)
    problems = check_table(manifest) + check_contents(manifest) + check_extra_files(manifest)
    told = _by_path(manifest, problems)
    assert told.keys() == kind_of.keys()
    assert [name for name, kind in kind_of.items() if REASONS[kind] not in told[name]] == []


def test_validate__videos_that_were_bad_when_the_manifest_was_built(
    tmp_path: Path, names: list[str], encode: Encode
) -> None:
    root = tmp_path / "videos"
    kind_of = _spoil(root, names, encode)
    (tmp_path / "train.txt").write_text(
        "\n".join(f"{name} {number % 10}" for number, name in enumerate(names)), encoding="utf-8"
    )
    descriptor = describe_dataset("t", classes=CLASSES, lists="paths")
    result = build_from_lists(root, [tmp_path / "train.txt"], descriptor)
    manifest = result.with_rejected()
    assert manifest.num_rows == NUM_VIDEOS
    problems = check_table(manifest) + check_contents(manifest) + check_extra_files(manifest)
    told = _by_path(manifest, problems)
    assert told.keys() == kind_of.keys()
    served = {name for name, kind in kind_of.items() if kind in ("wrong suffix", "duplicate")}
    assert {rejected.path for rejected in result.rejected} == kind_of.keys() - served

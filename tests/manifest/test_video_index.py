from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featkd.errors import ManifestError
from featkd.manifest.video_index import VideoIndex, videos_below, without_suffix


@pytest.mark.parametrize(
    ("listed", "there", "found"),
    [
        ("run/a.avi", ["run/a.avi", "jump/a.avi"], ["run/a.avi"]),
        ("run/a.avi", ["run/a.mp4", "jump/a.mp4"], ["run/a.mp4"]),
        ("run/A.avi", ["run/a.avi"], ["run/a.avi"]),
        ("run/a.avi", ["run/A.avi", "run/a.avi"], ["run/a.avi"]),
        ("run/a", ["run/a.webm"], ["run/a.webm"]),
        ("a.avi", ["videos/run/a.avi"], ["videos/run/a.avi"]),
        ("/data/train/run/a.avi", ["run/a.avi"], ["run/a.avi"]),
        ("a.avi", ["x/a.avi", "y/a.avi"], ["x/a.avi", "y/a.avi"]),
        ("a.avi", ["x/a.mp4", "y/a.avi"], ["y/a.avi"]),
        ("a.avi", ["x/b.avi"], []),
        ("v1.2", ["v1.2.mp4", "v1.3.mp4"], ["v1.2.mp4"]),
    ],
)
def test_candidates(listed: str, there: list[str], found: list[str]) -> None:
    assert VideoIndex(there).candidates(listed) == found


_NAMES = st.text("abAB.", min_size=1, max_size=4).map(lambda name: f"{name}.mp4")
_PATHS = st.lists(
    st.tuples(st.sampled_from(["", "x/", "y/z/"]), _NAMES).map("".join), unique=True, max_size=8
)


@settings(deadline=None)
@given(_PATHS)
def test_candidates__a_file_is_found_under_its_own_path(paths: list[str]) -> None:
    index = VideoIndex(paths)
    assert all(index.candidates(path) == [path] for path in paths)


@settings(deadline=None)
@given(_PATHS, _NAMES)
def test_candidates__have_the_name_up_to_suffix_and_case(paths: list[str], name: str) -> None:
    for found in VideoIndex(paths).candidates(name):
        found_name = without_suffix(found.rpartition("/")[2])
        assert found_name.casefold() == without_suffix(name).casefold()


def test_videos_below__what_counts(tmp_path: Path) -> None:
    for name in (
        "b.MP4",
        "run/a.avi",
        "run/deep/c.webm",
        "run/notes.txt",
        ".cache/d.mp4",
        ".e.mp4",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "run" / "deep" / "loop").symlink_to(tmp_path)
    (tmp_path / "run" / "broken.mp4").symlink_to("nowhere")
    assert videos_below(tmp_path) == ["b.MP4", "run/a.avi", "run/broken.mp4", "run/deep/c.webm"]
    with pytest.raises(ManifestError, match="is not a folder"):
        videos_below(tmp_path / "absent")

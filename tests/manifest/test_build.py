import hashlib
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from featkd.errors import ManifestError, UsageError
from featkd.manifest import build_from_folders, check_table, read_manifest, write_manifest

Encode = Callable[..., None]


def test_build__class_folders(tmp_path: Path, encode: Encode) -> None:
    encode(tmp_path / "wave" / "b.MP4", num_frames=4)
    encode(tmp_path / "run" / "a é (1).avi", num_frames=7)
    (tmp_path / "run" / "notes.txt").write_text("no video")
    encode(tmp_path / "run" / ".hidden.mp4")
    encode(tmp_path / ".thumbnails" / "x.mp4")
    result = build_from_folders(tmp_path, dataset="tiny", num_workers=2)
    manifest = result.manifest
    assert (result.rejected, result.warnings) == ((), ())
    assert manifest.header.classes == ("run", "wave")
    assert manifest.header.dataset == "tiny"
    rows = manifest.table.to_dict("records")
    assert [row["video_id"] for row in rows] == ["run/a é (1)", "wave/b"]
    assert [row["path"] for row in rows] == ["run/a é (1).avi", "wave/b.MP4"]
    assert [row["num_frames"] for row in rows] == [7, 4]
    first = rows[0]
    assert (first["label"], first["class_name"], first["split"]) == (0, "run", "train")
    assert (first["width"], first["height"], first["fps"]) == (32, 32, 10.0)
    assert (first["group"], first["start_sec"]) == ("a é (1)", 0.0)
    contents = (tmp_path / "run" / "a é (1).avi").read_bytes()
    assert first["sha256"] == hashlib.sha256(contents).hexdigest()


def test_build__split_folders(tmp_path: Path, encode: Encode) -> None:
    for shade, name in enumerate(["train/run/a", "train/wave/b", "validation/run/c", "test/run/d"]):
        encode(tmp_path / f"{name}.mp4", shade=shade * 30)
    manifest = build_from_folders(tmp_path, dataset="tiny").manifest
    assert dict(zip(manifest.table["video_id"], manifest.table["split"], strict=True)) == {
        "test/run/d": "test",
        "train/run/a": "train",
        "train/wave/b": "train",
        "validation/run/c": "val",
    }
    assert manifest.table["class_name"].tolist() == ["run", "run", "wave", "run"]


def test_build__same_result_whatever_the_workers(tmp_path: Path, encode: Encode) -> None:
    for index in range(9):
        encode(tmp_path / "run" / f"{index}.mp4", num_frames=index + 1)
    digests = {
        build_from_folders(tmp_path, dataset="tiny", num_workers=workers).manifest.digest
        for workers in (1, 3)
    }
    assert len(digests) == 1


def test_build__names_stay_unique_without_suffix(tmp_path: Path, encode: Encode) -> None:
    for name in ("a.mp4", "a.avi", "a.mp4.avi", "b.mp4"):
        encode(tmp_path / "run" / name)
    video_ids = build_from_folders(tmp_path, dataset="tiny").manifest.table["video_id"]
    assert sorted(video_ids) == ["run/a.avi", "run/a.mp4", "run/a.mp4.avi", "run/b"]


def test_build__fractions_split_whole_groups(tmp_path: Path, encode: Encode) -> None:
    encode(tmp_path / "original.mp4", num_frames=1)
    for class_name in ("Run", "Wave"):
        (tmp_path / "videos" / class_name).mkdir(parents=True)
        for group in range(1, 13):
            for clip in (1, 2):
                name = f"v_{class_name}_g{group:02}_c{clip:02}.mp4"
                shutil.copy(tmp_path / "original.mp4", tmp_path / "videos" / class_name / name)
    splits = {"train": 0.6, "test": 0.4}

    def split_by_group(seed: int) -> dict[str, str]:
        manifest = build_from_folders(
            tmp_path / "videos", dataset="u", splits=splits, seed=seed, group_pattern=r"_(g\d+)_"
        ).manifest
        assert (manifest.table.groupby("group")["split"].nunique() == 1).all()
        assert not [problem for problem in check_table(manifest) if problem.field == "group"]
        return dict(zip(manifest.table["group"], manifest.table["split"], strict=True))

    first = split_by_group(0)
    assert set(first) == {f"g{group:02}" for group in range(1, 13)}
    assert set(first.values()) == set(splits)
    assert first == split_by_group(0)
    assert first != split_by_group(1)
    # Fewer videos: those that remain keep their split.
    for path in (tmp_path / "videos").glob("*/*_g0[1-6]_*"):
        path.unlink()
    assert split_by_group(0) == {group: first[group] for group in sorted(first)[6:]}


def test_build__split_that_receives_nothing(tmp_path: Path, encode: Encode) -> None:
    encode(tmp_path / "run" / "a.mp4")
    result = build_from_folders(tmp_path, dataset="t", splits={"train": 0.999, "test": 0.001})
    assert [warning.message for warning in result.warnings] == [
        "split 'test' received no video; add videos or change the seed"
    ]


def test_build__name_without_group(tmp_path: Path, encode: Encode) -> None:
    encode(tmp_path / "run" / "v_g01_c01.mp4")
    encode(tmp_path / "run" / "other.mp4")
    result = build_from_folders(tmp_path, dataset="t", group_pattern=r"_(g\d+)_")
    assert result.manifest.table["group"].tolist() == ["other", "g01"]
    assert [warning.path for warning in result.warnings] == ["run/other.mp4"]


def test_build__given_classes_fix_the_labels(tmp_path: Path, encode: Encode) -> None:
    encode(tmp_path / "run" / "a.mp4")
    manifest = build_from_folders(tmp_path, dataset="t", classes=["wave", "run"]).manifest
    assert manifest.header.classes == ("wave", "run")
    assert manifest.table["label"].tolist() == [1]
    with pytest.raises(ManifestError, match="class folder 'run' is not among the 1 classes"):
        build_from_folders(tmp_path, dataset="t", classes=["wave"])


def test_build__rejects_what_does_not_open(tmp_path: Path, encode: Encode) -> None:
    encode(tmp_path / "run" / "b.mp4")
    (tmp_path / "run" / "a.mp4").write_bytes(b"")
    (tmp_path / "run" / "c.mkv").write_bytes(bytes(4096))
    (tmp_path / "run" / "d.avi").symlink_to("nowhere")
    encode(tmp_path / "run" / "line\nbreak.mp4")
    (tmp_path / "odd").mkdir()
    result = build_from_folders(tmp_path, dataset="t")
    assert result.manifest.table["video_id"].tolist() == ["run/b"]
    reasons = {rejected.path: rejected.reason for rejected in result.rejected}
    assert list(reasons) == ["run/a.mp4", "run/c.mkv", "run/d.avi", "run/line\nbreak.mp4"]
    assert "empty" in reasons["run/a.mp4"]
    assert "cannot be opened as a video" in reasons["run/c.mkv"]
    assert "No such file" in reasons["run/d.avi"]
    assert "line break" in reasons["run/line\nbreak.mp4"]
    assert [(warning.path, warning.message) for warning in result.warnings] == [
        ("odd", "is no class: no video lies directly in it")
    ]


def test_build__with_rejected_keeps_their_rows(tmp_path: Path, encode: Encode) -> None:
    encode(tmp_path / "run" / "b.mp4")
    (tmp_path / "run" / "a.mp4").write_bytes(b"no video")
    encode(tmp_path / "run" / "line\nbreak.mp4")
    manifest = build_from_folders(tmp_path, dataset="t").with_rejected()
    assert manifest.table["video_id"].tolist() == ["run/a", "run/b"]
    assert manifest.table["num_frames"].tolist() == [0, 5]
    assert manifest.table["sha256"][0] == hashlib.sha256(b"no video").hexdigest()
    write_manifest(manifest, tmp_path / "manifest.csv")
    back = read_manifest(tmp_path / "manifest.csv")
    assert back.digest == manifest.digest
    assert [clip.num_frames for clip in back.clips("train")] == [0, 5]


def test_build__with_rejected_of_none_is_the_same(tmp_path: Path, encode: Encode) -> None:
    encode(tmp_path / "run" / "b.mp4")
    result = build_from_folders(tmp_path, dataset="t")
    assert result.with_rejected() is result.manifest


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "found no folders"),
        (["a.mp4"], "found no folders"),
        (["run/notes.txt", "wave/x"], "found 2 folders without such files: run, wave"),
        (["train/a.mp4", "test/b.mp4"], "found 2 folders without such files: test, train"),
        (["data/run/a.mp4"], "found 1 folders without such files: data"),
    ],
    ids=["nothing", "no class folders", "no videos", "splits without classes", "too deep"],
)
def test_build__no_videos(files: list[str], words: str, tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ManifestError) as caught:
        build_from_folders(tmp_path, dataset="t")
    message = str(caught.value)
    assert str(tmp_path) in message
    assert "looked for <class>/<video> and <split>/<class>/<video>" in message
    assert ".mp4" in message
    assert words in message


def test_build__no_video_opens(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a.mp4").write_bytes(b"")
    with pytest.raises(ManifestError, match=r"none of its 1 videos serves; .*run/a\.mp4: .*empty"):
        _ = build_from_folders(tmp_path, dataset="t").manifest


def test_build__root_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="absent is not a folder"):
        build_from_folders(tmp_path / "absent", dataset="t")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"splits": {"train": 0.7, "test": 0.2}}, r"sum to 0\.89?9*; expected 1"),
        ({"splits": {"train": 1.5, "test": -0.5}}, r"'train' has fraction 1\.5"),
        ({"splits": {"train": 1.0, "test": 0.0}}, r"'test' has fraction 0\.0"),
        ({"splits": {" ": 1.0}}, "' ' has no printable name"),
        ({"splits": {}}, "sum to 0"),
        ({"group_pattern": "("}, "is not a regular expression"),
        ({"group_pattern": "g[0-9]+"}, "has 0 groups; expected one"),
        ({"num_workers": 0}, "num_workers is 0"),
    ],
)
def test_build__arguments(
    arguments: dict[str, object], words: str, tmp_path: Path, encode: Encode
) -> None:
    encode(tmp_path / "run" / "a.mp4")
    with pytest.raises(UsageError, match=words):
        build_from_folders(tmp_path, dataset="t", **arguments)  # type: ignore[arg-type]


def test_build__fractions_contradict_split_folders(tmp_path: Path, encode: Encode) -> None:
    encode(tmp_path / "train" / "run" / "a.mp4")
    with pytest.raises(UsageError, match="already has split folders"):
        build_from_folders(tmp_path, dataset="t", splits={"train": 1.0})


def test_build__blank_class_name(tmp_path: Path, encode: Encode) -> None:
    encode(tmp_path / " " / "a.mp4")
    with pytest.raises(ManifestError, match=r"field 'classes' .* class 0 is ' '"):
        build_from_folders(tmp_path, dataset="t")


class _Recorder:
    def __init__(self) -> None:
        self.seen: list[tuple[str, int, int]] = []

    def track(
        self, items: Iterable[object], *, description: str, total: int, unit: str, done: int = 0
    ) -> Iterable[object]:
        passed = list(items)
        self.seen.append((unit, total, len(passed)))
        return passed

    def note(self, message: str) -> None:
        raise AssertionError(message)


def test_build__shows_progress(tmp_path: Path, encode: Encode) -> None:
    encode(tmp_path / "run" / "a.mp4")
    (tmp_path / "run" / "b.mp4").write_bytes(b"")
    recorder = _Recorder()
    build_from_folders(tmp_path, dataset="t", progress=recorder)  # type: ignore[arg-type]
    assert recorder.seen == [("video", 2, 2)]


def test_build__real_videos(real_videos: Path, tmp_path: Path) -> None:
    right = {
        "awkward/decord_unordered.mov": 4,
        "awkward/decord_video_90.mov": 3,
        "awkward/derived_name with spaces & ünïcode (cartwheel).avi": 83,
        "awkward/torchcodec_h265_10bits.mp4": 30,
        "known_label_clips/RATRACE_wave_f_nm_np1_fr_goo_37.avi": 72,
        "known_label_clips/TrumanShow_wave_f_nm_np1_fr_med_26.avi": 48,
        "known_label_clips/paddlevideo_table_tennis.gif": 45,
    }
    in_part = {"awkward/decord_corrupted.mp4": 28, "awkward/derived_truncated.avi": 72}
    wrong = {
        "awkward/derived_4096_zero_bytes.avi": "cannot be opened",
        "awkward/derived_truncated_no_moov_or_tail.mp4": "cannot be opened",
        "awkward/derived_zero_length.mp4": "is empty (0 bytes)",
        "awkward/lfs_pointer_not_a_video.mp4": "git-lfs pointer",
    }
    passed_over = ["awkward/mmaction2_test_audio_only.wav", "awkward/labels.csv"]
    for name in [*right, *in_part, *wrong, *passed_over]:
        link = tmp_path / name
        link.parent.mkdir(exist_ok=True)
        link.symlink_to((real_videos / name).resolve())
    result = build_from_folders(tmp_path, dataset="real", num_workers=2)
    table = result.manifest.table
    assert dict(zip(table["path"], table["num_frames"], strict=True)) == right | in_part
    portrait = table[table["path"] == "awkward/decord_video_90.mov"].iloc[0]
    assert (portrait["width"], portrait["height"]) == (320, 568)
    reasons = {rejected.path: rejected.reason for rejected in result.rejected}
    assert reasons.keys() == wrong.keys()
    for path, words in wrong.items():
        assert words in reasons[path]
    complaints = {warning.path: warning.message for warning in result.warnings}
    assert complaints.keys() == in_part.keys()
    assert complaints["awkward/decord_corrupted.mp4"].startswith("28 of 50")
    assert len(result.with_rejected().table) == len(right) + len(in_part) + len(wrong)

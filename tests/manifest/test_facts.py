import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from featkd.checksum import sha256_of
from featkd.errors import ManifestError
from featkd.manifest import build_from_folders, check_contents, facts_journal
from featkd.manifest.facts import Facts, journal_beside, read_facts, suffix_complaint

Encode = Callable[..., None]
WHOLE = [(0.0, None)]


class Interrupting:
    """A progress that counts what is read and stops after some files, as Ctrl-C would."""

    def __init__(self, after: int = 10**6) -> None:
        self.after = after
        self.done = 0
        self.num_read = 0

    def track(
        self, items: Iterable[object], *, description: str, total: int, unit: str, done: int = 0
    ) -> Iterable[object]:
        self.done = done
        for item in items:
            if self.num_read == self.after:
                raise KeyboardInterrupt
            self.num_read += 1
            yield item

    def note(self, message: str) -> None:
        pass


@pytest.fixture
def folder(tmp_path: Path, encode: Encode) -> Path:
    """Six videos and two files that are none, in two classes."""
    for index in range(6):
        encode(tmp_path / "videos" / "run" / f"{index}.mp4", num_frames=index + 1)
    (tmp_path / "videos" / "jump").mkdir()
    (tmp_path / "videos" / "jump" / "a.mp4").write_bytes(b"no video")
    (tmp_path / "videos" / "jump" / "b.mp4").write_bytes(b"")
    return tmp_path


def _interrupted(folder: Path, after: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        build_from_folders(
            folder / "videos",
            dataset="t",
            journal_path=folder / "journal",
            progress=Interrupting(after),
            num_workers=1,
        )


def _resumed(folder: Path) -> tuple[str, Interrupting]:
    progress = Interrupting()
    result = build_from_folders(
        folder / "videos", dataset="t", journal_path=folder / "journal", progress=progress
    )
    return result.with_rejected().digest, progress


def test_build__goes_on_where_it_stopped(folder: Path) -> None:
    whole = build_from_folders(folder / "videos", dataset="t").with_rejected().digest
    _interrupted(folder, 5)
    assert (folder / "journal").exists()
    digest, progress = _resumed(folder)
    assert digest == whole
    assert (progress.done, progress.num_read) == (5, 3)
    assert not (folder / "journal").exists()


def test_build__reads_a_changed_file_again(folder: Path, encode: Encode) -> None:
    _interrupted(folder, 8 - 1)
    encode(folder / "videos" / "run" / "0.mp4", num_frames=9)
    encode(folder / "videos" / "jump" / "a.mp4", num_frames=2)
    changed = build_from_folders(folder / "videos", dataset="t").with_rejected().digest
    digest, progress = _resumed(folder)
    assert digest == changed
    assert (progress.done, progress.num_read) == (5, 3)


@pytest.mark.parametrize("damage", ["torn", "zeros", "other root", "other decoder", "no journal"])
def test_build__damaged_journal(folder: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = build_from_folders(folder / "videos", dataset="t").with_rejected().digest
    _interrupted(folder, 6)
    journal = folder / "journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    match damage:
        case "torn":
            journal.write_bytes(b"".join(lines)[:-20])
        case "zeros":
            journal.write_bytes(b"".join([*lines[:-1], bytes(len(lines[-1]) - 1), b"\n"]))
        case "other root":
            journal.write_bytes(b"".join(lines).replace(b"/videos", b"/elsewhere"))
        case "other decoder":
            monkeypatch.setattr(facts_journal, "decoder_version", lambda: "another")
        case "no journal":
            journal.write_bytes(b"something else\n")
    digest, progress = _resumed(folder)
    assert digest == whole
    assert progress.done == (5 if damage in ("torn", "zeros") else 0)


def test_check_contents__goes_on_where_it_stopped(folder: Path) -> None:
    manifest = build_from_folders(folder / "videos", dataset="t").manifest
    encode_again = folder / "videos" / "run" / "5.mp4"
    encode_again.write_bytes(b"damaged")
    journal = journal_beside(folder / "manifest.csv")
    with pytest.raises(KeyboardInterrupt):
        check_contents(manifest, Interrupting(4), journal_path=journal, num_workers=1)
    progress = Interrupting()
    problems = check_contents(manifest, progress, journal_path=journal)
    assert progress.done == 4
    assert {problem.video_id for problem in problems} == {"run/5"}
    assert [path.name for path in folder.iterdir()] == ["videos"]


def test_read_facts__journal_in_no_folder(folder: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be written"):
        read_facts(folder, {}, journal_path=folder / "absent" / "journal")


def test_read_facts__stretches_of_one_file(tmp_path: Path, encode: Encode) -> None:
    encode(tmp_path / "a.mp4", num_frames=8)
    facts = read_facts(tmp_path, {"a.mp4": [(0.0, 0.3), (0.3, None), (5.0, 6.0)]})["a.mp4"]
    assert [one.num_frames for one in facts] == [3, 5, 0]
    assert {one.sha256 for one in facts} == {sha256_of(tmp_path / "a.mp4")}
    assert [one.fault is None for one in facts] == [True, True, False]


@pytest.mark.parametrize(
    "container", ["mp4", "avi", "mkv", "webm", "mov", "gif", "mpg", "ts", "flv"]
)
@pytest.mark.parametrize("suffix", ["mp4", "avi", "mkv", "gif", "mpg"])
def test_suffix_complaint(container: str, suffix: str) -> None:
    # As libav names its demuxers.
    name = {
        "mp4": "mov,mp4,m4a,3gp,3g2,mj2", "mov": "mov,mp4,m4a,3gp,3g2,mj2",
        "mkv": "matroska,webm", "webm": "matroska,webm", "mpg": "mpeg", "ts": "mpegts",
    }.get(container, container)  # fmt: skip
    alike = {container, suffix} in ({"mp4", "mov"}, {"mkv", "webm"}, {"mpg", "ts"})
    complaint = suffix_complaint(f"run/a.b.{suffix.upper()}", Facts(container=name))
    assert (complaint is None) == (container == suffix or alike)


def test_read_facts__format_and_suffix_of_real_files(tmp_path: Path, encode: Encode) -> None:
    for suffix in ("mp4", "avi", "mkv", "mov", "ts", "mpg"):
        encode(tmp_path / f"a.{suffix}")
        (tmp_path / f"{suffix}.webm").write_bytes((tmp_path / f"a.{suffix}").read_bytes())
        wanted = {f"a.{suffix}": WHOLE, f"{suffix}.webm": WHOLE}
        (right,), (wrong,) = read_facts(tmp_path, wanted).values()
        assert right.fault is None
        assert suffix_complaint(f"a.{suffix}", right) is None
        complaint = suffix_complaint(f"{suffix}.webm", wrong)
        assert (complaint is None) == (suffix == "mkv")


@pytest.mark.parametrize("num_bytes", [1, 2**16, 200_000])
def test_read_facts__nothing_but_zeros(tmp_path: Path, num_bytes: int) -> None:
    with (tmp_path / "a.mp4").open("wb") as file:
        file.truncate(num_bytes)
    (facts,) = read_facts(tmp_path, {"a.mp4": WHOLE})["a.mp4"]
    assert "nothing but zeros" in str(facts.fault)
    with (tmp_path / "a.mp4").open("ab") as file:
        file.write(b"\x01")
    (facts,) = read_facts(tmp_path, {"a.mp4": WHOLE})["a.mp4"]
    assert "cannot be opened as a video" in str(facts.fault)
    assert "zeros" not in str(facts.fault)


def test_read_facts__file_that_may_not_be_read(tmp_path: Path, encode: Encode) -> None:
    encode(tmp_path / "a.mp4")
    (tmp_path / "a.mp4").chmod(0)
    if os.access(tmp_path / "a.mp4", os.R_OK):
        pytest.skip("this user may read every file")
    (facts,) = read_facts(tmp_path, {"a.mp4": WHOLE})["a.mp4"]
    assert facts.fault == "cannot be read: Permission denied"

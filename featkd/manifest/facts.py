"""What reading video files shows, many at a time, going on where an earlier reading stopped."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from featkd.checksum import sha256_of
from featkd.errors import VideoError
from featkd.manifest.parallel import map_in_threads
from featkd.progress import Progress, Silent

_BLOCK_BYTES = 2**16

Stretch = tuple[float, float | None]
"""Seconds in a file, [start, end); an end of None is the end of the file."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What reading one stretch of a file showed.

    Attributes:
        sha256: of the whole file; None where it cannot be read.
        num_frames: frames that decode in the stretch.
        fps: frames per second.
        width: pixels as shown.
        height: pixels as shown.
        container: libav's name of the file's format, whatever its suffix says.
        complaint: what is wrong with the file although frames decode, or None.
        fault: why no frame can be had, or None.
    """

    sha256: str | None = None
    num_frames: int = 0
    fps: float = 0.0
    width: int = 0
    height: int = 0
    container: str = ""
    complaint: str | None = None
    fault: str | None = None


def read_facts(
    root: Path,
    stretches: Mapping[str, Sequence[Stretch]],
    *,
    journal_path: Path | None = None,
    progress: Progress | None = None,
    num_workers: int = 4,
) -> dict[str, tuple[Facts, ...]]:
    """Read videos: each file is hashed once, and each stretch of it decoded once.

    Args:
        root: folder that the paths start from.
        stretches: stretches to look at, by path.
        journal_path: where results are noted as they come. A reading that was interrupted goes on
            from there with the files that have not changed since; the file is gone when all is
            read. None keeps no journal.
        progress: shows the files as they are read.
        num_workers: threads that decode and hash.

    Returns:
        For each path its facts, one for each of its stretches.
    """
    # Imported where it serves: reading a manifest needs neither decoder nor torch.
    from featkd.manifest.facts_journal import FactsJournal

    progress = progress or Silent()
    facts: dict[str, tuple[Facts, ...]] = {}
    with ExitStack() as stack:
        journal = None
        if journal_path is not None:
            journal = stack.enter_context(closing(FactsJournal(journal_path, root)))
            facts = journal.still_true(stretches)

        def read(path: str) -> tuple[str, object, tuple[Facts, ...]]:
            # What the file is like is asked before it is read: a change meanwhile shows next time.
            mark = journal.mark(path, stretches[path]) if journal else None
            return path, mark, _read(root / path, stretches[path])

        rest = [path for path in stretches if path not in facts]
        outcomes = progress.track(
            map_in_threads(read, rest, num_workers=num_workers),
            description="Reading videos",
            total=len(stretches),
            unit="video",
            done=len(facts),
        )
        for path, mark, found in outcomes:
            facts[path] = found
            if journal is not None:
                journal.note(path, mark, found)
        if journal is not None:
            journal.remove()
    return facts


def _read(path: Path, stretches: Sequence[Stretch]) -> tuple[Facts, ...]:
    try:
        sha256 = sha256_of(path)
        blank = _is_blank(path)
    except OSError as error:
        fault = f"cannot be read: {error.strerror or error}"
        return tuple(Facts(fault=fault) for _ in stretches)
    if blank:
        fault = f"{path} cannot be opened as a video: it holds nothing but zeros"
        return tuple(Facts(sha256, fault=fault) for _ in stretches)
    return tuple(_decode(path, sha256, stretch) for stretch in stretches)


def _is_blank(path: Path) -> bool:
    """Whether a file that is not empty has no byte but zeros, as a download that did not come has.

    libav takes long to find out that such a file is none of the formats it knows.
    """
    empty = True
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            if block != bytes(len(block)):
                return False
            empty = False
    return not empty


def _decode(path: Path, sha256: str, stretch: Stretch) -> Facts:
    from featkd.video.probe import probe

    try:
        info = probe(path, start_sec=stretch[0], end_sec=stretch[1])
    except VideoError as error:
        return Facts(sha256, fault=str(error))
    except OSError as error:
        return Facts(sha256, fault=f"cannot be read: {error.strerror or error}")
    return Facts(
        sha256,
        info.num_frames,
        info.fps,
        info.width,
        info.height,
        info.container,
        info.complaint,
    )


def journal_beside(manifest_path: Path) -> Path:
    """Where finished videos are noted while a manifest is built or its contents are checked."""
    return manifest_path.with_name(f".{manifest_path.name}.progress")


_CONTAINERS_OF_SUFFIX = {
    ".mp4": ("mp4",), ".m4v": ("mp4",), ".mov": ("mov",), ".3gp": ("3gp",), ".avi": ("avi",),
    ".mkv": ("matroska",), ".webm": ("webm",), ".gif": ("gif",), ".wmv": ("asf",),
    ".flv": ("flv",), ".ts": ("mpegts",), ".mpg": ("mpeg", "mpegvideo", "mpegts"),
    ".mpeg": ("mpeg", "mpegvideo", "mpegts"),
}  # fmt: skip


def suffix_complaint(path: str, facts: Facts) -> str | None:
    """What a file's format has to say against its suffix, or None."""
    suffix = f".{path.rpartition('.')[2].casefold()}"
    expected = _CONTAINERS_OF_SUFFIX.get(suffix)
    if expected is None or not facts.container:
        return None
    if set(expected) & set(facts.container.split(",")):
        return None
    return f"its suffix is {suffix}, its contents are {facts.container}"


def stretches_of(
    paths: Sequence[str], starts_sec: Sequence[float], ends_sec: Sequence[float | None]
) -> dict[str, list[Stretch]]:
    """The stretches of each path, in the order of the rows."""
    stretches: dict[str, list[Stretch]] = {}
    for path, start_sec, end_sec in zip(paths, starts_sec, ends_sec, strict=True):
        stretches.setdefault(path, []).append((start_sec, end_sec))
    return stretches


def facts_by_row(paths: Sequence[str], facts: Mapping[str, Sequence[Facts]]) -> Iterator[Facts]:
    """The facts of each row, given those of each path: the reverse of `stretches_of`."""
    remaining = {path: iter(found) for path, found in facts.items()}
    for path in paths:
        yield next(remaining[path])

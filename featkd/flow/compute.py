"""Computing the flow of many clips, once: what is there is kept, what is missing is computed."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from jaxtyping import UInt8

from featkd.errors import UsageError, VideoError
from featkd.flow.method import PARAMETERS, FlowSpec, estimate_flow, import_opencv
from featkd.flow.store import FlowHeader, FlowStore
from featkd.types import Clip, Progress, Silent
from featkd.video import (
    FLOW_BOUND_PIXELS,
    decoder_version,
    probe,
    quantise_flow,
    stream_frames,
)


@dataclass(frozen=True, slots=True)
class FlowSummary:
    """What `compute_flow` did.

    Attributes:
        num_videos: clips that were asked for.
        num_computed: clips computed by this call.
        num_frames: frames of flow computed by this call.
        seconds: of this call.
        num_bytes: of the files of all clips that were asked for.
        failures: reason by id of clips that have no flow.
    """

    num_videos: int
    num_computed: int
    num_frames: int
    seconds: float
    num_bytes: int
    failures: dict[str, str]

    def to_json(self) -> dict[str, object]:
        """As a dictionary that JSON can hold."""
        return asdict(self)


def compute_flow(
    clips: Sequence[Clip],
    folder: Path,
    spec: FlowSpec,
    *,
    num_workers: int = 2,
    progress: Progress | None = None,
) -> FlowSummary:
    """Compute the flow of clips that have none yet, and keep it.

    A clip whose file is there is not computed again; one that failed before is tried again. Each
    clip is computed by one thread, whose result depends on nothing beside it.

    Args:
        clips: of a manifest.
        folder: where flow is kept; made if it is not there.
        spec: method and size.
        num_workers: clips computed side by side.
        progress: shows the work.

    Raises:
        UsageError: OpenCV is not installed, or ``num_workers`` is below 1.
        FlowError: the folder holds flow that was made in another way.
        OSError: the disk is full; what is finished is kept.
    """
    if num_workers < 1:
        raise UsageError(f"num_workers is {num_workers}; expected 1 or more")
    started = time.perf_counter()
    cv2 = import_opencv()
    header = FlowHeader(
        method=spec.method,
        parameters=PARAMETERS[spec.method],
        short_side=spec.short_side,
        bound_pixels=FLOW_BOUND_PIXELS,
        opencv=cv2.__version__,
        decoder=decoder_version(),
    )
    store = FlowStore.begin(folder, header)
    missing = [position for position, clip in enumerate(clips) if not store.holds(clip)]
    failures: dict[str, str] = {}
    num_frames = 0
    work = _Work(store, spec)
    shown = (progress or Silent()).track(
        _side_by_side(work, (clips[position] for position in missing), num_workers),
        description=f"flow {spec.method}",
        total=len(clips),
        unit="video",
        done=len(clips) - len(missing),
    )
    with _one_thread_a_clip(cv2):
        for clip, outcome in shown:
            if isinstance(outcome, str):
                failures[clip.video_id] = outcome
            else:
                num_frames += outcome
    files = (store.path_of(clip) for clip in clips if clip.video_id not in failures)
    return FlowSummary(
        num_videos=len(clips),
        num_computed=len(missing) - len(failures),
        num_frames=num_frames,
        seconds=time.perf_counter() - started,
        num_bytes=sum(path.stat().st_size for path in files),
        failures=failures,
    )


class _Stopped(Exception):  # noqa: N818 - nothing went wrong
    """The call that wanted the flow has ended."""


class _Work:
    """Computes clips, until it is told to stop."""

    def __init__(self, store: FlowStore, spec: FlowSpec) -> None:
        self._store = store
        self._spec = spec
        self.stopping = Event()

    def __call__(self, clip: Clip) -> tuple[Clip, int | str]:
        """The clip with its number of frames of flow, or with the reason why it has none."""
        try:
            if clip.num_frames == 0:
                probe(clip.path)  # in the usual case this raises with the reason
            if clip.num_frames < 2:
                reason = f"{clip.path} has {clip.num_frames} frames; flow needs at least 2"
                self._store.write_failure(clip, reason)
                return clip, reason
            return clip, self._store.write(clip, self._flow(clip))
        except VideoError as error:
            self._store.write_failure(clip, str(error))
            return clip, str(error)

    def _flow(self, clip: Clip) -> Iterator[UInt8[np.ndarray, "height width 2"]]:
        for field in estimate_flow(stream_frames(clip), self._spec):
            if self.stopping.is_set():
                raise _Stopped
            yield quantise_flow(field)


def _side_by_side(
    work: _Work, clips: Iterator[Clip], num_workers: int
) -> Iterator[tuple[Clip, int | str]]:
    """Results in the clips' order. When the caller stops, clips at work are given up at once."""
    pending: deque[Future[tuple[Clip, int | str]]] = deque()
    with ThreadPoolExecutor(num_workers, "featkd-flow") as pool:
        try:
            for clip in clips:
                pending.append(pool.submit(work, clip))
                if len(pending) >= 2 * num_workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            work.stopping.set()
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _one_thread_a_clip(cv2: Any) -> Iterator[None]:
    """Switch OpenCV's own threads off: clips are computed side by side instead."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)

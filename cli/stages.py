"""The stages of an experiment with what a person wants to know of each: where, how long, how big.

Both the single commands and the demo run them.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter

from featkd import experiment
from featkd.cache import CodecError, Mismatch
from featkd.cli.codec_columns import is_exact
from featkd.errors import UsageError
from featkd.experiment.base_students import SignalKind
from featkd.experiment.detection.representation import represent_detector
from featkd.experiment.detection.train_teacher import train_detection_teacher
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.experiment.open_workspace import AnyWorkspace
from featkd.experiment.workspace import read_json
from featkd.extract import extract as run_extraction
from featkd.synthetic import UntrimmedSpec
from featkd.types import Progress

_MANIFEST_NAME = "manifest.csv"


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage left behind.

    Attributes:
        stage: its command, for students with the distiller and the seed.
        written: folder or file that holds the result.
        worked: False where everything was there already.
        seconds: of this call.
        num_bytes: of the result.
        failures: reason by video that could not serve.
        facts: further figures, by name.
        codec_errors: what lossy number formats did, by array.
    """

    stage: str
    written: Path
    worked: bool
    seconds: float
    num_bytes: int
    failures: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)
    codec_errors: Mapping[str, CodecError] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """As a dictionary that JSON can hold."""
        errors = {name: error.figures() for name, error in self.codec_errors.items()}
        return asdict(self) | {"written": str(self.written), "codec_errors": errors}


def synthesize(workspace: AnyWorkspace, progress: Progress) -> StageResult:
    """Make the videos that the recipe describes, with their manifest and annotations.

    Raises:
        UsageError: the recipe describes none, or its manifest has another name than ours.
    """
    recipe = workspace.recipe
    manifest_path = recipe.data.manifest
    if recipe.synthetic is None:
        raise UsageError(
            f"recipe {recipe.name!r} has no section 'synthetic'; expected one that says which "
            "videos to generate"
        )
    if manifest_path.name != _MANIFEST_NAME:
        raise UsageError(
            f"data.manifest of recipe {recipe.name!r} is {manifest_path}; generated videos come "
            f"with a manifest called {_MANIFEST_NAME}, so expected that file name"
        )
    started = time.perf_counter()
    existed = manifest_path.exists()
    folder = manifest_path.parent
    if isinstance(recipe.synthetic, UntrimmedSpec):
        manifest = experiment.synthesize_untrimmed_dataset(recipe.synthetic, folder, progress)
    else:
        manifest = experiment.synthesize_dataset(recipe.synthetic, folder, progress)
    return StageResult(
        stage="synthesize",
        written=manifest_path,
        worked=not existed,
        seconds=time.perf_counter() - started,
        num_bytes=folder_bytes(folder),
        facts={"num_videos": manifest.num_rows, "num_classes": len(manifest.header.classes)},
    )


def train(workspace: AnyWorkspace, progress: Progress) -> StageResult:
    """Train the teacher."""

    def work() -> bool:
        if isinstance(workspace, DetectionWorkspace):
            return train_detection_teacher(workspace, progress)
        return experiment.train_teacher(workspace, progress)

    return _timed("train", workspace.teacher_folder, work)


def extract(workspace: AnyWorkspace, progress: Progress) -> StageResult:
    """Fill the cache."""
    summary = run_extraction(workspace, progress)
    return StageResult(
        stage="extract",
        written=workspace.cache_path,
        worked=summary.num_computed > 0,
        seconds=summary.seconds["wall"],
        num_bytes=summary.num_bytes,
        failures=summary.failed_videos,
        facts={
            "num_rows": summary.num_rows,
            "num_computed_now": summary.num_computed,
            "num_without_data": summary.num_failed,
            "bytes_uncompressed": summary.num_bytes_raw,
            "seconds_by_activity": summary.seconds,
        },
        codec_errors={n: e for n, e in summary.codec_errors.items() if not is_exact(e)},
    )


def represent(workspace: AnyWorkspace, progress: Progress) -> StageResult:
    """Learn the teacher's attention heads and CVAEs from the cache."""

    def work() -> bool:
        if isinstance(workspace, DetectionWorkspace):
            return represent_detector(workspace, progress)
        return experiment.represent(workspace, progress)

    return _timed("represent", workspace.representation_folder, work)


def distill(
    workspace: AnyWorkspace,
    name: str,
    seed: int,
    signal: SignalKind,
    progress: Progress,
    *,
    allowed: Collection[str] = (),
    committed_only: bool = False,
) -> StageResult:
    """Train one student.

    Args:
        workspace: recipe and folders.
        name: of the distiller.
        seed: of the student.
        signal: where the teacher's answers come from.
        progress: shows the work.
        allowed: fields of the cache's fingerprint that may differ; those that do are noted.
        committed_only: use what is cached by now.
    """
    label = name if signal == "cached" else f"{name}+live"
    folder = workspace.student_folder(label, seed)

    def work() -> bool:
        return experiment.distill(
            workspace,
            name,
            seed,
            signal=signal,
            allowed=allowed,
            committed_only=committed_only,
            progress=progress,
        )

    result = _timed(f"distill {label}, seed {seed}", folder, work)
    exceptions = TypeAdapter(list[Mismatch]).validate_python(
        read_json(folder / "summary.json").get("allowed_mismatches", [])
    )
    if not exceptions:
        return result
    described = [
        f"{item.field} is {item.cached!r} in the cache, {item.expected!r} in the recipe"
        for item in exceptions
    ]
    progress.note(f"{result.stage}: trained although {'; '.join(described)}")
    return replace(result, facts={"allowed_mismatches": described})


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _timed(stage: str, folder: Path, work: Callable[[], bool]) -> StageResult:
    started = time.perf_counter()
    worked = work()
    return StageResult(
        stage=stage,
        written=folder,
        worked=worked,
        seconds=time.perf_counter() - started,
        num_bytes=folder_bytes(folder),
    )

"""Reading the folders that training leaves behind.

A work folder holds ``teacher/``, ``representation/`` and ``students/<name>-seed<k>/``. Each of
these is one run::

    recipe.yaml       the resolved recipe
    metrics.jsonl     one JSON object an epoch
    summary.json      what was trained, written when training ends
    evaluation.json   accuracy or mAP on the held-out split (teacher and students)
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from featkd.errors import UsageError

RunKind = Literal["teacher", "representation", "student"]
Fraction = Annotated[float, Field(ge=0, le=1)]

RECIPE, METRICS = "recipe.yaml", "metrics.jsonl"
SUMMARY, EVALUATION = "summary.json", "evaluation.json"


class RunSummary(BaseModel):
    """``summary.json`` of a run. Keys beyond these are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: RunKind
    name: str
    seed: int
    model: str
    num_epochs: int = Field(ge=0)
    seconds: float = Field(ge=0)
    parameters: int | None = Field(default=None, ge=0)
    gmac: float | None = Field(default=None, ge=0)


class RunEvaluation(BaseModel):
    """``evaluation.json`` of a run: accuracies are fractions, true classes are rows."""

    model_config = ConfigDict(frozen=True, extra="allow")

    split: str
    num_videos: int = Field(gt=0)
    top1: Fraction
    top5: Fraction
    mean_class_accuracy: Fraction
    confusion: list[list[Annotated[int, Field(ge=0)]]]
    classes: list[str] = Field(min_length=1)

    @model_validator(mode="after")
    def _confusion_covers_classes(self) -> "RunEvaluation":
        num_classes = len(self.classes)
        if [len(row) for row in self.confusion] != [num_classes] * num_classes:
            raise ValueError(f"confusion must be {num_classes} x {num_classes}, one row a class")
        counted = sum(map(sum, self.confusion))
        if counted != self.num_videos:
            raise ValueError(f"confusion counts {counted} videos, num_videos is {self.num_videos}")
        return self


class DetectionEvaluation(BaseModel):
    """``evaluation.json`` of a detector: mAP is a fraction, by threshold of tIoU."""

    model_config = ConfigDict(frozen=True, extra="allow")

    task: Literal["detection"]
    split: str
    num_videos: int = Field(gt=0)
    num_segments: int = Field(gt=0)
    mean_average_precision: dict[str, Fraction] = Field(min_length=1)
    average: Fraction
    classes: list[str] = Field(min_length=1)


class _Task(BaseModel):
    task: Literal["classification", "detection"] = "classification"


class WorkSummary(BaseModel):
    """``summary.json`` of a work folder: seconds each stage took, bytes each result takes."""

    model_config = ConfigDict(frozen=True, extra="allow")

    stages: dict[str, Annotated[float, Field(ge=0)]] = {}
    bytes: dict[str, Annotated[int, Field(ge=0)]] = {}


@dataclass(frozen=True, slots=True)
class Run:
    """One training run as its folder tells it.

    Attributes:
        folder: where it lies.
        kind: teacher, representation or student.
        name: what was trained, for students the method (``none`` is the baseline).
        seed: its seed; None where the run is too young to say.
        recipe: text of ``recipe.yaml``, empty if absent.
        epochs: numbers logged in each epoch, in order, ``epoch`` among them.
        summary: None while the run is training.
        evaluation: of a classifier; None until it was evaluated; a representation never is.
        detection: of a detector, the same.
    """

    folder: Path
    kind: RunKind
    name: str
    seed: int | None
    recipe: str
    epochs: tuple[Mapping[str, float], ...]
    summary: RunSummary | None
    evaluation: RunEvaluation | None
    detection: DetectionEvaluation | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do: trained, and evaluated unless a representation."""
        if self.kind == "representation":
            return self.summary is not None
        return self.summary is not None and self.is_evaluated

    @property
    def is_evaluated(self) -> bool:
        """Whether it was measured on the held-out split."""
        return self.evaluation is not None or self.detection is not None


def read_run(folder: Path) -> Run:
    """Read one run, finished or not.

    Raises:
        UsageError: the folder holds no run, or one of its files is damaged.
    """
    if not any((folder / name).is_file() for name in (RECIPE, METRICS, SUMMARY, EVALUATION)):
        raise UsageError(
            f"{folder} holds no run; expected a folder with {RECIPE}, {METRICS} and {SUMMARY}"
        )
    return _read(folder)


def find_runs(source: Path | Sequence[Path]) -> list[Run]:
    """Read the runs of a work folder, or of several folders, each a run or a work folder.

    Runs that are not finished are in the list too (see `Run.finished`).

    Returns:
        Of each folder: teacher, representation, then students by name and seed.

    Raises:
        UsageError: a folder is missing or holds no run, or a file in it is damaged.
    """
    folders = [source] if isinstance(source, Path) else list(source)
    return [run for folder in folders for run in _runs_below(folder)]


def read_work_summary(workdir: Path) -> WorkSummary | None:
    """Read ``summary.json`` of a work folder; None where there is none.

    Raises:
        UsageError: the file is damaged.
    """
    return _read_json(workdir / SUMMARY, WorkSummary)


def _runs_below(folder: Path) -> list[Run]:
    if not folder.is_dir():
        raise UsageError(f"folder {folder} does not exist; expected a work folder or a run")
    students = folder / "students"
    singles = [folder / name for name in ("teacher", "representation")]
    if not students.is_dir() and not any(single.is_dir() for single in singles):
        return [read_run(folder)]
    runs = [_read(single) for single in singles if single.is_dir()]
    if students.is_dir():
        found = [_read(child) for child in students.iterdir() if _is_visible_folder(child)]
        found.sort(key=lambda run: (run.name, -1 if run.seed is None else run.seed, run.folder))
        runs.extend(found)
    return runs


def _is_visible_folder(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _read(folder: Path) -> Run:
    summary = _read_json(folder / SUMMARY, RunSummary)
    kind, name, seed = (
        (summary.kind, summary.name, summary.seed) if summary else _identity_from_folder(folder)
    )
    measured = folder / EVALUATION
    is_detector = (_read_json(measured, _Task) or _Task()).task == "detection"
    return Run(
        folder=folder,
        kind=kind,
        name=name,
        seed=seed,
        recipe=_read_text(folder / RECIPE),
        epochs=_read_epochs(folder / METRICS),
        summary=summary,
        evaluation=None if is_detector else _read_json(measured, RunEvaluation),
        detection=_read_json(measured, DetectionEvaluation) if is_detector else None,
    )


def _identity_from_folder(folder: Path) -> tuple[RunKind, str, int | None]:
    """A run that is still training has no summary: its folder's name says what it is."""
    if folder.name == "teacher":
        return "teacher", folder.name, None
    if folder.name == "representation":
        return "representation", folder.name, None
    match = re.fullmatch(r"(?P<name>.+)-seed(?P<seed>\d+)", folder.name)
    if match:
        return "student", match["name"], int(match["seed"])
    return "student", folder.name, None


def _read_text(path: Path) -> str:
    if not path.is_file():
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is damaged: {error}; expected UTF-8 text") from error


Document = TypeVar("Document", bound=BaseModel)


def _read_json(path: Path, model: type[Document]) -> Document | None:
    if not path.is_file():
        return None
    try:
        return model.model_validate_json(_read_text(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise UsageError(f"{path} is damaged: {field}: {first['msg']}") from error


def _read_epochs(path: Path) -> tuple[Mapping[str, float], ...]:
    # A line without its newline is an epoch being written: it is not there yet.
    complete, _, _ = _read_text(path).rpartition("\n")
    lines = complete.split("\n") if complete else []
    return tuple(
        _parse_epoch(line, f"{path} line {number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    )


def _parse_epoch(line: str, place: str) -> Mapping[str, float]:
    try:
        logged = json.loads(line)
    except json.JSONDecodeError as error:
        raise UsageError(f"{place} is damaged: {error}; expected one JSON object") from error
    if not isinstance(logged, dict) or not isinstance(logged.get("epoch"), int):
        raise UsageError(f"{place} is damaged: expected a JSON object with an integer epoch")
    # A writer may log null for a number that is not finite, and words beside the numbers.
    return {
        key: float(value)
        for key, value in logged.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }

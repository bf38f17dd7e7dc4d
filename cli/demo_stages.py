"""The demo: a whole experiment, stage by stage, with a record of what each took.

``summary.json`` in the work folder is that record. It is written after every stage, so that a demo
that was stopped goes on with the seconds it had spent, and one that is finished can show its
figures again without working.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from featkd.cache import FolderStore, take_inventory
from featkd.cli import stages
from featkd.cli.figures import percent
from featkd.cli.machine import describe_machine
from featkd.cli.stages import StageResult, folder_bytes
from featkd.evaluation import Comparison, compare, find_runs, write_report
from featkd.experiment import Workspace, evaluate, evaluate_run, middle_frame_repeated
from featkd.experiment.workspace import read_json, write_json
from featkd.recipes import Recipe, load_recipe
from featkd.training import settings_digest
from featkd.types import Progress

STUDENTS = ("none", "kd", "generative")
STUDENT_SEED = 0

Announce = Callable[[str, str], None]
"""Called before each stage with its name and a sentence that says what will happen."""


@dataclass(frozen=True, slots=True)
class DemoOutcome:
    """What a demo leaves.

    Attributes:
        summary: the content of ``summary.json``.
        comparison: teacher and students side by side.
        summary_path: that file.
        report_path: the report.
    """

    summary: dict[str, object]
    comparison: Comparison
    summary_path: Path
    report_path: Path


def demo_recipe(workdir: Path, overrides: tuple[str, ...]) -> Recipe:
    """The recipe ``demo`` with all its files below a folder.

    Raises:
        RecipeError: an override has an unknown key or a wrong value.
    """
    # Quoted, so that YAML reads any name as text.
    folder = json.dumps(str(workdir))
    manifest = json.dumps(str(workdir / "data" / "manifest.csv"))
    return load_recipe("demo", [f"workdir={folder}", f"data.manifest={manifest}", *overrides])


def run_demo(recipe: Recipe, progress: Progress, announce: Announce) -> DemoOutcome:
    """Run every stage that is not finished yet.

    Args:
        recipe: of `demo_recipe`.
        progress: shows the work.
        announce: called before each stage.

    Raises:
        FeatkdError: whatever a stage meets.
    """
    workspace = Workspace(recipe)
    record = _Record(workspace, progress)
    evaluations = _Evaluations(workspace, record, progress)

    announce("synthesize", "Short videos of moving shapes are drawn and encoded, with a manifest.")
    record.run(lambda: stages.synthesize(workspace, progress), "synthesize")
    announce("train", "A teacher learns from labels which motion a video shows.")
    trained = record.run(lambda: stages.train(workspace, progress), "train")
    announce(
        "evaluate",
        "The teacher is tested on new videos, then on one frame repeated, where nothing moves.",
    )
    evaluations.measure("teacher", workspace.teacher_folder, again=trained.worked)
    evaluations.measure_still("teacher_one_frame_repeated", again=trained.worked)
    evaluations.top1["chance"] = 1 / len(workspace.manifest.header.classes)
    announce("extract", "The teacher sees every training view once; its answers are cached.")
    extracted = record.run(lambda: stages.extract(workspace, progress), "extract")
    announce(
        "represent",
        "From the cache alone, the teacher's attention and a generator of features are learned.",
    )
    record.run(lambda: stages.represent(workspace, progress), "represent")
    for name in STUDENTS:
        announce(f"distill {name}", _SENTENCES[name])
        _distill(workspace, name, record, evaluations, progress)
    announce("report", "All methods are compared, and a report is written.")
    return _conclude(workspace, record, evaluations, extracted)


_SENTENCES = {
    "none": "A smaller student learns from labels alone: the baseline.",
    "kd": "The same student also learns from the teacher's cached logits.",
    "generative": "The same student also learns from the teacher's cached attention and generator.",
}


def _distill(
    workspace: Workspace,
    name: str,
    record: "_Record",
    evaluations: "_Evaluations",
    progress: Progress,
) -> None:
    result = record.run(
        lambda: stages.distill(workspace, name, STUDENT_SEED, "cached", progress), f"distill {name}"
    )
    folder = workspace.student_folder(name, STUDENT_SEED)
    evaluations.measure(name, folder, again=result.worked)


def _conclude(
    workspace: Workspace,
    record: "_Record",
    evaluations: "_Evaluations",
    extracted: StageResult,
) -> DemoOutcome:
    runs = [
        workspace.teacher_folder,
        *(workspace.student_folder(name, STUDENT_SEED) for name in STUDENTS),
    ]
    comparison = compare(find_runs(runs))
    report_path = workspace.folder / "report.html"
    # A demo that had nothing to do leaves the record of the machine that did the work.
    if record.worked or not report_path.exists():
        record.content |= {
            "bytes": _bytes(workspace),
            "accuracy": evaluations.top1,
            "failed_videos": len(extracted.failures),
            **describe_machine(workspace.device),
        }
        # The report shows this record, so it has to be there first.
        record.save()
        with record.timed("report"):
            write_report(workspace.folder, report_path)
    return DemoOutcome(record.content, comparison, record.path, report_path)


def _bytes(workspace: Workspace) -> dict[str, int]:
    manifest = workspace.manifest
    videos = (manifest.root / path for path in manifest.select(["path"])["path"])
    stored = uncompressed = 0
    with FolderStore.open(workspace.cache_path) as store:
        for item in take_inventory(store):
            stored += item.num_bytes
            uncompressed += store.num_rows * item.raw_row_bytes
    return {
        "videos": sum(path.stat().st_size for path in videos),
        "cache": stored,
        "cache_uncompressed": uncompressed,
        "workdir": folder_bytes(workspace.folder),
    }


class _Record:
    """``summary.json`` of the work folder.

    Seconds of a stage add up over the sessions that worked on it.
    """

    def __init__(self, workspace: Workspace, progress: Progress) -> None:
        self._progress = progress
        self.path = workspace.folder / "summary.json"
        self.content = read_json(self.path)
        self.worked = False
        settings = settings_digest(workspace.recipe.model_dump(mode="json"))
        self.is_same_recipe = self.content.get("settings") == settings
        stage_seconds = self.content.get("stages")
        self.stages: dict[str, float] = stage_seconds if isinstance(stage_seconds, dict) else {}
        self.content |= {"recipe": workspace.recipe.name, "settings": settings}

    def run(self, stage: Callable[[], StageResult], name: str) -> StageResult:
        """Run a stage; its seconds count if it worked, or was stopped at work."""
        started = time.perf_counter()
        try:
            result = stage()
        except KeyboardInterrupt:
            self._add(name, time.perf_counter() - started)
            raise
        if not result.worked:
            self._progress.note("finished already")
        if result.worked or name not in self.stages:
            self._add(name, time.perf_counter() - started)
        return result

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Count the seconds of a block."""
        started = time.perf_counter()
        yield
        self._add(name, time.perf_counter() - started)

    def save(self) -> None:
        """Write the file."""
        total = sum(self.stages.values())
        self.content |= {"stages": self.stages, "total_seconds": total}
        write_json(self.path, self.content)

    def _add(self, name: str, seconds: float) -> None:
        self.worked = True
        self.stages[name] = self.stages.get(name, 0.0) + seconds
        self.save()


class _Evaluations:
    """Accuracies by name: measured where a network is new, read where it was measured before."""

    def __init__(self, workspace: Workspace, record: _Record, progress: Progress) -> None:
        self.top1: dict[str, float] = {}
        self._workspace = workspace
        self._record = record
        self._progress = progress
        known = record.content.get("accuracy")
        self._known: dict[str, float] = (
            known if record.is_same_recipe and isinstance(known, dict) else {}
        )

    def measure(self, name: str, folder: Path, *, again: bool) -> None:
        """Test a run on the test split, which leaves ``evaluation.json`` in its folder."""
        is_there = (folder / "evaluation.json").is_file()
        self._measure(
            name,
            lambda: evaluate_run(self._workspace, folder, progress=self._progress).top1,
            again=again or not is_there,
        )

    def measure_still(self, name: str, *, again: bool) -> None:
        """Test the teacher on videos in which nothing moves."""
        weights = self._workspace.teacher_folder / "model.safetensors"
        split = self._workspace.recipe.data.test_split
        self._measure(
            name,
            lambda: (
                evaluate(
                    self._workspace,
                    weights,
                    split,
                    show=middle_frame_repeated,
                    progress=self._progress,
                ).top1
            ),
            again=again,
        )

    def _measure(self, name: str, measure: Callable[[], float], *, again: bool) -> None:
        if again or name not in self._known:
            with self._record.timed("evaluate"):
                self.top1[name] = measure()
            # Kept at once: a demo that is stopped later need not measure this network again.
            self._record.content["accuracy"] = {**self._known, **self.top1}
            self._record.save()
        else:
            self.top1[name] = self._known[name]
        shown = name.replace("_", " ")
        self._progress.note(f"{shown}: {percent(self.top1[name])} % of the test videos right")

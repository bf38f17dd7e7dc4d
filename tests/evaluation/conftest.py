"""Run folders as training leaves them, small."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

WriteRun = Callable[..., Path]


def confusion_with(hits: int, num_videos: int, num_classes: int) -> list[list[int]]:
    """All videos spread over the classes; the first ``hits`` of them on the diagonal."""
    matrix = [[0] * num_classes for _ in range(num_classes)]
    for video in range(num_videos):
        label = video % num_classes
        matrix[label][label if video < hits else (label + 1) % num_classes] += 1
    return matrix


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Write one run below ``tmp_path`` and return its folder."""

    def write(
        name: str = "kd",
        seed: int = 0,
        hits: int | None = 30,
        *,
        kind: str = "student",
        model: str = "top_i3d",
        classes: Sequence[str] = ("walk", "run", "jump", "sit"),
        num_videos: int = 40,
        folder: Path | None = None,
        summary: Mapping[str, Any] | None = None,
        epochs: Sequence[Mapping[str, Any]] = (
            {"epoch": 1, "seconds": 5.1, "train.loss": 2.0, "train.top1": 0.25, "val.top1": 0.3},
            {"epoch": 2, "seconds": 5.0, "train.loss": 1.0, "train.top1": 0.5, "val.top1": 0.4},
        ),
    ) -> Path:
        """A run without ``hits`` is still training: no summary, no evaluation."""
        default = f"students/{name}-seed{seed}" if kind == "student" else kind
        folder = folder or tmp_path / default
        folder.mkdir(parents=True)
        (folder / "recipe.yaml").write_text(f"method: {name}\nseed: {seed}\nmodel: {model}\n")
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in epochs))
        if hits is None:
            return folder
        facts = {
            "kind": kind,
            "name": name,
            "seed": seed,
            "model": model,
            "num_epochs": len(epochs),
            "seconds": 81.2,
            "parameters": 812_345,
            "gmac": 0.53,
            **(summary or {}),
        }
        (folder / "summary.json").write_text(json.dumps(facts))
        if kind != "representation":
            evaluation = {
                "split": "test",
                "num_videos": num_videos,
                "top1": hits / num_videos,
                "top5": (hits + num_videos) / 2 / num_videos,
                "mean_class_accuracy": hits / num_videos / 2,
                "confusion": confusion_with(hits, num_videos, len(classes)),
                "classes": list(classes),
            }
            (folder / "evaluation.json").write_text(json.dumps(evaluation))
        return folder

    return write

"""Times the mAP of detections at THUMOS14's size, through the files that the command reads.

210 videos with 3,311 annotated segments of 20 classes, and 200 predictions a video: two for each
annotated segment, moved and stretched, the others anywhere. By default the annotations are
generated too; with a file of ground truth its own are taken.

    python benchmarks/detection_map.py --predictions 200
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from record import save_record

from featkd.detection.ground_truth import GroundTruth, read_ground_truth, write_ground_truth
from featkd.detection.mean_average_precision import measure_mean_average_precision
from featkd.detection.predictions import read_predictions, write_predictions

NUM_VIDEOS, NUM_SEGMENTS, NUM_CLASSES = 210, 3311, 20
VIDEO_SEC = 220.0
NUM_ROUNDS = 5


def make_ground_truth(generator: np.random.Generator) -> GroundTruth:
    """Annotations of THUMOS14's numbers; a video has mostly one class, as there."""
    videos = [f"video_{index:07d}" for index in range(NUM_VIDEOS)]
    owner = np.concatenate(
        [np.arange(NUM_VIDEOS), generator.integers(0, NUM_VIDEOS, NUM_SEGMENTS - NUM_VIDEOS)]
    )
    start_sec = generator.uniform(0, VIDEO_SEC, NUM_SEGMENTS)
    segments = pd.DataFrame(
        {
            "video_id": [videos[index] for index in owner],
            "label": [f"class {index % NUM_CLASSES}" for index in owner],
            "start_sec": start_sec,
            "end_sec": start_sec + generator.exponential(4.0, NUM_SEGMENTS) + 0.2,
        }
    )
    return GroundTruth("test", tuple(videos), segments)


def make_predictions(
    truth: GroundTruth, per_video: int, generator: np.random.Generator
) -> pd.DataFrame:
    """So many predictions a video, near its segments first."""
    rows = []
    for video_id, segments in truth.segments.groupby("video_id", sort=False):
        near = pd.concat([segments, segments], ignore_index=True)[:per_video]
        length = near["end_sec"] - near["start_sec"]
        shift = generator.normal(0, 0.2, len(near)) * length
        stretch = generator.lognormal(0, 0.2, len(near)) * length
        num_far = per_video - len(near)
        far_start = generator.uniform(0, VIDEO_SEC, num_far)
        start_sec = np.concatenate([near["start_sec"] + shift, far_start])
        lengths = np.concatenate([stretch, generator.exponential(4.0, num_far) + 0.2])
        labels = [*near["label"], *generator.choice(list(truth.classes), num_far)]
        rows.append(
            pd.DataFrame(
                {
                    "video_id": video_id,
                    "label": labels,
                    "score": generator.uniform(0.01, 1.0, per_video),
                    "start_sec": start_sec,
                    "end_sec": start_sec + lengths,
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def seconds_of(work: Callable[[], object]) -> dict[str, object]:
    """Seconds of several calls, and their median."""
    seconds = []
    for _ in range(NUM_ROUNDS):
        start = time.perf_counter()
        work()
        seconds.append(round(time.perf_counter() - start, 3))
    return {"median": statistics.median(seconds), "all": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--predictions", type=int, default=200, help="a video")
    parser.add_argument("--ground-truth", type=Path, help="file of THUMOS14's annotations")
    arguments = parser.parse_args()
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        truth_path = arguments.ground_truth or Path(folder) / "truth.json"
        if arguments.ground_truth is None:
            write_ground_truth(truth_path, make_ground_truth(generator))
        truth = read_ground_truth(truth_path)
        predictions_path = Path(folder) / "predictions.json"
        made = make_predictions(truth, arguments.predictions, generator)
        write_predictions(predictions_path, made, "benchmark")
        predictions = read_predictions(predictions_path)
        seconds = {
            "read ground truth": seconds_of(lambda: read_ground_truth(truth_path)),
            "read predictions": seconds_of(lambda: read_predictions(predictions_path)),
            "score": seconds_of(lambda: measure_mean_average_precision(predictions, truth)),
        }
    scores = measure_mean_average_precision(predictions, truth)
    content = {
        "num_videos": scores.num_videos,
        "num_segments": scores.num_segments,
        "num_predictions": scores.num_predictions,
        "tiou_thresholds": list(scores.thresholds),
        "average_map": round(scores.average, 6),
        "seconds": seconds,
    }
    path = save_record("detection_map", content)
    print(path.read_text())


if __name__ == "__main__":
    main()

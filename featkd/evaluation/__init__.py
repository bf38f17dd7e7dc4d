"""How well students do, what they cost, and the report that shows it."""

from featkd.evaluation.accuracy import (
    Accuracy,
    average_by_video,
    average_views,
    measure_accuracy,
)
from featkd.evaluation.compare import (
    Comparison,
    Difference,
    Group,
    SeedResult,
    compare,
    difference_by_seed,
    paired_difference,
)
from featkd.evaluation.compare_detectors import (
    DetectorComparison,
    DetectorGroup,
    DetectorResult,
    compare_detectors,
)
from featkd.evaluation.cost import Cost, measure_cost, measure_latency
from featkd.evaluation.manifest_page import render_manifest_page, write_manifest_page
from featkd.evaluation.paired_test import sign_flip_p_value
from featkd.evaluation.report import render_report, write_report
from featkd.evaluation.runs import (
    DetectionEvaluation,
    Run,
    RunEvaluation,
    RunSummary,
    WorkSummary,
    find_runs,
    read_run,
    read_work_summary,
)
from featkd.evaluation.scores import ScoreKind, VideoScores, fuse_scores

__all__ = [
    "Accuracy",
    "Comparison",
    "Cost",
    "DetectionEvaluation",
    "DetectorComparison",
    "DetectorGroup",
    "DetectorResult",
    "Difference",
    "Group",
    "Run",
    "RunEvaluation",
    "RunSummary",
    "ScoreKind",
    "SeedResult",
    "VideoScores",
    "WorkSummary",
    "average_by_video",
    "average_views",
    "compare",
    "compare_detectors",
    "difference_by_seed",
    "find_runs",
    "fuse_scores",
    "measure_accuracy",
    "measure_cost",
    "measure_latency",
    "paired_difference",
    "read_run",
    "read_work_summary",
    "render_manifest_page",
    "render_report",
    "sign_flip_p_value",
    "write_manifest_page",
    "write_report",
]

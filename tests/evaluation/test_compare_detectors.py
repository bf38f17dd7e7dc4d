import json
import re
import xml.etree.ElementTree as ET

import pytest

from featkd.errors import UsageError
from featkd.evaluation import compare, compare_detectors, find_runs, write_report


@pytest.fixture
def write_detector(write_run):
    """Writes the run folder of an evaluated detector."""

    def write(name, seed, *precisions, kind="student", **changes):
        folder = write_run(name, seed, kind=kind)
        evaluation = {
            "task": "detection",
            "split": "test",
            "num_videos": 5,
            "num_segments": 30,
            "mean_average_precision": dict(zip(("0.3", "0.5"), precisions, strict=True)),
            "average": sum(precisions) / 2,
            "classes": ["run", "sit"],
            **changes,
        }
        (folder / "evaluation.json").write_text(json.dumps(evaluation))
        return folder

    return write


def test_compare_detectors__known_by_hand(write_detector, write_run, tmp_path):
    write_detector("teacher", 0, 0.9, 0.7, kind="teacher")
    write_detector("none", 0, 0.4, 0.2)
    write_detector("none", 1, 0.6, 0.4)
    write_detector("kd", 0, 0.6, 0.4)
    write_detector("kd", 1, 0.7, 0.6)
    write_run("kd", 2, hits=None)

    comparison = compare_detectors(find_runs(tmp_path))

    assert [group.name for group in comparison.groups] == ["teacher", "none", "kd"]
    assert (comparison.split, comparison.num_videos, comparison.num_segments) == ("test", 5, 30)
    assert comparison.thresholds == ("0.3", "0.5")
    teacher, none, kd = comparison.groups
    assert none.by_threshold == pytest.approx((0.5, 0.3))
    assert (none.average, none.deviation) == pytest.approx((0.4, 0.2 / 2**0.5))
    assert kd.by_threshold == pytest.approx((0.65, 0.5))
    assert kd.difference.mean == pytest.approx(0.175)
    assert (kd.difference.num_pairs, kd.gmac) == (2, 0.53)
    assert (teacher.difference, none.difference, teacher.deviation) == (None, None, None)
    assert kd.unfinished == (str(tmp_path / "students/kd-seed2"),)
    assert json.loads(json.dumps(comparison.to_json()))["groups"][2]["name"] == "kd"


def test_compare_detectors__of_other_videos(write_detector, tmp_path):
    write_detector("none", 0, 0.4, 0.2)
    write_detector("kd", 0, 0.4, 0.2, num_segments=31)

    with pytest.raises(UsageError, match="num_segments of its evaluation is 30, expected 31"):
        compare_detectors(find_runs(tmp_path))


def test_compare_detectors__and_classifiers_do_not_mix(write_detector, write_run, tmp_path):
    write_detector("none", 0, 0.4, 0.2)
    write_run("kd", 0)
    runs = find_runs(tmp_path)

    with pytest.raises(UsageError, match="kd-seed0 is a classifier and has no mAP"):
        compare_detectors(runs)
    with pytest.raises(UsageError, match="none-seed0 is a detector and has no top-1"):
        compare(runs)


def test_read_run__damaged_evaluation_of_a_detector(write_detector, tmp_path):
    write_detector("none", 0, 0.4, 0.2, average=7)

    with pytest.raises(UsageError, match=r"evaluation\.json is damaged: average"):
        find_runs(tmp_path)


def test_write_report__of_detectors(write_detector, write_run, tmp_path):
    write_detector("teacher", 0, 0.9, 0.7, kind="teacher")
    write_detector("none", 0, 0.4, 0.2)
    write_detector("kd", 0, 0.6, 0.4)
    write_detector("kd", 1, 0.7, 0.6)
    write_run("at", 0, hits=None)

    write_report(tmp_path, tmp_path / "report.html")

    page = (tmp_path / "report.html").read_text()
    text = " ".join(re.sub(r"<[^>]*>", " ", page[page.index("<body>") :]).split())
    assert "kd has the highest mAP of the distilled students" in text
    assert "averaged over thresholds: 57.5 %" in text
    assert "its teacher reaches 80.0 %" in text
    assert "measured on 5 videos with 30 annotated segments, split “test”" in text
    assert "at-seed0, 2 epochs logged" in text
    assert "kd top_i3d 2 65.0 50.0 57.5 10.6" in text
    assert "mAP (%)" in text
    assert "top-1" not in text
    assert "multiply-accumulates a window (GMAC)" in text
    for outside in ("<script", "<link", "<img", "src=", "href=", "://", "url("):
        assert outside not in page
    body = page[page.index("<body>") : page.index("</body>")] + "</body>"
    ET.fromstring(body.replace("<br>", "<br/>"))  # noqa: S314 - our own page

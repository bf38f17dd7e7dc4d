import xml.etree.ElementTree as ET

import pandas as pd
import pytest

from featkd.detection.ground_truth import GroundTruth
from featkd.errors import UsageError
from featkd.evaluation.timeline_chart import MAX_PREDICTIONS, timeline_chart
from featkd.evaluation.timelines import render_timelines, write_timelines

ANNOTATIONS = pd.DataFrame(
    [("v<1>", "run & jump", 10.0, 20.0), ("v<1>", "sit", 50.0, 60.0)],
    columns=["video_id", "label", "start_sec", "end_sec"],
)
PREDICTIONS = pd.DataFrame(
    [
        ("v<1>", "run & jump", 0.8, 11.0, 20.0),
        ("v<1>", "run & jump", 0.9, 10.0, 20.0),
        ("v<1>", "fly", 0.2, 0.0, 5.0),
        ("elsewhere", "sit", 1.0, 50.0, 60.0),
    ],
    columns=["video_id", "label", "score", "start_sec", "end_sec"],
)
TRUTH = GroundTruth("test", ("v<1>", "quiet"), ANNOTATIONS, {"v<1>": 100.0})


def of_video(table):
    return table[table["video_id"] == "v<1>"]


def test_timeline_chart__places_time_to_the_right_and_score_upwards():
    chart = timeline_chart("v", ANNOTATIONS, of_video(PREDICTIONS), 0.5, duration_sec=100.0)

    assert [strip.label for strip in chart.strips] == ["run & jump", "sit", "fly"]
    run, sit, fly = chart.strips
    axis = chart.time_axis
    assert (axis.low, axis.high) == (0.0, 100.0)
    assert run.annotated[0].x == pytest.approx(axis.place(10.0))
    assert run.annotated[0].x + run.annotated[0].width == pytest.approx(axis.place(20.0))
    best, second = run.predicted
    assert (best.is_hit, second.is_hit) == (True, False), "each segment is found once"
    assert best.y < second.y
    assert best.start_x == run.annotated[0].x
    assert (sit.predicted, fly.annotated) == ((), ())
    assert fly.predicted[0].y > run.score_axis.start, "strips do not overlap"
    assert "score 0.9, 10.0 to 20.0 s, tIoU 1.00" in best.title
    assert chart.note == "2 segments, 3 predictions"


def test_timeline_chart__hits_depend_on_the_threshold():
    rows = PREDICTIONS.iloc[[0]]

    def is_hit(threshold):
        return timeline_chart("v", ANNOTATIONS, rows, threshold).strips[0].predicted[0].is_hit

    assert (is_hit(0.9), is_hit(0.91)) == (True, False)


def test_timeline_chart__scores_of_any_range_stay_in_their_strip():
    rows = PREDICTIONS.iloc[:2].assign(score=[-3.0, 40.0])

    (strip,) = timeline_chart("v", ANNOTATIONS[:1], rows, 0.5).strips

    assert all(strip.score_axis.end <= line.y <= strip.score_axis.start for line in strip.predicted)


def test_timeline_chart__draws_the_best():
    rows = pd.concat([PREDICTIONS.iloc[[0]]] * (MAX_PREDICTIONS + 5), ignore_index=True)
    rows["score"] = rows.index / 100

    chart = timeline_chart("v", ANNOTATIONS, rows, 0.5)

    predicted = chart.strips[0].predicted
    assert len(predicted) == MAX_PREDICTIONS
    assert predicted[0].is_hit
    assert chart.note == f"2 segments, {MAX_PREDICTIONS + 5} predictions, 5 of them not drawn"


def test_timeline_chart__attention_has_a_strip_of_its_own():
    points = [(0.0, 0.0), (50.0, 1.0), (120.0, 0.5)]
    without = timeline_chart("v", ANNOTATIONS, of_video(PREDICTIONS), 0.5)
    chart = timeline_chart("v", ANNOTATIONS, of_video(PREDICTIONS), 0.5, attention=points)

    axis = chart.attention.axis
    x, y = chart.time_axis.place(50.0), axis.place(1.0)
    assert f"L{x:g} {y:g}" in chart.attention.path
    assert axis.end > chart.strips[-1].score_axis.start
    assert chart.time_axis.high >= 120
    assert (without.attention, without.height < chart.height) == (None, True)
    page = render_timelines(TRUTH, PREDICTIONS, ["v<1>", "quiet"], 0.5, {"v<1>": points})
    assert page.count("attention over time") == 1


def test_timeline_chart__nothing_happens():
    chart = timeline_chart("v", ANNOTATIONS[:0], PREDICTIONS[:0], 0.5)

    assert (chart.strips, chart.note) == ((), "0 segments, 0 predictions")


def test_write_timelines__is_one_page_that_needs_nothing(tmp_path):
    path = tmp_path / "deep" / "timelines.html"

    write_timelines(path, TRUTH, PREDICTIONS, ["v<1>", "quiet"], 0.5)

    page = path.read_text()
    assert page.count('<svg class="chart"') == 2
    assert "v&lt;1&gt;" in page
    assert "run &amp; jump, annotated from 10.0 to 20.0 s" in page
    assert "elsewhere" not in page
    for outside in ("<script", "<link", "<img", "src=", "href=", "://", "url("):
        assert outside not in page
    body = page[page.index("<body>") : page.index("</body>")] + "</body>"
    tree = ET.fromstring(body)  # noqa: S314 - our own page
    assert len(tree.findall(".//rect[@class='annotated']")) == 3  # two segments and the legend's


def test_render_timelines__unknown_video():
    with pytest.raises(UsageError, match="no video 'v9' in subset 'test'; expected one of its 2"):
        render_timelines(TRUTH, PREDICTIONS, ["v9"], 0.5)

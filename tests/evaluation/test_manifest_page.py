import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from featkd.evaluation import render_manifest_page, write_manifest_page
from featkd.evaluation.manifest_charts import (
    MAX_NAMED_CLASSES,
    class_chart,
    histogram,
    resolution_chart,
)
from featkd.manifest import Manifest, ManifestHeader, measure_manifest


def _manifest(num_classes: int, num_frames: list[int]) -> Manifest:
    """Class k has k + 1 rows, every third of them in test; lengths go round."""
    labels = [label for label in range(num_classes) for _ in range(label + 1)]
    rows = np.arange(len(labels))
    names = tuple(f"class {label:02d} <&>" for label in range(num_classes))
    table = pd.DataFrame(
        {
            "video_id": [f"v{row}" for row in rows],
            "path": [f"v{row}.mp4" for row in rows],
            "label": labels,
            "class_name": [names[label] for label in labels],
            "split": np.where(rows % 3 == 2, "test", "train"),
            "start_sec": 0.0,
            "end_sec": None,
            "num_frames": [num_frames[row % len(num_frames)] for row in rows],
            "fps": 10.0,
            "width": np.where(rows % 2 == 0, 320, 64),
            "height": np.where(rows % 2 == 0, 240, 48),
            "group": None,
            "sha256": None,
        }
    )
    header = ManifestHeader(
        dataset="<b>tiny</b>", version="1", classes=names, protocol="by lot", source="", licence="x"
    )
    return Manifest(header, table, Path())


class Page(HTMLParser):
    """Which elements a page has; each that opens must close."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "br"}:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


@pytest.mark.parametrize("num_classes", [5, MAX_NAMED_CLASSES + 10])
def test_class_chart__bars_are_as_long_as_classes_are_large(num_classes: int) -> None:
    statistics = measure_manifest(_manifest(num_classes, [8]))
    chart = class_chart(statistics)
    per_row = abs(chart.axis.place(1.0) - chart.axis.place(0.0))
    named = num_classes <= MAX_NAMED_CLASSES
    for label, name in enumerate(statistics.class_names):
        bars = [bar for bar in chart.bars if bar.title.startswith(f"{name}, ")]
        length = sum(bar.width if named else bar.height for bar in bars) / per_row
        assert length == pytest.approx(label + 1, abs=0.05 * (num_classes + 10))
        assert [bar.series.label for bar in bars] == sorted(
            {bar.series.label for bar in bars}, reverse=True
        )
    assert len(chart.labels) == (num_classes if named else 0)
    if not named:
        firsts = [bar for bar in chart.bars if bar.series.label == "train"]
        assert firsts[0].title.startswith(statistics.class_names[-1])


@pytest.mark.parametrize(
    ("values", "logarithmic"),
    [([5.0, 6.5, 7.0, 7.1, 20.0], False), ([1.0, 2.5, 40.0, 300.0, 4000.0], True)],
)
def test_histogram__every_value_is_in_a_bar(values: list[float], logarithmic: bool) -> None:
    by_split = {"train": np.array(values), "test": np.array(values[:2])}
    chart = histogram(by_split, "s")
    assert chart is not None
    assert chart.across is not None
    assert chart.across.logarithmic == logarithmic
    counts = {"train": 0, "test": 0}
    for bar in chart.bars:
        count = int(bar.title.rpartition(" ")[2])
        counts[bar.series.label] += count
        # A value lies over its bar; a bar leaves a small gap to the next.
        over = [v for v in by_split[bar.series.label] if bar.x <= chart.across.place(v) + 0.01]
        right = bar.x + bar.width / 0.94
        assert sum(chart.across.place(v) <= right + 0.01 for v in over) >= count
    assert counts == {"train": len(values), "test": 2}


def test_histogram__whole_numbers_give_no_comb() -> None:
    chart = histogram({"train": np.arange(20, 300)}, "frames")
    assert chart is not None
    assert [int(bar.title.rpartition(" ")[2]) for bar in chart.bars] == [10] * 28


def test_histogram__nothing_to_draw() -> None:
    assert histogram({"train": np.array([])}, "s") is None


def test_resolution_chart__area_is_the_number() -> None:
    chart = resolution_chart({(320, 240): 100, (64, 48): 25, (1920, 1080): 1})
    assert chart is not None
    large, middle, small = chart.bubbles
    assert large.radius == pytest.approx(2 * middle.radius, abs=0.02)
    assert small.radius >= 2.5
    assert small.x > large.x > middle.x
    assert small.y < large.y < middle.y
    assert resolution_chart({}) is None


@pytest.mark.parametrize("num_classes", [3, MAX_NAMED_CLASSES + 1])
def test_page__is_sound_and_needs_nothing_else(num_classes: int, tmp_path: Path) -> None:
    manifest = _manifest(num_classes, [8, 0, 40])
    path = tmp_path / "stats.html"
    write_manifest_page(manifest.header, measure_manifest(manifest), path)
    html = path.read_text(encoding="utf-8")
    page = Page(html)
    tags = [tag for tag, _ in page.elements]
    assert not {"script", "link", "img", "b"} & set(tags)
    assert not re.search(r"""(src|href)=|url\(|@import|https?://""", html)
    assert html.count('class="panel wide"') == 1
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert "&lt;b&gt;tiny&lt;/b&gt;" in html
    assert f"class {num_classes - 1:02d} &lt;&amp;&gt;, train: " in html


def test_page__of_unreadable_videos_alone() -> None:
    manifest = _manifest(2, [0])
    html = render_manifest_page(manifest.header, measure_manifest(manifest))
    assert "3 unreadable" not in html
    assert html.count("unreadable") == 2
    assert 'id="lengths"' not in html
    Page(html)

import json
from html.parser import HTMLParser

import pytest

from featkd.errors import UsageError
from featkd.evaluation import compare, find_runs, write_report
from featkd.evaluation.number_text import MINUS

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Document(HTMLParser):
    """What a page holds: elements, attributes, text by element; open elements must close."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.attributes, self.texts, self.rows = [], [], [], []
        self._open = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self.rows and ("td" in self._open or "th" in self._open):
            self.rows[-1][-1] += data

    @property
    def text(self):
        return " ".join("".join(self.texts).split())

    def row(self, name):
        (cells,) = (row for row in self.rows if row and row[0].strip() == name)
        return [cell.strip() for cell in cells]


@pytest.fixture
def workdir(write_run, tmp_path):
    write_run("teacher", 0, 39, kind="teacher", model="i3d", summary={"gmac": 2.12})
    write_run("ours", kind="representation")
    for name, hits in {"none": (20, 25, 3), "kd": (30, 26, 22), "at": (33, 35, 31)}.items():
        for seed, count in enumerate(hits):
            write_run(name, seed, count)
    write_run("at", 3, hits=None)
    work = {"stages": {"extract": 61.0, "distill": 600.0}, "bytes": {"cache": 3 * 2**20}}
    (tmp_path / "summary.json").write_text(json.dumps(work))
    return tmp_path


def report(source, path, **options):
    write_report(source, path, **options)
    return path.read_text(encoding="utf-8")


def test_write_report__needs_nothing_from_outside(workdir):
    html = report(workdir, workdir / "deep" / "report.html")

    page = Document(html)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.elements)
    assert not {"src", "href", "xlink:href", "srcset", "onclick"} & {k for k, _ in page.attributes}
    assert "://" not in html
    assert "url(" not in html
    assert "@import" not in html


def test_write_report__shows_every_figure_of_the_comparison(workdir):
    page = Document(report(workdir, workdir / "report.html"))

    for group in compare(find_runs(workdir)).groups:
        row = page.row(group.name)
        for result in group.results:
            assert row[2 + result.seed] == f"{result.top1 * 100:.1f}"
        rest = row[2 + 3 :]
        assert rest[0] == f"{group.mean * 100:.1f}"
        assert rest[1] == (
            "\N{EN DASH}" if group.deviation is None else f"{group.deviation * 100:.1f}"
        )
        if len(group.results) > 1:
            assert rest[2].split(" \N{EN DASH} ") == [
                f"{group.lowest * 100:.1f}",
                f"{group.highest * 100:.1f}",
            ]
        if group.difference is not None:
            mean, _, deviation = rest[3].split()
            assert float(mean) == pytest.approx(group.difference.mean * 100, abs=0.051)
            assert float(deviation) == pytest.approx(group.difference.deviation * 100, abs=0.051)
        assert rest[4] == f"{group.took_off}/{len(group.results)}"
        assert rest[5] == f"{group.mean_top5 * 100:.1f}"
        assert rest[6] == f"{group.mean_class_accuracy * 100:.1f}"
        assert rest[7:9] == ["0.81", f"{group.gmac:.3g}"]


def test_write_report__draws_every_seed_and_names_unfinished_runs(workdir):
    page = Document(report(workdir, workdir / "report.html"))

    for title in ("at, seed 1: 87.5 %", "none, seed 2: 7.5 %", "teacher, seed 0: 97.5 %"):
        assert title in page.text
    assert "at-seed3, 2 epochs logged" in page.text
    assert "at, seed 3: 1 in epoch 2" in page.text
    assert "walk taken for walk: 10 of 10" in page.text
    for stage in ("extract", "distill", "cache"):
        assert page.row(stage)
    assert page.row("cache")[1].split() == ["3.0", "MiB"]


def test_write_report__is_accessible(workdir):
    page = Document(report(workdir, workdir / "report.html"))

    charts = [v for k, v in page.attributes if k == "role" and v == "img"]
    labels = [v for k, v in page.attributes if k == "aria-labelledby"]
    ids = [v for k, v in page.attributes if k == "id"]
    assert len(charts) == 10  # accuracy, 3 of training, cost, 4 confusions, representation
    assert set(labels) <= set(ids)
    assert len(ids) == len(set(ids))
    assert page.elements.count("caption") == page.elements.count("table") == 3


def test_write_report__escapes_what_files_say(write_run, tmp_path):
    hostile = "<script>alert('x')</script>"
    folder = write_run(
        "<b>kd", 0, 20, folder=tmp_path / "students" / "k", classes=[hostile, '"><img src=x>', "c"]
    )
    (folder / "recipe.yaml").write_text(f"name: {hostile}\n")
    (tmp_path / "summary.json").write_text(json.dumps({"stages": {hostile: 1.0}}))

    page = Document(report(tmp_path, tmp_path / "report.html", title=hostile))

    assert not {"script", "img", "b"} & set(page.elements)
    assert page.text.count(hostile) >= 4


def test_write_report__folds_recipes_and_shows_what_seeds_changed(workdir):
    page = Document(report(workdir, workdir / "report.html"))

    assert page.elements.count("details") == 5
    assert "method: kd seed: 0 model: top_i3d" in page.text
    assert "kd-seed1 -seed: 0 +seed: 1" in page.text


def test_write_report__one_seed_is_said_to_prove_little(write_run, tmp_path):
    write_run("none", 0, 30)
    write_run("kd", 0, 20)

    page = Document(report(tmp_path, tmp_path / "report.html"))

    assert "one seed only" in page.text
    assert f"{MINUS}25.0 points against the same student trained alone" in page.text


@pytest.mark.parametrize("hits", [None, 0, 40], ids=["unfinished", "all-wrong", "all-right"])
def test_write_report__of_a_single_run(write_run, tmp_path, hits):
    write_run("kd", 0, hits, epochs=[], summary={"gmac": None, "parameters": None})

    page = Document(report(find_runs(tmp_path), tmp_path / "report.html"))

    assert page.row("kd")
    assert ("No run has been evaluated yet" in page.text) == (hits is None)


def test_write_report__methods_of_two_models_are_told_apart(write_run, tmp_path):
    for model in ("small", "large"):
        write_run("kd", 0, 20, model=model, folder=tmp_path / "students" / model)

    page = Document(report(tmp_path, tmp_path / "report.html"))

    assert page.row("kd (small)")[1] == "small"
    assert page.row("kd (large)")[1] == "large"
    assert page.elements.count("details") == 2
    assert "best of" not in page.text


def test_write_report__same_runs_same_bytes(workdir):
    runs = find_runs(workdir)

    assert report(runs, workdir / "a.html") == report(runs[::-1], workdir / "b.html")


def test_write_report__refuses_no_runs(tmp_path):
    with pytest.raises(UsageError, match="no run to report on"):
        write_report([], tmp_path / "report.html")

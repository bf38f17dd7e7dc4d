import io
import sys

import pytest
from rich.console import Console

from featkd.cli.progress import BarProgress, LineProgress, show_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_line_progress__one_line_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    tracked = LineProgress().track(range(3), description="read", total=4, unit="file", done=1)
    assert list(tracked) == [0, 1, 2]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("read: 3 files in ")
    assert captured.err.endswith(", 1 done earlier\n")
    assert captured.err.count("\n") == 1


def test_line_progress__nothing_left(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(LineProgress().track([], description="read", total=2, unit="videos", done=2)) == []
    assert capsys.readouterr().err == "read: all 2 videos were done already\n"


def test_bar_progress__shows_counts_and_rate_on_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    with show_progress(quiet=False) as progress:
        assert isinstance(progress, BarProgress)
        for item in progress.track(
            range(2), description="[odd] name", total=3, unit="view", done=1
        ):
            progress.note(f"item {item}")
    shown = terminal.getvalue()
    assert "[odd] name" in shown
    assert "3/3" in shown
    assert "views/s" in shown
    assert "item 1" in shown


def test_bar_progress__an_error_stops_the_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")

    def work() -> None:
        with show_progress(quiet=False) as progress:
            for _ in progress.track(range(2), description="a", total=2, unit="view"):
                raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        work()
    written = len(terminal.getvalue())
    Console(file=terminal).print("after")
    assert terminal.getvalue()[written:] == "after\n"
    assert terminal.getvalue().count("\x1b[?25h") == 1  # the cursor is back


def test_show_progress__quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress(quiet=True) as progress:
        progress.note("unheard")
        assert list(progress.track([1], description="a", total=1, unit="view")) == [1]
    assert capsys.readouterr().err == ""

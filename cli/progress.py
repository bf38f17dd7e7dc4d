"""Progress of long work, always on stderr, so that stdout holds results alone."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

from featkd.cli.figures import duration, plural, rate
from featkd.types import Item, Progress, Silent


@contextmanager
def show_progress(*, quiet: bool) -> Iterator[Progress]:
    """Bars on a terminal, a line for each finished piece of work elsewhere, nothing if quiet."""
    if quiet:
        yield Silent()
    elif not sys.stderr.isatty():
        yield LineProgress()
    else:
        bars = BarProgress()
        try:
            yield bars
        finally:
            bars.stop()


class LineProgress:
    """A `featkd.types.Progress` for logs and pipes: one line for each bar, when it is full."""

    def track(
        self, items: Iterable[Item], *, description: str, total: int, unit: str, done: int = 0
    ) -> Iterator[Item]:
        """Pass items through and say how many there were and how long they took."""
        started = time.perf_counter()
        yield from items
        seconds = time.perf_counter() - started
        if done >= total:
            self.note(f"{description}: all {plural(total, unit)} were done already")
            return
        earlier = f", {done} done earlier" if done else ""
        self.note(
            f"{description}: {plural(total - done, unit)} in {duration(seconds)} "
            f"({rate((total - done) / max(seconds, 1e-9), unit)}){earlier}"
        )

    def note(self, message: str) -> None:
        """Say one line."""
        click.echo(message, err=True)


class BarProgress:
    """A `featkd.types.Progress` for terminals: a bar with its rate and its remaining time."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, markup=False, emoji=False, highlight=False)
        self._bars: Bars | None = None

    def track(
        self, items: Iterable[Item], *, description: str, total: int, unit: str, done: int = 0
    ) -> Iterator[Item]:
        """Pass items through and move a bar."""
        bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            refresh_per_second=4,
        )
        self._bars = bars
        with bars:
            task = bars.add_task(description, total=total, completed=done, unit=unit)
            for item in items:
                yield item
                bars.advance(task)

    def note(self, message: str) -> None:
        """Say one line above the bar."""
        self._console.print(message)

    def stop(self) -> None:
        """Leave the screen as it is: nobody draws over the error message that follows."""
        if self._bars is not None:
            self._bars.stop()


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else rate(speed, task.fields["unit"]))

"""A log of one JSON object per epoch, which a resumed run continues instead of doubling."""

import json
from collections.abc import Mapping
from pathlib import Path

from featkd.errors import FeatkdError


class MetricLog:
    """``metrics.jsonl`` of a run.

    Args:
        path: the file.
        finished_epochs: epochs the checkpoint holds; lines beyond it are dropped, because the
            epochs they speak of will be done again.

    Raises:
        FeatkdError: a line is not JSON.
    """

    def __init__(self, path: Path, *, finished_epochs: int) -> None:
        self.path = path
        kept: list[str] = []
        if path.exists():
            for number, line in enumerate(path.read_text().splitlines(), start=1):
                try:
                    epoch = int(json.loads(line)["epoch"])
                except (ValueError, KeyError, TypeError) as error:
                    if number - 1 >= finished_epochs:
                        break  # the line that was being written when the run was cut off
                    raise FeatkdError(
                        f"{path}, line {number}: {line[:60]!r} is not a record of an epoch"
                    ) from error
                if epoch <= finished_epochs:
                    kept.append(line)
        path.write_text("".join(line + "\n" for line in kept))

    def append(self, record: Mapping[str, float | int]) -> None:
        """Add one epoch."""
        with self.path.open("a") as file:
            file.write(json.dumps(dict(record)) + "\n")

    def total_seconds(self) -> float:
        """Training time of all epochs in the log."""
        lines = self.path.read_text().splitlines()
        return float(sum(json.loads(line)["seconds"] for line in lines))


class Averages:
    """Running means of named values over an epoch, weighted by batch size."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._weights: dict[str, int] = {}

    def add(self, values: Mapping[str, float], weight: int) -> None:
        """Count ``values`` ``weight`` times."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value * weight
            self._weights[name] = self._weights.get(name, 0) + weight

    def means(self, prefix: str) -> dict[str, float]:
        """Mean of every name, the name prefixed."""
        return {
            f"{prefix}.{name}": total / self._weights[name] for name, total in self._sums.items()
        }

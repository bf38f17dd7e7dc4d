"""Which clips a run on a growing cache began with."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter

from featkd.experiment.workspace import read_json, write_json


def begun_with(folder: Path, samples: Sequence[int]) -> list[int]:
    """The clips a run on a growing cache began with: those of now, at its first start.

    Args:
        folder: of the run.
        samples: positions of the clips that can be read by now.
    """
    path = folder / "samples.json"
    if not path.exists():
        write_json(path, {"samples": list(samples)})
    begun: list[int] = TypeAdapter(list[int]).validate_python(read_json(path)["samples"])
    return begun

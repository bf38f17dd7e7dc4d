import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest


@pytest.fixture(scope="session")
def make_rows() -> Callable[[int], pd.DataFrame]:
    def make(num_rows: int) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "row": range(num_rows),
                "video_id": [f"video_{row // 2}" for row in range(num_rows)],
                "view_index": [row % 2 for row in range(num_rows)],
                "label": [row % 5 for row in range(num_rows)],
                "split": ["train"] * num_rows,
                "frame_indices": [[row, row + 2, row + 4] for row in range(num_rows)],
                "crop_box": [[0.0, 0.25, 1.0, 1.0]] * num_rows,
                "flip": [row % 2 == 1 for row in range(num_rows)],
            }
        )

    return make


@pytest.fixture
def run_script(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python code in a fresh process."""

    def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "script.py"
        script.write_text(code)
        return subprocess.run(
            [sys.executable, script, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run

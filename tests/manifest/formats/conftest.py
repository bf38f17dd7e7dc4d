"""Manifests that a format can hold, drawn by hypothesis."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import strategies as st

from featkd.manifest import Manifest, ManifestHeader

CHARACTERS = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\:")
NAMES = st.text(CHARACTERS, min_size=1, max_size=8).filter(
    lambda name: name.strip() and name not in {".", ".."}
)
PATHS = st.tuples(NAMES, NAMES).map("/".join)
Drawn = tuple[dict[str, object], list[dict[str, object]]]

SHA256 = st.text("0123456789abcdef", min_size=64, max_size=64)


@st.composite
def _contents(
    draw: st.DrawFn,
    *,
    paths: st.SearchStrategy[str] = PATHS,
    classes: st.SearchStrategy[str] = NAMES,
    splits: st.SearchStrategy[str] = NAMES,
    clips: bool = True,
) -> Drawn:
    names = tuple(draw(st.lists(classes, min_size=1, max_size=4, unique=True)))
    split_names = draw(st.lists(splits, min_size=1, max_size=3, unique=True))
    files = draw(st.lists(paths, min_size=1, max_size=6, unique=True))
    ids = draw(st.lists(NAMES, min_size=len(files), max_size=len(files), unique=True))
    ends, groups, hashed = (draw(st.booleans()) for _ in range(3))
    rows = []
    for video_id, path in zip(ids, files, strict=True):
        label = draw(st.integers(0, len(names) - 1))
        rows.append(
            {
                "video_id": video_id,
                "path": path,
                "label": label,
                "class_name": names[label],
                "split": draw(st.sampled_from(split_names)),
                "start_sec": draw(st.floats(0, 1e6)) if clips else 0.0,
                "end_sec": draw(st.floats(2e6, 3e6)) if clips and ends else None,
                "num_frames": draw(st.integers(0, 2**53)),
                "fps": draw(st.floats(0, 1e3)),
                "width": draw(st.integers(1, 2**31)),
                "height": draw(st.integers(1, 2**31)),
                "group": draw(NAMES) if groups else None,
                "sha256": draw(SHA256) if hashed else None,
            }
        )
    text = st.text(CHARACTERS, max_size=8)
    header = {
        "dataset": draw(NAMES),
        "version": draw(NAMES),
        "classes": names,
        **{field: draw(text) for field in ("protocol", "source", "licence")},
    }
    return header, rows


@pytest.fixture(scope="session")
def draw_manifest() -> Callable[..., Manifest]:
    """Draws a manifest from the data of a test; keywords narrow what it holds."""

    def draw(data: st.DataObject, **limits: object) -> Manifest:
        # Types are checked at random places, which may not happen inside a strategy.
        header, rows = data.draw(_contents(**limits))
        return Manifest(ManifestHeader(**header), pd.DataFrame(rows), Path("/videos"))

    return draw

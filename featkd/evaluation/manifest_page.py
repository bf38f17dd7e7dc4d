"""A picture of a manifest: one HTML file that needs nothing else."""

from importlib.metadata import version
from itertools import islice
from pathlib import Path

from featkd.durable import replace_file
from featkd.evaluation import number_text
from featkd.evaluation.manifest_charts import (
    class_chart,
    histogram,
    resolution_chart,
    split_series,
)
from featkd.evaluation.page import page_environment
from featkd.manifest import ManifestHeader, ManifestStatistics

MAX_LISTED = 12


def write_manifest_page(header: ManifestHeader, statistics: ManifestStatistics, path: Path) -> None:
    """Write class balance, lengths and resolutions as one HTML file.

    The file opens from disk, asks for nothing from the network and runs no script.

    Args:
        header: header of the manifest.
        statistics: what `measure_manifest` says of it.
        path: where to write; a file that is there is replaced.

    Raises:
        OSError: it cannot be written; names the file.
    """
    replace_file(path, render_manifest_page(header, statistics).encode())


def render_manifest_page(header: ManifestHeader, statistics: ManifestStatistics) -> str:
    """Return the page as HTML.

    Args:
        header: header of the manifest.
        statistics: what `measure_manifest` says of it.
    """
    environment = page_environment()
    environment.filters |= {
        "duration": number_text.duration,
        "significant": number_text.significant,
    }
    return environment.get_template("manifest_page.html").render(
        header=header,
        version=version("featkd"),
        statistics=statistics,
        legend=split_series(list(statistics.splits)),
        classes=class_chart(statistics),
        seconds=histogram(statistics.seconds, "s"),
        frames=histogram(statistics.frames, "frames"),
        resolutions=resolution_chart(statistics.resolutions),
        sizes=list(islice(statistics.resolutions.items(), MAX_LISTED)),
        rates=list(islice(statistics.frame_rates.items(), MAX_LISTED)),
        num_readable=sum(len(frames) for frames in statistics.frames.values()),
    )

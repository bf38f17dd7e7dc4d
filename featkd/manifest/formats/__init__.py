"""Formats in which others keep lists of videos, converted to manifests and back."""

from collections.abc import Mapping

from featkd.manifest.formats.complete import complete
from featkd.manifest.formats.croissant import Croissant
from featkd.manifest.formats.export import export_manifest
from featkd.manifest.formats.links import link_videos
from featkd.manifest.formats.lists import MMACTION2, PYTORCHVIDEO, SLOWFAST, ListFormat
from featkd.manifest.formats.partial import Format, PartialManifest, left_out
from featkd.manifest.formats.videofolder import VideoFolder
from featkd.manifest.formats.whole_files import as_whole_files

FORMATS: Mapping[str, Format] = {
    known.name: known for known in (MMACTION2, SLOWFAST, PYTORCHVIDEO, VideoFolder(), Croissant())
}
"""Every format, by its name."""

__all__ = [
    "FORMATS",
    "MMACTION2",
    "PYTORCHVIDEO",
    "SLOWFAST",
    "Croissant",
    "Format",
    "ListFormat",
    "PartialManifest",
    "VideoFolder",
    "as_whole_files",
    "complete",
    "export_manifest",
    "left_out",
    "link_videos",
]
